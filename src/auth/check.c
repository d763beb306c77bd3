/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/check: may somebody do that (client-api 2.6.4).
 */
#include "auth/internal.h"

int auth_check_root(const struct auth_store *a, const struct auth_who *who)
{
    if (!a->is_enabled) {
        return 0;
    }
    if (who->user.len == 0) {
        return ERR_RPC_USER_EMPTY;
    }
    const struct auth_account *account = auth_account_find(a, who->user);
    if (account == NULL) {
        return ERR_RPC_USER_NOT_FOUND;
    }
    bool is_root = auth_user_has_role(&account->user, SLICE_LIT(AUTH_ROOT));
    return is_root ? 0 : ERR_RPC_PERMISSION_DENIED;
}

int auth_check_known(const struct auth_store *a, const struct auth_who *who)
{
    return a->is_enabled && !who->is_known ? ERR_RPC_USER_EMPTY : 0;
}

bool auth_has_role(const struct auth_store *a, struct slice user, struct slice role)
{
    const struct auth_account *account = auth_account_find(a, user);
    if (account == NULL) {
        return false;
    }
    for (size_t i = 0; i < account->user.role_count; i++) {
        if (slice_equal(account->user.roles[i], role)) {
            return true;
        }
    }
    return false;
}

static void perm_add(struct auth_account *account, const struct auth_perm *p)
{
    if (p->type == AUTH_PERM_READ || p->type == AUTH_PERM_READWRITE) {
        auth_ranges_add(&account->read, p->key, p->range_end);
    }
    if (p->type == AUTH_PERM_WRITE || p->type == AUTH_PERM_READWRITE) {
        auth_ranges_add(&account->write, p->key, p->range_end);
    }
}

static void make_ranges(const struct auth_store *a, struct auth_account *account)
{
    auth_ranges_clear(&account->read);
    auth_ranges_clear(&account->write);
    for (size_t i = 0; i < account->user.role_count; i++) {
        const struct auth_role *role = auth_role_find(a, account->user.roles[i]);
        for (size_t k = 0; role != NULL && k < role->perm_count; k++) {
            perm_add(account, &role->perms[k]);
        }
    }
    auth_ranges_merge(&account->read);
    auth_ranges_merge(&account->write);
    account->made = a->changes;
}

/* 0: he may everything; 1: go by his ranges. */
static int check_keys(struct auth_store *a, const struct auth_who *who, struct auth_account **out)
{
    if (!a->is_enabled) {
        return 0;
    }
    if (who->revision == 0) {
        return ERR_RPC_USER_EMPTY;
    }
    if (who->revision < a->revision) {
        return ERR_RPC_AUTH_OLD_REVISION;
    }
    struct auth_account *account = auth_account_find(a, who->user);
    if (account == NULL) {
        return ERR_RPC_PERMISSION_DENIED;
    }
    if (auth_user_has_role(&account->user, SLICE_LIT(AUTH_ROOT))) {
        return 0;
    }
    if (account->made != a->changes) {
        make_ranges(a, account);
    }
    *out = account;
    return 1;
}

int auth_check_read(struct auth_store *a, const struct auth_who *who, struct slice key,
                    struct slice range_end)
{
    struct auth_account *account;
    int err = check_keys(a, who, &account);
    if (err != 1) {
        return err;
    }
    return auth_ranges_covers(&account->read, key, range_end) ? 0 : ERR_RPC_PERMISSION_DENIED;
}

int auth_check_write(struct auth_store *a, const struct auth_who *who, struct slice key,
                     struct slice range_end)
{
    struct auth_account *account;
    int err = check_keys(a, who, &account);
    if (err != 1) {
        return err;
    }
    return auth_ranges_covers(&account->write, key, range_end) ? 0 : ERR_RPC_PERMISSION_DENIED;
}
