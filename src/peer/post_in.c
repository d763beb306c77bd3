/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/post_in: POST /raft: one message as the body.
 */
#include "base/log.h"
#include "peer/internal.h"

struct post_in {
    struct list_node node;
    struct peer_transport *transport;
    struct rpc_http_req *req;
    struct buf body;
};

static void post_free(struct post_in *in)
{
    list_remove(&in->node);
    in->transport->bodies_bytes -= in->body.len;
    buf_deinit(&in->body);
    mem_free(in);
}

/* text: of a 400; NULL: the message was not taken. */
static void post_refuse(struct post_in *in, const char *text)
{
    struct rpc_http_req *req = in->req;
    struct peer_transport *t = in->transport;
    post_free(in);
    if (text != NULL) {
        peer_answer_text(t, req, 400, text, true);
    } else {
        peer_answer_cut(t, req, "error processing raft message");
    }
}

void peer_post_in_request(void *arg, struct rpc_http_req *req)
{
    struct peer_transport *t = arg;
    if (!peer_request_check(t, req, "POST")) {
        return;
    }
    peer_remote_from_headers(t, req);
    struct post_in *in = mem_zalloc(sizeof(*in));
    in->transport = t;
    in->req = req;
    list_push_back(&t->posts_in, &in->node);
    rpc_http_set_user(req, in);
}

void peer_post_in_body(void *arg, struct rpc_http_req *req, struct slice bytes)
{
    struct peer_transport *t = arg;
    struct post_in *in = rpc_http_user(req);
    if (in->body.len + bytes.len > LIMIT_PEER_POST_BYTES ||
        t->bodies_bytes + bytes.len > LIMIT_PEER_BODIES_BYTES ||
        buf_try_reserve(&in->body, bytes.len) != 0) {
        post_refuse(in, "error reading raft message");
        return;
    }
    buf_append_slice(&in->body, bytes);
    t->bodies_bytes += bytes.len;
}

/* 0, or what peer_deliver says; ERR_CORRUPT: no message. */
static int message_take(struct post_in *in)
{
    struct peer_decoded d;
    peer_decoded_init(&d);
    int err = peer_message_decode(buf_slice(&in->body), &d);
    if (err == ERR_UNSUPPORTED) { /* local types of etcd's raft: nothing to do */
        err = peer_is_for_us(in->transport, &d.m) ? 0 : ERR_MISMATCH;
    } else if (err != 0) {
        err = ERR_CORRUPT;
    } else if (d.m.type == RAFT_MSG_SNAP) {
        err = ERR_INVALID; /* without its database */
    } else {
        err = peer_decoded_own(&d, buf_slice(&in->body));
        err = err != 0 ? err : peer_deliver(in->transport, &d.m);
    }
    peer_decoded_deinit(&d);
    return err;
}

static void count(struct peer_transport *t, struct rpc_http_req *req, size_t bytes)
{
    uint64_t from = 0;
    struct peer *p = NULL;
    if (peer_hex_parse(rpc_http_header(req, "X-Server-From"), &from) == 0) {
        p = peer_find(t, from);
    }
    if (p != NULL) {
        p->stats.received_messages++;
        p->stats.received_bytes += bytes;
    }
}

void peer_post_in_end(void *arg, struct rpc_http_req *req)
{
    struct peer_transport *t = arg;
    struct post_in *in = rpc_http_user(req);
    in->req = NULL; /* a stop from inside the callback leaves it to us */
    int err = message_take(in);
    in->req = req;
    if (err == ERR_CORRUPT) {
        log_warn("failed to unmarshal Raft message", LOG_STR("remote-addr", rpc_http_peer(req)));
        post_refuse(in, "error unmarshalling raft message");
    } else if (err == ERR_MISMATCH || err == ERR_CLOSED || err == ERR_MALFORMED ||
               err == ERR_INVALID || err == ERR_NOMEM) {
        log_warn("failed to process Raft message", LOG_STR("remote-addr", rpc_http_peer(req)),
                 LOG_ERR(err));
        post_refuse(in, NULL);
    } else {
        count(t, req, in->body.len);
        post_free(in);
        const struct rpc_http_header cluster = {"X-Etcd-Cluster-Id", slice_cstr(t->cluster_hex)};
        rpc_http_respond(req, 204, &cluster, 1, SLICE_NULL);
    }
}

void peer_post_in_gone(void *arg, struct rpc_http_req *req)
{
    (void)arg;
    post_free(rpc_http_user(req));
}

void peer_posts_in_stop(struct peer_transport *t)
{
    LIST_FOREACH (&t->posts_in, n) {
        struct post_in *in = LIST_ENTRY(n, struct post_in, node);
        if (in->req != NULL) {
            post_refuse(in, NULL);
        }
    }
}
