#!/usr/bin/env python3
"""High availability: three members, a client that knows all of them and writes all the time, and whatever can
happen to one of them (or two).  No acknowledged write is lost, revisions never go back, members catch up."""
import collections
import contextlib
import pathlib
import sys
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
import failover  # noqa: E402
import history  # noqa: E402
import network  # noqa: E402
from cairn_test import HANG_S, Skip, Test, main  # noqa: E402
from cluster import Cluster  # noqa: E402


def faults(t, has_network):
    with contextlib.ExitStack() as stack:
        c = Cluster(t, is_tls=True, names=network.names())
        net = stack.enter_context(network.Network(c)) if has_network else None
        c.start()
        ops, silence, returns = failover.run(c, net)
        failover.check(c, ops)
    for name, seconds in silence.items():
        print(f'{name}: no write for {seconds[0]:.2f} s, its own writes {returns[name][0]:.2f} s after the end')


def test_kill_stop_and_cut(t):
    try:
        faults(t, has_network=True)
    except Skip:
        faults(t, has_network=False)
        raise


# ---- a full disk ----

def full_disk(t, of_leader):
    c, m, seconds = failover.full_disk(t, of_leader)
    print(f'full disk: no write for {seconds:.2f} s; {m.name} {"ended and was started again" if c.had_ended else "lived"}')


def test_full_disk_of_the_leader(t):
    full_disk(t, of_leader=True)


def test_full_disk_of_a_follower(t):
    full_disk(t, of_leader=False)


# ---- far behind ----

def write_many(c, prefix, count):
    clients = history.Clients(c, ['stream', prefix, 2, 20], timeout_ms=20000)
    end = time.monotonic() + 2 * HANG_S
    while clients.path.read_bytes().count(b'\n') < count:
        assert time.monotonic() < end, 'too slow'
        time.sleep(0.2)
    ops = clients.stop()
    assert sum(o.outcome == 'ok' for o in ops) >= count
    return ops


def behind(t, args):
    """A member is down for 30,000 writes; (its log of afterwards, the others')."""
    c = Cluster(t, args=args).start()
    m = failover.pick(c, of_leader=False)
    others = [o for o in c.members if o is not m]
    m.kill()
    before = len(m.log())
    ops = write_many(c, 'f/', 30_000)
    c.ctl('compact', str(c.json('get', 'x', members=others)['header']['revision'] - 100), members=others)
    m.start()
    failover.wait_for_writes_at(c, m)
    failover.check(c, ops)
    return m.log()[before:]


def test_down_for_30000_writes_by_log(t):
    log = behind(t, ['--snapshot-count=100000'])
    assert 'applied snapshot' not in log


def test_down_for_30000_writes_by_snapshot(t):
    log = behind(t, ['--snapshot-count=1000', '--snapshot-catchup-entries=500'])
    assert 'applied snapshot' in log


# ---- no quorum ----

TIMED_OUT = 'etcdserver: request timed out'
LEADER_FAIL = TIMED_OUT + ', possibly due to previous leader failure'
CONN_LOST = TIMED_OUT + ', possibly due to connection lost'
DEADLINE = 'context deadline exceeded'


def refusals(ops, begin, end):
    """{text: [seconds from the call to the answer]} of what was begun in this time."""
    out = collections.defaultdict(list)
    for o in ops:
        if begin <= o.call <= end:
            out[o.error].append(o.ret - o.call)
    return out


def tell(errors):
    for text, seconds in errors.items():
        print(f'{len(seconds)} refused after {min(seconds):.1f}-{max(seconds):.1f} s: {text}')


def two_down(t, keep_leader):
    c = Cluster(t).start()
    leader = c.leader()
    keep = leader if keep_leader else failover.pick(c, of_leader=False)
    down = [m for m in c.members if m is not keep]
    c.ctl('put', 'here', 'value')
    clients = history.Clients(c, ['stream', 'f/', 50], timeout_ms=30000, members=[keep])
    failover.wait_for_writes(clients, 0)
    for m in down:
        m.kill()
    begin = time.monotonic()
    time.sleep(1)
    assert 'value' in c.ctl('get', 'here', '--consistency=s', members=[keep])[0]
    time.sleep(8)
    assert 'value' in c.ctl('get', 'here', '--consistency=s', members=[keep])[0]
    down[0].start()
    failover.wait_for_writes(clients, time.monotonic())
    down[1].start()
    ops = clients.stop()
    # 7 s: what was begun in the first second cannot have waited for the member's return.
    errors = refusals(ops, begin, begin + 0.8)
    assert errors and set(errors) <= {TIMED_OUT, LEADER_FAIL, CONN_LOST, DEADLINE}, dict(errors)
    assert min(min(s) for s in errors.values()) > 6, dict(errors)
    tell(errors)
    failover.check(c, ops)


def forwarded(t):
    """A put that a follower has sent to a leader that is dead: etcd's error at etcd's time, however long the client
    would wait."""
    c = Cluster(t).start()
    leader = c.leader()
    keep = failover.pick(c, of_leader=False)
    clients = history.Clients(c, ['stream', 'f/', 20], timeout_ms=30000, members=[keep])
    failover.wait_for_writes(clients, 0)
    leader.kill()
    begin = time.monotonic()
    failover.wait_for_writes(clients, begin)
    ops = clients.stop()
    leader.start()
    lost = refusals(ops, begin, begin + HANG_S)
    lost.pop('', None)
    tell(lost)
    assert set(lost) <= {LEADER_FAIL, TIMED_OUT, CONN_LOST}, dict(lost)
    assert min([min(s) for s in lost.values()], default=7) > 6, dict(lost)
    failover.check(c, ops)


def together(t, parts):
    """Parts that mostly wait, at the same time."""
    failures = []

    def one(name, part):
        own = Test(t.build, name)
        try:
            part(own)
        except Exception:
            failures.append(f'{name}:\n{traceback.format_exc()}')
        finally:
            own.close(keep=False)
    threads = [threading.Thread(target=one, args=part) for part in parts.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, '\n'.join(failures)


def test_without_quorum_or_leader(t):
    together(t, {'follower-left': lambda own: two_down(own, keep_leader=False),
                 'leader-left': lambda own: two_down(own, keep_leader=True),
                 'forwarded': forwarded})


if __name__ == '__main__':
    main(globals())
