/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/cmd/cli_test: command lines of a small tool; the rules and texts are etcdctl 3.7.1's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cmd/cli.h"

static int run_nothing(struct cli_ctx *ctx)
{
    (void)ctx;
    return 0;
}

static const struct cli_flag get_flags[] = {
    {"limit", 0, CLI_INT64, NULL, "most results"},
    {"prefix", 0, CLI_BOOL, NULL, "by prefix"},
    {"order", 'o', CLI_STRING, NULL, "order"},
    {.name = NULL},
};
static const struct cli_flag need_flags[] = {
    {"data-dir", 0, CLI_STRING, NULL, "directory", .is_required = true},
    {.name = NULL},
};
static const struct cli_flag group_flags[] = {
    {"cluster", 0, CLI_BOOL, NULL, "all members"},
    {.name = NULL},
};
static const struct cli_cmd group_cmds[] = {
    {.use = "health", .brief = "Health", .run = run_nothing},
    {.use = "hashkv", .brief = "Hash", .run = run_nothing},
    {.use = NULL},
};
static const struct cli_cmd cmds[] = {
    {.use = "get [options] <key>", .brief = "Get", .flags = get_flags, .run = run_nothing},
    {.use = "put <key>", .brief = "Put", .run = run_nothing},
    {.use = "grant", .brief = "Grant", .run = run_nothing},
    {.use = "endpoint <sub>", .brief = "Group", .persistent = group_flags, .subs = group_cmds},
    {.use = "defrag", .brief = "Defrag", .flags = need_flags, .run = run_nothing},
    {.use = "completion", .brief = "Completion", .run = run_nothing, .args = CLI_ARGS_SHELL},
    {.use = "hidden", .brief = "Hidden", .run = run_nothing, .is_hidden = true},
    {.use = "help [command]", .brief = "Help", .is_help = true},
    {.use = NULL},
};
static const struct cli_flag root_flags[] = {
    {"endpoints", 0, CLI_STRINGS, "127.0.0.1:2379", "addresses"},
    {"write-out", 'w', CLI_STRING, "simple", "format"},
    {"timeout", 0, CLI_DURATION, "5s", "limit"},
    {"hex", 0, CLI_BOOL, NULL, "hex"},
    {.name = NULL},
};
static const struct cli_cmd root = {
    .use = "@", .brief = "A tool.", .persistent = root_flags, .subs = cmds};
static const struct cli_app app = {.name = "tool",
                                   .root = &root,
                                   .help_tail = "Tail of @.",
                                   .env_prefix = "TOOL",
                                   .is_root_flags_hidden = true};

/* Cuts text at blanks; '' is an empty word. */
static size_t words(char *text, struct slice *out)
{
    size_t n = 0;
    for (char *w = strtok(text, " "); w != NULL; w = strtok(NULL, " ")) {
        out[n++] = strcmp(w, "''") == 0 ? SLICE_NULL : slice_cstr(w);
    }
    return n;
}

struct line {
    struct cli_ctx ctx;
    char *text;
    int rc;
    bool is_run;
};

static void line_init(struct line *l, const char *text)
{
    struct slice args[32];
    l->text = strdup(text);
    cli_init(&l->ctx, &app);
    l->rc = -1;
    l->is_run = cli_parse(&l->ctx, args, words(l->text, args), &l->rc);
}

static void line_deinit(struct line *l)
{
    cli_deinit(&l->ctx);
    free(l->text);
}

static void check_path(const char *text, const char *want, size_t args)
{
    struct line l;
    line_init(&l, text);
    assert_true(l.is_run);
    const struct cli_cmd *cmd = cli_cmd_of(&l.ctx);
    assert_int_equal(cli_name_len(cmd), strlen(want));
    assert_memory_equal(cmd->use, want, strlen(want));
    assert_int_equal(l.ctx.arg_count, args);
    line_deinit(&l);
}

static void finds_commands(void **state)
{
    (void)state;
    check_path("get a", "get", 1);
    check_path("ge a", "get", 1);
    check_path("--hex get a b", "get", 2);
    check_path("--endpoints x:1 get a", "get", 1);
    check_path("-w json end hea", "health", 0);
    check_path("endpoint --cluster hashkv x", "hashkv", 1);
    check_path("hidden", "hidden", 0);
    check_path("get -- -k --prefix", "get", 2);
    check_path("get - ''", "get", 2);
}

static void check_error(const char *text, int rc, const char *first_line)
{
    struct line l;
    line_init(&l, text);
    assert_false(l.is_run);
    assert_int_equal(l.rc, rc);
    const char *err = buf_cstr(&l.ctx.err);
    size_t n = strcspn(err, "\n");
    assert_int_equal(n, strlen(first_line));
    assert_memory_equal(err, first_line, n);
    line_deinit(&l);
}

static void names_mistakes(void **state)
{
    (void)state;
    check_error("bogus", 1, "Error: unknown command \"bogus\" for \"tool\"");
    check_error("g", 1, "Error: unknown command \"g\" for \"tool\"");
    check_error("get --bogus", 1, "Error: unknown flag: --bogus");
    check_error("get -x a", 1, "Error: unknown shorthand flag: 'x' in -x");
    check_error("get --limit x a", 1,
                "Error: invalid argument \"x\" for \"--limit\" flag: strconv.ParseInt: parsing "
                "\"x\": invalid syntax");
    check_error("get --limit", 1, "Error: flag needs an argument: --limit");
    check_error("get -w", 1, "Error: flag needs an argument: 'w' in -w");
    check_error("get --prefix=maybe", 1,
                "Error: invalid argument \"maybe\" for \"--prefix\" flag: strconv.ParseBool: "
                "parsing \"maybe\": invalid syntax");
    check_error("--timeout 5 get a", 1,
                "Error: invalid argument \"5\" for \"--timeout\" flag: time: missing unit in "
                "duration \"5\"");
    check_error("get --=x", 1, "Error: bad flag syntax: --=x");
    check_error("get -o", 1, "Error: flag needs an argument: 'o' in -o");
    check_error("defrag", 1, "Error: required flag(s) \"data-dir\" not set");
    check_error("completion", 1, "Error: accepts 1 arg(s), received 0");
    check_error("completion xx", 1, "Error: invalid argument \"xx\" for \"tool completion\"");
}

static void suggests_names(void **state)
{
    (void)state;
    struct line l;
    line_init(&l, "gt");
    assert_string_equal(buf_cstr(&l.ctx.err),
                        "Error: unknown command \"gt\" for \"tool\"\n\nDid you mean this?\n"
                        "\tget\n\tput\n\nRun 'tool --help' for usage.\n");
    line_deinit(&l);
}

static void reads_values(void **state)
{
    (void)state;
    struct line l;
    line_init(&l, "get --limit 0x10 --prefix -ojson -w=json --endpoints a,\"b,c\" --endpoints d "
                  "--timeout 1m30s k");
    assert_true(l.is_run);
    assert_int_equal(cli_number(&l.ctx, "limit"), 16);
    assert_true(cli_bool(&l.ctx, "prefix"));
    assert_true(slice_equal_cstr(cli_text(&l.ctx, "order"), "json"));
    assert_true(slice_equal_cstr(cli_text(&l.ctx, "write-out"), "json"));
    assert_int_equal(cli_number(&l.ctx, "timeout"), 90000000000);
    const struct cli_value *v = cli_value(&l.ctx, "endpoints");
    assert_int_equal(v->list_count, 3);
    assert_true(slice_equal_cstr(v->list[1], "b,c"));
    assert_true(cli_is_changed(&l.ctx, "endpoints"));
    assert_false(cli_is_changed(&l.ctx, "hex"));
    line_deinit(&l);
    line_init(&l, "get k");
    assert_true(slice_equal_cstr(cli_value(&l.ctx, "endpoints")->list[0], "127.0.0.1:2379"));
    assert_true(slice_equal_cstr(cli_text(&l.ctx, "write-out"), "simple"));
    line_deinit(&l);
    line_init(&l, "get k --endpoints=");
    assert_int_equal(cli_value(&l.ctx, "endpoints")->list_count, 0);
    line_deinit(&l);
}

static void shows_help(void **state)
{
    (void)state;
    static const char want[] = "Group\n\nUsage:\n  tool endpoint [command]\n\n"
                               "Available Commands:\n"
                               "  hashkv      Hash\n"
                               "  health      Health\n\n"
                               "Flags:\n"
                               "      --cluster   all members\n"
                               "  -h, --help      help for this command\n\n"
                               "Use \"tool endpoint [command] --help\" for more information about "
                               "a command.\nTail of tool.\n";
    static const char *const lines[] = {"endpoint", "endpoint bogus", "endpoint --help",
                                        "help endpoint"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct line l;
        line_init(&l, lines[i]);
        assert_false(l.is_run);
        assert_int_equal(l.rc, 0);
        assert_string_equal(buf_cstr(&l.ctx.out), want);
        line_deinit(&l);
    }
    struct line l;
    line_init(&l, "get -h");
    assert_string_equal(buf_cstr(&l.ctx.out),
                        "Get\n\nUsage:\n  tool get [options] <key> [flags]\n\nFlags:\n"
                        "  -h, --help           help for this command\n"
                        "      --limit int      most results\n"
                        "  -o, --order string   order\n"
                        "      --prefix         by prefix\nTail of tool.\n");
    line_deinit(&l);
}

struct seen {
    size_t count;
};

static void on_unknown(void *arg, const char *entry)
{
    struct seen *s = arg;
    s->count++;
    assert_true(strncmp(entry, "TOOL_", 5) == 0);
}

static void applies_environment(void **state)
{
    (void)state;
    static const char *const none[] = {"TOOL_API", NULL};
    const char *const env[] = {
        "PATH=x",        "TOOL_WRITE_OUT=json", "TOOL_HEX=maybe",     "TOOL_BOGUS=1",
        "TOOL_TIMEOUT=", "TOOL_API=3",          "TOOL_ENDPOINTS=a,b", NULL};
    struct seen seen = {0};
    struct line l;
    line_init(&l, "get k");
    assert_null(cli_env_apply(&l.ctx, env, none, on_unknown, &seen));
    assert_true(slice_equal_cstr(cli_text(&l.ctx, "write-out"), "json"));
    assert_false(cli_bool(&l.ctx, "hex"));
    assert_int_equal(cli_value(&l.ctx, "endpoints")->list_count, 2);
    assert_int_equal(seen.count, 2); /* the unknown and the empty one */
    struct buf dump = BUF_INIT;
    cli_env_dump(&l.ctx, &dump);
    assert_string_equal(buf_cstr(&dump), "TOOL_ENDPOINTS=[a,b]\nTOOL_HEX=false\nTOOL_TIMEOUT=5s\n"
                                         "TOOL_WRITE_OUT=json\n");
    buf_deinit(&dump);
    line_deinit(&l);
    line_init(&l, "get k -w fields");
    assert_string_equal(cli_env_apply(&l.ctx, env, none, on_unknown, &seen), "TOOL_WRITE_OUT");
    line_deinit(&l);
    /* A flag that a parent hands down has a variable, the command's own have none. */
    const char *const own[] = {"TOOL_CLUSTER=true", "TOOL_LIMIT=5", NULL};
    seen.count = 0;
    line_init(&l, "endpoint health");
    assert_null(cli_env_apply(&l.ctx, own, none, on_unknown, &seen));
    assert_true(cli_bool(&l.ctx, "cluster"));
    assert_int_equal(seen.count, 1);
    line_deinit(&l);
}

static void makes_scripts(void **state)
{
    (void)state;
    static const char *const shells[] = {"bash", "zsh", "fish", "powershell"};
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
        buf_clear(&out);
        assert_true(cli_completion(&app, slice_cstr(shells[i]), &out));
        assert_non_null(strstr(buf_cstr(&out), "hashkv"));
        assert_null(strstr(buf_cstr(&out), "hidden"));
    }
    assert_false(cli_completion(&app, slice_cstr("tcsh"), &out));
    buf_clear(&out);
    cli_man(&app, "About @.", &out);
    assert_non_null(strstr(buf_cstr(&out), ".SS endpoint health"));
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_commands), cmocka_unit_test(names_mistakes),
        cmocka_unit_test(suggests_names), cmocka_unit_test(reads_values),
        cmocka_unit_test(shows_help),     cmocka_unit_test(applies_environment),
        cmocka_unit_test(makes_scripts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
