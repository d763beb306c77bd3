/* SPDX-License-Identifier: Apache-2.0 */
#include "bolt/cache.h"

#include <stddef.h>

#include "base/buf.h"

enum { USAGE_MAX = 2, CLOCK_STEPS_MAX = 128 };

/* Reading what the kernel has in memory costs 2 us, waiting for a disk a hundred: one raises the
 * bound by this much less than the other. */
enum { CHEAP_READ_DIVISOR = 8 };

/* ---- frames ---- */

struct bolt_frame *frame_create(uint64_t id, uint64_t page_count, size_t len)
{
    ensure(len > 0 && page_count > 0);
    if (len > SIZE_MAX / 2) {
        return NULL;
    }
    struct bolt_frame *f = mem_try_alloc(sizeof(*f) + len);
    if (f == NULL) {
        return NULL;
    }
    atomic_init(&f->refs, 1);
    atomic_init(&f->usage, 1);
    f->is_cached = false;
    f->id = id;
    f->page_count = page_count;
    f->len = len;
    list_node_init(&f->node);
    return f;
}

void frame_unpin(struct bolt_frame *f)
{
    if (f == NULL) {
        return;
    }
    unsigned before = atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel);
    ensure(before > 0);
    if (before == 1) {
        ensure(!f->is_cached);
        mem_free(f);
    }
}

static size_t frame_cost(const struct bolt_frame *f)
{
    return sizeof(*f) + f->len;
}

/* ---- cache ---- */

void cache_init(struct cache *c, size_t budget_bytes)
{
    *c = (struct cache){.budget = budget_bytes};
    c->bound = budget_bytes < CACHE_BOUND_FIRST_BYTES ? budget_bytes : CACHE_BOUND_FIRST_BYTES;
    ensure(pthread_mutex_init(&c->mutex, NULL) == 0);
    map_init(&c->frames);
    list_init(&c->clock);
}

/* Takes f out; the caller gets the cache's reference and drops it outside of the mutex. */
static void detach(struct cache *c, struct bolt_frame *f)
{
    ensure(f->is_cached);
    ensure(map_remove(&c->frames, f->id) == f);
    list_remove(&f->node);
    f->is_cached = false;
    ensure(c->bytes >= frame_cost(f));
    c->bytes -= frame_cost(f);
}

static void attach(struct cache *c, struct bolt_frame *f)
{
    ensure(!f->is_cached);
    ensure(map_put(&c->frames, f->id, f) == NULL);
    list_push_back(&c->clock, &f->node);
    f->is_cached = true;
    c->bytes += frame_cost(f);
}

void cache_deinit(struct cache *c)
{
    while (!list_is_empty(&c->clock)) {
        struct bolt_frame *f = LIST_ENTRY(list_first(&c->clock), struct bolt_frame, node);
        detach(c, f);
        frame_unpin(f);
    }
    ensure(c->bytes == 0);
    map_deinit(&c->frames);
    (void)pthread_mutex_destroy(&c->mutex);
}

/* One step of the hand.  Returns a victim, or NULL and the frame went to the back. */
static struct bolt_frame *clock_step(struct cache *c)
{
    struct bolt_frame *f = LIST_ENTRY(list_first(&c->clock), struct bolt_frame, node);
    unsigned usage = atomic_load_explicit(&f->usage, memory_order_relaxed);
    /* Under the mutex nobody can pin what only the cache holds. */
    if (usage == 0 && atomic_load_explicit(&f->refs, memory_order_acquire) == 1) {
        detach(c, f);
        return f;
    }
    if (usage > 0) {
        atomic_store_explicit(&f->usage, (unsigned char)(usage - 1), memory_order_relaxed);
    }
    list_remove(&f->node);
    list_push_back(&c->clock, &f->node);
    return NULL;
}

/* Makes room for `need` bytes as far as pins allow; collects victims for freeing later.  A write tx
 * pins all that it touches, possibly more than the bound: then a whole round of the hand for each
 * page would be the square of that, under the mutex.  So the hand goes a little way at each call.
 */
static void make_room(struct cache *c, size_t need, struct list *victims)
{
    size_t steps = c->frames.len * (USAGE_MAX + 1);
    steps = steps < CLOCK_STEPS_MAX ? steps : CLOCK_STEPS_MAX;
    while (c->bytes + need > c->bound && steps > 0 && c->frames.len > 0) {
        struct bolt_frame *f = clock_step(c);
        if (f != NULL) {
            list_push_back(victims, &f->node);
        }
        steps--;
    }
}

/* There is no room for a page of this size: more would have saved the reading. */
static void bound_raise(struct cache *c, size_t size, enum cache_use use)
{
    size_t left = c->budget - c->bound;
    size_t more = use == CACHE_KEEP_MORE ? size : size / CHEAP_READ_DIVISOR;
    if (c->bytes + size > c->bound) {
        c->bound += more < left ? more : left;
    }
}

static void victims_free(struct list *victims)
{
    LIST_FOREACH (victims, n) {
        list_remove(n);
        frame_unpin(LIST_ENTRY(n, struct bolt_frame, node));
    }
}

struct bolt_frame *cache_pin(struct cache *c, uint64_t id)
{
    (void)pthread_mutex_lock(&c->mutex);
    struct bolt_frame *f = map_get(&c->frames, id);
    if (f != NULL) {
        frame_pin(f);
        c->hits++;
    } else {
        c->misses++;
    }
    (void)pthread_mutex_unlock(&c->mutex);
    if (f != NULL) {
        atomic_store_explicit(&f->usage, USAGE_MAX, memory_order_relaxed);
    }
    return f;
}

struct bolt_frame *cache_insert(struct cache *c, struct bolt_frame *f, enum cache_use use)
{
    struct list victims;
    list_init(&victims);
    (void)pthread_mutex_lock(&c->mutex);
    struct bolt_frame *there = map_get(&c->frames, f->id);
    if (there != NULL) {
        frame_pin(there);
    } else if (use != CACHE_SCAN || c->bytes + frame_cost(f) <= c->bound) {
        if (use != CACHE_SCAN) {
            bound_raise(c, frame_cost(f), use);
        }
        make_room(c, frame_cost(f), &victims);
        attach(c, f);
        there = frame_pin(f);
    }
    (void)pthread_mutex_unlock(&c->mutex);
    victims_free(&victims);
    if (there == NULL) {
        return f; /* not kept: the caller's pin is the only one */
    }
    if (there != f) {
        frame_unpin(f);
    }
    return there;
}

void cache_replace(struct cache *c, struct bolt_frame *f)
{
    struct list victims;
    list_init(&victims);
    (void)pthread_mutex_lock(&c->mutex);
    struct bolt_frame *old = map_get(&c->frames, f->id);
    if (old != NULL) {
        ensure(old != f);
        detach(c, old);
        list_push_back(&victims, &old->node);
    }
    make_room(c, frame_cost(f), &victims);
    attach(c, f);
    (void)pthread_mutex_unlock(&c->mutex);
    victims_free(&victims);
}

void cache_stats(struct cache *c, size_t *out_bytes, uint64_t *out_hits, uint64_t *out_misses)
{
    (void)pthread_mutex_lock(&c->mutex);
    *out_bytes = c->bytes;
    *out_hits = c->hits;
    *out_misses = c->misses;
    (void)pthread_mutex_unlock(&c->mutex);
}

void cache_check(struct cache *c)
{
    (void)pthread_mutex_lock(&c->mutex);
    size_t bytes = 0;
    size_t count = 0;
    LIST_FOREACH (&c->clock, n) {
        struct bolt_frame *f = LIST_ENTRY(n, struct bolt_frame, node);
        ensure(f->is_cached);
        ensure(atomic_load(&f->refs) >= 1);
        ensure(map_get(&c->frames, f->id) == f);
        bytes += frame_cost(f);
        count++;
    }
    ensure(bytes == c->bytes);
    ensure(count == c->frames.len);
    (void)pthread_mutex_unlock(&c->mutex);
}
