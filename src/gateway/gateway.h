/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/gateway: what a member answers over HTTP: the JSON gateway (call.h), /health, /livez,
 * /readyz, /version, /metrics, /debug/vars, /debug/pprof/.
 *
 * Ownership   The gateway outlives the rpc_server that has its handlers. Thread main loop.
 * Limits      none of its own. Failure every error is an HTTP answer.
 * See         client-api 5, 6; test/e2e/gateway_test.py, test/interop/gateway_test.py.
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "member/strs.h"
#include "metrics/metrics.h"
#include "rpc/http.h"
#include "service/service.h"

struct gateway;

/* What /debug/ shows of the process; only the server asks the host. */
struct gateway_process {
    void (*command_line)(struct buf *out); /* a NUL behind each argument */
    uint64_t (*fd_limit)(void);
    void (*memory)(uint64_t *out_resident, uint64_t *out_virtual);
};

struct gateway_options {
    struct driver *driver;
    struct service *service;
    struct metrics *metrics;
    /* For the JSON gateway; grpc NULL: there is none (--enable-grpc-gateway=false). */
    struct env *env;
    struct grpc_server *grpc;
    size_t message_bytes_max;
    /* They outlive the gateway; no item or "*": everything. */
    const struct strs *cors;
    const struct strs *host_whitelist;
    const struct gateway_process *process;
    bool has_pprof;
    bool has_client_cert_auth;
};

struct gateway *gateway_create(const struct gateway_options *opts);
void gateway_destroy(struct gateway *g);
/* For --listen-client-urls; and for --listen-metrics-urls, where /version is not. */
const struct rpc_http_handler *gateway_handlers(struct gateway *g, size_t *out_count);
const struct rpc_http_handler *gateway_metrics_handlers(struct gateway *g, size_t *out_count);
/* The CORS headers that every answer on a client port carries (client-api 5.1). */
const struct rpc_http_header *gateway_cors_headers(void *arg, struct rpc_http_req *req,
                                                   size_t *out_count);
/* Before the handlers: Host check, OPTIONS anywhere, redirects to canonical paths. */
bool gateway_filter(void *arg, struct rpc_http_req *req);
/* The same for --listen-metrics-urls: redirects. */
bool gateway_metrics_filter(void *arg, struct rpc_http_req *req);

#endif
