/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of http/h2_check: one field against the rule written the slow way, and requests as lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/slice.h"
#include "http/h2_check.h"

static bool field(struct h2_check *c, const char *name, const char *value)
{
    return h2_check_field(c, slice_cstr(name), slice_cstr(value));
}

/* Lines "name value", fed in order: 0 good, else the number of the line, -1 at the end of the
 * block. */
static int feed(const char *text)
{
    struct h2_check c = {0};
    int line = 0;
    while (*text != '\0') {
        size_t n = strcspn(text, " ");
        const char *value = text + n + 1;
        size_t v = strcspn(value, "\n");
        line++;
        if (!h2_check_field(&c, slice_make(text, n), slice_make(value, v))) {
            return line;
        }
        text = value + v + 1;
    }
    return h2_check_block_end(&c, false) ? 0 : -1;
}

#define GOOD ":method POST\n:scheme http\n:path /a/b\n"

static void requests_as_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int want;
    } rows[] = {
        {GOOD, 0},
        {GOOD ":authority 127.0.0.1:2379\nte trailers\nx-any \t v \n", 0},
        {GOOD ":authority http://127.0.0.1:2379\n", 0}, /* etcdctl 3.4 */
        {GOOD ":authority \n", 0},
        {GOOD ":authority a\x01\n", 4},
        {":method POST\n:scheme http\n", -1},
        {":method POST\n:path /\n", -1},
        {":scheme http\n:path /\n", -1},
        {":scheme http\n:path /\n:method \n", 3},
        {":method PO ST\n", 1},
        {":path a\n", 1},
        {":path /a b\n", 1},
        {":path \n", 1},
        {":scheme \n", 1},
        {":method GET\n:scheme http\n:path *\n", -1},
        {":method OPTIONS\n:scheme http\n:path *\n", 0},
        {":method OPTIONS\n:scheme http\n:path *a\n", 3},
        {":method CONNECT\n:authority h:1\n", 0},
        {":method CONNECT\n", -1},
        {":method CONNECT\n:authority h:1\n:path /\n", -1},
        {GOOD ":path /\n", 4},
        {GOOD ":status 200\n", 4},
        {GOOD ":bogus x\n", 4},
        {":method POST\n:scheme http\nx y\n:path /\n", 4},
        {GOOD "Upper x\n", 4},
        {GOOD "te gzip\n", 4},
        {GOOD "connection close\n", 4},
        {GOOD "keep-alive 5\n", 4},
        {GOOD "upgrade h2c\n", 4},
        {GOOD "transfer-encoding chunked\n", 4},
        {GOOD "proxy-connection x\n", 4},
        {GOOD "host a\n", 0},
        {GOOD "host a\nhost a\n", 5},
        {GOOD "content-length 5\n", 0},
        {GOOD "content-length 5\ncontent-length 5\n", 5},
        {GOOD "content-length \n", 4},
        {GOOD "content-length -1\n", 4},
        {GOOD "content-length 1234567890123456789\n", 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int got = feed(rows[i].text);
        if (got != rows[i].want) {
            print_error("%s: %d, not %d\n", rows[i].text, got, rows[i].want);
        }
        assert_int_equal(got, rows[i].want);
    }
}

/* Every byte in a name and in a value. */
static void every_byte(void **state)
{
    (void)state;
    for (int b = 0; b < 256; b++) {
        uint8_t text[2] = {'a', (uint8_t)b};
        struct slice s = slice_make(text, 2);
        struct h2_check c = {0};
        bool is_name = (b >= 'a' && b <= 'z') || (b >= '0' && b <= '9') ||
                       (b != 0 && strchr("!#$%&'*+-.^_`|~", b) != NULL);
        assert_int_equal(h2_check_field(&c, s, SLICE_LIT("v")), is_name);
        bool is_value = b == '\t' || (b >= ' ' && b != 0x7f);
        assert_int_equal(h2_check_field(&c, SLICE_LIT("x"), s), is_value);
        c = (struct h2_check){0};
        assert_int_equal(h2_check_field(&c, SLICE_LIT(":authority"), s), is_value);
    }
    struct h2_check c = {0};
    assert_false(h2_check_field(&c, SLICE_LIT(""), SLICE_LIT("v")));
}

static void bodies_are_as_long_as_said(void **state)
{
    (void)state;
    struct h2_check c = {0};
    assert_true(h2_check_data(&c, 1000));
    assert_true(h2_check_stream_end(&c));
    c = (struct h2_check){0};
    assert_int_equal(field(&c, "content-length", "10"), true);
    assert_true(h2_check_data(&c, 4));
    assert_false(h2_check_stream_end(&c));
    assert_true(h2_check_data(&c, 6));
    assert_true(h2_check_stream_end(&c));
    assert_false(h2_check_data(&c, 1));
}

static void trailers(void **state)
{
    (void)state;
    for (int is_end = 0; is_end < 2; is_end++) {
        struct h2_check c = {0};
        assert_int_equal(field(&c, ":method", "POST"), true);
        assert_int_equal(field(&c, ":scheme", "http"), true);
        assert_int_equal(field(&c, ":path", "/"), true);
        assert_true(h2_check_block_end(&c, false));
        assert_int_equal(field(&c, "x", "y"), true);
        assert_int_equal(field(&c, ":authority", "y"), false);
        assert_int_equal(h2_check_block_end(&c, is_end == 1), is_end == 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_as_lines),
        cmocka_unit_test(every_byte),
        cmocka_unit_test(bodies_are_as_long_as_said),
        cmocka_unit_test(trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
