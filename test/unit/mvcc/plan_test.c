/* SPDX-License-Identifier: Apache-2.0
 *
 * Range plans: random requests against a naive evaluation; sizes; pins; RangeStream; lazy loading.
 */
#include "store_model.h"

#include <stdio.h>
#include <string.h>

/* ---- the naive range ---- */

static int64_t number_of(const struct change *c, int32_t target)
{
    switch (target) {
    case WIRE_SORT_VERSION: return c->version;
    case WIRE_SORT_CREATE: return c->create_rev;
    case WIRE_SORT_MOD: return c->main;
    default: return c->key;
    }
}

static int order_of(const struct change *a, const struct change *b, int32_t target)
{
    if (target == WIRE_SORT_VALUE) {
        return slice_compare(slice_cstr(a->value), slice_cstr(b->value));
    }
    int64_t x = number_of(a, target);
    int64_t y = number_of(b, target);
    return x < y ? -1 : (x > y ? 1 : 0);
}

/* Insertion sort: stable. */
static void sort(const struct change **c, size_t n, int32_t target, bool down)
{
    for (size_t i = 1; i < n; i++) {
        const struct change *x = c[i];
        size_t j = i;
        while (j > 0 && (down ? -1 : 1) * order_of(c[j - 1], x, target) > 0) {
            c[j] = c[j - 1];
            j--;
        }
        c[j] = x;
    }
}

static size_t filter(const struct wire_range_req *r, const struct change **c, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_out = (r->max_mod_revision != 0 && c[i]->main > r->max_mod_revision) ||
                      (r->min_mod_revision != 0 && c[i]->main < r->min_mod_revision) ||
                      (r->max_create_revision != 0 && c[i]->create_rev > r->max_create_revision) ||
                      (r->min_create_revision != 0 && c[i]->create_rev < r->min_create_revision);
        if (!is_out) {
            c[kept++] = c[i];
        }
    }
    return kept;
}

struct want {
    const struct change *kvs[WORLD_KEYS];
    size_t len;
    int64_t count;
    bool more;
};

static void naive(const struct world *w, const struct wire_range_req *r, int from, int to,
                  struct want *out)
{
    int64_t rev = r->revision <= 0 ? w->rev : r->revision;
    *out = (struct want){0};
    out->len = model_range(w, from, to, rev, out->kvs);
    out->count = (int64_t)out->len;
    if (r->count_only) {
        out->len = 0;
        return;
    }
    bool has_filters = r->min_mod_revision != 0 || r->max_mod_revision != 0 ||
                       r->min_create_revision != 0 || r->max_create_revision != 0;
    bool is_default = r->sort_order == WIRE_SORT_NONE ||
                      (r->sort_target == WIRE_SORT_KEY && r->sort_order == WIRE_SORT_ASCEND);
    if (r->limit > 0 && is_default && !has_filters && (int64_t)out->len > r->limit + 1) {
        out->len = (size_t)r->limit + 1;
    }
    out->len = filter(r, out->kvs, out->len);
    if (r->sort_target != WIRE_SORT_KEY || r->sort_order == WIRE_SORT_DESCEND) {
        sort(out->kvs, out->len, r->sort_target, r->sort_order == WIRE_SORT_DESCEND);
    }
    if (r->limit > 0 && (int64_t)out->len > r->limit) {
        out->len = (size_t)r->limit;
        out->more = true;
    }
}

/* keys_only: no value; in 3.7 no lease either unless the order needed the values. */
static bool kv_matches(const struct world *w, const struct wire_range_req *r,
                       const struct wire_kv *kv, const struct change *c)
{
    struct change cut = *c;
    if (r->keys_only) {
        cut.value[0] = 0;
        bool keeps_lease = w->rules->keys_only_keeps_lease || r->sort_target == WIRE_SORT_VALUE;
        cut.lease = keeps_lease ? cut.lease : 0;
    }
    return kv_is(kv, &cut);
}

static void check_response(struct world *w, const struct wire_range_req *r, struct slice body,
                           const struct want *want)
{
    struct wire_range_resp resp;
    arena_reset(&w->arena);
    assert_int_equal(wire_range_resp_decode(body, &w->arena, &resp), 0);
    assert_int_equal(resp.count, want->count);
    assert_int_equal(resp.more, want->more);
    assert_int_equal(resp.kv_count, want->len);
    for (size_t i = 0; i < want->len; i++) {
        assert_true(kv_matches(w, r, &resp.kvs[i], want->kvs[i]));
    }
}

static int64_t some_rev(struct world *w)
{
    return prng_chance(&w->prng, 2, 3) ? 0 : 1 + (int64_t)prng_below(&w->prng, (uint64_t)w->rev);
}

static struct wire_range_req random_req(struct world *w, int *from, int *to)
{
    struct wire_range_req r = {0};
    *from = (int)prng_below(&w->prng, WORLD_KEYS);
    *to = (int)prng_below(&w->prng, WORLD_KEYS);
    r.key = world_key(*from);
    if (prng_chance(&w->prng, 1, 8)) {
        *to = *from + 1;
    } else if (prng_chance(&w->prng, 1, 4)) {
        r.range_end = slice_make("", 1);
        *to = WORLD_KEYS;
    } else {
        r.range_end = world_key(*to);
    }
    int64_t lo = w->compacted > 0 ? w->compacted : 1;
    if (prng_chance(&w->prng, 1, 2)) {
        r.revision = lo + (int64_t)prng_below(&w->prng, (uint64_t)(w->rev - lo) + 1);
    }
    if (prng_chance(&w->prng, 1, 3)) {
        r.limit = (int64_t)prng_below(&w->prng, 9) - 1;
    }
    r.sort_order = (int32_t)prng_below(&w->prng, 3);
    r.sort_target = (int32_t)prng_below(&w->prng, 5);
    r.keys_only = prng_chance(&w->prng, 1, 4) != 0;
    r.count_only = prng_chance(&w->prng, 1, 8) != 0;
    if (prng_chance(&w->prng, 1, 4)) {
        r.min_mod_revision = some_rev(w);
        r.max_mod_revision = some_rev(w);
        r.min_create_revision = some_rev(w);
        r.max_create_revision = some_rev(w);
    }
    return r;
}

static void run(uint64_t seed, unsigned cold)
{
    struct world w;
    world_init_level(&w, seed, LEVEL_3_5 + seed % 3);
    for (int n = 0; n < 80; n++) {
        world_random_step(&w);
        if (n == 50) {
            world_compact(&w, w.rev - 6);
        }
        fake_backend_cold_set(w.backend, cold, w.rev - 3, seed);
        for (int q = 0; q < 12 && n > 20; q++) {
            int from;
            int to;
            struct wire_range_req r = random_req(&w, &from, &to);
            struct want want;
            struct buf body = BUF_INIT;
            naive(&w, &r, from, to, &want);
            assert_int_equal(world_range(&w, &r, 16 + prng_below(&w.prng, 200), &body), 0);
            check_response(&w, &r, buf_slice(&body), &want);
            buf_deinit(&body);
        }
    }
    world_deinit(&w);
}

static void test_random_ranges(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        run(seed, 0);
        run(seed + 100, 70);
    }
}

/* ---- rules ---- */

static void put_str(struct world *w, const char *key, const char *value)
{
    struct wire_put_req r = {.key = slice_cstr(key), .value = slice_cstr(value)};
    assert_int_equal(mvcc_apply_put(w->store, &r, NULL, NULL), 0);
}

static void first_key_is(struct world *w, const struct wire_range_req *r, const char *key)
{
    struct buf body = BUF_INIT;
    struct wire_range_resp resp;
    assert_int_equal(world_range(w, r, 64, &body), 0);
    arena_reset(&w->arena);
    assert_int_equal(wire_range_resp_decode(buf_slice(&body), &w->arena, &resp), 0);
    assert_int_equal(resp.kv_count, 1);
    assert_true(resp.more);
    assert_true(slice_equal_cstr(resp.kvs[0].key, key));
    buf_deinit(&body);
}

static void test_quirk(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    put_str(&w, "a", "3");
    put_str(&w, "b", "2");
    put_str(&w, "c", "1");
    struct wire_range_req r = {.key = SLICE_LIT("a"),
                               .range_end = SLICE_LIT("z"),
                               .limit = 1,
                               .sort_target = WIRE_SORT_VALUE};
    first_key_is(&w, &r, "b"); /* NONE: the two smallest keys, then the order */
    r.sort_order = WIRE_SORT_ASCEND;
    first_key_is(&w, &r, "c");
    r.sort_order = WIRE_SORT_DESCEND;
    first_key_is(&w, &r, "a");
    world_deinit(&w);
}

static void test_revision_errors(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1);
    for (int i = 0; i < 6; i++) {
        put_str(&w, "a", "x");
    }
    w.rev = mvcc_rev(w.store);
    world_compact(&w, 4);
    struct mvcc_plan p;
    struct wire_range_req r = {.key = SLICE_LIT("a"), .revision = 8};
    assert_int_equal(mvcc_plan_range(w.store, &r, &p), ERR_RPC_FUTURE_REV);
    r.revision = 3;
    assert_int_equal(mvcc_plan_range(w.store, &r, &p), ERR_RPC_COMPACTED);
    r.revision = 4;
    assert_int_equal(mvcc_plan_range(w.store, &r, &p), 0);
    assert_int_equal(p.header_rev, 7);
    assert_int_equal(p.items[0].main, 4);
    mvcc_plan_end(&p);
    r.revision = -9; /* as 0 */
    assert_int_equal(mvcc_plan_range(w.store, &r, &p), 0);
    assert_int_equal(p.items[0].main, 7);
    mvcc_plan_end(&p);
    world_deinit(&w);
}

static void test_validate(void **state)
{
    (void)state;
    struct wire_range_req r = {0};
    assert_int_equal(mvcc_range_validate(&r, level_rules(LEVEL_NEW), false), ERR_RPC_EMPTY_KEY);
    r.key = SLICE_LIT("a");
    assert_int_equal(mvcc_range_validate(&r, level_rules(LEVEL_NEW), false), 0);
    r.sort_order = 3;
    assert_int_equal(mvcc_range_validate(&r, level_rules(LEVEL_NEW), false),
                     ERR_RPC_INVALID_SORT_OPTION);
    assert_int_equal(mvcc_range_validate(&r, level_rules(LEVEL_3_6), false),
                     ERR_RPC_INVALID_SORT_OPTION);
    assert_int_equal(mvcc_range_validate(&r, level_rules(LEVEL_3_5), false), 0);
    r.sort_target = 5; /* ends 3.5 */
    assert_int_equal(mvcc_range_validate(&r, level_rules(LEVEL_3_5), false),
                     ERR_RPC_INVALID_SORT_OPTION);
    r.sort_target = 0;
    r.sort_order = -1;
    assert_int_equal(mvcc_range_validate(&r, level_rules(LEVEL_NEW), false),
                     ERR_RPC_INVALID_SORT_OPTION);
    r.sort_order = 0;
    r.sort_target = 5;
    assert_int_equal(mvcc_range_validate(&r, level_rules(LEVEL_NEW), true),
                     ERR_RPC_INVALID_SORT_OPTION);
    r.sort_target = WIRE_SORT_MOD;
    assert_int_equal(mvcc_range_validate(&r, level_rules(LEVEL_NEW), true), 0);
    r.sort_order = WIRE_SORT_ASCEND;
    assert_int_equal(mvcc_range_validate(&r, level_rules(LEVEL_NEW), true), ERR_RPC_STREAM_SORT);
    r.sort_target = WIRE_SORT_KEY;
    assert_int_equal(mvcc_range_validate(&r, level_rules(LEVEL_NEW), true), 0);
    r.sort_order = WIRE_SORT_DESCEND;
    assert_int_equal(mvcc_range_validate(&r, level_rules(LEVEL_NEW), true), ERR_RPC_STREAM_SORT);
    r.sort_order = 0;
    r.max_create_revision = 1;
    assert_int_equal(mvcc_range_validate(&r, level_rules(LEVEL_NEW), true), ERR_RPC_STREAM_FILTERS);
    struct wire_put_req p = {.key = SLICE_NULL};
    assert_int_equal(mvcc_put_validate(&p), ERR_RPC_EMPTY_KEY);
    p = (struct wire_put_req){.key = SLICE_LIT("a"), .value = SLICE_LIT("v"), .ignore_value = true};
    assert_int_equal(mvcc_put_validate(&p), ERR_RPC_VALUE_PROVIDED);
    p = (struct wire_put_req){.key = SLICE_LIT("a"), .lease = 1, .ignore_lease = true};
    assert_int_equal(mvcc_put_validate(&p), ERR_RPC_LEASE_PROVIDED);
}

/* ---- many keys ---- */

enum { MANY = 5000 };

static struct slice many_key(int i, char b[32])
{
    return slice_make(b, (size_t)snprintf(b, 32, "/registry/things/%06d", i));
}

static void many_init(struct world *w)
{
    world_init(w, 1);
    for (int i = 0; i < MANY; i++) {
        char b[32];
        char value[64];
        struct wire_put_req r = {.key = many_key(i, b)};
        r.value = slice_make(value, (size_t)snprintf(value, 64, "value of %d", i));
        assert_int_equal(mvcc_apply_put(w->store, &r, NULL, NULL), 0);
    }
    w->rev = mvcc_rev(w->store);
}

static void check_many(struct world *w, struct slice body, int count)
{
    struct wire_range_resp resp;
    arena_reset(&w->arena);
    assert_int_equal(wire_range_resp_decode(body, &w->arena, &resp), 0);
    assert_int_equal(resp.count, MANY);
    assert_int_equal(resp.kv_count, count);
    assert_int_equal(resp.more, count < MANY);
    for (int i = 0; i < count; i++) {
        char b[32];
        assert_true(slice_equal(resp.kvs[i].key, many_key(i, b)));
    }
}

static void test_lazy_loading(void **state)
{
    (void)state;
    struct world w;
    many_init(&w);
    for (int variant = 0; variant < 8; variant++) {
        struct wire_range_req r = {.key = SLICE_LIT("/"), .range_end = SLICE_LIT("0")};
        r.limit = (variant & 1) != 0 ? 3000 : 0;
        r.keys_only = (variant & 2) != 0;
        if ((variant & 4) != 0) {
            r.min_mod_revision = 2; /* passes all, but no shortcut */
        }
        struct buf body = BUF_INIT;
        fake_backend_cold_set(w.backend, variant % 3 == 1 ? 30 : 0, INT64_MAX, 3);
        assert_int_equal(world_range(&w, &r, 1 << 16, &body), 0);
        check_many(&w, buf_slice(&body), r.limit != 0 ? 3000 : MANY);
        buf_deinit(&body);
    }
    world_deinit(&w);
}

/* Writes and a compaction between the pieces: the plan goes on at its revision. */
static void test_plan_across_changes(void **state)
{
    (void)state;
    struct world w;
    many_init(&w);
    struct wire_range_req r = {.key = SLICE_LIT("/"), .range_end = SLICE_LIT("0")};
    struct mvcc_plan plan;
    assert_int_equal(mvcc_plan_range(w.store, &r, &plan), 0);
    struct buf body = BUF_INIT;
    uint8_t piece[1000];
    int err = ERR_AGAIN;
    for (int i = 0; err == ERR_AGAIN; i++) {
        struct mvcc_sink sink = {piece, 0, sizeof(piece)};
        err = mvcc_plan_next(&plan, &sink);
        buf_append(&body, piece, sink.len);
        char b[32];
        struct wire_put_req p = {.key = many_key(i * 31 % (MANY + 50), b), .value = SLICE_LIT("n")};
        struct wire_delete_req d = {.key = many_key(MANY - i * 7 % MANY, b)};
        assert_int_equal(i % 2 == 0 ? mvcc_apply_put(w.store, &p, NULL, NULL)
                                    : mvcc_apply_delete(w.store, &d, NULL, NULL),
                         0);
        if (i == 20) {
            assert_int_equal(mvcc_compact(w.store, mvcc_rev(w.store)), 0);
            mvcc_compact_hash_skip(w.store);
        }
        assert_int_equal(mvcc_compact_step(w.store, 100), 0);
        assert_int_equal(mvcc_compact_state(w.store),
                         i >= 20 ? MVCC_COMPACT_HELD : MVCC_COMPACT_IDLE);
    }
    assert_int_equal(err, 0);
    check_many(&w, buf_slice(&body), MANY);
    mvcc_plan_end(&plan);
    world_compact_finish(&w, 100);
    world_check(&w);
    buf_deinit(&body);
    world_deinit(&w);
}

/* ---- RangeStream ---- */

static size_t stream(struct world *w, struct wire_range_req *r, uint64_t request_max,
                     struct buf *all, struct mvcc_chunk *last)
{
    struct mvcc_plan plan;
    uint64_t limit = MVCC_STREAM_CHUNK_FIRST;
    size_t chunks = 0;
    mvcc_range_stream_normalize(r);
    assert_int_equal(world_plan(w, r, &plan), 0);
    do {
        mvcc_plan_chunk(&plan, request_max, last);
        assert_true(last->item_count == limit || last->is_last);
        size_t at = all->len;
        struct mvcc_sink sink = {buf_extend(all, last->kvs_bytes), 0, last->kvs_bytes};
        assert_int_equal(mvcc_plan_next(&plan, &sink), 0);
        assert_int_equal(sink.len, last->kvs_bytes);
        assert_int_equal(all->len - at, last->kvs_bytes);
        limit = last->kvs_bytes < request_max / 2 ? limit * 2 : limit;
        limit = last->kvs_bytes > request_max * 2 ? limit / 2 : limit;
        limit = limit == 0 ? 1 : limit;
        chunks++;
    } while (!last->is_last);
    uint8_t trailer[MVCC_TRAILER_MAX];
    buf_append(all, trailer, mvcc_plan_trailer(&plan, trailer));
    mvcc_plan_end(&plan);
    return chunks;
}

static void test_stream(void **state)
{
    (void)state;
    struct world w;
    many_init(&w);
    uint64_t sizes[] = {1 << 20, 20000, 10};
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        for (int64_t limit = 0; limit <= 2000; limit += 2000) {
            struct wire_range_req r = {
                .key = SLICE_LIT("/"), .range_end = SLICE_LIT("0"), .limit = limit};
            struct buf all = BUF_INIT;
            struct mvcc_chunk last;
            size_t chunks = stream(&w, &r, sizes[s], &all, &last);
            check_many(&w, buf_slice(&all), limit == 0 ? MANY : (int)limit);
            assert_true(sizes[s] != 10 || chunks > 1000);
            buf_deinit(&all);
        }
    }
    struct wire_range_req none = {.key = SLICE_LIT("x"),
                                  .range_end = SLICE_LIT("y"),
                                  .revision = -1,
                                  .sort_target = WIRE_SORT_VALUE};
    struct buf all = BUF_INIT;
    struct mvcc_chunk last;
    assert_int_equal(stream(&w, &none, 1000, &all, &last), 1);
    assert_int_equal(all.len, 0);
    buf_deinit(&all);
    world_deinit(&w);
}

/* With a target and no order the chunks together are what Range answers (etcd's tests ask for it;
 * its own server sorts each chunk alone, which loses keys from the eleventh on). */
static void test_stream_sorted(void **state)
{
    (void)state;
    struct world w;
    many_init(&w);
    for (int32_t target = WIRE_SORT_KEY; target <= WIRE_SORT_VALUE; target++) {
        for (int64_t limit = 0; limit <= 700; limit += 700) {
            struct wire_range_req r = {.key = SLICE_LIT("/"),
                                       .range_end = SLICE_LIT("0"),
                                       .limit = limit,
                                       .sort_target = target};
            struct buf all = BUF_INIT, whole = BUF_INIT;
            struct mvcc_chunk last;
            assert_int_equal(world_range(&w, &r, 1000, &whole), 0);
            assert_true(stream(&w, &r, 2000, &all, &last) > 10);
            assert_true(slice_equal(buf_slice(&all), buf_slice(&whole)));
            buf_deinit(&whole);
            buf_deinit(&all);
        }
    }
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_ranges),   cmocka_unit_test(test_quirk),
        cmocka_unit_test(test_revision_errors), cmocka_unit_test(test_validate),
        cmocka_unit_test(test_lazy_loading),    cmocka_unit_test(test_plan_across_changes),
        cmocka_unit_test(test_stream),          cmocka_unit_test(test_stream_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
