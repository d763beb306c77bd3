/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/answer.h"

#include <stdio.h>

#include "base/gotext.h"
#include "gateway/json_out.h"
#include "gateway/json_text.h"

static const struct rpc_http_header type_header = {"Content-Type", SLICE_LIT("application/json")};

/* ---- errors ---- */

int answer_http_status(enum json_form form, enum grpc_code code)
{
    switch (code) {
    case GRPC_OK: return 200;
    case GRPC_CANCELLED: return form == JSON_FORM_OLD ? 408 : 499;
    case GRPC_INVALID_ARGUMENT:
    case GRPC_FAILED_PRECONDITION:
    case GRPC_OUT_OF_RANGE: return 400;
    case GRPC_DEADLINE_EXCEEDED: return 504;
    case GRPC_NOT_FOUND: return 404;
    case GRPC_ALREADY_EXISTS:
    case GRPC_ABORTED: return 409;
    case GRPC_PERMISSION_DENIED: return 403;
    case GRPC_UNAUTHENTICATED: return 401;
    case GRPC_RESOURCE_EXHAUSTED: return 429;
    case GRPC_UNIMPLEMENTED: return 501;
    case GRPC_UNAVAILABLE: return 503;
    case GRPC_UNKNOWN:
    case GRPC_INTERNAL:
    case GRPC_DATA_LOSS: return 500;
    }
    return 500;
}

static const char *status_text(int status)
{
    switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 429: return "Too Many Requests";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Internal Server Error";
    }
}

/* Empty texts are left out, as zero fields are. */
static void put_text(struct buf *out, const char *name, struct slice text, bool is_html_escaped)
{
    if (text.len > 0) {
        buf_append_cstr(out, name);
        json_out_string(out, text, is_html_escaped);
    }
}

static void error_body(struct buf *out, enum json_form form, enum grpc_code code, struct slice text)
{
    bool is_old = form == JSON_FORM_OLD;
    buf_append_byte(out, '{');
    if (is_old && text.len > 0) {
        put_text(out, "\"error\":", text, true);
        buf_append_byte(out, ',');
    }
    buf_printf(out, "\"code\":%d", (int)code);
    put_text(out, ",\"message\":", text, is_old);
    buf_append_byte(out, '}');
}

/* A header's value cannot have everything that a text can. */
static bool fits_header(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

void answer_error(struct rpc_http_req *req, enum json_form form, enum grpc_code code,
                  struct slice text)
{
    struct rpc_http_header headers[2] = {type_header, {"WWW-Authenticate", text}};
    bool asks = form == JSON_FORM_NEW && code == GRPC_UNAUTHENTICATED && fits_header(text);
    struct buf body = BUF_INIT;
    error_body(&body, form, code, text);
    rpc_http_respond(req, answer_http_status(form, code), headers, asks ? 2 : 1, buf_slice(&body));
    buf_deinit(&body);
}

void answer_stream_error(struct buf *out, enum json_form form, enum grpc_code code,
                         struct slice text)
{
    if (form == JSON_FORM_OLD) {
        int status = answer_http_status(form, code);
        buf_printf(out, "{\"error\":{\"grpc_code\":%d,\"http_code\":%d", (int)code, status);
        put_text(out, ",\"message\":", text, true);
        buf_printf(out, ",\"http_status\":\"%s\"}}", status_text(status));
        return;
    }
    buf_printf(out, "{\"error\":{\"code\":%d", (int)code);
    put_text(out, ",\"message\":", text, true);
    buf_append_cstr(out, "}}\n");
}

void answer_routing_error(struct rpc_http_req *req, enum json_form form, int status)
{
    static const struct rpc_http_header text_headers[] = {
        {"Content-Type", SLICE_LIT("text/plain; charset=utf-8")},
        {"X-Content-Type-Options", SLICE_LIT("nosniff")},
    };
    struct slice text = slice_cstr(status_text(status));
    if (form == JSON_FORM_NEW) {
        answer_error(req, form, status == 404 ? GRPC_NOT_FOUND : GRPC_UNIMPLEMENTED, text);
        return;
    }
    struct buf body = BUF_INIT;
    buf_append_slice(&body, text);
    buf_append_byte(&body, '\n');
    rpc_http_respond(req, status, text_headers, ARRAY_LEN(text_headers), buf_slice(&body));
    buf_deinit(&body);
}

/* ---- headers of the request ---- */

static uint64_t unit_ns(uint8_t unit)
{
    switch (unit) {
    case 'H': return 3600000000000;
    case 'M': return 60000000000;
    case 'S': return 1000000000;
    case 'm': return 1000000;
    case 'u': return 1000;
    case 'n': return 1;
    default: return 0;
    }
}

int answer_timeout(struct rpc_http_req *req, uint64_t *out_ns, struct buf *why)
{
    struct slice s = rpc_http_header(req, "Grpc-Timeout");
    int64_t n = 0;
    *out_ns = 0;
    if (s.len == 0) {
        return 0;
    }
    uint64_t unit = unit_ns(s.data[s.len - 1]);
    if (s.len < 2 || unit == 0 ||
        gotext_parse_int(slice_make(s.data, s.len - 1), 10, 64, &n) != 0) {
        buf_append_cstr(why, "invalid grpc-timeout: ");
        buf_append_slice(why, s);
        return ERR_MALFORMED;
    }
    if (n < 0) {
        *out_ns = UINT64_MAX;
    } else if ((uint64_t)n > (uint64_t)INT64_MAX / unit) {
        *out_ns = INT64_MAX;
    } else {
        *out_ns = (uint64_t)n * unit;
    }
    return 0;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static bool equal_fold(struct slice a, const char *b)
{
    size_t i = 0;
    for (; i < a.len && b[i] != 0; i++) {
        if (lower(a.data[i]) != lower((uint8_t)b[i])) {
            return false;
        }
    }
    return i == a.len && b[i] == 0;
}

static bool is_one_of(struct slice name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (equal_fold(name, list[i])) {
            return true;
        }
    }
    return false;
}

/* grpc-gateway's permanent headers, but Host. */
static bool is_permanent(struct slice name)
{
    static const char *const list[] = {
        "Accept",
        "Accept-Charset",
        "Accept-Language",
        "Accept-Ranges",
        "Authorization",
        "Cache-Control",
        "Content-Type",
        "Cookie",
        "Date",
        "Expect",
        "From",
        "If-Match",
        "If-Modified-Since",
        "If-None-Match",
        "If-Schedule-Tag-Match",
        "If-Unmodified-Since",
        "Max-Forwards",
        "Origin",
        "Pragma",
        "Referer",
        "User-Agent",
        "Via",
        "Warning",
    };
    return is_one_of(name, list, ARRAY_LEN(list));
}

/* Names that belong to gRPC itself. */
static bool is_reserved(struct slice name)
{
    static const char *const list[] = {
        "content-type", "user-agent",  "grpc-message-type", "grpc-encoding",
        "grpc-message", "grpc-status", "grpc-timeout",      "te"};
    return is_one_of(name, list, ARRAY_LEN(list));
}

static bool is_key(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = lower(name.data[i]);
        bool is_good =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
        if (!is_good) {
            return false;
        }
    }
    return name.len > 0;
}

/* The metadata's name of a header into out; false: it does not go on. */
static bool key_of(struct slice name, struct buf *out)
{
    static const char prefix[] = "Grpc-Metadata-";
    size_t n = sizeof(prefix) - 1;
    buf_clear(out);
    if (is_permanent(name)) {
        buf_append_cstr(out, "grpcgateway-");
    } else if (name.len > n && equal_fold(slice_make(name.data, n), prefix)) {
        name = slice_skip(name, n);
    } else {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        buf_append_byte(out, lower(name.data[i]));
    }
    return is_key(buf_slice(out)) && !is_reserved(buf_slice(out));
}

static bool has_suffix_bin(struct slice s)
{
    return s.len >= 4 && equal_fold(slice_skip(s, s.len - 4), "-bin");
}

/* As Go spells header names. */
static void put_canonical(struct buf *out, struct slice name)
{
    bool is_first = true;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = lower(name.data[i]);
        buf_append_byte(out, is_first && c >= 'a' && c <= 'z' ? (uint8_t)(c - 'a' + 'A') : c);
        is_first = c == '-';
    }
}

/* base64 of a -bin header: padded or not. */
static int binary_value(struct slice name, struct slice value, struct buf *out, struct buf *why)
{
    size_t bad_at = 0;
    if (grpc_base64_decode(out, value, &bad_at) == 0) {
        return 0;
    }
    buf_append_cstr(why, "invalid binary header ");
    put_canonical(why, name);
    buf_printf(why, ": illegal base64 data at input byte %zu", bad_at);
    return ERR_MALFORMED;
}

static int header_take(struct grpc_local_call *lc, struct slice name, struct slice value,
                       struct buf *key, struct buf *why)
{
    if (equal_fold(name, "Authorization")) {
        grpc_local_metadata(lc, SLICE_LIT("authorization"), value);
    }
    if (!key_of(name, key)) {
        return 0;
    }
    if (has_suffix_bin(name)) {
        struct buf raw = BUF_INIT;
        int err = binary_value(name, value, &raw, why);
        if (err == 0) {
            grpc_local_metadata(lc, buf_slice(key), buf_slice(&raw));
        }
        buf_deinit(&raw);
        return err;
    }
    if (fits_header(value)) {
        grpc_local_metadata(lc, buf_slice(key), value);
    }
    return 0;
}

int answer_metadata(struct rpc_http_req *req, struct grpc_local_call *lc, struct buf *why)
{
    struct slice name, value;
    struct buf key = BUF_INIT;
    int err = 0;
    for (size_t i = 0; err == 0 && rpc_http_header_at(req, i, &name, &value); i++) {
        err = header_take(lc, name, value, &key, why);
    }
    buf_deinit(&key);
    return err;
}
