/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/conn: one accepted connection: protocol choice, reading with bounds, flushing, timers, end.
 *
 *     accepted --(TLS)--> first bytes --"PRI * HTTP/2.0"--> H2
 *                              |-- "GET / HTTP/1.1" ------> H1
 *                              +-- anything else ---------> closed without a byte
 *
 * A connection dies in one place only: env's on_close.  Until then `link.is_closing` keeps events
 * away; sessions are destroyed when closing begins, never from inside one of their callbacks.
 */
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "rpc/server_private.h"

enum { TLS_HANDSHAKE_TYPE = 22 }; /* first byte of a TLS connection */

static const struct rpc_link_ops link_ops;

static void timer_fire(struct env_timer *t);

/* ---- life -------------------------------------------------------------------------------------
 */

static void refuse(struct rpc_server *s, struct env_conn *conn)
{
    s->stats.conns_refused++;
    conn->ops->close(conn, 0);
}

static void refused_data(void *arg, struct slice bytes)
{
    (void)arg;
    (void)bytes;
}

static void refused_event(void *arg)
{
    (void)arg;
}

static void refused_close(void *arg, int err)
{
    (void)arg;
    (void)err;
}

static const struct env_conn_events refused_events = {
    .on_data = refused_data,
    .on_eof = refused_event,
    .on_drain = refused_event,
    .on_close = refused_close,
};

static void handshake_begin(struct rpc_conn *c)
{
    c->header_deadline_ms = env_mono_ms(c->server->env) + LIMIT_TLS_HANDSHAKE_MS;
    rpc_shake_begin(c);
}

static bool may_handshake(struct rpc_link *link)
{
    return rpc_shake_may_work(container_of(link, struct rpc_conn, link));
}

static void on_asked(struct rpc_link *link)
{
    struct rpc_conn *c = container_of(link, struct rpc_conn, link);
    if (c->listener->opts.address_has_name != NULL) {
        rpc_shake_ask(c);
    } else {
        rpc_link_answer(link, false);
    }
}

void rpc_conn_accept(struct rpc_server *s, struct rpc_listener *l, struct env_conn *conn)
{
    conn->events = &refused_events;
    conn->arg = NULL;
    struct rpc_tls *tls = NULL;
    bool is_tls_only = l->opts.tls != NULL && !l->opts.has_plain;
    if (is_tls_only && !s->is_stopping) {
        tls = l->opts.tls->create(l->opts.tls->arg, conn->ops->peer_name(conn));
    }
    /* With workers, what comes here is what no worker may have. */
    bool is_full = s->stats.conns_open >= s->opts.connections_max || s->worker_count > 0;
    if (s->is_stopping || is_full || (is_tls_only && tls == NULL)) {
        if (tls != NULL) {
            tls->ops->destroy(tls);
        }
        refuse(s, conn);
        return;
    }
    struct rpc_conn *c = mem_zalloc(sizeof(*c));
    c->server = s;
    c->listener = l;
    c->peer = mem_strdup(conn->ops->peer_name(conn));
    c->is_tls_decided = is_tls_only || l->opts.tls == NULL;
    c->timer.fire = timer_fire;
    list_push_back(&s->conns, &c->node);
    list_node_init(&c->dirty_node);
    list_node_init(&c->shake_node);
    list_node_init(&c->wait_node);
    s->stats.conns_accepted++;
    s->stats.conns_open++;
    c->header_deadline_ms = env_mono_ms(s->env) + s->opts.header_timeout_ms;
    rpc_link_attach(&c->link, conn, tls, &s->scratch, &link_ops);
    if (tls != NULL) {
        handshake_begin(c);
    }
    rpc_conn_rearm(c);
}

static void count_bytes(struct rpc_conn *c)
{
    c->server->stats.bytes_in += c->link.bytes_in;
    c->server->stats.bytes_out += c->link.bytes_out;
    c->link.bytes_in = c->link.bytes_out = 0;
}

static void sessions_destroy(struct rpc_conn *c)
{
    grpc_conn_destroy(c->h2);
    c->h2 = NULL;
    if (c->req != NULL) {
        struct rpc_http_req *req = c->req;
        c->req = NULL;
        rpc_http_req_gone(req);
    }
    h1_server_destroy(c->h1);
    c->h1 = NULL;
}

void rpc_conn_close(struct rpc_conn *c, uint64_t flush_ms)
{
    if (c->link.is_closing) {
        return;
    }
    sessions_destroy(c);
    rpc_shake_end(c);
    rpc_link_close(&c->link, flush_ms);
}

static void on_closed(struct rpc_link *link, int err)
{
    (void)err;
    struct rpc_conn *c = container_of(link, struct rpc_conn, link);
    struct rpc_server *s = c->server;
    sessions_destroy(c);
    rpc_shake_end(c);
    if (c->timer.is_active) {
        s->env->exec->ops->timer_stop(s->env->exec, &c->timer);
    }
    if (list_node_is_linked(&c->dirty_node)) {
        list_remove(&c->dirty_node);
    }
    list_remove(&c->node);
    s->stats.conns_open--;
    count_bytes(c);
    buf_deinit(&c->sniffed);
    mem_free(c->peer);
    mem_free(c);
    rpc_server_conn_gone(s);
}

/* ---- protocol choice --------------------------------------------------------------------------
 */

static const char h2_preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum sniff { SNIFF_MORE, SNIFF_H2, SNIFF_H1, SNIFF_REFUSE };

static bool is_request_line(struct slice line)
{
    if (line.len > 0 && line.data[line.len - 1] == '\r') {
        line.len--;
    }
    static const struct slice tail = SLICE_LIT(" HTTP/1.");
    if (line.len < tail.len + 3 || line.data[0] == ' ') {
        return false;
    }
    const uint8_t *at = line.data + line.len - tail.len - 1;
    return memcmp(at, tail.data, tail.len) == 0 && (at[tail.len] == '0' || at[tail.len] == '1') &&
           memchr(line.data, ' ', (size_t)(at - line.data)) != NULL;
}

static enum sniff sniff(struct slice s)
{
    size_t n = sizeof(h2_preface) - 1;
    size_t cmp = s.len < n ? s.len : n;
    if (memcmp(s.data, h2_preface, cmp) == 0) {
        return cmp == n ? SNIFF_H2 : SNIFF_MORE;
    }
    const uint8_t *eol = memchr(s.data, '\n', s.len);
    if (eol != NULL) {
        return is_request_line(slice_make(s.data, (size_t)(eol - s.data))) ? SNIFF_H1
                                                                           : SNIFF_REFUSE;
    }
    return s.len > RPC_SNIFF_MAX ? SNIFF_REFUSE : SNIFF_MORE;
}

static void on_http_request(void *arg, struct h2_stream *st)
{
    rpc_h2_request_begin(arg, st);
}

static void on_want_write(void *arg)
{
    rpc_conn_dirty(arg);
}

static const struct grpc_conn_ops h2_ops = {
    .on_want_write = on_want_write,
    .on_http_request = on_http_request,
};

static bool start_h2(struct rpc_conn *c)
{
    if ((c->listener->opts.accept & RPC_ACCEPT_GRPC) == 0 || c->server->opts.grpc == NULL) {
        return false;
    }
    struct rpc_tls *tls = c->link.tls;
    struct grpc_conn_options o = {
        .is_mixed = tls != NULL,
        .peer = c->peer,
        .common_name = tls != NULL ? tls->ops->peer_common_name(tls) : "",
    };
    if (grpc_conn_create(c->server->opts.grpc, &o, &h2_ops, c, &c->h2) != 0) {
        return false;
    }
    c->proto = PROTO_H2;
    c->header_deadline_ms = 0;
    c->tick_ms = grpc_conn_tick(c->h2, env_mono_ms(c->server->env));
    rpc_conn_rearm(c);
    rpc_conn_dirty(c);
    return true;
}

static bool start_h1(struct rpc_conn *c)
{
    if ((c->listener->opts.accept & RPC_ACCEPT_HTTP) == 0) {
        return false;
    }
    c->h1 = h1_server_create(&rpc_h1_ops, c);
    c->proto = PROTO_H1;
    return true;
}

/* On a port that serves both, a TLS record begins with 22 (handshake). True: bytes were used. */
static bool maybe_start_tls(struct rpc_conn *c, struct slice bytes)
{
    if (c->is_tls_decided) {
        return false;
    }
    c->is_tls_decided = true;
    if (bytes.data[0] != TLS_HANDSHAKE_TYPE) {
        return false;
    }
    const struct rpc_tls_factory *f = c->listener->opts.tls;
    struct rpc_tls *tls = f->create(f->arg, c->peer);
    if (tls == NULL) {
        rpc_conn_close(c, 0);
        return true;
    }
    rpc_link_start_tls(&c->link, tls);
    handshake_begin(c);
    rpc_conn_rearm(c);
    rpc_link_feed(&c->link, bytes);
    return true;
}

/* etcd closes such a connection in silence; that the scheme is wrong should be found in the log. */
static bool is_tls_on_plain(struct rpc_conn *c, struct slice bytes)
{
    if (c->listener->opts.tls != NULL || c->sniffed.len > 0 ||
        bytes.data[0] != TLS_HANDSHAKE_TYPE) {
        return false;
    }
    log_warn(c->listener->opts.is_peer ? "rejected connection on peer endpoint"
                                       : "rejected connection on client endpoint",
             LOG_STR("remote-addr", c->peer), LOG_STR("server-name", ""),
             LOG_STR("error", "the client speaks TLS (https://), this address is plain text "
                              "(http://)"));
    return true;
}

static void session_recv(struct rpc_conn *c, struct slice bytes);

static void choose(struct rpc_conn *c, struct slice bytes)
{
    if (is_tls_on_plain(c, bytes)) {
        rpc_conn_close(c, 0);
        return;
    }
    buf_append_slice(&c->sniffed, bytes);
    enum sniff what = sniff(buf_slice(&c->sniffed));
    if (what == SNIFF_MORE) {
        return;
    }
    bool ok = what == SNIFF_H2 ? start_h2(c) : what == SNIFF_H1 ? start_h1(c) : false;
    if (!ok) {
        rpc_conn_close(c, 0);
        return;
    }
    struct buf held = c->sniffed;
    buf_init(&c->sniffed);
    session_recv(c, buf_slice(&held));
    buf_deinit(&held);
}

/* After a TLS handshake ALPN decides; without ALPN it is HTTP/1 (client-api 4.1). */
static void on_ready(struct rpc_link *link)
{
    struct rpc_conn *c = container_of(link, struct rpc_conn, link);
    if (link->tls == NULL) {
        return;
    }
    rpc_shake_end(c);
    c->header_deadline_ms = env_mono_ms(c->server->env) + c->server->opts.header_timeout_ms;
    bool is_h2 = strcmp(link->tls->ops->alpn(link->tls), "h2") == 0;
    if (!(is_h2 ? start_h2(c) : start_h1(c))) {
        rpc_conn_close(c, 0);
    } else {
        rpc_conn_rearm(c);
    }
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static void session_recv(struct rpc_conn *c, struct slice bytes)
{
    if (c->proto == PROTO_H2) {
        if (grpc_conn_recv(c->h2, bytes) != 0) {
            rpc_conn_flush(c); /* a GOAWAY that says why */
            rpc_conn_close(c, RPC_CLOSE_FLUSH_MS);
        }
        return;
    }
    h1_server_recv(c->h1, bytes);
    rpc_conn_rearm(c);
    rpc_conn_dirty(c);
}

static void on_bytes(struct rpc_link *link, struct slice bytes)
{
    struct rpc_conn *c = container_of(link, struct rpc_conn, link);
    if (c->proto != PROTO_NONE) {
        session_recv(c, bytes);
    } else if (bytes.len > 0 && !maybe_start_tls(c, bytes)) {
        choose(c, bytes);
    }
}

/* What was answered already leaves first; what is not, is given up: as Go's server, which takes the
 * end of input for the end of the client. */
static void on_eof(struct rpc_link *link)
{
    struct rpc_conn *c = container_of(link, struct rpc_conn, link);
    if (c->proto == PROTO_NONE) {
        rpc_conn_close(c, 0);
        return;
    }
    c->is_eof = true;
    rpc_conn_dirty(c);
}

static void on_drain(struct rpc_link *link)
{
    rpc_conn_dirty(container_of(link, struct rpc_conn, link));
}

static const struct rpc_link_ops link_ops = {
    .on_ready = on_ready,
    .on_bytes = on_bytes,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_closed = on_closed,
    .may_handshake = may_handshake,
    .on_asked = on_asked,
};

/* ---- writing ----------------------------------------------------------------------------------
 */

/* One gathering and one write.  False: nothing to write, or an error that closed. */
static bool flush_once(struct rpc_conn *c)
{
    struct http_out *out = &c->server->scratch.out;
    http_out_reset(out);
    int err = 0;
    if (c->h2 != NULL) {
        err = grpc_conn_send(c->h2, out, RPC_FLUSH_BYTES);
    } else if (c->h1 != NULL) {
        h1_server_send(c->h1, out);
    }
    bool wrote = out->bytes > 0;
    rpc_link_write(&c->link, out);
    if (c->h1 != NULL) {
        h1_server_sent(c->h1);
    }
    http_out_reset(out);
    if (err != 0) {
        rpc_conn_close(c, RPC_CLOSE_FLUSH_MS);
        return false;
    }
    return wrote && !c->link.is_closing;
}

static bool session_is_done(const struct rpc_conn *c)
{
    return (c->h2 != NULL && grpc_conn_is_done(c->h2)) ||
           (c->h1 != NULL && h1_server_is_done(c->h1) && h1_server_queued(c->h1) == 0);
}

static void set_pause(struct rpc_conn *c)
{
    bool is_full = rpc_link_queued(&c->link) >= LIMIT_CONN_OUT_BYTES;
    bool no_read = c->h1 != NULL && !h1_server_wants_read(c->h1);
    rpc_link_pause(&c->link, is_full || no_read);
}

void rpc_conn_flush(struct rpc_conn *c)
{
    if (c->link.is_closing) {
        return;
    }
    int rounds = 0;
    bool more = true;
    count_bytes(c);
    while (more && rpc_link_queued(&c->link) < LIMIT_CONN_OUT_BYTES) {
        if (rounds++ == RPC_FLUSH_ROUNDS) {
            rpc_conn_dirty(c); /* the others' turn */
            break;
        }
        more = flush_once(c);
    }
    if (c->link.is_closing) {
        return;
    }
    if (c->req != NULL) {
        rpc_http_req_maybe_writable(c->req);
    } else if (c->h1 != NULL) {
        rpc_conn_rearm(c); /* after an answer from outside of recv the next head may have begun */
    }
    if (c->is_eof || session_is_done(c)) {
        rpc_conn_close(c, RPC_CLOSE_FLUSH_MS);
        return;
    }
    set_pause(c);
}

/* ---- timers -----------------------------------------------------------------------------------
 */

void rpc_conn_rearm(struct rpc_conn *c)
{
    struct env *env = c->server->env;
    if (c->proto == PROTO_H1) {
        bool waits = c->h1 != NULL && c->req == NULL && !h1_server_is_idle(c->h1) &&
                     !h1_server_is_done(c->h1);
        if (!waits) {
            c->header_deadline_ms = 0;
        } else if (c->header_deadline_ms == 0) {
            c->header_deadline_ms = env_mono_ms(env) + c->server->opts.header_timeout_ms;
        }
    }
    uint64_t at = c->header_deadline_ms != 0 ? c->header_deadline_ms : c->tick_ms;
    if (at == 0) {
        if (c->timer.is_active) {
            env->exec->ops->timer_stop(env->exec, &c->timer);
        }
        return;
    }
    uint64_t now = env_mono_ms(env);
    env->exec->ops->timer_start(env->exec, &c->timer, at > now ? at - now : 0);
}

static void timer_fire(struct env_timer *t)
{
    struct rpc_conn *c = container_of(t, struct rpc_conn, timer);
    uint64_t now = env_mono_ms(c->server->env);
    if (c->link.is_closing) {
        return;
    }
    if (c->header_deadline_ms != 0 && now >= c->header_deadline_ms) {
        if (list_node_is_linked(&c->shake_node)) {
            c->link.tls->ops->reject(c->link.tls, "TLS handshake timeout");
        }
        rpc_conn_close(c, 0);
        return;
    }
    if (c->tick_ms != 0 && now >= c->tick_ms) {
        c->tick_ms = grpc_conn_tick(c->h2, now);
        if (c->tick_ms == 0) {
            rpc_conn_close(c, 0);
            return;
        }
    }
    rpc_conn_rearm(c);
}

void rpc_conn_drain(struct rpc_conn *c)
{
    if (c->link.is_closing || c->is_draining) {
        return;
    }
    c->is_draining = true;
    if (c->h2 != NULL) {
        grpc_conn_drain(c->h2);
    } else if (c->h1 != NULL) {
        h1_server_drain(c->h1);
        rpc_conn_dirty(c);
    } else {
        rpc_conn_close(c, 0);
    }
}
