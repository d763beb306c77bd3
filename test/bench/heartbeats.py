"""A proxy before a member's peer port that notes when heartbeats pass: the gap between two, as a follower sees it.

Members dial the leader and read its messages from GET /raft/stream/message: a chunked body of messages, each behind
eight bytes of length.  Standard library only."""
import socket
import threading
import time

HEARTBEAT = 8  # raftpb.MsgHeartbeat
READ_BYTES = 1 << 16
PATH = b'GET /raft/stream/message'


class Heartbeats:
    """What one direction of one connection tells."""

    def __init__(self, note):
        self.note, self.bytes, self.body, self.is_head, self.chunk = note, b'', b'', True, 0

    def feed(self, data):
        self.bytes += data
        if self.is_head:
            head, end, rest = self.bytes.partition(b'\r\n\r\n')
            if not end:
                return
            self.is_head, self.bytes = False, rest
            self.is_chunked = b'chunked' in head.lower()
        if not self.is_chunked:
            self.body, self.bytes = self.body + self.bytes, b''
        while self.is_chunked and self.take_chunk():
            pass
        while len(self.body) >= 8:
            size = int.from_bytes(self.body[:8], 'big')
            if len(self.body) < 8 + size:
                break
            if self.body[8:10] == bytes((8, HEARTBEAT)):
                self.note()
            self.body = self.body[8 + size:]

    def take_chunk(self):
        """True: there may be another."""
        if self.chunk == 0:
            line, end, rest = self.bytes.lstrip(b'\r\n').partition(b'\r\n')
            if not end:
                return False
            self.chunk, self.bytes = int(line, 16), rest
        piece = self.bytes[:self.chunk]
        self.body, self.bytes, self.chunk = self.body + piece, self.bytes[len(piece):], self.chunk - len(piece)
        return self.chunk == 0 and bool(self.bytes)


class Proxy:
    def __init__(self, port, to):
        self.to, self.gaps, self.last = to, [], {}
        self.listener = socket.create_server(('127.0.0.1', port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            s, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, client):
        try:
            server = socket.create_connection(('127.0.0.1', self.to))
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            first = client.recv(READ_BYTES)
            server.sendall(first)
            ident = object()
            watcher = Heartbeats(lambda: self.note(ident)) if first.startswith(PATH) else None
            threading.Thread(target=self.pump, args=(client, server, None), daemon=True).start()
            self.pump(server, client, watcher)
        except OSError:
            client.close()

    def note(self, ident):
        now = time.monotonic()
        if ident in self.last:
            self.gaps.append((now, now - self.last[ident]))
        self.last[ident] = now

    @staticmethod
    def pump(source, sink, watcher):
        try:
            while data := source.recv(READ_BYTES):
                sink.sendall(data)
                if watcher is not None:
                    watcher.feed(data)
        except OSError:
            pass
        for s in (source, sink):
            s.close()

    def longest(self, since):
        return max((gap for at, gap in self.gaps if at >= since), default=0.0)
