/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/cli_flag: flags and their values: lookup, parsing, text in and out.
 */
#include "cmd/cli_impl.h"

#include "base/err.h"
#include "base/log.h"
#include "cmd/print_text.h"

const struct cli_flag cli_flag_help = {"help", 'h',   CLI_BOOL, NULL, "help for this command",
                                       false,  false, NULL};

void cli_each_flag(const struct cli_cmd *const *path, size_t depth, cli_flag_fn fn, void *arg)
{
    const struct cli_cmd *cmd = path[depth - 1];
    for (const struct cli_flag *f = cmd->flags; f != NULL && f->name != NULL; f++) {
        fn(arg, f, false);
    }
    for (size_t i = depth; i > 0; i--) {
        const struct cli_flag *f = path[i - 1]->persistent;
        for (; f != NULL && f->name != NULL; f++) {
            fn(arg, f, i < depth);
        }
    }
    fn(arg, &cli_flag_help, false);
}

struct flag_search {
    struct slice name;
    char shorthand;
    const struct cli_flag *found;
};

static void flag_match(void *arg, const struct cli_flag *f, bool is_inherited)
{
    struct flag_search *s = arg;
    (void)is_inherited;
    bool is_match =
        s->shorthand != 0 ? f->shorthand == s->shorthand : slice_equal_cstr(s->name, f->name);
    if (is_match && s->found == NULL) {
        s->found = f;
    }
}

const struct cli_flag *cli_flag_find(const struct cli_cmd *const *path, size_t depth,
                                     struct slice name)
{
    struct flag_search s = {.name = name};
    cli_each_flag(path, depth, flag_match, &s);
    return s.found;
}

const struct cli_flag *cli_flag_find_short(const struct cli_cmd *const *path, size_t depth,
                                           char shorthand)
{
    struct flag_search s = {.shorthand = shorthand};
    cli_each_flag(path, depth, flag_match, &s);
    return s.found;
}

bool cli_flag_is_alone(const struct cli_flag *f)
{
    return f->type == CLI_BOOL;
}

const char *cli_type_word(const struct cli_flag *f)
{
    static const char *const words[] = {
        [CLI_BOOL] = "",          [CLI_STRING] = "string", [CLI_INT] = "int",
        [CLI_INT64] = "int",      [CLI_UINT64] = "uint",   [CLI_DURATION] = "duration",
        [CLI_STRINGS] = "strings"};
    return words[f->type];
}

bool cli_default_text(const struct cli_flag *f, struct buf *out)
{
    if (f->def == NULL) {
        return false;
    }
    if (f->type == CLI_STRING) {
        gotext_quote(out, slice_cstr(f->def));
    } else {
        buf_printf(out, f->type == CLI_STRINGS ? "[%s]" : "%s", f->def);
    }
    return true;
}

/* ---- values -------------------------------------------------------------------------------------
 */

/* Takes the next CSV field of *s into *field.  The reference uses RFC 4180 quoting. */
static int csv_next(struct slice *s, struct arena *arena, struct slice *field, struct buf *reason)
{
    if (s->len == 0 || s->data[0] != '"') {
        const uint8_t *comma = s->len == 0 ? NULL : memchr(s->data, ',', s->len);
        size_t n = comma == NULL ? s->len : (size_t)(comma - s->data);
        const uint8_t *quote = n == 0 ? NULL : memchr(s->data, '"', n);
        if (quote != NULL) {
            buf_printf(reason, "parse error on line 1, column %zu: bare \" in non-quoted field",
                       (size_t)(quote - s->data) + 1);
            return ERR_INVALID;
        }
        *field = slice_make(s->data, n);
        *s = slice_skip(*s, n);
        return 0;
    }
    uint8_t *to = arena_alloc(arena, s->len);
    size_t len = 0;
    size_t i = 1;
    while (i < s->len && (s->data[i] != '"' || (i + 1 < s->len && s->data[i + 1] == '"'))) {
        i += s->data[i] == '"' ? 1 : 0;
        to[len++] = s->data[i++];
    }
    if (i >= s->len || (i + 1 < s->len && s->data[i + 1] != ',')) {
        buf_printf(reason,
                   "parse error on line 1, column %zu: extraneous or missing \" in "
                   "quoted-field",
                   i + 1);
        return ERR_INVALID;
    }
    *field = slice_make(to, len);
    *s = slice_skip(*s, i + 1);
    return 0;
}

static int strings_set(struct cli_ctx *ctx, struct cli_value *v, struct slice text,
                       struct buf *reason)
{
    size_t kept = v->is_changed ? v->list_count : 0;
    struct slice *list = arena_alloc(&ctx->arena, CLI_STRINGS_MAX * sizeof(*list));
    size_t count = kept;
    if (kept > 0) {
        memcpy(list, v->list, kept * sizeof(*list));
    }
    bool is_more = text.len > 0;
    while (is_more) {
        if (count == CLI_STRINGS_MAX) {
            buf_append_cstr(reason, "too many values");
            return ERR_LIMIT;
        }
        int err = csv_next(&text, &ctx->arena, &list[count], reason);
        if (err != 0) {
            return err;
        }
        count++;
        is_more = text.len > 0;
        text = is_more ? slice_skip(text, 1) : text;
    }
    v->list = list;
    v->list_count = count;
    return 0;
}

int cli_value_set(struct cli_ctx *ctx, struct cli_value *v, struct slice text, struct buf *reason)
{
    uint64_t u = 0;
    int err = 0;
    switch (v->flag->type) {
    case CLI_BOOL: err = text_parse_bool(text, &v->is_bool, reason); break;
    case CLI_STRING: v->text = text; break;
    case CLI_INT:
    case CLI_INT64: err = text_parse_i64(text, 0, &v->number, reason); break;
    case CLI_UINT64:
        err = text_parse_u64(text, 0, &u, reason);
        v->number = err == 0 ? (int64_t)u : v->number;
        break;
    case CLI_DURATION: err = text_parse_duration(text, &v->number, reason); break;
    case CLI_STRINGS: err = strings_set(ctx, v, text, reason); break;
    }
    if (err == 0) {
        v->is_changed = true;
    }
    return err;
}

void cli_value_show(const struct cli_value *v, struct buf *out)
{
    switch (v->flag->type) {
    case CLI_BOOL: buf_append_cstr(out, v->is_bool ? "true" : "false"); break;
    case CLI_STRING: buf_append_slice(out, v->text); break;
    case CLI_INT:
    case CLI_INT64: buf_printf(out, "%lld", (long long)v->number); break;
    case CLI_UINT64: buf_printf(out, "%llu", (unsigned long long)v->number); break;
    case CLI_DURATION: log_duration(out, v->number); break;
    case CLI_STRINGS:
        buf_append_byte(out, '[');
        for (size_t i = 0; i < v->list_count; i++) {
            buf_append_cstr(out, i > 0 ? "," : "");
            buf_append_slice(out, v->list[i]);
        }
        buf_append_byte(out, ']');
        break;
    }
}

static void value_add(void *arg, const struct cli_flag *f, bool is_inherited)
{
    struct cli_ctx *ctx = arg;
    (void)is_inherited;
    ensure(ctx->value_count < CLI_FLAGS_MAX);
    struct cli_value *v = &ctx->values[ctx->value_count++];
    *v = (struct cli_value){.flag = f};
    if (f->def != NULL) {
        struct buf reason = BUF_INIT;
        int err = cli_value_set(ctx, v, slice_cstr(f->def), &reason);
        ensure(err == 0);
        buf_deinit(&reason);
        v->is_changed = false;
    }
}

void cli_values_init(struct cli_ctx *ctx)
{
    ctx->value_count = 0;
    cli_each_flag(ctx->path, ctx->depth, value_add, ctx);
}

static struct cli_value *value_of(struct cli_ctx *ctx, const struct cli_flag *f)
{
    for (size_t i = 0; f != NULL && i < ctx->value_count; i++) {
        if (ctx->values[i].flag == f) {
            return &ctx->values[i];
        }
    }
    return NULL;
}

const struct cli_value *cli_value(const struct cli_ctx *ctx, const char *name)
{
    for (size_t i = 0; i < ctx->value_count; i++) {
        if (strcmp(ctx->values[i].flag->name, name) == 0) {
            return &ctx->values[i];
        }
    }
    ensure_failed("the command has this flag", __FILE__, __LINE__);
}

bool cli_bool(const struct cli_ctx *ctx, const char *name)
{
    return cli_value(ctx, name)->is_bool;
}

int64_t cli_number(const struct cli_ctx *ctx, const char *name)
{
    return cli_value(ctx, name)->number;
}

struct slice cli_text(const struct cli_ctx *ctx, const char *name)
{
    return cli_value(ctx, name)->text;
}

bool cli_is_changed(const struct cli_ctx *ctx, const char *name)
{
    return cli_value(ctx, name)->is_changed;
}

/* ---- parsing ------------------------------------------------------------------------------------
 */

static int set_from_arg(struct cli_ctx *ctx, const struct cli_flag *f, struct slice text,
                        struct buf *reason)
{
    struct buf why = BUF_INIT;
    struct buf name = BUF_INIT;
    int err = cli_value_set(ctx, value_of(ctx, f), text, &why);
    if (err != 0) {
        if (f->shorthand != 0) {
            buf_printf(&name, "-%c, ", f->shorthand);
        }
        buf_printf(&name, "--%s", f->name);
        buf_append_cstr(reason, "invalid argument ");
        gotext_quote(reason, text);
        buf_append_cstr(reason, " for ");
        gotext_quote(reason, buf_slice(&name));
        buf_append_cstr(reason, " flag: ");
        buf_append_slice(reason, buf_slice(&why));
    }
    buf_deinit(&why);
    buf_deinit(&name);
    return err;
}

/* args[*at] is "--name..."; *at is moved to the last argument used. */
static int parse_long(struct cli_ctx *ctx, const struct slice *args, size_t count, size_t *at,
                      struct buf *reason)
{
    struct slice name = slice_skip(args[*at], 2);
    const uint8_t *equals = memchr(name.data, '=', name.len);
    struct slice value = SLICE_NULL;
    if (name.data[0] == '-' || name.data[0] == '=') {
        buf_append_cstr(reason, "bad flag syntax: ");
        buf_append_slice(reason, args[*at]);
        return ERR_INVALID;
    }
    if (equals != NULL) {
        value = slice_make(equals + 1, name.len - (size_t)(equals - name.data) - 1);
        name.len = (size_t)(equals - name.data);
    }
    const struct cli_flag *f = cli_flag_find(ctx->path, ctx->depth, name);
    if (f == NULL) {
        buf_append_cstr(reason, "unknown flag: --");
        buf_append_slice(reason, name);
        return ERR_INVALID;
    }
    if (equals == NULL && cli_flag_is_alone(f)) {
        value = SLICE_LIT("true");
    } else if (equals == NULL) {
        if (*at + 1 >= count) {
            buf_printf(reason, "flag needs an argument: --%s", f->name);
            return ERR_INVALID;
        }
        value = args[++*at];
    }
    return set_from_arg(ctx, f, value, reason);
}

static int short_error(struct buf *reason, const char *what, char c, struct slice rest)
{
    buf_printf(reason, "%s: ", what);
    text_quote_rune(reason, (uint8_t)c);
    buf_append_cstr(reason, " in -");
    buf_append_slice(reason, rest);
    return ERR_INVALID;
}

/* args[*at] is "-abc". */
static int parse_short(struct cli_ctx *ctx, const struct slice *args, size_t count, size_t *at,
                       struct buf *reason)
{
    struct slice rest = slice_skip(args[*at], 1);
    while (rest.len > 0) {
        char c = (char)rest.data[0];
        const struct cli_flag *f = cli_flag_find_short(ctx->path, ctx->depth, c);
        struct slice value;
        size_t used = rest.len;
        if (f == NULL) {
            return short_error(reason, "unknown shorthand flag", c, rest);
        }
        if (rest.len > 2 && rest.data[1] == '=') {
            value = slice_skip(rest, 2);
        } else if (cli_flag_is_alone(f)) {
            value = SLICE_LIT("true");
            used = 1;
        } else if (rest.len > 1) {
            value = slice_skip(rest, 1);
        } else if (*at + 1 < count) {
            value = args[++*at];
        } else {
            return short_error(reason, "flag needs an argument", c, rest);
        }
        int err = set_from_arg(ctx, f, value, reason);
        if (err != 0) {
            return err;
        }
        rest = slice_skip(rest, used);
    }
    return 0;
}

int cli_values_parse(struct cli_ctx *ctx, const struct slice *args, size_t count,
                     struct buf *reason)
{
    ctx->args = arena_alloc(&ctx->arena, (count + 1) * sizeof(*ctx->args));
    ctx->arg_count = 0;
    ctx->dash_at = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        int err = 0;
        if (args[i].len < 2 || args[i].data[0] != '-') {
            ctx->args[ctx->arg_count++] = args[i];
        } else if (args[i].data[1] != '-') {
            err = parse_short(ctx, args, count, &i, reason);
        } else if (args[i].len > 2) {
            err = parse_long(ctx, args, count, &i, reason);
        } else {
            ctx->dash_at = ctx->arg_count;
            memcpy(ctx->args + ctx->arg_count, args + i + 1, (count - i - 1) * sizeof(*args));
            ctx->arg_count += count - i - 1;
            break;
        }
        if (err != 0) {
            return err;
        }
    }
    return 0;
}
