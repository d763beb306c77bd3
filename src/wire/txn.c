/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/txn: TxnRequest with its compares and operations.
 *
 * Problem     A Txn nests Txns, and protobuf lets every sub-message come in pieces that merge.
 * Design      Each message is scanned twice: count, take the arrays from the arena, fill.  In a
 *             RequestOp the same member again merges (repeated fields append), another member
 *             replaces what was there (but had to be well formed).  So that pieces cannot make the
 *             arrays be copied again and again, the first piece of a run of request_txn counts for
 *             the whole run.
 * Invariants  I1 a count never passes the number that the arrays were made for (asserted).
 * Limits      WIRE_TXN_DEPTH_MAX, WIRE_TXN_ARENA_MAX.
 */
#include "base/bytes.h"
#include "base/err.h"
#include "wire/merge.h"
#include "wire/take.h"

enum { TXN_COMPARE = 1, TXN_SUCCESS, TXN_FAILURE };
enum { OP_RANGE = 1, OP_PUT, OP_DELETE, OP_TXN };
enum { COMPARE_OPERAND_FIRST = 4, COMPARE_VALUE = 7, COMPARE_OPERAND_LAST = 8 };

struct txn_decoder {
    struct arena *arena;
    size_t budget;
    unsigned depth;
};

struct txn_counts {
    size_t compares;
    size_t success;
    size_t failure;
};

static int decode_txn(struct txn_decoder *d, struct slice in, struct wire_txn_req *txn,
                      const struct txn_counts *room);

static void *decoder_alloc(struct txn_decoder *d, size_t count, size_t size, int *err)
{
    if (count > d->budget / size) {
        *err = ERR_LIMIT;
        return NULL;
    }
    d->budget -= count * size;
    void *p = arena_try_alloc(d->arena, count * size);
    if (p == NULL) {
        *err = ERR_NOMEM;
    }
    return p;
}

static void compare_take_operand(const struct wire_scan *s, struct wire_compare *c)
{
    if (s->field == COMPARE_VALUE && s->type == WIRE_LEN) {
        c->operand_field = s->field;
        c->value = s->bytes;
        c->number = 0;
    } else if (s->field != COMPARE_VALUE && s->type == WIRE_VARINT) {
        c->operand_field = s->field;
        c->value = SLICE_NULL;
        c->number = (int64_t)s->number;
    }
}

static int decode_compare(struct slice in, struct wire_compare *c)
{
    struct wire_scan s;
    *c = (struct wire_compare){0};
    wire_scan_init(&s, in);
    while (wire_scan_next(&s)) {
        switch (s.field) {
        case 1: wire_take_enum(&s, &c->result); break;
        case 2: wire_take_enum(&s, &c->target); break;
        case 3: wire_take_bytes(&s, &c->key); break;
        case 64: wire_take_bytes(&s, &c->range_end); break;
        default:
            if (s.field >= COMPARE_OPERAND_FIRST && s.field <= COMPARE_OPERAND_LAST) {
                compare_take_operand(&s, c);
            }
        }
    }
    return s.err;
}

/* Adds what one piece of a Txn holds. */
static int count_txn(struct slice in, struct txn_counts *n)
{
    struct wire_scan s;
    wire_scan_init(&s, in);
    while (wire_scan_next(&s)) {
        if (s.type == WIRE_LEN) {
            n->compares += s.field == TXN_COMPARE;
            n->success += s.field == TXN_SUCCESS;
            n->failure += s.field == TXN_FAILURE;
        }
    }
    return s.err;
}

/* s stands behind the first request_txn of a run: counts that piece and all that follow before
 * another member comes.  A later piece that is malformed is found when it is filled in. */
static int count_run(const struct wire_scan *s, struct txn_counts *n)
{
    struct wire_scan ahead = *s;
    int err = count_txn(s->bytes, n);
    while (err == 0 && wire_scan_next(&ahead)) {
        if (ahead.type == WIRE_LEN && ahead.field < OP_TXN) {
            break;
        }
        if (ahead.type == WIRE_LEN && ahead.field == OP_TXN) {
            (void)count_txn(ahead.bytes, n);
        }
    }
    return err;
}

static int make_arrays(struct txn_decoder *d, const struct txn_counts *n, struct wire_txn_req *txn)
{
    int err = 0;
    *txn = (struct wire_txn_req){0};
    if (n->compares > 0) {
        txn->compares = decoder_alloc(d, n->compares, sizeof(*txn->compares), &err);
    }
    if (err == 0 && n->success > 0) {
        txn->success = decoder_alloc(d, n->success, sizeof(*txn->success), &err);
    }
    if (err == 0 && n->failure > 0) {
        txn->failure = decoder_alloc(d, n->failure, sizeof(*txn->failure), &err);
    }
    return err;
}

/* One op's room for a nested Txn: the struct, its arrays, and how much they hold. */
struct nested_txn {
    struct wire_txn_req *txn;
    struct txn_counts room;
};

static int begin_nested(struct txn_decoder *d, const struct wire_scan *s, struct nested_txn *nested)
{
    int err = 0;
    nested->room = (struct txn_counts){0};
    nested->txn = decoder_alloc(d, 1, sizeof(*nested->txn), &err);
    if (err == 0) {
        err = count_run(s, &nested->room);
    }
    return err != 0 ? err : make_arrays(d, &nested->room, nested->txn);
}

static int decode_op_txn(struct txn_decoder *d, const struct wire_scan *s, struct wire_op *op,
                         struct nested_txn *nested)
{
    if (op->kind != WIRE_OP_TXN) {
        int err = begin_nested(d, s, nested);
        if (err != 0) {
            return err;
        }
        *op = (struct wire_op){.kind = WIRE_OP_TXN, .txn = nested->txn};
    }
    return decode_txn(d, s->bytes, op->txn, &nested->room);
}

static void op_become(struct wire_op *op, enum wire_op_kind kind)
{
    if (op->kind != kind) {
        *op = (struct wire_op){.kind = kind};
    }
}

static int decode_op_member(struct txn_decoder *d, const struct wire_scan *s, struct wire_op *op,
                            struct nested_txn *nested)
{
    if (s->type != WIRE_LEN) {
        return 0;
    }
    switch (s->field) {
    case OP_RANGE: op_become(op, WIRE_OP_RANGE); return wire_range_req_merge(s->bytes, &op->range);
    case OP_PUT: op_become(op, WIRE_OP_PUT); return wire_put_req_merge(s->bytes, &op->put);
    case OP_DELETE: op_become(op, WIRE_OP_DELETE); return wire_delete_req_merge(s->bytes, &op->del);
    case OP_TXN: return decode_op_txn(d, s, op, nested);
    default: return 0;
    }
}

static int decode_op(struct txn_decoder *d, struct slice in, struct wire_op *op)
{
    struct wire_scan s;
    struct nested_txn nested = {NULL, {0}};
    int err = 0;
    *op = (struct wire_op){.kind = WIRE_OP_NONE};
    wire_scan_init(&s, in);
    while (err == 0 && wire_scan_next(&s)) {
        err = decode_op_member(d, &s, op, &nested);
    }
    return err != 0 ? err : s.err;
}

static int decode_txn_field(struct txn_decoder *d, const struct wire_scan *s,
                            struct wire_txn_req *txn, const struct txn_counts *room)
{
    if (s->type != WIRE_LEN) {
        return 0;
    }
    switch (s->field) {
    case TXN_COMPARE:
        ensure(txn->compare_count < room->compares);
        return decode_compare(s->bytes, &txn->compares[txn->compare_count++]);
    case TXN_SUCCESS:
        ensure(txn->success_count < room->success);
        return decode_op(d, s->bytes, &txn->success[txn->success_count++]);
    case TXN_FAILURE:
        ensure(txn->failure_count < room->failure);
        return decode_op(d, s->bytes, &txn->failure[txn->failure_count++]);
    default: return 0;
    }
}

static int decode_txn(struct txn_decoder *d, struct slice in, struct wire_txn_req *txn,
                      const struct txn_counts *room)
{
    struct wire_scan s;
    int err = 0;
    if (d->depth == WIRE_TXN_DEPTH_MAX) {
        return ERR_LIMIT;
    }
    d->depth++;
    wire_scan_init(&s, in);
    while (err == 0 && wire_scan_next(&s)) {
        err = decode_txn_field(d, &s, txn, room);
    }
    d->depth--;
    return err != 0 ? err : s.err;
}

int wire_txn_req_decode(struct slice in, struct arena *a, struct wire_txn_req *out)
{
    struct txn_decoder d = {.arena = a, .budget = WIRE_TXN_ARENA_MAX};
    struct txn_counts room = {0};
    struct wire_txn_req txn;
    int err = count_txn(in, &room);
    if (err == 0) {
        err = make_arrays(&d, &room, &txn);
    }
    if (err == 0) {
        err = decode_txn(&d, in, &txn, &room);
    }
    if (err == 0) {
        *out = txn;
    }
    return err;
}

static void encode_compare(struct buf *out, const struct wire_compare *c)
{
    wire_append_u64(out, 1, (uint64_t)(int64_t)c->result);
    wire_append_u64(out, 2, (uint64_t)(int64_t)c->target);
    wire_append_bytes(out, 3, c->key);
    /* A member of a oneof is written even when it is zero. */
    if (c->operand_field == COMPARE_VALUE) {
        wire_append_message(out, COMPARE_VALUE, c->value);
    } else if (c->operand_field != 0) {
        buf_append_varint(out, (uint64_t)c->operand_field << 3 | WIRE_VARINT);
        buf_append_varint(out, (uint64_t)c->number);
    }
    wire_append_bytes(out, 64, c->range_end);
}

static void encode_op(struct buf *out, const struct wire_op *op)
{
    size_t start = out->len;
    switch (op->kind) {
    case WIRE_OP_NONE: return;
    case WIRE_OP_RANGE: wire_range_req_encode(out, &op->range); break;
    case WIRE_OP_PUT: wire_put_req_encode(out, &op->put); break;
    case WIRE_OP_DELETE: wire_delete_req_encode(out, &op->del); break;
    case WIRE_OP_TXN: wire_txn_req_encode(out, op->txn); break;
    }
    wire_close_message(out, start, (uint32_t)op->kind);
}

static void encode_ops(struct buf *out, uint32_t field, const struct wire_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t start = out->len;
        encode_op(out, &ops[i]);
        wire_close_message(out, start, field);
    }
}

void wire_txn_req_encode(struct buf *out, const struct wire_txn_req *r)
{
    for (size_t i = 0; i < r->compare_count; i++) {
        size_t start = out->len;
        encode_compare(out, &r->compares[i]);
        wire_close_message(out, start, TXN_COMPARE);
    }
    encode_ops(out, TXN_SUCCESS, r->success, r->success_count);
    encode_ops(out, TXN_FAILURE, r->failure, r->failure_count);
}

static size_t compare_size(const struct wire_compare *c)
{
    size_t operand = 0;
    if (c->operand_field == COMPARE_VALUE) {
        operand = wire_message_size(COMPARE_VALUE, c->value.len);
    } else if (c->operand_field != 0) {
        operand = wire_tag_size(c->operand_field) + varint_len((uint64_t)c->number);
    }
    return wire_enum_size(1, c->result) + wire_enum_size(2, c->target) +
           wire_bytes_size(3, c->key.len) + operand + wire_bytes_size(64, c->range_end.len);
}

static size_t op_size(const struct wire_op *op)
{
    size_t n = 0;
    switch (op->kind) {
    case WIRE_OP_NONE: return 0;
    case WIRE_OP_RANGE: n = wire_range_req_size_min(&op->range); break;
    case WIRE_OP_PUT: n = wire_put_req_size_min(&op->put); break;
    case WIRE_OP_DELETE: n = wire_delete_req_size_min(&op->del); break;
    case WIRE_OP_TXN: n = wire_txn_req_size_min(op->txn); break;
    }
    return wire_message_size((uint32_t)op->kind, n);
}

static size_t ops_size(uint32_t field, const struct wire_op *ops, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        n += wire_message_size(field, op_size(&ops[i]));
    }
    return n;
}

size_t wire_txn_req_size_min(const struct wire_txn_req *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->compare_count; i++) {
        n += wire_message_size(TXN_COMPARE, compare_size(&r->compares[i]));
    }
    return n + ops_size(TXN_SUCCESS, r->success, r->success_count) +
           ops_size(TXN_FAILURE, r->failure, r->failure_count);
}

_Static_assert((int)WIRE_OP_RANGE == OP_RANGE && (int)WIRE_OP_TXN == OP_TXN,
               "an op's kind is its field number");
