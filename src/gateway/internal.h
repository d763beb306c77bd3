/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/internal: shared by the pages.  Private to gateway.
 */
#ifndef GATEWAY_INTERNAL_H
#define GATEWAY_INTERNAL_H

#include "gateway/call.h"
#include "gateway/gateway.h"

enum { GATEWAY_HANDLERS_MAX = 12 };

/* The CORS headers of one allowed origin. */
struct gateway_origin {
    struct rpc_http_header headers[3];
};

struct gateway {
    struct gateway_options o;
    struct gateway_calls *calls; /* NULL: no JSON gateway */
    struct gateway_origin *origins;
    size_t origin_count;
    bool is_any_origin;
    struct rpc_http_handler handlers[GATEWAY_HANDLERS_MAX];
    size_t handler_count;
    struct rpc_http_handler metrics_handlers[GATEWAY_HANDLERS_MAX];
    size_t metrics_handler_count;
};

/* 405 with Allow: GET unless the method is GET; true when it has answered. */
bool gateway_get_only(struct rpc_http_req *req);
/* text/plain; charset=utf-8, with nosniff for errors as Go's http.Error does. */
void gateway_text(struct rpc_http_req *req, int status, struct slice body, bool is_error);
void gateway_not_found(struct rpc_http_req *req);
/* True when a query parameter name has this value (repeatable). */
bool gateway_query_has(struct rpc_http_req *req, const char *name, const char *value);

/* health.c */
void gateway_health(void *arg, struct rpc_http_req *req);
void gateway_livez(void *arg, struct rpc_http_req *req);
void gateway_readyz(void *arg, struct rpc_http_req *req);
void gateway_health_gone(void *arg, struct rpc_http_req *req);

/* access.c */
void gateway_cors_init(struct gateway *g);

/* debug.c */
void gateway_vars(void *arg, struct rpc_http_req *req);
void gateway_pprof(void *arg, struct rpc_http_req *req);

#endif
