#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands of cairnctl that stay: watch, lock, elect, make-mirror, lease keep-alive; and completion
sourced in bash.  Where Debian's etcdctl is there, the same words are expected of both."""
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from cairn_test import HANG_S, Skip, main  # noqa: E402


class Command:
    """A command that stays; lines of its output are awaited."""

    def __init__(self, t, server, *words, ctl='cairnctl', env=None):
        e = {k: v for k, v in os.environ.items() if not k.startswith(('ETCD_', 'ETCDCTL_'))}
        e['ETCDCTL_API'] = '3'
        e.update(env or {})
        self.p = subprocess.Popen([str(t.bin(ctl)), '--endpoints', server.endpoint, *words], env=e, cwd=t.dir,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        t.processes.append(self.p)
        self.lines, self.errors = [], b''
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.read, self.read_errors)]
        for thread in self.threads:
            thread.start()

    def read(self):
        for line in self.p.stdout:
            self.lines.append(line.decode().rstrip('\n'))

    def read_errors(self):
        self.errors = self.p.stderr.read()

    def write(self, text):
        self.p.stdin.write(text.encode())
        self.p.stdin.flush()

    def expect(self, *lines):
        """The lines so far, once there are as many."""
        end = time.monotonic() + HANG_S
        while len(self.lines) < len(lines) and time.monotonic() < end:
            time.sleep(0.01)
        assert self.lines[:len(lines)] == list(lines), f'{self.lines} for {lines}'
        del self.lines[:len(lines)]

    def line(self):
        end = time.monotonic() + HANG_S
        while not self.lines and time.monotonic() < end:
            time.sleep(0.01)
        return self.lines.pop(0)

    def end(self, signo=None):
        """(exit status, what is left of stdout, stderr)."""
        if signo is not None:
            self.p.send_signal(signo)
        rc = self.p.wait(HANG_S)
        for thread in self.threads:
            thread.join(HANG_S)
        return rc, self.lines, self.errors.decode()


def tools(t):
    yield 'cairnctl'
    try:
        t.bin('debian-etcdctl')
    except Skip:
        return
    yield 'debian-etcdctl'


def begun(server, key):
    """A watch of key is there: what is put from here on is seen."""
    server.ctl('put', key, 'begin')


def await_watch(t, server, c, key):
    """Puts key until the watch shows it, then nothing of that is left."""
    end = time.monotonic() + HANG_S
    while not c.lines and time.monotonic() < end:
        begun(server, key)
        time.sleep(0.05)
    time.sleep(0.3)
    del c.lines[:]


def test_watch(t):
    s = t.server().start()
    for tool in tools(t):
        c = Command(t, s, 'watch', 'k', '--prefix', '--prev-kv', ctl=tool)
        await_watch(t, s, c, 'k')
        s.ctl('put', 'k1', 'a')
        c.expect('PUT', 'k1', 'a')
        s.ctl('put', 'k1', 'b')
        c.expect('PUT', 'k1', 'a', 'k1', 'b')
        s.ctl('del', 'k1')
        c.expect('DELETE', 'k1', 'b', 'k1', '')
        assert c.end(signal.SIGTERM)[0] == -signal.SIGTERM
    old = s.json('get', 'k')['header']['revision']
    s.ctl('compaction', str(old))
    out, err, rc = s.ctl('watch', 'k', '--rev', '2', ok=False)
    assert (out, rc) == ('', 5), (out, rc)
    assert 'watch was canceled (etcdserver: mvcc: required revision has been compacted)\n' in err, err
    assert err.endswith('Error: watch is canceled by the server\n'), err


def test_watch_goes_on_after_a_restart(t):
    s = t.server().start()
    s.ctl('put', 'k', '1')
    c = Command(t, s, 'watch', 'k', '--rev', '2')
    c.expect('PUT', 'k', '1')
    s.stop()
    s.start()
    s.ctl('put', 'k', '2')
    c.expect('PUT', 'k', '2')
    s.kill()
    s.start()
    s.ctl('put', 'k', '3')
    c.expect('PUT', 'k', '3')
    c.end(signal.SIGTERM)


def test_exec(t):
    s = t.server().start()
    s.ctl('put', 'k', 'v "1"')
    for tool in tools(t):
        c = Command(t, s, 'watch', 'k', '--rev', '2', '--', 'sh', '-c',
                    'echo $ETCD_WATCH_REVISION $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE', ctl=tool)
        c.expect('PUT', 'k', 'v "1"', '2 "PUT" "k" "v \\"1\\""')
        c.end(signal.SIGTERM)
        rc, _, err = Command(t, s, 'watch', 'k', '--rev', '2', '--', 'false', ctl=tool).end()
        assert rc == 1 and 'command ["false"] error (exit status 1)' in err, err


def test_interactive(t):
    s = t.server().start()
    s.ctl('put', 'a', '1')
    s.ctl('put', 'b', '2')
    for tool in tools(t):
        c = Command(t, s, 'watch', '-i', ctl=tool)
        c.write('watch a --rev 2\n')
        c.expect('PUT', 'a', '1')
        c.write('bogus\n\nwatch b --rev 2\n')
        c.expect('PUT', 'b', '2')
        c.write('watch\n')
        c.p.stdin.close()
        rc, _, err = c.end()
        assert rc == 3, rc
        assert 'Invalid command bogus (only support watch)\n' in err, err
        assert 'Invalid command watch (command type or key is not provided)\n' in err, err
        assert err.endswith('Error: error reading watch request line: EOF\n') or tool != 'cairnctl', err
    c = Command(t, s, 'watch', '-i')
    c.write('watch a\n')
    await_watch(t, s, c, 'a')
    c.write('progress\n')
    assert c.line().startswith('progress notify: ')
    c.end(signal.SIGTERM)


def test_lock(t):
    s = t.server().start()
    for tool in tools(t):
        first = Command(t, s, 'lock', 'name', ctl=tool)
        key = first.line()
        assert key.startswith('name/'), key
        second = Command(t, s, 'lock', 'name', '--', 'sh', '-c', 'echo mine $ETCD_LOCK_KEY; exit 7', ctl='cairnctl')
        third = Command(t, s, 'lock', 'name')
        time.sleep(0.5)
        assert second.p.poll() is None and not second.lines
        assert third.end(signal.SIGINT)[0] == 1, 'a signal while waiting'
        assert first.end(signal.SIGTERM)[0] == 0
        rc, lines, err = second.end()
        assert rc == 7 and lines[0].startswith('mine name/'), (rc, lines)
        assert err.endswith('Error: exit status 7\n'), err
        assert s.ctl('get', 'name', '--prefix')[0] == ''
    held = Command(t, s, 'lock', 'gone', '--ttl', '2')
    held.line()
    for lease in s.ctl('lease', 'list')[0].split('\n')[1:]:
        if lease:
            s.ctl('lease', 'revoke', lease, ok=False)
    rc, _, err = held.end()
    assert rc == 1 and err.endswith('Error: session expired\n'), err


def test_elect(t):
    s = t.server().start()
    for tool in tools(t):
        name = f'e-{tool}'
        seen = Command(t, s, 'elect', '-l', name)
        one = Command(t, s, 'elect', name, 'one', ctl=tool)
        assert one.line().startswith(name + '/')
        one.expect('one')
        assert seen.line().startswith(name + '/')
        seen.expect('one')
        two = Command(t, s, 'elect', name, 'two')
        time.sleep(0.3)
        assert not two.lines
        assert one.end(signal.SIGTERM)[0] == 0
        assert two.line().startswith(name + '/')
        two.expect('two')
        assert seen.line().startswith(name + '/')
        seen.expect('two')
        assert two.end(signal.SIGINT)[0] == 0
        assert seen.end(signal.SIGTERM)[0] == 0


def await_text(server, text, *words):
    end = time.monotonic() + HANG_S
    got = None
    while time.monotonic() < end:
        got = server.ctl(*words)[0]
        if got == text:
            return
        time.sleep(0.05)
    raise AssertionError(f'{got!r} for {text!r}')


def test_make_mirror(t):
    src, dst = t.server(name='src').start(), t.server(name='dst').start()
    src.ctl('put', 'a/1', 'one')
    src.ctl('put', 'b', 'not copied')
    for i in range(3):
        src.ctl('txn', input='\n' + ''.join(f'put a/many/{i}-{n:03} x\n' for n in range(100)) + '\n\n')
    c = Command(t, src, 'make-mirror', dst.endpoint, '--prefix', 'a/', '--dest-prefix', 'c/', '--max-txn-ops', '2')
    await_text(dst, 'c/1\none\n', 'get', 'c/1')
    src.ctl('put', 'a/2', 'two')
    await_text(dst, 'c/2\ntwo\n', 'get', 'c/2')
    src.ctl('txn', input='\nput a/3 x\nput a/4 y\nput a/5 z\ndel a/1\n\n\n')
    await_text(dst, 'c/2\ntwo\nc/3\nx\nc/4\ny\nc/5\nz\n', 'get', 'c/', 'c/m')
    src.stop()
    src.start()
    src.ctl('del', 'a/2')
    await_text(dst, 'c/3\nx\nc/4\ny\nc/5\nz\n', 'get', 'c/', 'c/m')
    count = dst.json('get', '', '--from-key', '--keys-only')['count']
    assert count == 303, count
    c.end(signal.SIGTERM)


def test_keep_alive(t):
    s = t.server().start()
    for tool in tools(t):
        lease = s.ctl('lease', 'grant', '3')[0].split()[1]
        c = Command(t, s, 'lease', 'keep-alive', lease, ctl=tool)
        for _ in range(3):
            c.expect(f'lease {lease} keepalived with TTL(3)')
        s.ctl('lease', 'revoke', lease)
        rc, lines, _ = c.end()
        assert rc == 0 and lines[-1] == f'lease {lease} expired or revoked.', lines


COMPLETE = '''
source <({tool} completion bash) || exit 9
for line in "{name} " "{name} wat" "{name} lease " "{name} watch --pre" "{name} user grant-" "{name} get --ord"; do
    read -ra COMP_WORDS <<< "$line"
    [[ "$line" == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMP_LINE="$line" COMP_POINT=${{#line}}
    COMPREPLY=()
    "$(complete -p {name} | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" {name} "${{COMP_WORDS[COMP_CWORD]}}" ""
    echo "${{COMPREPLY[@]}}"
done
'''


def test_completion_in_bash(t):
    for name in ('cairnctl', 'etcdctl', 'cairnutl'):
        out = t.run(['bash', '-c', COMPLETE.format(tool=t.bin(name), name=name)])[0].split('\n')
        assert 'snapshot' in out[0].split() and '--help' in out[0].split(), out[0]
        if name != 'cairnutl':
            assert out[1] == 'watch', out[1]
            assert sorted(w for w in out[2].split() if w[0] != '-') == \
                ['grant', 'keep-alive', 'list', 'revoke', 'timetolive'], out[2]
            assert out[3].split() == ['--prefix', '--prev-kv'], out[3]
            assert out[4:6] == ['grant-role', '--order'], out[4:6]


if __name__ == '__main__':
    main(globals())
