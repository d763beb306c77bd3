/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of calls: our client against our server in memory, and a bare HTTP/2 client for what a
 * proper client never sends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../rpc/fake_env.h"
#include "base/limits.h"
#include "base/prng.h"
#include "grpc/client.h"
#include "grpc/frame.h"
#include "grpc/server.h"

/* ---- service ----------------------------------------------------------------------------------
 */

struct svc {
    struct buf log;
    struct grpc_call *held; /* Hold: answered by the test */
    int cancels, cancel_err;
    int writables;
    struct rcbuf *kept;
};

struct pattern_source {
    struct grpc_source src;
    uint8_t next;
    bool says_again; /* every other pull waits */
    bool waits;
    int fail_after; /* pulls; < 0 never */
    struct grpc_call *call;
    int closes;
    uint64_t pulls;
};

static int pattern_pull(struct grpc_source *src, uint8_t *dst, size_t max, size_t *out_n)
{
    struct pattern_source *p = container_of(src, struct pattern_source, src);
    p->pulls++;
    if (p->fail_after >= 0 && p->fail_after-- == 0) {
        return ERR_IO;
    }
    if (p->says_again && !p->waits) {
        p->waits = true;
        *out_n = 0;
        return ERR_AGAIN;
    }
    p->waits = false;
    size_t n = max < 5000 ? max : 5000;
    for (size_t i = 0; i < n; i++) {
        dst[i] = p->next++;
    }
    *out_n = n;
    return 0;
}

static void pattern_close(struct grpc_source *src)
{
    container_of(src, struct pattern_source, src)->closes++;
}

static const struct grpc_source_ops pattern_ops = {pattern_pull, pattern_close};
static struct pattern_source the_source;

static struct svc *svc_of(struct grpc_call *call)
{
    return grpc_call_service(call);
}

static void on_cancel(struct grpc_call *call, int err)
{
    struct svc *s = svc_of(call);
    s->cancels++;
    s->cancel_err = err;
    if (s->held == call) {
        s->held = NULL;
    }
}

static void echo(struct grpc_call *call, struct slice msg)
{
    uint8_t *user = grpc_call_user(call);
    for (int i = 0; i < GRPC_CALL_USER_BYTES; i++) {
        assert_int_equal(user[i], 0);
        user[i] = 0xaa;
    }
    grpc_call_finish_unary(call, msg);
}

static void echo_rc(struct grpc_call *call, struct slice msg)
{
    struct rcbuf *b = grpc_call_take_message(call);
    assert_true(slice_equal(rcbuf_slice(b), msg));
    grpc_call_finish_unary_rc(call, b);
}

static void refuse_all(struct grpc_call *call, struct slice msg)
{
    (void)msg;
    grpc_call_fail(call, ERR_RPC_COMPACTED, NULL);
}

static void fail_text(struct grpc_call *call, struct slice msg)
{
    char text[64];
    snprintf(text, sizeof(text), "%.*s", (int)msg.len, (const char *)msg.data);
    grpc_call_fail_code(call, GRPC_ABORTED, text);
}

static void hold(struct grpc_call *call, struct slice msg)
{
    struct svc *s = svc_of(call);
    buf_append_slice(&s->log, msg);
    s->held = call;
}

static void meta(struct grpc_call *call, struct slice msg)
{
    char name[64];
    snprintf(name, sizeof(name), "%.*s", (int)msg.len, (const char *)msg.data);
    struct slice v = grpc_call_metadata(call, name);
    grpc_call_finish_unary(call, v.data == NULL ? SLICE_LIT("(none)") : v);
}

static void source(struct grpc_call *call, struct slice msg)
{
    uint64_t len = 0;
    for (size_t i = 0; i < msg.len; i++) {
        len = len * 10 + (uint64_t)(msg.data[i] - '0');
    }
    the_source.src.ops = &pattern_ops;
    the_source.call = call;
    grpc_call_respond_source(call, len, &the_source.src);
}

static void bidi_start(struct grpc_call *call)
{
    buf_append_cstr(&svc_of(call)->log, "start;");
}

static void bidi_message(struct grpc_call *call, struct slice msg)
{
    struct svc *s = svc_of(call);
    buf_append_slice(&s->log, msg);
    buf_append_byte(&s->log, ';');
    s->held = call;
    if (slice_equal(msg, SLICE_LIT("pause"))) {
        grpc_call_pause(call);
    } else if (slice_equal(msg, SLICE_LIT("die"))) {
        grpc_call_fail(call, ERR_RPC_NO_LEADER, NULL);
        s->held = NULL;
    } else {
        grpc_call_send(call, msg);
    }
}

static void bidi_half_close(struct grpc_call *call)
{
    struct svc *s = svc_of(call);
    buf_append_cstr(&s->log, "half;");
    s->held = NULL;
    grpc_call_finish(call);
}

static void bidi_writable(struct grpc_call *call)
{
    svc_of(call)->writables++;
}

static const struct grpc_method methods[] = {
    {"t.S", "Echo", GRPC_KIND_UNARY, .on_message = echo, .on_cancel = on_cancel},
    {"t.S", "EchoRc", GRPC_KIND_UNARY, .on_message = echo_rc, .on_cancel = on_cancel},
    {"t.S", "Fail", GRPC_KIND_UNARY, .on_message = refuse_all, .on_cancel = on_cancel},
    {"t.S", "FailText", GRPC_KIND_UNARY, .on_message = fail_text, .on_cancel = on_cancel},
    {"t.S", "Hold", GRPC_KIND_UNARY, .on_message = hold, .on_cancel = on_cancel},
    {"t.S", "Meta", GRPC_KIND_UNARY, .on_message = meta, .on_cancel = on_cancel},
    {"t.S", "Source", GRPC_KIND_UNARY, .on_message = source, .on_cancel = on_cancel},
    {"t.S", "Bidi", GRPC_KIND_BIDI, bidi_start, bidi_message, bidi_half_close, on_cancel,
     bidi_writable},
    {"t.S", "Down", GRPC_KIND_SERVER_STREAM, .on_message = hold, .on_cancel = on_cancel,
     .on_writable = bidi_writable},
};

/* ---- wiring -----------------------------------------------------------------------------------
 */

struct bed {
    struct fake_env *f;
    struct svc svc;
    struct grpc_server *server;
    struct http_pool *pool;
    struct grpc_conn *conn;
    struct grpc_client *client;
    size_t step;
    int recv_err;
};

struct result {
    struct buf got; /* messages, each with '|' */
    int messages;
    bool is_done, is_sent;
    enum grpc_code code;
    char text[200];
};

static void c_message(void *arg, struct grpc_client_call *call, struct slice msg)
{
    (void)call;
    struct result *r = arg;
    buf_append_slice(&r->got, msg);
    r->messages++;
}

static void c_done(void *arg, struct grpc_client_call *call, const struct grpc_status *st)
{
    (void)call;
    struct result *r = arg;
    assert_false(r->is_done);
    r->is_done = true;
    r->is_sent = st->is_sent;
    r->code = st->code;
    snprintf(r->text, sizeof(r->text), "%.*s", (int)st->message.len,
             (const char *)st->message.data);
}

static const struct grpc_client_call_ops call_ops = {c_message, NULL, c_done};

static void ignore_want(void *arg)
{
    (void)arg;
}

static void ignore_http(void *arg, struct h2_stream *st)
{
    (void)arg;
    (void)st;
}

static const struct grpc_conn_ops conn_ops = {ignore_want, ignore_http};
static const struct grpc_client_ops client_ops = {ignore_want, NULL};

static void bed_make_with(struct bed *b, size_t step, const struct grpc_server_options *opts)
{
    memset(b, 0, sizeof(*b));
    memset(&the_source, 0, sizeof(the_source));
    the_source.fail_after = -1;
    b->step = step;
    b->f = fake_env_create();
    b->pool = http_pool_create();
    b->server = grpc_server_create(&b->f->env, opts);
    grpc_server_add(b->server, methods, ARRAY_LEN(methods), &b->svc);
    struct grpc_conn_options co = {.peer = "1.2.3.4:5"};
    assert_int_equal(grpc_conn_create(b->server, &co, &conn_ops, b, &b->conn), 0);
    struct grpc_client_options clo = {.authority = "h", .send_bytes_max = 4 << 20};
    assert_int_equal(grpc_client_create(&b->f->env, b->pool, &clo, &client_ops, b, &b->client), 0);
}

static void bed_make(struct bed *b, size_t step)
{
    struct grpc_server_options opts = {0};
    bed_make_with(b, step, &opts);
}

static void bed_free(struct bed *b)
{
    grpc_client_destroy(b->client, "closing");
    grpc_conn_destroy(b->conn);
    grpc_server_destroy(b->server);
    http_pool_destroy(b->pool);
    buf_deinit(&b->svc.log);
    fake_env_destroy(b->f);
}

static size_t deliver(struct bed *b, struct http_out *o, bool to_server)
{
    struct buf flat = BUF_INIT;
    for (size_t i = 0; i < o->count; i++) {
        buf_append_slice(&flat, o->parts[i]);
    }
    http_out_deinit(o);
    struct slice rest = buf_slice(&flat);
    size_t total = rest.len;
    while (rest.len > 0 && b->recv_err == 0) {
        size_t n = rest.len < b->step ? rest.len : b->step;
        struct slice piece = slice_make(rest.data, n);
        b->recv_err =
            to_server ? grpc_conn_recv(b->conn, piece) : grpc_client_recv(b->client, piece);
        rest = slice_skip(rest, n);
    }
    buf_deinit(&flat);
    return total;
}

static size_t client_to_server(struct bed *b)
{
    struct http_out o;
    http_out_init(&o);
    assert_int_equal(grpc_client_send(b->client, &o, 50000), 0);
    return deliver(b, &o, true);
}

static size_t server_to_client(struct bed *b)
{
    struct http_out o;
    http_out_init(&o);
    assert_int_equal(grpc_conn_send(b->conn, &o, 50000), 0);
    return deliver(b, &o, false);
}

static void settle(struct bed *b)
{
    while (client_to_server(b) + server_to_client(b) > 0) {
    }
}

static struct grpc_client_call *start(struct bed *b, const char *path, struct result *r,
                                      uint64_t timeout_ms)
{
    memset(r, 0, sizeof(*r));
    struct grpc_client_call_options o = {
        .path = path, .timeout_ms = timeout_ms, .ops = &call_ops, .arg = r};
    return grpc_client_start(b->client, &o);
}

static struct grpc_client_call *unary(struct bed *b, const char *path, struct slice msg,
                                      struct result *r)
{
    struct grpc_client_call *call = start(b, path, r, 0);
    grpc_client_call_send(call, msg);
    grpc_client_call_half_close(call);
    return call;
}

static void expect(struct result *r, enum grpc_code code, const char *text)
{
    assert_true(r->is_done);
    assert_int_equal(r->code, code);
    assert_string_equal(r->text, text);
}

static const struct grpc_method_stats *stats_of(struct bed *b, const char *name)
{
    for (size_t i = 0; i < grpc_server_method_count(b->server); i++) {
        if (strcmp(grpc_server_method_at(b->server, i)->name, name) == 0) {
            return grpc_server_method_stats(b->server, i);
        }
    }
    return NULL;
}

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
    uint64_t id = grpc_call_id(b.svc.held);
    assert_ptr_equal(grpc_call_find(b.server, id), b.svc.held);
    fake_env_advance(b.f, 100);
    assert_int_equal(b.svc.cancels, 1);
    assert_int_equal(b.svc.cancel_err, ERR_RPC_CONTEXT_DEADLINE);
    assert_null(grpc_call_find(b.server, id));
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

static void check_pattern(const struct buf *b, size_t len)
{
    assert_int_equal(b->len, len);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(b->data[i], (uint8_t)i);
    }
}

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
    assert_int_equal(the_source.next, (uint8_t)((1 << 20) - 5)); /* one stream window */
    assert_true(the_source.pulls < 400);
    assert_int_equal(grpc_server_stats(b.server)->response_bytes_queued, 0);
    grpc_client_call_cancel(call);
    settle(&b);
    assert_int_equal(the_source.closes, 1);
    bed_free(&b);
}

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
    assert_in_range(grpc_client_call_queued(call), 200000 - 65535, 200000);
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
    /* The client's window and our queue, no more. */
    assert_in_range(sent * 10005, (1 << 20) + GRPC_CALL_OUT_BYTES - 10005,
                    (1 << 20) + GRPC_CALL_OUT_BYTES + 10005);
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
    assert_in_range(peak, LIMIT_CONN_IN_BYTES, LIMIT_CONN_IN_BYTES + LEN + N * 65536 * 2);
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
    grpc_server_add(x->server, methods, ARRAY_LEN(methods), &x->svc);
    struct grpc_conn_options co = {.peer = "p"};
    assert_int_equal(grpc_conn_create(x->server, &co, &conn_ops, x, &x->conn), 0);
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
         "data\nEND\n"},
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
    body_run("\0\0\0", 3, NULL, "grpc-status=2\ngrpc-message=unexpected EOF\n");
    body_run("\0\0\0\0\5abc", 8, NULL, "grpc-status=2\ngrpc-message=unexpected EOF\n");
    body_run("\1\0\0\0\1a", 6, NULL,
             "grpc-message=grpc: compressed flag set with identity or empty encoding\n");
    body_run("\1\0\0\0\1\x1f", 6, "gzip",
             "grpc-message=grpc: failed to decompress the received message: unexpected EOF\n");
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
        cmocka_unit_test(a_bidi_stream_to_its_end),
        cmocka_unit_test(a_stream_ended_by_the_server),
        cmocka_unit_test(a_paused_stream_closes_its_window),
        cmocka_unit_test(flow_control_of_what_is_sent),
        cmocka_unit_test(pieces_and_references),
        cmocka_unit_test(many_large_requests_share_the_budget),
        cmocka_unit_test(draining_lets_calls_end),
        cmocka_unit_test(keepalive_of_the_server),
        cmocka_unit_test(improper_requests),
        cmocka_unit_test(improper_bodies),
        cmocka_unit_test(gzip_both_ways),
        cmocka_unit_test(too_many_pings),
        cmocka_unit_test(pings_in_good_time),
        cmocka_unit_test(a_stream_says_nothing_before_its_first_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
