/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "auth/jwt.h"
#include "auth/token.h"
#include "lib/memfs.h"
#include "unit/auth/golden.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct auth_now NOW = {0, 1999999999 * INT64_C(1000)};

/* ---- key files ---- */

static void put_bio(struct memfs *fs, const char *name, BIO *b)
{
    char *data = NULL;
    long len = BIO_get_mem_data(b, &data);
    memfs_put(fs, name, slice_make(data, (size_t)len));
    BIO_free(b);
}

/* NAME.pem (PKCS8), NAME.own (PKCS1, SEC 1), NAME.pub. */
static void put_key(struct memfs *fs, const char *name, EVP_PKEY *key)
{
    char path[32];
    assert_non_null(key);
    BIO *b = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(b, key, NULL, NULL, 0, NULL, NULL), 1);
    (void)snprintf(path, sizeof(path), "%s.pem", name);
    put_bio(fs, path, b);
    b = BIO_new(BIO_s_mem());
    if (PEM_write_bio_PrivateKey_traditional(b, key, NULL, NULL, 0, NULL, NULL) == 1) {
        (void)snprintf(path, sizeof(path), "%s.own", name);
        put_bio(fs, path, b);
    } else {
        BIO_free(b);
    }
    b = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(b, key), 1);
    (void)snprintf(path, sizeof(path), "%s.pub", name);
    put_bio(fs, path, b);
    ERR_clear_error();
    EVP_PKEY_free(key);
}

static int set_up(void **state)
{
    struct memfs *fs = memfs_create();
    put_key(fs, "rsa", EVP_RSA_gen(2048));
    put_key(fs, "other", EVP_RSA_gen(2048));
    put_key(fs, "ec256", EVP_EC_gen("P-256"));
    put_key(fs, "ec384", EVP_EC_gen("P-384"));
    put_key(fs, "ec521", EVP_EC_gen("P-521"));
    put_key(fs, "k1", EVP_EC_gen("secp256k1"));
    put_key(fs, "ed", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    memfs_put(fs, "junk", SLICE_LIT("garbage\n"));
    memfs_put(fs, "bad", SLICE_LIT("-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n"));
    memfs_put(fs, "empty", SLICE_NULL);
    memfs_put(fs, "hmac", SLICE_LIT("secret\n"));
    *state = fs;
    return 0;
}

static int tear_down(void **state)
{
    memfs_destroy(*state);
    return 0;
}

static struct auth_tokens *make(struct memfs *fs, const char *spec)
{
    struct auth_tokens *t = NULL;
    struct buf why = BUF_INIT;
    struct auth_tokens_options o = {.spec = spec, .disk = &fs->disk};
    if (auth_tokens_create(&o, &why, &t) != 0) {
        fail_msg("%s: %s", spec, buf_cstr(&why));
    }
    buf_deinit(&why);
    return t;
}

/* ---- what the flag takes; the texts are etcd 3.7.1's ---- */

static void test_refused(void **state)
{
    static const char OPTIONS[] = "auth: invalid auth options";
    static const char MISSING[] = "auth: missing key data";
    static const char NO_PEM[] = "invalid key: Key must be a PEM encoded PKCS1 or PKCS8 key";
    static const char USE_PKCS1[] = "x509: failed to parse private key (use ParsePKCS1PrivateKey "
                                    "instead for this key format)";
    static const char USE_EC[] = "x509: failed to parse private key (use ParseECPrivateKey instead "
                                 "for this key format)";
    static const struct {
        const char *spec;
        const char *why;
    } rows[] = {
        {"jwt", OPTIONS},
        {"jwt,", OPTIONS},
        {"bogus", OPTIONS},
        {",", OPTIONS},
        {"simple,a", OPTIONS},
        {"jwt,sign-method=XX,priv-key=rsa.pem", OPTIONS},
        {"jwt,sign-method=RS256,priv-key=missing", OPTIONS},
        {"jwt,sign-method=RS256,priv-key=rsa.pem,ttl=x", OPTIONS},
        {"jwt,sign-method=RS256,priv-key=rsa.pem,ttl=10", OPTIONS},
        {"jwt,sign-method=RS256,priv-key=rsa.pem,x", OPTIONS},
        {"jwt,sign-method=RS256,priv-key=rsa.pem,a=b=c", OPTIONS},
        {"jwt,sign-method=RS256,priv-key=rsa.pem,a=b,a=b", OPTIONS},
        {"jwt,sign-method=none,priv-key=rsa.pem",
         "unsupported signing method: *jwt.signingMethodNone"},
        {"jwt,sign-method=RS256", MISSING},
        {"jwt,sign-method=RS256,priv-key=empty", MISSING},
        {"jwt,sign-method=HS256,pub-key=hmac", MISSING},
        {"jwt,sign-method=HS256,priv-key=empty", MISSING},
        {"jwt,sign-method=RS256,priv-key=junk", NO_PEM},
        {"jwt,sign-method=RS256,pub-key=junk", NO_PEM},
        {"jwt,sign-method=RS256,priv-key=ec256.own", USE_EC},
        {"jwt,sign-method=RS256,priv-key=ec256.pem", "key is not a valid RSA private key"},
        {"jwt,sign-method=PS256,pub-key=ec256.pub", "key is not a valid RSA public key"},
        {"jwt,sign-method=RS256,pub-key=rsa.pub,priv-key=other.pem",
         "auth: public and private keys don't match"},
        {"jwt,sign-method=ES256,priv-key=rsa.pem", "key is not a valid ECDSA private key"},
        {"jwt,sign-method=ES256,priv-key=rsa.own", USE_PKCS1},
        {"jwt,sign-method=ES256,pub-key=rsa.pub", "key is not a valid ECDSA public key"},
        {"jwt,sign-method=EdDSA,priv-key=rsa.pem", "key is not a valid Ed25519 private key"},
        {"jwt,sign-method=EdDSA,priv-key=rsa.own", USE_PKCS1},
        {"jwt,sign-method=EdDSA,pub-key=rsa.pub", "key is not a valid Ed25519 public key"},
        /* Of these etcd shows the inside of Go's ASN.1 parser. */
        {"jwt,sign-method=ES256,priv-key=k1.pem", "x509: unsupported elliptic curve"},
        {"jwt,sign-method=RS256,priv-key=bad", "x509: failed to parse private key"},
        {"jwt,sign-method=RS256,priv-key=rsa.pub", "x509: failed to parse private key"},
        {"jwt,sign-method=RS256,pub-key=bad", "x509: failed to parse public key"},
        {"jwt,sign-method=RS256,pub-key=rsa.pem", "x509: failed to parse public key"},
    };
    struct memfs *fs = *state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf why = BUF_INIT;
        struct auth_tokens *t = NULL;
        struct auth_tokens_options o = {.spec = rows[i].spec, .disk = &fs->disk};
        assert_int_equal(auth_tokens_create(&o, &why, &t), ERR_INVALID);
        assert_null(t);
        if (strcmp(buf_cstr(&why), rows[i].why) != 0) {
            fail_msg("%s: %s", rows[i].spec, buf_cstr(&why));
        }
        buf_deinit(&why);
    }
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_accepted(void **state)
{
    static const char *const rows[] = {
        "jwt,sign-method=RS256,priv-key=rsa.own,pub-key=rsa.pub,ttl=-1s",
        "jwt,sign-method=RS256,priv-key=rsa.pem,ttl=,bogus=1",
        "jwt,sign-method=ES256,priv-key=ec384.pem",
        "jwt,sign-method=ES256,priv-key=ec256.own",
        "jwt,sign-method=EdDSA,pub-key=ed.pub",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        auth_tokens_destroy(make(*state, rows[i]));
    }
}

/* ---- tokens ---- */

static int look(struct auth_tokens *t, struct slice token, struct auth_now now,
                struct auth_identity *out)
{
    int err = auth_tokens_lookup(t, token, 99, now, out);
    auth_tokens_check(t);
    assert_int_equal(ERR_peek_error(), 0);
    return err;
}

static void check_golden(struct memfs *fs, const char *alg, const char *key, struct slice token)
{
    char spec[96];
    struct auth_identity id;
    bool is_hmac = alg[0] == 'H';
    memfs_put(fs, "key", slice_cstr(key));
    (void)snprintf(spec, sizeof(spec), "jwt,sign-method=%s,%s-key=key", alg,
                   is_hmac ? "priv" : "pub");
    struct auth_tokens *t = make(fs, spec);
    for (int i = 0; i < 2; i++) { /* verified, then known */
        assert_int_equal(look(t, token, NOW, &id), 0);
        assert_true(slice_equal_cstr(id.user, "al<i>ce"));
        assert_int_equal(id.revision, 7);
    }
    assert_int_equal(auth_tokens_count(t), 1);
    struct auth_now late = {0, NOW.wall_ms + 1000};
    assert_int_equal(look(t, token, late, &id), ERR_RPC_INVALID_AUTH_TOKEN);
    late.wall_ms++;
    auth_tokens_tick(t, late);
    assert_int_equal(auth_tokens_count(t), 0);
    assert_int_equal(look(t, token, late, &id), ERR_RPC_INVALID_AUTH_TOKEN);
    struct buf out = BUF_INIT;
    assert_int_equal(auth_tokens_sign(t, SLICE_LIT("x"), 1, 0, &out),
                     is_hmac ? 0 : ERR_RPC_VERIFY_ONLY);
    buf_deinit(&out);
    auth_tokens_destroy(t);
}

static void test_tokens_of_go(void **state)
{
    for (size_t i = 0; i < COUNT(GOLDEN_TOKENS); i++) {
        check_golden(*state, GOLDEN_TOKENS[i].alg, GOLDEN_TOKENS[i].key,
                     slice_cstr(GOLDEN_TOKENS[i].token));
    }
}

/* HMAC is the one method that gives the same bytes each time. */
static void test_signed_as_go(void **state)
{
    struct memfs *fs = *state;
    memfs_put(fs, "key", SLICE_LIT(GOLDEN_HMAC));
    struct buf out = BUF_INIT;
    struct auth_tokens *t = make(fs, "jwt,sign-method=HS256,priv-key=key,ttl=1m0.5s");
    assert_int_equal(auth_tokens_sign(t, SLICE_LIT("al<i>ce"), 7, 1999999939500, &out), 0);
    assert_string_equal(buf_cstr(&out), GOLDEN_TOKENS[0].token);
    buf_clear(&out); /* a millisecond earlier it is a second earlier */
    assert_int_equal(auth_tokens_sign(t, SLICE_LIT("al<i>ce"), 7, 1999999939499, &out), 0);
    assert_string_not_equal(buf_cstr(&out), GOLDEN_TOKENS[0].token);
    struct auth_now now = {0, INT64_C(1999999999000)};
    struct auth_identity id;
    assert_int_equal(look(t, buf_slice(&out), now, &id), ERR_RPC_INVALID_AUTH_TOKEN);
    now.wall_ms--;
    assert_int_equal(look(t, buf_slice(&out), now, &id), 0);
    buf_deinit(&out);
    auth_tokens_destroy(t);
}

/* Every byte changed, every prefix: nothing of it is valid, except where base64 has spare bits. */
static void spoil(struct auth_tokens *t, struct buf *token)
{
    struct auth_identity id;
    for (size_t len = 0; len < token->len; len++) {
        assert_int_not_equal(look(t, slice_make(token->data, len), NOW, &id), 0);
    }
    for (size_t i = 0; i + 1 < token->len; i++) {
        uint8_t old = token->data[i];
        token->data[i] = old == 'A' ? 'B' : 'A';
        if (i + 1 == token->len || token->data[i + 1] != '.') {
            assert_int_not_equal(look(t, buf_slice(token), NOW, &id), 0);
        }
        token->data[i] = old;
    }
    buf_append_cstr(token, ".");
    assert_int_not_equal(look(t, buf_slice(token), NOW, &id), 0);
}

static void test_round_trip(void **state)
{
    static const struct {
        const char *alg, *key;
    } rows[] = {
        {"HS256", "hmac"},      {"HS384", "hmac"},      {"HS512", "hmac"},
        {"RS256", "rsa.pem"},   {"RS384", "rsa.own"},   {"RS512", "rsa.pem"},
        {"PS256", "rsa.pem"},   {"PS384", "rsa.pem"},   {"PS512", "rsa.own"},
        {"ES256", "ec256.own"}, {"ES384", "ec384.pem"}, {"ES512", "ec521.pem"},
        {"EdDSA", "ed.pem"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char spec[96];
        struct buf token = BUF_INIT;
        struct auth_identity id;
        (void)snprintf(spec, sizeof(spec), "jwt,sign-method=%s,priv-key=%s", rows[i].alg,
                       rows[i].key);
        struct auth_tokens *t = make(*state, spec);
        assert_int_equal(auth_tokens_sign(t, SLICE_LIT("bob"), 1 << 20, NOW.wall_ms, &token), 0);
        assert_int_equal(look(t, buf_slice(&token), NOW, &id), 0);
        assert_true(slice_equal_cstr(id.user, "bob"));
        assert_int_equal(id.revision, 1 << 20);
        spoil(t, &token);
        assert_int_equal(auth_tokens_count(t), 1);
        auth_tokens_destroy(t);
        buf_deinit(&token);
    }
}

static void test_wrong_curve(void **state)
{
    struct buf out = BUF_INIT;
    struct auth_tokens *t = make(*state, "jwt,sign-method=ES256,priv-key=ec384.pem");
    assert_int_equal(auth_tokens_sign(t, SLICE_LIT("x"), 1, 0, &out), ERR_RPC_KEY_INVALID);
    assert_int_equal(out.len, 0);
    auth_tokens_destroy(t);
}

/* A token does not choose how it is checked: "none", or HMAC with the public key as the secret. */
static void test_algorithm_confusion(void **state)
{
    struct memfs *fs = *state;
    struct auth_tokens *rsa = make(fs, "jwt,sign-method=RS256,pub-key=rsa.pub");
    struct auth_tokens *hmac = make(fs, "jwt,sign-method=HS256,priv-key=rsa.pub");
    struct buf token = BUF_INIT;
    struct auth_identity id;
    assert_int_equal(auth_tokens_sign(hmac, SLICE_LIT("root"), 1, NOW.wall_ms, &token), 0);
    assert_int_equal(look(hmac, buf_slice(&token), NOW, &id), 0);
    assert_int_equal(look(rsa, buf_slice(&token), NOW, &id), ERR_RPC_INVALID_AUTH_TOKEN);
    buf_clear(&token);
    jwt_base64(&token, SLICE_LIT("{\"alg\":\"none\",\"typ\":\"JWT\"}"));
    buf_append_byte(&token, '.');
    jwt_base64(&token, SLICE_LIT("{\"username\":\"root\",\"revision\":1}"));
    buf_append_byte(&token, '.');
    assert_int_equal(look(rsa, buf_slice(&token), NOW, &id), ERR_RPC_INVALID_AUTH_TOKEN);
    assert_int_equal(look(hmac, buf_slice(&token), NOW, &id), ERR_RPC_INVALID_AUTH_TOKEN);
    buf_deinit(&token);
    auth_tokens_destroy(rsa);
    auth_tokens_destroy(hmac);
}

static void test_known_is_bounded(void **state)
{
    struct auth_tokens *t = make(*state, "jwt,sign-method=HS256,priv-key=hmac");
    struct buf token = BUF_INIT;
    struct auth_identity id;
    for (uint64_t i = 0; i < AUTH_JWT_KNOWN_MAX + 10; i++) {
        buf_clear(&token);
        assert_int_equal(auth_tokens_sign(t, SLICE_LIT("bob"), i, NOW.wall_ms, &token), 0);
        assert_int_equal(auth_tokens_lookup(t, buf_slice(&token), 0, NOW, &id), 0);
    }
    auth_tokens_check(t);
    assert_int_equal(auth_tokens_count(t), AUTH_JWT_KNOWN_MAX);
    auth_tokens_invalidate_user(t, SLICE_LIT("bob")); /* as etcd: a JWT outlives it */
    assert_int_equal(auth_tokens_lookup(t, buf_slice(&token), 0, NOW, &id), 0);
    buf_deinit(&token);
    auth_tokens_destroy(t);
}

/* ---- claims ---- */

static void test_claims(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool is_good;
        uint64_t revision, start_ms, expiry_ms;
    } rows[] = {
        {"{\"username\":\"a\",\"revision\":3,\"exp\":10}", true, 3, 0, 10000},
        {"{\"username\":\"a\",\"revision\":3}", true, 3, 0, UINT64_MAX},
        {"{\"username\":\"a\",\"revision\":3,\"exp\":0}", true, 3, 0, UINT64_MAX},
        {"{\"username\":\"a\",\"revision\":3,\"exp\":-5}", true, 3, 0, 0},
        {"{\"username\":\"a\",\"revision\":3,\"exp\":10.9,\"nbf\":2.9}", true, 3, 2000, 10000},
        {"{\"username\":\"a\",\"revision\":3.7,\"exp\":1e300}", true, 3, 0, 9000000000000000000u},
        {"{\"username\":\"a\",\"revision\":1e3,\"iat\":\"x\"}", true, 1000, 0, UINT64_MAX},
        {"{\"username\":\"b\",\"username\":\"a\",\"revision\":1,\"revision\":2}", true, 2, 0,
         UINT64_MAX},
        {" {\"aud\":[{}],\"username\":\"a\",\"revision\":3} ", true, 3, 0, UINT64_MAX},
        {"{\"username\":\"a\",\"revision\":3,\"exp\":\"10\"}", false, 0, 0, 0},
        {"{\"username\":\"a\",\"revision\":3,\"exp\":null}", false, 0, 0, 0},
        {"{\"username\":\"a\",\"revision\":3,\"nbf\":[]}", false, 0, 0, 0},
        {"{\"username\":\"a\",\"revision\":-1}", false, 0, 0, 0},
        {"{\"username\":\"a\",\"revision\":1e20}", false, 0, 0, 0},
        {"{\"username\":\"a\",\"revision\":1e999}", false, 0, 0, 0},
        {"{\"username\":\"a\",\"revision\":\"3\"}", false, 0, 0, 0},
        {"{\"username\":\"a\"}", false, 0, 0, 0},
        {"{\"Username\":\"a\",\"revision\":3}", false, 0, 0, 0},
        {"{\"username\":7,\"revision\":3}", false, 0, 0, 0},
        {"{\"username\":\"a\",\"username\":7,\"revision\":3}", false, 0, 0, 0},
        {"{\"revision\":3}", false, 0, 0, 0},
        {"null", false, 0, 0, 0},
        {"[]", false, 0, 0, 0},
        {"", false, 0, 0, 0},
        {"{\"username\":\"a\",\"revision\":3}x", false, 0, 0, 0},
    };
    struct jwt_claims c = {.user = BUF_INIT};
    for (size_t i = 0; i < COUNT(rows); i++) {
        c.revision = c.start_ms = c.expiry_ms = 0;
        if ((jwt_claims_parse(slice_cstr(rows[i].json), &c) == 0) != rows[i].is_good) {
            fail_msg("%s", rows[i].json);
        }
        assert_int_equal(c.revision, rows[i].revision);
        assert_int_equal(c.start_ms, rows[i].start_ms);
        assert_int_equal(c.expiry_ms, rows[i].expiry_ms);
        assert_true(!rows[i].is_good || slice_equal_cstr(buf_slice(&c.user), "a"));
    }
    buf_deinit(&c.user);
}

static void test_base64(void **state)
{
    (void)state;
    static const char *const bad[] = {"A", "AAAAA", "AA==", "A+AA", "A/AA", "A AA", "AA\n"};
    struct buf text = BUF_INIT, back = BUF_INIT;
    uint8_t bytes[67];
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        memset(bytes, (int)(255 - len), sizeof(bytes));
        buf_clear(&text);
        buf_clear(&back);
        jwt_base64(&text, slice_make(bytes, len));
        assert_int_equal(text.len, (len * 4 + 2) / 3);
        assert_int_equal(jwt_base64_decode(buf_slice(&text), &back), 0);
        assert_true(slice_equal(buf_slice(&back), slice_make(bytes, len)));
    }
    buf_clear(&back);
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(jwt_base64_decode(slice_cstr(bad[i]), &back), ERR_MALFORMED);
        assert_int_equal(back.len, 0);
    }
    buf_deinit(&text);
    buf_deinit(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),          cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_tokens_of_go),     cmocka_unit_test(test_signed_as_go),
        cmocka_unit_test(test_round_trip),       cmocka_unit_test(test_wrong_curve),
        cmocka_unit_test(test_known_is_bounded), cmocka_unit_test(test_algorithm_confusion),
        cmocka_unit_test(test_claims),           cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
