/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/keyindex: which revisions of which keys exist: lookups, ranges, changes, compaction.
 *
 * Design      keytree (order, sums) of keyrecs (history of one key); this file is what the store
 *             calls.  Lease is known for the newest revision only: nobody needs it for older ones.
 * Invariants  see keyrec.h and keytree.h.
 * Ownership   Keys are copied in; slices handed out are valid until the next change of that key.
 *             A position is valid until the next insertion or removal of a key.
 * Thread      main loop.
 * See         storage-formats 6.2-6.5; test/unit/mvcc/keyindex_test.c.
 */
#ifndef MVCC_KEYINDEX_H
#define MVCC_KEYINDEX_H

#include "mvcc/keytree.h"

struct keyindex {
    struct keytree tree;
};

void keyindex_init(struct keyindex *x);
void keyindex_deinit(struct keyindex *x);

#define KEYINDEX_NEWEST INT64_MAX

/* Which keys a request means (client-api 2.0.7). */
struct keyrange {
    struct slice key;
    struct slice end;
    bool is_single;
    bool is_open_end;
};

struct keyrange keyrange_make(struct slice key, struct slice range_end);

/* False: not there at revision at. */
bool keyindex_get(const struct keyindex *x, struct slice key, int64_t at, struct keyrec_state *out);

struct keyindex_pos {
    struct keytree_path path;
    struct keyrec *rec; /* NULL: unknown key */
};

/* For a change; the state is the newest. */
void keyindex_find(const struct keyindex *x, struct slice key, struct keyindex_pos *out);
void keyindex_put(struct keyindex *x, struct keyindex_pos *pos, struct slice key, int64_t main,
                  int64_t sub, uint32_t len, int64_t lease);
/* The key lives. pos stays valid. */
void keyindex_tombstone(struct keyindex *x, struct keyindex_pos *pos, int64_t main, int64_t sub,
                        uint32_t len);
/* One record of the file, in order (storage-formats 6.3). */
enum keyindex_restored { KEYINDEX_RESTORED, KEYINDEX_IGNORED, KEYINDEX_BROKEN };
enum keyindex_restored keyindex_restore_put(struct keyindex *x, struct slice key,
                                            const struct keyrec_state *state, int64_t lease);
enum keyindex_restored keyindex_restore_tombstone(struct keyindex *x, struct slice key,
                                                  int64_t main, int64_t sub, uint32_t len);

struct keyindex_iter {
    const struct keyindex *x;
    struct keytree_path path;
    struct keyrec *rec; /* next to look at, NULL at the end */
    struct slice end;   /* borrowed */
    bool is_open_end;
    bool is_leaf_inside; /* the whole leaf lies below end */
    int64_t at;
};

/* Goes over the keys of an interval that exist at revision at, in order. */
void keyindex_iter_init(struct keyindex_iter *it, const struct keyindex *x, struct slice from,
                        struct slice end, bool is_open_end, int64_t at);
/* The next key, or NULL. */
struct keyrec *keyindex_iter_next(struct keyindex_iter *it, struct keyrec_state *out);
/* The next key of the interval whether it exists at the revision or not. */
struct keyrec *keyindex_iter_any(struct keyindex_iter *it);

/* Count and bytes at the newest revision, without a walk. */
struct keysum keyindex_sum(const struct keyindex *x, const struct keyrange *r);

/* Compaction of one key: drops its first n revisions; the key leaves when none is left (then pos
 * and iterators are not valid any more). */
bool keyindex_drop(struct keyindex *x, struct keyindex_pos *pos, uint32_t n);

void keyindex_check(const struct keyindex *x);
bool keyindex_equal(const struct keyindex *a, const struct keyindex *b);

#endif
