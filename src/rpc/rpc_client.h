/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/rpc_client: a channel: one connection to one endpoint with a gRPC client session on it.
 *
 * Design      connect -> (TLS) -> up -> down, once: who wants to reconnect makes a new channel (the
 *             client library's policy).  Calls may be started before the channel is up; they are
 *             sent when it is, or end with UNAVAILABLE when it never gets there.
 * Ownership   The caller owns the channel.  on_down is the last event; then destroy it (allowed
 *             from inside on_down and from inside callbacks that come with received bytes; not from
 *             an on_done that a call's deadline or its cancel gives: at the end of that turn).
 *             Destroying an open channel ends its calls (UNAVAILABLE "grpc: the client connection
 *             is closing"; at the latest when the callback returns) and gives no on_down.
 * Thread      the loop of env.
 * Limits      connect_timeout_ms over name resolution, connect, TLS and the server's first bytes;
 * LIMIT_CONN_OUT_BYTES.
 */
#ifndef RPC_RPC_CLIENT_H
#define RPC_RPC_CLIENT_H

#include "env/env.h"
#include "grpc/client.h"
#include "rpc/tls.h"

struct rpc_channel;

struct rpc_channel_events {
    /* The server has sent its first bytes. */
    void (*on_up)(void *arg);
    /* The server drains (GOAWAY): running calls go on, new ones need a new channel.  May be NULL.
     */
    void (*on_goaway)(void *arg);
    /* err: ERR_*; text as grpc-go has it: `connection error: desc = "transport: ..."`; calls have
     * had on_done already. */
    void (*on_down)(void *arg, int err, const char *text);
};

struct rpc_channel_options {
    struct env *env;
    const char *addr;                  /* "host:port" or "unix:/path" */
    const char *authority;             /* NULL: addr */
    const char *user_agent;            /* NULL: default */
    const struct rpc_tls_factory *tls; /* NULL: plain text */
    uint64_t connect_timeout_ms;       /* 0: 20 s */
    uint64_t ping_interval_ms;         /* keepalive; 0: none */
    uint64_t ping_timeout_ms;          /* 0: 20 s */
    bool ping_without_stream;
    size_t recv_bytes_max;
    size_t send_bytes_max;
    const struct rpc_channel_events *events;
    void *arg;
};

/* Begins to connect.  An error here (bad address) means no events follow. */
int rpc_channel_open(const struct rpc_channel_options *opts, struct rpc_channel **out);
void rpc_channel_destroy(struct rpc_channel *ch);
/* For grpc_client_start and grpc_client_request; valid while the channel is. */
struct grpc_client *rpc_channel_client(struct rpc_channel *ch);
bool rpc_channel_is_up(const struct rpc_channel *ch);

#endif
