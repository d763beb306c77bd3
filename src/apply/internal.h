/* SPDX-License-Identifier: Apache-2.0
 *
 * apply/internal: the state that the links of the chain share.  Private to apply.
 */
#ifndef APPLY_INTERNAL_H
#define APPLY_INTERNAL_H

#include "apply/apply.h"
#include "base/arena.h"

struct apply {
    struct apply_options o;
    struct arena arena;       /* of the entry being applied */
    struct wire_internal req; /* the entry being applied */
    bool is_v2;
    struct wire_v2_request v2;
    union {
        struct wire_put_req put;
        struct wire_delete_req del;
        struct wire_compaction_req compaction;
        struct wire_txn_req txn;
    };
    struct schema_alarm *alarms; /* by (member, type) as they came */
    size_t alarm_count;
    struct semver cluster_version;
    struct semver storage_version;
    struct schema_downgrade downgrade;
};

/* alarm.c: the replicated alarm table. */
int apply_alarm_request(struct apply *a, struct buf *body);
/* cluster.c: what the log says about the cluster itself. */
int apply_cluster_request(struct apply *a, struct apply_result *out);
int apply_v2_request(struct apply *a, struct apply_result *out);
/* auth.c */
bool apply_is_auth_request(uint32_t which);
/* In whose name the entry was proposed. */
struct auth_who apply_who(const struct apply *a);
int apply_auth_request(struct apply *a, const struct apply_now *now, struct buf *body);
/* permit.c: 0, or why the entry being applied is refused. */
int apply_permit_entry(struct apply *a);
/* lease.c */
int apply_lease_request(struct apply *a, uint64_t now_ms, struct buf *body);

#endif
