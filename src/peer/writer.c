/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/writer: a stream that the peer dialled: our messages go into the answer of its GET.
 *
 * Two queues stand before the connection: urgent frames and the rest.  Whenever the connection
 * takes something, urgent frames go first, so that at most LIMIT_CONN_OUT_BYTES of data are in
 * front of a heartbeat.  The msgapp channel has one queue: its encoder has a position, its frames
 * must stay in order.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "peer/internal.h"

enum { WRITER_PIECE_BYTES = 256 << 10 }; /* of data, handed over at a time */

static const char *const CHANNEL_NAMES[PEER_CHANNEL_COUNT] = {"stream Message", "stream MsgApp v2"};

void peer_writer_init(struct peer_writer *w, struct peer *p, enum peer_channel channel)
{
    *w = (struct peer_writer){.peer = p, .channel = channel};
    buf_init(&w->urgent.bytes);
    buf_init(&w->bulk.bytes);
}

void peer_writer_deinit(struct peer_writer *w)
{
    ensure(w->req == NULL);
    peer_queue_deinit(&w->urgent);
    peer_queue_deinit(&w->bulk);
}

static size_t queued(const struct peer_writer *w)
{
    return peer_queue_len(&w->urgent) + peer_queue_len(&w->bulk);
}

void peer_writer_detach(struct peer_writer *w, bool must_finish)
{
    struct rpc_http_req *req = w->req;
    if (req == NULL) {
        return;
    }
    w->req = NULL;
    if (queued(w) > 0) {
        peer_report_add(w->peer->transport, w->peer->id, PEER_REPORT_UNREACHABLE);
    }
    peer_queue_clear(&w->urgent);
    peer_queue_clear(&w->bulk);
    if (must_finish) {
        rpc_http_finish(req);
    }
}

void peer_writer_attach(struct peer_writer *w, struct rpc_http_req *req)
{
    struct peer_transport *t = w->peer->transport;
    peer_writer_detach(w, true);
    const struct rpc_http_header headers[] = {
        {"X-Etcd-Cluster-Id", slice_cstr(t->cluster_hex)},
        {"X-Server-Version", slice_cstr(t->rules->server_version)},
    };
    w->req = req;
    w->pos = (struct peer_position){0, 0};
    w->heartbeat_ms = w->progress_ms = env_mono_ms(t->env);
    rpc_http_set_user(req, w);
    rpc_http_begin(req, 200, headers, ARRAY_LEN(headers));
    log_info("established TCP streaming connection with remote peer",
             LOG_STR("stream-writer-type", CHANNEL_NAMES[w->channel]),
             LOG_STR("local-member-id", t->local_hex), LOG_STR("remote-peer-id", w->peer->hex));
    peer_activate(w->peer);
}

/* ---- queueing ---------------------------------------------------------------------------------
 */

static bool is_data(const struct raft_message *m)
{
    return m->type == RAFT_MSG_APP || m->type == RAFT_MSG_PROP;
}

static bool has_room(const struct peer_queue *q, size_t more, size_t max)
{
    size_t len = peer_queue_len(q);
    return len == 0 || len + more <= max;
}

bool peer_writer_push(struct peer_writer *w, const struct raft_message *m)
{
    const struct level_rules *rules = w->peer->transport->rules;
    ensure(w->req != NULL);
    bool is_urgent = !is_data(m);
    struct peer_queue *q = is_urgent ? &w->urgent : &w->bulk;
    size_t max = is_urgent ? LIMIT_PEER_URGENT_BYTES : LIMIT_PEER_STREAM_BYTES;
    if (!has_room(q, peer_message_size_hint(m), max)) {
        return false;
    }
    if (queued(w) == 0) {
        w->progress_ms = env_mono_ms(w->peer->transport->env);
    }
    if (w->channel == PEER_CHANNEL_MSGAPP) {
        peer_frame_msgapp(&q->bytes, &w->pos, m, rules);
    } else {
        peer_frame_message(&q->bytes, m, rules);
    }
    return true;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

/* Length of the frames at the front: of the message channel whole ones, urgent ones may follow. */
static size_t piece_len(const struct peer_writer *w)
{
    struct slice s = peer_queue_slice(&w->bulk);
    if (w->channel == PEER_CHANNEL_MSGAPP) {
        return s.len < WRITER_PIECE_BYTES ? s.len : (size_t)WRITER_PIECE_BYTES;
    }
    size_t n = 0;
    while (n < s.len && n < WRITER_PIECE_BYTES) {
        n += 8 + (size_t)load_be64(s.data + n);
    }
    ensure(n <= s.len);
    return n;
}

static void hand_over(struct peer_writer *w, struct peer_queue *q, size_t n)
{
    rpc_http_write(w->req, slice_make(peer_queue_slice(q).data, n));
    peer_queue_take(q, n);
    w->peer->stats.sent_bytes += n;
}

void peer_writer_flush(struct peer_writer *w)
{
    if (w->req == NULL || queued(w) == 0) {
        return;
    }
    while (queued(w) > 0 && rpc_http_can_write(w->req)) {
        if (peer_queue_len(&w->urgent) > 0) {
            hand_over(w, &w->urgent, peer_queue_len(&w->urgent));
        } else {
            hand_over(w, &w->bulk, piece_len(w));
        }
        w->progress_ms = env_mono_ms(w->peer->transport->env);
    }
}

static bool has_stalled(const struct peer_writer *w, uint64_t now_ms)
{
    return queued(w) > 0 && now_ms - w->progress_ms >= PEER_WRITE_STALL_MS;
}

void peer_writer_tick(struct peer_writer *w, uint64_t now_ms)
{
    if (w->req == NULL) {
        return;
    }
    if (has_stalled(w, now_ms)) {
        struct rpc_http_req *req = w->req;
        peer_writer_detach(w, false);
        rpc_http_abort(req);
        peer_deactivate(w->peer, "write", ERR_TIMED_OUT);
        return;
    }
    if (now_ms - w->heartbeat_ms >= PEER_LINK_HEARTBEAT_MS) {
        w->heartbeat_ms = now_ms;
        struct peer_queue *q = w->channel == PEER_CHANNEL_MSGAPP ? &w->bulk : &w->urgent;
        if (peer_queue_len(q) == 0) {
            peer_frame_link_heartbeat(&q->bytes, w->channel, w->peer->transport->rules);
        }
        peer_writer_flush(w);
    }
}
