/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/commit: a write tx goes to the disk (storage-formats 1.6, steps 4 to 6).
 *
 * Order       grow + fsync, data pages, fdatasync, meta page, fdatasync.  The meta page that is
 *             replaced is never the one that rules.
 */
#include <stdlib.h>

#include "bolt/node.h"
#include "bolt/page.h"

enum { WRITE_PARTS_MAX = 256 };
#define GROW_STEP_BYTES (UINT64_C(16) << 20)
#define GROW_SMALL_BYTES (UINT64_C(32) << 10)

/* Small files double, large ones grow by steps, as bbolt's do. */
static uint64_t grown_size(uint64_t need)
{
    if (need > GROW_STEP_BYTES) {
        return need + GROW_STEP_BYTES;
    }
    uint64_t size = GROW_SMALL_BYTES;
    while (size < need) {
        size *= 2;
    }
    return size;
}

static int grow(struct bolt_tx *tx)
{
    struct bolt_db *db = tx->db;
    uint64_t need = (tx->meta.hwm + 1) * db->page_size;
    if (need <= db->file_bytes) {
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

static int by_id(const void *a, const void *b)
{
    const struct bolt_frame *const *fa = a;
    const struct bolt_frame *const *fb = b;
    return (*fa)->id < (*fb)->id ? -1 : (*fa)->id > (*fb)->id;
}

/* Neighbouring runs leave in one call. */
static int write_pages(struct bolt_tx *tx)
{
    struct bolt_db *db = tx->db;
    struct dirty_list *d = &tx->dirty;
    if (d->len > 1) {
        qsort(d->frames, d->len, sizeof(struct bolt_frame *), by_id);
    }
    struct slice parts[WRITE_PARTS_MAX];
    for (size_t i = 0; i < d->len;) {
        size_t n = 0;
        uint64_t first = d->frames[i]->id;
        uint64_t next = first;
        while (i < d->len && n < WRITE_PARTS_MAX && d->frames[i]->id == next) {
            parts[n++] = slice_make(d->frames[i]->data, d->frames[i]->len);
            next += d->frames[i]->page_count;
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

static int write_meta(struct bolt_tx *tx)
{
    struct bolt_db *db = tx->db;
    uint64_t id = tx->meta.txid % 2;
    uint8_t *page = mem_zalloc(db->page_size);
    meta_encode(&tx->meta, id, page);
    struct slice part = slice_make(page, db->page_size);
    int err = db->file->ops->write_at(db->file, &part, 1, id * db->page_size);
    mem_free(page);
    return err == 0 ? sync_data(db) : err;
}

/* The new contents, for readers of the state to come; older ones cannot reach these numbers. */
static void fill_cache(struct bolt_tx *tx)
{
    for (size_t i = 0; i < tx->dirty.len; i++) {
        cache_replace(&tx->db->cache, tx->dirty.frames[i]);
    }
    tx->dirty.len = 0;
}

int tx_write_out(struct bolt_tx *tx)
{
    struct bolt_db *db = tx->db;
    int err = grow(tx);
#ifdef CAIRN_MUTANT_META_FIRST /* test/crash proves that the order matters */
    err = err == 0 ? write_meta(tx) : err;
#endif
    if (err == 0) {
        err = write_pages(tx);
    }
    if (err == 0) {
        err = sync_data(db);
    }
#ifndef CAIRN_MUTANT_META_FIRST
    if (err == 0) {
        err = write_meta(tx);
    }
#endif
    if (err != 0) {
        return db_report(db, tx, err, "writing transaction %llu: %s",
                         (unsigned long long)tx->meta.txid, err_text(err));
    }
    fill_cache(tx);
    return 0;
}
