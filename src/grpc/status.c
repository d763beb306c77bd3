/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/status: see status.h.
 */
#include "grpc/status.h"

#include <stdio.h>

#include "base/gotext.h"

static const char hex_upper[] = "0123456789ABCDEF";
static const char hex_lower[] = "0123456789abcdef";

void grpc_message_encode(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c >= 0x20 && c <= 0x7e && c != '%') {
            buf_append_byte(out, c);
            continue;
        }
        buf_append_byte(out, '%');
        buf_append_byte(out, (uint8_t)hex_upper[c >> 4]);
        buf_append_byte(out, (uint8_t)hex_upper[c & 15]);
    }
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void grpc_message_decode(struct buf *out, struct slice wire)
{
    for (size_t i = 0; i < wire.len; i++) {
        uint8_t c = wire.data[i];
        if (c == '%' && wire.len - i > 2) {
            int hi = hex_value(wire.data[i + 1]);
            int lo = hex_value(wire.data[i + 2]);
            if (hi >= 0 && lo >= 0) {
                buf_append_byte(out, (uint8_t)(hi << 4 | lo));
                i += 2;
                continue;
            }
        }
        buf_append_byte(out, c);
    }
}

static int timeout_refuse(struct buf *why, const char *what, struct slice s)
{
    buf_append_cstr(why, what);
    grpc_quote(why, s);
    return ERR_MALFORMED;
}

static uint64_t timeout_unit_ns(uint8_t unit)
{
    switch (unit) {
    case 'H': return 3600000000000u;
    case 'M': return 60000000000u;
    case 'S': return 1000000000u;
    case 'm': return 1000000u;
    case 'u': return 1000u;
    case 'n': return 1u;
    default: return 0;
    }
}

int grpc_timeout_parse(struct slice s, uint64_t *out_ns, struct buf *why)
{
    if (s.len < 2) {
        return timeout_refuse(why, "transport: timeout string is too short: ", s);
    }
    if (s.len > 9) {
        return timeout_refuse(why, "transport: timeout string is too long: ", s);
    }
    uint64_t unit = timeout_unit_ns(s.data[s.len - 1]);
    if (unit == 0) {
        return timeout_refuse(why, "transport: timeout unit is not recognized: ", s);
    }
    uint64_t n = 0;
    for (size_t i = 0; i + 1 < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            timeout_refuse(why, "strconv.ParseUint: parsing ", slice_make(s.data, s.len - 1));
            buf_append_cstr(why, ": invalid syntax");
            return ERR_MALFORMED;
        }
        n = n * 10 + (uint64_t)(s.data[i] - '0');
    }
    *out_ns = n > UINT64_MAX / unit ? UINT64_MAX : n * unit;
    return 0;
}

void grpc_timeout_format(char out[GRPC_TIMEOUT_BYTES], uint64_t ms)
{
    static const struct {
        uint64_t ms;
        char unit;
    } units[] = {{1, 'm'}, {1000, 'S'}, {60000, 'M'}, {3600000, 'H'}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        uint64_t n = ms / units[i].ms + (ms % units[i].ms != 0 ? 1 : 0);
        if (n <= 99999999 || i + 1 == ARRAY_LEN(units)) {
            n = n <= 99999999 ? n : 99999999;
            snprintf(out, GRPC_TIMEOUT_BYTES, "%u%c", (unsigned)n, units[i].unit);
            return;
        }
    }
}

enum grpc_code grpc_code_parse(struct slice s)
{
    unsigned n = 0;
    if (s.len == 0 || s.len > 2) {
        return GRPC_UNKNOWN;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return GRPC_UNKNOWN;
        }
        n = n * 10 + (unsigned)(s.data[i] - '0');
    }
    return n <= GRPC_UNAUTHENTICATED ? (enum grpc_code)n : GRPC_UNKNOWN;
}

enum grpc_code grpc_code_from_http(int status)
{
    switch (status) {
    case 400: return GRPC_INTERNAL;
    case 401: return GRPC_UNAUTHENTICATED;
    case 403: return GRPC_PERMISSION_DENIED;
    case 404: return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504: return GRPC_UNAVAILABLE;
    default: return GRPC_UNKNOWN;
    }
}

/* ---- base64 -----------------------------------------------------------------------------------
 */

static struct slice base64_unpad(struct slice s)
{
    for (int i = 0; i < 2 && s.len % 4 == 0 && s.len > 0 && s.data[s.len - 1] == '='; i++) {
        s.len--;
        if (s.len > 0 && s.data[s.len - 1] == '=') {
            s.len--;
        }
    }
    return s;
}

int grpc_base64_decode(struct buf *out, struct slice s, size_t *out_bad_at)
{
    s = base64_unpad(s);
    for (size_t i = 0; i < s.len; i++) {
        if (gotext_base64_value(s.data[i]) < 0) {
            *out_bad_at = i;
            return ERR_MALFORMED;
        }
    }
    if (s.len % 4 == 1) {
        *out_bad_at = s.len - 1;
        return ERR_MALFORMED;
    }
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < s.len; i++) {
        bits = bits << 6 | (uint32_t)gotext_base64_value(s.data[i]);
        have += 6;
        if (have >= 8) {
            have -= 8;
            buf_append_byte(out, (uint8_t)(bits >> have));
        }
    }
    return 0;
}

void grpc_base64_encode(struct buf *out, struct slice s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < s.len; i++) {
        bits = bits << 8 | s.data[i];
        for (have += 8; have >= 6; have -= 6) {
            buf_append_byte(out, (uint8_t)digits[bits >> (have - 6) & 63]);
        }
    }
    if (have > 0) {
        buf_append_byte(out, (uint8_t)digits[bits << (6 - have) & 63]);
    }
}

/* ---- Go's texts -------------------------------------------------------------------------------
 */

static char short_escape(uint8_t c)
{
    switch (c) {
    case '\a': return 'a';
    case '\b': return 'b';
    case '\f': return 'f';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    case '\v': return 'v';
    case '"':
    case '\\': return (char)c;
    default: return 0;
    }
}

void grpc_quote(struct buf *out, struct slice s)
{
    buf_append_byte(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        char esc = short_escape(c);
        if (esc != 0) {
            buf_append_byte(out, '\\');
            buf_append_byte(out, (uint8_t)esc);
        } else if (c >= 0x20 && c < 0x7f) {
            buf_append_byte(out, c);
        } else {
            buf_append_cstr(out, "\\x");
            buf_append_byte(out, (uint8_t)hex_lower[c >> 4]);
            buf_append_byte(out, (uint8_t)hex_lower[c & 15]);
        }
    }
    buf_append_byte(out, '"');
}

void grpc_error_set(struct grpc_error *e, enum grpc_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    e->code = code;
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
}
