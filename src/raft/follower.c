/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/state.h"

static int handle_append(struct raft *r, const struct raft_message *m);
static int handle_heartbeat(struct raft *r, const struct raft_message *m);
static int handle_snapshot(struct raft *r, const struct raft_message *m);

/* A message of this term's leader: a candidate has lost, a follower knows now.  False on a leader
 * (there is no other one in its term). */
static bool follow(struct raft *r, const struct raft_message *m)
{
    if (r->role == RAFT_LEADER) {
        return false;
    }
    if (r->role != RAFT_FOLLOWER) {
        raft_become_follower(r, m->term, m->from);
    }
    r->election_elapsed = 0;
    r->leader = m->from;
    return true;
}

int raft_on_append(struct raft *r, const struct raft_message *m)
{
    return follow(r, m) ? handle_append(r, m) : 0;
}

int raft_on_heartbeat(struct raft *r, const struct raft_message *m)
{
    return follow(r, m) ? handle_heartbeat(r, m) : 0;
}

int raft_on_snapshot(struct raft *r, const struct raft_message *m)
{
    return follow(r, m) ? handle_snapshot(r, m) : 0;
}

static void acknowledge(struct raft *r, uint64_t to, raft_index index)
{
    raft_send(r, &(struct raft_message){.type = RAFT_MSG_APP_RESP, .to = to, .index = index});
}

/*
 * The hint is our best guess where the logs part: the last entry at or before the leader's one
 * whose term is not above its term.  So a long divergent tail costs a round a term, not one an
 * entry.
 */
static void reject_append(struct raft *r, const struct raft_message *m)
{
    raft_index last = raft_log_last(&r->log);
    raft_term hint_term;
    RAFT_TRACE(&r->tracer, RAFT_TRACE_APPEND_REJECTED, r->config.id,
               raft_log_term_or_zero(&r->log, m->index), m->index, m->log_term, m->index, m->from);
    raft_index hint =
        raft_log_find_by_term(&r->log, m->index < last ? m->index : last, m->log_term, &hint_term);
    raft_send(r, &(struct raft_message){.type = RAFT_MSG_APP_RESP,
                                        .to = m->from,
                                        .index = m->index,
                                        .reject = true,
                                        .reject_hint = hint,
                                        .log_term = hint_term});
}

static int handle_append(struct raft *r, const struct raft_message *m)
{
    struct raft_log *l = &r->log;
    if (m->index < l->committed) {
        acknowledge(r, m->from, l->committed);
        return 0;
    }
    if (!raft_log_matches(l, (struct raft_entry_id){m->log_term, m->index})) {
        reject_append(r, m);
        return 0;
    }
    raft_index conflict = raft_log_find_conflict(l, m->entries, m->entry_count);
    if (conflict != 0) {
        if (conflict <= l->committed) {
            return ERR_CORRUPT; /* Raft 5.4.3, state machine safety, is broken already */
        }
        size_t known = (size_t)(conflict - m->index - 1);
        raft_log_append(l, m->entries + known, m->entry_count - known);
    }
    raft_index last_new = m->index + m->entry_count;
    raft_log_commit_to(l, m->commit < last_new ? m->commit : last_new);
    acknowledge(r, m->from, last_new);
    return 0;
}

static int handle_heartbeat(struct raft *r, const struct raft_message *m)
{
    raft_log_commit_to(&r->log, m->commit);
    raft_send(r, &(struct raft_message){
                     .type = RAFT_MSG_HEARTBEAT_RESP, .to = m->from, .context = m->context});
    return 0;
}

static bool conf_has(const struct raft_conf_state *cs, uint64_t id)
{
    return raft_ids_contains(&cs->voters, id) || raft_ids_contains(&cs->learners, id) ||
           raft_ids_contains(&cs->voters_outgoing, id);
}

/* Replaces log and configuration by the snapshot's; false when it is not wanted. */
static bool restore(struct raft *r, const struct raft_snapshot *s)
{
    struct raft_members members;
    struct raft_conf_state cs = s->meta.conf;
    struct raft_entry_id id = {s->meta.term, s->meta.index};
    if (id.index <= r->log.committed) {
        return false;
    }
    raft_ids_normalize(&cs.voters);
    raft_ids_normalize(&cs.learners);
    raft_ids_normalize(&cs.voters_outgoing);
    if (!conf_has(&cs, r->config.id) ||
        raft_members_restore(r, &s->meta.conf, id.index, &members) != RAFT_CHANGER_OK) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_SNAPSHOT_NOT_MEMBER, r->config.id);
        return false;
    }
    struct raft_entry_id last = raft_log_last_id(&r->log);
    if (raft_log_matches(&r->log, id)) {
        /* We have all of it: only the commit index is news. */
        RAFT_TRACE(&r->tracer, RAFT_TRACE_SNAPSHOT_FAST_FORWARD, r->config.id, r->log.committed,
                   last.index, last.term, id.index, id.term);
        raft_log_commit_to(&r->log, id.index);
        return false;
    }
    raft_log_restore(&r->log, s);
    raft_switch_config(r, &members);
    RAFT_TRACE(&r->tracer, RAFT_TRACE_RESTORED, r->config.id, r->log.committed,
               raft_log_last(&r->log), id.term, id.index, id.term);
    return true;
}

static int handle_snapshot(struct raft *r, const struct raft_message *m)
{
    const struct raft_snapshot_meta *meta = &m->snapshot->meta;
    if (restore(r, m->snapshot)) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_SNAPSHOT_RESTORED, r->config.id, r->log.committed,
                   meta->index, meta->term);
        acknowledge(r, m->from, raft_log_last(&r->log));
    } else {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_SNAPSHOT_IGNORED, r->config.id, r->log.committed,
                   meta->index, meta->term);
        acknowledge(r, m->from, r->log.committed);
    }
    return 0;
}
