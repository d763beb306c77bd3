/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/node: a page being changed, in memory, in a write transaction.
 *
 * Design      A node is made of a page when something below it changes; every node on the way from
 *             a changed leaf to the root of its tree is one. Branch elements point to the child
 *             node where there is one, else to its page. Keys and values stay where they are (the
 *             pinned frame of the page, the tx's arena, the caller's memory); only the array of
 *             elements is ours. Separators in a branch may be stale while the tx runs (never above
 *             the first key of their child, but for child 0); spilling sets them right.
 * Invariants  N1 keys strictly ascend. N2 a node is referenced by one branch element or one bucket.
 * Ownership   tx.nodes owns all nodes until the tx ends.
 * Thread      the write tx's.
 */
#ifndef BOLT_NODE_H
#define BOLT_NODE_H

#include "bolt/db.h"
#include "bolt/page.h"

struct element {
    struct slice key;
    union {
        struct slice value; /* leaf */
        struct {
            uint64_t id; /* page of the child when node is NULL */
            struct bolt_node *node;
        } child; /* branch */
    };
    uint32_t flags; /* leaf: PAGE_ELEMENT_BUCKET or 0 */
};

struct bolt_node {
    struct list_node link;    /* tx.nodes */
    struct bolt_frame *frame; /* what it was made of, pinned: keys and values lie there */
    uint64_t id;              /* page it replaces, 0: none */
    uint64_t page_count;
    bool is_leaf;
    bool is_shrunk; /* lost elements: to be looked at by rebalance */
    uint32_t count;
    uint32_t cap;
    struct element *elements;
};

struct bolt_node *node_create(struct bolt_tx *tx, bool is_leaf);
/* Takes the reference to frame. */
struct bolt_node *node_from_frame(struct bolt_tx *tx, struct bolt_frame *frame);
struct bolt_node *node_from_inline(struct bolt_tx *tx, const uint8_t *page);
void node_destroy(struct bolt_node *n);

uint32_t node_leaf_search(const struct bolt_node *n, struct slice key, bool *out_exact);
uint32_t node_branch_search(const struct bolt_node *n, struct slice key);
void node_insert(struct bolt_node *n, uint32_t at, struct element e);
void node_remove(struct bolt_node *n, uint32_t at);
/* Bytes that the page of elements [lo, hi) takes. */
size_t node_size(const struct bolt_node *n, uint32_t lo, uint32_t hi);
static inline size_t node_element_size(const struct bolt_node *n, uint32_t i)
{
    const struct element *e = &n->elements[i];
    return PAGE_ELEMENT_BYTES + e->key.len + (n->is_leaf ? e->value.len : 0);
}
/* Builds elements [lo, hi) into zeroed page memory. */
void node_build(const struct bolt_node *n, uint32_t lo, uint32_t hi, uint8_t *page, size_t len,
                uint64_t id, uint32_t overflow);
/* The child at element i as a node, made of its page if it is none yet. */
MUST_USE int node_child(struct bolt_tx *tx, struct bolt_node *n, uint32_t i,
                        struct bolt_node **out);
void node_check(const struct bolt_node *n);

/* rebalance.c: joins shrunk nodes of a bucket's tree with their neighbours. */
MUST_USE int bucket_rebalance(struct bolt_bucket *b);
/* spill.c: writes a bucket's nodes into new page runs (tx.dirty); root and root_node follow. */
MUST_USE int bucket_spill(struct bolt_bucket *b);
/* spill.c: commits the buckets below b, then b itself: rebalance, spill. */
MUST_USE int bucket_commit(struct bolt_bucket *b);

#endif
