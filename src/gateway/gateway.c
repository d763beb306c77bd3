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
    static const char *const ok[] = {"200"};
    metrics_set(g->o.metrics, METRIC_PROMHTTP_METRIC_HANDLER_REQUESTS_IN_FLIGHT, 1);
    metrics_write(g->o.metrics, &out);
    metric_add(metrics_with(g->o.metrics, METRIC_PROMHTTP_METRIC_HANDLER_REQUESTS_TOTAL, ok), 1);
    rpc_http_respond(req, 200, metrics_headers, ARRAY_LEN(metrics_headers), buf_slice(&out));
    buf_deinit(&out);
}

static void unknown_page(void *arg, struct rpc_http_req *req)
{
    (void)arg;
    gateway_not_found(req);
}

/* ---- tables ---- */

static void add(struct gateway *g, struct rpc_http_handler h, bool is_of_metrics)
{
    ensure(g->handler_count < GATEWAY_HANDLERS_MAX);
    g->handlers[g->handler_count++] = h;
    if (is_of_metrics) {
        g->metrics_handlers[g->metrics_handler_count++] = h;
    }
}

static void add_page(struct gateway *g, const char *prefix, bool is_of_metrics,
                     void (*on_request)(void *arg, struct rpc_http_req *req))
{
    struct rpc_http_handler h = {
        .prefix = prefix, .is_whole = true, .on_request = on_request, .arg = g};
    add(g, h, is_of_metrics);
}

/* Answers later: the client may go meanwhile. */
static void add_checks(struct gateway *g, const char *prefix,
                       void (*on_request)(void *arg, struct rpc_http_req *req))
{
    struct rpc_http_handler h = {.prefix = prefix,
                                 .is_whole = true,
                                 .on_request = on_request,
                                 .on_gone = gateway_health_gone,
                                 .arg = g};
    add(g, h, true);
}

static enum json_form form_of_level(void *arg)
{
    const struct gateway *g = arg;
    return driver_level(g->o.driver) >= LEVEL_3_6 ? JSON_FORM_NEW : JSON_FORM_OLD;
}

static void add_json(struct gateway *g)
{
    struct gateway_calls_options o = {
        .env = g->o.env,
        .grpc = g->o.grpc,
        .message_bytes_max = g->o.message_bytes_max,
        .form = form_of_level,
        .arg = g,
    };
    if (o.grpc != NULL) {
        g->calls = gateway_calls_create(&o);
        add(g, gateway_calls_handler(g->calls, "/v3/"), false);
        add(g, gateway_calls_handler(g->calls, "/v3beta/"), false);
    }
}

struct gateway *gateway_create(const struct gateway_options *opts)
{
    struct gateway *g = mem_zalloc(sizeof(*g));
    g->o = *opts;
    gateway_cors_init(g);
    add_page(g, "/", true, unknown_page);
    add_page(g, "/metrics", true, metrics_page);
    add_checks(g, "/health", gateway_health);
    add_checks(g, "/livez", gateway_livez);
    add_checks(g, "/livez/", gateway_livez);
    add_checks(g, "/readyz", gateway_readyz);
    add_checks(g, "/readyz/", gateway_readyz);
    add_page(g, "/version", false, version_page);
    add_page(g, "/debug/vars", false, gateway_vars);
    if (g->o.has_pprof) {
        add_page(g, "/debug/pprof/", false, gateway_pprof);
    }
    add_json(g);
    return g;
}

void gateway_destroy(struct gateway *g)
{
    if (g->calls != NULL) {
        gateway_calls_destroy(g->calls);
    }
    mem_free(g->origins);
    mem_free(g);
}

const struct rpc_http_handler *gateway_handlers(struct gateway *g, size_t *out_count)
{
    *out_count = g->handler_count;
    return g->handlers;
}

const struct rpc_http_handler *gateway_metrics_handlers(struct gateway *g, size_t *out_count)
{
    *out_count = g->metrics_handler_count;
    return g->metrics_handlers;
}
