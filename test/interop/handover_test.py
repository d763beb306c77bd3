#!/usr/bin/env python3
"""Data directories and snapshot files handed over between real etcd and Cairn, both ways.

For each of etcd 3.5, 3.6, 3.7: it fills a directory (updates, deletes, a compaction, leases, an alarm, a
member that comes and goes) and stops; Cairn starts on it, serves all, writes more, is killed with -9; the same etcd starts again on it.
What is served (digest of every pair with all its fields, HashKV) is equal at each hand-over, and so are
the buckets of the file as decoded lists.  INTEROP_KEYS sets the number of keys (100000).
"""
import json
import os
import pathlib
import sys
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE))
import reference  # noqa: E402
from cairn_test import Skip, main  # noqa: E402

KEYS = int(os.environ.get('INTEROP_KEYS', '100000'))


def tools(t, version):
    try:
        return reference.programs(t.build, version), reference.client(t.build)
    except reference.Missing as e:
        raise Skip(str(e))


def fill(t, client, server, keys, seed, leases=False):
    t.run([str(client), '-endpoints', server.endpoint, '-keys', str(keys), '-seed', str(seed),
           *(['-leases'] if leases else []), 'fill'])


def dump(t, client, server):
    return t.run([str(client), '-endpoints', server.endpoint, 'dump'])[0].strip()


def state(line):
    """What must be equal on both sides of a hand-over; compact revision included."""
    return dict(f.split('=') for f in line.split())


def buckets(t, client, server):
    out = t.run([str(client), 'buckets', str(server.data_dir / 'member/snap/db')])[0]
    return dict(line.split(' ', 1) for line in out.splitlines())


def gateway(server, path, body):
    req = urllib.request.Request(server.url + path, data=json.dumps(body).encode(), method='POST')
    with urllib.request.urlopen(req, timeout=60) as r:
        return json.loads(r.read())


def raise_alarm(server):
    gateway(server, '/v3/maintenance/alarm',
            {'action': 'ACTIVATE', 'memberID': '77', 'alarm': 'NOSPACE'})


def hand_over(t, version):
    ref, client = tools(t, version)
    theirs = t.server(binary=ref['etcd'])
    theirs.start()
    fill(t, client, theirs, KEYS, 1, leases=True)
    # A member that comes and goes: membership changes in the log, a removed id in the file.
    ctl = [str(ref['etcdctl']), '--endpoints', theirs.endpoint, 'member']
    added = t.run([*ctl, 'add', 'later', '--learner', '--peer-urls=http://127.0.0.1:1'])[0]
    t.run([*ctl, 'remove', added.split()[1]])
    members = theirs.ctl('member', 'list')[0]
    raise_alarm(theirs)
    before = dump(t, client, theirs)
    theirs.stop()
    before_buckets = buckets(t, client, theirs)

    ours = t.server(data_dir=theirs.data_dir)
    ours.client_port, ours.peer_port = theirs.client_port, theirs.peer_port
    ours.start(wait=False)
    ours.wait_listening()
    assert state(dump(t, client, ours)) == state(before), (version, dump(t, client, ours), before)
    assert ours.json('endpoint', 'status')[0]['Status']['version'].startswith(version)
    assert 'memberID:77 alarm:NOSPACE' in ours.ctl('alarm', 'list')[0]
    assert ours.ctl('put', 'x', 'y', ok=False)[2] == 1
    assert ours.ctl('member', 'list')[0] == members, members
    ours.kill()
    after_buckets = buckets(t, client, ours)
    assert after_buckets == before_buckets, (before_buckets, after_buckets)

    ours.start(wait=False)
    ours.wait_listening()
    ours.ctl('alarm', 'disarm')
    fill(t, client, ours, KEYS // 5, 2)
    t.run([str(client), '-endpoints', ours.endpoint, 'odd'])
    middle = dump(t, client, ours)
    ours.kill()
    theirs.start()
    assert state(dump(t, client, theirs)) == state(middle), version
    fill(t, client, theirs, KEYS // 20, 3)
    end = dump(t, client, theirs)
    theirs.stop()
    ours.start()
    assert state(dump(t, client, ours)) == state(end), version
    assert ours.stop() in (-15, 143)


def restore(t, tool, file, name, server):
    peer = f'http://127.0.0.1:{server.peer_port}'
    t.run([str(tool), 'snapshot', 'restore', str(file), '--name', name, '--initial-cluster',
           f'{name}={peer}', '--initial-advertise-peer-urls', peer, '--data-dir', str(server.data_dir)])
    server.start()


def status(t, tool, file):
    return t.run([str(tool), 'snapshot', 'status', str(file), '-w', 'json'])[0]


def snapshot_both_ways(t, version):
    ref, client = tools(t, version)
    keys = KEYS // 10
    theirs = t.server(binary=ref['etcd']).start()
    fill(t, client, theirs, keys, 4, leases=True)
    before = state(dump(t, client, theirs))
    t.run([str(ref['etcdctl']), '--endpoints', theirs.endpoint, 'snapshot', 'save', 'theirs.db'])
    if version != '3.5':
        assert status(t, t.bin('etcdutl'), 'theirs.db') == status(t, ref['etcdutl'], 'theirs.db')
    ours = t.server(name='m1')
    restore(t, t.bin('cairnutl'), 'theirs.db', 'm1', ours)
    after = state(dump(t, client, ours))
    assert after == before, (before, after)
    fill(t, client, ours, keys // 5, 5)
    middle = state(dump(t, client, ours))
    ours.ctl('snapshot', 'save', 'ours.db')
    if version != '3.5':
        assert status(t, t.bin('etcdutl'), 'ours.db') == status(t, ref['etcdutl'], 'ours.db')
    back = t.server(binary=ref['etcd'], name='m2')
    restore(t, ref['etcdutl'], 'ours.db', 'm2', back)
    assert state(dump(t, client, back)) == middle
    # Equal bytes from both tools' restore: one file, both programs, same numbers.
    again = t.server(binary=ref['etcd'], name='m3')
    restore(t, t.bin('cairnutl'), 'ours.db', 'm3', again)
    assert state(dump(t, client, again)) == middle


def test_hand_over_3_5(t):
    hand_over(t, '3.5')


def test_hand_over_3_6(t):
    hand_over(t, '3.6')


def test_hand_over_3_7(t):
    hand_over(t, '3.7')


def test_snapshot_3_5(t):
    snapshot_both_ways(t, '3.5')


def test_snapshot_3_6(t):
    snapshot_both_ways(t, '3.6')


def test_snapshot_3_7(t):
    snapshot_both_ways(t, '3.7')


if __name__ == '__main__':
    main(globals())
