/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/frame: see frame.h.
 */
#include "grpc/frame.h"

#include <zlib.h>

#include "base/bytes.h"

void grpc_deframer_deinit(struct grpc_deframer *d)
{
    rcbuf_unref(d->body);
    d->body = NULL;
    d->head_len = 0;
    d->is_gathered = false;
}

size_t grpc_deframer_held(const struct grpc_deframer *d)
{
    return d->is_gathered && d->body != NULL ? d->body->cap : 0;
}

bool grpc_deframer_is_partial(const struct grpc_deframer *d)
{
    return d->head_len > 0;
}

bool grpc_deframer_is_in_message(const struct grpc_deframer *d)
{
    return d->head_len == GRPC_HEAD_BYTES;
}

/* The message given last is done with. */
static void message_forget(struct grpc_deframer *d)
{
    rcbuf_unref(d->body);
    d->body = NULL;
    d->is_gathered = false;
}

static bool head_check(const struct grpc_deframer *d, struct grpc_error *e)
{
    uint8_t flag = d->head[0];
    if (flag > 1) {
        grpc_error_set(e, GRPC_INTERNAL, "grpc: received unexpected payload format %u", flag);
        return false;
    }
    if (d->need > d->bytes_max) {
        grpc_error_set(e, GRPC_RESOURCE_EXHAUSTED,
                       "grpc: received message larger than max (%zu vs. %zu)", d->need,
                       d->bytes_max);
        return false;
    }
    if (flag == 1 && d->encoding != GRPC_ENCODING_GZIP) {
        grpc_error_set(e, GRPC_INTERNAL,
                       "grpc: compressed flag set with identity or empty encoding");
        return false;
    }
    return true;
}

/* True when the five bytes are there (and were checked: *ok). */
static bool head_take(struct grpc_deframer *d, struct slice *in, bool *ok, struct grpc_error *e)
{
    *ok = true;
    if (d->head_len == GRPC_HEAD_BYTES) {
        return true;
    }
    size_t n = (size_t)GRPC_HEAD_BYTES - d->head_len;
    n = n < in->len ? n : in->len;
    if (n > 0) {
        memcpy(d->head + d->head_len, in->data, n);
    }
    d->head_len = (uint8_t)(d->head_len + n);
    *in = slice_skip(*in, n);
    if (d->head_len < GRPC_HEAD_BYTES) {
        return false;
    }
    d->need = load_be32(d->head + 1);
    *ok = head_check(d, e);
    return true;
}

/* Room for extra more bytes of the gathered message: doubled, so that memory follows what came. */
static bool gather_grow(struct grpc_deframer *d, size_t extra)
{
    size_t have = d->body == NULL ? 0 : d->body->len;
    if (d->body != NULL && d->body->cap - have >= extra) {
        return true;
    }
    size_t cap = d->body == NULL ? (size_t)GRPC_GATHER_FIRST_BYTES : 2 * d->body->cap;
    cap = cap < have + extra ? have + extra : cap;
    cap = cap > d->need ? d->need : cap;
    struct rcbuf *fresh = rcbuf_try_create(cap);
    if (fresh == NULL) {
        return false;
    }
    if (have > 0) {
        memcpy(fresh->data, d->body->data, have);
    }
    fresh->len = have;
    rcbuf_unref(d->body);
    d->body = fresh;
    return true;
}

static enum grpc_deframe gather(struct grpc_deframer *d, struct slice *in, struct grpc_error *e)
{
    size_t have = d->body == NULL ? 0 : d->body->len;
    size_t n = d->need - have;
    n = n < in->len ? n : in->len;
    if (n > 0 && !gather_grow(d, n)) {
        grpc_error_set(e, GRPC_RESOURCE_EXHAUSTED, "grpc: no memory for a message of %zu bytes",
                       d->need);
        return GRPC_DEFRAME_ERROR;
    }
    d->is_gathered = true;
    if (n > 0) {
        memcpy(d->body->data + d->body->len, in->data, n);
        d->body->len += n;
        *in = slice_skip(*in, n);
    }
    return have + n == d->need ? GRPC_DEFRAME_MESSAGE : GRPC_DEFRAME_NEED;
}

static enum grpc_deframe message_inflate(struct grpc_deframer *d, struct slice *msg,
                                         struct grpc_error *e)
{
    struct rcbuf *plain = grpc_gunzip(*msg, d->bytes_max, e);
    if (plain == NULL) {
        return GRPC_DEFRAME_ERROR;
    }
    message_forget(d);
    d->body = plain;
    d->is_gathered = true;
    *msg = rcbuf_slice(plain);
    return GRPC_DEFRAME_MESSAGE;
}

enum grpc_deframe grpc_deframer_next(struct grpc_deframer *d, struct slice *in,
                                     struct slice *out_msg, struct grpc_error *out_err)
{
    bool ok;
    if (d->head_len == 0) {
        message_forget(d);
    }
    if (!head_take(d, in, &ok, out_err)) {
        return GRPC_DEFRAME_NEED;
    }
    if (!ok) {
        return GRPC_DEFRAME_ERROR;
    }
    struct slice msg;
    if (!d->is_gathered && in->len >= d->need) {
        msg = slice_make(in->data, d->need);
        *in = slice_skip(*in, d->need);
    } else {
        enum grpc_deframe r = gather(d, in, out_err);
        if (r != GRPC_DEFRAME_MESSAGE) {
            return r;
        }
        msg = rcbuf_slice(d->body);
    }
    bool is_compressed = d->head[0] == 1;
    d->head_len = 0;
    if (is_compressed) {
        enum grpc_deframe r = message_inflate(d, &msg, out_err);
        if (r != GRPC_DEFRAME_MESSAGE) {
            return r;
        }
    }
    *out_msg = msg;
    return GRPC_DEFRAME_MESSAGE;
}

struct rcbuf *grpc_deframer_take(struct grpc_deframer *d, struct slice msg)
{
    if (d->body == NULL || d->body->data != msg.data) {
        return rcbuf_from(msg);
    }
    return rcbuf_ref(d->body);
}

void grpc_head_write(uint8_t out[GRPC_HEAD_BYTES], bool is_compressed, size_t len)
{
    out[0] = is_compressed ? 1 : 0;
    store_be32(out + 1, (uint32_t)len);
}

/* ---- gzip -------------------------------------------------------------------------------------
 */

enum { GZIP_WINDOW = 15 + 16 }; /* zlib's way to say gzip format */

bool grpc_gzip(struct buf *out, struct slice in)
{
    z_stream z = {0};
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        return false;
    }
    ensure(in.len <= GRPC_GZIP_MAX);
    size_t bound = deflateBound(&z, (uLong)in.len);
    size_t at = out->len;
    z.next_in = (Bytef *)(uintptr_t)in.data;
    z.avail_in = (uInt)in.len;
    z.next_out = buf_extend(out, bound);
    z.avail_out = (uInt)bound;
    int rv = deflate(&z, Z_FINISH);
    ensure(rv == Z_STREAM_END);
    out->len = at + bound - z.avail_out;
    deflateEnd(&z);
    return true;
}

/* Doubles the output up to one byte above the limit, which shows that there is more. */
static struct rcbuf *inflate_grow(struct rcbuf *old, size_t bytes_max)
{
    size_t cap = old->cap * 2;
    cap = cap > bytes_max + 1 ? bytes_max + 1 : cap;
    struct rcbuf *fresh = rcbuf_try_create(cap);
    if (fresh != NULL) {
        memcpy(fresh->data, old->data, old->len);
        fresh->len = old->len;
    }
    rcbuf_unref(old);
    return fresh;
}

static struct rcbuf *inflate_all(z_stream *z, size_t bytes_max, struct grpc_error *e)
{
    size_t first = bytes_max + 1 < 4096 ? bytes_max + 1 : 4096;
    struct rcbuf *out = rcbuf_try_create(first);
    while (out != NULL) {
        z->next_out = out->data + out->len;
        z->avail_out = (uInt)(out->cap - out->len);
        int rv = inflate(z, Z_NO_FLUSH);
        out->len = out->cap - z->avail_out;
        if (out->len > bytes_max) {
            grpc_error_set(
                e, GRPC_RESOURCE_EXHAUSTED,
                "grpc: received message after decompression larger than max (%zu vs. %zu)",
                out->len, bytes_max);
            break;
        }
        if (rv == Z_STREAM_END) {
            return out;
        }
        if (rv != Z_OK || (z->avail_in == 0 && z->avail_out != 0)) {
            grpc_error_set(e, GRPC_INTERNAL, "grpc: failed to decompress the message: %s",
                           rv == Z_OK || rv == Z_BUF_ERROR ? "unexpected EOF"
                                                           : "gzip: invalid data");
            break;
        }
        if (z->avail_out == 0) {
            out = inflate_grow(out, bytes_max);
        }
    }
    if (out == NULL) {
        grpc_error_set(e, GRPC_RESOURCE_EXHAUSTED, "grpc: no memory to decompress the message");
    }
    rcbuf_unref(out);
    return NULL;
}

struct rcbuf *grpc_gunzip(struct slice in, size_t bytes_max, struct grpc_error *out_err)
{
    z_stream z = {0};
    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK) {
        grpc_error_set(out_err, GRPC_RESOURCE_EXHAUSTED,
                       "grpc: no memory to decompress the message");
        return NULL;
    }
    z.next_in = (Bytef *)(uintptr_t)in.data;
    z.avail_in = (uInt)in.len;
    struct rcbuf *out = inflate_all(&z, bytes_max, out_err);
    inflateEnd(&z);
    return out;
}

bool grpc_encoding_parse(struct slice s, enum grpc_encoding *out)
{
    if (s.len == 0 || slice_equal(s, SLICE_LIT("identity"))) {
        *out = GRPC_ENCODING_IDENTITY;
        return true;
    }
    if (slice_equal(s, SLICE_LIT("gzip"))) {
        *out = GRPC_ENCODING_GZIP;
        return true;
    }
    return false;
}
