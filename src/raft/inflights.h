/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/inflights: the window of MsgApp sent to one follower and not yet acknowledged.
 *
 * A ring of (last index of the message, payload bytes), bounded by a count and softly by bytes (the
 * message that reaches the bound is still sent).  The ring grows by doubling up to the bound on
 * count and keeps its memory when it is emptied, so a warm window costs no malloc.
 */
#ifndef RAFT_INFLIGHTS_H
#define RAFT_INFLIGHTS_H

#include "raft/types.h"

struct raft_inflight {
    raft_index index;
    uint64_t bytes;
};

struct raft_inflights {
    uint32_t start;
    uint32_t count;
    uint32_t count_max;
    uint32_t cap;       /* of ring; <= count_max */
    uint64_t bytes;     /* sum over the window */
    uint64_t bytes_max; /* 0 = no limit */
    struct raft_inflight *ring;
};

void raft_inflights_init(struct raft_inflights *in, uint32_t count_max, uint64_t bytes_max);
void raft_inflights_deinit(struct raft_inflights *in);
void raft_inflights_reset(struct raft_inflights *in);
bool raft_inflights_is_full(const struct raft_inflights *in);
/* Not when full; index above all in the window. */
void raft_inflights_add(struct raft_inflights *in, raft_index index, uint64_t bytes);
/* Removes messages whose last index is <= to. */
void raft_inflights_free_to(struct raft_inflights *in, raft_index to);
void raft_inflights_check(const struct raft_inflights *in);

#endif
