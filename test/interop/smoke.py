#!/usr/bin/env python3
"""The part of `make interop` that Debian's packages allow (etcd-server and etcd-client, 3.4).

A directory of etcd 3.4 is taken over by Cairn and given back; snapshot files go both ways.  What is
served (every pair with all its fields as JSON, HashKV) is equal at each hand-over.
"""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
from cairn_test import main  # noqa: E402

CTL = 'debian-etcdctl'
OPS_A_TXN = 100


def fill(server, first, count):
    """count keys in transactions, every fifth updated, every seventh deleted."""
    for start in range(first, first + count, OPS_A_TXN):
        keys = range(start, min(start + OPS_A_TXN, first + count))
        ops = '\n'.join(f'put key{k:05d} value-{k}' for k in keys)
        server.ctl('txn', ctl=CTL, input=f'\n{ops}\n\n\n')
    for k in range(first, first + count, max(count // 10, 1)):
        server.ctl('put', f'key{k:05d}', 'updated', ctl=CTL)
        server.ctl('del', f'key{k + 1:05d}', ctl=CTL)


def state(server):
    """All that a client sees: the pairs, and the hash of the whole history that is kept."""
    pairs = server.json('get', '', '--prefix', ctl=CTL)
    hashes = server.json('endpoint', 'hashkv', ctl=CTL)[0]['HashKV']
    return pairs['header']['revision'], pairs['kvs'], hashes['hash'], hashes['compact_revision']


def leased(server):
    lease = server.ctl('lease', 'grant', '86400', ctl=CTL)[0].split()[1]
    server.ctl('put', 'leased', 'v', f'--lease={lease}', ctl=CTL)


def compact(server):
    rev = server.json('get', '', '--prefix', '--limit=1', ctl=CTL)['header']['revision']
    server.ctl('compaction', str(rev - 5), '--physical', ctl=CTL)


def test_directory_of_3_4_both_ways(t):
    theirs = t.server(binary=t.bin('debian-etcd'))
    theirs.start()
    fill(theirs, 0, 500)
    leased(theirs)
    compact(theirs)
    before = state(theirs)
    theirs.stop()

    ours = t.server(data_dir=theirs.data_dir)
    ours.client_port, ours.peer_port = theirs.client_port, theirs.peer_port
    ours.start()
    assert state(ours) == before, (state(ours), before)
    # 3.5 is the lowest level that Cairn speaks; it writes nothing that 3.4 cannot read.
    assert ours.json('endpoint', 'status')[0]['Status']['version'].startswith('3.5.')
    fill(ours, 500, 300)
    compact(ours)
    middle = state(ours)
    ours.kill()

    theirs.start()
    assert state(theirs) == middle, (state(theirs), middle)
    fill(theirs, 800, 100)
    end = state(theirs)
    theirs.stop()
    ours.start()
    assert state(ours) == end, (state(ours), end)


def restore(t, tool, file, server):
    peer = f'http://127.0.0.1:{server.peer_port}'
    t.run([str(tool), 'snapshot', 'restore', str(file), '--name', server.name, '--initial-cluster',
           f'{server.name}={peer}', '--initial-advertise-peer-urls', peer, '--data-dir',
           str(server.data_dir)])
    server.start()


def kept(server):
    """Of a state what a restore keeps: the pairs."""
    return state(server)[1]


def test_snapshots_both_ways(t):
    theirs = t.server(binary=t.bin('debian-etcd')).start()
    fill(theirs, 0, 300)
    theirs.ctl('snapshot', 'save', 'theirs.db', ctl=CTL)
    for tool in ['cairnctl', 'cairnutl']:
        ours = t.server(name=f'by-{tool}')
        restore(t, t.bin(tool), 'theirs.db', ours)
        assert kept(ours) == kept(theirs)
        fill(ours, 300, 100)
    ours.ctl('snapshot', 'save', 'ours.db', ctl=CTL)
    status = [json.loads(t.run([str(p), 'snapshot', 'status', 'theirs.db', '-w', 'json'])[0])
              for p in (t.bin(CTL), t.bin('cairnctl'))]
    for key in ('hash', 'revision', 'totalKey', 'totalSize'):
        assert status[0][key] == status[1][key], status


main(globals())
