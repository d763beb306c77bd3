"""checks LIB ENDPOINT: what Python's etcd3 sees of a server, one line a check, without anything that may differ between
two servers on copies of one directory; and the services Lock and Election by plain gRPC, for which it has no calls."""
import hashlib
import io
import json
import re
import sys
import threading
import time

import etcd3
import grpc

sys.path.insert(0, sys.argv[1])
from h2client import field  # noqa: E402
from watch_stream import fields, kv  # noqa: E402

HANG_S = 60
host, port = sys.argv[2].rsplit(':', 1)
client = etcd3.client(host=host, port=int(port))
channel = grpc.insecure_channel(sys.argv[2])


def plain(value):
    if isinstance(value, bytes):
        text = value.decode('latin1')
        return text if len(text) <= 40 else f'{len(text)} bytes {hashlib.sha256(value).hexdigest()}'
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, etcd3.events.Event):
        return [type(value).__name__, plain(value.key), plain(value.value), value.mod_revision, plain(value.prev_value)]
    if isinstance(value, sys.modules['etcd3.client'].KVMetadata):
        return [plain(value.key), value.create_revision, value.mod_revision, value.version, value.lease_id]
    return type(value).__name__


def check(name, action, *args, **kw):
    """Says what came, or which error."""
    try:
        saw = plain(action(*args, **kw))
    except grpc.RpcError as e:
        saw = {'code': str(e.code()), 'text': e.details()}
    except Exception as e:
        saw = {'error': type(e).__name__, 'text': re.sub(r'0x[0-9a-f]+', '0x', str(e))}
    print(f'{name}: {json.dumps(saw)}', flush=True)


def until(what):
    end = time.monotonic() + HANG_S
    while not what():
        assert time.monotonic() < end, 'it does not come'
        time.sleep(0.05)
    return True


def rev():
    return client.get_response('x').header.revision


def pairs(found):
    return [[value, meta] for value, meta in found]


def puts():
    check('put', lambda: client.put('p1', 'a').header.revision)
    check('put with previous', lambda: client.put('p1', 'b', prev_kv=True).prev_kv.value)
    check('put empty', lambda: client.put('p2', '').header.revision)
    check('put binary', lambda: client.put(bytes(range(256)), bytes(range(256))).header.revision)
    check('put empty key', lambda: client.put('', 'v'))
    check('put with a lease that is not there', lambda: client.put('p3', 'v', lease=77))
    check('put 1 MiB', lambda: client.put('big', b'x' * (1 << 20)).header.revision)
    check('put more than 1.5 MiB', lambda: client.put('big', b'x' * (1572864 + 1)))
    check('put more than gRPC takes', lambda: client.put('big', b'x' * (3 << 20)))
    check('get', client.get, 'p1')
    check('get empty', client.get, 'p2')
    check('get binary', client.get, bytes(range(256)))
    check('get missing', client.get, 'none')
    check('get empty key', client.get, '')
    check('get 1 MiB', client.get, 'big')
    check('get serializable', client.get, 'p1', serializable=True)
    check('put if not exists', client.put_if_not_exists, 'p4', '1')
    check('put if not exists again', client.put_if_not_exists, 'p4', '2')
    check('replace', client.replace, 'p4', '1', '3')
    check('replace what is another', client.replace, 'p4', '1', '4')
    check('get what is left', client.get, 'p4')
    check('delete', client.delete, 'p4')
    check('delete again', client.delete, 'p4')
    check('delete with previous', lambda: [k.value for k in
                                           client.delete('p2', prev_kv=True, return_response=True).prev_kvs])


def ranges():
    for i, v in enumerate('edcba'):
        client.put(f'r{i}', v)
    client.put('r3', 'z')
    check('prefix', lambda: pairs(client.get_prefix('r')))
    check('prefix, keys', lambda: pairs(client.get_prefix('r', keys_only=True)))
    check('range', lambda: pairs(client.get_range('r1', 'r3')))
    check('range backwards', lambda: pairs(client.get_range('r3', 'r1')))
    check('count', lambda: client.get_prefix_response('r').count)
    check('all', lambda: len(list(client.get_all(keys_only=True))))
    for target in ('key', 'version', 'create', 'mod', 'value'):
        for order in ('ascend', 'descend'):
            check(f'sorted by {target}, {order}', lambda: pairs(client.get_prefix('r', sort_order=order,
                                                                                   sort_target=target)))
    check('delete prefix', lambda: client.delete_prefix('r').deleted)
    check('delete prefix again', lambda: client.delete_prefix('r').deleted)
    now = rev()
    check('compact', lambda: client.compact(now))
    check('compact again', lambda: client.compact(now))
    check('compact the future', lambda: client.compact(now + 1000))
    check('compact physically', lambda: client.compact(now, physical=True))


def txns():
    t = client.transactions
    client.put('t1', 'm')
    for name, compare in (('value', t.value('t1') == 'm'), ('value less', t.value('t1') < 'z'),
                          ('version', t.version('t1') == 1), ('version more', t.version('t1') > 1),
                          ('create', t.create('t1') > 0), ('create not', t.create('t1') != 0),
                          ('mod', t.mod('t1') > 5), ('missing', t.version('none') == 0)):
        check(f'if {name}', client.transaction, compare=[compare], success=[t.get('t1')], failure=[])
    check('then', client.transaction, compare=[t.value('t1') == 'm'],
          success=[t.put('t2', 'x'), t.get('t2'), t.delete('t1')], failure=[t.get('t1')])
    check('else', client.transaction, compare=[t.value('t1') == 'm'], success=[t.get('t1')],
          failure=[t.put('t1', 'new'), t.get('t1'), t.get('t', range_end='u')])
    check('the same key twice', client.transaction, compare=[], success=[t.put('t3', '1'), t.put('t3', '2')],
          failure=[])
    check('nested', client.transaction, compare=[],
          success=[t.txn(compare=[t.version('t1') > 0], success=[t.put('t4', 'in')], failure=[])], failure=[])
    check('128 operations', lambda: client.transaction([], [t.put(f'm{i}', 'v') for i in range(128)], [])[0])
    check('129 operations', client.transaction, [], [t.put(f'm{i}', 'v') for i in range(129)], [])
    check('after refused ones', lambda: pairs(client.get_prefix('t')))


def leases():
    lease = client.lease(100, lease_id=41)
    check('lease', lambda: [lease.id, lease.ttl])
    check('the same lease', lambda: client.lease(100, lease_id=41))
    check('lease too large', lambda: client.lease(9000000001, lease_id=42))
    check('lease of a second', lambda: client.lease(1, lease_id=43).ttl)
    check('put with a lease', lambda: client.put('l/a', '1', lease=lease).header.revision)
    check('get with a lease', client.get, 'l/a')
    check('lease info', lambda: [lease.granted_ttl, lease.remaining_ttl > 90, list(lease.keys)])
    check('lease refresh', lambda: [r.TTL for r in lease.refresh()])
    check('info of none', lambda: [client.get_lease_info(999).TTL, client.get_lease_info(999).grantedTTL])
    check('refresh none', lambda: [r.TTL for r in client.refresh_lease(999)])
    client.put('l/b', '2', lease=43)
    check('lease that ends', lambda: until(lambda: client.get('l/b')[0] is None))
    check('revoke', lambda: lease.revoke())
    check('after it', client.get, 'l/a')
    check('revoke none', lambda: client.revoke_lease(999))


def gathered(make, count, action):
    """So many events of a watch; the action begins when it is there."""
    events, cancel = make()
    out = []
    timer = threading.Timer(HANG_S, cancel)
    timer.start()
    action()
    for e in events:
        out.append(e)
        if len(out) == count:
            break
    timer.cancel()
    cancel()
    return out


def watches():
    def write():
        client.put('w/1', 'a')
        client.put('w/2', 'b')
        client.put('w/1', 'c')
        client.put('x', 'd')
        client.delete('w/2')

    def nothing():
        pass

    check('watch a key', gathered, lambda: client.watch('w/1'), 2, write)
    check('watch a prefix', gathered, lambda: client.watch_prefix('w/'), 4, write)
    check('watch with previous', gathered, lambda: client.watch_prefix('w/', prev_kv=True), 4, write)
    now = rev()
    check('watch from a revision', gathered, lambda: client.watch_prefix('w/', start_revision=now - 4), 4, nothing)
    check('watch from the future', gathered, lambda: client.watch('w/1', start_revision=now + 2), 1, write)

    def once():
        threading.Timer(0.5, lambda: client.put('once', 'v')).start()
        return client.watch_once('once', timeout=HANG_S)
    check('watch once', once)
    check('watch once, nothing', lambda: client.watch_once('never', timeout=0.5))

    def called():
        seen = []
        ids = [client.add_watch_callback(f'cb/{i}', seen.append) for i in range(20)]
        for i in range(20):
            client.put(f'cb/{i}', str(i))
        until(lambda: len(seen) == 20)
        for i in ids:
            client.cancel_watch(i)
        client.put('cb/1', 'unseen')
        return [r.events[0].key for r in seen]
    check('20 watches', called)
    now = rev()
    check('compact under watches', lambda: client.compact(now))

    def compacted():
        got = []
        client.add_watch_callback('w/1', got.append, start_revision=2)
        until(lambda: got)
        return [type(got[0]).__name__, getattr(got[0], 'compacted_revision', None)]
    check('watch what is compacted', compacted)


def locks():
    one, two = client.lock('lk', ttl=60), client.lock('lk', ttl=60)
    check('lock', one.acquire)
    check('is locked', one.is_acquired)
    check('lock that is held', lambda: two.acquire(timeout=1))
    check('refresh', lambda: [r.TTL for r in one.refresh()])
    check('unlock', one.release)
    check('lock after it', two.acquire)
    check('unlock it', two.release)
    check('unlock again', two.release)
    inside, most, done = [0], [0], [0]

    def worker():
        with etcd3.client(host=host, port=int(port)) as c:
            for _ in range(3):
                lock = c.lock('shared', ttl=60)
                while not lock.acquire(timeout=HANG_S):
                    pass
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                c.get('x')
                inside[0] -= 1
                lock.release()
                done[0] += 1

    def many():
        threads = [threading.Thread(target=worker) for _ in range(5)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(HANG_S * 2)
        return [most[0], done[0]]
    return many


# ---- the services themselves ----

def call(service, method, body, timeout=HANG_S):
    return channel.unary_unary(f'/{service}/{method}')(body, timeout=timeout)


def flat(data):
    """Of an answer: its revision, and the rest as numbers and texts."""
    f = dict(fields(data))
    h = dict(fields(f.get(1, b'')))
    return [h.get(3, 0)] + [v for n, v in f.items() if n != 1]


def lock_service():
    lock, election = 'v3lockpb.Lock', 'v3electionpb.Election'
    for i in (61, 62, 63):
        client.lease(1000, lease_id=i)

    def locked(name, id, timeout=HANG_S):
        return call(lock, 'Lock', field(1, name) + field(2, id), timeout)
    check('Lock', lambda: flat(locked(b'n', 61)))
    check('Lock again', lambda: flat(locked(b'n', 61)))
    check('Lock without its lease', locked, b'n', 999)
    check('Lock, empty name', lambda: flat(locked(b'', 61)))
    waiting = channel.unary_unary(f'/{lock}/Lock').future(field(1, b'n') + field(2, 62), timeout=HANG_S)
    until(lambda: client.get_prefix_response('n/').count == 2)
    check('Lock waits', waiting.done)
    check('Unlock', lambda: flat(call(lock, 'Unlock', field(1, b'n/3d'))))
    check('Lock has waited', lambda: flat(waiting.result()))
    check('Unlock again', lambda: flat(call(lock, 'Unlock', field(1, b'n/3d'))))
    check('Unlock nothing', call, lock, 'Unlock', b'')
    gone = channel.unary_unary(f'/{lock}/Lock').future(field(1, b'n') + field(2, 63), timeout=HANG_S)
    until(lambda: client.get_prefix_response('n/').count == 2)
    gone.cancel()
    check('Lock is cancelled', lambda: until(lambda: client.get_prefix_response('n/').count == 1))
    check('Lock ends of its lease', lambda: [client.revoke_lease(62), flat(locked(b'n', 63))])
    check('Leader of none', call, election, 'Leader', field(1, b'e'))
    first = []
    check('Campaign', lambda: first.append(call(election, 'Campaign', field(1, b'e') + field(2, 61) + field(3, b'one')))
          or flat(first[0])[0])
    key = dict(fields(first[0]))[2]
    check('LeaderKey', lambda: [v for _, v in fields(key)])
    stream = channel.unary_stream(f'/{election}/Observe')(field(1, b'e'), timeout=HANG_S)

    def observed():
        data = next(stream)
        return [flat(data)[0], list(kv(dict(fields(data))[2]).values())]
    check('Observe', observed)
    check('Proclaim', lambda: flat(call(election, 'Proclaim', field(1, key) + field(2, b'uno'))))
    check('Observe what is proclaimed', observed)
    check('Leader', lambda: kv(dict(fields(call(election, 'Leader', field(1, b'e'))))[2]))
    check('Campaign again', lambda: flat(call(election, 'Campaign', field(1, b'e') + field(2, 61) + field(3, b'1')))[0])
    check('Observe what is campaigned', observed)
    second = channel.unary_unary(f'/{election}/Campaign').future(field(1, b'e') + field(2, 63) + field(3, b'two'),
                                                                timeout=HANG_S)
    until(lambda: client.get_prefix_response('e/').count == 2)
    check('Resign', lambda: flat(call(election, 'Resign', field(1, key))))
    check('Campaign has waited', lambda: flat(second.result())[0])
    check('Observe the next', observed)
    check('Proclaim, not leader', call, election, 'Proclaim', field(1, key) + field(2, b'x'))
    check('Resign, not leader', lambda: flat(call(election, 'Resign', field(1, key))))
    check('Proclaim without a leader', call, election, 'Proclaim', b'')
    check('Resign without a leader', call, election, 'Resign', b'')
    check('Resign of an empty key', call, election, 'Resign', field(1, field(4, 61)))
    stream.cancel()


def others():
    check('hash', lambda: client.hash() > 0)
    check('status', lambda: [client.status().version[:3], client.status().raft_term])
    check('alarms', lambda: len(list(client.list_alarms())))
    check('members', lambda: [[m.name, len(m.peer_urls)] for m in client.members])
    check('defragment', client.defragment)

    def snapshot():
        out = io.BytesIO()
        client.snapshot(out)
        return (len(out.getvalue()) - 32) % 4096
    check('snapshot', snapshot)


def main():
    puts()
    ranges()
    txns()
    leases()
    watches()
    lock_service()
    many = locks()
    others()
    check('5 threads lock', many)
    client.close()


main()
