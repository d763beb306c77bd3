/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/keyrec: the history of one key in one small allocation.
 *
 * Problem     etcd keeps a list of generations with a list of revisions each: several hundred bytes
 *             a key. A million keys must fit into 100 MB.
 * Design      One flat array of revisions in order; a tombstone ends a generation, so generations
 *             need no list of their own. create revision and version are stored for the living
 *             (last) generation only. Every older generation starts at a revision that is in the
 *             array, so both follow from positions, but for the first one when its start was
 *             compacted: then a *base* (create revision and version of the first revision) stands
 *             before the array.
 *
 *               keyrec | [base] | rev rev rev t rev rev ... spare | key bytes
 *                                 first generation  last (living)
 *
 *             Room for revisions is a function of their number (powers of two): no field for it.
 * Invariants  I1  revisions ascend by (main, sub); no two tombstones stand side by side.
 *             I2  version > 0 exactly when the last revision is no tombstone (the key lives).
 *             I3  has_tombstone says whether there is one; without it there is no base.
 * Ownership   Functions that take and return a record may move it.
 * See         storage-formats 6.2-6.5; test/unit/mvcc/keyindex_test.c (against etcd's lists).
 */
#ifndef MVCC_KEYREC_H
#define MVCC_KEYREC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum { KEYREC_KEY_MAX = (1 << 30) - 1 };
#define KEYREC_SUB_MAX INT64_C(0x7fffffff)

struct keyrev {
    int64_t main;
    uint32_t sub_mark; /* sub * 2 + tombstone */
    uint32_t len;      /* of the stored record */
};

struct keyrec {
    uint32_t key_len : 30;
    uint32_t has_base : 1;
    uint32_t has_tombstone : 1;
    uint32_t count;
    int64_t lease; /* of the newest put; 0 when the key is dead */
    int64_t create_rev;
    int64_t version; /* 0: dead */
    struct keyrev slots[];
};

/* What is visible of a key at a revision. */
struct keyrec_state {
    int64_t main;
    int64_t sub;
    int64_t create_rev;
    int64_t version;
    uint32_t len;
};

static inline bool keyrev_is_tombstone(const struct keyrev *r)
{
    return (r->sub_mark & 1) != 0;
}

static inline int64_t keyrev_sub(const struct keyrev *r)
{
    return r->sub_mark >> 1;
}

static inline const struct keyrev *keyrec_revs(const struct keyrec *k)
{
    return k->slots + k->has_base;
}

static inline bool keyrec_is_live(const struct keyrec *k)
{
    return k->version > 0;
}

/* Room for count revisions. */
static inline uint32_t keyrec_cap(uint32_t count)
{
    return count <= 1 ? 1 : (uint32_t)(1ull << (64 - __builtin_clzll((uint64_t)count - 1)));
}

static inline struct slice keyrec_key(const struct keyrec *k)
{
    return slice_make(k->slots + keyrec_cap(k->count) + k->has_base, k->key_len);
}

/* A key with its first revision, a put. */
struct keyrec *keyrec_create(struct slice key, const struct keyrec_state *first, int64_t lease);
/* A key of which only a tombstone is left (restore). */
struct keyrec *keyrec_create_tombstone(struct slice key, int64_t main, int64_t sub, uint32_t len);
void keyrec_destroy(struct keyrec *k);

struct keyrec *keyrec_put(struct keyrec *k, int64_t main, int64_t sub, uint32_t len, int64_t lease);
/* The key lives. */
struct keyrec *keyrec_tombstone(struct keyrec *k, int64_t main, int64_t sub, uint32_t len);

/* False: the key does not exist at revision at. */
bool keyrec_state_at(const struct keyrec *k, int64_t at, struct keyrec_state *out);
/* Number of leading revisions that a compaction at c drops (storage-formats 6.4.2). */
uint32_t keyrec_drop_count(const struct keyrec *k, int64_t c);
/* Drops the first n revisions; NULL when none is left. */
struct keyrec *keyrec_drop(struct keyrec *k, uint32_t n);
/* The member of the keep set for revision at (6.5); false: none.  *out_any: a revision would be
 * kept by a compaction at at, tombstone or not. */
bool keyrec_keep(const struct keyrec *k, int64_t at, struct keyrev *out, bool *out_any);

void keyrec_check(const struct keyrec *k);
bool keyrec_equal(const struct keyrec *a, const struct keyrec *b);

#endif
