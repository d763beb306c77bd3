/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/kv: KeyValue, ResponseHeader and the four plain requests.
 *
 * The *_merge functions take one more piece of a message into what is there: protobuf's rule for a
 * sub-message that occurs twice, which txn.c needs.
 */
#include "base/bytes.h"
#include "wire/merge.h"
#include "wire/take.h"

enum { KV_KEY = 1, KV_CREATE, KV_MOD, KV_VERSION, KV_VALUE, KV_LEASE };

size_t wire_kv_size(const struct wire_kv *kv)
{
    return wire_bytes_size(KV_KEY, kv->key.len) +
           wire_u64_size(KV_CREATE, (uint64_t)kv->create_revision) +
           wire_u64_size(KV_MOD, (uint64_t)kv->mod_revision) +
           wire_u64_size(KV_VERSION, (uint64_t)kv->version) +
           wire_bytes_size(KV_VALUE, kv->value.len) + wire_u64_size(KV_LEASE, (uint64_t)kv->lease);
}

void wire_kv_encode(const struct wire_kv *kv, uint8_t *out)
{
    out = wire_put_bytes(out, KV_KEY, kv->key);
    out = wire_put_u64(out, KV_CREATE, (uint64_t)kv->create_revision);
    out = wire_put_u64(out, KV_MOD, (uint64_t)kv->mod_revision);
    out = wire_put_u64(out, KV_VERSION, (uint64_t)kv->version);
    out = wire_put_bytes(out, KV_VALUE, kv->value);
    (void)wire_put_u64(out, KV_LEASE, (uint64_t)kv->lease);
}

int wire_kv_merge(struct slice in, struct wire_kv *kv)
{
    struct wire_scan s;
    wire_scan_init(&s, in);
    while (wire_scan_next(&s)) {
        switch (s.field) {
        case KV_KEY: wire_take_bytes(&s, &kv->key); break;
        case KV_CREATE: wire_take_i64(&s, &kv->create_revision); break;
        case KV_MOD: wire_take_i64(&s, &kv->mod_revision); break;
        case KV_VERSION: wire_take_i64(&s, &kv->version); break;
        case KV_VALUE: wire_take_bytes(&s, &kv->value); break;
        case KV_LEASE: wire_take_i64(&s, &kv->lease); break;
        default: break;
        }
    }
    return s.err;
}

int wire_header_merge(struct slice in, struct wire_header *h)
{
    struct wire_scan s;
    wire_scan_init(&s, in);
    while (wire_scan_next(&s)) {
        switch (s.field) {
        case 1: wire_take_u64(&s, &h->cluster_id); break;
        case 2: wire_take_u64(&s, &h->member_id); break;
        case 3: wire_take_i64(&s, &h->revision); break;
        case 4: wire_take_u64(&s, &h->raft_term); break;
        default: break;
        }
    }
    return s.err;
}

size_t wire_header_size(const struct wire_header *h)
{
    return wire_u64_size(1, h->cluster_id) + wire_u64_size(2, h->member_id) +
           wire_u64_size(3, (uint64_t)h->revision) + wire_u64_size(4, h->raft_term);
}

void wire_header_encode(const struct wire_header *h, uint8_t *out)
{
    out = wire_put_u64(out, 1, h->cluster_id);
    out = wire_put_u64(out, 2, h->member_id);
    out = wire_put_u64(out, 3, (uint64_t)h->revision);
    (void)wire_put_u64(out, 4, h->raft_term);
}

static void range_take(const struct wire_scan *s, struct wire_range_req *r)
{
    switch (s->field) {
    case 1: wire_take_bytes(s, &r->key); break;
    case 2: wire_take_bytes(s, &r->range_end); break;
    case 3: wire_take_i64(s, &r->limit); break;
    case 4: wire_take_i64(s, &r->revision); break;
    case 5: wire_take_enum(s, &r->sort_order); break;
    case 6: wire_take_enum(s, &r->sort_target); break;
    case 7: wire_take_bool(s, &r->serializable); break;
    case 8: wire_take_bool(s, &r->keys_only); break;
    case 9: wire_take_bool(s, &r->count_only); break;
    case 10: wire_take_i64(s, &r->min_mod_revision); break;
    case 11: wire_take_i64(s, &r->max_mod_revision); break;
    case 12: wire_take_i64(s, &r->min_create_revision); break;
    case 13: wire_take_i64(s, &r->max_create_revision); break;
    default: break;
    }
}

int wire_range_req_merge(struct slice in, struct wire_range_req *r)
{
    struct wire_scan s;
    wire_scan_init(&s, in);
    while (wire_scan_next(&s)) {
        range_take(&s, r);
    }
    return s.err;
}

int wire_put_req_merge(struct slice in, struct wire_put_req *r)
{
    struct wire_scan s;
    wire_scan_init(&s, in);
    while (wire_scan_next(&s)) {
        switch (s.field) {
        case 1: wire_take_bytes(&s, &r->key); break;
        case 2: wire_take_bytes(&s, &r->value); break;
        case 3: wire_take_i64(&s, &r->lease); break;
        case 4: wire_take_bool(&s, &r->prev_kv); break;
        case 5: wire_take_bool(&s, &r->ignore_value); break;
        case 6: wire_take_bool(&s, &r->ignore_lease); break;
        default: break;
        }
    }
    return s.err;
}

int wire_delete_req_merge(struct slice in, struct wire_delete_req *r)
{
    struct wire_scan s;
    wire_scan_init(&s, in);
    while (wire_scan_next(&s)) {
        switch (s.field) {
        case 1: wire_take_bytes(&s, &r->key); break;
        case 2: wire_take_bytes(&s, &r->range_end); break;
        case 3: wire_take_bool(&s, &r->prev_kv); break;
        default: break;
        }
    }
    return s.err;
}

static int compaction_req_merge(struct slice in, struct wire_compaction_req *r)
{
    struct wire_scan s;
    wire_scan_init(&s, in);
    while (wire_scan_next(&s)) {
        switch (s.field) {
        case 1: wire_take_i64(&s, &r->revision); break;
        case 2: wire_take_bool(&s, &r->physical); break;
        default: break;
        }
    }
    return s.err;
}

/* A decode is a merge into an empty message that reaches the caller only when it succeeded. */
#define WIRE_DECODE_DEFINE(name, type, merge)                                                      \
    int name(struct slice in, type *out)                                                           \
    {                                                                                              \
        type m = {0};                                                                              \
        int err = merge(in, &m);                                                                   \
        if (err == 0) {                                                                            \
            *out = m;                                                                              \
        }                                                                                          \
        return err;                                                                                \
    }

WIRE_DECODE_DEFINE(wire_kv_decode, struct wire_kv, wire_kv_merge)
WIRE_DECODE_DEFINE(wire_header_decode, struct wire_header, wire_header_merge)
WIRE_DECODE_DEFINE(wire_range_req_decode, struct wire_range_req, wire_range_req_merge)
WIRE_DECODE_DEFINE(wire_put_req_decode, struct wire_put_req, wire_put_req_merge)
WIRE_DECODE_DEFINE(wire_delete_req_decode, struct wire_delete_req, wire_delete_req_merge)
WIRE_DECODE_DEFINE(wire_compaction_req_decode, struct wire_compaction_req, compaction_req_merge)

/* Enums are sign-extended to 64 bits on the wire. */
static uint64_t enum_number(int32_t v)
{
    return (uint64_t)(int64_t)v;
}

void wire_range_req_encode(struct buf *out, const struct wire_range_req *r)
{
    wire_append_bytes(out, 1, r->key);
    wire_append_bytes(out, 2, r->range_end);
    wire_append_u64(out, 3, (uint64_t)r->limit);
    wire_append_u64(out, 4, (uint64_t)r->revision);
    wire_append_u64(out, 5, enum_number(r->sort_order));
    wire_append_u64(out, 6, enum_number(r->sort_target));
    wire_append_u64(out, 7, r->serializable);
    wire_append_u64(out, 8, r->keys_only);
    wire_append_u64(out, 9, r->count_only);
    wire_append_u64(out, 10, (uint64_t)r->min_mod_revision);
    wire_append_u64(out, 11, (uint64_t)r->max_mod_revision);
    wire_append_u64(out, 12, (uint64_t)r->min_create_revision);
    wire_append_u64(out, 13, (uint64_t)r->max_create_revision);
}

size_t wire_range_req_size_min(const struct wire_range_req *r)
{
    return wire_bytes_size(1, r->key.len) + wire_bytes_size(2, r->range_end.len) +
           wire_u64_size(3, (uint64_t)r->limit) + wire_u64_size(4, (uint64_t)r->revision) +
           wire_enum_size(5, r->sort_order) + wire_enum_size(6, r->sort_target) +
           wire_u64_size(7, r->serializable) + wire_u64_size(8, r->keys_only) +
           wire_u64_size(9, r->count_only) + wire_u64_size(10, (uint64_t)r->min_mod_revision) +
           wire_u64_size(11, (uint64_t)r->max_mod_revision) +
           wire_u64_size(12, (uint64_t)r->min_create_revision) +
           wire_u64_size(13, (uint64_t)r->max_create_revision);
}

size_t wire_put_req_size_min(const struct wire_put_req *r)
{
    return wire_bytes_size(1, r->key.len) + wire_bytes_size(2, r->value.len) +
           wire_u64_size(3, (uint64_t)r->lease) + wire_u64_size(4, r->prev_kv) +
           wire_u64_size(5, r->ignore_value) + wire_u64_size(6, r->ignore_lease);
}

size_t wire_delete_req_size_min(const struct wire_delete_req *r)
{
    return wire_bytes_size(1, r->key.len) + wire_bytes_size(2, r->range_end.len) +
           wire_u64_size(3, r->prev_kv);
}

size_t wire_compaction_req_size_min(const struct wire_compaction_req *r)
{
    return wire_u64_size(1, (uint64_t)r->revision) + wire_u64_size(2, r->physical);
}

void wire_put_req_encode(struct buf *out, const struct wire_put_req *r)
{
    wire_append_bytes(out, 1, r->key);
    wire_append_bytes(out, 2, r->value);
    wire_append_u64(out, 3, (uint64_t)r->lease);
    wire_append_u64(out, 4, r->prev_kv);
    wire_append_u64(out, 5, r->ignore_value);
    wire_append_u64(out, 6, r->ignore_lease);
}

void wire_delete_req_encode(struct buf *out, const struct wire_delete_req *r)
{
    wire_append_bytes(out, 1, r->key);
    wire_append_bytes(out, 2, r->range_end);
    wire_append_u64(out, 3, r->prev_kv);
}

void wire_compaction_req_encode(struct buf *out, const struct wire_compaction_req *r)
{
    wire_append_u64(out, 1, (uint64_t)r->revision);
    wire_append_u64(out, 2, r->physical);
}

struct slice wire_prefix_end(struct slice prefix, uint8_t *to)
{
    size_t len = prefix.len;
    while (len > 0 && prefix.data[len - 1] == 0xff) {
        len--;
    }
    if (len == 0) {
        return slice_make("", 1);
    }
    memcpy(to, prefix.data, len);
    to[len - 1]++;
    return slice_make(to, len);
}
