/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/http_req: requests of HTTP handlers, whatever the HTTP version: choice of the handler, whole
 * bodies, headers added to every answer, queries.
 *
 * A request is freed when it is over (answered or gone) and no handler's callback is running.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "http/h1_head.h"
#include "rpc/server_private.h"

enum { REQ_HEADERS_MAX = 48 };

static void split_target(struct rpc_http_req *req, struct slice target)
{
    /* "http://host/path" is legal for a server too (RFC 9112 3.2.2). */
    if (slice_has_prefix(target, SLICE_LIT("http://")) ||
        slice_has_prefix(target, SLICE_LIT("https://"))) {
        const uint8_t *host = memmem(target.data, target.len, "//", 2);
        struct slice rest = slice_skip(target, (size_t)(host + 2 - target.data));
        const uint8_t *slash = rest.len == 0 ? NULL : memchr(rest.data, '/', rest.len);
        target = slash == NULL ? SLICE_LIT("/") : slice_skip(rest, (size_t)(slash - rest.data));
    }
    const uint8_t *mark = target.len == 0 ? NULL : memchr(target.data, '?', target.len);
    req->path = target;
    if (mark != NULL) {
        req->path.len = (size_t)(mark - target.data);
        req->query = slice_skip(target, req->path.len + 1);
    }
}

struct rpc_http_req *rpc_http_req_create(struct rpc_conn *c, const struct rpc_http_backend *b,
                                         struct slice method, struct slice target,
                                         const struct h1_header *headers, size_t count)
{
    struct rpc_http_req *req = mem_zalloc(sizeof(*req));
    req->backend = b;
    req->conn = c;
    req->method = method;
    req->target = target;
    req->headers = headers;
    req->header_count = count;
    split_target(req, target);
    return req;
}

void rpc_http_req_free(struct rpc_http_req *req)
{
    buf_deinit(&req->body);
    mem_free(req);
}

/* ---- choosing and calling the handler ---------------------------------------------------------
 */

static const struct rpc_listen_options *options_of(const struct rpc_http_req *req)
{
    const struct rpc_conn *c = req->conn;
    return c->server->http != NULL ? c->server->http : &c->listener->opts;
}

static bool prefix_matches(const char *prefix, struct slice path)
{
    struct slice p = slice_cstr(prefix);
    if (p.len > 0 && p.data[p.len - 1] == '/') {
        return slice_has_prefix(path, p);
    }
    return slice_equal(path, p);
}

static const struct rpc_http_handler *handler_find(const struct rpc_listen_options *o,
                                                   struct slice path)
{
    const struct rpc_http_handler *best = NULL;
    size_t best_len = 0;
    for (size_t i = 0; i < o->handler_count; i++) {
        size_t len = strlen(o->handlers[i].prefix);
        if (prefix_matches(o->handlers[i].prefix, path) && (best == NULL || len > best_len)) {
            best = &o->handlers[i];
            best_len = len;
        }
    }
    return best;
}

static void maybe_free(struct rpc_http_req *req)
{
    if (req->is_over && !req->is_inside) {
        rpc_http_req_free(req);
    }
}

static void enter(struct rpc_http_req *req)
{
    req->is_inside = true;
}

static void leave(struct rpc_http_req *req)
{
    req->is_inside = false;
    maybe_free(req);
}

static void answer_plain(struct rpc_http_req *req, int status, const char *text)
{
    static const struct rpc_http_header headers[] = {
        {"Content-Type", SLICE_LIT("text/plain; charset=utf-8")},
        {"X-Content-Type-Options", SLICE_LIT("nosniff")},
    };
    rpc_http_respond(req, status, headers, ARRAY_LEN(headers), slice_cstr(text));
}

void rpc_http_req_start(struct rpc_http_req *req)
{
    const struct rpc_listen_options *o = options_of(req);
    enter(req);
    if (o->http_filter != NULL && o->http_filter(o->arg, req)) {
        ensure(req->is_over);
        leave(req);
        return;
    }
    req->handler = handler_find(o, req->path);
    if (req->handler == NULL) {
        answer_plain(req, 404, "404 page not found\n");
    } else if (!req->handler->is_whole) {
        req->handler->on_request(req->handler->arg, req);
    }
    leave(req);
}

void rpc_http_req_body(struct rpc_http_req *req, struct slice bytes)
{
    if (req->is_over || req->handler == NULL) {
        return;
    }
    enter(req);
    if (!req->handler->is_whole || req->is_upgraded) {
        if (req->handler->on_body != NULL) {
            req->handler->on_body(req->handler->arg, req, bytes);
        }
    } else if (req->body.len + bytes.len > LIMIT_HTTP1_BODY_BYTES) {
        answer_plain(req, 413, "http: request body too large\n");
    } else {
        buf_append_slice(&req->body, bytes);
    }
    leave(req);
}

void rpc_http_req_end(struct rpc_http_req *req)
{
    if (req->is_over || req->handler == NULL) {
        return;
    }
    enter(req);
    if (req->handler->is_whole) {
        req->handler->on_request(req->handler->arg, req);
    } else if (req->handler->on_end != NULL) {
        req->handler->on_end(req->handler->arg, req);
    }
    leave(req);
}

void rpc_http_req_gone(struct rpc_http_req *req)
{
    ensure(!req->is_over);
    req->is_over = true;
    if (req->handler != NULL && req->handler->on_gone != NULL) {
        enter(req);
        req->handler->on_gone(req->handler->arg, req);
        req->is_inside = false;
    }
    maybe_free(req);
}

void rpc_http_req_maybe_writable(struct rpc_http_req *req)
{
    if (!req->is_blocked || req->backend->queued(req) >= LIMIT_CONN_OUT_BYTES / 2) {
        return;
    }
    req->is_blocked = false;
    if (req->handler != NULL && req->handler->on_writable != NULL) {
        enter(req);
        req->handler->on_writable(req->handler->arg, req);
        leave(req);
    }
}

/* ---- what a request is ------------------------------------------------------------------------
 */

struct slice rpc_http_method(const struct rpc_http_req *req)
{
    return req->method;
}

struct slice rpc_http_path(const struct rpc_http_req *req)
{
    return req->path;
}

struct slice rpc_http_query(const struct rpc_http_req *req)
{
    return req->query;
}

struct slice rpc_http_header(const struct rpc_http_req *req, const char *name)
{
    struct h1_head head = {.headers = req->headers, .count = req->header_count};
    return h1_head_get(&head, name);
}

bool rpc_http_header_at(const struct rpc_http_req *req, size_t i, struct slice *out_name,
                        struct slice *out_value)
{
    if (i >= req->header_count) {
        return false;
    }
    *out_name = req->headers[i].name;
    *out_value = req->headers[i].value;
    return true;
}

struct slice rpc_http_body(const struct rpc_http_req *req)
{
    return buf_slice(&req->body);
}

const char *rpc_http_peer(const struct rpc_http_req *req)
{
    return req->conn->peer;
}

const char *rpc_http_peer_common_name(const struct rpc_http_req *req)
{
    struct rpc_tls *tls = req->conn->link.tls;
    return tls == NULL ? "" : tls->ops->peer_common_name(tls);
}

bool rpc_http_is_tls(const struct rpc_http_req *req)
{
    return req->conn->link.tls != NULL;
}

void rpc_http_set_user(struct rpc_http_req *req, void *user)
{
    req->user = user;
}

void *rpc_http_user(const struct rpc_http_req *req)
{
    return req->user;
}

/* ---- answering --------------------------------------------------------------------------------
 */

/* "Mon, 02 Jan 2006 15:04:05 GMT"; by hand, because strftime asks the locale. */
static size_t date_write(char out[32], int64_t wall_ns)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t t = (time_t)(wall_ns / 1000000000);
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL) {
        return 0;
    }
    int n =
        snprintf(out, 32, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
                 months[tm.tm_mon], (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return (size_t)n;
}

static size_t headers_convert(struct rpc_http_req *req, const struct rpc_http_header *headers,
                              size_t count, char date[32], struct h1_header *out)
{
    const struct rpc_listen_options *o = options_of(req);
    size_t extra_count = 0;
    const struct rpc_http_header *extra =
        o->http_extra_headers == NULL ? NULL : o->http_extra_headers(o->arg, req, &extra_count);
    ensure(count + extra_count + 1 <= REQ_HEADERS_MAX);
    size_t n = 0;
    for (size_t i = 0; i < extra_count; i++) {
        out[n++] = (struct h1_header){slice_cstr(extra[i].name), extra[i].value};
    }
    for (size_t i = 0; i < count; i++) {
        out[n++] = (struct h1_header){slice_cstr(headers[i].name), headers[i].value};
    }
    struct env_clock *clock = req->conn->server->env->clock;
    size_t date_len = date_write(date, clock->ops->wall_ns(clock));
    if (date_len > 0) {
        out[n++] = (struct h1_header){SLICE_LIT("Date"), slice_make(date, date_len)};
    }
    return n;
}

/* The handler has let go. */
static void over(struct rpc_http_req *req)
{
    req->is_over = true;
    maybe_free(req);
}

void rpc_http_req_respond(struct rpc_http_req *req, int status, const struct h1_header *headers,
                          size_t count, struct slice body)
{
    ensure(!req->is_over && !req->is_begun);
    req->is_begun = true;
    req->backend->respond(req, status, headers, count, body);
    over(req);
}

void rpc_http_respond(struct rpc_http_req *req, int status, const struct rpc_http_header *headers,
                      size_t count, struct slice body)
{
    struct h1_header all[REQ_HEADERS_MAX];
    char date[32];
    size_t n = headers_convert(req, headers, count, date, all);
    rpc_http_req_respond(req, status, all, n, body);
}

void rpc_http_begin(struct rpc_http_req *req, int status, const struct rpc_http_header *headers,
                    size_t count)
{
    ensure(!req->is_over && !req->is_begun);
    struct h1_header all[REQ_HEADERS_MAX];
    char date[32];
    size_t n = headers_convert(req, headers, count, date, all);
    req->is_begun = true;
    req->backend->begin(req, status, all, n);
}

void rpc_http_write(struct rpc_http_req *req, struct slice bytes)
{
    ensure(!req->is_over && req->is_begun);
    req->backend->write(req, bytes);
}

bool rpc_http_can_write(struct rpc_http_req *req)
{
    if (req->backend->queued(req) < LIMIT_CONN_OUT_BYTES) {
        return true;
    }
    req->is_blocked = true;
    return false;
}

void rpc_http_finish(struct rpc_http_req *req)
{
    ensure(!req->is_over && req->is_begun);
    req->backend->finish(req);
    over(req);
}

void rpc_http_abort(struct rpc_http_req *req)
{
    ensure(!req->is_over);
    req->backend->abort(req);
    over(req);
}

void rpc_http_cut(struct rpc_http_req *req)
{
    ensure(!req->is_over && req->is_begun);
    req->backend->cut(req);
    over(req);
}

void rpc_http_body_pause(struct rpc_http_req *req)
{
    req->backend->body_pause(req, true);
}

void rpc_http_body_resume(struct rpc_http_req *req)
{
    req->backend->body_pause(req, false);
}

bool rpc_http_upgrade(struct rpc_http_req *req, const struct rpc_http_header *headers, size_t count)
{
    ensure(!req->is_over && !req->is_begun);
    struct h1_header all[REQ_HEADERS_MAX];
    ensure(count <= REQ_HEADERS_MAX);
    for (size_t i = 0; i < count; i++) {
        all[i] = (struct h1_header){slice_cstr(headers[i].name), headers[i].value};
    }
    if (!req->backend->upgrade(req, all, count)) {
        return false;
    }
    req->is_begun = req->is_upgraded = true;
    return true;
}
