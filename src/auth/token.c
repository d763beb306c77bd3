/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/token: simple tokens: a table of chains by text, and a list in order of expiry.
 */
#include "auth/token.h"

#include "base/hash.h"
#include "base/list.h"

enum { BUCKETS_MIN = 64, TTL_S_DEFAULT = 300, INDEX_DIGITS_MAX = 20 };

struct token {
    struct list_node node; /* in order of expiry */
    struct token *next;    /* in its chain */
    struct slice text;
    struct slice user;
    uint64_t hash;
    uint64_t end_ms;
    uint8_t bytes[]; /* text, user */
};

struct auth_tokens {
    enum auth_token_kind kind;
    uint64_t ttl_ms;
    uint64_t seed;
    struct token **buckets;
    size_t bucket_count; /* power of two */
    size_t count;
    struct list by_end;
    bool is_enabled;
};

int auth_tokens_create(const struct auth_tokens_options *opts, struct buf *why,
                       struct auth_tokens **out)
{
    bool is_simple = strcmp(opts->spec, "simple") == 0;
    if (!is_simple && opts->spec[0] != 0) {
        buf_printf(why, "--auth-token \"%s\": auth: invalid auth options", opts->spec);
        return ERR_INVALID;
    }
    struct auth_tokens *t = mem_zalloc(sizeof(*t));
    t->kind = is_simple ? AUTH_TOKEN_SIMPLE : AUTH_TOKEN_NONE;
    t->ttl_ms = (opts->ttl_s == 0 ? TTL_S_DEFAULT : opts->ttl_s) * 1000;
    t->seed = opts->hash_seed;
    t->bucket_count = BUCKETS_MIN;
    t->buckets = mem_zalloc(t->bucket_count * sizeof(struct token *));
    list_init(&t->by_end);
    *out = t;
    return 0;
}

void auth_tokens_destroy(struct auth_tokens *t)
{
    auth_tokens_disable(t);
    mem_free(t->buckets);
    mem_free(t);
}

enum auth_token_kind auth_tokens_kind(const struct auth_tokens *t)
{
    return t->kind;
}

/* ---- the table ---- */

static uint64_t hash_of(const struct auth_tokens *t, struct slice text)
{
    uint64_t h = fnv1a64(&t->seed, sizeof(t->seed)) ^ fnv1a64(text.data, text.len);
    h *= UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

static struct token **chain_of(const struct auth_tokens *t, uint64_t hash)
{
    return &t->buckets[(size_t)hash & (t->bucket_count - 1)];
}

static struct token *find(const struct auth_tokens *t, struct slice text)
{
    uint64_t hash = hash_of(t, text);
    struct token *k = *chain_of(t, hash);
    while (k != NULL && (k->hash != hash || !slice_equal(k->text, text))) {
        k = k->next;
    }
    return k;
}

static void drop(struct auth_tokens *t, struct token *k)
{
    struct token **at = chain_of(t, k->hash);
    while (*at != k) {
        at = &(*at)->next;
    }
    *at = k->next;
    list_remove(&k->node);
    t->count--;
    mem_free(k);
}

static struct token *first(const struct auth_tokens *t)
{
    struct list_node *n = list_first(&t->by_end);
    return n == NULL ? NULL : LIST_ENTRY(n, struct token, node);
}

static void grow(struct auth_tokens *t)
{
    struct token **old = t->buckets;
    size_t count = t->bucket_count;
    t->bucket_count = count * 2;
    t->buckets = mem_zalloc(t->bucket_count * sizeof(struct token *));
    for (size_t i = 0; i < count; i++) {
        for (struct token *k = old[i], *next; k != NULL; k = next) {
            struct token **at = chain_of(t, k->hash);
            next = k->next;
            k->next = *at;
            *at = k;
        }
    }
    mem_free(old);
}

static void put(struct auth_tokens *t, struct slice text, struct slice user, uint64_t now_ms)
{
    struct token *k = mem_zalloc(sizeof(*k) + text.len + user.len);
    memcpy(k->bytes, text.data, text.len);
    memcpy(k->bytes + text.len, user.data, user.len);
    k->text = slice_make(k->bytes, text.len);
    k->user = slice_make(k->bytes + text.len, user.len);
    k->hash = hash_of(t, text);
    k->end_ms = now_ms + t->ttl_ms;
    if (t->count >= t->bucket_count) {
        grow(t);
    }
    struct token **at = chain_of(t, k->hash);
    k->next = *at;
    *at = k;
    list_push_back(&t->by_end, &k->node);
    t->count++;
}

/* ---- on, off ---- */

void auth_tokens_enable(struct auth_tokens *t)
{
    t->is_enabled = true;
}

void auth_tokens_disable(struct auth_tokens *t)
{
    t->is_enabled = false;
    for (struct token *k; (k = first(t)) != NULL;) {
        drop(t, k);
    }
}

/* ---- a login ---- */

void auth_tokens_prefix(struct auth_tokens *t, struct env_rand *rand, struct buf *out)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const unsigned count = sizeof(letters) - 1;
    const unsigned fair = 256 - 256 % count; /* bytes from here on would favour the first letters */
    size_t end = out->len + AUTH_TOKEN_PREFIX_LEN;
    while (t->kind == AUTH_TOKEN_SIMPLE && out->len < end) {
        uint8_t byte;
        rand->ops->fill(rand, &byte, 1);
        if (byte < fair) {
            buf_append_byte(out, (uint8_t)letters[byte % count]);
        }
    }
}

void auth_tokens_assign(struct auth_tokens *t, struct slice prefix, uint64_t index,
                        struct slice user, uint64_t now_ms, struct buf *out)
{
    if (t->kind != AUTH_TOKEN_SIMPLE) {
        return;
    }
    size_t start = out->len;
    buf_append_slice(out, prefix);
    buf_printf(out, ".%llu", (unsigned long long)index);
    struct slice text = slice_skip(buf_slice(out), start);
    struct token *old = find(t, text);
    if (old != NULL) {
        drop(t, old);
    }
    if (t->is_enabled && text.len <= AUTH_TOKEN_BYTES_MAX) {
        if (t->count >= AUTH_TOKENS_MAX) {
            drop(t, first(t));
        }
        put(t, text, user, now_ms);
    }
}

int auth_tokens_sign(const struct auth_tokens *t, struct slice user, uint64_t revision,
                     int64_t wall_ms, struct buf *out)
{
    (void)t;
    (void)user;
    (void)revision;
    (void)wall_ms;
    (void)out;
    return ERR_RPC_AUTH_FAILED; /* no kind that is here signs */
}

/* ---- every request ---- */

bool auth_tokens_index(const struct auth_tokens *t, struct slice token, uint64_t *out_index)
{
    size_t dot = 0;
    uint64_t index = 0;
    while (dot < token.len && token.data[dot] != '.') {
        dot++;
    }
    size_t digits = token.len > dot ? token.len - dot - 1 : 0;
    if (t->kind != AUTH_TOKEN_SIMPLE || digits == 0 || digits > INDEX_DIGITS_MAX) {
        return false;
    }
    for (size_t i = dot + 1; i < token.len; i++) {
        unsigned d = (unsigned)token.data[i] - '0';
        if (d > 9 || index > (UINT64_MAX - d) / 10) {
            return false;
        }
        index = index * 10 + d;
    }
    *out_index = index;
    return true;
}

int auth_tokens_lookup(struct auth_tokens *t, struct slice token, uint64_t revision,
                       struct auth_now now, struct auth_identity *out)
{
    struct token *k = find(t, token);
    if (k == NULL || now.mono_ms > k->end_ms) {
        return ERR_RPC_INVALID_AUTH_TOKEN;
    }
    k->end_ms = now.mono_ms + t->ttl_ms;
    list_remove(&k->node);
    list_push_back(&t->by_end, &k->node);
    *out = (struct auth_identity){k->user, revision};
    return 0;
}

/* ---- ends ---- */

void auth_tokens_invalidate_user(struct auth_tokens *t, struct slice user)
{
    LIST_FOREACH (&t->by_end, n) {
        struct token *k = LIST_ENTRY(n, struct token, node);
        if (slice_equal(k->user, user)) {
            drop(t, k);
        }
    }
}

void auth_tokens_tick(struct auth_tokens *t, struct auth_now now)
{
    for (struct token *k; (k = first(t)) != NULL && now.mono_ms > k->end_ms;) {
        drop(t, k);
    }
}

size_t auth_tokens_count(const struct auth_tokens *t)
{
    return t->count;
}

void auth_tokens_check(const struct auth_tokens *t)
{
    size_t count = 0;
    LIST_FOREACH (&t->by_end, n) {
        const struct token *k = LIST_ENTRY(n, struct token, node);
        ensure(find(t, k->text) == k);
        count++;
    }
    ensure(count == t->count && (t->is_enabled || count == 0));
}
