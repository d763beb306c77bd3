/* SPDX-License-Identifier: Apache-2.0
 *
 * os/impl: the struct behind an os env and what its files call of each other; private to src/os.
 */
#ifndef OS_IMPL_H
#define OS_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <uv.h>

#include "base/buf.h"
#include "env/env.h"
#include "env/timer_heap.h"
#include "os/os.h"

enum { OS_SIGNALS_MAX = 8 };

/* ---- errors.c ---- */

/* Remembers errno for os_last_text and maps it. */
int os_fail(void);
int os_fail_with(int errnum);
/* The same for libuv's and getaddrinfo's numbers (negative). */
int os_fail_uv(int status);

/* ---- disk.c ---- */

struct os_disk {
    struct env_disk base;
    bool no_sync;
};

void os_disk_init(struct os_disk *d, bool no_sync);

/* ---- lanes.c ---- */

struct os_env;

/* One queue, served by one thread (LOG, BACKEND) or several (WORK). */
struct os_lane {
    struct os_env *env;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct list jobs;
    unsigned idle; /* threads that wait */
    bool is_stopping;
    pthread_t threads[OS_WORK_THREADS_MAX];
    unsigned thread_count;
};

/* Finished jobs on their way back, filled by all lanes. */
struct os_done {
    pthread_mutex_t mutex;
    struct list jobs;
};

struct os_deferred {
    void (*fn)(void *arg);
    void *arg;
};

struct os_deferred_list {
    struct os_deferred *at;
    size_t len;
    size_t cap;
};

struct os_exec {
    struct env_exec base;
    bool has_lanes;
    struct os_lane lanes[ENV_LANE_COUNT];
    struct os_done done;
    uv_async_t done_async;
    struct timer_heap timers;
    uv_timer_t timer;
    uint64_t timer_armed_ns; /* UINT64_MAX: not */
    uv_check_t check;
    uv_idle_t idle; /* active while something is deferred: the poll must not sleep */
    struct os_deferred_list deferred;
    struct os_deferred_list running;
    struct list inline_jobs; /* no_lanes */
};

MUST_USE int os_exec_init(struct os_env *env, const struct os_options *opts);
/* Ends the threads after their queued jobs; handles are closed with the loop. */
void os_exec_stop(struct os_env *env);
void os_exec_deinit(struct os_env *env);

/* ---- lanes.c ---- */
MUST_USE int os_lanes_start(struct os_env *env, unsigned work_threads);
void os_lanes_stop(struct os_env *env);
void os_lane_push(struct os_lane *lane, struct env_job *job);

/* ---- net ---- */

struct os_net {
    struct env_net base;
    struct list conns;
    struct list listeners;
    uint8_t *read_buffer;           /* OS_READ_BUFFER_BYTES */
    struct sockaddr_storage source; /* of outgoing connections; AF_UNSPEC: the kernel's choice */
    bool is_closing;                /* no callbacks any more */
};

void os_net_init(struct os_env *env);
/* Closes everything without callbacks; the loop must run until the handles are closed. */
void os_net_close_all(struct os_env *env);
void os_net_deinit(struct os_env *env);

/* ---- env.c ---- */

struct os_signal {
    uv_signal_t handle; /* first: handles are found by it */
    struct os_env *env;
    int signo; /* 0: free */
    bool is_closing;
    void (*cb)(void *arg, int signo);
    void *arg;
};

struct os_env {
    struct env base;
    struct env_clock clock;
    struct env_rand rand;
    struct os_disk disk;
    struct os_exec exec;
    struct os_net net;
    uv_loop_t loop;
    uv_async_t stop_async;
    uv_timer_t run_timer; /* os_loop_run_for */
    bool is_stopping;
    pthread_t owner;
    struct os_signal signals[OS_SIGNALS_MAX];
};

static inline struct os_env *os_env_of(struct env *env)
{
    return container_of(env, struct os_env, base);
}

static inline struct os_env *os_env_of_exec(struct env_exec *e)
{
    return container_of(e, struct os_env, exec.base);
}

static inline struct os_env *os_env_of_net(struct env_net *n)
{
    return container_of(n, struct os_env, net.base);
}

static inline void os_assert_owner(const struct os_env *env)
{
    ensure(pthread_equal(pthread_self(), env->owner));
}

uint64_t os_mono_ns(void);

#endif
