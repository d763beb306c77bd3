/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/model: states worked out by hand: versions, revisions, deletions, transactions, leases.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "sim/model.h"
#include "test/unit/sim/tests.h"

static struct model *model;
static raft_index next;

static void entry(uint32_t which, const struct buf *body)
{
    struct wire_internal req = {.id = next, .which = which, .body = buf_slice(body)};
    struct buf data = BUF_INIT;
    wire_internal_encode(&req, buf_extend(&data, wire_internal_size(&req)));
    const struct raft_entry e = {.term = 1, .index = next++, .data = buf_slice(&data)};
    assert_true(model_apply(model, &e));
    buf_deinit(&data);
}

static void put(const char *key, const char *value, int64_t lease)
{
    struct buf body = BUF_INIT;
    const struct wire_put_req req = {
        .key = slice_cstr(key), .value = slice_cstr(value), .lease = lease};
    wire_put_req_encode(&body, &req);
    entry(WIRE_INTERNAL_PUT, &body);
    buf_deinit(&body);
}

static void delete_range(const char *key, const char *end)
{
    struct buf body = BUF_INIT;
    const struct wire_delete_req req = {.key = slice_cstr(key), .range_end = slice_cstr(end)};
    wire_delete_req_encode(&body, &req);
    entry(WIRE_INTERNAL_DELETE_RANGE, &body);
    buf_deinit(&body);
}

static void numbers(uint32_t which, uint64_t one, uint64_t two)
{
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 1, one);
    wire_append_u64(&body, 2, two);
    entry(which, &body);
    buf_deinit(&body);
}

static const struct model_record *get(const char *key, int64_t rev)
{
    return model_get(model, slice_cstr(key), rev);
}

static int begin(void **state)
{
    (void)state;
    model = model_create();
    next = 1;
    return 0;
}

static int end(void **state)
{
    (void)state;
    model_destroy(model);
    return 0;
}

static void puts_and_deletions(void **state)
{
    (void)state;
    put("a", "1", 0);
    put("a", "2", 0);
    delete_range("b", ""); /* nothing there: no revision */
    assert_int_equal(model_rev(model), 3);
    delete_range("a", "c");
    put("a", "3", 0);
    assert_int_equal(model_rev(model), 5);
    assert_int_equal(get("a", 3)->kv.version, 2);
    assert_int_equal(get("a", 3)->kv.create_revision, 2);
    assert_null(get("a", 4));
    assert_int_equal(get("a", 5)->kv.version, 1);
    assert_int_equal(get("a", 5)->kv.create_revision, 5);
    assert_int_equal(model_rev_at(model, 3), 3);
    assert_int_equal(model_find(model, 4), 2);
    assert_true(model_digest_at(model, 4) != model_digest_at(model, 5));
    assert_true(model_digest_at(model, 4) == model_digest_at(model, 4));
}

static void ranges(void **state)
{
    const struct model_record *out[4];
    (void)state;
    put("b", "1", 0);
    put("a", "1", 0);
    put("c", "1", 0);
    assert_int_equal(model_range(model, slice_cstr("a"), slice_cstr("c"), 4, out, 4), 2);
    assert_true(slice_equal_cstr(out[0]->kv.key, "a"));
    assert_int_equal(model_range(model, slice_cstr("a"), slice_cstr("c"), 2, out, 4), 1);
    assert_int_equal(model_range(model, slice_cstr("b"), slice_make("", 1), 4, out, 4), 2);
}

static void transactions(void **state)
{
    (void)state;
    put("a", "1", 0);
    struct wire_compare c = {.result = WIRE_EQUAL,
                             .target = WIRE_COMPARE_VERSION,
                             .key = SLICE_LIT("a"),
                             .operand_field = 4,
                             .number = 1};
    struct wire_op yes[] = {
        {.kind = WIRE_OP_PUT, .put = {.key = SLICE_LIT("a"), .value = SLICE_LIT("x")}},
        {.kind = WIRE_OP_PUT, .put = {.key = SLICE_LIT("b"), .value = SLICE_LIT("x")}},
    };
    struct wire_txn_req txn = {
        .compares = &c, .success = yes, .compare_count = 1, .success_count = 2};
    struct buf body = BUF_INIT;
    wire_txn_req_encode(&body, &txn);
    entry(WIRE_INTERNAL_TXN, &body);
    assert_int_equal(model_rev(model), 3); /* both in one revision */
    assert_int_equal(get("b", 3)->sub, 1);
    entry(WIRE_INTERNAL_TXN, &body); /* does not hold any more; no other branch */
    assert_int_equal(model_rev(model), 3);
    assert_true(model_compare(model, &txn, 2) && !model_compare(model, &txn, 3));
    buf_deinit(&body);
}

static void leases(void **state)
{
    (void)state;
    put("a", "1", 7); /* no such lease: no effect */
    assert_int_equal(model_rev(model), 1);
    numbers(WIRE_INTERNAL_LEASE_GRANT, 10, 7);
    put("a", "1", 7);
    put("b", "1", 7);
    put("b", "2", 0);
    assert_true(model_lease(model, 7)->is_alive);
    numbers(WIRE_INTERNAL_LEASE_REVOKE, 7, 0);
    assert_false(model_lease(model, 7)->is_alive);
    assert_int_equal(model_rev(model), 5);
    assert_null(get("a", 5));
    assert_non_null(get("b", 5));
}

static void compaction_moves_a_number(void **state)
{
    (void)state;
    put("a", "1", 0);
    numbers(WIRE_INTERNAL_COMPACTION, 3, 0); /* of the future */
    assert_int_equal(model_compact_rev(model), -1);
    numbers(WIRE_INTERNAL_COMPACTION, 2, 0);
    assert_int_equal(model_compact_rev(model), 2);
    assert_int_equal(model_compact_rev_at(model, 1), -1);
    assert_non_null(get("a", 2));
}

static void rubbish_is_no_entry(void **state)
{
    (void)state;
    const struct raft_entry e = {.term = 1, .index = 1, .data = SLICE_LIT("\x22\x05\x0a")};
    assert_false(model_apply(model, &e));
}

int sim_model_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(puts_and_deletions, begin, end),
        cmocka_unit_test_setup_teardown(ranges, begin, end),
        cmocka_unit_test_setup_teardown(transactions, begin, end),
        cmocka_unit_test_setup_teardown(leases, begin, end),
        cmocka_unit_test_setup_teardown(compaction_moves_a_number, begin, end),
        cmocka_unit_test_setup_teardown(rubbish_is_no_entry, begin, end),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
