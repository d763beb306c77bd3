/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/spill: changed nodes become new page runs, bottom-up; buckets become headers or inline
 * pages.
 *
 * Design      Spilling a node gives the list of runs it became (first key, page).  Its parent
 *             puts that list in the place of the one element, so separators equal first keys at
 *             every level (bolt.h I5), then is cut into runs itself.  A tree whose root became
 *             several runs gets new branches on top until it is one.
 *             Cut as bbolt does: more than 4 elements and at least a page; the left part takes at
 *             least 2, then up to page * fill, and leaves 3.
 * Failure     see rebalance.c; every run built passes the same gate as one that was read.
 */
#include "bolt/node.h"
#include "bolt/tree.h"

enum {
    SPLIT_LEFT_MIN = 2,
    SPLIT_COUNT_MIN = 5, /* fewer elements stay together */
    INLINE_DIVISOR = 4,  /* inline up to a quarter of a page */
};
/* Positions are 32 bits: no run may come near that, whatever the number of elements. */
#define SPLIT_BYTES_MAX ((size_t)2 << 30)

struct run_ref {
    struct slice key;
    uint64_t id;
};

struct run_refs {
    struct run_ref *items;
    uint32_t len;
    uint32_t cap;
};

static void refs_push(struct run_refs *r, struct run_ref ref)
{
    if (r->len == r->cap) {
        r->cap = r->cap == 0 ? 8 : r->cap * 2;
        r->items = mem_realloc(r->items, r->cap * sizeof(*r->items));
    }
    r->items[r->len++] = ref;
}

/* ---- cutting ---- */

static bool is_whole(const struct bolt_node *n, uint32_t lo, size_t page_size)
{
    uint32_t count = n->count - lo;
    size_t size = PAGE_HEADER_BYTES;
    if (count > PAGE_COUNT_MAX) {
        return false;
    }
    for (uint32_t i = lo; i < n->count; i++) {
        size += node_element_size(n, i);
        if (size >= (count < SPLIT_COUNT_MIN ? SPLIT_BYTES_MAX : page_size)) {
            return i == lo && count == 1; /* one element cannot be cut */
        }
    }
    return true;
}

/* Where the part that starts at lo ends. */
static uint32_t cut(const struct bolt_bucket *b, const struct bolt_node *n, uint32_t lo)
{
    size_t page_size = b->tx->db->page_size;
    if (is_whole(n, lo, page_size)) {
        return n->count;
    }
    size_t threshold = page_size * b->fill_percent / 100;
    size_t size = PAGE_HEADER_BYTES;
    uint32_t last = n->count - lo >= SPLIT_COUNT_MIN ? n->count - 3 : n->count - 1;
    uint32_t i = lo;
    for (; i < last && i - lo < PAGE_COUNT_MAX; i++) {
        size_t more = node_element_size(n, i);
        if (i - lo >= SPLIT_LEFT_MIN && size + more > threshold) {
            break;
        }
        if (i > lo && size + more > SPLIT_BYTES_MAX) {
            break;
        }
        size += more;
    }
    ensure(i > lo && i < n->count);
    return i;
}

/* ---- writing ---- */

static int write_part(struct bolt_bucket *b, const struct bolt_node *n, uint32_t lo, uint32_t hi,
                      struct run_refs *out)
{
    struct bolt_tx *tx = b->tx;
    size_t page_size = tx->db->page_size;
    size_t size = node_size(n, lo, hi);
    uint64_t pages = (size + page_size - 1) / page_size;
    struct bolt_frame *f = NULL;
    uint64_t id = 0;
    int err = tx_allocate(tx, pages, &id);
    if (err != 0) {
        return err;
    }
    f = frame_create(id, pages, (size_t)pages * page_size);
    if (f == NULL) {
        return ERR_NOMEM;
    }
    memset(f->data, 0, PAGE_HEADER_BYTES);
    memset(f->data + size, 0, f->len - size);
    node_build(n, lo, hi, f->data, size, id, (uint32_t)(pages - 1));
    tx_dirty_add(tx, f);
    struct why why;
    err = page_validate(f->data, f->len, id, tx->meta.hwm, &why);
    if (err != 0) {
        /* Only a page that changed under us on the disk leads here. */
        return db_report(tx->db, tx, err, "page %llu, about to be written: %s",
                         (unsigned long long)id, why.text);
    }
    if (hi > lo) {
        refs_push(out, (struct run_ref){n->elements[lo].key, id});
    } else {
        refs_push(out, (struct run_ref){SLICE_NULL, id});
    }
    return 0;
}

static int write_node(struct bolt_bucket *b, struct bolt_node *n, struct run_refs *out)
{
    int err = 0;
    if (n->id != 0) {
        err = tx_free_run(b->tx, n->id, n->page_count);
        n->id = 0;
    }
    uint32_t lo = 0;
    while (err == 0) {
        uint32_t hi = cut(b, n, lo);
        err = write_part(b, n, lo, hi, out);
        lo = hi;
        if (hi == n->count) {
            break;
        }
    }
    return err;
}

static int spill_node(struct bolt_bucket *b, struct bolt_node *n, unsigned depth,
                      struct run_refs *out);

/* Replaces every child node of n by the runs that it became. */
static int spill_children(struct bolt_bucket *b, struct bolt_node *n, unsigned depth)
{
    struct bolt_node *flat = node_create(b->tx, false);
    int err = 0;
    for (uint32_t i = 0; err == 0 && i < n->count; i++) {
        struct bolt_node *child = n->elements[i].child.node;
        if (child == NULL) {
            node_insert(flat, flat->count, n->elements[i]);
            continue;
        }
        struct run_refs refs = {0};
        err = spill_node(b, child, depth + 1, &refs);
        for (uint32_t k = 0; err == 0 && k < refs.len; k++) {
            struct element e = {.key = refs.items[k].key};
            e.child.id = refs.items[k].id;
            node_insert(flat, flat->count, e);
        }
        mem_free(refs.items);
    }
    if (err == 0) {
        struct element *old = n->elements;
        n->elements = flat->elements;
        n->count = flat->count;
        n->cap = flat->cap;
        flat->elements = old;
    }
    node_destroy(flat);
    return err;
}

static int spill_node(struct bolt_bucket *b, struct bolt_node *n, unsigned depth,
                      struct run_refs *out)
{
    ensure(depth < BOLT_DEPTH_MAX);
    int err = n->is_leaf ? 0 : spill_children(b, n, depth);
    ensure(err != 0 || n->count > 0 || depth == 0);
    return err != 0 ? err : write_node(b, n, out);
}

/* Branches on top of several runs until one is left. */
static int grow_root(struct bolt_bucket *b, struct run_refs *refs)
{
    int err = 0;
    while (err == 0 && refs->len > 1) {
        struct bolt_node *n = node_create(b->tx, false);
        for (uint32_t i = 0; i < refs->len; i++) {
            struct element e = {.key = refs->items[i].key};
            e.child.id = refs->items[i].id;
            node_insert(n, n->count, e);
        }
        refs->len = 0;
        err = write_node(b, n, refs);
    }
    return err;
}

int bucket_spill(struct bolt_bucket *b)
{
    struct run_refs refs = {0};
    int err = spill_node(b, b->root_node, 0, &refs);
    if (err == 0) {
        err = grow_root(b, &refs);
    }
    if (err == 0) {
        ensure(refs.len == 1);
        b->root = refs.items[0].id;
        b->root_node = NULL;
        b->inline_page = NULL;
    }
    mem_free(refs.items);
    return err;
}

/* ---- buckets ---- */

static bool can_inline(const struct bolt_bucket *b)
{
    const struct bolt_node *n = b->root_node;
    size_t size = PAGE_HEADER_BYTES;
    size_t max = b->tx->db->page_size / INLINE_DIVISOR;
    if (b->nest == 0 || !n->is_leaf) {
        return false;
    }
    for (uint32_t i = 0; i < n->count; i++) {
        size += node_element_size(n, i);
        if (size > max || n->elements[i].flags != 0) {
            return false;
        }
    }
    return true;
}

/* The value of the bucket's element: header, and the page if it is inline now. */
static int bucket_value(struct bolt_bucket *b, bool is_inline, struct slice *out)
{
    const struct bolt_node *n = b->root_node;
    size_t image = is_inline ? node_size(n, 0, n->count) : 0;
    uint8_t *value = arena_zalloc(&b->tx->arena, PAGE_BUCKET_HEADER_BYTES + image);
    if (is_inline) {
        node_build(n, 0, n->count, value + PAGE_BUCKET_HEADER_BYTES, image, 0, 0);
        if (n->id != 0) {
            int err = tx_free_run(b->tx, n->id, n->page_count);
            if (err != 0) {
                return err;
            }
        }
        b->root = 0;
        b->root_node = NULL;
        b->inline_page = value + PAGE_BUCKET_HEADER_BYTES;
    }
    store_le64(value, b->root);
    store_le64(value + 8, b->sequence);
    *out = slice_make(value, PAGE_BUCKET_HEADER_BYTES + image);
    return 0;
}

int bucket_commit(struct bolt_bucket *b)
{
    struct bolt_tx *tx = b->tx;
    LIST_FOREACH (&tx->buckets, node) {
        struct bolt_bucket *child = LIST_ENTRY(node, struct bolt_bucket, node);
        if (child->parent == b && !child->is_deleted) {
            int err = bucket_commit(child);
            if (err != 0) {
                return err;
            }
        }
    }
    if (b->root_node == NULL) {
        return 0;
    }
    int err = bucket_rebalance(b);
    if (err != 0) {
        return err;
    }
    bool is_inline = can_inline(b);
    if (!is_inline) {
        err = bucket_spill(b);
    }
    if (err == 0 && b->nest > 0) {
        struct slice value;
        err = bucket_value(b, is_inline, &value);
        if (err == 0) {
            err = bucket_header_put(b->parent, b->name, value);
        }
    }
    return err;
}
