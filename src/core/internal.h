/* SPDX-License-Identifier: Apache-2.0
 *
 * core/internal: the state of one member and what its parts offer each other.  Private to core.
 *
 *   core.c      life, step and take        propose.c  admission, waiters, time-outs
 *   apply.c     the queue of committed entries and applying them
 *   read.c      read rounds, ranges, read-only txns
 *   commit.c    WAL appends, batches for the file, raft snapshots
 *   task.c      hashes, views, defragmentation, compaction slices
 *   cluster.c   publishing, applied membership changes, leadership known and lost
 *   version.c   cluster and storage version, level, downgrades
 *   reconfig.c  requests that change the members, their guards
 *   transfer.c  leadership handed over
 *   lease.c     expiry, checkpoints and renewal of leases
 *   peers.c     what the transport tells: activity, snapshots sent
 *   install.c   a snapshot received
 */
#ifndef CORE_INTERNAL_H
#define CORE_INTERNAL_H

#include "apply/apply.h"
#include "base/map.h"
#include "core/core.h"

enum {
    CORE_APPLY_BURST = 4096,   /* entries applied in one take, then the loop breathes */
    CORE_PLAN_KEYS = 16384,    /* index keys looked at for one range in one take */
    CORE_COLLECT_KEYS = 16384, /* keys of a hash's keep set in one take */
    CORE_FREE_APPENDS_MAX = 8, /* appends kept for reuse */
    CORE_READ_RETRY_TICKS = 5, /* a refused read round is asked again */
    CORE_REQUEST_TIMEOUT_MS = 5000,
    CORE_SLAB_BYTES = 64 * 1024,
    CORE_PROPOSE_ENTRIES = 1024,      /* proposals given to raft in one step */
    CORE_PROPOSE_BYTES = 1024 * 1024, /* the same, bytes: one message to the leader */
    CORE_FORWARDED_MAX = 4096,        /* others' proposals that wait here for a leader */
    CORE_PEERS_MAX = 2 * RAFT_MEMBERS_MAX,
    CORE_SENDS_MAX = 16,       /* snapshots to peers under way (peer-protocol 2.9) */
    CORE_SEND_HOLD_MS = 30000, /* the log is kept so long behind a snapshot that was sent */
    CORE_CATCH_UP_MS = 1000,
    CORE_HEALTHY_MS = 5000,       /* connected so long: counts in a guard (peer-protocol 6.6) */
    CORE_VERSIONS_MS = 4000,      /* between two looks at the versions */
    CORE_REMOVED_MS = 1000,       /* from the applied removal to the stop (6.7) */
    CORE_ACTIVE_TICKS = 3,        /* a leader whose last tick is older is in doubt about itself */
    CORE_CHECKPOINT_ENTRIES = 10, /* a scan; LEASE_CHECKPOINT_BATCH leases each */
    CORE_ADVANCE_MS = 5000,       /* a start within which peers shorten the first election */
};

/* Where a request stands; 0 = not in the core. */
enum core_stage {
    CORE_STAGE_NONE,
    CORE_STAGE_WAITING,  /* a proposal that raft does not have yet: proposing */
    CORE_STAGE_PROPOSED, /* pending, by_id */
    CORE_STAGE_PHYSICAL, /* applied compaction that waits for the removal */
    CORE_STAGE_ROUND,    /* read: waits for its round */
    CORE_STAGE_APPLIED,  /* read: waits until applied >= wait */
    CORE_STAGE_BUILD,    /* range: the plan is being built; or values are fetched */
    CORE_STAGE_TASK,     /* hash, view, defrag */
    CORE_STAGE_CATCH_UP, /* waits until applied >= wait: catching */
    CORE_STAGE_TRANSFER, /* waits until member_id leads: transfers */
    CORE_STAGE_RENEW,    /* waits until an expired lease is gone: renewing */
};

/* A received snapshot on its way (install.c): log lane, then what uses the file, then the file. */
enum core_install_stage {
    CORE_INSTALL_NONE,
    CORE_INSTALL_WRITES, /* out with an append, not durable yet */
    CORE_INSTALL_WAITS,  /* for the commit, the defragmentation, the fetch under way */
    CORE_INSTALL_RUNS,
};

struct core_peer {
    uint64_t id;
    uint64_t active_since_ms;
};

/* A raft snapshot on its way (commit.c). */
enum core_save_stage { CORE_SAVE_NONE, CORE_SAVE_WAITS, CORE_SAVE_RUNS };

/* The hash of a compaction on its way (task.c). */
enum core_hash_stage { CORE_HASH_NONE, CORE_HASH_COLLECTS, CORE_HASH_WAITS, CORE_HASH_RUNS };

struct core {
    struct core_config config;
    char *name;
    char **client_urls;

    struct raft *raft;
    struct backend *backend;
    struct mvcc_store *store;
    struct lessor *lessor;
    struct auth_store *auth;
    struct membership *members;
    struct apply *apply;
    uint64_t now_ms;
    int fatal;
    char fatal_text[256];
    bool is_stopping;

    /* Committed entries that are not applied yet: ring [queue_first, queue_end). */
    struct raft_entry *queue;
    size_t queue_cap;
    uint64_t queue_first;
    uint64_t queue_end;
    raft_index applied;
    raft_term applied_term;
    raft_index acked; /* told to raft */
    raft_index committed;
    raft_index committed_queued; /* newest entry that was in the queue */
    raft_index durable;          /* own WAL, synced */
    struct mvcc_values *values;  /* of the entry at the front */
    bool is_fetching;

    /* Proposals. */
    struct rcbuf *slab; /* bytes of entries being proposed */
    struct map by_id;
    struct list proposing; /* admitted, go to raft with the next take, when there is a leader;
                              bound: LIMIT_PENDING_REQUESTS, CORE_FORWARDED_MAX */
    struct list pending;
    struct list conf_pending; /* the same, without a time-out */
    struct list catching;
    size_t forwarded_count;
    bool is_held;         /* raft hands leadership over: proposals wait until that is decided */
    size_t request_count; /* requests inside the core, against LIMIT_PENDING_REQUESTS */
    size_t request_bytes; /* bodies of their proposals, against LIMIT_PENDING_BYTES */
    uint64_t next_id;
    uint64_t proposals_failed;
    uint64_t proposals_pending;

    /* Reads. */
    struct list reads_round;
    struct list reads_applied;
    struct list reads_build;
    uint64_t round;        /* the newest round; unique in the cluster (peer-protocol 5.7) */
    uint64_t round_asked;  /* the newest that raft took */
    bool is_round_open;    /* reads joined since the last round was asked for */
    bool is_round_refused; /* raft dropped it: ask again */
    uint32_t round_ticks;  /* since it was asked */

    /* Hash, view, defrag; physical compactions. */
    struct list tasks;
    struct list physical;
    uint64_t next_slice_ms;
    struct mvcc_hash *compact_hash;
    enum core_hash_stage compact_stage;
    uint64_t compact_position;
    bool wants_commit; /* somebody waits for the file: do not wait for the interval */
    bool is_defragmenting;

    /* Leases. */
    struct list renewing;   /* bound: LIMIT_PENDING_REQUESTS */
    bool leases_changed;    /* look at them */
    size_t lease_entries;   /* own revocations and checkpoints under way; bound: a scan's */
    uint64_t lease_scan_ms; /* the next scan */
    uint64_t tick_ms;       /* of the last tick */
    uint64_t doubt_ms;      /* leadership needs a quorum until then */
    uint64_t leases_expired;
    uint64_t leases_renewed;
    uint64_t leases_granted;
    uint64_t leases_revoked;

    /* WAL appends. */
    struct list appends; /* out with the next take */
    struct list appends_free;
    size_t appends_free_count;
    size_t appends_running;
    uint64_t append_progress_ms; /* since when the oldest append is waited for */
    size_t jobs_running;
    struct list jobs; /* out with the next take */
    struct list replies;
    struct backend_batch *batch;
    struct backend_batch *batch_running;
    const struct raft_message *messages;
    size_t message_count;
    struct raft_message *synced; /* to peers, with the next take */
    size_t synced_count;
    size_t synced_cap;
    bool synced_taken;

    /* Raft snapshot. */
    struct core_save *save;
    enum core_save_stage save_stage;
    raft_index snapshot_index;
    bool is_snapshot_forced;
    bool is_compaction_whole; /* with the next snapshot nothing of the log stays */

    /* Snapshots to peers and from them. */
    struct list sends; /* wait for the file, then for their job */
    struct list sends_out;
    size_t sends_running;  /* in a job or with the transport */
    uint64_t send_hold_ms; /* the log is not compacted before */
    struct list received;  /* stepped, not known yet whether raft takes it */
    struct core_install *install;
    enum core_install_stage install_stage;
    bool is_install_out; /* handed to the driver */
    uint32_t epoch;
    bool epoch_changed;

    /* Cluster. */
    struct raft_conf_state conf;
    uint64_t leader;
    enum raft_role role;
    uint64_t leader_changes;
    bool has_campaigned;
    uint64_t started_ms;
    uint64_t leader_elected_ms; /* when this member became the leader; 0: never */
    bool has_advanced_ticks;
    struct core_peer peers[CORE_PEERS_MAX]; /* active ones */
    size_t peer_count;
    struct list transfers;
    uint64_t hand_over_ms; /* stopping: until then for the transferee to lead; 0: not */
    uint64_t transferee;
    uint64_t removed_ms; /* is_removed then; 0: not removed */
    bool removed_told;
    bool members_changed;
    bool level_changed;
    bool wants_versions;
    uint64_t versions_ms; /* the next look */
    bool is_published;
    bool is_publishing;
    bool is_version_proposed;
    bool is_nospace_proposed;
    bool is_downgrade_proposed;
    bool is_ready;
    bool ready_told;
    bool has_more; /* a task wants another take at once */
    bool is_short_of_space;
};

/* core.c */
void core_fail(struct core *c, int err, const char *what);
void core_reply(struct core *c, struct core_request *r, int err);
uint64_t core_request_timeout_ms(const struct core *c);

/* propose.c */
void core_propose(struct core *c, struct core_request *r);
/* An entry that its caller has made (r->entry, r->entry_owner): goes the way of a proposal. */
void core_propose_made(struct core *c, struct core_request *r);
/* What waits goes to raft, in order of arrival, if a leader is known.  Ends raft's update. */
void core_propose_flush(struct core *c);
/* Proposals of another member that raft could not take now.  False: no room. */
bool core_propose_forwarded(struct core *c, const struct raft_message *m);
/* The bytes of an entry in the slab; the reference is the slab's. NULL: no memory. */
uint8_t *core_slab_take(struct core *c, size_t bytes);
void core_propose_internal(struct core *c, uint32_t which, struct slice body);
struct core_request *core_waiter_take(struct core *c, uint64_t id);
void core_waiter_done(struct core *c, struct core_request *r, int err);
/* The bytes that a proposal keeps while it waits for a leader. */
void core_entry_drop(struct core_request *r);
/* Answers a request of a waiting list that has no job. */
void core_answer_waiting(struct core *c, struct core_request *r, int err);
void core_expire(struct core *c);
void core_cancel(struct core *c, struct core_request *r);
void core_raise_nospace(struct core *c);

/* apply.c */
void core_queue_push(struct core *c, const struct raft_entry *entries, size_t count);
size_t core_queue_len(const struct core *c);
/* True when something was applied. */
bool core_apply_some(struct core *c);
void core_queue_drop(struct core *c);
void core_queue_free(struct core *c);

/* read.c */
void core_read(struct core *c, struct core_request *r);
void core_reads_ask(struct core *c);
void core_reads_answered(struct core *c, const struct raft_read_state *reads, size_t count);
/* Serves what the applied index allows. */
void core_reads_serve(struct core *c);
void core_read_fetched(struct core *c, struct core_job *job);
/* Answers what waits and has no job under way. */
void core_reads_stop(struct core *c);
void core_reads_tick(struct core *c);
/* Another leader: what it does not know of fails, as in etcd. */
void core_reads_leader_changed(struct core *c);
/* The store is another one: what was half read starts again. */
void core_reads_restart(struct core *c);
/* Waits until everything that is committed now is applied. */
void core_catch_up(struct core *c, struct core_request *r);

/* commit.c */
void core_append_push(struct core *c, const struct raft_update *u);
void core_appended(struct core *c, struct core_append *a, int err);
void core_append_free(struct core_append *a);
void core_batch_maybe(struct core *c);
void core_batch_done(struct core *c, struct backend_batch *batch, int err);
void core_snapshot_maybe(struct core *c);
void core_saved(struct core *c, struct core_save *save, int err);
void core_save_free(struct core_save *save);

/* task.c */
/* Answers what waits and has no job under way. */
void core_tasks_stop(struct core *c);
/* The store is another one. */
void core_tasks_restart(struct core *c);
void core_task_start(struct core *c, struct core_request *r);
void core_tasks_run(struct core *c);
void core_task_job_done(struct core *c, struct core_job *job);
struct core_job *core_job_push(struct core *c, enum core_job_kind kind, struct core_request *r);
/* Earliest time at which a slice of compaction is due; UINT64_MAX: none. */
uint64_t core_tasks_wake_ms(const struct core *c);

/* peers.c */
void core_peer_active(struct core *c, uint64_t id, bool is_active);
/* Members of ms but learners that were connected at since_ms; this one counts. */
size_t core_connected_voters(const struct core *c, uint64_t since_ms);
/* The active voter that has been connected for longest; 0: there is none. */
uint64_t core_longest_connected(const struct core *c);
void core_send_begin(struct core *c, const struct raft_message *m);
void core_sends_run(struct core *c);
void core_send_built(struct core *c, struct core_job *job);
void core_send_status(struct core *c, uint64_t to, bool has_failed);
bool core_is_log_held(const struct core *c);
void core_log_read(struct core *c, const struct raft_log_read *read);
void core_log_read_done(struct core *c, struct core_job *job);

/* install.c */
int core_snapshot_received(struct core *c, const struct raft_message *m, struct slice v2_json);
/* raft takes this one: the store stands still until it is in place. */
struct core_install *core_install_accept(struct core *c, const struct raft_snapshot *s);
void core_install_written(struct core *c, struct core_install *in);
/* When everything is ready for it: the install to be carried out, once; else NULL. */
struct core_install *core_install_take(struct core *c);
void core_installed(struct core *c, const struct core_boot *boot, int err);
void core_install_free(struct core_install *in);
void core_received_clear(struct core *c);
void core_apply_make(struct core *c, const struct schema_boot *s);

/* transfer.c */
void core_transfer(struct core *c, struct core_request *r);
void core_transfers_check(struct core *c, bool is_tick);
void core_hand_over(struct core *c, uint64_t to);
/* Stop of a leader: false when there is nobody to hand over to. */
bool core_hand_over_begin(struct core *c);
bool core_is_handing_over(struct core *c);
/* To whoever has most of the log, if anybody. */
void core_hand_over_for(struct core *c, const char *why);
void core_hang_check(struct core *c);

/* read.c: 0, or why whoever asks may not. Sets r->auth_revision. */
int core_permit(struct core *c, struct core_request *r);

/* lease.c */
void core_leases_tick(struct core *c);
/* Own revocations and checkpoints that raft has not got are dropped when this member does not lead.
 */
void core_leases_withdraw(struct core *c);
void core_lease_entry_done(struct core *c, const struct core_request *r, int err);
void core_lease_renew(struct core *c, struct core_request *r);
/* The read round has shown that this member led. */
void core_lease_confirmed(struct core *c, struct core_request *r);
/* In no list, and everything that it may be about is applied. */
void core_lease_renew_now(struct core *c, struct core_request *r);
/* Looks again at what waits for revocations. */
void core_leases_run(struct core *c);

/* reconfig.c */
void core_conf_request(struct core *c, struct core_request *r);
/* A promotion whose member has caught up with its own log. */
void core_promote_caught_up(struct core *c, struct core_request *r);

/* version.c */
void core_version_tick(struct core *c);
void core_versions(struct core *c, const struct core_version *versions, size_t count);
void core_version_applied(struct core *c, const struct apply_result *res);
void core_raise_level(struct core *c, struct core_request *r);

/* cluster.c */
void core_cluster_tick(struct core *c);
/* The first entry of a term is applied. */
void core_term_begun(struct core *c);
void core_soft_state(struct core *c, uint64_t leader, enum raft_role role);
void core_conf_change(struct core *c, const struct raft_entry *e);
/* r: who waits for it here, or NULL. */
void core_applied_result(struct core *c, const struct core_request *r,
                         const struct apply_result *res);

#endif
