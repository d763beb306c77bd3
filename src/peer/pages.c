/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/pages: see pages.h (peer-protocol 2.13).
 *
 * A page's request is gathered, parsed, handed to the member and answered: struct peer_request
 * outlives both the HTTP request (the other end goes) and the transport (it stops).
 */
#include "peer/pages.h"

#include "base/gotext.h"
#include "base/json.h"
#include "peer/internal.h"
#include "wal/scan.h"
#include "wire/kv.h"

enum page_kind {
    PAGE_MEMBERS,
    PAGE_VERSION,
    PAGE_PROMOTE,
    PAGE_HASH_KV,
    PAGE_LEASE_RENEW,
    PAGE_LEASE_TTL,
    PAGE_DOWNGRADE,
};

struct page_row {
    enum page_kind kind;
    struct slice path;
    const char *method;
    bool has_allow;   /* 405 names the method */
    bool has_cluster; /* answers carry the cluster id, refusals too */
};

static const struct page_row PAGES[] = {
    {PAGE_MEMBERS, SLICE_LIT("/members"), "GET", true, true},
    {PAGE_VERSION, SLICE_LIT("/version"), "GET", true, false},
    {PAGE_PROMOTE, SLICE_LIT("/members/promote/"), "POST", true, true},
    {PAGE_HASH_KV, SLICE_LIT("/members/hashkv"), "GET", true, false},
    {PAGE_LEASE_RENEW, SLICE_LIT("/leases"), "POST", false, false},
    {PAGE_LEASE_TTL, SLICE_LIT("/leases/internal"), "POST", false, false},
    {PAGE_DOWNGRADE, SLICE_LIT("/downgrade/enabled"), "GET", true, true},
};

struct peer_request {
    struct list_node node;
    struct peer_transport *transport; /* NULL: stopped */
    struct rpc_http_req *req;         /* NULL: the other end is gone */
    const struct page_row *page;
    struct buf body;
    bool is_dispatched; /* the member has it */
};

/* ---- answering --------------------------------------------------------------------------------
 */

static void request_free(struct peer_request *r)
{
    list_remove(&r->node);
    buf_deinit(&r->body);
    mem_free(r);
}

static void answer(struct peer_request *r, int status, const char *type, bool has_cluster,
                   struct slice body)
{
    struct rpc_http_req *req = r->req;
    if (req != NULL) {
        ensure(r->transport != NULL); /* a stop lets go of both */
        struct rpc_http_header headers[2];
        size_t n = 0;
        if (type != NULL) {
            headers[n++] = (struct rpc_http_header){"Content-Type", slice_cstr(type)};
        }
        if (has_cluster) {
            headers[n++] = (struct rpc_http_header){"X-Etcd-Cluster-Id",
                                                    slice_cstr(r->transport->cluster_hex)};
        }
        r->req = NULL;
        rpc_http_respond(req, status, headers, n, body);
    }
    request_free(r);
}

static void answer_text(struct peer_request *r, int status, const char *text)
{
    struct rpc_http_req *req = r->req;
    struct peer_transport *t = r->transport;
    bool has_cluster = r->page->has_cluster;
    request_free(r);
    if (req != NULL) {
        peer_answer_text(t, req, status, text, has_cluster);
    }
}

void peer_request_members(struct peer_request *r, struct slice json)
{
    struct buf body = BUF_INIT;
    buf_append_slice(&body, json);
    buf_append_byte(&body, '\n');
    answer(r, 200, "application/json", true, buf_slice(&body));
    buf_deinit(&body);
}

/* Go's omitempty: a field of 0 is left out. */
static void put_field(struct buf *out, const char *name, int64_t v)
{
    if (v != 0) {
        buf_printf(out, ",\"%s\":%lld", name, (long long)v);
    }
}

void peer_request_hash_kv(struct peer_request *r, const struct peer_hash_kv *h)
{
    struct buf body = BUF_INIT;
    buf_append_cstr(&body, "{\"header\":{");
    if (h->rev != 0) {
        buf_printf(&body, "\"revision\":%lld", (long long)h->rev);
    }
    buf_append_byte(&body, '}');
    put_field(&body, "hash", h->hash);
    put_field(&body, "compact_revision", h->compact_rev);
    if (r->transport != NULL && r->transport->rules->level != LEVEL_3_5) {
        put_field(&body, "hash_revision", h->hash_rev);
    }
    buf_append_byte(&body, '}');
    answer(r, 200, "application/json", true, buf_slice(&body));
    buf_deinit(&body);
}

void peer_request_lease_renew(struct peer_request *r, int64_t lease_id, int64_t ttl_s)
{
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 2, (uint64_t)lease_id);
    wire_append_u64(&body, 3, (uint64_t)ttl_s);
    answer(r, 200, "application/protobuf", false, buf_slice(&body));
    buf_deinit(&body);
}

void peer_request_lease_ttl(struct peer_request *r, const struct peer_lease_ttl *l)
{
    struct buf inner = BUF_INIT, body = BUF_INIT;
    wire_append_message(&inner, 1, SLICE_NULL);
    wire_append_u64(&inner, 2, (uint64_t)l->lease_id);
    wire_append_u64(&inner, 3, (uint64_t)l->ttl_s);
    wire_append_u64(&inner, 4, (uint64_t)l->granted_ttl_s);
    for (size_t i = 0; i < l->key_count; i++) {
        wire_append_message(&inner, 5, l->keys[i]); /* present, whatever its length */
    }
    wire_append_message(&body, 1, buf_slice(&inner));
    answer(r, 200, "application/protobuf", false, buf_slice(&body));
    buf_deinit(&inner);
    buf_deinit(&body);
}

void peer_request_downgrade(struct peer_request *r, bool is_enabled)
{
    answer(r, 200, "text/plain", true, is_enabled ? SLICE_LIT("true") : SLICE_LIT("false"));
}

/* ---- refusing ---------------------------------------------------------------------------------
 */

struct refusal {
    enum page_kind page;
    int err;
    int status;
    const char *text;
};

static const struct refusal REFUSALS[] = {
    {PAGE_PROMOTE, ERR_RPC_MEMBER_NOT_FOUND, 404, "membership: ID not found"},
    {PAGE_PROMOTE, ERR_RPC_MEMBER_NOT_LEARNER, 412,
     "membership: can only promote a learner member"},
    {PAGE_PROMOTE, ERR_RPC_LEARNER_NOT_READY, 412,
     "etcdserver: can only promote a learner member which is in sync with leader"},
    {PAGE_HASH_KV, ERR_RPC_COMPACTED, 400, "mvcc: required revision has been compacted"},
    {PAGE_HASH_KV, ERR_RPC_FUTURE_REV, 400, "mvcc: required revision is a future revision"},
    {PAGE_LEASE_RENEW, ERR_RPC_LEASE_NOT_FOUND, 404, "lease not found"},
    {PAGE_LEASE_RENEW, ERR_TIMED_OUT, 408,
     "waiting for node to catch up its applied index has timed out"},
    {PAGE_LEASE_RENEW, ERR_RPC_NOT_PRIMARY_LESSOR, 400, "not a primary lessor"},
    {PAGE_LEASE_TTL, ERR_RPC_LEASE_NOT_FOUND, 404, "lease not found"},
    {PAGE_LEASE_TTL, ERR_TIMED_OUT, 408,
     "waiting for node to catch up its applied index has timed out"},
    {PAGE_LEASE_TTL, ERR_RPC_NOT_PRIMARY_LESSOR, 500, "not a primary lessor"},
};

static void fail_otherwise(struct peer_request *r, int err)
{
    if (r->page->kind == PAGE_PROMOTE) {
        answer(r, 500, "application/json", true,
               SLICE_LIT("{\"message\":\"Internal Server Error\"}"));
    } else if (r->page->kind == PAGE_DOWNGRADE) {
        struct buf text = BUF_INIT;
        buf_printf(&text, "failed linearized read: %s", err_text(err));
        answer_text(r, 500, buf_cstr(&text));
        buf_deinit(&text);
    } else {
        answer_text(r, 400, err_text(err));
    }
}

void peer_request_fail(struct peer_request *r, int err)
{
    for (size_t i = 0; i < ARRAY_LEN(REFUSALS); i++) {
        if (REFUSALS[i].page == r->page->kind && REFUSALS[i].err == err) {
            answer_text(r, REFUSALS[i].status, REFUSALS[i].text);
            return;
        }
    }
    fail_otherwise(r, err);
}

/* ---- parsing ----------------------------------------------------------------------------------
 */

static void promote(struct peer_transport *t, struct peer_request *r)
{
    struct slice path = rpc_http_path(r->req);
    struct slice text = slice_skip(path, r->page->path.len);
    uint64_t id = 0;
    if (gotext_parse_uint(text, 10, 64, &id) == 0) {
        t->pages->promote(t->arg, id, rpc_http_header(r->req, "Authorization"), r);
        return;
    }
    struct buf why = BUF_INIT;
    buf_append_cstr(&why, "member ");
    buf_append_slice(&why, text);
    buf_append_cstr(&why, " not found in cluster");
    answer_text(r, 404, buf_cstr(&why));
    buf_deinit(&why);
}

/* {"revision":N}; the reader knows unsigned numbers only, and a revision below 0 is refused by the
 * store anyway. */
static int revision_parse(struct slice body, uint64_t *out)
{
    struct json_reader j;
    struct buf key = BUF_INIT;
    json_init(&j, body);
    if (json_object_begin(&j)) {
        while (json_object_next(&j, &key)) {
            if (json_key_is(&key, "revision")) {
                json_u64(&j, out);
            } else {
                json_skip(&j);
            }
        }
    }
    buf_deinit(&key);
    return json_end(&j);
}

static void hash_kv(struct peer_transport *t, struct peer_request *r)
{
    uint64_t rev = 0;
    if (revision_parse(buf_slice(&r->body), &rev) != 0 || rev > INT64_MAX) {
        answer_text(r, 400, "error unmarshalling request");
        return;
    }
    t->pages->hash_kv(t->arg, (int64_t)rev, r);
}

/* Fields 1 (id) and 2 (a flag) of a small message. */
static int lease_fields(struct slice in, uint64_t *out_id, uint64_t *out_flag)
{
    struct scan s;
    for (scan_init(&s, in); scan_next(&s);) {
        if (s.field == 1) {
            scan_u64(&s, out_id);
        } else if (s.field == 2) {
            scan_u64(&s, out_flag);
        }
    }
    return s.err;
}

static void lease_renew(struct peer_transport *t, struct peer_request *r)
{
    uint64_t id = 0, unused = 0;
    if (lease_fields(buf_slice(&r->body), &id, &unused) != 0) {
        answer_text(r, 400, "error unmarshalling request");
        return;
    }
    t->pages->lease_renew(t->arg, (int64_t)id, r);
}

static void lease_ttl(struct peer_transport *t, struct peer_request *r)
{
    struct scan s;
    struct slice inner = SLICE_NULL;
    uint64_t id = 0, keys = 0;
    for (scan_init(&s, buf_slice(&r->body)); scan_next(&s);) {
        if (s.field == 1) {
            scan_bytes(&s, &inner);
        }
    }
    if (s.err != 0 || lease_fields(inner, &id, &keys) != 0) {
        answer_text(r, 400, "error unmarshalling request");
        return;
    }
    t->pages->lease_ttl(t->arg, (int64_t)id, keys != 0, r);
}

static void dispatch(struct peer_transport *t, struct peer_request *r)
{
    struct buf out = BUF_INIT;
    r->is_dispatched = true;
    switch (r->page->kind) {
    case PAGE_MEMBERS:
        t->pages->members(t->arg, &out);
        peer_request_members(r, buf_slice(&out));
        break;
    case PAGE_VERSION:
        t->pages->version(t->arg, &out);
        answer(r, 200, "application/json", false, buf_slice(&out));
        break;
    case PAGE_PROMOTE: promote(t, r); break;
    case PAGE_HASH_KV: hash_kv(t, r); break;
    case PAGE_LEASE_RENEW: lease_renew(t, r); break;
    case PAGE_LEASE_TTL: lease_ttl(t, r); break;
    case PAGE_DOWNGRADE: t->pages->downgrade_enabled(t->arg, r); break;
    }
    buf_deinit(&out);
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static bool is_served(const struct peer_pages *p, enum page_kind kind)
{
    if (p == NULL) {
        return false;
    }
    switch (kind) {
    case PAGE_MEMBERS: return p->members != NULL;
    case PAGE_VERSION: return p->version != NULL;
    case PAGE_PROMOTE: return p->promote != NULL;
    case PAGE_HASH_KV: return p->hash_kv != NULL;
    case PAGE_LEASE_RENEW: return p->lease_renew != NULL;
    case PAGE_LEASE_TTL: return p->lease_ttl != NULL;
    case PAGE_DOWNGRADE: return p->downgrade_enabled != NULL;
    }
    return false;
}

static const struct page_row *page_find(struct slice path)
{
    for (size_t i = 0; i < ARRAY_LEN(PAGES); i++) {
        bool is_tree = PAGES[i].kind == PAGE_PROMOTE;
        if (is_tree ? slice_has_prefix(path, PAGES[i].path) : slice_equal(path, PAGES[i].path)) {
            return &PAGES[i];
        }
    }
    return NULL;
}

static bool method_check(struct peer_transport *t, struct rpc_http_req *req,
                         const struct page_row *page)
{
    if (slice_equal_cstr(rpc_http_method(req), page->method)) {
        return true;
    }
    if (page->has_allow) {
        peer_answer_method(req, page->method);
    } else {
        peer_answer_text(t, req, 405, "Method Not Allowed", false);
    }
    return false;
}

void peer_page_request(void *arg, struct rpc_http_req *req)
{
    struct peer_transport *t = arg;
    const struct page_row *page = page_find(rpc_http_path(req));
    if (page == NULL || t->is_stopped || !is_served(t->pages, page->kind)) {
        peer_answer_text(t, req, 404, "404 page not found", false);
        return;
    }
    if (!method_check(t, req, page)) {
        return;
    }
    struct slice cluster = rpc_http_header(req, "X-Etcd-Cluster-Id");
    if (page->kind == PAGE_HASH_KV && cluster.len > 0 &&
        !slice_equal_cstr(cluster, t->cluster_hex)) {
        peer_answer_text(t, req, 412, "cluster ID mismatch", false);
        return;
    }
    struct peer_request *r = mem_zalloc(sizeof(*r));
    r->transport = t;
    r->req = req;
    r->page = page;
    list_push_back(&t->pages_in, &r->node);
    rpc_http_set_user(req, r);
}

void peer_page_body(void *arg, struct rpc_http_req *req, struct slice bytes)
{
    struct peer_request *r = rpc_http_user(req);
    (void)arg;
    if (r->body.len + bytes.len > LIMIT_PEER_SMALL_BODY_BYTES) {
        answer_text(r, 413, "request body too large");
        return;
    }
    buf_append_slice(&r->body, bytes);
}

void peer_page_end(void *arg, struct rpc_http_req *req)
{
    dispatch(arg, rpc_http_user(req));
}

void peer_page_gone(void *arg, struct rpc_http_req *req)
{
    struct peer_request *r = rpc_http_user(req);
    (void)arg;
    r->req = NULL;
    if (!r->is_dispatched) {
        request_free(r);
    }
}

void peer_pages_in_stop(struct peer_transport *t)
{
    while (!list_is_empty(&t->pages_in)) {
        struct peer_request *r = LIST_ENTRY(list_first(&t->pages_in), struct peer_request, node);
        struct rpc_http_req *req = r->req;
        list_remove(&r->node);
        r->transport = NULL;
        r->req = NULL;
        if (!r->is_dispatched) {
            request_free(r);
        }
        if (req != NULL) {
            rpc_http_abort(req);
        }
    }
}
