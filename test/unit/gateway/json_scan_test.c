/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of gateway/json_scan.  Texts are those of Go 1.26's encoding/json.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/json_scan.h"

struct row {
    const char *in;
    enum json_scan_result result;
    const char *out; /* the value, or why */
};

static const struct row rows[] = {
    {"", JSON_SCAN_EMPTY, ""},
    {" \r\n\t", JSON_SCAN_EMPTY, ""},
    {"{}", JSON_SCAN_VALUE, "{}"},
    {"  {} x", JSON_SCAN_VALUE, "{}"},
    {"{\"a\":[1,{},[],\"x\\n\\u00fF\",true,false,null,-0.5e+10]}", JSON_SCAN_VALUE,
     "{\"a\":[1,{},[],\"x\\n\\u00fF\",true,false,null,-0.5e+10]}"},
    {"{\"}\":\"{\"}{", JSON_SCAN_VALUE, "{\"}\":\"{\"}"},
    {"12", JSON_SCAN_VALUE, "12"},
    {"01", JSON_SCAN_VALUE, "0"},
    {"3x", JSON_SCAN_VALUE, "3"},
    {"\"a\"x", JSON_SCAN_VALUE, "\"a\""},
    {"true", JSON_SCAN_VALUE, "true"},
    {"null ", JSON_SCAN_VALUE, "null"},
    {"{", JSON_SCAN_ERROR, "unexpected EOF"},
    {"-", JSON_SCAN_ERROR, "unexpected EOF"},
    {"1.", JSON_SCAN_ERROR, "unexpected EOF"},
    {"tru", JSON_SCAN_ERROR, "unexpected EOF"},
    {"\"", JSON_SCAN_ERROR, "unexpected EOF"},
    {"{\"a\"", JSON_SCAN_ERROR, "unexpected EOF"},
    {"x", JSON_SCAN_ERROR, "invalid character 'x' looking for beginning of value"},
    {"{,", JSON_SCAN_ERROR, "invalid character ',' looking for beginning of object key string"},
    {"{\"a\" 1", JSON_SCAN_ERROR, "invalid character '1' after object key"},
    {"{\"a\":1 \"", JSON_SCAN_ERROR, "invalid character '\"' after object key:value pair"},
    {"{\"a\":1,}", JSON_SCAN_ERROR,
     "invalid character '}' looking for beginning of object key string"},
    {"[1 2", JSON_SCAN_ERROR, "invalid character '2' after array element"},
    {"[1,]", JSON_SCAN_ERROR, "invalid character ']' looking for beginning of value"},
    {"nul!", JSON_SCAN_ERROR, "invalid character '!' in literal null (expecting 'l')"},
    {"faLse", JSON_SCAN_ERROR, "invalid character 'L' in literal false (expecting 'l')"},
    {"tx", JSON_SCAN_ERROR, "invalid character 'x' in literal true (expecting 'r')"},
    {"-x", JSON_SCAN_ERROR, "invalid character 'x' in numeric literal"},
    {"1.x", JSON_SCAN_ERROR, "invalid character 'x' after decimal point in numeric literal"},
    {"1ex", JSON_SCAN_ERROR, "invalid character 'x' in exponent of numeric literal"},
    {"1e+x", JSON_SCAN_ERROR, "invalid character 'x' in exponent of numeric literal"},
    {"\"\n", JSON_SCAN_ERROR, "invalid character '\\n' in string literal"},
    {"\"\x01", JSON_SCAN_ERROR, "invalid character '\\x01' in string literal"},
    {"\"\\q", JSON_SCAN_ERROR, "invalid character 'q' in string escape code"},
    {"\"\\u00g", JSON_SCAN_ERROR, "invalid character 'g' in \\u hexadecimal character escape"},
    {"'", JSON_SCAN_ERROR, "invalid character '\\'' looking for beginning of value"},
    {"\\", JSON_SCAN_ERROR, "invalid character '\\\\' looking for beginning of value"},
    {"\x7f", JSON_SCAN_ERROR, "invalid character '\\x7f' looking for beginning of value"},
    {"\x85", JSON_SCAN_ERROR, "invalid character '\\u0085' looking for beginning of value"},
    {"\xad", JSON_SCAN_ERROR, "invalid character '\\u00ad' looking for beginning of value"},
    {"\xff", JSON_SCAN_ERROR, "invalid character '\xc3\xbf' looking for beginning of value"},
};

static void expect(struct json_scan *s, const struct row *r, enum json_scan_result got)
{
    assert_int_equal(got, r->result);
    if (got == JSON_SCAN_VALUE) {
        struct slice value = slice_make(r->in + s->start, s->at - s->start);
        assert_true(slice_equal_cstr(value, r->out));
    } else if (got == JSON_SCAN_ERROR) {
        assert_string_equal(s->why, r->out);
    }
}

static void values_and_errors_are_go_s(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json_scan s;
        json_scan_init(&s);
        expect(&s, &rows[i], json_scan_next(&s, slice_cstr(rows[i].in), true));
        json_scan_deinit(&s);
    }
}

/* Byte by byte, the end told last: the same. */
static void pieces_make_no_difference(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json_scan s;
        enum json_scan_result got = JSON_SCAN_MORE;
        size_t len = strlen(rows[i].in);
        json_scan_init(&s);
        for (size_t n = 0; got == JSON_SCAN_MORE && n <= len; n++) {
            got = json_scan_next(&s, slice_make(rows[i].in, n), false);
        }
        if (got == JSON_SCAN_MORE) {
            got = json_scan_next(&s, slice_make(rows[i].in, len), true);
        }
        expect(&s, &rows[i], got);
        json_scan_deinit(&s);
    }
}

static void values_follow_each_other(void **state)
{
    (void)state;
    const char *in = "{\"a\":1}[2] {}";
    struct json_scan s;
    size_t at = 0;
    const char *const want[] = {"{\"a\":1}", "[2]", "{}"};
    json_scan_init(&s);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(json_scan_next(&s, slice_cstr(in + at), true), JSON_SCAN_VALUE);
        assert_true(slice_equal_cstr(slice_make(in + at + s.start, s.at - s.start), want[i]));
        at += s.at;
        json_scan_reset(&s);
    }
    assert_int_equal(json_scan_next(&s, slice_cstr(in + at), true), JSON_SCAN_EMPTY);
    json_scan_deinit(&s);
}

static void depth_has_a_bound(void **state)
{
    (void)state;
    static char in[JSON_SCAN_DEPTH_MAX + 2];
    struct json_scan s;
    memset(in, '[', sizeof(in));
    json_scan_init(&s);
    assert_int_equal(json_scan_next(&s, slice_make(in, JSON_SCAN_DEPTH_MAX), false),
                     JSON_SCAN_MORE);
    assert_int_equal(json_scan_next(&s, slice_make(in, sizeof(in)), false), JSON_SCAN_ERROR);
    assert_string_equal(s.why, "invalid character '[' exceeded max depth");
    json_scan_deinit(&s);
}

static void whole_values_have_nothing_behind(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {" 1 ", ""},
        {"{}", ""},
        {"", "unexpected end of JSON input"},
        {"[", "unexpected end of JSON input"},
        {"-", "invalid character ' ' in numeric literal"},
        {"1 x", "invalid character 'x' after top-level value"},
        {"1x", "invalid character 'x' after top-level value"},
        {"abc", "invalid character 'a' looking for beginning of value"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char why[JSON_SCAN_WHY_MAX];
        json_scan_whole(slice_cstr(cases[i][0]), why);
        assert_string_equal(why, cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_errors_are_go_s),
        cmocka_unit_test(pieces_make_no_difference),
        cmocka_unit_test(values_follow_each_other),
        cmocka_unit_test(depth_has_a_bound),
        cmocka_unit_test(whole_values_have_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
