/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/cache: validated page runs in memory, found by the number of their first page.
 *
 * Problem     Memory must be bounded, readers on several threads must not copy, and a long walk
 *             must not throw out what everybody else uses.
 * Design      A frame is one page run and a count of references; the cache itself holds one. A pin
 *             is taken under the cache's mutex, given back without it. Eviction is a clock over all
 *             frames: a hit sets `usage`, the hand lowers it and takes a frame at 0 that only the
 *             cache holds. A frame loaded by a scan is kept only while there is room. The bound
 *             starts low and rises, up to the budget, when pages have to be read again: who only
 *             writes does not fill memory with pages that nobody asks for. A page number has one
 *             living content at a time (bolt.h I1, I2), so a written run simply replaces the frame
 *             of that number; who still pins the old one keeps it.
 * Invariants  C1 bytes is the sum over cached frames. C2 every cached frame has refs >= 1.
 * Ownership   frame_create gives one reference; cache_insert and cache_pin give the caller one.
 * Thread      any. Limits CACHE_BOUND_FIRST_BYTES, budget; exceeded while the hand meets only
 *             pinned or used frames.
 */
#ifndef BOLT_CACHE_H
#define BOLT_CACHE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"
#include "base/slice.h"

struct bolt_frame {
    atomic_uint refs;
    atomic_uchar usage;
    bool is_cached;        /* cache's, under its mutex */
    uint64_t id;           /* first page */
    uint64_t page_count;   /* of the run */
    size_t len;            /* bytes of the run */
    struct list_node node; /* clock ring, under the mutex */
    _Alignas(16) uint8_t data[];
};

enum cache_use {
    CACHE_SCAN,      /* kept only while there is room */
    CACHE_KEEP,      /* the kernel had it: if there is no room, the bound rises a little */
    CACHE_KEEP_MORE, /* it was waited for: the bound rises by as much */
};

enum { CACHE_BOUND_FIRST_BYTES = 8 << 20 };

struct cache {
    pthread_mutex_t mutex;
    struct map frames;
    struct list clock; /* first: under the hand next */
    size_t bytes;
    size_t bound;  /* what bytes is kept below now */
    size_t budget; /* greatest bound */
    uint64_t hits;
    uint64_t misses;
};

/* NULL when memory ends. data is not set. */
MUST_USE struct bolt_frame *frame_create(uint64_t id, uint64_t page_count, size_t len);
void frame_unpin(struct bolt_frame *f); /* NULL is allowed */

static inline struct bolt_frame *frame_pin(struct bolt_frame *f)
{
    if (f != NULL) {
        atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    }
    return f;
}

void cache_init(struct cache *c, size_t budget_bytes);
/* No frame may be pinned by anybody else. */
void cache_deinit(struct cache *c);
/* A pinned frame, or NULL. */
struct bolt_frame *cache_pin(struct cache *c, uint64_t id);
/* Takes the reference to f, returns a pinned frame of that id: f, or one that was faster. */
struct bolt_frame *cache_insert(struct cache *c, struct bolt_frame *f, enum cache_use use);
/* Takes the reference to f: the new content of its page. */
void cache_replace(struct cache *c, struct bolt_frame *f);
void cache_stats(struct cache *c, size_t *out_bytes, uint64_t *out_hits, uint64_t *out_misses);
/* Test: walks the invariants. */
void cache_check(struct cache *c);

#endif
