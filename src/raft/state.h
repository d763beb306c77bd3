/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/state: the state machine's private parts, shared by the files of this folder (and by the
 * text driver of the golden scripts).
 *
 *   raft.c      create, step, take: the parent that dispatches
 *   election.c  roles, campaigns, votes, ticks
 *   follower.c  MsgApp, MsgHeartbeat, MsgSnap and their answers
 *   leader.c    sending, MsgAppResp, MsgHeartbeatResp, commit
 *   propose.c   proposals and their forwarding
 *   reconfig.c  configuration changes
 *   reads.c     ReadIndex
 *   transfer.c  leader transfer
 *   check.c     invariants, status
 *
 * Invariants  S1 term never falls; vote changes only once a term.
 *             S2 the leader of a term is the only one that appends entries of that term.
 *             S3 leader != 0 on a leader and equals id.
 *             S4 a candidate has voted for itself in its term.
 *             S5 no entry has a term above `term`.
 */
#ifndef RAFT_STATE_H
#define RAFT_STATE_H

#include "base/prng.h"
#include "raft/confchange.h"
#include "raft/log.h"
#include "raft/outbox.h"
#include "raft/readonly.h"

struct raft {
    struct raft_config config;
    struct raft_tracer tracer;
    struct prng prng;

    raft_term term;
    uint64_t vote;
    struct raft_log log;

    struct raft_tracker tracker;
    enum raft_role role;
    bool is_learner;
    uint64_t leader;
    uint64_t transferee; /* leadership is being handed to it; 0 = none */
    /* No conf change is accepted while applied is below it: at most one is under way. */
    raft_index pending_conf_index;
    uint64_t uncommitted_bytes; /* payload of entries appended as leader, not yet applied */
    struct raft_readonly reads;

    uint32_t election_elapsed; /* ticks since the leader was heard (leader: since the last check) */
    uint32_t heartbeat_elapsed;
    uint32_t election_timeout; /* randomized, [E, 2E) */

    struct raft_outbox outbox;
    struct raft_snapshot snapshot; /* newest that can be sent; index 0 = none */

    enum raft_role taken_role; /* as of the last raft_take */
    uint64_t taken_leader;
    struct raft_hard_state taken_hard;
    enum raft_drop_reason drop_reason;
};

enum raft_campaign {
    RAFT_CAMPAIGN_PRE_ELECTION,
    RAFT_CAMPAIGN_ELECTION,
    RAFT_CAMPAIGN_TRANSFER,
};

/* raft.c */
void raft_send(struct raft *r, const struct raft_message *m);
int raft_drop(struct raft *r, enum raft_drop_reason reason); /* ERR_DROPPED */

/* election.c */
void raft_tick(struct raft *r);
void raft_become_follower(struct raft *r, raft_term term, uint64_t leader);
void raft_campaign_maybe(struct raft *r, enum raft_campaign kind);
int raft_on_vote(struct raft *r, const struct raft_message *m);
int raft_on_vote_resp(struct raft *r, const struct raft_message *m);
int raft_on_timeout_now(struct raft *r, const struct raft_message *m);
bool raft_is_promotable(const struct raft *r);
bool raft_message_is_transfer_vote(const struct raft_message *m);
/* The prng's draw replaced by a given one: golden scripts. */
void raft_set_election_timeout(struct raft *r, uint32_t ticks);

/* follower.c */
int raft_on_append(struct raft *r, const struct raft_message *m);
int raft_on_heartbeat(struct raft *r, const struct raft_message *m);
int raft_on_snapshot(struct raft *r, const struct raft_message *m);

/* leader.c */
int raft_on_append_resp(struct raft *r, const struct raft_message *m);
int raft_on_heartbeat_resp(struct raft *r, const struct raft_message *m);
void raft_on_unreachable(struct raft *r, uint64_t member);
void raft_on_snapshot_status(struct raft *r, uint64_t member, bool failed);
int raft_on_entries_read(struct raft *r, const struct raft_event *ev);
/* One MsgApp (or the snapshot) for a member if its flow allows; true if something was sent. */
bool raft_maybe_send_append(struct raft *r, struct raft_progress *pr, bool send_if_empty);
void raft_broadcast_append(struct raft *r);
void raft_broadcast_heartbeat(struct raft *r);
bool raft_maybe_commit(struct raft *r);
/* The sender's progress, traced when there is none. */
struct raft_progress *raft_leader_progress(struct raft *r, uint64_t member);

/* propose.c */
int raft_on_propose(struct raft *r, const struct raft_message *m);
/* Appends entries of a leader; false when over the uncommitted limit. */
bool raft_append_entries(struct raft *r, const struct raft_entry *entries, size_t count);

/* reconfig.c */
void raft_switch_config(struct raft *r, const struct raft_members *members);
/* For each conf-change entry of a proposal: may it be appended as it is? */
int raft_conf_proposal_check(struct raft *r, const struct raft_entry *e, raft_index index,
                             bool *out_keep);
void raft_maybe_auto_leave(struct raft *r);
enum raft_changer_error raft_members_restore(const struct raft *r, const struct raft_conf_state *cs,
                                             raft_index last_index, struct raft_members *out);

/* reads.c */
int raft_on_read_index(struct raft *r, const struct raft_message *m);
int raft_on_read_index_resp(struct raft *r, const struct raft_message *m);
void raft_release_early_reads(struct raft *r);
void raft_reads_confirm(struct raft *r, uint64_t from, const struct raft_context *context);

/* transfer.c */
int raft_on_transfer_leader(struct raft *r, const struct raft_message *m);
void raft_send_timeout_now(struct raft *r, uint64_t to);

#endif
