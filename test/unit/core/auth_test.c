/* SPDX-License-Identifier: Apache-2.0
 *
 * Users of whole members on one simulated world: reads permitted at their point, tokens that every
 * member knows, expiry whoever has the keys, restarts, and a snapshot that brings the users along.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "apply/apply.h"
#include "cluster_fixture.h"
#include "wire/kv.h"

#define HASH "JDJhJDA0JA==" /* base64 of "$2a$04$" */
#define PREFIX "abcdefghijklmnop"

enum { LEASE = 77 };

static struct cluster_fixture f;
static struct auth_tokens *tokens[CF_MEMBERS_MAX];

static int teardown(void **state)
{
    (void)state;
    unsigned count = f.count;
    cf_deinit(&f);
    for (unsigned i = 0; i < count; i++) {
        auth_tokens_destroy(tokens[i]);
    }
    return 0;
}

/* Every member has its own memory of tokens. */
static void start(unsigned count, bool is_small)
{
    cf_init(&f, count, 17);
    for (unsigned i = 0; i < count; i++) {
        struct buf why = BUF_INIT;
        const struct auth_tokens_options o = {.spec = "simple"};
        assert_int_equal(auth_tokens_create(&o, &why, &tokens[i]), 0);
        buf_deinit(&why);
        f.members[i].config.tokens = tokens[i];
        if (is_small) {
            f.members[i].config.snapshot_count = 20;
            f.members[i].config.snapshot_catchup = 5;
            f.members[i].config.wal_segment_bytes = 16384;
        }
    }
    cf_start_all(&f);
}

static struct core *core_of(unsigned i)
{
    return driver_core(f.members[i].driver);
}

/* ---- proposals ---- */

static int propose_as(unsigned i, const char *user, uint32_t which, struct buf *body)
{
    struct cf_request q;
    cf_request_init(&q, CORE_PROPOSE);
    q.req.which = which;
    q.req.body = buf_slice(body);
    q.req.username = slice_cstr(user);
    q.req.auth_revision = user[0] == 0 ? 0 : auth_revision(core_auth(core_of(i)));
    int err = cf_ask(&f, i, &q);
    buf_deinit(body);
    return err;
}

static int texts(unsigned i, const char *user, uint32_t which, const char *one, const char *two)
{
    struct buf body = BUF_INIT;
    wire_append_bytes(&body, 1, slice_cstr(one));
    wire_append_bytes(&body, 2, slice_cstr(two));
    return propose_as(i, user, which, &body);
}

static int add_user(unsigned i, const char *user, const char *name)
{
    struct buf body = BUF_INIT;
    wire_append_bytes(&body, 1, slice_cstr(name));
    wire_append_bytes(&body, 4, SLICE_LIT(HASH));
    return propose_as(i, user, WIRE_INTERNAL_AUTH_USER_ADD, &body);
}

static int put_as(unsigned i, const char *user, const char *key, int64_t lease)
{
    struct buf body = BUF_INIT;
    struct wire_put_req req = {.key = slice_cstr(key), .value = SLICE_LIT("v"), .lease = lease};
    wire_put_req_encode(&body, &req);
    return propose_as(i, user, WIRE_INTERNAL_PUT, &body);
}

/* On; u may read and write "a" and nothing else. */
static void turn_on(unsigned i)
{
    struct buf body = BUF_INIT;
    assert_int_equal(add_user(i, "", "root"), 0);
    assert_int_equal(texts(i, "", WIRE_INTERNAL_AUTH_USER_GRANT_ROLE, "root", "root"), 0);
    assert_int_equal(add_user(i, "", "u"), 0);
    assert_int_equal(texts(i, "", WIRE_INTERNAL_AUTH_ROLE_ADD, "r", ""), 0);
    assert_int_equal(texts(i, "", WIRE_INTERNAL_AUTH_USER_GRANT_ROLE, "u", "r"), 0);
    wire_append_bytes(&body, 1, SLICE_LIT("r"));
    wire_append_message(&body, 2,
                        SLICE_LIT("\x08\x02\x12\x01"
                                  "a"));
    assert_int_equal(propose_as(i, "", WIRE_INTERNAL_AUTH_ROLE_GRANT_PERMISSION, &body), 0);
    assert_int_equal(texts(i, "", WIRE_INTERNAL_AUTH_ENABLE, "", ""), 0);
}

/* ---- reads ---- */

static int get_as(unsigned i, const struct auth_caller *caller, const char *key, bool is_local)
{
    struct cf_request q;
    struct mvcc_plan plan;
    const struct wire_range_req range = {.key = slice_cstr(key)};
    cf_request_init(&q, CORE_RANGE);
    q.req.range = &range;
    q.req.plan = &plan;
    q.req.is_serializable = is_local;
    q.req.caller = caller;
    int err = cf_ask(&f, i, &q);
    if (err == 0) {
        mvcc_plan_end(&plan);
    }
    return err;
}

static const struct auth_caller nobody;
static const struct auth_caller u = {.common_name = {(const uint8_t *)"u", 1}};
static const struct auth_caller root = {.common_name = {(const uint8_t *)"root", 4}};

static void expect_reads(unsigned i)
{
    for (int is_local = 0; is_local < 2; is_local++) {
        assert_int_equal(get_as(i, &u, "a", is_local), 0);
        assert_int_equal(get_as(i, &u, "b", is_local), ERR_RPC_PERMISSION_DENIED);
        assert_int_equal(get_as(i, &root, "b", is_local), 0);
        assert_int_equal(get_as(i, &nobody, "a", is_local), ERR_RPC_USER_EMPTY);
        assert_int_equal(get_as(i, NULL, "b", is_local), 0); /* the member itself */
    }
}

static void reads_are_permitted_at_their_point(void **state)
{
    (void)state;
    start(3, false);
    assert_int_equal(get_as(1, &nobody, "a", false), 0); /* off */
    turn_on(0);
    for (unsigned i = 0; i < 3; i++) {
        cf_settle(&f);
        expect_reads(i);
        assert_int_equal(put_as(i, "u", "a", 0), 0);
        assert_int_equal(put_as(i, "u", "b", 0), ERR_RPC_PERMISSION_DENIED);
        assert_int_equal(put_as(i, "", "a", 0), ERR_RPC_USER_EMPTY);
    }
    cf_check_equal(&f);
}

static int txn_as(unsigned i, const struct auth_caller *caller, const struct wire_txn_req *txn)
{
    struct cf_request q;
    struct buf out = BUF_INIT;
    cf_request_init(&q, CORE_TXN_READ);
    q.req.txn = txn;
    q.req.response = &out;
    q.req.caller = caller;
    int err = cf_ask(&f, i, &q);
    buf_deinit(&out);
    return err;
}

static void a_txn_that_only_reads(void **state)
{
    (void)state;
    struct wire_op ops[] = {{.kind = WIRE_OP_RANGE, .range = {.key = SLICE_LIT("a")}}};
    struct wire_txn_req txn = {.failure = ops, .failure_count = 1};
    start(1, false);
    turn_on(0);
    assert_int_equal(txn_as(0, &u, &txn), 0);
    ops[0].range.key = SLICE_LIT("b"); /* in the branch that is not taken */
    assert_int_equal(txn_as(0, &u, &txn), ERR_RPC_PERMISSION_DENIED);
    assert_int_equal(txn_as(0, &root, &txn), 0);
}

/* ---- tokens ---- */

static void every_member_knows_a_token(void **state)
{
    (void)state;
    start(3, false);
    turn_on(0);
    struct buf body = BUF_INIT, text = BUF_INIT;
    wire_append_bytes(&body, 1, SLICE_LIT("u"));
    wire_append_bytes(&body, 3, SLICE_LIT(PREFIX));
    assert_int_equal(propose_as(1, "", WIRE_INTERNAL_AUTHENTICATE, &body), 0);
    cf_settle(&f);
    buf_printf(&text, "Bearer " PREFIX ".%llu", (unsigned long long)cf_status(&f, 0).applied - 1);
    struct auth_caller caller = {.token = buf_slice(&text)};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(get_as(i, &caller, "a", true), 0);
        assert_int_equal(get_as(i, &caller, "b", true), ERR_RPC_PERMISSION_DENIED);
    }
    assert_int_equal(texts(2, "root", WIRE_INTERNAL_AUTH_USER_DELETE, "u", ""), 0);
    cf_settle(&f);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(get_as(i, &caller, "a", true), ERR_RPC_INVALID_AUTH_TOKEN);
    }
    buf_deinit(&text);
}

/* ---- leases ---- */

static int renew_as(unsigned i, const struct auth_caller *caller)
{
    struct cf_request q;
    cf_request_init(&q, CORE_LEASE_RENEW);
    q.req.lease_id = LEASE;
    q.req.caller = caller;
    return cf_ask(&f, i, &q);
}

static void leases(void **state)
{
    (void)state;
    struct buf body = BUF_INIT;
    start(3, false);
    turn_on(0);
    unsigned leader = cf_wait_leader(&f);
    wire_append_u64(&body, 1, 5);
    wire_append_u64(&body, 2, LEASE);
    assert_int_equal(propose_as(0, "u", WIRE_INTERNAL_LEASE_GRANT, &body), 0);
    assert_int_equal(put_as(0, "root", "zz", LEASE), 0);
    assert_int_equal(renew_as(leader, &u), ERR_RPC_PERMISSION_DENIED);
    assert_int_equal(renew_as(leader, &nobody), ERR_RPC_USER_EMPTY);
    assert_int_equal(renew_as(leader, &root), 0);
    cf_run(&f, 8000); /* it goes, whoever has its keys */
    cf_settle(&f);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(lessor_has(core_lessor(core_of(i)), LEASE));
    }
    cf_check_equal(&f);
}

/* ---- files ---- */

static void users_survive_a_power_cut(void **state)
{
    (void)state;
    start(1, false);
    turn_on(0);
    assert_int_equal(put_as(0, "u", "a", 0), 0);
    for (int round = 0; round < 2; round++) {
        if (round == 0) {
            cf_kill(&f, 0, SIM_CRASH_LOSE_ALL);
        } else {
            cf_stop(&f, 0);
        }
        assert_int_equal(cf_start(&f, 0), 0);
        assert_true(cf_wait_ready(&f));
        assert_true(auth_is_enabled(core_auth(core_of(0))));
        assert_int_equal(auth_revision(core_auth(core_of(0))), 7);
        expect_reads(0);
        auth_store_check(core_auth(core_of(0)));
    }
}

/* Others go on without it, and change users meanwhile. */
static void a_snapshot_brings_the_users(void **state)
{
    (void)state;
    start(3, true);
    turn_on(0);
    unsigned late = (cf_wait_leader(&f) + 1) % 3;
    cf_isolate(&f, late, true);
    unsigned leader = cf_wait_leader(&f);
    assert_int_equal(add_user(leader, "root", "v"), 0);
    assert_int_equal(texts(leader, "root", WIRE_INTERNAL_AUTH_USER_GRANT_ROLE, "v", "root"), 0);
    for (unsigned k = 0; k < 100; k++) {
        assert_int_equal(put_as(leader, "u", "a", 0), 0);
        cf_run(&f, k % 10 == 0 ? 200 : 0);
    }
    assert_int_equal(auth_user_count(core_auth(core_of(late))), 2);
    unsigned before = f.members[late].epochs;
    cf_isolate(&f, late, false);
    cf_check_equal(&f);
    assert_int_equal(f.members[late].epochs, before + 1);
    assert_int_equal(auth_user_count(core_auth(core_of(late))), 3);
    expect_reads(late);
    assert_int_equal(put_as(late, "v", "zz", 0), 0);
    cf_check_equal(&f);
}

#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_are_permitted_at_their_point), TEST(a_txn_that_only_reads),
        TEST(every_member_knows_a_token),         TEST(leases),
        TEST(users_survive_a_power_cut),          TEST(a_snapshot_brings_the_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
