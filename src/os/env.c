/* SPDX-License-Identifier: Apache-2.0
 *
 * os/env: the whole env: clock, randomness, the loop and its signals.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "os/impl.h"

/* ---- clock, rand ---- */

uint64_t os_mono_ns(void)
{
    struct timespec ts;
    ensure(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t clock_mono_ns(struct env_clock *c)
{
    (void)c;
    return os_mono_ns();
}

static int64_t clock_wall_ns(struct env_clock *c)
{
    (void)c;
    struct timespec ts;
    ensure(clock_gettime(CLOCK_REALTIME, &ts) == 0);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void rand_fill(struct env_rand *r, void *out, size_t len)
{
    (void)r;
    uint8_t *at = out;
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        /* Without randomness tokens and ids would be guessable: no way to go on. */
        ensure(n > 0 || (n < 0 && errno == EINTR));
        at += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

static const struct env_clock_ops clock_ops = {clock_mono_ns, clock_wall_ns};
static const struct env_rand_ops rand_ops = {rand_fill};

/* ---- life ---- */

static void on_stop_async(uv_async_t *async)
{
    uv_stop(async->loop);
}

static void tables_init(struct os_env *e)
{
    e->clock.ops = &clock_ops;
    e->rand.ops = &rand_ops;
    e->base = (struct env){&e->clock, &e->rand, &e->disk.base, &e->exec.base, &e->net.base};
}

static void handle_close(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

/* Closes what is left in the loop and the loop itself. */
static void loop_finish(struct os_env *e)
{
    uv_walk(&e->loop, handle_close, NULL);
    (void)uv_run(&e->loop, UV_RUN_DEFAULT);
    ensure(uv_loop_close(&e->loop) == 0);
}

int os_env_create(const struct os_options *opts, struct env **out)
{
    static const struct os_options defaults;
    opts = opts == NULL ? &defaults : opts;
    struct os_env *e = mem_zalloc(sizeof(*e));
    int rc = uv_loop_init(&e->loop);
    if (rc != 0) {
        mem_free(e);
        return os_fail_uv(rc);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    e->owner = pthread_self();
    tables_init(e);
    os_disk_init(&e->disk, opts->no_sync);
    os_net_init(e);
    (void)uv_timer_init(&e->loop, &e->run_timer);
    rc = uv_async_init(&e->loop, &e->stop_async, on_stop_async);
    int err = rc != 0 ? os_fail_uv(rc) : os_exec_init(e, opts);
    if (err != 0) {
        os_env_destroy(&e->base);
        return err;
    }
    *out = &e->base;
    return 0;
}

void os_env_destroy(struct env *env)
{
    struct os_env *e = os_env_of(env);
    os_assert_owner(e);
    os_exec_stop(e);
    os_net_close_all(e);
    loop_finish(e);
    os_net_deinit(e);
    os_exec_deinit(e);
    mem_free(e);
}

/* ---- running ---- */

void os_loop_run(struct env *env)
{
    struct os_env *e = os_env_of(env);
    os_assert_owner(e);
    (void)uv_run(&e->loop, UV_RUN_DEFAULT);
}

void os_loop_stop(struct env *env)
{
    struct os_env *e = os_env_of(env);
    os_assert_owner(e);
    uv_stop(&e->loop);
}

void os_loop_stop_async(struct env *env)
{
    (void)uv_async_send(&os_env_of(env)->stop_async);
}

static void on_run_timer(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

void os_loop_run_for(struct env *env, uint64_t ms)
{
    struct os_env *e = os_env_of(env);
    uv_update_time(&e->loop);
    (void)uv_timer_start(&e->run_timer, on_run_timer, ms, 0);
    os_loop_run(env);
    (void)uv_timer_stop(&e->run_timer);
}

/* ---- signals ---- */

static void on_signal(uv_signal_t *handle, int signo)
{
    struct os_signal *s = container_of(handle, struct os_signal, handle);
    s->cb(s->arg, signo);
}

static struct os_signal *signal_slot(struct os_env *e, int signo)
{
    for (size_t i = 0; i < OS_SIGNALS_MAX; i++) {
        if (e->signals[i].signo == signo) {
            return &e->signals[i];
        }
    }
    return NULL;
}

int os_signal_watch(struct env *env, int signo, void (*cb)(void *arg, int signo), void *arg)
{
    struct os_env *e = os_env_of(env);
    os_assert_owner(e);
    struct os_signal *s = signal_slot(e, signo);
    if (s == NULL) {
        s = signal_slot(e, 0);
    }
    if (s == NULL) {
        return ERR_LIMIT;
    }
    s->cb = cb;
    s->arg = arg;
    if (s->signo == signo) {
        return 0;
    }
    int rc = s->env == NULL ? uv_signal_init(&e->loop, &s->handle) : 0;
    if (rc == 0) {
        s->env = e; /* the handle stays initialised when the slot is free again */
        rc = uv_signal_start(&s->handle, on_signal, signo);
    }
    if (rc != 0) {
        return os_fail_uv(rc);
    }
    s->signo = signo;
    return 0;
}

void os_signal_unwatch(struct env *env, int signo)
{
    struct os_env *e = os_env_of(env);
    os_assert_owner(e);
    struct os_signal *s = signo == 0 ? NULL : signal_slot(e, signo);
    if (s != NULL) {
        (void)uv_signal_stop(&s->handle);
        s->signo = 0;
    }
}

void os_die_by_signal(int signo)
{
    sigset_t only;
    (void)signal(signo, SIG_DFL);
    sigemptyset(&only);
    sigaddset(&only, signo);
    (void)pthread_sigmask(SIG_UNBLOCK, &only, NULL);
    (void)raise(signo);
    _exit(128 + signo); /* the signal's default was not to die */
}
