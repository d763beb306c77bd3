"""What kube-apiserver asks of etcd (client-api 7.2), as one client: its transactions, lists and leases, and a model
that knows what must come back.  It goes on through restarts and leader changes: a transaction whose answer was lost
is asked again, and its compare of mod_revision tells whether it had happened."""
import random
import time

import grpc_client
from grpc_client import HANG_S, Gone, Status
from h2client import field
from watch_stream import fields

KV, LEASE = '/etcdserverpb.KV/', '/etcdserverpb.Lease/'
# What a member without a leader or under way to its end says: ask another, or again.
PASSING = (4, 14)
DROPPED = (2, 'raft proposal dropped')
COMPACTED, FUTURE = (11, 'etcdserver: mvcc: required revision has been compacted'), \
    (11, 'etcdserver: mvcc: required revision is a future revision')
EQUAL, VERSION, MOD = 0, 0, 2
VALUE_MIN, VALUE_MAX = 1024, 10240
BLOB = random.Random(7).randbytes(2 * VALUE_MAX)


def prefix_end(p):
    return p[:-1] + bytes([p[-1] + 1])


# ---- messages ----

def optional(number, value):
    return field(number, value) if value else b''


def range_body(key, end=b'', limit=0, rev=0, keys_only=False, count_only=False):
    return (field(1, key) + optional(2, end) + optional(3, limit) + optional(4, rev) + optional(8, int(keys_only))
            + optional(9, int(count_only)))


def put_op(key, value, lease=0):
    return field(2, field(1, key) + field(2, value) + optional(3, lease))


def delete_op(key):
    return field(3, field(1, key))


def range_op(key):
    return field(1, range_body(key))


def compare(target, key, number):
    """Equal; the operand is written also when it is 0, as the Go client does."""
    return optional(2, target) + field(3, key) + field(4 if target == VERSION else 6, number)


def txn_body(cmp, success, failure=None):
    return field(1, cmp) + field(2, success) + (b'' if failure is None else field(3, failure))


class Kv:
    """A KeyValue."""
    __slots__ = ('key', 'create', 'mod', 'version', 'value', 'lease')

    def __init__(self, key, create, mod, version, value, lease=0):
        self.key, self.create, self.mod, self.version, self.value, self.lease = key, create, mod, version, value, lease

    @classmethod
    def parse(cls, data):
        f = dict(fields(data))
        return cls(f.get(1, b''), f.get(2, 0), f.get(3, 0), f.get(4, 0), f.get(5, b''), f.get(6, 0))

    def row(self):
        return self.key, self.create, self.mod, self.version, self.value, self.lease

    def __eq__(self, other):
        return other is not None and self.row() == other.row()

    def __repr__(self):
        return f'{self.key!r} create {self.create} mod {self.mod} version {self.version} lease {self.lease:x} ' \
               f'value {self.value[:40]!r}... {len(self.value)} bytes'


class Range:
    def __init__(self, data):
        f = fields(data)
        one = dict(f)
        self.rev = dict(fields(one.get(1, b''))).get(3, 0)
        self.kvs = [Kv.parse(v) for n, v in f if n == 2]
        self.more, self.count = bool(one.get(3, 0)), one.get(4, 0)


class Txn:
    def __init__(self, data):
        f = fields(data)
        one = dict(f)
        self.rev = dict(fields(one.get(1, b''))).get(3, 0)
        self.succeeded = bool(one.get(2, 0))
        self.responses = [fields(v)[0] for n, v in f if n == 3]  # (arm, message)

    def failure_kv(self):
        """Of the range in the failure branch; None: not there."""
        assert not self.succeeded and len(self.responses) == 1 and self.responses[0][0] == 1, self.responses
        kvs = Range(self.responses[0][1]).kvs
        assert len(kvs) <= 1
        return kvs[0] if kvs else None


# ---- one connection that finds a member that answers ----

class Api:
    """endpoints(): the ports to try; each loss of a connection takes the next."""

    def __init__(self, endpoints):
        self.endpoints, self.at, self.client = endpoints, 0, None
        self.lost = 0  # answers

    def connected(self):
        end = time.monotonic() + HANG_S
        while self.client is None:
            ports = self.endpoints()
            try:
                self.client = grpc_client.Client(ports[self.at % len(ports)])
            except Gone:
                self.at += 1
                assert time.monotonic() < end, 'no member answers'
                time.sleep(0.02)
        return self.client

    def drop(self):
        if self.client is not None:
            self.client.close()
            self.client, self.at = None, self.at + 1

    def once(self, path, body):
        """Status, or Gone: it may have happened."""
        try:
            return self.connected().call(path, body)
        except Gone:
            self.drop()
            raise

    def again(self, path, body):
        """Of what may be asked twice: until it is answered.  (answer, True when an answer was lost)"""
        end, was_lost = time.monotonic() + HANG_S, False
        while True:
            try:
                return self.once(path, body), was_lost
            except (Gone, Status) as e:
                if isinstance(e, Status) and e.code not in PASSING and (e.code, e.words) != DROPPED:
                    raise
                assert time.monotonic() < end, e
                was_lost = True
                self.lost += 1
                self.drop()
                time.sleep(0.02)

    def range(self, *a, **kw):
        return Range(self.again(KV + 'Range', range_body(*a, **kw))[0])

    def list_stream(self, *a, **kw):
        """RangeStream, its messages made one answer."""
        c = self.connected()
        parts = [Range(dict(fields(m)).get(1, b'')) for m in
                 c.finish(c.open(KV + 'RangeStream', range_body(*a, **kw)))]
        last = parts[-1]
        last.kvs = [kv for p in parts for kv in p.kvs]
        return last


# ---- the model ----

class Event:
    """One change: kv None is a delete."""
    __slots__ = ('rev', 'key', 'kv', 'prev')

    def __init__(self, rev, key, kv, prev):
        self.rev, self.key, self.kv, self.prev = rev, key, kv, prev


class Store:
    """The only writer of its keys, and what it knows about them."""

    def __init__(self, api, seed=1):
        self.api, self.rnd = api, random.Random(seed)
        self.now = {}      # key -> Kv
        self.events = []   # all that happened, in order
        self.rev = 0       # newest that an answer told
        self.number = 0
        self.resolved = 0  # transactions whose answer was lost but which had happened

    def value(self, key):
        """1-10 KiB, never the same twice."""
        self.number += 1
        size = self.rnd.randint(VALUE_MIN, VALUE_MAX)
        head = b'k8s\0' + key + b' %d ' % self.number
        at = self.rnd.randrange(len(BLOB) - VALUE_MAX)
        return head + BLOB[at:at + size - len(head)]

    def note(self, rev, key, kv):
        assert rev > self.rev, f'{key}: revision {rev} after {self.rev}'
        self.rev = rev
        self.events.append(Event(rev, key, kv, self.now.get(key)))
        if kv is None:
            del self.now[key]
        else:
            self.now[key] = kv

    def txn(self, body):
        data, was_lost = self.api.again(KV + 'Txn', body)
        return Txn(data), was_lost

    def create(self, key, lease=0):
        value = self.value(key)
        r, was_lost = self.txn(txn_body(compare(MOD, key, 0), put_op(key, value, lease)))
        if r.succeeded:
            assert len(r.responses) == 1 and r.responses[0][0] == 2, r.responses
            self.note(r.rev, key, Kv(key, r.rev, r.rev, 1, value, lease))
            return
        assert was_lost and not r.responses, f'{key} was not there'
        got = self.api.range(key).kvs[0]
        assert got.value == value, got
        self.resolved += 1
        self.note(got.mod, key, Kv(key, got.mod, got.mod, 1, value, lease))

    def create_again(self, key):
        """Refused, with nothing in the answer: there is no failure branch."""
        r, _ = self.txn(txn_body(compare(MOD, key, 0), put_op(key, b'other')))
        assert not r.succeeded and not r.responses and r.rev >= self.rev, (r.succeeded, r.responses, r.rev)

    def update(self, key, lease=0):
        old, value = self.now[key], self.value(key)
        r, was_lost = self.txn(txn_body(compare(MOD, key, old.mod), put_op(key, value, lease), range_op(key)))
        rev = r.rev
        if not r.succeeded:
            got = r.failure_kv()
            assert was_lost and got is not None and got.value == value, got
            rev = got.mod
            self.resolved += 1
        self.note(rev, key, Kv(key, old.create, rev, old.version + 1, value, lease))

    def update_stale(self, key):
        """With a revision of before: the failure branch tells the state."""
        r, _ = self.txn(txn_body(compare(MOD, key, self.now[key].mod - 1), put_op(key, b'stale'), range_op(key)))
        assert r.failure_kv() == self.now[key], (r.failure_kv(), self.now[key])

    def delete(self, key):
        old = self.now[key]
        r, was_lost = self.txn(txn_body(compare(MOD, key, old.mod), delete_op(key), range_op(key)))
        rev = r.rev
        if r.succeeded:
            arm, body = r.responses[0]
            assert arm == 3 and dict(fields(body)).get(2) == 1, r.responses
        else:
            assert was_lost and r.failure_kv() is None, r.failure_kv()
            rev = self.rev + 1  # nobody else writes while answers are lost
            self.resolved += 1
        self.note(rev, key, None)

    def delete_stale(self, key):
        r, _ = self.txn(txn_body(compare(MOD, key, self.now[key].mod - 1), delete_op(key), range_op(key)))
        assert r.failure_kv() == self.now[key]

    def sorted(self, prefix, now=None):
        now = self.now if now is None else now
        return [now[k] for k in sorted(now) if k.startswith(prefix)]

    def at(self, rev):
        """{key: Kv} as it was."""
        now = {}
        for e in self.events:
            if e.rev > rev:
                break
            now[e.key] = e.kv
        return {k: v for k, v in now.items() if v is not None}

    def lease(self, ttl):
        """As kube-apiserver asks for one: no id."""
        f = dict(fields(self.api.again(LEASE + 'LeaseGrant', field(1, ttl))[0]))
        assert f.get(3) == ttl and f.get(2), f
        return f[2]
