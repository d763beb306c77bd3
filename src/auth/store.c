/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/store: life of the store, its tables, who asks.
 */
#include "auth/internal.h"

#include "auth/token.h"

struct auth_store *auth_store_create(struct backend *backend, struct auth_tokens *tokens)
{
    struct auth_store *a = mem_zalloc(sizeof(*a));
    a->backend = backend;
    a->tokens = tokens;
    a->changes = 1;
    return a;
}

static void account_free(struct auth_account *account)
{
    auth_user_deinit(&account->user);
    auth_ranges_deinit(&account->read);
    auth_ranges_deinit(&account->write);
    mem_free(account);
}

static void role_free(struct auth_role *role)
{
    auth_role_deinit(role);
    mem_free(role);
}

void auth_store_destroy(struct auth_store *a)
{
    for (size_t i = 0; i < a->account_count; i++) {
        account_free(a->accounts[i]);
    }
    for (size_t i = 0; i < a->role_count; i++) {
        role_free(a->roles[i]);
    }
    mem_free(a->accounts);
    mem_free(a->roles);
    mem_free(a);
}

/* ---- tables, by name ---- */

static size_t account_at(const struct auth_store *a, struct slice name)
{
    size_t lo = 0, hi = a->account_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (slice_compare(a->accounts[mid]->user.name, name) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static size_t role_at(const struct auth_store *a, struct slice name)
{
    size_t lo = 0, hi = a->role_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (slice_compare(a->roles[mid]->name, name) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

struct auth_account *auth_account_find(const struct auth_store *a, struct slice name)
{
    size_t at = account_at(a, name);
    bool is_there = at < a->account_count && slice_equal(a->accounts[at]->user.name, name);
    return is_there ? a->accounts[at] : NULL;
}

struct auth_role *auth_role_find(const struct auth_store *a, struct slice name)
{
    size_t at = role_at(a, name);
    return at < a->role_count && slice_equal(a->roles[at]->name, name) ? a->roles[at] : NULL;
}

/* An array of pointers with one more at `at`; its capacity is the next power of two. */
static void *table_open(void *items, size_t count, size_t at)
{
    void **table = items;
    if ((count & (count - 1)) == 0) {
        table = mem_realloc(table, (count == 0 ? 1 : count * 2) * sizeof(*table));
    }
    memmove(&table[at + 1], &table[at], (count - at) * sizeof(*table));
    return table;
}

/* Without the one at `at`; the array keeps a power of two above the count. */
static void *table_close(void *items, size_t count, size_t at)
{
    void **table = items;
    memmove(&table[at], &table[at + 1], (count - 1 - at) * sizeof(*table));
    size_t left = count - 1;
    if (left > 0 && (left & (left - 1)) == 0) {
        table = mem_realloc(table, left * sizeof(*table));
    }
    return table;
}

struct auth_account *auth_account_insert(struct auth_store *a, const struct auth_user *u)
{
    size_t at = account_at(a, u->name);
    struct auth_account *account = mem_zalloc(sizeof(*account));
    account->user = *u;
    a->accounts = table_open(a->accounts, a->account_count, at);
    a->accounts[at] = account;
    a->account_count++;
    return account;
}

struct auth_role *auth_role_insert(struct auth_store *a, const struct auth_role *r)
{
    size_t at = role_at(a, r->name);
    struct auth_role *role = mem_zalloc(sizeof(*role));
    *role = *r;
    a->roles = table_open(a->roles, a->role_count, at);
    a->roles[at] = role;
    a->role_count++;
    return role;
}

void auth_account_remove(struct auth_store *a, struct auth_account *account)
{
    size_t at = account_at(a, account->user.name);
    ensure(at < a->account_count && a->accounts[at] == account);
    a->accounts = table_close(a->accounts, a->account_count, at);
    a->account_count--;
    account_free(account);
}

void auth_role_remove(struct auth_store *a, struct auth_role *role)
{
    size_t at = role_at(a, role->name);
    ensure(at < a->role_count && a->roles[at] == role);
    a->roles = table_close(a->roles, a->role_count, at);
    a->role_count--;
    role_free(role);
}

/* ---- loading ---- */

/* The row's key is the name, as etcd goes by it. */
static int load_user(void *arg, struct slice key, struct slice value)
{
    struct auth_store *a = arg;
    struct auth_user u;
    if (auth_user_decode(value, &u) != 0) {
        return ERR_CORRUPT;
    }
    if (!slice_equal(u.name, key) || auth_account_find(a, key) != NULL) {
        auth_user_deinit(&u);
        return ERR_CORRUPT;
    }
    (void)auth_account_insert(a, &u);
    return 0;
}

static int load_role(void *arg, struct slice key, struct slice value)
{
    struct auth_store *a = arg;
    struct auth_role r;
    if (auth_role_decode(value, &r) != 0) {
        return ERR_CORRUPT;
    }
    if (!slice_equal(r.name, key) || auth_role_find(a, key) != NULL) {
        auth_role_deinit(&r);
        return ERR_CORRUPT;
    }
    (void)auth_role_insert(a, &r);
    return 0;
}

static int load_state(void *arg, struct slice key, struct slice value)
{
    struct auth_store *a = arg;
    return schema_auth_decode(key, value, &a->is_enabled, &a->revision);
}

int auth_store_load(struct auth_store *a, struct bolt_tx *tx, const char **out_bucket)
{
    static const struct {
        enum schema_bucket bucket;
        int (*each)(void *arg, struct slice key, struct slice value);
    } steps[] = {
        {SCHEMA_AUTH, load_state}, {SCHEMA_AUTH_USERS, load_user}, {SCHEMA_AUTH_ROLES, load_role}};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        int err = schema_bucket_walk(tx, steps[i].bucket, steps[i].each, a);
        if (err != 0) {
            *out_bucket = SCHEMA_BUCKET_NAMES[steps[i].bucket];
            return err;
        }
    }
    return 0;
}

void auth_store_begin(struct auth_store *a)
{
    if (a->revision == 0) {
        a->revision = SCHEMA_AUTH_REVISION_FIRST;
        schema_put_auth_revision(a->backend, a->revision);
    }
    if (a->tokens != NULL && a->is_enabled) {
        auth_tokens_enable(a->tokens);
    } else if (a->tokens != NULL) {
        auth_tokens_disable(a->tokens);
    }
}

/* ---- queries ---- */

bool auth_is_enabled(const struct auth_store *a)
{
    return a->is_enabled;
}

uint64_t auth_revision(const struct auth_store *a)
{
    return a->revision;
}

struct auth_tokens *auth_store_tokens(const struct auth_store *a)
{
    return a->tokens;
}

size_t auth_user_count(const struct auth_store *a)
{
    return a->account_count;
}

struct slice auth_user_name_at(const struct auth_store *a, size_t i)
{
    ensure(i < a->account_count);
    return a->accounts[i]->user.name;
}

size_t auth_role_count(const struct auth_store *a)
{
    return a->role_count;
}

struct slice auth_role_name_at(const struct auth_store *a, size_t i)
{
    ensure(i < a->role_count);
    return a->roles[i]->name;
}

/* ---- who asks ---- */

struct slice auth_token_of(const struct auth_caller *caller)
{
    struct slice token = caller->token, bearer = SLICE_LIT("Bearer ");
    return slice_has_prefix(token, bearer) ? slice_skip(token, bearer.len) : token;
}

static int identify_token(const struct auth_store *a, const struct auth_caller *caller,
                          uint64_t now_ms, struct auth_who *out)
{
    if (a->tokens == NULL) {
        return ERR_RPC_INVALID_AUTH_TOKEN;
    }
    struct auth_identity id;
    const struct auth_now now = {.mono_ms = now_ms, .wall_ms = caller->wall_ms};
    int err = auth_tokens_lookup(a->tokens, auth_token_of(caller), a->revision, now, &id);
    if (err == 0) {
        *out = (struct auth_who){.user = id.user, .revision = id.revision, .is_known = true};
    }
    return err;
}

int auth_identify(const struct auth_store *a, const struct auth_caller *caller, uint64_t now_ms,
                  struct auth_who *out)
{
    if (caller != NULL && a->is_enabled && caller->token.data != NULL) {
        return identify_token(a, caller, now_ms, out);
    }
    *out = (struct auth_who){.user = SLICE_NULL};
    if (caller != NULL && caller->common_name.data != NULL) {
        *out = (struct auth_who){
            .user = caller->common_name, .revision = a->revision, .is_known = true};
    }
    return 0;
}

/* Revoked, granted, added: whatever was is made anew when somebody asks. */
void auth_store_check(const struct auth_store *a)
{
    for (size_t i = 0; i < a->account_count; i++) {
        const struct auth_account *at = a->accounts[i];
        ensure(i == 0 || slice_compare(a->accounts[i - 1]->user.name, at->user.name) < 0);
        ensure(at->made <= a->changes);
        if (at->made == a->changes) {
            auth_ranges_check(&at->read);
            auth_ranges_check(&at->write);
        }
    }
    for (size_t i = 1; i < a->role_count; i++) {
        ensure(slice_compare(a->roles[i - 1]->name, a->roles[i]->name) < 0);
    }
}
