/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/state.h"

enum { LOG_BOUND_ALONE_DIVISOR = 8 };

static void catch_up_members(struct raft *r);

enum raft_changer_error raft_members_restore(const struct raft *r, const struct raft_conf_state *cs,
                                             raft_index last_index, struct raft_members *out)
{
    struct raft_changer changer = {out, last_index, r->config.inflight_max,
                                   r->config.inflight_bytes_max};
    *out = (struct raft_members){0};
    return raft_changer_restore(&changer, cs);
}

int raft_apply_conf_change(struct raft *r, const struct raft_conf_change_v2 *cc,
                           struct raft_conf_state *out_conf)
{
    struct raft_members changed = r->tracker.members;
    struct raft_changer changer = {&changed, raft_log_last(&r->log), r->config.inflight_max,
                                   r->config.inflight_bytes_max};
    enum raft_changer_error err;
    bool auto_leave = false;
    raft_outbox_recycle(&r->outbox);
    if (raft_conf_change_leaves_joint(cc)) {
        err = raft_changer_leave_joint(&changer);
    } else if (raft_conf_change_enters_joint(cc, &auto_leave)) {
        err = raft_changer_enter_joint(&changer, auto_leave, cc->changes, cc->count);
    } else {
        err = raft_changer_simple(&changer, cc->changes, cc->count);
    }
    if (err != RAFT_CHANGER_OK) {
        return ERR_INVALID;
    }
    raft_switch_config(r, &changed);
    *out_conf = r->tracker.members.conf;
    return 0;
}

void raft_conf_state(const struct raft *r, struct raft_conf_state *out_conf)
{
    *out_conf = r->tracker.members.conf;
}

/* Alone, nobody is ever sent an old entry: memory only holds what is not applied. */
static void log_bound_set(struct raft *r)
{
    const struct raft_members *m = &r->tracker.members;
    bool is_alone = m->count == 1 && m->list[0].id == r->config.id;
    r->log.bytes_max = r->config.log_bytes_max / (is_alone ? LOG_BOUND_ALONE_DIVISOR : 1);
}

void raft_switch_config(struct raft *r, const struct raft_members *members)
{
    raft_tracker_replace(&r->tracker, members);
    log_bound_set(r);
    RAFT_TRACE(&r->tracer, RAFT_TRACE_CONFIG, r->config.id);
    const struct raft_progress *self = raft_members_get(&r->tracker.members, r->config.id);
    r->is_learner = self != NULL && self->is_learner;
    if (r->role != RAFT_LEADER) {
        return;
    }
    if (self == NULL || r->is_learner) {
        /* Removed or demoted: it may go on leading a group that it is not part of, until the
         * change is known there (Raft 6). */
        if (r->config.step_down_on_removal) {
            raft_become_follower(r, r->term, 0);
        }
        return;
    }
    if (r->tracker.members.conf.voters.count > 0) {
        catch_up_members(r);
    }
}

/* The new configuration may commit more, and new members are probed without waiting. */
static void catch_up_members(struct raft *r)
{
    struct raft_members *m = &r->tracker.members;
    if (raft_maybe_commit(r)) {
        raft_broadcast_append(r);
    } else {
        for (uint32_t i = 0; i < m->count; i++) {
            if (m->list[i].id != r->config.id) {
                (void)raft_maybe_send_append(r, &m->list[i], false);
            }
        }
    }
    if (r->transferee != 0 && !raft_members_is_voter(m, r->transferee)) {
        r->transferee = 0;
    }
}

int raft_conf_proposal_check(struct raft *r, const struct raft_entry *e, raft_index index,
                             bool *out_keep)
{
    struct raft_conf_change_v2 cc;
    if (raft_conf_change_decode(e->type, e->data, &cc) != 0) {
        return raft_drop(r, RAFT_DROP_BAD_CONF_CHANGE);
    }
    bool is_pending = r->pending_conf_index > r->log.applied;
    bool is_joint = r->tracker.members.conf.voters_outgoing.count > 0;
    bool wants_leave = cc.count == 0;
    bool is_refused = is_pending || is_joint != wants_leave;
    *out_keep = !is_refused || r->config.no_conf_validation;
    if (*out_keep) {
        r->pending_conf_index = index;
    } else if (is_pending) {
        RAFT_TRACE_ABOUT(&r->tracer, RAFT_TRACE_CONF_PENDING, &cc, r->config.id,
                         r->pending_conf_index, r->log.applied);
    } else {
        RAFT_TRACE_ABOUT(&r->tracer, is_joint ? RAFT_TRACE_CONF_JOINT : RAFT_TRACE_CONF_EMPTY, &cc,
                         r->config.id);
    }
    return 0;
}

/* All that led into the joint configuration is applied: leave it, by an empty V2 change. */
void raft_maybe_auto_leave(struct raft *r)
{
    struct raft_entry leave = {.type = RAFT_ENTRY_CONF_CHANGE_V2};
    if (!r->tracker.members.conf.auto_leave || r->log.applied < r->pending_conf_index ||
        r->role != RAFT_LEADER) {
        return;
    }
    struct raft_message m = {
        .type = RAFT_MSG_PROP, .from = r->config.id, .entries = &leave, .entry_count = 1};
    if (raft_on_propose(r, &m) == 0) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_AUTO_LEAVE, 0);
    } else {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_AUTO_LEAVE_DROPPED, 0);
    }
}
