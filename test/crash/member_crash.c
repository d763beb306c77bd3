/* SPDX-License-Identifier: Apache-2.0
 *
 * crash/member_crash: whole members under power cuts after every disk operation of many workloads.
 *
 * Each workload is a function over a running member (and may stop and start it).  What is left of
 * the disk must start, hold every acknowledged request, nothing that was not asked for, check
 * clean, go on, stop and start again.  Rows of storage-formats 8 that a workload covers stand
 * beside it.
 *
 * usage: member_crash [GROUP | NAME ...]    groups: basic, files, compact, odd, mutants, and cut:
 * some workloads again with the power really going away under the running member (its error paths).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"
#include "member_model.h"

struct ctx {
    struct model md;
    const struct workload *w;
};

struct workload {
    const char *group;
    const char *name;
    int (*run)(struct model *md, struct member_fixture *m);
    void (*configure)(struct driver_config *c); /* may be NULL */
    unsigned seeds;
    unsigned stride;
    const char *rows;
    bool is_double; /* a second power cut in the recovery from the first */
};

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        int try_err_ = (expr);                                                                     \
        if (try_err_ != 0) {                                                                       \
            return try_err_;                                                                       \
        }                                                                                          \
    } while (0)

static const char *key_of(char out[MODEL_KEY_BYTES], unsigned i)
{
    (void)snprintf(out, MODEL_KEY_BYTES, "k%02u", i);
    return out;
}

static int puts_of(struct model *md, struct member_fixture *m, unsigned count, unsigned keys,
                   uint32_t len)
{
    char key[MODEL_KEY_BYTES];
    for (unsigned i = 0; i < count; i++) {
        TRY(model_put(md, m, key_of(key, i % keys), len));
    }
    return 0;
}

/* Time for the interval of a batch. */
static void settle(struct member_fixture *m)
{
    mf_wait_ms(m, 250);
}

static int restart(struct member_fixture *m)
{
    TRY(mf_stop(m));
    return mf_start(m);
}

/* ---- basic ---- */

static int first_start(struct model *md, struct member_fixture *m)
{
    (void)md;
    settle(m);
    return 0;
}

static int put_sequence(struct model *md, struct member_fixture *m)
{
    TRY(puts_of(md, m, 20, 8, 20));
    settle(m);
    return puts_of(md, m, 10, 8, 20);
}

static int put_bursts(struct model *md, struct member_fixture *m)
{
    for (int i = 0; i < 6; i++) {
        TRY(model_burst(md, m, "b", 20));
        mf_wait_ms(m, 60);
    }
    return 0;
}

static int overwrite_delete(struct model *md, struct member_fixture *m)
{
    char key[MODEL_KEY_BYTES];
    for (unsigned i = 0; i < 24; i++) {
        TRY(model_put(md, m, key_of(key, i % 5), 30));
        if (i % 3 == 2) {
            TRY(model_delete(md, m, key_of(key, i % 5)));
        }
        if (i % 8 == 7) {
            settle(m);
        }
    }
    return 0;
}

static int delete_all(struct model *md, struct member_fixture *m)
{
    char key[MODEL_KEY_BYTES];
    TRY(puts_of(md, m, 12, 12, 40));
    settle(m);
    for (unsigned i = 0; i < 12; i++) {
        TRY(model_delete(md, m, key_of(key, i)));
    }
    settle(m);
    return model_put(md, m, "again", 10);
}

static int big_values(struct model *md, struct member_fixture *m)
{
    for (unsigned i = 0; i < 5; i++) {
        TRY(puts_of(md, m, 2, 3, 40000 + i * 1000));
        settle(m);
    }
    return 0;
}

static int restarts(struct model *md, struct member_fixture *m)
{
    for (int i = 0; i < 4; i++) {
        TRY(puts_of(md, m, 5, 4, 20));
        TRY(restart(m));
    }
    return puts_of(md, m, 3, 4, 20);
}

static int empty_restarts(struct model *md, struct member_fixture *m)
{
    TRY(model_put(md, m, "a", 5));
    for (int i = 0; i < 4; i++) {
        TRY(restart(m));
    }
    return 0;
}

/* ---- files ---- */

static void small_segments(struct driver_config *c)
{
    c->wal_segment_bytes = 8192;
}

static int segment_cut(struct model *md, struct member_fixture *m)
{
    return puts_of(md, m, 40, 10, 900);
}

static int segment_cut_bursts(struct model *md, struct member_fixture *m)
{
    for (int i = 0; i < 5; i++) {
        TRY(model_burst(md, m, "c", 60));
        settle(m);
    }
    return 0;
}

static int file_growth(struct model *md, struct member_fixture *m)
{
    for (unsigned i = 0; i < 8; i++) {
        TRY(puts_of(md, m, 3, 60, 30000));
        settle(m);
    }
    return 0;
}

static void snapshots(struct driver_config *c)
{
    c->snapshot_count = 8;
    c->wal_segment_bytes = 8192;
}

static void snapshots_purged(struct driver_config *c)
{
    snapshots(c);
    c->max_wals = 1;
    c->max_snapshots = 1;
    c->snapshot_catchup = 1;
}

static int raft_snapshots(struct model *md, struct member_fixture *m)
{
    for (int i = 0; i < 5; i++) {
        TRY(puts_of(md, m, 9, 6, 300));
        settle(m);
    }
    return 0;
}

static int snapshot_restart(struct model *md, struct member_fixture *m)
{
    for (int i = 0; i < 3; i++) {
        TRY(puts_of(md, m, 12, 6, 200));
        settle(m);
        TRY(restart(m));
    }
    return puts_of(md, m, 4, 6, 200);
}

static void small_batches(struct driver_config *c)
{
    c->batch_ops = 3;
    c->batch_interval_ms = 1000;
}

static int many_commits(struct model *md, struct member_fixture *m)
{
    TRY(puts_of(md, m, 20, 5, 50));
    return model_burst(md, m, "x", 30);
}

/* The file is written while the WAL stands still: it must not hold what the WAL has not. */
static int slow_wal(struct model *md, struct member_fixture *m)
{
    m->is_wal_slow = true;
    for (int i = 0; i < 3; i++) {
        TRY(puts_of(md, m, 4, 4, 30));
        TRY(model_burst(md, m, "s", 6));
    }
    return 0;
}

static int defrag(struct model *md, struct member_fixture *m)
{
    TRY(puts_of(md, m, 12, 4, 3000));
    settle(m);
    TRY(mf_defrag(m));
    TRY(puts_of(md, m, 4, 4, 3000));
    settle(m);
    return mf_defrag(m);
}

static int defrag_snapshot(struct model *md, struct member_fixture *m)
{
    TRY(puts_of(md, m, 10, 4, 500));
    TRY(mf_defrag(m));
    TRY(puts_of(md, m, 12, 4, 500));
    settle(m);
    return mf_defrag(m);
}

/* ---- compaction ---- */

static void small_slices(struct driver_config *c)
{
    c->compaction_batch = 3;
}

static int compaction(struct model *md, struct member_fixture *m)
{
    TRY(puts_of(md, m, 20, 4, 30));
    TRY(model_compact(md, m, 10, false));
    settle(m);
    TRY(puts_of(md, m, 6, 4, 30));
    TRY(model_compact(md, m, 22, true));
    return puts_of(md, m, 3, 4, 30);
}

static int compaction_tombstones(struct model *md, struct member_fixture *m)
{
    char key[MODEL_KEY_BYTES];
    for (unsigned i = 0; i < 8; i++) {
        TRY(model_put(md, m, key_of(key, i % 4), 30));
        TRY(model_delete(md, m, key_of(key, i % 4)));
    }
    TRY(model_compact(md, m, 9, true));
    TRY(model_compact(md, m, 17, true));
    return model_put(md, m, "k00", 10);
}

static int compaction_restart(struct model *md, struct member_fixture *m)
{
    TRY(puts_of(md, m, 24, 3, 20));
    TRY(model_compact(md, m, 20, false));
    TRY(restart(m));
    settle(m);
    return puts_of(md, m, 3, 3, 20);
}

static int compaction_defrag(struct model *md, struct member_fixture *m)
{
    TRY(puts_of(md, m, 20, 3, 1000));
    TRY(model_compact(md, m, 19, true));
    TRY(mf_defrag(m));
    return puts_of(md, m, 3, 3, 1000);
}

/* ---- odd ---- */

static int leases(struct model *md, struct member_fixture *m)
{
    TRY(mf_lease_grant(m, 7, 100));
    TRY(puts_of(md, m, 5, 3, 20));
    TRY(mf_lease_grant(m, 8, 200));
    settle(m);
    TRY(restart(m));
    return puts_of(md, m, 3, 3, 20);
}

static int alarms(struct model *md, struct member_fixture *m)
{
    TRY(puts_of(md, m, 4, 3, 20));
    TRY(mf_alarm(m, 1, 77, SCHEMA_ALARM_NOSPACE));
    settle(m);
    TRY(mf_alarm(m, 2, 77, SCHEMA_ALARM_NOSPACE));
    return puts_of(md, m, 4, 3, 20);
}

static void tiny_quota(struct driver_config *c)
{
    c->quota_bytes = 60000;
}

/* At the quota a put is refused, or done with an error: as an unacknowledged one. */
static int quota(struct model *md, struct member_fixture *m)
{
    int err = 0;
    for (unsigned i = 0; err == 0 && i < 12; i++) {
        err = puts_of(md, m, 1, 6, 8000);
        settle(m);
    }
    return err == ERR_RPC_NO_SPACE ? 0 : err;
}

static void tiny_cache(struct driver_config *c)
{
    c->page_cache_bytes = 8192;
}

static int cold_pages(struct model *md, struct member_fixture *m)
{
    struct buf out = BUF_INIT;
    int err = puts_of(md, m, 12, 12, 2000);
    settle(m);
    for (unsigned i = 0; err == 0 && i < 12; i++) {
        char key[MODEL_KEY_BYTES];
        err = mf_get(m, key_of(key, i), 0, &out);
    }
    buf_deinit(&out);
    return err == 0 ? puts_of(md, m, 6, 12, 2000) : err;
}

static int hashes(struct model *md, struct member_fixture *m)
{
    struct mvcc_hash_value h;
    TRY(puts_of(md, m, 8, 3, 30));
    TRY(mf_hash_kv(m, 0, &h));
    TRY(puts_of(md, m, 4, 3, 30));
    return mf_hash_kv(m, 5, &h);
}

static int everything(struct model *md, struct member_fixture *m)
{
    for (unsigned i = 0; i < 4; i++) {
        TRY(puts_of(md, m, 8, 5, 400));
        TRY(model_burst(md, m, "e", 10));
        TRY(model_delete(md, m, "k01"));
        settle(m);
        TRY(model_compact(md, m, 10 + 15 * (int64_t)i, i % 2 == 0));
    }
    TRY(restart(m));
    return puts_of(md, m, 4, 5, 400);
}

static void all_small(struct driver_config *c)
{
    snapshots_purged(c);
    c->compaction_batch = 4;
}

static const struct workload workloads[] = {
    {"basic", "first_start", first_start, NULL, 8, 1, "B6 W1 W2"},
    {"basic", "put_sequence", put_sequence, NULL, 0, 1, "B1 B3 B4 R1 R2 R3 R4 R5"},
    {"basic", "put_bursts", put_bursts, NULL, 0, 1, "R3 R5"},
    {"basic", "overwrite_delete", overwrite_delete, NULL, 0, 1, "B1 B3 R1"},
    {"basic", "delete_all", delete_all, NULL, 0, 1, "B1 B3"},
    {"basic", "big_values", big_values, NULL, 0, 1, "R3 R5 B1"},
    {"basic", "restarts", restarts, NULL, 0, 1, "R2 R4"},
    {"basic", "empty_restarts", empty_restarts, NULL, 0, 1, "R2"},
    {"files", "segment_cut", segment_cut, small_segments, 0, 1, "W3 W4 W5 W6"},
    {"files", "segment_cut_bursts", segment_cut_bursts, small_segments, 0, 1, "W3 W4 W5 W6"},
    {"files", "file_growth", file_growth, NULL, 0, 1, "B2"},
    {"files", "raft_snapshots", raft_snapshots, snapshots, 0, 1, "S1 S2 S3 S4 S5"},
    {"files", "snapshots_purged", raft_snapshots, snapshots_purged, 0, 1, "S5 S6"},
    {"files", "snapshot_restart", snapshot_restart, snapshots, 0, 1, "S1 S4"},
    {"files", "many_commits", many_commits, small_batches, 0, 1, "B1 B3 B4"},
    {"files", "slow_wal", slow_wal, NULL, 0, 1, "R1 R3"},
    {"files", "defrag", defrag, NULL, 0, 1, "D1 D2 D3"},
    {"files", "defrag_snapshot", defrag_snapshot, snapshots, 0, 1, "D3"},
    {"compact", "compaction", compaction, NULL, 0, 1, "C1 C2"},
    {"compact", "compaction_slices", compaction, small_slices, 0, 1, "C1 C2 C3"},
    {"compact", "compaction_tombstones", compaction_tombstones, small_slices, 0, 1, "C2 C4"},
    {"compact", "compaction_restart", compaction_restart, small_slices, 0, 1, "C2"},
    {"compact", "compaction_defrag", compaction_defrag, NULL, 0, 1, "C2 D2"},
    {"odd", "leases", leases, NULL, 0, 1, "R1"},
    {"odd", "alarms", alarms, NULL, 0, 1, "R1"},
    {"odd", "quota", quota, tiny_quota, 0, 1, "R1"},
    {"odd", "cold_pages", cold_pages, tiny_cache, 0, 1, "B1"},
    {"odd", "hashes", hashes, NULL, 0, 1, "B4"},
    {"odd", "everything", everything, all_small, 0, 1, "all", false},
    {"double", "torn_tail", put_sequence, NULL, 2, 3, "W7 R5", true},
    {"double", "segments_torn", segment_cut, small_segments, 1, 7, "W4 W7", true},
};

/* ---- the case ---- */

static const struct workload *current;

static void *ctx_create(void)
{
    struct ctx *c = mem_zalloc(sizeof(*c));
    c->w = current;
    return c;
}

static void ctx_destroy(void *ctx)
{
    mem_free(ctx);
}

static void configure(const struct ctx *c, struct member_fixture *m, struct env_disk *disk)
{
    member_fixture_init(m, disk);
    if (c->w->configure != NULL) {
        c->w->configure(&m->config);
    }
}

static int run(void *ctx, struct env_disk *disk)
{
    struct ctx *c = ctx;
    struct member_fixture m;
    configure(c, &m, disk);
    int err = mf_start(&m);
    if (err == 0) {
        err = c->w->run(&c->md, &m);
    }
    if (err == 0 && m.driver != NULL) {
        err = mf_stop(&m);
    }
    member_fixture_deinit(&m);
    /* Not every lost write ends a member (a spare segment can be made later): is the power there?
     */
    return err == 0 ? disk->ops->mkdir(disk, "end", 0700) : err;
}

static int look(const struct ctx *c, struct member_fixture *m, struct buf *out)
{
    int err = mf_start(m);
    if (err != 0) {
        buf_printf(out, "does not start: %s", m->text);
        return err;
    }
    err = model_check(&c->md, m, out);
    return err == 0 ? mf_verify(m, out) : err;
}

/* What is left starts and is right; it goes on; and it starts again with what was added. */
static int check(void *ctx, struct env_disk *disk, struct buf *out)
{
    const struct ctx *c = ctx;
    struct member_fixture m;
    configure(c, &m, disk);
    m.config.quota_bytes = -1;
    int err = look(c, &m, out);
    if (c->w->is_double) {
        member_fixture_deinit(
            &m); /* the second cut comes in here: nothing of its own may be left */
        return err;
    }
    (void)(err == 0 &&
           mf_alarm(&m, 2, core_member_id(driver_core(m.driver)), SCHEMA_ALARM_NOSPACE));
    (void)(err == 0 && mf_alarm(&m, 2, 77, SCHEMA_ALARM_NOSPACE));
    if (err == 0) {
        err = mf_put(&m, "after", "crash");
        if (err != 0) {
            buf_printf(out, "a put after the crash: %s", err_text(err));
        }
    }
    if (err == 0 && (err = restart(&m)) != 0) {
        buf_printf(out, "does not start a second time: %s", m.text);
    }
    if (err == 0) {
        struct buf value = BUF_INIT;
        err = mf_get(&m, "after", 0, &value);
        if (err != 0 || !slice_equal_cstr(buf_slice(&value), "crash")) {
            buf_append_cstr(out, "the put after the crash is gone");
            err = ERR_MISMATCH;
        }
        buf_deinit(&value);
    }
    if (err == 0) {
        err = mf_verify(&m, out);
    }
    member_fixture_deinit(&m);
    return err;
}

static struct crash_case case_of(const struct workload *w, bool is_cut)
{
    current = w;
    return (struct crash_case){
        .name = w->name,
        .ctx_create = ctx_create,
        .ctx_destroy = ctx_destroy,
        .workload = run,
        .check = check,
        .seeds = w->seeds == 0 ? 3 : w->seeds,
        .stride = w->stride,
        .is_cut_mode = is_cut,
        .is_double = w->is_double,
    };
}

/* ---- mutants: builds that break a rule must be caught ---- */

#if !defined(CAIRN_MUTANT_SEAL_PAST_DURABLE) && !defined(CAIRN_MUTANT_META_FIRST)
static void wal_without_sync(struct sim_disk *d)
{
    sim_disk_ignore_sync(d, "*/wal/*.wal");
}

static void db_without_sync(struct sim_disk *d)
{
    sim_disk_ignore_sync(d, "*/snap/db");
}
#endif

static bool mutant_is_found(const char *what, void (*on_disk)(struct sim_disk *d), const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(workloads); i++) {
        if (strcmp(workloads[i].name, name) != 0) {
            continue;
        }
        struct crash_case c = case_of(&workloads[i], false);
        struct crash_report r;
        c.on_disk = on_disk;
        c.is_quiet = true;
        bool is_found = crash_finds_bug(&c, &r);
        printf("mutant %s: %s by %s after %llu crashes: %s\n", what,
               is_found ? "found" : "NOT FOUND", name, (unsigned long long)r.crashes, r.first_text);
        return is_found;
    }
    return false;
}

static int run_mutants(unsigned *passed)
{
#if defined(CAIRN_MUTANT_SEAL_PAST_DURABLE)
    bool is_found = mutant_is_found("seals past the durable index", NULL, "slow_wal");
    *passed += is_found;
    return is_found ? 0 : 1;
#elif defined(CAIRN_MUTANT_META_FIRST)
    bool is_found = mutant_is_found("writes the meta page first", NULL, "put_sequence");
    *passed += is_found;
    return is_found ? 0 : 1;
#else
    unsigned failed = 0;
    failed += !mutant_is_found("no WAL sync", wal_without_sync, "put_sequence");
    failed += !mutant_is_found("no sync of the database", db_without_sync, "many_commits");
    *passed += 2 - failed;
    return (int)failed;
#endif
}

/* The member must end in order when its disk is gone: no hang, no abort, no leak. */
static const char *const cut_names[] = {"put_bursts", "segment_cut_bursts", "defrag_snapshot",
                                        "compaction_slices", "everything"};

static bool is_cut(const struct workload *w)
{
    for (size_t i = 0; i < ARRAY_LEN(cut_names); i++) {
        if (strcmp(w->name, cut_names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_chosen(const struct workload *w, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], w->group) == 0 || strcmp(argv[i], w->name) == 0) {
            return true;
        }
    }
    return argc == 1;
}

int main(int argc, char **argv)
{
    unsigned passed = 0, failed = 0;
    uint64_t points = 0, crashes = 0;
    bool wants_cut = argc == 2 && strcmp(argv[1], "cut") == 0;
    for (size_t i = 0; i < ARRAY_LEN(workloads); i++) {
        if (wants_cut ? !is_cut(&workloads[i]) : !is_chosen(&workloads[i], argc, argv)) {
            continue;
        }
        struct crash_case c = case_of(&workloads[i], wants_cut);
        struct crash_report r;
        int err = crash_run(&c, &r);
        points += r.ops;
        crashes += r.crashes;
        printf("%s %s (%s): %llu operations, %llu crashes\n", err == 0 ? "ok" : "FAILED", c.name,
               workloads[i].rows, (unsigned long long)r.ops, (unsigned long long)r.crashes);
        (void)fflush(stdout);
        passed += err == 0;
        failed += err != 0;
    }
    if (argc == 2 && strcmp(argv[1], "mutants") == 0) {
        failed += (unsigned)run_mutants(&passed);
    }
    printf("%llu disk operations, %llu crashed disks\n", (unsigned long long)points,
           (unsigned long long)crashes);
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
