/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/pool: connections of questions (ask.h) that stay open for the next question to the same URL:
 * a follower that forwards renewals would else make a TLS handshake for each.
 *
 * Ownership   The owner of a pool destroys it when no connection of it is taken. A taken connection
 *             is given back or dropped, once; without a pool it is only ever dropped. Thread the
 *             loop of env.
 * Limits      LIMIT_PEER_POOL idle ones; each for PEER_PIPE_IDLE_MS, below the 5 s after which Go's
 *             servers close.
 * Failure     A connection that the other end has closed meanwhile may be taken before that is
 *             known: then the question fails with nothing heard, and pool_conn_is_old tells that a
 *             new one is worth trying.
 */
#ifndef PEER_POOL_H
#define PEER_POOL_H

#include "rpc/http_client.h"

struct peer_pool;
struct pool_conn;

struct peer_pool *peer_pool_create(struct env *env);
/* Idle ones are closed, and none is kept from now on. */
void peer_pool_stop(struct peer_pool *pool);
void peer_pool_destroy(struct peer_pool *pool); /* stopped; NULL: nothing */

struct pool_want {
    struct env *env;
    const struct rpc_tls_factory *tls; /* for https URLs */
    const char *url;                   /* checked */
    uint64_t timeout_ms;               /* for connecting */
    bool must_be_new;
    const struct rpc_http_client_events *events;
    void *arg;
};

/* pool NULL: always a new one.  Errors of peer_url_open. */
MUST_USE int pool_conn_take(struct peer_pool *pool, const struct pool_want *want,
                            struct pool_conn **out);
struct rpc_http_client *pool_conn_client(struct pool_conn *c);
/* It has answered a question before. */
bool pool_conn_is_old(const struct pool_conn *c);
/* After a complete answer, outside the client's events: kept if it can take another question. */
void pool_conn_give(struct pool_conn *c);
void pool_conn_drop(struct pool_conn *c); /* NULL: nothing */

#endif
