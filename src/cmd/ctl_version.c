/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_version: version, completion, options.
 */
#include "cmd/ctl.h"
#include "base/version.h"

int ctl_run_version(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    buf_printf(&c->out, "%s version: %s\nAPI version: %s\n", ctx->app->name,
               c->is_etcd_name ? VERSION_ETCD : VERSION_CAIRN, VERSION_API);
    return 0;
}

int ctl_run_completion(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    bool is_known = cli_completion(ctx->app, ctx->args[0], &c->out);
    ensure(is_known); /* the parser has checked the name */
    return 0;
}

int ctl_run_options(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    buf_append_cstr(&c->out, "The following options can be passed to any command:\n\n");
    cli_root_flags(ctx->app, &c->out);
    return 0;
}
