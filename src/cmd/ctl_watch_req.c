/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ctl_watch_req.h"

#include "base/gotext.h"
#include "cmd/cli_impl.h"
#include "cmd/ctl_kv_req.h"
#include "cmd/ctl_rc.h"

#define BAD_NUMBER "bad number of arguments"
#define ZERO_KEY slice_make("", 1)

const struct cli_flag ctl_watch_flags[] = {
    {"interactive", 'i', CLI_BOOL, NULL, "read watches from stdin, a line each"},
    {"prefix", 0, CLI_BOOL, NULL, "watch all keys that begin with <key>"},
    {"rev", 0, CLI_INT64, NULL, "revision to start at, 0 for now"},
    {"prev-kv", 0, CLI_BOOL, NULL, "also print the pair that an event replaced"},
    {"progress-notify", 0, CLI_BOOL, NULL, "let the server tell its revision from time to time"},
    {.name = NULL},
};

static const struct cli_cmd line_cmd = {.use = "watch", .flags = ctl_watch_flags};
static const struct cli_app line_app = {.name = "watch", .root = &line_cmd};

int ctl_watch_env_check(const struct ctl_watch_env *env, struct ctl_fail *fail)
{
    if (env->key.len > 0 || env->range_end.len == 0) {
        return 0;
    }
    (void)ctl_fail(fail, CTL_RC_BAD_ARGS,
                   "ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END=");
    gotext_quote(&fail->text, env->range_end);
    return CTL_RC_BAD_ARGS;
}

/* Key and range out of the arguments before `--` and the variables. */
static int range_of(struct cli_ctx *ctx, const struct slice *args, size_t count,
                    struct ctl_watch_req *out, struct ctl_fail *fail)
{
    bool is_prefix = cli_bool(ctx, "prefix");
    if (count == 0) {
        return ctl_fail(fail, CTL_RC_BAD_ARGS, BAD_NUMBER);
    }
    out->key = args[0];
    out->range_end = SLICE_NULL;
    if (count == 2) { /* with more only the key counts, as in the reference */
        if (is_prefix) {
            return ctl_fail(fail, CTL_RC_BAD_ARGS,
                            "`range_end` and `--prefix` are mutually exclusive");
        }
        out->range_end = args[1];
    } else if (is_prefix && out->key.len == 0) {
        out->key = ZERO_KEY;
        out->range_end = ZERO_KEY;
    } else if (is_prefix) {
        out->range_end = ctl_prefix_end(&ctx->arena, out->key);
    }
    return 0;
}

/* What stands behind `--`; the number of arguments before it in *out_count. */
static int split(const struct cli_ctx *ctx, const struct ctl_watch_env *env, size_t *out_count,
                 struct ctl_watch_req *out, struct ctl_fail *fail)
{
    bool has_exec = ctx->dash_at != SIZE_MAX;
    *out_count = has_exec ? ctx->dash_at : ctx->arg_count;
    out->exec = ctx->args + *out_count;
    out->exec_count = ctx->arg_count - *out_count;
    if (has_exec && out->exec_count == 0) {
        return ctl_fail(fail, CTL_RC_BAD_ARGS, BAD_NUMBER " (found separator --, but no commands)");
    }
    if (*out_count > 0 && env->key.len > 0) {
        return ctl_fail(fail, CTL_RC_BAD_ARGS, BAD_NUMBER " (found conflicting environment key)");
    }
    return 0;
}

/* The arguments of a watch: those given, or the variables'. */
static int request(struct cli_ctx *ctx, const struct ctl_watch_env *env, size_t count,
                   struct ctl_watch_req *out, struct ctl_fail *fail)
{
    const struct slice given[] = {env->key, env->range_end};
    out->revision = cli_number(ctx, "rev");
    out->prev_kv = cli_bool(ctx, "prev-kv");
    out->progress_notify = cli_bool(ctx, "progress-notify");
    return env->key.len > 0 ? range_of(ctx, given, env->range_end.len > 0 ? 2 : 1, out, fail)
                            : range_of(ctx, ctx->args, count, out, fail);
}

int ctl_watch_req(struct cli_ctx *ctx, const struct ctl_watch_env *env, struct ctl_watch_req *out,
                  struct ctl_fail *fail)
{
    size_t count;
    int rc = split(ctx, env, &count, out, fail);
    return rc != 0 ? rc : request(ctx, env, count, out, fail);
}

/* ---- lines of -i ---- */

static enum ctl_watch_line skip(struct ctl_fail *fail, const char *before, struct slice line,
                                const char *after)
{
    buf_clear(&fail->text);
    buf_append_cstr(&fail->text, before);
    buf_append_slice(&fail->text, line);
    buf_append_cstr(&fail->text, after);
    return CTL_WATCH_LINE_SKIP;
}

/* Moves the request's slices, which live in ctx, into the arena. */
static struct slice keep(struct arena *a, struct slice s)
{
    return s.data == NULL ? s : slice_make(arena_strndup(a, s.data, s.len), s.len);
}

static enum ctl_watch_line watch_line(struct cli_ctx *ctx, struct slice line,
                                      const struct ctl_watch_env *env, const struct slice *words,
                                      size_t count, struct ctl_watch_req *out,
                                      struct ctl_fail *fail)
{
    struct buf reason = BUF_INIT;
    size_t args = 0;
    int rc = 0;
    if (cli_values_parse(ctx, words, count, &reason) != 0) {
        rc = ctl_fail(fail, CTL_RC_BAD_ARGS, "%s", buf_cstr(&reason));
    } else if (cli_bool(ctx, "help")) {
        rc = ctl_fail(fail, CTL_RC_BAD_ARGS, "pflag: help requested");
    }
    buf_deinit(&reason);
    rc = rc != 0 ? rc : split(ctx, env, &args, out, fail);
    if (rc == 0 && args == 0 && out->exec_count == 0 && env->key.len == 0) {
        rc = ctl_fail(fail, CTL_RC_BAD_ARGS, BAD_NUMBER);
    }
    if (rc != 0) {
        return CTL_WATCH_LINE_FATAL;
    }
    if (request(ctx, env, args, out, fail) != 0) {
        struct buf why = BUF_INIT;
        buf_printf(&why, " (%s)", buf_cstr(&fail->text));
        (void)skip(fail, "Invalid command ", line, buf_cstr(&why));
        buf_deinit(&why);
        return CTL_WATCH_LINE_SKIP;
    }
    return CTL_WATCH_LINE_WATCH;
}

static enum ctl_watch_line parse_watch(struct slice line, const struct ctl_watch_env *env,
                                       const struct slice *words, size_t count, struct arena *a,
                                       struct ctl_watch_req *out, struct ctl_fail *fail)
{
    struct cli_ctx ctx;
    cli_init(&ctx, &line_app);
    ctx.path[0] = &line_cmd;
    ctx.depth = 1;
    cli_values_init(&ctx);
    enum ctl_watch_line kind = watch_line(&ctx, line, env, words, count, out, fail);
    if (kind == CTL_WATCH_LINE_WATCH) {
        struct slice *exec = arena_alloc(a, (out->exec_count + 1) * sizeof(*exec));
        for (size_t i = 0; i < out->exec_count; i++) {
            exec[i] = keep(a, out->exec[i]);
        }
        out->exec = exec;
        out->key = keep(a, out->key);
        out->range_end = keep(a, out->range_end);
    }
    cli_deinit(&ctx);
    return kind;
}

enum ctl_watch_line ctl_watch_line(struct slice line, const struct ctl_watch_env *env,
                                   struct arena *a, struct ctl_watch_req *out,
                                   struct ctl_fail *fail)
{
    size_t max = line.len / 2 + 1; /* words have a blank or a quote between them */
    max = max < CTL_WORDS_MAX ? max : CTL_WORDS_MAX;
    struct slice *words = arena_alloc(a, max * sizeof(*words));
    size_t count = 0;
    if (ctl_words(line, a, words, max, &count, fail) != 0) {
        return CTL_WATCH_LINE_FATAL;
    }
    if (count == 0) {
        return skip(fail, "Invalid command: ", line, " (watch and progress supported)");
    }
    if (slice_equal_cstr(words[0], "progress")) {
        return CTL_WATCH_LINE_PROGRESS;
    }
    if (!slice_equal_cstr(words[0], "watch")) {
        return skip(fail, "Invalid command ", line, " (only support watch)");
    }
    if (count < 2 && env->key.len == 0) {
        return skip(fail, "Invalid command ", line, " (command type or key is not provided)");
    }
    return parse_watch(line, env, words + 1, count - 1, a, out, fail);
}
