/* SPDX-License-Identifier: Apache-2.0
 *
 * member/corrupt: does this member hold the same data as the others: the initial check, the
 * periodic check and the check of compaction hashes.
 *
 * Problem     A wrong alarm stops a healthy cluster, a missing one lets damage spread: the
 *             decisions must be etcd's, and a peer that lies, lags or is silent must not confuse
 *             them.
 * Design      A state machine without I/O.  It says what it wants to know, the caller brings it:
 *
 *                 initial   own hash, peers' hash at that revision           -> pass or refuse
 *                 periodic  own hash, peers', linearizable read, own hash    -> at most one alarm
 *                 compact   cached hash of a compaction, peers' at its revision; the next older
 *                           one while a peer could not be asked               -> alarms
 *
 * Invariants  Every peer is waited for exactly once a round; an answer from anybody else, or a
 *             second one, is ignored.
 * Ownership   The struct is the caller's, nothing is allocated. Thread any.
 * Limits      CORRUPT_PEERS_MAX, CORRUPT_HASHES_MAX.
 * Failure     corrupt_verdict.err; nothing else can fail.
 * See         peer-protocol 6.9; test/unit/member/corrupt_test.c.
 */
#ifndef MEMBER_CORRUPT_H
#define MEMBER_CORRUPT_H

#include "member/peer_body.h"

enum {
    CORRUPT_PEERS_MAX = 2 * RAFT_MEMBERS_MAX, /* voters and learners */
    CORRUPT_HASHES_MAX = 16,                  /* compaction hashes that the store keeps */
};

enum corrupt_kind { CORRUPT_INITIAL, CORRUPT_PERIODIC, CORRUPT_COMPACT };

enum corrupt_want {
    CORRUPT_WANT_LOCAL, /* own HashKV of the newest revision */
    CORRUPT_WANT_PEERS, /* every peer's hashkv at a revision */
    CORRUPT_WANT_READ,  /* a linearizable point */
    CORRUPT_DONE,
};

struct corrupt_peer {
    uint64_t id;
    bool has_answered;
    int err; /* 0: hash is there */
    struct member_hash hash;
};

struct corrupt_verdict {
    int err; /* INITIAL: ERR_CORRUPT; any: why the check could not be made */
    uint64_t alarms[CORRUPT_PEERS_MAX + 1]; /* members to raise CORRUPT for; 0: the whole cluster */
    size_t alarm_count;
    int64_t checked_rev; /* COMPACT: equal on all members up to here */
};

struct corrupt_check {
    enum corrupt_kind kind;
    enum corrupt_want want;
    uint64_t local_id;
    struct member_hash first;
    struct member_hash second;
    bool has_first;
    struct corrupt_peer peers[CORRUPT_PEERS_MAX];
    size_t peer_count;
    struct member_hash hashes[CORRUPT_HASHES_MAX]; /* COMPACT: newest first, unchecked ones */
    size_t hash_count;
    size_t hash_at;
    struct corrupt_verdict verdict;
};

/* Peers: all members of ms but the local one that have peer URLs. */
void corrupt_begin(struct corrupt_check *c, enum corrupt_kind kind, uint64_t local_id,
                   const struct membership *ms);
/* COMPACT only, right after begin: the store's cached hashes, any order, and the revision up to
 * which all have been found equal before (0: none). */
void corrupt_hashes(struct corrupt_check *c, const struct member_hash *hashes, size_t count,
                    int64_t checked_rev);

/* What is wanted now; *out_rev: PEERS, the revision to ask them for. */
enum corrupt_want corrupt_want(const struct corrupt_check *c, int64_t *out_rev);
void corrupt_on_local(struct corrupt_check *c, int err, const struct member_hash *hash);
/* err: of member_hash_answer, or any other when the peer could not be asked. */
void corrupt_on_peer(struct corrupt_check *c, uint64_t id, int err, const struct member_hash *hash);
void corrupt_on_read(struct corrupt_check *c, int err);

#endif
