/* SPDX-License-Identifier: Apache-2.0
 *
 * Compaction: what is removed, in slices, across restarts in the middle; order of the meta rows.
 */
#include "store_model.h"

#include <stdio.h>
#include <string.h>

/* Records that must be there after a compaction at c is finished: 6.4. */
static size_t records_wanted(const struct world *w, int64_t c)
{
    size_t n = 0;
    for (size_t i = 0; i < w->changes_len; i++) {
        const struct change *x = &w->changes[i];
        bool is_newest = model_at(w, x->key, c) == x;
        n += x->main > c || is_newest || (x->main == c && x->is_delete) ? 1 : 0;
    }
    return n;
}

static bool has_row(const struct world *w, const char *name)
{
    struct slice v;
    return fake_backend_row(w->backend, FAKE_META, slice_cstr(name), &v);
}

static void check_reads(struct world *w, int64_t from)
{
    for (int64_t rev = from < 1 ? 1 : from; rev <= w->rev; rev++) {
        struct wire_range_req req = {
            .key = world_key(0), .range_end = slice_make("", 1), .revision = rev};
        const struct change *found[WORLD_KEYS];
        size_t n = model_range(w, 0, WORLD_KEYS, rev, found);
        struct buf out = BUF_INIT;
        assert_int_equal(world_range(w, &req, 100, &out), 0);
        struct wire_range_resp resp;
        arena_reset(&w->arena);
        assert_int_equal(wire_range_resp_decode(buf_slice(&out), &w->arena, &resp), 0);
        assert_int_equal(resp.kv_count, n);
        for (size_t i = 0; i < n; i++) {
            assert_true(kv_is(&resp.kvs[i], found[i]));
        }
        buf_deinit(&out);
    }
}

static int64_t pick(struct world *w)
{
    return w->compacted + 1 + (int64_t)prng_below(&w->prng, (uint64_t)(w->rev - w->compacted));
}

static void test_random(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world w;
        world_init(&w, seed);
        for (int n = 0; n < 150; n++) {
            world_random_step(&w);
            if (n % 25 == 24 && w.rev > w.compacted) {
                world_compact(&w, pick(&w));
                assert_int_equal(fake_backend_record_count(w.backend),
                                 records_wanted(&w, w.compacted));
                check_reads(&w, w.compacted);
                world_check(&w);
            }
        }
        world_deinit(&w);
    }
}

/* C2: a crash after any number of slices; the restored store does the rest. Writes go on between
 * the slices. */
static void test_restart_in_the_middle(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world w;
        world_init(&w, seed);
        for (int n = 0; n < 100; n++) {
            world_random_step(&w);
        }
        int64_t c = pick(&w);
        assert_int_equal(mvcc_compact(w.store, c), 0);
        w.compacted = c;
        assert_true(has_row(&w, "scheduledCompactRev"));
        mvcc_compact_hash_skip(w.store);
        size_t slices = prng_below(&w.prng, 12);
        for (size_t i = 0; i < slices; i++) {
            assert_false(has_row(&w, "finishedCompactRev"));
            (void)mvcc_compact_step(w.store, 1 + prng_below(&w.prng, 6));
            if (mvcc_compact_state(w.store) == MVCC_COMPACT_IDLE) {
                break;
            }
            world_random_step(&w);
            check_reads(&w, c);
        }
        bool was_finished = mvcc_compact_state(w.store) == MVCC_COMPACT_IDLE;
        world_restart(&w);
        assert_int_equal(mvcc_compact_state(w.store),
                         was_finished ? MVCC_COMPACT_IDLE : MVCC_COMPACT_RUN);
        check_reads(&w, c);
        world_compact_finish(&w, 10);
        assert_true(has_row(&w, "finishedCompactRev"));
        assert_int_equal(fake_backend_record_count(w.backend), records_wanted(&w, c));
        struct mvcc_hash_value cached[MVCC_HASHES_MAX];
        assert_int_equal(mvcc_hash_cached(w.store, cached), 0);
        world_check(&w);
        world_deinit(&w);
    }
}

static void test_hot_key(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    struct wire_put_req put = {.key = SLICE_LIT("hot"), .value = SLICE_LIT("v")};
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(mvcc_apply_put(w.store, &put, NULL, NULL), 0);
    }
    assert_int_equal(mvcc_compact(w.store, 2900), 0);
    mvcc_compact_hash_skip(w.store);
    size_t steps = 0;
    while (mvcc_compact_state(w.store) == MVCC_COMPACT_RUN) {
        assert_true(mvcc_compact_step(w.store, 1000) <= 1000);
        mvcc_check(w.store);
        steps++;
    }
    assert_true(steps >= 3);
    assert_int_equal(fake_backend_record_count(w.backend), 102);
    struct wire_range_req r = {.key = put.key, .revision = 2950};
    struct mvcc_plan plan;
    assert_int_equal(mvcc_plan_range(w.store, &r, &plan), 0);
    assert_int_equal(plan.items[0].main, 2950);
    mvcc_plan_end(&plan);
    world_deinit(&w);
}

static void test_pins(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    struct wire_put_req put = {.key = SLICE_LIT("k"), .value = SLICE_LIT("v")};
    for (int i = 0; i < 10; i++) {
        assert_int_equal(mvcc_apply_put(w.store, &put, NULL, NULL), 0);
    }
    struct mvcc_pin old;
    struct mvcc_pin exact;
    struct mvcc_pin newer;
    mvcc_pin_add(w.store, &old, 5);
    mvcc_pin_add(w.store, &exact, 6);
    mvcc_pin_add(w.store, &newer, 9);
    assert_int_equal(mvcc_compact(w.store, 6), 0);
    assert_int_equal(mvcc_compact_state(w.store), MVCC_COMPACT_HASH);
    mvcc_compact_hash_skip(w.store);
    assert_int_equal(mvcc_compact_state(w.store), MVCC_COMPACT_HELD);
    assert_int_equal(mvcc_compact_step(w.store, 100), 0);
    mvcc_pin_remove(&old);
    assert_int_equal(mvcc_compact_state(w.store), MVCC_COMPACT_RUN);
    assert_int_equal(mvcc_compact_step(w.store, 100), 4);
    assert_int_equal(mvcc_compact_state(w.store), MVCC_COMPACT_IDLE);
    mvcc_pin_remove(&exact);
    mvcc_pin_remove(&newer);
    world_deinit(&w);
}

static void test_bounds(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    assert_int_equal(mvcc_compact(w.store, -1), ERR_RPC_COMPACTED);
    assert_int_equal(mvcc_compact(w.store, 2), ERR_RPC_FUTURE_REV);
    assert_int_equal(mvcc_compact(w.store, 0), 0);
    assert_int_equal(mvcc_compact_state(w.store), MVCC_COMPACT_RUN); /* no hash of revision 0 */
    assert_int_equal(mvcc_compact(w.store, 0), ERR_RPC_COMPACTED);
    assert_int_equal(mvcc_compact(w.store, 1), 0); /* the current revision */
    world_compact_finish(&w, 10);
    assert_int_equal(mvcc_compact_finished_rev(w.store), 1);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),  cmocka_unit_test(test_restart_in_the_middle),
        cmocka_unit_test(test_hot_key), cmocka_unit_test(test_pins),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
