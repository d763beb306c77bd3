/* SPDX-License-Identifier: Apache-2.0
 *
 * member/version: which version a cluster runs as: the decision of its leader, downgrade jobs, and
 * at which level a member joins or rises.
 *
 * Problem     Members of different versions must agree on one cluster version that all of them can
 *             speak; a wrong step ends real etcd members.
 * Design      Pure functions over what the members' /version pages said.
 * Thread      any.   Failure  see each function.
 * See         peer-protocol 6.2, 6.4, 6.5; design.md 1; test/unit/member/version_test.c.
 */
#ifndef MEMBER_VERSION_H
#define MEMBER_VERSION_H

#include "member/peer_body.h"

/* What one member said, or that nothing is known of it. */
struct member_answer {
    uint64_t id;
    bool is_known;
    struct member_versions versions;
};

/* Lowest server version as X.Y.0, none when a member is unknown or its version cannot be read (one
 * log line says which). */
struct semver version_lowest(const struct member_answer *answers, size_t count);

/* What the leader proposes as cluster version; none: nothing.  lowest: of version_lowest.
 * ERR_RPC_DOWNGRADE_INVALID: a job's target does not fit; nothing is proposed, the leader logs it.
 */
MUST_USE int version_decide(struct semver cluster, struct semver lowest,
                            const struct schema_downgrade *job, struct semver *out);
/* True when every member runs as the job's target: the job is over. */
bool version_job_is_done(const struct member_answer *answers, size_t count,
                         const struct schema_downgrade *job);

/* ---- the Downgrade call ---- */

/* "3.6" or "3.6.0", strictly: X.Y.0 in *out.  ERR_RPC_DOWNGRADE_FORMAT. */
MUST_USE int version_target_parse(struct slice text, struct semver *out);
/* ERR_RPC_DOWNGRADE_INVALID: not one minor below; ERR_RPC_DOWNGRADE_IN_PROGRESS. */
MUST_USE int version_downgrade_check(struct semver cluster, struct semver target,
                                     const struct schema_downgrade *job);

/* ---- levels ---- */

/* At which level a member joins a cluster whose others said this: the cluster's.  ERR_VERSION:
 * "incompatible with current running cluster". */
MUST_USE int version_join_level(const struct member_answer *others, size_t count, enum level *out);
/* The level that `upgrade finish` raises to from this one; the same one at the top. */
enum level version_next_level(enum level level);

#endif
