/* SPDX-License-Identifier: Apache-2.0
 *
 * client/client_sync: calls that look synchronous: they run the caller's event loop until the
 * answer is there.  For tools and the public library.
 *
 * Thread      the loop's own, not from inside one of its callbacks.
 */
#ifndef CLIENT_CLIENT_SYNC_H
#define CLIENT_CLIENT_SYNC_H

#include "client/client.h"

/* run() handles events until stop() is called from inside one. */
struct client_runner {
    void (*run)(void *arg);
    void (*stop)(void *arg);
    void *arg;
};

struct client_error {
    enum grpc_code code;
    bool is_deadline;
    struct buf text; /* as client_status_text */
    struct buf desc; /* the description alone */
};

void client_error_init(struct client_error *e);
void client_error_deinit(struct client_error *e);

struct client_request {
    const char *method;
    struct slice body;
    bool is_read;
    uint64_t timeout_ms;
};

/* 0 and the reply's bytes in out (cleared first), or ERR_RPC_* / ERR_NET (any other status) /
 * ERR_NOMEM with *error filled. */
MUST_USE int client_ask(struct client *c, const struct client_runner *r,
                        const struct client_request *req, struct buf *out,
                        struct client_error *error);

/* Server stream: on_message for each; a non-zero result of on_message cancels the call and is
 * returned. */
MUST_USE int client_ask_stream(struct client *c, const struct client_runner *r,
                               const struct client_request *req,
                               int (*on_message)(void *arg, struct slice msg), void *arg,
                               struct client_error *error);

/* Authenticate; the token is used from then on.  A cluster without authentication is fine. */
MUST_USE int client_login(struct client *c, const struct client_runner *r, const char *user,
                          const char *password, uint64_t timeout_ms, struct client_error *error);

#endif
