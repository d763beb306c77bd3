/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/worker_private: what worker.c and http_relay.c share.
 */
#ifndef RPC_WORKER_PRIVATE_H
#define RPC_WORKER_PRIVATE_H

#include <pthread.h>

#include "base/map.h"
#include "grpc/relay.h"
#include "rpc/server_private.h"
#include "rpc/worker.h"

enum { RPC_RELAY_IN_BYTES = 256 << 10 }; /* of one request's body on their way to the handler */

enum rpc_mail_kind {
    /* Down: to the worker. */
    RPC_MAIL_ACCEPT, /* handle, listener */
    RPC_MAIL_STOP,   /* number: grace in ms */
    RPC_MAIL_RESPOND,
    RPC_MAIL_BEGIN,
    RPC_MAIL_WRITE,
    RPC_MAIL_FINISH,
    RPC_MAIL_ABORT,
    RPC_MAIL_UPGRADE,
    RPC_MAIL_TAKEN, /* number: body bytes that the handler has taken */
    /* Up: home. */
    RPC_MAIL_STOPPED,
    RPC_MAIL_HEAD,
    RPC_MAIL_BODY,
    RPC_MAIL_END,
    RPC_MAIL_GONE,
    RPC_MAIL_ROOM, /* number: answer bytes that the connection has room for again */
};

struct rpc_mail {
    struct env_mail mail;
    struct rpc_worker *worker;
    enum rpc_mail_kind kind;
    uint64_t id; /* of an HTTP request */
    uint64_t number;
    int64_t handle;
    const struct rpc_listener *listener;
    int status;
    size_t header_count;
    size_t body_at; /* RESPOND: where in bytes the body begins */
    bool is_tls;
    bool is_h1;
    /* HEAD: method, target, peer, common name, then headers; RESPOND, BEGIN, UPGRADE: headers; each
     * a u32 length, the text, a zero byte. */
    struct buf bytes;
};

struct rpc_worker {
    struct list_node node; /* of home->workers */
    struct rpc_server *home;
    struct env_mailbox up, down;
    struct grpc_relay *relay; /* NULL: HTTP only */

    /* The worker's thread. */
    struct rpc_server *server;
    struct rpc_listen_options http; /* the one handler that relays */
    struct rpc_http_handler handler;
    struct map net_reqs;
    uint64_t last_id;

    /* The home thread. */
    struct map home_reqs;
    uint64_t handed; /* streams given */

    pthread_mutex_t mutex; /* for stats: written by the worker at the end of its turns */
    struct rpc_server_stats stats;
};

/* worker.c */
struct rpc_mail *rpc_mail_create(struct rpc_worker *w, enum rpc_mail_kind kind, uint64_t id);
void rpc_mail_free(struct rpc_mail *m);
void rpc_mail_push(struct env_mailbox *mb, struct rpc_mail *m);

/* http_relay_net.c */
void rpc_http_relay_open(struct rpc_worker *w);
void rpc_http_relay_net(struct rpc_worker *w, struct rpc_mail *m);

/* http_relay.c */
void rpc_mail_put_text(struct rpc_mail *m, struct slice s);
struct slice rpc_mail_take_text(const struct rpc_mail *m, size_t *at);
void rpc_mail_put_headers(struct rpc_mail *m, const struct h1_header *headers, size_t count);
/* header_count of them, from *at on; the slices lie in m. */
void rpc_mail_take_headers(const struct rpc_mail *m, size_t *at, struct h1_header *out);
/* True: m is kept. */
bool rpc_http_relay_home(struct rpc_worker *w, struct rpc_mail *m);

#endif
