/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/utl_cmds: the tree of cairnutl's commands, and what runs them.
 */
#include "cmd/utl_cmds.h"

#include "base/log.h"
#include "cmd/ctl_rc.h"
#include "cmd/utl.h"
#include "base/version.h"

static struct utl *utl_of(struct cli_ctx *ctx)
{
    return ctx->user;
}

static const char *arg_cstr(struct cli_ctx *ctx, struct slice s)
{
    return arena_strndup(&ctx->arena, s.len == 0 ? "" : (const char *)s.data, s.len);
}

static uint64_t timeout_ms(struct cli_ctx *ctx)
{
    int64_t ns = cli_number(ctx, "timeout");
    return ns <= 0 ? 0 : ns < 1000000 ? 1 : (uint64_t)ns / 1000000;
}

static int printer_init(struct cli_ctx *ctx, struct printer *p)
{
    struct utl *u = utl_of(ctx);
    *p = (struct printer){.out = &u->out, .err = &u->fail.before};
    return print_format_parse(cli_text(ctx, "write-out"), &p->format)
               ? 0
               : ctl_fail(&u->fail, CTL_RC_BAD_FEATURE, "unsupported output format");
}

static int printed(struct utl *u, struct printer *p, int err)
{
    if (err == 0) {
        return 0;
    }
    (void)ctl_fail(&u->fail, CTL_RC_BAD_FEATURE, "%s", "");
    print_unsupported(p, &u->fail.text);
    return CTL_RC_BAD_FEATURE;
}

int utl_run_snapshot_status(struct cli_ctx *ctx)
{
    struct utl *u = utl_of(ctx);
    struct printer p;
    struct utl_status st;
    if (ctx->arg_count != 1) {
        return ctl_fail(&u->fail, CTL_RC_BAD_ARGS, "snapshot status requires exactly one argument");
    }
    const char *path = arg_cstr(ctx, ctx->args[0]);
    /* A missing file comes before a bad format. */
    int rc = env_exists(u->env->disk, path) ? printer_init(ctx, &p) : 0;
    if (rc != 0) {
        return rc;
    }
    if (utl_status(u->env, path, &st, &u->fail.text) != 0) {
        return CTL_RC_ERROR;
    }
    return printed(u, &p,
                   print_db_status(&p, &(struct print_db_status){.hash = st.hash,
                                                                 .revision = st.revision,
                                                                 .total_key = st.total_key,
                                                                 .total_size = st.total_size,
                                                                 .version = st.version}));
}

int utl_run_snapshot_restore(struct cli_ctx *ctx)
{
    struct utl *u = utl_of(ctx);
    return utl_restore_cmd(ctx, u->env, &u->fail.text);
}

/* The lock of a running member was not given up in time. */
static int fail_locked(struct utl *u, const char *path)
{
    log_at_(LOG_PANIC, NULL, "failed to open database", LOG_STR("path", path),
            LOG_STR("error", "timeout"));
    u->is_quiet = true;
    return CTL_RC_BAD_CONNECTION;
}

int utl_run_defrag(struct cli_ctx *ctx)
{
    struct utl *u = utl_of(ctx);
    struct buf why = BUF_INIT;
    const char *dir = arg_cstr(ctx, cli_text(ctx, "data-dir"));
    int err = utl_defrag(u->env, dir, timeout_ms(ctx), &why);
    int rc = 0;
    if (err == ERR_TIMED_OUT) {
        rc = fail_locked(u, dir);
    } else if (err != 0) {
        rc = ctl_fail(&u->fail, CTL_RC_ERROR, "Failed to defragment etcd data[%s] (%s)", dir,
                      buf_cstr(&why));
    }
    buf_deinit(&why);
    return rc;
}

int utl_run_hashkv(struct cli_ctx *ctx)
{
    struct utl *u = utl_of(ctx);
    struct printer p;
    struct print_db_hashkv h;
    const char *path = arg_cstr(ctx, ctx->args[0]);
    int rc = printer_init(ctx, &p);
    if (rc != 0) {
        return rc;
    }
    int err = utl_hashkv(u->env, path, cli_number(ctx, "rev"), timeout_ms(ctx), &h, &u->fail.text);
    if (err == ERR_TIMED_OUT) {
        return fail_locked(u, path);
    }
    return err != 0 ? CTL_RC_ERROR : printed(u, &p, print_db_hashkv(&p, &h));
}

int utl_run_version(struct cli_ctx *ctx)
{
    struct utl *u = utl_of(ctx);
    buf_printf(&u->out, "%s version: %s\nAPI version: %s\n", ctx->app->name,
               u->is_etcd_name ? VERSION_ETCD : VERSION_CAIRN, VERSION_API);
    return 0;
}

int utl_run_completion(struct cli_ctx *ctx)
{
    bool is_known = cli_completion(ctx->app, ctx->args[0], &utl_of(ctx)->out);
    ensure(is_known); /* the parser has checked the name */
    return 0;
}

static const struct cli_flag defrag_flags[] = {
    {"data-dir", 0, CLI_STRING, NULL, "data directory of a stopped member", .is_required = true},
    {.name = NULL},
};

static const struct cli_flag hashkv_flags[] = {
    {"rev", 0, CLI_INT64, NULL, "highest revision to hash, 0 for the latest"},
    {.name = NULL},
};

static const struct cli_flag root_flags[] = {
    {"timeout", 0, CLI_DURATION, "10s", "wait so long for the lock of the file, 0 for ever"},
    {"write-out", 'w', CLI_STRING, "simple",
     "output format (fields, json, protobuf, simple, table)",
     .choices = "fields json protobuf simple table"},
    {.name = NULL},
};

static const struct cli_cmd snapshot_cmds[] = {
    {.use = "restore <filename> --data-dir {output dir} [options]",
     .brief = "Make a member's data directory from a snapshot file",
     .flags = utl_restore_flags,
     .run = utl_run_snapshot_restore},
    {.use = "status <filename>",
     .brief = "Show what is in a snapshot file",
     .detail = "Simple format, comma separated: hash, revision, total keys, total size, version.",
     .run = utl_run_snapshot_status},
    {.use = NULL},
};

static const struct cli_cmd root_cmds[] = {
    {.use = "defrag",
     .brief = "Give unused space of a stopped member's database file back",
     .flags = defrag_flags,
     .run = utl_run_defrag},
    {.use = "snapshot <subcommand>", .brief = "Snapshot files", .subs = snapshot_cmds},
    {.use = "hashkv <filename>",
     .brief = "Print the hash of the key history in a file",
     .flags = hashkv_flags,
     .run = utl_run_hashkv,
     .args = CLI_ARGS_ONE},
    {.use = "version", .brief = "Print the version of @", .run = utl_run_version},
    {.use = "completion [bash|zsh|fish|powershell]",
     .brief = "Print a completion script for a shell",
     .run = utl_run_completion,
     .args = CLI_ARGS_SHELL,
     .is_without_flags = true},
    {.use = "help [command]", .brief = "Help about any command", .is_help = true},
    {.use = NULL},
};

const struct cli_cmd utl_root = {
    .use = "@",
    .brief = "Works on snapshot files and on the data of stopped members.",
    .persistent = root_flags,
    .subs = root_cmds,
};
