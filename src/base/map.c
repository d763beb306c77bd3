/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/buf.h"

enum { MAP_CAP_MIN = 16 };

static size_t slot_of(const struct map *m, uint64_t key)
{
    uint64_t h = key * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 32;
    return (size_t)h & (m->cap - 1);
}

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_deinit(struct map *m)
{
    mem_free(m->slots);
    *m = (struct map){0};
}

static void *put_slot(struct map *m, uint64_t key, void *value)
{
    size_t i = slot_of(m, key);
    while (m->slots[i].value != NULL) {
        if (m->slots[i].key == key) {
            void *old = m->slots[i].value;
            m->slots[i].value = value;
            return old;
        }
        i = (i + 1) & (m->cap - 1);
    }
    m->slots[i] = (struct map_slot){key, value};
    m->len++;
    return NULL;
}

static void grow(struct map *m)
{
    struct map old = *m;
    m->cap = old.cap == 0 ? MAP_CAP_MIN : old.cap * 2;
    m->len = 0;
    m->slots = mem_zalloc(m->cap * sizeof(*m->slots));
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i].value != NULL) {
            (void)put_slot(m, old.slots[i].key, old.slots[i].value);
        }
    }
    mem_free(old.slots);
}

void *map_put(struct map *m, uint64_t key, void *value)
{
    ensure(value != NULL);
    if (m->len * 4 >= m->cap * 3) {
        grow(m);
    }
    return put_slot(m, key, value);
}

void *map_get(const struct map *m, uint64_t key)
{
    if (m->cap == 0) {
        return NULL;
    }
    for (size_t i = slot_of(m, key); m->slots[i].value != NULL; i = (i + 1) & (m->cap - 1)) {
        if (m->slots[i].key == key) {
            return m->slots[i].value;
        }
    }
    return NULL;
}

void *map_remove(struct map *m, uint64_t key)
{
    if (m->cap == 0) {
        return NULL;
    }
    size_t i = slot_of(m, key);
    while (m->slots[i].value != NULL && m->slots[i].key != key) {
        i = (i + 1) & (m->cap - 1);
    }
    void *old = m->slots[i].value;
    if (old == NULL) {
        return NULL;
    }
    /* Backward shift keeps probe runs whole without tombstones. */
    size_t hole = i;
    for (size_t j = (i + 1) & (m->cap - 1); m->slots[j].value != NULL; j = (j + 1) & (m->cap - 1)) {
        size_t home = slot_of(m, m->slots[j].key);
        bool stays = hole <= j ? (hole < home && home <= j) : (hole < home || home <= j);
        if (!stays) {
            m->slots[hole] = m->slots[j];
            hole = j;
        }
    }
    m->slots[hole] = (struct map_slot){0, NULL};
    m->len--;
    return old;
}
