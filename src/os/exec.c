/* SPDX-License-Identifier: Apache-2.0
 *
 * os/exec: env_exec over the loop: submissions, completions, timers, deferred calls, wakers.
 *
 * Design      One turn of the loop: due timers, then the ready descriptors (sockets, and the
 * wake-up that brings finished jobs), then the deferred calls.  An idle handle is active while
 *             something is deferred, so that the turn that has it does not sleep.
 * Thread      main loop (asserted).
 */
#include "os/impl.h"

enum { DEFERRED_MIN = 32 };

/* ---- deferred calls ---- */

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* its being active is its whole work */
}

static void on_check(uv_check_t *check)
{
    struct os_exec *x = container_of(check, struct os_exec, check);
    if (x->deferred.len == 0) {
        return;
    }
    /* What is deferred from here on belongs to the next turn. */
    struct os_deferred_list now = x->deferred;
    x->deferred = x->running;
    x->deferred.len = 0;
    x->running = now;
    for (size_t i = 0; i < now.len; i++) {
        now.at[i].fn(now.at[i].arg);
    }
    if (x->deferred.len == 0) {
        uv_idle_stop(&x->idle);
    }
}

static void exec_defer(struct env_exec *e, void (*fn)(void *arg), void *arg)
{
    struct os_exec *x = container_of(e, struct os_exec, base);
    os_assert_owner(os_env_of_exec(e));
    struct os_deferred_list *l = &x->deferred;
    if (l->len == l->cap) {
        l->cap = l->cap == 0 ? DEFERRED_MIN : l->cap * 2;
        l->at = mem_realloc(l->at, l->cap * sizeof(l->at[0]));
    }
    l->at[l->len++] = (struct os_deferred){fn, arg};
    if (!uv_is_active((uv_handle_t *)&x->idle)) {
        uv_idle_start(&x->idle, on_idle);
    }
}

/* ---- jobs ---- */

static void on_done(uv_async_t *async)
{
    struct os_exec *x = container_of(async, struct os_exec, done_async);
    struct list ready;
    list_init(&ready);
    pthread_mutex_lock(&x->done.mutex);
    list_splice_back(&ready, &x->done.jobs);
    pthread_mutex_unlock(&x->done.mutex);
    for (struct list_node *node; (node = list_first(&ready)) != NULL;) {
        list_remove(node);
        struct env_job *job = LIST_ENTRY(node, struct env_job, node);
        job->done(job);
    }
}

/* no_lanes: one job a turn, on this thread. */
static void inline_run(void *arg)
{
    struct os_exec *x = arg;
    struct list_node *node = list_first(&x->inline_jobs);
    if (node == NULL) {
        return;
    }
    list_remove(node);
    struct env_job *job = LIST_ENTRY(node, struct env_job, node);
    job->run(job);
    job->done(job);
}

static void exec_submit(struct env_exec *e, enum env_lane lane, struct env_job *job)
{
    struct os_exec *x = container_of(e, struct os_exec, base);
    os_assert_owner(os_env_of_exec(e));
    ensure((unsigned)lane < ENV_LANE_COUNT);
    if (x->has_lanes) {
        os_lane_push(&x->lanes[lane], job);
    } else {
        list_push_back(&x->inline_jobs, &job->node);
        exec_defer(e, inline_run, x);
    }
}

/* ---- timers ---- */

static void on_timer(uv_timer_t *timer);

static void timer_arm(struct os_exec *x, uint64_t now_ns)
{
    uint64_t next = timer_heap_next_ns(&x->timers);
    if (next >= x->timer_armed_ns) {
        return; /* fires too early at worst, and arms again then */
    }
    /* libuv counts whole milliseconds from a floored now: one more, or it fires too early. */
    uint64_t wait_ms = next <= now_ns ? 0 : (next - now_ns) / 1000000 + 1;
    /* The loop's idea of now is as old as this turn; the delay is counted from the real one. */
    uv_update_time(x->timer.loop);
    (void)uv_timer_start(&x->timer, on_timer, wait_ms, 0);
    x->timer_armed_ns = next;
}

static void on_timer(uv_timer_t *timer)
{
    struct os_exec *x = container_of(timer, struct os_exec, timer);
    x->timer_armed_ns = UINT64_MAX;
    uint64_t now_ns = os_mono_ns(), seq_end = x->timers.next_seq;
    for (struct env_timer *t; (t = timer_heap_pop(&x->timers, now_ns, seq_end)) != NULL;) {
        t->fire(t);
    }
    timer_arm(x, now_ns);
}

static void exec_timer_start(struct env_exec *e, struct env_timer *t, uint64_t delay_ms)
{
    struct os_exec *x = container_of(e, struct os_exec, base);
    os_assert_owner(os_env_of_exec(e));
    uint64_t now_ns = os_mono_ns();
    uint64_t delay_ns = delay_ms > UINT64_MAX / 2000000 ? UINT64_MAX / 2 : delay_ms * 1000000;
    timer_heap_start(&x->timers, t, now_ns + delay_ns);
    timer_arm(x, now_ns);
}

static void exec_timer_stop(struct env_exec *e, struct env_timer *t)
{
    os_assert_owner(os_env_of_exec(e));
    timer_heap_stop(&container_of(e, struct os_exec, base)->timers, t);
}

/* ---- wakers ---- */

struct os_waker {
    struct env_waker base;
    struct os_env *env;
    uv_async_t async;
    void (*fn)(void *arg);
    void *arg;
};

static void on_wake(uv_async_t *async)
{
    struct os_waker *w = container_of(async, struct os_waker, async);
    w->fn(w->arg);
}

static void waker_wake(struct env_waker *base)
{
    /* Only failure would be a closed handle, which is against the rules of destroy. */
    (void)uv_async_send(&container_of(base, struct os_waker, base)->async);
}

static void on_waker_closed(uv_handle_t *handle)
{
    mem_free(container_of((uv_async_t *)(void *)handle, struct os_waker, async));
}

static void waker_destroy(struct env_waker *base)
{
    struct os_waker *w = container_of(base, struct os_waker, base);
    os_assert_owner(w->env);
    uv_close((uv_handle_t *)&w->async, on_waker_closed);
}

static const struct env_waker_ops waker_ops = {waker_wake, waker_destroy};

static int exec_waker_create(struct env_exec *e, void (*fn)(void *arg), void *arg,
                             struct env_waker **out)
{
    struct os_env *env = os_env_of_exec(e);
    os_assert_owner(env);
    struct os_waker *w = mem_zalloc(sizeof(*w));
    *w = (struct os_waker){.base = {&waker_ops}, .env = env, .fn = fn, .arg = arg};
    int rc = uv_async_init(&env->loop, &w->async, on_wake);
    if (rc != 0) {
        mem_free(w);
        return os_fail_uv(rc);
    }
    *out = &w->base;
    return 0;
}

static const struct env_exec_ops exec_ops = {
    .submit = exec_submit,
    .timer_start = exec_timer_start,
    .timer_stop = exec_timer_stop,
    .defer = exec_defer,
    .waker_create = exec_waker_create,
};

/* ---- life ---- */

int os_exec_init(struct os_env *env, const struct os_options *opts)
{
    struct os_exec *x = &env->exec;
    x->base.ops = &exec_ops;
    x->has_lanes = !opts->no_lanes;
    x->timer_armed_ns = UINT64_MAX;
    timer_heap_init(&x->timers);
    list_init(&x->inline_jobs);
    list_init(&x->done.jobs);
    pthread_mutex_init(&x->done.mutex, NULL);
    for (size_t i = 0; i < ENV_LANE_COUNT; i++) {
        x->lanes[i].env = env;
        list_init(&x->lanes[i].jobs);
        pthread_mutex_init(&x->lanes[i].mutex, NULL);
        pthread_cond_init(&x->lanes[i].wake, NULL);
    }
    int rc = uv_async_init(&env->loop, &x->done_async, on_done);
    if (rc != 0) {
        return os_fail_uv(rc);
    }
    /* These three cannot fail (libuv's documentation). */
    (void)uv_timer_init(&env->loop, &x->timer);
    (void)uv_idle_init(&env->loop, &x->idle);
    (void)uv_check_init(&env->loop, &x->check);
    (void)uv_check_start(&x->check, on_check);
    unsigned work = opts->work_threads == 0 ? OS_WORK_THREADS_DEFAULT : opts->work_threads;
    work = work < OS_WORK_THREADS_MAX ? work : OS_WORK_THREADS_MAX;
    return x->has_lanes ? os_lanes_start(env, work) : 0;
}

void os_exec_stop(struct os_env *env)
{
    struct os_exec *x = &env->exec;
    os_lanes_stop(env);
    for (struct list_node *node; (node = list_first(&x->inline_jobs)) != NULL;) {
        list_remove(node);
        struct env_job *job = LIST_ENTRY(node, struct env_job, node);
        job->run(job);
    }
    x->deferred.len = 0;
}

void os_exec_deinit(struct os_env *env)
{
    struct os_exec *x = &env->exec;
    timer_heap_deinit(&x->timers);
    mem_free(x->deferred.at);
    mem_free(x->running.at);
    pthread_mutex_destroy(&x->done.mutex);
    for (size_t i = 0; i < ENV_LANE_COUNT; i++) {
        pthread_mutex_destroy(&x->lanes[i].mutex);
        pthread_cond_destroy(&x->lanes[i].wake);
    }
}
