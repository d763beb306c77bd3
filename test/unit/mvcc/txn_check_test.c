/* SPDX-License-Identifier: Apache-2.0
 *
 * Which txns are valid: a table of client-api 2.1.5, and random txns against etcd's way (sets of
 * puts and lists of deletes merged level by level).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/prng.h"
#include "mvcc/txn.h"
#include "schema/level.h"
#include "txn_parse.h"

enum { DUP = ERR_RPC_DUPLICATE_KEY, MANY = ERR_RPC_TOO_MANY_OPS, EMPTY = ERR_RPC_EMPTY_KEY };

struct row {
    const char *success;
    const char *failure;
    size_t ops_max;
    int err;
};

static const struct row rows[] = {
    {"", "", 128, 0},
    {"pa pb", "", 128, 0},
    {"pa pa", "", 128, DUP},
    {"", "pa pa", 128, DUP},
    {"pa", "pa", 128, 0}, /* success and failure never conflict */
    {"pa", "da", 128, 0},
    {"pa da", "", 128, DUP},
    {"da pa", "", 128, DUP},
    {"pa da-c", "", 128, DUP},
    {"pb da-c", "", 128, DUP},
    {"pc da-c", "", 128, 0}, /* the end is not in it */
    {"pa db-c", "", 128, 0},
    {"da da", "", 128, 0},
    {"da-c db-d", "", 128, 0},
    {"pz dm-0", "", 128, 0}, /* taken literally: ["m", "\0") */
    {"pm dm-0", "", 128, 0},
    {"pb dc-a", "", 128, 0}, /* inverted */
    {"ra pa ra", "", 128, 0},
    {"ra da", "", 128, 0},
    {"e", "", 128, ERR_RPC_KEY_NOT_FOUND},
    {"p_", "", 128, EMPTY},
    {"", "r_", 128, EMPTY},
    {"d_-z", "", 128, EMPTY},
    {"p_ e", "", 128, EMPTY}, /* in order */
    {"e p_", "", 128, ERR_RPC_KEY_NOT_FOUND},
    {"pa pa", "p_", 128, EMPTY}, /* ops first, overlaps behind */
    {"pa pb pc", "", 3, 0},
    {"pa pb pc", "", 2, MANY},
    {"", "pa pb pc", 2, MANY},
    {"p_ p_ p_", "", 2, MANY}, /* the number comes first */
    /* nested */
    {"t[pa|pb]", "", 128, 0},
    {"t[pa|pa]", "", 128, 0}, /* then and else exclude each other */
    {"t[pa|]pa", "", 128, DUP},
    {"t[|pa]pa", "", 128, DUP},
    {"pa t[|pa]", "", 128, DUP},
    {"t[pa|] t[pa|]", "", 128, DUP},
    {"t[pa|] t[|pa]", "", 128, DUP},
    {"t[pa|pa] t[pb|pc]", "", 128, 0},
    {"t[pa pa|]", "", 128, DUP},
    {"t[|pa pa]", "", 128, DUP},
    {"t[da|] t[pa|]", "", 128, DUP}, /* an earlier delete against a later put */
    {"t[pa|] t[da|]", "", 128, 0},   /* the other way round is accepted */
    {"t[pa|da]", "", 128, 0},
    {"t[da|pa]", "", 128, 0},
    {"t[da|pa] t[pa|]", "", 128, DUP},
    {"t[da|pb]pa", "", 128, DUP},
    {"da t[pa|]", "", 128, DUP},
    {"t[pa|] da", "", 128, DUP}, /* own deletes come before all nested puts */
    {"t[t[pa|]|] t[|t[|pa]]", "", 128, DUP},
    {"t[t[pa|]|t[pa|]]", "", 128, 0},
    {"t[t[da|]|t[pa|]] pb", "", 128, 0},
    {"t[t[da|]|t[pb|]] t[t[pa|]|]", "", 128, DUP},
    {"t[pa|]", "t[pa|]", 128, 0},
    {"t[e|]", "", 128, ERR_RPC_KEY_NOT_FOUND},
    {"t[|p_]", "", 128, EMPTY},
    /* the limit of a nested txn is what this level leaves */
    {"t[pa pb|]", "", 3, 0},
    {"t[pa pb|]", "", 2, MANY},
    {"t[pa pb|] pc", "", 3, MANY},
    {"t[pa|pb] t[pc|pd]", "", 3, 0},
    {"t[t[t[pa|]|]|]", "", 4, 0},
    {"t[t[t[pa|]|]|]", "", 3, MANY},
};

static void test_table(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        arena_reset(&a);
        struct wire_txn_req *t = txn_make(&a, rows[i].success, rows[i].failure);
        int err = mvcc_txn_validate(t, level_rules(LEVEL_NEW), rows[i].ops_max, &a);
        if (err != rows[i].err) {
            fail_msg("row %zu: %s / %s: %s", i, rows[i].success, rows[i].failure, err_name(err));
        }
    }
    arena_deinit(&a);
}

static void test_compares(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    struct wire_compare c[3] = {{.key = SLICE_LIT("a")}, {.key = SLICE_LIT("b")}, {0}};
    struct wire_txn_req *t = txn_make(&a, "e", "");
    t->compares = c;
    t->compare_count = 2;
    assert_int_equal(mvcc_txn_validate(t, level_rules(LEVEL_NEW), 2, &a), ERR_RPC_KEY_NOT_FOUND);
    t->compare_count = 3;
    assert_int_equal(mvcc_txn_validate(t, level_rules(LEVEL_NEW), 3, &a),
                     EMPTY); /* compares before ops */
    assert_int_equal(mvcc_txn_validate(t, level_rules(LEVEL_NEW), 2, &a), MANY);
    arena_deinit(&a);
}

static void test_kinds(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    assert_true(mvcc_txn_is_read_only(txn_make(&a, "", "")));
    assert_true(mvcc_txn_is_serializable(txn_make(&a, "", "")));
    assert_true(mvcc_txn_is_read_only(txn_make(&a, "ra", "rb")));
    assert_false(mvcc_txn_is_serializable(txn_make(&a, "ra", "")));
    assert_false(mvcc_txn_is_read_only(txn_make(&a, "ra", "pb")));
    assert_false(mvcc_txn_is_read_only(txn_make(&a, "t[ra|]", "")));
    struct wire_txn_req *t = txn_make(&a, "ra", "");
    t->success[0].range.serializable = true;
    assert_true(mvcc_txn_is_serializable(t));
    arena_deinit(&a);
}

/* ---- etcd's way, naively ---- */

struct sets {
    bool puts[256];
    struct slice del_key[4096];
    struct slice del_end[4096];
    size_t dels;
};

static bool is_deleted(const struct sets *s, uint8_t k)
{
    struct slice key = slice_make(&k, 1);
    for (size_t i = 0; i < s->dels; i++) {
        bool is_in = s->del_end[i].len == 0 ? slice_equal(s->del_key[i], key)
                                            : slice_compare(s->del_key[i], key) <= 0 &&
                                                  slice_compare(key, s->del_end[i]) < 0;
        if (is_in) {
            return true;
        }
    }
    return false;
}

static void dels_add(struct sets *s, const struct sets *from)
{
    for (size_t i = 0; i < from->dels; i++) {
        s->del_key[s->dels] = from->del_key[i];
        s->del_end[s->dels++] = from->del_end[i];
    }
}

static bool intervals(struct arena *a, const struct wire_op *ops, size_t n, struct sets *s);

static bool nested(struct arena *a, const struct wire_txn_req *t, struct sets *s)
{
    struct sets *yes = arena_zalloc(a, sizeof(*yes));
    struct sets *no = arena_zalloc(a, sizeof(*no));
    if (!intervals(a, t->success, t->success_count, yes) ||
        !intervals(a, t->failure, t->failure_count, no)) {
        return false;
    }
    for (int k = 0; k < 256; k++) {
        if (yes->puts[k] && (s->puts[k] || is_deleted(s, (uint8_t)k))) {
            return false;
        }
    }
    for (int k = 0; k < 256; k++) {
        bool is_taken = s->puts[k] && !yes->puts[k];
        if (no->puts[k] && (is_taken || is_deleted(s, (uint8_t)k))) {
            return false;
        }
    }
    for (int k = 0; k < 256; k++) {
        s->puts[k] = s->puts[k] || yes->puts[k] || no->puts[k];
    }
    dels_add(s, yes);
    dels_add(s, no);
    return true;
}

static bool intervals(struct arena *a, const struct wire_op *ops, size_t n, struct sets *s)
{
    for (size_t i = 0; i < n; i++) {
        if (ops[i].kind == WIRE_OP_DELETE) {
            s->del_key[s->dels] = ops[i].del.key;
            s->del_end[s->dels++] = ops[i].del.range_end;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (ops[i].kind == WIRE_OP_TXN && !nested(a, ops[i].txn, s)) {
            return false;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (ops[i].kind == WIRE_OP_PUT) {
            uint8_t k = ops[i].put.key.data[0];
            if (s->puts[k] || is_deleted(s, k)) {
                return false;
            }
            s->puts[k] = true;
        }
    }
    return true;
}

static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

static void random_ops(struct arena *a, struct prng *p, int depth, struct wire_op **out, size_t *n)
{
    *n = prng_below(p, 4);
    *out = arena_zalloc(a, 4 * sizeof(struct wire_op));
    for (size_t i = 0; i < *n; i++) {
        struct wire_op *op = &(*out)[i];
        struct slice key = slice_make(&letters[prng_below(p, 26)], 1);
        uint64_t r = prng_below(p, 10);
        if (r < 4) {
            *op = (struct wire_op){.kind = WIRE_OP_PUT, .put = {.key = key}};
        } else if (r < 6) {
            *op = (struct wire_op){.kind = WIRE_OP_DELETE, .del = {.key = key}};
            if (prng_chance(p, 1, 2)) {
                op->del.range_end = prng_chance(p, 1, 6)
                                        ? slice_make("", 1)
                                        : slice_make(&letters[prng_below(p, 26)], 1);
            }
        } else if (depth > 0) {
            struct wire_txn_req *t = arena_zalloc(a, sizeof(*t));
            random_ops(a, p, depth - 1, &t->success, &t->success_count);
            random_ops(a, p, depth - 1, &t->failure, &t->failure_count);
            *op = (struct wire_op){.kind = WIRE_OP_TXN, .txn = t};
        } else {
            *op = (struct wire_op){.kind = WIRE_OP_RANGE, .range = {.key = key}};
        }
    }
}

static void test_random(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    struct prng p;
    prng_init(&p, 11);
    int valid = 0;
    int invalid = 0;
    for (int i = 0; i < 4000; i++) {
        arena_reset(&a);
        struct wire_txn_req t = {0};
        random_ops(&a, &p, i % 4, &t.success, &t.success_count);
        struct sets *s = arena_zalloc(&a, sizeof(*s));
        bool is_valid = intervals(&a, t.success, t.success_count, s);
        assert_int_equal(mvcc_txn_validate(&t, level_rules(LEVEL_NEW), 128, &a),
                         is_valid ? 0 : DUP);
        valid += is_valid ? 1 : 0;
        invalid += is_valid ? 0 : 1;
    }
    assert_true(valid > 500 && invalid > 500);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_compares),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
