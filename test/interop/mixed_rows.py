# SPDX-License-Identifier: Apache-2.0
"""Rows 1 to 11, 14 and 16 of peer-protocol 7: what one cluster after the other goes through.

A row is a function of a cluster that is up; it leaves all members up and equal.  `say` prints a figure
that nothing depends on.
"""
import json
import os
import re
import threading
import time

import peer_test
from cairn_test import Skip
from mixed import MixedMember, under, wait_for

STORM_S = float(os.environ.get('MIXED_STORM_S', '3'))


said = threading.local()  # lines of the row that this thread is at


def say(text):
    said.lines.append(f'    {text}')


def kinds(c):
    """Of each kind that the cluster has, to be led by."""
    return [k for k in ('etcd', 'cairn') if c.of(k)]


def row_1_ids(c):
    """Same cluster and member ids, /members equal to the byte."""
    want = c.listed()
    for m in c.members:
        header = c.json('member', 'list', members=[m])['header']
        assert header['member_id'] == c.id(m), (m.name, header)
        assert f'{c.id(m):x}' in m.log(), m.name
        assert f'{header["cluster_id"]:x}' in m.log(), m.name
        assert sorted(c.listed(m), key=str) == sorted(want, key=str), m.name
    c.peer_members()


def row_2_status(c):
    """One leader, one term, one index."""
    c.applied()
    s = c.status()
    for field in ('leader', 'raftTerm', 'raftIndex', 'raftAppliedIndex'):
        assert len({x[field] for x in s.values()}) == 1, (field, s)
    table = c.ctl('endpoint', 'status', '-w', 'table', ctl=c.etcdctl)[0]
    assert len(re.findall(r'[|│] +true [|│] +false [|│]', table)) == 1, table


def nested_txn(c, m):
    c.tool(m, 'nested', '-name', m.name)
    assert c.get(m, '/ops/in') == m.name


def operations(c, m):
    c.put(m, '/ops/a', m.name)
    for i in range(5):
        c.put(m, f'/ops/b{i}', 'x' * i)
    nested_txn(c, m)
    got = c.ctl('get', '/ops/', '--prefix', '--keys-only', members=[m])[0].split()
    assert '/ops/b4' in got, got
    assert c.ctl('del', '/ops/b1', '/ops/b3', members=[m])[0] == '2\n'
    rev = c.json('get', '/ops/a', members=[m])['header']['revision']
    c.ctl('compact', str(rev - 3), members=[m])
    err = c.ctl('get', '/ops/a', f'--rev={rev - 4}', members=[m], ok=False)[1]
    assert 'required revision has been compacted' in err, err


def leases(c, m):
    """Through one endpoint; what only the leader can say is asked of it by the member."""
    def run(*args, **kw):
        return c.ctl(*args, ctl=c.etcdctl, members=[m], **kw)[0]

    lease = run('lease', 'grant', '600').split()[1]
    run('put', f'/leased/{m.name}', 'v', f'--lease={lease}')
    assert c.json('get', f'/leased/{m.name}')['kvs'][0]['lease'] == int(lease, 16)
    assert f'/leased/{m.name}' in run('lease', 'timetolive', lease, '--keys')
    assert 'keepalived with TTL(600)' in run('lease', 'keep-alive', '--once', lease)
    assert 'revoked' in run('lease', 'revoke', lease)
    assert run('get', f'/leased/{m.name}') == ''
    kept = run('lease', 'grant', '900').split()[1]
    run('put', f'/kept/{m.name}', 'v', f'--lease={kept}')
    short = run('lease', 'grant', '2').split()[1]
    run('put', f'/leased/{m.name}', 'v', f'--lease={short}')
    wait_for('expiry', lambda: run('get', f'/leased/{m.name}') == '')


def row_3_operations(c):
    """put, ranges, nested txn, del, compact through each endpoint, led by either kind."""
    for kind in kinds(c):
        c.lead(kind)
        for m in c.members:
            operations(c, m)
        c.same()


def row_3_leases(c):
    """Granted, attached, told of, kept, revoked, expired, through each endpoint, led by etcd."""
    c.lead('etcd')
    for m in c.members:
        leases(c, m)
    c.same()


def row_3_leases_led_by_cairn(c):
    """The same, led by Cairn."""
    c.lead('cairn')
    for m in c.members:
        leases(c, m)
    c.same()


def row_4_reads(c):
    """Linearizable reads see what was just written elsewhere; also around a paused leader."""
    for kind in kinds(c):
        lead = c.lead(kind)
        for i, m in enumerate(c.members):
            c.put(m, '/read', f'{kind}{i}')
            for r in c.members:
                assert c.get(r, '/read') == f'{kind}{i}', (kind, m.name, r.name)
        others = [m for m in c.members if m is not lead]
        lead.pause()
        try:
            started = time.monotonic()
            wait_for('a write without the leader', lambda: c.ctl(
                '--command-timeout=2s', 'put', '/read', kind + 'paused', members=others[:1], ok=False)[2] == 0)
            say(f'written {time.monotonic() - started:.1f} s after {kind} leader was stopped')
            for r in others:
                assert c.get(r, '/read') == kind + 'paused'
            time.sleep(max(0.0, 3 - (time.monotonic() - started)))
        finally:
            lead.resume()
        assert wait_for('a read of the old leader', lambda: c.ctl(
            '--command-timeout=2s', 'get', '/read', '--print-value-only', members=[lead],
            ok=False)[0].strip()) == kind + 'paused'
        c.wait()


def resets(m):
    return m.log().count('lost TCP streaming connection')


def row_5_writers(c):
    """40 writers through each endpoint, led by either kind; no stream is lost."""
    for kind in kinds(c):
        c.lead(kind)
        before = [resets(m) for m in c.members]
        with under(c.storm(clients=40, pin=True), say) as load:
            time.sleep(STORM_S)
        assert [resets(m) for m in c.members] == before, kind
        c.same()
    del load


def row_6_kill(c):
    """kill -9 of every member, and of the leader of each kind, under load."""
    with under(c.storm(), say):
        for m in c.members:
            m.kill()
            time.sleep(0.3)
            m.start()
            c.wait()
        for kind in kinds(c):
            lead = c.lead(kind)
            lead.kill()
            started = time.monotonic()
            rest = [m for m in c.members if m is not lead]
            wait_for('a new leader', lambda: c.ctl('--command-timeout=1s', 'put', '/led', kind, members=rest,
                                                   ok=False)[2] == 0)
            say(f'written {time.monotonic() - started:.1f} s after {kind} leader was killed')
            lead.start()
            c.wait()
    c.same()


RECEIVED = 'received and saved database snapshot'


def far_behind(c, m, count=6 * 50):
    """Down for so many entries that only a snapshot helps."""
    m.stop()
    c.put_many(count, [x for x in c.members if x is not m][0])
    m.start()
    c.wait()
    c.same()
    assert re.search('database snapshot', m.new_log()), m.new_log()[-3000:]


def state_rich(c):
    """Something in every bucket that a snapshot carries."""
    e = c.of('etcd')
    if e:
        c.ctl('lease', 'grant', '5000', ctl=c.etcdctl, members=e[:1])
    added = c.add('gone', learner=True)
    c.patiently('member', 'remove', f'{[x["ID"] for x in c.listed() if added.peer_url in x["peerURLs"]][0]:x}')


def row_7_snapshot_to_cairn(c):
    """A Cairn that was away gets etcd's database; restarts on it."""
    c.lead('etcd')
    state_rich(c)
    m = c.of('cairn')[0]
    far_behind(c, m)
    m.kill()
    m.start()
    c.wait()
    c.same()


def row_8_snapshot_from_cairn(c):
    """An etcd that was away gets Cairn's database; lists, restarts on it, leads."""
    c.lead('cairn')
    state_rich(c)
    m = c.of('etcd')[0]
    far_behind(c, m)
    assert len(c.listed(m)) == len(c.members)
    m.kill()
    m.start()
    c.wait()
    c.lead(m)
    for x in c.members:
        operations(c, x)
    c.same()


def one_change(c, lead, via, is_cairn):
    """Learner added, started, promoted, updated, removed; asked of `via` all the time."""
    c.lead(lead)
    m = c.add(f'x{len(list(c.t.dir.iterdir()))}', is_cairn, learner=True, via=via)
    c.refusal(via, 'too many learner members in cluster', 'member', 'add', 'y', '--learner',
              '--peer-urls=http://127.0.0.1:9')
    c.refusal(via, 'Peer URLs already exists', 'member', 'add', 'y', f'--peer-urls={c.members[0].peer_url}')
    c.members.append(m)
    number = f'{c.id(m):x}'
    m.start()
    wait_for('promotion', lambda: c.ctl('member', 'promote', number, members=[via], ok=False)[2] == 0)
    c.wait()
    c.ctl('member', 'update', number, f'--peer-urls={m.peer_url},http://127.0.0.1:9', members=[via])
    c.ctl('member', 'update', number, f'--peer-urls={m.peer_url}', members=[via])
    c.put(m, '/by-the-new', m.name)
    c.same()
    c.leave(m, via=via)
    m.ends()
    c.same()


def row_9_membership(c):
    """Learner, promote, update, remove: leader, proposer and target of either kind; refusals."""
    for lead in kinds(c):
        for via in kinds(c):
            one_change(c, lead, c.of(via)[0], lead == via)
    m = c.of('cairn')[0]
    m.stop()
    m.start()
    c.wait([m])
    c.refusal(m, 'unhealthy cluster', 'member', 'add', 'y', '--peer-urls=http://127.0.0.1:9')


def gone(c, m):
    code = m.ends()
    assert 'permanently removed' in m.log() or 'server has been stopped' in m.log() or code == 0, (
        code, m.log()[-2000:])


def row_10_removal(c):
    """A removed member stops by itself: running, or stopped and started again (410)."""
    for lead, is_cairn in (('etcd', True), ('cairn', False)):
        m = MixedMember(c, f'r{len(list(c.t.dir.iterdir()))}', is_cairn)
        c.join(m)
        c.lead(lead)
        c.leave(m)
        gone(c, m)
        again = MixedMember(c, f'r{len(list(c.t.dir.iterdir()))}', is_cairn)
        c.join(again)
        c.lead(lead)
        again.stop()
        c.leave(again)
        again.start()
        gone(c, again)
        c.same()


def row_11_joins(c):
    """A wrong list of members: both programs refuse with exit code 1."""
    for is_cairn in (False, True):
        m = MixedMember(c, f'w{is_cairn}', is_cairn)
        m.initial = ('existing', f'{m.name}={m.peer_url},{c.members[0].name}={c.members[0].peer_url}')
        m.start()
        assert m.ends() == 1, m.log()[-2000:]
        assert 'member count is unequal' in m.log(), m.log()[-2000:]


def row_14_no_space(c):
    """The quota is reached: NOSPACE, deletes work, disarm."""
    before = [m for m in c.members]
    for m in before:
        m.args = ['--quota-backend-bytes=16777216']
        m.stop()
        m.start()
        c.wait()
    big = 'x' * 1000000
    out = None
    for i in range(40):
        out = c.ctl('put', f'/big/{i:02}', ok=False, input=big)
        if out[2] != 0:
            break
    assert 'database space exceeded' in out[1], out
    wait_for('alarm', lambda: 'NOSPACE' in c.ctl('alarm', 'list')[0])
    for m in before:
        err = c.ctl('put', 'k', 'v', members=[m], ok=False)[1]
        assert 'database space exceeded' in err, (m.name, err)
    assert int(c.ctl('del', '/big/', '--prefix', members=[c.of('cairn')[0]])[0]) > 5
    c.applied()
    rev = c.json('get', 'k')['header']['revision']
    c.ctl('compact', '--physical', str(rev))
    for m in before:
        c.ctl('defrag', members=[m])
    c.ctl('alarm', 'disarm', members=[c.of('etcd')[0]])
    assert c.ctl('alarm', 'list')[0] == ''
    for m in before:
        c.put(m, 'k', m.name)
    c.same()


def row_16_refusals(c):
    """The table of 2.4 with raw sockets against both, as followers: status, headers and bodies."""
    if c.certs:
        raise Skip('compared over plain sockets')
    e, ours = c.of('etcd')[0], c.of('cairn')[0]
    c.lead(c.of('etcd')[1])  # a leader says other things of leases
    cluster = c.json('member', 'list')['header']['cluster_id']
    peer_test.compare_refusals(cluster, [(e.peer_port, c.id(e)), (ours.peer_port, c.id(ours))])

