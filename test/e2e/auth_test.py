#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Authentication as users meet it, with cairnctl and Debian's etcdctl: switching on, logins, permissions on
keys, transactions, leases and watches, certificates, tokens on three members, over restarts, JWT, snapshots.

AUTH_TEST_BINARY  another server to run the same tests against, as the real etcd 3.7: what they say is its
"""
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from cairn_test import HANG_S, main  # noqa: E402
from cluster import Cluster  # noqa: E402
from login import login  # noqa: E402
from watch_stream import WatchStream  # noqa: E402

BINARY = os.environ.get('AUTH_TEST_BINARY')
ARGS = ['--bcrypt-cost', '4']
ROOT = ('--user', 'root:rpw')
ALICE = ('--user', 'alice:apw')
DENIED = 'etcdserver: permission denied'
EMPTY = 'etcdserver: user name is empty'
BAD_TOKEN = 'etcdserver: invalid auth token'
BAD_LOGIN = 'etcdserver: authentication failed, invalid user ID or password'


def refused(run, text, *args, **kw):
    _, err, rc = run(*args, ok=False, **kw)
    assert rc != 0 and text in err, (args, rc, err)


def server(t, *args, **kw):
    return t.server(args=[*ARGS, *args], binary=BINARY, **kw)


def populate(run):
    """root, and alice, who reads and writes [a, c), reads p* and everything from x on."""
    run('user', 'add', 'root:rpw')
    run('user', 'grant-role', 'root', 'root')
    run('user', 'add', 'alice:apw')
    run('role', 'add', 'r')
    run('user', 'grant-role', 'alice', 'r')
    run('role', 'grant-permission', 'r', 'readwrite', 'a', 'b')
    run('role', 'grant-permission', 'r', 'readwrite', 'b', 'c')
    run('role', 'grant-permission', 'r', 'read', 'p', '--prefix')
    run('role', 'grant-permission', 'r', 'read', 'x', '--from-key')
    for key in ('a', 'b', 'c', 'p1', 'x', 'z'):
        run('put', key, 'v')
    run('auth', 'enable')


def with_token(token):
    return '--auth-jwt-token', token


def wait_for(what, cond):
    end = time.monotonic() + HANG_S
    while not cond():
        assert time.monotonic() < end, f'hangs: {what}'
        time.sleep(0.1)


def test_switch(t):
    s = server(t).start()
    for ctl in 'cairnctl', 'debian-etcdctl':
        refused(s.ctl, 'etcdserver: root user does not exist', 'auth', 'enable', ctl=ctl)
    populate(s.ctl)
    refused(s.ctl, EMPTY, 'get', 'a')
    for ctl in 'cairnctl', 'debian-etcdctl':
        refused(s.ctl, BAD_LOGIN, '--user', 'alice:no', 'get', 'a', ctl=ctl)
        refused(s.ctl, BAD_LOGIN, '--user', 'nobody:apw', 'get', 'a', ctl=ctl)
        assert s.ctl(*ALICE, 'get', 'a', ctl=ctl)[0] == 'a\nv\n'
        refused(s.ctl, DENIED, *ALICE, 'get', 'c', ctl=ctl)
        refused(s.ctl, DENIED, *ALICE, 'auth', 'disable', ctl=ctl)
        refused(s.ctl, 'etcdserver: invalid auth management', *ROOT, 'user', 'delete', 'root', ctl=ctl)
        refused(s.ctl, 'etcdserver: invalid auth management', *ROOT, 'role', 'delete', 'root', ctl=ctl)
        refused(s.ctl, 'etcdserver: invalid auth management', *ROOT, 'user', 'revoke-role', 'root', 'root', ctl=ctl)
    token = login(s.client_port, 'alice', 'apw')
    s.ctl(*ROOT, 'auth', 'disable')
    assert s.ctl('get', 'c')[0] == 'c\nv\n'
    assert s.ctl(*with_token(token), 'get', 'c')[0] == 'c\nv\n'  # nobody looks at it
    s.ctl('auth', 'enable')
    refused(s.ctl, BAD_TOKEN, *with_token(token), 'get', 'a')  # it did not come back


def test_keys(t):
    s = server(t).start()
    populate(s.ctl)
    for args in (('get', 'a', 'c'), ('get', 'a', 'b'), ('get', 'p', '--prefix'), ('get', 'x', '--from-key'),
                 ('get', 'y', 'z'), ('put', 'a1', 'v'), ('del', 'a', 'c'), ('put', 'b', 'v', '--prev-kv')):
        s.ctl(*ALICE, *args)
    for args in (('get', 'c'), ('get', 'a', 'c0'), ('get', 'a', '--from-key'), ('get', '', '--prefix'),
                 ('get', 'o', 'p2'), ('put', 'p1', 'v'), ('put', 'x', 'v'), ('del', 'p1'), ('del', 'a', 'd'),
                 ('get', 'a', '--prefix', '--consistency=s'), ('get', 'c', '--consistency=s')):
        if args[-1] == '--consistency=s' and args[1] == 'a':
            s.ctl(*ALICE, *args)
        else:
            refused(s.ctl, DENIED, *ALICE, *args)
    # What is written but may not be read: no previous value.
    s.ctl(*ROOT, 'role', 'grant-permission', 'r', 'write', 'w')
    s.ctl(*ALICE, 'put', 'w', '1')
    refused(s.ctl, DENIED, *ALICE, 'put', 'w', '2', '--prev-kv')
    refused(s.ctl, DENIED, *ALICE, 'del', 'w', '--prev-kv')
    refused(s.ctl, DENIED, *ALICE, 'get', 'w')
    s.ctl(*ALICE, 'del', 'w')
    # A role that is taken away counts at once.
    s.ctl(*ROOT, 'role', 'revoke-permission', 'r', 'a', 'b')
    refused(s.ctl, DENIED, *ALICE, 'get', 'a')
    assert s.ctl(*ALICE, 'get', 'b')[0] == 'b\nv\n'
    s.ctl(*ROOT, 'role', 'delete', 'r')
    refused(s.ctl, DENIED, *ALICE, 'get', 'b')


def test_txn(t):
    s = server(t).start()
    populate(s.ctl)
    for text, is_good in ((b'mod("a") > "0"\n\nget a\nput b 1\n\nput b 2\n\n', True),
                          (b'mod("c") > "0"\n\nget a\n\n\n', False),
                          (b'mod("a") > "0"\n\nget a\n\nget c\n\n', False),   # the branch that is not taken
                          (b'mod("a") > "0"\n\nput p1 x\n\n\n', False),
                          (b'mod("x") > "0"\n\nget p1\n\ndel a\n\n', True)):
        out, err, rc = s.ctl(*ALICE, 'txn', ok=False, input=text.decode())
        assert (rc == 0) == is_good and (is_good or DENIED in err), (text, out, err)


def test_leases(t):
    s = server(t).start()
    populate(s.ctl)

    def grant():
        return s.ctl(*ALICE, 'lease', 'grant', '1000')[0].split()[1]
    mine, roots = grant(), grant()
    s.ctl(*ALICE, 'put', 'a', 'v', f'--lease={mine}')
    s.ctl(*ROOT, 'put', 'c', 'v', f'--lease={roots}')
    refused(s.ctl, DENIED, *ALICE, 'put', 'b', 'v', f'--lease={roots}')
    refused(s.ctl, DENIED, *ALICE, 'lease', 'revoke', roots)
    refused(s.ctl, DENIED, *ALICE, 'lease', 'timetolive', roots, '--keys')
    assert 'remaining' in s.ctl(*ALICE, 'lease', 'timetolive', roots)[0]
    assert 'attached keys([a])' in s.ctl(*ALICE, 'lease', 'timetolive', mine, '--keys')[0]
    refused(s.ctl, DENIED, *ALICE, 'lease', 'list')
    refused(s.ctl, EMPTY, 'lease', 'grant', '5')
    s.ctl(*ALICE, 'lease', 'revoke', mine)
    assert s.ctl(*ALICE, 'get', 'a')[0] == ''
    s.ctl(*ROOT, 'lease', 'revoke', roots)


def test_watch(t):
    s = server(t).start()
    populate(s.ctl)
    token = login(s.client_port, 'alice', 'apw')
    cases = ((b'a', b'c', None), (b'x', b'\0', None), (b'a', b'\0', DENIED), (b'c', b'', DENIED),
             (b'a', b'c0', DENIED))
    for headers, default in (((('token', token),), None), (((('authorization', token)),), None), ((), EMPTY),
                             ((('token', 'no.1'),), BAD_TOKEN)):
        w = WatchStream(s.client_port, headers=headers)
        for key, end, text in cases:
            w.create(key, end)
            first = w.read()
            assert first.created, first
            if default or text:
                last = first if first.canceled else w.read()
                assert last.canceled and last.reason.endswith(default or text), (headers, key, last)
            else:
                assert not first.canceled, first
        w.client.close()
    # A watch that was allowed goes on after the right is gone; a new one is refused.
    w = WatchStream(s.client_port, headers=(('token', token),))
    w.create(b'a')
    assert w.read().created
    s.ctl(*ROOT, 'role', 'revoke-permission', 'r', 'a', 'b')
    s.ctl(*ROOT, 'put', 'a', 'seen')
    assert 'seen' in repr(w.read())
    w.create(b'a')
    assert w.read().canceled
    w.client.close()


def test_members_and_maintenance(t):
    s = server(t).start()
    populate(s.ctl)
    for args in (('member', 'add', 'n', '--peer-urls=http://127.0.0.1:1'), ('defrag',), ('compaction', '2'),
                 ('endpoint', 'hashkv'), ('snapshot', 'save', str(t.dir / 'no.db')),
                 ('user', 'list'), ('role', 'list'), ('user', 'get', 'root'), ('user', 'add', 'x:y'),
                 ('role', 'get', 'root')):
        refused(s.ctl, DENIED, *ALICE, *args)
    for args in (('member', 'list'), ('alarm', 'list'), ('endpoint', 'status'), ('user', 'get', 'alice'),
                 ('role', 'get', 'r')):
        s.ctl(*ALICE, *args)
    s.ctl(*ROOT, 'snapshot', 'save', str(t.dir / 'yes.db'))
    s.ctl(*ROOT, 'defrag')
    s.ctl(*ROOT, 'compaction', '2')


def test_tokens(t):
    s = server(t, '--auth-token-ttl', '3').start()
    populate(s.ctl)
    s.ctl(*ROOT, 'user', 'add', 'bob:bpw')
    s.ctl(*ROOT, 'user', 'grant-role', 'bob', 'r')
    alice, bob = login(s.client_port, 'alice', 'apw'), login(s.client_port, 'bob', 'bpw')
    assert s.ctl(*with_token(alice), 'get', 'a')[0] == 'a\nv\n'
    assert s.ctl(*with_token('Bearer ' + alice), 'get', 'a')[0] == 'a\nv\n'
    s.ctl(*ROOT, 'user', 'passwd', 'alice', '--interactive=false', input='new')
    refused(s.ctl, BAD_TOKEN, *with_token(alice), 'get', 'a')
    refused(s.ctl, BAD_LOGIN, *ALICE, 'get', 'a')
    assert s.ctl('--user', 'alice:new', 'get', 'a')[0] == 'a\nv\n'
    assert s.ctl(*with_token(bob), 'get', 'a')[0] == 'a\nv\n'  # a new revision does not end a simple token
    s.ctl(*ROOT, 'user', 'delete', 'bob')
    refused(s.ctl, BAD_TOKEN, *with_token(bob), 'get', 'a')
    alice = login(s.client_port, 'alice', 'new')

    def is_over():
        time.sleep(4)  # unused for longer than the TTL and a tick
        return s.ctl(*with_token(alice), 'get', 'a', ok=False)[2] != 0
    wait_for('the token ends', is_over)
    refused(s.ctl, BAD_TOKEN, *with_token(alice), 'get', 'a')


def test_no_password(t):
    s = server(t).start()
    populate(s.ctl)
    s.ctl(*ROOT, 'user', 'add', 'carol', '--no-password')
    refused(s.ctl, 'auth: authentication failed, password was given for no password user', '--user', 'carol:x',
            'get', 'a')
    refused(s.ctl, 'bcrypt: password length exceeds 72 bytes', *ROOT, 'user', 'add', 'long:' + 'x' * 73)
    s.ctl(*ROOT, 'user', 'add', 'long:' + 'x' * 72)


def sign(folder, cn):
    d = str(folder)
    (folder / 'x.ext').write_text('basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n')
    for cmd in (['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', f'{d}/{cn}.key'],
                ['req', '-new', '-key', f'{d}/{cn}.key', '-subj', f'/CN={cn}', '-out', f'{d}/x.csr'],
                ['x509', '-req', '-in', f'{d}/x.csr', '-CA', f'{d}/ca.crt', '-CAkey', f'{d}/ca.key',
                 '-CAcreateserial', '-days', '30', '-extfile', f'{d}/x.ext', '-out', f'{d}/{cn}.crt']):
        subprocess.run(['openssl', *cmd], check=True, capture_output=True, timeout=HANG_S)


def test_certificate(t):
    c = Cluster(t, 1, is_tls=True, args=[*ARGS, '--client-cert-auth'], binary=BINARY).start()
    for cn in 'alice', 'root', 'stranger':
        sign(c.certs, cn)

    def run(cn, *args, ok=True):
        d = str(c.certs)
        return t.run([str(t.bin('cairnctl')), '--endpoints', c.members[0].url, '--cacert', f'{d}/ca.crt', '--cert',
                      f'{d}/{cn}.crt', '--key', f'{d}/{cn}.key', *args], ok=ok)
    populate(c.ctl)
    c.ctl(*ROOT, 'user', 'passwd', 'alice', '--interactive=false', input='other')
    assert run('alice', 'get', 'a')[0] == 'a\nv\n'
    refused(lambda *a, **kw: run('alice', *a, **kw), DENIED, 'get', 'c')
    refused(lambda *a, **kw: run('alice', *a, **kw), DENIED, 'user', 'list')
    assert 'alice' in run('root', 'user', 'list')[0]
    refused(lambda *a, **kw: run('stranger', *a, **kw), DENIED, 'get', 'a')
    refused(lambda *a, **kw: run('stranger', *a, **kw), 'etcdserver: user name not found', 'user', 'list')
    # A token goes before the certificate, also one that is not good.
    refused(lambda *a, **kw: run('root', *a, **kw), DENIED, '--user', 'alice:other', 'get', 'c')
    refused(lambda *a, **kw: run('root', *a, **kw), BAD_TOKEN, *with_token('no.1'), 'get', 'a')


def cluster(t, *args):
    return Cluster(t, 3, args=[*ARGS, *args], binary=BINARY).start()


def wait_member(c, m):
    """It answers; health with authentication on is a refusal."""
    def answers():
        err = c.ctl('get', 'a', members=[m], ok=False)[1]
        return EMPTY in err
    wait_for(m.name, answers)


def test_three_members(t):
    c = cluster(t)
    populate(c.ctl)
    for m in c.members:
        token = login(m.client_port, 'alice', 'apw')
        for other in c.members:
            assert c.ctl(*with_token(token), 'get', 'a', members=[other])[0] == 'a\nv\n'
            refused(c.ctl, DENIED, *with_token(token), 'put', 'c', 'x', members=[other])
    # Who was away knows it from the log; a token of before its end of memory does not survive there.
    m = c.members[1]
    m.kill()
    c.ctl(*ROOT, 'role', 'revoke-permission', 'r', 'a', 'b', members=[c.members[0]])
    m.start()
    wait_member(c, m)
    refused(c.ctl, DENIED, *ALICE, 'get', 'a', members=[m])
    assert c.ctl(*ALICE, 'get', 'b', members=[m])[0] == 'b\nv\n'
    for m in c.members:
        m.stop()
    for m in c.members:
        m.start()
    for m in c.members:
        wait_member(c, m)
        refused(c.ctl, BAD_LOGIN, '--user', 'alice:no', 'get', 'b', members=[m])
        refused(c.ctl, DENIED, *ALICE, 'get', 'a', members=[m])
        assert c.ctl(*ALICE, 'get', 'b', members=[m])[0] == 'b\nv\n'


def test_kill(t):
    s = server(t).start()
    populate(s.ctl)
    for how in s.stop, s.kill:
        token = login(s.client_port, 'alice', 'apw')
        how()
        s.start(wait=False)
        s.wait_listening()
        wait_for('it answers', lambda: s.ctl('get', 'a', ok=False)[1].find(EMPTY) >= 0)
        assert s.ctl(*ALICE, 'get', 'a')[0] == 'a\nv\n'
        if how == s.stop:  # an entry that a kill makes it apply again makes the token again
            refused(s.ctl, BAD_TOKEN, *with_token(token), 'get', 'a')
        assert 'AuthRevision: 10' in s.ctl(*ROOT, 'auth', 'status')[0], s.ctl(*ROOT, 'auth', 'status')[0]


def test_jwt(t):
    key, pub = t.dir / 'jwt.pem', t.dir / 'jwt.pub'
    for cmd in (['genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', str(key)],
                ['pkey', '-in', str(key), '-pubout', '-out', str(pub)]):
        subprocess.run(['openssl', *cmd], check=True, capture_output=True, timeout=HANG_S)
    c = cluster(t, '--auth-token', f'jwt,pub-key={pub},priv-key={key},sign-method=RS256,ttl=10m')
    populate(c.ctl)
    token = login(c.members[0].client_port, 'alice', 'apw')
    assert token.count('.') == 2
    for m in c.members:
        assert c.ctl(*with_token(token), 'get', 'a', members=[m])[0] == 'a\nv\n'
        refused(c.ctl, BAD_TOKEN, *with_token(token[:-8] + 'AAAAAAAA'), 'get', 'a', members=[m])
    m = c.members[2]
    m.kill()
    m.start()
    wait_member(c, m)
    assert c.ctl(*with_token(token), 'get', 'a', members=[m])[0] == 'a\nv\n'  # nobody has to remember it
    c.ctl(*ROOT, 'role', 'add', 'another')
    for m in c.members:
        wait_for('the change is applied', lambda: 'revision of auth store is old' in c.ctl(
            *with_token(token), 'get', 'a', members=[m], ok=False)[1])
    # With the public key alone: tokens are taken, none are made.
    m = c.members[0]
    m.args = ['--auth-token', f'jwt,pub-key={pub},sign-method=RS256']
    token = login(c.members[1].client_port, 'alice', 'apw')
    m.stop()
    m.start()
    wait_member(c, m)
    assert c.ctl(*with_token(token), 'get', 'a', members=[m])[0] == 'a\nv\n'
    refused(c.ctl, 'auth: token signing attempted with verify-only key', *ALICE, 'get', 'a', members=[m])


def test_wrong_settings(t):
    for spec, text in (('jwt', 'auth: invalid auth options'), ('bogus', 'auth: invalid auth options'),
                       ('jwt,sign-method=RS256', 'auth: missing key data')):
        s = server(t, '--auth-token', spec)
        s.start(wait=False)
        assert s.process.wait(HANG_S) == 1
        assert text in s.log(), s.log()[-1000:]


def test_snapshot(t):
    s = server(t).start()
    populate(s.ctl)
    snap = t.dir / 'snap.db'
    s.ctl(*ROOT, 'snapshot', 'save', str(snap))
    s.stop()
    n = server(t, name='restored')
    peer = f'http://127.0.0.1:{n.peer_port}'
    t.run([str(t.bin('cairnutl')), 'snapshot', 'restore', str(snap), '--data-dir', str(n.data_dir), '--name',
           'restored', '--initial-cluster', f'restored={peer}', '--initial-advertise-peer-urls', peer])
    n.start(wait=False)
    n.wait_listening()
    wait_for('it answers', lambda: n.ctl('get', 'a', ok=False)[1].find(EMPTY) >= 0)
    assert n.ctl(*ALICE, 'get', 'a')[0] == 'a\nv\n'
    refused(n.ctl, DENIED, *ALICE, 'get', 'c')


if __name__ == '__main__':
    main(globals())
