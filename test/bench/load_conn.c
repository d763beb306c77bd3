/* SPDX-License-Identifier: Apache-2.0 */
#include "load_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"

enum {
    FRAME_HEAD = 9,
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RST = 3,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
    FRAME_WINDOW = 8,
    FLAG_END_STREAM = 1,
    FLAG_ACK = 1,
    FLAG_END_HEADERS = 4,
    FLAG_PADDED = 8,
    FLAG_PRIORITY = 32,
    SETTING_WINDOW = 4,
    WINDOW_BYTES = 1 << 30, /* ours, for streams and the connection, as h2load's */
    WINDOW_DEFAULT = 65535,
    READ_BYTES = 256 << 10,
    HPACK_FIRST_DYNAMIC = 62,
    HPACK_POST = 0x83,
    HPACK_HTTP = 0x86,
    HPACK_AUTHORITY = 1,
    HPACK_PATH = 4,
    HPACK_CONTENT_TYPE = 31,
};

void load_die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)fputs("load: ", stderr);
    (void)vfprintf(stderr, fmt, ap);
    (void)fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

/* ---- writing ---- */

static uint8_t *frame_head(struct buf *b, size_t len, uint8_t type, uint8_t flags, uint32_t stream)
{
    uint8_t *p = buf_extend(b, FRAME_HEAD);
    store_be32(p, (uint32_t)len << 8 | type);
    p[4] = flags;
    store_be32(p + 5, stream);
    return p;
}

static void put_text(struct buf *b, const char *s)
{
    size_t len = strlen(s);
    ensure(len < 127);
    buf_append_byte(b, (uint8_t)len);
    buf_append(b, s, len);
}

/* A field that goes into the server's table; name_index 0: the name is spelt out. */
static void put_new_field(struct load_conn *c, unsigned name_index, const char *name,
                          const char *value)
{
    buf_append_byte(&c->out, (uint8_t)(0x40 | name_index));
    if (name_index == 0) {
        put_text(&c->out, name);
    }
    put_text(&c->out, value);
    c->entry_count++;
}

static void put_entry(struct load_conn *c, int entry)
{
    int index = HPACK_FIRST_DYNAMIC + c->entry_count - 1 - entry;
    ensure(index < 127);
    buf_append_byte(&c->out, (uint8_t)(0x80 | index));
}

static void put_path(struct load_conn *c, unsigned path)
{
    if (c->path_entry[path] < 0) {
        c->path_entry[path] = c->entry_count;
        put_new_field(c, HPACK_PATH, NULL, c->paths[path]);
    } else {
        put_entry(c, c->path_entry[path]);
    }
}

/* The first request of a connection puts the entries :authority 0, its :path 1, content-type 2, te
 * 3 into the table (pseudo fields must stand first); other paths follow when they are first used.
 */
static void put_fields(struct load_conn *c, unsigned path)
{
    buf_append_byte(&c->out, HPACK_POST);
    buf_append_byte(&c->out, HPACK_HTTP);
    if (c->entry_count == 0) {
        put_new_field(c, HPACK_AUTHORITY, NULL, c->authority);
        put_path(c, path);
        put_new_field(c, HPACK_CONTENT_TYPE, NULL, "application/grpc");
        put_new_field(c, 0, "te", "trailers");
    } else {
        put_entry(c, 0);
        put_path(c, path);
        put_entry(c, 2);
        put_entry(c, 3);
    }
}

bool load_conn_may_send(const struct load_conn *c, size_t bytes)
{
    return c->send_window >= (int64_t)bytes + 5;
}

static void put_request_head(struct load_conn *c, struct load_slot *s, unsigned path)
{
    ensure(s->stream == 0);
    s->stream = c->next_stream;
    s->reply_bytes = 0;
    s->is_ok = false;
    s->is_open = false;
    s->path = path;
    c->next_stream += 2;
    size_t head = c->out.len;
    (void)frame_head(&c->out, 0, FRAME_HEADERS, FLAG_END_HEADERS, s->stream);
    put_fields(c, path);
    size_t fields = c->out.len - head - FRAME_HEAD;
    store_be32(c->out.data + head, (uint32_t)fields << 8 | FRAME_HEADERS);
}

static void put_message(struct load_conn *c, const struct load_slot *s, uint8_t flags,
                        struct slice message)
{
    ensure(message.len <= LOAD_REQUEST_BYTES_MAX);
    (void)frame_head(&c->out, message.len + 5, FRAME_DATA, flags, s->stream);
    uint8_t *p = buf_extend(&c->out, 5);
    p[0] = 0;
    store_be32(p + 1, (uint32_t)message.len);
    buf_append_slice(&c->out, message);
    c->send_window -= (int64_t)message.len + 5;
}

void load_conn_send(struct load_conn *c, struct load_slot *s, unsigned path, struct slice message)
{
    put_request_head(c, s, path);
    put_message(c, s, FLAG_END_STREAM, message);
}

void load_conn_open_stream(struct load_conn *c, struct load_slot *s, unsigned path)
{
    put_request_head(c, s, path);
    s->is_open = true;
}

void load_conn_send_more(struct load_conn *c, struct load_slot *s, struct slice message)
{
    ensure(s->is_open);
    put_message(c, s, 0, message);
}

/* -1 with EAGAIN as the socket's own calls; 0 of a read: the end. */
static ssize_t tls_result(struct load_conn *c, int n)
{
    if (n > 0) {
        return n;
    }
    int why = SSL_get_error(c->ssl, n);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
    }
    return 0;
}

static ssize_t conn_write(struct load_conn *c)
{
    if (c->ssl == NULL) {
        return send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);
    }
    return tls_result(c, SSL_write(c->ssl, c->out.data, (int)c->out.len));
}

static ssize_t conn_recv(struct load_conn *c, uint8_t *to, size_t max)
{
    return c->ssl == NULL ? recv(c->fd, to, max, 0) : tls_result(c, SSL_read(c->ssl, to, (int)max));
}

bool load_conn_flush(struct load_conn *c)
{
    while (c->out.len > 0) {
        ssize_t n = conn_write(c);
        if (n < 0 && errno == EAGAIN) {
            return false;
        }
        if (n < 0 && errno != EINTR) {
            load_die("send: %m");
        }
        if (n > 0 && (size_t)n == c->out.len) {
            buf_clear(&c->out);
        } else if (n > 0) {
            buf_consume(&c->out, (size_t)n);
        }
    }
    return true;
}

void load_conn_watch(struct load_conn *c, int epoll_fd, int how, bool wants_write)
{
    struct epoll_event ev = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll_fd, how, c->fd, &ev) != 0) {
        load_die("epoll_ctl: %m");
    }
}

void load_conn_push(struct load_conn *c, int epoll_fd, bool was_full)
{
    bool is_full = !load_conn_flush(c);
    if (is_full != was_full) {
        load_conn_watch(c, epoll_fd, EPOLL_CTL_MOD, is_full);
    }
}

static void put_window(struct load_conn *c, uint32_t stream, uint32_t bytes)
{
    (void)frame_head(&c->out, 4, FRAME_WINDOW, 0, stream);
    store_be32(buf_extend(&c->out, 4), bytes);
}

/* ---- reading ---- */

static struct load_slot *slot_of(struct load_conn *c, uint32_t stream)
{
    for (unsigned i = 0; i < c->slot_count; i++) {
        if (c->slots[i].stream == stream) {
            return &c->slots[i];
        }
    }
    load_die("an answer on stream %u, which is not open", stream);
}

static void take_data(struct load_slot *s, struct slice data)
{
    if (s->reply_bytes < LOAD_REPLY_HEAD_BYTES) {
        size_t room = LOAD_REPLY_HEAD_BYTES - s->reply_bytes;
        memcpy(s->head + s->reply_bytes, data.data, data.len < room ? data.len : room);
    }
    s->reply_bytes += data.len;
}

static void take_field(struct load_conn *c, struct load_slot *s, const nghttp2_nv *nv)
{
    struct slice name = slice_make(nv->name, nv->namelen);
    if (slice_equal_cstr(name, "grpc-status")) {
        s->is_ok = nv->valuelen == 1 && nv->value[0] == '0';
    } else if (slice_equal_cstr(name, "grpc-message")) {
        (void)snprintf(c->why, sizeof(c->why), "%.*s", (int)nv->valuelen, (const char *)nv->value);
    }
}

static void take_fields(struct load_conn *c, struct load_slot *s, struct slice block)
{
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t n = nghttp2_hd_inflate_hd2(c->inflater, &nv, &flags, block.data, block.len, 1);
        if (n < 0) {
            load_die("header block: %s", nghttp2_strerror((int)n));
        }
        block = slice_skip(block, (size_t)n);
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
            take_field(c, s, &nv);
        }
        if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
            nghttp2_hd_inflate_end_headers(c->inflater);
            return;
        }
    }
}

static void take_settings(struct load_conn *c, uint8_t flags)
{
    if ((flags & FLAG_ACK) == 0) {
        (void)frame_head(&c->out, 0, FRAME_SETTINGS, FLAG_ACK, 0);
    }
}

static void take_ping(struct load_conn *c, uint8_t flags, struct slice body)
{
    if ((flags & FLAG_ACK) == 0 && body.len == 8) {
        (void)frame_head(&c->out, 8, FRAME_PING, FLAG_ACK, 0);
        buf_append_slice(&c->out, body);
    }
}

static void take_stream_frame(struct load_conn *c, uint8_t type, uint8_t flags, uint32_t stream,
                              struct slice body)
{
    if ((flags & (FLAG_PADDED | FLAG_PRIORITY)) != 0 ||
        (type == FRAME_HEADERS && (flags & FLAG_END_HEADERS) == 0)) {
        load_die("padding, priority or continuation: not in this client");
    }
    struct load_slot *s = slot_of(c, stream);
    if (type == FRAME_DATA) {
        c->unacked += body.len;
        if (s->is_open) {
            c->on_data(c, s, body);
            s->unacked += body.len;
            if (s->unacked > WINDOW_BYTES / 2) {
                put_window(c, s->stream, (uint32_t)s->unacked);
                s->unacked = 0;
            }
        } else {
            take_data(s, body);
        }
    } else {
        take_fields(c, s, body);
    }
    if ((flags & FLAG_END_STREAM) != 0) {
        s->stream = 0;
        c->on_reply(c, s);
    }
}

static void take_frame(struct load_conn *c, const uint8_t *head, struct slice body)
{
    uint8_t type = head[3], flags = head[4];
    uint32_t stream = load_be32(head + 5) & 0x7fffffff;
    switch (type) {
    case FRAME_DATA:
    case FRAME_HEADERS: take_stream_frame(c, type, flags, stream, body); break;
    case FRAME_SETTINGS: take_settings(c, flags); break;
    case FRAME_PING: take_ping(c, flags, body); break;
    case FRAME_WINDOW:
        if (stream == 0 && body.len == 4) {
            c->send_window += load_be32(body.data) & 0x7fffffff;
        }
        break;
    case FRAME_RST: load_die("the server reset stream %u", stream);
    case FRAME_GOAWAY: load_die("the server says GOAWAY");
    default: break;
    }
}

static void take_frames(struct load_conn *c)
{
    size_t at = 0;
    while (c->in.len - at >= FRAME_HEAD) {
        const uint8_t *head = c->in.data + at;
        size_t len = load_be32(head) >> 8;
        if (c->in.len - at - FRAME_HEAD < len) {
            break;
        }
        take_frame(c, head, slice_make(head + FRAME_HEAD, len));
        at += FRAME_HEAD + len;
    }
    if (at == c->in.len) {
        buf_clear(&c->in);
    } else {
        buf_consume(&c->in, at);
    }
}

static bool read_once(struct load_conn *c)
{
    buf_reserve(&c->in, READ_BYTES);
    ssize_t n = conn_recv(c, c->in.data + c->in.len, READ_BYTES);
    if (n == 0) {
        load_die("the server closed the connection");
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        load_die("recv: %m");
    }
    if (n > 0) {
        c->in.len += (size_t)n;
        take_frames(c);
    }
    return n > 0;
}

void load_conn_read(struct load_conn *c)
{
    /* What TLS holds no epoll tells: all of it, now. */
    while (read_once(c) && c->ssl != NULL) {
    }
    if (c->unacked > WINDOW_BYTES / 2) {
        put_window(c, 0, (uint32_t)c->unacked);
        c->unacked = 0;
    }
}

/* ---- life ---- */

SSL_CTX *load_tls_create(const char *ca, const char *cert, const char *key)
{
    static const unsigned char h2[] = {2, 'h', '2'};
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1 ||
        SSL_CTX_set_alpn_protos(ctx, h2, sizeof(h2)) != 0) {
        load_die("TLS cannot be set up with %s", ca);
    }
    if (cert != NULL && (SSL_CTX_use_certificate_file(ctx, cert, SSL_FILETYPE_PEM) != 1 ||
                         SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)) {
        load_die("the certificate %s cannot be used", cert);
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

static void tls_open(struct load_conn *c, SSL_CTX *tls)
{
    c->ssl = SSL_new(tls);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_connect(c->ssl) != 1) {
        load_die("the TLS handshake failed");
    }
}

static int connect_to(const char *endpoint)
{
    char host[64];
    unsigned port;
    struct sockaddr_in to = {.sin_family = AF_INET};
    if (sscanf(endpoint, "%63[0-9.]:%u", host, &port) != 2 || port > UINT16_MAX ||
        inet_pton(AF_INET, host, &to.sin_addr) != 1) {
        load_die("endpoint '%s' is not a.b.c.d:port", endpoint);
    }
    to.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
        load_die("cannot connect to %s: %m", endpoint);
    }
    return fd;
}

static void put_preface(struct load_conn *c)
{
    buf_append_cstr(&c->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    (void)frame_head(&c->out, 6, FRAME_SETTINGS, 0, 0);
    uint8_t *p = buf_extend(&c->out, 6);
    store_be16(p, SETTING_WINDOW);
    store_be32(p + 2, WINDOW_BYTES);
    put_window(c, 0, WINDOW_BYTES - WINDOW_DEFAULT);
}

void load_conn_open(struct load_conn *c, const char *endpoint, SSL_CTX *tls, unsigned slot_count,
                    unsigned first_number)
{
    ensure(slot_count > 0 && slot_count <= LOAD_STREAMS_MAX);
    c->fd = connect_to(endpoint);
    if (tls != NULL) {
        tls_open(c, tls);
    }
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0) {
        load_die("fcntl: %m");
    }
    c->authority = endpoint;
    c->slot_count = slot_count;
    c->slots = mem_zalloc(slot_count * sizeof(c->slots[0]));
    for (unsigned i = 0; i < slot_count; i++) {
        c->slots[i].number = first_number + i;
    }
    for (unsigned i = 0; i < LOAD_PATHS_MAX; i++) {
        c->path_entry[i] = -1;
    }
    if (nghttp2_hd_inflate_new(&c->inflater) != 0) {
        load_die("out of memory");
    }
    c->next_stream = 1;
    c->send_window = WINDOW_DEFAULT;
    put_preface(c);
}

void load_conn_close(struct load_conn *c)
{
    SSL_free(c->ssl);
    (void)close(c->fd);
    nghttp2_hd_inflate_del(c->inflater);
    buf_deinit(&c->in);
    buf_deinit(&c->out);
    mem_free(c->slots);
}
