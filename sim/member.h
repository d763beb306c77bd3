/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/member: one whole member on a simulated host: driver, peer transport, services, listeners,
 * wired as server/server.c wires them.
 *
 * Problem     server.c is bound to the real machine (init daemon, threads, TLS files); everything
 *             below it is not, and must run here unchanged.
 * Ownership   create .. (stop, until it has ended) .. destroy.  After a power cut the same way: the
 *             host is a retired one then (sim_host_replace).
 * Thread      one.
 * Failure     create: ERR_* with text.  A member that fails ends by itself, as the server does.
 */
#ifndef SIM_MEMBER_H
#define SIM_MEMBER_H

#include "base/list.h"
#include "core/driver.h"
#include "server/peers.h"

struct grpc_server;
struct rpc_server;
struct sim_host;
struct sim_member;

enum { SIM_PEER_PORT = 2380, SIM_CLIENT_PORT = 2379, SIM_MEMBER_LISTENERS = 1 };

/* arg is config.arg.  None comes once the member was given up (sim_member_forget). */
struct sim_member_events {
    void (*on_ready)(void *arg);
    void (*on_fatal)(void *arg, int err, const char *text);
    void (*on_removed)(void *arg);
    /* Before they go to the transport: copies what is to go instead into out (room for max), which
     * may lose, double or reorder them; returns how many. */
    size_t (*on_send)(void *arg, const struct raft_message *messages, size_t count,
                      struct raft_message *out, size_t max);
};

struct sim_member_config {
    struct sim_host *host;
    struct driver_config driver; /* env and hooks are set here */
    const struct sim_member_events *events;
    void *arg;
};

MUST_USE int sim_member_create(const struct sim_member_config *config, struct sim_member **out,
                               char text[DRIVER_TEXT_BYTES]);
void sim_member_stop(struct sim_member *m);
/* Nothing is under way any more: destroy it. */
bool sim_member_is_ended(const struct sim_member *m);
void sim_member_destroy(struct sim_member *m);
/* Its power is cut: it is of no interest any more, and stops. */
void sim_member_forget(struct sim_member *m);

struct driver *sim_member_driver(struct sim_member *m);
struct core *sim_member_core(struct sim_member *m);
struct sim_host *sim_member_host(struct sim_member *m);
bool sim_member_is_ready(const struct sim_member *m);
/* Walks the invariants of every part; aborts on a broken one. */
void sim_member_check(struct sim_member *m);

#endif
