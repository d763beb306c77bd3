/* SPDX-License-Identifier: Apache-2.0
 *
 * core/watch: the turn's end for watchers, and the work lane's reads of old history.
 *
 * A chunk of history costs this thread about 0.1 ms, and one that is far behind asks for the next
 * at once.  While the store changes there is a pause before each: else the answers to writers would
 * wait for chunks half of the time.  Nobody writes: no pause.
 */
#include "base/err.h"
#include "base/failpoint.h"
#include "core/driver_internal.h"

enum {
    WATCH_PAUSE_MS = 1,
    WATCH_CHANGING_MS = 5, /* since the last change */
};

struct watch_hub *driver_watch_hub(struct driver *d)
{
    return d->watch.hub;
}

void driver_watch_kick(struct driver *d)
{
    driver_schedule(d);
}

static void watch_run(struct env_job *job)
{
    FAILPOINT(beforeSyncWatchers);
    watch_job_run(container_of(job, struct watch_work, job)->read);
}

static void watch_done(struct env_job *job)
{
    struct driver *d = container_of(job, struct driver, watch.job);
    watch_hub_job_done(d->watch.hub, d->watch.read);
    d->watch.read = NULL;
    driver_schedule(d);
}

/* ---- pace ---- */

static void on_pause_over(struct env_timer *t)
{
    struct driver *d = container_of(t, struct driver, watch.pause);
    d->watch.is_pausing = false;
    driver_schedule(d);
}

void driver_watch_init(struct driver *d)
{
    d->watch.hub = watch_hub_create();
    d->watch.pause.fire = on_pause_over;
}

void driver_watch_end(struct driver *d)
{
    d->env->exec->ops->timer_stop(d->env->exec, &d->watch.pause);
}

static void note_change(struct driver *d)
{
    int64_t rev = watch_hub_store_rev(d->watch.hub);
    if (rev != d->watch.rev) {
        d->watch.rev = rev;
        d->watch.changed_ms = env_mono_ms(d->env);
    }
}

static bool is_changing(const struct driver *d)
{
    return env_mono_ms(d->env) <= d->watch.changed_ms + WATCH_CHANGING_MS;
}

/* After a chunk was handed out: the next read waits. */
static bool must_pause(struct driver *d)
{
    if (d->watch.is_rested || !is_changing(d)) {
        return false;
    }
    d->watch.is_pausing = true;
    d->watch.is_rested = true;
    d->env->exec->ops->timer_start(d->env->exec, &d->watch.pause, WATCH_PAUSE_MS);
    return true;
}

static void read_next(struct driver *d)
{
    if (d->watch.is_pausing || !watch_hub_wants_job(d->watch.hub) || must_pause(d)) {
        return;
    }
    d->watch.is_rested = false;
    d->watch.read = watch_hub_job(d->watch.hub);
    d->watch.job.run = watch_run;
    d->watch.job.done = watch_done;
    d->env->exec->ops->submit(d->env->exec, ENV_LANE_WORK, &d->watch.job);
}

int driver_watch_turn(struct driver *d)
{
    if (d->is_failed) {
        return 0;
    }
    /* Always: what was collected must not outlive the turn. */
    int err = watch_hub_flush(d->watch.hub);
    note_change(d);
    if (d->is_stopping) {
        return 0;
    }
    read_next(d);
    return err;
}
