/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/http: the face for HTTP handlers (pages, JSON gateway, peer transport), over HTTP/1.1 and, on
 * TLS connections, HTTP/2 alike.
 *
 * Design      A handler is chosen by the longest matching path prefix.  on_request comes when the
 *             headers are in, on_body for every piece of the body, on_end when it is complete.  The
 *             answer may be given at any time from on_request on, at once or later:
 *
 *                 rpc_http_respond(req, 200, headers, n, body)                 whole
 *                 rpc_http_begin, rpc_http_write*, rpc_http_finish             streamed (chunked)
 *
 *             A handler with is_whole set gets only on_request, after the body is complete and in
 *             rpc_http_body().
 * Ownership   The request lives until the handler has finished the answer or on_gone was called;
 *             then it must not be touched.  Slices from it live as long.
 * Limits      LIMIT_HTTP1_HEADER_BYTES, LIMIT_HTTP1_BODY_BYTES (is_whole only), and
 *             LIMIT_CONN_OUT_BYTES before rpc_http_can_write says no.
 * Thread      net.
 * See         client-api 5.1, 6.
 */
#ifndef RPC_HTTP_H
#define RPC_HTTP_H

#include "base/buf.h"
#include "base/slice.h"

struct rpc_http_req;

struct rpc_http_header {
    const char *name; /* as written: "Content-Type" */
    struct slice value;
};

struct rpc_http_handler {
    /* "/metrics" matches itself; "/v3/" (with the slash) everything below; "/" everything. */
    const char *prefix;
    bool is_whole;
    void (*on_request)(void *arg, struct rpc_http_req *req);
    void (*on_body)(void *arg, struct rpc_http_req *req, struct slice bytes); /* not whole */
    void (*on_end)(void *arg, struct rpc_http_req *req);                      /* not whole */
    /* The client has gone before the answer was finished; the last call.  May be NULL when the
     * handler always answers from inside its callbacks. */
    void (*on_gone)(void *arg, struct rpc_http_req *req);
    void (*on_writable)(void *arg, struct rpc_http_req *req);
    void *arg;
};

struct slice rpc_http_method(const struct rpc_http_req *req); /* "GET" */
/* Path without query, not decoded. */
struct slice rpc_http_path(const struct rpc_http_req *req);
/* Behind the '?', not decoded; empty when none. */
struct slice rpc_http_query(const struct rpc_http_req *req);
/* First value, name compared without case; data NULL when absent. */
struct slice rpc_http_header(const struct rpc_http_req *req, const char *name);
bool rpc_http_header_at(const struct rpc_http_req *req, size_t i, struct slice *out_name,
                        struct slice *out_value);
/* The whole body (is_whole handlers). */
struct slice rpc_http_body(const struct rpc_http_req *req);
const char *rpc_http_peer(const struct rpc_http_req *req);
const char *rpc_http_peer_common_name(const struct rpc_http_req *req);
bool rpc_http_is_tls(const struct rpc_http_req *req);
/* A place for the handler's own state. */
void rpc_http_set_user(struct rpc_http_req *req, void *user);
void *rpc_http_user(const struct rpc_http_req *req);

/* The whole answer; Content-Length is added.  To HEAD no body is sent.  The request is over. */
void rpc_http_respond(struct rpc_http_req *req, int status, const struct rpc_http_header *headers,
                      size_t count, struct slice body);
/* An answer in pieces; chunked unless a Content-Length header is among headers. */
void rpc_http_begin(struct rpc_http_req *req, int status, const struct rpc_http_header *headers,
                    size_t count);
void rpc_http_write(struct rpc_http_req *req, struct slice bytes); /* copied */
bool rpc_http_can_write(struct rpc_http_req *req);                 /* else on_writable follows */
void rpc_http_finish(struct rpc_http_req *req);
/* Ends the connection (HTTP/1) or the stream (HTTP/2) without finishing the answer. */
void rpc_http_abort(struct rpc_http_req *req);
/* The same, but what was written so far is sent (HTTP/1). */
void rpc_http_cut(struct rpc_http_req *req);
/* Streamed bodies: stops on_body until resumed; the client's window closes. */
void rpc_http_body_pause(struct rpc_http_req *req);
void rpc_http_body_resume(struct rpc_http_req *req);
/* HTTP/1 only: answers 101 with these headers; from then on on_body gets raw bytes and
 * rpc_http_write sends raw bytes (websocket).  False: cannot (HTTP/2). */
bool rpc_http_upgrade(struct rpc_http_req *req, const struct rpc_http_header *headers,
                      size_t count);

/* Query parameter: first value of name, percent-decoded into out (cleared first); false when
 * absent. */
bool rpc_http_query_get(struct slice query, const char *name, struct buf *out);
/* The i-th parameter, decoded; false at the end. */
bool rpc_http_query_at(struct slice query, size_t i, struct buf *out_name, struct buf *out_value);

#endif
