/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/file: what this folder reads from a transaction of the file: records, compact revisions,
 * hashes of whole files.
 */
#include "base/err.h"
#include "base/hash.h"
#include "mvcc/store.h"
#include "schema/schema.h"

static struct slice bucket_name(enum schema_bucket bucket)
{
    return slice_cstr(SCHEMA_BUCKET_NAMES[bucket]);
}

/* ---- records ---- */

struct mvcc_tx_source {
    struct bolt_cursor cursor;
    bool is_started;
};

int mvcc_tx_source_open(struct bolt_tx *tx, struct mvcc_tx_source **out)
{
    struct bolt_bucket *bucket;
    int err = bolt_bucket_open(tx, NULL, BOLT_READ_SCAN, bucket_name(SCHEMA_KEY), &bucket);
    if (err != 0) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    struct mvcc_tx_source *s = mem_alloc(sizeof(*s));
    bolt_cursor_init(&s->cursor, tx, bucket, BOLT_READ_SCAN);
    s->is_started = false;
    *out = s;
    return 0;
}

static int tx_source_next(void *arg, struct slice *key, struct slice *value)
{
    struct mvcc_tx_source *s = arg;
    struct bolt_item item;
    int err =
        s->is_started ? bolt_cursor_next(&s->cursor, &item) : bolt_cursor_first(&s->cursor, &item);
    if (err != 0) {
        return err;
    }
    s->is_started = true;
    *key = item.key;
    *value = item.value;
    return item.is_bucket ? ERR_CORRUPT : 0;
}

struct mvcc_source mvcc_tx_source_of(struct mvcc_tx_source *src)
{
    return (struct mvcc_source){tx_source_next, src};
}

void mvcc_tx_source_close(struct mvcc_tx_source *src)
{
    if (src != NULL) {
        bolt_cursor_release(&src->cursor);
        mem_free(src);
    }
}

/* ---- meta ---- */

/* A revision under that name, -1 when absent. */
static int meta_rev(struct bolt_bucket *meta, const char *name, int64_t *out)
{
    struct bolt_value v;
    int err = bolt_bucket_get(meta, 0, slice_cstr(name), &v);
    if (err == ERR_NOT_FOUND) {
        *out = -1;
        return 0;
    }
    if (err != 0) {
        return err;
    }
    struct backend_rev rev;
    err = backend_rev_decode(v.value, &rev);
    bolt_value_release(&v);
    if (err == 0) {
        *out = rev.main;
    }
    return err;
}

static int meta_read(struct bolt_tx *tx, int64_t *finished, int64_t *scheduled)
{
    struct bolt_bucket *meta;
    int err = bolt_bucket_open(tx, NULL, 0, bucket_name(SCHEMA_META), &meta);
    if (err != 0) {
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    err = meta_rev(meta, SCHEMA_META_FINISHED_COMPACT, finished);
    return err != 0 ? err : meta_rev(meta, SCHEMA_META_SCHEDULED_COMPACT, scheduled);
}

int mvcc_restore_tx(struct mvcc_store *s, struct bolt_tx *tx)
{
    int64_t finished;
    int64_t scheduled;
    struct mvcc_tx_source *src;
    int err = meta_read(tx, &finished, &scheduled);
    err = err != 0 ? err : mvcc_tx_source_open(tx, &src);
    if (err != 0) {
        return err;
    }
    struct mvcc_source records = mvcc_tx_source_of(src);
    err = mvcc_restore(s, &records, finished, scheduled);
    mvcc_tx_source_close(src);
    return err;
}

/* ---- HashKV of a file ---- */

static int hash_all_records(struct mvcc_hash *h, struct bolt_tx *tx)
{
    struct mvcc_tx_source *src;
    int err = mvcc_tx_source_open(tx, &src);
    if (err != 0) {
        return err;
    }
    struct mvcc_source records = mvcc_tx_source_of(src);
    err = mvcc_hash_run(h, &records, SIZE_MAX);
    mvcc_tx_source_close(src);
    return err;
}

static int restore_without_leases(struct mvcc_store *s, struct bolt_tx *tx)
{
    int64_t finished;
    int64_t scheduled;
    struct mvcc_tx_source *src;
    int err = meta_read(tx, &finished, &scheduled);
    err = err != 0 ? err : mvcc_tx_source_open(tx, &src);
    if (err != 0) {
        return err;
    }
    struct mvcc_source records = mvcc_tx_source_of(src);
    err = restore_records(&s->index, &records, &s->current_rev);
    mvcc_tx_source_close(src);
    s->compact_rev = finished > scheduled ? finished : scheduled;
    s->current_rev = s->current_rev > s->compact_rev ? s->current_rev : s->compact_rev;
    return err;
}

int mvcc_hash_file(struct bolt_tx *tx, int64_t rev, struct mvcc_hash_value *out,
                   int64_t *out_current)
{
    struct mvcc_options opts = {0};
    struct mvcc_store *s = mvcc_create(&opts);
    struct mvcc_hash *h = NULL;
    int err = restore_without_leases(s, tx);
    err = err != 0 ? err : mvcc_hash_begin(s, rev, out, &h);
    if (err == 0) {
        err = mvcc_hash_collect(h, SIZE_MAX);
        err = err != 0 ? err : hash_all_records(h, tx);
        if (err == 0) {
            *out = mvcc_hash_result(h);
            *out_current = s->current_rev;
        }
        mvcc_hash_end(h, false);
    }
    mvcc_destroy(s);
    return err;
}

/* ---- hash over all buckets ---- */

struct whole {
    struct bolt_tx *tx;
    bool skips_volatile; /* Maintenance.Hash */
    uint32_t crc;
    uint64_t pairs;
};

static bool is_volatile(struct slice bucket, struct slice key)
{
    return slice_equal(bucket, bucket_name(SCHEMA_META)) &&
           (slice_equal_cstr(key, SCHEMA_META_CONSISTENT_INDEX) ||
            slice_equal_cstr(key, SCHEMA_META_TERM) ||
            slice_equal_cstr(key, SCHEMA_META_STORAGE_VERSION));
}

static int bucket_hash(struct whole *w, struct slice name)
{
    struct bolt_bucket *bucket;
    int err = bolt_bucket_open(w->tx, NULL, BOLT_READ_SCAN, name, &bucket);
    if (err != 0) {
        return err;
    }
    w->crc = crc32c(w->crc, name.data, name.len);
    struct bolt_cursor c;
    struct bolt_item item;
    bolt_cursor_init(&c, w->tx, bucket, BOLT_READ_SCAN);
    err = bolt_cursor_first(&c, &item);
    while (err == 0) {
        if (!w->skips_volatile || !is_volatile(name, item.key)) {
            w->crc = crc32c(w->crc, item.key.data, item.key.len);
            w->crc = crc32c(w->crc, item.value.data, item.value.len);
        }
        w->pairs++;
        err = bolt_cursor_next(&c, &item);
    }
    bolt_cursor_release(&c);
    return err == ERR_END ? 0 : err;
}

static int whole_hash(struct whole *w)
{
    struct bolt_cursor c;
    struct bolt_item item;
    bolt_cursor_init(&c, w->tx, NULL, 0);
    int err = bolt_cursor_first(&c, &item);
    while (err == 0) {
        err = item.is_bucket ? bucket_hash(w, item.key) : ERR_CORRUPT;
        err = err != 0 ? err : bolt_cursor_next(&c, &item);
    }
    bolt_cursor_release(&c);
    return err == ERR_END ? 0 : err;
}

int mvcc_hash_all(struct bolt_tx *tx, uint32_t *out)
{
    struct whole w = {.tx = tx, .skips_volatile = true};
    int err = whole_hash(&w);
    if (err == 0) {
        *out = w.crc;
    }
    return err;
}

int mvcc_file_status(struct bolt_tx *tx, struct mvcc_file_status *out)
{
    struct whole w = {.tx = tx};
    int err = whole_hash(&w);
    if (err != 0) {
        return err;
    }
    struct mvcc_tx_source *src;
    err = mvcc_tx_source_open(tx, &src);
    if (err != 0) {
        return err;
    }
    struct mvcc_source records = mvcc_tx_source_of(src);
    struct keyindex x;
    keyindex_init(&x);
    int64_t last_main = 0;
    err = restore_records(&x, &records, &last_main);
    if (err == 0) {
        *out = (struct mvcc_file_status){w.crc, last_main, x.tree.live.count, w.pairs};
    }
    keyindex_deinit(&x);
    mvcc_tx_source_close(src);
    return err;
}
