/* SPDX-License-Identifier: Apache-2.0
 *
 * service/cluster: etcdserverpb.Cluster (client-api 2.4).  Headers carry no revision; the guards of
 * a reconfiguration are the core's (peer-protocol 6.6).
 */
#include "member/url.h"
#include "service/internal.h"

enum { ADD_MEMBER = 2, ADD_MEMBERS = 3, LIST_MEMBERS = 2 };

static struct service *service_of(struct grpc_call *call)
{
    return grpc_call_service(call);
}

/* ---- answers ---- */

static void append_member(struct buf *out, uint32_t field, const struct member *m)
{
    struct buf row = BUF_INIT;
    wire_append_u64(&row, 1, m->id);
    wire_append_bytes(&row, 2, slice_cstr(m->name));
    for (size_t i = 0; i < m->peer_urls.count; i++) {
        wire_append_bytes(&row, 3, slice_cstr(m->peer_urls.items[i]));
    }
    for (size_t i = 0; i < m->client_urls.count; i++) {
        wire_append_bytes(&row, 4, slice_cstr(m->client_urls.items[i]));
    }
    wire_append_u64(&row, 5, m->is_learner);
    wire_append_message(out, field, buf_slice(&row));
    buf_deinit(&row);
}

void service_append_members(struct buf *out, uint32_t field, const struct membership *ms)
{
    for (size_t i = 0; i < ms->count; i++) {
        append_member(out, field, &ms->members[i]);
    }
}

static void list_reply(struct service_call *sc)
{
    if (sc->req.err == 0) {
        service_append_members(&sc->response, LIST_MEMBERS, core_members(sc->service->core));
        sc->req.header_rev = 0;
    }
    service_answer(sc);
}

static void add_reply(struct service_call *sc)
{
    if (sc->req.err == 0) {
        struct member m = {.id = sc->req.member_id,
                           .name = (char *)(uintptr_t) "",
                           .peer_urls = sc->urls, /* borrowed: not given back */
                           .is_learner = sc->req.op == CORE_MEMBER_ADD_LEARNER};
        append_member(&sc->response, ADD_MEMBER, &m);
        service_append_members(&sc->response, ADD_MEMBERS, core_members(sc->service->core));
        sc->req.header_rev = 0;
    }
    service_answer(sc);
}

/* ---- requests ---- */

struct change {
    uint64_t id;
    struct strs urls; /* as given */
    bool is_learner;
};

/* Texts are kept with a NUL behind them: one inside makes it no URL at all. */
static struct slice without_nul(struct slice url)
{
    return url.len > 0 && memchr(url.data, 0, url.len) != NULL ? SLICE_LIT("") : url;
}

/* Field numbers differ: add has {1: urls, 2: learner}, the others {1: id, 2: urls}. */
static int change_decode(struct slice msg, uint32_t id, uint32_t urls, uint32_t learner,
                         struct change *out)
{
    struct wire_scan s;
    struct change c = {.id = 0};
    for (wire_scan_init(&s, msg); wire_scan_next(&s);) {
        if (s.type == WIRE_VARINT && s.field == id) {
            c.id = s.number;
        } else if (s.type == WIRE_VARINT && s.field == learner) {
            c.is_learner = s.number != 0;
        } else if (s.type == WIRE_LEN && s.field == urls && c.urls.count <= MEMBER_URLS_MAX) {
            strs_add(&c.urls, without_nul(s.bytes));
        }
    }
    if (s.err != 0) {
        strs_deinit(&c.urls);
        return s.err;
    }
    *out = c;
    return 0;
}

/* Every URL made uniform, in the given order.  0 or ERR_RPC_MEMBER_BAD_URLS. */
static int check_urls(const struct strs *in, struct strs *out)
{
    if (in->count == 0 || in->count > MEMBER_URLS_MAX) {
        return ERR_RPC_MEMBER_BAD_URLS;
    }
    int err = 0;
    for (size_t i = 0; err == 0 && i < in->count; i++) {
        struct buf url = BUF_INIT;
        err = url_check(slice_cstr(in->items[i]), &url, NULL);
        if (err == 0) {
            strs_add(out, buf_slice(&url));
        }
        buf_deinit(&url);
    }
    if (err != 0) {
        strs_deinit(out);
    }
    return err == 0 ? 0 : ERR_RPC_MEMBER_BAD_URLS;
}

static void change_start(struct grpc_call *call, enum core_member_op op, uint64_t id,
                         struct strs *urls)
{
    struct service *s = service_of(call);
    bool is_add = op == CORE_MEMBER_ADD || op == CORE_MEMBER_ADD_LEARNER;
    if (!service_permitted(call, SERVICE_ROOT)) {
        strs_deinit(urls);
        return;
    }
    struct service_call *sc =
        service_call_begin(s, call, CORE_CONF_CHANGE, is_add ? add_reply : list_reply);
    struct env_clock *clock = driver_env(s->driver)->clock;
    sc->urls = *urls;
    *urls = (struct strs){NULL, 0};
    sc->req.op = op;
    sc->req.member_id = id;
    sc->req.peer_urls = &sc->urls;
    sc->req.unix_s = clock->ops->wall_ns(clock) / 1000000000;
    service_call_submit(sc);
}

/* False: answered.  Else c->urls are the checked ones, for change_start. */
static bool change_take(struct grpc_call *call, struct slice msg, uint32_t id, uint32_t urls,
                        uint32_t learner, struct change *c)
{
    struct strs given, checked = {NULL, 0};
    int err = change_decode(msg, id, urls, learner, c);
    if (err != 0) {
        service_malformed(call, err);
        return false;
    }
    given = c->urls;
    err = check_urls(&given, &checked);
    strs_deinit(&given);
    if (err != 0) {
        service_refuse(call, err);
        return false;
    }
    c->urls = checked;
    return true;
}

static void add_on_message(struct grpc_call *call, struct slice msg)
{
    struct change c;
    if (change_take(call, msg, UINT32_MAX, 1, 2, &c)) {
        strs_sort(&c.urls); /* as etcd keeps the URLs of a new member */
        change_start(call, c.is_learner ? CORE_MEMBER_ADD_LEARNER : CORE_MEMBER_ADD, 0, &c.urls);
    }
}

/* etcd commits any text here, and then every other member dies of it (client-api 8.1). */
static void update_on_message(struct grpc_call *call, struct slice msg)
{
    struct change c;
    if (change_take(call, msg, 1, 2, UINT32_MAX, &c)) {
        change_start(call, CORE_MEMBER_UPDATE, c.id, &c.urls);
    }
}

static void remove_on_message(struct grpc_call *call, struct slice msg)
{
    struct strs none = {NULL, 0};
    uint64_t id;
    int err = service_number_of(msg, 1, &id);
    if (err != 0) {
        service_malformed(call, err);
    } else {
        change_start(call, CORE_MEMBER_REMOVE, id, &none);
    }
}

static void list_on_message(struct grpc_call *call, struct slice msg)
{
    uint64_t is_linearizable;
    int err = service_number_of(msg, 1, &is_linearizable);
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    struct service_call *sc = service_call_begin(service_of(call), call, CORE_BARRIER, list_reply);
    sc->req.is_serializable = is_linearizable == 0;
    service_call_ask(sc);
}

/* ---- promote: here, or at the leader ---- */

/* In the call's own bytes. */
struct promote_call {
    struct promotion *promotion;
};

static void on_promoted(void *user, int err, const struct membership *members)
{
    struct grpc_call *call = user;
    struct service *s = service_of(call);
    if (err != 0) {
        service_refuse(call, err);
        return;
    }
    struct wire_header h = service_header(s, 0);
    struct buf *out = service_scratch(s);
    wire_append_header(out, &h);
    service_append_members(out, LIST_MEMBERS, members);
    grpc_call_finish_unary(call, buf_slice(out));
}

static void promote_on_message(struct grpc_call *call, struct slice msg)
{
    struct promote_call *pc = grpc_call_user(call);
    uint64_t id;
    int err = service_number_of(msg, 1, &id);
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    if (!service_permitted(call, SERVICE_ROOT)) {
        return;
    }
    struct auth_caller caller;
    service_caller_of(call, &caller);
    pc->promotion = promotion_start(service_of(call), id, caller.token, on_promoted, call);
}

static void promote_on_cancel(struct grpc_call *call, int err)
{
    (void)err;
    struct promote_call *pc = grpc_call_user(call);
    service_unhold(call);
    if (pc->promotion != NULL) {
        promotion_cancel(pc->promotion);
    }
}

#define UNARY(n, message, cancel)                                                                  \
    {                                                                                              \
        .service = "etcdserverpb.Cluster", .name = n, .kind = GRPC_KIND_UNARY,                     \
        .on_start = service_on_start, .on_message = message, .on_cancel = cancel                   \
    }

static const struct grpc_method cluster_methods[] = {
    UNARY("MemberAdd", add_on_message, service_on_cancel),
    UNARY("MemberRemove", remove_on_message, service_on_cancel),
    UNARY("MemberUpdate", update_on_message, service_on_cancel),
    UNARY("MemberList", list_on_message, service_on_cancel),
    UNARY("MemberPromote", promote_on_message, promote_on_cancel),
};

void cluster_register(struct service *s, struct grpc_server *server)
{
    grpc_server_add(server, cluster_methods, ARRAY_LEN(cluster_methods), s);
}
