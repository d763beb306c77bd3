/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rcbuf.h"

#include <stdlib.h>

struct rcbuf *rcbuf_try_create(size_t cap)
{
    if (cap > SIZE_MAX / 2) {
        return NULL;
    }
    struct rcbuf *b = malloc(sizeof(*b) + cap);
    if (b != NULL) {
        atomic_init(&b->refs, 1);
        b->len = 0;
        b->cap = cap;
    }
    return b;
}

struct rcbuf *rcbuf_create(size_t cap)
{
    struct rcbuf *b = rcbuf_try_create(cap);
    ensure(b != NULL);
    return b;
}

struct rcbuf *rcbuf_from(struct slice s)
{
    struct rcbuf *b = rcbuf_create(s.len);
    if (s.len > 0) {
        memcpy(b->data, s.data, s.len);
    }
    b->len = s.len;
    return b;
}

void rcbuf_unref(struct rcbuf *b)
{
    if (b == NULL) {
        return;
    }
    unsigned before = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
    ensure(before > 0);
    if (before == 1) {
        free(b);
    }
}
