/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/jwt: see jwt.h.
 */
#include "auth/jwt.h"

#include <inttypes.h>
#include <openssl/crypto.h>

#include "base/json.h"

struct jwt {
    struct jwt_key key;
    struct buf secret; /* HMAC */
    int64_t ttl_ns;
    bool is_verify_only;
};

/* ---- life ---- */

static int refuse(struct buf *why, const char *text)
{
    buf_append_cstr(why, text);
    return ERR_INVALID;
}

static int load_secret(struct jwt *j, const struct jwt_options *opts, struct buf *why)
{
    if (opts->private_text.len == 0) {
        return refuse(why, "auth: missing key data");
    }
    buf_append_slice(&j->secret, opts->private_text);
    j->key.secret = buf_slice(&j->secret);
    return 0;
}

/* Both keys are parsed before they are compared: the first refusal is etcd's. */
static int load_pair(struct jwt *j, const struct jwt_options *opts, struct buf *why)
{
    EVP_PKEY *priv = NULL, *pub = NULL;
    enum jwt_family family = opts->method->family;
    int err = 0;
    if (opts->private_text.len > 0) {
        err = jwt_key_private(family, opts->private_text, why, &priv);
    }
    if (err == 0 && opts->public_text.len > 0) {
        err = jwt_key_public(family, opts->public_text, why, &pub);
    }
    if (err == 0 && priv == NULL && pub == NULL) {
        err = refuse(why, "auth: missing key data");
    }
    if (err == 0 && priv != NULL && pub != NULL && EVP_PKEY_eq(priv, pub) != 1) {
        err = refuse(why, "auth: public and private keys don't match");
    }
    if (err != 0) {
        EVP_PKEY_free(priv);
        EVP_PKEY_free(pub);
        return err;
    }
    j->is_verify_only = priv == NULL;
    j->key.pkey = priv != NULL ? priv : pub;
    if (priv != NULL) {
        EVP_PKEY_free(pub);
    }
    return 0;
}

int jwt_create(const struct jwt_options *opts, struct buf *why, struct jwt **out)
{
    struct jwt *j = mem_zalloc(sizeof(*j));
    j->key.method = opts->method;
    j->ttl_ns = opts->ttl_ns;
    int err = ERR_INVALID;
    switch (opts->method->family) {
    case JWT_HMAC: err = load_secret(j, opts, why); break;
    case JWT_RSA:
    case JWT_RSA_PSS:
    case JWT_ECDSA:
    case JWT_EDDSA: err = load_pair(j, opts, why); break;
    case JWT_NO_FAMILY:
        err = refuse(why, "unsupported signing method: *jwt.signingMethodNone");
        break;
    }
    if (err != 0) {
        jwt_destroy(j);
        return err;
    }
    *out = j;
    return 0;
}

void jwt_destroy(struct jwt *j)
{
    if (j == NULL) {
        return;
    }
    EVP_PKEY_free(j->key.pkey);
    if (j->secret.data != NULL) {
        OPENSSL_cleanse(j->secret.data, j->secret.cap);
    }
    buf_deinit(&j->secret);
    mem_free(j);
}

/* ---- a token is made ---- */

static void put_head(const struct jwt *j, struct buf *out)
{
    struct buf json = BUF_INIT;
    buf_printf(&json, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", j->key.method->name);
    jwt_base64(out, buf_slice(&json));
    buf_deinit(&json);
}

static int64_t seconds_of(int64_t ns)
{
    int64_t s = ns / 1000000000;
    return ns % 1000000000 < 0 ? s - 1 : s;
}

static void put_claims(const struct jwt *j, struct slice user, uint64_t revision, int64_t wall_ms,
                       struct buf *out)
{
    struct buf json = BUF_INIT;
    int64_t ms = wall_ms % 1000;
    int64_t exp =
        wall_ms / 1000 + seconds_of(j->ttl_ns % 1000000000 + ms * 1000000) + j->ttl_ns / 1000000000;
    buf_printf(&json, "{\"exp\":%" PRId64 ",\"revision\":%" PRIu64 ",\"username\":", exp, revision);
    json_put_go_string(&json, user);
    buf_append_byte(&json, '}');
    jwt_base64(out, buf_slice(&json));
    buf_deinit(&json);
}

int jwt_sign(const struct jwt *j, struct slice user, uint64_t revision, int64_t wall_ms,
             struct buf *out)
{
    if (j->is_verify_only) {
        return ERR_RPC_VERIFY_ONLY;
    }
    struct buf text = BUF_INIT, signature = BUF_INIT;
    put_head(j, &text);
    buf_append_byte(&text, '.');
    put_claims(j, user, revision, wall_ms, &text);
    int err = jwt_signature_make(&j->key, buf_slice(&text), &signature);
    if (err == 0) {
        buf_append_byte(&text, '.');
        jwt_base64(&text, buf_slice(&signature));
        buf_append_slice(out, buf_slice(&text));
    }
    buf_deinit(&text);
    buf_deinit(&signature);
    return err;
}

/* ---- a token is judged ---- */

struct parts {
    struct slice head, claims, signature;
    struct slice signed_text;
};

static bool split(struct slice token, struct parts *out)
{
    const uint8_t *first = token.len == 0 ? NULL : memchr(token.data, '.', token.len);
    if (first == NULL) {
        return false;
    }
    struct slice rest = slice_skip(token, (size_t)(first - token.data) + 1);
    const uint8_t *second = rest.len == 0 ? NULL : memchr(rest.data, '.', rest.len);
    if (second == NULL) {
        return false;
    }
    out->head = slice_make(token.data, (size_t)(first - token.data));
    out->claims = slice_make(rest.data, (size_t)(second - rest.data));
    out->signature = slice_skip(rest, (size_t)(second - rest.data) + 1);
    out->signed_text = slice_make(token.data, (size_t)(second - token.data));
    return out->signature.len == 0 || memchr(out->signature.data, '.', out->signature.len) == NULL;
}

static bool head_is_good(const struct jwt *j, struct slice part)
{
    struct buf json = BUF_INIT;
    bool is_good = jwt_base64_decode(part, &json) == 0 &&
                   jwt_header_names(buf_slice(&json), j->key.method->name);
    buf_deinit(&json);
    return is_good;
}

static bool signature_is_good(const struct jwt *j, const struct parts *p)
{
    struct buf signature = BUF_INIT;
    bool is_good = jwt_base64_decode(p->signature, &signature) == 0 &&
                   jwt_signature_is_good(&j->key, p->signed_text, buf_slice(&signature));
    buf_deinit(&signature);
    return is_good;
}

static bool claims_are_good(struct slice part, struct jwt_claims *out)
{
    struct buf json = BUF_INIT;
    bool is_good =
        jwt_base64_decode(part, &json) == 0 && jwt_claims_parse(buf_slice(&json), out) == 0;
    buf_deinit(&json);
    return is_good;
}

int jwt_verify(const struct jwt *j, struct slice token, struct jwt_claims *out)
{
    struct parts p;
    if (!split(token, &p) || !head_is_good(j, p.head) || !signature_is_good(j, &p) ||
        !claims_are_good(p.claims, out)) {
        return ERR_RPC_INVALID_AUTH_TOKEN;
    }
    return 0;
}
