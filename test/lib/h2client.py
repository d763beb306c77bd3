"""A bare HTTP/2 client for tests that misbehave: it opens gRPC streams, reads a little or nothing, resets
streams, and goes away without a word.  Standard library only."""
import socket
import ssl
import struct

from h2raw import (ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, RST, SETTINGS, WINDOW, frame,
                   message, number_varint, request)


def field(number, value):
    """One protobuf field: bytes, or a number."""
    if isinstance(value, int):
        return number_varint(number << 3) + number_varint(value)
    return number_varint(number << 3 | 2) + number_varint(len(value)) + value


def tls_context(certs=None):
    """Trusts everybody; certs: a folder of tools/certs.sh whose client certificate is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(['h2'])
    if certs is not None:
        context.load_cert_chain(certs / 'client.crt', certs / 'client.key')
    return context


class Client:
    """tls: True, or the folder of the certificates to be shown."""

    def __init__(self, port, window=65535, timeout=30, tls=False):
        self.sock = socket.create_connection(('127.0.0.1', port), timeout=timeout)
        if tls:
            self.sock = tls_context(None if tls is True else tls).wrap_socket(self.sock)
        self.next_id = 1
        self.buffer = b''
        self.data_bytes = {}   # stream -> bytes of DATA
        self.ended = set()
        self.send_raw(PREFACE)
        self.frame(SETTINGS, 0, 0, struct.pack('>HI', 4, window))
        self.grow(0, 1 << 30)  # the streams' own windows are what bounds

    def send_raw(self, data):
        self.sock.sendall(data)

    def frame(self, kind, flags, stream, payload):
        self.send_raw(frame(kind, flags, stream, payload))

    def call(self, path, body=None, end=True, headers=()):
        """Begins a call; body None: only the headers."""
        stream, self.next_id = self.next_id, self.next_id + 2
        self.frame(HEADERS, END_HEADERS, stream, request(path, *headers))
        if body is not None:
            payload = message(body)
            while payload or end:
                piece, payload = payload[:16384], payload[16384:]
                self.frame(DATA, END_STREAM if end and not payload else 0, stream, piece)
                if not payload:
                    break
        return stream

    def reset(self, stream, code=8):
        self.frame(RST, 0, stream, struct.pack('>I', code))

    def grow(self, stream, by):
        self.frame(WINDOW, 0, stream, struct.pack('>I', by))

    def _take(self, n):
        while len(self.buffer) < n:
            got = self.sock.recv(65536)
            if not got:
                raise EOFError
            self.buffer += got
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def read_frame(self):
        head = self._take(9)
        length = int.from_bytes(head[:3], 'big')
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9], 'big')
        payload = self._take(length)
        if kind == SETTINGS and not flags & ACK:
            self.frame(SETTINGS, ACK, 0, b'')
        elif kind == PING and not flags & ACK:
            self.frame(PING, ACK, 0, payload)
        elif kind == DATA:
            self.data_bytes[stream] = self.data_bytes.get(stream, 0) + length
        if kind == RST or (kind in (DATA, HEADERS) and flags & END_STREAM):
            self.ended.add(stream)
        return kind, flags, stream, payload

    def read_until(self, done, frames=100000):
        """Frames until done(self), at most so many."""
        while not done(self) and frames > 0:
            self.read_frame()
            frames -= 1
        return done(self)

    def drain(self, stream, consume=True):
        """Reads the stream to its end, giving windows back."""
        given = 0
        while stream not in self.ended:
            self.read_frame()
            got = self.data_bytes.get(stream, 0)
            if consume and got - given > 16384:
                self.grow(stream, got - given)
                given = got
        return self.data_bytes.get(stream, 0)

    def close(self):
        self.sock.close()
