/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/call: requests under /v3/: JSON in, a call of the member's own services, JSON out.
 *
 * Design      A request becomes a grpc/local call of the method that its path names.  Unary calls
 * and server streams begin when the body is there; of a bidirectional one every JSON value goes on
 *             as soon as it is whole.  Answers are transcoded as they come and no faster than the
 *             client takes them.
 * Ownership   The hub outlives the rpc_server that has the handlers.
 * Thread      main loop.
 * Limits      a body, and a value of a stream: GATEWAY_BODY_FACTOR times what a message may have;
 *             bodies of all requests: LIMIT_PENDING_BYTES.  Above: RESOURCE_EXHAUSTED.
 * See         client-api 5; test/unit/gateway/call_test.c, test/e2e/gateway_test.py,
 *             test/interop/gateway_test.py.
 */
#ifndef GATEWAY_CALL_H
#define GATEWAY_CALL_H

#include "env/env.h"
#include "gateway/json_in.h"
#include "grpc/local.h"
#include "rpc/http.h"

struct gateway_calls;

enum { GATEWAY_BODY_FACTOR = 2 /* base64 and names in JSON */ };

struct gateway_calls_options {
    struct env *env;
    struct grpc_server *grpc;
    size_t message_bytes_max;
    /* Of the level that the member runs at now. */
    enum json_form (*form)(void *arg);
    void *arg;
};

struct gateway_calls *gateway_calls_create(const struct gateway_calls_options *o);
void gateway_calls_destroy(struct gateway_calls *c);
/* A handler for everything below prefix, "/v3/" or "/v3beta/". */
struct rpc_http_handler gateway_calls_handler(struct gateway_calls *c, const char *prefix);

#endif
