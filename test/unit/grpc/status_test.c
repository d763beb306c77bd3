/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of grpc/status: tables of texts, and round trips.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "grpc/status.h"

static void timeouts(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        uint64_t ns;
        const char *why; /* NULL: good */
    } rows[] = {
        {"1n", 1, NULL},
        {"250u", 250000, NULL},
        {"100m", 100000000, NULL},
        {"5S", 5000000000, NULL},
        {"2M", 120000000000, NULL},
        {"1H", 3600000000000, NULL},
        {"0S", 0, NULL},
        {"99999999H", UINT64_MAX, NULL},
        {"", 0, "transport: timeout string is too short: \"\""},
        {"S", 0, "transport: timeout string is too short: \"S\""},
        {"123456789S", 0, "transport: timeout string is too long: \"123456789S\""},
        {"12x", 0, "transport: timeout unit is not recognized: \"12x\""},
        {"1-S", 0, "strconv.ParseUint: parsing \"1-\": invalid syntax"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf why = BUF_INIT;
        uint64_t ns = 0;
        int err = grpc_timeout_parse(slice_cstr(rows[i].in), &ns, &why);
        assert_int_equal(err, rows[i].why == NULL ? 0 : ERR_MALFORMED);
        assert_int_equal(ns, rows[i].ns);
        assert_string_equal(buf_cstr(&why), rows[i].why == NULL ? "" : rows[i].why);
        buf_deinit(&why);
    }
}

static void timeouts_written_are_never_shorter(void **state)
{
    (void)state;
    struct prng r;
    prng_init(&r, 1);
    for (int i = 0; i < 10000; i++) {
        uint64_t ms = prng_next(&r) >> (prng_below(&r, 44) + 20);
        char text[GRPC_TIMEOUT_BYTES];
        struct buf why = BUF_INIT;
        uint64_t ns = 0;
        grpc_timeout_format(text, ms);
        assert_int_equal(grpc_timeout_parse(slice_cstr(text), &ns, &why), 0);
        assert_true(ns / 1000000 >= ms);
        assert_true(ns / 1000000 - ms <= ms / 1000 + 1);
        buf_deinit(&why);
    }
}

static void messages(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    grpc_message_encode(&out, SLICE_LIT("a b%\n\xc3\xa9~\x7f"));
    assert_string_equal(buf_cstr(&out), "a b%25%0A%C3%A9~%7F");
    struct buf back = BUF_INIT;
    grpc_message_decode(&back, buf_slice(&out));
    assert_string_equal(buf_cstr(&back), "a b%\n\xc3\xa9~\x7f");
    buf_clear(&back);
    grpc_message_decode(&back, SLICE_LIT("100% %zz %4"));
    assert_string_equal(buf_cstr(&back), "100% %zz %4");
    buf_deinit(&out);
    buf_deinit(&back);
}

static void messages_round_trip(void **state)
{
    (void)state;
    struct prng r;
    prng_init(&r, 2);
    for (int i = 0; i < 2000; i++) {
        uint8_t raw[64];
        size_t len = prng_below(&r, sizeof(raw));
        for (size_t k = 0; k < len; k++) {
            raw[k] = (uint8_t)prng_next(&r);
        }
        struct buf wire = BUF_INIT;
        struct buf back = BUF_INIT;
        size_t bad_at = 0;
        grpc_message_encode(&wire, slice_make(raw, len));
        grpc_message_decode(&back, buf_slice(&wire));
        assert_true(slice_equal(buf_slice(&back), slice_make(raw, len)));
        buf_clear(&wire);
        buf_clear(&back);
        grpc_base64_encode(&wire, slice_make(raw, len));
        assert_int_equal(grpc_base64_decode(&back, buf_slice(&wire), &bad_at), 0);
        assert_true(slice_equal(buf_slice(&back), slice_make(raw, len)));
        buf_deinit(&wire);
        buf_deinit(&back);
    }
}

static void base64(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out; /* NULL: bad */
    } rows[] = {{"", ""},         {"Zg==", "f"},  {"Zg", "f"},     {"Zm8=", "fo"}, {"Zm8", "fo"},
                {"Zm9v", "foo"},  {"Z", NULL},    {"Zm9v=", NULL}, {"Z===", NULL}, {"Zm 9", NULL},
                {"Zg==Zg", NULL}, {"Zm-_", NULL}, {"=", NULL}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = BUF_INIT;
        size_t bad_at = 0;
        int err = grpc_base64_decode(&out, slice_cstr(rows[i].in), &bad_at);
        assert_int_equal(err, rows[i].out == NULL ? ERR_MALFORMED : 0);
        assert_string_equal(buf_cstr(&out), rows[i].out == NULL ? "" : rows[i].out);
        buf_deinit(&out);
    }
}

static void quoting(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    grpc_quote(&out, SLICE_LIT("a\"b\\c\n\x01\xff"));
    assert_string_equal(buf_cstr(&out), "\"a\\\"b\\\\c\\n\\x01\\xff\"");
    buf_deinit(&out);
}

static void codes(void **state)
{
    (void)state;
    assert_int_equal(grpc_code_parse(SLICE_LIT("0")), GRPC_OK);
    assert_int_equal(grpc_code_parse(SLICE_LIT("16")), GRPC_UNAUTHENTICATED);
    assert_int_equal(grpc_code_parse(SLICE_LIT("17")), GRPC_UNKNOWN);
    assert_int_equal(grpc_code_parse(SLICE_LIT("x")), GRPC_UNKNOWN);
    assert_int_equal(grpc_code_parse(SLICE_LIT("")), GRPC_UNKNOWN);
    assert_int_equal(grpc_code_parse(SLICE_LIT("100")), GRPC_UNKNOWN);
    assert_int_equal(grpc_code_from_http(503), GRPC_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timeouts), cmocka_unit_test(timeouts_written_are_never_shorter),
        cmocka_unit_test(messages), cmocka_unit_test(messages_round_trip),
        cmocka_unit_test(base64),   cmocka_unit_test(quoting),
        cmocka_unit_test(codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
