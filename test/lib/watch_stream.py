"""A Watch stream by hand, over h2client: requests as dictionaries, responses decoded.  Standard library only."""
import struct

from h2client import DATA, END_STREAM, Client, field, message


def fields(data):
    """[(number, value)] of a protobuf message: numbers and bytes."""
    at, out = 0, []

    def varint():
        nonlocal at
        n = shift = 0
        while True:
            b = data[at]
            at += 1
            n |= (b & 0x7f) << shift
            shift += 7
            if b < 0x80:
                return n

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            out.append((tag >> 3, varint()))
        else:
            assert tag & 7 == 2, tag
            length = varint()
            out.append((tag >> 3, data[at:at + length]))
            at += length
    return out


def signed(n):
    return n - (1 << 64) if n >> 63 else n


def kv(data):
    f = dict(fields(data))
    return {'key': f.get(1, b'').decode(), 'create': f.get(2, 0), 'mod': f.get(3, 0), 'version': f.get(4, 0),
            'value': f.get(5, b'').decode(), 'lease': f.get(6, 0)}


def event(data):
    f = dict(fields(data))
    e = {'type': 'DELETE' if f.get(1, 0) else 'PUT', 'kv': kv(f[2])}
    if 3 in f:
        e['prev'] = kv(f[3])
    return e


def short(e):
    """PUT k=v@rev (was: old)"""
    k = e['kv']
    text = f"{e['type']} {k['key']}={k['value']}@{k['mod']}" if e['type'] == 'PUT' else f"DELETE {k['key']}@{k['mod']}"
    return text + (f" (was {e['prev']['value']}@{e['prev']['mod']})" if 'prev' in e else '')


class Response:
    def __init__(self, data):
        f = fields(data)
        one = dict(f)
        self.id = signed(one.get(2, 0))
        self.created, self.canceled, self.fragment = (bool(one.get(n, 0)) for n in (3, 4, 7))
        self.compacted = one.get(5, 0)
        self.reason = one.get(6, b'').decode()
        self.rev = dict(fields(one.get(1, b''))).get(3, 0)
        self.events = [event(v) for n, v in f if n == 11]
        self.size = len(data)

    def __repr__(self):
        flags = [n for n in ('created', 'canceled', 'fragment') if getattr(self, n)]
        out = [f'id={self.id}', *flags, f'rev={self.rev}']
        out += [f'compacted={self.compacted}'] if self.compacted else []
        out += [f'"{self.reason}"'] if self.reason else []
        return ' '.join(out + [short(e) for e in self.events])


class WatchStream:
    def __init__(self, port, window=1 << 20, headers=(), tls=False):
        self.client = Client(port, window=window, tls=tls)
        self.stream = self.client.call('/etcdserverpb.Watch/Watch', headers=headers)
        self.bytes = b''

    def send(self, body):
        self.client.frame(DATA, 0, self.stream, message(body))

    def half_close(self):
        self.client.frame(DATA, END_STREAM, self.stream, b'')

    def create(self, key, end=b'', rev=0, progress=False, filters=(), prev=False, id=0, fragment=False):
        body = field(1, key) + field(2, end) + field(3, rev % (1 << 64)) + field(4, int(progress))
        body += b''.join(field(5, f) for f in filters)
        body += field(6, int(prev)) + field(7, id % (1 << 64)) + field(8, int(fragment))
        self.send(field(1, body))

    def cancel(self, id):
        self.send(field(2, field(1, id % (1 << 64))))

    def progress(self):
        self.send(field(3, b''))

    def read(self):
        """The next response."""
        while True:
            if len(self.bytes) >= 5:
                length = struct.unpack('>I', self.bytes[1:5])[0]
                if len(self.bytes) >= 5 + length:
                    data, self.bytes = self.bytes[5:5 + length], self.bytes[5 + length:]
                    return Response(data)
            kind, _, stream, payload = self.client.read_frame()
            assert stream != self.stream or self.stream not in self.client.ended, (kind, payload)
            if kind == DATA and stream == self.stream:
                self.bytes += payload
                if payload:
                    self.client.grow(self.stream, len(payload))

    def wait_end(self):
        while self.stream not in self.client.ended:
            self.client.read_frame()

    def close(self):
        self.client.close()
