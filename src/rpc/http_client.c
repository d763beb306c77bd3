/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/http_client: see http_client.h.
 *
 * As a channel, it lives on as a shell after destroy until its env_conn is closed, its deferred
 * call has run and no event of it is being told.
 */
#include "rpc/http_client.h"

#include "base/limits.h"
#include "rpc/link.h"

enum { HTTP_CLIENT_CONNECT_MS = 20000 };

struct rpc_http_client {
    struct rpc_link link;
    struct rpc_scratch scratch;
    struct env *env;
    const struct rpc_http_client_events *events;
    void *arg;
    struct h1_client *h1;
    char *host;
    struct env_timer timer; /* limit of connecting */
    int why_err;
    int telling; /* depth of events being told */
    bool is_up;
    bool is_open;
    bool is_blocked;
    bool is_deferred;
    bool is_destroyed;
};

static void shell_free(struct rpc_http_client *c)
{
    if (c->is_open || c->is_deferred || c->telling > 0 || !c->is_destroyed) {
        return;
    }
    h1_client_destroy(c->h1);
    rpc_scratch_deinit(&c->scratch);
    mem_free(c->host);
    mem_free(c);
}

static void timer_stop(struct rpc_http_client *c)
{
    if (c->timer.is_active) {
        c->env->exec->ops->timer_stop(c->env->exec, &c->timer);
    }
}

static void close_because(struct rpc_http_client *c, int err)
{
    if (c->why_err == 0) {
        c->why_err = err;
    }
    rpc_link_close(&c->link, 0);
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static void want_write(void *arg);

static void flush(void *arg)
{
    struct rpc_http_client *c = arg;
    c->is_deferred = false;
    if (c->is_destroyed) {
        shell_free(c);
        return;
    }
    if (!c->is_up || c->link.is_closing) {
        return;
    }
    struct http_out *out = &c->scratch.out;
    http_out_reset(out);
    h1_client_send(c->h1, out);
    rpc_link_write(&c->link, out);
    h1_client_sent(c->h1);
    http_out_reset(out);
    rpc_link_pause(&c->link, !h1_client_wants_read(c->h1));
    if (h1_client_is_done(c->h1) && !h1_client_is_busy(c->h1)) {
        close_because(c, ERR_CLOSED);
        return;
    }
    if (c->is_blocked && rpc_link_queued(&c->link) < LIMIT_CONN_OUT_BYTES / 2) {
        c->is_blocked = false;
        if (c->events->on_writable != NULL) {
            c->events->on_writable(c->arg);
        }
    }
}

static void want_write(void *arg)
{
    struct rpc_http_client *c = arg;
    if (!c->is_deferred) {
        c->is_deferred = true;
        c->env->exec->ops->defer(c->env->exec, flush, c);
    }
}

/* ---- session events ---------------------------------------------------------------------------
 */

static void on_response(void *arg, const struct h1_head *head)
{
    struct rpc_http_client *c = arg;
    if (!c->is_destroyed && c->events->on_response != NULL) {
        c->events->on_response(c->arg, head);
    }
}

static void on_body(void *arg, struct slice bytes)
{
    struct rpc_http_client *c = arg;
    if (!c->is_destroyed && c->events->on_body != NULL) {
        c->events->on_body(c->arg, bytes);
    }
}

static void on_end(void *arg)
{
    struct rpc_http_client *c = arg;
    if (!c->is_destroyed && c->events->on_end != NULL) {
        c->events->on_end(c->arg);
    }
}

static const struct h1_client_ops h1_ops = {
    .on_response = on_response,
    .on_body = on_body,
    .on_end = on_end,
    .on_want_write = want_write,
};

/* ---- link events ------------------------------------------------------------------------------
 */

static void timer_fire(struct env_timer *t)
{
    struct rpc_http_client *c = container_of(t, struct rpc_http_client, timer);
    if (!c->is_up && !c->is_destroyed) {
        close_because(c, ERR_TIMED_OUT);
    }
}

static void on_ready(struct rpc_link *l)
{
    struct rpc_http_client *c = container_of(l, struct rpc_http_client, link);
    c->is_up = true;
    timer_stop(c);
    if (c->is_destroyed) {
        return;
    }
    want_write(c);
    if (c->events->on_up != NULL) {
        c->events->on_up(c->arg);
    }
}

static void on_bytes(struct rpc_link *l, struct slice bytes)
{
    struct rpc_http_client *c = container_of(l, struct rpc_http_client, link);
    if (c->is_destroyed) {
        return;
    }
    c->telling++;
    int err = h1_client_recv(c->h1, bytes);
    c->telling--;
    if (c->is_destroyed) {
        shell_free(c);
    } else if (err != 0) {
        close_because(c, err);
    } else {
        want_write(c);
    }
}

static void on_eof(struct rpc_link *l)
{
    struct rpc_http_client *c = container_of(l, struct rpc_http_client, link);
    c->telling++;
    int err = h1_client_eof(c->h1);
    c->telling--;
    close_because(c, err != 0 ? err : ERR_CLOSED);
    shell_free(c);
}

static void on_drain(struct rpc_link *l)
{
    want_write(container_of(l, struct rpc_http_client, link));
}

static void on_closed(struct rpc_link *l, int err)
{
    struct rpc_http_client *c = container_of(l, struct rpc_http_client, link);
    c->is_open = false;
    timer_stop(c);
    if (!c->is_destroyed) {
        err = c->why_err != 0 ? c->why_err : err != 0 ? err : ERR_CLOSED;
        c->telling++;
        c->events->on_down(c->arg, err);
        c->telling--;
    }
    shell_free(c);
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

int rpc_http_client_open(const struct rpc_http_client_options *o, struct rpc_http_client **out)
{
    struct rpc_tls *tls = NULL;
    if (o->tls != NULL) {
        tls = o->tls->create(o->tls->arg, o->addr);
        if (tls == NULL) {
            return ERR_INVALID;
        }
    }
    struct rpc_http_client *c = mem_zalloc(sizeof(*c));
    uint64_t timeout_ms =
        o->connect_timeout_ms != 0 ? o->connect_timeout_ms : HTTP_CLIENT_CONNECT_MS;
    c->env = o->env;
    c->events = o->events;
    c->arg = o->arg;
    c->host = mem_strdup(o->host != NULL ? o->host : o->addr);
    c->h1 = h1_client_create(&h1_ops, c);
    c->timer.fire = timer_fire;
    rpc_scratch_init(&c->scratch);
    int err = rpc_link_connect(&c->link, c->env, o->addr, timeout_ms, tls, &c->scratch, &link_ops);
    if (err != 0) {
        c->is_destroyed = true;
        shell_free(c);
        return err;
    }
    c->is_open = true;
    c->env->exec->ops->timer_start(c->env->exec, &c->timer, timeout_ms);
    *out = c;
    return 0;
}

void rpc_http_client_destroy(struct rpc_http_client *c)
{
    if (c == NULL || c->is_destroyed) {
        return;
    }
    c->is_destroyed = true;
    timer_stop(c);
    if (c->is_open) {
        rpc_link_close(&c->link, 0);
    }
    shell_free(c);
}

void rpc_http_client_begin(struct rpc_http_client *c, const char *method, const char *target,
                           const struct h1_header *headers, size_t count, int64_t body_bytes)
{
    h1_client_begin(c->h1, method, target, c->host, headers, count, body_bytes);
}

void rpc_http_client_write(struct rpc_http_client *c, struct slice bytes)
{
    h1_client_write(c->h1, bytes);
}

void rpc_http_client_finish(struct rpc_http_client *c)
{
    h1_client_finish(c->h1);
}

void rpc_http_client_request(struct rpc_http_client *c, const char *method, const char *target,
                             const struct h1_header *headers, size_t count, struct slice body)
{
    rpc_http_client_begin(c, method, target, headers, count, (int64_t)body.len);
    if (body.len > 0) {
        rpc_http_client_write(c, body);
    }
    rpc_http_client_finish(c);
}

bool rpc_http_client_can_write(struct rpc_http_client *c)
{
    if (h1_client_queued(c->h1) + rpc_link_queued(&c->link) < LIMIT_CONN_OUT_BYTES) {
        return true;
    }
    c->is_blocked = true;
    return false;
}

bool rpc_http_client_is_busy(const struct rpc_http_client *c)
{
    return h1_client_is_busy(c->h1);
}

bool rpc_http_client_can_begin(const struct rpc_http_client *c)
{
    return c->is_open && !c->link.is_closing && !h1_client_is_busy(c->h1) &&
           !h1_client_is_done(c->h1);
}

void rpc_http_client_body_pause(struct rpc_http_client *c)
{
    h1_client_body_pause(c->h1);
}

void rpc_http_client_body_resume(struct rpc_http_client *c)
{
    h1_client_body_resume(c->h1);
}

const char *rpc_http_client_tls_error(const struct rpc_http_client *c)
{
    return rpc_link_tls_error(&c->link);
}
