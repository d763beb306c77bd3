/* SPDX-License-Identifier: Apache-2.0
 *
 * lease/lessor: see lessor.h.  Two heaps over the leases: by the time they are due for revocation
 * and by the time of their next checkpoint; equal times go by id, so that every run is alike.
 */
#include "lease/lessor.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"
#include "lease/lease_keys.h"
#include "schema/schema.h"

#define NEVER UINT64_MAX
#define NOT_IN_HEAP SIZE_MAX

enum heap_kind { HEAP_EXPIRY, HEAP_CHECKPOINT, HEAP_KINDS };
enum { MS_PER_S = 1000 };

struct lease {
    struct list_node node;
    int64_t id;
    int64_t ttl_s;
    int64_t remaining_ttl_s;
    uint64_t expiry_ms;          /* NEVER */
    uint64_t due_ms[HEAP_KINDS]; /* expiry or the next try; checkpoint */
    size_t heap_at[HEAP_KINDS];
    struct lease_keys keys;
};

struct heap {
    struct lease **items;
    size_t len;
    size_t cap;
    enum heap_kind kind;
};

struct lessor {
    struct lease_ttls ttls;
    struct lessor_options opts;
    struct map by_id;
    struct list all; /* in order of arrival */
    size_t count;
    struct heap heaps[HEAP_KINDS];
    bool is_primary;
};

/* ---- heap ---- */

static bool is_before(const struct heap *h, const struct lease *a, const struct lease *b)
{
    uint64_t x = a->due_ms[h->kind];
    uint64_t y = b->due_ms[h->kind];
    return x != y ? x < y : a->id < b->id;
}

static void heap_set(struct heap *h, size_t at, struct lease *l)
{
    h->items[at] = l;
    l->heap_at[h->kind] = at;
}

static void heap_up(struct heap *h, size_t at)
{
    struct lease *l = h->items[at];
    while (at > 0 && is_before(h, l, h->items[(at - 1) / 2])) {
        heap_set(h, at, h->items[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_set(h, at, l);
}

static void heap_down(struct heap *h, size_t at)
{
    struct lease *l = h->items[at];
    while (at * 2 + 1 < h->len) {
        size_t child = at * 2 + 1;
        if (child + 1 < h->len && is_before(h, h->items[child + 1], h->items[child])) {
            child++;
        }
        if (!is_before(h, h->items[child], l)) {
            break;
        }
        heap_set(h, at, h->items[child]);
        at = child;
    }
    heap_set(h, at, l);
}

static void heap_remove(struct heap *h, struct lease *l)
{
    size_t at = l->heap_at[h->kind];
    if (at == NOT_IN_HEAP) {
        return;
    }
    l->heap_at[h->kind] = NOT_IN_HEAP;
    struct lease *last = h->items[--h->len];
    if (last != l) {
        heap_set(h, at, last);
        heap_up(h, at);
        heap_down(h, last->heap_at[h->kind]);
    }
}

/* NEVER takes it out. */
static void heap_schedule(struct heap *h, struct lease *l, uint64_t due_ms)
{
    l->due_ms[h->kind] = due_ms;
    if (due_ms == NEVER) {
        heap_remove(h, l);
        return;
    }
    if (l->heap_at[h->kind] == NOT_IN_HEAP) {
        if (h->len == h->cap) {
            h->cap = h->cap == 0 ? 64 : h->cap * 2;
            h->items = mem_realloc(h->items, h->cap * sizeof(h->items[0]));
        }
        heap_set(h, h->len++, l);
    }
    heap_up(h, l->heap_at[h->kind]);
    heap_down(h, l->heap_at[h->kind]);
}

/* ---- life ---- */

struct lessor *lessor_create(const struct lessor_options *opts)
{
    struct lessor *l = mem_zalloc(sizeof(*l));
    l->opts = *opts;
    map_init(&l->by_id);
    list_init(&l->all);
    l->heaps[HEAP_EXPIRY].kind = HEAP_EXPIRY;
    l->heaps[HEAP_CHECKPOINT].kind = HEAP_CHECKPOINT;
    return l;
}

void lessor_reset(struct lessor *l)
{
    LIST_FOREACH (&l->all, n) {
        struct lease *lease = LIST_ENTRY(n, struct lease, node);
        lease_keys_deinit(&lease->keys);
        mem_free(lease);
    }
    list_init(&l->all);
    map_deinit(&l->by_id);
    map_init(&l->by_id);
    l->count = 0;
    l->heaps[HEAP_EXPIRY].len = 0;
    l->heaps[HEAP_CHECKPOINT].len = 0;
}

void lessor_destroy(struct lessor *l)
{
    if (l == NULL) {
        return;
    }
    lessor_reset(l);
    map_deinit(&l->by_id);
    mem_free(l->heaps[HEAP_EXPIRY].items);
    mem_free(l->heaps[HEAP_CHECKPOINT].items);
    mem_free(l);
}

/* A bijection, so that different ids stay different. */
static uint64_t id_key(const struct lessor *l, int64_t id)
{
    uint64_t x = (uint64_t)id ^ l->opts.hash_seed;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31) ^ (l->opts.hash_seed << 1);
}

static struct lease *lease_find(const struct lessor *l, int64_t id)
{
    return map_get(&l->by_id, id_key(l, id));
}

static struct lease *lease_add(struct lessor *l, int64_t id, int64_t ttl_s, int64_t remaining_s)
{
    struct lease *lease = mem_zalloc(sizeof(*lease));
    lease->id = id;
    lease->ttl_s = ttl_s < l->opts.min_ttl_s ? l->opts.min_ttl_s : ttl_s;
    lease->remaining_ttl_s = remaining_s;
    lease->expiry_ms = NEVER;
    for (int k = 0; k < HEAP_KINDS; k++) {
        lease->due_ms[k] = NEVER;
        lease->heap_at[k] = NOT_IN_HEAP;
    }
    lease_keys_init(&lease->keys);
    list_push_back(&l->all, &lease->node);
    (void)map_put(&l->by_id, id_key(l, id), lease);
    l->count++;
    return lease;
}

int lessor_load(struct lessor *l, struct slice key, struct slice value)
{
    struct schema_lease row;
    int err = schema_lease_decode(value, &row);
    if (err != 0) {
        return err;
    }
    if (key.len != SCHEMA_LEASE_KEY_BYTES || (int64_t)load_be64(key.data) != row.id ||
        row.ttl_s > LIMIT_LEASE_TTL_S || lease_find(l, row.id) != NULL) {
        return ERR_MALFORMED;
    }
    (void)lease_add(l, row.id, row.ttl_s, row.remaining_ttl_s);
    return 0;
}

static void row_key(int64_t id, uint8_t out[SCHEMA_LEASE_KEY_BYTES])
{
    store_be64(out, (uint64_t)id);
}

static void row_put(struct lessor *l, const struct lease *lease)
{
    uint8_t key[SCHEMA_LEASE_KEY_BYTES];
    row_key(lease->id, key);
    struct schema_lease row = {lease->id, lease->ttl_s, lease->remaining_ttl_s};
    struct buf value = BUF_INIT;
    schema_lease_encode(&value, &row);
    backend_put(l->opts.backend, l->opts.bucket_lease, slice_make(key, sizeof(key)),
                buf_slice(&value));
    buf_deinit(&value);
}

/* ---- time ---- */

/* What is left to run when the lease starts now. */
static int64_t run_s(const struct lease *lease)
{
    return lease->remaining_ttl_s > 0 ? lease->remaining_ttl_s : lease->ttl_s;
}

static void checkpoint_schedule(struct lessor *l, struct lease *lease, uint64_t now_ms)
{
    bool is_due =
        l->opts.is_checkpointing && l->is_primary && run_s(lease) > LEASE_CHECKPOINT_MS / MS_PER_S;
    heap_schedule(&l->heaps[HEAP_CHECKPOINT], lease, is_due ? now_ms + LEASE_CHECKPOINT_MS : NEVER);
}

static void lease_start(struct lessor *l, struct lease *lease, uint64_t now_ms, uint64_t extend_ms)
{
    lease->expiry_ms =
        l->is_primary ? now_ms + extend_ms + (uint64_t)run_s(lease) * MS_PER_S : NEVER;
    heap_schedule(&l->heaps[HEAP_EXPIRY], lease, lease->expiry_ms);
}

static void all_stop(struct lessor *l)
{
    LIST_FOREACH (&l->all, n) {
        struct lease *lease = LIST_ENTRY(n, struct lease, node);
        lease->expiry_ms = NEVER;
        heap_schedule(&l->heaps[HEAP_EXPIRY], lease, NEVER);
        heap_schedule(&l->heaps[HEAP_CHECKPOINT], lease, NEVER);
    }
}

static int by_expiry(const void *x, const void *y)
{
    const struct lease *a = *(struct lease *const *)x;
    const struct lease *b = *(struct lease *const *)y;
    if (a->expiry_ms != b->expiry_ms) {
        return a->expiry_ms < b->expiry_ms ? -1 : 1;
    }
    return a->id < b->id ? -1 : (a->id > b->id ? 1 : 0);
}

static struct lease **all_sorted(const struct lessor *l)
{
    struct lease **leases = mem_alloc_array(l->count, sizeof(struct lease *));
    size_t n = 0;
    LIST_FOREACH (&l->all, node) {
        leases[n++] = LIST_ENTRY(node, struct lease, node);
    }
    if (n > 0) {
        qsort(leases, n, sizeof(leases[0]), by_expiry);
    }
    return leases;
}

/* Many leases that would end in one second: at most 3/4 of the revoke rate stay in it. */
static void expiries_spread(struct lessor *l, uint64_t now_ms, uint64_t extend_ms)
{
    const int64_t per_s = LEASE_REVOKE_RATE * 3 / 4;
    struct lease **leases = all_sorted(l);
    int64_t base = (int64_t)(leases[0]->expiry_ms - now_ms);
    int64_t next = base + MS_PER_S;
    int64_t expires = 0;
    for (size_t i = 0; i < l->count; i++) {
        int64_t left = (int64_t)(leases[i]->expiry_ms - now_ms);
        if (left > next) {
            base = left;
            next = base + MS_PER_S;
            expires = 1;
            continue;
        }
        if (++expires <= per_s) {
            continue;
        }
        /* Already n seconds behind the base: n seconds less to move. */
        int64_t delay = MS_PER_S * expires / per_s - (left - base);
        next = base + delay;
        lease_start(l, leases[i], now_ms, extend_ms + (uint64_t)(delay > 0 ? delay : 0));
    }
    mem_free(leases);
}

static void all_start(struct lessor *l, uint64_t now_ms, uint64_t extend_ms)
{
    LIST_FOREACH (&l->all, n) {
        struct lease *lease = LIST_ENTRY(n, struct lease, node);
        lease_start(l, lease, now_ms, extend_ms);
        checkpoint_schedule(l, lease, now_ms);
    }
    if (l->count >= LEASE_REVOKE_RATE && l->is_primary) {
        expiries_spread(l, now_ms, extend_ms);
    }
}

void lessor_promote(struct lessor *l, uint64_t now_ms, uint64_t extend_ms)
{
    l->is_primary = true;
    all_start(l, now_ms, extend_ms);
}

void lessor_demote(struct lessor *l)
{
    l->is_primary = false;
    all_stop(l);
}

bool lessor_is_primary(const struct lessor *l)
{
    return l->is_primary;
}

int lessor_renew(struct lessor *l, int64_t id, uint64_t now_ms, int64_t *out_ttl_s,
                 bool *needs_checkpoint)
{
    if (!l->is_primary) {
        return ERR_RPC_NOT_PRIMARY_LESSOR;
    }
    struct lease *lease = lease_find(l, id);
    if (lease == NULL) {
        return ERR_RPC_LEASE_NOT_FOUND;
    }
    if (now_ms >= lease->expiry_ms) {
        return ERR_AGAIN;
    }
    *out_ttl_s = lease->ttl_s;
    *needs_checkpoint = l->opts.is_checkpointing && lease->remaining_ttl_s > 0;
    if (!*needs_checkpoint) {
        lease_start(l, lease, now_ms, 0);
    }
    return 0;
}

size_t lessor_expired(struct lessor *l, uint64_t now_ms, int64_t *out_ids, size_t max)
{
    struct heap *h = &l->heaps[HEAP_EXPIRY];
    size_t n = 0;
    max = max < LEASE_EXPIRED_MAX ? max : LEASE_EXPIRED_MAX;
    while (n < max && h->len > 0 && h->items[0]->due_ms[HEAP_EXPIRY] <= now_ms) {
        out_ids[n++] = h->items[0]->id;
        heap_schedule(h, h->items[0], now_ms + LEASE_RETRY_MS);
    }
    return n;
}

uint64_t lessor_next_expiry_ms(const struct lessor *l)
{
    const struct heap *h = &l->heaps[HEAP_EXPIRY];
    return h->len == 0 ? NEVER : h->items[0]->due_ms[HEAP_EXPIRY];
}

size_t lessor_checkpoints(struct lessor *l, uint64_t now_ms, struct lease_checkpoint *out,
                          size_t max)
{
    struct heap *h = &l->heaps[HEAP_CHECKPOINT];
    size_t n = 0;
    while (n < max && h->len > 0 && h->items[0]->due_ms[HEAP_CHECKPOINT] <= now_ms) {
        struct lease *lease = h->items[0];
        heap_schedule(h, lease, NEVER);
        if (now_ms >= lease->expiry_ms) {
            continue;
        }
        int64_t left_s = (int64_t)((lease->expiry_ms - now_ms + MS_PER_S - 1) / MS_PER_S);
        if (left_s < lease->ttl_s) {
            out[n++] = (struct lease_checkpoint){lease->id, left_s};
        }
    }
    return n;
}

/* ---- replicated changes ---- */

static void ttl_count(struct lessor *l, int64_t ttl_s)
{
    size_t i = 0;
    while (i < LEASE_TTL_BUCKETS && ttl_s > (int64_t)1 << i) {
        i++;
    }
    l->ttls.counts[i]++;
    l->ttls.sum_s += (uint64_t)ttl_s;
}

const struct lease_ttls *lessor_ttls(const struct lessor *l)
{
    return &l->ttls;
}

int lessor_grant(struct lessor *l, int64_t id, int64_t ttl_s, uint64_t now_ms, int64_t *out_ttl_s)
{
    if (id == 0) {
        return ERR_RPC_LEASE_NOT_FOUND;
    }
    if (ttl_s > LIMIT_LEASE_TTL_S) {
        return ERR_RPC_LEASE_TTL_TOO_LARGE;
    }
    if (lease_find(l, id) != NULL) {
        return ERR_RPC_LEASE_EXISTS;
    }
    struct lease *lease = lease_add(l, id, ttl_s, 0);
    lease_start(l, lease, now_ms, 0);
    checkpoint_schedule(l, lease, now_ms);
    row_put(l, lease);
    ttl_count(l, lease->ttl_s);
    *out_ttl_s = lease->ttl_s;
    return 0;
}

int lessor_remove(struct lessor *l, int64_t id)
{
    struct lease *lease = lease_find(l, id);
    if (lease == NULL) {
        return ERR_RPC_LEASE_NOT_FOUND;
    }
    heap_remove(&l->heaps[HEAP_EXPIRY], lease);
    heap_remove(&l->heaps[HEAP_CHECKPOINT], lease);
    (void)map_remove(&l->by_id, id_key(l, id));
    list_remove(&lease->node);
    l->count--;
    uint8_t key[SCHEMA_LEASE_KEY_BYTES];
    row_key(id, key);
    backend_delete(l->opts.backend, l->opts.bucket_lease, slice_make(key, sizeof(key)));
    lease_keys_deinit(&lease->keys);
    mem_free(lease);
    return 0;
}

void lessor_checkpoint(struct lessor *l, int64_t id, int64_t remaining_ttl_s, bool is_persisted,
                       uint64_t now_ms)
{
    struct lease *lease = lease_find(l, id);
    if (lease == NULL) {
        return;
    }
    lease->remaining_ttl_s = remaining_ttl_s;
    if (is_persisted) {
        row_put(l, lease);
    }
    checkpoint_schedule(l, lease, now_ms);
}

/* ---- keys ---- */

bool lessor_has(const struct lessor *l, int64_t id)
{
    return lease_find(l, id) != NULL;
}

bool lessor_attach(struct lessor *l, int64_t id, struct slice key)
{
    struct lease *lease = lease_find(l, id);
    if (lease == NULL) {
        return false;
    }
    lease_keys_add(&lease->keys, key);
    return true;
}

void lessor_detach(struct lessor *l, int64_t id, struct slice key)
{
    struct lease *lease = lease_find(l, id);
    if (lease != NULL) {
        (void)lease_keys_remove(&lease->keys, key);
    }
}

size_t lessor_key_count(struct lessor *l, int64_t id)
{
    struct lease *lease = lease_find(l, id);
    return lease == NULL ? 0 : lease_keys_tidy(&lease->keys);
}

struct slice lessor_key_at(struct lessor *l, int64_t id, size_t i)
{
    struct lease *lease = lease_find(l, id);
    ensure(lease != NULL);
    return lease_keys_at(&lease->keys, i);
}

/* ---- queries ---- */

int lessor_info(const struct lessor *l, int64_t id, uint64_t now_ms, struct lease_info *out)
{
    const struct lease *lease = lease_find(l, id);
    if (lease == NULL) {
        return ERR_RPC_LEASE_NOT_FOUND;
    }
    int64_t left_s = lease->ttl_s;
    if (lease->expiry_ms != NEVER) {
        left_s = ((int64_t)lease->expiry_ms - (int64_t)now_ms) / MS_PER_S;
    }
    *out = (struct lease_info){id, lease->ttl_s, lease->remaining_ttl_s, left_s};
    return 0;
}

size_t lessor_count(const struct lessor *l)
{
    return l->count;
}

void lessor_list(const struct lessor *l, int64_t *out_ids)
{
    struct lease **leases = all_sorted(l);
    for (size_t i = 0; i < l->count; i++) {
        out_ids[i] = leases[i]->id;
    }
    mem_free(leases);
}

static void heap_check(const struct lessor *l, const struct heap *h)
{
    for (size_t i = 0; i < h->len; i++) {
        ensure(h->items[i]->heap_at[h->kind] == i && h->items[i]->due_ms[h->kind] != NEVER);
        ensure(i == 0 || !is_before(h, h->items[i], h->items[(i - 1) / 2]));
    }
    ensure(l->is_primary || h->len == 0);
}

void lessor_check(const struct lessor *l)
{
    heap_check(l, &l->heaps[HEAP_EXPIRY]);
    heap_check(l, &l->heaps[HEAP_CHECKPOINT]);
    size_t count = 0;
    LIST_FOREACH (&l->all, n) {
        const struct lease *lease = LIST_ENTRY(n, struct lease, node);
        ensure(lease_find(l, lease->id) == lease);
        ensure((lease->expiry_ms == NEVER) == (lease->heap_at[HEAP_EXPIRY] == NOT_IN_HEAP));
        lease_keys_check(&lease->keys);
        count++;
    }
    ensure(count == l->count && count == l->by_id.len);
}
