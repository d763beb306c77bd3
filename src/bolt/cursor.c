/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/cursor: ordered walks over one bucket.
 *
 * Design      The cursor is the way from the root to an element, one level a page, each pinned.
 *             Moves inside a leaf touch the last level only.  Moves to another leaf work on a copy
 *             of the way, so that an error (ERR_COLD) leaves the cursor where it stood.
 *             In a write tx the bucket may have changed since the last move (generation): the
 *             cursor then finds its key again; key bytes live as long as the tx.
 * Invariants  K1 every page entered lies in the key range its parent gives: so keys only rise
 *             (fall), and a walk over a damaged tree ends.
 */
#include "bolt/tree.h"

struct way {
    unsigned depth;
    struct bolt_level levels[BOLT_DEPTH_MAX];
};

/* ---- ways ---- */

static void way_release(struct way *w)
{
    for (unsigned i = 0; i < w->depth; i++) {
        frame_unpin(w->levels[i].frame);
    }
    w->depth = 0;
}

static struct place level_place(const struct bolt_level *l)
{
    return (struct place){l->page, l->frame, l->node};
}

static struct bolt_level *way_last(struct way *w)
{
    ensure(w->depth > 0);
    return &w->levels[w->depth - 1];
}

static int check_range(const struct bolt_cursor *c, const struct place *p, struct slice lo,
                       struct slice limit)
{
    uint32_t count = place_count(p);
    /* Nodes may be ahead of their parent's keys until they are spilled. */
    if (p->node != NULL || p->frame == NULL || count == 0) {
        return 0;
    }
    if (lo.len > 0 && slice_compare(page_key(p->page, 0), lo) < 0) {
        return db_report_page(c->tx, p->frame->id, "first key is below the key in its parent");
    }
    if (limit.len > 0 && slice_compare(page_key(p->page, count - 1), limit) >= 0) {
        return db_report_page(c->tx, p->frame->id,
                              "last key is not below the next key in its parent");
    }
    return 0;
}

/* Enters the child at the index of the last level; its index is left 0. */
static int way_enter(const struct bolt_cursor *c, struct way *w)
{
    struct bolt_level *l = way_last(w);
    struct place at = level_place(l);
    struct place child;
    if (w->depth >= BOLT_DEPTH_MAX) {
        return tree_report_depth(c->bucket);
    }
    int err = place_child(c->bucket, &at, l->index, c->read_flags, &child);
    if (err != 0) {
        return err;
    }
    struct slice limit = l->index + 1 < place_count(&at) ? place_key(&at, l->index + 1) : l->limit;
    err = check_range(c, &child, place_key(&at, l->index), limit);
    if (err != 0) {
        place_release(&child);
        return err;
    }
    w->levels[w->depth++] = (struct bolt_level){child.page, child.frame, child.node, 0, limit};
    return 0;
}

static int way_start(const struct bolt_cursor *c, struct way *w)
{
    struct place root;
    w->depth = 0;
    int err = place_root(c->bucket, c->read_flags, &root);
    if (err == 0) {
        w->levels[w->depth++] =
            (struct bolt_level){root.page, root.frame, root.node, 0, SLICE_NULL};
    }
    return err;
}

static bool way_at_leaf(struct way *w)
{
    struct place at = level_place(way_last(w));
    return place_is_leaf(&at);
}

static uint32_t way_count(struct way *w)
{
    struct place at = level_place(way_last(w));
    return place_count(&at);
}

/* Down to the first or last leaf below the last level, at its first or last element. */
static int way_descend(const struct bolt_cursor *c, struct way *w, bool is_last)
{
    int err = 0;
    for (;;) {
        uint32_t count = way_count(w);
        way_last(w)->index = is_last && count > 0 ? count - 1 : 0;
        if (way_at_leaf(w)) {
            return 0;
        }
        err = way_enter(c, w);
        if (err != 0) {
            return err;
        }
    }
}

static void way_pop(struct way *w)
{
    frame_unpin(way_last(w)->frame);
    w->depth--;
}

/* To the first element of the next leaf that has one. ERR_END. */
static int way_next_leaf(const struct bolt_cursor *c, struct way *w)
{
    do {
        way_pop(w);
        while (w->depth > 0 && way_last(w)->index + 1 >= way_count(w)) {
            way_pop(w);
        }
        if (w->depth == 0) {
            return ERR_END;
        }
        way_last(w)->index++;
        int err = way_enter(c, w);
        if (err == 0) {
            err = way_descend(c, w, false);
        }
        if (err != 0) {
            return err;
        }
    } while (way_count(w) == 0);
    return 0;
}

static int way_prev_leaf(const struct bolt_cursor *c, struct way *w)
{
    do {
        way_pop(w);
        while (w->depth > 0 && way_last(w)->index == 0) {
            way_pop(w);
        }
        if (w->depth == 0) {
            return ERR_END;
        }
        way_last(w)->index--;
        int err = way_enter(c, w);
        if (err == 0) {
            err = way_descend(c, w, true);
        }
        if (err != 0) {
            return err;
        }
    } while (way_count(w) == 0);
    return 0;
}

static int way_seek(const struct bolt_cursor *c, struct way *w, struct slice key)
{
    int err = way_start(c, w);
    while (err == 0 && !way_at_leaf(w)) {
        struct place at = level_place(way_last(w));
        way_last(w)->index = place_branch_search(&at, key);
        err = way_enter(c, w);
    }
    if (err != 0) {
        return err;
    }
    struct place at = level_place(way_last(w));
    bool is_exact;
    way_last(w)->index = place_leaf_search(&at, key, &is_exact);
    return way_last(w)->index < place_count(&at) ? 0 : way_next_leaf(c, w);
}

/* ---- cursor ---- */

void bolt_cursor_init(struct bolt_cursor *c, struct bolt_tx *tx, struct bolt_bucket *bucket,
                      unsigned read_flags)
{
    c->tx = tx;
    c->bucket = bucket != NULL ? bucket : &tx->root;
    ensure(c->bucket->tx == tx);
    c->read_flags = read_flags;
    c->depth = 0;
    c->generation = 0;
    c->key = SLICE_NULL;
}

void bolt_cursor_release(struct bolt_cursor *c)
{
    for (unsigned i = 0; i < c->depth; i++) {
        frame_unpin(c->levels[i].frame);
    }
    c->depth = 0;
    c->key = SLICE_NULL;
}

static void fill_item(struct bolt_cursor *c, struct bolt_item *out)
{
    ensure(c->depth > 0);
    const struct bolt_level *l = &c->levels[c->depth - 1];
    struct place at = level_place(l);
    ensure(l->index < place_count(&at));
    c->key = place_key(&at, l->index);
    *out = (struct bolt_item){.key = c->key,
                              .is_bucket = place_flags(&at, l->index) == PAGE_ELEMENT_BUCKET};
    if (!out->is_bucket) {
        out->value = place_value(&at, l->index);
    }
}

/* Takes the way if err is 0, else drops it; the cursor's old way goes only in the first case or
 * when is_lost. */
static int settle(struct bolt_cursor *c, struct way *w, int err, struct bolt_item *out)
{
    if (err != 0) {
        way_release(w);
        return err;
    }
    bolt_cursor_release(c);
    c->depth = w->depth;
    memcpy(c->levels, w->levels, w->depth * sizeof(w->levels[0]));
    c->generation = c->bucket->generation;
    fill_item(c, out);
    return 0;
}

int bolt_cursor_first(struct bolt_cursor *c, struct bolt_item *out)
{
    struct way w;
    int err = way_start(c, &w);
    if (err == 0) {
        err = way_descend(c, &w, false);
    }
    if (err == 0 && way_count(&w) == 0) {
        err = way_next_leaf(c, &w);
    }
    return settle(c, &w, err, out);
}

int bolt_cursor_last(struct bolt_cursor *c, struct bolt_item *out)
{
    struct way w;
    int err = way_start(c, &w);
    if (err == 0) {
        err = way_descend(c, &w, true);
    }
    if (err == 0 && way_count(&w) == 0) {
        err = way_prev_leaf(c, &w);
    }
    return settle(c, &w, err, out);
}

int bolt_cursor_seek(struct bolt_cursor *c, struct slice key, struct bolt_item *out)
{
    struct way w;
    int err = way_seek(c, &w, key);
    return settle(c, &w, err, out);
}

/* A copy of the cursor's way, with pins of its own. */
static void way_copy(const struct bolt_cursor *c, struct way *w)
{
    w->depth = c->depth;
    memcpy(w->levels, c->levels, c->depth * sizeof(w->levels[0]));
    for (unsigned i = 0; i < w->depth; i++) {
        (void)frame_pin(w->levels[i].frame);
    }
}

static bool is_stale(const struct bolt_cursor *c)
{
    return c->generation != c->bucket->generation;
}

int bolt_cursor_next(struct bolt_cursor *c, struct bolt_item *out)
{
    ensure(c->depth > 0);
    struct way w;
    int err;
    if (is_stale(c)) {
        struct slice key = c->key;
        err = way_seek(c, &w, key);
        if (err == 0) {
            struct place at = level_place(way_last(&w));
            /* The key itself may be gone: then seek stands behind it already. */
            if (!slice_equal(place_key(&at, way_last(&w)->index), key)) {
                return settle(c, &w, 0, out);
            }
            if (++way_last(&w)->index >= way_count(&w)) {
                err = way_next_leaf(c, &w);
            }
        }
        return settle(c, &w, err, out);
    }
    struct bolt_level *l = &c->levels[c->depth - 1];
    struct place at = level_place(l);
    if (l->index + 1 < place_count(&at)) {
        l->index++;
        fill_item(c, out);
        return 0;
    }
    way_copy(c, &w);
    return settle(c, &w, way_next_leaf(c, &w), out);
}

/* The element before the one that w stands on; before the end if err was ERR_END. */
static int way_step_back(const struct bolt_cursor *c, struct way *w)
{
    if (way_last(w)->index > 0) {
        way_last(w)->index--;
        return 0;
    }
    return way_prev_leaf(c, w);
}

static int prev_stale(struct bolt_cursor *c, struct bolt_item *out)
{
    struct way w;
    int err = way_seek(c, &w, c->key);
    if (err == ERR_END) {
        way_release(&w);
        return bolt_cursor_last(c, out);
    }
    if (err == 0) {
        err = way_step_back(c, &w);
    }
    return settle(c, &w, err, out);
}

int bolt_cursor_prev(struct bolt_cursor *c, struct bolt_item *out)
{
    ensure(c->depth > 0);
    if (is_stale(c)) {
        return prev_stale(c, out);
    }
    struct bolt_level *l = &c->levels[c->depth - 1];
    if (l->index > 0) {
        l->index--;
        fill_item(c, out);
        return 0;
    }
    struct way w;
    way_copy(c, &w);
    return settle(c, &w, way_prev_leaf(c, &w), out);
}

void bolt_cursor_value_pin(struct bolt_cursor *c, struct bolt_value *out)
{
    ensure(c->depth > 0);
    const struct bolt_level *l = &c->levels[c->depth - 1];
    struct place at = level_place(l);
    *out = (struct bolt_value){place_value(&at, l->index), frame_pin(l->frame)};
}
