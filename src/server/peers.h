/* SPDX-License-Identifier: Apache-2.0
 *
 * server/peers: the member among others: transport, driver and peer pages tied together.
 *
 * Design      The transport has an rpc_server of its own on the peer listeners, so that peers are
 *             served before clients and stay served while clients are drained and leadership is
 *             handed over.
 *
 *                 driver --on_messages, on_send_snapshot, on_members_changed--> transport
 *                 transport --on_message, on_snapshot, reports----------------> driver
 *                 transport --pages---> service       service, driver --questions--> peer/ask
 *
 * Ownership   Opened after the driver, closed before it. Thread main loop.
 * Limits      SERVER_ASKS_MAX questions of one version round; else those of peer/peer.h.
 * See         peer-protocol 2, 6; test/e2e/cluster_test.py.
 */
#ifndef SERVER_PEERS_H
#define SERVER_PEERS_H

#include "peer/ask.h"
#include "peer/pages.h"
#include "peer/peer.h"
#include "rpc/rpc.h"
#include "server/server.h"
#include "service/service.h"

enum { SERVER_ASKS_MAX = 2 * RAFT_MEMBERS_MAX };

struct server_version_ask {
    struct server_peers *owner;
    struct peer_ask *ask; /* NULL: answered */
    struct core_version version;
};

struct server_peers {
    struct env *env;
    struct driver *driver;
    struct service *service; /* set when there is one */
    const struct rpc_tls_factory *dial_tls;
    struct peer_transport *transport;
    struct peer_pool *pool; /* of the service's questions */
    struct rpc_server *rpc;
    struct rpc_listener *listeners[SERVER_URLS_MAX];
    size_t listener_count;
    struct service_peers asker; /* for service_options */
    struct server_version_ask asks[SERVER_ASKS_MAX];
    size_t ask_count; /* of the version round */
    size_t asks_open;
    uint64_t url_timeout_ms;
    void (*on_removed)(void *arg);
    void (*on_rtt)(void *arg, uint64_t id, uint64_t ns); /* may be NULL */
    void *arg;
    void (*on_stopped)(void *arg);
    void *stopped_arg;
};

/* The driver is open.  Nothing is sent or taken before the listeners are. */
void server_peers_open(struct server_peers *p, const struct server_config *config, struct env *env,
                       struct driver *driver);
/* Takes ownership of nothing; the service answers the pages from now on. */
void server_peers_serve(struct server_peers *p, struct service *service);
/* Ends questions, transport and listeners; on_stopped later. */
void server_peers_stop(struct server_peers *p, void (*on_stopped)(void *arg), void *arg);
void server_peers_close(struct server_peers *p);

/* What the server's driver hooks call. */
void server_peers_send(struct server_peers *p, const struct raft_message *messages, size_t count);
void server_peers_send_snapshot(struct server_peers *p, const struct driver_snapshot *s);
void server_peers_members_changed(struct server_peers *p);
void server_peers_want_versions(struct server_peers *p);

#endif
