/* SPDX-License-Identifier: Apache-2.0
 *
 * base/json: see json.h.
 */
#include "base/json.h"

#include "base/err.h"

static bool string_body(struct json_reader *r, struct buf *out);

void json_init(struct json_reader *r, struct slice in)
{
    *r = (struct json_reader){.p = in.data, .end = in.len == 0 ? in.data : in.data + in.len};
}

bool json_fail(struct json_reader *r, int err)
{
    if (r->err == 0) {
        r->err = err;
    }
    r->p = r->end;
    return false;
}

static bool bad(struct json_reader *r)
{
    return json_fail(r, ERR_MALFORMED);
}

static void blanks(struct json_reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r')) {
        r->p++;
    }
}

/* The next byte that is not blank, 0 at the end. */
static uint8_t look(struct json_reader *r)
{
    blanks(r);
    return r->p < r->end ? *r->p : 0;
}

static bool literal(struct json_reader *r, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, text, n) != 0) {
        return bad(r);
    }
    r->p += n;
    return true;
}

int json_end(struct json_reader *r)
{
    if (r->err == 0) {
        blanks(r);
        if (r->p != r->end || r->depth != 0) {
            (void)bad(r);
        }
    }
    return r->err;
}

enum json_kind json_peek(struct json_reader *r)
{
    if (r->err != 0) {
        return JSON_NONE;
    }
    uint8_t c = look(r);
    switch (c) {
    case '{': return JSON_OBJECT;
    case '[': return JSON_ARRAY;
    case '"': return JSON_STRING;
    case 't':
    case 'f': return JSON_BOOL;
    case 'n': return JSON_NULL;
    default: return c == '-' || (c >= '0' && c <= '9') ? JSON_NUMBER : JSON_NONE;
    }
}

/* ---- objects and arrays ---- */

static bool level_begin(struct json_reader *r, uint8_t open)
{
    if (r->err != 0) {
        return false;
    }
    if (json_peek(r) == JSON_NULL) {
        (void)literal(r, "null");
        return false;
    }
    if (look(r) != open) {
        return bad(r);
    }
    if (r->depth == JSON_DEPTH_MAX) {
        return json_fail(r, ERR_LIMIT);
    }
    r->p++;
    r->depth++;
    r->is_first[r->depth] = true;
    return true;
}

/* Positions before the next item; false behind the closing byte. */
static bool level_next(struct json_reader *r, uint8_t close)
{
    if (r->err != 0) {
        return false;
    }
    ensure(r->depth > 0);
    uint8_t c = look(r);
    bool is_first = r->is_first[r->depth];
    r->is_first[r->depth] = false;
    if (c == close) {
        r->p++;
        r->depth--;
        return false;
    }
    if (!is_first) {
        if (c != ',') {
            return bad(r);
        }
        r->p++;
        if (look(r) == close) {
            return bad(r); /* a comma before the end */
        }
    }
    return true;
}

bool json_object_begin(struct json_reader *r)
{
    return level_begin(r, '{');
}

bool json_object_next(struct json_reader *r, struct buf *key)
{
    if (!level_next(r, '}')) {
        return false;
    }
    if (look(r) != '"' || !string_body(r, key)) {
        return bad(r);
    }
    if (look(r) != ':') {
        return bad(r);
    }
    r->p++;
    return true;
}

bool json_array_begin(struct json_reader *r)
{
    return level_begin(r, '[');
}

bool json_array_next(struct json_reader *r)
{
    return level_next(r, ']');
}

/* ---- scalars ---- */

static bool is_null(struct json_reader *r)
{
    return json_peek(r) == JSON_NULL && literal(r, "null");
}

static bool is_digit(const struct json_reader *r)
{
    return r->p < r->end && *r->p >= '0' && *r->p <= '9';
}

bool json_u64(struct json_reader *r, uint64_t *out)
{
    if (r->err != 0) {
        return false;
    }
    if (is_null(r)) {
        return true;
    }
    blanks(r);
    if (!is_digit(r)) {
        return bad(r);
    }
    const uint8_t *start = r->p;
    uint64_t v = 0;
    for (; is_digit(r); r->p++) {
        uint64_t digit = (uint64_t)(*r->p - '0');
        if (v > (UINT64_MAX - digit) / 10) {
            return bad(r);
        }
        v = v * 10 + digit;
    }
    if (*start == '0' && r->p != start + 1) {
        return bad(r);
    }
    if (r->p < r->end && (*r->p == '.' || *r->p == 'e' || *r->p == 'E')) {
        return bad(r);
    }
    *out = v;
    return true;
}

bool json_i64(struct json_reader *r, int64_t *out)
{
    if (r->err != 0) {
        return false;
    }
    if (is_null(r)) {
        return true;
    }
    blanks(r);
    bool is_negative = r->p < r->end && *r->p == '-';
    r->p += is_negative ? 1 : 0;
    uint64_t v = 0;
    if (!is_digit(r)) {
        return bad(r);
    }
    if (!json_u64(r, &v)) {
        return false;
    }
    if (v > (uint64_t)INT64_MAX + (is_negative ? 1 : 0)) {
        return bad(r);
    }
    *out = is_negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

static bool number_skip(struct json_reader *r)
{
    if (r->p < r->end && *r->p == '-') {
        r->p++;
    }
    if (!is_digit(r)) {
        return bad(r);
    }
    if (*r->p == '0') {
        r->p++;
    } else {
        while (is_digit(r)) {
            r->p++;
        }
    }
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (!is_digit(r)) {
            return bad(r);
        }
        while (is_digit(r)) {
            r->p++;
        }
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-')) {
            r->p++;
        }
        if (!is_digit(r)) {
            return bad(r);
        }
        while (is_digit(r)) {
            r->p++;
        }
    }
    return true;
}

bool json_bool(struct json_reader *r, bool *out)
{
    if (r->err != 0) {
        return false;
    }
    if (is_null(r)) {
        return true;
    }
    bool v = look(r) == 't';
    if (!literal(r, v ? "true" : "false")) {
        return false;
    }
    *out = v;
    return true;
}

bool json_string(struct json_reader *r, struct buf *out)
{
    if (r->err != 0) {
        return false;
    }
    if (is_null(r)) {
        return true;
    }
    return look(r) == '"' ? string_body(r, out) : bad(r);
}

/* ---- strings ---- */

static void put_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_append_byte(out, (uint8_t)c);
        return;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    buf_append_byte(out, (uint8_t)(lead[more] | c >> (6 * more)));
    while (more-- > 0) {
        buf_append_byte(out, (uint8_t)(0x80 | (c >> (6 * more) & 0x3f)));
    }
}

/* Length of the valid UTF-8 sequence at p, 0 if there is none. */
static size_t utf8_len(const uint8_t *p, const uint8_t *end, uint32_t *out)
{
    uint8_t c = *p;
    size_t n = c < 0x80                ? 1
               : c >= 0xc2 && c < 0xe0 ? 2
               : c >= 0xe0 && c < 0xf0 ? 3
               : c >= 0xf0 && c < 0xf5 ? 4
                                       : 0;
    if (n == 0 || (size_t)(end - p) < n) {
        return 0;
    }
    static const uint8_t mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t v = (uint32_t)(c & mask[n]);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        v = v << 6 | (p[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000)) {
        return 0;
    }
    *out = v;
    return n;
}

/* Four hex digits at r->p. */
static bool hex4(struct json_reader *r, uint32_t *out)
{
    if (r->end - r->p < 4) {
        return bad(r);
    }
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = *r->p++;
        uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 16;
        if (d == 16) {
            return bad(r);
        }
        v = v << 4 | d;
    }
    *out = v;
    return true;
}

/* Behind "\u".  A pair of surrogates is one character, a lone one is U+FFFD. */
static bool escape_u(struct json_reader *r, struct buf *out)
{
    uint32_t c;
    if (!hex4(r, &c)) {
        return false;
    }
    if (c >= 0xd800 && c < 0xdc00 && r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u') {
        const uint8_t *back = r->p;
        uint32_t low;
        r->p += 2;
        if (!hex4(r, &low)) {
            return false;
        }
        if (low >= 0xdc00 && low < 0xe000) {
            put_utf8(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
            return true;
        }
        r->p = back;
    }
    put_utf8(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
    return true;
}

static bool escape(struct json_reader *r, struct buf *out)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    if (r->p == r->end) {
        return bad(r);
    }
    uint8_t c = *r->p++;
    if (c == 'u') {
        return escape_u(r, out);
    }
    const char *at = c == 0 ? NULL : strchr(from, c);
    if (at == NULL) {
        return bad(r);
    }
    buf_append_byte(out, (uint8_t)to[at - from]);
    return true;
}

/* At the opening quote. */
static bool string_body(struct json_reader *r, struct buf *out)
{
    buf_clear(out);
    r->p++;
    while (r->p < r->end) {
        uint8_t c = *r->p;
        uint32_t rune;
        if (c == '"') {
            r->p++;
            return true;
        }
        if (c < 0x20) {
            return bad(r);
        }
        if (c == '\\') {
            r->p++;
            if (!escape(r, out)) {
                return false;
            }
            continue;
        }
        size_t n = utf8_len(r->p, r->end, &rune);
        if (n == 0) {
            put_utf8(out, 0xfffd);
            n = 1;
        } else {
            buf_append(out, r->p, n);
        }
        r->p += n;
    }
    return bad(r);
}

/* ---- skip ---- */

static bool scalar_skip(struct json_reader *r, enum json_kind kind)
{
    bool flag;
    struct buf text = BUF_INIT;
    bool ok;
    switch (kind) {
    case JSON_NULL: return literal(r, "null");
    case JSON_BOOL: return json_bool(r, &flag);
    case JSON_NUMBER: return number_skip(r);
    case JSON_STRING:
        ok = string_body(r, &text);
        buf_deinit(&text);
        return ok;
    case JSON_NONE:
    case JSON_ARRAY:
    case JSON_OBJECT:
    default: return bad(r);
    }
}

bool json_skip(struct json_reader *r)
{
    struct buf key = BUF_INIT;
    enum json_kind kind = json_peek(r);
    if (kind == JSON_OBJECT) {
        for (json_object_begin(r); json_object_next(r, &key);) {
            json_skip(r);
        }
    } else if (kind == JSON_ARRAY) {
        for (json_array_begin(r); json_array_next(r);) {
            json_skip(r);
        }
    } else {
        (void)scalar_skip(r, kind);
    }
    buf_deinit(&key);
    return r->err == 0;
}

bool json_key_is(const struct buf *key, const char *name)
{
    size_t n = strlen(name);
    if (key->len != n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        uint8_t a = key->data[i];
        uint8_t b = (uint8_t)name[i];
        a = a >= 'A' && a <= 'Z' ? (uint8_t)(a + 32) : a;
        b = b >= 'A' && b <= 'Z' ? (uint8_t)(b + 32) : b;
        if (a != b) {
            return false;
        }
    }
    return true;
}

/* ---- writer ---- */

void json_put_escape(struct buf *out, uint8_t c)
{
    switch (c) {
    case '"': buf_append_cstr(out, "\\\""); break;
    case '\\': buf_append_cstr(out, "\\\\"); break;
    case '\b': buf_append_cstr(out, "\\b"); break;
    case '\f': buf_append_cstr(out, "\\f"); break;
    case '\n': buf_append_cstr(out, "\\n"); break;
    case '\r': buf_append_cstr(out, "\\r"); break;
    case '\t': buf_append_cstr(out, "\\t"); break;
    default: buf_printf(out, "\\u%04x", c); break;
    }
}

static void put_escaped(struct buf *out, uint8_t c)
{
    bool is_html = c == '<' || c == '>' || c == '&';
    if (c < 0x20 || c == '"' || c == '\\' || is_html) {
        json_put_escape(out, c);
    } else {
        buf_append_byte(out, c);
    }
}

void json_put_go_string(struct buf *out, struct slice s)
{
    buf_append_byte(out, '"');
    const uint8_t *end = s.len == 0 ? s.data : s.data + s.len;
    for (const uint8_t *p = s.data; p < end;) {
        uint32_t rune = 0;
        size_t n = utf8_len(p, end, &rune);
        if (n == 0) {
            buf_append_cstr(out, "\\ufffd");
            n = 1;
        } else if (n == 1) {
            put_escaped(out, *p);
        } else if (rune == 0x2028 || rune == 0x2029) {
            buf_printf(out, "\\u%04x", rune);
        } else {
            buf_append(out, p, n);
        }
        p += n;
    }
    buf_append_byte(out, '"');
}
