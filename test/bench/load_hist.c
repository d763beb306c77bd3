/* SPDX-License-Identifier: Apache-2.0 */
#include "load_hist.h"

#include <stddef.h>

enum { STEPS = 1 << HIST_STEP_BITS };

static size_t slot_of(uint64_t ns)
{
    if (ns < STEPS) {
        return (size_t)ns;
    }
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - HIST_STEP_BITS;
    return ((size_t)shift << HIST_STEP_BITS) + (size_t)(ns >> shift);
}

static uint64_t slot_edge(size_t slot)
{
    if (slot < STEPS) {
        return slot;
    }
    unsigned shift = (unsigned)(slot >> HIST_STEP_BITS) - 1;
    uint64_t base = (slot & (STEPS - 1)) + STEPS;
    return ((base + 1) << shift) - 1;
}

void load_hist_add(struct load_hist *h, uint64_t ns)
{
    h->count++;
    h->sum += ns;
    h->max = ns > h->max ? ns : h->max;
    h->slots[slot_of(ns)]++;
}

uint64_t load_hist_quantile(const struct load_hist *h, double share)
{
    uint64_t left = (uint64_t)((double)h->count * share);
    for (size_t i = 0; i < HIST_SLOTS; i++) {
        if (h->slots[i] > left) {
            return slot_edge(i) < h->max ? slot_edge(i) : h->max;
        }
        left -= h->slots[i];
    }
    return h->max;
}
