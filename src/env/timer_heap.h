/* SPDX-License-Identifier: Apache-2.0
 *
 * env/timer_heap: the timers of one exec, ordered by deadline, then by the order of starting.
 *
 * Both implementations of env_exec (os, sim) stand on it, so that timers with equal deadlines fire
 * in the same order in production and in the simulator.
 *
 * Design      A binary heap in one array; the timer's impl field holds its place + 1, so that stop
 *             and restart find it without a search.  The array grows and never shrinks: a warm heap
 *             costs no malloc.
 * Ownership   Timers are the caller's; one must be stopped or fired before its memory goes.
 * Thread      one.
 */
#ifndef ENV_TIMER_HEAP_H
#define ENV_TIMER_HEAP_H

#include "env/env.h"

struct timer_heap_slot {
    uint64_t deadline_ns;
    uint64_t seq; /* order of starting */
    struct env_timer *timer;
};

struct timer_heap {
    struct timer_heap_slot *slots;
    size_t len;
    size_t cap;
    uint64_t next_seq;
};

void timer_heap_init(struct timer_heap *h);
/* Timers still in it become inactive. */
void timer_heap_deinit(struct timer_heap *h);
/* Starts t, or moves it if it is active. */
void timer_heap_start(struct timer_heap *h, struct env_timer *t, uint64_t deadline_ns);
/* An inactive timer is fine. */
void timer_heap_stop(struct timer_heap *h, struct env_timer *t);
/* Earliest deadline, UINT64_MAX when empty. */
uint64_t timer_heap_next_ns(const struct timer_heap *h);
/* Takes out the first timer if its deadline is at or before now_ns and it was started before
 * seq_end (timer_heap.next_seq at the beginning of a pass: a timer that restarts itself with 0
 * waits for the next pass); else NULL. */
struct env_timer *timer_heap_pop(struct timer_heap *h, uint64_t now_ns, uint64_t seq_end);
/* Heap order and back pointers hold (asserts). */
void timer_heap_check(const struct timer_heap *h);

#endif
