#!/usr/bin/env python3
"""Leases as users meet them, with Debian's etcdctl 3.4 and cairnctl, on one member and on three:
grant, revoke, time to live, list, keep-alive; expiry; restart; a new leader."""
import json
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from cairn_test import HANG_S, main  # noqa: E402
from cluster import Cluster  # noqa: E402

CTLS = ('cairnctl', 'debian-etcdctl')


def wait_for(what):
    end = time.monotonic() + HANG_S
    while not what():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def grant(run, ttl, ctl='cairnctl'):
    words = run('lease', 'grant', str(ttl), ctl=ctl)[0].split()
    assert words[0] == 'lease' and words[2:4] == ['granted', 'with'], words
    return words[1], words[4]


def test_session(t):
    s = t.server().start()
    for ctl in CTLS:
        lease, ttl = grant(s.ctl, 500, ctl)
        assert ttl == 'TTL(500s)', ttl
        assert grant(s.ctl, 1, ctl)[1] == 'TTL(2s)'
        for key in ('lb', 'la'):
            s.ctl('put', key, 'v', f'--lease={lease}', ctl=ctl)
        out = s.ctl('lease', 'timetolive', lease, '--keys', ctl=ctl)[0]
        assert out.startswith(f'lease {lease} granted with TTL(500s), remaining(') and \
            out.endswith('), attached keys([la lb])\n'), out
        assert lease in s.ctl('lease', 'list', ctl=ctl)[0].splitlines()
        out = s.ctl('lease', 'keep-alive', '--once', lease, ctl=ctl)[0]
        assert out == f'lease {lease} keepalived with TTL(500)\n', out
        rev = s.json('get', 'x', ctl=ctl)['header']['revision']
        assert s.ctl('lease', 'revoke', lease, ctl=ctl)[0] == f'lease {lease} revoked\n'
        after = s.json('get', 'l', '--prefix', ctl=ctl)
        assert after['header']['revision'] == rev + 1 and 'kvs' not in after, after
        assert s.ctl('lease', 'timetolive', lease, ctl=ctl)[0] == f'lease {lease} already expired\n'
        for args, text in ((('revoke', lease), 'failed to revoke lease (etcdserver: requested lease not found)'),
                           (('grant', '9000000001'), 'failed to grant lease (etcdserver: too large lease TTL)')):
            _, err, rc = s.ctl('lease', *args, ctl=ctl, ok=False)
            assert rc == 1 and err.endswith(f'Error: {text}\n'), (args, err, rc)
        _, err, rc = s.ctl('put', 'a', 'b', f'--lease={lease}', ctl=ctl, ok=False)
        assert rc == 1 and 'etcdserver: requested lease not found' in err, err


def test_expiry(t):
    s = t.server().start()
    for ctl in CTLS:
        lease, _ = grant(s.ctl, 2, ctl)
        s.ctl('put', 'k', 'v', f'--lease={lease}', ctl=ctl)
        wait_for(lambda: s.ctl('get', 'k')[0] == '')
        out = s.ctl('lease', 'timetolive', lease, ctl=ctl)[0]
        assert out == f'lease {lease} already expired\n', out
    assert s.ctl('lease', 'list')[0] == 'found 0 leases\n'


def test_restart_keeps_leases(t):
    s = t.server().start()
    short, _ = grant(s.ctl, 3)
    long, _ = grant(s.ctl, 600)
    s.ctl('put', 'short', 'v', f'--lease={short}')
    s.ctl('put', 'long', 'v', f'--lease={long}')
    s.stop()
    s.start()
    assert s.ctl('get', 'short')[0] == 'short\nv\n'  # its time begins anew
    wait_for(lambda: s.ctl('get', 'short')[0] == '')
    assert s.ctl('get', 'long')[0] == 'long\nv\n'
    assert s.ctl('lease', 'list')[0] == f'found 1 leases\n{long}\n'


def keep_alive(t, url, lease, ctl):
    """A keep-alive that runs until it is ended; its output so far."""
    return subprocess.Popen([str(t.bin(ctl)), f'--endpoints={url}', 'lease', 'keep-alive', lease],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_three_members(t):
    """Every member serves; a follower asks the leader; the next leader goes on."""
    c = Cluster(t)
    c.start()
    leader = c.leader()
    followers = [m for m in c.members if m is not leader]
    for ctl in CTLS:
        for m in c.members:
            def run(*args, m=m, **kw):
                return c.ctl(*args, members=[m], **kw)
            lease, _ = grant(run, 300, ctl)
            run('put', 'k' + lease, 'v', f'--lease={lease}', ctl=ctl)
            out = run('lease', 'timetolive', lease, '--keys', ctl=ctl)[0]
            assert f'granted with TTL(300s), remaining(29' in out and f'[k{lease}]' in out, out
            out = run('lease', 'keep-alive', '--once', lease, ctl=ctl)[0]
            assert out == f'lease {lease} keepalived with TTL(300)\n', out
            assert run('lease', 'timetolive', '1234', ctl=ctl)[0] == 'lease 0000000000001234 already expired\n'
            run('lease', 'revoke', lease, ctl=ctl)
            assert run('get', 'k' + lease)[0] == ''
    lease, _ = grant(c.ctl, 4)
    c.ctl('put', 'kept', 'v', f'--lease={lease}')
    other, _ = grant(c.ctl, 4)
    c.ctl('put', 'left', 'v', f'--lease={other}')
    p = keep_alive(t, followers[0].url, lease, 'cairnctl')
    try:
        wait_for(lambda: c.ctl('get', 'left')[0] == '')
        assert c.ctl('get', 'kept')[0] == 'kept\nv\n'
        leader.kill()
        c.wait(followers)
        time.sleep(10)  # more than the TTL and an election time-out: only renewals keep it
        assert c.ctl('get', 'kept', members=followers)[0] == 'kept\nv\n'
        assert p.poll() is None
    finally:
        p.kill()
        p.communicate()
    wait_for(lambda: c.ctl('get', 'kept', members=followers)[0] == '')
    leader.start()
    c.wait()
    c.assert_equal()
    assert c.ctl('lease', 'list')[0] == 'found 0 leases\n'


def test_checkpoint_gates(t):
    """The gates start, and leases work with them."""
    s = t.server(args=['--feature-gates=LeaseCheckpoint=true,LeaseCheckpointPersist=true,'
                       'FastLeaseKeepAlive=false']).start()
    lease, _ = grant(s.ctl, 1000)
    assert s.ctl('lease', 'keep-alive', '--once', lease)[0] == f'lease {lease} keepalived with TTL(1000)\n'
    assert json.loads(s.ctl('lease', 'timetolive', lease, '-w', 'json')[0])['granted-ttl'] == 1000


if __name__ == '__main__':
    main(globals())
