/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/ssl.h>

#include "tls/cipher.h"

static const struct {
    const char *list, *error, *openssl;
    bool is_h2;
} cases[] = {
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "", "ECDHE-RSA-AES128-GCM-SHA256", true},
    {"TLS_RSA_WITH_RC4_128_SHA,TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "",
     "RC4-SHA:ECDHE-ECDSA-AES128-GCM-SHA256", true},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "", "ECDHE-ECDSA-CHACHA20-POLY1305", false},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "", "ECDHE-ECDSA-CHACHA20-POLY1305", false},
    {"TLS_AES_128_GCM_SHA256", "", "", false},
    {"TLS_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "",
     "ECDHE-RSA-AES256-GCM-SHA384", false},
    {"bogus", "unexpected TLS cipher suite \"bogus\"", NULL, false},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,", "unexpected TLS cipher suite \"\"", NULL, false},
    {"TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384",
     "unexpected TLS cipher suite \" TLS_AES_256_GCM_SHA384\"", NULL, false},
    {"tls_aes_128_gcm_sha256", "unexpected TLS cipher suite \"tls_aes_128_gcm_sha256\"", NULL,
     false},
};

static void lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf error = BUF_INIT, out = BUF_INIT;
        int err = tls_ciphers_check(cases[i].list, &error);
        assert_string_equal(buf_cstr(&error), cases[i].error);
        assert_int_equal(err == 0, cases[i].error[0] == '\0');
        if (err == 0) {
            tls_ciphers_openssl(cases[i].list, &out);
            assert_string_equal(buf_cstr(&out), cases[i].openssl);
            assert_int_equal(tls_ciphers_check_h2(cases[i].list, &error) == 0, cases[i].is_h2);
        }
        buf_deinit(&error);
        buf_deinit(&out);
    }
}

/* The default is fine everywhere, and OpenSSL knows every name but those of RC4 and 3DES. */
static void names_of_openssl(void **state)
{
    (void)state;
    static const char *const names[] = {
#define CIPHER(go, openssl, kind) openssl,
#include "tls/cipher.def"
#undef CIPHER
    };
    struct buf out = BUF_INIT, error = BUF_INIT;
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    assert_int_equal(tls_ciphers_check("", &error), 0);
    assert_int_equal(tls_ciphers_check_h2("", &error), 0);
    tls_ciphers_openssl("", &out);
    assert_int_equal(SSL_CTX_set_cipher_list(ctx, buf_cstr(&out)), 1);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        bool is_weak = strstr(names[i], "RC4") != NULL || strstr(names[i], "DES") != NULL;
        bool is_13 = strncmp(names[i], "TLS_", 4) == 0;
        if (!is_weak) {
            assert_int_equal(is_13 ? SSL_CTX_set_ciphersuites(ctx, names[i])
                                   : SSL_CTX_set_cipher_list(ctx, names[i]),
                             1);
        }
    }
    SSL_CTX_free(ctx);
    buf_deinit(&out);
    buf_deinit(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(names_of_openssl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
