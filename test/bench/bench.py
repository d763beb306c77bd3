#!/usr/bin/env python3
"""Rates, latencies and CPU of Cairn beside a real etcd, in alternating pairs on one machine.

usage: test/bench/bench.py [--build build] [--pairs 3] [--requests 40000] [--load put,get,...]

Each pair runs one load against etcd and then against Cairn, each on a directory of its own; the printed
ratio is that of the medians.  The reference is etcd 3.7 where Go or CAIRN_REFERENCE gives it, otherwise
Debian's etcd; its name is printed.  The load generator is h2load (package nghttp2-client).
"""
import argparse
import os
import pathlib
import re
import shutil
import statistics
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE.parent / 'interop'))
import reference  # noqa: E402
from cairn_test import Test  # noqa: E402

HANG_S = 600
TICKS = os.sysconf('SC_CLK_TCK')
LIST_KEYS = 1000


def field(number, value):
    """One protobuf field: bytes, or a number."""
    if isinstance(value, int):
        return bytes([number << 3]) + varint(value)
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def frame(message):
    return b'\0' + struct.pack('>I', len(message)) + message


# name -> (method, message, is it a write, share of --requests)
LOADS = {
    'put 256 B': ('Put', field(1, b'bench') + field(2, b'v' * 256), True, 1),
    'get linearizable': ('Range', field(1, b'bench'), False, 1),
    'get serializable': ('Range', field(1, b'bench') + field(7, 1), False, 1),
    'list 1000': ('Range', field(1, b'list') + field(2, b'lisu'), False, 0.02),
}
SHAPES = [(1, 1), (20, 20)]


def cpu_s(pid):
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(') ', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mib(pid):
    text = pathlib.Path(f'/proc/{pid}/status').read_text()
    return int(re.search(r'VmHWM:\s+(\d+)', text).group(1)) / 1024


def revision(server):
    return server.json('get', 'bench', '--limit=1')['header']['revision']


def fill(server):
    for start in range(0, LIST_KEYS, 100):
        ops = '\n'.join(f'put list{k:05d} {"v" * 256}' for k in range(start, start + 100))
        server.ctl('txn', input=f'\n{ops}\n\n\n')
    server.ctl('put', 'bench', 'v' * 256)


def measure(t, server, name, clients, streams, requests):
    """(rate, latencies in us, CPU us an operation) of one run."""
    method, message, is_write, share = LOADS[name]
    n = max(int(requests * share), clients) if clients > 1 else max(int(requests * share) // 10, 100)
    body, log = t.dir / 'body.bin', t.dir / 'h2load.log'
    body.write_bytes(frame(message))
    log.unlink(missing_ok=True)
    before, used = revision(server), cpu_s(server.process.pid)
    text = subprocess.run(
        ['h2load', '-n', str(n), '-c', str(clients), '-m', str(streams), '-t', '1', '-d', str(body),
         '--log-file', str(log), '-H', 'content-type: application/grpc', '-H', 'te: trailers',
         f'{server.url}/etcdserverpb.KV/{method}'],
        capture_output=True, text=True, timeout=HANG_S, check=True).stdout
    used = cpu_s(server.process.pid) - used
    if f'{n} succeeded' not in text:
        raise SystemExit(f'{name}: not every request succeeded:\n{text}')
    if is_write and revision(server) - before != n:
        raise SystemExit(f'{name}: {n} puts, but the revision moved by {revision(server) - before}')
    rate = float(re.search(r'finished in .*?, ([\d.]+) req/s', text).group(1))
    times = sorted(int(line.split('\t')[2]) for line in log.read_text().splitlines())
    return rate, times, used * 1e6 / n


def percentile(times, p):
    return times[min(int(len(times) * p), len(times) - 1)]


def row(name, shape, runs):
    rates = {who: statistics.median(r[0] for r in rs) for who, rs in runs.items()}
    print(f'{name}, {shape[0]} x {shape[1]}: {rates["cairn"] / rates["etcd"]:.2f} times etcd')
    for who, rs in runs.items():
        times = sorted(t for r in rs for t in r[1])
        cpu = statistics.median(r[2] for r in rs)
        print(f'  {who:6} {rates[who]:9.0f}/s  mean {statistics.mean(times):8.0f} us'
              f'  p50 {percentile(times, .5):7}  p99 {percentile(times, .99):7}'
              f'  p99.9 {percentile(times, .999):7}  CPU {cpu:7.1f} us/op')
    sys.stdout.flush()


def reference_etcd(t):
    try:
        return reference.programs(t.build, '3.7')['etcd']
    except reference.Missing as e:
        print(f'etcd 3.7 is not there ({e}); Debian\'s instead', file=sys.stderr)
        return t.bin('debian-etcd')


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--build', default='build')
    ap.add_argument('--pairs', type=int, default=3)
    ap.add_argument('--requests', type=int, default=40000)
    ap.add_argument('--load', default=','.join(LOADS))
    args = ap.parse_args()
    if shutil.which('h2load') is None:
        raise SystemExit('h2load is not installed: apt-get install nghttp2-client')
    t = Test((HERE.parent.parent / args.build).resolve(), 'bench')
    try:
        etcd = reference_etcd(t)
        print(t.run([str(etcd), '--version'])[0].splitlines()[0], etcd)
        servers = {'etcd': t.server(binary=etcd, name='etcd').start(), 'cairn': t.server(name='cairn').start()}
        for server in servers.values():
            fill(server)
        for name in args.load.split(','):
            for shape in SHAPES:
                runs = {'etcd': [], 'cairn': []}
                for _ in range(args.pairs):
                    for who, server in servers.items():
                        runs[who].append(measure(t, server, name, *shape, args.requests))
                row(name, shape, runs)
        for who, server in servers.items():
            print(f'peak memory {who}: {peak_mib(server.process.pid):.0f} MiB')
    finally:
        t.close(False)


main()
