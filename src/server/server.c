/* SPDX-License-Identifier: Apache-2.0 */
#include "server/server.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "member/url.h"
#include "os/os.h"
#include "server/internal.h"

/* ---- listeners ---- */

static int listen_error(int err, const char *addr, char *text)
{
    bool is_unix = strncmp(addr, "unix:", 5) == 0;
    (void)snprintf(text, DRIVER_TEXT_BYTES, "listen %s %s: bind: %s", is_unix ? "unix" : "tcp",
                   is_unix ? addr + 5 : addr, os_last_text_go());
    return err;
}

/* Where listeners of one kind go. */
struct listening {
    struct rpc_server *rpc;
    struct rpc_listener **items;
    size_t *count;
};

static int listen_one(const struct listening *l, const char *url,
                      const struct rpc_listen_options *lo, char *text)
{
    struct buf addr = BUF_INIT;
    url_net_address(url, &addr);
    const char *a = buf_cstr(&addr);
    int err = rpc_server_listen(l->rpc, a, lo, &l->items[*l->count]);
    if (err == 0) {
        ++*l->count;
    } else {
        err = listen_error(err, a, text);
    }
    buf_deinit(&addr);
    return err;
}

static void refused_close(void *arg, int err)
{
    (void)arg;
    (void)err;
}

static void refuse_conn(void *arg, struct env_conn *conn)
{
    static const struct env_conn_events none = {.on_close = refused_close};
    (void)arg;
    conn->events = &none;
    conn->ops->close(conn, 0);
}

struct url_mix {
    bool has_plain, has_tls;
    bool is_first; /* of the URLs with its address */
};

static struct url_mix mix_of(const struct server_urls *urls, size_t at)
{
    struct url_mix mix = {.is_first = true};
    for (size_t i = 0; i < urls->count; i++) {
        bool is_tls = url_is_secure(urls->items[i]);
        if (slice_equal(url_address(urls->items[i]), url_address(urls->items[at]))) {
            mix.has_plain |= !is_tls;
            mix.has_tls |= is_tls;
            mix.is_first &= i >= at;
        }
    }
    return mix;
}

static int bind_urls(struct env *env, const struct server_config *config,
                     const struct server_urls *urls, struct env_listener **out, char *text)
{
    struct env_listen_options lo = {.reuse_port = config->reuse_port,
                                    .reuse_address = config->reuse_address};
    int err = 0;
    for (size_t i = 0; err == 0 && i < urls->count; i++) {
        struct buf addr = BUF_INIT;
        if (!mix_of(urls, i).is_first) {
            continue;
        }
        url_net_address(urls->items[i], &addr);
        const char *a = buf_cstr(&addr);
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

/* http and https of the same address are one listener: the first bytes decide. */
static int listen_urls(const struct listening *l, const struct server_urls *urls,
                       const struct rpc_listen_options *lo, const struct rpc_tls_factory *tls,
                       char *text)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < urls->count; i++) {
        struct rpc_listen_options one = *lo;
        struct url_mix mix = mix_of(urls, i);
        one.has_plain = mix.has_plain;
        one.tls = mix.has_tls ? tls : NULL;
        if (mix.is_first) {
            err = listen_one(l, urls->items[i], &one, text);
        }
    }
    return err;
}

static int listen_peers(struct server *s, char *text)
{
    struct listening l = {s->peers.rpc, s->peers.listeners, &s->peers.listener_count};
    struct rpc_listen_options lo = {
        .accept = RPC_ACCEPT_HTTP,
        .is_peer = true,
        .address_has_name = os_address_has_name,
        .net = {.reuse_port = s->config.reuse_port, .reuse_address = s->config.reuse_address},
    };
    lo.handlers = peer_handlers(s->peers.transport, &lo.handler_count);
    return listen_urls(&l, &s->config.peer_urls, &lo, s->config.peer_tls, text);
}

static int listen_clients(struct server *s, char *text)
{
    bool is_split = s->config.client_http_urls.count > 0;
    struct listening l = {s->rpc, s->listeners, &s->listener_count};
    struct rpc_listen_options lo = {
        .accept = RPC_ACCEPT_GRPC | (is_split ? 0u : (unsigned)RPC_ACCEPT_HTTP),
        .address_has_name = os_address_has_name,
        .http_filter = gateway_filter,
        .http_extra_headers = gateway_cors_headers,
        .arg = s->gateway,
        .net = {.reuse_port = s->config.reuse_port, .reuse_address = s->config.reuse_address},
    };
    lo.handlers = gateway_handlers(s->gateway, &lo.handler_count);
    int err = listen_urls(&l, &s->config.client_urls, &lo, s->config.client_tls, text);
    lo.accept = RPC_ACCEPT_HTTP;
    if (err == 0) {
        err = listen_urls(&l, &s->config.client_http_urls, &lo, s->config.client_http_tls, text);
    }
    lo.handlers = gateway_metrics_handlers(s->gateway, &lo.handler_count);
    lo.http_filter = gateway_metrics_filter;
    lo.http_extra_headers = NULL;
    if (err == 0) {
        err = listen_urls(&l, &s->config.metrics_urls, &lo, s->config.metrics_tls, text);
    }
    return err;
}

/* ---- what the driver says ---- */

static void log_serving_urls(const struct server *s, const struct server_urls *urls,
                             const char *traffic, size_t *listener)
{
    for (size_t i = 0; i < urls->count; i++) {
        struct url_mix mix = mix_of(urls, i);
        if (!mix.is_first) {
            continue;
        }
        const char *address = rpc_listener_name(s->listeners[(*listener)++]);
        if (mix.has_plain) {
            log_info("serving client traffic insecurely; this is strongly discouraged!",
                     LOG_STR("traffic", traffic), LOG_STR("address", address));
        }
        if (mix.has_tls) {
            log_info("serving client traffic securely", LOG_STR("traffic", traffic),
                     LOG_STR("address", address));
        }
    }
}

static void log_serving(const struct server *s)
{
    size_t listener = 0;
    bool is_split = s->config.client_http_urls.count > 0;
    log_serving_urls(s, &s->config.client_urls, is_split ? "grpc" : "grpc+http", &listener);
    log_serving_urls(s, &s->config.client_http_urls, "http", &listener);
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

static void serve(struct server *s)
{
    s->is_ready = true;
    service_start(s->service);
    for (size_t i = 0; i < s->config.client_urls.count + s->config.client_http_urls.count; i++) {
        log_info("ready to serve client requests");
    }
    notify_init();
    log_info("grpc service status changed", LOG_STR("service", ""), LOG_STR("status", "SERVING"));
    log_serving(s);
    s->config.on_ready(s->arg);
}

static void initial_failed(struct server *s, const char *what, const char *text)
{
    log_at_(LOG_FATAL, NULL, what, LOG_STR("error", text));
    s->is_fatal = true;
    server_stop(s);
}

/* Clients come in only now: not one of them reads what differs from the others. */
static void on_initial_check(void *arg, int err, const char *text)
{
    struct server *s = arg;
    char why[DRIVER_TEXT_BYTES] = "";
    if (err != 0) {
        initial_failed(s, "checkInitialHashKV failed", text);
    } else if (listen_clients(s, why) != 0) {
        initial_failed(s, "setting up serving from embedded etcd failed.", why);
    } else {
        serve(s);
    }
}

static void on_ready(void *arg)
{
    struct server *s = arg;
    if (s->config.has_initial_corrupt_check) {
        service_check_initial(s->service, on_initial_check, s);
    } else {
        serve(s);
    }
}

static void finish_maybe(struct server *s)
{
    if (s->is_rpc_stopped && s->is_peers_stopped && s->is_tls_stopped) {
        s->on_end(s->arg, s->is_fatal ? 1 : 0);
    }
}

static void on_peers_stopped(void *arg)
{
    struct server *s = arg;
    s->is_peers_stopped = true;
    finish_maybe(s);
}

/* Only now: leadership is handed over through them. */
static void on_driver_stopped(void *arg)
{
    struct server *s = arg;
    s->is_driver_stopped = true;
    server_peers_stop(&s->peers, on_peers_stopped, s);
}

static void on_rpc_stopped(void *arg)
{
    struct server *s = arg;
    s->is_rpc_stopped = true;
    finish_maybe(s);
}

static void on_tls_stopped(void *arg)
{
    struct server *s = arg;
    s->is_tls_stopped = true;
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

static void close_listeners(struct server *s)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        rpc_listener_close(s->listeners[i]);
    }
    s->listener_count = 0;
}

void server_stop(struct server *s)
{
    if (s->is_stopping) {
        return;
    }
    s->is_stopping = true;
    log_no_transfer(s);
    close_listeners(s);
    service_stop(s->service);
    server_tls_watch_stop(&s->tls_watch, on_tls_stopped, s);
    driver_stop(s->driver);
    rpc_server_stop(s->rpc, SERVER_GRACE_MS, on_rpc_stopped, s);
}

void server_reload(struct server *s)
{
    if (s->tls_watch.tls != NULL) {
        server_tls_watch_ask(&s->tls_watch);
    }
}

/* ---- life ---- */

static void on_messages(void *arg, const struct raft_message *messages, size_t count)
{
    struct server *s = arg;
    server_peers_send(&s->peers, messages, count);
}

static void on_send_snapshot(void *arg, const struct driver_snapshot *snapshot)
{
    struct server *s = arg;
    server_peers_send_snapshot(&s->peers, snapshot);
}

static void on_members_changed(void *arg)
{
    struct server *s = arg;
    server_peers_members_changed(&s->peers);
}

static void on_want_versions(void *arg)
{
    struct server *s = arg;
    server_peers_want_versions(&s->peers);
}

static void on_level_changed(void *arg, enum level level)
{
    struct server *s = arg;
    peer_level_set(s->peers.transport, level);
}

static void on_removed(void *arg)
{
    struct server *s = arg;
    log_error("server error", LOG_STR("error", "the member has been permanently removed from the "
                                               "cluster"));
    log_error("data-dir used by this member must be removed");
    server_stop(s);
}

static int open_tokens(struct server *s, char *text)
{
    uint64_t seed;
    s->env->rand->ops->fill(s->env->rand, &seed, sizeof(seed));
    const struct auth_tokens_options o = {
        .spec = s->config.auth_token,
        .ttl_s = s->config.auth_token_ttl_s,
        .disk = s->env->disk,
        .hash_seed = seed,
    };
    struct buf why = BUF_INIT;
    int err = auth_tokens_create(&o, &why, &s->tokens);
    if (err != 0) {
        (void)snprintf(text, DRIVER_TEXT_BYTES, "%s", buf_cstr(&why));
    }
    buf_deinit(&why);
    return err;
}

static int open_driver(struct server *s, char *text)
{
    struct driver_config dc = s->config.driver;
    struct server_resolver resolver;
    server_resolver_init(&resolver, s->env);
    dc.env = s->env;
    dc.tokens = s->tokens;
    dc.resolver = &resolver.base; /* used by driver_open only */
    dc.on_ready = on_ready;
    dc.on_fatal = on_fatal;
    dc.on_stopped = on_driver_stopped;
    dc.on_messages = on_messages;
    dc.on_send_snapshot = on_send_snapshot;
    dc.on_members_changed = on_members_changed;
    dc.on_want_versions = on_want_versions;
    dc.on_level_changed = on_level_changed;
    dc.on_removed = on_removed;
    dc.arg = s;
    return driver_open(&dc, &s->driver, text);
}

static void process_memory(uint64_t *out_resident, uint64_t *out_virtual)
{
    struct os_usage u;
    os_usage_get(&u);
    *out_resident = u.rss_bytes;
    *out_virtual = u.virtual_bytes;
}

static const struct gateway_process process = {
    .command_line = os_command_line,
    .fd_limit = os_fd_limit_get,
    .memory = process_memory,
};

static void make_gateway(struct server *s)
{
    struct gateway_options go = {
        .driver = s->driver,
        .service = s->service,
        .metrics = s->metrics,
        .env = s->env,
        .grpc = s->config.has_json_gateway ? s->grpc : NULL,
        .message_bytes_max = s->config.driver.request_bytes_max + LIMIT_GRPC_OVERHEAD_BYTES,
        .cors = s->config.cors,
        .host_whitelist = s->config.host_whitelist,
        .process = &process,
        .has_pprof = s->config.has_pprof,
        .has_client_cert_auth = s->config.client_cert_auth,
    };
    s->gateway = gateway_create(&go);
}

static void make_rpc(struct server *s)
{
    const struct driver_config *dc = &s->config.driver;
    struct service_options so = {
        .driver = s->driver,
        .request_bytes_max = dc->request_bytes_max,
        .txn_ops_max = dc->txn_ops_max,
        .peers = &s->peers.asker,
        .request_timeout_ms = s->config.request_timeout_ms,
        .election_ms = dc->election_ms,
        .watch_progress_ms = s->config.watch_progress_ms,
        .corrupt_check_ms = s->config.corrupt_check_ms,
        .compact_hash_check_ms = s->config.compact_hash_check_ms,
        .stops_on_defrag = s->config.stops_on_defrag,
        .compaction = s->config.compaction,
        .compaction_keep = s->config.compaction_keep,
        .client_cert_auth = s->config.client_cert_auth,
        .bcrypt_cost = s->config.bcrypt_cost,
    };
    s->service = service_create(&so);
    struct grpc_server_options gso = {
        .recv_bytes_max = dc->request_bytes_max + LIMIT_GRPC_OVERHEAD_BYTES,
        .max_concurrent_streams = s->config.max_concurrent_streams,
        .ping_min_interval_ms = s->config.ping_min_ms,
        .ping_interval_ms = s->config.ping_interval_ms,
        .ping_timeout_ms = s->config.ping_timeout_ms,
        .on_handled = server_call_handled,
        .arg = s,
        .admit = server_admit,
        .admit_arg = s,
    };
    s->grpc = grpc_server_create(s->env, &gso);
    service_register(s->service, s->grpc);
    make_gateway(s);
    struct rpc_server_options ro = {.env = s->env, .grpc = s->grpc};
    s->rpc = rpc_server_create(&ro);
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
    int err = open_tokens(s, text);
    if (err != 0) {
        mem_free(s);
        return err;
    }
    err = open_driver(s, text);
    if (err != 0) {
        auth_tokens_destroy(s->tokens);
        mem_free(s);
        return err;
    }
    s->metrics = metrics_create();
    s->peers.on_removed = on_removed;
    s->peers.on_rtt = server_metrics_rtt;
    s->peers.arg = s;
    server_peers_open(&s->peers, &s->config, env, s->driver);
    make_rpc(s);
    server_peers_serve(&s->peers, s->service);
    server_metrics_init(s);
    err = server_net_start(s, text);
    if (err == 0) {
        err = listen_peers(s, text);
    }
    if (err == 0 && !s->config.has_initial_corrupt_check) {
        err = listen_clients(s, text);
    }
    if (err != 0) {
        close_listeners(s);
        server_destroy(s);
        return err;
    }
    if (s->config.tls != NULL) {
        server_tls_watch_start(&s->tls_watch, env, s->config.tls);
    }
    driver_start(s->driver);
    *out = s;
    return 0;
}

void server_destroy(struct server *s)
{
    server_net_stop(s);
    rpc_server_destroy(s->rpc);
    gateway_destroy(s->gateway);
    grpc_server_destroy(s->grpc);
    server_peers_close(&s->peers);
    driver_close(s->driver);
    auth_tokens_destroy(s->tokens);
    service_destroy(s->service);
    metrics_destroy(s->metrics);
    mem_free(s);
}
