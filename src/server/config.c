/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"

#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "member/url.h"

enum { ELECTION_MS_MAX = 50000, ELECTION_TICKS_MIN = 5 };

/* ---- checks ---- */

/* The host part of "host:port": an IP address or localhost. */
static bool is_ip_host(struct slice addr)
{
    size_t len = addr.len;
    while (len > 0 && addr.data[len - 1] != ':') {
        len--;
    }
    struct slice host = slice_make(addr.data, len > 0 ? len - 1 : 0);
    if (host.len == 0 || slice_equal_cstr(host, "localhost") || host.data[0] == '[') {
        return true;
    }
    for (size_t i = 0; i < host.len; i++) {
        if ((host.data[i] < '0' || host.data[i] > '9') && host.data[i] != '.') {
            return false;
        }
    }
    return true;
}

static int check_listen(const struct flags *f, enum flag_id id, struct buf *error)
{
    struct strs urls = {0};
    int err = flag_text(f, id)[0] == 0 ? 0 : urls_parse_list(flag_text(f, id), &urls, error);
    for (size_t i = 0; err == 0 && i < urls.count; i++) {
        enum url_scheme s = url_scheme_of(urls.items[i]);
        bool is_socket = s == URL_UNIX || s == URL_UNIXS;
        if (!is_socket && !is_ip_host(url_address(urls.items[i]))) {
            buf_printf(error, "expected IP in URL for binding (%s)", urls.items[i]);
            err = ERR_INVALID;
        } else if (s == URL_HTTPS || s == URL_UNIXS) {
            buf_printf(error,
                       id == FLAG_ID_LISTEN_METRICS_URLS
                           ? "client TLS key/cert (--cert-file, --key-file) must be provided for "
                             "metrics secure url%s"
                           : "TLS key/cert (--cert-file, --key-file) must be provided for client "
                             "url %s with HTTPS scheme",
                       id == FLAG_ID_LISTEN_METRICS_URLS ? "" : urls.items[i]);
            err = ERR_INVALID;
        }
    }
    strs_deinit(&urls);
    return err;
}

static int check_timers(const struct flags *f, struct buf *error)
{
    uint64_t heartbeat = flag_uint(f, FLAG_ID_HEARTBEAT_INTERVAL);
    uint64_t election = flag_uint(f, FLAG_ID_ELECTION_TIMEOUT);
    if (heartbeat == 0) {
        buf_append_cstr(error, "--heartbeat-interval must be >0 (set to 0ms)");
    } else if (election == 0) {
        buf_append_cstr(error, "--election-timeout must be >0 (set to 0ms)");
    } else if (election < ELECTION_TICKS_MIN * heartbeat) {
        buf_printf(error,
                   "--election-timeout[%llums] should be at least as 5 times as "
                   "--heartbeat-interval[%llums]",
                   (unsigned long long)election, (unsigned long long)heartbeat);
    } else if (election > ELECTION_MS_MAX) {
        buf_printf(error,
                   "--election-timeout[%llums] is too long, and should be set less than 50000ms",
                   (unsigned long long)election);
    } else {
        return 0;
    }
    return ERR_INVALID;
}

static int check_refused(const struct flags *f, struct buf *error)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        const struct flag_spec *s = flag_spec((enum flag_id)i);
        if (s->support == FLAG_REFUSED && !flag_is_default(f, (enum flag_id)i)) {
            buf_printf(error,
                       "--%s=%s: this release of Cairn does not have this feature yet; leave the "
                       "flag out",
                       s->name, flag_text(f, (enum flag_id)i));
            return ERR_INVALID;
        }
    }
    return 0;
}

static int check_logging(const struct flags *f, struct buf *error)
{
    const char *logger = flag_text(f, FLAG_ID_LOGGER);
    const char *outputs = flag_text(f, FLAG_ID_LOG_OUTPUTS);
    if (strcmp(logger, "capnslog") == 0) {
        buf_append_cstr(error, "--logger=capnslog is removed in v3.5");
    } else if (strcmp(logger, "zap") != 0) {
        buf_printf(error, "unknown logger option \"%s\"", logger);
    } else if (strchr(outputs, ',') != NULL && strstr(outputs, "default") != NULL) {
        buf_append_cstr(error, "multi logoutput for \"default\" is not supported yet");
    } else {
        return 0;
    }
    return ERR_INVALID;
}

static int check_client_urls(const struct flags *f, struct buf *error)
{
    if (flag_is_given(f, FLAG_ID_LISTEN_CLIENT_URLS) &&
        !flag_is_given(f, FLAG_ID_ADVERTISE_CLIENT_URLS)) {
        buf_append_cstr(error, "--advertise-client-urls is required when --listen-client-urls is "
                               "set explicitly");
        return ERR_INVALID;
    }
    return 0;
}

static int check_same_url(const struct flags *f, struct buf *error)
{
    struct strs grpc = {0}, http = {0};
    int err = urls_parse_list(flag_text(f, FLAG_ID_LISTEN_CLIENT_URLS), &grpc, error);
    if (err == 0 && flag_text(f, FLAG_ID_LISTEN_CLIENT_HTTP_URLS)[0] != 0) {
        err = urls_parse_list(flag_text(f, FLAG_ID_LISTEN_CLIENT_HTTP_URLS), &http, error);
    }
    for (size_t i = 0; err == 0 && i < http.count; i++) {
        if (strs_contains(&grpc, http.items[i])) {
            buf_printf(error,
                       "cannot bind both --listen-client-urls and --listen-client-http-urls on the "
                       "same url %s",
                       http.items[i]);
            err = ERR_INVALID;
        }
    }
    strs_deinit(&grpc);
    strs_deinit(&http);
    return err;
}

int config_check(const struct flags *f, struct buf *error)
{
    if (strcmp(flag_text(f, FLAG_ID_DISCOVERY_FALLBACK), "proxy") == 0) {
        buf_append_cstr(error,
                        "v2 proxy is deprecated, and --discovery-fallback can't be configured "
                        "as \"proxy\"");
        return ERR_INVALID;
    }
    static const enum flag_id listens[] = {FLAG_ID_LISTEN_PEER_URLS, FLAG_ID_LISTEN_CLIENT_URLS,
                                           FLAG_ID_LISTEN_CLIENT_HTTP_URLS,
                                           FLAG_ID_LISTEN_METRICS_URLS};
    int err = check_logging(f, error);
    for (size_t i = 0; err == 0 && i < ARRAY_LEN(listens); i++) {
        err = check_listen(f, listens[i], error);
    }
    if (err == 0) {
        err = check_timers(f, error);
    }
    if (err == 0) {
        err = check_client_urls(f, error);
    }
    if (err == 0) {
        err = check_refused(f, error);
    }
    if (err == 0) {
        err = check_same_url(f, error);
    }
    if (err == 0 && flag_int(f, FLAG_ID_COMPACT_HASH_CHECK_TIME) <= 0) {
        buf_append_cstr(error, "--compact-hash-check-time must be >0 (set to 0s)");
        err = ERR_INVALID;
    }
    return err;
}

/* ---- from flags to the configuration ---- */

static int list_of(const struct flags *f, enum flag_id id, struct strs *out, struct buf *error)
{
    return flag_text(f, id)[0] == 0 ? 0 : urls_parse_list(flag_text(f, id), out, error);
}

static void urls_of(const struct strs *from, struct server_urls *out)
{
    out->count = from->count < SERVER_URLS_MAX ? from->count : SERVER_URLS_MAX;
    for (size_t i = 0; i < out->count; i++) {
        out->items[i] = from->items[i];
    }
}

static void derive(struct config *c)
{
    const struct flags *f = c->flags;
    struct buf text = BUF_INIT;
    const char *name = flag_text(f, FLAG_ID_NAME);
    buf_printf(&text, "%s.etcd", name);
    bool has_dir = flag_text(f, FLAG_ID_DATA_DIR)[0] != 0;
    c->data_dir = mem_strdup(has_dir ? flag_text(f, FLAG_ID_DATA_DIR) : buf_cstr(&text));
    buf_clear(&text);
    if (flag_is_given(f, FLAG_ID_INITIAL_CLUSTER)) {
        buf_append_cstr(&text, flag_text(f, FLAG_ID_INITIAL_CLUSTER));
    } else {
        /* The default is rebuilt around the own name and URLs. */
        struct strs peers = {0};
        int err = urls_parse_list(flag_text(f, FLAG_ID_INITIAL_ADVERTISE_PEER_URLS), &peers, NULL);
        for (size_t i = 0; err == 0 && i < peers.count; i++) {
            buf_printf(&text, "%s%s=%s", i == 0 ? "" : ",", name, peers.items[i]);
        }
        strs_deinit(&peers);
    }
    c->initial_cluster = mem_strdup(buf_cstr(&text));
    c->advertise_client = mem_strdup(flag_text(f, FLAG_ID_ADVERTISE_CLIENT_URLS));
    buf_deinit(&text);
}

static void make_driver(const struct config *c, struct driver_config *d)
{
    const struct flags *f = c->flags;
    *d = (struct driver_config){
        .name = flag_text(f, FLAG_ID_NAME),
        .data_dir = c->data_dir,
        .wal_dir = flag_text(f, FLAG_ID_WAL_DIR),
        .initial_cluster = c->initial_cluster,
        .initial_cluster_token = flag_text(f, FLAG_ID_INITIAL_CLUSTER_TOKEN),
        .advertise_peer_urls = flag_text(f, FLAG_ID_INITIAL_ADVERTISE_PEER_URLS),
        .advertise_client_urls = c->advertise_client,
        .heartbeat_ms = (uint32_t)flag_uint(f, FLAG_ID_HEARTBEAT_INTERVAL),
        .election_ms = (uint32_t)flag_uint(f, FLAG_ID_ELECTION_TIMEOUT),
        .request_bytes_max = flag_uint(f, FLAG_ID_MAX_REQUEST_BYTES),
        .txn_ops_max = (uint32_t)flag_uint(f, FLAG_ID_MAX_TXN_OPS),
        .quota_bytes = flag_int(f, FLAG_ID_QUOTA_BACKEND_BYTES),
        .snapshot_count = flag_uint(f, FLAG_ID_SNAPSHOT_COUNT),
        .snapshot_catchup = flag_uint(f, FLAG_ID_SNAPSHOT_CATCHUP_ENTRIES),
        .max_snapshots = (uint32_t)flag_uint(f, FLAG_ID_MAX_SNAPSHOTS),
        .max_wals = (uint32_t)flag_uint(f, FLAG_ID_MAX_WALS),
        .batch_interval_ms = flag_ms(f, FLAG_ID_BACKEND_BATCH_INTERVAL),
        .batch_ops = (uint32_t)flag_uint(f, FLAG_ID_BACKEND_BATCH_LIMIT),
        .compaction_batch = (uint32_t)flag_uint(f, FLAG_ID_COMPACTION_BATCH_LIMIT),
        .compaction_sleep_ms = flag_int(f, FLAG_ID_COMPACTION_SLEEP_INTERVAL) > 0
                                   ? flag_ms(f, FLAG_ID_COMPACTION_SLEEP_INTERVAL)
                                   : LIMIT_COMPACTION_SLEEP_MS,
        .page_cache_bytes = flag_uint(f, FLAG_ID_PAGE_CACHE),
        .no_sync = flag_bool(f, FLAG_ID_UNSAFE_NO_FSYNC),
        .pre_vote = flag_bool(f, FLAG_ID_PRE_VOTE),
    };
}

int config_make(struct flags *f, struct config *out, struct buf *error)
{
    *out = (struct config){.flags = f};
    int err = list_of(f, FLAG_ID_LISTEN_CLIENT_URLS, &out->listen_client, error);
    if (err == 0) {
        err = list_of(f, FLAG_ID_LISTEN_CLIENT_HTTP_URLS, &out->listen_client_http, error);
    }
    if (err == 0) {
        err = list_of(f, FLAG_ID_LISTEN_METRICS_URLS, &out->listen_metrics, error);
    }
    if (err == 0) {
        err = list_of(f, FLAG_ID_LISTEN_PEER_URLS, &out->listen_peer, error);
    }
    if (err != 0) {
        config_deinit(out);
        return err;
    }
    derive(out);
    struct server_config *s = &out->server;
    make_driver(out, &s->driver);
    urls_of(&out->listen_client, &s->client_urls);
    urls_of(&out->listen_client_http, &s->client_http_urls);
    urls_of(&out->listen_metrics, &s->metrics_urls);
    urls_of(&out->listen_peer, &s->peer_urls);
    uint64_t streams = flag_uint(f, FLAG_ID_MAX_CONCURRENT_STREAMS);
    s->max_concurrent_streams = streams >= UINT32_MAX ? 0 : (uint32_t)streams;
    s->ping_min_ms = flag_ms(f, FLAG_ID_GRPC_KEEPALIVE_MIN_TIME);
    s->ping_interval_ms = flag_ms(f, FLAG_ID_GRPC_KEEPALIVE_INTERVAL);
    s->ping_timeout_ms = flag_ms(f, FLAG_ID_GRPC_KEEPALIVE_TIMEOUT);
    s->reuse_port = flag_bool(f, FLAG_ID_SOCKET_REUSE_PORT);
    s->reuse_address = flag_bool(f, FLAG_ID_SOCKET_REUSE_ADDRESS);
    s->is_metrics_extensive = strcmp(flag_text(f, FLAG_ID_METRICS), "extensive") == 0;
    return 0;
}

void config_deinit(struct config *c)
{
    strs_deinit(&c->listen_client);
    strs_deinit(&c->listen_client_http);
    strs_deinit(&c->listen_metrics);
    strs_deinit(&c->listen_peer);
    mem_free(c->data_dir);
    mem_free(c->initial_cluster);
    mem_free(c->advertise_client);
}
