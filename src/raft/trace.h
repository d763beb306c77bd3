/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/trace: what raft decided, as values; texts are made by whoever listens.
 *
 * Each kind names the numbers in v, in order, and the subject pointer if there is one.  They follow
 * the log lines of etcd's raft one by one, so that a listener can print the same words (the golden
 * scripts' driver does).  Without a listener a trace costs one test of a pointer.
 */
#ifndef RAFT_TRACE_H
#define RAFT_TRACE_H

#include "raft/raft.h"

enum { RAFT_TRACE_VALUES_MAX = 10 };

enum raft_trace_kind {
    /* life */
    RAFT_TRACE_CREATED,              /* id, term, commit, applied, last index, last term */
    RAFT_TRACE_CONFIG,               /* id; the configuration is in force now */
    RAFT_TRACE_BECAME_FOLLOWER,      /* id, term */
    RAFT_TRACE_BECAME_CANDIDATE,     /* id, term */
    RAFT_TRACE_BECAME_PRE_CANDIDATE, /* id, term */
    RAFT_TRACE_BECAME_LEADER,        /* id, term */
    /* elections */
    RAFT_TRACE_CAMPAIGN_AS_LEADER,    /* id */
    RAFT_TRACE_UNPROMOTABLE,          /* id */
    RAFT_TRACE_CAMPAIGN_PENDING_CONF, /* id, term */
    RAFT_TRACE_CAMPAIGN,              /* id, term */
    RAFT_TRACE_SENT_VOTE_REQUEST,     /* id, last term, last index, message type, to, term */
    RAFT_TRACE_VOTE_RECEIVED,         /* id, message type, from, term */
    RAFT_TRACE_VOTE_REFUSED,          /* id, message type, from, term */
    RAFT_TRACE_VOTE_COUNT,            /* id, granted, message type, rejected */
    /* id, last term, last index, vote, type, from, its last term and index, term, ticks of lease */
    RAFT_TRACE_VOTE_LEASE,
    /* id, last term, last index, vote, type, from, its last term and index, term */
    RAFT_TRACE_VOTE_CAST,
    RAFT_TRACE_VOTE_REJECTED,
    RAFT_TRACE_TIMEOUT_NOW,         /* id, term, from */
    RAFT_TRACE_TIMEOUT_NOW_IGNORED, /* id, term, role, from */
    RAFT_TRACE_QUORUM_LOST,         /* id */
    /* terms */
    RAFT_TRACE_HIGHER_TERM,  /* id, term, message type, from, its term */
    RAFT_TRACE_LOWER_TERM,   /* id, term, message type, from, its term */
    RAFT_TRACE_STALE_APPEND, /* id, term, ack's term */
    /* proposals and conf changes */
    RAFT_TRACE_DROP_NO_LEADER,     /* id, term */
    RAFT_TRACE_DROP_NO_FORWARDING, /* id, leader, term */
    RAFT_TRACE_DROP_TRANSFERRING,  /* id, term, transferee */
    RAFT_TRACE_DROP_UNCOMMITTED,   /* id */
    RAFT_TRACE_CONF_PENDING, /* id, pending index, applied; subject struct raft_conf_change_v2 */
    RAFT_TRACE_CONF_JOINT,   /* id; subject struct raft_conf_change_v2 */
    RAFT_TRACE_CONF_EMPTY,   /* id; subject struct raft_conf_change_v2 */
    RAFT_TRACE_AUTO_LEAVE,   /* - */
    RAFT_TRACE_AUTO_LEAVE_DROPPED, /* - */
    /* replication */
    RAFT_TRACE_APPEND_REJECTED,    /* id, our term there, index, log term, index, from */
    RAFT_TRACE_REJECTION,          /* id, hint, log term, from, index */
    RAFT_TRACE_PROGRESS_DECREASED, /* id, member; subject struct raft_progress */
    RAFT_TRACE_SNAPSHOT_INACTIVE,  /* member */
    RAFT_TRACE_SNAPSHOT_NONE,      /* id, member */
    RAFT_TRACE_SNAPSHOT_SENT, /* id, first, commit, index, term, member; subject raft_progress */
    RAFT_TRACE_PAUSED,        /* id, member; subject struct raft_progress */
    RAFT_TRACE_SNAPSHOT_RECOVERED, /* id, member; subject struct raft_progress */
    RAFT_TRACE_SNAPSHOT_SUCCEEDED, /* id, member; subject struct raft_progress */
    RAFT_TRACE_SNAPSHOT_FAILED,    /* id, member; subject struct raft_progress */
    RAFT_TRACE_UNREACHABLE,        /* id, member; subject struct raft_progress */
    RAFT_TRACE_NO_PROGRESS,        /* id, member */
    /* snapshots received */
    RAFT_TRACE_SNAPSHOT_RESTORED,     /* id, commit, index, term */
    RAFT_TRACE_SNAPSHOT_IGNORED,      /* id, commit, index, term */
    RAFT_TRACE_SNAPSHOT_NOT_MEMBER,   /* id */
    RAFT_TRACE_SNAPSHOT_FAST_FORWARD, /* id, commit, last index, last term, index, term */
    RAFT_TRACE_RESTORED,              /* id, commit, last index, last term, index, term */
    RAFT_TRACE_RESTORING,             /* index, term */
    /* transfer, forget, reads */
    RAFT_TRACE_TRANSFER_LEARNER,   /* id */
    RAFT_TRACE_TRANSFER_SAME,      /* id, term, member */
    RAFT_TRACE_TRANSFER_ABORTED,   /* id, term, member */
    RAFT_TRACE_TRANSFER_SELF,      /* id */
    RAFT_TRACE_TRANSFER_STARTED,   /* id, term, member */
    RAFT_TRACE_TRANSFER_IMMEDIATE, /* id, member */
    RAFT_TRACE_TRANSFER_CAUGHT_UP, /* id, member */
    RAFT_TRACE_TRANSFER_NO_LEADER, /* id, term */
    RAFT_TRACE_FORGET_LEASE,       /* - */
    RAFT_TRACE_FORGET,             /* id, leader, term */
    RAFT_TRACE_READ_NO_LEADER,     /* id, term */
    /* log */
    RAFT_TRACE_LOG_CONFLICT,    /* index, existing term, conflicting term */
    RAFT_TRACE_LOG_REPLACED,    /* index */
    RAFT_TRACE_LOG_TRUNCATED,   /* index */
    RAFT_TRACE_STABLE_MISSING,  /* index */
    RAFT_TRACE_STABLE_SNAPSHOT, /* index */
    RAFT_TRACE_STABLE_MISMATCH, /* index, acknowledged term, our term */
    RAFT_TRACE_KIND_COUNT,
};

struct raft_trace_line {
    enum raft_trace_kind kind;
    uint64_t v[RAFT_TRACE_VALUES_MAX];
    const void *subject;
};

struct raft_tracer {
    void (*fn)(void *arg, const struct raft *r, const struct raft_trace_line *line);
    void *arg;
    const struct raft *raft;
};

#define RAFT_TRACE_ABOUT(tracer, what, about, ...)                                                 \
    do {                                                                                           \
        const struct raft_tracer *t_ = (tracer);                                                   \
        if (t_->fn != NULL) {                                                                      \
            const struct raft_trace_line line_ = {                                                 \
                .kind = (what), .v = {__VA_ARGS__}, .subject = (about)};                           \
            t_->fn(t_->arg, t_->raft, &line_);                                                     \
        }                                                                                          \
    } while (0)

#define RAFT_TRACE(tracer, what, ...) RAFT_TRACE_ABOUT(tracer, what, NULL, __VA_ARGS__)

#endif
