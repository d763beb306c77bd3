/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/compact: everything a read tx sees, written anew in key order into an empty db (defrag).
 *
 * Design      A commit ends all handles of the target's tx, so the way to the bucket being filled
 *             is kept by name and opened again when needed.
 * Failure     the target is left half filled: the caller throws it away.
 */
#include "bolt/pager.h"
#include "bolt/tree.h"

struct compact {
    struct bolt_tx *src;
    struct bolt_db *dst;
    struct bolt_tx *tx; /* of dst */
    uint32_t pairs;     /* since the last commit */
    uint32_t pairs_max;
    size_t bytes;
    unsigned depth;
    struct slice names[BOLT_NEST_MAX + 1];         /* of the way, borrowed from the recursion */
    struct bolt_bucket *handles[BOLT_NEST_MAX + 1]; /* of tx, NULL: to be opened */
};

static int begin(struct compact *c)
{
    c->pairs = 0;
    c->bytes = 0;
    memset(c->handles, 0, sizeof(c->handles));
    return bolt_tx_begin(c->dst, true, &c->tx);
}

static int commit_if_full(struct compact *c)
{
    if (c->pairs < c->pairs_max && c->bytes < BOLT_COMPACT_BYTES) {
        return 0;
    }
    struct bolt_tx *tx = c->tx;
    c->tx = NULL;
    int err = bolt_tx_commit(tx);
    return err != 0 ? err : begin(c);
}

/* Handles of the whole way; the last one is the bucket being filled. */
static int open_way(struct compact *c)
{
    int err = 0;
    for (unsigned i = 0; err == 0 && i < c->depth; i++) {
        if (c->handles[i] == NULL) {
            err = bolt_bucket_create_if_missing(c->tx, i > 0 ? c->handles[i - 1] : NULL,
                                                c->names[i], &c->handles[i]);
            if (err == 0) {
                bolt_bucket_fill_set(c->handles[i], BOLT_FILL_APPEND);
            }
        }
    }
    return err;
}

static int copy_bucket(struct compact *c, struct bolt_bucket *src);

static int copy_inner(struct compact *c, struct bolt_cursor *at, struct slice name)
{
    if (c->depth >= BOLT_NEST_MAX) {
        return ERR_LIMIT;
    }
    struct bolt_value v;
    bolt_cursor_value_pin(at, &v);
    struct bolt_bucket inner;
    tx_bucket_init(c->src, &inner);
    bucket_from_value(&inner, v.value, v.frame);
    inner.nest = c->depth + 1;
    c->names[c->depth] = name;
    c->handles[c->depth] = NULL;
    c->depth++;
    int err = open_way(c);
    if (err == 0 && inner.sequence != 0) {
        err = bolt_bucket_sequence_set(c->handles[c->depth - 1], inner.sequence);
    }
    if (err == 0) {
        err = copy_bucket(c, &inner);
    }
    c->depth--;
    bolt_value_release(&v);
    return err;
}

static int copy_pair(struct compact *c, const struct bolt_item *item)
{
    int err = commit_if_full(c);
    if (err == 0) {
        err = open_way(c);
    }
    if (err == 0) {
        c->pairs++;
        c->bytes += item->key.len + item->value.len;
        err = bolt_bucket_put(c->handles[c->depth - 1], item->key, item->value);
    }
    return err;
}

static int copy_bucket(struct compact *c, struct bolt_bucket *src)
{
    struct bolt_cursor at;
    struct bolt_item item;
    bolt_cursor_init(&at, c->src, src, BOLT_READ_SCAN);
    int err = bolt_cursor_first(&at, &item);
    while (err == 0) {
        if (item.is_bucket) {
            err = copy_inner(c, &at, item.key);
        } else if (c->depth == 0) {
            err = db_report(c->src->db, c->src, ERR_CORRUPT, "a pair among the buckets");
        } else {
            err = copy_pair(c, &item);
        }
        if (err == 0) {
            err = bolt_cursor_next(&at, &item);
        }
    }
    bolt_cursor_release(&at);
    return err == ERR_END ? 0 : err;
}

int bolt_compact_to(struct bolt_tx *src, struct bolt_db *dst, uint32_t pairs_per_commit)
{
    ensure(!src->is_writable && pairs_per_commit > 0);
    struct compact c = {.src = src, .dst = dst, .pairs_max = pairs_per_commit};
    int err = begin(&c);
    if (err != 0) {
        return err;
    }
    err = copy_bucket(&c, &src->root);
    if (err == 0) {
        return bolt_tx_commit(c.tx);
    }
    if (c.tx != NULL) {
        bolt_tx_rollback(c.tx);
    }
    return err;
}
