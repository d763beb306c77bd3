/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"

#include <arpa/inet.h>
#include <string.h>

#include "auth/password.h"
#include "base/err.h"
#include "base/gotext.h"
#include "base/limits.h"
#include "base/log.h"
#include "member/initial.h"
#include "member/url.h"

enum {
    REQUEST_TIMEOUT_MS = 5000, /* T without the elections */
    WATCH_PROGRESS_MS = 600000,
    WATCH_PROGRESS_MIN_MS = 100,
};
enum { ELECTION_MS_MAX = 50000, ELECTION_TICKS_MIN = 5, SAMPLING_RATE_MAX = 1000000 };
#define NS_PER_HOUR INT64_C(3600000000000)

/* ---- checks ---- */

/* "host:port" -> host without brackets, port. */
static void split_address(struct slice addr, struct buf *host, struct buf *port)
{
    size_t len = addr.len;
    while (len > 0 && addr.data[len - 1] != ':') {
        len--;
    }
    struct slice h = slice_make(addr.data, len > 0 ? len - 1 : 0);
    if (h.len >= 2 && h.data[0] == '[' && h.data[h.len - 1] == ']') {
        h = slice_make(h.data + 1, h.len - 2);
    }
    buf_append_slice(host, h);
    buf_append_slice(port, slice_skip(addr, len));
}

static bool is_ip_text(const char *host)
{
    uint8_t bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static int list_of(const struct flags *f, enum flag_id id, struct strs *out, struct buf *error)
{
    return flag_text(f, id)[0] == 0 ? 0 : urls_parse_list(flag_text(f, id), out, error);
}

static int check_listen(const struct flags *f, enum flag_id id, struct buf *error)
{
    struct strs urls = {0};
    int err = list_of(f, id, &urls, error);
    for (size_t i = 0; err == 0 && i < urls.count; i++) {
        struct buf host = BUF_INIT, port = BUF_INIT;
        split_address(url_address(urls.items[i]), &host, &port);
        if (!url_is_unix(urls.items[i]) && strcmp(buf_cstr(&host), "localhost") != 0 &&
            !is_ip_text(buf_cstr(&host))) {
            buf_printf(error, "expected IP in URL for binding (%s)", urls.items[i]);
            err = ERR_INVALID;
        }
        buf_deinit(&host);
        buf_deinit(&port);
    }
    strs_deinit(&urls);
    return err;
}

static int check_advertised(const struct flags *f, enum flag_id id, const char *form,
                            struct buf *error)
{
    struct strs urls = {0};
    int err = list_of(f, id, &urls, error);
    for (size_t i = 0; err == 0 && i < urls.count; i++) {
        struct buf host = BUF_INIT, port = BUF_INIT;
        split_address(url_address(urls.items[i]), &host, &port);
        if (!url_is_unix(urls.items[i]) && host.len == 0) {
            buf_printf(error, "--%s \"%s\" must be %s (unexpected empty host (%s))",
                       flag_spec(id)->name, flag_text(f, id), form, urls.items[i]);
            err = ERR_INVALID;
        }
        buf_deinit(&host);
        buf_deinit(&port);
    }
    strs_deinit(&urls);
    return err;
}

static int check_discovery(const struct flags *f, struct buf *error)
{
    bool has_token = flag_text(f, FLAG_ID_DISCOVERY_TOKEN)[0] != 0;
    const char *endpoints = flag_text(f, FLAG_ID_DISCOVERY_ENDPOINTS);
    bool has_srv = flag_text(f, FLAG_ID_DISCOVERY_SRV)[0] != 0;
    /* Any way of discovery empties the default of --initial-cluster. */
    bool has_discovery =
        endpoints[0] != 0 || has_srv || flag_text(f, FLAG_ID_DISCOVERY_SRV_NAME)[0] != 0;
    bool has_cluster = has_discovery ? flag_is_given(f, FLAG_ID_INITIAL_CLUSTER) &&
                                           flag_text(f, FLAG_ID_INITIAL_CLUSTER)[0] != 0
                                     : flag_text(f, FLAG_ID_INITIAL_CLUSTER)[0] != 0;
    if (has_cluster + has_srv + (endpoints[0] != 0) > 1) {
        buf_append_cstr(error, "multiple discovery or bootstrap flags are set. Choose one of "
                               "\"initial-cluster\", \"discovery-endpoints\" or \"discovery-srv\"");
        return ERR_INVALID;
    }
    if (has_token != (endpoints[0] != 0)) {
        buf_append_cstr(error, "both --discovery-token and --discovery-endpoints must be set");
        return ERR_INVALID;
    }
    return 0;
}

static uint64_t watch_progress_ms(const struct flags *f)
{
    uint64_t ms = flag_ms(f, FLAG_ID_WATCH_PROGRESS_NOTIFY_INTERVAL);
    if (ms == 0) {
        return WATCH_PROGRESS_MS;
    }
    return ms < WATCH_PROGRESS_MIN_MS ? WATCH_PROGRESS_MIN_MS : ms;
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

static bool is_periodic(const struct flags *f)
{
    return strcmp(flag_text(f, FLAG_ID_AUTO_COMPACTION_MODE), "periodic") == 0;
}

/* Nanoseconds or revisions, 0 = off; a text with a unit means its nanoseconds in both modes.
 * ERR_INVALID: etcd's text.  What is below 0 or above 292 years etcd takes, and then compacts all
 * the time or never. */
int config_retention(const struct flags *f, int64_t *out, struct buf *error)
{
    const char *text = flag_text(f, FLAG_ID_AUTO_COMPACTION_RETENTION);
    struct slice t = slice_cstr(text[0] == 0 ? "0" : text);
    int64_t n;
    bool is_number = gotext_parse_int(t, 10, 64, &n) == 0 && n >= 0;
    bool is_hours = is_number && is_periodic(f);
    if (!is_number && gotext_parse_duration(t, &n) != 0) {
        buf_append_cstr(error, "error parsing CompactionRetention: ");
        gotext_duration_error(error, t);
        return ERR_INVALID;
    }
    if (n < 0 || (is_hours && n > INT64_MAX / NS_PER_HOUR)) {
        buf_printf(error, "error parsing CompactionRetention: %s is out of range", text);
        return ERR_INVALID;
    }
    *out = is_hours ? n * NS_PER_HOUR : n;
    return 0;
}

static bool is_refused(const struct flags *f, enum flag_id id)
{
    if (flag_spec(id)->support != FLAG_REFUSED || flag_is_default(f, id)) {
        return false;
    }
    if (flag_spec(id)->type == FLAG_BOOL) {
        return flag_bool(f, id);
    }
    return true;
}

static int check_refused(const struct flags *f, struct buf *error)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        enum flag_id id = (enum flag_id)i;
        if (is_refused(f, id)) {
            buf_printf(error,
                       "--%s=%s: this release of Cairn does not have this feature yet; leave the "
                       "flag out",
                       flag_spec(id)->name, flag_text(f, id));
            return ERR_INVALID;
        }
    }
    return 0;
}

int config_check_log(const struct flags *f, struct buf *error)
{
    const char *logger = flag_text(f, FLAG_ID_LOGGER);
    const char *outputs = flag_text(f, FLAG_ID_LOG_OUTPUTS);
    const char *format = flag_text(f, FLAG_ID_LOG_FORMAT);
    bool is_list = strchr(outputs, ',') != NULL;
    struct buf all = BUF_INIT;
    buf_printf(&all, ",%s,", outputs);
    bool has_default = strstr(buf_cstr(&all), ",default,") != NULL;
    buf_deinit(&all);
    if (strcmp(logger, "capnslog") == 0) {
        buf_append_cstr(error, "--logger=capnslog is removed in v3.5");
    } else if (strcmp(logger, "zap") != 0) {
        buf_printf(error, "unknown logger option \"%s\"", logger);
    } else if (is_list && has_default) {
        buf_append_cstr(error, "multi logoutput for \"default\" is not supported yet");
    } else if (strcmp(format, "json") != 0 && strcmp(format, "console") != 0) {
        buf_printf(error, "unknown log format: %s, supported values json, console", format);
    } else {
        return 0;
    }
    return ERR_INVALID;
}

static int check_client_urls(const struct flags *f, struct buf *error)
{
    enum flag_source listen = f->values[FLAG_ID_LISTEN_CLIENT_URLS].source;
    if ((listen == FLAG_BY_COMMAND || listen == FLAG_BY_ENV) &&
        !flag_is_given(f, FLAG_ID_ADVERTISE_CLIENT_URLS)) {
        buf_append_cstr(error, "--advertise-client-urls is required when --listen-client-urls is "
                               "set explicitly");
        return ERR_NOT_FOUND;
    }
    return 0;
}

static int check_modes(const struct flags *f, struct buf *error)
{
    const char *mode = flag_text(f, FLAG_ID_AUTO_COMPACTION_MODE);
    int64_t rate = flag_int(f, FLAG_ID_DISTRIBUTED_TRACING_SAMPLING_RATE);
    bool has_tracing = flag_bool(f, FLAG_ID_ENABLE_DISTRIBUTED_TRACING);
    if (mode[0] == 0) {
        buf_append_cstr(error, "undefined auto-compaction-mode");
    } else if (strcmp(mode, "periodic") != 0 && strcmp(mode, "revision") != 0) {
        buf_printf(error, "unknown auto-compaction-mode \"%s\"", mode);
    } else if (has_tracing && (rate < 0 || rate > SAMPLING_RATE_MAX)) {
        buf_printf(error,
                   "distributed tracing configurition is not valid: (tracing sampling rate "
                   "must be %s)",
                   rate < 0 ? "positive" : "less than 1000000");
    } else {
        return 0;
    }
    return ERR_INVALID;
}

static int check_gates(const struct flags *f, struct buf *error)
{
    const char *gates = flag_text(f, FLAG_ID_FEATURE_GATES);
    bool has_checkpoint = gate_is_on(gates, "LeaseCheckpoint");
    bool has_persist = gate_is_on(gates, "LeaseCheckpointPersist");
    if (has_checkpoint && !has_persist) {
        log_warn("Detected that checkpointing is enabled without persistence. Consider enabling "
                 "feature gate LeaseCheckpointPersist");
    }
    if (has_persist && !has_checkpoint) {
        buf_append_cstr(error, "enabling feature gate LeaseCheckpointPersist requires enabling "
                               "feature gate LeaseCheckpoint");
        return ERR_INVALID;
    }
    if (flag_int(f, FLAG_ID_COMPACT_HASH_CHECK_TIME) <= 0) {
        buf_append_cstr(error, "--compact-hash-check-time must be >0 (set to ");
        log_duration(error, flag_int(f, FLAG_ID_COMPACT_HASH_CHECK_TIME));
        buf_append_byte(error, ')');
        return ERR_INVALID;
    }
    return 0;
}

static int tls_version(const char *text, int *out, struct buf *error)
{
    *out = strcmp(text, "TLS1.2") == 0 ? 2 : strcmp(text, "TLS1.3") == 0 ? 3 : 0;
    if (*out == 0 && text[0] != 0) {
        buf_printf(error, "unexpected TLS version \"%s\" (must be one of: TLS1.2, TLS1.3)", text);
        return ERR_INVALID;
    }
    return 0;
}

static int check_tls(const struct flags *f, struct buf *error)
{
    const char *lo_text = flag_text(f, FLAG_ID_TLS_MIN_VERSION);
    const char *hi_text = flag_text(f, FLAG_ID_TLS_MAX_VERSION);
    int lo, hi;
    int err = tls_version(lo_text, &lo, error);
    if (err == 0) {
        err = tls_version(hi_text, &hi, error);
    }
    if (err != 0) {
        return err;
    }
    if (hi != 0 && lo > hi) {
        buf_printf(error, "min version (%s) is greater than max version (%s)", lo_text, hi_text);
        return ERR_INVALID;
    }
    if (lo == 3 && flag_text(f, FLAG_ID_CIPHER_SUITES)[0] != 0) {
        buf_append_cstr(error, "cipher suites cannot be configured when only TLS1.3 is enabled");
        return ERR_INVALID;
    }
    return 0;
}

static int check_urls(const struct flags *f, struct buf *error)
{
    int err = check_listen(f, FLAG_ID_LISTEN_PEER_URLS, error);
    if (err == 0) {
        err = check_listen(f, FLAG_ID_LISTEN_CLIENT_URLS, error);
    }
    if (err == 0) {
        err = check_listen(f, FLAG_ID_LISTEN_CLIENT_HTTP_URLS, error);
    }
    if (err == 0 && flag_text(f, FLAG_ID_LISTEN_CLIENT_HTTP_URLS)[0] == 0) {
        log_warn("Running http and grpc server on single port. This is not recommended for "
                 "production.");
    }
    if (err == 0) {
        err = check_listen(f, FLAG_ID_LISTEN_METRICS_URLS, error);
    }
    if (err == 0) {
        err = check_advertised(f, FLAG_ID_INITIAL_ADVERTISE_PEER_URLS, "\"host:port\"", error);
    }
    if (err == 0) {
        err = check_advertised(f, FLAG_ID_ADVERTISE_CLIENT_URLS,
                               "in the format \"host:port\", \"unix:/path/to/socket\" or "
                               "\"unixs:/path/to/socket\"",
                               error);
    }
    return err;
}

void config_warn_deprecated(const struct flags *f)
{
    flags_old_warn(f);
    if (flag_is_given(f, FLAG_ID_MAX_SNAPSHOTS)) {
        log_warn("--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.");
    }
    if (flag_is_given(f, FLAG_ID_V2_DEPRECATION)) {
        log_warn("--v2-deprecation is deprecated and scheduled for removal in v3.8. The default "
                 "value is enforced, ignoring user input.");
    }
}

/* In etcd's order: of several mistakes the same one is told. */
int config_check(const struct flags *f, struct buf *error)
{
    static int (*const checks[])(const struct flags *, struct buf *) = {
        check_urls, check_discovery, check_timers, check_client_urls, check_modes, check_gates};
    if (strcmp(flag_text(f, FLAG_ID_DISCOVERY_FALLBACK), "proxy") == 0) {
        buf_append_cstr(error,
                        "v2 proxy is deprecated, and --discovery-fallback can't be configured "
                        "as \"proxy\"");
        return ERR_INVALID;
    }
    int err = flags_old_check(f, error);
    for (size_t i = 0; err == 0 && i < ARRAY_LEN(checks); i++) {
        err = checks[i](f, error);
    }
    if (err == 0 && strcmp(flag_text(f, FLAG_ID_NAME), "default") == 0) {
        log_warn(
            "it isn't recommended to use default name, please set a value for --name. Note that "
            "etcd might run into issue when multiple members have the same default name",
            LOG_STR("name", "default"));
    }
    if (err == 0) {
        err = check_tls(f, error);
    }
    if (err == 0) {
        err = check_refused(f, error);
    }
    if (err == 0 && flag_uint(f, FLAG_ID_NET_THREADS) > SERVER_NET_THREADS_MAX) {
        buf_printf(error, "--net-threads=%llu: at most %d",
                   (unsigned long long)flag_uint(f, FLAG_ID_NET_THREADS), SERVER_NET_THREADS_MAX);
        err = ERR_INVALID;
    }
    return err;
}

/* ---- the address that peers are dialled from ---- */

/* An IP that other machines can answer to. */
static bool is_usable_source(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        uint32_t ip = ntohl(v4.s_addr);
        return ip != INADDR_ANY && ip >> 24 != IN_LOOPBACKNET;
    }
    return inet_pton(AF_INET6, host, &v6) == 1 && !IN6_IS_ADDR_LOOPBACK(&v6) &&
           !IN6_IS_ADDR_UNSPECIFIED(&v6);
}

static bool find_source(struct config *c)
{
    bool found = false;
    for (size_t i = 0; !found && i < c->advertise_peer_urls.count; i++) {
        const char *url = c->advertise_peer_urls.items[i];
        struct buf host = BUF_INIT, port = BUF_INIT;
        split_address(url_address(url), &host, &port);
        found = !url_is_unix(url) && host.len < sizeof(c->local_address) &&
                is_usable_source(buf_cstr(&host));
        if (found) {
            memcpy(c->local_address, buf_cstr(&host), host.len + 1);
        }
        buf_deinit(&host);
        buf_deinit(&port);
    }
    return found;
}

void config_infer_local_address(struct config *c)
{
    const struct strs *urls = &c->advertise_peer_urls;
    if (!gate_is_on(flag_text(c->flags, FLAG_ID_FEATURE_GATES), "SetMemberLocalAddr")) {
        return;
    }
    log_info("searching for a suitable member local address in AdvertisePeerURLs",
             LOG_STRS("advertise-peer-urls", urls->items, urls->count));
    if (find_source(c)) {
        log_info("setting member local address", LOG_STR("LocalAddr", c->local_address));
    } else {
        log_warn("unable to set a member local address due to lack of suitable local addresses",
                 LOG_STRS("advertise-peer-urls", urls->items, urls->count));
    }
}

/* ---- the checks of step 2 ---- */

int config_check_listeners(const struct config *c, struct buf *error)
{
    for (size_t i = 0; i < c->listen_client_http.count; i++) {
        struct slice address = url_address(c->listen_client_http.items[i]);
        for (size_t k = 0; k < c->listen_client.count; k++) {
            if (slice_equal(address, url_address(c->listen_client.items[k]))) {
                buf_printf(error,
                           "cannot bind both --listen-client-urls and --listen-client-http-urls on "
                           "the same url %s",
                           c->listen_client_http.items[i]);
                return ERR_INVALID;
            }
        }
    }
    return 0;
}

int config_check_cluster(const struct config *c, bool is_initialized, struct buf *error)
{
    int64_t retention;
    struct initial_cluster ic = {0};
    if (!is_initialized) {
        struct buf why = BUF_INIT;
        int err = initial_cluster_parse(c->initial_cluster, &ic, &why);
        if (err == 0) {
            initial_cluster_deinit(&ic);
        } else {
            buf_printf(error, "error setting up initial cluster: %s", buf_cstr(&why));
        }
        buf_deinit(&why);
        if (err != 0) {
            return err;
        }
    }
    int err = config_retention(c->flags, &retention, error);
    if (err == 0 && flag_int(c->flags, FLAG_ID_MAX_LEARNERS) < 0) {
        buf_append_cstr(error, "membership: too many learner members in cluster");
        err = ERR_INVALID;
    }
    for (size_t i = 0; err == 0 && i < c->listen_metrics.count; i++) {
        if (url_is_secure(c->listen_metrics.items[i]) && c->server.metrics_tls == NULL) {
            buf_append_cstr(error, "client TLS key/cert (--cert-file, --key-file) must be provided "
                                   "for metrics secure url");
            err = ERR_INVALID;
        }
    }
    return err;
}

/* ---- from flags to the configuration ---- */

static void urls_of(const struct strs *from, struct server_urls *out)
{
    ensure(from->count <= SERVER_URLS_MAX);
    out->count = from->count;
    for (size_t i = 0; i < out->count; i++) {
        out->items[i] = from->items[i];
    }
}

/* "http://localhost:2380" -> the default host with the port that is listened on. */
static void take_host(struct config *c, enum flag_id id, const struct strs *listen,
                      const char *default_host, struct strs *advertise)
{
    if (default_host[0] == 0 || listen->count == 0 || advertise->count != 1 ||
        strcmp(advertise->items[0], flag_spec(id)->def) != 0) {
        return;
    }
    struct buf host = BUF_INIT, port = BUF_INIT, url = BUF_INIT;
    split_address(url_address(listen->items[0]), &host, &port);
    if (strcmp(buf_cstr(&host), "0.0.0.0") == 0) {
        buf_printf(&url, "http://%s:%s", default_host, buf_cstr(&port));
        strs_deinit(advertise);
        *advertise = (struct strs){0};
        strs_add(advertise, buf_slice(&url));
        c->uses_host = true;
    }
    buf_deinit(&host);
    buf_deinit(&port);
    buf_deinit(&url);
}

static char *joined(const struct strs *s)
{
    struct buf out = BUF_INIT;
    strs_join(&out, s, ",");
    char *text = mem_strdup(buf_cstr(&out));
    buf_deinit(&out);
    return text;
}

/* With only a name given, the default cluster is rebuilt around it. */
static char *derive_cluster(const struct config *c)
{
    const struct flags *f = c->flags;
    const char *name = flag_text(f, FLAG_ID_NAME);
    if (!flag_is_default(f, FLAG_ID_INITIAL_CLUSTER) || strcmp(name, "default") == 0) {
        return mem_strdup(flag_text(f, FLAG_ID_INITIAL_CLUSTER));
    }
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < c->advertise_peer_urls.count; i++) {
        buf_printf(&text, "%s%s=%s", i == 0 ? "" : ",", name[0] == 0 ? "default" : name,
                   c->advertise_peer_urls.items[i]);
    }
    char *cluster = mem_strdup(buf_cstr(&text));
    buf_deinit(&text);
    return cluster;
}

static void derive(struct config *c, const char *default_host)
{
    const struct flags *f = c->flags;
    struct buf text = BUF_INIT;
    buf_printf(&text, "%s.etcd", flag_text(f, FLAG_ID_NAME));
    bool has_dir = flag_text(f, FLAG_ID_DATA_DIR)[0] != 0;
    c->data_dir = mem_strdup(has_dir ? flag_text(f, FLAG_ID_DATA_DIR) : buf_cstr(&text));
    buf_deinit(&text);
    take_host(c, FLAG_ID_INITIAL_ADVERTISE_PEER_URLS, &c->listen_peer, default_host,
              &c->advertise_peer_urls);
    take_host(c, FLAG_ID_ADVERTISE_CLIENT_URLS, &c->listen_client, default_host,
              &c->advertise_client_urls);
    c->initial_cluster = derive_cluster(c);
    c->advertise_peer = joined(&c->advertise_peer_urls);
    c->advertise_client = joined(&c->advertise_client_urls);
}

bool config_uses_host(const struct config *c)
{
    return c->uses_host;
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
        .advertise_peer_urls = c->advertise_peer,
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
        .max_learners = (uint32_t)flag_int(f, FLAG_ID_MAX_LEARNERS),
        .boot_defrag_bytes = flag_uint(f, FLAG_ID_BOOTSTRAP_DEFRAG_THRESHOLD_MEGABYTES) << 20,
        .no_strict_reconfig_check = !flag_bool(f, FLAG_ID_STRICT_RECONFIG_CHECK),
        .force_new_cluster = flag_bool(f, FLAG_ID_FORCE_NEW_CLUSTER),
    };
}

/* A bad text is told later (config_check_cluster). */
static void make_retention(const struct flags *f, struct server_config *s)
{
    struct buf error = BUF_INIT;
    int64_t keep = 0;
    if (config_retention(f, &keep, &error) == 0 && keep > 0) {
        s->compaction = is_periodic(f) ? SERVICE_COMPACT_PERIODIC : SERVICE_COMPACT_REVISION;
        s->compaction_keep = keep;
    }
    buf_deinit(&error);
}

static unsigned bcrypt_cost(const struct flags *f)
{
    uint64_t cost = flag_uint(f, FLAG_ID_BCRYPT_COST);
    if (cost >= AUTH_BCRYPT_COST_MIN && cost <= AUTH_BCRYPT_COST_MAX) {
        return (unsigned)cost;
    }
    log_warn("use default bcrypt cost instead of the invalid given cost",
             LOG_U64("min-cost", AUTH_BCRYPT_COST_MIN), LOG_U64("max-cost", AUTH_BCRYPT_COST_MAX),
             LOG_U64("default-cost", AUTH_BCRYPT_COST_DEFAULT), LOG_U64("given-cost", cost));
    return AUTH_BCRYPT_COST_DEFAULT;
}

/* What gates switch, the checks of the others' data, and T. */
static void make_checks(const struct flags *f, struct server_config *s)
{
    const char *gates = flag_text(f, FLAG_ID_FEATURE_GATES);
    s->is_existing = strcmp(flag_text(f, FLAG_ID_INITIAL_CLUSTER_STATE), "existing") == 0;
    s->has_initial_corrupt_check = gate_is_on(gates, "InitialCorruptCheck");
    s->driver.no_fast_keep_alive = !gate_is_on(gates, "FastLeaseKeepAlive");
    s->driver.revokes_first = gate_is_on(gates, "PriorityRequest");
    s->stops_on_defrag = gate_is_on(gates, "StopGRPCServiceOnDefrag");
    s->feature_gates = gates;
    s->driver.lease_checkpoints = gate_is_on(gates, "LeaseCheckpoint");
    s->driver.lease_checkpoints_persist = gate_is_on(gates, "LeaseCheckpointPersist");
    s->corrupt_check_ms = flag_ms(f, FLAG_ID_CORRUPT_CHECK_TIME);
    s->watch_progress_ms = watch_progress_ms(f);
    s->auth_token = flag_text(f, FLAG_ID_AUTH_TOKEN);
    s->auth_token_ttl_s = flag_uint(f, FLAG_ID_AUTH_TOKEN_TTL);
    s->bcrypt_cost = bcrypt_cost(f);
    s->client_cert_auth = flag_bool(f, FLAG_ID_CLIENT_CERT_AUTH);
    if (gate_is_on(gates, "CompactHashCheck")) {
        s->compact_hash_check_ms = flag_ms(f, FLAG_ID_COMPACT_HASH_CHECK_TIME);
    }
    make_retention(f, s);
    s->request_timeout_ms = REQUEST_TIMEOUT_MS + 2 * flag_uint(f, FLAG_ID_ELECTION_TIMEOUT);
}

static void split_commas(const char *text, struct strs *out)
{
    for (const char *p = text; *p != 0;) {
        size_t len = strcspn(p, ",");
        strs_add(out, slice_make(p, len));
        p += len + (p[len] != 0);
    }
}

/* What the HTTP side is told. */
static void make_http(const struct flags *f, struct config *c, struct server_config *s)
{
    split_commas(flag_text(f, FLAG_ID_CORS), &c->cors);
    split_commas(flag_text(f, FLAG_ID_HOST_WHITELIST), &c->host_whitelist);
    s->cors = &c->cors;
    s->host_whitelist = &c->host_whitelist;
    s->has_json_gateway = flag_bool(f, FLAG_ID_ENABLE_GRPC_GATEWAY);
    s->has_pprof =
        flag_bool(f, FLAG_ID_ENABLE_PPROF) || strcmp(flag_text(f, FLAG_ID_LOG_LEVEL), "debug") == 0;
    s->is_metrics_extensive = strcmp(flag_text(f, FLAG_ID_METRICS), "extensive") == 0;
}

int config_make(struct flags *f, const char *default_host, struct config *out, struct buf *error)
{
    *out = (struct config){.flags = f};
    const struct {
        enum flag_id id;
        struct strs *list;
    } lists[] = {
        {FLAG_ID_LISTEN_CLIENT_URLS, &out->listen_client},
        {FLAG_ID_LISTEN_CLIENT_HTTP_URLS, &out->listen_client_http},
        {FLAG_ID_LISTEN_METRICS_URLS, &out->listen_metrics},
        {FLAG_ID_LISTEN_PEER_URLS, &out->listen_peer},
        {FLAG_ID_INITIAL_ADVERTISE_PEER_URLS, &out->advertise_peer_urls},
        {FLAG_ID_ADVERTISE_CLIENT_URLS, &out->advertise_client_urls},
    };
    int err = 0;
    for (size_t i = 0; err == 0 && i < ARRAY_LEN(lists); i++) {
        err = list_of(f, lists[i].id, lists[i].list, error);
    }
    for (size_t i = 0; err == 0 && i < ARRAY_LEN(lists); i++) {
        if (lists[i].list->count > SERVER_URLS_MAX) {
            buf_printf(error, "--%s: more than %d URLs", flag_spec(lists[i].id)->name,
                       SERVER_URLS_MAX);
            err = ERR_LIMIT;
        }
    }
    if (err != 0) {
        config_deinit(out);
        return err;
    }
    derive(out, default_host);
    struct server_config *s = &out->server;
    make_driver(out, &s->driver);
    urls_of(&out->listen_client, &s->client_urls);
    urls_of(&out->listen_client_http, &s->client_http_urls);
    urls_of(&out->listen_metrics, &s->metrics_urls);
    urls_of(&out->listen_peer, &s->peer_urls);
    uint64_t streams = flag_uint(f, FLAG_ID_MAX_CONCURRENT_STREAMS);
    s->max_concurrent_streams = streams >= UINT32_MAX ? 0 : (uint32_t)streams;
    s->net_threads = (uint32_t)flag_uint(f, FLAG_ID_NET_THREADS);
    s->ping_min_ms = flag_ms(f, FLAG_ID_GRPC_KEEPALIVE_MIN_TIME);
    s->ping_interval_ms = flag_ms(f, FLAG_ID_GRPC_KEEPALIVE_INTERVAL);
    s->ping_timeout_ms = flag_ms(f, FLAG_ID_GRPC_KEEPALIVE_TIMEOUT);
    s->reuse_port = flag_bool(f, FLAG_ID_SOCKET_REUSE_PORT);
    s->reuse_address = flag_bool(f, FLAG_ID_SOCKET_REUSE_ADDRESS);
    make_checks(f, s);
    make_http(f, out, s);
    return 0;
}

void config_deinit(struct config *c)
{
    strs_deinit(&c->listen_client);
    strs_deinit(&c->listen_client_http);
    strs_deinit(&c->listen_metrics);
    strs_deinit(&c->cors);
    strs_deinit(&c->host_whitelist);
    strs_deinit(&c->listen_peer);
    strs_deinit(&c->advertise_peer_urls);
    strs_deinit(&c->advertise_client_urls);
    mem_free(c->data_dir);
    mem_free(c->initial_cluster);
    mem_free(c->advertise_peer);
    mem_free(c->advertise_client);
}
