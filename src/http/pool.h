/* SPDX-License-Identifier: Apache-2.0
 *
 * http/pool: recycled memory blocks in size classes, for nghttp2 and for per-request objects.
 *
 * Problem     nghttp2 makes about eight small allocations a request; malloc and free were 9% of its
 *             instructions (design.md 2).
 * Design      Classes of 64 bytes up to 1 KiB, then powers of two up to HTTP_POOL_BLOCK_MAX; a
 *             freed block goes on its class's list, up to HTTP_POOL_KEEP_BYTES in all, the rest
 *             back to malloc.  One pool per loop, shared by its connections: memory follows the
 *             load of the loop, not the number of connections.
 * Thread      net, one loop.
 * Failure     NULL, as malloc: sizes are chosen by a peer (nghttp2 copes).
 */
#ifndef HTTP_POOL_H
#define HTTP_POOL_H

#include <stddef.h>

#include "base/assert.h"

struct http_pool;

enum {
    HTTP_POOL_BLOCK_MAX = 32 << 10,
    HTTP_POOL_KEEP_BYTES = 4 << 20,
};

struct http_pool *http_pool_create(void);
/* All blocks are back. */
void http_pool_destroy(struct http_pool *p);
MUST_USE void *http_pool_alloc(struct http_pool *p, size_t size);
MUST_USE void *http_pool_zalloc(struct http_pool *p, size_t size);
MUST_USE void *http_pool_realloc(struct http_pool *p, void *ptr, size_t size);
void http_pool_free(struct http_pool *p, void *ptr); /* NULL is allowed */
/* Blocks handed out and not yet back. */
size_t http_pool_live(const struct http_pool *p);

#endif
