/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/raftpb: see raftpb.h.
 */
#include "wal/raftpb.h"

#include "wal/scan.h"

/* One byte each: field numbers are below 16. */
#define TAG_VARINT(field) ((uint8_t)((field) << 3))
#define TAG_LEN(field) ((uint8_t)((field) << 3 | 2))

static void put_u64(struct buf *out, unsigned field, uint64_t v)
{
    buf_append_byte(out, TAG_VARINT(field));
    buf_append_varint(out, v);
}

static void put_len(struct buf *out, unsigned field, size_t len)
{
    buf_append_byte(out, TAG_LEN(field));
    buf_append_varint(out, len);
}

static void put_bytes(struct buf *out, unsigned field, struct slice s)
{
    put_len(out, field, s.len);
    buf_append_slice(out, s);
}

/* ---- Entry ---- */

size_t raftpb_entry_head(const struct raft_entry *e, enum raftpb_emission em,
                         uint8_t out[RAFTPB_ENTRY_HEAD_MAX])
{
    size_t n = 0;
    if (e->type != RAFT_ENTRY_NORMAL || em == RAFTPB_ZEROS) {
        out[n++] = TAG_VARINT(1);
        n += varint_put(out + n, (uint64_t)e->type);
    }
    out[n++] = TAG_VARINT(2);
    n += varint_put(out + n, e->term);
    out[n++] = TAG_VARINT(3);
    n += varint_put(out + n, e->index);
    if (e->data.len > 0) {
        out[n++] = TAG_LEN(4);
        n += varint_put(out + n, e->data.len);
    }
    ensure(n <= RAFTPB_ENTRY_HEAD_MAX);
    return n;
}

void raftpb_entry_encode(struct buf *out, const struct raft_entry *e, enum raftpb_emission em)
{
    uint8_t head[RAFTPB_ENTRY_HEAD_MAX];
    size_t n = raftpb_entry_head(e, em, head);
    buf_append(out, head, n);
    buf_append_slice(out, e->data);
}

int raftpb_entry_decode(struct slice in, struct raft_entry *out)
{
    struct scan s;
    uint64_t type = 0;
    struct raft_entry e = {.data = SLICE_NULL};
    for (scan_init(&s, in); scan_next(&s);) {
        switch (s.field) {
        case 1: scan_u64(&s, &type); break;
        case 2: scan_u64(&s, &e.term); break;
        case 3: scan_u64(&s, &e.index); break;
        case 4: scan_bytes(&s, &e.data); break;
        default: break;
        }
    }
    if (s.err != 0 || type > RAFT_ENTRY_CONF_CHANGE_V2) {
        return ERR_MALFORMED;
    }
    e.type = (enum raft_entry_type)type;
    *out = e;
    return 0;
}

/* ---- HardState ---- */

void raftpb_hard_state_encode(struct buf *out, const struct raft_hard_state *hs)
{
    put_u64(out, 1, hs->term);
    put_u64(out, 2, hs->vote);
    put_u64(out, 3, hs->commit);
}

int raftpb_hard_state_decode(struct slice in, struct raft_hard_state *out)
{
    struct scan s;
    struct raft_hard_state hs = {0, 0, 0};
    for (scan_init(&s, in); scan_next(&s);) {
        switch (s.field) {
        case 1: scan_u64(&s, &hs.term); break;
        case 2: scan_u64(&s, &hs.vote); break;
        case 3: scan_u64(&s, &hs.commit); break;
        default: break;
        }
    }
    if (s.err == 0) {
        *out = hs;
    }
    return s.err;
}

/* ---- ConfState ---- */

static void put_ids(struct buf *out, unsigned field, const struct raft_ids *ids)
{
    ensure(ids->count <= RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < ids->count; i++) {
        put_u64(out, field, ids->ids[i]);
    }
}

void raftpb_conf_state_encode(struct buf *out, const struct raft_conf_state *cs,
                              enum raftpb_emission em)
{
    (void)em; /* raft sets auto_leave in every version */
    put_ids(out, 1, &cs->voters);
    put_ids(out, 2, &cs->learners);
    put_ids(out, 3, &cs->voters_outgoing);
    put_ids(out, 4, &cs->learners_next);
    put_u64(out, 5, cs->auto_leave ? 1 : 0);
}

static int ids_add(struct raft_ids *ids, uint64_t id)
{
    uint32_t at = 0;
    while (at < ids->count && ids->ids[at] < id) {
        at++;
    }
    if (at < ids->count && ids->ids[at] == id) {
        return 0;
    }
    if (ids->count == RAFT_MEMBERS_MAX) {
        return ERR_LIMIT;
    }
    memmove(&ids->ids[at + 1], &ids->ids[at], (ids->count - at) * sizeof(ids->ids[0]));
    ids->ids[at] = id;
    ids->count++;
    return 0;
}

/* A list field comes one id at a time or packed. */
static int ids_scan(struct scan *s, struct raft_ids *ids)
{
    if (s->type == SCAN_VARINT) {
        return ids_add(ids, s->number);
    }
    if (s->type != SCAN_LEN) {
        return ERR_MALFORMED;
    }
    for (struct slice in = s->bytes; in.len > 0;) {
        uint64_t id;
        size_t n = varint_get(in.data, in.len, &id);
        if (n == 0) {
            return ERR_MALFORMED;
        }
        int err = ids_add(ids, id);
        if (err != 0) {
            return err;
        }
        in = slice_skip(in, n);
    }
    return 0;
}

int raftpb_conf_state_decode(struct slice in, struct raft_conf_state *out)
{
    struct scan s;
    struct raft_conf_state cs = {.auto_leave = false};
    uint64_t auto_leave = 0;
    int err = 0;
    for (scan_init(&s, in); err == 0 && scan_next(&s);) {
        switch (s.field) {
        case 1: err = ids_scan(&s, &cs.voters); break;
        case 2: err = ids_scan(&s, &cs.learners); break;
        case 3: err = ids_scan(&s, &cs.voters_outgoing); break;
        case 4: err = ids_scan(&s, &cs.learners_next); break;
        case 5: scan_u64(&s, &auto_leave); break;
        default: break;
        }
    }
    err = err != 0 ? err : s.err;
    if (err == 0) {
        cs.auto_leave = auto_leave != 0;
        *out = cs;
    }
    return err;
}

/* ---- Snapshot ---- */

/* Appends a sub-message: its length is not known before it is written. */
static void put_conf_state(struct buf *out, unsigned field, const struct raft_conf_state *cs,
                           enum raftpb_emission em)
{
    struct buf sub = BUF_INIT;
    raftpb_conf_state_encode(&sub, cs, em);
    put_bytes(out, field, buf_slice(&sub));
    buf_deinit(&sub);
}

void raftpb_snapshot_meta_encode(struct buf *out, const struct raft_snapshot_meta *m,
                                 enum raftpb_emission em)
{
    put_conf_state(out, 1, &m->conf, em);
    put_u64(out, 2, m->index);
    put_u64(out, 3, m->term);
}

int raftpb_snapshot_meta_decode(struct slice in, struct raft_snapshot_meta *out)
{
    struct scan s;
    struct slice conf = SLICE_NULL;
    struct raft_snapshot_meta m = {.index = 0};
    for (scan_init(&s, in); scan_next(&s);) {
        switch (s.field) {
        case 1: scan_bytes(&s, &conf); break;
        case 2: scan_u64(&s, &m.index); break;
        case 3: scan_u64(&s, &m.term); break;
        default: break;
        }
    }
    int err = s.err != 0 ? s.err : raftpb_conf_state_decode(conf, &m.conf);
    if (err == 0) {
        *out = m;
    }
    return err;
}

void raftpb_snapshot_encode(struct buf *out, struct slice data, const struct raft_snapshot_meta *m,
                            enum raftpb_emission em)
{
    if (data.len > 0) {
        put_bytes(out, 1, data);
    }
    struct buf sub = BUF_INIT;
    raftpb_snapshot_meta_encode(&sub, m, em);
    put_bytes(out, 2, buf_slice(&sub));
    buf_deinit(&sub);
}

int raftpb_snapshot_decode(struct slice in, struct raftpb_snapshot *out)
{
    struct scan s;
    struct slice meta = SLICE_NULL;
    struct slice data = SLICE_NULL;
    for (scan_init(&s, in); scan_next(&s);) {
        switch (s.field) {
        case 1: scan_bytes(&s, &data); break;
        case 2: scan_bytes(&s, &meta); break;
        default: break;
        }
    }
    if (s.err != 0) {
        return s.err;
    }
    int err = raftpb_snapshot_meta_decode(meta, &out->meta);
    if (err == 0) {
        out->data = data;
    }
    return err;
}

/* ---- ConfChange ---- */

void raftpb_conf_change_encode(struct buf *out, const struct raft_conf_change *cc,
                               enum raftpb_emission em)
{
    if (cc->id != 0 || em == RAFTPB_ZEROS) {
        put_u64(out, 1, cc->id);
    }
    put_u64(out, 2, (uint64_t)cc->type);
    put_u64(out, 3, cc->node_id);
    if (cc->context.len > 0) {
        put_bytes(out, 4, cc->context);
    }
}

int raftpb_conf_change_decode(struct slice in, struct raft_conf_change *out)
{
    struct scan s;
    uint64_t type = 0;
    struct raft_conf_change cc = {.context = SLICE_NULL};
    for (scan_init(&s, in); scan_next(&s);) {
        switch (s.field) {
        case 1: scan_u64(&s, &cc.id); break;
        case 2: scan_u64(&s, &type); break;
        case 3: scan_u64(&s, &cc.node_id); break;
        case 4: scan_bytes(&s, &cc.context); break;
        default: break;
        }
    }
    if (s.err != 0 || type > RAFT_CONF_ADD_LEARNER) {
        return ERR_MALFORMED;
    }
    cc.type = (enum raft_conf_change_type)type;
    *out = cc;
    return 0;
}

static int change_single_decode(struct slice in, struct raftpb_conf_change_v2 *cc)
{
    struct scan s;
    uint64_t type = 0;
    uint64_t node = 0;
    for (scan_init(&s, in); scan_next(&s);) {
        switch (s.field) {
        case 1: scan_u64(&s, &type); break;
        case 2: scan_u64(&s, &node); break;
        default: break;
        }
    }
    if (s.err != 0 || type > RAFT_CONF_ADD_LEARNER) {
        return ERR_MALFORMED;
    }
    if (cc->count == RAFTPB_CHANGES_MAX) {
        return ERR_LIMIT;
    }
    cc->changes[cc->count].type = (enum raft_conf_change_type)type;
    cc->changes[cc->count].node_id = node;
    cc->count++;
    return 0;
}

int raftpb_conf_change_v2_decode(struct slice in, struct raftpb_conf_change_v2 *out)
{
    struct scan s;
    uint64_t transition = 0;
    struct raftpb_conf_change_v2 cc = {.count = 0};
    int err = 0;
    for (scan_init(&s, in); err == 0 && scan_next(&s);) {
        switch (s.field) {
        case 1: scan_u64(&s, &transition); break;
        case 2:
            err = s.type == SCAN_LEN ? change_single_decode(s.bytes, &cc) : ERR_MALFORMED;
            break;
        case 3: scan_bytes(&s, &cc.context); break;
        default: break;
        }
    }
    err = err != 0 ? err : s.err;
    if (err == 0 && transition > 2) {
        err = ERR_MALFORMED;
    }
    if (err == 0) {
        cc.transition = (uint32_t)transition;
        *out = cc;
    }
    return err;
}

/* ---- walpb.Snapshot, Metadata ---- */

void raftpb_wal_snapshot_encode(struct buf *out, const struct raft_snapshot_meta *m,
                                enum raftpb_emission em)
{
    put_u64(out, 1, m->index);
    put_u64(out, 2, m->term);
    if (m->index > 0) {
        put_conf_state(out, 3, &m->conf, em);
    }
}

int raftpb_wal_snapshot_decode(struct slice in, struct raft_snapshot_meta *out)
{
    struct scan s;
    struct slice conf = SLICE_NULL;
    struct raft_snapshot_meta m = {.index = 0};
    for (scan_init(&s, in); scan_next(&s);) {
        switch (s.field) {
        case 1: scan_u64(&s, &m.index); break;
        case 2: scan_u64(&s, &m.term); break;
        case 3: scan_bytes(&s, &conf); break;
        default: break;
        }
    }
    int err = s.err != 0 ? s.err : raftpb_conf_state_decode(conf, &m.conf);
    if (err == 0) {
        *out = m;
    }
    return err;
}

void raftpb_metadata_encode(struct buf *out, const struct wal_metadata *m)
{
    put_u64(out, 1, m->node_id);
    put_u64(out, 2, m->cluster_id);
}

int raftpb_metadata_decode(struct slice in, struct wal_metadata *out)
{
    struct scan s;
    struct wal_metadata m = {0, 0};
    for (scan_init(&s, in); scan_next(&s);) {
        switch (s.field) {
        case 1: scan_u64(&s, &m.node_id); break;
        case 2: scan_u64(&s, &m.cluster_id); break;
        default: break;
        }
    }
    if (s.err == 0) {
        *out = m;
    }
    return s.err;
}
