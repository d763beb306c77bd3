/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of the wire: a bare HTTP/2 client for what a proper client never sends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bed.h"
#include "grpc/frame.h"

/* ---- a bare client ----------------------------------------------------------------------------
 */

struct bare {
    struct fake_env *f;
    struct svc svc;
    struct grpc_server *server;
    struct grpc_conn *conn;
    struct http_pool *pool;
    struct h2_session *h2;
    struct h2_stream *st;
    struct buf log, out;
    size_t out_at;
    bool ends; /* body's end after out */
    uint32_t code;
    bool is_closed;
};

static void x_header(void *user, struct h2_stream *st, struct slice n, struct slice v)
{
    (void)st;
    struct bare *x = user;
    buf_append_slice(&x->log, n);
    buf_append_byte(&x->log, '=');
    buf_append_slice(&x->log, v);
    buf_append_byte(&x->log, '\n');
}

static void x_headers_end(void *user, struct h2_stream *st, bool is_end)
{
    (void)st;
    struct bare *x = user;
    buf_append_cstr(&x->log, is_end ? "END\n" : "-\n");
}

static void x_data(void *user, struct h2_stream *st, struct slice b)
{
    struct bare *x = user;
    buf_append_slice(&x->log, b);
    h2_stream_consume(st, b.len);
}

static void x_end(void *user, struct h2_stream *st)
{
    (void)user;
    (void)st;
}

static enum h2_pull x_pull(void *user, struct h2_stream *st, struct h2_sink *sink)
{
    (void)st;
    struct bare *x = user;
    size_t n = x->out.len - x->out_at < sink->max ? x->out.len - x->out_at : sink->max;
    h2_sink_append(sink, slice_make(x->out.data + x->out_at, n));
    x->out_at += n;
    return x->out_at < x->out.len ? H2_PULL_MORE : x->ends ? H2_PULL_END : H2_PULL_AGAIN;
}

static void x_close(void *user, struct h2_stream *st, uint32_t code)
{
    (void)st;
    struct bare *x = user;
    x->is_closed = true;
    x->code = code;
    x->st = NULL;
}

static const struct h2_stream_ops x_ops = {x_header, x_headers_end, x_data, x_end, x_pull, x_close};

static void x_begin(void *arg, struct h2_stream *st)
{
    (void)arg;
    (void)st;
}

static void x_goaway(void *arg, int32_t last, uint32_t code, struct slice debug)
{
    (void)last;
    struct bare *x = arg;
    buf_printf(&x->log, "GOAWAY %u %.*s\n", code, (int)debug.len, (const char *)debug.data);
}

static const struct h2_session_ops x_session = {x_begin, NULL, x_goaway, NULL};

static void bare_make(struct bare *x)
{
    memset(x, 0, sizeof(*x));
    x->f = fake_env_create();
    struct grpc_server_options opts = {0};
    x->server = grpc_server_create(&x->f->env, &opts);
    grpc_server_add(x->server, bed_methods, BED_METHODS, &x->svc);
    struct grpc_conn_options co = {.peer = "p"};
    assert_int_equal(grpc_conn_create(x->server, &co, &bed_conn_ops, x, &x->conn), 0);
    x->pool = http_pool_create();
    struct h2_options o = {0};
    assert_int_equal(h2_session_create(&o, x->pool, &x_session, x, &x->h2), 0);
}

static void bare_free(struct bare *x)
{
    h2_session_destroy(x->h2);
    grpc_conn_destroy(x->conn);
    grpc_server_destroy(x->server);
    http_pool_destroy(x->pool);
    buf_deinit(&x->log);
    buf_deinit(&x->out);
    buf_deinit(&x->svc.log);
    fake_env_destroy(x->f);
}

static void bare_settle(struct bare *x)
{
    size_t moved = 1;
    while (moved > 0) {
        struct http_out o;
        http_out_init(&o);
        moved = 0;
        assert_int_equal(h2_session_send(x->h2, &o, 1 << 20), 0);
        for (size_t i = 0; i < o.count; i++) {
            moved += o.parts[i].len;
            assert_int_equal(grpc_conn_recv(x->conn, o.parts[i]), 0);
        }
        http_out_reset(&o);
        assert_int_equal(grpc_conn_send(x->conn, &o, 1 << 20), 0);
        for (size_t i = 0; i < o.count; i++) {
            moved += o.parts[i].len;
            assert_int_equal(h2_session_recv(x->h2, o.parts[i], 1), 0);
        }
        http_out_deinit(&o);
    }
}

static void bare_request(struct bare *x, const char *method, const char *path, const char *type,
                         const char *name, const char *value, bool has_body)
{
    struct h2_header h[6] = {
        {SLICE_LIT(":method"), slice_cstr(method), false},
        H2_HEADER_LIT(":scheme", "http"),
        {SLICE_LIT(":path"), slice_cstr(path), false},
        H2_HEADER_LIT(":authority", "h"),
    };
    size_t n = 4;
    if (type != NULL) {
        h[n++] = (struct h2_header){SLICE_LIT("content-type"), slice_cstr(type), false};
    }
    if (name != NULL) {
        h[n++] = (struct h2_header){slice_cstr(name), slice_cstr(value), false};
    }
    assert_int_equal(h2_session_request(x->h2, h, n, has_body, &x_ops, x, &x->st), 0);
}

static void improper_requests(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *type, *name, *value;
        const char *want;
    } rows[] = {
        {"POST", "/t.S/Echo", "application/json", NULL, NULL,
         ":status=415\ncontent-type=application/grpc\ngrpc-status=3\n"
         "grpc-message=invalid gRPC request content-type \"application/json\"\nEND\n"},
        {"POST", "/t.S/Echo", NULL, NULL, NULL,
         ":status=415\ncontent-type=application/grpc\ngrpc-status=3\n"
         "grpc-message=invalid gRPC request content-type \"\"\nEND\n"},
        {"POST", "/t.S/Echo", "application/grpcx", NULL, NULL,
         ":status=415\ncontent-type=application/grpc\ngrpc-status=3\n"
         "grpc-message=invalid gRPC request content-type \"application/grpcx\"\nEND\n"},
        {"GET", "/t.S/Echo", "application/grpc", NULL, NULL,
         ":status=405\ncontent-type=application/grpc\ngrpc-status=13\n"
         "grpc-message=Received a HEADERS frame with :method \"GET\" which should be POST\nEND\n"},
        {"POST", "/t.S/Echo", "application/grpc+proto", "grpc-timeout", "1x",
         ":status=400\ncontent-type=application/grpc+proto\ngrpc-status=13\n"
         "grpc-message=malformed grpc-timeout: transport: timeout unit is not recognized: "
         "\"1x\"\nEND\n"},
        {"POST", "/t.S/Echo", "application/grpc", "x-bin", "!",
         ":status=400\ncontent-type=application/grpc\ngrpc-status=13\n"
         "grpc-message=malformed binary metadata \"!\" in header \"x-bin\": illegal base64 "
         "data at input byte 0\nEND\n"},
        {"POST", "/t.S/Echo", "application/grpc", "grpc-encoding", "snappy",
         ":status=200\ncontent-type=application/grpc\ngrpc-status=12\n"
         "grpc-message=grpc: Decompressor is not installed for grpc-encoding \"snappy\"\nEND\n"},
        {"POST", "/t.S/Echo", "application/grpc", NULL, NULL, /* no message at all */
         ":status=200\ncontent-type=application/grpc\ngrpc-status=2\ngrpc-message=EOF\nEND\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bare x;
        bare_make(&x);
        bare_request(&x, rows[i].method, rows[i].path, rows[i].type, rows[i].name, rows[i].value,
                     false);
        bare_settle(&x);
        assert_string_equal(buf_cstr(&x.log), rows[i].want);
        assert_true(x.is_closed);
        bare_free(&x);
    }
}

static void body_run(const void *body, size_t len, const char *encoding, const char *want)
{
    struct bare x;
    bare_make(&x);
    buf_append(&x.out, body, len);
    x.ends = true;
    bare_request(&x, "POST", "/t.S/Echo", "application/grpc",
                 encoding == NULL ? NULL : "grpc-encoding", encoding, true);
    bare_settle(&x);
    assert_non_null(memmem(x.log.data, x.log.len, want, strlen(want)));
    assert_true(x.is_closed);
    bare_free(&x);
}

static void improper_bodies(void **state)
{
    (void)state;
    body_run("", 0, NULL, "grpc-status=2\ngrpc-message=EOF\n");
    body_run("\0\0\0", 3, NULL, "grpc-status=2\ngrpc-message=EOF\n");
    body_run("\0\0\0\0\5abc", 8, NULL, "grpc-status=2\ngrpc-message=unexpected EOF\n");
    body_run("\1\0\0\0\1a", 6, NULL,
             "grpc-message=grpc: compressed flag set with identity or empty encoding\n");
    body_run("\1\0\0\0\1\x1f", 6, "gzip",
             "grpc-message=grpc: failed to decompress the message: unexpected EOF\n");
    body_run("\7\0\0\0\1a", 6, NULL, "grpc-message=grpc: received unexpected payload format 7\n");
    /* Extra messages are dropped. */
    body_run("\0\0\0\0\1a\0\0\0\0\1b", 12, NULL, "grpc-status=0\ngrpc-message=\nEND\n");
}

static void gzip_both_ways(void **state)
{
    (void)state;
    struct buf packed = BUF_INIT;
    struct buf body = BUF_INIT;
    uint8_t head[5];
    assert_true(grpc_gzip(&packed, SLICE_LIT("hello hello hello")));
    grpc_head_write(head, true, packed.len);
    buf_append(&body, head, 5);
    buf_append_slice(&body, buf_slice(&packed));
    struct bare x;
    bare_make(&x);
    buf_append_slice(&x.out, buf_slice(&body));
    x.ends = true;
    bare_request(&x, "POST", "/t.S/Echo", "application/grpc", "grpc-encoding", "gzip", true);
    bare_settle(&x);
    struct buf want = BUF_INIT;
    buf_append_cstr(&want, ":status=200\ncontent-type=application/grpc\ngrpc-encoding=gzip\n-\n");
    buf_append_slice(&want, buf_slice(&body));
    buf_append_cstr(&want, "grpc-status=0\ngrpc-message=\nEND\n");
    assert_true(slice_equal(buf_slice(&x.log), buf_slice(&want)));
    bare_free(&x);
    buf_deinit(&packed);
    buf_deinit(&body);
    buf_deinit(&want);
}

static void too_many_pings(void **state)
{
    (void)state;
    struct bare x;
    bare_make(&x);
    static const uint8_t opaque[8];
    bare_request(&x, "POST", "/t.S/Bidi", "application/grpc", NULL, NULL, true);
    bare_settle(&x);
    for (int i = 0; i < 3; i++) {
        h2_session_ping(x.h2, opaque);
        bare_settle(&x);
        assert_int_equal(x.log.len, 0);
    }
    h2_session_ping(x.h2, opaque);
    bare_settle(&x);
    assert_non_null(strstr(buf_cstr(&x.log), "GOAWAY 11 too_many_pings\n"));
    assert_true(grpc_conn_is_done(x.conn));
    bare_free(&x);
}

static void pings_in_good_time(void **state)
{
    (void)state;
    struct bare x;
    bare_make(&x);
    static const uint8_t opaque[8];
    bare_request(&x, "POST", "/t.S/Bidi", "application/grpc", NULL, NULL, true);
    bare_settle(&x);
    for (int i = 0; i < 20; i++) {
        h2_session_ping(x.h2, opaque);
        bare_settle(&x);
        x.f->now_ms += 5000;
    }
    assert_int_equal(x.log.len, 0);
    /* Without a stream the minimum is 2 h. */
    h2_stream_reset(x.st, H2_CANCEL);
    bare_settle(&x);
    for (int i = 0; i < 3; i++) {
        h2_session_ping(x.h2, opaque);
        bare_settle(&x);
        x.f->now_ms += 5000;
    }
    assert_non_null(strstr(buf_cstr(&x.log), "too_many_pings"));
    bare_free(&x);
}

/* Nothing is sent, not even HEADERS, before the first answer (client-api 4.4). */
static void a_stream_says_nothing_before_its_first_message(void **state)
{
    (void)state;
    struct bare x;
    bare_make(&x);
    bare_request(&x, "POST", "/t.S/Bidi", "application/grpc", NULL, NULL, true);
    bare_settle(&x);
    assert_int_equal(x.log.len, 0);
    assert_string_equal(buf_cstr(&x.svc.log), "start;");
    bare_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(improper_requests),
        cmocka_unit_test(improper_bodies),
        cmocka_unit_test(gzip_both_ways),
        cmocka_unit_test(too_many_pings),
        cmocka_unit_test(pings_in_good_time),
        cmocka_unit_test(a_stream_says_nothing_before_its_first_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
