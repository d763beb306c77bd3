/* SPDX-License-Identifier: Apache-2.0
 *
 * service/lease: etcdserverpb.Lease (client-api 2.3), and what other members ask about leases on
 * the peer port (peer-protocol 2.13).
 *
 * What goes into the log is encoded anew: the id may be the server's choice.
 */
#include "base/failpoint.h"
#include "lease/lessor.h"
#include "service/internal.h"
#include "service/lease_ask.h"

static struct service *service_of(struct grpc_call *call)
{
    return grpc_call_service(call);
}

static void propose(struct grpc_call *call, uint32_t which, const struct buf *body, uint64_t cost)
{
    struct service_call *sc =
        service_call_begin(service_of(call), call, CORE_PROPOSE, service_answer);
    sc->req.which = which;
    sc->req.body = buf_slice(body);
    sc->req.quota_cost = cost;
    service_call_propose(sc); /* copies the body */
}

/* Fields 1 and 2 of all requests here. */
static int two_numbers(struct slice msg, uint64_t *one, uint64_t *two)
{
    int err = service_number_of(msg, 1, one);
    return err == 0 ? service_number_of(msg, 2, two) : err;
}

/* ---- through the log ---- */

/* Positive, and not 0: that means none. */
int64_t service_lease_id(struct service *s)
{
    uint64_t id = 0;
    while (id == 0) {
        id = core_new_id(s->core) & INT64_MAX;
    }
    return (int64_t)id;
}

static void grant_on_message(struct grpc_call *call, struct slice msg)
{
    uint64_t ttl, id;
    int err = two_numbers(msg, &ttl, &id);
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    if (!service_permitted(call, SERVICE_KNOWN)) {
        return;
    }
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 1, ttl);
    wire_append_u64(&body, 2, id != 0 ? id : (uint64_t)service_lease_id(service_of(call)));
    propose(call, WIRE_INTERNAL_LEASE_GRANT, &body, APPLY_GRANT_COST);
    buf_deinit(&body);
}

static void revoke_on_message(struct grpc_call *call, struct slice msg)
{
    uint64_t id;
    int err = service_number_of(msg, 1, &id);
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    if (!service_permitted(call, SERVICE_KNOWN)) {
        return;
    }
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 1, id);
    propose(call, WIRE_INTERNAL_LEASE_REVOKE, &body, 0);
    buf_deinit(&body);
}

/* ---- LeaseTimeToLive ---- */

struct look {
    struct grpc_call *call;
    struct lease_ask *ask;
    int64_t id;
    uint64_t auth_revision; /* when it was permitted */
    bool wants_keys;
};

static struct look **look_of(struct grpc_call *call)
{
    return grpc_call_user(call);
}

/* Somebody, who may read every key of these leases. */
static int keys_permit(struct grpc_call *call, const int64_t *ids, size_t count)
{
    struct service *s = service_of(call);
    struct auth_who who;
    if (!auth_is_enabled(core_auth(s->core))) {
        return 0;
    }
    int err = service_identify(call, &who);
    if (err == 0) {
        err = auth_check_known(core_auth(s->core), &who);
    }
    for (size_t i = 0; err == 0 && i < count; i++) {
        err = apply_permit_lease_read(core_apply(s->core), &who, ids[i]);
    }
    return err;
}

/* What was permitted before the leader was asked may not be any more. */
static int look_permit_again(struct service *s, const struct look *k)
{
    struct auth_store *auth = core_auth(s->core);
    bool is_old = k->wants_keys && auth_is_enabled(auth) && k->auth_revision != auth_revision(auth);
    return is_old ? ERR_RPC_AUTH_OLD_REVISION : 0;
}

static void look_done(void *user, int err, const struct service_lease *l)
{
    struct look *k = user;
    struct service *s = service_of(k->call);
    if (err == 0 && (err = look_permit_again(s, k)) != 0) {
        l = NULL;
    }
    const struct service_lease gone = {.ttl_s = -1};
    l = err == ERR_RPC_LEASE_NOT_FOUND ? &gone : l;
    if (l == NULL) {
        service_refuse(k->call, err);
        mem_free(k);
        return;
    }
    struct wire_header h = service_header(s, core_rev(s->core));
    struct buf *out = service_scratch(s);
    wire_append_header(out, &h);
    wire_append_u64(out, 2, (uint64_t)k->id);
    wire_append_u64(out, 3, (uint64_t)l->ttl_s);
    wire_append_u64(out, 4, (uint64_t)l->granted_ttl_s);
    for (size_t i = 0; i < l->key_count; i++) {
        wire_append_message(out, 5, l->keys[i]); /* present, whatever its length */
    }
    grpc_call_finish_unary(k->call, buf_slice(out));
    mem_free(k);
}

static void look_on_message(struct grpc_call *call, struct slice msg)
{
    uint64_t id, wants_keys;
    int err = two_numbers(msg, &id, &wants_keys);
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    struct look *k = mem_alloc(sizeof(*k));
    *k = (struct look){.call = call, .id = (int64_t)id, .wants_keys = wants_keys != 0};
    k->auth_revision = auth_revision(core_auth(service_of(call)->core));
    err = keys_permit(call, &k->id, k->wants_keys ? 1 : 0);
    if (err != 0) {
        mem_free(k);
        service_refuse(call, err);
        return;
    }
    *look_of(call) = k;
    FAILPOINT(beforeLookupWhenLeaseTimeToLive);
    const struct lease_question q = {.id = k->id, .wants_keys = wants_keys != 0};
    k->ask = lease_ask_start(service_of(call), &q, look_done, k);
}

static void look_on_cancel(struct grpc_call *call, int err)
{
    struct look *k = *look_of(call);
    (void)err;
    service_unhold(call);
    if (k != NULL) {
        lease_ask_cancel(k->ask);
        mem_free(k);
    }
}

/* ---- LeaseLeases ---- */

static void list_on_message(struct grpc_call *call, struct slice msg)
{
    struct service *s = service_of(call);
    uint64_t unused;
    int err = service_number_of(msg, 1, &unused);
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    const struct lessor *l = core_lessor(s->core);
    size_t count = lessor_count(l);
    int64_t *ids = mem_alloc_array(count, sizeof(*ids));
    lessor_list(l, ids);
    /* Who may not read a key of any lease gets no list at all, as in etcd. */
    err = keys_permit(call, ids, count);
    if (err != 0) {
        mem_free(ids);
        service_refuse(call, err);
        return;
    }
    struct wire_header h = service_header(s, core_rev(s->core));
    struct buf *out = service_scratch(s);
    struct buf one = BUF_INIT;
    wire_append_header(out, &h);
    for (size_t i = 0; i < count; i++) {
        buf_clear(&one);
        wire_append_u64(&one, 1, (uint64_t)ids[i]);
        wire_append_message(out, 2, buf_slice(&one));
    }
    grpc_call_finish_unary(call, buf_slice(out));
    buf_deinit(&one);
    mem_free(ids);
}

static void list_on_cancel(struct grpc_call *call, int err)
{
    (void)err;
    service_unhold(call);
}

/* ---- LeaseKeepAlive: one renewal after the other, in order ---- */

struct keep_alive {
    struct grpc_call *call;
    struct lease_ask *ask; /* NULL: none under way */
    struct leader_wish leader;
    struct wire_header header;
    struct auth_caller caller; /* its bytes are the call's */
    int64_t id;
    bool is_half_closed;
};

static struct keep_alive *keep_alive_of(struct grpc_call *call)
{
    return *(struct keep_alive **)grpc_call_user(call);
}

/* The stream is over: so is the question under way. */
static void keep_alive_end(struct keep_alive *k)
{
    leader_wish_drop(&k->leader);
    if (k->ask != NULL) {
        lease_ask_cancel(k->ask);
    }
    mem_free(k);
}

static void keep_alive_on_leader_lost(struct leader_wish *w)
{
    struct keep_alive *k = container_of(w, struct keep_alive, leader);
    service_refuse(k->call, ERR_RPC_NO_LEADER);
    keep_alive_end(k);
}

static void keep_alive_on_start(struct grpc_call *call)
{
    struct keep_alive *k = mem_zalloc(sizeof(*k));
    k->call = call;
    leader_wish_add(service_of(call), call, &k->leader, keep_alive_on_leader_lost);
    *(struct keep_alive **)grpc_call_user(call) = k;
    service_on_start(call);
}

/* The next message may be delivered from inside, and end the call. */
static void keep_alive_next(struct keep_alive *k)
{
    if (k->ask != NULL || !grpc_call_can_send(k->call)) {
        return;
    }
    if (k->is_half_closed) {
        grpc_call_finish(k->call);
        keep_alive_end(k);
        return;
    }
    grpc_call_unpause(k->call);
}

static void renewed(void *user, int err, const struct service_lease *l)
{
    struct keep_alive *k = user;
    k->ask = NULL;
    if (err != 0 && err != ERR_RPC_LEASE_NOT_FOUND) {
        service_refuse(k->call, err);
        keep_alive_end(k);
        return;
    }
    struct buf *out = service_scratch(service_of(k->call));
    wire_append_header(out, &k->header);
    wire_append_u64(out, 2, (uint64_t)k->id);
    wire_append_u64(out, 3, l != NULL ? (uint64_t)l->ttl_s : 0);
    grpc_call_send(k->call, buf_slice(out));
    keep_alive_next(k);
}

static void keep_alive_on_message(struct grpc_call *call, struct slice msg)
{
    struct keep_alive *k = keep_alive_of(call);
    struct service *s = service_of(call);
    uint64_t id;
    int err = service_number_of(msg, 1, &id);
    if (err != 0) {
        service_malformed(call, err);
        keep_alive_end(k);
        return;
    }
    grpc_call_pause(call);
    k->id = (int64_t)id;
    k->header = service_header(s, core_rev(s->core)); /* not above the renewal's own revision */
    service_caller_of(call, &k->caller);
    const struct lease_question q = {.id = k->id, .is_renewal = true, .caller = &k->caller};
    k->ask = lease_ask_start(s, &q, renewed, k);
}

static void keep_alive_on_half_close(struct grpc_call *call)
{
    struct keep_alive *k = keep_alive_of(call);
    k->is_half_closed = true;
    keep_alive_next(k);
}

static void keep_alive_on_writable(struct grpc_call *call)
{
    keep_alive_next(keep_alive_of(call));
}

static void keep_alive_on_cancel(struct grpc_call *call, int err)
{
    struct keep_alive *k = keep_alive_of(call);
    (void)err;
    service_unhold(call);
    keep_alive_end(k);
}

/* ---- pages ---- */

struct lease_page {
    struct core_request req;
    struct service *service;
    struct lease_question q;
    void (*on_done)(void *arg, int err, const struct service_lease *l);
    void *arg;
};

static void on_page_reply(struct core_request *r)
{
    struct lease_page *p = container_of(r, struct lease_page, req);
    if (r->err == 0 && !p->q.is_renewal) {
        lease_look(p->service, &p->q, ERR_RPC_NOT_PRIMARY_LESSOR, p->on_done, p->arg);
    } else {
        const struct service_lease l = {.ttl_s = r->ttl_s};
        bool is_late = r->err == ERR_RPC_TIMEOUT_WAIT_APPLIED;
        p->on_done(p->arg, is_late ? ERR_TIMED_OUT : r->err, &l);
    }
    mem_free(p);
}

void service_page_lease(struct service *s, int64_t id, bool is_renewal, bool wants_keys,
                        void (*on_done)(void *arg, int err, const struct service_lease *l),
                        void *arg)
{
    if (is_renewal) {
        FAILPOINT(beforeServeHTTPLeaseRenew);
    } else {
        FAILPOINT(beforeLookupWhenForwardLeaseTimeToLive);
    }
    struct lease_page *p = mem_zalloc(sizeof(*p));
    core_request_init(&p->req, is_renewal ? CORE_LEASE_RENEW : CORE_CATCH_UP);
    p->req.lease_id = id;
    p->req.is_from_peer = true;
    p->req.on_reply = on_page_reply;
    p->service = s;
    p->q = (struct lease_question){.id = id, .is_renewal = is_renewal, .wants_keys = wants_keys};
    p->on_done = on_done;
    p->arg = arg;
    driver_submit(s->driver, &p->req);
}

/* ---- methods ---- */

static const struct grpc_method lease_methods[] = {
    {.service = "etcdserverpb.Lease",
     .name = "LeaseGrant",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = grant_on_message,
     .on_cancel = service_on_cancel},
    {.service = "etcdserverpb.Lease",
     .name = "LeaseRevoke",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = revoke_on_message,
     .on_cancel = service_on_cancel},
    {.service = "etcdserverpb.Lease",
     .name = "LeaseKeepAlive",
     .kind = GRPC_KIND_BIDI,
     .on_start = keep_alive_on_start,
     .on_message = keep_alive_on_message,
     .on_half_close = keep_alive_on_half_close,
     .on_writable = keep_alive_on_writable,
     .on_cancel = keep_alive_on_cancel},
    {.service = "etcdserverpb.Lease",
     .name = "LeaseTimeToLive",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = look_on_message,
     .on_cancel = look_on_cancel},
    {.service = "etcdserverpb.Lease",
     .name = "LeaseLeases",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = list_on_message,
     .on_cancel = list_on_cancel},
};

void lease_register(struct service *s, struct grpc_server *server)
{
    grpc_server_add(server, lease_methods, ARRAY_LEN(lease_methods), s);
}
