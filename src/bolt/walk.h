/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/walk: every page run of a tree, with the trees of the buckets in it.
 *
 * Problem     Opening for writing must know what is free, and deleting a bucket what it had; both
 *             must end on a damaged file.
 * Design      Depth first.  Each run passes the pager's gate, and its keys must lie in the range
 *             that its parent gives it.  on_run refuses a run that it has seen, which ends loops.
 * Failure     ERR_CORRUPT with the text remembered; the first error ends the walk.
 */
#ifndef BOLT_WALK_H
#define BOLT_WALK_H

#include "bolt/db.h"

MUST_USE int walk_tree(struct bolt_tx *tx, uint64_t root,
                       int (*on_run)(void *arg, const struct bolt_frame *frame), void *arg);

#endif
