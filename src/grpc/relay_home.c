/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/relay_home: the half of a relay on the services' thread: calls that stand for those on a
 * connection elsewhere, and the answers they are given.
 *
 * A home call lives from RELAY_OPEN until it is answered or cancelled and has no source any more,
 * and none of its service's functions is running.
 */
#include <string.h>

#include "base/limits.h"
#include "grpc/relay_private.h"

struct relay_home_call {
    struct grpc_call call; /* first */
    struct grpc_relay *relay;
    uint64_t id;
    uint64_t deadline_ms;
    const char *peer; /* in call.meta's memory, as common_name */
    const char *common_name;
    struct list held; /* mails that wait while the service has paused the call */
    uint64_t taken;   /* message bytes to give back with RELAY_TAKEN */
    struct grpc_source *source;
    uint64_t source_left; /* bytes not yet made */
    uint64_t credit;      /* bytes that may be made */
    struct list behind;   /* mails that wait for the source to be made */
    struct list_node pump_node;
    int inside; /* functions of the service that are running */
    bool is_broken;
    bool is_gone; /* the net's call is over: nothing more is sent */
};

static struct relay_home_call *home_of(struct grpc_call *call)
{
    return (struct relay_home_call *)(void *)call;
}

static struct relay_home_call **slot_at(struct grpc_relay *r, uint64_t id)
{
    size_t i = (uint32_t)id - 1;
    if (i >= r->call_cap) {
        size_t cap = r->call_cap == 0 ? 64 : r->call_cap;
        while (cap <= i) {
            cap *= 2;
        }
        r->calls = mem_realloc(r->calls, cap * sizeof(struct relay_home_call *));
        memset(r->calls + r->call_cap, 0, (cap - r->call_cap) * sizeof(struct relay_home_call *));
        r->call_cap = cap;
    }
    return &r->calls[i];
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void mails_drop(struct grpc_relay *r, struct list *l)
{
    LIST_FOREACH (l, n) {
        list_remove(n);
        struct env_mail *mail = LIST_ENTRY(n, struct env_mail, node);
        relay_mail_put(&r->home_pool, container_of(mail, struct relay_mail, mail));
    }
}

static struct relay_home_call *call_get(struct grpc_relay *r)
{
    struct relay_home_call *hc;
    struct list_node *n = list_first(&r->free_calls);
    if (n == NULL) {
        hc = mem_zalloc(sizeof(*hc));
    } else {
        list_remove(n);
        r->free_count--;
        hc = home_of(LIST_ENTRY(n, struct grpc_call, free_node));
    }
    grpc_server_call_begin(r->home, &hc->call);
    memset((uint8_t *)hc + sizeof(hc->call), 0, sizeof(*hc) - sizeof(hc->call));
    hc->call.conn = &r->conn;
    hc->call.is_relayed = true;
    hc->relay = r;
    hc->credit = RELAY_SOURCE_BYTES;
    list_init(&hc->held);
    list_init(&hc->behind);
    list_node_init(&hc->pump_node);
    return hc;
}

static void call_free(struct relay_home_call *hc)
{
    buf_deinit(&hc->call.meta);
    buf_deinit(&hc->call.copy);
    buf_deinit(&hc->call.message_text);
    mem_free(hc);
}

static void output_forget(struct relay_home_call *hc)
{
    hc->relay->home->stats.response_bytes_queued -= hc->call.queued;
    hc->call.queued = 0;
}

static void call_put(struct relay_home_call *hc)
{
    struct grpc_relay *r = hc->relay;
    struct relay_home_call **slot = slot_at(r, hc->id);
    if (*slot == hc) {
        *slot = NULL;
    }
    if (list_node_is_linked(&hc->pump_node)) {
        list_remove(&hc->pump_node);
    }
    mails_drop(r, &hc->held);
    mails_drop(r, &hc->behind);
    output_forget(hc);
    grpc_server_call_end(r->home, &hc->call);
    if (r->free_count >= GRPC_CALLS_KEPT) {
        call_free(hc);
        return;
    }
    list_push_front(&r->free_calls, &hc->call.free_node);
    r->free_count++;
}

void relay_home_deinit(struct grpc_relay *r)
{
    LIST_FOREACH (&r->free_calls, n) {
        list_remove(n);
        call_free(home_of(LIST_ENTRY(n, struct grpc_call, free_node)));
    }
    mem_free(r->calls);
}

static void maybe_put(struct relay_home_call *hc)
{
    if (hc->call.is_answered && hc->source == NULL && hc->inside == 0) {
        call_put(hc);
    }
}

/* ---- down -------------------------------------------------------------------------------------
 */

static struct relay_mail *mail_for(struct relay_home_call *hc, enum relay_kind kind)
{
    return relay_mail_get(hc->relay, &hc->relay->home_pool, kind, hc->id);
}

/* In order: what is said while a source is being made waits for it. */
static void send(struct relay_home_call *hc, struct relay_mail *m)
{
    if (hc->is_gone) {
        relay_mail_put(&hc->relay->home_pool, m);
    } else if (hc->source != NULL) {
        list_push_back(&hc->behind, &m->mail.node);
    } else {
        relay_push_down(m);
    }
}

static void pump_all(void *arg);

static void pump_soon(struct relay_home_call *hc)
{
    struct grpc_relay *r = hc->relay;
    if (!list_node_is_linked(&hc->pump_node)) {
        list_push_back(&r->pumps, &hc->pump_node);
    }
    if (!r->is_pump_deferred) {
        r->is_pump_deferred = true;
        r->home->env->exec->ops->defer(r->home->env->exec, pump_all, r);
    }
}

static void count_sent(struct relay_home_call *hc, uint64_t len)
{
    hc->call.stats->msg_sent++;
    hc->relay->home->stats.bytes_sent += len;
}

static void answered(struct relay_home_call *hc, enum grpc_code code)
{
    grpc_call_answered(&hc->call, code);
    maybe_put(hc);
}

void grpc_relay_unary(struct grpc_call *call, struct slice msg, struct rcbuf *owner)
{
    struct relay_home_call *hc = home_of(call);
    struct relay_mail *m = mail_for(hc, RELAY_UNARY);
    count_sent(hc, msg.len);
    m->owner = owner;
    if (owner == NULL) {
        buf_append_slice(&m->bytes, msg);
    }
    send(hc, m);
    answered(hc, GRPC_OK);
}

void grpc_relay_end(struct grpc_call *call, enum grpc_code code, struct slice text)
{
    struct relay_home_call *hc = home_of(call);
    struct relay_mail *m = mail_for(hc, RELAY_END);
    m->code = code;
    buf_append_slice(&m->bytes, text);
    send(hc, m);
    answered(hc, code);
}

void grpc_relay_send_parts(struct grpc_call *call, const struct grpc_part *parts, size_t count)
{
    struct relay_home_call *hc = home_of(call);
    struct relay_mail *m = mail_for(hc, RELAY_SEND);
    size_t total = 0;
    if (m->part_cap < count) {
        m->parts = mem_realloc(m->parts, count * sizeof(*m->parts));
        m->part_cap = count;
    }
    for (size_t i = 0; i < count; i++) {
        m->parts[i] = parts[i];
        total += parts[i].bytes.len;
        if (parts[i].owner == NULL || parts[i].bytes.len < GRPC_REF_MIN) {
            buf_append_slice(&m->bytes, parts[i].bytes);
            rcbuf_unref(parts[i].owner);
            m->parts[i].owner = NULL;
        }
    }
    m->part_count = count;
    count_sent(hc, total);
    if (!hc->is_gone) {
        call->queued += total;
        hc->relay->home->stats.response_bytes_queued += total;
    }
    send(hc, m);
}

void grpc_relay_source(struct grpc_call *call, uint64_t total_len, struct grpc_source *src,
                       bool is_last)
{
    struct relay_home_call *hc = home_of(call);
    ensure(hc->source == NULL && call->source_count == 0);
    if (hc->is_gone) {
        src->ops->close(src);
    } else {
        struct relay_mail *m = mail_for(hc, RELAY_SOURCE);
        count_sent(hc, total_len);
        m->number = total_len;
        m->is_last = is_last;
        send(hc, m);
        hc->source = src;
        hc->source_left = total_len;
        call->source_count = 1;
        call->source_waits = false;
        call->is_blocked = true;
        pump_soon(hc);
    }
    if (is_last) {
        answered(hc, GRPC_OK);
    }
}

void grpc_relay_resume(struct grpc_call *call)
{
    struct relay_home_call *hc = home_of(call);
    call->is_resumed = true;
    call->source_waits = false;
    if (hc->source != NULL) {
        pump_soon(hc);
    }
}

/* ---- making a source's bytes ------------------------------------------------------------------
 */

static void source_close(struct relay_home_call *hc)
{
    struct grpc_source *src = hc->source;
    hc->source = NULL;
    src->ops->close(src);
    LIST_FOREACH (&hc->behind, n) {
        struct env_mail *mail = LIST_ENTRY(n, struct env_mail, node);
        list_remove(n);
        send(hc, container_of(mail, struct relay_mail, mail));
    }
}

static void source_broken(struct relay_home_call *hc)
{
    hc->is_broken = true; /* the net side resets the stream and says so */
    relay_push_down(mail_for(hc, RELAY_BROKEN));
}

/* One chunk; false: enough for now. */
static bool make_chunk(struct relay_home_call *hc)
{
    struct relay_mail *m = mail_for(hc, RELAY_CHUNK);
    size_t max = RELAY_CHUNK_BYTES;
    max = hc->source_left < max ? (size_t)hc->source_left : max;
    max = hc->credit < max ? (size_t)hc->credit : max;
    size_t got = 0;
    buf_reserve(&m->bytes, max);
    hc->call.is_resumed = false;
    int err = hc->source->ops->pull(hc->source, m->bytes.data, max, &got);
    ensure(got <= max && (got > 0 || err != 0));
    m->bytes.len = got;
    hc->credit -= got;
    hc->source_left -= got;
    if (got > 0) {
        relay_push_down(m);
    } else {
        relay_mail_put(&hc->relay->home_pool, m);
    }
    if (err == ERR_AGAIN && hc->source_left > 0) {
        hc->call.source_waits = !hc->call.is_resumed;
        return hc->call.is_resumed;
    }
    if (err != 0 && err != ERR_AGAIN) {
        source_broken(hc);
        return false;
    }
    return true;
}

static bool can_make(const struct relay_home_call *hc)
{
    return hc->source != NULL && !hc->is_gone && !hc->is_broken && !hc->call.source_waits &&
           hc->source_left > 0 && hc->credit > 0;
}

static void tell_writable(struct relay_home_call *hc)
{
    struct grpc_call *call = &hc->call;
    if (call->is_answered || !call->is_blocked || !grpc_call_has_room(call)) {
        return;
    }
    call->is_blocked = false;
    if (call->method->on_writable != NULL) {
        call->method->on_writable(call);
    }
}

static void pump(struct relay_home_call *hc)
{
    hc->inside++;
    while (can_make(hc) && make_chunk(hc)) {
    }
    if (hc->source != NULL && hc->source_left == 0) {
        source_close(hc);
    }
    tell_writable(hc);
    hc->inside--;
    maybe_put(hc);
}

/* Outside everything that the services do: they may be called. */
static void pump_all(void *arg)
{
    struct grpc_relay *r = arg;
    struct list now;
    list_init(&now);
    r->is_pump_deferred = false;
    list_splice_back(&now, &r->pumps);
    for (struct list_node *n; (n = list_first(&now)) != NULL;) {
        list_remove(n);
        pump(LIST_ENTRY(n, struct relay_home_call, pump_node));
    }
}

/* ---- up ---------------------------------------------------------------------------------------
 */

static void deliver_message(struct relay_home_call *hc, struct slice msg)
{
    struct grpc_call *call = &hc->call;
    call->stats->msg_received++;
    hc->relay->home->stats.bytes_received += msg.len;
    if (call->method->kind == GRPC_KIND_UNARY && !grpc_request_admit(call, msg)) {
        return;
    }
    call->message = msg;
    call->method->on_message(call, msg);
    call->message = SLICE_NULL;
}

/* As request.c's start. */
static void begin(struct grpc_call *call)
{
    bool is_unary = call->method->kind == GRPC_KIND_UNARY;
    if ((is_unary || grpc_request_admit(call, SLICE_NULL)) && call->method->on_start != NULL) {
        call->method->on_start(call);
    }
}

/* The message that came with the call's begin, when on_start has paused. */
static void keep_message(struct relay_home_call *hc, struct slice msg)
{
    struct relay_mail *m = mail_for(hc, RELAY_MESSAGE);
    m->has_message = true;
    buf_append_slice(&m->bytes, msg);
    list_push_back(&hc->held, &m->mail.node);
}

static void up_open(struct relay_mail *m)
{
    struct grpc_relay *r = m->relay;
    struct relay_home_call *hc = call_get(r);
    struct grpc_call *call = &hc->call;
    struct relay_home_call **slot = slot_at(r, m->id);
    ensure(m->method < r->home->entry_count);
    struct grpc_entry *e = r->home->entries[m->method];
    *slot = hc; /* who had it before is over on the net side, and closes by itself */
    hc->id = m->id;
    hc->deadline_ms = m->deadline_ms;
    /* The mail's bytes become the call's: metadata, and behind their end the rest. */
    struct buf old = call->meta;
    call->meta = m->bytes;
    m->bytes = old;
    size_t peer_at = m->meta_len, name_at = peer_at + m->peer_len;
    size_t msg_at = name_at + m->name_len;
    struct slice msg = slice_make(call->meta.data + msg_at, call->meta.len - msg_at);
    hc->peer = (const char *)call->meta.data + peer_at;
    hc->common_name = (const char *)call->meta.data + name_at;
    call->meta.len = m->meta_len;
    call->method = e->method;
    call->stats = &e->stats;
    call->service = e->service;
    call->is_started = call->is_headed = true;
    e->stats.started++;
    if (r->home->opts.on_handled != NULL) {
        call->start_ns = r->home->env->clock->ops->mono_ns(r->home->env->clock);
    }
    hc->inside++;
    begin(call);
    if (m->has_message && call->is_paused) {
        keep_message(hc, msg);
    } else if (m->has_message && !call->is_answered) {
        deliver_message(hc, msg);
    }
    hc->inside--;
    maybe_put(hc);
}

static void give_taken(struct relay_home_call *hc, size_t msg_len)
{
    hc->taken += msg_len + RELAY_MESSAGE_COST;
    if (hc->taken >= RELAY_IN_BYTES / 4 && !hc->is_gone && !hc->call.is_answered) {
        struct relay_mail *m = mail_for(hc, RELAY_TAKEN);
        m->number = hc->taken;
        hc->taken = 0;
        relay_push_down(m);
    }
}

/* A message or the end of them; true: the mail is kept, because the service has paused. */
static bool up_in_order(struct relay_home_call *hc, struct relay_mail *m)
{
    struct grpc_call *call = &hc->call;
    if (call->is_answered) {
        return false;
    }
    if (call->is_paused || !list_is_empty(&hc->held)) {
        list_push_back(&hc->held, &m->mail.node);
        return true;
    }
    hc->inside++;
    if (m->kind == RELAY_MESSAGE) {
        deliver_message(hc, buf_slice(&m->bytes));
        if (!m->has_message) { /* what came with the call's begin was not counted */
            give_taken(hc, m->bytes.len);
        }
    } else if (call->method->kind != GRPC_KIND_UNARY && call->method->on_half_close != NULL) {
        call->method->on_half_close(call);
    }
    hc->inside--;
    return false;
}

void grpc_relay_unpause(struct grpc_call *call)
{
    struct relay_home_call *hc = home_of(call);
    struct grpc_relay *r = hc->relay;
    struct list waiting;
    call->is_paused = false;
    list_init(&waiting);
    list_splice_back(&waiting, &hc->held);
    hc->inside++;
    for (struct list_node *n; (n = list_first(&waiting)) != NULL;) {
        list_remove(n);
        struct env_mail *mail = LIST_ENTRY(n, struct env_mail, node);
        struct relay_mail *m = container_of(mail, struct relay_mail, mail);
        if (!up_in_order(hc, m)) {
            relay_mail_put(&r->home_pool, m);
        }
    }
    hc->inside--;
    maybe_put(hc);
}

/* For what is counted: the code that the net side has answered with. */
static enum grpc_code code_of(int err)
{
    switch (err) {
    case ERR_RPC_CONTEXT_CANCELED: return GRPC_CANCELLED;
    case ERR_RPC_CONTEXT_DEADLINE: return GRPC_DEADLINE_EXCEEDED;
    case ERR_TOO_LARGE: return GRPC_RESOURCE_EXHAUSTED;
    case ERR_END:
    case ERR_TRUNCATED: return GRPC_UNKNOWN;
    default: return GRPC_INTERNAL;
    }
}

static void up_cancel(struct relay_home_call *hc, int err)
{
    struct grpc_call *call = &hc->call;
    hc->inside++;
    hc->is_gone = true;
    if (!call->is_answered && call->method->on_cancel != NULL) {
        call->method->on_cancel(call, err);
    }
    if (hc->source != NULL) {
        source_close(hc);
    }
    if (!call->is_answered) {
        grpc_call_answered(call, code_of(err));
    }
    hc->inside--;
}

static void up_room(struct relay_home_call *hc, uint64_t bytes)
{
    ensure(hc->call.queued >= bytes);
    hc->call.queued -= (size_t)bytes;
    hc->relay->home->stats.response_bytes_queued -= bytes;
    if (hc->call.is_blocked) {
        pump_soon(hc);
    }
}

static void up_credit(struct relay_home_call *hc, uint64_t bytes)
{
    hc->credit += bytes;
    if (hc->source != NULL) {
        pump_soon(hc);
    }
}

static void up_source_done(struct relay_home_call *hc)
{
    hc->call.source_count = 0;
    hc->credit = RELAY_SOURCE_BYTES;
    pump_soon(hc);
}

/* The stream is over; a call that is not answered learns it by RELAY_CANCEL, before this. */
static void up_source_stop(struct relay_home_call *hc)
{
    hc->is_gone = true;
    if (hc->source != NULL) {
        hc->inside++;
        source_close(hc);
        hc->inside--;
    }
}

static void up_other(struct relay_home_call *hc, const struct relay_mail *m)
{
    switch (m->kind) {
    case RELAY_CANCEL: up_cancel(hc, m->err); break;
    case RELAY_ROOM: up_room(hc, m->number); break;
    case RELAY_CREDIT: up_credit(hc, m->number); break;
    case RELAY_SOURCE_DONE: up_source_done(hc); break;
    case RELAY_SOURCE_STOP: up_source_stop(hc); break;
    case RELAY_OPEN:
    case RELAY_MESSAGE:
    case RELAY_HALF_CLOSE:
    case RELAY_UNARY:
    case RELAY_END:
    case RELAY_SEND:
    case RELAY_SOURCE:
    case RELAY_CHUNK:
    case RELAY_BROKEN:
    case RELAY_TAKEN: ensure(false);
    }
}

void relay_home_deliver(struct relay_mail *m)
{
    struct grpc_relay *r = m->relay;
    if (m->kind == RELAY_OPEN) {
        up_open(m);
        relay_mail_put(&r->home_pool, m);
        return;
    }
    struct relay_home_call *hc = *slot_at(r, m->id);
    bool is_kept = false;
    if (hc != NULL && hc->id == m->id) {
        if (m->kind == RELAY_MESSAGE || m->kind == RELAY_HALF_CLOSE) {
            is_kept = up_in_order(hc, m);
        } else {
            up_other(hc, m);
        }
        maybe_put(hc);
    }
    if (!is_kept) {
        relay_mail_put(&r->home_pool, m);
    }
}

/* ---- what a call is ---------------------------------------------------------------------------
 */

uint64_t grpc_relay_deadline_ms(const struct grpc_call *call)
{
    return ((const struct relay_home_call *)(const void *)call)->deadline_ms;
}

const char *grpc_relay_peer(const struct grpc_call *call)
{
    return ((const struct relay_home_call *)(const void *)call)->peer;
}

const char *grpc_relay_common_name(const struct grpc_call *call)
{
    return ((const struct relay_home_call *)(const void *)call)->common_name;
}
