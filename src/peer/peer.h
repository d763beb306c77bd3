/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/peer: etcd's peer transport: raft messages between members over HTTP/1.1.
 *
 * Problem     A member must talk with etcd 3.5, 3.6 and 3.7 members as one of them, and a slow,
 *             silent, foreign or malicious other end must cost a bounded amount and never stop the
 *             member: heartbeats go on while data is stuck.
 * Design      One transport a member.  Each stream is dialled by the *receiver* of its messages:
 *
 *                 L --- GET /raft/stream/message/<L> ---> P     P's messages come in the answer
 *                 L --- GET /raft/stream/msgapp/<L>  ---> P     P's MsgApp
 *                 L --- POST /raft               ------> P      one message: no stream attached
 *                 L --- POST /raft/snapshot      ------> P      MsgSnap and the database
 *                 L --- GET /raft/probing        ------> P      every 4 s
 *
 *             and the same from P to L.  The server puts peer_handlers() on its peer listeners.
 *             Messages are encoded inside peer_send() into bounded queues of the peer; urgent ones
 *             (heartbeats, votes, acknowledgements) do not wait behind data; what does not fit is
 *             dropped and the peer reported unreachable, as etcd does.
 * Calls back  on_message and on_snapshot come from socket events and finished jobs.  Everything
 *             else (unreachable, snapshot status, removed) comes from a call of its own at the end
 *             of a turn: no function of this face calls back from inside.
 * Ownership   The transport copies what it is given (messages are borrowed for the call) but for
 *             struct peer_snapshot, which it takes over until release.
 * Thread      the loop of env.
 * Limits      LIMIT_PEER_* in base/limits.h.
 * Failure     Nothing here is fatal; what goes wrong with a peer is logged, counted and tried
 *             again.  A message that no correct member sends ends its connection.
 * See         peer-protocol 2, 3; src/peer/README.md; test/unit/peer.
 */
#ifndef PEER_PEER_H
#define PEER_PEER_H

#include "env/env.h"
#include "member/member.h"
#include "raft/types.h"
#include "rpc/http.h"
#include "rpc/tls.h"
#include "schema/level.h"

struct peer_transport;

/* A snapshot that has arrived: the database is complete and synced under path
 * (<snap_dir>/%016x.snap.db).  All borrowed. */
struct peer_snapshot_in {
    const struct raft_message *message; /* RAFT_MSG_SNAP; its snapshot's handle is NULL */
    struct slice v2_json;               /* of the sender's v2 store; may be empty (3.7) */
    const char *path;
};

/* arg of all: peer_config.arg.  None may be NULL. */
struct peer_events {
    /* 0, or why it was not taken: ERR_MALFORMED ends the connection it came on, anything else is
     * the message's end only (POST: 500).  to is this member, from is not removed. */
    int (*on_message)(void *arg, const struct raft_message *m);
    /* The file is there; as on_message.  An error makes the sender report failure. */
    int (*on_snapshot)(void *arg, const struct peer_snapshot_in *in);
    bool (*is_removed)(void *arg, uint64_t id);
    /* Reports for raft: something for this member was dropped, or may not have arrived. */
    void (*on_unreachable)(void *arg, uint64_t id);
    void (*on_snapshot_status)(void *arg, uint64_t id, bool has_failed);
    /* On each change; peers begin as not active. */
    void (*on_active)(void *arg, uint64_t id, bool is_active);
    /* A probe was answered; may be NULL. */
    void (*on_rtt)(void *arg, uint64_t id, uint64_t ns);
    /* Another member says that this one was removed for good: it must stop. Once. */
    void (*on_removed)(void *arg);
};

struct peer_pages; /* peer/pages.h */

struct peer_config {
    struct env *env;
    uint64_t local_id;
    uint64_t cluster_id;
    enum level level;
    const struct strs *urls; /* advertised peer URLs, sorted; copied */
    const char *snap_dir;    /* copied */
    uint32_t election_ms;    /* dial timeout = 1 s + this */
    /* On a work thread, before on_snapshot: may this database be used?  An error refuses it and the
     * file goes.  NULL: not looked at. */
    int (*snapshot_check)(struct env_disk *disk, const char *path, raft_index index);
    const struct rpc_tls_factory *tls; /* for https:// and unixs://; NULL: such URLs fail */
    const struct peer_events *events;
    const struct peer_pages *pages; /* NULL: those paths are 404 */
    void *arg;                      /* of events and pages */
};

struct peer_transport *peer_transport_create(const struct peer_config *config);
/* Ends all streams, posts and transfers; what comes in afterwards is refused.  Before the listener
 * with the handlers is stopped (attached streams would keep it open). */
void peer_transport_stop(struct peer_transport *t);
/* After stop: on_idle once, at once or later, when no job reads a database that was given or writes
 * one that came: before it, views must stay open. */
void peer_transport_when_idle(struct peer_transport *t, void (*on_idle)(void *arg), void *arg);
/* The handlers must not be reachable any more.  Implies stop.  Not from inside a callback. */
void peer_transport_destroy(struct peer_transport *t);

/* For rpc_listen_options; valid until destroy. */
const struct rpc_http_handler *peer_handlers(const struct peer_transport *t, size_t *out_count);
/* What this member says it is from now on: version headers, emission of messages. */
void peer_level_set(struct peer_transport *t, enum level level);
void peer_urls_set(struct peer_transport *t, const struct strs *urls); /* after a MemberUpdate */

/* ---- members ----
 * Not for the own id.  URLs that cannot be read are left out (urls_check comes before). */

/* A known id becomes a full peer if it was a remote, and gets the URLs. */
void peer_add(struct peer_transport *t, uint64_t id, const struct strs *urls);
/* Messages can be sent, by POST only: for members that are not in the applied configuration yet
 * (joiner, lagging member).  Nothing changes when the id is known. */
void peer_remote_add(struct peer_transport *t, uint64_t id, const struct strs *urls);
void peer_update(struct peer_transport *t, uint64_t id, const struct strs *urls);
void peer_remove(struct peer_transport *t, uint64_t id);
/* The peers are all members of ms but this one; remotes that are not in it stay. */
void peer_members_set(struct peer_transport *t, const struct membership *ms);

/* ---- sending ---- */

/* In order within a channel.  Messages to nobody known, to 0 and MsgSnap are dropped. */
void peer_send(struct peer_transport *t, const struct raft_message *messages, size_t count);

/* A MsgSnap with its database. */
struct peer_snapshot {
    const struct raft_message *message; /* borrowed for the call */
    /* What is sent as the snapshot's metadata: index and term applied in the database. */
    const struct raft_snapshot_meta *meta; /* borrowed for the call */
    struct slice v2_json;                  /* borrowed for the call; needed by 3.5 and 3.6 */
    uint64_t db_bytes;
    /* Fills dst from off; on a work thread, one call at a time. */
    int (*read)(void *arg, uint64_t off, void *dst, size_t len);
    /* The transport is through with it, whatever became of it; on the loop, exactly once. */
    void (*release)(void *arg);
    void *arg;
};

/* The result comes as on_snapshot_status (failure: on_unreachable too); also when it could not be
 * started. */
void peer_send_snapshot(struct peer_transport *t, const struct peer_snapshot *s);

/* ---- queries ---- */

enum peer_channel { PEER_CHANNEL_MESSAGE, PEER_CHANNEL_MSGAPP, PEER_CHANNEL_COUNT };

struct peer_stats {
    uint64_t sent_bytes;
    uint64_t received_bytes;
    uint64_t sent_messages;
    uint64_t received_messages;
    uint64_t sent_failures; /* dropped or failed */
    uint64_t snapshots_sent;
    uint64_t snapshots_failed;
    uint64_t snapshots_received;
    uint64_t disconnects; /* was active, is not any more */
};

struct peer_status {
    uint64_t id;
    bool is_remote;
    bool is_active;
    uint64_t active_since_ms;             /* env_mono_ms; 0: not active */
    struct semver version;                /* last X-Server-Version heard; none: not heard yet */
    bool can_send[PEER_CHANNEL_COUNT];    /* its GET is attached here */
    bool can_receive[PEER_CHANNEL_COUNT]; /* our GET is answered */
    uint64_t rtt_ns;                      /* of the last probe; 0: none */
    bool is_probe_ok;
    struct peer_stats stats;
};

/* ERR_NOT_FOUND. */
MUST_USE int peer_status(const struct peer_transport *t, uint64_t id, struct peer_status *out);
/* Ascending ids; how many there are; writes at most max. */
size_t peer_statuses(const struct peer_transport *t, struct peer_status *out, size_t max);
/* The peer's URLs; NULL when unknown. */
const struct strs *peer_urls(const struct peer_transport *t, uint64_t id);

/* Walks every invariant; aborts on a broken one. */
void peer_transport_check(const struct peer_transport *t);

#endif
