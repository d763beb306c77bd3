"""Rows of bench.py about watches and leases: each runs against etcd, then Cairn, and says whether Cairn is better.
The load is cairn_load_watch (load_watch.c), which counts what comes and drops it."""
import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time

from cairn_test import free_port
from cluster import Cluster
from heartbeats import Proxy

HANG_S = 1200
FAN_WATCHES, FAN_STREAMS, FAN_CONNECTIONS = 10_000, 100, 10
OWN_WATCHES = 1_000
BEHIND_REVS = 500_000
IDLE_WATCHES, IDLE_BYTES_MAX = 100_000, 300
LEASES, LEASES_QUICK = 1_000_000, 100_000
EXPIRING, EXPIRING_ID, EXPIRING_TTL_S = 50_000, 1 << 40, 60
TICK_S, GAP_TICKS_MAX = 0.1, 2
EXPIRED = 'etcd_debugging_server_lease_expired_total'


class Figure:
    """One number of both.  better: 1 more is better, -1 less, 0 only told; most: of Cairn's alone; unit in the name."""

    def __init__(self, name, better=0, digits=1, most=None):
        self.name, self.better, self.digits, self.most = name, better, digits, most
        self.values = {}

    def add(self, who, value):
        self.values.setdefault(who, []).append(value)

    def of(self, who):
        return statistics.median(self.values[who])

    def text(self):
        e, c = self.of('etcd'), self.of('cairn')
        out = f'{self.name}: {e:.{self.digits}f} / {c:.{self.digits}f}'
        if self.most is not None:
            out += f' [at most {self.most:g}: {"met" if c <= self.most else "MISSED"}]'
        if self.better:
            is_met = c > e if self.better > 0 else c < e
            out += f' [{c / e if e else 0:.2f}x, better: {"met" if is_met else "MISSED"}]'
        return out


class Watches:
    """bench: servers by name, how to measure a process, how to start them (bench.py)."""

    def __init__(self, bench, tools):
        self.bench, self.tools = bench, tools
        self.program = bench.t.build / 'test' / 'bench' / 'cairn_load_watch'

    def command(self, server, op, *extra):
        return [str(self.program), '--endpoint', server.endpoint, '--op', op, *map(str, extra)]

    def begin(self, server, op, *extra):
        return subprocess.Popen(self.command(server, op, *extra), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                preexec_fn=self.bench.before_exec if self.bench.is_rt else None)

    def end(self, process):
        out = process.communicate('\n', timeout=HANG_S)[0]
        if process.returncode != 0:
            raise SystemExit(f'{process.args} ended with {process.returncode}')
        return json.loads(out)

    def load(self, server, op, *extra):
        return self.end(self.begin(server, op, *extra))

    def priority(self):
        servers = self.bench.servers.values()
        pids = [pid for s in servers for pid in self.tools.pids_of(s)]
        self.bench.is_rt = self.bench.args.rt != 'never'
        self.bench.is_rt = all([self.tools.set_priority(pid, self.bench.is_rt) for pid in pids]) and self.bench.is_rt

    def pairs(self, fn):
        """fn(who, server), in alternation."""
        self.priority()
        for _ in range(self.bench.args.pairs):
            for who, server in self.bench.servers.items():
                fn(who, server)

    def report(self, name, figures):
        title = f'{name}{" [rt]" if self.bench.is_rt else ""}'
        print(f'{title} (etcd / Cairn)')
        for f in figures:
            print(f'  {f.text()}')
        self.bench.lines.append(f'| {title} | ' + '<br>'.join(f.text() for f in figures) + ' |')
        sys.stdout.flush()

    def restart_all(self):
        for server in self.bench.servers.values():
            self.bench.restart(server)

    # ---- watches ----

    def fan(self, name):
        rate, cpu = Figure('events /s', 1, 0), Figure('server CPU us an event', -1, 2)
        puts, p99 = Figure('puts /s', 1, 0), Figure('put p99 us', 0, 0)

        def run(who, server):
            used = self.tools.cpu_of(server)
            r = self.load(server, 'watch', '--watches', FAN_WATCHES, '--streams', FAN_STREAMS, '--connections', FAN_CONNECTIONS,
                          '--puts', 4, '--secs', self.bench.args.secs, '--prefix', 'fan/')
            cpu.add(who, (self.tools.cpu_of(server) - used) * 1e6 / r['events'])
            for figure, key in ((rate, 'event_rate'), (puts, 'rate'), (p99, 'p99_us')):
                figure.add(who, r[key])
        self.pairs(run)
        self.report(name, [rate, cpu, puts, p99])

    def own(self, name):
        rate, cpu, p99 = Figure('puts, each with its event, /s', 1, 0), Figure('server CPU us a put', -1, 1), Figure('put p99 us', -1, 0)

        def run(who, server):
            used = self.tools.cpu_of(server)
            r = self.load(server, 'watch', '--own', '--watches', OWN_WATCHES, '--keys', OWN_WATCHES, '--streams', FAN_STREAMS,
                          '--connections', FAN_CONNECTIONS, '--puts', 200, '--secs', self.bench.args.secs, '--prefix', 'own/')
            cpu.add(who, (self.tools.cpu_of(server) - used) * 1e6 / r['answers'])
            rate.add(who, r['event_rate'])
            p99.add(who, r['p99_us'])
        self.pairs(run)
        self.report(name, [rate, cpu, p99])

    def behind(self, name):
        first = {}
        for who, server in self.bench.servers.items():
            first[who] = self.tools.revision(server) + 1
            self.bench.generate(server, 'put', '--count', BEHIND_REVS, '--keys', 1000, '--prefix', 'behind/')
        alone, beside = Figure('put p99 us without', -1, 0), Figure('put p99 us with', -1, 0)
        ratio, rate, puts = Figure('with to without', 0, 2, most=1.2), Figure('events /s', 1, 0), Figure('puts /s with', 1, 0)

        def run(who, server):
            shape = ('--puts', 4, '--secs', self.bench.args.secs, '--prefix', 'beside/')
            a = self.load(server, 'puts', *shape)
            reader = self.begin(server, 'behind', '--secs', self.bench.args.secs + 0.5, '--prefix', 'behind/', '--rev', first[who],
                                '--count', BEHIND_REVS)
            time.sleep(0.2)
            b = self.load(server, 'puts', *shape)
            e = self.end(reader)
            alone.add(who, a['p99_us'])
            beside.add(who, b['p99_us'])
            ratio.add(who, b['p99_us'] / a['p99_us'])
            rate.add(who, e['event_rate'])
            puts.add(who, b['rate'])
        self.pairs(run)
        self.report(name, [alone, beside, ratio, rate, puts])

    def idle(self, name):
        same, own = (Figure(f'bytes a watch {what}', -1, 0, most=IDLE_BYTES_MAX) for what in ('of one prefix', 'of a key of its own'))
        for figure, flags in ((same, []), (own, ['--own'])):
            for who, server in self.bench.servers.items():
                self.bench.restart(server)
                time.sleep(1)
                before = self.bench.rss(server)
                p = self.begin(server, 'idle', '--watches', IDLE_WATCHES, '--streams', 100, '--connections', 10, *flags)
                p.stdout.readline()
                time.sleep(1)
                figure.add(who, (self.bench.rss(server) - before) * (1 << 20) / IDLE_WATCHES)
                p.communicate('\n')
        self.report(name, [same, own])

    # ---- leases ----

    def leases(self, name):
        count = LEASES_QUICK if self.bench.args.quick else LEASES
        grants, bytes_each = Figure('grants /s', 1, 0), Figure('bytes a lease', -1, 0)
        renewals = [(n, Figure(f'keepalives /s, {n} streams', 1, 0), Figure(f'server CPU us each, {n} streams', -1, 1))
                    for n in (10, 100)]
        self.restart_all()
        self.priority()
        for who, server in self.bench.servers.items():
            before = self.bench.rss(server)
            r = self.load(server, 'grant', '--watches', count, '--puts', 200, '--ttl', 1_000_000)
            grants.add(who, r['rate'])
            bytes_each.add(who, (self.bench.rss(server) - before) * (1 << 20) / count)

        def run(who, server):
            for n, rate, cpu in renewals:
                used = self.tools.cpu_of(server)
                r = self.load(server, 'keepalive', '--watches', count, '--streams', n, '--connections', 10, '--secs',
                              self.bench.args.secs)
                cpu.add(who, (self.tools.cpu_of(server) - used) * 1e6 / r['answers'])
                rate.add(who, r['rate'])
        self.pairs(run)
        self.report(f'{name}: {count}', [grants, bytes_each, *(f for _, rate, cpu in renewals for f in (rate, cpu))])

    def expiry(self, name, binaries):
        """Three members, each behind a proxy that notes heartbeats."""
        count = LEASES_QUICK if self.bench.args.quick else LEASES
        secs, gap, rate = Figure('s until all were gone', -1), Figure('longest heartbeat gap, ms', 0, 0, most=GAP_TICKS_MAX * TICK_S * 1000), \
            Figure('keepalives /s meanwhile', 1, 0)
        for who, binary in binaries.items():
            # The proxies must run when the members do.
            self.tools.set_priority(os.getpid(), self.bench.args.rt != 'never')
            c = ProxiedCluster(self.bench.t.part(f'{who}-expiry'), binary=str(binary), args=['--log-level', 'warn']).start()
            self.bench.servers = {who: c}
            self.priority()
            leader = c.leader()
            self.load(leader, 'grant', '--watches', count, '--puts', 200, '--ttl', 1_000_000)
            begin = time.monotonic()
            self.load(leader, 'grant', '--watches', EXPIRING, '--first', EXPIRING_ID, '--puts', 200, '--ttl', EXPIRING_TTL_S)
            due = begin + EXPIRING_TTL_S - 1
            time.sleep(max(0, due - time.monotonic()))
            stop, told = threading.Event(), []
            renewing = threading.Thread(target=self.renew, args=(leader, count, stop, told))
            renewing.start()
            while metric(leader, EXPIRED) < EXPIRING:
                if time.monotonic() > due + HANG_S:
                    raise SystemExit(f'{who}: leases do not expire')
                time.sleep(0.1)
            secs.add(who, time.monotonic() - due - 1)
            gap.add(who, leader.proxy.longest(due) * 1000)
            stop.set()
            renewing.join()
            rate.add(who, statistics.median(told))
            for m in c.members:
                m.stop()
        self.bench.servers = {}
        self.report(f'{name} beside {count}', [secs, gap, rate])

    def renew(self, server, count, stop, told):
        while not stop.is_set():
            told.append(self.load(server, 'keepalive', '--watches', count, '--streams', 10, '--connections', 10, '--secs', 1)['rate'])


def metric(server, name):
    with contextlib.suppress(OSError):
        for line in server.get('/metrics', timeout=60)[1].splitlines():
            if line.startswith(name + ' '):
                return float(line.split()[1])
    return 0


class ProxiedCluster(Cluster):
    """What is advertised as a member's peer URL is its proxy."""

    def __init__(self, *a, **kw):
        super().__init__(*a, **kw)
        for m in self.members:
            real = free_port()
            m.proxy = Proxy(m.peer_port, real)
            m.args = m.args + ['--listen-peer-urls', f'http://127.0.0.1:{real}']
            m.command = lambda m=m: without_listen(type(m).command(m), m)


def without_listen(command, m):
    """The first --listen-peer-urls is what would be advertised."""
    at = command.index('--listen-peer-urls')
    return command[:at] + command[at + 2:]


ROWS = [
    ('watch: 10,000 on one prefix over 100 streams', Watches.fan),
    ('watch: 1,000 keys of their own', Watches.own),
    ('watch: 500,000 revisions behind', Watches.behind),
    ('watch: 100,000 idle', Watches.idle),
    ('lease: live and renewed', Watches.leases),
]
EXPIRY_ROW = 'lease: 50,000 expire at once, three members'


def names():
    return [name for name, _ in ROWS] + [EXPIRY_ROW]


def run(bench, tools, binaries, chosen):
    """The rows whose names were chosen; servers of bench are started where they are needed."""
    w = Watches(bench, tools)
    for name, fn in ROWS:
        if name in chosen:
            fn(w, name)
    if EXPIRY_ROW in chosen:
        for server in bench.servers.values():
            for m in tools.members_of(server):
                m.stop()
        w.expiry(EXPIRY_ROW, binaries)
