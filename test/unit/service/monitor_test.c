/* SPDX-License-Identifier: Apache-2.0
 *
 * The corruption checks as they are carried out, and the pages that other members ask.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "bed.h"
#include "service/internal.h"

static void three(void)
{
    fake_member_add(0x22, "n2", "http://h:2", "http://c:2", false);
    fake_member_add(0x33, "n3", "http://h:3", "http://c:3", false);
}

static void local_hash(uint32_t hash, int64_t rev, int64_t compact_rev)
{
    struct core_request *r = fake_take(CORE_HASH_KV);
    r->hash = (struct mvcc_hash_value){hash, compact_rev, rev};
    r->header_rev = rev;
    fake_reply(r, 0);
}

static void peer_hash(size_t i, const char *body)
{
    fake_answer(i, 0, 200, body);
}

static void expect_alarm(uint64_t member_id)
{
    struct buf want = BUF_INIT;
    wire_append_u64(&want, 1, 1);
    wire_append_u64(&want, 2, member_id);
    wire_append_u64(&want, 3, SCHEMA_ALARM_CORRUPT);
    struct core_request *r = fake_take(CORE_PROPOSE);
    assert_int_equal(r->which, WIRE_INTERNAL_ALARM);
    assert_false(r->is_internal); /* that would make it the core's memory */
    assert_int_equal(r->quota_cost, 0);
    assert_true(slice_equal(r->body, buf_slice(&want)));
    buf_deinit(&want);
    fake_reply(r, 0);
}

static void periodic(void **state)
{
    (void)state;
    three();
    service_start(sb.service);
    fake_env_advance(sb.bed.f, 999);
    assert_true(fake_is_idle());
    fake_env_advance(sb.bed.f, 1);
    local_hash(77, 10, 5);
    assert_string_equal(fake.asks[0].url, "http://h:2");
    assert_string_equal(fake.asks[1].url, "http://h:3");
    assert_string_equal(fake.asks[0].method, "GET");
    assert_string_equal(fake.asks[0].path, "/members/hashkv");
    assert_string_equal(fake.asks[0].body, "{\"revision\":10}");
    assert_int_equal(fake.asks[0].timeout_ms, 7000);
    fake_env_advance(sb.bed.f, 1000); /* due again, but busy: it follows */
    assert_true(fake_is_idle());
    peer_hash(1, "{\"header\":{\"revision\":10},\"hash\":78,\"compact_revision\":5}");
    assert_true(fake_is_idle());
    peer_hash(0, "{\"header\":{\"revision\":10},\"hash\":77,\"compact_revision\":5}");
    fake_reply(fake_take(CORE_BARRIER), 0);
    local_hash(80, 11, 5);
    expect_alarm(0x33);
    local_hash(77, 10, 5); /* the next pass, all silent */
    fake_answer(0, ERR_REFUSED, 0, "");
    fake_answer(1, 0, 400, "mvcc: required revision has been compacted\n");
    fake_reply(fake_take(CORE_BARRIER), ERR_RPC_TIMEOUT);
    assert_true(fake_is_idle());
    fake.status.leader = 0x22; /* not ours to check */
    fake_env_advance(sb.bed.f, 1000);
    assert_true(fake_is_idle());
}

/* Both due at once, every time: neither starves the other. */
static void both_take_turns(void **state)
{
    (void)state;
    three();
    sb.service->o.compact_hash_check_ms = 1000;
    fake.cached[0] = (struct mvcc_hash_value){30, 1, 10};
    fake.cached_count = 1;
    service_start(sb.service);
    for (int i = 0; i < 3; i++) {
        fake_env_advance(sb.bed.f, 1000);
        local_hash(77, 12, 10);
        assert_string_equal(fake.asks[0].body, "{\"revision\":12}");
        fake_answer(0, ERR_REFUSED, 0, "");
        fake_answer(1, ERR_REFUSED, 0, "");
        fake_reply(fake_take(CORE_BARRIER), 0);
        local_hash(77, 12, 10);
        assert_string_equal(fake.asks[0].body, "{\"revision\":10}");
        fake_answer(0, ERR_REFUSED, 0, "");
        fake_answer(1, ERR_REFUSED, 0, "");
        assert_true(fake_is_idle());
    }
}

static void compaction_hashes(void **state)
{
    (void)state;
    three();
    fake.cached[0] = (struct mvcc_hash_value){30, 1, 10};
    fake.cached[1] = (struct mvcc_hash_value){31, 10, 20};
    fake.cached_count = 2;
    sb.service->o.corrupt_check_ms = 0;
    service_start(sb.service);
    fake_env_advance(sb.bed.f, 60000);
    assert_string_equal(fake.asks[0].body, "{\"revision\":20}");
    peer_hash(0, "{\"header\":{\"revision\":40},\"hash\":31,\"compact_revision\":10}");
    peer_hash(1, "{\"header\":{\"revision\":40},\"hash\":99,\"compact_revision\":10}");
    expect_alarm(0x33);
    fake_env_advance(sb.bed.f, 60000); /* asked again: it was not found equal */
    assert_string_equal(fake.asks[0].body, "{\"revision\":20}");
    peer_hash(0, "{\"header\":{\"revision\":40},\"hash\":31,\"compact_revision\":10}");
    peer_hash(1, "{\"header\":{\"revision\":40},\"hash\":31,\"compact_revision\":10}");
    fake_env_advance(sb.bed.f, 60000); /* nothing new since */
    assert_false(fake.asks[0].is_open);
    assert_true(fake_is_idle());
}

static int initial_err;
static char initial_text[128];

static void on_initial(void *arg, int err, const char *text)
{
    (void)arg;
    initial_err = err;
    (void)snprintf(initial_text, sizeof(initial_text), "%s", text);
}

static void initial(void **state)
{
    (void)state;
    three();
    initial_err = 1;
    service_check_initial(sb.service, on_initial, NULL);
    local_hash(77, 10, 5);
    peer_hash(0, "{\"header\":{\"revision\":10},\"hash\":77,\"compact_revision\":5}");
    fake_answer(1, ERR_REFUSED, 0, "");
    assert_int_equal(initial_err, 0);
    service_check_initial(sb.service, on_initial, NULL);
    local_hash(77, 10, 5);
    peer_hash(0, "{\"header\":{\"revision\":10},\"hash\":76,\"compact_revision\":5}");
    fake_answer(1, ERR_REFUSED, 0, "");
    assert_int_equal(initial_err, ERR_CORRUPT);
    assert_string_equal(initial_text, "11 found data inconsistency with peers");
    service_check_initial(sb.service, on_initial, NULL);
    fake_reply(fake_take(CORE_HASH_KV), ERR_IO);
    assert_int_equal(initial_err, ERR_IO);
    assert_string_equal(initial_text, "11 failed to fetch hash (input/output error)");
}

/* Without a way to the others the member is alone with its own hash. */
static void nobody_to_ask(void **state)
{
    (void)state;
    three();
    sb.service->o.peers = NULL;
    initial_err = 1;
    service_check_initial(sb.service, on_initial, NULL);
    local_hash(77, 10, 5);
    assert_int_equal(initial_err, 0);
}

static void stopped_in_the_middle(void **state)
{
    (void)state;
    three();
    service_start(sb.service);
    fake_env_advance(sb.bed.f, 1000);
    local_hash(77, 10, 5);
    peer_hash(0, "{\"header\":{\"revision\":10},\"hash\":77,\"compact_revision\":5}");
    service_stop(sb.service);
    assert_int_equal(fake.asks_canceled, 1);
    fake_env_advance(sb.bed.f, 10000);
    assert_true(fake_is_idle());
}

static void stopped_while_hashing(void **state)
{
    (void)state;
    service_start(sb.service);
    fake_env_advance(sb.bed.f, 1000);
    service_stop(sb.service);
    local_hash(77, 10, 5); /* the core still answers */
    assert_true(fake_is_idle());
}

/* ---- pages ---- */

static struct buf page;
static int page_err;

static void on_json(void *arg, int err, struct slice json)
{
    (void)arg;
    page_err = err;
    buf_clear(&page);
    buf_append_slice(&page, json);
}

static void on_hash(void *arg, int err, const struct service_hash *h)
{
    (void)arg;
    page_err = err;
    buf_clear(&page);
    buf_printf(&page, "%lld %u %lld %lld", (long long)h->rev, h->value.hash,
               (long long)h->value.compact_rev, (long long)h->value.rev);
}

static void on_downgrade(void *arg, int err, bool is_enabled)
{
    (void)arg;
    page_err = err;
    buf_clear(&page);
    buf_append_cstr(&page, is_enabled ? "true" : "false");
}

static void pages(void **state)
{
    (void)state;
    service_page_members(sb.service, &page);
    assert_string_equal(buf_cstr(&page),
                        "[{\"id\":17,\"peerURLs\":[\"http://10.0.0.1:2380\"],\"name\":\"n1\","
                        "\"clientURLs\":[\"http://10.0.0.1:2379\"]}]");
    buf_clear(&page);
    fake.level = LEVEL_3_6;
    service_page_version(sb.service, &page);
    struct buf want = BUF_INIT;
    buf_printf(&want, "{\"etcdserver\":\"%s\",\"etcdcluster\":\"3.7.0\",\"storage\":\"3.7.0\"}",
               level_rules(LEVEL_3_6)->server_version);
    assert_string_equal(buf_cstr(&page), buf_cstr(&want));
    buf_deinit(&want);
    service_page_promote(sb.service, 5, SLICE_LIT("tok"), on_json, NULL);
    fake_reply(fake_take(CORE_CONF_CHANGE), ERR_RPC_LEARNER_NOT_READY);
    assert_int_equal(page_err, ERR_RPC_LEARNER_NOT_READY);
    service_page_promote(sb.service, 5, SLICE_LIT("tok"), on_json, NULL);
    fake_reply(fake_take(CORE_CONF_CHANGE), 0);
    assert_int_equal(page_err, 0);
    assert_non_null(strstr(buf_cstr(&page), "\"id\":17"));
    service_page_hash(sb.service, 9, on_hash, NULL);
    assert_int_equal(fake_take(CORE_HASH_KV)->rev, 9);
    local_hash(5, 9, -1);
    assert_string_equal(buf_cstr(&page), "9 5 -1 9");
    service_page_hash(sb.service, 9, on_hash, NULL);
    fake_reply(fake_take(CORE_HASH_KV), ERR_RPC_FUTURE_REV);
    assert_int_equal(page_err, ERR_RPC_FUTURE_REV);
    fake.downgrade.enabled = true;
    service_page_downgrade(sb.service, on_downgrade, NULL);
    fake_reply(fake_take(CORE_BARRIER), 0);
    assert_string_equal(buf_cstr(&page), "true");
    service_page_downgrade(sb.service, on_downgrade, NULL);
    fake_reply(fake_take(CORE_BARRIER), ERR_RPC_TIMEOUT);
    assert_string_equal(buf_cstr(&page), "false");
    assert_int_equal(page_err, ERR_RPC_TIMEOUT);
    buf_deinit(&page);
}

/* A promotion that came over the peer port and finds no leader here is passed on. */
static void page_promote_passed_on(void **state)
{
    (void)state;
    three();
    fake.status.leader = 0x33;
    service_page_promote(sb.service, 5, SLICE_LIT("tok"), on_json, NULL);
    fake_reply(fake_take(CORE_CONF_CHANGE), ERR_RPC_NOT_LEADER);
    assert_string_equal(fake.asks[0].url, "http://h:3");
    assert_string_equal(fake.asks[0].token, "tok");
    fake_answer(0, 0, 404, "membership: ID not found\n");
    assert_int_equal(page_err, ERR_RPC_MEMBER_NOT_FOUND);
    buf_deinit(&page);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, service_bed_setup, service_bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(periodic),
        TEST(both_take_turns),
        TEST(compaction_hashes),
        TEST(initial),
        TEST(nobody_to_ask),
        TEST(stopped_in_the_middle),
        TEST(stopped_while_hashing),
        TEST(pages),
        TEST(page_promote_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
