/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/server_private: what server.c, conn.c, http_req.c and http_h2.c share.
 */
#ifndef RPC_SERVER_PRIVATE_H
#define RPC_SERVER_PRIVATE_H

#include "base/list.h"
#include "http/h1.h"
#include "rpc/link.h"
#include "rpc/rpc.h"

enum {
    RPC_SNIFF_MAX = 8192,        /* longest first line of HTTP/1 */
    RPC_FLUSH_BYTES = 256 << 10, /* gathered for one write */
    RPC_FLUSH_ROUNDS = 4,        /* writes a connection and turn */
    RPC_CLOSE_FLUSH_MS = 5000,
};

struct rpc_listener {
    struct list_node node;
    struct rpc_server *server;
    struct rpc_listen_options opts;
    struct env_listener *listener; /* NULL: closed */
    size_t conns;
};

enum rpc_proto {
    PROTO_NONE, /* first bytes not seen yet */
    PROTO_H1,
    PROTO_H2,
};

struct rpc_conn {
    struct rpc_link link;
    struct list_node node;       /* of server->conns */
    struct list_node dirty_node; /* of server->dirty */
    struct list_node shake_node; /* of server->shakes: its TLS handshake is not over */
    struct list_node wait_node;  /* of server->shakes_waiting */
    struct rpc_lookup *lookup;   /* the handshake waits for a name server */
    struct rpc_server *server;
    struct rpc_listener *listener;
    char *peer;
    enum rpc_proto proto;
    struct buf sniffed;
    struct grpc_conn *h2;
    struct h1_server *h1;
    struct rpc_http_req *req; /* HTTP/1: the request being answered */
    struct env_timer timer;
    uint64_t header_deadline_ms; /* 0: no request head is awaited */
    uint64_t tick_ms;            /* HTTP/2 keepalive; 0: none */
    bool is_tls_decided;
    bool is_eof;
    bool is_draining;
};

struct rpc_worker;

struct rpc_server {
    struct env *env;
    struct rpc_server_options opts;
    struct list workers; /* rpc_worker.node: connections are theirs */
    size_t worker_count;
    size_t workers_stopped;
    struct rpc_worker *worker;             /* whose server this is; NULL: a home */
    const struct rpc_listen_options *http; /* of a worker: instead of the listener's handlers */
    struct list listeners;
    struct list conns;
    struct list dirty;
    struct list shakes; /* the oldest first */
    struct list shakes_waiting;
    size_t shake_count;
    unsigned shakes_this_turn;
    struct env_timer shake_timer; /* the next turn */
    struct list lookups;          /* waiting for lookup */
    struct rpc_lookup *lookup;    /* the one that runs */
    struct rpc_scratch scratch;
    struct rpc_server_stats stats;
    struct rpc_server_stats sum; /* with the workers': rpc_server_stats */
    bool is_deferred;
    bool is_stopping;
    bool is_destroyed; /* freed by the deferred function */
    struct env_timer grace;
    void (*on_stopped)(void *arg);
    void *stopped_arg;
};

/* server.c */
void rpc_server_conn_gone(struct rpc_server *s);
void rpc_server_worker_stopped(struct rpc_server *s);

/* worker.c */
/* False: no worker may have it. */
bool rpc_workers_accept(struct rpc_listener *l, int64_t handle);
void rpc_workers_stop(struct rpc_server *home, uint64_t grace_ms);
void rpc_workers_add_stats(const struct rpc_server *home, struct rpc_server_stats *sum);
/* The worker's counters become visible at home. */
void rpc_worker_publish(struct rpc_worker *w);

/* conn.c */
/* s: the listener's server, or a worker's. */
void rpc_conn_accept(struct rpc_server *s, struct rpc_listener *l, struct env_conn *conn);
void rpc_conn_dirty(struct rpc_conn *c);
void rpc_conn_flush(struct rpc_conn *c);
void rpc_conn_drain(struct rpc_conn *c);
void rpc_conn_close(struct rpc_conn *c, uint64_t flush_ms);
/* A request head came or was answered: the header timer follows. */
void rpc_conn_rearm(struct rpc_conn *c);

/* handshake.c: bounds in number, in a turn and in time (LIMIT_TLS_*). */
void rpc_shakes_init(struct rpc_server *s);
void rpc_shakes_deinit(struct rpc_server *s);
void rpc_shake_begin(struct rpc_conn *c);
void rpc_shake_end(struct rpc_conn *c); /* any number of times */
void rpc_shake_ask(struct rpc_conn *c);
/* False: the connection waits for a later turn. */
bool rpc_shake_may_work(struct rpc_conn *c);

/* http_req.c: what an HTTP version does for a request. */
struct rpc_http_backend {
    void (*respond)(struct rpc_http_req *req, int status, const struct h1_header *headers,
                    size_t count, struct slice body);
    void (*begin)(struct rpc_http_req *req, int status, const struct h1_header *headers,
                  size_t count);
    void (*write)(struct rpc_http_req *req, struct slice bytes);
    void (*finish)(struct rpc_http_req *req);
    void (*abort)(struct rpc_http_req *req);
    void (*cut)(struct rpc_http_req *req);
    size_t (*queued)(const struct rpc_http_req *req);
    void (*body_pause)(struct rpc_http_req *req, bool paused);
    bool (*upgrade)(struct rpc_http_req *req, const struct h1_header *headers, size_t count);
};

struct rpc_http_req {
    const struct rpc_http_backend *backend;
    struct rpc_conn *conn;
    const struct rpc_http_handler *handler; /* NULL: none found, or the filter answered */
    void *user;
    struct slice method, target, path, query;
    const struct h1_header *headers;
    size_t header_count;
    struct buf body; /* is_whole */
    bool is_begun;
    bool is_over; /* answered, or gone */
    bool is_blocked;
    bool is_upgraded;
    bool is_inside; /* inside a handler's callback: freed when it returns */
    void *stream;   /* HTTP/2 */
};

struct rpc_http_req *rpc_http_req_create(struct rpc_conn *c, const struct rpc_http_backend *b,
                                         struct slice method, struct slice target,
                                         const struct h1_header *headers, size_t count);
void rpc_http_req_start(struct rpc_http_req *req);
void rpc_http_req_body(struct rpc_http_req *req, struct slice bytes);
void rpc_http_req_end(struct rpc_http_req *req);
/* The peer has gone: tells the handler if it still owes an answer. */
void rpc_http_req_gone(struct rpc_http_req *req);
/* After output was taken: on_writable if it is owed. */
void rpc_http_req_maybe_writable(struct rpc_http_req *req);
void rpc_http_req_free(struct rpc_http_req *req);
/* rpc_http_respond with exactly these headers. */
void rpc_http_req_respond(struct rpc_http_req *req, int status, const struct h1_header *headers,
                          size_t count, struct slice body);

/* http_h1.c, http_h2.c */
extern const struct h1_server_ops rpc_h1_ops;
void rpc_h2_request_begin(struct rpc_conn *c, struct h2_stream *st);

#endif
