/* SPDX-License-Identifier: Apache-2.0 */
#include "bolt/node.h"

#include "bolt/pager.h"

enum { NODE_CAP_MIN = 16 };

static void node_reserve(struct bolt_node *n, uint32_t count)
{
    if (count <= n->cap) {
        return;
    }
    uint32_t cap = n->cap < NODE_CAP_MIN ? NODE_CAP_MIN : n->cap;
    while (cap < count) {
        ensure(cap <= UINT32_MAX / 2);
        cap *= 2;
    }
    n->elements = mem_realloc(n->elements, cap * sizeof(*n->elements));
    n->cap = cap;
}

struct bolt_node *node_create(struct bolt_tx *tx, bool is_leaf)
{
    ensure(tx->is_writable);
    struct bolt_node *n = mem_zalloc(sizeof(*n));
    n->is_leaf = is_leaf;
    list_push_back(&tx->nodes, &n->link);
    return n;
}

void node_destroy(struct bolt_node *n)
{
    list_remove(&n->link);
    frame_unpin(n->frame);
    mem_free(n->elements);
    mem_free(n);
}

static void read_elements(struct bolt_node *n, const uint8_t *p)
{
    uint32_t count = page_count(p);
    node_reserve(n, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        struct element *e = &n->elements[i];
        *e = (struct element){0};
        if (n->is_leaf) {
            e->key = page_leaf_key(p, i);
            e->value = page_leaf_value(p, i);
            e->flags = page_leaf_flags(p, i);
        } else {
            e->key = page_branch_key(p, i);
            e->child.id = page_branch_child(p, i);
        }
    }
    n->count = count;
}

struct bolt_node *node_from_frame(struct bolt_tx *tx, struct bolt_frame *frame)
{
    struct bolt_node *n = node_create(tx, page_is_leaf(frame->data));
    n->frame = frame;
    n->id = frame->id;
    n->page_count = frame->page_count;
    read_elements(n, frame->data);
    return n;
}

struct bolt_node *node_from_inline(struct bolt_tx *tx, const uint8_t *page)
{
    ensure(page_is_leaf(page));
    struct bolt_node *n = node_create(tx, true);
    read_elements(n, page);
    return n;
}

uint32_t node_leaf_search(const struct bolt_node *n, struct slice key, bool *out_exact)
{
    ensure(n->is_leaf);
    uint32_t lo = 0;
    uint32_t hi = n->count;
    *out_exact = false;
    /* Keys mostly arrive in order: look at the end first. */
    if (hi > 0 && slice_compare(n->elements[hi - 1].key, key) < 0) {
        return hi;
    }
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = slice_compare(n->elements[mid].key, key);
        if (c == 0) {
            *out_exact = true;
            return mid;
        }
        if (c < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

uint32_t node_branch_search(const struct bolt_node *n, struct slice key)
{
    ensure(!n->is_leaf && n->count > 0);
    uint32_t lo = 0;
    uint32_t hi = n->count;
    if (slice_compare(n->elements[hi - 1].key, key) <= 0) {
        return hi - 1;
    }
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (slice_compare(n->elements[mid].key, key) <= 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo == 0 ? 0 : lo - 1;
}

void node_insert(struct bolt_node *n, uint32_t at, struct element e)
{
    ensure(at <= n->count);
    node_reserve(n, n->count + 1);
    memmove(n->elements + at + 1, n->elements + at, (n->count - at) * sizeof(e));
    n->elements[at] = e;
    n->count++;
}

void node_remove(struct bolt_node *n, uint32_t at)
{
    ensure(at < n->count);
    n->count--;
    memmove(n->elements + at, n->elements + at + 1, (n->count - at) * sizeof(*n->elements));
    n->is_shrunk = true;
}

size_t node_size(const struct bolt_node *n, uint32_t lo, uint32_t hi)
{
    ensure(lo <= hi && hi <= n->count);
    size_t size = PAGE_HEADER_BYTES;
    for (uint32_t i = lo; i < hi; i++) {
        size += node_element_size(n, i);
    }
    return size;
}

void node_build(const struct bolt_node *n, uint32_t lo, uint32_t hi, uint8_t *page, size_t len,
                uint64_t id, uint32_t overflow)
{
    struct page_builder b;
    page_build_start(&b, page, len, id, n->is_leaf, hi - lo, overflow);
    for (uint32_t i = lo; i < hi; i++) {
        const struct element *e = &n->elements[i];
        if (n->is_leaf) {
            page_build_leaf(&b, e->flags, e->key, e->value);
        } else {
            ensure(e->child.node == NULL);
            page_build_branch(&b, e->key, e->child.id);
        }
    }
}

int node_child(struct bolt_tx *tx, struct bolt_node *n, uint32_t i, struct bolt_node **out)
{
    ensure(!n->is_leaf && i < n->count);
    struct element *e = &n->elements[i];
    if (e->child.node == NULL) {
        struct bolt_frame *frame;
        int err = pager_pin(tx, e->child.id, 0, &frame);
        if (err != 0) {
            return err;
        }
        e->child.node = node_from_frame(tx, frame);
    }
    *out = e->child.node;
    return 0;
}

void node_check(const struct bolt_node *n)
{
    for (uint32_t i = 0; i < n->count; i++) {
        ensure(n->elements[i].key.len > 0);
        ensure(i == 0 || slice_compare(n->elements[i - 1].key, n->elements[i].key) < 0);
        if (!n->is_leaf && n->elements[i].child.node != NULL) {
            node_check(n->elements[i].child.node);
        }
    }
}
