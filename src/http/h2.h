/* SPDX-License-Identifier: Apache-2.0
 *
 * http/h2: an HTTP/2 session, server or client, over nghttp2: bytes in, bytes out.
 *
 * Problem     nghttp2 is behind one door: the layers above see streams, headers as slices, and a
 *             pull for body bytes; no nghttp2 type leaves this folder.
 * Design      h2_session_recv parses and calls the streams' ops; h2_session_send lets nghttp2 write
 *             frames into a http_out.  Body bytes are pulled straight into the http_out (NO_COPY),
 *             so they are copied once at most.  The connection window is given back at once; stream
 *             windows when the owner consumes (h2_stream_consume).
 * Ownership   A stream lives until on_close returns. Sessions are destroyed outside callbacks.
 * Thread      net.
 * Limits      header list: options.header_list_max; streams: options.streams_max; resets:
 *             H2_RESET_BURST, H2_RESET_PER_S; pings and settings: nghttp2's outbound ack queue
 *             (1000), 32 settings a frame, 8 CONTINUATIONs.
 * Failure     recv/send: ERR_NOMEM, ERR_MALFORMED (protocol error: a GOAWAY may wait in send),
 *             ERR_LIMIT (flood).  After an error only send and destroy.
 * See         client-api 4.2; RFC 9113.
 */
#ifndef HTTP_H2_H
#define HTTP_H2_H

#include <stdbool.h>

#include "base/rcbuf.h"
#include "http/out.h"
#include "http/pool.h"

struct h2_session;
struct h2_stream;

enum {
    H2_RESET_BURST = 10000, /* streams reset by the client before they were answered ... */
    H2_RESET_PER_S = 1000,  /* ... and how fast that credit comes back */
    H2_STREAMS_MAX = 100000,
};

enum h2_code {
    H2_NO_ERROR = 0,
    H2_PROTOCOL_ERROR = 1,
    H2_INTERNAL_ERROR = 2,
    H2_REFUSED_STREAM = 7,
    H2_CANCEL = 8,
    H2_ENHANCE_YOUR_CALM = 11,
};

/* Where pulled body bytes go: at most max bytes in one frame. */
struct h2_sink {
    struct http_out *out;
    size_t max;  /* room left in this frame */
    size_t used; /* bytes given */
};

uint8_t *h2_sink_reserve(struct h2_sink *s, size_t n); /* n <= s->max */
/* Gives back the last n bytes of the last reserve. */
void h2_sink_shrink(struct h2_sink *s, size_t n);
void h2_sink_append(struct h2_sink *s, struct slice b);
void h2_sink_append_ref(struct h2_sink *s, struct slice b, struct rcbuf *owner);

enum h2_pull {
    H2_PULL_MORE,  /* bytes were given, more are there */
    H2_PULL_AGAIN, /* no more now (bytes may have been given): h2_stream_resume when there are */
    H2_PULL_END,   /* the body is complete; trailers, if any, were submitted before */
    H2_PULL_RESET, /* the stream cannot go on: INTERNAL_ERROR */
};

struct h2_stream_ops {
    void (*on_header)(void *user, struct h2_stream *st, struct slice name, struct slice value);
    void (*on_headers_end)(void *user, struct h2_stream *st, bool is_end);
    void (*on_data)(void *user, struct h2_stream *st, struct slice bytes);
    void (*on_end)(void *user, struct h2_stream *st); /* END_STREAM came */
    enum h2_pull (*on_pull)(void *user, struct h2_stream *st, struct h2_sink *sink);
    /* Last event: code is an h2_code or another error of RFC 9113. */
    void (*on_close)(void *user, struct h2_stream *st, uint32_t code);
};

struct h2_session_ops {
    /* Server: a request begins; call h2_stream_set_ops. */
    void (*on_begin)(void *arg, struct h2_stream *st);
    void (*on_ping)(void *arg, bool is_ack, const uint8_t opaque[8]); /* may be NULL */
    void (*on_goaway)(void *arg, int32_t last_id, uint32_t code, struct slice debug); /* or NULL */
    void (*on_settings)(void *arg);                                                   /* or NULL */
};

struct h2_options {
    bool is_server;
    uint32_t max_concurrent_streams; /* announced; 0 = not */
    uint32_t stream_window;          /* announced; 0 = not, 65535 */
    uint32_t conn_window;            /* 0: 65535 */
    uint32_t max_frame_size;         /* announced; 0 = not, 16384 */
    uint32_t max_header_list;        /* announced; 0 = not */
    uint32_t header_list_max;        /* enforced; 0: LIMIT_HEADER_LIST_BYTES */
    uint32_t streams_max;            /* enforced; 0: H2_STREAMS_MAX */
};

struct h2_header {
    struct slice name; /* lower case */
    struct slice value;
    bool is_static; /* both live for ever: not copied */
};

#define H2_HEADER_LIT(n, v)                                                                        \
    {                                                                                              \
        SLICE_LIT(n), SLICE_LIT(v), true                                                           \
    }

int h2_session_create(const struct h2_options *opts, struct http_pool *pool,
                      const struct h2_session_ops *ops, void *arg, struct h2_session **out);
/* Closes all streams first (on_close with H2_CANCEL). */
void h2_session_destroy(struct h2_session *s);
/* now_ms is for the reset rate only. */
MUST_USE int h2_session_recv(struct h2_session *s, struct slice bytes, uint64_t now_ms);
/* Appends whole frames until nothing is left or max is reached. */
MUST_USE int h2_session_send(struct h2_session *s, struct http_out *out, size_t max);
bool h2_session_wants_write(const struct h2_session *s);
/* Neither reads nor writes any more: close the connection. */
bool h2_session_is_done(const struct h2_session *s);
size_t h2_session_stream_count(const struct h2_session *s);
void h2_session_ping(struct h2_session *s, const uint8_t opaque[8]);
/* GOAWAY(2^31-1, NO_ERROR, debug): streams go on and new ones are still taken. */
void h2_session_shutdown_notice(struct h2_session *s, struct slice debug);
/* GOAWAY(last processed id): new streams are ignored, open ones go on. */
void h2_session_goaway(struct h2_session *s, uint32_t code, struct slice debug);
/* GOAWAY, and done as soon as it is sent. */
void h2_session_terminate(struct h2_session *s, uint32_t code, struct slice debug);
/* True once a frame with headers or data was sent since the last call (ping policy). */
bool h2_session_take_has_sent(struct h2_session *s);

/* Client: a request; has_body false ends the stream with the headers. */
int h2_session_request(struct h2_session *s, const struct h2_header *headers, size_t count,
                       bool has_body, const struct h2_stream_ops *ops, void *user,
                       struct h2_stream **out);

void h2_stream_set_ops(struct h2_stream *st, const struct h2_stream_ops *ops, void *user);
/* For a layer that passes a stream on: says a header, or their end, to the stream's present ops. */
void h2_stream_say_header(struct h2_stream *st, struct slice name, struct slice value);
void h2_stream_say_headers_end(struct h2_stream *st, bool is_end);
int32_t h2_stream_id(const struct h2_stream *st);
struct h2_session *h2_stream_session(const struct h2_stream *st);
/* The peer has ended its side. */
bool h2_stream_is_ended(const struct h2_stream *st);
/* Server: response headers; has_body false ends the stream with them. */
int h2_stream_respond(struct h2_stream *st, const struct h2_header *headers, size_t count,
                      bool has_body);
/* Headers behind the body, END_STREAM; legal inside on_pull (before H2_PULL_END) or while the last
 * on_pull said AGAIN. */
int h2_stream_trailers(struct h2_stream *st, const struct h2_header *headers, size_t count);
/* on_pull is to be called again. */
void h2_stream_resume(struct h2_stream *st);
void h2_stream_reset(struct h2_stream *st, uint32_t code);
/* n body bytes are done with: the stream's window opens again. */
void h2_stream_consume(struct h2_stream *st, size_t n);

#endif
