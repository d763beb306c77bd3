/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/state.h"

#include "base/limits.h"

static int config_validate(const struct raft_config *c);
static int boot_validate(const struct raft_boot *boot);
static int step_message(struct raft *r, const struct raft_message *m);
static int message_validate(const struct raft *r, const struct raft_message *m);
static bool handle_higher_term(struct raft *r, const struct raft_message *m);
static void handle_lower_term(struct raft *r, const struct raft_message *m);
static void handle_appended(struct raft *r, const struct raft_append_ack *ack);
static void handle_applied(struct raft *r, raft_index index);
static void forget_leader(struct raft *r);
static void take_storage(struct raft *r, struct raft_update *out);

static struct raft_hard_state hard_state(const struct raft *r)
{
    return (struct raft_hard_state){r->term, r->vote, r->log.committed};
}

static bool hard_states_equal(const struct raft_hard_state *a, const struct raft_hard_state *b)
{
    return a->term == b->term && a->vote == b->vote && a->commit == b->commit;
}

static void init(struct raft *r, const struct raft_config *config, const struct raft_boot *boot)
{
    r->config = *config;
    struct raft_config *c = &r->config;
    c->applying_bytes_max = c->applying_bytes_max == 0 ? c->msg_bytes_max : c->applying_bytes_max;
    /* Room for at least one entry, which is handed out however large it is. */
    c->applying_bytes_max = c->applying_bytes_max == 0 ? 1 : c->applying_bytes_max;
    c->uncommitted_bytes_max =
        c->uncommitted_bytes_max == 0 ? UINT64_MAX : c->uncommitted_bytes_max;
    c->log_bytes_max = c->log_bytes_max == 0 ? LIMIT_RAFT_LOG_BYTES : c->log_bytes_max;
    r->tracer = (struct raft_tracer){c->trace, c->trace_arg, r};
    prng_init(&r->prng, c->seed);
    raft_log_init(&r->log, boot->base, c->log_bytes_max, c->applying_bytes_max);
    r->log.tracer = &r->tracer;
    r->log.outbox = &r->outbox;
    raft_tracker_init(&r->tracker, c->inflight_max, c->inflight_bytes_max);
    r->snapshot = boot->snapshot;
}

static void load_log(struct raft *r, const struct raft_boot *boot)
{
    struct raft_log *l = &r->log;
    if (boot->entry_count > 0) {
        raft_log_append(l, boot->entries, boot->entry_count);
        l->unstable_first = raft_log_last(l) + 1;
        l->unwritten_first = l->unstable_first;
    }
    r->term = boot->hard.term;
    r->vote = boot->hard.vote;
    /* The commit index is saved lazily: what is applied was committed. */
    raft_log_commit_to(l, boot->hard.commit);
    raft_log_commit_to(l, boot->applied);
    if (boot->applied > 0) {
        raft_log_applied_to(l, boot->applied);
    }
}

int raft_create(const struct raft_config *config, const struct raft_boot *boot,
                struct raft **out_raft)
{
    struct raft_members members;
    int rv = config_validate(config);
    if (rv == 0) {
        rv = boot_validate(boot);
    }
    if (rv != 0) {
        return rv;
    }
    struct raft *r = mem_zalloc(sizeof(*r));
    init(r, config, boot);
    raft_index last = boot->base.index + boot->entry_count;
    if (raft_members_restore(r, &boot->conf, last, &members) != RAFT_CHANGER_OK) {
        raft_destroy(r);
        return ERR_CORRUPT;
    }
    raft_switch_config(r, &members);
    load_log(r, boot);
    raft_become_follower(r, r->term, 0);
    r->taken_hard = hard_state(r);
    struct raft_entry_id end = raft_log_last_id(&r->log);
    RAFT_TRACE(&r->tracer, RAFT_TRACE_CREATED, config->id, r->term, r->log.committed,
               r->log.applied, end.index, end.term);
    *out_raft = r;
    return 0;
}

void raft_destroy(struct raft *r)
{
    if (r == NULL) {
        return;
    }
    raft_log_deinit(&r->log);
    raft_outbox_deinit(&r->outbox);
    raft_readonly_deinit(&r->reads);
    raft_tracker_deinit(&r->tracker);
    mem_free(r);
}

int raft_bootstrap(struct raft *r, const struct raft_entry *entries, size_t count)
{
    struct raft_conf_state conf;
    struct raft_conf_change_v2 cc;
    raft_outbox_recycle(&r->outbox);
    if (count == 0 || raft_log_last(&r->log) != 0) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        if (entries[i].type != RAFT_ENTRY_CONF_CHANGE ||
            raft_conf_change_decode(entries[i].type, entries[i].data, &cc) != 0) {
            return ERR_INVALID;
        }
    }
    r->taken_hard = (struct raft_hard_state){0};
    raft_become_follower(r, 1, 0);
    struct raft_entry *slots = raft_log_reserve(&r->log, count);
    for (size_t i = 0; i < count; i++) {
        slots[i] = entries[i];
        slots[i].term = 1;
        slots[i].index = i + 1;
        rcbuf_ref(slots[i].owner);
    }
    raft_log_publish(&r->log, count);
    raft_log_commit_to(&r->log, count);
    /* In force at once, so that a campaign is possible; applying the entries repeats it. */
    for (size_t i = 0; i < count; i++) {
        int rv = raft_conf_change_decode(entries[i].type, entries[i].data, &cc);
        ensure(rv == 0);
        rv = raft_apply_conf_change(r, &cc, &conf);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

int raft_step(struct raft *r, const struct raft_event *ev)
{
    struct raft_message m;
    raft_outbox_recycle(&r->outbox);
    switch (ev->type) {
    case RAFT_EV_TICK: raft_tick(r); return 0;
    case RAFT_EV_MESSAGE: return step_message(r, ev->message);
    case RAFT_EV_PROPOSE:
        m = (struct raft_message){.type = RAFT_MSG_PROP,
                                  .from = r->config.id,
                                  .entries = ev->entries,
                                  .entry_count = ev->entry_count};
        ensure(m.entry_count > 0);
        return raft_on_propose(r, &m);
    case RAFT_EV_CAMPAIGN:
        raft_campaign_maybe(r, r->config.pre_vote ? RAFT_CAMPAIGN_PRE_ELECTION
                                                  : RAFT_CAMPAIGN_ELECTION);
        return 0;
    case RAFT_EV_READ_INDEX:
        m = (struct raft_message){.type = RAFT_MSG_READ_INDEX, .context = ev->context};
        return raft_on_read_index(r, &m);
    case RAFT_EV_APPENDED: handle_appended(r, &ev->ack); return 0;
    case RAFT_EV_APPLIED: handle_applied(r, ev->index); return 0;
    case RAFT_EV_ENTRIES_READ: return raft_on_entries_read(r, ev);
    case RAFT_EV_UNREACHABLE: raft_on_unreachable(r, ev->member); return 0;
    case RAFT_EV_SNAPSHOT_STATUS: raft_on_snapshot_status(r, ev->member, ev->failed); return 0;
    case RAFT_EV_TRANSFER_LEADER:
        m = (struct raft_message){.type = RAFT_MSG_TRANSFER_LEADER, .from = ev->member};
        return raft_on_transfer_leader(r, &m);
    case RAFT_EV_FORGET_LEADER: forget_leader(r); return 0;
    }
    return ERR_INVALID;
}

enum raft_drop_reason raft_drop_reason(const struct raft *r)
{
    return r->drop_reason;
}

int raft_drop(struct raft *r, enum raft_drop_reason reason)
{
    r->drop_reason = reason;
    return ERR_DROPPED;
}

bool raft_has_update(const struct raft *r)
{
    struct raft_hard_state hard = hard_state(r);
    return r->role != r->taken_role || r->leader != r->taken_leader ||
           !hard_states_equal(&hard, &r->taken_hard) ||
           (r->log.has_snapshot && !r->log.snapshot_is_written) ||
           !raft_outbox_is_empty(&r->outbox) || r->log.unwritten_first <= raft_log_last(&r->log) ||
           raft_log_has_next_committed(&r->log, r->config.apply_unstable);
}

void raft_take(struct raft *r, struct raft_update *out)
{
    raft_outbox_recycle(&r->outbox);
    *out = (struct raft_update){.role = r->role, .leader = r->leader};
    out->soft_changed = r->role != r->taken_role || r->leader != r->taken_leader;
    r->taken_role = r->role;
    r->taken_leader = r->leader;
    out->committed =
        raft_log_next_committed(&r->log, r->config.apply_unstable, &out->committed_count);
    raft_outbox_resolve(&r->outbox, out);
    take_storage(r, out);
    if (out->committed_count > 0) {
        raft_log_accept_applying(&r->log, r->log.applying + out->committed_count,
                                 r->config.apply_unstable);
    }
}

void raft_set_snapshot(struct raft *r, const struct raft_snapshot *snapshot)
{
    raft_outbox_recycle(&r->outbox);
    r->snapshot = *snapshot;
}

void raft_log_compact(struct raft *r, raft_index index)
{
    raft_outbox_recycle(&r->outbox);
    raft_log_forget_to(&r->log, index);
}

void raft_send(struct raft *r, const struct raft_message *message)
{
    struct raft_message m = *message;
    bool is_vote = m.type == RAFT_MSG_VOTE || m.type == RAFT_MSG_VOTE_RESP ||
                   m.type == RAFT_MSG_PRE_VOTE || m.type == RAFT_MSG_PRE_VOTE_RESP;
    m.from = m.from == 0 ? r->config.id : m.from;
    /* Only votes speak of another term than ours; proposals and reads of none. */
    ensure(is_vote ? m.term != 0 : m.term == 0);
    if (!is_vote && m.type != RAFT_MSG_PROP && m.type != RAFT_MSG_READ_INDEX) {
        m.term = r->term;
    }
    /* These promise something that must be durable first: log entries, a vote, a term. */
    if (m.type == RAFT_MSG_APP_RESP || m.type == RAFT_MSG_VOTE_RESP ||
        m.type == RAFT_MSG_PRE_VOTE_RESP) {
        raft_outbox_push_synced(&r->outbox, &m);
        return;
    }
    ensure(m.to != r->config.id);
    raft_outbox_push(&r->outbox, &m);
}

static int config_validate(const struct raft_config *c)
{
    bool ok = c->id != 0 && c->heartbeat_ticks > 0 && c->election_ticks > c->heartbeat_ticks &&
              c->inflight_max > 0 &&
              (c->inflight_bytes_max == 0 || c->inflight_bytes_max >= c->msg_bytes_max) &&
              (c->read_mode != RAFT_READ_LEASE_BASED || c->check_quorum);
    return ok ? 0 : ERR_INVALID;
}

static int boot_validate(const struct raft_boot *boot)
{
    struct raft_entry_id before = boot->base;
    for (size_t i = 0; i < boot->entry_count; i++) {
        const struct raft_entry *e = &boot->entries[i];
        if (e->index != before.index + 1 || e->term < before.term || e->term > boot->hard.term) {
            return ERR_CORRUPT;
        }
        before = (struct raft_entry_id){e->term, e->index};
    }
    if (boot->hard.commit > before.index || boot->applied > before.index) {
        return ERR_CORRUPT;
    }
    if (!raft_hard_state_is_empty(&boot->hard) && boot->hard.commit < boot->base.index &&
        boot->applied < boot->base.index) {
        return ERR_CORRUPT;
    }
    return boot->applied != 0 && boot->applied < boot->base.index ? ERR_CORRUPT : 0;
}

static int (*const message_handlers[RAFT_MSG_TYPE_END])(struct raft *,
                                                        const struct raft_message *) = {
    [RAFT_MSG_PROP] = raft_on_propose,
    [RAFT_MSG_APP] = raft_on_append,
    [RAFT_MSG_APP_RESP] = raft_on_append_resp,
    [RAFT_MSG_VOTE] = raft_on_vote,
    [RAFT_MSG_VOTE_RESP] = raft_on_vote_resp,
    [RAFT_MSG_SNAP] = raft_on_snapshot,
    [RAFT_MSG_HEARTBEAT] = raft_on_heartbeat,
    [RAFT_MSG_HEARTBEAT_RESP] = raft_on_heartbeat_resp,
    [RAFT_MSG_TRANSFER_LEADER] = raft_on_transfer_leader,
    [RAFT_MSG_TIMEOUT_NOW] = raft_on_timeout_now,
    [RAFT_MSG_READ_INDEX] = raft_on_read_index,
    [RAFT_MSG_READ_INDEX_RESP] = raft_on_read_index_resp,
    [RAFT_MSG_PRE_VOTE] = raft_on_vote,
    [RAFT_MSG_PRE_VOTE_RESP] = raft_on_vote_resp,
};

static bool is_response(enum raft_message_type type)
{
    return type == RAFT_MSG_APP_RESP || type == RAFT_MSG_VOTE_RESP ||
           type == RAFT_MSG_HEARTBEAT_RESP || type == RAFT_MSG_READ_INDEX_RESP ||
           type == RAFT_MSG_PRE_VOTE_RESP;
}

static int step_message(struct raft *r, const struct raft_message *m)
{
    int rv = message_validate(r, m);
    if (rv != 0) {
        return rv;
    }
    if (is_response(m->type) && m->from != r->config.id &&
        raft_members_get(&r->tracker.members, m->from) == NULL) {
        return ERR_NOT_FOUND;
    }
    if (m->term > r->term && !handle_higher_term(r, m)) {
        return 0;
    }
    if (m->term != 0 && m->term < r->term) {
        handle_lower_term(r, m);
        return 0;
    }
    return message_handlers[m->type](r, m);
}

/* Entries follow the one before them without a gap, and terms do not fall (I: a correct log). */
static bool entries_are_valid(const struct raft_message *m)
{
    struct raft_entry_id before = {m->log_term, m->index};
    for (size_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry *e = &m->entries[i];
        if (e->index != before.index + 1 || e->term < before.term) {
            return false;
        }
        before = (struct raft_entry_id){e->term, e->index};
    }
    return before.term <= m->term;
}

/* Our own acknowledgements, and what another member relays to us in its leader's name. */
static bool may_come_from_self(enum raft_message_type type)
{
    return type == RAFT_MSG_APP_RESP || type == RAFT_MSG_VOTE_RESP ||
           type == RAFT_MSG_PRE_VOTE_RESP || type == RAFT_MSG_PROP || type == RAFT_MSG_READ_INDEX ||
           type == RAFT_MSG_TRANSFER_LEADER;
}

static int message_validate(const struct raft *r, const struct raft_message *m)
{
    if (m->type >= RAFT_MSG_TYPE_END || message_handlers[m->type] == NULL || m->from == 0 ||
        m->context.len > RAFT_CONTEXT_BYTES_MAX) {
        return ERR_MALFORMED;
    }
    if (m->from == r->config.id && !may_come_from_self(m->type)) {
        return ERR_MALFORMED;
    }
    switch (m->type) {
    case RAFT_MSG_PROP: return m->entry_count > 0 ? 0 : ERR_MALFORMED;
    case RAFT_MSG_READ_INDEX:
    case RAFT_MSG_TRANSFER_LEADER: return 0; /* may be without a term */
    case RAFT_MSG_APP: return m->term != 0 && entries_are_valid(m) ? 0 : ERR_MALFORMED;
    case RAFT_MSG_SNAP:
        return m->term != 0 && m->snapshot != NULL && m->snapshot->meta.index != 0 &&
                       m->snapshot->meta.term <= m->term
                   ? 0
                   : ERR_MALFORMED;
    case RAFT_MSG_HEARTBEAT:
        /* We acknowledged entries that we do not have any more. */
        if (m->term >= r->term && m->commit > raft_log_last(&r->log)) {
            return ERR_CORRUPT;
        }
        return m->term != 0 ? 0 : ERR_MALFORMED;
    case RAFT_MSG_APP_RESP:
    case RAFT_MSG_VOTE:
    case RAFT_MSG_VOTE_RESP:
    case RAFT_MSG_HEARTBEAT_RESP:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_READ_INDEX_RESP:
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_PRE_VOTE_RESP:
    case RAFT_MSG_TYPE_END: return m->term != 0 ? 0 : ERR_MALFORMED;
    }
    return ERR_MALFORMED;
}

/* Somebody heard a leader within an election timeout: votes cannot be wanted from us, unless the
 * leader itself hands over. */
static bool is_in_lease(const struct raft *r, const struct raft_message *m)
{
    return r->config.check_quorum && r->leader != 0 &&
           r->election_elapsed < r->config.election_ticks && !raft_message_is_transfer_vote(m);
}

/* False when the message ends here. */
static bool handle_higher_term(struct raft *r, const struct raft_message *m)
{
    bool is_vote = m->type == RAFT_MSG_VOTE || m->type == RAFT_MSG_PRE_VOTE;
    if (is_vote && is_in_lease(r, m)) {
        struct raft_entry_id last = raft_log_last_id(&r->log);
        RAFT_TRACE(&r->tracer, RAFT_TRACE_VOTE_LEASE, r->config.id, last.term, last.index, r->vote,
                   m->type, m->from, m->log_term, m->index, r->term,
                   r->config.election_ticks - r->election_elapsed);
        return false;
    }
    /* A pre-vote asks about a term that nobody has entered yet, and so does its grant. */
    if (m->type == RAFT_MSG_PRE_VOTE || (m->type == RAFT_MSG_PRE_VOTE_RESP && !m->reject)) {
        return true;
    }
    bool from_leader =
        m->type == RAFT_MSG_APP || m->type == RAFT_MSG_HEARTBEAT || m->type == RAFT_MSG_SNAP;
    RAFT_TRACE(&r->tracer, RAFT_TRACE_HIGHER_TERM, r->config.id, r->term, m->type, m->from,
               m->term);
    raft_become_follower(r, m->term, from_leader ? m->from : 0);
    return true;
}

static void handle_lower_term(struct raft *r, const struct raft_message *m)
{
    bool from_leader = m->type == RAFT_MSG_HEARTBEAT || m->type == RAFT_MSG_APP;
    if ((r->config.check_quorum || r->config.pre_vote) && from_leader) {
        /*
         * With these options a higher term does not spread by vote requests, so a member that was
         * cut off at a higher term could neither win nor rejoin: tell the leader our term, which
         * makes it step down.
         */
        raft_send(r, &(struct raft_message){.type = RAFT_MSG_APP_RESP, .to = m->from});
    } else if (m->type == RAFT_MSG_PRE_VOTE) {
        /* Silence could dead-lock a cluster that is switching pre-vote on. */
        struct raft_entry_id last = raft_log_last_id(&r->log);
        RAFT_TRACE(&r->tracer, RAFT_TRACE_VOTE_REJECTED, r->config.id, last.term, last.index,
                   r->vote, m->type, m->from, m->log_term, m->index, r->term);
        raft_send(
            r, &(struct raft_message){
                   .type = RAFT_MSG_PRE_VOTE_RESP, .to = m->from, .term = r->term, .reject = true});
    } else {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_LOWER_TERM, r->config.id, r->term, m->type, m->from,
                   m->term);
    }
}

/*
 * The write of an earlier update is durable.  In an older term its entries prove nothing: a later
 * write may be about to overwrite them (append, overwrite, append again: ABA).  Each change of term
 * causes a write of its own, whose acknowledgement covers all that is then in the log.
 */
static void handle_appended(struct raft *r, const struct raft_append_ack *ack)
{
    ensure(ack->term <= r->term);
    if (ack->last.index != 0) {
        if (ack->term == r->term) {
            raft_log_stable_to(&r->log, ack->last);
        } else {
            RAFT_TRACE(&r->tracer, RAFT_TRACE_STALE_APPEND, r->config.id, r->term, ack->term);
        }
    }
    if (ack->snapshot_index != 0) {
        /* A snapshot holds committed state: its term does not matter. */
        raft_log_snapshot_installed(&r->log, ack->snapshot_index);
        handle_applied(r, ack->snapshot_index);
    }
}

static void handle_applied(struct raft *r, raft_index index)
{
    index = index > r->log.applied ? index : r->log.applied;
    uint64_t payload = raft_log_applied_to(&r->log, index);
    raft_maybe_auto_leave(r);
    r->uncommitted_bytes -= payload < r->uncommitted_bytes ? payload : r->uncommitted_bytes;
}

static void forget_leader(struct raft *r)
{
    if (r->role != RAFT_FOLLOWER) {
        return;
    }
    if (r->config.read_mode == RAFT_READ_LEASE_BASED) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_FORGET_LEASE, 0);
        return;
    }
    if (r->leader != 0) {
        RAFT_TRACE(&r->tracer, RAFT_TRACE_FORGET, r->config.id, r->leader, r->term);
        r->leader = 0;
    }
}

/* What is to be written, and what the write will be acknowledged with. */
static void take_storage(struct raft *r, struct raft_update *out)
{
    struct raft_log *l = &r->log;
    struct raft_hard_state hard = hard_state(r);
    raft_index last = raft_log_last(l);
    out->hard_changed = !hard_states_equal(&hard, &r->taken_hard);
    out->hard = hard;
    if (l->unwritten_first <= last) {
        out->entries = raft_log_at(l, l->unwritten_first);
        out->entry_count = (size_t)(last + 1 - l->unwritten_first);
    }
    if (l->has_snapshot && !l->snapshot_is_written) {
        out->snapshot = &l->snapshot;
    }
    out->must_sync = out->entry_count > 0 || out->snapshot != NULL ||
                     hard.term != r->taken_hard.term || hard.vote != r->taken_hard.vote;
    out->has_append = out->entry_count > 0 || out->hard_changed || out->snapshot != NULL ||
                      out->messages_synced_count > 0;
    out->ack.term = r->term;
    /* Also without new entries: the acknowledgement of their write may have been void (see
     * handle_appended), then this one stands for them. */
    if (raft_log_has_unstable(l)) {
        out->ack.last = raft_log_last_id(l);
    }
    out->ack.snapshot_index = out->snapshot != NULL ? out->snapshot->meta.index : 0;
    out->needs_ack = (out->has_append || r->config.apply_unstable) &&
                     (out->ack.last.index != 0 || out->ack.snapshot_index != 0);
    r->taken_hard = hard;
    raft_log_accept_unstable(l);
}
