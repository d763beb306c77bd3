/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/scan: the field scanner under every decoder, and the appenders of single fields.
 *
 * A step checks one field whole: tag, wire type, length inside the input.  Groups are skipped
 * without recursion, as the unknown fields that they always are.
 */
#include "base/bytes.h"
#include "base/err.h"
#include "base/utf8.h"
#include "wire/take.h"

enum { WIRE_FIELD_MAX = (1 << 29) - 1, WIRE_GROUP_START = 3, WIRE_GROUP_END = 4 };

static bool scan_fail(struct wire_scan *s, int err)
{
    s->err = err;
    return false;
}

static bool scan_varint(struct wire_scan *s, uint64_t *out)
{
    size_t rest = (size_t)(s->end - s->p);
    if (rest > 0 && *s->p < 0x80) {
        *out = *s->p++;
        return true;
    }
    size_t n = varint_get(s->p, rest, out);
    if (n == 0) {
        return scan_fail(s, rest < VARINT_BYTES_MAX ? ERR_TRUNCATED : ERR_MALFORMED);
    }
    s->p += n;
    return true;
}

static bool scan_tag(struct wire_scan *s, uint32_t *field, uint32_t *type)
{
    uint64_t tag;
    if (!scan_varint(s, &tag)) {
        return false;
    }
    if (tag >> 3 == 0 || tag >> 3 > WIRE_FIELD_MAX) {
        return scan_fail(s, ERR_MALFORMED);
    }
    *field = (uint32_t)(tag >> 3);
    *type = (uint32_t)(tag & 7);
    return true;
}

static bool scan_fixed(struct wire_scan *s, size_t len)
{
    if ((size_t)(s->end - s->p) < len) {
        return scan_fail(s, ERR_TRUNCATED);
    }
    s->number = len == 4 ? load_le32(s->p) : load_le64(s->p);
    s->p += len;
    return true;
}

static bool scan_bytes(struct wire_scan *s)
{
    uint64_t len;
    if (!scan_varint(s, &len)) {
        return false;
    }
    if (len > (size_t)(s->end - s->p)) {
        return scan_fail(s, ERR_TRUNCATED);
    }
    s->bytes = slice_make(s->p, (size_t)len);
    s->p += len;
    return true;
}

static bool scan_value(struct wire_scan *s, uint32_t type)
{
    switch (type) {
    case WIRE_VARINT: return scan_varint(s, &s->number);
    case WIRE_LEN: return scan_bytes(s);
    case WIRE_I64: return scan_fixed(s, 8);
    case WIRE_I32: return scan_fixed(s, 4);
    default: return scan_fail(s, ERR_MALFORMED);
    }
}

/* Behind a start-group tag of field: on to behind its end-group tag. */
static bool scan_skip_group(struct wire_scan *s, uint32_t field)
{
    uint32_t open[WIRE_TXN_DEPTH_MAX];
    uint32_t type;
    size_t depth = 0;
    open[depth++] = field;
    while (depth > 0) {
        if (!scan_tag(s, &field, &type)) {
            return false;
        }
        if (type == WIRE_GROUP_START) {
            if (depth == ARRAY_LEN(open)) {
                return scan_fail(s, ERR_LIMIT);
            }
            open[depth++] = field;
        } else if (type == WIRE_GROUP_END) {
            if (open[--depth] != field) {
                return scan_fail(s, ERR_MALFORMED);
            }
        } else if (!scan_value(s, type)) {
            return false;
        }
    }
    return true;
}

void wire_scan_init(struct wire_scan *s, struct slice in)
{
    *s = (struct wire_scan){.p = in.data, .end = in.len == 0 ? in.data : in.data + in.len};
}

bool wire_scan_next(struct wire_scan *s)
{
    uint32_t type;
    while (s->err == 0 && s->p != s->end) {
        if (!scan_tag(s, &s->field, &type)) {
            return false;
        }
        if (type != WIRE_GROUP_START) {
            s->type = (enum wire_type)type;
            return scan_value(s, type);
        }
        (void)scan_skip_group(s, s->field);
    }
    return false;
}

bool wire_utf8_valid(struct slice s)
{
    return utf8_valid(s.data, s.len);
}

void wire_append_u64(struct buf *out, uint32_t field, uint64_t v)
{
    size_t size = wire_u64_size(field, v);
    if (size > 0) {
        (void)wire_put_u64(buf_extend(out, size), field, v);
    }
}

void wire_append_message(struct buf *out, uint32_t field, struct slice s)
{
    (void)wire_put_message(buf_extend(out, wire_message_size(field, s.len)), field, s);
}

void wire_append_bytes(struct buf *out, uint32_t field, struct slice s)
{
    if (s.len > 0) {
        wire_append_message(out, field, s);
    }
}

void wire_append_message_head(struct buf *out, uint32_t field, size_t len)
{
    size_t size = wire_tag_size(field) + varint_len(len);
    (void)wire_put_message_head(buf_extend(out, size), field, len);
}

void wire_append_header(struct buf *out, const struct wire_header *h)
{
    size_t len = wire_header_size(h);
    wire_append_message_head(out, 1, len);
    wire_header_encode(h, buf_extend(out, len));
}

void wire_close_message(struct buf *out, size_t start, uint32_t field)
{
    ensure(start <= out->len);
    size_t len = out->len - start;
    size_t head = wire_tag_size(field) + varint_len(len);
    (void)buf_extend(out, head);
    memmove(out->data + start + head, out->data + start, len);
    (void)wire_put_message_head(out->data + start, field, len);
}
