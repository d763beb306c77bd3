/* SPDX-License-Identifier: Apache-2.0 */
#include "core/core.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "core/internal.h"

enum { RAFT_MESSAGE_BYTES = 1 << 20, RAFT_INFLIGHT = 512 };

void core_request_init(struct core_request *r, enum core_kind kind)
{
    *r = (struct core_request){.kind = kind};
    list_node_init(&r->node);
}

void core_fail(struct core *c, int err, const char *what)
{
    if (c->fatal == 0) {
        c->fatal = err;
        (void)snprintf(c->fatal_text, sizeof(c->fatal_text), "%s: %s", what, err_text(err));
    }
}

/* The request goes back to its owner with the next take. */
void core_reply(struct core *c, struct core_request *r, int err)
{
    list_remove(&r->node);
    r->err = err;
    r->stage = CORE_STAGE_NONE;
    c->request_count--;
    c->request_bytes -= r->held_bytes;
    if (r->values != NULL) {
        mvcc_values_destroy(r->values);
        r->values = NULL;
    }
    core_entry_drop(r);
    list_push_back(&c->replies, &r->node);
}

uint64_t core_request_timeout_ms(const struct core *c)
{
    return CORE_REQUEST_TIMEOUT_MS +
           2 * (uint64_t)c->config.election_ticks * c->config.heartbeat_ms;
}

static void lists_init(struct core *c)
{
    struct list *lists[] = {&c->proposing,   &c->pending,       &c->conf_pending, &c->catching,
                            &c->reads_round, &c->reads_applied, &c->reads_build,  &c->tasks,
                            &c->physical,    &c->transfers,     &c->appends,      &c->appends_free,
                            &c->jobs,        &c->replies,       &c->sends,        &c->sends_out,
                            &c->received,    &c->renewing};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        list_init(lists[i]);
    }
    map_init(&c->by_id);
}

static void config_take(struct core *c, const struct core_config *config)
{
    c->config = *config;
    c->name = mem_strdup(config->name);
    c->client_urls = mem_alloc_array(config->client_url_count, sizeof(*c->client_urls));
    for (size_t i = 0; i < config->client_url_count; i++) {
        c->client_urls[i] = mem_strdup(config->client_urls[i]);
    }
    /* peer-protocol 4.1 */
    c->next_id = (config->member_id & 0xffff) << 48 |
                 (config->request_id_seed_ms & ((UINT64_C(1) << 40) - 1)) << 8;
}

static int make_raft(struct core *c, const struct raft_boot *boot)
{
    struct raft_config rc = {
        .id = c->config.member_id,
        .election_ticks = c->config.election_ticks,
        .heartbeat_ticks = 1,
        .seed = c->config.raft_seed,
        .msg_bytes_max = RAFT_MESSAGE_BYTES,
        .inflight_max = RAFT_INFLIGHT,
        .log_bytes_max = c->config.log_bytes_max,
        .check_quorum = true,
        .pre_vote = c->config.pre_vote,
        .applying_bytes_max = UINT64_C(64) << 20,
    };
    return raft_create(&rc, boot, &c->raft);
}

void core_apply_make(struct core *c, const struct schema_boot *s)
{
    struct apply_options ao = {
        .backend = c->backend,
        .store = c->store,
        .lessor = c->lessor,
        .auth = c->auth,
        .members = c->members,
        .member_id = c->config.member_id,
        .level = c->config.level,
        .has_persisted_checkpoints = c->config.has_persisted_checkpoints,
        .quota_bytes = c->config.quota_bytes,
    };
    c->apply = apply_create(&ao);
    for (size_t i = 0; i < s->alarm_count; i++) {
        apply_alarm_load(c->apply, s->alarms[i]);
    }
    apply_versions_load(c->apply, s->cluster_version, s->storage_version);
    if (s->has_downgrade) {
        apply_downgrade_load(c->apply, &s->downgrade);
    }
    auth_store_begin(c->auth);
}

int core_create(const struct core_config *config, const struct core_boot *boot, struct core **out)
{
    struct core *c = mem_zalloc(sizeof(*c));
    config_take(c, config);
    lists_init(c);
    c->backend = boot->backend;
    c->store = boot->store;
    c->lessor = boot->lessor;
    c->auth = boot->auth;
    c->members = boot->members;
    c->values = mvcc_values_create(c->store);
    c->conf = boot->raft->conf;
    c->snapshot_index = boot->snapshot_index;
    int err = make_raft(c, boot->raft);
    if (err != 0) {
        mvcc_values_destroy(c->values);
        for (size_t i = 0; i < config->client_url_count; i++) {
            mem_free(c->client_urls[i]);
        }
        mem_free(c->client_urls);
        mem_free(c->name);
        mem_free(c);
        return err;
    }
    core_apply_make(c, boot->schema);
    struct raft_status st;
    raft_status(c->raft, &st);
    c->applied = c->acked = st.applied;
    c->applied_term = boot->schema->term;
    c->committed = st.hard.commit;
    c->durable = st.last_index;
    /* It was told before, and started again. */
    c->removed_ms = membership_is_removed(c->members, config->member_id) ? 1 : 0;
    *out = c;
    return 0;
}

static void free_sends(struct list *l)
{
    LIST_FOREACH (l, n) {
        list_remove(n);
        core_send_free(LIST_ENTRY(n, struct core_send, node));
    }
}

static void free_appends(struct list *l)
{
    LIST_FOREACH (l, n) {
        list_remove(n);
        core_append_free(LIST_ENTRY(n, struct core_append, node));
    }
}

void core_destroy(struct core *c)
{
    free_appends(&c->appends);
    free_appends(&c->appends_free);
    core_queue_free(c);
    free_sends(&c->sends);
    free_sends(&c->sends_out);
    core_received_clear(c);
    if (c->install != NULL) {
        core_install_free(c->install);
    }
    if (c->save != NULL) {
        core_save_free(c->save);
    }
    if (c->compact_hash != NULL) {
        mvcc_hash_end(c->compact_hash, false);
    }
    mvcc_values_destroy(c->values);
    apply_destroy(c->apply);
    raft_destroy(c->raft);
    map_deinit(&c->by_id);
    rcbuf_unref(c->slab);
    mem_free(c->synced);
    for (size_t i = 0; i < c->config.client_url_count; i++) {
        mem_free(c->client_urls[i]);
    }
    mem_free(c->client_urls);
    mem_free(c->name);
    mem_free(c);
}

static void raft_event(struct core *c, enum raft_event_type type)
{
    struct raft_event ev = {.type = type};
    int err = raft_step(c->raft, &ev);
    ensure(err == 0 || err == ERR_DROPPED);
}

int core_bootstrap(struct core *c, const struct raft_entry *entries, size_t count)
{
    return raft_bootstrap(c->raft, entries, count);
}

static void on_tick(struct core *c)
{
    raft_event(c, RAFT_EV_TICK);
    core_expire(c);
    core_cluster_tick(c);
    core_leases_tick(c);
    core_reads_tick(c);
    core_transfers_check(c, true);
    core_hang_check(c);
}

static void on_request(struct core *c, struct core_request *r)
{
    c->request_count++;
    r->held_bytes = r->kind == CORE_PROPOSE && !r->is_internal ? r->body.len : 0;
    c->request_bytes += r->held_bytes;
    r->deadline_ms = c->now_ms + core_request_timeout_ms(c);
    if (c->is_stopping || c->fatal != 0) {
        core_reply(c, r, ERR_RPC_STOPPED);
        return;
    }
    if (c->request_count > LIMIT_PENDING_REQUESTS || c->request_bytes > LIMIT_PENDING_BYTES) {
        core_reply(c, r, ERR_RPC_TOO_MANY_REQUESTS);
        return;
    }
    switch (r->kind) {
    case CORE_PROPOSE: core_propose(c, r); break;
    case CORE_RANGE:
    case CORE_TXN_READ:
    case CORE_BARRIER: core_read(c, r); break;
    case CORE_HASH:
    case CORE_HASH_KV:
    case CORE_VIEW:
    case CORE_DEFRAG: core_task_start(c, r); break;
    case CORE_CATCH_UP: core_catch_up(c, r); break;
    case CORE_CONF_CHANGE: core_conf_request(c, r); break;
    case CORE_TRANSFER_LEADER: core_transfer(c, r); break;
    case CORE_RAISE_LEVEL: core_raise_level(c, r); break;
    case CORE_LEASE_RENEW: core_lease_renew(c, r); break;
    }
}

static void on_job_done(struct core *c, struct core_job *job)
{
    c->jobs_running--;
    if (job->kind == CORE_JOB_SEND) {
        core_send_built(c, job);
    } else if (job->kind == CORE_JOB_LOG_READ) {
        core_log_read_done(c, job);
    } else if (job->kind != CORE_JOB_FETCH) {
        core_task_job_done(c, job);
    } else if (job->request != NULL) {
        core_read_fetched(c, job);
    } else {
        c->is_fetching = false;
        mvcc_fetch_finish(job->fetch, job->err == 0 ? c->values : NULL);
        if (job->err != 0) {
            core_fail(c, job->err, "reading a value that a committed entry needs");
        }
    }
    if (job->view != NULL) {
        backend_view_unpin(job->view);
    }
    mem_free(job);
}

static void reply_all(struct core *c, struct list *l, int err)
{
    LIST_FOREACH (l, n) {
        struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        if (r->has_job) {
            r->is_canceled = true;
        } else {
            core_answer_waiting(c, r, err);
        }
    }
}

static void stop_now(struct core *c)
{
    c->is_stopping = true;
    c->wants_commit = true;
    reply_all(c, &c->proposing, ERR_RPC_STOPPED);
    reply_all(c, &c->pending, ERR_RPC_STOPPED);
    reply_all(c, &c->conf_pending, ERR_RPC_STOPPED);
    reply_all(c, &c->transfers, ERR_RPC_STOPPED);
    reply_all(c, &c->renewing, ERR_RPC_STOPPED);
    core_reads_stop(c);
    core_tasks_stop(c);
    reply_all(c, &c->physical, ERR_RPC_STOPPED);
}

static void on_stop(struct core *c)
{
    if (!c->is_stopping && c->hand_over_ms == 0 && !core_hand_over_begin(c)) {
        stop_now(c);
    }
}

static int on_message(struct core *c, const struct raft_message *m)
{
    struct raft_event ev = {.type = RAFT_EV_MESSAGE, .message = m};
    if (m->type == RAFT_MSG_SNAP) {
        return ERR_MALFORMED; /* comes with its database only */
    }
    int err = raft_step(c->raft, &ev);
    if (err == ERR_CORRUPT) {
        core_fail(c, err, "the own log contradicts what the cluster committed");
    } else if (err == ERR_DROPPED && m->type == RAFT_MSG_PROP && core_propose_forwarded(c, m)) {
        err = 0;
    }
    return err;
}

/* Others may have room. */
static void on_no_space(struct core *c, bool is_short)
{
    if (is_short && !c->is_short_of_space) {
        core_hand_over_for(c, "the disk of this leader is full");
    }
    c->is_short_of_space = is_short;
}

static void on_unreachable(struct core *c, uint64_t peer)
{
    struct raft_event ev = {.type = RAFT_EV_UNREACHABLE, .member = peer};
    int err = raft_step(c->raft, &ev);
    ensure(err == 0);
}

/* What the last take has handed out is dead. */
static void begin_step(struct core *c, uint64_t now_ms)
{
    ensure(now_ms >= c->now_ms);
    c->now_ms = now_ms;
    c->messages = NULL;
    c->message_count = 0;
    if (c->synced_taken) {
        c->synced_taken = false;
        c->synced_count = 0;
    }
    if (c->started_ms == 0) {
        c->started_ms = now_ms;
    }
}

int core_step(struct core *c, const struct core_event *ev)
{
    int err = 0;
    begin_step(c, ev->now_ms);
    switch (ev->type) {
    case CORE_EV_TICK: on_tick(c); break;
    case CORE_EV_WAKE: break;
    case CORE_EV_REQUEST: on_request(c, ev->request); break;
    case CORE_EV_CANCEL: core_cancel(c, ev->request); break;
    case CORE_EV_APPENDED: core_appended(c, ev->append, ev->err); break;
    case CORE_EV_COMMITTED: core_batch_done(c, ev->batch, ev->err); break;
    case CORE_EV_SAVED: core_saved(c, ev->save, ev->err); break;
    case CORE_EV_JOB_DONE: on_job_done(c, ev->job); break;
    case CORE_EV_MESSAGE: err = on_message(c, ev->message); break;
    case CORE_EV_SNAPSHOT: err = core_snapshot_received(c, ev->message, ev->v2_json); break;
    case CORE_EV_INSTALLED: core_installed(c, ev->installed, ev->err); break;
    case CORE_EV_UNREACHABLE: on_unreachable(c, ev->peer); break;
    case CORE_EV_SNAPSHOT_STATUS: core_send_status(c, ev->peer, ev->has_failed); break;
    case CORE_EV_PEER_ACTIVE: core_peer_active(c, ev->peer, ev->is_active); break;
    case CORE_EV_VERSIONS: core_versions(c, ev->versions, ev->version_count); break;
    case CORE_EV_NO_SPACE: on_no_space(c, ev->is_short); break;
    case CORE_EV_STOP: on_stop(c); break;
    }
    return err;
}

/* Everything that raft wants done, into the core's own lists.  The messages are raft's: they go out
 * with this take, and raft is not called again before the next one. */
static bool take_raft(struct core *c)
{
    if (!raft_has_update(c->raft)) {
        return false;
    }
    struct raft_update u;
    raft_take(c->raft, &u);
    core_queue_push(c, u.committed, u.committed_count);
    if (u.has_append) {
        core_append_push(c, &u);
    }
    core_received_clear(c);
    core_reads_answered(c, u.reads, u.read_count);
    c->messages = u.messages;
    c->message_count = u.message_count;
    for (size_t i = 0; i < u.message_count; i++) {
        if (u.messages[i].type == RAFT_MSG_SNAP) {
            core_send_begin(c, &u.messages[i]);
        }
    }
    for (size_t i = 0; i < u.log_read_count; i++) {
        core_log_read(c, &u.log_reads[i]);
    }
    if (u.soft_changed) {
        core_soft_state(c, u.leader, u.role);
    }
    return true;
}

static void list_move(struct list *from, struct list *to)
{
    list_init(to);
    LIST_FOREACH (from, n) {
        list_remove(n);
        list_push_back(to, n);
    }
}

/* What is due already waits for an event (a sync, a commit), not for time. */
static uint64_t wake_ms(const struct core *c)
{
    uint64_t wake = core_tasks_wake_ms(c);
    uint64_t due = backend_is_busy(c->backend) ? UINT64_MAX : backend_due_ms(c->backend);
    if (due > c->now_ms && due < wake) {
        wake = due;
    }
    if (c->removed_ms > c->now_ms && c->removed_ms < wake) {
        wake = c->removed_ms;
    }
    return c->fatal == 0 && wake > c->now_ms ? wake : UINT64_MAX;
}

/* Nobody else can vote: do not wait for the election time-out. */
static void campaign_maybe(struct core *c)
{
    if (!c->has_campaigned && c->leader == 0 && c->conf.voters.count == 1 &&
        c->conf.voters.ids[0] == c->config.member_id && core_queue_len(c) == 0) {
        c->has_campaigned = true;
        raft_event(c, RAFT_EV_CAMPAIGN);
    }
}

static bool has_raft_work(const struct core *c)
{
    return raft_has_update(c->raft) || c->is_round_open ||
           (c->leader != 0 && !list_is_empty(&c->proposing) && !c->is_held);
}

/* To and from raft, and applying, until there is nothing more or messages are to leave first: they
 * die with the next call of raft.  True when committed entries are left. */
static bool run_raft(struct core *c)
{
    for (;;) {
        core_leases_withdraw(c);
        core_propose_flush(c);
        core_reads_ask(c);
        while (c->message_count == 0 && take_raft(c)) {
        }
        if (c->message_count > 0) {
            return core_queue_len(c) > 0;
        }
        bool is_apply_left = core_apply_some(c);
        campaign_maybe(c);
        if (is_apply_left || c->fatal != 0 || !has_raft_work(c)) {
            return is_apply_left;
        }
    }
}

static void run(struct core *c, struct core_update *out)
{
    bool is_apply_left = run_raft(c);
    if (c->message_count == 0) {
        core_sends_run(c);
    }
    core_reads_serve(c);
    core_leases_run(c);
    core_tasks_run(c);
    core_snapshot_maybe(c);
    core_batch_maybe(c);
    if (c->hand_over_ms != 0 && !core_is_handing_over(c)) {
        stop_now(c);
    }
    out->has_more = is_apply_left || has_raft_work(c) || !list_is_empty(&c->reads_build) ||
                    c->has_more || (c->message_count > 0 && !list_is_empty(&c->sends));
}

static bool is_stopped(const struct core *c)
{
    bool is_waited_for = c->appends_running > 0 || c->jobs_running > 0 ||
                         c->batch_running != NULL || c->save_stage == CORE_SAVE_RUNS ||
                         c->install_stage == CORE_INSTALL_RUNS;
    bool is_in_file = c->install_stage == CORE_INSTALL_NONE && !backend_is_dirty(c->backend);
    return c->is_stopping && !is_waited_for && (c->fatal != 0 || is_in_file);
}

static void take_news(struct core *c, struct core_update *out)
{
    out->became_ready = c->is_ready && !c->ready_told;
    c->ready_told = c->is_ready;
    out->members_changed = c->members_changed;
    out->level_changed = c->level_changed;
    out->epoch_changed = c->epoch_changed;
    out->wants_versions = c->wants_versions;
    out->is_removed = c->removed_ms != 0 && c->now_ms >= c->removed_ms && !c->removed_told;
    c->removed_told = c->removed_told || out->is_removed;
    c->members_changed = c->level_changed = c->epoch_changed = c->wants_versions = false;
}

void core_take(struct core *c, struct core_update *out)
{
    *out = (struct core_update){0};
    begin_step(c, c->now_ms);
    if (c->fatal == 0) {
        run(c, out);
    }
    if (c->fatal == 0) {
        out->install = core_install_take(c);
    } else {
        out->has_more = false;
    }
    if (c->fatal != 0 && c->hand_over_ms != 0) {
        c->hand_over_ms = 0;
        stop_now(c);
    }
    out->wake_ms = wake_ms(c);
    out->batch = c->batch;
    c->batch = NULL;
    list_move(&c->replies, &out->replies);
    list_move(&c->appends, &out->appends);
    list_move(&c->jobs, &out->jobs);
    list_move(&c->sends_out, &out->sends);
    if (c->save_stage == CORE_SAVE_RUNS && c->save != NULL) {
        out->save = c->save;
        c->save = NULL;
    }
    out->messages = c->messages;
    out->message_count = c->message_count;
    out->synced = c->synced;
    out->synced_count = c->synced_count;
    c->synced_taken = true;
    take_news(c, out);
    out->is_stopped = is_stopped(c);
    out->fatal = c->fatal;
    memcpy(out->fatal_text, c->fatal_text, sizeof(out->fatal_text));
}

void core_status(const struct core *c, struct core_status *out)
{
    *out = (struct core_status){
        .committed = c->committed,
        .applied = c->applied,
        .leader = c->leader,
        .rev = mvcc_rev(c->store),
        .compact_rev = mvcc_compact_rev(c->store),
        .db_size = backend_size_bytes(c->backend),
        .db_size_in_use = backend_size_in_use_bytes(c->backend),
        .quota = c->config.quota_bytes,
        .pending_proposals = c->proposals_pending,
        .proposals_failed = c->proposals_failed,
        .leases_expired = c->leases_expired,
        .leases_renewed = c->leases_renewed,
        .leases_granted = c->leases_granted,
        .leases_revoked = c->leases_revoked,
        .leader_changes = c->leader_changes,
        .snapshot_index = c->snapshot_index,
        .level = c->config.level,
    };
    raft_status(c->raft, &out->raft);
}

size_t core_progress(const struct core *c, struct raft_member_status *out, size_t max)
{
    return raft_member_statuses(c->raft, out, max);
}

uint64_t core_member_id(const struct core *c)
{
    return c->config.member_id;
}

bool core_leads(const struct core *c)
{
    return c->role == RAFT_LEADER;
}

uint64_t core_applied_index(const struct core *c)
{
    return c->applied;
}

uint64_t core_cluster_id(const struct core *c)
{
    return c->config.cluster_id;
}

raft_term core_term(const struct core *c)
{
    struct raft_status st;
    raft_status(c->raft, &st);
    return st.hard.term;
}

const struct raft_conf_state *core_conf(const struct core *c)
{
    return &c->conf;
}

int64_t core_rev(const struct core *c)
{
    return mvcc_rev(c->store);
}

const struct membership *core_members(const struct core *c)
{
    return c->members;
}

struct apply *core_apply(struct core *c)
{
    return c->apply;
}

struct mvcc_store *core_store(struct core *c)
{
    return c->store;
}

struct backend *core_backend(struct core *c)
{
    return c->backend;
}

struct lessor *core_lessor(struct core *c)
{
    return c->lessor;
}

struct auth_store *core_auth(struct core *c)
{
    return c->auth;
}

struct semver core_cluster_version(const struct core *c)
{
    return apply_cluster_version(c->apply);
}

struct semver core_storage_version(const struct core *c)
{
    return apply_storage_version(c->apply);
}

enum level core_level(const struct core *c)
{
    return c->config.level;
}

struct schema_downgrade core_downgrade(const struct core *c)
{
    return apply_downgrade(c->apply);
}

bool core_is_learner(const struct core *c)
{
    const struct member *m = membership_find(c->members, c->config.member_id);
    return m != NULL && m->is_learner;
}

void core_check(const struct core *c)
{
    ensure(c->applied <= c->committed && c->acked <= c->applied);
    ensure(c->install_stage == CORE_INSTALL_NONE || c->applied < c->committed);
    ensure(backend_committed_index(c->backend) <= c->durable);
    raft_check(c->raft);
    backend_check(c->backend);
}
