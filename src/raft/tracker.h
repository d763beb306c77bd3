/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/tracker: the active configuration, the progress of each member in it, and the votes of the
 * running election.
 *
 * Invariants  (raft_members_are_consistent)
 *             I1 every voter (both halves), learner and learner-to-be has a progress, and nobody
 *                else has one.
 *             I2 learners are disjoint from both halves of the voters.
 *             I3 learners_next is a subset of the outgoing voters.
 *             I4 without outgoing voters: learners_next is empty and auto_leave is false.
 */
#ifndef RAFT_TRACKER_H
#define RAFT_TRACKER_H

#include "raft/ids.h"
#include "raft/progress.h"
#include "raft/quorum.h"

enum { RAFT_PROGRESS_MAX = 3 * RAFT_MEMBERS_MAX };

/* A configuration with its progress list: copied, changed and put back as a whole. */
struct raft_members {
    struct raft_conf_state conf;
    uint32_t count;
    struct raft_progress list[RAFT_PROGRESS_MAX]; /* ascending id */
};

struct raft_votes {
    uint32_t count;
    uint64_t ids[RAFT_PROGRESS_MAX];
    bool granted[RAFT_PROGRESS_MAX];
};

struct raft_tracker {
    struct raft_members members;
    struct raft_votes votes;
    uint32_t inflight_max;
    uint64_t inflight_bytes_max;
};

struct raft_tally {
    uint32_t granted;
    uint32_t rejected;
    enum quorum_result result;
};

struct raft_progress *raft_members_find(struct raft_members *m, uint64_t id);
const struct raft_progress *raft_members_get(const struct raft_members *m, uint64_t id);
/* Room for a new progress at its place in the order; NULL when the list is full. */
struct raft_progress *raft_members_insert(struct raft_members *m, uint64_t id);
void raft_members_remove(struct raft_members *m, uint64_t id);
/* In one of the halves of the voters. */
bool raft_members_is_voter(const struct raft_members *m, uint64_t id);
bool raft_members_are_consistent(const struct raft_members *m);

void raft_tracker_init(struct raft_tracker *t, uint32_t inflight_max, uint64_t inflight_bytes_max);
void raft_tracker_deinit(struct raft_tracker *t);
/* Takes over a changed copy of t->members. */
void raft_tracker_replace(struct raft_tracker *t, const struct raft_members *changed);

bool raft_tracker_is_singleton(const struct raft_tracker *t);
/* Largest index that a quorum acknowledged. */
raft_index raft_tracker_committed(const struct raft_tracker *t);
bool raft_tracker_quorum_is_active(const struct raft_tracker *t);

void raft_tracker_reset_votes(struct raft_tracker *t);
/* The first vote of a member counts. */
void raft_tracker_record_vote(struct raft_tracker *t, uint64_t id, bool granted);
struct raft_tally raft_tracker_tally(const struct raft_tracker *t);

#endif
