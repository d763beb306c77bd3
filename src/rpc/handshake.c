/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/handshake: TLS handshakes of accepted connections, bounded.
 *
 * Problem     A handshake costs a millisecond of arithmetic on the thread that also owes
 * heartbeats, and a client may begin thousands and finish none. Design      Time: a deadline a
 * connection (conn.c).  Number: all of them stand in a list, oldest first; above
 * LIMIT_TLS_HANDSHAKES the oldest is closed, because one that will be finished takes milliseconds.
 * Turn: LIMIT_TLS_HANDSHAKES_TURN flights are worked on in a turn of the loop, the others wait with
 * reading paused, first come first served.
 */
#include "base/limits.h"
#include "rpc/server_private.h"

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

void rpc_shakes_init(struct rpc_server *s)
{
    list_init(&s->shakes);
    list_init(&s->shakes_waiting);
    s->shake_timer.fire = next_turn;
}

void rpc_shakes_deinit(struct rpc_server *s)
{
    ensure(list_is_empty(&s->shakes) && list_is_empty(&s->shakes_waiting));
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
