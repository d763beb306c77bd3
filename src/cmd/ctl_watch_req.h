/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_watch_req: flags, arguments and variables of `watch`, and its interactive lines, as
 * requests (cli.md 2.4 watch).
 *
 * Ownership   Slices point into the arguments, the environment or the arena.
 * Thread      any.
 * Failure     non-zero = exit status with the text in fail.
 * See         test/unit/cmd/ctl_watch_req_test.c, test/fuzz/ctl_watch_fuzz.c
 */
#ifndef CMD_CTL_WATCH_REQ_H
#define CMD_CTL_WATCH_REQ_H

#include "cmd/cli.h"
#include "cmd/ctl_txn.h"

extern const struct cli_flag ctl_watch_flags[];

struct ctl_watch_env {
    struct slice key; /* ETCDCTL_WATCH_KEY; empty: not set */
    struct slice range_end;
};

struct ctl_watch_req {
    struct slice key;
    struct slice range_end;
    int64_t revision;
    bool prev_kv;
    bool progress_notify;
    const struct slice *exec; /* what stands behind `--` */
    size_t exec_count;
};

/* ETCDCTL_WATCH_RANGE_END alone is an error of both modes. */
MUST_USE int ctl_watch_env_check(const struct ctl_watch_env *env, struct ctl_fail *fail);
/* The command line. */
MUST_USE int ctl_watch_req(struct cli_ctx *ctx, const struct ctl_watch_env *env,
                           struct ctl_watch_req *out, struct ctl_fail *fail);

enum ctl_watch_line {
    CTL_WATCH_LINE_WATCH,
    CTL_WATCH_LINE_PROGRESS,
    CTL_WATCH_LINE_SKIP,  /* say fail's text and go on */
    CTL_WATCH_LINE_FATAL, /* end with fail */
};

/* One line of -i, without its newline. */
enum ctl_watch_line ctl_watch_line(struct slice line, const struct ctl_watch_env *env,
                                   struct arena *a, struct ctl_watch_req *out,
                                   struct ctl_fail *fail);

#endif
