/* SPDX-License-Identifier: Apache-2.0
 *
 * member/bootstrap: the first entries of a log: of a new cluster, of `snapshot restore`, and of
 * `--force-new-cluster`.
 *
 * Problem     All members of a new cluster must start from identical entries, each made on its own.
 * Design      One AddNode a member, ascending by id, term 1, index 1..n, all committed.
 * Ownership   struct member_bootstrap owns its entries. Thread any.
 * See         peer-protocol 4.5, 6.8; storage-formats 5.4 steps 8-10, 7.6;
 *             test/unit/member/bootstrap_test.c.
 */
#ifndef MEMBER_BOOTSTRAP_H
#define MEMBER_BOOTSTRAP_H

#include "member/member.h"

struct member_bootstrap {
    struct raft_entry *entries;
    size_t count;
    struct raft_hard_state hard_state;
    struct raft_snapshot_meta snapshot; /* at the last entry, all members voters */
};

void member_bootstrap_deinit(struct member_bootstrap *b);

/* is_restore: vote for the smallest id, as `snapshot restore` writes it. ERR_LIMIT. */
MUST_USE int member_bootstrap_build(const struct membership *ms, enum raftpb_emission em,
                                    bool is_restore, struct member_bootstrap *out);

/* --force-new-cluster: what follows entry `index` so that only self is left.  conf is the
 * snapshot's configuration, entries what the log holds behind it up to index. AddNode(self) first
 * if self is not in it, then RemoveNode of all others, ascending. Only entries and count are set.
 */
MUST_USE int member_bootstrap_force_new(const struct raft_conf_state *conf,
                                        const struct raft_entry *entries, size_t count,
                                        uint64_t self, raft_term term, raft_index index,
                                        enum raftpb_emission em, struct member_bootstrap *out);

#endif
