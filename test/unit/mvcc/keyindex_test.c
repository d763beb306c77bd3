/* SPDX-License-Identifier: Apache-2.0
 *
 * Random histories against etcd's generations (index_model).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/prng.h"
#include "index_model.h"
#include "mvcc/keyindex.h"

enum { KEYS = 24 };

struct fixture {
    struct keyindex x;
    struct model_key *keys; /* KEYS, in key order */
    struct prng prng;
    int64_t rev;
    int64_t compacted;
};

static struct slice key_name(int i, char buf[32])
{
    int n = snprintf(buf, 32, "/registry/pods/k%03d", i);
    return slice_make(buf, (size_t)n);
}

static void fixture_init(struct fixture *f, uint64_t seed)
{
    keyindex_init(&f->x);
    f->keys = mem_zalloc(KEYS * sizeof(*f->keys));
    prng_init(&f->prng, seed);
    f->rev = 1;
    f->compacted = -1;
}

static void fixture_deinit(struct fixture *f)
{
    keyindex_deinit(&f->x);
    mem_free(f->keys);
}

static void put(struct fixture *f, int i, int64_t sub)
{
    char name[32];
    struct slice key = key_name(i, name);
    struct model_rev rev = {f->rev, sub, (uint32_t)prng_below(&f->prng, 300),
                            (int64_t)prng_below(&f->prng, 3)};
    struct keyindex_pos pos;
    keyindex_find(&f->x, key, &pos);
    keyindex_put(&f->x, &pos, key, rev.main, rev.sub, rev.len, rev.lease);
    model_put(&f->keys[i], rev);
}

static void tombstone(struct fixture *f, int i, int64_t sub)
{
    char name[32];
    struct slice key = key_name(i, name);
    struct model_rev rev = {f->rev, sub, (uint32_t)key.len + 2, 0};
    struct keyindex_pos pos;
    keyindex_find(&f->x, key, &pos);
    assert_non_null(pos.rec);
    keyindex_tombstone(&f->x, &pos, rev.main, rev.sub, rev.len);
    model_tombstone(&f->keys[i], rev);
}

/* One transaction: distinct keys, now and then a put and a later delete of one key. */
static void step(struct fixture *f)
{
    f->rev++;
    int64_t sub = 0;
    int changes = 1 + (int)prng_below(&f->prng, 3);
    int first = (int)prng_below(&f->prng, KEYS);
    for (int c = 0; c < changes; c++) {
        int i = (first + c * 5) % KEYS;
        if (model_is_live(&f->keys[i]) && prng_chance(&f->prng, 2, 5)) {
            tombstone(f, i, sub++);
        } else {
            put(f, i, sub++);
            if (prng_chance(&f->prng, 1, 8)) {
                tombstone(f, i, sub++);
            }
        }
    }
}

static void check_get(struct fixture *f, int i, int64_t at)
{
    char name[32];
    struct keyrec_state got;
    struct model_state want;
    bool has = model_get(&f->keys[i], at, &want);
    assert_int_equal(keyindex_get(&f->x, key_name(i, name), at, &got), has);
    if (has) {
        assert_int_equal(got.main, want.main);
        assert_int_equal(got.sub, want.sub);
        assert_int_equal(got.create_rev, want.create_rev);
        assert_int_equal(got.version, want.version);
        assert_int_equal(got.len, want.len);
    }
}

static void check_range(struct fixture *f, int from, int to, int64_t at)
{
    char a[32];
    char b[32];
    struct keyrange r = keyrange_make(key_name(from, a), key_name(to, b));
    struct keyindex_iter it;
    keyindex_iter_init(&it, &f->x, r.key, r.end, r.is_open_end, at);
    struct keyrec_state got;
    struct keysum sum = {0, 0};
    for (int i = from; i < to; i++) {
        struct model_state want;
        if (!model_get(&f->keys[i], at, &want)) {
            continue;
        }
        char name[32];
        struct keyrec *rec = keyindex_iter_next(&it, &got);
        assert_non_null(rec);
        assert_true(slice_equal(keyrec_key(rec), key_name(i, name)));
        assert_int_equal(got.main, want.main);
        sum.count++;
        sum.bytes += 1 + varint_len(want.len) + want.len;
    }
    assert_null(keyindex_iter_next(&it, &got));
    if (at >= f->rev) {
        struct keysum s = keyindex_sum(&f->x, &r);
        assert_int_equal(s.count, sum.count);
        assert_int_equal(s.bytes, sum.bytes);
    }
}

static void check_lease(struct fixture *f, int i)
{
    char name[32];
    struct keyindex_pos pos;
    struct model_state want;
    keyindex_find(&f->x, key_name(i, name), &pos);
    if (model_get(&f->keys[i], f->rev, &want)) {
        assert_int_equal(pos.rec->lease, want.lease);
    } else if (pos.rec != NULL) {
        assert_int_equal(pos.rec->lease, 0);
    }
}

static void check_all(struct fixture *f)
{
    keyindex_check(&f->x);
    int64_t from = f->compacted > 0 ? f->compacted : 1;
    for (int i = 0; i < KEYS; i++) {
        for (int64_t at = from; at <= f->rev; at++) {
            check_get(f, i, at);
        }
        check_lease(f, i);
    }
    for (int n = 0; n < 4; n++) {
        int a = (int)prng_below(&f->prng, KEYS);
        int b = (int)prng_below(&f->prng, KEYS);
        int64_t at = from + (int64_t)prng_below(&f->prng, (uint64_t)(f->rev - from) + 1);
        check_range(f, a, b, n == 0 ? f->rev : at);
    }
}

static void check_keep(struct fixture *f, int64_t at)
{
    for (int i = 0; i < KEYS; i++) {
        char name[32];
        struct keyindex_pos pos;
        keyindex_find(&f->x, key_name(i, name), &pos);
        struct model_rev want;
        bool has = model_keep(&f->keys[i], at, &want);
        struct keyrev got;
        bool any = false;
        if (pos.rec == NULL) {
            assert_false(has);
            continue;
        }
        assert_int_equal(keyrec_keep(pos.rec, at, &got, &any), has);
        if (has) {
            assert_int_equal(got.main, want.main);
            assert_int_equal(keyrev_sub(&got), want.sub);
        }
    }
}

static void compact(struct fixture *f, int64_t at)
{
    struct keyindex_iter it;
    keyindex_iter_init(&it, &f->x, SLICE_NULL, SLICE_NULL, true, 0);
    struct buf key = BUF_INIT;
    struct keyrec *rec;
    while ((rec = keyindex_iter_any(&it)) != NULL) {
        uint32_t n = keyrec_drop_count(rec, at);
        if (n == 0) {
            continue;
        }
        buf_clear(&key);
        buf_append_slice(&key, keyrec_key(rec));
        struct keyindex_pos pos;
        keyindex_find(&f->x, buf_slice(&key), &pos);
        (void)keyindex_drop(&f->x, &pos, n);
        keyindex_iter_init(&it, &f->x, buf_slice(&key), SLICE_NULL, true, 0);
        if (it.rec != NULL && slice_equal(keyrec_key(it.rec), buf_slice(&key))) {
            (void)keyindex_iter_any(&it);
        }
    }
    buf_deinit(&key);
    for (int i = 0; i < KEYS; i++) {
        model_compact(&f->keys[i], at);
    }
    f->compacted = at;
}

static void test_random_histories(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        for (int n = 0; n < 60; n++) {
            step(&f);
            if (n % 12 == 11) {
                int64_t lo = f.compacted < 1 ? 1 : f.compacted + 1;
                int64_t at = lo + (int64_t)prng_below(&f.prng, (uint64_t)(f.rev - lo) + 1);
                check_keep(&f, at);
                compact(&f, at);
            }
            check_all(&f);
        }
        fixture_deinit(&f);
    }
}

/* The records that are left, given to a new index in order, make the same index. */
static int rev_order(const void *a, const void *b)
{
    const struct model_rev *x = a;
    const struct model_rev *y = b;
    if (x->main != y->main) {
        return x->main < y->main ? -1 : 1;
    }
    return x->sub < y->sub ? -1 : (x->sub > y->sub ? 1 : 0);
}

struct row {
    struct model_rev rev;
    int key;
    int gen;
    int idx;
    bool is_tombstone;
};

static size_t rows_collect(const struct fixture *f, struct row *rows)
{
    size_t n = 0;
    for (int i = 0; i < KEYS; i++) {
        const struct model_key *k = &f->keys[i];
        for (int g = 0; g < k->gens; g++) {
            for (int r = 0; r < k->gen[g].count; r++) {
                bool is_tombstone = g < k->gens - 1 && r == k->gen[g].count - 1;
                rows[n++] = (struct row){k->gen[g].revs[r], i, g, r, is_tombstone};
            }
        }
    }
    qsort(rows, n, sizeof(*rows), rev_order);
    return n;
}

static void test_restore_equals(void **state)
{
    (void)state;
    struct row *rows = mem_alloc(sizeof(*rows) * 4096);
    for (uint64_t seed = 100; seed < 130; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        for (int n = 0; n < 80; n++) {
            step(&f);
            if (n % 30 == 29) {
                compact(&f, f.rev - (int64_t)prng_below(&f.prng, 10));
            }
        }
        struct keyindex y;
        keyindex_init(&y);
        size_t count = rows_collect(&f, rows);
        for (size_t r = 0; r < count; r++) {
            char name[32];
            struct slice key = key_name(rows[r].key, name);
            const struct model_rev *v = &rows[r].rev;
            if (rows[r].is_tombstone) {
                assert_int_equal(keyindex_restore_tombstone(&y, key, v->main, v->sub, v->len),
                                 KEYINDEX_RESTORED);
                continue;
            }
            const struct model_gen *g = &f.keys[rows[r].key].gen[rows[r].gen];
            struct keyrec_state s = {v->main, v->sub, g->create_rev,
                                     g->version - (g->count - rows[r].idx - 1), v->len};
            assert_int_equal(keyindex_restore_put(&y, key, &s, v->lease), KEYINDEX_RESTORED);
        }
        keyindex_check(&y);
        assert_true(keyindex_equal(&f.x, &y));
        keyindex_deinit(&y);
        fixture_deinit(&f);
    }
    mem_free(rows);
}

static void test_restore_damaged(void **state)
{
    (void)state;
    struct keyindex x;
    keyindex_init(&x);
    struct slice k = SLICE_LIT("k");
    struct keyrec_state s = {5, 0, 9, 1, 10};
    assert_int_equal(keyindex_restore_put(&x, k, &s, 0), KEYINDEX_BROKEN); /* created after */
    s.create_rev = 2;
    assert_int_equal(keyindex_restore_put(&x, k, &s, 0), KEYINDEX_RESTORED);
    assert_int_equal(keyindex_restore_put(&x, k, &s, 0), KEYINDEX_BROKEN); /* same revision */
    assert_int_equal(keyindex_restore_tombstone(&x, k, 4, 0, 3), KEYINDEX_BROKEN);
    assert_int_equal(keyindex_restore_tombstone(&x, k, 6, 0, 3), KEYINDEX_RESTORED);
    assert_int_equal(keyindex_restore_tombstone(&x, k, 7, 0, 3), KEYINDEX_IGNORED);
    struct keyrec_state marker = {1000, 0, 0, 0, 0};
    assert_int_equal(keyindex_restore_put(&x, SLICE_NULL, &marker, 0), KEYINDEX_RESTORED);
    keyindex_check(&x);
    keyindex_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_histories),
        cmocka_unit_test(test_restore_equals),
        cmocka_unit_test(test_restore_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
