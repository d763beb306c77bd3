/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of the HTTP/1.1 sessions: scripts of bytes in and out, each also split at every byte, and
 * client against server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/prng.h"
#include "http/h1.h"

/* A server whose handler is told by the path what to do; notes what it sees in log. */
struct fixture {
    struct h1_server *s;
    struct buf out;
    struct buf log;
    struct buf body;
    char path[32];
    bool answers_early, answers_late;
};

static void pump(struct fixture *f)
{
    struct http_out o;
    http_out_init(&o);
    h1_server_send(f->s, &o);
    for (size_t i = 0; i < o.count; i++) {
        buf_append_slice(&f->out, o.parts[i]);
    }
    h1_server_sent(f->s);
    http_out_deinit(&o);
}

static void answer(struct fixture *f)
{
    static const struct h1_header h[] = {{SLICE_LIT("X"), SLICE_LIT("y")}};
    if (strcmp(f->path, "/chunked") == 0) {
        h1_server_begin(f->s, 200, h, 1);
        h1_server_write(f->s, SLICE_LIT("abc"));
        h1_server_write(f->s, SLICE_NULL);
        h1_server_write(f->s, SLICE_LIT("0123456789ABCDEF"));
        h1_server_finish(f->s);
    } else if (strcmp(f->path, "/abort") == 0) {
        h1_server_abort(f->s);
    } else {
        h1_server_respond(f->s, 200, h, 1, buf_slice(&f->body));
    }
}

static void on_request(void *arg, const struct h1_head *head)
{
    struct fixture *f = arg;
    snprintf(f->path, sizeof(f->path), "%.*s", (int)head->target.len,
             (const char *)head->target.data);
    buf_append_slice(&f->log, head->method);
    buf_append_byte(&f->log, ' ');
    buf_append_slice(&f->log, head->target);
    for (size_t i = 0; i < head->count; i++) {
        buf_append_byte(&f->log, ' ');
        buf_append_slice(&f->log, head->headers[i].name);
        buf_append_byte(&f->log, '=');
        buf_append_slice(&f->log, head->headers[i].value);
    }
    buf_append_byte(&f->log, '\n');
    buf_clear(&f->body);
    f->answers_early = strncmp(f->path, "/early", 6) == 0;
    f->answers_late = strncmp(f->path, "/late", 5) == 0;
    if (strcmp(f->path, "/upgrade") == 0) {
        h1_server_upgrade(f->s, NULL, 0);
    } else if (f->answers_early) {
        answer(f);
    }
}

static void on_body(void *arg, struct slice bytes)
{
    struct fixture *f = arg;
    buf_append_slice(&f->body, bytes);
    if (strcmp(f->path, "/upgrade") == 0) {
        h1_server_write(f->s, bytes);
    }
}

static void on_end(void *arg)
{
    struct fixture *f = arg;
    if (!f->answers_early && !f->answers_late && strcmp(f->path, "/upgrade") != 0) {
        answer(f);
    }
}

static void on_want_write(void *arg)
{
    (void)arg;
}

static const struct h1_server_ops ops = {on_request, on_body, on_end, on_want_write};

static void setup(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->s = h1_server_create(&ops, f);
}

static void teardown(struct fixture *f)
{
    h1_server_destroy(f->s);
    buf_deinit(&f->out);
    buf_deinit(&f->log);
    buf_deinit(&f->body);
}

static void feed(struct fixture *f, struct slice in, size_t step)
{
    while (in.len > 0) {
        size_t n = in.len < step ? in.len : step;
        uint8_t copy[256 * 1024];
        assert_true(n <= sizeof(copy));
        memcpy(copy, in.data, n);
        h1_server_recv(f->s, slice_make(copy, n));
        in = slice_skip(in, n);
    }
    pump(f);
}

struct script {
    const char *in, *out, *log;
    bool is_done;
};

static const struct script scripts[] = {
    {"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 0\r\n\r\n",
     "GET /a Host=x\n", false},
    {"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
     "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\nhello",
     "POST /p Host=x Content-Length=5\n", false},
    {"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
     "chunked\r\n\r\n2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\nT: "
     "railer\r\n\r\n",
     "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\nhello",
     "POST /p Host=x Transfer-Encoding=chunked\n", false},
    /* Two at once: answered in order. */
    {"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /chunked HTTP/1.1\r\nHost: x\r\n\r\n",
     "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nX: "
     "y\r\nTransfer-Encoding: "
     "chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789ABCDEF\r\n0\r\n\r\n",
     "GET /1 Host=x\nGET /chunked Host=x\n", false},
    {"HEAD /h HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n",
     "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nX: "
     "y\r\nContent-Length: "
     "0\r\n\r\n",
     "HEAD /h Host=x\nGET /2 Host=x\n", false},
    {"GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /never",
     "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
     "GET /c Host=x Connection=close\n", true},
    {"GET /old HTTP/1.0\r\n\r\n",
     "HTTP/1.0 200 OK\r\nX: y\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "GET /old\n",
     true},
    {"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     "HTTP/1.0 200 OK\r\nX: y\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
     "GET /old Connection=keep-alive\n", false},
    {"GET /chunked HTTP/1.0\r\n\r\n",
     "HTTP/1.0 200 OK\r\nX: y\r\nConnection: close\r\n\r\nabc0123456789ABCDEF", "GET /chunked\n",
     true},
    {"POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 2\r\n\r\nok",
     "POST /e Host=x Expect=100-continue Content-Length=2\n", false},
    /* Answered before the body: it is read and dropped. */
    {"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcdGET /n HTTP/1.1\r\nHost: "
     "x\r\n\r\n",
     "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nX: "
     "y\r\nContent-Length: "
     "0\r\n\r\n",
     "POST /early Host=x Content-Length=4\nGET /n Host=x\n", false},
    {"GET /h2c HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: "
     "h2c\r\nHTTP2-Settings: AA\r\n\r\n",
     "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 0\r\n\r\n",
     "GET /h2c Host=x Connection=Upgrade, HTTP2-Settings Upgrade=h2c HTTP2-Settings=AA\n", false},
    {"GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "
     "websocket\r\n\r\n\x81\x02hi",
     "HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x02hi",
     "GET /upgrade Host=x Connection=Upgrade Upgrade=websocket\n", false},
    {"GET /abort HTTP/1.1\r\nHost: x\r\n\r\n", "", "GET /abort Host=x\n", true},
    /* Bad requests. */
    {"GET /nohost HTTP/1.1\r\n\r\n",
     "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: "
     "close\r\n\r\n400 Bad Request",
     "", true},
    {"GET / HTTP/1.1\r\nHo st: x\r\n\r\n",
     "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: "
     "close\r\n\r\n400 Bad Request",
     "", true},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n",
     "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: "
     "close\r\n\r\n400 Bad Request",
     "", true},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: "
     "chunked\r\n\r\n0\r\n\r\n",
     "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: "
     "close\r\n\r\n400 Bad Request",
     "", true},
};

static void run(const struct script *sc, size_t step)
{
    struct fixture f;
    setup(&f);
    feed(&f, slice_cstr(sc->in), step);
    assert_string_equal(buf_cstr(&f.out), sc->out);
    assert_string_equal(buf_cstr(&f.log), sc->log);
    assert_int_equal(h1_server_is_done(f.s), sc->is_done);
    teardown(&f);
}

static void scripts_whole_and_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        for (size_t step = 1; step < 40; step += 3) {
            run(&scripts[i], step);
        }
        run(&scripts[i], 100000);
    }
}

static void a_late_answer_holds_the_pipeline(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    feed(&f, SLICE_LIT("GET /late HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"),
         7);
    assert_string_equal(buf_cstr(&f.log), "GET /late Host=x\n");
    assert_int_equal(f.out.len, 0);
    answer(&f);
    pump(&f);
    assert_string_equal(buf_cstr(&f.log), "GET /late Host=x\nGET /2 Host=x\n");
    assert_true(h1_server_is_idle(f.s));
    teardown(&f);
}

static void held_input_is_bounded(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    feed(&f, SLICE_LIT("GET /late HTTP/1.1\r\nHost: x\r\n\r\n"), 100);
    static uint8_t junk[4096];
    size_t fed = 0;
    while (h1_server_wants_read(f.s)) {
        h1_server_recv(f.s, slice_make(junk, sizeof(junk)));
        fed += sizeof(junk);
        assert_true(fed <= H1_HELD_BYTES + sizeof(junk));
    }
    answer(&f);
    assert_true(h1_server_is_done(f.s)); /* junk is no request */
    teardown(&f);
}

static void a_paused_body_waits(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    feed(&f, SLICE_LIT("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab"), 1000);
    h1_server_body_pause(f.s);
    feed(&f, SLICE_LIT("cdef"), 2);
    assert_int_equal(f.body.len, 2);
    h1_server_body_resume(f.s);
    pump(&f);
    assert_int_equal(f.body.len, 6);
    assert_non_null(strstr(buf_cstr(&f.out), "abcdef"));
    teardown(&f);
}

static void headers_are_bounded(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct buf in = BUF_INIT;
    buf_append_cstr(&in, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 20000; i++) {
        buf_append_cstr(&in, "Header: 0123456789012345678901234567890123456789\r\n");
    }
    struct slice rest = buf_slice(&in);
    while (rest.len > 0 && !h1_server_is_done(f.s)) {
        size_t n = rest.len < 4000 ? rest.len : 4000;
        h1_server_recv(f.s, slice_make(rest.data, n));
        rest = slice_skip(rest, n);
    }
    assert_true(h1_server_is_done(f.s));
    pump(&f);
    assert_non_null(strstr(buf_cstr(&f.out), "431 Request Header Fields Too Large"));
    buf_deinit(&in);
    teardown(&f);
}

static void an_unwanted_body_is_dropped_up_to_a_bound(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    feed(&f, SLICE_LIT("POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"), 100);
    static uint8_t junk[64 * 1024];
    int i = 0;
    for (; i < 10 && !h1_server_is_done(f.s); i++) {
        h1_server_recv(f.s, slice_make(junk, sizeof(junk)));
    }
    assert_true(h1_server_is_done(f.s));
    assert_int_equal(i, 5);
    teardown(&f);
}

static void drain_ends_an_idle_session_and_closes_a_busy_one(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    h1_server_drain(f.s);
    assert_true(h1_server_is_done(f.s));
    teardown(&f);
    setup(&f);
    feed(&f, SLICE_LIT("GET /late HTTP/1.1\r\nHost: x\r\n\r\n"), 100);
    h1_server_drain(f.s);
    assert_false(h1_server_is_done(f.s));
    answer(&f);
    pump(&f);
    assert_non_null(strstr(buf_cstr(&f.out), "Connection: close\r\n"));
    assert_true(h1_server_is_done(f.s));
    teardown(&f);
}

static void response_headers_cannot_be_split(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    feed(&f, SLICE_LIT("GET /late HTTP/1.1\r\nHost: x\r\n\r\n"), 100);
    struct h1_header h = {SLICE_LIT("A"), SLICE_LIT("b\r\nEvil: yes")};
    h1_server_respond(f.s, 404, &h, 1, SLICE_LIT("no"));
    pump(&f);
    assert_string_equal(buf_cstr(&f.out),
                        "HTTP/1.1 404 Not Found\r\nA: b  Evil: yes\r\nContent-Length: 2\r\n\r\nno");
    teardown(&f);
}

static void rubbish_never_hurts(void **state)
{
    (void)state;
    struct prng r;
    prng_init(&r, 3);
    for (int i = 0; i < 3000; i++) {
        struct fixture f;
        setup(&f);
        const struct script *sc = &scripts[prng_below(&r, ARRAY_LEN(scripts))];
        char in[512];
        size_t len = strlen(sc->in);
        memcpy(in, sc->in, len);
        for (uint64_t k = prng_below(&r, 4) + 1; k > 0; k--) {
            in[prng_below(&r, len)] = (char)prng_next(&r);
        }
        feed(&f, slice_make(in, len), 1 + prng_below(&r, 50));
        teardown(&f);
    }
}

/* ---- client -----------------------------------------------------------------------------------
 */

struct client_fixture {
    struct h1_client *c;
    struct buf log;
    int ends;
};

static void c_response(void *arg, const struct h1_head *head)
{
    struct client_fixture *f = arg;
    buf_printf(&f->log, "%d", head->status);
}

static void c_body(void *arg, struct slice bytes)
{
    struct client_fixture *f = arg;
    buf_append_byte(&f->log, '+');
    buf_append_slice(&f->log, bytes);
}

static void c_end(void *arg)
{
    struct client_fixture *f = arg;
    buf_append_cstr(&f->log, ";");
    f->ends++;
}

static const struct h1_client_ops client_ops = {c_response, c_body, c_end, on_want_write};

static void client_talks_to_server(void **state)
{
    (void)state;
    for (size_t step = 1; step < 30; step += 4) {
        struct client_fixture cf = {0};
        cf.c = h1_client_create(&client_ops, &cf);
        struct fixture f;
        setup(&f);
        for (int round = 0; round < 3; round++) {
            bool chunked = round == 1;
            h1_client_begin(cf.c, "POST", "/p", "host:1", NULL, 0, chunked ? H1_BODY_CHUNKED : 4);
            h1_client_write(cf.c, SLICE_LIT("ab"));
            h1_client_write(cf.c, SLICE_LIT("cd"));
            h1_client_finish(cf.c);
            struct http_out o;
            http_out_init(&o);
            h1_client_send(cf.c, &o);
            for (size_t i = 0; i < o.count; i++) {
                feed(&f, o.parts[i], step);
            }
            h1_client_sent(cf.c);
            http_out_deinit(&o);
            pump(&f);
            struct slice rest = buf_slice(&f.out);
            buf_clear(&cf.log);
            while (rest.len > 0) {
                size_t n = rest.len < step ? rest.len : step;
                assert_int_equal(h1_client_recv(cf.c, slice_make(rest.data, n)), 0);
                rest = slice_skip(rest, n);
            }
            buf_clear(&f.out);
            assert_int_equal(cf.ends, round + 1);
            assert_false(h1_client_is_busy(cf.c));
            assert_false(h1_client_is_done(cf.c));
        }
        teardown(&f);
        h1_client_destroy(cf.c);
        buf_deinit(&cf.log);
    }
}

static void client_reads_every_kind_of_end(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *log;
        int recv, eof;
        bool is_done;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "200+hi;", 0, 1, false},
        {"HTTP/1.1 200 OK\r\n\r\nto the end", "200+to the end;", 0, 0, true},
        {"HTTP/1.1 204 No Content\r\n\r\n", "204;", 0, 1, false},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200;", 0, 1,
         false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "200+x;", 0, 1,
         false},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "200;", 0, 1, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "200+hi", 0, ERR_TRUNCATED, true},
        {"HTTP/1.1 abc\r\n\r\n", "", ERR_MALFORMED, 1, true},
        {"SSH-2.0-x\r\n", "", ERR_MALFORMED, 1, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct client_fixture cf = {0};
        cf.c = h1_client_create(&client_ops, &cf);
        h1_client_begin(cf.c, "GET", "/", "h", NULL, 0, 0);
        h1_client_finish(cf.c);
        assert_int_equal(h1_client_recv(cf.c, slice_cstr(rows[i].in)), rows[i].recv);
        if (rows[i].eof != 1) {
            assert_int_equal(h1_client_eof(cf.c), rows[i].eof);
        }
        assert_string_equal(buf_cstr(&cf.log), rows[i].log);
        assert_int_equal(h1_client_is_done(cf.c), rows[i].is_done);
        h1_client_destroy(cf.c);
        buf_deinit(&cf.log);
    }
}

static void client_refuses_an_answer_to_nothing(void **state)
{
    (void)state;
    struct client_fixture cf = {0};
    cf.c = h1_client_create(&client_ops, &cf);
    assert_int_equal(
        h1_client_recv(cf.c, SLICE_LIT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
        ERR_MALFORMED);
    h1_client_destroy(cf.c);
    buf_deinit(&cf.log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_whole_and_split),
        cmocka_unit_test(a_late_answer_holds_the_pipeline),
        cmocka_unit_test(held_input_is_bounded),
        cmocka_unit_test(a_paused_body_waits),
        cmocka_unit_test(headers_are_bounded),
        cmocka_unit_test(an_unwanted_body_is_dropped_up_to_a_bound),
        cmocka_unit_test(drain_ends_an_idle_session_and_closes_a_busy_one),
        cmocka_unit_test(response_headers_cannot_be_split),
        cmocka_unit_test(rubbish_never_hurts),
        cmocka_unit_test(client_talks_to_server),
        cmocka_unit_test(client_reads_every_kind_of_end),
        cmocka_unit_test(client_refuses_an_answer_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
