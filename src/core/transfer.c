/* SPDX-License-Identifier: Apache-2.0
 *
 * core/transfer: leadership handed over: asked for by a client, at an orderly stop, and when the
 * own disk stands still (design.md 8).
 */
#include "base/log.h"
#include "core/internal.h"

void core_hand_over(struct core *c, uint64_t to)
{
    log_info("leadership transfer starting", LOG_HEX("local-member-id", c->config.member_id),
             LOG_HEX("current-leader-member-id", c->leader), LOG_HEX("transferee-member-id", to));
    struct raft_event ev = {.type = RAFT_EV_TRANSFER_LEADER, .member = to};
    int err = raft_step(c->raft, &ev);
    ensure(err == 0);
}

static void finished(const struct core *c)
{
    log_info("leadership transfer finished", LOG_HEX("local-member-id", c->config.member_id),
             LOG_HEX("old-leader-member-id", c->config.member_id),
             LOG_HEX("new-leader-member-id", c->leader));
}

static uint64_t transferee(const struct core *c)
{
    struct raft_status st;
    raft_status(c->raft, &st);
    return st.transferee;
}

/* ---- a client's ---- */

void core_transfer(struct core *c, struct core_request *r)
{
    const struct member *m = membership_find(c->members, r->member_id);
    r->deadline_ms = UINT64_MAX;
    r->header_rev = mvcc_rev(c->store);
    if (c->role != RAFT_LEADER) {
        core_reply(c, r, ERR_RPC_NOT_LEADER);
    } else if (m == NULL || m->is_learner) {
        core_reply(c, r, ERR_RPC_BAD_TRANSFEREE);
    } else if (r->member_id == c->config.member_id) {
        core_reply(c, r, 0);
    } else {
        core_hand_over(c, r->member_id);
        r->stage = CORE_STAGE_TRANSFER;
        list_push_back(&c->transfers, &r->node);
    }
}

void core_transfers_check(struct core *c, bool is_tick)
{
    LIST_FOREACH (&c->transfers, n) {
        struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        if (c->leader == r->member_id) {
            finished(c);
            core_reply(c, r, 0);
        } else if (is_tick && c->role == RAFT_LEADER && transferee(c) != r->member_id) {
            core_reply(c, r, ERR_RPC_TIMEOUT_LEADER_TRANSFER); /* raft has given it up */
        }
    }
}

/* ---- the stop's ---- */

bool core_hand_over_begin(struct core *c)
{
    uint64_t to = core_longest_connected(c);
    if (c->role != RAFT_LEADER || c->fatal != 0 || to == 0) {
        return false;
    }
    c->transferee = to;
    c->hand_over_ms = c->now_ms + core_request_timeout_ms(c);
    core_hand_over(c, to);
    return true;
}

bool core_is_handing_over(struct core *c)
{
    if (c->hand_over_ms == 0) {
        return false;
    }
    bool is_done = c->leader == c->transferee;
    if (is_done) {
        finished(c);
    }
    bool is_given_up = c->role == RAFT_LEADER && transferee(c) != c->transferee;
    if (is_done || is_given_up || c->now_ms >= c->hand_over_ms || c->fatal != 0) {
        c->hand_over_ms = 0;
    }
    return c->hand_over_ms != 0;
}

/* ---- the disk's ---- */

/* The voter that has most of the log and is heard. */
static uint64_t best_voter(const struct core *c)
{
    struct raft_member_status st[2 * RAFT_MEMBERS_MAX];
    size_t count = raft_member_statuses(c->raft, st, ARRAY_LEN(st));
    uint64_t best = 0;
    raft_index match = 0;
    for (size_t i = 0; i < count && i < ARRAY_LEN(st); i++) {
        bool is_candidate = st[i].id != c->config.member_id && !st[i].is_learner &&
                            st[i].recent_active && st[i].match >= match;
        if (is_candidate) {
            best = st[i].id;
            match = st[i].match;
        }
    }
    return best;
}

void core_hand_over_for(struct core *c, const char *why)
{
    if (c->role != RAFT_LEADER || transferee(c) != 0) {
        return;
    }
    uint64_t to = best_voter(c);
    if (to != 0) {
        log_warn(why, LOG_HEX("local-member-id", c->config.member_id));
        core_hand_over(c, to);
    }
}

/* Nothing of the log has become durable for two election time-outs although something waits: long
 * enough for a slow disk, and clients do not give up yet. */
void core_hang_check(struct core *c)
{
    uint64_t patience = 2 * (uint64_t)c->config.election_ticks * c->config.heartbeat_ms;
    if (c->appends_running > 0 && c->now_ms >= c->append_progress_ms + patience) {
        core_hand_over_for(c, "the disk of this leader stands still");
    }
}
