/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/quorum: what a majority, or both majorities of a joint configuration, agree on.
 *
 * An empty majority agrees with everything: commit index RAFT_INDEX_MAX, vote won.  So a joint
 * configuration with one empty half behaves like the other half.
 */
#ifndef RAFT_QUORUM_H
#define RAFT_QUORUM_H

#include "raft/types.h"

#define RAFT_INDEX_MAX UINT64_MAX

enum quorum_result {
    QUORUM_PENDING,
    QUORUM_LOST,
    QUORUM_WON,
};

/* What voter id is known to hold; 0 when nothing is known. */
typedef raft_index (*quorum_acked_fn)(const void *arg, uint64_t id);

enum quorum_vote {
    QUORUM_VOTE_NONE,
    QUORUM_VOTE_NO,
    QUORUM_VOTE_YES,
};
typedef enum quorum_vote (*quorum_vote_fn)(const void *arg, uint64_t id);

/* Largest index that a majority holds. */
raft_index quorum_majority_committed(const struct raft_ids *voters, quorum_acked_fn acked,
                                     const void *arg);
raft_index quorum_joint_committed(const struct raft_ids *incoming, const struct raft_ids *outgoing,
                                  quorum_acked_fn acked, const void *arg);

enum quorum_result quorum_majority_vote(const struct raft_ids *voters, quorum_vote_fn vote,
                                        const void *arg);
enum quorum_result quorum_joint_vote(const struct raft_ids *incoming,
                                     const struct raft_ids *outgoing, quorum_vote_fn vote,
                                     const void *arg);

#endif
