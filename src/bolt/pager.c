/* SPDX-License-Identifier: Apache-2.0 */
#include "bolt/pager.h"

#include "bolt/page.h"

/* How the bytes of a page may come. */
enum wait { WAIT_FOR_DISK, DO_NOT_WAIT };

int pager_read_bytes(struct bolt_db *db, void *dst, size_t len, uint64_t off)
{
    size_t n = 0;
    int err = db->file->ops->read_at(db->file, dst, len, off, &n);
    if (err != 0) {
        return err;
    }
    ensure(n <= len);
    return n == len ? 0 : ERR_TRUNCATED;
}

static int read_bytes(struct bolt_db *db, enum wait wait, void *dst, size_t len, uint64_t off)
{
    if (wait == WAIT_FOR_DISK) {
        return pager_read_bytes(db, dst, len, off);
    }
    size_t n = 0;
    if (db->file->ops->read_now == NULL) {
        return ERR_COLD;
    }
    int err = db->file->ops->read_now(db->file, dst, len, off, &n);
    return err == 0 && n < len ? ERR_COLD : err;
}

static int frame_alloc(struct bolt_tx *tx, uint64_t id, uint64_t pages, struct bolt_frame **out)
{
    uint64_t page_size = tx->db->page_size;
    if (pages > (SIZE_MAX / 2) / page_size) {
        return ERR_NOMEM;
    }
    struct bolt_frame *f = frame_create(id, pages, (size_t)(pages * page_size));
    if (f == NULL) {
        return ERR_NOMEM;
    }
    *out = f;
    return 0;
}

/* The first page is read: validates the header, then reads the rest of the run behind it. */
static int read_rest(struct bolt_tx *tx, enum wait wait, struct bolt_frame *first, struct why *why,
                     struct bolt_frame **out)
{
    struct bolt_db *db = tx->db;
    int err = page_validate_header(first->data, first->id, tx->meta.hwm, why);
    if (err != 0) {
        return err;
    }
    uint64_t pages = (uint64_t)page_overflow(first->data) + 1;
    if (pages == 1) {
        *out = frame_pin(first);
        return 0;
    }
    struct bolt_frame *f = NULL;
    err = frame_alloc(tx, first->id, pages, &f);
    if (err != 0) {
        return err;
    }
    memcpy(f->data, first->data, first->len);
    err = read_bytes(db, wait, f->data + first->len, f->len - first->len,
                     first->id * db->page_size + first->len);
    if (err != 0) {
        frame_unpin(f);
        return err;
    }
    *out = f;
    return 0;
}

static int read_raw(struct bolt_tx *tx, enum wait wait, uint64_t id, struct why *why,
                    struct bolt_frame **out)
{
    struct bolt_db *db = tx->db;
    why->text[0] = '\0';
    if (id < 2 || id >= tx->meta.hwm) {
        return why_set(why, "out of bounds (%llu)", (unsigned long long)tx->meta.hwm);
    }
    struct bolt_frame *first = NULL;
    int err = frame_alloc(tx, id, 1, &first);
    if (err != 0) {
        return err;
    }
    err = read_bytes(db, wait, first->data, first->len, id * db->page_size);
    if (err == 0) {
        err = read_rest(tx, wait, first, why, out);
    }
    if (err == ERR_TRUNCATED) {
        err = why_set(why, "behind the end of the file");
    }
    frame_unpin(first);
    return err;
}

int pager_read_raw(struct bolt_tx *tx, uint64_t id, struct why *why, struct bolt_frame **out)
{
    return read_raw(tx, WAIT_FOR_DISK, id, why, out);
}

static int report_read(struct bolt_tx *tx, uint64_t id, int err, const struct why *why)
{
    if (err == ERR_CORRUPT) {
        return db_report_page(tx, id, why->text);
    }
    return db_report(tx->db, tx, err, "page %llu: %s", (unsigned long long)id, err_text(err));
}

static int read_valid(struct bolt_tx *tx, enum wait wait, uint64_t id, struct bolt_frame **out)
{
    struct why why;
    struct bolt_frame *f = NULL;
    int err = read_raw(tx, wait, id, &why, &f);
    if (err == ERR_COLD) {
        return err;
    }
    ensure(err != 0 || f != NULL);
    if (err == 0) {
        err = page_validate_elements(f->data, f->len, &why);
        if (err == 0) {
            err = page_validate_order(f->data, &why);
        }
        if (err != 0) {
            frame_unpin(f);
        }
    }
    if (err != 0) {
        return report_read(tx, id, err, &why);
    }
    *out = f;
    return 0;
}

static enum cache_use cache_use(enum wait wait, unsigned read_flags)
{
    if ((read_flags & BOLT_READ_SCAN) != 0) {
        return CACHE_SCAN;
    }
    return wait == DO_NOT_WAIT ? CACHE_KEEP : CACHE_KEEP_MORE;
}

int pager_pin(struct bolt_tx *tx, uint64_t id, unsigned read_flags, struct bolt_frame **out)
{
    struct bolt_db *db = tx->db;
    if (id < 2 || id >= tx->meta.hwm) {
        return db_report_page(tx, id, "referenced, but out of bounds");
    }
    struct bolt_frame *f = cache_pin(&db->cache, id);
    if (f == NULL) {
        enum wait wait = DO_NOT_WAIT;
        int err = read_valid(tx, wait, id, &f);
        if (err == ERR_COLD && (read_flags & BOLT_READ_CACHED) == 0) {
            wait = WAIT_FOR_DISK;
            err = read_valid(tx, wait, id, &f);
        }
        if (err != 0) {
            return err;
        }
        f = cache_insert(&db->cache, f, cache_use(wait, read_flags));
    }
    /* A newer, longer run under that number can be met only by a damaged tree. */
    if (f->page_count > tx->meta.hwm - id) {
        frame_unpin(f);
        return db_report_page(tx, id, "reaches beyond the high-water mark");
    }
    *out = f;
    return 0;
}
