/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/cmd/ctl_watch_req_test: command lines and lines of watch; texts were printed by etcdctl
 * 3.7.1.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cmd/ctl_rc.h"
#include "cmd/ctl_watch_req.h"

struct row {
    const char *line;
    const char *key; /* from the environment; NULL = none */
    enum ctl_watch_line kind;
    const char *text; /* of a refusal, or KEY|END|REVISION|EXEC WORDS of a watch */
};

static void show(const struct ctl_watch_req *r, struct buf *out)
{
    buf_append_slice(out, r->key);
    buf_append_byte(out, '|');
    buf_append_slice(out, r->range_end);
    buf_printf(out, "|%lld|%s%s", (long long)r->revision, r->prev_kv ? "prev" : "",
               r->progress_notify ? "progress" : "");
    for (size_t i = 0; i < r->exec_count; i++) {
        buf_append_byte(out, ' ');
        buf_append_slice(out, r->exec[i]);
    }
}

static void check_line(const struct row *row)
{
    struct arena a;
    struct ctl_fail fail;
    struct buf text = BUF_INIT;
    struct ctl_watch_req req = {0};
    struct ctl_watch_env env = {row->key == NULL ? SLICE_NULL : slice_cstr(row->key), SLICE_NULL};
    arena_init(&a, 0);
    ctl_fail_init(&fail);
    assert_int_equal(ctl_watch_line(slice_cstr(row->line), &env, &a, &req, &fail), row->kind);
    if (row->kind == CTL_WATCH_LINE_WATCH) {
        show(&req, &text);
    } else {
        buf_append_slice(&text, buf_slice(&fail.text));
    }
    assert_string_equal(buf_cstr(&text), row->text);
    buf_deinit(&text);
    ctl_fail_deinit(&fail);
    arena_deinit(&a);
}

static void lines_are_read(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"watch foo", NULL, CTL_WATCH_LINE_WATCH, "foo||0|"},
        {"watch foo goo --rev 5", NULL, CTL_WATCH_LINE_WATCH, "foo|goo|5|"},
        {"watch --prefix foo --prev-kv", NULL, CTL_WATCH_LINE_WATCH, "foo|fop|0|prev"},
        {"watch a b c", NULL, CTL_WATCH_LINE_WATCH, "a||0|"},
        {"watch \"a b\" -- sh -c 'echo x'", NULL, CTL_WATCH_LINE_WATCH, "a b||0| sh -c echo x"},
        {"watch --progress-notify -- echo", "k", CTL_WATCH_LINE_WATCH, "k||0|progress echo"},
        {"watch", "k", CTL_WATCH_LINE_WATCH, "k||0|"},
        {"progress", NULL, CTL_WATCH_LINE_PROGRESS, ""},
        {"", NULL, CTL_WATCH_LINE_SKIP, "Invalid command:  (watch and progress supported)"},
        {"bogus x", NULL, CTL_WATCH_LINE_SKIP, "Invalid command bogus x (only support watch)"},
        {"watch", NULL, CTL_WATCH_LINE_SKIP,
         "Invalid command watch (command type or key is not provided)"},
        {"watch a b --prefix", NULL, CTL_WATCH_LINE_SKIP,
         "Invalid command watch a b --prefix (`range_end` and `--prefix` are mutually exclusive)"},
        {"watch --prefix", NULL, CTL_WATCH_LINE_FATAL, "bad number of arguments"},
        {"watch a --", NULL, CTL_WATCH_LINE_FATAL,
         "bad number of arguments (found separator --, but no commands)"},
        {"watch a", "k", CTL_WATCH_LINE_FATAL,
         "bad number of arguments (found conflicting environment key)"},
        {"watch a --bogus", NULL, CTL_WATCH_LINE_FATAL, "unknown flag: --bogus"},
        {"watch a -w json", NULL, CTL_WATCH_LINE_FATAL, "unknown shorthand flag: 'w' in -w"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_line(&rows[i]);
    }
}

static void a_range_end_needs_a_key(void **state)
{
    (void)state;
    struct ctl_fail fail;
    ctl_fail_init(&fail);
    struct ctl_watch_env env = {SLICE_NULL, SLICE_LIT("z")};
    assert_int_equal(ctl_watch_env_check(&env, &fail), CTL_RC_BAD_ARGS);
    assert_string_equal(buf_cstr(&fail.text),
                        "ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END=\"z\"");
    env.key = SLICE_LIT("a");
    assert_int_equal(ctl_watch_env_check(&env, &fail), 0);
    ctl_fail_deinit(&fail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(a_range_end_needs_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
