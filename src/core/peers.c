/* SPDX-License-Identifier: Apache-2.0
 *
 * core/peers: what the transport tells of the other members, and what it is asked for besides
 * messages: snapshots for members that the log cannot bring up to date, and old entries for those
 * that it can.
 *
 * A snapshot is the database as the newest view shows it once everything is in there that was
 * applied when it was asked for.  Its index, term, members and v2 JSON are read out of the same
 * view (on a work thread), so that they belong together whatever was applied meanwhile.
 */
#include "base/log.h"
#include "core/internal.h"

/* ---- activity ---- */

static size_t peer_at(const struct core *c, uint64_t id)
{
    size_t i = 0;
    while (i < c->peer_count && c->peers[i].id != id) {
        i++;
    }
    return i;
}

/* Peers answer: the first election need not wait for its whole time (peer-protocol 5.1). */
static void advance_ticks(struct core *c)
{
    bool is_early = c->now_ms < c->started_ms + CORE_ADVANCE_MS;
    if (c->has_advanced_ticks || !is_early || c->peer_count < 2 || c->leader != 0 ||
        !c->config.advance_ticks) {
        return;
    }
    c->has_advanced_ticks = true;
    for (uint32_t i = 0; i + 2 < c->config.election_ticks; i++) {
        struct raft_event ev = {.type = RAFT_EV_TICK};
        int err = raft_step(c->raft, &ev);
        ensure(err == 0);
    }
}

void core_peer_active(struct core *c, uint64_t id, bool is_active)
{
    size_t at = peer_at(c, id);
    if (!is_active && at < c->peer_count) {
        c->peers[at] = c->peers[--c->peer_count];
    } else if (is_active && at == c->peer_count && at < CORE_PEERS_MAX) {
        c->peers[c->peer_count++] = (struct core_peer){id, c->now_ms};
        advance_ticks(c);
    }
}

uint64_t core_peer_active_since_ms(const struct core *c, uint64_t id)
{
    size_t at = peer_at(c, id);
    return at < c->peer_count ? c->peers[at].active_since_ms : 0;
}

size_t core_connected_voters(const struct core *c, uint64_t since_ms)
{
    size_t n = 0;
    for (size_t i = 0; i < c->members->count; i++) {
        const struct member *m = &c->members->members[i];
        uint64_t active = core_peer_active_since_ms(c, m->id);
        bool is_self = m->id == c->config.member_id;
        n += !m->is_learner && (is_self || (active != 0 && active < since_ms));
    }
    return n;
}

uint64_t core_longest_connected(const struct core *c)
{
    uint64_t longest = 0, oldest = 0;
    for (size_t i = 0; i < c->members->count; i++) {
        const struct member *m = &c->members->members[i];
        uint64_t since = m->is_learner ? 0 : core_peer_active_since_ms(c, m->id);
        if (since != 0 && (oldest == 0 || since < oldest)) {
            oldest = since;
            longest = m->id;
        }
    }
    return longest;
}

/* ---- snapshots for peers ---- */

void core_send_free(struct core_send *s)
{
    if (s->view != NULL) {
        backend_view_unpin(s->view);
    }
    buf_deinit(&s->v2_json);
    mem_free(s);
}

static void status_to_raft(struct core *c, uint64_t to, bool has_failed)
{
    struct raft_event ev = {.type = RAFT_EV_SNAPSHOT_STATUS, .member = to, .failed = has_failed};
    int err = raft_step(c->raft, &ev);
    ensure(err == 0);
}

void core_send_begin(struct core *c, const struct raft_message *m)
{
    struct core_send *s = mem_zalloc(sizeof(*s));
    list_node_init(&s->node);
    s->to = m->to;
    s->term = m->term;
    s->wait_index = c->applied;
    list_push_back(&c->sends, &s->node);
}

static void send_refuse(struct core *c, struct core_send *s)
{
    list_remove(&s->node);
    status_to_raft(c, s->to, true);
    core_send_free(s);
}

/* May step raft: not while an update of it is out. */
void core_sends_run(struct core *c)
{
    LIST_FOREACH (&c->sends, n) {
        struct core_send *s = LIST_ENTRY(n, struct core_send, node);
        bool is_over =
            c->role != RAFT_LEADER || c->is_stopping || c->install_stage != CORE_INSTALL_NONE;
        if (is_over || c->sends_running >= CORE_SENDS_MAX) {
            send_refuse(c, s);
        } else if (backend_committed_index(c->backend) < s->wait_index) {
            c->wants_commit = true;
        } else {
            list_remove(n);
            c->sends_running++;
            struct core_job *job = core_job_push(c, CORE_JOB_SEND, NULL);
            s->view = backend_view_pin(c->backend);
            job->send = s;
        }
    }
}

void core_send_built(struct core *c, struct core_job *job)
{
    struct core_send *s = job->send;
    if (job->err != 0 || c->is_stopping || c->fatal != 0) {
        log_warn("failed to prepare a snapshot for a peer", LOG_HEX("to", s->to),
                 LOG_ERR(job->err));
        c->sends_running--;
        status_to_raft(c, s->to, true);
        core_send_free(s);
        return;
    }
    list_push_back(&c->sends_out, &s->node);
}

void core_send_status(struct core *c, uint64_t to, bool has_failed)
{
    if (c->sends_running > 0) {
        c->sends_running--;
    }
    if (!has_failed) {
        c->send_hold_ms = c->now_ms + CORE_SEND_HOLD_MS;
    }
    status_to_raft(c, to, has_failed);
}

/* Who was sent a snapshot must find the entries behind it. */
bool core_is_log_held(const struct core *c)
{
    return c->sends_running > 0 || !list_is_empty(&c->sends) || c->now_ms < c->send_hold_ms;
}

/* ---- old entries ---- */

void core_log_read(struct core *c, const struct raft_log_read *read)
{
    struct core_job *job = mem_zalloc(sizeof(*job));
    list_node_init(&job->node);
    job->kind = CORE_JOB_LOG_READ;
    job->read = *read;
    c->jobs_running++;
    list_push_back(&c->jobs, &job->node);
}

void core_log_read_done(struct core *c, struct core_job *job)
{
    if (job->err != 0) {
        /* Purged meanwhile, most likely; a snapshot goes instead. */
        log_warn("failed to read old entries from the WAL", LOG_HEX("to", job->read.to),
                 LOG_U64("index", job->read.lo), LOG_ERR(job->err));
    }
    struct raft_event ev = {.type = RAFT_EV_ENTRIES_READ,
                            .entries = job->entries,
                            .entry_count = job->entry_count,
                            .read = job->read};
    if (raft_step(c->raft, &ev) == ERR_CORRUPT) {
        core_fail(c, ERR_CORRUPT, "the WAL holds other entries than the log");
    }
    for (size_t i = 0; i < job->entry_count; i++) {
        rcbuf_unref(job->entries[i].owner);
    }
    mem_free(job->entries);
}
