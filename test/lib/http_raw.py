# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 by hand: the request as it is written, the answer with every header, bodies line by line.
The standard library's client normalises too much for a test of servers."""
import json
import re
import socket

from cairn_test import HANG_S


class Answer:
    def __init__(self, status, headers, method):
        self.status, self.headers, self.method, self.body = status, headers, method, b''

    def header(self, name):
        return next((v for k, v in self.headers if k.lower() == name.lower()), None)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode('utf-8', 'replace')

    def __repr__(self):
        return f'{self.status} {self.headers} {self.body[:500]!r}'


class Request:
    """One connection with one request; the body may be sent in pieces, the answer read in lines."""

    def __init__(self, port, method, path, body=b'', headers=(), chunked=False, context=None,
                 host='127.0.0.1', receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(HANG_S)
        self.socket.connect((host, port))
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname='localhost')
        self.method, self.chunked = method, chunked
        fields = [('Host', f'{host}:{port}'), *headers]
        given = {k.lower() for k, _ in headers}
        if 'host' in given:
            fields.pop(0)
        if chunked:
            fields.append(('Transfer-Encoding', 'chunked'))
        elif body or method == 'POST':
            fields.append(('Content-Length', str(len(body))))
        head = f'{method} {path} HTTP/1.1\r\n' + ''.join(f'{k}: {v}\r\n' for k, v in fields)
        self.socket.sendall(head.encode('latin1') + b'\r\n')
        self.data, self.answer = b'', None
        if body:
            self.send(body)

    def send(self, piece):
        if self.chunked:
            piece = f'{len(piece):x}\r\n'.encode() + piece + b'\r\n'
        self.socket.sendall(piece)

    def end(self):
        self.socket.sendall(b'0\r\n\r\n')

    def fill(self):
        piece = self.socket.recv(65536)
        self.data += piece
        return bool(piece)

    def until(self, mark):
        while mark not in self.data:
            assert self.fill(), f'the connection ended: {self.data!r}'
        out, self.data = self.data.split(mark, 1)
        return out

    def exactly(self, n):
        while len(self.data) < n:
            assert self.fill(), f'the connection ended: {self.data[:200]!r}'
        out, self.data = self.data[:n], self.data[n:]
        return out

    def head(self):
        if self.answer is None:
            lines = self.until(b'\r\n\r\n').decode('latin1').split('\r\n')
            self.answer = Answer(int(lines[0].split()[1]),
                                 [tuple(line.split(': ', 1)) if ': ' in line else
                                  (line.rstrip(':'), '') for line in lines[1:]], self.method)
        return self.answer

    def chunk(self):
        """The next piece of a chunked body; b'' at its end."""
        n = int(self.until(b'\r\n').split(b';')[0], 16)
        if n == 0:
            self.until(b'\r\n')
            return b''
        out = self.exactly(n)
        self.until(b'\r\n')
        return out

    def lines(self):
        """Lines of a chunked body."""
        self.head()
        rest = b''
        while True:
            while b'\n' in rest:
                line, rest = rest.split(b'\n', 1)
                yield line
            piece = self.chunk()
            if not piece:
                if rest:
                    yield rest
                return
            rest += piece

    def whole(self):
        a = self.head()
        length = a.header('Content-Length')
        if self.method == 'HEAD':
            return a
        if length is not None:
            a.body = self.exactly(int(length))
        elif a.header('Transfer-Encoding') == 'chunked':
            while True:
                piece = self.chunk()
                if not piece:
                    break
                a.body += piece
        else:
            while self.fill():
                pass
            a.body = self.data
        return a

    def close(self):
        self.socket.close()


def request(port, method, path, body=b'', headers=(), **kw):
    r = Request(port, method, path, body, headers, **kw)
    try:
        return r.whole()
    finally:
        r.close()


def post(port, path, body=b'{}', headers=(), **kw):
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
    elif isinstance(body, str):
        body = body.encode()
    return request(port, 'POST', path, body, headers, **kw)


def normal(text):
    """protobuf-go writes a no-break space after "proto:" in half of all builds."""
    return re.sub('proto:\u00a0', 'proto: ', text)
