/* SPDX-License-Identifier: Apache-2.0
 *
 * http/h1_write: heads of messages: gathering, asking, writing.
 */
#include <strings.h>

#include "base/err.h"
#include "base/limits.h"
#include "http/h1_head.h"

void h1_head_reader_deinit(struct h1_head_reader *r)
{
    buf_deinit(&r->text);
    mem_free(r->spans);
    mem_free(r->headers);
    *r = (struct h1_head_reader){0};
}

enum { HEAD_TEXT_KEPT = 16 << 10 };

void h1_head_reader_clear(struct h1_head_reader *r)
{
    if (r->text.cap > HEAD_TEXT_KEPT) {
        h1_head_reader_deinit(r);
        return;
    }
    buf_clear(&r->text);
    r->count = 0;
    r->target_len = 0;
    r->is_in_value = false;
}

static int text_add(struct h1_head_reader *r, struct slice piece)
{
    /* A field counts 32 bytes more than its text, as in HTTP/2: it bounds the spans too. */
    if (r->text.len + r->count * 32 + piece.len > LIMIT_HTTP1_HEADER_BYTES) {
        return ERR_TOO_LARGE;
    }
    buf_append_slice(&r->text, piece);
    return 0;
}

int h1_head_add_target(struct h1_head_reader *r, struct slice piece)
{
    int err = text_add(r, piece);
    r->target_len += err == 0 ? piece.len : 0;
    return err;
}

static void span_begin(struct h1_head_reader *r)
{
    if (r->count == r->cap) {
        r->cap = r->cap == 0 ? 16 : r->cap * 2;
        r->spans = mem_realloc(r->spans, r->cap * sizeof(*r->spans));
        r->headers = mem_realloc(r->headers, r->cap * sizeof(*r->headers));
    }
    r->spans[r->count++] = (struct h1_head_span){.name_at = r->text.len, .value_at = r->text.len};
    r->is_in_value = false;
}

int h1_head_add_name(struct h1_head_reader *r, struct slice piece)
{
    if (r->count == 0 || r->is_in_value) {
        span_begin(r);
    }
    int err = text_add(r, piece);
    if (err == 0) {
        r->spans[r->count - 1].name_len += piece.len;
    }
    return err;
}

int h1_head_add_value(struct h1_head_reader *r, struct slice piece)
{
    if (r->count == 0) {
        return ERR_MALFORMED;
    }
    struct h1_head_span *span = &r->spans[r->count - 1];
    if (!r->is_in_value) {
        span->value_at = r->text.len;
        r->is_in_value = true;
    }
    int err = text_add(r, piece);
    span->value_len += err == 0 ? piece.len : 0;
    return err;
}

static struct slice trim_right(struct slice s)
{
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

void h1_head_finish(struct h1_head_reader *r, struct h1_head *out)
{
    const uint8_t *text = r->text.data;
    for (size_t i = 0; i < r->count; i++) {
        const struct h1_head_span *s = &r->spans[i];
        r->headers[i].name = slice_make(text + s->name_at, s->name_len);
        r->headers[i].value = trim_right(slice_make(text + s->value_at, s->value_len));
    }
    out->target = slice_make(text, r->target_len);
    out->headers = r->headers;
    out->count = r->count;
}

/* ---- asking -----------------------------------------------------------------------------------
 */

bool h1_name_equal(struct slice name, const char *other)
{
    return name.len == strlen(other) && strncasecmp((const char *)name.data, other, name.len) == 0;
}

struct slice h1_head_get(const struct h1_head *h, const char *name)
{
    for (size_t i = 0; i < h->count; i++) {
        if (h1_name_equal(h->headers[i].name, name)) {
            return h->headers[i].value;
        }
    }
    return SLICE_NULL;
}

static struct slice trim_left(struct slice s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s = slice_skip(s, 1);
    }
    return s;
}

static bool list_has_token(struct slice list, const char *token)
{
    while (list.len > 0) {
        const uint8_t *comma = memchr(list.data, ',', list.len);
        size_t n = comma == NULL ? list.len : (size_t)(comma - list.data);
        if (h1_name_equal(trim_left(trim_right(slice_make(list.data, n))), token)) {
            return true;
        }
        list = slice_skip(list, comma == NULL ? n : n + 1);
    }
    return false;
}

bool h1_head_has_token(const struct h1_head *h, const char *name, const char *token)
{
    for (size_t i = 0; i < h->count; i++) {
        if (h1_name_equal(h->headers[i].name, name) && list_has_token(h->headers[i].value, token)) {
            return true;
        }
    }
    return false;
}

bool h1_has_length(const struct h1_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (h1_name_equal(headers[i].name, "Content-Length")) {
            return true;
        }
    }
    return false;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

/* A line break inside would start a header of the sender's choosing: written as a blank. */
static void write_clean(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        buf_append_byte(out, c == '\r' || c == '\n' || c == 0 ? ' ' : c);
    }
}

void h1_write_headers(struct buf *out, const struct h1_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        write_clean(out, headers[i].name);
        buf_append_cstr(out, ": ");
        write_clean(out, headers[i].value);
        buf_append_cstr(out, "\r\n");
    }
}

void h1_write_chunk(struct buf *out, struct slice bytes)
{
    if (bytes.len == 0) {
        return; /* would end the body */
    }
    buf_printf(out, "%zx\r\n", bytes.len);
    buf_append_slice(out, bytes);
    buf_append_cstr(out, "\r\n");
}

const char *h1_status_text(int status)
{
    switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 301: return "Moved Permanently";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 412: return "Precondition Failed";
    case 413: return "Request Entity Too Large";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 499: return "Client Closed Request";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "status code";
    }
}
