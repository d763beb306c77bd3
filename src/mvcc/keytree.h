/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/keytree: B+tree of key records in key order.
 *
 * Problem     A lookup among a million keys should touch few cache lines although keys share long
 *             prefixes ("/registry/pods/..."), and a list must know count and bytes of what it will
 *             send before it walks anything.
 * Design      Nodes of 64.  Each node knows how many leading bytes all its keys share (skip) and
 * holds the 4 bytes behind them of every key as a number (head), so a search compares numbers in a
 * row and looks at a record only for equal heads.  Leaves point to records; inner nodes own short
 * separators, which need not be keys.  Every inner slot holds count and bytes of the living keys
 * below it.  A node that is split by an insertion at its end stays full: keys that arrive in order
 * fill the nodes.
 *
 * Invariants  I1  keys ascend; separator i <= every key below child i, > every key below child i-1.
 *             I2  skip and heads are right; sums equal the sums of what is below.
 *             I3  only the root may be an empty leaf.
 * Ownership   Owns the records. A path or iterator is valid until the tree changes shape (insert,
 *             remove); keytree_replace keeps it valid.
 * See         test/unit/mvcc/keytree_test.c.
 */
#ifndef MVCC_KEYTREE_H
#define MVCC_KEYTREE_H

#include "mvcc/keyrec.h"

enum { KEYTREE_FANOUT = 64, KEYTREE_HEIGHT_MAX = 12 };

/* Living keys and their bytes as field kvs of a RangeResponse. */
struct keysum {
    uint64_t count;
    uint64_t bytes;
};

struct keynode;

struct keytree {
    struct keynode *root;
    unsigned height; /* inner nodes above a leaf */
    uint64_t key_count;
    struct keysum live;
};

struct keytree_path {
    struct keynode *inner[KEYTREE_HEIGHT_MAX];
    uint8_t child[KEYTREE_HEIGHT_MAX]; /* slot taken */
    struct keynode *leaf;
    unsigned at; /* position in leaf: of the key, or where it belongs */
};

void keytree_init(struct keytree *t);
void keytree_deinit(struct keytree *t);

/* NULL when the key is not there. */
struct keyrec *keytree_get(const struct keytree *t, struct slice key);
/* The same with the way to it. */
struct keyrec *keytree_find(const struct keytree *t, struct slice key, struct keytree_path *out);
/* Inserts at a path that keytree_find just made for this key; the path is not valid any more. */
void keytree_insert(struct keytree *t, struct keytree_path *path, struct keyrec *rec);
/* The record at path becomes rec (same key); before: keyrec_sum of the old one. */
void keytree_replace(struct keytree *t, const struct keytree_path *path, struct keyrec *rec,
                     struct keysum before);
/* The record at path leaves (and is not freed); the path is not valid any more. */
void keytree_remove(struct keytree *t, struct keytree_path *path, struct keysum before);

/* The first record with a key >= key, or NULL. */
struct keyrec *keytree_seek(const struct keytree *t, struct slice key, struct keytree_path *out);
struct keyrec *keytree_next(const struct keytree *t, struct keytree_path *path);
/* The greatest key in the leaf of path. */
struct slice keytree_leaf_last(const struct keytree_path *path);
/* Sum over the living keys < key. */
struct keysum keytree_rank(const struct keytree *t, struct slice key);

/* What a record adds to the sums. */
struct keysum keyrec_sum(const struct keyrec *k);

void keytree_check(const struct keytree *t);

#endif
