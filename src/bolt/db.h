/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/db: the insides of database, transaction and bucket, for the files of this folder.
 *
 * Thread      db.mutex guards: meta, freelist readers and release, has_writer, failed, error text,
 *             numbers.  The freelist's bits belong to the write tx while has_writer is true.
 *             tx.mutex guards the list of bucket handles and the error text of a read tx.
 */
#ifndef BOLT_DB_H
#define BOLT_DB_H

#include <pthread.h>

#include "base/arena.h"
#include "base/list.h"
#include "bolt/bolt.h"
#include "bolt/cache.h"
#include "bolt/freelist.h"
#include "bolt/meta.h"

struct bolt_db {
    struct env_disk *disk;
    char *path;
    struct env_file *file;
    bool is_read_only;
    bool no_sync;
    uint32_t page_size;
    uint64_t file_bytes; /* the writer's; readers of the number take the mutex */
    struct cache cache;

    pthread_mutex_t mutex;
    struct meta meta; /* published */
    struct freelist freelist;
    uint64_t free_pages_seen; /* freelist counts when no write tx was open, for the numbers */
    uint64_t pending_pages_seen;
    uint64_t freelist_run_pages; /* of the stored freelist, 0: none; freed by the first commit */
    bool has_writer;
    int failed;
    char error[BOLT_ERROR_TEXT_BYTES];
};

struct bolt_bucket {
    struct list_node node; /* tx.buckets */
    struct bolt_tx *tx;
    struct bolt_bucket *parent; /* NULL: this is the root */
    struct slice name;          /* owned, behind the struct */
    uint64_t root;              /* page in the file; 0: inline or not written yet */
    uint64_t sequence;
    const uint8_t *inline_page; /* validated; in inline_frame, or in memory of the write tx */
    struct bolt_frame *inline_frame;
    unsigned nest; /* 0: the root bucket */

    /* Write tx only. */
    struct bolt_node *root_node; /* rules over root and inline_page when there */
    unsigned fill_percent;
    uint64_t generation; /* changes so far: tells cursors */
    bool is_deleted;
};

struct dirty_list {
    struct bolt_frame **frames;
    size_t len;
    size_t cap;
};

struct bolt_tx {
    struct bolt_db *db;
    struct meta meta; /* read: the state shown.  write: grows towards the next one */
    bool is_writable;
    struct bolt_bucket root;
    pthread_mutex_t mutex;
    struct list buckets;
    char error[BOLT_ERROR_TEXT_BYTES];

    /* Write tx only. */
    struct arena arena;      /* keys, values, bucket headers */
    struct list nodes;       /* all of them, for freeing */
    struct dirty_list dirty; /* page runs to write */
    uint64_t hwm_before;
};

/* ---- db ---- */

/* Remembers text for bolt_db_error and bolt_tx_error (tx may be NULL); returns err. */
PRINTF_LIKE(4, 5)
int db_report(struct bolt_db *db, struct bolt_tx *tx, int err, const char *fmt, ...);
/* "page N (offset): what" with ERR_CORRUPT. */
int db_report_page(struct bolt_tx *tx, uint64_t id, const char *what);
void db_fail(struct bolt_db *db, int err);

/* ---- tx ---- */

void tx_bucket_init(struct bolt_tx *tx, struct bolt_bucket *b);
/* A run of count pages for the write tx: free ones, or hwm grows. */
MUST_USE int tx_allocate(struct bolt_tx *tx, uint64_t count, uint64_t *out_id);
/* The run is pending from now on. */
MUST_USE int tx_free_run(struct bolt_tx *tx, uint64_t id, uint64_t count);
void tx_dirty_add(struct bolt_tx *tx, struct bolt_frame *f);
/* commit.c: grow, write, sync, meta, sync; fails the db on any error. */
MUST_USE int tx_write_out(struct bolt_tx *tx);

#endif
