/* SPDX-License-Identifier: Apache-2.0
 *
 * service/internal: one call under way, and what the services share.  Private to service.
 */
#ifndef SERVICE_INTERNAL_H
#define SERVICE_INTERNAL_H

#include "apply/apply.h"
#include "base/arena.h"
#include "service/service.h"

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
    bool has_arena;
    bool is_canceled;
    uint64_t number; /* of the method's own */
    struct service_call *next_free;
};

struct service {
    struct service_options o;
    struct driver *driver;
    struct core *core;
    struct buf scratch; /* of the answer being written */
    struct service_call *free;
    size_t free_count;
};

/* ---- calls ---- */

struct service_call *service_call_begin(struct service *s, struct grpc_call *call,
                                        enum core_kind kind,
                                        void (*on_reply)(struct service_call *sc));
void service_call_end(struct service_call *sc);
/* Keeps the message alive until the call ends; slices decoded from the result stay valid. */
struct slice service_call_keep(struct service_call *sc, struct slice msg);
void service_call_submit(struct service_call *sc);
/* on_cancel of every method that uses service_call. */
void service_on_cancel(struct grpc_call *call, int err);
/* Answers err without a service_call. */
void service_refuse(struct grpc_call *call, int err);
/* A message that is no message: etcd's words. */
void service_malformed(struct grpc_call *call, int err);

/* ---- answers ---- */

struct wire_header service_header(const struct service *s, int64_t rev);
/* Header + sc->response, status OK; or the error of the reply.  Ends sc. */
void service_answer(struct service_call *sc);
/* "3.7.0", or empty where this level has none. */
struct slice service_storage_version(const struct service *s, char text[SEMVER_TEXT_MAX]);
/* scratch, empty. */
struct buf *service_scratch(struct service *s);

/* ---- the services ---- */

void kv_register(struct service *s, struct grpc_server *server);
void maintenance_register(struct service *s, struct grpc_server *server);
void cluster_register(struct service *s, struct grpc_server *server);
void health_register(struct service *s, struct grpc_server *server);
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
