/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/http_h1: HTTP requests over an HTTP/1.1 session: one at a time, conn->req.
 */
#include "rpc/server_private.h"

/* conn->req is forgotten before the session learns of the answer's end, because it may start the
 * next request at once. */
static struct h1_server *let_go(struct rpc_http_req *req)
{
    if (req->conn->req == req) {
        req->conn->req = NULL;
    }
    return req->conn->h1;
}

static void h1_respond(struct rpc_http_req *req, int status, const struct h1_header *headers,
                       size_t count, struct slice body)
{
    h1_server_respond(let_go(req), status, headers, count, body);
}

static void h1_begin(struct rpc_http_req *req, int status, const struct h1_header *headers,
                     size_t count)
{
    h1_server_begin(req->conn->h1, status, headers, count);
}

static void h1_write(struct rpc_http_req *req, struct slice bytes)
{
    h1_server_write(req->conn->h1, bytes);
}

static void h1_finish(struct rpc_http_req *req)
{
    h1_server_finish(let_go(req));
}

static void h1_abort(struct rpc_http_req *req)
{
    h1_server_abort(let_go(req));
}

static void h1_cut(struct rpc_http_req *req)
{
    h1_server_cut(let_go(req));
}

static size_t h1_queued(const struct rpc_http_req *req)
{
    return h1_server_queued(req->conn->h1) + rpc_link_queued(&req->conn->link);
}

static void h1_body_pause(struct rpc_http_req *req, bool paused)
{
    if (paused) {
        h1_server_body_pause(req->conn->h1);
    } else {
        h1_server_body_resume(req->conn->h1);
    }
}

static bool h1_upgrade(struct rpc_http_req *req, const struct h1_header *headers, size_t count)
{
    h1_server_upgrade(req->conn->h1, headers, count);
    return true;
}

static const struct rpc_http_backend h1_backend = {
    .respond = h1_respond,
    .begin = h1_begin,
    .write = h1_write,
    .finish = h1_finish,
    .abort = h1_abort,
    .cut = h1_cut,
    .queued = h1_queued,
    .body_pause = h1_body_pause,
    .upgrade = h1_upgrade,
};

static void on_request(void *arg, const struct h1_head *head)
{
    struct rpc_conn *c = arg;
    ensure(c->req == NULL);
    c->header_deadline_ms = 0;
    c->req =
        rpc_http_req_create(c, &h1_backend, head->method, head->target, head->headers, head->count);
    rpc_http_req_start(c->req);
}

static void on_body(void *arg, struct slice bytes)
{
    struct rpc_conn *c = arg;
    if (c->req != NULL) {
        rpc_http_req_body(c->req, bytes);
    }
}

static void on_end(void *arg)
{
    struct rpc_conn *c = arg;
    if (c->req != NULL) {
        rpc_http_req_end(c->req);
    }
}

static void on_want_write(void *arg)
{
    rpc_conn_dirty(arg);
}

const struct h1_server_ops rpc_h1_ops = {
    .on_request = on_request,
    .on_body = on_body,
    .on_end = on_end,
    .on_want_write = on_want_write,
};
