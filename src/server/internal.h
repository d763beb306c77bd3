/* SPDX-License-Identifier: Apache-2.0
 *
 * server/internal: the server's parts.  Private to server.
 */
#ifndef SERVER_INTERNAL_H
#define SERVER_INTERNAL_H

#include "gateway/gateway.h"
#include "grpc/server.h"
#include "member/url.h"
#include "metrics/grpc.h"
#include "rpc/rpc.h"
#include "rpc/worker.h"
#include "server/peers.h"
#include "server/server.h"
#include "server/tls.h"

enum {
    SERVER_LISTENERS_MAX = 3 * SERVER_URLS_MAX,
    SERVER_METHODS_MAX = 128,
    SERVER_GRACE_MS = 7000, /* open streams at a stop: T of client-api 2.0.4 */
};

struct server_net_thread {
    struct os_thread *thread;
    struct rpc_worker *worker;
};

/* For driver_config.resolver and join_options.resolver; one start. */
struct server_resolver {
    struct url_resolver base;
    struct env *env;
    int tries;
};

struct server {
    struct server_config config;
    struct env *env;
    struct auth_tokens *tokens;
    struct driver *driver;
    struct service *service;
    struct gateway *gateway;
    struct metrics *metrics;
    struct grpc_server *grpc;
    struct rpc_server *rpc;
    struct server_net_thread net[SERVER_NET_THREADS_MAX];
    size_t net_count;
    struct rpc_listener *listeners[SERVER_LISTENERS_MAX];
    size_t listener_count;
    struct server_peers peers;
    struct server_tls_watch tls_watch;
    struct metrics_grpc_method grpc_metrics[SERVER_METHODS_MAX];
    struct metric_series *cluster_version_series;
    void (*on_end)(void *arg, int rc);
    void *arg;
    bool is_ready;
    bool is_stopping;
    bool is_rpc_stopped;
    bool is_tls_stopped;
    bool is_driver_stopped;
    bool is_peers_stopped;
    bool is_fatal;
};

/* net.c: text as server_create's. */
MUST_USE int server_net_start(struct server *s, char *text);
/* Nothing is under way any more. */
void server_net_stop(struct server *s);

/* resolve.c */
void server_resolver_init(struct server_resolver *r, struct env *env);
/* metrics.c */
void server_metrics_init(struct server *s);

#endif
