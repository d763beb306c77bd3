/* SPDX-License-Identifier: Apache-2.0
 *
 * os/lanes: the threads behind env_exec.submit.
 *
 * Design      A lane is a list under a mutex; LOG and BACKEND have one thread, so their order is
 * the order of submission.  A thread takes one job, runs it and gives it back; the loop is woken
 *             once for all that is finished and not yet fetched.
 * Thread      os_lane_push: main loop.  job.run: the lane.  No lock is held while a job runs.
 */
#include <signal.h>

#include "os/impl.h"

static void done_push(struct os_env *env, struct list_node *node)
{
    struct os_done *done = &env->exec.done;
    pthread_mutex_lock(&done->mutex);
    bool was_empty = list_is_empty(&done->jobs);
    list_push_back(&done->jobs, node);
    pthread_mutex_unlock(&done->mutex);
    if (was_empty) {
        /* Only failure would be a closed handle: the threads are joined before. */
        (void)uv_async_send(&env->exec.done_async);
    }
}

/* The next job, or NULL when the lane stops and nothing is left. */
static struct list_node *lane_take(struct os_lane *lane)
{
    pthread_mutex_lock(&lane->mutex);
    while (list_is_empty(&lane->jobs) && !lane->is_stopping) {
        lane->idle++;
        pthread_cond_wait(&lane->wake, &lane->mutex);
        lane->idle--;
    }
    struct list_node *node = list_first(&lane->jobs);
    if (node != NULL) {
        list_remove(node);
    }
    pthread_mutex_unlock(&lane->mutex);
    return node;
}

static void *lane_main(void *arg)
{
    struct os_lane *lane = arg;
    for (struct list_node *node; (node = lane_take(lane)) != NULL;) {
        struct env_job *job = LIST_ENTRY(node, struct env_job, node);
        job->run(job);
        done_push(lane->env, node);
    }
    return NULL;
}

void os_lane_push(struct os_lane *lane, struct env_job *job)
{
    pthread_mutex_lock(&lane->mutex);
    list_push_back(&lane->jobs, &job->node);
    bool must_wake = lane->idle > 0;
    pthread_mutex_unlock(&lane->mutex);
    if (must_wake) {
        pthread_cond_signal(&lane->wake);
    }
}

/* Signals belong to the main loop's thread. */
static int thread_start(struct os_lane *lane, const char *name)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t *thread = &lane->threads[lane->thread_count];
    int rc = pthread_create(thread, NULL, lane_main, lane);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        return os_fail_with(rc);
    }
    (void)pthread_setname_np(*thread, name);
    lane->thread_count++;
    return 0;
}

int os_lanes_start(struct os_env *env, unsigned work_threads)
{
    static const char *const names[ENV_LANE_COUNT] = {"cairn-log", "cairn-backend", "cairn-work"};
    for (size_t i = 0; i < ENV_LANE_COUNT; i++) {
        struct os_lane *lane = &env->exec.lanes[i];
        unsigned count = i == ENV_LANE_WORK ? work_threads : 1;
        while (lane->thread_count < count) {
            int err = thread_start(lane, names[i]);
            if (err != 0) {
                return err;
            }
        }
    }
    return 0;
}

void os_lanes_stop(struct os_env *env)
{
    for (size_t i = 0; i < ENV_LANE_COUNT; i++) {
        struct os_lane *lane = &env->exec.lanes[i];
        pthread_mutex_lock(&lane->mutex);
        lane->is_stopping = true;
        pthread_cond_broadcast(&lane->wake);
        pthread_mutex_unlock(&lane->mutex);
        for (unsigned t = 0; t < lane->thread_count; t++) {
            pthread_join(lane->threads[t], NULL);
        }
        lane->thread_count = 0;
    }
}
