/* SPDX-License-Identifier: Apache-2.0
 *
 * core/core: one whole member without sockets, disks or clocks: raft, the store and what waits on
 * them.
 *
 * Problem     The server and the simulator must run the same member, and every run must be a
 *             function of its inputs.
 * Design      core_step() takes one event (with the time in it); core_take() then hands out, for
 *             all events since the last one, what is to be done: entries to append to the WAL, a
 *             batch for the file, values to read, a raft snapshot to save, replies. Nothing is done
 *             inside: no disk, no network, no lock, nobody is called back. What was done comes back
 *             as an event.
 *
 *               request -> propose -> [append, sync] -> APPENDED -> commit -> apply -> reply
 *                          read index ---------------------------> plan  -------------> reply
 *
 * Invariants  I1 entries are applied in index order, each once. I2 a proposal is answered only
 *             after it was applied, and applied only when it is durable here (single voter) or
 *             committed. I3 no batch holds an index above durable_index (the own, synced WAL). I4 a
 *             raft snapshot at i is saved only after the file holds i.
 * Ownership   A struct core_request belongs to the caller, to the core between step and its reply
 *             (it comes back in update.replies, exactly once, also after a cancel). What it points
 *             to stays valid meanwhile.
 * Thread      core (the main loop).
 * Limits      LIMIT_PENDING_REQUESTS, LIMIT_APPLY_GAP, LIMIT_TAIL_*; apply_batch_max below.
 * Failure     update.fatal: the member must stop (broken disk, corrupt file); the text says why.
 * See         design.md 2-5, 8; client-api 2.0; peer-protocol 4.6; test/unit/core.
 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include "auth/auth.h"
#include "base/list.h"
#include "member/member.h"
#include "mvcc/hash.h"
#include "mvcc/mvcc.h"
#include "mvcc/txn.h"
#include "raft/raft.h"
#include "schema/schema.h"

struct apply;
struct core;

/* ---- configuration ---- */

struct core_config {
    uint64_t member_id;
    uint64_t cluster_id;
    const char *name;               /* published at start; copied */
    const char *const *client_urls; /* published at start; copied */
    size_t client_url_count;
    enum level level;
    uint32_t heartbeat_ms; /* one tick */
    uint32_t election_ticks;
    uint64_t request_bytes_max;
    uint32_t txn_ops_max;
    int64_t quota_bytes; /* <= 0: no quota */
    uint64_t snapshot_count;
    uint64_t snapshot_catchup;
    uint32_t compaction_batch;    /* records a slice */
    uint64_t compaction_sleep_ms; /* pause between slices */
    uint64_t request_id_seed_ms;  /* wall clock at start: request ids (peer-protocol 4.1) */
    uint64_t raft_seed;
    size_t log_bytes_max; /* of the log in memory; 0 = LIMIT_RAFT_LOG_BYTES */
    uint32_t max_learners;
    bool strict_reconfig_check;
    bool advance_ticks; /* --initial-election-tick-advance */
    bool pre_vote;
    bool fast_keep_alive;           /* FastLeaseKeepAlive: a known lease is renewed at once */
    bool revokes_first;             /* PriorityRequest: LIMIT_APPLY_GAP_REVOKE */
    bool has_persisted_checkpoints; /* LeaseCheckpointPersist: whatever the cluster version */
};

/* What the data directory held; made by the driver (core/boot.h). */
struct core_boot {
    struct backend *backend;
    struct mvcc_store *store;
    struct lessor *lessor;
    struct auth_store *auth;
    struct membership *members; /* stays the driver's; changed by the core only */
    const struct schema_boot *schema;
    const struct raft_boot *raft;
    uint64_t snapshot_index; /* newest raft snapshot */
};

/* ---- requests ---- */

enum core_kind {
    CORE_PROPOSE,  /* which + body through the log; response filled when applied */
    CORE_RANGE,    /* range -> plan, at a linearizable or local point */
    CORE_TXN_READ, /* read-only txn -> response */
    CORE_BARRIER,  /* nothing but the linearizable point (MemberList, health) */
    CORE_HASH,     /* Maintenance.Hash -> hash */
    CORE_HASH_KV,  /* rev -> hash */
    CORE_VIEW,     /* a view of everything applied now -> view (snapshot save) */
    CORE_DEFRAG,
    CORE_CATCH_UP,    /* applied >= what is committed now; ERR_RPC_TIMEOUT_WAIT_APPLIED after 1 s */
    CORE_CONF_CHANGE, /* op -> the members are as asked (peer-protocol 6.6); no time-out */
    CORE_TRANSFER_LEADER, /* to member_id; answered when it leads; no time-out */
    CORE_RAISE_LEVEL,     /* this member reports one minor more (architecture.md, Level) */
    CORE_LEASE_RENEW,     /* lease_id -> ttl_s; no time-out while its revocation is waited for */
};

/* CORE_CONF_CHANGE.  The reply comes when the change is applied here and raft takes the next one;
 * core_members() is then the new list.  Refused before anything is proposed:
 * ERR_RPC_MEMBER_NOT_ENOUGH_STARTED and ERR_RPC_UNHEALTHY (strict_reconfig_check); a promotion also
 * with ERR_RPC_NOT_LEADER (ask the leader), ERR_RPC_MEMBER_NOT_FOUND, ERR_RPC_LEARNER_NOT_READY,
 * ERR_RPC_TIMEOUT_WAIT_APPLIED.  Refused where it is applied: ERR_RPC_MEMBER_EXISTS,
 * ERR_RPC_PEER_URL_EXISTS, ERR_RPC_MEMBER_NOT_FOUND, ERR_RPC_MEMBER_NOT_LEARNER,
 * ERR_RPC_TOO_MANY_LEARNERS.
 *
 * CORE_LEASE_RENEW: ERR_RPC_LEASE_NOT_FOUND (an expired one: after it was revoked),
 * ERR_RPC_TIMEOUT_WAIT_APPLIED; ERR_RPC_NOT_LEADER: ask whoever leads, or again;
 * ERR_RPC_NOT_PRIMARY_LESSOR: leadership could not be confirmed, or is_from_peer and not leader. */
enum core_member_op {
    CORE_MEMBER_ADD,
    CORE_MEMBER_ADD_LEARNER,
    CORE_MEMBER_PROMOTE,
    CORE_MEMBER_REMOVE,
    CORE_MEMBER_UPDATE, /* peer_urls */
};

struct core_request {
    struct list_node node;
    enum core_kind kind;

    /* In. */
    uint32_t which;       /* PROPOSE: enum wire_internal_field */
    struct slice body;    /* PROPOSE: the request's own bytes; copied by core_step */
    uint64_t quota_cost;  /* PROPOSE: client-api 2.5.1, 0 = none */
    bool wants_physical;  /* PROPOSE of a compaction */
    bool is_serializable; /* RANGE, TXN_READ: no ReadIndex round */
    const struct wire_range_req *range;
    const struct wire_txn_req *txn;
    struct slice username;  /* PROPOSE: in whose name, into the entry; copied by core_step */
    uint64_t auth_revision; /* the same; of a read: out, under which it was permitted */
    /* RANGE, TXN_READ, LEASE_RENEW: who asks, and must have the keys; BARRIER: must be somebody.
     * Looked at when the point is reached.  NULL: the member itself. */
    const struct auth_caller *caller;
    int64_t rev;                  /* HASH_KV */
    enum core_member_op op;       /* CONF_CHANGE */
    uint64_t member_id;           /* CONF_CHANGE, TRANSFER_LEADER; out of an add: its id */
    const struct strs *peer_urls; /* CONF_CHANGE: add, update; checked by urls_check */
    int64_t unix_s;               /* CONF_CHANGE: add; the wall clock, for the id */
    int64_t lease_id;             /* LEASE_RENEW */
    bool is_from_peer;            /* LEASE_RENEW: by the peer port, after catching up */

    /* Out, valid with the reply. */
    int err;
    int64_t header_rev;
    struct buf *response;   /* PROPOSE, TXN_READ: the body behind the header is appended */
    struct mvcc_plan *plan; /* RANGE: the caller's; built when err == 0, to be ended by it */
    struct mvcc_hash_value hash;
    int64_t ttl_s;             /* LEASE_RENEW */
    struct backend_view *view; /* VIEW: a reference for the caller when err == 0 */

    /* Private. */
    uint64_t id;
    uint64_t deadline_ms;
    size_t held_bytes; /* of the body, counted */
    uint64_t wait;     /* read round, applied index, or backend position */
    struct mvcc_values *values;
    struct mvcc_hash *hash_run;
    struct slice entry; /* of a proposal that waits for a leader */
    struct rcbuf *entry_owner;
    uint8_t stage;
    uint32_t epoch;   /* of the store that it reads */
    bool is_internal; /* the core's own proposal, and its memory: no quota, nobody is told */
    bool is_canceled;
    bool is_forwarded; /* another member's proposal: nobody here waits for it */
    bool has_job;      /* a job uses it: the reply waits for that */
    bool is_finished;  /* a physical compaction: records are gone, the commit is not there */

    /* The caller's: what the driver calls with the reply, on the main loop. */
    void (*on_reply)(struct core_request *r);
    void *user;
};

void core_request_init(struct core_request *r, enum core_kind kind);

/* ---- snapshots between members (peer-protocol 2.9) ---- */

/* A MsgSnap that is to be sent: the database is what the view shows, meta and v2_json are read out
 * of the same view.  From update.sends; the view's reference is the taker's. */
struct core_send {
    struct list_node node;
    uint64_t to;
    raft_term term; /* of the message */
    struct raft_snapshot_meta meta;
    struct buf v2_json;
    struct backend_view *view;
    raft_index wait_index; /* private */
};

void core_send_free(struct core_send *s);

/* A MsgSnap that came, its database is in place as snap/%016x.snap.db: `.snap`, WAL record, then
 * the database over the old one.  Goes out as core_append.install, then as update.install. */
struct core_install {
    struct list_node node;
    struct raft_snapshot_meta meta;
    struct buf v2_json;
};

/* ---- events ---- */

/* One storage write: entries, hard state, messages that wait for it. From update.appends; comes
 * back with CORE_EV_APPENDED in the same order. */
struct core_append {
    struct list_node node;
    struct raft_entry *entries; /* each with a reference */
    size_t entry_count;
    size_t entry_cap;
    struct raft_hard_state hard;
    bool has_hard;
    bool must_sync;
    bool needs_ack;
    struct raft_append_ack ack;
    struct core_install *install;  /* before the entries: `.snap` and its WAL record; or NULL */
    struct raft_message *messages; /* to be sent (or stepped, to ourselves) once durable */
    size_t message_count;
    size_t message_cap;
};

/* A raft snapshot to save: `.snap`, then the WAL record (storage-formats 4.2). */
struct core_save {
    struct raft_snapshot_meta meta;
    struct buf v2_json;
};

enum core_job_kind {
    CORE_JOB_FETCH,
    CORE_JOB_HASH,
    CORE_JOB_HASH_ALL,
    CORE_JOB_DEFRAG,
    CORE_JOB_SEND,     /* send: meta and v2_json are read out of the view */
    CORE_JOB_LOG_READ, /* read -> entries, out of the WAL */
};

/* Work that blocks, for the work or backend lane. Comes back with CORE_EV_JOB_DONE. */
struct core_job {
    struct list_node node;
    enum core_job_kind kind;
    struct backend_view *view; /* pinned for the job */
    struct mvcc_fetch *fetch;
    struct mvcc_values *values; /* where the fetch goes */
    struct mvcc_hash *hash;
    struct backend_defrag *defrag;
    struct core_request *request; /* NULL: apply, or the compaction's hash */
    uint32_t hash_all;
    struct core_send *send;
    struct raft_log_read read;
    struct raft_entry *entries; /* each with a reference; the core frees them */
    size_t entry_count;
    int err;
};

enum core_event_type {
    CORE_EV_TICK,
    CORE_EV_WAKE,            /* update.wake_ms is reached */
    CORE_EV_REQUEST,         /* request */
    CORE_EV_CANCEL,          /* request: the client has gone; its reply still comes */
    CORE_EV_APPENDED,        /* append, err: durable, or failed */
    CORE_EV_COMMITTED,       /* batch, err */
    CORE_EV_SAVED,           /* save, err */
    CORE_EV_JOB_DONE,        /* job */
    CORE_EV_MESSAGE,         /* message: from a peer */
    CORE_EV_NO_SPACE,        /* is_short: the WAL has no spare segment left (or has one again) */
    CORE_EV_STOP,            /* hand over leadership, answer everything, commit everything */
    CORE_EV_SNAPSHOT,        /* message: a MsgSnap whose database is there; v2_json */
    CORE_EV_INSTALLED,       /* installed, err: what stands in the received database */
    CORE_EV_UNREACHABLE,     /* peer: something for it was dropped */
    CORE_EV_SNAPSHOT_STATUS, /* peer, has_failed: what became of a core_send */
    CORE_EV_PEER_ACTIVE,     /* peer, is_active: it can be reached, or cannot any more */
    CORE_EV_VERSIONS,        /* versions, version_count: of the other members */
};

/* What a member says it is; none: it could not be asked. */
struct core_version {
    uint64_t member_id;
    struct semver version;
};

struct core_event {
    enum core_event_type type;
    uint64_t now_ms; /* env_mono_ms */
    union {
        struct core_request *request;
        struct core_append *append;
        struct backend_batch *batch;
        struct core_save *save;
        struct core_job *job;
        struct {
            const struct raft_message *message;
            struct slice v2_json;
        };
        const struct core_boot *installed;
        struct {
            uint64_t peer;
            bool has_failed;
            bool is_active;
        };
        struct {
            const struct core_version *versions;
            size_t version_count;
        };
        bool is_short;
    };
    int err;
};

/* ---- updates ---- */

struct core_update {
    struct list replies;                 /* core_request.node */
    struct list appends;                 /* core_append.node: to the log lane, in order */
    struct list jobs;                    /* core_job.node */
    struct backend_batch *batch;         /* to the backend lane, or NULL */
    struct core_save *save;              /* to the log lane, or NULL */
    struct list sends;                   /* core_send.node: to the transport */
    struct core_install *install;        /* put the database in place (core/boot.h), or NULL */
    const struct raft_message *messages; /* to peers, at once; until the next core_step */
    size_t message_count;
    const struct raft_message *synced; /* to peers: what they speak of is durable now; as above */
    size_t synced_count;
    uint64_t wake_ms;     /* CORE_EV_WAKE wanted then; UINT64_MAX = no */
    bool has_more;        /* more to do now: take again after handling this */
    bool became_ready;    /* the member may serve: log caught up, version known (once) */
    bool members_changed; /* core_members() is another list, or has other URLs */
    bool level_changed;   /* core_level() */
    bool epoch_changed;   /* store, backend, lessor and apply are others than before */
    bool wants_versions;  /* CORE_EV_VERSIONS, please */
    bool is_removed;      /* the cluster has removed this member: it must stop (once) */
    bool is_stopped;      /* after CORE_EV_STOP: nothing is under way any more */
    int fatal;
    char fatal_text[256];
};

MUST_USE int core_create(const struct core_config *config, const struct core_boot *boot,
                         struct core **out);
/* Nothing may be under way (update.is_stopped, or a simulated power cut). Closes nothing of boot
 * but what it took over. */
void core_destroy(struct core *c);
/* 0, or why a message was not taken: ERR_MALFORMED (close its connection), ERR_NOT_FOUND (its
 * sender is no member), ERR_DROPPED. */
int core_step(struct core *c, const struct core_event *ev);
void core_take(struct core *c, struct core_update *out);
/* First start of a cluster: the ConfChange entries of all members (peer-protocol 6.1). */
MUST_USE int core_bootstrap(struct core *c, const struct raft_entry *entries, size_t count);

/* ---- queries ---- */

struct core_status {
    struct raft_status raft;
    raft_index committed;
    raft_index applied;
    uint64_t leader;
    int64_t rev;
    int64_t compact_rev;
    uint64_t db_size;
    uint64_t db_size_in_use;
    int64_t quota;
    uint64_t pending_proposals;
    uint64_t proposals_failed;
    uint64_t leader_changes;
    uint64_t slow_reads;
    uint64_t leases_expired; /* revoked by this member as the leader */
    uint64_t leases_renewed;
    uint64_t leases_granted; /* applied, as leases_revoked */
    uint64_t leases_revoked;
    uint64_t snapshot_index;
    enum level level;
};

void core_status(const struct core *c, struct core_status *out);
/* True when a write of this cost would be refused for space now (client-api 2.5.1). */
bool core_is_over_quota(const struct core *c, uint64_t cost);
/* raft_member_statuses: meaningful on the leader. */
size_t core_progress(const struct core *c, struct raft_member_status *out, size_t max);
uint64_t core_member_id(const struct core *c);
bool core_leads(const struct core *c);
uint64_t core_applied_index(const struct core *c);
uint64_t core_cluster_id(const struct core *c);
raft_term core_term(const struct core *c);
const struct raft_conf_state *core_conf(const struct core *c);
int64_t core_rev(const struct core *c);
const struct membership *core_members(const struct core *c);
struct apply *core_apply(struct core *c);
struct mvcc_store *core_store(struct core *c);
struct backend *core_backend(struct core *c);
struct lessor *core_lessor(struct core *c);
struct auth_store *core_auth(struct core *c);
/* none while not decided, or (storage) below 3.6. */
struct semver core_cluster_version(const struct core *c);
struct semver core_storage_version(const struct core *c);
/* What the member is at present: its reports, proposals and files. */
enum level core_level(const struct core *c);
/* enabled false: no downgrade is under way. */
struct schema_downgrade core_downgrade(const struct core *c);
bool core_is_learner(const struct core *c);
/* A number that nobody else in the cluster has got: for ids that the server chooses. */
uint64_t core_new_id(struct core *c);
/* When the peer could be reached last without a break until now; 0: it cannot be. */
uint64_t core_peer_active_since_ms(const struct core *c, uint64_t id);
void core_check(const struct core *c);

#endif
