/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/channel: see rpc_client.h.
 *
 * The client session exists from the start, so that calls can wait in it while the connection is
 * made.  A channel that is destroyed lives on as a shell until its env_conn is closed and its
 * deferred call has run.
 */
#include "base/limits.h"
#include "http/pool.h"
#include "rpc/link.h"
#include "rpc/rpc_client.h"

enum {
    CHANNEL_FLUSH_BYTES = 256 << 10,
    CHANNEL_FLUSH_ROUNDS = 4,
    CHANNEL_CONNECT_MS = 20000,
    CHANNEL_PING_TIMEOUT_MS = 20000,
};

struct rpc_channel {
    struct rpc_link link;
    struct rpc_scratch scratch;
    struct env *env;
    const struct rpc_channel_events *events;
    void *arg;
    struct http_pool *pool;
    struct grpc_client *client; /* NULL: down or destroyed */
    char *addr;
    uint64_t connect_timeout_ms;
    struct env_timer timer; /* connecting: the limit; up: keepalive */
    const char *why;        /* text of the end that we decided */
    int why_err;
    bool is_ready;  /* the link is: what waits may be sent */
    bool is_served; /* the server's first bytes have come: only now is it up, for its owner */
    bool is_open;   /* on_closed has not come */
    bool is_deferred;
    bool is_destroyed;
    int busy; /* inside the session or on_down: destroying waits */
};

static void shell_free(struct rpc_channel *ch)
{
    if (ch->is_open || ch->is_deferred || ch->busy > 0 || !ch->is_destroyed) {
        return;
    }
    rpc_scratch_deinit(&ch->scratch);
    http_pool_destroy(ch->pool);
    mem_free(ch->addr);
    mem_free(ch);
}

static void timer_stop(struct rpc_channel *ch)
{
    if (ch->timer.is_active) {
        ch->env->exec->ops->timer_stop(ch->env->exec, &ch->timer);
    }
}

static void end_calls(struct rpc_channel *ch, const char *text)
{
    struct grpc_client *client = ch->client;
    ch->client = NULL;
    grpc_client_destroy(client, text);
}

static void enter(struct rpc_channel *ch)
{
    ch->busy++;
}

/* Destroyed from inside: what destroy could not do happens now. */
static void leave(struct rpc_channel *ch)
{
    if (--ch->busy == 0 && ch->is_destroyed) {
        end_calls(ch, "grpc: the client connection is closing");
        shell_free(ch);
    }
}

static void close_because(struct rpc_channel *ch, int err, const char *why)
{
    if (ch->why == NULL) {
        ch->why = why;
        ch->why_err = err;
    }
    rpc_link_close(&ch->link, 0);
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static bool flush_once(struct rpc_channel *ch)
{
    struct http_out *out = &ch->scratch.out;
    http_out_reset(out);
    int err = grpc_client_send(ch->client, out, CHANNEL_FLUSH_BYTES);
    bool wrote = out->bytes > 0;
    rpc_link_write(&ch->link, out);
    http_out_reset(out);
    if (err != 0) {
        close_because(ch, err, "http2 session failed");
    }
    return wrote && !ch->link.is_closing;
}

static void want_write(void *arg);

static void flush(void *arg)
{
    struct rpc_channel *ch = arg;
    ch->is_deferred = false;
    if (ch->is_destroyed) {
        shell_free(ch);
        return;
    }
    if (!ch->is_ready || ch->link.is_closing || ch->client == NULL) {
        return;
    }
    enter(ch);
    int rounds = 0;
    bool more = true;
    while (more && rpc_link_queued(&ch->link) < LIMIT_CONN_OUT_BYTES) {
        if (rounds++ == CHANNEL_FLUSH_ROUNDS) {
            want_write(ch);
            break;
        }
        more = flush_once(ch);
    }
    if (!ch->link.is_closing && grpc_client_is_done(ch->client)) {
        close_because(ch, ERR_CLOSED, "connection closed by the server");
    }
    leave(ch);
}

static void want_write(void *arg)
{
    struct rpc_channel *ch = arg;
    if (!ch->is_deferred) {
        ch->is_deferred = true;
        ch->env->exec->ops->defer(ch->env->exec, flush, ch);
    }
}

/* ---- link events ------------------------------------------------------------------------------
 */

static void rearm(struct rpc_channel *ch)
{
    uint64_t now = env_mono_ms(ch->env);
    uint64_t next = grpc_client_tick(ch->client, now);
    if (next == 0) {
        close_because(ch, ERR_TIMED_OUT, "keepalive ping failed to receive ACK within timeout");
        return;
    }
    ch->env->exec->ops->timer_start(ch->env->exec, &ch->timer, next > now ? next - now : 0);
}

static void timer_fire(struct env_timer *t)
{
    struct rpc_channel *ch = container_of(t, struct rpc_channel, timer);
    if (ch->is_destroyed || ch->link.is_closing) {
        return;
    }
    if (!ch->is_served) {
        close_because(ch, ERR_TIMED_OUT, "connection timed out");
        return;
    }
    rearm(ch);
}

static void on_ready(struct rpc_link *l)
{
    struct rpc_channel *ch = container_of(l, struct rpc_channel, link);
    if (ch->is_destroyed) {
        return;
    }
    ch->is_ready = true;
    want_write(ch);
}

/* A server that closes at once, or refuses our certificate after its own handshake was over, must
 * not look like one that served: what is sent to it could not be tried elsewhere. */
static void become_served(struct rpc_channel *ch)
{
    ch->is_served = true;
    timer_stop(ch);
    rearm(ch);
    if (ch->events->on_up != NULL) {
        ch->events->on_up(ch->arg);
    }
}

static void on_bytes(struct rpc_link *l, struct slice bytes)
{
    struct rpc_channel *ch = container_of(l, struct rpc_channel, link);
    if (ch->client == NULL) {
        return;
    }
    enter(ch);
    int err = grpc_client_recv(ch->client, bytes);
    if (err != 0) {
        close_because(ch, err, "http2 session failed");
    } else if (!ch->is_served && !ch->is_destroyed) {
        become_served(ch);
    }
    leave(ch);
}

static void on_eof(struct rpc_link *l)
{
    struct rpc_channel *ch = container_of(l, struct rpc_channel, link);
    close_because(ch, ERR_CLOSED, ch->is_served ? "error reading from server: EOF" : "EOF");
}

static void on_drain(struct rpc_link *l)
{
    want_write(container_of(l, struct rpc_channel, link));
}

/* As grpc-go says it, by how far the connection came. */
static void down_text(const struct rpc_channel *ch, int err, struct buf *out)
{
    const char *tls = rpc_link_tls_error(&ch->link);
    const char *why = ch->why != NULL ? ch->why : tls[0] != '\0' ? tls : err_text(err);
    if (ch->is_served) {
        buf_append_cstr(out, why);
    } else if (!ch->link.is_connected) {
        buf_printf(out,
                   "connection error: desc = \"transport: Error while dialing: dial tcp %s: %s\"",
                   ch->addr, why);
    } else if (!ch->is_ready) {
        buf_printf(out,
                   "connection error: desc = \"transport: authentication handshake failed: %s\"",
                   why);
    } else {
        buf_printf(out, "connection error: desc = \"error reading server preface: %s\"", why);
    }
}

static void on_closed(struct rpc_link *l, int err)
{
    struct rpc_channel *ch = container_of(l, struct rpc_channel, link);
    ch->is_open = false;
    timer_stop(ch);
    if (ch->is_destroyed) {
        shell_free(ch);
        return;
    }
    if (ch->why_err != 0) {
        err = ch->why_err;
    } else if (err == 0) {
        err = ERR_CLOSED;
    }
    struct buf text = BUF_INIT;
    down_text(ch, err, &text);
    enter(ch);
    end_calls(ch, buf_cstr(&text));
    if (!ch->is_destroyed) {
        ch->events->on_down(ch->arg, err, buf_cstr(&text));
    }
    leave(ch);
    buf_deinit(&text);
}

static const struct rpc_link_ops link_ops = {
    .on_ready = on_ready,
    .on_bytes = on_bytes,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_closed = on_closed,
};

/* ---- life -------------------------------------------------------------------------------------
 */

static void on_goaway(void *arg, uint32_t code, struct slice debug)
{
    (void)code;
    (void)debug;
    struct rpc_channel *ch = arg;
    if (ch->events->on_goaway != NULL) {
        ch->events->on_goaway(ch->arg);
    }
}

static const struct grpc_client_ops client_ops = {
    .on_want_write = want_write,
    .on_goaway = on_goaway,
};

static int client_make(struct rpc_channel *ch, const struct rpc_channel_options *o)
{
    struct grpc_client_options co = {
        .authority = o->authority != NULL ? o->authority : o->addr,
        .user_agent = o->user_agent,
        .is_tls = o->tls != NULL,
        .recv_bytes_max = o->recv_bytes_max,
        .send_bytes_max = o->send_bytes_max,
        .ping_interval_ms = o->ping_interval_ms,
        .ping_timeout_ms = o->ping_timeout_ms != 0 ? o->ping_timeout_ms : CHANNEL_PING_TIMEOUT_MS,
        .ping_without_stream = o->ping_without_stream,
    };
    return grpc_client_create(ch->env, ch->pool, &co, &client_ops, ch, &ch->client);
}

int rpc_channel_open(const struct rpc_channel_options *o, struct rpc_channel **out)
{
    struct rpc_tls *tls = NULL;
    if (o->tls != NULL) {
        tls = o->tls->create(o->tls->arg, o->addr);
        if (tls == NULL) {
            return ERR_INVALID;
        }
    }
    struct rpc_channel *ch = mem_zalloc(sizeof(*ch));
    ch->env = o->env;
    ch->events = o->events;
    ch->arg = o->arg;
    ch->pool = http_pool_create();
    ch->addr = mem_strdup(o->addr);
    ch->connect_timeout_ms =
        o->connect_timeout_ms != 0 ? o->connect_timeout_ms : CHANNEL_CONNECT_MS;
    ch->timer.fire = timer_fire;
    rpc_scratch_init(&ch->scratch);
    int err = client_make(ch, o);
    if (err != 0 && tls != NULL) {
        tls->ops->destroy(tls);
    }
    if (err == 0) {
        err = rpc_link_connect(&ch->link, ch->env, ch->addr, ch->connect_timeout_ms, tls,
                               &ch->scratch, &link_ops);
    }
    if (err != 0) {
        end_calls(ch, "");
        ch->is_destroyed = true;
        shell_free(ch);
        return err;
    }
    ch->is_open = true;
    /* Name resolution and connect have env's limit; this one is for the TLS handshake too. */
    ch->env->exec->ops->timer_start(ch->env->exec, &ch->timer, ch->connect_timeout_ms);
    *out = ch;
    return 0;
}

void rpc_channel_destroy(struct rpc_channel *ch)
{
    if (ch == NULL || ch->is_destroyed) {
        return;
    }
    ch->is_destroyed = true;
    timer_stop(ch);
    if (ch->is_open) {
        rpc_link_close(&ch->link, 0);
    }
    if (ch->busy == 0) {
        end_calls(ch, "grpc: the client connection is closing");
        shell_free(ch);
    }
}

struct grpc_client *rpc_channel_client(struct rpc_channel *ch)
{
    return ch->client;
}

bool rpc_channel_is_up(const struct rpc_channel *ch)
{
    return ch->is_served && ch->client != NULL;
}
