/* SPDX-License-Identifier: Apache-2.0
 *
 * server/internal: the server's parts.  Private to server.
 */
#ifndef SERVER_INTERNAL_H
#define SERVER_INTERNAL_H

#include "gateway/gateway.h"
#include "grpc/server.h"
#include "metrics/grpc.h"
#include "rpc/rpc.h"
#include "server/peers.h"
#include "server/server.h"
#include "server/tls.h"

enum {
    SERVER_LISTENERS_MAX = 3 * SERVER_URLS_MAX,
    SERVER_METHODS_MAX = 128,
    SERVER_GRACE_MS = 7000, /* open streams at a stop: T of client-api 2.0.4 */
};

struct server {
    struct server_config config;
    struct env *env;
    struct driver *driver;
    struct service *service;
    struct gateway *gateway;
    struct metrics *metrics;
    struct grpc_server *grpc;
    struct rpc_server *rpc;
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

/* metrics.c */
void server_metrics_init(struct server *s);

#endif
