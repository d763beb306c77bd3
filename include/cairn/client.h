/* SPDX-License-Identifier: Apache-2.0
 *
 * cairn/client: client library for Cairn and etcd (API v3).
 *
 *     struct cairn_options o = {.endpoints = "10.0.0.1:2379,10.0.0.2:2379"};
 *     struct cairn_client *c;
 *     struct cairn_result *r;
 *     if (cairn_client_open(&o, &c) != 0) ...
 *     if (cairn_get(c, &(struct cairn_get){.key = cairn_text("foo")}, &r) == 0) {
 *         for (size_t i = 0; i < r->kv_count; i++) ... r->kvs[i].value ...
 *         cairn_result_free(r);
 *     } else {
 *         fprintf(stderr, "%s\n", cairn_client_error(c));
 *     }
 *     cairn_client_close(c);
 *
 * Calls       Each call returns when its answer is there or its time limit is over.  Endpoints are
 *             taken in turn; dead ones are passed over.  Reads are tried again when a member fails,
 *             a write is never sent twice.
 * Results     struct cairn_result owns everything it points to; cairn_result_free ends it.
 * Errors      0; a gRPC status code (1-16, as the server sent it); or a CAIRN_E_* below.
 *             cairn_client_error has the text, as etcdctl prints it, until the next call.
 * Threads     A client may be used by one thread at a time: the one that opened it.  Different
 *             threads use clients of their own.
 * Memory      Sizes that a server chooses never end the program: CAIRN_E_MEMORY.
 */
#ifndef CAIRN_CLIENT_H
#define CAIRN_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CAIRN_API __attribute__((visibility("default")))
#else
#define CAIRN_API
#endif

enum cairn_error {
    CAIRN_E_ARGUMENT = -1, /* an endpoint or an argument cannot be understood */
    CAIRN_E_MEMORY = -2,
    CAIRN_E_REPLY = -3, /* the answer is malformed */
    CAIRN_E_TLS = -4,   /* a certificate file is bad (cairn_client_error says why), or an endpoint
                         * behind a first one with http:// has https:// */
    CAIRN_E_SYSTEM = -5,
    CAIRN_E_STOPPED = -6, /* a callback of the caller ended the call */
};

struct cairn_bytes {
    const void *data;
    size_t len;
};

static inline struct cairn_bytes cairn_text(const char *s)
{
    struct cairn_bytes b = {s, strlen(s)};
    return b;
}

/* ---- a client -----------------------------------------------------------------------------------
 */

struct cairn_client;

struct cairn_options {
    /* Comma separated: host:port, http://host:port, https://host:port, unix:path.  The scheme of
     * the first decides for all; without one, TLS is used when a file below is given. */
    const char *endpoints;
    const char *user; /* NULL: no login */
    const char *password;
    const char *token;         /* a token to send instead of a login */
    uint32_t timeout_ms;       /* of one call; 0: 5000 */
    uint32_t login_timeout_ms; /* 0: 2000 */
    size_t send_bytes_max;     /* 0: 2 MiB */
    size_t recv_bytes_max;     /* 0: 2^31-1 */
    const char *ca_file;       /* TLS: who may have signed the server's certificate; NULL: the
                                * system's authorities */
    const char *cert_file;     /* certificate of this client, with its key; NULL: none */
    const char *key_file;
    bool skips_verify; /* take any certificate of the server (tests) */
};

/* Connections are made by the first call; with a user, the login is made here.  On failure *out is
 * NULL, except when the login failed or a certificate file is bad: then cairn_client_error says why
 * and close is due. */
CAIRN_API int cairn_client_open(const struct cairn_options *options, struct cairn_client **out);
CAIRN_API void cairn_client_close(struct cairn_client *c);
/* Text of the last failure, "" when the last call succeeded. */
CAIRN_API const char *cairn_client_error(const struct cairn_client *c);

/* ---- results ------------------------------------------------------------------------------------
 */

struct cairn_header {
    uint64_t cluster_id;
    uint64_t member_id;
    int64_t revision;
    uint64_t raft_term;
};

struct cairn_kv {
    struct cairn_bytes key;
    struct cairn_bytes value;
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version;
    int64_t lease;
};

struct cairn_member {
    uint64_t id;
    const char *name; /* "" while it has not started */
    const char *const *peer_urls;
    size_t peer_url_count;
    const char *const *client_urls;
    size_t client_url_count;
    bool is_learner;
};

struct cairn_alarm {
    uint64_t member_id;
    int32_t type; /* 1 NOSPACE, 2 CORRUPT */
};

/* What a call does not fill is zero. */
struct cairn_result {
    struct cairn_header header;
    const struct cairn_kv *kvs; /* get: the pairs; put, delete: the previous ones */
    size_t kv_count;
    int64_t count;                        /* get: all that match; delete: deleted */
    bool is_more;                         /* get: the limit cut the result */
    bool succeeded;                       /* txn: all compares were true */
    const struct cairn_result *responses; /* txn: one an operation that ran */
    size_t response_count;
    const struct cairn_member *members; /* member list */
    size_t member_count;
    const struct cairn_alarm *alarms; /* alarm list, disarm */
    size_t alarm_count;
};

CAIRN_API void cairn_result_free(struct cairn_result *r);

/* ---- keys ---------------------------------------------------------------------------------------
 */

enum cairn_order { CAIRN_ORDER_NONE, CAIRN_ORDER_ASCEND, CAIRN_ORDER_DESCEND };
enum cairn_target {
    CAIRN_BY_KEY,
    CAIRN_BY_VERSION,
    CAIRN_BY_CREATE,
    CAIRN_BY_MOD,
    CAIRN_BY_VALUE,
};

struct cairn_get {
    struct cairn_bytes key;
    struct cairn_bytes range_end; /* empty: one key; one zero byte: all keys from key on */
    bool is_prefix;               /* all keys that begin with key (empty key: all) */
    int64_t limit;
    int64_t revision;
    enum cairn_order order;
    enum cairn_target sort_by;
    bool is_serializable;
    bool is_keys_only;
    bool is_count_only;
};

struct cairn_put {
    struct cairn_bytes key;
    struct cairn_bytes value;
    int64_t lease;
    bool want_previous;
    bool is_value_kept;
    bool is_lease_kept;
};

struct cairn_delete {
    struct cairn_bytes key;
    struct cairn_bytes range_end;
    bool is_prefix;
    bool want_previous;
};

enum cairn_compare_target {
    CAIRN_COMPARE_VERSION,
    CAIRN_COMPARE_CREATE,
    CAIRN_COMPARE_MOD,
    CAIRN_COMPARE_VALUE,
    CAIRN_COMPARE_LEASE,
};
enum cairn_compare_result { CAIRN_EQUAL, CAIRN_GREATER, CAIRN_LESS, CAIRN_NOT_EQUAL };

struct cairn_compare {
    enum cairn_compare_target target;
    enum cairn_compare_result result;
    struct cairn_bytes key;
    int64_t number;           /* all targets but VALUE */
    struct cairn_bytes value; /* VALUE */
};

/* Exactly one pointer is set. */
struct cairn_op {
    const struct cairn_get *get;
    const struct cairn_put *put;
    const struct cairn_delete *del;
};

struct cairn_txn {
    const struct cairn_compare *compares;
    size_t compare_count;
    const struct cairn_op *success;
    size_t success_count;
    const struct cairn_op *failure;
    size_t failure_count;
};

/* out may be NULL where the answer does not matter (not in get and txn). */
CAIRN_API int cairn_get(struct cairn_client *c, const struct cairn_get *req,
                        struct cairn_result **out);
CAIRN_API int cairn_put(struct cairn_client *c, const struct cairn_put *req,
                        struct cairn_result **out);
CAIRN_API int cairn_delete(struct cairn_client *c, const struct cairn_delete *req,
                           struct cairn_result **out);
CAIRN_API int cairn_txn(struct cairn_client *c, const struct cairn_txn *req,
                        struct cairn_result **out);
CAIRN_API int cairn_compact(struct cairn_client *c, int64_t revision, bool is_physical);

/* ---- cluster and members
 * -------------------------------------------------------------------------- */

/* Of the member that answers: give the client one endpoint. */
struct cairn_status {
    struct cairn_header header;
    char version[32];
    char storage_version[32]; /* "" before 3.6 */
    uint64_t leader;
    uint64_t raft_index;
    uint64_t raft_term;
    uint64_t raft_applied_index;
    int64_t db_size;
    int64_t db_size_in_use;
    int64_t db_size_quota;
    bool is_learner;
};

CAIRN_API int cairn_status(struct cairn_client *c, struct cairn_status *out);

struct cairn_hashkv {
    struct cairn_header header;
    uint32_t hash;
    int64_t compact_revision;
    int64_t hash_revision;
};

/* revision 0: the newest. */
CAIRN_API int cairn_hashkv(struct cairn_client *c, int64_t revision, struct cairn_hashkv *out);
CAIRN_API int cairn_member_list(struct cairn_client *c, bool is_serializable,
                                struct cairn_result **out);
CAIRN_API int cairn_alarm_list(struct cairn_client *c, struct cairn_result **out);
/* Takes one alarm back, as it stood in the list. */
CAIRN_API int cairn_alarm_disarm(struct cairn_client *c, const struct cairn_alarm *alarm);
CAIRN_API int cairn_defragment(struct cairn_client *c);
/* 0 when the cluster answers a linearizable read and has no alarm. */
CAIRN_API int cairn_health(struct cairn_client *c);

/* The database, piece by piece, ending with its 32-byte SHA-256; no time limit.  A non-zero result
 * of on_chunk ends it with CAIRN_E_STOPPED. */
CAIRN_API int cairn_snapshot(struct cairn_client *c,
                             int (*on_chunk)(void *arg, struct cairn_bytes chunk), void *arg);

/* Any unary method with encoded messages; *out_reply is freed by cairn_bytes_free. */
CAIRN_API int cairn_call(struct cairn_client *c, const char *method, struct cairn_bytes request,
                         bool is_read, struct cairn_bytes *out_reply);
CAIRN_API void cairn_bytes_free(struct cairn_bytes b);

#ifdef __cplusplus
}
#endif

#endif
