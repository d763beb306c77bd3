/* SPDX-License-Identifier: Apache-2.0
 *
 * bench/load_hist: a log-linear histogram of latencies: 128 steps to each power of two (under 1%
 * wide), fixed memory, no allocation.
 */
#ifndef BENCH_LOAD_HIST_H
#define BENCH_LOAD_HIST_H

#include <stdint.h>

enum { HIST_STEP_BITS = 7, HIST_SLOTS = (64 - HIST_STEP_BITS) << HIST_STEP_BITS };

struct load_hist {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t slots[HIST_SLOTS];
};

void load_hist_add(struct load_hist *h, uint64_t ns);
/* The upper edge of the slot that holds this share (0..1) of all; 0 when empty. */
uint64_t load_hist_quantile(const struct load_hist *h, double share);

#endif
