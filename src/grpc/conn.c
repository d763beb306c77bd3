/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/conn: one server connection: session, ping policy, keepalive, graceful end.
 */
#include <string.h>

#include "base/limits.h"
#include "grpc/call_private.h"

static const uint8_t drain_ping[8] = {1, 6, 1, 8, 0, 3, 3, 9};
static const uint8_t keepalive_ping[8] = {0, 0, 0, 0, 0, 0, 0, 1};

enum { GRPC_CONN_WINDOW = 1 << 20 };

void grpc_conn_dirty(struct grpc_conn *c)
{
    if (!c->is_dirty && !c->is_inside) {
        c->is_dirty = true;
        c->ops->on_want_write(c->arg);
    }
}

static void on_begin(void *arg, struct h2_stream *st)
{
    struct grpc_conn *c = arg;
    if (c->server->stats.streams_open >= c->server->opts.streams_max) {
        h2_stream_reset(st, H2_REFUSED_STREAM); /* clients may try again: nothing was done */
        return;
    }
    struct grpc_call *call = grpc_server_call_get(c->server);
    call->conn = c;
    call->stream = st;
    h2_stream_set_ops(st, &grpc_request_ops, call);
}

/* ---- pings ------------------------------------------------------------------------------------
 */

/* grpc-go's policy: a ping too soon after the last is a strike, unless data was sent between. */
static void ping_judge(struct grpc_conn *c)
{
    uint64_t last = c->last_ping_ms;
    c->last_ping_ms = c->now_ms == 0 ? 1 : c->now_ms;
    if (h2_session_take_has_sent(c->h2)) {
        c->ping_strikes = 0;
        return;
    }
    uint64_t min_ms = h2_session_stream_count(c->h2) > 0 ? c->server->opts.ping_min_interval_ms
                                                         : (uint64_t)GRPC_PING_IDLE_MS;
    if (last == 0 || c->now_ms - last >= min_ms) {
        return;
    }
    if (++c->ping_strikes > GRPC_PING_STRIKES_MAX) {
        h2_session_terminate(c->h2, H2_ENHANCE_YOUR_CALM, SLICE_LIT("too_many_pings"));
    }
}

static void on_ping(void *arg, bool is_ack, const uint8_t opaque[8])
{
    struct grpc_conn *c = arg;
    if (!is_ack) {
        if (!c->is_mixed) {
            ping_judge(c);
        }
        return;
    }
    if (c->drain == DRAIN_NOTICE && memcmp(opaque, drain_ping, 8) == 0) {
        c->drain = DRAIN_FINAL;
        h2_session_goaway(c->h2, H2_NO_ERROR, SLICE_NULL);
        grpc_conn_dirty(c);
    }
}

uint64_t grpc_conn_tick(struct grpc_conn *c, uint64_t now_ms)
{
    const struct grpc_server_options *o = &c->server->opts;
    if (c->last_recv_ms == 0) {
        c->last_recv_ms = now_ms;
    }
    if (c->ping_sent_ms != 0 && c->last_recv_ms >= c->ping_sent_ms) {
        c->ping_sent_ms = 0;
    }
    if (c->ping_sent_ms != 0) {
        uint64_t due = c->ping_sent_ms + o->ping_timeout_ms;
        return now_ms >= due ? 0 : due;
    }
    if (now_ms - c->last_recv_ms < o->ping_interval_ms) {
        return c->last_recv_ms + o->ping_interval_ms;
    }
    h2_session_ping(c->h2, keepalive_ping);
    c->ping_sent_ms = now_ms;
    grpc_conn_dirty(c);
    return now_ms + o->ping_timeout_ms;
}

void grpc_conn_drain(struct grpc_conn *c)
{
    if (c->drain != DRAIN_NO) {
        return;
    }
    c->drain = DRAIN_NOTICE;
    h2_session_shutdown_notice(c->h2, SLICE_LIT("graceful_stop"));
    h2_session_ping(c->h2, drain_ping);
    grpc_conn_dirty(c);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static const struct h2_session_ops session_ops = {
    .on_begin = on_begin,
    .on_ping = on_ping,
};

/* client-api 4.2. */
static struct h2_options h2_options_of(const struct grpc_conn *c)
{
    struct h2_options o = {
        .is_server = true,
        .max_concurrent_streams = c->server->opts.max_concurrent_streams,
        .conn_window = GRPC_CONN_WINDOW,
        .header_list_max = LIMIT_HEADER_LIST_BYTES,
    };
    if (c->is_mixed) {
        if (o.max_concurrent_streams == 0) {
            o.max_concurrent_streams = UINT32_MAX;
        }
        o.stream_window = 1048576;
        o.max_frame_size = 1048576;
        o.max_header_list = 1048896;
    }
    return o;
}

int grpc_conn_create(struct grpc_server *s, const struct grpc_conn_options *opts,
                     const struct grpc_conn_ops *ops, void *arg, struct grpc_conn **out)
{
    struct grpc_conn *c = mem_zalloc(sizeof(*c));
    c->server = s;
    c->ops = ops;
    c->arg = arg;
    c->is_mixed = opts->is_mixed;
    list_init(&c->ready);
    list_init(&c->held);
    struct h2_options o = h2_options_of(c);
    int err = h2_session_create(&o, s->pool, &session_ops, c, &c->h2);
    if (err != 0) {
        mem_free(c);
        return err;
    }
    c->peer = mem_strdup(opts->peer != NULL ? opts->peer : "");
    c->common_name = mem_strdup(opts->common_name != NULL ? opts->common_name : "");
    *out = c;
    return 0;
}

void grpc_conn_destroy(struct grpc_conn *c)
{
    if (c == NULL) {
        return;
    }
    ensure(!c->is_inside);
    c->is_inside = true; /* nothing is to be sent any more */
    h2_session_destroy(c->h2);
    ensure(list_is_empty(&c->ready) && list_is_empty(&c->held) && c->held_bytes == 0);
    mem_free(c->peer);
    mem_free(c->common_name);
    mem_free(c);
}

/* ---- bytes ------------------------------------------------------------------------------------
 */

int grpc_conn_recv(struct grpc_conn *c, struct slice bytes)
{
    c->now_ms = env_mono_ms(c->server->env);
    c->last_recv_ms = c->now_ms;
    c->is_inside = true;
    int err = h2_session_recv(c->h2, bytes, c->now_ms);
    c->is_inside = false;
    if (h2_session_wants_write(c->h2) || h2_session_is_done(c->h2)) {
        grpc_conn_dirty(c);
    }
    return err;
}

/* on_writable of the calls that have room again, outside the session. */
static void tell_writable(struct grpc_conn *c)
{
    struct list now;
    list_init(&now);
    while (!list_is_empty(&c->ready)) { /* a call that blocks again waits for the next send */
        struct list_node *n = list_first(&c->ready);
        list_remove(n);
        list_push_back(&now, n);
    }
    while (!list_is_empty(&now)) {
        struct list_node *n = list_first(&now);
        struct grpc_call *call = LIST_ENTRY(n, struct grpc_call, ready_node);
        list_remove(n);
        if (call->is_answered || !call->is_blocked) {
            continue;
        }
        call->is_blocked = false;
        if (call->method->on_writable != NULL) {
            call->method->on_writable(call);
        }
    }
}

int grpc_conn_send(struct grpc_conn *c, struct http_out *out, size_t max)
{
    c->is_inside = true;
    int err = h2_session_send(c->h2, out, max);
    c->is_inside = false;
    c->is_dirty = false;
    tell_writable(c);
    return err;
}

bool grpc_conn_is_done(const struct grpc_conn *c)
{
    return h2_session_is_done(c->h2);
}

size_t grpc_conn_held_bytes(const struct grpc_conn *c)
{
    return c->held_bytes;
}

size_t grpc_conn_stream_count(const struct grpc_conn *c)
{
    return h2_session_stream_count(c->h2);
}
