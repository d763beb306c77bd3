/* SPDX-License-Identifier: Apache-2.0
 *
 * base/gotext_quote: Go string literals, both directions.
 */
#include "base/err.h"
#include "base/gotext.h"
#include "base/utf8.h"

static const char lower_hex[] = "0123456789abcdef";

bool gotext_is_print(uint32_t rune)
{
    static const struct {
        uint32_t first;
        uint32_t last;
    } ranges[] = {
#define R(first, last) {first, last},
#include "base/gotext_print.def"
#undef R
    };
    if (rune < 0x7f) {
        return rune >= 0x20;
    }
    size_t lo = 0, hi = ARRAY_LEN(ranges);
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (rune > ranges[mid].last) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < ARRAY_LEN(ranges) && rune >= ranges[lo].first;
}

static void append_hex(struct buf *out, char kind, uint32_t v, int digits)
{
    buf_append_byte(out, '\\');
    buf_append_byte(out, (uint8_t)kind);
    for (int i = digits - 1; i >= 0; i--) {
        buf_append_byte(out, (uint8_t)lower_hex[v >> (4 * i) & 0xf]);
    }
}

static void quote_rune(struct buf *out, uint32_t rune, const uint8_t *p, size_t n)
{
    static const char escapes[] = "abtnvfr"; /* for 7..13 */
    if (rune == '"' || rune == '\\') {
        buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)rune);
    } else if (gotext_is_print(rune)) {
        buf_append(out, p, n);
    } else if (rune >= 7 && rune <= 13) {
        buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)escapes[rune - 7]);
    } else if (rune < 0x20 || rune == 0x7f) {
        append_hex(out, 'x', rune, 2);
    } else if (rune < 0x10000) {
        append_hex(out, 'u', rune, 4);
    } else {
        append_hex(out, 'U', rune, 8);
    }
}

void gotext_quote(struct buf *out, struct slice s)
{
    uint32_t rune;
    buf_append_byte(out, '"');
    while (s.len > 0) {
        size_t n = utf8_decode(s.data, s.len, &rune);
        if (n == 0) {
            append_hex(out, 'x', s.data[0], 2);
            n = 1;
        } else {
            quote_rune(out, rune, s.data, n);
        }
        s = slice_skip(s, n);
    }
    buf_append_byte(out, '"');
}

/* What one character or escape stands for: a rune, or (bytes) one byte. */
struct unquoted {
    uint32_t value;
    bool is_byte;
};

static int hex_value(uint8_t c)
{
    uint8_t lower = c | 0x20;
    return c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static int take_hex(struct slice *s, size_t digits, uint32_t *out)
{
    uint32_t v = 0;
    if (s->len < digits) {
        return ERR_MALFORMED;
    }
    for (size_t i = 0; i < digits; i++) {
        int d = hex_value(s->data[i]);
        if (d < 0) {
            return ERR_MALFORMED;
        }
        v = v << 4 | (uint32_t)d;
    }
    *s = slice_skip(*s, digits);
    *out = v;
    return 0;
}

static int take_octal(struct slice *s, uint8_t first, uint32_t *out)
{
    uint32_t v = first - (uint32_t)'0';
    if (s->len < 2) {
        return ERR_MALFORMED;
    }
    for (size_t i = 0; i < 2; i++) {
        if (s->data[i] < '0' || s->data[i] > '7') {
            return ERR_MALFORMED;
        }
        v = v << 3 | (uint32_t)(s->data[i] - '0');
    }
    *s = slice_skip(*s, 2);
    *out = v;
    return v > 255 ? ERR_MALFORMED : 0;
}

static int take_numeric(struct slice *s, uint8_t c, struct unquoted *out)
{
    int err;
    out->is_byte = c != 'u' && c != 'U';
    if (c >= '0' && c <= '7') {
        return take_octal(s, c, &out->value);
    }
    err = take_hex(s, c == 'x' ? 2 : c == 'u' ? 4 : 8, &out->value);
    if (err == 0 && !out->is_byte &&
        (out->value > 0x10ffff || (out->value >= 0xd800 && out->value <= 0xdfff))) {
        err = ERR_MALFORMED;
    }
    return err;
}

/* Behind a backslash. */
static int take_escape(struct slice *s, uint8_t quote, struct unquoted *out)
{
    static const char names[] = "abtnvfr";
    if (s->len == 0) {
        return ERR_MALFORMED;
    }
    uint8_t c = s->data[0];
    *s = slice_skip(*s, 1);
    *out = (struct unquoted){.value = c};
    if (c == '\\') {
        return 0;
    }
    if (c == '"' || c == '\'') {
        return c == quote ? 0 : ERR_MALFORMED;
    }
    const char *name = c == 0 ? NULL : strchr(names, c);
    if (name != NULL) {
        out->value = (uint32_t)(7 + (name - names));
        return 0;
    }
    if (c == 'x' || c == 'u' || c == 'U' || (c >= '0' && c <= '7')) {
        return take_numeric(s, c, out);
    }
    return ERR_MALFORMED;
}

/* One character between quotes; *s is not at the closing quote. */
static int take_char(struct slice *s, uint8_t quote, struct unquoted *out)
{
    uint8_t c = s->data[0];
    if (c == '\n') {
        return ERR_MALFORMED;
    }
    if (c == '\\') {
        *s = slice_skip(*s, 1);
        return take_escape(s, quote, out);
    }
    size_t n = utf8_decode(s->data, s->len, &out->value);
    out->is_byte = false;
    if (n == 0) {
        out->value = UTF8_ERROR_RUNE;
        n = 1;
    }
    *s = slice_skip(*s, n);
    return 0;
}

static void append_unquoted(struct buf *out, const struct unquoted *c)
{
    uint8_t utf8[UTF8_BYTES_MAX];
    if (c->is_byte) {
        buf_append_byte(out, (uint8_t)c->value);
    } else {
        buf_append(out, utf8, utf8_encode(utf8, c->value));
    }
}

static int take_raw(struct slice s, struct buf *out, size_t *len)
{
    const uint8_t *end = s.len < 2 ? NULL : memchr(s.data + 1, '`', s.len - 1);
    if (end == NULL) {
        return ERR_MALFORMED;
    }
    *len = (size_t)(end - s.data) + 1;
    for (size_t i = 1; out != NULL && i < *len - 1; i++) {
        if (s.data[i] != '\r') {
            buf_append_byte(out, s.data[i]);
        }
    }
    return 0;
}

/* The literal at the start of s into out (NULL: only its length). */
static int take_literal(struct slice s, struct buf *out, size_t *len)
{
    struct slice rest = s;
    struct unquoted c;
    size_t count = 0;
    if (s.len < 2 || (s.data[0] != '"' && s.data[0] != '\'' && s.data[0] != '`')) {
        return ERR_MALFORMED;
    }
    uint8_t quote = s.data[0];
    if (quote == '`') {
        return take_raw(s, out, len);
    }
    for (rest = slice_skip(rest, 1); rest.len > 0 && rest.data[0] != quote; count++) {
        int err = take_char(&rest, quote, &c);
        if (err != 0 || (quote == '\'' && count == 1)) {
            return ERR_MALFORMED;
        }
        if (out != NULL) {
            append_unquoted(out, &c);
        }
    }
    if (rest.len == 0) { /* Go takes '' as well */
        return ERR_MALFORMED;
    }
    *len = s.len - rest.len + 1;
    return 0;
}

int gotext_quoted_prefix(struct slice s, size_t *out_len)
{
    return take_literal(s, NULL, out_len);
}

int gotext_unquote(struct slice s, struct buf *out)
{
    size_t start = out->len, len = 0;
    int err = take_literal(s, out, &len);
    if (err == 0 && len != s.len) {
        err = ERR_MALFORMED;
    }
    if (err != 0) {
        out->len = start;
    }
    return err;
}
