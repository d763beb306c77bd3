/* SPDX-License-Identifier: Apache-2.0 */
#include "service/session.h"

#include "base/limits.h"

enum { OPERAND_CREATE_REVISION = 5 }; /* of Compare */

struct sessions {
    struct list all;
    struct list woken;
    size_t count;
    bool is_deferred;
};

static struct watch_hub *hub_of(const struct session *x)
{
    return driver_watch_hub(x->service->driver);
}

/* ---- life ---- */

static struct session **slot_of(struct grpc_call *call)
{
    return (struct session **)grpc_call_user(call) + 1; /* the first is service_call_begin's */
}

struct session *session_begin(struct grpc_call *call, const struct session_ops *ops,
                              struct slice *msg)
{
    struct service *s = grpc_call_service(call);
    if (s->sessions->count >= LIMIT_SESSIONS) {
        service_refuse(call, ERR_RPC_TOO_MANY_REQUESTS);
        return NULL;
    }
    struct session *x = mem_zalloc(sizeof(*x));
    x->ops = ops;
    x->service = s;
    x->call = call;
    x->msg = grpc_call_take_message(call);
    list_node_init(&x->in_woken);
    list_push_back(&s->sessions->all, &x->node);
    s->sessions->count++;
    *slot_of(call) = x;
    *msg = rcbuf_slice(x->msg);
    return x;
}

struct session *session_begin_contest(struct grpc_call *call, const struct session_ops *ops,
                                      struct contest_req *out)
{
    struct slice msg;
    struct session *x = session_begin(call, ops, &msg);
    int err = x == NULL ? 0 : contest_req_decode(msg, out);
    if (err != 0) {
        session_malformed(x, err);
        return NULL;
    }
    if (x != NULL) {
        x->name = out->name;
    }
    return x;
}

static void unwatch(struct session *x)
{
    list_remove(&x->in_woken);
    if (x->is_watching) {
        x->is_watching = false;
        watcher_remove(hub_of(x), &x->watcher);
    }
}

void session_end(struct session *x)
{
    ensure(x->op == NULL);
    leader_wish_drop(&x->leader);
    unwatch(x);
    if (x->release != NULL) {
        service_call_end(x->release);
    }
    list_remove(&x->node);
    x->service->sessions->count--;
    rcbuf_unref(x->msg);
    buf_deinit(&x->key);
    mem_free(x);
}

/* The reply of what is under way frees only itself. */
static void op_forget(struct session *x)
{
    struct service_call *sc = x->op;
    if (sc != NULL) {
        x->op = NULL;
        sc->owner = NULL;
        sc->call = NULL;
        driver_cancel(x->service->driver, &sc->req);
    }
}

void session_on_cancel(struct grpc_call *call, int err)
{
    struct session *x = *slot_of(call);
    (void)err;
    service_unhold(call);
    if (x == NULL) {
        return;
    }
    unwatch(x);
    bool goes_on = x->ops->on_gone != NULL && x->ops->on_gone(x);
    x->call = NULL;
    if (goes_on) {
        x->op->call = NULL;
        return;
    }
    op_forget(x);
    session_end(x);
}

void session_fail_text(struct session *x, const char *text)
{
    grpc_call_fail_code(x->call, GRPC_UNKNOWN, text);
    session_end(x);
}

void session_fail(struct session *x, int err)
{
    if (err == ERR_RPC_CONTEXT_DEADLINE || err == ERR_RPC_CONTEXT_CANCELED) {
        service_refuse(x->call, err);
        session_end(x);
    } else {
        session_fail_text(x, err_text(err));
    }
}

void session_malformed(struct session *x, int err)
{
    service_malformed(x->call, err);
    session_end(x);
}

/* ---- operations ---- */

static bool is_txn(const struct core_request *r)
{
    return r->kind == CORE_TXN_READ || (r->kind == CORE_PROPOSE && r->which == WIRE_INTERNAL_TXN);
}

static void on_op_reply(struct service_call *sc)
{
    struct session *x = sc->owner;
    struct session_answer a = {.err = sc->req.err, .rev = sc->req.header_rev};
    struct wire_txn_resp resp;
    if (a.err == 0 && is_txn(&sc->req)) {
        bool is_good = wire_txn_resp_decode(buf_slice(&sc->response), &sc->arena, &resp) == 0;
        a.txn = is_good ? &resp : NULL;
        a.err = is_good ? 0 : ERR_RPC_INTERNAL;
    }
    x->op = NULL;
    x->ops->on_answer(x, &a);
    service_call_end(sc);
}

static struct service_call *call_with_arena(struct session *x,
                                            void (*on_reply)(struct service_call *))
{
    struct service_call *sc = service_call_begin(x->service, x->call, CORE_PROPOSE, on_reply);
    if (!sc->has_arena) {
        arena_init(&sc->arena, 0);
        sc->has_arena = true;
    }
    return sc;
}

static struct service_call *op_begin(struct session *x)
{
    ensure(x->op == NULL);
    x->op = call_with_arena(x, on_op_reply);
    x->op->owner = x;
    return x->op;
}

/* It was refused before the core saw it. */
static void op_refused(struct session *x, int err)
{
    struct service_call *sc = x->op;
    sc->req.err = err;
    on_op_reply(sc);
}

/* Whose name the entry carries; the copy is the operation's. */
static int in_callers_name(struct session *x, struct service_call *sc)
{
    struct auth_who who;
    int err = service_identify(x->call, &who);
    if (err == 0 && who.user.len > 0) {
        const char *name = arena_strndup(&sc->arena, who.user.data, who.user.len);
        sc->req.username = slice_make(name, who.user.len);
        sc->req.auth_revision = who.revision;
    }
    return err;
}

static void op_propose(struct session *x, uint32_t which, struct slice body, uint64_t cost)
{
    int err = in_callers_name(x, x->op);
    if (err != 0) {
        op_refused(x, err);
        return;
    }
    x->op->req.which = which;
    x->op->req.body = body;
    x->op->req.quota_cost = cost;
    service_call_submit(x->op);
}

struct session_txn *session_txn_new(struct session *x)
{
    struct session_txn *t = arena_zalloc(&op_begin(x)->arena, sizeof(*t));
    t->req.success = t->success;
    t->req.failure = t->failure;
    t->req.compares = &t->compare;
    return t;
}

static struct wire_compare created_at(struct slice key, int64_t rev)
{
    return (struct wire_compare){.result = WIRE_EQUAL,
                                 .target = WIRE_COMPARE_CREATE,
                                 .key = key,
                                 .operand_field = OPERAND_CREATE_REVISION,
                                 .number = rev};
}

void session_txn_if(struct session_txn *t, struct slice key, int64_t rev)
{
    t->compare = created_at(key, rev);
    t->req.compare_count = 1;
}

void session_txn_then(struct session_txn *t, const struct wire_op *op)
{
    ensure(t->req.success_count < ARRAY_LEN(t->success));
    t->success[t->req.success_count++] = *op;
}

void session_txn_else(struct session_txn *t, const struct wire_op *op)
{
    ensure(t->req.failure_count < ARRAY_LEN(t->failure));
    t->failure[t->req.failure_count++] = *op;
}

/* In KV's order: quota before validity. */
static int txn_check(struct session *x, const struct session_txn *t, uint64_t cost)
{
    const struct service *s = x->service;
    int err = mvcc_txn_validate(&t->req, service_rules(s), s->o.txn_ops_max, &x->op->arena);
    return err != 0 && core_is_over_quota(s->core, cost) ? ERR_RPC_NO_SPACE : err;
}

void session_txn(struct session *x, struct session_txn *t)
{
    uint64_t cost = apply_txn_cost(&t->req);
    int err = txn_check(x, t, cost);
    if (err != 0) {
        op_refused(x, err);
    } else if (mvcc_txn_is_read_only(&t->req)) {
        x->op->req.kind = CORE_TXN_READ;
        x->op->req.txn = &t->req;
        service_call_ask(x->op);
    } else {
        struct buf body = BUF_INIT;
        wire_txn_req_encode(&body, &t->req);
        op_propose(x, WIRE_INTERNAL_TXN, buf_slice(&body), cost);
        buf_deinit(&body);
    }
}

bool session_grant(struct session *x)
{
    if (x->lease != 0) {
        return false;
    }
    op_begin(x);
    int err = service_permit(x->call, SERVICE_KNOWN);
    if (err != 0) {
        op_refused(x, err);
        return true;
    }
    struct buf body = BUF_INIT;
    x->lease = service_lease_id(x->service);
    wire_append_u64(&body, 1, SESSION_TTL_S);
    wire_append_u64(&body, 2, (uint64_t)x->lease);
    op_propose(x, WIRE_INTERNAL_LEASE_GRANT, buf_slice(&body), APPLY_GRANT_COST);
    buf_deinit(&body);
    return true;
}

void session_delete(struct session *x, struct slice key)
{
    const struct wire_delete_req del = {.key = key};
    op_begin(x);
    int err = mvcc_delete_validate(&del);
    if (err != 0) {
        op_refused(x, err);
        return;
    }
    struct buf body = BUF_INIT;
    wire_delete_req_encode(&body, &del);
    op_propose(x, WIRE_INTERNAL_DELETE_RANGE, buf_slice(&body), 0);
    buf_deinit(&body);
}

/* ---- what operations are made of ---- */

void session_prefix(struct session *x, struct slice *key, struct slice *end)
{
    size_t len = x->name.len + 1;
    uint8_t *bytes = arena_alloc(&x->op->arena, 2 * len);
    if (x->name.len > 0) {
        memcpy(bytes, x->name.data, x->name.len);
    }
    bytes[x->name.len] = '/';
    *key = slice_make(bytes, len);
    *end = wire_prefix_end(*key, bytes + len);
}

struct wire_op session_op_get(struct session *x, struct slice key)
{
    const char *bytes = arena_strndup(&x->op->arena, key.data, key.len);
    return (struct wire_op){.kind = WIRE_OP_RANGE, .range = {.key = slice_make(bytes, key.len)}};
}

struct wire_op session_op_put(const struct session *x)
{
    return (struct wire_op){
        .kind = WIRE_OP_PUT,
        .put = {.key = buf_slice(&x->key), .value = x->value, .lease = x->lease}};
}

static struct wire_op get_one(struct session *x, int32_t order, int64_t rev_max)
{
    struct wire_op op = {.kind = WIRE_OP_RANGE,
                         .range = {.limit = 1,
                                   .sort_order = order,
                                   .sort_target = WIRE_SORT_CREATE,
                                   .max_create_revision = rev_max}};
    session_prefix(x, &op.range.key, &op.range.range_end);
    return op;
}

struct wire_op session_op_first(struct session *x)
{
    return get_one(x, WIRE_SORT_ASCEND, 0);
}

struct wire_op session_op_last(struct session *x, int64_t rev_max)
{
    return get_one(x, WIRE_SORT_DESCEND, rev_max);
}

/* ---- releasing ---- */

/* Its reply finds nobody (service.c), and that is all. */
struct service_call *session_release_begin(struct session *x)
{
    struct service_call *sc = call_with_arena(x, NULL);
    (void)!in_callers_name(x, sc); /* who may not write will be told so by nobody */
    return sc;
}

static void release_submit(struct service_call *sc, uint32_t which, const struct buf *body)
{
    sc->req.which = which;
    sc->req.body = buf_slice(body);
    service_call_submit(sc);
    sc->call = NULL;
}

void session_release_delete(struct service_call *sc, const struct session *x)
{
    struct buf body = BUF_INIT;
    const struct wire_delete_req del = {.key = buf_slice(&x->key)};
    wire_delete_req_encode(&body, &del);
    release_submit(sc, WIRE_INTERNAL_DELETE_RANGE, &body);
    buf_deinit(&body);
}

void session_release_resign(struct service_call *sc, const struct session *x)
{
    struct buf body = BUF_INIT;
    struct wire_compare compare = created_at(buf_slice(&x->key), x->rev);
    struct wire_op op = {.kind = WIRE_OP_DELETE, .del = {.key = buf_slice(&x->key)}};
    const struct wire_txn_req txn = {
        .compares = &compare, .compare_count = 1, .success = &op, .success_count = 1};
    wire_txn_req_encode(&body, &txn);
    release_submit(sc, WIRE_INTERNAL_TXN, &body);
    buf_deinit(&body);
}

/* ---- waiting ---- */

static void on_woken(void *arg)
{
    struct sessions *all = ((struct service *)arg)->sessions;
    all->is_deferred = false;
    while (!list_is_empty(&all->woken)) {
        struct session *x = LIST_ENTRY(list_first(&all->woken), struct session, in_woken);
        unwatch(x);
        x->ops->on_wake(x, x->wake_err);
    }
}

static void wake(struct session *x, int err)
{
    struct sessions *all = x->service->sessions;
    x->wake_err = err;
    list_push_back(&all->woken, &x->in_woken);
    if (!all->is_deferred) {
        struct env_exec *exec = driver_env(x->service->driver)->exec;
        all->is_deferred = true;
        exec->ops->defer(exec, on_woken, x->service);
    }
}

static bool on_deliver(struct watcher *w, const struct watch_delivery *d)
{
    struct session *x = container_of(w, struct session, watcher);
    if (list_node_is_linked(&x->in_woken)) {
        return true;
    }
    if (x->ops->on_events == NULL) {
        wake(x, 0);
    } else if (!grpc_call_can_send(x->call)) {
        return false;
    } else if (x->ops->on_events(x, d)) {
        wake(x, 0);
    }
    return true;
}

static void on_compacted(struct watcher *w, int64_t compact_rev)
{
    struct session *x = container_of(w, struct session, watcher);
    (void)compact_rev;
    if (!list_node_is_linked(&x->in_woken)) {
        wake(x, ERR_RPC_COMPACTED);
    }
}

static const struct watch_stream_ops stream_ops = {on_deliver, on_compacted};

void session_watch(struct session *x, struct slice key, struct slice end, int64_t rev,
                   unsigned events)
{
    struct watch_hub *hub = hub_of(x);
    if (watch_hub_count(hub) >= LIMIT_WATCHES) {
        wake(x, ERR_RPC_TOO_MANY_REQUESTS);
        return;
    }
    watch_stream_init(&x->stream, &stream_ops);
    x->watcher = (struct watcher){.no_put = (events & SESSION_PUTS) == 0,
                                  .no_delete = (events & SESSION_DELETES) == 0};
    watcher_add(hub, &x->stream, &x->watcher, key, end, rev);
    x->is_watching = true;
    if (!x->watcher.is_live) {
        driver_watch_kick(x->service->driver);
    }
}

void session_on_writable(struct grpc_call *call)
{
    struct session *x = *slot_of(call);
    if (x != NULL && x->is_watching && x->stream.is_blocked) {
        watch_stream_unblock(hub_of(x), &x->stream);
        driver_watch_kick(x->service->driver);
    }
}

/* ---- all ---- */

static void end_with(struct session *x, int err)
{
    service_refuse(x->call, err);
    op_forget(x);
    session_end(x);
}

static void on_leader_lost(struct leader_wish *w)
{
    end_with(container_of(w, struct session, leader), ERR_RPC_NO_LEADER);
}

void session_want_leader(struct session *x)
{
    leader_wish_add(x->service, x->call, &x->leader, on_leader_lost);
}

void sessions_create(struct service *s)
{
    s->sessions = mem_zalloc(sizeof(*s->sessions));
    list_init(&s->sessions->all);
    list_init(&s->sessions->woken);
}

void sessions_stop(struct service *s)
{
    LIST_FOREACH (&s->sessions->all, n) {
        struct session *x = LIST_ENTRY(n, struct session, node);
        if (x->call != NULL) { /* else its last operation's reply ends it */
            end_with(x, ERR_RPC_STOPPED);
        }
    }
}

void sessions_destroy(struct service *s)
{
    ensure(list_is_empty(&s->sessions->all));
    mem_free(s->sessions);
}
