/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/snap_out: POST /raft/snapshot: a MsgSnap and the database, read piece by piece on a work
 * thread.
 *
 *     head written --> [read piece] --> written --> ... --> request finished --> 204
 *
 * The struct lives until its last read is done; the result is told as soon as it is known.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "peer/internal.h"

struct snap_out {
    struct list_node node;
    struct peer_transport *transport;
    struct peer *peer;              /* while the transfer lives */
    struct rpc_http_client *client; /* NULL: over */
    struct peer_snapshot source;    /* its borrowed parts are not looked at any more */
    raft_index index;
    uint8_t *piece;
    size_t piece_len;
    uint64_t at; /* bytes read */
    struct env_job job;
    int read_err;
    int status;
    uint64_t progress_ms;
    bool is_reading;
    bool is_sent; /* all of the body is given to the connection */
};

static void go_on(struct snap_out *out);

static uint64_t now_of(const struct snap_out *out)
{
    return env_mono_ms(out->transport->env);
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static void out_free(struct snap_out *out)
{
    ensure(!out->is_reading && out->client == NULL);
    list_remove(&out->node);
    out->transport->snaps_out_count--;
    out->source.release(out->source.arg);
    mem_free(out->piece);
    mem_free(out);
}

static void over(struct snap_out *out, int err)
{
    struct peer_transport *t = out->transport;
    struct peer *p = out->peer;
    if (out->client == NULL) {
        return;
    }
    rpc_http_client_destroy(out->client);
    out->client = NULL;
    if (err == 0) {
        log_info("sent database snapshot", LOG_U64("snapshot-index", out->index),
                 LOG_STR("remote-peer-id", p->hex), LOG_U64("bytes", out->at));
        p->stats.snapshots_sent++;
        peer_activate(p);
        peer_report_add(t, p->id, PEER_REPORT_SNAPSHOT_OK);
    } else {
        log_warn("failed to send database snapshot", LOG_U64("snapshot-index", out->index),
                 LOG_STR("remote-peer-id", p->hex), LOG_U64("bytes", out->at),
                 LOG_I64("status", out->status), LOG_ERR(err));
        p->stats.snapshots_failed++;
        peer_url_rotate(p);
        peer_deactivate(p, "post", err);
        peer_report_add(t, p->id, PEER_REPORT_UNREACHABLE);
        peer_report_add(t, p->id, PEER_REPORT_SNAPSHOT_FAILED);
    }
    if (!out->is_reading) {
        out_free(out);
    }
}

/* ---- events of the connection -----------------------------------------------------------------
 */

static void on_response(void *arg, const struct h1_head *head)
{
    struct snap_out *out = arg;
    out->status = head->status;
}

static void on_end(void *arg)
{
    struct snap_out *out = arg;
    if (out->client == NULL) {
        return;
    }
    if (out->status == 403) {
        peer_report_add(out->transport, out->peer->id, PEER_REPORT_REMOVED);
    }
    over(out, out->status == 204 && out->is_sent ? 0 : ERR_REFUSED);
}

static void on_writable(void *arg)
{
    struct snap_out *out = arg;
    if (out->client != NULL) {
        go_on(out);
    }
}

static void on_down(void *arg, int err)
{
    over(arg, err);
}

static const struct rpc_http_client_events events = {
    .on_response = on_response,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_down = on_down,
};

/* ---- pieces -----------------------------------------------------------------------------------
 */

static void piece_run(struct env_job *job)
{
    struct snap_out *out = container_of(job, struct snap_out, job);
    out->read_err = out->source.read(out->source.arg, out->at, out->piece, out->piece_len);
}

static void piece_done(struct env_job *job)
{
    struct snap_out *out = container_of(job, struct snap_out, job);
    struct peer_transport *t = out->transport;
    out->is_reading = false;
    if (out->client == NULL) {
        out_free(out);
    } else if (out->read_err != 0) {
        log_error("failed to read the database for a snapshot", LOG_ERR(out->read_err));
        over(out, out->read_err);
    } else {
        out->at += out->piece_len;
        rpc_http_client_write(out->client, slice_make(out->piece, out->piece_len));
        out->peer->stats.sent_bytes += out->piece_len;
        go_on(out);
    }
    peer_transport_release(t);
}

static void piece_start(struct snap_out *out)
{
    struct env_exec *x = out->transport->env->exec;
    uint64_t left = out->source.db_bytes - out->at;
    out->piece_len = left < LIMIT_PEER_SNAPSHOT_PIECE ? (size_t)left : LIMIT_PEER_SNAPSHOT_PIECE;
    out->is_reading = true;
    out->job.run = piece_run;
    out->job.done = piece_done;
    peer_transport_hold(out->transport);
    x->ops->submit(x, ENV_LANE_WORK, &out->job);
}

static void go_on(struct snap_out *out)
{
    if (out->is_reading || out->is_sent || !rpc_http_client_can_write(out->client)) {
        return;
    }
    out->progress_ms = now_of(out);
    if (out->at < out->source.db_bytes) {
        piece_start(out);
        return;
    }
    out->is_sent = true;
    rpc_http_client_finish(out->client);
}

/* ---- start ------------------------------------------------------------------------------------
 */

static void head_write(struct snap_out *out, const struct peer_snapshot *s)
{
    struct peer *p = out->peer;
    struct h1_header headers[PEER_HEADERS_MAX];
    size_t n = peer_request_headers(p, headers);
    headers[n++] =
        (struct h1_header){SLICE_LIT("Content-Type"), SLICE_LIT("application/octet-stream")};
    rpc_http_client_begin(out->client, "POST", "/raft/snapshot", headers, n, H1_BODY_CHUNKED);
    struct buf head = BUF_INIT;
    const struct peer_snapshot_part part = {.meta = s->meta, .v2_json = s->v2_json};
    (void)buf_extend(&head, 8);
    peer_message_encode(&head, s->message, &part, out->transport->rules);
    store_be64(head.data, head.len - 8);
    rpc_http_client_write(out->client, buf_slice(&head));
    p->stats.sent_bytes += head.len;
    buf_deinit(&head);
}

static void refuse(struct peer_transport *t, const struct peer_snapshot *s)
{
    peer_report_add(t, s->message->to, PEER_REPORT_UNREACHABLE);
    peer_report_add(t, s->message->to, PEER_REPORT_SNAPSHOT_FAILED);
    s->release(s->arg);
}

void peer_send_snapshot(struct peer_transport *t, const struct peer_snapshot *s)
{
    ensure(s->message->type == RAFT_MSG_SNAP);
    struct peer *p = peer_find(t, s->message->to);
    if (p == NULL || t->snaps_out_count == LIMIT_PEER_SNAPSHOTS) {
        refuse(t, s);
        return;
    }
    struct snap_out *out = mem_zalloc(sizeof(*out));
    out->transport = t;
    out->peer = p;
    out->source = *s;
    out->index = s->meta->index;
    int err = peer_client_open(p, &events, out, &out->client);
    if (err != 0) {
        mem_free(out);
        peer_deactivate(p, "dial", err);
        peer_url_rotate(p);
        refuse(t, s);
        return;
    }
    list_push_back(&t->snaps_out, &out->node);
    t->snaps_out_count++;
    out->piece = mem_alloc(LIMIT_PEER_SNAPSHOT_PIECE);
    out->progress_ms = now_of(out);
    log_info("sending database snapshot", LOG_U64("snapshot-index", out->index),
             LOG_STR("remote-peer-id", p->hex), LOG_U64("bytes", s->db_bytes));
    head_write(out, s);
    go_on(out);
}

/* ---- bounds in time ---------------------------------------------------------------------------
 */

void peer_snaps_out_tick(struct peer_transport *t, uint64_t now_ms)
{
    LIST_FOREACH (&t->snaps_out, n) {
        struct snap_out *out = LIST_ENTRY(n, struct snap_out, node);
        uint64_t max = out->is_sent ? PEER_SNAPSHOT_ANSWER_MS : PEER_SNAPSHOT_STALL_MS;
        if (!out->is_reading && now_ms - out->progress_ms >= max) {
            over(out, ERR_TIMED_OUT);
        }
    }
}

void peer_snaps_out_stop(struct peer_transport *t, uint64_t id)
{
    LIST_FOREACH (&t->snaps_out, n) {
        struct snap_out *out = LIST_ENTRY(n, struct snap_out, node);
        if (id == 0 || out->peer->id == id) {
            over(out, ERR_CLOSED);
        }
    }
}
