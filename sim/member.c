/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/member.h"

#include <stdio.h>

#include "base/limits.h"
#include "core/internal.h"
#include "grpc/server.h"
#include "mvcc/watch.h"
#include "sim/sim.h"

enum {
    STOP_GRACE_MS = 7000,
    REQUEST_TIMEOUT_MS = 7000,
    WATCH_PROGRESS_MS = 2000,
    SEND_MAX = 512, /* messages of one call that faults may touch */
};

struct sim_member {
    struct sim_member_config config;
    struct env *env;
    struct driver *driver;
    struct server_peers peers;
    struct service *service;
    struct grpc_server *grpc;
    struct rpc_server *rpc;
    struct rpc_listener *listener;
    bool is_ready;
    bool is_forgotten;
    bool is_stopping;
    bool is_driver_stopped;
    bool is_rpc_stopped;
    bool is_peers_stopped;
};

/* ---- what the driver says ---- */

static void on_ready(void *arg)
{
    struct sim_member *m = arg;
    m->is_ready = true;
    service_start(m->service);
    if (!m->is_forgotten) {
        m->config.events->on_ready(m->config.arg);
    }
}

static void on_fatal(void *arg, int err, const char *text)
{
    struct sim_member *m = arg;
    if (!m->is_forgotten) {
        m->config.events->on_fatal(m->config.arg, err, text);
    }
    sim_member_stop(m);
}

static void on_removed(void *arg)
{
    struct sim_member *m = arg;
    if (!m->is_forgotten) {
        m->config.events->on_removed(m->config.arg);
    }
    sim_member_stop(m);
}

static void on_messages(void *arg, const struct raft_message *messages, size_t count)
{
    struct sim_member *m = arg;
    static struct raft_message out[SEND_MAX]; /* too large for the stack; one thread */
    if (m->is_forgotten || count > SEND_MAX / 2) {
        server_peers_send(&m->peers, messages, count);
        return;
    }
    size_t n = m->config.events->on_send(m->config.arg, messages, count, out, SEND_MAX);
    server_peers_send(&m->peers, out, n);
}

static void on_send_snapshot(void *arg, const struct driver_snapshot *snapshot)
{
    struct sim_member *m = arg;
    server_peers_send_snapshot(&m->peers, snapshot);
}

static void on_members_changed(void *arg)
{
    struct sim_member *m = arg;
    server_peers_members_changed(&m->peers);
}

static void on_want_versions(void *arg)
{
    struct sim_member *m = arg;
    server_peers_want_versions(&m->peers);
}

static void on_level_changed(void *arg, enum level level)
{
    struct sim_member *m = arg;
    peer_level_set(m->peers.transport, level);
}

static void on_peers_stopped(void *arg)
{
    ((struct sim_member *)arg)->is_peers_stopped = true;
}

static void on_rpc_stopped(void *arg)
{
    ((struct sim_member *)arg)->is_rpc_stopped = true;
}

static void on_driver_stopped(void *arg)
{
    struct sim_member *m = arg;
    m->is_driver_stopped = true;
    server_peers_stop(&m->peers, on_peers_stopped, m);
}

/* ---- life ---- */

static int driver_make(struct sim_member *m, char *text)
{
    struct driver_config dc = m->config.driver;
    dc.env = m->env;
    dc.on_ready = on_ready;
    dc.on_fatal = on_fatal;
    dc.on_stopped = on_driver_stopped;
    dc.on_messages = on_messages;
    dc.on_send_snapshot = on_send_snapshot;
    dc.on_members_changed = on_members_changed;
    dc.on_want_versions = on_want_versions;
    dc.on_level_changed = on_level_changed;
    dc.on_removed = on_removed;
    dc.arg = m;
    return driver_open(&dc, &m->driver, text);
}

static void peers_make(struct sim_member *m)
{
    struct server_config sc = {.driver = m->config.driver};
    m->peers.on_removed = on_removed;
    m->peers.arg = m;
    server_peers_open(&m->peers, &sc, m->env, m->driver);
}

static void services_make(struct sim_member *m)
{
    const struct driver_config *dc = &m->config.driver;
    struct service_options so = {
        .driver = m->driver,
        .request_bytes_max = dc->request_bytes_max,
        .txn_ops_max = dc->txn_ops_max,
        .peers = &m->peers.asker,
        .request_timeout_ms = REQUEST_TIMEOUT_MS,
        .election_ms = dc->election_ms,
        .watch_progress_ms = WATCH_PROGRESS_MS,
    };
    m->service = service_create(&so);
    struct grpc_server_options gso = {
        .recv_bytes_max = dc->request_bytes_max + LIMIT_GRPC_OVERHEAD_BYTES,
        .admit = service_admit,
        .admit_arg = m->service,
    };
    m->grpc = grpc_server_create(m->env, &gso);
    service_register(m->service, m->grpc);
    struct rpc_server_options ro = {.env = m->env, .grpc = m->grpc};
    m->rpc = rpc_server_create(&ro);
    server_peers_serve(&m->peers, m->service);
}

static void listen_all(struct sim_member *m)
{
    char addr[32];
    struct rpc_listen_options lo = {.accept = RPC_ACCEPT_HTTP, .has_plain = true, .is_peer = true};
    lo.handlers = peer_handlers(m->peers.transport, &lo.handler_count);
    (void)snprintf(addr, sizeof(addr), "0.0.0.0:%d", SIM_PEER_PORT);
    int err = rpc_server_listen(m->peers.rpc, addr, &lo, &m->peers.listeners[0]);
    ensure(err == 0);
    m->peers.listener_count = 1;
    struct rpc_listen_options clients = {.accept = RPC_ACCEPT_GRPC, .has_plain = true};
    (void)snprintf(addr, sizeof(addr), "0.0.0.0:%d", SIM_CLIENT_PORT);
    err = rpc_server_listen(m->rpc, addr, &clients, &m->listener);
    ensure(err == 0);
}

int sim_member_create(const struct sim_member_config *config, struct sim_member **out,
                      char text[DRIVER_TEXT_BYTES])
{
    struct sim_member *m = mem_zalloc(sizeof(*m));
    m->config = *config;
    m->env = sim_host_env(config->host);
    int err = driver_make(m, text);
    if (err != 0) {
        mem_free(m);
        return err;
    }
    peers_make(m);
    services_make(m);
    listen_all(m);
    driver_start(m->driver);
    *out = m;
    return 0;
}

void sim_member_stop(struct sim_member *m)
{
    if (m->is_stopping) {
        return;
    }
    m->is_stopping = true;
    rpc_listener_close(m->listener);
    service_stop(m->service);
    driver_stop(m->driver);
    rpc_server_stop(m->rpc, STOP_GRACE_MS, on_rpc_stopped, m);
}

void sim_member_forget(struct sim_member *m)
{
    m->is_forgotten = true;
    sim_member_stop(m);
}

bool sim_member_is_ended(const struct sim_member *m)
{
    return m->is_driver_stopped && m->is_rpc_stopped && m->is_peers_stopped;
}

void sim_member_destroy(struct sim_member *m)
{
    ensure(sim_member_is_ended(m));
    rpc_server_destroy(m->rpc);
    grpc_server_destroy(m->grpc);
    server_peers_close(&m->peers);
    driver_close(m->driver);
    service_destroy(m->service);
    mem_free(m);
}

/* ---- looking ---- */

struct driver *sim_member_driver(struct sim_member *m)
{
    return m->driver;
}

struct core *sim_member_core(struct sim_member *m)
{
    return driver_core(m->driver);
}

struct sim_host *sim_member_host(struct sim_member *m)
{
    return m->config.host;
}

bool sim_member_is_ready(const struct sim_member *m)
{
    return m->is_ready && !m->is_stopping;
}

void sim_member_check(struct sim_member *m)
{
    struct core *c = driver_core(m->driver);
    core_check(c);
    raft_check(c->raft);
    mvcc_check(core_store(c));
    backend_check(core_backend(c));
    lessor_check(core_lessor(c));
    membership_check(core_members(c));
    watch_hub_check(driver_watch_hub(m->driver));
    peer_transport_check(m->peers.transport);
}
