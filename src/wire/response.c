/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/response.h"

#include "base/bytes.h"
#include "base/err.h"
#include "wire/merge.h"
#include "wire/take.h"

enum { RESP_HEADER = 1 };
enum { RANGE_KVS = 2, DELETE_PREV_KVS = 3, TXN_RESPONSES = 3 };

static int decode_txn_resp(struct slice in, struct arena *a, unsigned depth,
                           struct wire_txn_resp *r);

void *wire_make_array(struct arena *a, struct slice in, uint32_t field, size_t size, int *err)
{
    struct wire_scan s;
    size_t count = 0;
    wire_scan_init(&s, in);
    while (wire_scan_next(&s)) {
        count += s.field == field && s.type == WIRE_LEN;
    }
    *err = s.err;
    if (count == 0 || s.err != 0) {
        return NULL;
    }
    void *p = count > SIZE_MAX / size ? NULL : arena_try_alloc(a, count * size);
    if (p == NULL) {
        *err = ERR_NOMEM;
        return NULL;
    }
    return memset(p, 0, count * size);
}

static int take_header(const struct wire_scan *s, bool *has, struct wire_header *h)
{
    if (s->type != WIRE_LEN) {
        return 0;
    }
    *has = true;
    return wire_header_merge(s->bytes, h);
}

static int take_kv(const struct wire_scan *s, struct wire_kv *kvs, size_t *count)
{
    if (s->type != WIRE_LEN) {
        return 0;
    }
    return wire_kv_merge(s->bytes, &kvs[(*count)++]);
}

static int decode_range_resp(struct slice in, struct arena *a, struct wire_range_resp *r)
{
    struct wire_scan s;
    int err = 0;
    *r = (struct wire_range_resp){0};
    r->kvs = wire_make_array(a, in, RANGE_KVS, sizeof(*r->kvs), &err);
    wire_scan_init(&s, in);
    while (err == 0 && wire_scan_next(&s)) {
        switch (s.field) {
        case RESP_HEADER: err = take_header(&s, &r->has_header, &r->header); break;
        case RANGE_KVS: err = take_kv(&s, r->kvs, &r->kv_count); break;
        case 3: wire_take_bool(&s, &r->more); break;
        case 4: wire_take_i64(&s, &r->count); break;
        default: break;
        }
    }
    return err != 0 ? err : s.err;
}

static int decode_put_resp(struct slice in, struct wire_put_resp *r)
{
    struct wire_scan s;
    int err = 0;
    *r = (struct wire_put_resp){0};
    wire_scan_init(&s, in);
    while (err == 0 && wire_scan_next(&s)) {
        if (s.field == RESP_HEADER) {
            err = take_header(&s, &r->has_header, &r->header);
        } else if (s.field == 2 && s.type == WIRE_LEN) {
            r->has_prev_kv = true;
            err = wire_kv_merge(s.bytes, &r->prev_kv);
        }
    }
    return err != 0 ? err : s.err;
}

static int decode_delete_resp(struct slice in, struct arena *a, struct wire_delete_resp *r)
{
    struct wire_scan s;
    int err = 0;
    *r = (struct wire_delete_resp){0};
    r->prev_kvs = wire_make_array(a, in, DELETE_PREV_KVS, sizeof(*r->prev_kvs), &err);
    wire_scan_init(&s, in);
    while (err == 0 && wire_scan_next(&s)) {
        switch (s.field) {
        case RESP_HEADER: err = take_header(&s, &r->has_header, &r->header); break;
        case 2: wire_take_i64(&s, &r->deleted); break;
        case DELETE_PREV_KVS: err = take_kv(&s, r->prev_kvs, &r->prev_kv_count); break;
        default: break;
        }
    }
    return err != 0 ? err : s.err;
}

static int decode_nested_txn(struct slice in, struct arena *a, unsigned depth,
                             struct wire_op_resp *op)
{
    struct wire_txn_resp *txn = arena_try_alloc(a, sizeof(*txn));
    if (txn == NULL) {
        return ERR_NOMEM;
    }
    op->txn = txn;
    return decode_txn_resp(in, a, depth, txn);
}

static int decode_op_resp(struct slice in, struct arena *a, unsigned depth, struct wire_op_resp *op)
{
    struct wire_scan s;
    int err = 0;
    *op = (struct wire_op_resp){.kind = WIRE_OP_NONE};
    wire_scan_init(&s, in);
    while (err == 0 && wire_scan_next(&s)) {
        if (s.type != WIRE_LEN || s.field > WIRE_OP_TXN) {
            continue;
        }
        op->kind = (enum wire_op_kind)s.field;
        switch (op->kind) {
        case WIRE_OP_NONE: break;
        case WIRE_OP_RANGE: err = decode_range_resp(s.bytes, a, &op->range); break;
        case WIRE_OP_PUT: err = decode_put_resp(s.bytes, &op->put); break;
        case WIRE_OP_DELETE: err = decode_delete_resp(s.bytes, a, &op->del); break;
        case WIRE_OP_TXN: err = decode_nested_txn(s.bytes, a, depth + 1, op); break;
        }
    }
    return err != 0 ? err : s.err;
}

static int decode_txn_resp(struct slice in, struct arena *a, unsigned depth,
                           struct wire_txn_resp *r)
{
    struct wire_scan s;
    int err = depth >= WIRE_TXN_DEPTH_MAX ? ERR_LIMIT : 0;
    *r = (struct wire_txn_resp){0};
    if (err == 0) {
        r->responses = wire_make_array(a, in, TXN_RESPONSES, sizeof(*r->responses), &err);
    }
    wire_scan_init(&s, in);
    while (err == 0 && wire_scan_next(&s)) {
        if (s.field == RESP_HEADER) {
            err = take_header(&s, &r->has_header, &r->header);
        } else if (s.field == 2) {
            wire_take_bool(&s, &r->succeeded);
        } else if (s.field == TXN_RESPONSES && s.type == WIRE_LEN) {
            err = decode_op_resp(s.bytes, a, depth, &r->responses[r->response_count++]);
        }
    }
    return err != 0 ? err : s.err;
}

int wire_range_resp_decode(struct slice in, struct arena *a, struct wire_range_resp *out)
{
    struct wire_range_resp r;
    int err = decode_range_resp(in, a, &r);
    if (err == 0) {
        *out = r;
    }
    return err;
}

int wire_range_stream_resp_decode(struct slice in, struct arena *a, struct wire_range_resp *out)
{
    struct wire_range_resp r = {0};
    struct wire_scan s;
    int err = 0;
    wire_scan_init(&s, in);
    while (err == 0 && wire_scan_next(&s)) {
        if (s.field == 1 && s.type == WIRE_LEN) {
            err = decode_range_resp(s.bytes, a, &r);
        }
    }
    err = err != 0 ? err : s.err;
    if (err == 0) {
        *out = r;
    }
    return err;
}

int wire_put_resp_decode(struct slice in, struct wire_put_resp *out)
{
    struct wire_put_resp r;
    int err = decode_put_resp(in, &r);
    if (err == 0) {
        *out = r;
    }
    return err;
}

int wire_delete_resp_decode(struct slice in, struct arena *a, struct wire_delete_resp *out)
{
    struct wire_delete_resp r;
    int err = decode_delete_resp(in, a, &r);
    if (err == 0) {
        *out = r;
    }
    return err;
}

int wire_txn_resp_decode(struct slice in, struct arena *a, struct wire_txn_resp *out)
{
    struct wire_txn_resp r;
    int err = decode_txn_resp(in, a, 0, &r);
    if (err == 0) {
        *out = r;
    }
    return err;
}

int wire_compaction_resp_decode(struct slice in, struct wire_compaction_resp *out)
{
    struct wire_compaction_resp r = {0};
    struct wire_scan s;
    int err = 0;
    wire_scan_init(&s, in);
    while (err == 0 && wire_scan_next(&s)) {
        if (s.field == RESP_HEADER) {
            err = take_header(&s, &r.has_header, &r.header);
        }
    }
    err = err != 0 ? err : s.err;
    if (err == 0) {
        *out = r;
    }
    return err;
}

void wire_append_kv(struct buf *out, uint32_t field, const struct wire_kv *kv)
{
    if (kv != NULL) {
        size_t len = wire_kv_size(kv);
        wire_append_message_head(out, field, len);
        wire_kv_encode(kv, buf_extend(out, len));
    }
}

static void encode_header(struct buf *out, bool has, const struct wire_header *h)
{
    if (has) {
        wire_append_header(out, h);
    }
}

static void encode_kvs(struct buf *out, uint32_t field, const struct wire_kv *kvs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        wire_append_kv(out, field, &kvs[i]);
    }
}

void wire_range_resp_encode(struct buf *out, const struct wire_range_resp *r)
{
    encode_header(out, r->has_header, &r->header);
    encode_kvs(out, RANGE_KVS, r->kvs, r->kv_count);
    wire_append_u64(out, 3, r->more);
    wire_append_u64(out, 4, (uint64_t)r->count);
}

void wire_put_resp_encode(struct buf *out, const struct wire_put_resp *r)
{
    encode_header(out, r->has_header, &r->header);
    wire_append_kv(out, 2, r->has_prev_kv ? &r->prev_kv : NULL);
}

void wire_delete_resp_encode(struct buf *out, const struct wire_delete_resp *r)
{
    encode_header(out, r->has_header, &r->header);
    wire_append_u64(out, 2, (uint64_t)r->deleted);
    encode_kvs(out, DELETE_PREV_KVS, r->prev_kvs, r->prev_kv_count);
}

static void encode_op_resp(struct buf *out, const struct wire_op_resp *op)
{
    size_t start = out->len;
    switch (op->kind) {
    case WIRE_OP_NONE: return;
    case WIRE_OP_RANGE: wire_range_resp_encode(out, &op->range); break;
    case WIRE_OP_PUT: wire_put_resp_encode(out, &op->put); break;
    case WIRE_OP_DELETE: wire_delete_resp_encode(out, &op->del); break;
    case WIRE_OP_TXN: wire_txn_resp_encode(out, op->txn); break;
    }
    wire_close_message(out, start, (uint32_t)op->kind);
}

void wire_txn_resp_encode(struct buf *out, const struct wire_txn_resp *r)
{
    encode_header(out, r->has_header, &r->header);
    wire_append_u64(out, 2, r->succeeded);
    for (size_t i = 0; i < r->response_count; i++) {
        size_t start = out->len;
        encode_op_resp(out, &r->responses[i]);
        wire_close_message(out, start, TXN_RESPONSES);
    }
}
