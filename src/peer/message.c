/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/message: see message.h.
 */
#include "peer/message.h"

#include "base/err.h"
#include "wal/raftpb.h"
#include "wal/scan.h"

enum {
    FIELD_TYPE = 1,
    FIELD_TO = 2,
    FIELD_FROM = 3,
    FIELD_TERM = 4,
    FIELD_LOG_TERM = 5,
    FIELD_INDEX = 6,
    FIELD_ENTRIES = 7,
    FIELD_COMMIT = 8,
    FIELD_SNAPSHOT = 9,
    FIELD_REJECT = 10,
    FIELD_REJECT_HINT = 11,
    FIELD_CONTEXT = 12,
    FIELD_VOTE = 13,
    ENTRIES_KEPT = 4096, /* a longer array is given back */
};

/* ---- encoding ---------------------------------------------------------------------------------
 */

/* One-byte tags: field numbers are below 16. */
static void put_u64(struct buf *out, unsigned field, uint64_t v, bool zeros)
{
    if (v != 0 || zeros) {
        uint8_t bytes[1 + VARINT_BYTES_MAX];
        bytes[0] = (uint8_t)(field << 3);
        buf_append(out, bytes, 1 + varint_put(bytes + 1, v));
    }
}

static void put_len(struct buf *out, unsigned field, size_t len)
{
    uint8_t bytes[1 + VARINT_BYTES_MAX];
    bytes[0] = (uint8_t)(field << 3 | SCAN_LEN);
    buf_append(out, bytes, 1 + varint_put(bytes + 1, len));
}

static void put_entry(struct buf *out, const struct raft_entry *e, enum raftpb_emission em)
{
    uint8_t head[RAFTPB_ENTRY_HEAD_MAX];
    size_t n = raftpb_entry_head(e, em, head);
    put_len(out, FIELD_ENTRIES, n + e->data.len);
    buf_append(out, head, n);
    buf_append_slice(out, e->data);
}

static bool is_read(enum raft_message_type type)
{
    return type == RAFT_MSG_READ_INDEX || type == RAFT_MSG_READ_INDEX_RESP;
}

static struct slice context_slice(const struct raft_message *m)
{
    return slice_make(m->context.bytes, m->context.len);
}

static void put_entries(struct buf *out, const struct raft_message *m, enum raftpb_emission em)
{
    if (is_read(m->type)) {
        struct raft_entry e = {.data = context_slice(m)};
        put_entry(out, &e, em);
        return;
    }
    for (size_t i = 0; i < m->entry_count; i++) {
        put_entry(out, &m->entries[i], em);
    }
}

static void put_snapshot(struct buf *out, const struct peer_snapshot_part *snapshot,
                         const struct level_rules *rules)
{
    static const uint8_t empty[] = {0x12, 0x08, 0x0a, 0x02, 0x28, 0x00, 0x10, 0x00, 0x18, 0x00};
    if (snapshot != NULL) {
        struct buf sub = BUF_INIT;
        raftpb_snapshot_encode(&sub, snapshot->v2_json, snapshot->meta, rules->emission);
        put_len(out, FIELD_SNAPSHOT, sub.len);
        buf_append_slice(out, buf_slice(&sub));
        buf_deinit(&sub);
    } else if (rules->message_has_snapshot) {
        put_len(out, FIELD_SNAPSHOT, sizeof(empty));
        buf_append(out, empty, sizeof(empty));
    }
}

void peer_message_encode(struct buf *out, const struct raft_message *m,
                         const struct peer_snapshot_part *snapshot, const struct level_rules *rules)
{
    bool zeros = rules->emission == RAFTPB_ZEROS;
    put_u64(out, FIELD_TYPE, (uint64_t)m->type, true);
    put_u64(out, FIELD_TO, m->to, zeros);
    put_u64(out, FIELD_FROM, m->from, zeros);
    put_u64(out, FIELD_TERM, m->term, zeros);
    put_u64(out, FIELD_LOG_TERM, m->log_term, zeros);
    put_u64(out, FIELD_INDEX, m->index, zeros);
    put_entries(out, m, rules->emission);
    put_u64(out, FIELD_COMMIT, m->commit, zeros);
    put_snapshot(out, snapshot, rules);
    put_u64(out, FIELD_REJECT, m->reject ? 1 : 0, zeros);
    put_u64(out, FIELD_REJECT_HINT, m->reject_hint, zeros);
    if (m->context.len > 0 && !is_read(m->type)) {
        put_len(out, FIELD_CONTEXT, m->context.len);
        buf_append_slice(out, context_slice(m));
    }
    if (rules->message_has_vote) {
        put_u64(out, FIELD_VOTE, 0, true);
    }
}

size_t peer_message_size_hint(const struct raft_message *m)
{
    size_t n = 128;
    for (size_t i = 0; i < m->entry_count; i++) {
        n += RAFTPB_ENTRY_HEAD_MAX + m->entries[i].data.len;
    }
    return n;
}

/* ---- decoding ---------------------------------------------------------------------------------
 */

void peer_decoded_init(struct peer_decoded *d)
{
    *d = (struct peer_decoded){.owner = NULL};
}

void peer_decoded_clear(struct peer_decoded *d)
{
    rcbuf_unref(d->owner);
    d->owner = NULL;
    d->entries.count = 0;
    if (d->entries.cap > ENTRIES_KEPT) {
        mem_free(d->entries.items);
        d->entries = (struct peer_entries){NULL, 0, 0};
    }
    d->m = (struct raft_message){.to = 0};
    d->v2_json = SLICE_NULL;
}

void peer_decoded_deinit(struct peer_decoded *d)
{
    peer_decoded_clear(d);
    mem_free(d->entries.items);
    d->entries = (struct peer_entries){NULL, 0, 0};
}

static int entries_grow(struct peer_entries *e)
{
    size_t cap = e->cap == 0 ? 16 : e->cap * 2;
    struct raft_entry *items = mem_try_alloc(cap * sizeof(*items));
    if (items == NULL) {
        return ERR_NOMEM;
    }
    if (e->count > 0) {
        memcpy(items, e->items, e->count * sizeof(*items));
    }
    mem_free(e->items);
    e->items = items;
    e->cap = cap;
    return 0;
}

int peer_entries_add(struct peer_entries *e, struct slice bytes)
{
    struct raft_entry entry;
    int err = raftpb_entry_decode(bytes, &entry);
    if (err == 0 && e->count == PEER_ENTRIES_MAX) {
        err = ERR_LIMIT;
    }
    if (err == 0 && e->count == e->cap) {
        err = entries_grow(e);
    }
    if (err == 0) {
        e->items[e->count++] = entry;
    }
    return err;
}

int peer_decoded_own(struct peer_decoded *d, struct slice in)
{
    ensure(d->owner == NULL);
    for (size_t i = 0; i < d->entries.count; i++) {
        struct raft_entry *e = &d->entries.items[i];
        if (e->data.len == 0) {
            e->data = SLICE_NULL;
            continue;
        }
        if (d->owner == NULL) {
            d->owner = rcbuf_try_create(in.len);
            if (d->owner == NULL) {
                return ERR_NOMEM;
            }
            memcpy(d->owner->data, in.data, in.len);
            d->owner->len = in.len;
        }
        ensure(e->data.data >= in.data && e->data.data + e->data.len <= in.data + in.len);
        e->data.data = d->owner->data + (e->data.data - in.data);
        e->owner = d->owner;
    }
    return 0;
}

static bool is_network_type(uint64_t type)
{
    return (type >= RAFT_MSG_PROP && type <= RAFT_MSG_HEARTBEAT_RESP) ||
           (type >= RAFT_MSG_TRANSFER_LEADER && type < RAFT_MSG_TYPE_END);
}

static int context_set(struct raft_context *c, struct slice bytes)
{
    if (bytes.len > RAFT_CONTEXT_BYTES_MAX) {
        return ERR_UNSUPPORTED;
    }
    c->len = (uint8_t)bytes.len;
    if (bytes.len > 0) {
        memcpy(c->bytes, bytes.data, bytes.len);
    }
    return 0;
}

struct raw {
    uint64_t type;
    uint64_t reject;
    struct slice context;
    struct slice snapshot;
};

static int fields_scan(struct slice in, struct peer_decoded *d, struct raw *raw)
{
    struct scan s;
    struct raft_message *m = &d->m;
    int err = 0;
    for (scan_init(&s, in); err == 0 && scan_next(&s);) {
        switch (s.field) {
        case FIELD_TYPE: scan_u64(&s, &raw->type); break;
        case FIELD_TO: scan_u64(&s, &m->to); break;
        case FIELD_FROM: scan_u64(&s, &m->from); break;
        case FIELD_TERM: scan_u64(&s, &m->term); break;
        case FIELD_LOG_TERM: scan_u64(&s, &m->log_term); break;
        case FIELD_INDEX: scan_u64(&s, &m->index); break;
        case FIELD_ENTRIES:
            err = s.type == SCAN_LEN ? peer_entries_add(&d->entries, s.bytes) : ERR_MALFORMED;
            break;
        case FIELD_COMMIT: scan_u64(&s, &m->commit); break;
        case FIELD_SNAPSHOT: scan_bytes(&s, &raw->snapshot); break;
        case FIELD_REJECT: scan_u64(&s, &raw->reject); break;
        case FIELD_REJECT_HINT: scan_u64(&s, &m->reject_hint); break;
        case FIELD_CONTEXT: scan_bytes(&s, &raw->context); break;
        default: break;
        }
    }
    return err != 0 ? err : s.err;
}

/* The one entry of a ReadIndex is its context. */
static int read_context(struct peer_decoded *d)
{
    if (d->entries.count != 1) {
        return ERR_UNSUPPORTED;
    }
    struct slice data = d->entries.items[0].data;
    d->entries.count = 0;
    return context_set(&d->m.context, data);
}

static int snapshot_take(struct peer_decoded *d, struct slice bytes)
{
    struct raftpb_snapshot s;
    int err = raftpb_snapshot_decode(bytes, &s);
    if (err == 0) {
        d->snapshot = (struct raft_snapshot){.meta = s.meta, .handle = NULL};
        d->v2_json = s.data;
        d->m.snapshot = &d->snapshot;
    }
    return err;
}

int peer_message_decode(struct slice in, struct peer_decoded *d)
{
    struct raw raw = {.type = 0, .context = SLICE_NULL, .snapshot = SLICE_NULL};
    peer_decoded_clear(d);
    int err = fields_scan(in, d, &raw);
    if (err != 0) {
        return err;
    }
    if (!is_network_type(raw.type)) {
        return ERR_UNSUPPORTED;
    }
    d->m.type = (enum raft_message_type)raw.type;
    d->m.reject = raw.reject != 0;
    if (is_read(d->m.type)) {
        return read_context(d);
    }
    err = context_set(&d->m.context, raw.context);
    if (err == 0 && d->m.type == RAFT_MSG_SNAP) {
        err = snapshot_take(d, raw.snapshot);
    }
    d->m.entries = d->entries.items;
    d->m.entry_count = d->entries.count;
    return err;
}
