/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/outbox.h"

void *raft_vec_grow(void *data, size_t len, size_t *cap, size_t element_size)
{
    if (len < *cap) {
        return data;
    }
    *cap = *cap == 0 ? 8 : *cap * 2;
    ensure(*cap <= SIZE_MAX / element_size);
    return mem_realloc(data, *cap * element_size);
}

void raft_outbox_deinit(struct raft_outbox *o)
{
    o->is_taken = true;
    raft_outbox_recycle(o);
    mem_free(o->messages.data);
    mem_free(o->refs.data);
    mem_free(o->synced.data);
    mem_free(o->entries.data);
    mem_free(o->snapshots.data);
    mem_free(o->reads.data);
    mem_free(o->log_reads.data);
    mem_free(o->graveyard.data);
    *o = (struct raft_outbox){0};
}

void raft_outbox_recycle(struct raft_outbox *o)
{
    if (!o->is_taken) {
        return;
    }
    for (size_t i = 0; i < o->graveyard.len; i++) {
        rcbuf_unref(o->graveyard.data[i]);
    }
    o->graveyard.len = 0;
    o->messages.len = 0;
    o->refs.len = 0;
    o->synced.len = 0;
    o->entries.len = 0;
    o->snapshots.len = 0;
    o->reads.len = 0;
    o->log_reads.len = 0;
    o->is_taken = false;
}

bool raft_outbox_is_empty(const struct raft_outbox *o)
{
    return o->is_taken || (o->messages.len == 0 && o->synced.len == 0 && o->reads.len == 0 &&
                           o->log_reads.len == 0);
}

void raft_outbox_push(struct raft_outbox *o, const struct raft_message *m)
{
    struct raft_message_refs refs = {o->entries.len, o->snapshots.len};
    ensure(!o->is_taken);
    for (size_t i = 0; i < m->entry_count; i++) {
        RAFT_VEC_PUSH(&o->entries, m->entries[i]);
    }
    if (m->snapshot != NULL) {
        RAFT_VEC_PUSH(&o->snapshots, *m->snapshot);
    }
    RAFT_VEC_PUSH(&o->messages, *m);
    RAFT_VEC_PUSH(&o->refs, refs);
}

void raft_outbox_push_synced(struct raft_outbox *o, const struct raft_message *m)
{
    ensure(!o->is_taken && m->entry_count == 0 && m->snapshot == NULL);
    RAFT_VEC_PUSH(&o->synced, *m);
}

void raft_outbox_push_read(struct raft_outbox *o, raft_index index,
                           const struct raft_context *context)
{
    struct raft_read_state rs = {index, *context};
    ensure(!o->is_taken);
    RAFT_VEC_PUSH(&o->reads, rs);
}

void raft_outbox_push_log_read(struct raft_outbox *o, const struct raft_log_read *read)
{
    ensure(!o->is_taken);
    RAFT_VEC_PUSH(&o->log_reads, *read);
}

void raft_outbox_hold(struct raft_outbox *o, struct rcbuf *owner)
{
    ensure(!o->is_taken);
    if (owner != NULL) {
        RAFT_VEC_PUSH(&o->graveyard, rcbuf_ref(owner));
    }
}

void raft_outbox_bury(struct raft_outbox *o, struct rcbuf *owner)
{
    if (owner == NULL) {
        return;
    }
    if (o == NULL || o->entries.len == 0) {
        rcbuf_unref(owner); /* no message points anywhere */
        return;
    }
    RAFT_VEC_PUSH(&o->graveyard, owner);
}

void raft_outbox_resolve(struct raft_outbox *o, struct raft_update *out)
{
    ensure(!o->is_taken);
    for (size_t i = 0; i < o->messages.len; i++) {
        struct raft_message *m = &o->messages.data[i];
        const struct raft_message_refs *refs = &o->refs.data[i];
        m->entries = m->entry_count > 0 ? &o->entries.data[refs->entry_at] : NULL;
        m->snapshot = m->snapshot != NULL ? &o->snapshots.data[refs->snapshot_at] : NULL;
    }
    out->messages = o->messages.data;
    out->message_count = o->messages.len;
    out->messages_synced = o->synced.data;
    out->messages_synced_count = o->synced.len;
    out->reads = o->reads.data;
    out->read_count = o->reads.len;
    out->log_reads = o->log_reads.data;
    out->log_read_count = o->log_reads.len;
    o->is_taken = true;
}
