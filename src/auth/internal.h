/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/internal: the store's state.  Private to auth.
 */
#ifndef AUTH_INTERNAL_H
#define AUTH_INTERNAL_H

#include "auth/auth.h"
#include "auth/ranges.h"
#include "auth/record.h"

/* A user and what he may touch; the sets are of the store's change number `made`. */
struct auth_account {
    struct auth_user user;
    struct auth_ranges read;
    struct auth_ranges write;
    uint64_t made; /* 0: not made */
};

struct auth_store {
    struct backend *backend;
    struct auth_tokens *tokens;
    struct auth_account **accounts; /* by name */
    size_t account_count;
    struct auth_role **roles; /* by name */
    size_t role_count;
    uint64_t changes; /* of users and roles, counted from 1 */
    uint64_t revision;
    bool is_enabled;
};

struct auth_account *auth_account_find(const struct auth_store *a, struct slice name);
struct auth_role *auth_role_find(const struct auth_store *a, struct slice name);
/* The name is not there yet; the record's bytes become the store's. */
struct auth_account *auth_account_insert(struct auth_store *a, const struct auth_user *u);
struct auth_role *auth_role_insert(struct auth_store *a, const struct auth_role *r);
void auth_account_remove(struct auth_store *a, struct auth_account *account);
void auth_role_remove(struct auth_store *a, struct auth_role *role);

#endif
