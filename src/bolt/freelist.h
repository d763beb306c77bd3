/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/freelist: which pages may be written, and which must wait for readers.
 *
 * Problem     A page freed by transaction X is still read by every older reader; one pinned
 *             snapshot must not keep everything that was written *and* freed during its life.
 * Design      Two bits a page: free, pending.  A pending run remembers X (freed by) and A
 *             (allocated by, 0 if before the oldest reader).  It may be reused when no reader has a
 *             txid in [A, X-1]; looked at when a write tx begins.  A is kept only for pages
 *             allocated after the oldest open reader: for the others 0 says the same.
 *             Runs are taken first-fit from low numbers, so that the end of the file empties.
 * Invariants  F1 free and pending are disjoint; 0 and 1 are neither.  F2 counts equal the bits.
 *             F3 pending transactions ascend; the runs of tx X are pending while X runs.
 * Thread      the db's mutex for readers, release and copies; the writer alone for the rest.
 * Failure     freeing a page that is free already means a damaged file: ERR_CORRUPT.
 * See         storage-formats.md 1.5, 1.7; test/unit/bolt/freelist_test.c
 */
#ifndef BOLT_FREELIST_H
#define BOLT_FREELIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/map.h"

struct bits {
    uint64_t *words;
    size_t word_count;
};

void bits_deinit(struct bits *b);
/* Room for pages [0, count). */
void bits_reserve(struct bits *b, uint64_t count);
bool bits_get(const struct bits *b, uint64_t i);
void bits_set(struct bits *b, uint64_t i);
void bits_clear(struct bits *b, uint64_t i);
/* First set (clear) bit at or above from, at most limit. */
uint64_t bits_next_set(const struct bits *b, uint64_t from, uint64_t limit);
uint64_t bits_next_clear(const struct bits *b, uint64_t from, uint64_t limit);

struct page_run {
    uint64_t id;
    uint64_t count;
    uint64_t alloc_txid;
};

struct run_list {
    struct page_run *runs;
    size_t len;
    size_t cap;
};

/* What one transaction freed (pending), or allocated. */
struct tx_runs {
    uint64_t txid;
    uint64_t seen_reader; /* newest reader below txid at the last look, UINT64_MAX: not looked */
    struct run_list list;
};

struct tx_runs_list {
    struct tx_runs *items; /* txid ascending */
    size_t len;
    size_t cap;
};

struct reader {
    uint64_t txid;
    uint32_t count;
};

struct freelist {
    struct bits free;
    struct bits pending_bits;
    uint64_t limit; /* pages known: [0, limit) */
    uint64_t free_count;
    uint64_t pending_count;
    uint64_t first_free;   /* nothing free below */
    uint64_t no_run_count; /* no run of that many pages since the last release */
    struct tx_runs_list pending;
    struct tx_runs_list allocs;
    struct map alloc_txids; /* run id -> txid that allocated it */
    struct reader *readers; /* txid ascending */
    size_t reader_count;
    size_t reader_cap;
};

void freelist_init(struct freelist *fl);
void freelist_deinit(struct freelist *fl);
/* Pages [0, limit) exist; grows only. */
void freelist_limit_set(struct freelist *fl, uint64_t limit);
/* At open: page id is free. */
void freelist_add(struct freelist *fl, uint64_t id);

void freelist_reader_add(struct freelist *fl, uint64_t txid);
void freelist_reader_remove(struct freelist *fl, uint64_t txid);
uint32_t freelist_open_readers(const struct freelist *fl);

/* When a write tx begins: pending runs that nobody can reach become free. */
void freelist_release(struct freelist *fl);
/* First page of count free ones in a row, or 0. */
uint64_t freelist_allocate(struct freelist *fl, uint64_t txid, uint64_t count);
/* A run taken above the old hwm. */
void freelist_allocated(struct freelist *fl, uint64_t txid, uint64_t id, uint64_t count);
/* txid freed the run; ERR_CORRUPT when a page of it is unknown, free or pending already. */
MUST_USE int freelist_free(struct freelist *fl, uint64_t txid, uint64_t id, uint64_t count);
/* Undoes what txid allocated and freed; pages from old_limit on are forgotten. */
void freelist_rollback(struct freelist *fl, uint64_t txid, uint64_t old_limit);
/* Free or pending. */
bool freelist_is_freed(const struct freelist *fl, uint64_t id);
void freelist_check(const struct freelist *fl);

#endif
