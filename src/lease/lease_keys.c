/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/lease_keys.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/buf.h"

enum { TAIL_MAX = 64, ITEMS_MIN = 4 };

struct lease_key {
    uint32_t len;
    bool is_dead;
    uint8_t bytes[];
};

void lease_keys_init(struct lease_keys *k)
{
    *k = (struct lease_keys){0};
}

void lease_keys_deinit(struct lease_keys *k)
{
    for (size_t i = 0; i < k->len; i++) {
        mem_free(k->items[i]);
    }
    mem_free(k->items);
    *k = (struct lease_keys){0};
}

static struct slice key_of(const struct lease_key *key)
{
    return slice_make(key->bytes, key->len);
}

void lease_keys_add(struct lease_keys *k, struct slice key)
{
    if (k->len == k->cap) {
        k->cap = k->cap == 0 ? ITEMS_MIN : k->cap * 2;
        k->items = mem_realloc(k->items, k->cap * sizeof(k->items[0]));
    }
    ensure(key.len <= UINT32_MAX);
    struct lease_key *item = mem_alloc(sizeof(*item) + key.len);
    item->len = (uint32_t)key.len;
    item->is_dead = false;
    if (key.len > 0) {
        memcpy(item->bytes, key.data, key.len);
    }
    /* Keys that come in order keep the array sorted (restore, revoke tests). */
    bool is_next = k->sorted == k->len &&
                   (k->len == 0 || slice_compare(key_of(k->items[k->len - 1]), key) < 0);
    k->items[k->len++] = item;
    k->sorted += is_next ? 1 : 0;
}

/* Living before marked for the same bytes: a key may leave and come back. */
static int item_order(const void *x, const void *y)
{
    const struct lease_key *a = *(struct lease_key *const *)x;
    const struct lease_key *b = *(struct lease_key *const *)y;
    return slice_compare(key_of(a), key_of(b));
}

static void sweep(struct lease_keys *k)
{
    size_t kept = 0;
    size_t sorted = 0;
    for (size_t i = 0; i < k->len; i++) {
        if (k->items[i]->is_dead) {
            mem_free(k->items[i]);
            continue;
        }
        sorted += i < k->sorted ? 1 : 0;
        k->items[kept++] = k->items[i];
    }
    k->len = kept;
    k->sorted = sorted;
    k->dead = 0;
}

size_t lease_keys_tidy(struct lease_keys *k)
{
    if (k->dead > 0) {
        sweep(k);
    }
    if (k->sorted < k->len) {
        qsort(k->items, k->len, sizeof(k->items[0]), item_order);
        k->sorted = k->len;
    }
    return k->len;
}

static struct lease_key *find_sorted(const struct lease_keys *k, struct slice key)
{
    size_t lo = 0;
    size_t hi = k->sorted;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = slice_compare(key_of(k->items[mid]), key);
        if (c == 0) {
            return k->items[mid];
        }
        if (c < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return NULL;
}

static struct lease_key *find(struct lease_keys *k, struct slice key)
{
    if (k->len - k->sorted > TAIL_MAX) {
        (void)lease_keys_tidy(k);
    }
    struct lease_key *item = find_sorted(k, key);
    if (item != NULL && !item->is_dead) {
        return item;
    }
    for (size_t i = k->sorted; i < k->len; i++) {
        if (!k->items[i]->is_dead && slice_equal(key_of(k->items[i]), key)) {
            return k->items[i];
        }
    }
    return NULL;
}

bool lease_keys_remove(struct lease_keys *k, struct slice key)
{
    struct lease_key *item = find(k, key);
    if (item == NULL) {
        return false;
    }
    item->is_dead = true;
    k->dead++;
    if (k->dead * 2 > k->len) {
        sweep(k);
    }
    return true;
}

struct slice lease_keys_at(const struct lease_keys *k, size_t i)
{
    ensure(i < k->len && k->dead == 0 && k->sorted == k->len);
    return key_of(k->items[i]);
}

void lease_keys_check(const struct lease_keys *k)
{
    size_t dead = 0;
    for (size_t i = 0; i < k->len; i++) {
        dead += k->items[i]->is_dead ? 1 : 0;
        ensure(i == 0 || i >= k->sorted || item_order(&k->items[i - 1], &k->items[i]) < 0);
    }
    ensure(dead == k->dead && k->sorted <= k->len);
}
