/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "client/endpoint.h"

struct row {
    const char *text;
    const char *addr;
    const char *authority;
    enum client_tls_wish tls;
};

static void reads_endpoints(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"127.0.0.1:2379", "127.0.0.1:2379", "127.0.0.1:2379", CLIENT_TLS_OPTIONAL},
        {"http://h:1", "h:1", "h:1", CLIENT_TLS_DROP},
        {"http://h:1/path?x", "h:1", "h:1", CLIENT_TLS_DROP},
        {"https://[::1]:2", "[::1]:2", "[::1]:2", CLIENT_TLS_NEED},
        {"unix:/run/a.sock", "unix:/run/a.sock", "a.sock", CLIENT_TLS_OPTIONAL},
        {"unix:///run/a.sock", "unix:/run/a.sock", "a.sock", CLIENT_TLS_OPTIONAL},
        {"unix://localhost:2379", "unix:localhost:2379", "localhost:2379", CLIENT_TLS_OPTIONAL},
        {"unixs:localhost:2379", "unix:localhost:2379", "localhost:2379", CLIENT_TLS_NEED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct client_endpoint e;
        assert_int_equal(client_endpoint_parse(slice_cstr(rows[i].text), &e), 0);
        assert_string_equal(e.addr, rows[i].addr);
        assert_string_equal(e.authority, rows[i].authority);
        assert_int_equal(e.tls, rows[i].tls);
        client_endpoint_deinit(&e);
    }
}

static void refuses_nothing(void **state)
{
    (void)state;
    struct client_endpoint e;
    assert_int_equal(client_endpoint_parse(SLICE_NULL, &e), ERR_INVALID);
    assert_int_equal(client_endpoint_parse(slice_cstr("http://"), &e), ERR_INVALID);
    assert_int_equal(client_endpoint_parse(slice_cstr("unix:"), &e), ERR_INVALID);
    assert_int_equal(client_endpoint_parse(slice_make("a\0b", 3), &e), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_endpoints),
        cmocka_unit_test(refuses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
