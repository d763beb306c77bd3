/* SPDX-License-Identifier: Apache-2.0
 *
 * base/gotext_time: time.ParseDuration.  The value is read in unsigned nanoseconds up to 2^63 (so
 * that the smallest negative duration is good), each step checked for overflow.
 */
#include "base/err.h"
#include "base/gotext.h"

#define DURATION_LIMIT (1ull << 63)

enum duration_fault { FAULT_NONE, FAULT_INVALID, FAULT_MISSING_UNIT, FAULT_UNKNOWN_UNIT };

struct duration_result {
    enum duration_fault fault;
    struct slice unit; /* for FAULT_UNKNOWN_UNIT */
    int64_t ns;
};

static bool is_digit(struct slice s)
{
    return s.len > 0 && s.data[0] >= '0' && s.data[0] <= '9';
}

/* Digits before the point; false when the number leaves the range. */
static bool take_whole(struct slice *s, uint64_t *out)
{
    uint64_t v = 0;
    while (is_digit(*s)) {
        if (v > DURATION_LIMIT / 10) {
            return false;
        }
        v = v * 10 + (uint64_t)(s->data[0] - '0');
        if (v > DURATION_LIMIT) {
            return false;
        }
        *s = slice_skip(*s, 1);
    }
    *out = v;
    return true;
}

/* Digits behind the point: value / scale.  Those beyond the range only lose precision. */
static void take_fraction(struct slice *s, uint64_t *value, double *scale)
{
    bool full = false;
    *value = 0;
    *scale = 1;
    for (; is_digit(*s); *s = slice_skip(*s, 1)) {
        if (full || *value > (DURATION_LIMIT - 1) / 10) {
            full = true;
            continue;
        }
        uint64_t v = *value * 10 + (uint64_t)(s->data[0] - '0');
        if (v > DURATION_LIMIT) {
            full = true;
            continue;
        }
        *value = v;
        *scale *= 10;
    }
}

static uint64_t unit_ns(struct slice unit)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {
        {"ns", 1},
        {"us", 1000},
        {"\xc2\xb5s", 1000}, /* U+00B5, micro sign */
        {"\xce\xbcs", 1000}, /* U+03BC, Greek mu */
        {"ms", 1000000},
        {"s", 1000000000},
        {"m", 60 * 1000000000ull},
        {"h", 3600 * 1000000000ull},
    };
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (slice_equal_cstr(unit, units[i].name)) {
            return units[i].ns;
        }
    }
    return 0;
}

static struct slice take_unit(struct slice *s)
{
    size_t n = 0;
    while (n < s->len && s->data[n] != '.' && (s->data[n] < '0' || s->data[n] > '9')) {
        n++;
    }
    struct slice unit = slice_make(s->data, n);
    *s = slice_skip(*s, n);
    return unit;
}

/* One number with its unit, added to *total. */
static enum duration_fault take_term(struct slice *s, uint64_t *total, struct slice *unit)
{
    uint64_t whole, fraction = 0;
    double scale = 1;
    size_t before = s->len;
    if (!is_digit(*s) && s->data[0] != '.') {
        return FAULT_INVALID;
    }
    if (!take_whole(s, &whole)) {
        return FAULT_INVALID;
    }
    bool digits = s->len != before;
    if (s->len > 0 && s->data[0] == '.') {
        *s = slice_skip(*s, 1);
        before = s->len;
        take_fraction(s, &fraction, &scale);
        digits = digits || s->len != before;
    }
    if (!digits) {
        return FAULT_INVALID;
    }
    *unit = take_unit(s);
    uint64_t ns = unit_ns(*unit);
    if (ns == 0) {
        return unit->len == 0 ? FAULT_MISSING_UNIT : FAULT_UNKNOWN_UNIT;
    }
    if (whole > DURATION_LIMIT / ns) {
        return FAULT_INVALID;
    }
    uint64_t v = whole * ns;
    if (fraction > 0) {
        v += (uint64_t)((double)fraction * ((double)ns / scale));
    }
    if (v > DURATION_LIMIT || *total + v > DURATION_LIMIT) {
        return FAULT_INVALID;
    }
    *total += v;
    return FAULT_NONE;
}

static struct duration_result parse(struct slice s)
{
    struct duration_result r = {.fault = FAULT_INVALID};
    uint64_t total = 0;
    bool negative = s.len > 0 && s.data[0] == '-';
    if (s.len > 0 && (negative || s.data[0] == '+')) {
        s = slice_skip(s, 1);
    }
    if (s.len == 0) {
        return r;
    }
    r.fault = FAULT_NONE;
    if (slice_equal_cstr(s, "0")) {
        return r;
    }
    while (s.len > 0 && r.fault == FAULT_NONE) {
        r.fault = take_term(&s, &total, &r.unit);
    }
    if (r.fault == FAULT_NONE && !negative && total == DURATION_LIMIT) {
        r.fault = FAULT_INVALID;
    }
    r.ns = (int64_t)(negative ? 0 - total : total);
    return r;
}

int gotext_parse_duration(struct slice s, int64_t *out_ns)
{
    struct duration_result r = parse(s);
    if (r.fault != FAULT_NONE) {
        return ERR_MALFORMED;
    }
    *out_ns = r.ns;
    return 0;
}

/* The time package's own quoting: \x.. for control and non-ASCII bytes. */
static void quote_ascii(struct buf *out, struct slice s)
{
    buf_append_byte(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        if (c >= 0x80 || c < ' ') {
            buf_printf(out, "\\x%02x", c);
            continue;
        }
        if (c == '"' || c == '\\') {
            buf_append_byte(out, '\\');
        }
        buf_append_byte(out, c);
    }
    buf_append_byte(out, '"');
}

void gotext_duration_error(struct buf *out, struct slice s)
{
    struct duration_result r = parse(s);
    switch (r.fault) {
    case FAULT_NONE: return;
    case FAULT_INVALID: buf_append_cstr(out, "time: invalid duration "); break;
    case FAULT_MISSING_UNIT: buf_append_cstr(out, "time: missing unit in duration "); break;
    case FAULT_UNKNOWN_UNIT:
        buf_append_cstr(out, "time: unknown unit ");
        quote_ascii(out, r.unit);
        buf_append_cstr(out, " in duration ");
        break;
    }
    quote_ascii(out, s);
}
