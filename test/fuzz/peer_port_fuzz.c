/* SPDX-License-Identifier: Apache-2.0
 *
 * The peer port as a whole: bytes on a connection (pipeline bodies, snapshots, streams, pages)
 * reach the handlers over the simulated network; nothing breaks, nothing leaks, bounds hold.  The
 * first byte chooses a head that passes the checks, so that bodies are reached.
 */
#include "peer/pages.h"
#include "peer/peer.h"
#include "rpc/rpc.h"
#include "sim/sim.h"

static int on_message(void *arg, const struct raft_message *m)
{
    (void)arg;
    return m->index % 7 == 0 ? ERR_MALFORMED : 0;
}

static int on_snapshot(void *arg, const struct peer_snapshot_in *in)
{
    (void)arg;
    return in->message->snapshot->meta.index % 7 == 0 ? ERR_DROPPED : 0;
}

static bool is_removed(void *arg, uint64_t id)
{
    (void)arg;
    return id == 9;
}

static void on_id(void *arg, uint64_t id)
{
    (void)arg;
    (void)id;
}

static void on_flag(void *arg, uint64_t id, bool flag)
{
    (void)arg;
    (void)id;
    (void)flag;
}

static void on_removed(void *arg)
{
    (void)arg;
}

static const struct peer_events events = {
    .on_message = on_message,
    .on_snapshot = on_snapshot,
    .is_removed = is_removed,
    .on_unreachable = on_id,
    .on_snapshot_status = on_flag,
    .on_active = on_flag,
    .on_removed = on_removed,
};

static void text(void *arg, struct buf *out)
{
    (void)arg;
    buf_append_cstr(out, "null");
}

static void promote(void *arg, uint64_t id, struct slice token, struct peer_request *r)
{
    (void)arg;
    (void)token;
    peer_request_fail(r, id == 1 ? ERR_RPC_MEMBER_NOT_FOUND : ERR_RPC_TIMEOUT);
}

static void hash_kv(void *arg, int64_t rev, struct peer_request *r)
{
    (void)arg;
    peer_request_hash_kv(r, &(struct peer_hash_kv){.rev = rev, .compact_rev = -1});
}

static void lease_renew(void *arg, int64_t id, struct peer_request *r)
{
    (void)arg;
    peer_request_lease_renew(r, id, 1);
}

static void lease_ttl(void *arg, int64_t id, bool wants_keys, struct peer_request *r)
{
    (void)arg;
    (void)wants_keys;
    peer_request_lease_ttl(r, &(struct peer_lease_ttl){.lease_id = id});
}

static void downgrade(void *arg, struct peer_request *r)
{
    (void)arg;
    peer_request_downgrade(r, false);
}

static const struct peer_pages pages = {text,        text,      promote,  hash_kv,
                                        lease_renew, lease_ttl, downgrade};

static const char *const HEADS[] = {
    "",
    "POST /raft HTTP/1.1\r\n",
    "POST /raft/snapshot HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
    "GET /raft/stream/message/2 HTTP/1.1\r\nX-Raft-To: 1\r\n",
    "GET /raft/stream/msgapp/2 HTTP/1.1\r\nX-Raft-To: 1\r\n",
    "GET /members/hashkv HTTP/1.1\r\n",
    "POST /leases/internal HTTP/1.1\r\n",
};

static const char COMMON[] = "Host: x\r\nX-Etcd-Cluster-ID: c1\r\nX-Server-Version: 3.6.0\r\n"
                             "X-Min-Cluster-Version: 3.0.0\r\nX-Server-From: 2\r\n"
                             "X-PeerURLs: http://them:1\r\n";

static void on_data(void *arg, struct slice bytes)
{
    (void)arg;
    (void)bytes;
}

static void on_none(void *arg)
{
    (void)arg;
}

static void on_close(void *arg, int err)
{
    (void)err;
    *(bool *)arg = true;
}

static const struct env_conn_events client_events = {on_data, on_none, on_none, on_close};

static void write_all(struct env_conn *c, uint8_t choice, struct slice body)
{
    struct buf out = BUF_INIT;
    size_t head = choice % ARRAY_LEN(HEADS);
    if (head != 0) {
        buf_append_cstr(&out, HEADS[head]);
        buf_append_cstr(&out, COMMON);
        if (head != 2) {
            buf_printf(&out, "Content-Length: %zu\r\n", body.len);
        }
        buf_append_cstr(&out, "\r\n");
        if (head == 2 && body.len > 0) {
            buf_printf(&out, "%zx\r\n", body.len);
        }
    }
    buf_append_slice(&out, body);
    if (head == 2) {
        buf_append_cstr(&out, body.len > 0 ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
    }
    struct slice s = buf_slice(&out);
    c->ops->write(c, &s, 1);
    buf_deinit(&out);
}

static void talk(struct sim *sim, struct env *them, uint8_t choice, struct slice body)
{
    struct env_conn *c;
    bool is_closed = false;
    ensure(them->net->ops->connect(them->net, "us:2380", 1000, &client_events, &is_closed, &c) ==
           0);
    sim_advance_ms(sim, 1);
    write_all(c, choice, body);
    sim_advance_ms(sim, 10);
    if (!is_closed) {
        c->ops->close(c, 0);
    }
    sim_advance_ms(sim, 10);
    ensure(is_closed);
}

static void on_stopped(void *arg)
{
    *(bool *)arg = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct sim *sim = sim_create(1);
    struct env *us = sim_host_env(sim_host_add(sim, "us"));
    struct env *them = sim_host_env(sim_host_add(sim, "them"));
    struct strs urls = {NULL, 0}, their_urls = {NULL, 0};
    struct rpc_listener *listener;
    bool is_stopped = false;
    ensure(env_mkdir_all(us->disk, "/snap", 0700) == 0);
    strs_add(&urls, SLICE_LIT("http://us:2380"));
    strs_add(&their_urls, SLICE_LIT("http://them:1"));
    struct peer_config config = {.env = us,
                                 .local_id = 1,
                                 .cluster_id = 0xc1,
                                 .level = LEVEL_3_6,
                                 .urls = &urls,
                                 .snap_dir = "/snap",
                                 .election_ms = 1000,
                                 .events = &events,
                                 .pages = &pages};
    struct peer_transport *t = peer_transport_create(&config);
    struct rpc_server_options so = {.env = us};
    struct rpc_listen_options lo = {.accept = RPC_ACCEPT_HTTP, .has_plain = true};
    struct rpc_server *rpc = rpc_server_create(&so);
    lo.handlers = peer_handlers(t, &lo.handler_count);
    ensure(rpc_server_listen(rpc, "us:2380", &lo, &listener) == 0);
    peer_add(t, 2, &their_urls);
    talk(sim, them, data[0], slice_make(data + 1, size - 1));
    peer_transport_check(t);
    peer_transport_stop(t);
    rpc_server_stop(rpc, 10, on_stopped, &is_stopped);
    sim_advance_ms(sim, 6000);
    ensure(is_stopped);
    peer_transport_destroy(t);
    rpc_server_destroy(rpc);
    strs_deinit(&urls);
    strs_deinit(&their_urls);
    sim_destroy(sim);
    return 0;
}
