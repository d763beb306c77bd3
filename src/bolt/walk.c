/* SPDX-License-Identifier: Apache-2.0 */
#include "bolt/walk.h"

#include "bolt/page.h"
#include "bolt/pager.h"

struct walk {
    struct bolt_tx *tx;
    int (*on_run)(void *arg, const struct bolt_frame *frame);
    void *arg;
};

/* The keys that a page may hold: [lo, hi), empty: no bound. */
struct range {
    struct slice lo;
    struct slice hi;
};

static int walk_page(struct walk *w, uint64_t id, struct range range, unsigned depth,
                     unsigned nest);

static int check_range(struct bolt_tx *tx, const struct bolt_frame *f, struct range range)
{
    uint32_t count = page_count(f->data);
    if (count == 0) {
        return 0;
    }
    if (range.lo.len > 0 && slice_compare(page_key(f->data, 0), range.lo) < 0) {
        return db_report_page(tx, f->id, "first key is below the key in its parent");
    }
    if (range.hi.len > 0 && slice_compare(page_key(f->data, count - 1), range.hi) >= 0) {
        return db_report_page(tx, f->id, "last key is not below the next key in its parent");
    }
    return 0;
}

static int walk_branch(struct walk *w, const uint8_t *p, struct range range, unsigned depth,
                       unsigned nest)
{
    uint32_t count = page_count(p);
    int err = 0;
    for (uint32_t i = 0; err == 0 && i < count; i++) {
        struct range child = {page_branch_key(p, i),
                              i + 1 < count ? page_branch_key(p, i + 1) : range.hi};
        err = walk_page(w, page_branch_child(p, i), child, depth + 1, nest);
    }
    return err;
}

static int walk_leaf(struct walk *w, const uint8_t *p, unsigned nest)
{
    uint32_t count = page_count(p);
    int err = 0;
    for (uint32_t i = 0; err == 0 && i < count; i++) {
        if (page_leaf_flags(p, i) != PAGE_ELEMENT_BUCKET) {
            continue;
        }
        uint64_t root = page_bucket_root(page_leaf_value(p, i));
        if (root != 0) {
            err = walk_page(w, root, (struct range){SLICE_NULL, SLICE_NULL}, 1, nest + 1);
        }
    }
    return err;
}

static int walk_page(struct walk *w, uint64_t id, struct range range, unsigned depth, unsigned nest)
{
    if (depth > BOLT_DEPTH_MAX || nest > BOLT_NEST_MAX) {
        return db_report_page(w->tx, id, "its tree is too deep, or leads back to itself");
    }
    struct bolt_frame *f;
    int err = pager_pin(w->tx, id, BOLT_READ_SCAN, &f);
    if (err != 0) {
        return err;
    }
    err = w->on_run(w->arg, f);
    if (err == 0) {
        err = check_range(w->tx, f, range);
    }
    if (err == 0) {
        err = page_is_leaf(f->data) ? walk_leaf(w, f->data, nest)
                                    : walk_branch(w, f->data, range, depth, nest);
    }
    frame_unpin(f);
    return err;
}

int walk_tree(struct bolt_tx *tx, uint64_t root,
              int (*on_run)(void *arg, const struct bolt_frame *frame), void *arg)
{
    struct walk w = {tx, on_run, arg};
    return walk_page(&w, root, (struct range){SLICE_NULL, SLICE_NULL}, 1, 0);
}
