/* SPDX-License-Identifier: Apache-2.0
 *
 * test/lib/wal_fixture: one WAL in a memfs, and the sentences that its tests are made of.
 */
#ifndef TEST_WAL_FIXTURE_H
#define TEST_WAL_FIXTURE_H

#include "memfs.h"
#include "wal/wal.h"

#define WAL_DIR "/m/wal"
#define WAL_SEG0 WAL_DIR "/0000000000000000-0000000000000000.wal"

enum { WAL_NODE_ID = 0x23b0bf6132eca7, WAL_CLUSTER_ID = 0x2db9640c56 };

struct wal_fixture {
    struct memfs *fs;
    struct wal_options opts;
    struct wal_detail detail;
    struct wal *wal;
    struct wal_contents contents;
};

void wal_fixture_init(struct wal_fixture *f);
void wal_fixture_deinit(struct wal_fixture *f);
/* A new log with segments of this size; open for appending. */
void wal_fixture_create(struct wal_fixture *f, uint64_t segment_bytes);
/* Appends count entries from index `from` on, one batch, data of len bytes that follow from index
 * and term; hard state: term, vote 1, commit. commit 0: none. Synced. */
void wal_fixture_append(struct wal_fixture *f, raft_index from, size_t count, raft_term term,
                        size_t len, raft_index commit);
/* The bytes that fixture_append writes. */
void wal_fixture_data(struct buf *out, raft_index index, raft_term term, size_t len);
void wal_fixture_close(struct wal_fixture *f);
/* Closes if open, recovers at (index, term) for writing; the result of wal_recover. */
int wal_fixture_recover(struct wal_fixture *f, raft_index index, raft_term term);
/* contents holds entries from..from+count-1 of this term and length, from at position at. */
void wal_fixture_expect(const struct wal_contents *c, size_t at, raft_index from, size_t count,
                        raft_term term, size_t len);

#endif
