#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The JSON gateway and every page of HTTP, Cairn beside etcd 3.5, 3.6 and 3.7: each request goes to
both, status, headers and body are compared.  Both start on copies of one directory, so ids, terms and
revisions are equal; masked are drawn lease ids, times, sizes, tokens and ports.  Counted are requests.
"""
import base64
import hashlib
import json
import pathlib
import re
import ssl
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'lib'))
sys.path.insert(0, str(HERE))
from cairn_test import Skip, main  # noqa: E402
from gateway_rows import PAGES, REQUESTS, STREAMS  # noqa: E402
from http_raw import Request, normal, request  # noqa: E402
from twins import etcd_programs, two_servers  # noqa: E402

# Their order is Go's map order, their values are compared where they are not masked.
IGNORED_HEADERS = {'date', 'content-length'}
MASKED_KEYS = {'dbSize', 'dbSizeInUse', 'raftAppliedIndex', 'raftIndex', 'hash', 'token'}


class Count:
    def __init__(self, what):
        self.what, self.equal, self.failed, self.skipped = what, 0, [], 0

    def add(self, name, ours, theirs):
        if ours == theirs:
            self.equal += 1
        else:
            self.failed.append(f'{name}\n   cairn: {ours}\n   etcd:  {theirs}')

    def done(self):
        print(f'{self.what}: {self.equal} equal, {len(self.failed)} different, '
              f'{self.skipped} skipped', flush=True)
        assert not self.failed, '\n'.join(self.failed[:20])


def masked(value, server):
    """JSON without what cannot be equal."""
    if isinstance(value, dict):
        return {k: '*' if k in MASKED_KEYS else masked(v, server) for k, v in value.items()}
    if isinstance(value, list):
        return [masked(v, server) for v in value]
    if isinstance(value, str):
        value = re.sub(r'^[0-9]{17,20}$', lambda m: 'LEASE' if m.group(0) in server.leases else
                       m.group(0), value)
        value = re.sub(r'\b3\.([567])\.\d+\b', r'3.\1.PATCH', value)
        value = re.sub(r'127\.0\.0\.1:\d+', 'ADDRESS', value)
        return normal(value)
    return value


def masked_body(a, server):
    text = a.body.decode('utf-8', 'replace')
    try:
        return json.dumps(masked(json.loads(text), server), sort_keys=False)
    except ValueError:
        text = text.replace(str(server.client_port), 'PORT')
        return re.sub(r'\b3\.([567])\.\d+\b', r'3.\1.PATCH', normal(text))


def shape(a, server):
    """What is compared of an answer; whether its length is told counts, the length does not."""
    headers = sorted((k.title(), v.replace(str(server.client_port), 'PORT'))
                     for k, v in a.headers if k.lower() not in IGNORED_HEADERS)
    form = 'counted' if a.header('Content-Length') or a.method == 'HEAD' else 'chunked'
    return a.status, headers, form, masked_body(a, server)


def twins(t, version, *args):
    ours, theirs = two_servers(t, etcd_programs(t, version)['etcd'], t.bin('cairn'), *args)
    for s in (ours, theirs):
        s.leases = set()
    return ours, theirs


def fill_in(text, server):
    return re.sub(r'\{(\w+)\}', lambda m: getattr(server, m.group(1), m.group(0)), text)


def one(count, pair, row):
    name, method, path, body, headers = row
    got = []
    for s in pair:
        a = request(s.client_port, method, path, fill_in(body, s).encode('latin1') if body else b'',
                    [(k, fill_in(v, s)) for k, v in headers])
        try:
            answer = json.loads(a.body)
            if path.endswith('lease/grant') and 'ID' in answer:
                s.leases.add(answer['ID'])
                s.lease = answer['ID']
            if 'token' in answer:
                s.token = answer['token']
            if path.endswith('/lock/lock') and 'key' in answer:
                s.key = answer['key']
        except ValueError:
            pass
        got.append(shape(a, s))
    count.add(f'{name}: {method} {path} {body[:120]!r} {headers}', *got)


def requests(t, version):
    pair = twins(t, version)
    count = Count(f'requests, {version}')
    for row in REQUESTS:
        if row[1] == 'serves':
            a = request(pair[0].client_port, 'POST', row[2], b'{}')
            if a.status == 501:
                print(f'  skipped {row[0]}: Cairn does not serve it yet')
                count.skipped += len(row[3])
                continue
            for r in row[3]:
                one(count, pair, r)
        else:
            one(count, pair, row)
    count.done()


def test_requests_3_5(t):
    requests(t, '3.5')


def test_requests_3_6(t):
    requests(t, '3.6')


def test_requests_3_7(t):
    requests(t, '3.7')


def same_text(line):
    """What etcd says of a deadline depends on which of two threads is first."""
    return line.replace('stream terminated by RST_STREAM with error code: CANCEL',
                        'context deadline exceeded')


def read_lines(r, s, until):
    """Until so many lines, or so many events (then those count, not how they are spread)."""
    kind, n = until
    out, events = [], []
    for line in r.lines():
        value = masked(json.loads(same_text(line.decode())), s)
        found = value.get('result', {}).get('events', [])
        if kind == 'events' and found:
            events += found
        else:
            out.append(json.dumps(value))
        if len(events if kind == 'events' else out) == n:
            break
    return (sorted(out) if kind == 'sorted' else out), events


def stream_shape(s, path, body, headers, until):
    """Head, and lines; they are all there are when the stream ends."""
    r = Request(s.client_port, 'POST', path, body.encode('latin1'), headers)
    try:
        head = r.head()
        if head.header('Content-Length') is not None:
            return shape(r.whole(), s)
        lines = read_lines(r, s, until)
    finally:
        r.close()
    fields = sorted((k.title(), v) for k, v in head.headers if k.lower() not in IGNORED_HEADERS)
    return head.status, fields, lines


def streams(t, version):
    pair = twins(t, version)
    count = Count(f'streams, {version}')
    for name, prepare, path, body, headers, until in STREAMS:
        for row in prepare:
            one(count, pair, ('prepare', 'POST', *row, ()))
        count.add(f'{name}: {path} {body!r} {headers}',
                  *[stream_shape(s, path, body, headers, until) for s in pair])
    snapshots = []
    for s in pair:
        r = Request(s.client_port, 'POST', '/v3/maintenance/snapshot', b'{}')
        results = [json.loads(line)['result'] for line in r.lines()]
        blobs = [base64.b64decode(x['blob']) for x in results]
        whole = b''.join(blobs)
        r.close()
        snapshots.append((sorted(results[0]), sorted(results[-1]), len(blobs[-1]),
                          hashlib.sha256(whole[:-32]).digest() == whole[-32:]))
    count.add('snapshot', *snapshots)
    count.done()


def test_streams_3_5(t):
    streams(t, '3.5')


def test_streams_3_6(t):
    streams(t, '3.6')


def test_streams_3_7(t):
    streams(t, '3.7')


def pages(t, version):
    pair = twins(t, version)
    count = Count(f'pages, {version}')
    for row in PAGES:
        one(count, pair, row)
    keys = []
    for s in pair:
        answer = request(s.client_port, 'GET', '/debug/vars').json
        keys.append((sorted(answer), sorted(answer['raft.status']), answer['file_descriptor_limit'],
                     answer['raft.status']['raftState'], [x.lstrip('-') for x in answer['cmdline']
                                                          if x.startswith('--listen')]))
    count.add('/debug/vars', *keys)
    count.done()


def test_pages_3_5(t):
    pages(t, '3.5')


def test_pages_3_6(t):
    pages(t, '3.6')


def test_pages_3_7(t):
    pages(t, '3.7')


def test_flags(t):
    """--cors, --host-whitelist, --enable-grpc-gateway, --enable-pprof, split and metrics URLs."""
    count = Count('flags, 3.7')
    pair = twins(t.part('a'), '3.7', '--cors', 'http://a.example:80,https://b.example:443',
                 '--host-whitelist', '127.0.0.1,good.example', '--enable-pprof')
    for host in ('127.0.0.1:1', 'good.example', 'good.example:99', 'bad.example', '[::1]:5', '[::1]',
                 'a:b:c', ''):
        for origin in ('http://a.example:80', 'https://b.example:443', 'http://c.example', None):
            for method, path in (('GET', '/version'), ('POST', '/v3/kv/range'), ('OPTIONS', '/x')):
                headers = [('Host', host)] + ([('Origin', origin)] if origin else [])
                one(count, pair, ('flags', method, path, '', headers))
    pprof = [request(s.client_port, 'GET', '/debug/pprof/cmdline').body.split(b'\0')[3:4]
             for s in pair]
    count.add('/debug/pprof/cmdline', *pprof)
    one(count, pair, ('pprof', 'GET', '/debug/pprof/nothing', '', ()))
    pair = twins(t.part('b'), '3.7', '--enable-grpc-gateway=false')
    for method, path in (('POST', '/v3/kv/range'), ('POST', '/v3'), ('GET', '/v3/'), ('GET', '/version'),
                         ('OPTIONS', '/v3/kv/range')):
        one(count, pair, ('no gateway', method, path, '', ()))
    count.done()


def has_label(line):
    line = re.sub(r'server_go_version="[^"]*"', 'server_go_version="X"', line)
    return re.sub(r'[0-9a-f]{14,16}|\b3\.\d+\.\d+\b', 'X', line)


# Families that Cairn does not have, or not all series of: src/metrics/README.md.
MISSING = {'etcd_server_apply_duration_seconds', 'etcd_debugging_store_reads_total',
           'etcd_debugging_store_writes_total'}
PARTIAL = {'etcd_server_request_duration_seconds'}


def services(lines):
    return {m.group(1) for m in (re.search(r'grpc_service="([^"]*)"', x) for x in lines) if m}


def families(text):
    """{family: (type, help, labelled series without values)} of a page."""
    out, name = {}, None
    for line in text.split('\n'):
        if line.startswith('# HELP '):
            name, help_text = line[7:].split(' ', 1)
            out[name] = ['', help_text, set()]
        elif line.startswith('# TYPE '):
            out[name][0] = line.split(' ')[3]
        elif line and name:
            out[name][2].add(has_label(line.rsplit(' ', 1)[0]))
    return out


def metrics(t, version):
    pair = twins(t, version)
    for row in REQUESTS[:12]:
        one(Count(''), pair, row)
    ours, theirs = [families(request(s.client_port, 'GET', '/metrics').text) for s in pair]
    count = Count(f'metrics, {version}')
    for name in sorted(set(theirs) | set(ours)):
        if name.startswith('go_') or name in MISSING:
            count.skipped += not name.startswith('go_')
            continue
        a, b = ours.get(name), theirs.get(name)
        if a and b and name.startswith('grpc_server_'):
            common = services(a[2]) & services(b[2])
            # RangeStream is served at every level.
            a[2], b[2] = [{x for x in f[2] if services([x]) & common and
                           '"RangeStream"' not in x} for f in (a, b)]
        if a and b and name in PARTIAL:
            a[2] = b[2] = set()
        count.add(name, a and [a[0], a[1], sorted(a[2])], b and [b[0], b[1], sorted(b[2])])
    count.done()


def test_metrics_3_5(t):
    metrics(t, '3.5')


def test_metrics_3_6(t):
    metrics(t, '3.6')


def test_metrics_3_7(t):
    metrics(t, '3.7')


if __name__ == '__main__':
    main(globals())
