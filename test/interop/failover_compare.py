#!/usr/bin/env python3
"""How long writes stop after each fault, beside real etcd: the same test on three Cairn members and on three etcd
members, medians and their ratio.  Printed, not asserted: elections are drawn by lot.

usage: failover_compare.py [--build build] [--version 3.7] [--rounds 5] [--hold 2]"""
import argparse
import contextlib
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import failover  # noqa: E402
import reference  # noqa: E402
from cairn_test import ROOT, Skip, Test  # noqa: E402
from cluster import Cluster  # noqa: E402
from network import network_of  # noqa: E402

QUIET = ['--log-level=error']


def measure(build, binary, rounds, hold_s):
    t = Test(build, 'failover')
    try:
        with contextlib.ExitStack() as stack:
            c = Cluster(t, binary=binary, args=QUIET)
            net = network_of(c, stack)
            c.start()
            ops, silence, returns = failover.run(c, net, rounds, hold_s)
            failover.check(c, ops)
    finally:
        t.close(False)
    for of_leader in (True, False):
        name = f'full disk of {"the leader" if of_leader else "a follower"}'
        for _ in range(min(rounds, 2)):
            t = Test(build, 'failover')
            try:
                silence.setdefault(name, []).append(failover.full_disk(t, of_leader, binary)[2])
            except Skip as e:
                print(f'without {name}: {e}')
            except AssertionError as e:
                print(f'{name}, {binary or "cairn"}: {str(e)[:300]}')
            finally:
                t.close(False)
    silence.update({f'{name}: back after': seconds for name, seconds in returns.items()})
    return silence


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--build', default='build')
    ap.add_argument('--version', default='3.7')
    ap.add_argument('--rounds', type=int, default=5)
    ap.add_argument('--hold', type=float, default=failover.HOLD_S, help='seconds that a fault lasts')
    args = ap.parse_args()
    build = (ROOT / args.build).resolve()
    try:
        etcd = reference.programs(build, args.version)['etcd']
    except reference.Missing as e:
        print(f'skipped: {e}\n0 passed, 0 failed, 1 skipped')
        return
    ours, theirs = measure(build, None, args.rounds, args.hold), measure(build, str(etcd), args.rounds, args.hold)
    print(f'{"seconds without an acknowledged write":40} {"cairn":>16} {"etcd " + args.version:>16} {"ratio":>6}')
    for name, seconds in ours.items():
        a, e = statistics.median(seconds), statistics.median(theirs.get(name) or [float('nan')])
        worst = max(theirs.get(name) or [float('nan')])
        print(f'{name:40} {a:6.2f} (<= {max(seconds):5.2f}) {e:6.2f} (<= {worst:5.2f}) {a / e:6.2f}')
    print('1 passed, 0 failed, 0 skipped')


if __name__ == '__main__':
    main()
