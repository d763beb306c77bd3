/* SPDX-License-Identifier: Apache-2.0
 *
 * service/watch_req: which request a message is.  What a stream answers: test/e2e/watch_test.py.
 */
#include "service/watch_req.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"

static struct watch_req decode(const char *bytes, size_t len)
{
    struct watch_req r = {.kind = WATCH_REQ_NONE};
    assert_int_equal(watch_req_decode(slice_make(bytes, len), &r), 0);
    return r;
}

#define DECODE(literal) decode(literal, sizeof(literal) - 1)

static void create_has_all_fields(void **state)
{
    (void)state;
    struct watch_req r = DECODE("\x0a\x14\x0a\x01k\x12\x01l\x18\x05\x20\x01\x28\x00\x30\x01\x38\x09"
                                "\x40\x01\x28\x07");
    assert_int_equal(r.kind, WATCH_REQ_CREATE);
    assert_true(slice_equal_cstr(r.key, "k") && slice_equal_cstr(r.range_end, "l"));
    assert_true(r.start_rev == 5 && r.watch_id == 9);
    assert_true(r.progress_notify && r.prev_kv && r.fragment && r.no_put && !r.no_delete);
}

static void filters_may_be_packed(void **state)
{
    (void)state;
    struct watch_req r = DECODE("\x0a\x05\x2a\x03\x01\x09\x00");
    assert_true(r.no_put && r.no_delete);
    struct watch_req untouched = {.kind = WATCH_REQ_PROGRESS};
    assert_int_equal(watch_req_decode(slice_make("\x0a\x03\x2a\x01\x80", 5), &untouched),
                     ERR_MALFORMED);
    assert_int_equal(untouched.kind, WATCH_REQ_PROGRESS);
}

static void the_last_member_counts(void **state)
{
    (void)state;
    struct watch_req r = DECODE("\x0a\x03\x0a\x01k\x12\x02\x08\x03");
    assert_true(r.kind == WATCH_REQ_CANCEL && r.watch_id == 3 && r.key.len == 0);
    r = DECODE("\x0a\x03\x0a\x01k\x0a\x02\x38\x02");
    assert_true(r.kind == WATCH_REQ_CREATE && r.watch_id == 2 && slice_equal_cstr(r.key, "k"));
    r = DECODE("\x1a\x00");
    assert_int_equal(r.kind, WATCH_REQ_PROGRESS);
    r = DECODE("");
    assert_int_equal(r.kind, WATCH_REQ_NONE);
}

static void cut_short_is_refused(void **state)
{
    (void)state;
    struct watch_req r;
    assert_int_not_equal(watch_req_decode(slice_make("\x0a\x03\x0a\x01", 4), &r), 0);
    assert_int_not_equal(watch_req_decode(slice_make("\x12\x01\x08", 3), &r), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_has_all_fields),
        cmocka_unit_test(filters_may_be_packed),
        cmocka_unit_test(the_last_member_counts),
        cmocka_unit_test(cut_short_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
