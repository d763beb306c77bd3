/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/rebalance: what deletions leave behind: empty nodes go, thin ones join a neighbour.
 *
 * Design      From the leaves up: when a branch is looked at, the nodes below it are done.  A child
 *             that lost elements and is thin (size <= page * fill / 2, or leaf <= 1, branch <= 2
 *             elements) joins its left neighbour, the first one its right.  What comes out too big
 *             is split again by spill.  The root collapses while it is a branch of one.
 * Failure     reading a neighbour can fail; nothing on disk has changed then.
 */
#include "bolt/node.h"
#include "bolt/pager.h"

static bool is_thin(const struct bolt_bucket *b, const struct bolt_node *n)
{
    if (n->count <= (n->is_leaf ? 1u : 2u)) {
        return true;
    }
    size_t threshold = (size_t)b->tx->db->page_size * b->fill_percent / 100 / 2;
    size_t size = PAGE_HEADER_BYTES;
    for (uint32_t i = 0; i < n->count; i++) {
        size += node_element_size(n, i);
        if (size > threshold) {
            return false;
        }
    }
    return true;
}

/* The node's page is not needed any more; what lies in its frame still is. */
static int drop_page(struct bolt_tx *tx, struct bolt_node *n)
{
    if (n->id == 0) {
        return 0;
    }
    uint64_t id = n->id;
    n->id = 0;
    return tx_free_run(tx, id, n->page_count);
}

/* Joins children left and left + 1 of n.  *out_done false: kinds differ, nothing was done. */
static int join(struct bolt_tx *tx, struct bolt_node *n, uint32_t left, bool *out_done)
{
    struct bolt_node *a;
    struct bolt_node *b;
    int err = node_child(tx, n, left, &a);
    if (err == 0) {
        err = node_child(tx, n, left + 1, &b);
    }
    if (err != 0) {
        return err;
    }
    *out_done = a->is_leaf == b->is_leaf;
    if (!*out_done) {
        return 0;
    }
    for (uint32_t i = 0; i < b->count; i++) {
        node_insert(a, a->count, b->elements[i]);
    }
    b->count = 0;
    a->is_shrunk = true; /* may still be thin */
    err = drop_page(tx, b);
    node_remove(n, left + 1);
    return err;
}

static int rebalance_node(struct bolt_bucket *b, struct bolt_node *n, unsigned depth);

static int rebalance_children(struct bolt_bucket *b, struct bolt_node *n, unsigned depth)
{
    int err = 0;
    for (uint32_t i = 0; err == 0 && i < n->count; i++) {
        struct bolt_node *child = n->elements[i].child.node;
        if (child != NULL && !child->is_leaf) {
            err = rebalance_node(b, child, depth + 1);
        }
    }
    return err;
}

static int rebalance_node(struct bolt_bucket *b, struct bolt_node *n, unsigned depth)
{
    ensure(!n->is_leaf && depth < BOLT_DEPTH_MAX);
    int err = rebalance_children(b, n, depth);
    /* Each turn moves on, or takes one element away from n. */
    uint32_t i = 0;
    while (err == 0 && i < n->count) {
        struct bolt_node *child = n->elements[i].child.node;
        /* An empty leaf may also come from a file that bbolt did not write. */
        if (child == NULL || (!child->is_shrunk && child->count > 0)) {
            i++;
            continue;
        }
        child->is_shrunk = false;
        if (child->count == 0) {
            err = drop_page(b->tx, child);
            node_remove(n, i);
        } else if (n->count > 1 && is_thin(b, child)) {
            bool is_done;
            uint32_t left = i > 0 ? i - 1 : 0;
            err = join(b->tx, n, left, &is_done);
            i = err == 0 && is_done ? left : i + 1;
        } else {
            i++;
        }
    }
    return err;
}

static int collapse_root(struct bolt_bucket *b)
{
    for (;;) {
        struct bolt_node *root = b->root_node;
        if (root->is_leaf || root->count > 1) {
            return 0;
        }
        struct bolt_node *child = NULL;
        int err = 0;
        if (root->count == 0) {
            child = node_create(b->tx, true);
        } else {
            err = node_child(b->tx, root, 0, &child);
        }
        if (err == 0) {
            err = drop_page(b->tx, root);
        }
        if (err != 0) {
            return err;
        }
        b->root_node = child;
    }
}

int bucket_rebalance(struct bolt_bucket *b)
{
    ensure(b->root_node != NULL && !b->is_deleted);
    int err = 0;
    if (!b->root_node->is_leaf) {
        err = rebalance_node(b, b->root_node, 0);
    }
    return err != 0 ? err : collapse_root(b);
}
