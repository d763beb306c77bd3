"""HTTP/2 by hand, for peers that do not keep the rules: frames are made and read here, byte by byte, with
no library between the test and the wire.  Standard library only."""
import socket
import struct
import time

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONT = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIO = 1, 1, 4, 8, 32
(NO_ERROR, PROTOCOL, INTERNAL, FLOW, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE, REFUSED, CANCEL,
 COMPRESSION, CONNECT, CALM) = range(12)
HANG_S = 30


def frame(kind, flags, stream, payload=b'', length=None):
    n = len(payload) if length is None else length
    return struct.pack('>I', n)[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload


def number_varint(value):
    """protobuf's."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(value, prefix, first=0):
    """RFC 7541 5.1."""
    top = (1 << prefix) - 1
    return bytes([first | value]) if value < top else bytes([first | top]) + number_varint(value - top)


def field(name, value):
    """Literal without indexing, no Huffman."""
    name, value = name.encode(), value if isinstance(value, bytes) else value.encode()
    return b'\0' + number(len(name), 7) + name + number(len(value), 7) + value


def block(*pairs):
    return b''.join(field(n, v) for n, v in pairs)


def request(path='/etcdserverpb.KV/Range', *more, method='POST', scheme='http'):
    return block((':method', method), (':scheme', scheme), (':path', path), (':authority', 'localhost'),
                 ('content-type', 'application/grpc'), ('te', 'trailers'), *more)


def message(body, compressed=0, length=None):
    return struct.pack('>BI', compressed, len(body) if length is None else length) + body


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b''.join(struct.pack('>HI', k, v) for k, v in pairs))


class Peer:
    """One connection; reads with a hang limit."""

    def __init__(self, address, preface=PREFACE, hello=True, receive_buffer=0):
        self.s = socket.socket()
        if receive_buffer:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.s.settimeout(HANG_S)
        self.s.connect(address)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b''
        self.next_id = 1
        self.sending, self.room, self.conn_room = 0, 0, 65535
        if preface:
            self.send(preface)
        if hello:
            self.send(settings())

    def send(self, data):
        """A peer that has hung up on us is a result, seen by the next read."""
        try:
            self.s.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def open(self, flags=END_HEADERS, path='/etcdserverpb.KV/Range', headers=None):
        sid, self.next_id = self.next_id, self.next_id + 2
        self.send(frame(HEADERS, flags, sid, request(path) if headers is None else headers))
        return sid

    def call(self, body, path='/etcdserverpb.KV/Range'):
        sid = self.open(path=path)
        self.send(frame(DATA, END_STREAM, sid, message(body)))
        return sid

    def read(self):
        """(type, flags, stream, payload), or None at the end of the connection."""
        while True:
            if len(self.buf) >= 9:
                n = int.from_bytes(self.buf[:3], 'big')
                if len(self.buf) >= 9 + n:
                    f = (self.buf[3], self.buf[4], int.from_bytes(self.buf[5:9], 'big') & 0x7fffffff,
                         self.buf[9:9 + n])
                    self.buf = self.buf[9 + n:]
                    if f[0] == WINDOW and f[2] == 0 and len(f[3]) == 4:
                        self.conn_room += int.from_bytes(f[3], 'big')
                    return f
            try:
                more = self.s.recv(65536)
            except ConnectionResetError:
                return None
            if not more:
                return None
            self.buf += more

    def wait_window(self, sid, size):
        """Keeps the server's windows while a body is sent: counts what was sent, waits when it is used up."""
        if self.sending != sid:
            self.sending, self.room = sid, 65535
        self.room -= size
        self.conn_room -= size
        while self.room < 16384 or self.conn_room < 16384:
            f = self.read()
            assert f is not None and f[0] not in (RST, GOAWAY), f
            if f[0] == WINDOW:
                self.room += int.from_bytes(f[3], 'big') if f[2] == sid else 0
            elif f[0] == HEADERS and f[2] == sid:
                self.buf = frame(*f) + self.buf
                return

    def until(self, want, hang=HANG_S):
        """The first frame for which want(type, flags, stream, payload); None at the end."""
        end = time.monotonic() + hang
        while time.monotonic() < end:
            f = self.read()
            if f is None or want(*f):
                return f
        raise AssertionError('nothing of what was waited for came')

    def ends(self, *codes):
        """The connection is ended by the server, with GOAWAY of one of these codes (or without one)."""
        seen = None
        while True:
            f = self.read()
            if f is None:
                break
            if f[0] == GOAWAY:
                seen = int.from_bytes(f[3][4:8], 'big')
        assert seen is None or seen in codes, f'GOAWAY {seen}, wanted {codes}'
        return seen

    def resets(self, sid, *codes):
        """The stream is reset, or (also allowed, RFC 9113 5.4.2) the connection is ended."""
        f = self.until(lambda k, fl, st, p: (k == RST and st == sid) or k == GOAWAY)
        if f is None:
            return
        code = int.from_bytes(f[3][:4] if f[0] == RST else f[3][4:8], 'big')
        assert code in codes, f'code {code}, wanted {codes}'

    def alive(self):
        """A PING is answered: everything before it was taken, the connection lives."""
        self.send(frame(PING, 0, 0, b'are you?'))
        f = self.until(lambda k, fl, st, p: k == GOAWAY or (k == PING and fl & ACK and p == b'are you?'))
        assert f is not None and f[0] == PING, f'the connection was ended: {f}'

    def answer(self, sid):
        """(header block bytes of all HEADERS of the stream, body) once the stream is ended; a reset fails."""
        heads, body = b'', bytearray()
        while True:
            f = self.read()
            assert f is not None, 'the connection was closed'
            kind, flags, st, payload = f
            if st != sid:
                continue
            assert kind != RST, 'reset with ' + str(int.from_bytes(payload, 'big'))
            heads += payload if kind in (HEADERS, CONT) else b''
            if kind == DATA:
                body += payload
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                return heads, bytes(body)

    def close(self):
        self.s.close()
