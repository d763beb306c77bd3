#!/usr/bin/env python3
"""The program as scripts and service managers meet it: versions, mistakes, variables, file, sockets, log
lines, signals (cli.md 1).  Texts are etcd 3.7.1's."""
import json
import os
import pathlib
import re
import signal
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from cairn_test import HANG_S, Skip, free_port, main  # noqa: E402


def cairn(t, *args, env=None, name='cairn'):
    """(stdout, stderr, rc) of a program that ends by itself."""
    return t.run([str(t.bin(name)), *args], ok=False, env=env)


def lines(text):
    return [json.loads(x) for x in text.splitlines()]


def messages(text, level=None):
    return [x['msg'] for x in lines(text) if level in (None, x['level'])]


def refused(t, args, error, env=None):
    """The start ends with "failed to verify flags" and this text."""
    out, err, rc = cairn(t, *args, env=env)
    last = lines(err)[-1]
    assert rc == 1 and out == '', (rc, out, err)
    assert (last['level'], last['msg'], last['error']) == ('warn', 'failed to verify flags', error), last


def start_fails(s, error, rc=1):
    s.start(wait=False)
    assert s.process.wait(HANG_S) == rc, (s.process.returncode, s.log())
    last = lines(s.log())[-1]
    assert (last['level'], last['msg']) == ('fatal', 'discovery failed'), last
    assert last['error'] == error, last
    return s.log()


def wait_for(s, text):
    end = time.monotonic() + HANG_S
    while text not in s.log():
        assert time.monotonic() < end and s.process.poll() is None, s.log()
        time.sleep(0.02)


def test_version(t):
    for name in ('cairn', 'etcd'):
        for flag in ('--version', '-version'):
            out, err, rc = cairn(t, flag, name=name)
            assert rc == 0 and err == '', (rc, err)
            rows = out.splitlines()
            assert rows[0] == 'etcd Version: 3.7.1' and rows[1].startswith('Git SHA: '), rows
            assert rows[2].startswith('Go Version: ') and rows[3].startswith('Go OS/Arch: linux/'), rows
            assert rows[4:] == ['Cairn Version: 0.1.0'], rows


def test_help(t):
    for flag in ('-h', '--help'):
        out, err, rc = cairn(t, flag)
        assert rc == 0 and err.startswith('Usage:\n\n  etcd [flags]\n'), (rc, err)
        assert '  --snapshot-catchup-entries ' in out and '\nClustering:\n' in out, out


def test_syntax_errors(t):
    for args, text in [
            (['--bogus'], 'flag provided but not defined: -bogus'),
            (['--snapshot-count', 'abc'],
             'invalid value "abc" for flag -snapshot-count: parse error'),
            (['--pre-vote=maybe'], 'invalid boolean value "maybe" for -pre-vote: parse error'),
            (['--heartbeat-interval'], 'flag needs an argument: -heartbeat-interval'),
            (['--v2-deprecation', 'not-yet'],
             'invalid value "not-yet" for flag -v2-deprecation: invalid value "not-yet"')]:
        out, err, rc = cairn(t, *args)
        assert rc == 2 and out == '', (rc, out)
        first, rest = err.split('\n', 1)
        assert first == text and rest.startswith('Usage:'), err
        assert '--snapshot-catchup-entries' not in rest


def test_refused_values(t):
    refused(t, ['bogus'], '"bogus" is not a valid flag')
    refused(t, ['--election-timeout=300'], '--election-timeout[300ms] should be at least as 5 times as '
            '--heartbeat-interval[100ms]')
    refused(t, ['--log-format=x'], 'unknown log format: x, supported values json, console')
    refused(t, ['--log-outputs=/nonexistent/x'],
            'open sink "/nonexistent/x": open /nonexistent/x: no such file or directory')
    refused(t, ['--enable-log-rotation'], '--enable-log-rotation=true: this release of Cairn does not have this '
            'feature yet; leave the flag out')
    _, err, rc = cairn(t, '--listen-client-urls=http://127.0.0.1:1')
    assert rc == 1 and messages(err)[-2:] == ['failed to verify flags',
                                              'advertise client URLs are not set'], err
    _, err, rc = cairn(t, '--log-level=bogus')
    assert rc == 2 and err == 'panic: unrecognized level: "bogus"\n', (rc, err)


def test_environment(t):
    refused(t, [], 'invalid value "abc" for ETCD_HEARTBEAT_INTERVAL: parse error',
            env={'ETCD_HEARTBEAT_INTERVAL': 'abc'})
    out, err, rc = cairn(t, '--name=a', env={'ETCD_NAME': 'b'})
    last = lines(err)[-1]
    assert rc == 1 and last['level'] == 'fatal', (rc, err)
    assert last['msg'] == ('conflicting environment variable is shadowed by corresponding command-line '
                           'flag (either unset environment variable or disable flag))'), last
    assert last['environment-variable'] == 'ETCD_NAME'
    _, err, rc = cairn(t, '--logger=x', env={'ETCD_MAX_WALS': '7', 'ETCD_BOGUS': '1', 'ETCD_VERSION': '3'})
    seen = [{k: v for k, v in x.items() if k not in ('ts', 'caller')} for x in lines(err)][:3]
    assert seen == [
        {'level': 'warn', 'msg': 'cannot set special environment variable', 'key': 'ETCD_VERSION',
         'value': '3'},
        {'level': 'info', 'msg': 'recognized and used environment variable',
         'variable-name': 'ETCD_MAX_WALS', 'variable-value': '7'},
        {'level': 'warn', 'msg': 'unrecognized environment variable',
         'environment-variable': 'ETCD_BOGUS=1'}], seen


def test_config_file(t):
    path = t.dir / 'c.yml'
    refused(t, ['--config-file', 'none'], 'open none: no such file or directory')
    path.write_text('pre-vote: "true"\n')
    refused(t, ['--config-file', str(path)],
            'error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go struct '
            'field configYAML.Config.pre-vote of type bool')
    path.write_text('listen-metrics-urls: bogus\n')
    out, err, rc = cairn(t, '--config-file', str(path))
    assert rc == 1 and err == ('unexpected error setting up listen-metrics-urls: URL scheme must be http, '
                               'https, unix, or unixs: bogus\n'), (rc, err)
    s = t.server(name='m1')
    peer = f'http://127.0.0.1:{s.peer_port}'
    path.write_text(f'name: m1\ndata-dir: {s.data_dir}\nlisten-client-urls: {s.url}\n'
                    f'advertise-client-urls: {s.url}\nlisten-peer-urls: {peer}\n'
                    f'initial-advertise-peer-urls: {peer}\nmax-txn-ops: 3\n'
                    'watch-progress-notify-interval: 600000000000\n')
    s.command = lambda: [s.binary, '--config-file', str(path), '--name', 'other', '--max-txn-ops=1']
    s.start()
    assert 'loaded server configuration, other configuration' in s.log()
    assert s.json('member', 'list')['members'][0]['name'] == 'm1'
    assert s.ctl('put', 'a', '1')[0] == 'OK\n'
    assert s.stop() == -signal.SIGTERM


def test_log_lines(t):
    s = t.server(name='m1').start()
    assert s.stop() == -signal.SIGTERM
    text = s.log()
    for line in text.splitlines():
        keys = [k for k in json.loads(line) if k != 'logger']
        assert keys[:4] == ['level', 'ts', 'caller', 'msg'], line
        row = json.loads(line)
        assert row['level'] in ('info', 'warn'), line
        assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}(Z|[+-]\d{4})', row['ts']), line
        assert re.fullmatch(r'[a-z0-9_]+/[a-z0-9_]+\.\w+:\d+', row['caller']), line
    seen = messages(text)
    order = ['Running: ', 'Initialize and start etcd server', 'configuring peer listeners',
             'configuring client listeners', 'starting an etcd server', 'starting local member',
             'now serving peer/client/metrics', 'published local member to cluster through raft',
             'ready to serve client requests', 'notifying init daemon',
             'successfully notified init daemon', 'grpc service status changed',
             'serving client traffic insecurely; this is strongly discouraged!',
             'received signal; shutting down', 'closing etcd server',
             'skipped leadership transfer for single voting member cluster', 'closed etcd server']
    assert [m for m in seen if m in order] == order, seen
    assert '"snapshot-catchup-entries":5000' in text and '"v2-deprecation":"write-only"' in text
    closing = lines(text)[seen.index('closing etcd server')]
    assert closing['advertise-client-urls'] == [s.url], closing
    s.start()
    assert 'server has already been initialized' in messages(s.log())


def test_start_line_fields(t):
    """The fields of "starting an etcd server" and their order."""
    s = t.server(name='m1', args=['--feature-gates=CompactHashCheck=true', '--max-wals=7']).start()
    row = next(x for x in lines(s.log()) if x['msg'] == 'starting an etcd server')
    assert list(row)[4:] == (
        'etcd-version git-sha go-version go-os go-arch max-cpu-set max-cpu-available '
        'member-initialized name data-dir wal-dir wal-dir-dedicated member-dir force-new-cluster '
        'heartbeat-interval election-timeout initial-election-tick-advance snapshot-count max-wals '
        'max-snapshots snapshot-catchup-entries initial-advertise-peer-urls listen-peer-urls '
        'advertise-client-urls listen-client-urls listen-metrics-urls local-address cors '
        'host-whitelist initial-cluster initial-cluster-state initial-cluster-token '
        'quota-backend-bytes max-request-bytes max-concurrent-streams pre-vote feature-gates '
        'initial-corrupt-check corrupt-check-time-interval compact-check-time-interval '
        'auto-compaction-mode auto-compaction-retention auto-compaction-interval discovery-token '
        'discovery-endpoints discovery-dial-timeout discovery-request-timeout '
        'discovery-keepalive-time discovery-keepalive-timeout discovery-insecure-transport '
        'discovery-insecure-skip-tls-verify discovery-cert discovery-key discovery-cacert '
        'discovery-user downgrade-check-interval max-learners v2-deprecation').split(), list(row)
    assert row['feature-gates'] == 'CompactHashCheck=true' and row['max-wals'] == 7, row
    assert row['initial-cluster'] == f'm1=http://127.0.0.1:{s.peer_port}', row


def test_signals(t):
    for signo, text in [(signal.SIGTERM, 'terminated'), (signal.SIGINT, 'interrupt')]:
        s = t.server(name=f'm{int(signo)}').start()
        s.ctl('put', 'a', '1')
        s.process.send_signal(signo)
        assert s.process.wait(HANG_S) == -signo
        row = next(x for x in lines(s.log()) if x['msg'] == 'received signal; shutting down')
        assert row['signal'] == text, row


def test_ports_in_use(t):
    with socket.socket() as busy:
        busy.bind(('127.0.0.1', 0))
        busy.listen()
        port = busy.getsockname()[1]
        text = f'listen tcp 127.0.0.1:{port}: bind: address already in use'
        s = t.server(name='m1')
        s.client_port = port
        start_fails(s, text)
        assert not s.data_dir.exists()
        s = t.server(name='m2')
        s.peer_port = port
        assert 'creating peer listener failed' in messages(start_fails(s, text), 'error')


def test_second_start(t):
    s = t.server(name='m1').start()
    second = t.server(name='m1', data_dir=s.data_dir)
    second.start(wait=False)
    assert second.process.wait(HANG_S) == 1
    last = lines(second.log())[-1]
    assert last['level'] == 'fatal' and 'in use' in last['error'], last
    assert s.ctl('put', 'a', '1')[0] == 'OK\n'


def test_initial_cluster(t):
    s = t.server(name='m1', args=['--initial-cluster', 'x=http://127.0.0.1:1'])
    text = start_fails(s, 'couldn\'t find local name "m1" in the initial cluster configuration')
    assert 'bootstrap failed' in messages(text, 'error')
    s = t.server(name='m2', args=['--initial-cluster', 'bogus'])
    start_fails(s, 'error setting up initial cluster: URL scheme must be http, https, unix, or unixs: ')


def test_data_dir(t):
    s = t.server(name='m1')
    s.data_dir.write_text('a file')
    s.start(wait=False)
    assert s.process.wait(HANG_S) == 1
    last = lines(s.log())[-1]
    assert (last['level'], last['msg']) == ('fatal', 'failed to list data directory'), last
    assert last['error'] == f'readdirent {s.data_dir}: not a directory', last
    s = t.server(name='m2')
    (s.data_dir / 'proxy').mkdir(parents=True)
    s.start(wait=False)
    assert s.process.wait(HANG_S) == 2
    assert messages(s.log(), 'panic') == ['v2 http proxy has already been deprecated in 3.6']
    s = t.server(name='m3')
    (s.data_dir / 'junk').mkdir(parents=True)
    s.data_dir.chmod(0o755)
    s.start()
    warn = [x for x in lines(s.log()) if x['msg'] == 'found invalid file under data directory']
    assert [x['filename'] for x in warn] == ['junk'], warn
    assert 'check file permission' in messages(s.log(), 'warn')


def test_file_modes(t):
    old = os.umask(0)
    try:
        s = t.server(name='m1').start()
    finally:
        os.umask(old)
    for path, mode in [('', 0o700), ('member', 0o700), ('member/wal', 0o700), ('member/snap', 0o700),
                       ('member/snap/db', 0o600)]:
        got = (s.data_dir / path).stat().st_mode & 0o777
        assert got == mode, (path, oct(got))


def test_wal_dir(t):
    s = t.server(name='m1', args=['--wal-dir', str(t.dir / 'wal')]).start()
    s.ctl('put', 'a', '1')
    assert list((t.dir / 'wal').glob('*.wal')) and not (s.data_dir / 'member' / 'wal').exists()
    s.kill()
    s.start()
    assert s.ctl('get', 'a')[0] == 'a\n1\n'
    assert '"member-initialized":true' in s.log()


def test_more_sockets(t):
    """IPv6, a unix socket, HTTP and metrics on their own ports."""
    if not pathlib.Path('/proc/net/if_inet6').exists():
        raise Skip('no IPv6 here')
    s = t.server(name='m1')
    port6, http, metrics = free_port(), free_port(), free_port()
    path = t.dir / 'c.sock'
    s.args = ['--listen-client-urls', f'{s.url},http://[::1]:{port6},unix://{path}',
              '--listen-client-http-urls', f'http://127.0.0.1:{http}',
              '--listen-metrics-urls', f'http://127.0.0.1:{metrics}']
    s.start(wait=False)
    wait_for(s, '"traffic":"http"')
    tool = str(t.bin('cairnctl'))
    for endpoint in (s.endpoint, f'[::1]:{port6}', f'unix://{path}'):
        assert t.run([tool, '--endpoints', endpoint, 'put', 'a', endpoint])[0] == 'OK\n'
    assert messages(s.log()).count('ready to serve client requests') == 4
    traffic = [x['traffic'] for x in lines(s.log()) if x['msg'].startswith('serving client traffic')]
    assert traffic == ['grpc'] * 3 + ['http'], traffic
    s.client_port = http
    assert s.get('/health')[0] == 200 and s.get('/version')[0] == 200
    s.client_port = metrics
    assert s.get('/metrics')[0] == 200 and s.get('/version')[0] == 404
    assert s.stop() == -signal.SIGTERM and not path.exists()


def test_limits_take_effect(t):
    s = t.server(name='m1', args=['--max-request-bytes=1000', '--max-txn-ops=1', '--unsafe-no-fsync',
                                  '--page-cache=1048576', '--net-threads=0']).start()
    _, err, rc = s.ctl('put', 'a', 'x' * 2000, ok=False)
    assert rc == 1 and 'etcdserver: request is too large' in err, err
    txn = '\nput a 1\nput b 2\n\n\n'
    _, err, rc = s.ctl('txn', input=txn, ok=False)
    assert rc == 1 and 'etcdserver: too many operations in txn request' in err, err


def test_log_outputs(t):
    path = t.dir / 'x.log'
    s = t.server(name='m1', args=['--log-outputs', str(path), '--log-format=console', '--log-level=warn'])
    s.start()
    assert s.log() == '', s.log()
    s.stop()
    text = path.read_text()
    assert 'Running http and grpc server on single port' in text and '\tinfo\t' not in text, text
    for row in text.splitlines():
        assert row.split('\t')[1] == 'warn', row


def test_notify_socket(t):
    """READY=1 in one datagram when the member serves."""
    path = str(t.dir / 'notify.sock')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(HANG_S)
        s = t.server(name='m1')
        command = s.command()
        s.command = lambda: ['env', f'NOTIFY_SOCKET={path}', *command]
        s.start()
        assert sock.recv(100) == b'READY=1'


def test_fd_limit(t):
    s = t.server(name='m1')
    command = s.command()
    s.command = lambda: ['sh', '-c', 'ulimit -n 150; exec "$@"', 'sh', *command]
    s.start(wait=False)
    assert s.process.wait(HANG_S) == 1
    last = lines(s.log())[-1]
    assert (last['level'], last['msg'], last['limit']) == (
        'fatal', 'file descriptor limit of etcd process is too low; please set higher', 150), last


if __name__ == '__main__':
    main(globals())
