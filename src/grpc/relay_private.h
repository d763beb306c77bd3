/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/relay_private: what relay.c, relay_net.c and relay_home.c share.
 */
#ifndef GRPC_RELAY_PRIVATE_H
#define GRPC_RELAY_PRIVATE_H

#include "grpc/call_private.h"
#include "grpc/relay.h"

enum {
    RELAY_MAILS_KEPT = 1024,       /* free mails kept a side */
    RELAY_MAIL_BUF_KEPT = 4 << 10, /* memory that a free mail keeps */
    RELAY_MESSAGE_COST = 64,       /* a message weighs at least this against RELAY_IN_BYTES */
};

enum relay_kind {
    /* Up: to the service. */
    RELAY_OPEN,    /* bytes: metadata, peer, common name, and the message if has_message */
    RELAY_MESSAGE, /* bytes */
    RELAY_HALF_CLOSE,
    RELAY_CANCEL,      /* err */
    RELAY_ROOM,        /* number: bytes of messages that the stream has room for again */
    RELAY_CREDIT,      /* number: bytes of the source taken by the connection */
    RELAY_SOURCE_DONE, /* all of the source was taken */
    RELAY_SOURCE_STOP, /* the stream ended before */
    /* Down: to the connection. */
    RELAY_UNARY,  /* the message; the end */
    RELAY_END,    /* code, bytes: text; the end */
    RELAY_SEND,   /* one message in parts */
    RELAY_SOURCE, /* number: its length; is_last: the end comes with it */
    RELAY_CHUNK,  /* bytes of the source */
    RELAY_BROKEN, /* the source failed */
    RELAY_TAKEN,  /* number: bytes of messages that the service has taken */
};

struct relay_mail {
    struct env_mail mail;
    struct grpc_relay *relay;
    enum relay_kind kind;
    uint64_t id; /* of the net server's call */
    uint64_t number;
    uint64_t deadline_ms;
    uint32_t method;                       /* index in the home server's table */
    uint32_t meta_len, peer_len, name_len; /* RELAY_OPEN: parts of bytes */
    enum grpc_code code;
    int err;
    bool has_message;
    bool is_last;
    struct buf bytes;
    /* RELAY_SEND: parts; those without an owner lie in bytes, one behind the other. */
    struct grpc_part *parts;
    size_t part_count, part_cap;
    struct rcbuf *owner; /* RELAY_UNARY by reference */
};

struct relay_pool {
    struct list mails;
    size_t count;
};

struct relay_home_call;

struct grpc_relay {
    struct grpc_server *home;
    unsigned shares;
    struct env_mailbox *up;
    struct env_mailbox *down;

    /* The net thread's. */
    struct grpc_server *net;
    struct grpc_method *methods; /* as home's, with the relay's functions */
    struct relay_pool net_pool;
    struct list rooms; /* relay_net_call.room_node: RELAY_ROOM is owed */
    bool is_room_deferred;

    /* The home thread's. */
    struct grpc_conn conn; /* stands for the connection of every home call: only server is set */
    struct relay_pool home_pool;
    struct relay_home_call **calls; /* by slot of the number */
    size_t call_cap;
    struct list free_calls;
    size_t free_count;
    struct list pumps; /* relay_home_call.pump_node: something to do at the end of the turn */
    bool is_pump_deferred;
};

/* relay.c */
struct relay_mail *relay_mail_get(struct grpc_relay *r, struct relay_pool *pool,
                                  enum relay_kind kind, uint64_t id);
void relay_mail_put(struct relay_pool *pool, struct relay_mail *m);
void relay_push_up(struct relay_mail *m);
void relay_push_down(struct relay_mail *m);

/* relay_net.c */
void relay_net_methods(struct grpc_relay *r);
void relay_net_deliver(struct relay_mail *m);

/* relay_home.c */
void relay_home_deliver(struct relay_mail *m);
void relay_home_deinit(struct grpc_relay *r);

#endif
