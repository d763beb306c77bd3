/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/http2_server: bytes behind the connection preface into a gRPC server connection with an
 * echo service; the first byte is the size of the pieces.
 *
 * deps: grpc_dep
 */
#include <stdint.h>
#include <string.h>

#include "grpc/server.h"

/* An env whose clock goes one millisecond a look, and whose timers never fire. */
struct fuzz_env {
    struct env env;
    struct env_clock clock;
    struct env_exec exec;
    uint64_t now_ms;
};

static uint64_t mono(struct env_clock *c)
{
    return ++container_of(c, struct fuzz_env, clock)->now_ms * 1000000;
}

static int64_t wall(struct env_clock *c)
{
    (void)c;
    return 0;
}

static void timer_start(struct env_exec *e, struct env_timer *t, uint64_t delay_ms)
{
    (void)e;
    (void)delay_ms;
    t->is_active = true;
}

static void timer_stop(struct env_exec *e, struct env_timer *t)
{
    (void)e;
    t->is_active = false;
}

static void defer(struct env_exec *e, void (*fn)(void *arg), void *arg)
{
    (void)e;
    (void)fn;
    (void)arg;
}

static const struct env_clock_ops clock_ops = {mono, wall};
static const struct env_exec_ops exec_ops = {
    .timer_start = timer_start, .timer_stop = timer_stop, .defer = defer};

static void echo(struct grpc_call *call, struct slice msg)
{
    if (msg.len > 0 && msg.data[0] == 'f') {
        grpc_call_fail(call, ERR_RPC_NO_LEADER, NULL);
    } else if (msg.len > 0 && msg.data[0] == 'r') {
        grpc_call_finish_unary_rc(call, grpc_call_take_message(call));
    } else {
        grpc_call_finish_unary(call, msg);
    }
}

static void bidi(struct grpc_call *call, struct slice msg)
{
    if (msg.len > 0 && msg.data[0] == 'p') {
        grpc_call_pause(call);
    }
    if (grpc_call_can_send(call)) {
        grpc_call_send(call, msg);
    }
}

static void half_close(struct grpc_call *call)
{
    grpc_call_finish(call);
}

static void cancelled(struct grpc_call *call, int err)
{
    (void)call;
    (void)err;
}

static const struct grpc_method methods[] = {
    {"S", "E", GRPC_KIND_UNARY, .on_message = echo, .on_cancel = cancelled},
    {"S", "B", GRPC_KIND_BIDI, .on_message = bidi, .on_half_close = half_close,
     .on_cancel = cancelled},
};

static void want_write(void *arg)
{
    (void)arg;
}

static void http_request(void *arg, struct h2_stream *st)
{
    (void)arg;
    (void)st;
}

static const struct grpc_conn_ops conn_ops = {want_write, http_request};

static int step_conn(struct grpc_conn *c, struct http_out *out, struct slice bytes)
{
    int err = grpc_conn_recv(c, bytes);
    int send_err = grpc_conn_send(c, out, 1 << 16);
    http_out_reset(out);
    return err != 0 ? err : send_err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    if (size == 0) {
        return 0;
    }
    struct fuzz_env f = {.clock.ops = &clock_ops, .exec.ops = &exec_ops, .now_ms = 1};
    f.env.clock = &f.clock;
    f.env.exec = &f.exec;
    struct grpc_server_options opts = {.recv_bytes_max = 4096};
    struct grpc_server *s = grpc_server_create(&f.env, &opts);
    grpc_server_add(s, methods, ARRAY_LEN(methods), NULL);
    struct grpc_conn_options co = {.peer = "fuzz"};
    struct grpc_conn *c = NULL;
    struct http_out out;
    http_out_init(&out);
    size_t step = 1 + data[0] * 3u;
    struct slice rest = slice_make(data + 1, size - 1);
    if (grpc_conn_create(s, &co, &conn_ops, NULL, &c) == 0) {
        int err = step_conn(c, &out, slice_make(preface, sizeof(preface) - 1 + 1));
        while (err == 0 && rest.len > 0 && !grpc_conn_is_done(c)) {
            size_t n = rest.len < step ? rest.len : step;
            err = step_conn(c, &out, slice_make(rest.data, n));
            rest = slice_skip(rest, n);
        }
        grpc_conn_destroy(c);
    }
    http_out_deinit(&out);
    grpc_server_destroy(s);
    return 0;
}
