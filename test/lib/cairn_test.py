"""Fixture of the end-to-end tests: servers on free ports, tools, counting.  Standard library only.

A test file defines functions test_*(t) and ends with main(globals()).  Every process that a test starts
is ended by its pid; nothing else is touched.  Bounds in here are hang limits, never measurements.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HANG_S = 60


class Skip(Exception):
    """This test cannot run here; the text says why."""


PORTS = range(15000, 32000)  # below those that the kernel gives to connections
_kept = []  # what says to other test programs that a port is taken, until this one ends


def free_port():
    """A port that nobody listens on, and that no test program, this one neither, is given again while this one runs:
    scripts run side by side, and members are stopped and started on their ports."""
    for port in random.sample(PORTS, len(PORTS)):
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f'\0cairn-test-port-{port}')
            with socket.socket() as s:
                s.bind(('127.0.0.1', port))
        except OSError:
            mark.close()
            continue
        _kept.append(mark)
        return port
    raise AssertionError('no free port')


class Server:
    """One member; binary may be cairn or a reference etcd."""

    def __init__(self, t, data_dir=None, args=(), binary=None, name='default'):
        self.t = t
        self.binary = str(binary or t.bin('cairn'))
        self.name = name
        self.data_dir = pathlib.Path(data_dir or t.dir / f'{name}.etcd')
        self.client_port, self.peer_port = free_port(), free_port()
        self.args = list(args)
        self.env = {}  # added to ours
        self.process = None
        self.log_path = t.dir / f'{name}-{self.client_port}.log'

    @property
    def url(self):
        return f'http://127.0.0.1:{self.client_port}'

    @property
    def endpoint(self):
        return f'127.0.0.1:{self.client_port}'

    def command(self):
        peer = f'http://127.0.0.1:{self.peer_port}'
        return [self.binary, '--name', self.name, '--data-dir', str(self.data_dir),
                '--listen-client-urls', self.url, '--advertise-client-urls', self.url,
                '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer,
                '--initial-cluster', f'{self.name}={peer}', *self.net_threads(), *self.args]

    def net_threads(self):
        """--net-threads of the run, for our own server."""
        return ['--net-threads', str(self.t.net_threads)] if self.t.net_threads and \
            pathlib.Path(self.binary).name == 'cairn' else []

    def start(self, wait=True):
        log = open(self.log_path, 'ab')
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.t.dir,
                                        env={**os.environ, **self.env})
        log.close()
        self.t.processes.append(self.process)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        end = time.monotonic() + HANG_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f'{self.binary} ended with {self.process.returncode}:\n'
                                     + self.log()[-3000:])
            try:
                if 'true' in self.get('/health', timeout=2)[1]:
                    return self
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError('not ready:\n' + self.log()[-3000:])

    def wait_listening(self):
        """Ready, also with an alarm active (then /health says 503)."""
        end = time.monotonic() + HANG_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if self.get('/version', timeout=2)[0] == 200:
                    return self
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError('not ready:\n' + self.log()[-3000:])

    def log(self):
        return self.log_path.read_text(errors='replace')

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(HANG_S)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(HANG_S)
        return self.process.returncode

    def get(self, path, timeout=HANG_S, method='GET'):
        """(status, body) of a page."""
        try:
            req = urllib.request.Request(self.url + path, method=method)
            with urllib.request.urlopen(req, timeout=timeout) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def ctl(self, *args, ctl='cairnctl', ok=True, input=None):
        """(stdout, stderr, rc) of a tool against this server."""
        r = self.t.run([str(self.t.bin(ctl)), '--endpoints', self.endpoint, *args], ok=ok, input=input)
        return r

    def json(self, *args, ctl='cairnctl'):
        return json.loads(self.ctl(*args, '-w', 'json', ctl=ctl)[0])


class Test:
    def __init__(self, build, name, net_threads=0):
        self.build = build
        self.net_threads = net_threads
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f'cairn-{name}-'))
        self.processes = []

    def bin(self, name):
        """A program of ours, of Debian's (name 'debian-etcdctl'), or an absolute path."""
        if os.path.isabs(str(name)):
            return pathlib.Path(name)
        if str(name).startswith('debian-'):
            path = shutil.which(str(name)[len('debian-'):], path='/usr/bin:/usr/local/bin')
            if path is None:
                raise Skip(f'{name[len("debian-"):]} is not installed')
            return pathlib.Path(path)
        return self.build / 'bin' / name

    def run(self, cmd, ok=True, input=None, env=None):
        e = {k: v for k, v in os.environ.items() if not k.startswith(('ETCD_', 'ETCDCTL_'))}
        e['ETCDCTL_API'] = '3'
        e.update(env or {})
        r = subprocess.run(cmd, input=input, capture_output=True, text=True, errors='surrogateescape',
                           timeout=HANG_S * 5, env=e, cwd=self.dir)
        if ok and r.returncode != 0:
            raise AssertionError(f'{cmd}: rc {r.returncode}\n{r.stdout}\n{r.stderr}')
        return r.stdout, r.stderr, r.returncode

    def server(self, *a, **kw):
        return Server(self, *a, **kw)

    def part(self, name):
        """The same test with a folder of its own below this one's."""
        other = object.__new__(Test)
        other.build, other.dir, other.processes = self.build, self.dir / name, self.processes
        other.net_threads = self.net_threads
        other.dir.mkdir()
        return other

    def close(self, keep):
        for p in self.processes:
            if p.poll() is None:
                p.kill()
                p.wait(HANG_S)
        if not keep and not self.mounts():
            shutil.rmtree(self.dir, ignore_errors=True)

    def mounts(self):
        """What is still mounted below the folder: removing it would remove what is mounted."""
        with open('/proc/self/mounts') as f:
            return [line.split()[1] for line in f if line.split()[1].startswith(f'{self.dir}/')]


def main(scope):
    ap = argparse.ArgumentParser()
    ap.add_argument('--build', default='build')
    ap.add_argument('--only', default='')
    ap.add_argument('--net-threads', type=int, default=0, help='of every server of ours')
    ap.add_argument('--keep', action='store_true', help='keep the files of failed tests')
    args = ap.parse_args()
    build = (ROOT / args.build).resolve()
    counts = {'passed': 0, 'failed': 0, 'skipped': 0}
    for name, fn in list(scope.items()):
        if not name.startswith('test_') or args.only not in name:
            continue
        t, result = Test(build, name, args.net_threads), 'passed'
        try:
            fn(t)
        except Skip as e:
            result = 'skipped'
            print(f'skipped {name}: {e}', flush=True)
        except Exception:
            result = 'failed'
            print(f'FAILED {name} ({t.dir})', flush=True)
            traceback.print_exc(file=sys.stdout)
        finally:
            t.close(args.keep and result == 'failed')
        counts[result] += 1
        if result == 'passed':
            print(f'ok {name}', flush=True)
    print(f'{counts["passed"]} passed, {counts["failed"]} failed, {counts["skipped"]} skipped')
    sys.exit(1 if counts['failed'] or not counts['passed'] + counts['skipped'] else 0)
