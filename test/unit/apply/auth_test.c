/* SPDX-License-Identifier: Apache-2.0
 *
 * Authentication in the chain: what the requests answer, in whose name entries are permitted, over
 * the whole expanded request; that a refused one leaves nothing; and random permissions against a
 * list of the keys that each user may touch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "apply/apply.h"
#include "base/prng.h"
#include "sim/disk.h"

#define HASH "JDJhJDA0JA==" /* base64 of "$2a$04$" */

enum { NOW_MS = 1000, LEASE = 7, KEYS = 26, ROUNDS = 60 };

struct fixture {
    struct sim_disk *disk;
    struct backend *b;
    struct lessor *lessor;
    struct auth_tokens *tokens;
    struct auth_store *auth;
    struct mvcc_store *store;
    struct membership members;
    struct mvcc_values *values;
    struct apply *a;
    struct buf body;
    struct apply_result res;
    uint64_t index;
    const char *user; /* in whose name entries are */
    bool is_stale;    /* under an old revision */
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    struct buf why = BUF_INIT;
    f->disk = sim_disk_create();
    struct backend_options bo = {
        .disk = sim_disk_env(f->disk),
        .path = "db",
        .bucket_names = SCHEMA_BUCKET_NAMES,
        .bucket_count = SCHEMA_BUCKET_COUNT,
    };
    assert_int_equal(backend_open(&bo, &f->b), 0);
    struct lessor_options lo = {.backend = f->b, .bucket_lease = SCHEMA_LEASE, .min_ttl_s = 2};
    f->lessor = lessor_create(&lo);
    const struct auth_tokens_options to = {.spec = "simple"};
    assert_int_equal(auth_tokens_create(&to, &why, &f->tokens), 0);
    buf_deinit(&why);
    f->auth = auth_store_create(f->b, f->tokens);
    auth_store_begin(f->auth);
    struct mvcc_options mo = {.backend = f->b, .lessor = f->lessor, .bucket_meta = SCHEMA_META};
    f->store = mvcc_create(&mo);
    f->values = mvcc_values_create(f->store);
    membership_init(&f->members);
    struct apply_options ao = {.backend = f->b,
                               .store = f->store,
                               .lessor = f->lessor,
                               .auth = f->auth,
                               .members = &f->members,
                               .member_id = 1,
                               .level = LEVEL_3_7};
    f->a = apply_create(&ao);
    f->user = "";
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    auth_store_check(f->auth);
    apply_destroy(f->a);
    mvcc_values_destroy(f->values);
    mvcc_destroy(f->store);
    lessor_destroy(f->lessor);
    auth_store_destroy(f->auth);
    auth_tokens_destroy(f->tokens);
    membership_deinit(&f->members);
    backend_close(f->b);
    sim_disk_destroy(f->disk);
    buf_deinit(&f->body);
    mem_free(f);
    return 0;
}

/* ---- entries ---- */

/* The client's error; body is emptied. */
static int run(struct fixture *f, uint32_t which, struct buf *body)
{
    bool is_anonymous = f->user[0] == 0;
    struct wire_internal req = {.id = f->index + 1,
                                .username = slice_cstr(f->user),
                                .auth_revision = is_anonymous ? 0 : auth_revision(f->auth),
                                .which = which,
                                .body = buf_slice(body)};
    req.auth_revision -= f->is_stale;
    size_t n = wire_internal_size(&req);
    uint8_t *data = mem_alloc(n);
    uint64_t id;
    wire_internal_encode(&req, data);
    buf_clear(&f->body);
    const struct apply_now now = {.index = ++f->index, .now_ms = NOW_MS};
    assert_int_equal(apply_begin(f->a, slice_make(data, n), &id), 0);
    assert_int_equal(apply_prefetch(f->a, true, f->values), 0);
    assert_int_equal(apply_run(f->a, f->values, &now, &f->body, &f->res), 0);
    mvcc_values_clear(f->values);
    backend_seal(f->b, f->index, 1, NOW_MS);
    mem_free(data);
    buf_deinit(body);
    return f->res.err;
}

/* Fields 1, 2 and 3 as texts; NULL: not there. */
static int texts(struct fixture *f, uint32_t which, const char *one, const char *two,
                 const char *three)
{
    const char *const all[] = {one, two, three};
    struct buf body = BUF_INIT;
    for (uint32_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i] != NULL) {
            wire_append_bytes(&body, i + 1, slice_cstr(all[i]));
        }
    }
    return run(f, which, &body);
}

static int add_user(struct fixture *f, const char *name)
{
    struct buf body = BUF_INIT;
    wire_append_bytes(&body, 1, slice_cstr(name));
    wire_append_bytes(&body, 4, SLICE_LIT(HASH));
    return run(f, WIRE_INTERNAL_AUTH_USER_ADD, &body);
}

static int grant_perm(struct fixture *f, const char *role, int type, struct slice key,
                      struct slice end)
{
    struct buf body = BUF_INIT, perm = BUF_INIT;
    wire_append_u64(&perm, 1, (uint64_t)type);
    wire_append_bytes(&perm, 2, key);
    wire_append_bytes(&perm, 3, end);
    wire_append_bytes(&body, 1, slice_cstr(role));
    wire_append_message(&body, 2, buf_slice(&perm));
    buf_deinit(&perm);
    return run(f, WIRE_INTERNAL_AUTH_ROLE_GRANT_PERMISSION, &body);
}

static int do_put(struct fixture *f, const struct wire_put_req *req)
{
    struct buf body = BUF_INIT;
    wire_put_req_encode(&body, req);
    return run(f, WIRE_INTERNAL_PUT, &body);
}

static int put(struct fixture *f, const char *key)
{
    const struct wire_put_req req = {.key = slice_cstr(key), .value = SLICE_LIT("v")};
    return do_put(f, &req);
}

static int do_delete(struct fixture *f, const char *key, const char *end, bool prev_kv)
{
    struct buf body = BUF_INIT;
    const struct wire_delete_req req = {slice_cstr(key), slice_cstr(end), prev_kv};
    wire_delete_req_encode(&body, &req);
    return run(f, WIRE_INTERNAL_DELETE_RANGE, &body);
}

static int do_txn(struct fixture *f, const struct wire_txn_req *req)
{
    struct buf body = BUF_INIT;
    wire_txn_req_encode(&body, req);
    return run(f, WIRE_INTERNAL_TXN, &body);
}

/* On; user "u" with role "r": reads and writes [a, c), reads "r", writes "w". */
static void turn_on(struct fixture *f)
{
    f->user = "";
    assert_int_equal(add_user(f, "root"), 0);
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_USER_GRANT_ROLE, "root", "root", NULL), 0);
    assert_int_equal(add_user(f, "u"), 0);
    assert_int_equal(add_user(f, "v"), 0);
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_ROLE_ADD, "r", NULL, NULL), 0);
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_USER_GRANT_ROLE, "u", "r", NULL), 0);
    assert_int_equal(grant_perm(f, "r", 2, SLICE_LIT("a"), SLICE_LIT("b")), 0);
    assert_int_equal(grant_perm(f, "r", 2, SLICE_LIT("b"), SLICE_LIT("c")), 0);
    assert_int_equal(grant_perm(f, "r", 0, SLICE_LIT("r"), SLICE_NULL), 0);
    assert_int_equal(grant_perm(f, "r", 1, SLICE_LIT("w"), SLICE_NULL), 0);
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_ENABLE, NULL, NULL, NULL), 0);
}

static void expect_body(const struct fixture *f, struct slice want)
{
    assert_true(slice_equal(buf_slice(&f->body), want));
}

/* ---- answers ---- */

static void what_the_requests_answer(void **state)
{
    struct fixture *f = *state;
    turn_on(f);
    f->user = "root";
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_STATUS, NULL, NULL, NULL), 0);
    expect_body(f, SLICE_LIT("\x10\x01\x18\x0b"));
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_USER_LIST, NULL, NULL, NULL), 0);
    expect_body(f, SLICE_LIT("\x12\x04root\x12\x01u\x12\x01v"));
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_ROLE_LIST, NULL, NULL, NULL), 0);
    expect_body(f, SLICE_LIT("\x12\x01r"));
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_USER_GET, "u", NULL, NULL), 0);
    expect_body(f, SLICE_LIT("\x12\x01r"));
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_ROLE_REVOKE_PERMISSION, "r", "a", "b"), 0);
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_ROLE_REVOKE_PERMISSION, "r", "b", "c"), 0);
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_ROLE_GET, "r", NULL, NULL), 0);
    expect_body(f, SLICE_LIT("\x12\x03\x12\x01r\x12\x05\x08\x01\x12\x01w"));
    /* The token ends in the index before its entry. */
    f->user = "";
    uint64_t before = f->index;
    char want[64];
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTHENTICATE, "u", NULL, "abcdefghijklmnop"), 0);
    int n = snprintf(want, sizeof(want), "abcdefghijklmnop.%llu", (unsigned long long)before);
    assert_int_equal(f->body.len, n + 2);
    assert_memory_equal(f->body.data + 2, want, (size_t)n);
    assert_int_equal(auth_tokens_count(f->tokens), 1);
    f->user = "root";
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_USER_DELETE, "u", NULL, NULL), 0);
    assert_int_equal(auth_tokens_count(f->tokens), 0);
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_DISABLE, NULL, NULL, NULL), 0);
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTHENTICATE, "v", NULL, "abcdefghijklmnop"),
                     ERR_RPC_AUTH_NOT_ENABLED);
}

static void who_may_change_users(void **state)
{
    struct fixture *f = *state;
    static const uint32_t root_only[] = {
        WIRE_INTERNAL_AUTH_ENABLE,
        WIRE_INTERNAL_AUTH_DISABLE,
        WIRE_INTERNAL_AUTH_USER_ADD,
        WIRE_INTERNAL_AUTH_USER_DELETE,
        WIRE_INTERNAL_AUTH_USER_GRANT_ROLE,
        WIRE_INTERNAL_AUTH_USER_REVOKE_ROLE,
        WIRE_INTERNAL_AUTH_USER_LIST,
        WIRE_INTERNAL_AUTH_USER_CHANGE_PASSWORD,
        WIRE_INTERNAL_AUTH_ROLE_LIST,
        WIRE_INTERNAL_AUTH_ROLE_ADD,
        WIRE_INTERNAL_AUTH_ROLE_DELETE,
        WIRE_INTERNAL_AUTH_ROLE_GRANT_PERMISSION,
        WIRE_INTERNAL_AUTH_ROLE_REVOKE_PERMISSION,
    };
    turn_on(f);
    uint64_t rev = auth_revision(f->auth);
    for (size_t i = 0; i < ARRAY_LEN(root_only); i++) {
        f->user = "";
        assert_int_equal(texts(f, root_only[i], "u", "r", NULL), ERR_RPC_USER_EMPTY);
        f->user = "u";
        assert_int_equal(texts(f, root_only[i], "u", "r", NULL), ERR_RPC_PERMISSION_DENIED);
        f->user = "x";
        assert_int_equal(texts(f, root_only[i], "u", "r", NULL), ERR_RPC_USER_NOT_FOUND);
    }
    assert_int_equal(auth_revision(f->auth), rev);
    f->user = "u"; /* looks at himself and at what he has */
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_USER_GET, "u", NULL, NULL), 0);
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_USER_GET, "v", NULL, NULL),
                     ERR_RPC_PERMISSION_DENIED);
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_ROLE_GET, "r", NULL, NULL), 0);
    f->user = "v";
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_ROLE_GET, "r", NULL, NULL),
                     ERR_RPC_PERMISSION_DENIED);
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_STATUS, NULL, NULL, NULL), 0);
    apply_level_set(f->a, LEVEL_3_6); /* root's, before 3.7 */
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_STATUS, NULL, NULL, NULL),
                     ERR_RPC_PERMISSION_DENIED);
    f->user = "root";
    f->is_stale = true; /* is no matter here */
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_USER_LIST, NULL, NULL, NULL), 0);
}

/* ---- keys ---- */

static void writes_need_their_keys(void **state)
{
    struct fixture *f = *state;
    turn_on(f);
    assert_int_equal(put(f, "a"), ERR_RPC_USER_EMPTY);
    f->user = "u";
    assert_int_equal(put(f, "a"), 0);
    assert_int_equal(put(f, "w"), 0);
    assert_int_equal(put(f, "r"), ERR_RPC_PERMISSION_DENIED);
    const struct wire_put_req seen = {.key = SLICE_LIT("w"), .prev_kv = true};
    assert_int_equal(do_put(f, &seen), ERR_RPC_PERMISSION_DENIED);
    assert_int_equal(do_delete(f, "a", "c", true), 0);
    assert_int_equal(do_delete(f, "a", "d", false), ERR_RPC_PERMISSION_DENIED);
    assert_int_equal(do_delete(f, "w", "", true), ERR_RPC_PERMISSION_DENIED);
    assert_int_equal(do_delete(f, "w", "", false), 0);
    f->is_stale = true;
    assert_int_equal(put(f, "a"), ERR_RPC_AUTH_OLD_REVISION);
    f->is_stale = false;
    f->user = "x";
    assert_int_equal(put(f, "a"), ERR_RPC_PERMISSION_DENIED);
    f->user = "root";
    assert_int_equal(put(f, "zz"), 0);
}

static void a_lease_brings_its_keys(void **state)
{
    struct fixture *f = *state;
    const struct wire_put_req mine = {.key = SLICE_LIT("a"), .lease = LEASE};
    const struct wire_put_req roots = {.key = SLICE_LIT("zz"), .lease = LEASE};
    struct buf body = BUF_INIT;
    turn_on(f);
    f->user = "u";
    wire_append_u64(&body, 1, 100);
    wire_append_u64(&body, 2, LEASE);
    assert_int_equal(run(f, WIRE_INTERNAL_LEASE_GRANT, &body), 0);
    assert_int_equal(do_put(f, &mine), 0);
    f->user = "root";
    assert_int_equal(do_put(f, &roots), 0);
    f->user = "u"; /* could not revoke it any more */
    assert_int_equal(do_put(f, &mine), ERR_RPC_PERMISSION_DENIED);
    wire_append_u64(&body, 1, LEASE);
    assert_int_equal(run(f, WIRE_INTERNAL_LEASE_REVOKE, &body), ERR_RPC_PERMISSION_DENIED);
    assert_true(lessor_has(f->lessor, LEASE));
    f->user = "root";
    wire_append_u64(&body, 1, LEASE);
    assert_int_equal(run(f, WIRE_INTERNAL_LEASE_REVOKE, &body), 0);
    f->user = "u"; /* an unknown one has no keys */
    wire_append_u64(&body, 1, LEASE);
    assert_int_equal(run(f, WIRE_INTERNAL_LEASE_REVOKE, &body), ERR_RPC_LEASE_NOT_FOUND);
}

/* Both branches, and those of txns inside, whatever is chosen. */
static void a_txn_needs_all_its_keys(void **state)
{
    struct fixture *f = *state;
    static const struct wire_op denied[] = {
        {.kind = WIRE_OP_PUT, .put = {.key = {(const uint8_t *)"r", 1}}},
        {.kind = WIRE_OP_PUT, .put = {.key = {(const uint8_t *)"w", 1}, .prev_kv = true}},
        {.kind = WIRE_OP_RANGE, .range = {.key = {(const uint8_t *)"w", 1}}},
        {.kind = WIRE_OP_DELETE, .del = {.key = {(const uint8_t *)"w", 1}, .prev_kv = true}},
        {.kind = WIRE_OP_DELETE,
         .del = {.key = {(const uint8_t *)"a", 1}, .range_end = {(const uint8_t *)"d", 1}}},
    };
    turn_on(f);
    f->user = "u";
    struct wire_op good = {.kind = WIRE_OP_PUT, .put = {.key = SLICE_LIT("a")}};
    struct wire_compare seen = {.key = SLICE_LIT("r"), .target = WIRE_COMPARE_MOD};
    struct wire_txn_req t = {.compares = &seen, .compare_count = 1, .success = &good};
    t.success_count = 1;
    assert_int_equal(do_txn(f, &t), 0);
    int64_t rev = mvcc_rev(f->store);
    seen.key = SLICE_LIT("w"); /* he may not compare what he may not read */
    assert_int_equal(do_txn(f, &t), ERR_RPC_PERMISSION_DENIED);
    seen.key = SLICE_LIT("a");
    seen.range_end = SLICE_LIT("d");
    assert_int_equal(do_txn(f, &t), ERR_RPC_PERMISSION_DENIED);
    seen.range_end = SLICE_NULL;
    for (size_t i = 0; i < ARRAY_LEN(denied); i++) {
        struct wire_op bad = denied[i];
        t.failure = &bad;
        t.failure_count = 1;
        assert_int_equal(do_txn(f, &t), ERR_RPC_PERMISSION_DENIED);
        struct wire_txn_req inner = {.failure = &bad, .failure_count = 1};
        struct wire_op nested = {.kind = WIRE_OP_TXN, .txn = &inner};
        t.failure = &nested;
        assert_int_equal(do_txn(f, &t), ERR_RPC_PERMISSION_DENIED);
        t.failure_count = 0;
    }
    assert_int_equal(mvcc_rev(f->store), rev); /* refused: nothing is left behind */
    f->user = "root";
    assert_int_equal(do_txn(f, &t), 0);
}

/* ---- random permissions: exactly what they hold can be written ---- */

static void random_permissions(void **state)
{
    struct fixture *f = *state;
    struct prng p;
    prng_init(&p, 11);
    turn_on(f);
    f->user = "root";
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_ROLE_ADD, "s", NULL, NULL), 0);
    assert_int_equal(texts(f, WIRE_INTERNAL_AUTH_USER_GRANT_ROLE, "v", "s", NULL), 0);
    bool may[KEYS] = {false};
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint8_t lo = (uint8_t)('a' + prng_below(&p, KEYS));
        uint8_t hi = (uint8_t)(lo + 1 + prng_below(&p, 3));
        bool is_grant = prng_chance(&p, 1, 3);
        f->user = "root";
        if (is_grant) {
            assert_int_equal(grant_perm(f, "s", 1, slice_make(&lo, 1), slice_make(&hi, 1)), 0);
            for (unsigned k = lo; k < hi && k - 'a' < KEYS; k++) {
                may[k - 'a'] = true;
            }
        }
        f->user = "v";
        for (unsigned k = 0; k < KEYS; k++) {
            char key[2] = {(char)('a' + k), 0};
            assert_int_equal(put(f, key), may[k] ? 0 : ERR_RPC_PERMISSION_DENIED);
        }
        unsigned from = (unsigned)prng_below(&p, KEYS), to = (unsigned)prng_below(&p, KEYS + 1);
        bool is_all = true;
        for (unsigned k = from; k < to; k++) {
            is_all = is_all && may[k];
        }
        if (from < to) {
            char key[2] = {(char)('a' + from), 0}, end[2] = {(char)('a' + to), 0};
            assert_int_equal(do_delete(f, key, end, false), is_all ? 0 : ERR_RPC_PERMISSION_DENIED);
        }
    }
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_the_requests_answer), TEST(who_may_change_users),
        TEST(writes_need_their_keys),   TEST(a_lease_brings_its_keys),
        TEST(a_txn_needs_all_its_keys), TEST(random_permissions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
