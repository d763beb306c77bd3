/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/auth: users, roles and what they permit: the replicated state of authentication.
 *
 * Problem     Every member must come to the same users, roles and revision from the same entries,
 *             in the bytes that etcd writes; and every request asks whether it may.
 * Design      All users and roles are in memory, in byte order of their names; a change writes its
 *             records through the backend, as all applied changes do. The permissions of a user are
 *             merged into intervals (auth/ranges) when he is asked for the first time after a
 *             change. Who asks is a struct auth_who: a name and the auth revision under which it
 *             was found. auth_identify makes it of a token or a certificate's name; in an entry it
 *             stands in the header. Tokens (auth/token) are this member's memory, not state; the
 *             store tells them of logins, new passwords, deleted users, on and off.
 * Invariants  I1 the revision only grows, by one with each change of users, roles or permissions.
 *             I2 a change that is refused writes nothing.
 * Ownership   Names are copied in. Slices handed out live until the next change.
 * Thread      load: any, before the store is used; the rest: main loop.
 * Failure     ERR_RPC_* as client-api 2.6.2; ERR_CORRUPT of a record that cannot be read.
 * See         client-api 2.6; peer-protocol 4.8, 4.9; storage-formats 2.1; test/unit/auth.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "auth/token.h"
#include "backend/backend.h"
#include "schema/schema.h"

#define AUTH_ROOT "root" /* the user, and the role */

struct auth_store;

/* tokens: outlives the store; NULL: there are none, and nobody can log in. */
struct auth_store *auth_store_create(struct backend *backend, struct auth_tokens *tokens);
void auth_store_destroy(struct auth_store *a);
/* Users, roles, revision and whether it is on.  ERR_CORRUPT: out_bucket says where. */
MUST_USE int auth_store_load(struct auth_store *a, struct bolt_tx *tx, const char **out_bucket);
/* The store is in use from now on: tokens are switched on or off; a file without a revision gets
 * the first, which etcd's members have from the start. */
void auth_store_begin(struct auth_store *a);

bool auth_is_enabled(const struct auth_store *a);
uint64_t auth_revision(const struct auth_store *a);
/* NULL: there are none. */
struct auth_tokens *auth_store_tokens(const struct auth_store *a);

/* ---- who asks ---- */

/* What a call brought.  data NULL: it did not. */
struct auth_caller {
    struct slice token; /* "Bearer " may stand before it */
    struct slice
        common_name; /* of the verified certificate, where that counts (2.6.3); may be "" */
    int64_t wall_ms; /* when it came */
};

struct auth_who {
    struct slice user; /* borrowed of the caller or of the tokens */
    uint64_t revision; /* 0: nobody */
    bool is_known;     /* a token or a certificate named him */
};

/* Without "Bearer "; data NULL: none. */
struct slice auth_token_of(const struct auth_caller *caller);
/* ERR_RPC_INVALID_AUTH_TOKEN.  caller NULL: nobody. */
MUST_USE int auth_identify(const struct auth_store *a, const struct auth_caller *caller,
                           uint64_t now_ms, struct auth_who *out);

/* ---- may he?  0, or why not; everybody may while it is off ---- */

/* Has the role root: ERR_RPC_USER_EMPTY, _USER_NOT_FOUND, _PERMISSION_DENIED. */
MUST_USE int auth_check_root(const struct auth_store *a, const struct auth_who *who);
/* Is somebody: ERR_RPC_USER_EMPTY. */
MUST_USE int auth_check_known(const struct auth_store *a, const struct auth_who *who);
/* Keys, all of them: ERR_RPC_USER_EMPTY, _AUTH_OLD_REVISION, _PERMISSION_DENIED. */
MUST_USE int auth_check_read(struct auth_store *a, const struct auth_who *who, struct slice key,
                             struct slice range_end);
MUST_USE int auth_check_write(struct auth_store *a, const struct auth_who *who, struct slice key,
                              struct slice range_end);

/* ---- users and roles, as they are ---- */

/* In order of their names. */
size_t auth_user_count(const struct auth_store *a);
struct slice auth_user_name_at(const struct auth_store *a, size_t i);
size_t auth_role_count(const struct auth_store *a);
struct slice auth_role_name_at(const struct auth_store *a, size_t i);
bool auth_has_role(const struct auth_store *a, struct slice user, struct slice role);
/* 2: his roles, as fields of the response.  ERR_RPC_USER_NOT_FOUND; out NULL: asked only whether.
 */
MUST_USE int auth_user_get(const struct auth_store *a, struct slice name, struct buf *out);
/* 2: its permissions; of root: all keys.  ERR_RPC_ROLE_NOT_FOUND. */
MUST_USE int auth_role_get(const struct auth_store *a, struct slice name, struct buf *out);

/* What a login is checked against.  ERR_RPC_AUTH_NOT_ENABLED, _AUTH_FAILED (no such user),
 * _NO_PASSWORD_USER. */
MUST_USE int auth_password_of(const struct auth_store *a, struct slice name,
                              struct slice *out_hash);

/* ---- replicated changes (applied entries); etcd's checks in etcd's order ---- */

MUST_USE int auth_enable(struct auth_store *a);
void auth_disable(struct auth_store *a);
/* A login whose password was checked by who proposed it; index: of the entry, minus 1.  The token
 * is appended to out: nothing with a JWT, which the member that was asked signs. */
MUST_USE int auth_login(struct auth_store *a, struct slice name, struct slice prefix,
                        uint64_t index, uint64_t now_ms, struct buf *out);

/* What stands in an entry for a new password: the hash in base64; or, in entries of before 3.5, the
 * password itself, which is hashed here. */
struct auth_new_password {
    struct slice hashed;
    struct slice plain;
};

MUST_USE int auth_user_add(struct auth_store *a, struct slice name, bool no_password,
                           const struct auth_new_password *p);
MUST_USE int auth_user_delete(struct auth_store *a, struct slice name);
MUST_USE int auth_user_change_password(struct auth_store *a, struct slice name,
                                       const struct auth_new_password *p);
MUST_USE int auth_user_grant(struct auth_store *a, struct slice name, struct slice role);
MUST_USE int auth_user_revoke(struct auth_store *a, struct slice name, struct slice role);
MUST_USE int auth_role_add(struct auth_store *a, struct slice name);
MUST_USE int auth_role_delete(struct auth_store *a, struct slice name);

/* An authpb.Permission as it came; SLICE_NULL: there was none. */
MUST_USE int auth_role_grant(struct auth_store *a, struct slice name, struct slice perm);
MUST_USE int auth_role_revoke(struct auth_store *a, struct slice name, struct slice key,
                              struct slice range_end);

/* An authpb.Permission in the form that etcd writes, appended. ERR_MALFORMED. */
MUST_USE int auth_perm_plain(struct slice perm, struct buf *out);

void auth_store_check(const struct auth_store *a);

#endif
