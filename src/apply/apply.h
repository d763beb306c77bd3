/* SPDX-License-Identifier: Apache-2.0
 *
 * apply/apply: a committed entry becomes state and a result.
 *
 * Problem     Every member must reach the same state from the same entries, whatever its own load,
 *             time or number of waiting clients.
 * Design      A chain as in etcd, outermost gate first: CORRUPT alarm, NOSPACE alarm, auth, quota,
 *             store. One entry at a time: begin decodes, prefetch collects the values that it needs
 *             (ERR_COLD: read them on a work thread, then call it again), run has all the effects.
 *             quota is the one gate that only changes the answer: the write is done all the same,
 *             so that files of different size never make members differ (client-api 2.5.1).
 * Invariants  I1 run changes nothing when its result is an error, quota's apart. I2 the same
 *             entries give the same records on every member.
 * Ownership   The entry's bytes are borrowed from begin to run.
 * Thread      core. Failure Client errors are in the result; ERR_CORRUPT etc. from prefetch or run
 *             mean that the member must stop.
 * See         peer-protocol 4.6-4.11; client-api 2.5.1; test/unit/apply.
 */
#ifndef APPLY_APPLY_H
#define APPLY_APPLY_H

#include "auth/auth.h"
#include "lease/lessor.h"
#include "member/member.h"
#include "mvcc/mvcc.h"
#include "mvcc/txn.h"
#include "raft/types.h"
#include "schema/schema.h"
#include "wire/kv.h"

enum { APPLY_ALARMS_MAX = 1024 };

struct apply;

struct apply_options {
    struct backend *backend;
    struct mvcc_store *store;
    struct lessor *lessor;
    struct auth_store *auth;
    struct membership *members;
    uint64_t member_id;
    enum level level;
    bool has_persisted_checkpoints; /* LeaseCheckpointPersist */
    int64_t quota_bytes;            /* <= 0: none */
};

struct apply *apply_create(const struct apply_options *opts);
void apply_destroy(struct apply *a);
/* One row of the alarm bucket, at start. */
void apply_alarm_load(struct apply *a, struct schema_alarm alarm);
/* What the cluster bucket held, at start. */
void apply_versions_load(struct apply *a, struct semver cluster, struct semver storage);
void apply_downgrade_load(struct apply *a, const struct schema_downgrade *d);
/* The member is another level from the next entry on. */
void apply_level_set(struct apply *a, enum level level);

/* ---- one entry ---- */

struct apply_result {
    int err;            /* for the waiting client */
    int64_t rev;        /* header revision */
    bool is_over_quota; /* this member must raise NOSPACE */
    bool is_compaction; /* accepted: compact_rev */
    int64_t compact_rev;
    bool version_changed;
    bool version_from_v2; /* the log of before may hold v2 requests, which end a 3.7 member */
    bool version_lowered; /* a raft snapshot must be taken (peer-protocol 4.8) */
    bool published;       /* attributes of this member were set */
    bool lease_granted;
    bool lease_removed;
};

/* Normal entries with data only. *out_id: of the request, 0 = none.  ERR_MALFORMED: no etcd wrote
 * this; the member must stop. */
MUST_USE int apply_begin(struct apply *a, struct slice data, uint64_t *out_id);
MUST_USE int apply_prefetch(struct apply *a, bool has_waiter, struct mvcc_values *v);

/* Where an entry is applied. */
struct apply_now {
    uint64_t index;    /* of the entry */
    uint64_t now_ms;   /* for the ends of leases and tokens: this member's own */
    uint64_t db_bytes; /* the file's size now, for the quota */
};
/* body NULL: nobody waits. */
MUST_USE int apply_run(struct apply *a, struct mvcc_values *v, const struct apply_now *now,
                       struct buf *body, struct apply_result *out);

/* ---- may he?  The same checks for who reads here and for entries (client-api 2.6.4) ---- */

MUST_USE int apply_permit_txn(struct apply *a, const struct auth_who *who,
                              const struct wire_txn_req *txn);
/* Every key of the lease: to write it, to read it. An unknown lease has none. */
MUST_USE int apply_permit_lease(struct apply *a, const struct auth_who *who, int64_t id);
MUST_USE int apply_permit_lease_read(struct apply *a, const struct auth_who *who, int64_t id);

/* ---- state ---- */

size_t apply_alarm_count(const struct apply *a);
struct schema_alarm apply_alarm_at(const struct apply *a, size_t i);
bool apply_has_alarm(const struct apply *a, int32_t type);
/* none while not set. */
struct semver apply_cluster_version(const struct apply *a);
struct semver apply_storage_version(const struct apply *a);
/* Not enabled while none is under way. */
struct schema_downgrade apply_downgrade(const struct apply *a);
/* Moves the storage version one step towards the cluster version (storage-formats 2.6): on each
 * change of the cluster version and every few seconds. */
void apply_storage_version_step(struct apply *a);
/* quota cost of a request as the API and the chain count it. */
enum { APPLY_GRANT_COST = 64 }; /* of a lease */
uint64_t apply_put_cost(const struct wire_put_req *put);
uint64_t apply_txn_cost(const struct wire_txn_req *txn);

#endif
