/* SPDX-License-Identifier: Apache-2.0
 *
 * Random puts, deletes and leases against the model; restarts; values that are cold.
 */
#include "store_model.h"

#include <string.h>

static void check_state(struct world *w)
{
    for (int i = 0; i < WORLD_KEYS; i++) {
        struct wire_range_req req = {.key = world_key(i)};
        struct buf out = BUF_INIT;
        assert_int_equal(world_range(w, &req, 64, &out), 0);
        struct wire_range_resp resp;
        arena_reset(&w->arena);
        assert_int_equal(wire_range_resp_decode(buf_slice(&out), &w->arena, &resp), 0);
        const struct change *c = model_at(w, i, w->rev);
        assert_int_equal(resp.kv_count, c != NULL ? 1 : 0);
        assert_true(c == NULL || kv_is(&resp.kvs[0], c));
        buf_deinit(&out);
    }
}

static void run(uint64_t seed, unsigned cold)
{
    struct world w;
    world_init(&w, seed);
    for (int n = 0; n < 150; n++) {
        fake_backend_cold_set(w.backend, cold, w.rev - 5, seed);
        world_random_step(&w);
        if (n % 20 == 19) {
            world_check(&w);
            check_state(&w);
        }
        if (n % 60 == 59) {
            world_compact(&w, w.rev - (int64_t)prng_below(&w.prng, 10));
            world_check(&w);
        }
        if (n % 50 == 49) {
            world_restart(&w);
            world_check(&w);
            check_state(&w);
        }
    }
    assert_true(cold == 0 || w.fetches > 0);
    world_deinit(&w);
}

static void test_random_warm(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run(seed, 0);
    }
}

static void test_random_cold(void **state)
{
    (void)state;
    for (uint64_t seed = 50; seed <= 65; seed++) {
        run(seed, 60);
        run(seed, 100);
    }
}

/* A write that meets a cold value without a prefetch changes nothing. */
static void test_cold_write_has_no_effect(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    struct wire_put_req put = {.key = world_key(1), .value = SLICE_LIT("a")};
    assert_int_equal(world_put(&w, &put), 0);
    fake_backend_cold_set(w.backend, 100, 2, 0);
    put.prev_kv = true;
    struct buf body = BUF_INIT;
    assert_int_equal(mvcc_apply_put(w.store, &put, NULL, &body), ERR_COLD);
    assert_int_equal(mvcc_rev(w.store), 2);
    assert_int_equal(body.len, 0);
    mvcc_check(w.store);
    /* Nobody waits: the old value is not needed. */
    assert_int_equal(mvcc_prefetch_put(w.store, &put, false, w.values), 0);
    assert_int_equal(mvcc_apply_put(w.store, &put, NULL, NULL), 0);
    assert_int_equal(mvcc_rev(w.store), 3);
    world_deinit(&w);
}

/* Keys that name a lease that does not exist (a damaged lease bucket): kept, logged by the caller,
 * attached again when such a lease is granted and the key is put. */
static void test_stray_lease(void **state)
{
    (void)state;
    struct world w;
    int64_t ttl;
    world_init(&w, 1);
    assert_int_equal(lessor_grant(w.lessor, 7, 10, 0, &ttl), 0);
    struct wire_put_req put = {.key = world_key(1), .value = SLICE_LIT("a"), .lease = 7};
    assert_int_equal(world_put(&w, &put), 0);
    w.rev = 2;
    uint8_t id[8] = {0, 0, 0, 0, 0, 0, 0, 7};
    backend_delete(w.backend, FAKE_LEASE, slice_make(id, 8));
    world_restart(&w);
    assert_false(lessor_has(w.lessor, 7));
    struct wire_put_req keep = {.key = world_key(1), .value = SLICE_LIT("b"), .ignore_lease = true};
    assert_int_equal(world_put(&w, &keep), 0);
    assert_int_equal(lessor_grant(w.lessor, 7, 10, 0, &ttl), 0);
    assert_int_equal(world_put(&w, &put), 0);
    assert_int_equal(lessor_key_count(w.lessor, 7), 1);
    assert_int_equal(mvcc_apply_lease_revoke(w.store, 7), 0);
    assert_int_equal(mvcc_key_count(w.store), 0);
    world_deinit(&w);
}

struct list_source {
    const struct backend_rev *revs;
    const struct wire_kv *kvs;
    size_t count;
    size_t at;
    uint8_t key[BACKEND_TOMBSTONE_BYTES];
    uint8_t value[256];
    bool is_cut;
};

static int list_next(void *arg, struct slice *key, struct slice *value)
{
    struct list_source *l = arg;
    if (l->at == l->count) {
        return ERR_END;
    }
    *key = slice_make(l->key, backend_rev_encode(l->revs[l->at], l->key));
    wire_kv_encode(&l->kvs[l->at], l->value);
    *value = slice_make(l->value, wire_kv_size(&l->kvs[l->at]) - (l->is_cut ? 1 : 0));
    l->at++;
    return 0;
}

static int restore_list(const struct backend_rev *revs, const struct wire_kv *kvs, size_t n,
                        bool is_cut, int64_t finished, int64_t scheduled, int64_t *out_rev)
{
    struct world w;
    world_init(&w, 1);
    struct list_source l = {.revs = revs, .kvs = kvs, .count = n, .is_cut = is_cut};
    struct mvcc_source src = {list_next, &l};
    int err = mvcc_restore(w.store, &src, finished, scheduled);
    *out_rev = mvcc_rev(w.store);
    world_compact_finish(&w, 10);
    world_deinit(&w);
    return err;
}

static void test_restore_rules(void **state)
{
    (void)state;
    int64_t rev;
    struct wire_kv a = {.key = SLICE_LIT("a"), 2, 2, 1, SLICE_LIT("x"), 0};
    struct wire_kv marker = {0};
    struct backend_rev revs[] = {{2, 0, false}, {1002, 0, false}};
    struct wire_kv kvs[] = {a, marker};
    assert_int_equal(restore_list(revs, kvs, 0, false, -1, -1, &rev), 0);
    assert_int_equal(rev, 1);
    assert_int_equal(restore_list(revs, kvs, 1, false, -1, -1, &rev), 0);
    assert_int_equal(rev, 2);
    assert_int_equal(restore_list(revs, kvs, 0, false, 9, 9, &rev), 0); /* all compacted away */
    assert_int_equal(rev, 9);
    assert_int_equal(restore_list(revs, kvs, 0, false, 9, 12, &rev), 0); /* C4 */
    assert_int_equal(rev, 12);
    /* snapshot restore --bump-revision: an empty record that nobody sees */
    assert_int_equal(restore_list(revs, kvs, 2, false, -1, -1, &rev), 0);
    assert_int_equal(rev, 1002);
    assert_int_equal(restore_list(revs, kvs, 1, true, -1, -1, &rev), ERR_TRUNCATED);
    struct backend_rev twice[] = {{5, 0, false}, {3, 0, false}};
    struct wire_kv late = a;
    struct wire_kv two[] = {late, late};
    assert_int_equal(restore_list(twice, two, 2, false, -1, -1, &rev), ERR_CORRUPT);
    assert_int_equal(rev, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_warm),
        cmocka_unit_test(test_random_cold),
        cmocka_unit_test(test_cold_write_has_no_effect),
        cmocka_unit_test(test_stray_lease),
        cmocka_unit_test(test_restore_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
