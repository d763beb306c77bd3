/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/jwt_signature: the methods of golang-jwt over OpenSSL.
 */
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "auth/jwt.h"

enum { SIGNATURE_MAX = 4096 }; /* RSA keys of 32768 bits */

static const struct jwt_method METHODS[] = {
    {"HS256", JWT_HMAC, EVP_sha256, 0, 0},     {"HS384", JWT_HMAC, EVP_sha384, 0, 0},
    {"HS512", JWT_HMAC, EVP_sha512, 0, 0},     {"RS256", JWT_RSA, EVP_sha256, 0, 0},
    {"RS384", JWT_RSA, EVP_sha384, 0, 0},      {"RS512", JWT_RSA, EVP_sha512, 0, 0},
    {"PS256", JWT_RSA_PSS, EVP_sha256, 0, 0},  {"PS384", JWT_RSA_PSS, EVP_sha384, 0, 0},
    {"PS512", JWT_RSA_PSS, EVP_sha512, 0, 0},  {"ES256", JWT_ECDSA, EVP_sha256, 32, 256},
    {"ES384", JWT_ECDSA, EVP_sha384, 48, 384}, {"ES512", JWT_ECDSA, EVP_sha512, 66, 521},
    {"EdDSA", JWT_EDDSA, NULL, 0, 0},          {"none", JWT_NO_FAMILY, NULL, 0, 0},
};

const struct jwt_method *jwt_method_find(struct slice name)
{
    for (size_t i = 0; i < sizeof(METHODS) / sizeof(METHODS[0]); i++) {
        if (slice_equal_cstr(name, METHODS[i].name)) {
            return &METHODS[i];
        }
    }
    return NULL;
}

/* ---- HMAC ---- */

static size_t hmac(const struct jwt_key *key, struct slice text, uint8_t out[EVP_MAX_MD_SIZE])
{
    unsigned len = 0;
    ensure(key->secret.len <= INT32_MAX);
    ensure(HMAC(key->method->digest(), key->secret.data, (int)key->secret.len, text.data, text.len,
                out, &len) != NULL);
    return len;
}

static bool hmac_is_good(const struct jwt_key *key, struct slice text, struct slice signature)
{
    uint8_t want[EVP_MAX_MD_SIZE];
    size_t len = hmac(key, text, want);
    return signature.len == len && CRYPTO_memcmp(signature.data, want, len) == 0;
}

/* ---- ECDSA: OpenSSL speaks DER, JWT r and s side by side ---- */

static bool ecdsa_from_der(const struct jwt_method *m, const uint8_t *der, size_t len,
                           struct buf *out)
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
    if (sig == NULL) {
        return false;
    }
    uint8_t *at = buf_extend(out, 2 * m->part_bytes);
    int n = (int)m->part_bytes;
    bool is_good = BN_bn2binpad(ECDSA_SIG_get0_r(sig), at, n) == n &&
                   BN_bn2binpad(ECDSA_SIG_get0_s(sig), at + n, n) == n;
    ECDSA_SIG_free(sig);
    return is_good;
}

/* The length in *out; 0 when the signature has not the method's length. */
static size_t ecdsa_to_der(const struct jwt_method *m, struct slice signature,
                           uint8_t out[SIGNATURE_MAX])
{
    if (signature.len != 2 * m->part_bytes) {
        return 0;
    }
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature.data, (int)m->part_bytes, NULL);
    BIGNUM *s = BN_bin2bn(signature.data + m->part_bytes, (int)m->part_bytes, NULL);
    ensure(sig != NULL && r != NULL && s != NULL);
    ensure(ECDSA_SIG_set0(sig, r, s) == 1);
    int len = i2d_ECDSA_SIG(sig, &out);
    ECDSA_SIG_free(sig);
    return len > 0 ? (size_t)len : 0;
}

/* ---- all with a key pair ---- */

/* PSS as golang-jwt: made with a salt as long as the digest, taken with any. */
static bool set_padding(const struct jwt_method *m, EVP_PKEY_CTX *ctx, int salt_len)
{
    return m->family != JWT_RSA_PSS ||
           (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt_len) > 0);
}

static const EVP_MD *digest_of(const struct jwt_method *m)
{
    return m->digest == NULL ? NULL : m->digest();
}

/* The signature in OpenSSL's form; 0 when OpenSSL refuses. */
static size_t pkey_sign(const struct jwt_key *key, struct slice text, uint8_t out[SIGNATURE_MAX])
{
    size_t len = SIGNATURE_MAX;
    EVP_PKEY_CTX *params = NULL; /* belongs to ctx */
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    ensure(ctx != NULL);
    bool is_good = EVP_DigestSignInit(ctx, &params, digest_of(key->method), NULL, key->pkey) == 1 &&
                   set_padding(key->method, params, RSA_PSS_SALTLEN_DIGEST) &&
                   EVP_DigestSign(ctx, out, &len, text.data, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    return is_good ? len : 0;
}

static bool pkey_verify(const struct jwt_key *key, struct slice text, const uint8_t *signature,
                        size_t len)
{
    EVP_PKEY_CTX *params = NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    ensure(ctx != NULL);
    bool is_good =
        EVP_DigestVerifyInit(ctx, &params, digest_of(key->method), NULL, key->pkey) == 1 &&
        set_padding(key->method, params, RSA_PSS_SALTLEN_AUTO) &&
        EVP_DigestVerify(ctx, signature, len, text.data, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    return is_good;
}

int jwt_signature_make(const struct jwt_key *key, struct slice text, struct buf *out)
{
    const struct jwt_method *m = key->method;
    uint8_t bytes[SIGNATURE_MAX];
    if (m->family == JWT_HMAC) {
        buf_append(out, bytes, hmac(key, text, bytes));
        return 0;
    }
    if (m->family == JWT_ECDSA && EVP_PKEY_get_bits(key->pkey) != m->curve_bits) {
        return ERR_RPC_KEY_INVALID;
    }
    size_t len = EVP_PKEY_get_size(key->pkey) <= SIGNATURE_MAX ? pkey_sign(key, text, bytes) : 0;
    bool is_good = len > 0;
    if (is_good && m->family == JWT_ECDSA) {
        is_good = ecdsa_from_der(m, bytes, len, out);
    } else if (is_good) {
        buf_append(out, bytes, len);
    }
    ERR_clear_error();
    return is_good ? 0 : ERR_IO;
}

bool jwt_signature_is_good(const struct jwt_key *key, struct slice text, struct slice signature)
{
    const struct jwt_method *m = key->method;
    if (m->family == JWT_HMAC) {
        return hmac_is_good(key, text, signature);
    }
    uint8_t der[SIGNATURE_MAX];
    const uint8_t *bytes = signature.data;
    size_t len = signature.len;
    if (m->family == JWT_ECDSA) {
        bytes = der;
        len = ecdsa_to_der(m, signature, der);
    }
    bool is_good = len > 0 && pkey_verify(key, text, bytes, len);
    ERR_clear_error(); /* what a client sent must not be found by the next user of TLS */
    return is_good;
}
