/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/rpc/bed: fixture of the rpc tests: a server with a few handlers and methods over the
 * fake env, and a toy cipher behind the TLS seam.
 */
#ifndef TEST_RPC_BED_H
#define TEST_RPC_BED_H

#include "fake_env.h"
#include "rpc/rpc.h"
#include "rpc/worker.h"

/* How many workers the server has, on the same fake loop (build file). */
#ifndef BED_WORKERS
#define BED_WORKERS 0
#endif

/* Every byte xor 0x5a; the client's hello is "\x16hello", the server's "HELLO". */
struct toy_conf {
    bool is_server;
    const char *alpn;
};

struct rpc_tls *toy_create(void *arg, const char *peer);

struct bed {
    struct fake_env *f;
    struct grpc_server *grpc;
    struct rpc_server *rpc;
    struct rpc_worker *workers[BED_WORKERS + 1];
    struct rpc_listener *l;
    struct rpc_http_req *held;
    struct buf body;
    int gone, writables, stopped, ended;
    struct grpc_call *held_call;
    int cancels;
};

void bed_make(struct bed *b, const struct rpc_tls_factory *tls, bool has_plain, unsigned accept);
void bed_plain(struct bed *b);
void bed_free(struct bed *b);
void bed_on_stopped(void *arg);
/* Sends in, in pieces of several sizes, and compares what comes back. */
void talk(struct bed *b, const char *in, const char *want, bool closes);

#endif
