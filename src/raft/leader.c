/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/state.h"

static bool maybe_send_snapshot(struct raft *r, struct raft_progress *pr);
static bool send_entries(struct raft *r, struct raft_progress *pr, raft_term prev_term,
                         const struct raft_entry *entries, size_t count);
static void request_log_read(struct raft *r, struct raft_progress *pr);
static void handle_rejection(struct raft *r, struct raft_progress *pr,
                             const struct raft_message *m);
static void handle_acceptance(struct raft *r, struct raft_progress *pr,
                              const struct raft_message *m);

struct raft_progress *raft_leader_progress(struct raft *r, uint64_t member)
{
    struct raft_progress *pr = raft_members_find(&r->tracker.members, member);
    if (pr == NULL) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_NO_PROGRESS, r->config.id, member);
    }
    return pr;
}

static void send_append(struct raft *r, struct raft_progress *pr)
{
    (void)raft_maybe_send_append(r, pr, true);
}

bool raft_maybe_send_append(struct raft *r, struct raft_progress *pr, bool send_if_empty)
{
    struct raft_log *l = &r->log;
    raft_term prev_term;
    size_t count = 0;
    if (raft_progress_is_paused(pr) || pr->is_reading) {
        return false;
    }
    if (!raft_log_term_at(l, pr->next - 1, &prev_term)) {
        return maybe_send_snapshot(r, pr); /* compacted away */
    }
    raft_index last = raft_log_last(l);
    bool has_room = pr->state != RAFT_PROGRESS_REPLICATE || !raft_inflights_is_full(&pr->inflights);
    if (has_room && pr->next <= last) {
        if (pr->next < l->mem_first) {
            request_log_read(r, pr);
            return false;
        }
        count = raft_log_limit(l, pr->next, last + 1, r->config.msg_bytes_max);
    }
    if (count == 0 && !send_if_empty) {
        return false;
    }
    return send_entries(r, pr, prev_term, count > 0 ? raft_log_at(l, pr->next) : NULL, count);
}

void raft_broadcast_append(struct raft *r)
{
    struct raft_members *m = &r->tracker.members;
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->list[i].id != r->config.id) {
            send_append(r, &m->list[i]);
        }
    }
}

void raft_broadcast_heartbeat(struct raft *r)
{
    struct raft_members *m = &r->tracker.members;
    struct raft_context context = raft_readonly_context(&r->reads);
    for (uint32_t i = 0; i < m->count; i++) {
        struct raft_progress *pr = &m->list[i];
        if (pr->id == r->config.id) {
            continue;
        }
        /* Never beyond what it is known to have: it may hold other entries there. */
        raft_index commit = pr->match < r->log.committed ? pr->match : r->log.committed;
        raft_send(
            r, &(struct raft_message){
                   .type = RAFT_MSG_HEARTBEAT, .to = pr->id, .commit = commit, .context = context});
        pr->sent_commit = commit;
    }
}

/* Raft 5.4.2: counting replicas commits only entries of the current term. */
bool raft_maybe_commit(struct raft *r)
{
    raft_index index = raft_tracker_committed(&r->tracker);
    struct raft_entry_id id = {r->term, index};
    if (index <= r->log.committed || !raft_log_matches(&r->log, id)) {
        return false;
    }
    raft_log_commit_to(&r->log, index);
    return true;
}

int raft_on_append_resp(struct raft *r, const struct raft_message *m)
{
    if (r->role != RAFT_LEADER) {
        return 0;
    }
    struct raft_progress *pr = raft_leader_progress(r, m->from);
    if (pr == NULL) {
        return 0;
    }
    if (!m->reject && m->index > raft_log_last(&r->log)) {
        return ERR_MALFORMED; /* acknowledges what was never sent */
    }
    pr->recent_active = true;
    if (m->reject) {
        handle_rejection(r, pr, m);
    } else {
        handle_acceptance(r, pr, m);
    }
    return 0;
}

int raft_on_heartbeat_resp(struct raft *r, const struct raft_message *m)
{
    if (r->role != RAFT_LEADER) {
        return 0;
    }
    struct raft_progress *pr = raft_leader_progress(r, m->from);
    if (pr == NULL) {
        return 0;
    }
    pr->recent_active = true;
    pr->flow_paused = false;
    /* Also with a full window (all of it may have been lost) and to a probed member that has
     * everything (its answer makes it REPLICATE): then the append is empty. */
    if (pr->match < raft_log_last(&r->log) || pr->state == RAFT_PROGRESS_PROBE) {
        send_append(r, pr);
    }
    raft_reads_confirm(r, m->from, &m->context);
    return 0;
}

void raft_on_unreachable(struct raft *r, uint64_t member)
{
    struct raft_progress *pr = r->role == RAFT_LEADER ? raft_leader_progress(r, member) : NULL;
    if (pr == NULL) {
        return;
    }
    /* What was sent optimistically is probably lost. */
    if (pr->state == RAFT_PROGRESS_REPLICATE) {
        raft_progress_become_probe(pr);
    }
    RAFT_TRACE_ABOUT(&r->tracer, RAFT_TRACE_UNREACHABLE, pr, r->config.id, member);
}

void raft_on_snapshot_status(struct raft *r, uint64_t member, bool failed)
{
    struct raft_progress *pr = r->role == RAFT_LEADER ? raft_leader_progress(r, member) : NULL;
    if (pr == NULL || pr->state != RAFT_PROGRESS_SNAPSHOT) {
        return;
    }
    if (failed) {
        pr->pending_snapshot = 0; /* or probing would go on from what never arrived */
    }
    raft_progress_become_probe(pr);
    RAFT_TRACE_ABOUT(&r->tracer,
                     failed ? RAFT_TRACE_SNAPSHOT_FAILED : RAFT_TRACE_SNAPSHOT_SUCCEEDED, pr,
                     r->config.id, member);
    /* Success: its MsgAppResp comes; failure: the next heartbeat is soon enough. */
    pr->flow_paused = true;
}

/* Entries read back from the WAL must be those that the log remembers the terms of. */
static bool read_is_valid(const struct raft *r, const struct raft_event *ev)
{
    for (size_t i = 0; i < ev->entry_count; i++) {
        const struct raft_entry *e = &ev->entries[i];
        if (e->index != ev->read.lo + i ||
            !raft_log_matches(&r->log, (struct raft_entry_id){e->term, e->index})) {
            return false;
        }
    }
    return true;
}

int raft_on_entries_read(struct raft *r, const struct raft_event *ev)
{
    raft_term prev_term;
    struct raft_progress *pr = raft_members_find(&r->tracker.members, ev->read.to);
    if (r->role != RAFT_LEADER || r->term != ev->read.term || pr == NULL || !pr->is_reading) {
        return 0; /* somebody else's term */
    }
    pr->is_reading = false;
    if (pr->next != ev->read.lo || raft_progress_is_paused(pr)) {
        send_append(r, pr); /* it went elsewhere meanwhile */
        return 0;
    }
    if (!raft_log_term_at(&r->log, pr->next - 1, &prev_term) || ev->entry_count == 0) {
        (void)maybe_send_snapshot(r, pr);
        return 0;
    }
    if (!read_is_valid(r, ev)) {
        return ERR_CORRUPT;
    }
    for (size_t i = 0; i < ev->entry_count; i++) {
        raft_outbox_hold(&r->outbox, ev->entries[i].owner);
    }
    (void)send_entries(r, pr, prev_term, ev->entries, ev->entry_count);
    while (raft_maybe_send_append(r, pr, false)) {
    }
    return 0;
}

static bool maybe_send_snapshot(struct raft *r, struct raft_progress *pr)
{
    const struct raft_snapshot *s = &r->snapshot;
    if (!pr->recent_active) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_SNAPSHOT_INACTIVE, pr->id);
        return false;
    }
    if (s->meta.index == 0) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_SNAPSHOT_NONE, r->config.id, pr->id);
        return false;
    }
    RAFT_TRACE_ABOUT(&r->tracer, RAFT_TRACE_SNAPSHOT_SENT, pr, r->config.id, r->log.base.index + 1,
                     r->log.committed, s->meta.index, s->meta.term, pr->id);
    raft_progress_become_snapshot(pr, s->meta.index);
    RAFT_TRACE_ABOUT(&r->tracer, RAFT_TRACE_PAUSED, pr, r->config.id, pr->id);
    raft_send(r, &(struct raft_message){.type = RAFT_MSG_SNAP, .to = pr->id, .snapshot = s});
    return true;
}

static bool send_entries(struct raft *r, struct raft_progress *pr, raft_term prev_term,
                         const struct raft_entry *entries, size_t count)
{
    uint64_t payload = 0;
    for (size_t i = 0; i < count; i++) {
        payload += entries[i].data.len;
    }
    raft_send(r, &(struct raft_message){.type = RAFT_MSG_APP,
                                        .to = pr->id,
                                        .index = pr->next - 1,
                                        .log_term = prev_term,
                                        .commit = r->log.committed,
                                        .entries = entries,
                                        .entry_count = count});
    raft_progress_sent_entries(pr, count, payload);
    pr->sent_commit = r->log.committed;
    return true;
}

static void request_log_read(struct raft *r, struct raft_progress *pr)
{
    struct raft_log_read read = {.to = pr->id,
                                 .lo = pr->next,
                                 .hi = r->log.mem_first,
                                 .bytes_max = r->config.msg_bytes_max,
                                 .term = r->term};
    pr->is_reading = true;
    raft_outbox_push_log_read(&r->outbox, &read);
}

/*
 * The follower's log parts from ours somewhere at or before its hint.  An entry of ours in a term
 * above the hint's cannot be in its log (terms never fall), so the next probe goes to our last
 * entry whose term is not above it.  With the same rule on the follower's side a search costs at
 * most one round for each term.
 */
static void handle_rejection(struct raft *r, struct raft_progress *pr, const struct raft_message *m)
{
    raft_index hint = m->reject_hint;
    raft_term ignored;
    RAFT_TRACE(&r->tracer, RAFT_TRACE_REJECTION, r->config.id, m->reject_hint, m->log_term, m->from,
               m->index);
    if (m->log_term > 0) {
        hint = raft_log_find_by_term(&r->log, hint, m->log_term, &ignored);
    }
    if (!raft_progress_maybe_decrease(pr, m->index, hint)) {
        return;
    }
    RAFT_TRACE_ABOUT(&r->tracer, RAFT_TRACE_PROGRESS_DECREASED, pr, r->config.id, m->from);
    if (pr->state == RAFT_PROGRESS_REPLICATE) {
        raft_progress_become_probe(pr);
    }
    send_append(r, pr);
}

/* The member's log reaches where ours begins: it needs no snapshot any more.  At which index it was
 * restored does not matter. */
static bool has_recovered(const struct raft *r, const struct raft_progress *pr)
{
    return pr->match >= r->log.base.index;
}

static void advance_state(struct raft *r, struct raft_progress *pr, raft_index index)
{
    switch (pr->state) {
    case RAFT_PROGRESS_PROBE: raft_progress_become_replicate(pr); break;
    case RAFT_PROGRESS_SNAPSHOT:
        if (has_recovered(r, pr)) {
            RAFT_TRACE_ABOUT(&r->tracer, RAFT_TRACE_SNAPSHOT_RECOVERED, pr, r->config.id, pr->id);
            raft_progress_become_probe(pr);
            raft_progress_become_replicate(pr);
        }
        break;
    case RAFT_PROGRESS_REPLICATE: raft_inflights_free_to(&pr->inflights, index); break;
    }
}

static void handle_acceptance(struct raft *r, struct raft_progress *pr,
                              const struct raft_message *m)
{
    bool is_self = m->from == r->config.id;
    bool is_news = raft_progress_maybe_update(pr, m->index);
    if (!is_news && !(pr->match == m->index && pr->state == RAFT_PROGRESS_PROBE)) {
        return;
    }
    advance_state(r, pr, m->index);
    if (raft_maybe_commit(r)) {
        raft_release_early_reads(r);
        raft_broadcast_append(r);
    } else if (!is_self && raft_progress_can_bump_commit(pr, r->log.committed)) {
        send_append(r, pr); /* sooner than the next heartbeat */
    }
    /* The window has room now, perhaps for several messages. */
    while (!is_self && raft_maybe_send_append(r, pr, false)) {
    }
    if (m->from == r->transferee && pr->match == raft_log_last(&r->log)) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_TRANSFER_CAUGHT_UP, r->config.id, m->from);
        raft_send_timeout_now(r, m->from);
    }
}
