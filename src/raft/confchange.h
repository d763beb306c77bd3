/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/confchange: one configuration into the next.
 *
 * A simple change moves at most one voter.  Anything larger goes through a joint configuration
 * (incoming and outgoing voters, decisions need both) and leaves it later.  Functions work on a
 * copy of the members; the caller puts it back (raft_tracker_replace) when they succeed and drops
 * it when they fail.
 *
 * See         Ongaro's dissertation, 4.3; peer-protocol 5.9.
 */
#ifndef RAFT_CONFCHANGE_H
#define RAFT_CONFCHANGE_H

#include "raft/tracker.h"

enum raft_changer_error {
    RAFT_CHANGER_OK,
    RAFT_CHANGER_SIMPLE_IN_JOINT, /* a simple change while the configuration is joint */
    RAFT_CHANGER_MANY_VOTERS,     /* a simple change of more than one voter */
    RAFT_CHANGER_ALREADY_JOINT,
    RAFT_CHANGER_NO_VOTERS_TO_JOIN, /* entering a joint state from an empty configuration */
    RAFT_CHANGER_NOT_JOINT,         /* leaving what is not joint */
    RAFT_CHANGER_REMOVED_ALL_VOTERS,
    RAFT_CHANGER_TOO_MANY_MEMBERS, /* RAFT_MEMBERS_MAX */
    RAFT_CHANGER_INCONSISTENT,     /* restore: a conf state that describes no configuration */
};

struct raft_changer {
    struct raft_members *members; /* the copy being changed */
    raft_index last_index;        /* where probing of a new member starts */
    uint32_t inflight_max;
    uint64_t inflight_bytes_max;
};

MUST_USE enum raft_changer_error
raft_changer_simple(struct raft_changer *c, const struct raft_conf_single *changes, uint32_t count);
MUST_USE enum raft_changer_error raft_changer_enter_joint(struct raft_changer *c, bool auto_leave,
                                                          const struct raft_conf_single *changes,
                                                          uint32_t count);
MUST_USE enum raft_changer_error raft_changer_leave_joint(struct raft_changer *c);
/* Builds the configuration of a conf state out of an empty one. */
MUST_USE enum raft_changer_error raft_changer_restore(struct raft_changer *c,
                                                      const struct raft_conf_state *conf);

/* How a change is to be carried out. */
bool raft_conf_change_leaves_joint(const struct raft_conf_change_v2 *cc);
bool raft_conf_change_enters_joint(const struct raft_conf_change_v2 *cc, bool *out_auto_leave);

#endif
