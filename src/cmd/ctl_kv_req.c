/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ctl_kv_req.h"

#include <inttypes.h>
#include <strings.h>

#include "cmd/ctl_rc.h"
#include "cmd/print_text.h"

#define ZERO_KEY slice_make("", 1)

const struct cli_flag ctl_get_flags[] = {
    {"consistency", 0, CLI_STRING, "l", "l: linearizable, s: serializable (from one member)",
     .choices = "l s"},
    {"order", 0, CLI_STRING, NULL, "ASCEND (default) or DESCEND", .choices = "ASCEND DESCEND"},
    {"sort-by", 0, CLI_STRING, NULL, "what to sort by: CREATE, KEY, MODIFY, VALUE or VERSION",
     .choices = "CREATE KEY MODIFY VALUE VERSION"},
    {"limit", 0, CLI_INT64, NULL, "most results to return, 0 for all"},
    {"prefix", 0, CLI_BOOL, NULL, "all keys that begin with <key>"},
    {"from-key", 0, CLI_BOOL, NULL, "all keys from <key> on, in byte order"},
    {"rev", 0, CLI_INT64, NULL, "read the state at this revision"},
    {"keys-only", 0, CLI_BOOL, NULL, "return no values"},
    {"count-only", 0, CLI_BOOL, NULL, "return only the number of keys"},
    {"print-value-only", 0, CLI_BOOL, NULL, "print values without their keys (simple format)"},
    {"min-create-rev", 0, CLI_INT64, NULL, "only keys created at this revision or later"},
    {"max-create-rev", 0, CLI_INT64, NULL, "only keys created at this revision or before"},
    {"min-mod-rev", 0, CLI_INT64, NULL, "only keys last changed at this revision or later"},
    {"max-mod-rev", 0, CLI_INT64, NULL, "only keys last changed at this revision or before"},
    {"stream", 0, CLI_BOOL, NULL, "fetch the result in parts (RangeStream)"},
    {NULL},
};

const struct cli_flag ctl_put_flags[] = {
    {"lease", 0, CLI_STRING, "0", "attach the key to the lease with this id (hexadecimal)"},
    {"prev-kv", 0, CLI_BOOL, NULL, "also print the pair that was replaced"},
    {"ignore-value", 0, CLI_BOOL, NULL, "keep the value that the key has"},
    {"ignore-lease", 0, CLI_BOOL, NULL, "keep the lease that the key has"},
    {NULL},
};

const struct cli_flag ctl_del_flags[] = {
    {"prefix", 0, CLI_BOOL, NULL, "all keys that begin with <key>"},
    {"prev-kv", 0, CLI_BOOL, NULL, "also print the deleted pairs"},
    {"from-key", 0, CLI_BOOL, NULL, "all keys from <key> on, in byte order"},
    {"range", 0, CLI_BOOL, NULL, "delete the range <key> to [range_end] without a pause"},
    {NULL},
};

struct slice ctl_prefix_end(struct arena *a, struct slice key)
{
    return wire_prefix_end(key, arena_alloc(a, key.len));
}

int ctl_is_serializable(struct slice text, struct slice shown, bool *out, struct ctl_fail *fail)
{
    *out = slice_equal_cstr(text, "s");
    if (*out || slice_equal_cstr(text, "l")) {
        return 0;
    }
    (void)ctl_fail(fail, CTL_RC_BAD_FEATURE, "unknown consistency flag ");
    gotext_quote(&fail->text, shown);
    return CTL_RC_BAD_FEATURE;
}

/* --prefix, --from-key, RANGE_END: the same for get and del. */
static int key_range(struct cli_ctx *ctx, struct slice *key, struct slice *end,
                     struct ctl_fail *fail)
{
    bool is_prefix = cli_bool(ctx, "prefix");
    bool is_from = cli_bool(ctx, "from-key");
    *key = ctx->args[0];
    *end = SLICE_NULL;
    if (ctx->arg_count > 1) {
        if (is_prefix || is_from) {
            return ctl_fail(fail, CTL_RC_BAD_ARGS,
                            "too many arguments, only accept one argument when `--prefix` or "
                            "`--from-key` is set");
        }
        *end = ctx->args[1];
    }
    if (is_prefix && key->len > 0) {
        *end = ctl_prefix_end(&ctx->arena, *key);
    } else if (is_prefix || is_from) {
        *key = key->len == 0 ? ZERO_KEY : *key;
        *end = ZERO_KEY;
    }
    return 0;
}

struct choice {
    const char *name;
    int32_t value;
};

static bool choose(const struct choice *list, size_t count, struct slice text, int32_t *out)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(list[i].name) == text.len &&
            strncasecmp(list[i].name, (const char *)text.data, text.len) == 0) {
            *out = list[i].value;
            return true;
        }
    }
    return text.len == 0;
}

static int get_sort(struct cli_ctx *ctx, struct wire_range_req *out, struct ctl_fail *fail)
{
    static const struct choice orders[] = {{"ASCEND", WIRE_SORT_ASCEND},
                                           {"DESCEND", WIRE_SORT_DESCEND}};
    static const struct choice targets[] = {{"CREATE", WIRE_SORT_CREATE},
                                            {"KEY", WIRE_SORT_KEY},
                                            {"MODIFY", WIRE_SORT_MOD},
                                            {"VALUE", WIRE_SORT_VALUE},
                                            {"VERSION", WIRE_SORT_VERSION}};
    struct slice order = cli_text(ctx, "order");
    struct slice target = cli_text(ctx, "sort-by");
    if (!choose(orders, ARRAY_LEN(orders), order, &out->sort_order)) {
        return ctl_fail(fail, CTL_RC_BAD_FEATURE, "bad sort order %.*s", (int)order.len,
                        (const char *)order.data);
    }
    if (!choose(targets, ARRAY_LEN(targets), target, &out->sort_target)) {
        return ctl_fail(fail, CTL_RC_BAD_FEATURE, "bad sort target %.*s", (int)target.len,
                        (const char *)target.data);
    }
    /* Ascending by key is the order of the store itself. */
    if (out->sort_target == WIRE_SORT_KEY && out->sort_order == WIRE_SORT_ASCEND) {
        out->sort_order = WIRE_SORT_NONE;
    }
    return 0;
}

static int64_t positive(struct cli_ctx *ctx, const char *flag)
{
    int64_t v = cli_number(ctx, flag);
    return v > 0 ? v : 0;
}

static int get_filters(struct cli_ctx *ctx, struct wire_range_req *out, struct ctl_fail *fail)
{
    int64_t min_create = cli_number(ctx, "min-create-rev");
    int64_t min_mod = cli_number(ctx, "min-mod-rev");
    out->min_create_revision = positive(ctx, "min-create-rev");
    out->max_create_revision = positive(ctx, "max-create-rev");
    out->min_mod_revision = positive(ctx, "min-mod-rev");
    out->max_mod_revision = positive(ctx, "max-mod-rev");
    if (out->max_create_revision > 0 && min_create > out->max_create_revision) {
        return ctl_fail(fail, CTL_RC_BAD_FEATURE,
                        "getMinCreateRev(=%" PRId64 ") > getMaxCreateRev(=%" PRId64 ")", min_create,
                        out->max_create_revision);
    }
    if (out->max_mod_revision > 0 && min_mod > out->max_mod_revision) {
        return ctl_fail(fail, CTL_RC_BAD_FEATURE,
                        "getMinModRev(=%" PRId64 ") > getMaxModRev(=%" PRId64 ")", min_mod,
                        out->max_mod_revision);
    }
    return 0;
}

int ctl_get_req(struct cli_ctx *ctx, struct wire_range_req *out, struct ctl_fail *fail)
{
    *out = (struct wire_range_req){0};
    if (ctx->arg_count == 0) {
        return ctl_fail(fail, CTL_RC_BAD_ARGS,
                        "get command needs one argument as key and an optional argument as "
                        "range_end");
    }
    if (cli_bool(ctx, "prefix") && cli_bool(ctx, "from-key")) {
        return ctl_fail(fail, CTL_RC_BAD_ARGS,
                        "`--prefix` and `--from-key` cannot be set at the same time, choose one");
    }
    out->keys_only = cli_bool(ctx, "keys-only");
    out->count_only = cli_bool(ctx, "count-only");
    if (out->keys_only && out->count_only) {
        return ctl_fail(fail, CTL_RC_BAD_ARGS,
                        "`--keys-only` and `--count-only` cannot be set at the same time, choose "
                        "one");
    }
    struct slice consistency = cli_text(ctx, "consistency");
    int rc = ctl_is_serializable(consistency, consistency, &out->serializable, fail);
    rc = rc != 0 ? rc : key_range(ctx, &out->key, &out->range_end, fail);
    rc = rc != 0 ? rc : get_sort(ctx, out, fail);
    rc = rc != 0 ? rc : get_filters(ctx, out, fail);
    out->limit = cli_number(ctx, "limit");
    out->revision = positive(ctx, "rev");
    return rc;
}

int ctl_put_req(struct cli_ctx *ctx, bool (*read_value)(void *arg, struct slice *out), void *arg,
                struct wire_put_req *out, struct ctl_fail *fail)
{
    static const char needs[] = "put command needs 1 argument and input from stdin or 2 arguments";
    *out = (struct wire_put_req){.prev_kv = cli_bool(ctx, "prev-kv"),
                                 .ignore_value = cli_bool(ctx, "ignore-value"),
                                 .ignore_lease = cli_bool(ctx, "ignore-lease")};
    if (ctx->arg_count == 0) {
        return ctl_fail(fail, CTL_RC_BAD_ARGS, "%s", needs);
    }
    out->key = ctx->args[0];
    if (out->ignore_value && ctx->arg_count > 1) {
        return ctl_fail(fail, CTL_RC_BAD_ARGS,
                        "put command needs only 1 argument when 'ignore-value' is set");
    }
    if (!out->ignore_value && ctx->arg_count > 1) {
        out->value = ctx->args[1];
    } else if (!out->ignore_value && !read_value(arg, &out->value)) {
        return ctl_fail(fail, CTL_RC_BAD_ARGS, "%s", needs);
    }
    struct buf reason = BUF_INIT;
    int rc = 0;
    if (text_parse_i64(cli_text(ctx, "lease"), 16, &out->lease, &reason) != 0) {
        rc = ctl_fail(fail, CTL_RC_BAD_ARGS, "bad lease ID (%s), expecting ID in Hex",
                      buf_cstr(&reason));
    }
    buf_deinit(&reason);
    return rc;
}

int ctl_del_req(struct cli_ctx *ctx, struct wire_delete_req *out, struct ctl_fail *fail)
{
    *out = (struct wire_delete_req){.prev_kv = cli_bool(ctx, "prev-kv")};
    if (ctx->arg_count == 0 || ctx->arg_count > 2) {
        return ctl_fail(fail, CTL_RC_BAD_ARGS,
                        "del command needs one argument as key and an optional argument as "
                        "range_end");
    }
    if (cli_bool(ctx, "prefix") && cli_bool(ctx, "from-key")) {
        return ctl_fail(fail, CTL_RC_BAD_ARGS,
                        "`--prefix` and `--from-key` cannot be set at the same time, choose one");
    }
    int rc = key_range(ctx, &out->key, &out->range_end, fail);
    if (rc == 0 && ctx->arg_count > 1 && !cli_bool(ctx, "range")) {
        fail->is_delayed_del = true;
        buf_append_cstr(&fail->before, "Warning: Keys between ");
        gotext_quote(&fail->before, ctx->args[0]);
        buf_append_cstr(&fail->before, " and ");
        gotext_quote(&fail->before, ctx->args[1]);
        buf_append_cstr(&fail->before,
                        " will be deleted. Please interrupt the command within next 2 seconds to "
                        "cancel. You can provide `--range` flag to avoid the delay.\n");
    }
    return rc;
}
