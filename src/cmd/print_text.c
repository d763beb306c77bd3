/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/print_text.h"

#include <math.h>
#include <stdio.h>

#include "base/assert.h"

enum { RUNE_BAD = 0xfffd, RUNE_MAX = 0x10ffff };

struct rune_range {
    uint32_t lo;
    uint32_t hi;
};

static const struct rune_range printable[] = {
#include "cmd/print_unicode.inc"
};

static bool rune_is_printable(uint32_t r)
{
    if (r < 0x80) {
        return r >= 0x20 && r < 0x7f;
    }
    size_t lo = 0;
    size_t hi = ARRAY_LEN(printable);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (r > printable[mid].hi) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < ARRAY_LEN(printable) && r >= printable[lo].lo;
}

static size_t rune_size(uint8_t lead)
{
    return lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
}

size_t text_rune(struct slice s, uint32_t *out_rune, bool *out_ok)
{
    uint8_t lead = s.data[0];
    *out_ok = true;
    if (lead < 0x80) {
        *out_rune = lead;
        return 1;
    }
    size_t n = rune_size(lead);
    *out_rune = RUNE_BAD;
    *out_ok = false;
    if (lead < 0xc2 || lead > 0xf4 || s.len < n) {
        return 1;
    }
    uint32_t r = lead & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s.data[i] & 0xc0) != 0x80) {
            return 1;
        }
        r = r << 6 | (s.data[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (r < least[n] || r > RUNE_MAX || (r >= 0xd800 && r < 0xe000)) {
        return 1;
    }
    *out_rune = r;
    *out_ok = true;
    return n;
}

void text_append_rune(struct buf *out, uint32_t r)
{
    if (r < 0x80) {
        buf_append_byte(out, (uint8_t)r);
    } else if (r < 0x800) {
        buf_append_byte(out, (uint8_t)(0xc0 | r >> 6));
        buf_append_byte(out, (uint8_t)(0x80 | (r & 0x3f)));
    } else if (r < 0x10000) {
        buf_append_byte(out, (uint8_t)(0xe0 | r >> 12));
        buf_append_byte(out, (uint8_t)(0x80 | (r >> 6 & 0x3f)));
        buf_append_byte(out, (uint8_t)(0x80 | (r & 0x3f)));
    } else {
        buf_append_byte(out, (uint8_t)(0xf0 | r >> 18));
        buf_append_byte(out, (uint8_t)(0x80 | (r >> 12 & 0x3f)));
        buf_append_byte(out, (uint8_t)(0x80 | (r >> 6 & 0x3f)));
        buf_append_byte(out, (uint8_t)(0x80 | (r & 0x3f)));
    }
}

/* The letter behind the backslash for \a \b \f \n \r \t \v, or 0. */
static char short_escape(uint32_t r)
{
    static const char letters[] = "abtnvfr";
    return r >= 7 && r <= 13 ? letters[r - 7] : 0;
}

static void quote_rune(struct buf *out, uint32_t r, struct slice bytes, bool is_ok, char quote)
{
    if (!is_ok) {
        buf_printf(out, "\\x%02x", bytes.data[0]);
    } else if (r == (uint32_t)quote || r == '\\') {
        buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)r);
    } else if (rune_is_printable(r)) {
        buf_append_slice(out, bytes);
    } else if (short_escape(r) != 0) {
        buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)short_escape(r));
    } else if (r < 0x20 || r == 0x7f) {
        buf_printf(out, "\\x%02x", r);
    } else if (r < 0x10000) {
        buf_printf(out, "\\u%04x", r);
    } else {
        buf_printf(out, "\\U%08x", r);
    }
}

void text_quote(struct buf *out, struct slice s)
{
    buf_append_byte(out, '"');
    while (s.len > 0) {
        uint32_t r;
        bool is_ok;
        size_t n = text_rune(s, &r, &is_ok);
        quote_rune(out, r, slice_make(s.data, n), is_ok, '"');
        s = slice_skip(s, n);
    }
    buf_append_byte(out, '"');
}

void text_quote_rune(struct buf *out, uint32_t rune)
{
    struct buf bytes = BUF_INIT;
    text_append_rune(&bytes, rune);
    buf_append_byte(out, '\'');
    quote_rune(out, rune, buf_slice(&bytes), true, '\'');
    buf_append_byte(out, '\'');
    buf_deinit(&bytes);
}

static void json_rune(struct buf *out, uint32_t r, struct slice bytes, bool is_ok)
{
    static const char shorts[] = "\bb\ff\nn\rr\tt";
    if (!is_ok) {
        buf_append_cstr(out, "\\ufffd");
        return;
    }
    for (size_t i = 0; r < 0x20 && i + 1 < sizeof(shorts); i += 2) {
        if ((uint32_t)shorts[i] == r) {
            buf_append_byte(out, '\\');
            buf_append_byte(out, (uint8_t)shorts[i + 1]);
            return;
        }
    }
    if (r == '"' || r == '\\') {
        buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)r);
    } else if (r < 0x20 || r == '<' || r == '>' || r == '&' || r == 0x2028 || r == 0x2029) {
        buf_printf(out, "\\u%04x", r);
    } else {
        buf_append_slice(out, bytes);
    }
}

void text_json(struct buf *out, struct slice s)
{
    buf_append_byte(out, '"');
    while (s.len > 0) {
        uint32_t r;
        bool is_ok;
        size_t n = text_rune(s, &r, &is_ok);
        json_rune(out, r, slice_make(s.data, n), is_ok);
        s = slice_skip(s, n);
    }
    buf_append_byte(out, '"');
}

void text_base64(struct buf *out, struct slice s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *to = buf_extend(out, (s.len + 2) / 3 * 4);
    size_t at = 0;
    for (size_t i = 0; i < s.len; i += 3) {
        size_t left = s.len - i;
        uint32_t v = (uint32_t)s.data[i] << 16;
        v |= left > 1 ? (uint32_t)s.data[i + 1] << 8 : 0;
        v |= left > 2 ? (uint32_t)s.data[i + 2] : 0;
        to[at++] = (uint8_t)digits[v >> 18];
        to[at++] = (uint8_t)digits[v >> 12 & 63];
        to[at++] = left > 1 ? (uint8_t)digits[v >> 6 & 63] : (uint8_t)'=';
        to[at++] = left > 2 ? (uint8_t)digits[v & 63] : (uint8_t)'=';
    }
}

void text_human_bytes(struct buf *out, uint64_t n)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    if (n < 10) {
        buf_printf(out, "%u B", (unsigned)n);
        return;
    }
    /* The same floating point steps as the reference, so that the borders agree. */
    double e = floor(log((double)n) / log(1000));
    double val = floor((double)n / pow(1000, e) * 10 + 0.5) / 10;
    buf_printf(out, val < 10 ? "%.1f %s" : "%.0f %s", val, units[(size_t)e]);
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

static int digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

/* count digits of base at s; false when one is missing. */
static bool unquote_number(struct slice s, size_t count, int base, uint32_t *out)
{
    uint32_t v = 0;
    if (s.len < count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        int d = digit_of(s.data[i]);
        if (d >= base || v > RUNE_MAX) {
            return false;
        }
        v = v * (uint32_t)base + (uint32_t)d;
    }
    *out = v;
    return true;
}

/* s starts behind the backslash; the bytes used, or 0 for a bad escape. */
static size_t unquote_escape(struct slice s, struct buf *out)
{
    static const char shorts[] = "a\ab\bf\fn\nr\rt\tv\v\\\\\"\"";
    uint32_t v;
    if (s.len == 0) {
        return 0;
    }
    uint8_t c = s.data[0];
    for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
        if ((uint8_t)shorts[i] == c) {
            buf_append_byte(out, (uint8_t)shorts[i + 1]);
            return 1;
        }
    }
    if (c == 'x' && unquote_number(slice_skip(s, 1), 2, 16, &v)) {
        buf_append_byte(out, (uint8_t)v);
        return 3;
    }
    if (c >= '0' && c <= '7' && unquote_number(s, 3, 8, &v) && v <= 255) {
        buf_append_byte(out, (uint8_t)v);
        return 3;
    }
    size_t digits = c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0 || !unquote_number(slice_skip(s, 1), digits, 16, &v) || v > RUNE_MAX ||
        (v >= 0xd800 && v < 0xe000)) {
        return 0;
    }
    text_append_rune(out, v);
    return 1 + digits;
}

static bool unquote_double(struct slice s, struct buf *out)
{
    while (s.len > 0) {
        uint32_t r;
        bool is_ok;
        size_t n;
        if (s.data[0] == '\\') {
            n = unquote_escape(slice_skip(s, 1), out);
            if (n == 0) {
                return false;
            }
            n++;
        } else if (s.data[0] == '"' || s.data[0] == '\n') {
            return false;
        } else {
            n = text_rune(s, &r, &is_ok);
            text_append_rune(out, r);
        }
        s = slice_skip(s, n);
    }
    return true;
}

bool text_unquote(struct slice literal, struct buf *out)
{
    if (literal.len < 2 || literal.data[0] != literal.data[literal.len - 1]) {
        return false;
    }
    struct slice inner = slice_make(literal.data + 1, literal.len - 2);
    if (literal.data[0] == '"') {
        return unquote_double(inner, out);
    }
    if (literal.data[0] != '`') {
        return false;
    }
    buf_append_slice(out, inner);
    return true;
}

/* ---- numbers ---------------------------------------------------------------------------------- */

static int number_error(const char *fn, struct slice s, const char *why, struct buf *reason)
{
    buf_printf(reason, "strconv.%s: parsing ", fn);
    text_quote(reason, s);
    buf_printf(reason, ": %s", why);
    return ERR_INVALID;
}

/* Go's rule: an underscore stands between digits or behind the base prefix. */
static bool underscores_ok(struct slice s, bool has_prefix)
{
    uint8_t before = has_prefix ? '0' : ' ';
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '_' && (before == '_' || before == ' ' || i + 1 == s.len)) {
            return false;
        }
        before = s.data[i];
    }
    return true;
}

/* Takes off 0x, 0o, 0b and 0 and finds the base. */
static struct slice number_prefix(struct slice s, int *base, bool *has_prefix)
{
    *has_prefix = false;
    if (*base != 0) {
        return s;
    }
    *base = 10;
    if (s.len < 2 || s.data[0] != '0') {
        return s;
    }
    uint8_t letter = s.data[1] | 0x20;
    *has_prefix = true;
    if (letter == 'x' || letter == 'o' || letter == 'b') {
        *base = letter == 'x' ? 16 : letter == 'o' ? 8 : 2;
        return slice_skip(s, 2);
    }
    *base = 8;
    return slice_skip(s, 1);
}

enum number_result { NUMBER_OK, NUMBER_SYNTAX, NUMBER_RANGE };

static enum number_result number_magnitude(struct slice s, int base, uint64_t *out)
{
    bool allow_underscore = base == 0;
    bool has_prefix;
    s = number_prefix(s, &base, &has_prefix);
    uint64_t v = 0;
    bool is_over = false;
    if (s.len == 0 || (allow_underscore && !underscores_ok(s, has_prefix))) {
        return NUMBER_SYNTAX;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '_' && allow_underscore) {
            continue;
        }
        int d = digit_of(s.data[i]);
        if (d >= base) {
            return NUMBER_SYNTAX;
        }
        is_over = is_over || __builtin_mul_overflow(v, (uint64_t)base, &v) ||
                  __builtin_add_overflow(v, (uint64_t)d, &v);
    }
    *out = v;
    return is_over ? NUMBER_RANGE : NUMBER_OK;
}

int text_parse_u64(struct slice s, int base, uint64_t *out, struct buf *reason)
{
    uint64_t v;
    enum number_result r = number_magnitude(s, base, &v);
    if (r != NUMBER_OK) {
        return number_error("ParseUint", s,
                            r == NUMBER_RANGE ? "value out of range" : "invalid syntax", reason);
    }
    *out = v;
    return 0;
}

int text_parse_i64(struct slice s, int base, int64_t *out, struct buf *reason)
{
    struct slice digits = s;
    bool is_negative = s.len > 0 && s.data[0] == '-';
    if (s.len > 0 && (s.data[0] == '-' || s.data[0] == '+')) {
        digits = slice_skip(s, 1);
    }
    uint64_t v = 0;
    enum number_result r = number_magnitude(digits, base, &v);
    uint64_t limit = (uint64_t)INT64_MAX + (is_negative ? 1 : 0);
    if (r == NUMBER_OK && v > limit) {
        r = NUMBER_RANGE;
    }
    if (r != NUMBER_OK) {
        return number_error("ParseInt", s,
                            r == NUMBER_RANGE ? "value out of range" : "invalid syntax", reason);
    }
    *out = is_negative ? (int64_t)(0 - v) : (int64_t)v;
    return 0;
}

int text_parse_bool(struct slice s, bool *out, struct buf *reason)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        bool is_yes = slice_equal_cstr(s, yes[i]);
        if (is_yes || slice_equal_cstr(s, no[i])) {
            *out = is_yes;
            return 0;
        }
    }
    return number_error("ParseBool", s, "invalid syntax", reason);
}

/* ---- durations -------------------------------------------------------------------------------- */

static int duration_error(const char *what, struct slice detail, struct slice whole,
                          struct buf *reason)
{
    buf_printf(reason, "time: %s", what);
    if (detail.data != NULL) {
        buf_append_byte(reason, ' ');
        text_quote(reason, detail);
    }
    buf_append_cstr(reason, detail.data != NULL ? " in duration " : " ");
    text_quote(reason, whole);
    return ERR_INVALID;
}

static uint64_t duration_unit(struct slice unit)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {
        {"ns", 1},          {"us", 1000},        {"\xc2\xb5s", 1000},
        {"\xce\xbcs", 1000}, {"ms", 1000000},     {"s", 1000000000},
        {"m", 60000000000}, {"h", 3600000000000},
    };
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (slice_equal_cstr(unit, units[i].name)) {
            return units[i].ns;
        }
    }
    return 0;
}

static size_t digits_at(struct slice s, size_t at)
{
    size_t n = 0;
    while (at + n < s.len && s.data[at + n] >= '0' && s.data[at + n] <= '9') {
        n++;
    }
    return n;
}

/* One "12.5ms" at *at; adds to *total. */
static int duration_part(struct slice s, size_t *at, struct slice whole, uint64_t *total,
                         struct buf *reason)
{
    size_t whole_digits = digits_at(s, *at);
    uint64_t v = 0;
    double fraction = 0;
    double scale = 1;
    bool is_over = false;
    for (size_t i = 0; i < whole_digits; i++) {
        is_over = is_over || __builtin_mul_overflow(v, 10u, &v) ||
                  __builtin_add_overflow(v, (uint64_t)(s.data[*at + i] - '0'), &v);
    }
    *at += whole_digits;
    size_t fraction_digits = 0;
    if (*at < s.len && s.data[*at] == '.') {
        (*at)++;
        fraction_digits = digits_at(s, *at);
        for (size_t i = 0; i < fraction_digits && i < 18; i++) {
            fraction = fraction * 10 + (s.data[*at + i] - '0');
            scale *= 10;
        }
        *at += fraction_digits;
    }
    if (is_over || (whole_digits == 0 && fraction_digits == 0)) {
        return duration_error("invalid duration", SLICE_NULL, whole, reason);
    }
    size_t start = *at;
    while (*at < s.len && s.data[*at] != '.' && (s.data[*at] < '0' || s.data[*at] > '9')) {
        (*at)++;
    }
    struct slice unit = slice_make(s.data + start, *at - start);
    uint64_t ns = duration_unit(unit);
    if (unit.len == 0) {
        return duration_error("missing unit in duration", SLICE_NULL, whole, reason);
    }
    if (ns == 0) {
        return duration_error("unknown unit", unit, whole, reason);
    }
    if (__builtin_mul_overflow(v, ns, &v) ||
        __builtin_add_overflow(v, (uint64_t)(fraction * ((double)ns / scale)), &v) ||
        __builtin_add_overflow(*total, v, total) || *total > (uint64_t)INT64_MAX + 1) {
        return duration_error("invalid duration", SLICE_NULL, whole, reason);
    }
    return 0;
}

int text_parse_duration(struct slice s, int64_t *out_ns, struct buf *reason)
{
    bool is_negative = s.len > 0 && s.data[0] == '-';
    size_t at = s.len > 0 && (s.data[0] == '-' || s.data[0] == '+') ? 1 : 0;
    uint64_t total = 0;
    if (s.len - at == 1 && s.data[at] == '0') {
        *out_ns = 0;
        return 0;
    }
    if (at == s.len) {
        return duration_error("invalid duration", SLICE_NULL, s, reason);
    }
    while (at < s.len) {
        int err = duration_part(s, &at, s, &total, reason);
        if (err != 0) {
            return err;
        }
    }
    if (!is_negative && total > (uint64_t)INT64_MAX) {
        return duration_error("invalid duration", SLICE_NULL, s, reason);
    }
    *out_ns = is_negative ? (int64_t)(0 - total) : (int64_t)total;
    return 0;
}
