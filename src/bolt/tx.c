/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/tx: life of transactions, and the pages that a write tx takes and gives back.
 */
#include <stdio.h>

#include "bolt/node.h"
#include "bolt/page.h"

static struct bolt_tx *tx_create(struct bolt_db *db, bool is_writable)
{
    struct bolt_tx *tx = mem_zalloc(sizeof(*tx));
    tx->db = db;
    tx->is_writable = is_writable;
    ensure(pthread_mutex_init(&tx->mutex, NULL) == 0);
    list_init(&tx->buckets);
    list_init(&tx->nodes);
    arena_init(&tx->arena, 0);
    return tx;
}

/* The db's mutex is held. */
static int begin_write(struct bolt_db *db, struct bolt_tx *tx)
{
    if (db->is_read_only) {
        return ERR_ACCESS;
    }
    if (db->failed != 0) {
        return db->failed;
    }
    if (db->has_writer) {
        return ERR_BUSY;
    }
    db->has_writer = true;
    freelist_release(&db->freelist);
    tx->meta = db->meta;
    tx->meta.txid++;
    tx->hwm_before = db->meta.hwm;
    return 0;
}

int bolt_tx_begin(struct bolt_db *db, bool is_writable, struct bolt_tx **out)
{
    struct bolt_tx *tx = tx_create(db, is_writable);
    int err = 0;
    (void)pthread_mutex_lock(&db->mutex);
    if (is_writable) {
        err = begin_write(db, tx);
    } else {
        tx->meta = db->meta;
        freelist_reader_add(&db->freelist, tx->meta.txid);
    }
    (void)pthread_mutex_unlock(&db->mutex);
    if (err != 0) {
        (void)pthread_mutex_destroy(&tx->mutex);
        mem_free(tx);
        return err;
    }
    tx_bucket_init(tx, &tx->root);
    tx->root.root = tx->meta.root;
    tx->root.sequence = tx->meta.sequence;
    *out = tx;
    return 0;
}

static void tx_free(struct bolt_tx *tx)
{
    LIST_FOREACH (&tx->buckets, n) {
        struct bolt_bucket *b = LIST_ENTRY(n, struct bolt_bucket, node);
        list_remove(n);
        frame_unpin(b->inline_frame);
        mem_free(b);
    }
    LIST_FOREACH (&tx->nodes, n) {
        node_destroy(LIST_ENTRY(n, struct bolt_node, link));
    }
    for (size_t i = 0; i < tx->dirty.len; i++) {
        frame_unpin(tx->dirty.frames[i]);
    }
    mem_free(tx->dirty.frames);
    arena_deinit(&tx->arena);
    (void)pthread_mutex_destroy(&tx->mutex);
    mem_free(tx);
}

void bolt_tx_rollback(struct bolt_tx *tx)
{
    struct bolt_db *db = tx->db;
    (void)pthread_mutex_lock(&db->mutex);
    if (tx->is_writable) {
        freelist_rollback(&db->freelist, tx->meta.txid, tx->hwm_before);
        db->has_writer = false;
    } else {
        freelist_reader_remove(&db->freelist, tx->meta.txid);
    }
    (void)pthread_mutex_unlock(&db->mutex);
    tx_free(tx);
}

static void publish(struct bolt_tx *tx)
{
    struct bolt_db *db = tx->db;
    (void)pthread_mutex_lock(&db->mutex);
    db->meta = tx->meta;
    db->free_pages_seen = db->freelist.free_count;
    db->pending_pages_seen = db->freelist.pending_count;
    db->freelist_run_pages = 0;
    db->has_writer = false;
    (void)pthread_mutex_unlock(&db->mutex);
}

int bolt_tx_commit(struct bolt_tx *tx)
{
    ensure(tx->is_writable);
    struct bolt_db *db = tx->db;
    int err = bucket_commit(&tx->root);
    if (err == 0 && tx->meta.freelist != META_NO_FREELIST) {
        err = tx_free_run(tx, tx->meta.freelist, db->freelist_run_pages);
        tx->meta.freelist = META_NO_FREELIST;
    }
    if (err != 0) {
        bolt_tx_rollback(tx); /* nothing was written */
        return err;
    }
    tx->meta.root = tx->root.root;
    err = tx_write_out(tx);
    if (err != 0) {
        /* What is on the disk now is not known: no write is ever tried again. */
        db_fail(db, err);
        bolt_tx_rollback(tx);
        return err;
    }
    publish(tx);
    tx_free(tx);
    return 0;
}

uint64_t bolt_tx_id(const struct bolt_tx *tx)
{
    return tx->meta.txid;
}

uint64_t bolt_tx_size_bytes(const struct bolt_tx *tx)
{
    return tx->meta.hwm * tx->db->page_size;
}

void bolt_tx_error(struct bolt_tx *tx, char *out, size_t size)
{
    (void)pthread_mutex_lock(&tx->mutex);
    (void)snprintf(out, size, "%s", tx->error);
    (void)pthread_mutex_unlock(&tx->mutex);
}

/* ---- pages ---- */

int tx_allocate(struct bolt_tx *tx, uint64_t count, uint64_t *out_id)
{
    struct freelist *fl = &tx->db->freelist;
    uint64_t id = freelist_allocate(fl, tx->meta.txid, count);
    if (id == 0) {
        id = tx->meta.hwm;
        if (count > UINT64_MAX / tx->db->page_size - id) {
            return ERR_TOO_LARGE;
        }
        tx->meta.hwm += count;
        freelist_limit_set(fl, tx->meta.hwm);
        freelist_allocated(fl, tx->meta.txid, id, count);
    }
    *out_id = id;
    return 0;
}

int tx_free_run(struct bolt_tx *tx, uint64_t id, uint64_t count)
{
    int err = freelist_free(&tx->db->freelist, tx->meta.txid, id, count);
    return err == 0 ? 0 : db_report_page(tx, id, "already freed");
}

void tx_dirty_add(struct bolt_tx *tx, struct bolt_frame *f)
{
    struct dirty_list *d = &tx->dirty;
    if (d->len == d->cap) {
        d->cap = d->cap == 0 ? 64 : d->cap * 2;
        d->frames = mem_realloc(d->frames, d->cap * sizeof(struct bolt_frame *));
    }
    d->frames[d->len++] = f;
}
