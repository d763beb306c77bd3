/* SPDX-License-Identifier: Apache-2.0
 *
 * HashKV: the vector of storage-formats 6.5, and random histories against the rule coded naively.
 */
#include "store_model.h"

#include <string.h>

#include "base/hash.h"

/* ---- the vector ---- */

static void put(struct world *w, const char *key, const char *value)
{
    struct wire_put_req r = {.key = slice_cstr(key), .value = slice_cstr(value)};
    assert_int_equal(mvcc_apply_put(w->store, &r, NULL, NULL), 0);
}

static void del(struct world *w, const char *key)
{
    struct wire_delete_req r = {.key = slice_cstr(key)};
    assert_int_equal(mvcc_apply_delete(w->store, &r, NULL, NULL), 0);
}

static void expect(struct world *w, int64_t rev, uint32_t hash, int64_t compact_rev)
{
    struct mvcc_hash_value v = world_hash(w, rev);
    assert_int_equal(v.hash, hash);
    assert_int_equal(v.compact_rev, compact_rev);
    assert_int_equal(v.rev, rev == 0 ? mvcc_rev(w->store) : rev);
}

static void test_vector(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    expect(&w, 0, 1084519789u, -1); /* empty store */
    put(&w, "foo", "1");
    put(&w, "foo", "2");
    put(&w, "bar", "1");
    del(&w, "bar");
    put(&w, "baz", "1");
    put(&w, "foo", "3");
    del(&w, "foo");
    put(&w, "q", "1");
    put(&w, "foo", "4");
    put(&w, "bar", "9");
    w.rev = 11;
    expect(&w, 5, 3223888553u, -1);
    expect(&w, 8, 4040846227u, -1);
    expect(&w, 9, 799022201u, -1);
    expect(&w, 11, 162030792u, -1);
    expect(&w, 0, 162030792u, -1);
    world_compact(&w, 8);
    expect(&w, 8, 4040846227u, -1); /* from the cache */
    expect(&w, 9, 1833930795u, 8);
    expect(&w, 10, 3766724399u, 8);
    expect(&w, 11, 437712208u, 8);
    assert_int_equal(fake_backend_record_count(w.backend), 5);
    world_restart(&w);
    expect(&w, 8, 1645425002u, 8);
    expect(&w, 9, 1833930795u, 8);
    struct mvcc_hash_value v;
    struct mvcc_hash *h;
    assert_int_equal(mvcc_hash_begin(w.store, 7, &v, &h), ERR_RPC_COMPACTED);
    assert_int_equal(mvcc_hash_begin(w.store, 12, &v, &h), ERR_RPC_FUTURE_REV);
    world_deinit(&w);
}

/* ---- the rule, naively ---- */

/* Is the change the one that 6.5 keeps of its key at revision rev? */
static bool is_kept(const struct world *w, const struct change *c, int64_t rev)
{
    const struct change *newest = model_at(w, c->key, rev);
    return newest == c;
}

static uint32_t naive_hash(const struct world *w, int64_t rev, int64_t compact_rev)
{
    bool is_keep_empty = true;
    for (int i = 0; i < WORLD_KEYS; i++) {
        is_keep_empty = is_keep_empty && model_at(w, i, rev) == NULL;
    }
    uint32_t crc = crc32c(0, "key", 3);
    for (size_t i = 0; i < w->changes_len; i++) {
        const struct change *c = &w->changes[i];
        /* What a compaction removed is not there: not visible at compact_rev and not above it, but
         * for a tombstone exactly there. */
        bool is_there = c->main > compact_rev || is_kept(w, c, compact_rev) ||
                        (c->main == compact_rev && c->is_delete);
        if (!is_there || c->main > rev || (c->main == compact_rev && c->is_delete) ||
            (c->main <= compact_rev && !is_keep_empty && !is_kept(w, c, rev))) {
            continue;
        }
        uint8_t key[BACKEND_TOMBSTONE_BYTES];
        uint8_t value[256];
        struct wire_kv kv = {world_key(c->key), c->create_rev,        c->is_delete ? 0 : c->main,
                             c->version,        slice_cstr(c->value), c->lease};
        size_t n = backend_rev_encode((struct backend_rev){c->main, c->sub, c->is_delete}, key);
        wire_kv_encode(&kv, value);
        crc = crc32c(crc, key, n);
        crc = crc32c(crc, value, wire_kv_size(&kv));
    }
    return crc;
}

static void test_random(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 25; seed++) {
        struct world w;
        world_init(&w, seed);
        for (int n = 0; n < 120; n++) {
            world_random_step(&w);
            if (n % 40 == 39) {
                int64_t c =
                    w.compacted + 1 + (int64_t)prng_below(&w.prng, (uint64_t)(w.rev - w.compacted));
                uint32_t before = naive_hash(&w, c, w.compacted);
                int64_t prev = w.compacted;
                world_compact(&w, c);
                struct mvcc_hash_value v = world_hash(&w, c);
                if (c > 0) {
                    assert_int_equal(v.hash, before);
                    assert_int_equal(v.compact_rev, prev);
                }
            }
            int64_t lo = w.compacted < 1 ? 1 : w.compacted + 1;
            if (n % 3 == 0 && lo <= w.rev) {
                int64_t rev = lo + (int64_t)prng_below(&w.prng, (uint64_t)(w.rev - lo) + 1);
                assert_int_equal(world_hash(&w, rev).hash, naive_hash(&w, rev, w.compacted));
            }
        }
        world_deinit(&w);
    }
}

/* The same HashKV before, during and after the physical part; held while it is prepared. */
static void test_during_compaction(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 3);
    for (int n = 0; n < 150; n++) {
        world_random_step(&w);
    }
    int64_t c = w.rev - 20;
    assert_int_equal(mvcc_compact(w.store, c), 0);
    w.compacted = c;
    uint32_t want = naive_hash(&w, w.rev, c);
    struct mvcc_hash *mine = mvcc_compact_hash_begin(w.store);
    assert_int_equal(world_hash(&w, w.rev).hash, want);
    mvcc_hash_end(mine, false); /* the job failed: no hash, but the compaction goes on */
    while (mvcc_compact_state(w.store) != MVCC_COMPACT_IDLE) {
        struct mvcc_hash_value v;
        struct mvcc_hash *h;
        assert_int_equal(world_hash(&w, w.rev).hash, want);
        assert_int_equal(mvcc_hash_begin(w.store, 0, &v, &h), 0);
        assert_int_equal(mvcc_compact_state(w.store), MVCC_COMPACT_HELD);
        assert_int_equal(mvcc_compact_step(w.store, 5), 0);
        mvcc_hash_end(h, false);
        (void)mvcc_compact_step(w.store, 5);
    }
    assert_int_equal(world_hash(&w, w.rev).hash, want);
    struct mvcc_hash_value cached[MVCC_HASHES_MAX];
    assert_int_equal(mvcc_hash_cached(w.store, cached), 0);
    world_deinit(&w);
}

static void test_cache(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 3);
    assert_int_equal(mvcc_compact(w.store, 0), 0); /* allowed once, never cached */
    world_compact_finish(&w, 10);
    w.compacted = 0;
    for (int i = 0; i < 15; i++) {
        put(&w, "a", "b");
        w.rev++;
        world_compact(&w, w.rev);
    }
    struct mvcc_hash_value cached[MVCC_HASHES_MAX];
    assert_int_equal(mvcc_hash_cached(w.store, cached), MVCC_HASHES_MAX);
    assert_int_equal(cached[0].rev, 7);
    assert_int_equal(cached[9].rev, 16);
    assert_int_equal(cached[9].compact_rev, 15);
    /* A second compaction before the first is finished has no hash. */
    put(&w, "a", "b");
    assert_int_equal(mvcc_compact(w.store, 17), 0);
    put(&w, "a", "b");
    assert_int_equal(mvcc_compact(w.store, 18), 0);
    mvcc_compact_hash_skip(w.store);
    world_compact_finish(&w, 10);
    assert_int_equal(mvcc_compact_finished_rev(w.store), 18);
    assert_int_equal(mvcc_hash_cached(w.store, cached), MVCC_HASHES_MAX);
    assert_int_equal(cached[9].rev, 16);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_during_compaction),
        cmocka_unit_test(test_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
