/* SPDX-License-Identifier: Apache-2.0
 *
 * http/h1_server: see h1.h.
 *
 *     IDLE -- first byte --> HEAD -- on_request --> OPEN -- answer finished and body read --> IDLE
 *                             |                      |
 *                             +-- bad: 400/431 -> DONE   +-- upgrade -> RAW
 *
 * OPEN has two halves that end in any order: the request's body (is_complete) and the answer
 * (is_answered).  A body left over after the answer is read and dropped up to H1_DISCARD_BYTES.
 */
#include <stdio.h>

#include "base/err.h"
#include "base/limits.h"
#include "http/h1_head.h"
#include "http/h1_parser.h"

enum h1_state { H1_IDLE, H1_HEAD, H1_OPEN, H1_RAW, H1_DONE };

enum h1_framing { H1_NO_BODY, H1_LENGTH, H1_CHUNKED, H1_UNTIL_CLOSE };

struct h1_server {
    const struct h1_server_ops *ops;
    void *arg;
    enum h1_state state;
    struct h1_parser parser;
    struct h1_head_reader reader;
    struct h1_head head;
    struct buf in;  /* received, not parsed: the parser is paused */
    struct buf out; /* to be sent */
    size_t lent;    /* of out, by h1_server_send */
    size_t discarded;
    enum h1_framing framing; /* of the answer */
    bool is_complete;        /* request body */
    bool is_begun;           /* answer */
    bool is_answered;
    bool is_body_paused;
    bool is_parsing; /* inside h1_parser_feed */
    bool keeps_alive;
    bool is_draining;
};

static const struct h1_parser_events server_events;

struct h1_server *h1_server_create(const struct h1_server_ops *ops, void *arg)
{
    struct h1_server *s = mem_zalloc(sizeof(*s));
    s->ops = ops;
    s->arg = arg;
    h1_parser_init(&s->parser, true, &server_events, s);
    return s;
}

void h1_server_destroy(struct h1_server *s)
{
    if (s == NULL) {
        return;
    }
    ensure(!s->is_parsing);
    h1_head_reader_deinit(&s->reader);
    buf_deinit(&s->in);
    buf_deinit(&s->out);
    mem_free(s);
}

static void want_write(struct h1_server *s)
{
    s->ops->on_want_write(s->arg);
}

/* ---- parser events ----------------------------------------------------------------------------
 */

static int on_target(void *arg, struct slice piece)
{
    struct h1_server *s = arg;
    s->state = H1_HEAD;
    return h1_head_add_target(&s->reader, piece);
}

static int on_name(void *arg, struct slice piece)
{
    struct h1_server *s = arg;
    /* Trailers of a chunked body come this way too: they are dropped. */
    return s->state == H1_HEAD ? h1_head_add_name(&s->reader, piece) : 0;
}

static int on_value(void *arg, struct slice piece)
{
    struct h1_server *s = arg;
    return s->state == H1_HEAD ? h1_head_add_value(&s->reader, piece) : 0;
}

static int head_check(const struct h1_server *s)
{
    if (!h1_parser_is_http_1_0(&s->parser) && h1_head_get(&s->head, "Host").data == NULL) {
        return ERR_MALFORMED;
    }
    return 0;
}

static int on_headers(void *arg, bool *out_skip_body)
{
    (void)out_skip_body;
    struct h1_server *s = arg;
    s->head.method = h1_parser_method(&s->parser);
    h1_head_finish(&s->reader, &s->head);
    s->keeps_alive = h1_parser_keeps_alive(&s->parser);
    int err = head_check(s);
    if (err != 0) {
        return err;
    }
    s->state = H1_OPEN;
    s->ops->on_request(s->arg, &s->head);
    /* As Go: only when somebody still waits for the body. */
    if (s->state == H1_OPEN && !s->is_begun &&
        h1_head_has_token(&s->head, "Expect", "100-continue")) {
        buf_append_cstr(&s->out, "HTTP/1.1 100 Continue\r\n\r\n");
        want_write(s);
    }
    if (s->is_body_paused) {
        h1_parser_pause(&s->parser);
    }
    return s->state == H1_DONE ? ERR_CLOSED : 0;
}

static int on_body(void *arg, struct slice piece)
{
    struct h1_server *s = arg;
    if (s->is_answered) {
        s->discarded += piece.len;
        if (s->discarded > H1_DISCARD_BYTES) {
            s->state = H1_DONE;
            return ERR_CLOSED;
        }
        return 0;
    }
    s->ops->on_body(s->arg, piece);
    if (s->is_body_paused) {
        h1_parser_pause(&s->parser);
    }
    return s->state == H1_DONE ? ERR_CLOSED : 0;
}

static int on_complete(void *arg)
{
    struct h1_server *s = arg;
    s->is_complete = true;
    if (!s->is_answered) {
        s->ops->on_end(s->arg);
    }
    h1_parser_pause(&s->parser);
    return s->state == H1_DONE ? ERR_CLOSED : 0;
}

static const struct h1_parser_events server_events = {
    .on_target = on_target,
    .on_name = on_name,
    .on_value = on_value,
    .on_headers = on_headers,
    .on_body = on_body,
    .on_complete = on_complete,
};

/* ---- receiving --------------------------------------------------------------------------------
 */

static void refuse(struct h1_server *s, int err)
{
    if (s->state == H1_DONE || s->is_begun) {
        s->state = H1_DONE;
        return;
    }
    int status = err == ERR_TOO_LARGE ? 431 : 400;
    const char *text = h1_status_text(status);
    buf_printf(&s->out,
               "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: "
               "close\r\n\r\n%d %s",
               status, text, status, text);
    s->state = H1_DONE;
    want_write(s);
}

/* Both halves are over: the next request, or the end. */
static void maybe_next(struct h1_server *s)
{
    if (s->state != H1_OPEN || !s->is_complete || !s->is_answered) {
        return;
    }
    if (!s->keeps_alive || s->is_draining) {
        s->state = H1_DONE;
        return;
    }
    s->state = H1_IDLE;
    s->is_complete = s->is_begun = s->is_answered = s->is_body_paused = false;
    s->discarded = 0;
    h1_head_reader_clear(&s->reader);
}

static bool may_parse(const struct h1_server *s)
{
    if (s->state == H1_OPEN) {
        return !s->is_complete && (!s->is_body_paused || s->is_answered);
    }
    return s->state != H1_DONE && !(s->state == H1_RAW && s->is_body_paused);
}

/* Parses as far as it may go; returns the bytes used. */
static size_t parse(struct h1_server *s, struct slice bytes)
{
    size_t done = 0;
    while (done < bytes.len && may_parse(s)) {
        size_t used = 0;
        if (s->state == H1_RAW) {
            s->ops->on_body(s->arg, slice_skip(bytes, done));
            return bytes.len;
        }
        if (s->state == H1_IDLE && bytes.data[done] != '\r' && bytes.data[done] != '\n') {
            s->state = H1_HEAD; /* a request has begun, whatever the parser tells of it */
        }
        s->is_parsing = true;
        int err = h1_parser_feed(&s->parser, slice_skip(bytes, done), &used);
        s->is_parsing = false;
        if (err != 0) {
            refuse(s, err);
            return bytes.len;
        }
        done += used;
        maybe_next(s);
    }
    return s->state == H1_DONE ? bytes.len : done;
}

static void parse_held(struct h1_server *s)
{
    if (s->is_parsing || s->in.len == 0) {
        return;
    }
    /* The handler may hold more input while it is called: parse from a private copy. */
    struct buf held = s->in;
    buf_init(&s->in);
    size_t used = parse(s, buf_slice(&held));
    buf_append_slice(&s->in, slice_skip(buf_slice(&held), used));
    buf_deinit(&held);
}

void h1_server_recv(struct h1_server *s, struct slice bytes)
{
    if (s->state == H1_DONE) {
        return;
    }
    if (s->in.len > 0 || !may_parse(s)) {
        buf_append_slice(&s->in, bytes);
        parse_held(s);
        return;
    }
    size_t used = parse(s, bytes);
    buf_append_slice(&s->in, slice_skip(bytes, used));
}

bool h1_server_wants_read(const struct h1_server *s)
{
    return s->state != H1_DONE && s->in.len < H1_HELD_BYTES;
}

bool h1_server_is_done(const struct h1_server *s)
{
    return s->state == H1_DONE;
}

bool h1_server_is_idle(const struct h1_server *s)
{
    return s->state == H1_IDLE && s->in.len == 0;
}

void h1_server_drain(struct h1_server *s)
{
    s->is_draining = true;
    if (h1_server_is_idle(s)) {
        s->state = H1_DONE;
        want_write(s);
    }
}

void h1_server_body_pause(struct h1_server *s)
{
    s->is_body_paused = true;
}

void h1_server_body_resume(struct h1_server *s)
{
    s->is_body_paused = false;
    parse_held(s);
    want_write(s);
}

/* ---- sending ----------------------------------------------------------------------------------
 */

void h1_server_send(struct h1_server *s, struct http_out *out)
{
    s->lent = s->out.len;
    http_out_append_borrowed(out, buf_slice(&s->out));
}

void h1_server_sent(struct h1_server *s)
{
    buf_consume(&s->out, s->lent);
    s->lent = 0;
}

size_t h1_server_queued(const struct h1_server *s)
{
    return s->out.len;
}

static bool is_body_less(const struct h1_server *s, int status)
{
    return status == 204 || status == 304 || status / 100 == 1 ||
           slice_equal(s->head.method, SLICE_LIT("HEAD"));
}

void h1_server_begin(struct h1_server *s, int status, const struct h1_header *headers, size_t count)
{
    ensure(!s->is_begun);
    if (s->state != H1_OPEN) {
        return;
    }
    s->is_begun = true;
    bool is_old = h1_parser_is_http_1_0(&s->parser);
    bool has_length = h1_has_length(headers, count);
    s->framing = is_body_less(s, status) ? H1_NO_BODY
                 : has_length            ? H1_LENGTH
                 : is_old                ? H1_UNTIL_CLOSE
                                         : H1_CHUNKED;
    if (s->framing == H1_UNTIL_CLOSE || s->is_draining) {
        s->keeps_alive = false;
    }
    buf_printf(&s->out, "HTTP/1.%d %d %s\r\n", is_old ? 0 : 1, status, h1_status_text(status));
    h1_write_headers(&s->out, headers, count);
    if (s->framing == H1_CHUNKED) {
        buf_append_cstr(&s->out, "Transfer-Encoding: chunked\r\n");
    }
    if (!s->keeps_alive) {
        buf_append_cstr(&s->out, "Connection: close\r\n");
    } else if (is_old) {
        buf_append_cstr(&s->out, "Connection: keep-alive\r\n");
    }
    buf_append_cstr(&s->out, "\r\n");
    want_write(s);
}

void h1_server_write(struct h1_server *s, struct slice bytes)
{
    if (s->state != H1_RAW && (s->state != H1_OPEN || s->framing == H1_NO_BODY)) {
        return;
    }
    if (s->state == H1_OPEN && s->framing == H1_CHUNKED) {
        h1_write_chunk(&s->out, bytes);
    } else {
        buf_append_slice(&s->out, bytes);
    }
    want_write(s);
}

void h1_server_finish(struct h1_server *s)
{
    if (s->state == H1_RAW) {
        s->state = H1_DONE;
    }
    if (s->state != H1_OPEN) {
        want_write(s);
        return;
    }
    ensure(s->is_begun && !s->is_answered);
    if (s->framing == H1_CHUNKED) {
        buf_append_cstr(&s->out, "0\r\n\r\n");
    }
    s->is_answered = true;
    if (!s->is_parsing) {
        maybe_next(s);
        parse_held(s);
    }
    want_write(s);
}

void h1_server_respond(struct h1_server *s, int status, const struct h1_header *headers,
                       size_t count, struct slice body)
{
    enum { RESPOND_HEADERS_MAX = 64 };
    ensure(count < RESPOND_HEADERS_MAX);
    struct h1_header all[RESPOND_HEADERS_MAX];
    char length[24];
    for (size_t i = 0; i < count; i++) {
        all[i] = headers[i];
    }
    if (status != 204 && status != 304) {
        int n = snprintf(length, sizeof(length), "%zu", body.len);
        all[count++] =
            (struct h1_header){SLICE_LIT("Content-Length"), slice_make(length, (size_t)n)};
    }
    h1_server_begin(s, status, all, count);
    h1_server_write(s, body);
    h1_server_finish(s);
}

void h1_server_upgrade(struct h1_server *s, const struct h1_header *headers, size_t count)
{
    ensure(!s->is_begun);
    if (s->state != H1_OPEN) {
        return;
    }
    buf_append_cstr(&s->out, "HTTP/1.1 101 Switching Protocols\r\n");
    h1_write_headers(&s->out, headers, count);
    buf_append_cstr(&s->out, "\r\n");
    s->is_begun = true;
    s->state = H1_RAW;
    if (!s->is_parsing) {
        parse_held(s);
    }
    want_write(s);
}

void h1_server_cut(struct h1_server *s)
{
    s->state = H1_DONE;
    want_write(s);
}

void h1_server_abort(struct h1_server *s)
{
    s->state = H1_DONE;
    buf_clear(&s->out);
    s->lent = 0;
    want_write(s);
}
