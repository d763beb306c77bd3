/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/relay: calls whose connection lives on another thread than their service.
 *
 * Problem     Services and the core are one thread's; HTTP/2 is most of the work of a small request
 *             and can be done on others (--net-threads).  Services must not notice.
 * Design      A net thread has a grpc_server of its own.  Its methods are the relay's: what they
 *             are told goes by mailbox to the home thread, where a call of the home server stands
 *             for the one on the connection, and the service's answers come back the same way.
 *
 *                 net thread                               home thread
 *                 connection - call -> relay_net.c ==up==> relay_home.c -> call -> service
 *                                   <-            <=down==              <-
 *
 *             Each side names the call by the number of the net server's call; a number whose call
 *             is over is ignored.  So neither side ever waits for the other to let go.
 *             A source is pulled at home, in pieces, as far as the net side has given credit.
 * Ownership   The home server outlives the relay; the relay owns the net server.
 * Thread      create, destroy: home.  open, close: the net thread.
 * Limits      RELAY_* below, for each call; LIMIT_MAIL_* over all (then RESOURCE_EXHAUSTED).
 * Failure     None of its own: a call whose peer has gone is cancelled at home as ever.
 * See         grpc.h; env/mailbox.h; test/unit/grpc (the call tests run through a relay too).
 */
#ifndef GRPC_RELAY_H
#define GRPC_RELAY_H

#include "env/mailbox.h"
#include "grpc/server.h"

struct grpc_relay;

enum {
    RELAY_IN_BYTES = 64 << 10,      /* messages of one stream on their way to the service */
    RELAY_SOURCE_BYTES = 256 << 10, /* of one source, made and not yet taken by the connection */
    RELAY_CHUNK_BYTES = 128 << 10,  /* made at once */
};

/* All methods are registered with home already; shares: how many relays home has (they share the
 * bounds over all connections). */
struct grpc_relay *grpc_relay_create(struct grpc_server *home, unsigned shares,
                                     struct env_mailbox *up, struct env_mailbox *down);
/* The net thread's server, for its connections. */
struct grpc_server *grpc_relay_open(struct grpc_relay *r, struct env *env);
/* All connections are gone. */
void grpc_relay_close(struct grpc_relay *r);
/* Both mailboxes are deinitialised, the net side is closed. */
void grpc_relay_destroy(struct grpc_relay *r);

#endif
