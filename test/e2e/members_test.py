#!/usr/bin/env python3
"""What users see of membership on one member: member, move-leader, downgrade, alarm, upgrade finish; every
text as etcd 3.7.1 prints it (compared with it when this was written)."""
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from cairn_test import HANG_S, main  # noqa: E402


def refused(s, text, *args, rc=1):
    out, err, got = s.ctl(*args, ok=False)
    assert (out, got) == ('', rc) and err == f'Error: {text}\n', (args, out, err, got)


def ids(s):
    """(hex id, rest of the line) of every member."""
    return [line.split(', ', 1) for line in s.ctl('member', 'list')[0].splitlines()]


def test_no_learners(t):
    """--max-learners=0 means none; below, nothing starts."""
    s = t.server(name='n0', args=['--max-learners=0']).start()
    refused(s, 'etcdserver: too many learner members in cluster',
            'member', 'add', 'n3', '--learner', '--peer-urls=http://127.0.0.1:3')
    s = t.server(name='n1', args=['--max-learners=-1']).start(wait=False)
    assert s.process.wait(HANG_S) == 1
    assert '"discovery failed","error":"membership: too many learner members in cluster"' in s.log(), s.log()


def test_members(t):
    s = t.server(name='n1').start()
    own, rest = ids(s)[0]
    peer = f'http://127.0.0.1:{s.peer_port}'
    assert rest == f'started, n1, {peer}, {s.url}, false', rest
    cluster = '%x' % s.json('member', 'list')['header']['cluster_id']
    out = s.ctl('member', 'add', 'n2', '--learner', '--peer-urls=http://127.0.0.1:1')[0]
    m = re.fullmatch(r'Member +([0-9a-f]+) added as learner to cluster +([0-9a-f]+)\n\nETCD_NAME="n2"\n'
                     r'ETCD_INITIAL_CLUSTER="([^"]*)"\n'
                     r'ETCD_INITIAL_ADVERTISE_PEER_URLS="http://127.0.0.1:1"\n'
                     r'ETCD_INITIAL_CLUSTER_STATE="existing"\n', out)
    assert m and m.group(2) == cluster, out
    assert sorted(m.group(3).split(',')) == [f'n1={peer}', 'n2=http://127.0.0.1:1'], out
    new = m.group(1)
    assert [new, 'unstarted, , http://127.0.0.1:1, , true'] in ids(s)
    refused(s, 'etcdserver: too many learner members in cluster',
            'member', 'add', 'n3', '--learner', '--peer-urls=http://127.0.0.1:3')
    refused(s, 'etcdserver: Peer URLs already exists', 'member', 'add', 'n3', f'--peer-urls={peer}')
    refused(s, 'etcdserver: can only promote a learner member which is in sync with leader',
            'member', 'promote', new)
    refused(s, 'etcdserver: member not found', 'member', 'promote', '99')
    out = s.ctl('member', 'update', new, '--peer-urls=http://127.0.0.1:4')[0]
    assert out == f'Member {new:>16} updated in cluster {cluster:>16}\n', out
    refused(s, 'etcdserver: Peer URLs already exists', 'member', 'update', new, f'--peer-urls={peer}')
    refused(s, 'etcdserver: member not found', 'member', 'update', '99', '--peer-urls=http://h:1')
    out = s.ctl('member', 'remove', new)[0]
    assert out == f'Member {new:>16} removed from cluster {cluster:>16}\n', out
    refused(s, 'etcdserver: member not found', 'member', 'remove', new)
    refused(s, 'etcdserver: re-configuration failed due to not enough started members',
            'member', 'remove', own)
    refused(s, 'etcdserver: bad leader transferee', 'move-leader', '99')
    assert s.ctl('move-leader', own)[0] == f'Leadership transferred from {own} to {own}\n'
    s.stop()
    s.start()
    assert [i for i, _ in ids(s)] == [own]


def test_members_in_json(t):
    s = t.server(name='n1').start()
    added = s.json('member', 'add', 'n2', '--learner', '--peer-urls=http://127.0.0.1:2,http://127.0.0.1:1')
    assert list(added) == ['header', 'member', 'members'] and 'revision' not in added['header'], added
    assert added['member']['peerURLs'] == ['http://127.0.0.1:1', 'http://127.0.0.1:2']
    assert added['member']['isLearner'] and 'name' not in added['member']
    members = s.json('member', 'list')['members']
    assert [m['ID'] for m in members] == sorted(m['ID'] for m in members) and members == added['members']
    out = s.ctl('member', 'list', '-w', 'fields')[0]
    assert '"IsLearner" : true' in out and '"PeerURL" : "http://127.0.0.1:2"' in out, out
    _, err, rc = s.ctl('member', 'remove', '%x' % added['member']['ID'], '-w', 'table', ok=False)
    assert (err, rc) == ('Error: table not supported as output format\n', 4), (err, rc)
    assert len(s.json('member', 'list')['members']) == 1


def test_strict_reconfig_check(t):
    """With the check a member that never comes is added once at most; without it the second is taken,
    and then waits for a quorum that is not there."""
    s = t.server(name='n1').start()
    s.ctl('member', 'add', 'n2', '--peer-urls=http://127.0.0.1:2')
    refused(s, 'etcdserver: re-configuration failed due to not enough started members',
            'member', 'add', 'n3', '--peer-urls=http://127.0.0.1:3')
    w = t.server(name='w1', args=['--strict-reconfig-check=false', '--max-learners=2']).start()
    for i in (2, 3):
        w.ctl('member', 'add', f'n{i}', '--learner', f'--peer-urls=http://127.0.0.1:{i}')
    refused(w, 'etcdserver: too many learner members in cluster',
            'member', 'add', 'n4', '--learner', '--peer-urls=http://127.0.0.1:4')


def wait_for(what):
    end = time.monotonic() + HANG_S
    while not what():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def test_downgrade_and_upgrade(t):
    s = t.server(name='n1').start()
    s.ctl('put', 'a', 'b')
    assert s.ctl('downgrade', 'validate', '3.6')[0] == 'Downgrade validate success, cluster version 3.7\n'
    refused(s, 'etcdserver: invalid downgrade target version', 'downgrade', 'validate', '3.5')
    refused(s, 'etcdserver: wrong downgrade target version format', 'downgrade', 'enable', 'x')
    assert s.ctl('downgrade', 'cancel')[0] == 'Downgrade cancel success, cluster version 3.7\n'
    assert s.ctl('upgrade', 'finish')[0] == 'Cluster version is 3.7: nothing to raise\n'
    assert s.ctl('downgrade', 'enable', '3.6')[0] == 'Downgrade enable success, cluster version 3.7\n'
    wait_for(lambda: s.ctl('endpoint', 'status')[0].split(', ')[2].startswith('3.6.'))
    wait_for(lambda: s.ctl('endpoint', 'status')[0].endswith(', , , false\n'))
    assert s.ctl('downgrade', 'validate', '3.5')[0] == 'Downgrade validate success, cluster version 3.6\n'
    s.stop()
    s.start()
    assert s.ctl('endpoint', 'status')[0].split(', ')[2].startswith('3.6.')
    own = ids(s)[0][0]
    out = s.ctl('upgrade', 'finish')[0]
    assert out == f'Member {own:>16} raised to 3.7\nCluster version is now 3.7\n', out
    s.stop()
    s.start()
    assert s.ctl('endpoint', 'status')[0].split(', ')[2].startswith('3.7.')
    assert s.ctl('get', 'a')[0] == 'a\nb\n'
    refused(s, '--to takes 3.6 or 3.7, not "3.8"', 'upgrade', 'finish', '--to', '3.8', rc=128)
    _, err, rc = s.ctl('upgrade', 'finish', ctl='etcdctl', ok=False)
    assert rc == 1 and err.startswith('Error: unknown command "upgrade" for "etcdctl"\n'), err


def test_old_flag_names(t):
    """A unit file of 3.5 starts here, with 3.6's warnings."""
    s = t.server(name='n1', args=['--experimental-initial-corrupt-check=true',
                                  '--experimental-watch-progress-notify-interval=5s',
                                  '--experimental-corrupt-check-time', '1h']).start()
    s.ctl('put', 'a', 'b')
    log = s.log()
    for name in ('watch-progress-notify-interval', 'corrupt-check-time'):
        assert f"--experimental-{name} is deprecated in v3.6 and will be decommissioned in v3.7. " \
               f"Use '--{name}' instead." in log, log
    assert '"feature-gates":"InitialCorruptCheck=true"' in log


def test_force_new_cluster(t):
    """A member whose quorum will not come back starts alone, with all data."""
    s = t.server(name='n1').start()
    s.ctl('put', 'a', 'b')
    own = ids(s)[0][0]
    s.ctl('member', 'add', 'n2', '--peer-urls=http://127.0.0.1:1')
    assert s.ctl('--command-timeout=1s', 'put', 'c', 'd', ok=False)[2] == 1
    s.kill()
    s.args = ['--force-new-cluster']
    s.start()
    assert [i for i, _ in ids(s)] == [own]
    assert s.ctl('get', 'a')[0] == 'a\nb\n'
    s.ctl('put', 'e', 'f')
    s.stop()
    s.args = []
    s.start()
    assert s.ctl('get', 'e')[0] == 'e\nf\n'


def three(t, *args):
    """Three members, ready."""
    members = [t.server(name=f'n{i}') for i in (1, 2, 3)]
    cluster = ','.join(f'{s.name}=http://127.0.0.1:{s.peer_port}' for s in members)
    for s in members:
        s.args = ['--initial-cluster', cluster, *args]
        s.start(wait=False)
    for s in members:
        s.wait_ready()
    return members, cluster


def leader_of(members):
    lines = [s.ctl('endpoint', 'status')[0].split(', ') for s in members]
    leads = [i for i, line in enumerate(lines) if line[8] == 'true']
    return leads[0] if len(leads) == 1 else None


def test_three_members(t):
    """A learner comes, is promoted through a follower, leads, and is removed."""
    members, cluster = three(t)
    wait_for(lambda: leader_of(members) is not None)
    lead = members[leader_of(members)]
    follower = next(s for s in members if s is not lead)
    n4 = t.server(name='n4')
    peer = f'http://127.0.0.1:{n4.peer_port}'
    wait_for(lambda: follower.ctl('member', 'add', 'n4', '--learner', f'--peer-urls={peer}', ok=False)[2] == 0)
    n4.args = ['--initial-cluster', f'{cluster},n4={peer}', '--initial-cluster-state', 'existing']
    n4.start(wait=False)
    new = next(i for i, rest in ids(lead) if peer in rest)
    wait_for(lambda: [new, f'started, n4, {peer}, {n4.url}, true'] in ids(lead))
    refused(n4, 'etcdserver: rpc not supported for learner', 'member', 'list')
    refused(n4, 'etcdserver: rpc not supported for learner', 'get', 'a')
    assert n4.ctl('get', 'a', '--consistency=s')[2] == 0
    refused(lead, 'etcdserver: bad leader transferee', 'move-leader', new)
    refused(follower, f'no leader endpoint given at [{follower.endpoint}]', 'move-leader', new, rc=128)
    refused(follower, 'etcdserver: member not found', 'member', 'promote', '99')
    wait_for(lambda: follower.ctl('member', 'promote', new, ok=False)[2] == 0)
    refused(follower, 'etcdserver: can only promote a learner member', 'member', 'promote', new)
    out = lead.ctl('move-leader', new)[0]
    assert out.endswith(f' to {new}\n'), out
    wait_for(lambda: leader_of([*members, n4]) == 3)
    follower.ctl('member', 'remove', new)
    assert n4.process.wait(HANG_S) == 0, n4.log()[-2000:]
    assert all('n4' not in rest for _, rest in ids(follower))
    wait_for(lambda: follower.ctl('put', 'a', 'b', ok=False)[2] == 0)


def test_joins_that_do_not_fit(t):
    members, cluster = three(t)
    n4 = t.server(name='n4')
    peer = f'http://127.0.0.1:{n4.peer_port}'
    n4.args = ['--initial-cluster', f'{cluster},n4={peer}', '--initial-cluster-state', 'existing']
    n4.start(wait=False)
    assert n4.process.wait(HANG_S) == 1
    assert 'member count is unequal' in n4.log() and '"msg":"discovery failed"' in n4.log(), n4.log()
    members[0].stop()
    again = t.server(name='n1', data_dir=t.dir / 'again.etcd')
    again.peer_port = members[0].peer_port
    again.args = ['--initial-cluster', cluster]
    again.start(wait=False)
    assert again.process.wait(HANG_S) == 1
    assert re.search(r'member [0-9a-f]+ has already been bootstrapped', again.log()), again.log()


def test_corruption_checks(t):
    """Equal data passes all three checks; one damaged value is found at the start, and by the leader."""
    gates = '--feature-gates=InitialCorruptCheck=true,CompactHashCheck=true'
    members, _ = three(t, gates, '--corrupt-check-time=1s', '--compact-hash-check-time=1s')
    value = 'a-value-that-is-nowhere-else'
    members[0].ctl('put', 'k', value)
    members[0].ctl('put', 'k2', 'x')
    wait_for(lambda: any('"number-of-peers-checked":2' in s.log() for s in members))
    rev = members[0].json('get', 'k2')['header']['revision']
    members[0].ctl('compaction', str(rev))
    wait_for(lambda: any('successfully checked hash on whole cluster' in s.log() for s in members))
    members[0].ctl('put', 'k3', 'x')  # at the compacted revision itself members answer what they kept of it
    bad = members[(leader_of(members) + 1) % 3]
    good = next(s for s in members if s is not bad)
    own = '%x' % bad.json('endpoint', 'status')[0]['Status']['header']['member_id']
    bad.stop()
    bad.start()
    assert 'initial corruption checking passed; no corruption' in bad.log()
    bad.stop()
    db = bad.data_dir / 'member/snap/db'
    content = db.read_bytes()
    assert value.encode() in content
    db.write_bytes(content.replace(value.encode(), value.upper().encode()))
    bad.start(wait=False)
    assert bad.process.wait(HANG_S) == 1
    assert f'{own} found data inconsistency with peers' in bad.log()
    bad.args[-3] = '--feature-gates=CompactHashCheck=true'
    bad.start(wait=False)
    wait_for(lambda: 'CORRUPT' in good.ctl('alarm', 'list')[0])
    assert good.ctl('alarm', 'list')[0] == f'memberID:{int(own, 16)} alarm:CORRUPT\n'
    refused(good, 'etcdserver: corrupt cluster', 'put', 'a', 'b')
    assert good.ctl('get', 'k')[0] == f'k\n{value}\n'


if __name__ == '__main__':
    main(globals())
