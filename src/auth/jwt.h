/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/jwt: signed tokens (RFC 7519) as etcd makes and takes them (private to auth).
 *
 * A token is three parts in base64url with dots between: header {"alg","typ"}, claims
 * {"exp","revision","username"}, signature over the first two.  What comes from outside is checked
 * in this order: shape, algorithm (the configured one and no other), signature, claims, times. The
 * rules are those of golang-jwt v5, which etcd 3.6 and 3.7 use: no exp and an exp of 0 never
 * expire, nbf counts, iat does not, keys are matched exactly, the last of equal keys wins.
 *
 * Thread      any: nothing changes after jwt_create.
 * Failure     Every refusal of a token is ERR_RPC_INVALID_AUTH_TOKEN.
 */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/err.h"
#include "env/env.h"

enum jwt_family { JWT_HMAC, JWT_RSA, JWT_RSA_PSS, JWT_ECDSA, JWT_EDDSA, JWT_NO_FAMILY };

struct jwt_method {
    const char *name;
    enum jwt_family family;
    const EVP_MD *(*digest)(void);
    size_t part_bytes; /* ECDSA: of r, of s */
    int curve_bits;    /* ECDSA */
};

/* NULL: golang-jwt has no method of this name. */
const struct jwt_method *jwt_method_find(struct slice name);

/* Values of --auth-token's parameters; empty when absent. */
struct jwt_options {
    const struct jwt_method *method;
    int64_t ttl_ns;
    struct slice private_text; /* contents of the files */
    struct slice public_text;
};

struct jwt;

/* ERR_INVALID: why has etcd's text. */
MUST_USE int jwt_create(const struct jwt_options *opts, struct buf *why, struct jwt **out);
void jwt_destroy(struct jwt *j);

MUST_USE int jwt_sign(const struct jwt *j, struct slice user, uint64_t revision, int64_t wall_ms,
                      struct buf *out);

struct jwt_claims {
    struct buf user;
    uint64_t revision;
    uint64_t start_ms;  /* valid from, wall clock */
    uint64_t expiry_ms; /* valid before; UINT64_MAX = for ever */
};

/* The signature is good and the claims have etcd's types.  Whether it is time is the caller's
 * question: start_ms <= now < expiry_ms.  out->user is cleared first, and good only on success. */
MUST_USE int jwt_verify(const struct jwt *j, struct slice token, struct jwt_claims *out);

/* ---- parts, for the files of this folder ---- */

void jwt_base64(struct buf *out, struct slice s);
MUST_USE int jwt_base64_decode(struct slice s, struct buf *out);
/* Claims in JSON; ERR_MALFORMED for anything but numbers and a name where etcd wants them. */
MUST_USE int jwt_claims_parse(struct slice json, struct jwt_claims *out);
/* Whether the header names this algorithm. */
bool jwt_header_names(struct slice json, const char *alg);

/* A key out of PEM text.  ERR_INVALID: why has Go's text, or one in its style where Go shows its
 * ASN.1 parser's inside. */
MUST_USE int jwt_key_private(enum jwt_family family, struct slice pem, struct buf *why,
                             EVP_PKEY **out);
MUST_USE int jwt_key_public(enum jwt_family family, struct slice pem, struct buf *why,
                            EVP_PKEY **out);

/* Signatures over text.  key: of the method's family, NULL for HMAC, whose secret is bytes. */
struct jwt_key {
    const struct jwt_method *method;
    EVP_PKEY *pkey;
    struct slice secret;
};

/* Appends the signature.  ERR_RPC_KEY_INVALID (a curve of another size), ERR_IO (OpenSSL). */
MUST_USE int jwt_signature_make(const struct jwt_key *key, struct slice text, struct buf *out);
bool jwt_signature_is_good(const struct jwt_key *key, struct slice text, struct slice signature);

#endif
