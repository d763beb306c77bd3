/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/state.h"

#include <string.h>

static const char transfer_context[] = "CampaignTransfer"; /* on the wire: without the NUL */
enum { TRANSFER_CONTEXT_BYTES = sizeof(transfer_context) - 1 };

static void reset(struct raft *r, raft_term term);
static void become_candidate(struct raft *r);
static void become_pre_candidate(struct raft *r);
static void become_leader(struct raft *r);
static void campaign(struct raft *r, enum raft_campaign kind);
static void tick_leader(struct raft *r);
static void check_quorum(struct raft *r);

void raft_tick(struct raft *r)
{
    if (r->role == RAFT_LEADER) {
        tick_leader(r);
        return;
    }
    r->election_elapsed++;
    if (raft_is_promotable(r) && r->election_elapsed >= r->election_timeout) {
        r->election_elapsed = 0;
        raft_campaign_maybe(r, r->config.pre_vote ? RAFT_CAMPAIGN_PRE_ELECTION
                                                  : RAFT_CAMPAIGN_ELECTION);
    }
}

void raft_become_follower(struct raft *r, raft_term term, uint64_t leader)
{
    reset(r, term);
    r->leader = leader;
    r->role = RAFT_FOLLOWER;
    RAFT_TRACE(&r->tracer, RAFT_TRACE_BECAME_FOLLOWER, r->config.id, r->term);
}

bool raft_is_promotable(const struct raft *r)
{
    const struct raft_progress *pr = raft_members_get(&r->tracker.members, r->config.id);
    return pr != NULL && !pr->is_learner && !r->log.has_snapshot;
}

bool raft_message_is_transfer_vote(const struct raft_message *m)
{
    return m->context.len == TRANSFER_CONTEXT_BYTES &&
           memcmp(m->context.bytes, transfer_context, TRANSFER_CONTEXT_BYTES) == 0;
}

void raft_set_election_timeout(struct raft *r, uint32_t ticks)
{
    r->election_timeout = ticks;
}

/* A change that is committed but not applied could make us campaign in a configuration that is
 * two changes old. */
static bool has_unapplied_conf_change(const struct raft *r)
{
    for (raft_index i = r->log.applied + 1; i <= r->log.committed; i++) {
        if (raft_log_at(&r->log, i)->type != RAFT_ENTRY_NORMAL) {
            return true;
        }
    }
    return false;
}

void raft_campaign_maybe(struct raft *r, enum raft_campaign kind)
{
    uint64_t id = r->config.id;
    if (r->role == RAFT_LEADER) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_CAMPAIGN_AS_LEADER, id);
    } else if (!raft_is_promotable(r)) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_UNPROMOTABLE, id);
    } else if (has_unapplied_conf_change(r)) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_CAMPAIGN_PENDING_CONF, id, r->term);
    } else {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_CAMPAIGN, id, r->term);
        campaign(r, kind);
    }
}

/* Raft 5.4.1: only a log that is at least as complete as ours gets our vote. */
static bool may_grant(const struct raft *r, const struct raft_message *m)
{
    bool repeats = r->vote == m->from;
    bool is_free = r->vote == 0 && r->leader == 0;
    bool is_future = m->type == RAFT_MSG_PRE_VOTE && m->term > r->term;
    struct raft_entry_id last = {m->log_term, m->index};
    return (repeats || is_free || is_future) && raft_log_is_up_to_date(&r->log, last);
}

/*
 * Vote and PreVote.  Learners vote too: one may have been promoted by a change that it has not
 * applied yet, and the quorum of its leader may need it.  A grant carries the term of the request
 * (a pre-vote asks for a term ahead of ours), a refusal our own.
 */
int raft_on_vote(struct raft *r, const struct raft_message *m)
{
    struct raft_entry_id last = raft_log_last_id(&r->log);
    bool is_real = m->type == RAFT_MSG_VOTE;
    bool grant = may_grant(r, m);
    RAFT_TRACE(&r->tracer, grant ? RAFT_TRACE_VOTE_CAST : RAFT_TRACE_VOTE_REJECTED, r->config.id,
               last.term, last.index, r->vote, m->type, m->from, m->log_term, m->index, r->term);
    raft_send(r,
              &(struct raft_message){.type = is_real ? RAFT_MSG_VOTE_RESP : RAFT_MSG_PRE_VOTE_RESP,
                                     .to = m->from,
                                     .term = grant ? m->term : r->term,
                                     .reject = !grant});
    if (grant && is_real) {
        r->election_elapsed = 0;
        r->vote = m->from;
    }
    return 0;
}

int raft_on_vote_resp(struct raft *r, const struct raft_message *m)
{
    /* Answers to a candidacy that is over are of no interest. */
    if (!(r->role == RAFT_CANDIDATE && m->type == RAFT_MSG_VOTE_RESP) &&
        !(r->role == RAFT_PRE_CANDIDATE && m->type == RAFT_MSG_PRE_VOTE_RESP)) {
        return 0;
    }
    RAFT_TRACE(&r->tracer, m->reject ? RAFT_TRACE_VOTE_REFUSED : RAFT_TRACE_VOTE_RECEIVED,
               r->config.id, m->type, m->from, r->term);
    raft_tracker_record_vote(&r->tracker, m->from, !m->reject);
    struct raft_tally tally = raft_tracker_tally(&r->tracker);
    RAFT_TRACE(&r->tracer, RAFT_TRACE_VOTE_COUNT, r->config.id, tally.granted, m->type,
               tally.rejected);
    if (tally.result == QUORUM_LOST) {
        raft_become_follower(r, r->term, 0);
    } else if (tally.result == QUORUM_WON && r->role == RAFT_PRE_CANDIDATE) {
        campaign(r, RAFT_CAMPAIGN_ELECTION);
    } else if (tally.result == QUORUM_WON) {
        become_leader(r);
        raft_broadcast_append(r);
    }
    return 0;
}

int raft_on_timeout_now(struct raft *r, const struct raft_message *m)
{
    if (r->role == RAFT_FOLLOWER) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_TIMEOUT_NOW, r->config.id, r->term, m->from);
        /* The leader itself asks, so it is no partition that ends: no pre-vote. */
        raft_campaign_maybe(r, RAFT_CAMPAIGN_TRANSFER);
    } else if (r->role != RAFT_LEADER) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_TIMEOUT_NOW_IGNORED, r->config.id, r->term, r->role,
                   m->from);
    }
    return 0;
}

static void reset(struct raft *r, raft_term term)
{
    struct raft_members *m = &r->tracker.members;
    raft_index last = raft_log_last(&r->log);
    ensure(term >= r->term);
    if (r->term != term) {
        r->term = term;
        r->vote = 0;
    }
    r->leader = 0;
    r->election_elapsed = 0;
    r->heartbeat_elapsed = 0;
    r->election_timeout =
        r->config.election_ticks + (uint32_t)prng_below(&r->prng, r->config.election_ticks);
    r->transferee = 0;
    raft_tracker_reset_votes(&r->tracker);
    for (uint32_t i = 0; i < m->count; i++) {
        bool is_self = m->list[i].id == r->config.id;
        raft_progress_reset(&m->list[i], is_self ? last : 0, last + 1);
    }
    r->pending_conf_index = 0;
    r->uncommitted_bytes = 0;
    raft_readonly_reset(&r->reads);
}

static void become_candidate(struct raft *r)
{
    ensure(r->role != RAFT_LEADER);
    reset(r, r->term + 1);
    r->vote = r->config.id;
    r->role = RAFT_CANDIDATE;
    RAFT_TRACE(&r->tracer, RAFT_TRACE_BECAME_CANDIDATE, r->config.id, r->term);
}

/* Neither term nor vote change: nothing is promised yet. */
static void become_pre_candidate(struct raft *r)
{
    ensure(r->role != RAFT_LEADER);
    raft_tracker_reset_votes(&r->tracker);
    r->leader = 0;
    r->role = RAFT_PRE_CANDIDATE;
    RAFT_TRACE(&r->tracer, RAFT_TRACE_BECAME_PRE_CANDIDATE, r->config.id, r->term);
}

static void become_leader(struct raft *r)
{
    struct raft_entry empty = {.type = RAFT_ENTRY_NORMAL};
    ensure(r->role == RAFT_CANDIDATE);
    reset(r, r->term);
    r->leader = r->config.id;
    r->role = RAFT_LEADER;
    struct raft_progress *pr = raft_members_find(&r->tracker.members, r->config.id);
    if (pr != NULL) {
        raft_progress_become_replicate(pr);
        pr->recent_active = true;
    }
    /* There may be a conf change in the tail; waiting for all of it is cheaper than to look. */
    r->pending_conf_index = raft_log_last(&r->log);
    /* Raft 5.4.2: entries of older terms are committed only through one of this term. */
    bool appended = raft_append_entries(r, &empty, 1);
    ensure(appended);
    RAFT_TRACE(&r->tracer, RAFT_TRACE_BECAME_LEADER, r->config.id, r->term);
}

static void send_vote_request(struct raft *r, uint64_t to, struct raft_message *m)
{
    RAFT_TRACE(&r->tracer, RAFT_TRACE_SENT_VOTE_REQUEST, r->config.id, m->log_term, m->index,
               m->type, to, r->term);
    m->to = to;
    raft_send(r, m);
}

static void campaign(struct raft *r, enum raft_campaign kind)
{
    const struct raft_members *members = &r->tracker.members;
    bool is_pre = kind == RAFT_CAMPAIGN_PRE_ELECTION;
    if (is_pre) {
        become_pre_candidate(r);
    } else {
        become_candidate(r);
    }
    struct raft_entry_id last = raft_log_last_id(&r->log);
    struct raft_message m = {.type = is_pre ? RAFT_MSG_PRE_VOTE : RAFT_MSG_VOTE,
                             .term = is_pre ? r->term + 1 : r->term,
                             .log_term = last.term,
                             .index = last.index};
    if (kind == RAFT_CAMPAIGN_TRANSFER) {
        m.context.len = TRANSFER_CONTEXT_BYTES;
        memcpy(m.context.bytes, transfer_context, TRANSFER_CONTEXT_BYTES);
    }
    for (uint32_t i = 0; i < members->count; i++) {
        uint64_t id = members->list[i].id;
        if (!raft_members_is_voter(members, id)) {
            continue;
        }
        if (id != r->config.id) {
            send_vote_request(r, id, &m);
            continue;
        }
        /* Our own vote counts when it is durable, so it goes the way of an answer. */
        raft_send(
            r, &(struct raft_message){.type = is_pre ? RAFT_MSG_PRE_VOTE_RESP : RAFT_MSG_VOTE_RESP,
                                      .to = id,
                                      .term = m.term});
    }
}

static void tick_leader(struct raft *r)
{
    r->heartbeat_elapsed++;
    r->election_elapsed++;
    if (r->election_elapsed >= r->config.election_ticks) {
        r->election_elapsed = 0;
        if (r->config.check_quorum) {
            check_quorum(r);
        }
        r->transferee = 0; /* it had its time */
    }
    if (r->role == RAFT_LEADER && r->heartbeat_elapsed >= r->config.heartbeat_ticks) {
        r->heartbeat_elapsed = 0;
        raft_broadcast_heartbeat(r);
    }
}

static void check_quorum(struct raft *r)
{
    struct raft_members *m = &r->tracker.members;
    if (!raft_tracker_quorum_is_active(&r->tracker)) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_QUORUM_LOST, r->config.id);
        raft_become_follower(r, r->term, 0);
    }
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->list[i].id != r->config.id) {
            m->list[i].recent_active = false;
        }
    }
}
