/* SPDX-License-Identifier: Apache-2.0
 *
 * backend/backend: what is applied becomes what is in the file: segments, batches, views.
 *
 * Problem     Applying must not wait for the file, readers must not wait for writers, and the file
 *             must never hold the effect of an entry that the own log could still lose.
 * Design      The *tail* is what is applied but not yet in the file.  Every core step seals one
 *             immutable segment: records of the `key` bucket in revision order (each already the
 *             stored bytes), operations on the other buckets, and the raft index that it reaches. A
 *             batch is a run of sealed segments; the backend thread writes it in one bolt
 *             transaction together with consistent_index and term (hook on_batch).  When it is
 *             durable, the main loop drops those segments and pins a new read transaction.
 *             A view is a pinned bolt read transaction, counted; views cross threads, segments do
 *             not: a work thread reads the file only, so who needs a whole state (hash, snapshot)
 *             seals, waits for the commit, then takes the view.
 *
 *                 main loop:  append ... seal | append ... seal |      take -> batch
 *                 backend:                                              bolt tx, 2 syncs
 *                 main loop:                                            done: tail shrinks, new
 * view
 *
 * Invariants  I1  a batch holds no segment above the durable WAL index given to take (asserted).
 *             I2  one batch is being committed at a time; its segments stay readable until done.
 *             I3  all effects of one entry are in one segment; index is in the same transaction.
 * Ownership   Records and values are copied in; slices handed out by record_get live until
 *             backend_record_release (view) or the next backend_batch_done (tail): a caller that
 *             keeps bytes over a turn of the loop copies them.
 * Thread      main loop, but for backend_batch_commit (backend lane) and the view reads (any).
 * Limits      LIMIT_TAIL_BYTES, LIMIT_TAIL_BATCHES, LIMIT_BATCH_OPS, LIMIT_BATCH_INTERVAL_MS.
 * Failure     A failed commit is final: the member stops.  ERR_COLD: the page is not in the cache,
 *             read it on a work thread with backend_view_record_get.
 * See         design.md 5; storage-formats 1, 2.
 */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include "bolt/bolt.h"
#include "env/env.h"

enum { BACKEND_REV_BYTES = 17, BACKEND_TOMBSTONE_BYTES = 18 };
enum { BACKEND_BUCKETS_MAX = 16, BACKEND_BUCKET_KEY = 0 };

/* Key in the `key` bucket: 8 bytes BE main, '_', 8 bytes BE sub, 't' for a tombstone. */
struct backend_rev {
    int64_t main;
    int64_t sub;
    bool is_tombstone;
};

/* Number of bytes written: 17 or 18. */
size_t backend_rev_encode(struct backend_rev rev, uint8_t out[BACKEND_TOMBSTONE_BYTES]);
MUST_USE int backend_rev_decode(struct slice key, struct backend_rev *out);

struct backend;
struct backend_batch;
struct backend_view;

struct backend_options {
    struct env_disk *disk;
    const char *path; /* the bolt file; created when missing */
    /* Bucket ids are indexes into this; [BACKEND_BUCKET_KEY] is the record bucket. */
    const char *const *bucket_names;
    size_t bucket_count;
    size_t page_cache_bytes;
    uint64_t batch_interval_ms;
    uint32_t batch_ops;
    bool no_sync; /* --unsafe-no-fsync */
    /* As bolt_options. */
    int (*on_lock_wait)(void *arg, unsigned attempt);
    void *on_lock_wait_arg;
    char *error_text;
    size_t error_text_size;
    /* Called on the main loop when a batch is taken: adds the operations that must be in every
     * commit (consistent_index, term, confState) with backend_batch_put. */
    void (*on_batch)(void *arg, struct backend_batch *batch, uint64_t index, uint64_t term);
    void *on_batch_arg;
};

MUST_USE int backend_open(const struct backend_options *opts, struct backend **out);
/* Waits for nothing: no batch may be under way.  What is not committed is dropped (it is in the
 * WAL); take and commit a last batch before to avoid replay. */
void backend_close(struct backend *b);

/* ---- changes (into the open segment) ---- */

/* A record of len bytes at rev, to be filled by the caller at once; rev above all earlier ones. */
uint8_t *backend_record_add(struct backend *b, struct backend_rev rev, size_t len);
/* Physical removal by compaction. */
void backend_record_remove(struct backend *b, struct backend_rev rev);
void backend_put(struct backend *b, unsigned bucket, struct slice key, struct slice value);
void backend_delete(struct backend *b, unsigned bucket, struct slice key);
void backend_batch_put(struct backend_batch *batch, unsigned bucket, struct slice key,
                       struct slice value);

/* Ends the step: everything since the last seal belongs to entries up to index (of term). An empty
 * step only moves the index. now_ms: env_mono_ms, starts the interval of a batch. */
void backend_seal(struct backend *b, uint64_t index, uint64_t term, uint64_t now_ms);

/* True when apply must wait: LIMIT_TAIL_BYTES or LIMIT_TAIL_BATCHES reached. */
bool backend_is_full(const struct backend *b);
size_t backend_tail_bytes(const struct backend *b);
/* Counts everything sealed or being sealed; what was there at position p is durable in the file
 * when backend_committed_position() >= p. */
uint64_t backend_position(const struct backend *b);
uint64_t backend_committed_position(const struct backend *b);
/* When the batch that waits becomes due by its interval; UINT64_MAX: nothing waits. */
uint64_t backend_due_ms(const struct backend *b);
/* Operations and index movement not yet handed over. */
bool backend_is_dirty(const struct backend *b);
/* A batch or a defragmentation is under way. */
bool backend_is_busy(const struct backend *b);

/* ---- hand-over ---- */

/* A batch of the sealed segments with index <= durable_index, or NULL: one is under way, nothing to
 * do, or neither interval nor operations are reached and not force.  force makes a batch even if
 * only the index moved. */
struct backend_batch *backend_batch_take(struct backend *b, uint64_t durable_index, uint64_t now_ms,
                                         bool force);
/* Backend lane: one bolt transaction, two syncs. */
MUST_USE int backend_batch_commit(struct backend_batch *batch);
/* Main loop, after commit returned err; 0 publishes it.  Frees the batch; returns err, or why the
 * new view could not be opened: either is final. */
int backend_batch_done(struct backend *b, struct backend_batch *batch, int err);
/* Highest index whose effects are durable in the file. */
uint64_t backend_committed_index(const struct backend *b);
/* To be set once after opening, from meta/consistent_index. */
void backend_committed_index_init(struct backend *b, uint64_t index, uint64_t term);

/* ---- reads ---- */

struct backend_record {
    struct slice value;    /* stored bytes: an encoded KeyValue */
    struct bolt_value pin; /* page frame held, or nothing */
};

/* The record at rev, from the tail or the pages in the cache. ERR_COLD, ERR_NOT_FOUND. Main loop.
 */
MUST_USE int backend_record_get(struct backend *b, struct backend_rev rev,
                                struct backend_record *out);
void backend_record_release(struct backend_record *r);

/* The newest view: a reference for the caller.  It shows the state of backend_committed_index(). */
struct backend_view *backend_view_pin(struct backend *b);
void backend_view_unpin(struct backend_view *v);
struct bolt_tx *backend_view_tx(struct backend_view *v);
uint64_t backend_view_index(const struct backend_view *v);
/* Reads pages from the disk if it must: any thread, one at a time a view. */
MUST_USE int backend_view_record_get(struct backend_view *v, struct backend_rev rev,
                                     struct backend_record *out);
/* The value of key in a bucket of the view; ERR_NOT_FOUND. */
MUST_USE int backend_view_get(struct backend_view *v, unsigned bucket, struct slice key,
                              struct backend_record *out);

/* ---- history: all records that were not removed, by revision: the newest view, then the tail ----
 */

/* Revision of the first record that is not in the newest view; INT64_MAX: there is none. */
int64_t backend_tail_first(const struct backend *b);
/* The first record of the tail at or above from; false: none. The value lives as of record_get. */
bool backend_tail_next(const struct backend *b, struct backend_rev from, struct backend_rev *out,
                       struct slice *value);
/* The records of the view with main >= from, in order, until each returns what is not 0, which is
 * returned; ERR_END: no more.  Slices live for the call.  Any thread, one at a time a view. */
MUST_USE int backend_view_scan(struct backend_view *v, int64_t from,
                               int (*each)(void *arg, struct backend_rev rev, struct slice value),
                               void *arg);

/* ---- rewriting the file (defragmentation, storage-formats 7.4) ---- */

struct backend_defrag;

/* No batch may be under way, and none is taken until done: applying goes on into the tail. suffix
 * makes the temporary name <path>.tmp.<suffix>. */
struct backend_defrag *backend_defrag_begin(struct backend *b, const char *suffix);
/* Backend lane: copies, syncs, renames over the file, opens it. */
MUST_USE int backend_defrag_run(struct backend_defrag *d);
/* Main loop: 0 swaps the file in; on an error the old one stays in use.  Frees d. */
int backend_defrag_done(struct backend *b, struct backend_defrag *d, int err);
/* After an error of done: true when the copy has taken the name already.  What would be committed
 * to the old file now is gone at the next start: no batch is taken any more, the member stops. */
bool backend_is_lost(const struct backend *b);

/* ---- numbers ---- */

/* hwm * page size, and the part of it that is in use. */
uint64_t backend_size_bytes(const struct backend *b);
uint64_t backend_size_in_use_bytes(const struct backend *b);
uint32_t backend_open_views(const struct backend *b);
/* Why the last batch or read failed, for the log. */
void backend_error_text(struct backend *b, char *out, size_t size);
/* Invariants of the tail; aborts on a broken one. */
void backend_check(const struct backend *b);

#endif
