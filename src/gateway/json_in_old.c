/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/json_in_old: the reading of etcd 3.5's gateway: a map of raw values a message, then field
 * by field in the order of the proto, each through encoding/json.  A list of numbers for bytes is
 * refused (encoding/json takes it).
 */
#include "base/gotext.h"
#include "gateway/json_in_impl.h"
#include "gateway/json_scan.h"
#include "gateway/json_text.h"

static const char *kind_of(struct slice value)
{
    switch (value.data[0]) {
    case '{': return "object";
    case '[': return "array";
    case '"': return "string";
    case 't':
    case 'f': return "bool";
    default: return "number";
    }
}

static int fail_type(struct slice value, const char *go_type, struct buf *why)
{
    buf_printf(why, "json: cannot unmarshal %s into Go value of type %s", kind_of(value), go_type);
    return ERR_MALFORMED;
}

static bool is_null(struct slice value)
{
    return slice_equal_cstr(value, "null");
}

/* To the next item of a list or an object. */
static struct slice skip_comma(struct slice rest)
{
    rest = json_skip_blanks(rest);
    bool is_comma = rest.len > 0 && rest.data[0] == ',';
    return is_comma ? json_skip_blanks(slice_skip(rest, 1)) : rest;
}

/* Raw values of a message's fields: by the proto's name and by the other form. */
struct raw_fields {
    struct slice named[JSON_FIELDS_MAX];
    struct slice camel[JSON_FIELDS_MAX];
};

static void raw_put(struct raw_fields *raw, const struct json_message *m, struct slice name,
                    struct slice value)
{
    const struct json_field *f = json_field_named(m, name);
    if (f != NULL) {
        bool is_proto = slice_equal_cstr(name, f->name);
        *(is_proto ? &raw->named[f - m->fields] : &raw->camel[f - m->fields]) = value;
    }
}

static void raw_take(const struct json_message *m, struct slice value, struct raw_fields *raw)
{
    struct slice rest = json_skip_blanks(slice_skip(value, 1));
    struct buf name = BUF_INIT;
    memset(raw, 0, sizeof(*raw));
    while (rest.len > 0 && rest.data[0] == '"') {
        size_t len = json_value_length(rest);
        buf_clear(&name);
        json_text_lenient(slice_make(rest.data, len), &name);
        rest = json_skip_blanks(slice_skip(rest, len));
        rest = json_skip_blanks(slice_skip(rest, 1)); /* ':' */
        len = json_value_length(rest);
        raw_put(raw, m, buf_slice(&name), slice_make(rest.data, len));
        rest = skip_comma(slice_skip(rest, len));
    }
    buf_deinit(&name);
}

/* ---- scalars ---- */

/* What stands between the quotes is JSON itself. */
static struct slice trim_quotes(struct slice raw)
{
    bool is_quoted = raw.len >= 2 && raw.data[0] == '"';
    return is_quoted ? slice_make(raw.data + 1, raw.len - 2) : raw;
}

static int fail_number(struct slice value, const char *go_type, struct buf *why)
{
    buf_append_cstr(why, "json: cannot unmarshal number ");
    buf_append_slice(why, value);
    buf_printf(why, " into Go value of type %s", go_type);
    return ERR_MALFORMED;
}

/* json.Unmarshal of s into an integer; null leaves *out. */
static int read_integer(struct slice s, int bits, bool is_signed, const char *go_type,
                        uint64_t *out, struct buf *why)
{
    char bad[JSON_SCAN_WHY_MAX];
    int64_t i = 0;
    json_scan_whole(s, bad);
    if (bad[0] != 0) {
        buf_append_cstr(why, bad);
        return ERR_MALFORMED;
    }
    s = json_skip_blanks(s);
    s.len = json_value_length(s);
    if (is_null(s)) {
        return 0;
    }
    if (strcmp(kind_of(s), "number") != 0) {
        return fail_type(s, go_type, why);
    }
    if (!is_signed) {
        return gotext_parse_uint(s, 10, bits, out) == 0 ? 0 : fail_number(s, go_type, why);
    }
    if (gotext_parse_int(s, 10, bits, &i) != 0) {
        return fail_number(s, go_type, why);
    }
    *out = (uint64_t)i;
    return 0;
}

static int fail_enum(const struct json_field *f, struct slice raw, struct buf *why)
{
    buf_append_cstr(why, "unknown value ");
    gotext_quote(why, raw);
    buf_printf(why, " for enum %s", json_enum_at(f->ref)->name);
    return ERR_MALFORMED;
}

static int read_enum(const struct json_field *f, struct slice raw, uint64_t *out, struct buf *why)
{
    int32_t number = 0;
    if (raw.data[0] != '"') {
        return read_integer(raw, 32, true, "protoreflect.EnumNumber", out, why);
    }
    if (!json_enum_number(json_enum_at(f->ref), trim_quotes(raw), &number)) {
        return fail_enum(f, raw, why);
    }
    *out = (uint64_t)(int64_t)number;
    return 0;
}

static int read_number(const struct json_field *f, struct slice raw, uint64_t *out, struct buf *why)
{
    struct slice s = trim_quotes(raw);
    switch (f->type) {
    case JSON_TYPE_INT32: return read_integer(s, 32, true, "int32", out, why);
    case JSON_TYPE_INT64: return read_integer(s, 64, true, "int64", out, why);
    case JSON_TYPE_UINT32: return read_integer(s, 32, false, "uint32", out, why);
    case JSON_TYPE_UINT64: return read_integer(s, 64, false, "uint64", out, why);
    case JSON_TYPE_ENUM: return read_enum(f, raw, out, why);
    default: break;
    }
    if (is_null(raw)) {
        return 0;
    }
    if (strcmp(kind_of(raw), "bool") != 0) {
        return fail_type(raw, "bool", why);
    }
    *out = raw.data[0] == 't';
    return 0;
}

/* encoding/json takes a list of numbers for bytes, too. */
static int put_byte_list(const struct json_field *f, struct slice raw, struct buf *out,
                         struct buf *why)
{
    struct slice rest = json_skip_blanks(slice_skip(raw, 1));
    struct buf bytes = BUF_INIT;
    int err = 0;
    while (err == 0 && rest.len > 0 && rest.data[0] != ']') {
        size_t len = json_value_length(rest);
        uint64_t v = 0;
        err = read_integer(slice_make(rest.data, len), 8, false, "uint8", &v, why);
        buf_append_byte(&bytes, (uint8_t)v);
        rest = skip_comma(slice_skip(rest, len));
    }
    if (err == 0) {
        json_put_bytes(out, f, buf_slice(&bytes));
    }
    buf_deinit(&bytes);
    return err;
}

static int put_string(const struct json_field *f, struct slice raw, struct buf *out,
                      struct buf *why)
{
    bool is_bytes = f->type == JSON_TYPE_BYTES;
    struct buf text = BUF_INIT, bytes = BUF_INIT;
    size_t bad_at = 0;
    int err = 0;
    if (is_null(raw)) {
        json_put_bytes(out, f, SLICE_NULL);
        return 0;
    }
    if (is_bytes && raw.data[0] == '[') {
        return put_byte_list(f, raw, out, why);
    }
    if (raw.data[0] != '"') {
        return fail_type(raw, is_bytes ? "[]uint8" : "string", why);
    }
    json_text_lenient(raw, &text);
    if (!is_bytes) {
        json_put_bytes(out, f, buf_slice(&text));
    } else if (json_base64_decode(JSON_BASE64_STD, buf_slice(&text), &bytes, &bad_at)) {
        json_put_bytes(out, f, buf_slice(&bytes));
    } else {
        buf_printf(why, "illegal base64 data at input byte %zu", bad_at);
        err = ERR_MALFORMED;
    }
    buf_deinit(&text);
    buf_deinit(&bytes);
    return err;
}

/* ---- messages ---- */

static int put_nested(const struct json_field *f, struct slice raw, int depth, struct buf *out,
                      struct buf *why)
{
    json_put_tag(out, f, PB_BYTES);
    size_t mark = out->len;
    int err = json_old_message(json_message_at(f->ref), raw, depth + 1, out, why);
    if (err == 0) {
        json_put_length_at(out, mark);
    }
    return err;
}

static int put_value(const struct json_field *f, struct slice raw, int depth, struct buf *out,
                     struct buf *why)
{
    uint64_t v = 0;
    if (f->type == JSON_TYPE_MESSAGE) {
        return put_nested(f, raw, depth, out, why);
    }
    if (f->type == JSON_TYPE_STRING || f->type == JSON_TYPE_BYTES) {
        return put_string(f, raw, out, why);
    }
    int err = read_number(f, raw, &v, why);
    if (err == 0) {
        json_put_varint(out, f, v);
    }
    return err;
}

static int put_list(const struct json_field *f, struct slice raw, int depth, struct buf *out,
                    struct buf *why)
{
    if (raw.data[0] != '[') {
        return fail_type(raw, "[]json.RawMessage", why);
    }
    struct slice rest = json_skip_blanks(slice_skip(raw, 1));
    int err = 0;
    while (err == 0 && rest.len > 0 && rest.data[0] != ']') {
        size_t len = json_value_length(rest);
        err = put_value(f, slice_make(rest.data, len), depth, out, why);
        rest = skip_comma(slice_skip(rest, len));
    }
    return err;
}

int json_old_message(const struct json_message *m, struct slice value, int depth, struct buf *out,
                     struct buf *why)
{
    struct raw_fields raw;
    int err = 0;
    if (is_null(value)) {
        return 0;
    }
    if (depth == JSON_IN_DEPTH_MAX) {
        buf_append_cstr(why, "exceeded max depth");
        return ERR_MALFORMED;
    }
    if (value.data[0] != '{') {
        return fail_type(value, "map[string]json.RawMessage", why);
    }
    raw_take(m, value, &raw);
    for (size_t i = 0; err == 0 && i < m->count; i++) {
        const struct json_field *f = &m->fields[i];
        struct slice v = raw.camel[i].len > 0 ? raw.camel[i] : raw.named[i];
        if (v.len == 0 || is_null(v)) {
            continue;
        }
        err = f->card == JSON_REPEATED ? put_list(f, v, depth, out, why)
                                       : put_value(f, v, depth, out, why);
    }
    return err;
}
