/* SPDX-License-Identifier: Apache-2.0
 *
 * test/lib/raft_store: a member's storage in memory, as WAL and snapshots would be.
 */
#ifndef TEST_LIB_RAFT_STORE_H
#define TEST_LIB_RAFT_STORE_H

#include "raft/raft.h"

/* Entries with references of their own, contiguous. */
struct store_entries {
    struct raft_entry *data;
    size_t len;
    size_t cap;
};

struct raft_store {
    struct raft_hard_state hard;
    struct raft_entry_id base;
    struct store_entries entries;  /* base.index + 1 ... */
    struct raft_snapshot snapshot; /* what the log starts from */
};

void store_entries_append(struct store_entries *to, const struct raft_entry *entries, size_t count);
void store_entries_truncate(struct store_entries *e, size_t len);
void store_entries_deinit(struct store_entries *e);

void raft_store_init(struct raft_store *s, const struct raft_snapshot *start);
void raft_store_deinit(struct raft_store *s);
raft_index raft_store_last(const struct raft_store *s);
void raft_store_append(struct raft_store *s, const struct raft_entry *entries, size_t count);
void raft_store_install(struct raft_store *s, const struct raft_snapshot *snapshot);
void raft_store_compact(struct raft_store *s, raft_index index);
/* Entries from lo on that are there, and how many up to hi; NULL when lo is compacted. */
const struct raft_entry *raft_store_read(const struct raft_store *s, raft_index lo, raft_index hi,
                                         size_t *out_count);

#endif
