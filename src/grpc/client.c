/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/client: see client.h.
 *
 * A call is told its end (on_done) as soon as it is known; its memory lives on until the stream is
 * closed.  Everything that ends a call goes through call_done.
 */
#include "grpc/client.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/list.h"
#include "grpc/deadline.h"
#include "grpc/frame.h"
#include "http/h2.h"

enum {
    CLIENT_STREAM_WINDOW = 1 << 20,
    CLIENT_CONN_WINDOW = 16 << 20,
    CLIENT_HEADERS_MAX = 64,
};

struct grpc_client {
    struct env *env;
    struct http_pool *pool;
    struct grpc_client_options opts;
    char *authority;
    char *user_agent;
    const struct grpc_client_ops *ops;
    void *arg;
    struct h2_session *h2;
    struct list calls; /* not done */
    struct list ready; /* on_writable is owed */
    size_t call_count;
    size_t queued;
    struct grpc_deadlines deadlines;
    uint64_t sends; /* times grpc_client_send ran */
    bool is_dirty;
    bool is_inside;
    bool is_going_away;
    uint64_t last_recv_ms;
    uint64_t ping_sent_ms;
};

struct grpc_client_call {
    struct list_node node;       /* of client->calls, while not done */
    struct list_node ready_node; /* of client->ready */
    struct grpc_client *client;
    struct h2_stream *stream; /* NULL: not opened, or closed */
    const struct grpc_client_call_ops *ops;
    void *arg;
    struct grpc_deadline_node deadline;
    struct grpc_deframer deframer;
    struct buf out;
    size_t out_at;
    struct buf held; /* paused: received, not looked at */
    size_t unconsumed;
    struct buf message; /* grpc-message, decoded */
    int http_status;
    bool has_status; /* grpc-status came */
    enum grpc_code code;
    bool is_failing; /* the deadline node stands for "fail soon", with code and message */
    bool is_half_closed, is_ended, is_done, is_paused, is_parsing;
    uint64_t sends_at_start;
};

static void dirty(struct grpc_client *c)
{
    if (!c->is_dirty && !c->is_inside) {
        c->is_dirty = true;
        c->ops->on_want_write(c->arg);
    }
}

/* ---- end of a call ----------------------------------------------------------------------------
 */

static void call_free(struct grpc_client_call *call)
{
    ensure(call->is_done && call->deadline.slot == 0);
    grpc_deframer_deinit(&call->deframer);
    buf_deinit(&call->out);
    buf_deinit(&call->held);
    buf_deinit(&call->message);
    http_pool_free(call->client->pool, call);
}

static void out_drop(struct grpc_client_call *call)
{
    call->client->queued -= call->out.len - call->out_at;
    buf_clear(&call->out);
    call->out_at = 0;
}

/* The user forgets the call with this; the memory stays while the stream does. */
static void call_done(struct grpc_client_call *call, enum grpc_code code, struct slice text,
                      bool is_sent)
{
    ensure(!call->is_done);
    struct grpc_client *c = call->client;
    call->is_done = true;
    list_remove(&call->node);
    if (list_node_is_linked(&call->ready_node)) {
        list_remove(&call->ready_node);
    }
    c->call_count--;
    grpc_deadlines_remove(&c->deadlines, &call->deadline);
    out_drop(call);
    struct grpc_status status = {.code = code, .message = text, .is_sent = is_sent};
    call->ops->on_done(call->arg, call, &status);
}

/* Ends the call from our side, stream and all. */
static void call_kill(struct grpc_client_call *call, enum grpc_code code, const char *text)
{
    struct grpc_client *c = call->client;
    struct h2_stream *st = call->stream;
    call_done(call, code, slice_cstr(text), c->sends > call->sends_at_start);
    if (st != NULL) {
        h2_stream_reset(st, H2_CANCEL);
        dirty(c);
    } else if (!call->is_parsing) {
        call_free(call);
    }
}

/* on_done follows from the loop, not from inside the call that finds the failure. */
static void fail_soon(struct grpc_client_call *call, enum grpc_code code, const char *text)
{
    struct grpc_client *c = call->client;
    call->is_failing = true;
    call->code = code;
    buf_clear(&call->message);
    buf_append_cstr(&call->message, text);
    grpc_deadlines_remove(&c->deadlines, &call->deadline);
    grpc_deadlines_add(&c->deadlines, &call->deadline, env_mono_ms(c->env));
}

static void deadline_due(void *arg, struct grpc_deadline_node *node)
{
    (void)arg;
    struct grpc_client_call *call = container_of(node, struct grpc_client_call, deadline);
    if (call->is_failing) {
        buf_append_byte(&call->message, 0);
        call_kill(call, call->code, (const char *)call->message.data);
    } else {
        call_kill(call, GRPC_DEADLINE_EXCEEDED, err_text(ERR_RPC_CONTEXT_DEADLINE));
    }
}

/* ---- response ---------------------------------------------------------------------------------
 */

static int status_number(struct slice v)
{
    int n = 0;
    for (size_t i = 0; i < v.len && i < 3; i++) {
        n = n * 10 + (v.data[i] - '0');
    }
    return n;
}

static void on_header(void *user, struct h2_stream *st, struct slice name, struct slice value)
{
    (void)st;
    struct grpc_client_call *call = user;
    if (slice_equal(name, SLICE_LIT(":status"))) {
        call->http_status = status_number(value);
    } else if (slice_equal(name, SLICE_LIT("grpc-status"))) {
        call->has_status = true;
        call->code = grpc_code_parse(value);
    } else if (slice_equal(name, SLICE_LIT("grpc-message"))) {
        buf_clear(&call->message);
        grpc_message_decode(&call->message, value);
    } else if (slice_equal(name, SLICE_LIT("grpc-encoding"))) {
        (void)grpc_encoding_parse(value, &call->deframer.encoding);
    }
}

static void on_headers_end(void *user, struct h2_stream *st, bool is_end)
{
    (void)user;
    (void)st;
    (void)is_end;
}

static bool takes_messages(const struct grpc_client_call *call)
{
    return !call->is_done && !call->is_paused;
}

static struct slice parse(struct grpc_client_call *call, struct slice in)
{
    call->is_parsing = true;
    while (in.len > 0 && takes_messages(call)) {
        struct slice msg;
        struct grpc_error e;
        enum grpc_deframe r = grpc_deframer_next(&call->deframer, &in, &msg, &e);
        if (r == GRPC_DEFRAME_ERROR) {
            call_kill(call, e.code, e.text);
            break;
        }
        if (r == GRPC_DEFRAME_MESSAGE && call->ops->on_message != NULL) {
            call->ops->on_message(call->arg, call, msg);
        }
    }
    call->is_parsing = false;
    return call->is_done ? SLICE_NULL : in;
}

static void consume(struct grpc_client_call *call)
{
    if (call->stream != NULL && call->unconsumed > 0) {
        h2_stream_consume(call->stream, call->unconsumed);
        call->unconsumed = 0;
        dirty(call->client);
    }
}

/* The stream's end, in order behind all messages. */
static void finish(struct grpc_client_call *call)
{
    if (!call->is_ended || !takes_messages(call) || call->held.len > 0) {
        return;
    }
    struct grpc_client *c = call->client;
    struct h2_stream *st = call->stream;
    bool is_open = !call->is_half_closed || call->out.len > call->out_at;
    if (call->has_status) {
        call_done(call, call->code, buf_slice(&call->message), true);
    } else if (call->http_status != 200) {
        char text[96];
        snprintf(text, sizeof(text), "unexpected HTTP status code received from server: %d",
                 call->http_status);
        call_done(call, grpc_code_from_http(call->http_status), slice_cstr(text), true);
    } else {
        call_done(call, GRPC_INTERNAL,
                  SLICE_LIT("server closed the stream without sending trailers"), true);
    }
    if (st != NULL && is_open) {
        h2_stream_reset(st, H2_CANCEL);
        dirty(c);
    }
}

static void on_data(void *user, struct h2_stream *st, struct slice bytes)
{
    (void)st;
    struct grpc_client_call *call = user;
    call->unconsumed += bytes.len;
    if (call->held.len > 0 || (call->is_paused && !call->is_done)) {
        buf_append_slice(&call->held, bytes); /* bounded by the stream's window */
        return;
    }
    /* An answer that is no gRPC (a page): its body is of no use. */
    struct slice rest = call->http_status == 200 ? parse(call, bytes) : SLICE_NULL;
    buf_append_slice(&call->held, rest);
    if (call->held.len == 0) {
        consume(call);
    }
}

static void on_end(void *user, struct h2_stream *st)
{
    (void)st;
    struct grpc_client_call *call = user;
    call->is_ended = true;
    finish(call);
}

static enum grpc_code code_from_reset(uint32_t code)
{
    switch (code) {
    case H2_REFUSED_STREAM: return GRPC_UNAVAILABLE;
    case H2_CANCEL: return GRPC_CANCELLED;
    case 3: /* FLOW_CONTROL_ERROR */
    case H2_ENHANCE_YOUR_CALM: return GRPC_RESOURCE_EXHAUSTED;
    case 12: return GRPC_PERMISSION_DENIED; /* INADEQUATE_SECURITY */
    default: return GRPC_INTERNAL;
    }
}

static void on_close(void *user, struct h2_stream *st, uint32_t code)
{
    (void)st;
    struct grpc_client_call *call = user;
    static const char *const names[14] = {
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    };
    call->stream = NULL;
    if (!call->is_done && call->is_ended) {
        return; /* paused at the end: unpause finishes it */
    }
    if (!call->is_done) {
        char text[96];
        snprintf(text, sizeof(text), "stream terminated by RST_STREAM with error code: %s",
                 code < ARRAY_LEN(names) ? names[code] : "unknown");
        call_done(call, code_from_reset(code), slice_cstr(text), code != H2_REFUSED_STREAM);
    }
    call_free(call);
}

/* ---- request ----------------------------------------------------------------------------------
 */

static enum h2_pull on_pull(void *user, struct h2_stream *st, struct h2_sink *sink)
{
    (void)st;
    struct grpc_client_call *call = user;
    size_t have = call->out.len - call->out_at;
    size_t n = have < sink->max ? have : sink->max;
    h2_sink_append(sink, slice_make(call->out.data + call->out_at, n));
    call->out_at += n;
    call->client->queued -= n;
    if (n < have) {
        return H2_PULL_MORE;
    }
    buf_clear(&call->out);
    call->out_at = 0;
    if (call->is_half_closed) {
        return H2_PULL_END;
    }
    if (!call->is_done && call->ops->on_writable != NULL && n > 0 &&
        !list_node_is_linked(&call->ready_node)) {
        list_push_back(&call->client->ready, &call->ready_node);
    }
    return H2_PULL_AGAIN;
}

static const struct h2_stream_ops stream_ops = {
    .on_header = on_header,
    .on_headers_end = on_headers_end,
    .on_data = on_data,
    .on_end = on_end,
    .on_pull = on_pull,
    .on_close = on_close,
};

static size_t headers_fixed(struct grpc_client *c, const struct grpc_client_call_options *opts,
                            char timeout[GRPC_TIMEOUT_BYTES], struct h2_header *h)
{
    size_t n = 0;
    h[n++] = (struct h2_header)H2_HEADER_LIT(":method", "POST");
    h[n++] = c->opts.is_tls ? (struct h2_header)H2_HEADER_LIT(":scheme", "https")
                            : (struct h2_header)H2_HEADER_LIT(":scheme", "http");
    h[n++] = (struct h2_header){SLICE_LIT(":path"), slice_cstr(opts->path), false};
    h[n++] = (struct h2_header){SLICE_LIT(":authority"), slice_cstr(c->authority), false};
    h[n++] = (struct h2_header)H2_HEADER_LIT("content-type", "application/grpc");
    h[n++] = (struct h2_header){SLICE_LIT("user-agent"), slice_cstr(c->user_agent), false};
    h[n++] = (struct h2_header)H2_HEADER_LIT("te", "trailers");
    if (opts->timeout_ms != 0) {
        grpc_timeout_format(timeout, opts->timeout_ms);
        h[n++] = (struct h2_header){SLICE_LIT("grpc-timeout"), slice_cstr(timeout), false};
    }
    return n;
}

static bool is_binary(struct slice name)
{
    return name.len > 4 && memcmp(name.data + name.len - 4, "-bin", 4) == 0;
}

static int request_submit(struct grpc_client_call *call,
                          const struct grpc_client_call_options *opts)
{
    struct h2_header h[CLIENT_HEADERS_MAX];
    char timeout[GRPC_TIMEOUT_BYTES];
    struct buf coded = BUF_INIT;
    size_t n = headers_fixed(call->client, opts, timeout, h);
    ensure(opts->metadata_count <= CLIENT_HEADERS_MAX - n);
    for (size_t i = 0; i < opts->metadata_count; i++) { /* reserve: slices must not move */
        buf_reserve(&coded, coded.len + opts->metadata[i].value.len * 2 + 8);
        coded.len += is_binary(opts->metadata[i].name) ? opts->metadata[i].value.len * 2 + 8 : 0;
    }
    buf_clear(&coded);
    for (size_t i = 0; i < opts->metadata_count; i++) {
        struct grpc_metadata m = opts->metadata[i];
        if (is_binary(m.name)) {
            size_t at = coded.len;
            grpc_base64_encode(&coded, m.value);
            m.value = slice_make(coded.data + at, coded.len - at);
        }
        h[n++] = (struct h2_header){m.name, m.value, false};
    }
    int err = h2_session_request(call->client->h2, h, n, true, &stream_ops, call, &call->stream);
    buf_deinit(&coded);
    return err;
}

struct grpc_client_call *grpc_client_start(struct grpc_client *c,
                                           const struct grpc_client_call_options *opts)
{
    ensure(opts->ops->on_done != NULL);
    struct grpc_client_call *call = http_pool_zalloc(c->pool, sizeof(*call));
    ensure(call != NULL);
    call->client = c;
    call->ops = opts->ops;
    call->arg = opts->arg;
    call->deframer.bytes_max = c->opts.recv_bytes_max;
    call->sends_at_start = c->sends;
    list_node_init(&call->ready_node);
    list_push_back(&c->calls, &call->node);
    c->call_count++;
    if (c->is_going_away || request_submit(call, opts) != 0) {
        fail_soon(call, GRPC_UNAVAILABLE, "grpc: the client connection is closing");
        return call;
    }
    if (opts->timeout_ms != 0) {
        grpc_deadlines_add(&c->deadlines, &call->deadline, env_mono_ms(c->env) + opts->timeout_ms);
    }
    dirty(c);
    return call;
}

struct grpc_client_call *grpc_client_request(struct grpc_client *c,
                                             const struct grpc_client_call_options *opts,
                                             struct slice msg)
{
    struct grpc_client_call *call = grpc_client_start(c, opts);
    grpc_client_call_send(call, msg);
    grpc_client_call_half_close(call);
    return call;
}

void grpc_client_call_send(struct grpc_client_call *call, struct slice msg)
{
    struct grpc_client *c = call->client;
    ensure(!call->is_half_closed && !call->is_done);
    if (msg.len > c->opts.send_bytes_max && !call->is_failing) {
        char text[96];
        snprintf(text, sizeof(text), "trying to send message larger than max (%zu vs. %zu)",
                 msg.len, c->opts.send_bytes_max);
        fail_soon(call, GRPC_RESOURCE_EXHAUSTED, text);
    }
    if (call->is_failing) {
        return;
    }
    uint8_t head[GRPC_HEAD_BYTES];
    grpc_head_write(head, false, msg.len);
    buf_append(&call->out, head, sizeof(head));
    buf_append_slice(&call->out, msg);
    c->queued += sizeof(head) + msg.len;
    if (call->stream != NULL) {
        h2_stream_resume(call->stream);
        dirty(c);
    }
}

void grpc_client_call_half_close(struct grpc_client_call *call)
{
    call->is_half_closed = true;
    if (call->stream != NULL && !call->is_failing) {
        h2_stream_resume(call->stream);
        dirty(call->client);
    }
}

void grpc_client_call_cancel(struct grpc_client_call *call)
{
    call_kill(call, GRPC_CANCELLED, err_text(ERR_RPC_CONTEXT_CANCELED));
}

size_t grpc_client_call_queued(const struct grpc_client_call *call)
{
    return call->out.len - call->out_at;
}

void *grpc_client_call_arg(const struct grpc_client_call *call)
{
    return call->arg;
}

void grpc_client_call_pause(struct grpc_client_call *call)
{
    call->is_paused = true;
}

void grpc_client_call_unpause(struct grpc_client_call *call)
{
    call->is_paused = false;
    if (call->is_parsing) {
        return;
    }
    struct buf held = call->held;
    buf_init(&call->held);
    struct slice rest = parse(call, buf_slice(&held));
    buf_append_slice(&call->held, rest);
    buf_deinit(&held);
    bool was_closed = call->stream == NULL && !call->is_failing;
    if (call->held.len == 0 && !call->is_done) {
        consume(call);
        finish(call);
    }
    if (was_closed && call->is_done) {
        call_free(call);
    }
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void on_begin(void *arg, struct h2_stream *st)
{
    (void)arg;
    (void)st; /* pushed streams are refused by SETTINGS_ENABLE_PUSH 0 */
}

static void on_goaway(void *arg, int32_t last_id, uint32_t code, struct slice debug)
{
    (void)last_id;
    struct grpc_client *c = arg;
    bool is_first = !c->is_going_away;
    c->is_going_away = true;
    if (is_first && c->ops->on_goaway != NULL) {
        c->ops->on_goaway(c->arg, code, debug);
    }
}

static const struct h2_session_ops session_ops = {.on_begin = on_begin, .on_goaway = on_goaway};

int grpc_client_create(struct env *env, struct http_pool *pool,
                       const struct grpc_client_options *opts, const struct grpc_client_ops *ops,
                       void *arg, struct grpc_client **out)
{
    struct grpc_client *c = mem_zalloc(sizeof(*c));
    c->env = env;
    c->pool = pool;
    c->opts = *opts;
    c->ops = ops;
    c->arg = arg;
    c->opts.recv_bytes_max =
        opts->recv_bytes_max != 0 ? opts->recv_bytes_max : LIMIT_RESPONSE_BYTES;
    c->opts.send_bytes_max =
        opts->send_bytes_max != 0 ? opts->send_bytes_max : LIMIT_RESPONSE_BYTES;
    list_init(&c->calls);
    list_init(&c->ready);
    struct h2_options o = {
        .stream_window = CLIENT_STREAM_WINDOW,
        .conn_window = CLIENT_CONN_WINDOW,
        .header_list_max = LIMIT_HEADER_LIST_BYTES,
    };
    int err = h2_session_create(&o, pool, &session_ops, c, &c->h2);
    if (err != 0) {
        mem_free(c);
        return err;
    }
    grpc_deadlines_init(&c->deadlines, env, deadline_due, c);
    c->authority = mem_strdup(opts->authority);
    c->user_agent = mem_strdup(opts->user_agent != NULL ? opts->user_agent : "cairn/0.1");
    *out = c;
    return 0;
}

void grpc_client_destroy(struct grpc_client *c, const char *text)
{
    if (c == NULL) {
        return;
    }
    ensure(!c->is_inside);
    c->is_inside = true;
    while (!list_is_empty(&c->calls)) {
        struct grpc_client_call *call =
            LIST_ENTRY(list_first(&c->calls), struct grpc_client_call, node);
        call_kill(call, GRPC_UNAVAILABLE, text);
    }
    h2_session_destroy(c->h2);
    grpc_deadlines_deinit(&c->deadlines);
    mem_free(c->authority);
    mem_free(c->user_agent);
    mem_free(c);
}

/* ---- bytes ------------------------------------------------------------------------------------
 */

int grpc_client_recv(struct grpc_client *c, struct slice bytes)
{
    c->last_recv_ms = env_mono_ms(c->env);
    c->is_inside = true;
    int err = h2_session_recv(c->h2, bytes, c->last_recv_ms);
    c->is_inside = false;
    if (h2_session_wants_write(c->h2) || h2_session_is_done(c->h2)) {
        dirty(c);
    }
    return err;
}

static void tell_writable(struct grpc_client *c)
{
    while (!list_is_empty(&c->ready)) {
        struct list_node *n = list_first(&c->ready);
        struct grpc_client_call *call = LIST_ENTRY(n, struct grpc_client_call, ready_node);
        list_remove(n);
        call->ops->on_writable(call->arg, call);
    }
}

int grpc_client_send(struct grpc_client *c, struct http_out *out, size_t max)
{
    c->sends++;
    c->is_inside = true;
    int err = h2_session_send(c->h2, out, max);
    c->is_inside = false;
    c->is_dirty = false;
    tell_writable(c);
    return err;
}

bool grpc_client_is_done(const struct grpc_client *c)
{
    return h2_session_is_done(c->h2);
}

bool grpc_client_can_start(const struct grpc_client *c)
{
    return !c->is_going_away;
}

size_t grpc_client_queued(const struct grpc_client *c)
{
    return c->queued;
}

size_t grpc_client_call_count(const struct grpc_client *c)
{
    return c->call_count;
}

uint64_t grpc_client_tick(struct grpc_client *c, uint64_t now_ms)
{
    static const uint8_t opaque[8] = {0, 0, 0, 0, 0, 0, 0, 2};
    const struct grpc_client_options *o = &c->opts;
    if (c->last_recv_ms == 0) {
        c->last_recv_ms = now_ms;
    }
    if (c->ping_sent_ms != 0 && c->last_recv_ms >= c->ping_sent_ms) {
        c->ping_sent_ms = 0;
    }
    if (o->ping_interval_ms == 0) {
        return now_ms + 3600 * 1000;
    }
    if (c->ping_sent_ms != 0) {
        uint64_t due = c->ping_sent_ms + o->ping_timeout_ms;
        return now_ms >= due ? 0 : due;
    }
    bool may = o->ping_without_stream || c->call_count > 0;
    if (now_ms - c->last_recv_ms < o->ping_interval_ms) {
        return c->last_recv_ms + o->ping_interval_ms;
    }
    if (!may) {
        return now_ms + o->ping_interval_ms;
    }
    h2_session_ping(c->h2, opaque);
    c->ping_sent_ms = now_ms;
    dirty(c);
    return now_ms + o->ping_timeout_ms;
}
