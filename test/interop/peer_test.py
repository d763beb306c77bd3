#!/usr/bin/env python3
"""The peer transport against real etcd 3.5, 3.6, 3.7: a member without a store (peer_member: raft and
src/peer only) joins a running etcd, receives its log, votes, leads, is cut off and removed.

With two voters nothing commits in etcd unless our acknowledgements arrive, and nothing at all unless
our messages do while our member leads.
"""
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE))
import reference  # noqa: E402
from cairn_test import HANG_S, Skip, free_port, main  # noqa: E402


def programs(t, version):
    try:
        return reference.programs(t.build, version)
    except reference.Missing as e:
        raise Skip(str(e))


class Node:
    """A running peer_member and what it printed."""

    def __init__(self, t, member_id, cluster_id, level, port, peers):
        self.t, self.id, self.lines = t, member_id, []
        snap = t.dir / f'snap-{port}'
        snap.mkdir(exist_ok=True)
        log = open(t.dir / f'node-{port}.log', 'ab')
        self.process = subprocess.Popen(
            [str(t.build / 'test/interop/peer_member'), f'{member_id:x}', f'{cluster_id:x}', level,
             f'127.0.0.1:{port}', str(snap), *[f'{i:x}={url}' for i, url in peers.items()]],
            stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        t.processes.append(self.process)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.split())

    def wait(self, what, cond):
        end = time.monotonic() + HANG_S
        while time.monotonic() < end:
            if cond():
                return
            assert self.process.poll() is None, f'peer_member ended with {self.process.returncode}'
            time.sleep(0.02)
        raise AssertionError(f'no {what}; last lines: {self.lines[-5:]}')

    def keys(self):
        """Keys of the applied puts, in order."""
        out = []
        for line in list(self.lines):
            if line[0] == 'applied' and len(line) == 5:
                data = bytes.fromhex(line[4])
                at = data.find(b'key')
                if at >= 0:
                    out.append(data[at:at + 8].decode())
        return out

    def leader(self):
        found = [line[1] for line in list(self.lines) if line[0] == 'leader']
        return int(found[-1], 16) if found else 0

    def stop(self):
        self.process.terminate()
        self.process.wait(HANG_S)
        assert self.process.returncode == 0, self.process.returncode


def put(server, ctl, first, count):
    for k in range(first, first + count):
        server.ctl('put', f'key{k:05d}', f'value-{k}', ctl=ctl)


def put_many(server, ctl, first, count):
    ops = '\n'.join(f'put key{k:05d} {"x" * 2000}' for k in range(first, first + count))
    server.ctl('txn', ctl=ctl, input=f'\n{ops}\n\n\n')


def names(first, count):
    return [f'key{k:05d}' for k in range(first, first + count)]


def add(server, ctl, port, *args):
    """(id of the new member, cluster id, {id: url} of the others)."""
    url = f'http://127.0.0.1:{port}'
    found = server.json('member', 'add', 'ours', f'--peer-urls={url}', *args, ctl=ctl)
    cluster = found['header']['cluster_id']
    new = [m['ID'] for m in found['members'] if m['peerURLs'] == [url]][0]
    return new, cluster, {m['ID']: m['peerURLs'][0] for m in found['members'] if m['ID'] != new}


def is_whole(got):
    head, found, body = got.partition(b'\r\n\r\n')
    length = re.search(rb'(?i)content-length: (\d+)', head)
    return found and length and len(body) >= int(length.group(1))


def raw(port, request):
    """What a peer port answers to these bytes: status, headers without Date, body."""
    with socket.create_connection(('127.0.0.1', port), timeout=HANG_S) as s:
        s.sendall(request)
        s.settimeout(3)
        got = b''
        try:
            while not is_whole(got):
                more = s.recv(65536)
                if not more:
                    break
                got += more
        except TimeoutError:
            pass
    head, _, body = got.partition(b'\r\n\r\n')
    lines = head.decode().split('\r\n')
    headers = sorted(line.lower() for line in lines[1:] if not line.lower().startswith('date:'))
    return lines[0], headers, body


def joined(t, version):
    p = programs(t, version)
    theirs = t.server(binary=p['etcd'], name='theirs').start()
    ctl = str(p['etcdctl'])
    put(theirs, ctl, 0, 5)
    port = free_port()
    new, cluster, peers = add(theirs, ctl, port)
    node = Node(t, new, cluster, version, port, peers)
    node.wait('log of the others', lambda: node.keys() == names(0, 5))
    return theirs, ctl, node, port, cluster, peers


def life(t, version):
    theirs, ctl, node, port, cluster, peers = joined(t, version)
    other = list(peers)[0]
    assert node.leader() == other
    # Its log needs us now: two voters.
    put(theirs, ctl, 5, 20)
    put_many(theirs, ctl, 25, 100)
    node.wait('new entries', lambda: node.keys()[-1] == 'key00025' or len(node.keys()) >= 26)

    # We lead: proposals and reads of the other are forwarded to us.
    theirs.ctl('move-leader', f'{node.id:x}', ctl=ctl)
    node.wait('leadership', lambda: node.leader() == node.id)
    put(theirs, ctl, 200, 20)
    node.wait('forwarded puts', lambda: node.keys()[-20:] == names(200, 20))
    assert theirs.ctl('get', 'key00219', ctl=ctl)[0].split() == ['key00219', 'value-219']

    # It goes and comes back: streams are made anew, nothing is lost.
    theirs.kill()
    time.sleep(1)
    theirs.start(wait=False)
    theirs.wait_listening()
    end = time.monotonic() + HANG_S
    while theirs.ctl('put', 'key00300', 'x', ctl=ctl, ok=False)[2] != 0:
        assert time.monotonic() < end
    node.wait('entries after its restart', lambda: 'key00300' in node.keys())

    # We go and come back with an empty memory under the same id, which only a new member may do; so
    # remove and add instead.
    theirs.ctl('member', 'remove', f'{node.id:x}', ctl=ctl, ok=False)
    node.stop()


def removed(t, version):
    theirs, ctl, node, port, cluster, peers = joined(t, version)
    time.sleep(5)  # etcd refuses changes until its peer was connected for that long
    theirs.ctl('member', 'remove', f'{node.id:x}', ctl=ctl)
    put(theirs, ctl, 100, 3)
    node.stop()
    again = Node(t, node.id, cluster, version, port, peers)
    again.wait('410', lambda: ['removed'] in again.lines)
    again.stop()


SNAP = (5).to_bytes(8, 'big') + b'\x08\x08\x10\x01\x18' + b'x'
REFUSALS = [
    ('PUT', '/raft', {}), ('GET', '/raft', {}), ('POST', '/raft/stream/message/1', {}),
    ('GET', '/raft/snapshot', {}), ('POST', '/members', {}), ('GET', '/leases', {}),
    ('POST', '/version', {}), ('GET', '/members/promote/1', {}),
    ('POST', '/raft', {'X_Server_Version': '2.3.0'}), ('POST', '/raft', {'X_Server_Version': None}),
    ('POST', '/raft', {'X_Min_Cluster_Version': '9.0.0'}),
    ('POST', '/raft', {'X_Min_Cluster_Version': None}),
    ('POST', '/raft', {'X_Server_Version': 'rubbish'}),
    ('POST', '/raft', {'X_Etcd_Cluster_ID': 'abc'}),
    ('POST', '/raft/snapshot', {'X_Etcd_Cluster_ID': 'abc'}),
    ('GET', '/raft/stream/message/1', {'X_Etcd_Cluster_ID': 'abc'}),
    ('GET', '/raft/stream/msgappv2/1', {}), ('GET', '/raft/stream/x/1', {}),
    ('GET', '/raft/stream/message/xyz', {}), ('GET', '/raft/stream/message/1', {}),
    ('GET', '/raft/stream/message/', {}), ('GET', '/raft/stream/message', {}),
    ('GET', '/raft/stream/', {}),
    ('GET', '/health', {}), ('GET', '/', {}), ('GET', '/members/', {}), ('GET', '/leases/x', {}),
    ('GET', '/raft/', {}), ('GET', '/raft/foo', {}),
    ('POST', '/raft', {'body': b'\xff\xff'}), ('POST', '/raft', {'body': b'\x08\x01'}),
    ('POST', '/raft', {'body': b'\x08\x08\x10\x01\x18\x02'}),
    ('POST', '/raft/snapshot', {'body': b''}), ('POST', '/raft/snapshot', {'body': b'abc'}),
    ('POST', '/raft/snapshot', {'body': b'\xff' * 8}),
    ('POST', '/raft/snapshot', {'body': SNAP}),
    ('POST', '/members/promote/x', {}), ('POST', '/members/promote/77', {}),
    ('POST', '/leases', {'body': b'\xff'}), ('POST', '/leases', {'body': b'\x08\x63'}),
    ('POST', '/leases/internal', {'body': b'\x0a\x02\x08\x63'}),
    ('GET', '/members/hashkv', {'body': b'{"revision":99999}'}),
    ('GET', '/members/hashkv', {'body': b'{'}),
    ('GET', '/members/hashkv', {'body': b'{}', 'X_Etcd_Cluster_ID': 'abc'}),
]


def refusal_request(cluster, method, path, to, body=b'', **headers):
    h = {'Host': 'x', 'X-Etcd-Cluster-ID': f'{cluster:x}', 'X-Server-Version': '3.6.0',
         'X-Min-Cluster-Version': '3.0.0', 'X-Raft-To': f'{to:x}', 'Connection': 'close'}
    h.update({k.replace('_', '-'): v for k, v in headers.items()})
    if body or method == 'POST':
        h['Content-Length'] = str(len(body))
    text = f'{method} {path} HTTP/1.1\r\n'
    text += ''.join(f'{k}: {v}\r\n' for k, v in h.items() if v is not None)
    return text.encode() + b'\r\n' + body


def compare_refusals(cluster, sides, table=None):
    """The table of peer-protocol 2.4: the same status, headers and body on both sides (port, id), versions
    masked."""
    different = []
    for method, path, more in table or REFUSALS:
        got = []
        for port, to in sides:
            status, headers, body = raw(port, refusal_request(cluster, method, path, to, **more))
            headers = [re.sub(r'(version:.*?)3\.\d+\.\d+', r'\1VERSION', h) for h in headers]
            # What Go's library says of bad protobuf is another thing in every release.
            if body.startswith(b'failed to decode raft message ('):
                headers = [h for h in headers if not h.startswith('content-length')]
                body = body[:body.index(b'(')]
            got.append((status, headers, body))
        if got[0] != got[1]:
            different.append(f'{method} {path} {more}\n  etcd  {got[0]}\n  cairn {got[1]}')
    assert not different, '\n' + '\n'.join(different)


def refusals(t, version):
    theirs, ctl, node, port, cluster, peers = joined(t, version)
    compare_refusals(cluster, [(theirs.peer_port, list(peers)[0]), (port, node.id)])
    node.stop()


def test_life_3_5(t):
    life(t, '3.5')


def test_life_3_6(t):
    life(t, '3.6')


def test_life_3_7(t):
    life(t, '3.7')


def test_removed_3_5(t):
    removed(t, '3.5')


def test_removed_3_7(t):
    removed(t, '3.7')


def test_refusals_3_6(t):
    refusals(t, '3.6')


if __name__ == '__main__':
    main(globals())
