/* SPDX-License-Identifier: Apache-2.0 */
#include "bolt/freelist.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"

enum { FIRST_PAGE = 2 }; /* 0 and 1 are the meta pages */

/* ---- lists ---- */

static void run_list_push(struct run_list *l, struct page_run run)
{
    if (l->len == l->cap) {
        l->cap = l->cap == 0 ? 16 : l->cap * 2;
        l->runs = mem_realloc(l->runs, l->cap * sizeof(*l->runs));
    }
    l->runs[l->len++] = run;
}

/* The entry of txid, made at the end if missing: txids only rise. */
static struct tx_runs *tx_runs_of(struct tx_runs_list *l, uint64_t txid)
{
    if (l->len > 0 && l->items[l->len - 1].txid == txid) {
        return &l->items[l->len - 1];
    }
    ensure(l->len == 0 || l->items[l->len - 1].txid < txid);
    if (l->len == l->cap) {
        l->cap = l->cap == 0 ? 8 : l->cap * 2;
        l->items = mem_realloc(l->items, l->cap * sizeof(*l->items));
    }
    l->items[l->len] = (struct tx_runs){.txid = txid, .seen_reader = UINT64_MAX};
    return &l->items[l->len++];
}

static void tx_runs_list_deinit(struct tx_runs_list *l)
{
    for (size_t i = 0; i < l->len; i++) {
        mem_free(l->items[i].list.runs);
    }
    mem_free(l->items);
    *l = (struct tx_runs_list){0};
}

/* ---- life ---- */

void freelist_init(struct freelist *fl)
{
    *fl = (struct freelist){.first_free = FIRST_PAGE, .no_run_count = UINT64_MAX};
    map_init(&fl->alloc_txids);
}

void freelist_deinit(struct freelist *fl)
{
    bits_deinit(&fl->free);
    bits_deinit(&fl->pending_bits);
    tx_runs_list_deinit(&fl->pending);
    tx_runs_list_deinit(&fl->allocs);
    map_deinit(&fl->alloc_txids);
    mem_free(fl->readers);
    *fl = (struct freelist){0};
}

void freelist_limit_set(struct freelist *fl, uint64_t limit)
{
    ensure(limit >= fl->limit);
    bits_reserve(&fl->free, limit);
    bits_reserve(&fl->pending_bits, limit);
    fl->limit = limit;
}

static void set_free(struct freelist *fl, uint64_t id, uint64_t count)
{
    ensure(id >= FIRST_PAGE && id + count <= fl->limit);
    for (uint64_t i = id; i < id + count; i++) {
        ensure(!bits_get(&fl->free, i));
        bits_set(&fl->free, i);
    }
    fl->free_count += count;
    fl->no_run_count = UINT64_MAX;
    if (id < fl->first_free) {
        fl->first_free = id;
    }
}

void freelist_add(struct freelist *fl, uint64_t id)
{
    set_free(fl, id, 1);
}

bool freelist_is_freed(const struct freelist *fl, uint64_t id)
{
    return bits_get(&fl->free, id) || bits_get(&fl->pending_bits, id);
}

/* ---- readers ---- */

/* Index of the first reader with a txid >= txid. */
static size_t reader_index(const struct freelist *fl, uint64_t txid)
{
    size_t i = fl->reader_count;
    while (i > 0 && fl->readers[i - 1].txid >= txid) {
        i--;
    }
    return i;
}

void freelist_reader_add(struct freelist *fl, uint64_t txid)
{
    size_t i = reader_index(fl, txid);
    if (i < fl->reader_count && fl->readers[i].txid == txid) {
        fl->readers[i].count++;
        return;
    }
    if (fl->reader_count == fl->reader_cap) {
        fl->reader_cap = fl->reader_cap == 0 ? 8 : fl->reader_cap * 2;
        fl->readers = mem_realloc(fl->readers, fl->reader_cap * sizeof(*fl->readers));
    }
    memmove(fl->readers + i + 1, fl->readers + i, (fl->reader_count - i) * sizeof(*fl->readers));
    fl->readers[i] = (struct reader){txid, 1};
    fl->reader_count++;
}

void freelist_reader_remove(struct freelist *fl, uint64_t txid)
{
    size_t i = reader_index(fl, txid);
    ensure(i < fl->reader_count && fl->readers[i].txid == txid && fl->readers[i].count > 0);
    if (--fl->readers[i].count == 0) {
        fl->reader_count--;
        memmove(fl->readers + i, fl->readers + i + 1,
                (fl->reader_count - i) * sizeof(*fl->readers));
    }
}

uint32_t freelist_open_readers(const struct freelist *fl)
{
    uint32_t n = 0;
    for (size_t i = 0; i < fl->reader_count; i++) {
        n += fl->readers[i].count;
    }
    return n;
}

/* ---- release ---- */

/* Allocation txids say something only while a reader is older than they are. */
static void drop_old_allocs(struct freelist *fl)
{
    uint64_t oldest = fl->reader_count > 0 ? fl->readers[0].txid : UINT64_MAX;
    size_t n = 0;
    while (n < fl->allocs.len && fl->allocs.items[n].txid <= oldest) {
        struct tx_runs *a = &fl->allocs.items[n];
        for (size_t i = 0; i < a->list.len; i++) {
            uint64_t id = a->list.runs[i].id;
            if ((uint64_t)(uintptr_t)map_get(&fl->alloc_txids, id) == a->txid) {
                (void)map_remove(&fl->alloc_txids, id);
            }
        }
        mem_free(a->list.runs);
        n++;
    }
    fl->allocs.len -= n;
    if (n > 0) {
        memmove(fl->allocs.items, fl->allocs.items + n, fl->allocs.len * sizeof(*fl->allocs.items));
    }
}

static void pending_to_free(struct freelist *fl, struct page_run run)
{
    for (uint64_t i = run.id; i < run.id + run.count; i++) {
        ensure(bits_get(&fl->pending_bits, i));
        bits_clear(&fl->pending_bits, i);
    }
    ensure(fl->pending_count >= run.count);
    fl->pending_count -= run.count;
    set_free(fl, run.id, run.count);
}

/* Frees the runs of one transaction that no reader in [alloc_txid, txid - 1] can reach. */
static void release_one(struct freelist *fl, struct tx_runs *p)
{
    size_t below = reader_index(fl, p->txid);
    uint64_t newest_below = below > 0 ? fl->readers[below - 1].txid : 0;
    if (below > 0 && newest_below == p->seen_reader) {
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < p->list.len; i++) {
        struct page_run run = p->list.runs[i];
        if (below == 0 || newest_below < run.alloc_txid) {
            pending_to_free(fl, run);
        } else {
            p->list.runs[kept++] = run;
        }
    }
    p->list.len = kept;
    p->seen_reader = below > 0 ? newest_below : UINT64_MAX;
}

void freelist_release(struct freelist *fl)
{
    size_t kept = 0;
    for (size_t i = 0; i < fl->pending.len; i++) {
        struct tx_runs *p = &fl->pending.items[i];
        release_one(fl, p);
        if (p->list.len == 0) {
            mem_free(p->list.runs);
        } else {
            fl->pending.items[kept++] = *p;
        }
    }
    fl->pending.len = kept;
    drop_old_allocs(fl);
}

/* ---- allocate and free ---- */

void freelist_allocated(struct freelist *fl, uint64_t txid, uint64_t id, uint64_t count)
{
    ensure(txid > 0 && id >= FIRST_PAGE);
    run_list_push(&tx_runs_of(&fl->allocs, txid)->list, (struct page_run){id, count, txid});
    (void)map_put(&fl->alloc_txids, id, (void *)(uintptr_t)txid);
}

static uint64_t find_run(const struct freelist *fl, uint64_t count)
{
    uint64_t at = fl->first_free;
    for (;;) {
        at = bits_next_set(&fl->free, at, fl->limit);
        if (fl->limit - at < count) {
            return 0;
        }
        uint64_t end = bits_next_clear(&fl->free, at, at + count);
        if (end - at >= count) {
            return at;
        }
        at = end;
    }
}

uint64_t freelist_allocate(struct freelist *fl, uint64_t txid, uint64_t count)
{
    ensure(count > 0);
    if (count > fl->free_count || count >= fl->no_run_count) {
        return 0;
    }
    uint64_t id = find_run(fl, count);
    if (id == 0) {
        fl->no_run_count = count;
        return 0;
    }
    for (uint64_t i = id; i < id + count; i++) {
        ensure(bits_get(&fl->free, i));
        ensure(!bits_get(&fl->pending_bits, i));
        bits_clear(&fl->free, i);
    }
    fl->free_count -= count;
    if (id == bits_next_set(&fl->free, fl->first_free, id)) {
        fl->first_free = id + count;
    }
    freelist_allocated(fl, txid, id, count);
    return id;
}

int freelist_free(struct freelist *fl, uint64_t txid, uint64_t id, uint64_t count)
{
    if (id < FIRST_PAGE || count == 0 || id >= fl->limit || count > fl->limit - id) {
        return ERR_CORRUPT;
    }
    for (uint64_t i = id; i < id + count; i++) {
        if (freelist_is_freed(fl, i)) {
            return ERR_CORRUPT;
        }
    }
    uint64_t alloc = (uint64_t)(uintptr_t)map_remove(&fl->alloc_txids, id);
    if (alloc == txid) {
        (void)map_put(&fl->alloc_txids, id, (void *)(uintptr_t)alloc);
        return ERR_CORRUPT; /* only a tree with a loop leads a tx to its own pages */
    }
    for (uint64_t i = id; i < id + count; i++) {
        bits_set(&fl->pending_bits, i);
    }
    fl->pending_count += count;
    run_list_push(&tx_runs_of(&fl->pending, txid)->list, (struct page_run){id, count, alloc});
    return 0;
}

/* ---- rollback ---- */

static void rollback_frees(struct freelist *fl, uint64_t txid)
{
    if (fl->pending.len == 0 || fl->pending.items[fl->pending.len - 1].txid != txid) {
        return;
    }
    struct tx_runs *p = &fl->pending.items[--fl->pending.len];
    for (size_t i = 0; i < p->list.len; i++) {
        struct page_run run = p->list.runs[i];
        for (uint64_t k = run.id; k < run.id + run.count; k++) {
            bits_clear(&fl->pending_bits, k);
        }
        fl->pending_count -= run.count;
        if (run.alloc_txid != 0) {
            (void)map_put(&fl->alloc_txids, run.id, (void *)(uintptr_t)run.alloc_txid);
        }
    }
    mem_free(p->list.runs);
}

static void rollback_allocs(struct freelist *fl, uint64_t txid, uint64_t old_limit)
{
    if (fl->allocs.len == 0 || fl->allocs.items[fl->allocs.len - 1].txid != txid) {
        return;
    }
    struct tx_runs *a = &fl->allocs.items[--fl->allocs.len];
    for (size_t i = 0; i < a->list.len; i++) {
        struct page_run run = a->list.runs[i];
        (void)map_remove(&fl->alloc_txids, run.id);
        if (run.id < old_limit) {
            set_free(fl, run.id, run.count);
        }
    }
    mem_free(a->list.runs);
}

void freelist_rollback(struct freelist *fl, uint64_t txid, uint64_t old_limit)
{
    rollback_frees(fl, txid);
    rollback_allocs(fl, txid, old_limit);
    ensure(old_limit <= fl->limit);
    fl->limit = old_limit;
}

/* ---- check ---- */

void freelist_check(const struct freelist *fl)
{
    uint64_t free_count = 0;
    uint64_t pending_count = 0;
    for (uint64_t i = 0; i < fl->limit; i++) {
        bool is_free = bits_get(&fl->free, i);
        bool is_pending = bits_get(&fl->pending_bits, i);
        ensure(!(is_free && is_pending));
        ensure(i >= FIRST_PAGE || (!is_free && !is_pending));
        ensure(!is_free || i >= fl->first_free);
        free_count += is_free;
        pending_count += is_pending;
    }
    ensure(free_count == fl->free_count && pending_count == fl->pending_count);
    uint64_t listed = 0;
    for (size_t t = 0; t < fl->pending.len; t++) {
        const struct tx_runs *p = &fl->pending.items[t];
        ensure(t == 0 || fl->pending.items[t - 1].txid < p->txid);
        for (size_t i = 0; i < p->list.len; i++) {
            ensure(bits_get(&fl->pending_bits, p->list.runs[i].id));
            listed += p->list.runs[i].count;
        }
    }
    ensure(listed == pending_count);
    for (size_t i = 1; i < fl->reader_count; i++) {
        ensure(fl->readers[i - 1].txid < fl->readers[i].txid);
    }
}
