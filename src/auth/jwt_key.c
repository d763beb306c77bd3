/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/jwt_key: keys of --auth-token out of PEM files, with the refusals of Go's x509 and
 * golang-jwt.
 *
 * As in Go the first PEM block counts and its name does not: the bytes are tried as the forms that
 * the family may have.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "auth/jwt.h"

struct block {
    char *name;
    char *header;
    unsigned char *data;
    long len;
};

static bool block_read(struct slice pem, struct block *out)
{
    *out = (struct block){0};
    ensure(pem.len <= INT32_MAX);
    BIO *b = BIO_new_mem_buf(pem.data, (int)pem.len);
    ensure(b != NULL);
    bool is_good = PEM_read_bio(b, &out->name, &out->header, &out->data, &out->len) == 1;
    BIO_free(b);
    return is_good;
}

static void block_free(struct block *b)
{
    OPENSSL_free(b->name);
    OPENSSL_free(b->header);
    if (b->data != NULL) {
        OPENSSL_cleanse(b->data, (size_t)b->len);
    }
    OPENSSL_free(b->data);
}

static const char *family_name(enum jwt_family family)
{
    return family == JWT_ECDSA ? "ECDSA" : family == JWT_EDDSA ? "Ed25519" : "RSA";
}

static int family_id(enum jwt_family family)
{
    return family == JWT_ECDSA   ? EVP_PKEY_EC
           : family == JWT_EDDSA ? EVP_PKEY_ED25519
                                 : EVP_PKEY_RSA;
}

/* Go knows the four curves of NIST. */
static bool is_known_curve(const EVP_PKEY *key)
{
    static const char *const NAMES[] = {"secp224r1", "prime256v1", "secp384r1", "secp521r1"};
    char name[32] = "";
    size_t len = 0;
    if (EVP_PKEY_get_group_name(key, name, sizeof(name), &len) != 1) {
        return false;
    }
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (strcmp(name, NAMES[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Takes key: to *out, or freed with the reason in why. */
static int accept(enum jwt_family family, const char *half, EVP_PKEY *key, struct buf *why,
                  EVP_PKEY **out)
{
    if (EVP_PKEY_get_base_id(key) != family_id(family)) {
        buf_printf(why, "key is not a valid %s %s key", family_name(family), half);
    } else if (family == JWT_ECDSA && !is_known_curve(key)) {
        buf_append_cstr(why, "x509: unsupported elliptic curve");
    } else {
        *out = key;
        return 0;
    }
    EVP_PKEY_free(key);
    return ERR_INVALID;
}

/* ---- private ---- */

static EVP_PKEY *from_pkcs8(const struct block *b)
{
    const unsigned char *at = b->data;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, b->len);
    EVP_PKEY *key = info == NULL ? NULL : EVP_PKCS82PKEY(info);
    PKCS8_PRIV_KEY_INFO_free(info);
    return key;
}

/* PKCS1 or SEC 1. */
static EVP_PKEY *from_own_form(int id, const struct block *b)
{
    const unsigned char *at = b->data;
    return d2i_PrivateKey(id, NULL, &at, b->len);
}

static int private_of(enum jwt_family family, const struct block *b, struct buf *why,
                      EVP_PKEY **out)
{
    EVP_PKEY *key = from_pkcs8(b);
    if (key != NULL) {
        return accept(family, "private", key, why, out);
    }
    EVP_PKEY *rsa = from_own_form(EVP_PKEY_RSA, b);
    EVP_PKEY *ec = rsa == NULL ? from_own_form(EVP_PKEY_EC, b) : NULL;
    if (rsa != NULL && family_id(family) == EVP_PKEY_RSA) {
        return accept(family, "private", rsa, why, out);
    }
    if (ec != NULL && family == JWT_ECDSA) {
        return accept(family, "private", ec, why, out);
    }
    buf_append_cstr(why, "x509: failed to parse private key");
    if (rsa != NULL || ec != NULL) {
        buf_printf(why, " (use %s instead for this key format)",
                   rsa != NULL ? "ParsePKCS1PrivateKey" : "ParseECPrivateKey");
    }
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    return ERR_INVALID;
}

int jwt_key_private(enum jwt_family family, struct slice pem, struct buf *why, EVP_PKEY **out)
{
    struct block b;
    int err = ERR_INVALID;
    if (block_read(pem, &b)) {
        err = private_of(family, &b, why, out);
    } else {
        buf_append_cstr(why, "invalid key: Key must be a PEM encoded PKCS1 or PKCS8 key");
    }
    block_free(&b);
    ERR_clear_error();
    return err;
}

/* ---- public ---- */

static EVP_PKEY *from_certificate(const struct block *b)
{
    const unsigned char *at = b->data;
    X509 *cert = d2i_X509(NULL, &at, b->len);
    EVP_PKEY *key = cert == NULL ? NULL : X509_get_pubkey(cert);
    X509_free(cert);
    return key;
}

static EVP_PKEY *public_key(enum jwt_family family, const struct block *b)
{
    const unsigned char *at = b->data;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, b->len);
    if (key == NULL && family != JWT_EDDSA) {
        key = from_certificate(b);
    }
    if (key == NULL && family_id(family) == EVP_PKEY_RSA) {
        at = b->data;
        key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, b->len);
    }
    return key;
}

int jwt_key_public(enum jwt_family family, struct slice pem, struct buf *why, EVP_PKEY **out)
{
    struct block b;
    int err = ERR_INVALID;
    if (!block_read(pem, &b)) {
        buf_append_cstr(why, "invalid key: Key must be a PEM encoded PKCS1 or PKCS8 key");
    } else {
        EVP_PKEY *key = public_key(family, &b);
        if (key == NULL) {
            buf_append_cstr(why, "x509: failed to parse public key");
        } else {
            err = accept(family, "public", key, why, out);
        }
    }
    block_free(&b);
    ERR_clear_error();
    return err;
}
