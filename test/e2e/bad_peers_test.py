#!/usr/bin/env python3
"""Clients that do not keep the rules: HTTP/2 cases in the manner of h2spec, floods, slow and silent peers,
readers that never read.  After every case the server still answers others, and its memory is bounded.
CAIRN_LONG=1 makes the loads those of the issue (a list of 1 GB)."""
import os
import pathlib
import resource
import socket
import struct
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
import h2raw as h2  # noqa: E402
from cairn_test import Skip, main  # noqa: E402

RANGE_A = b'\x0a\x01a'
LONG = bool(os.environ.get('CAIRN_LONG'))


def rss_kib(server):
    for line in open(f'/proc/{server.process.pid}/status'):
        if line.startswith('VmRSS:'):
            return int(line.split()[1])
    raise AssertionError('no VmRSS')


def address(server):
    return ('127.0.0.1', server.client_port)


def served(server):
    """Others are served: on a connection of their own."""
    p = h2.Peer(address(server))
    _, body = p.answer(p.call(RANGE_A))
    assert body[:1] == b'\0' and len(body) >= 7, body
    p.close()


def frame_case(fn):
    """test_NAME of a function of one peer: own server, own connection, others served afterwards."""
    def test(t):
        s = t.server().start()
        p = h2.Peer(address(s))
        fn(p)
        p.close()
        served(s)
        assert s.process.poll() is None
    return test


# ---- connection and frame rules (RFC 9113 3-6) -----------------------------------------------------

def conn_error(*codes, data=b'', opened=False, half_closed=False):
    """data ends the connection; {sid} frames come from a function of the stream id."""
    def run(p):
        sid = 1
        if opened or half_closed:
            sid = p.open()
        if half_closed:
            p.send(h2.frame(h2.DATA, h2.END_STREAM, sid, h2.message(RANGE_A)))
            p.answer(sid)
        p.send(data(sid) if callable(data) else data)
        p.ends(*codes)
    return run


def stream_error(*codes, data):
    def run(p):
        sid = p.open()
        p.send(data(sid))
        p.resets(sid, *codes)
    return run


def bad_headers(*pairs, raw=None):
    """A request with these headers is a stream error; the connection lives on."""
    def run(p):
        sid = p.open(headers=raw if raw is not None else h2.block(*pairs))
        p.resets(sid, h2.PROTOCOL)
        p.alive()
    return run


def survives(data):
    def run(p):
        p.send(data)
        p.alive()
        p.next_id = 101
        p.answer(p.call(RANGE_A))
    return run


GOOD = [(':method', 'POST'), (':scheme', 'http'), (':path', '/etcdserverpb.KV/Range'),
        (':authority', 'x'), ('content-type', 'application/grpc'), ('te', 'trailers')]
F = h2.frame
CASES = {
    # 4.1, 5.5: what is unknown is ignored
    'unknown_frame': survives(F(0x50, 0xff, 0, b'whatever')),
    'undefined_flags': survives(F(h2.PING, 0xfe & ~h2.ACK, 0, b'12345678')),
    'unknown_setting': survives(h2.settings((0x4444, 7))),
    'unsolicited_ping_ack': survives(F(h2.PING, h2.ACK, 0, b'nobody??')),
    'ping_with_reserved_bit': survives(F(h2.PING, 0, 0x80000000, b'12345678')),
    'priority_of_idle_stream': survives(F(h2.PRIORITY, 0, 9, struct.pack('>IB', 0, 3))),
    # 4.2: sizes
    'frame_too_large': conn_error(h2.FRAME_SIZE, data=F(h2.HEADERS, 4, 1, b'x' * 9, length=0xffffff)),
    'settings_size': conn_error(h2.FRAME_SIZE, data=F(h2.SETTINGS, 0, 0, b'12345')),
    'settings_ack_with_payload': conn_error(h2.FRAME_SIZE, data=F(h2.SETTINGS, 1, 0, b'123456')),
    'ping_size': conn_error(h2.FRAME_SIZE, data=F(h2.PING, 0, 0, b'1234567')),
    'rst_size': conn_error(h2.FRAME_SIZE, opened=True, data=lambda s: F(h2.RST, 0, s, b'123')),
    'window_update_size': conn_error(h2.FRAME_SIZE, data=F(h2.WINDOW, 0, 0, b'123')),
    'priority_size': conn_error(h2.FRAME_SIZE, opened=True, data=lambda s: F(h2.PRIORITY, 0, s, b'1')),
    'goaway_size': conn_error(h2.FRAME_SIZE, data=F(h2.GOAWAY, 0, 0, b'1')),
    # 5.1, 6: stream states and ids
    'data_on_stream_0': conn_error(h2.PROTOCOL, data=F(h2.DATA, 0, 0, b'x')),
    'data_on_idle_stream': conn_error(h2.PROTOCOL, data=F(h2.DATA, 0, 5, b'x')),
    'headers_on_stream_0': conn_error(h2.PROTOCOL, data=F(h2.HEADERS, 5, 0, h2.request())),
    'headers_on_even_stream': conn_error(h2.PROTOCOL, data=F(h2.HEADERS, 4, 2, h2.request())),
    'rst_on_stream_0': conn_error(h2.PROTOCOL, data=F(h2.RST, 0, 0, b'\0\0\0\x08')),
    'rst_on_idle_stream': conn_error(h2.PROTOCOL, data=F(h2.RST, 0, 7, b'\0\0\0\x08')),
    'window_update_on_idle_stream': conn_error(h2.PROTOCOL, data=F(h2.WINDOW, 0, 7, b'\0\0\0\x08')),
    'priority_on_stream_0': conn_error(h2.PROTOCOL, data=F(h2.PRIORITY, 0, 0, b'\0\0\0\0\1')),
    'settings_on_stream': conn_error(h2.PROTOCOL, opened=True, data=lambda s: F(h2.SETTINGS, 0, s)),
    'ping_on_stream': conn_error(h2.PROTOCOL, opened=True, data=lambda s: F(h2.PING, 0, s, b'12345678')),
    'goaway_on_stream': conn_error(h2.PROTOCOL, opened=True, data=lambda s: F(h2.GOAWAY, 0, s, bytes(8))),
    'push_promise': conn_error(h2.PROTOCOL, opened=True,
                               data=lambda s: F(h2.PUSH, 4, s, struct.pack('>I', 2) + h2.request())),
    # A lower id may be one that we have forgotten: its frames are dropped, others go on.
    'lower_stream_id': survives(F(h2.HEADERS, 4, 7, h2.request()) + F(h2.HEADERS, 4, 3, h2.request())),
    'headers_after_end': conn_error(h2.STREAM_CLOSED, h2.PROTOCOL,
                                    data=F(h2.HEADERS, 5, 1, h2.request()) * 2),
    'data_padding_too_long': conn_error(h2.PROTOCOL, opened=True,
                                        data=lambda s: F(h2.DATA, h2.PADDED, s, b'\x06abcde')),
    'headers_padding_too_long': conn_error(h2.PROTOCOL, data=F(h2.HEADERS, 4 | h2.PADDED, 1, b'\xffabc')),
    # 6.5.2: values of settings
    'enable_push_2': conn_error(h2.PROTOCOL, data=h2.settings((2, 2))),
    'initial_window_too_large': conn_error(h2.FLOW, data=h2.settings((4, 0x80000000))),
    'max_frame_size_too_small': conn_error(h2.PROTOCOL, data=h2.settings((5, 16383))),
    'max_frame_size_too_large': conn_error(h2.PROTOCOL, data=h2.settings((5, 1 << 24))),
    # 6.9: windows
    'window_update_0_conn': conn_error(h2.PROTOCOL, data=F(h2.WINDOW, 0, 0, bytes(4))),
    'window_update_0_stream': stream_error(h2.PROTOCOL, data=lambda s: F(h2.WINDOW, 0, s, bytes(4))),
    'window_overflow_conn': conn_error(h2.FLOW, data=F(h2.WINDOW, 0, 0, b'\x7f\xff\xff\xff') * 2),
    'window_overflow_stream': stream_error(h2.FLOW, data=lambda s: F(h2.WINDOW, 0, s, b'\x7f\xff\xff\xff') * 2),
    'window_overflow_by_setting': stream_error(
        h2.FLOW, data=lambda s: F(h2.WINDOW, 0, s, b'\x7f\xff\x00\x00') + h2.settings((4, 0x7fffffff))),
    # 6.10: header blocks are not interrupted
    'continuation_alone': conn_error(h2.PROTOCOL, opened=True, data=lambda s: F(h2.CONT, 4, s, b'')),
    'headers_interrupted': conn_error(h2.PROTOCOL, data=F(h2.HEADERS, 0, 1, h2.request()) + F(h2.PING, 0, 0, b'12345678')),
    'continuation_of_other_stream': conn_error(h2.PROTOCOL, data=F(h2.HEADERS, 0, 1, h2.request()) + F(h2.CONT, 4, 3, b'')),
    # RFC 7541
    'hpack_index_0': conn_error(h2.COMPRESSION, data=F(h2.HEADERS, 5, 1, b'\x80')),
    'hpack_index_too_high': conn_error(h2.COMPRESSION, data=F(h2.HEADERS, 5, 1, b'\xfe')),
    'hpack_number_overflow': conn_error(h2.COMPRESSION, data=F(h2.HEADERS, 5, 1, b'\xff' * 12)),
    'hpack_huffman_padding': conn_error(h2.COMPRESSION, data=F(h2.HEADERS, 5, 1, b'\x00\x01x\x81\x00')),
    'hpack_table_too_large': conn_error(h2.COMPRESSION, data=F(h2.HEADERS, 5, 1, b'\x3f\xff\xff\x7f')),
    'hpack_cut': conn_error(h2.COMPRESSION, data=F(h2.HEADERS, 5, 1, b'\x00\x05ab')),
    # 8: requests
    'pseudo_unknown': bad_headers(*GOOD[:4], (':x', 'y')),
    'pseudo_after_regular': bad_headers(*GOOD[:2], ('a', 'b'), GOOD[2]),
    'pseudo_twice': bad_headers(GOOD[0], *GOOD),
    'pseudo_of_answers': bad_headers((':status', '200'), *GOOD),
    'method_missing': bad_headers(*GOOD[1:]),
    'path_missing': bad_headers(*GOOD[:2], *GOOD[3:]),
    'path_empty': bad_headers(*GOOD[:2], (':path', ''), *GOOD[3:]),
    'upper_case_name': bad_headers(*GOOD, ('X-Upper', 'y')),
    'connection_header': bad_headers(*GOOD, ('connection', 'keep-alive')),
    'te_other': bad_headers(*GOOD[:5], ('te', 'gzip')),
    'newline_in_value': bad_headers(*GOOD, ('x', b'a\r\nb: c')),
}
for _name, _fn in CASES.items():
    globals()['test_h2_' + _name] = frame_case(_fn)


def test_h2_preface(t):
    """Neither HTTP/2 nor HTTP/1: closed, and nothing is waited for."""
    s = t.server().start()
    for bad in (b'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n', b'\x16\x03\x01\x02\x00\x01\x00', b'\0' * 64, b'\r\n' * 40):
        p = h2.Peer(address(s), preface=bad, hello=False)
        if bad[0:3] != b'PRI':
            p.send(b'\r\n\r\n')
        try:
            while p.s.recv(4096):
                pass
        except ConnectionResetError:
            pass  # it is: what we sent behind the first bytes was not read
        p.close()
    served(s)


def test_h2_answer_keeps_windows(t):
    """A stream window of 1 byte, opened byte by byte: never a byte more than allowed, nothing lost."""
    s = t.server().start()
    s.ctl('put', 'a', 'x' * 300)
    p = h2.Peer(address(s), hello=False)
    p.send(h2.settings((4, 1)))
    sid = p.call(RANGE_A)
    body, allowed = b'', 1
    while True:
        f = p.read()
        assert f is not None and f[0] not in (h2.RST, h2.GOAWAY), f
        if f[0] == h2.DATA:
            body += f[3]
            assert len(body) <= allowed, (len(body), allowed)
            if len(f[3]) > 0:
                allowed += 1
                p.send(F(h2.WINDOW, 0, sid, struct.pack('>I', 1)))
        if f[0] == h2.HEADERS and f[1] & h2.END_STREAM:
            break
    assert b'x' * 300 in body and len(body) == 5 + int.from_bytes(body[1:5], 'big')


def test_h2_more_than_the_window(t):
    """A sender that ignores our window is stopped with FLOW_CONTROL_ERROR, whatever it has sent."""
    s = t.server().start()
    p = h2.Peer(address(s))
    sid = p.open()
    for _ in range(2000):
        if not p.send(F(h2.DATA, 0, sid, bytes(16384))):
            break
    p.resets(sid, h2.FLOW, h2.NO_ERROR, h2.CANCEL)
    served(s)


def test_grpc_rubbish(t):
    """Wrong envelopes and messages end the call, with trailers and without a body; the connection lives."""
    s = t.server().start()
    p = h2.Peer(address(s))
    bodies = {
        'compressed without encoding': h2.message(RANGE_A, compressed=1),
        'a prefix of 4 GiB': h2.message(b'abc', length=0xffffffff),
        'cut inside the prefix': b'\0\0',
        'cut inside the message': h2.message(RANGE_A, length=50),
        'not protobuf': h2.message(b'\xff' * 40),
        'nested length beyond the end': h2.message(b'\x0a\x7fa'),
        'a flag that does not exist': h2.message(RANGE_A, compressed=7),
        'no message': b'',
    }
    for what, body in bodies.items():
        sid = p.open()
        p.send(F(h2.DATA, h2.END_STREAM, sid, body))
        f = p.until(lambda k, fl, st, pl: st == sid and (k == h2.RST or (k == h2.HEADERS and fl & 1)))
        assert f is not None, what
        p.alive()
    for path in ('/', '/etcdserverpb.KV/', '/etcdserverpb.KV/Nothing', '/nobody/Range', '/' + '*' * 5000):
        sid = p.call(RANGE_A, path=path)
        _, answer = p.answer(sid)
        assert answer == b'', path
    served(s)


# ---- floods -----------------------------------------------------------------------------------------

def flood(server, make, count, batch=200):
    """Sends count frames without ever reading; returns when all is sent or the server has hung up."""
    p = h2.Peer(address(server), receive_buffer=4096)
    p.s.settimeout(5)
    try:
        for i in range(0, count, batch):
            if not p.send(b''.join(make(j) for j in range(i, i + batch))):
                break
    except (socket.timeout, TimeoutError):
        pass  # it does not read us any more: that is a bound, too
    return p


def bounded(t, make, count, mib=64):
    s = t.server().start()
    served(s)
    before = rss_kib(s)
    p = flood(s, make, count)
    served(s)
    grown = rss_kib(s) - before
    assert grown < mib * 1024, f'{grown} KiB more after the flood'
    p.close()
    served(s)
    s.stop()


def test_flood_ping(t):
    bounded(t, lambda i: F(h2.PING, 0, 0, struct.pack('>Q', i)), 400_000)


def test_flood_settings(t):
    bounded(t, lambda i: h2.settings((3, i)), 200_000)


def test_flood_rapid_reset(t):
    bounded(t, lambda i: F(h2.HEADERS, 4, 2 * i + 1, h2.request()) + F(h2.RST, 0, 2 * i + 1, b'\0\0\0\x08'), 100_000)


def test_flood_requests_never_read(t):
    """Answers pile up behind a reader that does not read: the server stops reading it."""
    bounded(t, lambda i: F(h2.HEADERS, 4, 2 * i + 1, h2.request()) +
            F(h2.DATA, 1, 2 * i + 1, h2.message(RANGE_A)), 100_000, mib=192)


def test_flood_open_streams(t):
    bounded(t, lambda i: F(h2.HEADERS, 4, 2 * i + 1, h2.request()), 200_000, mib=160)


def test_flood_empty_data(t):
    bounded(t, lambda i: (F(h2.HEADERS, 4, 1, h2.request()) if i == 0 else b'') + F(h2.DATA, 0, 1), 400_000)


def test_flood_window_updates(t):
    bounded(t, lambda i: F(h2.WINDOW, 0, 0, struct.pack('>I', 1)), 400_000)


def test_flood_priority(t):
    bounded(t, lambda i: F(h2.PRIORITY, 0, 2 * i + 1, struct.pack('>IB', 2 * i + 3, 5)), 300_000)


def test_flood_continuation(t):
    bounded(t, lambda i: F(h2.HEADERS, 0, 1, h2.request()) if i == 0 else F(h2.CONT, 0, 1, h2.field('x', 'y' * 90)), 100_000)


def test_flood_header_list(t):
    """Indexed header bombs: one large field in the table, named thousands of times."""
    big = b'\x40' + h2.number(1, 7) + b'x' + h2.number(4000, 7) + b'v' * 4000
    bounded(t, lambda i: F(h2.HEADERS, 5, 2 * i + 1, h2.request() + (big if i == 0 else b'') + b'\xbe' * 4000), 2_000,
            mib=96)  # 37 or 66: as the allocator's pieces fall


def test_flood_half_messages(t):
    """Many streams of one connection, each with a large message that never ends."""
    bounded(t, lambda i: F(h2.HEADERS, 4, 2 * i + 1, h2.request('/etcdserverpb.KV/Put')) +
            F(h2.DATA, 0, 2 * i + 1, h2.message(bytes(15000), length=1_000_000)), 40_000, mib=160)


def test_flood_half_messages_many_connections(t):
    """The same over many connections: the bound is the server's, not one connection's."""
    s = t.server().start()
    before = rss_kib(s)
    peers = []
    make = (lambda i: F(h2.HEADERS, 4, 2 * i + 1, h2.request('/etcdserverpb.KV/Put')) +
            F(h2.DATA, 0, 2 * i + 1, h2.message(bytes(15000), length=1_000_000)))
    for _ in range(200):
        p = h2.Peer(address(s))
        p.s.settimeout(0.2)
        try:
            for i in range(0, 240, 20):
                if not p.send(b''.join(make(j) for j in range(i, i + 20))):
                    break
        except (socket.timeout, TimeoutError):
            pass
        peers.append(p)
    served(s)
    grown = rss_kib(s) - before
    assert grown < 420 * 1024, f'{grown} KiB more'
    for p in peers:
        p.close()
    served(s)


# ---- HTTP/1 -----------------------------------------------------------------------------------------

def h1(server, data, hang=20):
    with socket.create_connection(address(server), timeout=hang) as c:
        try:
            c.sendall(data)
            out = b''
            while True:
                more = c.recv(65536)
                if not more:
                    return out
                out += more
        except (ConnectionResetError, BrokenPipeError):
            return b''


def test_http1_rubbish(t):
    s = t.server().start()
    cases = [b'GET\r\n\r\n', b'GET /health HTTP/9.9\r\n\r\n', b'GET /health HTTP/1.1\r\n\r\n',
             b'GET /health HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n', b'G' * 100_000 + b'\r\n\r\n',
             b'POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nabcdefg',
             b'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n',
             b'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n',
             b'GET /health HTTP/1.1\r\nHost: a\r\nX: ' + b'y' * 2_000_000 + b'\r\n\r\n',
             b'GET /%zz%00 HTTP/1.0\r\n\r\n']
    for data in cases:
        out = h1(s, data)
        assert out == b'' or out.startswith(b'HTTP/1.'), (data[:60], out[:60])
    served(s)
    assert s.get('/health')[0] == 200


# ---- slow, silent, many -----------------------------------------------------------------------------

def test_slow_loris(t):
    """Peers that send a byte now and then hold a connection each, and nothing else."""
    s = t.server().start()
    before = rss_kib(s)
    conns = []
    for i in range(300):
        c = socket.create_connection(address(s), timeout=20)
        conns.append(c)
    for data in (h2.PREFACE, b'GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: aaaaaaa'):
        for k in range(0, min(len(data), 24)):
            for i, c in enumerate(conns):
                if (i % 2 == 0) == (data is h2.PREFACE):
                    c.sendall(data[k:k + 1])
    served(s)
    assert rss_kib(s) - before < 64 * 1024
    for c in conns:
        c.close()
    served(s)


def test_idle_connections(t):
    """10,000 connections with a session each and nothing to do."""
    want = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < want + 500:
        raise Skip(f'{hard} files may be open, {want + 500} are needed')
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, want + 500)), hard))
    s = t.server().start()
    served(s)
    before = rss_kib(s)
    conns = []
    for i in range(want):
        c = socket.create_connection(address(s), timeout=60)
        c.sendall(h2.PREFACE + h2.settings())
        conns.append(c)
    served(s)
    each = (rss_kib(s) - before) * 1024 // want
    print(f'  {each} bytes an idle connection')
    assert each < 32 * 1024, each
    for c in conns[::97]:  # they are alive
        c.sendall(F(h2.PING, 0, 0, b'12345678'))
        assert c.recv(100)
    for c in conns:
        c.close()
    served(s)


def test_list_never_read(t):
    """Clients ask for everything and read nothing, while others write, read and list."""
    mib = 1024 if LONG else 96
    s = t.server(args=('--quota-backend-bytes', str(4 << 30))).start()
    p = h2.Peer(address(s))
    value = bytes(1 << 20)
    for i in range(mib):
        key = b'big/%05d' % i
        put = b'\x0a' + bytes([len(key)]) + key + b'\x12' + h2.number_varint(len(value)) + value
        sid = p.open(path='/etcdserverpb.KV/Put')
        data = h2.message(put)
        for at in range(0, len(data), 16384):
            last = at + 16384 >= len(data)
            p.send(F(h2.DATA, h2.END_STREAM if last else 0, sid, data[at:at + 16384]))
            if not last:
                p.wait_window(sid, 16384)
        p.answer(sid)
    p.close()
    before = rss_kib(s)
    lazy = []
    for _ in range(20):
        q = h2.Peer(address(s), hello=False, receive_buffer=4096)
        q.send(h2.settings((4, 0x7fffffff)) + F(h2.WINDOW, 0, 0, struct.pack('>I', 0x7fff0000)))
        for _ in range(5):
            q.call(b'\x0a\x04big/\x12\x04big0')
        lazy.append(q)

    errors = []

    def work(n):
        try:
            for i in range(50):
                s.ctl('put', f'w{n}', str(i)) if i % 10 == 0 else served(s)
        except Exception as e:
            errors.append(e)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for th in threads:
        th.start()
    for th in threads:
        th.join()
    assert not errors, errors
    grown = rss_kib(s) - before
    print(f'  {mib} MiB, 100 lists unread: {grown // 1024} MiB more')
    assert grown < 200 * 1024, grown
    q = h2.Peer(address(s), hello=False)
    q.send(h2.settings((4, 0x7fffffff)) + F(h2.WINDOW, 0, 0, struct.pack('>I', 0x7fff0000)))
    _, body = q.answer(q.call(b'\x0a\x04big/\x12\x04big0'))
    assert len(body) > mib << 20
    for c in lazy:
        c.close()
    served(s)


if __name__ == '__main__':
    main(globals())
