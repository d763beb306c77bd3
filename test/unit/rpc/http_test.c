/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of HTTP requests: pages, streams, refusals, bounds, over HTTP/1.1 and HTTP/2.
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

/* ---- HTTP/1 -----------------------------------------------------------------------------------
 */

#define TAIL "Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n"

static void pages(void **state)
{
    (void)state;
    struct bed b;
    bed_plain(&b);
    talk(&b, "GET /hello?a=b&q=x%20y+z HTTP/1.1\r\nHost: h\r\n\r\n",
         "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: text/plain\r\n" TAIL
         "Content-Length: 17\r\n\r\nGET q=x y z body=",
         false);
    talk(&b, "POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
         "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: text/plain\r\n" TAIL
         "Content-Length: 17\r\n\r\nPOST q=- body=abc",
         false);
    talk(&b, "GET http://h/nope HTTP/1.1\r\nHost: h\r\n\r\n",
         "HTTP/1.1 404 Not Found\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: text/plain; "
         "charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n" TAIL
         "Content-Length: 19\r\n\r\n404 page not found\n",
         false);
    talk(&b, "OPTIONS /any HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
         "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\n" TAIL
         "Content-Length: 0\r\nConnection: close\r\n\r\n",
         true);
    bed_free(&b);
}

static void rubbish_is_closed_without_a_byte(void **state)
{
    (void)state;
    struct bed b;
    bed_plain(&b);
    talk(&b, "hello there\n", "", true);
    talk(&b, "\x16\x03\x01 not here\r\n", "", true);
    talk(&b, "GET /x HTTP/2.0\r\n\r\n", "", true);
    talk(&b, " HTTP/1.1\r\n\r\n", "", true);
    talk(&b, "PRI * HTTP/1.1\r\nHost: x\r\n\r\n", /* looks like the preface for long */
         "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: "
         "close\r\n\r\n400 Bad Request",
         true);
    talk(&b, "GET /partial", "", false); /* waits */
    bed_free(&b);
}

static void the_header_timeout_closes(void **state)
{
    (void)state;
    struct bed b;
    bed_plain(&b);
    static const char *const starts[] = {"", "GET /par", "GET /hello HTTP/1.1\r\nHos",
                                         "GET /hello HTTP/1.1\r\nHost: h\r\n\r\nGET"};
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        struct fake_client c;
        fake_client_open(&c, b.f);
        if (starts[i][0] != 0) {
            fake_client_send(&c, slice_cstr(starts[i]));
        }
        fake_env_advance(b.f, LIMIT_HEADER_TIMEOUT_MS - 1);
        assert_false(c.is_eof);
        fake_env_advance(b.f, 2);
        assert_true(c.is_eof);
        fake_client_close(&c);
    }
    /* Not while the answer is being made, nor between requests. */
    struct fake_client c;
    fake_client_open(&c, b.f);
    fake_client_send(&c, SLICE_LIT("GET /hold/x HTTP/1.1\r\nHost: h\r\n\r\n"));
    fake_env_advance(b.f, 2 * LIMIT_HEADER_TIMEOUT_MS);
    assert_false(c.is_eof);
    rpc_http_respond(b.held, 204, NULL, 0, SLICE_NULL);
    b.held = NULL;
    fake_env_advance(b.f, 2 * LIMIT_HEADER_TIMEOUT_MS);
    assert_false(c.is_eof);
    fake_client_close(&c);
    bed_free(&b);
}

static void connections_above_the_bound_are_closed(void **state)
{
    (void)state;
    struct bed b;
    bed_plain(&b);
    struct fake_client c[4];
    for (int i = 0; i < 4; i++) {
        fake_client_open(&c[i], b.f);
    }
    fake_env_settle(b.f);
    assert_false(c[2].is_eof);
    assert_true(c[3].is_eof);
    assert_int_equal(rpc_server_stats(b.rpc)->conns_refused, 1);
    for (int i = 0; i < 4; i++) {
        fake_client_close(&c[i]);
    }
    bed_free(&b);
}

static void a_streamed_answer(void **state)
{
    (void)state;
    struct bed b;
    bed_plain(&b);
    struct fake_client c;
    fake_client_open(&c, b.f);
    fake_client_send(&c,
                     SLICE_LIT("POST /hold/x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab"));
    assert_non_null(b.held);
    assert_string_equal(buf_cstr(&b.body), "ab");
    rpc_http_begin(b.held, 200, NULL, 0);
    rpc_http_write(b.held, SLICE_LIT("one"));
    fake_env_settle(b.f);
    assert_non_null(strstr(buf_cstr(&c.got), "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n"));
    fake_client_send(&c, SLICE_LIT("cd"));
    assert_int_equal(b.ended, 1);
    rpc_http_write(b.held, SLICE_LIT("two"));
    rpc_http_finish(b.held);
    b.held = NULL;
    fake_client_send(&c, SLICE_LIT("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_non_null(strstr(buf_cstr(&c.got), "3\r\ntwo\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"));
    fake_client_close(&c);
    assert_int_equal(b.gone, 0);
    bed_free(&b);
}

static void a_client_that_goes_is_noticed(void **state)
{
    (void)state;
    static const char *const reqs[] = {"GET /hold/x HTTP/1.1\r\nHost: h\r\n\r\n",
                                       "GET /hold/whole HTTP/1.1\r\nHost: h\r\n\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(reqs); i++) {
        struct bed b;
        bed_plain(&b);
        struct fake_client c;
        fake_client_open(&c, b.f);
        fake_client_send(&c, slice_cstr(reqs[i]));
        assert_non_null(b.held);
        fake_client_close(&c);
        assert_int_equal(b.gone, 1);
        bed_free(&b);
    }
}

static void a_slow_reader_stops_the_writer(void **state)
{
    (void)state;
    struct bed b;
    bed_plain(&b);
    struct fake_client c;
    fake_client_open(&c, b.f);
    fake_client_send(&c, SLICE_LIT("GET /hold/x HTTP/1.1\r\nHost: h\r\n\r\n"));
    rpc_http_begin(b.held, 200, NULL, 0);
    c.conn->ops->read_pause(c.conn);
    static uint8_t data[100000];
    int n = 0;
    while (rpc_http_can_write(b.held) && n < 1000) {
        rpc_http_write(b.held, slice_make(data, sizeof(data)));
        fake_env_settle(b.f);
        n++;
    }
    assert_in_range(n, 15, 35); /* pipe window + LIMIT_CONN_OUT_BYTES */
    assert_int_equal(b.writables, 0);
    c.conn->ops->read_resume(c.conn);
    fake_env_settle(b.f);
    assert_int_equal(b.writables, 1);
    rpc_http_finish(b.held);
    b.held = NULL;
    fake_env_settle(b.f);
    assert_true(c.got.len > (size_t)n * sizeof(data));
    fake_client_close(&c);
    bed_free(&b);
}

static void too_large_a_body(void **state)
{
    (void)state;
    struct bed b;
    bed_plain(&b);
    struct fake_client c;
    fake_client_open(&c, b.f);
    fake_client_send(
        &c, SLICE_LIT("POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n"));
    static uint8_t data[1 << 20];
    for (int i = 0; i < 6 && !c.is_eof; i++) {
        fake_client_send(&c, slice_make(data, sizeof(data)));
    }
    assert_non_null(strstr(buf_cstr(&c.got), "413 Request Entity Too Large"));
    assert_true(c.is_eof);
    fake_client_close(&c);
    bed_free(&b);
}

static void split_ports_accept_one_kind(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b, NULL, true, RPC_ACCEPT_GRPC);
    talk(&b, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n", "", true);
    bed_free(&b);
    bed_make(&b, NULL, true, RPC_ACCEPT_HTTP);
    talk(&b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", true);
    bed_free(&b);
}

static void an_upgrade_gives_raw_bytes(void **state)
{
    (void)state;
    struct bed b;
    bed_plain(&b);
    struct fake_client c;
    fake_client_open(&c, b.f);
    fake_client_send(
        &c, SLICE_LIT("GET /hold/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: "
                      "websocket\r\n\r\n"));
    struct rpc_http_header h[] = {{"Upgrade", SLICE_LIT("websocket")},
                                  {"Connection", SLICE_LIT("Upgrade")}};
    assert_true(rpc_http_upgrade(b.held, h, 2));
    fake_client_send(&c, SLICE_LIT("raw bytes"));
    assert_string_equal(buf_cstr(&b.body), "raw bytes");
    rpc_http_write(b.held, SLICE_LIT("back"));
    rpc_http_finish(b.held);
    b.held = NULL;
    fake_env_settle(b.f);
    assert_string_equal(buf_cstr(&c.got), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: "
                                          "websocket\r\nConnection: Upgrade\r\n\r\nback");
    assert_true(c.is_eof);
    fake_client_close(&c);
    bed_free(&b);
}

static void queries(void **state)
{
    (void)state;
    struct buf v = BUF_INIT;
    struct slice q = SLICE_LIT("a=1&b=%41+c&&bad=%zz&exclude=X&exclude=Y&flag&x;y=1");
    assert_true(rpc_http_query_get(q, "b", &v));
    assert_string_equal(buf_cstr(&v), "A c");
    assert_true(rpc_http_query_get(q, "flag", &v));
    assert_string_equal(buf_cstr(&v), "");
    assert_false(rpc_http_query_get(q, "bad", &v));
    assert_false(rpc_http_query_get(q, "y", &v));
    assert_false(rpc_http_query_get(SLICE_NULL, "y", &v));
    struct buf n = BUF_INIT;
    size_t count = 0;
    while (rpc_http_query_at(q, count, &n, &v)) {
        count++;
    }
    assert_int_equal(count, 5);
    buf_deinit(&n);
    buf_deinit(&v);
}

/* ---- pages over HTTP/2 (TLS) ------------------------------------------------------------------
 */

struct h2c {
    struct buf log;
};

static void x_header(void *user, struct h2_stream *st, struct slice n, struct slice v)
{
    (void)st;
    struct buf *log = user;
    buf_append_slice(log, n);
    buf_append_byte(log, '=');
    buf_append_slice(log, v);
    buf_append_byte(log, '\n');
}

static void x_headers_end(void *user, struct h2_stream *st, bool is_end)
{
    (void)user;
    (void)st;
    (void)is_end;
}

static void x_data(void *user, struct h2_stream *st, struct slice b)
{
    buf_append_slice(user, b);
    h2_stream_consume(st, b.len);
}

static void x_end(void *user, struct h2_stream *st)
{
    (void)st;
    buf_append_cstr(user, "\nFIN\n");
}

static enum h2_pull x_pull(void *user, struct h2_stream *st, struct h2_sink *sink)
{
    (void)user;
    (void)st;
    h2_sink_append(sink, SLICE_LIT("abc"));
    return H2_PULL_END;
}

static void x_close(void *user, struct h2_stream *st, uint32_t code)
{
    (void)st;
    buf_printf(user, "CLOSE %u\n", code);
}

static const struct h2_stream_ops x_ops = {x_header, x_headers_end, x_data, x_end, x_pull, x_close};
static const struct h2_session_ops x_session = {NULL, NULL, NULL, NULL};

static void xor_in_place(struct buf *b)
{
    for (size_t i = 0; i < b->len; i++) {
        b->data[i] ^= 0x5a;
    }
}

static void h2_settle(struct fake_client *c, struct h2_session *h2)
{
    for (int i = 0; i < 10; i++) {
        struct http_out o;
        http_out_init(&o);
        assert_int_equal(h2_session_send(h2, &o, 1 << 20), 0);
        for (size_t k = 0; k < o.count; k++) {
            struct buf copy = BUF_INIT;
            buf_append_slice(&copy, o.parts[k]);
            xor_in_place(&copy);
            fake_client_send(c, buf_slice(&copy));
            buf_deinit(&copy);
        }
        http_out_deinit(&o);
        fake_env_settle(c->f);
        xor_in_place(&c->got);
        assert_int_equal(h2_session_recv(h2, buf_slice(&c->got), 1), 0);
        buf_clear(&c->got);
    }
}

static const struct {
    const char *method, *path, *type;
    bool has_body;
    const char *want;
} h2_rows[] = {
    {"POST", "/hello?q=1", "application/json", true,
     ":status=200\naccess-control-allow-origin=*\ncontent-type=text/plain\ndate=Mon, 02 Jan "
     "2006 15:04:05 GMT\ncontent-length=17\nPOST q=1 body=abc\nFIN\nCLOSE 0\n"},
    {"HEAD", "/hello", "x", false,
     ":status=200\naccess-control-allow-origin=*\ncontent-type=text/plain\ndate=Mon, 02 Jan "
     "2006 15:04:05 GMT\ncontent-length=14\n\nFIN\nCLOSE 0\n"},
    {"GET", "/nope", "x", false,
     ":status=404\naccess-control-allow-origin=*\ncontent-type=text/plain; "
     "charset=utf-8\nx-content-type-options=nosniff\ndate=Mon, 02 Jan 2006 15:04:05 "
     "GMT\ncontent-length=19\n404 page not found\n\nFIN\nCLOSE 0\n"},
    {"POST", "/t.S/Echo", "application/grpc-web", false,
     ":status=415\ncontent-type=application/grpc\ngrpc-status=3\ngrpc-message=invalid gRPC "
     "request content-type \"application/grpc-web\"\n\nFIN\nCLOSE 0\n"},
    {"POST", "/hold/x", "x", true, NULL},
};

/* Streamed. */
static void answer_the_held_one(struct bed *b, struct fake_client *c, struct h2_session *h2,
                                struct buf *log)
{
    assert_non_null(b->held);
    assert_string_equal(buf_cstr(&b->body), "abc");
    assert_true(rpc_http_is_tls(b->held));
    assert_false(rpc_http_upgrade(b->held, NULL, 0));
    rpc_http_begin(b->held, 200, NULL, 0);
    rpc_http_write(b->held, SLICE_LIT("12"));
    h2_settle(c, h2);
    assert_non_null(strstr(buf_cstr(log), "\n12"));
    rpc_http_write(b->held, SLICE_LIT("34"));
    rpc_http_finish(b->held);
    b->held = NULL;
    h2_settle(c, h2);
    assert_non_null(strstr(buf_cstr(log), "\n1234\nFIN\nCLOSE 0\n"));
}

static void pages_over_http2(void **state)
{
    (void)state;
    struct toy_conf server = {true, "h2"};
    struct rpc_tls_factory sf = {toy_create, &server};
    struct bed b;
    bed_make(&b, &sf, false, RPC_ACCEPT_GRPC | RPC_ACCEPT_HTTP);
    struct fake_client c;
    fake_client_open(&c, b.f);
    fake_client_send(&c, SLICE_LIT("\x16hello"));
    assert_memory_equal(c.got.data, "HELLO", 5);
    buf_consume(&c.got, 5);
    struct http_pool *pool = http_pool_create();
    struct h2_session *h2;
    struct h2_options o = {0};
    assert_int_equal(h2_session_create(&o, pool, &x_session, NULL, &h2), 0);
    struct buf logs[ARRAY_LEN(h2_rows)] = {0};
    for (size_t i = 0; i < ARRAY_LEN(h2_rows); i++) {
        struct h2_header h[] = {
            {SLICE_LIT(":method"), slice_cstr(h2_rows[i].method), false},
            H2_HEADER_LIT(":scheme", "https"),
            {SLICE_LIT(":path"), slice_cstr(h2_rows[i].path), false},
            H2_HEADER_LIT(":authority", "h"),
            {SLICE_LIT("content-type"), slice_cstr(h2_rows[i].type), false},
        };
        struct h2_stream *st;
        assert_int_equal(h2_session_request(h2, h, 5, h2_rows[i].has_body, &x_ops, &logs[i], &st),
                         0);
        h2_settle(&c, h2);
        if (h2_rows[i].want != NULL) {
            assert_string_equal(buf_cstr(&logs[i]), h2_rows[i].want);
        }
    }
    answer_the_held_one(&b, &c, h2, &logs[ARRAY_LEN(h2_rows) - 1]);
    h2_session_destroy(h2);
    http_pool_destroy(pool);
    for (size_t i = 0; i < ARRAY_LEN(h2_rows); i++) {
        buf_deinit(&logs[i]);
    }
    fake_client_close(&c);
    bed_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages),
        cmocka_unit_test(rubbish_is_closed_without_a_byte),
        cmocka_unit_test(the_header_timeout_closes),
        cmocka_unit_test(connections_above_the_bound_are_closed),
        cmocka_unit_test(a_streamed_answer),
        cmocka_unit_test(a_client_that_goes_is_noticed),
        cmocka_unit_test(a_slow_reader_stops_the_writer),
        cmocka_unit_test(too_large_a_body),
        cmocka_unit_test(split_ports_accept_one_kind),
        cmocka_unit_test(an_upgrade_gives_raw_bytes),
        cmocka_unit_test(pages_over_http2),
        cmocka_unit_test(queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
