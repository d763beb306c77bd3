/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/store (private): the inside of a store, shared by the files of this folder.
 */
#ifndef MVCC_STORE_H
#define MVCC_STORE_H

#include "mvcc/garbage.h"
#include "mvcc/hash.h"
#include "mvcc/keyindex.h"
#include "mvcc/mvcc.h"

/* The physical part of a compaction. */
struct mvcc_compaction {
    int64_t target;  /* revision under way, -1: none */
    int64_t prev;    /* compact revision before it */
    int64_t next;    /* asked for meanwhile, -1: none */
    bool needs_hash; /* not before its hash was taken or given up */
    struct buf key;  /* the walk goes on here */
    struct garbage garbage;
    bool is_collected; /* garbage is sorted and being removed */
    bool is_walk_over; /* nothing comes after it */
};

struct mvcc_store {
    struct mvcc_options opts;
    struct keyindex index;
    int64_t current_rev;
    int64_t compact_rev;
    int64_t txn_main;      /* revision being written, 0: none */
    int64_t txn_sub;       /* changes made in it */
    int64_t revoking;      /* lease whose keys are being deleted: it forgets them itself */
    bool has_stray_leases; /* restored keys name leases that do not exist */
    unsigned holds;        /* hashes between begin and attach */
    int64_t scheduled_rev; /* meta/scheduledCompactRev and finishedCompactRev, -1: absent */
    int64_t finished_rev;
    struct list pins;
    struct mvcc_compaction compaction;
    struct mvcc_hash_value hashes[MVCC_HASHES_MAX]; /* by revision, ascending */
    size_t hashes_len;
    struct mvcc_counts counts;
    uint64_t counted_before; /* operations, at write_begin */
    struct buf path;         /* txn: which branch, one byte a txn */
};

/* What a read sees now: inside a write its own changes. */
static inline int64_t store_read_rev(const struct mvcc_store *s)
{
    return s->txn_sub > 0 ? s->txn_main : s->current_rev;
}

/* ---- values.c ---- */

struct value_ref {
    struct slice bytes;
    struct backend_record record;
};

/* v may be NULL. */
MUST_USE int value_get(const struct mvcc_store *s, const struct mvcc_values *v, int64_t main,
                       int64_t sub, struct value_ref *out);
void value_release(struct value_ref *r);
/* A prefetch: round, need..., done (0 or ERR_COLD). */
void values_round(struct mvcc_values *v);
MUST_USE int values_need(struct mvcc_values *v, int64_t main, int64_t sub);
MUST_USE int values_done(struct mvcc_values *v);
/* Out of a value set that has it. */
struct slice values_at_hand(const struct mvcc_values *v, int64_t main, int64_t sub);

/* ---- write.c ---- */

void write_begin(struct mvcc_store *s);
void write_end(struct mvcc_store *s);
/* The checks of a put against the present state; which error is first inside a txn goes by level.
 */
MUST_USE int write_put_check(const struct mvcc_store *s, const struct wire_put_req *req);
MUST_USE int write_txn_put_check(const struct mvcc_store *s, const struct wire_put_req *req);
/* Appends prev_kv (field) if asked for and body is there, then puts.  Errors: only of value_get
 * before anything is changed, and ERR_RPC_RESPONSE_TOO_LARGE. */
MUST_USE int write_put(struct mvcc_store *s, const struct wire_put_req *req,
                       const struct mvcc_values *v, struct buf *body);
/* Appends deleted and prev_kvs if body is there, then deletes. */
MUST_USE int write_delete(struct mvcc_store *s, const struct wire_delete_req *req,
                          const struct mvcc_values *v, struct buf *body);
/* Bytes that write_put / write_delete will append. */
size_t write_put_body_size(const struct mvcc_store *s, const struct wire_put_req *req);
uint64_t write_delete_body_size(struct keysum sum, bool prev_kv);
/* Keys that a delete would delete now, and their bytes as repeated field. */
struct keysum write_range_sum(const struct mvcc_store *s, const struct keyrange *r);
MUST_USE int write_put_need(const struct mvcc_store *s, const struct wire_put_req *req,
                            bool has_waiter, struct mvcc_values *v);
MUST_USE int write_delete_need(struct mvcc_store *s, const struct wire_delete_req *req,
                               bool has_waiter, struct mvcc_values *v);

/* ---- plan.c ---- */

/* Fills items[] with what comes next, until want items are there behind item_at or none is left. */
void plan_load(struct mvcc_plan *plan, uint64_t want);
/* Revisions whose values carrying out the range needs, but for what the same txn changes before it;
 * extra: how many changes those may be. */
MUST_USE int plan_need(struct mvcc_store *s, const struct wire_range_req *req, uint64_t extra,
                       struct mvcc_values *v);

/* ---- plan_sort.c ---- */

MUST_USE int plan_rows_add(struct mvcc_plan *plan, const struct keyrec *rec,
                           const struct keyrec_state *state);
/* Is what was found the key's newest state, so that rec->lease is its lease? */
bool plan_is_newest(const struct keyrec *rec, const struct keyrec_state *state);
/* The order or a lease is only in the values. */
bool plan_rows_need_values(const struct mvcc_plan *plan);
/* Sorts by what the index knows, cuts to the limit, makes items[]. */
void plan_rows_finish(struct mvcc_plan *plan);
void plan_rows_destroy(struct mvcc_plan *plan);
MUST_USE int plan_rows_need(const struct mvcc_plan *plan, struct mvcc_values *v);

/* ---- plan_send.c ---- */

void plan_items_add(struct mvcc_plan *plan, struct mvcc_item item);
/* What keys_only sends of a key; lease: 0 = none, or not sent at this level. */
size_t plan_kv_append(struct buf *out, struct slice key, const struct keyrec_state *state,
                      int64_t lease);
size_t plan_kv_size(struct slice key, const struct keyrec_state *state);
void plan_totals_set(struct mvcc_plan *plan);

/* ---- compact.c ---- */

void compact_init(struct mvcc_store *s);
void compact_deinit(struct mvcc_store *s);
/* After a restore. */
void compact_resume(struct mvcc_store *s, int64_t scheduled);
void hashes_add(struct mvcc_store *s, struct mvcc_hash_value value);

/* ---- store.c ---- */

/* All records of a file, in order, into an index; *last_main: in the least it may be, out the last.
 */
MUST_USE int restore_records(struct keyindex *x, const struct mvcc_source *records,
                             int64_t *last_main);

#endif
