/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/copy: the file as one read tx sees it, while a writer goes on.
 *
 * Design      Pages 2 to hwm - 1 are copied as they lie on the disk: those the tx can reach do not
 *             change while it is open, the others may hold anything.  The meta pages are made: both
 *             show the same tree, with txid T and T - 1, so whichever the next commit replaces, the
 *             other is a valid state.
 * See         storage-formats.md 1.9
 */
#include "bolt/db.h"
#include "bolt/pager.h"

enum { COPY_CHUNK_BYTES = 64 * 1024 };

/* Meta page id from its byte `from` on; at most len bytes, returns how many. */
static size_t copy_meta(struct bolt_tx *tx, uint64_t id, size_t from, uint8_t *dst, size_t len)
{
    uint8_t page[META_PAGE_BYTES] = {0};
    struct meta m = tx->meta;
    m.txid -= id;
    meta_encode(&m, id, page);
    size_t n = tx->db->page_size - from;
    n = n < len ? n : len;
    size_t said = from < sizeof(page) ? sizeof(page) - from : 0;
    said = said < n ? said : n;
    if (said > 0) {
        memcpy(dst, page + from, said);
    }
    memset(dst + said, 0, n - said);
    return n;
}

int bolt_copy_read(struct bolt_tx *tx, uint64_t off, void *dst, size_t len)
{
    struct bolt_db *db = tx->db;
    uint64_t size = bolt_tx_size_bytes(tx);
    uint8_t *at = dst;
    if (tx->is_writable || off > size || len > size - off) {
        return ERR_INVALID;
    }
    while (len > 0 && off < (uint64_t)2 * db->page_size) {
        size_t n = copy_meta(tx, off / db->page_size, (size_t)(off % db->page_size), at, len);
        at += n;
        off += n;
        len -= n;
    }
    if (len == 0) {
        return 0;
    }
    int err = pager_read_bytes(db, at, len, off);
    return err == 0 ? 0 : db_report(db, tx, err, "offset %llu: %s", (unsigned long long)off,
                                    err_text(err));
}

int bolt_tx_write_to(struct bolt_tx *tx, int (*write)(void *arg, struct slice chunk), void *arg)
{
    uint64_t size = bolt_tx_size_bytes(tx);
    uint8_t *chunk = mem_alloc(COPY_CHUNK_BYTES);
    int err = 0;
    for (uint64_t off = 0; err == 0 && off < size;) {
        uint64_t left = size - off;
        size_t n = left < COPY_CHUNK_BYTES ? (size_t)left : COPY_CHUNK_BYTES;
        err = bolt_copy_read(tx, off, chunk, n);
        if (err == 0) {
            err = write(arg, slice_make(chunk, n));
        }
        off += n;
    }
    mem_free(chunk);
    return err;
}
