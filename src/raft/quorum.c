/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/quorum.h"

raft_index quorum_majority_committed(const struct raft_ids *voters, quorum_acked_fn acked,
                                     const void *arg)
{
    raft_index sorted[RAFT_MEMBERS_MAX];
    uint32_t n = voters->count;
    if (n == 0) {
        return RAFT_INDEX_MAX;
    }
    ensure(n <= RAFT_MEMBERS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        raft_index index = acked(arg, voters->ids[i]);
        uint32_t at = i;
        for (; at > 0 && sorted[at - 1] > index; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = index;
    }
    /* n/2 + 1 voters hold at least this one: they are the right end of the ascending list. */
    return sorted[n - (n / 2 + 1)];
}

raft_index quorum_joint_committed(const struct raft_ids *incoming, const struct raft_ids *outgoing,
                                  quorum_acked_fn acked, const void *arg)
{
    raft_index a = quorum_majority_committed(incoming, acked, arg);
    raft_index b = quorum_majority_committed(outgoing, acked, arg);
    return a < b ? a : b;
}

enum quorum_result quorum_majority_vote(const struct raft_ids *voters, quorum_vote_fn vote,
                                        const void *arg)
{
    uint32_t yes = 0;
    uint32_t missing = 0;
    uint32_t needed = voters->count / 2 + 1;
    if (voters->count == 0) {
        return QUORUM_WON;
    }
    for (uint32_t i = 0; i < voters->count; i++) {
        enum quorum_vote v = vote(arg, voters->ids[i]);
        yes += v == QUORUM_VOTE_YES ? 1 : 0;
        missing += v == QUORUM_VOTE_NONE ? 1 : 0;
    }
    if (yes >= needed) {
        return QUORUM_WON;
    }
    return yes + missing >= needed ? QUORUM_PENDING : QUORUM_LOST;
}

enum quorum_result quorum_joint_vote(const struct raft_ids *incoming,
                                     const struct raft_ids *outgoing, quorum_vote_fn vote,
                                     const void *arg)
{
    enum quorum_result a = quorum_majority_vote(incoming, vote, arg);
    enum quorum_result b = quorum_majority_vote(outgoing, vote, arg);
    if (a == b) {
        return a;
    }
    /* One lost half loses; a won half waits for a pending one. */
    return a == QUORUM_LOST || b == QUORUM_LOST ? QUORUM_LOST : QUORUM_PENDING;
}
