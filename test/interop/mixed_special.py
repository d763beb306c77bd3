# SPDX-License-Identifier: Apache-2.0
"""Rows of peer-protocol 7 that need a cluster of their own, and the migrations (numbered 21)."""
import json
import os
import shutil
import subprocess
import time

import reference
from cairn_test import HANG_S, Skip
from login import login
from mixed import Mixed, MixedMember, ports, under, wait_for
from mixed_rows import far_behind, operations, say

NEXT = {'3.5': '3.6', '3.6': '3.7'}


def versions(c, field='etcdcluster'):
    return {m.name: json.loads(m.page('/version'))[field] for m in c.running()}


def wait_cluster(c, version):
    wait_for(f'cluster {version}.0', lambda: set(versions(c).values()) == {version + '.0'})


def refuses_to_start(m, text):
    m.start()
    assert m.ends() == 1, m.new_log()[-2000:]
    assert text in m.new_log(), m.new_log()[-2000:]


def row_11_old_joiner(t, version):
    """An etcd one version older is refused by a cluster of Cairns; one of the same version joins it."""
    c = Mixed(t, version, 'ccc', how='dir').up()
    m = c.add('older', False)
    m.binary = str(reference.programs(t.build, {'3.6': '3.5', '3.7': '3.6'}[version])['etcd'])
    refuses_to_start(m, 'incompatible with current running cluster')
    shutil.rmtree(m.data_dir, ignore_errors=True)
    m.become(False)
    c.members.append(m)
    m.start()
    c.wait()
    c.finish()


def upgraded(t, version):
    """A cluster that went one version up: the etcd by its program, the Cairns by an act."""
    c = Mixed(t, version, 'ecc', how='dir').up()
    later = NEXT[version]
    err = c.ctl('upgrade', 'finish', ok=False)[1]
    assert f'is etcd {version} and holds the cluster at {version}' in err, err
    c.programs = reference.programs(t.build, later)
    c.version = later
    c.members[0].stop()
    c.members[0].become(False)
    c.members[0].start()
    c.wait()
    assert set(versions(c).values()) == {version + '.0'}, versions(c)
    c.ctl('upgrade', 'finish', '--to', later)
    wait_cluster(c, later)
    return c


def row_12_versions(t, version):
    """The cluster's version rises when etcd is replaced and Cairn told to; downgrades by Cairn, and cancelled."""
    c = upgraded(t, version) if version in NEXT else Mixed(t, version, 'ecc', how='new').up()
    assert all(v.startswith(c.version) for v in versions(c, 'etcdserver').values()), versions(c)
    older = {'3.6': '3.5', '3.7': '3.6'}[c.version]
    c.lead('cairn')
    for via in c.of('etcd')[0], c.of('cairn')[0]:
        c.ctl('downgrade', 'enable', older, members=[via])
        wait_cluster(c, older)
        c.ctl('downgrade', 'cancel', members=[via])
        wait_for('versions after the cancel', lambda: c.ctl(
            'upgrade', 'finish', '--to', c.version, ok=False)[2] == 0)
        wait_cluster(c, c.version)
    operations(c, c.members[0])
    c.finish()


def row_13_auth(t, version):
    """Users, roles, tokens of each endpoint, denied requests."""
    c = Mixed(t, version, 'ece', how='dir', args=['--bcrypt-cost', '4']).up()
    root, alice = ('--user', 'root:rpw'), ('--user', 'alice:apw')
    for kind in 'cairn', 'etcd':
        lead = c.lead(kind)
        for args in (('user', 'add', 'root:rpw'), ('user', 'grant-role', 'root', 'root'), ('user', 'add', 'alice:apw'),
                     ('role', 'add', 'r'), ('role', 'grant-permission', 'r', 'readwrite', 'a', 'b'),
                     ('role', 'grant-permission', 'r', 'read', 'x', '--from-key'), ('user', 'grant-role', 'alice', 'r'),
                     ('put', 'a', kind), ('put', 'c', kind), ('auth', 'enable')):
            c.ctl(*args, members=[lead])
        for m in c.members:
            assert c.ctl(*alice, 'get', 'a', '--print-value-only', members=[m])[0] == kind + '\n'
            c.ctl(*alice, 'put', 'a', kind, members=[m])
            c.refusal(m, 'etcdserver: permission denied', *alice, 'get', 'c')
            c.refusal(m, 'etcdserver: permission denied', *alice, 'put', 'x', 'v')
            c.refusal(m, 'etcdserver: permission denied', *alice, 'user', 'list')
            c.refusal(m, 'etcdserver: user name is empty', 'get', 'a')
            c.refusal(m, 'invalid user ID or password', '--user', 'alice:no', 'get', 'a')
            c.ctl(*root, 'user', 'passwd', 'alice', '--interactive=false', members=[m], input='apw')
        every_token_everywhere(c)
        c.ctl(*root, 'role', 'revoke-permission', 'r', 'a', 'b', members=[lead])
        for m in c.members:
            c.refusal(m, 'etcdserver: permission denied', *alice, 'get', 'a')
        c.ctl(*root, 'auth', 'disable', members=[lead])
        for args in (('user', 'delete', 'alice'), ('user', 'delete', 'root'), ('role', 'delete', 'r')):
            c.ctl(*args, members=[lead])
    c.finish()


def every_token_everywhere(c):
    """A login at any member is good at each other one; it ends everywhere with the user's password."""
    tokens = [login(m.client_port, 'alice', 'apw') for m in c.members]
    for token in tokens:
        for m in c.members:
            assert c.ctl('--auth-jwt-token', token, 'get', 'a', members=[m])[0] != '', (m.kind, token)
    c.ctl('--user', 'root:rpw', 'user', 'passwd', 'alice', '--interactive=false', members=[c.members[0]], input='apw')
    for m in c.members:
        c.refusal(m, 'etcdserver: invalid auth token', '--auth-jwt-token', tokens[0], 'get', 'a')


def sign(c, name, cn='member', san='IP:127.0.0.1', usage='serverAuth,clientAuth'):
    d = str(c.certs)
    (c.certs / 'x.ext').write_text(f'basicConstraints=CA:FALSE\nextendedKeyUsage={usage}\n'
                                   + (f'subjectAltName={san}\n' if san else ''))
    for cmd in (['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', f'{d}/{name}.key'],
                ['req', '-new', '-key', f'{d}/{name}.key', '-subj', f'/CN={cn}', '-out', f'{d}/x.csr'],
                ['x509', '-req', '-in', f'{d}/x.csr', '-CA', f'{d}/ca.crt', '-CAkey', f'{d}/ca.key',
                 '-CAcreateserial', '-days', '30', '-extfile', f'{d}/x.ext', '-out', f'{d}/{name}.crt']):
        subprocess.run(['openssl', *cmd], check=True, capture_output=True, timeout=HANG_S)


def with_peer_cert(m, name, *more):
    """Restarted with this certificate towards peers."""
    d = str(m.cluster.certs)
    m.args = ['--peer-cert-file', f'{d}/{name}.crt', '--peer-key-file', f'{d}/{name}.key', *more]
    m.stop()
    m.start()


def is_healthy(c, m):
    return c.ctl('--command-timeout=2s', 'get', 'x', members=[m], ok=False)[2] == 0


def row_15_tls(t, version):
    """Between peers: allowed name, good and bad; a wrong address in a certificate; renewed certificates; no ALPN."""
    c = Mixed(t, version, 'ece', is_tls=True, how='dir').up()
    ours, etcds = c.of('cairn')[0], c.of('etcd')
    for m in c.members:
        m.args = ['--peer-cert-allowed-cn', 'member']
        m.stop()
        m.start()
        c.wait()
    sign(c, 'stranger', cn='stranger')
    sign(c, 'elsewhere', san='IP:10.9.9.9')
    for bad in 'stranger', 'elsewhere':
        for m in ours, etcds[0]:
            rest = [x for x in c.members if x is not m]
            with_peer_cert(m, bad, '--peer-cert-allowed-cn', 'member')
            c.wait(rest)
            time.sleep(1)
            assert not is_healthy(c, m), (bad, m.kind)
            m.args = ['--peer-cert-allowed-cn', 'member']
            m.stop()
            m.start()
            c.wait()
    # Renewed while everything runs: the next connections take the new files.
    sign(c, 'server', san='IP:127.0.0.1,IP:::1,DNS:localhost')
    for m in c.members:
        m.kill()
        m.start()
        c.wait()
    out = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{ours.peer_port}', '-cert',
                          f'{c.certs}/client.crt', '-key', f'{c.certs}/client.key', '-CAfile',
                          f'{c.certs}/ca.crt'], input='', capture_output=True, text=True, timeout=HANG_S).stdout
    assert 'No ALPN negotiated' in out, out
    c.finish()


def corrupt_check(c, m):
    if c.version == '3.5' and not m.is_cairn:
        return ['--experimental-initial-corrupt-check=true', '--experimental-corrupt-check-time=1s']
    return ['--feature-gates=InitialCorruptCheck=true', '--corrupt-check-time=1s']


def flip(file, text):
    data = bytearray(file.read_bytes())
    at = data.find(text)
    assert at >= 0, text
    while at >= 0:  # every page that still holds it
        data[at] ^= 1
        at = data.find(text)
    file.write_bytes(data)


def corruption(t, version, victim):
    c = Mixed(t, version, 'ece', how='dir').up()
    for m in c.members:
        m.args = corrupt_check(c, m)
        m.stop()
        m.start()
        c.wait()
    operations(c, c.members[0])
    c.put(c.members[0], '/flip', 'a-value-to-be-flipped')
    lead = c.lead('cairn' if victim == 'etcd' else 'etcd')
    time.sleep(2.5)  # a pass or two: nothing may be found
    assert c.ctl('alarm', 'list')[0] == ''
    c.same()
    hurt = [m for m in c.of(victim) if m is not lead][0]
    number = c.id(hurt)
    hurt.stop()
    flip(hurt.data_dir / 'member/snap/db', b'a-value-to-be-flipped')
    hurt.start()
    # etcd 3.5 knows no peers at this moment when there is no snapshot yet: it checks nothing.
    if version != '3.5' or hurt.is_cairn:
        assert hurt.ends() == 1, hurt.new_log()[-2000:]
        assert 'found data inconsistency with peers' in hurt.new_log(), hurt.new_log()[-2000:]
        hurt.args = []
        hurt.start()
    alarm = wait_for('alarm', lambda: c.ctl('alarm', 'list', members=[lead], ok=False)[0])
    # etcd 3.5 names nobody.
    assert alarm in [f'memberID:{x} alarm:CORRUPT\n' for x in [number, *([0] if version == '3.5' else [])]], alarm
    for m in hurt, lead:
        wait_for('refusal', lambda m=m: 'corrupt cluster' in c.ctl('put', 'a', 'b', members=[m], ok=False)[1])


def row_17_corruption_of_cairn(t, version):
    """Checks at start and periodic ones find nothing; a flipped byte in a Cairn's file is found by both."""
    corruption(t, version, 'cairn')


def row_17_corruption_of_etcd(t, version):
    """The same in an etcd's file, found by a Cairn leader."""
    corruption(t, version, 'etcd')


def force_new_cluster(t, version, first):
    c = Mixed(t, version, 'ece', how='dir').up()
    c.put(c.members[0], '/before', first)
    c.same()
    m = c.of(first)[0]
    m.stop()  # orderly: entries that it does not know to be committed are dropped
    for x in c.members:
        if x is not m:
            x.kill()
    c.members = [m]
    m.args = ['--force-new-cluster']
    m.start()
    c.wait()
    m.args = []
    m.stop()
    m.start()
    c.wait()
    assert c.get(m, '/before') == first and len(c.listed(m)) == 1
    c.join(MixedMember(c, 'again', first == 'etcd'))
    operations(c, c.members[1])
    c.finish()


def row_18_force_new_cluster_etcd(t, version):
    """On an etcd's directory after a Cairn was in the cluster; then a Cairn joins again."""
    force_new_cluster(t, version, 'etcd')


def row_18_force_new_cluster_cairn(t, version):
    """On a Cairn's directory after etcds were in the cluster; then an etcd joins again."""
    force_new_cluster(t, version, 'cairn')


class Namespaces:
    """A network namespace a member, on one bridge."""

    def __init__(self, t, count):
        number = next(ports)
        self.tag = f'mx{number}'
        self.bridge, self.names = f'{self.tag}b', [f'{self.tag}n{i}' for i in range(count)]
        if os.getuid() != 0 or shutil.which('ip') is None:
            raise Skip('network namespaces need root and ip')
        self.net = f'10.{200 + number // 250 % 50}.{number % 250}'
        try:
            self.ip('link', 'add', self.bridge, 'type', 'bridge')
            self.ip('addr', 'add', f'{self.net}.254/24', 'dev', self.bridge)
            self.ip('link', 'set', self.bridge, 'up')
            for i, n in enumerate(self.names):
                self.ip('netns', 'add', n)
                self.ip('link', 'add', f'{n}v', 'type', 'veth', 'peer', 'name', 'e0', 'netns', n)
                self.ip('link', 'set', f'{n}v', 'master', self.bridge, 'up')
                self.ip('-n', n, 'addr', 'add', f'{self.address(i)}/24', 'dev', 'e0')
                self.ip('-n', n, 'link', 'set', 'e0', 'up')
                self.ip('-n', n, 'link', 'set', 'lo', 'up')
        except subprocess.CalledProcessError as e:
            self.close()
            raise Skip(f'no network namespaces: {e.stderr.strip()}')

    def ip(self, *args, check=True):
        subprocess.run(['ip', *args], check=check, capture_output=True, text=True, timeout=HANG_S)

    def address(self, i):
        return f'{self.net}.{i + 1}'

    def drop(self, a, b, is_dropped):
        """Everything that a sends to b."""
        self.ip('-n', self.names[a], 'route', 'add' if is_dropped else 'del', 'blackhole',
                f'{self.address(b)}/32')

    def close(self):
        for n in self.names:
            self.ip('netns', 'del', n, check=False)
        self.ip('link', 'del', self.bridge, check=False)


def row_19_one_direction(t, version):
    """What one member sends to another is lost for a while: no election storm, recovery without a restart."""
    c = Mixed(t, version, 'ece', how='dir')
    n = Namespaces(t, 3)
    try:
        for i, m in enumerate(c.members):
            m.client_host = m.peer_host = n.address(i)
            m.prefix = ['ip', 'netns', 'exec', n.names[i]]
        c.up()
        for a, b, kind in ((0, 1, 'etcd'), (1, 0, 'cairn'), (1, 2, 'etcd')):
            c.lead(kind)
            before = next(iter(c.status().values()))['raftTerm']
            with under(c.storm(clients=4), say):
                n.drop(a, b, True)
                time.sleep(6)
                n.drop(a, b, False)
                c.wait()
            c.same()
            term = next(iter(c.status().values()))['raftTerm']
            say(f'{term - before} new terms, {c.members[a].kind} to {c.members[b].kind}, led by {kind}')
            assert term - before <= 2, (before, term)
        c.finish()
    finally:
        for p in t.processes:
            if p.poll() is None:
                p.kill()
                p.wait(HANG_S)
        n.close()


def row_20_history(t, version):
    """Born on etcd 3.5, members replaced by Cairn, raised to 3.6, then an etcd 3.7 joins and does not panic."""
    c = Mixed(t, version, 'ccc', how='dir').up()
    c.ctl('upgrade', 'finish', '--to', '3.6')
    wait_cluster(c, '3.6')
    c.programs, c.version = reference.programs(t.build, '3.7'), '3.7'
    m = MixedMember(c, 'newest', False)
    c.join(m)
    operations(c, m)
    m.kill()
    m.start()
    c.wait()
    c.finish()


def replace(c, m, is_cairn):
    """Another member in its place, by remove and add."""
    new = MixedMember(c, f'{"c" if is_cairn else "e"}-{m.name}', is_cairn)
    # The clients know all addresses from the start.
    new.client_port = m.client_port
    c.leave(m)
    if m.is_running():
        m.ends()
    c.join(new)


def row_21_migration_same_directories(t, version):
    """Three etcds become Cairns one at a time on their directories, and back, under load; nothing is lost."""
    c = Mixed(t, version, 'eee', how='dir').up()
    with under(c.storm(), say):
        for _ in range(2):
            for m in list(c.members):
                c.turn(m)
    c.finish()


def row_21_migration_remove_and_add(t, version):
    """The same by removing and adding members, over TLS."""
    c = Mixed(t, version, 'eee', is_tls=True, how='dir').up()
    with under(c.storm(), say):
        for is_cairn in True, False:
            for m in list(c.members):
                replace(c, m, is_cairn)
    c.finish()


def row_21_far_behind(t, version):
    """Snapshots after the migration: an etcd behind two Cairns, a Cairn behind two etcds, compacted meanwhile."""
    c = Mixed(t, version, 'ecc', how='dir', snapshots=True).up()
    c.lead('cairn')
    far_behind(c, c.of('etcd')[0])
    c.turn(c.members[1])
    c.lead('etcd')
    far_behind(c, c.of('cairn')[0])
    c.finish()


ROWS = [row_11_old_joiner, row_12_versions, row_13_auth, row_15_tls, row_17_corruption_of_cairn,
        row_17_corruption_of_etcd, row_18_force_new_cluster_etcd, row_18_force_new_cluster_cairn,
        row_19_one_direction, row_20_history, row_21_migration_same_directories,
        row_21_migration_remove_and_add, row_21_far_behind]
VERSIONS = {row_11_old_joiner: ['3.6', '3.7'], row_20_history: ['3.5']}
