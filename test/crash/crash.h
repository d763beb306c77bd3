/* SPDX-License-Identifier: Apache-2.0
 *
 * crash/crash: runs a workload once and looks at the disk after a power cut at every operation.
 *
 * Problem     A crash bug sits between two particular operations and one particular fate of their
 *             writes; trying some is trying none.
 * Design      The workload runs on a simulated disk.  Before each numbered operation (so: after
 *             every prefix of operations) the disk is cloned, the clone crashes by each policy
 *             (RANDOM and TEAR with several seeds), and check() opens what is left.  The workload's
 *             own ctx says what had been acknowledged at that moment: check() demands at least that
 *             and at most what had been begun.  The end of the workload is a crash point too.
 *             is_cut_mode runs the workload again for each operation with the power really cut
 *             there, so that its error paths run.  is_double cuts the power once more at each
 *             operation of the recovery that check() does.
 *
 *             A failure prints: name, operation number and text, policy, seed, what check said, and
 *             what repeats it: CRASH_OP=37 CRASH_POLICY=random CRASH_SEED=5 <program>.  (With
 *             CRASH_OP set, only that crash point is looked at, with every other case skipping its
 *             points of other numbers as well.)
 *
 *             const struct crash_case c = {.name = "wal", .ctx_create = ..., .workload = ..., ...};
 *             struct crash_report report;
 *             assert_int_equal(crash_run(&c, &report), 0);
 *
 * Thread      one.
 * Limits      CRASH_PRINT_MAX failures are printed; the count goes on.
 * See         sim/disk.h; test/crash/selftest.c: a correct workload and broken ones.
 */
#ifndef CRASH_CRASH_H
#define CRASH_CRASH_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/disk.h"

enum { CRASH_SEEDS_DEFAULT = 4, CRASH_PRINT_MAX = 5 };

struct crash_report {
    uint64_t ops;      /* operations of the workload */
    uint64_t crashes;  /* crashed disks looked at */
    uint64_t failures; /* of them, those that check refused */
    uint64_t first_op; /* the first failure: operations done before the power went */
    enum sim_crash_policy first_policy;
    uint64_t first_seed;
    char first_text[512];
};

struct crash_case {
    const char *name;
    /* A new context (what was begun and acknowledged) for one run. */
    void *(*ctx_create)(void);
    void (*ctx_destroy)(void *ctx);
    /* Before the workload, its operations are not crash points; may be NULL. */
    int (*prepare)(void *ctx, struct env_disk *disk);
    /* 0, or the error of the disk (only a power cut may be the cause).  Must not abort. */
    int (*workload)(void *ctx, struct env_disk *disk);
    /* Opens the disk after the crash and compares with ctx; 0, or non-zero with a reason in out.
     * Must not change ctx, and must close what it opens.  In a double crash its first run ends with
     * errors of the disk and what it says then does not count. */
    int (*check)(void *ctx, struct env_disk *disk, struct buf *out);
    /* Mutants: called once on the new disk (sim_disk_ignore_sync ...); may be NULL. */
    void (*on_disk)(struct sim_disk *disk);
    unsigned seeds;   /* crashes a point by RANDOM and TEAR each; 0: CRASH_SEEDS_DEFAULT */
    unsigned stride;  /* every n-th operation only; 0: each */
    bool is_cut_mode; /* also run with the power really cut after each operation */
    bool is_double;   /* crash again during the writes of check's recovery */
    bool is_quiet;    /* failures are expected (mutants): do not print them */
};

/* All crash points of the case; 0 when check accepted every one, else -1 (see out). */
int crash_run(const struct crash_case *c, struct crash_report *out);
/* For mutants: true when at least one crash point was refused; prints nothing. */
bool crash_finds_bug(const struct crash_case *c, struct crash_report *out);

#endif
