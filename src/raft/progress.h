/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/progress: what the leader knows and assumes about the log of one member.
 *
 *   PROBE      last common entry unknown: one MsgApp, then silence until an answer or a heartbeat
 *   REPLICATE  next advances as messages are sent; paused when the window is full
 *   SNAPSHOT   a snapshot is under way: nothing is sent
 *
 * Invariants  I1 match < next.
 *             I2 in SNAPSHOT: next == pending_snapshot + 1, unless an answer moved it on.
 *             I3 inflights are used in REPLICATE only.
 * See         peer-protocol 5.5.
 */
#ifndef RAFT_PROGRESS_H
#define RAFT_PROGRESS_H

#include "raft/inflights.h"
#include "raft/raft.h"

struct raft_progress {
    uint64_t id;
    raft_index match;       /* its log is known to equal ours up to here */
    raft_index next;        /* next entry to send; (match, next) is in flight */
    raft_index sent_commit; /* highest commit index in flight; falls when messages may be lost */
    raft_index pending_snapshot; /* SNAPSHOT: its index */
    enum raft_progress_state state;
    bool recent_active; /* heard from since the last quorum check; always true for the leader */
    bool flow_paused;   /* until a heartbeat is answered (PROBE, or REPLICATE with a full window) */
    bool is_learner;
    bool is_reading; /* its next entries are being read back; nothing is sent meanwhile */
    struct raft_inflights inflights;
};

void raft_progress_become_probe(struct raft_progress *pr);
void raft_progress_become_replicate(struct raft_progress *pr);
void raft_progress_become_snapshot(struct raft_progress *pr, raft_index snapshot_index);
/* A MsgApp with that many entries from next on was sent. */
void raft_progress_sent_entries(struct raft_progress *pr, size_t count, uint64_t bytes);
/* Would the follower's commit index gain from being told this one? */
bool raft_progress_can_bump_commit(const struct raft_progress *pr, raft_index commit);
/* An acknowledgement; false when it says nothing new. */
bool raft_progress_maybe_update(struct raft_progress *pr, raft_index index);
/* A rejection of the append after `rejected`; false when it is stale. */
bool raft_progress_maybe_decrease(struct raft_progress *pr, raft_index rejected, raft_index hint);
bool raft_progress_is_paused(const struct raft_progress *pr);
/* Back to an unknown follower (new term); keeps id, is_learner and the window's memory. */
void raft_progress_reset(struct raft_progress *pr, raft_index match, raft_index next);
void raft_progress_check(const struct raft_progress *pr);

#endif
