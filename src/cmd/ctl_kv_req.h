/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_kv_req: flags and arguments of get, put and del as requests; used by the commands and by
 * the lines of txn.
 *
 * Ownership   Slices of the request live as long as the ctx.
 * Failure     as in ctl_txn.h: non-zero is the exit status.
 */
#ifndef CMD_CTL_KV_REQ_H
#define CMD_CTL_KV_REQ_H

#include "cmd/cli.h"
#include "cmd/ctl_txn.h"
#include "wire/kv.h"

extern const struct cli_flag ctl_get_flags[];
extern const struct cli_flag ctl_put_flags[];
extern const struct cli_flag ctl_del_flags[];

MUST_USE int ctl_get_req(struct cli_ctx *ctx, struct wire_range_req *out, struct ctl_fail *fail);
/* read_value(arg, out) gives the value when it is not an argument; false: there is none. */
MUST_USE int ctl_put_req(struct cli_ctx *ctx, bool (*read_value)(void *arg, struct slice *out),
                         void *arg, struct wire_put_req *out, struct ctl_fail *fail);
MUST_USE int ctl_del_req(struct cli_ctx *ctx, struct wire_delete_req *out, struct ctl_fail *fail);

/* "l" or "s". */
MUST_USE int ctl_is_serializable(struct slice text, struct slice shown, bool *out,
                                 struct ctl_fail *fail);
/* End of the range of keys with this prefix. */
struct slice ctl_prefix_end(struct arena *a, struct slice key);

#endif
