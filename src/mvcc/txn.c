/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/txn: compares, precheck, execution and response of a Txn.
 *
 * Design      1. compares: of the txn and of every nested txn on the chosen path, on the state
 *             before it; the answers are a row of bytes (the path) in walk order. 2. precheck of
 *             the path on the same state; an error ends it here. 3. execution in order. Every op
 *             knows the length of its answer before it acts, so the response is written once; only
 *             a nested txn is shifted behind its head. Prefetch does 1 with an answer more
 *             (unknown: a value is cold), then lists what 3 reads.
 * Invariants  I1 after prefetch returned 0, execution meets no cold value.
 * Limits      depth WIRE_TXN_DEPTH_MAX (recursion).
 */
#include "mvcc/txn.h"

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "mvcc/store.h"
#include "schema/level.h"

enum {
    TAG_HEADER = 0x0a,
    TAG_HEADER_REVISION = 0x18,
    FIELD_SUCCEEDED = 2,
    FIELD_RESPONSES = 3,
    HEAD_MAX = 2 * (1 + VARINT_BYTES_MAX),
};

enum answer { ANSWER_NO, ANSWER_YES, ANSWER_UNKNOWN };

struct run {
    struct mvcc_store *store;
    struct mvcc_values *values;
    struct buf *body; /* NULL: nobody waits, or the response is too large */
    bool is_prefetch;
    bool has_waiter;
    bool is_too_large;
    size_t path_at;
    uint64_t changes; /* prefetch: keys that earlier ops may change */
};

/* ---- compares ---- */

static enum answer answer_of(bool yes)
{
    return yes ? ANSWER_YES : ANSWER_NO;
}

static bool result_holds(int32_t result, int c)
{
    switch (result) {
    case WIRE_EQUAL: return c == 0;
    case WIRE_GREATER: return c > 0;
    case WIRE_LESS: return c < 0;
    case WIRE_NOT_EQUAL: return c != 0;
    default: return true;
    }
}

enum { OPERAND_VERSION = 4, OPERAND_CREATE, OPERAND_MOD, OPERAND_VALUE, OPERAND_LEASE };

static bool number_holds(const struct wire_compare *c, uint32_t operand, int64_t have)
{
    int64_t want = c->operand_field == operand ? c->number : 0;
    return result_holds(c->result, have < want ? -1 : (have > want ? 1 : 0));
}

/* Every target but VALUE; state NULL: the key is missing. */
static bool index_holds(const struct wire_compare *c, const struct keyrec *rec,
                        const struct keyrec_state *s)
{
    switch (c->target) {
    case WIRE_COMPARE_VERSION: return number_holds(c, OPERAND_VERSION, s != NULL ? s->version : 0);
    case WIRE_COMPARE_CREATE: return number_holds(c, OPERAND_CREATE, s != NULL ? s->create_rev : 0);
    case WIRE_COMPARE_MOD: return number_holds(c, OPERAND_MOD, s != NULL ? s->main : 0);
    case WIRE_COMPARE_LEASE: return number_holds(c, OPERAND_LEASE, s != NULL ? rec->lease : 0);
    default: return result_holds(c->result, 0);
    }
}

static int value_holds(struct run *r, const struct wire_compare *c, const struct keyrec_state *s,
                       enum answer *out)
{
    int err = r->is_prefetch ? values_need(r->values, s->main, s->sub) : 0;
    struct value_ref ref;
    err = err != 0 ? err : value_get(r->store, r->values, s->main, s->sub, &ref);
    if (err == ERR_COLD && r->is_prefetch) {
        *out = ANSWER_UNKNOWN;
        return 0;
    }
    if (err != 0) {
        return err;
    }
    struct wire_kv kv;
    if (wire_kv_decode(ref.bytes, &kv) != 0) {
        err = ERR_CORRUPT;
    } else {
        struct slice want = c->operand_field == OPERAND_VALUE ? c->value : SLICE_NULL;
        *out = answer_of(result_holds(c->result, slice_compare(kv.value, want)));
    }
    value_release(&ref);
    return err;
}

static int key_holds(struct run *r, const struct wire_compare *c, const struct keyrec *rec,
                     const struct keyrec_state *s, enum answer *out)
{
    if (c->target != WIRE_COMPARE_VALUE) {
        *out = answer_of(index_holds(c, rec, s));
        return 0;
    }
    return value_holds(r, c, s, out);
}

static int compare_single(struct run *r, const struct wire_compare *c, enum answer *out)
{
    const struct keyrec *rec = keytree_get(&r->store->index.tree, c->key);
    struct keyrec_state s;
    if (rec == NULL || !keyrec_state_at(rec, KEYINDEX_NEWEST, &s)) {
        *out = answer_of(c->target != WIRE_COMPARE_VALUE && index_holds(c, NULL, NULL));
        return 0;
    }
    return key_holds(r, c, rec, &s, out);
}

static int compare_one(struct run *r, const struct wire_compare *c, enum answer *out)
{
    struct keyrange range = keyrange_make(c->key, c->range_end);
    r->store->counts.ranges += !r->is_prefetch; /* etcd compares what a range gives it */
    if (range.is_single) {
        return compare_single(r, c, out);
    }
    struct keyindex_iter it;
    keyindex_iter_init(&it, &r->store->index, range.key, range.end, range.is_open_end,
                       KEYINDEX_NEWEST);
    struct keyrec_state s;
    const struct keyrec *rec = keyindex_iter_next(&it, &s);
    if (rec == NULL) {
        *out = answer_of(c->target != WIRE_COMPARE_VALUE && index_holds(c, NULL, NULL));
        return 0;
    }
    enum answer all = ANSWER_YES;
    for (; rec != NULL && all != ANSWER_NO; rec = keyindex_iter_next(&it, &s)) {
        enum answer one;
        int err = key_holds(r, c, rec, &s, &one);
        if (err != 0) {
            return err;
        }
        all = one == ANSWER_YES ? all : one;
    }
    *out = all;
    return 0;
}

static int compares_hold(struct run *r, const struct wire_txn_req *req, enum answer *out)
{
    enum answer all = ANSWER_YES;
    for (size_t i = 0; i < req->compare_count && all != ANSWER_NO; i++) {
        enum answer one;
        int err = compare_one(r, &req->compares[i], &one);
        if (err != 0) {
            return err;
        }
        all = one == ANSWER_YES ? all : one;
    }
    *out = all;
    return 0;
}

struct ops {
    const struct wire_op *ops;
    size_t count;
};

static struct ops ops_of(const struct wire_txn_req *req, bool succeeded)
{
    return succeeded ? (struct ops){req->success, req->success_count}
                     : (struct ops){req->failure, req->failure_count};
}

/* Appends the answers of req and of what is nested in its chosen branch. */
static int path_find(struct run *r, const struct wire_txn_req *req)
{
    enum answer a;
    int err = compares_hold(r, req, &a);
    if (err != 0 || a == ANSWER_UNKNOWN) {
        return err;
    }
    buf_append_byte(&r->store->path, a == ANSWER_YES ? 1 : 0);
    struct ops ops = ops_of(req, a == ANSWER_YES);
    for (size_t i = 0; err == 0 && i < ops.count; i++) {
        if (ops.ops[i].kind == WIRE_OP_TXN) {
            err = path_find(r, ops.ops[i].txn);
        }
    }
    return err;
}

static bool path_take(struct run *r)
{
    ensure(r->path_at < r->store->path.len);
    return r->store->path.data[r->path_at++] != 0;
}

/* ---- precheck ---- */

static int range_check(const struct mvcc_store *s, const struct wire_range_req *req)
{
    if (req->revision == 0) {
        return 0;
    }
    if (req->revision > s->current_rev) {
        return ERR_RPC_FUTURE_REV;
    }
    return req->revision < s->compact_rev ? ERR_RPC_COMPACTED : 0;
}

enum check { CHECK_PUTS = 1, CHECK_RANGES = 2 };

static int ops_check(struct run *r, const struct wire_txn_req *req, unsigned what)
{
    struct ops ops = ops_of(req, path_take(r));
    int err = 0;
    for (size_t i = 0; err == 0 && i < ops.count; i++) {
        const struct wire_op *op = &ops.ops[i];
        if (op->kind == WIRE_OP_TXN) {
            err = ops_check(r, op->txn, what);
        } else if (op->kind == WIRE_OP_RANGE && (what & CHECK_RANGES) != 0) {
            err = range_check(r->store, &op->range);
        } else if (op->kind == WIRE_OP_PUT && (what & CHECK_PUTS) != 0) {
            err = write_txn_put_check(r->store, &op->put);
        }
    }
    return err;
}

/* From the start of the path; leaves it there. */
static int path_check(struct run *r, const struct wire_txn_req *req)
{
    int err = 0;
    r->path_at = 0;
    if (r->store->opts.rules->txn_puts_first) {
        err = ops_check(r, req, CHECK_PUTS);
        r->path_at = 0;
    }
    err = err != 0 ? err : ops_check(r, req, CHECK_PUTS | CHECK_RANGES);
    r->path_at = 0;
    return err;
}

/* ---- prefetch ---- */

static int path_need(struct run *r, const struct wire_txn_req *req);

static int op_need(struct run *r, const struct wire_op *op)
{
    int err = 0;
    switch (op->kind) {
    case WIRE_OP_RANGE:
        return r->has_waiter ? plan_need(r->store, &op->range, r->changes, r->values) : 0;
    case WIRE_OP_PUT:
        err = write_put_need(r->store, &op->put, r->has_waiter, r->values);
        r->changes++;
        return err;
    case WIRE_OP_DELETE: {
        struct keyrange range = keyrange_make(op->del.key, op->del.range_end);
        err = write_delete_need(r->store, &op->del, r->has_waiter, r->values);
        r->changes += write_range_sum(r->store, &range).count;
        return err;
    }
    case WIRE_OP_TXN: return path_need(r, op->txn);
    case WIRE_OP_NONE: break;
    }
    return 0;
}

static int path_need(struct run *r, const struct wire_txn_req *req)
{
    struct ops ops = ops_of(req, path_take(r));
    int err = 0;
    for (size_t i = 0; err == 0 && i < ops.count; i++) {
        err = op_need(r, &ops.ops[i]);
    }
    return err;
}

int mvcc_prefetch_txn(struct mvcc_store *s, const struct wire_txn_req *req, bool has_waiter,
                      struct mvcc_values *v)
{
    struct run r = {.store = s, .values = v, .is_prefetch = true, .has_waiter = has_waiter};
    values_round(v);
    buf_clear(&s->path);
    int err = path_find(&r, req);
    if (err != 0 || mvcc_values_missing_count(v) > 0) {
        return err != 0 ? err : values_done(v);
    }
    if (path_check(&r, req) != 0) {
        return 0; /* execution fails in the same way */
    }
    err = path_need(&r, req);
    return err != 0 ? err : values_done(v);
}

/* ---- response ---- */

static size_t header_field_size(int64_t rev)
{
    return 2 + 1 + varint_len((uint64_t)rev);
}

static void header_append(struct buf *out, int64_t rev)
{
    buf_append_byte(out, TAG_HEADER);
    buf_append_byte(out, (uint8_t)(1 + varint_len((uint64_t)rev)));
    buf_append_byte(out, TAG_HEADER_REVISION);
    buf_append_varint(out, (uint64_t)rev);
}

/* Heads of ResponseOp and of the answer of that kind, then its header. False: no response any
 * more. */
static bool op_begin(struct run *r, enum wire_op_kind kind, int64_t rev, uint64_t rest)
{
    if (r->body == NULL) {
        return false;
    }
    uint64_t inner = header_field_size(rev) + rest;
    if (r->body->len + HEAD_MAX + inner > LIMIT_RESPONSE_BYTES ||
        buf_try_reserve(r->body, HEAD_MAX + inner) != 0) {
        r->is_too_large = true;
        r->body = NULL;
        return false;
    }
    /* The arms of ResponseOp are numbered as the kinds. */
    wire_append_message_head(r->body, FIELD_RESPONSES, 1 + varint_len(inner) + inner);
    wire_append_message_head(r->body, (uint32_t)kind, inner);
    header_append(r->body, rev);
    return true;
}

_Static_assert(WIRE_OP_RANGE == 1 && WIRE_OP_PUT == 2 && WIRE_OP_DELETE == 3 && WIRE_OP_TXN == 4,
               "kinds are field numbers of ResponseOp");

/* Puts the heads of a nested TxnResponse before what was appended since at. */
static void nested_wrap(struct buf *body, size_t at)
{
    size_t inner = body->len - at;
    size_t arm = 1 + varint_len(inner) + inner;
    size_t head = 1 + varint_len(arm) + 1 + varint_len(inner);
    (void)buf_extend(body, head);
    memmove(body->data + at + head, body->data + at, inner);
    struct buf before = {body->data, at, body->cap};
    wire_append_message_head(&before, FIELD_RESPONSES, arm);
    wire_append_message_head(&before, WIRE_OP_TXN, inner);
    ensure(before.len == at + head);
}

/* ---- execution ---- */

static int plan_append(struct run *r, struct mvcc_plan *plan)
{
    if (!op_begin(r, WIRE_OP_RANGE, plan->header_rev, plan->body_bytes)) {
        return 0;
    }
    size_t len = (size_t)plan->body_bytes;
    struct mvcc_sink sink = {r->body->data + r->body->len, 0, len};
    plan->values = r->values;
    int err = mvcc_plan_next(plan, &sink);
    ensure(err != ERR_AGAIN && (err != 0 || sink.len == len));
    r->body->len += sink.len;
    return err;
}

static int plan_sort_now(struct run *r, struct mvcc_plan *plan)
{
    /* What this txn wrote is not in the set yet; it is in memory. */
    int err = plan_rows_need(plan, r->values);
    return err != 0 ? err : mvcc_plan_sort_values(plan, r->values);
}

static int range_run(struct run *r, const struct wire_range_req *req)
{
    r->store->counts.ranges++;
    if (r->body == NULL) {
        return 0;
    }
    struct mvcc_plan plan;
    int err = mvcc_plan_range(r->store, req, &plan);
    bool is_open = err == 0;
    if (is_open && plan.needs_values) {
        err = plan_sort_now(r, &plan);
    }
    if (err == 0) {
        err = plan_append(r, &plan);
    }
    if (is_open) {
        mvcc_plan_end(&plan);
    }
    if (err == ERR_RPC_RESPONSE_TOO_LARGE) {
        r->is_too_large = true;
        r->body = NULL;
        err = 0;
    }
    return err;
}

static int put_run(struct run *r, const struct wire_put_req *req)
{
    struct mvcc_store *s = r->store;
    bool has_body =
        r->body != NULL && op_begin(r, WIRE_OP_PUT, s->txn_main, write_put_body_size(s, req));
    return write_put(s, req, r->values, has_body ? r->body : NULL);
}

static int delete_run(struct run *r, const struct wire_delete_req *req)
{
    struct mvcc_store *s = r->store;
    struct keyrange range = keyrange_make(req->key, req->range_end);
    struct keysum sum = write_range_sum(s, &range);
    bool is_changed = s->txn_sub > 0 || sum.count > 0;
    bool has_body =
        r->body != NULL && op_begin(r, WIRE_OP_DELETE, is_changed ? s->txn_main : s->current_rev,
                                    write_delete_body_size(sum, req->prev_kv));
    return write_delete(s, req, r->values, has_body ? r->body : NULL);
}

static int path_run(struct run *r, const struct wire_txn_req *req);

static int nested_run(struct run *r, const struct wire_txn_req *req)
{
    size_t at = r->body != NULL ? r->body->len : 0;
    if (r->body != NULL) {
        buf_append_byte(r->body, TAG_HEADER);
        buf_append_byte(r->body, 0);
    }
    int err = path_run(r, req);
    if (err == 0 && r->body != NULL) {
        nested_wrap(r->body, at);
    }
    return err;
}

static int op_run(struct run *r, const struct wire_op *op)
{
    switch (op->kind) {
    case WIRE_OP_RANGE: return range_run(r, &op->range);
    case WIRE_OP_PUT: return put_run(r, &op->put);
    case WIRE_OP_DELETE: return delete_run(r, &op->del);
    case WIRE_OP_TXN: return nested_run(r, op->txn);
    case WIRE_OP_NONE: break;
    }
    if (r->body != NULL) {
        wire_append_message(r->body, FIELD_RESPONSES, SLICE_NULL);
    }
    return 0;
}

static int path_run(struct run *r, const struct wire_txn_req *req)
{
    bool succeeded = path_take(r);
    if (r->body != NULL) {
        wire_append_u64(r->body, FIELD_SUCCEEDED, succeeded ? 1 : 0);
    }
    struct ops ops = ops_of(req, succeeded);
    int err = 0;
    for (size_t i = 0; err == 0 && i < ops.count; i++) {
        err = op_run(r, &ops.ops[i]);
    }
    return err;
}

int mvcc_apply_txn(struct mvcc_store *s, const struct wire_txn_req *req, struct mvcc_values *v,
                   struct buf *body, int64_t *out_rev)
{
    struct run r = {.store = s, .values = v, .body = body};
    buf_clear(&s->path);
    int err = path_find(&r, req);
    err = err != 0 ? err : path_check(&r, req);
    if (err != 0) {
        return err;
    }
    write_begin(s);
    err = path_run(&r, req);
    ensure(err != ERR_COLD || s->txn_sub == 0);
    write_end(s);
    *out_rev = s->current_rev;
    return err == 0 && r.is_too_large ? ERR_RPC_RESPONSE_TOO_LARGE : err;
}
