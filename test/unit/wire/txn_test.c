/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_test.h"

#include "base/bytes.h"
#include "wire/kv.pb-c.h"

enum { ROUNDS = 2000 };

static void test_random(void **state)
{
    (void)state;
    struct prng p;
    struct arena a;
    struct buf in = BUF_INIT, out = BUF_INIT;
    prng_init(&p, 11);
    arena_init(&a, 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct wire_txn_req r;
        random_packed(&p, &a, &etcdserverpb__txn_request__descriptor, &in);
        struct slice s = exact_copy(buf_slice(&in));
        assert_int_equal(wire_txn_req_decode(s, &a, &r), 0);
        buf_clear(&out);
        wire_txn_req_encode(&out, &r);
        assert_slice(buf_slice(&out), s);
        /* A negative enum is written in 64 bits and could be in 32. */
        assert_true(wire_txn_req_size_min(&r) <= s.len);
        exact_free(s);
        arena_reset(&a);
    }
    buf_deinit(&in);
    buf_deinit(&out);
    arena_deinit(&a);
}

/* Forms that other encoders write, or that somebody makes by hand: larger than ours, always. */
static void test_other_forms(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len, size;
    } rows[] = {
        {"\x12\x07\x1a\x05\x0a\x01k\x12\x00", 9, 7},      /* delete, range_end empty */
        {"\x12\x07\x0a\x05\x0a\x01k\x12\x00", 9, 7},      /* range, the same */
        {"\x0a\x06\x1a\x01k\x82\x04\x00", 8, 5},          /* compare, the same */
        {"\x12\x07\x12\x05\x0a\x01k\x18\x00", 9, 7},      /* put, lease 0 */
        {"\x12\x07\x1a\x02\x0a\x00\x1a\x01\x42", 9, 0},   /* in two pieces: see below */
        {"\x12\x08\x12\x06\x0a\x01k\x18\x80\x00", 10, 7}, /* a long zero */
        {"\x12\x08\x12\x06\x0a\x01k\x0a\x01j", 10, 7},    /* a key twice */
        {"\x12\x05\x12\x03\x0a\x01k\x20\x01", 9, 7},      /* an unknown field */
        {"\x12\x05\x12\x03\x0a\x01k", 7, 7},
        {"\x0a\x06\x08\xff\xff\xff\xff\x0f", 8, 8}, /* result -1 in 32 bits */
        {"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13, 8},
        {"\x0a\x02\x3a\x00", 4, 4}, /* a compare with the value "" */
    };
    struct arena a;
    arena_init(&a, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct wire_txn_req r;
        int err = wire_txn_req_decode(slice_make(rows[i].bytes, rows[i].len), &a, &r);
        if (rows[i].size == 0) {
            assert_int_not_equal(err, 0); /* 1a 01 42 is cut off: pieces are looked into */
            continue;
        }
        assert_int_equal(err, 0);
        assert_int_equal(wire_txn_req_size_min(&r), rows[i].size);
    }
    struct wire_delete_req d;
    assert_int_equal(wire_delete_req_decode(slice_make("\x0a\x01k\x12\x00", 5), &d), 0);
    assert_true(wire_came_empty(d.range_end));
    assert_int_equal(wire_delete_req_size_min(&d), 3);
    assert_int_equal(wire_delete_req_decode(slice_make("\x0a\x01k", 3), &d), 0);
    assert_false(wire_came_empty(d.range_end));
    arena_deinit(&a);
}

/* The scanning decoder and the one by descriptor accept the same inputs with the same meaning. */
static void test_mutations_agree(void **state)
{
    (void)state;
    struct prng p;
    struct arena a;
    struct buf in = BUF_INIT, x = BUF_INIT, y = BUF_INIT;
    int accepted = 0, same = 0;
    prng_init(&p, 12);
    arena_init(&a, 0);
    for (int i = 0; i < 4 * ROUNDS; i++) {
        struct wire_txn_req r;
        Etcdserverpb__TxnRequest m;
        random_packed(&p, &a, &etcdserverpb__txn_request__descriptor, &in);
        mutate(&p, &in);
        struct slice s = exact_copy(buf_slice(&in));
        int err = wire_txn_req_decode(s, &a, &r);
        int err2 = wire_pb_unpack(&etcdserverpb__txn_request__descriptor, s, &a, &m.base);
        assert_int_equal(err == 0, err2 == 0);
        if (err == 0) {
            buf_clear(&x);
            buf_clear(&y);
            wire_txn_req_encode(&x, &r);
            wire_pb_append(&y, &m.base);
            assert_slice(buf_slice(&x), buf_slice(&y));
            assert_true(wire_txn_req_size_min(&r) <= x.len);
            assert_true(wire_txn_req_size_min(&r) <= s.len);
            same += wire_txn_req_size_min(&r) == x.len;
            accepted++;
        }
        exact_free(s);
        arena_reset(&a);
    }
    assert_true(accepted > ROUNDS / 4 && accepted < 4 * ROUNDS);
    assert_true(same > 0);
    buf_deinit(&in);
    buf_deinit(&x);
    buf_deinit(&y);
    arena_deinit(&a);
}

static int recode(const char *hex, struct arena *a, struct buf *out)
{
    struct wire_txn_req r;
    struct buf in = hex_buf(hex);
    struct slice s = exact_copy(buf_slice(&in));
    int err = wire_txn_req_decode(s, a, &r);
    if (err == 0) {
        buf_clear(out);
        wire_txn_req_encode(out, &r);
    }
    exact_free(s);
    buf_deinit(&in);
    return err;
}

static void test_merge(void **state)
{
    static const struct {
        const char *in;
        const char *want; /* NULL: malformed */
    } cases[] = {
        /* The same member twice merges: put a, then value 1. */
        {"120a 1203 0a0161 1203 120131", "1208 1206 0a0161 120131"},
        /* Another member replaces it, and coming back starts anew. */
        {"120c 1203 0a0161 0a00 1203 120131", "1205 1203 120131"},
        /* Pieces of a nested Txn append. */
        {"1210 2204 12020a00 2202 0a00 2204 12021200", "120c 220a 0a00 12020a00 12021200"},
        /* A replaced piece must be well formed all the same. */
        {"1207 1203 0a0261 0a00", NULL},
        {"1208 2202 1205 1202 0a00", NULL},
        {"120a 2202 1200 2202 0a05 0a00", NULL},
        /* The last operand of a Compare wins. */
        {"0a07 2005 3a0161 2806", "0a02 2806"},
        {"0a05 2005 3a0161", "0a03 3a0161"},
        {"0a04 2005 3a00", "0a02 3a00"},
        {"0a02 2000", "0a02 2000"},
        /* An operand of another wire type is unknown. */
        {"0a04 2005 3805", "0a02 2005"},
        /* An op without a member, and one that only has unknown fields. */
        {"1200 1a02 5000", "1200 1a00"},
    };
    (void)state;
    struct arena a;
    struct buf out = BUF_INIT;
    arena_init(&a, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int err = recode(cases[i].in, &a, &out);
        if (cases[i].want == NULL) {
            assert_true(err == ERR_MALFORMED || err == ERR_TRUNCATED);
        } else {
            assert_int_equal(err, 0);
            assert_hex(buf_slice(&out), cases[i].want);
        }
    }
    buf_deinit(&out);
    arena_deinit(&a);
}

/* Txn in Txn, n deep. */
static void nest(struct buf *out, int n)
{
    buf_clear(out);
    for (int i = 1; i < n; i++) {
        wire_close_message(out, 0, 4);
        wire_close_message(out, 0, 2);
    }
}

static void test_depth(void **state)
{
    (void)state;
    struct wire_txn_req r = {.compare_count = 77};
    struct arena a;
    struct buf b = BUF_INIT;
    arena_init(&a, 0);
    nest(&b, WIRE_TXN_DEPTH_MAX);
    assert_int_equal(wire_txn_req_decode(buf_slice(&b), &a, &r), 0);
    nest(&b, WIRE_TXN_DEPTH_MAX + 1);
    r.compare_count = 77;
    assert_int_equal(wire_txn_req_decode(buf_slice(&b), &a, &r), ERR_LIMIT);
    assert_int_equal(r.compare_count, 77);
    buf_deinit(&b);
    arena_deinit(&a);
}

/* Two bytes an op on the wire: the memory bound holds before the arrays are made. */
static void test_memory_bound(void **state)
{
    (void)state;
    struct wire_txn_req r;
    struct arena a;
    struct buf b = BUF_INIT;
    size_t fits = WIRE_TXN_ARENA_MAX / sizeof(struct wire_op);
    arena_init(&a, 0);
    for (size_t i = 0; i < fits + 1; i++) {
        buf_append(&b, "\x12\x00", 2);
    }
    assert_int_equal(wire_txn_req_decode(buf_slice(&b), &a, &r), ERR_LIMIT);
    assert_int_equal(a.used, 0);
    buf_deinit(&b);
    arena_deinit(&a);
}

/* Many pieces of one nested Txn stay linear: this would take minutes if each made the arrays anew.
 */
static void test_many_pieces(void **state)
{
    (void)state;
    enum { PIECES = 200000 };
    struct wire_txn_req r;
    struct arena a;
    struct buf b = BUF_INIT;
    arena_init(&a, 0);
    for (int i = 0; i < PIECES; i++) {
        buf_append(&b, "\x22\x02\x12\x00", 4);
    }
    wire_close_message(&b, 0, 2);
    assert_int_equal(wire_txn_req_decode(buf_slice(&b), &a, &r), 0);
    assert_int_equal(r.success_count, 1);
    assert_int_equal(r.success[0].txn->success_count, PIECES);
    buf_deinit(&b);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),          cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_mutations_agree), cmocka_unit_test(test_merge),
        cmocka_unit_test(test_depth),           cmocka_unit_test(test_memory_bound),
        cmocka_unit_test(test_many_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
