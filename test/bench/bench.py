#!/usr/bin/env python3
"""Rates, latencies, CPU and memory of Cairn beside a real etcd, in alternating pairs on one machine.

usage: test/bench/bench.py [--build build] [--quick] [--only TEXT,...] [--pairs N] [--secs S] [--table FILE]

Every row runs its load against etcd, then against Cairn, and so on (--pairs); figures are the medians.
Rows are chosen by pieces of their names (--only 'put,list'; --list prints the names).  The full run takes
about 30 minutes, --quick about 10.  The reference is etcd 3.7 where Go or CAIRN_REFERENCE gives it, otherwise
Debian's etcd; its version is printed.  Loads come from cairn_load (load.c) and, as a second opinion, from
h2load (package nghttp2-client).

Rows with one client measure waits, and another busy process makes each wake-up wait for a tick of the
scheduler.  So servers and generator run at real-time priority in those rows, where that is allowed
(--rt never|single|always).
"""
import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import statistics
import struct
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE.parent / 'interop'))
import bench_watch  # noqa: E402
import reference  # noqa: E402
from cairn_test import Test  # noqa: E402
from cluster import Cluster  # noqa: E402
from h2client import field  # noqa: E402

HANG_S = 600
TICKS = os.sysconf('SC_CLK_TCK')
SMALL_KEYS = 10_000
LARGE_KEYS = 1_000_000
TRIM_PUTS = 25_000  # push the bulk load out of the raft log that both keep in memory
QUOTA = 64 << 30


# ---- rows ----

@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.  rate: least ratio of rates; mean: greatest ratio of latencies; cpu: us."""
    load: str
    connections: int
    streams: int
    value: int = 256
    store: str = 'small'
    generator: str = 'load'
    is_quick: bool = False
    under: str = ''
    rate: float = 0
    mean: float = 0
    cpu: float = 0
    hwm: float = 0

    @property
    def name(self):
        return (f'{self.load} {self.value} B {self.connections} x {self.streams} {self.store} store'
                + (f' under {self.under}' if self.under else '')
                + (f' ({self.generator})' if self.generator != 'load' else ''))


WRITES = ('put', 'txn', 'delete', 'mixed')


def rows_of(store):
    q = {'store': store}
    targets = {
        ('put', (20, 20)): {'rate': 5, 'cpu': 6}, ('put', (1, 1)): {'mean': 0.65},
        ('get', (20, 20)): {'rate': 5, 'cpu': 4}, ('get', (1, 1)): {'mean': 0.6},
        ('put', (100, 10)): {'hwm': 30},
    }
    for load in ('put', 'get', 'get-serializable', 'txn', 'delete', 'mixed'):
        for shape in ((1, 1), (20, 20), (100, 10)):
            want = targets.get((load, shape), {}) if store == 'small' else {}
            yield Row(load, *shape, is_quick=bool(want), **want, **q)
        if load in ('put', 'get'):
            yield Row(load, 20, 20, value=1024, **q)
    small = store == 'small'
    yield Row('list', 1, 1, value=1024, **q)
    yield Row('list', 4, 1, value=1024, is_quick=small, **({'rate': 4} if small else {}), **q)
    for load in ('put', 'get'):
        for shape in ((1, 1), (20, 20)):
            if small:
                yield Row(load, *shape, generator='h2load', **q)
    yield Row('put', 20, 20, under='compaction and snapshot save', **q)


def rows_of_groups():
    """Three members on this machine, one member over TLS, both; CPU over all members."""
    for store, put, get in (('three members', {'rate': 6, 'cpu': 14}, {}), ('TLS', {'rate': 12}, {'rate': 12}),
                            ('three members, TLS', {}, {})):
        for load, want in (('put', put), ('get', get)):
            yield Row(load, 1, 1, store=store)
            yield Row(load, 20, 20, store=store, is_quick=bool(want), **want)


GROUPS = {'three members': (3, False), 'TLS': (1, True), 'three members, TLS': (3, True)}
ROWS = [*rows_of('small'), *rows_of('1M'), *rows_of_groups()]


# ---- one process, or those of a cluster, from outside ----

def members_of(server):
    """Of a cluster; a single server is its own."""
    return getattr(server, 'members', [server])


def pids_of(server):
    return [m.process.pid for m in members_of(server)]


def cpu_of(server):
    return sum(cpu_s(pid) for pid in pids_of(server))


def cpu_s(pid):
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(') ', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def status_mib(pid, field):
    text = pathlib.Path(f'/proc/{pid}/status').read_text()
    return int(re.search(rf'{field}:\s+(\d+)', text).group(1)) / 1024


def peak_reset(pid):
    with contextlib.suppress(OSError):
        pathlib.Path(f'/proc/{pid}/clear_refs').write_text('5')


def set_priority(pid, is_rt):
    """True when every thread has the policy that was asked for."""
    policy, prio = (os.SCHED_RR, 1) if is_rt else (os.SCHED_OTHER, 0)
    try:
        for task in os.listdir(f'/proc/{pid}/task'):
            os.sched_setscheduler(int(task), policy, os.sched_param(prio))
    except PermissionError:
        return False
    except ProcessLookupError:
        pass
    return True


# ---- generators ----

def revision(server):
    return server.json('get', 'bench', '--limit=1')['header']['revision']


def endpoints_of(server):
    return ','.join(m.endpoint for m in members_of(server))


def tls_flags(server):
    return server.flags()[:-2] if getattr(server, 'certs', None) else []


class Bench:
    def __init__(self, t, args):
        self.t, self.args = t, args
        self.program = t.build / 'test' / 'bench' / 'cairn_load'
        self.run_number = 0
        self.is_rt = False
        self.servers = {}
        self.results = []
        self.lines = []  # of the table of watches and leases

    def prefix(self, row):
        return 'key/' if row.value == 256 else 'k1/'

    def keys(self, row):
        return LARGE_KEYS if row.store == '1M' and row.value == 256 else SMALL_KEYS

    def generate(self, server, op, *extra):
        cmd = [str(self.program), '--endpoints', endpoints_of(server), *tls_flags(server), '--op', op,
               '--seed', str(self.run_number), *map(str, extra)]
        before = self.before_exec if self.is_rt else None
        r = subprocess.run(cmd, capture_output=True, text=True, timeout=HANG_S, preexec_fn=before)
        if r.returncode != 0:
            raise SystemExit(f'{cmd}: {r.stdout}{r.stderr}')
        return json.loads(r.stdout)

    @staticmethod
    def before_exec():
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))

    def run_load(self, row, server):
        shape = ['--connections', row.connections, '--streams', row.streams, '--value', row.value]
        how = ['--secs', self.args.secs, '--keys', self.keys(row), '--prefix', self.prefix(row)]
        if row.load == 'txn':
            how = ['--secs', self.args.secs, '--prefix', f'txn{self.run_number}/']
        if row.load == 'delete':
            count = int(self.args.secs * (60_000 if row.connections > 1 else 3_000))
            where = ['--prefix', f'del{self.run_number}/', '--keys', count]
            self.generate(server, 'fill', *where, '--count', count // 50 + 1, '--streams', 3)
            how = [*where, '--count', count]
        return lambda: self.generate(server, row.load, *shape, *how)

    def run_h2load(self, row, server):
        """One key and a fixed number of requests: h2load knows no more."""
        method, message = ('Put', field(1, b'bench') + field(2, b'v' * row.value)) \
            if row.load == 'put' else ('Range', field(1, b'bench'))
        body, log = self.t.dir / 'body.bin', self.t.dir / 'h2load.log'
        body.write_bytes(b'\0' + struct.pack('>I', len(message)) + message)
        n = int(self.args.secs * (40_000 if row.connections > 1 else 2_000))

        def run():
            log.unlink(missing_ok=True)
            text = subprocess.run(
                ['h2load', '-n', str(n), '-c', str(row.connections), '-m', str(row.streams), '-t', '1',
                 '-d', str(body), '--log-file', str(log), '-H', 'content-type: application/grpc',
                 '-H', 'te: trailers', f'{server.url}/etcdserverpb.KV/{method}'],
                capture_output=True, text=True, timeout=HANG_S, check=True,
                preexec_fn=self.before_exec if self.is_rt else None).stdout
            if f'{n} succeeded' not in text:
                raise SystemExit(f'{row.name}: not every request succeeded:\n{text}')
            times = sorted(int(line.split('\t')[2]) for line in log.read_text().splitlines())
            rate = float(re.search(r'finished in .*?, ([\d.]+) req/s', text).group(1))
            return {'ops': n, 'rate': rate, 'mean_us': statistics.mean(times), 'p50_us': times[n // 2],
                    'p99_us': times[n * 99 // 100], 'p999_us': times[n * 999 // 1000], 'load_cpu_us': 0}
        return run

    # ---- rows ----

    def measure(self, row, server):
        self.run_number += 1
        pids = pids_of(server)
        run = (self.run_load if row.generator == 'load' else self.run_h2load)(row, server)
        before = revision(server)
        for pid in pids:
            peak_reset(pid)
        used = cpu_of(server)
        with self.disturbed(row, server):
            r = run()
        r['cpu_us'] = (cpu_of(server) - used) * 1e6 / r['ops']
        r['hwm_mib'] = max(status_mib(pid, 'VmHWM') for pid in pids)
        if row.load in WRITES:
            if row.load != 'mixed' and revision(server) - before != r['ops']:
                raise SystemExit(f'{row.name}: {r["ops"]} writes, the revision moved otherwise')
            self.compact(server)
        return r

    def compact(self, server):
        server.ctl('--command-timeout', f'{HANG_S}s', 'compact', str(revision(server)))

    @contextlib.contextmanager
    def disturbed(self, row, server):
        """Compacts and saves snapshots without pause while the row runs."""
        if not row.under:
            yield
            return
        stop = threading.Event()

        def work():
            path = self.t.dir / 'snapshot.db'
            while not stop.is_set():
                server.ctl('compact', str(revision(server)), ok=False)
                server.ctl('snapshot', 'save', str(path), ok=False)
                path.unlink(missing_ok=True)
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def row(self, row):
        single = row.connections * row.streams == 1
        self.is_rt = self.args.rt == 'always' or (self.args.rt == 'single' and single)
        allowed = [set_priority(pid, self.is_rt) for s in self.servers.values() for pid in pids_of(s)]
        self.is_rt = self.is_rt and all(allowed)
        runs = {who: [] for who in self.servers}
        for _ in range(self.args.pairs):
            for who, server in self.servers.items():
                if row.hwm:
                    self.restart(server)  # the peak of this load, not of what came before it
                runs[who].append(self.measure(row, server))
        med = {who: {k: statistics.median(r[k] for r in rs) for k in rs[0] if k != 'op'}
               for who, rs in runs.items()}
        self.results.append((row, med))
        e, c = med['etcd'], med['cairn']
        print(f'{row.name}{" [rt]" if self.is_rt else ""}: rate {c["rate"] / e["rate"]:.2f}x, '
              f'mean {c["mean_us"] / e["mean_us"]:.2f}x{verdict(row, e, c)}')
        for who, m in med.items():
            print(f'  {who:6} {m["rate"]:9.0f}/s  mean {m["mean_us"]:8.0f} us  p50 {m["p50_us"]:8.0f}  '
                  f'p99 {m["p99_us"]:8.0f}  p99.9 {m["p999_us"]:8.0f}  CPU {m["cpu_us"]:7.1f} us/op  '
                  f'peak {m["hwm_mib"]:5.0f} MiB  generator {m["load_cpu_us"]:.1f} us/op')
        sys.stdout.flush()

    # ---- stores ----

    def fill(self, server, keys, prefix, value):
        self.run_number += 1
        batch = 50 if value <= 256 else 12
        self.generate(server, 'fill', '--keys', keys, '--prefix', prefix, '--value', value,
                      '--batch', batch, '--count', -(-keys // batch), '--streams', 3)

    def start(self, binaries):
        self.servers = {who: self.t.server(binary=binary, name=who,
                                           args=['--log-level', 'warn', '--quota-backend-bytes', str(QUOTA)])
                        for who, binary in binaries.items()}
        for server in self.servers.values():
            server.start()

    def start_fresh(self, binaries):
        """New ones; what was there before has ended."""
        for server in self.servers.values():
            for m in members_of(server):
                m.stop()
                shutil.rmtree(m.data_dir, ignore_errors=True)
        self.start(binaries)

    def start_group(self, binaries, size, is_tls):
        """Clusters one beside the other; what was there before has ended."""
        for server in self.servers.values():
            for m in members_of(server):
                m.stop()
        self.servers = {}
        for who, binary in binaries.items():
            t = self.t.part(f'{who}-{size}{"-tls" if is_tls else ""}')
            self.servers[who] = Cluster(t, size, is_tls=is_tls, binary=str(binary),
                                        args=['--log-level', 'warn', '--quota-backend-bytes', str(QUOTA)]).start()

    def group_rows(self, binaries, rows):
        for store, (size, is_tls) in GROUPS.items():
            mine = [r for r in rows if r.store == store]
            if not mine:
                continue
            self.start_group(binaries, size, is_tls)
            for server in self.servers.values():
                self.fill(server, SMALL_KEYS, 'key/', 256)
            for row in mine:
                self.row(row)
            if size > 1:
                for who, server in self.servers.items():
                    peaks = ', '.join(f'{status_mib(pid, "VmHWM"):.0f}' for pid in pids_of(server))
                    print(f'  {who}: peak memory of the members, last row: {peaks} MiB')

    def small_store(self):
        for server in self.servers.values():
            self.fill(server, SMALL_KEYS, 'key/', 256)
            self.fill(server, SMALL_KEYS, 'k1/', 1024)
            server.ctl('put', 'bench', 'v')

    def large_store(self):
        """Fills to a million keys and says what they cost in memory, and at a start."""
        memory = {}
        for who, server in self.servers.items():
            self.restart(server)
            empty = self.rss(server)
            begin = time.monotonic()
            self.fill(server, LARGE_KEYS, 'key/', 256)
            secs = time.monotonic() - begin
            self.generate(server, 'put', '--count', TRIM_PUTS, '--keys', SMALL_KEYS)
            time.sleep(2)
            memory[who] = [empty, self.rss(server)]
            print(f'{who}: filled to a million keys in {secs:.1f} s, peak {status_mib(server.process.pid, "VmHWM"):.0f} MiB')
        starts = {who: [] for who in self.servers}
        for _ in range(self.args.pairs):
            for who, server in self.servers.items():
                starts[who].append(self.restart(server))
        for who, server in self.servers.items():
            memory[who].append(self.rss(server))
        for i, what in ((1, 'as filled'), (2, 'after a restart')):
            per = {who: (m[i] - m[0]) * (1 << 20) / LARGE_KEYS for who, m in memory.items()}
            print(f'memory a key, {what}: etcd {per["etcd"]:.0f} B, cairn {per["cairn"]:.0f} B: '
                  f'{per["cairn"] / per["etcd"]:.2f} (at most 0.5)')
        med = {who: statistics.median(s) for who, s in starts.items()}
        print(f'start with a million keys: etcd {med["etcd"]:.3f} s, cairn {med["cairn"]:.3f} s: '
              f'{med["cairn"] / med["etcd"]:.2f}')
        sys.stdout.flush()

    def rss(self, server):
        return status_mib(server.process.pid, 'VmRSS')

    def restart(self, server):
        """Seconds from the start of the program until /health is good."""
        server.stop()
        begin = time.monotonic()
        server.start(wait=False)
        while time.monotonic() - begin < HANG_S:
            with contextlib.suppress(OSError):
                if 'true' in server.get('/health', timeout=2)[1]:
                    return time.monotonic() - begin
            if server.process.poll() is not None:
                break
            time.sleep(0.002)
        raise SystemExit(f'{server.binary} did not start:\n{server.log()[-2000:]}')


# ---- report ----

def verdict(row, e, c):
    checks = []
    if row.rate:
        checks.append((c['rate'] / e['rate'] >= row.rate, f'rate >= {row.rate}x'))
    if row.mean:
        checks.append((c['mean_us'] / e['mean_us'] <= row.mean, f'mean <= {row.mean}x'))
    if row.cpu:
        checks.append((c['cpu_us'] <= row.cpu, f'CPU <= {row.cpu} us'))
    if row.hwm:
        checks.append((c['hwm_mib'] <= row.hwm, f'peak <= {row.hwm} MiB'))
    return ''.join(f'  [{text}: {"met" if ok else "MISSED"}]' for ok, text in checks)


def table(results):
    """The rows as Markdown: etcd / Cairn in each cell."""
    out = ['| load | rate /s | ratio | mean us | p50 us | p99 us | p99.9 us | CPU us/op | peak MiB | target |',
           '|---|---|---|---|---|---|---|---|---|---|']
    for row, med in results:
        e, c = med['etcd'], med['cairn']
        cells = [f'{e[k]:.{d}f} / {c[k]:.{d}f}' for k, d in
                 (('mean_us', 0), ('p50_us', 0), ('p99_us', 0), ('p999_us', 0), ('cpu_us', 1), ('hwm_mib', 0))]
        goal = verdict(row, e, c).replace('[', '').replace(']', '').strip()
        out.append(f'| {row.name} | {e["rate"]:.0f} / {c["rate"]:.0f} | {c["rate"] / e["rate"]:.2f} | '
                   + ' | '.join(cells) + f' | {goal} |')
    return '\n'.join(out) + '\n'


def reference_etcd(t):
    try:
        return reference.programs(t.build, '3.7')['etcd']
    except reference.Missing as e:
        print(f'etcd 3.7 is not there ({e}); Debian\'s instead', file=sys.stderr)
        return t.bin('debian-etcd')


def options():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--build', default='build')
    ap.add_argument('--quick', action='store_true', help='the rows that have a target, shorter')
    ap.add_argument('--only', default='', help='rows whose names hold one of these, comma-separated')
    ap.add_argument('--pairs', type=int, default=3)
    ap.add_argument('--secs', type=float, default=1.5, help='of each run')
    ap.add_argument('--rt', choices=('never', 'single', 'always'), default='single')
    ap.add_argument('--table', help='write the results to this file, as Markdown')
    ap.add_argument('--list', action='store_true', help='print the names of the rows')
    return ap.parse_args()


def chosen(args):
    pieces = [p.strip() for p in args.only.split(',') if p.strip()]
    rows = [r for r in ROWS if not pieces or any(p in r.name for p in pieces)]
    return [r for r in rows if r.is_quick] if args.quick and not pieces else rows


def chosen_watch(args):
    pieces = [p.strip() for p in args.only.split(',') if p.strip()]
    return [n for n in bench_watch.names() if not pieces or any(p in n for p in pieces)]


def main():
    args = options()
    rows, watch_rows = chosen(args), chosen_watch(args)
    if args.list:
        print('\n'.join([r.name for r in rows] + watch_rows))
        return
    if any(r.generator == 'h2load' for r in rows) and shutil.which('h2load') is None:
        raise SystemExit('h2load is not installed: apt-get install nghttp2-client')
    t = Test((HERE.parent.parent / args.build).resolve(), 'bench')
    bench = Bench(t, args)
    try:
        etcd = reference_etcd(t)
        print(t.run([str(etcd), '--version'])[0].splitlines()[0], etcd)
        binaries = {'etcd': etcd, 'cairn': t.bin('cairn')}
        if any(r.store in ('small', '1M') for r in rows):
            bench.start(binaries)
            bench.small_store()
        for row in [r for r in rows if r.store == 'small']:
            bench.row(row)
        large = [r for r in rows if r.store == '1M']
        if large:
            bench.large_store()
        for row in large:
            bench.row(row)
        bench.group_rows(binaries, rows)
        if watch_rows:
            bench.start_fresh(binaries)
            bench_watch.run(bench, sys.modules[__name__], binaries, watch_rows)
        if args.table:
            pathlib.Path(args.table).write_text(table(bench.results) + '\n'.join(['', *bench.lines, '']))
    finally:
        t.close(False)


main()
