/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of channels and HTTP clients against the server: calls, ends, keepalive, stopping, TLS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "bed.h"
#include "rpc/http_client.h"
#include "rpc/rpc_client.h"

/* ---- channel ----------------------------------------------------------------------------------
 */

struct chan {
    struct rpc_channel *ch;
    int ups, downs, goaways, down_err;
    bool destroys_in_done;
};

static void ch_up(void *arg)
{
    ((struct chan *)arg)->ups++;
}

static void ch_goaway(void *arg)
{
    ((struct chan *)arg)->goaways++;
}

static void ch_down(void *arg, int err, const char *text)
{
    struct chan *c = arg;
    assert_non_null(text);
    c->downs++;
    c->down_err = err;
}

static const struct rpc_channel_events chan_events = {ch_up, ch_goaway, ch_down};

static void chan_open(struct chan *c, struct bed *b, const struct rpc_tls_factory *tls)
{
    memset(c, 0, sizeof(*c));
    struct rpc_channel_options o = {
        .env = &b->f->env,
        .addr = "127.0.0.1:2379",
        .tls = tls,
        .events = &chan_events,
        .arg = c,
        .ping_interval_ms = 30000,
        .ping_timeout_ms = 10000,
    };
    assert_int_equal(rpc_channel_open(&o, &c->ch), 0);
}

struct result {
    struct chan *chan;
    struct buf got;
    bool is_done;
    enum grpc_code code;
    char text[200];
};

static void r_message(void *arg, struct grpc_client_call *call, struct slice msg)
{
    (void)call;
    buf_append_slice(&((struct result *)arg)->got, msg);
}

static void r_done(void *arg, struct grpc_client_call *call, const struct grpc_status *st)
{
    (void)call;
    struct result *r = arg;
    r->is_done = true;
    r->code = st->code;
    snprintf(r->text, sizeof(r->text), "%.*s", (int)st->message.len,
             (const char *)st->message.data);
    if (r->chan->destroys_in_done) {
        rpc_channel_destroy(r->chan->ch);
        r->chan->ch = NULL;
    }
}

static const struct grpc_client_call_ops result_ops = {r_message, NULL, r_done};

static void call(struct chan *c, const char *path, struct slice msg, struct result *r)
{
    memset(r, 0, sizeof(*r));
    r->chan = c;
    struct grpc_client_call_options o = {.path = path, .ops = &result_ops, .arg = r};
    grpc_client_request(rpc_channel_client(c->ch), &o, msg);
}

static void a_channel_makes_calls(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk < 100000; chunk = chunk * 7 + 1) {
        struct bed b;
        struct chan c;
        struct result r[2];
        static uint8_t big[100000];
        bed_plain(&b);
        b.f->chunk = chunk;
        chan_open(&c, &b, NULL);
        call(&c, "/t.S/Echo", SLICE_LIT("early"), &r[0]); /* before it is up */
        fake_env_settle(b.f);
        assert_int_equal(c.ups, 1);
        assert_true(rpc_channel_is_up(c.ch));
        call(&c, "/t.S/Echo", slice_make(big, sizeof(big)), &r[1]);
        fake_env_settle(b.f);
        assert_true(r[0].is_done && r[1].is_done);
        assert_int_equal(r[0].code, GRPC_OK);
        assert_string_equal(buf_cstr(&r[0].got), "early");
        assert_int_equal(r[1].got.len, sizeof(big));
        rpc_channel_destroy(c.ch);
        fake_env_settle(b.f);
        assert_int_equal(c.downs, 0);
        buf_deinit(&r[0].got);
        buf_deinit(&r[1].got);
        bed_free(&b);
    }
}

static void a_turn_is_one_write(void **state)
{
    (void)state;
    enum { N = 50 };
    struct bed b;
    struct chan c;
    static struct result r[N];
    bed_plain(&b);
    chan_open(&c, &b, NULL);
    fake_env_settle(b.f);
    uint64_t before = b.f->writes;
    for (int i = 0; i < N; i++) {
        call(&c, "/t.S/Echo", SLICE_LIT("x"), &r[i]);
    }
    fake_env_settle(b.f);
    assert_true(b.f->writes - before <= 6); /* requests, answers, and the windows' frames */
    for (int i = 0; i < N; i++) {
        assert_true(r[i].is_done);
        buf_deinit(&r[i].got);
    }
    rpc_channel_destroy(c.ch);
    bed_free(&b);
}

static void a_refused_connection(void **state)
{
    (void)state;
    struct bed b;
    struct chan c;
    struct result r;
    bed_plain(&b);
    b.f->refuse_connect = true;
    chan_open(&c, &b, NULL);
    call(&c, "/t.S/Echo", SLICE_LIT("x"), &r);
    fake_env_settle(b.f);
    assert_int_equal(c.downs, 1);
    assert_int_equal(c.down_err, ERR_REFUSED);
    assert_int_equal(r.code, GRPC_UNAVAILABLE);
    assert_string_equal(r.text,
                        "connection error: desc = \"transport: Error while dialing: dial tcp "
                        "127.0.0.1:2379: connection refused\"");
    rpc_channel_destroy(c.ch);
    bed_free(&b);
}

static void destroying_from_inside_on_done(void **state)
{
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct bed b;
        struct chan c;
        struct result r[2];
        bed_plain(&b);
        b.f->refuse_connect = how == 1;
        chan_open(&c, &b, NULL);
        c.destroys_in_done = true;
        call(&c, "/t.S/Echo", SLICE_LIT("x"), &r[0]);
        call(&c, "/t.S/Hold", SLICE_LIT("x"), &r[1]);
        fake_env_settle(b.f);
        assert_true(r[0].is_done && r[1].is_done);
        assert_int_equal(c.downs, 0);
        buf_deinit(&r[0].got);
        bed_free(&b);
    }
}

static void keepalive_and_the_end_of_grace(void **state)
{
    (void)state;
    struct bed b;
    struct chan c;
    struct result r;
    bed_plain(&b);
    chan_open(&c, &b, NULL);
    call(&c, "/t.S/Hold", SLICE_LIT("x"), &r);
    fake_env_advance(b.f, 100000);
    assert_false(r.is_done); /* pings are answered */
    rpc_server_stop(b.rpc, 1000, bed_on_stopped, &b);
    fake_env_advance(b.f, 500);
    assert_int_equal(c.goaways, 1); /* draining: the call goes on */
    assert_false(r.is_done);
    fake_env_advance(b.f, 600); /* grace is over */
    assert_true(r.is_done);
    assert_int_equal(r.code, GRPC_UNAVAILABLE);
    assert_int_equal(c.downs, 1);
    assert_int_equal(b.cancels, 1);
    rpc_channel_destroy(c.ch);
    bed_free(&b);
}

static void keepalive_finds_a_dead_server(void **state)
{
    (void)state;
    struct bed b;
    struct chan c;
    struct result r;
    bed_plain(&b);
    chan_open(&c, &b, NULL);
    call(&c, "/t.S/Hold", SLICE_LIT("x"), &r);
    fake_env_advance(b.f, 1000);
    b.f->is_frozen = true; /* nothing arrives any more */
    fake_env_advance(b.f, 38000);
    assert_false(r.is_done);
    fake_env_advance(b.f, 2000);
    assert_int_equal(c.downs, 1);
    assert_int_equal(c.down_err, ERR_TIMED_OUT);
    assert_true(r.is_done);
    assert_string_equal(r.text, "keepalive ping failed to receive ACK within timeout");
    b.f->is_frozen = false;
    rpc_channel_destroy(c.ch);
    bed_free(&b);
}

static void stopping_waits_for_calls(void **state)
{
    (void)state;
    struct bed b;
    struct chan c;
    struct result r;
    bed_plain(&b);
    chan_open(&c, &b, NULL);
    call(&c, "/t.S/Hold", SLICE_LIT("x"), &r);
    fake_env_settle(b.f);
    rpc_server_stop(b.rpc, 5000, bed_on_stopped, &b);
    fake_env_advance(b.f, 1000);
    assert_int_equal(b.stopped, 0);
    grpc_call_finish_unary(b.held_call, SLICE_LIT("bye"));
    fake_env_settle(b.f);
    assert_true(r.is_done);
    assert_int_equal(r.code, GRPC_OK);
    assert_int_equal(b.stopped, 1);
    assert_int_equal(c.downs, 1);
    rpc_channel_destroy(c.ch);
    buf_deinit(&r.got);
    bed_free(&b);
}

/* ---- TLS --------------------------------------------------------------------------------------
 */

static void calls_over_tls(void **state)
{
    (void)state;
    struct toy_conf server = {true, "h2"};
    struct toy_conf client = {false, "h2"};
    struct rpc_tls_factory sf = {toy_create, &server};
    struct rpc_tls_factory cf = {toy_create, &client};
    for (int both = 0; both < 2; both++) {
        for (size_t chunk = 1; chunk < 70000; chunk = chunk * 40 + 1) {
            struct bed b;
            struct chan c, p;
            struct result r, q;
            bed_make(&b, &sf, both == 1, RPC_ACCEPT_GRPC | RPC_ACCEPT_HTTP);
            b.f->chunk = chunk;
            chan_open(&c, &b, &cf);
            call(&c, "/t.S/Who", SLICE_LIT("x"), &r);
            fake_env_settle(b.f);
            assert_true(r.is_done);
            assert_string_equal(buf_cstr(&r.got), "toy-cn");
            if (both == 1) { /* the same port in plain text */
                chan_open(&p, &b, NULL);
                call(&p, "/t.S/Who", SLICE_LIT("x"), &q);
                fake_env_settle(b.f);
                assert_true(q.is_done);
                assert_int_equal(q.got.len, 0);
                rpc_channel_destroy(p.ch);
            }
            rpc_channel_destroy(c.ch);
            buf_deinit(&r.got);
            bed_free(&b);
        }
    }
}

static void plain_text_on_a_tls_port(void **state)
{
    (void)state;
    struct toy_conf server = {true, "h2"};
    struct rpc_tls_factory sf = {toy_create, &server};
    struct bed b;
    bed_make(&b, &sf, false, RPC_ACCEPT_GRPC | RPC_ACCEPT_HTTP);
    talk(&b, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n", "ALERT", true);
    bed_free(&b);
}

/* ---- HTTP/1 client ----------------------------------------------------------------------------
 */

struct hc {
    struct rpc_http_client *c;
    struct buf log;
    int downs, err;
    bool destroys_at_end;
};

static void hc_response(void *arg, const struct h1_head *head)
{
    buf_printf(&((struct hc *)arg)->log, "%d ", head->status);
}

static void hc_body(void *arg, struct slice bytes)
{
    buf_append_slice(&((struct hc *)arg)->log, bytes);
}

static void hc_end(void *arg)
{
    struct hc *h = arg;
    buf_append_byte(&h->log, ';');
    if (h->destroys_at_end) {
        rpc_http_client_destroy(h->c);
        h->c = NULL;
    }
}

static void hc_down(void *arg, int err)
{
    ((struct hc *)arg)->downs++;
    ((struct hc *)arg)->err = err;
}

static const struct rpc_http_client_events hc_events = {NULL,   hc_response, hc_body,
                                                        hc_end, NULL,        hc_down};

static void http_client_requests(void **state)
{
    (void)state;
    for (int destroys = 0; destroys < 2; destroys++) {
        struct bed b;
        struct hc h = {.destroys_at_end = destroys == 1};
        bed_plain(&b);
        b.f->chunk = 5;
        struct rpc_http_client_options o = {
            .env = &b.f->env, .addr = "x:1", .events = &hc_events, .arg = &h};
        assert_int_equal(rpc_http_client_open(&o, &h.c), 0);
        rpc_http_client_request(h.c, "POST", "/hello", NULL, 0, SLICE_LIT("abc"));
        fake_env_settle(b.f);
        assert_string_equal(buf_cstr(&h.log), "200 POST q=- body=abc;");
        if (destroys == 0) {
            assert_true(rpc_http_client_can_begin(h.c));
            rpc_http_client_request(h.c, "GET", "/nope", NULL, 0, SLICE_NULL);
            fake_env_settle(b.f);
            assert_string_equal(buf_cstr(&h.log),
                                "200 POST q=- body=abc;404 404 page not found\n;");
            rpc_server_stop(b.rpc, 0, bed_on_stopped, &b);
            fake_env_advance(b.f, 1);
            assert_int_equal(h.downs, 1);
            rpc_http_client_destroy(h.c);
        }
        fake_env_settle(b.f);
        buf_deinit(&h.log);
        bed_free(&b);
    }
}

static void http_client_that_cannot_connect(void **state)
{
    (void)state;
    struct bed b;
    struct hc h = {0};
    bed_plain(&b);
    b.f->refuse_connect = true;
    struct rpc_http_client_options o = {
        .env = &b.f->env, .addr = "x:1", .events = &hc_events, .arg = &h};
    assert_int_equal(rpc_http_client_open(&o, &h.c), 0);
    fake_env_settle(b.f);
    assert_int_equal(h.downs, 1);
    assert_int_equal(h.err, ERR_REFUSED);
    rpc_http_client_destroy(h.c);
    bed_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_channel_makes_calls),
        cmocka_unit_test(a_turn_is_one_write),
        cmocka_unit_test(a_refused_connection),
        cmocka_unit_test(destroying_from_inside_on_done),
        cmocka_unit_test(keepalive_and_the_end_of_grace),
        cmocka_unit_test(keepalive_finds_a_dead_server),
        cmocka_unit_test(stopping_waits_for_calls),
        cmocka_unit_test(calls_over_tls),
        cmocka_unit_test(plain_text_on_a_tls_port),
        cmocka_unit_test(http_client_requests),
        cmocka_unit_test(http_client_that_cannot_connect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
