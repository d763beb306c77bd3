/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/commit: the order of writes that makes a crash harmless at every point (B1-B4).
 *
 *   grow the file, fsync -> data pages, fdatasync -> frames to the cache -> meta page, fdatasync
 *
 * Failure     any error is final for the db: what the disk holds of the pages is unknown from then
 *             on, and a sync that failed once may succeed later without having written anything.
 * See         storage-formats.md 1.6, 8; test/unit/bolt/crash_test.c
 */
#include <stdlib.h>

#include "bolt/db.h"

enum { WRITE_PARTS_MAX = 256 };
#define GROW_SMALL_MIN ((uint64_t)32 << 10)
#define GROW_STEP ((uint64_t)16 << 20)

static int by_id(const void *a, const void *b)
{
    const struct bolt_frame *x = *(struct bolt_frame *const *)a;
    const struct bolt_frame *y = *(struct bolt_frame *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* A power of two up to 16 MiB, then 16 MiB more than needed. */
static uint64_t grown_size(uint64_t need)
{
    if (need > GROW_STEP) {
        return need + GROW_STEP;
    }
    uint64_t size = GROW_SMALL_MIN;
    while (size < need) {
        size *= 2;
    }
    return size;
}

static int grow(struct bolt_tx *tx)
{
    struct bolt_db *db = tx->db;
    uint64_t need = (tx->meta.hwm + 1) * db->page_size;
    if (tx->meta.hwm == tx->hwm_before || need <= db->file_bytes) {
        return 0;
    }
    uint64_t size = grown_size(need);
    int err = db->file->ops->truncate(db->file, size);
    if (err == 0 && !db->no_sync) {
        err = db->file->ops->sync(db->file);
    }
    if (err == 0) {
        (void)pthread_mutex_lock(&db->mutex);
        db->file_bytes = size;
        (void)pthread_mutex_unlock(&db->mutex);
    }
    return err;
}

/* Neighbours in the file go in one call. */
static int write_pages(struct bolt_tx *tx)
{
    struct bolt_db *db = tx->db;
    struct dirty_list *d = &tx->dirty;
    struct slice parts[WRITE_PARTS_MAX];
    if (d->len > 1) {
        qsort(d->frames, d->len, sizeof(struct bolt_frame *), by_id);
    }
    size_t i = 0;
    while (i < d->len) {
        uint64_t first = d->frames[i]->id;
        uint64_t next = first;
        size_t n = 0;
        while (i < d->len && n < WRITE_PARTS_MAX && d->frames[i]->id == next) {
            const struct bolt_frame *f = d->frames[i];
            ensure(f->id >= 2 && f->id + f->page_count <= tx->meta.hwm);
            ensure(i == 0 || d->frames[i - 1]->id + d->frames[i - 1]->page_count <= f->id);
            parts[n++] = slice_make(f->data, f->len);
            next = f->id + f->page_count;
            i++;
        }
        int err = db->file->ops->write_at(db->file, parts, n, first * db->page_size);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

static int sync_data(struct bolt_db *db)
{
    return db->no_sync ? 0 : db->file->ops->sync_data(db->file);
}

static void to_cache(struct bolt_tx *tx)
{
    struct dirty_list *d = &tx->dirty;
    for (size_t i = 0; i < d->len; i++) {
        cache_replace(&tx->db->cache, d->frames[i]);
    }
    d->len = 0;
}

static int write_meta(struct bolt_tx *tx)
{
    struct bolt_db *db = tx->db;
    uint64_t id = tx->meta.txid % 2;
    uint8_t *page = mem_zalloc(db->page_size);
    meta_encode(&tx->meta, id, page);
    struct slice part = slice_make(page, db->page_size);
    int err = db->file->ops->write_at(db->file, &part, 1, id * db->page_size);
    mem_free(page);
    return err;
}

int tx_write_out(struct bolt_tx *tx)
{
    struct bolt_db *db = tx->db;
    ensure(db->has_writer && db->failed == 0);
    const char *step = "growing the file";
    int err = grow(tx);
    if (err == 0) {
        step = "writing pages";
        err = write_pages(tx);
    }
    if (err == 0 && tx->dirty.len > 0) {
        step = "syncing pages";
        err = sync_data(db);
    }
    if (err == 0) {
        to_cache(tx);
        step = "writing the meta page";
        err = write_meta(tx);
    }
    if (err == 0) {
        step = "syncing the meta page";
        err = sync_data(db);
    }
    if (err != 0) {
        const char *detail = db->disk->ops->last_text(db->disk);
        err = db_report(db, tx, err, "%s failed: %s; no more is written to this file", step,
                        detail != NULL && detail[0] != '\0' ? detail : err_text(err));
        db_fail(db, err);
    }
    return err;
}
