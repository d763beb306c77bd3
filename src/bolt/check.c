/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/check: everything that is wrong with a file, in bbolt's words.
 *
 * Problem     The pager refuses a damaged page at the first fault; a person wants the whole list,
 * and `etcdutl snapshot status` prints it: words and order are bbolt's (tx.Check). Design Pages are
 * read raw, past the cache and its gate.  Each run: in bounds, referenced once, not free, a tree
 * page, elements inside, keys ascending and in the range of the parent.  bbolt looks at a tree
 * three times (pages, keys, buckets inside); here the texts about keys and the buckets found wait
 * until the tree is done. A branch that is met again is not entered again, so loops end.  Where
 * bbolt panics (a page that names itself wrongly, elements outside) the check says so and goes on.
 *             The free set is the stored list; without one, ours, if the tx shows the newest state
 *             and no write tx is open; else leaks cannot be told.
 * Limits      KEY_TEXT_BYTES_MAX of waiting texts; later ones are told at once, out of order.
 * See         storage-formats.md 1.11, bbolt tx_check.go; test/unit/bolt/check_test.c
 */
#include <stdarg.h>

#include "bolt/page.h"
#include "bolt/pager.h"

enum { KEY_TEXT_BYTES_MAX = 1 << 20 };

struct check {
    struct bolt_tx *tx;
    void (*on_problem)(void *arg, const char *text);
    void *arg;
    bool has_problem;
    bool has_freed; /* freed is known */
    struct bits freed;
    struct bits reachable;
    unsigned nest;
    struct buf text;
    /* Of the tree that is being looked at. */
    unsigned depth;
    uint64_t stack[BOLT_DEPTH_MAX];
    struct buf key_texts; /* NUL-terminated ones, waiting */
    struct buf inner;     /* roots of the buckets in it, u64 each */
};

/* A key and the frame it lies in. */
struct held_key {
    struct slice key;
    struct bolt_frame *frame;
};

/* What an element is compared with. */
struct bounds {
    struct slice min; /* empty: none */
    struct slice max;
};

static int check_page(struct check *c, uint64_t id, struct bounds bounds, struct held_key *last);

/* ---- texts ---- */

PRINTF_LIKE(2, 3) static void say(struct check *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&c->text, fmt, ap);
    va_end(ap);
}

static void say_stack(struct check *c, const char *head)
{
    buf_append_cstr(&c->text, head);
    buf_append_byte(&c->text, '[');
    for (unsigned i = 0; i < c->depth; i++) {
        say(c, "%s%llu", i > 0 ? " " : "", (unsigned long long)c->stack[i]);
    }
    buf_append_byte(&c->text, ']');
}

static void say_hex(struct check *c, struct slice s)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < s.len; i++) {
        buf_append_byte(&c->text, (uint8_t)digits[s.data[i] >> 4]);
        buf_append_byte(&c->text, (uint8_t)digits[s.data[i] & 15]);
    }
}

static void tell(struct check *c, const char *text)
{
    c->has_problem = true;
    if (c->on_problem != NULL) {
        c->on_problem(c->arg, text);
    }
}

static void said(struct check *c)
{
    tell(c, buf_cstr(&c->text));
    buf_clear(&c->text);
}

/* A text about keys: after those about the pages of the tree. */
static void said_of_keys(struct check *c)
{
    if (c->key_texts.len >= KEY_TEXT_BYTES_MAX) {
        said(c);
        return;
    }
    buf_append_slice(&c->key_texts, buf_slice(&c->text));
    buf_append_byte(&c->key_texts, 0);
    buf_clear(&c->text);
}

static void tell_waiting(struct check *c)
{
    for (size_t at = 0; at < c->key_texts.len;) {
        const char *text = (const char *)c->key_texts.data + at;
        tell(c, text);
        at += strlen(text) + 1;
    }
    buf_clear(&c->key_texts);
}

static void said_with_stack(struct check *c)
{
    say_stack(c, " (stack: ");
    buf_append_byte(&c->text, ')');
    said(c);
}

/* ---- key order ---- */

struct key_place {
    uint64_t id;
    const char *type;
    uint32_t index;
    struct slice key;
};

static void say_key(struct check *c, const struct key_place *k, bool is_first)
{
    say(c, "%skey[%u]=(hex)", is_first ? "the first " : "", k->index);
    say_hex(c, k->key);
    say(c, " on %s page(%llu) needs to be ", k->type, (unsigned long long)k->id);
}

static void check_order(struct check *c, const struct key_place *k, struct bounds b)
{
    int cmp = b.min.len > 0 ? slice_compare(b.min, k->key) : -1;
    if (k->index == 0 && cmp > 0) {
        say_key(c, k, true);
        say(c, ">= the key in the ancestor (");
        say_hex(c, b.min);
        say_stack(c, "). Stack: ");
        said_of_keys(c);
    }
    if (k->index > 0 && cmp >= 0) {
        say_key(c, k, false);
        say(c, "> (found %s) than previous element (hex)", cmp > 0 ? "<" : "=");
        say_hex(c, b.min);
        say_stack(c, ". Stack: ");
        said_of_keys(c);
    }
    if (b.max.len > 0 && slice_compare(k->key, b.max) >= 0) {
        say_key(c, k, false);
        say(c, "< than key of the next element in ancestor (hex)");
        say_hex(c, b.min);
        say_stack(c, ". Pages stack: ");
        said_of_keys(c);
    }
}

/* ---- pages ---- */

/* Marks the run; false when some of it was seen before. */
static bool mark_reachable(struct check *c, uint64_t id, uint64_t count)
{
    bool is_new = true;
    for (uint64_t i = id; i < id + count; i++) {
        if (bits_get(&c->reachable, i)) {
            is_new = false;
            say(c, "page %llu: multiple references", (unsigned long long)i);
            said_with_stack(c);
        }
        bits_set(&c->reachable, i);
    }
    return is_new;
}

static void note_inner_bucket(struct check *c, struct slice value)
{
    uint64_t root = page_bucket_root(value);
    if (root != 0) { /* an inline one was looked at with its page */
        buf_append(&c->inner, &root, sizeof(root));
    }
}

static void check_leaf(struct check *c, struct bolt_frame *f, struct bounds bounds, bool is_new,
                       struct held_key *last)
{
    const uint8_t *p = f->data;
    uint32_t count = page_count(p);
    for (uint32_t i = 0; i < count; i++) {
        struct key_place k = {f->id, "leaf", i, page_leaf_key(p, i)};
        check_order(c, &k, bounds);
        bounds.min = k.key;
        if (is_new && page_leaf_flags(p, i) == PAGE_ELEMENT_BUCKET) {
            note_inner_bucket(c, page_leaf_value(p, i));
        }
    }
    if (count > 0) {
        *last = (struct held_key){page_leaf_key(p, count - 1), frame_pin(f)};
    }
}

static int check_branch(struct check *c, struct bolt_frame *f, struct bounds bounds,
                        struct held_key *last)
{
    const uint8_t *p = f->data;
    uint32_t count = page_count(p);
    int err = 0;
    for (uint32_t i = 0; err == 0 && i < count; i++) {
        struct key_place k = {page_branch_child(p, i), "branch", i, page_branch_key(p, i)};
        check_order(c, &k, bounds);
        struct bounds below = {k.key, i + 1 < count ? page_branch_key(p, i + 1) : bounds.max};
        struct held_key child = {SLICE_NULL, NULL};
        err = check_page(c, k.id, below, &child);
        frame_unpin(last->frame);
        *last = child;
        bounds.min = last->key;
    }
    return err;
}

/* What the run is, and whether it was met before; true: its elements can be looked at. */
static bool check_run(struct check *c, const struct bolt_frame *f, bool *out_is_new)
{
    unsigned flags = page_flags(f->data);
    bool is_tree = flags == PAGE_BRANCH || flags == PAGE_LEAF;
    *out_is_new = mark_reachable(c, f->id, f->page_count);
    if (c->has_freed && bits_get(&c->freed, f->id)) {
        say(c, "page %llu: reachable freed", (unsigned long long)f->id);
        said(c);
    } else if (!is_tree) {
        char type[16];
        page_type_text(flags, type);
        say(c, "page %llu: invalid type: %s", (unsigned long long)f->id, type);
        said_with_stack(c);
    }
    if (!is_tree) {
        say(c, "unexpected page type (flags: %x) for pgId:%llu", flags, (unsigned long long)f->id);
        said_of_keys(c);
        return false;
    }
    struct why why;
    if (page_validate_elements(f->data, f->len, &why) != 0) {
        if (*out_is_new) {
            say(c, "page %llu: %s", (unsigned long long)f->id, why.text);
            said_with_stack(c);
        }
        return false;
    }
    return true;
}

/* Reads the run; *out NULL: it cannot be read as a page, which has been told. */
static int read_run(struct check *c, uint64_t id, struct bolt_frame **out)
{
    uint64_t hwm = c->tx->meta.hwm;
    *out = NULL;
    if (id >= hwm) {
        say(c, "page %llu: out of bounds: %llu", (unsigned long long)id, (unsigned long long)hwm);
        said_with_stack(c);
        return 0;
    }
    if (id < 2) {
        (void)mark_reachable(c, id, 1); /* the meta pages are referenced by being there */
        return 0;
    }
    struct why why;
    int err = pager_read_raw(c->tx, id, &why, out);
    if (err == ERR_CORRUPT) {
        *out = NULL;
        say(c, "page %llu: %s", (unsigned long long)id, why.text);
        said_with_stack(c);
        bits_set(&c->reachable, id); /* damaged, not leaked */
        return 0;
    }
    return err;
}

/* *last gets the last key below, if there is one. */
static int check_page(struct check *c, uint64_t id, struct bounds bounds, struct held_key *last)
{
    if (c->depth >= BOLT_DEPTH_MAX) {
        say(c, "page %llu: tree too deep", (unsigned long long)id);
        said_with_stack(c);
        return 0;
    }
    c->stack[c->depth++] = id;
    struct bolt_frame *f;
    int err = read_run(c, id, &f);
    bool is_new;
    if (err == 0 && f != NULL && check_run(c, f, &is_new)) {
        if (page_is_leaf(f->data)) {
            check_leaf(c, f, bounds, is_new, last);
        } else if (is_new) {
            err = check_branch(c, f, bounds, last);
        }
    }
    frame_unpin(f);
    c->depth--;
    return err;
}

/* The tree of a bucket, then those of the buckets in it. */
static int check_tree(struct check *c, uint64_t root)
{
    struct held_key last = {SLICE_NULL, NULL};
    c->depth = 0;
    int err = check_page(c, root, (struct bounds){SLICE_NULL, SLICE_NULL}, &last);
    frame_unpin(last.frame);
    tell_waiting(c);
    struct buf inner = c->inner;
    c->inner = BUF_INIT;
    for (size_t at = 0; err == 0 && at < inner.len; at += sizeof(uint64_t)) {
        uint64_t id;
        memcpy(&id, inner.data + at, sizeof(id));
        if (c->nest >= BOLT_NEST_MAX) {
            say(c, "page %llu: buckets nested too deep", (unsigned long long)id);
            said(c);
            continue;
        }
        c->nest++;
        err = check_tree(c, id);
        c->nest--;
    }
    buf_deinit(&inner);
    return err;
}

/* ---- free pages ---- */

static void add_freed(struct check *c, uint64_t id)
{
    uint64_t hwm = c->tx->meta.hwm;
    if (id < 2 || id >= hwm) {
        say(c, "page %llu: out of bounds: %llu (freelist)", (unsigned long long)id,
            (unsigned long long)hwm);
        said(c);
        return;
    }
    if (bits_get(&c->freed, id)) {
        say(c, "page %llu: already freed", (unsigned long long)id);
        said(c);
    }
    bits_set(&c->freed, id);
}

static int read_stored_list(struct check *c)
{
    uint64_t id = c->tx->meta.freelist;
    struct why why;
    struct bolt_frame *f;
    int err = pager_read_raw(c->tx, id, &why, &f);
    if (err == 0 && page_flags(f->data) != PAGE_FREELIST) {
        err = why_set(&why, "no freelist page, flags 0x%x", page_flags(f->data));
        frame_unpin(f);
    }
    if (err != 0) {
        if (err == ERR_CORRUPT) {
            say(c, "page %llu: %s", (unsigned long long)id, why.text);
            said(c);
        }
        return err == ERR_CORRUPT ? 0 : err;
    }
    c->has_freed = true;
    for (uint64_t i = id; i < id + f->page_count; i++) {
        bits_set(&c->reachable, i);
    }
    const uint8_t *ids = f->data + PAGE_HEADER_BYTES;
    uint64_t room = (f->len - PAGE_HEADER_BYTES) / 8;
    uint64_t count = page_count(f->data);
    uint64_t first = 0;
    if (count == 0xffff) {
        count = load_le64(ids);
        first = 1;
    }
    if (count > room - first) {
        say(c, "page %llu: %llu free pages do not fit", (unsigned long long)id,
            (unsigned long long)count);
        said(c);
        count = 0;
    }
    for (uint64_t i = 0; i < count; i++) {
        add_freed(c, load_le64(ids + 8 * (first + i)));
    }
    frame_unpin(f);
    return 0;
}

static void copy_own_list(struct check *c)
{
    struct bolt_db *db = c->tx->db;
    (void)pthread_mutex_lock(&db->mutex);
    if (!db->is_read_only && !db->has_writer && db->meta.txid == c->tx->meta.txid) {
        c->has_freed = true;
        for (uint64_t i = 2; i < c->tx->meta.hwm; i++) {
            if (freelist_is_freed(&db->freelist, i)) {
                bits_set(&c->freed, i);
            }
        }
    }
    (void)pthread_mutex_unlock(&db->mutex);
}

static void check_leaks(struct check *c)
{
    for (uint64_t i = 0; c->has_freed && i < c->tx->meta.hwm; i++) {
        if (!bits_get(&c->reachable, i) && !bits_get(&c->freed, i)) {
            say(c, "page %llu: unreachable unfreed", (unsigned long long)i);
            said(c);
        }
    }
}

int bolt_check(struct bolt_tx *tx, void (*on_problem)(void *arg, const char *text), void *arg)
{
    ensure(!tx->is_writable);
    struct check c = {.tx = tx, .on_problem = on_problem, .arg = arg};
    bits_reserve(&c.freed, tx->meta.hwm);
    bits_reserve(&c.reachable, tx->meta.hwm);
    bits_set(&c.reachable, 0);
    bits_set(&c.reachable, 1);
    int err = 0;
    if (tx->meta.freelist != META_NO_FREELIST) {
        err = read_stored_list(&c);
    } else {
        copy_own_list(&c);
    }
    if (err == 0) {
        err = check_tree(&c, tx->meta.root);
    }
    if (err == 0) {
        check_leaks(&c);
    }
    bits_deinit(&c.freed);
    bits_deinit(&c.reachable);
    buf_deinit(&c.text);
    buf_deinit(&c.key_texts);
    buf_deinit(&c.inner);
    return err != 0 ? err : (c.has_problem ? ERR_CORRUPT : 0);
}
