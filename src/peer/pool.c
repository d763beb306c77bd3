/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/pool: see pool.h.
 *
 *     take --> in use (events go to the user) --give--> idle (a list, oldest first) --take--> ...
 *                     `--drop                             `-- closed by the other end, or after a
 * while
 */
#include "peer/pool.h"

#include "base/limits.h"
#include "peer/internal.h"

struct peer_pool {
    struct env *env;
    struct list idle;
    size_t idle_count;
    size_t taken;
    bool is_stopped;
    struct env_timer timer; /* runs while there are idle ones */
};

struct pool_conn {
    struct list_node node; /* pool->idle */
    struct peer_pool *pool;
    struct rpc_http_client *client;
    char *url;
    const struct rpc_http_client_events *events; /* NULL: idle */
    void *arg;
    uint64_t idle_ms; /* since when */
    bool is_old;
};

static void conn_free(struct pool_conn *c)
{
    rpc_http_client_destroy(c->client);
    mem_free(c->url);
    mem_free(c);
}

static void idle_end(struct pool_conn *c)
{
    list_remove(&c->node);
    c->pool->idle_count--;
    conn_free(c);
}

/* ---- events: the user's while there is one ---- */

static void on_response(void *arg, const struct h1_head *head)
{
    struct pool_conn *c = arg;
    if (c->events != NULL) {
        c->events->on_response(c->arg, head);
    }
}

static void on_body(void *arg, struct slice bytes)
{
    struct pool_conn *c = arg;
    if (c->events != NULL) {
        c->events->on_body(c->arg, bytes);
    }
}

static void on_end(void *arg)
{
    struct pool_conn *c = arg;
    if (c->events != NULL) {
        c->events->on_end(c->arg);
    }
}

static void on_down(void *arg, int err)
{
    struct pool_conn *c = arg;
    if (c->events != NULL) {
        c->events->on_down(c->arg, err);
    } else {
        idle_end(c);
    }
}

static const struct rpc_http_client_events pool_events = {
    .on_response = on_response,
    .on_body = on_body,
    .on_end = on_end,
    .on_down = on_down,
};

/* ---- idle ones ---- */

static void timer_start(struct peer_pool *pool)
{
    pool->env->exec->ops->timer_start(pool->env->exec, &pool->timer, PEER_TICK_MS);
}

static void tick(struct env_timer *timer)
{
    struct peer_pool *pool = container_of(timer, struct peer_pool, timer);
    uint64_t now = env_mono_ms(pool->env);
    LIST_FOREACH (&pool->idle, n) {
        struct pool_conn *c = LIST_ENTRY(n, struct pool_conn, node);
        if (now - c->idle_ms >= PEER_PIPE_IDLE_MS) {
            idle_end(c);
        }
    }
    if (pool->idle_count > 0) {
        timer_start(pool);
    }
}

/* The newest first: it is the least likely to have been closed. */
static struct pool_conn *idle_find(struct peer_pool *pool, const char *url)
{
    struct pool_conn *found = NULL;
    LIST_FOREACH (&pool->idle, n) {
        struct pool_conn *c = LIST_ENTRY(n, struct pool_conn, node);
        if (strcmp(c->url, url) == 0 && rpc_http_client_can_begin(c->client)) {
            found = c;
        }
    }
    if (found != NULL) {
        list_remove(&found->node);
        pool->idle_count--;
    }
    return found;
}

/* ---- taking and giving ---- */

int pool_conn_take(struct peer_pool *pool, const struct pool_want *want, struct pool_conn **out)
{
    struct pool_conn *c = NULL;
    if (pool != NULL && !want->must_be_new) {
        c = idle_find(pool, want->url);
    }
    if (c == NULL) {
        c = mem_zalloc(sizeof(*c));
        c->pool = pool;
        int err = peer_url_open(want->env, want->tls, want->url, want->timeout_ms, &pool_events, c,
                                &c->client);
        if (err != 0) {
            mem_free(c);
            return err;
        }
        c->url = mem_strdup(want->url);
    }
    c->events = want->events;
    c->arg = want->arg;
    if (pool != NULL) {
        pool->taken++;
    }
    *out = c;
    return 0;
}

struct rpc_http_client *pool_conn_client(struct pool_conn *c)
{
    return c->client;
}

bool pool_conn_is_old(const struct pool_conn *c)
{
    return c->is_old;
}

void pool_conn_drop(struct pool_conn *c)
{
    if (c == NULL) {
        return;
    }
    if (c->pool != NULL) {
        ensure(c->pool->taken > 0);
        c->pool->taken--;
    }
    conn_free(c);
}

void pool_conn_give(struct pool_conn *c)
{
    struct peer_pool *pool = c->pool;
    if (pool == NULL || pool->is_stopped || !rpc_http_client_can_begin(c->client) ||
        pool->idle_count == LIMIT_PEER_POOL) {
        pool_conn_drop(c);
        return;
    }
    ensure(pool->taken > 0);
    pool->taken--;
    c->events = NULL;
    c->arg = NULL;
    c->is_old = true;
    c->idle_ms = env_mono_ms(pool->env);
    list_push_back(&pool->idle, &c->node);
    if (pool->idle_count++ == 0) {
        timer_start(pool);
    }
}

/* ---- life ---- */

struct peer_pool *peer_pool_create(struct env *env)
{
    struct peer_pool *pool = mem_zalloc(sizeof(*pool));
    pool->env = env;
    pool->timer.fire = tick;
    list_init(&pool->idle);
    return pool;
}

void peer_pool_stop(struct peer_pool *pool)
{
    pool->is_stopped = true;
    while (!list_is_empty(&pool->idle)) {
        idle_end(LIST_ENTRY(list_first(&pool->idle), struct pool_conn, node));
    }
    pool->env->exec->ops->timer_stop(pool->env->exec, &pool->timer);
}

void peer_pool_destroy(struct peer_pool *pool)
{
    if (pool != NULL) {
        ensure(pool->taken == 0 && pool->is_stopped);
        mem_free(pool);
    }
}
