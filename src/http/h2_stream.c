/* SPDX-License-Identifier: Apache-2.0
 *
 * http/h2_stream: streams of a session, and the sink of their bodies.
 */
#include <string.h>

#include "http/h2_private.h"

struct h2_stream *h2_stream_create(struct h2_session *s, int32_t id)
{
    struct h2_stream *st = http_pool_zalloc(s->pool, sizeof(*st));
    if (st == NULL) {
        return NULL;
    }
    st->session = s;
    st->id = id;
    list_push_back(&s->streams, &st->node);
    s->stream_count++;
    return st;
}

void h2_stream_close(struct h2_stream *st, uint32_t code)
{
    struct h2_session *s = st->session;
    if (st->ops != NULL) {
        st->ops->on_close(st->user, st, code);
    }
    if (s->last == st) {
        s->last = NULL;
    }
    list_remove(&st->node);
    ensure(s->stream_count > 0);
    s->stream_count--;
    http_pool_free(s->pool, st);
}

void h2_stream_set_ops(struct h2_stream *st, const struct h2_stream_ops *ops, void *user)
{
    st->ops = ops;
    st->user = user;
}

void h2_stream_say_header(struct h2_stream *st, struct slice name, struct slice value)
{
    st->ops->on_header(st->user, st, name, value);
}

void h2_stream_say_headers_end(struct h2_stream *st, bool is_end)
{
    st->ops->on_headers_end(st->user, st, is_end);
}

int32_t h2_stream_id(const struct h2_stream *st)
{
    return st->id;
}

struct h2_session *h2_stream_session(const struct h2_stream *st)
{
    return st->session;
}

bool h2_stream_is_ended(const struct h2_stream *st)
{
    return st->is_ended;
}

void h2_headers_convert(nghttp2_nv *out, const struct h2_header *headers, size_t count)
{
    ensure(count <= H2_HEADERS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct h2_header *h = &headers[i];
        /* nghttp2 takes non-const pointers and only reads. */
        out[i] = (nghttp2_nv){
            .name = (uint8_t *)(uintptr_t)h->name.data,
            .value = (uint8_t *)(uintptr_t)h->value.data,
            .namelen = h->name.len,
            .valuelen = h->value.len,
            .flags = h->is_static ? NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE
                                  : NGHTTP2_NV_FLAG_NONE,
        };
        if (out[i].value == NULL) {
            out[i].value = (uint8_t *)(uintptr_t) "";
        }
    }
}

int h2_stream_respond(struct h2_stream *st, const struct h2_header *headers, size_t count,
                      bool has_body)
{
    nghttp2_nv nva[H2_HEADERS_MAX];
    h2_headers_convert(nva, headers, count);
    nghttp2_data_provider provider = {.source.ptr = st, .read_callback = h2_read_callback};
    st->session->has_sent = true;
    return h2_error(
        nghttp2_submit_response(st->session->ng, st->id, nva, count, has_body ? &provider : NULL));
}

int h2_stream_trailers(struct h2_stream *st, const struct h2_header *headers, size_t count)
{
    nghttp2_nv nva[H2_HEADERS_MAX];
    h2_headers_convert(nva, headers, count);
    st->has_trailers = true;
    return h2_error(nghttp2_submit_trailer(st->session->ng, st->id, nva, count));
}

void h2_stream_resume(struct h2_stream *st)
{
    /* "Not deferred" is no error: the pull will come anyway. */
    (void)nghttp2_session_resume_data(st->session->ng, st->id);
}

void h2_stream_reset(struct h2_stream *st, uint32_t code)
{
    (void)nghttp2_submit_rst_stream(st->session->ng, NGHTTP2_FLAG_NONE, st->id, code);
}

void h2_stream_consume(struct h2_stream *st, size_t n)
{
    if (n > 0) {
        (void)nghttp2_session_consume_stream(st->session->ng, st->id, n);
    }
}

uint8_t *h2_sink_reserve(struct h2_sink *s, size_t n)
{
    ensure(n <= s->max);
    s->max -= n;
    s->used += n;
    return http_out_reserve(s->out, n);
}

void h2_sink_shrink(struct h2_sink *s, size_t n)
{
    ensure(n <= s->used);
    s->max += n;
    s->used -= n;
    http_out_shrink(s->out, n);
}

void h2_sink_append(struct h2_sink *s, struct slice b)
{
    if (b.len > 0) {
        memcpy(h2_sink_reserve(s, b.len), b.data, b.len);
    }
}

void h2_sink_append_ref(struct h2_sink *s, struct slice b, struct rcbuf *owner)
{
    ensure(b.len <= s->max);
    s->max -= b.len;
    s->used += b.len;
    http_out_append_ref(s->out, b, owner);
}
