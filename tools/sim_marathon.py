#!/usr/bin/env python3
"""Runs the simulator seed after seed on all cores, and sums up.

Each process takes seeds of its own; one that meets a broken invariant ends, and goes on behind that seed.
usage: tools/sim_marathon.py --build build --hours 1 [--from 1000]
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEEDS_APART = 10_000_000


class Sum:
    def __init__(self):
        self.lock = threading.Lock()
        self.passed = self.failed = self.simulated_s = 0
        self.cpu_s = 0.0
        self.broken = []

    def add(self, text):
        with self.lock:
            counts = re.findall(r'^(\d+) passed, (\d+) failed', text, re.M)
            times = re.findall(r'(\d+) s simulated in ([\d.]+) s of CPU', text)
            self.passed += sum(int(p) for p, _ in counts)
            self.failed += sum(int(f) for _, f in counts)
            self.simulated_s += sum(int(s) for s, _ in times)
            self.cpu_s += sum(float(c) for _, c in times)
            lines = text.splitlines()
            for i, line in enumerate(lines):
                if line.startswith('BROKEN') or 'invariant broken' in line:
                    self.broken.append('\n'.join(lines[i:i + 3]))


def worker(exe, first, end, total):
    seed = first
    while time.monotonic() < end:
        hours = max((end - time.monotonic()) / 3600, 1e-4)
        r = subprocess.run([exe, '--from', str(seed), '--hours', f'{hours:.6f}'], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, errors='replace')
        total.add(r.stdout)
        if re.search(r'^\d+ passed', r.stdout, re.M):
            return
        # It died in the middle: go on behind the seed that it names.
        died = re.findall(r'^seed (\d+) step', r.stdout, re.M)
        with total.lock:
            total.failed += 1
        seed = int(died[-1]) + 1 if died else seed + 1


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--build', default='build')
    ap.add_argument('--hours', type=float, default=1)
    ap.add_argument('--from', dest='first', type=int, default=1000)
    args = ap.parse_args()
    exe = str(ROOT / args.build / 'sim' / 'simulator')
    end = time.monotonic() + args.hours * 3600
    total = Sum()
    threads = [threading.Thread(target=worker, args=(exe, args.first + i * SEEDS_APART, end, total))
               for i in range(os.cpu_count() or 1)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for text in total.broken:
        print(text)
    if total.cpu_s > 0:
        print(f'{total.simulated_s / 3600:.1f} hours simulated, '
              f'{total.simulated_s / total.cpu_s:.0f} simulated seconds a CPU second')
    print(f'{total.passed} passed, {total.failed} failed')
    return 1 if total.failed else 0


if __name__ == '__main__':
    sys.exit(main())
