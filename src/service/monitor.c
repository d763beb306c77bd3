/* SPDX-License-Identifier: Apache-2.0
 *
 * service/monitor: carries out the corruption checks of member/corrupt: own hashes through the
 * core, the others' over their peer ports, alarms through the log (peer-protocol 6.9).
 *
 *     timer -> begin -> [LOCAL | PEERS | READ]* -> done -> alarms -> timer
 *
 * Invariants  One check at a time; one that is due meanwhile follows.
 * Limits      CORRUPT_PEERS_MAX questions at once, each for at most T.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "service/internal.h"
#include "service/lease_ask.h"

enum monitor_timer { MONITOR_PERIODIC, MONITOR_COMPACT, MONITOR_TIMERS };

struct peer_ask_slot {
    struct monitor *monitor;
    uint64_t id;
    void *ask; /* NULL: answered, or not asked */
};

struct alarm_request {
    struct core_request req;
    struct buf body;
};

struct monitor {
    struct service *service;
    struct corrupt_check check;
    struct core_request req; /* LOCAL and READ */
    struct peer_ask_slot asks[CORRUPT_PEERS_MAX];
    struct env_timer timers[MONITOR_TIMERS];
    int64_t checked_rev; /* compaction hashes are equal up to here */
    bool is_due[MONITOR_TIMERS];
    bool is_busy;
    bool is_in_core;
    bool is_stopped;
    void (*on_initial)(void *arg, int err, const char *text);
    void *initial_arg;
};

static void step(struct monitor *m);
static void begin_due(struct monitor *m);

static struct env_exec *exec_of(const struct monitor *m)
{
    return driver_env(m->service->driver)->exec;
}

static uint64_t period_ms(const struct monitor *m, enum monitor_timer which)
{
    return which == MONITOR_PERIODIC ? m->service->o.corrupt_check_ms
                                     : m->service->o.compact_hash_check_ms;
}

/* ---- alarms ---- */

static void on_alarm(struct core_request *r)
{
    struct alarm_request *a = container_of(r, struct alarm_request, req);
    if (r->err != 0) {
        log_warn("failed to raise an alarm for damaged data", LOG_ERR(r->err));
    }
    buf_deinit(&a->body);
    mem_free(a);
}

/* AlarmRequest{1: ACTIVATE, 2: member, 3: CORRUPT} */
static void raise_alarm(struct service *s, uint64_t member_id)
{
    struct alarm_request *a = mem_zalloc(sizeof(*a));
    wire_append_u64(&a->body, 1, 1);
    wire_append_u64(&a->body, 2, member_id);
    wire_append_u64(&a->body, 3, SCHEMA_ALARM_CORRUPT);
    core_request_init(&a->req, CORE_PROPOSE);
    a->req.which = WIRE_INTERNAL_ALARM;
    a->req.body = buf_slice(&a->body);
    a->req.on_reply = on_alarm;
    driver_submit(s->driver, &a->req);
}

/* ---- what the check wants ---- */

static struct member_hash member_hash_of(const struct mvcc_hash_value *v, int64_t rev)
{
    return (struct member_hash){
        .rev = rev, .hash = v->hash, .compact_rev = v->compact_rev, .hash_rev = v->rev};
}

static void on_core_reply(struct core_request *r)
{
    struct monitor *m = container_of(r, struct monitor, req);
    m->is_in_core = false;
    if (m->is_stopped) {
        return;
    }
    if (r->kind == CORE_HASH_KV) {
        const struct member_hash h = member_hash_of(&r->hash, r->header_rev);
        corrupt_on_local(&m->check, r->err, &h);
    } else {
        corrupt_on_read(&m->check, r->err);
    }
    step(m);
}

static void ask_core(struct monitor *m, enum core_kind kind)
{
    core_request_init(&m->req, kind);
    m->req.on_reply = on_core_reply;
    m->is_in_core = true;
    driver_submit(m->service->driver, &m->req);
}

static void on_peer_reply(void *user, const struct service_reply *r)
{
    struct peer_ask_slot *slot = user;
    struct monitor *m = slot->monitor;
    struct member_hash h = {0};
    slot->ask = NULL;
    int err = r->err != 0 ? r->err : member_hash_answer(r->status, r->body, &h);
    if (err != 0) {
        log_warn("failed hash kv request",
                 LOG_HEX("local-member-id", core_member_id(m->service->core)),
                 LOG_HEX("remote-peer-id", slot->id), LOG_ERR(err));
    }
    corrupt_on_peer(&m->check, slot->id, err, &h);
    step(m);
}

/* False: it cannot be asked. */
static bool ask_peer(struct monitor *m, struct peer_ask_slot *slot, struct slice body)
{
    const struct service_peers *peers = m->service->o.peers;
    const struct member *to = membership_find(core_members(m->service->core), slot->id);
    if (peers == NULL || to == NULL) {
        return false;
    }
    const struct service_question q = {
        .urls = &to->peer_urls,
        .method = "GET",
        .path = "/members/hashkv",
        .body = body,
        .timeout_ms = m->service->o.request_timeout_ms,
        .takes_any_status = true,
    };
    slot->ask = peers->ask(peers->arg, &q, on_peer_reply, slot);
    return slot->ask != NULL;
}

static void ask_peers(struct monitor *m, int64_t rev)
{
    struct buf body = BUF_INIT;
    bool is_asked[CORRUPT_PEERS_MAX];
    member_hash_request_json(&body, rev);
    size_t count = m->check.peer_count;
    for (size_t i = 0; i < count; i++) {
        m->asks[i] = (struct peer_ask_slot){.monitor = m, .id = m->check.peers[i].id};
        is_asked[i] = ask_peer(m, &m->asks[i], buf_slice(&body));
    }
    buf_deinit(&body);
    bool is_nobody = true;
    for (size_t i = 0; i < count; i++) {
        is_nobody = is_nobody && !is_asked[i];
        if (!is_asked[i]) {
            corrupt_on_peer(&m->check, m->asks[i].id, ERR_NOT_FOUND, NULL);
        }
    }
    if (is_nobody) {
        step(m);
    }
}

static void end(struct monitor *m)
{
    const struct corrupt_verdict *v = &m->check.verdict;
    m->is_busy = false;
    if (m->check.kind == CORRUPT_COMPACT) {
        m->checked_rev = v->checked_rev;
    }
    for (size_t i = 0; i < v->alarm_count; i++) {
        raise_alarm(m->service, v->alarms[i]);
    }
    if (m->check.kind == CORRUPT_INITIAL) {
        char text[128] = "";
        if (v->err != 0) {
            (void)snprintf(text, sizeof(text), "%" PRIx64 " %s%s%s", m->check.local_id,
                           v->err == ERR_CORRUPT ? "found data inconsistency with peers"
                                                 : "failed to fetch hash (",
                           v->err == ERR_CORRUPT ? "" : err_text(v->err),
                           v->err == ERR_CORRUPT ? "" : ")");
        }
        m->on_initial(m->initial_arg, v->err, text);
    } else if (v->err != 0) {
        log_warn("failed to check hash KV", LOG_ERR(v->err));
    }
    begin_due(m);
}

/* On to what is wanted next.  An answer of several that are still out changes nothing. */
static void step(struct monitor *m)
{
    int64_t rev = 0;
    if (m->is_in_core) {
        return;
    }
    for (size_t i = 0; i < m->check.peer_count; i++) {
        if (m->asks[i].ask != NULL) {
            return;
        }
    }
    switch (corrupt_want(&m->check, &rev)) {
    case CORRUPT_WANT_LOCAL: ask_core(m, CORE_HASH_KV); break;
    case CORRUPT_WANT_READ: ask_core(m, CORE_BARRIER); break;
    case CORRUPT_WANT_PEERS: ask_peers(m, rev); break;
    case CORRUPT_DONE: end(m); break;
    }
}

/* ---- begin ---- */

static void begin(struct monitor *m, enum corrupt_kind kind)
{
    struct service *s = m->service;
    m->is_busy = true;
    memset(m->asks, 0, sizeof(m->asks));
    corrupt_begin(&m->check, kind, core_member_id(s->core), core_members(s->core));
    if (kind == CORRUPT_COMPACT) {
        struct mvcc_hash_value cached[MVCC_HASHES_MAX];
        struct member_hash hashes[MVCC_HASHES_MAX];
        size_t count = mvcc_hash_cached(core_store(s->core), cached);
        for (size_t i = 0; i < count; i++) {
            hashes[i] = member_hash_of(&cached[i], 0);
        }
        log_info("starting compact hash check", LOG_HEX("local-member-id", core_member_id(s->core)),
                 LOG_NS("timeout", s->o.request_timeout_ms * 1000000));
        corrupt_hashes(&m->check, hashes, count, m->checked_rev);
    }
    step(m);
}

static bool is_leader(const struct service *s)
{
    struct core_status st;
    core_status(s->core, &st);
    return st.leader == core_member_id(s->core);
}

static void arm(struct monitor *m, enum monitor_timer which)
{
    if (period_ms(m, which) > 0) {
        exec_of(m)->ops->timer_start(exec_of(m), &m->timers[which], period_ms(m, which));
    }
}

/* A member that does not lead leaves it to the one that does. */
static void begin_due(struct monitor *m)
{
    static const enum corrupt_kind kinds[MONITOR_TIMERS] = {CORRUPT_PERIODIC, CORRUPT_COMPACT};
    for (int i = 0; i < MONITOR_TIMERS && !m->is_busy && !m->is_stopped; i++) {
        bool is_due = m->is_due[i];
        m->is_due[i] = false;
        if (is_due && is_leader(m->service)) {
            begin(m, kinds[i]);
        }
    }
}

static void on_due(struct monitor *m, enum monitor_timer which)
{
    arm(m, which);
    m->is_due[which] = true;
    begin_due(m);
}

static void on_periodic(struct env_timer *t)
{
    on_due(container_of(t, struct monitor, timers[MONITOR_PERIODIC]), MONITOR_PERIODIC);
}

static void on_compact(struct env_timer *t)
{
    on_due(container_of(t, struct monitor, timers[MONITOR_COMPACT]), MONITOR_COMPACT);
}

/* ---- life ---- */

void monitor_create(struct service *s)
{
    struct monitor *m = mem_zalloc(sizeof(*m));
    m->service = s;
    m->timers[MONITOR_PERIODIC].fire = on_periodic;
    m->timers[MONITOR_COMPACT].fire = on_compact;
    s->monitor = m;
}

void monitor_destroy(struct service *s)
{
    mem_free(s->monitor);
    s->monitor = NULL;
}

void service_start(struct service *s)
{
    struct monitor *m = s->monitor;
    if (s->o.corrupt_check_ms > 0) {
        log_info("enabled corruption checking", LOG_HEX("local-member-id", core_member_id(s->core)),
                 LOG_NS("interval", s->o.corrupt_check_ms * 1000000));
    }
    arm(m, MONITOR_PERIODIC);
    arm(m, MONITOR_COMPACT);
    logins_start(s);
}

void service_stop(struct service *s)
{
    struct monitor *m = s->monitor;
    m->is_stopped = true;
    for (int i = 0; i < MONITOR_TIMERS; i++) {
        exec_of(m)->ops->timer_stop(exec_of(m), &m->timers[i]);
    }
    for (size_t i = 0; i < CORRUPT_PEERS_MAX; i++) {
        if (m->asks[i].ask != NULL) {
            s->o.peers->cancel(s->o.peers->arg, m->asks[i].ask);
            m->asks[i].ask = NULL;
        }
    }
    promotions_stop(s);
    lease_asks_stop(s);
    holds_stop(s);
    logins_stop(s);
    watches_stop(s);
}

void service_check_initial(struct service *s, void (*on_done)(void *arg, int err, const char *text),
                           void *arg)
{
    struct monitor *m = s->monitor;
    ensure(!m->is_busy);
    m->on_initial = on_done;
    m->initial_arg = arg;
    log_info("starting initial corruption check",
             LOG_HEX("local-member-id", core_member_id(s->core)),
             LOG_NS("timeout", s->o.request_timeout_ms * 1000000));
    begin(m, CORRUPT_INITIAL);
}
