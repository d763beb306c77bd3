/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/main: the simulator's program: one seed, many seeds, scenarios.
 *
 *     simulator --seed 7 [--scenario name] [--steps n] [--trace file] [--log]
 *     simulator --from 1 --count 200 [--twice]
 *     simulator --from 1 --hours 1
 *     simulator --scenario all
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "sim/scenario.h"

struct args {
    uint64_t seed, count, steps;
    const char *trace;
    const char *scenario;
    double hours;
    bool is_logging;
    bool is_verbose;
    bool is_twice;
};

struct totals {
    uint64_t passed, failed, steps, simulated_ms, entries;
    uint64_t faults[FAULT_COUNT], ops[OP_COUNT], events, starts;
};

/* For the signal handler alone: what was running when an invariant broke. */
static struct run *running;
static const char *running_scenario;

static double seconds_of(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* NOLINTBEGIN(bugprone-signal-handler): see on_abort */
static void replay_print(FILE *f, const struct run *r)
{
    (void)fprintf(f, "seed %" PRIu64 " step %" PRIu64 " time %" PRIu64 " ms\n", r->o.seed, r->steps,
                  run_now_ms(r));
    (void)fprintf(f, "replay: make sim SEED=%" PRIu64, r->o.seed);
    if (running_scenario != NULL) {
        (void)fprintf(f, " SCENARIO=%s", running_scenario);
    }
    (void)fprintf(f, "\n");
}
/* NOLINTEND(bugprone-signal-handler) */

/* Not what a handler may do; but the process is over, and the seed is what is wanted of it. */
static void on_abort(int sig)
{
    (void)sig;
    /* NOLINTBEGIN(bugprone-signal-handler) */
    if (running != NULL) {
        (void)fprintf(stderr, "BROKEN an invariant inside a member (the line above)\n");
        replay_print(stderr, running);
        if (running->trace != NULL) {
            (void)fflush(running->trace);
        }
    }
    /* NOLINTEND(bugprone-signal-handler) */
    _exit(1);
}

static void totals_add(struct totals *t, const struct run *r, bool is_ok)
{
    t->passed += is_ok;
    t->failed += !is_ok;
    t->steps += r->steps;
    t->simulated_ms += run_now_ms(r);
    t->entries += model_index(r->model);
    t->events += r->stats.events;
    t->starts += r->stats.starts;
    for (int i = 0; i < FAULT_COUNT; i++) {
        t->faults[i] += r->stats.faults[i];
    }
    for (int i = 0; i < OP_COUNT; i++) {
        t->ops[i] += r->stats.ops[i];
    }
}

/* trace_hash: of the whole run. */
static bool run_one(const struct args *a, const struct run_options *o, const char *trace_path,
                    struct totals *t, uint64_t *trace_hash)
{
    FILE *file = trace_path != NULL ? fopen(trace_path, "w") : NULL;
    struct run *r = run_create(o, file);
    running = r;
    double begin_s = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    bool is_ok = run_execute(r);
    double cpu_s = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - begin_s;
    if (!is_ok) {
        (void)fprintf(stderr, "BROKEN %s\n", r->rule);
        replay_print(stderr, r);
    }
    if (a->is_verbose || !is_ok) {
        (void)printf("seed %" PRIu64 ": %s, %" PRIu64 " steps, %" PRIu64 " s simulated in %.2f s, "
                     "%" PRIu64 " entries, trace %016" PRIx64 " of %" PRIu64 " lines\n",
                     o->seed, is_ok ? "ok" : "BROKEN", r->steps, run_now_ms(r) / 1000, cpu_s,
                     model_index(r->model), r->trace_hash, r->trace_lines);
    }
    totals_add(t, r, is_ok);
    *trace_hash = r->trace_hash + r->trace_lines;
    if (file != NULL) {
        (void)fclose(file);
    }
    running = NULL;
    if (is_ok) { /* what is broken may not be able to end */
        run_destroy(r);
    }
    return is_ok;
}

static void run_seed(const struct args *a, const struct scenario *s, uint64_t seed,
                     struct totals *t)
{
    struct run_options o;
    uint64_t first = 0, second = 0;
    if (s != NULL) {
        scenario_options(s, seed, &o);
    } else {
        run_options_draw(&o, seed);
    }
    running_scenario = s != NULL ? s->name : NULL;
    o.steps_max = a->steps;
    bool is_ok = run_one(a, &o, a->trace, t, &first);
    if (is_ok && a->is_twice) {
        struct totals ignored = {0};
        (void)run_one(a, &o, NULL, &ignored, &second);
        if (first != second) {
            (void)fprintf(stderr, "BROKEN two runs of seed %" PRIu64 " differ\n", seed);
            t->passed--;
            t->failed++;
        }
    }
}

static void run_scenarios(const struct args *a, struct totals *t)
{
    for (size_t i = 0; i < scenario_count(); i++) {
        const struct scenario *s = scenario_at(i);
        uint64_t failed = t->failed;
        for (uint64_t k = 0; k < SCENARIO_SEEDS; k++) {
            run_seed(a, s, a->seed + k, t);
        }
        (void)printf("%-24s %-40s %s\n", s->name, s->about, failed == t->failed ? "ok" : "BROKEN");
    }
}

static void run_all(const struct args *a, struct totals *t)
{
    double end_s = seconds_of(CLOCK_MONOTONIC) + a->hours * 3600;
    const struct scenario *s = a->scenario != NULL ? scenario_find(a->scenario) : NULL;
    for (uint64_t i = 0;; i++) {
        bool is_over = a->hours > 0 ? seconds_of(CLOCK_MONOTONIC) >= end_s : i >= a->count;
        if (is_over) {
            return;
        }
        run_seed(a, s, a->seed + i, t);
    }
}

static void totals_print(const struct totals *t, double cpu_s)
{
    static const char *const ops[OP_COUNT] = {"put",     "get",   "delete", "txn",
                                              "compact", "grant", "revoke", "keepalive"};
    (void)printf("%" PRIu64 " steps, %" PRIu64 " s simulated in %.1f s of CPU (%.0f to 1), %" PRIu64
                 " entries, %" PRIu64 " watch events, %" PRIu64 " starts\n",
                 t->steps, t->simulated_ms / 1000, cpu_s, (double)t->simulated_ms / 1000 / cpu_s,
                 t->entries, t->events, t->starts);
    for (int i = 0; i < OP_COUNT; i++) {
        (void)printf("%s%s %" PRIu64, i > 0 ? ", " : "answers: ", ops[i], t->ops[i]);
    }
    (void)printf("\n");
    for (int i = 0; i < FAULT_COUNT; i++) {
        (void)printf("%s%s %" PRIu64, i > 0 ? ", " : "faults: ", fault_name((enum run_fault)i),
                     t->faults[i]);
    }
    (void)printf("\n%" PRIu64 " passed, %" PRIu64 " failed\n", t->passed, t->failed);
}

static void sink(void *arg, const struct log_line *line)
{
    struct buf fields = BUF_INIT;
    (void)arg;
    log_fields_json(&fields, line->fields, line->count);
    (void)fprintf(stderr, "    %s:%d %s %s\n", line->file, line->line, line->msg,
                  buf_cstr(&fields));
    buf_deinit(&fields);
}

static bool flag_parse(struct args *a, const char *flag)
{
    bool *to = strcmp(flag, "--log") == 0       ? &a->is_logging
               : strcmp(flag, "--verbose") == 0 ? &a->is_verbose
               : strcmp(flag, "--twice") == 0   ? &a->is_twice
                                                : NULL;
    if (to != NULL) {
        *to = true;
    }
    return to != NULL;
}

static bool value_parse(struct args *a, const char *flag, const char *value)
{
    uint64_t number = strtoull(value, NULL, 10);
    if (strcmp(flag, "--seed") == 0) {
        a->seed = number;
        a->is_verbose = true;
    } else if (strcmp(flag, "--from") == 0) {
        a->seed = number;
    } else if (strcmp(flag, "--count") == 0) {
        a->count = number;
    } else if (strcmp(flag, "--steps") == 0) {
        a->steps = number;
    } else if (strcmp(flag, "--hours") == 0) {
        a->hours = strtod(value, NULL);
    } else if (strcmp(flag, "--trace") == 0) {
        a->trace = value;
    } else if (strcmp(flag, "--scenario") == 0) {
        a->scenario = value;
        return strcmp(value, "all") == 0 || scenario_find(value) != NULL;
    } else {
        return false;
    }
    return true;
}

static bool args_parse(struct args *a, int argc, char **argv)
{
    *a = (struct args){.seed = 1, .count = 1};
    for (int i = 1; i < argc; i++) {
        if (flag_parse(a, argv[i])) {
            continue;
        }
        if (i + 1 == argc || !value_parse(a, argv[i], argv[i + 1])) {
            return false;
        }
        i++;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct args a;
    struct totals t = {0};
    if (!args_parse(&a, argc, argv)) {
        (void)fprintf(stderr, "usage: simulator [--seed n | --from n (--count n | --hours h)] "
                              "[--scenario name|all] [--steps n] [--trace file] [--twice] [--log] "
                              "[--verbose]\n");
        return 2;
    }
    (void)signal(SIGABRT, on_abort);
    log_sink_set(sink, NULL);
    log_level_set(a.is_logging ? LOG_DEBUG : LOG_FATAL);
    if (a.scenario != NULL && strcmp(a.scenario, "all") == 0) {
        run_scenarios(&a, &t);
    } else {
        run_all(&a, &t);
    }
    totals_print(&t, seconds_of(CLOCK_PROCESS_CPUTIME_ID));
    return t.failed == 0 ? 0 : 1;
}
