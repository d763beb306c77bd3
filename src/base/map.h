/* SPDX-License-Identifier: Apache-2.0
 *
 * base/map: hash map from uint64_t to pointer, open addressing.
 *
 * There is no iteration on purpose: hash order must never reach a result (determinism).  Keep a
 * list beside it when the members must be walked.  The hash is a fixed mix: keys are numbers of our
 * own making (ids, page numbers), never chosen by a peer without a bound.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
    uint64_t key;
    void *value; /* NULL = free */
};

struct map {
    struct map_slot *slots;
    size_t cap; /* power of two or 0 */
    size_t len;
};

void map_init(struct map *m);
void map_deinit(struct map *m);
/* value must not be NULL.  Returns the value that was there before, or NULL. */
void *map_put(struct map *m, uint64_t key, void *value);
void *map_get(const struct map *m, uint64_t key);
/* Returns the value removed, or NULL. */
void *map_remove(struct map *m, uint64_t key);

#endif
