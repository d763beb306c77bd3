/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/bolt: the bbolt file format, read and write: one file, one writer, many readers.
 *
 * Problem     The file is a contract with etcd: it opens what we wrote and we open what it wrote.
 *             bbolt maps the file; a bad sector is then a signal, a growing file a remap under the
 *             readers, and the memory in use is nobody's number.
 * Design      Copy-on-write B+trees of pages.  A write transaction never changes a page that an
 *             older meta reaches: changed nodes go to free pages, then one of two meta pages is
 *             replaced.  Pages come through env_disk.read_at into a bounded cache of page runs
 *             (frames), each validated whole when it is loaded and never doubted later.  Freed
 * pages stay pending until no open read transaction can reach them.  The freelist is never stored
 * (etcd's marker); opening for writing walks all trees once, which also proves the structure before
 * anything is changed.
 *
 *                 bolt.h: db -> tx -> bucket -> cursor          check, copy, compact
 *                            |      \-> nodes (write tx only) -> spill, rebalance
 *                          freelist  \-> pager -> cache -> env_file
 *
 * Invariants  I1  a page reachable from a published meta is not written.
 *             I2  a page freed by tx X and allocated by tx A is reused only when no reader has a
 *                 txid in [A, X-1], and never by X itself.
 *             I3  data pages are durable before the meta is written.
 *             I4  a frame in the cache is a validated page run.
 *             I5  in what we write, a branch key equals the first key of its child, at every level.
 * Ownership   db and tx are created here and ended by close / commit / rollback.  Buckets belong to
 *             their tx and die with it.  Slices given in are copied (but for _put_ref).  Values
 *             read are borrowed: from bolt_bucket_get until bolt_value_release, from a cursor until
 *             it moves or is released.  A bolt_value may outlive its tx.
 * Thread      bolt_tx_begin, the end of a read tx and the numbers below: any thread.  A write tx:
 *             one thread.  A read tx may be used by several threads AT THE SAME TIME for
 *             bolt_bucket_open/get and cursors, each thread with its own bolt_cursor and bolt_value
 *             (state is on the caller's stack, bucket handles do not change); who ends it must know
 *             that nobody uses it any more.  So the main loop reads with BOLT_READ_CACHED, which
 *             never touches the disk, and hands the ERR_COLD ones to a work thread on the same tx.
 *             bolt_db_open and bolt_db_close: nothing else under way.
 * Limits      BOLT_* below; the cache holds page_cache_bytes, more only while pins force it to.
 * Failure     ERR_CORRUPT: the file is damaged; bolt_tx_error / bolt_db_error say which page and
 *             what.  ERR_IO while reading: the operation failed, the db goes on.  A failed write or
 *             sync is final: writing returns that error for ever, reading goes on.
 * See         storage-formats.md 1, docs/formats/bolt.md, test/unit/bolt.
 */
#ifndef BOLT_BOLT_H
#define BOLT_BOLT_H

#include "base/slice.h"
#include "env/env.h"

struct bolt_db;
struct bolt_tx;
struct bolt_bucket;
struct bolt_frame;
struct bolt_node;

enum {
    BOLT_KEY_BYTES_MAX = 32768,
    BOLT_DEPTH_MAX = 40, /* pages from a root to a leaf: every real branch has two children */
    BOLT_NEST_MAX = 16,  /* buckets in buckets; etcd has one level */
    BOLT_PAGE_SIZE_MIN = 1024,
    BOLT_PAGE_SIZE_MAX = 16 << 20,
    BOLT_PAGE_SIZE_DEFAULT = 4096,
    BOLT_FILL_DEFAULT = 50, /* percent of a page that a split fills */
    BOLT_FILL_APPEND = 90,  /* for keys that arrive in order: etcd's `key` bucket, compaction */
    BOLT_ERROR_TEXT_BYTES = 320,
};
#define BOLT_VALUE_BYTES_MAX 2147483646

/* ---- database ---------------------------------------------------------------------------------
 */

struct bolt_options {
    struct env_disk *disk;
    const char *path;
    bool read_only; /* shared lock; no walk at open */
    bool create;    /* a missing or empty file is made: temporary name, rename, directory sync */
    bool no_sync;   /* --unsafe-no-fsync */
    size_t page_cache_bytes; /* 0: LIMIT_PAGE_CACHE_BYTES */
    uint32_t page_size;      /* of a new file, 0: BOLT_PAGE_SIZE_DEFAULT */
    /* The file is locked by another process, attempt (from 1) failed: wait (etcd: 50 ms) and return
     * 0 to try again, or an error to give up with.  NULL: give up at once with ERR_LOCKED. */
    int (*on_lock_wait)(void *arg, unsigned attempt);
    void *on_lock_wait_arg;
    /* Filled when open fails: what is wrong with which page of which file.  May be NULL. */
    char *error_text;
    size_t error_text_size;
};

/* ERR_NOT_FOUND, ERR_LOCKED, ERR_CORRUPT, ERR_CHECKSUM, ERR_VERSION, ERR_IO ... */
MUST_USE int bolt_db_open(const struct bolt_options *opts, struct bolt_db **out);
/* No transaction may be open; bolt_values must have been released. */
void bolt_db_close(struct bolt_db *db);

struct bolt_numbers {
    uint32_t page_size;
    uint64_t txid;         /* last commit */
    uint64_t hwm;          /* pages, free ones included */
    uint64_t size_bytes;   /* hwm * page_size: etcd's dbSize */
    uint64_t in_use_bytes; /* size_bytes without free pages; pending ones count as in use */
    uint64_t free_pages;
    uint64_t pending_pages;
    uint64_t file_bytes;
    uint32_t open_readers;
    size_t cache_bytes;
    uint64_t cache_hits;
    uint64_t cache_misses;
};

void bolt_db_numbers(struct bolt_db *db, struct bolt_numbers *out);
uint64_t bolt_db_size_bytes(struct bolt_db *db);
uint64_t bolt_db_in_use_bytes(struct bolt_db *db);
uint32_t bolt_db_page_size(const struct bolt_db *db);
/* 0, or the error that ended writing. */
int bolt_db_failed(struct bolt_db *db);
/* The last damage or failure seen, "" if none: "path: page 7 (offset 28672): what". */
void bolt_db_error(struct bolt_db *db, char *out, size_t size);

/* ---- transactions -----------------------------------------------------------------------------
 */

/* ERR_BUSY when a write tx is open already. */
MUST_USE int bolt_tx_begin(struct bolt_db *db, bool is_writable, struct bolt_tx **out);
/* Writes everything (also when nothing changed: txid moves) and ends the tx, whatever it returns.
 * An error from reading (damage, I/O) leaves the file as it was before the tx. */
MUST_USE int bolt_tx_commit(struct bolt_tx *tx);
/* Ends a read tx, or a write tx without a trace. */
void bolt_tx_rollback(struct bolt_tx *tx);
uint64_t bolt_tx_id(const struct bolt_tx *tx);
/* hwm * page size of the state that the tx shows. */
uint64_t bolt_tx_size_bytes(const struct bolt_tx *tx);
/* As bolt_db_error, of this tx. */
void bolt_tx_error(struct bolt_tx *tx, char *out, size_t size);

/* ---- buckets ----------------------------------------------------------------------------------
 */

/* How pages are fetched; 0: from the cache or the disk. */
enum bolt_read_flag {
    BOLT_READ_CACHED = 1, /* ERR_COLD instead of waiting for the disk */
    BOLT_READ_SCAN = 2,   /* a long walk: pages read fill free room of the cache, evict nothing */
};

/* A value borrowed from a pinned frame; {0} holds nothing. */
struct bolt_value {
    struct slice value;
    struct bolt_frame *frame;
};

void bolt_value_release(struct bolt_value *v);

/* parent NULL: the root.  ERR_NOT_FOUND; ERR_INVALID when the key is no bucket; ERR_COLD. */
MUST_USE int bolt_bucket_open(struct bolt_tx *tx, struct bolt_bucket *parent, unsigned read_flags,
                              struct slice name, struct bolt_bucket **out);
/* ERR_EXISTS; ERR_INVALID when the key exists and is no bucket, or name is empty. */
MUST_USE int bolt_bucket_create(struct bolt_tx *tx, struct bolt_bucket *parent, struct slice name,
                                struct bolt_bucket **out);
MUST_USE int bolt_bucket_create_if_missing(struct bolt_tx *tx, struct bolt_bucket *parent,
                                           struct slice name, struct bolt_bucket **out);
/* With all buckets in it; handles to it may not be used any more. */
MUST_USE int bolt_bucket_delete(struct bolt_tx *tx, struct bolt_bucket *parent, struct slice name);

/* ERR_NOT_FOUND (also when the key is a bucket), ERR_COLD. */
MUST_USE int bolt_bucket_get(struct bolt_bucket *b, unsigned read_flags, struct slice key,
                             struct bolt_value *out);
/* The same of a read tx, looking first where the last key was: *near keeps that leaf.  It starts
 * empty, belongs to one bucket handle and one thread, and is released before the tx ends. */
MUST_USE int bolt_bucket_get_near(struct bolt_bucket *b, unsigned read_flags, struct slice key,
                                  struct bolt_value *near, struct bolt_value *out);
/* ERR_INVALID for an empty key or a key that is a bucket, ERR_TOO_LARGE. */
MUST_USE int bolt_bucket_put(struct bolt_bucket *b, struct slice key, struct slice value);
/* The same without a copy: key and value must live until the tx ends. */
MUST_USE int bolt_bucket_put_ref(struct bolt_bucket *b, struct slice key, struct slice value);
/* A missing key is fine. */
MUST_USE int bolt_bucket_delete_key(struct bolt_bucket *b, struct slice key);

/* Percent of a page that a split leaves in the left part, 10..100, until the tx ends. */
void bolt_bucket_fill_set(struct bolt_bucket *b, unsigned percent);
uint64_t bolt_bucket_sequence(const struct bolt_bucket *b);
MUST_USE int bolt_bucket_sequence_set(struct bolt_bucket *b, uint64_t sequence);

/* ---- cursors ----------------------------------------------------------------------------------
 */

struct bolt_item {
    struct slice key;
    struct slice value; /* empty for a bucket */
    bool is_bucket;
};

/* One page or node on the way down; index is the element taken. */
struct bolt_level {
    const uint8_t *page;
    struct bolt_frame *frame; /* pinned, or NULL: inline bucket or node */
    struct bolt_node *node;   /* write tx: in place of page */
    uint32_t index;
    struct slice limit; /* keys here are below it; empty: no limit */
};

/* Caller-owned, private inside.  init, then any of the moves, then release.  Moves return ERR_END
 * where there is nothing more.  After an error of next or prev (ERR_COLD) the cursor stands where
 * it stood: change the flags and try again.  In a write tx, changing the bucket while a cursor
 * stands in it is fine: it goes on behind its last key. */
struct bolt_cursor {
    struct bolt_tx *tx;
    struct bolt_bucket *bucket;
    unsigned read_flags;
    unsigned depth; /* levels in use; 0: not positioned */
    uint64_t generation;
    struct slice key; /* where it stands */
    struct bolt_level levels[BOLT_DEPTH_MAX];
};

/* bucket NULL: the root, whose items are the buckets. */
void bolt_cursor_init(struct bolt_cursor *c, struct bolt_tx *tx, struct bolt_bucket *bucket,
                      unsigned read_flags);
void bolt_cursor_release(struct bolt_cursor *c);
MUST_USE int bolt_cursor_first(struct bolt_cursor *c, struct bolt_item *out);
MUST_USE int bolt_cursor_last(struct bolt_cursor *c, struct bolt_item *out);
/* The first item with a key >= key. */
MUST_USE int bolt_cursor_seek(struct bolt_cursor *c, struct slice key, struct bolt_item *out);
MUST_USE int bolt_cursor_next(struct bolt_cursor *c, struct bolt_item *out);
MUST_USE int bolt_cursor_prev(struct bolt_cursor *c, struct bolt_item *out);
/* Holds the value of the item the cursor stands on beyond the cursor's next move. */
void bolt_cursor_value_pin(struct bolt_cursor *c, struct bolt_value *out);

/* ---- whole file -------------------------------------------------------------------------------
 */

/* What bbolt's Check finds, in its words; on_problem is called for each problem.  0: none;
 * ERR_CORRUPT: some; other errors: could not look.  Leaks ("unreachable unfreed") can be told only
 * of the newest state while no write tx is open, or when the file has a stored freelist. */
MUST_USE int bolt_check(struct bolt_tx *tx, void (*on_problem)(void *arg, const char *text),
                        void *arg);

/* The file as it is for this read tx, as `snapshot save` has it: bolt_tx_size_bytes long, meta 0
 * with its txid T, meta 1 with T-1.  Works while a writer commits.  off + len inside the size. */
MUST_USE int bolt_copy_read(struct bolt_tx *tx, uint64_t off, void *dst, size_t len);
/* Pushes it in chunks; a non-zero result of write ends it with that result. */
MUST_USE int bolt_tx_write_to(struct bolt_tx *tx, int (*write)(void *arg, struct slice chunk),
                              void *arg);

/* Copies every bucket in key order into dst (an empty db), leaves 90 % full, a commit every
 * pairs_per_commit pairs or BOLT_COMPACT_BYTES. */
#define BOLT_COMPACT_BYTES (16u << 20)
MUST_USE int bolt_compact_to(struct bolt_tx *src, struct bolt_db *dst, uint32_t pairs_per_commit);

#endif
