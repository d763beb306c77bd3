/* SPDX-License-Identifier: Apache-2.0
 *
 * os/thread: a loop in a thread of its own: an env without lanes, for connections (--net-threads).
 *
 * Thread      start and join: one thread, the same for both.  setup and teardown run on the new
 * one. What setup wrote is seen by the starter, what the starter wrote before, by setup.
 */
#include <signal.h>

#include "os/impl.h"

struct os_thread {
    struct os_thread_options opts;
    pthread_t id;
    pthread_mutex_t mutex;
    pthread_cond_t started;
    bool is_started; /* setup has returned; err and env are set */
    int err;
    struct env *env;
};

static void say_started(struct os_thread *t, int err)
{
    pthread_mutex_lock(&t->mutex);
    t->is_started = true;
    t->err = err;
    pthread_cond_signal(&t->started);
    pthread_mutex_unlock(&t->mutex);
}

static void *thread_main(void *arg)
{
    struct os_thread *t = arg;
    static const struct os_options no_lanes = {.no_lanes = true};
    struct env *env = NULL;
    int err = os_env_create(&no_lanes, &env);
    if (err == 0) {
        t->env = env;
        err = t->opts.setup(t->opts.arg, env);
    }
    say_started(t, err);
    if (err == 0) {
        os_loop_run(env);
        t->opts.teardown(t->opts.arg);
    }
    if (env != NULL) {
        os_env_destroy(env);
    }
    return NULL;
}

/* Signals belong to the main loop's thread. */
static int thread_create(struct os_thread *t)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&t->id, NULL, thread_main, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        return os_fail_with(rc);
    }
    (void)pthread_setname_np(t->id, t->opts.name);
    return 0;
}

static void thread_free(struct os_thread *t)
{
    pthread_mutex_destroy(&t->mutex);
    pthread_cond_destroy(&t->started);
    mem_free(t);
}

int os_thread_start(const struct os_thread_options *opts, struct os_thread **out)
{
    struct os_thread *t = mem_zalloc(sizeof(*t));
    t->opts = *opts;
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->started, NULL);
    int err = thread_create(t);
    if (err != 0) {
        thread_free(t);
        return err;
    }
    pthread_mutex_lock(&t->mutex);
    while (!t->is_started) {
        pthread_cond_wait(&t->started, &t->mutex);
    }
    err = t->err;
    pthread_mutex_unlock(&t->mutex);
    if (err != 0) {
        pthread_join(t->id, NULL);
        thread_free(t);
        return err;
    }
    *out = t;
    return 0;
}

void os_thread_join(struct os_thread *t)
{
    os_loop_stop_async(t->env);
    pthread_join(t->id, NULL);
    thread_free(t);
}
