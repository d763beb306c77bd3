/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/exec: env_exec of a host: lanes as queues, timers on the simulated clock, deferred calls.
 *
 * A turn of the loop is at most TURN_EVENTS events; the deferred calls run when it is through or
 * nothing else is ready.  In SEED order the turn may end early, lanes and loop are drawn, and jobs
 * of the WORK lane overtake each other, as threads do.
 */
#include <string.h>

#include "base/assert.h"
#include "sim/impl.h"

enum { TURN_EVENTS = 64, DEFERRED_MIN = 16 };

enum ready {
    READY_TIMER,
    READY_NET,
    READY_DONE,
    READY_DEFERRED,
    READY_LANES, /* + lane */
    READY_COUNT = READY_LANES + ENV_LANE_COUNT,
};

/* ---- table ---- */

/* A lane does one job at a time: the next one is through at due_ns. */
static void lane_begin(struct sim_host *h, enum env_lane lane)
{
    struct sim_exec *x = &h->exec;
    uint64_t min = x->job_min_ns[lane], max = x->job_max_ns[lane];
    x->due_ns[lane] =
        h->sim->now_ns + (max > min ? min + prng_below(&h->sim->prng, max - min + 1) : min);
}

static void exec_submit(struct env_exec *e, enum env_lane lane, struct env_job *job)
{
    struct sim_host *h = sim_host_of_exec(e);
    ensure((unsigned)lane < ENV_LANE_COUNT);
    if (h->exec.waiting[lane]++ == 0) {
        lane_begin(h, lane);
    }
    list_push_back(&h->exec.lanes[lane], &job->node);
}

static void exec_timer_start(struct env_exec *e, struct env_timer *t, uint64_t delay_ms)
{
    struct sim_host *h = sim_host_of_exec(e);
    uint64_t delay_ns = delay_ms > UINT64_MAX / 2000000 ? UINT64_MAX / 2 : delay_ms * 1000000;
    if (h->drift_ppm != 0 && delay_ms < UINT32_MAX) { /* never early on its own clock */
        delay_ns = delay_ns / (uint64_t)(1000000 + h->drift_ppm) * 1000000 + 2000000;
    }
    timer_heap_start(&h->exec.timers, t, h->sim->now_ns + delay_ns);
}

static void exec_timer_stop(struct env_exec *e, struct env_timer *t)
{
    timer_heap_stop(&sim_host_of_exec(e)->exec.timers, t);
}

static void exec_defer(struct env_exec *e, void (*fn)(void *arg), void *arg)
{
    struct sim_deferred_list *l = &sim_host_of_exec(e)->exec.deferred;
    if (l->len == l->cap) {
        l->cap = l->cap == 0 ? DEFERRED_MIN : l->cap * 2;
        l->at = mem_realloc(l->at, l->cap * sizeof(l->at[0]));
    }
    l->at[l->len++] = (struct sim_deferred){fn, arg};
}

static const struct env_exec_ops exec_ops = {exec_submit, exec_timer_start, exec_timer_stop,
                                             exec_defer};

/* ---- life ---- */

static void queues_init(struct sim_exec *x)
{
    timer_heap_init(&x->timers);
    list_init(&x->done);
    for (size_t i = 0; i < ENV_LANE_COUNT; i++) {
        list_init(&x->lanes[i]);
        x->is_held[i] = false;
        x->waiting[i] = 0;
    }
    x->turn_left = TURN_EVENTS;
    x->epoch++;
}

void sim_exec_init(struct sim_host *h)
{
    h->exec.base.ops = &exec_ops;
    queues_init(&h->exec);
}

void sim_exec_reset(struct sim_host *h)
{
    timer_heap_deinit(&h->exec.timers);
    queues_init(&h->exec);
    h->exec.deferred.len = 0;
    h->exec.running.len = 0;
}

void sim_exec_deinit(struct sim_host *h)
{
    sim_exec_reset(h);
    mem_free(h->exec.deferred.at);
    mem_free(h->exec.running.at);
}

/* ---- steps ---- */

static void run_deferred(struct sim_exec *x)
{
    struct sim_deferred_list now = x->deferred;
    x->deferred = x->running;
    x->deferred.len = 0;
    x->running = now;
    x->turn_left = TURN_EVENTS;
    /* running.len, not now.len: a crash of this host in a call ends the list. */
    for (size_t i = 0; i < x->running.len; i++) {
        now.at[i].fn(now.at[i].arg);
    }
    x->running.len = 0;
}

static struct list_node *job_take(struct sim_host *h, enum env_lane lane)
{
    struct list *jobs = &h->exec.lanes[lane];
    struct list_node *node = list_first(jobs);
    if (lane == ENV_LANE_WORK && h->sim->order == SIM_ORDER_SEED) {
        size_t count = 0;
        LIST_FOREACH (jobs, n) {
            count++;
        }
        for (uint64_t skip = prng_below(&h->sim->prng, count); skip > 0; skip--) {
            node = node->next;
        }
    }
    list_remove(node);
    return node;
}

static void run_job(struct sim_host *h, enum env_lane lane)
{
    struct sim_exec *x = &h->exec;
    struct list_node *node = job_take(h, lane);
    struct env_job *job = LIST_ENTRY(node, struct env_job, node);
    unsigned epoch = x->epoch;
    if (--x->waiting[lane] > 0) {
        lane_begin(h, lane);
    }
    job->run(job);
    if (x->epoch == epoch) { /* else the host crashed under it */
        list_push_back(&x->done, node);
    }
}

static void run_done(struct sim_exec *x)
{
    struct list_node *node = list_first(&x->done);
    list_remove(node);
    struct env_job *job = LIST_ENTRY(node, struct env_job, node);
    job->done(job);
}

static void run_timer(struct sim_host *h)
{
    struct env_timer *t = timer_heap_pop(&h->exec.timers, h->sim->now_ns, h->exec.timers.next_seq);
    ensure(t != NULL);
    t->fire(t);
}

static bool is_ready(struct sim_host *h, enum ready r)
{
    struct sim_exec *x = &h->exec;
    switch (r) {
    case READY_TIMER: return timer_heap_next_ns(&x->timers) <= h->sim->now_ns;
    case READY_NET: return sim_net_is_ready(h);
    case READY_DONE: return !list_is_empty(&x->done);
    case READY_DEFERRED: return x->deferred.len > 0;
    case READY_LANES:
    case READY_COUNT:
    default: {
        size_t lane = (size_t)r - READY_LANES;
        return !x->is_held[lane] && !list_is_empty(&x->lanes[lane]) &&
               x->due_ns[lane] <= h->sim->now_ns;
    }
    }
}

static void run_ready(struct sim_host *h, enum ready r)
{
    struct sim_exec *x = &h->exec;
    if (r < READY_DEFERRED && x->turn_left > 0) {
        x->turn_left--;
    }
    switch (r) {
    case READY_TIMER: run_timer(h); break;
    case READY_NET: ensure(sim_net_step(h)); break;
    case READY_DONE: run_done(x); break;
    case READY_DEFERRED: run_deferred(x); break;
    case READY_LANES:
    case READY_COUNT:
    default: run_job(h, (enum env_lane)(r - READY_LANES)); break;
    }
}

/* FIFO: the turn's events, its deferred calls, then the lanes. */
static bool step_fifo(struct sim_host *h)
{
    if (h->exec.turn_left == 0 && h->exec.deferred.len > 0) {
        run_ready(h, READY_DEFERRED);
        return true;
    }
    for (int r = READY_TIMER; r < READY_COUNT; r++) {
        if (is_ready(h, (enum ready)r)) {
            run_ready(h, (enum ready)r);
            return true;
        }
    }
    return false;
}

static bool step_seed(struct sim_host *h)
{
    enum ready found[READY_COUNT];
    size_t count = 0;
    for (int r = READY_TIMER; r < READY_COUNT; r++) {
        if (is_ready(h, (enum ready)r)) {
            found[count++] = (enum ready)r;
        }
    }
    if (count == 0) {
        return false;
    }
    run_ready(h, found[prng_below(&h->sim->prng, count)]);
    return true;
}

bool sim_exec_step(struct sim_host *h)
{
    return h->sim->order == SIM_ORDER_SEED ? step_seed(h) : step_fifo(h);
}

uint64_t sim_exec_next_ns(const struct sim_host *h)
{
    const struct sim_exec *x = &h->exec;
    uint64_t next = timer_heap_next_ns(&x->timers);
    for (size_t i = 0; i < ENV_LANE_COUNT; i++) {
        if (!x->is_held[i] && x->waiting[i] > 0 && x->due_ns[i] < next) {
            next = x->due_ns[i];
        }
    }
    return next;
}

bool sim_exec_is_idle(const struct sim_host *h)
{
    const struct sim_exec *x = &h->exec;
    bool has_jobs = !list_is_empty(&x->done);
    for (size_t i = 0; i < ENV_LANE_COUNT; i++) {
        has_jobs |= x->waiting[i] > 0;
    }
    return !has_jobs && x->deferred.len == 0 && list_is_empty(&h->net.ends);
}

void sim_lane_time_set(struct env *env, enum env_lane lane, uint64_t min_ns, uint64_t max_ns)
{
    struct sim_exec *x = &sim_host_of(env)->exec;
    x->job_min_ns[lane] = min_ns;
    x->job_max_ns[lane] = max_ns;
}

/* ---- looking ---- */

void sim_lane_hold(struct env *env, enum env_lane lane, bool is_held)
{
    sim_host_of(env)->exec.is_held[lane] = is_held;
}

size_t sim_lane_jobs(const struct env *env, enum env_lane lane)
{
    return sim_host_of((struct env *)(uintptr_t)env)->exec.waiting[lane];
}
