/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/password: bcrypt, as Go's golang.org/x/crypto/bcrypt does it.
 *
 * Thread      any (work lane: a check takes tens of milliseconds at the default cost).
 * Failure     A hash from a file or an entry is bytes from outside: what does not parse matches
 *             nothing.  Passwords with a NUL character are the one thing that differs from Go.
 * See         client-api 2.6.2; test/unit/auth/password_test.c.
 */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum {
    AUTH_HASH_LEN = 60, /* "$2a$10$" + 22 of salt + 31 of digest */
    AUTH_SALT_BYTES = 16,
    AUTH_PASSWORD_MAX = 72,
    AUTH_BCRYPT_COST_MIN = 4,
    AUTH_BCRYPT_COST_MAX = 31,
    AUTH_BCRYPT_COST_DEFAULT = 10,
};

/* The hash's text, "$2a$" like Go's, no NUL.  salt: random, of the caller's env.  cost within MIN
 * and MAX (ensured).  ERR_RPC_PASSWORD_TOO_LONG (UNKNOWN "bcrypt: password length exceeds 72
 * bytes"), ERR_RPC_PASSWORD_NUL (Go hashes a NUL character, libcrypt ends there: refused rather
 * than shortened in silence). */
MUST_USE int auth_password_hash(struct slice password, unsigned cost,
                                const uint8_t salt[AUTH_SALT_BYTES], char out[AUTH_HASH_LEN]);
/* Whether password has this hash. Takes the cost the hash names: above AUTH_BCRYPT_COST_MAX it does
 * not match.  Of a password only the first AUTH_PASSWORD_MAX bytes count; one with a NUL in them
 * matches nothing. */
bool auth_password_verify(struct slice hash, struct slice password);

#endif
