"""Clusters of processes for tests: members of ours or of a reference, plain or over TLS with client
certificates; tools that know all endpoints."""
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import time

from cairn_test import HANG_S, ROOT, Server, Skip, free_port


class Member(Server):
    def __init__(self, cluster, name, binary=None, data_dir=None, args=()):
        super().__init__(cluster.t, data_dir=data_dir, args=args, binary=binary, name=name)
        self.cluster = cluster
        self.user = None
        self.initial = None  # initial-cluster-state and list of its own: a joiner
        self.client_host = self.peer_host = '127.0.0.1'
        self.prefix = []  # ip netns exec ...

    @property
    def scheme(self):
        return 'https' if self.cluster.certs else 'http'

    @property
    def url(self):
        return f'{self.scheme}://{self.client_host}:{self.client_port}'

    @property
    def peer_url(self):
        return f'{self.scheme}://{self.peer_host}:{self.peer_port}'

    def command(self):
        c = self.cluster
        state, members = self.initial or ('new', c.initial_cluster())
        cmd = [*self.prefix, self.binary, '--name', self.name, '--data-dir', str(self.data_dir),
               '--listen-client-urls', self.url, '--advertise-client-urls', self.url,
               '--listen-peer-urls', self.peer_url, '--initial-advertise-peer-urls', self.peer_url,
               '--initial-cluster', members, '--initial-cluster-token', c.token,
               '--initial-cluster-state', state]
        if c.certs:
            s = str(c.certs)
            cmd += ['--cert-file', s + '/server.crt', '--key-file', s + '/server.key', '--client-cert-auth',
                    '--trusted-ca-file', s + '/ca.crt', '--peer-cert-file', s + '/server.crt',
                    '--peer-key-file', s + '/server.key', '--peer-client-cert-auth',
                    '--peer-trusted-ca-file', s + '/ca.crt']
        return cmd + [*c.args, *self.args]

    def start(self, wait=False):
        """Does not wait by itself: a cluster is ready when a quorum is (Cluster.wait)."""
        kw = {}
        if self.user is not None:
            kw = {'user': self.user, 'group': pwd.getpwnam(self.user).pw_gid, 'extra_groups': []}
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.t.dir,
                                            env={**os.environ, **self.env}, **kw)
        self.t.processes.append(self.process)
        return self

    def is_running(self):
        return self.process is not None and self.process.poll() is None


class Cluster:
    def __init__(self, t, size=3, is_tls=False, binary=None, args=(), token='tkn', names=''):
        self.t = t
        self.token = token
        self.args = list(args)
        self.certs = None
        if is_tls:
            if shutil.which('openssl') is None:
                raise Skip('openssl is not installed')
            self.certs = t.dir / 'certs'
            subprocess.run([str(ROOT / 'tools' / 'certs.sh'), str(self.certs), names], check=True)
        binaries = binary if isinstance(binary, list) else [binary] * size
        self.members = [Member(self, f'm{i + 1}', binary=binaries[i]) for i in range(size)]

    def initial_cluster(self):
        return ','.join(f'{m.name}={m.peer_url}' for m in self.members)

    def start(self):
        for m in self.members:
            m.start()
        return self.wait()

    def wait(self, members=None):
        """All these members answer a linearizable read."""
        end = time.monotonic() + HANG_S
        members = members or self.members
        r = None
        while time.monotonic() < end:
            for m in members:
                assert m.is_running(), f'{m.name} ended with {m.process.poll()}:\n' + m.log()[-3000:]
            r = self.ctl('endpoint', 'health', members=members, ok=False)
            if r[2] == 0:
                return self
            time.sleep(0.1)
        raise AssertionError(f'not healthy: {r}\n' + '\n'.join(m.log()[-1500:] for m in members))

    def flags(self, members=None):
        f = []
        if self.certs:
            s = str(self.certs)
            f = ['--cacert', s + '/ca.crt', '--cert', s + '/client.crt', '--key', s + '/client.key']
        return f + ['--endpoints', ','.join(m.url for m in members or self.members)]

    def ctl(self, *args, ctl='cairnctl', members=None, ok=True, input=None):
        return self.t.run([str(self.t.bin(ctl)), *self.flags(members), *args], ok=ok, input=input)

    def json(self, *args, ctl='cairnctl', members=None):
        return json.loads(self.ctl(*args, '-w', 'json', ctl=ctl, members=members)[0])

    def status(self, members=None):
        """Of each member that answers, by URL."""
        out = {}
        for m in members or self.members:
            r = self.ctl('endpoint', 'status', '-w', 'json', members=[m], ok=False)
            if r[2] == 0:
                out[m.url] = json.loads(r[0])[0]['Status']
        return out

    def leader(self):
        for _ in range(200):
            for m in self.members:
                if not m.is_running():
                    continue
                s = self.status([m]).get(m.url)
                if s and s.get('leader') and s['leader'] == s['header']['member_id']:
                    return m
            time.sleep(0.1)
        raise AssertionError('no leader')

    def hashes(self, members=None, ctl='cairnctl', rev=0):
        """HashKV of each member at one revision that all have reached."""
        members = members or self.members
        if rev == 0:
            rev = self.json('get', 'x', members=members)['header']['revision']
        out = []
        for m in members:
            for _ in range(300):
                r = self.ctl('endpoint', 'hashkv', f'--rev={rev}', '-w', 'json', ctl=ctl, members=[m], ok=False)
                if r[2] == 0:
                    break
                time.sleep(0.1)
            assert r[2] == 0, r
            out.append(json.loads(r[0])[0]['HashKV']['hash'])
        return out

    def assert_equal(self, members=None):
        h = self.hashes(members)
        assert len(set(h)) == 1, h
        return h[0]


def service_user(name='nobody'):
    """Somebody who is not root, to run members as; None when we cannot change to him."""
    return name if os.getuid() == 0 else None


def chown(path, user):
    subprocess.run(['chown', '-R', f'{user}:', str(pathlib.Path(path))], check=True)
