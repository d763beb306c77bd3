/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/call_private: what server.c, conn.c, request.c and call.c share.
 *
 * States of a call (bits, each set once):
 *
 *     is_headed    request headers complete, call accepted by the layer
 *     is_started   the service knows it        -- from here one last answer or on_cancel is owed
 *     is_answered  the last answer was given   -- the service has let go
 *     is_responded HEADERS were submitted
 *     is_trailed   trailers were submitted
 *
 * A call is alive from the stream's begin to its on_close.
 */
#ifndef GRPC_CALL_PRIVATE_H
#define GRPC_CALL_PRIVATE_H

#include "base/list.h"
#include "base/map.h"
#include "grpc/deadline.h"
#include "grpc/frame.h"
#include "grpc/server.h"

enum {
    GRPC_CALLS_KEPT = 4096,   /* free calls kept for reuse */
    GRPC_COPY_KEPT = 4 << 10, /* reply and metadata memory a free call keeps */
    GRPC_PARTS_FIRST = 4,
    GRPC_REF_MIN = 2 << 10,        /* smaller pieces are copied, not referred to */
    GRPC_CONN_HELD_MAX = 64 << 20, /* partial messages of one connection: above it streams are
                                      refused (RESOURCE_EXHAUSTED) */
    GRPC_PING_STRIKES_MAX = 2,
    GRPC_PING_IDLE_MS = 2 * 3600 * 1000, /* pings allowed when there is no stream */
};

enum out_kind { OUT_COPIED, OUT_REF, OUT_SOURCE };

/* A piece of the answer's body, in order. */
struct out_part {
    enum out_kind kind;
    uint64_t len; /* bytes left */
    const uint8_t *data;
    union {
        struct rcbuf *owner;
        struct grpc_source *source;
    };
};

struct grpc_conn;

struct grpc_call {
    _Alignas(16) uint8_t user[GRPC_CALL_USER_BYTES];
    struct grpc_conn *conn;
    struct h2_stream *stream; /* NULL when h2 has closed it */
    const struct grpc_method *method;
    struct grpc_method_stats *stats;
    void *service;
    struct list_node free_node;  /* of server->free_calls */
    struct list_node ready_node; /* of conn->ready: on_writable is owed */
    struct list_node held_node;  /* of conn->held: waits for its window */
    struct grpc_deadline_node deadline;
    uint32_t slot; /* in server->slots */
    uint64_t start_ns;

    /* Request. */
    struct buf meta;      /* entries: u32 name length, u32 value length, name, value */
    struct slice message; /* inside on_message */
    struct grpc_deframer deframer;
    struct buf held;            /* paused: bytes not yet looked at */
    size_t unconsumed;          /* bytes whose window was not given back */
    size_t held_counted;        /* of conn->held_bytes */
    struct grpc_error *refusal; /* of the headers; NULL = none */
    int refusal_status;         /* HTTP status that goes with it */

    /* Response. */
    struct buf copy; /* bytes of OUT_COPIED parts */
    size_t copy_at;
    struct out_part *parts; /* ring */
    uint32_t part_head, part_count, part_cap;
    struct out_part first_parts[GRPC_PARTS_FIRST];
    uint32_t source_count;
    bool source_waits; /* said ERR_AGAIN: not pulled before grpc_call_resume */
    bool is_resumed;   /* grpc_call_resume came from inside the pull */
    size_t queued;     /* bytes in COPIED and REF parts, counted against the budget */
    enum grpc_code code;
    struct buf message_text; /* grpc-message, encoded */

    bool has_path, is_post, has_content_type, is_grpc_type, is_gzip_request;
    bool is_headed, is_started, is_answered, is_responded, is_trailed;
    bool has_message;    /* unary: the one message was delivered */
    bool is_half_closed; /* END_STREAM was handed on */
    bool is_ended;       /* END_STREAM came */
    bool is_paused, is_parsing;
    bool is_blocked; /* can_send said no: on_writable is owed when it says yes */
    bool is_handed_over;
    /* The call stands for one that came otherwise than by HTTP/2 here: relay_home.c, local.c; NULL:
     * it has a stream. */
    const struct grpc_remote_ops *remote;
};

struct grpc_slot {
    struct grpc_call *call;
    uint32_t generation;
    uint32_t next_free; /* index + 1 */
};

struct grpc_entry {
    const struct grpc_method *method;
    struct grpc_method_stats stats;
    void *service;
    struct slice path; /* "/service/name", owned */
    size_t next;       /* index + 1 in the hash chain */
    size_t index;      /* in registration order */
};

enum { GRPC_ROUTE_BUCKETS = 256 };

struct grpc_server {
    struct env *env;
    struct grpc_server_options opts;
    struct http_pool *pool;
    struct grpc_entry **entries;
    size_t entry_count;
    size_t routes[GRPC_ROUTE_BUCKETS]; /* index + 1 of the chain's first entry */
    struct list free_calls;
    size_t free_count;
    struct grpc_slot *slots;
    uint32_t slot_count, slot_cap, slot_free;
    struct grpc_deadlines deadlines;
    struct grpc_server_stats stats;
    size_t held_bytes; /* over all connections, against LIMIT_PENDING_BYTES */
};

enum grpc_drain { DRAIN_NO, DRAIN_NOTICE, DRAIN_FINAL };

struct grpc_conn {
    struct grpc_server *server;
    struct h2_session *h2;
    const struct grpc_conn_ops *ops;
    void *arg;
    char *peer;
    char *common_name;
    bool is_mixed;
    bool is_dirty;  /* on_want_write was called */
    bool is_inside; /* in recv or send: the owner looks itself afterwards */
    enum grpc_drain drain;
    struct list ready;
    struct list held;
    size_t held_bytes;
    struct grpc_entry *last_entry; /* of the last routed path: most clients repeat */
    uint64_t now_ms;
    /* Keepalive (client-api 4.5). */
    uint64_t last_recv_ms;
    uint64_t ping_sent_ms; /* 0: none under way */
    uint64_t last_ping_ms; /* of the client; 0: none yet */
    int ping_strikes;
};

/* server.c */
struct grpc_entry *grpc_server_route(struct grpc_server *s, struct slice path);
bool grpc_server_has_service(const struct grpc_server *s, struct slice service);
struct grpc_call *grpc_server_call_get(struct grpc_server *s);
void grpc_server_call_put(struct grpc_server *s, struct grpc_call *call);
/* What get and put do but for the memory: a zeroed or recycled call gets a number; and loses it. */
void grpc_server_call_begin(struct grpc_server *s, struct grpc_call *call);
void grpc_server_call_end(struct grpc_server *s, struct grpc_call *call);
/* NULL when it is over; answered calls too. */
struct grpc_call *grpc_server_call_at(struct grpc_server *s, uint64_t id);

/* conn.c */
void grpc_conn_dirty(struct grpc_conn *c);

/* request.c */
extern const struct h2_stream_ops grpc_request_ops;
void grpc_request_process_held(struct grpc_call *call);
/* The server's hook; false: it has answered. */
bool grpc_request_admit(struct grpc_call *call, struct slice msg);
/* UNIMPLEMENTED with the text that says what of path is unknown. */
void grpc_request_path_error(struct grpc_server *s, struct slice path, struct grpc_error *e);
/* The call no longer counts among those that hold bytes. */
void grpc_request_unhold(struct grpc_call *call);

/* call.c */
enum h2_pull grpc_call_pull(void *user, struct h2_stream *st, struct h2_sink *sink);
/* Status before or instead of the service (which is told by on_cancel(err) if it knows the call).
 */
void grpc_call_abort(struct grpc_call *call, int err, enum grpc_code code, const char *text);
/* HTTP status other than 200 with a gRPC status: requests that are not proper gRPC. */
void grpc_call_refuse(struct grpc_call *call, int http_status, const struct grpc_error *e);
/* Frees what waits to be sent and closes sources. */
void grpc_call_drop_output(struct grpc_call *call);
void grpc_call_count_handled(struct grpc_call *call, enum grpc_code code);
/* The service has let go: status is fixed, what is queued goes out before it. */
void grpc_call_answered(struct grpc_call *call, enum grpc_code code);
bool grpc_call_has_room(const struct grpc_call *call);

/* What call.c and server.c do for calls with remote set. */
struct grpc_remote_ops {
    /* owner: NULL, or msg lies in it and one reference is taken over. */
    void (*unary)(struct grpc_call *call, struct slice msg, struct rcbuf *owner);
    void (*end)(struct grpc_call *call, enum grpc_code code, struct slice text);
    void (*send_parts)(struct grpc_call *call, const struct grpc_part *parts, size_t count);
    void (*source)(struct grpc_call *call, uint64_t total_len, struct grpc_source *src,
                   bool is_last);
    void (*resume)(struct grpc_call *call);
    void (*unpause)(struct grpc_call *call);
    uint64_t (*deadline_ms)(const struct grpc_call *call);
    const char *(*peer)(const struct grpc_call *call);
    const char *(*common_name)(const struct grpc_call *call);
    /* What waits to be sent is forgotten; NULL: deadlines are kept elsewhere. */
    void (*drop_output)(struct grpc_call *call);
};

#endif
