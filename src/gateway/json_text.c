/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/json_text.h"

#include "base/gotext.h"
#include "base/utf8.h"

/* ---- strings ---- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The number behind \u at p; -1: not four hex digits. */
static int32_t hex4(const uint8_t *p)
{
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        int d = hex_digit(p[i]);
        if (d < 0) {
            return -1;
        }
        v = v << 4 | d;
    }
    return v;
}

static void put_rune(struct buf *out, uint32_t r)
{
    uint8_t b[UTF8_BYTES_MAX];
    size_t n = utf8_encode(b, r);
    buf_append(out, b, n);
}

static bool is_surrogate(int32_t r)
{
    return r >= 0xd800 && r < 0xe000;
}

/* utf16.DecodeRune; U+FFFD when they are no pair. */
static uint32_t pair_rune(int32_t hi, int32_t lo)
{
    if (hi < 0xd800 || hi >= 0xdc00 || lo < 0xdc00 || lo >= 0xe000) {
        return UTF8_ERROR_RUNE;
    }
    return 0x10000 + ((uint32_t)(hi - 0xd800) << 10 | (uint32_t)(lo - 0xdc00));
}

static uint8_t simple_escape(uint8_t c)
{
    switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return c;
    }
}

static bool strict_escape_error(struct slice at, struct buf *why)
{
    buf_append_cstr(why, "invalid escape code ");
    gotext_quote(why, slice_make(at.data, at.len < 6 ? at.len : 6));
    buf_append_cstr(why, " in string");
    return false;
}

/* at: from the backslash of \uXXXX to the end of the input; *used of it were taken. */
static bool strict_unicode(struct slice at, struct buf *out, size_t *used, struct buf *why,
                           bool *is_eof)
{
    int32_t r = hex4(at.data + 2);
    *used = 6;
    if (!is_surrogate(r)) {
        put_rune(out, (uint32_t)r);
        return true;
    }
    struct slice next = slice_skip(at, 6);
    if (next.len < 6) {
        *is_eof = true;
        buf_append_cstr(why, "unexpected EOF");
        return false;
    }
    int32_t lo = hex4(next.data + 2);
    uint32_t rune = pair_rune(r, lo);
    if (next.data[0] != '\\' || next.data[1] != 'u' || rune == UTF8_ERROR_RUNE) {
        return strict_escape_error(next, why);
    }
    put_rune(out, rune);
    *used = 12;
    return true;
}

bool json_text_strict(struct slice raw, struct slice rest, struct buf *out, struct buf *why,
                      bool *is_eof)
{
    size_t i = 1, end = raw.len - 1;
    *is_eof = false;
    while (i < end) {
        uint8_t c = raw.data[i];
        size_t used = 1;
        if (c == '\\' && raw.data[i + 1] == 'u') {
            if (!strict_unicode(slice_skip(rest, i), out, &used, why, is_eof)) {
                return false;
            }
        } else if (c == '\\') {
            buf_append_byte(out, simple_escape(raw.data[i + 1]));
            used = 2;
        } else if (c < 0x80) {
            buf_append_byte(out, c);
        } else {
            uint32_t rune;
            used = utf8_decode(raw.data + i, end - i, &rune);
            if (used == 0) {
                buf_append_cstr(why, "invalid UTF-8 in string");
                return false;
            }
            buf_append(out, raw.data + i, used);
        }
        i += used;
    }
    return true;
}

/* at: as above, up to the string's end. */
static size_t lenient_unicode(struct slice at, struct buf *out)
{
    int32_t r = hex4(at.data + 2);
    if (!is_surrogate(r)) {
        put_rune(out, (uint32_t)r);
        return 6;
    }
    if (at.len >= 12 && at.data[6] == '\\' && at.data[7] == 'u') {
        uint32_t rune = pair_rune(r, hex4(at.data + 8));
        if (rune != UTF8_ERROR_RUNE) {
            put_rune(out, rune);
            return 12;
        }
    }
    put_rune(out, UTF8_ERROR_RUNE);
    return 6;
}

void json_text_lenient(struct slice raw, struct buf *out)
{
    size_t i = 1, end = raw.len - 1;
    while (i < end) {
        uint8_t c = raw.data[i];
        if (c == '\\' && raw.data[i + 1] == 'u') {
            i += lenient_unicode(slice_make(raw.data + i, end - i), out);
        } else if (c == '\\') {
            buf_append_byte(out, simple_escape(raw.data[i + 1]));
            i += 2;
        } else {
            uint32_t rune;
            size_t n = utf8_decode(raw.data + i, end - i, &rune);
            put_rune(out, n == 0 ? UTF8_ERROR_RUNE : rune);
            i += n == 0 ? 1 : n;
        }
    }
}

/* ---- base64 ---- */

struct base64 {
    bool is_url;
    bool is_padded;
};

static int digit_of(const struct base64 *f, uint8_t c)
{
    if (f->is_url) {
        if (c == '-' || c == '_') {
            return c == '-' ? 62 : 63;
        }
        if (c == '+' || c == '/') {
            return -1;
        }
    }
    return gotext_base64_value(c);
}

static bool is_newline(uint8_t c)
{
    return c == '\n' || c == '\r';
}

static size_t skip_newlines(struct slice s, size_t i)
{
    while (i < s.len && is_newline(s.data[i])) {
        i++;
    }
    return i;
}

/* A quantum of up to four digits from *at on. */
struct quantum {
    uint8_t digits[4];
    size_t count; /* of them */
    bool is_last;
};

static bool corrupt(size_t *bad_at, size_t at)
{
    *bad_at = at;
    return false;
}

/* The padding that begins at *at, behind j digits; Go's offsets. */
static bool padding_take(struct slice s, size_t j, size_t *at, size_t *bad_at)
{
    size_t i = *at + 1;
    if (j < 2) {
        return corrupt(bad_at, i - 1);
    }
    if (j == 2) {
        i = skip_newlines(s, i);
        if (i == s.len) {
            return corrupt(bad_at, s.len);
        }
        if (s.data[i] != '=') {
            return corrupt(bad_at, i - 1);
        }
        i++;
    }
    i = skip_newlines(s, i);
    *at = i;
    return i == s.len || corrupt(bad_at, i);
}

static bool quantum_take(const struct base64 *f, struct slice s, size_t *at, struct quantum *q,
                         size_t *bad_at)
{
    size_t j = 0;
    q->is_last = false;
    while (j < 4) {
        if (*at == s.len) {
            if (j > 0 && (j == 1 || f->is_padded)) {
                return corrupt(bad_at, *at - j);
            }
            q->is_last = true;
            break;
        }
        uint8_t c = s.data[*at];
        int d = digit_of(f, c);
        if (d >= 0) {
            q->digits[j++] = (uint8_t)d;
            ++*at;
        } else if (is_newline(c)) {
            ++*at;
        } else if (c != '=' || !f->is_padded) {
            return corrupt(bad_at, *at);
        } else {
            q->is_last = true;
            if (!padding_take(s, j, at, bad_at)) {
                return false;
            }
            break;
        }
    }
    q->count = j;
    return true;
}

static void quantum_put(const struct quantum *q, struct buf *out)
{
    const uint8_t *d = q->digits;
    if (q->count > 1) {
        buf_append_byte(out, (uint8_t)(d[0] << 2 | d[1] >> 4));
    }
    if (q->count > 2) {
        buf_append_byte(out, (uint8_t)(d[1] << 4 | d[2] >> 2));
    }
    if (q->count > 3) {
        buf_append_byte(out, (uint8_t)(d[2] << 6 | d[3]));
    }
}

static bool has_byte(struct slice s, int c)
{
    return s.len > 0 && memchr(s.data, c, s.len) != NULL;
}

bool json_base64_decode(enum json_base64 form, struct slice s, struct buf *out, size_t *bad_at)
{
    struct base64 f = {.is_padded = true};
    if (form == JSON_BASE64_ANY) {
        f.is_url = has_byte(s, '-') || has_byte(s, '_');
        f.is_padded = s.len % 4 == 0;
    }
    buf_reserve(out, s.len / 4 * 3 + 3);
    for (size_t at = 0;;) {
        struct quantum q = {.count = 0};
        if (!quantum_take(&f, s, &at, &q, bad_at)) {
            return false;
        }
        quantum_put(&q, out);
        if (q.is_last) {
            return true;
        }
    }
}

/* ---- numbers ---- */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static size_t skip_digits(struct slice s, size_t i)
{
    while (i < s.len && is_digit(s.data[i])) {
        i++;
    }
    return i;
}

static bool is_word(uint8_t c)
{
    uint8_t lower = c | 0x20;
    return is_digit(c) || (lower >= 'a' && lower <= 'z') || c == '-' || c == '+' || c == '.' ||
           c == '_';
}

/* Its parts; digits of int_part without a leading zero, of fraction without trailing ones. */
struct number {
    bool is_negative;
    struct slice int_part, fraction, exponent;
    size_t len;
};

static bool number_parse(struct slice s, struct number *n)
{
    size_t i = 0;
    memset(n, 0, sizeof(*n));
    if (i < s.len && s.data[i] == '-') {
        n->is_negative = true;
        i++;
    }
    if (i == s.len || !is_digit(s.data[i])) {
        return false;
    }
    size_t from = i;
    i = s.data[i] == '0' ? i + 1 : skip_digits(s, i);
    n->int_part = s.data[from] == '0' ? SLICE_NULL : slice_make(s.data + from, i - from);
    if (s.len - i >= 2 && s.data[i] == '.' && is_digit(s.data[i + 1])) {
        from = i + 1;
        i = skip_digits(s, from);
        n->fraction = slice_make(s.data + from, i - from);
        while (n->fraction.len > 0 && n->fraction.data[n->fraction.len - 1] == '0') {
            n->fraction.len--;
        }
    }
    if (s.len - i >= 2 && (s.data[i] | 0x20) == 'e') {
        from = ++i;
        if (s.data[i] == '+' || s.data[i] == '-') {
            i++;
            if (i == s.len) {
                return false;
            }
        }
        i = skip_digits(s, i);
        n->exponent = slice_make(s.data + from, i - from);
    }
    n->len = i;
    return i == s.len || !is_word(s.data[i]);
}

size_t json_number_length(struct slice s)
{
    struct number n;
    return number_parse(s, &n) ? n.len : 0;
}

enum { NUMBER_DIGITS_MAX = 20 }; /* of a uint64 */

/* The number without fraction and exponent, with its sign; false: not integral, or far too large.
 */
static bool number_digits(const struct number *n, struct buf *out)
{
    int64_t exp = 0;
    if (n->int_part.len == 0 && n->fraction.len == 0) {
        buf_append_byte(out, '0');
        return true;
    }
    if (n->exponent.len > 0 && gotext_parse_int(n->exponent, 10, 32, &exp) != 0) {
        return false;
    }
    if (n->is_negative) {
        buf_append_byte(out, '-');
    }
    if (exp >= 0) {
        size_t shift = (size_t)exp;
        if (n->fraction.len > shift || n->int_part.len + shift > NUMBER_DIGITS_MAX) {
            return false;
        }
        buf_append_slice(out, n->int_part);
        buf_append_slice(out, n->fraction);
        for (size_t i = n->fraction.len; i < shift; i++) {
            buf_append_byte(out, '0');
        }
        return true;
    }
    size_t drop = (size_t)-exp;
    if (n->fraction.len > 0 || drop > n->int_part.len) {
        return false;
    }
    size_t keep = n->int_part.len - drop;
    for (size_t i = keep; i < n->int_part.len; i++) {
        if (n->int_part.data[i] != '0') {
            return false;
        }
    }
    buf_append_slice(out, slice_make(n->int_part.data, keep));
    return true;
}

static bool number_normal(struct slice s, struct buf *digits)
{
    struct number n;
    return number_parse(s, &n) && number_digits(&n, digits);
}

bool json_number_int(struct slice number, int bits, int64_t *out)
{
    struct buf digits = BUF_INIT;
    bool ok =
        number_normal(number, &digits) && gotext_parse_int(buf_slice(&digits), 10, bits, out) == 0;
    buf_deinit(&digits);
    return ok;
}

bool json_number_uint(struct slice number, int bits, uint64_t *out)
{
    struct buf digits = BUF_INIT;
    bool ok =
        number_normal(number, &digits) && gotext_parse_uint(buf_slice(&digits), 10, bits, out) == 0;
    buf_deinit(&digits);
    return ok;
}

static bool is_space_rune(uint32_t r)
{
    return (r >= 9 && r <= 13) || r == ' ' || r == 0x85 || r == 0xa0 || r == 0x1680 ||
           (r >= 0x2000 && r <= 0x200a) || r == 0x2028 || r == 0x2029 || r == 0x202f ||
           r == 0x205f || r == 0x3000;
}

bool json_has_outer_space(struct slice s)
{
    uint32_t first = 0, last = 0;
    if (s.len == 0) {
        return false;
    }
    (void)utf8_decode(s.data, s.len, &first);
    for (size_t back = 1; back <= s.len && back <= UTF8_BYTES_MAX; back++) {
        if (utf8_decode(s.data + s.len - back, back, &last) == back) {
            break;
        }
        last = 0;
    }
    return is_space_rune(first) || is_space_rune(last);
}
