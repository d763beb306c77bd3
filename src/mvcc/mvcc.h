/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/mvcc: the multi-version store of one member: key index, writes, range plans, compaction.
 *
 * Problem     Every member must reach the same revisions and the same stored bytes from the same
 *             entries; readers must see one revision while writers go on; no wait, no page read and
 *             no allocation per request is allowed on the main loop.
 * Design      The key index (memory) knows, for every revision that a reader may still ask for,
 * where the record is (its revision) and how long its stored KeyValue is.  So a range is a *plan*:
 * what is found, in which order, how many bytes, before any value is read. Carrying a plan out
 * copies stored bytes behind tag and length.  Values come from the backend; ERR_COLD says that a
 * work thread must read them first: a plan makes a *slice* for it, a write collects a *value set*
 * before it touches anything.
 *
 *                write:  prefetch -> [ERR_COLD: fetch on a work thread -> prefetch] -> apply
 *                read:   plan -> next ... [ERR_COLD: slice on a work thread] ... next
 *
 * Invariants  I1 a write changes nothing until every value that it needs is at hand. I2 records
 *             leave the backend only after they left the index, and the index drops what no
 *             revision >= compact revision and no pinned revision can see. I3 the index equals the
 *             one rebuilt from the records of the file (mvcc_check).
 * Ownership   Requests are borrowed for the call, but for range plans of many keys, which copy what
 *             they need. A plan is the caller's struct; mvcc_plan_end gives back memory and pin.
 * Thread      main loop; mvcc_slice_read and mvcc_fetch_run: any.
 * Limits      LIMIT_RESPONSE_BYTES, LIMIT_RESPONSE_BUFFER_BYTES (sort by VALUE),
 *             LIMIT_PLAN_CHUNK_BYTES, LIMIT_COMPACTION_BATCH; MVCC_*_MAX below.
 * Failure     ERR_RPC_* go to the client, ERR_COLD as above; ERR_CORRUPT: the file contradicts the
 *             index, the member must stop.
 * See         storage-formats 2.2, 6; client-api 2.1; design.md 3, 4, 5; test/unit/mvcc.
 */
#ifndef MVCC_MVCC_H
#define MVCC_MVCC_H

#include "backend/backend.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "wire/kv.h"

struct lessor;
struct level_rules;
struct mvcc_store;
struct mvcc_values;

enum {
    MVCC_HASHES_MAX = 10,         /* compaction hashes kept (storage-formats 6.5) */
    MVCC_REFILL_ITEMS = 1024,     /* items of a plan looked ahead */
    MVCC_STREAM_CHUNK_FIRST = 10, /* client-api 2.1.2 */
    MVCC_STREAM_ITEMS_MAX = 1 << 17,
    MVCC_STEP_KEYS = 4096, /* keys looked at in one compaction step */
};

/* ---- life ---- */

struct mvcc_event {
    struct backend_rev rev; /* is_tombstone: DELETE */
    struct slice key;
    struct slice stored; /* the record: KeyValue, or KeyValue{key}; lives as the backend says */
    int64_t create_rev;  /* 0 for DELETE */
    int64_t version;
    struct backend_rev prev_rev; /* main 0: the key did not exist */
    uint32_t prev_len;
};

struct mvcc_options {
    struct backend *backend;
    struct lessor *lessor;
    unsigned bucket_meta;            /* backend's id of the bucket `meta` */
    const struct level_rules *rules; /* NULL: those of LEVEL_NEW */
    /* One call a change, in order of revision; may be NULL. */
    void (*on_event)(void *arg, const struct mvcc_event *event);
    void *on_event_arg;
};

/* An empty store at revision 1. */
struct mvcc_store *mvcc_create(const struct mvcc_options *opts);
/* The member's level has changed. */
void mvcc_rules_set(struct mvcc_store *s, const struct level_rules *rules);
void mvcc_destroy(struct mvcc_store *s);

/* The records of the `key` bucket in order: 0, ERR_END, or an error. Slices live until the next
 * call. */
struct mvcc_source {
    int (*next)(void *arg, struct slice *key, struct slice *value);
    void *arg;
};

/* Rebuilds everything (storage-formats 6.3); leases must be loaded before.  No plan may be open.
 * finished / scheduled: main of meta/finishedCompactRev and scheduledCompactRev, -1 when absent.
 * ERR_CORRUPT or ERR_MALFORMED: the file cannot be used; the store is empty then. */
MUST_USE int mvcc_restore(struct mvcc_store *s, const struct mvcc_source *records, int64_t finished,
                          int64_t scheduled);
/* The same from a transaction of the file. */
MUST_USE int mvcc_restore_tx(struct mvcc_store *s, struct bolt_tx *tx);

/* The records of a transaction as a source, for this, mvcc_hash_run and mvcc_check_records: one
 * thread at a time; close before the transaction ends. */
struct mvcc_tx_source;
MUST_USE int mvcc_tx_source_open(struct bolt_tx *tx, struct mvcc_tx_source **out);
struct mvcc_source mvcc_tx_source_of(struct mvcc_tx_source *src);
void mvcc_tx_source_close(struct mvcc_tx_source *src);

int64_t mvcc_rev(const struct mvcc_store *s);
/* -1 before the first compaction. */
int64_t mvcc_compact_rev(const struct mvcc_store *s);
/* Keys alive at the newest revision (metric etcd_debugging_mvcc_keys_total). */
uint64_t mvcc_key_count(const struct mvcc_store *s);
/* What was asked for since the start (metrics etcd_mvcc_*_total): each operation counts, also
 * inside a transaction, and a write transaction of several as one of txns.  Valid as long as the
 * store. */
struct mvcc_counts {
    uint64_t ranges;
    uint64_t puts;
    uint64_t deletes;
    uint64_t txns;
    uint64_t put_bytes; /* keys and values */
};
const struct mvcc_counts *mvcc_counts(const struct mvcc_store *s);
/* Walks all invariants; aborts on a broken one. Tests and the simulator. */
void mvcc_check(const struct mvcc_store *s);
/* True when the index equals the one that these records would give. */
bool mvcc_check_records(const struct mvcc_store *s, const struct mvcc_source *records);

/* ---- values: what a request needs, at hand ---- */

struct mvcc_values *mvcc_values_create(struct mvcc_store *s);
void mvcc_values_destroy(struct mvcc_values *v);
/* Forgets all, gives back page pins; keeps memory. */
void mvcc_values_clear(struct mvcc_values *v);
/* Bytes are copied. */
void mvcc_values_add(struct mvcc_values *v, struct backend_rev rev, struct slice stored);
/* What the last prefetch missed. */
size_t mvcc_values_missing_count(const struct mvcc_values *v);

/* A job that reads what is missing: create on the main loop after ERR_COLD, run on a work thread,
 * finish on the main loop: adds the bytes to v (NULL: only frees). */
struct mvcc_fetch;
struct mvcc_fetch *mvcc_fetch_create(const struct mvcc_values *v);
MUST_USE int mvcc_fetch_run(struct mvcc_fetch *f, struct backend_view *view);
void mvcc_fetch_finish(struct mvcc_fetch *f, struct mvcc_values *v);

/* ---- writes ---- */

/* Collects the values that applying req needs.  0: apply in the same turn of the loop. ERR_COLD:
 * see mvcc_fetch; then call again.  has_waiter: somebody wants the response (prev_kv, ranges). */
MUST_USE int mvcc_prefetch_put(struct mvcc_store *s, const struct wire_put_req *req,
                               bool has_waiter, struct mvcc_values *v);
MUST_USE int mvcc_prefetch_delete(struct mvcc_store *s, const struct wire_delete_req *req,
                                  bool has_waiter, struct mvcc_values *v);
/* for txn: mvcc/txn.h */

/* One request as one revision.  body: the response behind its header is appended (put: prev_kv;
 * delete: deleted, prev_kvs), or NULL when nobody waits. v may be NULL when prefetch had nothing to
 * do.  Header revision = mvcc_rev() afterwards.  ERR_RPC_LEASE_NOT_FOUND, ERR_RPC_KEY_NOT_FOUND:
 * no effect.  ERR_RPC_RESPONSE_TOO_LARGE: the effect is there, the response cannot be sent. */
MUST_USE int mvcc_apply_put(struct mvcc_store *s, const struct wire_put_req *req,
                            struct mvcc_values *v, struct buf *body);
MUST_USE int mvcc_apply_delete(struct mvcc_store *s, const struct wire_delete_req *req,
                               struct mvcc_values *v, struct buf *body);
/* Deletes the keys of the lease in byte order as one revision, and the lease.
 * ERR_RPC_LEASE_NOT_FOUND. */
MUST_USE int mvcc_apply_lease_revoke(struct mvcc_store *s, int64_t lease_id);

/* ---- range plans ---- */

/* Holds back compaction: what is visible at rev stays readable. */
struct mvcc_pin {
    struct list_node node;
    int64_t rev;
};

void mvcc_pin_add(struct mvcc_store *s, struct mvcc_pin *pin, int64_t rev);
void mvcc_pin_remove(struct mvcc_pin *pin);

/* True while a plan, a hash or another reader holds a revision. */
bool mvcc_is_pinned(const struct mvcc_store *s);

struct mvcc_item {
    int64_t main;
    uint32_t sub;
    uint32_t len; /* of the KeyValue as it is sent */
};

enum mvcc_plan_mode {
    MVCC_PLAN_SINGLE, /* at most one item, no memory */
    MVCC_PLAN_LAZY,   /* key order: items are refilled from the index */
    MVCC_PLAN_SORTED, /* all items in memory */
};

struct mvcc_plan {
    /* Result, valid when built (and sorted). */
    int64_t header_rev;
    int64_t count;
    bool more;
    bool is_built;     /* false: call mvcc_plan_build */
    bool needs_values; /* true: call mvcc_plan_values, then mvcc_plan_sort_values */
    uint64_t item_count;
    uint64_t body_bytes; /* kvs, more, count: the response without its header */

    /* Private. */
    enum mvcc_plan_mode mode;
    struct mvcc_store *store;
    struct mvcc_pin pin;
    int64_t rev;
    int64_t limit; /* 0 = none */
    int64_t max_mod, min_mod, max_create, min_create;
    int32_t sort_target;
    bool is_descending;
    bool keys_only;   /* items are made from the index, or were cut out of the value (kv_bytes) */
    bool cut_values;  /* keys_only sorted by VALUE */
    bool keeps_lease; /* keys_only of 3.5 and 3.6, but for VALUE: see plan_sort.c */
    bool count_only;
    bool is_open_end;
    bool is_count_known;
    bool is_limit_first; /* NONE with another target than KEY: the limit comes before the sort */
    bool is_chunked;     /* RangeStream: no trailer */
    uint64_t matched;    /* found by the build walk, filters applied */
    uint64_t kvs_bytes;  /* encoded kvs */
    uint64_t emitted;    /* items completely sent */
    uint64_t loaded;     /* items that were in items[] so far */
    uint64_t stop_at;    /* next stops before this item */
    uint64_t stream_limit;
    size_t item_at; /* index in items[] of the item being sent */
    size_t item_offset;
    size_t trailer_at; /* bytes of it sent */
    size_t items_len;
    size_t items_cap;
    struct mvcc_item *items; /* &inline_item, or heap */
    struct mvcc_item inline_item;
    struct buf kv_bytes; /* keys_only: the KeyValues of items[], in order */
    size_t kv_at;        /* where the one being sent starts */
    struct buf range_end;
    struct buf walk_key;              /* build goes on here */
    struct buf load_key;              /* loading items goes on here */
    struct plan_rows *rows;           /* while they are sorted */
    const struct mvcc_values *values; /* looked at before the backend, or NULL */
};

/* Revision rules and errors of client-api 2.1.1, in that order: future, compacted; then the plan:
 * ERR_RPC_RESPONSE_TOO_LARGE.  On failure there is nothing to end.  The request was validated by
 * mvcc_range_validate. */
MUST_USE int mvcc_plan_range(struct mvcc_store *s, const struct wire_range_req *req,
                             struct mvcc_plan *plan);
/* The same in slices: begin, then build with a bound of keys until 0 (ERR_AGAIN: more).  After any
 * other error of build the plan is ended. */
MUST_USE int mvcc_plan_begin(struct mvcc_store *s, const struct wire_range_req *req,
                             struct mvcc_plan *plan);
MUST_USE int mvcc_plan_build(struct mvcc_plan *plan, uint64_t keys_max);
void mvcc_plan_end(struct mvcc_plan *plan);

/* Sort by VALUE: collect (0 or ERR_COLD, as prefetch), then sort and cut. */
MUST_USE int mvcc_plan_values(struct mvcc_plan *plan, struct mvcc_values *v);
MUST_USE int mvcc_plan_sort_values(struct mvcc_plan *plan, struct mvcc_values *v);

struct mvcc_sink {
    uint8_t *data;
    size_t len;
    size_t cap;
};

/* Goes on writing the body.  0: complete.  ERR_AGAIN: the sink is full.  ERR_COLD: the next item is
 * not in memory: take a slice.  Resumable at any byte. */
MUST_USE int mvcc_plan_next(struct mvcc_plan *plan, struct mvcc_sink *sink);

/* The backend that the plan reads from: slices are read through a view of it. */
struct backend *mvcc_plan_backend(const struct mvcc_plan *plan);
/* A piece of the body with holes where pages must be read first. */
struct mvcc_slice;
/* The next items up to about bytes_max (at least one); the plan moves behind them. ERR_END: no
 * items are left (the trailer may be: mvcc_plan_next). */
MUST_USE int mvcc_plan_slice(struct mvcc_plan *plan, size_t bytes_max, struct mvcc_slice **out);
/* Fills the holes: any thread.  The view must be the backend's newest when the slice was made, or a
 * newer one. */
MUST_USE int mvcc_slice_read(struct mvcc_slice *slice, struct backend_view *view);
struct slice mvcc_slice_bytes(const struct mvcc_slice *slice);
void mvcc_slice_destroy(struct mvcc_slice *slice);

/* RangeStream (client-api 2.1.2): cuts the next chunk.  The kvs of the chunk are then written with
 * mvcc_plan_next (which returns 0 at its end) or mvcc_plan_slice. */
struct mvcc_chunk {
    uint64_t item_count;
    uint64_t kvs_bytes;
    bool is_last; /* carries header, more, count: mvcc_plan_trailer */
};
void mvcc_plan_chunk(struct mvcc_plan *plan, uint64_t max_request_bytes, struct mvcc_chunk *out);
/* Fields more and count. At most MVCC_TRAILER_MAX bytes. */
enum { MVCC_TRAILER_MAX = 16 };
size_t mvcc_plan_trailer(const struct mvcc_plan *plan, uint8_t out[MVCC_TRAILER_MAX]);

/* What RangeStream reads differently: a negative revision or limit is 0. */
void mvcc_range_stream_normalize(struct wire_range_req *req);

/* Key and sort options; stream: RangeStream's additional rules. Pure. */
MUST_USE int mvcc_range_validate(const struct wire_range_req *req, const struct level_rules *rules,
                                 bool is_stream);
MUST_USE int mvcc_put_validate(const struct wire_put_req *req);
MUST_USE int mvcc_delete_validate(const struct wire_delete_req *req);

/* ---- compaction ---- */

/* Logical compaction, at once.  ERR_RPC_COMPACTED, ERR_RPC_FUTURE_REV. */
MUST_USE int mvcc_compact(struct mvcc_store *s, int64_t rev);

enum mvcc_compact_state {
    MVCC_COMPACT_IDLE,
    MVCC_COMPACT_HASH, /* waits for mvcc_compact_hash_done (mvcc/hash.h) or _skip */
    MVCC_COMPACT_HELD, /* waits for a pin below the compact revision, or for a hash being prepared
                        */
    MVCC_COMPACT_RUN,  /* mvcc_compact_step has work */
};

enum mvcc_compact_state mvcc_compact_state(const struct mvcc_store *s);
/* Removes at most records_max records (default LIMIT_COMPACTION_BATCH), fewer when they lie far
 * apart in the file; seal afterwards. Returns the number removed. finishedCompactRev is put with
 * the last ones. */
size_t mvcc_compact_step(struct mvcc_store *s, size_t records_max);
/* Revision of the newest compaction whose physical part is done (in the open segment), or -1: a
 * client that asked for physical=true waits for this and for the commit. */
int64_t mvcc_compact_finished_rev(const struct mvcc_store *s);

#endif
