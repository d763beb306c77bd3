/* SPDX-License-Identifier: Apache-2.0
 *
 * member/version: which targets a downgrade may have, and at which level a member joins or rises.
 * What the leader makes of its members' versions is core/version.
 *
 * Problem     A member of a version that the cluster does not speak ends real etcd members, or is
 *             ended by them.
 * Design      Pure functions over what the members' /version pages said.
 * Thread      any. Failure see each function.
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
