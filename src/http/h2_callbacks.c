/* SPDX-License-Identifier: Apache-2.0
 *
 * http/h2_callbacks: what nghttp2 calls: events of frames received, body bytes for frames sent.
 */
#include "http/h2_private.h"

#include <string.h>

static struct h2_stream *stream_of(struct h2_session *s, int32_t id)
{
    if (s->last != NULL && s->last->id == id) {
        return s->last;
    }
    struct h2_stream *st = nghttp2_session_get_stream_user_data(s->ng, id);
    if (st != NULL) {
        s->last = st;
    }
    return st;
}

/* ---- receiving --------------------------------------------------------------------------------
 */

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user_data)
{
    struct h2_session *s = user_data;
    int32_t id = frame->hd.stream_id;
    if (!s->is_server || frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        struct h2_stream *st = stream_of(s, id);
        if (st != NULL) {
            st->header_bytes = 0;
        }
        return 0;
    }
    if (s->stream_count >= s->streams_max) {
        (void)nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    struct h2_stream *st = h2_stream_create(s, id);
    if (st == NULL) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (nghttp2_session_set_stream_user_data(ng, id, st) != 0) {
        h2_stream_close(st, H2_INTERNAL_ERROR);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    s->last = st;
    s->ops->on_begin(s->arg, st);
    return 0;
}

/* Resets the stream; nghttp2 then keeps all that still comes on it to itself. */
static void refuse(struct h2_stream *st)
{
    (void)nghttp2_submit_rst_stream(st->session->ng, NGHTTP2_FLAG_NONE, st->id,
                                    NGHTTP2_PROTOCOL_ERROR);
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user_data)
{
    (void)ng;
    (void)flags;
    struct h2_session *s = user_data;
    struct h2_stream *st = stream_of(s, frame->hd.stream_id);
    if (st == NULL || st->ops == NULL) {
        return 0;
    }
    /* RFC 9113 6.5.2: a field counts 32 bytes more than its text.  nghttp2 bounds one field to
     * 64 KiB twice, so this cannot wrap. */
    st->header_bytes += (uint32_t)(name_len + value_len + 32);
    if (st->header_bytes > s->header_list_max) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    struct slice n = slice_make(name, name_len), v = slice_make(value, value_len);
    if (s->is_server && !h2_check_field(&st->check, n, v)) {
        refuse(st);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    st->ops->on_header(st->user, st, n, v);
    return 0;
}

static int on_data_chunk(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *user_data)
{
    (void)flags;
    struct h2_session *s = user_data;
    /* The connection's window is given back at once: what one stream holds never stops another
     * (design.md 8, overload). */
    if (nghttp2_session_consume_connection(ng, len) != 0) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    struct h2_stream *st = stream_of(s, id);
    if (st == NULL || st->ops == NULL) {
        return 0;
    }
    if (s->is_server && !h2_check_data(&st->check, len)) {
        refuse(st);
        return 0;
    }
    st->ops->on_data(st->user, st, slice_make(data, len));
    return 0;
}

/* False when the peer resets streams faster than H2_RESET_PER_S for long. */
static bool reset_credit_take(struct h2_session *s)
{
    uint64_t gained = (s->now_ms - s->reset_ms) * H2_RESET_PER_S;
    s->reset_ms = s->now_ms;
    s->reset_credit += gained;
    if (s->reset_credit > (uint64_t)H2_RESET_BURST * 1000) {
        s->reset_credit = (uint64_t)H2_RESET_BURST * 1000;
    }
    if (s->reset_credit < 1000) {
        return false;
    }
    s->reset_credit -= 1000;
    return true;
}

static void stream_ended(struct h2_stream *st)
{
    if (st->session->is_server && !h2_check_stream_end(&st->check)) {
        refuse(st);
        return;
    }
    st->is_ended = true;
    if (st->ops != NULL) {
        st->ops->on_end(st->user, st);
    }
}

static void on_headers_frame(struct h2_session *s, const nghttp2_frame *frame)
{
    struct h2_stream *st = stream_of(s, frame->hd.stream_id);
    if (st == NULL) {
        return;
    }
    bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (s->is_server && !h2_check_block_end(&st->check, is_end)) {
        refuse(st);
        return;
    }
    if (st->ops != NULL) {
        st->ops->on_headers_end(st->user, st, is_end);
    }
    if (is_end) {
        stream_ended(st);
    }
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *user_data)
{
    struct h2_session *s = user_data;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS: on_headers_frame(s, frame); break;
    case NGHTTP2_DATA:
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            struct h2_stream *st = stream_of(s, frame->hd.stream_id);
            if (st != NULL) {
                stream_ended(st);
            }
        }
        break;
    case NGHTTP2_RST_STREAM:
        if (s->is_server && !reset_credit_take(s)) {
            (void)nghttp2_session_terminate_session(ng, NGHTTP2_ENHANCE_YOUR_CALM);
        }
        break;
    case NGHTTP2_PING:
        if (s->ops->on_ping != NULL) {
            bool is_ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
            s->ops->on_ping(s->arg, is_ack, frame->ping.opaque_data);
        }
        break;
    case NGHTTP2_GOAWAY:
        if (s->ops->on_goaway != NULL) {
            struct slice debug =
                slice_make(frame->goaway.opaque_data, frame->goaway.opaque_data_len);
            s->ops->on_goaway(s->arg, frame->goaway.last_stream_id, frame->goaway.error_code,
                              debug);
        }
        break;
    case NGHTTP2_SETTINGS:
        if (s->ops->on_settings != NULL && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
            s->ops->on_settings(s->arg);
        }
        break;
    default: break;
    }
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user_data)
{
    (void)user_data;
    struct h2_stream *st = nghttp2_session_get_stream_user_data(ng, id);
    if (st != NULL) {
        h2_stream_close(st, code);
    }
    return 0;
}

/* ---- sending ----------------------------------------------------------------------------------
 */

ssize_t h2_read_callback(nghttp2_session *ng, int32_t stream_id, uint8_t *buf, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    (void)ng;
    (void)stream_id;
    (void)buf;
    struct h2_session *s = user_data;
    struct h2_stream *st = source->ptr;
    struct http_out_mark mark = http_out_mark(s->out);
    s->frame_head = http_out_reserve(s->out, 9);
    struct h2_sink sink = {.out = s->out, .max = length, .used = 0};
    enum h2_pull pull = st->ops->on_pull(st->user, st, &sink);
    if (pull == H2_PULL_RESET) {
        http_out_rollback(s->out, mark);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (pull == H2_PULL_END) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (st->has_trailers) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        }
    }
    if (sink.used == 0 && (pull != H2_PULL_END || st->has_trailers)) {
        /* No frame will be made: nghttp2 defers, or drops the empty one before the trailers. */
        http_out_rollback(s->out, mark);
        return pull == H2_PULL_END ? 0 : NGHTTP2_ERR_DEFERRED;
    }
    s->has_sent = true;
    return (ssize_t)sink.used;
}

static int on_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *framehd,
                        size_t length, nghttp2_data_source *source, void *user_data)
{
    (void)ng;
    (void)length;
    (void)source;
    struct h2_session *s = user_data;
    ensure(frame->data.padlen == 0 && s->frame_head != NULL);
    memcpy(s->frame_head, framehd, 9);
    s->frame_head = NULL;
    return s->out->bytes >= s->out_limit ? NGHTTP2_ERR_PAUSE : 0;
}

/* A server that has answered does not wait for the rest of the request: grpc-go and RFC 9113 8.1
 * end such a stream with RST_STREAM(NO_ERROR). */
static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *user_data)
{
    struct h2_session *s = user_data;
    bool is_end = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
                  (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (!s->is_server || !is_end) {
        return 0;
    }
    struct h2_stream *st = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);
    if (st != NULL && !st->is_ended) {
        (void)nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_NO_ERROR);
    }
    return 0;
}

/* A request that will never go out (GOAWAY came first, or ids are used up): nghttp2 reports its
 * stream's end only if it had opened it. */
static int on_frame_not_send(nghttp2_session *ng, const nghttp2_frame *frame, int error,
                             void *user_data)
{
    (void)error;
    struct h2_session *s = user_data;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST ||
        nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id) != NULL) {
        return 0;
    }
    LIST_FOREACH (&s->streams, n) {
        struct h2_stream *st = LIST_ENTRY(n, struct h2_stream, node);
        if (st->id == frame->hd.stream_id) {
            h2_stream_close(st, H2_REFUSED_STREAM);
            break;
        }
    }
    return 0;
}

void h2_callbacks_set(nghttp2_session_callbacks *cbs)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(cbs, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cbs, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame_recv);
    nghttp2_session_callbacks_set_on_stream_close_callback(cbs, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(cbs, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(cbs, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cbs, on_frame_not_send);
}
