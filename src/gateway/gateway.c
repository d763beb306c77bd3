/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gateway.h"

#include "gateway/internal.h"

static const struct rpc_http_header text_headers[] = {
    {"Content-Type", SLICE_LIT("text/plain; charset=utf-8")},
};

static const struct rpc_http_header error_headers[] = {
    {"Content-Type", SLICE_LIT("text/plain; charset=utf-8")},
    {"X-Content-Type-Options", SLICE_LIT("nosniff")},
};

static const struct rpc_http_header allow_headers[] = {
    {"Allow", SLICE_LIT("GET")},
    {"Content-Type", SLICE_LIT("text/plain; charset=utf-8")},
    {"X-Content-Type-Options", SLICE_LIT("nosniff")},
};

static const struct rpc_http_header json_headers[] = {
    {"Content-Type", SLICE_LIT("application/json")},
};

static const struct rpc_http_header metrics_headers[] = {
    {"Content-Type", SLICE_LIT("text/plain; version=0.0.4; charset=utf-8; escaping=underscores")},
};

static const struct rpc_http_header cors_headers[] = {
    {"Access-Control-Allow-Methods", SLICE_LIT("POST, GET, OPTIONS, PUT, DELETE")},
    {"Access-Control-Allow-Origin", SLICE_LIT("*")},
    {"Access-Control-Allow-Headers", SLICE_LIT("accept, content-type, authorization")},
};

bool gateway_get_only(struct rpc_http_req *req)
{
    if (slice_equal_cstr(rpc_http_method(req), "GET")) {
        return false;
    }
    rpc_http_respond(req, 405, allow_headers, ARRAY_LEN(allow_headers),
                     SLICE_LIT("Method Not Allowed\n"));
    return true;
}

void gateway_text(struct rpc_http_req *req, int status, struct slice body, bool is_error)
{
    if (is_error) {
        rpc_http_respond(req, status, error_headers, ARRAY_LEN(error_headers), body);
    } else {
        rpc_http_respond(req, status, text_headers, ARRAY_LEN(text_headers), body);
    }
}

void gateway_not_found(struct rpc_http_req *req)
{
    gateway_text(req, 404, SLICE_LIT("404 page not found\n"), true);
}

bool gateway_query_has(struct rpc_http_req *req, const char *name, const char *value)
{
    struct buf n = BUF_INIT, v = BUF_INIT;
    bool has = false;
    for (size_t i = 0; !has && rpc_http_query_at(rpc_http_query(req), i, &n, &v); i++) {
        has = slice_equal_cstr(buf_slice(&n), name) &&
              (value == NULL || slice_equal_cstr(buf_slice(&v), value));
    }
    buf_deinit(&n);
    buf_deinit(&v);
    return has;
}

/* ---- /version, /metrics ---- */

static void append_version(struct buf *out, const char *key, struct semver v, const char *unknown)
{
    char text[SEMVER_TEXT_MAX];
    semver_format(v, text);
    buf_printf(out, ",\"%s\":\"%s\"", key, semver_is_none(v) ? unknown : text);
}

static void version_page(void *arg, struct rpc_http_req *req)
{
    struct gateway *g = arg;
    if (gateway_get_only(req)) {
        return;
    }
    const struct core *core = driver_core(g->o.driver);
    struct core_status st;
    core_status(core, &st);
    struct buf out = BUF_INIT;
    buf_printf(&out, "{\"etcdserver\":\"%s\"",
               level_rules(driver_level(g->o.driver))->server_version);
    append_version(&out, "etcdcluster", core_cluster_version(core), "not_decided");
    if (level_rules(st.level)->version_has_storage) {
        append_version(&out, "storage", core_storage_version(core), "unknown");
    }
    buf_append_byte(&out, '}');
    rpc_http_respond(req, 200, json_headers, ARRAY_LEN(json_headers), buf_slice(&out));
    buf_deinit(&out);
}

static void metrics_page(void *arg, struct rpc_http_req *req)
{
    struct gateway *g = arg;
    struct buf out = BUF_INIT;
    metrics_write(g->o.metrics, &out);
    rpc_http_respond(req, 200, metrics_headers, ARRAY_LEN(metrics_headers), buf_slice(&out));
    buf_deinit(&out);
}

static void unknown_page(void *arg, struct rpc_http_req *req)
{
    (void)arg;
    gateway_not_found(req);
}

/* ---- tables ---- */

const struct rpc_http_header *gateway_cors_headers(void *arg, struct rpc_http_req *req,
                                                   size_t *out_count)
{
    (void)arg;
    (void)req;
    *out_count = ARRAY_LEN(cors_headers);
    return cors_headers;
}

bool gateway_filter(void *arg, struct rpc_http_req *req)
{
    (void)arg;
    if (!slice_equal_cstr(rpc_http_method(req), "OPTIONS")) {
        return false;
    }
    rpc_http_respond(req, 200, NULL, 0, SLICE_NULL);
    return true;
}

struct gateway *gateway_create(const struct gateway_options *opts)
{
    struct gateway *g = mem_zalloc(sizeof(*g));
    g->o = *opts;
    const struct rpc_http_handler all[] = {
        {.prefix = "/metrics", .is_whole = true, .on_request = metrics_page, .arg = g},
        {.prefix = "/health",
         .is_whole = true,
         .on_request = gateway_health,
         .on_gone = gateway_health_gone,
         .arg = g},
        {.prefix = "/livez",
         .is_whole = true,
         .on_request = gateway_livez,
         .on_gone = gateway_health_gone,
         .arg = g},
        {.prefix = "/livez/",
         .is_whole = true,
         .on_request = gateway_livez,
         .on_gone = gateway_health_gone,
         .arg = g},
        {.prefix = "/readyz",
         .is_whole = true,
         .on_request = gateway_readyz,
         .on_gone = gateway_health_gone,
         .arg = g},
        {.prefix = "/readyz/",
         .is_whole = true,
         .on_request = gateway_readyz,
         .on_gone = gateway_health_gone,
         .arg = g},
        {.prefix = "/", .is_whole = true, .on_request = unknown_page, .arg = g},
        {.prefix = "/version", .is_whole = true, .on_request = version_page, .arg = g},
    };
    _Static_assert(sizeof(all) == sizeof(g->handlers), "one slot a handler");
    memcpy(g->handlers, all, sizeof(all));
    memcpy(g->metrics_handlers, all, sizeof(all));
    return g;
}

void gateway_destroy(struct gateway *g)
{
    mem_free(g);
}

const struct rpc_http_handler *gateway_handlers(struct gateway *g, size_t *out_count)
{
    *out_count = GATEWAY_HANDLERS_MAX;
    return g->handlers;
}

const struct rpc_http_handler *gateway_metrics_handlers(struct gateway *g, size_t *out_count)
{
    *out_count = GATEWAY_HANDLERS_MAX - 1; /* all but /version, the last */
    return g->metrics_handlers;
}
