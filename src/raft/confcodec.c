/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/confcodec: the data of conf-change entries (raftpb.ConfChange and ConfChangeV2).
 *
 * They are the only entry data that raft itself reads: a leader must know whether a forwarded
 * change is empty (leaves a joint configuration).  Written as etcd 3.5/3.6 write them: every
 * scalar, zero included (peer-protocol 3.2).  Unknown fields are skipped.
 */
#include "base/bytes.h"
#include "raft/raft.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct field {
    uint64_t number;
    unsigned wire;
    uint64_t value;     /* varint */
    struct slice bytes; /* length-delimited */
};

static bool take_varint(struct slice *in, uint64_t *out)
{
    size_t n = varint_get(in->data, in->len, out);
    *in = slice_skip(*in, n);
    return n > 0;
}

static bool skip_bytes(struct slice *in, size_t n)
{
    if (in->len < n) {
        return false;
    }
    *in = slice_skip(*in, n);
    return true;
}

/* One field off the front; in->len > 0. */
static bool take_field(struct slice *in, struct field *f)
{
    uint64_t key;
    *f = (struct field){0};
    if (!take_varint(in, &key) || key >> 3 == 0) {
        return false;
    }
    f->number = key >> 3;
    f->wire = (unsigned)(key & 7);
    switch (f->wire) {
    case WIRE_VARINT: return take_varint(in, &f->value);
    case WIRE_FIXED64: return skip_bytes(in, 8);
    case WIRE_FIXED32: return skip_bytes(in, 4);
    case WIRE_BYTES:
        if (!take_varint(in, &f->value) || f->value > in->len) {
            return false;
        }
        f->bytes = slice_make(in->data, (size_t)f->value);
        return skip_bytes(in, (size_t)f->value);
    default: return false;
    }
}

static bool is_field(const struct field *f, uint64_t number, unsigned wire)
{
    return f->number == number && f->wire == wire;
}

static bool to_type(uint64_t v, enum raft_conf_change_type *out)
{
    *out = (enum raft_conf_change_type)v;
    return v <= RAFT_CONF_ADD_LEARNER;
}

int raft_conf_change_v1_decode(struct slice data, struct raft_conf_change *out_cc)
{
    struct raft_conf_change cc = {0};
    struct field f;
    while (data.len > 0) {
        if (!take_field(&data, &f)) {
            return ERR_MALFORMED;
        }
        if (is_field(&f, 1, WIRE_VARINT)) {
            cc.id = f.value;
        } else if (is_field(&f, 2, WIRE_VARINT)) {
            if (!to_type(f.value, &cc.type)) {
                return ERR_MALFORMED;
            }
        } else if (is_field(&f, 3, WIRE_VARINT)) {
            cc.node_id = f.value;
        } else if (is_field(&f, 4, WIRE_BYTES)) {
            cc.context = f.bytes;
        }
    }
    *out_cc = cc;
    return 0;
}

static int decode_single(struct slice data, struct raft_conf_single *out)
{
    struct field f;
    *out = (struct raft_conf_single){RAFT_CONF_ADD_NODE, 0};
    while (data.len > 0) {
        if (!take_field(&data, &f)) {
            return ERR_MALFORMED;
        }
        if (is_field(&f, 1, WIRE_VARINT) && !to_type(f.value, &out->type)) {
            return ERR_MALFORMED;
        }
        if (is_field(&f, 2, WIRE_VARINT)) {
            out->node_id = f.value;
        }
    }
    return 0;
}

static int decode_v2_field(const struct field *f, struct raft_conf_change_v2 *cc)
{
    if (is_field(f, 1, WIRE_VARINT)) {
        cc->transition = (enum raft_conf_transition)f->value;
        return f->value <= RAFT_TRANSITION_JOINT_EXPLICIT ? 0 : ERR_MALFORMED;
    }
    if (is_field(f, 2, WIRE_BYTES)) {
        if (cc->count == RAFT_MEMBERS_MAX) {
            return ERR_LIMIT;
        }
        return decode_single(f->bytes, &cc->changes[cc->count++]);
    }
    if (is_field(f, 3, WIRE_BYTES)) {
        cc->context = f->bytes;
    }
    return 0;
}

static int decode_v2(struct slice data, struct raft_conf_change_v2 *cc)
{
    struct field f;
    while (data.len > 0) {
        if (!take_field(&data, &f)) {
            return ERR_MALFORMED;
        }
        int rv = decode_v2_field(&f, cc);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

int raft_conf_change_decode(enum raft_entry_type type, struct slice data,
                            struct raft_conf_change_v2 *out_cc)
{
    struct raft_conf_change_v2 cc = {0};
    struct raft_conf_change v1;
    int rv;
    if (type == RAFT_ENTRY_CONF_CHANGE_V2) {
        rv = decode_v2(data, &cc);
    } else if (type == RAFT_ENTRY_CONF_CHANGE) {
        rv = raft_conf_change_v1_decode(data, &v1);
        if (rv == 0) {
            cc.count = 1;
            cc.changes[0] = (struct raft_conf_single){v1.type, v1.node_id};
            cc.context = v1.context;
        }
    } else {
        rv = ERR_INVALID;
    }
    if (rv == 0) {
        *out_cc = cc;
    }
    return rv;
}

static void put_varint(struct buf *out, uint8_t key, uint64_t v)
{
    buf_append_byte(out, key);
    buf_append_varint(out, v);
}

static void put_context(struct buf *out, uint8_t key, struct slice context)
{
    if (context.data != NULL) {
        put_varint(out, key, context.len);
        buf_append_slice(out, context);
    }
}

void raft_conf_change_v1_encode(const struct raft_conf_change *cc, struct buf *out)
{
    put_varint(out, 0x08, cc->id);
    put_varint(out, 0x10, (uint64_t)cc->type);
    put_varint(out, 0x18, cc->node_id);
    put_context(out, 0x22, cc->context);
}

void raft_conf_change_v2_encode(const struct raft_conf_change_v2 *cc, struct buf *out)
{
    put_varint(out, 0x08, (uint64_t)cc->transition);
    for (uint32_t i = 0; i < cc->count; i++) {
        const struct raft_conf_single *s = &cc->changes[i];
        put_varint(out, 0x12, 2 + varint_len((uint64_t)s->type) + varint_len(s->node_id));
        put_varint(out, 0x08, (uint64_t)s->type);
        put_varint(out, 0x10, s->node_id);
    }
    put_context(out, 0x1a, cc->context);
}
