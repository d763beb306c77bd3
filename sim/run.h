/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/run: one run of the simulator: a cluster, its clients, its faults, what must hold.
 *
 * Problem     Bugs of a cluster hide in the order of things.  A run draws that order from one seed,
 *             looks at every member after every step, and can be repeated.
 * Design      options  what this run is like, drawn from the seed, or given by a scenario
 *             slots    places of members: started, killed, joined, removed
 *             clients  ask, time out, ask again; each answer is compared with the model
 *             watches  streams whose events must be exactly the model's
 *             faults   the nemesis: what goes wrong, and when it ends
 *             truth    after each step: what is committed, by whom; the model follows it
 *             trace    a line an event, a hash of everything each RUN_HASH_STEPS steps
 *
 *                 start -> faults and clients -> heal -> must make progress -> compare -> stop
 *
 * Invariants  Every choice comes from run.prng or the world's; nothing of the real machine is read.
 * Ownership   run_create .. run_destroy. Thread one.
 * Limits      RUN_*.
 * Failure     run_fail: the first broken rule ends the run; run_execute says false.
 * See         docs/simulator.md; sim/README.md.
 */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include <stdio.h>

#include "base/map.h"
#include "base/prng.h"
#include "sim/member.h"
#include "sim/model.h"
#include "sim/sim.h"

enum {
    RUN_SLOTS_MAX = 7,
    RUN_CLIENTS_MAX = 6,
    RUN_WATCHES_MAX = 4, /* of one stream */
    RUN_LEASES_MAX = 32,
    RUN_UNDO_MAX = 64,
    RUN_VOTES_MAX = 4096,
    RUN_HASH_STEPS = 1000,
    RUN_CHECK_STEPS = 4000, /* between two walks of all invariants of a member */
    RUN_START_MS = 120000,
    RUN_LAST_PUTS = 3,    /* a member's, at most */
    RUN_HEAL_MS = 180000, /* behind the last fault there must be progress */
    RUN_SETTLE_MS = 120000,
    RUN_STOP_MS = 120000,
};

/* What may go wrong; bits of run_options.faults. */
enum run_fault {
    FAULT_POWER,     /* power cut, in the middle of what the disk does */
    FAULT_KILL,      /* the process dies, the machine does not */
    FAULT_STOP,      /* orderly */
    FAULT_PAUSE,     /* the process stands still */
    FAULT_ISOLATE,   /* one member from all others */
    FAULT_SPLIT,     /* two halves */
    FAULT_ONE_WAY,   /* one direction of one link */
    FAULT_SLOW_LINK, /* one link */
    FAULT_RESET,     /* connections between two members */
    FAULT_MESSAGES,  /* raft messages are lost, doubled, reordered for a while */
    FAULT_SLOW_DISK,
    FAULT_HANG,    /* the log lane stands still */
    FAULT_ERROR,   /* a read, write or sync fails */
    FAULT_FULL,    /* no space left for a while */
    FAULT_DRIFT,   /* the monotonic clock */
    FAULT_JUMP,    /* the wall clock */
    FAULT_MEMBERS, /* add, promote, remove */
    FAULT_TRANSFER,
    FAULT_DEFRAG,
    FAULT_LEVEL, /* the level of all is raised */
    FAULT_COUNT,
};

enum run_op_kind {
    OP_PUT,
    OP_GET,
    OP_DELETE,
    OP_TXN,
    OP_COMPACT,
    OP_GRANT,
    OP_REVOKE,
    OP_KEEPALIVE,
    OP_COUNT,
};

struct run_options {
    uint64_t seed;
    uint64_t steps_max; /* of the phase with faults; 0: duration_ms decides */
    uint64_t duration_ms;
    unsigned members;
    unsigned clients;
    unsigned watchers; /* clients that watch besides */
    enum level level;
    uint32_t heartbeat_ms;
    uint32_t election_ms;
    uint64_t snapshot_count;
    uint64_t snapshot_catchup;
    size_t log_bytes_max;
    uint64_t wal_segment_bytes;
    uint64_t batch_interval_ms;
    uint32_t batch_ops;
    size_t page_cache_bytes;
    uint32_t compaction_batch;
    bool pre_vote;
    bool lease_checkpoints;
    bool no_fast_keep_alive;
    unsigned keys;
    unsigned value_bytes_max;
    uint64_t think_max_ms;
    uint64_t timeout_max_ms; /* of a client's request */
    unsigned weights[OP_COUNT];
    uint32_t faults;                     /* bits 1 << enum run_fault */
    uint64_t fault_min_ms, fault_max_ms; /* between two */
    uint64_t net_min_ns, net_max_ns;
    bool split; /* deliveries are cut at random places */
    uint64_t disk_min_ns, disk_max_ns;
};

struct run;

/* A place for a member. */
struct run_slot {
    struct run *run;
    unsigned at;
    char name[8];
    char peer_url[32];
    char client_url[32];
    struct sim_host *host;
    struct sim_member *member; /* NULL: not running */
    enum level level;          /* of its new directory */
    unsigned last_puts;        /* tried when all was healed */
    bool is_used;
    bool is_joiner;         /* its next start joins */
    bool is_removed;        /* told so: its disk goes when it has ended */
    bool has_started;       /* it has a directory */
    bool has_failed;        /* it stops because it cannot go on */
    bool is_power_doubtful; /* faults of the disk are pending */
    uint64_t start_ns;      /* when it is started again; 0: not planned */
    uint64_t id;
    struct membership existing; /* of a joiner */
    uint64_t cluster_id;        /* the same */
    char initial[RUN_SLOTS_MAX * 48];

    /* What was seen of it (truth.c). */
    raft_index seen; /* committed entries that were compared */
    raft_index last; /* of its log */
    raft_term last_term;
    raft_term *terms; /* of its log, by index */
    size_t term_count;
    raft_index applied;
    raft_term promised_term;       /* newest one in which it has voted or stored */
    struct raft_entry_id promised; /* newest entry that it has said to have stored */
    uint64_t next_check;
};

struct run_vote {
    uint64_t from;
    uint64_t to;
    raft_term term;
};

struct run_lease {
    int64_t id;
    int64_t ttl_s;
    uint64_t since_ns; /* it lives at least ttl_s from here on */
    bool is_renewed;   /* since_ns is a renewal's */
    bool is_revoked;   /* a client asked for it */
};

struct run_undo {
    uint64_t at_ns;
    enum run_fault fault;
    unsigned a, b;
};

struct run_ask;
struct run_client;
struct run_watch;

struct run {
    struct run_options o;
    struct sim *sim;
    struct prng prng;
    struct sim_host *control; /* has the timers of the harness */
    struct run_slot slots[RUN_SLOTS_MAX];
    unsigned slot_count;
    unsigned last_leader; /* slot */
    struct run_retired {
        struct sim_member *member;
    } * retired;
    size_t retired_count, retired_cap;
    char initial[RUN_SLOTS_MAX * 48];

    struct run_client *clients[RUN_CLIENTS_MAX];
    struct run_watch *watches[RUN_CLIENTS_MAX];
    bool is_quiet; /* clients begin nothing new */

    struct env_timer fault_timer;
    struct env_timer keeper_timer;
    struct run_ask *change; /* of the members, under way; NULL: none */
    uint64_t change_end_ns; /* its client goes then */
    bool has_faults;        /* the nemesis is at work */
    struct run_undo undo[RUN_UNDO_MAX];
    size_t undo_count;
    unsigned loss, doubling, disorder; /* of raft messages, in 1000 */
    unsigned changes_open;             /* membership changes under way */

    /* truth.c */
    struct model *model;
    struct map log; /* (term, index) -> struct seen_entry */
    struct seen_entry **seen;
    size_t seen_count, seen_cap;
    struct map leaders; /* term -> id */
    struct run_committed {
        raft_term term;
        uint64_t digest;
    } * committed;
    size_t committed_count, committed_cap;
    struct run_vote votes[RUN_VOTES_MAX];
    size_t vote_count; /* a ring */
    struct run_lease leases[RUN_LEASES_MAX];
    size_t lease_count;
    struct map puts;   /* tags of values that the log has */
    int64_t acked_rev; /* some client has seen it */

    /* trace.c */
    FILE *trace;
    uint64_t trace_hash;
    uint64_t trace_lines;
    uint64_t steps;
    struct run_stats {
        uint64_t ops[OP_COUNT];
        uint64_t failed;
        uint64_t events;
        uint64_t faults[FAULT_COUNT];
        uint64_t starts;
        uint64_t snapshots;
        uint64_t checks;
    } stats;

    bool is_failed;
    char rule[512];
};

struct run *run_create(const struct run_options *o, FILE *trace);
/* The whole life; false: run.rule says what was broken. */
bool run_execute(struct run *r);
void run_destroy(struct run *r);

/* options.c */
void run_options_draw(struct run_options *o, uint64_t seed);

/* run.c */
PRINTF_LIKE(2, 3) void run_fail(struct run *r, const char *fmt, ...);
uint64_t run_now_ms(const struct run *r);
/* Until pred holds, at most ms, or the run has failed; true: it holds. */
bool run_until(struct run *r, bool (*pred)(struct run *r), uint64_t ms);
static inline uint64_t run_draw(struct run *r, uint64_t lo, uint64_t hi)
{
    return lo + prng_below(&r->prng, hi - lo + 1);
}
static inline bool run_chance(struct run *r, unsigned percent)
{
    return prng_chance(&r->prng, percent, 100) != 0;
}

/* trace.c: a line, with step and time in front. */
PRINTF_LIKE(2, 3) void trace(struct run *r, const char *fmt, ...);
void trace_step(struct run *r);

/* slots.c */
struct run_slot *slot_add(struct run *r);
void slot_start(struct run_slot *s);
void slot_stop(struct run_slot *s);
/* Power cut (is_silent) or death of the process; started again after down_ms. */
void slot_crash(struct run_slot *s, bool is_power, uint64_t down_ms);
/* Empty, ready for another member. */
void slot_clear(struct run_slot *s);
/* Looks at who has ended on the host of the last step. */
void slots_harvest(struct run *r, struct sim_host *host);
struct run_slot *slot_of_host(struct run *r, const struct sim_host *host);
struct run_slot *slot_of_id(struct run *r, uint64_t id);
/* The slot whose member leads in the highest term, or NULL. */
struct run_slot *slot_leader(struct run *r);
/* A running member by chance, or NULL. */
struct run_slot *slot_any_running(struct run *r);
static inline struct core *slot_core(const struct run_slot *s)
{
    return sim_member_core(s->member);
}
bool slots_all_ended(struct run *r);
/* What each of them is at: for whoever reads a failure. */
void slots_trace(struct run *r);

/* truth.c */
void truth_init(struct run *r);
void truth_deinit(struct run *r);
void truth_look(struct run *r, struct run_slot *s);
void truth_begin(struct run *r, struct run_slot *s); /* it has started */
void truth_sent(struct run *r, struct run_slot *s, const struct raft_message *m);
/* Everything of a member against the model and each other; all have applied the same. */
bool truth_compare(struct run *r);
/* Files of a member that is not running: the database checks clean, the log can be read. */
void truth_files(struct run *r, struct run_slot *s);
void truth_hash(struct run *r, uint64_t *h);

/* client.c */
struct run_client *client_start(struct run *r, unsigned number);
bool client_is_idle(const struct run_client *c);
void client_free(struct run_client *c);

/* watch.c */
struct run_watch *watch_start(struct run *r, unsigned number);
/* All events up to rev were delivered. */
bool watch_is_complete(const struct run_watch *w, int64_t rev);
void watch_stop(struct run_watch *w);
void watch_free(struct run_watch *w);

/* faults.c */
void faults_start(struct run *r);
void faults_end(struct run *r);
size_t faults_messages(struct run *r, struct run_slot *s, const struct raft_message *in,
                       size_t count, struct raft_message *out, size_t max);
const char *fault_name(enum run_fault f);
/* Once, now (scenarios). */
void fault_now(struct run *r, enum run_fault f);

/* ask.c: requests by the core's own face */
/* on_done once; q is gone then. */
struct run_ask {
    struct core_request req;
    struct run *run;
    struct run_slot *slot;
    struct sim_member *member; /* who was asked */
    struct strs urls;
    struct buf body;
    struct buf response;
    void (*on_done)(struct run_ask *q);
    unsigned number;
};
struct run_ask *ask_new(struct run_slot *s, enum core_kind kind,
                        void (*on_done)(struct run_ask *q));
void ask_start(struct run_ask *q);

#endif
