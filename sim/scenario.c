/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/scenario.h"

#define BIT(f) (1u << (f))
#define CRASHES (BIT(FAULT_POWER) | BIT(FAULT_KILL))
#define CUTS (BIT(FAULT_ISOLATE) | BIT(FAULT_SPLIT) | BIT(FAULT_ONE_WAY))

static void weights(struct run_options *o, const unsigned w[OP_COUNT])
{
    memcpy(o->weights, w, sizeof(o->weights));
}

static void busy(struct run_options *o)
{
    o->clients = 4;
    o->think_max_ms = 3;
    o->fault_min_ms = 100;
    o->fault_max_ms = 1500;
}

/* ---- etcd's table ---- */

static void high_load(struct run_options *o)
{
    busy(o);
    o->batch_ops = 10000;
    weights(o, (const unsigned[OP_COUNT]){[OP_PUT] = 10, [OP_DELETE] = 2, [OP_GET] = 1});
}

static void writes(struct run_options *o)
{
    busy(o);
    weights(o, (const unsigned[OP_COUNT]){[OP_PUT] = 10, [OP_GET] = 5});
}

static void watching(struct run_options *o)
{
    busy(o);
    o->watchers = 3;
    o->keys = 4;
    weights(o, (const unsigned[OP_COUNT]){[OP_PUT] = 10, [OP_DELETE] = 4, [OP_TXN] = 2});
}

static void watching_txns(struct run_options *o)
{
    watching(o);
    weights(o, (const unsigned[OP_COUNT]){[OP_TXN] = 10, [OP_PUT] = 1});
}

static void starving(struct run_options *o)
{
    watching(o);
    o->value_bytes_max = 200000;
    o->think_max_ms = 20;
}

static void compacting(struct run_options *o)
{
    busy(o);
    o->keys = 10;
    o->compaction_batch = 1;
    weights(o, (const unsigned[OP_COUNT]){
                   [OP_PUT] = 6, [OP_DELETE] = 4, [OP_COMPACT] = 3, [OP_GET] = 3});
}

static void compacting_watched(struct run_options *o)
{
    compacting(o);
    o->watchers = 3;
    o->keys = 2;
}

static void snapshots(struct run_options *o)
{
    busy(o);
    o->snapshot_count = 10;
    o->snapshot_catchup = 1;
    o->log_bytes_max = 4096;
}

static void txns_of_the_past(struct run_options *o)
{
    busy(o);
    weights(o, (const unsigned[OP_COUNT]){[OP_TXN] = 10, [OP_COMPACT] = 3, [OP_PUT] = 3});
}

static void reads(struct run_options *o)
{
    busy(o);
    weights(o, (const unsigned[OP_COUNT]){[OP_GET] = 10, [OP_PUT] = 4});
}

/* ---- storage-formats 8 ---- */

static void small_batches(struct run_options *o)
{
    writes(o);
    o->batch_interval_ms = 5;
    o->batch_ops = 1;
}

static void small_segments(struct run_options *o)
{
    writes(o);
    o->wal_segment_bytes = 16384;
    o->value_bytes_max = 2000;
}

/* ---- design.md 5 ---- */

static void late_log(struct run_options *o)
{
    writes(o);
    o->batch_interval_ms = 5;
    o->weights[OP_GRANT] = 3;
    o->weights[OP_KEEPALIVE] = 6;
}

static void cold_pages(struct run_options *o)
{
    busy(o);
    o->page_cache_bytes = 1 << 18;
    o->keys = 40;
    o->value_bytes_max = 20000;
    o->think_max_ms = 10;
    weights(o,
            (const unsigned[OP_COUNT]){[OP_PUT] = 10, [OP_TXN] = 6, [OP_DELETE] = 3, [OP_GET] = 3});
}

static void leases(struct run_options *o)
{
    busy(o);
    weights(o, (const unsigned[OP_COUNT]){
                   [OP_PUT] = 6, [OP_GRANT] = 4, [OP_KEEPALIVE] = 8, [OP_REVOKE] = 1});
}

static void checkpoints(struct run_options *o)
{
    leases(o);
    o->lease_checkpoints = true;
}

static void growing(struct run_options *o)
{
    busy(o);
    o->fault_min_ms = 50;
    o->fault_max_ms = 800;
    o->think_max_ms = 10;
}

static void votes(struct run_options *o)
{
    busy(o);
    o->pre_vote = false;
    o->heartbeat_ms = 50;
    o->election_ms = 500;
    o->fault_min_ms = 100;
    o->fault_max_ms = 1000;
    o->think_max_ms = 20;
}

static void level_3_5(struct run_options *o)
{
    busy(o);
    o->level = LEVEL_3_5;
}

static const struct scenario scenarios[] = {
    {"crash-under-load", "etcd 13766", CRASHES, 3, high_load},
    {"single-loses-write", "etcd 14370", BIT(FAULT_POWER), 1, writes},
    {"crash-in-defrag", "etcd 14685, storage-formats 8 D1-D3", CRASHES | BIT(FAULT_DEFRAG), 3,
     writes},
    {"progress-overtakes", "etcd 15220", BIT(FAULT_SLOW_LINK) | BIT(FAULT_TRANSFER), 3, watching},
    {"watch-back-in-time", "etcd 15271", CUTS | BIT(FAULT_RESET), 3, watching},
    {"watch-txn-twice", "etcd 17247", BIT(FAULT_RESET), 3, watching_txns},
    {"watch-starved", "etcd 17529", BIT(FAULT_SLOW_LINK), 3, starving},
    {"crash-in-compaction", "etcd 17780, storage-formats 8 C1-C4", CRASHES, 3, compacting},
    {"compaction-on-delete", "etcd 18089, 19179", BIT(FAULT_KILL), 3, compacting_watched},
    {"two-snapshots", "etcd 18055", CUTS | BIT(FAULT_RESET), 3, snapshots},
    {"txn-reads-compacted", "etcd 18667", CRASHES, 3, txns_of_the_past},
    {"watch-future", "etcd 20221", CUTS | BIT(FAULT_PAUSE), 5, watching},
    {"page-of-another", "etcd 20271", CRASHES | BIT(FAULT_DEFRAG), 1, cold_pages},
    {"stale-read-after-pause", "etcd 20418", BIT(FAULT_PAUSE), 3, reads},
    {"crash-in-commit", "storage-formats 8 B1-B6, R1, R2", BIT(FAULT_POWER), 3, small_batches},
    {"crash-in-cut", "storage-formats 8 R3-R5, W1-W7", BIT(FAULT_POWER), 3, small_segments},
    {"crash-in-save", "storage-formats 8 S1-S6", BIT(FAULT_POWER), 3, snapshots},
    {"crash-in-install", "storage-formats 8 F1-F7", BIT(FAULT_POWER) | CUTS, 3, snapshots},
    {"log-behind-commit", "design.md 5: a batch waits for the own log; our bug 1",
     BIT(FAULT_HANG) | BIT(FAULT_SLOW_DISK) | CRASHES, 3, late_log},
    {"cold-pages", "design.md 5: apply stalls, raft goes on", BIT(FAULT_SLOW_DISK), 3, cold_pages},
    {"compaction-pinned", "design.md 5: physical deletion behind the oldest pin",
     BIT(FAULT_SLOW_LINK) | BIT(FAULT_DEFRAG), 3, compacting_watched},
    {"snapshot-after-commit", "design.md 5: fix metadata, then send",
     BIT(FAULT_MEMBERS) | BIT(FAULT_KILL), 3, snapshots},
    {"disk-full", "design.md 8", BIT(FAULT_FULL), 3, small_segments},
    {"disk-errors", "design.md 8: a failed sync is never retried", BIT(FAULT_ERROR), 3, writes},
    {"disk-hangs", "design.md 8: leadership is handed over", BIT(FAULT_HANG), 3, writes},
    {"stop-while-sending", "our bug 3: a snapshot is read while its member stops",
     BIT(FAULT_STOP) | BIT(FAULT_POWER) | BIT(FAULT_MEMBERS), 3, snapshots},
    {"members-come-and-go", "peer-protocol 6; our bug 2", BIT(FAULT_MEMBERS) | BIT(FAULT_STOP), 3,
     growing},
    {"members-and-crashes", "peer-protocol 6", BIT(FAULT_MEMBERS) | CRASHES, 3, growing},
    {"leases-of-leaders", "client-api 2.3", BIT(FAULT_TRANSFER) | CRASHES, 3, leases},
    {"leases-checkpointed", "client-api 2.3", BIT(FAULT_TRANSFER) | BIT(FAULT_DRIFT), 3,
     checkpoints},
    {"level-rises", "storage-formats 2.6", BIT(FAULT_LEVEL) | BIT(FAULT_KILL), 3, level_3_5},
    {"votes", "raft: elections in quick succession",
     CRASHES | BIT(FAULT_ISOLATE) | BIT(FAULT_MESSAGES) | BIT(FAULT_SLOW_LINK), 5, votes},
    {"messages-in-disorder", "raft", BIT(FAULT_MESSAGES) | BIT(FAULT_KILL), 5, busy},
};

size_t scenario_count(void)
{
    return ARRAY_LEN(scenarios);
}

const struct scenario *scenario_at(size_t i)
{
    return &scenarios[i];
}

const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
        if (strcmp(scenarios[i].name, name) == 0) {
            return &scenarios[i];
        }
    }
    return NULL;
}

void scenario_options(const struct scenario *s, uint64_t seed, struct run_options *o)
{
    run_options_draw(o, seed);
    o->faults = s->faults;
    o->members = s->members != 0 ? s->members : o->members;
    s->tune(o);
}
