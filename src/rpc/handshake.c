/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/handshake: TLS handshakes of accepted connections, bounded.
 *
 * Problem     A handshake costs a millisecond of arithmetic on the thread that also owes
 *             heartbeats, and a client may begin thousands and finish none.
 * Design      Time: a deadline a connection (conn.c). Number: all of them stand in a list, oldest
 *             first; above LIMIT_TLS_HANDSHAKES the oldest is closed, because one that will be
 *             finished takes milliseconds. Turn: LIMIT_TLS_HANDSHAKES_TURN flights are worked on in
 *             a turn of the loop, the others wait with reading paused, first come first served.
 */
#include "base/limits.h"
#include "rpc/server_private.h"

/* ---- turns ------------------------------------------------------------------------------------
 */

static void next_turn(struct env_timer *t)
{
    struct rpc_server *s = container_of(t, struct rpc_server, shake_timer);
    s->shakes_this_turn = 0;
    while (!list_is_empty(&s->shakes_waiting) && s->shakes_this_turn < LIMIT_TLS_HANDSHAKES_TURN) {
        struct rpc_conn *c = LIST_ENTRY(list_first(&s->shakes_waiting), struct rpc_conn, wait_node);
        list_remove(&c->wait_node);
        s->shakes_this_turn++;
        rpc_link_go_on(&c->link);
    }
    if (!list_is_empty(&s->shakes_waiting)) {
        s->env->exec->ops->timer_start(s->env->exec, &s->shake_timer, 0);
    }
}

/* ---- names ------------------------------------------------------------------------------------
 */

struct rpc_lookup {
    struct env_job job;
    struct list_node node;     /* of server->lookups */
    struct rpc_server *server; /* NULL: gone */
    struct rpc_conn *conn;     /* NULL: gone */
    bool (*has_name)(const char *address, const char *names, size_t names_len);
    struct buf address;
    struct buf names;
    bool is_yes;
};

static void lookup_free(struct rpc_lookup *l)
{
    buf_deinit(&l->address);
    buf_deinit(&l->names);
    mem_free(l);
}

static void lookup_run(struct env_job *job)
{
    struct rpc_lookup *l = container_of(job, struct rpc_lookup, job);
    l->is_yes = l->has_name(buf_cstr(&l->address), (const char *)l->names.data, l->names.len);
}

static void lookup_next(struct rpc_server *s)
{
    if (s->lookup == NULL && !list_is_empty(&s->lookups)) {
        s->lookup = LIST_ENTRY(list_first(&s->lookups), struct rpc_lookup, node);
        list_remove(&s->lookup->node);
        s->env->exec->ops->submit(s->env->exec, ENV_LANE_WORK, &s->lookup->job);
    }
}

static void lookup_done(struct env_job *job)
{
    struct rpc_lookup *l = container_of(job, struct rpc_lookup, job);
    struct rpc_conn *c = l->conn;
    bool is_yes = l->is_yes;
    if (l->server != NULL) {
        l->server->lookup = NULL;
        lookup_next(l->server);
    }
    lookup_free(l);
    if (c != NULL) {
        c->lookup = NULL;
        rpc_link_answer(&c->link, is_yes);
    }
}

void rpc_shake_ask(struct rpc_conn *c)
{
    struct rpc_server *s = c->server;
    struct rpc_lookup *l = mem_zalloc(sizeof(*l));
    const char *address = "";
    l->job = (struct env_job){.run = lookup_run, .done = lookup_done};
    l->server = s;
    l->conn = c;
    l->has_name = c->listener->opts.address_has_name;
    (void)c->link.tls->ops->asks(c->link.tls, &address, &l->names);
    buf_append_cstr(&l->address, address);
    c->lookup = l;
    list_push_back(&s->lookups, &l->node);
    lookup_next(s);
}

static void lookup_forget(struct rpc_conn *c)
{
    struct rpc_lookup *l = c->lookup;
    c->lookup = NULL;
    if (l == NULL) {
        return;
    }
    l->conn = NULL;
    if (l != c->server->lookup) {
        list_remove(&l->node);
        lookup_free(l);
    }
}

/* ---- all of them ------------------------------------------------------------------------------
 */

void rpc_shakes_init(struct rpc_server *s)
{
    list_init(&s->shakes);
    list_init(&s->shakes_waiting);
    list_init(&s->lookups);
    s->shake_timer.fire = next_turn;
}

void rpc_shakes_deinit(struct rpc_server *s)
{
    ensure(list_is_empty(&s->shakes) && list_is_empty(&s->shakes_waiting));
    ensure(list_is_empty(&s->lookups));
    if (s->lookup != NULL) {
        s->lookup->server = NULL; /* it ends by itself */
    }
    if (s->shake_timer.is_active) {
        s->env->exec->ops->timer_stop(s->env->exec, &s->shake_timer);
    }
}

void rpc_shake_begin(struct rpc_conn *c)
{
    struct rpc_server *s = c->server;
    if (s->shake_count >= LIMIT_TLS_HANDSHAKES) {
        struct rpc_conn *oldest = LIST_ENTRY(list_first(&s->shakes), struct rpc_conn, shake_node);
        oldest->link.tls->ops->reject(oldest->link.tls, "too many handshakes are under way");
        rpc_conn_close(oldest, 0);
    }
    list_push_back(&s->shakes, &c->shake_node);
    s->shake_count++;
}

void rpc_shake_end(struct rpc_conn *c)
{
    if (list_node_is_linked(&c->shake_node)) {
        list_remove(&c->shake_node);
        c->server->shake_count--;
    }
    if (list_node_is_linked(&c->wait_node)) {
        list_remove(&c->wait_node);
    }
    lookup_forget(c);
}

bool rpc_shake_may_work(struct rpc_conn *c)
{
    struct rpc_server *s = c->server;
    if (!s->shake_timer.is_active) { /* the first of its turn; the timer counts anew */
        s->env->exec->ops->timer_start(s->env->exec, &s->shake_timer, 0);
    }
    if (s->shakes_this_turn < LIMIT_TLS_HANDSHAKES_TURN) {
        s->shakes_this_turn++;
        return true;
    }
    list_push_back(&s->shakes_waiting, &c->wait_node);
    return false;
}
