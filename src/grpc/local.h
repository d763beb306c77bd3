/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/local: calls made inside the process: no connection, no frames, no thread between.
 *
 * Problem     The JSON gateway speaks to the member's own services; they must see calls like any
 *             other.
 * Design      A call of the ordinary kind stands for the caller, as in relay.h. What the service
 *             says is queued and told to the caller at the end of the turn, never from inside what
 *             the caller or the service does:
 *
 *                 on_message(len) -> on_bytes* (len bytes together) -> ... -> on_end
 *
 * Bytes of a source are made as long as on_bytes says that there is room.
 * Ownership   The server outlives the hub, the hub its calls. A call is the caller's until on_end
 *             was called or grpc_local_cancel; then it must not be touched.
 * Thread      the server's.
 * Limits      the server's receive limit a message; GRPC_CALL_OUT_BYTES of answers before the
 *             service waits; LOCAL_HELD_BYTES of messages that a paused service has not taken.
 * Failure     an unknown method; everything else is a status in on_end.
 * See         grpc.h; test/unit/grpc/local_test.c.
 */
#ifndef GRPC_LOCAL_H
#define GRPC_LOCAL_H

#include "grpc/grpc.h"
#include "grpc/status.h"

struct grpc_local;
struct grpc_local_call;

enum { LOCAL_HELD_BYTES = 64 << 10 };

struct grpc_local_ops {
    /* A message of len bytes begins. */
    void (*on_message)(void *arg, uint64_t len);
    /* False: no more until grpc_local_resume. */
    bool (*on_bytes)(void *arg, struct slice bytes);
    /* The last call.  After GRPC_INTERNAL a message may be cut short: the source broke. */
    void (*on_end)(void *arg, enum grpc_code code, struct slice text);
    /* grpc_local_can_send turned true again after it said no; may be NULL. */
    void (*on_sendable)(void *arg);
};

struct grpc_local_options {
    struct slice path;    /* "/etcdserverpb.KV/Range" */
    const char *peer;     /* copied */
    uint64_t deadline_ms; /* absolute, on env_mono_ms's scale; 0: none */
    const struct grpc_local_ops *ops;
    void *arg;
};

struct grpc_local *grpc_local_create(struct grpc_server *s);
/* No call is open. */
void grpc_local_destroy(struct grpc_local *l);

/* NULL: no such method, *e says so as a server does.  Metadata may be added until the start. */
struct grpc_local_call *grpc_local_open(struct grpc_local *l, const struct grpc_local_options *o,
                                        struct grpc_error *e);
enum grpc_kind grpc_local_kind(const struct grpc_local_call *lc);
/* name in lower case. */
void grpc_local_metadata(struct grpc_local_call *lc, struct slice name, struct slice value);
void grpc_local_start(struct grpc_local_call *lc);
void grpc_local_send(struct grpc_local_call *lc, struct slice msg);
/* False: LOCAL_HELD_BYTES wait for the service. */
bool grpc_local_can_send(struct grpc_local_call *lc);
void grpc_local_half_close(struct grpc_local_call *lc);
/* There is room for bytes again. */
void grpc_local_resume(struct grpc_local_call *lc);
/* The caller has gone: the service learns it, the caller hears nothing more. */
void grpc_local_cancel(struct grpc_local_call *lc);

#endif
