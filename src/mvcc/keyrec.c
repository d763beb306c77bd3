/* SPDX-License-Identifier: Apache-2.0 */
#include "mvcc/keyrec.h"

#include "base/assert.h"
#include "base/buf.h"

_Static_assert(sizeof(struct keyrev) == 16, "a base takes the place of one revision");
_Static_assert(sizeof(struct keyrec) == 32, "100 bytes a key");

/* create revision and version of the first revision; stands in slots[0]. */
struct keybase {
    int64_t create_rev;
    int64_t version;
};

_Static_assert(sizeof(struct keybase) == sizeof(struct keyrev), "");

static struct keyrev rev_make(int64_t main, int64_t sub, bool is_tombstone, uint32_t len)
{
    ensure(sub >= 0 && sub <= KEYREC_SUB_MAX);
    return (struct keyrev){main, (uint32_t)sub * 2 + (is_tombstone ? 1 : 0), len};
}

static struct keybase base_get(const struct keyrec *k)
{
    struct keybase b;
    memcpy(&b, &k->slots[0], sizeof(b));
    return b;
}

static size_t slots_of(uint32_t count, bool has_base)
{
    return (size_t)keyrec_cap(count) + (has_base ? 1 : 0);
}

static size_t rec_size(uint32_t count, bool has_base, size_t key_len)
{
    return sizeof(struct keyrec) + slots_of(count, has_base) * sizeof(struct keyrev) + key_len;
}

static struct keyrec *rec_alloc(uint32_t count, bool has_base, size_t key_len)
{
    struct keyrec *k = mem_alloc(rec_size(count, has_base, key_len));
    k->count = count;
    k->has_base = has_base ? 1 : 0;
    return k;
}

/* The key stands behind the slots that count and has_base say. */
static void key_set(struct keyrec *k, const void *key, size_t len)
{
    if (len > 0) {
        memcpy(k->slots + slots_of(k->count, k->has_base != 0), key, len);
    }
}

struct keyrec *keyrec_create(struct slice key, const struct keyrec_state *first, int64_t lease)
{
    ensure(key.len <= KEYREC_KEY_MAX && first->version > 0);
    struct keyrec *k = rec_alloc(1, false, key.len);
    k->key_len = (uint32_t)key.len & KEYREC_KEY_MAX;
    k->has_tombstone = 0;
    k->lease = lease;
    k->create_rev = first->create_rev;
    k->version = first->version;
    k->slots[0] = rev_make(first->main, first->sub, false, first->len);
    key_set(k, key.data, key.len);
    return k;
}

struct keyrec *keyrec_create_tombstone(struct slice key, int64_t main, int64_t sub, uint32_t len)
{
    ensure(key.len <= KEYREC_KEY_MAX);
    struct keyrec *k = rec_alloc(1, false, key.len);
    k->key_len = (uint32_t)key.len & KEYREC_KEY_MAX;
    k->has_tombstone = 1;
    k->lease = 0;
    k->create_rev = 0;
    k->version = 0;
    k->slots[0] = rev_make(main, sub, true, len);
    key_set(k, key.data, key.len);
    return k;
}

void keyrec_destroy(struct keyrec *k)
{
    mem_free(k);
}

/* The revisions [from, count) become the first ones, with room for `room`; base if not NULL.
 * Changed in place: a compaction of a million keys must not leave a million holes for malloc to
 * sort. */
static struct keyrec *rec_reshape(struct keyrec *k, uint32_t from, uint32_t room,
                                  const struct keybase *base)
{
    uint32_t keep = k->count - from;
    size_t key_at = slots_of(k->count, k->has_base != 0);
    size_t key_to = slots_of(room, base != NULL);
    size_t revs_at = (size_t)k->has_base + from;
    size_t revs_to = base != NULL ? 1 : 0;
    size_t size = rec_size(room, base != NULL, k->key_len);
    if (key_to > key_at) {
        k = mem_realloc(k, size);
        memmove(k->slots + key_to, k->slots + key_at, k->key_len);
    }
    memmove(k->slots + revs_to, k->slots + revs_at, keep * sizeof(struct keyrev));
    if (base != NULL) {
        memcpy(&k->slots[0], base, sizeof(*base));
    }
    if (key_to < key_at) {
        memmove(k->slots + key_to, k->slots + key_at, k->key_len);
        k = mem_realloc(k, size);
    }
    k->count = room;
    k->has_base = base != NULL ? 1 : 0;
    return k;
}

static struct keyrec *rec_append(struct keyrec *k, struct keyrev rev)
{
    uint32_t n = k->count;
    ensure(n < UINT32_MAX / 2);
    const struct keyrev *last = keyrec_revs(k) + n - 1;
    ensure(rev.main > last->main ||
           (rev.main == last->main && rev.sub_mark >> 1 > last->sub_mark >> 1));
    if (n < keyrec_cap(n)) {
        k->count = n + 1;
    } else {
        struct keybase base = base_get(k);
        k = rec_reshape(k, 0, n + 1, k->has_base ? &base : NULL);
    }
    k->slots[k->has_base + n] = rev;
    return k;
}

struct keyrec *keyrec_put(struct keyrec *k, int64_t main, int64_t sub, uint32_t len, int64_t lease)
{
    k = rec_append(k, rev_make(main, sub, false, len));
    if (k->version == 0) {
        k->create_rev = main;
    }
    k->version++;
    k->lease = lease;
    return k;
}

struct keyrec *keyrec_tombstone(struct keyrec *k, int64_t main, int64_t sub, uint32_t len)
{
    ensure(k->version > 0);
    if (!k->has_tombstone) {
        /* The first generation ends: what the positions do not tell goes into the base. */
        struct keybase base = {k->create_rev, k->version - ((int64_t)k->count - 1)};
        if (base.create_rev != k->slots[0].main || base.version != 1) {
            k = rec_reshape(k, 0, k->count, &base);
        }
        k->has_tombstone = 1;
    }
    k = rec_append(k, rev_make(main, sub, true, len));
    k->version = 0;
    k->create_rev = 0;
    k->lease = 0;
    return k;
}

/* Number of revisions with main <= at. */
static uint32_t revs_up_to(const struct keyrec *k, int64_t at)
{
    const struct keyrev *revs = keyrec_revs(k);
    if (revs[k->count - 1].main <= at) {
        return k->count;
    }
    uint32_t lo = 0;
    uint32_t hi = k->count - 1;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (revs[mid].main <= at) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* create revision and version of the put at i. */
static struct keybase origin_of(const struct keyrec *k, uint32_t i)
{
    const struct keyrev *revs = keyrec_revs(k);
    uint32_t behind = k->count - 1 - i;
    /* Behind a tombstone the living generation is whole, so version counts its revisions. */
    if (k->version > (int64_t)behind) {
        return (struct keybase){k->create_rev, k->version - (int64_t)behind};
    }
    uint32_t start = i;
    while (start > 0 && !keyrev_is_tombstone(&revs[start - 1])) {
        start--;
    }
    if (start == 0 && k->has_base) {
        struct keybase base = base_get(k);
        return (struct keybase){base.create_rev, base.version + (int64_t)i};
    }
    return (struct keybase){revs[start].main, (int64_t)(i - start) + 1};
}

bool keyrec_state_at(const struct keyrec *k, int64_t at, struct keyrec_state *out)
{
    uint32_t n = revs_up_to(k, at);
    if (n == 0) {
        return false;
    }
    const struct keyrev *r = keyrec_revs(k) + n - 1;
    if (keyrev_is_tombstone(r)) {
        return false;
    }
    struct keybase origin =
        n == k->count ? (struct keybase){k->create_rev, k->version} : origin_of(k, n - 1);
    *out = (struct keyrec_state){r->main, keyrev_sub(r), origin.create_rev, origin.version, r->len};
    return true;
}

uint32_t keyrec_drop_count(const struct keyrec *k, int64_t c)
{
    uint32_t n = revs_up_to(k, c);
    if (n == 0) {
        return 0;
    }
    const struct keyrev *revs = keyrec_revs(k);
    /* The generation that ends exactly at c is the first one that ends at or after it. */
    uint32_t at_c = n;
    while (at_c > 0 && revs[at_c - 1].main == c) {
        at_c--;
    }
    for (uint32_t i = at_c; i < n; i++) {
        if (keyrev_is_tombstone(&revs[i])) {
            return i;
        }
    }
    return keyrev_is_tombstone(&revs[n - 1]) ? n : n - 1;
}

struct keyrec *keyrec_drop(struct keyrec *k, uint32_t n)
{
    ensure(n <= k->count);
    if (n == k->count) {
        keyrec_destroy(k);
        return NULL;
    }
    if (n == 0) {
        return k;
    }
    const struct keyrev *revs = keyrec_revs(k);
    bool has_tombstone = false;
    for (uint32_t i = n; i < k->count && k->has_tombstone; i++) {
        has_tombstone = has_tombstone || keyrev_is_tombstone(&revs[i]);
    }
    struct keybase base = {0, 0};
    bool needs_base = false;
    if (has_tombstone && !keyrev_is_tombstone(&revs[n])) {
        base = origin_of(k, n);
        needs_base = base.create_rev != revs[n].main || base.version != 1;
    }
    k = rec_reshape(k, n, k->count - n, needs_base ? &base : NULL);
    k->has_tombstone = has_tombstone ? 1 : 0;
    return k;
}

bool keyrec_keep(const struct keyrec *k, int64_t at, struct keyrev *out, bool *out_any)
{
    uint32_t drop = keyrec_drop_count(k, at);
    if (drop == k->count) {
        return false;
    }
    const struct keyrev *r = keyrec_revs(k) + drop;
    if (r->main > at) {
        return false;
    }
    *out_any = true;
    *out = *r;
    return !keyrev_is_tombstone(r);
}

void keyrec_check(const struct keyrec *k)
{
    const struct keyrev *revs = keyrec_revs(k);
    ensure(k->count > 0);
    bool has_tombstone = false;
    for (uint32_t i = 0; i < k->count; i++) {
        bool is_tombstone = keyrev_is_tombstone(&revs[i]);
        has_tombstone = has_tombstone || is_tombstone;
        if (i > 0) {
            ensure(revs[i].main > revs[i - 1].main ||
                   (revs[i].main == revs[i - 1].main &&
                    keyrev_sub(&revs[i]) > keyrev_sub(&revs[i - 1])));
            ensure(!is_tombstone || !keyrev_is_tombstone(&revs[i - 1]));
        }
    }
    ensure(has_tombstone == (k->has_tombstone != 0));
    ensure(has_tombstone || !k->has_base);
    ensure((k->version > 0) == !keyrev_is_tombstone(&revs[k->count - 1]));
    ensure(k->version > 0 || (k->lease == 0 && k->create_rev == 0));
    ensure(k->create_rev <= revs[k->count - 1].main);
}

bool keyrec_equal(const struct keyrec *a, const struct keyrec *b)
{
    return a->count == b->count && a->has_base == b->has_base &&
           a->has_tombstone == b->has_tombstone && a->lease == b->lease &&
           a->create_rev == b->create_rev && a->version == b->version &&
           slice_equal(keyrec_key(a), keyrec_key(b)) &&
           memcmp(a->slots, b->slots, (a->count + a->has_base) * sizeof(struct keyrev)) == 0;
}
