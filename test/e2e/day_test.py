#!/usr/bin/env python3
"""The day everything is lost, as the first user described it: three members over TLS with client
certificates and a service user, a snapshot under load, all data gone, restore on each, start, the keys are
there.  With Debian's etcdctl 3.4, with cairnctl, with cairnutl; and with the fence for clients that watch, restored
by cairnutl and, where CAIRN_REFERENCE names one, by etcdutl 3.6."""
import os
import pathlib
import shutil
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from cairn_test import Skip, main  # noqa: E402
from cluster import Cluster, chown, service_user  # noqa: E402
from watch_stream import WatchStream, short  # noqa: E402

KEYS = 10_000
BUMP = 1_000_000


def fill(c, ctl, count=KEYS):
    """Many keys under /registry/, through transactions of 100 puts."""
    for base in range(0, count, 100):
        puts = ''.join(f'put /registry/pods/default/p{i:05} "spec of {i}"\n' for i in range(base, base + 100))
        c.ctl('txn', ctl=ctl, input=f'\n{puts}\n\n')


class Load:
    """Writes until told to stop; what was acknowledged is counted."""

    def __init__(self, c, ctl):
        self.c, self.ctl, self.stopped, self.count, self.errors = c, ctl, False, 0, []
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.stopped:
                self.c.ctl('put', '/load/key', str(self.count), ctl=self.ctl)
                self.count += 1
        except Exception as e:
            self.errors.append(e)

    def stop(self):
        self.stopped = True
        self.thread.join()
        assert not self.errors and self.count > 0, self.errors


def own(c, user):
    for m in c.members:
        m.user = user
        if user is not None and m.data_dir.exists():
            chown(m.data_dir, user)


def day(t, ctl, restore):
    user = service_user()
    c = Cluster(t, is_tls=True)
    if user is not None:
        t.dir.chmod(0o755)
        chown(c.certs, user)
        for m in c.members:
            m.data_dir.mkdir(mode=0o700)
    own(c, user)
    c.start()
    fill(c, ctl)
    before = c.ctl('get', '/registry/', '--prefix', '--keys-only', ctl=ctl)[0]
    assert before.count('/registry/pods/default/') == KEYS

    load = Load(c, ctl)
    snapshot = str(t.dir / 'backup.db')
    c.ctl('snapshot', 'save', snapshot, ctl=ctl, members=[c.members[1]])
    load.stop()
    c.assert_equal()

    # The worst day: all members, all data.
    for m in c.members:
        m.kill()
        shutil.rmtree(m.data_dir)

    for m in c.members:
        t.run([str(t.bin(restore)), 'snapshot', 'restore', snapshot, '--name', m.name,
               '--initial-cluster', c.initial_cluster(), '--initial-cluster-token', 'again',
               '--initial-advertise-peer-urls', m.peer_url, '--data-dir', str(m.data_dir)])
    # What must be refused: a directory that is there, a file that was changed.
    m = c.members[0]
    _, err, rc = t.run([str(t.bin(restore)), 'snapshot', 'restore', snapshot, '--data-dir', str(m.data_dir)],
                       ok=False)
    assert rc != 0 and 'data-dir' in err.replace('data directory', 'data-dir'), err
    with open(snapshot, 'r+b') as f:
        f.seek(40_000)
        b = f.read(1)
        f.seek(40_000)
        f.write(bytes([b[0] ^ 1]))
    _, err, rc = t.run([str(t.bin(restore)), 'snapshot', 'restore', snapshot, '--data-dir',
                        str(t.dir / 'never')], ok=False)
    assert rc != 0 and 'sha256' in err, err

    own(c, user)
    c.token = 'again'
    c.start()
    assert c.ctl('get', '/registry/', '--prefix', '--keys-only', ctl=ctl)[0] == before
    c.assert_equal()
    c.ctl('put', '/registry/pods/default/after', 'x', ctl=ctl)
    c.members[2].stop()
    c.ctl('put', '/registry/pods/default/two of three', 'x', ctl=ctl, members=c.members[:2])
    c.members[2].start()
    c.wait()
    c.assert_equal()


def test_day_debian_etcdctl(t):
    day(t, 'debian-etcdctl', 'debian-etcdctl')


def test_day_cairnctl(t):
    day(t, 'cairnctl', 'cairnctl')


def test_day_cairnutl(t):
    day(t, 'cairnctl', 'cairnutl')


def open_watch(c, m, key, rev):
    w = WatchStream(m.client_port, tls=c.certs)
    w.create(key, key + b'\xff', rev=rev)
    assert w.read().created
    return w


def lose_and_restore(c, tool, snapshot, *flags):
    for m in c.members:
        m.kill()
        shutil.rmtree(m.data_dir)
        c.t.run([str(tool), 'snapshot', 'restore', snapshot, '--name', m.name,
                 '--initial-cluster', c.initial_cluster(), '--initial-cluster-token', 'again',
                 '--initial-advertise-peer-urls', m.peer_url, '--data-dir', str(m.data_dir), *flags])
    c.token = 'again'
    c.start()


def fence(t, tool):
    """A client that caches by revision: what it saw after the snapshot was taken is gone, and the restored cluster
    would hand out the same revisions anew.  It has to be told."""
    c = Cluster(t, is_tls=True)
    c.start()
    fill(c, 'cairnctl', count=300)
    snapshot = str(t.dir / 'backup.db')
    c.ctl('snapshot', 'save', snapshot, members=[c.members[0]])
    saved = c.json('get', 'x')['header']['revision']
    w = open_watch(c, c.members[1], b'/registry/', saved + 1)
    for i in range(5):
        c.ctl('put', '/registry/lost', str(i))
    seen = 0
    while seen < saved + 5:
        seen = w.read().events[-1]['kv']['mod']
    w.close()

    lose_and_restore(c, tool, snapshot, '--bump-revision', str(BUMP), '--mark-compacted')
    after = c.json('get', '/registry/pods/', '--prefix', '--keys-only')
    assert after['header']['revision'] == saved + BUMP and after['count'] == 300, after['header']
    for m in c.members:
        # Resuming where it was: an end that names the fence, on every member.
        for rev in (2, seen + 1, saved + BUMP - 1):
            w = open_watch(c, m, b'/registry/', rev)
            end = w.read()
            assert end.canceled and end.compacted == saved + BUMP and not end.events, (m.name, rev, end)
            w.close()
    # Listing again and watching from there goes on, and no revision that was ever seen comes back.
    w = open_watch(c, c.members[2], b'/registry/', after['header']['revision'] + 1)
    c.ctl('put', '/registry/new', '1')
    events = w.read().events
    assert [short(e) for e in events] == [f'PUT /registry/new=1@{saved + BUMP + 1}'], events
    w.close()
    _, err, rc = c.ctl('get', '/registry/new', f'--rev={seen}', ok=False)
    assert rc != 0 and 'required revision has been compacted' in err, err
    c.assert_equal()
    # The fence is in the files, not in the memory of the first start.
    for m in c.members:
        m.stop()
    c.start()
    w = open_watch(c, c.members[0], b'/registry/', seen + 1)
    end = w.read()
    assert end.canceled and end.compacted == saved + BUMP, end
    w.close()
    c.assert_equal()


def test_fence_cairnutl(t):
    fence(t, t.bin('cairnutl'))


def test_fence_etcdutl(t):
    given = os.environ.get('CAIRN_REFERENCE')
    if not given:
        raise Skip('CAIRN_REFERENCE names no etcdutl 3.6')
    fence(t, pathlib.Path(given) / 'etcd-3.6/bin/etcdutl')


def test_old_members_stay_out(t):
    """A member of the cluster that was lost cannot join the restored one: other cluster id."""
    c = Cluster(t)
    c.start()
    c.ctl('put', 'a', '1')
    c.ctl('snapshot', 'save', str(t.dir / 'b.db'), members=c.members[:1])
    for m in c.members:
        m.kill()
    for m in c.members[:2]:
        shutil.rmtree(m.data_dir)
        t.run([str(t.bin('etcdutl')), 'snapshot', 'restore', str(t.dir / 'b.db'), '--name', m.name,
               '--initial-cluster', c.initial_cluster(), '--initial-cluster-token', 'new life',
               '--initial-advertise-peer-urls', m.peer_url, '--data-dir', str(m.data_dir)])
    for m in c.members:
        m.start()  # m3 with the old directory
    c.wait(c.members[:2])
    c.ctl('put', 'a', '2', members=c.members[:2])
    lost = c.members[2]
    _, _, rc = c.ctl('--command-timeout', '3s', 'get', 'a', members=[lost], ok=False)
    assert rc != 0, 'the old member serves'
    assert 'cluster ID mismatch' in lost.log() or 'cluster ID mismatch' in c.members[0].log()
    assert c.json('get', 'a', members=c.members[:2])['kvs'][0]['value'] == 'Mg=='


if __name__ == '__main__':
    main(globals())
