#!/usr/bin/env python3
"""Lock and Election as clients of the gRPC services meet them: whose turn it is, what wakes whom, leases that end,
clients and members that go."""
import base64
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
import grpc_call as g  # noqa: E402
from cairn_test import HANG_S, main  # noqa: E402
from cluster import Cluster  # noqa: E402
from h2client import Client, field  # noqa: E402
from watch_stream import fields  # noqa: E402

UNKNOWN, DEADLINE_EXCEEDED = 2, 4


def wait_for(what):
    end = time.monotonic() + HANG_S
    while not what():
        assert time.monotonic() < end, 'it does not come'
        time.sleep(0.05)


def keys(ctl, prefix):
    return [k for k in ctl('get', prefix, '--prefix', '--keys-only')[0].split('\n') if k]


def queue(ctl, port, name, leases):
    """A call each, in this order; their keys are there when this returns."""
    calls = []
    for lease in leases:
        calls.append(g.lock(port, name, lease))
        wait_for(lambda: f'{name}/{lease:x}' in keys(ctl, name + '/'))
    return calls


# ---- Lock ----

def test_lock_alone(t):
    s = t.server().start()
    port = s.client_port
    lease = g.grant(port, 100)
    first = g.lock(port, 'a', lease).answer()
    key = g.lock_key(first)
    assert key == f'a/{lease:x}', key
    assert keys(s.ctl, 'a/') == [key]
    again = g.lock(port, 'a', lease).answer()  # the holder's own: at once
    assert g.lock_key(again) == key and g.header(again) == g.header(first), (again, first)
    rev = g.header(first)['rev']
    gone = g.unlock(port, key)
    assert g.header(gone)['rev'] == rev + 1 and dict(fields(gone)).keys() == {1}
    assert g.header(g.unlock(port, key))['rev'] == rev + 1  # it is not there: nothing changes
    own = g.lock_key(g.lock(port, 'a').answer())  # the server's lease
    id = own.split('/')[1]
    out = s.ctl('lease', 'timetolive', f'{id:0>16}')[0]
    assert 'granted with TTL(60s)' in out, out
    assert g.lock_key(g.lock(port, '', lease).answer()) == f'/{lease:x}'


def test_lock_errors(t):
    s = t.server().start()
    port = s.client_port
    assert g.lock(port, 'a', 77).answer() == (UNKNOWN, 'etcdserver: requested lease not found')
    assert g.lock(port, 'a', -2).answer() == (UNKNOWN, 'etcdserver: requested lease not found')
    assert g.unlock(port, '') == (UNKNOWN, 'etcdserver: key is not provided')
    big = 'n' * (1 << 20) + 'n' * (1 << 19)
    assert g.lock(port, big, g.grant(port, 100)).answer() == (UNKNOWN, 'etcdserver: request is too large')
    assert g.Call(port, '/v3lockpb.Lock/Lock', b'\x0a\x05a').answer()[0] == 13


def test_order(t):
    """Who came first is first; an unlock wakes the next and nobody else."""
    s = t.server().start()
    port = s.client_port
    leases = [g.grant(port, 1000) for _ in range(10)]
    calls = queue(s.ctl, port, 'q', leases)
    for i, call in enumerate(calls):
        answer = call.answer()
        assert g.lock_key(answer) == f'q/{leases[i]:x}'
        assert all(c.is_waiting(0.02) for c in calls[i + 1:]), i
        assert isinstance(g.unlock(port, g.lock_key(answer)), bytes)
    assert keys(s.ctl, 'q/') == []


def test_middle_goes(t):
    """A waiter's key that goes wakes who came behind it, who goes on waiting for the one before."""
    s = t.server().start()
    port = s.client_port
    leases = [g.grant(port, 1000) for _ in range(4)]
    calls = queue(s.ctl, port, 'q', leases)
    calls[0].answer()
    s.ctl('del', f'q/{leases[2]:x}')
    assert calls[3].is_waiting() and calls[1].is_waiting(0)
    g.unlock(port, f'q/{leases[0]:x}')
    calls[1].answer()
    assert calls[3].is_waiting()
    g.unlock(port, f'q/{leases[1]:x}')
    calls[3].answer()
    assert calls[2].answer() == (UNKNOWN, 'mutex: session is expired')  # its turn, without its key


def test_lease_ends(t):
    """The holder's lease ends: the next has it.  A waiter's ends: it is told in its turn."""
    s = t.server().start()
    port = s.client_port
    short, long, lost = g.grant(port, 2), g.grant(port, 1000), g.grant(port, 1000)
    calls = queue(s.ctl, port, 'q', [short, long, lost])
    calls[0].answer()
    assert g.lock_key(calls[1].answer()) == f'q/{long:x}'
    g.revoke(port, lost)
    assert calls[2].is_waiting()
    g.revoke(port, long)
    assert calls[2].answer() == (UNKNOWN, 'mutex: session is expired')


def test_client_goes(t):
    """Who waits and goes takes its key away; who holds does not."""
    s = t.server().start()
    port = s.client_port
    leases = [g.grant(port, 1000) for _ in range(3)]
    calls = queue(s.ctl, port, 'q', leases)
    calls[0].answer()
    calls[1].cancel()
    wait_for(lambda: len(keys(s.ctl, 'q/')) == 2)
    assert keys(s.ctl, 'q/') == sorted(f'q/{leases[i]:x}' for i in (0, 2))
    g.unlock(port, f'q/{leases[0]:x}')
    calls[2].answer()
    late = g.lock(port, 'q', leases[1], timeout='300m')
    assert late.answer() == (DEADLINE_EXCEEDED, 'context deadline exceeded')
    wait_for(lambda: keys(s.ctl, 'q/') == [f'q/{leases[2]:x}'])


def test_gone_at_once(t):
    """Calls that are cancelled right after they were made leave no key behind that nobody waits for."""
    s = t.server().start()
    port = s.client_port
    lease = g.grant(port, 1000)
    holder = g.grant(port, 1000)
    g.lock(port, 'q', holder).answer()
    c = Client(port)
    for i in range(200):
        stream = c.call('/v3lockpb.Lock/Lock', field(1, b'q') + field(2, lease))
        c.reset(stream)
    c.close()
    wait_for(lambda: keys(s.ctl, 'q/') == [f'q/{holder:x}'])
    assert g.lock_key(g.lock(port, 'r', lease).answer()) == f'r/{lease:x}'


def test_many_wait(t):
    """A thousand on one connection, each woken in its turn; compaction does not disturb them."""
    s = t.server().start()
    port, count = s.client_port, 1000
    holder = g.grant(port, 1000)
    g.lock(port, 'q', holder).answer()
    c = Client(port)
    streams = []
    for lease in range(1, count + 1):
        granted = c.call('/etcdserverpb.Lease/LeaseGrant', field(1, 1000) + field(2, lease))
        c.read_until(lambda c: granted in c.ended)
        streams.append(c.call('/v3lockpb.Lock/Lock', field(1, b'q') + field(2, lease)))
    wait_for(lambda: len(keys(s.ctl, 'q/')) == count + 1)
    out = s.json('get', 'q/', '--prefix', '--sort-by=CREATE')
    s.ctl('compact', str(out['header']['revision']))
    order = [base64.b64decode(kv['key']).decode() for kv in out['kvs']]
    for i, stream in enumerate(streams):
        assert stream not in c.ended and not c.data_bytes.get(stream)
        done = c.call('/v3lockpb.Lock/Unlock', field(1, order[i].encode()))
        assert c.read_until(lambda c: stream in c.ended and done in c.ended)
    assert keys(s.ctl, 'q/') == [order[-1]]
    c.close()


# ---- Election ----

def test_election(t):
    s = t.server().start()
    port = s.client_port
    a, b = g.grant(port, 1000), g.grant(port, 1000)
    name = field(1, b'e')
    assert g.election(port, 'Leader', name).answer() == (UNKNOWN, 'election: no leader')
    seen = g.election(port, 'Observe', name)
    assert seen.is_waiting()
    first = g.campaign(port, 'e', a, 'one').answer()
    raw, leader = g.leader_key(first)
    assert leader == {'name': 'e', 'key': f'e/{a:x}', 'rev': g.header(first)['rev'], 'lease': a}, leader
    got = seen.next()
    assert g.leader_kv(got)['value'] == 'one' and g.header(got)['rev'] == leader['rev']
    wait = g.campaign(port, 'e', b, 'two')
    wait_for(lambda: len(keys(s.ctl, 'e/')) == 2)
    assert wait.is_waiting() and seen.is_waiting()
    for value in ('1a', '1b'):
        said = g.election(port, 'Proclaim', field(1, raw) + field(2, value.encode())).answer()
        got = seen.next()
        assert g.leader_kv(got)['value'] == value and g.header(got)['rev'] == g.header(said)['rev']
    assert g.leader_kv(g.election(port, 'Leader', name).answer())['value'] == '1b'
    late = g.election(port, 'Observe', name)
    assert g.leader_kv(late.next())['value'] == '1b'
    again = g.campaign(port, 'e', a, 'again').answer()  # the leader's own: it proclaims
    assert g.leader_key(again)[1] == leader
    assert [g.leader_kv(o.next())['value'] for o in (seen, late)] == ['again', 'again']
    g.election(port, 'Resign', field(1, raw)).answer()
    raw_b, leader_b = g.leader_key(wait.answer())
    assert leader_b['key'] == f'e/{b:x}' and leader_b['lease'] == b
    assert [g.leader_kv(o.next())['value'] for o in (seen, late)] == ['two', 'two']
    assert g.election(port, 'Proclaim', field(1, raw)).answer() == (UNKNOWN, 'election: not leader')
    assert isinstance(g.election(port, 'Resign', field(1, raw)).answer(), bytes)  # not the leader: no matter
    s.ctl('del', 'e/', '--prefix')
    assert seen.is_waiting()
    s.ctl('put', 'e/x', 'by hand')
    assert g.leader_kv(seen.next())['value'] == 'by hand'
    seen.cancel()
    late.cancel()


def test_election_errors(t):
    s = t.server().start()
    port = s.client_port
    for method in ('Proclaim', 'Resign'):
        assert g.election(port, method, b'').answer() == (UNKNOWN, '"leader" field must be provided')
        assert g.election(port, method, field(1, b'')).answer() == (UNKNOWN, 'etcdserver: key is not provided')
    assert g.campaign(port, 'e', 77, 'v').answer() == (UNKNOWN, 'etcdserver: requested lease not found')
    key = field(2, b'e/1') + field(3, 1) + field(4, 1)
    assert g.election(port, 'Proclaim', field(1, key)).answer() == (UNKNOWN, 'election: not leader')


def test_candidate_goes(t):
    s = t.server().start()
    port = s.client_port
    a, b, c = (g.grant(port, 1000) for _ in range(3))
    g.campaign(port, 'e', a, 'a').answer()
    second = g.campaign(port, 'e', b, 'b')
    wait_for(lambda: len(keys(s.ctl, 'e/')) == 2)
    third = g.campaign(port, 'e', c, 'c')
    wait_for(lambda: len(keys(s.ctl, 'e/')) == 3)
    second.cancel()
    wait_for(lambda: len(keys(s.ctl, 'e/')) == 2)
    g.revoke(port, a)
    assert g.leader_key(third.answer())[1]['key'] == f'e/{c:x}'


# ---- three members ----

def test_members_go(t):
    """Callers on all members; the leader is killed while they wait, then the member that serves the next one."""
    cl = Cluster(t).start()
    leader = cl.leader()
    others = [m for m in cl.members if m is not leader]
    ports = [m.client_port for m in others]
    holder = g.grant(ports[0], 1000)
    leases = [g.grant(ports[i % 2], 1000) for i in range(4)]
    assert g.lock_key(g.lock(ports[1], 'q', holder).answer()) == f'q/{holder:x}'
    calls = []
    for i, lease in enumerate(leases):
        calls.append(g.lock(ports[i % 2], 'q', lease))
        wait_for(lambda: len(keys(cl.ctl, 'q/')) == i + 2)
    seen = [g.election(p, 'Observe', field(1, b'q')) for p in ports]
    assert [g.leader_kv(o.next())['key'] for o in seen] == [f'q/{holder:x}'] * 2
    leader.kill()
    cl.wait(others)
    assert all(c.is_waiting(0.05) for c in calls)
    assert isinstance(g.unlock(ports[0], f'q/{holder:x}'), bytes)
    assert g.lock_key(calls[0].answer()) == f'q/{leases[0]:x}'
    assert [g.leader_kv(o.next())['key'] for o in seen] == [f'q/{leases[0]:x}'] * 2
    assert all(c.is_waiting(0.05) for c in calls[1:])
    leader.start()
    cl.wait()
    others[0].kill()  # it serves 0 (which holds) and 2
    rest = [m for m in cl.members if m is not others[0]]
    cl.wait(rest)
    assert calls[1].is_waiting(0.05)
    assert calls[2].answer()[0] != 0  # its connection is gone, its key stays until its lease ends
    assert isinstance(g.unlock(ports[1], f'q/{leases[0]:x}'), bytes)
    assert g.lock_key(calls[1].answer()) == f'q/{leases[1]:x}'
    g.unlock(ports[1], f'q/{leases[1]:x}')
    assert calls[3].is_waiting()
    g.revoke(ports[1], leases[2])
    assert g.lock_key(calls[3].answer()) == f'q/{leases[3]:x}'
    others[0].start()
    cl.wait()
    cl.assert_equal()


if __name__ == '__main__':
    main(globals())
