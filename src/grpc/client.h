/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/client: calls made by us over one HTTP/2 client session; bytes in, bytes out.
 *
 * Ownership   A call belongs to the client object; it ends with on_done, always exactly once, after
 *             which the pointer is dead.  grpc_client_destroy ends all calls with UNAVAILABLE.
 * Thread      the loop that owns the connection.
 * Limits      recv_bytes_max a message (default: unlimited up to 2^31-1, as the official client).
 * Failure     every failure is a status.
 * See         client-api 4.7.
 */
#ifndef GRPC_CLIENT_H
#define GRPC_CLIENT_H

#include "base/err.h"
#include "env/env.h"
#include "http/out.h"
#include "http/pool.h"

struct grpc_client;
struct grpc_client_call;

struct grpc_status {
    enum grpc_code code;
    struct slice message; /* percent-decoded; lives until the callback returns */
    bool is_sent;         /* false: the call never left this machine or was refused unprocessed
                             (GOAWAY, REFUSED_STREAM), so that a retry is safe */
};

struct grpc_metadata {
    struct slice name; /* lower case */
    struct slice value;
};

/* NULL functions are allowed except on_done. */
struct grpc_client_call_ops {
    void (*on_message)(void *arg, struct grpc_client_call *call, struct slice msg);
    /* The queue of what we send is empty again. */
    void (*on_writable)(void *arg, struct grpc_client_call *call);
    void (*on_done)(void *arg, struct grpc_client_call *call, const struct grpc_status *status);
};

struct grpc_client_call_options {
    const char *path; /* "/etcdserverpb.KV/Put" */
    const struct grpc_metadata *metadata;
    size_t metadata_count;
    uint64_t timeout_ms; /* 0 = none; sent as grpc-timeout and kept here */
    const struct grpc_client_call_ops *ops;
    void *arg;
};

struct grpc_client_options {
    const char *authority;     /* copied */
    const char *user_agent;    /* copied; NULL: cairn */
    bool is_tls;               /* :scheme https */
    size_t recv_bytes_max;     /* 0: 2^31-1 */
    size_t send_bytes_max;     /* 0: 2^31-1; the official client's is 2 MiB */
    uint64_t ping_interval_ms; /* 0: no keepalive pings; at least 10 s is sensible */
    uint64_t ping_timeout_ms;
    bool ping_without_stream;
};

/* Calls started before the peer's SETTINGS have come are sent at once, as HTTP/2 allows. */
struct grpc_client_call *grpc_client_start(struct grpc_client *c,
                                           const struct grpc_client_call_options *opts);
/* Unary and server-stream calls in one: start, send, half-close. */
struct grpc_client_call *grpc_client_request(struct grpc_client *c,
                                             const struct grpc_client_call_options *opts,
                                             struct slice msg);
void grpc_client_call_send(struct grpc_client_call *call, struct slice msg);
void grpc_client_call_half_close(struct grpc_client_call *call);
/* on_done with CANCELLED "context canceled" follows, before this returns. */
void grpc_client_call_cancel(struct grpc_client_call *call);
/* Bytes queued and not yet taken by the connection. */
size_t grpc_client_call_queued(const struct grpc_client_call *call);
/* Stops reading a stream: on_message pauses when the window is used up. */
void grpc_client_call_pause(struct grpc_client_call *call);
void grpc_client_call_unpause(struct grpc_client_call *call);
void *grpc_client_call_arg(const struct grpc_client_call *call);

/* ---- for the rpc layer ------------------------------------------------------------------------
 */

struct grpc_client_ops {
    void (*on_want_write)(void *arg);
    /* The server will take no new calls (GOAWAY): make a new connection for them. */
    void (*on_goaway)(void *arg, uint32_t code, struct slice debug);
};

int grpc_client_create(struct env *env, struct http_pool *pool,
                       const struct grpc_client_options *opts, const struct grpc_client_ops *ops,
                       void *arg, struct grpc_client **out);
/* Ends every call with UNAVAILABLE and this text. Not from inside a callback. */
void grpc_client_destroy(struct grpc_client *c, const char *text);
MUST_USE int grpc_client_recv(struct grpc_client *c, struct slice bytes);
MUST_USE int grpc_client_send(struct grpc_client *c, struct http_out *out, size_t max);
bool grpc_client_is_done(const struct grpc_client *c);
/* False after GOAWAY. */
bool grpc_client_can_start(const struct grpc_client *c);
/* Bytes waiting in all calls. */
size_t grpc_client_queued(const struct grpc_client *c);
size_t grpc_client_call_count(const struct grpc_client *c);
/* Keepalive, as grpc_conn_tick. */
uint64_t grpc_client_tick(struct grpc_client *c, uint64_t now_ms);

#endif
