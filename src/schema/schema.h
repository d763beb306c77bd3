/* SPDX-License-Identifier: Apache-2.0
 *
 * schema/schema: what stands where in the database: bucket names, keys and values of all buckets
 * but `key`.  Nobody else spells them.
 *
 * Problem     Every name and byte is a contract with etcd 3.5-3.7, and consistent_index and term
 *             must be in every commit.
 * Design      Encoders write into caller's buffers; _put functions go to a backend (applied
 *             entries) or to a batch (what belongs to every commit); schema_boot_load reads at
 *             start all that a member needs but the keys and authentication (schema_bucket_walk).
 * Ownership   struct schema_boot owns what it loaded.
 * Thread      schema_boot_load: the thread that reads the tx; puts: main loop.
 * Limits      SCHEMA_*_MAX: bounds on what a damaged file can make us hold.
 * Failure     ERR_CORRUPT for a value that cannot be read, with the bucket in schema_boot.what.
 * See         storage-formats 2; test/unit/schema/.
 */
#ifndef SCHEMA_SCHEMA_H
#define SCHEMA_SCHEMA_H

#include "backend/backend.h"
#include "base/arena.h"
#include "bolt/bolt.h"
#include "raft/types.h"
#include "schema/level.h"

enum schema_bucket {
    SCHEMA_KEY = BACKEND_BUCKET_KEY,
    SCHEMA_META,
    SCHEMA_LEASE,
    SCHEMA_ALARM,
    SCHEMA_AUTH,
    SCHEMA_AUTH_USERS,
    SCHEMA_AUTH_ROLES,
    SCHEMA_MEMBERS,
    SCHEMA_MEMBERS_REMOVED,
    SCHEMA_CLUSTER,
    SCHEMA_BUCKET_COUNT,
};

/* For backend_options.bucket_names. */
extern const char *const SCHEMA_BUCKET_NAMES[SCHEMA_BUCKET_COUNT];

enum {
    SCHEMA_ID_KEY_MAX = 17, /* hex id and its NUL */
    SCHEMA_LEASE_KEY_BYTES = 8,
    SCHEMA_MEMBERS_MAX = 4096, /* members; they are at most RAFT_MEMBERS_MAX each kind */
    SCHEMA_REMOVED_MAX = 1 << 20,
    SCHEMA_ALARMS_MAX = 1 << 16,
    SCHEMA_VALUE_MAX = 1 << 20, /* of a JSON value */
};

/* ---- values ---- */

/* Lower-case hex without leading zeros. */
size_t schema_id_key(uint64_t id, char out[SCHEMA_ID_KEY_MAX]);
/* The reverse, any case; ERR_MALFORMED. */
MUST_USE int schema_id_parse(struct slice text, uint64_t *out);

void schema_conf_state_encode(struct buf *out, const struct raft_conf_state *cs);
MUST_USE int schema_conf_state_decode(struct slice json, struct raft_conf_state *out);

struct schema_downgrade {
    bool enabled;
    char target[SEMVER_TEXT_MAX]; /* "3.5.0", or "" */
};

void schema_downgrade_encode(struct buf *out, const struct schema_downgrade *d);
MUST_USE int schema_downgrade_decode(struct slice json, struct schema_downgrade *out);

enum schema_alarm_type {
    SCHEMA_ALARM_NONE = 0,
    SCHEMA_ALARM_NOSPACE = 1,
    SCHEMA_ALARM_CORRUPT = 2
};

struct schema_alarm {
    uint64_t member_id;
    int32_t type; /* enum schema_alarm_type; an unknown one is kept */
};

void schema_alarm_encode(struct buf *out, struct schema_alarm a);
MUST_USE int schema_alarm_decode(struct slice key, struct schema_alarm *out);

struct schema_lease {
    int64_t id;
    int64_t ttl_s;
    int64_t remaining_ttl_s; /* 0: no checkpoint */
};

void schema_lease_encode(struct buf *out, const struct schema_lease *l);
MUST_USE int schema_lease_decode(struct slice value, struct schema_lease *out);

/* ---- everything a member needs at start ---- */

/* A raw pair of the members bucket; member/ reads the JSON. */
struct schema_member_record {
    uint64_t id;
    struct slice json; /* inside boot's arena */
};

struct schema_boot {
    uint64_t consistent_index;
    uint64_t term;
    bool has_conf_state;
    struct raft_conf_state conf_state; /* may be stale: never the raft configuration (2.4) */
    struct semver storage_version;     /* as detected (2.6); none = unknown */
    bool has_storage_version;          /* the key is there */
    struct semver cluster_version;     /* none = not set */
    bool has_downgrade;
    struct schema_downgrade downgrade;
    int64_t scheduled_compact_rev; /* main revision, 0 = none */
    int64_t finished_compact_rev;
    struct schema_member_record *members;
    size_t member_count;
    uint64_t *removed;
    size_t removed_count;
    struct schema_alarm *alarms;
    size_t alarm_count;
    struct schema_lease *leases;
    size_t lease_count;
    struct arena arena;
    const char *what; /* after a failure: the bucket that could not be read */
};

/* Missing buckets are empty ones.  deinit also after a failure. */
MUST_USE int schema_boot_load(struct bolt_tx *tx, struct schema_boot *out);
void schema_boot_deinit(struct schema_boot *b);
/* Every pair of a bucket, in order, until each returns what is not 0, which is returned; slices
 * live for the call.  A missing bucket is an empty one. */
MUST_USE int schema_bucket_walk(struct bolt_tx *tx, enum schema_bucket bucket,
                                int (*each)(void *arg, struct slice key, struct slice value),
                                void *arg);
/* A pair of the bucket auth; other keys leave all as it is.  ERR_CORRUPT. */
MUST_USE int schema_auth_decode(struct slice key, struct slice value, bool *enabled,
                                uint64_t *revision);

/* ---- into every commit: call from backend_options.on_batch ---- */

/* An index of 0 is never written. */
void schema_batch_put_index(struct backend_batch *batch, uint64_t index, uint64_t term);
void schema_batch_put_conf_state(struct backend_batch *batch, const struct raft_conf_state *cs);

/* ---- effects of applied entries ---- */

void schema_put_storage_version(struct backend *b, struct semver v);
void schema_delete_storage_version(struct backend *b);
/* Does what level_storage_next said. */
void schema_storage_step(struct backend *b, const struct level_storage_step *step);
void schema_put_scheduled_compact(struct backend *b, int64_t rev);
void schema_put_finished_compact(struct backend *b, int64_t rev);
void schema_put_cluster_version(struct backend *b, struct semver v);
void schema_put_downgrade(struct backend *b, const struct schema_downgrade *d);
void schema_put_alarm(struct backend *b, struct schema_alarm a);
void schema_delete_alarm(struct backend *b, struct schema_alarm a);
void schema_put_lease(struct backend *b, const struct schema_lease *l);
void schema_delete_lease(struct backend *b, int64_t id);
void schema_put_auth_enabled(struct backend *b, bool enabled);
void schema_put_auth_revision(struct backend *b, uint64_t rev);
void schema_put_user(struct backend *b, struct slice name, struct slice user);
void schema_delete_user(struct backend *b, struct slice name);
void schema_put_role(struct backend *b, struct slice name, struct slice role);
void schema_delete_role(struct backend *b, struct slice name);
void schema_put_member(struct backend *b, uint64_t id, struct slice json);
/* Deletes it from members and marks it in members_removed. */
void schema_remove_member(struct backend *b, uint64_t id);
/* As if it had never been there, neither as a member nor as a removed one. */
void schema_forget_member(struct backend *b, uint64_t id);

/* ---- the same straight into a bolt write tx: tools (restore, migrate) ---- */

MUST_USE int schema_tx_buckets(struct bolt_tx *tx); /* creates those missing */
MUST_USE int schema_tx_put(struct bolt_tx *tx, enum schema_bucket bucket, struct slice key,
                           struct slice value);
MUST_USE int schema_tx_put_index(struct bolt_tx *tx, uint64_t index, uint64_t term);
MUST_USE int schema_tx_put_member(struct bolt_tx *tx, uint64_t id, struct slice json);
/* Empties members and members_removed, nothing else (5.4 step 5). */
MUST_USE int schema_tx_trim_members(struct bolt_tx *tx);
MUST_USE int schema_tx_put_scheduled_compact(struct bolt_tx *tx, int64_t rev);
/* none deletes the key. */
MUST_USE int schema_tx_put_storage_version(struct bolt_tx *tx, struct semver v);

/* ---- names of keys in meta, auth and cluster, for other readers ---- */

#define SCHEMA_META_CONSISTENT_INDEX "consistent_index"
#define SCHEMA_META_TERM "term"
#define SCHEMA_META_CONF_STATE "confState"
#define SCHEMA_META_STORAGE_VERSION "storageVersion"
#define SCHEMA_META_SCHEDULED_COMPACT "scheduledCompactRev"
#define SCHEMA_META_FINISHED_COMPACT "finishedCompactRev"
#define SCHEMA_AUTH_ENABLED_KEY "authEnabled"
#define SCHEMA_AUTH_REVISION_KEY "authRevision"
enum { SCHEMA_AUTH_REVISION_FIRST = 1 };
#define SCHEMA_CLUSTER_VERSION_KEY "clusterVersion"
#define SCHEMA_DOWNGRADE_KEY "downgrade"

#endif
