/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/utl_cmds: the command tree of cairnutl.
 */
#ifndef CMD_UTL_CMDS_H
#define CMD_UTL_CMDS_H

#include "cmd/cli.h"
#include "cmd/ctl_txn.h"
#include "env/env.h"

struct utl {
    struct cli_ctx *cli;
    struct env *env;
    struct buf out;
    struct ctl_fail fail;
    bool is_etcd_name;
    bool is_quiet; /* no "Error:" line */
};

extern const struct cli_cmd utl_root;

int utl_run_snapshot_status(struct cli_ctx *ctx);
int utl_run_snapshot_restore(struct cli_ctx *ctx);
int utl_run_defrag(struct cli_ctx *ctx);
int utl_run_hashkv(struct cli_ctx *ctx);
int utl_run_version(struct cli_ctx *ctx);
int utl_run_completion(struct cli_ctx *ctx);

#endif
