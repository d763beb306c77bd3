/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/peer: one peer: addresses, activity, which channel a message takes.
 */
#include "base/log.h"
#include "member/url.h"
#include "peer/internal.h"

#include <stdio.h>

/* ---- life -------------------------------------------------------------------------------------
 */

struct peer *peer_create(struct peer_transport *t, uint64_t id, const struct strs *urls,
                         bool is_remote)
{
    struct peer *p = mem_zalloc(sizeof(*p));
    list_node_init(&p->node);
    p->transport = t;
    p->id = id;
    snprintf(p->hex, sizeof(p->hex), "%llx", (unsigned long long)id);
    strs_copy(&p->urls, urls);
    p->is_remote = is_remote;
    for (int c = 0; c < PEER_CHANNEL_COUNT; c++) {
        peer_writer_init(&p->writers[c], p, (enum peer_channel)c);
        peer_reader_init(&p->readers[c], p, (enum peer_channel)c);
    }
    peer_pipeline_init(p);
    peer_probe_init(&p->probe, p);
    return p;
}

void peer_stop(struct peer *p)
{
    p->is_dead = true;
    for (int c = 0; c < PEER_CHANNEL_COUNT; c++) {
        peer_writer_detach(&p->writers[c], true);
        peer_reader_stop(&p->readers[c]);
    }
    peer_pipeline_deinit(p);
    peer_probe_deinit(&p->probe);
}

void peer_free(struct peer *p)
{
    ensure(p->is_dead);
    for (int c = 0; c < PEER_CHANNEL_COUNT; c++) {
        peer_writer_deinit(&p->writers[c]);
        peer_reader_deinit(&p->readers[c]);
    }
    strs_deinit(&p->urls);
    mem_free(p);
}

void peer_streams_start(struct peer *p)
{
    p->is_remote = false;
    for (int c = 0; c < PEER_CHANNEL_COUNT; c++) {
        peer_reader_start(&p->readers[c]);
    }
}

void peer_urls_replace(struct peer *p, const struct strs *urls)
{
    if (strs_equal(&p->urls, urls)) {
        return;
    }
    strs_deinit(&p->urls);
    strs_copy(&p->urls, urls);
    p->url = 0;
}

void peer_tick(struct peer *p, uint64_t now_ms)
{
    for (int c = 0; c < PEER_CHANNEL_COUNT; c++) {
        peer_writer_tick(&p->writers[c], now_ms);
        peer_reader_tick(&p->readers[c], now_ms);
    }
    peer_pipeline_tick(p, now_ms);
    peer_probe_tick(&p->probe, now_ms);
}

/* ---- activity ---------------------------------------------------------------------------------
 */

void peer_activate(struct peer *p)
{
    if (p->active_since_ms != 0) {
        return;
    }
    uint64_t now = env_mono_ms(p->transport->env);
    p->active_since_ms = now == 0 ? 1 : now;
    p->was_inactive_told = false;
    peer_report_add(p->transport, p->id, PEER_REPORT_ACTIVE);
    log_info("peer became active", LOG_STR("peer-id", p->hex));
}

void peer_deactivate(struct peer *p, const char *action, int err)
{
    peer_deactivate_why(p, action, err, "");
}

void peer_deactivate_why(struct peer *p, const char *action, int err, const char *why)
{
    if (p->active_since_ms != 0) {
        p->active_since_ms = 0;
        p->stats.disconnects++;
        peer_report_add(p->transport, p->id, PEER_REPORT_INACTIVE);
    } else if (p->was_inactive_told) {
        return;
    }
    p->was_inactive_told = true;
    log_warn("peer became inactive (message send to peer failed)", LOG_STR("peer-id", p->hex),
             LOG_STR("action", action), LOG_STR("error", why[0] != 0 ? why : err_text(err)));
}

void peer_version_heard(struct peer *p, struct slice text)
{
    struct semver v;
    if (text.data != NULL && semver_parse(text, &v) == 0) {
        p->version = v;
    }
}

/* ---- addresses --------------------------------------------------------------------------------
 */

void peer_url_rotate(struct peer *p)
{
    p->url = p->urls.count == 0 ? 0 : (p->url + 1) % p->urls.count;
}

int peer_url_open(struct env *env, const struct rpc_tls_factory *tls, const char *url,
                  uint64_t timeout_ms, const struct rpc_http_client_events *events, void *arg,
                  struct rpc_http_client **out)
{
    bool is_tls = url_is_secure(url);
    if (is_tls && tls == NULL) {
        return ERR_UNSUPPORTED;
    }
    struct buf addr = BUF_INIT;
    url_net_address(url, &addr);
    struct rpc_http_client_options o = {
        .env = env,
        .addr = buf_cstr(&addr),
        .tls = is_tls ? tls : NULL,
        .connect_timeout_ms = timeout_ms,
        .events = events,
        .arg = arg,
    };
    int err = rpc_http_client_open(&o, out);
    buf_deinit(&addr);
    return err;
}

int peer_client_open(struct peer *p, const struct rpc_http_client_events *events, void *arg,
                     struct rpc_http_client **out)
{
    const struct peer_transport *t = p->transport;
    if (p->urls.count == 0) {
        return ERR_NOT_FOUND;
    }
    return peer_url_open(t->env, t->tls, p->urls.items[p->url % p->urls.count], t->dial_timeout_ms,
                         events, arg, out);
}

size_t peer_request_headers(const struct peer *p, struct h1_header out[PEER_HEADERS_MAX])
{
    const struct peer_transport *t = p->transport;
    size_t n = 0;
    out[n++] = (struct h1_header){SLICE_LIT("X-Etcd-Cluster-Id"), slice_cstr(t->cluster_hex)};
    out[n++] = (struct h1_header){SLICE_LIT("X-Min-Cluster-Version"), SLICE_LIT("3.0.0")};
    out[n++] = (struct h1_header){SLICE_LIT("X-Peerurls"), buf_slice(&t->urls_text)};
    out[n++] = (struct h1_header){SLICE_LIT("X-Server-From"), slice_cstr(t->local_hex)};
    out[n++] =
        (struct h1_header){SLICE_LIT("X-Server-Version"), slice_cstr(t->rules->server_version)};
    return n;
}

/* ---- routing (peer-protocol 2.10) -------------------------------------------------------------
 */

static bool route(struct peer *p, const struct raft_message *m)
{
    struct peer_writer *msgapp = &p->writers[PEER_CHANNEL_MSGAPP];
    struct peer_writer *message = &p->writers[PEER_CHANNEL_MESSAGE];
    if (m->type == RAFT_MSG_APP && msgapp->req != NULL) {
        return peer_writer_push(msgapp, m);
    }
    if (message->req != NULL) {
        return peer_writer_push(message, m);
    }
    return peer_pipeline_push(p, m);
}

void peer_route(struct peer *p, const struct raft_message *m)
{
    if (route(p, m)) {
        p->stats.sent_messages++;
        return;
    }
    p->stats.sent_failures++;
    peer_report_add(p->transport, p->id, PEER_REPORT_UNREACHABLE);
}

void peer_flush(struct peer *p)
{
    for (int c = 0; c < PEER_CHANNEL_COUNT; c++) {
        peer_writer_flush(&p->writers[c]);
    }
}
