/* SPDX-License-Identifier: Apache-2.0
 *
 * service/range: carrying out range plans: at once when small, else as a source that HTTP/2 pulls.
 *
 * Design      A plan knows its length before the first byte.  Warm records are copied from the tail
 * or the page cache into what HTTP/2 sends; at a cold one the next piece of the plan goes to a work
 * thread (mvcc_slice), the stream waits, everything else goes on.
 *
 *               source: [header bytes][plan_next ... ERR_COLD -> slice job -> its bytes ...]
 *
 *             RangeStream is the same source, cut into messages by mvcc_plan_chunk.
 * Limits      LIMIT_PLAN_CHUNK_BYTES a slice; LIMIT_PLAN_PIN_MS without progress: the stream is
 * reset, so that a reader that sleeps cannot hold back compaction for ever.
 */
#include "base/bytes.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "service/internal.h"

struct range_source {
    struct grpc_source source;
    struct service_call *sc;
    struct grpc_call *call; /* NULL once closed */
    struct buf head;        /* header, and what was written before a cold page was met */
    size_t head_at;
    bool is_kvs_done; /* RangeStream: this chunk's kvs are out */
    uint8_t tail[MVCC_TRAILER_MAX];
    size_t tail_len;
    size_t tail_at;
    struct mvcc_slice *slice; /* read or being read */
    size_t slice_at;
    struct backend_view *view;
    struct env_job job;
    struct env_timer pin_timer;
    int job_err;
    bool is_reading;
    bool has_source; /* RangeStream: grpc has it, close will follow */
    bool is_ended;   /* the plan is given back */
    bool is_last;    /* RangeStream: the chunk under way is the last */
};

/* ---- cold pieces ---- */

static void slice_run(struct env_job *job)
{
    struct range_source *rs = container_of(job, struct range_source, job);
    rs->job_err = mvcc_slice_read(rs->slice, rs->view);
}

static void range_source_free(struct range_source *rs)
{
    struct env_exec *x = driver_env(rs->sc->service->driver)->exec;
    x->ops->timer_stop(x, &rs->pin_timer);
    if (rs->slice != NULL) {
        mvcc_slice_destroy(rs->slice);
    }
    if (!rs->is_ended) {
        mvcc_plan_end(&rs->sc->plan);
    }
    buf_deinit(&rs->head);
    service_call_end(rs->sc);
    mem_free(rs);
}

static void slice_done(struct env_job *job)
{
    struct range_source *rs = container_of(job, struct range_source, job);
    rs->is_reading = false;
    backend_view_unpin(rs->view);
    rs->view = NULL;
    if (rs->call == NULL) {
        ensure(!rs->has_source); /* closed with the call that is gone */
        range_source_free(rs);
        return;
    }
    grpc_call_resume(rs->call);
}

static int slice_start(struct range_source *rs)
{
    struct service *s = rs->sc->service;
    int err = mvcc_plan_slice(&rs->sc->plan, LIMIT_PLAN_CHUNK_BYTES, &rs->slice);
    if (err != 0) {
        return err;
    }
    rs->slice_at = 0;
    rs->view = backend_view_pin(mvcc_plan_backend(&rs->sc->plan));
    rs->is_reading = true;
    rs->job.run = slice_run;
    rs->job.done = slice_done;
    struct env_exec *x = driver_env(s->driver)->exec;
    x->ops->submit(x, ENV_LANE_WORK, &rs->job);
    return ERR_AGAIN;
}

/* ---- pulling ---- */

static size_t copy_some(struct mvcc_sink *out, const uint8_t *data, size_t len)
{
    size_t room = out->cap - out->len;
    size_t n = len < room ? len : room;
    memcpy(out->data + out->len, data, n);
    out->len += n;
    return n;
}

static void pull_slice(struct range_source *rs, struct mvcc_sink *out)
{
    struct slice bytes = mvcc_slice_bytes(rs->slice);
    rs->slice_at += copy_some(out, bytes.data + rs->slice_at, bytes.len - rs->slice_at);
    if (rs->slice_at == bytes.len) {
        mvcc_slice_destroy(rs->slice);
        rs->slice = NULL;
    }
}

/* 0: go on; ERR_AGAIN: a job reads. */
static int pull_plan(struct range_source *rs, struct mvcc_sink *out)
{
    while (!rs->is_kvs_done && out->len < out->cap) {
        if (rs->slice != NULL) {
            pull_slice(rs, out);
            continue;
        }
        int err = mvcc_plan_next(&rs->sc->plan, out);
        if (err == 0) {
            rs->is_kvs_done = true;
        } else if (err == ERR_COLD) {
            return slice_start(rs);
        } else if (err != ERR_AGAIN) {
            return err;
        }
    }
    return 0;
}

static void pin_timer_restart(struct range_source *rs)
{
    struct env_exec *x = driver_env(rs->sc->service->driver)->exec;
    x->ops->timer_start(x, &rs->pin_timer, LIMIT_PLAN_PIN_MS);
}

/* The reader was too slow: the revision is given free now, the stream ends at its next pull. */
static void on_pin_timer(struct env_timer *t)
{
    struct range_source *rs = container_of(t, struct range_source, pin_timer);
    if (!rs->is_ended) {
        rs->is_ended = true;
        rs->job_err = ERR_RPC_READ_PIN_EXPIRED;
        mvcc_plan_end(&rs->sc->plan);
    }
}

static int source_pull(struct grpc_source *src, uint8_t *dst, size_t max, size_t *out_n)
{
    struct range_source *rs = container_of(src, struct range_source, source);
    struct mvcc_sink out = {.data = dst, .cap = max};
    int err = rs->is_reading ? ERR_AGAIN : rs->job_err;
    if (err == 0) {
        pin_timer_restart(rs);
        rs->head_at += copy_some(&out, rs->head.data + rs->head_at, rs->head.len - rs->head_at);
        err = pull_plan(rs, &out);
    }
    if (err == 0 && rs->is_kvs_done) {
        rs->tail_at += copy_some(&out, rs->tail + rs->tail_at, rs->tail_len - rs->tail_at);
    }
    *out_n = out.len;
    return err;
}

static struct range_source *source_new(struct service_call *sc, const struct grpc_source_ops *ops)
{
    struct range_source *rs = mem_zalloc(sizeof(*rs));
    rs->source.ops = ops;
    rs->sc = sc;
    rs->call = sc->call;
    rs->pin_timer.fire = on_pin_timer;
    return rs;
}

/* ---- unary ---- */

static void unary_close(struct grpc_source *src)
{
    struct range_source *rs = container_of(src, struct range_source, source);
    rs->call = NULL;
    if (!rs->is_reading) {
        range_source_free(rs);
    }
}

static const struct grpc_source_ops unary_ops = {.pull = source_pull, .close = unary_close};

/* Writes as much as is warm behind the header; 0: everything. */
static int answer_begin(struct service_call *sc, const struct wire_header *h, size_t total,
                        struct buf *out)
{
    wire_append_header(out, h);
    buf_reserve(out, total - out->len);
    struct mvcc_sink sink = {.data = out->data, .len = out->len, .cap = total};
    int err = mvcc_plan_next(&sc->plan, &sink);
    out->len = sink.len;
    return err;
}

void range_answer(struct service_call *sc)
{
    if (sc->req.err != 0) {
        service_refuse(sc->call, sc->req.err);
        service_call_end(sc);
        return;
    }
    struct wire_header h = service_header(sc->service, sc->req.header_rev);
    uint64_t head = 1 + varint_len(wire_header_size(&h)) + wire_header_size(&h);
    uint64_t total = head + sc->plan.body_bytes;
    struct buf *out = service_scratch(sc->service);
    bool is_small = total <= SERVICE_INLINE_BYTES;
    if (is_small && answer_begin(sc, &h, (size_t)total, out) == 0) {
        ensure(out->len == total);
        grpc_call_finish_unary(sc->call, buf_slice(out));
        mvcc_plan_end(&sc->plan);
        service_call_end(sc);
        return;
    }
    struct range_source *rs = source_new(sc, &unary_ops);
    if (is_small) {
        buf_append_slice(&rs->head, buf_slice(out));
    } else {
        wire_append_header(&rs->head, &h);
    }
    grpc_call_respond_source(sc->call, total, &rs->source);
}

/* ---- RangeStream ---- */

static void stream_maybe_free(struct range_source *rs)
{
    if (rs->call == NULL && !rs->is_reading && !rs->has_source) {
        range_source_free(rs);
    }
}

/* One message is out, and the call goes on until the last, see next_chunk; or the call was
 * cancelled a moment ago. */
static void stream_close(struct grpc_source *src)
{
    struct range_source *rs = container_of(src, struct range_source, source);
    rs->has_source = false;
    stream_maybe_free(rs);
}

static const struct grpc_source_ops stream_ops = {.pull = source_pull, .close = stream_close};

static void stream_free(struct range_source *rs)
{
    rs->call = NULL;
    stream_maybe_free(rs);
}

/* RangeStreamResponse{1: RangeResponse{1: header (last chunk), 2: kvs, 3: more, 4: count (last)}}
 */
static void next_chunk(struct range_source *rs)
{
    struct service *s = rs->sc->service;
    struct mvcc_chunk chunk;
    FAILPOINT(beforeRangeStreamChunk);
    mvcc_plan_chunk(&rs->sc->plan, s->o.request_bytes_max, &chunk);
    struct buf inner = BUF_INIT;
    buf_clear(&rs->head);
    rs->head_at = 0;
    rs->tail_len = rs->tail_at = 0;
    if (chunk.is_last) {
        struct wire_header h = service_header(s, rs->sc->req.header_rev);
        wire_append_header(&inner, &h);
        rs->tail_len = mvcc_plan_trailer(&rs->sc->plan, rs->tail);
    }
    uint64_t inner_len = inner.len + chunk.kvs_bytes + rs->tail_len;
    buf_append_byte(&rs->head, 0x0a);
    buf_append_varint(&rs->head, inner_len);
    buf_append_slice(&rs->head, buf_slice(&inner));
    rs->is_kvs_done = chunk.item_count == 0;
    rs->is_last = chunk.is_last;
    uint64_t total = rs->head.len - inner.len + inner_len;
    buf_deinit(&inner);
    rs->has_source = true;
    grpc_call_send_source(rs->call, total, &rs->source);
}

void range_stream_answer(struct service_call *sc)
{
    if (sc->req.err != 0) {
        service_refuse(sc->call, sc->req.err);
        service_call_end(sc);
        return;
    }
    struct range_source *rs = source_new(sc, &stream_ops);
    /* From now on the call belongs to the source: cancel and writable find it here. */
    void **user = grpc_call_user(sc->call);
    user[0] = NULL;
    user[1] = rs;
    next_chunk(rs);
}

void range_stream_writable(struct grpc_call *call)
{
    struct range_source *rs = ((void **)grpc_call_user(call))[1];
    if (rs == NULL || rs->is_reading) {
        return;
    }
    if (!rs->is_last) {
        next_chunk(rs);
        return;
    }
    grpc_call_finish(call);
    stream_free(rs);
}

void range_stream_cancel(struct grpc_call *call, int err)
{
    struct range_source *rs = ((void **)grpc_call_user(call))[1];
    if (rs == NULL) {
        service_on_cancel(call, err);
        return;
    }
    stream_free(rs);
}
