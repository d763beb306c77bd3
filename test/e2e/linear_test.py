#!/usr/bin/env python3
"""Linearizability: concurrent clients put, get and compare-and-swap while members are killed, stopped and cut
off; every key's history must have an order.  The checker is shown to see what it is for.

usage: linear_test.py [--rounds N] [--secs S] [--seed N]  (besides those of every test)"""
import bisect
import contextlib
import itertools
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
import failover  # noqa: E402
import history  # noqa: E402
import linear  # noqa: E402
import network  # noqa: E402
from cairn_test import main  # noqa: E402
from cluster import Cluster  # noqa: E402
from history import Op  # noqa: E402
from nemesis import Nemesis  # noqa: E402

SETTINGS = {'rounds': 1, 'secs': 10, 'seed': 1}


# ---- the checker ----

def put(call, ret, value, outcome='ok'):
    return Op(0, call, ret, 'put', 'k', value, '-', outcome, 0, '-', 0, '')


def get(call, ret, seen, version):
    return Op(1, call, ret, 'get', 'k', '-', '-', 'ok', 0, seen, version, '')


def cas(call, ret, expected, value, outcome, seen='-', version=0):
    return Op(2, call, ret, 'cas', 'k', value, expected, outcome, 0, seen, version, '')


def fits(*ops):
    return linear.check(list(ops)) is None


def test_checker_takes_what_is_linear(t):
    assert fits(put(0, 1, 'a'), get(2, 3, 'a', 1), put(4, 5, 'b'), get(6, 7, 'b', 2))
    assert fits(get(0, 1, '-', 0), put(0, 3, 'a'), get(1, 2, '-', 0), get(2, 3, 'a', 1))
    assert fits(put(0, 9, 'a'), put(0, 9, 'b'), get(1, 2, 'b', 1), get(3, 4, 'a', 2))
    assert fits(cas(0, 1, '-', 'a', 'ok'), cas(2, 3, 'a', 'b', 'ok'), cas(4, 5, 'a', 'c', 'no', 'b', 2))
    # Without an answer: never, at once, or late.
    assert fits(put(0, 1, 'a', 'unknown'), get(2, 3, '-', 0), get(4, 5, '-', 0))
    assert fits(put(0, 1, 'a', 'unknown'), get(2, 3, '-', 0), get(4, 5, 'a', 1))
    assert fits(put(0, 1, 'a'), cas(2, 3, 'a', 'b', 'unknown'), put(4, 5, 'c'), get(6, 7, 'b', 3)) is False
    assert fits(put(0, 1, 'a'), cas(2, 3, 'a', 'b', 'unknown'), get(4, 5, 'a', 1), get(6, 7, 'b', 2))


def test_checker_sees_a_stale_read(t):
    assert not fits(put(0, 1, 'a'), put(2, 3, 'b'), get(4, 5, 'a', 1))
    assert not fits(put(0, 1, 'a'), get(2, 3, '-', 0))
    # Somebody has seen the new value, somebody later the old one.
    assert not fits(put(0, 1, 'a'), put(2, 9, 'b'), get(3, 4, 'b', 2), get(5, 6, 'a', 1))
    assert not fits(put(0, 1, 'a'), put(2, 3, 'b'), cas(4, 5, 'a', 'c', 'ok'))


def test_checker_sees_a_lost_write(t):
    assert not fits(put(0, 1, 'a'), put(2, 3, 'b'), get(4, 5, 'a', 1), get(6, 7, 'a', 1))
    # Overwritten at once, so that only the count of writes tells.
    assert not fits(put(0, 1, 'a'), put(2, 3, 'b'), put(4, 5, 'c'), get(6, 7, 'c', 2))
    assert not fits(cas(0, 1, '-', 'a', 'ok'), cas(2, 3, '-', 'b', 'ok'))


def test_checker_sees_a_doubled_write(t):
    assert not fits(put(0, 1, 'a'), get(2, 3, 'a', 2))
    assert not fits(put(0, 1, 'a'), put(2, 3, 'b'), get(4, 5, 'b', 2), get(6, 7, 'a', 3))
    # A write without an answer happens once at most.
    assert not fits(put(0, 1, 'a', 'unknown'), get(2, 3, 'a', 1), put(4, 5, 'b'), get(6, 7, 'a', 3))


def stale_answers(ops, o):
    """Answers older than what somebody had been told before this read began."""
    gets = [p for p in ops if p.kind == 'get' and p.key == o.key and p.outcome == 'ok']
    newest = max((p.seen_version for p in gets if p.ret < o.call), default=0)
    return [p for p in gets if 0 < p.seen_version < newest]


PLANTS = 8  # spots that are tried for each kind


def stale_spots(ops):
    """The reads that stale_answers has something for, without asking it for each: histories are long."""
    told, oldest = {}, {}
    for o in ops:
        if o.kind == 'get' and o.outcome == 'ok':
            told.setdefault(o.key, []).append((o.ret, o.seen_version))
            if o.seen_version > 0:
                oldest[o.key] = min(o.seen_version, oldest.get(o.key, o.seen_version))
    newest = {}
    for key, answers in told.items():
        answers.sort()
        newest[key] = [0, *itertools.accumulate((version for _, version in answers), max)]

    def is_spot(o):
        before = bisect.bisect_left(told[o.key], (o.call,))
        return o.key in oldest and oldest[o.key] < newest[o.key][before]

    return [i for i, o in enumerate(ops) if o.kind == 'get' and o.outcome == 'ok' and o.seen_version > 2 and is_spot(o)]


def planted(ops, what, seed):
    """The same history with one fault in it."""
    ops, rng = list(ops), random.Random(seed)
    spots = stale_spots(ops) if what == 'stale' else [
        i for i, o in enumerate(ops) if o.kind == 'get' and o.outcome == 'ok' and o.seen_version > 2]
    if not spots:
        return None
    at = rng.choice(spots)
    o = ops[at]
    if what == 'stale':
        older = stale_answers(ops, o)[0]
        ops[at] = o._replace(seen=older.seen, seen_version=older.seen_version)
    else:
        # As if one write before it had not been done, or had been done twice.
        step = -1 if what == 'lost' else 1
        for i, p in enumerate(ops):
            if p.kind != 'put' and p.key == o.key and p.seen_version >= o.seen_version:
                ops[i] = p._replace(seen_version=p.seen_version + step)
    return ops


# ---- the cluster ----

def one_round(t, seed, is_tls):
    rng = random.Random(seed)
    with contextlib.ExitStack() as stack:
        # Every other time members that come back need a snapshot.
        args = ['--snapshot-count=200', '--snapshot-catchup-entries=50'] if seed % 2 == 0 else []
        c = Cluster(t, is_tls=is_tls, args=args, names=network.names())
        c.token = f'linear{seed}'
        for m in c.members:
            m.data_dir = t.dir / f'{m.name}-{seed}.etcd'
        nemesis = Nemesis(c, network.network_of(c, stack), rng)
        c.start()
        clients = history.Clients(c, ['mix', f'r{seed}/', 6, 3, seed], timeout_ms=2000)
        nemesis.run(SETTINGS['secs'])
        c.wait()
        snapshots = sum(m.log().count('"applied snapshot"') for m in c.members)
        ops = clients.stop()
        c.assert_equal()
        failover.check_logs(c)
    known = sum(o.outcome != 'unknown' for o in ops)
    print(f'seed {seed}{" tls" if is_tls else ""}: {len(ops)} operations, {len(ops) - known} without an answer, '
          f'{snapshots} snapshots; faults: {", ".join(f"{f} {m}" for _, f, m in nemesis.told)}', flush=True)
    assert known > 100, f'{known} answers of {len(ops)}'
    history.check_revisions(ops)
    fault = linear.check(ops)
    assert fault is None, f'seed {seed}, {nemesis.told}\n{fault}'
    return ops


def histories(t, is_tls):
    ops = []
    for i in range(SETTINGS['rounds']):
        ops = one_round(t, SETTINGS['seed'] + i, is_tls)
    # The checker would have seen it in a history of this size.  Not at every spot: a write that nobody heard of again
    # explains one more version.
    for what in ('stale', 'lost', 'doubled'):
        faulty = (planted(ops, what, seed) for seed in range(PLANTS))
        assert any(f is not None and linear.check(f) is not None for f in faulty), f'a planted fault was not seen: {what}'


def test_histories_are_linear(t):
    histories(t, is_tls=False)


def test_histories_are_linear_over_tls(t):
    histories(t, is_tls=True)


def take_settings():
    for name in SETTINGS:
        if f'--{name}' in sys.argv:
            at = sys.argv.index(f'--{name}')
            SETTINGS[name] = int(sys.argv[at + 1])
            del sys.argv[at:at + 2]


if __name__ == '__main__':
    take_settings()
    main(globals())
