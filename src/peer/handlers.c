/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/handlers: the table of the peer port, the checks that come before anything else
 * (peer-protocol 2.4), streams that peers dial, probing.
 */
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "member/url.h"
#include "peer/internal.h"

/* ---- answers ----------------------------------------------------------------------------------
 */

enum { TEXT_HEADERS_MAX = 4 };

static size_t text_headers(const struct peer_transport *t, const struct rpc_http_req *req,
                           bool has_cluster, struct rpc_http_header headers[TEXT_HEADERS_MAX])
{
    size_t n = 0;
    struct slice path = rpc_http_path(req);
    headers[n++] = (struct rpc_http_header){"Content-Type", SLICE_LIT("text/plain; charset=utf-8")};
    headers[n++] = (struct rpc_http_header){"X-Content-Type-Options", SLICE_LIT("nosniff")};
    if (has_cluster) {
        headers[n++] = (struct rpc_http_header){"X-Etcd-Cluster-Id", slice_cstr(t->cluster_hex)};
    }
    if (has_cluster && slice_has_prefix(path, SLICE_LIT("/raft/stream/"))) {
        headers[n++] =
            (struct rpc_http_header){"X-Server-Version", slice_cstr(t->rules->server_version)};
    }
    return n;
}

void peer_answer_text(struct peer_transport *t, struct rpc_http_req *req, int status,
                      const char *text, bool has_cluster)
{
    struct rpc_http_header headers[TEXT_HEADERS_MAX];
    size_t n = text_headers(t, req, has_cluster, headers);
    struct buf body = BUF_INIT;
    buf_append_cstr(&body, text);
    buf_append_byte(&body, '\n');
    rpc_http_respond(req, status, headers, n, buf_slice(&body));
    buf_deinit(&body);
}

void peer_answer_cut(struct peer_transport *t, struct rpc_http_req *req, const char *text)
{
    struct rpc_http_header headers[TEXT_HEADERS_MAX];
    size_t n = text_headers(t, req, true, headers);
    struct buf body = BUF_INIT;
    buf_append_cstr(&body, text);
    buf_append_byte(&body, '\n');
    rpc_http_begin(req, 500, headers, n);
    rpc_http_write(req, buf_slice(&body));
    rpc_http_cut(req);
    buf_deinit(&body);
}

void peer_answer_method(struct rpc_http_req *req, const char *allowed)
{
    const struct rpc_http_header headers[] = {
        {"Allow", slice_cstr(allowed)},
        {"Content-Type", SLICE_LIT("text/plain; charset=utf-8")},
        {"X-Content-Type-Options", SLICE_LIT("nosniff")},
    };
    rpc_http_respond(req, 405, headers, ARRAY_LEN(headers), SLICE_LIT("Method Not Allowed\n"));
}

/* ---- checks -----------------------------------------------------------------------------------
 */

int peer_hex_parse(struct slice text, uint64_t *out)
{
    uint64_t v = 0;
    if (text.len == 0) {
        return ERR_MALFORMED;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        unsigned d = c >= '0' && c <= '9'   ? c - (unsigned)'0'
                     : c >= 'a' && c <= 'f' ? c - (unsigned)'a' + 10
                     : c >= 'A' && c <= 'F' ? c - (unsigned)'A' + 10
                                            : 16U;
        if (d == 16 || v >> 60 != 0) {
            return ERR_MALFORMED;
        }
        v = v << 4 | d;
    }
    *out = v;
    return 0;
}

/* major.minor.patch, strictly, with an optional -pre or +build behind. */
static bool is_strict_version(struct slice s)
{
    unsigned dots = 0;
    bool has_digit = false;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        if (c >= '0' && c <= '9') {
            has_digit = true;
        } else if (c == '.' && has_digit && dots < 2) {
            dots++;
            has_digit = false;
        } else {
            return (c == '-' || c == '+') && dots == 2 && has_digit && i + 1 < s.len;
        }
    }
    return dots == 2 && has_digit;
}

/* A missing header counts as 2.0.0. */
static int version_header(const struct rpc_http_req *req, const char *name, struct semver *out)
{
    struct slice text = rpc_http_header(req, name);
    if (text.len == 0) {
        *out = (struct semver){2, 0, 0};
        return 0;
    }
    return is_strict_version(text) ? semver_parse(text, out) : ERR_MALFORMED;
}

static bool is_lower(struct semver a, struct semver b)
{
    return a.major != b.major ? a.major < b.major : a.minor < b.minor;
}

/* 0, ERR_VERSION, ERR_MALFORMED. */
static int version_check(const struct peer_transport *t, const struct rpc_http_req *req)
{
    struct semver theirs, their_min;
    const struct semver our_min = {3, 0, 0};
    int err = version_header(req, "X-Server-Version", &theirs);
    if (err == 0) {
        err = version_header(req, "X-Min-Cluster-Version", &their_min);
    }
    if (err == 0 && (is_lower(theirs, our_min) || is_lower(t->rules->version, their_min))) {
        err = ERR_VERSION;
    }
    return err;
}

static void warn_refused(const struct peer_transport *t, const struct rpc_http_req *req,
                         const char *why)
{
    struct buf from = BUF_INIT;
    buf_append_slice(&from, rpc_http_header(req, "X-Server-From"));
    log_warn("request from a peer refused", LOG_STR("local-member-id", t->local_hex),
             LOG_STR("remote-peer-id", buf_cstr(&from)), LOG_STR("remote-addr", rpc_http_peer(req)),
             LOG_STR("reason", why));
    buf_deinit(&from);
}

bool peer_request_check(struct peer_transport *t, struct rpc_http_req *req, const char *method)
{
    if (!slice_equal_cstr(rpc_http_method(req), method)) {
        peer_answer_method(req, method);
        return false;
    }
    int err = version_check(t, req);
    if (err == ERR_MALFORMED) { /* etcd's handler dies of it and drops the connection */
        warn_refused(t, req, "version cannot be read");
        rpc_http_abort(req);
        return false;
    }
    if (err != 0) {
        warn_refused(t, req, "incompatible version");
        peer_answer_text(t, req, 412, "incompatible version", true);
        return false;
    }
    if (!slice_equal_cstr(rpc_http_header(req, "X-Etcd-Cluster-Id"), t->cluster_hex)) {
        warn_refused(t, req, "cluster ID mismatch");
        peer_answer_text(t, req, 412, "cluster ID mismatch", true);
        return false;
    }
    return true;
}

void peer_remote_from_headers(struct peer_transport *t, struct rpc_http_req *req)
{
    uint64_t id = 0;
    struct slice text = rpc_http_header(req, "X-PeerURLs");
    if (text.len == 0 || peer_hex_parse(rpc_http_header(req, "X-Server-From"), &id) != 0 ||
        id == 0) {
        return;
    }
    struct peer *p = peer_find(t, id);
    if (p != NULL) {
        peer_version_heard(p, rpc_http_header(req, "X-Server-Version"));
        for (int c = 0; c < PEER_CHANNEL_COUNT; c++) {
            peer_reader_nudge(&p->readers[c]);
        }
        return;
    }
    struct strs urls = {NULL, 0};
    char *list = mem_strndup(text.data, text.len);
    if (urls_parse_list(list, &urls, NULL) == 0) {
        peer_remote_add(t, id, &urls);
    }
    strs_deinit(&urls);
    mem_free(list);
}

/* ---- streams ----------------------------------------------------------------------------------
 */

static struct slice last_segment(struct slice path)
{
    const uint8_t *slash = memrchr(path.data, '/', path.len);
    return slash == NULL ? path : slice_skip(path, (size_t)(slash + 1 - path.data));
}

static bool stream_channel(struct slice path, enum peer_channel *out)
{
    static const struct slice names[PEER_CHANNEL_COUNT] = {SLICE_LIT("/raft/stream/message"),
                                                           SLICE_LIT("/raft/stream/msgapp")};
    path.len -= last_segment(path).len + 1;
    for (int c = 0; c < PEER_CHANNEL_COUNT; c++) {
        if (slice_equal(path, names[c])) {
            *out = (enum peer_channel)c;
            return true;
        }
    }
    return false;
}

/* The sender, or NULL: answered. */
static struct peer *stream_sender(struct peer_transport *t, struct rpc_http_req *req)
{
    uint64_t from = 0;
    if (peer_hex_parse(last_segment(rpc_http_path(req)), &from) != 0) {
        peer_answer_text(t, req, 404, "invalid from", true);
        return NULL;
    }
    if (!t->is_stopped && t->events->is_removed(t->arg, from)) {
        warn_refused(t, req, "removed member");
        peer_answer_text(t, req, 410, "removed member", true);
        return NULL;
    }
    struct peer *p = peer_find(t, from);
    if (p == NULL || p->is_remote) {
        peer_remote_from_headers(t, req);
        peer_answer_text(t, req, 404, "error sender not found", true);
        return NULL;
    }
    if (!slice_equal_cstr(rpc_http_header(req, "X-Raft-To"), t->local_hex)) {
        warn_refused(t, req, "to field mismatch");
        peer_answer_text(t, req, 412, "to field mismatch", true);
        return NULL;
    }
    return p;
}

static void stream_request(void *arg, struct rpc_http_req *req)
{
    struct peer_transport *t = arg;
    if (!peer_request_check(t, req, "GET")) {
        return;
    }
    enum peer_channel channel;
    if (!stream_channel(rpc_http_path(req), &channel)) {
        peer_answer_text(t, req, 404, "invalid path", true);
        return;
    }
    struct peer *p = stream_sender(t, req);
    if (p == NULL) {
        return;
    }
    peer_version_heard(p, rpc_http_header(req, "X-Server-Version"));
    peer_writer_attach(&p->writers[channel], req);
    for (int c = 0; c < PEER_CHANNEL_COUNT; c++) {
        peer_reader_nudge(&p->readers[c]);
    }
}

static void stream_gone(void *arg, struct rpc_http_req *req)
{
    struct peer_writer *w = rpc_http_user(req);
    (void)arg;
    if (w != NULL && w->req == req) {
        peer_writer_detach(w, false);
        peer_deactivate(w->peer, "write", ERR_CLOSED);
    }
}

static void stream_writable(void *arg, struct rpc_http_req *req)
{
    struct peer_writer *w = rpc_http_user(req);
    (void)arg;
    if (w != NULL && w->req == req) {
        peer_writer_flush(w);
    }
}

/* ---- probing ----------------------------------------------------------------------------------
 */

/* {"OK":true,"Now":"2026-11-24T11:28:30.123456789Z"}; trailing zeros are left out, as Go does. */
static void probing_request(void *arg, struct rpc_http_req *req)
{
    struct peer_transport *t = arg;
    int64_t wall = t->env->clock->ops->wall_ns(t->env->clock);
    time_t seconds = (time_t)(wall / 1000000000);
    struct tm tm;
    struct buf body = BUF_INIT;
    (void)gmtime_r(&seconds, &tm);
    buf_printf(&body, "{\"OK\":true,\"Now\":\"%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
               tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (wall % 1000000000 != 0) {
        buf_printf(&body, ".%09d", (int)(wall % 1000000000));
        while (body.data[body.len - 1] == '0') {
            body.len--;
        }
    }
    buf_append_cstr(&body, "Z\"}\n");
    const struct rpc_http_header type = {"Content-Type", SLICE_LIT("text/plain; charset=utf-8")};
    rpc_http_respond(req, 200, &type, 1, buf_slice(&body));
    buf_deinit(&body);
}

/* ---- the table --------------------------------------------------------------------------------
 */

void peer_handlers_init(struct peer_transport *t)
{
    static const struct rpc_http_handler table[PEER_HANDLERS] = {
        {.prefix = "/raft",
         .on_request = peer_post_in_request,
         .on_body = peer_post_in_body,
         .on_end = peer_post_in_end,
         .on_gone = peer_post_in_gone},
        {.prefix = "/raft/stream/",
         .on_request = stream_request,
         .on_gone = stream_gone,
         .on_writable = stream_writable},
        {.prefix = "/raft/snapshot",
         .on_request = peer_snap_in_request,
         .on_body = peer_snap_in_body,
         .on_end = peer_snap_in_end,
         .on_gone = peer_snap_in_gone},
        {.prefix = "/raft/probing", .on_request = probing_request},
        {.prefix = "/members", .on_request = peer_page_request},
        {.prefix = "/members/promote/", .on_request = peer_page_request},
        {.prefix = "/members/hashkv", .on_request = peer_page_request},
        {.prefix = "/leases", .on_request = peer_page_request},
        {.prefix = "/leases/internal", .on_request = peer_page_request},
        {.prefix = "/version", .on_request = peer_page_request},
        {.prefix = "/downgrade/enabled", .on_request = peer_page_request},
    };
    for (size_t i = 0; i < PEER_HANDLERS; i++) {
        t->handlers[i] = table[i];
        t->handlers[i].arg = t;
        if (table[i].on_request == peer_page_request) {
            t->handlers[i].on_body = peer_page_body;
            t->handlers[i].on_end = peer_page_end;
            t->handlers[i].on_gone = peer_page_gone;
        }
    }
}
