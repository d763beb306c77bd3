/* SPDX-License-Identifier: Apache-2.0
 *
 * schema/level: which etcd a member is at present: 3.5, 3.6 or 3.7, and all that differs by it.
 *
 * Problem     etcd refuses to go back over minor versions, so a member must report, propose and
 *             write what one minor version does, and rise only by an explicit act (design.md 1).
 * Design      One row of facts a level; everybody asks the row, nobody compares versions.
 * Thread      any (constants). Failure ERR_VERSION: a directory from outside 3.5-3.7.
 * See         storage-formats 2.6, 2.7, 3.4; peer-protocol 0, 3.2, 6.5;
 *             test/unit/schema/level_test.c.
 */
#ifndef SCHEMA_LEVEL_H
#define SCHEMA_LEVEL_H

#include "base/slice.h"
#include "wal/raftpb.h"

enum level {
    LEVEL_3_5 = 5,
    LEVEL_3_6 = 6,
    LEVEL_3_7 = 7,
    LEVEL_NEW = LEVEL_3_7, /* of a new data directory */
};

/* major.minor.patch; all zero = none. */
struct semver {
    uint32_t major;
    uint32_t minor;
    uint32_t patch;
};

enum { SEMVER_TEXT_MAX = 36 };

/* "3.6.0", also "3.6" and a suffix ("3.7.0-alpha.0+x"), as etcd's parser takes them. */
MUST_USE int semver_parse(struct slice text, struct semver *out);
void semver_format(struct semver v, char out[SEMVER_TEXT_MAX]);
int semver_compare(struct semver a, struct semver b);
static inline bool semver_is_none(struct semver v)
{
    return v.major == 0 && v.minor == 0 && v.patch == 0;
}

struct level_rules {
    enum level level;
    struct semver version;      /* X.Y.0: cluster and storage version at this level */
    const char *server_version; /* what Status, /version and peer headers say */
    enum raftpb_emission emission;
    bool writes_storage_version; /* meta/storageVersion exists from 3.6 on */
    bool message_has_vote;       /* raftpb.Message.13 is always written: 3.6 */
    bool message_has_snapshot;   /* an empty raftpb.Message.9 is always written: 3.5 */
    bool start_needs_snap_file;  /* etcd of this level reads `.snap` and v2 JSON at start */
    bool peers_take_v2_entries;  /* 3.7 dies of a v2 Request in the log */
    bool version_has_storage;    /* /version has the key "storage" */
    bool empty_end_is_open;      /* a read whose range_end came empty goes to the end of the keys */
    bool status_has_quota;       /* Status: dbSizeQuota and downgradeInfo, from 3.6 on */
    bool hash_kv_has_rev;        /* HashKV: hash_revision, from 3.6 on */
    bool takes_any_alarm;        /* an unknown alarm type is stored; it would end 3.5 */
    bool takes_any_sort_order;   /* an unknown sort_order is key order: 3.5 */
    bool keys_only_keeps_lease;  /* 3.5, 3.6 */
    bool txn_puts_first;         /* the precheck of a Txn: all puts, then all ranges: 3.5 */
    bool
        txn_key_before_lease; /* of a put in that: key not found before lease not found: 3.5, 3.6 */
};

const struct level_rules *level_rules(enum level level);

/* The level of an existing directory: the highest of what it says.  Versions that are absent are
 * none; v2_cluster_version is the one in the v2 JSON of the newest `.snap`.  Below 3.5 (also the
 * 3.0.0 of a cluster that could not decide yet) counts as 3.5; above 3.7 is ERR_VERSION. */
MUST_USE int level_detect(struct semver storage, struct semver cluster, struct semver v2_cluster,
                          enum level *out);
/* ERR_VERSION outside 3.5-3.7. */
MUST_USE int level_from_version(struct semver v, enum level *out);

/* ---- storage version (2.6) ---- */

enum level_storage_action { LEVEL_STORAGE_KEEP, LEVEL_STORAGE_SET, LEVEL_STORAGE_DELETE };

struct level_storage_step {
    enum level_storage_action action;
    struct semver version; /* to write, for SET */
};

/* What a member does when the cluster version changes and every 4 s: one minor at a time towards
 * the cluster version.  storage: from level_storage_detect; wal_min: lowest version that can read
 * the log since the last snapshot (none = any).  ERR_AGAIN: going down must wait for a snapshot;
 * ERR_NOT_FOUND: the storage version is unknown (no term in the file yet). */
MUST_USE int level_storage_next(struct semver storage, struct semver cluster, struct semver wal_min,
                                struct level_storage_step *out);
/* meta/storageVersion if it parses, else 3.5.0 when consistent_index and a term exist, else none.
 */
struct semver level_storage_detect(struct slice storage_version, uint64_t consistent_index,
                                   uint64_t term);
/* Lowest etcd that can interpret the data of a normal entry; none when any can.  Only
 * downgrade_version_test (3.6) has an answer among what 3.5-3.7 write. */
struct semver level_entry_min(struct slice data);

#endif
