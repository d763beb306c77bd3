/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/worker: a net thread of a server: connections that live on another loop than the services.
 *
 * Design      The home server keeps the listeners; each accepted stream goes as a number to the
 *             worker with the fewest connections, which has an rpc_server of its own for them.
 *             gRPC calls come home by grpc/relay, HTTP requests by http_relay.c, through the
 *             worker's two mailboxes.  Without workers nothing of this is there: a server is its
 *             own home, and calls are calls.
 *
 *                 home: listeners --stream--> worker: connections, TLS, HTTP, gRPC framing
 *                       services  <== requests, answers ==>
 *
 * Ownership   The home server outlives its workers, which are destroyed before it.
 * Thread      create, destroy: home.  open, close: the worker's own, first and last thing on it.
 * Limits      LIMIT_CONNECTIONS over all workers; LIMIT_MAIL_*; RPC_RELAY_* a request.
 * See         grpc/relay.h; os_thread_start, whose setup and teardown are open and close.
 */
#ifndef RPC_WORKER_H
#define RPC_WORKER_H

#include "rpc/rpc.h"

struct rpc_worker;

/* Before the home server listens, after all methods are registered. shares: how many workers there
 * will be. */
MUST_USE int rpc_worker_create(struct rpc_server *home, unsigned shares, struct rpc_worker **out);
/* worker is a struct rpc_worker. */
MUST_USE int rpc_worker_open(void *worker, struct env *env);
/* After the home's on_stopped, or when nothing was ever accepted. */
void rpc_worker_close(void *worker);
/* When close has returned (or open never succeeded). */
void rpc_worker_destroy(struct rpc_worker *w);

#endif
