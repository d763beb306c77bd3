/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

enum { BUF_CAP_MIN = 64 };

void buf_init(struct buf *b)
{
    *b = BUF_INIT;
}

void buf_deinit(struct buf *b)
{
    free(b->data);
    *b = BUF_INIT;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
}

int buf_try_reserve(struct buf *b, size_t extra)
{
    if (extra <= b->cap - b->len) {
        return 0;
    }
    if (extra > SIZE_MAX / 2 - b->len) {
        return ERR_NOMEM;
    }
    size_t need = b->len + extra;
    size_t cap = b->cap < BUF_CAP_MIN ? BUF_CAP_MIN : b->cap;
    while (cap < need) {
        cap *= 2;
    }
    uint8_t *p = realloc(b->data, cap);
    if (p == NULL) {
        return ERR_NOMEM;
    }
    b->data = p;
    b->cap = cap;
    return 0;
}

void buf_reserve(struct buf *b, size_t extra)
{
    ensure(buf_try_reserve(b, extra) == 0);
}

uint8_t *buf_extend(struct buf *b, size_t len)
{
    buf_reserve(b, len);
    uint8_t *p = b->data + b->len;
    b->len += len;
    return p;
}

void buf_append(struct buf *b, const void *data, size_t len)
{
    if (len > 0) {
        memcpy(buf_extend(b, len), data, len);
    }
}

void buf_append_slice(struct buf *b, struct slice s)
{
    buf_append(b, s.data, s.len);
}

void buf_append_cstr(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_append_byte(struct buf *b, uint8_t byte)
{
    *buf_extend(b, 1) = byte;
}

void buf_append_varint(struct buf *b, uint64_t v)
{
    while (v >= 0x80) {
        buf_append_byte(b, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    buf_append_byte(b, (uint8_t)v);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    ensure(n >= 0);
    buf_reserve(b, (size_t)n + 1);
    (void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
    b->len += (size_t)n;
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

const char *buf_cstr(struct buf *b)
{
    buf_reserve(b, 1);
    b->data[b->len] = 0;
    return (const char *)b->data;
}

void buf_consume(struct buf *b, size_t n)
{
    ensure(n <= b->len);
    if (n > 0) {
        memmove(b->data, b->data + n, b->len - n);
        b->len -= n;
    }
}

void *mem_alloc(size_t size)
{
    void *p = malloc(size == 0 ? 1 : size);
    ensure(p != NULL);
    return p;
}

void *mem_zalloc(size_t size)
{
    void *p = calloc(1, size == 0 ? 1 : size);
    ensure(p != NULL);
    return p;
}

void *mem_realloc(void *old, size_t size)
{
    void *p = realloc(old, size == 0 ? 1 : size);
    ensure(p != NULL);
    return p;
}

void *mem_alloc_array(size_t count, size_t size)
{
    ensure(size == 0 || count <= SIZE_MAX / size);
    return mem_alloc(count * size);
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

char *mem_strndup(const void *s, size_t len)
{
    char *p = mem_alloc(len + 1);
    if (len > 0) {
        memcpy(p, s, len);
    }
    p[len] = 0;
    return p;
}

void *mem_try_alloc(size_t size)
{
    return malloc(size == 0 ? 1 : size);
}

void mem_free(void *p)
{
    free(p);
}
