#!/usr/bin/env python3
"""A real kube-apiserver on Cairn: objects, pages, watches, conflicts, its compactor, a restart of Cairn in the middle.

CAIRN_KUBE_APISERVER names the program (kube/build.sh makes one); without it the test is skipped."""
import base64
import http.client
import json
import os
import pathlib
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from cairn_test import HANG_S, Skip, free_port, main  # noqa: E402
from cluster import Cluster  # noqa: E402

OBJECTS, PAGE = 300, 100
NS = '/api/v1/namespaces/default'
TOKEN = 'a-token-of-the-test'


class ApiServer:
    def __init__(self, t, etcd_ports):
        self.t, self.port = t, free_port()
        binary = os.environ.get('CAIRN_KUBE_APISERVER')
        if not binary:
            raise Skip('CAIRN_KUBE_APISERVER is not set')
        d = t.dir / 'kube'
        d.mkdir()
        subprocess.run(['openssl', 'genrsa', '-out', str(d / 'sa.key'), '2048'], check=True, capture_output=True)
        (d / 'tokens.csv').write_text(f'{TOKEN},admin,1,system:masters\n')
        self.log_path = d / 'log'
        self.cmd = [
            binary, '--etcd-servers', ','.join(f'http://127.0.0.1:{p}' for p in etcd_ports), '--cert-dir', str(d),
            '--secure-port', str(self.port), '--bind-address', '127.0.0.1', '--authorization-mode', 'AlwaysAllow',
            '--token-auth-file', str(d / 'tokens.csv'), '--service-account-issuer', 'https://test',
            '--service-account-key-file', str(d / 'sa.key'), '--service-account-signing-key-file', str(d / 'sa.key'),
            '--service-cluster-ip-range', '10.0.0.0/24', '--etcd-compaction-interval', '2s', '--event-ttl', '1h',
            '--disable-admission-plugins', 'ServiceAccount']
        self.start()

    def start(self):
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(self.cmd, stdout=log, stderr=log, cwd=self.t.dir)
        self.t.processes.append(self.process)
        end = time.monotonic() + 2 * HANG_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if self.call('GET', '/readyz')[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.2)
        raise AssertionError('not ready: ' + self.log()[-4000:])

    def log(self):
        return self.log_path.read_text(errors='replace')

    def connection(self):
        return http.client.HTTPSConnection('127.0.0.1', self.port, timeout=HANG_S,
                                           context=ssl._create_unverified_context())

    def call(self, method, path, body=None):
        """(status, object or text)"""
        c = self.connection()
        c.request(method, path, json.dumps(body) if body is not None else None,
                  {'Authorization': f'Bearer {TOKEN}', 'Content-Type': 'application/json'})
        r = c.getresponse()
        text = r.read()
        c.close()
        return r.status, json.loads(text) if r.headers.get_content_type() == 'application/json' else text.decode()

    def ok(self, method, path, body=None):
        """What a member that restarts leaves in doubt is asked again."""
        end = time.monotonic() + HANG_S
        while True:
            status, r = self.call(method, path, body)
            if status < 300:
                return r
            assert status in (500, 503, 504) and time.monotonic() < end, (status, r)
            time.sleep(0.1)


def config_map(i, value):
    return {'metadata': {'name': f'cm-{i:04}'}, 'data': {'v': str(value), 'fill': 'x' * 2000}}


class Watcher(threading.Thread):
    """Every event from a resourceVersion on."""

    def __init__(self, api, version):
        super().__init__(daemon=True)
        self.api, self.version, self.events, self.error = api, version, [], None
        self.start()

    def run(self):
        c = self.api.connection()
        c.request('GET', f'{NS}/configmaps?watch=1&allowWatchBookmarks=true&resourceVersion={self.version}',
                  headers={'Authorization': f'Bearer {TOKEN}'})
        try:
            for line in c.getresponse():
                self.events.append(json.loads(line))
        except (OSError, http.client.HTTPException) as e:
            self.error = e

    def wait(self, name, version):
        end = time.monotonic() + HANG_S
        while time.monotonic() < end:
            if any(int(e['object']['metadata']['resourceVersion']) >= version for e in self.events):
                return
            assert self.error is None, self.error
            time.sleep(0.05)
        raise AssertionError(f'{name}: version {version} was not watched')


def pages(api):
    """(names, resourceVersion)"""
    names, more, version = [], '', None
    while True:
        r = api.ok('GET', f'{NS}/configmaps?limit={PAGE}' + (f'&continue={more}' if more else ''))
        version = version or r['metadata']['resourceVersion']
        assert r['metadata']['resourceVersion'] == version
        names += [o['metadata']['name'] for o in r['items']]
        more = r['metadata'].get('continue')
        if not more:
            return names, int(version)


def changes(api, first, count, value):
    """Updates, every fourth of an old version (a conflict), some deletes and creations.  The newest version."""
    newest = 0
    for i in range(first, first + count):
        path = f'{NS}/configmaps/cm-{i:04}'
        o = api.ok('GET', path)
        o['data']['v'] = str(value)
        newest = int(api.ok('PUT', path, o)['metadata']['resourceVersion'])
        if i % 4 == 0:
            status, r = api.call('PUT', path, o)
            assert status == 409, (status, r)
        if i % 10 == 0:
            assert api.call('DELETE', path)[0] == 200
            newest = int(api.ok('POST', f'{NS}/configmaps', config_map(i, value))['metadata']['resourceVersion'])
    return newest


def story(t, ports, disturb, stores):
    api = ApiServer(t, ports)
    for i in range(OBJECTS):
        api.ok('POST', f'{NS}/configmaps', config_map(i, 0))
    status, _ = api.call('POST', f'{NS}/configmaps', config_map(1, 0))
    assert status == 409, status
    names, version = pages(api)
    assert [n for n in names if n.startswith('cm-')] == [f'cm-{i:04}' for i in range(OBJECTS)], len(names)
    w = Watcher(api, version)
    w.wait('first', changes(api, 0, 40, 'first'))
    event = {'metadata': {'name': 'e1', 'namespace': 'default'}, 'involvedObject': {'namespace': 'default'},
             'reason': 'test'}
    api.ok('POST', f'{NS}/events', event)
    disturb()
    newest = changes(api, 40, 40, 'second')
    w.wait('second', newest)
    modified = [(e['object']['metadata']['name'], e['object']['data']['v']) for e in w.events if e['type'] == 'MODIFIED']
    want = [(f'cm-{i:04}', 'first' if i < 40 else 'second') for i in range(80)]
    assert [m for m in modified if m[0].startswith('cm-')] == want, modified
    versions = [int(e['object']['metadata']['resourceVersion']) for e in w.events]
    assert versions == sorted(versions)
    r = api.ok('GET', f'{NS}/configmaps?resourceVersion={newest}&resourceVersionMatch=NotOlderThan')
    assert len([o for o in r['items'] if o['metadata']['name'].startswith('cm-')]) == OBJECTS
    end = time.monotonic() + HANG_S
    while not (value := compact_key(stores)):  # its first round knows no revision
        assert time.monotonic() < end, 'no compaction'
        time.sleep(0.2)
    status, r = api.call('GET', f'{NS}/configmaps?resourceVersion=2&resourceVersionMatch=Exact')
    assert status == 410, (status, r)
    bad = [line for line in api.log().splitlines() if line.startswith('F') or 'panic' in line]
    assert not bad, bad[:3]
    leases = stores.json('lease', 'list').get('leases', [])
    print(f'  {len(w.events)} watched, compacted at {value}, {len(leases)} leases')
    api.process.kill()
    api.process.wait(HANG_S)


def compact_key(stores):
    kvs = stores.json('get', 'compact_rev_key').get('kvs')
    value = base64.b64decode(kvs[0].get('value', '')).decode() if kvs else ''
    return value if value not in ('', '0') else None


def test_one_member(t):
    s = t.server(args=['--snapshot-count=10000', '--watch-progress-notify-interval=5s']).start()

    def restart():
        s.stop()
        s.start()
    story(t, [s.client_port], restart, s)


def test_three_members(t):
    c = Cluster(t, args=['--snapshot-count=10000', '--watch-progress-notify-interval=5s']).start()

    def kill():
        leader = c.leader()
        leader.kill()
        time.sleep(3)
        leader.start()
        c.wait()
    story(t, [m.client_port for m in c.members], kill, c)
    c.assert_equal()


if __name__ == '__main__':
    main(globals())
