/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/grpc/bed: see bed.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bed.h"

/* ---- service ----------------------------------------------------------------------------------
 */

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

const struct grpc_source_ops pattern_ops = {pattern_pull, pattern_close};
struct pattern_source the_source;

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

const struct grpc_method bed_methods[BED_METHODS] = {
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

const struct grpc_client_call_ops call_ops = {c_message, NULL, c_done};

static void ignore_want(void *arg)
{
    (void)arg;
}

static void ignore_http(void *arg, struct h2_stream *st)
{
    (void)arg;
    (void)st;
}

const struct grpc_conn_ops bed_conn_ops = {ignore_want, ignore_http};
static const struct grpc_client_ops client_ops = {ignore_want, NULL};

/* BED_RELAY: the connection's half and the services' half of a relay, both on the fake loop. */
static struct grpc_server *relay_make(struct bed *b)
{
    env_mailbox_init(&b->up);
    env_mailbox_init(&b->down);
    b->relay = grpc_relay_create(b->server, 1, &b->up, &b->down);
    env_mailbox_sender_set(&b->up, &b->f->env);
    env_mailbox_sender_set(&b->down, &b->f->env);
    assert_int_equal(env_mailbox_receiver_open(&b->up, &b->f->env), 0);
    assert_int_equal(env_mailbox_receiver_open(&b->down, &b->f->env), 0);
    return grpc_relay_open(b->relay, &b->f->env);
}

static void relay_free(struct bed *b)
{
    fake_env_settle(b->f);
    env_mailbox_receiver_close(&b->up);
    env_mailbox_receiver_close(&b->down);
    grpc_relay_close(b->relay);
    env_mailbox_deinit(&b->up);
    env_mailbox_deinit(&b->down);
    grpc_relay_destroy(b->relay);
}

void bed_make_with(struct bed *b, size_t step, const struct grpc_server_options *opts)
{
    memset(b, 0, sizeof(*b));
    memset(&the_source, 0, sizeof(the_source));
    the_source.fail_after = -1;
    b->step = step;
    b->f = fake_env_create();
    b->pool = http_pool_create();
    b->server = grpc_server_create(&b->f->env, opts);
    grpc_server_add(b->server, bed_methods, BED_METHODS, &b->svc);
    struct grpc_conn_options co = {.peer = "1.2.3.4:5"};
    struct grpc_server *of_conn = BED_RELAY ? relay_make(b) : b->server;
    assert_int_equal(grpc_conn_create(of_conn, &co, &bed_conn_ops, b, &b->conn), 0);
    struct grpc_client_options clo = {.authority = "h", .send_bytes_max = 4 << 20};
    assert_int_equal(grpc_client_create(&b->f->env, b->pool, &clo, &client_ops, b, &b->client), 0);
}

void bed_make(struct bed *b, size_t step)
{
    struct grpc_server_options opts = {0};
    bed_make_with(b, step, &opts);
}

void bed_free(struct bed *b)
{
    grpc_client_destroy(b->client, "closing");
    grpc_conn_destroy(b->conn);
    if (BED_RELAY) {
        relay_free(b);
    }
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

size_t client_to_server(struct bed *b)
{
    struct http_out o;
    http_out_init(&o);
    assert_int_equal(grpc_client_send(b->client, &o, 50000), 0);
    size_t n = deliver(b, &o, true);
    fake_env_settle(b->f);
    return n;
}

size_t server_to_client(struct bed *b)
{
    struct http_out o;
    http_out_init(&o);
    fake_env_settle(b->f);
    assert_int_equal(grpc_conn_send(b->conn, &o, 50000), 0);
    return deliver(b, &o, false);
}

void settle(struct bed *b)
{
    while (client_to_server(b) + server_to_client(b) > 0) {
    }
}

struct grpc_client_call *start(struct bed *b, const char *path, struct result *r,
                               uint64_t timeout_ms)
{
    memset(r, 0, sizeof(*r));
    struct grpc_client_call_options o = {
        .path = path, .timeout_ms = timeout_ms, .ops = &call_ops, .arg = r};
    return grpc_client_start(b->client, &o);
}

struct grpc_client_call *unary(struct bed *b, const char *path, struct slice msg, struct result *r)
{
    struct grpc_client_call *call = start(b, path, r, 0);
    grpc_client_call_send(call, msg);
    grpc_client_call_half_close(call);
    return call;
}

void expect(struct result *r, enum grpc_code code, const char *text)
{
    assert_true(r->is_done);
    assert_int_equal(r->code, code);
    assert_string_equal(r->text, text);
}

const struct grpc_method_stats *stats_of(struct bed *b, const char *name)
{
    for (size_t i = 0; i < grpc_server_method_count(b->server); i++) {
        if (strcmp(grpc_server_method_at(b->server, i)->name, name) == 0) {
            return grpc_server_method_stats(b->server, i);
        }
    }
    return NULL;
}

void check_pattern(const struct buf *b, size_t len)
{
    assert_int_equal(b->len, len);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(b->data[i], (uint8_t)i);
    }
}
