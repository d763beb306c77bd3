/* SPDX-License-Identifier: Apache-2.0
 *
 * etcdserverpb.Cluster: what is asked of the core, what of the leader, and every refusal's text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bed.h"

#define ADD "/etcdserverpb.Cluster/MemberAdd"
#define REMOVE "/etcdserverpb.Cluster/MemberRemove"
#define UPDATE "/etcdserverpb.Cluster/MemberUpdate"
#define LIST "/etcdserverpb.Cluster/MemberList"
#define PROMOTE "/etcdserverpb.Cluster/MemberPromote"

#define HEADER "1:{1:193 2:17 4:3}"
#define SELF "{1:17 2:n1 3:http://10.0.0.1:2380 4:http://10.0.0.1:2379}"

static void ask_add(const char *const *urls, bool is_learner)
{
    struct buf msg = BUF_INIT;
    for (; *urls != NULL; urls++) {
        wire_append_message(&msg, 1, slice_cstr(*urls)); /* also an empty one */
    }
    wire_append_u64(&msg, 2, is_learner);
    ask(ADD, &msg);
    buf_deinit(&msg);
}

static void ask_id(const char *method, uint64_t id, const char *url)
{
    struct buf msg = BUF_INIT;
    wire_append_u64(&msg, 1, id);
    if (url != NULL) {
        wire_append_message(&msg, 2, slice_cstr(url));
    }
    ask(method, &msg);
    buf_deinit(&msg);
}

/* ---- add ---- */

static void add_a_voter(void **state)
{
    (void)state;
    ask_add((const char *const[]){" http://10.0.0.3:2380", "HTTP://10.0.0.2:2380", NULL}, false);
    struct core_request *r = fake_take(CORE_CONF_CHANGE);
    assert_int_equal(r->op, CORE_MEMBER_ADD);
    assert_int_equal(r->unix_s, 1136214245);
    assert_int_equal(r->peer_urls->count, 2);
    assert_string_equal(r->peer_urls->items[0], "http://10.0.0.2:2380"); /* sorted and uniform */
    assert_string_equal(r->peer_urls->items[1], "http://10.0.0.3:2380");
    r->member_id = 0x22;
    fake_member_add(0x22, "", "http://10.0.0.2:2380", "", false);
    r->header_rev = 7;
    answered(r, 0);
    expect_fields(HEADER " 2:{1:34 3:http://10.0.0.2:2380 3:http://10.0.0.3:2380} 3:" SELF
                         " 3:{1:34 3:http://10.0.0.2:2380}");
}

static void add_a_learner(void **state)
{
    (void)state;
    ask_add((const char *const[]){"http://10.0.0.2:2380", NULL}, true);
    struct core_request *r = fake_take(CORE_CONF_CHANGE);
    assert_int_equal(r->op, CORE_MEMBER_ADD_LEARNER);
    r->member_id = 0x22;
    answered(r, 0);
    expect_fields(HEADER " 2:{1:34 3:http://10.0.0.2:2380 5:1} 3:" SELF);
}

static void add_refused(void **state)
{
    (void)state;
    static const struct {
        int err;
        enum grpc_code code;
        const char *text;
    } rows[] = {
        {ERR_RPC_MEMBER_NOT_ENOUGH_STARTED, GRPC_UNKNOWN,
         "etcdserver: re-configuration failed due to not enough started members"},
        {ERR_RPC_UNHEALTHY, GRPC_UNAVAILABLE, "etcdserver: unhealthy cluster"},
        {ERR_RPC_MEMBER_NOT_FOUND, GRPC_NOT_FOUND, "etcdserver: member not found"},
        {ERR_RPC_MEMBER_EXISTS, GRPC_FAILED_PRECONDITION, "etcdserver: member ID already exist"},
        {ERR_RPC_PEER_URL_EXISTS, GRPC_FAILED_PRECONDITION, "etcdserver: Peer URLs already exists"},
        {ERR_RPC_TOO_MANY_LEARNERS, GRPC_FAILED_PRECONDITION,
         "etcdserver: too many learner members in cluster"},
        {ERR_RPC_STOPPED, GRPC_UNAVAILABLE, "etcdserver: server stopped"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ask_add((const char *const[]){"http://10.0.0.2:2380", NULL}, false);
        answered(fake_take(CORE_CONF_CHANGE), rows[i].err);
        expect(&sb.r, rows[i].code, rows[i].text);
    }
}

static const char *const bad_urls[] = {"",
                                       "bogus",
                                       "http://10.0.0.2",
                                       "http://10.0.0.2:2380/x",
                                       "ftp://10.0.0.2:2380",
                                       "http://10.0.0.2:x",
                                       "http://:2380:1",
                                       "\x01http://h:1"};

static void bad_urls_ask_nobody(void **state)
{
    (void)state;
    static const char text[] = "etcdserver: given member URLs are invalid";
    for (size_t i = 0; i < ARRAY_LEN(bad_urls); i++) {
        ask_add((const char *const[]){"http://10.0.0.2:2380", bad_urls[i], NULL}, false);
        expect(&sb.r, GRPC_INVALID_ARGUMENT, text);
        ask_id(UPDATE, FAKE_SELF, bad_urls[i]);
        expect(&sb.r, GRPC_INVALID_ARGUMENT, text);
    }
    ask_empty(ADD);
    expect(&sb.r, GRPC_INVALID_ARGUMENT, text);
    ask_id(UPDATE, FAKE_SELF, NULL); /* what ends every other etcd member */
    expect(&sb.r, GRPC_INVALID_ARGUMENT, text);
    struct buf msg = BUF_INIT;
    wire_append_bytes(&msg, 1, SLICE_LIT("http://h:1\0x"));
    ask(ADD, &msg);
    expect(&sb.r, GRPC_INVALID_ARGUMENT, text);
    buf_clear(&msg);
    for (int i = 0; i <= MEMBER_URLS_MAX + 1; i++) {
        wire_append_bytes(&msg, 1, SLICE_LIT("http://h:1"));
    }
    ask(ADD, &msg);
    expect(&sb.r, GRPC_INVALID_ARGUMENT, text);
    buf_deinit(&msg);
    assert_true(fake_is_idle());
}

static void rubbish(void **state)
{
    (void)state;
    static const char *const methods[] = {ADD, REMOVE, UPDATE, LIST, PROMOTE};
    struct buf msg = BUF_INIT;
    buf_append(&msg, "\x0a\xff\xff\xff\xff\xff\xff", 7);
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        ask(methods[i], &msg);
        assert_int_equal(sb.r.code, GRPC_INTERNAL);
    }
    buf_deinit(&msg);
    assert_true(fake_is_idle());
}

/* ---- remove, update, list ---- */

static void remove_and_update(void **state)
{
    (void)state;
    ask_id(REMOVE, 0x22, NULL);
    struct core_request *r = fake_take(CORE_CONF_CHANGE);
    assert_int_equal(r->op, CORE_MEMBER_REMOVE);
    assert_int_equal(r->member_id, 0x22);
    answered(r, 0);
    expect_fields(HEADER " 2:" SELF);
    ask_id(REMOVE, 0x22, NULL);
    answered(fake_take(CORE_CONF_CHANGE), ERR_RPC_MEMBER_NOT_FOUND);
    expect(&sb.r, GRPC_NOT_FOUND, "etcdserver: member not found");
    ask_id(UPDATE, 0x22, "https://h:2");
    r = fake_take(CORE_CONF_CHANGE);
    assert_int_equal(r->op, CORE_MEMBER_UPDATE);
    assert_int_equal(r->member_id, 0x22);
    assert_string_equal(r->peer_urls->items[0], "https://h:2");
    answered(r, 0);
    expect_fields(HEADER " 2:" SELF);
}

static void list(void **state)
{
    (void)state;
    fake_member_add(0x22, "", "http://10.0.0.2:2380", "", true);
    ask_id(LIST, 1, NULL);
    struct core_request *r = fake_take(CORE_BARRIER);
    assert_false(r->is_serializable);
    r->header_rev = 9;
    answered(r, 0);
    expect_fields(HEADER " 2:" SELF " 2:{1:34 3:http://10.0.0.2:2380 5:1}");
    ask_empty(LIST);
    r = fake_take(CORE_BARRIER);
    assert_true(r->is_serializable);
    answered(r, ERR_RPC_TIMEOUT);
    expect(&sb.r, GRPC_UNAVAILABLE, "etcdserver: request timed out");
}

static void the_client_goes(void **state)
{
    (void)state;
    ask_add((const char *const[]){"http://10.0.0.2:2380", NULL}, false);
    struct core_request *r = fake_take(CORE_CONF_CHANGE);
    grpc_client_call_cancel(sb.call);
    settle(&sb.bed);
    assert_int_equal(fake.canceled, 1);
    assert_int_equal(r->peer_urls->count, 1); /* still the core's to read */
    fake_reply(r, ERR_RPC_CONTEXT_CANCELED);
}

/* ---- promote ---- */

static void promote_here(void **state)
{
    (void)state;
    static const struct {
        int err;
        enum grpc_code code;
        const char *text;
    } rows[] = {
        {ERR_RPC_MEMBER_NOT_FOUND, GRPC_NOT_FOUND, "etcdserver: member not found"},
        {ERR_RPC_MEMBER_NOT_LEARNER, GRPC_FAILED_PRECONDITION,
         "etcdserver: can only promote a learner member"},
        {ERR_RPC_LEARNER_NOT_READY, GRPC_FAILED_PRECONDITION,
         "etcdserver: can only promote a learner member which is in sync with leader"},
        {ERR_RPC_TIMEOUT_WAIT_APPLIED, GRPC_UNAVAILABLE,
         "etcdserver: request timed out, waiting for the applied index took too long"},
    };
    ask_id(PROMOTE, 0x22, NULL);
    struct core_request *r = fake_take(CORE_CONF_CHANGE);
    assert_int_equal(r->op, CORE_MEMBER_PROMOTE);
    assert_int_equal(r->member_id, 0x22);
    answered(r, 0);
    expect_fields(HEADER " 2:" SELF);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ask_id(PROMOTE, 0x22, NULL);
        answered(fake_take(CORE_CONF_CHANGE), rows[i].err);
        expect(&sb.r, rows[i].code, rows[i].text);
    }
}

/* This member follows 0x22. */
static void follow(void)
{
    fake_member_add(0x22, "n2", "http://10.0.0.2:2380", "http://10.0.0.2:2379", false);
    fake.status.leader = 0x22;
}

static void promote_at_the_leader(void **state)
{
    (void)state;
    follow();
    ask_id(PROMOTE, 0x33, NULL);
    answered(fake_take(CORE_CONF_CHANGE), ERR_RPC_NOT_LEADER);
    assert_string_equal(fake.asks[0].url, "http://10.0.0.2:2380");
    assert_string_equal(fake.asks[0].method, "POST");
    assert_string_equal(fake.asks[0].path, "/members/promote/51");
    assert_string_equal(fake.asks[0].body, "");
    assert_int_equal(fake.asks[0].timeout_ms, 7000);
    fake_answer(0, 0, 200, "[{\"id\":51,\"peerURLs\":[\"http://h:3\"],\"name\":\"n3\"}]\n");
    settle(&sb.bed);
    expect_fields(HEADER " 2:{1:51 2:n3 3:http://h:3}");
}

static void promote_refused_by_the_leader(void **state)
{
    (void)state;
    follow();
    static const struct {
        unsigned status;
        const char *body;
        enum grpc_code code;
        const char *text;
    } rows[] = {
        {404, "membership: ID not found\n", GRPC_NOT_FOUND, "etcdserver: member not found"},
        {412, "membership: can only promote a learner member\n", GRPC_FAILED_PRECONDITION,
         "etcdserver: can only promote a learner member"},
        {412, "etcdserver: can only promote a learner member which is in sync with leader\n",
         GRPC_FAILED_PRECONDITION,
         "etcdserver: can only promote a learner member which is in sync with leader"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ask_id(PROMOTE, 0x33, NULL);
        answered(fake_take(CORE_CONF_CHANGE), ERR_RPC_NOT_LEADER);
        fake_answer(0, 0, rows[i].status, rows[i].body);
        settle(&sb.bed);
        expect(&sb.r, rows[i].code, rows[i].text);
    }
}

/* No use, no leader, a new leader, and the end of patience. */
static void promote_is_patient(void **state)
{
    (void)state;
    follow();
    ask_id(PROMOTE, 0x33, NULL);
    answered(fake_take(CORE_CONF_CHANGE), ERR_RPC_NOT_LEADER);
    fake_answer(0, 0, 500, "{\"message\":\"Internal Server Error\"}");
    assert_false(fake.asks[0].is_open);
    fake.status.leader = 0;
    fake_env_advance(sb.bed.f, 300);
    assert_false(fake.asks[0].is_open);
    fake.status.leader = 0x22;
    fake_env_advance(sb.bed.f, 100);
    assert_true(fake.asks[0].is_open);
    fake_answer(0, ERR_REFUSED, 0, "");
    assert_false(sb.r.is_done);
    fake.status.leader = 0;
    fake_env_advance(sb.bed.f, 7000);
    settle(&sb.bed);
    expect(&sb.r, GRPC_UNAVAILABLE, "etcdserver: request timed out");
}

static void promote_given_up(void **state)
{
    (void)state;
    follow();
    ask_id(PROMOTE, 0x33, NULL); /* in the core */
    struct core_request *r = fake_take(CORE_CONF_CHANGE);
    grpc_client_call_cancel(sb.call);
    settle(&sb.bed);
    assert_int_equal(fake.canceled, 1);
    fake_reply(r, ERR_RPC_NOT_LEADER);
    assert_false(fake.asks[0].is_open); /* nobody wants to know any more */
    ask_id(PROMOTE, 0x33, NULL);        /* at the leader */
    answered(fake_take(CORE_CONF_CHANGE), ERR_RPC_NOT_LEADER);
    grpc_client_call_cancel(sb.call);
    settle(&sb.bed);
    assert_int_equal(fake.asks_canceled, 1);
    ask_id(PROMOTE, 0x33, NULL); /* the member stops */
    answered(fake_take(CORE_CONF_CHANGE), ERR_RPC_NOT_LEADER);
    service_stop(sb.service);
    settle(&sb.bed);
    expect(&sb.r, GRPC_UNAVAILABLE, "etcdserver: server stopped");
    assert_int_equal(fake.asks_canceled, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, service_bed_setup, service_bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(add_a_voter),
        TEST(add_a_learner),
        TEST(add_refused),
        TEST(bad_urls_ask_nobody),
        TEST(rubbish),
        TEST(remove_and_update),
        TEST(list),
        TEST(the_client_goes),
        TEST(promote_here),
        TEST(promote_at_the_leader),
        TEST(promote_refused_by_the_leader),
        TEST(promote_is_patient),
        TEST(promote_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
