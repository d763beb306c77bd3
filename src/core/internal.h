/* SPDX-License-Identifier: Apache-2.0
 *
 * core/internal: the state of one member and what its parts offer each other.  Private to core.
 *
 *   core.c      life, step and take        propose.c  admission, waiters, time-outs
 *   apply.c     the queue of committed entries and applying them
 *   read.c      read rounds, ranges, read-only txns
 *   commit.c    WAL appends, batches for the file, raft snapshots
 *   task.c      hashes, views, defragmentation, compaction slices
 *   cluster.c   publishing, versions, membership changes
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
    CORE_LEARNERS_MAX = 1, /* --max-learners */
};

/* Where a request stands; 0 = not in the core. */
enum core_stage {
    CORE_STAGE_NONE,
    CORE_STAGE_UNLED,    /* a proposal without a leader to go to: unled */
    CORE_STAGE_PROPOSED, /* pending, by_id */
    CORE_STAGE_PHYSICAL, /* applied compaction that waits for the removal */
    CORE_STAGE_ROUND,    /* read: waits for its round */
    CORE_STAGE_APPLIED,  /* read: waits until applied >= wait */
    CORE_STAGE_BUILD,    /* range: the plan is being built; or values are fetched */
    CORE_STAGE_TASK,     /* hash, view, defrag */
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
    struct list unled; /* admitted, wait for a leader; bound: LIMIT_PENDING_REQUESTS */
    struct list pending;
    size_t request_count; /* requests inside the core */
    uint64_t next_id;
    uint64_t proposals_failed;
    uint64_t proposals_pending;

    /* Reads. */
    struct list reads_round;
    struct list reads_applied;
    struct list reads_build;
    uint64_t round;        /* the newest round */
    bool is_round_open;    /* reads joined since the last round was asked for */
    bool is_round_refused; /* raft dropped it: ask again */
    uint32_t round_ticks;

    /* Hash, view, defrag; physical compactions. */
    struct list tasks;
    struct list physical;
    uint64_t next_slice_ms;
    struct mvcc_hash *compact_hash;
    enum core_hash_stage compact_stage;
    uint64_t compact_position;
    bool wants_commit; /* somebody waits for the file: do not wait for the interval */
    bool is_defragmenting;

    /* WAL appends. */
    struct list appends; /* out with the next take */
    struct list appends_free;
    size_t appends_free_count;
    size_t appends_running;
    size_t jobs_running;
    struct list jobs; /* out with the next take */
    struct list replies;
    struct backend_batch *batch;
    struct backend_batch *batch_running;
    const struct raft_message *messages;
    size_t message_count;

    /* Raft snapshot. */
    struct core_save *save;
    enum core_save_stage save_stage;
    raft_index snapshot_index;
    bool is_snapshot_forced;

    /* Cluster. */
    struct raft_conf_state conf;
    uint64_t leader;
    enum raft_role role;
    uint64_t leader_changes;
    bool has_campaigned;
    uint32_t publish_ticks;
    bool is_published;
    bool is_publishing;
    bool is_version_proposed;
    bool is_nospace_proposed;
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
/* A leader is known: what waited for one goes to it, in order of arrival. */
void core_propose_unled(struct core *c);
void core_propose_internal(struct core *c, uint32_t which, struct slice body);
struct core_request *core_waiter_take(struct core *c, uint64_t id);
void core_waiter_done(struct core *c, struct core_request *r, int err);
/* Answers a request of a waiting list (unled, pending, reads, physical) that has no job. */
void core_answer_waiting(struct core *c, struct core_request *r, int err);
void core_expire(struct core *c);
void core_cancel(struct core *c, struct core_request *r);
void core_raise_nospace(struct core *c);

/* apply.c */
void core_queue_push(struct core *c, const struct raft_entry *entries, size_t count);
size_t core_queue_len(const struct core *c);
/* True when something was applied. */
bool core_apply_some(struct core *c);
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
void core_task_start(struct core *c, struct core_request *r);
void core_tasks_run(struct core *c);
void core_task_job_done(struct core *c, struct core_job *job);
struct core_job *core_job_push(struct core *c, enum core_job_kind kind, struct core_request *r);
/* Earliest time at which a slice of compaction is due; UINT64_MAX: none. */
uint64_t core_tasks_wake_ms(const struct core *c);

/* cluster.c */
void core_cluster_tick(struct core *c);
void core_soft_state(struct core *c, uint64_t leader, enum raft_role role);
void core_conf_change(struct core *c, const struct raft_entry *e);
/* r: who waits for it here, or NULL. */
void core_applied_result(struct core *c, const struct core_request *r,
                         const struct apply_result *res);

#endif
