/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/main: the simulator's program: one seed, many seeds, or a scenario.
 *
 *     simulator --seed 7 [--steps n] [--trace file] [--log]
 *     simulator --from 1 --count 200
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "sim/run.h"

struct args {
    uint64_t seed, count, steps;
    const char *trace;
    bool is_logging;
    bool is_verbose;
};

/* For the signal handler alone: what was running when an invariant broke. */
static struct run *running;

static void replay_print(FILE *f, const struct run *r)
{
    (void)fprintf(f,
                  "seed %" PRIu64 " step %" PRIu64 " time %" PRIu64
                  " ms\nreplay: make sim SEED=%" PRIu64 "\n",
                  r->o.seed, r->steps, run_now_ms(r), r->o.seed);
}

static void on_abort(int sig)
{
    (void)sig;
    if (running != NULL) {
        (void)fprintf(stderr, "BROKEN an invariant inside a member (the line above)\n");
        replay_print(stderr, running);
        if (running->trace != NULL) {
            (void)fflush(running->trace);
        }
    }
    _exit(1);
}

static bool run_seed(const struct args *a, uint64_t seed)
{
    struct run_options o;
    run_options_draw(&o, seed);
    o.steps_max = a->steps;
    FILE *trace_file = a->trace != NULL ? fopen(a->trace, "w") : NULL;
    struct timespec t0, t1;
    struct run *r = run_create(&o, trace_file);
    running = r;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
    bool is_ok = run_execute(r);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
    double cpu_s = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
    if (!is_ok) {
        (void)fprintf(stderr, "BROKEN %s\n", r->rule);
        replay_print(stderr, r);
    }
    if (a->is_verbose || !is_ok) {
        (void)printf("seed %" PRIu64 ": %s, %" PRIu64 " steps, %" PRIu64 " s simulated in %.2f s, "
                     "%" PRIu64 " entries, trace %016" PRIx64 " of %" PRIu64 " lines\n",
                     seed, is_ok ? "ok" : "BROKEN", r->steps, run_now_ms(r) / 1000, cpu_s,
                     model_index(r->model), r->trace_hash, r->trace_lines);
    }
    if (trace_file != NULL) {
        (void)fclose(trace_file);
    }
    running = NULL;
    if (is_ok) {
        run_destroy(r);
    }
    return is_ok;
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

static bool args_parse(struct args *a, int argc, char **argv)
{
    *a = (struct args){.seed = 1, .count = 1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--log") == 0) {
            a->is_logging = true;
            continue;
        }
        if (strcmp(argv[i], "--verbose") == 0) {
            a->is_verbose = true;
            continue;
        }
        if (i + 1 == argc) {
            return false;
        }
        const char *value = argv[++i];
        if (strcmp(argv[i - 1], "--seed") == 0) {
            a->seed = strtoull(value, NULL, 10);
            a->is_verbose = true;
        } else if (strcmp(argv[i - 1], "--from") == 0) {
            a->seed = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--count") == 0) {
            a->count = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--steps") == 0) {
            a->steps = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--trace") == 0) {
            a->trace = value;
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct args a;
    if (!args_parse(&a, argc, argv)) {
        (void)fprintf(stderr, "usage: simulator [--seed n | --from n --count n] [--steps n] "
                              "[--trace file] [--log] [--verbose]\n");
        return 2;
    }
    (void)signal(SIGABRT, on_abort);
    log_sink_set(sink, NULL);
    log_level_set(a.is_logging ? LOG_DEBUG : LOG_FATAL);
    uint64_t failed = 0;
    for (uint64_t i = 0; i < a.count; i++) {
        failed += run_seed(&a, a.seed + i) ? 0 : 1;
    }
    (void)printf("%" PRIu64 " passed, %" PRIu64 " failed\n", a.count - failed, failed);
    return failed == 0 ? 0 : 1;
}
