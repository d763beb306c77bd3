/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/rpc: listeners and connections: accept, choose the protocol by the first bytes, carry bytes
 * between env_conn and the sessions, bound everything.
 *
 * Problem     One port serves gRPC, JSON and pages; a slow, silent or malicious client must cost a
 *             bounded amount; all answers of one turn must leave in one write a connection.
 * Design      accept -> (TLS) -> first bytes: "PRI * HTTP/2.0" is an HTTP/2 session (gRPC; on TLS
 *             HTTP too), an HTTP/1.x request line is an HTTP/1 session, anything else is closed.
 *             Connections with something to send go on a dirty list; one deferred function at the
 *             end of the turn gathers and writes for each.
 * Ownership   The server owns listeners and connections; grpc_server, handlers and TLS factories
 *             are the caller's and outlive it.
 * Thread      net (the loop of env).  With workers (worker.h) connections live on their loops,
 *             handlers and services still run on the server's.
 * Limits      LIMIT_CONNECTIONS, LIMIT_CONN_IN_BYTES, LIMIT_CONN_OUT_BYTES,
 *             LIMIT_HEADER_TIMEOUT_MS.
 * Failure     listen reports ERR_*; a bad connection is closed, never the server.
 * See         client-api 4.1, 4.6.
 */
#ifndef RPC_RPC_H
#define RPC_RPC_H

#include "env/env.h"
#include "grpc/server.h"
#include "rpc/http.h"
#include "rpc/tls.h"

struct rpc_server;
struct rpc_listener;

enum rpc_accept {
    RPC_ACCEPT_GRPC = 1,
    RPC_ACCEPT_HTTP = 2,
};

struct rpc_server_options {
    struct env *env;
    struct grpc_server *grpc;   /* NULL: HTTP only */
    uint32_t connections_max;   /* 0: LIMIT_CONNECTIONS; the newest is closed at once */
    uint64_t header_timeout_ms; /* 0: LIMIT_HEADER_TIMEOUT_MS */
};

struct rpc_server_stats {
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t conns_accepted;
    uint64_t conns_refused;
    uint64_t conns_lost; /* gone before their net thread had them */
    uint64_t conns_open;
};

struct rpc_listen_options {
    unsigned accept;                   /* RPC_ACCEPT_* */
    bool has_plain;                    /* plain text allowed (http://) */
    const struct rpc_tls_factory *tls; /* NULL: none; with has_plain the first bytes decide */
    bool is_peer;                      /* "peer endpoint" in the log */
    /* Has address one of the names, NUL behind each?  Blocks: called on a work thread, one at a
     * time.  NULL: no. */
    bool (*address_has_name)(const char *address, const char *names, size_t names_len);
    const struct rpc_http_handler *handlers;
    size_t handler_count;
    /* Every HTTP request before its handler: true = it has answered (Host check, CORS preflight).
     * May be NULL. */
    bool (*http_filter)(void *arg, struct rpc_http_req *req);
    /* Headers added to every HTTP answer (CORS); may be NULL. The pointer must stay. */
    const struct rpc_http_header *(*http_extra_headers)(void *arg, struct rpc_http_req *req,
                                                        size_t *out_count);
    void *arg;
    struct env_listen_options net;
};

struct rpc_server *rpc_server_create(const struct rpc_server_options *opts);
int rpc_server_listen(struct rpc_server *s, const char *addr, const struct rpc_listen_options *opts,
                      struct rpc_listener **out);
const char *rpc_listener_name(const struct rpc_listener *l); /* address really bound */
void rpc_listener_close(struct rpc_listener *l);
/* No new connections; connections end when their streams have, at the latest after grace_ms; then
 * on_stopped(arg) once. */
void rpc_server_stop(struct rpc_server *s, uint64_t grace_ms, void (*on_stopped)(void *arg),
                     void *arg);
/* Only after on_stopped, or when nothing was ever accepted. */
void rpc_server_destroy(struct rpc_server *s);
/* Of all net threads together; valid until the next call. */
const struct rpc_server_stats *rpc_server_stats(struct rpc_server *s);

#endif
