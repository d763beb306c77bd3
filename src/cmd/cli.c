/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cli.h"

#include "base/err.h"
#include "cmd/cli_impl.h"
#include "cmd/print_text.h"

enum { SUGGEST_DISTANCE_MAX = 2, NAME_BYTES_MAX = 64 };

static void say_error(struct cli_ctx *ctx, struct buf *reason);
static bool run_help(struct cli_ctx *ctx, int *out_rc);

void cli_init(struct cli_ctx *ctx, const struct cli_app *app)
{
    *ctx = (struct cli_ctx){.app = app};
    arena_init(&ctx->arena, 0);
    buf_init(&ctx->out);
    buf_init(&ctx->err);
    ctx->path[0] = app->root;
    ctx->depth = 1;
}

void cli_deinit(struct cli_ctx *ctx)
{
    arena_deinit(&ctx->arena);
    buf_deinit(&ctx->out);
    buf_deinit(&ctx->err);
}

size_t cli_name_len(const struct cli_cmd *cmd)
{
    return strcspn(cmd->use, " ");
}

void cli_say(const struct cli_app *app, struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '@') {
            buf_append_cstr(out, app->name);
        } else {
            buf_append_byte(out, (uint8_t)*text);
        }
    }
}

void cli_path_text(const struct cli_ctx *ctx, size_t depth, struct buf *out)
{
    buf_append_cstr(out, ctx->app->name);
    for (size_t i = 1; i < depth; i++) {
        buf_append_byte(out, ' ');
        buf_append(out, ctx->path[i]->use, cli_name_len(ctx->path[i]));
    }
}

/* ---- finding the command ------------------------------------------------------------------------
 */

const struct cli_cmd *cli_sub_find(const struct cli_cmd *cmd, struct slice name)
{
    const struct cli_cmd *only = NULL;
    size_t matches = 0;
    for (const struct cli_cmd *c = cmd->subs; c != NULL && c->use != NULL; c++) {
        struct slice full = slice_make(c->use, cli_name_len(c));
        if (slice_equal(full, name)) {
            return c;
        }
        if (slice_has_prefix(full, name) && !c->is_hidden) {
            only = c;
            matches++;
        }
    }
    return matches == 1 ? only : NULL;
}

/* True when s is a flag whose value is the next argument. */
static bool takes_next(const struct cli_ctx *ctx, struct slice s)
{
    if (s.len < 2 || s.data[0] != '-' || memchr(s.data, '=', s.len) != NULL) {
        return false;
    }
    const struct cli_flag *f;
    if (s.data[1] == '-') {
        f = cli_flag_find(ctx->path, ctx->depth, slice_skip(s, 2));
    } else if (s.len == 2) {
        f = cli_flag_find_short(ctx->path, ctx->depth, (char)s.data[1]);
    } else {
        return false;
    }
    return f == NULL || !cli_flag_is_alone(f);
}

/* Index of the first word that is neither a flag nor a flag's value; count when there is none.
 * A value flag with one argument or none behind it ends the search, as in the reference. */
static size_t first_word(const struct cli_ctx *ctx, const struct slice *args, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_equal_cstr(args[i], "--")) {
            break;
        }
        if (takes_next(ctx, args[i])) {
            if (count - i - 1 <= 1) {
                break;
            }
            i++;
        } else if (args[i].len > 0 && args[i].data[0] != '-') {
            return i;
        }
    }
    return count;
}

static size_t edit_distance(struct slice a, struct slice b)
{
    size_t row[NAME_BYTES_MAX + 1];
    if (a.len > NAME_BYTES_MAX || b.len > NAME_BYTES_MAX) {
        return NAME_BYTES_MAX;
    }
    for (size_t j = 0; j <= b.len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            bool is_same = (a.data[i - 1] | 0x20) == (b.data[j - 1] | 0x20);
            size_t best = diagonal + (is_same ? 0 : 1);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b.len];
}

static void suggest(const struct cli_cmd *root, struct slice word, struct buf *reason)
{
    bool is_first = true;
    for (const struct cli_cmd *c = root->subs; c != NULL && c->use != NULL; c++) {
        size_t len = cli_name_len(c);
        struct slice name = slice_make(c->use, len);
        bool is_prefix =
            len >= word.len && strncasecmp(c->use, (const char *)word.data, word.len) == 0;
        if (c->is_hidden || c->is_help ||
            (!is_prefix && edit_distance(word, name) > SUGGEST_DISTANCE_MAX)) {
            continue;
        }
        buf_append_cstr(reason, is_first ? "\n\nDid you mean this?\n" : "");
        buf_printf(reason, "\t%.*s\n", (int)len, c->use);
        is_first = false;
    }
}

int cli_find(struct cli_ctx *ctx, const struct slice *args, size_t count, struct slice *rest,
             size_t *rest_count, struct buf *reason)
{
    memcpy(rest, args, count * sizeof(*args));
    for (;;) {
        size_t at = first_word(ctx, rest, count);
        const struct cli_cmd *cmd = cli_cmd_of(ctx);
        const struct cli_cmd *sub = at < count ? cli_sub_find(cmd, rest[at]) : NULL;
        if (sub == NULL || ctx->depth == CLI_DEPTH_MAX) {
            *rest_count = count;
            if (at == count || ctx->depth > 1 || cmd->subs == NULL) {
                return 0;
            }
            buf_append_cstr(reason, "unknown command ");
            gotext_quote(reason, rest[at]);
            buf_append_cstr(reason, " for ");
            gotext_quote(reason, slice_cstr(ctx->app->name));
            suggest(cmd, rest[at], reason);
            return ERR_NOT_FOUND;
        }
        memmove(rest + at, rest + at + 1, (count - at - 1) * sizeof(*rest));
        count--;
        ctx->path[ctx->depth++] = sub;
    }
}

/* ---- one command line ---------------------------------------------------------------------------
 */

static int check_args(const struct cli_ctx *ctx, struct buf *reason)
{
    static const char *const shells[] = {"bash", "zsh", "fish", "powershell"};
    const struct cli_cmd *cmd = cli_cmd_of(ctx);
    if (cmd->args == CLI_ARGS_ANY) {
        return 0;
    }
    if (ctx->arg_count != 1) {
        buf_printf(reason, "accepts 1 arg(s), received %zu", ctx->arg_count);
        return ERR_INVALID;
    }
    for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
        if (cmd->args == CLI_ARGS_ONE || slice_equal_cstr(ctx->args[0], shells[i])) {
            return 0;
        }
    }
    struct buf path = BUF_INIT;
    cli_path_text(ctx, ctx->depth, &path);
    buf_append_cstr(reason, "invalid argument ");
    gotext_quote(reason, ctx->args[0]);
    buf_append_cstr(reason, " for ");
    gotext_quote(reason, buf_slice(&path));
    buf_deinit(&path);
    return ERR_INVALID;
}

static int check_required(const struct cli_ctx *ctx, struct buf *reason)
{
    size_t missing = 0;
    for (size_t i = 0; i < ctx->value_count; i++) {
        const struct cli_value *v = &ctx->values[i];
        if (v->flag->is_required && !v->is_changed) {
            buf_append_cstr(reason, missing++ == 0 ? "required flag(s) " : ", ");
            gotext_quote(reason, slice_cstr(v->flag->name));
        }
    }
    if (missing > 0) {
        buf_append_cstr(reason, " not set");
    }
    return missing > 0 ? ERR_INVALID : 0;
}

bool cli_parse(struct cli_ctx *ctx, const struct slice *args, size_t count, int *out_rc)
{
    struct buf reason = BUF_INIT;
    struct slice *rest = arena_alloc(&ctx->arena, (count + 1) * sizeof(*rest));
    size_t rest_count;
    bool is_run = false;
    *out_rc = 1;
    if (cli_find(ctx, args, count, rest, &rest_count, &reason) != 0) {
        say_error(ctx, &reason);
        if (!ctx->app->root->is_silenced) {
            buf_printf(&ctx->err, "Run '%s --help' for usage.\n", ctx->app->name);
        }
        if (ctx->app->is_error_repeated) {
            say_error(ctx, &reason);
        }
        buf_deinit(&reason);
        return false;
    }
    cli_values_init(ctx);
    int err = cli_values_parse(ctx, rest, rest_count, &reason);
    if (err == 0 &&
        (cli_bool(ctx, "help") || (cli_cmd_of(ctx)->run == NULL && !cli_cmd_of(ctx)->is_help))) {
        cli_help(ctx, &ctx->out);
        *out_rc = 0;
        buf_deinit(&reason);
        return false;
    }
    err = err == 0 ? check_args(ctx, &reason) : err;
    err = err == 0 ? check_required(ctx, &reason) : err;
    if (err != 0) {
        say_error(ctx, &reason);
        cli_usage(ctx, &ctx->err);
        buf_append_byte(&ctx->err, '\n');
        if (ctx->app->is_error_repeated) {
            say_error(ctx, &reason);
        }
    } else {
        is_run = !cli_cmd_of(ctx)->is_help || run_help(ctx, out_rc);
    }
    buf_deinit(&reason);
    return is_run;
}

static void say_error(struct cli_ctx *ctx, struct buf *reason)
{
    if (!ctx->app->root->is_silenced) {
        buf_append_cstr(&ctx->err, "Error: ");
        buf_append_slice(&ctx->err, buf_slice(reason));
        buf_append_byte(&ctx->err, '\n');
    }
}

/* `help [command]`: always done here; false. */
static bool run_help(struct cli_ctx *ctx, int *out_rc)
{
    struct buf reason = BUF_INIT;
    struct slice *rest = arena_alloc(&ctx->arena, (ctx->arg_count + 1) * sizeof(*rest));
    size_t rest_count;
    ctx->depth = 1;
    if (cli_find(ctx, ctx->args, ctx->arg_count, rest, &rest_count, &reason) == 0) {
        cli_help(ctx, &ctx->out);
    } else {
        buf_append_cstr(&ctx->err, "Unknown help topic [");
        for (size_t i = 0; i < ctx->arg_count; i++) {
            buf_append_cstr(&ctx->err, i > 0 ? " `" : "`");
            buf_append_slice(&ctx->err, ctx->args[i]);
            buf_append_byte(&ctx->err, '`');
        }
        buf_append_cstr(&ctx->err, "]\n");
        ctx->depth = 1;
        cli_usage(ctx, &ctx->err);
    }
    buf_deinit(&reason);
    *out_rc = 0;
    return false;
}
