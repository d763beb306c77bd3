/* SPDX-License-Identifier: Apache-2.0
 *
 * test/lib/peer_node: a member in memory: raft and the peer transport over any env, no store.  Used
 * over the simulated network by unit tests, and over real sockets against real etcd.
 *
 * What raft wants written is "durable" at once.  The state machine keeps a count and a hash of what
 * was applied; a snapshot's database is those two numbers and padding.
 */
#ifndef TEST_LIB_PEER_NODE_H
#define TEST_LIB_PEER_NODE_H

#include "peer/pages.h"
#include "peer/peer.h"
#include "raft/raft.h"
#include "rpc/rpc.h"
#include "test/lib/raft_store.h"

struct peer_node_options {
    struct env *env;
    uint64_t id;
    uint64_t cluster_id;
    enum level level;
    const char *listen; /* "m1:2380" */
    const char *url;    /* advertised */
    const char *snap_dir;
    uint32_t heartbeat_ms;
    const struct peer_pages *pages; /* may be NULL */
    size_t snapshot_bytes;          /* of the databases it sends */
    const struct raft_store *store; /* of its life before a crash, not compacted; NULL: none */
    /* Each entry once, in order. May be NULL. */
    void (*on_apply)(void *arg, const struct raft_entry *e);
    void *arg; /* of on_apply and pages */
};

struct peer_node {
    struct peer_node_options o;
    struct raft *raft;
    struct peer_transport *transport;
    struct rpc_server *rpc;
    struct rpc_listener *listener;
    struct raft_store store;
    struct raft_snapshot app; /* applied index, term, conf */
    uint64_t hash;            /* of all applied data */
    uint64_t count;           /* applied normal entries with data */
    struct env_timer tick;
    uint64_t leader;
    uint64_t removed[16];
    size_t removed_count;
    unsigned unreachables, snapshots_ok, snapshots_failed, snapshots_in, told_removed,
        active_reports, inactive_reports;
    bool is_deferred;
    bool is_stopped;
    bool rpc_stopped;
};

/* conf NULL: an empty log, the configuration comes with it (a joiner). */
struct peer_node *peer_node_create(const struct peer_node_options *o,
                                   const struct raft_conf_state *conf);
/* Ends transport and listener; the env must run until rpc_stopped. */
void peer_node_stop(struct peer_node *n);
void peer_node_destroy(struct peer_node *n);
/* 0 or raft's reason. */
int peer_node_propose(struct peer_node *n, struct slice data);
int peer_node_propose_conf(struct peer_node *n, const struct raft_conf_change *cc);
int peer_node_step(struct peer_node *n, const struct raft_event *ev);
void peer_node_peer_add(struct peer_node *n, uint64_t id, const char *url);
/* Forgets all but `keep` entries behind the applied ones: followers further back get a snapshot. */
void peer_node_compact(struct peer_node *n, raft_index keep);
bool peer_node_is_leader(const struct peer_node *n);

#endif
