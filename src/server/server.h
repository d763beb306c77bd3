/* SPDX-License-Identifier: Apache-2.0
 *
 * server/server: one member with its sockets: driver, services, pages, listeners, orderly end.
 *
 * Design      Client sockets are bound first and answer nothing until the member is ready
 *             (client-api 4.1): rpc_server accepts only then. A stop drains the connections,
 *             answers and commits everything, and ends the loop.
 * Ownership   server_create .. server_destroy; the env is the caller's. Thread main loop.
 * Failure     server_create: ERR_* and a text for the log; later on_end(code).
 * See         cli.md 1.6-1.9; client-api 4.1, 4.6; test/e2e.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "core/driver.h"
#include "member/strs.h"
#include "metrics/metrics.h"
#include "rpc/tls.h"
#include "service/service.h"

enum { SERVER_URLS_MAX = 16, SERVER_NET_THREADS_MAX = 64 };

struct server_urls {
    const char *items[SERVER_URLS_MAX]; /* "http://127.0.0.1:2379", "unix:///run/x.sock" */
    size_t count;
};

struct server_config {
    struct driver_config driver; /* env, on_* and arg are set by the server */
    struct server_urls client_urls;
    struct server_urls client_http_urls; /* not empty: client_urls speak gRPC only */
    struct server_urls metrics_urls;
    struct server_urls peer_urls; /* held from the start, so that two members cannot share them */
    uint32_t net_threads;         /* 0: connections on the main loop */
    uint32_t max_concurrent_streams; /* 0: not announced */
    uint64_t ping_min_ms;
    uint64_t ping_interval_ms;
    uint64_t ping_timeout_ms;
    bool reuse_port;
    bool reuse_address;
    bool is_metrics_extensive;
    const char *feature_gates; /* the checked list; of the flags, outlives the server */
    bool has_json_gateway;
    bool has_pprof;
    const struct strs *cors; /* they outlive the server */
    const struct strs *host_whitelist;
    /* TLS; NULL: no URL wants it.  server/tls fills them; they outlive the server. */
    const struct rpc_tls_factory *client_tls;      /* https:// of client_urls */
    const struct rpc_tls_factory *client_http_tls; /* of client_http_urls */
    const struct rpc_tls_factory *metrics_tls;     /* of metrics_urls */
    const struct rpc_tls_factory *peer_tls;        /* of peer_urls: accepted connections */
    const struct rpc_tls_factory *peer_dial_tls;   /* https:// URLs of other members */
    struct server_tls *tls;                        /* what is watched for new files; NULL: none */
    bool is_existing; /* --initial-cluster-state=existing: a first start joins */
    bool has_initial_corrupt_check;
    uint64_t corrupt_check_ms;      /* 0: off */
    uint64_t compact_hash_check_ms; /* 0: off */
    bool stops_on_defrag;           /* gate StopGRPCServiceOnDefrag */
    uint64_t watch_progress_ms;
    enum service_compaction compaction;
    int64_t compaction_keep;
    const char *auth_token; /* --auth-token */
    uint64_t auth_token_ttl_s;
    unsigned bcrypt_cost;
    bool client_cert_auth;       /* the name in a client's certificate is a user */
    uint64_t request_timeout_ms; /* T of client-api 2.0.4 */
    void (*on_ready)(void *arg); /* the member serves; arg of server_create */
};

struct server;
struct server_tls;

/* 0 when every address can be bound now, before the data directory is touched; else etcd's text. */
MUST_USE int server_probe_listen(struct env *env, const struct server_config *config,
                                 char text[DRIVER_TEXT_BYTES]);
/* on_end(arg, rc) once: 0 after server_stop, 1 after a fatal failure; then destroy. */
MUST_USE int server_create(struct env *env, const struct server_config *config,
                           void (*on_end)(void *arg, int rc), void *arg, struct server **out,
                           char text[DRIVER_TEXT_BYTES]);
void server_stop(struct server *s);
/* SIGHUP: reads the TLS files again now. */
void server_reload(struct server *s);
uint64_t server_member_id(const struct server *s);
void server_destroy(struct server *s);

#endif
