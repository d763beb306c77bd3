/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/db: opening, creating and closing a file; numbers and error texts.
 */
#include "bolt/db.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "bolt/page.h"
#include "bolt/pager.h"
#include "bolt/walk.h"

enum {
    DB_FILE_MODE = 0600,
    PROBE_BYTES = 4096,
    PROBE_COUNT = 15, /* meta 1 is looked for at 1024 << i */
    NEW_FILE_PAGES = 4,
};

/* ---- errors ---- */

int db_report(struct bolt_db *db, struct bolt_tx *tx, int err, const char *fmt, ...)
{
    char text[BOLT_ERROR_TEXT_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)pthread_mutex_lock(&db->mutex);
    (void)snprintf(db->error, sizeof(db->error), "%.100s: %.200s", db->path, text);
    (void)pthread_mutex_unlock(&db->mutex);
    if (tx != NULL) {
        (void)pthread_mutex_lock(&tx->mutex);
        (void)snprintf(tx->error, sizeof(tx->error), "%.100s: %.200s", db->path, text);
        (void)pthread_mutex_unlock(&tx->mutex);
    }
    return err;
}

int db_report_page(struct bolt_tx *tx, uint64_t id, const char *what)
{
    return db_report(tx->db, tx, ERR_CORRUPT, "page %llu (offset %llu): %s", (unsigned long long)id,
                     (unsigned long long)id * tx->db->page_size, what);
}

void db_fail(struct bolt_db *db, int err)
{
    (void)pthread_mutex_lock(&db->mutex);
    if (db->failed == 0) {
        db->failed = err;
    }
    (void)pthread_mutex_unlock(&db->mutex);
}

void bolt_db_error(struct bolt_db *db, char *out, size_t size)
{
    (void)pthread_mutex_lock(&db->mutex);
    (void)snprintf(out, size, "%s", db->error);
    (void)pthread_mutex_unlock(&db->mutex);
}

int bolt_db_failed(struct bolt_db *db)
{
    (void)pthread_mutex_lock(&db->mutex);
    int err = db->failed;
    (void)pthread_mutex_unlock(&db->mutex);
    return err;
}

/* ---- a new file ---- */

/* storage-formats 1.2: two metas, an empty freelist, an empty leaf. */
static void new_file_build(uint8_t *pages, uint32_t page_size)
{
    for (uint64_t id = 0; id < 2; id++) {
        struct meta m = {
            .page_size = page_size, .root = 3, .freelist = 2, .hwm = NEW_FILE_PAGES, .txid = id};
        meta_encode(&m, id, pages + id * page_size);
    }
    page_header_put(pages + (size_t)2 * page_size, 2, PAGE_FREELIST, 0, 0);
    page_header_put(pages + (size_t)3 * page_size, 3, PAGE_LEAF, 0, 0);
}

static int write_new(struct bolt_db *db, const char *path, uint32_t page_size)
{
    struct env_file *f;
    unsigned flags = ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNC;
    int err = db->disk->ops->open(db->disk, path, flags, DB_FILE_MODE, &f);
    if (err != 0) {
        return err;
    }
    size_t len = (size_t)NEW_FILE_PAGES * page_size;
    uint8_t *pages = mem_zalloc(len);
    new_file_build(pages, page_size);
    struct slice all = slice_make(pages, len);
    err = f->ops->write_at(f, &all, 1, 0);
    if (err == 0 && !db->no_sync) {
        err = f->ops->sync(f);
    }
    mem_free(pages);
    f->ops->close(f);
    return err;
}

/* Under a name that start-up deletes, then renamed: never half a database (B6). */
static int create_file(struct bolt_db *db, uint32_t page_size)
{
    if (!meta_page_size_is_usable(page_size)) {
        return ERR_INVALID;
    }
    struct buf tmp = BUF_INIT;
    buf_printf(&tmp, "%s.tmp.new", db->path);
    int err = write_new(db, buf_cstr(&tmp), page_size);
    if (err == 0) {
        err = db->disk->ops->rename(db->disk, buf_cstr(&tmp), db->path);
    }
    if (err == 0 && !db->no_sync) {
        char *dir = env_path_dir(db->path);
        err = db->disk->ops->sync_dir(db->disk, dir);
        mem_free(dir);
    } else if (err != 0) {
        (void)db->disk->ops->unlink(db->disk, buf_cstr(&tmp));
    }
    buf_deinit(&tmp);
    return err;
}

/* ---- opening ---- */

static int open_file(struct bolt_db *db, const struct bolt_options *o)
{
    struct env_disk *d = db->disk;
    unsigned flags = ENV_OPEN_READ | (o->read_only ? 0u : (unsigned)ENV_OPEN_WRITE);
    uint32_t page_size = o->page_size == 0 ? BOLT_PAGE_SIZE_DEFAULT : o->page_size;
    bool can_create = o->create && !o->read_only;
    int err = d->ops->open(d, db->path, flags, DB_FILE_MODE, &db->file);
    if (err == 0) {
        err = db->file->ops->size(db->file, &db->file_bytes);
    }
    if (err == ERR_NOT_FOUND && can_create) {
        err = create_file(db, page_size);
    } else if (err == 0 && db->file_bytes == 0 && can_create) {
        db->file->ops->close(db->file);
        db->file = NULL;
        err = create_file(db, page_size);
    } else {
        return err;
    }
    if (err == 0) {
        err = d->ops->open(d, db->path, flags, DB_FILE_MODE, &db->file);
    }
    return err;
}

static int lock_file(struct bolt_db *db, const struct bolt_options *o)
{
    enum env_lock kind = o->read_only ? ENV_LOCK_FLOCK_SH : ENV_LOCK_FLOCK_EX;
    int err = db->file->ops->lock(db->file, kind);
    for (unsigned attempt = 1; err == ERR_LOCKED && o->on_lock_wait != NULL; attempt++) {
        int wait = o->on_lock_wait(o->on_lock_wait_arg, attempt);
        if (wait != 0) {
            return wait;
        }
        err = db->file->ops->lock(db->file, kind);
    }
    return err;
}

/* The page size that a valid meta names, looked for as bbolt does. */
static int find_page_size(struct bolt_db *db, uint32_t *out)
{
    uint8_t page[PROBE_BYTES];
    struct meta m;
    int first = ERR_TRUNCATED;
    for (unsigned i = 0; i <= PROBE_COUNT; i++) {
        uint64_t off = i == 0 ? 0 : UINT64_C(1024) << (i - 1);
        if (i > 0 && (db->file_bytes < 1024 || off >= db->file_bytes - 1024)) {
            break;
        }
        size_t n = 0;
        int err = db->file->ops->read_at(db->file, page, sizeof(page), off, &n);
        if (err != 0) {
            return err;
        }
        err = n >= META_PAGE_BYTES ? meta_decode(page, &m) : ERR_TRUNCATED;
        if (err == 0) {
            *out = m.page_size;
            return 0;
        }
        first = i == 0 ? err : first;
    }
    return first;
}

static int read_metas(struct bolt_db *db)
{
    uint8_t page[2][META_PAGE_BYTES];
    for (unsigned i = 0; i < 2; i++) {
        int err = pager_read_bytes(db, page[i], sizeof(page[i]), (uint64_t)i * db->page_size);
        if (err == ERR_TRUNCATED) {
            return db_report(db, NULL, ERR_CORRUPT, "file size too small %llu",
                             (unsigned long long)db->file_bytes);
        }
        if (err != 0) {
            return err;
        }
    }
    int err = meta_choose(page[0], page[1], &db->meta);
    if (err != 0) {
        return db_report(db, NULL, err, "both meta pages are bad: %s", meta_error_text(err));
    }
    struct why why;
    err = meta_validate(&db->meta, db->file_bytes, &why);
    if (err == 0 && db->meta.page_size != db->page_size) {
        err = why_set(&why, "the meta pages name different page sizes");
    }
    return err == 0 ? 0 : db_report(db, NULL, err, "%s", why.text);
}

static int find_state(struct bolt_db *db)
{
    int err = db->file->ops->size(db->file, &db->file_bytes);
    if (err != 0) {
        return err;
    }
    uint32_t page_size;
    err = find_page_size(db, &page_size);
    if (err == ERR_TRUNCATED) {
        return db_report(db, NULL, ERR_CORRUPT, "file size too small %llu",
                         (unsigned long long)db->file_bytes);
    }
    if (err != 0) {
        return db_report(db, NULL, err, "%s", meta_error_text(err));
    }
    if (!meta_page_size_is_usable(page_size)) {
        return db_report(db, NULL, ERR_CORRUPT, "page size %u is not usable", page_size);
    }
    db->page_size = page_size;
    return read_metas(db);
}

/* ---- the free set: all pages below hwm that no tree reaches ---- */

struct rebuild {
    struct bolt_tx *tx;
    struct bits used;
};

static int mark_run(void *arg, const struct bolt_frame *f)
{
    struct rebuild *r = arg;
    for (uint64_t id = f->id; id < f->id + f->page_count; id++) {
        if (bits_get(&r->used, id)) {
            return db_report_page(r->tx, id, "multiple references");
        }
        bits_set(&r->used, id);
    }
    return 0;
}

/* The stored list is not trusted, but its pages are left alone until a commit has replaced it. */
static int mark_freelist(struct rebuild *r)
{
    struct bolt_db *db = r->tx->db;
    struct why why;
    struct bolt_frame *f;
    if (db->meta.freelist == META_NO_FREELIST) {
        return 0;
    }
    int err = pager_read_raw(r->tx, db->meta.freelist, &why, &f);
    if (err == 0 && page_flags(f->data) != PAGE_FREELIST) {
        frame_unpin(f);
        err = why_set(&why, "is no freelist page");
    }
    if (err == ERR_CORRUPT) {
        return db_report_page(r->tx, db->meta.freelist, why.text);
    }
    if (err != 0) {
        return err;
    }
    err = mark_run(r, f);
    db->freelist_run_pages = f->page_count;
    frame_unpin(f);
    return err;
}

static int rebuild_freelist(struct bolt_db *db)
{
    struct bolt_tx *tx;
    int err = bolt_tx_begin(db, false, &tx);
    if (err != 0) {
        return err;
    }
    struct rebuild r = {.tx = tx};
    bits_reserve(&r.used, db->meta.hwm);
    err = walk_tree(tx, db->meta.root, mark_run, &r);
    if (err == 0) {
        err = mark_freelist(&r);
    }
    bolt_tx_rollback(tx);
    if (err == 0) {
        freelist_limit_set(&db->freelist, db->meta.hwm);
        for (uint64_t id = 2; id < db->meta.hwm; id++) {
            if (!bits_get(&r.used, id)) {
                freelist_add(&db->freelist, id);
            }
        }
        db->free_pages_seen = db->freelist.free_count;
    }
    bits_deinit(&r.used);
    return err;
}

static void db_free(struct bolt_db *db)
{
    if (db->file != NULL) {
        db->file->ops->close(db->file);
    }
    cache_deinit(&db->cache);
    freelist_deinit(&db->freelist);
    (void)pthread_mutex_destroy(&db->mutex);
    mem_free(db->path);
    mem_free(db);
}

static void tell_error(struct bolt_db *db, const struct bolt_options *o, int err)
{
    if (o->error_text == NULL || o->error_text_size == 0) {
        return;
    }
    if (db->error[0] != 0) {
        (void)snprintf(o->error_text, o->error_text_size, "%s", db->error);
    } else {
        (void)snprintf(o->error_text, o->error_text_size, "%s: %s", db->path, err_text(err));
    }
}

int bolt_db_open(const struct bolt_options *o, struct bolt_db **out)
{
    struct bolt_db *db = mem_zalloc(sizeof(*db));
    db->disk = o->disk;
    db->path = mem_strdup(o->path);
    db->is_read_only = o->read_only;
    db->no_sync = o->no_sync;
    cache_init(&db->cache, o->page_cache_bytes == 0 ? LIMIT_PAGE_CACHE_BYTES : o->page_cache_bytes);
    freelist_init(&db->freelist);
    ensure(pthread_mutex_init(&db->mutex, NULL) == 0);
    int err = open_file(db, o);
    if (err == 0) {
        err = lock_file(db, o);
    }
    if (err == 0) {
        err = find_state(db);
    }
    if (err == 0 && !db->is_read_only) {
        err = rebuild_freelist(db);
    }
    if (err != 0) {
        tell_error(db, o, err);
        db_free(db);
        return err;
    }
    *out = db;
    return 0;
}

void bolt_db_close(struct bolt_db *db)
{
    ensure(!db->has_writer && freelist_open_readers(&db->freelist) == 0);
    db_free(db);
}

/* ---- numbers ---- */

void bolt_db_numbers(struct bolt_db *db, struct bolt_numbers *out)
{
    *out = (struct bolt_numbers){.page_size = db->page_size};
    (void)pthread_mutex_lock(&db->mutex);
    out->txid = db->meta.txid;
    out->hwm = db->meta.hwm;
    out->free_pages = db->free_pages_seen;
    out->pending_pages = db->pending_pages_seen;
    out->file_bytes = db->file_bytes;
    out->open_readers = freelist_open_readers(&db->freelist);
    (void)pthread_mutex_unlock(&db->mutex);
    out->size_bytes = out->hwm * db->page_size;
    out->in_use_bytes = out->size_bytes - out->free_pages * db->page_size;
    cache_stats(&db->cache, &out->cache_bytes, &out->cache_hits, &out->cache_misses);
}

uint64_t bolt_db_size_bytes(struct bolt_db *db)
{
    (void)pthread_mutex_lock(&db->mutex);
    uint64_t hwm = db->meta.hwm;
    (void)pthread_mutex_unlock(&db->mutex);
    return hwm * db->page_size;
}

uint64_t bolt_db_in_use_bytes(struct bolt_db *db)
{
    struct bolt_numbers n;
    bolt_db_numbers(db, &n);
    return n.in_use_bytes;
}

uint32_t bolt_db_page_size(const struct bolt_db *db)
{
    return db->page_size;
}
