/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/http_relay_net: HTTP requests of a worker's connections on their way home: one handler for
 * all of them, which sends what it is told; answers arrive as mails.
 *
 * Ownership   A net_req lives from on_request until the answer is whole or the client has gone.
 */
#include "base/limits.h"
#include "rpc/worker_private.h"

struct net_req {
    struct rpc_worker *worker;
    struct rpc_http_req *req;
    uint64_t id;
    size_t in_flight; /* body bytes that the handler has not taken yet */
    size_t room_owed; /* answer bytes to give back with RPC_MAIL_ROOM */
    bool is_paused;
};

static void push_up(struct rpc_mail *m)
{
    rpc_mail_push(&m->worker->up, m);
}

static struct net_req *net_of(const struct rpc_http_req *req)
{
    return rpc_http_user(req);
}

static void let_go(struct net_req *nr)
{
    (void)map_remove(&nr->worker->net_reqs, nr->id);
    mem_free(nr);
}

/* ---- up ---- */

static void on_request(void *arg, struct rpc_http_req *req)
{
    struct rpc_worker *w = arg;
    struct net_req *nr = mem_zalloc(sizeof(*nr));
    *nr = (struct net_req){.worker = w, .req = req, .id = ++w->last_id};
    rpc_http_set_user(req, nr);
    (void)map_put(&w->net_reqs, nr->id, nr);
    struct rpc_mail *m = rpc_mail_create(w, RPC_MAIL_HEAD, nr->id);
    m->listener = req->conn->listener;
    m->is_tls = rpc_http_is_tls(req);
    m->is_h1 = req->conn->proto == PROTO_H1;
    rpc_mail_put_text(m, req->method);
    rpc_mail_put_text(m, req->target);
    rpc_mail_put_text(m, slice_cstr(rpc_http_peer(req)));
    rpc_mail_put_text(m, slice_cstr(rpc_http_peer_common_name(req)));
    rpc_mail_put_headers(m, req->headers, req->header_count);
    push_up(m);
}

static void on_body(void *arg, struct rpc_http_req *req, struct slice bytes)
{
    struct net_req *nr = net_of(req);
    struct rpc_mail *m = rpc_mail_create(arg, RPC_MAIL_BODY, nr->id);
    buf_append_slice(&m->bytes, bytes);
    nr->in_flight += bytes.len;
    push_up(m);
    if (nr->in_flight > RPC_RELAY_IN_BYTES && !nr->is_paused) {
        nr->is_paused = true;
        rpc_http_body_pause(req);
    }
}

static void on_end(void *arg, struct rpc_http_req *req)
{
    push_up(rpc_mail_create(arg, RPC_MAIL_END, net_of(req)->id));
}

static void on_gone(void *arg, struct rpc_http_req *req)
{
    struct net_req *nr = net_of(req);
    push_up(rpc_mail_create(arg, RPC_MAIL_GONE, nr->id));
    let_go(nr);
}

static void give_room(struct net_req *nr)
{
    if (nr->room_owed > 0 && rpc_http_can_write(nr->req)) {
        struct rpc_mail *m = rpc_mail_create(nr->worker, RPC_MAIL_ROOM, nr->id);
        m->number = nr->room_owed;
        nr->room_owed = 0;
        push_up(m);
    }
}

static void on_writable(void *arg, struct rpc_http_req *req)
{
    (void)arg;
    give_room(net_of(req));
}

void rpc_http_relay_open(struct rpc_worker *w)
{
    w->handler = (struct rpc_http_handler){
        .prefix = "/",
        .on_request = on_request,
        .on_body = on_body,
        .on_end = on_end,
        .on_gone = on_gone,
        .on_writable = on_writable,
        .arg = w,
    };
    w->http = (struct rpc_listen_options){.handlers = &w->handler, .handler_count = 1};
}

/* ---- down ---- */

static struct h1_header *headers_of(const struct rpc_mail *m)
{
    size_t at = 0;
    struct h1_header *h = mem_alloc_array(m->header_count + 1, sizeof(*h));
    rpc_mail_take_headers(m, &at, h);
    return h;
}

static void respond(struct net_req *nr, const struct rpc_mail *m)
{
    struct rpc_http_req *req = nr->req;
    struct h1_header *h = headers_of(m);
    let_go(nr);
    rpc_http_req_respond(req, m->status, h, m->header_count,
                         slice_skip(buf_slice(&m->bytes), m->body_at));
    mem_free(h);
}

static void begin(struct net_req *nr, const struct rpc_mail *m)
{
    struct h1_header *h = headers_of(m);
    nr->req->is_begun = true;
    nr->req->backend->begin(nr->req, m->status, h, m->header_count);
    mem_free(h);
}

static void upgrade(struct net_req *nr, const struct rpc_mail *m)
{
    struct h1_header *h = headers_of(m);
    bool ok = nr->req->backend->upgrade(nr->req, h, m->header_count);
    ensure(ok); /* home asks for HTTP/1 only */
    nr->req->is_begun = nr->req->is_upgraded = true;
    mem_free(h);
}

static void write_some(struct net_req *nr, const struct rpc_mail *m)
{
    rpc_http_write(nr->req, buf_slice(&m->bytes));
    nr->room_owed += m->bytes.len;
    give_room(nr);
}

static void taken(struct net_req *nr, uint64_t bytes)
{
    ensure(nr->in_flight >= bytes);
    nr->in_flight -= (size_t)bytes;
    if (nr->is_paused && nr->in_flight <= RPC_RELAY_IN_BYTES / 2) {
        nr->is_paused = false;
        rpc_http_body_resume(nr->req);
    }
}

static void end_with(struct net_req *nr, void (*end)(struct rpc_http_req *req))
{
    struct rpc_http_req *req = nr->req;
    let_go(nr);
    end(req);
}

void rpc_http_relay_net(struct rpc_worker *w, struct rpc_mail *m)
{
    struct net_req *nr = map_get(&w->net_reqs, m->id);
    if (nr == NULL) {
        return; /* the client has gone meanwhile */
    }
    switch (m->kind) {
    case RPC_MAIL_RESPOND: respond(nr, m); break;
    case RPC_MAIL_BEGIN: begin(nr, m); break;
    case RPC_MAIL_WRITE: write_some(nr, m); break;
    case RPC_MAIL_FINISH: end_with(nr, rpc_http_finish); break;
    case RPC_MAIL_ABORT: end_with(nr, rpc_http_abort); break;
    case RPC_MAIL_UPGRADE: upgrade(nr, m); break;
    case RPC_MAIL_TAKEN: taken(nr, m->number); break;
    case RPC_MAIL_ACCEPT:
    case RPC_MAIL_STOP:
    case RPC_MAIL_STOPPED:
    case RPC_MAIL_HEAD:
    case RPC_MAIL_BODY:
    case RPC_MAIL_END:
    case RPC_MAIL_GONE:
    case RPC_MAIL_ROOM: ensure(false);
    }
}
