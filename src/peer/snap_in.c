/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/snap_in: POST /raft/snapshot: a MsgSnap and the database that belongs to it.
 *
 *     length, message --> checked --> pieces to the work lane --> sync, rename --> on_snapshot -->
 * 204
 *
 * Design      Two pieces of LIMIT_PEER_SNAPSHOT_PIECE: one is filled from the socket while the
 *             other is written; the socket is not read while both are full.
 * Failure     answered as etcd does; the temporary file goes.  A request may be over long before
 *             its last job: the struct lives until then.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "peer/internal.h"

enum { LEN_BYTES = 8, TMP_STEP = 7919 };

struct snap_in {
    struct list_node node;
    struct peer_transport *transport;
    struct rpc_http_req *req; /* NULL: answered or gone */
    struct buf head;          /* length and message: the decoded one borrows from it */
    struct peer_decoded message;
    bool has_message;
    struct buf fill;
    struct buf busy; /* with the job */
    struct snap_db_writer writer;
    struct env_job job;
    uint64_t tmp_random;
    uint64_t total;
    uint64_t byte_ms;
    int err;
    bool is_begun;    /* the temporary file is there: the job's */
    bool must_commit; /* the job's orders */
    bool must_abort;
    bool is_running;  /* the job, or on_snapshot */
    bool is_complete; /* the body has ended */
    bool is_committed;
    bool is_paused;
    bool is_given_up;
};

static void advance(struct snap_in *in);

/* ---- the job ----------------------------------------------------------------------------------
 */

static int write_busy(struct snap_in *in)
{
    struct peer_transport *t = in->transport;
    int err = 0;
    if (!in->is_begun) {
        err = snap_db_begin(&in->writer, t->env->disk, t->snap_dir, in->tmp_random);
        in->is_begun = err == 0;
    }
    return err != 0 ? err : snap_db_write(&in->writer, buf_slice(&in->busy));
}

static void commit(struct snap_in *in)
{
    const struct peer_transport *t = in->transport;
    raft_index index = in->message.snapshot.meta.index;
    in->err = snap_db_commit(&in->writer, index);
    in->is_begun = false;
    if (in->err == 0 && t->snapshot_check != NULL) {
        char *path = snap_db_path(t->snap_dir, index);
        in->err = t->snapshot_check(t->env->disk, path, index);
        if (in->err != 0) {
            (void)t->env->disk->ops->unlink(t->env->disk, path);
        }
        mem_free(path);
    }
    in->is_committed = in->err == 0;
}

static void job_run(struct env_job *job)
{
    struct snap_in *in = container_of(job, struct snap_in, job);
    if (!in->must_abort) {
        in->err = write_busy(in);
    }
    if (in->is_begun && (in->must_abort || in->err != 0)) {
        snap_db_abort(&in->writer);
        in->is_begun = false;
    } else if (in->must_commit && in->err == 0) {
        commit(in);
    }
}

static void job_done(struct env_job *job)
{
    struct snap_in *in = container_of(job, struct snap_in, job);
    struct peer_transport *t = in->transport;
    in->is_running = false;
    buf_clear(&in->busy);
    advance(in);
    peer_transport_release(t);
}

static void job_start(struct snap_in *in)
{
    struct env_exec *x = in->transport->env->exec;
    in->is_running = true;
    in->job.run = job_run;
    in->job.done = job_done;
    peer_transport_hold(in->transport);
    x->ops->submit(x, ENV_LANE_WORK, &in->job);
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static void in_free(struct snap_in *in)
{
    ensure(!in->is_running && !in->is_begun && in->req == NULL);
    list_remove(&in->node);
    in->transport->snaps_in_count--;
    peer_decoded_deinit(&in->message);
    buf_deinit(&in->head);
    buf_deinit(&in->fill);
    buf_deinit(&in->busy);
    mem_free(in);
}

static void refuse(struct snap_in *in, int status, const char *text, const char *why)
{
    struct rpc_http_req *req = in->req;
    struct buf all = BUF_INIT;
    in->is_given_up = true;
    if (req == NULL) {
        return;
    }
    in->req = NULL;
    buf_printf(&all, why != NULL ? "%s (%s)" : "%s", text, why);
    log_warn("failed to receive a snapshot", LOG_STR("remote-addr", rpc_http_peer(req)),
             LOG_STR("reason", buf_cstr(&all)), LOG_U64("bytes", in->total));
    peer_answer_text(in->transport, req, status, buf_cstr(&all), true);
    buf_deinit(&all);
}

static void deliver(struct snap_in *in)
{
    struct peer_transport *t = in->transport;
    struct rpc_http_req *req = in->req;
    char *path = snap_db_path(t->snap_dir, in->message.snapshot.meta.index);
    struct peer_snapshot_in arrived = {
        .message = &in->message.m, .v2_json = in->message.v2_json, .path = path};
    struct peer *p = peer_find(t, in->message.m.from);
    if (p != NULL) {
        p->stats.snapshots_received++;
    }
    log_info("received and saved database snapshot",
             LOG_U64("snapshot-index", in->message.snapshot.meta.index),
             LOG_U64("bytes", in->total));
    in->is_running = true; /* a stop from inside the callback leaves the struct to us */
    int err = t->is_stopped ? ERR_CLOSED : t->events->on_snapshot(t->arg, &arrived);
    in->is_running = false;
    mem_free(path);
    if (err != 0) {
        refuse(in, 500, "failed to process raft message", err_text(err));
        return;
    }
    in->is_given_up = true; /* nothing is left to do */
    if (req != NULL && in->req == req) {
        const struct rpc_http_header cluster = {"X-Etcd-Cluster-Id", slice_cstr(t->cluster_hex)};
        in->req = NULL;
        rpc_http_respond(req, 204, &cluster, 1, SLICE_NULL);
    }
}

/* ---- the course of things ---------------------------------------------------------------------
 */

static void give_up(struct snap_in *in)
{
    if (in->is_running) {
        return; /* its done comes back here */
    }
    if (in->is_begun) {
        in->must_abort = true;
        job_start(in);
        return;
    }
    in_free(in);
}

static void piece_start(struct snap_in *in)
{
    struct buf full = in->fill;
    in->fill = in->busy;
    in->busy = full;
    in->must_commit = in->is_complete;
    job_start(in);
}

static void advance(struct snap_in *in)
{
    if (in->is_running) {
        return;
    }
    if (in->err != 0) {
        refuse(in, 500, "failed to save KV snapshot", err_text(in->err));
    } else if (in->is_committed && !in->is_given_up) {
        deliver(in);
    }
    if (in->is_given_up) {
        give_up(in);
        return;
    }
    if (in->is_complete || in->fill.len >= LIMIT_PEER_SNAPSHOT_PIECE) {
        piece_start(in);
        if (in->is_paused) {
            in->is_paused = false;
            in->byte_ms = env_mono_ms(in->transport->env);
            rpc_http_body_resume(in->req); /* may bring the rest at once */
        }
    }
}

/* ---- the head ---------------------------------------------------------------------------------
 */

static const char *head_check(struct snap_in *in)
{
    const struct peer_transport *t = in->transport;
    const struct raft_message *m = &in->message.m;
    return m->to != t->local_id                     ? "cannot process message to mismatch member"
           : t->events->is_removed(t->arg, m->from) ? "cannot process message from removed member"
                                                    : NULL;
}

static void head_decode(struct snap_in *in)
{
    int err = peer_message_decode(slice_skip(buf_slice(&in->head), LEN_BYTES), &in->message);
    if (err == ERR_UNSUPPORTED || (err == 0 && in->message.m.type != RAFT_MSG_SNAP)) {
        refuse(in, 400, "wrong raft message type", NULL);
        return;
    }
    if (err == 0 && in->message.snapshot.meta.index == 0) {
        err = ERR_MALFORMED;
    }
    if (err != 0) {
        refuse(in, 400, "failed to decode raft message",
               err == ERR_MALFORMED ? "unexpected EOF" : err_text(err));
        return;
    }
    const char *why = head_check(in);
    if (why != NULL) {
        refuse(in, 500, "failed to process raft message", why);
        return;
    }
    in->has_message = true;
    log_info("receiving database snapshot",
             LOG_HEX("remote-snapshot-sender-id", in->message.m.from),
             LOG_U64("incoming-snapshot-index", in->message.snapshot.meta.index));
}

/* Takes what belongs to the head; returns the rest. */
static struct slice head_feed(struct snap_in *in, struct slice bytes)
{
    size_t want = LEN_BYTES;
    if (in->head.len >= LEN_BYTES) {
        want += (size_t)load_be64(in->head.data);
    }
    size_t n = want - in->head.len < bytes.len ? want - in->head.len : bytes.len;
    if (buf_try_reserve(&in->head, n) != 0) {
        refuse(in, 400, "failed to decode raft message", err_text(ERR_NOMEM));
        return SLICE_NULL;
    }
    buf_append(&in->head, bytes.data, n);
    if (in->head.len == LEN_BYTES && want == LEN_BYTES &&
        load_be64(in->head.data) > LIMIT_PEER_SNAPSHOT_HEAD) {
        refuse(in, 400, "failed to decode raft message", "rafthttp: error limit exceeded");
        return SLICE_NULL;
    }
    if (in->head.len >= LEN_BYTES && in->head.len == LEN_BYTES + load_be64(in->head.data)) {
        head_decode(in);
    }
    return slice_skip(bytes, n);
}

/* ---- the request ------------------------------------------------------------------------------
 */

void peer_snap_in_request(void *arg, struct rpc_http_req *req)
{
    struct peer_transport *t = arg;
    if (!peer_request_check(t, req, "POST")) {
        return;
    }
    peer_remote_from_headers(t, req);
    if (t->is_stopped || t->snaps_in_count == LIMIT_PEER_SNAPSHOTS) {
        peer_answer_text(t, req, 500, "failed to save KV snapshot (too many snapshots)", true);
        return;
    }
    struct snap_in *in = mem_zalloc(sizeof(*in));
    in->transport = t;
    in->req = req;
    in->byte_ms = env_mono_ms(t->env);
    t->tmp_counter += TMP_STEP;
    in->tmp_random = t->tmp_counter;
    peer_decoded_init(&in->message);
    list_push_back(&t->snaps_in, &in->node);
    t->snaps_in_count++;
    rpc_http_set_user(req, in);
}

void peer_snap_in_body(void *arg, struct rpc_http_req *req, struct slice bytes)
{
    struct peer_transport *t = arg;
    struct snap_in *in = rpc_http_user(req);
    in->byte_ms = env_mono_ms(t->env);
    while (bytes.len > 0 && !in->has_message && !in->is_given_up) {
        bytes = head_feed(in, bytes);
    }
    if (in->is_given_up) {
        give_up(in);
        return;
    }
    in->total += bytes.len;
    buf_append_slice(&in->fill, bytes);
    if (in->fill.len < LIMIT_PEER_SNAPSHOT_PIECE) {
        return;
    }
    if (in->is_running) {
        in->is_paused = true;
        rpc_http_body_pause(req);
    } else {
        advance(in);
    }
}

void peer_snap_in_end(void *arg, struct rpc_http_req *req)
{
    struct snap_in *in = rpc_http_user(req);
    (void)arg;
    if (!in->has_message) {
        refuse(in, 400, "failed to decode raft message",
               in->head.len == 0 ? "EOF" : "unexpected EOF");
        give_up(in);
        return;
    }
    in->is_complete = true;
    if (in->total == 0) {
        refuse(in, 500, "failed to save KV snapshot", "unexpected EOF");
        give_up(in);
        return;
    }
    advance(in);
}

void peer_snap_in_gone(void *arg, struct rpc_http_req *req)
{
    struct snap_in *in = rpc_http_user(req);
    (void)arg;
    in->req = NULL;
    if (in->is_complete) {
        return; /* all of it is here */
    }
    in->is_given_up = true;
    give_up(in);
}

void peer_snaps_in_tick(struct peer_transport *t, uint64_t now_ms)
{
    LIST_FOREACH (&t->snaps_in, n) {
        struct snap_in *in = LIST_ENTRY(n, struct snap_in, node);
        bool waits = !in->is_complete && !in->is_paused && !in->is_given_up;
        if (waits && now_ms - in->byte_ms >= PEER_SNAPSHOT_GAP_MS) {
            refuse(in, 500, "failed to save KV snapshot", "i/o timeout");
            give_up(in);
        }
    }
}

void peer_snaps_in_stop(struct peer_transport *t)
{
    LIST_FOREACH (&t->snaps_in, n) {
        struct snap_in *in = LIST_ENTRY(n, struct snap_in, node);
        refuse(in, 500, "failed to save KV snapshot", "server stopped");
        give_up(in);
    }
}
