/* SPDX-License-Identifier: Apache-2.0 */
#include "core/driver.h"

#include <stdio.h>

#include "base/log.h"
#include "core/boot.h"
#include "core/driver_internal.h"
#include "snap/snap.h"

enum { DRIVER_TAKES_MAX = 64 }; /* in one turn, then the loop breathes */

static void turn(void *arg);

void driver_schedule(struct driver *d)
{
    if (!d->is_scheduled && !d->is_closed) {
        d->is_scheduled = true;
        d->env->exec->ops->defer(d->env->exec, turn, d);
    }
}

void driver_step(struct driver *d, struct core_event *ev)
{
    ev->now_ms = env_mono_ms(d->env);
    core_step(d->core, ev);
    driver_schedule(d);
}

static void fatal(struct driver *d, int err, const char *text)
{
    if (!d->is_failed) {
        d->is_failed = true;
        d->config.on_fatal(d->config.arg, err, text);
    }
}

static void give_replies(struct core_update *u)
{
    LIST_FOREACH (&u->replies, n) {
        list_remove(n);
        struct core_request *r = LIST_ENTRY(n, struct core_request, node);
        r->on_reply(r);
    }
}

static void carry_out(struct driver *d, struct core_update *u)
{
    LIST_FOREACH (&u->appends, n) {
        list_remove(n);
        list_push_back(&d->appends, n);
    }
    if (u->save != NULL) {
        ensure(d->save == NULL);
        d->save = u->save;
    }
    driver_log_start(d);
    if (u->batch != NULL) {
        driver_commit_start(d, u->batch);
    }
    LIST_FOREACH (&u->jobs, n) {
        list_remove(n);
        driver_job_start(d, LIST_ENTRY(n, struct core_job, node));
    }
    give_replies(u);
}

static void set_wake(struct driver *d, uint64_t wake_ms)
{
    struct env_exec *x = d->env->exec;
    if (wake_ms == UINT64_MAX) {
        x->ops->timer_stop(x, &d->wake);
        return;
    }
    uint64_t now = env_mono_ms(d->env);
    x->ops->timer_start(x, &d->wake, wake_ms > now ? wake_ms - now : 0);
}

static void turn(void *arg)
{
    struct driver *d = arg;
    d->is_scheduled = false;
    if (d->is_closed) {
        return;
    }
    struct core_update u;
    int takes = 0;
    do {
        if (takes > 0) {
            struct core_event ev = {.type = CORE_EV_WAKE, .now_ms = env_mono_ms(d->env)};
            core_step(d->core, &ev);
        }
        core_take(d->core, &u);
        carry_out(d, &u);
        if (u.became_ready) {
            d->config.on_ready(d->config.arg);
        }
        if (u.fatal != 0) {
            fatal(d, u.fatal, u.fatal_text);
        }
    } while (u.has_more && ++takes < DRIVER_TAKES_MAX);
    if (u.has_more) {
        driver_schedule(d);
    }
    set_wake(d, u.wake_ms);
    if (u.is_stopped && d->is_stopping && !d->log.is_running && !d->spare.is_running &&
        !d->purge.is_running) {
        struct env_exec *x = d->env->exec;
        x->ops->timer_stop(x, &d->tick); /* no turn may be pending when it is closed */
        x->ops->timer_stop(x, &d->wake);
        d->is_stopping = false;
        d->config.on_stopped(d->config.arg);
    }
}

static void on_tick(struct env_timer *t)
{
    struct driver *d = container_of(t, struct driver, tick);
    struct core_event ev = {.type = CORE_EV_TICK};
    driver_step(d, &ev);
    driver_spare_retry(d);
    struct env_exec *x = d->env->exec;
    x->ops->timer_start(x, &d->tick, d->config.heartbeat_ms);
}

static void on_wake(struct env_timer *t)
{
    struct driver *d = container_of(t, struct driver, wake);
    struct core_event ev = {.type = CORE_EV_WAKE};
    driver_step(d, &ev);
}

int driver_open(const struct driver_config *config, struct driver **out, char *text)
{
    struct driver *d = mem_zalloc(sizeof(*d));
    d->config = *config;
    d->env = config->env;
    list_init(&d->appends);
    list_init(&d->log.appends);
    list_init(&d->jobs);
    text[0] = 0;
    int err = boot_open(d, text);
    if (err != 0) {
        if (text[0] == 0) {
            (void)snprintf(text, DRIVER_TEXT_BYTES, "%s", err_text(err));
        }
        mem_free(d);
        return err;
    }
    d->tick.fire = on_tick;
    d->wake.fire = on_wake;
    *out = d;
    return 0;
}

void driver_start(struct driver *d)
{
    struct env_exec *x = d->env->exec;
    x->ops->timer_start(x, &d->tick, d->config.heartbeat_ms);
    driver_spare_start(d);
    driver_schedule(d);
}

void driver_submit(struct driver *d, struct core_request *r)
{
    struct core_event ev = {.type = CORE_EV_REQUEST, .request = r};
    driver_step(d, &ev);
}

void driver_cancel(struct driver *d, struct core_request *r)
{
    struct core_event ev = {.type = CORE_EV_CANCEL, .request = r};
    driver_step(d, &ev);
}

void driver_stop(struct driver *d)
{
    d->is_stopping = true;
    struct core_event ev = {.type = CORE_EV_STOP};
    driver_step(d, &ev);
}

void driver_close(struct driver *d)
{
    struct env_exec *x = d->env->exec;
    d->is_closed = true;
    x->ops->timer_stop(x, &d->tick);
    x->ops->timer_stop(x, &d->wake);
    boot_close(d);
    mem_free(d);
}

struct core *driver_core(struct driver *d)
{
    return d->core;
}

struct env *driver_env(struct driver *d)
{
    return d->env;
}

enum level driver_level(const struct driver *d)
{
    return d->level;
}

const struct driver_stats *driver_stats(const struct driver *d)
{
    return &d->stats;
}

void driver_timing_hook(struct driver *d,
                        void (*hook)(void *arg, enum driver_timing what, uint64_t ns), void *arg)
{
    d->timing = hook;
    d->timing_arg = arg;
}
