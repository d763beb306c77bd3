/* SPDX-License-Identifier: Apache-2.0
 *
 * http/out: what one connection sends in one turn, gathered as slices for one write.
 *
 * Design      Small pieces are copied into blocks (neighbours melt into one slice); big ones are
 *             referred to, with a reference on their rcbuf until reset.  One http_out serves all
 *             connections of a loop, one after the other, so that an idle connection costs nothing.
 * Invariants  bytes == sum of parts' lengths.
 * Ownership   Slices are valid until http_out_reset.
 * Thread      net.
 */
#ifndef HTTP_OUT_H
#define HTTP_OUT_H

#include "base/rcbuf.h"
#include "base/slice.h"

enum {
    HTTP_OUT_BLOCK_BYTES = 64 << 10, /* the most that one reserve can ask for */
    HTTP_OUT_BLOCKS_KEPT = 4,
};

struct http_out_block {
    struct http_out_block *next;
    size_t used;
    uint8_t data[HTTP_OUT_BLOCK_BYTES];
};

struct http_out {
    struct slice *parts;
    size_t count;
    size_t cap;
    size_t bytes;
    struct rcbuf **refs;
    size_t ref_count;
    size_t ref_cap;
    struct http_out_block *first;
    struct http_out_block *cur; /* block being filled */
};

/* A place to come back to: http_out_rollback forgets everything appended since. */
struct http_out_mark {
    size_t count;
    size_t last_len;
    size_t bytes;
    size_t ref_count;
    struct http_out_block *cur;
    size_t used;
};

void http_out_init(struct http_out *o);
void http_out_deinit(struct http_out *o);
/* Releases references, keeps a few blocks. */
void http_out_reset(struct http_out *o);
/* n contiguous bytes behind what is there, to be filled by the caller; n <= block size. */
uint8_t *http_out_reserve(struct http_out *o, size_t n);
/* Gives back the last n bytes of the last reserve. */
void http_out_shrink(struct http_out *o, size_t n);
void http_out_append(struct http_out *o, struct slice s); /* copied, any length */
/* By reference: one more reference on owner is taken. */
void http_out_append_ref(struct http_out *o, struct slice s, struct rcbuf *owner);
/* Borrowed: the bytes stay where they are until the write. */
void http_out_append_borrowed(struct http_out *o, struct slice s);
struct http_out_mark http_out_mark(const struct http_out *o);
void http_out_rollback(struct http_out *o, struct http_out_mark m);

#endif
