/* SPDX-License-Identifier: Apache-2.0 */
#include "core/driver.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/failpoint.h"
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

int driver_step(struct driver *d, struct core_event *ev)
{
    ev->now_ms = env_mono_ms(d->env);
    int err = core_step(d->core, ev);
    driver_schedule(d);
    return err;
}

uint64_t driver_random(struct driver *d)
{
    uint8_t bytes[8];
    d->env->rand->ops->fill(d->env->rand, bytes, sizeof(bytes));
    return load_le64(bytes);
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

static void send_snapshot(struct driver *d, struct core_send *s)
{
    const struct raft_snapshot snapshot = {.meta = s->meta};
    const struct raft_message m = {
        .type = RAFT_MSG_SNAP,
        .to = s->to,
        .from = core_member_id(d->core),
        .term = s->term,
        .snapshot = &snapshot,
    };
    if (d->config.on_send_snapshot == NULL) {
        driver_snapshot_status(d, s->to, true);
        core_send_free(s);
        return;
    }
    const struct driver_snapshot out = {&m, &s->meta, buf_slice(&s->v2_json), s->view};
    s->view = NULL; /* the callee's */
    d->config.on_send_snapshot(d->config.arg, &out);
    core_send_free(s);
}

/* To the other members first: nothing of it waits for the own disk. */
static void give_messages(struct driver *d, struct core_update *u)
{
    const struct driver_config *dc = &d->config;
    if (u->message_count > 0 && core_leads(d->core)) {
        FAILPOINT(raftBeforeLeaderSend);
    } else if (u->message_count > 0) {
        FAILPOINT(raftBeforeFollowerSend);
    }
    if (dc->on_messages != NULL && u->message_count > 0) {
        dc->on_messages(dc->arg, u->messages, u->message_count);
    }
    if (dc->on_messages != NULL && u->synced_count > 0) {
        dc->on_messages(dc->arg, u->synced, u->synced_count);
    }
    LIST_FOREACH (&u->sends, n) {
        list_remove(n);
        send_snapshot(d, LIST_ENTRY(n, struct core_send, node));
    }
}

static void give_news(struct driver *d, const struct core_update *u)
{
    const struct driver_config *dc = &d->config;
    if (u->epoch_changed) {
        watch_hub_attach(d->watch.hub, core_store(d->core));
    }
    if (u->epoch_changed && dc->on_epoch_changed != NULL) {
        dc->on_epoch_changed(dc->arg);
    }
    if (u->members_changed && dc->on_members_changed != NULL) {
        dc->on_members_changed(dc->arg);
    }
    if (u->level_changed) {
        d->level = core_level(d->core);
        if (dc->on_level_changed != NULL) {
            dc->on_level_changed(dc->arg, d->level);
        }
    }
    if (u->wants_versions && dc->on_want_versions != NULL) {
        dc->on_want_versions(dc->arg);
    }
    if (u->is_removed && dc->on_removed != NULL) {
        dc->on_removed(dc->arg);
    }
}

static void carry_out(struct driver *d, struct core_update *u)
{
    give_messages(d, u);
    give_news(d, u);
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
    if (u->install != NULL) {
        driver_install_start(d, u->install);
    }
    LIST_FOREACH (&u->jobs, n) {
        list_remove(n);
        driver_job_start(d, LIST_ENTRY(n, struct core_job, node));
    }
    FAILPOINT(raftBeforeAdvance);
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
    int err = driver_watch_turn(d);
    if (u.has_more || err == ERR_AGAIN) {
        driver_schedule(d);
    } else if (err != 0) {
        fatal(d, err, "reading old revisions for watchers");
    }
    driver_epochs_sweep(d);
    set_wake(d, u.wake_ms);
    if (u.is_stopped && d->is_stopping && !d->log.is_running && !d->spare.is_running &&
        !d->purge.is_running && d->watch.read == NULL) {
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
    list_init(&d->old_epochs);
    text[0] = 0;
    d->watch.hub = watch_hub_create();
    int err = boot_open(d, text);
    if (err != 0) {
        watch_hub_destroy(d->watch.hub);
        if (text[0] == 0) {
            (void)snprintf(text, DRIVER_TEXT_BYTES, "%s", err_text(err));
        }
        mem_free(d);
        return err;
    }
    watch_hub_attach(d->watch.hub, core_store(d->core));
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

int driver_message(struct driver *d, const struct raft_message *m)
{
    struct core_event ev = {.type = CORE_EV_MESSAGE, .message = m};
    return driver_step(d, &ev);
}

int driver_snapshot_received(struct driver *d, const struct raft_message *m, struct slice v2_json)
{
    struct core_event ev = {.type = CORE_EV_SNAPSHOT, .message = m, .v2_json = v2_json};
    return driver_step(d, &ev);
}

void driver_unreachable(struct driver *d, uint64_t id)
{
    struct core_event ev = {.type = CORE_EV_UNREACHABLE, .peer = id};
    driver_step(d, &ev);
}

void driver_snapshot_status(struct driver *d, uint64_t id, bool has_failed)
{
    struct core_event ev = {.type = CORE_EV_SNAPSHOT_STATUS, .peer = id, .has_failed = has_failed};
    driver_step(d, &ev);
}

void driver_peer_active(struct driver *d, uint64_t id, bool is_active)
{
    struct core_event ev = {.type = CORE_EV_PEER_ACTIVE, .peer = id, .is_active = is_active};
    driver_step(d, &ev);
}

void driver_versions(struct driver *d, const struct core_version *versions, size_t count)
{
    struct core_event ev = {.type = CORE_EV_VERSIONS, .versions = versions, .version_count = count};
    driver_step(d, &ev);
}

const char *driver_snap_dir(const struct driver *d)
{
    return d->snap_dir;
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
    watch_hub_destroy(d->watch.hub);
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
