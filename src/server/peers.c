/* SPDX-License-Identifier: Apache-2.0
 *
 * server/peers: see peers.h.
 */
#include "server/peers.h"

#include "base/log.h"
#include "bolt/bolt.h"
#include "member/peer_body.h"

/* Headers: as etcd's peer listeners. */
enum { STOP_GRACE_MS = 500, VERSION_TIMEOUT_MS = 3000, HEADER_TIMEOUT_MS = 5000 };

/* ---- transport -> driver ---- */

static int on_message(void *arg, const struct raft_message *m)
{
    struct server_peers *p = arg;
    return driver_message(p->driver, m);
}

static int on_snapshot(void *arg, const struct peer_snapshot_in *in)
{
    struct server_peers *p = arg;
    return driver_snapshot_received(p->driver, in->message, in->v2_json);
}

static bool is_removed(void *arg, uint64_t id)
{
    struct server_peers *p = arg;
    return membership_is_removed(core_members(driver_core(p->driver)), id);
}

static void on_unreachable(void *arg, uint64_t id)
{
    struct server_peers *p = arg;
    driver_unreachable(p->driver, id);
}

static void on_snapshot_status(void *arg, uint64_t id, bool has_failed)
{
    struct server_peers *p = arg;
    driver_snapshot_status(p->driver, id, has_failed);
}

static void on_active(void *arg, uint64_t id, bool is_active)
{
    struct server_peers *p = arg;
    driver_peer_active(p->driver, id, is_active);
}

static void on_removed(void *arg)
{
    struct server_peers *p = arg;
    p->on_removed(p->arg);
}

static void on_rtt(void *arg, uint64_t id, uint64_t ns)
{
    struct server_peers *p = arg;
    if (p->on_rtt != NULL) {
        p->on_rtt(p->arg, id, ns);
    }
}

static const struct peer_events events = {
    .on_message = on_message,
    .on_snapshot = on_snapshot,
    .is_removed = is_removed,
    .on_unreachable = on_unreachable,
    .on_snapshot_status = on_snapshot_status,
    .on_active = on_active,
    .on_removed = on_removed,
    .on_rtt = on_rtt,
};

/* ---- driver -> transport ---- */

void server_peers_send(struct server_peers *p, const struct raft_message *messages, size_t count)
{
    peer_send(p->transport, messages, count);
}

static int view_read(void *arg, uint64_t off, void *dst, size_t len)
{
    return bolt_copy_read(backend_view_tx(arg), off, dst, len);
}

static void view_release(void *arg)
{
    backend_view_unpin(arg);
}

void server_peers_send_snapshot(struct server_peers *p, const struct driver_snapshot *s)
{
    struct peer_snapshot out = {
        .message = s->message,
        .meta = s->meta,
        .v2_json = s->v2_json,
        .db_bytes = bolt_tx_size_bytes(backend_view_tx(s->view)),
        .read = view_read,
        .release = view_release,
        .arg = s->view,
    };
    peer_send_snapshot(p->transport, &out);
}

static const struct strs *own_urls(const struct server_peers *p)
{
    struct core *core = driver_core(p->driver);
    const struct member *m = membership_find(core_members(core), core_member_id(core));
    return m != NULL ? &m->peer_urls : NULL;
}

void server_peers_members_changed(struct server_peers *p)
{
    const struct strs *urls = own_urls(p);
    peer_members_set(p->transport, core_members(driver_core(p->driver)));
    if (urls != NULL) {
        peer_urls_set(p->transport, urls);
    }
}

/* ---- the others' versions (peer-protocol 6.4) ---- */

static void versions_done(struct server_peers *p)
{
    struct core_version versions[SERVER_ASKS_MAX];
    for (size_t i = 0; i < p->ask_count; i++) {
        versions[i] = p->asks[i].version;
    }
    driver_versions(p->driver, versions, p->ask_count);
}

static void on_version(void *arg, const struct peer_answer *answer)
{
    struct server_version_ask *a = arg;
    struct member_versions v;
    a->ask = NULL;
    if (answer->err == 0 && answer->status == 200 && member_versions_parse(answer->body, &v) == 0) {
        struct semver said;
        if (semver_parse(slice_cstr(v.server), &said) == 0) {
            a->version.version = said;
        }
    }
    if (--a->owner->asks_open == 0) {
        versions_done(a->owner);
    }
}

static void version_ask(struct server_peers *p, const struct member *m)
{
    struct server_version_ask *a = &p->asks[p->ask_count++];
    *a = (struct server_version_ask){.owner = p, .version = {.member_id = m->id}};
    struct peer_question q = {
        .env = p->env,
        .tls = p->dial_tls,
        .urls = &m->peer_urls,
        .method = "GET",
        .path = "/version",
        .url_timeout_ms = VERSION_TIMEOUT_MS,
        .on_answer = on_version,
        .arg = a,
    };
    p->asks_open++;
    a->ask = peer_ask_start(&q);
}

void server_peers_want_versions(struct server_peers *p)
{
    struct core *core = driver_core(p->driver);
    const struct membership *ms = core_members(core);
    if (p->asks_open > 0 || p->service == NULL) {
        return;
    }
    p->ask_count = 0;
    for (size_t i = 0; i < ms->count && p->ask_count < SERVER_ASKS_MAX; i++) {
        if (ms->members[i].id != core_member_id(core)) {
            version_ask(p, &ms->members[i]);
        }
    }
}

/* ---- questions of the service ---- */

struct question {
    struct peer_ask *ask;
    void (*on_reply)(void *user, const struct service_reply *r);
    void *user;
};

static void on_answer(void *arg, const struct peer_answer *a)
{
    struct question *q = arg;
    struct service_reply r = {.err = a->err, .status = (unsigned)a->status, .body = a->body};
    q->on_reply(q->user, &r);
    mem_free(q);
}

static const char *content_type(const struct service_question *q)
{
    if (q->is_protobuf) {
        return "application/protobuf";
    }
    return q->body.len > 0 ? "application/json" : NULL;
}

static void *ask(void *arg, const struct service_question *sq,
                 void (*on_reply)(void *user, const struct service_reply *r), void *user)
{
    struct server_peers *p = arg;
    struct question *q = mem_alloc(sizeof(*q));
    *q = (struct question){.on_reply = on_reply, .user = user};
    struct peer_question pq = {
        .env = p->env,
        .pool = sq->is_repeatable ? p->pool : NULL,
        .tls = p->dial_tls,
        .urls = sq->urls,
        .method = sq->method,
        .path = sq->path,
        .body = sq->body,
        .content_type = content_type(sq),
        .cluster_id = sq->is_protobuf ? 0 : core_cluster_id(driver_core(p->driver)),
        .token = sq->token,
        .url_timeout_ms = sq->timeout_ms,
        .takes_any_status = sq->takes_any_status,
        .on_answer = on_answer,
        .arg = q,
    };
    q->ask = peer_ask_start(&pq);
    return q;
}

static void ask_cancel(void *arg, void *handle)
{
    struct question *q = handle;
    (void)arg;
    peer_ask_cancel(q->ask);
    mem_free(q);
}

/* ---- pages ---- */

struct lease_page {
    struct peer_request *request;
    int64_t id;
};

static void page_members(void *arg, struct buf *out)
{
    struct server_peers *p = arg;
    service_page_members(p->service, out);
}

static void page_version(void *arg, struct buf *out)
{
    struct server_peers *p = arg;
    service_page_version(p->service, out);
}

static void promote_done(void *arg, int err, struct slice json)
{
    struct peer_request *r = arg;
    if (err != 0) {
        peer_request_fail(r, err);
    } else {
        peer_request_members(r, json);
    }
}

static void page_promote(void *arg, uint64_t id, struct slice token, struct peer_request *r)
{
    struct server_peers *p = arg;
    service_page_promote(p->service, id, token, promote_done, r);
}

static void hash_done(void *arg, int err, const struct service_hash *h)
{
    struct peer_request *r = arg;
    if (err != 0) {
        peer_request_fail(r, err);
        return;
    }
    struct peer_hash_kv out = {.rev = h->rev,
                               .hash = h->value.hash,
                               .compact_rev = h->value.compact_rev,
                               .hash_rev = h->value.rev};
    peer_request_hash_kv(r, &out);
}

static void page_hash(void *arg, int64_t rev, struct peer_request *r)
{
    struct server_peers *p = arg;
    service_page_hash(p->service, rev, hash_done, r);
}

static void downgrade_done(void *arg, int err, bool is_enabled)
{
    struct peer_request *r = arg;
    if (err != 0) {
        peer_request_fail(r, err);
    } else {
        peer_request_downgrade(r, is_enabled);
    }
}

static void page_downgrade(void *arg, struct peer_request *r)
{
    struct server_peers *p = arg;
    service_page_downgrade(p->service, downgrade_done, r);
}

static void renew_done(void *arg, int err, const struct service_lease *l)
{
    struct lease_page *q = arg;
    if (err != 0) {
        peer_request_fail(q->request, err);
    } else {
        peer_request_lease_renew(q->request, q->id, l->ttl_s);
    }
    mem_free(q);
}

static void look_done(void *arg, int err, const struct service_lease *l)
{
    struct lease_page *q = arg;
    if (err != 0) {
        peer_request_fail(q->request, err);
    } else {
        const struct peer_lease_ttl out = {.lease_id = q->id,
                                           .ttl_s = l->ttl_s,
                                           .granted_ttl_s = l->granted_ttl_s,
                                           .keys = l->keys,
                                           .key_count = l->key_count};
        peer_request_lease_ttl(q->request, &out);
    }
    mem_free(q);
}

static struct lease_page *lease_page_make(int64_t id, struct peer_request *r)
{
    struct lease_page *q = mem_alloc(sizeof(*q));
    *q = (struct lease_page){.request = r, .id = id};
    return q;
}

static void page_lease_renew(void *arg, int64_t id, struct peer_request *r)
{
    struct server_peers *p = arg;
    service_page_lease(p->service, id, true, false, renew_done, lease_page_make(id, r));
}

static void page_lease_ttl(void *arg, int64_t id, bool wants_keys, struct peer_request *r)
{
    struct server_peers *p = arg;
    service_page_lease(p->service, id, false, wants_keys, look_done, lease_page_make(id, r));
}

static const struct peer_pages pages = {
    .members = page_members,
    .version = page_version,
    .promote = page_promote,
    .hash_kv = page_hash,
    .lease_renew = page_lease_renew,
    .lease_ttl = page_lease_ttl,
    .downgrade_enabled = page_downgrade,
};

/* ---- life ---- */

void server_peers_open(struct server_peers *p, const struct server_config *config, struct env *env,
                       struct driver *driver)
{
    struct core *core = driver_core(driver);
    static const struct strs none = {NULL, 0};
    p->env = env;
    p->driver = driver;
    p->dial_tls = config->peer_dial_tls;
    p->asker = (struct service_peers){.ask = ask, .cancel = ask_cancel, .arg = p};
    const struct strs *urls = own_urls(p);
    struct peer_config pc = {
        .env = env,
        .local_id = core_member_id(core),
        .cluster_id = core_cluster_id(core),
        .level = driver_level(driver),
        .urls = urls != NULL ? urls : &none,
        .snap_dir = driver_snap_dir(driver),
        .election_ms = config->driver.election_ms,
        .snapshot_check = driver_snapshot_check,
        .tls = config->peer_dial_tls,
        .events = &events,
        .pages = &pages,
        .arg = p,
    };
    p->transport = peer_transport_create(&pc);
    p->pool = peer_pool_create(env);
    struct rpc_server_options ro = {.env = env, .header_timeout_ms = HEADER_TIMEOUT_MS};
    p->rpc = rpc_server_create(&ro);
    peer_members_set(p->transport, core_members(core));
}

void server_peers_serve(struct server_peers *p, struct service *service)
{
    p->service = service;
}

static void asks_cancel(struct server_peers *p)
{
    for (size_t i = 0; p->asks_open > 0 && i < p->ask_count; i++) {
        if (p->asks[i].ask != NULL) {
            peer_ask_cancel(p->asks[i].ask);
            p->asks[i].ask = NULL;
            p->asks_open--;
        }
    }
}

/* A job may still read the database for a snapshot: the driver must not be closed under it. */
static void on_rpc_stopped(void *arg)
{
    struct server_peers *p = arg;
    peer_transport_when_idle(p->transport, p->on_stopped, p->stopped_arg);
}

void server_peers_stop(struct server_peers *p, void (*on_stopped)(void *arg), void *arg)
{
    p->on_stopped = on_stopped;
    p->stopped_arg = arg;
    asks_cancel(p);
    peer_transport_stop(p->transport);
    peer_pool_stop(p->pool);
    for (size_t i = 0; i < p->listener_count; i++) {
        rpc_listener_close(p->listeners[i]);
    }
    p->listener_count = 0;
    rpc_server_stop(p->rpc, STOP_GRACE_MS, on_rpc_stopped, p);
}

void server_peers_close(struct server_peers *p)
{
    peer_pool_stop(p->pool); /* a member that never served has not been stopped */
    peer_pool_destroy(p->pool);
    rpc_server_destroy(p->rpc);
    peer_transport_destroy(p->transport);
}
