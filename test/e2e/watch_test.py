#!/usr/bin/env python3
"""Watch, as client-api 2.2 has it.  Every scenario runs against Cairn, and against etcd 3.7 too where
CAIRN_REFERENCE names one: the same words are expected of both."""
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from cairn_test import HANG_S, Skip, main  # noqa: E402
from cluster import Cluster  # noqa: E402
from watch_stream import WatchStream, short  # noqa: E402


def servers(t, *args):
    """A fresh Cairn, then a fresh etcd."""
    yield t.server(name='cairn', args=args).start()
    given = os.environ.get('CAIRN_REFERENCE')
    if given:
        yield t.server(name='etcd', args=args, binary=pathlib.Path(given) / 'etcd-3.7/bin/etcd').start()


def expect(w, *texts):
    for text in texts:
        got = repr(w.read())
        assert got == text, f'expected: {text}\n     got: {got}'


def events(w, count):
    """So many events of the next responses."""
    out = []
    while len(out) < count:
        out += w.read().events
    return [short(e) for e in out]


def test_live(t):
    for s in servers(t):
        w = WatchStream(s.client_port)
        w.create(b'k', prev=True)
        expect(w, 'id=0 created rev=1')
        w.create(b'k', b'l')
        expect(w, 'id=1 created rev=1')
        s.ctl('put', 'k', '1')
        got = sorted(repr(w.read()) for _ in range(2))
        assert got == ['id=0 rev=2 PUT k=1@2', 'id=1 rev=2 PUT k=1@2'], got
        s.ctl('put', 'ka', 'x')
        expect(w, 'id=1 rev=3 PUT ka=x@3')
        w.cancel(1)
        expect(w, 'id=1 canceled rev=3')
        w.cancel(77)
        s.ctl('put', 'k', '2')
        expect(w, 'id=0 rev=4 PUT k=2@4 (was 1@2)')
        s.ctl('del', 'k')
        expect(w, 'id=0 rev=5 DELETE k@5 (was 2@4)')
        w.half_close()
        s.ctl('put', 'k', '3')
        expect(w, 'id=0 rev=6 PUT k=3@6')
        w.close()


def test_txn_is_one_response(t):
    for s in servers(t):
        w = WatchStream(s.client_port)
        w.create(b'', b'\0')
        expect(w, 'id=0 created rev=1')
        s.ctl('txn', input='\nput b 1\nput a 2\nput c 3\n\n\n')
        expect(w, 'id=0 rev=2 PUT b=1@2 PUT a=2@2 PUT c=3@2')
        s.ctl('del', '', '--from-key')
        expect(w, 'id=0 rev=3 DELETE a@3 DELETE b@3 DELETE c@3')
        w.close()


def test_ids(t):
    for s in servers(t):
        w = WatchStream(s.client_port)
        w.create(b'a', id=1)
        w.create(b'a')
        w.create(b'a')
        w.create(b'a', id=1)
        w.create(b'a', id=-5)
        expect(w, 'id=1 created rev=1', 'id=0 created rev=1', 'id=2 created rev=1',
               'id=-1 created canceled rev=1 "mvcc: duplicate watch ID provided on the WatchStream"',
               'id=-5 created rev=1')
        w.cancel(0)
        w.create(b'a')
        expect(w, 'id=0 canceled rev=1', 'id=3 created rev=1')
        w.create(b'b', b'a')
        w.create(b'b', b'b')
        expect(w, *['id=-1 created canceled rev=1 "mvcc: watcher range is empty"'] * 2)
        w.create(b'a', rev=-1)
        expect(w, 'id=-1 created canceled rev=1 "etcdserver: mvcc: required revision has been compacted"')
        w.send(b'')
        w.create(b'z')
        expect(w, 'id=4 created rev=1')
        w.close()


def test_revisions(t):
    for s in servers(t):
        for i in range(2, 8):
            s.ctl('put', f'k{i % 3}', str(i))
        w = WatchStream(s.client_port)
        w.create(b'k', b'l', rev=4, prev=True)
        expect(w, 'id=0 created rev=7')
        assert events(w, 4) == ['PUT k1=4@4', 'PUT k2=5@5 (was 2@2)', 'PUT k0=6@6 (was 3@3)',
                                'PUT k1=7@7 (was 4@4)']
        w.cancel(0)
        expect(w, 'id=0 canceled rev=7')
        w.create(b'k', b'l', rev=9)
        expect(w, 'id=1 created rev=7')
        s.ctl('put', 'k', 'early')
        w.progress()  # not before its start: no answer
        s.ctl('put', 'k', 'late')
        expect(w, 'id=1 rev=9 PUT k=late@9')
        w.progress()
        expect(w, 'id=-1 rev=9')
        w.close()


def test_filters(t):
    for s in servers(t):
        w = WatchStream(s.client_port)
        w.create(b'k', filters=[0])
        w.create(b'k', filters=[1])
        w.create(b'k', filters=[0, 1])
        w.create(b'k', filters=[7])
        for i in range(4):
            expect(w, f'id={i} created rev=1')
        s.ctl('put', 'k', '1')
        assert sorted(repr(w.read()) for _ in range(2)) == ['id=1 rev=2 PUT k=1@2', 'id=3 rev=2 PUT k=1@2']
        s.ctl('del', 'k')
        assert sorted(repr(w.read()) for _ in range(2)) == ['id=0 rev=3 DELETE k@3', 'id=3 rev=3 DELETE k@3']
        w.close()


def test_compacted(t):
    for s in servers(t):
        for i in range(2, 12):
            s.ctl('put', 'k', str(i))
        s.ctl('compact', '8', '--physical')
        w = WatchStream(s.client_port)
        w.create(b'k', rev=7)
        expect(w, 'id=0 created rev=11', 'id=0 canceled rev=0 compacted=8')
        w.create(b'k', id=0)
        expect(w, 'id=1 created rev=11')
        w.cancel(0)
        expect(w, 'id=0 canceled rev=11')
        w.create(b'k', rev=8, prev=True)
        expect(w, 'id=2 created rev=11')
        assert events(w, 4) == ['PUT k=8@8', 'PUT k=9@9 (was 8@8)', 'PUT k=10@10 (was 9@9)',
                                'PUT k=11@11 (was 10@10)']
        w.close()


def test_progress(t):
    for s in servers(t, '--watch-progress-notify-interval', '200ms'):
        w = WatchStream(s.client_port)
        w.progress()  # no watches: no answer
        w.create(b'k', progress=True)
        w.create(b'l')
        expect(w, 'id=0 created rev=1', 'id=1 created rev=1', 'id=0 rev=1')
        s.ctl('put', 'l', '1')
        got = w.read()
        while not got.events:
            assert repr(got) == 'id=0 rev=1' or repr(got) == 'id=0 rev=2', got
            got = w.read()
        got = w.read()
        while repr(got) != 'id=0 rev=2':
            assert repr(got) == 'id=0 rev=1', got
            got = w.read()
        w.close()


def test_fragments(t):
    for s in servers(t, '--max-request-bytes', '300000'):
        for i in range(12):
            s.ctl('put', f'k{i:02}', input='v' * 200000)
        puts = ''.join(f'del k{i:02}\n' for i in range(12))
        w = WatchStream(s.client_port)
        w.create(b'k', b'l', prev=True, fragment=True)
        expect(w, 'id=0 created rev=13')
        s.ctl('txn', input=f'\n{puts}\n\n')
        got = [w.read()]
        while got[-1].fragment:
            got.append(w.read())
        assert [len(r.events) for r in got] == [4, 4, 4], got
        assert all(r.rev == 14 and r.id == 0 for r in got)
        w.close()


def test_slow_and_restart(t):
    """A stream that is not read costs nothing, and is complete in the end; a restart keeps the history."""
    for s in servers(t):
        slow = WatchStream(s.client_port, window=1000)
        slow.create(b'k', b'l')
        expect(slow, 'id=0 created rev=1')
        value = 'v' * 4000
        count = 400
        for base in range(0, count, 100):
            puts = ''.join(f'put k{i} {value}\n' for i in range(base, base + 100))
            s.ctl('txn', input=f'\n{puts}\n\n')
        got = []
        while len(got) < count:
            got += [e['kv']['key'] for e in slow.read().events]
        assert got == [f'k{i}' for i in range(count)]
        slow.close()
        s.stop()
        s.start()
        w = WatchStream(s.client_port)
        w.create(b'k', b'l', rev=2)
        expect(w, 'id=0 created rev=5')
        got = []
        while len(got) < count:
            got += [e['kv']['key'] for e in w.read().events]
        assert got == [f'k{i}' for i in range(count)]
        w.close()


def watch_lines(t, s, ctl, args, lines, during):
    """The first lines that a watching tool prints."""
    env = dict(os.environ, **({'ETCDCTL_API': '3'} if ctl.startswith('debian') else {}))
    p = subprocess.Popen([str(t.bin(ctl)), '--endpoints', s.endpoint, 'watch', *args], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, env=env)
    t.processes.append(p)
    during()
    out = [p.stdout.readline().rstrip('\n') for _ in range(lines)]
    p.kill()
    p.wait(HANG_S)
    return out


def etcdctl(t, ctl):
    s = t.server().start()
    s.ctl('put', 'k1', 'a')
    s.ctl('put', 'k1', 'b')
    got = watch_lines(t, s, ctl, ['--prefix', 'k', '--rev', '2', '--prev-kv'], 13,
                      lambda: s.ctl('del', 'k1'))
    want = ['PUT', 'k1', 'a', 'PUT', 'k1', 'a', 'k1', 'b', 'DELETE', 'k1', 'b', 'k1', '']
    assert got == want, got


def test_etcdctl_3_4(t):
    etcdctl(t, 'debian-etcdctl')


def test_etcdctl_3_7(t):
    given = os.environ.get('CAIRN_REFERENCE')
    if not given:
        raise Skip('CAIRN_REFERENCE is not set')
    etcdctl(t, str(pathlib.Path(given) / 'etcd-3.7/bin/etcdctl'))


def test_many(t):
    """A thousand watches on one stream, each with its own key."""
    s = t.server().start()
    w = WatchStream(s.client_port)
    for i in range(1000):
        w.create(f'k{i}'.encode())
    for i in range(1000):
        expect(w, f'id={i} created rev=1')
    for i in range(0, 1000, 100):
        puts = ''.join(f'put k{n} {n}\n' for n in range(i, i + 100))
        s.ctl('txn', input=f'\n{puts}\n\n')
    seen = {}
    while len(seen) < 1000:
        r = w.read()
        assert r.id not in seen and len(r.events) == 1
        seen[r.id] = r.events[0]['kv']['key']
    assert seen == {i: f'k{i}' for i in range(1000)}
    started = time.monotonic()
    s.stop()
    assert time.monotonic() - started < HANG_S
    w.close()


def leader_of(c):
    status = c.status()
    ids = {s['header']['member_id']: url for url, s in status.items()}
    leader = next(s['leader'] for s in status.values() if s.get('leader'))
    return next(m for m in c.members if m.url == ids[leader])


def test_leader_change_and_loss(t):
    """The stream of a follower goes on under a new leader; without any, those end that asked for one."""
    c = Cluster(t)
    c.start()
    leader = leader_of(c)
    follower = next(m for m in c.members if m is not leader)
    other = next(m for m in c.members if m not in (leader, follower))
    w = WatchStream(follower.client_port)
    strict = WatchStream(follower.client_port, headers=[('hasleader', 'true')])
    for s in (w, strict):
        s.create(b'k', b'l')
        expect(s, 'id=0 created rev=1')
    c.ctl('put', 'k1', 'a')
    leader.kill()
    c.wait([follower, other])
    c.ctl('put', 'k2', 'b', members=[follower, other])
    for s in (w, strict):
        assert events(s, 2) == ['PUT k1=a@2', 'PUT k2=b@3']
    other.kill()
    strict.wait_end()
    leader.start()
    c.wait([follower, leader])
    c.ctl('put', 'k3', 'c', members=[follower, leader])
    assert events(w, 1) == ['PUT k3=c@4']
    w.close()


def test_snapshot_install(t):
    """A member that slept gets a snapshot; its watchers get all that was in between."""
    c = Cluster(t, args=['--snapshot-count', '20', '--snapshot-catchup-entries', '5'])
    c.start()
    leader = leader_of(c)
    slept = next(m for m in c.members if m is not leader)
    w = WatchStream(slept.client_port)
    w.create(b'k', b'l', prev=True)
    expect(w, 'id=0 created rev=1')
    c.ctl('put', 'k', '0', members=[leader])
    assert events(w, 1) == ['PUT k=0@2']
    slept.process.send_signal(signal.SIGSTOP)
    for i in range(1, 80):
        c.ctl('put', 'k', str(i), members=[leader])
    slept.process.send_signal(signal.SIGCONT)
    want = [f'PUT k={i}@{i + 2} (was {i - 1}@{i + 1})' for i in range(1, 80)]
    assert events(w, 79) == want
    c.ctl('put', 'k', 'last')
    assert events(w, 1) == ['PUT k=last@82 (was 79@81)']
    w.close()
    if 'applied snapshot' not in slept.log():
        raise Skip('the member caught up from what its sockets held, without a snapshot')


if __name__ == '__main__':
    main(globals())
