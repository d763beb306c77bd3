#!/usr/bin/env python3
"""Load against a server built with the thread sanitizer, with --net-threads 0, 1 and 4: every kind of
request, large answers, TLS, streams that are reset, connections that come and go, jobs of all lanes, an
orderly stop in the middle of it, a second start.  A report of the sanitizer ends the server with status 66.

usage: test/tsan/load.py [--build build-tsan] [--threads 0,1,4] [--seconds 20]     (seconds a setting)
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
import h2client  # noqa: E402
from cairn_test import HANG_S, ROOT, Test, free_port  # noqa: E402
from h2client import field  # noqa: E402

RC_REPORT = 66
KV, MAINTENANCE = '/etcdserverpb.KV/', '/etcdserverpb.Maintenance/'
BIG = field(1, b'big/') + field(2, b'big0')


def put(key, value):
    return field(1, key) + field(2, value)


class Load:
    """Workers that go on until stop is set; what the server refuses or cuts is no failure here."""

    def __init__(self, server, seed):
        self.server, self.seed = server, seed
        self.stop = threading.Event()
        self.counts, self.lock = {}, threading.Lock()
        self.threads = []

    def begin(self):
        workers = [self.requests, self.requests, self.large, self.cancels, self.cancels, self.pages,
                   self.connections, self.jobs, self.idle_streams]
        if shutil.which('h2load'):
            workers.append(self.h2load)
        for i, fn in enumerate(workers):
            t = threading.Thread(target=self.run, args=(fn, random.Random(f'{self.seed}.{i}')), daemon=True)
            self.threads.append(t)
            t.start()

    def run(self, fn, rng):
        while not self.stop.is_set():
            try:
                fn(rng)
                with self.lock:
                    self.counts[fn.__name__] = self.counts.get(fn.__name__, 0) + 1
            except (OSError, EOFError):
                if self.server.process.poll() is not None:
                    return
            except subprocess.TimeoutExpired:
                pass

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join(HANG_S * 2)

    def client(self, rng):
        tls = rng.random() < 0.3
        return h2client.Client(self.server.tls_port if tls else self.server.client_port, timeout=HANG_S, tls=tls)

    def requests(self, rng):
        c = self.client(rng)
        for _ in range(40):
            key = b'k%d' % rng.randrange(50)
            write = rng.random() < 0.5
            success = field(2, field(2, put(key, b'txn'))) if write else field(2, field(1, field(1, key)))
            streams = [c.call(KV + 'Put', put(key, rng.randbytes(rng.randrange(2000)))),
                       c.call(KV + 'Range', field(1, key)),
                       c.call(KV + 'Range', field(1, key) + field(7, 1)),
                       c.call(KV + 'Txn', success),
                       c.call(KV + 'DeleteRange', field(1, b'k%d' % rng.randrange(1000))),
                       c.call('/etcdserverpb.Cluster/MemberList', b''),
                       c.call(MAINTENANCE + 'Status', b''),
                       c.call('/grpc.health.v1.Health/Check', b'')]
            for s in streams:
                c.drain(s)
        c.close()

    def large(self, rng):
        c = self.client(rng)
        c.drain(c.call(KV + 'Put', put(b'big/%02d' % rng.randrange(30), b'x' * rng.randrange(60000))))
        for name in ('Range', 'RangeStream'):
            c.drain(c.call(KV + name, BIG))
        c.close()

    def cancels(self, rng):
        c = self.client(rng)
        for _ in range(10):
            path, body = rng.choice([(KV + 'Range', BIG), (KV + 'RangeStream', BIG),
                                     (MAINTENANCE + 'Snapshot', b''), (KV + 'Put', put(b'c', b'x' * 5000)),
                                     (KV + 'Txn', None)])
            s = c.call(path, body, end=rng.random() < 0.8)
            if body is not None and rng.random() < 0.5:
                c.sock.settimeout(0.05)
                try:
                    c.read_until(lambda c: c.data_bytes.get(s, 0) > 0 or s in c.ended)
                except TimeoutError:
                    pass
                c.sock.settimeout(HANG_S)
            c.reset(s)
        if rng.random() < 0.5:
            c.call(KV + 'Range', BIG)
        c.close()

    def pages(self, rng):
        self.server.get(rng.choice(['/health', '/metrics', '/version', '/livez', '/readyz?verbose', '/none']),
                        method=rng.choice(['GET', 'GET', 'POST']))

    def connections(self, rng):
        socks = [socket.create_connection(('127.0.0.1', self.server.client_port), timeout=HANG_S)
                 for _ in range(rng.randrange(1, 30))]
        for s in socks:
            s.sendall(rng.choice([b'', b'GET /health HTTP/1.1\r\nHost: h\r\n\r\n', b'GET /met', b'rubbish\n',
                                  h2client.PREFACE, b'GET / HTTP/1.1\r\nHost: h\r\n\r\n' * 3]))
        for s in socks:
            s.close()

    def idle_streams(self, rng):
        c = self.client(rng)
        s = c.call('/grpc.health.v1.Health/Watch', b'')
        c.read_until(lambda c: c.data_bytes.get(s, 0) > 0)
        self.stop.wait(rng.random())
        c.close()

    def jobs(self, rng):
        c = self.client(rng)
        s = c.call(KV + 'Put', put(b'jobs', b'1'))
        c.drain(s)
        for method in rng.sample(['Hash', 'HashKV', 'Defragment', 'Snapshot', 'compact'], 2):
            if method == 'compact':
                out, _, rc = self.server.ctl('get', 'jobs', '-w', 'json', ok=False)
                if rc == 0:
                    rev = json.loads(out)['header']['revision']
                    c.drain(c.call(KV + 'Compact', field(1, max(rev - 20, 1)) + field(2, 1)))
            else:
                c.drain(c.call(MAINTENANCE + method, b''))
        c.close()

    def h2load(self, rng):
        body = self.server.t.dir / 'body.bin'
        body.write_bytes(h2client.message(put(b'load', b'v' * 256)))
        subprocess.run(['h2load', '-n', '1000', '-c', str(rng.randrange(1, 20)), '-m', '20', '-t', '1', '-d',
                        str(body), '-H', 'content-type: application/grpc', '-H', 'te: trailers',
                        self.server.url + KV + 'Put'], capture_output=True, timeout=HANG_S)


def check(server, want):
    text = server.log()
    if server.process.returncode != want or 'ThreadSanitizer' in text:
        raise AssertionError(f'ended with {server.process.returncode}:\n' + text[-12000:])


def one(build, threads, seconds):
    t, loads = Test(build, f'tsan-{threads}'), []
    try:
        s = t.server(args=['--net-threads', str(threads), '--snapshot-count', '2000', '--auto-tls'])
        s.tls_port = free_port()
        s.args += ['--listen-client-urls', f'{s.url},https://127.0.0.1:{s.tls_port}']
        s.start()
        s.ctl('put', 'first', 'kept')
        loads.append(Load(s, threads))
        loads[0].begin()
        time.sleep(seconds * 0.8)
        if s.process.poll() is None:
            s.ctl('snapshot', 'save', str(t.dir / 'backup.db'))
        s.stop()  # in the middle of it
        loads[0].end()
        check(s, -15)
        s.start()
        assert s.ctl('get', 'first')[0] == 'first\nkept\n'
        loads.append(Load(s, threads + 100))
        loads[1].begin()
        time.sleep(seconds * 0.2)
        loads[1].end()
        s.stop()
        check(s, -15)
        rounds = ' + '.join(str(sum(load.counts.values())) for load in loads)
        print(f'ok --net-threads {threads}: {rounds} rounds', flush=True)
        return True
    except Exception as e:
        print(f'FAILED --net-threads {threads}: {e}', flush=True)
        return False
    finally:
        for load in loads:
            load.stop.set()
        t.close(False)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--build', default='build-tsan')
    ap.add_argument('--threads', default='0,1,4')
    ap.add_argument('--seconds', type=float, default=20)
    args = ap.parse_args()
    os.environ['TSAN_OPTIONS'] = f'halt_on_error=1 exitcode={RC_REPORT} second_deadlock_stack=1'
    results = [one((ROOT / args.build).resolve(), int(n), args.seconds) for n in args.threads.split(',')]
    print(f'{sum(results)} passed, {len(results) - sum(results)} failed')
    sys.exit(0 if all(results) else 1)


main()
