"""gRPC calls by curl: one process a call, so that a call can wait, be cancelled and be cut off; and the messages of
Lock, Election and Lease.  Standard library only."""
import os
import selectors
import subprocess
import tempfile
import time

from cairn_test import HANG_S
from h2client import field
from h2raw import message
from watch_stream import fields, kv, signed


class Call:
    """A call under way; its client goes with cancel()."""

    def __init__(self, port, path, body, timeout=None):
        self.head = tempfile.TemporaryFile()
        cmd = ['curl', '-sN', '--http2-prior-knowledge', '-D', '/dev/stderr', '-H', 'content-type: application/grpc',
               '-H', 'te: trailers', '--data-binary', '@-', '-o', '-', f'http://127.0.0.1:{port}{path}']
        if timeout:
            cmd += ['-H', f'grpc-timeout: {timeout}']
        self.process = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.head)
        self.process.stdin.write(message(body))
        self.process.stdin.close()
        self.bytes = b''

    def _more(self, end):
        with selectors.DefaultSelector() as s:
            s.register(self.process.stdout, selectors.EVENT_READ)
            if not s.select(max(0, end - time.monotonic())):
                return None
        return os.read(self.process.stdout.fileno(), 65536)

    def next(self, hang=HANG_S):
        """The next message; None at the end of the call."""
        end = time.monotonic() + hang
        while True:
            length = int.from_bytes(self.bytes[1:5], 'big') if len(self.bytes) >= 5 else None
            if length is not None and len(self.bytes) >= 5 + length:
                out, self.bytes = self.bytes[5:5 + length], self.bytes[5 + length:]
                return out
            got = self._more(end)
            assert got is not None, 'no answer'
            if got == b'':
                return None
            self.bytes += got

    def is_waiting(self, secs=0.3):
        """Nothing has come, and nothing comes in this time."""
        return self.bytes == b'' and self._more(time.monotonic() + secs) is None

    def status(self, hang=HANG_S):
        """(code, text) of an ended call."""
        self.process.wait(hang)
        self.process.stdout.close()
        self.head.seek(0)
        lines = [line.partition(':')[::2] for line in self.head.read().decode().splitlines()]
        head = {name.strip().lower(): value.strip() for name, value in lines}
        return int(head.get('grpc-status', -1)), head.get('grpc-message', '')

    def answer(self, hang=HANG_S):
        """The message of an OK unary call, or (code, text)."""
        data = self.next(hang)
        if data is not None:
            assert self.next(hang) is None
        status = self.status(hang)
        return data if status[0] == 0 else status

    def cancel(self):
        self.process.kill()
        self.process.wait(HANG_S)
        self.process.stdout.close()


def header(data):
    h = dict(fields(dict(fields(data)).get(1, b'')))
    return {'cluster': h.get(1, 0), 'member': h.get(2, 0), 'rev': h.get(3, 0), 'term': h.get(4, 0)}


def lock(port, name, lease=0, **kw):
    return Call(port, '/v3lockpb.Lock/Lock', field(1, name.encode()) + field(2, lease % (1 << 64)), **kw)


def lock_key(answer):
    assert isinstance(answer, bytes), answer
    return dict(fields(answer))[2].decode()


def unlock(port, key):
    return Call(port, '/v3lockpb.Lock/Unlock', field(1, key.encode())).answer()


def election(port, method, body, **kw):
    return Call(port, '/v3electionpb.Election/' + method, body, **kw)


def campaign(port, name, lease, value, **kw):
    return election(port, 'Campaign',
                    field(1, name.encode()) + field(2, lease % (1 << 64)) + field(3, value.encode()), **kw)


def leader_key(answer):
    """The LeaderKey as bytes, and as a dictionary."""
    assert isinstance(answer, bytes), answer
    raw = dict(fields(answer))[2]
    f = dict(fields(raw))
    return raw, {'name': f.get(1, b'').decode(), 'key': f.get(2, b'').decode(), 'rev': f.get(3, 0),
                 'lease': signed(f.get(4, 0))}


def leader_kv(answer):
    assert isinstance(answer, bytes), answer
    return kv(dict(fields(answer))[2])


def grant(port, ttl, id=0):
    answer = Call(port, '/etcdserverpb.Lease/LeaseGrant', field(1, ttl) + field(2, id)).answer()
    assert isinstance(answer, bytes), answer
    return dict(fields(answer))[2]


def revoke(port, id):
    answer = Call(port, '/etcdserverpb.Lease/LeaseRevoke', field(1, id)).answer()
    assert isinstance(answer, bytes), answer
