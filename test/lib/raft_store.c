/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/raft_store.h"

void store_entries_append(struct store_entries *to, const struct raft_entry *entries, size_t count)
{
    if (to->len + count > to->cap) {
        to->cap = (to->len + count) * 2;
        to->data = mem_realloc(to->data, to->cap * sizeof(*to->data));
    }
    for (size_t i = 0; i < count; i++) {
        to->data[to->len++] = entries[i];
        rcbuf_ref(entries[i].owner);
    }
}

void store_entries_truncate(struct store_entries *e, size_t len)
{
    while (e->len > len) {
        rcbuf_unref(e->data[--e->len].owner);
    }
}

void store_entries_deinit(struct store_entries *e)
{
    store_entries_truncate(e, 0);
    mem_free(e->data);
    *e = (struct store_entries){0};
}

void raft_store_init(struct raft_store *s, const struct raft_snapshot *start)
{
    *s = (struct raft_store){.snapshot = *start, .base = {start->meta.term, start->meta.index}};
}

void raft_store_deinit(struct raft_store *s)
{
    store_entries_deinit(&s->entries);
}

raft_index raft_store_last(const struct raft_store *s)
{
    return s->base.index + s->entries.len;
}

void raft_store_append(struct raft_store *s, const struct raft_entry *entries, size_t count)
{
    while (count > 0 && entries[0].index <= s->base.index) {
        entries++;
        count--;
    }
    if (count == 0) {
        return;
    }
    ensure(entries[0].index <= raft_store_last(s) + 1);
    store_entries_truncate(&s->entries, (size_t)(entries[0].index - s->base.index - 1));
    store_entries_append(&s->entries, entries, count);
}

void raft_store_install(struct raft_store *s, const struct raft_snapshot *snapshot)
{
    if (s->base.index != 0 && snapshot->meta.index <= s->snapshot.meta.index) {
        return;
    }
    store_entries_truncate(&s->entries, 0);
    s->snapshot = *snapshot;
    s->base = (struct raft_entry_id){snapshot->meta.term, snapshot->meta.index};
}

void raft_store_compact(struct raft_store *s, raft_index index)
{
    if (index <= s->base.index) {
        return;
    }
    ensure(index <= raft_store_last(s));
    size_t drop = (size_t)(index - s->base.index);
    s->base = (struct raft_entry_id){s->entries.data[drop - 1].term, index};
    for (size_t i = 0; i < drop; i++) {
        rcbuf_unref(s->entries.data[i].owner);
    }
    s->entries.len -= drop;
    memmove(s->entries.data, s->entries.data + drop, s->entries.len * sizeof(*s->entries.data));
}

const struct raft_entry *raft_store_read(const struct raft_store *s, raft_index lo, raft_index hi,
                                         size_t *out_count)
{
    *out_count = 0;
    if (lo <= s->base.index || lo > raft_store_last(s)) {
        return NULL;
    }
    raft_index end = hi < raft_store_last(s) + 1 ? hi : raft_store_last(s) + 1;
    *out_count = (size_t)(end - lo);
    return &s->entries.data[lo - s->base.index - 1];
}
