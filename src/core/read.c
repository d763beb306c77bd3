/* SPDX-License-Identifier: Apache-2.0
 *
 * core/read: linearizable points and what is read at them.
 *
 * All reads that arrive between two takes share one ReadIndex round (design.md 4).  A round's
 * number is its context, from the generator of request ids: other members' rounds have others.  An
 * answer serves its round and all before it.  A round that is not answered is asked again after
 * CORE_READ_RETRY_TICKS under a new number.
 */
#include "base/bytes.h"
#include "core/internal.h"

enum { ROUND_BYTES = 8 };

void core_read(struct core *c, struct core_request *r)
{
    if (r->is_serializable) {
        r->stage = CORE_STAGE_APPLIED;
        r->wait = 0;
        list_push_front(&c->reads_applied, &r->node);
        return;
    }
    if (!c->is_round_open && !c->is_round_refused) {
        c->round = core_new_id(c);
        c->is_round_open = true;
    }
    r->stage = CORE_STAGE_ROUND;
    r->wait = c->round;
    list_push_back(&c->reads_round, &r->node);
}

void core_reads_ask(struct core *c)
{
    if (!c->is_round_open) {
        return;
    }
    struct raft_event ev = {.type = RAFT_EV_READ_INDEX};
    ev.context.len = ROUND_BYTES;
    store_be64(ev.context.bytes, c->round);
    c->is_round_open = false;
    c->round_ticks = 0;
    c->is_round_refused = raft_step(c->raft, &ev) != 0;
    if (!c->is_round_refused) {
        c->round_asked = c->round;
    }
}

static void ask_again(struct core *c)
{
    c->round = core_new_id(c);
    c->is_round_open = true;
    c->is_round_refused = false;
}

void core_reads_tick(struct core *c)
{
    bool is_waiting = c->is_round_refused || !list_is_empty(&c->reads_round);
    if (is_waiting && !c->is_round_open && ++c->round_ticks >= CORE_READ_RETRY_TICKS) {
        ask_again(c);
    }
}

void core_reads_leader_changed(struct core *c)
{
    LIST_FOREACH (&c->reads_round, n) {
        struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        if (r->wait > c->round_asked) {
            break;
        }
        core_reply(c, r, ERR_RPC_LEADER_CHANGED);
    }
    if (c->is_round_refused) {
        ask_again(c); /* nobody knew of it: no reason to tell clients */
    }
}

void core_catch_up(struct core *c, struct core_request *r)
{
    r->stage = CORE_STAGE_CATCH_UP;
    r->wait = c->committed;
    r->deadline_ms = c->now_ms + CORE_CATCH_UP_MS;
    list_push_back(&c->catching, &r->node);
}

static void caught_up(struct core *c)
{
    LIST_FOREACH (&c->catching, n) {
        struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        if (r->wait > c->applied) {
            return;
        }
        if (r->kind == CORE_CONF_CHANGE) {
            list_remove(n);
            core_promote_caught_up(c, r);
        } else if (r->kind == CORE_LEASE_RENEW) {
            list_remove(n);
            core_lease_renew_now(c, r);
        } else {
            r->header_rev = mvcc_rev(c->store);
            core_reply(c, r, 0);
        }
    }
}

void core_reads_answered(struct core *c, const struct raft_read_state *reads, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (reads[i].context.len != ROUND_BYTES) {
            continue;
        }
        uint64_t round = load_be64(reads[i].context.bytes);
        LIST_FOREACH (&c->reads_round, n) {
            struct core_request *r = LIST_ENTRY(n, struct core_request, node);
            if (r->wait > round) {
                break;
            }
            list_remove(n);
            r->stage = CORE_STAGE_APPLIED;
            r->wait = reads[i].index;
            list_push_back(&c->reads_applied, n);
        }
    }
}

static void read_fetch(struct core *c, struct core_request *r)
{
    struct core_job *job = core_job_push(c, CORE_JOB_FETCH, r);
    job->fetch = mvcc_fetch_create(r->values);
    r->has_job = true;
}

static struct mvcc_values *values_of(struct core *c, struct core_request *r)
{
    if (r->values == NULL) {
        r->values = mvcc_values_create(c->store);
        r->epoch = c->epoch;
    }
    return r->values;
}

int core_permit(struct core *c, struct core_request *r)
{
    struct auth_who who;
    if (r->caller == NULL) {
        return 0;
    }
    int err = auth_identify(c->auth, r->caller, c->now_ms, &who);
    if (err != 0) {
        return err;
    }
    r->auth_revision = who.revision;
    switch (r->kind) {
    case CORE_RANGE: return auth_check_read(c->auth, &who, r->range->key, r->range->range_end);
    case CORE_TXN_READ: return apply_permit_txn(c->apply, &who, r->txn);
    case CORE_LEASE_RENEW:
        err = auth_check_known(c->auth, &who);
        return err != 0 ? err : apply_permit_lease(c->apply, &who, r->lease_id);
    case CORE_PROPOSE:
    case CORE_BARRIER:
    case CORE_HASH:
    case CORE_HASH_KV:
    case CORE_VIEW:
    case CORE_DEFRAG:
    case CORE_CATCH_UP:
    case CORE_CONF_CHANGE:
    case CORE_TRANSFER_LEADER:
    case CORE_RAISE_LEVEL: return auth_check_known(c->auth, &who);
    }
    return 0;
}

/* Users or roles were changed while it was read: whether that was permitted nobody can tell. */
static bool is_permit_old(const struct core *c, const struct core_request *r)
{
    return r->auth_revision != 0 && r->auth_revision != auth_revision(c->auth);
}

/* 0 done, ERR_AGAIN more to do in a later take, ERR_COLD a job reads, else the answer. */
static int range_go_on(struct core *c, struct core_request *r)
{
    int err = 0;
    if (!r->plan->is_built) {
        err = mvcc_plan_build(r->plan, CORE_PLAN_KEYS);
        if (err != 0) {
            return err;
        }
    }
    if (r->plan->needs_values) {
        err = mvcc_plan_values(r->plan, values_of(c, r));
        if (err == ERR_COLD) {
            return err;
        }
        if (err == 0) {
            err = mvcc_plan_sort_values(r->plan, r->values);
        }
        if (err != 0) {
            mvcc_plan_end(r->plan);
        }
    }
    return err;
}

static int txn_go_on(struct core *c, struct core_request *r)
{
    struct mvcc_values *v = values_of(c, r);
    int err = mvcc_prefetch_txn(c->store, r->txn, true, v);
    if (err == 0) {
        err = mvcc_apply_txn(c->store, r->txn, v, r->response, &r->header_rev);
    }
    if (err == 0 && is_permit_old(c, r)) {
        buf_clear(r->response);
        err = ERR_RPC_AUTH_OLD_REVISION;
    }
    return err;
}

/* One step of a read whose point is reached; the request stands in no list. */
static void read_go_on(struct core *c, struct core_request *r)
{
    int err = 0;
    switch (r->kind) {
    case CORE_RANGE:
        err = range_go_on(c, r);
        if (err == 0 && is_permit_old(c, r)) {
            mvcc_plan_end(r->plan);
            err = ERR_RPC_AUTH_OLD_REVISION;
        }
        r->header_rev = err == 0 ? r->plan->header_rev : mvcc_rev(c->store);
        break;
    case CORE_TXN_READ: err = txn_go_on(c, r); break;
    case CORE_PROPOSE:
    case CORE_BARRIER:
    case CORE_HASH:
    case CORE_HASH_KV:
    case CORE_VIEW:
    case CORE_DEFRAG:
    case CORE_CATCH_UP:
    case CORE_CONF_CHANGE:
    case CORE_TRANSFER_LEADER:
    case CORE_LEASE_RENEW:
    case CORE_RAISE_LEVEL: r->header_rev = mvcc_rev(c->store); break;
    }
    if (err == ERR_AGAIN) {
        list_push_back(&c->reads_build, &r->node);
    } else if (err == ERR_COLD) {
        read_fetch(c, r);
    } else if (err != 0 && !err_is_rpc(err)) {
        core_fail(c, err, "reading");
        core_reply(c, r, ERR_RPC_INTERNAL);
    } else {
        core_reply(c, r, err);
    }
}

static void read_start(struct core *c, struct core_request *r)
{
    list_remove(&r->node);
    if (r->kind == CORE_LEASE_RENEW) {
        core_lease_confirmed(c, r);
        return;
    }
    r->stage = CORE_STAGE_BUILD;
    r->epoch = c->epoch;
    int err = core_permit(c, r);
    if (err == 0 && r->kind == CORE_RANGE) {
        err = mvcc_plan_begin(c->store, r->range, r->plan);
    }
    if (err != 0) {
        r->header_rev = mvcc_rev(c->store);
        core_reply(c, r, err);
        return;
    }
    read_go_on(c, r);
}

void core_reads_serve(struct core *c)
{
    /* Those under way first: each gets one step a take. */
    struct list again;
    list_init(&again);
    LIST_FOREACH (&c->reads_build, n) {
        list_remove(n);
        list_push_back(&again, n);
    }
    LIST_FOREACH (&again, n) {
        list_remove(n);
        read_go_on(c, LIST_ENTRY(n, struct core_request, node));
    }
    LIST_FOREACH (&c->reads_applied, n) {
        struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        if (r->wait > c->applied) {
            break;
        }
        read_start(c, r);
    }
    caught_up(c);
}

/* From the beginning, on the store of now.  What it had of the old one is given back. */
static void read_again(struct core *c, struct core_request *r)
{
    if (r->kind == CORE_RANGE) {
        mvcc_plan_end(r->plan);
    }
    if (r->values != NULL) {
        mvcc_values_destroy(r->values);
        r->values = NULL;
    }
    r->stage = CORE_STAGE_APPLIED;
    r->wait = 0;
    list_push_front(&c->reads_applied, &r->node);
}

void core_reads_restart(struct core *c)
{
    LIST_FOREACH (&c->reads_build, n) {
        list_remove(n);
        read_again(c, LIST_ENTRY(n, struct core_request, node));
    }
}

void core_read_fetched(struct core *c, struct core_job *job)
{
    struct core_request *r = job->request;
    r->has_job = false;
    mvcc_fetch_finish(job->fetch, job->err == 0 ? r->values : NULL);
    bool is_over = c->is_stopping || c->fatal != 0; /* no later take would serve it */
    if (!r->is_canceled && !is_over && r->epoch != c->epoch) {
        read_again(c, r);
        return;
    }
    if (job->err == 0 && !r->is_canceled && !is_over) {
        read_go_on(c, r);
        return;
    }
    if (r->kind == CORE_RANGE) {
        mvcc_plan_end(r->plan);
    }
    int err = is_over ? ERR_RPC_STOPPED : ERR_RPC_INTERNAL;
    core_reply(c, r, r->is_canceled ? ERR_RPC_CONTEXT_CANCELED : err);
}

void core_reads_stop(struct core *c)
{
    struct list *lists[] = {&c->reads_round, &c->reads_applied, &c->reads_build, &c->catching};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        LIST_FOREACH (lists[i], n) {
            struct core_request *r = LIST_ENTRY(n, struct core_request, node);
            if (r->kind == CORE_RANGE && r->stage == CORE_STAGE_BUILD) {
                mvcc_plan_end(r->plan);
            }
            core_reply(c, r, ERR_RPC_STOPPED);
        }
    }
}
