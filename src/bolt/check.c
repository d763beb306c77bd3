/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/check: the consistency checker, in bbolt's words (tx.Check): every page reachable once or
 * free, types, key order inside pages and between parent and child.
 *
 * Reads around the cache and reports every problem, where the walk at open stops at the first.
 */
#include <stdarg.h>
#include <stdio.h>

#include "bolt/page.h"
#include "bolt/pager.h"

enum { CHECK_TEXT_BYTES = 512, CHECK_HEX_BYTES = 40 };

struct check {
    struct bolt_tx *tx;
    struct bits seen;
    struct bits freed;
    bool has_freed; /* leaks can be told */
    void (*on_problem)(void *arg, const char *text);
    void *arg;
    uint64_t problems;
    int err; /* could not look */
};

struct bounds {
    struct slice lo; /* empty: none */
    struct slice hi;
};

PRINTF_LIKE(2, 3) static void problem(struct check *c, const char *fmt, ...)
{
    char text[CHECK_TEXT_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    c->problems++;
    if (c->on_problem != NULL) {
        c->on_problem(c->arg, text);
    }
}

static const char *hex(struct slice s, char out[2 * CHECK_HEX_BYTES + 1])
{
    size_t n = s.len < CHECK_HEX_BYTES ? s.len : (size_t)CHECK_HEX_BYTES;
    out[0] = 0;
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", s.data[i]);
    }
    return out;
}

/* Marks the run; false: seen before, do not go on below it. */
static bool mark(struct check *c, const struct bolt_frame *f)
{
    bool is_new = true;
    for (uint64_t id = f->id; id < f->id + f->page_count; id++) {
        if (bits_get(&c->seen, id)) {
            problem(c, "page %llu: multiple references", (unsigned long long)id);
            is_new = false;
        }
        bits_set(&c->seen, id);
    }
    if (c->has_freed && bits_get(&c->freed, f->id)) {
        problem(c, "page %llu: reachable freed", (unsigned long long)f->id);
    }
    return is_new;
}

static void check_keys(struct check *c, const struct bolt_frame *f, struct bounds b)
{
    char k[2 * CHECK_HEX_BYTES + 1], p[2 * CHECK_HEX_BYTES + 1];
    const char *type = page_is_leaf(f->data) ? "leaf" : "branch";
    struct slice prev = b.lo;
    for (uint32_t i = 0; i < page_count(f->data); i++) {
        struct slice key = page_key(f->data, i);
        int order = prev.len == 0 ? -1 : slice_compare(prev, key);
        if (i == 0 && order > 0) {
            problem(c,
                    "the first key[%u]=(hex)%s on %s page(%llu) needs to be >= the key in the "
                    "ancestor (%s).",
                    i, hex(key, k), type, (unsigned long long)f->id, hex(prev, p));
        } else if (i > 0 && order >= 0) {
            problem(c,
                    "key[%u]=(hex)%s on %s page(%llu) needs to be > (found %s) than previous "
                    "element (hex)%s.",
                    i, hex(key, k), type, (unsigned long long)f->id, order > 0 ? "<" : "=",
                    hex(prev, p));
        }
        if (b.hi.len > 0 && slice_compare(key, b.hi) >= 0) {
            problem(c,
                    "key[%u]=(hex)%s on %s page(%llu) needs to be < than key of the next element "
                    "in ancestor (hex)%s.",
                    i, hex(key, k), type, (unsigned long long)f->id, hex(b.hi, p));
        }
        prev = key;
    }
}

static void check_page(struct check *c, uint64_t id, struct bounds b, unsigned depth,
                       unsigned nest);

static void check_branch(struct check *c, const uint8_t *p, struct bounds b, unsigned depth,
                         unsigned nest)
{
    uint32_t count = page_count(p);
    for (uint32_t i = 0; c->err == 0 && i < count; i++) {
        struct bounds child = {page_branch_key(p, i),
                               i + 1 < count ? page_branch_key(p, i + 1) : b.hi};
        check_page(c, page_branch_child(p, i), child, depth + 1, nest);
    }
}

static void check_leaf(struct check *c, const uint8_t *p, unsigned nest)
{
    struct bounds none = {SLICE_NULL, SLICE_NULL};
    for (uint32_t i = 0; c->err == 0 && i < page_count(p); i++) {
        if (page_leaf_flags(p, i) == PAGE_ELEMENT_BUCKET) {
            uint64_t root = page_bucket_root(page_leaf_value(p, i));
            if (root != 0) {
                check_page(c, root, none, 1, nest + 1);
            }
        }
    }
}

/* Reads a run and its gate; NULL when there is nothing to go on with. */
static struct bolt_frame *read_page(struct check *c, uint64_t id)
{
    struct why why;
    struct bolt_frame *f;
    if (id < 2 || id >= c->tx->meta.hwm) {
        problem(c, "page %llu: out of bounds: %llu", (unsigned long long)id,
                (unsigned long long)c->tx->meta.hwm);
        return NULL;
    }
    int err = pager_read_raw(c->tx, id, &why, &f);
    if (err == ERR_CORRUPT) {
        problem(c, "page %llu: %s", (unsigned long long)id, why.text);
        return NULL;
    }
    if (err != 0) {
        c->err = err;
        return NULL;
    }
    unsigned flags = page_flags(f->data);
    if (flags != PAGE_BRANCH && flags != PAGE_LEAF) {
        char type[16];
        page_type_text(flags, type);
        problem(c, "page %llu: invalid type: %s", (unsigned long long)id, type);
        frame_unpin(f);
        return NULL;
    }
    if (page_validate_elements(f->data, f->len, &why) != 0) {
        problem(c, "page %llu: %s", (unsigned long long)id, why.text);
        frame_unpin(f);
        return NULL;
    }
    return f;
}

static void check_page(struct check *c, uint64_t id, struct bounds b, unsigned depth, unsigned nest)
{
    if (depth > BOLT_DEPTH_MAX || nest > BOLT_NEST_MAX) {
        problem(c, "page %llu: its tree is too deep, or leads back to itself",
                (unsigned long long)id);
        return;
    }
    struct bolt_frame *f = read_page(c, id);
    if (f == NULL) {
        return;
    }
    if (mark(c, f)) {
        check_keys(c, f, b);
        if (page_is_leaf(f->data)) {
            check_leaf(c, f->data, nest);
        } else {
            check_branch(c, f->data, b, depth, nest);
        }
    }
    frame_unpin(f);
}

/* ---- what is free ---- */

static void freed_add(struct check *c, uint64_t id)
{
    if (id < 2 || id >= c->tx->meta.hwm) {
        problem(c, "page %llu: free, but out of bounds: %llu", (unsigned long long)id,
                (unsigned long long)c->tx->meta.hwm);
    } else if (bits_get(&c->freed, id)) {
        problem(c, "page %llu: already freed", (unsigned long long)id);
    } else {
        bits_set(&c->freed, id);
    }
}

static void load_stored(struct check *c)
{
    struct why why;
    struct bolt_frame *f;
    uint64_t id = c->tx->meta.freelist;
    int err = pager_read_raw(c->tx, id, &why, &f);
    if (err != 0) {
        problem(c, "page %llu: %s", (unsigned long long)id,
                err == ERR_CORRUPT ? why.text : err_text(err));
        return;
    }
    uint64_t count = page_count(f->data);
    size_t at = PAGE_HEADER_BYTES;
    if (page_flags(f->data) != PAGE_FREELIST) {
        problem(c, "page %llu: invalid type, freelist expected", (unsigned long long)id);
        count = 0;
    } else if (count == 0xFFFF) {
        count = load_le64(f->data + at);
        at += 8;
    }
    if (count > (f->len - at) / 8) {
        problem(c, "page %llu: %llu free pages do not fit", (unsigned long long)id,
                (unsigned long long)count);
        count = 0;
    }
    for (uint64_t i = 0; i < count; i++) {
        freed_add(c, load_le64(f->data + at + 8 * i));
    }
    (void)mark(c, f);
    c->has_freed = true;
    frame_unpin(f);
}

/* Of the newest state, while nobody writes: what the db itself knows. */
static void load_own(struct check *c)
{
    struct bolt_db *db = c->tx->db;
    (void)pthread_mutex_lock(&db->mutex);
    if (!db->is_read_only && !db->has_writer && db->meta.txid == c->tx->meta.txid) {
        for (uint64_t id = 2; id < c->tx->meta.hwm; id++) {
            if (freelist_is_freed(&db->freelist, id)) {
                bits_set(&c->freed, id);
            }
        }
        c->has_freed = true;
    }
    (void)pthread_mutex_unlock(&db->mutex);
}

int bolt_check(struct bolt_tx *tx, void (*on_problem)(void *arg, const char *text), void *arg)
{
    ensure(!tx->is_writable);
    struct check c = {.tx = tx, .on_problem = on_problem, .arg = arg};
    bits_reserve(&c.seen, tx->meta.hwm);
    bits_reserve(&c.freed, tx->meta.hwm);
    if (tx->meta.freelist != META_NO_FREELIST) {
        load_stored(&c);
    } else {
        load_own(&c);
    }
    check_page(&c, tx->meta.root, (struct bounds){SLICE_NULL, SLICE_NULL}, 1, 0);
    for (uint64_t id = 2; c.err == 0 && c.has_freed && id < tx->meta.hwm; id++) {
        if (!bits_get(&c.seen, id) && !bits_get(&c.freed, id)) {
            problem(&c, "page %llu: unreachable unfreed", (unsigned long long)id);
        }
    }
    bits_deinit(&c.seen);
    bits_deinit(&c.freed);
    return c.err != 0 ? c.err : (c.problems > 0 ? ERR_CORRUPT : 0);
}
