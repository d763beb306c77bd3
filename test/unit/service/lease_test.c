/* SPDX-License-Identifier: Apache-2.0
 *
 * etcdserverpb.Lease: what goes into the log, renewals and looks here and by the leader, the
 * stream.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "bed.h"
#include "lease/lessor.h"
#include "schema/schema.h"
#include "service/internal.h"

#define LEASE "/etcdserverpb.Lease/"
#define HEADER "1:{1:193 2:17 3:7 4:3}"

enum { ID = 77, LEADER = 0x22, PAUSE_MS = 50 };

static void ask_numbers(const char *method, uint64_t one, uint64_t two)
{
    struct buf msg = BUF_INIT;
    wire_append_u64(&msg, 1, one);
    wire_append_u64(&msg, 2, two);
    ask(method, &msg);
    buf_deinit(&msg);
}

static void lease_make(int64_t id, int64_t ttl_s)
{
    uint8_t key[SCHEMA_LEASE_KEY_BYTES];
    struct buf row = BUF_INIT;
    const struct schema_lease l = {id, ttl_s, 0};
    store_be64(key, (uint64_t)id);
    schema_lease_encode(&row, &l);
    assert_int_equal(lessor_load(fake.lessor, slice_make(key, sizeof(key)), buf_slice(&row)), 0);
    buf_deinit(&row);
    lessor_promote(fake.lessor, env_mono_ms(fake.env), 0);
}

static void another_leads(void)
{
    fake_member_add(LEADER, "n2", "http://h:2", "http://c:2", false);
    fake.status.leader = LEADER;
    lessor_demote(fake.lessor);
}

/* ---- through the log ---- */

static void expect_proposal(uint32_t which, uint64_t one, uint64_t two, uint64_t cost)
{
    struct buf want = BUF_INIT;
    wire_append_u64(&want, 1, one);
    wire_append_u64(&want, 2, two);
    struct core_request *r = fake_take(CORE_PROPOSE);
    assert_int_equal(r->which, which);
    assert_int_equal(r->quota_cost, cost);
    assert_true(slice_equal(r->body, buf_slice(&want)));
    buf_deinit(&want);
    answered(r, ERR_RPC_LEASE_EXISTS);
    expect(&sb.r, GRPC_FAILED_PRECONDITION, "etcdserver: lease already exists");
}

static void grants_and_revocations_are_proposed(void **state)
{
    (void)state;
    ask_numbers(LEASE "LeaseGrant", 60, ID);
    expect_proposal(WIRE_INTERNAL_LEASE_GRANT, 60, ID, 64);
    ask_numbers(LEASE "LeaseGrant", (uint64_t)-5, (uint64_t)-1);
    expect_proposal(WIRE_INTERNAL_LEASE_GRANT, (uint64_t)-5, (uint64_t)-1, 64);
    ask_numbers(LEASE "LeaseGrant", 60, 0); /* the server's choice is positive */
    expect_proposal(WIRE_INTERNAL_LEASE_GRANT, 60, 5, 64);
    ask_numbers(LEASE "LeaseRevoke", ID, 9);
    expect_proposal(WIRE_INTERNAL_LEASE_REVOKE, ID, 0, 0);
}

static void bad_messages_are_refused(void **state)
{
    (void)state;
    static const char *const methods[] = {"LeaseGrant", "LeaseRevoke", "LeaseTimeToLive",
                                          "LeaseLeases"};
    struct buf bad = BUF_INIT;
    buf_append_cstr(&bad, "\x0a\x7f");
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), LEASE "%s", methods[i]);
        ask(path, &bad);
        assert_int_equal(sb.r.code, GRPC_INTERNAL);
    }
    buf_deinit(&bad);
    assert_true(fake_is_idle());
}

/* ---- looks ---- */

static void a_leader_looks_itself(void **state)
{
    (void)state;
    lease_make(ID, 60);
    assert_true(lessor_attach(fake.lessor, ID, SLICE_LIT("b")));
    assert_true(lessor_attach(fake.lessor, ID, SLICE_LIT("a")));
    fake_env_advance(sb.bed.f, 1500);
    ask_numbers(LEASE "LeaseTimeToLive", ID, 0);
    answered(fake_take(CORE_CATCH_UP), 0);
    expect_fields(HEADER " 2:77 3:58 4:60");
    ask_numbers(LEASE "LeaseTimeToLive", ID, 1);
    answered(fake_take(CORE_CATCH_UP), 0);
    expect_fields(HEADER " 2:77 3:58 4:60 5:a 5:b");
    ask_numbers(LEASE "LeaseTimeToLive", ID + 1, 1);
    answered(fake_take(CORE_CATCH_UP), 0);
    expect_fields(HEADER " 2:78 3:18446744073709551615");
    ask_numbers(LEASE "LeaseTimeToLive", ID, 1);
    lessor_demote(fake.lessor);
    answered(fake_take(CORE_CATCH_UP), 0);
    expect(&sb.r, GRPC_UNAVAILABLE, "etcdserver: leader changed");
}

static void a_follower_asks_the_leader(void **state)
{
    (void)state;
    another_leads();
    ask_numbers(LEASE "LeaseTimeToLive", ID, 1);
    assert_string_equal(fake.asks[0].url, "http://h:2");
    assert_string_equal(fake.asks[0].method, "POST");
    assert_string_equal(fake.asks[0].path, "/leases/internal");
    assert_string_equal(fake.asks[0].body, "\x0a\x04\x08\x4d\x10\x01");
    fake_answer(0, 0, 200, "\x0a\x0a\x10\x4d\x18\x05\x20\x3c\x2a\x02zz");
    settle(&sb.bed);
    expect_fields(HEADER " 2:77 3:5 4:60 5:zz");
    ask_numbers(LEASE "LeaseTimeToLive", ID, 0);
    fake_answer(0, 0, 404, "lease not found");
    settle(&sb.bed);
    expect_fields(HEADER " 2:77 3:18446744073709551615");
}

/* Garbage, another lease, silence: asked again, until the time is over. */
static void a_leader_that_is_of_no_use(void **state)
{
    (void)state;
    another_leads();
    ask_numbers(LEASE "LeaseTimeToLive", ID, 0);
    fake_answer(0, 0, 200, "\x0a\x7f");
    fake_env_advance(sb.bed.f, PAUSE_MS);
    fake_answer(0, 0, 200, "\x0a\x04\x10\x4e\x18\x05");
    fake_env_advance(sb.bed.f, PAUSE_MS);
    fake_answer(0, ERR_TIMED_OUT, 0, "");
    fake_env_advance(sb.bed.f, 7000);
    settle(&sb.bed);
    assert_true(sb.r.is_done || fake.asks[0].is_open);
    if (fake.asks[0].is_open) {
        fake_answer(0, ERR_TIMED_OUT, 0, "");
        fake_env_advance(sb.bed.f, PAUSE_MS);
        settle(&sb.bed);
    }
    expect(&sb.r, GRPC_UNAVAILABLE, "etcdserver: request timed out");
}

static void nobody_leads(void **state)
{
    (void)state;
    fake.status.leader = 0;
    ask_numbers(LEASE "LeaseTimeToLive", ID, 0);
    for (unsigned i = 0; i < 7000 / PAUSE_MS + 2; i++) {
        fake_env_advance(sb.bed.f, PAUSE_MS);
    }
    settle(&sb.bed);
    expect(&sb.r, GRPC_UNAVAILABLE, "etcdserver: no leader");
    ask_empty(LEASE "LeaseLeases");
    expect_fields(HEADER);
}

static void all_are_listed(void **state)
{
    (void)state;
    lease_make(5, 100);
    lease_make(9, 50);
    ask_empty(LEASE "LeaseLeases");
    expect_fields(HEADER " 2:{1:9} 2:{1:5}");
}

/* ---- the stream ---- */

static void renew_send(int64_t id)
{
    struct buf msg = BUF_INIT;
    wire_append_u64(&msg, 1, (uint64_t)id);
    grpc_client_call_send(sb.call, buf_slice(&msg));
    settle(&sb.bed);
    buf_deinit(&msg);
}

static void stream_start(void)
{
    sb.call = start(&sb.bed, LEASE "LeaseKeepAlive", &sb.r, 0);
    settle(&sb.bed);
}

/* The last answer's own fields. */
static void expect_renewed(int messages, int64_t id, uint64_t ttl_s)
{
    struct buf want = BUF_INIT;
    wire_append_u64(&want, 2, (uint64_t)id);
    wire_append_u64(&want, 3, ttl_s);
    assert_int_equal(sb.r.messages, messages);
    assert_true(sb.r.got.len >= want.len);
    assert_memory_equal(sb.r.got.data + sb.r.got.len - want.len, want.data, want.len);
    buf_deinit(&want);
}

static void renewals_are_in_order(void **state)
{
    (void)state;
    stream_start();
    renew_send(ID);
    renew_send(ID + 1); /* waits for its turn */
    struct core_request *r = fake_take(CORE_LEASE_RENEW);
    assert_ptr_equal(list_last(&fake.requests), &r->node);
    assert_int_equal(r->lease_id, ID);
    assert_false(r->is_from_peer);
    r->ttl_s = 60;
    answered(r, 0);
    expect_renewed(1, ID, 60);
    answered(fake_take(CORE_LEASE_RENEW), ERR_RPC_LEASE_NOT_FOUND);
    expect_renewed(2, ID + 1, 0);
    grpc_client_call_half_close(sb.call);
    settle(&sb.bed);
    assert_true(sb.r.is_done);
    assert_int_equal(sb.r.code, GRPC_OK);
}

static void the_end_waits_for_the_answer(void **state)
{
    (void)state;
    stream_start();
    renew_send(ID);
    grpc_client_call_half_close(sb.call);
    settle(&sb.bed);
    assert_false(sb.r.is_done);
    struct core_request *r = fake_take(CORE_LEASE_RENEW);
    r->ttl_s = 9;
    answered(r, 0);
    expect_renewed(1, ID, 9);
    assert_true(sb.r.is_done);
    assert_int_equal(sb.r.code, GRPC_OK);
}

static void leadership_in_doubt_ends_the_stream(void **state)
{
    (void)state;
    stream_start();
    renew_send(ID);
    answered(fake_take(CORE_LEASE_RENEW), ERR_RPC_LEADER_CHANGED);
    assert_int_equal(sb.r.messages, 0);
    assert_int_equal(sb.r.code, GRPC_UNKNOWN);
    assert_string_equal(sb.r.text, "not a primary lessor");
}

/* Not the leader any more: the next one is asked. */
static void a_renewal_follows_the_leader(void **state)
{
    (void)state;
    stream_start();
    renew_send(ID);
    struct core_request *r = fake_take(CORE_LEASE_RENEW);
    another_leads();
    answered(r, ERR_RPC_NOT_LEADER);
    fake_env_advance(sb.bed.f, PAUSE_MS);
    assert_string_equal(fake.asks[0].path, "/leases");
    assert_string_equal(fake.asks[0].body, "\x08\x4d");
    fake_answer(0, 0, 400, "not a primary lessor");
    fake.status.leader = FAKE_SELF;
    fake_env_advance(sb.bed.f, PAUSE_MS);
    r = fake_take(CORE_LEASE_RENEW);
    r->ttl_s = 30;
    answered(r, 0);
    expect_renewed(1, ID, 30);
    fake.status.leader = LEADER;
    renew_send(ID);
    fake_answer(0, 0, 200, "\x10\x4d\x18\x05");
    settle(&sb.bed);
    expect_renewed(2, ID, 5);
    renew_send(ID);
    grpc_client_call_cancel(sb.call);
    settle(&sb.bed);
    assert_int_equal(fake.asks_canceled, 1);
}

static void strict_stream_start(const char *wish)
{
    const struct grpc_metadata h = {SLICE_LIT("hasleader"), slice_cstr(wish)};
    struct grpc_client_call_options o = {.path = LEASE "LeaseKeepAlive",
                                         .ops = &call_ops,
                                         .arg = &sb.r,
                                         .metadata = &h,
                                         .metadata_count = 1};
    sb.call = grpc_client_start(sb.bed.client, &o);
    settle(&sb.bed);
}

static void looks_without_leader(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        fake_env_advance(sb.bed.f, sb.service->o.election_ms);
        settle(&sb.bed);
    }
}

/* Three looks in a row that see no leader, and not a call that did not ask for one. */
static void a_lost_leader_ends_strict_streams(void **state)
{
    (void)state;
    sb.service->o.election_ms = 1000;
    strict_stream_start("true");
    renew_send(ID);
    fake.status.leader = 0;
    looks_without_leader(2);
    fake.status.leader = FAKE_SELF;
    looks_without_leader(1);
    fake.status.leader = 0;
    looks_without_leader(2);
    assert_false(sb.r.is_done);
    struct core_request *r = fake_take(CORE_LEASE_RENEW);
    looks_without_leader(1);
    expect(&sb.r, GRPC_UNAVAILABLE, "etcdserver: no leader");
    fake_reply(r, 0); /* for nobody any more */
    fake.status.leader = FAKE_SELF;
    memset(&sb.r, 0, sizeof(sb.r));
    strict_stream_start("no");
    renew_send(ID);
    fake.status.leader = 0;
    looks_without_leader(5);
    assert_false(sb.r.is_done);
    grpc_client_call_cancel(sb.call);
    settle(&sb.bed);
    fake_reply(fake_take(CORE_LEASE_RENEW), 0);
}

static void a_renewal_in_the_core_is_cancelled(void **state)
{
    (void)state;
    stream_start();
    renew_send(ID);
    struct core_request *r = fake_take(CORE_LEASE_RENEW);
    grpc_client_call_cancel(sb.call);
    settle(&sb.bed);
    assert_int_equal(fake.canceled, 1);
    fake_reply(r, ERR_RPC_CONTEXT_CANCELED);
}

/* ---- pages ---- */

static int page_err;
static struct service_lease page_lease;
static size_t page_count;

static void on_page(void *arg, int err, const struct service_lease *l)
{
    (void)arg;
    page_count++;
    page_err = err;
    page_lease = err == 0 ? *l : (struct service_lease){0};
}

static void pages_answer(void **state)
{
    (void)state;
    lease_make(ID, 60);
    page_count = 0;
    service_page_lease(sb.service, ID, true, false, on_page, NULL);
    struct core_request *r = fake_take(CORE_LEASE_RENEW);
    assert_true(r->is_from_peer);
    r->ttl_s = 60;
    fake_reply(r, 0);
    assert_int_equal(page_lease.ttl_s, 60);
    service_page_lease(sb.service, ID, true, false, on_page, NULL);
    fake_reply(fake_take(CORE_LEASE_RENEW), ERR_RPC_TIMEOUT_WAIT_APPLIED);
    assert_int_equal(page_err, ERR_TIMED_OUT);
    service_page_lease(sb.service, ID, false, true, on_page, NULL);
    fake_reply(fake_take(CORE_CATCH_UP), 0);
    assert_int_equal(page_err, 0);
    assert_int_equal(page_lease.granted_ttl_s, 60);
    lessor_demote(fake.lessor);
    service_page_lease(sb.service, ID, false, true, on_page, NULL);
    fake_reply(fake_take(CORE_CATCH_UP), 0);
    assert_int_equal(page_err, ERR_RPC_NOT_PRIMARY_LESSOR);
    service_page_lease(sb.service, ID + 1, false, true, on_page, NULL);
    fake_reply(fake_take(CORE_CATCH_UP), 0);
    assert_int_equal(page_err, ERR_RPC_LEASE_NOT_FOUND);
    assert_int_equal(page_count, 5);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, service_bed_setup, service_bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(grants_and_revocations_are_proposed),
        TEST(bad_messages_are_refused),
        TEST(a_leader_looks_itself),
        TEST(a_follower_asks_the_leader),
        TEST(a_leader_that_is_of_no_use),
        TEST(nobody_leads),
        TEST(all_are_listed),
        TEST(renewals_are_in_order),
        TEST(the_end_waits_for_the_answer),
        TEST(leadership_in_doubt_ends_the_stream),
        TEST(a_renewal_follows_the_leader),
        TEST(a_lost_leader_ends_strict_streams),
        TEST(a_renewal_in_the_core_is_cancelled),
        TEST(pages_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
