/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cmd/print_text.h"

static void check_quote_rune(uint32_t rune, const char *want)
{
    struct buf out = BUF_INIT;
    text_quote_rune(&out, rune);
    assert_string_equal(buf_cstr(&out), want);
    buf_deinit(&out);
}

static void quotes_one_character(void **state)
{
    (void)state;
    check_quote_rune('x', "'x'");
    check_quote_rune('\'', "'\\''");
    check_quote_rune('"', "'\"'");
    check_quote_rune('\\', "'\\\\'");
    check_quote_rune('\n', "'\\n'");
    check_quote_rune(0xe9, "'\xc3\xa9'");
}

static void trims_unicode_blanks(void **state)
{
    (void)state;
    struct slice s = text_trim(slice_cstr(" \t\r\n\xc2\xa0\xe3\x80\x80 a b \x0b\x0c\xc2\x85"));
    assert_true(slice_equal_cstr(s, "a b"));
    assert_int_equal(text_trim(slice_cstr(" \n ")).len, 0);
    assert_int_equal(text_trim(SLICE_NULL).len, 0);
    /* A bad byte is no blank. */
    assert_int_equal(text_trim(slice_cstr(" \xa0 ")).len, 1);
}

static void counts_characters(void **state)
{
    (void)state;
    assert_int_equal(text_width(slice_cstr("a\xc3\xa9\xe6\x97\xa5")), 3);
    assert_int_equal(text_width(slice_cstr("\xff\xfe")), 2);
}

static void writes_hex(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    text_hex_bytes(&out, slice_make("f\0\xff", 3));
    assert_string_equal(buf_cstr(&out), "\\x66\\x00\\xff");
    buf_deinit(&out);
}

static void gives_reasons(void **state)
{
    (void)state;
    struct buf why = BUF_INIT;
    int64_t n = 7;
    bool b = true;
    assert_int_equal(text_parse_i64(slice_cstr("zz"), 16, &n, &why), ERR_INVALID);
    assert_string_equal(buf_cstr(&why), "strconv.ParseInt: parsing \"zz\": invalid syntax");
    assert_int_equal(n, 7);
    buf_clear(&why);
    assert_int_equal(text_parse_bool(slice_cstr("maybe"), &b, &why), ERR_INVALID);
    assert_string_equal(buf_cstr(&why), "strconv.ParseBool: parsing \"maybe\": invalid syntax");
    buf_clear(&why);
    assert_int_equal(text_parse_duration(slice_cstr("5"), &n, &why), ERR_INVALID);
    assert_string_equal(buf_cstr(&why), "time: missing unit in duration \"5\"");
    buf_deinit(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_one_character), cmocka_unit_test(trims_unicode_blanks),
        cmocka_unit_test(counts_characters),    cmocka_unit_test(writes_hex),
        cmocka_unit_test(gives_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
