/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/db: opening, creating, closing; numbers and the last error.
 *
 * Design      A new file is made whole under a temporary name and renamed (B6).  Opening finds the
 *             page size (meta 0, else a probe), chooses the meta, and for writing walks every tree:
 *             what is not reached is free.  A stored freelist is therefore not needed; its run is
 *             kept until our first commit, as the meta of that state names it.
 */
#include "bolt/db.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "bolt/page.h"
#include "bolt/pager.h"
#include "bolt/walk.h"

enum {
    FILE_MODE = 0600,
    PROBE_BYTES = 4096,
    PROBE_FIRST = 1024,
    PROBE_COUNT = 15, /* page sizes 1 KiB .. 16 MiB */
    NEW_FILE_PAGES = 4,
    PATH_TAIL_BYTES = 120,
    REPORT_BYTES = BOLT_ERROR_TEXT_BYTES - PATH_TAIL_BYTES - 2,
};

/* ---- errors ---- */

int db_report(struct bolt_db *db, struct bolt_tx *tx, int err, const char *fmt, ...)
{
    char text[BOLT_ERROR_TEXT_BYTES];
    char what[REPORT_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    /* A path longer than the text loses its front, not the reason. */
    size_t len = strlen(db->path);
    const char *path = len > PATH_TAIL_BYTES ? db->path + (len - PATH_TAIL_BYTES) : db->path;
    memset(text, 0, sizeof(text));
    (void)snprintf(text, sizeof(text), "%.*s: %s", PATH_TAIL_BYTES, path, what);
    (void)pthread_mutex_lock(&db->mutex);
    memcpy(db->error, text, sizeof(text));
    (void)pthread_mutex_unlock(&db->mutex);
    if (tx != NULL) {
        (void)pthread_mutex_lock(&tx->mutex);
        memcpy(tx->error, text, sizeof(text));
        (void)pthread_mutex_unlock(&tx->mutex);
    }
    return err;
}

int db_report_page(struct bolt_tx *tx, uint64_t id, const char *what)
{
    return db_report(tx->db, tx, ERR_CORRUPT, "page %llu (offset %llu): %s",
                     (unsigned long long)id, (unsigned long long)(id * tx->db->page_size), what);
}

void db_fail(struct bolt_db *db, int err)
{
    ensure(err != 0);
    (void)pthread_mutex_lock(&db->mutex);
    if (db->failed == 0) {
        db->failed = err;
    }
    (void)pthread_mutex_unlock(&db->mutex);
}

int bolt_db_failed(struct bolt_db *db)
{
    (void)pthread_mutex_lock(&db->mutex);
    int err = db->failed;
    (void)pthread_mutex_unlock(&db->mutex);
    return err;
}

void bolt_db_error(struct bolt_db *db, char *out, size_t size)
{
    ensure(size > 0);
    (void)pthread_mutex_lock(&db->mutex);
    size_t len = strnlen(db->error, sizeof(db->error) - 1);
    len = len < size - 1 ? len : size - 1;
    memcpy(out, db->error, len);
    out[len] = '\0';
    (void)pthread_mutex_unlock(&db->mutex);
}

/* ---- a new file ---- */

static uint8_t *new_file_bytes(uint32_t page_size)
{
    uint8_t *bytes = mem_zalloc((size_t)page_size * NEW_FILE_PAGES);
    for (uint64_t id = 0; id < 2; id++) {
        struct meta m = {.page_size = page_size,
                         .root = 3,
                         .freelist = 2,
                         .hwm = NEW_FILE_PAGES,
                         .txid = id};
        meta_encode(&m, id, bytes + id * page_size);
    }
    page_header_put(bytes + (size_t)2 * page_size, 2, PAGE_FREELIST, 0, 0);
    page_header_put(bytes + (size_t)3 * page_size, 3, PAGE_LEAF, 0, 0);
    return bytes;
}

static int write_new_file(struct env_disk *d, const char *path, uint32_t page_size)
{
    struct env_file *f;
    int err = d->ops->open(d, path,
                           ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNC,
                           FILE_MODE, &f);
    if (err != 0) {
        return err;
    }
    uint8_t *bytes = new_file_bytes(page_size);
    struct slice part = slice_make(bytes, (size_t)page_size * NEW_FILE_PAGES);
    err = f->ops->write_at(f, &part, 1, 0);
    if (err == 0) {
        err = f->ops->sync(f);
    }
    f->ops->close(f);
    mem_free(bytes);
    return err;
}

static int create_file(const struct bolt_options *o)
{
    struct env_disk *d = o->disk;
    uint32_t page_size = o->page_size != 0 ? o->page_size : BOLT_PAGE_SIZE_DEFAULT;
    if (page_size < BOLT_PAGE_SIZE_MIN || page_size > BOLT_PAGE_SIZE_MAX ||
        (page_size & (page_size - 1)) != 0) {
        return ERR_INVALID;
    }
    /* A name that etcd deletes at its start if it is left behind. */
    struct buf tmp = BUF_INIT;
    buf_printf(&tmp, "%s.tmp.new", o->path);
    int err = write_new_file(d, buf_cstr(&tmp), page_size);
    if (err == 0) {
        err = d->ops->rename(d, buf_cstr(&tmp), o->path);
    }
    if (err == 0) {
        char *dir = env_path_dir(o->path);
        err = d->ops->sync_dir(d, dir);
        mem_free(dir);
    } else {
        (void)d->ops->unlink(d, buf_cstr(&tmp));
    }
    buf_deinit(&tmp);
    return err;
}

/* ---- opening ---- */

static int open_file(const struct bolt_options *o, struct env_file **out)
{
    struct env_disk *d = o->disk;
    unsigned flags = o->read_only ? ENV_OPEN_READ : ENV_OPEN_READ | ENV_OPEN_WRITE;
    struct env_stat st;
    int err = d->ops->stat(d, o->path, &st);
    bool is_missing = err == ERR_NOT_FOUND || (err == 0 && !st.is_dir && st.size == 0);
    if (is_missing && o->create && !o->read_only) {
        err = create_file(o);
    }
    return err != 0 ? err : d->ops->open(d, o->path, flags, 0, out);
}

static int lock_file(const struct bolt_options *o, struct env_file *f)
{
    enum env_lock kind = o->read_only ? ENV_LOCK_FLOCK_SH : ENV_LOCK_FLOCK_EX;
    for (unsigned attempt = 1;; attempt++) {
        int err = f->ops->lock(f, kind);
        if (err != ERR_LOCKED || o->on_lock_wait == NULL) {
            return err;
        }
        err = o->on_lock_wait(o->on_lock_wait_arg, attempt);
        if (err != 0) {
            return err;
        }
    }
}

/* Reads a meta at off; *out_err is that of the meta, the result that of the disk. */
static int probe(struct bolt_db *db, uint64_t off, struct meta *out, int *out_err)
{
    uint8_t bytes[PROBE_BYTES] = {0};
    size_t n = 0;
    int err = db->file->ops->read_at(db->file, bytes, sizeof(bytes), off, &n);
    if (err == 0) {
        *out_err = n >= META_PAGE_BYTES ? meta_decode(bytes, out) : ERR_TRUNCATED;
    }
    return err;
}

static int find_page_size(struct bolt_db *db, uint32_t *out)
{
    struct meta m;
    int first_err = 0;
    int err = probe(db, 0, &m, &first_err);
    if (err != 0) {
        return err;
    }
    int meta_err = first_err;
    for (unsigned i = 0; meta_err != 0 && i < PROBE_COUNT; i++) {
        uint64_t off = (uint64_t)PROBE_FIRST << i;
        if (db->file_bytes < PROBE_FIRST || off >= db->file_bytes - PROBE_FIRST) {
            break;
        }
        err = probe(db, off, &m, &meta_err);
        if (err != 0) {
            return err;
        }
    }
    if (meta_err != 0) {
        return db_report(db, NULL, first_err == ERR_TRUNCATED ? ERR_CORRUPT : first_err, "%s",
                         meta_error_text(first_err));
    }
    *out = m.page_size;
    return 0;
}

static int load_meta(struct bolt_db *db)
{
    if (db->file_bytes < 2 * BOLT_PAGE_SIZE_MIN) {
        return db_report(db, NULL, ERR_CORRUPT, "file size too small %llu",
                         (unsigned long long)db->file_bytes);
    }
    int err = find_page_size(db, &db->page_size);
    if (err != 0) {
        return err;
    }
    struct why why;
    struct meta shape = {.page_size = db->page_size, .root = 2, .hwm = 3,
                         .freelist = META_NO_FREELIST};
    if (meta_validate(&shape, UINT64_MAX, &why) != 0) {
        return db_report(db, NULL, ERR_CORRUPT, "%s", why.text);
    }
    if (db->file_bytes < (uint64_t)db->page_size * 2) {
        return db_report(db, NULL, ERR_CORRUPT, "file size too small %llu",
                         (unsigned long long)db->file_bytes);
    }
    uint8_t pages[2][META_PAGE_BYTES];
    for (uint64_t id = 0; err == 0 && id < 2; id++) {
        err = pager_read_bytes(db, pages[id], META_PAGE_BYTES, id * db->page_size);
    }
    if (err != 0) {
        return db_report(db, NULL, err, "meta pages: %s", err_text(err));
    }
    err = meta_choose(pages[0], pages[1], &db->meta);
    if (err != 0) {
        return db_report(db, NULL, err, "%s", meta_error_text(err));
    }
    if (db->meta.page_size != db->page_size) {
        return db_report(db, NULL, ERR_CORRUPT, "the meta pages differ in page size");
    }
    err = meta_validate(&db->meta, db->file_bytes, &why);
    return err == 0 ? 0 : db_report(db, NULL, err, "meta: %s", why.text);
}

/* ---- what is free ---- */

struct reach {
    struct bolt_tx *tx;
    struct bits seen;
};

static int reach_run(struct reach *r, uint64_t id, uint64_t count)
{
    for (uint64_t i = id; i < id + count; i++) {
        if (bits_get(&r->seen, i)) {
            return db_report_page(r->tx, i, "multiple references");
        }
        bits_set(&r->seen, i);
    }
    return 0;
}

static int on_run(void *arg, const struct bolt_frame *frame)
{
    return reach_run(arg, frame->id, frame->page_count);
}

static int reach_freelist(struct reach *r)
{
    struct bolt_db *db = r->tx->db;
    uint64_t id = r->tx->meta.freelist;
    if (id == META_NO_FREELIST) {
        return 0;
    }
    uint8_t head[PAGE_HEADER_BYTES];
    int err = pager_read_bytes(db, head, sizeof(head), id * db->page_size);
    if (err != 0) {
        return db_report(db, r->tx, err, "freelist page %llu: %s", (unsigned long long)id,
                         err_text(err));
    }
    struct why why;
    err = page_validate_header(head, id, r->tx->meta.hwm, &why);
    if (err == 0 && page_flags(head) != PAGE_FREELIST) {
        err = why_set(&why, "no freelist page, flags 0x%x", page_flags(head));
    }
    if (err != 0) {
        return db_report_page(r->tx, id, why.text);
    }
    db->freelist_run_pages = (uint64_t)page_overflow(head) + 1;
    return reach_run(r, id, db->freelist_run_pages);
}

static int load_free_pages(struct bolt_db *db)
{
    struct reach r = {0};
    int err = bolt_tx_begin(db, false, &r.tx);
    if (err != 0) {
        return err;
    }
    uint64_t hwm = r.tx->meta.hwm;
    bits_reserve(&r.seen, hwm);
    err = walk_tree(r.tx, r.tx->meta.root, true, on_run, &r);
    if (err == 0) {
        err = reach_freelist(&r);
    }
    bolt_tx_rollback(r.tx);
    if (err == 0) {
        freelist_limit_set(&db->freelist, hwm);
        for (uint64_t i = bits_next_clear(&r.seen, 2, hwm); i < hwm;
             i = bits_next_clear(&r.seen, i + 1, hwm)) {
            freelist_add(&db->freelist, i);
        }
        db->free_pages_seen = db->freelist.free_count;
    }
    bits_deinit(&r.seen);
    return err;
}

/* ---- life ---- */

static struct bolt_db *db_create(const struct bolt_options *o)
{
    struct bolt_db *db = mem_zalloc(sizeof(*db));
    db->disk = o->disk;
    db->path = mem_strdup(o->path);
    db->is_read_only = o->read_only;
    db->no_sync = o->no_sync;
    ensure(pthread_mutex_init(&db->mutex, NULL) == 0);
    cache_init(&db->cache, o->page_cache_bytes != 0 ? o->page_cache_bytes : LIMIT_PAGE_CACHE_BYTES);
    freelist_init(&db->freelist);
    return db;
}

static void db_destroy(struct bolt_db *db)
{
    ensure(!db->has_writer);
    ensure(freelist_open_readers(&db->freelist) == 0);
    if (db->file != NULL) {
        db->file->ops->close(db->file);
    }
    cache_deinit(&db->cache);
    freelist_deinit(&db->freelist);
    (void)pthread_mutex_destroy(&db->mutex);
    mem_free(db->path);
    mem_free(db);
}

static int open_steps(struct bolt_db *db, const struct bolt_options *o)
{
    const char *step = "open";
    int err = open_file(o, &db->file);
    if (err == 0) {
        step = "lock";
        err = lock_file(o, db->file);
    }
    if (err == 0) {
        step = "size";
        err = db->file->ops->size(db->file, &db->file_bytes);
    }
    if (err != 0) {
        const char *detail = o->disk->ops->last_text(o->disk);
        return db_report(db, NULL, err, "%s: %s", step,
                         detail != NULL && detail[0] != '\0' ? detail : err_text(err));
    }
    err = load_meta(db);
    if (err == 0 && !db->is_read_only) {
        err = load_free_pages(db);
    }
    return err;
}

int bolt_db_open(const struct bolt_options *opts, struct bolt_db **out)
{
    struct bolt_db *db = db_create(opts);
    int err = open_steps(db, opts);
    if (err != 0) {
        if (opts->error_text != NULL && opts->error_text_size > 0) {
            bolt_db_error(db, opts->error_text, opts->error_text_size);
        }
        db_destroy(db);
        return err;
    }
    *out = db;
    return 0;
}

void bolt_db_close(struct bolt_db *db)
{
    if (db != NULL) {
        db_destroy(db);
    }
}

/* ---- numbers ---- */

void bolt_db_numbers(struct bolt_db *db, struct bolt_numbers *out)
{
    struct bolt_numbers n = {.page_size = db->page_size};
    (void)pthread_mutex_lock(&db->mutex);
    n.txid = db->meta.txid;
    n.hwm = db->meta.hwm;
    n.free_pages = db->free_pages_seen;
    n.pending_pages = db->pending_pages_seen;
    n.file_bytes = db->file_bytes;
    n.open_readers = freelist_open_readers(&db->freelist);
    (void)pthread_mutex_unlock(&db->mutex);
    n.size_bytes = n.hwm * db->page_size;
    n.in_use_bytes = (n.hwm - n.free_pages) * db->page_size;
    cache_stats(&db->cache, &n.cache_bytes, &n.cache_hits, &n.cache_misses);
    *out = n;
}

uint64_t bolt_db_size_bytes(struct bolt_db *db)
{
    struct bolt_numbers n;
    bolt_db_numbers(db, &n);
    return n.size_bytes;
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
