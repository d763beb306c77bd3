/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of streams, budgets and the life of a connection, our client against our server.
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

/* ---- streams ----------------------------------------------------------------------------------
 */

static void a_bidi_stream_to_its_end(void **state)
{
    (void)state;
    for (size_t step = 1; step < 40; step += 6) {
        struct bed b;
        struct result r;
        bed_make(&b, step);
        struct grpc_client_call *call = start(&b, "/t.S/Bidi", &r, 0);
        settle(&b);
        assert_string_equal(buf_cstr(&b.svc.log), "start;");
        grpc_client_call_send(call, SLICE_LIT("a"));
        grpc_client_call_send(call, SLICE_LIT("bc"));
        settle(&b);
        assert_string_equal(buf_cstr(&r.got), "abc");
        grpc_client_call_send(call, SLICE_LIT("d"));
        grpc_client_call_half_close(call);
        settle(&b);
        assert_string_equal(buf_cstr(&r.got), "abcd");
        assert_string_equal(buf_cstr(&b.svc.log), "start;a;bc;d;half;");
        expect(&r, GRPC_OK, "");
        buf_deinit(&r.got);
        bed_free(&b);
    }
}

static void a_stream_ended_by_the_server(void **state)
{
    (void)state;
    struct bed b;
    struct result r;
    bed_make(&b, 10);
    struct grpc_client_call *call = start(&b, "/t.S/Bidi", &r, 0);
    grpc_client_call_send(call, SLICE_LIT("a"));
    settle(&b);
    grpc_client_call_send(call, SLICE_LIT("die"));
    settle(&b);
    expect(&r, GRPC_UNAVAILABLE, "etcdserver: no leader");
    assert_string_equal(buf_cstr(&r.got), "a");
    assert_int_equal(grpc_server_stats(b.server)->streams_open, 0);
    buf_deinit(&r.got);
    bed_free(&b);
}

static void a_paused_stream_closes_its_window(void **state)
{
    (void)state;
    struct bed b;
    struct result r;
    bed_make(&b, 5000);
    struct grpc_client_call *call = start(&b, "/t.S/Bidi", &r, 0);
    grpc_client_call_send(call, SLICE_LIT("pause"));
    static uint8_t big[200000];
    memset(big, 'x', sizeof(big));
    grpc_client_call_send(call, slice_make(big, sizeof(big)));
    grpc_client_call_half_close(call);
    settle(&b);
    assert_string_equal(buf_cstr(&b.svc.log), "start;pause;");
    if (!BED_RELAY) { /* which takes one message more than it likes */
        assert_in_range(grpc_client_call_queued(call), 200000 - 65535, 200000);
    }
    grpc_call_unpause(b.svc.held);
    settle(&b);
    expect(&r, GRPC_OK, "");
    assert_int_equal(r.got.len, 200000);
    buf_deinit(&r.got);
    bed_free(&b);
}

static void flow_control_of_what_is_sent(void **state)
{
    (void)state;
    struct bed b;
    struct result r;
    bed_make(&b, 60000);
    struct grpc_client_call *call = unary(&b, "/t.S/Down", SLICE_LIT("go"), &r);
    grpc_client_call_pause(call);
    settle(&b);
    static uint8_t msg[10000];
    size_t sent = 0;
    for (int turn = 0; turn < 200; turn++) {
        while (grpc_call_can_send(b.svc.held)) {
            grpc_call_send(b.svc.held, slice_make(msg, sizeof(msg)));
            sent++;
        }
        settle(&b);
    }
    /* The client's window and our queue (with a relay: two), no more. */
    size_t queues = (BED_RELAY ? 2 : 1) * GRPC_CALL_OUT_BYTES;
    size_t more = BED_RELAY ? 60000 : 10005;
    assert_in_range(sent * 10005, (1 << 20) + queues - 10005, (1 << 20) + queues + more);
    int before = b.svc.writables;
    grpc_client_call_unpause(call);
    settle(&b);
    assert_true(b.svc.writables > before);
    assert_int_equal(r.messages, sent);
    grpc_call_finish(b.svc.held);
    settle(&b);
    expect(&r, GRPC_OK, "");
    buf_deinit(&r.got);
    bed_free(&b);
}

static void pieces_and_references(void **state)
{
    (void)state;
    struct bed b;
    struct result r;
    bed_make(&b, 60000);
    unary(&b, "/t.S/Down", SLICE_LIT("go"), &r);
    settle(&b);
    struct rcbuf *big = rcbuf_create(100000);
    big->len = 100000;
    memset(big->data, 'r', big->len);
    for (int i = 0; i < 20; i++) {
        struct grpc_part parts[] = {
            {SLICE_LIT("head"), NULL},
            {slice_make(big->data + i, 3000), rcbuf_ref(big)},
            {slice_make(big->data, 10), rcbuf_ref(big)}, /* small: copied */
            {SLICE_LIT("tail"), NULL},
        };
        grpc_call_send_parts(b.svc.held, parts, ARRAY_LEN(parts));
    }
    assert_int_equal(atomic_load(&big->refs), 21);
    the_source.src.ops = &pattern_ops;
    grpc_call_send_source(b.svc.held, 1000, &the_source.src);
    assert_false(grpc_call_can_send(b.svc.held));
    grpc_call_send(b.svc.held, SLICE_LIT("last"));
    grpc_call_finish(b.svc.held);
    settle(&b);
    assert_int_equal(atomic_load(&big->refs), 1);
    rcbuf_unref(big);
    expect(&r, GRPC_OK, "");
    assert_int_equal(r.messages, 22);
    assert_int_equal(r.got.len, 20 * 3018 + 1000 + 4);
    buf_deinit(&r.got);
    bed_free(&b);
}

/* Answers that wait for slow clients have one bound over all calls. */
static void the_global_budget_holds(void **state)
{
    (void)state;
    enum { PIECE = 4 << 20 };
    struct bed b;
    struct result r[3];
    bed_make(&b, 60000);
    unary(&b, "/t.S/Down", SLICE_LIT("go"), &r[0]);
    settle(&b);
    struct grpc_call *down = b.svc.held;
    unary(&b, "/t.S/Hold", SLICE_LIT("x"), &r[1]);
    settle(&b);
    struct grpc_call *held = b.svc.held;
    struct rcbuf *big = rcbuf_create(PIECE);
    big->len = PIECE;
    memset(big->data, 'b', PIECE);
    while (grpc_server_stats(b.server)->response_bytes_queued < LIMIT_RESPONSE_BUFFER_BYTES) {
        struct grpc_part part = {rcbuf_slice(big), rcbuf_ref(big)};
        grpc_call_send_parts(down, &part, 1);
    }
    assert_false(grpc_call_can_send(down));
    grpc_call_finish_unary(held, slice_make(big->data, 100000));
    unary(&b, "/t.S/Echo", SLICE_LIT("small ones always go"), &r[2]);
    client_to_server(&b);
    grpc_call_fail(down, ERR_RPC_NO_LEADER, NULL);
    settle(&b);
    expect(&r[1], GRPC_RESOURCE_EXHAUSTED, "grpc: too many bytes of answers wait for slow clients");
    expect(&r[2], GRPC_OK, "");
    expect(&r[0], GRPC_UNAVAILABLE, "etcdserver: no leader");
    assert_true(r[0].got.len >= LIMIT_RESPONSE_BUFFER_BYTES - 1000);
    assert_int_equal(grpc_server_stats(b.server)->response_bytes_queued, 0);
    assert_int_equal(atomic_load(&big->refs), 1);
    rcbuf_unref(big);
    buf_deinit(&r[0].got);
    buf_deinit(&r[2].got);
    bed_free(&b);
}

/* Every partial message must be able to complete, however many there are. */
static void many_large_requests_share_the_budget(void **state)
{
    (void)state;
    enum { N = 20, LEN = 1000000 };
    struct bed b;
    static struct result r[N];
    static uint8_t big[LEN];
    bed_make(&b, 60000);
    size_t peak = 0;
    for (int i = 0; i < N; i++) {
        unary(&b, "/t.S/Echo", slice_make(big, LEN), &r[i]);
    }
    while (client_to_server(&b) + server_to_client(&b) > 0) {
        peak = grpc_conn_held_bytes(b.conn) > peak ? grpc_conn_held_bytes(b.conn) : peak;
    }
    /* What is held is memory, doubled when it grows: twice the bytes at most. */
    assert_in_range(peak, LIMIT_CONN_IN_BYTES, LIMIT_CONN_IN_BYTES + LEN + N * 65536 * 4);
    for (int i = 0; i < N; i++) {
        expect(&r[i], GRPC_OK, "");
        assert_int_equal(r[i].got.len, LEN);
        buf_deinit(&r[i].got);
    }
    assert_int_equal(grpc_conn_held_bytes(b.conn), 0);
    bed_free(&b);
}

/* ---- connection -------------------------------------------------------------------------------
 */

static void draining_lets_calls_end(void **state)
{
    (void)state;
    struct bed b;
    struct result r[2];
    bed_make(&b, 100);
    unary(&b, "/t.S/Hold", SLICE_LIT("x"), &r[0]);
    settle(&b);
    grpc_conn_drain(b.conn);
    settle(&b);
    assert_false(grpc_client_can_start(b.client));
    assert_false(grpc_conn_is_done(b.conn));
    unary(&b, "/t.S/Echo", SLICE_LIT("x"), &r[1]);
    fake_env_advance(b.f, 1);
    expect(&r[1], GRPC_UNAVAILABLE, "grpc: the client connection is closing");
    assert_false(r[1].is_sent);
    grpc_call_finish_unary(b.svc.held, SLICE_LIT("y"));
    settle(&b);
    expect(&r[0], GRPC_OK, "");
    assert_true(grpc_conn_is_done(b.conn));
    buf_deinit(&r[0].got);
    bed_free(&b);
}

static void keepalive_of_the_server(void **state)
{
    (void)state;
    struct bed b;
    struct grpc_server_options opts = {.ping_interval_ms = 1000, .ping_timeout_ms = 200};
    bed_make_with(&b, 100, &opts);
    settle(&b);
    uint64_t t0 = b.f->now_ms;
    assert_int_equal(grpc_conn_tick(b.conn, t0), t0 + 1000);
    b.f->now_ms = t0 + 1000;
    assert_int_equal(grpc_conn_tick(b.conn, b.f->now_ms), t0 + 1200);
    b.f->now_ms = t0 + 1100;
    settle(&b); /* the client answers */
    b.f->now_ms = t0 + 1200;
    assert_int_equal(grpc_conn_tick(b.conn, b.f->now_ms), t0 + 2100);
    b.f->now_ms = t0 + 2100;
    assert_int_equal(grpc_conn_tick(b.conn, b.f->now_ms), t0 + 2300);
    b.f->now_ms = t0 + 2300; /* no answer */
    assert_int_equal(grpc_conn_tick(b.conn, b.f->now_ms), 0);
    bed_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bidi_stream_to_its_end),
        cmocka_unit_test(a_stream_ended_by_the_server),
        cmocka_unit_test(a_paused_stream_closes_its_window),
        cmocka_unit_test(flow_control_of_what_is_sent),
        cmocka_unit_test(pieces_and_references),
        cmocka_unit_test(the_global_budget_holds),
        cmocka_unit_test(many_large_requests_share_the_budget),
        cmocka_unit_test(draining_lets_calls_end),
        cmocka_unit_test(keepalive_of_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
