/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/cmd/ctl_txn_test: the lines of txn; texts were printed by etcdctl 3.7.1.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cmd/ctl_rc.h"
#include "cmd/ctl_txn.h"

struct bad_line {
    const char *line;
    const char *text;
    int rc;
};

static void refuses_bad_compares(void **state)
{
    (void)state;
    static const struct bad_line rows[] = {
        {"mod(\"key1\")", "malformed comparison: mod(\"key1\"); got mod(\"key1\")  \"\"", 3},
        {"mod(key1) > \"1\"", "malformed comparison: mod(key1) > \"1\"; got mod(\"\")  \"\"", 3},
        {"mod(\"key1\") > 1", "malformed comparison: mod(\"key1\") > 1; got mod(\"key1\") > \"\"",
         3},
        {"mod \"key1\" > \"1\"", "malformed comparison: mod \"key1\" > \"1\"", 3},
        {"foo(\"key1\") = \"1\"",
         "malformed comparison: foo(\"key1\") = \"1\" (unknown target foo)", 3},
        {"mod(\"key1\") > \"abc\"", "invalid txn compare request: mod(\"key1\") > \"abc\"", 3},
        {"mod(\"k\")> \"1\"", "malformed comparison: mod(\"k\")> \"1\"; got mod(\"k\")  \"\"", 3},
        {"mod(\"k\") >\"1\" x",
         "malformed comparison: mod(\"k\") >\"1\" x; got mod(\"k\") >\"1\" \"\"", 3},
        {"mod (\"k\") > \"1\"", "malformed comparison: mod (\"k\") > \"1\" (unknown target mod )",
         3},
        /* The reference panics here. */
        {"mod(\"k\") >= \"1\"", "malformed comparison: mod(\"k\") >= \"1\"", 3},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct ctl_fail fail;
        struct wire_compare c;
        arena_init(&a, 0);
        ctl_fail_init(&fail);
        assert_int_equal(ctl_txn_compare(slice_cstr(rows[i].line), &a, &c, &fail), rows[i].rc);
        assert_string_equal(buf_cstr(&fail.text), rows[i].text);
        ctl_fail_deinit(&fail);
        arena_deinit(&a);
    }
}

static void takes_compares(void **state)
{
    (void)state;
    struct arena a;
    struct ctl_fail fail;
    struct wire_compare c;
    arena_init(&a, 0);
    ctl_fail_init(&fail);
    assert_int_equal(
        ctl_txn_compare(slice_cstr("mod( \"k\\x001\")   <  \"-5\" rest"), &a, &c, &fail), 0);
    assert_true(slice_equal(c.key, slice_make("k\0001", 3)));
    assert_int_equal(c.target, WIRE_COMPARE_MOD);
    assert_int_equal(c.result, WIRE_LESS);
    assert_int_equal(c.operand_field, 6);
    assert_int_equal(c.number, -5);
    assert_int_equal(ctl_txn_compare(slice_cstr("val(`a\\b`) != \"\xc3\xa9\""), &a, &c, &fail), 0);
    assert_true(slice_equal_cstr(c.key, "a\\b"));
    assert_true(slice_equal_cstr(c.value, "\xc3\xa9"));
    assert_int_equal(c.result, WIRE_NOT_EQUAL);
    assert_int_equal(ctl_txn_compare(slice_cstr("lease(\"k\") = \"7c\""), &a, &c, &fail), 0);
    assert_int_equal(c.number, 0x7c);
    ctl_fail_deinit(&fail);
    arena_deinit(&a);
}

static void check_words(const char *line, const char *want)
{
    struct arena a;
    struct ctl_fail fail;
    struct slice words[16];
    struct buf got = BUF_INIT;
    size_t n = 0;
    arena_init(&a, 0);
    ctl_fail_init(&fail);
    int rc = ctl_words(slice_cstr(line), &a, words, ARRAY_LEN(words), &n, &fail);
    for (size_t i = 0; i < n; i++) {
        buf_append_byte(&got, '[');
        buf_append_slice(&got, words[i]);
        buf_append_byte(&got, ']');
    }
    assert_string_equal(rc == 0 ? buf_cstr(&got) : buf_cstr(&fail.text), want);
    buf_deinit(&got);
    ctl_fail_deinit(&fail);
    arena_deinit(&a);
}

static void cuts_words(void **state)
{
    (void)state;
    check_words("put a b", "[put][a][b]");
    check_words("  put\ta   \"b c\" ", "[put][a][b c]");
    check_words("put x a\"b c\"d", "[put][x][a\"b][c\"d]");
    check_words("put x ab\"", "[put][x][ab\"]");
    check_words("put x \"abc", "[put][x][abc]");
    check_words("put x \"\"", "[put][x][]");
    check_words("put x 'a \"b'", "[put][x][a \"b]");
    check_words("put x 'abc", "[put][x][abc]");
    check_words("put x \"a\\tb\\\"c\"", "[put][x][a\tb\"c]");
    check_words("put x \"a\"b", "[put][x][a][b]");
    check_words("put x \"a\\qb\"", "invalid syntax");
    check_words("", "");
}

static void refuses_bad_requests(void **state)
{
    (void)state;
    static const struct bad_line rows[] = {
        {"put", "invalid txn compare request: put", CTL_RC_INVALID_INPUT},
        {"foo bar", "invalid txn request: foo bar", CTL_RC_INVALID_INPUT},
        {"put a", "put command needs 1 argument and input from stdin or 2 arguments",
         CTL_RC_BAD_ARGS},
        {"put a b --lease zz",
         "bad lease ID (strconv.ParseInt: parsing \"zz\": invalid syntax), expecting ID in Hex",
         CTL_RC_BAD_ARGS},
        {"del x y z", "del command needs one argument as key and an optional argument as range_end",
         CTL_RC_BAD_ARGS},
        {"get a --order up", "bad sort order up", CTL_RC_BAD_FEATURE},
        {"get k -w json", "invalid txn request: get k -w json", CTL_RC_INVALID_INPUT},
        {"--prefix get k", "invalid txn request: --prefix get k", CTL_RC_INVALID_INPUT},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct ctl_fail fail;
        struct wire_op op;
        arena_init(&a, 0);
        ctl_fail_init(&fail);
        assert_int_equal(ctl_txn_op(slice_cstr(rows[i].line), &a, &op, &fail), rows[i].rc);
        assert_string_equal(buf_cstr(&fail.text), rows[i].text);
        ctl_fail_deinit(&fail);
        arena_deinit(&a);
    }
}

static void takes_requests(void **state)
{
    (void)state;
    struct arena a;
    struct ctl_fail fail;
    struct wire_op op;
    arena_init(&a, 0);
    ctl_fail_init(&fail);
    assert_int_equal(ctl_txn_op(slice_cstr("put \"k 1\" v --lease 7c --prev-kv"), &a, &op, &fail),
                     0);
    assert_int_equal(op.kind, WIRE_OP_PUT);
    assert_true(slice_equal_cstr(op.put.key, "k 1"));
    assert_int_equal(op.put.lease, 0x7c);
    assert_true(op.put.prev_kv);
    /* Flags do not carry over to the next line. */
    assert_int_equal(ctl_txn_op(slice_cstr("pu k v"), &a, &op, &fail), 0);
    assert_false(op.put.prev_kv);
    assert_int_equal(op.put.lease, 0);
    assert_int_equal(ctl_txn_op(slice_cstr("get --prefix \"ab\\xff\" --limit=3"), &a, &op, &fail),
                     0);
    assert_int_equal(op.kind, WIRE_OP_RANGE);
    assert_true(slice_equal_cstr(op.range.range_end, "ac"));
    assert_int_equal(op.range.limit, 3);
    assert_int_equal(ctl_txn_op(slice_cstr("del \"\" --from-key"), &a, &op, &fail), 0);
    assert_int_equal(op.kind, WIRE_OP_DELETE);
    assert_true(slice_equal(op.del.key, slice_make("", 1)));
    assert_true(slice_equal(op.del.range_end, slice_make("", 1)));
    assert_int_equal(ctl_txn_op(slice_cstr("del a c"), &a, &op, &fail), 0);
    assert_true(fail.is_delayed_del);
    ctl_fail_deinit(&fail);
    arena_deinit(&a);
}

static void cuts_lines(void **state)
{
    (void)state;
    struct slice in = slice_cstr(" a \n\t\nb");
    struct slice line;
    assert_true(ctl_txn_line(&in, &line));
    assert_true(slice_equal_cstr(line, "a"));
    assert_true(ctl_txn_line(&in, &line));
    assert_int_equal(line.len, 0);
    assert_false(ctl_txn_line(&in, &line)); /* no newline: end of input */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_compares), cmocka_unit_test(takes_compares),
        cmocka_unit_test(cuts_words),           cmocka_unit_test(refuses_bad_requests),
        cmocka_unit_test(takes_requests),       cmocka_unit_test(cuts_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
