/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/grpc: the face for services: method tables, calls, replies.
 *
 * Problem     A service wants whole messages in, and messages, sources or a status out; HTTP/2,
 *             framing, windows, compression, deadlines, budgets and etcd's exact refusals are not
 *             its concern.
 * Design      A service registers a table of methods.  For every accepted call the layer makes a
 *             struct grpc_call and calls the method's functions on the loop's thread:
 *
 *                 on_start? -> on_message* -> on_half_close? -> (service answers) | on_cancel
 *
 *             The service answers with exactly one of grpc_call_finish_unary, _fail and
 *             _respond_source, or, for streams, any number of _send* and one _finish or _fail.
 *             With that last answer, or with on_cancel, the service has let go of the call and
 *             must not touch it again.
 * Invariants  I1 on_cancel comes at most once, never after the service's last answer, and never
 *                from inside a call that the service makes into this layer.
 *             I2 a unary method gets exactly one on_message (never on_half_close); extra messages
 *                are dropped, as grpc-go does.
 *             I3 a source's close is called exactly once.
 * Ownership   A message slice lives until on_message returns (grpc_call_take_message keeps it).
 *             Replies are copied unless said otherwise.
 * Thread      net: the loop that owns the connection.
 * Limits      receive size: grpc_server_options.recv_bytes_max; LIMIT_RESPONSE_BUFFER_BYTES over
 *             all calls; GRPC_CALL_OUT_BYTES on one stream before grpc_call_can_send says no.
 * Failure     Replies cannot fail: to a call whose peer has gone they are dropped.
 * See         client-api 3.3, 4.3-4.5; design.md 4.
 */
#ifndef GRPC_GRPC_H
#define GRPC_GRPC_H

#include "base/err.h"
#include "base/rcbuf.h"
#include "base/slice.h"

struct grpc_call;
struct grpc_server;

enum grpc_kind {
    GRPC_KIND_UNARY,
    GRPC_KIND_SERVER_STREAM, /* one message in, a stream out */
    GRPC_KIND_CLIENT_STREAM,
    GRPC_KIND_BIDI,
};

enum {
    GRPC_CALL_USER_BYTES = 96,       /* of the service, in the call itself, zeroed at the start */
    GRPC_CALL_OUT_BYTES = 256 << 10, /* soft bound of what one stream queues */
};

/* One method. NULL functions are allowed where not marked. */
struct grpc_method {
    const char *service; /* "etcdserverpb.KV" */
    const char *name;    /* "Put" */
    enum grpc_kind kind;
    /* Headers are in, nothing else yet. */
    void (*on_start)(struct grpc_call *call);
    /* A whole message (required). */
    void (*on_message)(struct grpc_call *call, struct slice msg);
    /* The client sends no more (streams only). */
    void (*on_half_close)(struct grpc_call *call);
    /* The call is over without the service: err is ERR_RPC_CONTEXT_CANCELED (client reset or gone),
     * ERR_RPC_CONTEXT_DEADLINE (answered by this layer already) or another ERR_* when the layer
     * itself failed the call (bad frame). */
    void (*on_cancel)(struct grpc_call *call, int err);
    /* grpc_call_can_send turned true again after it was seen false. */
    void (*on_writable)(struct grpc_call *call);
};

/* ---- registering ------------------------------------------------------------------------------
 */

/* Methods of one or several services; the table must outlive the server.  service_arg comes back
 * from grpc_call_service.  A method registered twice is a programming error. */
void grpc_server_add(struct grpc_server *s, const struct grpc_method *methods, size_t count,
                     void *service_arg);

/* ---- what a call is ---------------------------------------------------------------------------
 */

const struct grpc_method *grpc_call_method(const struct grpc_call *call);
void *grpc_call_service(const struct grpc_call *call);
struct grpc_server *grpc_call_server(const struct grpc_call *call);
/* GRPC_CALL_USER_BYTES of the service's own, 16-byte aligned, zero at the start. */
void *grpc_call_user(struct grpc_call *call);
/* First value of a request header (lower-case name): token, authorization, hasleader,
 * client-api-version, ...; data NULL when absent.  "-bin" values are base64-decoded.
 * Lives as long as the call. */
struct slice grpc_call_metadata(const struct grpc_call *call, const char *name);
/* The i-th header (repeated ones too); false at the end. */
bool grpc_call_metadata_at(const struct grpc_call *call, size_t i, struct slice *out_name,
                           struct slice *out_value);
/* Absolute, on env_mono_ms's scale; 0 = the client gave none. */
uint64_t grpc_call_deadline_ms(const struct grpc_call *call);
/* The client's address, as env_conn's peer_name. */
const char *grpc_call_peer(const struct grpc_call *call);
/* Common name of the verified client certificate; "" without TLS or certificate. */
const char *grpc_call_peer_common_name(const struct grpc_call *call);
/* A number that names this call for the life of the server, never 0: what an asynchronous job
 * keeps instead of the pointer. */
uint64_t grpc_call_id(const struct grpc_call *call);
/* Inside on_message only: the message counted, without a copy when it had to be gathered anyway.
 * The caller owns one reference. */
struct rcbuf *grpc_call_take_message(struct grpc_call *call);
/* Stops on_message for a stream until resumed: messages wait, and the client's window closes. */
void grpc_call_pause(struct grpc_call *call);
void grpc_call_unpause(struct grpc_call *call);

/* ---- answers ----------------------------------------------------------------------------------
 */

/* The hot path: one message and status OK. */
void grpc_call_finish_unary(struct grpc_call *call, struct slice msg);
/* The same by reference: one reference is taken over. */
void grpc_call_finish_unary_rc(struct grpc_call *call, struct rcbuf *msg);
/* Ends a call with an error, after what was sent before it.  err: ERR_* (code and text from the
 * tables when text is NULL). */
void grpc_call_fail(struct grpc_call *call, int err, const char *text);
/* The same with an explicit gRPC code. */
void grpc_call_fail_code(struct grpc_call *call, enum grpc_code code, const char *text);
/* Ends a stream with OK, after what was sent before it. */
void grpc_call_finish(struct grpc_call *call);

/* Queues one message on a stream (copied). */
void grpc_call_send(struct grpc_call *call, struct slice msg);

/* A piece of a message: owner NULL = copied; else the slice lies in *owner, one reference of which
 * is taken over and kept until the bytes are written. */
struct grpc_part {
    struct slice bytes;
    struct rcbuf *owner;
};

/* Queues one message made of pieces (shared watch events). */
void grpc_call_send_parts(struct grpc_call *call, const struct grpc_part *parts, size_t count);
/* False: the stream holds GRPC_CALL_OUT_BYTES, or the global budget is used up; on_writable tells
 * when to go on.  Sending all the same is allowed (small, rare messages). */
bool grpc_call_can_send(struct grpc_call *call);
/* Bytes queued on the stream and not yet taken by the connection. */
size_t grpc_call_queued(const struct grpc_call *call);

/* ---- sources: bytes made when there is room for them ------------------------------------------
 */

struct grpc_source;

struct grpc_source_ops {
    /* Writes at most max (> 0) bytes to dst, *out_n of them (may be 0 only with ERR_AGAIN).  0 = go
     * on; ERR_AGAIN = what is there was written, grpc_call_resume will follow; any other error
     * resets the stream: the client sees INTERNAL.  Total must be exactly the announced length. */
    int (*pull)(struct grpc_source *src, uint8_t *dst, size_t max, size_t *out_n);
    /* Last call, always exactly once: finished, failed or cancelled. May free src. */
    void (*close)(struct grpc_source *src);
};

/* Embedded in the service's own struct. */
struct grpc_source {
    const struct grpc_source_ops *ops;
};

/* One response message of exactly total_len bytes, then OK (any kind; the last answer).
 * total_len above LIMIT_RESPONSE_BYTES fails with etcd's text, and closes the source. */
void grpc_call_respond_source(struct grpc_call *call, uint64_t total_len, struct grpc_source *src);
/* One message of a stream; at most one source at a time, messages sent later come behind it.
 * on_writable follows when it is done. */
void grpc_call_send_source(struct grpc_call *call, uint64_t total_len, struct grpc_source *src);
/* After ERR_AGAIN: pull again.  Legal until the source's close. */
void grpc_call_resume(struct grpc_call *call);

/* ---- counting ---------------------------------------------------------------------------------
 */

struct grpc_method_stats {
    uint64_t started;
    uint64_t handled[17]; /* by gRPC code */
    uint64_t msg_received;
    uint64_t msg_sent;
};

struct grpc_server_stats {
    uint64_t bytes_received; /* of messages, as etcd_network_client_grpc_received_bytes_total */
    uint64_t bytes_sent;
    uint64_t streams_open;
    uint64_t response_bytes_queued; /* against LIMIT_RESPONSE_BUFFER_BYTES */
};

size_t grpc_server_method_count(const struct grpc_server *s);
/* i in registration order. */
const struct grpc_method *grpc_server_method_at(const struct grpc_server *s, size_t i);
/* The call's method in that order. */
size_t grpc_call_method_index(const struct grpc_call *call);
const struct grpc_method_stats *grpc_server_method_stats(const struct grpc_server *s, size_t i);
const struct grpc_server_stats *grpc_server_stats(const struct grpc_server *s);

#endif
