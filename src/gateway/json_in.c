/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/json_in: see json_in.h.  Here is protojson's reading; json_in_old.c has the other.
 */
#include "gateway/json_in_impl.h"

#include "base/gotext.h"
#include "gateway/json_text.h"

/* ---- what both share ---- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice json_skip_blanks(struct slice s)
{
    while (s.len > 0 && is_blank(s.data[0])) {
        s = slice_skip(s, 1);
    }
    return s;
}

static size_t string_length(struct slice s)
{
    size_t i = 1;
    while (i < s.len && s.data[i] != '"') {
        i += s.data[i] == '\\' ? 2 : 1;
    }
    return i < s.len ? i + 1 : s.len;
}

static size_t scalar_length(struct slice s)
{
    size_t i = 0;
    while (i < s.len && !is_blank(s.data[i]) && strchr(",]}:", s.data[i]) == NULL) {
        i++;
    }
    return i;
}

size_t json_value_length(struct slice s)
{
    if (s.len == 0) {
        return 0;
    }
    if (s.data[0] == '"') {
        return string_length(s);
    }
    if (s.data[0] != '{' && s.data[0] != '[') {
        return scalar_length(s);
    }
    size_t depth = 0, i = 0;
    do {
        uint8_t c = s.data[i];
        depth += c == '{' || c == '[' ? 1 : 0;
        depth -= c == '}' || c == ']' ? 1 : 0;
        i += c == '"' ? string_length(slice_skip(s, i)) : 1;
    } while (depth > 0 && i < s.len);
    return i;
}

void json_put_tag(struct buf *out, const struct json_field *f, unsigned wire)
{
    buf_append_varint(out, (uint64_t)f->number << 3 | wire);
}

void json_put_varint(struct buf *out, const struct json_field *f, uint64_t v)
{
    if (v != 0 || f->card != JSON_SINGLE) {
        json_put_tag(out, f, PB_VARINT);
        buf_append_varint(out, v);
    }
}

void json_put_bytes(struct buf *out, const struct json_field *f, struct slice s)
{
    if (s.len > 0 || f->card != JSON_SINGLE) {
        json_put_tag(out, f, PB_BYTES);
        buf_append_varint(out, s.len);
        buf_append_slice(out, s);
    }
}

void json_put_length_at(struct buf *out, size_t mark)
{
    size_t len = out->len - mark;
    buf_append_varint(out, len);
    size_t n = out->len - mark - len;
    uint8_t head[10];
    memcpy(head, out->data + mark + len, n);
    memmove(out->data + mark + n, out->data + mark, len);
    memcpy(out->data + mark, head, n);
}

/* ---- protojson ---- */

struct reader {
    const uint8_t *base; /* of the whole value: for positions */
    struct slice rest;
    struct buf *why;
    struct buf text; /* of the string read last */
    int depth;
    bool is_failed;
};

static bool fail_begin(struct reader *r)
{
    r->is_failed = true;
    buf_append_cstr(r->why, "proto: ");
    return false;
}

static void put_position(struct reader *r, const uint8_t *at)
{
    size_t line = 1, column = 1;
    for (const uint8_t *p = r->base; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if ((*p & 0xc0) != 0x80) {
            column++;
        }
    }
    buf_printf(r->why, "(line %zu:%zu): ", line, column);
}

/* The token at the front, as it stands in the input. */
static struct slice raw_token(const struct reader *r)
{
    uint8_t c = r->rest.len > 0 ? r->rest.data[0] : 0;
    bool is_bracket = c != 0 && strchr("{}[],", c) != NULL;
    return slice_make(r->rest.data, is_bracket ? 1 : json_value_length(r->rest));
}

static bool fail_unexpected(struct reader *r)
{
    (void)fail_begin(r);
    buf_append_cstr(r->why, "syntax error ");
    put_position(r, r->rest.data);
    buf_append_cstr(r->why, "unexpected token ");
    buf_append_slice(r->why, raw_token(r));
    return false;
}

static bool fail_at_name(struct reader *r, struct slice name, const char *text)
{
    (void)fail_begin(r);
    put_position(r, name.data);
    buf_append_cstr(r->why, text);
    buf_append_slice(r->why, name);
    return false;
}

static bool fail_value(struct reader *r, const struct json_field *f, struct slice raw)
{
    static const char *const kinds[] = {
        [JSON_TYPE_BOOL] = "bool",       [JSON_TYPE_INT32] = "int32",
        [JSON_TYPE_INT64] = "int64",     [JSON_TYPE_UINT32] = "uint32",
        [JSON_TYPE_UINT64] = "uint64",   [JSON_TYPE_STRING] = "string",
        [JSON_TYPE_BYTES] = "bytes",     [JSON_TYPE_ENUM] = "enum",
        [JSON_TYPE_MESSAGE] = "message",
    };
    (void)fail_begin(r);
    put_position(r, raw.data);
    buf_printf(r->why, "invalid value for %s field ", kinds[f->type]);
    json_field_camel(f, r->why);
    buf_append_cstr(r->why, ": ");
    buf_append_slice(r->why, raw);
    return false;
}

static void advance(struct reader *r, size_t n)
{
    r->rest = json_skip_blanks(slice_skip(r->rest, n));
}

static bool next_is(const struct reader *r, char c)
{
    return r->rest.len > 0 && r->rest.data[0] == (uint8_t)c;
}

static bool take(struct reader *r, char c)
{
    if (!next_is(r, c)) {
        return false;
    }
    advance(r, 1);
    return true;
}

/* A string into r->text; *raw as it stood there. */
static bool read_string(struct reader *r, struct slice *raw)
{
    struct buf why = BUF_INIT;
    bool is_eof = false;
    *raw = slice_make(r->rest.data, string_length(r->rest));
    buf_clear(&r->text);
    bool ok = json_text_strict(*raw, r->rest, &r->text, &why, &is_eof);
    if (!ok) {
        (void)fail_begin(r);
        if (!is_eof) {
            buf_append_cstr(r->why, "syntax error ");
            put_position(r, raw->data);
        }
        buf_append_slice(r->why, buf_slice(&why));
    } else {
        advance(r, raw->len);
    }
    buf_deinit(&why);
    return ok;
}

static bool skip_value(struct reader *r)
{
    struct slice value = slice_make(r->rest.data, json_value_length(r->rest));
    const uint8_t *end = value.data + value.len;
    while (r->rest.data < end) {
        struct slice raw;
        if (!next_is(r, '"')) {
            advance(r, raw_token(r).len > 0 ? raw_token(r).len : 1);
        } else if (!read_string(r, &raw)) {
            return false;
        }
    }
    return true;
}

/* ---- scalars ---- */

static bool has_type(struct slice raw, const char *first)
{
    return raw.len > 0 && strchr(first, raw.data[0]) != NULL;
}

/* The digits of a number or of a string with one. */
static bool number_of(struct reader *r, struct slice raw, struct slice *out)
{
    if (raw.data[0] != '"') {
        *out = raw;
        return has_type(raw, "-0123456789");
    }
    struct slice s = buf_slice(&r->text);
    if (json_has_outer_space(s)) {
        return false;
    }
    *out = slice_make(s.data, json_number_length(s));
    return out->len > 0;
}

static bool put_integer(struct reader *r, const struct json_field *f, struct slice raw,
                        struct buf *out)
{
    struct slice number;
    int64_t i = 0;
    uint64_t u = 0;
    if (!number_of(r, raw, &number)) {
        return false;
    }
    switch (f->type) {
    case JSON_TYPE_INT32:
    case JSON_TYPE_INT64:
        if (!json_number_int(number, f->type == JSON_TYPE_INT32 ? 32 : 64, &i)) {
            return false;
        }
        u = (uint64_t)i;
        break;
    default:
        if (!json_number_uint(number, f->type == JSON_TYPE_UINT32 ? 32 : 64, &u)) {
            return false;
        }
        break;
    }
    json_put_varint(out, f, u);
    return true;
}

static bool put_binary(struct reader *r, const struct json_field *f, struct buf *out)
{
    struct buf bytes = BUF_INIT;
    size_t bad_at = 0;
    bool ok = json_base64_decode(JSON_BASE64_ANY, buf_slice(&r->text), &bytes, &bad_at);
    if (ok) {
        json_put_bytes(out, f, buf_slice(&bytes));
    }
    buf_deinit(&bytes);
    return ok;
}

/* Unknown names are left out. */
static bool put_enum(struct reader *r, const struct json_field *f, struct slice raw,
                     struct buf *out)
{
    int32_t number = 0;
    int64_t i = 0;
    if (raw.data[0] == '"') {
        if (!json_enum_number(json_enum_at(f->ref), buf_slice(&r->text), &number)) {
            return true;
        }
    } else if (has_type(raw, "-0123456789") && json_number_int(raw, 32, &i)) {
        number = (int32_t)i;
    } else {
        return false;
    }
    if (f->card == JSON_REPEATED) {
        buf_append_varint(out, (uint64_t)(int64_t)number); /* packed: the caller frames it */
    } else {
        json_put_varint(out, f, (uint64_t)(int64_t)number);
    }
    return true;
}

static bool put_scalar(struct reader *r, const struct json_field *f, struct slice raw,
                       struct buf *out)
{
    bool is_string = raw.data[0] == '"';
    switch (f->type) {
    case JSON_TYPE_BOOL:
        if (!has_type(raw, "tf")) {
            return false;
        }
        json_put_varint(out, f, raw.data[0] == 't');
        return true;
    case JSON_TYPE_STRING:
        if (is_string) {
            json_put_bytes(out, f, buf_slice(&r->text));
        }
        return is_string;
    case JSON_TYPE_BYTES: return is_string && put_binary(r, f, out);
    case JSON_TYPE_ENUM: return put_enum(r, f, raw, out);
    default: return put_integer(r, f, raw, out);
    }
}

static bool read_scalar(struct reader *r, const struct json_field *f, struct buf *out)
{
    struct slice raw = raw_token(r);
    if (raw.data[0] == '"') {
        if (!read_string(r, &raw)) {
            return false;
        }
    } else {
        advance(r, raw.len);
    }
    return put_scalar(r, f, raw, out) || fail_value(r, f, raw);
}

/* ---- messages ---- */

static bool read_message(struct reader *r, const struct json_message *m, struct buf *out);

static bool read_nested(struct reader *r, const struct json_field *f, struct buf *out)
{
    json_put_tag(out, f, PB_BYTES);
    size_t mark = out->len;
    if (!read_message(r, json_message_at(f->ref), out)) {
        return false;
    }
    json_put_length_at(out, mark);
    return true;
}

static bool read_items(struct reader *r, const struct json_field *f, struct buf *out)
{
    while (!take(r, ']')) {
        bool ok = f->type == JSON_TYPE_MESSAGE ? read_nested(r, f, out) : read_scalar(r, f, out);
        if (!ok) {
            return false;
        }
        (void)take(r, ',');
    }
    return true;
}

static bool read_list(struct reader *r, const struct json_field *f, struct buf *out)
{
    if (!next_is(r, '[')) {
        return fail_unexpected(r);
    }
    advance(r, 1);
    if (f->type != JSON_TYPE_ENUM) {
        return read_items(r, f, out);
    }
    size_t from = out->len;
    json_put_tag(out, f, PB_BYTES);
    size_t mark = out->len;
    if (!read_items(r, f, out)) {
        return false;
    }
    if (out->len == mark) {
        out->len = from;
    } else {
        json_put_length_at(out, mark);
    }
    return true;
}

/* Fields seen in a message. */
struct seen {
    uint32_t fields; /* by index */
    bool oneof;
};

static bool fail_oneof(struct reader *r, const struct json_message *m, struct slice name)
{
    (void)fail_at_name(r, name, "error parsing ");
    buf_printf(r->why, ", oneof %s.%s is already set", m->name, m->oneof);
    return false;
}

static bool read_field(struct reader *r, const struct json_message *m, struct slice name,
                       struct seen *seen, struct buf *out)
{
    const struct json_field *f = json_field_named(m, buf_slice(&r->text));
    if (f == NULL) {
        return skip_value(r);
    }
    uint32_t bit = 1u << (f - m->fields);
    if ((seen->fields & bit) != 0) {
        return fail_at_name(r, name, "duplicate field ");
    }
    seen->fields |= bit;
    if (next_is(r, 'n')) {
        advance(r, 4);
        return true;
    }
    if (f->card == JSON_REPEATED) {
        return read_list(r, f, out);
    }
    if (f->card == JSON_ONEOF) {
        if (seen->oneof) {
            return fail_oneof(r, m, name);
        }
        seen->oneof = true;
    }
    return f->type == JSON_TYPE_MESSAGE ? read_nested(r, f, out) : read_scalar(r, f, out);
}

static bool read_message(struct reader *r, const struct json_message *m, struct buf *out)
{
    struct seen seen = {0, false};
    if (r->depth == JSON_IN_DEPTH_MAX) {
        (void)fail_begin(r);
        buf_append_cstr(r->why, "exceeded max recursion depth");
        return false;
    }
    if (!next_is(r, '{')) {
        return fail_unexpected(r);
    }
    advance(r, 1);
    r->depth++;
    while (!take(r, '}')) {
        struct slice name;
        if (!read_string(r, &name)) {
            return false;
        }
        (void)take(r, ':');
        if (!read_field(r, m, name, &seen, out)) {
            return false;
        }
        (void)take(r, ',');
    }
    r->depth--;
    return true;
}

int json_to_proto(enum json_form form, const struct json_message *m, struct slice value,
                  struct buf *out, struct buf *why)
{
    if (form == JSON_FORM_OLD) {
        return json_old_message(m, value, 0, out, why);
    }
    struct reader r = {.base = value.data, .rest = value, .why = why, .text = BUF_INIT};
    bool ok = read_message(&r, m, out);
    buf_deinit(&r.text);
    return ok ? 0 : ERR_MALFORMED;
}
