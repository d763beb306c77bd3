/* SPDX-License-Identifier: Apache-2.0
 *
 * service/verified: passwords that were right a moment ago.  Private to service.
 *
 * Problem     bcrypt takes tens of milliseconds of a core, on purpose; clients that come and go log
 *             in with the same password again and again.
 * Design      A bounded set of keyed digests over user, hash, auth revision and password: what the
 *             set has was checked with bcrypt under this revision. Any change of users or roles
 *             makes all of it stale. The key never leaves the process; no password is kept.
 * Limits      VERIFIED_MAX; the oldest gives way.
 * Thread      main loop.
 */
#ifndef SERVICE_VERIFIED_H
#define SERVICE_VERIFIED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/slice.h"

enum { VERIFIED_MAX = 256, VERIFIED_KEY_BYTES = 32 };

struct verified {
    uint8_t key[VERIFIED_KEY_BYTES]; /* random, set by the owner */
    uint8_t digests[VERIFIED_MAX][SHA256_BYTES];
    size_t count;
    size_t next; /* where the next one goes */
};

struct verified_login {
    struct slice user;
    struct slice hash;
    struct slice password;
    uint64_t revision; /* of auth */
};

bool verified_has(const struct verified *v, const struct verified_login *l);
void verified_add(struct verified *v, const struct verified_login *l);

#endif
