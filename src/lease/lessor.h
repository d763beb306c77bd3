/* SPDX-License-Identifier: Apache-2.0
 *
 * lease/lessor: leases of one member: grant, renew, revoke, expiry, and which keys hang on which.
 *
 * Design      The lease bucket holds id, TTL and remaining TTL; which keys are attached follows
 *             from KeyValue.lease and is told by mvcc (attach, detach). Expiry is decided by the
 *             primary (the raft leader) only, and only as a proposal: lessor_expired lists, raft
 *             revokes. Time is an argument (milliseconds of the monotonic clock).
 * Invariants  I1 the heap holds exactly the leases with an expiry; the earliest is on top. I2 not
 *             primary: no lease has an expiry.
 * Ownership   Keys are copied in. struct lease is the lessor's, valid until the lease is removed.
 * Thread      main loop.
 * Limits      LIMIT_LEASE_TTL_S; LEASE_EXPIRED_MAX a scan, LEASE_REVOKE_RATE a second after
 *             promote.
 * Failure     ERR_RPC_LEASE_* as in client-api 2.3.
 * See         storage-formats 2.1; client-api 2.3; peer-protocol 4.8;
 *             test/unit/lease/lessor_test.c.
 */
#ifndef LEASE_LESSOR_H
#define LEASE_LESSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/slice.h"

enum {
    LEASE_EXPIRED_MAX = 500,  /* leases revoked by one scan, and under way */
    LEASE_REVOKE_RATE = 1000, /* from so many leases on promote spreads the expiries */
    LEASE_SCAN_MS = 500,   /* interval of the caller's scans; a full one goes on at the next tick */
    LEASE_RETRY_MS = 3000, /* an expired lease is listed again after this */
    LEASE_CHECKPOINT_MS = 300000,  /* interval of checkpoints */
    LEASE_CHECKPOINT_BATCH = 1000, /* checkpoints in one entry */
};

struct lease;
struct lessor;

struct lessor_options {
    struct backend *backend;
    unsigned bucket_lease; /* backend's id of the bucket `lease` */
    int64_t min_ttl_s;     /* ceil(1.5 x election timeout) */
    uint64_t hash_seed; /* ids are chosen by clients: a secret spreads them; 0 in the simulator */
    bool is_checkpointing; /* feature LeaseCheckpoint */
};

struct lessor *lessor_create(const struct lessor_options *opts);
void lessor_destroy(struct lessor *l);

/* Before the keys are restored: forget everything, then one call a row of the bucket.
 * ERR_MALFORMED. TTLs below the minimum are raised. */
void lessor_reset(struct lessor *l);
MUST_USE int lessor_load(struct lessor *l, struct slice key, struct slice value);

/* ---- replicated changes (applied entries) ---- */

/* ttl_s is raised to the minimum. ERR_RPC_LEASE_NOT_FOUND (id 0), _LEASE_TTL_TOO_LARGE,
 * _LEASE_EXISTS. */
MUST_USE int lessor_grant(struct lessor *l, int64_t id, int64_t ttl_s, uint64_t now_ms,
                          int64_t *out_ttl_s);
/* Removes the lease and its row; its keys were deleted before (mvcc_apply_lease_revoke). */
MUST_USE int lessor_remove(struct lessor *l, int64_t id);
/* Unknown ids are ignored. is_persisted: cluster version >= 3.6 or the persist flag. */
void lessor_checkpoint(struct lessor *l, int64_t id, int64_t remaining_ttl_s, bool is_persisted,
                       uint64_t now_ms);

/* ---- keys ---- */

bool lessor_has(const struct lessor *l, int64_t id);
/* False: no such lease.  The key is not attached to id before. */
bool lessor_attach(struct lessor *l, int64_t id, struct slice key);
/* Nothing happens when the lease or the key is not there. */
void lessor_detach(struct lessor *l, int64_t id, struct slice key);
/* Attached keys in byte order; valid until the next attach or detach of this lease. */
size_t lessor_key_count(struct lessor *l, int64_t id);
struct slice lessor_key_at(struct lessor *l, int64_t id, size_t i);

/* ---- primary: time ---- */

/* New leader: every lease starts again with its remaining (or full) TTL + extend_ms. */
void lessor_promote(struct lessor *l, uint64_t now_ms, uint64_t extend_ms);
void lessor_demote(struct lessor *l);
bool lessor_is_primary(const struct lessor *l);

/* 0: renewed for *out_ttl_s; but when *needs_checkpoint is set, it is not renewed yet: propose a
 * checkpoint with remaining 0, and call again when it is applied. ERR_RPC_NOT_PRIMARY_LESSOR,
 * ERR_RPC_LEASE_NOT_FOUND; ERR_AGAIN: expired, its revocation is under way: wait until it is gone,
 * then answer TTL 0. */
MUST_USE int lessor_renew(struct lessor *l, int64_t id, uint64_t now_ms, int64_t *out_ttl_s,
                          bool *needs_checkpoint);
/* Ids of expired leases, at most max (<= LEASE_EXPIRED_MAX); each is listed again after
 * LEASE_RETRY_MS if it is still there. */
size_t lessor_expired(struct lessor *l, uint64_t now_ms, int64_t *out_ids, size_t max);
/* When lessor_expired has something next; UINT64_MAX: never. */
uint64_t lessor_next_expiry_ms(const struct lessor *l);

struct lease_checkpoint {
    int64_t id;
    int64_t remaining_ttl_s;
};
/* Checkpoints that are due. */
size_t lessor_checkpoints(struct lessor *l, uint64_t now_ms, struct lease_checkpoint *out,
                          size_t max);

/* ---- queries ---- */

struct lease_info {
    int64_t id;
    int64_t granted_ttl_s;
    int64_t remaining_ttl_s; /* of the last checkpoint, 0 = none */
    int64_t left_s;          /* truncated; the full TTL when there is no expiry */
};

MUST_USE int lessor_info(const struct lessor *l, int64_t id, uint64_t now_ms,
                         struct lease_info *out);
size_t lessor_count(const struct lessor *l);

enum { LEASE_TTL_BUCKETS = 24 /* up to 1, 2, 4, ... s; and one above */ };
/* TTLs of the leases granted by lessor_grant, for a histogram. */
struct lease_ttls {
    uint64_t counts[LEASE_TTL_BUCKETS + 1];
    uint64_t sum_s;
};
const struct lease_ttls *lessor_ttls(const struct lessor *l);
/* All ids by remaining time (no expiry: by id, last); out has room for lessor_count. */
void lessor_list(const struct lessor *l, int64_t *out_ids);
void lessor_check(const struct lessor *l);

#endif
