/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/world, sim/exec: lanes, timers and deferred calls in FIFO and in drawn order; replay by seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/prng.h"
#include "sim/disk.h"
#include "sim/sim.h"
#include "test/unit/sim/tests.h"

static char trace[4096];
static struct env *env;

static void note(char c)
{
    size_t n = strlen(trace);
    assert_true(n + 1 < sizeof(trace));
    trace[n] = c;
    trace[n + 1] = 0;
}

struct job {
    struct env_job job;
    char name;
};

static void job_run(struct env_job *j)
{
    note(container_of(j, struct job, job)->name);
}

static void job_done(struct env_job *j)
{
    note((char)(container_of(j, struct job, job)->name - 'a' + 'A'));
}

static void submit(struct job *j, char name, enum env_lane lane)
{
    *j = (struct job){.job = {.run = job_run, .done = job_done}, .name = name};
    env->exec->ops->submit(env->exec, lane, &j->job);
}

struct timer {
    struct env_timer timer;
    char name;
};

static void timer_fire(struct env_timer *t)
{
    note(container_of(t, struct timer, timer)->name);
}

static void deferred(void *arg)
{
    note(*(const char *)arg);
}

static void jobs_run_and_come_back(void **state)
{
    (void)state;
    trace[0] = 0;
    env = sim_env_create(1);
    struct job j[3];
    submit(&j[0], 'a', ENV_LANE_LOG);
    submit(&j[1], 'b', ENV_LANE_LOG);
    submit(&j[2], 'c', ENV_LANE_BACKEND);
    assert_string_equal(trace, "");
    assert_int_equal(sim_lane_jobs(env, ENV_LANE_LOG), 2);
    sim_lane_hold(env, ENV_LANE_LOG, true);
    sim_run_ready(sim_of(env));
    assert_string_equal(trace, "cC");
    sim_lane_hold(env, ENV_LANE_LOG, false);
    assert_int_equal(sim_run_ready(sim_of(env)), 4);
    assert_string_equal(trace, "cCaAbB");
    sim_env_destroy(env);
}

static void timers_follow_the_simulated_clock(void **state)
{
    (void)state;
    trace[0] = 0;
    env = sim_env_create(1);
    struct env_exec *x = env->exec;
    struct timer t[3] = {
        {{.fire = timer_fire}, 'a'}, {{.fire = timer_fire}, 'b'}, {{.fire = timer_fire}, 'c'}};
    uint64_t begin = env_mono_ms(env);
    int64_t wall = env->clock->ops->wall_ns(env->clock);
    x->ops->timer_start(x, &t[0].timer, 20);
    x->ops->timer_start(x, &t[1].timer, 10);
    x->ops->timer_start(x, &t[2].timer, 10);
    sim_run_ready(sim_of(env));
    assert_string_equal(trace, "");
    sim_advance_ms(sim_of(env), 9);
    assert_string_equal(trace, "");
    sim_advance_ms(sim_of(env), 1);
    assert_string_equal(trace, "bc");
    sim_advance_ms(sim_of(env), 1000);
    assert_string_equal(trace, "bca");
    assert_int_equal(env_mono_ms(env) - begin, 1010);
    assert_int_equal(env->clock->ops->wall_ns(env->clock) - wall, 1010 * INT64_C(1000000));
    sim_wall_offset_set(env, -5);
    assert_int_equal(env->clock->ops->wall_ns(env->clock) - wall, 1010 * INT64_C(1000000) - 5);
    sim_env_destroy(env);
}

static void deferred_calls_come_after_what_is_ready(void **state)
{
    (void)state;
    trace[0] = 0;
    env = sim_env_create(1);
    struct env_exec *x = env->exec;
    struct timer t = {{.fire = timer_fire}, 't'};
    struct job j;
    x->ops->defer(x, deferred, "1");
    x->ops->defer(x, deferred, "2");
    x->ops->timer_start(x, &t.timer, 0);
    submit(&j, 'a', ENV_LANE_WORK);
    sim_run_ready(sim_of(env));
    assert_string_equal(trace, "t12aA");
    sim_env_destroy(env);
}

static bool has_fired(void *arg)
{
    (void)arg;
    return trace[0] != 0;
}

static void running_until_something_holds(void **state)
{
    (void)state;
    trace[0] = 0;
    env = sim_env_create(1);
    struct timer t = {{.fire = timer_fire}, 't'};
    env->exec->ops->timer_start(env->exec, &t.timer, 50);
    uint64_t begin = env_mono_ms(env);
    assert_false(sim_run_until(sim_of(env), has_fired, NULL, 49));
    assert_true(sim_run_until(sim_of(env), has_fired, NULL, 49));
    assert_int_equal(env_mono_ms(env) - begin, 50);
    sim_env_destroy(env);
}

/* One run of many jobs and timers in drawn order. */
static void jobs_take_their_time(void **state)
{
    (void)state;
    trace[0] = 0;
    env = sim_env_create(1);
    struct job j[2];
    sim_lane_time_set(env, ENV_LANE_LOG, 3000000, 3000000);
    submit(&j[0], 'a', ENV_LANE_LOG);
    submit(&j[1], 'b', ENV_LANE_LOG);
    sim_advance_ms(sim_of(env), 2);
    assert_string_equal(trace, "");
    sim_advance_ms(sim_of(env), 1);
    assert_string_equal(trace, "aA"); /* one after the other */
    sim_advance_ms(sim_of(env), 3);
    assert_string_equal(trace, "aAbB");
    sim_env_destroy(env);
}

static void a_paused_host_stands_still(void **state)
{
    (void)state;
    trace[0] = 0;
    env = sim_env_create(1);
    struct timer t = {{.fire = timer_fire}, 't'};
    env->exec->ops->timer_start(env->exec, &t.timer, 5);
    sim_host_pause(sim_host_of(env), true);
    sim_advance_ms(sim_of(env), 50);
    assert_string_equal(trace, "");
    sim_host_pause(sim_host_of(env), false);
    sim_run_ready(sim_of(env));
    assert_string_equal(trace, "t"); /* late, at once */
    sim_env_destroy(env);
}

static void a_clock_drifts(void **state)
{
    (void)state;
    trace[0] = 0;
    env = sim_env_create(1);
    uint64_t begin = env_mono_ms(env);
    sim_host_drift_set(sim_host_of(env), 100000); /* a tenth too fast */
    sim_advance_ms(sim_of(env), 1000);
    assert_int_equal(env_mono_ms(env) - begin, 1100);
    struct timer t = {{.fire = timer_fire}, 't'};
    uint64_t at = env_mono_ms(env);
    env->exec->ops->timer_start(env->exec, &t.timer, 110);
    (void)sim_run_until(sim_of(env), has_fired, NULL, 1000);
    assert_true(env_mono_ms(env) - at >= 110 && env_mono_ms(env) - at <= 115);
    sim_host_drift_set(sim_host_of(env), 0);
    at = env_mono_ms(env);
    sim_advance_ms(sim_of(env), 10);
    assert_int_equal(env_mono_ms(env) - at, 10);
    sim_env_destroy(env);
}

static void a_replaced_host_leaves_name_and_disk(void **state)
{
    (void)state;
    trace[0] = 0;
    struct sim *s = sim_create(1);
    struct sim_host *old = sim_host_add(s, "m1");
    (void)sim_host_add(s, "m2");
    env = sim_host_env(old);
    assert_int_equal(env_write_file(env->disk, "f", SLICE_LIT("x"), 0600), 0);
    struct timer t = {{.fire = timer_fire}, 't'};
    env->exec->ops->timer_start(env->exec, &t.timer, 5);
    struct sim_host *next = sim_host_replace(old, true);
    assert_string_equal(sim_host_name(next), "m1");
    assert_true(env_exists(sim_host_env(next)->disk, "f"));
    assert_int_not_equal(env_write_file(env->disk, "g", SLICE_LIT("x"), 0600), 0);
    sim_advance_ms(s, 5);
    assert_string_equal(trace, "t"); /* what is retired lives on */
    sim_host_remove(old);
    sim_host_power(next, true);
    sim_advance_ms(s, 5);
    sim_destroy(s);
}

static void drawn_run(uint64_t seed, char *out, size_t cap)
{
    trace[0] = 0;
    env = sim_env_create(seed);
    sim_order_set(sim_of(env), SIM_ORDER_SEED);
    struct job j[8];
    struct timer t = {{.fire = timer_fire}, 't'};
    for (int i = 0; i < 8; i++) {
        submit(&j[i], (char)('a' + i), i < 3 ? ENV_LANE_LOG : ENV_LANE_WORK);
    }
    env->exec->ops->defer(env->exec, deferred, "1");
    env->exec->ops->timer_start(env->exec, &t.timer, 0);
    sim_run_ready(sim_of(env));
    uint8_t random[4];
    env->rand->ops->fill(env->rand, random, sizeof(random));
    note((char)('0' + random[0] % 10));
    assert_true(strlen(trace) < cap);
    strcpy(out, trace);
    sim_env_destroy(env);
}

static void a_seed_is_a_run(void **state)
{
    (void)state;
    char first[64], again[64], other[64];
    int different = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        drawn_run(seed, first, sizeof(first));
        drawn_run(seed, again, sizeof(again));
        assert_string_equal(first, again);
        drawn_run(seed + 1000, other, sizeof(other));
        different += strcmp(first, other) != 0;
        /* One thread a lane keeps its order whatever is drawn. */
        assert_true(strchr(first, 'a') < strchr(first, 'b'));
        assert_true(strchr(first, 'b') < strchr(first, 'c'));
        assert_int_equal(strlen(first), 8 * 2 + 3);
    }
    assert_true(different > 15);
}

static void a_crash_forgets_everything_but_the_disk(void **state)
{
    (void)state;
    trace[0] = 0;
    env = sim_env_create(1);
    struct job j;
    struct timer t = {{.fire = timer_fire}, 't'};
    submit(&j, 'a', ENV_LANE_LOG);
    env->exec->ops->timer_start(env->exec, &t.timer, 5);
    env->exec->ops->defer(env->exec, deferred, "1");
    assert_int_equal(env->disk->ops->mkdir(env->disk, "d", 0700), 0);
    sim_host_crash(sim_host_of(env));
    assert_false(t.timer.is_active);
    sim_advance_ms(sim_of(env), 100);
    assert_string_equal(trace, "");
    assert_true(env_exists(env->disk, "d"));
    sim_disk_crash(sim_disk_of(env), SIM_CRASH_LOSE_ALL, 0);
    assert_false(env_exists(env->disk, "d"));
    submit(&j, 'b', ENV_LANE_LOG);
    sim_run_ready(sim_of(env));
    assert_string_equal(trace, "bB");
    sim_env_destroy(env);
}

int sim_world_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_and_come_back),
        cmocka_unit_test(timers_follow_the_simulated_clock),
        cmocka_unit_test(deferred_calls_come_after_what_is_ready),
        cmocka_unit_test(running_until_something_holds),
        cmocka_unit_test(jobs_take_their_time),
        cmocka_unit_test(a_paused_host_stands_still),
        cmocka_unit_test(a_clock_drifts),
        cmocka_unit_test(a_replaced_host_leaves_name_and_disk),
        cmocka_unit_test(a_seed_is_a_run),
        cmocka_unit_test(a_crash_forgets_everything_but_the_disk),
    };
    return cmocka_run_group_tests_name("sim/world", tests, NULL, NULL);
}
