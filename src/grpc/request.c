/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/request: the request half of a call: headers, the checks of client-api 3.3 and 4.3 in order,
 * messages out of DATA, windows.
 *
 * Windows. The connection's window is given back by http/h2 at once.  A stream's window is given
 * back when its bytes are used, or, for a message that comes in pieces, at once too as long as the
 * connection holds less than LIMIT_CONN_IN_BYTES of such pieces.  Above that, calls wait in
 * conn->held, except the first of them, which always goes on: so every message can complete.
 * What streams send into their first windows is bounded too: GRPC_CONN_HELD_MAX a connection,
 * LIMIT_PENDING_BYTES in all; a call that goes above it ends with RESOURCE_EXHAUSTED.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "grpc/call_private.h"

/* ---- headers ----------------------------------------------------------------------------------
 */

static void meta_add(struct grpc_call *call, struct slice name, struct slice value)
{
    uint8_t *p = buf_extend(&call->meta, 8 + name.len + value.len);
    store_le32(p, (uint32_t)name.len);
    store_le32(p + 4, (uint32_t)value.len);
    memcpy(p + 8, name.data, name.len);
    if (value.len > 0) {
        memcpy(p + 8 + name.len, value.data, value.len);
    }
}

static void refuse_later(struct grpc_call *call, int http_status, enum grpc_code code,
                         const char *text)
{
    if (call->refusal == NULL) {
        call->refusal = mem_alloc(sizeof(*call->refusal));
        grpc_error_set(call->refusal, code, "%s", text);
        call->refusal_status = http_status;
    }
}

static void take_binary(struct grpc_call *call, struct slice name, struct slice value)
{
    struct buf raw = BUF_INIT;
    size_t bad_at = 0;
    if (grpc_base64_decode(&raw, value, &bad_at) == 0) {
        meta_add(call, name, buf_slice(&raw));
    } else {
        struct buf why = BUF_INIT;
        buf_append_cstr(&why, "malformed binary metadata ");
        grpc_quote(&why, value);
        buf_append_cstr(&why, " in header ");
        grpc_quote(&why, name);
        buf_printf(&why, ": illegal base64 data at input byte %zu", bad_at);
        refuse_later(call, 400, GRPC_INTERNAL, buf_cstr(&why));
        buf_deinit(&why);
    }
    buf_deinit(&raw);
}

/* A mixed connection's request may turn out to be for the gateway, which reads these itself. */
static void keep_if_mixed(struct grpc_call *call, struct slice name, struct slice value)
{
    if (call->conn->is_mixed) {
        meta_add(call, name, value);
    }
}

static void take_timeout(struct grpc_call *call, struct slice value)
{
    keep_if_mixed(call, SLICE_LIT("grpc-timeout"), value);
    uint64_t ns = 0;
    struct buf why = BUF_INIT;
    buf_append_cstr(&why, "malformed grpc-timeout: ");
    if (grpc_timeout_parse(value, &ns, &why) != 0) {
        refuse_later(call, 400, GRPC_INTERNAL, buf_cstr(&why));
    } else if (ns / 1000000 < UINT64_MAX / 1000000000) {
        grpc_deadlines_remove(&call->conn->server->deadlines, &call->deadline);
        grpc_deadlines_add(&call->conn->server->deadlines, &call->deadline,
                           call->conn->now_ms + (ns + 999999) / 1000000);
    }
    buf_deinit(&why);
}

static void take_encoding(struct grpc_call *call, struct slice value)
{
    if (!grpc_encoding_parse(value, &call->deframer.encoding)) {
        struct buf why = BUF_INIT;
        buf_append_cstr(&why, "grpc: Decompressor is not installed for grpc-encoding ");
        grpc_quote(&why, value);
        refuse_later(call, 200, GRPC_UNIMPLEMENTED, buf_cstr(&why));
        buf_deinit(&why);
    }
    call->is_gzip_request = call->deframer.encoding == GRPC_ENCODING_GZIP;
}

static void take_method(struct grpc_call *call, struct slice value)
{
    call->is_post = slice_equal(value, SLICE_LIT("POST"));
    if (!call->is_post || call->conn->is_mixed) {
        meta_add(call, SLICE_LIT(":method"), value);
    }
}

/* "application/grpc", "+subtype" or ";params" behind it. */
static bool content_type_is_grpc(struct slice v)
{
    struct slice base = SLICE_LIT("application/grpc");
    return slice_has_prefix(v, base) &&
           (v.len == base.len || v.data[base.len] == '+' || v.data[base.len] == ';');
}

static void take_content_type(struct grpc_call *call, struct slice value)
{
    call->has_content_type = true;
    call->is_grpc_type = content_type_is_grpc(value);
    meta_add(call, SLICE_LIT("content-type"), value);
}

static void on_header(void *user, struct h2_stream *st, struct slice name, struct slice value)
{
    (void)st;
    struct grpc_call *call = user;
    if (call->is_headed) {
        return; /* trailers of the request: nobody reads them */
    }
    /* By length first: most names are told apart by it. */
    if (name.len == 7 && memcmp(name.data, ":method", 7) == 0) {
        take_method(call, value);
    } else if (name.len == 12 && memcmp(name.data, "content-type", 12) == 0) {
        take_content_type(call, value);
    } else if (name.len == 12 && memcmp(name.data, "grpc-timeout", 12) == 0) {
        take_timeout(call, value);
    } else if (name.len == 13 && memcmp(name.data, "grpc-encoding", 13) == 0) {
        take_encoding(call, value);
    } else if (name.len > 4 && memcmp(name.data + name.len - 4, "-bin", 4) == 0) {
        take_binary(call, name, value);
    } else if (!call->conn->is_mixed &&
               ((name.len == 2 && memcmp(name.data, "te", 2) == 0) ||
                (name.len == 7 && memcmp(name.data, ":scheme", 7) == 0) ||
                (name.len == 20 && memcmp(name.data, "grpc-accept-encoding", 20) == 0))) {
        return;
    } else {
        meta_add(call, name, value);
    }
}

/* ---- routing ----------------------------------------------------------------------------------
 */

void grpc_request_path_error(struct grpc_server *s, struct slice path, struct grpc_error *e)
{
    struct slice rest = path.len > 0 && path.data[0] == '/' ? slice_skip(path, 1) : path;
    const uint8_t *slash = rest.len == 0 ? NULL : memrchr(rest.data, '/', rest.len);
    struct buf text = BUF_INIT;
    if (slash == NULL) {
        buf_append_cstr(&text, "malformed method name: ");
        grpc_quote(&text, path);
    } else {
        struct slice service = slice_make(rest.data, (size_t)(slash - rest.data));
        struct slice method = slice_skip(rest, service.len + 1);
        if (grpc_server_has_service(s, service)) {
            buf_append_cstr(&text, "unknown method ");
            buf_append_slice(&text, method);
            buf_append_cstr(&text, " for service ");
        } else {
            buf_append_cstr(&text, "unknown service ");
        }
        buf_append_slice(&text, service);
    }
    grpc_error_set(e, GRPC_UNIMPLEMENTED, "%s", buf_cstr(&text));
    buf_deinit(&text);
}

/* HTTP status and error of a request that is not proper gRPC; true when there is one. */
static bool check_http(struct grpc_call *call, int *out_status, struct grpc_error *e)
{
    struct buf text = BUF_INIT;
    bool is_bad = true;
    if (!call->is_grpc_type) {
        *out_status = 415;
        buf_append_cstr(&text, "invalid gRPC request content-type ");
        grpc_quote(&text, grpc_call_metadata(call, "content-type"));
        grpc_error_set(e, GRPC_INVALID_ARGUMENT, "%s", buf_cstr(&text));
    } else if (!call->is_post) {
        *out_status = 405;
        buf_append_cstr(&text, "Received a HEADERS frame with :method ");
        grpc_quote(&text, grpc_call_metadata(call, ":method"));
        buf_append_cstr(&text, " which should be POST");
        grpc_error_set(e, GRPC_INTERNAL, "%s", buf_cstr(&text));
    } else if (call->refusal != NULL) {
        *out_status = call->refusal_status;
        *e = *call->refusal;
    } else {
        is_bad = false;
    }
    buf_deinit(&text);
    return is_bad;
}

static struct grpc_entry *route(struct grpc_call *call, struct grpc_error *e)
{
    struct grpc_conn *c = call->conn;
    struct slice path = grpc_call_metadata(call, ":path");
    struct grpc_entry *entry = c->last_entry;
    if (entry != NULL && slice_equal(entry->path, path)) {
        return entry;
    }
    entry = grpc_server_route(c->server, path);
    if (entry == NULL) {
        grpc_request_path_error(c->server, path, e);
        return NULL;
    }
    c->last_entry = entry;
    return entry;
}

/* TLS ports serve pages too: anything whose content type does not speak of gRPC. */
static bool is_http_request(const struct grpc_call *call)
{
    if (!call->conn->is_mixed) {
        return false;
    }
    struct slice type = grpc_call_metadata(call, "content-type");
    return type.len == 0 || memmem(type.data, type.len, "application/grpc", 16) == NULL;
}

static void hand_over(struct grpc_call *call, bool is_end);

bool grpc_request_admit(struct grpc_call *call, struct slice msg)
{
    const struct grpc_server_options *o = &call->conn->server->opts;
    return o->admit == NULL || o->admit(o->admit_arg, call, msg);
}

static void start(struct grpc_call *call, struct grpc_entry *entry)
{
    call->method = entry->method;
    call->stats = &entry->stats;
    call->service = entry->service;
    call->is_started = true;
    entry->stats.started++;
    struct grpc_server *s = call->conn->server;
    if (s->opts.on_handled != NULL) {
        call->start_ns = s->env->clock->ops->mono_ns(s->env->clock);
    }
    if (entry->method->kind != GRPC_KIND_UNARY && !grpc_request_admit(call, SLICE_NULL)) {
        return;
    }
    if (entry->method->on_start != NULL) {
        entry->method->on_start(call);
    }
}

static void on_headers_end(void *user, struct h2_stream *st, bool is_end)
{
    (void)st;
    struct grpc_call *call = user;
    if (call->is_headed) {
        return;
    }
    call->is_headed = true;
    if (is_http_request(call)) {
        hand_over(call, is_end);
        return;
    }
    struct grpc_error e;
    int status = 200;
    if (check_http(call, &status, &e)) {
        grpc_call_refuse(call, status, &e);
        return;
    }
    struct grpc_entry *entry = route(call, &e);
    if (entry == NULL) {
        grpc_call_refuse(call, 200, &e);
        return;
    }
    start(call, entry);
}

/* ---- windows ----------------------------------------------------------------------------------
 */

static void consume(struct grpc_call *call)
{
    if (call->unconsumed > 0 && call->stream != NULL) {
        h2_stream_consume(call->stream, call->unconsumed);
        call->unconsumed = 0;
        grpc_conn_dirty(call->conn);
    }
}

static void held_count(struct grpc_call *call, size_t held)
{
    call->conn->held_bytes = call->conn->held_bytes - call->held_counted + held;
    size_t *total = &call->conn->server->held_bytes;
    *total = *total - call->held_counted + held;
    call->held_counted = held;
}

void grpc_request_unhold(struct grpc_call *call)
{
    struct grpc_conn *c = call->conn;
    held_count(call, 0);
    if (list_node_is_linked(&call->held_node)) {
        list_remove(&call->held_node);
    }
    /* Room again: the others may go on; at least the next in line must. */
    LIST_FOREACH (&c->held, n) {
        struct grpc_call *other = LIST_ENTRY(n, struct grpc_call, held_node);
        bool is_first = c->held.head.next == n;
        if (c->held_bytes > LIMIT_CONN_IN_BYTES && !is_first) {
            break;
        }
        consume(other);
    }
}

/* Held more than may be: this call ends; its connection's first call goes on as long as the server
 * as a whole has room, so that a client within its windows always gets something done. */
static bool held_too_much(const struct grpc_call *call)
{
    const struct grpc_conn *c = call->conn;
    bool is_first = c->held.head.next == &call->held_node;
    return c->server->held_bytes > c->server->opts.held_bytes_max ||
           (c->held_bytes > GRPC_CONN_HELD_MAX && !is_first);
}

/* After the bytes at hand were looked at: counts what is held, gives back what may be. */
static void settle(struct grpc_call *call)
{
    struct grpc_conn *c = call->conn;
    size_t held = grpc_deframer_held(&call->deframer);
    if (held == 0) {
        if (call->held_counted != 0) {
            grpc_request_unhold(call);
        }
        consume(call);
        return;
    }
    held_count(call, held);
    if (!list_node_is_linked(&call->held_node)) {
        list_push_back(&c->held, &call->held_node);
    }
    if (c->held_bytes <= LIMIT_CONN_IN_BYTES || c->held.head.next == &call->held_node) {
        consume(call);
    }
}

/* ---- messages ---------------------------------------------------------------------------------
 */

static bool takes_messages(const struct grpc_call *call)
{
    return call->is_started && !call->is_answered && !call->is_paused;
}

static bool wants_one_message(const struct grpc_call *call)
{
    return call->method->kind == GRPC_KIND_UNARY || call->method->kind == GRPC_KIND_SERVER_STREAM;
}

static void deliver(struct grpc_call *call, struct slice msg)
{
    if (wants_one_message(call)) {
        if (call->has_message) {
            return; /* grpc-go drops extra messages of unary calls */
        }
        call->has_message = true;
    }
    call->stats->msg_received++;
    call->conn->server->stats.bytes_received += msg.len;
    if (call->method->kind == GRPC_KIND_UNARY && !grpc_request_admit(call, msg)) {
        return;
    }
    call->message = msg;
    call->method->on_message(call, msg);
    call->message = SLICE_NULL;
}

static void fail_frame(struct grpc_call *call, const struct grpc_error *e)
{
    grpc_deframer_deinit(&call->deframer);
    grpc_call_abort(call, e->code == GRPC_RESOURCE_EXHAUSTED ? ERR_TOO_LARGE : ERR_MALFORMED,
                    e->code, e->text);
}

/* Returns what was not looked at because the call was paused. */
static struct slice parse(struct grpc_call *call, struct slice in)
{
    call->is_parsing = true;
    while (in.len > 0 && takes_messages(call)) {
        struct slice msg;
        struct grpc_error e;
        enum grpc_deframe r = grpc_deframer_next(&call->deframer, &in, &msg, &e);
        if (r == GRPC_DEFRAME_ERROR) {
            fail_frame(call, &e);
            break;
        }
        if (r == GRPC_DEFRAME_MESSAGE) {
            deliver(call, msg);
        }
    }
    call->is_parsing = false;
    if (call->is_answered || !call->is_started) {
        grpc_deframer_deinit(&call->deframer);
        return SLICE_NULL;
    }
    return in;
}

static void finish_request(struct grpc_call *call)
{
    if (!takes_messages(call) || call->is_half_closed || call->held.len > 0) {
        return;
    }
    call->is_half_closed = true;
    /* A cut inside the five bytes is a plain end to grpc-go, one inside the message is not. */
    bool is_stream = !wants_one_message(call);
    if (grpc_deframer_is_in_message(&call->deframer)) {
        grpc_call_abort(call, ERR_TRUNCATED, is_stream ? GRPC_INTERNAL : GRPC_UNKNOWN,
                        "unexpected EOF");
    } else if (!is_stream && !call->has_message) {
        grpc_call_abort(call, ERR_END, GRPC_UNKNOWN, "EOF");
    } else if (call->method->kind != GRPC_KIND_UNARY && call->method->on_half_close != NULL) {
        call->method->on_half_close(call);
    }
}

void grpc_request_process_held(struct grpc_call *call)
{
    if (call->is_parsing) {
        return; /* the loop above goes on by itself */
    }
    struct buf held = call->held;
    buf_init(&call->held);
    struct slice rest = parse(call, buf_slice(&held));
    buf_append_slice(&call->held, rest);
    buf_deinit(&held);
    if (call->held.len == 0) {
        settle(call);
        if (call->is_ended) {
            finish_request(call);
        }
    }
}

static void on_data(void *user, struct h2_stream *st, struct slice bytes)
{
    (void)st;
    struct grpc_call *call = user;
    call->unconsumed += bytes.len;
    if (call->held.len > 0 || (call->is_started && !call->is_answered && call->is_paused)) {
        buf_append_slice(&call->held, bytes); /* bounded by the stream's window */
        return;
    }
    struct slice rest = parse(call, bytes);
    buf_append_slice(&call->held, rest);
    if (call->held.len > 0) {
        return;
    }
    settle(call);
    if (call->held_counted > 0 && held_too_much(call)) {
        struct grpc_error e;
        grpc_error_set(&e, GRPC_RESOURCE_EXHAUSTED, "%s",
                       "grpc: too many bytes of unfinished requests");
        fail_frame(call, &e);
        settle(call);
    }
}

static void on_end(void *user, struct h2_stream *st)
{
    (void)st;
    struct grpc_call *call = user;
    call->is_ended = true;
    finish_request(call);
}

/* ---- end --------------------------------------------------------------------------------------
 */

static void on_close(void *user, struct h2_stream *st, uint32_t code)
{
    (void)st;
    (void)code;
    struct grpc_call *call = user;
    struct grpc_conn *c = call->conn;
    call->stream = NULL;
    if (call->is_started && !call->is_answered) {
        grpc_call_abort(call, ERR_RPC_CONTEXT_CANCELED, GRPC_CANCELLED,
                        err_text(ERR_RPC_CONTEXT_CANCELED));
    }
    grpc_deadlines_remove(&c->server->deadlines, &call->deadline);
    grpc_call_drop_output(call);
    if (call->held_counted != 0 || list_node_is_linked(&call->held_node)) {
        grpc_request_unhold(call);
    }
    if (list_node_is_linked(&call->ready_node)) {
        list_remove(&call->ready_node);
    }
    grpc_server_call_put(c->server, call);
}

const struct h2_stream_ops grpc_request_ops = {
    .on_header = on_header,
    .on_headers_end = on_headers_end,
    .on_data = on_data,
    .on_end = on_end,
    .on_pull = grpc_call_pull,
    .on_close = on_close,
};

/* The headers are said again, to the ops that the owner of the connection puts on the stream. */
static void replay(const struct grpc_call *call, struct h2_stream *st)
{
    const uint8_t *p = call->meta.data;
    for (size_t at = 0; at < call->meta.len;) {
        uint32_t name_len = load_le32(p + at);
        uint32_t value_len = load_le32(p + at + 4);
        struct slice name = slice_make(p + at + 8, name_len);
        h2_stream_say_header(st, name, slice_make(name.data + name_len, value_len));
        at += 8 + (size_t)name_len + value_len;
    }
}

static void hand_over(struct grpc_call *call, bool is_end)
{
    struct grpc_conn *c = call->conn;
    struct h2_stream *st = call->stream;
    grpc_deadlines_remove(&c->server->deadlines, &call->deadline);
    c->ops->on_http_request(c->arg, st);
    replay(call, st);
    call->stream = NULL;
    grpc_server_call_put(c->server, call);
    h2_stream_say_headers_end(st, is_end);
}
