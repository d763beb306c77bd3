/* SPDX-License-Identifier: Apache-2.0
 *
 * base/gotext_json: JSON strings and base64 as encoding/json writes them.
 */
#include "base/err.h"
#include "base/gotext.h"
#include "base/utf8.h"

static void json_ascii(struct buf *out, uint8_t c)
{
    switch (c) {
    case '"': buf_append_cstr(out, "\\\""); return;
    case '\\': buf_append_cstr(out, "\\\\"); return;
    case '\b': buf_append_cstr(out, "\\b"); return;
    case '\f': buf_append_cstr(out, "\\f"); return;
    case '\n': buf_append_cstr(out, "\\n"); return;
    case '\r': buf_append_cstr(out, "\\r"); return;
    case '\t': buf_append_cstr(out, "\\t"); return;
    default: break;
    }
    if (c < 0x20 || c == '<' || c == '>' || c == '&') {
        buf_printf(out, "\\u%04x", c);
    } else {
        buf_append_byte(out, c);
    }
}

void gotext_json_string(struct buf *out, struct slice s)
{
    uint32_t rune;
    buf_append_byte(out, '"');
    while (s.len > 0) {
        size_t n = utf8_decode(s.data, s.len, &rune);
        if (n == 1) {
            json_ascii(out, s.data[0]);
        } else if (n == 0) {
            buf_append_cstr(out, "\\ufffd");
            n = 1;
        } else if (rune == 0x2028 || rune == 0x2029) {
            buf_printf(out, "\\u%04x", rune);
        } else {
            buf_append(out, s.data, n);
        }
        s = slice_skip(s, n);
    }
    buf_append_byte(out, '"');
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void gotext_base64(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.len; i += 3) {
        size_t n = s.len - i < 3 ? s.len - i : 3;
        uint32_t v = (uint32_t)s.data[i] << 16;
        v |= n > 1 ? (uint32_t)s.data[i + 1] << 8 : 0;
        v |= n > 2 ? s.data[i + 2] : 0;
        uint8_t *p = buf_extend(out, 4);
        p[0] = (uint8_t)base64_digits[v >> 18];
        p[1] = (uint8_t)base64_digits[v >> 12 & 63];
        p[2] = n > 1 ? (uint8_t)base64_digits[v >> 6 & 63] : '=';
        p[3] = n > 2 ? (uint8_t)base64_digits[v & 63] : '=';
    }
}

int gotext_base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Up to four digits; fewer before the padding.  False when a byte is neither digit nor line end. */
static int take_quantum(struct slice *s, int digits[4], int *count)
{
    *count = 0;
    while (s->len > 0 && *count < 4) {
        uint8_t c = s->data[0];
        if (c == '=') {
            break;
        }
        *s = slice_skip(*s, 1);
        if (c == '\r' || c == '\n') {
            continue;
        }
        int v = gotext_base64_value(c);
        if (v < 0) {
            return ERR_MALFORMED;
        }
        digits[(*count)++] = v;
    }
    return 0;
}

/* What stands behind the last digits must be exactly the padding, line ends aside. */
static int check_padding(struct slice s, int want)
{
    int pads = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '=') {
            pads++;
        } else if (s.data[i] != '\r' && s.data[i] != '\n') {
            return ERR_MALFORMED;
        }
    }
    return pads == want ? 0 : ERR_MALFORMED;
}

int gotext_base64_decode(struct slice s, struct buf *out)
{
    size_t start = out->len;
    int d[4] = {0}, count, err = 0;
    while (s.len > 0 && err == 0) {
        err = take_quantum(&s, d, &count);
        if (err != 0 || count == 1) {
            err = ERR_MALFORMED;
            break;
        }
        uint8_t bytes[3] = {(uint8_t)(d[0] << 2 | d[1] >> 4), (uint8_t)(d[1] << 4 | d[2] >> 2),
                            (uint8_t)(d[2] << 6 | d[3])};
        buf_append(out, bytes, count == 0 ? 0 : (size_t)count - 1);
        if (count < 4) {
            err = check_padding(s, count == 0 ? 0 : 4 - count);
            break;
        }
    }
    if (err != 0) {
        out->len = start;
    }
    return err;
}
