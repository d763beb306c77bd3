/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/http_client: one HTTP/1.1 client connection: for the peer transport, discovery and the like.
 *
 * Design      open -> on_up -> requests, one at a time -> on_down.  A request may stream its body
 *             and its answer; keep-alive lets the next one follow.
 * Ownership   The caller owns it; on_down is the last event (destroying from inside it is allowed,
 *             and from inside any other event too).  Destroying gives no on_down.
 * Thread      the loop of env.
 * Limits      heads LIMIT_HTTP1_HEADER_BYTES; bodies are streamed: the owner bounds what it keeps;
 *             rpc_http_client_can_write before large bodies.
 */
#ifndef RPC_HTTP_CLIENT_H
#define RPC_HTTP_CLIENT_H

#include "env/env.h"
#include "http/h1.h"
#include "rpc/tls.h"

struct rpc_http_client;

/* NULL functions are allowed except on_down. */
struct rpc_http_client_events {
    void (*on_up)(void *arg);
    void (*on_response)(void *arg, const struct h1_head *head);
    void (*on_body)(void *arg, struct slice bytes);
    void (*on_end)(void *arg); /* the response is complete */
    void (*on_writable)(void *arg);
    /* A response under way is cut (or, without length, complete: on_end came before). */
    void (*on_down)(void *arg, int err);
};

struct rpc_http_client_options {
    struct env *env;
    const char *addr; /* "host:port" or "unix:/path" */
    const char *host; /* Host header; NULL: addr */
    const struct rpc_tls_factory *tls;
    uint64_t connect_timeout_ms; /* 0: 20 s; over TLS too */
    const struct rpc_http_client_events *events;
    void *arg;
};

int rpc_http_client_open(const struct rpc_http_client_options *o, struct rpc_http_client **out);
void rpc_http_client_destroy(struct rpc_http_client *c);
/* No request may be open; legal before on_up.  body_bytes as in h1_client_begin. */
void rpc_http_client_begin(struct rpc_http_client *c, const char *method, const char *target,
                           const struct h1_header *headers, size_t count, int64_t body_bytes);
void rpc_http_client_write(struct rpc_http_client *c, struct slice bytes); /* copied */
void rpc_http_client_finish(struct rpc_http_client *c);
/* begin, write, finish. */
void rpc_http_client_request(struct rpc_http_client *c, const char *method, const char *target,
                             const struct h1_header *headers, size_t count, struct slice body);
/* False: LIMIT_CONN_OUT_BYTES wait; on_writable follows. */
bool rpc_http_client_can_write(struct rpc_http_client *c);
bool rpc_http_client_is_busy(const struct rpc_http_client *c);
/* False: the server closes, or the connection is down: a new request needs a new client. */
bool rpc_http_client_can_begin(const struct rpc_http_client *c);
void rpc_http_client_body_pause(struct rpc_http_client *c);
void rpc_http_client_body_resume(struct rpc_http_client *c);
/* Why TLS has failed, "" when it has not; valid inside on_down. */
const char *rpc_http_client_tls_error(const struct rpc_http_client *c);

#endif
