/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdlib.h>

enum { ARENA_BLOCK_DEFAULT = 16 * 1024, ARENA_ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t cap;
    size_t len;
    size_t pad_;
    uint8_t data[];
};

_Static_assert(sizeof(struct arena_block) % ARENA_ALIGN == 0, "arena data stays aligned");

void arena_init(struct arena *a, size_t block_size)
{
    a->head = NULL;
    a->block_size = block_size == 0 ? ARENA_BLOCK_DEFAULT : block_size;
    a->used = 0;
}

void arena_deinit(struct arena *a)
{
    while (a->head != NULL) {
        struct arena_block *next = a->head->next;
        free(a->head);
        a->head = next;
    }
    a->used = 0;
}

void arena_reset(struct arena *a)
{
    while (a->head != NULL && a->head->next != NULL) {
        struct arena_block *next = a->head->next;
        free(a->head);
        a->head = next;
    }
    if (a->head != NULL) {
        a->head->len = 0;
    }
    a->used = 0;
}

void *arena_try_alloc(struct arena *a, size_t size)
{
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    size = (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (a->head == NULL || a->head->cap - a->head->len < size) {
        size_t cap = size > a->block_size ? size : a->block_size;
        struct arena_block *b = malloc(sizeof(*b) + cap);
        if (b == NULL) {
            return NULL;
        }
        *b = (struct arena_block){.next = a->head, .cap = cap};
        a->head = b;
    }
    void *p = a->head->data + a->head->len;
    a->head->len += size;
    a->used += size;
    return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
    void *p = arena_try_alloc(a, size);
    ensure(p != NULL);
    return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    void *p = arena_alloc(a, size);
    memset(p, 0, size);
    return p;
}

char *arena_strndup(struct arena *a, const void *s, size_t len)
{
    char *p = arena_alloc(a, len + 1);
    if (len > 0) {
        memcpy(p, s, len);
    }
    p[len] = 0;
    return p;
}
