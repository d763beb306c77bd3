/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/gateway: the HTTP pages of a member: /health, /livez, /readyz, /version, /metrics.
 *
 * Ownership   The gateway outlives the rpc_server that has its handlers.  Thread  main loop.
 * Limits      none of its own.  Failure  every error is an HTTP answer.
 * See         client-api 6; test/e2e/pages_test.py.
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "metrics/metrics.h"
#include "rpc/http.h"
#include "service/service.h"

struct gateway;

struct gateway_options {
    struct driver *driver;
    struct service *service;
    struct metrics *metrics;
};

struct gateway *gateway_create(const struct gateway_options *opts);
void gateway_destroy(struct gateway *g);
/* For --listen-client-urls; and for --listen-metrics-urls, where /version is not. */
const struct rpc_http_handler *gateway_handlers(struct gateway *g, size_t *out_count);
const struct rpc_http_handler *gateway_metrics_handlers(struct gateway *g, size_t *out_count);
/* The CORS headers that every answer on a client port carries (client-api 5.1). */
const struct rpc_http_header *gateway_cors_headers(void *arg, struct rpc_http_req *req,
                                                   size_t *out_count);
/* OPTIONS anywhere: 200 with the CORS headers. */
bool gateway_filter(void *arg, struct rpc_http_req *req);

#endif
