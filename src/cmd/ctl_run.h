/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_run: what the commands that stay need: signals, programs, watches, leases (watch, lock,
 * elect, make-mirror, lease keep-alive).
 *
 * Design      Everything is a flag that a callback of the loop sets; the command runs the loop
 *             until the flag it waits for is set (ctl_run_turn), and looks again.
 * Ownership   struct ctl_run lives in the command; ctl_run_deinit gives back what it holds.
 * Thread      main.
 * Failure     non-zero: exit status with ctl->fail set.
 */
#ifndef CMD_CTL_RUN_H
#define CMD_CTL_RUN_H

#include "client/session.h"
#include "client/watch.h"
#include "cmd/ctl.h"
#include "os/os.h"

struct ctl_run {
    struct ctl *c;
    struct client *client;
    struct client_watcher *watcher; /* made when first needed */
    struct client_session *session;
    bool has_signals;
    bool is_interrupted; /* SIGINT or SIGTERM came */
};

void ctl_run_init(struct ctl_run *r, struct ctl *c, struct client *client);
void ctl_run_deinit(struct ctl_run *r);
/* From here on SIGINT and SIGTERM set is_interrupted and end nothing. */
MUST_USE int ctl_run_signals(struct ctl_run *r);
/* Handles events until something has happened that a command may wait for. */
void ctl_run_turn(struct ctl_run *r);

/* The watcher, made at the first call. */
struct client_watcher *ctl_run_watcher(struct ctl_run *r);
struct client_watch *ctl_run_watch(struct ctl_run *r, const struct client_watch_options *opts);

/* Asks for a range, as long as it takes: raw is the answer's bytes, arena has what resp points at.
 */
MUST_USE int ctl_run_range(struct ctl_run *r, const struct wire_range_req *req, struct arena *arena,
                           struct buf *raw, struct wire_range_resp *resp);

/* A lease of so many seconds that is renewed from then on. */
MUST_USE int ctl_run_session(struct ctl_run *r, int64_t ttl_s);

/* Runs a program to its end; the loop goes on meanwhile.  0 with *out, or exit status 1 with "exec:
 * ..." in fail. */
MUST_USE int ctl_run_program(struct ctl_run *r, const struct slice *argv, size_t argc,
                             const char *const env_extra[], struct os_exit *out);

#endif
