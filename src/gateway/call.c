/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/call.h"

#include "base/limits.h"
#include "gateway/answer.h"
#include "gateway/json_out.h"
#include "gateway/json_scan.h"
#include "gateway/path.h"

enum { WHOLE_ANSWER_BYTES = 2048 /* above it an answer is chunked, as Go's */ };

struct gateway_calls {
    struct gateway_calls_options o;
    struct grpc_local *local;
    size_t held; /* bytes of bodies */
};

struct gateway_call {
    struct gateway_calls *calls;
    struct rpc_http_req *req;
    const struct json_route *route;
    enum json_form form;
    struct grpc_local_call *local; /* NULL: not begun */
    uint64_t deadline_ms;
    struct buf in; /* of the body, from in_at on not yet used */
    size_t in_at;
    struct json_scan scan;
    struct json_out json;
    struct buf out; /* JSON not yet handed to the request */
    size_t values;  /* sent */
    bool is_body_whole;
    bool is_input_over; /* what comes is not looked at */
    bool is_paused;     /* the body is */
    bool is_begun;      /* status and headers are out */
};

static const struct grpc_local_ops call_ops;

static bool is_stream(const struct gateway_call *c)
{
    return c->route->kind != GRPC_KIND_UNARY;
}

/* ---- life ---- */

struct gateway_calls *gateway_calls_create(const struct gateway_calls_options *o)
{
    struct gateway_calls *c = mem_zalloc(sizeof(*c));
    c->o = *o;
    c->local = grpc_local_create(o->grpc);
    return c;
}

void gateway_calls_destroy(struct gateway_calls *c)
{
    grpc_local_destroy(c->local);
    mem_free(c);
}

static struct gateway_call *call_create(struct gateway_calls *calls, struct rpc_http_req *req,
                                        const struct json_route *route)
{
    struct gateway_call *c = mem_zalloc(sizeof(*c));
    c->calls = calls;
    c->req = req;
    c->route = route;
    c->form = calls->o.form(calls->o.arg);
    json_scan_init(&c->scan);
    json_out_init(&c->json, is_stream(c) || c->form == JSON_FORM_OLD);
    rpc_http_set_user(req, c);
    return c;
}

static void in_drop(struct gateway_call *c)
{
    c->calls->held -= c->in.len;
    buf_deinit(&c->in);
    c->in_at = 0;
}

/* The request was answered, or has gone. */
static void call_free(struct gateway_call *c)
{
    if (c->local != NULL) {
        grpc_local_cancel(c->local);
    }
    in_drop(c);
    buf_deinit(&c->out);
    json_scan_deinit(&c->scan);
    json_out_deinit(&c->json);
    mem_free(c);
}

static void call_fail(struct gateway_call *c, enum grpc_code code, struct slice text)
{
    struct rpc_http_req *req = c->req;
    enum json_form form = c->form;
    struct buf copy = BUF_INIT;
    buf_append_slice(&copy, text);
    call_free(c);
    answer_error(req, form, code, buf_slice(&copy));
    buf_deinit(&copy);
}

/* ---- answers ---- */

static void begin(struct gateway_call *c, int status, bool is_result)
{
    static const struct rpc_http_header headers[] = {
        {"Content-Type", SLICE_LIT("application/json")},
        {"Grpc-Metadata-Content-Type", SLICE_LIT("application/grpc")},
    };
    c->is_begun = true;
    rpc_http_begin(c->req, status, headers, is_result ? ARRAY_LEN(headers) : 1);
}

/* False: the client has to take something first. */
static bool flush(struct gateway_call *c)
{
    if (!c->is_begun) {
        begin(c, 200, true);
    }
    if (c->out.len > 0) {
        rpc_http_write(c->req, buf_slice(&c->out));
        buf_clear(&c->out);
    }
    return rpc_http_can_write(c->req);
}

static void message_end(struct gateway_call *c)
{
    if (is_stream(c) && json_out_is_done(&c->json)) {
        buf_append_cstr(&c->out, "}\n");
    }
}

static void on_message(void *arg, uint64_t len)
{
    struct gateway_call *c = arg;
    if (is_stream(c)) {
        buf_append_cstr(&c->out, "{\"result\":");
    }
    json_out_begin(&c->json, json_message_at(c->route->response), len, &c->out);
    message_end(c);
    if (is_stream(c) && len == 0) {
        (void)flush(c);
    }
}

static void broken(struct gateway_call *c)
{
    struct rpc_http_req *req = c->req;
    bool is_begun = c->is_begun;
    if (!is_begun) {
        call_fail(c, GRPC_INTERNAL, SLICE_LIT("failed to marshal the answer"));
        return;
    }
    call_free(c);
    rpc_http_abort(req);
}

static bool on_bytes(void *arg, struct slice bytes)
{
    struct gateway_call *c = arg;
    if (json_out_feed(&c->json, bytes) != 0) {
        broken(c);
        return true;
    }
    message_end(c);
    if (!is_stream(c) && !c->is_begun && c->out.len <= WHOLE_ANSWER_BYTES) {
        return true;
    }
    return flush(c);
}

static void answer_whole(struct gateway_call *c)
{
    static const struct rpc_http_header headers[] = {
        {"Content-Type", SLICE_LIT("application/json")},
        {"Grpc-Metadata-Content-Type", SLICE_LIT("application/grpc")},
    };
    struct rpc_http_req *req = c->req;
    struct buf body = c->out;
    c->out = BUF_INIT;
    call_free(c);
    rpc_http_respond(req, 200, headers, ARRAY_LEN(headers), buf_slice(&body));
    buf_deinit(&body);
}

static void finish(struct gateway_call *c)
{
    struct rpc_http_req *req = c->req;
    call_free(c);
    rpc_http_finish(req);
}

/* A stream that ends well without a message: a body of nothing. */
static void begin_empty(struct gateway_call *c)
{
    static const struct rpc_http_header type = {"Content-Type", SLICE_LIT("application/json")};
    c->is_begun = true;
    rpc_http_begin(c->req, 200, &type, c->form == JSON_FORM_OLD ? 1 : 0);
}

static void stream_end(struct gateway_call *c, enum grpc_code code, struct slice text)
{
    if (!c->is_begun && code == GRPC_OK) {
        begin_empty(c);
    } else if (!c->is_begun) {
        begin(c, answer_http_status(c->form, code), false);
    }
    if (code != GRPC_OK) {
        answer_stream_error(&c->out, c->form, code, text);
        (void)flush(c);
    }
    finish(c);
}

static void on_end(void *arg, enum grpc_code code, struct slice text)
{
    struct gateway_call *c = arg;
    c->local = NULL;
    if (!json_out_is_done(&c->json)) {
        broken(c);
    } else if (is_stream(c)) {
        stream_end(c, code, text);
    } else if (code != GRPC_OK && !c->is_begun) {
        call_fail(c, code, text);
    } else if (!c->is_begun) {
        answer_whole(c);
    } else {
        (void)flush(c);
        finish(c);
    }
}

/* ---- the call ---- */

/* False: it was answered. */
static bool call_open(struct gateway_call *c)
{
    struct grpc_error e;
    struct buf why = BUF_INIT;
    struct grpc_local_options o = {
        .path = slice_cstr(c->route->method),
        .peer = rpc_http_peer(c->req),
        .deadline_ms = c->deadline_ms,
        .ops = &call_ops,
        .arg = c,
    };
    c->local = grpc_local_open(c->calls->local, &o, &e);
    if (c->local == NULL) {
        call_fail(c, e.code, slice_cstr(e.text));
        return false;
    }
    int err = answer_metadata(c->req, c->local, &why);
    if (err != 0) {
        call_fail(c, GRPC_INVALID_ARGUMENT, buf_slice(&why));
    } else {
        grpc_local_start(c->local);
    }
    buf_deinit(&why);
    return err == 0;
}

/* ---- bodies ---- */

static struct slice input(const struct gateway_call *c)
{
    return slice_make(c->in.data + c->in_at, c->in.len - c->in_at);
}

/* False: it was answered, because it is too much. */
static bool input_append(struct gateway_call *c, struct slice bytes)
{
    struct gateway_calls *calls = c->calls;
    size_t max = GATEWAY_BODY_FACTOR * calls->o.message_bytes_max;
    size_t len = c->in.len - c->in_at + bytes.len;
    if (len > max || calls->held + bytes.len > LIMIT_PENDING_BYTES) {
        struct buf text = BUF_INIT;
        buf_printf(&text, "grpc: received message larger than max (%zu vs. %zu)", len, max);
        if (c->is_begun) {
            broken(c);
        } else {
            call_fail(c, GRPC_RESOURCE_EXHAUSTED, buf_slice(&text));
        }
        buf_deinit(&text);
        return false;
    }
    if (c->in_at > 0) {
        calls->held -= c->in_at;
        buf_consume(&c->in, c->in_at);
        c->in_at = 0;
    }
    buf_append_slice(&c->in, bytes);
    calls->held += bytes.len;
    return true;
}

/* The one value of the body as a message. */
static int unary_message(struct gateway_call *c, struct buf *msg, struct buf *why)
{
    struct slice in = input(c);
    switch (json_scan_next(&c->scan, in, true)) {
    case JSON_SCAN_EMPTY: return 0;
    case JSON_SCAN_VALUE: break;
    case JSON_SCAN_MORE:
    case JSON_SCAN_ERROR: buf_append_cstr(why, c->scan.why); return ERR_MALFORMED;
    }
    struct slice value = slice_make(in.data + c->scan.start, c->scan.at - c->scan.start);
    return json_to_proto(c->form, json_message_at(c->route->request), value, msg, why);
}

static void unary_start(struct gateway_call *c)
{
    struct buf msg = BUF_INIT, why = BUF_INIT;
    int err = unary_message(c, &msg, &why);
    if (err != 0) {
        call_fail(c, GRPC_INVALID_ARGUMENT, buf_slice(&why));
    } else if (call_open(c)) {
        in_drop(c);
        grpc_local_send(c->local, buf_slice(&msg));
        grpc_local_half_close(c->local);
    }
    buf_deinit(&msg);
    buf_deinit(&why);
}

static void input_over(struct gateway_call *c)
{
    c->is_input_over = true;
    in_drop(c);
    grpc_local_half_close(c->local);
}

/* What is not a message ends the input; in 3.5 the call, when it is the first. */
static void input_bad(struct gateway_call *c, struct slice why)
{
    if (c->form == JSON_FORM_OLD && c->values == 0) {
        call_fail(c, GRPC_UNKNOWN, why);
    } else {
        input_over(c);
    }
}

/* False: the input is over, or the call. */
static bool input_value(struct gateway_call *c)
{
    struct slice in = input(c);
    struct buf msg = BUF_INIT, why = BUF_INIT;
    struct slice value = slice_make(in.data + c->scan.start, c->scan.at - c->scan.start);
    int err = json_to_proto(c->form, json_message_at(c->route->request), value, &msg, &why);
    if (err == 0) {
        c->in_at += c->scan.at;
        c->values++;
        json_scan_reset(&c->scan);
        grpc_local_send(c->local, buf_slice(&msg));
    } else {
        input_bad(c, buf_slice(&why));
    }
    buf_deinit(&msg);
    buf_deinit(&why);
    return err == 0;
}

static void input_pause(struct gateway_call *c, bool is_paused)
{
    if (c->is_paused != is_paused && !c->is_body_whole) {
        c->is_paused = is_paused;
        if (is_paused) {
            rpc_http_body_pause(c->req);
        } else {
            rpc_http_body_resume(c->req);
        }
    }
}

/* Hands on the values that are there. */
static void input_work(struct gateway_call *c)
{
    while (!c->is_input_over) {
        if (!grpc_local_can_send(c->local)) {
            input_pause(c, true);
            return;
        }
        switch (json_scan_next(&c->scan, input(c), c->is_body_whole)) {
        case JSON_SCAN_MORE: return;
        case JSON_SCAN_EMPTY: input_over(c); return;
        case JSON_SCAN_ERROR: input_bad(c, slice_cstr(c->scan.why)); return;
        case JSON_SCAN_VALUE: break;
        }
        if (!input_value(c)) {
            return;
        }
    }
}

static void on_sendable(void *arg)
{
    struct gateway_call *c = arg;
    input_work(c);
    if (!c->is_input_over && grpc_local_can_send(c->local)) {
        input_pause(c, false);
    }
}

static const struct grpc_local_ops call_ops = {
    .on_message = on_message,
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_sendable = on_sendable,
};

/* ---- the handler ---- */

static const struct json_route *route_of(struct rpc_http_req *req)
{
    static const char beta[] = "/v3beta/";
    struct buf path = BUF_INIT, stable = BUF_INIT;
    path_decode(rpc_http_path(req), &path);
    struct slice p = buf_slice(&path);
    if (slice_has_prefix(p, slice_cstr(beta))) {
        buf_append_cstr(&stable, "/v3/");
        buf_append_slice(&stable, slice_skip(p, sizeof(beta) - 1));
        p = buf_slice(&stable);
    }
    const struct json_route *route = json_route_find(p);
    buf_deinit(&path);
    buf_deinit(&stable);
    return route;
}

/* Grpc-Timeout; false: it was answered. */
static bool take_deadline(struct gateway_call *c)
{
    struct buf why = BUF_INIT;
    uint64_t ns = 0;
    int err = answer_timeout(c->req, &ns, &why);
    bool goes_on = err == 0 && (ns == 0 || (ns >= 1000000 && ns != UINT64_MAX));
    if (err != 0) {
        call_fail(c, GRPC_INVALID_ARGUMENT, buf_slice(&why));
    } else if (!goes_on) {
        call_fail(c, GRPC_DEADLINE_EXCEEDED, slice_cstr(err_text(ERR_RPC_CONTEXT_DEADLINE)));
    } else if (ns > 0) {
        c->deadline_ms = env_mono_ms(c->calls->o.env) + ns / 1000000;
    }
    buf_deinit(&why);
    return goes_on;
}

static void h_request(void *arg, struct rpc_http_req *req)
{
    struct gateway_calls *calls = arg;
    const struct json_route *route = route_of(req);
    if (route == NULL || !slice_equal_cstr(rpc_http_method(req), "POST")) {
        answer_routing_error(req, calls->o.form(calls->o.arg), route == NULL ? 404 : 405);
        return;
    }
    struct gateway_call *c = call_create(calls, req, route);
    if (take_deadline(c) && route->kind == GRPC_KIND_BIDI) {
        (void)call_open(c);
    }
}

static void h_body(void *arg, struct rpc_http_req *req, struct slice bytes)
{
    (void)arg;
    struct gateway_call *c = rpc_http_user(req);
    if (!c->is_input_over && input_append(c, bytes) && c->local != NULL) {
        input_work(c);
    }
}

static void h_end(void *arg, struct rpc_http_req *req)
{
    (void)arg;
    struct gateway_call *c = rpc_http_user(req);
    c->is_body_whole = true;
    if (c->local == NULL) {
        unary_start(c);
    } else {
        input_work(c);
    }
}

static void h_gone(void *arg, struct rpc_http_req *req)
{
    (void)arg;
    call_free(rpc_http_user(req));
}

static void h_writable(void *arg, struct rpc_http_req *req)
{
    (void)arg;
    struct gateway_call *c = rpc_http_user(req);
    if (c->local != NULL) {
        grpc_local_resume(c->local);
    }
}

struct rpc_http_handler gateway_calls_handler(struct gateway_calls *c, const char *prefix)
{
    return (struct rpc_http_handler){
        .prefix = prefix,
        .on_request = h_request,
        .on_body = h_body,
        .on_end = h_end,
        .on_gone = h_gone,
        .on_writable = h_writable,
        .arg = c,
    };
}
