/* SPDX-License-Identifier: Apache-2.0
 *
 * The store: etcd's checks in etcd's order, what is written, who may; random changes against a dumb
 * model; the same changes twice and a reload give the same state.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "auth/auth.h"
#include "auth/password.h"
#include "base/prng.h"
#include "fakedb.h"
#include "wire/kv.h"

#define HASH "JDJhJDA0JA==" /* base64 of "$2a$04$" */

struct fixture {
    struct fakedb *db;
    struct auth_tokens *tokens;
    struct auth_store *a;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    struct buf why = BUF_INIT;
    const struct auth_tokens_options o = {.spec = "simple"};
    f->db = fakedb_create(SCHEMA_BUCKET_NAMES, SCHEMA_BUCKET_COUNT);
    assert_int_equal(auth_tokens_create(&o, &why, &f->tokens), 0);
    f->a = auth_store_create(fakedb_backend(f->db), f->tokens);
    auth_store_begin(f->a);
    buf_deinit(&why);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    auth_store_check(f->a);
    auth_store_destroy(f->a);
    auth_tokens_destroy(f->tokens);
    fakedb_destroy(f->db);
    mem_free(f);
    return 0;
}

/* ---- words ---- */

static int user_add(struct fixture *f, const char *name)
{
    const struct auth_new_password p = {.hashed = SLICE_LIT(HASH)};
    return auth_user_add(f->a, slice_cstr(name), false, &p);
}

static int grant_role(struct fixture *f, const char *user, const char *role)
{
    return auth_user_grant(f->a, slice_cstr(user), slice_cstr(role));
}

static int grant_perm(struct fixture *f, const char *role, int type, struct slice key,
                      struct slice end)
{
    struct buf b = BUF_INIT;
    wire_append_u64(&b, 1, (uint64_t)type);
    wire_append_bytes(&b, 2, key);
    wire_append_bytes(&b, 3, end);
    struct slice perm = b.data == NULL ? SLICE_LIT("") : buf_slice(&b);
    int err = auth_role_grant(f->a, slice_cstr(role), perm);
    buf_deinit(&b);
    return err;
}

static void expect_row(struct fixture *f, const char *bucket, const char *key, struct slice want)
{
    struct slice got = fakedb_get(f->db, bucket, slice_cstr(key));
    assert_true(slice_equal(got, want));
}

static struct auth_who who_is(struct fixture *f, const char *user)
{
    return (struct auth_who){slice_cstr(user), auth_revision(f->a), true};
}

static void turn_on(struct fixture *f)
{
    assert_int_equal(user_add(f, "root"), 0);
    assert_int_equal(grant_role(f, "root", "root"), 0);
    assert_int_equal(auth_enable(f->a), 0);
}

/* ---- one thing at a time ---- */

static void a_file_gets_its_first_revision(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(auth_revision(f->a), 1);
    expect_row(f, "auth", "authRevision", slice_make("\0\0\0\0\0\0\0\1", 8));
    assert_null(fakedb_get(f->db, "auth", SLICE_LIT("authEnabled")).data);
    auth_store_begin(f->a);
    assert_int_equal(auth_revision(f->a), 1);
}

static void enable_and_disable(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(auth_enable(f->a), ERR_RPC_ROOT_USER_NOT_EXIST);
    assert_int_equal(user_add(f, "root"), 0);
    assert_int_equal(auth_enable(f->a), ERR_RPC_ROOT_ROLE_NOT_EXIST);
    assert_int_equal(grant_role(f, "root", "root"), 0); /* the role need not exist */
    auth_disable(f->a);                                 /* it is off */
    assert_int_equal(auth_revision(f->a), 3);
    assert_int_equal(auth_enable(f->a), 0);
    assert_int_equal(auth_enable(f->a), 0);
    assert_int_equal(auth_revision(f->a), 3); /* on is no change */
    expect_row(f, "auth", "authEnabled", SLICE_LIT("\x01"));
    assert_int_equal(auth_user_delete(f->a, SLICE_LIT("root")), ERR_RPC_INVALID_AUTH_MGMT);
    assert_int_equal(auth_user_revoke(f->a, SLICE_LIT("root"), SLICE_LIT("root")),
                     ERR_RPC_INVALID_AUTH_MGMT);
    assert_int_equal(auth_role_delete(f->a, SLICE_LIT("root")), ERR_RPC_INVALID_AUTH_MGMT);
    auth_disable(f->a);
    assert_int_equal(auth_revision(f->a), 4); /* off is one */
    expect_row(f, "auth", "authEnabled", slice_make("\0", 1));
    assert_int_equal(auth_user_delete(f->a, SLICE_LIT("root")), 0);
}

static void users_are_checked(void **state)
{
    struct fixture *f = *state;
    const struct auth_new_password bad = {.hashed = SLICE_LIT("!")};
    assert_int_equal(user_add(f, ""), ERR_RPC_USER_EMPTY);
    assert_int_equal(user_add(f, "u"), 0);
    assert_int_equal(user_add(f, "u"), ERR_RPC_USER_EXISTS);
    expect_row(f, "authUsers", "u", SLICE_LIT("\x0a\x01u\x12\x07$2a$04$\x22\x00"));
    assert_int_equal(auth_user_add(f->a, SLICE_LIT("v"), false, &bad), ERR_RPC_NO_PASSWORD_USER);
    assert_int_equal(auth_user_add(f->a, SLICE_LIT("n"), true, &bad), 0);
    expect_row(f, "authUsers", "n", SLICE_LIT("\x0a\x01n\x22\x02\x08\x01"));
    assert_int_equal(auth_user_change_password(f->a, SLICE_LIT("n"), &bad), 0); /* and stays so */
    expect_row(f, "authUsers", "n", SLICE_LIT("\x0a\x01n\x22\x02\x08\x01"));
    assert_int_equal(auth_user_change_password(f->a, SLICE_LIT("u"), &bad),
                     ERR_RPC_NO_PASSWORD_USER);
    assert_int_equal(auth_user_change_password(f->a, SLICE_LIT("v"), &bad), ERR_RPC_USER_NOT_FOUND);
    assert_int_equal(auth_user_delete(f->a, SLICE_LIT("v")), ERR_RPC_USER_NOT_FOUND);
    assert_int_equal(auth_user_get(f->a, SLICE_LIT("v"), NULL), ERR_RPC_USER_NOT_FOUND);
    assert_int_equal(auth_revision(f->a), 4);
    assert_int_equal(auth_user_delete(f->a, SLICE_LIT("u")), 0);
    assert_null(fakedb_get(f->db, "authUsers", SLICE_LIT("u")).data);
}

static void roles_are_checked(void **state)
{
    struct fixture *f = *state;
    struct slice k = SLICE_LIT("k"), none = SLICE_NULL, open = SLICE_LIT("\0");
    assert_int_equal(auth_role_add(f->a, SLICE_LIT("")), ERR_RPC_ROLE_EMPTY);
    assert_int_equal(auth_role_add(f->a, SLICE_LIT("r")), 0);
    assert_int_equal(auth_role_add(f->a, SLICE_LIT("r")), ERR_RPC_ROLE_EXISTS);
    assert_int_equal(user_add(f, "u"), 0);
    assert_int_equal(grant_role(f, "v", "r"), ERR_RPC_USER_NOT_FOUND);
    assert_int_equal(grant_role(f, "u", "s"), ERR_RPC_ROLE_NOT_FOUND);
    assert_int_equal(grant_role(f, "u", "r"), 0);
    uint64_t rev = auth_revision(f->a);
    assert_int_equal(grant_role(f, "u", "r"), 0);
    assert_int_equal(auth_revision(f->a), rev); /* he has it */
    assert_int_equal(auth_role_grant(f->a, SLICE_LIT("r"), SLICE_NULL),
                     ERR_RPC_PERMISSION_NOT_GIVEN);
    assert_int_equal(grant_perm(f, "r", 0, none, none), ERR_RPC_INVALID_AUTH_MGMT);
    assert_int_equal(grant_perm(f, "r", 0, k, SLICE_LIT("k")), ERR_RPC_INVALID_AUTH_MGMT);
    assert_int_equal(grant_perm(f, "r", 0, k, SLICE_LIT("a")), ERR_RPC_INVALID_AUTH_MGMT);
    assert_int_equal(grant_perm(f, "s", 0, k, none), ERR_RPC_ROLE_NOT_FOUND);
    assert_int_equal(auth_role_grant(f->a, SLICE_LIT("r"), SLICE_LIT("\x12\x09")), ERR_TRUNCATED);
    assert_int_equal(auth_revision(f->a), rev);
    assert_int_equal(grant_perm(f, "r", 1, k, none), 0);
    assert_int_equal(grant_perm(f, "r", 0, k, open), 0);
    assert_int_equal(auth_revision(f->a), rev + 2);
    assert_int_equal(auth_role_revoke(f->a, SLICE_LIT("s"), k, none), ERR_RPC_ROLE_NOT_FOUND);
    assert_int_equal(auth_role_revoke(f->a, SLICE_LIT("r"), SLICE_LIT("j"), none),
                     ERR_RPC_PERMISSION_NOT_GRANTED);
    assert_int_equal(auth_role_revoke(f->a, SLICE_LIT("r"), k, none), 0);
    assert_int_equal(auth_user_revoke(f->a, SLICE_LIT("u"), SLICE_LIT("s")),
                     ERR_RPC_ROLE_NOT_GRANTED);
    assert_int_equal(auth_role_delete(f->a, SLICE_LIT("s")), ERR_RPC_ROLE_NOT_FOUND);
    assert_int_equal(auth_role_delete(f->a, SLICE_LIT("r")), 0);
    assert_false(auth_has_role(f->a, SLICE_LIT("u"), SLICE_LIT("r")));
    expect_row(f, "authUsers", "u", SLICE_LIT("\x0a\x01u\x12\x07$2a$04$\x22\x00"));
}

static void what_role_get_shows(void **state)
{
    struct fixture *f = *state;
    struct buf out = BUF_INIT;
    assert_int_equal(auth_role_get(f->a, SLICE_LIT("root"), &out), ERR_RPC_ROLE_NOT_FOUND);
    assert_int_equal(auth_role_add(f->a, SLICE_LIT("root")), 0);
    assert_int_equal(auth_role_get(f->a, SLICE_LIT("root"), &out), 0);
    /* READWRITE of everything */
    assert_true(slice_equal(buf_slice(&out), slice_make("\x12\x05\x08\x02\x1a\x01\x00", 7)));
    buf_deinit(&out);
}

/* ---- who may ---- */

static void who_is_root(void **state)
{
    struct fixture *f = *state;
    struct auth_who nobody = {.user = SLICE_NULL}, root = who_is(f, "root"), u = who_is(f, "u");
    assert_int_equal(auth_check_root(f->a, &nobody), 0); /* off */
    turn_on(f);
    assert_int_equal(user_add(f, "u"), 0);
    assert_int_equal(auth_check_root(f->a, &nobody), ERR_RPC_USER_EMPTY);
    assert_int_equal(auth_check_known(f->a, &nobody), ERR_RPC_USER_EMPTY);
    assert_int_equal(auth_check_root(f->a, &u), ERR_RPC_PERMISSION_DENIED);
    assert_int_equal(auth_check_known(f->a, &u), 0);
    u.user = SLICE_LIT("x");
    assert_int_equal(auth_check_root(f->a, &u), ERR_RPC_USER_NOT_FOUND);
    assert_int_equal(auth_check_root(f->a, &root), 0); /* an old revision is no matter */
    assert_int_equal(auth_check_read(f->a, &root, SLICE_LIT("k"), SLICE_NULL),
                     ERR_RPC_AUTH_OLD_REVISION);
}

static void who_may_touch_a_key(void **state)
{
    struct fixture *f = *state;
    struct slice k = SLICE_LIT("k"), l = SLICE_LIT("l"), none = SLICE_NULL;
    struct auth_who u = who_is(f, "u");
    assert_int_equal(auth_check_write(f->a, &u, k, none), 0);
    turn_on(f);
    assert_int_equal(user_add(f, "u"), 0);
    assert_int_equal(auth_role_add(f->a, SLICE_LIT("r")), 0);
    assert_int_equal(grant_role(f, "u", "r"), 0);
    assert_int_equal(grant_perm(f, "r", 0, k, l), 0);
    u = who_is(f, "u");
    assert_int_equal(auth_check_read(f->a, &u, k, l), 0);
    assert_int_equal(auth_check_read(f->a, &u, l, none), ERR_RPC_PERMISSION_DENIED);
    assert_int_equal(auth_check_write(f->a, &u, k, none), ERR_RPC_PERMISSION_DENIED);
    assert_int_equal(grant_perm(f, "r", 2, k, l), 0);
    assert_int_equal(auth_check_write(f->a, &u, k, none), ERR_RPC_AUTH_OLD_REVISION);
    u = who_is(f, "u");
    assert_int_equal(auth_check_write(f->a, &u, k, none), 0);
    u.user = SLICE_LIT("x");
    assert_int_equal(auth_check_write(f->a, &u, k, none), ERR_RPC_PERMISSION_DENIED);
    u.revision = 0;
    assert_int_equal(auth_check_write(f->a, &u, k, none), ERR_RPC_USER_EMPTY);
    struct auth_who root = who_is(f, "root");
    assert_int_equal(auth_check_write(f->a, &root, SLICE_LIT("z"), SLICE_LIT("\0")), 0);
}

/* ---- logins ---- */

static int ask(struct fixture *f, struct slice token, const char *name, uint64_t now_ms,
               struct auth_who *out)
{
    const struct auth_caller c = {.token = token,
                                  .common_name = name != NULL ? slice_cstr(name) : SLICE_NULL};
    return auth_identify(f->a, &c, now_ms, out);
}

static int login(struct fixture *f, const char *user, struct buf *token)
{
    buf_clear(token);
    return auth_login(f->a, slice_cstr(user), SLICE_LIT("abcdefghijklmnop"), 41, 1000, token);
}

static void a_login_gives_a_token(void **state)
{
    struct fixture *f = *state;
    struct buf token = BUF_INIT, bearer = BUF_INIT;
    struct auth_who who;
    assert_int_equal(login(f, "root", &token), ERR_RPC_AUTH_NOT_ENABLED);
    turn_on(f);
    assert_int_equal(auth_user_add(f->a, SLICE_LIT("n"), true, &(struct auth_new_password){0}), 0);
    assert_int_equal(login(f, "x", &token), ERR_RPC_AUTH_FAILED);
    assert_int_equal(login(f, "n", &token), ERR_RPC_AUTH_FAILED);
    assert_int_equal(login(f, "root", &token), 0);
    assert_true(slice_equal_cstr(buf_slice(&token), "abcdefghijklmnop.41"));
    assert_int_equal(ask(f, buf_slice(&token), NULL, 1000, &who), 0);
    assert_true(slice_equal_cstr(who.user, "root") && who.revision == auth_revision(f->a));
    buf_append_cstr(&bearer, "Bearer ");
    buf_append_slice(&bearer, buf_slice(&token));
    assert_int_equal(ask(f, buf_slice(&bearer), NULL, 1000, &who), 0);
    /* A bad token is refused, also with a good certificate; a certificate alone will do. */
    assert_int_equal(ask(f, SLICE_LIT("x.1"), "root", 1000, &who), ERR_RPC_INVALID_AUTH_TOKEN);
    assert_int_equal(ask(f, SLICE_NULL, "cn", 1000, &who), 0);
    assert_true(slice_equal_cstr(who.user, "cn") && who.is_known);
    assert_int_equal(ask(f, SLICE_NULL, NULL, 1000, &who), 0);
    assert_true(who.revision == 0 && !who.is_known);
    const struct auth_new_password p = {.hashed = SLICE_LIT(HASH)};
    assert_int_equal(auth_user_change_password(f->a, SLICE_LIT("root"), &p), 0);
    assert_int_equal(ask(f, buf_slice(&token), NULL, 1000, &who), ERR_RPC_INVALID_AUTH_TOKEN);
    assert_int_equal(login(f, "root", &token), 0);
    auth_disable(f->a);
    assert_int_equal(ask(f, buf_slice(&token), NULL, 1000, &who), 0); /* not looked at */
    assert_false(who.is_known);
    assert_int_equal(auth_enable(f->a), 0);
    assert_int_equal(ask(f, buf_slice(&token), NULL, 1000, &who), ERR_RPC_INVALID_AUTH_TOKEN);
    buf_deinit(&token);
    buf_deinit(&bearer);
}

static void passwords_to_check(void **state)
{
    struct fixture *f = *state;
    struct slice hash;
    assert_int_equal(auth_password_of(f->a, SLICE_LIT("root"), &hash), ERR_RPC_AUTH_NOT_ENABLED);
    turn_on(f);
    assert_int_equal(auth_user_add(f->a, SLICE_LIT("n"), true, &(struct auth_new_password){0}), 0);
    assert_int_equal(auth_password_of(f->a, SLICE_LIT("n"), &hash), ERR_RPC_NO_PASSWORD_USER);
    assert_int_equal(auth_password_of(f->a, SLICE_LIT(""), &hash), ERR_RPC_AUTH_FAILED);
    assert_int_equal(auth_password_of(f->a, SLICE_LIT("root"), &hash), 0);
    assert_true(slice_equal_cstr(hash, "$2a$04$"));
}

/* ---- random changes: a dumb model, a twin, a reload ---- */

enum { NAMES = 6, STEPS = 4000 };

static const char *const user_names[NAMES] = {"root", "a", "b", "c", "d", "e"};
static const char *const role_names[NAMES] = {"root", "p", "q", "r", "s", "t"};

struct model {
    bool has_user[NAMES];
    bool has_role[NAMES];
    bool holds[NAMES][NAMES]; /* user, role */
    bool is_on;
    uint64_t revision;
};

static int model_user(struct model *m, bool is_add, size_t u)
{
    if (is_add ? m->has_user[u] : m->is_on && u == 0) {
        return is_add ? ERR_RPC_USER_EXISTS : ERR_RPC_INVALID_AUTH_MGMT;
    }
    if (!is_add && !m->has_user[u]) {
        return ERR_RPC_USER_NOT_FOUND;
    }
    m->has_user[u] = is_add;
    memset(m->holds[u], 0, sizeof(m->holds[u]));
    m->revision++;
    return 0;
}

static int model_role(struct model *m, bool is_add, size_t r)
{
    if (is_add ? m->has_role[r] : m->is_on && r == 0) {
        return is_add ? ERR_RPC_ROLE_EXISTS : ERR_RPC_INVALID_AUTH_MGMT;
    }
    if (!is_add && !m->has_role[r]) {
        return ERR_RPC_ROLE_NOT_FOUND;
    }
    m->has_role[r] = is_add;
    for (size_t u = 0; !is_add && u < NAMES; u++) {
        m->holds[u][r] = false;
    }
    m->revision++;
    return 0;
}

static int model_grant(struct model *m, size_t u, size_t r)
{
    if (!m->has_user[u]) {
        return ERR_RPC_USER_NOT_FOUND;
    }
    if (r != 0 && !m->has_role[r]) {
        return ERR_RPC_ROLE_NOT_FOUND;
    }
    m->revision += !m->holds[u][r];
    m->holds[u][r] = true;
    return 0;
}

static int model_revoke(struct model *m, size_t u, size_t r)
{
    if (m->is_on && u == 0 && r == 0) {
        return ERR_RPC_INVALID_AUTH_MGMT;
    }
    if (!m->has_user[u] || !m->holds[u][r]) {
        return m->has_user[u] ? ERR_RPC_ROLE_NOT_GRANTED : ERR_RPC_USER_NOT_FOUND;
    }
    m->holds[u][r] = false;
    m->revision++;
    return 0;
}

static int model_switch(struct model *m, bool is_on)
{
    if (is_on && !m->is_on && !m->holds[0][0]) {
        return m->has_user[0] ? ERR_RPC_ROOT_ROLE_NOT_EXIST : ERR_RPC_ROOT_USER_NOT_EXIST;
    }
    m->revision += !is_on && m->is_on;
    m->is_on = is_on;
    return 0;
}

static int model_step(struct model *m, unsigned what, size_t u, size_t r)
{
    switch (what) {
    case 0:
    case 1: return model_user(m, what == 0, u);
    case 2:
    case 3: return model_role(m, what == 2, r);
    case 4: return model_grant(m, u, r);
    case 5: return model_revoke(m, u, r);
    default: return model_switch(m, what == 6);
    }
}

static int store_step(struct fixture *f, unsigned what, size_t u, size_t r)
{
    struct slice user = slice_cstr(user_names[u]), role = slice_cstr(role_names[r]);
    switch (what) {
    case 0: return user_add(f, user_names[u]);
    case 1: return auth_user_delete(f->a, user);
    case 2: return auth_role_add(f->a, role);
    case 3: return auth_role_delete(f->a, role);
    case 4: return auth_user_grant(f->a, user, role);
    case 5: return auth_user_revoke(f->a, user, role);
    case 6: return auth_enable(f->a);
    default: auth_disable(f->a); return 0;
    }
}

static void expect_model(const struct auth_store *a, const struct model *m)
{
    size_t users = 0, roles = 0;
    for (size_t u = 0; u < NAMES; u++) {
        users += m->has_user[u];
        roles += m->has_role[u];
        for (size_t r = 0; r < NAMES; r++) {
            assert_int_equal(auth_has_role(a, slice_cstr(user_names[u]), slice_cstr(role_names[r])),
                             m->holds[u][r]);
        }
    }
    assert_int_equal(auth_user_count(a), users);
    assert_int_equal(auth_role_count(a), roles);
    assert_int_equal(auth_revision(a), m->revision);
    assert_int_equal(auth_is_enabled(a), m->is_on);
    auth_store_check(a);
}

static void expect_reload(struct fixture *f, const struct model *m)
{
    const char *bucket;
    struct auth_store *again = auth_store_create(fakedb_backend(f->db), NULL);
    assert_int_equal(auth_store_load(again, fakedb_tx(f->db), &bucket), 0);
    expect_model(again, m);
    auth_store_destroy(again);
}

static void random_changes(void **state)
{
    struct fixture *f = *state, *twin;
    struct model m = {.revision = 1};
    struct prng p;
    void *twin_state = NULL;
    prng_init(&p, 3);
    (void)setup(&twin_state);
    twin = twin_state;
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned what = (unsigned)prng_below(&p, 8);
        size_t u = prng_below(&p, NAMES), r = prng_below(&p, NAMES);
        int want = model_step(&m, what, u, r);
        assert_int_equal(store_step(f, what, u, r), want);
        assert_int_equal(store_step(twin, what, u, r), want);
        expect_model(f->a, &m);
        if (i % 97 == 0) {
            expect_reload(f, &m);
        }
    }
    for (size_t u = 0; u < NAMES; u++) {
        struct slice name = slice_cstr(user_names[u]);
        assert_true(slice_equal(fakedb_get(f->db, "authUsers", name),
                                fakedb_get(twin->db, "authUsers", name)));
    }
    (void)teardown(&twin_state);
}

static void damage_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *bucket;
        const char *key;
        const char *value;
    } bad[] = {
        {"auth", "authRevision", "1"},   {"authUsers", "u", "\x0a\x05u"},
        {"authUsers", "u", "\x0a\x01v"}, {"authRoles", "r", "\xff"},
        {"authRoles", "r", "\x0a\x01s"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct fakedb *db = fakedb_create(SCHEMA_BUCKET_NAMES, SCHEMA_BUCKET_COUNT);
        struct auth_store *a = auth_store_create(NULL, NULL);
        const char *bucket = "";
        fakedb_put(db, bad[i].bucket, slice_cstr(bad[i].key), slice_cstr(bad[i].value));
        assert_int_equal(auth_store_load(a, fakedb_tx(db), &bucket), ERR_CORRUPT);
        assert_string_equal(bucket, bad[i].bucket);
        auth_store_destroy(a);
        fakedb_destroy(db);
    }
}

/* An entry of before 3.5: our members agree on the hash, whenever they apply it. */
static void an_old_entry_has_the_password(void **state)
{
    struct fixture *f = *state;
    const struct auth_new_password p = {.plain = SLICE_LIT("secret")};
    struct slice hash;
    assert_int_equal(auth_user_add(f->a, SLICE_LIT("a"), false, &p), 0);
    assert_int_equal(auth_user_add(f->a, SLICE_LIT("b"), false, &p), 0);
    turn_on(f);
    assert_int_equal(auth_password_of(f->a, SLICE_LIT("a"), &hash), 0);
    assert_true(auth_password_verify(hash, SLICE_LIT("secret")));
    assert_false(auth_password_verify(hash, SLICE_LIT("secrex")));
    struct slice other;
    assert_int_equal(auth_password_of(f->a, SLICE_LIT("b"), &other), 0);
    assert_true(slice_equal(hash, other));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_gets_its_first_revision),
        TEST(enable_and_disable),
        TEST(users_are_checked),
        TEST(roles_are_checked),
        TEST(what_role_get_shows),
        TEST(who_is_root),
        TEST(who_may_touch_a_key),
        TEST(a_login_gives_a_token),
        TEST(passwords_to_check),
        TEST(random_changes),
        TEST(an_old_entry_has_the_password),
        cmocka_unit_test(damage_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
