/* SPDX-License-Identifier: Apache-2.0
 *
 * service/service: the gRPC services of a member over its core: KV, Lease, Maintenance, Cluster,
 * Auth, Health; the checks of the others' data; what the peer port's pages ask.
 *
 * Design      A message is validated where it arrives (no copy), becomes a core_request, and its
 *             reply becomes the answer. Requests come from a pool, so that a warm server allocates
 *             nothing for a put. Small range answers are written at once; large ones are sources
 *             that make bytes when HTTP/2 has room (design.md 4).
 * Ownership   The service owns its requests; it outlives the grpc_server's last call.
 * Thread      main loop.
 * Limits      LIMIT_PENDING_REQUESTS, LIMIT_PLAN_CHUNK_BYTES, LIMIT_PLAN_PIN_MS.
 * Failure     Every error is an answer: api/errors.def.
 * See         client-api 2, 3; test/e2e.
 */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include "core/driver.h"
#include "grpc/grpc.h"
#include "schema/level.h"

struct service;

/* ---- the other members, as the server can reach them ---- */

struct service_question {
    const struct strs *urls; /* peer URLs, tried in order */
    const char *method;      /* "GET", "POST": static */
    const char *path;        /* borrowed for the call, as body and token */
    struct slice body;       /* JSON when not empty and not is_protobuf */
    struct slice token;      /* Authorization; empty: none */
    uint64_t timeout_ms;     /* of one URL */
    bool is_protobuf;        /* body */
    bool takes_any_status;   /* the first answer counts; else 200, 404 and 412 do */
    bool is_repeatable;      /* may arrive twice: connections are kept for the next one */
};

struct service_reply {
    int err; /* 0: there is a status; else no URL answered */
    unsigned status;
    struct slice body; /* borrowed */
};

/* Given by the server; a member that is alone asks nobody. */
struct service_peers {
    /* on_reply comes once, from a call of its own, unless the ask is cancelled before. */
    void *(*ask)(void *arg, const struct service_question *q,
                 void (*on_reply)(void *user, const struct service_reply *r), void *user);
    void (*cancel)(void *arg, void *ask);
    void *arg;
};

/* Compaction by itself: what is kept. */
enum service_compaction {
    SERVICE_COMPACT_OFF,
    SERVICE_COMPACT_PERIODIC, /* for so many nanoseconds */
    SERVICE_COMPACT_REVISION, /* so many revisions */
};

struct service_options {
    struct driver *driver;
    uint64_t request_bytes_max;
    uint32_t txn_ops_max;
    const struct service_peers *peers; /* NULL: there is nobody to ask */
    uint64_t request_timeout_ms;       /* T of client-api 2.0.4 */
    uint64_t corrupt_check_ms;         /* --corrupt-check-time; 0: off */
    uint64_t election_ms;              /* how often streams that want a leader look for one */
    uint64_t watch_progress_ms;        /* --watch-progress-notify-interval */
    uint64_t compact_hash_check_ms;    /* --compact-hash-check-time; 0: the gate is off */
    bool stops_on_defrag;              /* Health says NOT_SERVING meanwhile */
    enum service_compaction compaction;
    int64_t compaction_keep; /* above 0 */
    bool client_cert_auth;   /* --client-cert-auth: a certificate's name is a user */
    unsigned bcrypt_cost;    /* --bcrypt-cost; 0: the default */
};

struct service *service_create(const struct service_options *opts);
void service_destroy(struct service *s);
/* Registers all methods. */
void service_register(struct service *s, struct grpc_server *server);

/* For grpc_server_options.admit, arg the service: the cluster's version is not known, this member
 * is a learner, the caller wants a leader and there is none (client-api 2.0.1, 2). */
bool service_admit(void *arg, struct grpc_call *call, struct slice msg);
/* Periodic checks of the others' data begin: from on_ready on.  Ended by service_stop. */
void service_start(struct service *s);
/* No new question is asked and the open ones are given up; before driver_stop. */
void service_stop(struct service *s);

/* The initial corruption check (gate InitialCorruptCheck), once, before clients are served. on_done
 * later: 0, or ERR_CORRUPT or why it could not be made, with the text that ends the start. */
void service_check_initial(struct service *s, void (*on_done)(void *arg, int err, const char *text),
                           void *arg);

/* ---- what the peer port's pages ask (peer-protocol 2.13); on_done once, possibly at once ---- */

/* The JSON array of /members and the object of /version. */
void service_page_members(struct service *s, struct buf *out);
void service_page_version(struct service *s, struct buf *out);
/* json: the new list of members when err is 0. */
void service_page_promote(struct service *s, uint64_t id, struct slice token,
                          void (*on_done)(void *arg, int err, struct slice json), void *arg);
struct service_hash {
    int64_t rev; /* of the store */
    struct mvcc_hash_value value;
};
void service_page_hash(struct service *s, int64_t rev,
                       void (*on_done)(void *arg, int err, const struct service_hash *h),
                       void *arg);
/* A lease as the leader knows it: renewed, or looked at with its keys.  err: ERR_TIMED_OUT when
 * this member does not catch up, ERR_RPC_LEASE_NOT_FOUND, ERR_RPC_NOT_PRIMARY_LESSOR. */
struct service_lease {
    int64_t ttl_s;
    int64_t granted_ttl_s;
    const struct slice *keys;
    size_t key_count;
};
void service_page_lease(struct service *s, int64_t id, bool is_renewal, bool wants_keys,
                        void (*on_done)(void *arg, int err, const struct service_lease *l),
                        void *arg);
void service_page_downgrade(struct service *s, void (*on_done)(void *arg, int err, bool is_enabled),
                            void *arg);

/* Whether requests need a user now. */
bool service_auth_enabled(const struct service *s);

/* Open Watch streams. */
size_t service_watch_streams(const struct service *s);

/* What pages need: a read of the local state (one key), linearizable or not. on_done once. */
void service_probe(struct service *s, bool is_serializable, void (*on_done)(void *arg, int err),
                   void *arg);

#endif
