/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/change: what applied entries do to users and roles (client-api 2.6.2).
 */
#include "auth/internal.h"

#include "auth/password.h"
#include "base/gotext.h"
#include "base/hash.h"
#include "wire/kv.h"

/* ---- writing ---- */

static void changed(struct auth_store *a)
{
    a->changes++;
    a->revision++;
    schema_put_auth_revision(a->backend, a->revision);
}

static void put_user(const struct auth_store *a, const struct auth_user *u)
{
    struct buf row = BUF_INIT;
    auth_user_encode(u, &row);
    schema_put_user(a->backend, u->name, buf_slice(&row));
    buf_deinit(&row);
}

static void put_role(const struct auth_store *a, const struct auth_role *r)
{
    struct buf row = BUF_INIT;
    auth_role_encode(r, &row);
    schema_put_role(a->backend, r->name, buf_slice(&row));
    buf_deinit(&row);
}

/* ---- on, off, logins ---- */

int auth_enable(struct auth_store *a)
{
    if (a->is_enabled) {
        return 0;
    }
    const struct auth_account *root = auth_account_find(a, SLICE_LIT(AUTH_ROOT));
    if (root == NULL) {
        return ERR_RPC_ROOT_USER_NOT_EXIST;
    }
    if (!auth_user_has_role(&root->user, SLICE_LIT(AUTH_ROOT))) {
        return ERR_RPC_ROOT_ROLE_NOT_EXIST;
    }
    schema_put_auth_enabled(a->backend, true);
    a->is_enabled = true;
    if (a->tokens != NULL) {
        auth_tokens_enable(a->tokens);
    }
    return 0;
}

void auth_disable(struct auth_store *a)
{
    if (!a->is_enabled) {
        return;
    }
    schema_put_auth_enabled(a->backend, false);
    changed(a);
    a->is_enabled = false;
    if (a->tokens != NULL) {
        auth_tokens_disable(a->tokens);
    }
}

int auth_password_of(const struct auth_store *a, struct slice name, struct slice *out_hash)
{
    if (!a->is_enabled) {
        return ERR_RPC_AUTH_NOT_ENABLED;
    }
    const struct auth_account *account = auth_account_find(a, name);
    if (account == NULL) {
        return ERR_RPC_AUTH_FAILED;
    }
    if (account->user.no_password) {
        return ERR_RPC_NO_PASSWORD_USER;
    }
    *out_hash = account->user.password;
    return 0;
}

int auth_login(struct auth_store *a, struct slice name, struct slice prefix, uint64_t index,
               uint64_t now_ms, struct buf *out)
{
    if (!a->is_enabled) {
        return ERR_RPC_AUTH_NOT_ENABLED;
    }
    const struct auth_account *account = auth_account_find(a, name);
    bool has_tokens = a->tokens != NULL && auth_tokens_kind(a->tokens) != AUTH_TOKEN_NONE;
    if (account == NULL || account->user.no_password || !has_tokens) {
        return ERR_RPC_AUTH_FAILED;
    }
    auth_tokens_assign(a->tokens, prefix, index, name, now_ms, out);
    return 0;
}

static void forget_tokens(const struct auth_store *a, struct slice user)
{
    if (a->tokens != NULL) {
        auth_tokens_invalidate_user(a->tokens, user);
    }
}

/* ---- users ---- */

/* An entry of before 3.5 has the password itself, which each of its members hashed with a salt of
 * its own; here the salt comes of the password, so that our members agree. */
static int hash_old(struct slice plain, struct buf *out)
{
    uint8_t digest[SHA256_BYTES];
    struct sha256 *s = sha256_create();
    sha256_update(s, plain.data, plain.len);
    sha256_finish(s, digest);
    char hash[AUTH_HASH_LEN];
    if (auth_password_hash(plain, AUTH_BCRYPT_COST_DEFAULT, digest, hash) != 0) {
        return ERR_RPC_NO_PASSWORD_USER;
    }
    buf_append(out, hash, sizeof(hash));
    return 0;
}

static int password_take(const struct auth_new_password *p, struct buf *out)
{
    if (p->plain.len > 0 && p->hashed.len == 0) {
        return hash_old(p->plain, out);
    }
    return gotext_base64_decode(p->hashed, out) == 0 ? 0 : ERR_RPC_NO_PASSWORD_USER;
}

int auth_user_add(struct auth_store *a, struct slice name, bool no_password,
                  const struct auth_new_password *p)
{
    if (name.len == 0) {
        return ERR_RPC_USER_EMPTY;
    }
    if (auth_account_find(a, name) != NULL) {
        return ERR_RPC_USER_EXISTS;
    }
    struct buf hash = BUF_INIT;
    int err = no_password ? 0 : password_take(p, &hash);
    if (err == 0) {
        const struct auth_user u = {
            .name = auth_text(name),
            .password = auth_text(buf_slice(&hash)),
            .has_options = true,
            .no_password = no_password,
        };
        put_user(a, &u);
        (void)auth_account_insert(a, &u);
        changed(a);
    }
    buf_deinit(&hash);
    return err;
}

int auth_user_delete(struct auth_store *a, struct slice name)
{
    if (a->is_enabled && slice_equal_cstr(name, AUTH_ROOT)) {
        return ERR_RPC_INVALID_AUTH_MGMT;
    }
    struct auth_account *account = auth_account_find(a, name);
    if (account == NULL) {
        return ERR_RPC_USER_NOT_FOUND;
    }
    schema_delete_user(a->backend, name);
    auth_account_remove(a, account);
    changed(a);
    forget_tokens(a, name);
    return 0;
}

int auth_user_change_password(struct auth_store *a, struct slice name,
                              const struct auth_new_password *p)
{
    struct auth_account *account = auth_account_find(a, name);
    if (account == NULL) {
        return ERR_RPC_USER_NOT_FOUND;
    }
    struct buf hash = BUF_INIT;
    int err = account->user.no_password ? 0 : password_take(p, &hash);
    if (err == 0) {
        auth_text_free(&account->user.password);
        account->user.password = auth_text(buf_slice(&hash));
        put_user(a, &account->user);
        changed(a);
        forget_tokens(a, name);
    }
    buf_deinit(&hash);
    return err;
}

int auth_user_grant(struct auth_store *a, struct slice name, struct slice role)
{
    struct auth_account *account = auth_account_find(a, name);
    if (account == NULL) {
        return ERR_RPC_USER_NOT_FOUND;
    }
    if (!slice_equal_cstr(role, AUTH_ROOT) && auth_role_find(a, role) == NULL) {
        return ERR_RPC_ROLE_NOT_FOUND;
    }
    if (!auth_user_has_role(&account->user, role)) {
        auth_user_role_add(&account->user, role);
        put_user(a, &account->user);
        changed(a);
    }
    return 0;
}

int auth_user_revoke(struct auth_store *a, struct slice name, struct slice role)
{
    bool is_root = slice_equal_cstr(name, AUTH_ROOT) && slice_equal_cstr(role, AUTH_ROOT);
    if (a->is_enabled && is_root) {
        return ERR_RPC_INVALID_AUTH_MGMT;
    }
    struct auth_account *account = auth_account_find(a, name);
    if (account == NULL) {
        return ERR_RPC_USER_NOT_FOUND;
    }
    if (auth_user_role_remove(&account->user, role) == 0) {
        return ERR_RPC_ROLE_NOT_GRANTED;
    }
    put_user(a, &account->user);
    changed(a);
    return 0;
}

int auth_user_get(const struct auth_store *a, struct slice name, struct buf *out)
{
    const struct auth_account *account = auth_account_find(a, name);
    if (account == NULL) {
        return ERR_RPC_USER_NOT_FOUND;
    }
    for (size_t i = 0; out != NULL && i < account->user.role_count; i++) {
        wire_append_message(out, 2, account->user.roles[i]); /* there, whatever its length */
    }
    return 0;
}

/* ---- roles ---- */

int auth_role_add(struct auth_store *a, struct slice name)
{
    if (name.len == 0) {
        return ERR_RPC_ROLE_EMPTY;
    }
    if (auth_role_find(a, name) != NULL) {
        return ERR_RPC_ROLE_EXISTS;
    }
    const struct auth_role r = {.name = auth_text(name)};
    put_role(a, &r);
    (void)auth_role_insert(a, &r);
    changed(a);
    return 0;
}

int auth_role_delete(struct auth_store *a, struct slice name)
{
    if (a->is_enabled && slice_equal_cstr(name, AUTH_ROOT)) {
        return ERR_RPC_INVALID_AUTH_MGMT;
    }
    struct auth_role *role = auth_role_find(a, name);
    if (role == NULL) {
        return ERR_RPC_ROLE_NOT_FOUND;
    }
    schema_delete_role(a->backend, name);
    auth_role_remove(a, role);
    for (size_t i = 0; i < a->account_count; i++) {
        struct auth_user *u = &a->accounts[i]->user;
        if (auth_user_role_remove(u, name) > 0) {
            put_user(a, u);
        }
    }
    changed(a);
    return 0;
}

/* A single key, an end above it, or none (one zero byte). */
static bool is_valid_range(const struct auth_perm *p)
{
    bool is_open = p->range_end.len == 1 && p->range_end.data[0] == 0;
    return p->key.len > 0 &&
           (p->range_end.len == 0 || is_open || slice_compare(p->key, p->range_end) < 0);
}

int auth_role_grant(struct auth_store *a, struct slice name, struct slice perm)
{
    struct auth_perm p;
    if (perm.data == NULL) {
        return ERR_RPC_PERMISSION_NOT_GIVEN;
    }
    int err = auth_perm_decode(perm, &p);
    if (err != 0) {
        return err;
    }
    if (!is_valid_range(&p)) {
        return ERR_RPC_INVALID_AUTH_MGMT;
    }
    struct auth_role *role = auth_role_find(a, name);
    if (role == NULL) {
        return ERR_RPC_ROLE_NOT_FOUND;
    }
    auth_role_perm_add(role, &p);
    put_role(a, role);
    changed(a);
    return 0;
}

int auth_role_revoke(struct auth_store *a, struct slice name, struct slice key,
                     struct slice range_end)
{
    struct auth_role *role = auth_role_find(a, name);
    if (role == NULL) {
        return ERR_RPC_ROLE_NOT_FOUND;
    }
    if (auth_role_perm_remove(role, key, range_end) == 0) {
        return ERR_RPC_PERMISSION_NOT_GRANTED;
    }
    put_role(a, role);
    changed(a);
    return 0;
}

int auth_role_get(const struct auth_store *a, struct slice name, struct buf *out)
{
    const struct auth_role *role = auth_role_find(a, name);
    if (role == NULL) {
        return ERR_RPC_ROLE_NOT_FOUND;
    }
    const struct auth_perm all = {.type = AUTH_PERM_READWRITE, .range_end = SLICE_LIT("\0")};
    bool is_root = slice_equal_cstr(role->name, AUTH_ROOT);
    const struct auth_perm *perms = is_root ? &all : role->perms;
    struct buf one = BUF_INIT;
    for (size_t i = 0; out != NULL && i < (is_root ? 1 : role->perm_count); i++) {
        buf_clear(&one);
        auth_perm_encode(&perms[i], &one);
        wire_append_message(out, 2, buf_slice(&one));
    }
    buf_deinit(&one);
    return 0;
}
