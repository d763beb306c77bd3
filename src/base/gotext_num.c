/* SPDX-License-Identifier: Apache-2.0
 *
 * base/gotext_num: integers, booleans, floats and sizes.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/gotext.h"

enum { FLOAT_DIGITS_MAX = 17 };

/* 36 and more: no digit of any base. */
static unsigned digit_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10u : 36u;
}

/* For base 0: a digit or the prefix stands before each `_`, a digit behind it. */
static bool underscores_ok(struct slice s)
{
    enum { START = '^', DIGIT = '0', UNDERSCORE = '_', OTHER = '!' } last = START;
    size_t i = 0;
    bool hex = false;
    if (s.len >= 1 && (s.data[0] == '-' || s.data[0] == '+')) {
        s = slice_skip(s, 1);
    }
    if (s.len >= 2 && s.data[0] == '0') {
        uint8_t c = s.data[1] | 0x20;
        if (c == 'b' || c == 'o' || c == 'x') {
            i = 2;
            last = DIGIT;
            hex = c == 'x';
        }
    }
    for (; i < s.len; i++) {
        unsigned d = digit_value(s.data[i]);
        if (d < 10 || (hex && d < 16)) {
            last = DIGIT;
        } else if (s.data[i] == '_') {
            if (last != DIGIT) {
                return false;
            }
            last = UNDERSCORE;
        } else {
            if (last == UNDERSCORE) {
                return false;
            }
            last = OTHER;
        }
    }
    return last != UNDERSCORE;
}

/* The base that a literal's prefix names, and what is left to read. */
static int prefix_base(struct slice *s)
{
    if (s->data[0] != '0') {
        return 10;
    }
    if (s->len >= 3) {
        uint8_t c = s->data[1] | 0x20;
        int base = c == 'b' ? 2 : c == 'o' ? 8 : c == 'x' ? 16 : 0;
        if (base != 0) {
            *s = slice_skip(*s, 2);
            return base;
        }
    }
    *s = slice_skip(*s, 1);
    return 8;
}

static int parse_magnitude(struct slice s, int base, uint64_t max, uint64_t *out)
{
    bool any_base = base == 0, underscores = false;
    struct slice whole = s;
    uint64_t n = 0;
    if (s.len == 0) {
        return ERR_MALFORMED;
    }
    if (any_base) {
        base = prefix_base(&s);
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '_' && any_base) {
            underscores = true;
            continue;
        }
        unsigned d = digit_value(s.data[i]);
        if (d >= (unsigned)base) {
            return ERR_MALFORMED;
        }
        if (__builtin_mul_overflow(n, (uint64_t)base, &n) || __builtin_add_overflow(n, d, &n) ||
            n > max) {
            return ERR_TOO_LARGE;
        }
    }
    if (underscores && !underscores_ok(whole)) {
        return ERR_MALFORMED;
    }
    *out = n;
    return 0;
}

int gotext_parse_uint(struct slice s, int base, int bits, uint64_t *out)
{
    ensure(bits >= 1 && bits <= 64 && (base == 0 || (base >= 2 && base <= 36)));
    return parse_magnitude(s, base, UINT64_MAX >> (64 - bits), out);
}

int gotext_parse_int(struct slice s, int base, int bits, int64_t *out)
{
    ensure(bits >= 1 && bits <= 64 && (base == 0 || (base >= 2 && base <= 36)));
    uint64_t n, limit = 1ull << (bits - 1);
    bool negative = s.len > 0 && s.data[0] == '-';
    if (s.len > 0 && (negative || s.data[0] == '+')) {
        s = slice_skip(s, 1);
    }
    int err = parse_magnitude(s, base, UINT64_MAX >> (64 - bits), &n);
    if (err == 0 && n > limit - (negative ? 0 : 1)) {
        err = ERR_TOO_LARGE;
    }
    if (err == 0) {
        *out = (int64_t)(negative ? 0 - n : n);
    }
    return err;
}

int gotext_parse_bool(struct slice s, bool *out)
{
    static const char *const words[] = {"0", "f", "F", "FALSE", "false", "False",
                                        "1", "t", "T", "TRUE",  "true",  "True"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (slice_equal_cstr(s, words[i])) {
            *out = i >= ARRAY_LEN(words) / 2;
            return 0;
        }
    }
    return ERR_MALFORMED;
}

void gotext_num_error(struct buf *out, const char *func, struct slice s, int err)
{
    buf_printf(out, "strconv.%s: parsing ", func);
    gotext_quote(out, s);
    buf_append_cstr(out, err == ERR_TOO_LARGE ? ": value out of range" : ": invalid syntax");
}

/* A finite, positive number as the shortest decimal digits that read back to it. */
struct decimal {
    char digits[FLOAT_DIGITS_MAX + 1];
    int count;
    int exponent; /* of the first digit */
};

/* d.ddde+xx in text -> *d, without the zeros at the end. */
static void decimal_from_text(const char *text, struct decimal *d)
{
    const char *e = strchr(text, 'e');
    d->count = 0;
    for (const char *p = text; p != e; p++) {
        if (*p != '.') {
            d->digits[d->count++] = *p;
        }
    }
    while (d->count > 1 && d->digits[d->count - 1] == '0') {
        d->count--;
    }
    d->exponent = (int)strtol(e + 1, NULL, 10);
}

/* The digits at text one unit further from zero; false when that needs a longer number. */
static bool decimal_next(char *text)
{
    for (char *p = strchr(text, 'e') - 1; p >= text; p--) {
        if (*p == '.') {
            continue;
        }
        if (*p != '9') {
            (*p)++;
            return true;
        }
        *p = '0';
    }
    return false;
}

/* printf rounds correctly, so the first precision that reads back is the shortest form and the
 * nearest of its length.  But below a power of two the interval that reads back is half as wide:
 * there the neighbour above may be in it when the nearest is not. */
static void decimal_shortest(double v, struct decimal *d)
{
    char text[32];
    for (int digits = 0; digits < FLOAT_DIGITS_MAX; digits++) {
        (void)snprintf(text, sizeof(text), "%.*e", digits, v);
        bool found = strtod(text, NULL) == v;
        if (!found && decimal_next(text)) {
            found = strtod(text, NULL) == v;
        }
        if (found) {
            break;
        }
    }
    decimal_from_text(text, d);
}

static void append_exponent(struct buf *out, const struct decimal *d)
{
    buf_append_byte(out, (uint8_t)d->digits[0]);
    if (d->count > 1) {
        buf_append_byte(out, '.');
        buf_append(out, d->digits + 1, (size_t)d->count - 1);
    }
    buf_printf(out, "e%c%02d", d->exponent < 0 ? '-' : '+', abs(d->exponent));
}

static void append_zeros(struct buf *out, int count)
{
    for (int i = 0; i < count; i++) {
        buf_append_byte(out, '0');
    }
}

static void append_plain(struct buf *out, const struct decimal *d)
{
    int whole = d->exponent + 1; /* digits before the point */
    if (whole <= 0) {
        buf_append_cstr(out, "0.");
        append_zeros(out, -whole);
        buf_append(out, d->digits, (size_t)d->count);
    } else if (whole >= d->count) {
        buf_append(out, d->digits, (size_t)d->count);
        append_zeros(out, whole - d->count);
    } else {
        buf_append(out, d->digits, (size_t)whole);
        buf_append_byte(out, '.');
        buf_append(out, d->digits + whole, (size_t)(d->count - whole));
    }
}

/* Sign, zero and what is no number; true when nothing is left to write. */
static bool append_special(struct buf *out, double v)
{
    if (isnan(v)) {
        buf_append_cstr(out, "NaN");
        return true;
    }
    if (isinf(v)) {
        buf_append_cstr(out, v > 0 ? "+Inf" : "-Inf");
        return true;
    }
    if (signbit(v)) {
        buf_append_byte(out, '-');
    }
    if (v == 0) {
        buf_append_byte(out, '0');
        return true;
    }
    return false;
}

void gotext_float(struct buf *out, double v)
{
    enum { PLAIN_MIN = -4, PLAIN_END = 6 };
    struct decimal d;
    if (append_special(out, v)) {
        return;
    }
    decimal_shortest(fabs(v), &d);
    if (d.exponent < PLAIN_MIN || d.exponent >= PLAIN_END) {
        append_exponent(out, &d);
    } else {
        append_plain(out, &d);
    }
}

void gotext_json_float(struct buf *out, double v)
{
    struct decimal d;
    ensure(isfinite(v));
    if (append_special(out, v)) {
        return;
    }
    decimal_shortest(fabs(v), &d);
    if (fabs(v) >= 1e-6 && fabs(v) < 1e21) {
        append_plain(out, &d);
        return;
    }
    append_exponent(out, &d);
    /* e-09 is written e-9. */
    if (d.exponent < 0 && d.exponent > -10) {
        out->data[out->len - 2] = out->data[out->len - 1];
        out->len--;
    }
}

void gotext_size(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    if (bytes < 10) {
        buf_printf(out, "%u B", (unsigned)bytes);
        return;
    }
    double e = floor(log((double)bytes) / log(1000));
    double v = floor((double)bytes / pow(1000, e) * 10 + 0.5) / 10;
    buf_printf(out, v < 10 ? "%.1f %s" : "%.0f %s", v, units[(int)e]);
}
