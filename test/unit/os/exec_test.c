/* SPDX-License-Identifier: Apache-2.0
 *
 * os/exec, os/lanes, os/env: order of jobs, timers, deferred calls, signals, clock, randomness.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"
#include "test/unit/os/tests.h"

enum { JOBS = 2000 };

static struct env *env;

static int setup(void **state)
{
    (void)state;
    return os_env_create(NULL, &env);
}

static int setup_without_lanes(void **state)
{
    (void)state;
    struct os_options opts = {.no_lanes = true};
    return os_env_create(&opts, &env);
}

static int teardown(void **state)
{
    (void)state;
    os_env_destroy(env);
    return 0;
}

struct counted_job {
    struct env_job job;
    int number;
    bool ran_elsewhere;
};

static struct counted_job jobs[JOBS];
static int run_order[JOBS];
static int run_count, done_count, done_target;
static pthread_t main_thread;

static void job_run(struct env_job *job)
{
    struct counted_job *j = container_of(job, struct counted_job, job);
    j->ran_elsewhere = !pthread_equal(pthread_self(), main_thread);
    run_order[run_count++] = j->number; /* one thread a lane: no race */
}

static void job_run_nothing(struct env_job *job)
{
    container_of(job, struct counted_job, job)->ran_elsewhere = true;
}

static void job_done(struct env_job *job)
{
    (void)job;
    assert_true(pthread_equal(pthread_self(), main_thread));
    if (++done_count == done_target) {
        os_loop_stop(env);
    }
}

static void submit_all(enum env_lane lane, void (*run)(struct env_job *job))
{
    main_thread = pthread_self();
    run_count = done_count = 0;
    done_target = JOBS;
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct counted_job){.job = {.run = run, .done = job_done}, .number = i};
        env->exec->ops->submit(env->exec, lane, &jobs[i].job);
    }
    os_loop_run(env);
    assert_int_equal(done_count, JOBS);
}

static void a_lane_keeps_the_order(void **state)
{
    (void)state;
    submit_all(ENV_LANE_LOG, job_run);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(run_order[i], i);
        assert_true(jobs[i].ran_elsewhere);
    }
    submit_all(ENV_LANE_BACKEND, job_run);
    submit_all(ENV_LANE_WORK, job_run_nothing);
}

static void without_lanes_jobs_run_on_the_loop(void **state)
{
    (void)state;
    submit_all(ENV_LANE_LOG, job_run);
    assert_int_equal(run_order[JOBS - 1], JOBS - 1);
    assert_false(jobs[0].ran_elsewhere);
}

static int ping_count;

static void ping_done(struct env_job *job)
{
    if (++ping_count == 500) {
        os_loop_stop(env);
    } else {
        env->exec->ops->submit(env->exec, ENV_LANE_LOG, job);
    }
}

static void a_job_may_be_submitted_again_by_its_done(void **state)
{
    (void)state;
    ping_count = 0;
    struct counted_job j = {.job = {.run = job_run_nothing, .done = ping_done}};
    env->exec->ops->submit(env->exec, ENV_LANE_LOG, &j.job);
    os_loop_run(env);
    assert_int_equal(ping_count, 500);
}

static void queued_jobs_run_before_the_end(void **state)
{
    (void)state;
    struct env *own;
    assert_int_equal(os_env_create(NULL, &own), 0);
    run_count = 0;
    for (int i = 0; i < 100; i++) {
        jobs[i] = (struct counted_job){.job = {.run = job_run, .done = job_done}, .number = i};
        own->exec->ops->submit(own->exec, ENV_LANE_LOG, &jobs[i].job);
    }
    os_env_destroy(own);
    assert_int_equal(run_count, 100);
}

/* ---- timers ---- */

struct named_timer {
    struct env_timer timer;
    char name;
};

static char fired[64];

static void timer_fire(struct env_timer *t)
{
    char name[2] = {container_of(t, struct named_timer, timer)->name, 0};
    assert_false(t->is_active);
    strcat(fired, name);
    if (name[0] == 'z') {
        os_loop_stop(env);
    }
}

static void timers_fire_in_the_order_of_their_deadlines(void **state)
{
    (void)state;
    struct named_timer t[6];
    fired[0] = 0;
    for (int i = 0; i < 6; i++) {
        t[i] = (struct named_timer){.timer = {.fire = timer_fire}, .name = (char)('a' + i)};
    }
    t[5].name = 'z';
    struct env_exec *x = env->exec;
    uint64_t begin = env_mono_ms(env);
    x->ops->timer_start(x, &t[0].timer, 20);
    x->ops->timer_start(x, &t[1].timer, 10);
    x->ops->timer_start(x, &t[2].timer, 5);
    x->ops->timer_start(x, &t[3].timer, 0);
    x->ops->timer_start(x, &t[4].timer, 1);
    x->ops->timer_start(x, &t[5].timer, 30);
    x->ops->timer_stop(x, &t[1].timer);
    x->ops->timer_stop(x, &t[1].timer);
    x->ops->timer_start(x, &t[2].timer, 25); /* moves it */
    os_loop_run(env);
    assert_string_equal(fired, "deacz");
    assert_true(env_mono_ms(env) - begin >= 30);
    assert_true(env_mono_ms(env) - begin < 5000);
    x->ops->timer_start(x, &t[0].timer, UINT64_MAX); /* as good as never */
    assert_true(t[0].timer.is_active);
}

/* ---- deferred calls ---- */

static void deferred_stop(void *arg)
{
    strcat(fired, arg);
    os_loop_stop(env);
}

static void deferred_again(void *arg)
{
    strcat(fired, arg);
    env->exec->ops->defer(env->exec, deferred_stop, "2");
}

static void defer_from_timer(struct env_timer *t)
{
    (void)t;
    env->exec->ops->defer(env->exec, deferred_again, "1");
    strcat(fired, "t");
}

static void deferred_calls_run_at_the_end_of_the_turn(void **state)
{
    (void)state;
    fired[0] = 0;
    struct env_timer t = {.fire = defer_from_timer};
    struct named_timer u = {.timer = {.fire = timer_fire}, .name = 'u'};
    env->exec->ops->timer_start(env->exec, &t, 0);
    env->exec->ops->timer_start(env->exec, &u.timer, 0);
    uint64_t begin = env_mono_ms(env);
    os_loop_run(env);
    assert_string_equal(fired, "tu12");
    assert_true(env_mono_ms(env) - begin < 1000); /* nothing slept with work left */
}

/* ---- signals, stop, clock, rand ---- */

static int signal_seen;

static void on_signal(void *arg, int signo)
{
    signal_seen = signo;
    os_loop_stop(arg);
}

static void signals_arrive_on_the_loop(void **state)
{
    (void)state;
    assert_int_equal(os_signal_watch(env, SIGUSR1, on_signal, env), 0);
    assert_int_equal(os_signal_watch(env, SIGUSR1, on_signal, env), 0);
    kill(getpid(), SIGUSR1);
    os_loop_run(env);
    assert_int_equal(signal_seen, SIGUSR1);
    os_signal_unwatch(env, SIGUSR1);
    os_signal_unwatch(env, SIGUSR1);
    assert_int_equal(os_signal_watch(env, SIGUSR2, on_signal, env), 0);
    raise(SIGUSR2);
    os_loop_run(env);
    assert_int_equal(signal_seen, SIGUSR2);
}

static void dying_by_a_signal_looks_like_it(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        os_die_by_signal(SIGTERM);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void *stop_from_elsewhere(void *arg)
{
    os_loop_stop_async(arg);
    return NULL;
}

static void the_loop_stops_from_another_thread_and_by_time(void **state)
{
    (void)state;
    pthread_t t;
    pthread_create(&t, NULL, stop_from_elsewhere, env);
    os_loop_run(env);
    pthread_join(t, NULL);
    uint64_t begin = env_mono_ms(env);
    os_loop_run_for(env, 20);
    assert_true(env_mono_ms(env) - begin >= 19);
}

static void clocks_and_randomness(void **state)
{
    (void)state;
    uint64_t a = env->clock->ops->mono_ns(env->clock), b = env->clock->ops->mono_ns(env->clock);
    assert_true(b >= a);
    assert_true(env->clock->ops->wall_ns(env->clock) > INT64_C(1600000000) * 1000000000);
    uint8_t x[32] = {0}, y[32] = {0};
    env->rand->ops->fill(env->rand, x, sizeof(x));
    env->rand->ops->fill(env->rand, y, sizeof(y));
    assert_memory_not_equal(x, y, sizeof(x));
}

int os_exec_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_lane_keeps_the_order, setup, teardown),
        cmocka_unit_test_setup_teardown(without_lanes_jobs_run_on_the_loop, setup_without_lanes,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_job_may_be_submitted_again_by_its_done, setup, teardown),
        cmocka_unit_test(queued_jobs_run_before_the_end),
        cmocka_unit_test_setup_teardown(timers_fire_in_the_order_of_their_deadlines, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(deferred_calls_run_at_the_end_of_the_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(signals_arrive_on_the_loop, setup, teardown),
        cmocka_unit_test(dying_by_a_signal_looks_like_it),
        cmocka_unit_test_setup_teardown(the_loop_stops_from_another_thread_and_by_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(clocks_and_randomness, setup, teardown),
    };
    return cmocka_run_group_tests_name("os/exec", tests, NULL, NULL);
}
