/* SPDX-License-Identifier: Apache-2.0
 *
 * service/internal: one call under way, and what the services share.  Private to service.
 */
#ifndef SERVICE_INTERNAL_H
#define SERVICE_INTERNAL_H

#include "apply/apply.h"
#include "base/arena.h"
#include "member/corrupt.h"
#include "service/service.h"

#define UPGRADE_SERVICE "cairnpb.Upgrade"

enum {
    SERVICE_INLINE_BYTES = 64 * 1024,   /* range answers up to this are written at once */
    SERVICE_POOL_MAX = 4096,            /* idle calls kept */
    SERVICE_BUF_KEEP_BYTES = 64 * 1024, /* buffers of idle calls are cut to this */
};

/* One request of a client, from on_message to the answer. */
struct service_call {
    struct core_request req;
    struct service *service;
    struct grpc_call *call; /* NULL when the client has gone */
    struct rcbuf *msg;      /* kept where slices into it live on */
    struct buf response;
    void (*on_reply)(struct service_call *sc);
    union {
        struct wire_range_req range;
        struct wire_txn_req txn;
    };
    struct mvcc_plan plan;
    struct arena arena;
    struct auth_caller caller; /* its bytes are in credentials */
    struct buf credentials;
    bool has_arena;
    bool is_canceled;
    uint64_t number;  /* of the method's own */
    struct strs urls; /* MemberAdd, MemberUpdate */
    struct service_call *next_free;
};

struct service {
    struct service_options o;
    struct driver *driver;
    struct core *core;
    struct buf scratch; /* of the answer being written */
    struct service_call *free;
    size_t free_count;
    struct list promotions; /* that go to the leader */
    struct list lease_asks; /* renewals and looks under way */
    size_t lease_asks_open; /* questions to the leader */
    struct logins *logins;
    struct holds *holds;
    struct monitor *monitor;
    struct watches *watches;
};

/* ---- calls ---- */

struct service_call *service_call_begin(struct service *s, struct grpc_call *call,
                                        enum core_kind kind,
                                        void (*on_reply)(struct service_call *sc));
void service_call_end(struct service_call *sc);
/* Keeps the message alive until the call ends; slices decoded from the result stay valid. */
struct slice service_call_keep(struct service_call *sc, struct slice msg);
void service_call_submit(struct service_call *sc);
/* The same for a read, in the name of who makes the call: the core asks whether he may. */
void service_call_ask(struct service_call *sc);
/* The same for a proposal, in his name; or refuses the call and ends sc. */
void service_call_propose(struct service_call *sc);
/* on_cancel of every method that uses service_call. */
void service_on_cancel(struct grpc_call *call, int err);
/* Answers err without a service_call, with the code of this member's level. */
void service_refuse(struct grpc_call *call, int err);
/* The same for a call of whatever service. */
void service_refuse_at(enum level level, struct grpc_call *call, int err);
/* A message that is no message: etcd's words. */
void service_malformed(struct grpc_call *call, int err);

/* ---- who makes a call (caller.c) ---- */

enum service_right {
    SERVICE_KNOWN, /* any user */
    SERVICE_ROOT,  /* one with the role root */
};

/* Borrowed of the call. */
void service_caller_of(struct grpc_call *call, struct auth_caller *out);
/* Out: borrowed until tokens change. ERR_RPC_INVALID_AUTH_TOKEN. */
MUST_USE int service_identify(struct grpc_call *call, struct auth_who *out);
/* 0, or why not. */
MUST_USE int service_permit(struct grpc_call *call, enum service_right right);
/* False: refused, the call is over. */
MUST_USE bool service_permitted(struct grpc_call *call, enum service_right right);

/* As SERVICE_ROOT, for the methods where 3.5 forgot to translate its errors. */
MUST_USE bool service_permitted_raw(struct grpc_call *call);

/* ---- answers ---- */

struct wire_header service_header(const struct service *s, int64_t rev);
/* Header + sc->response, status OK; or the error of the reply.  Ends sc. */
void service_answer(struct service_call *sc);
/* The same without header or body. */
void service_answer_empty(struct service_call *sc);
/* "3.7.0", or empty where this level has none. */
struct slice service_storage_version(const struct service *s, char text[SEMVER_TEXT_MAX]);
/* Of the level that the member has now. */
const struct level_rules *service_rules(const struct service *s);
/* scratch, empty. */
struct buf *service_scratch(struct service *s);

/* ---- the services ---- */

void kv_register(struct service *s, struct grpc_server *server);
void lease_register(struct service *s, struct grpc_server *server);
void maintenance_register(struct service *s, struct grpc_server *server);
void cluster_register(struct service *s, struct grpc_server *server);
void auth_register(struct service *s, struct grpc_server *server);
void health_register(struct service *s, struct grpc_server *server);
void downgrade_on_message(struct grpc_call *call, struct slice msg);
void move_leader_on_message(struct grpc_call *call, struct slice msg);
void watch_register(struct service *s, struct grpc_server *server);
void upgrade_register(struct service *s, struct grpc_server *server);

/* Members as field `field` of a response. */
void service_append_members(struct buf *out, uint32_t field, const struct membership *ms);
/* The one integer, or text, of a small request. */
MUST_USE int service_number_of(struct slice msg, uint32_t field, uint64_t *out);
MUST_USE int service_text_of(struct slice msg, uint32_t field, struct slice *out);

/* promote.c: CORE_MEMBER_PROMOTE, here or at the leader.  on_done once, later; members are borrowed
 * and NULL when err is not 0. */
struct promotion;
struct promotion *
promotion_start(struct service *s, uint64_t id, struct slice token,
                void (*on_done)(void *user, int err, const struct membership *members), void *user);
/* The client has gone: no on_done. */
void promotion_cancel(struct promotion *p);
/* Ends those that wait for the leader. */
void promotions_stop(struct service *s);
/* hold.c: on_start of every method that looks at a token: waits until it can be judged.  The last
 * eight bytes of the call's own are hold's. */
void service_on_start(struct grpc_call *call);
/* In on_cancel of the same, and with an answer that does not wait for a message. */
void service_unhold(struct grpc_call *call);
void holds_create(struct service *s);
/* All go on. */
void holds_stop(struct service *s);
void holds_destroy(struct service *s);
/* login.c: what needs bcrypt. */
void logins_create(struct service *s);
/* Tokens that nobody uses go. */
void logins_start(struct service *s);
/* Those that wait for their turn are refused. */
void logins_stop(struct service *s);
void logins_destroy(struct service *s);
void authenticate_on_message(struct grpc_call *call, struct slice msg);
void user_add_on_message(struct grpc_call *call, struct slice msg);
void change_password_on_message(struct grpc_call *call, struct slice msg);
void login_on_cancel(struct grpc_call *call, int err);
/* monitor.c */
void monitor_create(struct service *s);
void monitor_destroy(struct service *s);
/* watch.c */
void watches_create(struct service *s);
/* Ends all streams. */
void watches_stop(struct service *s);
void watches_destroy(struct service *s);
/* range.c: the reply of a CORE_RANGE request, unary and streamed. */
void range_answer(struct service_call *sc);
void range_stream_answer(struct service_call *sc);
void range_stream_writable(struct grpc_call *call);
void range_stream_cancel(struct grpc_call *call, int err);
/* snapshot.c */
void snapshot_on_message(struct grpc_call *call, struct slice msg);
void snapshot_on_writable(struct grpc_call *call);
void snapshot_on_cancel(struct grpc_call *call, int err);

#endif
