/* SPDX-License-Identifier: Apache-2.0
 *
 * http/h2_session: life of a session, bytes in, bytes out.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "http/h2_private.h"

/* ---- memory of nghttp2 ------------------------------------------------------------------------
 */

static void *ng_malloc(size_t size, void *pool)
{
    return http_pool_alloc(pool, size);
}

static void ng_free(void *ptr, void *pool)
{
    http_pool_free(pool, ptr);
}

static void *ng_calloc(size_t count, size_t size, void *pool)
{
    if (size != 0 && count > SIZE_MAX / size) {
        return NULL;
    }
    return http_pool_zalloc(pool, count * size);
}

static void *ng_realloc(void *ptr, size_t size, void *pool)
{
    return http_pool_realloc(pool, ptr, size);
}

int h2_error(int ng_error)
{
    if (ng_error >= 0) {
        return 0;
    }
    if (ng_error == NGHTTP2_ERR_NOMEM) {
        return ERR_NOMEM;
    }
    if (ng_error == NGHTTP2_ERR_FLOODED) {
        return ERR_LIMIT;
    }
    return ERR_MALFORMED;
}

/* ---- life -------------------------------------------------------------------------------------
 */

static int ng_option_make(bool is_server, nghttp2_option **out)
{
    if (nghttp2_option_new(out) != 0) {
        return ERR_NOMEM;
    }
    nghttp2_option_set_no_auto_window_update(*out, 1);
    nghttp2_option_set_no_closed_streams(*out, 1);
    /* etcd's clients may open any number before the SETTINGS come. */
    nghttp2_option_set_peer_max_concurrent_streams(*out, 0x7fffffff);
    /* Its rate limit reads the machine's clock; ours takes time as an argument. */
    nghttp2_option_set_stream_reset_rate_limit(*out, UINT64_MAX, UINT64_MAX);
    /* A server makes the checks of requests itself (h2_check). */
    nghttp2_option_set_no_http_messaging(*out, is_server);
    return 0;
}

static int ng_session_make(struct h2_session *s)
{
    nghttp2_session_callbacks *cbs = NULL;
    nghttp2_option *opt = NULL;
    nghttp2_mem mem = {s->pool, ng_malloc, ng_free, ng_calloc, ng_realloc};
    int err = ng_option_make(s->is_server, &opt);
    if (err == 0 && nghttp2_session_callbacks_new(&cbs) != 0) {
        err = ERR_NOMEM;
    }
    if (err == 0) {
        h2_callbacks_set(cbs);
        int rv = s->is_server ? nghttp2_session_server_new3(&s->ng, cbs, s, opt, &mem)
                              : nghttp2_session_client_new3(&s->ng, cbs, s, opt, &mem);
        err = h2_error(rv);
    }
    nghttp2_session_callbacks_del(cbs);
    nghttp2_option_del(opt);
    return err;
}

static size_t settings_add(nghttp2_settings_entry *iv, size_t n, int32_t id, uint32_t value)
{
    if (value != 0) {
        iv[n++] = (nghttp2_settings_entry){id, value};
    }
    return n;
}

static int settings_submit(struct h2_session *s, const struct h2_options *opts)
{
    nghttp2_settings_entry iv[5];
    size_t n = 0;
    n = settings_add(iv, n, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, opts->max_concurrent_streams);
    n = settings_add(iv, n, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, opts->stream_window);
    n = settings_add(iv, n, NGHTTP2_SETTINGS_MAX_FRAME_SIZE, opts->max_frame_size);
    n = settings_add(iv, n, NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, opts->max_header_list);
    if (!s->is_server) {
        iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
    }
    int rv = nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, iv, n);
    if (rv == 0 && opts->conn_window > NGHTTP2_INITIAL_CONNECTION_WINDOW_SIZE) {
        rv = nghttp2_session_set_local_window_size(s->ng, NGHTTP2_FLAG_NONE, 0,
                                                   (int32_t)opts->conn_window);
    }
    return h2_error(rv);
}

int h2_session_create(const struct h2_options *opts, struct http_pool *pool,
                      const struct h2_session_ops *ops, void *arg, struct h2_session **out)
{
    struct h2_session *s = http_pool_zalloc(pool, sizeof(*s));
    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->pool = pool;
    s->ops = ops;
    s->arg = arg;
    s->is_server = opts->is_server;
    s->header_list_max =
        opts->header_list_max != 0 ? opts->header_list_max : LIMIT_HEADER_LIST_BYTES;
    s->streams_max = opts->streams_max != 0 ? opts->streams_max : H2_STREAMS_MAX;
    s->reset_credit = (uint64_t)H2_RESET_BURST * 1000;
    list_init(&s->streams);
    int err = ng_session_make(s);
    if (err == 0) {
        err = settings_submit(s, opts);
    }
    if (err != 0) {
        nghttp2_session_del(s->ng);
        http_pool_free(pool, s);
        return err;
    }
    *out = s;
    return 0;
}

void h2_session_destroy(struct h2_session *s)
{
    ensure(!s->is_busy);
    s->is_busy = true; /* on_close must not come back into us */
    while (!list_is_empty(&s->streams)) {
        h2_stream_close(LIST_ENTRY(list_first(&s->streams), struct h2_stream, node), H2_CANCEL);
    }
    ensure(s->stream_count == 0);
    nghttp2_session_del(s->ng);
    buf_deinit(&s->notice);
    http_pool_free(s->pool, s);
}

/* ---- bytes ------------------------------------------------------------------------------------
 */

int h2_session_recv(struct h2_session *s, struct slice bytes, uint64_t now_ms)
{
    ensure(!s->is_busy);
    if (s->now_ms == 0) {
        s->reset_ms = now_ms;
    }
    s->now_ms = now_ms > s->now_ms ? now_ms : s->now_ms;
    s->is_busy = true;
    ssize_t n = nghttp2_session_mem_recv(s->ng, bytes.data, bytes.len);
    s->is_busy = false;
    return n < 0 ? h2_error((int)n) : 0;
}

static int send_frames(struct h2_session *s)
{
    while (s->out->bytes < s->out_limit) {
        const uint8_t *data = NULL;
        ssize_t n = nghttp2_session_mem_send(s->ng, &data);
        if (n < 0) {
            return h2_error((int)n);
        }
        if (n == 0) {
            break;
        }
        http_out_append(s->out, slice_make(data, (size_t)n));
    }
    return 0;
}

int h2_session_send(struct h2_session *s, struct http_out *out, size_t max)
{
    ensure(!s->is_busy);
    s->is_busy = true;
    s->out = out;
    s->out_limit = out->bytes + max;
    if (s->notice.len > 0) {
        http_out_append(out, buf_slice(&s->notice));
        buf_clear(&s->notice);
    }
    int err = send_frames(s);
    s->out = NULL;
    s->is_busy = false;
    return err;
}

bool h2_session_wants_write(const struct h2_session *s)
{
    return s->notice.len > 0 || nghttp2_session_want_write(s->ng) != 0;
}

bool h2_session_is_done(const struct h2_session *s)
{
    return nghttp2_session_want_read(s->ng) == 0 && !h2_session_wants_write(s);
}

size_t h2_session_stream_count(const struct h2_session *s)
{
    return s->stream_count;
}

bool h2_session_take_has_sent(struct h2_session *s)
{
    bool had = s->has_sent;
    s->has_sent = false;
    return had;
}

/* ---- connection control -----------------------------------------------------------------------
 */

void h2_session_ping(struct h2_session *s, const uint8_t opaque[8])
{
    (void)nghttp2_submit_ping(s->ng, NGHTTP2_FLAG_NONE, opaque);
}

/* By hand, because nghttp2 refuses new streams after any GOAWAY with debug data, and its own
 * shutdown notice carries none. */
void h2_session_shutdown_notice(struct h2_session *s, struct slice debug)
{
    ensure(debug.len <= 64);
    uint8_t head[17] = {0, 0, (uint8_t)(8 + debug.len), NGHTTP2_GOAWAY, 0};
    store_be32(head + 9, 0x7fffffff);
    buf_append(&s->notice, head, sizeof(head));
    buf_append_slice(&s->notice, debug);
}

void h2_session_goaway(struct h2_session *s, uint32_t code, struct slice debug)
{
    int32_t last = nghttp2_session_get_last_proc_stream_id(s->ng);
    (void)nghttp2_submit_goaway(s->ng, NGHTTP2_FLAG_NONE, last, code, debug.data, debug.len);
}

void h2_session_terminate(struct h2_session *s, uint32_t code, struct slice debug)
{
    if (debug.len > 0) {
        h2_session_goaway(s, code, debug);
    }
    (void)nghttp2_session_terminate_session(s->ng, code);
}

int h2_session_request(struct h2_session *s, const struct h2_header *headers, size_t count,
                       bool has_body, const struct h2_stream_ops *ops, void *user,
                       struct h2_stream **out)
{
    struct h2_stream *st = h2_stream_create(s, 0);
    if (st == NULL) {
        return ERR_NOMEM;
    }
    nghttp2_nv nva[H2_HEADERS_MAX];
    h2_headers_convert(nva, headers, count);
    nghttp2_data_provider provider = {.source.ptr = st, .read_callback = h2_read_callback};
    int32_t id = nghttp2_submit_request(s->ng, NULL, nva, count, has_body ? &provider : NULL, st);
    if (id < 0) {
        h2_stream_close(st, H2_REFUSED_STREAM); /* ops not set yet: nobody hears of it */
        return h2_error(id);
    }
    st->id = id;
    h2_stream_set_ops(st, ops, user);
    *out = st;
    return 0;
}
