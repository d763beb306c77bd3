/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/copy: the whole file as a read tx shows it, as bytes (storage-formats 1.9) or rewritten
 * without its free pages (7.4).
 */
#include "bolt/db.h"
#include "bolt/pager.h"

enum { COPY_CHUNK_BYTES = 1 << 20 };

/* ---- bytes ---- */

/* Bytes [off, off + len) of a meta page made for the copy. */
static void copy_meta(struct bolt_tx *tx, uint64_t id, uint64_t off, uint8_t *dst, size_t len)
{
    uint8_t page[META_PAGE_BYTES] = {0};
    struct meta m = tx->meta;
    /* Meta 0 has T, meta 1 T-1: either is a valid fallback. */
    m.txid -= m.txid > 0 ? id : 0;
    meta_encode(&m, id, page);
    memset(dst, 0, len);
    if (off < sizeof(page)) {
        size_t n = sizeof(page) - (size_t)off;
        memcpy(dst, page + off, n < len ? n : len);
    }
}

int bolt_copy_read(struct bolt_tx *tx, uint64_t off, void *dst, size_t len)
{
    ensure(!tx->is_writable && off + len <= bolt_tx_size_bytes(tx));
    uint64_t page_size = tx->db->page_size;
    uint8_t *p = dst;
    while (len > 0 && off < 2 * page_size) {
        uint64_t id = off / page_size;
        uint64_t in_page = off % page_size;
        size_t n = (size_t)(page_size - in_page) < len ? (size_t)(page_size - in_page) : len;
        copy_meta(tx, id, in_page, p, n);
        p += n;
        off += n;
        len -= n;
    }
    if (len == 0) {
        return 0;
    }
    int err = pager_read_bytes(tx->db, p, len, off);
    if (err != 0) {
        return db_report(tx->db, tx, err, "reading %zu bytes at offset %llu: %s", len,
                         (unsigned long long)off, err_text(err));
    }
    return 0;
}

int bolt_tx_write_to(struct bolt_tx *tx, int (*write)(void *arg, struct slice chunk), void *arg)
{
    uint64_t size = bolt_tx_size_bytes(tx);
    uint8_t *chunk = mem_alloc(COPY_CHUNK_BYTES);
    int err = 0;
    for (uint64_t off = 0; err == 0 && off < size;) {
        size_t n = size - off < COPY_CHUNK_BYTES ? (size_t)(size - off) : (size_t)COPY_CHUNK_BYTES;
        err = bolt_copy_read(tx, off, chunk, n);
        if (err == 0) {
            err = write(arg, slice_make(chunk, n));
        }
        off += n;
    }
    mem_free(chunk);
    return err;
}

/* ---- rewritten ---- */

struct compact {
    struct bolt_tx *src;
    struct bolt_db *dst_db;
    struct bolt_tx *dst;
    uint32_t pairs_max;
    uint32_t pairs;
    size_t bytes;
    struct slice path[BOLT_NEST_MAX]; /* names of the buckets we are in; pinned by cursors */
    unsigned depth;
};

static int open_path(struct compact *c, struct bolt_bucket **out)
{
    struct bolt_bucket *b = NULL;
    for (unsigned i = 0; i < c->depth; i++) {
        int err = bolt_bucket_open(c->dst, b, 0, c->path[i], &b);
        if (err != 0) {
            return err;
        }
        bolt_bucket_fill_set(b, BOLT_FILL_APPEND);
    }
    *out = b;
    return 0;
}

static int begin_dst(struct compact *c)
{
    c->pairs = 0;
    c->bytes = 0;
    return bolt_tx_begin(c->dst_db, true, &c->dst);
}

/* Commits and begins anew when enough has gathered; *b is the current bucket. */
static int commit_maybe(struct compact *c, struct bolt_bucket **b)
{
    if (c->pairs < c->pairs_max && c->bytes < BOLT_COMPACT_BYTES) {
        return 0;
    }
    struct bolt_tx *full = c->dst;
    c->dst = NULL;
    int err = bolt_tx_commit(full);
    if (err == 0) {
        err = begin_dst(c);
    }
    return err == 0 ? open_path(c, b) : err;
}

static int copy_bucket(struct compact *c, struct bolt_bucket *src);

static int copy_child(struct compact *c, struct bolt_bucket *src, struct bolt_bucket *dst,
                      struct slice name)
{
    struct bolt_bucket *from, *to;
    if (c->depth == BOLT_NEST_MAX) {
        return ERR_LIMIT;
    }
    int err = bolt_bucket_open(c->src, src, BOLT_READ_SCAN, name, &from);
    if (err == 0) {
        err = bolt_bucket_create(c->dst, dst, name, &to);
    }
    if (err == 0 && bolt_bucket_sequence(from) != 0) {
        err = bolt_bucket_sequence_set(to, bolt_bucket_sequence(from));
    }
    if (err == 0) {
        c->path[c->depth++] = name;
        err = copy_bucket(c, from);
        c->depth--;
    }
    return err;
}

/* All items of src (NULL: the root) into the bucket at the path. */
static int copy_bucket(struct compact *c, struct bolt_bucket *src)
{
    struct bolt_cursor cur;
    struct bolt_item item;
    struct bolt_bucket *dst;
    bolt_cursor_init(&cur, c->src, src, BOLT_READ_SCAN);
    int err = open_path(c, &dst);
    int move = err == 0 ? bolt_cursor_first(&cur, &item) : err;
    while (move == 0) {
        if (item.is_bucket) {
            err = copy_child(c, src, dst, item.key);
            if (err == 0) {
                err = open_path(c, &dst); /* a commit may have come in between */
            }
        } else if (dst == NULL) {
            err = db_report(c->src->db, c->src, ERR_CORRUPT, "a key in the root that is no bucket");
        } else {
            err = bolt_bucket_put(dst, item.key, item.value);
            c->pairs++;
            c->bytes += item.key.len + item.value.len;
            if (err == 0) {
                err = commit_maybe(c, &dst);
            }
        }
        move = err == 0 ? bolt_cursor_next(&cur, &item) : err;
    }
    bolt_cursor_release(&cur);
    return move == ERR_END ? 0 : move;
}

int bolt_compact_to(struct bolt_tx *src, struct bolt_db *dst, uint32_t pairs_per_commit)
{
    ensure(!src->is_writable && pairs_per_commit > 0);
    struct compact c = {.src = src, .dst_db = dst, .pairs_max = pairs_per_commit};
    int err = begin_dst(&c);
    if (err != 0) {
        return err;
    }
    err = copy_bucket(&c, NULL);
    if (err == 0) {
        return bolt_tx_commit(c.dst);
    }
    if (c.dst != NULL) {
        bolt_tx_rollback(c.dst);
    }
    return err;
}
