/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/types: the plain values of consensus: entries, hard state, configuration, snapshot metadata.
 *
 * raft sees base only; wal and peer translate these to raftpb bytes (peer-protocol 3).
 * Entry data is borrowed from an rcbuf that many entries of one batch share: an entry that is kept
 * holds a reference to its owner.
 */
#ifndef RAFT_TYPES_H
#define RAFT_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rcbuf.h"

typedef uint64_t raft_index;
typedef uint64_t raft_term;

enum { RAFT_MEMBERS_MAX = 64 }; /* voters, outgoing voters and learners: each list */

struct raft_entry_id {
    raft_term term;
    raft_index index;
};

enum raft_entry_type {
    RAFT_ENTRY_NORMAL = 0,
    RAFT_ENTRY_CONF_CHANGE = 1,
    RAFT_ENTRY_CONF_CHANGE_V2 = 2,
};

struct raft_entry {
    raft_term term;
    raft_index index;
    enum raft_entry_type type;
    struct slice data;   /* inside owner, or static, or empty */
    struct rcbuf *owner; /* one reference belongs to this entry; NULL when data is empty/static */
};

struct raft_hard_state {
    raft_term term;
    uint64_t vote;
    raft_index commit;
};

static inline bool raft_hard_state_is_empty(const struct raft_hard_state *hs)
{
    return hs->term == 0 && hs->vote == 0 && hs->commit == 0;
}

/* Member ids, ascending, unique. */
struct raft_ids {
    uint32_t count;
    uint64_t ids[RAFT_MEMBERS_MAX];
};

struct raft_conf_state {
    struct raft_ids voters;
    struct raft_ids learners;
    struct raft_ids voters_outgoing;
    struct raft_ids learners_next;
    bool auto_leave;
};

struct raft_snapshot_meta {
    raft_index index;
    raft_term term;
    struct raft_conf_state conf;
};

enum raft_conf_change_type {
    RAFT_CONF_ADD_NODE = 0,
    RAFT_CONF_REMOVE_NODE = 1,
    RAFT_CONF_UPDATE_NODE = 2,
    RAFT_CONF_ADD_LEARNER = 3,
};

struct raft_conf_change {
    uint64_t id; /* of the request, for the waiter */
    enum raft_conf_change_type type;
    uint64_t node_id;
    struct slice context; /* borrowed */
};

/* One operation of a change of either version. */
struct raft_conf_single {
    enum raft_conf_change_type type;
    uint64_t node_id; /* 0: refused by the member while applying; nothing happens */
};

enum raft_conf_transition {
    RAFT_TRANSITION_AUTO = 0, /* simple if there is one operation, else joint + auto leave */
    RAFT_TRANSITION_JOINT_IMPLICIT = 1, /* joint, left automatically */
    RAFT_TRANSITION_JOINT_EXPLICIT = 2, /* joint until an empty change */
};

/* The general form; a V1 change is read into it too (one operation, AUTO). */
struct raft_conf_change_v2 {
    enum raft_conf_transition transition;
    uint32_t count;
    struct raft_conf_single changes[RAFT_MEMBERS_MAX];
    struct slice context; /* borrowed */
};

/* The position, the members at it, and a handle that raft passes on without looking at it. */
struct raft_snapshot {
    struct raft_snapshot_meta meta;
    void *handle;
};

/* Network messages; the numbers are raftpb's (peer-protocol 3.1).  Local message types of etcd are
 * events here (raft.h). */
enum raft_message_type {
    RAFT_MSG_PROP = 2,
    RAFT_MSG_APP = 3,
    RAFT_MSG_APP_RESP = 4,
    RAFT_MSG_VOTE = 5,
    RAFT_MSG_VOTE_RESP = 6,
    RAFT_MSG_SNAP = 7,
    RAFT_MSG_HEARTBEAT = 8,
    RAFT_MSG_HEARTBEAT_RESP = 9,
    RAFT_MSG_TRANSFER_LEADER = 13,
    RAFT_MSG_TIMEOUT_NOW = 14,
    RAFT_MSG_READ_INDEX = 15,
    RAFT_MSG_READ_INDEX_RESP = 16,
    RAFT_MSG_PRE_VOTE = 17,
    RAFT_MSG_PRE_VOTE_RESP = 18,
    RAFT_MSG_TYPE_END = 19,
};

enum { RAFT_CONTEXT_BYTES_MAX = 32 }; /* etcd uses 8 (reads) and 16 ("CampaignTransfer") */

struct raft_context {
    uint8_t len;
    uint8_t bytes[RAFT_CONTEXT_BYTES_MAX];
};

/*
 * Which fields a type uses: peer-protocol 3.3.  Two things differ from the wire: for READ_INDEX and
 * READ_INDEX_RESP the data of the message's single entry is in context and entries is empty (the
 * translator drops a wire message with another number of entries); snapshot is a pointer.
 */
struct raft_message {
    enum raft_message_type type;
    uint64_t to;
    uint64_t from;
    raft_term term; /* 0 only in PROP and READ_INDEX */
    raft_term log_term;
    raft_index index;
    raft_index commit;
    bool reject;
    raft_index reject_hint;
    const struct raft_entry *entries; /* borrowed */
    size_t entry_count;
    const struct raft_snapshot *snapshot; /* borrowed; SNAP only */
    struct raft_context context;
};

#endif
