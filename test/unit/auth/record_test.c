/* SPDX-License-Identifier: Apache-2.0
 *
 * Users and roles as bytes (storage-formats 2.1), every cut of them, and how they change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "auth/auth.h"
#include "auth/record.h"

/* Of real files. */
static const uint8_t role_bytes[] = {0x0a, 2,   'r',  '1', 0x12, 8, 0x08, 2,   0x12, 1, 'a', 0x1a,
                                     1,    'b', 0x12, 8,   0x12, 2, 'z',  'z', 0x1a, 2, 'z', '{'};
static const uint8_t nop_bytes[] = {0x0a, 3, 'n', 'o', 'p', 0x1a, 2, 'r', '1', 0x22, 2, 0x08, 1};
static const uint8_t root_bytes[] = {0x0a, 4,    'r', 'o', 'o', 't', 0x12, 3,    'p', 'w',
                                     '!',  0x1a, 4,   'r', 'o', 'o', 't',  0x22, 0};

static void expect_user(const uint8_t *bytes, size_t len)
{
    struct auth_user u;
    struct buf out = BUF_INIT;
    assert_int_equal(auth_user_decode(slice_make(bytes, len), &u), 0);
    auth_user_encode(&u, &out);
    assert_int_equal(out.len, len);
    assert_memory_equal(out.data, bytes, len);
    auth_user_deinit(&u);
    buf_deinit(&out);
}

static void users(void **state)
{
    (void)state;
    struct auth_user u;
    expect_user(nop_bytes, sizeof(nop_bytes));
    expect_user(root_bytes, sizeof(root_bytes));
    expect_user(root_bytes, sizeof(root_bytes) - 2); /* of before 3.4: no options */
    assert_int_equal(auth_user_decode(slice_make(nop_bytes, sizeof(nop_bytes)), &u), 0);
    assert_true(u.no_password && u.has_options && u.password.len == 0);
    auth_user_deinit(&u);
    for (size_t i = 1; i < sizeof(root_bytes); i++) {
        if (auth_user_decode(slice_make(root_bytes, i), &u) == 0) {
            auth_user_deinit(&u);
        }
    }
    assert_int_equal(auth_user_decode(SLICE_LIT("\x0a\x05u"), &u), ERR_TRUNCATED);
    assert_int_not_equal(auth_user_decode(SLICE_LIT("\x22\x02\x08\x80"), &u), 0);
}

static void roles(void **state)
{
    (void)state;
    struct auth_role r;
    struct buf out = BUF_INIT;
    struct slice in = slice_make(role_bytes, sizeof(role_bytes));
    assert_int_equal(auth_role_decode(in, &r), 0);
    assert_int_equal(r.perm_count, 2);
    assert_int_equal(r.perms[0].type, AUTH_PERM_READWRITE);
    auth_role_encode(&r, &out);
    assert_true(slice_equal(buf_slice(&out), in));
    auth_role_deinit(&r);
    for (size_t i = 1; i < sizeof(role_bytes); i++) {
        if (auth_role_decode(slice_make(role_bytes, i), &r) == 0) {
            auth_role_deinit(&r);
        }
    }
    /* An unknown type is kept, whatever its sign. */
    struct slice odd = SLICE_LIT("\x12\x0e\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x12\x01k");
    assert_int_equal(auth_role_decode(odd, &r), 0);
    assert_int_equal(r.perms[0].type, -1);
    buf_clear(&out);
    auth_role_encode(&r, &out);
    assert_true(slice_equal(buf_slice(&out), odd));
    auth_role_deinit(&r);
    buf_deinit(&out);
}

static void roles_of_a_user_are_sorted(void **state)
{
    (void)state;
    static const char *const names[] = {"m", "a", "z", "b", "y"};
    struct auth_user u = {.name = auth_text(SLICE_LIT("u"))};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        auth_user_role_add(&u, slice_cstr(names[i]));
        assert_true(auth_user_has_role(&u, slice_cstr(names[i])));
    }
    for (size_t i = 1; i < u.role_count; i++) {
        assert_true(slice_compare(u.roles[i - 1], u.roles[i]) < 0);
    }
    assert_int_equal(auth_user_role_remove(&u, SLICE_LIT("q")), 0);
    assert_int_equal(auth_user_role_remove(&u, SLICE_LIT("m")), 1);
    assert_int_equal(auth_user_role_remove(&u, SLICE_LIT("z")), 1);
    assert_false(auth_user_has_role(&u, SLICE_LIT("m")));
    auth_user_role_add(&u, SLICE_LIT("c"));
    assert_int_equal(u.role_count, 4);
    assert_true(slice_equal_cstr(u.roles[2], "c"));
    auth_user_deinit(&u);
}

static void grant(struct auth_role *r, int32_t type, const char *key, const char *end)
{
    const struct auth_perm p = {type, slice_cstr(key), slice_cstr(end)};
    auth_role_perm_add(r, &p);
}

/* The order in which etcd keeps them: by key; only the first of a key can be changed in place. */
static void permissions_of_a_role(void **state)
{
    (void)state;
    struct auth_role r = {.name = auth_text(SLICE_LIT("r"))};
    grant(&r, AUTH_PERM_READ, "b", "");
    grant(&r, AUTH_PERM_READ, "a", "z");
    grant(&r, AUTH_PERM_WRITE, "b", "c");
    assert_int_equal(r.perm_count, 3);
    assert_true(slice_equal_cstr(r.perms[0].key, "a"));
    assert_int_equal(r.perms[1].range_end.len, 0);
    grant(&r, AUTH_PERM_READWRITE, "b", "");
    assert_int_equal(r.perm_count, 3);
    assert_int_equal(r.perms[1].type, AUTH_PERM_READWRITE);
    grant(&r, AUTH_PERM_READ, "b", "c"); /* not the first of its key: once more */
    assert_int_equal(r.perm_count, 4);
    assert_int_equal(r.perms[2].type, AUTH_PERM_WRITE);
    assert_int_equal(r.perms[3].type, AUTH_PERM_READ);
    assert_int_equal(auth_role_perm_remove(&r, SLICE_LIT("b"), SLICE_LIT("c")), 2);
    assert_int_equal(auth_role_perm_remove(&r, SLICE_LIT("b"), SLICE_LIT("c")), 0);
    assert_int_equal(r.perm_count, 2);
    auth_role_deinit(&r);
}

static void a_permission_in_etcds_form(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    /* key twice, an empty end, an unknown field */
    struct slice odd = SLICE_LIT("\x12\x01x\x12\x01k\x1a\x00\x38\x01\x08\x01");
    assert_int_equal(auth_perm_plain(odd, &out), 0);
    assert_true(slice_equal(buf_slice(&out), SLICE_LIT("\x08\x01\x12\x01k")));
    assert_int_not_equal(auth_perm_plain(SLICE_LIT("\x12\x05k"), &out), 0);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users),
        cmocka_unit_test(roles),
        cmocka_unit_test(roles_of_a_user_are_sorted),
        cmocka_unit_test(permissions_of_a_role),
        cmocka_unit_test(a_permission_in_etcds_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
