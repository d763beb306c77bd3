#!/usr/bin/env python3
"""TLS towards clients: Debian's etcdctl 3.4 and cairnctl with a CA and client certificates, mandatory ones,
renewal of files under load and by SIGHUP, everything that must be refused, --auto-tls."""
import json
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from cairn_test import HANG_S, Server, Skip, free_port, main  # noqa: E402


class Certs:
    """A small authority in a folder of its own."""

    def __init__(self, t, name='ca'):
        if shutil.which('openssl') is None:
            raise Skip('openssl is not installed')
        self.t = t
        self.dir = t.dir / f'certs-{name}'
        self.dir.mkdir()
        self.key('ca')
        self.openssl('req', '-x509', '-new', '-key', self.path('ca.key'), '-subj', f'/CN={name}',
                     '-days', '3650', '-out', self.path('ca.crt'))
        self.write('db', '')
        self.write('db.attr', 'unique_subject = no\n')
        self.write('crlnumber', '01\n')
        self.write('ca.cnf', '[ca]\ndefault_ca=d\n[d]\n' + f'database={self.path("db")}\n'
                   f'crlnumber={self.path("crlnumber")}\ndefault_md=sha256\ndefault_crl_days=3650\n')

    def path(self, name):
        return str(self.dir / name)

    def write(self, name, text):
        (self.dir / name).write_text(text)

    def openssl(self, *args):
        return self.t.run(['openssl', *args])[0]

    def key(self, name):
        self.openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out',
                     self.path(f'{name}.key'))

    def cert(self, name, cn, san='', usage='clientAuth', days=365):
        self.key(name)
        self.openssl('req', '-new', '-key', self.path(f'{name}.key'), '-subj', f'/CN={cn}', '-out',
                     self.path(f'{name}.csr'))
        self.write(f'{name}.ext', 'basicConstraints=CA:FALSE\n' f'extendedKeyUsage={usage}\n'
                   + (f'subjectAltName={san}\n' if san else ''))
        self.openssl('x509', '-req', '-in', self.path(f'{name}.csr'), '-CA', self.path('ca.crt'),
                     '-CAkey', self.path('ca.key'), '-CAcreateserial', '-days', str(days),
                     '-extfile', self.path(f'{name}.ext'), '-out', self.path(f'{name}.crt'))
        return self

    def server(self, name='server'):
        return self.cert(name, 'server', 'IP:127.0.0.1,DNS:localhost', 'serverAuth,clientAuth')

    def revoke(self, name, crl):
        ca = ['-config', self.path('ca.cnf'), '-cert', self.path('ca.crt'), '-keyfile', self.path('ca.key')]
        if name:
            self.openssl('ca', *ca, '-revoke', self.path(f'{name}.crt'))
        self.openssl('ca', *ca, '-gencrl', '-out', self.path(crl + '.pem'))
        self.openssl('crl', '-in', self.path(crl + '.pem'), '-outform', 'DER', '-out', self.path(crl))

    def serial(self, name):
        text = self.openssl('x509', '-in', self.path(f'{name}.crt'), '-noout', '-serial')
        return text.strip().split('=')[1].lower()

    def flags(self, name='client'):
        """Exactly what a user writes behind --endpoints."""
        return ['--cacert', self.path('ca.crt'), '--cert', self.path(f'{name}.crt'), '--key',
                self.path(f'{name}.key')]


class Secure(Server):
    """A member on https://; certificates of the clients are those of `certs`."""

    def __init__(self, t, certs, *args, ca=True, **kw):
        a = ['--cert-file', certs.path('server.crt'), '--key-file', certs.path('server.key')]
        if ca:
            a += ['--client-cert-auth', '--trusted-ca-file', certs.path('ca.crt')]
        super().__init__(t, args=[*a, *args], **kw)
        self.certs = certs

    @property
    def url(self):
        return f'https://127.0.0.1:{self.client_port}'

    def start(self, wait=True):
        self.seen = len(self.log()) if self.log_path.exists() else 0
        return super().start(wait)

    def wait_ready(self):
        end = time.monotonic() + HANG_S
        while time.monotonic() < end and self.process.poll() is None:
            if '"ready to serve client requests"' in self.log()[self.seen:]:
                return self
            time.sleep(0.02)
        raise AssertionError('not ready:\n' + self.log()[-3000:])

    def tool(self, *args, ctl='cairnctl', flags=None, ok=True, url=None):
        flags = self.certs.flags() if flags is None else flags
        return self.t.run([str(self.t.bin(ctl)), *flags, '--endpoints', url or self.url, *args], ok=ok)

    def refuses(self, text, ctl='cairnctl', flags=None, url=None):
        """A call that does not get through; the reason is on stderr."""
        out, err, rc = self.tool('--command-timeout', '1s', 'get', 'k', ctl=ctl, flags=flags, url=url,
                                 ok=False)
        assert rc == 1 and out == '', (out, err, rc)
        assert 'context deadline exceeded' in err, err
        if text:
            assert text in err, err

    def lines(self, msg):
        found = []
        for line in self.log().splitlines():
            if line.startswith('{') and json.loads(line)['msg'] == msg:
                found.append(json.loads(line))
        return found

    def wait_line(self, msg, text='', count=1):
        end = time.monotonic() + HANG_S
        while time.monotonic() < end:
            hits = [x for x in self.lines(msg) if text in json.dumps(x)]
            if len(hits) >= count:
                return hits
            time.sleep(0.05)
        raise AssertionError(f'no line {msg!r} with {text!r}:\n' + self.log()[-3000:])


REJECTED = 'rejected connection on client endpoint'


def certs_of(t):
    return Certs(t).server().cert('client', 'alice')


def session(t, ctl, client_certs):
    c = certs_of(t)
    s = Secure(t, c, ca=client_certs).start()
    flags = c.flags() if client_certs else ['--cacert', c.path('ca.crt')]
    for i in range(30):
        s.tool('put', f'/registry/p{i:02}', f'value {i}', ctl=ctl, flags=flags)
    keys = s.tool('get', '/registry/', '--prefix', '--keys-only', ctl=ctl, flags=flags)[0].split()
    assert keys == [f'/registry/p{i:02}' for i in range(30)], keys
    big = 'x' * 1000000
    for i in range(4):
        subprocess.run([str(t.bin(ctl)), *flags, '--endpoints', s.url, 'put', f'big{i}'], input=big,
                       text=True, check=True, capture_output=True, timeout=HANG_S, cwd=t.dir,
                       env={'ETCDCTL_API': '3', 'PATH': '/usr/bin:/bin'})
    assert s.tool('get', 'big', '--prefix', '--print-value-only', ctl=ctl,
                  flags=flags)[0] == (big + '\n') * 4
    s.tool('snapshot', 'save', str(t.dir / 'b.db'), ctl=ctl, flags=flags)
    assert 'is healthy' in ''.join(s.tool('endpoint', 'health', ctl=ctl, flags=flags)[:2])
    assert s.stop() in (-15, 143)
    status = json.loads(t.run([str(t.bin('cairnutl')), 'snapshot', 'status', str(t.dir / 'b.db'), '-w',
                               'json'])[0])
    assert status['totalKey'] == 34, status
    assert s.lines('serving client traffic securely'), s.log()
    assert 'insecurely' not in s.log()


def test_session_debian_etcdctl(t):
    session(t, 'debian-etcdctl', False)


def test_session_debian_etcdctl_client_certs(t):
    session(t, 'debian-etcdctl', True)


def test_session_cairnctl(t):
    session(t, 'cairnctl', False)


def test_session_cairnctl_client_certs(t):
    session(t, 'cairnctl', True)


def test_trusted_ca_alone_is_mandatory(t):
    c = certs_of(t)
    s = Secure(t, c, '--trusted-ca-file', c.path('ca.crt'), ca=False).start()
    s.tool('put', 'k', 'v')
    s.refuses('remote error: tls: certificate required', flags=['--cacert', c.path('ca.crt')])
    line = s.wait_line(REJECTED, "tls: client didn't provide a certificate")[0]
    assert line['level'] == 'warn' and line['server-name'] == '', line


def test_wrong_certificates(t):
    """Of another CA, run out, without the right usage: told on both sides."""
    c = certs_of(t)
    other = Certs(t, 'other').cert('client', 'mallory')
    c.cert('old', 'old', days=-1).cert('server-only', 'so', usage='serverAuth')
    s = Secure(t, c).start()
    ca = ['--cacert', c.path('ca.crt')]
    for flags, told, logged in (
            (ca + other.flags()[2:], 'unknown certificate authority',
             'x509: certificate signed by unknown authority'),
            (c.flags('old'), 'expired certificate', 'x509: certificate has expired or is not yet valid'),
            (c.flags('server-only'), 'bad certificate',
             'x509: certificate specifies an incompatible key usage')):
        s.refuses('remote error: tls: ' + told, flags=flags)
        s.wait_line(REJECTED, 'tls: failed to verify certificate: ' + logged)
    s.tool('put', 'k', 'v')


def test_wrong_server(t):
    """The tool does not talk to a server whose certificate is another's or names somebody else."""
    c = certs_of(t)
    other = Certs(t, 'other')
    s = Secure(t, c, ca=False).start()
    unknown = ('transport: authentication handshake failed: tls: failed to verify certificate: x509: '
               'certificate signed by unknown authority')
    s.refuses(unknown, flags=['--cacert', other.path('ca.crt')])
    s.refuses(unknown, flags=[])
    assert s.tool('put', 'k', 'v', flags=['--insecure-skip-tls-verify'])[0] == 'OK\n'
    assert s.tool('put', 'k', 'v', flags=['--cacert', c.path('ca.crt')], url=s.url[8:])[0] == 'OK\n'
    by_name = f'https://localhost:{s.client_port}'
    assert s.tool('put', 'k', 'v', flags=['--cacert', c.path('ca.crt')], url=by_name)[0] == 'OK\n'
    s.stop()
    c.cert('server', 'elsewhere', 'IP:10.0.0.1', 'serverAuth')
    s.start()
    s.refuses('x509: certificate is valid for 10.0.0.1, not 127.0.0.1', flags=['--cacert', c.path('ca.crt')])


def test_plain_and_tls_mixed_up(t):
    c = certs_of(t)
    s = Secure(t, c, ca=False).start()
    s.refuses('error reading server preface', flags=[], url=s.url.replace('https', 'http'))
    s.wait_line(REJECTED, 'tls: first record does not look like a TLS handshake')
    with socket.create_connection(('127.0.0.1', s.client_port), HANG_S) as k:
        k.sendall(b'GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
        assert k.recv(100) == b''
    s.stop()
    p = t.server(name='plain').start()
    _, err, rc = t.run([str(t.bin('cairnctl')), '--cacert', c.path('ca.crt'), '--endpoints',
                        f'https://{p.endpoint}', '--command-timeout', '1s', 'get', 'k'], ok=False)
    assert rc == 1 and 'transport: authentication handshake failed: EOF' in err, err
    assert 'the client speaks TLS (https://), this address is plain text (http://)' in p.log(), p.log()


def test_http_and_https_on_one_port(t):
    c = certs_of(t)
    s = Secure(t, c, ca=False)
    command = [x if x != s.url else f'{s.url},{s.url.replace("https", "http")}' for x in s.command()]
    s.command = lambda: command
    s.start()
    s.tool('put', 'k', 'v', flags=['--cacert', c.path('ca.crt')])
    assert s.ctl('get', 'k')[0] == 'k\nv\n'
    assert s.lines('serving client traffic securely')
    assert s.lines('serving client traffic insecurely; this is strongly discouraged!')


def context(c, name=None):
    x = ssl.create_default_context(cafile=c.path('ca.crt'))
    x.set_alpn_protocols(['http/1.1'])
    if name:
        x.load_cert_chain(c.path(f'{name}.crt'), c.path(f'{name}.key'))
    return x


class Keeper:
    """Connections that must live through everything: one request each now and then."""

    def __init__(self, s, c, count):
        self.name, self.port = 'client', s.client_port
        self.conns = [context(c, 'client').wrap_socket(
            socket.create_connection(('127.0.0.1', s.client_port), HANG_S), server_hostname='127.0.0.1')
            for _ in range(count)]

    def ask(self):
        for k in self.conns:
            k.sendall(b'GET /version HTTP/1.1\r\nHost: x\r\n\r\n')
            text = b''
            while b'etcdserver' not in text:
                more = k.recv(4096)
                assert more != b'', 'a connection was lost'
                text += more

    def close(self):
        for k in self.conns:
            k.close()


def presented(s, c):
    """Serial of the certificate that a new connection gets."""
    raw = socket.create_connection(('127.0.0.1', s.client_port), HANG_S)
    with context(c, 'client').wrap_socket(raw, server_hostname='127.0.0.1') as k:
        return k.getpeercert()['serialNumber'].lower().lstrip('0')


def wait_presented(s, c, serial):
    end = time.monotonic() + HANG_S
    while presented(s, c) != serial.lstrip('0'):
        assert time.monotonic() < end, 'the new certificate is not used:\n' + s.log()[-2000:]
        time.sleep(0.05)


def reload_under_load(t, *args):
    """New certificate, then SIGHUP with another, while clients write and old connections stay."""
    c = certs_of(t)
    s = Secure(t, c, *args).start()
    keeper = Keeper(s, c, 5)
    stop, errors, count = threading.Event(), [], [0]

    def write():
        while not stop.is_set():
            out, err, rc = s.tool('put', 'k', 'v', ok=False)
            if rc != 0:
                errors.append(err)
            count[0] += 1

    writers = [threading.Thread(target=write) for _ in range(2)]
    for w in writers:
        w.start()
    before = presented(s, c)
    for hangup in (False, True, False):
        c.server('next')
        shutil.copy(c.path('next.key'), c.path('server.key'))
        shutil.copy(c.path('next.crt'), c.path('server.crt'))
        if hangup:
            s.process.send_signal(signal.SIGHUP)
        wait_presented(s, c, c.serial('next'))
        keeper.ask()
    stop.set()
    for w in writers:
        w.join()
    assert not errors, errors[0]
    assert count[0] > 5 and presented(s, c) != before
    assert s.lines('received signal; reloading TLS files')
    assert s.process.poll() is None
    keeper.close()


def test_reload_under_load(t):
    reload_under_load(t)


def test_reload_under_load_net_threads(t):
    reload_under_load(t, '--net-threads', '2')


def test_bad_reload_is_refused(t):
    c = certs_of(t)
    s = Secure(t, c).start()
    keeper = Keeper(s, c, 2)
    serial = c.serial('server')
    good = pathlib.Path(c.path('server.crt')).read_bytes()
    msg = 'TLS files were not reloaded; the ones in use stay'
    for content, text in ((good[:len(good) // 2], 'tls: failed to find any PEM data in certificate input'),
                          (pathlib.Path(c.path('client.crt')).read_bytes(),
                           'tls: private key does not match public key')):
        pathlib.Path(c.path('server.crt')).write_bytes(content)
        s.wait_line(msg, text)
        assert presented(s, c) == serial.lstrip('0')
    pathlib.Path(c.path('server.crt')).unlink()
    s.wait_line(msg, 'no such file or directory')
    s.tool('put', 'k', 'v')
    n = len(s.lines(msg))
    s.process.send_signal(signal.SIGHUP)
    s.wait_line(msg, 'no such file or directory', 2)
    pathlib.Path(c.path('server.crt')).write_bytes(good)
    s.process.send_signal(signal.SIGHUP)
    s.wait_line('TLS files have not changed')
    keeper.ask()
    keeper.close()
    assert len(s.lines(msg)) == n + 1, s.log()


def test_new_ca(t):
    """The CA file is reloaded: first both CAs, then only the new one; connections stay."""
    c = certs_of(t)
    new = Certs(t, 'new').cert('client', 'bob')
    flags = ['--cacert', c.path('ca.crt')] + new.flags()[2:]
    old_ca, new_ca = (pathlib.Path(x.path('ca.crt')).read_text() for x in (c, new))
    trusted = t.dir / 'trusted.crt'
    trusted.write_text(old_ca)
    s = Secure(t, c, '--trusted-ca-file', str(trusted), ca=False).start()
    keeper = Keeper(s, c, 2)
    s.refuses('unknown certificate authority', flags=flags)
    trusted.write_text(old_ca + new_ca)
    s.wait_line('reloaded TLS files; new connections use them')
    s.tool('put', 'k', 'v', flags=flags)
    s.tool('put', 'k', 'v')
    trusted.write_text(new_ca)
    s.wait_line('reloaded TLS files; new connections use them', count=2)
    s.tool('put', 'k', 'v', flags=flags)
    s.refuses('unknown certificate authority')
    keeper.ask()
    keeper.close()


def test_revoked(t):
    c = certs_of(t).cert('second', 'bob')
    c.revoke(None, 'list')
    s = Secure(t, c, '--client-crl-file', c.path('list')).start()
    s.tool('put', 'k', 'v')
    c.revoke('client', 'list')
    s.wait_line('reloaded TLS files; new connections use them')
    s.refuses('error reading server preface')
    line = s.wait_line(REJECTED, f'transport: certificate serial {c.serial("client")} revoked')[0]
    assert line['ip-addresses'] == [] and line['dns-names'] == [], line
    s.tool('put', 'k', 'v', flags=c.flags('second'))


def test_allowed_hostname(t):
    c = certs_of(t).cert('named', 'x', 'DNS:*.clients.example')
    s = Secure(t, c, '--client-cert-allowed-hostname', 'other.example,a.clients.example').start()
    s.refuses('remote error: tls: bad certificate')
    s.wait_line(REJECTED, 'client certificate authentication failed')
    s.tool('put', 'k', 'v', flags=c.flags('named'))


def test_versions_and_suites(t):
    c = certs_of(t)
    s = Secure(t, c, '--tls-min-version', 'TLS1.3', ca=False).start()
    x = context(c)
    x.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        x.wrap_socket(socket.create_connection(('127.0.0.1', s.client_port), HANG_S),
                      server_hostname='127.0.0.1')
        raise AssertionError('TLS 1.2 was accepted')
    except ssl.SSLError:
        pass
    s.wait_line(REJECTED, 'tls: client offered only unsupported versions: [303')
    s.tool('put', 'k', 'v', flags=['--cacert', c.path('ca.crt')])
    s.stop()
    s = Secure(t, c, '--tls-max-version', 'TLS1.2', '--cipher-suites',
               'TLS_RSA_WITH_RC4_128_SHA,TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', ca=False,
               name='suites').start()
    raw = socket.create_connection(('127.0.0.1', s.client_port), HANG_S)
    with context(c).wrap_socket(raw, server_hostname='127.0.0.1') as k:
        assert k.cipher()[0] == 'ECDHE-ECDSA-AES128-GCM-SHA256' and k.version() == 'TLSv1.2', k.cipher()
    s.tool('put', 'k', 'v', flags=['--cacert', c.path('ca.crt')])


def test_auto_tls(t):
    c = certs_of(t)
    s = Secure(t, c, ca=False)
    s.args = ['--auto-tls', '--self-signed-cert-validity', '2']
    s.start()
    cert, key = (s.data_dir / 'fixtures' / 'client' / n for n in ('cert.pem', 'key.pem'))
    assert key.stat().st_mode & 0o777 == 0o600, oct(key.stat().st_mode)
    assert key.read_text().startswith('-----BEGIN EC PRIVATE KEY-----')
    text = c.openssl('x509', '-in', str(cert), '-noout', '-text')
    for part in ('O = etcd', 'secp521r1', 'IP Address:127.0.0.1', 'CA:TRUE', 'TLS Web Server Authentication'):
        assert part in text, text
    days = c.openssl('x509', '-in', str(cert), '-noout', '-checkend', str(729 * 86400))
    assert 'will not expire' in days, days
    assert s.lines('automatically generate certificates')
    s.tool('put', 'k', 'v', flags=['--insecure-skip-tls-verify'])
    s.tool('put', 'k', 'v', flags=['--cacert', str(cert)])
    s.stop()
    before = cert.read_bytes()
    s.start()
    assert cert.read_bytes() == before
    s.tool('get', 'k', flags=['--cacert', str(cert)])


def test_config_file_and_environment(t):
    c = certs_of(t)
    s = Secure(t, c)
    peer = f'http://127.0.0.1:{free_port()}'
    (t.dir / 'conf.yml').write_text(
        f'name: m\ndata-dir: {t.dir}/yaml.etcd\nlisten-client-urls: {s.url}\nadvertise-client-urls: {s.url}\n'
        f'listen-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\ninitial-cluster: m={peer}\n'
        f'client-transport-security:\n  cert-file: {c.path("server.crt")}\n  key-file: {c.path("server.key")}\n'
        f'  client-cert-auth: true\n  trusted-ca-file: {c.path("ca.crt")}\n')
    s.command = lambda: [s.binary, '--config-file', str(t.dir / 'conf.yml')]
    s.start()
    flags = c.flags()
    env = {'ETCDCTL_CACERT': flags[1], 'ETCDCTL_CERT': flags[3], 'ETCDCTL_KEY': flags[5],
           'ETCDCTL_ENDPOINTS': s.url}
    assert t.run([str(t.bin('etcdctl')), 'put', 'k', 'v'], env=env)[0] == 'OK\n'
    s.refuses('certificate required', flags=['--cacert', c.path('ca.crt')])


def test_failover(t):
    """The first endpoint is dead, the second has a certificate of somebody else, the third answers."""
    c = certs_of(t)
    other = Certs(t, 'other').server()
    good, bad = Secure(t, c, ca=False, name='good').start(), Secure(t, other, ca=False, name='bad').start()
    urls = f'https://127.0.0.1:{free_port()},{bad.url},{good.url}'
    for _ in range(6):
        good.tool('put', 'k', 'v', flags=['--cacert', c.path('ca.crt')], url=urls)
    assert bad.ctl('get', 'k', ok=False)[2] == 1
    out = bad.tool('get', 'k', flags=['--cacert', other.path('ca.crt')])[0]
    assert out == '', out


class Member(Secure):
    """One of three, with TLS between members too; all take their certificates from one folder."""

    def __init__(self, t, certs, i, peers, args):
        c = certs
        super().__init__(t, c, *args, name=f'm{i}')
        self.peers, self.i = peers, i
        self.args += ['--peer-cert-file', c.path('server.crt'), '--peer-key-file', c.path('server.key'),
                      '--peer-client-cert-auth', '--peer-trusted-ca-file', str(t.dir / 'peer-ca.crt')]

    def command(self):
        own = f'https://127.0.0.1:{self.peers[self.i]}'
        cluster = ','.join(f'm{k}=https://127.0.0.1:{p}' for k, p in enumerate(self.peers))
        return [self.binary, '--name', self.name, '--data-dir', str(self.data_dir),
                '--listen-client-urls', self.url, '--advertise-client-urls', self.url,
                '--listen-peer-urls', own, '--initial-advertise-peer-urls', own,
                '--initial-cluster', cluster, *self.args]


def three(t, c, *args):
    shutil.copy(c.path('ca.crt'), t.dir / 'peer-ca.crt')
    peers = [free_port() for _ in range(3)]
    members = [Member(t, c, i, peers, args).start(wait=False) for i in range(3)]
    for m in members:
        m.wait_ready()
    return members


def all_have(members, key, value):
    for m in members:
        assert m.tool('get', key)[0] == f'{key}\n{value}\n'


def test_three_members(t):
    """Peers over TLS; their certificate, then their CA are renewed while a client writes; what would cut
    them off is refused."""
    c = certs_of(t)
    members = three(t, c)
    members[0].tool('put', 'k', '0')
    all_have(members, 'k', '0')
    stop, errors = threading.Event(), []
    urls = ','.join(m.url for m in members)

    def write():
        while not stop.is_set():
            _, err, rc = members[0].tool('put', 'k', 'v', url=urls, ok=False)
            if rc != 0:
                errors.append(err)

    writer = threading.Thread(target=write)
    writer.start()
    done = 'reloaded TLS files; new connections use them'
    c.server('next')
    shutil.copy(c.path('next.key'), c.path('server.key'))
    shutil.copy(c.path('next.crt'), c.path('server.crt'))
    for m in members:
        for endpoint in ('client', 'peer', 'peer dialling'):
            m.wait_line(done, f'"endpoint": "{endpoint}"')
    new = Certs(t, 'new')
    old_ca, new_ca = (pathlib.Path(x.path('ca.crt')).read_text() for x in (c, new))
    (t.dir / 'peer-ca.crt').write_text(new_ca)
    for m in members:
        m.wait_line('TLS files were not reloaded; the ones in use stay', 'do not verify the certificate')
    (t.dir / 'peer-ca.crt').write_text(old_ca + new_ca)
    for m in members:
        m.wait_line(done, '"endpoint": "peer dialling"', 2)
    stop.set()
    writer.join()
    assert not errors, errors[0]
    for m in members:
        assert not m.lines('rejected connection on peer endpoint'), m.log()[-2000:]
    members[0].tool('put', 'k', '1', url=urls)
    all_have(members, 'k', '1')
    members[1].stop()
    members[1].start()
    members[0].tool('put', 'k', '2', url=urls)
    all_have(members, 'k', '2')


def test_peers_named_by_dns(t):
    """Dialling with a certificate that has names only: the listener asks a name server."""
    c = certs_of(t).cert('named', 'm', 'DNS:localhost')
    members = three(t, c, '--peer-client-cert-file', c.path('named.crt'), '--peer-client-key-file',
                    c.path('named.key'), '--peer-cert-allowed-hostname', 'localhost')
    members[0].tool('put', 'k', 'v')
    all_have(members, 'k', 'v')


def test_peer_of_nobody(t):
    """A wrong address in the certificate, another CA, plain text: closed, and told in the log."""
    c = certs_of(t).cert('far', 'far', 'IP:10.9.9.9')
    other = Certs(t, 'other').cert('client', 'mallory')
    members = three(t, c)
    told = 'rejected connection on peer endpoint'
    m = members[0]

    def dial(x, plain=False):
        with socket.create_connection(('127.0.0.1', m.peers[0]), HANG_S) as k:
            try:
                if not plain:
                    k = x.wrap_socket(k, server_hostname='127.0.0.1')
                k.sendall(b'GET /version HTTP/1.1\r\nHost: x\r\n\r\n')
                return k.recv(1000)
            except OSError:
                return b''

    assert b'etcdserver' in dial(context(c, 'client'))
    assert dial(context(c, 'far')) == b''
    line = m.wait_line(told, 'x509: certificate is valid for 10.9.9.9, not 127.0.0.1')[0]
    assert line['ip-addresses'] == ['10.9.9.9'], line
    x = context(c)
    x.load_cert_chain(other.path('client.crt'), other.path('client.key'))
    assert dial(x) == b''
    m.wait_line(told, 'x509: certificate signed by unknown authority')
    assert dial(context(c)) == b''
    m.wait_line(told, "tls: client didn't provide a certificate")
    assert dial(None, plain=True) == b''
    m.wait_line(told, 'tls: first record does not look like a TLS handshake')


LIBRARY = r'''
#include <cairn/client.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    struct cairn_options o = {.endpoints = argv[1], .timeout_ms = 2000};
    o.ca_file = argc > 2 ? argv[2] : NULL;
    o.cert_file = argc > 3 ? argv[3] : NULL;
    o.key_file = argc > 4 ? argv[4] : NULL;
    struct cairn_client *c;
    int rc = cairn_client_open(&o, &c);
    if (rc == 0) {
        struct cairn_put put = {.key = cairn_text("lib"), .value = cairn_text("v")};
        struct cairn_result *r;
        rc = cairn_put(c, &put, &r);
        if (rc == 0) {
            cairn_result_free(r);
        }
    }
    printf("%d %s\n", rc, c == NULL || rc == 0 ? "" : cairn_client_error(c));
    cairn_client_close(c);
    return 0;
}
'''


def test_public_library(t):
    if shutil.which('cc') is None:
        raise Skip('no C compiler')
    c = certs_of(t)
    (t.dir / 'lib.c').write_text(LIBRARY)
    where = t.build / 'src' / 'client'
    if b'libasan' in (where / 'libcairnclient.so').read_bytes():
        raise Skip('the library is built for a sanitizer')
    t.run(['cc', str(t.dir / 'lib.c'), '-I', str(pathlib.Path(__file__).resolve().parents[2] / 'include'),
           '-L', str(where), '-lcairnclient', f'-Wl,-rpath,{where}', '-o', str(t.dir / 'lib')])
    s = Secure(t, c).start()

    def put(*args):
        return t.run([str(t.dir / 'lib'), *args])[0].strip()

    files = (c.path('ca.crt'), c.path('client.crt'), c.path('client.key'))
    assert put(s.url, *files) == '0'
    assert put(s.url[8:], *files) == '0' and s.tool('get', 'lib')[0] == 'lib\nv\n'
    assert put(s.url, *files[:2]) == '-4 a certificate and its key go together'
    assert put(s.url, '/x') == '-4 open /x: no such file or directory'
    assert put(f'http://127.0.0.1:1,{s.url}', *files) == '-4'
    assert put(s.url, files[0]).startswith('4 '), put(s.url, files[0])


STARTS = (
    ([], 'discovery failed',
     'TLS key/cert (--cert-file, --key-file) must be provided for client url {url} with HTTPS scheme'),
    (['--cert-file', '{server.crt}'], 'listener failed',
     'KeyFile and CertFile must both be present[key: , cert: {server.crt}]'),
    (['--cert-file', '/x/no', '--key-file', '{server.key}'], 'listener failed',
     'open /x/no: no such file or directory'),
    (['--cert-file', '{server.crt}', '--key-file', '{client.key}'], 'listener failed',
     'tls: private key does not match public key'),
    (['--cert-file', '{ca.srl}', '--key-file', '{client.key}'], 'listener failed',
     'tls: failed to find any PEM data in certificate input'),
    (['--cert-file', '{server.crt}', '--key-file', '{ca.srl}'], 'listener failed',
     'tls: failed to find any PEM data in key input'),
    (['+', '--trusted-ca-file', '/x/ca'], 'listener failed', 'open /x/ca: no such file or directory'),
    (['+', '--cipher-suites', 'bogus'], 'discovery failed', 'unexpected TLS cipher suite "bogus"'),
    (['+', '--cipher-suites', 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384'], 'listener failed',
     'http2: TLSConfig.CipherSuites is missing an HTTP/2-required AES_128_GCM_SHA256 cipher (need at least '
     'one of TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 or TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)'),
    (['+', '--client-cert-file', '{client.crt}'], 'listener failed',
     'ClientKeyFile and ClientCertFile must both be present or both absent: key: , cert: {client.crt}]'),
    (['--auto-tls', '--self-signed-cert-validity', '0'], 'failed to get client self-signed certs',
     'selfSignedCertValidity is invalid,it should be greater than 0'),
)


def test_refused_starts(t):
    """etcd's last line and text, and nothing in the data directory."""
    c = certs_of(t)
    names = {n: c.path(n) for n in ('server.crt', 'server.key', 'client.crt', 'client.key', 'ca.srl')}

    def fill(text, url):
        for n, path in names.items():
            text = text.replace('{' + n + '}', path)
        return text.replace('{url}', url)

    for i, (flags, msg, error) in enumerate(STARTS):
        s = Secure(t, c, name=f's{i}')
        pair = ['--cert-file', c.path('server.crt'), '--key-file', c.path('server.key')]
        s.args = [fill(f, s.url) for f in (flags if flags[:1] != ['+'] else pair + flags[1:])]
        s.start(wait=False)
        assert s.process.wait(HANG_S) == 1, (s.args, s.log())
        last = json.loads(s.log().splitlines()[-1])
        assert (last['level'], last['msg'], last['error']) == ('fatal', msg, fill(error, s.url)), last
        assert not (s.data_dir / 'member').exists(), s.args


if __name__ == '__main__':
    main(globals())
