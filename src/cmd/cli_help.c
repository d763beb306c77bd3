/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/cli_help: help, usage and flag tables in the layout of etcdctl 3.7 (cli.md 2.1).
 */
#include "cmd/cli_impl.h"

#include <stdlib.h>

#include "base/err.h"

enum { NAME_PADDING = 11, COMMANDS_MAX = 64 };

static int flag_compare(const void *a, const void *b)
{
    const struct cli_flag *const *fa = a;
    const struct cli_flag *const *fb = b;
    return strcmp((*fa)->name, (*fb)->name);
}

size_t cli_flags_sort(const struct cli_flag **flags, size_t count)
{
    qsort(flags, count, sizeof(*flags), flag_compare);
    return count;
}

static void flag_left(const struct cli_flag *f, struct buf *out)
{
    if (f->shorthand != 0) {
        buf_printf(out, "  -%c, --%s", f->shorthand, f->name);
    } else {
        buf_printf(out, "      --%s", f->name);
    }
    const char *word = cli_type_word(f);
    if (word[0] != '\0') {
        buf_printf(out, " %s", word);
    }
}

void cli_flag_table(const struct cli_flag *const *flags, size_t count, const struct cli_app *app,
                    struct buf *out)
{
    struct buf line = BUF_INIT;
    size_t width = 0;
    for (size_t i = 0; i < count; i++) {
        buf_clear(&line);
        flag_left(flags[i], &line);
        width = line.len > width ? line.len : width;
    }
    for (size_t i = 0; i < count; i++) {
        buf_clear(&line);
        flag_left(flags[i], &line);
        buf_printf(out, "%-*s   ", (int)width, buf_cstr(&line));
        cli_say(app, out, flags[i]->help);
        buf_clear(&line);
        if (cli_default_text(flags[i], &line)) {
            buf_printf(out, " (default %s)", buf_cstr(&line));
        }
        buf_append_byte(out, '\n');
    }
    buf_deinit(&line);
}

struct flag_list {
    const struct cli_flag *flags[CLI_FLAGS_MAX];
    size_t count;
    bool is_inherited; /* which half is wanted */
    bool is_root_hidden;
    const struct cli_cmd *root;
};

static bool is_root_flag(const struct cli_cmd *root, const struct cli_flag *f)
{
    for (const struct cli_flag *r = root->persistent; r != NULL && r->name != NULL; r++) {
        if (r == f) {
            return true;
        }
    }
    return false;
}

static void flag_list_add(void *arg, const struct cli_flag *f, bool is_inherited)
{
    struct flag_list *l = arg;
    bool is_hidden = f->is_hidden || (l->is_root_hidden && is_root_flag(l->root, f));
    if (is_inherited == l->is_inherited && !is_hidden) {
        l->flags[l->count++] = f;
    }
}

static struct flag_list flags_of(const struct cli_ctx *ctx, bool is_inherited)
{
    struct flag_list l = {.is_inherited = is_inherited,
                          .is_root_hidden = ctx->app->is_root_flags_hidden,
                          .root = ctx->app->root};
    cli_each_flag(ctx->path, ctx->depth, flag_list_add, &l);
    if (l.is_root_hidden && ctx->depth == 1 && !is_inherited) {
        l.count--; /* the root's own --help, always last, is hidden as well */
    }
    l.count = cli_flags_sort(l.flags, l.count);
    return l;
}

static int cmd_compare(const void *a, const void *b)
{
    const struct cli_cmd *const *ca = a;
    const struct cli_cmd *const *cb = b;
    size_t la = cli_name_len(*ca);
    size_t lb = cli_name_len(*cb);
    return slice_compare(slice_make((*ca)->use, la), slice_make((*cb)->use, lb));
}

static size_t subs_of(const struct cli_cmd *cmd, const struct cli_cmd **list)
{
    size_t count = 0;
    for (const struct cli_cmd *c = cmd->subs; c != NULL && c->use != NULL; c++) {
        if (!c->is_hidden && count < COMMANDS_MAX) {
            list[count++] = c;
        }
    }
    qsort(list, count, sizeof(*list), cmd_compare);
    return count;
}

/* Commands of one group (NULL: all), one a line. */
static void usage_commands(const struct cli_app *app, const struct cli_cmd *cmd, const char *group,
                           struct buf *out)
{
    const struct cli_cmd *list[COMMANDS_MAX];
    size_t count = subs_of(cmd, list);
    size_t width = NAME_PADDING;
    for (size_t i = 0; i < count; i++) {
        size_t n = cli_name_len(list[i]);
        width = n > width ? n : width;
    }
    for (size_t i = 0; i < count; i++) {
        const struct cli_cmd *c = list[i];
        if (group != NULL && (c->group == NULL || strcmp(c->group, group) != 0)) {
            continue;
        }
        size_t n = cli_name_len(c);
        buf_printf(out, "\n  %.*s%*s ", (int)n, c->use, (int)(width - n), "");
        cli_say(app, out, c->brief);
    }
}

static void usage_line(const struct cli_ctx *ctx, struct buf *out)
{
    const struct cli_cmd *cmd = cli_cmd_of(ctx);
    buf_append_cstr(out, "\n  ");
    if (ctx->depth > 1) {
        cli_path_text(ctx, ctx->depth - 1, out);
        buf_append_byte(out, ' ');
    }
    buf_append_cstr(out, cmd->use);
    if (!cmd->is_without_flags) {
        buf_append_cstr(out, " [flags]");
    }
}

void cli_usage(const struct cli_ctx *ctx, struct buf *out)
{
    const struct cli_cmd *cmd = cli_cmd_of(ctx);
    const struct cli_app *app = ctx->app;
    buf_append_cstr(out, "Usage:");
    if (cmd->run != NULL || cmd->is_help) {
        usage_line(ctx, out);
    }
    if (cmd->subs != NULL) {
        buf_append_cstr(out, "\n  ");
        cli_path_text(ctx, ctx->depth, out);
        buf_append_cstr(out, " [command]");
    }
    if (cmd->example != NULL) {
        buf_append_cstr(out, "\n\nExamples:\n");
        cli_say(app, out, cmd->example);
    }
    if (cmd->subs != NULL && ctx->depth == 1 && app->groups != NULL) {
        for (const struct cli_group *g = app->groups; g->id != NULL; g++) {
            buf_printf(out, "\n\n%s", g->title);
            usage_commands(app, cmd, g->id, out);
        }
    } else if (cmd->subs != NULL) {
        buf_append_cstr(out, "\n\nAvailable Commands:");
        usage_commands(app, cmd, NULL, out);
    }
    struct flag_list own = flags_of(ctx, false);
    struct flag_list inherited = flags_of(ctx, true);
    if (own.count > 0) {
        buf_append_cstr(out, "\n\nFlags:\n");
        cli_flag_table(own.flags, own.count, app, out);
        out->len--; /* the table's last newline */
    }
    if (inherited.count > 0) {
        buf_append_cstr(out, "\n\nGlobal Flags:\n");
        cli_flag_table(inherited.flags, inherited.count, app, out);
        out->len--;
    }
    if (cmd->subs != NULL) {
        buf_append_cstr(out, "\n\nUse \"");
        cli_path_text(ctx, ctx->depth, out);
        buf_append_cstr(out, " [command] --help\" for more information about a command.");
    }
    buf_append_byte(out, '\n');
}

void cli_help(const struct cli_ctx *ctx, struct buf *out)
{
    const struct cli_cmd *cmd = cli_cmd_of(ctx);
    if (!ctx->app->is_help_usage_only) {
        cli_say(ctx->app, out, cmd->detail != NULL ? cmd->detail : cmd->brief);
        buf_append_cstr(out, "\n\n");
    }
    cli_usage(ctx, out);
    if (ctx->app->help_tail != NULL) {
        cli_say(ctx->app, out, ctx->app->help_tail);
        buf_append_byte(out, '\n');
    }
}

void cli_root_flags(const struct cli_app *app, struct buf *out)
{
    const struct cli_flag *flags[CLI_FLAGS_MAX];
    size_t count = 0;
    for (const struct cli_flag *f = app->root->persistent; f != NULL && f->name != NULL; f++) {
        flags[count++] = f;
    }
    cli_flag_table(flags, cli_flags_sort(flags, count), app, out);
}
