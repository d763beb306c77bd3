/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/garbage (private): revisions that left the index and are still in the file, given back in
 * order.
 *
 * Problem     The index gives what a compaction drops in key order, but the file is in revision
 *             order: removed as they come, a thousand records touch a thousand pages, each batch
 *             rewrites half of the file, and a compaction costs the square of its size.
 * Design      Sorted runs and a merge that looks at the head of each: no step is longer than the
 *             sort of one run, however much there is.
 * Invariants  G1 every run but the last is sorted; after garbage_sort the last one too.
 * Limits      GARBAGE_MAX revisions (8 MiB); who has more goes round again.
 * Thread      core.   See test/unit/mvcc/garbage_test.c.
 */
#ifndef MVCC_GARBAGE_H
#define MVCC_GARBAGE_H

#include "mvcc/keyrec.h"

enum {
    GARBAGE_RUN = 8192,
    GARBAGE_RUNS_MAX = 64,
    GARBAGE_MAX = GARBAGE_RUN * GARBAGE_RUNS_MAX,
};

struct garbage {
    struct keyrev *revs;
    size_t len;
    size_t cap;
    size_t taken;                  /* revisions given back */
    uint32_t at[GARBAGE_RUNS_MAX]; /* of each run: how many of it are given back */
};

void garbage_deinit(struct garbage *g);
/* How many more there is room for. */
size_t garbage_room(const struct garbage *g);
/* garbage_room > 0, and nothing was taken since it was empty. */
void garbage_add(struct garbage *g, const struct keyrev *rev);
/* After the last garbage_add, before the first garbage_take. */
void garbage_sort(struct garbage *g);
/* The least that is left; false: nothing is, and the memory is given back. */
bool garbage_take(struct garbage *g, struct keyrev *out);

#endif
