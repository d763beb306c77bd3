/* SPDX-License-Identifier: Apache-2.0
 *
 * server/config_log: the lines that say what is started, with etcd's texts and fields (cli.md 1.8).
 */
#include <string.h>

#include "base/gotext.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/version.h"
#include "os/os.h"
#include "server/config.h"

#define QUOTA_NAME "v3-applier"
#define QUOTA_BYTES_ADVISED 8589934592 /* above: a warning */
enum { REQUEST_BYTES_ADVISED = 10 << 20 };

static void append_text(struct buf *out, const char *key, const char *text)
{
    buf_printf(out, ",\"%s\":", key);
    log_json_string(out, text, strlen(text));
}

static void append_list(struct buf *out, const char *key, const char *commas)
{
    buf_printf(out, ",\"%s\":[", key);
    for (const char *p = commas; *p != 0;) {
        const char *end = strchr(p, ',');
        size_t len = end == NULL ? strlen(p) : (size_t)(end - p);
        if (p != commas) {
            buf_append_byte(out, ',');
        }
        log_json_string(out, p, len);
        p += len + (end != NULL);
    }
    buf_append_byte(out, ']');
}

static void append_strs(struct buf *out, const char *key, const struct strs *s)
{
    buf_printf(out, ",\"%s\":", key);
    strs_json(out, s);
}

static void append_ns(struct buf *out, const char *key, int64_t ns)
{
    buf_printf(out, ",\"%s\":\"", key);
    log_duration(out, ns);
    buf_append_byte(out, '"');
}

static void append_number(struct buf *out, const char *key, int64_t n)
{
    buf_printf(out, ",\"%s\":%lld", key, (long long)n);
}

static void append_bool(struct buf *out, const char *key, bool b)
{
    buf_printf(out, ",\"%s\":%s", key, b ? "true" : "false");
}

static void append_flag(struct buf *out, const struct flags *f, const char *key, enum flag_id id)
{
    switch (flag_spec(id)->type) {
    case FLAG_BOOL: append_bool(out, key, flag_bool(f, id)); break;
    case FLAG_DURATION: append_ns(out, key, flag_int(f, id)); break;
    case FLAG_INT:
    case FLAG_UINT:
    case FLAG_UINT32: append_number(out, key, flag_int(f, id)); break;
    case FLAG_STRING:
    case FLAG_CHOICE:
    case FLAG_ORIGINS:
    case FLAG_STRINGS:
    case FLAG_URLS:
    case FLAG_GATES: append_text(out, key, flag_text(f, id)); break;
    }
}

static void append_member(struct buf *out, const struct config *c, bool is_initialized)
{
    const struct flags *f = c->flags;
    struct buf dir = BUF_INIT;
    buf_printf(&dir, "%s/member", c->data_dir);
    append_bool(out, "member-initialized", is_initialized);
    append_flag(out, f, "name", FLAG_ID_NAME);
    append_text(out, "data-dir", c->data_dir);
    append_flag(out, f, "wal-dir", FLAG_ID_WAL_DIR);
    append_flag(out, f, "wal-dir-dedicated", FLAG_ID_WAL_DIR);
    append_text(out, "member-dir", buf_cstr(&dir));
    append_flag(out, f, "force-new-cluster", FLAG_ID_FORCE_NEW_CLUSTER);
    append_ns(out, "heartbeat-interval", flag_int(f, FLAG_ID_HEARTBEAT_INTERVAL) * 1000000);
    append_ns(out, "election-timeout", flag_int(f, FLAG_ID_ELECTION_TIMEOUT) * 1000000);
    append_flag(out, f, "initial-election-tick-advance", FLAG_ID_INITIAL_ELECTION_TICK_ADVANCE);
    append_flag(out, f, "snapshot-count", FLAG_ID_SNAPSHOT_COUNT);
    append_flag(out, f, "max-wals", FLAG_ID_MAX_WALS);
    append_flag(out, f, "max-snapshots", FLAG_ID_MAX_SNAPSHOTS);
    append_flag(out, f, "snapshot-catchup-entries", FLAG_ID_SNAPSHOT_CATCHUP_ENTRIES);
    buf_deinit(&dir);
}

static void append_cluster(struct buf *out, const struct config *c, bool is_initialized)
{
    const struct flags *f = c->flags;
    append_strs(out, "initial-advertise-peer-urls", &c->advertise_peer_urls);
    append_strs(out, "listen-peer-urls", &c->listen_peer);
    append_strs(out, "advertise-client-urls", &c->advertise_client_urls);
    append_strs(out, "listen-client-urls", &c->listen_client);
    append_strs(out, "listen-metrics-urls", &c->listen_metrics);
    append_text(out, "local-address", c->local_address);
    append_list(out, "cors", flag_text(f, FLAG_ID_CORS));
    append_list(out, "host-whitelist", flag_text(f, FLAG_ID_HOST_WHITELIST));
    append_text(out, "initial-cluster", is_initialized ? "" : c->initial_cluster);
    append_flag(out, f, "initial-cluster-state", FLAG_ID_INITIAL_CLUSTER_STATE);
    append_flag(out, f, "initial-cluster-token", FLAG_ID_INITIAL_CLUSTER_TOKEN);
    int64_t quota = flag_int(f, FLAG_ID_QUOTA_BACKEND_BYTES);
    append_number(out, "quota-backend-bytes", quota == 0 ? LIMIT_QUOTA_BYTES_DEFAULT : quota);
    append_flag(out, f, "max-request-bytes", FLAG_ID_MAX_REQUEST_BYTES);
    append_flag(out, f, "max-concurrent-streams", FLAG_ID_MAX_CONCURRENT_STREAMS);
    append_flag(out, f, "pre-vote", FLAG_ID_PRE_VOTE);
    struct buf gates = BUF_INIT;
    gates_text(flag_text(f, FLAG_ID_FEATURE_GATES), &gates);
    append_text(out, "feature-gates", buf_cstr(&gates));
    buf_deinit(&gates);
}

static void append_rest(struct buf *out, const struct config *c)
{
    const struct flags *f = c->flags;
    int64_t keep = c->server.compaction_keep;
    append_bool(out, "initial-corrupt-check",
                gate_is_on(flag_text(f, FLAG_ID_FEATURE_GATES), "InitialCorruptCheck"));
    append_flag(out, f, "corrupt-check-time-interval", FLAG_ID_CORRUPT_CHECK_TIME);
    append_flag(out, f, "compact-check-time-interval", FLAG_ID_COMPACT_HASH_CHECK_TIME);
    append_flag(out, f, "auto-compaction-mode", FLAG_ID_AUTO_COMPACTION_MODE);
    append_ns(out, "auto-compaction-retention", keep);
    append_ns(out, "auto-compaction-interval", keep);
    append_flag(out, f, "discovery-token", FLAG_ID_DISCOVERY_TOKEN);
    append_flag(out, f, "discovery-endpoints", FLAG_ID_DISCOVERY_ENDPOINTS);
    append_flag(out, f, "discovery-dial-timeout", FLAG_ID_DISCOVERY_DIAL_TIMEOUT);
    append_flag(out, f, "discovery-request-timeout", FLAG_ID_DISCOVERY_REQUEST_TIMEOUT);
    append_flag(out, f, "discovery-keepalive-time", FLAG_ID_DISCOVERY_KEEPALIVE_TIME);
    append_flag(out, f, "discovery-keepalive-timeout", FLAG_ID_DISCOVERY_KEEPALIVE_TIMEOUT);
    append_flag(out, f, "discovery-insecure-transport", FLAG_ID_DISCOVERY_INSECURE_TRANSPORT);
    append_flag(out, f, "discovery-insecure-skip-tls-verify",
                FLAG_ID_DISCOVERY_INSECURE_SKIP_TLS_VERIFY);
    append_flag(out, f, "discovery-cert", FLAG_ID_DISCOVERY_CERT);
    append_flag(out, f, "discovery-key", FLAG_ID_DISCOVERY_KEY);
    append_flag(out, f, "discovery-cacert", FLAG_ID_DISCOVERY_CACERT);
    append_flag(out, f, "discovery-user", FLAG_ID_DISCOVERY_USER);
    append_flag(out, f, "downgrade-check-interval", FLAG_ID_DOWNGRADE_CHECK_TIME);
    append_flag(out, f, "max-learners", FLAG_ID_MAX_LEARNERS);
    append_text(out, "v2-deprecation", "write-only"); /* whatever the flag says, as etcd 3.7 */
}

/* All fields at once: they are text of our own, in etcd's order. */
void config_log_starting(const struct config *c, bool is_initialized)
{
    struct buf out = BUF_INIT;
    log_json_string(&out, VERSION_ETCD, strlen(VERSION_ETCD));
    append_text(&out, "git-sha", VERSION_GIT_SHA);
    append_text(&out, "go-version", VERSION_GO);
    append_text(&out, "go-os", "linux");
    append_text(&out, "go-arch", VERSION_ARCH);
    append_number(&out, "max-cpu-set", os_cpu_count());
    append_number(&out, "max-cpu-available", os_cpu_count());
    append_member(&out, c, is_initialized);
    append_cluster(&out, c, is_initialized);
    append_rest(&out, c);
    log_info("starting an etcd server", LOG_JSON("etcd-version", buf_cstr(&out)));
    buf_deinit(&out);
    uint64_t bytes = flag_uint(c->flags, FLAG_ID_MAX_REQUEST_BYTES);
    if (bytes > REQUEST_BYTES_ADVISED) {
        struct buf size = BUF_INIT;
        gotext_size(&size, bytes);
        log_warn("exceeded recommended request limit", LOG_U64("max-request-bytes", bytes),
                 LOG_STR("max-request-size", buf_cstr(&size)),
                 LOG_U64("recommended-request-bytes", REQUEST_BYTES_ADVISED),
                 LOG_STR("recommended-request-size", "10 MB"));
        buf_deinit(&size);
    }
}

void config_log_listeners(const struct config *c)
{
    const struct flags *f = c->flags;
    bool has_port = flag_bool(f, FLAG_ID_SOCKET_REUSE_PORT);
    bool has_address = flag_bool(f, FLAG_ID_SOCKET_REUSE_ADDRESS);
    if (has_port || has_address) {
        log_info("configuring socket options", LOG_BOOL("reuse-address", has_address),
                 LOG_BOOL("reuse-port", has_port));
    }
    log_info("configuring peer listeners",
             LOG_STRS("listen-peer-urls", c->listen_peer.items, c->listen_peer.count));
    log_info("configuring client listeners",
             LOG_STRS("listen-client-urls", c->listen_client.items, c->listen_client.count));
}

static void log_quota(int64_t quota)
{
    struct buf size = BUF_INIT;
    gotext_size(&size, quota <= 0 ? LIMIT_QUOTA_BYTES_DEFAULT : (uint64_t)quota);
    if (quota < 0) {
        log_info("disabled backend quota", LOG_STR("quota-name", QUOTA_NAME),
                 LOG_I64("quota-size-bytes", quota));
    } else if (quota == 0) {
        log_info("enabled backend quota with default value", LOG_STR("quota-name", QUOTA_NAME),
                 LOG_I64("quota-size-bytes", LIMIT_QUOTA_BYTES_DEFAULT),
                 LOG_STR("quota-size", buf_cstr(&size)));
    } else {
        if (quota > QUOTA_BYTES_ADVISED) {
            log_warn("quota exceeds the maximum value", LOG_STR("quota-name", QUOTA_NAME),
                     LOG_I64("quota-size-bytes", quota), LOG_STR("quota-size", buf_cstr(&size)),
                     LOG_I64("quota-maximum-size-bytes", QUOTA_BYTES_ADVISED),
                     LOG_STR("quota-maximum-size", "8.6 GB"));
        }
        log_info("enabled backend quota", LOG_STR("quota-name", QUOTA_NAME),
                 LOG_I64("quota-size-bytes", quota), LOG_STR("quota-size", buf_cstr(&size)));
    }
    buf_deinit(&size);
}

void config_log_serving(const struct config *c, uint64_t member_id)
{
    log_quota(flag_int(c->flags, FLAG_ID_QUOTA_BACKEND_BYTES));
    log_info("now serving peer/client/metrics", LOG_HEX("local-member-id", member_id),
             LOG_STRS("initial-advertise-peer-urls", c->advertise_peer_urls.items,
                      c->advertise_peer_urls.count),
             LOG_STRS("listen-peer-urls", c->listen_peer.items, c->listen_peer.count),
             LOG_STRS("advertise-client-urls", c->advertise_client_urls.items,
                      c->advertise_client_urls.count),
             LOG_STRS("listen-client-urls", c->listen_client.items, c->listen_client.count),
             LOG_STRS("listen-metrics-urls", c->listen_metrics.items, c->listen_metrics.count));
}

void config_log_closing(const struct config *c, const char *msg)
{
    log_info(
        msg, LOG_STR("name", flag_text(c->flags, FLAG_ID_NAME)), LOG_STR("data-dir", c->data_dir),
        LOG_STRS("advertise-peer-urls", c->advertise_peer_urls.items, c->advertise_peer_urls.count),
        LOG_STRS("advertise-client-urls", c->advertise_client_urls.items,
                 c->advertise_client_urls.count));
}
