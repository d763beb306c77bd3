/* SPDX-License-Identifier: Apache-2.0
 *
 * client/client: calls to a cluster through whichever of its endpoints works.
 *
 * Problem     One of the endpoints is dead, another closes its connection in the middle: a read
 *             must find its way within its time limit, a write must never be sent twice.
 * Design      One channel an endpoint, all connected at the first call.  A call waits until a
 *             channel is up, then takes the next one in turn.  A read that ends with UNAVAILABLE
 *             is tried again on the next endpoint; a write only if it never left this machine
 *             (client-api 4.7).  After each round over a majority of endpoints there is a pause.
 *
 *                 start -> waiting -> running -> done
 *                            ^----- pause <-'          deadline ends a call in any state
 *
 * Invariants  I1  a call gets on_done exactly once.
 *             I2  a write is started on a channel again only after a status with is_sent false.
 *             I3  after the first message of a stream nothing is tried again.
 * Ownership   The client owns calls and channels.  Method texts are constants; bodies are copied.
 * Thread      the loop of env.
 * Limits      CLIENT_* below.
 * Failure     every failure is a status; memory for replies is refused, never aborted on.
 * See         client-api 4.7, cli.md 2.7; test/unit/client/client_test.c.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "env/env.h"
#include "rpc/tls.h"

enum {
    CLIENT_ENDPOINTS_MAX = 1024,
    CLIENT_ATTEMPTS_MAX = 100,
    CLIENT_PAUSE_MS = 25,
    CLIENT_RECONNECT_MS = 100, /* first pause before a new connection, then doubled ... */
    CLIENT_RECONNECT_MAX_MS = 3000,
    CLIENT_SEND_BYTES_DEFAULT = 2 << 20,
    CLIENT_PING_LEAST_MS = 10000,
};

struct client;
struct client_call;

struct client_conf {
    struct env *env;
    const struct slice *endpoints; /* as users write them */
    size_t endpoint_count;
    uint64_t connect_timeout_ms; /* of one try; 0: 5 s */
    uint64_t ping_interval_ms;   /* values below CLIENT_PING_LEAST_MS act as that; 0: none */
    uint64_t ping_timeout_ms;
    size_t send_bytes_max;  /* 0: CLIENT_SEND_BYTES_DEFAULT */
    size_t recv_bytes_max;  /* 0: 2^31-1 */
    const char *user_agent; /* NULL: default */
    /* All endpoints speak TLS; NULL: none does.  Stays alive as long as the client. */
    const struct rpc_tls_factory *tls;
};

struct client_status {
    enum grpc_code code;
    struct slice text; /* lives until the callback returns */
    bool is_deadline;  /* our own time limit */
};

struct client_call_options {
    const char *method; /* "/etcdserverpb.KV/Range" */
    struct slice body;
    bool is_read;        /* may be tried again */
    bool is_stream;      /* several messages may come */
    bool is_open;        /* more of ours may follow: client_call_send */
    bool has_leader;     /* the server ends the stream when it has no leader */
    uint64_t timeout_ms; /* 0: none */
    /* msg is borrowed. */
    void (*on_message)(void *arg, struct slice msg);
    void (*on_done)(void *arg, const struct client_status *status);
    void *arg;
};

/* ERR_INVALID: no endpoint, or one that cannot be understood; ERR_UNSUPPORTED: one that needs TLS
 * while conf.tls is NULL. */
MUST_USE int client_create(const struct client_conf *conf, struct client **out);
/* Calls under way end without on_done.  Not from inside a callback. */
void client_destroy(struct client *c);

/* on_done comes later, never from inside this call.  NULL when memory ends. */
struct client_call *client_call_start(struct client *c, const struct client_call_options *opts);
/* on_done (CANCELLED) comes before this returns. */
void client_call_cancel(struct client_call *call);
/* One more message of a call with is_open.  False: it is not on a connection now, nothing was sent.
 * What was sent before the first answer is gone when the call is tried again: body alone is not. */
MUST_USE bool client_call_send(struct client_call *call, struct slice msg);
/* Stops and goes on taking messages: the server is held back by the stream's window. */
void client_call_pause(struct client_call *call);
void client_call_unpause(struct client_call *call);

/* Sent with every call as metadata `token`; NULL: none. */
void client_token_set(struct client *c, const char *token);

/* Who to log in as when a call ends because its token is not known any more (it ran out, or the
 * server has started anew): then there is a new token, and the call is made once more. */
void client_credentials_set(struct client *c, const char *user, const char *password);
/* The same at once: calls that start from here on wait for the new token.  False without
 * credentials. */
bool client_token_renew(struct client *c);

/* Why the newest connection failed: `connection error: desc = "transport: ..."`; "" when none did.
 */
const char *client_last_failure(const struct client *c);

/* As the official client prints it: etcd's own errors by their text alone, "context deadline
 * exceeded", anything else as "rpc error: code = Unavailable desc = ...". */
void client_status_text(const struct client_status *s, struct buf *out);
/* "Unavailable" */
const char *client_code_name(enum grpc_code code);

#endif
