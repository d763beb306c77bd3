/* SPDX-License-Identifier: Apache-2.0
 *
 * base/rcbuf: counted bytes, shared between threads and immutable once shared.
 *
 * Ownership   create returns one reference; the last unref frees.  The count is atomic, the bytes
 *             are written only while there is one reference.
 */
#ifndef BASE_RCBUF_H
#define BASE_RCBUF_H

#include <stdatomic.h>

#include "base/buf.h"

struct rcbuf {
    atomic_uint refs;
    size_t len; /* bytes in use */
    size_t cap;
    uint8_t data[];
};

struct rcbuf *rcbuf_create(size_t cap);
/* NULL on failure: for sizes that a peer or a file chose. */
MUST_USE struct rcbuf *rcbuf_try_create(size_t cap);
struct rcbuf *rcbuf_from(struct slice s);

static inline struct rcbuf *rcbuf_ref(struct rcbuf *b)
{
    if (b != NULL) {
        atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    }
    return b;
}

/* NULL is allowed. */
void rcbuf_unref(struct rcbuf *b);

static inline struct slice rcbuf_slice(const struct rcbuf *b)
{
    return slice_make(b->data, b->len);
}

#endif
