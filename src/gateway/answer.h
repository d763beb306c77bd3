/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/answer: what the JSON gateway says besides results: errors in the form of each line of
 * etcd, the headers that go from a request to its call.
 *
 * Thread      main loop.
 * See         client-api 5.1, 5.2.
 */
#ifndef GATEWAY_ANSWER_H
#define GATEWAY_ANSWER_H

#include "gateway/json_in.h"
#include "grpc/local.h"
#include "rpc/http.h"

int answer_http_status(enum json_form form, enum grpc_code code);
/* {"code":3,"message":"..."} and the like: the whole answer. */
void answer_error(struct rpc_http_req *req, enum json_form form, enum grpc_code code,
                  struct slice text);
/* The error of a stream, as its line. */
void answer_stream_error(struct buf *out, enum json_form form, enum grpc_code code,
                         struct slice text);
/* What grpc-gateway's router says: 404 or 405. */
void answer_routing_error(struct rpc_http_req *req, enum json_form form, int status);
/* "Grpc-Timeout": 0 = none, UINT64_MAX as *out_ns: over before it began.  Else
 * GRPC_INVALID_ARGUMENT's text in why. */
MUST_USE int answer_timeout(struct rpc_http_req *req, uint64_t *out_ns, struct buf *why);
/* The request's headers as metadata of the call. */
MUST_USE int answer_metadata(struct rpc_http_req *req, struct grpc_local_call *lc, struct buf *why);

#endif
