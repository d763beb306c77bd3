/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/tx: begin, end, commit.
 *
 * Design      A read tx is a copy of the published meta and an entry among the readers.  A write tx
 *             keeps its changes in nodes until commit; commit builds all page runs first, which may
 *             fail without a trace, then writes (commit.c), which may not.
 * Invariants  X1 one write tx at a time.  X2 its runs are pending under its own txid, hence never
 *             reused by itself.
 */
#include "bolt/node.h"
#include "bolt/page.h"
#include "bolt/pager.h"

static struct bolt_tx *tx_create(struct bolt_db *db, bool is_writable)
{
    struct bolt_tx *tx = mem_zalloc(sizeof(*tx));
    tx->db = db;
    tx->is_writable = is_writable;
    ensure(pthread_mutex_init(&tx->mutex, NULL) == 0);
    list_init(&tx->buckets);
    list_init(&tx->nodes);
    arena_init(&tx->arena, is_writable ? 256 * 1024 : 0);
    return tx;
}

static void tx_destroy(struct bolt_tx *tx)
{
    LIST_FOREACH(&tx->nodes, n) {
        node_destroy(LIST_ENTRY(n, struct bolt_node, link));
    }
    LIST_FOREACH(&tx->buckets, n) {
        struct bolt_bucket *b = LIST_ENTRY(n, struct bolt_bucket, node);
        frame_unpin(b->inline_frame);
        mem_free(b);
    }
    for (size_t i = 0; i < tx->dirty.len; i++) {
        frame_unpin(tx->dirty.frames[i]);
    }
    mem_free(tx->dirty.frames);
    arena_deinit(&tx->arena);
    (void)pthread_mutex_destroy(&tx->mutex);
    mem_free(tx);
}

static void root_init(struct bolt_tx *tx)
{
    tx_bucket_init(tx, &tx->root);
    tx->root.root = tx->meta.root;
    tx->root.sequence = tx->meta.sequence;
}

/* db.mutex is held. */
static int begin_locked(struct bolt_tx *tx)
{
    struct bolt_db *db = tx->db;
    tx->meta = db->meta;
    if (!tx->is_writable) {
        freelist_reader_add(&db->freelist, tx->meta.txid);
        return 0;
    }
    if (db->failed != 0) {
        return db->failed;
    }
    if (db->has_writer) {
        return ERR_BUSY;
    }
    ensure(tx->meta.txid < UINT64_MAX);
    db->has_writer = true;
    tx->meta.txid++;
    tx->hwm_before = tx->meta.hwm;
    freelist_release(&db->freelist);
    return 0;
}

int bolt_tx_begin(struct bolt_db *db, bool is_writable, struct bolt_tx **out)
{
    if (is_writable && db->is_read_only) {
        return ERR_ACCESS;
    }
    struct bolt_tx *tx = tx_create(db, is_writable);
    (void)pthread_mutex_lock(&db->mutex);
    int err = begin_locked(tx);
    (void)pthread_mutex_unlock(&db->mutex);
    if (err != 0) {
        tx_destroy(tx);
        return err;
    }
    root_init(tx);
    *out = tx;
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
    ensure(size > 0);
    (void)pthread_mutex_lock(&tx->mutex);
    size_t len = strnlen(tx->error, sizeof(tx->error) - 1);
    len = len < size - 1 ? len : size - 1;
    memcpy(out, tx->error, len);
    out[len] = '\0';
    (void)pthread_mutex_unlock(&tx->mutex);
}

/* ---- pages of a write tx ---- */

int tx_allocate(struct bolt_tx *tx, uint64_t count, uint64_t *out_id)
{
    struct freelist *fl = &tx->db->freelist;
    ensure(tx->is_writable && count > 0);
    uint64_t id = freelist_allocate(fl, tx->meta.txid, count);
    if (id == 0) {
        if (count > UINT32_MAX || tx->meta.hwm > (INT64_MAX / tx->db->page_size) - count - 1) {
            return ERR_TOO_LARGE;
        }
        id = tx->meta.hwm;
        tx->meta.hwm += count;
        freelist_limit_set(fl, tx->meta.hwm);
        freelist_allocated(fl, tx->meta.txid, id, count);
    }
    ensure(id >= 2 && id + count <= tx->meta.hwm);
    *out_id = id;
    return 0;
}

int tx_free_run(struct bolt_tx *tx, uint64_t id, uint64_t count)
{
    ensure(tx->is_writable);
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

/* ---- end ---- */

/* db.mutex is held. */
static void writer_gone(struct bolt_db *db)
{
    ensure(db->has_writer);
    db->has_writer = false;
    db->free_pages_seen = db->freelist.free_count;
    db->pending_pages_seen = db->freelist.pending_count;
}

void bolt_tx_rollback(struct bolt_tx *tx)
{
    struct bolt_db *db = tx->db;
    (void)pthread_mutex_lock(&db->mutex);
    if (tx->is_writable) {
        freelist_rollback(&db->freelist, tx->meta.txid, tx->hwm_before);
        writer_gone(db);
    } else {
        freelist_reader_remove(&db->freelist, tx->meta.txid);
    }
    (void)pthread_mutex_unlock(&db->mutex);
    tx_destroy(tx);
}

/* All page runs of the next state, in memory.  May fail without a trace. */
static int build(struct bolt_tx *tx)
{
    struct bolt_db *db = tx->db;
    int err = bucket_commit(&tx->root);
    if (err == 0 && tx->meta.freelist != META_NO_FREELIST) {
        err = tx_free_run(tx, tx->meta.freelist, db->freelist_run_pages);
        tx->meta.freelist = META_NO_FREELIST;
    }
    if (err == 0) {
        tx->meta.root = tx->root.root;
        ensure(tx->meta.root >= 2 && tx->meta.root < tx->meta.hwm);
    }
    return err;
}

static void publish(struct bolt_tx *tx)
{
    struct bolt_db *db = tx->db;
    (void)pthread_mutex_lock(&db->mutex);
    ensure(tx->meta.txid == db->meta.txid + 1);
    db->meta = tx->meta;
    writer_gone(db);
    (void)pthread_mutex_unlock(&db->mutex);
}

int bolt_tx_commit(struct bolt_tx *tx)
{
    ensure(tx->is_writable);
    int err = build(tx);
    if (err == 0) {
        err = tx_write_out(tx);
    }
    if (err != 0) {
        bolt_tx_rollback(tx);
        return err;
    }
    publish(tx);
    tx_destroy(tx);
    return 0;
}
