/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/bucket: buckets by name, and the operations on one.
 *
 * Design      A handle is made once per (parent, name) and tx, and found again in tx.buckets: a
 *             write tx needs one place for the nodes of a tree.  A read tx only adds to that list,
 *             under tx.mutex, and never changes a handle.
 */
#include "bolt/pager.h"
#include "bolt/tree.h"
#include "bolt/walk.h"

enum { FILL_MIN = 10, FILL_MAX = 100 };

void bolt_value_release(struct bolt_value *v)
{
    frame_unpin(v->frame);
    *v = (struct bolt_value){0};
}

/* ---- handles ---- */

void tx_bucket_init(struct bolt_tx *tx, struct bolt_bucket *b)
{
    *b = (struct bolt_bucket){.tx = tx, .fill_percent = BOLT_FILL_DEFAULT};
    list_node_init(&b->node);
}

static struct bolt_bucket *parent_of(struct bolt_tx *tx, struct bolt_bucket *parent)
{
    ensure(parent == NULL || parent->tx == tx);
    return parent != NULL ? parent : &tx->root;
}

/* tx.mutex is held. */
static struct bolt_bucket *handle_find(struct bolt_tx *tx, const struct bolt_bucket *parent,
                                       struct slice name)
{
    LIST_FOREACH (&tx->buckets, n) {
        struct bolt_bucket *b = LIST_ENTRY(n, struct bolt_bucket, node);
        if (b->parent == parent && !b->is_deleted && slice_equal(b->name, name)) {
            return b;
        }
    }
    return NULL;
}

/* Takes the reference to frame. */
static struct bolt_bucket *handle_create(struct bolt_bucket *parent, struct slice name,
                                         struct slice value, struct bolt_frame *frame)
{
    struct bolt_bucket *b = mem_alloc(sizeof(*b) + name.len);
    uint8_t *copy = (uint8_t *)(b + 1);
    tx_bucket_init(parent->tx, b);
    memcpy(copy, name.data, name.len);
    b->name = slice_make(copy, name.len);
    b->parent = parent;
    b->nest = parent->nest + 1;
    bucket_from_value(b, value, frame);
    return b;
}

static void handle_destroy(struct bolt_bucket *b)
{
    frame_unpin(b->inline_frame);
    mem_free(b);
}

/* Another thread may have been faster: its handle is the one. */
static struct bolt_bucket *handle_publish(struct bolt_tx *tx, struct bolt_bucket *b)
{
    (void)pthread_mutex_lock(&tx->mutex);
    struct bolt_bucket *there = handle_find(tx, b->parent, b->name);
    if (there == NULL) {
        list_push_back(&tx->buckets, &b->node);
    }
    (void)pthread_mutex_unlock(&tx->mutex);
    if (there != NULL) {
        handle_destroy(b);
        return there;
    }
    return b;
}

int bolt_bucket_open(struct bolt_tx *tx, struct bolt_bucket *parent, unsigned read_flags,
                     struct slice name, struct bolt_bucket **out)
{
    parent = parent_of(tx, parent);
    (void)pthread_mutex_lock(&tx->mutex);
    struct bolt_bucket *b = handle_find(tx, parent, name);
    (void)pthread_mutex_unlock(&tx->mutex);
    if (b != NULL) {
        *out = b;
        return 0;
    }
    if (parent->nest >= BOLT_NEST_MAX) {
        return ERR_LIMIT;
    }
    struct found found;
    int err = tree_find(parent, read_flags, name, &found);
    if (err != 0) {
        return err;
    }
    if (found.flags != PAGE_ELEMENT_BUCKET) {
        frame_unpin(found.frame);
        return ERR_INVALID;
    }
    *out = handle_publish(tx, handle_create(parent, name, found.value, found.frame));
    return 0;
}

int bolt_bucket_create(struct bolt_tx *tx, struct bolt_bucket *parent, struct slice name,
                       struct bolt_bucket **out)
{
    ensure(tx->is_writable);
    parent = parent_of(tx, parent);
    if (name.len == 0) {
        return ERR_INVALID;
    }
    if (name.len > BOLT_KEY_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    if (parent->nest >= BOLT_NEST_MAX) {
        return ERR_LIMIT;
    }
    struct bolt_node *n;
    int err = bucket_leaf_node(parent, name, &n);
    if (err != 0) {
        return err;
    }
    bool is_exact;
    uint32_t i = node_leaf_search(n, name, &is_exact);
    if (is_exact) {
        return n->elements[i].flags == PAGE_ELEMENT_BUCKET ? ERR_EXISTS : ERR_INVALID;
    }
    size_t len = PAGE_BUCKET_HEADER_BYTES + PAGE_HEADER_BYTES;
    uint8_t *value = arena_zalloc(&tx->arena, len);
    page_header_put(value + PAGE_BUCKET_HEADER_BYTES, 0, PAGE_LEAF, 0, 0);
    struct bolt_bucket *b = handle_create(parent, name, slice_make(value, len), NULL);
    list_push_back(&tx->buckets, &b->node);
    err = bucket_header_put(parent, b->name, slice_make(value, len));
    if (err == 0) {
        *out = b;
    }
    return err;
}

int bolt_bucket_create_if_missing(struct bolt_tx *tx, struct bolt_bucket *parent, struct slice name,
                                  struct bolt_bucket **out)
{
    int err = bolt_bucket_open(tx, parent, 0, name, out);
    return err == ERR_NOT_FOUND ? bolt_bucket_create(tx, parent, name, out) : err;
}

/* ---- deleting a bucket ---- */

/* The page runs of the bucket, gathered before the first one is freed: an error on the way must
 * leave the tx as it was. */
struct doomed {
    struct bolt_tx *tx;
    struct page_run *runs;
    size_t len;
    size_t cap;
};

static int doom_run(void *arg, const struct bolt_frame *frame)
{
    struct doomed *d = arg;
    /* A bucket inside that this tx deleted before: the tree in the file still has it. */
    if (bits_get(&d->tx->db->freelist.pending_bits, frame->id)) {
        return 0;
    }
    if (d->len == d->cap) {
        d->cap = d->cap == 0 ? 16 : d->cap * 2;
        d->runs = mem_realloc(d->runs, d->cap * sizeof(*d->runs));
    }
    d->runs[d->len++] = (struct page_run){.id = frame->id, .count = frame->page_count};
    return 0;
}

static int free_doomed(struct doomed *d)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < d->len; i++) {
        err = tx_free_run(d->tx, d->runs[i].id, d->runs[i].count);
    }
    return err;
}

static bool is_inside(const struct bolt_bucket *b, const struct bolt_bucket *outer)
{
    for (; b != NULL; b = b->parent) {
        if (b == outer) {
            return true;
        }
    }
    return false;
}

int bolt_bucket_delete(struct bolt_tx *tx, struct bolt_bucket *parent, struct slice name)
{
    ensure(tx->is_writable);
    struct bolt_bucket *b;
    int err = bolt_bucket_open(tx, parent, 0, name, &b);
    if (err != 0) {
        return err;
    }
    struct bolt_node *n;
    err = bucket_leaf_node(b->parent, name, &n);
    /* Until the commit the tree in the file is whole, whatever nodes there are: free that. */
    struct doomed doomed = {.tx = tx};
    if (err == 0 && b->root != 0) {
        err = walk_tree(tx, b->root, doom_run, &doomed);
    }
    if (err == 0) {
        err = free_doomed(&doomed);
    }
    mem_free(doomed.runs);
    if (err != 0) {
        return err;
    }
    bool is_exact;
    uint32_t i = node_leaf_search(n, name, &is_exact);
    ensure(is_exact);
    node_remove(n, i);
    b->parent->generation++;
    LIST_FOREACH (&tx->buckets, node) {
        struct bolt_bucket *inner = LIST_ENTRY(node, struct bolt_bucket, node);
        if (is_inside(inner, b)) {
            inner->is_deleted = true;
        }
    }
    return 0;
}

/* ---- keys ---- */

int bolt_bucket_get(struct bolt_bucket *b, unsigned read_flags, struct slice key,
                    struct bolt_value *out)
{
    struct found found;
    int err = tree_find(b, read_flags, key, &found);
    if (err != 0) {
        return err;
    }
    if (found.flags != 0) {
        frame_unpin(found.frame);
        return ERR_NOT_FOUND;
    }
    *out = (struct bolt_value){found.value, found.frame};
    return 0;
}

/* Does the leaf's range of keys hold this one?  Then it is in this leaf or nowhere. */
static bool is_within(const uint8_t *leaf, struct slice key)
{
    uint32_t count = page_count(leaf);
    return count > 0 && slice_compare(page_leaf_key(leaf, 0), key) <= 0 &&
           slice_compare(key, page_leaf_key(leaf, count - 1)) <= 0;
}

int bolt_bucket_get_near(struct bolt_bucket *b, unsigned read_flags, struct slice key,
                         struct bolt_value *near, struct bolt_value *out)
{
    ensure(!b->tx->is_writable);
    if (near->frame != NULL && is_within(near->frame->data, key)) {
        const uint8_t *leaf = near->frame->data;
        bool is_exact;
        uint32_t i = page_leaf_search(leaf, key, &is_exact);
        if (!is_exact || page_leaf_flags(leaf, i) != 0) {
            return ERR_NOT_FOUND;
        }
        *out = (struct bolt_value){page_leaf_value(leaf, i), frame_pin(near->frame)};
        return 0;
    }
    int err = bolt_bucket_get(b, read_flags, key, out);
    if (err == 0 && b->root != 0) { /* an inline bucket's frame is its parent's leaf */
        bolt_value_release(near);
        near->frame = frame_pin(out->frame);
    }
    return err;
}

static struct slice keep(struct bolt_tx *tx, struct slice s)
{
    if (s.len == 0) {
        return SLICE_NULL;
    }
    uint8_t *copy = arena_alloc(&tx->arena, s.len);
    memcpy(copy, s.data, s.len);
    return slice_make(copy, s.len);
}

static int put(struct bolt_bucket *b, struct slice key, struct slice value, bool is_ref)
{
    ensure(b->nest > 0);
    if (key.len == 0) {
        return ERR_INVALID;
    }
    if (key.len > BOLT_KEY_BYTES_MAX || value.len > BOLT_VALUE_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    struct bolt_node *n;
    int err = bucket_leaf_node(b, key, &n);
    if (err != 0) {
        return err;
    }
    bool is_exact;
    uint32_t i = node_leaf_search(n, key, &is_exact);
    if (is_exact && n->elements[i].flags != 0) {
        return ERR_INVALID;
    }
    if (!is_ref) {
        value = keep(b->tx, value);
    }
    if (is_exact) {
        n->elements[i].value = value;
    } else {
        key = is_ref ? key : keep(b->tx, key);
        node_insert(n, i, (struct element){.key = key, .value = value});
    }
    b->generation++;
    return 0;
}

int bolt_bucket_put(struct bolt_bucket *b, struct slice key, struct slice value)
{
    return put(b, key, value, false);
}

int bolt_bucket_put_ref(struct bolt_bucket *b, struct slice key, struct slice value)
{
    return put(b, key, value, true);
}

int bolt_bucket_delete_key(struct bolt_bucket *b, struct slice key)
{
    ensure(b->tx->is_writable && b->nest > 0);
    /* Look first: a key that is not there must not make nodes, which would be written. */
    struct found found;
    int err = tree_find(b, 0, key, &found);
    if (err != 0) {
        return err == ERR_NOT_FOUND ? 0 : err;
    }
    frame_unpin(found.frame);
    if (found.flags != 0) {
        return ERR_INVALID;
    }
    struct bolt_node *n;
    err = bucket_leaf_node(b, key, &n);
    if (err != 0) {
        return err;
    }
    bool is_exact;
    uint32_t i = node_leaf_search(n, key, &is_exact);
    if (is_exact) {
        node_remove(n, i);
        b->generation++;
    }
    return 0;
}

void bolt_bucket_fill_set(struct bolt_bucket *b, unsigned percent)
{
    ensure(b->tx->is_writable);
    b->fill_percent = percent < FILL_MIN ? FILL_MIN : (percent > FILL_MAX ? FILL_MAX : percent);
}

uint64_t bolt_bucket_sequence(const struct bolt_bucket *b)
{
    return b->sequence;
}

int bolt_bucket_sequence_set(struct bolt_bucket *b, uint64_t sequence)
{
    ensure(b->tx->is_writable && b->nest > 0);
    /* Nodes of its own, so that the commit writes the header. */
    struct bolt_node *n;
    int err = bucket_leaf_node(b, SLICE_NULL, &n);
    if (err == 0) {
        b->sequence = sequence;
    }
    return err;
}
