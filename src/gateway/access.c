/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/access: what happens to a request before its handler: the Host check of plain HTTP, CORS,
 * OPTIONS, canonical paths (client-api 5.1).
 */
#include "base/gotext.h"
#include "base/log.h"
#include "gateway/internal.h"
#include "gateway/path.h"

static bool is_any(const struct strs *l)
{
    return l == NULL || l->count == 0 || strs_contains(l, "*");
}

static bool list_has(const struct strs *l, struct slice s)
{
    for (size_t i = 0; i < l->count; i++) {
        if (slice_equal_cstr(s, l->items[i])) {
            return true;
        }
    }
    return false;
}

/* ---- Host ---- */

/* net.SplitHostPort's host, or all of it. */
static struct slice host_name(struct slice host)
{
    const uint8_t *colon = host.len == 0 ? NULL : memrchr(host.data, ':', host.len);
    if (colon == NULL) {
        return host;
    }
    size_t at = (size_t)(colon - host.data);
    if (host.data[0] == '[') {
        return at > 1 && host.data[at - 1] == ']' ? slice_make(host.data + 1, at - 2) : host;
    }
    bool has_other = memchr(host.data, ':', at) != NULL;
    return has_other ? host : slice_make(host.data, at);
}

static void refuse_host(struct rpc_http_req *req, struct slice host)
{
    struct buf body = BUF_INIT;
    buf_append_cstr(&body, "\netcd received your request, but the Host header was unrecognized.\n\n"
                           "To fix this, choose one of the following options:\n"
                           "- Enable TLS, then any HTTPS request will be allowed.\n"
                           "- Add the hostname you want to use to the whitelist in settings.\n"
                           "  - e.g. etcd --host-whitelist ");
    gotext_quote(&body, host);
    buf_append_cstr(&body, "\n\nThis requirement has been added to help prevent \"DNS Rebinding\" "
                           "attacks (CVE-2018-5702).\n\n");
    log_warn("rejecting HTTP request to prevent DNS rebinding attacks", LOG_SLICE("host", host));
    gateway_text(req, 421, buf_slice(&body), true);
    buf_deinit(&body);
}

static bool is_host_allowed(const struct gateway *g, struct rpc_http_req *req)
{
    const struct strs *l = g->o.host_whitelist;
    return rpc_http_is_tls(req) || is_any(l) ||
           list_has(l, host_name(rpc_http_header(req, "Host")));
}

/* ---- certificates ---- */

/* A gateway's call has no certificate: who counts on it is told (client-api 2.6.3). */
static bool is_name_ignored(const struct gateway *g, struct rpc_http_req *req)
{
    return g->calls != NULL && g->o.has_client_cert_auth &&
           rpc_http_peer_common_name(req)[0] != 0 &&
           slice_has_prefix(rpc_http_path(req), SLICE_LIT("/v3/")) &&
           service_auth_enabled(g->o.service);
}

/* ---- CORS ---- */

void gateway_cors_init(struct gateway *g)
{
    const struct strs *l = g->o.cors;
    g->is_any_origin = is_any(l);
    g->origin_count = g->is_any_origin ? 1 : l->count;
    g->origins = mem_alloc_array(g->origin_count, sizeof(*g->origins));
    for (size_t i = 0; i < g->origin_count; i++) {
        struct slice origin = g->is_any_origin ? SLICE_LIT("*") : slice_cstr(l->items[i]);
        const struct rpc_http_header headers[] = {
            {"Access-Control-Allow-Methods", SLICE_LIT("POST, GET, OPTIONS, PUT, DELETE")},
            {"Access-Control-Allow-Origin", origin},
            {"Access-Control-Allow-Headers", SLICE_LIT("accept, content-type, authorization")},
        };
        _Static_assert(sizeof(headers) == sizeof(g->origins[i].headers), "one slot a header");
        memcpy(g->origins[i].headers, headers, sizeof(headers));
    }
}

const struct rpc_http_header *gateway_cors_headers(void *arg, struct rpc_http_req *req,
                                                   size_t *out_count)
{
    const struct gateway *g = arg;
    struct slice origin = rpc_http_header(req, "Origin");
    bool is_let_in = is_host_allowed(g, req) && !is_name_ignored(g, req);
    size_t count = is_let_in ? g->origin_count : 0;
    for (size_t i = 0; i < count; i++) {
        const struct gateway_origin *o = &g->origins[i];
        if (g->is_any_origin || slice_equal(origin, o->headers[1].value)) {
            *out_count = ARRAY_LEN(o->headers);
            return o->headers;
        }
    }
    *out_count = 0;
    return NULL;
}

/* ---- paths ---- */

static bool is_served_at_slash(const struct gateway *g, struct slice path)
{
    return g->calls != NULL && slice_equal_cstr(path, "/v3");
}

/* 307 to the canonical path, as ServeMux; false: it is canonical. */
static bool redirect(const struct gateway *g, struct rpc_http_req *req)
{
    struct slice path = rpc_http_path(req), query = rpc_http_query(req);
    struct buf clean = BUF_INIT, body = BUF_INIT;
    path_clean(path, &clean);
    if (is_served_at_slash(g, buf_slice(&clean))) {
        buf_append_byte(&clean, '/');
    }
    bool is_other = !slice_equal(path, buf_slice(&clean));
    if (is_other) {
        if (query.len > 0) {
            buf_append_byte(&clean, '?');
            buf_append_slice(&clean, query);
        }
        bool shows = slice_equal_cstr(rpc_http_method(req), "GET") ||
                     slice_equal_cstr(rpc_http_method(req), "HEAD");
        struct rpc_http_header headers[] = {
            {"Location", buf_slice(&clean)},
            {"Content-Type", SLICE_LIT("text/html; charset=utf-8")},
        };
        if (shows) {
            buf_printf(&body, "<a href=\"%s\">Temporary Redirect</a>.\n\n", buf_cstr(&clean));
        }
        rpc_http_respond(req, 307, headers, shows ? 2 : 1, buf_slice(&body));
    }
    buf_deinit(&clean);
    buf_deinit(&body);
    return is_other;
}

bool gateway_filter(void *arg, struct rpc_http_req *req)
{
    const struct gateway *g = arg;
    if (!is_host_allowed(g, req)) {
        refuse_host(req, host_name(rpc_http_header(req, "Host")));
        return true;
    }
    if (is_name_ignored(g, req)) {
        gateway_text(req, 400,
                     SLICE_LIT("CommonName of client sending a request against gateway will be "
                               "ignored and not used as expected\n"),
                     true);
        return true;
    }
    if (slice_equal_cstr(rpc_http_method(req), "OPTIONS")) {
        rpc_http_respond(req, 200, NULL, 0, SLICE_NULL);
        return true;
    }
    return redirect(g, req);
}

bool gateway_metrics_filter(void *arg, struct rpc_http_req *req)
{
    return redirect(arg, req);
}
