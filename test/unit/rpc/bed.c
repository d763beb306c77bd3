/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/rpc/bed: see bed.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bed.h"

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

static const char *toy_error(const struct rpc_tls *t)
{
    (void)t;
    return "";
}

static void toy_reject(struct rpc_tls *t, const char *why)
{
    (void)t;
    (void)why;
}

static const struct rpc_tls_ops toy_ops = {.feed = toy_feed,
                                           .seal = toy_seal,
                                           .shutdown = toy_shutdown,
                                           .is_ready = toy_ready,
                                           .alpn = toy_alpn,
                                           .peer_common_name = toy_name,
                                           .error_text = toy_error,
                                           .reject = toy_reject,
                                           .destroy = toy_destroy};

struct rpc_tls *toy_create(void *arg, const char *peer)
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

void bed_make(struct bed *b, const struct rpc_tls_factory *tls, bool has_plain, unsigned accept)
{
    memset(b, 0, sizeof(*b));
    b->f = fake_env_create();
    struct grpc_server_options go = {0};
    b->grpc = grpc_server_create(&b->f->env, &go);
    grpc_server_add(b->grpc, methods, ARRAY_LEN(methods), b);
    struct rpc_server_options ro = {.env = &b->f->env, .grpc = b->grpc, .connections_max = 3};
    b->rpc = rpc_server_create(&ro);
    for (int i = 0; i < BED_WORKERS; i++) {
        assert_int_equal(rpc_worker_create(b->rpc, BED_WORKERS, &b->workers[i]), 0);
        assert_int_equal(rpc_worker_open(b->workers[i], &b->f->env), 0);
    }
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

void bed_plain(struct bed *b)
{
    bed_make(b, NULL, true, RPC_ACCEPT_GRPC | RPC_ACCEPT_HTTP);
}

void bed_on_stopped(void *arg)
{
    ((struct bed *)arg)->stopped++;
}

void bed_free(struct bed *b)
{
    if (b->stopped == 0) {
        rpc_server_stop(b->rpc, 0, bed_on_stopped, b);
        fake_env_advance(b->f, 10000);
        assert_int_equal(b->stopped, 1);
    }
    assert_int_equal(rpc_server_stats(b->rpc)->conns_open, 0);
    fake_env_settle(b->f);
    for (int i = 0; i < BED_WORKERS; i++) {
        rpc_worker_close(b->workers[i]);
        rpc_worker_destroy(b->workers[i]);
    }
    rpc_server_destroy(b->rpc);
    fake_env_settle(b->f);
    grpc_server_destroy(b->grpc);
    buf_deinit(&b->body);
    fake_env_destroy(b->f);
}

void talk(struct bed *b, const char *in, const char *want, bool closes)
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
