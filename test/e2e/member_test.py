#!/usr/bin/env python3
"""One member as its users meet it: writes, reads, transactions, compaction, snapshot and restore, with
Debian's etcdctl 3.4 and with our tools; kill -9; second start."""
import pathlib
import re
import random
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
import h2client  # noqa: E402
from cairn_test import Skip, main  # noqa: E402

TXN = 'mod("k1") > "0"\n\nput k1 "changed"\nget k1\n\nput k1 "created"\n\n'


def session(t, ctl):
    """The acceptance session: put, get, txn, compaction, snapshot save, restore, start, get."""
    s = t.server().start()
    for i in range(100):
        s.ctl('put', f'/registry/pods/p{i:03}', f'value {i}', ctl=ctl)
    s.ctl('put', 'k1', 'v1', ctl=ctl)
    keys = s.ctl('get', '/registry/', '--prefix', '--keys-only', ctl=ctl)[0].split()
    assert keys == [f'/registry/pods/p{i:03}' for i in range(100)], keys
    out = s.ctl('txn', ctl=ctl, input=TXN)[0]
    assert out.startswith('SUCCESS\n\nOK\n\nk1\nchanged\n'), out
    rev = s.json('get', 'k1', ctl=ctl)['header']['revision']
    assert s.ctl('compaction', str(rev), ctl=ctl)[0] == f'compacted revision {rev}\n'
    _, err, rc = s.ctl('get', 'k1', f'--rev={rev - 1}', ctl=ctl, ok=False)
    assert rc == 1 and 'required revision has been compacted' in err, (rc, err)
    s.ctl('snapshot', 'save', str(t.dir / 'backup.db'), ctl=ctl)
    s.stop()

    peer = 'http://127.0.0.1:%d' % s.peer_port
    t.run([str(t.bin('etcdutl')), 'snapshot', 'restore', str(t.dir / 'backup.db'), '--name', 'm1',
           '--initial-cluster', f'm1={peer}', '--initial-cluster-token', 'again',
           '--initial-advertise-peer-urls', peer, '--data-dir', str(t.dir / 'restored.etcd')])
    r = t.server(data_dir=t.dir / 'restored.etcd', name='m1')
    r.peer_port = s.peer_port
    r.start()
    again = r.ctl('get', '/registry/', '--prefix', '--keys-only', ctl=ctl)[0].split()
    assert again == keys, again
    assert r.ctl('get', 'k1', ctl=ctl)[0] == 'k1\nchanged\n'
    r.ctl('put', 'k2', 'after', ctl=ctl)
    assert r.stop() in (-15, 143)


def test_session_debian_etcdctl(t):
    session(t, 'debian-etcdctl')


def test_session_cairnctl(t):
    session(t, 'cairnctl')


def test_session_restore_by_etcdctl_name(t):
    """The first user's document runs `etcdctl snapshot restore`."""
    s = t.server().start()
    s.ctl('put', 'a', '1')
    s.ctl('snapshot', 'save', str(t.dir / 'b.db'))
    s.stop()
    peer = 'http://127.0.0.1:%d' % s.peer_port
    _, err, _ = t.run([str(t.bin('etcdctl')), 'snapshot', 'restore', str(t.dir / 'b.db'),
                       '--name', 'm1', '--initial-cluster', f'm1={peer}',
                       '--initial-advertise-peer-urls', peer, '--data-dir', str(t.dir / 'r')])
    assert 'Deprecated' in err, err
    r = t.server(data_dir=t.dir / 'r', name='m1')
    r.peer_port = s.peer_port
    r.start()
    assert r.ctl('get', 'a')[0] == 'a\n1\n'


def test_restart_keeps_everything(t):
    s = t.server().start()
    for i in range(50):
        s.ctl('put', f'k{i}', f'v{i}')
    s.ctl('del', 'k7')
    before = s.json('get', '', '--prefix')
    assert s.stop() in (-15, 143)
    s.start()
    after = s.json('get', '', '--prefix')
    assert before['kvs'] == after['kvs'] and before['count'] == after['count'] == 49
    s.kill()
    s.start()
    assert s.json('get', '', '--prefix')['kvs'] == before['kvs']


def test_defrag_before_the_start(t):
    """--bootstrap-defrag-threshold-megabytes: below it nothing but a line, from it on the file is smaller, and the same
    is in it."""
    s = t.server(args=['--bootstrap-defrag-threshold-megabytes', '1000']).start()
    value = 'x' * 100000
    for i in range(40):
        s.ctl('put', f'k{i}', value)
    s.ctl('put', 'kept', 'value')
    s.ctl('del', 'k', '--prefix')
    rev = s.json('put', 'kept', 'value')['header']['revision']
    s.ctl('compaction', str(rev), '--physical')
    s.stop()
    before = (s.data_dir / 'member' / 'snap' / 'db').stat().st_size
    assert before > 4 << 20 and '"msg":"Skipping defragmentation"' in s.log(), before
    s.args = ['--bootstrap-defrag-threshold-megabytes', '2']
    s.start()
    assert (s.data_dir / 'member' / 'snap' / 'db').stat().st_size < 1 << 20
    assert s.json('get', 'kept')['kvs'][0]['mod_revision'] == rev
    s.kill()
    s.start()
    assert s.ctl('get', '', '--from-key', '--keys-only')[0].split() == ['kept']


def test_kill_under_load(t):
    """kill -9 while clients write: every acknowledged put is there after the restart."""
    s = t.server(args=['--snapshot-count', '50']).start()
    acknowledged, lock, rng = {}, threading.Lock(), random.Random(1)
    for round_ in range(5):
        stop = threading.Event()

        def load(worker, number):
            i = 0
            while not stop.is_set():
                key, value = f'w{worker}/{rng.randrange(20)}', f'{number}.{i}'
                _, _, rc = s.ctl('put', key, value, '--command-timeout=2s', ok=False)
                if rc == 0:
                    with lock:
                        acknowledged[key] = value
                i += 1

        threads = [threading.Thread(target=load, args=(w, round_)) for w in range(4)]
        for th in threads:
            th.start()
        while len(acknowledged) < 20 * (round_ + 1) and round_ == 0:
            threads[0].join(0.02)
        threads[0].join(0.3)
        with lock:
            seen = dict(acknowledged)
        s.kill()
        stop.set()
        for th in threads:
            th.join()
        s.start()
        for key, value in seen.items():
            got = s.ctl('get', key, '--print-value-only')[0].strip()
            # A later put may have been applied without its answer arriving.
            worker_value = [int(x) for x in got.split('.')]
            assert worker_value >= [int(x) for x in value.split('.')], (key, value, got)


def test_second_start_is_refused(t):
    s = t.server().start()
    s.ctl('put', 'a', '1')
    second = t.server(data_dir=s.data_dir)
    second.start(wait=False)
    assert second.process.wait(60) == 1
    assert 'in use' in second.log(), second.log()
    assert s.ctl('get', 'a')[0] == 'a\n1\n'


def test_quota_and_alarm(t):
    s = t.server(args=['--quota-backend-bytes', '1000000']).start()
    value, refused = 'x' * 20000, None
    for i in range(200):
        _, err, rc = s.ctl('put', f'k{i}', value, ok=False)
        if rc != 0:
            refused = err
            break
    assert refused and 'etcdserver: mvcc: database space exceeded' in refused, refused
    assert 'alarm:NOSPACE' in s.ctl('alarm', 'list')[0]
    assert s.get('/health')[0] == 503
    assert s.ctl('get', 'k0', '--print-value-only')[0] == value + '\n'
    rev = s.json('get', 'k0')['header']['revision']
    s.ctl('del', 'k', '--prefix')
    s.ctl('compaction', str(rev + 1), '--physical')
    s.ctl('defrag')
    s.ctl('alarm', 'disarm')
    assert s.ctl('alarm', 'list')[0] == ''
    assert s.ctl('put', 'k', 'v')[0] == 'OK\n'


def test_defrag_under_reads(t):
    s = t.server().start()
    for i in range(60):
        s.ctl('put', f'k{i % 5}', 'x' * 5000)
    size = s.json('endpoint', 'status')[0]['Status']['dbSize']
    rev = s.json('get', 'k0')['header']['revision']
    s.ctl('compaction', str(rev), '--physical')
    assert 'Finished defragmenting etcd member' in s.ctl('defrag')[0]
    assert s.json('endpoint', 'status')[0]['Status']['dbSize'] < size
    assert s.json('get', 'k', '--prefix')['count'] == 5
    s.kill()
    s.start()
    assert s.json('get', 'k', '--prefix')['count'] == 5


def test_clients_that_go_away(t):
    """Streams reset and connections lost in the middle of large answers: nothing else suffers."""
    s = t.server().start()
    big = h2client.field(1, b'big/') + h2client.field(2, b'big0')
    c = h2client.Client(s.client_port)
    for i in range(40):
        c.drain(c.call('/etcdserverpb.KV/Put', h2client.field(1, b'big/%d' % i) + h2client.field(2, b'x' * 30000)))
    methods = {'KV/Range': big, 'KV/RangeStream': big, 'Maintenance/Snapshot': b''}
    for i in range(30):
        for name, body in methods.items():
            c = h2client.Client(s.client_port)
            stream = c.call(f'/etcdserverpb.{name}', body)
            if i % 3 != 0:
                assert c.read_until(lambda c: c.data_bytes.get(stream, 0) > 0)
            if i % 2 != 0:
                c.reset(stream)
                c.drain(c.call('/etcdserverpb.KV/Range', h2client.field(1, b'none')))
            c.close()
    c = h2client.Client(s.client_port)
    for name, body in methods.items():
        assert c.drain(c.call(f'/etcdserverpb.{name}', body)) > 40 * 30000, name
    assert s.get('/metrics')[0] == 200
    assert s.stop() in (-15, 143)


def mvcc_counts(s):
    text = s.get('/metrics')[1]
    return {k: int(re.search(rf'^etcd_mvcc_{k}_total (\d+)$', text, re.M).group(1))
            for k in ('put', 'range', 'delete', 'txn')}


def test_pages(t):
    s = t.server().start()
    assert s.get('/health') == (200, '{"health":"true","reason":""}')
    assert s.get('/livez') == (200, 'ok\n') and s.get('/readyz') == (200, 'ok\n')
    assert '[+]linearizable_read ok' in s.get('/readyz?verbose')[1]
    assert s.get('/readyz/serializable_read')[0] == 200 and s.get('/readyz/bogus')[0] == 404
    assert s.get('/version') == (
        200, '{"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0"}')
    before = mvcc_counts(s)
    s.ctl('put', 'k', 'value')
    s.ctl('put', 'k', 'value', '--prev-kv')
    s.ctl('get', 'k')
    s.ctl('del', 'k')
    s.ctl('txn', input='\nput a 1\nput b 2\nget a\n\n\n')
    grown = {k: v - before[k] for k, v in mvcc_counts(s).items()}
    assert grown == {'put': 4, 'range': 3, 'delete': 1, 'txn': 2}, grown
    status, text = s.get('/metrics')
    assert status == 200 and 'etcd_server_has_leader 1' in text, text[:500]
    assert s.get('/nothing') == (404, '404 page not found\n')
    assert s.get('/health', method='POST')[0] == 405


def test_hash_and_status(t):
    s = t.server().start()
    for k, v in [('foo', '1'), ('foo', '2'), ('bar', '1')]:
        s.ctl('put', k, v)
    s.ctl('del', 'bar')
    s.ctl('put', 'baz', '1')
    s.ctl('put', 'foo', '3')
    s.ctl('del', 'foo')
    s.ctl('put', 'q', '1')
    s.ctl('put', 'foo', '4')
    s.ctl('put', 'bar', '9')

    def hashkv(rev):
        row = s.json('endpoint', 'hashkv', '--rev', str(rev))[0]['HashKV']
        return row['hash'], row['compact_revision']
    assert hashkv(5) == (3223888553, -1) and hashkv(11) == (162030792, -1)
    s.ctl('compaction', '8', '--physical')
    assert hashkv(8) == (4040846227, -1)
    assert hashkv(9) == (1833930795, 8) and hashkv(11) == (437712208, 8)
    s.stop()
    s.start()
    assert hashkv(8) == (1645425002, 8) and hashkv(10) == (3766724399, 8)


if __name__ == '__main__':
    main(globals())
