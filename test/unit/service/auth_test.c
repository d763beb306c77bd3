/* SPDX-License-Identifier: Apache-2.0
 *
 * service/auth, login, caller, hold: in whose name calls are made, what is refused before the core
 * sees it, passwords that do not reach the log, and calls that wait for their token.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apply/apply.h"
#include "auth/password.h"
#include "base/gotext.h"
#include "bed.h"
#include "sim/disk.h"

static struct sim_disk *disk;
static struct backend *backend;
static struct auth_tokens *tokens;

static void store_make(void)
{
    struct buf why = BUF_INIT;
    const struct auth_tokens_options to = {.spec = "simple"};
    assert_int_equal(auth_tokens_create(&to, &why, &tokens), 0);
    buf_deinit(&why);
    disk = sim_disk_create();
    struct backend_options bo = {
        .disk = sim_disk_env(disk),
        .path = "db",
        .bucket_names = SCHEMA_BUCKET_NAMES,
        .bucket_count = SCHEMA_BUCKET_COUNT,
    };
    assert_int_equal(backend_open(&bo, &backend), 0);
    auth_store_destroy(fake.auth);
    apply_destroy(fake.apply);
    fake.auth = auth_store_create(backend, tokens);
    auth_store_begin(fake.auth);
    const struct apply_options ao = {
        .member_id = FAKE_SELF, .level = LEVEL_3_7, .auth = fake.auth, .lessor = fake.lessor};
    fake.apply = apply_create(&ao);
}

static void user_make(const char *name, const char *password)
{
    static const uint8_t salt[AUTH_SALT_BYTES];
    char hash[AUTH_HASH_LEN];
    struct buf text = BUF_INIT;
    assert_int_equal(auth_password_hash(slice_cstr(password), AUTH_BCRYPT_COST_MIN, salt, hash), 0);
    gotext_base64(&text, slice_make(hash, sizeof(hash)));
    const struct auth_new_password p = {.hashed = buf_slice(&text)};
    assert_int_equal(auth_user_add(fake.auth, slice_cstr(name), false, &p), 0);
    buf_deinit(&text);
}

/* On; root and u, whose passwords are "r" and "p". */
static int setup(void **state)
{
    (void)service_bed_setup(state);
    store_make();
    user_make("root", "r");
    user_make("u", "p");
    assert_int_equal(auth_user_grant(fake.auth, SLICE_LIT("root"), SLICE_LIT("root")), 0);
    assert_int_equal(auth_enable(fake.auth), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)service_bed_teardown(state);
    auth_tokens_destroy(tokens);
    backend_close(backend);
    sim_disk_destroy(disk);
    return 0;
}

/* A token of the entry at this index. */
static void token_make(const char *user, uint64_t index, struct buf *out)
{
    buf_clear(out);
    uint64_t now = sb.bed.f->now_ms;
    assert_int_equal(
        auth_login(fake.auth, slice_cstr(user), SLICE_LIT("abcdefghijklmnop"), index - 1, now, out),
        0);
}

static void ask_as(const char *method, const struct buf *msg, const char *header,
                   struct slice token)
{
    const struct grpc_metadata md = {slice_cstr(header), token};
    struct grpc_client_call_options o = {
        .path = method, .ops = &call_ops, .arg = &sb.r, .metadata = &md, .metadata_count = 1};
    buf_deinit(&sb.r.got);
    memset(&sb.r, 0, sizeof(sb.r));
    sb.call = grpc_client_start(sb.bed.client, &o);
    grpc_client_call_send(sb.call, buf_slice(msg));
    grpc_client_call_half_close(sb.call);
    settle(&sb.bed);
}

static void put_message(struct buf *out)
{
    const struct wire_put_req put = {.key = SLICE_LIT("k")};
    buf_clear(out);
    wire_put_req_encode(out, &put);
}

/* ---- whose call it is ---- */

static void a_write_goes_in_the_callers_name(void **state)
{
    (void)state;
    struct buf msg = BUF_INIT, token = BUF_INIT, bearer = BUF_INIT;
    put_message(&msg);
    token_make("u", 5, &token);
    buf_append_cstr(&bearer, "Bearer ");
    buf_append_slice(&bearer, buf_slice(&token));
    for (int i = 0; i < 2; i++) {
        ask_as("/etcdserverpb.KV/Put", &msg, i == 0 ? "token" : "authorization",
               buf_slice(i == 0 ? &token : &bearer));
        struct core_request *r = fake_take(CORE_PROPOSE);
        assert_int_equal(r->auth_revision, auth_revision(fake.auth));
        answered(r, ERR_RPC_PERMISSION_DENIED);
        expect(&sb.r, GRPC_PERMISSION_DENIED, "etcdserver: permission denied");
    }
    ask("/etcdserverpb.KV/Put", &msg); /* in nobody's: apply refuses it */
    struct core_request *r = fake_take(CORE_PROPOSE);
    assert_int_equal(r->auth_revision, 0);
    answered(r, ERR_RPC_USER_EMPTY);
    ask_as("/etcdserverpb.KV/Put", &msg, "token", SLICE_LIT("no.1"));
    expect(&sb.r, GRPC_UNAUTHENTICATED, "etcdserver: invalid auth token");
    assert_true(fake_is_idle());
    buf_deinit(&msg);
    buf_deinit(&token);
    buf_deinit(&bearer);
}

static void a_read_brings_its_caller(void **state)
{
    (void)state;
    struct buf msg = BUF_INIT;
    const struct wire_range_req range = {.key = SLICE_LIT("k")};
    wire_range_req_encode(&msg, &range);
    ask_as("/etcdserverpb.KV/Range", &msg, "token", SLICE_LIT("whatever.1"));
    struct core_request *r = fake_take(CORE_RANGE);
    assert_true(slice_equal_cstr(r->caller->token, "whatever.1"));
    assert_null(r->caller->common_name.data);
    answered(r, ERR_RPC_INVALID_AUTH_TOKEN);
    expect(&sb.r, GRPC_UNAUTHENTICATED, "etcdserver: invalid auth token");
    buf_deinit(&msg);
}

static void what_this_member_answers_itself(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        bool is_roots;
    } cases[] = {
        {"/etcdserverpb.Maintenance/Status", false},
        {"/etcdserverpb.Lease/LeaseLeases", false},
        {"/etcdserverpb.Maintenance/Defragment", true},
        {"/etcdserverpb.Maintenance/Hash", true},
        {"/etcdserverpb.Maintenance/HashKV", true},
        {"/etcdserverpb.Maintenance/MoveLeader", true},
        {"/etcdserverpb.Maintenance/Snapshot", true},
        {"/etcdserverpb.KV/Compact", true},
        {"/etcdserverpb.Cluster/MemberRemove", true},
        {"/etcdserverpb.Cluster/MemberPromote", true},
        {"/cairnpb.Upgrade/Status", false},
    };
    struct buf token = BUF_INIT, none = BUF_INIT;
    token_make("u", 5, &token);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ask_empty(cases[i].method);
        expect(&sb.r, GRPC_INVALID_ARGUMENT, "etcdserver: user name is empty");
        ask_as(cases[i].method, &none, "token", SLICE_LIT("no.1"));
        expect(&sb.r, GRPC_UNAUTHENTICATED, "etcdserver: invalid auth token");
        ask_as(cases[i].method, &none, "token", buf_slice(&token));
        if (cases[i].is_roots) {
            expect(&sb.r, GRPC_PERMISSION_DENIED, "etcdserver: permission denied");
        } else {
            expect(&sb.r, GRPC_OK, "");
        }
    }
    assert_true(fake_is_idle());
    buf_deinit(&token);
    buf_deinit(&none);
}

static void a_3_5_member_says_it_its_own_way(void **state)
{
    (void)state;
    fake.level = LEVEL_3_5;
    ask_empty("/etcdserverpb.Maintenance/Hash");
    expect(&sb.r, GRPC_UNKNOWN, "auth: user name is empty");
    ask_empty("/etcdserverpb.Maintenance/MoveLeader");
    expect(&sb.r, GRPC_INVALID_ARGUMENT, "etcdserver: user name is empty");
}

/* ---- logins ---- */

static void ask_login(const char *password)
{
    struct buf msg = BUF_INIT;
    wire_append_bytes(&msg, 1, SLICE_LIT("u"));
    wire_append_bytes(&msg, 2, slice_cstr(password));
    ask("/etcdserverpb.Auth/Authenticate", &msg);
    buf_deinit(&msg);
}

/* Name, and the random part of a token. */
static struct core_request *take_login(void)
{
    struct core_request *r = fake_take(CORE_PROPOSE);
    assert_int_equal(r->which, WIRE_INTERNAL_AUTHENTICATE);
    assert_int_equal(r->body.len, 3 + 2 + AUTH_TOKEN_PREFIX_LEN);
    assert_memory_equal(r->body.data, "\x0a\x01u\x1a\x10", 5);
    return r;
}

static void a_login(void **state)
{
    (void)state;
    ask_login("wrong");
    answered(fake_take(CORE_BARRIER), 0);
    expect(&sb.r, GRPC_INVALID_ARGUMENT,
           "etcdserver: authentication failed, invalid user ID or password");
    ask_login("p");
    answered(fake_take(CORE_BARRIER), 0);
    struct core_request *r = take_login();
    wire_append_bytes(r->response, 2, SLICE_LIT("token"));
    answered(r, 0);
    expect_fields("1:{1:193 2:17 4:3} 2:token");
}

static void a_password_is_checked_once(void **state)
{
    (void)state;
    ask_login("p");
    answered(fake_take(CORE_BARRIER), 0);
    answered(take_login(), ERR_RPC_TIMEOUT);
    sb.bed.f->holds_jobs = true; /* bcrypt would wait here */
    ask_login("p");
    answered(fake_take(CORE_BARRIER), 0);
    answered(take_login(), ERR_RPC_TIMEOUT);
    assert_int_equal(auth_role_add(fake.auth, SLICE_LIT("x")), 0); /* any change: again */
    ask_login("p");
    answered(fake_take(CORE_BARRIER), 0);
    assert_true(fake_is_idle());
    sb.bed.f->holds_jobs = false;
    settle(&sb.bed);
    answered(take_login(), ERR_RPC_TIMEOUT);
}

/* The password may be another one by now. */
static void a_change_meanwhile_is_noticed(void **state)
{
    (void)state;
    ask_login("p");
    answered(fake_take(CORE_BARRIER), 0);
    struct core_request *r = take_login();
    assert_int_equal(auth_user_delete(fake.auth, SLICE_LIT("u")), 0);
    answered(r, 0);
    expect(&sb.r, GRPC_INVALID_ARGUMENT,
           "etcdserver: authentication failed, invalid user ID or password");
}

static void no_password_reaches_the_log(void **state)
{
    (void)state;
    struct buf msg = BUF_INIT;
    wire_append_bytes(&msg, 1, SLICE_LIT("n"));
    wire_append_bytes(&msg, 2, SLICE_LIT("secret"));
    ask("/etcdserverpb.Auth/UserAdd", &msg);
    struct core_request *r = fake_take(CORE_PROPOSE);
    assert_int_equal(r->which, WIRE_INTERNAL_AUTH_USER_ADD);
    assert_int_equal(r->body.len, 3 + 2 + 80); /* the hash in base64 */
    assert_memory_equal(r->body.data, "\x0a\x01n\x22\x50", 5);
    assert_null(memmem(r->body.data, r->body.len, "secret", 6));
    answered(r, ERR_RPC_USER_EMPTY);
    wire_append_bytes(&msg, 3, SLICE_LIT("\x08\x01")); /* no_password: what is given is dropped */
    ask("/etcdserverpb.Auth/UserAdd", &msg);
    r = fake_take(CORE_PROPOSE);
    assert_true(slice_equal(r->body, SLICE_LIT("\x0a\x01n\x1a\x02\x08\x01")));
    answered(r, ERR_RPC_USER_EMPTY);
    buf_clear(&msg);
    uint8_t *long_one = buf_extend(&msg, 2 + AUTH_PASSWORD_MAX + 1);
    memset(long_one, 'x', msg.len);
    long_one[0] = 0x12;
    long_one[1] = AUTH_PASSWORD_MAX + 1;
    ask("/etcdserverpb.Auth/UserAdd", &msg);
    expect(&sb.r, GRPC_UNKNOWN, "bcrypt: password length exceeds 72 bytes");
    buf_deinit(&msg);
}

static void requests_are_in_etcds_form(void **state)
{
    (void)state;
    struct buf msg = BUF_INIT;
    wire_append_bytes(&msg, 1, SLICE_LIT("old"));
    wire_append_bytes(&msg, 1, SLICE_LIT("r"));
    wire_append_message(&msg, 2, SLICE_LIT("\x12\x01k")); /* in two pieces */
    wire_append_message(&msg, 2, SLICE_LIT("\x08\x01\x1a\x00"));
    wire_append_u64(&msg, 9, 1);
    ask("/etcdserverpb.Auth/RoleGrantPermission", &msg);
    struct core_request *r = fake_take(CORE_PROPOSE);
    assert_true(slice_equal(r->body, SLICE_LIT("\x0a\x01r\x12\x05\x08\x01\x12\x01k")));
    answered(r, ERR_RPC_USER_EMPTY);
    buf_clear(&msg);
    wire_append_bytes(&msg, 1, SLICE_LIT("\xff"));
    ask("/etcdserverpb.Auth/RoleAdd", &msg); /* would end a 3.7 member */
    assert_int_equal(sb.r.code, GRPC_INTERNAL);
    buf_deinit(&msg);
}

/* ---- tokens of the future ---- */

static void a_call_waits_for_its_token(void **state)
{
    (void)state;
    struct buf msg = BUF_INIT, token = BUF_INIT;
    put_message(&msg);
    token_make("u", 20, &token);
    fake.status.applied = 19;
    ask_as("/etcdserverpb.KV/Put", &msg, "token", buf_slice(&token));
    assert_true(fake_is_idle() && !sb.r.is_done);
    fake.status.applied = 20;
    fake_env_advance(sb.bed.f, 10);
    settle(&sb.bed);
    answered(fake_take(CORE_PROPOSE), ERR_RPC_TIMEOUT);
    assert_true(sb.r.is_done);
    /* One that never comes is judged in the end; a client that goes does not wait. */
    ask_as("/etcdserverpb.KV/Put", &msg, "token", SLICE_LIT("no.18446744073709551614"));
    assert_false(sb.r.is_done);
    fake_env_advance(sb.bed.f, 2000);
    settle(&sb.bed);
    expect(&sb.r, GRPC_UNAUTHENTICATED, "etcdserver: invalid auth token");
    ask_as("/etcdserverpb.Lease/LeaseLeases", &msg, "token", SLICE_LIT("no.99"));
    grpc_client_call_cancel(sb.call);
    settle(&sb.bed);
    fake_env_advance(sb.bed.f, 2000);
    settle(&sb.bed);
    assert_true(fake_is_idle());
    buf_deinit(&msg);
    buf_deinit(&token);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_write_goes_in_the_callers_name),
        TEST(a_read_brings_its_caller),
        TEST(what_this_member_answers_itself),
        TEST(a_3_5_member_says_it_its_own_way),
        TEST(a_login),
        TEST(a_password_is_checked_once),
        TEST(a_change_meanwhile_is_noticed),
        TEST(no_password_reaches_the_log),
        TEST(requests_are_in_etcds_form),
        TEST(a_call_waits_for_its_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
