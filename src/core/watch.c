/* SPDX-License-Identifier: Apache-2.0
 *
 * core/watch: the turn's end for watchers, and the work lane's reads of old history.
 */
#include "base/err.h"
#include "base/failpoint.h"
#include "core/driver_internal.h"

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

int driver_watch_turn(struct driver *d)
{
    if (d->is_failed) {
        return 0;
    }
    /* Always: what was collected must not outlive the turn. */
    int err = watch_hub_flush(d->watch.hub);
    if (d->is_stopping) {
        return 0;
    }
    struct watch_job *read = watch_hub_job(d->watch.hub);
    if (read != NULL) {
        d->watch.read = read;
        d->watch.job.run = watch_run;
        d->watch.job.done = watch_done;
        d->env->exec->ops->submit(d->env->exec, ENV_LANE_WORK, &d->watch.job);
    }
    return err;
}
