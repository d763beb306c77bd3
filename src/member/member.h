/* SPDX-License-Identifier: Apache-2.0
 *
 * member/member: who is in the cluster: members, their JSON and ids, and what a configuration
 * change does to the list.
 *
 * Problem     Every member must compute the same ids and write the same JSON, and must refuse the
 *             same configuration changes, or clusters diverge.
 * Design      struct membership is a plain value: members ascending by id, removed ids ascending.
 *             conf_change_check answers as etcd's apply does; conf_change_apply changes the list
 *             and says what happened, so that the caller writes it (member_put,
 *             schema_remove_member) and starts or stops the peer.
 * Invariants  I1 ids ascending and unique; I2 no id is both member and removed; (membership_check)
 * Ownership   A member owns its strings, a membership its members.
 * Thread      core (main loop); pure functions otherwise.
 * Limits      SCHEMA_MEMBERS_MAX, SCHEMA_REMOVED_MAX, MEMBER_URLS_MAX.
 * Failure     ERR_MALFORMED for JSON that cannot be read (a member that applies such an entry must
 *             halt), ERR_RPC_MEMBER_* for a refused change (the normal path for bad requests).
 * See         peer-protocol 1, 4.5, 4.7, 6.6; storage-formats 2.3; test/unit/member/.
 */
#ifndef MEMBER_MEMBER_H
#define MEMBER_MEMBER_H

#include "member/strs.h"
#include "raft/types.h"
#include "schema/schema.h"

enum { MEMBER_URLS_MAX = 1024 };

struct member {
    uint64_t id;
    char *name; /* "" until it has published itself: not started */
    struct strs peer_urls;
    struct strs client_urls;
    bool is_learner;
};

void member_init(struct member *m);
void member_deinit(struct member *m);
void member_copy(struct member *out, const struct member *from);
static inline bool member_is_started(const struct member *m)
{
    return m->name[0] != '\0';
}

/* ---- JSON (2.3) ---- */

void member_json(struct buf *out, const struct member *m);
/* Any order, any case of keys, unknown keys skipped; id keeps its value when there is none in the
 * text, so set it before from the bucket's key. *m must be initialised; untouched on failure. */
MUST_USE int member_json_parse(struct slice json, struct member *m);
/* {"peerURLs":..,"isLearner":..} and {"name":..,"clientURLs":..}: the two leaves of the v2 store.
 */
void member_raft_attributes_json(struct buf *out, const struct member *m);
void member_attributes_json(struct buf *out, const struct member *m);

/* Context of a configuration change: a member, and the mark of a promotion. */
struct member_context {
    struct member member;
    bool is_promote;
};

void member_context_deinit(struct member_context *c);
MUST_USE int member_context_parse(struct slice json, struct member_context *out);
/* {"id":N,"peerURLs":null,"isPromote":true} */
void member_promote_json(struct buf *out, uint64_t id);

/* ---- ids ---- */

/* token: the cluster's at bootstrap, "" for a member added at run time; unix_s < 0: no time. */
uint64_t member_id_compute(const struct strs *peer_urls, const char *token, int64_t unix_s);

/* ---- the list ---- */

struct membership {
    struct member *members;
    size_t count;
    uint64_t *removed;
    size_t removed_count;
};

void membership_init(struct membership *ms);
void membership_deinit(struct membership *ms);
void membership_check(const struct membership *ms);
/* From what schema_boot_load found.  ERR_CORRUPT. */
MUST_USE int membership_load(struct membership *out, const struct schema_boot *boot);

struct member *membership_find(const struct membership *ms, uint64_t id);
/* NULL when there is none, or more than one. */
struct member *membership_find_name(const struct membership *ms, const char *name);
bool membership_is_removed(const struct membership *ms, uint64_t id);
/* Takes the member over; its id must be new. */
struct member *membership_add(struct membership *ms, struct member *m);
/* Marks it as removed too. */
void membership_remove(struct membership *ms, uint64_t id);
void membership_mark_removed(struct membership *ms, uint64_t id);
uint64_t membership_cluster_id(const struct membership *ms);
/* Voters and learners as raft wants them at start (3.7's rule). ERR_LIMIT. */
MUST_USE int membership_conf_state(const struct membership *ms, struct raft_conf_state *out);
size_t membership_voter_count(const struct membership *ms);
size_t membership_learner_count(const struct membership *ms);

/* Writes the member into the members bucket. */
void member_put(struct backend *b, const struct member *m);

/* ---- configuration changes (peer-protocol 4.7) ---- */

/* 0, ERR_RPC_MEMBER_NOT_FOUND (also: removed before), ERR_RPC_MEMBER_EXISTS,
 * ERR_RPC_PEER_URL_EXISTS, ERR_RPC_TOO_MANY_LEARNERS, ERR_RPC_MEMBER_NOT_LEARNER; ERR_MALFORMED:
 * the context, halt. */
MUST_USE int membership_conf_change_check(const struct membership *ms,
                                          const struct raft_conf_change *cc, size_t max_learners);

enum member_effect {
    MEMBER_EFFECT_NONE,
    MEMBER_EFFECT_ADDED,
    MEMBER_EFFECT_PROMOTED,
    MEMBER_EFFECT_UPDATED, /* peer URLs */
    MEMBER_EFFECT_REMOVED,
};

/* The change must have passed the check.  ERR_MALFORMED as above, nothing changed then. */
MUST_USE int membership_conf_change_apply(struct membership *ms, const struct raft_conf_change *cc,
                                          enum member_effect *out);
/* Published attributes.  ERR_RPC_MEMBER_NOT_FOUND: the member is removed, the update is ignored;
 * ERR_NOT_FOUND: it never was (etcd panics). */
MUST_USE int membership_set_attributes(struct membership *ms, uint64_t id, const char *name,
                                       const struct strs *client_urls);

/* ---- guards of the API (peer-protocol 6.6) ---- */

bool membership_is_ready_to_add_voter(const struct membership *ms);
bool membership_is_ready_to_remove_voter(const struct membership *ms, uint64_t id);
bool membership_is_ready_to_promote(const struct membership *ms);

#endif
