/* SPDX-License-Identifier: Apache-2.0
 *
 * A member against a list of pairs: random requests in random order of events, with everything made
 * small so that segments, snapshots, batches, compaction and cold pages happen all the time; it is
 * stopped, killed and loses power in between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/prng.h"
#include "member_fixture.h"

enum { SEEDS = 500, STEPS = 120, KEYS = 12, VALUE_MAX = 700, KEY_BYTES = 8, BURST_MAX = 10 };

struct world {
    struct prng prng;
    struct sim_disk *disk;
    struct member_fixture m;
    char values[KEYS][VALUE_MAX]; /* "" = not there */
    int64_t rev;
    int64_t compact_rev;
    struct mvcc_hash_value hash; /* of hash.rev, while it can be asked for again */
    uint64_t seed;
};

static void configure(struct world *w)
{
    struct driver_config *c = &w->m.config;
    sim_order_set(sim_of(w->m.sim), SIM_ORDER_SEED);
    c->snapshot_count = 4 + prng_below(&w->prng, 20);
    c->snapshot_catchup = prng_below(&w->prng, 6);
    c->wal_segment_bytes = 4096 + 4096 * prng_below(&w->prng, 3);
    c->batch_ops = 1 + (uint32_t)prng_below(&w->prng, 20);
    c->compaction_batch = 1 + (uint32_t)prng_below(&w->prng, 5);
    c->page_cache_bytes = 4096 + 4096 * prng_below(&w->prng, 8);
    c->max_wals = 1;
    c->max_snapshots = 1;
}

static void start(struct world *w)
{
    if (mf_start(&w->m) != 0) {
        fail_msg("seed %llu: start: %s", (unsigned long long)w->seed, w->m.text);
    }
}

static void expect_state(struct world *w)
{
    struct buf want = BUF_INIT, found = BUF_INIT, why = BUF_INIT;
    int64_t rev = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        if (w->values[i][0] != 0) {
            buf_printf(&want, "k%02u=%s\n", i, w->values[i]);
        }
    }
    assert_int_equal(mf_dump(&w->m, &found, &rev), 0);
    if (!slice_equal(buf_slice(&want), buf_slice(&found)) || rev != w->rev) {
        fail_msg("seed %llu: revision %lld, expected %lld", (unsigned long long)w->seed,
                 (long long)rev, (long long)w->rev);
    }
    if (mf_verify(&w->m, &why) != 0) {
        fail_msg("seed %llu: %s", (unsigned long long)w->seed, buf_cstr(&why));
    }
    buf_deinit(&want);
    buf_deinit(&found);
    buf_deinit(&why);
}

static void put_or_delete(struct world *w)
{
    char key[KEY_BYTES];
    unsigned i = (unsigned)prng_below(&w->prng, KEYS);
    (void)snprintf(key, sizeof(key), "k%02u", i);
    if (prng_chance(&w->prng, 1, 4)) {
        w->rev += w->values[i][0] != 0;
        w->values[i][0] = 0;
        assert_int_equal(mf_delete(&w->m, key), 0);
        return;
    }
    size_t len = 1 + prng_below(&w->prng, VALUE_MAX - 1);
    memset(w->values[i], 'a' + (int)prng_below(&w->prng, 26), len);
    w->values[i][len] = 0;
    w->rev++;
    assert_int_equal(mf_put(&w->m, key, w->values[i]), 0);
}

static void compact(struct world *w)
{
    int64_t rev = (int64_t)prng_below(&w->prng, (uint64_t)w->rev + 1);
    int err = mf_compact(&w->m, rev, prng_chance(&w->prng, 1, 2));
    assert_int_equal(err, rev <= w->compact_rev ? ERR_RPC_COMPACTED : 0);
    if (err == 0) {
        w->compact_rev = rev;
    }
}

/* The hash of a revision stays what it was until that revision is compacted. */
static void hash(struct world *w)
{
    struct mvcc_hash_value now;
    bool is_known = w->hash.rev > w->compact_rev && w->hash.compact_rev == w->compact_rev;
    int64_t rev = is_known ? w->hash.rev : w->rev;
    assert_int_equal(mf_hash_kv(&w->m, rev, &now), 0);
    if (is_known && now.compact_rev == w->hash.compact_rev) {
        assert_int_equal(now.hash, w->hash.hash);
    }
    w->hash = now;
}

static void restart(struct world *w, bool has_power)
{
    if (prng_chance(&w->prng, 1, 2)) {
        assert_int_equal(mf_stop(&w->m), 0);
    } else if (has_power) {
        mf_die(&w->m);
    } else {
        sim_disk_power_cut_after(w->disk, sim_disk_op_count(w->disk));
        mf_die(&w->m);
    }
    if (!has_power) {
        sim_disk_crash(w->disk,
                       (enum sim_crash_policy)prng_below(&w->prng, SIM_CRASH_POLICIES_COUNT),
                       prng_next(&w->prng));
    }
    start(w);
    expect_state(w);
}

/* All of them by one value; those that were done, in the model. */
static void burst_done(struct world *w, const char *value, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(w->values[i], VALUE_MAX, "%s", value);
    }
    w->rev += (int64_t)count;
}

static int burst(struct world *w, char value[32], size_t *count, size_t *acked)
{
    *count = 1 + prng_below(&w->prng, BURST_MAX);
    (void)snprintf(value, 32, "burst%llu", (unsigned long long)prng_below(&w->prng, 1000000));
    w->m.is_wal_slow = *count > 2 && prng_chance(&w->prng, 1, 4);
    int err = mf_put_burst(&w->m, "k0", value, *count, acked);
    w->m.is_wal_slow = false;
    return err;
}

static void burst_whole(struct world *w)
{
    char value[32];
    size_t count, acked;
    assert_int_equal(burst(w, value, &count, &acked), 0);
    assert_int_equal(acked, count);
    burst_done(w, value, count);
}

/* The power goes in the middle: what was acknowledged is there, and not more than was asked for. */
static void power_cut(struct world *w)
{
    char value[32];
    size_t count = 0, acked = 0;
    int64_t asked_rev = w->compact_rev;
    sim_disk_power_cut_after(w->disk, sim_disk_op_count(w->disk) + prng_below(&w->prng, 25));
    uint64_t dice = prng_below(&w->prng, 6);
    if (dice == 0) {
        (void)mf_defrag(&w->m);
    } else if (dice == 1 && w->rev > w->compact_rev) {
        asked_rev = w->rev;
        w->compact_rev = mf_compact(&w->m, w->rev, true) == 0 ? w->rev : w->compact_rev;
    }
    if (!w->m.is_failed) {
        (void)burst(w, value, &count, &acked);
    }
    mf_die(&w->m);
    sim_disk_crash(w->disk, (enum sim_crash_policy)prng_below(&w->prng, SIM_CRASH_POLICIES_COUNT),
                   prng_next(&w->prng));
    start(w);
    struct mvcc_store *store = core_store(driver_core(w->m.driver));
    int64_t done = mvcc_rev(store) - w->rev;
    assert_true(done >= (int64_t)acked && done <= (int64_t)count);
    burst_done(w, value, (size_t)done);
    int64_t compact_rev = mvcc_compact_rev(store);
    if (compact_rev != w->compact_rev && compact_rev != asked_rev) {
        fail_msg("seed %llu: compacted %lld, not %lld or %lld", (unsigned long long)w->seed,
                 (long long)compact_rev, (long long)w->compact_rev, (long long)asked_rev);
    }
    w->compact_rev = compact_rev;
    expect_state(w);
}

static void step(struct world *w)
{
    uint64_t dice = prng_below(&w->prng, 100);
    if (dice < 62) {
        put_or_delete(w);
    } else if (dice < 66) {
        burst_whole(w);
    } else if (dice < 70) {
        power_cut(w);
    } else if (dice < 78) {
        mf_wait_ms(&w->m, prng_below(&w->prng, 300));
    } else if (dice < 83) {
        compact(w);
    } else if (dice < 87) {
        hash(w);
    } else if (dice < 90) {
        assert_int_equal(mf_defrag(&w->m), 0);
    } else if (dice < 94) {
        expect_state(w);
    } else {
        restart(w, dice < 97);
    }
}

static void run(uint64_t seed)
{
    struct world *w = mem_zalloc(sizeof(*w));
    w->seed = seed;
    prng_init(&w->prng, seed);
    w->disk = sim_disk_create();
    member_fixture_init(&w->m, sim_disk_env(w->disk));
    w->rev = 1;
    w->compact_rev = -1;
    configure(w);
    start(w);
    for (int i = 0; i < STEPS; i++) {
        step(w);
    }
    expect_state(w);
    member_fixture_deinit(&w->m);
    sim_disk_destroy(w->disk);
    mem_free(w);
}

/* SOAK_SEED=n repeats one, SOAK_SEEDS=n runs more. */
static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void small_everything(void **state)
{
    (void)state;
    uint64_t one = number_of("SOAK_SEED", 0);
    uint64_t last = one != 0 ? one : number_of("SOAK_SEEDS", SEEDS);
    for (uint64_t seed = one != 0 ? one : 1; seed <= last; seed++) {
        run(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(small_everything)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
