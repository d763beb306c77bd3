/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/token: see token.h.
 */
#include "auth/token.h"

#include <inttypes.h>

#include "auth/jwt.h"
#include "auth/token_spec.h"
#include "auth/token_table.h"
#include "base/gotext.h"

enum { TTL_DEFAULT_S = 300, MS = 1000 };

struct auth_tokens {
    enum auth_token_kind kind;
    bool is_enabled;
    uint64_t ttl_ms;          /* simple */
    struct token_table known; /* simple: all there are; JWT: verified ones */
    struct jwt *jwt;
    struct jwt_claims claims; /* of the token that is looked at; keeps its memory */
};

/* ---- life ---- */

/* A TTL that no monotonic clock will reach must not wrap. */
static uint64_t ttl_ms_of(uint64_t ttl_s)
{
    static const uint64_t TTL_S_MAX = UINT32_MAX;
    uint64_t s = ttl_s == 0 ? TTL_DEFAULT_S : ttl_s;
    return (s < TTL_S_MAX ? s : TTL_S_MAX) * MS;
}

int auth_tokens_create(const struct auth_tokens_options *opts, struct buf *why,
                       struct auth_tokens **out)
{
    enum auth_token_kind kind = AUTH_TOKEN_NONE;
    struct jwt *jwt = NULL;
    int err = token_spec_open(opts->spec, opts->disk, why, &kind, &jwt);
    if (err != 0) {
        return err;
    }
    struct auth_tokens *t = mem_zalloc(sizeof(*t));
    t->kind = kind;
    t->jwt = jwt;
    t->ttl_ms = ttl_ms_of(opts->ttl_s);
    token_table_init(&t->known, kind == AUTH_TOKEN_JWT ? AUTH_JWT_KNOWN_MAX : AUTH_TOKENS_MAX,
                     opts->hash_seed);
    *out = t;
    return 0;
}

void auth_tokens_destroy(struct auth_tokens *t)
{
    if (t == NULL) {
        return;
    }
    token_table_deinit(&t->known);
    jwt_destroy(t->jwt);
    buf_deinit(&t->claims.user);
    mem_free(t);
}

enum auth_token_kind auth_tokens_kind(const struct auth_tokens *t)
{
    return t->kind;
}

void auth_tokens_enable(struct auth_tokens *t)
{
    t->is_enabled = true;
}

void auth_tokens_disable(struct auth_tokens *t)
{
    t->is_enabled = false;
    token_table_clear(&t->known);
}

/* ---- a login ---- */

void auth_tokens_prefix(struct auth_tokens *t, struct env_rand *rand, struct buf *out)
{
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    enum { LETTER_COUNT = sizeof(LETTERS) - 1, FAIR_END = 256 / LETTER_COUNT * LETTER_COUNT };
    if (t->kind != AUTH_TOKEN_SIMPLE) {
        return;
    }
    size_t end = out->len + AUTH_TOKEN_PREFIX_LEN;
    while (out->len < end) {
        uint8_t bytes[2 * AUTH_TOKEN_PREFIX_LEN];
        rand->ops->fill(rand, bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes) && out->len < end; i++) {
            if (bytes[i] < FAIR_END) { /* the rest would make some letters more likely */
                buf_append_byte(out, (uint8_t)LETTERS[bytes[i] % LETTER_COUNT]);
            }
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
    buf_printf(out, ".%" PRIu64, index);
    if (t->is_enabled) {
        struct slice text = slice_skip(buf_slice(out), start);
        token_table_put(&t->known, text, user)->expiry_ms = now_ms + t->ttl_ms;
    }
}

int auth_tokens_sign(const struct auth_tokens *t, struct slice user, uint64_t revision,
                     int64_t wall_ms, struct buf *out)
{
    ensure(t->kind != AUTH_TOKEN_SIMPLE);
    return t->kind == AUTH_TOKEN_JWT ? jwt_sign(t->jwt, user, revision, wall_ms, out)
                                     : ERR_RPC_AUTH_FAILED;
}

/* ---- every request ---- */

bool auth_tokens_index(const struct auth_tokens *t, struct slice token, uint64_t *out_index)
{
    if (t->kind != AUTH_TOKEN_SIMPLE || token.len == 0) {
        return false;
    }
    const uint8_t *dot = memchr(token.data, '.', token.len);
    return dot != NULL && gotext_parse_uint(slice_skip(token, (size_t)(dot - token.data) + 1), 10,
                                            64, out_index) == 0;
}

static int lookup_simple(struct auth_tokens *t, struct slice token, uint64_t revision,
                         uint64_t now_ms, struct auth_identity *out)
{
    struct token_entry *e = token_table_find(&t->known, token);
    if (e == NULL || e->expiry_ms < now_ms) {
        return ERR_RPC_INVALID_AUTH_TOKEN;
    }
    e->expiry_ms = now_ms + t->ttl_ms;
    token_table_touch(&t->known, e);
    *out = (struct auth_identity){e->user, revision};
    return 0;
}

static uint64_t wall_of(struct auth_now now)
{
    return now.wall_ms < 0 ? 0 : (uint64_t)now.wall_ms;
}

static bool is_its_time(uint64_t start_ms, uint64_t expiry_ms, struct auth_now now)
{
    return start_ms <= wall_of(now) && wall_of(now) < expiry_ms;
}

/* Verifies and remembers; NULL when it is not good or it is not its time. */
static struct token_entry *learn(struct auth_tokens *t, struct slice token, struct auth_now now)
{
    struct jwt_claims *c = &t->claims;
    if (jwt_verify(t->jwt, token, c) != 0 || !is_its_time(c->start_ms, c->expiry_ms, now)) {
        return NULL;
    }
    struct token_entry *e = token_table_put(&t->known, token, buf_slice(&c->user));
    e->start_ms = c->start_ms;
    e->expiry_ms = c->expiry_ms;
    e->revision = c->revision;
    return e;
}

static int lookup_jwt(struct auth_tokens *t, struct slice token, struct auth_now now,
                      struct auth_identity *out)
{
    struct token_entry *e = token_table_find(&t->known, token);
    if (e == NULL) {
        e = learn(t, token, now);
    } else {
        token_table_touch(&t->known, e);
    }
    if (e == NULL || !is_its_time(e->start_ms, e->expiry_ms, now)) {
        return ERR_RPC_INVALID_AUTH_TOKEN;
    }
    *out = (struct auth_identity){e->user, e->revision};
    return 0;
}

int auth_tokens_lookup(struct auth_tokens *t, struct slice token, uint64_t revision,
                       struct auth_now now, struct auth_identity *out)
{
    if (token.len > AUTH_TOKEN_BYTES_MAX) {
        return ERR_RPC_INVALID_AUTH_TOKEN;
    }
    switch (t->kind) {
    case AUTH_TOKEN_SIMPLE: return lookup_simple(t, token, revision, now.mono_ms, out);
    case AUTH_TOKEN_JWT: return lookup_jwt(t, token, now, out);
    case AUTH_TOKEN_NONE: break;
    }
    return ERR_RPC_INVALID_AUTH_TOKEN;
}

/* ---- ends ---- */

void auth_tokens_invalidate_user(struct auth_tokens *t, struct slice user)
{
    if (t->kind != AUTH_TOKEN_SIMPLE) {
        return;
    }
    LIST_FOREACH (&t->known.order, n) {
        struct token_entry *e = LIST_ENTRY(n, struct token_entry, node);
        if (slice_equal(e->user, user)) {
            token_table_remove(&t->known, e);
        }
    }
}

void auth_tokens_tick(struct auth_tokens *t, struct auth_now now)
{
    bool is_simple = t->kind == AUTH_TOKEN_SIMPLE;
    uint64_t now_ms = is_simple ? now.mono_ms : wall_of(now);
    LIST_FOREACH (&t->known.order, n) {
        struct token_entry *e = LIST_ENTRY(n, struct token_entry, node);
        if (e->expiry_ms < now_ms) {
            token_table_remove(&t->known, e);
        } else if (is_simple) {
            break; /* the others were used later */
        }
    }
}

size_t auth_tokens_count(const struct auth_tokens *t)
{
    return t->known.count;
}

void auth_tokens_check(const struct auth_tokens *t)
{
    token_table_check(&t->known);
    ensure(t->kind != AUTH_TOKEN_SIMPLE || t->is_enabled || t->known.count == 0);
    ensure(t->kind != AUTH_TOKEN_NONE || t->known.count == 0);
    uint64_t last = 0;
    if (t->kind == AUTH_TOKEN_SIMPLE) {
        LIST_FOREACH (&t->known.order, n) {
            const struct token_entry *e = LIST_ENTRY(n, struct token_entry, node);
            ensure(e->expiry_ms >= last);
            last = e->expiry_ms;
        }
    }
}
