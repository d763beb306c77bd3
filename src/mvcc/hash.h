/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/hash: HashKV, the hash of a compaction, the hash of a whole file.
 *
 * Problem     HashKV must be equal on every member and in every release, while members compact at
 *             their own pace; it reads the whole key bucket, so it must leave the main loop.
 * Design      begin (main loop) fixes revision R and compact revision K; collect (main loop,
 * slices) takes the keep set: only records with main <= K are tested against it, so only keys whose
 * newest revision <= R lies at or below K are in it (16 bytes a key); run (any thread, slices)
 * streams the records of a transaction; end (main loop).
 *
 *               begin -> collect... -> [seal, wait for the commit, pin a view] -> attach
 *                     -> run... on a work thread -> end
 *
 *             From begin to attach no record is removed (compaction is held); the revision stays
 *             pinned until end.
 * Thread      main loop, run: any.
 * See         storage-formats 5.3, 6.5, 6.6; test/unit/mvcc/hash_test.c.
 */
#ifndef MVCC_HASH_H
#define MVCC_HASH_H

#include "mvcc/mvcc.h"

struct mvcc_hash_value {
    uint32_t hash;
    int64_t compact_rev;
    int64_t rev;
};

struct mvcc_hash;

/* HashKV(rev), 0 = current.  1: *cached is the answer (a compaction hash), nothing was
 * started.  0: *out was started.  ERR_RPC_COMPACTED, ERR_RPC_FUTURE_REV. */
MUST_USE int mvcc_hash_begin(struct mvcc_store *s, int64_t rev, struct mvcc_hash_value *cached,
                             struct mvcc_hash **out);
/* The hash that mvcc_compact_state() == MVCC_COMPACT_HASH waits for. */
struct mvcc_hash *mvcc_compact_hash_begin(struct mvcc_store *s);
/* 0 or ERR_AGAIN. */
MUST_USE int mvcc_hash_collect(struct mvcc_hash *h, size_t keys_max);
/* A view of everything up to the call of begin is pinned: records may be removed again (not by the
 * compaction that this hash belongs to). */
void mvcc_hash_attach(struct mvcc_hash *h);
/* Reads at most records_max records: 0 done, ERR_AGAIN. Any thread. The source stays with h over
 * the calls. */
MUST_USE int mvcc_hash_run(struct mvcc_hash *h, const struct mvcc_source *records,
                           size_t records_max);
/* Means something only after run returned 0. */
struct mvcc_hash_value mvcc_hash_result(const struct mvcc_hash *h);
/* Gives everything back.  For a compaction's hash: is_ok stores it in the cache if 6.5 allows; the
 * compaction goes on in either case. */
void mvcc_hash_end(struct mvcc_hash *h, bool is_ok);
/* The compaction goes on without a hash. */
void mvcc_compact_hash_skip(struct mvcc_store *s);

/* Cached compaction hashes, oldest first (compaction hash check). Returns the count. */
size_t mvcc_hash_cached(const struct mvcc_store *s, struct mvcc_hash_value out[MVCC_HASHES_MAX]);

/* HashKV with plain numbers over any source with keep as an array sorted by revision: for tools. */
struct mvcc_hasher {
    uint32_t crc;
    int64_t rev;
    int64_t compact_rev;
    const struct mvcc_item *keep; /* main <= compact_rev only, ascending */
    size_t keep_len;
    size_t keep_at;
    bool is_keep_empty; /* the whole set, also what lies above compact_rev */
};

void mvcc_hasher_init(struct mvcc_hasher *h, int64_t rev, int64_t compact_rev,
                      const struct mvcc_item *keep, size_t keep_len, bool is_keep_empty);
/* Records in order. ERR_MALFORMED: not a revision key. */
MUST_USE int mvcc_hasher_add(struct mvcc_hasher *h, struct slice key, struct slice value);

/* HashKV of a file that nobody serves (cairnutl hashkv): rev 0 = newest; ERR_RPC_COMPACTED,
 * ERR_RPC_FUTURE_REV. */
MUST_USE int mvcc_hash_file(struct bolt_tx *tx, int64_t rev, struct mvcc_hash_value *out,
                            int64_t *out_current);

/* Maintenance.Hash (6.6): all buckets but meta/consistent_index, meta/term, meta/storageVersion. */
MUST_USE int mvcc_hash_all(struct bolt_tx *tx, uint32_t *out);

/* snapshot status (5.3). */
struct mvcc_file_status {
    uint32_t hash;
    int64_t revision;
    uint64_t key_count;  /* 3.6+: keys alive at the end */
    uint64_t pair_count; /* 3.5: pairs in all buckets */
};
MUST_USE int mvcc_file_status(struct bolt_tx *tx, struct mvcc_file_status *out);

#endif
