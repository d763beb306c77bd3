/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/txn_check: is a Txn valid (client-api 2.1.5, steps 2-5)?
 *
 * Problem     etcd merges sets of puts and interval trees of deletes level by level; one request
 *             may hold a quarter of a million ops in a hundred levels.
 * Design      The rules come down to an order. Walk a branch so: its own deletes, its nested txns
 *             in order (then, else), its own puts. Two puts of one key conflict, and a delete that
 *             comes before a put of a key in its range conflicts with it, unless the two lie in
 *             then and else of the same nested txn. Puts: sorted by key; for neighbours the lists
 *             they stand in are climbed to where they part. Deletes: intervals over the sorted
 *             puts, counted in a Fenwick tree during the walk; those of a "then" are taken out
 *             while its "else" is walked.
 * Limits      depth WIRE_TXN_DEPTH_MAX (recursion).
 */
#include <stdlib.h>

#include "base/err.h"
#include "mvcc/txn.h"

/* ---- the ops one by one ---- */

static int op_validate(const struct wire_op *op, const struct level_rules *rules, size_t ops_max);

static int ops_validate(const struct wire_op *ops, size_t count, const struct level_rules *rules,
                        size_t ops_max)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < count; i++) {
        err = op_validate(&ops[i], rules, ops_max);
    }
    return err;
}

static int level_validate(const struct wire_txn_req *req, const struct level_rules *rules,
                          size_t ops_max)
{
    size_t ops = req->compare_count;
    ops = ops < req->success_count ? req->success_count : ops;
    ops = ops < req->failure_count ? req->failure_count : ops;
    if (ops > ops_max) {
        return ERR_RPC_TOO_MANY_OPS;
    }
    for (size_t i = 0; i < req->compare_count; i++) {
        if (req->compares[i].key.len == 0) {
            return ERR_RPC_EMPTY_KEY;
        }
    }
    int err = ops_validate(req->success, req->success_count, rules, ops_max - ops);
    return err != 0 ? err : ops_validate(req->failure, req->failure_count, rules, ops_max - ops);
}

static int op_validate(const struct wire_op *op, const struct level_rules *rules, size_t ops_max)
{
    switch (op->kind) {
    case WIRE_OP_RANGE: return mvcc_range_validate(&op->range, rules, false);
    case WIRE_OP_PUT: return mvcc_put_validate(&op->put);
    case WIRE_OP_DELETE: return mvcc_delete_validate(&op->del);
    case WIRE_OP_TXN: return level_validate(op->txn, rules, ops_max);
    case WIRE_OP_NONE: break;
    }
    return ERR_RPC_KEY_NOT_FOUND;
}

/* ---- overlaps ---- */

/* A branch: which txn of which list it belongs to. */
struct branch {
    uint32_t parent; /* branch that the txn stands in */
    uint32_t depth;
    uint32_t txn; /* number of the txn; then and else share it */
};

struct put {
    struct slice key;
    uint32_t branch;
    uint32_t seq; /* in walk order */
};

struct del {
    struct slice key;
    struct slice end;
    uint32_t lo; /* puts sorted by key: [lo, hi) */
    uint32_t hi;
};

struct overlap {
    struct branch *branches;
    struct put *puts; /* walk order, then sorted */
    uint32_t *rank;   /* seq -> place in the sorted puts */
    struct del *dels; /* walk order */
    int32_t *fenwick; /* places of puts: +1 at lo, -1 at hi */
    uint32_t branches_len;
    uint32_t puts_len;
    uint32_t dels_len;
    uint32_t txns;
    uint32_t dels_at; /* the second walk: next delete, next put */
    uint32_t puts_at;
    bool has_conflict;
};

struct counts {
    uint32_t branches;
    uint32_t puts;
    uint32_t dels;
};

static void ops_count(const struct wire_op *ops, size_t count, struct counts *c)
{
    c->branches++;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind == WIRE_OP_PUT) {
            c->puts++;
        } else if (ops[i].kind == WIRE_OP_DELETE) {
            c->dels++;
        } else if (ops[i].kind == WIRE_OP_TXN) {
            ops_count(ops[i].txn->success, ops[i].txn->success_count, c);
            ops_count(ops[i].txn->failure, ops[i].txn->failure_count, c);
        }
    }
}

static void ops_collect(struct overlap *o, const struct wire_op *ops, size_t count, uint32_t parent,
                        uint32_t txn)
{
    uint32_t self = o->branches_len++;
    uint32_t depth = self == 0 ? 0 : o->branches[parent].depth + 1;
    o->branches[self] = (struct branch){parent, depth, txn};
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind == WIRE_OP_DELETE) {
            o->dels[o->dels_len++] = (struct del){ops[i].del.key, ops[i].del.range_end, 0, 0};
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind == WIRE_OP_TXN) {
            uint32_t id = ++o->txns;
            ops_collect(o, ops[i].txn->success, ops[i].txn->success_count, self, id);
            ops_collect(o, ops[i].txn->failure, ops[i].txn->failure_count, self, id);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind == WIRE_OP_PUT) {
            o->puts[o->puts_len] = (struct put){ops[i].put.key, self, o->puts_len};
            o->puts_len++;
        }
    }
}

static int put_order(const void *x, const void *y)
{
    const struct put *a = x;
    const struct put *b = y;
    int c = slice_compare(a->key, b->key);
    return c != 0 ? c : (a->seq < b->seq ? -1 : 1);
}

/* Do two ops in these branches exclude each other (then and else of one nested txn)? */
static bool is_exclusive(const struct overlap *o, uint32_t a, uint32_t b)
{
    const struct branch *br = o->branches;
    while (br[a].depth > br[b].depth) {
        a = br[a].parent;
    }
    while (br[b].depth > br[a].depth) {
        b = br[b].parent;
    }
    while (a != b && br[a].parent != br[b].parent) {
        a = br[a].parent;
        b = br[b].parent;
    }
    return a != b && br[a].txn == br[b].txn;
}

static bool puts_conflict(const struct overlap *o)
{
    for (uint32_t i = 1; i < o->puts_len; i++) {
        const struct put *a = &o->puts[i - 1];
        const struct put *b = &o->puts[i];
        if (slice_equal(a->key, b->key) && !is_exclusive(o, a->branch, b->branch)) {
            return true;
        }
    }
    return false;
}

/* The first sorted put with a key >= key (> key if after_equal). */
static uint32_t puts_bound(const struct overlap *o, struct slice key, bool after_equal)
{
    uint32_t lo = 0;
    uint32_t hi = o->puts_len;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = slice_compare(o->puts[mid].key, key);
        if (c < 0 || (c == 0 && after_equal)) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static void fenwick_add(struct overlap *o, uint32_t at, int32_t n)
{
    for (uint32_t i = at + 1; i <= o->puts_len; i += i & -i) {
        o->fenwick[i] += n;
    }
}

static bool fenwick_is_covered(const struct overlap *o, uint32_t at)
{
    int32_t sum = 0;
    for (uint32_t i = at + 1; i > 0; i -= i & -i) {
        sum += o->fenwick[i];
    }
    return sum > 0;
}

static void del_count(struct overlap *o, uint32_t from, uint32_t to, int32_t n)
{
    for (uint32_t i = from; i < to; i++) {
        if (o->dels[i].lo < o->dels[i].hi) {
            fenwick_add(o, o->dels[i].lo, n);
            fenwick_add(o, o->dels[i].hi, -n);
        }
    }
}

static void dels_walk(struct overlap *o, const struct wire_op *ops, size_t count);

static void txn_walk(struct overlap *o, const struct wire_txn_req *txn)
{
    uint32_t first = o->dels_at;
    dels_walk(o, txn->success, txn->success_count);
    uint32_t end = o->dels_at;
    bool is_apart = txn->failure_count > 0;
    if (is_apart) {
        del_count(o, first, end, -1);
    }
    dels_walk(o, txn->failure, txn->failure_count);
    if (is_apart) {
        del_count(o, first, end, 1);
    }
}

/* The walk again, now with the deletes that stand before each put. */
static void dels_walk(struct overlap *o, const struct wire_op *ops, size_t count)
{
    uint32_t first = o->dels_at;
    for (size_t i = 0; i < count; i++) {
        o->dels_at += ops[i].kind == WIRE_OP_DELETE ? 1 : 0;
    }
    del_count(o, first, o->dels_at, 1);
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind == WIRE_OP_TXN) {
            txn_walk(o, ops[i].txn);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind == WIRE_OP_PUT && fenwick_is_covered(o, o->rank[o->puts_at++])) {
            o->has_conflict = true;
        }
    }
}

static bool dels_conflict(struct overlap *o, const struct wire_op *ops, size_t count)
{
    for (uint32_t i = 0; i < o->puts_len; i++) {
        o->rank[o->puts[i].seq] = i;
    }
    for (uint32_t i = 0; i < o->dels_len; i++) {
        struct del *d = &o->dels[i];
        d->lo = puts_bound(o, d->key, false);
        /* A range_end of one zero byte is taken literally here: [key, "\0") holds nothing. */
        d->hi = d->end.len == 0 ? puts_bound(o, d->key, true) : puts_bound(o, d->end, false);
    }
    dels_walk(o, ops, count);
    return o->has_conflict;
}

static int ops_overlap(const struct wire_op *ops, size_t count, struct arena *scratch)
{
    struct counts c = {0, 0, 0};
    ops_count(ops, count, &c);
    if (c.puts == 0 || c.puts + c.dels < 2) {
        return 0;
    }
    struct overlap o = {
        .branches = arena_alloc(scratch, c.branches * sizeof(struct branch)),
        .puts = arena_alloc(scratch, c.puts * sizeof(struct put)),
        .rank = arena_alloc(scratch, c.puts * sizeof(uint32_t)),
        .dels = arena_alloc(scratch, c.dels * sizeof(struct del)),
        .fenwick = arena_zalloc(scratch, (c.puts + 1) * sizeof(int32_t)),
    };
    ops_collect(&o, ops, count, 0, 0);
    qsort(o.puts, o.puts_len, sizeof(*o.puts), put_order);
    if (puts_conflict(&o) || (o.dels_len > 0 && dels_conflict(&o, ops, count))) {
        return ERR_RPC_DUPLICATE_KEY;
    }
    return 0;
}

int mvcc_txn_validate(const struct wire_txn_req *req, const struct level_rules *rules,
                      size_t ops_max, struct arena *scratch)
{
    int err = level_validate(req, rules, ops_max);
    err = err != 0 ? err : ops_overlap(req->success, req->success_count, scratch);
    return err != 0 ? err : ops_overlap(req->failure, req->failure_count, scratch);
}

/* ---- kinds of txns ---- */

static bool ops_are_ranges(const struct wire_op *ops, size_t count, bool serializable)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind != WIRE_OP_RANGE || (serializable && !ops[i].range.serializable)) {
            return false;
        }
    }
    return true;
}

bool mvcc_txn_is_read_only(const struct wire_txn_req *req)
{
    return ops_are_ranges(req->success, req->success_count, false) &&
           ops_are_ranges(req->failure, req->failure_count, false);
}

bool mvcc_txn_is_serializable(const struct wire_txn_req *req)
{
    return ops_are_ranges(req->success, req->success_count, true) &&
           ops_are_ranges(req->failure, req->failure_count, true);
}
