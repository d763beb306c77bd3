/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/record: users and roles as they stand in the buckets authUsers and authRoles.  Private to
 * auth.
 *
 *     User  1 name, 2 password (the bcrypt text), 3 roles, repeated, sorted, 4 options {1
 * no_password} Role  1 name, 2 permissions, repeated, sorted by key {1 type, 2 key, 3 range_end}
 *
 * Invariants  I1 encoding gives etcd's bytes: ascending numbers, empty fields left out; options are
 *             there, possibly empty, with every user that a release since 3.4 has made.
 * Ownership   Records own their bytes: texts by mem_alloc, with a zero byte behind the end.
 * Thread      any.
 * Failure     ERR_MALFORMED, ERR_TRUNCATED; what was decoded is given back. Memory is bounded by a
 *             multiple of the record's length.
 * See         storage-formats 2.1; test/unit/auth/record_test.c, test/fuzz/auth_record_fuzz.c.
 */
#ifndef AUTH_RECORD_H
#define AUTH_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum auth_perm_type { AUTH_PERM_READ = 0, AUTH_PERM_WRITE = 1, AUTH_PERM_READWRITE = 2 };

struct auth_perm {
    int32_t type; /* enum auth_perm_type; an unknown one is kept and permits nothing */
    struct slice key;
    struct slice range_end; /* empty: the key alone; one zero byte: no end */
};

struct auth_role {
    struct slice name;
    struct auth_perm *perms;
    size_t perm_count;
};

struct auth_user {
    struct slice name;
    struct slice password;
    struct slice *roles;
    size_t role_count;
    bool has_options;
    bool no_password;
};

/* A copy of our own, a zero byte behind it. */
struct slice auth_text(struct slice s);
void auth_text_free(struct slice *s);

void auth_user_encode(const struct auth_user *u, struct buf *out);
MUST_USE int auth_user_decode(struct slice in, struct auth_user *out);
void auth_user_deinit(struct auth_user *u);
/* Where the role stands, or where it would stand. */
size_t auth_user_role_at(const struct auth_user *u, struct slice role);
bool auth_user_has_role(const struct auth_user *u, struct slice role);
void auth_user_role_add(struct auth_user *u, struct slice role);
/* All that have this name; how many they were. */
size_t auth_user_role_remove(struct auth_user *u, struct slice role);

void auth_role_encode(const struct auth_role *r, struct buf *out);
MUST_USE int auth_role_decode(struct slice in, struct auth_role *out);
void auth_role_deinit(struct auth_role *r);
/* As etcd: only the first permission with this key is looked at; it takes the type if it has the
 * same end, else another one comes behind all of that key. */
void auth_role_perm_add(struct auth_role *r, const struct auth_perm *p);
size_t auth_role_perm_remove(struct auth_role *r, struct slice key, struct slice range_end);

/* The message inside field 2 of a role, as RoleGet and RoleGrantPermission have it too. */
void auth_perm_encode(const struct auth_perm *p, struct buf *out);
/* Slices into the input. */
MUST_USE int auth_perm_decode(struct slice in, struct auth_perm *out);

#endif
