/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of calls: unary calls, their ends, and sources, our client against our server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "bed.h"

/* ---- unary ------------------------------------------------------------------------------------
 */

static void echoes_of_every_size_at_every_split(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,     1,     100,   2047,    2048,   16379,
                                   16384, 65530, 65536, 1000000, 2097152};
    static const size_t steps[] = {1, 7, 16393, 1 << 20};
    static uint8_t big[2097152];
    for (size_t i = 0; i < sizeof(big); i++) {
        big[i] = (uint8_t)(i * 7 + i / 256);
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (size_t k = sizes[i] > 100000 ? 2 : 0; k < ARRAY_LEN(steps); k++) {
            struct bed b;
            struct result r[2];
            bed_make(&b, steps[k]);
            unary(&b, "/t.S/Echo", slice_make(big, sizes[i]), &r[0]);
            unary(&b, "/t.S/EchoRc", slice_make(big, sizes[i]), &r[1]);
            settle(&b);
            for (int n = 0; n < 2; n++) {
                expect(&r[n], GRPC_OK, "");
                assert_int_equal(r[n].messages, 1);
                assert_true(slice_equal(buf_slice(&r[n].got), slice_make(big, sizes[i])));
                buf_deinit(&r[n].got);
            }
            assert_int_equal(grpc_conn_held_bytes(b.conn), 0);
            assert_int_equal(grpc_server_stats(b.server)->response_bytes_queued, 0);
            assert_int_equal(grpc_server_stats(b.server)->streams_open, 0);
            assert_int_equal(stats_of(&b, "Echo")->started, 1);
            assert_int_equal(stats_of(&b, "Echo")->handled[GRPC_OK], 1);
            assert_int_equal(stats_of(&b, "Echo")->msg_received, 1);
            assert_int_equal(stats_of(&b, "Echo")->msg_sent, 1);
            bed_free(&b);
        }
    }
}

static void errors_have_their_code_and_text(void **state)
{
    (void)state;
    static const struct {
        const char *path, *msg;
        enum grpc_code code;
        const char *text;
    } rows[] = {
        {"/t.S/Fail", "", GRPC_OUT_OF_RANGE,
         "etcdserver: mvcc: required revision has been compacted"},
        {"/t.S/FailText", "100% \xc3\xa9\n", GRPC_ABORTED, "100% \xc3\xa9\n"},
        {"/t.S/Nope", "", GRPC_UNIMPLEMENTED, "unknown method Nope for service t.S"},
        {"/t.T/Echo", "", GRPC_UNIMPLEMENTED, "unknown service t.T"},
        {"/a/b/Echo", "", GRPC_UNIMPLEMENTED, "unknown service a/b"},
        {"/nope", "", GRPC_UNIMPLEMENTED, "malformed method name: \"/nope\""},
        {"/t.S/Source", "2147483648", GRPC_RESOURCE_EXHAUSTED,
         "grpc: trying to send message larger than max (2147483648 vs. 2147483647)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bed b;
        struct result r;
        bed_make(&b, 5);
        unary(&b, rows[i].path, slice_cstr(rows[i].msg), &r);
        settle(&b);
        expect(&r, rows[i].code, rows[i].text);
        assert_int_equal(r.messages, 0);
        bed_free(&b);
    }
}

static void messages_above_the_limit_are_refused(void **state)
{
    (void)state;
    struct bed b;
    struct result r;
    static uint8_t big[2097153];
    bed_make(&b, 1 << 20);
    unary(&b, "/t.S/Echo", slice_make(big, sizeof(big)), &r);
    settle(&b);
    expect(&r, GRPC_RESOURCE_EXHAUSTED,
           "grpc: received message larger than max (2097153 vs. 2097152)");
    assert_int_equal(b.svc.cancels, 1);
    bed_free(&b);
}

static void the_client_has_a_limit_too(void **state)
{
    (void)state;
    struct bed b;
    struct result r;
    static uint8_t big[(4 << 20) + 1];
    bed_make(&b, 1 << 20);
    unary(&b, "/t.S/Echo", slice_make(big, sizeof(big)), &r);
    assert_false(r.is_done);
    fake_env_advance(b.f, 1);
    expect(&r, GRPC_RESOURCE_EXHAUSTED,
           "trying to send message larger than max (4194305 vs. 4194304)");
    settle(&b);
    bed_free(&b);
}

static void metadata_reaches_the_service(void **state)
{
    (void)state;
    struct bed b;
    struct result r = {0};
    bed_make(&b, 3);
    struct grpc_metadata md[] = {{SLICE_LIT("token"), SLICE_LIT("t.1")},
                                 {SLICE_LIT("raw-bin"), SLICE_LIT("\x00\xff\x01")},
                                 {SLICE_LIT("token"), SLICE_LIT("second")}};
    static const struct {
        const char *name;
        struct slice want;
    } rows[] = {{"token", SLICE_LIT("t.1")},
                {"raw-bin", SLICE_LIT("\x00\xff\x01")},
                {"absent", SLICE_LIT("(none)")},
                {"user-agent", SLICE_LIT("cairn/0.1")}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        memset(&r, 0, sizeof(r));
        struct grpc_client_call_options o = {.path = "/t.S/Meta",
                                             .metadata = md,
                                             .metadata_count = ARRAY_LEN(md),
                                             .ops = &call_ops,
                                             .arg = &r};
        grpc_client_request(b.client, &o, slice_cstr(rows[i].name));
        settle(&b);
        expect(&r, GRPC_OK, "");
        assert_true(slice_equal(buf_slice(&r.got), rows[i].want));
        buf_deinit(&r.got);
    }
    bed_free(&b);
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static void a_deadline_ends_both_sides(void **state)
{
    (void)state;
    struct bed b;
    struct result r;
    bed_make(&b, 100);
    struct grpc_client_call *call = start(&b, "/t.S/Hold", &r, 100);
    grpc_client_call_send(call, SLICE_LIT("x"));
    grpc_client_call_half_close(call);
    settle(&b);
    assert_non_null(b.svc.held);
    assert_int_equal(grpc_call_deadline_ms(b.svc.held), b.f->now_ms + 100);
    fake_env_advance(b.f, 100);
    assert_int_equal(b.svc.cancels, 1);
    assert_int_equal(b.svc.cancel_err, ERR_RPC_CONTEXT_DEADLINE);
    settle(&b);
    expect(&r, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
    assert_int_equal(stats_of(&b, "Hold")->handled[GRPC_DEADLINE_EXCEEDED], 1);
    bed_free(&b);
}

static void a_cancel_reaches_the_service(void **state)
{
    (void)state;
    struct bed b;
    struct result r;
    bed_make(&b, 100);
    struct grpc_client_call *call = unary(&b, "/t.S/Hold", SLICE_LIT("x"), &r);
    settle(&b);
    grpc_client_call_cancel(call);
    expect(&r, GRPC_CANCELLED, "context canceled");
    settle(&b);
    assert_int_equal(b.svc.cancels, 1);
    assert_int_equal(b.svc.cancel_err, ERR_RPC_CONTEXT_CANCELED);
    assert_int_equal(stats_of(&b, "Hold")->handled[GRPC_CANCELLED], 1);
    bed_free(&b);
}

static void a_lost_connection_cancels_and_fails(void **state)
{
    (void)state;
    struct bed b;
    struct result r[2];
    bed_make(&b, 100);
    unary(&b, "/t.S/Hold", SLICE_LIT("x"), &r[0]);
    settle(&b);
    unary(&b, "/t.S/Hold", SLICE_LIT("y"), &r[1]); /* never leaves */
    grpc_conn_destroy(b.conn);
    fake_env_settle(b.f);
    assert_int_equal(b.svc.cancels, 1);
    grpc_client_destroy(b.client, "connection lost");
    expect(&r[0], GRPC_UNAVAILABLE, "connection lost");
    expect(&r[1], GRPC_UNAVAILABLE, "connection lost");
    assert_true(r[0].is_sent);
    assert_false(r[1].is_sent);
    b.client = NULL;
    b.conn = NULL;
    bed_free(&b);
}

static void many_calls_at_once(void **state)
{
    (void)state;
    enum { N = 500 };
    struct bed b;
    static struct result r[N];
    bed_make(&b, 3000);
    for (int i = 0; i < N; i++) {
        unary(&b, "/t.S/Echo", SLICE_LIT("hello"), &r[i]);
    }
    settle(&b);
    for (int i = 0; i < N; i++) {
        expect(&r[i], GRPC_OK, "");
        assert_int_equal(r[i].messages, 1);
        buf_deinit(&r[i].got);
    }
    bed_free(&b);
}

/* ---- sources ----------------------------------------------------------------------------------
 */

static void sources_of_every_size(void **state)
{
    (void)state;
    static const char *const sizes[] = {"0",       "1",       "65530",  "65531",
                                        "1048571", "1048576", "3000000"};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct bed b;
        struct result r;
        bed_make(&b, 60000);
        unary(&b, "/t.S/Source", slice_cstr(sizes[i]), &r);
        settle(&b);
        expect(&r, GRPC_OK, "");
        assert_int_equal(r.messages, 1);
        check_pattern(&r.got, (size_t)strtoul(sizes[i], NULL, 10));
        assert_int_equal(the_source.closes, 1);
        buf_deinit(&r.got);
        bed_free(&b);
    }
}

static void a_source_may_wait_for_its_disk(void **state)
{
    (void)state;
    struct bed b;
    struct result r;
    bed_make(&b, 60000);
    the_source.says_again = true;
    unary(&b, "/t.S/Source", SLICE_LIT("100000"), &r);
    settle(&b);
    int rounds = 0;
    while (!r.is_done) {
        assert_true(rounds++ < 100);
        grpc_call_resume(the_source.call);
        settle(&b);
    }
    assert_true(rounds >= 20);
    check_pattern(&r.got, 100000);
    assert_int_equal(the_source.closes, 1);
    buf_deinit(&r.got);
    bed_free(&b);
}

static void a_failing_source_resets_the_stream(void **state)
{
    (void)state;
    struct bed b;
    struct result r;
    bed_make(&b, 60000);
    the_source.fail_after = 3;
    unary(&b, "/t.S/Source", SLICE_LIT("100000"), &r);
    settle(&b);
    expect(&r, GRPC_INTERNAL, "stream terminated by RST_STREAM with error code: INTERNAL_ERROR");
    assert_int_equal(the_source.closes, 1);
    bed_free(&b);
}

static void a_source_makes_no_more_than_the_window(void **state)
{
    (void)state;
    struct bed b;
    struct result r;
    bed_make(&b, 60000);
    struct grpc_client_call *call = unary(&b, "/t.S/Source", SLICE_LIT("50000000"), &r);
    grpc_client_call_pause(call);
    settle(&b);
    if (BED_RELAY) {
        assert_in_range(the_source.pulls * 5000, 1 << 20,
                        (1 << 20) + RELAY_SOURCE_BYTES + RELAY_CHUNK_BYTES);
    } else {
        assert_int_equal(the_source.next, (uint8_t)((1 << 20) - 5)); /* one stream window */
    }
    assert_true(the_source.pulls < 400);
    assert_int_equal(grpc_server_stats(b.server)->response_bytes_queued, 0);
    grpc_client_call_cancel(call);
    settle(&b);
    assert_int_equal(the_source.closes, 1);
    bed_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echoes_of_every_size_at_every_split),
        cmocka_unit_test(errors_have_their_code_and_text),
        cmocka_unit_test(messages_above_the_limit_are_refused),
        cmocka_unit_test(the_client_has_a_limit_too),
        cmocka_unit_test(metadata_reaches_the_service),
        cmocka_unit_test(a_deadline_ends_both_sides),
        cmocka_unit_test(a_cancel_reaches_the_service),
        cmocka_unit_test(a_lost_connection_cancels_and_fails),
        cmocka_unit_test(many_calls_at_once),
        cmocka_unit_test(sources_of_every_size),
        cmocka_unit_test(a_source_may_wait_for_its_disk),
        cmocka_unit_test(a_failing_source_resets_the_stream),
        cmocka_unit_test(a_source_makes_no_more_than_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
