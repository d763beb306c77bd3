/* SPDX-License-Identifier: Apache-2.0 */
#include "test/crash/crash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static const char *const policy_names[SIM_CRASH_POLICIES_COUNT] = {
    [SIM_CRASH_KEEP_ALL] = "keep",
    [SIM_CRASH_LOSE_ALL] = "lose",
    [SIM_CRASH_RANDOM] = "random",
    [SIM_CRASH_TEAR] = "tear",
};

/* What CRASH_OP, CRASH_POLICY and CRASH_SEED ask for. */
struct only {
    bool has_op, has_policy, has_seed;
    uint64_t op;
    uint64_t seed;
    const char *policy;
};

struct run {
    const struct crash_case *c;
    struct crash_report *report;
    struct only only;
    struct sim_disk *disk; /* the workload's */
    void *ctx;
};

/* One crash: where, how. */
struct point {
    uint64_t op; /* operations done */
    enum sim_crash_policy policy;
    uint64_t seed;
    uint64_t second_op; /* double: operations of the recovery done, UINT64_MAX: no second crash */
};

static struct only only_from_env(void)
{
    struct only o = {0};
    const char *op = getenv("CRASH_OP"), *seed = getenv("CRASH_SEED");
    o.policy = getenv("CRASH_POLICY");
    o.has_op = op != NULL;
    o.has_seed = seed != NULL;
    o.has_policy = o.policy != NULL;
    o.op = op == NULL ? 0 : strtoull(op, NULL, 10);
    o.seed = seed == NULL ? 0 : strtoull(seed, NULL, 10);
    return o;
}

static void op_text(const struct run *r, uint64_t op, struct buf *out)
{
    if (op == 0 || op > sim_disk_op_count(r->disk)) {
        buf_append_cstr(out, "the beginning");
    } else {
        sim_disk_op_text(r->disk, op, out);
    }
}

static void failure_note(struct run *r, const struct point *p, struct buf *why)
{
    struct crash_report *report = r->report;
    if (report->failures++ == 0) {
        report->first_op = p->op;
        report->first_policy = p->policy;
        report->first_seed = p->seed;
        snprintf(report->first_text, sizeof(report->first_text), "%s", buf_cstr(why));
    }
    if (r->c->is_quiet || report->failures > CRASH_PRINT_MAX) {
        return;
    }
    struct buf at = BUF_INIT;
    op_text(r, p->op, &at);
    fprintf(stderr, "%s: power cut after %s, policy %s, seed %" PRIu64, r->c->name, buf_cstr(&at),
            policy_names[p->policy], p->seed);
    if (p->second_op != UINT64_MAX) {
        fprintf(stderr, ", again after %" PRIu64 " operations of the recovery", p->second_op);
    }
    fprintf(stderr, ":\n  %s\n  CRASH_OP=%" PRIu64 " CRASH_POLICY=%s CRASH_SEED=%" PRIu64 "\n",
            buf_cstr(why), p->op, policy_names[p->policy], p->seed);
    buf_deinit(&at);
}

/* Opens and judges a disk that has just crashed. */
static void judge(struct run *r, struct sim_disk *disk, const struct point *p)
{
    struct buf why = BUF_INIT;
    r->report->crashes++;
    if (r->c->check(r->ctx, sim_disk_env(disk), &why) != 0) {
        failure_note(r, p, &why);
    }
    buf_deinit(&why);
}

/* The recovery that check does on this crashed disk, itself cut after each of its operations. */
static void judge_double(struct run *r, const struct sim_disk *crashed, struct point p)
{
    uint64_t base = sim_disk_op_count(crashed);
    bool was_cut = true;
    for (p.second_op = 0; was_cut; p.second_op++) {
        struct sim_disk *d = sim_disk_clone(crashed);
        struct buf ignored = BUF_INIT;
        sim_disk_power_cut_after(d, base + p.second_op);
        (void)r->c->check(r->ctx, sim_disk_env(d), &ignored);
        buf_deinit(&ignored);
        was_cut = sim_disk_is_cut(d);
        sim_disk_crash(d, p.policy, p.seed + 1);
        judge(r, d, &p);
        sim_disk_destroy(d);
    }
}

static void crash_and_judge(struct run *r, const struct sim_disk *disk, struct point p)
{
    if ((r->only.has_policy && strcmp(r->only.policy, policy_names[p.policy]) != 0) ||
        (r->only.has_seed && r->only.seed != p.seed)) {
        return;
    }
    struct sim_disk *d = sim_disk_clone(disk);
    sim_disk_crash(d, p.policy, p.seed);
    if (r->c->is_double) {
        judge_double(r, d, p);
    }
    judge(r, d, &p);
    sim_disk_destroy(d);
}

static void all_fates(struct run *r, const struct sim_disk *disk, uint64_t op)
{
    unsigned seeds = r->c->seeds == 0 ? CRASH_SEEDS_DEFAULT : r->c->seeds;
    if (r->only.has_op && r->only.op != op) {
        return;
    }
    crash_and_judge(r, disk, (struct point){op, SIM_CRASH_KEEP_ALL, 0, UINT64_MAX});
    crash_and_judge(r, disk, (struct point){op, SIM_CRASH_LOSE_ALL, 0, UINT64_MAX});
    if (sim_disk_pending_count(disk) == 0) {
        return; /* nothing to draw */
    }
    for (unsigned i = 0; i < seeds; i++) {
        /* The same number at another operation draws other fates. */
        uint64_t seed = op * 1000 + i;
        crash_and_judge(r, disk, (struct point){op, SIM_CRASH_RANDOM, seed, UINT64_MAX});
        crash_and_judge(r, disk, (struct point){op, SIM_CRASH_TEAR, seed, UINT64_MAX});
    }
}

static void on_op(void *arg, uint64_t op_no)
{
    struct run *r = arg;
    uint64_t done = op_no - 1;
    unsigned stride = r->c->stride == 0 ? 1 : r->c->stride;
    if (done % stride == 0) {
        all_fates(r, r->disk, done);
    }
}

/* A disk with what prepare leaves, all of it durable. */
static struct sim_disk *disk_prepare(const struct crash_case *c, void *ctx)
{
    struct sim_disk *d = sim_disk_create();
    if (c->on_disk != NULL) {
        c->on_disk(d);
    }
    sim_disk_log_enable(d);
    if (c->prepare != NULL) {
        int err = c->prepare(ctx, sim_disk_env(d));
        ensure(err == 0);
        sim_disk_settle(d);
    }
    return d;
}

static void ctx_destroy(const struct crash_case *c, void *ctx)
{
    if (c->ctx_destroy != NULL) {
        c->ctx_destroy(ctx);
    }
}

/* The workload runs through; its disk is looked at before each operation and at the end. */
static void run_through(struct run *r)
{
    const struct crash_case *c = r->c;
    r->ctx = c->ctx_create == NULL ? NULL : c->ctx_create();
    r->disk = disk_prepare(c, r->ctx);
    uint64_t first = sim_disk_op_count(r->disk);
    sim_disk_hook_set(r->disk, on_op, r);
    int err = c->workload(r->ctx, sim_disk_env(r->disk));
    ensure(err == 0); /* no fault was asked for */
    sim_disk_hook_set(r->disk, NULL, NULL);
    all_fates(r, r->disk, sim_disk_op_count(r->disk));
    r->report->ops = sim_disk_op_count(r->disk) - first;
    sim_disk_destroy(r->disk);
    ctx_destroy(c, r->ctx);
}

/* The workload runs into the cut after `op` of its operations; true when there was one. */
static bool run_cut(struct run *r, uint64_t op)
{
    const struct crash_case *c = r->c;
    r->ctx = c->ctx_create == NULL ? NULL : c->ctx_create();
    r->disk = disk_prepare(c, r->ctx);
    uint64_t at = sim_disk_op_count(r->disk) + op;
    sim_disk_power_cut_after(r->disk, at);
    int err = c->workload(r->ctx, sim_disk_env(r->disk));
    bool was_cut = sim_disk_is_cut(r->disk);
    if (was_cut && err == 0) {
        /* Syncs that fail must not be taken for success. */
        struct buf why = BUF_INIT;
        buf_append_cstr(&why, "the workload says 0 although the power went");
        failure_note(r, &(struct point){at, SIM_CRASH_KEEP_ALL, 0, UINT64_MAX}, &why);
        buf_deinit(&why);
    }
    all_fates(r, r->disk, at);
    sim_disk_destroy(r->disk);
    ctx_destroy(c, r->ctx);
    return was_cut;
}

int crash_run(const struct crash_case *c, struct crash_report *out)
{
    *out = (struct crash_report){0};
    struct run r = {.c = c, .report = out, .only = only_from_env()};
    run_through(&r);
    unsigned stride = c->stride == 0 ? 1 : c->stride;
    for (uint64_t op = 0; c->is_cut_mode && run_cut(&r, op); op += stride) {
    }
    return out->failures == 0 ? 0 : -1;
}

bool crash_finds_bug(const struct crash_case *c, struct crash_report *out)
{
    struct crash_case quiet = *c;
    quiet.is_quiet = true;
    return crash_run(&quiet, out) != 0;
}
