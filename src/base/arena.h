/* SPDX-License-Identifier: Apache-2.0
 *
 * base/arena: many small allocations with one lifetime, freed whole.
 *
 * arena_reset keeps the first block, so that a warm arena costs no malloc.  Everything is aligned
 * to 16 bytes and not zeroed (arena_zalloc zeroes).
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/buf.h"

struct arena_block;

struct arena {
    struct arena_block *head; /* block in use, newest first */
    size_t block_size;
    size_t used; /* bytes handed out since the last reset */
};

/* block_size 0 takes 16 KiB. */
void arena_init(struct arena *a, size_t block_size);
void arena_deinit(struct arena *a);
void arena_reset(struct arena *a);
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);
/* NULL on failure: for sizes that a peer or a file chose. */
MUST_USE void *arena_try_alloc(struct arena *a, size_t size);
char *arena_strndup(struct arena *a, const void *s, size_t len);

#endif
