/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/json.h"

static int skip_all(const char *text)
{
    struct json_reader r;
    json_init(&r, slice_cstr(text));
    (void)json_skip(&r);
    return json_end(&r);
}

static void valid_and_not(void **state)
{
    (void)state;
    static const char *const good[] = {
        "null",
        " [ ] ",
        "{}",
        "0",
        "-0",
        "1.5e+7",
        "1E2",
        "true",
        "\"\\u00e9\\ud83d\\ude00\"",
        "{\"a\":[1,{\"b\":null},\"x\"],\"c\":-1.25}",
        "[[[[]]]]",
    };
    static const char *const bad[] = {
        "",   " ",  "nul", "[1,]", "{\"a\":1,}", "{a:1}",       "[1 2]",   "01",
        "1.", "1e", "-",   "\"",   "\"\\x\"",    "\"\\u12g4\"", "{\"a\"}", "{\"a\":}",
        "[",  "{",  "]",   "1 1",  "\"\n\"",     "tru",         "+1",      "{,}",
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(skip_all(good[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(skip_all(bad[i]), ERR_MALFORMED);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char text[2 * (JSON_DEPTH_MAX + 1) + 1];
    for (int extra = 0; extra < 2; extra++) {
        int n = JSON_DEPTH_MAX + extra;
        memset(text, '[', (size_t)n);
        memset(text + n, ']', (size_t)n);
        text[2 * n] = '\0';
        assert_int_equal(skip_all(text), extra == 0 ? 0 : ERR_LIMIT);
    }
}

static int read_i64(const char *text, int64_t *out)
{
    struct json_reader r;
    json_init(&r, slice_cstr(text));
    (void)json_i64(&r, out);
    return json_end(&r);
}

static void signed_numbers(void **state)
{
    (void)state;
    int64_t v = 7;
    assert_int_equal(read_i64("-1", &v), 0);
    assert_int_equal(v, -1);
    assert_int_equal(read_i64("-9223372036854775808", &v), 0);
    assert_true(v == INT64_MIN);
    assert_int_equal(read_i64("9223372036854775807", &v), 0);
    assert_true(v == INT64_MAX);
    assert_int_equal(read_i64("null", &v), 0);
    assert_true(v == INT64_MAX);
    static const char *const bad[] = {
        "9223372036854775808", "-9223372036854775809", "-", "--1", "-null", "-01", "1.5", "\"1\""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(read_i64(bad[i], &v), ERR_MALFORMED);
    }
}

static int read_u64(const char *text, uint64_t *out)
{
    struct json_reader r;
    json_init(&r, slice_cstr(text));
    (void)json_u64(&r, out);
    return json_end(&r);
}

static void numbers_keep_64_bits(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_int_equal(read_u64("18446744073709551615", &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(read_u64("9989940685970519503", &v), 0);
    assert_true(v == UINT64_C(9989940685970519503));
    assert_int_equal(read_u64("null", &v), 0);
    assert_true(v == UINT64_C(9989940685970519503));
    static const char *const bad[] = {"18446744073709551616", "-1", "1.0", "1e3", "\"1\"", "00"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(read_u64(bad[i], &v), ERR_MALFORMED);
    }
}

static void expect_text(const char *json, const char *want)
{
    struct json_reader r;
    struct buf b = BUF_INIT;
    json_init(&r, slice_cstr(json));
    assert_true(json_string(&r, &b));
    assert_int_equal(json_end(&r), 0);
    assert_string_equal(buf_cstr(&b), want);
    buf_deinit(&b);
}

static void strings_in(void **state)
{
    (void)state;
    expect_text("\"a\\n\\t\\\"\\\\\\/\\b\\f\\r\"", "a\n\t\"\\/\b\f\r");
    expect_text("\"\\u003c\\u00e9\\u20ac\"", "<é€");
    expect_text("\"\\ud83d\\ude00\"", "😀");
    expect_text("\"\\ud83dx\"", "\xef\xbf\xbdx");
    expect_text("\"\\udc00\\ud83d\\u0041\"", "\xef\xbf\xbd\xef\xbf\xbd"
                                             "A");
    expect_text("\"\xff\xc0\xaf z\"", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd z");
    expect_text("\"\xed\xa0\x80\"", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void strings_out(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    json_put_go_string(&b, SLICE_LIT("<a>&\"\\\n\x01é\xe2\x80\xa8\xff\x7f"));
    assert_string_equal(buf_cstr(&b),
                        "\"\\u003ca\\u003e\\u0026\\\"\\\\\\n\\u0001é\\u2028\\ufffd\x7f\"");
    buf_deinit(&b);
}

static void objects(void **state)
{
    (void)state;
    struct json_reader r;
    struct buf key = BUF_INIT;
    uint64_t id = 0;
    bool flag = false;
    int items = 0;
    json_init(&r,
              slice_cstr("{\"ID\":5,\"x\":{\"id\":9},\"list\":[1,2,3],\"Flag\":true,\"n\":null}"));
    assert_true(json_object_begin(&r));
    while (json_object_next(&r, &key)) {
        if (json_key_is(&key, "id")) {
            (void)json_u64(&r, &id);
        } else if (json_key_is(&key, "flag")) {
            (void)json_bool(&r, &flag);
        } else if (json_key_is(&key, "list")) {
            assert_true(json_array_begin(&r));
            while (json_array_next(&r)) {
                items++;
                (void)json_skip(&r);
            }
        } else if (json_key_is(&key, "n")) {
            assert_false(json_object_begin(&r)); /* a null is taken */
        } else {
            (void)json_skip(&r);
        }
    }
    assert_int_equal(json_end(&r), 0);
    assert_true(id == 5 && flag && items == 3);
    buf_deinit(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_and_not),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(numbers_keep_64_bits),
        cmocka_unit_test(signed_numbers),
        cmocka_unit_test(strings_in),
        cmocka_unit_test(strings_out),
        cmocka_unit_test(objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
