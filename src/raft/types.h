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

#endif
