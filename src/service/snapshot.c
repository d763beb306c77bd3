/* SPDX-License-Identifier: Apache-2.0
 *
 * service/snapshot: Maintenance.Snapshot: the database file as a stream (storage-formats 5.1).
 *
 * Design      A view of everything applied is pinned; a work thread reads pieces of the copy
 *             (bolt_copy_read) and adds them to the digest; the loop sends each piece in messages
 * of 32 KiB while the stream takes them.  One piece is in memory at a time.
 *
 *               view -> [read piece on a work thread] -> messages ... -> next piece -> ... ->
 * digest
 *
 * Limits      SNAPSHOT_PIECE_BYTES a stream.
 */
#include "base/hash.h"
#include "base/log.h"
#include "service/internal.h"

enum { SNAPSHOT_MESSAGE_BYTES = 32768, SNAPSHOT_PIECE_BYTES = 32 * SNAPSHOT_MESSAGE_BYTES };

struct snapshot {
    struct service *service;
    struct grpc_call *call; /* NULL when the client has gone */
    struct backend_view *view;
    struct sha256 *sha;
    uint8_t *piece;
    size_t piece_len;
    size_t piece_at;
    uint64_t total;
    uint64_t read_at;
    uint64_t sent;
    struct env_job job;
    int err;
    bool is_reading;
};

static void snapshot_free(struct snapshot *sn)
{
    uint8_t digest[SHA256_BYTES];
    if (sn->sha != NULL) {
        sha256_finish(sn->sha, digest);
    }
    backend_view_unpin(sn->view);
    mem_free(sn->piece);
    mem_free(sn);
}

static void piece_run(struct env_job *job)
{
    struct snapshot *sn = container_of(job, struct snapshot, job);
    uint64_t left = sn->total - sn->read_at;
    sn->piece_len = left < SNAPSHOT_PIECE_BYTES ? (size_t)left : (size_t)SNAPSHOT_PIECE_BYTES;
    sn->piece_at = 0;
    sn->err = bolt_copy_read(backend_view_tx(sn->view), sn->read_at, sn->piece, sn->piece_len);
    if (sn->err == 0) {
        sha256_update(sn->sha, sn->piece, sn->piece_len);
        sn->read_at += sn->piece_len;
    }
}

static void send_some(struct snapshot *sn);

static void piece_done(struct env_job *job)
{
    struct snapshot *sn = container_of(job, struct snapshot, job);
    sn->is_reading = false;
    if (sn->call == NULL) {
        snapshot_free(sn);
        return;
    }
    if (sn->err != 0) {
        log_error("failed to read the database for a snapshot", LOG_ERR(sn->err));
        grpc_call_fail(sn->call, ERR_RPC_INTERNAL, NULL);
        snapshot_free(sn);
        return;
    }
    send_some(sn);
}

static void piece_start(struct snapshot *sn)
{
    sn->is_reading = true;
    sn->job.run = piece_run;
    sn->job.done = piece_done;
    struct env_exec *x = driver_env(sn->service->driver)->exec;
    x->ops->submit(x, ENV_LANE_WORK, &sn->job);
}

/* SnapshotResponse{2: remaining_bytes, 3: blob, 4: version}; no header. */
static void send_message(struct snapshot *sn, struct slice blob, uint64_t remaining)
{
    struct buf *out = service_scratch(sn->service);
    wire_append_u64(out, 2, remaining);
    wire_append_bytes(out, 3, blob);
    char storage[SEMVER_TEXT_MAX];
    wire_append_bytes(out, 4, service_storage_version(sn->service, storage));
    grpc_call_send(sn->call, buf_slice(out));
}

static void send_digest(struct snapshot *sn)
{
    uint8_t digest[SHA256_BYTES];
    sha256_finish(sn->sha, digest);
    sn->sha = NULL;
    send_message(sn, slice_make(digest, sizeof(digest)), 0);
    log_info("successfully sent database snapshot to client", LOG_U64("total-bytes", sn->total));
    grpc_call_finish(sn->call);
    snapshot_free(sn);
}

static void send_some(struct snapshot *sn)
{
    while (sn->piece_at < sn->piece_len && grpc_call_can_send(sn->call)) {
        size_t n = sn->piece_len - sn->piece_at;
        n = n < SNAPSHOT_MESSAGE_BYTES ? n : (size_t)SNAPSHOT_MESSAGE_BYTES;
        sn->sent += n;
        send_message(sn, slice_make(sn->piece + sn->piece_at, n), sn->total - sn->sent);
        sn->piece_at += n;
    }
    if (sn->piece_at < sn->piece_len) {
        return; /* on_writable follows */
    }
    if (sn->sent < sn->total) {
        piece_start(sn);
    } else {
        send_digest(sn);
    }
}

static void on_view(struct service_call *sc)
{
    struct grpc_call *call = sc->call;
    struct service *s = sc->service;
    void **user = grpc_call_user(call);
    if (sc->req.err != 0) {
        service_refuse(call, sc->req.err);
        service_call_end(sc);
        return;
    }
    struct snapshot *sn = mem_zalloc(sizeof(*sn));
    sn->service = s;
    sn->call = call;
    sn->view = sc->req.view;
    sn->sha = sha256_create();
    sn->piece = mem_alloc(SNAPSHOT_PIECE_BYTES);
    sn->total = bolt_tx_size_bytes(backend_view_tx(sn->view));
    user[0] = NULL;
    user[1] = sn;
    service_call_end(sc);
    log_info("sending database snapshot to client", LOG_U64("total-bytes", sn->total));
    piece_start(sn);
}

void snapshot_on_message(struct grpc_call *call, struct slice msg)
{
    (void)msg;
    if (service_permitted_raw(call)) {
        service_call_submit(service_call_begin(grpc_call_service(call), call, CORE_VIEW, on_view));
    }
}

void snapshot_on_writable(struct grpc_call *call)
{
    struct snapshot *sn = ((void **)grpc_call_user(call))[1];
    if (sn != NULL && !sn->is_reading) {
        send_some(sn);
    }
}

void snapshot_on_cancel(struct grpc_call *call, int err)
{
    struct snapshot *sn = ((void **)grpc_call_user(call))[1];
    if (sn == NULL) {
        service_on_cancel(call, err);
        return;
    }
    sn->call = NULL;
    if (!sn->is_reading) {
        snapshot_free(sn);
    }
}
