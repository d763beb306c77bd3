/* SPDX-License-Identifier: Apache-2.0 */
#include "service/lease_ask.h"

#include "lease/lessor.h"
#include "service/internal.h"

enum { ASK_PAUSE_MS = 50 };

struct lease_ask {
    struct list_node node;
    struct core_request req;
    struct service *service;
    struct lease_question q;
    uint64_t deadline_ms; /* of asking the leader; 0: not begun */
    struct env_timer timer;
    void *ask;
    bool is_in_core;
    int refused; /* why it is not permitted: told from the timer */
    void (*on_done)(void *user, int err, const struct service_lease *answer); /* NULL: cancelled */
    void *user;
};

static void go_on(struct lease_ask *a);

static struct env *env_of(const struct lease_ask *a)
{
    return driver_env(a->service->driver);
}

/* ---- the end ---- */

static void release(struct lease_ask *a)
{
    struct env_exec *exec = env_of(a)->exec;
    exec->ops->timer_stop(exec, &a->timer);
    list_remove(&a->node);
    mem_free(a);
}

static void finish(struct lease_ask *a, int err, const struct service_lease *answer)
{
    if (a->on_done != NULL) {
        a->on_done(a->user, err, err == 0 ? answer : NULL);
    }
    release(a);
}

static void on_timer(struct env_timer *t)
{
    struct lease_ask *a = container_of(t, struct lease_ask, timer);
    if (a->refused != 0) {
        finish(a, a->refused, NULL);
    } else {
        go_on(a);
    }
}

static void go_on_later(struct lease_ask *a)
{
    struct env_exec *exec = env_of(a)->exec;
    exec->ops->timer_start(exec, &a->timer, ASK_PAUSE_MS);
}

/* ---- here ---- */

void lease_look(struct service *s, const struct lease_question *q, int not_primary_err,
                void (*on_done)(void *user, int err, const struct service_lease *answer),
                void *user)
{
    struct lessor *l = core_lessor(s->core);
    struct lease_info info;
    int err = lessor_info(l, q->id, env_mono_ms(driver_env(s->driver)), &info);
    if (err == 0 && !lessor_is_primary(l)) {
        err = not_primary_err;
    }
    if (err != 0) {
        on_done(user, err, NULL);
        return;
    }
    size_t count = q->wants_keys ? lessor_key_count(l, q->id) : 0;
    struct slice *keys = mem_alloc_array(count, sizeof(*keys));
    for (size_t i = 0; i < count; i++) {
        keys[i] = lessor_key_at(l, q->id, i);
    }
    const struct service_lease answer = {.ttl_s = info.left_s,
                                         .granted_ttl_s = info.granted_ttl_s,
                                         .keys = keys,
                                         .key_count = count};
    on_done(user, 0, &answer);
    mem_free(keys);
}

static void on_looked(void *user, int err, const struct service_lease *answer)
{
    finish(user, err, answer);
}

static void on_core_reply(struct core_request *r)
{
    struct lease_ask *a = container_of(r, struct lease_ask, req);
    a->is_in_core = false;
    if (a->on_done == NULL) {
        release(a);
    } else if (r->err == ERR_RPC_NOT_LEADER) {
        go_on_later(a);
    } else if (r->err == 0 && !a->q.is_renewal) {
        lease_look(a->service, &a->q, ERR_RPC_LEADER_CHANGED, on_looked, a);
    } else {
        const struct service_lease answer = {.ttl_s = r->ttl_s};
        bool is_unsure = r->err == ERR_RPC_LEADER_CHANGED || r->err == ERR_RPC_TIMEOUT;
        finish(a, is_unsure ? ERR_RPC_NOT_PRIMARY_LESSOR : r->err, &answer);
    }
}

static void ask_core(struct lease_ask *a)
{
    core_request_init(&a->req, a->q.is_renewal ? CORE_LEASE_RENEW : CORE_CATCH_UP);
    a->req.lease_id = a->q.id;
    a->req.caller = a->q.caller;
    a->req.on_reply = on_core_reply;
    a->is_in_core = true;
    driver_submit(a->service->driver, &a->req);
}

/* ---- the leader's answer ---- */

/* LeaseKeepAliveResponse{2: id, 3: ttl}, LeaseTimeToLiveResponse{+ 4: granted, 5: keys}; keys has
 * room for `room`, and *out counts all. ERR_MALFORMED: not about this lease. */
static int answer_decode(struct slice body, int64_t id, struct slice *keys, size_t room,
                         struct service_lease *out)
{
    struct wire_scan s;
    struct service_lease l = {.keys = keys};
    int64_t its_id = 0;
    for (wire_scan_init(&s, body); wire_scan_next(&s);) {
        if (s.type == WIRE_VARINT && s.field == 2) {
            its_id = (int64_t)s.number;
        } else if (s.type == WIRE_VARINT && s.field == 3) {
            l.ttl_s = (int64_t)s.number;
        } else if (s.type == WIRE_VARINT && s.field == 4) {
            l.granted_ttl_s = (int64_t)s.number;
        } else if (s.type == WIRE_LEN && s.field == 5) {
            if (l.key_count < room) {
                keys[l.key_count] = s.bytes;
            }
            l.key_count++;
        }
    }
    if (s.err != 0 || its_id != id) {
        return ERR_MALFORMED;
    }
    *out = l;
    return 0;
}

static void leader_answered(struct lease_ask *a, struct slice body)
{
    struct service_lease l;
    int err = a->q.is_renewal ? 0 : service_text_of(body, 1, &body);
    err = err == 0 ? answer_decode(body, a->q.id, NULL, 0, &l) : err;
    if (err != 0) {
        go_on_later(a);
        return;
    }
    struct slice *keys = mem_alloc_array(l.key_count, sizeof(*keys));
    err = answer_decode(body, a->q.id, keys, l.key_count, &l);
    ensure(err == 0);
    finish(a, 0, &l);
    mem_free(keys);
}

static void on_reply(void *user, const struct service_reply *r)
{
    struct lease_ask *a = user;
    a->ask = NULL;
    a->service->lease_asks_open--;
    if (r->err == 0 && r->status == 404) {
        finish(a, ERR_RPC_LEASE_NOT_FOUND, NULL);
    } else if (r->err == 0 && r->status == 200) {
        leader_answered(a, r->body);
    } else {
        go_on_later(a);
    }
}

/* ---- asking the leader ---- */

static void ask_leader(struct lease_ask *a, const struct strs *urls, uint64_t timeout_ms)
{
    const struct service_peers *peers = a->service->o.peers;
    struct buf body = BUF_INIT, inner = BUF_INIT;
    wire_append_u64(&inner, 1, (uint64_t)a->q.id);
    wire_append_u64(&inner, 2, a->q.wants_keys);
    if (a->q.is_renewal) {
        buf_append_slice(&body, buf_slice(&inner));
    } else {
        wire_append_message(&body, 1, buf_slice(&inner));
    }
    const struct service_question q = {
        .urls = urls,
        .method = "POST",
        .path = a->q.is_renewal ? "/leases" : "/leases/internal",
        .body = buf_slice(&body),
        .is_protobuf = true,
        .timeout_ms = timeout_ms,
        .is_repeatable = true,
    };
    a->service->lease_asks_open++;
    a->ask = peers->ask(peers->arg, &q, on_reply, a);
    buf_deinit(&body);
    buf_deinit(&inner);
}

/* As this member sees it; the leader does not ask again. */
static int permit(const struct lease_ask *a, uint64_t now_ms)
{
    struct service *s = a->service;
    struct auth_store *auth = core_auth(s->core);
    struct auth_who who;
    if (a->q.caller == NULL || !auth_is_enabled(auth)) {
        return 0;
    }
    int err = auth_identify(auth, a->q.caller, now_ms, &who);
    if (err == 0) {
        err = auth_check_known(auth, &who);
    }
    return err == 0 ? apply_permit_lease(core_apply(s->core), &who, a->q.id) : err;
}

static void ask_permitted(struct lease_ask *a, const struct strs *urls, uint64_t now_ms)
{
    a->refused = permit(a, now_ms);
    if (a->refused != 0) {
        struct env_exec *exec = env_of(a)->exec;
        exec->ops->timer_start(exec, &a->timer, 0);
    } else {
        ask_leader(a, urls, a->deadline_ms - now_ms);
    }
}

static void go_on(struct lease_ask *a)
{
    struct service *s = a->service;
    struct core_status st;
    uint64_t now = env_mono_ms(env_of(a));
    core_status(s->core, &st);
    const struct member *leader = membership_find(core_members(s->core), st.leader);
    if (a->deadline_ms == 0) {
        a->deadline_ms = now + s->o.request_timeout_ms;
    }
    if (now >= a->deadline_ms) {
        finish(a, leader == NULL ? ERR_RPC_NO_LEADER : ERR_RPC_TIMEOUT, NULL);
    } else if (st.leader == core_member_id(s->core)) {
        ask_core(a);
    } else if (leader == NULL || leader->peer_urls.count == 0 || s->o.peers == NULL ||
               s->lease_asks_open >= LEASE_ASKS_MAX) {
        go_on_later(a);
    } else {
        ask_permitted(a, &leader->peer_urls, now);
    }
}

/* ---- face ---- */

struct lease_ask *lease_ask_start(struct service *s, const struct lease_question *q,
                                  void (*on_done)(void *user, int err,
                                                  const struct service_lease *answer),
                                  void *user)
{
    struct lease_ask *a = mem_zalloc(sizeof(*a));
    a->service = s;
    a->q = *q;
    a->timer.fire = on_timer;
    a->on_done = on_done;
    a->user = user;
    list_push_back(&s->lease_asks, &a->node);
    go_on(a);
    return a;
}

static void ask_drop(struct lease_ask *a)
{
    const struct service_peers *peers = a->service->o.peers;
    if (a->ask != NULL) {
        peers->cancel(peers->arg, a->ask);
        a->service->lease_asks_open--;
        a->ask = NULL;
    }
}

void lease_ask_cancel(struct lease_ask *a)
{
    a->on_done = NULL;
    if (a->is_in_core) {
        driver_cancel(a->service->driver, &a->req);
        return;
    }
    ask_drop(a);
    release(a);
}

void lease_asks_stop(struct service *s)
{
    LIST_FOREACH (&s->lease_asks, n) {
        struct lease_ask *a = LIST_ENTRY(n, struct lease_ask, node);
        if (a->is_in_core) {
            continue; /* answered by the core's own stop */
        }
        ask_drop(a);
        finish(a, ERR_RPC_STOPPED, NULL);
    }
}
