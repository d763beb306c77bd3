/* SPDX-License-Identifier: Apache-2.0
 *
 * cluster_fixture: several whole members (core/driver) on one simulated world, in one thread, with
 * a transport in memory that can delay, drop, reorder and cut by a seed.
 *
 *     struct cluster_fixture f;
 *     cf_init(&f, 3, seed);
 *     cf_start_all(&f);                           a leader, everybody ready
 *     assert_int_equal(cf_put(&f, 0, "key", "value"), 0);
 *     cf_kill(&f, cf_leader(&f));                 the power goes
 *     cf_check_equal(&f);
 *     cf_deinit(&f);
 *
 * Thread      one. Failure aborts (ensure) where a run cannot go on; requests give their error.
 */
#ifndef CLUSTER_FIXTURE_H
#define CLUSTER_FIXTURE_H

#include "base/prng.h"
#include "core/driver.h"
#include "sim/disk.h"
#include "sim/sim.h"

enum { CF_MEMBERS_MAX = 7 };

struct cluster_fixture;

struct cf_member {
    struct cluster_fixture *fixture;
    unsigned at;
    struct sim_host *host;
    struct env env;
    struct sim_disk *disk;      /* the host's, or the test's own */
    struct env_disk *test_disk; /* used instead of disk when not NULL: then no cf_kill */
    raft_index promised;        /* highest index that it has acknowledged to a leader */
    struct driver *driver;      /* NULL: not running */
    struct driver_config config;
    char name[8];
    char peer_url[40];
    char client_url[40];
    uint64_t id; /* 0: never ran */
    bool is_ready;
    bool is_failed;
    bool is_stopped;
    bool is_removed;
    bool wants_versions;
    unsigned epochs;    /* snapshots installed */
    unsigned snapshots; /* sent */
    int fatal;
    char text[DRIVER_TEXT_BYTES];
};

struct cluster_fixture {
    struct sim *sim;
    struct prng prng;
    struct cf_member members[CF_MEMBERS_MAX];
    unsigned count;
    char initial[CF_MEMBERS_MAX * 48];
    bool is_cut[CF_MEMBERS_MAX][CF_MEMBERS_MAX];    /* from, to */
    bool is_active[CF_MEMBERS_MAX][CF_MEMBERS_MAX]; /* as told to the first */
    uint32_t drop_per_1000;
    uint64_t delay_max_ms; /* >= 1; above 1 messages overtake each other */
    struct list packets;
    uint64_t messages; /* delivered */
};

/* count members of a new cluster; nothing runs.  Configurations may be changed. */
void cf_init(struct cluster_fixture *f, unsigned count, uint64_t seed);
void cf_deinit(struct cluster_fixture *f);
/* One more member, with a name, a host and URLs; it is not part of the cluster. */
unsigned cf_member_add(struct cluster_fixture *f);
/* Ready to join: what the members of `from` say goes into its configuration, for the next start.
 * Gone with cf_join_end. */
void cf_join_begin(struct cluster_fixture *f, unsigned i, unsigned from,
                   struct membership *existing);

/* Opens and starts; 0 or the error (text). */
int cf_start(struct cluster_fixture *f, unsigned i);
/* All, until there is a leader and everybody is ready. */
void cf_start_all(struct cluster_fixture *f);
bool cf_wait_ready(struct cluster_fixture *f);
/* Orderly. */
void cf_stop(struct cluster_fixture *f, unsigned i);
/* The disk has no power any more and nothing leaves the member; what was not synced is decided by
 * the policy. */
void cf_kill(struct cluster_fixture *f, unsigned i, enum sim_crash_policy policy);

void cf_cut(struct cluster_fixture *f, unsigned a, unsigned b, bool is_cut);
/* From and to everybody. */
void cf_isolate(struct cluster_fixture *f, unsigned i, bool is_cut);
void cf_run(struct cluster_fixture *f, uint64_t ms);
bool cf_run_until(struct cluster_fixture *f, bool (*pred)(struct cluster_fixture *f), uint64_t ms);

/* The running member that leads in the highest term, CF_MEMBERS_MAX: none. */
unsigned cf_leader(struct cluster_fixture *f);
/* Waits for one. */
unsigned cf_wait_leader(struct cluster_fixture *f);
/* Until all running members have applied the same index. */
void cf_settle(struct cluster_fixture *f);
/* Settled; equal HashKV, members, versions; invariants.  0, or why not. */
int cf_equal(struct cluster_fixture *f, struct buf *why);
void cf_check_equal(struct cluster_fixture *f);

/* ---- requests ---- */

struct cf_request {
    struct core_request req;
    bool is_done;
    bool is_freed_when_done;
};

void cf_request_init(struct cf_request *q, enum core_kind kind);
void cf_submit(struct cluster_fixture *f, unsigned i, struct cf_request *q);
/* Until it is answered, at most 60 s. */
int cf_ask(struct cluster_fixture *f, unsigned i, struct cf_request *q);
void cf_put_begin(struct cluster_fixture *f, unsigned i, struct cf_request *q, const char *key,
                  const char *value);
int cf_put(struct cluster_fixture *f, unsigned i, const char *key, const char *value);
int cf_propose(struct cluster_fixture *f, unsigned i, uint32_t which, struct slice body);
int cf_get(struct cluster_fixture *f, unsigned i, const char *key, bool is_serializable,
           struct buf *out);
int cf_hash(struct cluster_fixture *f, unsigned i, int64_t rev, struct mvcc_hash_value *out);
int cf_conf(struct cluster_fixture *f, unsigned i, enum core_member_op op, uint64_t *id,
            const char *url);
int cf_transfer(struct cluster_fixture *f, unsigned i, uint64_t to);
struct core_status cf_status(struct cluster_fixture *f, unsigned i);

#endif
