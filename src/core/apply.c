/* SPDX-License-Identifier: Apache-2.0
 *
 * core/apply: the queue of committed entries, applied in order, as far as the file keeps up.
 *
 * One take applies at most CORE_APPLY_BURST entries and seals them as one segment.  Applying stops
 * (raft goes on) when the tail is full, or while a work job reads values that the front entry
 * needs.
 */
#include "base/failpoint.h"
#include "base/log.h"
#include "core/internal.h"

enum { CORE_QUEUE_MIN = 256 };

size_t core_queue_len(const struct core *c)
{
    return (size_t)(c->queue_end - c->queue_first);
}

static struct raft_entry *queue_at(const struct core *c, uint64_t seq)
{
    return &c->queue[(size_t)seq & (c->queue_cap - 1)];
}

static void queue_grow(struct core *c)
{
    size_t cap = c->queue_cap == 0 ? CORE_QUEUE_MIN : c->queue_cap * 2;
    struct raft_entry *q = mem_alloc_array(cap, sizeof(*q));
    for (uint64_t s = c->queue_first; s < c->queue_end; s++) {
        q[(size_t)s & (cap - 1)] = *queue_at(c, s);
    }
    mem_free(c->queue);
    c->queue = q;
    c->queue_cap = cap;
}

void core_queue_push(struct core *c, const struct raft_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ensure(entries[i].index == c->committed_queued + 1 || c->committed_queued == 0);
        if (core_queue_len(c) == c->queue_cap) {
            queue_grow(c);
        }
        struct raft_entry *e = queue_at(c, c->queue_end++);
        *e = entries[i];
        (void)rcbuf_ref(e->owner);
        c->committed_queued = e->index;
    }
    if (c->committed < c->committed_queued) {
        c->committed = c->committed_queued;
    }
}

static void queue_pop(struct core *c)
{
    rcbuf_unref(queue_at(c, c->queue_first)->owner);
    c->queue_first++;
}

void core_queue_drop(struct core *c)
{
    while (c->queue_first < c->queue_end) {
        queue_pop(c);
    }
}

void core_queue_free(struct core *c)
{
    core_queue_drop(c);
    mem_free(c->queue);
}

/* A compaction is answered when its records are gone, if the client asked for that. */
static void reply_applied(struct core *c, struct core_request *r, const struct apply_result *res)
{
    r->header_rev = res->rev;
    if (r->wants_physical && (res->is_compaction || res->err == ERR_RPC_COMPACTED)) {
        r->err = res->err;
        r->stage = CORE_STAGE_PHYSICAL;
        r->wait = (uint64_t)mvcc_compact_rev(c->store);
        list_push_back(&c->physical, &r->node);
        return;
    }
    if (r->kind == CORE_LEASE_RENEW && res->err == 0) {
        core_lease_renew_now(c, r); /* its checkpoint is cleared now */
        return;
    }
    core_waiter_done(c, r, res->err);
}

static int fetch_values(struct core *c)
{
    struct core_job *job = core_job_push(c, CORE_JOB_FETCH, NULL);
    job->fetch = mvcc_fetch_create(c->values);
    c->is_fetching = true;
    return ERR_COLD;
}

static int apply_normal(struct core *c, const struct raft_entry *e)
{
    uint64_t id;
    int err = apply_begin(c->apply, e->data, &id);
    if (err != 0) {
        return err;
    }
    struct core_request *r = map_get(&c->by_id, id);
    struct buf *body = r != NULL ? r->response : NULL;
    err = apply_prefetch(c->apply, body != NULL, c->values);
    if (err == ERR_COLD) {
        return fetch_values(c);
    }
    struct apply_result res;
    if (err == 0) {
        err = apply_run(c->apply, c->values, c->now_ms, backend_size_bytes(c->backend), body, &res);
    }
    mvcc_values_clear(c->values);
    if (err != 0) {
        return err;
    }
    core_applied_result(c, r, &res);
    if (r != NULL) {
        (void)core_waiter_take(c, id);
        reply_applied(c, r, &res);
    }
    return 0;
}

static int apply_entry(struct core *c, const struct raft_entry *e)
{
    if (e->type != RAFT_ENTRY_NORMAL) {
        FAILPOINT(beforeApplyOneConfChange);
        core_conf_change(c, e);
        return 0;
    }
    FAILPOINT(beforeApplyOneEntryNormal);
    if (e->data.len == 0) {
        core_term_begun(c); /* or a membership change that the leader refused: no harm */
        return 0;
    }
    return apply_normal(c, e);
}

static void tell_raft(struct core *c)
{
    if (c->acked < c->applied) {
        struct raft_event ev = {.type = RAFT_EV_APPLIED, .index = c->applied};
        int err = raft_step(c->raft, &ev);
        ensure(err == 0);
        c->acked = c->applied;
    }
}

bool core_apply_some(struct core *c)
{
    uint32_t count = 0;
    while (core_queue_len(c) > 0 && !c->is_fetching && count < CORE_APPLY_BURST &&
           c->install_stage == CORE_INSTALL_NONE && !backend_is_full(c->backend)) {
        const struct raft_entry *e = queue_at(c, c->queue_first);
        int err = apply_entry(c, e);
        if (err == ERR_COLD) {
            break;
        }
        if (err != 0) {
            core_fail(c, err, "applying a committed entry");
            return false;
        }
        c->applied = e->index;
        c->applied_term = e->term;
        queue_pop(c);
        count++;
    }
    if (count > 0) {
#ifdef CAIRN_MUTANT_SEAL_PAST_DURABLE /* test/crash proves that this is found */
        raft_index reached = raft_log_last_index(c->raft);
#else
        raft_index reached = c->applied;
#endif
        backend_seal(c->backend, reached, c->applied_term, c->now_ms);
        tell_raft(c);
    }
    return count == CORE_APPLY_BURST && core_queue_len(c) > 0;
}
