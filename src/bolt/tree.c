/* SPDX-License-Identifier: Apache-2.0 */
#include "bolt/tree.h"

#include "bolt/pager.h"

int place_root(const struct bolt_bucket *b, unsigned read_flags, struct place *out)
{
    *out = (struct place){0};
    if (b->root_node != NULL) {
        out->node = b->root_node;
        return 0;
    }
    if (b->root == 0) {
        ensure(b->inline_page != NULL);
        out->page = b->inline_page;
        out->frame = frame_pin(b->inline_frame);
        return 0;
    }
    int err = pager_pin(b->tx, b->root, read_flags, &out->frame);
    if (err == 0) {
        out->page = out->frame->data;
    }
    return err;
}

int place_child(const struct bolt_bucket *b, const struct place *p, uint32_t i, unsigned read_flags,
                struct place *out)
{
    *out = (struct place){0};
    uint64_t id;
    if (p->node != NULL) {
        const struct element *e = &p->node->elements[i];
        if (e->child.node != NULL) {
            out->node = e->child.node;
            return 0;
        }
        id = e->child.id;
    } else {
        id = page_branch_child(p->page, i);
    }
    int err = pager_pin(b->tx, id, read_flags, &out->frame);
    if (err == 0) {
        out->page = out->frame->data;
    }
    return err;
}

struct slice place_value(const struct place *p, uint32_t i)
{
    return p->node != NULL ? p->node->elements[i].value : page_leaf_value(p->page, i);
}

uint32_t place_flags(const struct place *p, uint32_t i)
{
    return p->node != NULL ? p->node->elements[i].flags : page_leaf_flags(p->page, i);
}

uint32_t place_leaf_search(const struct place *p, struct slice key, bool *out_exact)
{
    return p->node != NULL ? node_leaf_search(p->node, key, out_exact)
                           : page_leaf_search(p->page, key, out_exact);
}

uint32_t place_branch_search(const struct place *p, struct slice key)
{
    return p->node != NULL ? node_branch_search(p->node, key) : page_branch_search(p->page, key);
}

int tree_report_depth(const struct bolt_bucket *b)
{
    return db_report_page(b->tx, b->root, "its tree is too deep, or leads back to itself");
}

int tree_find(const struct bolt_bucket *b, unsigned read_flags, struct slice key, struct found *out)
{
    ensure(!b->is_deleted);
    struct place at;
    int err = place_root(b, read_flags, &at);
    for (unsigned depth = 1; err == 0 && !place_is_leaf(&at); depth++) {
        struct place child;
        err = depth < BOLT_DEPTH_MAX
                  ? place_child(b, &at, place_branch_search(&at, key), read_flags, &child)
                  : tree_report_depth(b);
        place_release(&at);
        if (err == 0) {
            at = child;
        }
    }
    if (err != 0) {
        return err;
    }
    bool is_exact;
    uint32_t i = place_leaf_search(&at, key, &is_exact);
    if (!is_exact) {
        place_release(&at);
        return ERR_NOT_FOUND;
    }
    *out = (struct found){place_value(&at, i), place_flags(&at, i), at.frame};
    return 0;
}

void bucket_from_value(struct bolt_bucket *b, struct slice value, struct bolt_frame *frame)
{
    ensure(value.len >= PAGE_BUCKET_HEADER_BYTES);
    b->root = page_bucket_root(value);
    b->sequence = page_bucket_sequence(value);
    b->inline_page = b->root == 0 ? value.data + PAGE_BUCKET_HEADER_BYTES : NULL;
    b->inline_frame = frame;
}

/* ---- write tx ---- */

static int root_node(struct bolt_bucket *b, struct bolt_node **out)
{
    if (b->root_node == NULL) {
        if (b->root == 0) {
            b->root_node = node_from_inline(b->tx, b->inline_page);
        } else {
            struct bolt_frame *frame;
            int err = pager_pin(b->tx, b->root, 0, &frame);
            if (err != 0) {
                return err;
            }
            b->root_node = node_from_frame(b->tx, frame);
        }
    }
    *out = b->root_node;
    return 0;
}

int bucket_leaf_node(struct bolt_bucket *b, struct slice key, struct bolt_node **out)
{
    ensure(b->tx->is_writable && !b->is_deleted);
    struct bolt_node *n;
    int err = root_node(b, &n);
    for (unsigned depth = 1; err == 0 && !n->is_leaf; depth++) {
        err = depth < BOLT_DEPTH_MAX ? node_child(b->tx, n, node_branch_search(n, key), &n)
                                     : tree_report_depth(b);
    }
    if (err == 0) {
        *out = n;
    }
    return err;
}

int bucket_header_put(struct bolt_bucket *b, struct slice name, struct slice value)
{
    struct bolt_node *n;
    int err = bucket_leaf_node(b, name, &n);
    if (err != 0) {
        return err;
    }
    struct element e = {.key = name, .value = value, .flags = PAGE_ELEMENT_BUCKET};
    bool is_exact;
    uint32_t i = node_leaf_search(n, name, &is_exact);
    if (is_exact) {
        ensure(n->elements[i].flags == PAGE_ELEMENT_BUCKET);
        n->elements[i] = e;
    } else {
        node_insert(n, i, e);
    }
    b->generation++;
    return 0;
}
