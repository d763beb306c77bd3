/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <inttypes.h>

#include "base/err.h"

static log_sink_fn sink;
static void *sink_arg;
static enum log_level level_min = LOG_INFO;

void log_sink_set(log_sink_fn fn, void *arg)
{
    sink = fn;
    sink_arg = arg;
}

void log_level_set(enum log_level min)
{
    level_min = min;
}

bool log_is_on(enum log_level level)
{
    return sink != NULL && level >= level_min;
}

void log_write(const struct log_line *line)
{
    if (log_is_on(line->level)) {
        sink(sink_arg, line);
    }
}

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {"debug",  "info",  "warn", "error",
                                        "dpanic", "panic", "fatal"};
    ensure((size_t)level < ARRAY_LEN(names));
    return names[level];
}

/* Length of the valid UTF-8 sequence at p, or 0. */
static size_t utf8_len(const uint8_t *p, size_t len)
{
    if (p[0] < 0x80) {
        return 1;
    }
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    if (n == 0 || n > len || p[0] > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) {
        return 0;
    }
    return n;
}

static void json_char(struct buf *out, uint8_t c)
{
    switch (c) {
    case '"': buf_append_cstr(out, "\\\""); break;
    case '\\': buf_append_cstr(out, "\\\\"); break;
    case '\n': buf_append_cstr(out, "\\n"); break;
    case '\r': buf_append_cstr(out, "\\r"); break;
    case '\t': buf_append_cstr(out, "\\t"); break;
    default:
        if (c < 0x20 || c == 0x7f) {
            buf_printf(out, "\\u%04x", c);
        } else {
            buf_append_byte(out, c);
        }
    }
}

void log_json_string(struct buf *out, const void *s, size_t len)
{
    const uint8_t *p = s;
    buf_append_byte(out, '"');
    while (len > 0) {
        size_t n = utf8_len(p, len);
        if (n == 1) {
            json_char(out, *p);
        } else if (n > 1) {
            buf_append(out, p, n);
        } else {
            buf_append_cstr(out, "\\ufffd");
            n = 1;
        }
        p += n;
        len -= n;
    }
    buf_append_byte(out, '"');
}

/* value / unit with the fraction's trailing zeros cut. */
static void duration_fraction(struct buf *out, uint64_t value, uint64_t unit)
{
    buf_printf(out, "%" PRIu64, value / unit);
    uint64_t rest = value % unit;
    if (rest == 0) {
        return;
    }
    buf_append_byte(out, '.');
    while (rest > 0) {
        unit /= 10;
        buf_append_byte(out, (uint8_t)('0' + rest / unit));
        rest %= unit;
    }
}

void log_duration(struct buf *out, int64_t ns)
{
    const uint64_t us = 1000, ms = 1000 * us, s = 1000 * ms;
    uint64_t v = ns < 0 ? (uint64_t)0 - (uint64_t)ns : (uint64_t)ns;
    if (ns < 0) {
        buf_append_byte(out, '-');
    }
    if (v == 0) {
        buf_append_cstr(out, "0s");
    } else if (v < us) {
        buf_printf(out, "%" PRIu64 "ns", v);
    } else if (v < ms) {
        duration_fraction(out, v, us);
        buf_append_cstr(out, "µs");
    } else if (v < s) {
        duration_fraction(out, v, ms);
        buf_append_cstr(out, "ms");
    } else {
        uint64_t hours = v / (3600 * s), minutes = v / (60 * s) % 60;
        if (hours > 0) {
            buf_printf(out, "%" PRIu64 "h", hours);
        }
        if (hours > 0 || minutes > 0) {
            buf_printf(out, "%" PRIu64 "m", minutes);
        }
        duration_fraction(out, v % (60 * s), s);
        buf_append_byte(out, 's');
    }
}

static void field_value(struct buf *out, const struct log_field *f)
{
    const char *const *strs;
    switch (f->kind) {
    case LOG_KIND_NONE: buf_append_cstr(out, "null"); break;
    case LOG_KIND_STR:
        log_json_string(out, f->ptr == NULL ? "" : f->ptr, f->ptr == NULL ? 0 : strlen(f->ptr));
        break;
    case LOG_KIND_SLICE: log_json_string(out, f->ptr, (size_t)f->num); break;
    case LOG_KIND_U64: buf_printf(out, "%" PRIu64, f->num); break;
    case LOG_KIND_I64: buf_printf(out, "%" PRId64, (int64_t)f->num); break;
    case LOG_KIND_HEX: buf_printf(out, "\"%" PRIx64 "\"", f->num); break;
    case LOG_KIND_BOOL: buf_append_cstr(out, f->num ? "true" : "false"); break;
    case LOG_KIND_NS:
        buf_append_byte(out, '"');
        log_duration(out, (int64_t)f->num);
        buf_append_byte(out, '"');
        break;
    case LOG_KIND_ERR: {
        const char *t = err_text((int)(int64_t)f->num);
        log_json_string(out, t, strlen(t));
        break;
    }
    case LOG_KIND_JSON: buf_append_cstr(out, f->ptr); break;
    case LOG_KIND_STRS:
        strs = f->ptr;
        buf_append_byte(out, '[');
        for (uint64_t i = 0; i < f->num; i++) {
            if (i > 0) {
                buf_append_byte(out, ',');
            }
            log_json_string(out, strs[i], strlen(strs[i]));
        }
        buf_append_byte(out, ']');
        break;
    }
}

void log_fields_json(struct buf *out, const struct log_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_append_byte(out, ',');
        log_json_string(out, fields[i].key, strlen(fields[i].key));
        buf_append_byte(out, ':');
        field_value(out, &fields[i]);
    }
}
