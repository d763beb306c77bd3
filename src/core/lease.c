/* SPDX-License-Identifier: Apache-2.0
 *
 * core/lease: what a leader does with leases: revokes those that have expired, writes checkpoints,
 * renews (client-api 2.3).
 *
 * Expiry and checkpoints are proposals of a leader, never decided where entries are applied.  One
 * that raft did not take while this member led is dropped: forwarded to the next leader it would
 * end leases that this one has extended.
 *
 *     renew: [doubt: read round] -> [lease unknown: catch up] -> renewed
 *                                      expired -> waits until the revocation is applied
 *                                      checkpointed -> the checkpoint is cleared through the log
 */
#include "base/failpoint.h"
#include "base/log.h"
#include "core/internal.h"

/* ---- expiry ---- */

static bool is_lease_entry(const struct core_request *r)
{
    return r->is_internal &&
           (r->which == WIRE_INTERNAL_LEASE_REVOKE || r->which == WIRE_INTERNAL_LEASE_CHECKPOINT);
}

static bool leads_now(const struct core *c)
{
    struct raft_status st;
    raft_status(c->raft, &st);
    return st.role == RAFT_LEADER;
}

void core_leases_withdraw(struct core *c)
{
    if (c->lease_entries == 0 || leads_now(c)) {
        return;
    }
    LIST_FOREACH (&c->proposing, n) {
        struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        if (is_lease_entry(r)) {
            list_remove(n);
            core_waiter_done(c, r, ERR_DROPPED);
        }
    }
}

static void propose(struct core *c, uint32_t which, const struct buf *body)
{
    c->lease_entries++;
    core_propose_internal(c, which, buf_slice(body));
}

static void revoke_expired(struct core *c)
{
    int64_t ids[LEASE_EXPIRED_MAX];
    size_t count = lessor_expired(c->lessor, c->now_ms, ids, LEASE_EXPIRED_MAX - c->lease_entries);
    struct buf body = BUF_INIT;
    for (size_t i = 0; i < count; i++) {
        buf_clear(&body);
        wire_append_u64(&body, 1, (uint64_t)ids[i]);
        propose(c, WIRE_INTERNAL_LEASE_REVOKE, &body);
    }
    buf_deinit(&body);
}

/* LeaseCheckpoint{1: id, 2: remaining TTL} as field 1 of the request. */
static void checkpoint_append(struct buf *body, int64_t id, int64_t remaining_s)
{
    struct buf one = BUF_INIT;
    wire_append_u64(&one, 1, (uint64_t)id);
    wire_append_u64(&one, 2, (uint64_t)remaining_s);
    wire_append_message(body, 1, buf_slice(&one));
    buf_deinit(&one);
}

static void write_checkpoints(struct core *c)
{
    struct lease_checkpoint *due = mem_alloc_array(LEASE_CHECKPOINT_BATCH, sizeof(*due));
    struct buf body = BUF_INIT;
    size_t count = LEASE_CHECKPOINT_BATCH;
    for (unsigned k = 0; k < CORE_CHECKPOINT_ENTRIES && count == LEASE_CHECKPOINT_BATCH; k++) {
        count = lessor_checkpoints(c->lessor, c->now_ms, due, LEASE_CHECKPOINT_BATCH);
        buf_clear(&body);
        for (size_t i = 0; i < count; i++) {
            checkpoint_append(&body, due[i].id, due[i].remaining_ttl_s);
        }
        if (count > 0) {
            propose(c, WIRE_INTERNAL_LEASE_CHECKPOINT, &body);
        }
    }
    buf_deinit(&body);
    mem_free(due);
}

/* A leader that stood still may have been replaced: for an election time-out its word on leases
 * needs a quorum. */
static void note_gap(struct core *c)
{
    uint64_t tick = c->config.heartbeat_ms;
    if (c->tick_ms != 0 && c->now_ms > c->tick_ms + CORE_ACTIVE_TICKS * tick) {
        c->doubt_ms = c->now_ms + c->config.election_ticks * tick;
    }
    c->tick_ms = c->now_ms;
}

void core_leases_tick(struct core *c)
{
    note_gap(c);
    bool may_propose = c->role == RAFT_LEADER && !c->is_stopping && c->fatal == 0 &&
                       !c->is_short_of_space && c->hand_over_ms == 0;
    if (!may_propose || c->now_ms < c->lease_scan_ms || c->lease_entries >= LEASE_EXPIRED_MAX) {
        return;
    }
    c->lease_scan_ms = c->now_ms + LEASE_SCAN_MS;
    revoke_expired(c);
    write_checkpoints(c);
}

void core_lease_entry_done(struct core *c, const struct core_request *r, int err)
{
    c->lease_entries--;
    if (r->which != WIRE_INTERNAL_LEASE_REVOKE) {
        return;
    }
    if (err == 0) {
        c->leases_expired++;
    } else if (err != ERR_RPC_LEASE_NOT_FOUND) { /* listed again after LEASE_RETRY_MS */
        log_warn("failed to revoke lease", LOG_ERR(err));
    }
}

/* ---- renewal ---- */

/* What this member may not do (any more): whoever leads is to be asked. */
static int as_not_leader(const struct core_request *r, int err)
{
    return err == ERR_RPC_NOT_PRIMARY_LESSOR && !r->is_from_peer ? ERR_RPC_NOT_LEADER : err;
}

static void clear_checkpoint(struct core *c, struct core_request *r)
{
    struct buf body = BUF_INIT;
    checkpoint_append(&body, r->lease_id, 0);
    r->which = WIRE_INTERNAL_LEASE_CHECKPOINT;
    r->body = buf_slice(&body);
    r->deadline_ms = c->now_ms + core_request_timeout_ms(c);
    core_propose(c, r);
    r->body = SLICE_NULL;
    buf_deinit(&body);
}

void core_lease_renew_now(struct core *c, struct core_request *r)
{
    bool needs_checkpoint = false;
    FAILPOINT(beforeCheckpointInLeaseRenew);
    int err = lessor_renew(c->lessor, r->lease_id, c->now_ms, &r->ttl_s, &needs_checkpoint);
    if (err == ERR_AGAIN) {
        r->stage = CORE_STAGE_RENEW;
        r->deadline_ms = UINT64_MAX;
        list_push_back(&c->renewing, &r->node);
    } else if (err == 0 && needs_checkpoint) {
        clear_checkpoint(c, r);
    } else {
        c->leases_renewed += err == 0;
        core_reply(c, r, as_not_leader(r, err));
    }
}

static void renew_known(struct core *c, struct core_request *r)
{
    bool is_fast = c->config.fast_keep_alive && !r->is_from_peer;
    if (is_fast && lessor_has(c->lessor, r->lease_id)) {
        core_lease_renew_now(c, r);
    } else {
        core_catch_up(c, r); /* it may be in what is not applied yet */
    }
}

void core_lease_renew(struct core *c, struct core_request *r)
{
    bool is_active = c->now_ms <= c->tick_ms + CORE_ACTIVE_TICKS * (uint64_t)c->config.heartbeat_ms;
    if (r->is_from_peer) {
        renew_known(c, r);
    } else if (c->role != RAFT_LEADER) {
        core_reply(c, r, ERR_RPC_NOT_LEADER);
    } else if (is_active && c->now_ms >= c->doubt_ms) {
        renew_known(c, r);
    } else {
        core_read(c, r);
    }
}

void core_lease_confirmed(struct core *c, struct core_request *r)
{
    if (c->role != RAFT_LEADER) {
        core_reply(c, r, ERR_RPC_NOT_PRIMARY_LESSOR);
    } else {
        renew_known(c, r);
    }
}

void core_leases_run(struct core *c)
{
    if (!c->leases_changed) {
        return;
    }
    c->leases_changed = false;
    struct list waiting;
    list_init(&waiting);
    LIST_FOREACH (&c->renewing, n) {
        list_remove(n);
        list_push_back(&waiting, n);
    }
    LIST_FOREACH (&waiting, n) {
        list_remove(n);
        core_lease_renew_now(c, LIST_ENTRY(n, struct core_request, node));
    }
}
