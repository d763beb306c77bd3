/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "member/url.h"

static void good_urls(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"http://127.0.0.1:2380", "http://127.0.0.1:2380"},
        {" HTTPS://Example.com:1 ", "https://Example.com:1"},
        {"http://[::1]:2380", "http://[::1]:2380"},
        {"http://host:", "http://host:"},
        {"http://u:p@h:1", "http://u:p@h:1"},
        {"http://h:1?x=1", "http://h:1?x=1"},
        {"unix:///tmp/sock", "unix:///tmp/sock"},
        {"unix://localhost:1", "unix://localhost:1"},
        {"unixs:/tmp/x", "unixs:/tmp/x"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = BUF_INIT;
        assert_int_equal(url_check(slice_cstr(rows[i][0]), &b, NULL), 0);
        assert_string_equal(buf_cstr(&b), rows[i][1]);
        buf_deinit(&b);
    }
}

static void bad_urls(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"bogus", "URL scheme must be http, https, unix, or unixs: bogus"},
        {"", "URL scheme must be http, https, unix, or unixs: "},
        {"ftp://h:1", "URL scheme must be http, https, unix, or unixs: ftp://h:1"},
        {"localhost:2380", "URL scheme must be http, https, unix, or unixs: localhost:2380"},
        {"//h:1", "URL scheme must be http, https, unix, or unixs: //h:1"},
        {"http://localhost", "URL address does not have the form \"host:port\": http://localhost"},
        {"http:foo", "URL address does not have the form \"host:port\": http:foo"},
        {"http://", "URL address does not have the form \"host:port\": http://"},
        {"http://::1:2380", "URL address does not have the form \"host:port\": http://::1:2380"},
        {"http://[::1]", "URL address does not have the form \"host:port\": http://[::1]"},
        {"http://h:1/", "URL must not contain a path: http://h:1/"},
        {"http://h:1/a", "URL must not contain a path: http://h:1/a"},
        {"127.0.0.1:2380",
         "parse \"127.0.0.1:2380\": first path segment in URL cannot contain colon"},
        {":x", "parse \":x\": missing protocol scheme"},
        {"http://h:abc", "parse \"http://h:abc\": invalid port \":abc\" after host"},
        {"http://[::1", "parse \"http://[::1\": missing ']' in host"},
        {"http://a b:1", "parse \"http://a b:1\": invalid character \" \" in host name"},
        {"http://a%zz:1", "parse \"http://a%zz:1\": invalid URL escape \"%zz\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = BUF_INIT;
        struct buf error = BUF_INIT;
        assert_int_equal(url_check(slice_cstr(rows[i][0]), &b, &error), ERR_INVALID);
        assert_string_equal(buf_cstr(&error), rows[i][1]);
        assert_int_equal(b.len, 0);
        buf_deinit(&b);
        buf_deinit(&error);
    }
}

static void lists(void **state)
{
    (void)state;
    struct strs s;
    struct buf error = BUF_INIT;
    assert_int_equal(urls_parse_list("http://b:1, http://a:1,http://b:1", &s, &error), 0);
    assert_int_equal(s.count, 2);
    assert_string_equal(s.items[0], "http://a:1");
    strs_deinit(&s);
    assert_int_equal(urls_parse_list("http://b:1,", &s, &error), ERR_INVALID);
    assert_string_equal(buf_cstr(&error), "URL scheme must be http, https, unix, or unixs: ");
    buf_clear(&error);
    struct strs none = {NULL, 0};
    assert_int_equal(urls_check(&none, &s, &error), ERR_INVALID);
    assert_string_equal(buf_cstr(&error), "no valid URLs given");
    buf_deinit(&error);
}

static void parts(void **state)
{
    (void)state;
    assert_int_equal(url_scheme_of("https://a:1"), URL_HTTPS);
    assert_int_equal(url_scheme_of("unixs:///x"), URL_UNIXS);
    assert_true(slice_equal_cstr(url_address("http://u@[::1]:5?q#f"), "[::1]:5"));
    assert_true(slice_equal_cstr(url_address("unix:///tmp/s"), "/tmp/s"));
    assert_true(slice_equal_cstr(url_address("unix:/tmp/s"), "/tmp/s"));
}

static int resolve(void *arg, const char *host_port, struct buf *out)
{
    (void)arg;
    if (strncmp(host_port, "bad", 3) == 0) {
        return ERR_NOT_FOUND;
    }
    const char *colon = strrchr(host_port, ':');
    buf_printf(out, "10.0.0.1%s", colon);
    return 0;
}

static void equality(void **state)
{
    (void)state;
    const struct url_resolver r = {resolve, NULL};
    struct strs a = {NULL, 0};
    struct strs b = {NULL, 0};
    struct buf error = BUF_INIT;
    strs_add(&a, SLICE_LIT("http://host:1"));
    assert_int_equal(urls_equal(&a, &b, &r, &error), ERR_MISMATCH);
    assert_string_equal(buf_cstr(&error), "len([\"http://host:1\"]) != len([])");
    buf_clear(&error);
    strs_add(&b, SLICE_LIT("http://10.0.0.1:1"));
    assert_int_equal(urls_equal(&a, &b, &r, &error), 0);
    assert_int_equal(urls_equal(&a, &b, NULL, &error), ERR_MISMATCH);
    assert_string_equal(buf_cstr(&error),
                        "resolved urls: \"http://host:1\" != \"http://10.0.0.1:1\"");
    buf_clear(&error);
    strs_add(&a, SLICE_LIT("http://bad:1"));
    strs_add(&b, SLICE_LIT("http://x:1"));
    assert_int_equal(urls_equal(&a, &b, &r, &error), ERR_NOT_FOUND);
    strs_deinit(&a);
    strs_deinit(&b);
    buf_deinit(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls), cmocka_unit_test(bad_urls), cmocka_unit_test(lists),
        cmocka_unit_test(parts),     cmocka_unit_test(equality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
