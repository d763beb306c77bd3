/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of grpc/local: the bed's service called without a connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bed.h"
#include "grpc/local.h"

struct caller {
    struct grpc_local_call *call;
    struct buf got;
    int messages, ends, sendables;
    uint64_t announced;
    enum grpc_code code;
    char text[200];
    size_t room; /* on_bytes says no when got has as much; 0: never */
};

static void on_message(void *arg, uint64_t len)
{
    struct caller *c = arg;
    c->messages++;
    c->announced += len;
}

static bool on_bytes(void *arg, struct slice bytes)
{
    struct caller *c = arg;
    buf_append_slice(&c->got, bytes);
    return c->room == 0 || c->got.len < c->room;
}

static void on_end(void *arg, enum grpc_code code, struct slice text)
{
    struct caller *c = arg;
    c->ends++;
    c->code = code;
    snprintf(c->text, sizeof(c->text), "%.*s", (int)text.len, (const char *)text.data);
}

static void on_sendable(void *arg)
{
    struct caller *c = arg;
    c->sendables++;
}

static const struct grpc_local_ops ops = {on_message, on_bytes, on_end, on_sendable};

struct local_bed {
    struct bed b;
    struct grpc_local *local;
    struct caller c;
};

static void make(struct local_bed *lb, size_t recv_max)
{
    struct grpc_server_options opts = {.recv_bytes_max = recv_max};
    memset(lb, 0, sizeof(*lb));
    bed_make_with(&lb->b, 1000, &opts);
    lb->local = grpc_local_create(lb->b.server);
}

static void done(struct local_bed *lb)
{
    fake_env_settle(lb->b.f);
    assert_int_equal(grpc_server_stats(lb->b.server)->response_bytes_queued, 0);
    assert_int_equal(grpc_server_stats(lb->b.server)->streams_open, 0);
    grpc_local_destroy(lb->local);
    buf_deinit(&lb->c.got);
    buf_deinit(&lb->b.svc.log);
    bed_free(&lb->b);
}

static void open_call(struct local_bed *lb, const char *path, uint64_t deadline_ms)
{
    struct grpc_error e;
    struct grpc_local_options o = {.path = slice_cstr(path),
                                   .peer = "9.9.9.9:9",
                                   .deadline_ms = deadline_ms,
                                   .ops = &ops,
                                   .arg = &lb->c};
    lb->c.call = grpc_local_open(lb->local, &o, &e);
    assert_non_null(lb->c.call);
}

static void unary_call(struct local_bed *lb, const char *path, struct slice msg)
{
    open_call(lb, path, 0);
    grpc_local_start(lb->c.call);
    grpc_local_send(lb->c.call, msg);
    grpc_local_half_close(lb->c.call);
    assert_int_equal(lb->c.ends, 0); /* never from inside */
    fake_env_settle(lb->b.f);
}

static void expect_end(struct local_bed *lb, enum grpc_code code, const char *text, const char *got)
{
    assert_int_equal(lb->c.ends, 1);
    assert_int_equal(lb->c.code, code);
    assert_string_equal(lb->c.text, text);
    assert_true(slice_equal_cstr(buf_slice(&lb->c.got), got));
    assert_int_equal(lb->c.announced, strlen(got));
}

static void unary_calls_end_with_their_answer(void **state)
{
    (void)state;
    static const struct {
        const char *path, *msg;
        enum grpc_code code;
        const char *text, *got;
    } rows[] = {
        {"/t.S/Echo", "hello", GRPC_OK, "", "hello"},
        {"/t.S/Echo", "", GRPC_OK, "", ""},
        {"/t.S/EchoRc", "hello", GRPC_OK, "", "hello"},
        {"/t.S/FailText", "why", GRPC_ABORTED, "why", ""},
        {"/t.S/Fail", "", GRPC_OUT_OF_RANGE,
         "etcdserver: mvcc: required revision has been compacted", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct local_bed lb;
        make(&lb, 0);
        unary_call(&lb, rows[i].path, slice_cstr(rows[i].msg));
        expect_end(&lb, rows[i].code, rows[i].text, rows[i].got);
        assert_int_equal(stats_of(&lb.b, strrchr(rows[i].path, '/') + 1)->handled[rows[i].code], 1);
        done(&lb);
    }
}

static void unknown_methods_are_told_at_once(void **state)
{
    (void)state;
    struct local_bed lb;
    struct grpc_error e;
    make(&lb, 0);
    struct grpc_local_options o = {.path = SLICE_LIT("/t.T/Echo"), .peer = "", .ops = &ops};
    assert_null(grpc_local_open(lb.local, &o, &e));
    assert_int_equal(e.code, GRPC_UNIMPLEMENTED);
    assert_string_equal(e.text, "unknown service t.T");
    done(&lb);
}

static void metadata_reaches_the_service(void **state)
{
    (void)state;
    struct local_bed lb;
    make(&lb, 0);
    open_call(&lb, "/t.S/Meta", 0);
    grpc_local_metadata(lb.c.call, SLICE_LIT("token"), SLICE_LIT("abc"));
    grpc_local_metadata(lb.c.call, SLICE_LIT("token"), SLICE_LIT("def"));
    grpc_local_start(lb.c.call);
    grpc_local_send(lb.c.call, SLICE_LIT("token"));
    fake_env_settle(lb.b.f);
    expect_end(&lb, GRPC_OK, "", "abc");
    done(&lb);
}

static void messages_above_the_limit_are_refused(void **state)
{
    (void)state;
    struct local_bed lb;
    make(&lb, 10);
    unary_call(&lb, "/t.S/Echo", SLICE_LIT("12345678901"));
    expect_end(&lb, GRPC_RESOURCE_EXHAUSTED, "grpc: received message larger than max (11 vs. 10)",
               "");
    assert_int_equal(lb.b.svc.cancels, 1);
    done(&lb);
}

static void sources_are_made_as_there_is_room(void **state)
{
    (void)state;
    struct local_bed lb;
    make(&lb, 0);
    lb.c.room = 20000;
    unary_call(&lb, "/t.S/Source", SLICE_LIT("300000"));
    assert_int_equal(lb.c.ends, 0);
    assert_true(lb.c.got.len >= 20000 && lb.c.got.len < 30000);
    fake_env_settle(lb.b.f);
    assert_true(lb.c.got.len < 30000);
    while (lb.c.room < 300000) {
        lb.c.room += 20000;
        grpc_local_resume(lb.c.call);
        fake_env_settle(lb.b.f);
    }
    assert_int_equal(lb.c.ends, 1);
    assert_int_equal(lb.c.announced, 300000);
    assert_int_equal(the_source.closes, 1);
    check_pattern(&lb.c.got, 300000);
    done(&lb);
}

static void sources_that_wait_are_resumed(void **state)
{
    (void)state;
    struct local_bed lb;
    make(&lb, 0);
    the_source.says_again = true;
    unary_call(&lb, "/t.S/Source", SLICE_LIT("12000"));
    for (int i = 0; i < 10 && lb.c.ends == 0; i++) {
        grpc_call_resume(the_source.call);
        fake_env_settle(lb.b.f);
    }
    assert_int_equal(lb.c.ends, 1);
    check_pattern(&lb.c.got, 12000);
    done(&lb);
}

static void broken_sources_end_the_call(void **state)
{
    (void)state;
    struct local_bed lb;
    make(&lb, 0);
    the_source.fail_after = 2;
    unary_call(&lb, "/t.S/Source", SLICE_LIT("100000"));
    assert_int_equal(lb.c.ends, 1);
    assert_int_equal(lb.c.code, GRPC_INTERNAL);
    assert_true(lb.c.got.len < lb.c.announced);
    assert_int_equal(the_source.closes, 1);
    done(&lb);
}

static void a_caller_may_go_at_any_time(void **state)
{
    (void)state;
    struct local_bed lb;
    make(&lb, 0);
    open_call(&lb, "/t.S/Hold", 0);
    grpc_local_start(lb.c.call);
    grpc_local_cancel(lb.c.call); /* before a message */
    open_call(&lb, "/t.S/Hold", 0);
    grpc_local_start(lb.c.call);
    grpc_local_send(lb.c.call, SLICE_LIT("x"));
    grpc_local_cancel(lb.c.call); /* while the service works */
    assert_int_equal(lb.b.svc.cancels, 2);
    assert_int_equal(lb.b.svc.cancel_err, ERR_RPC_CONTEXT_CANCELED);
    open_call(&lb, "/t.S/Echo", 0);
    grpc_local_start(lb.c.call);
    grpc_local_send(lb.c.call, SLICE_LIT("x"));
    grpc_local_cancel(lb.c.call); /* with the answer on its way */
    open_call(&lb, "/t.S/Source", 0);
    lb.c.room = 1;
    grpc_local_start(lb.c.call);
    grpc_local_send(lb.c.call, SLICE_LIT("100000"));
    fake_env_settle(lb.b.f);
    grpc_local_cancel(lb.c.call); /* inside a source */
    assert_int_equal(the_source.closes, 1);
    open_call(&lb, "/t.S/Hold", 0);
    grpc_local_cancel(lb.c.call); /* not even started */
    assert_int_equal(lb.c.ends, 0);
    done(&lb);
}

static void deadlines_end_calls(void **state)
{
    (void)state;
    struct local_bed lb;
    make(&lb, 0);
    open_call(&lb, "/t.S/Hold", lb.b.f->now_ms + 50);
    grpc_local_start(lb.c.call);
    grpc_local_send(lb.c.call, SLICE_LIT("x"));
    fake_env_advance(lb.b.f, 49);
    assert_int_equal(lb.c.ends, 0);
    fake_env_advance(lb.b.f, 10);
    expect_end(&lb, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded", "");
    assert_int_equal(lb.b.svc.cancels, 1);
    done(&lb);
}

static void deadlines_forget_what_waits(void **state)
{
    (void)state;
    struct local_bed lb;
    make(&lb, 0);
    open_call(&lb, "/t.S/Bidi", lb.b.f->now_ms + 50);
    lb.c.room = 1;
    grpc_local_start(lb.c.call);
    for (int i = 0; i < 5; i++) {
        grpc_local_send(lb.c.call, SLICE_LIT("message"));
    }
    fake_env_settle(lb.b.f);
    assert_int_equal(lb.c.messages, 1);
    fake_env_advance(lb.b.f, 60);
    assert_int_equal(lb.c.ends, 1);
    assert_int_equal(lb.c.messages, 1);
    done(&lb);
}

static void streams_go_both_ways(void **state)
{
    (void)state;
    struct local_bed lb;
    make(&lb, 0);
    open_call(&lb, "/t.S/Bidi", 0);
    grpc_local_start(lb.c.call);
    grpc_local_send(lb.c.call, SLICE_LIT("a"));
    grpc_local_send(lb.c.call, SLICE_LIT("bc"));
    fake_env_settle(lb.b.f);
    assert_int_equal(lb.c.messages, 2);
    assert_int_equal(lb.c.ends, 0);
    grpc_local_half_close(lb.c.call);
    fake_env_settle(lb.b.f);
    expect_end(&lb, GRPC_OK, "", "abc");
    assert_string_equal(buf_cstr(&lb.b.svc.log), "start;a;bc;half;");
    done(&lb);
}

static void a_paused_service_gets_its_messages_later(void **state)
{
    (void)state;
    struct local_bed lb;
    uint8_t big[9000] = {0};
    int sent = 0;
    make(&lb, 0);
    open_call(&lb, "/t.S/Bidi", 0);
    grpc_local_start(lb.c.call);
    grpc_local_send(lb.c.call, SLICE_LIT("pause"));
    struct grpc_call *held = lb.b.svc.held;
    while (grpc_local_can_send(lb.c.call)) {
        grpc_local_send(lb.c.call, slice_make(big, sizeof(big)));
        sent++;
    }
    assert_true(sent >= 7 && sent < 9);
    grpc_local_half_close(lb.c.call);
    fake_env_settle(lb.b.f);
    assert_int_equal(lb.c.messages, 0);
    grpc_call_unpause(held);
    fake_env_settle(lb.b.f);
    assert_int_equal(lb.c.messages, sent);
    assert_int_equal(lb.c.sendables, 1);
    assert_int_equal(lb.c.ends, 1);
    done(&lb);
}

static void a_full_stream_says_so_to_the_service(void **state)
{
    (void)state;
    struct local_bed lb;
    static uint8_t big[GRPC_CALL_OUT_BYTES];
    make(&lb, 0);
    open_call(&lb, "/t.S/Down", 0);
    lb.c.room = 1;
    grpc_local_start(lb.c.call);
    grpc_local_send(lb.c.call, SLICE_LIT("x"));
    struct grpc_call *held = lb.b.svc.held;
    grpc_call_send(held, SLICE_LIT("first"));
    fake_env_settle(lb.b.f);
    grpc_call_send(held, slice_make(big, sizeof(big)));
    assert_false(grpc_call_can_send(held));
    fake_env_settle(lb.b.f);
    assert_int_equal(lb.b.svc.writables, 0);
    lb.c.room = 0;
    grpc_local_resume(lb.c.call);
    fake_env_settle(lb.b.f);
    assert_int_equal(lb.b.svc.writables, 1);
    grpc_call_finish(held);
    fake_env_settle(lb.b.f);
    assert_int_equal(lb.c.ends, 1);
    done(&lb);
}

static void messages_stay_behind_a_source(void **state)
{
    (void)state;
    struct local_bed lb;
    make(&lb, 0);
    open_call(&lb, "/t.S/Down", 0);
    grpc_local_start(lb.c.call);
    grpc_local_send(lb.c.call, SLICE_LIT("x"));
    struct grpc_call *held = lb.b.svc.held;
    the_source.src.ops = &pattern_ops;
    grpc_call_send(held, SLICE_LIT("before"));
    grpc_call_send_source(held, 4, &the_source.src);
    grpc_call_send(held, SLICE_LIT("behind"));
    grpc_call_finish(held);
    fake_env_settle(lb.b.f);
    assert_int_equal(lb.c.messages, 3);
    assert_int_equal(lb.c.ends, 1);
    assert_true(slice_equal(buf_slice(&lb.c.got), SLICE_LIT("before\0\1\2\3behind")));
    done(&lb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unary_calls_end_with_their_answer),
        cmocka_unit_test(unknown_methods_are_told_at_once),
        cmocka_unit_test(metadata_reaches_the_service),
        cmocka_unit_test(messages_above_the_limit_are_refused),
        cmocka_unit_test(sources_are_made_as_there_is_room),
        cmocka_unit_test(sources_that_wait_are_resumed),
        cmocka_unit_test(broken_sources_end_the_call),
        cmocka_unit_test(a_caller_may_go_at_any_time),
        cmocka_unit_test(deadlines_end_calls),
        cmocka_unit_test(deadlines_forget_what_waits),
        cmocka_unit_test(streams_go_both_ways),
        cmocka_unit_test(a_paused_service_gets_its_messages_later),
        cmocka_unit_test(a_full_stream_says_so_to_the_service),
        cmocka_unit_test(messages_stay_behind_a_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
