/* SPDX-License-Identifier: Apache-2.0 */
#include "txn_parse.h"

#include "base/assert.h"

enum { OPS_MAX = 200 };

static struct slice key_take(const char **p)
{
    const char *at = (*p)++;
    return *at == '_' ? SLICE_NULL : slice_make(at, 1);
}

static struct slice end_take(const char **p)
{
    if (**p != '-') {
        return SLICE_NULL;
    }
    (*p)++;
    const char *at = (*p)++;
    return *at == '0' ? slice_make("", 1) : slice_make(at, 1);
}

static void put_take(struct wire_op *op, char how, const char **p)
{
    op->kind = WIRE_OP_PUT;
    op->put.key = key_take(p);
    op->put.ignore_value = how == 'i';
    op->put.value = how == 'i' ? SLICE_NULL : SLICE_LIT("value");
    op->put.lease = how == 'l' ? *(*p)++ - '0' : 0;
}

static void op_take(struct arena *a, struct wire_op *op, const char **p)
{
    *op = (struct wire_op){0};
    char how = *(*p)++;
    switch (how) {
    case 'p':
    case 'i':
    case 'l': put_take(op, how, p); break;
    case 'r':
        op->kind = WIRE_OP_RANGE;
        op->range.key = key_take(p);
        break;
    case 'd':
        op->kind = WIRE_OP_DELETE;
        op->del.key = key_take(p);
        op->del.range_end = end_take(p);
        break;
    case 't':
        op->kind = WIRE_OP_TXN;
        op->txn = arena_zalloc(a, sizeof(*op->txn));
        ensure(*(*p)++ == '[');
        op->txn->success = txn_parse(a, p, &op->txn->success_count);
        ensure(*(*p)++ == '|');
        op->txn->failure = txn_parse(a, p, &op->txn->failure_count);
        ensure(*(*p)++ == ']');
        break;
    default: ensure(how == 'e'); break;
    }
}

struct wire_op *txn_parse(struct arena *a, const char **text, size_t *out_count)
{
    struct wire_op *ops = arena_alloc(a, OPS_MAX * sizeof(*ops));
    size_t n = 0;
    while (**text != 0 && **text != ']' && **text != '|') {
        if (**text == ' ') {
            (*text)++;
            continue;
        }
        ensure(n < OPS_MAX);
        op_take(a, &ops[n++], text);
    }
    *out_count = n;
    return ops;
}

struct wire_txn_req *txn_make(struct arena *a, const char *success, const char *failure)
{
    struct wire_txn_req *t = arena_zalloc(a, sizeof(*t));
    t->success = txn_parse(a, &success, &t->success_count);
    t->failure = txn_parse(a, &failure, &t->failure_count);
    return t;
}
