/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <crypt.h>
#include <string.h>

#include "auth/password.h"
#include "base/buf.h"
#include "unit/auth/golden.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const uint8_t SALT[AUTH_SALT_BYTES] = "0123456789abcdef";

static void test_hashes_of_go(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(GOLDEN_HASHES); i++) {
        struct slice hash = slice_cstr(GOLDEN_HASHES[i].hash);
        for (size_t k = 0; k < COUNT(GOLDEN_HASHES); k++) {
            assert_int_equal(auth_password_verify(hash, slice_cstr(GOLDEN_HASHES[k].password)),
                             i == k);
        }
    }
}

static void test_forms_of_go(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(GOLDEN_FORMS); i++) {
        bool is_match = auth_password_verify(slice_cstr(GOLDEN_FORMS[i].hash), SLICE_LIT("x"));
        if (is_match != GOLDEN_FORMS[i].is_match) {
            fail_msg("%s", GOLDEN_FORMS[i].hash);
        }
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    char hash[AUTH_HASH_LEN + 1] = "";
    for (size_t len = 0; len <= AUTH_PASSWORD_MAX; len += 9) {
        uint8_t text[AUTH_PASSWORD_MAX];
        memset(text, 0xf0 + (int)len % 16, sizeof(text));
        assert_int_equal(auth_password_hash(slice_make(text, len), 4, SALT, hash), 0);
        char setting[CRYPT_GENSALT_OUTPUT_SIZE];
        assert_non_null(crypt_gensalt_rn("$2a$", 4, (const char *)SALT, sizeof(SALT), setting,
                                         (int)sizeof(setting)));
        assert_int_equal(strlen(setting), 29);
        assert_memory_equal(hash, setting, 29);
        assert_true(auth_password_verify(slice_make(hash, AUTH_HASH_LEN), slice_make(text, len)));
        assert_false(
            auth_password_verify(slice_make(hash, AUTH_HASH_LEN), SLICE_LIT("another one")));
    }
}

/* Go hashes no more than 72 bytes, but compares by them. */
static void test_long(void **state)
{
    (void)state;
    char hash[AUTH_HASH_LEN + 1] = "as it was";
    uint8_t text[AUTH_PASSWORD_MAX + 9];
    memset(text, 'z', sizeof(text));
    struct slice too_long = slice_make(text, sizeof(text));
    assert_int_equal(auth_password_hash(too_long, 4, SALT, hash), ERR_RPC_PASSWORD_TOO_LONG);
    assert_string_equal(hash, "as it was");
    assert_int_equal(auth_password_hash(slice_make(text, AUTH_PASSWORD_MAX), 4, SALT, hash), 0);
    assert_true(auth_password_verify(slice_make(hash, AUTH_HASH_LEN), too_long));
    text[AUTH_PASSWORD_MAX - 1] = 'y';
    assert_false(auth_password_verify(slice_make(hash, AUTH_HASH_LEN), too_long));
}

static void test_nul(void **state)
{
    (void)state;
    char hash[AUTH_HASH_LEN + 1] = "as it was";
    struct slice with_nul = slice_make("a\0b", 3);
    assert_int_equal(auth_password_hash(with_nul, 4, SALT, hash), ERR_RPC_PASSWORD_NUL);
    assert_string_equal(hash, "as it was");
    assert_int_equal(auth_password_hash(SLICE_LIT("a"), 4, SALT, hash), 0);
    assert_false(auth_password_verify(slice_make(hash, AUTH_HASH_LEN), with_nul));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hashes_of_go), cmocka_unit_test(test_forms_of_go),
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_long),
        cmocka_unit_test(test_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
