/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/reader: a stream that we dial: GET /raft/stream/<kind>/<own id>; the peer's messages come in
 * the answer.
 *
 *     waiting --timer--> dialling --200--> open --end, error, silence--> waiting
 *
 * Design      Attempts are at least PEER_REDIAL_MIN_MS apart, and further after failures in a row,
 *             until the peer is heard of by another way (nudge).
 */
#include <stdio.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "peer/internal.h"

static const char *const PATHS[PEER_CHANNEL_COUNT] = {"/raft/stream/message/",
                                                      "/raft/stream/msgapp/"};
static const char *const CHANNEL_NAMES[PEER_CHANNEL_COUNT] = {"stream Message", "stream MsgApp v2"};

static struct env_exec *exec_of(const struct peer_reader *r)
{
    return r->peer->transport->env->exec;
}

static uint64_t now_of(const struct peer_reader *r)
{
    return env_mono_ms(r->peer->transport->env);
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

static uint64_t pause_ms(const struct peer_reader *r)
{
    uint64_t ms = PEER_REDIAL_MIN_MS;
    for (unsigned i = 1; i < r->failures && ms < PEER_REDIAL_MAX_MS; i++) {
        ms *= 2;
    }
    return ms;
}

/* After pause, counted from the last attempt. */
static void dial_later(struct peer_reader *r, uint64_t pause)
{
    uint64_t at = r->dial_ms == 0 ? 0 : r->dial_ms + pause;
    uint64_t now = now_of(r);
    exec_of(r)->ops->timer_start(exec_of(r), &r->timer, at > now ? at - now : 0);
}

static void hang_up(struct peer_reader *r)
{
    rpc_http_client_destroy(r->client);
    r->client = NULL;
    r->is_open = false;
}

/* The attempt, or the stream, is over. */
static void over(struct peer_reader *r, bool has_failed)
{
    hang_up(r);
    if (r->peer->is_dead) {
        return;
    }
    r->failures = has_failed ? r->failures + 1 : 0;
    dial_later(r, pause_ms(r));
}

/* ---- events of the connection -----------------------------------------------------------------
 */

static void refused(struct peer_reader *r, int status)
{
    struct peer *p = r->peer;
    if (status == 410) {
        log_error("this member was removed from the cluster, says a peer",
                  LOG_STR("peer-id", p->hex));
        peer_report_add(p->transport, p->id, PEER_REPORT_REMOVED);
    } else if (r->failures == 0) {
        log_warn("peer refuses a stream", LOG_STR("peer-id", p->hex),
                 LOG_STR("stream-reader-type", CHANNEL_NAMES[r->channel]),
                 LOG_I64("status", status));
    }
    peer_url_rotate(p);
    over(r, true);
}

static void on_response(void *arg, const struct h1_head *head)
{
    struct peer_reader *r = arg;
    peer_version_heard(r->peer, h1_head_get(head, "X-Server-Version"));
    r->byte_ms = now_of(r);
    if (head->status != 200) {
        refused(r, head->status);
        return;
    }
    r->is_open = true;
    r->failures = 0;
    peer_activate(r->peer);
    log_info("established TCP streaming connection with remote peer",
             LOG_STR("stream-reader-type", CHANNEL_NAMES[r->channel]),
             LOG_STR("local-member-id", r->peer->transport->local_hex),
             LOG_STR("remote-peer-id", r->peer->hex));
}

static int on_message(void *arg, const struct raft_message *m)
{
    struct peer_reader *r = arg;
    if (FAILPOINT_FIRES(raftDropHeartbeat)) {
        return 0; /* whatever it is, as etcd's */
    }
    r->peer->stats.received_messages++;
    int err = peer_deliver(r->peer->transport, m);
    if (r->peer->is_dead || r->client == NULL) {
        return ERR_CLOSED; /* removed by the message */
    }
    return err == ERR_MALFORMED ? err : 0;
}

static void on_body(void *arg, struct slice bytes)
{
    struct peer_reader *r = arg;
    r->byte_ms = now_of(r);
    r->peer->stats.received_bytes += bytes.len;
    int err = peer_decoder_feed(&r->decoder, bytes);
    if (err == 0 || r->client == NULL) {
        return;
    }
    log_warn("peer sends what is no raft stream", LOG_STR("peer-id", r->peer->hex),
             LOG_STR("stream-reader-type", CHANNEL_NAMES[r->channel]), LOG_ERR(err));
    peer_deactivate(r->peer, "read", err);
    over(r, true);
}

/* A clean end: the peer has a newer stream, or stops. */
static void on_end(void *arg)
{
    struct peer_reader *r = arg;
    if (r->client != NULL) {
        over(r, false);
    }
}

static void on_down(void *arg, int err)
{
    struct peer_reader *r = arg;
    if (!r->is_open) {
        peer_url_rotate(r->peer);
    }
    if (!r->is_open || (err != ERR_CLOSED && err != ERR_TRUNCATED)) {
        peer_deactivate(r->peer, r->is_open ? "read" : "dial", err);
    }
    over(r, !r->is_open);
}

static const struct rpc_http_client_events events = {
    .on_response = on_response,
    .on_body = on_body,
    .on_end = on_end,
    .on_down = on_down,
};

/* ---- dialling ---------------------------------------------------------------------------------
 */

static void ask(struct peer_reader *r)
{
    struct peer *p = r->peer;
    char target[64];
    snprintf(target, sizeof(target), "%s%s", PATHS[r->channel], p->transport->local_hex);
    struct h1_header headers[PEER_HEADERS_MAX];
    size_t n = peer_request_headers(p, headers);
    headers[n++] = (struct h1_header){SLICE_LIT("X-Raft-To"), slice_cstr(p->hex)};
    rpc_http_client_request(r->client, "GET", target, headers, n, SLICE_NULL);
}

static void dial(struct env_timer *timer)
{
    struct peer_reader *r = container_of(timer, struct peer_reader, timer);
    ensure(r->client == NULL && !r->peer->is_dead);
    r->dial_ms = r->byte_ms = now_of(r);
    peer_decoder_deinit(&r->decoder);
    peer_decoder_init(&r->decoder, r->channel);
    r->decoder.from = r->peer->id;
    r->decoder.to = r->peer->transport->local_id;
    r->decoder.on_message = on_message;
    r->decoder.arg = r;
    int err = peer_client_open(r->peer, &events, r, &r->client);
    if (err != 0) {
        r->client = NULL;
        peer_url_rotate(r->peer);
        peer_deactivate(r->peer, "dial", err);
        over(r, true);
        return;
    }
    ask(r);
}

/* ---- life -------------------------------------------------------------------------------------
 */

void peer_reader_init(struct peer_reader *r, struct peer *p, enum peer_channel channel)
{
    *r = (struct peer_reader){.peer = p, .channel = channel};
    r->timer.fire = dial;
    peer_decoder_init(&r->decoder, channel);
}

void peer_reader_stop(struct peer_reader *r)
{
    if (r->timer.is_active) {
        exec_of(r)->ops->timer_stop(exec_of(r), &r->timer);
    }
    hang_up(r);
}

void peer_reader_deinit(struct peer_reader *r)
{
    ensure(r->client == NULL && !r->timer.is_active);
    peer_decoder_deinit(&r->decoder);
}

void peer_reader_start(struct peer_reader *r)
{
    if (r->client == NULL && !r->timer.is_active) {
        dial_later(r, PEER_REDIAL_MIN_MS);
    }
}

void peer_reader_nudge(struct peer_reader *r)
{
    if (r->timer.is_active && r->failures > 1) {
        r->failures = 1;
        dial_later(r, PEER_REDIAL_MIN_MS);
    }
}

void peer_reader_tick(struct peer_reader *r, uint64_t now_ms)
{
    if (r->client == NULL || now_ms - r->byte_ms < PEER_SILENCE_MS) {
        return;
    }
    peer_deactivate(r->peer, r->is_open ? "read" : "dial", ERR_TIMED_OUT);
    peer_url_rotate(r->peer);
    over(r, true);
}
