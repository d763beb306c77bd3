/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/prng.h"
#include "lease/lease_keys.h"
#include "lease/lessor.h"
#include "lib/fake_backend.h"

struct fixture {
    struct backend *backend;
    struct lessor *l;
};

static void open_lessor(struct fixture *f, bool checkpoints)
{
    struct lessor_options o = {.backend = f->backend,
                               .bucket_lease = FAKE_LEASE,
                               .min_ttl_s = 2,
                               .hash_seed = 99,
                               .is_checkpointing = checkpoints};
    f->l = lessor_create(&o);
}

static void setup(struct fixture *f, bool checkpoints)
{
    f->backend = fake_backend_create();
    open_lessor(f, checkpoints);
}

static void teardown(struct fixture *f)
{
    lessor_check(f->l);
    lessor_destroy(f->l);
    fake_backend_destroy(f->backend);
}

static int64_t grant(struct fixture *f, int64_t id, int64_t ttl_s, uint64_t now_ms)
{
    int64_t out = -1;
    assert_int_equal(lessor_grant(f->l, id, ttl_s, now_ms, &out), 0);
    return out;
}

static void test_grant(void **state)
{
    (void)state;
    struct fixture f;
    int64_t ttl = -1;
    setup(&f, false);
    assert_int_equal(lessor_grant(f.l, 0, 10, 0, &ttl), ERR_RPC_LEASE_NOT_FOUND);
    assert_int_equal(lessor_grant(f.l, 1, LIMIT_LEASE_TTL_S + 1, 0, &ttl),
                     ERR_RPC_LEASE_TTL_TOO_LARGE);
    assert_int_equal(ttl, -1);
    assert_int_equal(grant(&f, 1, LIMIT_LEASE_TTL_S, 0), LIMIT_LEASE_TTL_S);
    assert_int_equal(grant(&f, -5, 1, 0), 2); /* raised to the minimum */
    assert_int_equal(grant(&f, 7, -100, 0), 2);
    assert_int_equal(lessor_grant(f.l, 7, 10, 0, &ttl), ERR_RPC_LEASE_EXISTS);
    assert_int_equal(lessor_count(f.l), 3);
    assert_true(lessor_has(f.l, -5));
    assert_false(lessor_has(f.l, 5));
    assert_int_equal(lessor_remove(f.l, 5), ERR_RPC_LEASE_NOT_FOUND);
    assert_int_equal(lessor_remove(f.l, -5), 0);
    assert_false(lessor_has(f.l, -5));
    assert_int_equal(fake_backend_row_count(f.backend, FAKE_LEASE), 2);
    teardown(&f);
}

/* The bytes that etcd writes (storage-formats 2.1). */
static void test_row(void **state)
{
    (void)state;
    struct fixture f;
    static const uint8_t key[] = {0x62, 0xcb, 0xa2, 0x0c, 0x21, 0x51, 0x3e, 0x09};
    static const uint8_t want[] = {0x08, 0x89, 0xfc, 0xc4, 0x8a, 0xc2, 0xc1,
                                   0xe8, 0xe5, 0x62, 0x10, 0x90, 0x1c};
    struct slice row;
    setup(&f, false);
    (void)grant(&f, 0x62cba20c21513e09, 3600, 0);
    assert_true(fake_backend_row(f.backend, FAKE_LEASE, slice_make(key, 8), &row));
    assert_int_equal(row.len, sizeof(want));
    assert_memory_equal(row.data, want, sizeof(want));
    lessor_checkpoint(f.l, 0x62cba20c21513e09, 1800, false, 0);
    assert_true(fake_backend_row(f.backend, FAKE_LEASE, slice_make(key, 8), &row));
    assert_int_equal(row.len, sizeof(want));
    lessor_checkpoint(f.l, 0x62cba20c21513e09, 1800, true, 0);
    lessor_checkpoint(f.l, 77, 1800, true, 0); /* unknown: ignored */
    assert_true(fake_backend_row(f.backend, FAKE_LEASE, slice_make(key, 8), &row));
    assert_int_equal(row.len, sizeof(want) + 3);

    struct fixture g = {.backend = f.backend};
    open_lessor(&g, false);
    assert_int_equal(lessor_load(g.l, slice_make(key, 8), row), 0);
    struct lease_info info;
    assert_int_equal(lessor_info(g.l, 0x62cba20c21513e09, 0, &info), 0);
    assert_int_equal(info.granted_ttl_s, 3600);
    assert_int_equal(info.remaining_ttl_s, 1800);
    assert_int_not_equal(lessor_load(g.l, slice_make(key, 8), row), 0); /* twice */
    assert_int_not_equal(lessor_load(g.l, slice_make(key, 7), row), 0);
    assert_int_not_equal(lessor_load(g.l, slice_make(want, 8), row), 0); /* another id */
    assert_int_not_equal(lessor_load(g.l, slice_make(key, 8), slice_make(want, 5)), 0);
    lessor_destroy(g.l);
    teardown(&f);
}

static void test_expiry(void **state)
{
    (void)state;
    struct fixture f;
    int64_t ids[8];
    int64_t ttl;
    bool needs;
    setup(&f, false);
    (void)grant(&f, 1, 10, 0);
    assert_int_equal(lessor_expired(f.l, UINT64_MAX - 1, ids, 8), 0); /* not primary */
    assert_int_equal(lessor_renew(f.l, 1, 0, &ttl, &needs), ERR_RPC_NOT_PRIMARY_LESSOR);
    lessor_promote(f.l, 1000, 1500);
    assert_int_equal(lessor_next_expiry_ms(f.l), 12500);
    (void)grant(&f, 2, 5, 1000);
    (void)grant(&f, 3, 5, 1000);
    lessor_check(f.l);
    assert_int_equal(lessor_expired(f.l, 5999, ids, 8), 0);
    assert_int_equal(lessor_expired(f.l, 6000, ids, 8), 2);
    assert_int_equal(ids[0], 2);
    assert_int_equal(ids[1], 3);
    /* Listed again only after the retry interval. */
    assert_int_equal(lessor_expired(f.l, 6000 + LEASE_RETRY_MS - 1, ids, 8), 0);
    assert_int_equal(lessor_expired(f.l, 6000 + LEASE_RETRY_MS, ids, 1), 1);
    assert_int_equal(ids[0], 2);
    assert_int_equal(lessor_renew(f.l, 2, 7000, &ttl, &needs), ERR_AGAIN); /* too late */
    assert_int_equal(lessor_remove(f.l, 2), 0);
    assert_int_equal(lessor_renew(f.l, 2, 7000, &ttl, &needs), ERR_RPC_LEASE_NOT_FOUND);
    assert_int_equal(lessor_renew(f.l, 1, 12000, &ttl, &needs), 0);
    assert_int_equal(ttl, 10);
    assert_false(needs);
    assert_int_equal(lessor_expired(f.l, 20000, ids, 8), 1); /* lease 3 again */
    lessor_check(f.l);
    struct lease_info info;
    assert_int_equal(lessor_info(f.l, 1, 20001, &info), 0);
    assert_int_equal(info.left_s, 1);
    lessor_demote(f.l);
    assert_int_equal(lessor_expired(f.l, UINT64_MAX - 1, ids, 8), 0);
    assert_int_equal(lessor_next_expiry_ms(f.l), UINT64_MAX);
    teardown(&f);
}

static void test_checkpoints(void **state)
{
    (void)state;
    struct fixture f;
    struct lease_checkpoint cp[4];
    int64_t ttl;
    bool needs;
    setup(&f, true);
    lessor_promote(f.l, 0, 0);
    (void)grant(&f, 1, 300, 0); /* not more than the interval: none */
    (void)grant(&f, 2, 1000, 0);
    assert_int_equal(lessor_checkpoints(f.l, LEASE_CHECKPOINT_MS - 1, cp, 4), 0);
    assert_int_equal(lessor_checkpoints(f.l, LEASE_CHECKPOINT_MS + 500, cp, 4), 1);
    assert_int_equal(cp[0].id, 2);
    assert_int_equal(cp[0].remaining_ttl_s, 700); /* 699.5 rounded up */
    assert_int_equal(lessor_checkpoints(f.l, LEASE_CHECKPOINT_MS + 500, cp, 4), 0);
    lessor_checkpoint(f.l, 2, 700, true, 301000);
    assert_int_equal(lessor_checkpoints(f.l, 301000 + LEASE_CHECKPOINT_MS, cp, 4), 1);
    /* A renewal first clears the checkpoint through the log. */
    assert_int_equal(lessor_renew(f.l, 2, 310000, &ttl, &needs), 0);
    assert_true(needs);
    lessor_checkpoint(f.l, 2, 0, true, 310001);
    assert_int_equal(lessor_renew(f.l, 2, 310002, &ttl, &needs), 0);
    assert_false(needs);
    struct lease_info info;
    assert_int_equal(lessor_info(f.l, 2, 310002, &info), 0);
    assert_int_equal(info.left_s, 1000);
    /* A new leader starts from what is left. */
    lessor_checkpoint(f.l, 2, 40, true, 320000);
    lessor_demote(f.l);
    lessor_promote(f.l, 400000, 1000);
    assert_int_equal(lessor_info(f.l, 2, 400000, &info), 0);
    assert_int_equal(info.left_s, 41);
    teardown(&f);
}

/* From LEASE_REVOKE_RATE leases on, no second gets more than about 3/4 of the rate. */
static void test_spread(void **state)
{
    (void)state;
    struct fixture f;
    enum { N = 5000, SECONDS = 40 };
    setup(&f, false);
    for (int i = 1; i <= N; i++) {
        (void)grant(&f, i, 10, 0);
    }
    lessor_promote(f.l, 0, 0);
    lessor_check(f.l);
    unsigned per_s[SECONDS] = {0};
    int64_t *ids = malloc(N * sizeof(*ids));
    lessor_list(f.l, ids);
    for (int i = 0; i < N; i++) {
        struct lease_info info;
        assert_int_equal(lessor_info(f.l, ids[i], 0, &info), 0);
        assert_in_range(info.left_s, 10, SECONDS - 1); /* never before the TTL */
        per_s[info.left_s]++;
    }
    for (int s = 0; s < SECONDS; s++) {
        assert_true(per_s[s] <= LEASE_REVOKE_RATE);
    }
    free(ids);
    teardown(&f);
}

static void test_list(void **state)
{
    (void)state;
    struct fixture f;
    int64_t ids[3];
    setup(&f, false);
    lessor_promote(f.l, 0, 0);
    (void)grant(&f, 3, 30, 0);
    (void)grant(&f, 1, 50, 0);
    (void)grant(&f, 2, 10, 0);
    lessor_list(f.l, ids);
    assert_int_equal(ids[0], 2);
    assert_int_equal(ids[1], 3);
    assert_int_equal(ids[2], 1);
    lessor_demote(f.l);
    lessor_list(f.l, ids);
    assert_int_equal(ids[0], 1);
    lessor_reset(f.l);
    assert_int_equal(lessor_count(f.l), 0);
    teardown(&f);
}

/* ---- keys of a lease ---- */

enum { KEYS = 600 };

static struct slice name(int i, char b[16])
{
    return slice_make(b, (size_t)snprintf(b, 16, "k%04d", i));
}

static void check_keys(struct lessor *l, const bool *has)
{
    size_t want = 0;
    size_t count = lessor_key_count(l, 1);
    for (int i = 0; i < KEYS; i++) {
        char b[16];
        if (has[i]) {
            assert_true(want < count);
            assert_true(slice_equal(lessor_key_at(l, 1, want), name(i, b)));
            want++;
        }
    }
    assert_int_equal(count, want);
}

static void test_keys_random(void **state)
{
    (void)state;
    struct prng p;
    prng_init(&p, 5);
    for (int round = 0; round < 6; round++) {
        struct fixture f;
        bool has[KEYS] = {false};
        setup(&f, false);
        (void)grant(&f, 1, 10, 0);
        for (int n = 0; n < 6000; n++) {
            char b[16];
            int i = (int)prng_below(&p, round % 2 == 0 ? KEYS : 20);
            if (!has[i]) {
                assert_true(lessor_attach(f.l, 1, name(i, b)));
            } else {
                lessor_detach(f.l, 1, name(i, b));
            }
            has[i] = !has[i];
            if (n % 500 == 0) {
                lessor_check(f.l);
                check_keys(f.l, has);
            }
        }
        check_keys(f.l, has);
        char b[16];
        assert_false(lessor_attach(f.l, 2, name(0, b)));
        lessor_detach(f.l, 2, name(0, b)); /* nothing happens */
        assert_int_equal(lessor_key_count(f.l, 2), 0);
        teardown(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grant),       cmocka_unit_test(test_row),
        cmocka_unit_test(test_expiry),      cmocka_unit_test(test_checkpoints),
        cmocka_unit_test(test_spread),      cmocka_unit_test(test_list),
        cmocka_unit_test(test_keys_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
