/* SPDX-License-Identifier: Apache-2.0
 *
 * service/session: a call of Lock or Election under way: operations of KV and Lease that it makes
 * for its caller, one after the other, and waiting for a change of keys.  Private to service.
 *
 * Problem     etcd runs these services with a client of its own in the server, a goroutine a call.
 *             Here a call that waits costs a struct and a watcher, and no thread.
 * Design      Each step of a method begins one operation (session_txn, _grant, _delete) or a watch
 *             (session_watch), as its last act: what comes of it is told to on_answer or on_wake,
 *             which takes the next step.  Operations are the caller's: his token counts, as in KV.
 *
 *                 begin -> [operation -> on_answer | watch -> on_wake]* -> answer, end
 *
 *             Watchers are told in the middle of a flush, where none may come or go, so on_wake is
 *             called at the end of the turn.
 * Ownership   The session holds the message that name and value point into.  session_end frees it.
 * Thread      main loop.
 * Limits      LIMIT_SESSIONS, LIMIT_WATCHES.
 * Failure     Errors of operations lose their code, as they do in etcd: UNKNOWN and the usual text
 *             (client-api 2.7).
 * See         client-api 2.7; test/unit/service/lock_test.c, test/e2e/lock_test.py.
 */
#ifndef SERVICE_SESSION_H
#define SERVICE_SESSION_H

#include "mvcc/watch.h"
#include "service/election_req.h"
#include "service/internal.h"
#include "wire/response.h"

enum { SESSION_TTL_S = 60 }; /* of a lease that the server grants */

struct session;

struct session_answer {
    int err;
    int64_t rev;                     /* of the header */
    const struct wire_txn_resp *txn; /* of a txn that was carried out; until on_answer returns */
};

struct session_ops {
    void (*on_answer)(struct session *x, const struct session_answer *a);
    /* What it waited for has come, or (err) never will; the watch is over. */
    void (*on_wake)(struct session *x, int err);
    /* Events of the watch; true: that is what it waited for.  NULL: any event is. */
    bool (*on_events)(struct session *x, const struct watch_delivery *d);
    /* The client goes: x->call is there for the last time, for session_release.  True: on_answer
     * still comes for the operation under way, with x->call NULL, and ends the session. */
    bool (*on_gone)(struct session *x);
};

struct session {
    struct list_node node; /* of the service */
    const struct session_ops *ops;
    struct service *service;
    struct grpc_call *call; /* NULL: the client has gone */
    struct rcbuf *msg;
    struct slice name;
    struct slice value;
    int64_t lease;
    struct buf key;
    int64_t rev;                  /* of the key */
    int64_t header_rev;           /* of the answer */
    unsigned step;                /* the method's */
    int err;                      /* the method's */
    struct leader_wish leader;    /* observe's */
    struct service_call *release; /* prepared while the caller was there */

    /* Private. */
    struct service_call *op; /* under way, or being made */
    struct watch_stream stream;
    struct watcher watcher;
    struct list_node in_woken;
    bool is_watching;
    int wake_err;
};

/* From on_message; NULL: refused.  The message's bytes live as long as the session: *msg. */
struct session *session_begin(struct grpc_call *call, const struct session_ops *ops,
                              struct slice *msg);
/* The same for a message that names what is contested: decoded into *out, the name is the
 * session's. NULL: refused. */
struct session *session_begin_contest(struct grpc_call *call, const struct session_ops *ops,
                                      struct contest_req *out);
/* After the call's last answer. */
void session_end(struct session *x);
/* For the tables of methods. */
void session_on_cancel(struct grpc_call *call, int err);
void session_on_writable(struct grpc_call *call);

/* Answers and ends. */
void session_fail(struct session *x, int err);
void session_fail_text(struct session *x, const char *text);
void session_malformed(struct session *x, int err);

/* ---- operations: one at a time ---- */

/* A txn to be filled in; its memory is the operation's, as that of session_prefix. */
struct session_txn {
    struct wire_txn_req req;
    struct wire_compare compare;
    struct wire_op success[2];
    struct wire_op failure[2];
};

struct session_txn *session_txn_new(struct session *x);
/* "The create revision of the key is rev." */
void session_txn_if(struct session_txn *t, struct slice key, int64_t rev);
void session_txn_then(struct session_txn *t, const struct wire_op *op);
void session_txn_else(struct session_txn *t, const struct wire_op *op);
void session_txn(struct session *x, struct session_txn *t);
/* False: it has a lease already. */
bool session_grant(struct session *x);
void session_delete(struct session *x, struct slice key);
/* name + "/" and the end of that range. */
void session_prefix(struct session *x, struct slice *key, struct slice *end);

struct wire_op session_op_get(struct session *x, struct slice key);
struct wire_op session_op_put(const struct session *x);
/* Of the keys with the prefix, the one created first. */
struct wire_op session_op_first(struct session *x);
/* The one created last, at rev_max at the latest. */
struct wire_op session_op_last(struct session *x, int64_t rev_max);

/* Takes x->key away (a resign: only if it was created at x->rev), whoever waits for the result:
 * begun in any case while x->call is there; sent later if the caller says so. */
struct service_call *session_release_begin(struct session *x);
void session_release_delete(struct service_call *sc, const struct session *x);
void session_release_resign(struct service_call *sc, const struct session *x);

/* ---- waiting ---- */

enum session_event { SESSION_PUTS = 1, SESSION_DELETES = 2 };

void session_watch(struct session *x, struct slice key, struct slice end, int64_t rev,
                   unsigned events);

/* ---- the service's ---- */

/* Asked for with `hasleader`: it ends when there is none. */
void session_want_leader(struct session *x);

/* turn.c: Lock and Campaign. */
void turn_lock_on_message(struct grpc_call *call, struct slice msg);
void turn_campaign_on_message(struct grpc_call *call, struct slice msg);
/* observe.c */
void observe_on_message(struct grpc_call *call, struct slice msg);

#endif
