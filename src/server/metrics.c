/* SPDX-License-Identifier: Apache-2.0
 *
 * server/metrics: fills etcd's families from what the parts count, at each scrape.
 */
#include <stdio.h>

#include "apply/apply.h"
#include "base/limits.h"
#include "lease/lessor.h"
#include "mvcc/watch.h"
#include "os/os.h"
#include "server/flags.h"
#include "server/internal.h"

static void on_timing(void *arg, enum driver_timing what, uint64_t ns)
{
    static const enum metric_id ids[] = {
        [DRIVER_WAL_SYNC] = METRIC_DISK_WAL_FSYNC_DURATION_SECONDS,
        [DRIVER_WAL_WRITE] = METRIC_DISK_WAL_WRITE_DURATION_SECONDS,
        [DRIVER_COMMIT] = METRIC_DISK_BACKEND_COMMIT_DURATION_SECONDS,
        [DRIVER_DEFRAG] = METRIC_DISK_BACKEND_DEFRAG_DURATION_SECONDS,
        [DRIVER_SNAP_SAVE] = METRIC_DEBUGGING_SNAP_SAVE_TOTAL_DURATION_SECONDS,
    };
    struct server *s = arg;
    metrics_observe(s->metrics, ids[what], (double)ns / 1e9);
}

static void collect_watch(const struct server *s, struct metrics *m)
{
    const struct watch_hub *hub = driver_watch_hub(s->driver);
    metrics_set(m, METRIC_DEBUGGING_MVCC_WATCHER_TOTAL, (double)watch_hub_count(hub));
    metrics_set(m, METRIC_DEBUGGING_MVCC_SLOW_WATCHER_TOTAL, (double)watch_hub_behind(hub));
    metrics_set(m, METRIC_DEBUGGING_MVCC_EVENTS_TOTAL, (double)watch_hub_sent(hub));
    metrics_set(m, METRIC_DEBUGGING_MVCC_WATCH_STREAM_TOTAL,
                (double)service_watch_streams(s->service));
}

static void collect_core(struct server *s, struct metrics *m)
{
    struct core_status st;
    core_status(driver_core(s->driver), &st);
    metrics_set(m, METRIC_SERVER_HAS_LEADER, st.leader != 0);
    metrics_set(m, METRIC_SERVER_IS_LEADER, st.raft.role == RAFT_LEADER);
    metrics_set(m, METRIC_SERVER_IS_LEARNER, st.raft.is_learner);
    metrics_set(m, METRIC_DEBUGGING_AUTH_REVISION,
                (double)auth_revision(core_auth(driver_core(s->driver))));
    metrics_set(m, METRIC_DEBUGGING_LEASE_GRANTED_TOTAL, (double)st.leases_granted);
    metrics_set(m, METRIC_DEBUGGING_LEASE_REVOKED_TOTAL, (double)st.leases_revoked);
    metrics_set(m, METRIC_DEBUGGING_LEASE_RENEWED_TOTAL, (double)st.leases_renewed);
    metrics_set(m, METRIC_DEBUGGING_SERVER_LEASE_EXPIRED_TOTAL, (double)st.leases_expired);
    metrics_set(m, METRIC_SERVER_LEADER_CHANGES_SEEN_TOTAL, (double)st.leader_changes);
    metrics_set(m, METRIC_SERVER_PROPOSALS_COMMITTED_TOTAL, (double)st.committed);
    metrics_set(m, METRIC_SERVER_PROPOSALS_APPLIED_TOTAL, (double)st.applied);
    metrics_set(m, METRIC_SERVER_PROPOSALS_PENDING, (double)st.pending_proposals);
    metrics_set(m, METRIC_SERVER_PROPOSALS_FAILED_TOTAL, (double)st.proposals_failed);
    metrics_set(m, METRIC_SERVER_SLOW_READ_INDEXES_TOTAL, (double)st.slow_reads);
    metrics_set(m, METRIC_SERVER_QUOTA_BACKEND_BYTES, (double)st.quota);
    metrics_set(m, METRIC_MVCC_DB_TOTAL_SIZE_IN_BYTES, (double)st.db_size);
    metrics_set(m, METRIC_MVCC_DB_TOTAL_SIZE_IN_USE_IN_BYTES, (double)st.db_size_in_use);
    metrics_set(m, METRIC_DEBUGGING_MVCC_CURRENT_REVISION, (double)st.rev);
    metrics_set(m, METRIC_DEBUGGING_MVCC_COMPACT_REVISION, (double)st.compact_rev);
    struct core *core = driver_core(s->driver);
    metrics_set(m, METRIC_DEBUGGING_MVCC_KEYS_TOTAL, (double)mvcc_key_count(core_store(core)));
    collect_watch(s, m);
    const struct mvcc_counts *n = mvcc_counts(core_store(core));
    metrics_set(m, METRIC_MVCC_RANGE_TOTAL, (double)n->ranges);
    metrics_set(m, METRIC_DEBUGGING_MVCC_RANGE_TOTAL, (double)n->ranges);
    metrics_set(m, METRIC_MVCC_PUT_TOTAL, (double)n->puts);
    metrics_set(m, METRIC_MVCC_DELETE_TOTAL, (double)n->deletes);
    metrics_set(m, METRIC_MVCC_TXN_TOTAL, (double)n->txns);
    metrics_set(m, METRIC_DEBUGGING_MVCC_TOTAL_PUT_SIZE_IN_BYTES, (double)n->put_bytes);
    metrics_set(m, METRIC_MVCC_DB_OPEN_READ_TRANSACTIONS,
                (double)backend_open_views(core_backend(core)));
    metrics_set(m, METRIC_DISK_WAL_WRITE_BYTES_TOTAL, (double)driver_stats(s->driver)->wal_bytes);
}

static void collect_cluster_version(struct server *s, struct metrics *m)
{
    struct semver v = core_cluster_version(driver_core(s->driver));
    if (semver_is_none(v)) {
        return;
    }
    char text[SEMVER_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "%u.%u", v.major, v.minor);
    const char *labels[] = {text};
    struct metric_series *now = metrics_with(m, METRIC_CLUSTER_VERSION, labels);
    if (s->cluster_version_series != NULL && s->cluster_version_series != now) {
        metric_set(s->cluster_version_series, 0);
    }
    metric_set(now, 1);
    s->cluster_version_series = now;
}

static void collect_process(struct metrics *m)
{
    struct os_usage u;
    os_usage_get(&u);
    metrics_set(m, METRIC_PROCESS_RESIDENT_MEMORY_BYTES, (double)u.rss_bytes);
    metrics_set(m, METRIC_PROCESS_VIRTUAL_MEMORY_BYTES, (double)u.virtual_bytes);
    metrics_set(m, METRIC_PROCESS_VIRTUAL_MEMORY_MAX_BYTES, (double)u.virtual_max_bytes);
    metrics_set(m, METRIC_PROCESS_NETWORK_RECEIVE_BYTES_TOTAL, (double)u.net_in_bytes);
    metrics_set(m, METRIC_PROCESS_NETWORK_TRANSMIT_BYTES_TOTAL, (double)u.net_out_bytes);
    metrics_set(m, METRIC_PROCESS_CPU_SECONDS_TOTAL, (double)u.cpu_ns / 1e9);
    metrics_set(m, METRIC_PROCESS_OPEN_FDS, (double)u.open_fds);
    metrics_set(m, METRIC_PROCESS_MAX_FDS, (double)u.max_fds);
    metrics_set(m, METRIC_PROCESS_START_TIME_SECONDS, (double)u.start_time_s);
    metrics_set(m, METRIC_OS_FD_USED, (double)u.open_fds);
    metrics_set(m, METRIC_OS_FD_LIMIT, (double)u.max_fds);
}

static const char *kind_text(enum grpc_kind kind)
{
    switch (kind) {
    case GRPC_KIND_UNARY: return "unary";
    case GRPC_KIND_SERVER_STREAM: return "server_stream";
    case GRPC_KIND_CLIENT_STREAM: return "client_stream";
    case GRPC_KIND_BIDI: return "bidi_stream";
    }
    return "unary";
}

static void init_method(struct server *s, size_t i)
{
    const struct grpc_method *gm = grpc_server_method_at(s->grpc, i);
    metrics_grpc_init(s->metrics, gm->service, gm->name, kind_text(gm->kind),
                      s->config.is_metrics_extensive, &s->grpc_metrics[i]);
}

/* Lock and Election have no series before their first call, as in etcd; our own services neither.
 */
static bool has_series_at_start(const struct grpc_method *gm)
{
    return strncmp(gm->service, "etcdserverpb.", 13) == 0 ||
           strncmp(gm->service, "grpc.health.", 12) == 0;
}

static void collect_grpc(struct server *s, struct metrics *m)
{
    const struct grpc_server_stats *st = grpc_server_stats(s->grpc);
    metrics_set(m, METRIC_NETWORK_CLIENT_GRPC_RECEIVED_BYTES_TOTAL, (double)st->bytes_received);
    metrics_set(m, METRIC_NETWORK_CLIENT_GRPC_SENT_BYTES_TOTAL, (double)st->bytes_sent);
    size_t count = grpc_server_method_count(s->grpc);
    for (size_t i = 0; i < count && i < SERVER_METHODS_MAX; i++) {
        const struct grpc_method_stats *ms = grpc_server_method_stats(s->grpc, i);
        struct metrics_grpc_method *gm = &s->grpc_metrics[i];
        if (gm->started == NULL && ms->started > 0) {
            init_method(s, i);
        }
        if (gm->started == NULL) {
            continue;
        }
        metric_set(gm->started, (double)ms->started);
        metric_set(gm->received, (double)ms->msg_received);
        metric_set(gm->sent, (double)ms->msg_sent);
        for (size_t code = 0; code < METRICS_GRPC_CODES; code++) {
            metric_set(gm->handled[code], (double)ms->handled[code]);
        }
    }
}

static void collect_alarms(struct server *s, struct metrics *m)
{
    static const char *const names[] = {"NONE", "NOSPACE", "CORRUPT"};
    const struct apply *a = core_apply(driver_core(s->driver));
    for (size_t i = 0; i < s->alarm_count; i++) {
        metric_set(s->alarms[i], 0);
    }
    s->alarm_count = 0;
    for (size_t i = 0; i < apply_alarm_count(a) && i < SERVER_KNOWN_MAX; i++) {
        struct schema_alarm alarm = apply_alarm_at(a, i);
        char id[24];
        (void)snprintf(id, sizeof(id), "%llx", (unsigned long long)alarm.member_id);
        bool is_named = alarm.type >= 0 && (size_t)alarm.type < ARRAY_LEN(names);
        const char *labels[] = {is_named ? names[alarm.type] : "", id};
        s->alarms[s->alarm_count] = metrics_with(m, METRIC_DEBUGGING_SERVER_ALARMS, labels);
        metric_set(s->alarms[s->alarm_count++], 1);
    }
}

static void collect_leases(struct server *s, struct metrics *m)
{
    const struct lease_ttls *t = lessor_ttls(core_lessor(driver_core(s->driver)));
    metric_set_histogram(metrics_at(m, METRIC_DEBUGGING_LEASE_TTL_TOTAL), t->counts,
                         (double)t->sum_s);
}

/* What the page of the present level has. */
static void collect_level(struct server *s, struct metrics *m)
{
    static const struct {
        enum metric_id id;
        enum level since;
    } rows[] = {
        {METRIC_NETWORK_KNOWN_PEERS, LEVEL_3_6},
        {METRIC_SERVER_FEATURE_ENABLED, LEVEL_3_6},
        {METRIC_SERVER_RANGE_DURATION_SECONDS, LEVEL_3_6},
        {METRIC_DEBUGGING_SERVER_ALARMS, LEVEL_3_6},
        {METRIC_PROCESS_NETWORK_RECEIVE_BYTES_TOTAL, LEVEL_3_6},
        {METRIC_PROCESS_NETWORK_TRANSMIT_BYTES_TOTAL, LEVEL_3_6},
        {METRIC_SERVER_REQUEST_DURATION_SECONDS, LEVEL_3_7},
        {METRIC_DEBUGGING_SERVER_WATCH_SEND_LOOP_CONTROL_STREAM_DURATION_SECONDS, LEVEL_3_7},
        {METRIC_DEBUGGING_SERVER_WATCH_SEND_LOOP_PROGRESS_DURATION_SECONDS, LEVEL_3_7},
        {METRIC_DEBUGGING_SERVER_WATCH_SEND_LOOP_WATCH_STREAM_DURATION_PER_EVENT_SECONDS,
         LEVEL_3_7},
        {METRIC_DEBUGGING_SERVER_WATCH_SEND_LOOP_WATCH_STREAM_DURATION_SECONDS, LEVEL_3_7},
    };
    enum level level = driver_level(s->driver);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        metrics_hide(m, rows[i].id, level < rows[i].since);
    }
    metrics_hide(m, METRIC_DEBUGGING_MVCC_RANGE_TOTAL, level >= LEVEL_3_6);
}

/* Gates of 3.7. */
static bool is_new_gate(const char *name)
{
    return strcmp(name, "FastLeaseKeepAlive") == 0 || strcmp(name, "PriorityRequest") == 0;
}

static void collect_features(struct server *s, struct metrics *m)
{
    const char *list = s->config.feature_gates == NULL ? "" : s->config.feature_gates;
    bool has_new = driver_level(s->driver) >= LEVEL_3_7;
    struct gate_state g;
    for (size_t i = 0; gate_at(list, i, &g); i++) {
        const char *labels[] = {g.name, g.stage};
        if (has_new || !is_new_gate(g.name)) {
            metric_set(metrics_with(m, METRIC_SERVER_FEATURE_ENABLED, labels), g.is_on);
        }
    }
}

static void collect(void *arg, struct metrics *m)
{
    struct server *s = arg;
    collect_level(s, m);
    collect_features(s, m);
    collect_core(s, m);
    collect_alarms(s, m);
    collect_leases(s, m);
    server_metrics_collect_peers(s, m);
    collect_cluster_version(s, m);
    collect_process(m);
    collect_grpc(s, m);
}

void server_metrics_init(struct server *s)
{
    size_t count = grpc_server_method_count(s->grpc);
    ensure(count <= SERVER_METHODS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (has_series_at_start(grpc_server_method_at(s->grpc, i))) {
            init_method(s, i);
        }
    }
    char id[24];
    (void)snprintf(id, sizeof(id), "%llx",
                   (unsigned long long)core_member_id(driver_core(s->driver)));
    const char *id_label[] = {id};
    metric_set(metrics_with(s->metrics, METRIC_SERVER_ID, id_label), 1);
    const char *version[] = {level_rules(driver_level(s->driver))->server_version};
    metric_set(metrics_with(s->metrics, METRIC_SERVER_VERSION, version), 1);
    /* Not Go's: what compiled it. */
    const char *compiler[] = {"gcc-compatible " __VERSION__};
    metric_set(metrics_with(s->metrics, METRIC_SERVER_GO_VERSION, compiler), 1);
    driver_timing_hook(s->driver, on_timing, s);
    metrics_on_scrape(s->metrics, collect, s);
}
