/* SPDX-License-Identifier: Apache-2.0
 *
 * http/h1_client: see h1.h.  One request at a time; the answer may begin before the request's body
 * is complete.
 */
#include "base/err.h"
#include "http/h1_head.h"
#include "http/h1_parser.h"

struct h1_client {
    const struct h1_client_ops *ops;
    void *arg;
    struct h1_parser parser;
    struct h1_head_reader reader;
    struct h1_head head;
    struct buf in;
    struct buf out;
    size_t lent;
    bool is_busy;         /* from begin until the response is complete */
    bool is_sending;      /* from begin until finish */
    bool is_chunked;      /* the request body */
    bool is_head_request; /* no body in the answer */
    bool is_in_head;      /* header pieces belong to the response's head */
    bool is_interim;      /* the message at hand is a 1xx */
    bool is_body_paused;
    bool is_parsing;
    bool is_done;
};

static const struct h1_parser_events client_events;

struct h1_client *h1_client_create(const struct h1_client_ops *ops, void *arg)
{
    struct h1_client *c = mem_zalloc(sizeof(*c));
    c->ops = ops;
    c->arg = arg;
    c->is_in_head = true;
    h1_parser_init(&c->parser, false, &client_events, c);
    return c;
}

void h1_client_destroy(struct h1_client *c)
{
    if (c == NULL) {
        return;
    }
    ensure(!c->is_parsing);
    h1_head_reader_deinit(&c->reader);
    buf_deinit(&c->in);
    buf_deinit(&c->out);
    mem_free(c);
}

/* ---- parser events ----------------------------------------------------------------------------
 */

static int on_target(void *arg, struct slice piece)
{
    (void)arg;
    (void)piece;
    return 0;
}

static int on_name(void *arg, struct slice piece)
{
    struct h1_client *c = arg;
    return c->is_in_head ? h1_head_add_name(&c->reader, piece) : 0;
}

static int on_value(void *arg, struct slice piece)
{
    struct h1_client *c = arg;
    return c->is_in_head ? h1_head_add_value(&c->reader, piece) : 0;
}

static int on_headers(void *arg, bool *out_skip_body)
{
    struct h1_client *c = arg;
    c->is_in_head = false;
    c->head.status = h1_parser_status(&c->parser);
    h1_head_finish(&c->reader, &c->head);
    c->is_interim = c->head.status / 100 == 1;
    if (c->is_interim) {
        return 0;
    }
    if (!c->is_busy) {
        return ERR_MALFORMED; /* an answer to nothing */
    }
    *out_skip_body = c->is_head_request;
    c->ops->on_response(c->arg, &c->head);
    if (c->is_body_paused) {
        h1_parser_pause(&c->parser);
    }
    return 0;
}

static int on_body(void *arg, struct slice piece)
{
    struct h1_client *c = arg;
    c->ops->on_body(c->arg, piece);
    if (c->is_body_paused) {
        h1_parser_pause(&c->parser);
    }
    return 0;
}

static int on_complete(void *arg)
{
    struct h1_client *c = arg;
    c->is_in_head = true;
    if (c->is_interim) {
        h1_head_reader_clear(&c->reader);
        return 0;
    }
    /* An answer before the request's end: the rest of the body has no reader any more. */
    if (!h1_parser_keeps_alive(&c->parser) || c->is_sending) {
        c->is_done = true;
    }
    c->is_busy = false;
    h1_parser_pause(&c->parser);
    return 0;
}

static const struct h1_parser_events client_events = {
    .on_target = on_target,
    .on_name = on_name,
    .on_value = on_value,
    .on_headers = on_headers,
    .on_body = on_body,
    .on_complete = on_complete,
};

/* ---- receiving --------------------------------------------------------------------------------
 */

static void response_end(struct h1_client *c)
{
    h1_head_reader_clear(&c->reader);
    c->ops->on_end(c->arg);
}

/* Feeds until paused; *out_used tells how far it came. */
static int parse(struct h1_client *c, struct slice bytes, size_t *out_used)
{
    size_t done = 0;
    int err = 0;
    while (done < bytes.len && err == 0 && !c->is_body_paused) {
        size_t used = 0;
        bool was_busy = c->is_busy;
        c->is_parsing = true;
        err = h1_parser_feed(&c->parser, slice_skip(bytes, done), &used);
        c->is_parsing = false;
        done += used;
        if (err == 0 && was_busy && !c->is_busy) {
            response_end(c);
        }
    }
    *out_used = done;
    return err;
}

static int parse_held(struct h1_client *c)
{
    if (c->is_parsing || c->in.len == 0) {
        return 0;
    }
    struct buf held = c->in;
    buf_init(&c->in);
    size_t used = 0;
    int err = parse(c, buf_slice(&held), &used);
    buf_append_slice(&c->in, slice_skip(buf_slice(&held), used));
    buf_deinit(&held);
    if (err != 0) {
        c->is_done = true;
    }
    return err;
}

int h1_client_recv(struct h1_client *c, struct slice bytes)
{
    if (c->in.len > 0 || c->is_body_paused) {
        buf_append_slice(&c->in, bytes);
        return parse_held(c);
    }
    size_t used = 0;
    int err = parse(c, bytes, &used);
    if (err != 0) {
        c->is_done = true;
        return err;
    }
    buf_append_slice(&c->in, slice_skip(bytes, used));
    return 0;
}

int h1_client_eof(struct h1_client *c)
{
    bool was_busy = c->is_busy;
    c->is_done = true;
    c->is_parsing = true;
    int err = h1_parser_finish(&c->parser);
    c->is_parsing = false;
    if (err != 0 || c->is_busy || c->in.len > 0) {
        return ERR_TRUNCATED;
    }
    if (was_busy) {
        response_end(c);
    }
    return 0;
}

bool h1_client_wants_read(const struct h1_client *c)
{
    return !c->is_body_paused;
}

bool h1_client_is_busy(const struct h1_client *c)
{
    return c->is_busy;
}

bool h1_client_is_done(const struct h1_client *c)
{
    return c->is_done;
}

void h1_client_body_pause(struct h1_client *c)
{
    c->is_body_paused = true;
}

void h1_client_body_resume(struct h1_client *c)
{
    c->is_body_paused = false;
    /* An error here shows as is_done; the owner looks after every event. */
    (void)parse_held(c);
    c->ops->on_want_write(c->arg);
}

/* ---- sending ----------------------------------------------------------------------------------
 */

void h1_client_begin(struct h1_client *c, const char *method, const char *target, const char *host,
                     const struct h1_header *headers, size_t count, int64_t body_bytes)
{
    ensure(!c->is_busy && !c->is_done);
    c->is_busy = c->is_sending = true;
    c->is_chunked = body_bytes == H1_BODY_CHUNKED;
    c->is_head_request = strcmp(method, "HEAD") == 0;
    buf_printf(&c->out, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, host);
    h1_write_headers(&c->out, headers, count);
    if (c->is_chunked) {
        buf_append_cstr(&c->out, "Transfer-Encoding: chunked\r\n");
    } else if (body_bytes > 0 || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
        buf_printf(&c->out, "Content-Length: %lld\r\n", (long long)body_bytes);
    }
    buf_append_cstr(&c->out, "\r\n");
    c->ops->on_want_write(c->arg);
}

void h1_client_write(struct h1_client *c, struct slice bytes)
{
    ensure(c->is_sending);
    if (c->is_chunked) {
        h1_write_chunk(&c->out, bytes);
    } else {
        buf_append_slice(&c->out, bytes);
    }
    c->ops->on_want_write(c->arg);
}

void h1_client_finish(struct h1_client *c)
{
    ensure(c->is_sending);
    c->is_sending = false;
    if (c->is_chunked) {
        buf_append_cstr(&c->out, "0\r\n\r\n");
    }
    c->ops->on_want_write(c->arg);
}

void h1_client_send(struct h1_client *c, struct http_out *out)
{
    c->lent = c->out.len;
    http_out_append_borrowed(out, buf_slice(&c->out));
}

void h1_client_sent(struct h1_client *c)
{
    buf_consume(&c->out, c->lent);
    c->lent = 0;
}

size_t h1_client_queued(const struct h1_client *c)
{
    return c->out.len;
}
