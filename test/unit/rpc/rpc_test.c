/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of rpc: listeners, protocol choice, HTTP handlers, channels, bounds and stopping, over the
 * fake env; TLS through a toy cipher behind the seam.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/prng.h"
#include "fake_env.h"
#include "rpc/http_client.h"
#include "rpc/rpc.h"
#include "rpc/rpc_client.h"

/* ---- toy TLS: every byte xor 0x5a; the client's hello is "\x16hello", the server's "HELLO" ----
 */

struct toy_tls {
    struct rpc_tls tls;
    bool is_server, is_ready, hello_sent;
    const char *alpn;
    struct buf seen;
};

static int toy_feed(struct rpc_tls *t, struct slice bytes, struct buf *in, struct buf *out)
{
    struct toy_tls *y = container_of(t, struct toy_tls, tls);
    const char *want = y->is_server ? "\x16hello" : "HELLO";
    if (!y->is_server && !y->hello_sent) {
        y->hello_sent = true;
        buf_append_cstr(out, "\x16hello");
    }
    for (size_t i = 0; i < bytes.len; i++) {
        if (y->is_ready) {
            buf_append_byte(in, bytes.data[i] ^ 0x5a);
            continue;
        }
        if (bytes.data[i] != (uint8_t)want[y->seen.len]) {
            buf_append_cstr(out, "ALERT");
            return ERR_MALFORMED;
        }
        buf_append_byte(&y->seen, bytes.data[i]);
        if (y->seen.len == strlen(want)) {
            y->is_ready = true;
            if (y->is_server) {
                buf_append_cstr(out, "HELLO");
            }
        }
    }
    return 0;
}

static int toy_seal(struct rpc_tls *t, const struct slice *parts, size_t count, struct buf *out)
{
    (void)t;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < parts[i].len; k++) {
            buf_append_byte(out, parts[i].data[k] ^ 0x5a);
        }
    }
    return 0;
}

static void toy_shutdown(struct rpc_tls *t, struct buf *out)
{
    (void)t;
    (void)out;
}

static bool toy_ready(const struct rpc_tls *t)
{
    return container_of(t, struct toy_tls, tls)->is_ready;
}

static const char *toy_alpn(const struct rpc_tls *t)
{
    return container_of(t, struct toy_tls, tls)->alpn;
}

static const char *toy_name(const struct rpc_tls *t)
{
    (void)t;
    return "toy-cn";
}

static void toy_destroy(struct rpc_tls *t)
{
    struct toy_tls *y = container_of(t, struct toy_tls, tls);
    buf_deinit(&y->seen);
    mem_free(y);
}

static const struct rpc_tls_ops toy_ops = {toy_feed, toy_seal, toy_shutdown, toy_ready,
                                           toy_alpn, toy_name, toy_name,     toy_destroy};

struct toy_conf {
    bool is_server;
    const char *alpn;
};

static struct rpc_tls *toy_create(void *arg, const char *peer)
{
    (void)peer;
    const struct toy_conf *conf = arg;
    struct toy_tls *y = mem_zalloc(sizeof(*y));
    y->tls.ops = &toy_ops;
    y->is_server = conf->is_server;
    y->alpn = conf->alpn;
    return &y->tls;
}

/* ---- bed --------------------------------------------------------------------------------------
 */

struct bed {
    struct fake_env *f;
    struct grpc_server *grpc;
    struct rpc_server *rpc;
    struct rpc_listener *l;
    struct rpc_http_req *held;
    struct buf body;
    int gone, writables, stopped, ended;
    struct grpc_call *held_call;
    int cancels;
};

static void echo(struct grpc_call *call, struct slice msg)
{
    grpc_call_finish_unary(call, msg);
}

static void who(struct grpc_call *call, struct slice msg)
{
    (void)msg;
    grpc_call_finish_unary(call, slice_cstr(grpc_call_peer_common_name(call)));
}

static void hold_call(struct grpc_call *call, struct slice msg)
{
    (void)msg;
    ((struct bed *)grpc_call_service(call))->held_call = call;
}

static void on_cancel(struct grpc_call *call, int err)
{
    (void)err;
    struct bed *b = grpc_call_service(call);
    b->cancels++;
    b->held_call = NULL;
}

static const struct grpc_method methods[] = {
    {"t.S", "Echo", GRPC_KIND_UNARY, .on_message = echo},
    {"t.S", "Who", GRPC_KIND_UNARY, .on_message = who},
    {"t.S", "Hold", GRPC_KIND_UNARY, .on_message = hold_call, .on_cancel = on_cancel},
};

static void h_hello(void *arg, struct rpc_http_req *req)
{
    (void)arg;
    static const struct rpc_http_header h[] = {{"Content-Type", SLICE_LIT("text/plain")}};
    char text[200];
    struct buf v = BUF_INIT;
    bool has = rpc_http_query_get(rpc_http_query(req), "q", &v);
    int n = snprintf(text, sizeof(text), "%.*s q=%s body=%.*s", (int)rpc_http_method(req).len,
                     (const char *)rpc_http_method(req).data, has ? buf_cstr(&v) : "-",
                     (int)rpc_http_body(req).len, (const char *)rpc_http_body(req).data);
    buf_deinit(&v);
    rpc_http_respond(req, 200, h, 1, slice_make(text, (size_t)n));
}

static void h_hold(void *arg, struct rpc_http_req *req)
{
    ((struct bed *)arg)->held = req;
}

static void h_gone(void *arg, struct rpc_http_req *req)
{
    struct bed *b = arg;
    assert_string_equal(rpc_http_peer(req), "127.0.0.1:1234");
    assert_ptr_equal(b->held, req);
    b->held = NULL;
    b->gone++;
}

static void h_body(void *arg, struct rpc_http_req *req, struct slice bytes)
{
    (void)req;
    buf_append_slice(&((struct bed *)arg)->body, bytes);
}

static void h_end(void *arg, struct rpc_http_req *req)
{
    (void)req;
    ((struct bed *)arg)->ended++;
}

static void h_writable(void *arg, struct rpc_http_req *req)
{
    (void)req;
    ((struct bed *)arg)->writables++;
}

static bool filter(void *arg, struct rpc_http_req *req)
{
    (void)arg;
    if (!slice_equal(rpc_http_method(req), SLICE_LIT("OPTIONS"))) {
        return false;
    }
    rpc_http_respond(req, 200, NULL, 0, SLICE_NULL);
    return true;
}

static const struct rpc_http_header *extra(void *arg, struct rpc_http_req *req, size_t *out_count)
{
    (void)arg;
    (void)req;
    static const struct rpc_http_header h[] = {{"Access-Control-Allow-Origin", SLICE_LIT("*")}};
    *out_count = 1;
    return h;
}

static struct rpc_http_handler handlers[3];

static void bed_make(struct bed *b, const struct rpc_tls_factory *tls, bool has_plain,
                     unsigned accept)
{
    memset(b, 0, sizeof(*b));
    b->f = fake_env_create();
    struct grpc_server_options go = {0};
    b->grpc = grpc_server_create(&b->f->env, &go);
    grpc_server_add(b->grpc, methods, ARRAY_LEN(methods), b);
    struct rpc_server_options ro = {.env = &b->f->env, .grpc = b->grpc, .connections_max = 3};
    b->rpc = rpc_server_create(&ro);
    handlers[0] = (struct rpc_http_handler){"/hello", true, h_hello, NULL, NULL, NULL, NULL, b};
    handlers[1] =
        (struct rpc_http_handler){"/hold/", false, h_hold, h_body, h_end, h_gone, h_writable, b};
    handlers[2] =
        (struct rpc_http_handler){"/hold/whole", true, h_hold, NULL, NULL, h_gone, NULL, b};
    struct rpc_listen_options lo = {
        .accept = accept,
        .has_plain = has_plain,
        .tls = tls,
        .handlers = handlers,
        .handler_count = 3,
        .http_filter = filter,
        .http_extra_headers = extra,
        .arg = b,
    };
    assert_int_equal(rpc_server_listen(b->rpc, "127.0.0.1:0", &lo, &b->l), 0);
    assert_string_equal(rpc_listener_name(b->l), "127.0.0.1:2379");
}

static void bed_plain(struct bed *b)
{
    bed_make(b, NULL, true, RPC_ACCEPT_GRPC | RPC_ACCEPT_HTTP);
}

static void on_stopped(void *arg)
{
    ((struct bed *)arg)->stopped++;
}

static void bed_free(struct bed *b)
{
    if (b->stopped == 0) {
        rpc_server_stop(b->rpc, 0, on_stopped, b);
        fake_env_advance(b->f, 10000);
        assert_int_equal(b->stopped, 1);
    }
    assert_int_equal(rpc_server_stats(b->rpc)->conns_open, 0);
    rpc_server_destroy(b->rpc);
    fake_env_settle(b->f);
    grpc_server_destroy(b->grpc);
    buf_deinit(&b->body);
    fake_env_destroy(b->f);
}

/* ---- HTTP/1 -----------------------------------------------------------------------------------
 */

#define TAIL "Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n"

static void talk(struct bed *b, const char *in, const char *want, bool closes)
{
    static const size_t chunks[] = {1, 3, 17, 65536};
    for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
        struct fake_client c;
        b->f->chunk = chunks[i];
        fake_client_open(&c, b->f);
        assert_true(c.is_up);
        fake_client_send(&c, slice_cstr(in));
        assert_string_equal(buf_cstr(&c.got), want);
        assert_int_equal(c.is_eof, closes);
        fake_client_close(&c);
        fake_env_settle(b->f);
        assert_int_equal(rpc_server_stats(b->rpc)->conns_open, 0);
    }
}

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
    rpc_server_stop(b.rpc, 1000, on_stopped, &b);
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
    rpc_server_stop(b.rpc, 5000, on_stopped, &b);
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
    static const struct {
        const char *method, *path, *type;
        bool has_body;
        const char *want;
    } rows[] = {
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
    struct buf logs[ARRAY_LEN(rows)] = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct h2_header h[] = {
            {SLICE_LIT(":method"), slice_cstr(rows[i].method), false},
            H2_HEADER_LIT(":scheme", "https"),
            {SLICE_LIT(":path"), slice_cstr(rows[i].path), false},
            H2_HEADER_LIT(":authority", "h"),
            {SLICE_LIT("content-type"), slice_cstr(rows[i].type), false},
        };
        struct h2_stream *st;
        assert_int_equal(h2_session_request(h2, h, 5, rows[i].has_body, &x_ops, &logs[i], &st), 0);
        h2_settle(&c, h2);
        if (rows[i].want != NULL) {
            assert_string_equal(buf_cstr(&logs[i]), rows[i].want);
        }
    }
    /* The held one: streamed. */
    assert_non_null(b.held);
    assert_string_equal(buf_cstr(&b.body), "abc");
    assert_true(rpc_http_is_tls(b.held));
    assert_false(rpc_http_upgrade(b.held, NULL, 0));
    struct buf *log = &logs[ARRAY_LEN(rows) - 1];
    rpc_http_begin(b.held, 200, NULL, 0);
    rpc_http_write(b.held, SLICE_LIT("12"));
    h2_settle(&c, h2);
    assert_non_null(strstr(buf_cstr(log), "\n12"));
    rpc_http_write(b.held, SLICE_LIT("34"));
    rpc_http_finish(b.held);
    b.held = NULL;
    h2_settle(&c, h2);
    assert_non_null(strstr(buf_cstr(log), "\n1234\nFIN\nCLOSE 0\n"));
    h2_session_destroy(h2);
    http_pool_destroy(pool);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_deinit(&logs[i]);
    }
    fake_client_close(&c);
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
            rpc_server_stop(b.rpc, 0, on_stopped, &b);
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
        cmocka_unit_test(a_channel_makes_calls),
        cmocka_unit_test(a_turn_is_one_write),
        cmocka_unit_test(a_refused_connection),
        cmocka_unit_test(destroying_from_inside_on_done),
        cmocka_unit_test(keepalive_and_the_end_of_grace),
        cmocka_unit_test(keepalive_finds_a_dead_server),
        cmocka_unit_test(stopping_waits_for_calls),
        cmocka_unit_test(calls_over_tls),
        cmocka_unit_test(plain_text_on_a_tls_port),
        cmocka_unit_test(pages_over_http2),
        cmocka_unit_test(http_client_requests),
        cmocka_unit_test(http_client_that_cannot_connect),
        cmocka_unit_test(queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
