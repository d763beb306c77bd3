/* SPDX-License-Identifier: Apache-2.0
 *
 * base/buf: owned, growing bytes.
 *
 * Ownership   the struct owns data; buf_deinit frees it.  slices into it die at the next append.
 * Thread      any, one at a time.
 * Failure     buf_* abort when memory ends; for sizes chosen by a peer or a file call
 *             buf_try_reserve first, which returns ERR_NOMEM instead.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>

#include "base/assert.h"
#include "base/slice.h"

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

#define BUF_INIT ((struct buf){NULL, 0, 0})

void buf_init(struct buf *b);
void buf_deinit(struct buf *b);
/* Forgets the contents, keeps the memory. */
void buf_clear(struct buf *b);
/* Room for extra more bytes behind len. */
void buf_reserve(struct buf *b, size_t extra);
MUST_USE int buf_try_reserve(struct buf *b, size_t extra);
void buf_append(struct buf *b, const void *data, size_t len);
void buf_append_slice(struct buf *b, struct slice s);
void buf_append_cstr(struct buf *b, const char *s);
void buf_append_byte(struct buf *b, uint8_t byte);
void buf_append_varint(struct buf *b, uint64_t v);
/* len more bytes, not set; returns where they are. */
uint8_t *buf_extend(struct buf *b, size_t len);
PRINTF_LIKE(2, 3) void buf_printf(struct buf *b, const char *fmt, ...);
PRINTF_LIKE(2, 0) void buf_vprintf(struct buf *b, const char *fmt, va_list ap);
/* The contents with a NUL behind them (not counted in len). */
const char *buf_cstr(struct buf *b);
/* Removes n bytes at the front; n <= len. */
void buf_consume(struct buf *b, size_t n);

static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->data, b->len};
}

/* Allocation that aborts on failure, for small sizes of our own choosing. */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_realloc(void *p, size_t size);
/* count * size with overflow check. */
void *mem_alloc_array(size_t count, size_t size);
char *mem_strdup(const char *s);
char *mem_strndup(const void *s, size_t len);
/* For sizes that a peer or a file chose: NULL on failure. */
MUST_USE void *mem_try_alloc(size_t size);
void mem_free(void *p);

#endif
