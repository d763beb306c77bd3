/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/server: life of the server side and its connections; for the rpc layer (services see
 * grpc.h).
 *
 * Ownership   The server owns the method table and all calls; a grpc_conn belongs to the rpc
 *             connection that made it and must be destroyed before the server.
 * Thread      net.
 * See         client-api 4.2-4.6.
 */
#ifndef GRPC_SERVER_H
#define GRPC_SERVER_H

#include "env/env.h"
#include "grpc/grpc.h"
#include "http/h2.h"
#include "http/out.h"
#include "http/pool.h"

struct grpc_conn;

struct grpc_server_options {
    size_t recv_bytes_max;           /* 0: request default + overhead (2097152) */
    uint32_t max_concurrent_streams; /* 0: not announced (plain), unlimited */
    uint64_t ping_min_interval_ms;   /* 0: 5000 (--grpc-keepalive-min-time) */
    uint64_t ping_interval_ms;       /* 0: 2 h (--grpc-keepalive-interval) */
    uint64_t ping_timeout_ms;        /* 0: 20 s (--grpc-keepalive-timeout) */
    size_t response_bytes_max;       /* 0: LIMIT_RESPONSE_BUFFER_BYTES */
    size_t held_bytes_max;           /* 0: LIMIT_PENDING_BYTES */
    uint64_t streams_max;            /* 0: LIMIT_STREAMS */
    /* A call was handled: for logs and histograms; may be NULL. */
    void (*on_handled)(void *arg, struct grpc_call *call, enum grpc_code code,
                       uint64_t duration_ns);
    void *arg;
    /* Before a call's service sees it: a unary call with its message, any other when its headers
     * are in, msg then SLICE_NULL.  False: it was answered (grpc_call_fail*). May be NULL. */
    bool (*admit)(void *arg, struct grpc_call *call, struct slice msg);
    void *admit_arg;
};

struct grpc_server *grpc_server_create(struct env *env, const struct grpc_server_options *opts);
/* All connections are gone. */
void grpc_server_destroy(struct grpc_server *s);
struct http_pool *grpc_server_pool(struct grpc_server *s);

/* What a connection tells its owner. */
struct grpc_conn_ops {
    /* There are bytes for grpc_conn_send; called once until grpc_conn_send runs. */
    void (*on_want_write)(void *arg);
    /* A request that is not gRPC (mixed connections only): set ops of your own on the stream with
     * h2_stream_set_ops; headers come again through on_header of those, then on_headers_end. */
    void (*on_http_request)(void *arg, struct h2_stream *stream);
};

struct grpc_conn_options {
    bool is_mixed;           /* TLS port: other content types are HTTP requests; no ping policy */
    const char *peer;        /* copied */
    const char *common_name; /* copied; may be NULL */
};

int grpc_conn_create(struct grpc_server *s, const struct grpc_conn_options *opts,
                     const struct grpc_conn_ops *ops, void *arg, struct grpc_conn **out);
/* Cancels the calls.  Not from inside a callback. */
void grpc_conn_destroy(struct grpc_conn *c);
/* Bytes from the peer.  After an error: send what grpc_conn_send still gives (GOAWAY), then close.
 */
MUST_USE int grpc_conn_recv(struct grpc_conn *c, struct slice bytes);
/* Appends up to about max bytes to out; call again when the socket has drained. */
MUST_USE int grpc_conn_send(struct grpc_conn *c, struct http_out *out, size_t max);
/* True: nothing more will come or go. */
bool grpc_conn_is_done(const struct grpc_conn *c);
/* Request bytes held for messages not complete, against LIMIT_CONN_IN_BYTES. */
size_t grpc_conn_held_bytes(const struct grpc_conn *c);
size_t grpc_conn_stream_count(const struct grpc_conn *c);
/* Keepalive: call at the time it gave last (mono ms); returns when to call next, 0 = the peer is
 * dead: close. */
uint64_t grpc_conn_tick(struct grpc_conn *c, uint64_t now_ms);
/* Graceful end: GOAWAY(2^31-1, "graceful_stop"), a ping, and on its answer GOAWAY(last id). */
void grpc_conn_drain(struct grpc_conn *c);

#endif
