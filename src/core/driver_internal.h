/* SPDX-License-Identifier: Apache-2.0
 *
 * core/driver_internal: the driver's state and its jobs.  Private to core.
 */
#ifndef CORE_DRIVER_INTERNAL_H
#define CORE_DRIVER_INTERNAL_H

#include "core/driver.h"
#include "core/epoch.h"
#include "mvcc/watch.h"
#include "wal/wal.h"

enum { DRIVER_CURSORS_MAX = 2 * RAFT_MEMBERS_MAX };

/* The one job of the log lane: appends in order, one sync, then a raft snapshot if there is one. */
struct log_job {
    struct env_job job;
    struct list appends;
    struct core_save *save;
    enum level level; /* in: of what is written */
    bool has_spare;   /* the spare job ended: give it back first */
    int append_err;
    int save_err;
    uint64_t write_ns;
    uint64_t sync_ns;
    uint64_t save_ns;
    bool may_spare; /* in: a new spare may be begun */
    int spare_err;
    bool did_sync;
    bool wants_spare; /* out: spare.job was begun */
    bool is_short;    /* out */
    bool is_running;
};

struct spare_job {
    struct env_job job;
    struct wal_spare_job spare;
    bool is_running; /* from begin to end */
    bool is_made;    /* run is over, end is not */
};

struct commit_job {
    struct env_job job;
    struct backend_batch *batch;
    uint64_t ns;
    int err;
};

struct purge_job {
    struct env_job job;
    bool is_running;
    bool is_wanted;
};

/* The received database over the old one. */
struct install_job {
    struct env_job job;
    struct core_install *install; /* NULL: none is under way */
    struct epoch *epoch;
    uint64_t seed;
    int err;
    char text[DRIVER_TEXT_BYTES];
};

/* Old history for watchers. */
struct watch_work {
    struct env_job job;
    struct watch_hub *hub;
    struct watch_job *read; /* NULL: none is under way */
    struct env_timer pause; /* before the next one */
    bool is_pausing;
    bool is_rested;      /* the pause is over, the read not begun */
    int64_t rev;         /* of the store, at the last turn */
    uint64_t changed_ms; /* when it was another */
};

/* Where the last read of old entries for a member ended. */
struct log_cursor {
    uint64_t to; /* 0: free */
    struct wal_cursor at;
};

struct driver {
    struct driver_config config;
    struct env *env;
    struct core *core;
    struct wal *wal; /* log lane */
    char *wal_dir;
    char *snap_dir;
    struct epoch *epoch;
    struct list old_epochs; /* that are still read */
    enum level level;
    struct log_cursor cursors[DRIVER_CURSORS_MAX];
    struct buf conf_written; /* the JSON that was put into meta/confState last */

    struct list appends; /* wait for the log lane */
    struct core_save *save;
    struct log_job log;
    struct spare_job spare;
    struct commit_job commit;
    struct purge_job purge;
    struct install_job install;
    struct watch_work watch;
    struct list jobs; /* running work jobs */

    struct env_timer tick;
    struct env_timer wake;
    bool is_scheduled;
    bool is_failed;
    bool is_stopping;
    bool is_closed;
    bool was_short;
    bool wants_log_job;      /* an empty one, to begin a spare */
    uint64_t spare_retry_ms; /* no new spare before */
    struct driver_stats stats;
    void (*timing)(void *arg, enum driver_timing what, uint64_t ns);
    void *timing_arg;
};

void driver_schedule(struct driver *d);
int driver_step(struct driver *d, struct core_event *ev);
uint64_t driver_random(struct driver *d);

/* jobs.c */
void driver_log_start(struct driver *d);
void driver_spare_start(struct driver *d);
void driver_spare_retry(struct driver *d);
void driver_commit_start(struct driver *d, struct backend_batch *batch);
void driver_job_start(struct driver *d, struct core_job *job);
void driver_install_start(struct driver *d, struct core_install *in);
/* watch.c: hands out what was changed in this turn, and reads on for who is behind. */
MUST_USE int driver_watch_turn(struct driver *d);
void driver_watch_init(struct driver *d);
void driver_watch_end(struct driver *d);
/* Old epochs that nobody reads any more go. */
void driver_epochs_sweep(struct driver *d);

#endif
