/* SPDX-License-Identifier: Apache-2.0
 *
 * core/driver: runs a core over an env: opens the data directory, carries out updates, brings back
 * what was done.  A whole member without sockets; the same for the server and for unit fixtures.
 *
 * Design      Requests are stepped at once; the end of the loop's turn (exec.defer) takes the
 * update: appends of the whole turn go to the log lane as one job (one write, one sync), a batch to
 * the backend lane, reads to the work lane, replies to their owners.
 *
 *                 submit -> core_step      end of turn -> core_take -> jobs -> done -> core_step
 * ...
 *
 * Invariants  I1 one log job at a time, appends in order. I2 after a failure nothing more is
 *             written.
 * Ownership   As core.h. driver_close after on_stopped, or (simulated power cut) at any time when
 *             the env's lanes are dead.
 * Thread      main loop.
 * Failure     driver_open: ERR_* and a text that says what to do. Later: on_fatal once.
 * See         design.md 2, 8; storage-formats 4.5, 7; test/unit/core, test/crash.
 */
#ifndef CORE_DRIVER_H
#define CORE_DRIVER_H

#include "core/core.h"
#include "env/env.h"
#include "member/url.h"

enum { DRIVER_TEXT_BYTES = 512 };

struct driver;
struct watch_hub;

/* A MsgSnap for a peer, with the database that belongs to it. */
struct driver_snapshot {
    const struct raft_message *message;    /* borrowed; its snapshot points to the same meta */
    const struct raft_snapshot_meta *meta; /* of what the view shows; borrowed */
    struct slice v2_json;                  /* borrowed */
    /* A reference for the callee: the file is bolt_copy_read(backend_view_tx(view), ...), on a work
     * thread; then backend_view_unpin, on the main loop. */
    struct backend_view *view;
};

struct driver_config {
    struct env *env;
    const char *name;
    const char *data_dir;
    const char *wal_dir; /* "" = <data_dir>/member/wal */
    /* First start. */
    const char *initial_cluster; /* name=url,... */
    const char *initial_cluster_token;
    const char *advertise_peer_urls;   /* comma list */
    const char *advertise_client_urls; /* comma list */
    /* is_join and no WAL yet: the members as one of them gave them by GET /members, and the cluster
     * id of its header (peer-protocol 6.2).  For driver_open only. */
    const struct membership *existing;
    uint64_t existing_cluster_id;
    struct auth_tokens *tokens;          /* outlives the driver; NULL: nobody can log in */
    const struct url_resolver *resolver; /* NULL: URLs are compared as text */
    bool is_join;                        /* --initial-cluster-state existing */
    enum level new_level;                /* of a new directory; 0 = the newest */
    bool force_new_cluster;
    uint32_t heartbeat_ms;
    uint32_t election_ms;
    uint64_t request_bytes_max;
    uint32_t txn_ops_max;
    int64_t quota_bytes;     /* 0 = default, negative = none */
    uint64_t snapshot_count; /* 0 = default */
    uint64_t snapshot_catchup;
    uint32_t max_snapshots;
    uint32_t max_wals;
    uint64_t batch_interval_ms; /* 0 = default */
    uint32_t batch_ops;
    uint32_t compaction_batch;
    uint64_t compaction_sleep_ms;
    size_t page_cache_bytes;
    uint64_t wal_segment_bytes; /* 0 = default; tests take small ones */
    size_t log_bytes_max;       /* of the log in memory; 0 = LIMIT_RAFT_LOG_BYTES */
    uint64_t boot_defrag_bytes; /* so much free: defragment before the start; 0: never */
    uint32_t max_learners;      /* 0: none */
    bool no_strict_reconfig_check;
    bool no_initial_tick_advance;
    bool no_sync;
    bool pre_vote;
    bool no_fast_keep_alive; /* gate FastLeaseKeepAlive off */
    bool revokes_first;      /* gate PriorityRequest */
    bool lease_checkpoints;  /* gates LeaseCheckpoint, LeaseCheckpointPersist */
    bool lease_checkpoints_persist;

    void (*on_ready)(void *arg); /* may serve now */
    void (*on_fatal)(void *arg, int err, const char *text);
    void (*on_stopped)(void *arg);

    /* For the transport; each may be NULL.  None may call back into the driver but for
     * driver_submit and driver_stop. */

    /* To be sent now, in order; borrowed.  RAFT_MSG_SNAP among them is not to be sent: it comes by
     * on_send_snapshot. */
    void (*on_messages)(void *arg, const struct raft_message *messages, size_t count);
    /* driver_snapshot_status must follow, later. */
    void (*on_send_snapshot)(void *arg, const struct driver_snapshot *s);
    /* core_members() has changed: who is in it, or where they are. */
    void (*on_members_changed)(void *arg);
    /* Ask all other members for /version, then driver_versions.  Leader only, every 4 s. */
    void (*on_want_versions)(void *arg);
    void (*on_level_changed)(void *arg, enum level level);
    /* A snapshot was installed: core_store, core_backend, core_lessor and core_apply are others.
     * Plans and views of before go on with what they have. */
    void (*on_epoch_changed)(void *arg);
    /* The cluster has removed this member: say so and stop. */
    void (*on_removed)(void *arg);
    void *arg;
};

/* text: DRIVER_TEXT_BYTES, filled on failure. */
MUST_USE int driver_open(const struct driver_config *config, struct driver **out, char *text);
/* Begins to run; before it, driver_close is all that may follow. */
void driver_start(struct driver *d);
/* The reply comes by r->on_reply, possibly from inside a later turn, never from inside submit. */
void driver_submit(struct driver *d, struct core_request *r);
void driver_cancel(struct driver *d, struct core_request *r);

/* ---- from the transport; all borrowed for the call ---- */

/* 0, or as core_step.  Not RAFT_MSG_SNAP. */
int driver_message(struct driver *d, const struct raft_message *m);
/* A MsgSnap whose database is complete and synced as <snap dir>/%016x.snap.db (snap_db_commit). As
 * core_step. */
int driver_snapshot_received(struct driver *d, const struct raft_message *m, struct slice v2_json);
/* Any thread, before driver_snapshot_received: is the file a database whose index is this one?
 * ERR_CORRUPT and others: refuse it. */
MUST_USE int driver_snapshot_check(struct env_disk *disk, const char *path, raft_index index);
void driver_unreachable(struct driver *d, uint64_t id);
void driver_snapshot_status(struct driver *d, uint64_t id, bool has_failed);
/* On each change.  Peers begin as not active. */
void driver_peer_active(struct driver *d, uint64_t id, bool is_active);
/* The answers to on_want_versions. */
void driver_versions(struct driver *d, const struct core_version *versions, size_t count);
/* <data dir>/member/snap, for received databases. */
const char *driver_snap_dir(const struct driver *d);

/* Hands over leadership, answers and commits everything, then on_stopped. */
void driver_stop(struct driver *d);
/* No turn may be pending: not right after submit, cancel or stop while the loop will run on. */
void driver_close(struct driver *d);

struct core *driver_core(struct driver *d);
/* Watchers of the store: driver_watch_kick after adding one or unblocking a stream. */
struct watch_hub *driver_watch_hub(struct driver *d);
void driver_watch_kick(struct driver *d);
struct env *driver_env(struct driver *d);
enum level driver_level(const struct driver *d);

/* What metrics count. */
struct driver_stats {
    uint64_t wal_syncs;
    uint64_t wal_sync_ns; /* of the last one */
    uint64_t commits;
    uint64_t commit_ns;
    uint64_t wal_bytes;
};
const struct driver_stats *driver_stats(const struct driver *d);
/* Called with each duration: metrics histograms.  May be NULL. */
enum driver_timing {
    DRIVER_WAL_SYNC,
    DRIVER_WAL_WRITE,
    DRIVER_COMMIT,
    DRIVER_DEFRAG,
    DRIVER_SNAP_SAVE
};
void driver_timing_hook(struct driver *d,
                        void (*hook)(void *arg, enum driver_timing what, uint64_t ns), void *arg);

#endif
