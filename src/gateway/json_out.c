/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/json_out.h"

#include "base/gotext.h"
#include "base/json.h"
#include "base/utf8.h"

enum { STATE_TAG, STATE_VARINT, STATE_LENGTH, STATE_BYTES, STATE_TEXT, STATE_SKIP };
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct json_out_frame {
    const struct json_message *message;
    uint64_t left;                  /* bytes of it to come */
    const struct json_field *array; /* whose '[' is open */
    bool has_field;
};

void json_out_init(struct json_out *o, bool is_html_escaped)
{
    memset(o, 0, sizeof(*o));
    o->text = BUF_INIT;
    o->is_html_escaped = is_html_escaped;
}

void json_out_deinit(struct json_out *o)
{
    mem_free(o->frames);
    buf_deinit(&o->text);
}

bool json_out_is_done(const struct json_out *o)
{
    return o->depth == 0;
}

/* ---- strings ---- */

void json_out_string(struct buf *out, struct slice s, bool is_html_escaped)
{
    if (is_html_escaped) {
        gotext_json_string(out, s);
        return;
    }
    buf_append_byte(out, '"');
    for (size_t i = 0; i < s.len;) {
        uint8_t c = s.data[i];
        uint32_t rune;
        size_t n = utf8_decode(s.data + i, s.len - i, &rune);
        if (n == 0) {
            buf_append_cstr(out, "\xef\xbf\xbd");
        } else if (c < 0x20 || c == '"' || c == '\\') {
            json_put_escape(out, c);
        } else {
            buf_append(out, s.data + i, n);
        }
        i += n == 0 ? 1 : n;
    }
    buf_append_byte(out, '"');
}

/* ---- frames ---- */

static struct json_out_frame *top(struct json_out *o)
{
    ensure(o->depth > 0);
    return &o->frames[o->depth - 1];
}

static void frame_push(struct json_out *o, const struct json_message *m, uint64_t len)
{
    if (o->depth == o->cap) {
        o->cap = o->cap == 0 ? 8 : o->cap * 2;
        o->frames = mem_realloc(o->frames, o->cap * sizeof(*o->frames));
    }
    o->frames[o->depth++] = (struct json_out_frame){.message = m, .left = len};
    buf_append_byte(o->out, '{');
    o->state = STATE_TAG;
    o->number = 0;
    o->shift = 0;
}

/* Messages that are whole end. */
static void frames_end(struct json_out *o)
{
    while (o->depth > 0 && top(o)->left == 0) {
        buf_append_cstr(o->out, top(o)->array != NULL ? "]}" : "}");
        o->depth--;
    }
}

void json_out_begin(struct json_out *o, const struct json_message *m, uint64_t len, struct buf *out)
{
    ensure(o->depth == 0);
    o->out = out;
    frame_push(o, m, len);
    frames_end(o);
}

/* The name, or the comma of an array's next item. */
static void put_name(struct json_out *o)
{
    struct json_out_frame *f = top(o);
    if (f->array == o->field) {
        buf_append_byte(o->out, ',');
        return;
    }
    buf_append_cstr(o->out, f->array != NULL ? "]," : (f->has_field ? "," : ""));
    buf_printf(o->out, "\"%s\":", o->field->name);
    f->has_field = true;
    f->array = NULL;
    if (o->field->card == JSON_REPEATED) {
        f->array = o->field;
        buf_append_byte(o->out, '[');
    }
}

/* ---- values ---- */

static void put_enum(struct json_out *o, int32_t number)
{
    const char *name = json_enum_name(json_enum_at(o->field->ref), number);
    if (name != NULL) {
        buf_printf(o->out, "\"%s\"", name);
    } else {
        buf_printf(o->out, "%d", number);
    }
}

static void value_varint(struct json_out *o, uint64_t v)
{
    const struct json_field *f = o->field;
    if (v == 0 && f->card == JSON_SINGLE) {
        return;
    }
    put_name(o);
    switch (f->type) {
    case JSON_TYPE_BOOL: buf_append_cstr(o->out, v != 0 ? "true" : "false"); break;
    case JSON_TYPE_INT32: buf_printf(o->out, "%d", (int32_t)v); break;
    case JSON_TYPE_UINT32: buf_printf(o->out, "%u", (uint32_t)v); break;
    case JSON_TYPE_INT64: buf_printf(o->out, "\"%lld\"", (long long)v); break;
    case JSON_TYPE_ENUM: put_enum(o, (int32_t)v); break;
    default: buf_printf(o->out, "\"%llu\"", (unsigned long long)v); break;
    }
}

static void bytes_begin(struct json_out *o)
{
    put_name(o);
    buf_append_byte(o->out, '"');
    o->carry_len = 0;
    o->state = STATE_BYTES;
}

static void bytes_feed(struct json_out *o, struct slice s)
{
    while (s.len > 0 && o->carry_len > 0 && o->carry_len < 3) {
        o->carry[o->carry_len++] = s.data[0];
        s = slice_skip(s, 1);
    }
    if (o->carry_len == 3) {
        gotext_base64(o->out, slice_make(o->carry, 3));
        o->carry_len = 0;
    }
    size_t whole = s.len / 3 * 3;
    gotext_base64(o->out, slice_make(s.data, whole));
    for (size_t i = whole; i < s.len; i++) {
        o->carry[o->carry_len++] = s.data[i];
    }
}

static void bytes_end(struct json_out *o)
{
    gotext_base64(o->out, slice_make(o->carry, o->carry_len));
    o->carry_len = 0;
    buf_append_byte(o->out, '"');
}

static void text_end(struct json_out *o)
{
    put_name(o);
    json_out_string(o->out, buf_slice(&o->text), o->is_html_escaped);
}

/* ---- the reader ---- */

/* A varint's next byte; true when it is whole. */
static int varint_feed(struct json_out *o, uint8_t c, bool *done)
{
    if (o->shift > 63) {
        return ERR_MALFORMED;
    }
    o->number |= (uint64_t)(c & 0x7f) << o->shift;
    o->shift += 7;
    *done = (c & 0x80) == 0;
    return 0;
}

static uint64_t varint_take(struct json_out *o)
{
    uint64_t v = o->number;
    o->number = 0;
    o->shift = 0;
    return v;
}

static void skip_begin(struct json_out *o, uint64_t n)
{
    o->left = n;
    o->state = n == 0 ? STATE_TAG : STATE_SKIP;
}

static unsigned wire_of(const struct json_field *f)
{
    bool is_bytes =
        f->type == JSON_TYPE_STRING || f->type == JSON_TYPE_BYTES || f->type == JSON_TYPE_MESSAGE;
    return is_bytes ? WIRE_BYTES : WIRE_VARINT;
}

static int tag_done(struct json_out *o, uint64_t tag)
{
    o->wire = (unsigned)(tag & 7);
    o->field = json_field_numbered(top(o)->message, (uint32_t)(tag >> 3));
    if (o->field != NULL && wire_of(o->field) != o->wire) {
        return ERR_MALFORMED;
    }
    switch (o->wire) {
    case WIRE_VARINT: o->state = STATE_VARINT; return 0;
    case WIRE_BYTES: o->state = STATE_LENGTH; return 0;
    case WIRE_FIXED64: skip_begin(o, 8); return 0;
    case WIRE_FIXED32: skip_begin(o, 4); return 0;
    default: return ERR_MALFORMED;
    }
}

static int length_done(struct json_out *o, uint64_t len)
{
    const struct json_field *f = o->field;
    if (len > top(o)->left) {
        return ERR_MALFORMED;
    }
    if (f == NULL) {
        skip_begin(o, len);
        return 0;
    }
    if (f->type == JSON_TYPE_MESSAGE) {
        if (o->depth == JSON_OUT_DEPTH_MAX) {
            return ERR_LIMIT;
        }
        put_name(o);
        top(o)->left -= len;
        frame_push(o, json_message_at(f->ref), len);
        return 0;
    }
    o->left = len;
    o->state = STATE_TAG;
    if (len == 0 && f->card == JSON_SINGLE) {
        return 0;
    }
    if (f->type == JSON_TYPE_STRING) {
        if (len > JSON_OUT_STRING_MAX) {
            return ERR_LIMIT;
        }
        buf_clear(&o->text);
        o->state = STATE_TEXT;
    } else {
        bytes_begin(o);
    }
    return 0;
}

static int number_feed(struct json_out *o, uint8_t c)
{
    bool done = false;
    if (top(o)->left == 0) {
        return ERR_MALFORMED;
    }
    top(o)->left--;
    int err = varint_feed(o, c, &done);
    if (err != 0 || !done) {
        return err != 0 || top(o)->left > 0 ? err : ERR_MALFORMED;
    }
    uint64_t v = varint_take(o);
    switch (o->state) {
    case STATE_TAG: return tag_done(o, v);
    case STATE_LENGTH: return length_done(o, v);
    default: break;
    }
    o->state = STATE_TAG;
    if (o->field != NULL) {
        value_varint(o, v);
    }
    return 0;
}

/* Of bytes, a string or something skipped; as much as s has. */
static size_t content_feed(struct json_out *o, struct slice s)
{
    size_t n = o->left < s.len ? (size_t)o->left : s.len;
    if (o->state == STATE_BYTES) {
        bytes_feed(o, slice_make(s.data, n));
    } else if (o->state == STATE_TEXT) {
        buf_append(&o->text, s.data, n);
    }
    o->left -= n;
    top(o)->left -= n;
    return n;
}

static void content_end(struct json_out *o)
{
    if (o->state == STATE_BYTES) {
        bytes_end(o);
    } else if (o->state == STATE_TEXT) {
        text_end(o);
    }
    o->state = STATE_TAG;
}

static bool is_content(const struct json_out *o)
{
    return o->state >= STATE_BYTES;
}

int json_out_feed(struct json_out *o, struct slice bytes)
{
    while (bytes.len > 0) {
        if (o->depth == 0) {
            return ERR_MALFORMED;
        }
        size_t n = 1;
        if (is_content(o)) {
            if (o->left > top(o)->left) {
                return ERR_MALFORMED; /* a fixed number cut short */
            }
            n = content_feed(o, bytes);
        } else {
            int err = number_feed(o, bytes.data[0]);
            if (err != 0) {
                return err;
            }
        }
        bytes = slice_skip(bytes, n);
        if (is_content(o) && o->left == 0) {
            content_end(o);
        }
        if (o->state == STATE_TAG) {
            frames_end(o);
        }
    }
    return 0;
}
