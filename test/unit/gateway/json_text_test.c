/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of gateway/json_text: strings, base64 with Go's offsets, integers in every notation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/gotext.h"
#include "gateway/json_text.h"

static void strict_strings(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *behind, *out, *why;
    } rows[] = {
        {"\"\"", "", "", NULL},
        {"\"a\\n\\t\\\"\\\\\\/\\b\\f\\r\"", "", "a\n\t\"\\/\b\f\r", NULL},
        {"\"\\u0041\\u20ac\\ud83d\\ude00\"", "", "A\xe2\x82\xac\xf0\x9f\x98\x80", NULL},
        {"\"\xe2\x82\xac\"", "", "\xe2\x82\xac", NULL},
        {"\"\xff\"", "}", NULL, "invalid UTF-8 in string"},
        {"\"\\ud800\"", "}", NULL, "unexpected EOF"},
        {"\"\\ud800\"", ",\"abcdef\"}", NULL, "invalid escape code \"\\\",\\\"abc\" in string"},
        {"\"\\ud800\\u0041\"", "}", NULL, "invalid escape code \"\\\\u0041\" in string"},
        {"\"\\ude00\\ud83d\"", "}", NULL, "invalid escape code \"\\\\ud83d\" in string"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf all = BUF_INIT, out = BUF_INIT, why = BUF_INIT;
        bool is_eof = false;
        size_t len = strlen(rows[i].raw);
        buf_append_cstr(&all, rows[i].raw);
        buf_append_cstr(&all, rows[i].behind);
        bool ok = json_text_strict(slice_make(all.data, len), buf_slice(&all), &out, &why, &is_eof);
        assert_int_equal(ok, rows[i].out != NULL);
        assert_string_equal(ok ? buf_cstr(&out) : buf_cstr(&why), ok ? rows[i].out : rows[i].why);
        assert_int_equal(is_eof, !ok && strcmp(rows[i].why, "unexpected EOF") == 0);
        buf_deinit(&all);
        buf_deinit(&out);
        buf_deinit(&why);
    }
}

static void lenient_strings(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"\"a\\u0041\"", "aA"},
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"},
        {"\"\\ud83dx\"", "\xef\xbf\xbdx"},
        {"\"\\ud83d\\u0041\"", "\xef\xbf\xbd\x41"},
        {"\"\\ud83d\"", "\xef\xbf\xbd"},
        {"\"\xff\xfe\"", "\xef\xbf\xbd\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = BUF_INIT;
        json_text_lenient(slice_cstr(rows[i][0]), &out);
        assert_string_equal(buf_cstr(&out), rows[i][1]);
        buf_deinit(&out);
    }
}

/* bad_at as Go's base64.StdEncoding says. */
static void base64_forms(void **state)
{
    (void)state;
    static const struct {
        enum json_base64 form;
        const char *in, *out;
        size_t bad_at;
    } rows[] = {
        {JSON_BASE64_STD, "", "", 0},
        {JSON_BASE64_STD, "Zm9v", "foo", 0},
        {JSON_BASE64_STD, "Zg==", "f", 0},
        {JSON_BASE64_STD, "Zm8=", "fo", 0},
        {JSON_BASE64_STD, "Zm\r\n9v", "foo", 0},
        {JSON_BASE64_STD, "Zg=\n=\n", "f", 0},
        {JSON_BASE64_STD, "Zh==", "f", 0},
        {JSON_BASE64_STD, "Zg", NULL, 0},
        {JSON_BASE64_STD, "Zg=", NULL, 3},
        {JSON_BASE64_STD, "Z", NULL, 0},
        {JSON_BASE64_STD, "=", NULL, 0},
        {JSON_BASE64_STD, "Z===", NULL, 1},
        {JSON_BASE64_STD, "Zg==x", NULL, 4},
        {JSON_BASE64_STD, "Zg=x", NULL, 2},
        {JSON_BASE64_STD, "_-8=", NULL, 0},
        {JSON_BASE64_STD, "not base64!!", NULL, 3},
        {JSON_BASE64_ANY, "Zg", "f", 0},
        {JSON_BASE64_ANY, "Zm8", "fo", 0},
        {JSON_BASE64_ANY, "_-8=", "\xff\xef", 0},
        {JSON_BASE64_ANY, "+/8", "\xfb\xff", 0},
        {JSON_BASE64_ANY, "Zg=", NULL, 2},
        {JSON_BASE64_ANY, "Z", NULL, 0},
        {JSON_BASE64_ANY, "+-8=", NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = BUF_INIT;
        size_t bad_at = 99;
        bool ok = json_base64_decode(rows[i].form, slice_cstr(rows[i].in), &out, &bad_at);
        assert_int_equal(ok, rows[i].out != NULL);
        if (ok) {
            assert_string_equal(buf_cstr(&out), rows[i].out);
        } else {
            assert_int_equal(bad_at, rows[i].bad_at);
        }
        buf_deinit(&out);
    }
}

/* What is encoded comes back, at every length. */
static void base64_goes_round(void **state)
{
    (void)state;
    uint8_t bytes[70];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 37 + 11);
    }
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        struct buf text = BUF_INIT, back = BUF_INIT;
        size_t bad_at;
        gotext_base64(&text, slice_make(bytes, len));
        assert_true(json_base64_decode(JSON_BASE64_STD, buf_slice(&text), &back, &bad_at));
        assert_true(slice_equal(buf_slice(&back), slice_make(bytes, len)));
        buf_deinit(&text);
        buf_deinit(&back);
    }
}

static void integers(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        bool ok;
        int64_t out;
    } rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"12", true, 12},
        {"-12", true, -12},
        {"1.0", true, 1},
        {"1e2", true, 100},
        {"1.5e1", true, 15},
        {"10e-1", true, 1},
        {"0.000e5", true, 0},
        {"0e99999999999", true, 0},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"1e18", true, 1000000000000000000},
        {"1.5", false, 0},
        {"15e-1", false, 0},
        {"1e19", false, 0},
        {"1e400", false, 0},
        {"1e-400", false, 0},
        {"9223372036854775808", false, 0},
        {"1e99999999999", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"x", false, 0},
        {"01", false, 0},
        {"1.", false, 0},
        {"1e", false, 0},
        {"+1", false, 0},
        {".5", false, 0},
        {"99999999999999999999", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t v = 0;
        assert_int_equal(json_number_int(slice_cstr(rows[i].in), 64, &v), rows[i].ok);
        assert_int_equal(v, rows[i].out);
    }
    uint64_t u = 0;
    int64_t v = 0;
    assert_true(json_number_uint(SLICE_LIT("18446744073709551615"), 64, &u) && u == UINT64_MAX);
    assert_false(json_number_uint(SLICE_LIT("-1"), 64, &u));
    assert_false(json_number_uint(SLICE_LIT("4294967296"), 32, &u));
    assert_false(json_number_int(SLICE_LIT("2147483648"), 32, &v));
}

static void numbers_at_the_front(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t len;
    } rows[] = {{"1", 1}, {"12 x", 2}, {"1,2", 1},  {"-1.5e+3]", 7}, {"1x", 0}, {"x", 0},
                {"", 0},  {"1e ", 2},  {"1.5.", 0}, {"1-", 0},       {"-", 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(json_number_length(slice_cstr(rows[i].in)), rows[i].len);
    }
}

static void outer_space(void **state)
{
    (void)state;
    static const char *const with[] = {
        " 1", "1 ", "\t1", "1\n", "1\xc2\xa0", "\xe2\x80\xa8 1", "1\xe3\x80\x80", " "};
    static const char *const without[] = {"", "1", "1 2", "\xe2\x82\xac", "1\xff", "\xff"};
    for (size_t i = 0; i < ARRAY_LEN(with); i++) {
        assert_true(json_has_outer_space(slice_cstr(with[i])));
    }
    for (size_t i = 0; i < ARRAY_LEN(without); i++) {
        assert_false(json_has_outer_space(slice_cstr(without[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strict_strings), cmocka_unit_test(lenient_strings),
        cmocka_unit_test(base64_forms),   cmocka_unit_test(base64_goes_round),
        cmocka_unit_test(integers),       cmocka_unit_test(numbers_at_the_front),
        cmocka_unit_test(outer_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
