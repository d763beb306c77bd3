/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/token_table: see token_table.h.
 */
#include "auth/token_table.h"

#include "base/buf.h"
#include "base/hash.h"

enum { BUCKETS_FIRST = 64 };

static uint64_t hash_of(const struct token_table *t, struct slice text)
{
    uint64_t h = (fnv1a64(text.data, text.len) ^ t->seed) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

static struct token_entry **bucket_of(const struct token_table *t, uint64_t hash)
{
    return &t->buckets[hash & (t->bucket_count - 1)];
}

static void allocate(struct token_table *t, size_t bucket_count)
{
    t->bucket_count = bucket_count;
    t->buckets = mem_zalloc(bucket_count * sizeof(t->buckets[0]));
}

void token_table_init(struct token_table *t, size_t count_max, uint64_t seed)
{
    ensure(count_max > 0);
    *t = (struct token_table){.count_max = count_max, .seed = seed};
    list_init(&t->order);
    allocate(t, BUCKETS_FIRST);
}

void token_table_deinit(struct token_table *t)
{
    token_table_clear(t);
    mem_free(t->buckets);
    t->buckets = NULL;
}

static void grow(struct token_table *t)
{
    mem_free(t->buckets);
    allocate(t, t->bucket_count * 2);
    LIST_FOREACH (&t->order, n) {
        struct token_entry *e = LIST_ENTRY(n, struct token_entry, node);
        struct token_entry **at = bucket_of(t, e->hash);
        e->next = *at;
        *at = e;
    }
}

struct token_entry *token_table_find(const struct token_table *t, struct slice text)
{
    uint64_t hash = hash_of(t, text);
    for (struct token_entry *e = *bucket_of(t, hash); e != NULL; e = e->next) {
        if (e->hash == hash && slice_equal(e->text, text)) {
            return e;
        }
    }
    return NULL;
}

void token_table_remove(struct token_table *t, struct token_entry *e)
{
    struct token_entry **at = bucket_of(t, e->hash);
    while (*at != e) {
        ensure(*at != NULL);
        at = &(*at)->next;
    }
    *at = e->next;
    list_remove(&e->node);
    ensure(t->count > 0);
    t->count--;
    mem_free(e);
}

void token_table_clear(struct token_table *t)
{
    while (!list_is_empty(&t->order)) {
        token_table_remove(t, LIST_ENTRY(list_first(&t->order), struct token_entry, node));
    }
}

static struct slice copy_to(uint8_t *at, struct slice s)
{
    if (s.len > 0) {
        memcpy(at, s.data, s.len);
    }
    return slice_make(at, s.len);
}

struct token_entry *token_table_put(struct token_table *t, struct slice text, struct slice user)
{
    struct token_entry *e = mem_zalloc(sizeof(*e) + text.len + user.len);
    e->text = copy_to((uint8_t *)(e + 1), text);
    e->user = copy_to((uint8_t *)(e + 1) + text.len, user);
    e->hash = hash_of(t, text);
    struct token_entry *old = token_table_find(t, text);
    if (old != NULL) {
        token_table_remove(t, old);
    } else if (t->count == t->count_max) {
        token_table_remove(t, LIST_ENTRY(list_first(&t->order), struct token_entry, node));
    }
    if (t->count >= t->bucket_count) {
        grow(t);
    }
    struct token_entry **at = bucket_of(t, e->hash);
    e->next = *at;
    *at = e;
    list_push_back(&t->order, &e->node);
    t->count++;
    return e;
}

void token_table_touch(struct token_table *t, struct token_entry *e)
{
    list_remove(&e->node);
    list_push_back(&t->order, &e->node);
}

void token_table_check(const struct token_table *t)
{
    size_t listed = 0, chained = 0;
    LIST_FOREACH (&t->order, n) {
        const struct token_entry *e = LIST_ENTRY(n, struct token_entry, node);
        ensure(token_table_find(t, e->text) == e);
        listed++;
    }
    for (size_t i = 0; i < t->bucket_count; i++) {
        for (const struct token_entry *e = t->buckets[i]; e != NULL; e = e->next) {
            chained++;
        }
    }
    ensure(listed == t->count && chained == t->count && t->count <= t->count_max);
}
