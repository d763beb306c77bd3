/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/http_relay: HTTP requests whose connection is a worker's, at home: one more "version" beside
 * http_h1.c and http_h2.c, whose peer is http_relay_net.c.
 *
 * Ownership   A home_req lives from the head until its answer is whole or the client has gone, and
 *             no handler's function is running.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "rpc/worker_private.h"

/* Says what the worker's connection has; feeds and seals nothing. */
struct relay_tls {
    struct rpc_tls tls;
    const char *common_name;
};

struct home_req {
    struct rpc_conn conn; /* what handlers ask of a connection: listener, peer, TLS, server */
    struct relay_tls tls;
    struct rpc_worker *worker;
    struct rpc_http_req *req;
    uint64_t id;
    struct rpc_mail *head; /* the request's texts lie in it */
    struct h1_header *headers;
    struct list held; /* mails that wait while the handler has paused the body */
    size_t queued;    /* answer bytes not yet given back by RPC_MAIL_ROOM */
    int inside;       /* handler's functions that are running */
    bool is_h1;
    bool is_paused;
    bool is_over;
};

/* ---- texts in mails ---- */

void rpc_mail_put_text(struct rpc_mail *m, struct slice s)
{
    uint8_t *p = buf_extend(&m->bytes, 4);
    store_le32(p, (uint32_t)s.len);
    buf_append_slice(&m->bytes, s);
    buf_append_byte(&m->bytes, 0);
}

struct slice rpc_mail_take_text(const struct rpc_mail *m, size_t *at)
{
    size_t len = load_le32(m->bytes.data + *at);
    struct slice s = slice_make(m->bytes.data + *at + 4, len);
    *at += 4 + len + 1;
    ensure(*at <= m->bytes.len);
    return s;
}

void rpc_mail_put_headers(struct rpc_mail *m, const struct h1_header *headers, size_t count)
{
    m->header_count = count;
    for (size_t i = 0; i < count; i++) {
        rpc_mail_put_text(m, headers[i].name);
        rpc_mail_put_text(m, headers[i].value);
    }
}

void rpc_mail_take_headers(const struct rpc_mail *m, size_t *at, struct h1_header *out)
{
    for (size_t i = 0; i < m->header_count; i++) {
        out[i].name = rpc_mail_take_text(m, at);
        out[i].value = rpc_mail_take_text(m, at);
    }
}

/* ---- answering ---- */

static struct home_req *home_of(const struct rpc_http_req *req)
{
    return req->stream;
}

static void push_down(struct rpc_mail *m)
{
    rpc_mail_push(&m->worker->down, m);
}

static struct rpc_mail *mail_for(const struct home_req *hr, enum rpc_mail_kind kind)
{
    return rpc_mail_create(hr->worker, kind, hr->id);
}

static void maybe_free(struct home_req *hr)
{
    if (!hr->is_over || hr->inside > 0) {
        return;
    }
    LIST_FOREACH (&hr->held, n) {
        list_remove(n);
        struct env_mail *mail = LIST_ENTRY(n, struct env_mail, node);
        rpc_mail_free(container_of(mail, struct rpc_mail, mail));
    }
    (void)map_remove(&hr->worker->home_reqs, hr->id);
    rpc_mail_free(hr->head);
    mem_free(hr->headers);
    mem_free(hr);
}

/* The handler has let go; the request itself is freed by its caller. */
static void let_go(struct home_req *hr)
{
    hr->is_over = true;
    maybe_free(hr);
}

static void r_respond(struct rpc_http_req *req, int status, const struct h1_header *headers,
                      size_t count, struct slice body)
{
    struct home_req *hr = home_of(req);
    struct rpc_mail *m = mail_for(hr, RPC_MAIL_RESPOND);
    m->status = status;
    rpc_mail_put_headers(m, headers, count);
    m->body_at = m->bytes.len;
    buf_append_slice(&m->bytes, body);
    push_down(m);
    let_go(hr);
}

static void r_begin(struct rpc_http_req *req, int status, const struct h1_header *headers,
                    size_t count)
{
    struct rpc_mail *m = mail_for(home_of(req), RPC_MAIL_BEGIN);
    m->status = status;
    rpc_mail_put_headers(m, headers, count);
    push_down(m);
}

static void r_write(struct rpc_http_req *req, struct slice bytes)
{
    struct home_req *hr = home_of(req);
    struct rpc_mail *m = mail_for(hr, RPC_MAIL_WRITE);
    buf_append_slice(&m->bytes, bytes);
    hr->queued += bytes.len;
    push_down(m);
}

static void r_finish(struct rpc_http_req *req)
{
    struct home_req *hr = home_of(req);
    push_down(mail_for(hr, RPC_MAIL_FINISH));
    let_go(hr);
}

static void r_abort(struct rpc_http_req *req)
{
    struct home_req *hr = home_of(req);
    push_down(mail_for(hr, RPC_MAIL_ABORT));
    let_go(hr);
}

static size_t r_queued(const struct rpc_http_req *req)
{
    return home_of(req)->queued;
}

static bool body_part(struct home_req *hr, struct rpc_mail *m);

static void r_body_pause(struct rpc_http_req *req, bool paused)
{
    struct home_req *hr = home_of(req);
    hr->is_paused = paused;
    if (paused) {
        return;
    }
    struct list waiting;
    list_init(&waiting);
    list_splice_back(&waiting, &hr->held);
    hr->inside++;
    for (struct list_node *n; (n = list_first(&waiting)) != NULL;) {
        list_remove(n);
        struct env_mail *mail = LIST_ENTRY(n, struct env_mail, node);
        struct rpc_mail *m = container_of(mail, struct rpc_mail, mail);
        if (!body_part(hr, m)) {
            rpc_mail_free(m);
        }
    }
    hr->inside--;
    maybe_free(hr);
}

static bool r_upgrade(struct rpc_http_req *req, const struct h1_header *headers, size_t count)
{
    struct home_req *hr = home_of(req);
    if (!hr->is_h1) {
        return false;
    }
    struct rpc_mail *m = mail_for(hr, RPC_MAIL_UPGRADE);
    rpc_mail_put_headers(m, headers, count);
    push_down(m);
    return true;
}

static const struct rpc_http_backend relay_backend = {
    .respond = r_respond,
    .begin = r_begin,
    .write = r_write,
    .finish = r_finish,
    .abort = r_abort,
    .queued = r_queued,
    .body_pause = r_body_pause,
    .upgrade = r_upgrade,
};

/* ---- requests ---- */

static const char *tls_common_name(const struct rpc_tls *t)
{
    return container_of(t, struct relay_tls, tls)->common_name;
}

static const struct rpc_tls_ops relay_tls_ops = {.peer_common_name = tls_common_name};

/* The head is kept until the request is over. */
static void head_take(struct rpc_worker *w, struct rpc_mail *m)
{
    struct home_req *hr = mem_zalloc(sizeof(*hr));
    size_t at = 0;
    hr->worker = w;
    hr->id = m->id;
    hr->head = m;
    hr->is_h1 = m->is_h1;
    list_init(&hr->held);
    struct slice method = rpc_mail_take_text(m, &at);
    struct slice target = rpc_mail_take_text(m, &at);
    hr->conn.server = w->home;
    hr->conn.listener = (struct rpc_listener *)(uintptr_t)m->listener;
    hr->conn.peer = (char *)(uintptr_t)rpc_mail_take_text(m, &at).data;
    hr->tls.tls.ops = &relay_tls_ops;
    hr->tls.common_name = (const char *)rpc_mail_take_text(m, &at).data;
    hr->conn.link.tls = m->is_tls ? &hr->tls.tls : NULL;
    hr->headers = mem_alloc_array(m->header_count + 1, sizeof(*hr->headers));
    rpc_mail_take_headers(m, &at, hr->headers);
    hr->req = rpc_http_req_create(&hr->conn, &relay_backend, method, target, hr->headers,
                                  m->header_count);
    hr->req->stream = hr;
    (void)map_put(&w->home_reqs, hr->id, hr);
    hr->inside++;
    rpc_http_req_start(hr->req);
    hr->inside--;
    maybe_free(hr);
}

/* A piece of the body or its end; true: kept, because the handler has paused. */
static bool body_part(struct home_req *hr, struct rpc_mail *m)
{
    if (hr->is_over) {
        return false;
    }
    if (hr->is_paused || !list_is_empty(&hr->held)) {
        list_push_back(&hr->held, &m->mail.node);
        return true;
    }
    hr->inside++;
    if (m->kind == RPC_MAIL_END) {
        rpc_http_req_end(hr->req);
    } else {
        rpc_http_req_body(hr->req, buf_slice(&m->bytes));
        if (!hr->is_over) {
            struct rpc_mail *t = mail_for(hr, RPC_MAIL_TAKEN);
            t->number = m->bytes.len;
            push_down(t);
        }
    }
    hr->inside--;
    return false;
}

static void gone(struct home_req *hr)
{
    hr->inside++;
    rpc_http_req_gone(hr->req);
    hr->inside--;
    hr->is_over = true;
}

static void room(struct home_req *hr, uint64_t bytes)
{
    ensure(hr->queued >= bytes);
    hr->queued -= (size_t)bytes;
    hr->inside++;
    rpc_http_req_maybe_writable(hr->req);
    hr->inside--;
}

bool rpc_http_relay_home(struct rpc_worker *w, struct rpc_mail *m)
{
    if (m->kind == RPC_MAIL_HEAD) {
        head_take(w, m);
        return true;
    }
    struct home_req *hr = map_get(&w->home_reqs, m->id);
    if (hr == NULL) {
        return false; /* answered already */
    }
    bool is_kept = false;
    if (m->kind == RPC_MAIL_BODY || m->kind == RPC_MAIL_END) {
        is_kept = body_part(hr, m);
    } else if (m->kind == RPC_MAIL_GONE) {
        gone(hr);
    } else {
        ensure(m->kind == RPC_MAIL_ROOM);
        room(hr, m->number);
    }
    maybe_free(hr);
    return is_kept;
}
