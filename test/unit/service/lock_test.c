/* SPDX-License-Identifier: Apache-2.0
 *
 * v3lockpb.Lock and v3electionpb.Election over a fake core: what they ask of it, in etcd's form,
 * and what a client that goes leaves behind.  Whose turn it is: test/e2e/lock_test.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bed.h"
#include "service/election_req.h"
#include "wire/response.h"

#define LOCK "/v3lockpb.Lock/"
#define ELECTION "/v3electionpb.Election/"

struct bytes {
    const char *data;
    size_t len;
};

#define B(s)                                                                                       \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }

static void ask_bytes(const char *method, struct bytes b)
{
    struct buf msg = BUF_INIT;
    buf_append(&msg, b.data, b.len);
    ask(method, &msg);
    buf_deinit(&msg);
}

/* The oldest request is this proposal. */
static struct core_request *logged(uint32_t which, struct bytes want)
{
    struct core_request *r = fake_take(CORE_PROPOSE);
    assert_int_equal(r->which, which);
    assert_int_equal(fake.body.len, want.len);
    assert_memory_equal(fake.body.data, want.data, want.len);
    return r;
}

static struct wire_op_resp ranged(struct wire_kv *kv)
{
    return (struct wire_op_resp){.kind = WIRE_OP_RANGE,
                                 .range = {.kvs = kv, .kv_count = kv != NULL, .count = kv != NULL}};
}

/* Answers a txn. */
static void txn_answered(struct core_request *r, int64_t rev, bool succeeded,
                         struct wire_op_resp *responses, size_t count)
{
    const struct wire_txn_resp resp = {
        .succeeded = succeeded, .responses = responses, .response_count = count};
    wire_txn_resp_encode(r->response, &resp);
    r->header_rev = rev;
    answered(r, 0);
}

static const struct bytes acquire_txn =
    B("\x0a\x09\x10\x01\x1a\x03n/2\x28\x00"
      "\x12\x09\x12\x07\x0a\x03n/2\x18\x02"
      "\x12\x10\x0a\x0e\x0a\x02n/\x12\x02n0\x18\x01\x28\x01\x30\x02"
      "\x1a\x07\x0a\x05\x0a\x03n/2"
      "\x1a\x10\x0a\x0e\x0a\x02n/\x12\x02n0\x18\x01\x28\x01\x30\x02");

static void lock_is_one_txn_when_free(void **state)
{
    (void)state;
    struct wire_kv own = {.key = SLICE_LIT("n/2"), .create_revision = 8};
    struct wire_op_resp rs[] = {{.kind = WIRE_OP_PUT}, ranged(&own)};
    ask_bytes(LOCK "Lock", (struct bytes)B("\x0a\x01n\x10\x02"));
    txn_answered(logged(WIRE_INTERNAL_TXN, acquire_txn), 8, true, rs, 2);
    expect_fields("1:{1:193 2:17 3:8 4:3} 2:n/2");
    assert_true(fake_is_idle());
}

/* The holder asks again: the key's own revision counts. */
static void the_holder_has_it(void **state)
{
    (void)state;
    struct wire_kv own = {.key = SLICE_LIT("n/2"), .create_revision = 5};
    struct wire_op_resp rs[] = {ranged(&own), ranged(&own)};
    ask_bytes(LOCK "Lock", (struct bytes)B("\x0a\x01n\x10\x02"));
    txn_answered(logged(WIRE_INTERNAL_TXN, acquire_txn), 8, false, rs, 2);
    expect_fields("1:{1:193 2:17 3:8 4:3} 2:n/2");
}

static void a_lease_is_granted_when_none_is_given(void **state)
{
    (void)state;
    ask_bytes(LOCK "Lock", (struct bytes)B("\x0a\x01n"));
    answered(logged(WIRE_INTERNAL_LEASE_GRANT, (struct bytes)B("\x08\x3c\x10\x05")), 0);
    struct core_request *r = fake_take(CORE_PROPOSE);
    assert_int_equal(r->which, WIRE_INTERNAL_TXN);
    answered(r, ERR_RPC_LEASE_NOT_FOUND);
    expect(&sb.r, GRPC_UNKNOWN, "etcdserver: requested lease not found");
}

static void a_negative_lease_is_written_with_its_sign(void **state)
{
    (void)state;
    ask_bytes(LOCK "Lock",
              (struct bytes)B("\x0a\x01n\x10\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    struct core_request *r = fake_take(CORE_PROPOSE);
    assert_memory_equal(fake.body.data, "\x0a\x0a\x10\x01\x1a\x04n/-2", 10);
    answered(r, ERR_RPC_LEASE_NOT_FOUND);
}

static void deadlines_keep_their_code(void **state)
{
    (void)state;
    ask_bytes(LOCK "Lock", (struct bytes)B("\x0a\x01n\x10\x02"));
    answered(fake_take(CORE_PROPOSE), ERR_RPC_CONTEXT_DEADLINE);
    expect(&sb.r, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
}

/* Up to where it waits for the key of another. */
static struct core_request *contended(const char *method)
{
    struct wire_kv first = {.key = SLICE_LIT("n/1"), .create_revision = 4};
    struct wire_op_resp rs[] = {{.kind = WIRE_OP_PUT}, ranged(&first)};
    ask_bytes(method, (struct bytes)B("\x0a\x01n\x10\x02"));
    txn_answered(fake_take(CORE_PROPOSE), 8, true, rs, strcmp(method, LOCK "Lock") == 0 ? 2 : 1);
    struct core_request *r = fake_take(CORE_TXN_READ);
    const struct wire_range_req *q = &r->txn->success[0].range;
    assert_true(r->txn->success_count == 1 && r->txn->compare_count == 0);
    assert_true(slice_equal_cstr(q->key, "n/") && slice_equal_cstr(q->range_end, "n0"));
    assert_true(q->limit == 1 && q->sort_order == WIRE_SORT_DESCEND);
    assert_true(q->sort_target == WIRE_SORT_CREATE && q->max_create_revision == 7);
    assert_false(r->is_serializable);
    return r;
}

static void the_last_look_is_at_the_own_key(void **state)
{
    (void)state;
    struct wire_op_resp none = ranged(NULL);
    struct wire_kv own = {.key = SLICE_LIT("n/2"), .create_revision = 8};
    struct wire_op_resp here = ranged(&own);
    txn_answered(contended(LOCK "Lock"), 9, true, &none, 1);
    txn_answered(fake_take(CORE_TXN_READ), 9, true, &none, 1);
    expect(&sb.r, GRPC_UNKNOWN, "mutex: session is expired");
    txn_answered(contended(LOCK "Lock"), 9, true, &none, 1);
    struct core_request *r = fake_take(CORE_TXN_READ);
    assert_true(slice_equal_cstr(r->txn->success[0].range.key, "n/2"));
    txn_answered(r, 11, true, &here, 1);
    expect_fields("1:{1:193 2:17 3:11 4:3} 2:n/2");
}

static void a_wait_that_fails_takes_the_lock_away(void **state)
{
    (void)state;
    answered(contended(LOCK "Lock"), ERR_RPC_LEADER_CHANGED);
    expect(&sb.r, GRPC_UNKNOWN, "etcdserver: leader changed");
    answered(logged(WIRE_INTERNAL_DELETE_RANGE, (struct bytes)B("\x0a\x03n/2")), 0);
}

static void a_candidate_whose_wait_fails_stays(void **state)
{
    (void)state;
    answered(contended(ELECTION "Campaign"), ERR_RPC_LEADER_CHANGED);
    expect(&sb.r, GRPC_UNKNOWN, "etcdserver: leader changed");
    assert_true(fake_is_idle());
}

static void go(void)
{
    grpc_client_call_cancel(sb.call);
    settle(&sb.bed);
}

static const struct bytes resign_txn = B("\x0a\x09\x10\x01\x1a\x03n/2\x28\x08"
                                         "\x12\x07\x1a\x05\x0a\x03n/2");

static void who_goes_while_it_waits_takes_its_key_away(void **state)
{
    (void)state;
    struct core_request *r = contended(LOCK "Lock");
    go();
    assert_int_equal(fake.canceled, 1);
    fake_reply(r, ERR_RPC_CONTEXT_CANCELED);
    answered(logged(WIRE_INTERNAL_DELETE_RANGE, (struct bytes)B("\x0a\x03n/2")), 0);
    r = contended(ELECTION "Campaign");
    go();
    fake_reply(r, ERR_RPC_CONTEXT_CANCELED);
    answered(logged(WIRE_INTERNAL_TXN, resign_txn), 0);
    assert_true(fake_is_idle());
}

/* Whether its key is its own is known with the answer. */
static void who_goes_while_the_key_is_made(void **state)
{
    (void)state;
    struct wire_kv own = {.key = SLICE_LIT("n/2"), .create_revision = 5};
    struct wire_op_resp made[] = {{.kind = WIRE_OP_PUT}, ranged(&own)};
    struct wire_op_resp had[] = {ranged(&own), ranged(&own)};
    ask_bytes(LOCK "Lock", (struct bytes)B("\x0a\x01n\x10\x02"));
    go();
    assert_int_equal(fake.canceled, 0);
    txn_answered(fake_take(CORE_PROPOSE), 8, true, made, 2);
    answered(logged(WIRE_INTERNAL_DELETE_RANGE, (struct bytes)B("\x0a\x03n/2")), 0);
    ask_bytes(LOCK "Lock", (struct bytes)B("\x0a\x01n\x10\x02"));
    go();
    txn_answered(fake_take(CORE_PROPOSE), 8, false, had, 2); /* it was there before */
    assert_true(fake_is_idle());
    ask_bytes(LOCK "Lock", (struct bytes)B("\x0a\x01n\x10\x02"));
    go();
    answered(fake_take(CORE_PROPOSE), ERR_RPC_TIMEOUT);
    assert_true(fake_is_idle());
}

static void a_campaign_with_another_value_proclaims(void **state)
{
    (void)state;
    struct wire_kv own = {.key = SLICE_LIT("n/2"), .value = SLICE_LIT("old"), .create_revision = 5};
    struct wire_op_resp had = ranged(&own), put = {.kind = WIRE_OP_PUT}, none = ranged(NULL);
    ask_bytes(ELECTION "Campaign", (struct bytes)B("\x0a\x01n\x10\x02\x1a\x03new"));
    txn_answered(fake_take(CORE_PROPOSE), 8, false, &had, 1);
    txn_answered(logged(WIRE_INTERNAL_TXN, (struct bytes)B("\x0a\x09\x10\x01\x1a\x03n/2\x28\x05"
                                                           "\x12\x0e\x12\x0c\x0a\x03n/2\x12\x03new"
                                                           "\x18\x02")),
                 9, true, &put, 1);
    txn_answered(fake_take(CORE_TXN_READ), 9, true, &none, 1);
    expect_fields("1:{1:193 2:17 3:8 4:3} 2:{1:n 2:n/2 3:5 4:2}");
}

static void what_has_no_leader_is_told_so(void **state)
{
    (void)state;
    static const char *const methods[] = {ELECTION "Proclaim", ELECTION "Resign"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        ask_empty(methods[i]);
        expect(&sb.r, GRPC_UNKNOWN, "\"leader\" field must be provided");
        ask_bytes(methods[i], (struct bytes)B("\x0a\x02\x20\x02"));
        expect(&sb.r, GRPC_UNKNOWN, "etcdserver: key is not provided");
    }
    ask_empty(LOCK "Unlock");
    expect(&sb.r, GRPC_UNKNOWN, "etcdserver: key is not provided");
    ask_bytes(LOCK "Lock", (struct bytes)B("\x0a\x05n"));
    expect(&sb.r, GRPC_INTERNAL,
           "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data");
    assert_true(fake_is_idle());
}

static void requests_are_decoded(void **state)
{
    (void)state;
    struct contest_req c = {.lease = 7};
    struct leader_req l = {.rev = 7};
    assert_int_equal(contest_req_decode(SLICE_LIT("\x0a\x01n\x10\x02\x1a\x01v\x20\x01"), &c), 0);
    assert_true(slice_equal_cstr(c.name, "n") && c.lease == 2 && slice_equal_cstr(c.value, "v"));
    assert_int_equal(contest_req_decode(SLICE_LIT("\x0a\x02n"), &c), ERR_TRUNCATED);
    assert_int_equal(c.lease, 2);
    /* A LeaderKey in two pieces is one. */
    assert_int_equal(
        leader_req_decode(SLICE_LIT("\x0a\x04\x12\x02n/\x0a\x04\x18\x05\x20\x06\x12\x01v"), &l), 0);
    assert_true(l.has_leader && slice_equal_cstr(l.key, "n/") && l.rev == 5 && l.lease == 6);
    assert_true(slice_equal_cstr(l.value, "v"));
    assert_int_not_equal(leader_req_decode(SLICE_LIT("\x0a\x02\x12\x05"), &l), 0);
    assert_int_equal(l.rev, 5);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, service_bed_setup, service_bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lock_is_one_txn_when_free),
        TEST(the_holder_has_it),
        TEST(a_lease_is_granted_when_none_is_given),
        TEST(a_negative_lease_is_written_with_its_sign),
        TEST(deadlines_keep_their_code),
        TEST(the_last_look_is_at_the_own_key),
        TEST(a_wait_that_fails_takes_the_lock_away),
        TEST(a_candidate_whose_wait_fails_stays),
        TEST(who_goes_while_it_waits_takes_its_key_away),
        TEST(who_goes_while_the_key_is_made),
        TEST(a_campaign_with_another_value_proclaims),
        TEST(what_has_no_leader_is_told_so),
        cmocka_unit_test(requests_are_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
