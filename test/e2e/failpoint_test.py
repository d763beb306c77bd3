#!/usr/bin/env python3
"""Failpoints of the real server in gofail's protocol: the port, and a death at each point, after which
everything acknowledged is there."""
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from cairn_test import HANG_S, ROOT, free_port, main  # noqa: E402
from cluster import Cluster  # noqa: E402

DEF = (ROOT / 'src' / 'base' / 'failpoint.def').read_text()
NAMES = [line[len('FAILPOINT_DEF('):-1] for line in DEF.splitlines() if line.startswith('FAILPOINT_DEF(')]

# What makes a member pass the point, beyond a put.
BY_PUT = ['afterCommit', 'afterStartDBTxn', 'afterWritebackBuf', 'beforeApplyOneEntryNormal', 'beforeCommit',
          'beforeStartDBTxn', 'beforeWritebackBuf', 'commitAfterPreCommitHook', 'commitBeforePreCommitHook',
          'raftAfterSave', 'raftBeforeAdvance', 'raftBeforeSave', 'walAfterSync', 'walBeforeSync']
BY_COMPACT = ['compactAfterAcquiredBatchTxLock', 'compactAfterCommitBatch', 'compactAfterCommitScheduledCompact',
              'compactAfterSetFinishedCompact', 'compactBeforeCommitBatch', 'compactBeforeCommitScheduledCompact',
              'compactBeforeSetFinishedCompact']
BY_DEFRAG = ['defragBeforeCopy', 'defragBeforeRename']
BY_SNAPSHOT = ['applyAfterOpenSnapshot', 'applyBeforeOpenSnapshot', 'raftAfterApplySnap', 'raftAfterSaveSnap',
               'raftAfterWALRelease', 'raftBeforeApplySnap', 'raftBeforeFollowerSend', 'raftBeforeSaveSnap',
               'raftBeforeWALSaveSnaphot']


def ask(port, method, path, body=None):
    """(status, text) of the failpoint port."""
    req = urllib.request.Request(f'http://127.0.0.1:{port}{path}', method=method,
                                 data=None if body is None else body.encode())
    try:
        with urllib.request.urlopen(req, timeout=HANG_S) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def served(t, **kw):
    s = t.server(**kw)
    s.points = free_port()
    s.env = {'GOFAIL_HTTP': f'127.0.0.1:{s.points}'}
    return s.start()


def test_protocol(t):
    s = served(t)
    assert ask(s.points, 'GET', '/') == (200, ''.join(f'{n}=\n' for n in NAMES))
    assert ask(s.points, 'PUT', '/walBeforeSync', '2*off->print') == (204, '')
    assert ask(s.points, 'GET', '/walBeforeSync') == (200, '2*off->print\n')
    assert 'walBeforeSync=2*off->print\n' in ask(s.points, 'GET', '/')[1]
    assert ask(s.points, 'GET', '/walBeforeSync/count') == (200, '0')
    for _ in range(3):
        s.ctl('put', 'a', 'b')
    assert int(ask(s.points, 'GET', '/walBeforeSync/count')[1]) >= 3
    assert 'failpoint print: walBeforeSync\n' in s.log()
    assert ask(s.points, 'DELETE', '/walBeforeSync') == (204, '')
    disabled = 'failpoint: failpoint is disabled\n'
    absent = 'failpoint: failpoint does not exist\n'
    assert ask(s.points, 'DELETE', '/walBeforeSync') == (400, 'failed to delete failpoint ' + disabled)
    assert ask(s.points, 'DELETE', '/none') == (400, 'failed to delete failpoint ' + absent)
    assert ask(s.points, 'GET', '/walBeforeSync') == (404, 'failed to GET: ' + disabled)
    assert ask(s.points, 'GET', '/walBeforeSync/count') == (500, 'failed to GET: ' + disabled)
    assert ask(s.points, 'GET', '/none') == (404, 'failed to GET: ' + absent)
    assert ask(s.points, 'PUT', '/none', 'off') == (400, 'fail to set failpoint: ' + absent)
    assert ask(s.points, 'PUT', '/walBeforeSync', 'boom') == (
        400, 'fail to set failpoint: failpoint: could not parse terms\n')
    assert ask(s.points, 'PUT', '/failpoints', 'walBeforeSync=off;walAfterSync=1*off') == (204, '')
    assert ask(s.points, 'GET', '/walAfterSync') == (200, '1*off\n')
    assert ask(s.points, 'PUT', '/failpoints', 'walBeforeSync') == (
        400, 'fail to parse failpoint: bad failpoint "walBeforeSync"\n')
    assert ask(s.points, 'POST', '/walBeforeSync', 'off')[0] == 405
    assert s.stop() in (-15, 143)


def test_nothing_without_the_variables(t):
    s = t.server().start()
    s.ctl('put', 'a', 'b')
    assert 'failpoint' not in s.log()


def test_bad_variables_end_the_start(t):
    for env, text in ({'GOFAIL_FAILPOINTS': 'walBeforeSync'}, 'bad failpoint'), \
            ({'GOFAIL_HTTP': '127.0.0.1:99999'}, 'GOFAIL_HTTP'):
        s = t.server()
        s.env = env
        s.start(wait=False)
        assert s.process.wait(HANG_S) == 1
        assert text in s.log(), s.log()


def test_sleep_is_felt_and_undone(t):
    """The port answers while the main loop sleeps, and a sleep that was taken back is the last one."""
    s = served(t)
    began = time.monotonic()
    assert ask(s.points, 'PUT', '/beforeApplyOneEntryNormal', 'sleep("1s")')[0] == 204
    put = subprocess.Popen([str(t.bin('cairnctl')), '--endpoints', s.endpoint, 'put', 'a', 'b'],
                           stdout=subprocess.DEVNULL)
    t.processes.append(put)
    while ask(s.points, 'GET', '/beforeApplyOneEntryNormal/count')[1] == '0':
        time.sleep(0.01)
    assert ask(s.points, 'DELETE', '/beforeApplyOneEntryNormal')[0] == 204
    assert put.wait(HANG_S) == 0 and time.monotonic() - began >= 1
    s.ctl('put', 'a', 'c')


def die_at(s, name, *trigger):
    """The member dies at the point; what was acknowledged before is there when it is back."""
    s.ctl('put', 'acknowledged', name)
    assert ask(s.points, 'PUT', '/' + name, 'panic') == (204, '')
    for args in trigger:
        s.ctl(*args, '--command-timeout', '3s', ok=False)
    assert s.process.wait(HANG_S) == 2, name
    assert f'panic: failpoint panic: {name}\n' in s.log()
    s.start()
    assert s.ctl('get', 'acknowledged', '--print-value-only')[0] == name + '\n'


def test_death_at_each_point(t):
    s = served(t)
    for name in BY_PUT:
        die_at(s, name, ('put', 'x', name))
    for name in BY_COMPACT:
        for i in range(20):
            s.ctl('put', 'k', str(i))
        rev = s.json('get', 'k')['header']['revision']
        die_at(s, name, ('compaction', str(rev)))
        r = s.ctl('get', 'k', '--rev', str(rev), '--print-value-only')
        assert r[0] == '19\n', r
    for name in BY_DEFRAG:
        die_at(s, name, ('defrag',))


def test_defrag_fails_and_goes_on(t):
    s = served(t)
    s.ctl('put', 'a', 'b')
    for name in 'defragOpenFileError', 'defragdbFail':
        assert ask(s.points, 'PUT', '/' + name, 'return("planted")') == (204, '')
        assert s.ctl('defrag', ok=False)[2] == 1
        assert ask(s.points, 'DELETE', '/' + name) == (204, '')
        s.ctl('defrag')
        assert s.ctl('get', 'a', '--print-value-only')[0] == 'b\n'


def snapshot_death(t, name):
    """A cluster of its own for each point: a leader keeps its log for a while after it has sent a snapshot."""
    c = Cluster(t, args=['--snapshot-count', '10', '--snapshot-catchup-entries', '5'])
    c.start()
    leader = c.leader()
    follower = next(m for m in c.members if m is not leader)
    follower.kill()
    for i in range(25):
        c.ctl('put', f'k{i}', name, members=[m for m in c.members if m is not follower])
    follower.env = {'GOFAIL_FAILPOINTS': f'{name}=panic'}
    follower.start()
    assert follower.process.wait(HANG_S) == 2, name
    follower.env = {}
    follower.start()
    c.wait([follower])
    c.assert_equal()
    for m in c.members:
        m.kill()


def test_death_of_a_follower_that_gets_a_snapshot(t):
    for name in BY_SNAPSHOT:
        snapshot_death(t.part(name), name)


def test_deaf_follower_comes_back(t):
    """raftDropHeartbeat: a follower that hears nothing calls elections in vain (pre-vote), and is one of them
    again when it hears."""
    c = Cluster(t)
    for m in c.members:
        m.points = free_port()
        m.env = {'GOFAIL_HTTP': f'127.0.0.1:{m.points}'}
    c.start()
    leader = c.leader()
    deaf = next(m for m in c.members if m is not leader)
    assert ask(deaf.points, 'PUT', '/raftDropHeartbeat', 'return')[0] == 204
    for i in range(20):
        c.ctl('put', f'k{i}', 'v', members=[leader])
    assert ask(deaf.points, 'DELETE', '/raftDropHeartbeat')[0] == 204
    c.wait([deaf])
    c.assert_equal()


if __name__ == '__main__':
    sys.exit(main(globals()))
