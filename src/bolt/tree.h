/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/tree: one step of a way down a bucket's tree, whatever it is made of: a page in a pinned
 * frame, an inline page, or a node of the write tx.
 *
 * Ownership   a place holds its pin until place_release.
 * Thread      as the tx.
 */
#ifndef BOLT_TREE_H
#define BOLT_TREE_H

#include "bolt/node.h"

struct place {
    const uint8_t *page;
    struct bolt_frame *frame;
    struct bolt_node *node; /* in place of page */
};

MUST_USE int place_root(const struct bolt_bucket *b, unsigned read_flags, struct place *out);
MUST_USE int place_child(const struct bolt_bucket *b, const struct place *p, uint32_t i,
                         unsigned read_flags, struct place *out);
static inline void place_release(struct place *p)
{
    frame_unpin(p->frame);
    p->frame = NULL;
}

static inline bool place_is_leaf(const struct place *p)
{
    return p->node != NULL ? p->node->is_leaf : page_is_leaf(p->page);
}

static inline uint32_t place_count(const struct place *p)
{
    return p->node != NULL ? p->node->count : page_count(p->page);
}

static inline struct slice place_key(const struct place *p, uint32_t i)
{
    return p->node != NULL ? p->node->elements[i].key : page_key(p->page, i);
}

/* Leaf only. */
struct slice place_value(const struct place *p, uint32_t i);
uint32_t place_flags(const struct place *p, uint32_t i);
uint32_t place_leaf_search(const struct place *p, struct slice key, bool *out_exact);
uint32_t place_branch_search(const struct place *p, struct slice key);
/* "tree deeper than ..." */
int tree_report_depth(const struct bolt_bucket *b);

/* What lies under a key: value borrowed from frame (pinned), or from the write tx. */
struct found {
    struct slice value;
    uint32_t flags;
    struct bolt_frame *frame;
};

/* ERR_NOT_FOUND, ERR_COLD ... */
MUST_USE int tree_find(const struct bolt_bucket *b, unsigned read_flags, struct slice key,
                       struct found *out);

/* Fills a bucket from the value of its element; nothing is owned by it but frame (taken). */
void bucket_from_value(struct bolt_bucket *b, struct slice value, struct bolt_frame *frame);

/* Write tx: the leaf node that key belongs to, with all nodes above it. */
MUST_USE int bucket_leaf_node(struct bolt_bucket *b, struct slice key, struct bolt_node **out);
/* Puts the header of bucket `name` into b; memory of both lives as long as the tx. */
MUST_USE int bucket_header_put(struct bolt_bucket *b, struct slice name, struct slice value);

#endif
