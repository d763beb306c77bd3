/* SPDX-License-Identifier: Apache-2.0
 *
 * Execution of txns: compares, precheck, order, revisions in the answers; random txns against the
 * model, byte for byte.
 */
#include "store_model.h"

#include <stdio.h>
#include <string.h>

#include "txn_parse.h"

/* ---- compares ---- */

static void put(struct world *w, const char *key, const char *value, int64_t lease)
{
    struct wire_put_req r = {.key = slice_cstr(key), .value = slice_cstr(value), .lease = lease};
    assert_int_equal(world_put(w, &r), 0);
}

static bool holds(struct world *w, struct wire_compare c)
{
    struct wire_txn_req t = {.compares = &c, .compare_count = 1};
    struct wire_txn_resp resp;
    int64_t rev;
    assert_int_equal(world_txn(w, &t, &rev), 0);
    assert_int_equal(rev, mvcc_rev(w->store));
    arena_reset(&w->arena);
    assert_int_equal(wire_txn_resp_decode(buf_slice(&w->body), &w->arena, &resp), 0);
    return resp.succeeded;
}

struct compare_row {
    const char *key;
    const char *end;
    int32_t target;
    int32_t result;
    uint32_t field;
    int64_t number;
    const char *value;
    bool holds;
};

/* a: created 2, mod 3, version 2, "v2", lease 7.  b: created 4, mod 4, version 1, "w".  z missing.
 */
static const struct compare_row compare_rows[] = {
    {"a", "", WIRE_COMPARE_VERSION, WIRE_EQUAL, 4, 2, "", true},
    {"a", "", WIRE_COMPARE_VERSION, WIRE_GREATER, 4, 1, "", true},
    {"a", "", WIRE_COMPARE_VERSION, WIRE_GREATER, 4, 2, "", false},
    {"a", "", WIRE_COMPARE_VERSION, WIRE_LESS, 4, 3, "", true},
    {"a", "", WIRE_COMPARE_VERSION, WIRE_NOT_EQUAL, 4, 2, "", false},
    {"a", "", WIRE_COMPARE_CREATE, WIRE_EQUAL, 5, 2, "", true},
    {"a", "", WIRE_COMPARE_MOD, WIRE_EQUAL, 6, 3, "", true},
    {"a", "", WIRE_COMPARE_LEASE, WIRE_EQUAL, 8, 7, "", true},
    {"b", "", WIRE_COMPARE_LEASE, WIRE_EQUAL, 8, 0, "", true},
    {"a", "", WIRE_COMPARE_VALUE, WIRE_EQUAL, 7, 0, "v2", true},
    {"a", "", WIRE_COMPARE_VALUE, WIRE_LESS, 7, 0, "v3", true},
    {"a", "", WIRE_COMPARE_VALUE, WIRE_GREATER, 7, 0, "v", true},
    {"a", "", WIRE_COMPARE_VALUE, WIRE_NOT_EQUAL, 7, 0, "v2", false},
    /* missing key: 0, and VALUE is never true */
    {"z", "", WIRE_COMPARE_VERSION, WIRE_EQUAL, 4, 0, "", true},
    {"z", "", WIRE_COMPARE_CREATE, WIRE_EQUAL, 5, 0, "", true},
    {"z", "", WIRE_COMPARE_MOD, WIRE_LESS, 6, 1, "", true},
    {"z", "", WIRE_COMPARE_LEASE, WIRE_EQUAL, 8, 0, "", true},
    {"z", "", WIRE_COMPARE_VALUE, WIRE_EQUAL, 7, 0, "", false},
    {"z", "", WIRE_COMPARE_VALUE, WIRE_NOT_EQUAL, 7, 0, "x", false},
    {"z", "", WIRE_COMPARE_VALUE, 9, 7, 0, "", false},
    /* ranges: every key, an empty one like a missing key */
    {"a", "c", WIRE_COMPARE_VERSION, WIRE_GREATER, 4, 0, "", true},
    {"a", "c", WIRE_COMPARE_VERSION, WIRE_EQUAL, 4, 2, "", false},
    {"a", "c", WIRE_COMPARE_VALUE, WIRE_GREATER, 7, 0, "u", true},
    {"a", "c", WIRE_COMPARE_VALUE, WIRE_GREATER, 7, 0, "v3", false},
    {"c", "d", WIRE_COMPARE_VERSION, WIRE_EQUAL, 4, 0, "", true},
    {"c", "d", WIRE_COMPARE_VALUE, WIRE_NOT_EQUAL, 7, 0, "x", false},
    {"a", "0", WIRE_COMPARE_CREATE, WIRE_GREATER, 5, 1, "", true},
    {"b", "0", WIRE_COMPARE_CREATE, WIRE_GREATER, 5, 3, "", true},
    {"b", "a", WIRE_COMPARE_VERSION, WIRE_EQUAL, 4, 0, "", true},
    /* a member of the union that does not fit counts as 0 / empty */
    {"a", "", WIRE_COMPARE_VERSION, WIRE_EQUAL, 6, 2, "", false},
    {"a", "", WIRE_COMPARE_VERSION, WIRE_GREATER, 0, 99, "", true},
    {"a", "", WIRE_COMPARE_VALUE, WIRE_GREATER, 4, 9, "zzz", true},
    /* unknown numbers */
    {"a", "", WIRE_COMPARE_VERSION, 17, 4, 5, "", true},
    {"a", "", 17, WIRE_EQUAL, 4, 5, "", true},
    {"a", "", 17, WIRE_NOT_EQUAL, 4, 5, "", false},
};

static void test_compares(void **state)
{
    (void)state;
    struct world w;
    int64_t ttl;
    world_init(&w, 1);
    assert_int_equal(lessor_grant(w.lessor, 7, 10, 0, &ttl), 0);
    put(&w, "a", "v1", 0);
    put(&w, "a", "v2", 7);
    put(&w, "b", "w", 0);
    for (int cold = 0; cold <= 100; cold += 50) {
        fake_backend_cold_set(w.backend, (unsigned)cold, 100, 1);
        for (size_t i = 0; i < ARRAY_LEN(compare_rows); i++) {
            const struct compare_row *r = &compare_rows[i];
            struct wire_compare c = {r->result, r->target, slice_cstr(r->key),  slice_cstr(r->end),
                                     r->field,  r->number, slice_cstr(r->value)};
            if (strcmp(r->end, "0") == 0) {
                c.range_end = slice_make("", 1);
            }
            if (holds(&w, c) != r->holds) {
                fail_msg("row %zu", i);
            }
        }
    }
    world_deinit(&w);
}

/* ---- precheck and order ---- */

static int run(struct world *w, const char *success)
{
    struct arena a;
    arena_init(&a, 0);
    int64_t rev = -7;
    int err = world_txn(w, txn_make(&a, success, ""), &rev);
    assert_true(err == 0 || rev == -7);
    arena_deinit(&a);
    return err;
}

static void test_precheck(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    put(&w, "a", "1", 0);
    put(&w, "a", "2", 0);
    w.rev = 3;
    assert_int_equal(run(&w, "pb ic"), ERR_RPC_KEY_NOT_FOUND);
    assert_int_equal(run(&w, "pc ic"), ERR_RPC_KEY_NOT_FOUND); /* the state before the txn */
    assert_int_equal(run(&w, "pb lc9"), ERR_RPC_LEASE_NOT_FOUND);
    assert_int_equal(run(&w, "lc9 ic"), ERR_RPC_LEASE_NOT_FOUND); /* op by op */
    assert_int_equal(run(&w, "ic lc9"), ERR_RPC_KEY_NOT_FOUND);
    assert_int_equal(run(&w, "t[t[pb ic|]|]"), ERR_RPC_KEY_NOT_FOUND);
    assert_int_equal(mvcc_rev(w.store), 3);
    assert_int_equal(run(&w, "t[|t[ic|]] pb"), 0); /* not on the path */
    assert_int_equal(mvcc_rev(w.store), 4);
    assert_int_equal(run(&w, "ia"), 0);

    struct wire_op op = {.kind = WIRE_OP_RANGE, .range = {.key = SLICE_LIT("a")}};
    struct wire_txn_req t = {.success = &op, .success_count = 1};
    int64_t rev;
    op.range.revision = 6;
    assert_int_equal(world_txn(&w, &t, &rev), ERR_RPC_FUTURE_REV);
    op.range.revision = -1; /* not below the first revision of a store never compacted */
    assert_int_equal(world_txn(&w, &t, &rev), 0);
    op.range.revision = -2;
    assert_int_equal(world_txn(&w, &t, &rev), ERR_RPC_COMPACTED);
    w.rev = 5;
    world_compact(&w, 3);
    op.range.revision = 2;
    assert_int_equal(world_txn(&w, &t, &rev), ERR_RPC_COMPACTED);
    op.range.revision = -1;
    assert_int_equal(world_txn(&w, &t, &rev), ERR_RPC_COMPACTED);
    op.range.revision = 3;
    assert_int_equal(world_txn(&w, &t, &rev), 0);
    world_deinit(&w);
}

/* Which error comes first: op by op from 3.6 on; the lease of a put first from 3.7 on. */
static void test_precheck_levels(void **state)
{
    (void)state;
    static const struct {
        enum level level;
        int range_then_put, key_and_lease;
    } rows[] = {
        {LEVEL_3_5, ERR_RPC_KEY_NOT_FOUND, ERR_RPC_KEY_NOT_FOUND},
        {LEVEL_3_6, ERR_RPC_FUTURE_REV, ERR_RPC_KEY_NOT_FOUND},
        {LEVEL_3_7, ERR_RPC_FUTURE_REV, ERR_RPC_LEASE_NOT_FOUND},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_init_level(&w, 1, rows[i].level);
        struct wire_put_req put = {.key = SLICE_LIT("b"), .ignore_value = true};
        struct wire_op ops[] = {
            {.kind = WIRE_OP_RANGE, .range = {.key = SLICE_LIT("a"), .revision = 9}},
            {.kind = WIRE_OP_PUT, .put = put},
        };
        struct wire_txn_req t = {.success = ops, .success_count = 2};
        int64_t rev;
        assert_int_equal(world_txn(&w, &t, &rev), rows[i].range_then_put);
        ops[1].put.lease = 9;
        t.success = &ops[1];
        t.success_count = 1;
        assert_int_equal(world_txn(&w, &t, &rev), rows[i].key_and_lease);
        /* A put by itself looks for the lease first at every level. */
        put.lease = 9;
        assert_int_equal(mvcc_apply_put(w.store, &put, NULL, NULL), ERR_RPC_LEASE_NOT_FOUND);
        world_deinit(&w);
    }
}

/* keys_only at an old revision inside a txn that changes the key first: the lease is in the value.
 */
static void test_keys_only_lease(void **state)
{
    (void)state;
    struct world w;
    world_init_level(&w, 1, LEVEL_3_6);
    int64_t ttl_s;
    assert_int_equal(lessor_grant(w.lessor, 7, 100, 0, &ttl_s), 0);
    put(&w, "a", "1", 7);
    fake_backend_cold_set(w.backend, 100, 1000, 1);
    struct wire_op ops[] = {
        {.kind = WIRE_OP_PUT, .put = {.key = SLICE_LIT("a")}},
        {.kind = WIRE_OP_RANGE, .range = {.key = SLICE_LIT("a"), .revision = 2, .keys_only = true}},
        {.kind = WIRE_OP_RANGE, .range = {.key = SLICE_LIT("a"), .keys_only = true}},
    };
    struct wire_txn_req t = {.success = ops, .success_count = 3};
    int64_t rev;
    assert_int_equal(world_txn(&w, &t, &rev), 0);
    struct wire_txn_resp resp;
    assert_int_equal(wire_txn_resp_decode(buf_slice(&w.body), &w.arena, &resp), 0);
    assert_int_equal(resp.responses[1].range.kvs[0].lease, 7);
    assert_int_equal(resp.responses[1].range.kvs[0].value.len, 0);
    assert_int_equal(resp.responses[2].range.kvs[0].lease, 0);
    world_deinit(&w);
}

/* A delete with range_end "\0" escapes the overlap rules: ignore_value then meets a missing key
 * (etcd panics; here the value is empty). */
static void test_ignore_value_of_deleted(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    put(&w, "m", "1", 0);
    put(&w, "z", "2", 0);
    assert_int_equal(run(&w, "dm-0 iz"), 0);
    assert_int_equal(mvcc_key_count(w.store), 1);
    mvcc_check(w.store);
    world_deinit(&w);
}

static void test_nobody_waits(void **state)
{
    (void)state;
    struct world w;
    struct arena a;
    arena_init(&a, 0);
    world_init(&w, 1);
    put(&w, "a", "1", 0);
    fake_backend_cold_set(w.backend, 100, 2, 1);
    struct wire_txn_req *t = txn_make(&a, "ra da pb t[rb|]", "");
    t->success[1].del.prev_kv = true;
    int64_t rev;
    assert_int_equal(mvcc_prefetch_txn(w.store, t, true, w.values), ERR_COLD);
    assert_int_equal(mvcc_prefetch_txn(w.store, t, false, w.values), 0);
    assert_int_equal(mvcc_apply_txn(w.store, t, w.values, NULL, &rev), 0);
    assert_int_equal(rev, 3);
    /* The check phase is made all the same (peer-protocol 4.11, 3.7). */
    t = txn_make(&a, "ra pb", "");
    t->success[0].range.revision = 9;
    assert_int_equal(mvcc_apply_txn(w.store, t, w.values, NULL, &rev), ERR_RPC_FUTURE_REV);
    mvcc_values_clear(w.values);
    arena_deinit(&a);
    world_deinit(&w);
}

/* ---- random txns, byte for byte ---- */

struct expect {
    struct world *w;
    int64_t before; /* revision before the txn */
    int64_t sub;
};

static int64_t now_rev(const struct expect *e)
{
    return e->sub > 0 ? e->before + 1 : e->before;
}

static struct wire_kv kv_of(const struct change *c)
{
    return (struct wire_kv){world_key(c->key), c->create_rev,        c->main,
                            c->version,        slice_cstr(c->value), c->lease};
}

static void header_set(struct wire_header *h, bool *has, int64_t rev)
{
    *h = (struct wire_header){.revision = rev};
    *has = true;
}

static int key_index(struct slice key)
{
    int i = 0;
    while (i < WORLD_KEYS && slice_compare(world_key(i), key) < 0) {
        i++;
    }
    return i;
}

static void range_bounds(struct slice key, struct slice end, int *from, int *to)
{
    *from = key_index(key);
    *to = end.len == 0 ? *from + 1 : (end.data[0] == 0 ? WORLD_KEYS : key_index(end));
}

static void expect_range(struct expect *e, const struct wire_range_req *r,
                         struct wire_range_resp *out)
{
    const struct change *found[WORLD_KEYS];
    int from;
    int to;
    range_bounds(r->key, r->range_end, &from, &to);
    size_t n = model_range(e->w, from, to, r->revision > 0 ? r->revision : INT64_MAX, found);
    *out = (struct wire_range_resp){.count = (int64_t)n};
    header_set(&out->header, &out->has_header, now_rev(e));
    if (r->sort_target == WIRE_SORT_VALUE) {
        for (size_t i = 1; i < n; i++) {
            const struct change *x = found[i];
            size_t j = i;
            for (; j > 0 && strcmp(found[j - 1]->value, x->value) > 0; j--) {
                found[j] = found[j - 1];
            }
            found[j] = x;
        }
    }
    out->more = r->limit > 0 && (int64_t)n > r->limit;
    out->kv_count = out->more ? (size_t)r->limit : n;
    out->kvs = arena_alloc(&e->w->arena, (out->kv_count + 1) * sizeof(*out->kvs));
    bool keeps_lease =
        e->w->rules->keys_only_keeps_lease || r->sort_target == WIRE_SORT_VALUE || !r->keys_only;
    for (size_t i = 0; i < out->kv_count; i++) {
        out->kvs[i] = kv_of(found[i]);
        out->kvs[i].value = r->keys_only ? SLICE_NULL : out->kvs[i].value;
        out->kvs[i].lease = keeps_lease ? out->kvs[i].lease : 0;
    }
}

static void expect_put(struct expect *e, const struct wire_put_req *r, struct wire_put_resp *out)
{
    int key = key_index(r->key);
    const struct change *old = model_at(e->w, key, INT64_MAX);
    *out = (struct wire_put_resp){.has_prev_kv = r->prev_kv && old != NULL};
    header_set(&out->header, &out->has_header, e->before + 1);
    char value[WORLD_VALUE_MAX] = "";
    if (r->ignore_value) {
        (void)snprintf(value, sizeof(value), "%s", old != NULL ? old->value : "");
    } else {
        memcpy(value, r->value.data, r->value.len);
    }
    if (out->has_prev_kv) {
        struct change *copy = arena_alloc(&e->w->arena, sizeof(*copy));
        *copy = *old;
        out->prev_kv = kv_of(copy);
    }
    model_add(e->w, e->before + 1, &e->sub, key, false, value, r->lease);
}

static void expect_delete(struct expect *e, const struct wire_delete_req *r,
                          struct wire_delete_resp *out)
{
    const struct change *found[WORLD_KEYS];
    int from;
    int to;
    range_bounds(r->key, r->range_end, &from, &to);
    size_t n = model_range(e->w, from, to, INT64_MAX, found);
    *out = (struct wire_delete_resp){.deleted = (int64_t)n};
    out->prev_kvs = arena_alloc(&e->w->arena, (n + 1) * sizeof(*out->prev_kvs));
    struct change *copies = arena_alloc(&e->w->arena, (n + 1) * sizeof(*copies));
    for (size_t i = 0; i < n; i++) {
        copies[i] = *found[i];
        if (r->prev_kv) {
            out->prev_kvs[out->prev_kv_count++] = kv_of(&copies[i]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        model_add(e->w, e->before + 1, &e->sub, copies[i].key, true, "", 0);
    }
    header_set(&out->header, &out->has_header, now_rev(e));
}

static bool compare_naive(const struct expect *e, const struct wire_compare *c)
{
    /* random_txn makes VERSION > n over one key, and VALUE < v. */
    const struct change *x = model_at(e->w, key_index(c->key), e->before);
    if (c->target == WIRE_COMPARE_VALUE) {
        return x != NULL && slice_compare(slice_cstr(x->value), c->value) < 0;
    }
    return (x != NULL ? x->version : 0) > c->number;
}

static bool path_naive(const struct expect *e, const struct wire_txn_req *t)
{
    for (size_t i = 0; i < t->compare_count; i++) {
        if (!compare_naive(e, &t->compares[i])) {
            return false;
        }
    }
    return true;
}

static int check_naive(const struct expect *e, const struct wire_txn_req *t, bool has_ranges)
{
    bool yes = path_naive(e, t);
    size_t n = yes ? t->success_count : t->failure_count;
    const struct wire_op *ops = yes ? t->success : t->failure;
    for (size_t i = 0; i < n; i++) {
        int err = 0;
        if (ops[i].kind == WIRE_OP_RANGE && has_ranges && ops[i].range.revision > e->before) {
            err = ERR_RPC_FUTURE_REV;
        } else if (ops[i].kind == WIRE_OP_PUT && ops[i].put.ignore_value &&
                   model_at(e->w, key_index(ops[i].put.key), e->before) == NULL) {
            err = ERR_RPC_KEY_NOT_FOUND;
        } else if (ops[i].kind == WIRE_OP_TXN) {
            err = check_naive(e, ops[i].txn, has_ranges);
        }
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

static void expect_txn(struct expect *e, const struct wire_txn_req *t, struct wire_txn_resp *out)
{
    out->succeeded = path_naive(e, t);
    const struct wire_op *ops = out->succeeded ? t->success : t->failure;
    out->response_count = out->succeeded ? t->success_count : t->failure_count;
    out->responses =
        arena_zalloc(&e->w->arena, (out->response_count + 1) * sizeof(*out->responses));
    for (size_t i = 0; i < out->response_count; i++) {
        struct wire_op_resp *r = &out->responses[i];
        r->kind = ops[i].kind;
        if (r->kind == WIRE_OP_RANGE) {
            expect_range(e, &ops[i].range, &r->range);
        } else if (r->kind == WIRE_OP_PUT) {
            expect_put(e, &ops[i].put, &r->put);
        } else if (r->kind == WIRE_OP_DELETE) {
            expect_delete(e, &ops[i].del, &r->del);
        } else {
            r->txn = arena_zalloc(&e->w->arena, sizeof(*r->txn));
            r->txn->has_header = true;
            expect_txn(e, ops[i].txn, r->txn);
        }
    }
}

static void random_op(struct world *w, struct arena *a, struct wire_op *op, int depth);

static struct wire_txn_req *random_txn(struct world *w, struct arena *a, int depth)
{
    struct wire_txn_req *t = arena_zalloc(a, sizeof(*t));
    t->compare_count = prng_below(&w->prng, 3);
    t->compares = arena_zalloc(a, 3 * sizeof(*t->compares));
    for (size_t i = 0; i < t->compare_count; i++) {
        struct wire_compare *c = &t->compares[i];
        c->key = world_key((int)prng_below(&w->prng, WORLD_KEYS));
        c->result = WIRE_GREATER;
        c->operand_field = 4;
        c->number = (int64_t)prng_below(&w->prng, 3) - 1;
        if (prng_chance(&w->prng, 1, 3)) {
            c->target = WIRE_COMPARE_VALUE;
            c->result = WIRE_LESS;
            c->operand_field = 7;
            c->value = SLICE_LIT("v6");
        }
    }
    t->success_count = prng_below(&w->prng, 5);
    t->failure_count = prng_below(&w->prng, 5);
    t->success = arena_zalloc(a, 5 * sizeof(*t->success));
    t->failure = arena_zalloc(a, 5 * sizeof(*t->failure));
    for (size_t i = 0; i < 5; i++) {
        random_op(w, a, &t->success[i], depth);
        random_op(w, a, &t->failure[i], depth);
    }
    return t;
}

static void random_range(struct world *w, struct wire_range_req *r, struct slice key,
                         struct slice end)
{
    *r = (struct wire_range_req){.key = key, .range_end = end};
    r->limit = prng_chance(&w->prng, 1, 2) ? (int64_t)prng_below(&w->prng, 5) : 0;
    r->keys_only = prng_chance(&w->prng, 1, 3) != 0;
    if (prng_chance(&w->prng, 1, 4)) {
        r->sort_target = WIRE_SORT_VALUE;
        r->sort_order = WIRE_SORT_ASCEND;
    }
    if (prng_chance(&w->prng, 1, 8)) {
        r->revision = w->rev + (prng_chance(&w->prng, 1, 4) ? 1 : 0);
    }
}

static void random_op(struct world *w, struct arena *a, struct wire_op *op, int depth)
{
    int from = (int)prng_below(&w->prng, WORLD_KEYS - 6);
    struct slice key = world_key(from);
    struct slice end =
        prng_chance(&w->prng, 1, 2) ? world_key(from + (int)prng_below(&w->prng, 6)) : SLICE_NULL;
    uint64_t r = prng_below(&w->prng, depth > 0 ? 11 : 9);
    *op = (struct wire_op){0};
    if (r < 3) {
        op->kind = WIRE_OP_RANGE;
        random_range(w, &op->range, key, end);
    } else if (r < 7) {
        op->kind = WIRE_OP_PUT;
        op->put = (struct wire_put_req){.key = key};
        op->put.value = slice_cstr(arena_strndup(a, &"v0123456789"[prng_below(&w->prng, 9)], 2));
        op->put.prev_kv = prng_chance(&w->prng, 1, 3) != 0;
        if (prng_chance(&w->prng, 1, 10)) {
            op->put.ignore_value = true;
            op->put.value = SLICE_NULL;
        }
    } else if (r < 9) {
        op->kind = WIRE_OP_DELETE;
        op->del = (struct wire_delete_req){.key = key, .range_end = end};
        op->del.prev_kv = prng_chance(&w->prng, 1, 2) != 0;
    } else {
        op->kind = WIRE_OP_TXN;
        op->txn = random_txn(w, a, depth - 1);
    }
}

static void one_random(struct world *w, struct arena *a, unsigned *ran, unsigned *refused)
{
    arena_reset(a);
    arena_reset(&w->arena);
    struct wire_txn_req *t = random_txn(w, a, 2);
    if (mvcc_txn_validate(t, level_rules(LEVEL_NEW), 128, a) != 0) {
        return;
    }
    struct expect e = {.w = w, .before = w->rev};
    int want = w->rules->txn_puts_first ? check_naive(&e, t, false) : 0;
    want = want != 0 ? want : check_naive(&e, t, true);
    int64_t rev;
    size_t events = w->events;
    int got = world_txn(w, t, &rev);
    assert_int_equal(got, want);
    if (want != 0) {
        assert_int_equal(mvcc_rev(w->store), w->rev);
        assert_int_equal(w->events, events);
        (*refused)++;
        return;
    }
    struct wire_txn_resp resp = {0};
    expect_txn(&e, t, &resp);
    struct buf expected = BUF_INIT;
    wire_txn_resp_encode(&expected, &resp);
    assert_int_equal(w->body.len, expected.len);
    assert_memory_equal(w->body.data, expected.data, expected.len);
    buf_deinit(&expected);
    w->rev = now_rev(&e);
    assert_int_equal(rev, w->rev);
    assert_int_equal(mvcc_rev(w->store), w->rev);
    assert_int_equal(w->events - events, e.sub);
    (*ran)++;
}

static void test_random(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 16);
    unsigned ran = 0;
    unsigned refused = 0;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct world w;
        world_init_level(&w, seed, LEVEL_3_5 + seed % 3);
        for (int n = 0; n < 120; n++) {
            fake_backend_cold_set(w.backend, (unsigned)(seed % 4) * 33, w.rev - 4, seed);
            one_random(&w, &a, &ran, &refused);
            if (n % 40 == 39) {
                world_check(&w);
            }
        }
        world_deinit(&w);
    }
    assert_true(ran > 800 && refused > 50);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compares),
        cmocka_unit_test(test_precheck),
        cmocka_unit_test(test_precheck_levels),
        cmocka_unit_test(test_keys_only_lease),
        cmocka_unit_test(test_ignore_value_of_deleted),
        cmocka_unit_test(test_nobody_waits),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
