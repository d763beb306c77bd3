/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/slots: places of members: who runs there, who has died and still winds down.
 */
#include <inttypes.h>

#include "base/limits.h"
#include "sim/disk.h"
#include "sim/run.h"

static void on_ready(void *arg)
{
    struct run_slot *s = arg;
    trace(s->run, "%s ready", s->name);
}

static void on_fatal(void *arg, int err, const char *text)
{
    struct run_slot *s = arg;
    trace(s->run, "%s fatal %s: %s", s->name, err_name(err), text);
    s->has_failed = true;
    if (!s->is_power_doubtful) {
        run_fail(s->run, "%s gave up though its disk was good: %s", s->name, text);
    }
}

static void on_removed(void *arg)
{
    struct run_slot *s = arg;
    trace(s->run, "%s is removed", s->name);
    s->is_removed = true;
}

static size_t on_send(void *arg, const struct raft_message *messages, size_t count,
                      struct raft_message *out, size_t max)
{
    struct run_slot *s = arg;
    for (size_t i = 0; i < count; i++) {
        truth_sent(s->run, s, &messages[i]);
    }
    return faults_messages(s->run, s, messages, count, out, max);
}

static const struct sim_member_events events = {on_ready, on_fatal, on_removed, on_send};

/* ---- places ---- */

struct run_slot *slot_add(struct run *r)
{
    struct run_slot *s = NULL;
    for (unsigned i = 0; i < RUN_SLOTS_MAX && s == NULL; i++) {
        s = r->slots[i].is_used ? NULL : &r->slots[i];
    }
    if (s == NULL) {
        return NULL;
    }
    unsigned at = (unsigned)(s - r->slots);
    *s = (struct run_slot){.run = r, .at = at, .is_used = true, .level = r->o.level};
    membership_init(&s->existing);
    (void)snprintf(s->name, sizeof(s->name), "m%u", at + 1);
    (void)snprintf(s->peer_url, sizeof(s->peer_url), "http://m%u:%d", at + 1, SIM_PEER_PORT);
    (void)snprintf(s->client_url, sizeof(s->client_url), "http://m%u:%d", at + 1, SIM_CLIENT_PORT);
    s->host = sim_host_add(r->sim, s->name);
    if (r->slot_count <= at) {
        r->slot_count = at + 1;
    }
    return s;
}

void slot_clear(struct run_slot *s)
{
    ensure(s->member == NULL);
    sim_host_remove(s->host);
    membership_deinit(&s->existing);
    mem_free(s->terms);
    s->is_used = false;
    s->terms = NULL;
}

struct run_slot *slot_of_host(struct run *r, const struct sim_host *host)
{
    for (unsigned i = 0; i < r->slot_count; i++) {
        if (r->slots[i].is_used && r->slots[i].host == host) {
            return &r->slots[i];
        }
    }
    return NULL;
}

struct run_slot *slot_of_id(struct run *r, uint64_t id)
{
    for (unsigned i = 0; i < r->slot_count; i++) {
        if (r->slots[i].is_used && r->slots[i].id == id) {
            return &r->slots[i];
        }
    }
    return NULL;
}

struct run_slot *slot_leader(struct run *r)
{
    struct run_slot *leader = NULL;
    raft_term term = 0;
    for (unsigned i = 0; i < r->slot_count; i++) {
        struct run_slot *s = &r->slots[i];
        if (s->is_used && s->member != NULL && !s->has_failed) {
            struct core_status st;
            core_status(slot_core(s), &st);
            if (st.raft.role == RAFT_LEADER && st.raft.hard.term > term) {
                leader = s;
                term = st.raft.hard.term;
            }
        }
    }
    return leader;
}

struct run_slot *slot_any_running(struct run *r)
{
    struct run_slot *found[RUN_SLOTS_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < r->slot_count; i++) {
        if (r->slots[i].is_used && r->slots[i].member != NULL && !r->slots[i].has_failed) {
            found[n++] = &r->slots[i];
        }
    }
    return n == 0 ? NULL : found[prng_below(&r->prng, n)];
}

/* ---- start ---- */

static struct driver_config driver_config(const struct run_slot *s)
{
    const struct run_options *o = &s->run->o;
    return (struct driver_config){
        .name = s->name,
        .data_dir = "d",
        .wal_dir = "",
        .initial_cluster = s->is_joiner ? s->initial : s->run->initial,
        .initial_cluster_token = "t",
        .advertise_peer_urls = s->peer_url,
        .advertise_client_urls = s->client_url,
        .existing = s->is_joiner ? &s->existing : NULL,
        .existing_cluster_id = s->cluster_id,
        .is_join = s->is_joiner,
        .new_level = s->level,
        .heartbeat_ms = o->heartbeat_ms,
        .election_ms = o->election_ms,
        .request_bytes_max = LIMIT_REQUEST_BYTES_DEFAULT,
        .txn_ops_max = LIMIT_TXN_OPS_DEFAULT,
        .snapshot_count = o->snapshot_count,
        .snapshot_catchup = o->snapshot_catchup,
        .max_learners = LIMIT_LEARNERS_DEFAULT,
        .max_snapshots = 5,
        .max_wals = 5,
        .batch_interval_ms = o->batch_interval_ms,
        .batch_ops = o->batch_ops,
        .compaction_batch = o->compaction_batch,
        .compaction_sleep_ms = 10,
        .page_cache_bytes = o->page_cache_bytes,
        .wal_segment_bytes = o->wal_segment_bytes,
        .log_bytes_max = o->log_bytes_max,
        .pre_vote = o->pre_vote,
        .no_fast_keep_alive = o->no_fast_keep_alive,
        .lease_checkpoints = o->lease_checkpoints,
    };
}

static void lanes_set(struct run_slot *s)
{
    const struct run_options *o = &s->run->o;
    struct env *env = sim_host_env(s->host);
    sim_lane_time_set(env, ENV_LANE_LOG, o->disk_min_ns, o->disk_max_ns);
    sim_lane_time_set(env, ENV_LANE_BACKEND, o->disk_min_ns * 2, o->disk_max_ns * 4);
    sim_lane_time_set(env, ENV_LANE_WORK, o->disk_min_ns / 2, o->disk_max_ns);
}

void slot_start(struct run_slot *s)
{
    struct run *r = s->run;
    char text[DRIVER_TEXT_BYTES];
    ensure(s->member == NULL);
    s->start_ns = 0;
    s->has_failed = false;
    sim_host_power(s->host, true);
    if (s->has_started) {
        truth_files(r, s);
    }
    lanes_set(s);
    struct sim_member_config c = {
        .host = s->host, .driver = driver_config(s), .events = &events, .arg = s};
    int err = sim_member_create(&c, &s->member, text);
    if (err != 0) {
        s->member = NULL;
        run_fail(r, "%s cannot start on what is on its disk: %s", s->name, text);
        return;
    }
    r->stats.starts++;
    s->has_started = true;
    s->id = core_member_id(slot_core(s));
    struct core_status st;
    core_status(slot_core(s), &st);
    trace(r, "%s starts, id %" PRIx64 " term %" PRIu64 " applied %" PRIu64 " last %" PRIu64,
          s->name, s->id, st.raft.hard.term, st.applied, st.raft.last_index);
    truth_begin(r, s);
}

/* ---- end ---- */

void slot_stop(struct run_slot *s)
{
    if (s->member != NULL) {
        trace(s->run, "%s stops", s->name);
        sim_member_stop(s->member);
    }
}

static void retire(struct run *r, struct sim_member *m)
{
    if (r->retired_count == r->retired_cap) {
        r->retired_cap = r->retired_cap == 0 ? 8 : r->retired_cap * 2;
        r->retired = mem_realloc(r->retired, r->retired_cap * sizeof(r->retired[0]));
    }
    r->retired[r->retired_count++].member = m;
    sim_member_forget(m);
}

void slot_crash(struct run_slot *s, bool is_power, uint64_t down_ms)
{
    struct run *r = s->run;
    struct sim_member *m = s->member;
    struct sim_host *old = s->host;
    enum sim_crash_policy policy =
        (enum sim_crash_policy)prng_below(&r->prng, SIM_CRASH_POLICIES_COUNT);
    trace(r, "%s %s, disk %d", s->name, is_power ? "loses power" : "is killed",
          is_power ? (int)policy : -1);
    s->host = sim_host_replace(old, is_power);
    if (is_power) {
        sim_disk_crash(sim_host_disk(s->host), policy, prng_next(&r->prng));
        s->is_power_doubtful = false;
    }
    sim_disk_capacity_set(sim_host_disk(s->host), UINT64_MAX);
    s->member = NULL;
    s->start_ns = sim_now_ns(r->sim) + down_ms * 1000000;
    if (m != NULL) {
        retire(r, m);
    } else {
        sim_host_remove(old);
    }
}

static void slot_ended(struct run_slot *s)
{
    struct run *r = s->run;
    trace(r, "%s has ended", s->name);
    sim_member_destroy(s->member);
    s->member = NULL;
    if (s->is_removed) {
        slot_clear(s);
        return;
    }
    if (sim_disk_is_cut(sim_host_disk(s->host))) { /* while its files were closed */
        slot_crash(s, true, run_draw(r, 1, 3000));
        return;
    }
    sim_disk_faults_clear(sim_host_disk(s->host));
    sim_disk_power_cut_after(sim_host_disk(s->host), UINT64_MAX);
    sim_disk_capacity_set(sim_host_disk(s->host), UINT64_MAX);
    if (s->has_failed) { /* whoever sees such a disk restarts the machine */
        slot_crash(s, true, run_draw(r, 1, 3000));
    } else if (s->start_ns == 0 && !r->is_quiet) {
        s->start_ns = sim_now_ns(r->sim) + run_draw(r, 1, 3000) * 1000000;
    }
}

static void retired_end(struct run *r, size_t i)
{
    struct sim_host *host = sim_member_host(r->retired[i].member);
    sim_member_destroy(r->retired[i].member);
    sim_host_remove(host);
    r->retired[i] = r->retired[--r->retired_count];
}

void slots_harvest(struct run *r, struct sim_host *host)
{
    for (size_t i = 0; i < r->retired_count; i++) {
        struct sim_member *m = r->retired[i].member;
        if (sim_member_host(m) == host && sim_member_is_ended(m)) {
            retired_end(r, i);
            return;
        }
    }
    struct run_slot *s = slot_of_host(r, host);
    if (s == NULL || s->member == NULL) {
        return;
    }
    if (sim_disk_is_cut(sim_host_disk(host))) {
        slot_crash(s, true, run_draw(r, 1, 5000));
    } else if (sim_member_is_ended(s->member)) {
        slot_ended(s);
    }
}

bool slots_all_ended(struct run *r)
{
    for (unsigned i = 0; i < r->slot_count; i++) {
        if (r->slots[i].is_used && r->slots[i].member != NULL) {
            return false;
        }
    }
    return r->retired_count == 0;
}

void slots_trace(struct run *r)
{
    for (unsigned i = 0; i < r->slot_count; i++) {
        const struct run_slot *s = &r->slots[i];
        if (!s->is_used) {
            continue;
        }
        if (s->member == NULL) {
            trace(r, "%s is not running", s->name);
            continue;
        }
        struct core_status st;
        core_status(slot_core(s), &st);
        trace(r,
              "%s id %" PRIx64 " ready %d role %d term %" PRIu64 " leader %" PRIx64
              " committed %" PRIu64 " applied %" PRIu64 " last %" PRIu64 " rev %" PRId64
              " members %zu",
              s->name, s->id, sim_member_is_ready(s->member), (int)st.raft.role, st.raft.hard.term,
              st.leader, st.committed, st.applied, st.raft.last_index, st.rev,
              core_members(slot_core(s))->count);
    }
    trace(r, "%zu wind down", r->retired_count);
}
