/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/check: invariants (state.h, log.h, tracker.h, progress.h), and what others may ask about.
 */
#include "raft/state.h"

static void check_role(const struct raft *r)
{
    ensure(r->leader == 0 || r->term > 0);
    switch (r->role) {
    case RAFT_LEADER: ensure(r->leader == r->config.id); break;
    case RAFT_CANDIDATE: ensure(r->vote == r->config.id && r->leader == 0); break;
    case RAFT_PRE_CANDIDATE: ensure(r->leader == 0); break;
    case RAFT_FOLLOWER: ensure(r->leader != r->config.id); break;
    }
    ensure(r->transferee == 0 || r->role == RAFT_LEADER);
    ensure(r->election_timeout > 0);
}

static void check_members(const struct raft *r)
{
    const struct raft_members *m = &r->tracker.members;
    ensure(raft_members_are_consistent(m));
    for (uint32_t i = 0; i < m->count; i++) {
        const struct raft_progress *pr = &m->list[i];
        raft_progress_check(pr);
        ensure(i == 0 || m->list[i - 1].id < pr->id);
        ensure(r->role != RAFT_LEADER || pr->match <= raft_log_last(&r->log));
        ensure(r->role == RAFT_LEADER || !pr->is_reading);
    }
}

void raft_check(const struct raft *r)
{
    raft_log_check(&r->log);
    /* A snapshot that the log starts from may be of a later term than we ever saw. */
    ensure(r->log.len == 0 || raft_log_last_id(&r->log).term <= r->term);
    ensure(r->taken_hard.term <= r->term && r->taken_hard.commit <= r->log.committed);
    check_role(r);
    check_members(r);
    raft_readonly_check(&r->reads);
}

void raft_status(const struct raft *r, struct raft_status *out)
{
    *out = (struct raft_status){
        .id = r->config.id,
        .hard = {r->term, r->vote, r->log.committed},
        .role = r->role,
        .leader = r->leader,
        .transferee = r->transferee,
        .applied = r->log.applied,
        .last_index = raft_log_last(&r->log),
        .is_learner = r->is_learner,
        .log_bytes = r->log.bytes,
        .pending_reads = raft_readonly_count(&r->reads),
    };
}

size_t raft_member_statuses(const struct raft *r, struct raft_member_status *out, size_t max)
{
    const struct raft_members *m = &r->tracker.members;
    for (uint32_t i = 0; i < m->count && i < max; i++) {
        const struct raft_progress *pr = &m->list[i];
        out[i] = (struct raft_member_status){
            .id = pr->id,
            .state = pr->state,
            .match = pr->match,
            .next = pr->next,
            .pending_snapshot = pr->pending_snapshot,
            .inflight_count = pr->inflights.count,
            .is_learner = pr->is_learner,
            .is_paused = raft_progress_is_paused(pr),
            .recent_active = pr->recent_active,
        };
    }
    return m->count;
}

raft_index raft_log_first_index(const struct raft *r)
{
    return r->log.base.index + 1;
}

raft_index raft_log_last_index(const struct raft *r)
{
    return raft_log_last(&r->log);
}

int raft_log_term(const struct raft *r, raft_index index, raft_term *out_term)
{
    return raft_log_term_at(&r->log, index, out_term) ? 0 : ERR_NOT_FOUND;
}

const struct raft_entry *raft_log_entries(const struct raft *r, raft_index lo, raft_index hi)
{
    if (lo >= hi || lo < r->log.mem_first || hi > raft_log_last(&r->log) + 1) {
        return NULL;
    }
    return raft_log_at(&r->log, lo);
}
