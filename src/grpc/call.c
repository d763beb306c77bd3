/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/call: the answer half of a call: parts waiting, the pull that moves them into frames,
 * status.
 *
 * Parts form a ring: bytes copied into call->copy, references into counted buffers, at most one
 * source being pulled at the front.  COPIED and REF bytes count against the server's budget until
 * the connection takes them; source bytes do not exist before they are pulled.
 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "grpc/call_private.h"

/* ---- the ring of parts ------------------------------------------------------------------------
 */

static struct out_part *part_at(struct grpc_call *call, uint32_t i)
{
    ensure(call->part_cap > 0);
    return &call->parts[(call->part_head + i) % call->part_cap];
}

static void parts_grow(struct grpc_call *call)
{
    uint32_t cap = call->part_cap * 2;
    struct out_part *fresh = mem_alloc_array(cap, sizeof(*fresh));
    for (uint32_t i = 0; i < call->part_count; i++) {
        fresh[i] = *part_at(call, i);
    }
    if (call->parts != call->first_parts) {
        mem_free(call->parts);
    }
    call->parts = fresh;
    call->part_cap = cap;
    call->part_head = 0;
}

static struct out_part *part_push(struct grpc_call *call)
{
    if (call->part_count == call->part_cap) {
        parts_grow(call);
    }
    return part_at(call, call->part_count++);
}

static void part_pop(struct grpc_call *call)
{
    struct out_part *p = part_at(call, 0);
    if (p->kind == OUT_REF) {
        rcbuf_unref(p->owner);
    } else if (p->kind == OUT_SOURCE) {
        struct grpc_source *src = p->source;
        p->source = NULL;
        call->source_count--;
        call->source_waits = false;
        src->ops->close(src);
    }
    call->part_head = (call->part_head + 1) % call->part_cap;
    call->part_count--;
    if (call->part_count == 0) {
        buf_clear(&call->copy);
        call->copy_at = 0;
    }
}

static void count_queued(struct grpc_call *call, size_t n)
{
    call->queued += n;
    call->conn->server->stats.response_bytes_queued += n;
}

static void count_taken(struct grpc_call *call, size_t n)
{
    struct grpc_server_stats *stats = &call->conn->server->stats;
    ensure(call->queued >= n && stats->response_bytes_queued >= n);
    call->queued -= n;
    stats->response_bytes_queued -= n;
}

static void push_copied(struct grpc_call *call, struct slice s)
{
    if (s.len == 0) {
        return;
    }
    struct out_part *last = call->part_count == 0 ? NULL : part_at(call, call->part_count - 1);
    buf_append_slice(&call->copy, s);
    count_queued(call, s.len);
    if (last != NULL && last->kind == OUT_COPIED) {
        last->len += s.len;
    } else {
        *part_push(call) = (struct out_part){.kind = OUT_COPIED, .len = s.len};
    }
}

/* Takes over one reference. */
static void push_ref(struct grpc_call *call, struct slice s, struct rcbuf *owner)
{
    if (s.len < GRPC_REF_MIN) {
        push_copied(call, s);
        rcbuf_unref(owner);
        return;
    }
    count_queued(call, s.len);
    *part_push(call) =
        (struct out_part){.kind = OUT_REF, .len = s.len, .data = s.data, .owner = owner};
}

void grpc_call_drop_output(struct grpc_call *call)
{
    if (call->remote != NULL) {
        call->remote->drop_output(call);
        return;
    }
    count_taken(call, call->queued);
    while (call->part_count > 0) {
        part_pop(call);
    }
}

/* ---- pulling ----------------------------------------------------------------------------------
 */

static size_t smaller(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

static void pull_copied(struct grpc_call *call, struct out_part *p, struct h2_sink *sink)
{
    size_t n = smaller(p->len, sink->max);
    h2_sink_append(sink, slice_make(call->copy.data + call->copy_at, n));
    call->copy_at += n;
    p->len -= n;
    count_taken(call, n);
}

static void pull_ref(struct grpc_call *call, struct out_part *p, struct h2_sink *sink)
{
    size_t n = smaller(p->len, sink->max);
    h2_sink_append_ref(sink, slice_make(p->data, n), p->owner);
    p->data += n;
    p->len -= n;
    count_taken(call, n);
}

static int pull_source(struct grpc_call *call, struct out_part *p, struct h2_sink *sink)
{
    if (call->source_waits) {
        return ERR_AGAIN;
    }
    size_t n = smaller(p->len, sink->max);
    size_t got = 0;
    uint8_t *dst = h2_sink_reserve(sink, n);
    call->is_resumed = false;
    int err = p->source->ops->pull(p->source, dst, n, &got);
    ensure(got <= n && (got > 0 || err != 0));
    h2_sink_shrink(sink, n - got);
    p->len -= got;
    if (err == ERR_AGAIN && p->len > 0 && !call->is_resumed) {
        call->source_waits = true;
        return ERR_AGAIN;
    }
    return err == ERR_AGAIN ? 0 : err;
}

/* Moves parts into the frame.  ERR_AGAIN: the source at the front waits. */
static int pull_parts(struct grpc_call *call, struct h2_sink *sink)
{
    int err = 0;
    while (err == 0 && call->part_count > 0 && sink->max > 0) {
        struct out_part *p = part_at(call, 0);
        switch (p->kind) {
        case OUT_COPIED: pull_copied(call, p, sink); break;
        case OUT_REF: pull_ref(call, p, sink); break;
        case OUT_SOURCE: err = pull_source(call, p, sink); break;
        }
        if (err == 0 && p->len == 0) {
            part_pop(call);
        }
    }
    return err;
}

static void trailers_submit(struct grpc_call *call);

enum h2_pull grpc_call_pull(void *user, struct h2_stream *st, struct h2_sink *sink)
{
    (void)st;
    struct grpc_call *call = user;
    int err = pull_parts(call, sink);
    if (call->is_blocked && grpc_call_has_room(call) && !list_node_is_linked(&call->ready_node)) {
        list_push_back(&call->conn->ready, &call->ready_node);
    }
    if (err == ERR_AGAIN) {
        return H2_PULL_AGAIN;
    }
    if (err != 0) {
        return H2_PULL_RESET;
    }
    if (call->part_count > 0) {
        return H2_PULL_MORE;
    }
    if (!call->is_answered) {
        return H2_PULL_AGAIN;
    }
    trailers_submit(call);
    return H2_PULL_END;
}

/* ---- headers and trailers ---------------------------------------------------------------------
 */

static struct h2_header code_header(enum grpc_code code)
{
    static const char *const texts[17] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                          "9", "10", "11", "12", "13", "14", "15", "16"};
    return (struct h2_header){SLICE_LIT("grpc-status"), slice_cstr(texts[code]), true};
}

static struct h2_header message_header(struct grpc_call *call)
{
    struct slice text = buf_slice(&call->message_text);
    if (text.len == 0) {
        return (struct h2_header)H2_HEADER_LIT("grpc-message", "");
    }
    return (struct h2_header){SLICE_LIT("grpc-message"), text, false};
}

/* The request's, echoed (client-api 4.4); grpc-go writes '+' whatever stood before the subtype. */
static struct h2_header type_header(struct grpc_call *call)
{
    struct slice type = grpc_call_metadata(call, "content-type");
    size_t base = sizeof("application/grpc") - 1;
    if (!call->is_grpc_type || type.len <= base + 1) {
        return (struct h2_header)H2_HEADER_LIT("content-type", "application/grpc");
    }
    ((uint8_t *)(uintptr_t)type.data)[base] = '+'; /* in the call's own copy */
    return (struct h2_header){SLICE_LIT("content-type"), type, false};
}

/* Nothing more can be said on this stream. */
static void stream_broken(struct grpc_call *call)
{
    h2_stream_reset(call->stream, H2_INTERNAL_ERROR);
}

static void trailers_submit(struct grpc_call *call)
{
    if (call->is_trailed) {
        return;
    }
    call->is_trailed = true;
    struct h2_header h[2] = {code_header(call->code), message_header(call)};
    if (h2_stream_trailers(call->stream, h, ARRAY_LEN(h)) != 0) {
        stream_broken(call);
    }
}

static void headers_submit(struct grpc_call *call)
{
    if (call->is_responded) {
        h2_stream_resume(call->stream);
        return;
    }
    call->is_responded = true;
    struct h2_header h[3] = {
        H2_HEADER_LIT(":status", "200"),
        type_header(call),
        H2_HEADER_LIT("grpc-encoding", "gzip"),
    };
    size_t count = call->is_gzip_request ? 3 : 2;
    if (h2_stream_respond(call->stream, h, count, true) != 0) {
        stream_broken(call);
    }
}

static void trailers_only_submit(struct grpc_call *call, int http_status)
{
    char status[8];
    call->is_responded = call->is_trailed = true;
    snprintf(status, sizeof(status), "%d", http_status);
    struct h2_header h[4] = {
        http_status == 200 ? (struct h2_header)H2_HEADER_LIT(":status", "200")
                           : (struct h2_header){SLICE_LIT(":status"), slice_cstr(status), false},
        type_header(call),
        code_header(call->code),
        message_header(call),
    };
    if (h2_stream_respond(call->stream, h, ARRAY_LEN(h), false) != 0) {
        stream_broken(call);
    }
}

/* ---- last answers -----------------------------------------------------------------------------
 */

void grpc_call_count_handled(struct grpc_call *call, enum grpc_code code)
{
    if (call->stats == NULL) {
        return;
    }
    call->stats->handled[code]++;
    struct grpc_server *s = call->conn->server;
    if (s->opts.on_handled != NULL) {
        uint64_t now = s->env->clock->ops->mono_ns(s->env->clock);
        s->opts.on_handled(s->opts.arg, call, code, now - call->start_ns);
    }
}

void grpc_call_answered(struct grpc_call *call, enum grpc_code code)
{
    ensure(!call->is_answered);
    call->is_answered = true;
    call->code = code;
    grpc_deadlines_remove(&call->conn->server->deadlines, &call->deadline);
    grpc_call_count_handled(call, code);
    if (call->held.len > 0) {
        buf_deinit(&call->held);
    }
    if (call->is_paused) {
        call->is_paused = false;
    }
}

static void end_with(struct grpc_call *call, enum grpc_code code, struct slice text,
                     int http_status)
{
    if (call->remote != NULL) {
        call->remote->end(call, code, text);
        return;
    }
    grpc_message_encode(&call->message_text, text);
    grpc_call_answered(call, code);
    if (call->stream == NULL) {
        return;
    }
    if (call->part_count > 0) {
        headers_submit(call);
    } else if (call->is_responded) {
        /* The pull has said AGAIN: trailers need no window, so they do not wait for one. */
        trailers_submit(call);
    } else if (code == GRPC_OK) {
        headers_submit(call); /* a stream without messages: HEADERS, then trailers */
    } else {
        trailers_only_submit(call, http_status);
    }
    grpc_conn_dirty(call->conn);
}

void grpc_call_fail_code(struct grpc_call *call, enum grpc_code code, const char *text)
{
    ensure(call->is_started && code != GRPC_OK && code <= GRPC_UNAUTHENTICATED);
    end_with(call, code, slice_cstr(text), 200);
}

void grpc_call_fail(struct grpc_call *call, int err, const char *text)
{
    ensure(err < 0);
    grpc_call_fail_code(call, err_grpc_code(err), text != NULL ? text : err_text(err));
}

void grpc_call_finish(struct grpc_call *call)
{
    ensure(call->is_started);
    end_with(call, GRPC_OK, SLICE_NULL, 200);
}

void grpc_call_refuse(struct grpc_call *call, int http_status, const struct grpc_error *e)
{
    end_with(call, e->code, slice_cstr(e->text), http_status);
}

void grpc_call_abort(struct grpc_call *call, int err, enum grpc_code code, const char *text)
{
    if (!call->is_started || call->is_answered) {
        return;
    }
    if (call->method->on_cancel != NULL) {
        call->method->on_cancel(call, err);
    }
    if (!call->is_answered) { /* a service may answer from inside on_cancel: harmless */
        grpc_call_drop_output(call);
        end_with(call, code, slice_cstr(text), 200);
    }
}

/* ---- messages ---------------------------------------------------------------------------------
 */

bool grpc_call_has_room(const struct grpc_call *call)
{
    return call->queued < GRPC_CALL_OUT_BYTES && call->source_count == 0 &&
           (call->queued == 0 || call->conn->server->stats.response_bytes_queued <
                                     call->conn->server->opts.response_bytes_max);
}

bool grpc_call_can_send(struct grpc_call *call)
{
    if ((call->stream != NULL || call->remote != NULL) && grpc_call_has_room(call)) {
        return true;
    }
    call->is_blocked = true;
    return false;
}

size_t grpc_call_queued(const struct grpc_call *call)
{
    return call->queued;
}

static void count_sent(struct grpc_call *call, uint64_t len)
{
    call->stats->msg_sent++;
    call->conn->server->stats.bytes_sent += len;
}

static void push_head(struct grpc_call *call, bool is_compressed, size_t len)
{
    uint8_t head[GRPC_HEAD_BYTES];
    grpc_head_write(head, is_compressed, len);
    push_copied(call, slice_make(head, sizeof(head)));
}

/* A gzip request gets gzip answers, if they are not large (design.md 4). */
static void queue_message(struct grpc_call *call, struct slice msg)
{
    struct buf packed = BUF_INIT;
    count_sent(call, msg.len);
    if (call->is_gzip_request && msg.len <= GRPC_GZIP_MAX && grpc_gzip(&packed, msg)) {
        push_head(call, true, packed.len);
        push_copied(call, buf_slice(&packed));
    } else {
        push_head(call, false, msg.len);
        push_copied(call, msg);
    }
    buf_deinit(&packed);
}

static void check_open(const struct grpc_call *call)
{
    ensure(call->is_started && !call->is_answered);
}

static bool is_gone(const struct grpc_call *call)
{
    check_open(call);
    return call->stream == NULL;
}

static void flush_soon(struct grpc_call *call)
{
    headers_submit(call);
    grpc_conn_dirty(call->conn);
}

void grpc_call_send(struct grpc_call *call, struct slice msg)
{
    if (call->remote != NULL) {
        check_open(call);
        call->remote->send_parts(call, &(struct grpc_part){.bytes = msg}, 1);
    } else if (!is_gone(call)) {
        queue_message(call, msg);
        flush_soon(call);
    }
}

void grpc_call_send_parts(struct grpc_call *call, const struct grpc_part *parts, size_t count)
{
    size_t total = 0;
    if (call->remote != NULL) {
        check_open(call);
        call->remote->send_parts(call, parts, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        total += parts[i].bytes.len;
    }
    bool gone = is_gone(call);
    if (!gone) {
        count_sent(call, total);
        push_head(call, false, total);
    }
    for (size_t i = 0; i < count; i++) {
        if (gone) {
            rcbuf_unref(parts[i].owner);
        } else if (parts[i].owner == NULL) {
            push_copied(call, parts[i].bytes);
        } else {
            push_ref(call, parts[i].bytes, parts[i].owner);
        }
    }
    if (!gone) {
        flush_soon(call);
    }
}

/* A whole answer that would stand in memory: refused when the budget is used up, unless small. */
static bool budget_refuses(struct grpc_call *call, size_t len)
{
    enum { ALWAYS_TAKEN = 64 << 10 };
    if (len <= ALWAYS_TAKEN || call->conn->server->stats.response_bytes_queued + len <=
                                   call->conn->server->opts.response_bytes_max) {
        return false;
    }
    grpc_call_fail_code(call, GRPC_RESOURCE_EXHAUSTED,
                        "grpc: too many bytes of answers wait for slow clients");
    return true;
}

void grpc_call_finish_unary(struct grpc_call *call, struct slice msg)
{
    if (call->remote != NULL) {
        check_open(call);
        call->remote->unary(call, msg, NULL);
        return;
    }
    if (!is_gone(call) && budget_refuses(call, msg.len)) {
        return;
    }
    if (call->stream != NULL) {
        queue_message(call, msg);
        headers_submit(call);
        grpc_conn_dirty(call->conn);
    }
    grpc_call_answered(call, GRPC_OK);
}

void grpc_call_finish_unary_rc(struct grpc_call *call, struct rcbuf *msg)
{
    struct slice s = rcbuf_slice(msg);
    if (call->remote != NULL && s.len >= GRPC_REF_MIN) {
        check_open(call);
        call->remote->unary(call, s, msg);
        return;
    }
    if (is_gone(call) || s.len < GRPC_REF_MIN || call->is_gzip_request) {
        grpc_call_finish_unary(call, s);
        rcbuf_unref(msg);
        return;
    }
    if (budget_refuses(call, s.len)) {
        rcbuf_unref(msg);
        return;
    }
    grpc_call_send_parts(call, &(struct grpc_part){s, msg}, 1);
    grpc_call_answered(call, GRPC_OK);
}

/* ---- sources ----------------------------------------------------------------------------------
 */

void grpc_call_send_source(struct grpc_call *call, uint64_t total_len, struct grpc_source *src)
{
    if (call->remote != NULL) {
        check_open(call);
        call->remote->source(call, total_len, src, false);
        return;
    }
    if (is_gone(call)) {
        src->ops->close(src);
        return;
    }
    ensure(total_len <= LIMIT_RESPONSE_BYTES);
    count_sent(call, total_len);
    push_head(call, false, (size_t)total_len);
    if (total_len == 0) {
        src->ops->close(src);
    } else {
        *part_push(call) = (struct out_part){.kind = OUT_SOURCE, .len = total_len, .source = src};
        call->source_count++;
        call->is_blocked = true;
    }
    flush_soon(call);
}

void grpc_call_respond_source(struct grpc_call *call, uint64_t total_len, struct grpc_source *src)
{
    if (total_len > LIMIT_RESPONSE_BYTES) {
        src->ops->close(src);
        char text[96];
        snprintf(text, sizeof(text), "grpc: trying to send message larger than max (%llu vs. %u)",
                 (unsigned long long)total_len, LIMIT_RESPONSE_BYTES);
        grpc_call_fail_code(call, GRPC_RESOURCE_EXHAUSTED, text);
        return;
    }
    if (call->remote != NULL) {
        check_open(call);
        call->remote->source(call, total_len, src, true);
        return;
    }
    grpc_call_send_source(call, total_len, src);
    grpc_call_answered(call, GRPC_OK);
}

void grpc_call_resume(struct grpc_call *call)
{
    if (call->remote != NULL) {
        call->remote->resume(call);
        return;
    }
    call->is_resumed = true;
    call->source_waits = false;
    if (call->stream != NULL) {
        h2_stream_resume(call->stream);
        grpc_conn_dirty(call->conn);
    }
}

/* ---- request flow -----------------------------------------------------------------------------
 */

struct rcbuf *grpc_call_take_message(struct grpc_call *call)
{
    return grpc_deframer_take(&call->deframer, call->message);
}

void grpc_call_pause(struct grpc_call *call)
{
    call->is_paused = true;
}

void grpc_call_unpause(struct grpc_call *call)
{
    if (call->is_paused && call->remote != NULL) {
        call->remote->unpause(call);
    } else if (call->is_paused) {
        call->is_paused = false;
        grpc_request_process_held(call);
    }
}
