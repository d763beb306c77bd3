/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/server: listeners, the list of connections, the flush at the end of a turn, stopping.
 */
#include "base/limits.h"
#include "rpc/server_private.h"

struct rpc_server *rpc_server_create(const struct rpc_server_options *opts)
{
    struct rpc_server *s = mem_zalloc(sizeof(*s));
    s->env = opts->env;
    s->opts = *opts;
    if (s->opts.connections_max == 0) {
        s->opts.connections_max = LIMIT_CONNECTIONS;
    }
    if (s->opts.header_timeout_ms == 0) {
        s->opts.header_timeout_ms = LIMIT_HEADER_TIMEOUT_MS;
    }
    list_init(&s->listeners);
    list_init(&s->conns);
    list_init(&s->dirty);
    list_init(&s->workers);
    rpc_shakes_init(s);
    rpc_scratch_init(&s->scratch);
    return s;
}

static void server_free(struct rpc_server *s)
{
    while (!list_is_empty(&s->listeners)) {
        struct rpc_listener *l = LIST_ENTRY(list_first(&s->listeners), struct rpc_listener, node);
        list_remove(&l->node);
        mem_free(l);
    }
    rpc_scratch_deinit(&s->scratch);
    mem_free(s);
}

void rpc_server_destroy(struct rpc_server *s)
{
    if (s == NULL) {
        return;
    }
    ensure(list_is_empty(&s->conns) && list_is_empty(&s->workers));
    rpc_shakes_deinit(s);
    LIST_FOREACH (&s->listeners, n) {
        rpc_listener_close(LIST_ENTRY(n, struct rpc_listener, node));
    }
    if (s->is_deferred) {
        s->is_destroyed = true; /* a deferred call cannot be taken back */
        return;
    }
    server_free(s);
}

/* ---- listeners --------------------------------------------------------------------------------
 */

static void on_accept(void *arg, struct env_conn *conn)
{
    struct rpc_listener *l = arg;
    rpc_conn_accept(l->server, l, conn);
}

static bool on_handle(void *arg, int64_t handle)
{
    return rpc_workers_accept(arg, handle);
}

int rpc_server_listen(struct rpc_server *s, const char *addr, const struct rpc_listen_options *opts,
                      struct rpc_listener **out)
{
    struct rpc_listener *l = mem_zalloc(sizeof(*l));
    l->server = s;
    l->opts = *opts;
    l->opts.net.on_handle = s->worker_count > 0 ? on_handle : NULL;
    int err = s->env->net->ops->listen(s->env->net, addr, &l->opts.net, on_accept, l, &l->listener);
    if (err != 0) {
        mem_free(l);
        return err;
    }
    list_push_back(&s->listeners, &l->node);
    *out = l;
    return 0;
}

const char *rpc_listener_name(const struct rpc_listener *l)
{
    return l->listener == NULL ? "" : l->listener->ops->local_name(l->listener);
}

/* The struct stays: its connections read the options. */
void rpc_listener_close(struct rpc_listener *l)
{
    if (l->listener != NULL) {
        l->listener->ops->close(l->listener);
        l->listener = NULL;
    }
}

const struct rpc_server_stats *rpc_server_stats(struct rpc_server *s)
{
    s->sum = s->stats;
    rpc_workers_add_stats(s, &s->sum);
    return &s->sum;
}

/* ---- the end of a turn ------------------------------------------------------------------------
 */

static void flush_dirty(void *arg)
{
    struct rpc_server *s = arg;
    s->is_deferred = false;
    if (s->is_destroyed) {
        server_free(s);
        return;
    }
    struct list now;
    list_init(&now);
    while (!list_is_empty(&s->dirty)) { /* who gets dirty again meanwhile waits for the next turn */
        struct list_node *n = list_first(&s->dirty);
        list_remove(n);
        list_push_back(&now, n);
    }
    while (!list_is_empty(&now)) {
        struct rpc_conn *c = LIST_ENTRY(list_first(&now), struct rpc_conn, dirty_node);
        list_remove(&c->dirty_node);
        rpc_conn_flush(c);
    }
    if (s->worker != NULL) {
        rpc_worker_publish(s->worker);
    }
}

void rpc_conn_dirty(struct rpc_conn *c)
{
    struct rpc_server *s = c->server;
    if (list_node_is_linked(&c->dirty_node)) {
        return;
    }
    list_push_back(&s->dirty, &c->dirty_node);
    if (!s->is_deferred) {
        s->is_deferred = true;
        s->env->exec->ops->defer(s->env->exec, flush_dirty, s);
    }
}

/* ---- stopping ---------------------------------------------------------------------------------
 */

static void maybe_stopped(struct rpc_server *s)
{
    if (!s->is_stopping || !list_is_empty(&s->conns) || s->on_stopped == NULL ||
        s->workers_stopped < s->worker_count) {
        return;
    }
    void (*fn)(void *arg) = s->on_stopped;
    s->on_stopped = NULL;
    s->env->exec->ops->timer_stop(s->env->exec, &s->grace);
    fn(s->stopped_arg);
}

void rpc_server_worker_stopped(struct rpc_server *s)
{
    s->workers_stopped++;
    maybe_stopped(s);
}

void rpc_server_conn_gone(struct rpc_server *s)
{
    if (s->worker != NULL) {
        rpc_worker_publish(s->worker);
    }
    maybe_stopped(s);
}

static void grace_over(struct env_timer *t)
{
    struct rpc_server *s = container_of(t, struct rpc_server, grace);
    LIST_FOREACH (&s->conns, n) {
        rpc_conn_close(LIST_ENTRY(n, struct rpc_conn, node), 0);
    }
}

static void stopped_soon(void *arg)
{
    maybe_stopped(arg);
}

void rpc_server_stop(struct rpc_server *s, uint64_t grace_ms, void (*on_stopped)(void *arg),
                     void *arg)
{
    ensure(!s->is_stopping);
    s->is_stopping = true;
    s->on_stopped = on_stopped;
    s->stopped_arg = arg;
    LIST_FOREACH (&s->listeners, n) {
        rpc_listener_close(LIST_ENTRY(n, struct rpc_listener, node));
    }
    rpc_workers_stop(s, grace_ms);
    LIST_FOREACH (&s->conns, n) {
        rpc_conn_drain(LIST_ENTRY(n, struct rpc_conn, node));
    }
    if (list_is_empty(&s->conns)) {
        s->env->exec->ops->defer(s->env->exec, stopped_soon, s);
        return;
    }
    s->grace.fire = grace_over;
    s->env->exec->ops->timer_start(s->env->exec, &s->grace, grace_ms);
}
