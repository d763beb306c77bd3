"""A gRPC client for tests that send much: calls one behind the other or many at once, streams that are read as
bytes come, statuses and their texts.  Standard library only: HPACK is decoded here, without a dynamic table
(SETTINGS says so)."""
import socket
import struct
import urllib.parse

from h2raw import (ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PREFACE, RST, SETTINGS, WINDOW,
                   frame, message, request)

HANG_S = 60
READ_BYTES = 1 << 18
WINDOW_BYTES = 1 << 30
GRPC_STATUS, GRPC_MESSAGE = b'grpc-status', b'grpc-message'

# Lengths of the codes of RFC 7541 appendix B, symbol by symbol; the code itself is canonical.
CODE_LENGTHS = [int(n) for n in (
    '13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28 6 10 10 12 13 6 8 '
    '11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10 13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 '
    '19 13 14 6 15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28').split()]


def canonical(lengths):
    """{(length, code): symbol}; what is not ASCII does not occur in the fields that are read here."""
    out, code, last = {}, 0, 0
    for length, symbol in sorted((n, s) for s, n in enumerate(lengths)):
        code <<= length - last
        out[length, code] = symbol
        code, last = code + 1, length
    return out


CODES = canonical(CODE_LENGTHS)


def huffman(data):
    out, code, length = bytearray(), 0, 0
    for byte in data:
        for bit in range(7, -1, -1):
            code, length = code << 1 | byte >> bit & 1, length + 1
            symbol = CODES.get((length, code))
            if symbol is not None:
                out.append(symbol)
                code = length = 0
    return bytes(out)


def integer(data, at, bits):
    top = (1 << bits) - 1
    value, at, shift = data[at] & top, at + 1, 0
    if value < top:
        return value, at
    while True:
        value, shift, at = value + ((data[at] & 127) << shift), shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def text(data, at):
    is_coded = data[at] & 128
    length, at = integer(data, at, 7)
    raw = data[at:at + length]
    return (huffman(raw) if is_coded else raw), at + length


def literals(block):
    """{name: value} of the fields whose names are spelt out."""
    at, out = 0, {}
    while at < len(block):
        first = block[at]
        if first & 128:
            _, at = integer(block, at, 7)
            continue
        if first & 0xe0 == 0x20:
            _, at = integer(block, at, 5)
            continue
        index, at = integer(block, at, 6 if first & 64 else 4)
        name = b''
        if index == 0:
            name, at = text(block, at)
        value, at = text(block, at)
        out[name] = value
    return out


class Status(Exception):
    def __init__(self, code, words):
        super().__init__(f'{code} {words}')
        self.code, self.words = code, words


class Gone(Exception):
    """The connection broke: what was under way may have happened."""


class Stream:
    def __init__(self):
        self.bytes = bytearray()
        self.messages = []
        self.status = None  # (code, text) at its end

    def feed(self, payload):
        self.bytes += payload
        at = 0
        while len(self.bytes) - at >= 5:
            length = struct.unpack_from('>I', self.bytes, at + 1)[0]
            if len(self.bytes) - at < 5 + length:
                break
            self.messages.append(bytes(self.bytes[at + 5:at + 5 + length]))
            at += 5 + length
        if at:
            del self.bytes[:at]

    def take(self):
        out, self.messages = self.messages, []
        return out


class Client:
    def __init__(self, port, timeout=HANG_S, window=WINDOW_BYTES):
        try:
            self.sock = socket.create_connection(('127.0.0.1', port), timeout=timeout)
        except OSError as e:
            raise Gone(str(e)) from e
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.next_id, self.streams, self.given = 1, {}, 0
        self.buffer = bytearray()
        self.is_gone = False
        self.send(PREFACE + frame(SETTINGS, 0, 0, struct.pack('>HIHI', 1, 0, 4, window)) +
                  frame(WINDOW, 0, 0, struct.pack('>I', WINDOW_BYTES - 65535)))

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as e:
            self.is_gone = True
            raise Gone(str(e)) from e

    def open(self, path, body=None, end=True, headers=()):
        """The number of a new stream."""
        number, self.next_id = self.next_id, self.next_id + 2
        self.streams[number] = Stream()
        out = frame(HEADERS, END_HEADERS, number, request(path, *headers))
        payload = b'' if body is None else message(body)
        while payload:
            piece, payload = payload[:16384], payload[16384:]
            out += frame(DATA, END_STREAM if end and not payload else 0, number, piece)
        self.send(out)
        return number

    def more(self, number, body):
        self.send(frame(DATA, 0, number, message(body)))

    def pump(self):
        """Reads what is there (waits for something), and hands it to the streams."""
        try:
            got = self.sock.recv(READ_BYTES)
        except OSError as e:
            self.is_gone = True
            raise Gone(str(e)) from e
        if not got:
            self.is_gone = True
            raise Gone('the connection was closed')
        self.buffer += got
        at = 0
        while len(self.buffer) - at >= 9:
            length = int.from_bytes(self.buffer[at:at + 3], 'big')
            if len(self.buffer) - at < 9 + length:
                break
            self.take(self.buffer[at + 3], self.buffer[at + 4], int.from_bytes(self.buffer[at + 5:at + 9], 'big'),
                      self.buffer[at + 9:at + 9 + length])
            at += 9 + length
        del self.buffer[:at]

    def take(self, kind, flags, number, payload):
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, bytes(payload)))
        elif kind == GOAWAY:
            self.is_gone = True
        stream = self.streams.get(number)
        if stream is None:
            return
        if kind == DATA:
            assert not flags & PADDED
            stream.feed(payload)
            self.give(number, len(payload))
        elif kind == HEADERS:
            self.take_fields(stream, bytes(payload))
        elif kind == RST:
            stream.status = stream.status or (14, f'reset with {int.from_bytes(payload, "big")}')
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            stream.status = stream.status or (2, 'ended without a status')

    def give(self, number, count):
        self.given += count
        if self.given > WINDOW_BYTES // 4:
            self.send(frame(WINDOW, 0, 0, struct.pack('>I', self.given)))
            self.given = 0

    def grow(self, number, count):
        """More of a stream whose window is small."""
        self.send(frame(WINDOW, 0, number, struct.pack('>I', count)))

    def take_fields(self, stream, block):
        f = literals(block)
        if GRPC_STATUS in f:
            words = urllib.parse.unquote(f.get(GRPC_MESSAGE, b'').decode())
            stream.status = (int(f[GRPC_STATUS]), words)

    def finish(self, number):
        """All messages of a call; Status unless it ended well."""
        stream = self.streams[number]
        while stream.status is None:
            self.pump()
        del self.streams[number]
        if stream.status[0] != 0:
            raise Status(*stream.status)
        return stream.messages

    def call(self, path, body, headers=()):
        return self.finish(self.open(path, body, headers=headers))[0]

    def close(self):
        self.is_gone = True
        self.sock.close()
