/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/token: what a client shows after it has logged in: simple tokens and JWT.
 *
 * Problem     A simple token lives only in the memory of every member: each assigns the same text
 *             to the same user when it applies the login entry. A JWT is signed by the member that
 *             was asked and carries user, revision and expiry itself; nobody remembers it.
 * Design      One struct for the kinds of --auth-token: "simple" (default), "jwt,sign-method=..,
 *             pub-key=..,priv-key=..,ttl=.." and "" (nothing is ever valid). Simple: text "<16
 *             letters>.<decimal raft index>"; a table text -> user, and a list in order of expiry
 *             (each use moves to the end: the TTL is the same for all). JWT: what verified is
 *             remembered for a while, by text, so that a signature is checked once and not with
 *             every request.
 * Invariants  I1 disabled: no simple token exists. I2 the list and the table hold the same tokens.
 * Ownership   Names and tokens are copied in; slices handed out say how long they live.
 * Thread      main loop; auth_tokens_sign: any (keys do not change after create).
 * Limits      AUTH_TOKENS_MAX simple tokens (then the one nearest to its expiry goes),
 *             AUTH_JWT_KNOWN_MAX remembered JWTs, AUTH_TOKEN_BYTES_MAX bytes a token.
 * Failure     As etcd's texts, see each function.
 * See         client-api 2.6.3, 2.6.5; peer-protocol 4.8 (authenticate).
 */
#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "env/env.h"

enum {
    AUTH_TOKENS_MAX = 1 << 20,
    AUTH_JWT_KNOWN_MAX = 4096,
    AUTH_TOKEN_BYTES_MAX = 16384,
    AUTH_TOKEN_PREFIX_LEN = 16,
    AUTH_TOKEN_TICK_MS = 1000, /* interval of the caller's ticks, as etcd's */
};

enum auth_token_kind { AUTH_TOKEN_SIMPLE, AUTH_TOKEN_JWT, AUTH_TOKEN_NONE };

struct auth_tokens;

/* Both clocks at one moment: simple tokens count mono_ms, JWT's exp is wall time. */
struct auth_now {
    uint64_t mono_ms;
    int64_t wall_ms; /* since the epoch */
};

struct auth_tokens_options {
    const char *spec;      /* text of --auth-token */
    uint64_t ttl_s;        /* --auth-token-ttl: simple tokens; 0 = 300 */
    struct env_disk *disk; /* key files of jwt are read once, in create */
    uint64_t
        hash_seed; /* clients choose the texts they ask for: a secret spreads them; 0 in tests */
};

/* ERR_INVALID (spec, as etcd's "auth: invalid auth options" and its like) or an error of the disk;
 * why gets a sentence that names the option or file. */
MUST_USE int auth_tokens_create(const struct auth_tokens_options *opts, struct buf *why,
                                struct auth_tokens **out);
void auth_tokens_destroy(struct auth_tokens *t);
enum auth_token_kind auth_tokens_kind(const struct auth_tokens *t);

/* Authentication is switched on or off (or found on at start): off forgets every simple token. */
void auth_tokens_enable(struct auth_tokens *t);
void auth_tokens_disable(struct auth_tokens *t);

/* ---- a login ---- */

/* The random part of a simple token, by the member that proposes the login; JWT, none: empty.
 * Appended to out. */
void auth_tokens_prefix(struct auth_tokens *t, struct env_rand *rand, struct buf *out);
/* When the login's entry is applied, on every member: text = prefix "." index (the entry's index
 * minus 1), appended to out.  Simple tokens become valid (unless disabled); a text that is there
 * already takes the new user.  JWT and none: nothing happens and nothing is appended. */
void auth_tokens_assign(struct auth_tokens *t, struct slice prefix, uint64_t index,
                        struct slice user, uint64_t now_ms, struct buf *out);
/* JWT only, by the member that was asked, on any thread: appended to out.
 * ERR_RPC_VERIFY_ONLY (a public key only: UNKNOWN "auth: token signing attempted with verify-only
 * key"), ERR_RPC_AUTH_FAILED (kind none), ERR_IO (OpenSSL refused). */
MUST_USE int auth_tokens_sign(const struct auth_tokens *t, struct slice user, uint64_t revision,
                              int64_t wall_ms, struct buf *out);

/* ---- every request ---- */

/* The raft index behind the dot of a simple token: the member must have applied it before it can
 * judge.  False: not of a simple token's shape, or another kind. */
bool auth_tokens_index(const struct auth_tokens *t, struct slice token, uint64_t *out_index);

struct auth_identity {
    struct slice user; /* borrowed: until the next call that changes tokens */
    uint64_t revision; /* of a simple token: the one that was passed in; of a JWT: its claim */
};

/* Whose it is; a simple token's life begins anew.  ERR_RPC_INVALID_AUTH_TOKEN.
 * The caller has stripped "Bearer ". */
MUST_USE int auth_tokens_lookup(struct auth_tokens *t, struct slice token, uint64_t revision,
                                struct auth_now now, struct auth_identity *out);

/* ---- ends ---- */

/* The user was deleted or has a new password: its simple tokens go (JWTs stay valid, as etcd's). */
void auth_tokens_invalidate_user(struct auth_tokens *t, struct slice user);
/* Drops what has expired. */
void auth_tokens_tick(struct auth_tokens *t, struct auth_now now);
size_t auth_tokens_count(const struct auth_tokens *t);
void auth_tokens_check(const struct auth_tokens *t);

#endif
