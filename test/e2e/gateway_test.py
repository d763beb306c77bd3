#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The JSON gateway and the pages of HTTP (client-api 5, 6), without a reference: exact bodies,
streams, slow and disappearing clients.  Each test runs with connections on the main loop and on net
threads; test/interop/gateway_test.py compares with etcd."""
import base64
import hashlib
import json
import pathlib
import re
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from cairn_test import HANG_S, free_port, main  # noqa: E402
from cluster import Cluster  # noqa: E402
from http_raw import Request, post, request  # noqa: E402

KEY = {'key': 'Zm9v'}
MB = 1 << 20


def servers(t, *args):
    for threads in ('0', '2'):
        yield t.server(name=f'n{threads}', args=['--net-threads', threads, *args]).start()


def b64(data):
    return base64.b64encode(data).decode()


def fixed(a, s):
    """The body without ids."""
    if not hasattr(s, 'ids'):
        header = post(s.client_port, '/v3/maintenance/status').json['header']
        s.ids = [(header['cluster_id'], 'C'), (header['member_id'], 'M')]
    text = a.text if hasattr(a, 'text') else a.decode()
    for number, name in s.ids:
        text = text.replace(number, name)
    return text


def until(what):
    end = time.monotonic() + HANG_S
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.02)
    raise AssertionError('it did not come')


def metric(s, name):
    page = request(s.client_port, 'GET', '/metrics').text
    m = re.search(rf'^{re.escape(name)} (\S+)$', page, re.M)
    return float(m.group(1)) if m else None


HEAD = '{"header":{"cluster_id":"C","member_id":"M","revision":"%d","raft_term":"2"}'


def test_examples(t):
    """client-api 5.4, to the byte."""
    for s in servers(t):
        steps = [
            ('kv/put', {'key': 'Zm9v', 'value': 'YmFy'}, 200, HEAD % 2 + '}'),
            ('kv/range', KEY, 200, HEAD % 2 + ',"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":'
             '"2","version":"1","value":"YmFy"}],"count":"1"}'),
            ('kv/range', {'key': 'AA==', 'rangeEnd': 'AA==', 'countOnly': True}, 200,
             HEAD % 2 + ',"count":"1"}'),
            ('kv/range', '{}', 400, '{"code":3,"message":"etcdserver: key is not provided"}'),
            ('kv/range', {'key': 'Zm9v', 'revision': 9999}, 400,
             '{"code":11,"message":"etcdserver: mvcc: required revision is a future revision"}'),
            ('kv/txn', {'compare': [{'key': 'Zm9v', 'target': 'CREATE', 'create_revision': '0',
                                     'result': 'GREATER'}],
                        'success': [{'request_put': {'key': 'Zm9v', 'value': 'Mg=='}},
                                    {'requestRange': {'key': 'Zm9v'}}]}, 200,
             HEAD % 3 + ',"succeeded":true,"responses":[{"response_put":{"header":{"revision":"3"}}},'
             '{"response_range":{"header":{"revision":"3"},"kvs":[{"key":"Zm9v","create_revision":"2",'
             '"mod_revision":"3","version":"2","value":"Mg=="}],"count":"1"}}]}'),
            ('kv/deleterange', {'key': 'Zm9v', 'prev_kv': True}, 200,
             HEAD % 4 + ',"deleted":"1","prev_kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"3",'
             '"version":"2","value":"Mg=="}]}'),
            ('lease/grant', {'TTL': 60, 'ID': '7'}, 200, HEAD % 4 + ',"ID":"7","TTL":"60"}'),
            ('lease/timetolive', {'ID': '999'}, 200, HEAD % 4 + ',"ID":"999","TTL":"-1"}'),
            ('lease/revoke', {'ID': '999'}, 404,
             '{"code":5,"message":"etcdserver: requested lease not found"}'),
            ('kv/range', '{"key":"not base64!!"}', 400,
             '{"code":3,"message":"proto: (line 1:8): invalid value for bytes field key: \\"not base64!!\\""}'),
            ('kv/range', '{"key":', 400, '{"code":3,"message":"unexpected EOF"}'),
            ('kv/range', '{"key":"Zm9v","nope":[{}]} trailing', 200, HEAD % 4 + '}'),
            ('nope', '{}', 404, '{"code":5,"message":"Not Found"}'),
        ]
        for path, body, status, text in steps:
            a = post(s.client_port, '/v3/' + path, body)
            assert (a.status, fixed(a, s)) == (status, text), f'{path} {body}: {a.status} {fixed(a, s)}'
            assert a.header('Content-Type') == 'application/json'
            assert a.header('Access-Control-Allow-Origin') == '*'
            assert (a.header('Grpc-Metadata-Content-Type') == 'application/grpc') == (status == 200)
        a = request(s.client_port, 'GET', '/v3/kv/range')
        assert (a.status, a.text) == (501, '{"code":12,"message":"Method Not Allowed"}'), a
        a = request(s.client_port, 'OPTIONS', '/v3/kv/range')
        assert (a.status, a.text) == (200, ''), a


def test_keepalive_connection(t):
    """Many requests one behind the other on a connection, errors between."""
    for s in servers(t):
        r = Request(s.client_port, 'POST', '/v3/kv/range', b'{"key":"Zm9v"}')
        for i in range(50):
            assert r.whole().status == (200 if i % 2 == 0 else 400)
            r.answer = None
            body = b'{' if i % 2 == 0 else b'{"key":"Zm9v"}'
            r.socket.sendall(b'POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: '
                             + str(len(body)).encode() + b'\r\n\r\n' + body)
        r.close()


def test_watch_both_ways(t):
    """A chunked body stays open: creates, cancels and progress go in while lines come out."""
    for s in servers(t):
        r = Request(s.client_port, 'POST', '/v3/watch', chunked=True)
        r.send(b'{"create_request":{"key":"Zm')
        r.send(b'9v","prev_kv":true}}')
        lines = r.lines()
        assert fixed(next(lines), s) == '{"result":' + HEAD % 1 + ',"created":true}}'
        post(s.client_port, '/v3/kv/put', {'key': 'Zm9v', 'value': 'MQ=='})
        assert fixed(next(lines), s) == '{"result":' + HEAD % 2 + \
            ',"events":[{"kv":{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"MQ=="}}]}}'
        post(s.client_port, '/v3/kv/deleterange', KEY)
        assert fixed(next(lines), s).endswith(
            '"events":[{"type":"DELETE","kv":{"key":"Zm9v","mod_revision":"3"},"prev_kv":{"key":"Zm9v",'
            '"create_revision":"2","mod_revision":"2","version":"1","value":"MQ=="}}]}}')
        r.send(b'{"create_request":{"key":"eA==","watch_id":"5"}}{"cancel_request":{"watch_id":"5"}}')
        assert json.loads(next(lines))['result']['watch_id'] == '5'
        assert json.loads(next(lines))['result']['canceled'] is True
        r.end()  # half-closed: the watch goes on
        post(s.client_port, '/v3/kv/put', {'key': 'Zm9v', 'value': 'Mg=='})
        assert json.loads(next(lines))['result']['events'][0]['kv']['value'] == 'Mg=='
        assert metric(s, 'etcd_debugging_mvcc_watcher_total') == 1
        r.close()
        until(lambda: metric(s, 'etcd_debugging_mvcc_watcher_total') == 0)
        until(lambda: metric(s, 'etcd_debugging_mvcc_watch_stream_total') == 0)


def test_disappearing_clients(t):
    for s in servers(t):
        clients = []
        for i in range(60):
            r = Request(s.client_port, 'POST', '/v3/watch', b'{"create_request":{"key":"Zm9v"}}')
            if i % 3:
                r.head()
            clients.append(r)
        for i in range(20):
            clients.append(Request(s.client_port, 'POST', '/v3/kv/put', b'', chunked=True))
            clients[-1].send(b'{"key":"Zm9v","value":"')
        until(lambda: metric(s, 'etcd_debugging_mvcc_watcher_total') == 60)
        for r in clients:
            r.close()
        until(lambda: metric(s, 'etcd_debugging_mvcc_watcher_total') == 0)
        assert post(s.client_port, '/v3/kv/range', KEY).status == 200


def test_keepalive_and_snapshot(t):
    for s in servers(t):
        post(s.client_port, '/v3/lease/grant', {'TTL': 600, 'ID': '5'})
        r = Request(s.client_port, 'POST', '/v3/lease/keepalive', b'{"ID":"5"}\n{"ID":9}')
        lines = [json.loads(x)['result'] for x in r.lines()]
        assert [(x['ID'], x.get('TTL')) for x in lines] == [('5', '600'), ('9', None)], lines
        a = post(s.client_port, '/v3/lease/keepalive', '')
        assert (a.status, a.body) == (200, b'')
        post(s.client_port, '/v3/kv/put', {'key': 'eA==', 'value': b64(bytes(range(256)) * 4096)})
        r = Request(s.client_port, 'POST', '/v3/maintenance/snapshot', b'{}')
        parts = [json.loads(x)['result'] for x in r.lines()]
        whole = b''.join(base64.b64decode(x['blob']) for x in parts)
        assert hashlib.sha256(whole[:-32]).digest() == whole[-32:] and len(whole) > MB
        assert bytes(range(256)) * 4 in whole


def test_deadline(t):
    for s in servers(t):
        r = Request(s.client_port, 'POST', '/v3/watch', b'{"create_request":{"key":"Zm9v"}}',
                    [('Grpc-Timeout', '300m')])
        lines = list(r.lines())
        assert lines[1] == b'{"error":{"code":4,"message":"context deadline exceeded"}}', lines
        a = post(s.client_port, '/v3/kv/range', KEY, [('Grpc-Timeout', 'x')])
        assert (a.status, a.text) == (400, '{"code":3,"message":"invalid grpc-timeout: x"}')


def rss(s):
    text = pathlib.Path(f'/proc/{s.process.pid}/status').read_text()
    return int(re.search(r'VmRSS:\s+(\d+)', text).group(1)) * 1024


def test_slow_reader(t):
    """Answers of 96 MB each to clients that do not read cost little, and come whole when they do."""
    for s in servers(t, '--max-request-bytes', str(4 * MB)):
        value = b64(b'0123456789abcdef' * (MB // 16))
        for i in range(24):
            assert post(s.client_port, '/v3/kv/put', {'key': b64(b'k%02d' % i), 'value': value}).status == 200
        before = rss(s)
        slow = [Request(s.client_port, 'POST', '/v3/kv/range', b'{"key":"aw==","range_end":"bA=="}',
                        receive_buffer=65536) for _ in range(8)]
        for r in slow:
            r.head()
        time.sleep(1)
        assert rss(s) < before + 128 * MB, (before, rss(s))
        assert post(s.client_port, '/v3/kv/range', KEY).status == 200  # nobody waits for them
        for r in slow[1:]:
            r.close()
        kvs = slow[0].whole().json['kvs']
        assert len(kvs) == 24 and all(kv['value'] == value for kv in kvs)
        watch = Request(s.client_port, 'POST', '/v3/watch',
                        b'{"create_request":{"key":"aw==","range_end":"bA==","start_revision":1}}',
                        receive_buffer=65536)
        watch.head()
        time.sleep(0.5)
        count = 0
        for line in watch.lines():
            count += len(json.loads(line)['result'].get('events', []))
            if count == 24:
                break
        watch.close()


def test_bounds(t):
    """Bodies have a bound, whatever they are, and what is refused leaves nothing behind."""
    for s in servers(t):
        big = b64(b'x' * (4 * MB))
        a = post(s.client_port, '/v3/kv/put', {'key': 'Zm9v', 'value': big})
        assert a.status == 429 and a.json['code'] == 8, a
        a = post(s.client_port, '/v3/kv/put', {'key': 'Zm9v', 'value': b64(b'x' * (3 * MB // 2))})
        assert (a.status, a.json['message']) == (400, 'etcdserver: request is too large'), a
        r = Request(s.client_port, 'POST', '/v3/watch', chunked=True)
        try:
            for _ in range(64):
                r.send(b'{"create_request":{"key":"' + b'A' * MB)
        except OSError:
            pass
        r.close()
        assert post(s.client_port, '/v3/kv/range', '{"x":' + '[' * 20000).status == 400
        deep = '{"success":[{"request_txn":' * 1000 + '{}' + '}]}' * 1000
        assert post(s.client_port, '/v3/kv/txn', deep).status == 400
        assert post(s.client_port, '/v3/kv/range', KEY).status == 200


def test_restart(t):
    """Streams end with the member; a new one serves the same data."""
    for s in servers(t):
        post(s.client_port, '/v3/kv/put', {'key': 'Zm9v', 'value': 'YmFy'})
        r = Request(s.client_port, 'POST', '/v3/watch', b'{"create_request":{"key":"Zm9v"}}')
        next(r.lines())
        stopper = threading.Thread(target=s.stop)
        stopper.start()
        try:
            while r.fill():
                pass
        except OSError:
            pass
        r.close()
        stopper.join(HANG_S)
        assert s.process.returncode == -15, s.process.returncode  # as etcd: the signal, at the end
        s.start()
        assert post(s.client_port, '/v3/kv/range', KEY).json['kvs'][0]['value'] == 'YmFy'


def test_load(t):
    """Several clients at once, reads and writes, and all counted."""
    for s in servers(t):
        failures = []

        def work(n):
            try:
                for i in range(100):
                    key = b64(b'%d-%d' % (n, i))
                    assert post(s.client_port, '/v3/kv/put', {'key': key, 'value': key}).status == 200
                    got = post(s.client_port, '/v3/kv/range', {'key': key}).json
                    assert got['kvs'][0]['value'] == key
            except Exception as e:  # noqa: BLE001
                failures.append(repr(e))
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for x in threads:
            x.start()
        for x in threads:
            x.join(HANG_S)
        assert not failures, failures
        put = 'grpc_server_handled_total{grpc_code="OK",grpc_method="Put",grpc_service="etcdserverpb.KV",' \
            'grpc_type="unary"}'
        assert metric(s, put) == 800
        assert metric(s, 'etcd_server_client_requests_total{client_api_version="unknown",type="unary"}') >= 1600


def test_pages(t):
    for s in servers(t):
        for path, status, text in (
                ('/health', 200, '{"health":"true","reason":""}'), ('/livez', 200, 'ok\n'),
                ('/livez?verbose', 200, '[+]serializable_read ok\nok\n'), ('/readyz', 200, 'ok\n'),
                ('/readyz/nope', 404, '404 page not found\n'),
                ('/version', 200, '{"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0"}'),
                ('/nope', 404, '404 page not found\n'), ('/v2/keys', 404, '404 page not found\n'),
                ('/debug/pprof/', 404, '404 page not found\n'), ('/config/local/log', 404, '404 page not found\n'),
                ('//version', 307, '<a href="/version">Temporary Redirect</a>.\n\n')):
            a = request(s.client_port, 'GET', path)
            assert (a.status, a.text) == (status, text), (path, a)
        page = request(s.client_port, 'GET', '/debug/vars').json
        assert page['raft.status']['raftState'] == 'StateLeader' and page['cmdline'][0].endswith('cairn')
        assert request(s.client_port, 'POST', '/debug/vars').status == 405


def test_flags(t):
    port, http_port = free_port(), free_port()
    s = t.server(args=['--listen-metrics-urls', f'http://127.0.0.1:{port}', '--cors', 'http://a.example:80',
                       '--host-whitelist', '127.0.0.1', '--enable-pprof']).start()
    for path, status in (('/metrics', 200), ('/health', 200), ('/livez', 200), ('/readyz', 200),
                         ('/version', 404), ('/v3/kv/range', 404), ('/debug/vars', 404)):
        a = request(port, 'GET', path)
        assert a.status == status, (path, a)
        assert a.header('Access-Control-Allow-Origin') is None
    a = request(s.client_port, 'GET', '/version', headers=[('Origin', 'http://a.example:80')])
    assert a.header('Access-Control-Allow-Origin') == 'http://a.example:80', a
    a = request(s.client_port, 'GET', '/version', headers=[('Origin', 'http://b.example:80')])
    assert a.header('Access-Control-Allow-Origin') is None, a
    a = request(s.client_port, 'GET', '/version', headers=[('Host', 'evil.example')])
    assert a.status == 421 and '--host-whitelist "evil.example"' in a.text, a
    assert b'--enable-pprof' in request(s.client_port, 'GET', '/debug/pprof/cmdline').body.split(b'\0')
    s = t.server(name='off', args=['--enable-grpc-gateway=false']).start()
    assert post(s.client_port, '/v3/kv/range', KEY).status == 404
    assert request(s.client_port, 'GET', '/version').status == 200
    s = t.server(name='split', args=['--listen-client-http-urls', f'http://127.0.0.1:{http_port}'])
    s.start(wait=False)
    until(lambda: 'ready to serve' in s.log())
    until(lambda: post(http_port, '/v3/kv/put', {'key': 'Zm9v'}).status == 200)
    s.ctl('get', 'foo')


def test_metrics_extensive(t):
    for s in servers(t, '--metrics', 'extensive'):
        post(s.client_port, '/v3/kv/put', {'key': 'Zm9v'})
        post(s.client_port, '/v3/kv/range', KEY)
        post(s.client_port, '/v3/kv/range', {})
        post(s.client_port, '/v3/lease/grant', {'TTL': 5, 'ID': 1})
        post(s.client_port, '/v3/maintenance/alarm', {'action': 1, 'memberID': 1, 'alarm': 1})
        for name, value in (
                ('grpc_server_handling_seconds_count{grpc_method="Put",grpc_service="etcdserverpb.KV",'
                 'grpc_type="unary"}', 1),
                ('etcd_server_request_duration_seconds_count{success="true",type="Range"}', 1),
                ('etcd_server_range_duration_seconds_count{success="false"}', 1),
                ('etcd_debugging_lease_ttl_total_bucket{le="4"}', 0),
                ('etcd_debugging_lease_ttl_total_bucket{le="8"}', 1),
                ('etcd_debugging_server_alarms{alarm_type="NOSPACE",server_id="1"}', 1),
                ('etcd_server_feature_enabled{name="FastLeaseKeepAlive",stage="BETA"}', 1),
                ('promhttp_metric_handler_requests_in_flight', 1)):
            assert metric(s, name) == value, (name, metric(s, name))


def test_metrics_of_peers(t):
    c = Cluster(t, size=3)
    c.start()
    c.wait()
    m = c.leader()
    followers = [x for x in c.members if x is not m]
    local, *others = [f'{x.json("endpoint", "status")[0]["Status"]["header"]["member_id"]:x}'
                      for x in (m, *followers)]
    for other in others:
        until(lambda: metric(m, f'etcd_network_peer_round_trip_time_seconds_count{{To="{other}"}}'))
        assert metric(m, f'etcd_network_peer_sent_bytes_total{{To="{other}"}}') > 0
        assert metric(m, f'etcd_network_peer_received_bytes_total{{From="{other}"}}') > 0
        assert metric(m, f'etcd_network_active_peers{{Local="{local}",Remote="{other}"}}') == 1
    for other in [local, *others]:
        assert metric(m, f'etcd_network_known_peers{{Local="{local}",Remote="{other}"}}') == 1
    followers[0].kill()
    until(lambda: metric(m, f'etcd_network_active_peers{{Local="{local}",Remote="{others[0]}"}}') == 0)
    assert metric(m, f'etcd_network_disconnected_peers_total{{Local="{local}",Remote="{others[0]}"}}') == 1


def test_tls(t):
    """Over https, HTTP/1.1 and, where curl is there, HTTP/2."""
    key, cert = t.dir / 'k.pem', t.dir / 'c.pem'
    t.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
           '-keyout', str(key), '-out', str(cert), '-days', '2', '-subj', '/CN=localhost',
           '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'])
    context = ssl.create_default_context(cafile=str(cert))
    for threads in ('0', '2'):
        port = free_port()
        s = t.server(name=f'tls{threads}', args=[
            '--net-threads', threads, '--cert-file', str(cert), '--key-file', str(key),
            '--listen-client-urls', f'https://127.0.0.1:{port}', '--advertise-client-urls',
            f'https://127.0.0.1:{port}', '--host-whitelist', 'nobody'])
        s.start(wait=False)
        until(lambda: 'ready to serve' in s.log())
        a = post(port, '/v3/kv/put', {'key': 'Zm9v', 'value': 'YmFy'}, context=context)
        assert a.status == 200, a
        try:
            r = subprocess.run(['curl', '-sS', '--http2', '--cacert', str(cert), '-d', '{"key":"Zm9v"}',
                                '-w', ' %{http_code} %{http_version}', f'https://127.0.0.1:{port}/v3/kv/range'],
                               capture_output=True, text=True, timeout=HANG_S)
        except FileNotFoundError:
            continue
        assert r.stdout.endswith('"count":"1"} 200 2'), r


if __name__ == '__main__':
    main(globals())
