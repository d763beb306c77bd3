/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/raft: consensus as a pure state machine, equal in behaviour to etcd's raft.
 *
 * Problem     A member needs elections, replication, membership changes and linearizable reads that
 *             interoperate with etcd 3.5-3.7 members, and that a simulator can replay from a seed.
 * Design      raft_step() feeds one event; what is to be done accumulates inside.  raft_take() then
 *             hands out everything at once as a struct raft_update, so that a batch of events costs
 *             one append and one round of messages.  Storage is asynchronous: the caller persists
 *             update.entries / hard / snapshot in the order in which updates were taken, and after
 *             that write (and all earlier ones) is durable
 *               1. delivers update.messages_synced: those to another member go to the network,
 *                  those to this member come back as RAFT_EV_MESSAGE, and then
 *               2. steps RAFT_EV_APPENDED with update.ack when update.needs_ack.
 *             update.messages may leave at once, before the write.  Committed entries are handed
 *             out only when they are locally durable; RAFT_EV_APPLIED acknowledges them in order.
 *             There is no clock (ticks are events), no I/O and no randomness but the seeded prng
 *             that draws election timeouts.
 * The log     lives in memory, bounded in bytes: entries that are applied and durable are evicted,
 *             oldest first, and read back on demand (update.log_reads -> RAFT_EV_ENTRIES_READ).
 *             raft_log_compact() forgets them for good; who needs them gets a snapshot.
 * Ownership   Entry data belong to rcbufs.  raft takes its own references on what it keeps; events
 *             and everything they point to are borrowed for the call.  Everything that an update
 *             points to lives until the next call of a function that takes a non-const raft; only
 *             update.committed also survives raft_apply_conf_change().
 *             Messages of messages_synced hold no pointers and may be copied by value.
 * Thread      core.  Limits: LIMIT_RAFT_LOG_BYTES, RAFT_MEMBERS_MAX, RAFT_CONTEXT_BYTES_MAX,
 *             RAFT_PENDING_READS_MAX, config.inflight_max.
 * Failure     raft_step returns 0 or
 *               ERR_DROPPED    a proposal or read was refused; raft_drop_reason() says why
 *               ERR_NOT_FOUND  a response from a member that is not in the configuration
 *               ERR_MALFORMED  a message that no correct member sends: close the connection
 *               ERR_CORRUPT    this member's log contradicts what is committed in the cluster (it
 *                              was lost or truncated): the member must stop
 *             Every other wrong state aborts (ensure).
 * See         peer-protocol.md 5; test/unit/raft; golden scripts in ../shared/golden/raft.
 */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include "base/err.h"
#include "raft/types.h"

enum { RAFT_PENDING_READS_MAX = 65536 }; /* reads waiting for a quorum or the first commit */

struct raft;
struct raft_trace_line;

enum raft_role {
    RAFT_FOLLOWER,
    RAFT_CANDIDATE,
    RAFT_LEADER,
    RAFT_PRE_CANDIDATE,
};

enum raft_read_mode {
    RAFT_READ_SAFE,        /* a quorum confirms the leader for each round of reads */
    RAFT_READ_LEASE_BASED, /* trusts clocks; needs check_quorum */
};

/* Sizes: 0 means what is said beside the field. */
struct raft_config {
    uint64_t id;
    uint32_t election_ticks; /* > heartbeat_ticks */
    uint32_t heartbeat_ticks;
    uint64_t seed;          /* election jitter, uniform in [E, 2E) */
    uint64_t msg_bytes_max; /* encoded entries in a MsgApp; 0 = one entry */
    uint64_t
        applying_bytes_max; /* encoded entries handed out, not yet applied; 0 = msg_bytes_max */
    uint64_t
        uncommitted_bytes_max;   /* payload bytes in the leader's uncommitted tail; 0 = no limit */
    uint64_t log_bytes_max;      /* in memory; 0 = LIMIT_RAFT_LOG_BYTES */
    uint32_t inflight_max;       /* MsgApp in flight per follower; > 0 */
    uint64_t inflight_bytes_max; /* 0 = no limit; else >= msg_bytes_max */
    bool check_quorum;
    bool pre_vote;
    enum raft_read_mode read_mode;
    bool no_proposal_forwarding;
    bool no_conf_validation; /* accept conf changes that the current configuration contradicts */
    bool step_down_on_removal;
    bool apply_unstable; /* hand out committed entries before they are locally durable: only for
                            callers that write before they apply (the golden scripts' sync form) */
    /* Called with each decision, for log lines and golden scripts (trace.h); may be NULL. */
    void (*trace)(void *arg, const struct raft *r, const struct raft_trace_line *line);
    void *trace_arg;
};

/* What storage held at start. */
struct raft_boot {
    struct raft_hard_state hard;
    struct raft_conf_state conf; /* of the applied state, not of the log's end */
    struct raft_entry_id base;   /* last entry that is compacted away; {0, 0} for a whole log */
    const struct raft_entry *entries; /* base.index + 1 ...; referenced, not consumed */
    size_t entry_count;
    raft_index applied;            /* >= base.index, or 0 = base.index */
    struct raft_snapshot snapshot; /* newest that can be sent; index 0 = none yet */
};

/* What the storage write of one update is to be acknowledged with. */
struct raft_append_ack {
    raft_term term;            /* at the time of the update */
    struct raft_entry_id last; /* index 0: no entries are acknowledged */
    raft_index snapshot_index; /* 0: no snapshot */
};

enum raft_event_type {
    RAFT_EV_TICK,
    RAFT_EV_MESSAGE,         /* message */
    RAFT_EV_PROPOSE,         /* entries: type and data count, term and index are set by raft */
    RAFT_EV_CAMPAIGN,        /* start an election now */
    RAFT_EV_READ_INDEX,      /* context comes back in update.reads */
    RAFT_EV_APPENDED,        /* ack */
    RAFT_EV_APPLIED,         /* index */
    RAFT_EV_ENTRIES_READ,    /* read, entries; entry_count 0: gone, send a snapshot instead */
    RAFT_EV_UNREACHABLE,     /* member */
    RAFT_EV_SNAPSHOT_STATUS, /* member, failed */
    RAFT_EV_TRANSFER_LEADER, /* member = the transferee */
    RAFT_EV_FORGET_LEADER,
};

/* "Read entries [lo, hi) back from the WAL for member to, at least one, up to bytes_max." */
struct raft_log_read {
    uint64_t to;
    raft_index lo;
    raft_index hi;
    uint64_t bytes_max; /* encoded size; may be 0 = one entry */
    raft_term term;     /* of this raft, to recognise a stale answer */
};

struct raft_event {
    enum raft_event_type type;
    union {
        const struct raft_message *message;
        struct {
            const struct raft_entry *entries;
            size_t entry_count;
            struct raft_log_read read; /* ENTRIES_READ: the request, as it was given */
        };
        struct raft_context context;
        struct raft_append_ack ack;
        raft_index index;
        struct {
            uint64_t member;
            bool failed;
        };
    };
};

enum raft_drop_reason {
    RAFT_DROP_NONE,
    RAFT_DROP_NO_LEADER,
    RAFT_DROP_NO_FORWARDING,
    RAFT_DROP_NOT_A_MEMBER,    /* this leader was removed */
    RAFT_DROP_TRANSFERRING,    /* leadership is being handed over */
    RAFT_DROP_UNCOMMITTED,     /* uncommitted_bytes_max */
    RAFT_DROP_BAD_CONF_CHANGE, /* entry data cannot be read */
    RAFT_DROP_TOO_MANY_READS,  /* RAFT_PENDING_READS_MAX */
};

struct raft_read_state {
    raft_index index; /* serve when applied >= index */
    struct raft_context context;
};

struct raft_update {
    bool soft_changed;
    enum raft_role role;
    uint64_t leader; /* 0 = none */

    /* One storage write.  Without has_append there is nothing to write or to wait for. */
    bool has_append;
    bool must_sync; /* false (only the commit index moved, or only messages wait their turn): the
                       write needs no sync; messages_synced and ack wait for earlier writes only */
    bool hard_changed;
    struct raft_hard_state hard;
    const struct raft_entry *entries; /* the log is cut at entries[0].index, then these follow */
    size_t entry_count;
    const struct raft_snapshot *snapshot; /* to install before entries are appended; NULL = none */
    const struct raft_message *messages_synced; /* MsgAppResp, MsgVoteResp, MsgPreVoteResp */
    size_t messages_synced_count;
    bool needs_ack;
    struct raft_append_ack ack;

    const struct raft_message *messages; /* may overtake the write */
    size_t message_count;

    const struct raft_entry *committed; /* to apply, in order */
    size_t committed_count;

    const struct raft_read_state *reads;
    size_t read_count;
    const struct raft_log_read *log_reads;
    size_t log_read_count;
};

/* ERR_INVALID for a wrong config, ERR_CORRUPT when boot contradicts itself. */
MUST_USE int raft_create(const struct raft_config *config, const struct raft_boot *boot,
                         struct raft **out_raft);
void raft_destroy(struct raft *r);

/* First start of a cluster: RAFT_ENTRY_CONF_CHANGE entries that add the members, committed at once
 * at term 1 (peer-protocol 5.1).  The log must be empty. */
MUST_USE int raft_bootstrap(struct raft *r, const struct raft_entry *entries, size_t count);

MUST_USE int raft_step(struct raft *r, const struct raft_event *ev);
enum raft_drop_reason raft_drop_reason(const struct raft *r); /* of the last ERR_DROPPED */
bool raft_has_update(const struct raft *r);
void raft_take(struct raft *r, struct raft_update *out_update);

/* A committed conf-change entry is being applied.  A refused change is passed with node_id 0.
 * ERR_INVALID: the change is impossible in this configuration; nothing was changed. */
MUST_USE int raft_apply_conf_change(struct raft *r, const struct raft_conf_change_v2 *cc,
                                    struct raft_conf_state *out_conf);
/* The snapshot that followers below the log get from now on. */
void raft_set_snapshot(struct raft *r, const struct raft_snapshot *snapshot);
/* Forgets entries <= index; index <= applied.  Call only when they are in a snapshot. */
void raft_log_compact(struct raft *r, raft_index index);

/* Entry data of a conf change (raftpb bytes).  decode: ERR_MALFORMED, ERR_LIMIT. */
MUST_USE int raft_conf_change_decode(enum raft_entry_type type, struct slice data,
                                     struct raft_conf_change_v2 *out_cc);
/* V1 with its id; for type RAFT_ENTRY_CONF_CHANGE. */
MUST_USE int raft_conf_change_v1_decode(struct slice data, struct raft_conf_change *out_cc);
void raft_conf_change_v1_encode(const struct raft_conf_change *cc, struct buf *out);
void raft_conf_change_v2_encode(const struct raft_conf_change_v2 *cc, struct buf *out);

/* Log queries.  Bounds: compacted < first <= last. */
raft_index raft_log_first_index(const struct raft *r); /* first that is not compacted */
raft_index raft_log_last_index(const struct raft *r);
/* ERR_NOT_FOUND outside [first - 1, last]. */
MUST_USE int raft_log_term(const struct raft *r, raft_index index, raft_term *out_term);
/* Entries [lo, hi) when all are in memory, else NULL; every entry above applied is. */
const struct raft_entry *raft_log_entries(const struct raft *r, raft_index lo, raft_index hi);

enum raft_progress_state {
    RAFT_PROGRESS_PROBE,
    RAFT_PROGRESS_REPLICATE,
    RAFT_PROGRESS_SNAPSHOT,
};

struct raft_member_status {
    uint64_t id;
    enum raft_progress_state state;
    raft_index match;
    raft_index next;
    raft_index pending_snapshot;
    uint32_t inflight_count;
    bool is_learner;
    bool is_paused;
    bool recent_active;
};

struct raft_status {
    uint64_t id;
    struct raft_hard_state hard;
    enum raft_role role;
    uint64_t leader;
    uint64_t transferee; /* 0 = none */
    raft_index applied;
    raft_index last_index;
    bool is_learner;
    size_t log_bytes; /* in memory */
    size_t pending_reads;
};

void raft_status(const struct raft *r, struct raft_status *out_status);
void raft_conf_state(const struct raft *r, struct raft_conf_state *out_conf);
/* Members by ascending id; meaningful on the leader.  Returns how many there are; writes at most
 * max. */
size_t raft_member_statuses(const struct raft *r, struct raft_member_status *out, size_t max);

/* Walks every invariant; aborts on a broken one.  For tests and the simulator. */
void raft_check(const struct raft *r);

#endif
