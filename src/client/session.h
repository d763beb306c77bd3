/* SPDX-License-Identifier: Apache-2.0
 *
 * client/session: a lease that is renewed until it is lost: what locks and elections hang on.
 *
 * Design      A renewal is a LeaseKeepAlive stream of one request and one answer, sent again a
 *             third of the TTL after the last answer, and tried on other endpoints while it fails.
 *             Without an answer until the TTL is over the lease counts as lost, whatever the server
 *             thinks. Ownership The caller owns the session; nothing is revoked by closing it.
 * Thread      the loop of the client's env.
 * Failure     on_lost, once; then no renewal follows.
 * See         client-api 3; cli.md 2.4 lease, lock, elect.
 */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include "client/client.h"

enum { CLIENT_SESSION_TTL_DEFAULT_S = 60, CLIENT_SESSION_RETRY_MS = 500 };

struct client_session;

struct client_session_options {
    struct client *client;
    struct env *env;
    int64_t lease;
    uint64_t first_wait_ms; /* for the first answer */
    /* msg: a LeaseKeepAliveResponse with a TTL above 0.  May be NULL. */
    void (*on_renewed)(void *arg, struct slice msg);
    void (*on_lost)(void *arg);
    void *arg;
};

struct client_session *client_session_open(const struct client_session_options *opts);
void client_session_close(struct client_session *s);
bool client_session_is_lost(const struct client_session *s);
int64_t client_session_lease(const struct client_session *s);

#endif
