#!/usr/bin/env python3
"""What kube-apiserver asks, replayed: the ten rows of client-api 7.4 and the shapes of 7.2, on one member that is
restarted and killed in the middle, and on three whose leader is killed.  A model knows every answer and every event;
watches on connections of their own must have been told exactly that, in order.

CAIRN_LONG=1 makes it 5,000 objects and 50 watches.  With CAIRN_REFERENCE the same runs against etcd 3.7, too."""
import os
import pathlib
import re
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
import kube  # noqa: E402
import kube_watch  # noqa: E402
from cairn_test import HANG_S, main  # noqa: E402
from cluster import Cluster  # noqa: E402
from grpc_client import Status  # noqa: E402
from h2client import field  # noqa: E402
from kube import COMPACTED, FUTURE, Api, Store, prefix_end  # noqa: E402
from watch_stream import WatchStream, fields  # noqa: E402

LONG = bool(os.environ.get('CAIRN_LONG'))
OBJECTS, WATCHES = (5000, 50) if LONG else (1200, 12)
PAGE = 500
STALE_TXNS = 200
WRITES_AFTER = 50  # when a disturbance is over
EVENT_TTL_S, EVENTS = 3660, 1000
PODS, MAPS, EVS, ALL = b'/registry/pods/', b'/registry/configmaps/', b'/registry/events/', b'/registry/'
COMPACT_KEY = b'compact_rev_key'
COMPACT_ROUNDS, COMPACT_S = 3, 1.0
# What kubeadm starts etcd with (7.3), bookmarks more often.
ARGS = ['--snapshot-count=10000', '--feature-gates=InitialCorruptCheck=true', '--watch-progress-notify-interval=1s']


def pod(i):
    return PODS + b'ns/%d' % i


def expect_status(code_and_words, fn):
    try:
        fn()
    except Status as e:
        assert (e.code, e.words) == code_and_words, e
        return
    raise AssertionError(f'no error; wanted {code_and_words}')


class Cluster1:
    """The scenario's view of the servers."""

    def __init__(self, t, servers):
        self.t, self.servers = t, servers
        self.ports = [s.client_port for s in servers]
        self.api = Api(lambda: self.ports)
        self.store = Store(self.api)
        self.watches = kube_watch.Watches(t)
        self.rows = []

    def row(self, name, fn):
        begin = time.monotonic()
        told = fn()
        print(f'  {name}: {told or "ok"} ({time.monotonic() - begin:.1f} s)', flush=True)
        self.rows.append(name)

    def watch(self, *specs):
        """At least as many as the run's size asks for, the same ones again and again."""
        count = max(len(specs), -(-WATCHES // 3))
        self.watches.start([specs[i % len(specs)] for i in range(count)], self.ports)

    # ---- rows of 7.4 ----

    def status(self):
        """1. Three connections, Status on each; the version decides what the apiserver uses."""
        for i in range(3):
            api = Api(lambda i=i: [self.ports[i % len(self.ports)]])
            f = dict(fields(api.again('/etcdserverpb.Maintenance/Status', b'')[0]))
            version = f[2].decode()
            assert re.fullmatch(r'\d+\.\d+\.\d+', version), version
            assert tuple(map(int, version.split('.'))) >= (3, 5, 13), version
            assert f[3] > 0, 'dbSize'
        return f'version {version}'

    def create(self):
        """2. Objects by the create transaction; one repeated."""
        s = self.store
        for i in range(OBJECTS):
            s.create(pod(i))
        s.create_again(pod(7))
        for i in range(OBJECTS // 20):
            s.create(MAPS + b'ns/%d' % i)
        return f'{len(s.now)} objects of 1-10 KiB'

    def page(self):
        """3. A paged list while updates go on."""
        s, key, pages, rev, seen = self.store, PODS, 0, 0, []
        total = len(s.sorted(PODS))
        frozen = dict(s.now)
        while True:
            r = self.api.range(key, prefix_end(PODS), limit=PAGE, rev=rev)
            if pages == 0:
                rev = r.rev
                assert rev == s.rev, (rev, s.rev)
            assert r.rev >= rev and r.count == total - PAGE * pages, (r.count, total, pages)
            assert r.more == (r.count > len(r.kvs)) and (len(r.kvs) == PAGE or not r.more)
            seen += r.kvs
            pages += 1
            if not r.more:
                break
            key = r.kvs[-1].key + b'\0'
            for i in range(10):
                s.update(pod(pages * 10 + i))
            s.delete(pod(OBJECTS - pages))
        assert seen == s.sorted(PODS, frozen), 'the pages are not the state of the first one'
        for i in range(1, pages):
            s.create(pod(OBJECTS - i))
        return f'{pages} pages of {PAGE} at revision {rev}'

    def shapes(self):
        """Gets, counts, exact lists and sizes (7.2)."""
        s, at = self.store, self.store.rev - 5
        assert self.api.range(pod(3), limit=1).kvs == [s.now[pod(3)]]
        r = self.api.range(PODS + b'none', limit=1)
        assert not r.kvs and r.rev == s.rev and r.count == 0
        assert self.api.range(pod(3), rev=at).kvs == [s.at(at)[pod(3)]]
        assert self.api.range(PODS, prefix_end(PODS), rev=at).kvs == s.sorted(PODS, s.at(at))
        assert self.api.range(ALL, prefix_end(ALL)).kvs == s.sorted(ALL)
        r = self.api.range(PODS, prefix_end(PODS), count_only=True)
        assert r.count == len(s.sorted(PODS)) and not r.kvs and not r.more
        r = self.api.range(PODS, prefix_end(PODS), keys_only=True)
        assert [(k.key, k.mod, k.value) for k in r.kvs] == [(k.key, k.mod, b'') for k in s.sorted(PODS)]
        assert self.api.range(PODS.rstrip(b'/'), limit=1).rev == s.rev
        assert not self.api.range(b'/registry/health').kvs
        for rev in (0, at):
            r = self.api.list_stream(PODS, prefix_end(PODS), rev=rev)
            assert r.kvs == s.sorted(PODS, s.at(rev or s.rev)) and r.rev == s.rev and r.count == len(r.kvs)
        expect_status(FUTURE, lambda: self.api.range(pod(3), rev=s.rev + 1000))
        return 'get, list, exact list, count, keys_only, stream'

    def watch_from_list(self):
        """4. Watches from the list's revision + 1; others from the first one on."""
        s = self.store
        rev = self.api.range(ALL, prefix_end(ALL), count_only=True).rev
        self.watch((PODS, prefix_end(PODS), rev + 1), (ALL, prefix_end(ALL), rev + 1), (pod(3), b'', rev + 1))
        self.watch((PODS, prefix_end(PODS), 2), (MAPS, prefix_end(MAPS), 2), (pod(1), b'', 2))
        return f'{len(self.watches.specs)} watches from {rev + 1} and from 2'

    def updates(self):
        """5. and 6. Update transactions, half of them stale, and a progress request behind each batch."""
        s, asked = self.store, 0
        w = WatchStream(self.ports[0])
        w.create(b'/registry/none/', prefix_end(b'/registry/none/'), progress=True)
        assert w.read().created
        for i in range(STALE_TXNS):
            key = pod(s.rnd.randrange(OBJECTS))
            if i % 2:
                s.update(key)
            else:
                s.update_stale(key)
            if i % 20 == 19:
                self.progress(w, s.rev)
                asked += 1
        for i in range(20):
            s.delete_stale(pod(i))
            s.delete(pod(i))
            s.create(pod(i))
        w.close()
        return f'{STALE_TXNS} updates, half stale; {asked} progress requests'

    def progress(self, w, rev):
        """Asks until an answer with the id -1 has the revision."""
        end = time.monotonic() + HANG_S
        while time.monotonic() < end:
            w.progress()
            r = w.read()
            while r.id != -1:
                r = w.read()
            if r.rev >= rev:
                return
            time.sleep(0.01)
        raise AssertionError(f'no progress to {rev}')

    def leased(self):
        """7. Event objects under one lease."""
        s = self.store
        lease = s.lease(EVENT_TTL_S)
        count = EVENTS if LONG else EVENTS // 4
        for i in range(count):
            s.create(EVS + b'ns/%d' % i, lease)
        f = fields(self.api.again(kube.LEASE + 'LeaseTimeToLive', field(1, lease) + field(2, 1))[0])
        one = dict(f)
        assert one[4] == EVENT_TTL_S and 0 < one[3] <= EVENT_TTL_S, one
        keys, want = {v for n, v in f if n == 5}, {k for k in s.now if k.startswith(EVS)}
        assert keys == want, (sorted(want - keys), sorted(keys - want))
        return f'{count} keys'

    def compactors(self):
        """8. Two loops of the compactor; a watch on its key.  Real ones are minutes behind: nobody is compacted."""
        self.watches.wait(self.store.rev)
        w = WatchStream(self.ports[0])
        got = self.api.range(COMPACT_KEY)
        w.create(COMPACT_KEY, rev=got.rev)
        assert w.read().created
        loops = [Compactor(self.ports, i) for i in range(2)]
        for c in loops:
            c.start()
        for c in loops:
            c.join(HANG_S)
            assert c.error is None, c.error
        won = sorted(r for c in loops for r in c.won)
        assert len(won) == COMPACT_ROUNDS and len(set(won)) == COMPACT_ROUNDS, [c.won for c in loops]
        compacts = [r for c in loops for r in c.compacted]
        assert len(compacts) == COMPACT_ROUNDS - 1, compacts  # the first round knows no revision yet
        told = [w.read().events for _ in range(COMPACT_ROUNDS)]
        assert [len(e) for e in told] == [1] * COMPACT_ROUNDS
        assert [e[0]['kv']['version'] for e in told] == list(range(1, COMPACT_ROUNDS + 1))
        w.close()
        self.store.rev = max(self.store.rev, *(e[0]['kv']['mod'] for e in told))
        self.compacted = max(compacts)
        return f'{COMPACT_ROUNDS} rounds, compactions at {compacts}'

    def compacted_watch(self):
        """9. A watch from a compacted revision; a list there."""
        w = WatchStream(self.ports[0])
        w.create(PODS, prefix_end(PODS), rev=self.compacted - 1, prev=True, progress=True)
        r = w.read()
        assert r.created and not r.canceled
        r = w.read()
        assert r.canceled and r.compacted == self.compacted and r.rev == 0, r
        w.close()
        expect_status(COMPACTED, lambda: self.api.range(PODS, prefix_end(PODS), rev=self.compacted - 1))
        assert self.api.range(PODS, prefix_end(PODS), rev=self.compacted).kvs == \
            self.store.sorted(PODS, self.store.at(self.compacted))
        return f'compacted at {self.compacted}'

    def disturbed(self, fn, name):
        """10. Writes go on while something is done to the servers."""
        s, over, error = self.store, threading.Event(), []

        def disturb():
            try:
                fn()
            except BaseException as e:
                error.append(e)
            over.set()
        before, lost = s.rev, self.api.lost
        thread = threading.Thread(target=disturb)
        thread.start()
        i = after = 0
        while after < WRITES_AFTER or i % 7:
            after += over.is_set()
            key = pod(s.rnd.randrange(OBJECTS))
            if i % 7 == 5:
                s.delete(key)
                s.create(key)
            else:
                s.update(key)
            i += 1
        thread.join()
        if error:
            raise error[0]
        return f'{name}: {s.rev - before} revisions meanwhile, {self.api.lost - lost} answers lost, ' \
               f'{s.resolved} found done'

    def end(self):
        s = self.store
        assert self.api.range(ALL, prefix_end(ALL)).kvs == s.sorted(ALL)
        self.watches.wait(s.rev)
        counts = self.watches.finish()
        self.watches.compare(s.events)
        assert counts['events'] and counts['progress'] and counts['bookmarks'] and counts['reconnects'], counts
        return f'{len(s.events)} changes; {len(self.watches.specs)} watches were told each exactly: {counts}'


class Compactor(threading.Thread):
    """One apiserver's loop: the transaction that decides who compacts, and to the revision seen a round before."""

    def __init__(self, ports, number):
        super().__init__(daemon=True)
        self.api, self.number = Api(lambda: ports), number
        self.won, self.compacted, self.error = [], [], None

    def run(self):
        try:
            version, rev = 0, 0
            for _ in range(COMPACT_ROUNDS):
                version, rev = self.round(version, rev)
                time.sleep(COMPACT_S)
        except Exception as e:
            self.error = e

    def round(self, version, rev):
        body = kube.txn_body(kube.compare(kube.VERSION, COMPACT_KEY, version),
                             kube.put_op(COMPACT_KEY, b'%d' % rev), kube.range_op(COMPACT_KEY))
        r = kube.Txn(self.api.once(kube.KV + 'Txn', body))
        if not r.succeeded:
            return r.failure_kv().version, r.rev
        self.won.append(version)
        if rev != 0:
            self.api.once(kube.KV + 'Compact', field(1, rev))
            self.compacted.append(rev)
        return version + 1, r.rev


def replay(c, disturbances):
    c.row('1 status', c.status)
    c.row('2 create', c.create)
    c.row('3 paged list', c.page)
    c.row('7.2 shapes', c.shapes)
    c.row('4 watches from the list', c.watch_from_list)
    c.row('5, 6 updates and progress', c.updates)
    c.row('7 leased events', c.leased)
    for name, fn in disturbances:
        c.row('10 disturbed', lambda name=name, fn=fn: c.disturbed(fn, name))
    c.watch((PODS, prefix_end(PODS), c.store.rev + 1), (ALL, prefix_end(ALL), 2))
    c.row('8 compactors', c.compactors)
    c.row('9 compacted watch', c.compacted_watch)
    c.row('5, 6 again', c.updates)
    c.row('end', c.end)


def references():
    yield None
    if os.environ.get('CAIRN_REFERENCE'):
        yield pathlib.Path(os.environ['CAIRN_REFERENCE']) / 'etcd-3.7/bin/etcd'


def test_one_member_restarts(t):
    for binary in references():
        s = t.server(args=ARGS, binary=binary, name='cairn' if binary is None else 'etcd').start()

        def restart(end, s=s):
            time.sleep(0.5)
            end()
            s.start()
            time.sleep(0.5)
        print(f' {s.name}')
        replay(Cluster1(t, [s]), [('restart', lambda: restart(s.stop)), ('kill -9', lambda: restart(s.kill))])
        s.stop()


def test_three_members_leader_change(t):
    for binary in references():
        name = 'cairn' if binary is None else 'etcd'
        c = Cluster(t.part(name), args=ARGS, binary=binary and str(binary)).start()

        def move():
            m = next(m for m in c.members if m is not c.leader())
            ident = c.status([m])[m.url]['header']['member_id']
            c.ctl('move-leader', f'{ident:x}', members=[c.leader()])
            time.sleep(0.5)

        def kill():
            leader = c.leader()
            leader.kill()
            time.sleep(3)
            leader.start()
            c.wait()
        print(f' {name}')
        replay(Cluster1(c.t, c.members), [('leadership moved', move), ('leader killed', kill)])
        c.assert_equal()
        for m in c.members:
            m.stop()


if __name__ == '__main__':
    main(globals())
