/* SPDX-License-Identifier: Apache-2.0
 *
 * member/initial: `--initial-cluster`: name=url,name=url, and the checks of a first start and of a
 * join.
 *
 * Ownership   The struct owns its strings. Thread any.
 * Failure     ERR_INVALID (ERR_MISMATCH for URLs that differ), etcd's text appended to *error.
 * See         cli.md 1.6; peer-protocol 6.1, 6.2; storage-formats 5.6;
 *             test/unit/member/initial_test.c.
 */
#ifndef MEMBER_INITIAL_H
#define MEMBER_INITIAL_H

#include "member/member.h"
#include "member/url.h"

struct initial_member {
    char *name;
    struct strs urls; /* sorted */
};

/* Ascending by name. */
struct initial_cluster {
    struct initial_member *items;
    size_t count;
};

void initial_cluster_deinit(struct initial_cluster *ic);
MUST_USE int initial_cluster_parse(const char *text, struct initial_cluster *out,
                                   struct buf *error);
const struct initial_member *initial_cluster_find(const struct initial_cluster *ic,
                                                  const char *name);
bool initial_cluster_has_duplicate_url(const struct initial_cluster *ic);
/* name=url pairs, sorted, with commas. */
void initial_cluster_text(struct buf *out, const struct initial_cluster *ic);

/* The checks before a new cluster is made; has_discovery allows an empty one. */
MUST_USE int initial_cluster_verify_bootstrap(const struct initial_cluster *ic, const char *name,
                                              const struct strs *advertised, bool has_discovery,
                                              const struct url_resolver *resolver,
                                              struct buf *error);
/* The checks before an existing cluster is joined. */
MUST_USE int initial_cluster_verify_join(const struct initial_cluster *ic, const char *name,
                                         bool has_discovery, struct buf *error);

/* Members with ids from URLs and token; none is a learner. */
MUST_USE int initial_cluster_members(const struct initial_cluster *ic, const char *token,
                                     struct membership *out, struct buf *error);
/* Gives local members the ids that the existing cluster has for the same URLs. */
MUST_USE int membership_match_existing(struct membership *local, const struct membership *existing,
                                       const struct url_resolver *resolver, struct buf *error);

#endif
