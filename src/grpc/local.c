/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/local: see local.h.
 *
 * A call lives until the service has let go and the caller has heard the end (or gone), its source
 * is closed and none of the functions of either is running.
 */
#include "grpc/local.h"

#include <string.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "grpc/call_private.h"

enum { LOCAL_CHUNK_BYTES = 64 << 10 };

struct grpc_local {
    struct grpc_server *server;
    struct grpc_conn conn; /* stands for the connection of every call: only server is set */
    struct list pumps;     /* grpc_local_call.pump_node: something to do at the end of the turn */
    bool is_deferred;
    size_t open;
    uint8_t *chunk; /* LOCAL_CHUNK_BYTES, made by a source */
};

/* Messages in order: u32 length, bytes. */
struct messages {
    struct buf bytes;
    size_t at;
};

struct grpc_local_call {
    struct grpc_call call; /* first */
    struct grpc_local *local;
    const struct grpc_local_ops *ops;
    void *arg;
    char *peer;
    struct messages held;   /* to the service, while it has paused the call */
    struct messages out;    /* to the caller */
    struct messages behind; /* the same, said while a source is being made */
    struct grpc_source *source;
    uint64_t source_left;
    struct list_node pump_node;
    enum grpc_code code;
    struct buf text;
    int inside;           /* functions of the service or the caller that are running */
    bool is_source_begun; /* on_message was told */
    bool is_ended;        /* code and text are there */
    bool is_gone;         /* the caller hears nothing more */
    bool is_full;         /* on_bytes said so */
    bool is_half_closed;  /* by the caller */
    bool is_close_owed;   /* on_half_close waits behind held */
    bool is_send_blocked; /* can_send said no */
};

static const struct grpc_remote_ops local_remote;

static struct grpc_local_call *local_of(struct grpc_call *call)
{
    return (struct grpc_local_call *)(void *)call;
}

/* ---- messages in order ---- */

static void messages_push(struct messages *m, struct slice s)
{
    uint8_t *p = buf_extend(&m->bytes, 4);
    store_le32(p, (uint32_t)s.len);
    buf_append_slice(&m->bytes, s);
}

static bool messages_is_empty(const struct messages *m)
{
    return m->at == m->bytes.len;
}

static struct slice messages_pop(struct messages *m)
{
    size_t len = load_le32(m->bytes.data + m->at);
    struct slice s = slice_make(m->bytes.data + m->at + 4, len);
    m->at += 4 + len;
    return s;
}

static void messages_trim(struct messages *m)
{
    if (messages_is_empty(m)) {
        buf_clear(&m->bytes);
        m->at = 0;
    }
}

static void messages_drop(struct messages *m)
{
    buf_deinit(&m->bytes);
    m->at = 0;
}

/* ---- life ---- */

struct grpc_local *grpc_local_create(struct grpc_server *s)
{
    struct grpc_local *l = mem_zalloc(sizeof(*l));
    l->server = s;
    l->conn.server = s;
    l->chunk = mem_alloc(LOCAL_CHUNK_BYTES);
    list_init(&l->pumps);
    return l;
}

void grpc_local_destroy(struct grpc_local *l)
{
    ensure(l->open == 0);
    mem_free(l->chunk);
    mem_free(l);
}

static void output_forget(struct grpc_local_call *lc)
{
    lc->local->server->stats.response_bytes_queued -= lc->call.queued;
    lc->call.queued = 0;
    messages_drop(&lc->out);
    messages_drop(&lc->behind);
}

static void call_free(struct grpc_local_call *lc)
{
    struct grpc_local *l = lc->local;
    if (list_node_is_linked(&lc->pump_node)) {
        list_remove(&lc->pump_node);
    }
    output_forget(lc);
    messages_drop(&lc->held);
    grpc_server_call_end(l->server, &lc->call);
    buf_deinit(&lc->call.meta);
    buf_deinit(&lc->call.copy);
    buf_deinit(&lc->call.message_text);
    buf_deinit(&lc->text);
    mem_free(lc->peer);
    mem_free(lc);
    l->open--;
}

static void maybe_free(struct grpc_local_call *lc)
{
    if (lc->call.is_answered && lc->is_gone && lc->source == NULL && lc->inside == 0) {
        call_free(lc);
    }
}

struct grpc_local_call *grpc_local_open(struct grpc_local *l, const struct grpc_local_options *o,
                                        struct grpc_error *e)
{
    struct grpc_entry *entry = grpc_server_route(l->server, o->path);
    if (entry == NULL) {
        grpc_request_path_error(l->server, o->path, e);
        return NULL;
    }
    struct grpc_local_call *lc = mem_zalloc(sizeof(*lc));
    grpc_server_call_begin(l->server, &lc->call);
    lc->local = l;
    lc->ops = o->ops;
    lc->arg = o->arg;
    lc->peer = mem_strdup(o->peer);
    lc->call.conn = &l->conn;
    lc->call.remote = &local_remote;
    lc->call.method = entry->method;
    lc->call.stats = &entry->stats;
    lc->call.service = entry->service;
    list_node_init(&lc->pump_node);
    if (o->deadline_ms != 0) {
        grpc_deadlines_add(&l->server->deadlines, &lc->call.deadline, o->deadline_ms);
    }
    l->open++;
    return lc;
}

enum grpc_kind grpc_local_kind(const struct grpc_local_call *lc)
{
    return lc->call.method->kind;
}

void grpc_local_metadata(struct grpc_local_call *lc, struct slice name, struct slice value)
{
    ensure(!lc->call.is_started);
    uint8_t *p = buf_extend(&lc->call.meta, 8);
    store_le32(p, (uint32_t)name.len);
    store_le32(p + 4, (uint32_t)value.len);
    buf_append_slice(&lc->call.meta, name);
    buf_append_slice(&lc->call.meta, value);
}

/* ---- to the service ---- */

/* As request.c's start. */
void grpc_local_start(struct grpc_local_call *lc)
{
    struct grpc_call *call = &lc->call;
    struct grpc_server *s = lc->local->server;
    call->is_started = call->is_headed = true;
    call->stats->started++;
    if (s->opts.on_handled != NULL) {
        call->start_ns = s->env->clock->ops->mono_ns(s->env->clock);
    }
    lc->inside++;
    bool is_unary = call->method->kind == GRPC_KIND_UNARY;
    if ((is_unary || grpc_request_admit(call, SLICE_NULL)) && call->method->on_start != NULL) {
        call->method->on_start(call);
    }
    lc->inside--;
}

static void deliver(struct grpc_local_call *lc, struct slice msg)
{
    struct grpc_call *call = &lc->call;
    if (call->is_answered) {
        return;
    }
    call->stats->msg_received++;
    lc->local->server->stats.bytes_received += msg.len;
    if (call->method->kind == GRPC_KIND_UNARY && !grpc_request_admit(call, msg)) {
        return;
    }
    call->message = msg;
    call->method->on_message(call, msg);
    call->message = SLICE_NULL;
}

static void refuse_large(struct grpc_local_call *lc, size_t len)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "grpc: received message larger than max (%zu vs. %zu)", len,
               lc->local->server->opts.recv_bytes_max);
    grpc_call_abort(&lc->call, ERR_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED, buf_cstr(&text));
    buf_deinit(&text);
}

void grpc_local_send(struct grpc_local_call *lc, struct slice msg)
{
    ensure(!lc->is_half_closed);
    lc->inside++;
    if (msg.len > lc->local->server->opts.recv_bytes_max) {
        refuse_large(lc, msg.len);
    } else if (lc->call.is_paused && !lc->call.is_answered) {
        messages_push(&lc->held, msg);
    } else {
        deliver(lc, msg);
    }
    lc->inside--;
}

bool grpc_local_can_send(struct grpc_local_call *lc)
{
    if (lc->held.bytes.len - lc->held.at < LOCAL_HELD_BYTES) {
        return true;
    }
    lc->is_send_blocked = true;
    return false;
}

static void half_close(struct grpc_local_call *lc)
{
    const struct grpc_call *call = &lc->call;
    lc->is_close_owed = false;
    if (!call->is_answered && call->method->kind != GRPC_KIND_UNARY &&
        call->method->on_half_close != NULL) {
        call->method->on_half_close(&lc->call);
    }
}

void grpc_local_half_close(struct grpc_local_call *lc)
{
    ensure(!lc->is_half_closed);
    lc->is_half_closed = lc->is_close_owed = true;
    lc->inside++;
    if (!lc->call.is_paused || lc->call.is_answered) {
        half_close(lc);
    }
    lc->inside--;
}

static void pump_soon(struct grpc_local_call *lc);

static void remote_unpause(struct grpc_call *call)
{
    struct grpc_local_call *lc = local_of(call);
    call->is_paused = false;
    lc->inside++;
    while (!call->is_paused && !messages_is_empty(&lc->held)) {
        struct messages now = lc->held; /* the service may pause again, never push */
        struct slice msg = messages_pop(&now);
        lc->held.at = now.at;
        deliver(lc, msg);
    }
    messages_trim(&lc->held);
    if (!call->is_paused && lc->is_close_owed) {
        half_close(lc);
    }
    lc->inside--;
    if (lc->is_send_blocked) {
        pump_soon(lc);
    }
}

void grpc_local_cancel(struct grpc_local_call *lc)
{
    struct grpc_call *call = &lc->call;
    lc->inside++;
    lc->is_gone = true;
    if (!call->is_answered && call->is_started && call->method->on_cancel != NULL) {
        call->method->on_cancel(call, ERR_RPC_CONTEXT_CANCELED);
    }
    if (lc->source != NULL) {
        struct grpc_source *src = lc->source;
        lc->source = NULL;
        src->ops->close(src);
    }
    if (!call->is_answered) {
        grpc_call_answered(call, GRPC_CANCELLED);
    }
    lc->inside--;
    maybe_free(lc);
}

/* ---- from the service ---- */

static void pump_all(void *arg);

static void pump_soon(struct grpc_local_call *lc)
{
    struct grpc_local *l = lc->local;
    if (!list_node_is_linked(&lc->pump_node)) {
        list_push_back(&l->pumps, &lc->pump_node);
    }
    if (!l->is_deferred) {
        l->is_deferred = true;
        l->server->env->exec->ops->defer(l->server->env->exec, pump_all, l);
    }
}

static void queue(struct grpc_local_call *lc, struct slice msg)
{
    struct grpc_server *s = lc->local->server;
    lc->call.stats->msg_sent++;
    s->stats.bytes_sent += msg.len;
    if (lc->is_gone) {
        return;
    }
    lc->call.queued += msg.len;
    s->stats.response_bytes_queued += msg.len;
    messages_push(lc->source != NULL ? &lc->behind : &lc->out, msg);
    pump_soon(lc);
}

static void ended(struct grpc_local_call *lc, enum grpc_code code)
{
    lc->code = code;
    lc->is_ended = true;
    grpc_call_answered(&lc->call, code);
    pump_soon(lc);
}

static void remote_unary(struct grpc_call *call, struct slice msg, struct rcbuf *owner)
{
    queue(local_of(call), msg);
    rcbuf_unref(owner);
    ended(local_of(call), GRPC_OK);
}

static void remote_end(struct grpc_call *call, enum grpc_code code, struct slice text)
{
    struct grpc_local_call *lc = local_of(call);
    buf_append_slice(&lc->text, text);
    ended(lc, code);
}

static void remote_send_parts(struct grpc_call *call, const struct grpc_part *parts, size_t count)
{
    struct buf msg = BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        buf_append_slice(&msg, parts[i].bytes);
        rcbuf_unref(parts[i].owner);
    }
    queue(local_of(call), buf_slice(&msg));
    buf_deinit(&msg);
}

static void remote_source(struct grpc_call *call, uint64_t total_len, struct grpc_source *src,
                          bool is_last)
{
    struct grpc_local_call *lc = local_of(call);
    ensure(lc->source == NULL);
    call->stats->msg_sent++;
    lc->local->server->stats.bytes_sent += total_len;
    if (lc->is_gone) {
        src->ops->close(src);
    } else {
        lc->source = src;
        lc->source_left = total_len;
        lc->is_source_begun = false;
        call->source_count = 1;
        call->source_waits = false;
        call->is_blocked = true;
    }
    if (is_last) {
        ended(lc, GRPC_OK);
    }
    pump_soon(lc);
}

static void remote_resume(struct grpc_call *call)
{
    call->is_resumed = true;
    call->source_waits = false;
    pump_soon(local_of(call));
}

/* ---- to the caller ---- */

static void source_close(struct grpc_local_call *lc)
{
    struct grpc_source *src = lc->source;
    lc->source = NULL;
    lc->call.source_count = 0;
    src->ops->close(src);
    if (messages_is_empty(&lc->out)) {
        struct messages old = lc->out;
        lc->out = lc->behind;
        lc->behind = old;
        messages_trim(&lc->behind);
    }
}

static void remote_drop_output(struct grpc_call *call)
{
    struct grpc_local_call *lc = local_of(call);
    output_forget(lc);
    if (lc->source != NULL) {
        source_close(lc);
    }
}

static void source_broken(struct grpc_local_call *lc)
{
    source_close(lc);
    if (!lc->call.is_answered) {
        if (lc->call.method->on_cancel != NULL) {
            lc->call.method->on_cancel(&lc->call, ERR_RPC_CONTEXT_CANCELED);
        }
        grpc_call_answered(&lc->call, GRPC_INTERNAL);
    }
    output_forget(lc);
    lc->code = GRPC_INTERNAL;
    lc->is_ended = true;
}

/* One chunk; false: the source waits, or is no more. */
static bool pull_chunk(struct grpc_local_call *lc)
{
    size_t max = lc->source_left < LOCAL_CHUNK_BYTES ? (size_t)lc->source_left : LOCAL_CHUNK_BYTES;
    size_t got = 0;
    lc->call.is_resumed = false;
    int err = lc->source->ops->pull(lc->source, lc->local->chunk, max, &got);
    ensure(got <= max && (got > 0 || err != 0));
    lc->source_left -= got;
    if (got > 0) {
        lc->is_full = !lc->ops->on_bytes(lc->arg, slice_make(lc->local->chunk, got));
    }
    if (lc->source == NULL) { /* the caller went */
        return false;
    }
    if (err == ERR_AGAIN && lc->source_left > 0) {
        lc->call.source_waits = !lc->call.is_resumed;
        return lc->call.is_resumed;
    }
    if (err != 0 && err != ERR_AGAIN) {
        source_broken(lc);
        return false;
    }
    return true;
}

static void pump_source(struct grpc_local_call *lc)
{
    if (!lc->is_source_begun) {
        lc->is_source_begun = true;
        lc->ops->on_message(lc->arg, lc->source_left);
    }
    while (lc->source != NULL && lc->source_left > 0 && !lc->is_full && !lc->call.source_waits &&
           pull_chunk(lc)) {
    }
    if (lc->source != NULL && lc->source_left == 0) {
        source_close(lc);
    }
}

static void pump_messages(struct grpc_local_call *lc)
{
    while (!lc->is_full && !lc->is_gone && !messages_is_empty(&lc->out)) {
        struct slice msg = messages_pop(&lc->out);
        lc->call.queued -= msg.len;
        lc->local->server->stats.response_bytes_queued -= msg.len;
        lc->ops->on_message(lc->arg, msg.len);
        if (!lc->is_gone && msg.len > 0) {
            lc->is_full = !lc->ops->on_bytes(lc->arg, msg);
        }
    }
    messages_trim(&lc->out);
}

static void tell_writable(struct grpc_local_call *lc)
{
    struct grpc_call *call = &lc->call;
    if (call->is_answered || !call->is_blocked || !grpc_call_has_room(call)) {
        return;
    }
    call->is_blocked = false;
    if (call->method->on_writable != NULL) {
        call->method->on_writable(call);
    }
}

static void tell_sendable(struct grpc_local_call *lc)
{
    if (lc->is_send_blocked && !lc->is_gone && grpc_local_can_send(lc)) {
        lc->is_send_blocked = false;
        if (lc->ops->on_sendable != NULL) {
            lc->ops->on_sendable(lc->arg);
        }
    }
}

static bool has_output(const struct grpc_local_call *lc)
{
    return lc->source != NULL || !messages_is_empty(&lc->out) || !messages_is_empty(&lc->behind);
}

static void pump(struct grpc_local_call *lc)
{
    lc->inside++;
    pump_messages(lc);
    if (lc->source != NULL && messages_is_empty(&lc->out) && !lc->is_gone && !lc->is_full) {
        pump_source(lc);
        pump_messages(lc);
    }
    tell_writable(lc);
    tell_sendable(lc);
    if (lc->is_ended && !lc->is_gone && !has_output(lc)) {
        lc->is_gone = true;
        lc->ops->on_end(lc->arg, lc->code, buf_slice(&lc->text));
    }
    lc->inside--;
    maybe_free(lc);
}

static void pump_all(void *arg)
{
    struct grpc_local *l = arg;
    struct list now;
    list_init(&now);
    l->is_deferred = false;
    list_splice_back(&now, &l->pumps);
    for (struct list_node *n; (n = list_first(&now)) != NULL;) {
        list_remove(n);
        pump(LIST_ENTRY(n, struct grpc_local_call, pump_node));
    }
}

void grpc_local_resume(struct grpc_local_call *lc)
{
    if (lc->is_full) {
        lc->is_full = false;
        pump_soon(lc);
    }
}

/* ---- what a call is ---- */

static uint64_t remote_deadline_ms(const struct grpc_call *call)
{
    return call->deadline.slot != 0 ? call->deadline.at_ms : 0;
}

static const char *remote_peer(const struct grpc_call *call)
{
    return ((const struct grpc_local_call *)(const void *)call)->peer;
}

static const char *remote_common_name(const struct grpc_call *call)
{
    (void)call;
    return "";
}

static const struct grpc_remote_ops local_remote = {
    .unary = remote_unary,
    .end = remote_end,
    .send_parts = remote_send_parts,
    .source = remote_source,
    .resume = remote_resume,
    .unpause = remote_unpause,
    .deadline_ms = remote_deadline_ms,
    .peer = remote_peer,
    .common_name = remote_common_name,
    .drop_output = remote_drop_output,
};
