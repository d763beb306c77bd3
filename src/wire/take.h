/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/take: what the decoders of this folder do with one scanned field.  Private to src/wire.
 *
 * A known field that comes with another wire type is an unknown field (Go's rule), so each taker
 * looks at the type and leaves the target alone when it does not fit.
 */
#ifndef WIRE_TAKE_H
#define WIRE_TAKE_H

#include "wire/kv.h"

static inline void wire_take_bytes(const struct wire_scan *s, struct slice *out)
{
    if (s->type == WIRE_LEN) {
        *out = s->bytes;
    }
}

static inline void wire_take_i64(const struct wire_scan *s, int64_t *out)
{
    if (s->type == WIRE_VARINT) {
        *out = (int64_t)s->number;
    }
}

static inline void wire_take_u64(const struct wire_scan *s, uint64_t *out)
{
    if (s->type == WIRE_VARINT) {
        *out = s->number;
    }
}

/* Enums are open and cut to 32 bits. */
static inline void wire_take_enum(const struct wire_scan *s, int32_t *out)
{
    if (s->type == WIRE_VARINT) {
        *out = (int32_t)(uint32_t)s->number;
    }
}

static inline void wire_take_bool(const struct wire_scan *s, bool *out)
{
    if (s->type == WIRE_VARINT) {
        *out = s->number != 0;
    }
}

/* Sizes and writers of one field; a zero or empty value takes no bytes. */
static inline size_t wire_tag_size(uint32_t field)
{
    return varint_len((uint64_t)field << 3);
}

static inline size_t wire_u64_size(uint32_t field, uint64_t v)
{
    return v == 0 ? 0 : wire_tag_size(field) + varint_len(v);
}

/* An enum's shortest form: a negative number may come in 32 bits. */
static inline size_t wire_enum_size(uint32_t field, int32_t v)
{
    return wire_u64_size(field, (uint32_t)v);
}

static inline size_t wire_message_size(uint32_t field, size_t len)
{
    return wire_tag_size(field) + varint_len(len) + len;
}

static inline size_t wire_bytes_size(uint32_t field, size_t len)
{
    return len == 0 ? 0 : wire_message_size(field, len);
}

static inline uint8_t *wire_put_u64(uint8_t *p, uint32_t field, uint64_t v)
{
    if (v != 0) {
        p += varint_put(p, (uint64_t)field << 3 | WIRE_VARINT);
        p += varint_put(p, v);
    }
    return p;
}

static inline uint8_t *wire_put_message_head(uint8_t *p, uint32_t field, size_t len)
{
    p += varint_put(p, (uint64_t)field << 3 | WIRE_LEN);
    return p + varint_put(p, len);
}

static inline uint8_t *wire_put_message(uint8_t *p, uint32_t field, struct slice s)
{
    p = wire_put_message_head(p, field, s.len);
    if (s.len > 0) {
        memcpy(p, s.data, s.len);
    }
    return p + s.len;
}

static inline uint8_t *wire_put_bytes(uint8_t *p, uint32_t field, struct slice s)
{
    return s.len == 0 ? p : wire_put_message(p, field, s);
}

/* Requests inside a Txn. */
size_t wire_range_req_size_min(const struct wire_range_req *r);

#endif
