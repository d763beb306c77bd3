/* SPDX-License-Identifier: Apache-2.0 */
#include "server/server.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "member/url.h"
#include "os/os.h"
#include "server/internal.h"

/* ---- listeners ---- */

/* "127.0.0.1:2379" or "unix:/path" of a checked URL. */
static const char *listen_address(const char *url, struct buf *out)
{
    enum url_scheme scheme = url_scheme_of(url);
    if (scheme == URL_UNIX || scheme == URL_UNIXS) {
        buf_append_cstr(out, "unix:");
    }
    buf_append_slice(out, url_address(url));
    return buf_cstr(out);
}

static int listen_error(int err, const char *addr, char *text)
{
    bool is_unix = strncmp(addr, "unix:", 5) == 0;
    (void)snprintf(text, DRIVER_TEXT_BYTES, "listen %s %s: bind: %s", is_unix ? "unix" : "tcp",
                   is_unix ? addr + 5 : addr, os_last_text_go());
    return err;
}

static int listen_one(struct server *s, const char *url, const struct rpc_listen_options *lo,
                      char *text)
{
    struct buf addr = BUF_INIT;
    const char *a = listen_address(url, &addr);
    int err = rpc_server_listen(s->rpc, a, lo, &s->listeners[s->listener_count]);
    if (err == 0) {
        s->listener_count++;
    } else {
        err = listen_error(err, a, text);
    }
    buf_deinit(&addr);
    return err;
}

static void refuse_conn(void *arg, struct env_conn *conn)
{
    static const struct env_conn_events none = {0};
    (void)arg;
    conn->events = &none;
    conn->ops->close(conn, 0);
}

static int bind_urls(struct env *env, const struct server_config *config,
                     const struct server_urls *urls, struct env_listener **out, char *text)
{
    struct env_listen_options lo = {.reuse_port = config->reuse_port,
                                    .reuse_address = config->reuse_address};
    int err = 0;
    for (size_t i = 0; err == 0 && i < urls->count; i++) {
        struct buf addr = BUF_INIT;
        const char *a = listen_address(urls->items[i], &addr);
        err = env->net->ops->listen(env->net, a, &lo, refuse_conn, NULL, &out[i]);
        if (err != 0) {
            err = listen_error(err, a, text);
        }
        buf_deinit(&addr);
    }
    return err;
}

int server_probe_listen(struct env *env, const struct server_config *config,
                        char text[DRIVER_TEXT_BYTES])
{
    const struct server_urls *all[] = {&config->peer_urls, &config->client_urls,
                                       &config->client_http_urls, &config->metrics_urls};
    int err = 0;
    for (size_t k = 0; err == 0 && k < ARRAY_LEN(all); k++) {
        struct env_listener *l[SERVER_URLS_MAX] = {NULL};
        err = bind_urls(env, config, all[k], l, text);
        if (err != 0 && all[k] == &config->peer_urls) {
            log_error("creating peer listener failed", LOG_STR("error", text));
        }
        for (size_t i = 0; i < SERVER_URLS_MAX; i++) {
            if (l[i] != NULL) {
                l[i]->ops->close(l[i]);
            }
        }
    }
    return err;
}

static int listen_urls(struct server *s, const struct server_urls *urls,
                       const struct rpc_listen_options *lo, char *text)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < urls->count; i++) {
        err = listen_one(s, urls->items[i], lo, text);
    }
    return err;
}

static int listen_all(struct server *s, char *text)
{
    bool is_split = s->config.client_http_urls.count > 0;
    struct rpc_listen_options lo = {
        .accept = RPC_ACCEPT_GRPC | (is_split ? 0u : (unsigned)RPC_ACCEPT_HTTP),
        .has_plain = true,
        .http_filter = gateway_filter,
        .http_extra_headers = gateway_cors_headers,
        .arg = s->gateway,
        .net = {.reuse_port = s->config.reuse_port, .reuse_address = s->config.reuse_address},
    };
    lo.handlers = gateway_handlers(s->gateway, &lo.handler_count);
    int err = bind_urls(s->env, &s->config, &s->config.peer_urls, s->peer_listeners, text);
    if (err == 0) {
        err = listen_urls(s, &s->config.client_urls, &lo, text);
    }
    lo.accept = RPC_ACCEPT_HTTP;
    if (err == 0) {
        err = listen_urls(s, &s->config.client_http_urls, &lo, text);
    }
    lo.handlers = gateway_metrics_handlers(s->gateway, &lo.handler_count);
    lo.http_filter = NULL;
    lo.http_extra_headers = NULL;
    if (err == 0) {
        err = listen_urls(s, &s->config.metrics_urls, &lo, text);
    }
    return err;
}

static void close_peer_listeners(struct server *s)
{
    for (size_t i = 0; i < SERVER_URLS_MAX; i++) {
        if (s->peer_listeners[i] != NULL) {
            s->peer_listeners[i]->ops->close(s->peer_listeners[i]);
            s->peer_listeners[i] = NULL;
        }
    }
}

/* ---- what the driver says ---- */

static void log_serving(const struct server *s)
{
    size_t grpc = s->config.client_urls.count, http = s->config.client_http_urls.count;
    for (size_t i = 0; i < grpc + http; i++) {
        const char *traffic = i >= grpc ? "http" : http > 0 ? "grpc" : "grpc+http";
        log_info("serving client traffic insecurely; this is strongly discouraged!",
                 LOG_STR("traffic", traffic),
                 LOG_STR("address", rpc_listener_name(s->listeners[i])));
    }
}

static void notify_init(void)
{
    log_info("notifying init daemon");
    int err = os_sd_notify("READY=1");
    if (err == 0 || err == ERR_NOT_FOUND) { /* etcd says it without systemd too */
        log_info("successfully notified init daemon");
    } else {
        log_error("failed to notify systemd for readiness", LOG_STR("error", os_last_text_go()));
    }
}

static void on_ready(void *arg)
{
    struct server *s = arg;
    s->is_ready = true;
    for (size_t i = 0; i < s->config.client_urls.count + s->config.client_http_urls.count; i++) {
        log_info("ready to serve client requests");
    }
    notify_init();
    log_info("grpc service status changed", LOG_STR("service", ""), LOG_STR("status", "SERVING"));
    log_serving(s);
    s->config.on_ready(s->arg);
}

static void finish_maybe(struct server *s)
{
    if (s->is_rpc_stopped && s->is_driver_stopped) {
        s->on_end(s->arg, s->is_fatal ? 1 : 0);
    }
}

static void on_driver_stopped(void *arg)
{
    struct server *s = arg;
    s->is_driver_stopped = true;
    finish_maybe(s);
}

static void on_rpc_stopped(void *arg)
{
    struct server *s = arg;
    s->is_rpc_stopped = true;
    finish_maybe(s);
}

static void on_fatal(void *arg, int err, const char *text)
{
    struct server *s = arg;
    (void)err;
    log_error("the member cannot go on and stops; acknowledged writes are on the disk",
              LOG_STR("error", text));
    s->is_fatal = true;
    server_stop(s);
}

/* Leadership has nobody to go to. */
static void log_no_transfer(struct server *s)
{
    struct core_status st;
    core_status(driver_core(s->driver), &st);
    if (st.raft.role == RAFT_LEADER) {
        log_info("skipped leadership transfer for single voting member cluster",
                 LOG_HEX("local-member-id", server_member_id(s)),
                 LOG_HEX("current-leader-member-id", st.leader));
    } else {
        log_info("skipped leadership transfer; local server is not leader",
                 LOG_HEX("local-member-id", server_member_id(s)),
                 LOG_HEX("current-leader-member-id", st.leader));
    }
}

uint64_t server_member_id(const struct server *s)
{
    return core_member_id(driver_core(s->driver));
}

void server_stop(struct server *s)
{
    if (s->is_stopping) {
        return;
    }
    s->is_stopping = true;
    log_no_transfer(s);
    close_peer_listeners(s);
    for (size_t i = 0; i < s->listener_count; i++) {
        rpc_listener_close(s->listeners[i]);
    }
    s->listener_count = 0;
    driver_stop(s->driver);
    rpc_server_stop(s->rpc, SERVER_GRACE_MS, on_rpc_stopped, s);
}

/* ---- life ---- */

static int open_driver(struct server *s, char *text)
{
    struct driver_config dc = s->config.driver;
    dc.env = s->env;
    dc.on_ready = on_ready;
    dc.on_fatal = on_fatal;
    dc.on_stopped = on_driver_stopped;
    dc.arg = s;
    return driver_open(&dc, &s->driver, text);
}

static void make_rpc(struct server *s)
{
    const struct driver_config *dc = &s->config.driver;
    const char *version = level_rules(driver_level(s->driver))->server_version;
    struct service_options so = {
        .driver = s->driver,
        .request_bytes_max = dc->request_bytes_max,
        .txn_ops_max = dc->txn_ops_max,
        .server_version = version,
    };
    s->service = service_create(&so);
    struct gateway_options go = {.driver = s->driver,
                                 .service = s->service,
                                 .metrics = s->metrics,
                                 .server_version = version};
    s->gateway = gateway_create(&go);
    struct grpc_server_options gso = {
        .recv_bytes_max = dc->request_bytes_max + LIMIT_GRPC_OVERHEAD_BYTES,
        .max_concurrent_streams = s->config.max_concurrent_streams,
        .ping_min_interval_ms = s->config.ping_min_ms,
        .ping_interval_ms = s->config.ping_interval_ms,
        .ping_timeout_ms = s->config.ping_timeout_ms,
    };
    s->grpc = grpc_server_create(s->env, &gso);
    service_register(s->service, s->grpc);
    struct rpc_server_options ro = {.env = s->env, .grpc = s->grpc};
    s->rpc = rpc_server_create(&ro);
}

/* A start that ends before the loop ran: nothing is under way but the listeners. */
static void close_all(struct server *s)
{
    close_peer_listeners(s);
    for (size_t i = 0; i < s->listener_count; i++) {
        rpc_listener_close(s->listeners[i]);
    }
}

int server_create(struct env *env, const struct server_config *config,
                  void (*on_end)(void *arg, int rc), void *arg, struct server **out,
                  char text[DRIVER_TEXT_BYTES])
{
    struct server *s = mem_zalloc(sizeof(*s));
    s->config = *config;
    s->env = env;
    s->on_end = on_end;
    s->arg = arg;
    int err = open_driver(s, text);
    if (err != 0) {
        mem_free(s);
        return err;
    }
    s->metrics = metrics_create();
    make_rpc(s);
    server_metrics_init(s);
    err = server_net_start(s, text);
    if (err == 0) {
        err = listen_all(s, text);
    }
    if (err != 0) {
        close_all(s);
        server_destroy(s);
        return err;
    }
    driver_start(s->driver);
    *out = s;
    return 0;
}

void server_destroy(struct server *s)
{
    server_net_stop(s);
    rpc_server_destroy(s->rpc);
    grpc_server_destroy(s->grpc);
    gateway_destroy(s->gateway);
    driver_close(s->driver);
    service_destroy(s->service);
    metrics_destroy(s->metrics);
    mem_free(s);
}
