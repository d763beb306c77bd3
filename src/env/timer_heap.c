/* SPDX-License-Identifier: Apache-2.0 */
#include "env/timer_heap.h"

#include "base/assert.h"

enum { TIMER_HEAP_CAP_MIN = 64 };

static bool is_before(const struct timer_heap_slot *a, const struct timer_heap_slot *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->seq < b->seq;
}

static size_t place_of(const struct timer_heap *h, const struct env_timer *t)
{
    size_t idx = (size_t)(uintptr_t)t->impl - 1;
    ensure(idx < h->len && h->slots[idx].timer == t);
    return idx;
}

static void place(struct timer_heap *h, size_t idx, struct timer_heap_slot slot)
{
    h->slots[idx] = slot;
    slot.timer->impl = (void *)(uintptr_t)(idx + 1);
}

static void sift_up(struct timer_heap *h, size_t idx)
{
    struct timer_heap_slot slot = h->slots[idx];
    while (idx > 0 && is_before(&slot, &h->slots[(idx - 1) / 2])) {
        place(h, idx, h->slots[(idx - 1) / 2]);
        idx = (idx - 1) / 2;
    }
    place(h, idx, slot);
}

static void sift_down(struct timer_heap *h, size_t idx)
{
    struct timer_heap_slot slot = h->slots[idx];
    for (;;) {
        size_t child = 2 * idx + 1;
        if (child >= h->len) {
            break;
        }
        if (child + 1 < h->len && is_before(&h->slots[child + 1], &h->slots[child])) {
            child++;
        }
        if (!is_before(&h->slots[child], &slot)) {
            break;
        }
        place(h, idx, h->slots[child]);
        idx = child;
    }
    place(h, idx, slot);
}

static void remove_at(struct timer_heap *h, size_t idx)
{
    struct env_timer *t = h->slots[idx].timer;
    h->len--;
    if (idx < h->len) {
        place(h, idx, h->slots[h->len]);
        sift_up(h, idx);
        sift_down(h, idx);
    }
    t->impl = NULL;
    t->is_active = false;
}

void timer_heap_init(struct timer_heap *h)
{
    *h = (struct timer_heap){NULL, 0, 0, 0};
}

void timer_heap_deinit(struct timer_heap *h)
{
    for (size_t i = 0; i < h->len; i++) {
        h->slots[i].timer->is_active = false;
        h->slots[i].timer->impl = NULL;
    }
    mem_free(h->slots);
    timer_heap_init(h);
}

void timer_heap_start(struct timer_heap *h, struct env_timer *t, uint64_t deadline_ns)
{
    struct timer_heap_slot slot = {deadline_ns, h->next_seq++, t};
    if (t->is_active) {
        size_t idx = place_of(h, t);
        h->slots[idx] = slot;
        sift_up(h, idx);
        sift_down(h, place_of(h, t));
        return;
    }
    if (h->len == h->cap) {
        h->cap = h->cap == 0 ? TIMER_HEAP_CAP_MIN : h->cap * 2;
        h->slots = mem_realloc(h->slots, h->cap * sizeof(h->slots[0]));
    }
    t->is_active = true;
    h->len++;
    place(h, h->len - 1, slot);
    sift_up(h, h->len - 1);
}

void timer_heap_stop(struct timer_heap *h, struct env_timer *t)
{
    if (t->is_active) {
        remove_at(h, place_of(h, t));
    }
}

uint64_t timer_heap_next_ns(const struct timer_heap *h)
{
    return h->len == 0 ? UINT64_MAX : h->slots[0].deadline_ns;
}

struct env_timer *timer_heap_pop(struct timer_heap *h, uint64_t now_ns, uint64_t seq_end)
{
    if (h->len == 0 || h->slots[0].deadline_ns > now_ns || h->slots[0].seq >= seq_end) {
        return NULL;
    }
    struct env_timer *t = h->slots[0].timer;
    remove_at(h, 0);
    return t;
}

void timer_heap_check(const struct timer_heap *h)
{
    for (size_t i = 0; i < h->len; i++) {
        ensure(place_of(h, h->slots[i].timer) == i && h->slots[i].timer->is_active);
        ensure(i == 0 || !is_before(&h->slots[i], &h->slots[(i - 1) / 2]));
    }
}
