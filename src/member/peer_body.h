/* SPDX-License-Identifier: Apache-2.0
 *
 * member/peer_body: what stands in the bodies of the peer port's pages that are not raft's:
 * /members, /members/promote, /members/hashkv, /version, /downgrade/enabled.
 *
 * Problem     Both sides must read what the other wrote, of every etcd version, and a peer may be
 *             wrong, old or hostile.
 * Design      Writers append Go's exact bytes; readers take any order and case of keys, skip what
 *             they do not know, and bound every list. The other half, what this member's pages
 *             answer, is in peer/pages.
 * Ownership   Writers append to the caller's buf; what is read owns its memory. Thread any.
 * Limits      SCHEMA_MEMBERS_MAX members, MEMBER_URLS_MAX URLs each, MEMBER_BODY_MAX bytes.
 * Failure     ERR_MALFORMED, ERR_LIMIT; ERR_RPC_* where a peer's refusal has a meaning.
 * See         peer-protocol 2.13; test/unit/member/peer_body_test.c, test/fuzz/peer_body_fuzz.c.
 */
#ifndef MEMBER_PEER_BODY_H
#define MEMBER_PEER_BODY_H

#include "member/member.h"

enum {
    MEMBER_BODY_MAX = 8 << 20,   /* of an answer from a peer */
    MEMBER_VERSION_TEXT_MAX = 64 /* longer ones are cut: they are no version */
};

/* ---- /members ---- */

/* The array; an empty list is `null`, as Go writes it.  The page adds a newline. */
void member_list_json(struct buf *out, const struct membership *ms);
/* Members only, nothing removed.  An empty list and `null` are read as no members. */
MUST_USE int member_list_parse(struct slice json, struct membership *out);

/* ---- /version ---- */

struct member_versions {
    char server[MEMBER_VERSION_TEXT_MAX];
    char cluster[MEMBER_VERSION_TEXT_MAX]; /* "not_decided" while there is none */
    char storage[MEMBER_VERSION_TEXT_MAX]; /* "" below 3.6, "unknown" when it cannot be found */
};

/* cluster, storage: none = not decided, unknown.  has_storage: the level's (level_rules). */
void member_versions_json(struct buf *out, const char *server, struct semver cluster,
                          bool has_storage, struct semver storage);
MUST_USE int member_versions_parse(struct slice json, struct member_versions *out);

/* ---- /members/hashkv ---- */

struct member_hash {
    int64_t rev; /* newest of the member when it was asked */
    uint32_t hash;
    int64_t compact_rev; /* -1: never compacted */
    int64_t hash_rev;    /* hashed up to; 0 from 3.5, which does not say it */
};

void member_hash_request_json(struct buf *out, int64_t rev);
/* What a peer answered: ERR_RPC_COMPACTED, ERR_RPC_FUTURE_REV, ERR_RPC_CLUSTER_ID_MISMATCH,
 * ERR_MALFORMED for anything else that is no hash. */
MUST_USE int member_hash_answer(unsigned status, struct slice body, struct member_hash *out);

/* ---- /members/promote/{id} ---- */

/* The leader's answer to a forwarded promotion: the new list, or ERR_RPC_MEMBER_NOT_FOUND,
 * ERR_RPC_MEMBER_NOT_LEARNER, ERR_RPC_LEARNER_NOT_READY: final;
 * ERR_AGAIN: anything else, the next URL may do better. */
MUST_USE int member_promote_answer(unsigned status, struct slice body, struct membership *out);

#endif
