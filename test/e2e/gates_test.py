#!/usr/bin/env python3
"""Feature gates that clients and operators can see: the metric, Health during a defragmentation, the address that
peers are dialled from.  (Leases: lease_test.py; hashes: test/unit/service.)"""
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
import grpc_call as g  # noqa: E402
from cairn_test import main  # noqa: E402
from watch_stream import fields  # noqa: E402

SERVING, NOT_SERVING = 1, 2


def lines(log, text):
    return [line for line in map(json.loads, log.splitlines()) if text in line['msg']]


def test_metric(t):
    s = t.server(args=['--feature-gates=AllAlpha=true,LeaseCheckpoint=false,LeaseCheckpointPersist=false']).start()
    page = s.get('/metrics')[1]
    rows = dict(re.findall(r'^etcd_server_feature_enabled\{name="(\w+)",stage="\w+"\} (\d)$', page, re.M))
    assert len(rows) == 11, rows
    off = sorted(name for name, value in rows.items() if value == '0')
    assert off == ['AllBeta', 'LeaseCheckpoint', 'LeaseCheckpointPersist'], rows


def test_health_during_a_defragmentation(t):
    s = t.server(args=['--feature-gates=StopGRPCServiceOnDefrag=true']).start()
    health = g.Call(s.client_port, '/grpc.health.v1.Health/Watch', b'')
    seen = [health.next()]
    s.ctl('defrag')
    seen += [health.next(), health.next()]
    assert [dict(fields(m))[1] for m in seen] == [SERVING, NOT_SERVING, SERVING], seen
    health.cancel()
    changes = lines(s.log(), 'grpc service status changed')
    assert [c['status'] for c in changes] == ['SERVING', 'NOT_SERVING', 'SERVING'], changes
    assert changes[1]['reason'] == 'defrag is active'


def test_health_without_the_gate(t):
    s = t.server().start()
    health = g.Call(s.client_port, '/grpc.health.v1.Health/Watch', b'')
    assert dict(fields(health.next()))[1] == SERVING
    s.ctl('defrag')
    assert health.is_waiting()
    health.cancel()


def test_local_address(t):
    """Loopback is not taken: nothing else is sure to be there.  test/unit/os has the binding itself."""
    s = t.server(args=['--feature-gates=SetMemberLocalAddr=true']).start()
    assert lines(s.log(), 'searching for a suitable member local address in AdvertisePeerURLs')
    assert lines(s.log(), 'unable to set a member local address due to lack of suitable local addresses')
    assert lines(s.log(), 'starting an etcd server')[0]['local-address'] == ''


if __name__ == '__main__':
    main(globals())
