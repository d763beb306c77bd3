/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/http_h2: HTTP requests on streams of a TLS connection that is also gRPC's.
 *
 * Ownership   A struct h2_req lives from the stream's begin to its on_close; the rpc_http_req in it
 *             ends earlier, when it is over.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "http/h1_head.h"
#include "http/h2.h"
#include "rpc/server_private.h"

enum { H2_REQ_HEADERS_MAX = 1024 };

struct span {
    size_t name_at, name_len, value_at, value_len;
};

struct h2_req {
    struct rpc_conn *conn;
    struct h2_stream *stream; /* NULL: closed */
    struct rpc_http_req *req; /* NULL: not begun, or over */
    struct buf text;          /* of the request's headers */
    struct span *spans;
    struct h1_header *headers;
    size_t count;
    size_t cap;
    struct buf out;
    size_t out_at;
    bool is_head;
    bool is_finished; /* the answer */
    bool is_paused;
    size_t unconsumed;
};

/* ---- request ----------------------------------------------------------------------------------
 */

static void on_header(void *user, struct h2_stream *st, struct slice name, struct slice value)
{
    (void)st;
    struct h2_req *r = user;
    if (r->headers != NULL || r->count >= H2_REQ_HEADERS_MAX) {
        return; /* trailers, or more than anybody needs */
    }
    if (r->count == r->cap) {
        r->cap = r->cap == 0 ? 16 : r->cap * 2;
        r->spans = mem_realloc(r->spans, r->cap * sizeof(*r->spans));
    }
    r->spans[r->count++] = (struct span){r->text.len, name.len, r->text.len + name.len, value.len};
    buf_append_slice(&r->text, name);
    buf_append_slice(&r->text, value);
}

static struct slice header_take(const struct h2_req *r, size_t i, struct slice *out_value)
{
    const struct span *s = &r->spans[i];
    *out_value = slice_make(r->text.data + s->value_at, s->value_len);
    return slice_make(r->text.data + s->name_at, s->name_len);
}

static const struct rpc_http_backend h2_backend;

static void on_headers_end(void *user, struct h2_stream *st, bool is_end)
{
    (void)st;
    (void)is_end;
    struct h2_req *r = user;
    if (r->headers != NULL) {
        return;
    }
    r->headers = mem_alloc_array(r->count + 1, sizeof(*r->headers));
    struct slice method = SLICE_LIT("GET");
    struct slice target = SLICE_LIT("/");
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++) {
        struct slice value;
        struct slice name = header_take(r, i, &value);
        if (slice_equal(name, SLICE_LIT(":method"))) {
            method = value;
        } else if (slice_equal(name, SLICE_LIT(":path"))) {
            target = value;
        } else if (slice_equal(name, SLICE_LIT(":authority"))) {
            r->headers[n++] = (struct h1_header){SLICE_LIT("host"), value};
        } else if (name.len > 0 && name.data[0] != ':') {
            r->headers[n++] = (struct h1_header){name, value};
        }
    }
    r->is_head = slice_equal(method, SLICE_LIT("HEAD"));
    r->req = rpc_http_req_create(r->conn, &h2_backend, method, target, r->headers, n);
    r->req->stream = r;
    rpc_http_req_start(r->req);
}

static void consume(struct h2_req *r)
{
    if (r->stream != NULL) {
        h2_stream_consume(r->stream, r->unconsumed);
        r->unconsumed = 0;
    }
}

static void on_data(void *user, struct h2_stream *st, struct slice bytes)
{
    (void)st;
    struct h2_req *r = user;
    r->unconsumed += bytes.len;
    if (r->req != NULL) {
        rpc_http_req_body(r->req, bytes);
    }
    if (!r->is_paused) {
        consume(r);
    }
}

static void on_end(void *user, struct h2_stream *st)
{
    (void)st;
    struct h2_req *r = user;
    if (r->req != NULL) {
        rpc_http_req_end(r->req);
    }
}

static enum h2_pull on_pull(void *user, struct h2_stream *st, struct h2_sink *sink)
{
    (void)st;
    struct h2_req *r = user;
    size_t have = r->out.len - r->out_at;
    size_t n = have < sink->max ? have : sink->max;
    h2_sink_append(sink, slice_make(r->out.data + r->out_at, n));
    r->out_at += n;
    if (n < have) {
        return H2_PULL_MORE;
    }
    buf_clear(&r->out);
    r->out_at = 0;
    if (r->is_finished) {
        return H2_PULL_END;
    }
    if (r->req != NULL && r->req->is_blocked) {
        rpc_http_req_maybe_writable(r->req);
    }
    return r->out.len > 0 ? H2_PULL_MORE : r->is_finished ? H2_PULL_END : H2_PULL_AGAIN;
}

static void on_close(void *user, struct h2_stream *st, uint32_t code)
{
    (void)st;
    (void)code;
    struct h2_req *r = user;
    r->stream = NULL;
    if (r->req != NULL) {
        struct rpc_http_req *req = r->req;
        r->req = NULL;
        rpc_http_req_gone(req);
    }
    buf_deinit(&r->text);
    buf_deinit(&r->out);
    mem_free(r->spans);
    mem_free(r->headers);
    mem_free(r);
}

static const struct h2_stream_ops stream_ops = {
    .on_header = on_header,
    .on_headers_end = on_headers_end,
    .on_data = on_data,
    .on_end = on_end,
    .on_pull = on_pull,
    .on_close = on_close,
};

void rpc_h2_request_begin(struct rpc_conn *c, struct h2_stream *st)
{
    struct h2_req *r = mem_zalloc(sizeof(*r));
    r->conn = c;
    r->stream = st;
    h2_stream_set_ops(st, &stream_ops, r);
}

/* ---- answer -----------------------------------------------------------------------------------
 */

enum { H2_ANSWER_HEADERS_MAX = 56 };

/* Lower case, and none of the headers that HTTP/2 forbids. */
static void submit(struct h2_req *r, int status, const struct h1_header *headers, size_t count,
                   bool has_body)
{
    struct h2_header h[H2_ANSWER_HEADERS_MAX];
    char status_text[16];
    struct buf names = BUF_INIT;
    size_t total = 0;
    ensure(count < H2_ANSWER_HEADERS_MAX);
    for (size_t i = 0; i < count; i++) {
        total += headers[i].name.len;
    }
    buf_reserve(&names, total + 1);
    int len = snprintf(status_text, sizeof(status_text), "%d", status);
    h[0] = (struct h2_header){SLICE_LIT(":status"), slice_make(status_text, (size_t)len), false};
    size_t n = 1;
    for (size_t i = 0; i < count; i++) {
        if (h1_name_equal(headers[i].name, "Connection") ||
            h1_name_equal(headers[i].name, "Transfer-Encoding")) {
            continue;
        }
        size_t at = names.len;
        for (size_t k = 0; k < headers[i].name.len; k++) {
            buf_append_byte(&names, (uint8_t)tolower(headers[i].name.data[k]));
        }
        h[n++] = (struct h2_header){slice_make(names.data + at, headers[i].name.len),
                                    headers[i].value, false};
    }
    if (h2_stream_respond(r->stream, h, n, has_body) != 0) {
        h2_stream_reset(r->stream, H2_INTERNAL_ERROR);
    }
    buf_deinit(&names);
    rpc_conn_dirty(r->conn);
}

static struct h2_req *let_go(struct rpc_http_req *req)
{
    struct h2_req *r = req->stream;
    r->req = NULL;
    return r;
}

static void b_begin(struct rpc_http_req *req, int status, const struct h1_header *headers,
                    size_t count)
{
    submit(req->stream, status, headers, count, true);
}

static void b_write(struct rpc_http_req *req, struct slice bytes)
{
    struct h2_req *r = req->stream;
    if (!r->is_head) {
        buf_append_slice(&r->out, bytes);
        h2_stream_resume(r->stream);
        rpc_conn_dirty(r->conn);
    }
}

static void b_finish(struct rpc_http_req *req)
{
    struct h2_req *r = let_go(req);
    r->is_finished = true;
    h2_stream_resume(r->stream);
    rpc_conn_dirty(r->conn);
}

static void b_respond(struct rpc_http_req *req, int status, const struct h1_header *headers,
                      size_t count, struct slice body)
{
    struct h2_req *r = let_go(req);
    struct h1_header all[H2_ANSWER_HEADERS_MAX];
    char length[24];
    ensure(count + 1 < H2_ANSWER_HEADERS_MAX);
    memcpy(all, headers, count * sizeof(*all));
    int len = snprintf(length, sizeof(length), "%zu", body.len);
    all[count++] = (struct h1_header){SLICE_LIT("content-length"), slice_make(length, (size_t)len)};
    r->is_finished = true;
    bool has_body = !r->is_head && body.len > 0;
    if (has_body) {
        buf_append_slice(&r->out, body);
    }
    submit(r, status, all, count, has_body);
}

static void b_abort(struct rpc_http_req *req)
{
    struct h2_req *r = let_go(req);
    h2_stream_reset(r->stream, H2_INTERNAL_ERROR);
    rpc_conn_dirty(r->conn);
}

static size_t b_queued(const struct rpc_http_req *req)
{
    const struct h2_req *r = req->stream;
    return r->out.len - r->out_at;
}

static void b_body_pause(struct rpc_http_req *req, bool paused)
{
    struct h2_req *r = req->stream;
    r->is_paused = paused;
    if (!paused) {
        consume(r);
        rpc_conn_dirty(r->conn);
    }
}

static bool b_upgrade(struct rpc_http_req *req, const struct h1_header *headers, size_t count)
{
    (void)req;
    (void)headers;
    (void)count;
    return false;
}

static const struct rpc_http_backend h2_backend = {
    .respond = b_respond,
    .begin = b_begin,
    .write = b_write,
    .finish = b_finish,
    .abort = b_abort,
    .cut = b_abort,
    .queued = b_queued,
    .body_pause = b_body_pause,
    .upgrade = b_upgrade,
};
