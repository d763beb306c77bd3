#!/usr/bin/env python3
"""--auto-compaction-*: the leader compacts by itself; its log lines are etcd's."""
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from cairn_test import HANG_S, main  # noqa: E402
from cluster import Cluster  # noqa: E402


def lines(log, text):
    return [line for line in map(json.loads, log.splitlines()) if text in line['msg']]


def wait_for(what):
    end = time.monotonic() + HANG_S
    while not what():
        assert time.monotonic() < end, 'it does not come'
        time.sleep(0.1)


def is_compacted(ctl, rev):
    return 'required revision has been compacted' in ctl('get', 'k', f'--rev={rev}', ok=False)[1]


def test_periodic(t):
    s = t.server(args=['--auto-compaction-mode=periodic', '--auto-compaction-retention=2s']).start()
    for i in range(5):
        s.ctl('put', 'k', str(i))
    wait_for(lambda: is_compacted(s.ctl, 5))
    assert s.ctl('get', 'k', '--print-value-only')[0] == '4\n'
    start = lines(s.log(), 'starting an etcd server')[0]
    assert start['auto-compaction-retention'] == start['auto-compaction-interval'] == '2s', start
    assert start['auto-compaction-mode'] == 'periodic'
    # First to revision 1 or so, a period after the start; then to what is newer.
    wait_for(lambda: lines(s.log(), 'completed auto periodic compaction'))
    first = lines(s.log(), 'auto periodic compaction')[:2]
    assert [x['msg'].split()[0] for x in first] == ['starting', 'completed'], first
    assert all(x['compact-period'] == '2s' and x['revision'] >= 1 for x in first) and 'took' in first[1], first
    count = len(lines(s.log(), 'completed auto periodic compaction'))
    time.sleep(3)  # nothing is written: nothing is compacted again
    assert len(lines(s.log(), 'completed auto periodic compaction')) <= count + 1


def test_only_the_leader(t):
    c = Cluster(t, args=['--auto-compaction-retention=1s']).start()
    for i in range(5):
        c.ctl('put', 'k', str(i))
    wait_for(lambda: is_compacted(c.ctl, 5))
    leader = c.leader()
    others = [m for m in c.members if m is not leader]
    assert lines(leader.log(), 'completed auto periodic compaction')
    assert not any(lines(m.log(), 'auto periodic compaction') for m in others)
    leader.kill()
    c.wait(others)
    for i in range(5):
        c.ctl('put', 'k', str(i), members=others)
    rev = c.json('get', 'k', members=others)['header']['revision']
    wait_for(lambda: is_compacted(lambda *a, **kw: c.ctl(*a, members=others, **kw), rev - 1))
    leader.start()
    c.wait()
    # Of a revision that was compacted those who were there keep the hash of before, who was started since has the one
    # of after (as in etcd): asked of a revision that is new.
    for i in range(50):
        c.ctl('put', 'k', f'new {i}')
        h = c.hashes()
        if len({compact_rev for _, compact_rev in h}) == 1:
            break
    assert len(set(h)) == 1, h


def test_revision_mode(t):
    """Five minutes are too long for a test: it starts, and says so."""
    s = t.server(args=['--auto-compaction-mode=revision', '--auto-compaction-retention=1000']).start()
    start = lines(s.log(), 'starting an etcd server')[0]
    assert start['auto-compaction-mode'] == 'revision' and start['auto-compaction-retention'] == '1µs', start
    assert s.ctl('put', 'k', 'v')[0] == 'OK\n'


if __name__ == '__main__':
    main(globals())
