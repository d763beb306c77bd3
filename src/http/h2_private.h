/* SPDX-License-Identifier: Apache-2.0
 *
 * http/h2_private: what the h2_*.c files share; the only header that shows nghttp2.
 */
#ifndef HTTP_H2_PRIVATE_H
#define HTTP_H2_PRIVATE_H

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "http/h2.h"
#include "http/h2_check.h"

struct h2_stream {
    struct list_node node; /* of session->streams */
    struct h2_session *session;
    const struct h2_stream_ops *ops;
    void *user;
    int32_t id;
    bool is_ended;     /* END_STREAM received */
    bool has_trailers; /* submitted: the body's end does not end the stream */
    uint32_t header_bytes;
    struct h2_check check; /* server only */
};

struct h2_session {
    nghttp2_session *ng;
    struct http_pool *pool;
    const struct h2_session_ops *ops;
    void *arg;
    struct list streams;
    size_t stream_count;
    struct h2_stream *last; /* stream of the last header callback: saves a look-up each */
    struct http_out *out;   /* only inside h2_session_send */
    uint8_t *frame_head;    /* place of the DATA frame's 9 bytes, between read and send_data */
    size_t out_limit;       /* out->bytes at which send pauses */
    struct buf notice;      /* hand-made GOAWAY to be sent between frames */
    uint32_t header_list_max;
    uint32_t streams_max;
    bool is_server;
    bool is_busy; /* inside nghttp2: no destroy, no recv, no send */
    bool has_sent;
    uint64_t now_ms;
    uint64_t reset_credit; /* in thousandths of a stream */
    uint64_t reset_ms;     /* when credit was last added */
};

void h2_callbacks_set(nghttp2_session_callbacks *cbs);
struct h2_stream *h2_stream_create(struct h2_session *s, int32_t id);
void h2_stream_close(struct h2_stream *st, uint32_t code);
int h2_error(int ng_error);
/* The nghttp2 view of headers, count <= H2_HEADERS_MAX. */
void h2_headers_convert(nghttp2_nv *out, const struct h2_header *headers, size_t count);
ssize_t h2_read_callback(nghttp2_session *ng, int32_t stream_id, uint8_t *buf, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *user_data);

enum { H2_HEADERS_MAX = 128 }; /* that we send in one block */

#endif
