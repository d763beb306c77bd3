"""The watch caches of apiservers (client-api 7.2): processes that hold many watches, come back after a cut with the
last revision + 1, and write down every event; and the comparison with what happened.

Checked while reading: revisions ascend and are not cut, a bookmark is never overtaken by an event at or below it,
every event that is no creation has prev_kv."""
import multiprocessing
import selectors
import time
import traceback
import zlib

import grpc_client
from grpc_client import HANG_S, Gone
from h2client import field
from watch_stream import fields, signed

WATCH = '/etcdserverpb.Watch/Watch'
HEADERS = (('hasleader', 'true'), ('source', 'cache'), ('client-api-version', '3.7'))
PROGRESS_S = 0.1  # between two progress requests, as apiservers ask


def create_body(key, end, rev):
    return field(1, field(1, key) + (field(2, end) if end else b'') + field(3, rev) + field(4, 1) + field(6, 1))


def kv_line(data):
    f = dict(fields(data))
    return f.get(1, b''), f.get(2, 0), f.get(3, 0), f.get(4, 0), zlib.crc32(f.get(5, b'')), f.get(6, 0)


def event_line(data):
    """One line for an event; the same as expected_line makes."""
    f = dict(fields(data))
    kv, prev = kv_line(f[2]), kv_line(f[3]) if 3 in f else None
    return kv[2], line('DELETE' if f.get(1, 0) else 'PUT', kv, prev)


def line(kind, kv, prev):
    return f'{kind} {kv} was {prev}'


def kv_row(kv):
    return (kv.key, kv.create, kv.mod, kv.version, zlib.crc32(kv.value), kv.lease)


def expected_line(e):
    kv = kv_row(e.kv) if e.kv is not None else (e.key, 0, e.rev, 0, 0, 0)
    return line('PUT' if e.kv is not None else 'DELETE', kv, kv_row(e.prev) if e.prev is not None else None)


class Watch:
    """One watch on a connection of its own."""

    def __init__(self, number, key, end, rev, ports, path):
        self.number, self.key, self.end, self.ports, self.at = number, key, end, ports, number
        self.next_rev, self.bookmark, self.told = rev, 0, rev - 1
        self.out = open(path, 'w')
        self.client, self.stream, self.asked = None, None, 0.0
        self.counts = {'events': 0, 'bookmarks': 0, 'progress': 0, 'reconnects': -1, 'no leader': 0}

    def connect(self):
        """False: try again."""
        try:
            self.at += 1
            self.client = grpc_client.Client(self.ports[self.at % len(self.ports)])
            self.stream = self.client.open(WATCH, create_body(self.key, self.end, self.next_rev), end=False,
                                           headers=HEADERS)
        except Gone:
            self.client = None
            return False
        self.counts['reconnects'] += 1
        return True

    def ask(self):
        if self.client is not None and time.monotonic() - self.asked >= PROGRESS_S:
            self.asked = time.monotonic()
            self.client.more(self.stream, field(3, b''))

    def read(self):
        """Gone: the connection or the stream has ended."""
        self.client.pump()
        s = self.client.streams[self.stream]
        for m in s.take():
            self.response(fields(m))
        if s.status is not None:
            self.counts['no leader'] += s.status == (14, 'etcdserver: no leader')
            assert s.status[0] == 14, s.status
            raise Gone(str(s.status))

    def response(self, f):
        one = dict(f)
        rev, ident = dict(fields(one.get(1, b''))).get(3, 0), signed(one.get(2, 0))
        assert not one.get(4) and not one.get(5), f'watch {self.number} was cancelled: {one.get(6)} {one.get(5)}'
        events = [v for n, v in f if n == 11]
        if not events:
            if not one.get(3):
                assert rev >= self.bookmark, 'a bookmark went back'
                self.counts['progress' if ident == -1 else 'bookmarks'] += 1
                self.told = self.bookmark = max(rev, self.bookmark)
                self.next_rev = max(self.next_rev, rev + 1)
            return
        revs = []
        for data in events:
            mod, words = event_line(data)
            assert mod >= self.next_rev, f'watch {self.number}: revision {mod}, wanted from {self.next_rev} on'
            assert not revs or mod >= revs[-1], 'out of order'
            revs.append(mod)
            self.out.write(words + '\n')
        assert rev >= revs[-1], 'the header is older than its events'
        self.counts['events'] += len(events)
        self.next_rev = revs[-1] + 1

    def drop(self):
        if self.client is not None:
            self.client.close()
            self.client = None


def run(watches, pipe):
    """A process: sends the counts at its end, or why there are none."""
    try:
        pipe.send(Follower(watches, pipe).run())
    except Exception:
        pipe.send(traceback.format_exc())
        pipe.recv()


class Follower:
    """Watches of one process.  The pipe names a revision: answered with True when all of them were told everything
    up to it; or None: the end."""

    def __init__(self, watches, pipe):
        self.pipe, self.made = pipe, [Watch(*w) for w in watches]
        self.wanted, self.is_over = None, False
        self.sel = selectors.DefaultSelector()
        self.sel.register(pipe, selectors.EVENT_READ, None)

    def run(self):
        while not self.is_over:
            for w in self.made:
                if w.client is None and w.connect():
                    self.sel.register(w.client.sock, selectors.EVENT_READ, w)
            for key, _ in self.sel.select(0.05):
                if key.data is None:
                    self.wanted = self.pipe.recv()
                    self.is_over = self.wanted is None
                else:
                    self.tried(key.data, Watch.read)
            for w in self.made:
                self.tried(w, Watch.ask)
            if self.wanted is not None and all(w.told >= self.wanted for w in self.made):
                self.wanted = None
                self.pipe.send(True)
        for w in self.made:
            w.out.close()
        return [w.counts for w in self.made]

    def tried(self, w, fn):
        try:
            fn(w)
        except Gone:
            self.sel.unregister(w.client.sock)
            w.drop()


class Watches:
    """Some processes with watches; add in groups, finish once."""

    def __init__(self, t):
        self.t, self.groups, self.specs = t, [], []

    def start(self, specs, ports):
        """specs: [(key, end, rev)]"""
        mine = []
        for key, end, rev in specs:
            number = len(self.specs)
            path = self.t.dir / f'watch-{number}.txt'
            self.specs.append((key, end, rev, path))
            mine.append((number, key, end, rev, ports, path))
        ours, theirs = multiprocessing.Pipe()
        p = multiprocessing.Process(target=run, args=(mine, theirs), daemon=True)
        p.start()
        self.groups.append((p, ours))

    def ask(self, what):
        """The answer of each process."""
        for _, pipe in self.groups:
            pipe.send(what)
        answers = []
        for _, pipe in self.groups:
            assert pipe.poll(HANG_S * 5), 'watches do not get there'
            answers.append(pipe.recv())
            assert not isinstance(answers[-1], str), answers[-1]
        return answers

    def wait(self, rev):
        """Until all have been told everything up to it."""
        self.ask(rev)

    def finish(self):
        """Counts of all of them together."""
        total = {}
        for counts in (c for group in self.ask(None) for c in group):
            for k, v in counts.items():
                total[k] = total.get(k, 0) + v
        for p, _ in self.groups:
            p.join()
        return total

    def compare(self, events):
        """Each watch's lines against the history."""
        lines = [(e.rev, e.key, expected_line(e)) for e in events]
        for number, (key, end, rev, path) in enumerate(self.specs):
            want = [text for r, k, text in lines if r >= rev and (k == key if not end else key <= k < end)]
            got = path.read_text().splitlines()
            for i, (a, b) in enumerate(zip(want, got)):
                assert a == b, f'watch {number} of {key!r} from {rev}, event {i}:\n  wanted {a}\n     got {b}'
            assert len(want) == len(got), f'watch {number} of {key!r} from {rev}: {len(got)} of {len(want)} events'
