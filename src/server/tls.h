/* SPDX-License-Identifier: Apache-2.0
 *
 * server/tls: from the security flags to what listeners and dialling need, with etcd's texts; and
 * the watch that renews certificates while the member runs.
 *
 * Design      server_tls_open_peer and _open_client are called where etcd makes its listeners, so
 *             of several mistakes the same one is told. Every LIMIT_TLS_RELOAD_MS, and on SIGHUP, a
 *             job on a work thread reads the files; the loop never waits for them.
 * Ownership   struct server_tls lives in the program, longer than the server and its env's loop.
 * Thread      main; the job on a work thread.
 * Failure     enum server_tls_end says with which line etcd ends. See cli.md 1.3, 1.6;
 *             test/e2e/tls_test.py.
 */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include "rpc/tls_source.h"
#include "server/config.h"

enum server_tls_end {
    SERVER_TLS_OK,
    SERVER_TLS_DISCOVERY_FAILED, /* fatal "discovery failed" */
    SERVER_TLS_BOOTSTRAP_FAILED, /* error "bootstrap failed", then the same */
    SERVER_TLS_LISTENER_FAILED,  /* fatal "listener failed" */
    SERVER_TLS_LOGGED,           /* the fatal line is written */
};

enum { SERVER_TLS_CONTEXTS = 3 };

/* Where certificates come from, after --auto-tls was carried out. */
struct server_tls_files {
    const char *cert, *key, *client_cert, *client_key, *ca, *crl;
    char *own_cert, *own_key; /* --auto-tls */
    bool needs_client_cert;
    bool is_self_made;
};

struct server_tls {
    struct env *env;
    struct server_tls_files client, peer;
    struct tls_context *contexts[SERVER_TLS_CONTEXTS]; /* client, peer listen, peer dial; or NULL */
    struct rpc_tls_source client_source;               /* gRPC ports: h2 */
    struct rpc_tls_source client_http_source;          /* HTTP-only ports */
    struct rpc_tls_source metrics_source;
    struct rpc_tls_source peer_source;
    struct rpc_tls_source dial_source;
};

/* Peers first, as etcd.  Fills the factories of c->server that are wanted. */
enum server_tls_end server_tls_open_peer(struct server_tls *t, struct env *env, struct config *c,
                                         struct buf *error);
enum server_tls_end server_tls_open_client(struct server_tls *t, struct env *env, struct config *c,
                                           struct buf *error);
void server_tls_close(struct server_tls *t);

/* Reads all files again, on any thread; is_asked: also what was refused before is told. */
void server_tls_reload(struct server_tls *t, bool is_asked);
bool server_tls_is_used(const struct server_tls *t);

/* ---- the watch ---- */

struct server_tls_watch {
    struct server_tls *tls;
    struct env *env;
    struct env_timer timer;
    struct env_job job;
    bool is_running; /* the job is */
    bool is_asked;   /* SIGHUP came: for the next job */
    bool asked_now;  /* for the job that runs */
    bool is_stopped;
    void (*on_stopped)(void *arg);
    void *arg;
};

void server_tls_watch_start(struct server_tls_watch *w, struct env *env, struct server_tls *t);
/* Look at once. */
void server_tls_watch_ask(struct server_tls_watch *w);
/* on_stopped(arg) when no job runs any more: at once or later, on the loop. */
void server_tls_watch_stop(struct server_tls_watch *w, void (*on_stopped)(void *arg), void *arg);

#endif
