/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/cli_env: values from environment variables (cli.md 2.2).
 */
#include "cmd/cli_impl.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/err.h"

static void env_name(const struct cli_app *app, const char *flag, struct buf *out)
{
    buf_printf(out, "%s_", app->env_prefix);
    for (; *flag != '\0'; flag++) {
        buf_append_byte(out, *flag == '-' ? '_' : (uint8_t)toupper((unsigned char)*flag));
    }
}

struct inherited {
    const struct cli_flag *flags[CLI_FLAGS_MAX];
    size_t count;
};

static void inherited_add(void *arg, const struct cli_flag *f, bool is_inherited)
{
    struct inherited *in = arg;
    if (is_inherited) {
        in->flags[in->count++] = f;
    }
}

/* The value of NAME in "NAME=value" lists; NULL when it is not there. */
static const char *env_lookup(const char *const *list, const char *name)
{
    size_t n = strlen(name);
    for (; *list != NULL; list++) {
        if (strncmp(*list, name, n) == 0 && (*list)[n] == '=') {
            return *list + n + 1;
        }
    }
    return NULL;
}

static struct cli_value *value_find(struct cli_ctx *ctx, const struct cli_flag *f)
{
    for (size_t i = 0; i < ctx->value_count; i++) {
        if (ctx->values[i].flag == f) {
            return &ctx->values[i];
        }
    }
    return NULL;
}

/* True when the variable belongs to one of the flags and was used. */
static bool env_is_known(const struct cli_ctx *ctx, const struct inherited *in, struct slice name)
{
    bool is_known = false;
    for (size_t i = 0; i < in->count && !is_known; i++) {
        struct buf want = BUF_INIT;
        env_name(ctx->app, in->flags[i]->name, &want);
        is_known = slice_equal(buf_slice(&want), name);
        buf_deinit(&want);
    }
    return is_known;
}

static bool is_listed(const char *const *names, struct slice name)
{
    for (; *names != NULL; names++) {
        if (slice_equal_cstr(name, *names)) {
            return true;
        }
    }
    return false;
}

const char *cli_env_apply(struct cli_ctx *ctx, const char *const *environ_list,
                          const char *const *ignore,
                          void (*on_unknown)(void *arg, const char *entry), void *arg)
{
    struct inherited in = {.count = 0};
    cli_each_flag(ctx->path, ctx->depth, inherited_add, &in);
    for (size_t i = 0; i < in.count; i++) {
        struct buf name = BUF_INIT;
        struct buf reason = BUF_INIT;
        struct cli_value *v = value_find(ctx, in.flags[i]);
        env_name(ctx->app, in.flags[i]->name, &name);
        const char *text = env_lookup(environ_list, buf_cstr(&name));
        if (text != NULL && v->is_changed) {
            buf_deinit(&reason);
            char *conflict = arena_strndup(&ctx->arena, name.data, name.len);
            buf_deinit(&name);
            return conflict;
        }
        if (text != NULL && text[0] != '\0') {
            /* A value that does not parse is passed over without a word, as the reference does. */
            (void)!cli_value_set(ctx, v, slice_cstr(text), &reason);
        }
        buf_deinit(&reason);
        buf_deinit(&name);
    }
    size_t prefix_len = strlen(ctx->app->env_prefix);
    for (; *environ_list != NULL; environ_list++) {
        const char *entry = *environ_list;
        struct slice name = slice_make(entry, strcspn(entry, "="));
        bool is_ours =
            strncmp(entry, ctx->app->env_prefix, prefix_len) == 0 && entry[prefix_len] == '_';
        bool is_empty = entry[name.len] == '\0' || entry[name.len + 1] == '\0';
        if (is_ours && (is_empty || !env_is_known(ctx, &in, name)) && !is_listed(ignore, name)) {
            on_unknown(arg, entry);
        }
    }
    return NULL;
}

void cli_env_dump(const struct cli_ctx *ctx, struct buf *out)
{
    struct inherited in = {.count = 0};
    cli_each_flag(ctx->path, ctx->depth, inherited_add, &in);
    in.count = cli_flags_sort(in.flags, in.count);
    for (size_t i = 0; i < in.count; i++) {
        env_name(ctx->app, in.flags[i]->name, out);
        buf_append_byte(out, '=');
        cli_value_show(cli_value(ctx, in.flags[i]->name), out);
        buf_append_byte(out, '\n');
    }
}
