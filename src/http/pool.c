/* SPDX-License-Identifier: Apache-2.0
 *
 * http/pool: see pool.h.
 *
 * Every block has a 16-byte head that names its class; blocks above HTTP_POOL_BLOCK_MAX have class
 * POOL_NO_CLASS and come from malloc each time.
 */
#include "http/pool.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum {
    POOL_STEP = 64,
    POOL_SMALL_MAX = 1024,
    POOL_SMALL_CLASSES = POOL_SMALL_MAX / POOL_STEP,
    POOL_CLASSES = POOL_SMALL_CLASSES + 5, /* 2, 4, 8, 16, 32 KiB */
    POOL_NO_CLASS = 255,
};

struct pool_head {
    union {
        struct pool_head *next; /* while free */
        size_t size;            /* while in use */
    };
    size_t class;
};

static_assert(sizeof(struct pool_head) == 16, "keeps malloc's alignment");
static_assert((POOL_SMALL_MAX << (POOL_CLASSES - POOL_SMALL_CLASSES)) == HTTP_POOL_BLOCK_MAX,
              "classes end at the largest block");

struct http_pool {
    struct pool_head *free[POOL_CLASSES];
    size_t kept_bytes;
    size_t live;
};

static size_t class_of(size_t size)
{
    if (size <= POOL_SMALL_MAX) {
        return size == 0 ? 0 : (size - 1) / POOL_STEP;
    }
    size_t class = POOL_SMALL_CLASSES;
    for (size_t cap = 2 * POOL_SMALL_MAX; class < POOL_CLASSES; class ++, cap *= 2) {
        if (size <= cap) {
            return class;
        }
    }
    return POOL_NO_CLASS;
}

static size_t class_bytes(size_t class)
{
    if (class < POOL_SMALL_CLASSES) {
        return (class + 1) * POOL_STEP;
    }
    return (size_t)POOL_SMALL_MAX << (class - POOL_SMALL_CLASSES + 1);
}

struct http_pool *http_pool_create(void)
{
    return mem_zalloc(sizeof(struct http_pool));
}

void http_pool_destroy(struct http_pool *p)
{
    if (p == NULL) {
        return;
    }
    ensure(p->live == 0);
    for (size_t i = 0; i < POOL_CLASSES; i++) {
        while (p->free[i] != NULL) {
            struct pool_head *h = p->free[i];
            p->free[i] = h->next;
            free(h);
        }
    }
    mem_free(p);
}

void *http_pool_alloc(struct http_pool *p, size_t size)
{
    size_t class = class_of(size);
    struct pool_head *h = class == POOL_NO_CLASS ? NULL : p->free[class];
    if (h != NULL) {
        p->free[class] = h->next;
        p->kept_bytes -= class_bytes(class);
    } else {
        if (size > SIZE_MAX - sizeof(*h)) {
            return NULL;
        }
        size_t bytes = class == POOL_NO_CLASS ? size : class_bytes(class);
        h = malloc(sizeof(*h) + bytes);
        if (h == NULL) {
            return NULL;
        }
        h->class = class;
    }
    h->size = size;
    p->live++;
    return h + 1;
}

void *http_pool_zalloc(struct http_pool *p, size_t size)
{
    void *ptr = http_pool_alloc(p, size);
    if (ptr != NULL) {
        memset(ptr, 0, size);
    }
    return ptr;
}

void *http_pool_realloc(struct http_pool *p, void *ptr, size_t size)
{
    if (ptr == NULL) {
        return http_pool_alloc(p, size);
    }
    struct pool_head *h = (struct pool_head *)ptr - 1;
    if (h->class != POOL_NO_CLASS && size <= class_bytes(h->class)) {
        h->size = size;
        return ptr;
    }
    void *fresh = http_pool_alloc(p, size);
    if (fresh == NULL) {
        return NULL;
    }
    memcpy(fresh, ptr, h->size < size ? h->size : size);
    http_pool_free(p, ptr);
    return fresh;
}

void http_pool_free(struct http_pool *p, void *ptr)
{
    if (ptr == NULL) {
        return;
    }
    struct pool_head *h = (struct pool_head *)ptr - 1;
    ensure(p->live > 0);
    p->live--;
    if (h->class == POOL_NO_CLASS || p->kept_bytes + class_bytes(h->class) > HTTP_POOL_KEEP_BYTES) {
        free(h);
        return;
    }
    ensure(h->class < POOL_CLASSES);
    h->next = p->free[h->class];
    p->free[h->class] = h;
    p->kept_bytes += class_bytes(h->class);
}

size_t http_pool_live(const struct http_pool *p)
{
    return p->live;
}
