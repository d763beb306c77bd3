/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/print_text.h"

#include "base/utf8.h"

size_t text_rune(struct slice s, uint32_t *out_rune, bool *out_ok)
{
    size_t n = utf8_decode(s.data, s.len, out_rune);
    *out_ok = n > 0;
    if (n == 0) {
        *out_rune = UTF8_ERROR_RUNE;
        return 1;
    }
    return n;
}

void text_append_rune(struct buf *out, uint32_t rune)
{
    uint8_t bytes[UTF8_BYTES_MAX];
    buf_append(out, bytes, utf8_encode(bytes, rune));
}

void text_quote_rune(struct buf *out, uint32_t rune)
{
    struct buf bytes = BUF_INIT;
    struct buf quoted = BUF_INIT;
    text_append_rune(&bytes, rune);
    gotext_quote(&quoted, buf_slice(&bytes));
    /* The same escapes between other quotes. */
    buf_append_byte(out, '\'');
    if (rune == '"') {
        buf_append_byte(out, '"');
    } else if (rune == '\'') {
        buf_append_cstr(out, "\\'");
    } else {
        buf_append(out, quoted.data + 1, quoted.len - 2);
    }
    buf_append_byte(out, '\'');
    buf_deinit(&bytes);
    buf_deinit(&quoted);
}

void text_hex_bytes(struct buf *out, struct slice s)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < s.len; i++) {
        const char four[4] = {'\\', 'x', digits[s.data[i] >> 4], digits[s.data[i] & 15]};
        buf_append(out, four, sizeof(four));
    }
}

bool text_is_space(uint32_t r)
{
    return (r >= 9 && r <= 13) || r == ' ' || r == 0x85 || r == 0xa0 || r == 0x1680 ||
           (r >= 0x2000 && r <= 0x200a) || r == 0x2028 || r == 0x2029 || r == 0x202f ||
           r == 0x205f || r == 0x3000;
}

struct slice text_trim(struct slice s)
{
    size_t first = s.len;
    size_t end = 0;
    for (size_t at = 0; at < s.len;) {
        uint32_t r;
        bool is_ok;
        size_t n = text_rune(slice_skip(s, at), &r, &is_ok);
        if (!is_ok || !text_is_space(r)) {
            first = at < first ? at : first;
            end = at + n;
        }
        at += n;
    }
    return end == 0 ? slice_make(s.data, 0) : slice_make(s.data + first, end - first);
}

size_t text_width(struct slice s)
{
    size_t width = 0;
    for (; s.len > 0; width++) {
        uint32_t r;
        bool is_ok;
        s = slice_skip(s, text_rune(s, &r, &is_ok));
    }
    return width;
}

int text_parse_i64(struct slice s, int base, int64_t *out, struct buf *reason)
{
    int err = gotext_parse_int(s, base, 64, out);
    if (err != 0) {
        gotext_num_error(reason, "ParseInt", s, err);
        return ERR_INVALID;
    }
    return 0;
}

int text_parse_u64(struct slice s, int base, uint64_t *out, struct buf *reason)
{
    int err = gotext_parse_uint(s, base, 64, out);
    if (err != 0) {
        gotext_num_error(reason, "ParseUint", s, err);
        return ERR_INVALID;
    }
    return 0;
}

int text_parse_bool(struct slice s, bool *out, struct buf *reason)
{
    int err = gotext_parse_bool(s, out);
    if (err != 0) {
        gotext_num_error(reason, "ParseBool", s, err);
        return ERR_INVALID;
    }
    return 0;
}

int text_parse_duration(struct slice s, int64_t *out_ns, struct buf *reason)
{
    int err = gotext_parse_duration(s, out_ns);
    if (err != 0) {
        gotext_duration_error(reason, s);
        return ERR_INVALID;
    }
    return 0;
}
