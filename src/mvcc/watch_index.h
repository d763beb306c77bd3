/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/watch_index (private): which watchers look at a key.
 *
 * Problem     Ten thousand watchers of one prefix, or a hundred thousand of one key each: a change
 *             must find its own without asking all.
 * Design      A treap over the distinct intervals, each with the largest end below it; watchers
 *             hang on their interval in two lists, live and behind, so that changing sides is one
 *             relinking.  Priorities come from a seeded generator: the same calls give the same
 *             tree.
 * Invariants  X1 an interval without watchers is not in the tree.  X2 top is the largest end of
 *             the subtree.
 * Thread      core.   See test/unit/mvcc/watch_test.c.
 */
#ifndef MVCC_WATCH_INDEX_H
#define MVCC_WATCH_INDEX_H

#include "base/list.h"
#include "base/prng.h"
#include "base/slice.h"

enum watch_side { WATCH_LIVE, WATCH_BEHIND, WATCH_SIDES };

struct watch_interval {
    struct watch_interval *left;
    struct watch_interval *right;
    const struct watch_interval *top; /* whose end is the largest of this subtree */
    struct list sides[WATCH_SIDES];
    uint32_t priority;
    uint32_t key_len;
    uint32_t end_len;
    bool is_single;
    bool is_open_end;
    uint8_t bytes[]; /* key, end */
};

struct watch_index {
    struct watch_interval *root;
    struct prng prng;
    size_t count;
};

void watch_index_init(struct watch_index *x);
/* The interval [key, end); it must get a watcher, or be dropped. */
struct watch_interval *watch_index_take(struct watch_index *x, struct slice key, struct slice end,
                                        bool is_single, bool is_open_end);
/* Frees the interval if nobody looks at it any more. */
void watch_index_drop(struct watch_index *x, struct watch_interval *i);
/* Every interval with the key in it, in order. */
void watch_index_find(const struct watch_index *x, struct slice key,
                      void (*fn)(void *arg, struct watch_interval *i), void *arg);
void watch_index_check(const struct watch_index *x);

#endif
