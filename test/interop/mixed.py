# SPDX-License-Identifier: Apache-2.0
"""Clusters of etcd and Cairn members, at the level of the etcd: making them, turning members from one into
the other, load that keeps count, and what must be equal at the end."""
import contextlib
import itertools
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time
import urllib.request

import reference
from cairn_test import HANG_S, Skip
from cluster import Cluster, Member

# Small, so that a member that was away for a moment needs a snapshot.
SNAPSHOT_COUNT, CATCH_UP = 50, 10


def wait_for(what, cond, seconds=HANG_S):
    end = time.monotonic() + seconds
    while True:
        got = cond()
        if got:
            return got
        assert time.monotonic() < end, f'hangs: {what}'
        time.sleep(0.05)


# Not out of the range that the kernel takes the ports of connections from: a member that is down keeps its own.
ports = itertools.count(12000 + os.getpid() * 53 % 16000)


def port():
    while True:
        number = next(ports)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(('127.0.0.1', number))
            return number


class MixedMember(Member):
    """is_cairn tells the program."""

    def __init__(self, cluster, name, is_cairn):
        super().__init__(cluster, name)
        self.client_port, self.peer_port = port(), port()
        self.become(is_cairn)

    def become(self, is_cairn):
        self.is_cairn = is_cairn
        self.binary = str(self.t.bin('cairn') if is_cairn else self.cluster.programs['etcd'])

    @property
    def kind(self):
        return 'cairn' if self.is_cairn else 'etcd'

    def command(self):
        cmd = super().command()
        if self.cluster.snapshots:
            is_old = self.cluster.version == '3.5' and not self.is_cairn
            cmd += [f'--snapshot-count={SNAPSHOT_COUNT}',
                    f'--{"experimental-" if is_old else ""}snapshot-catchup-entries={CATCH_UP}']
        return cmd

    def start(self, wait=False):
        self.log_seen = len(self.log()) if self.log_path.exists() else 0
        return super().start(wait)

    def new_log(self):
        """Since the last start."""
        return self.log()[self.log_seen:]

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def ends(self):
        """Exit code of a member that stops by itself."""
        return self.process.wait(HANG_S)

    def page(self, path, data=None, is_peer=False):
        context = None
        if self.cluster.certs:
            context = ssl.create_default_context(cafile=f'{self.cluster.certs}/ca.crt')
            context.load_cert_chain(f'{self.cluster.certs}/client.crt', f'{self.cluster.certs}/client.key')
        url = (self.peer_url if is_peer else self.url) + path
        body = json.dumps(data).encode() if data is not None else None
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=HANG_S, context=context) as r:
            return r.read().decode()


class Mixed(Cluster):
    """kinds: one letter a member, e etcd and c Cairn, as 'ece'.  how: 'dir' turns members of a cluster of
    etcds into Cairns on their directories; 'join' adds one after the other; 'new' starts all together
    (3.7 only: a new Cairn directory has that level)."""

    def __init__(self, t, version, kinds, is_tls=False, how='dir', args=(), snapshots=False):
        try:
            self.programs = reference.programs(t.build, version)
            self.client = reference.client(t.build)
        except reference.Missing as e:
            raise Skip(str(e))
        self.version, self.snapshots = version, snapshots
        super().__init__(t, 0, is_tls=is_tls, args=args)
        self.how = how
        self.members = [MixedMember(self, f'm{i + 1}', k == 'c' and how != 'dir')
                        for i, k in enumerate(kinds)]
        self.kinds = kinds
        self.etcdctl = str(self.programs['etcdctl'])

    def up(self):
        if self.how == 'join':
            todo, self.members = self.members, self.members[:1]
            self.start()
            for m in todo[1:]:
                self.join(m)
            return self
        self.start()
        for m, k in zip(self.members, self.kinds):
            if m.is_cairn != (k == 'c'):
                self.turn(m)
        return self

    def turn(self, m, wait=True):
        """The other program on the same directory."""
        m.stop()
        m.become(not m.is_cairn)
        m.start()
        if wait:
            self.wait()

    def add(self, name='new', is_cairn=True, learner=False, via=None, m=None):
        """A member that was added and not started."""
        m = m or MixedMember(self, name, is_cairn)
        args = ['member', 'add', m.name, f'--peer-urls={m.peer_url}'] + (['--learner'] if learner else [])
        self.patiently(*args, members=[via] if via else None)
        m.initial = ('existing', ','.join(f'{x.name}={x.peer_url}' for x in [*self.members, m]))
        return m

    def join(self, m):
        self.add(m=m)
        self.members.append(m)
        m.start()
        self.wait()

    def leave(self, m, via=None):
        rest = [x for x in self.members if x is not m]
        self.patiently('member', 'remove', f'{self.id(m):x}', members=[via] if via else rest)
        self.members = rest

    def patiently(self, *args, members=None):
        """etcd refuses changes of membership in the first five seconds of a connection; a call that ran out
        of time without a leader may have been carried out."""
        seen = []

        def tried():
            out, err, rc = self.ctl(*args, members=members, ok=False)
            if rc != 0 and any(x in err for x in ('already exist', 'member not found')):
                return 'deadline' in ''.join(seen) or 'timed out' in ''.join(seen) or err
            assert rc == 0 or any(x in err for x in ('unhealthy cluster', 'deadline', 'timed out')), (args, err)
            seen.append(err)
            return rc == 0
        got = wait_for(args, tried)
        assert got is True, (args, got)

    def listed(self, via=None):
        return self.json('member', 'list', members=[via or self.members[0]])['members']

    def id(self, m):
        return [x['ID'] for x in self.listed(self.running()[0]) if m.peer_url in x['peerURLs']][0]

    def running(self):
        return [m for m in self.members if m.is_running()]

    def of(self, kind):
        return [m for m in self.members if m.kind == kind]

    def lead(self, kind_or_member):
        """Leadership on this member, or on one of this kind.  The member."""
        def is_there():
            now = self.leader()
            wanted = [kind_or_member] if isinstance(kind_or_member, Member) else self.of(kind_or_member)
            if now in wanted:
                return now
            self.ctl('move-leader', f'{self.id(wanted[0]):x}', members=self.running(), ok=False)
            return None
        return wait_for(f'leader {kind_or_member}', is_there)

    def put(self, m, key, value):
        self.ctl('put', key, value, members=[m])

    def get(self, m, key):
        return self.ctl('get', key, '--print-value-only', members=[m])[0].rstrip('\n')

    def put_many(self, count, m):
        """Each its own entry."""
        at = m.url

        def index():
            return self.status([m])[at]['raftAppliedIndex']
        end = index() + count
        storm = self.storm(clients=20, members=[m])
        wait_for(f'{count} entries', lambda: index() > end)
        storm.end()

    def refusal(self, via, text, *args):
        """This call is refused with this text.  etcd lets such calls run out of time now and then: its raft
        still waits for the change before, which was refused too."""
        def tried():
            out, err, rc = self.ctl(*args, members=[via], ok=False)
            assert rc != 0, (args, out)
            return text in err or ('deadline' not in err and 'timed out' not in err and err)
        got = wait_for(args, tried)
        assert got is True, (args, text, got)

    def tool(self, m, *args):
        """The Go client against one member."""
        certs = ['-certs', str(self.certs)] if self.certs else []
        return self.t.run([str(self.client), '-endpoints', m.url, *certs, *args[1:], args[0]])[0]

    def storm(self, **kw):
        return Storm(self, **kw)

    def applied(self):
        """Everybody has applied everything; to be asked when nothing is written."""
        def is_level():
            s = self.status(self.running())
            return len(s) == len(self.running()) and len({x['raftAppliedIndex'] for x in s.values()}) == 1
        wait_for('all at one index', is_level)

    def same(self):
        """HashKV and the list of members are equal on all."""
        self.applied()
        self.assert_equal(self.running())
        lists = {json.dumps(sorted(self.listed(m), key=lambda x: x['ID'])) for m in self.running()}
        assert len(lists) == 1, lists

    def finish(self):
        """same() and, in the files, equal buckets."""
        self.same()
        lead = self.leader()  # last: it would wait for somebody to hand over to
        stopped = [m for m in self.running() if m is not lead] + [lead]
        for m in stopped:
            m.process.send_signal(signal.SIGTERM)
            if m in stopped[-2:]:
                wait_for('end', lambda: not any(x.is_running() for x in stopped[:stopped.index(m) + 1]))
        found = {m.name: self.decode(m) for m in stopped}
        first = next(iter(found.values()))
        for name, lines in found.items():
            assert lines == first, f'buckets of {name} differ:\n' + '\n'.join(
                [f'+ {x}' for x in lines if x not in first] + [f'- {x}' for x in first if x not in lines])

    def decode(self, m):
        return self.t.run([str(self.client), 'decode', str(m.data_dir / 'member/snap/db')])[0].splitlines()

    def peer_members(self):
        """/members of every peer port, byte for byte the same."""
        def pages():
            return {m.page('/members', is_peer=True) for m in self.running()}
        if self.certs:
            return  # the client's certificate is good for it too, but this adds nothing
        wait_for('one list of members on all peer ports', lambda: len(pages()) == 1)


class Storm:
    """Writers that go on through everything, in the background."""
    numbers = itertools.count()

    def __init__(self, c, clients=8, pin=False, members=None):
        cmd = [str(c.client), '-endpoints', ','.join(m.url for m in members or c.members), '-clients',
               str(clients), '-name', str(next(Storm.numbers))]
        if c.certs:
            cmd += ['-certs', str(c.certs)]
        self.process = subprocess.Popen([*cmd, *(['-pin'] if pin else []), 'storm'], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        c.t.processes.append(self.process)

    def end(self):
        """Nothing is lost; {'acknowledged': n, 'errors': n, 'longest': ms}."""
        out = self.process.communicate(timeout=HANG_S * 2)[0]
        assert self.process.returncode == 0, out[-2000:]
        return {k: int(v) for k, v in re.findall(r'(\w+)=(\d+)', out.splitlines()[-1])}


@contextlib.contextmanager
def under(storm, say):
    """What is done inside is done under load."""
    yield storm
    got = storm.end()
    assert got['acknowledged'] > 0, got
    say(f'{got["acknowledged"]} puts acknowledged, {got["errors"]} errors, longest pause {got["longest"]} ms')
