/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared by the tests of src/wire: hex, exact-size copies (so that a sanitizer sees one byte too
 * far), and random messages by descriptor, packed by protobuf-c: the dumb second implementation.
 */
#ifndef WIRE_TEST_H
#define WIRE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/prng.h"
#include "wire/kv.h"
#include "wire/pb.h"

static inline int hex_digit(char c)
{
    return c >= 'a' ? c - 'a' + 10 : c - '0';
}

/* Blanks are skipped. */
static inline void hex_append(struct buf *out, const char *hex)
{
    for (; *hex != 0; hex++) {
        if (*hex != ' ' && *hex != '-') {
            buf_append_byte(out, (uint8_t)(hex_digit(hex[0]) << 4 | hex_digit(hex[1])));
            hex++;
        }
    }
}

static inline struct buf hex_buf(const char *hex)
{
    struct buf b = BUF_INIT;
    hex_append(&b, hex);
    return b;
}

static inline void assert_slice(struct slice got, struct slice want)
{
    assert_int_equal(got.len, want.len);
    if (want.len > 0) {
        assert_memory_equal(got.data, want.data, want.len);
    }
}

static inline void assert_hex(struct slice got, const char *hex)
{
    struct buf want = hex_buf(hex);
    assert_slice(got, buf_slice(&want));
    buf_deinit(&want);
}

/* A copy in memory of exactly that size. */
static inline struct slice exact_copy(struct slice s)
{
    uint8_t *p = malloc(s.len == 0 ? 1 : s.len);
    assert_non_null(p);
    if (s.len > 0) {
        memcpy(p, s.data, s.len);
    }
    return slice_make(p, s.len);
}

static inline void exact_free(struct slice s)
{
    free((void *)(uintptr_t)s.data);
}

static inline uint64_t random_number(struct prng *p)
{
    switch (prng_below(p, 5)) {
    case 0: return 0;
    case 1: return prng_below(p, 5);
    case 2: return prng_next(p) >> prng_below(p, 64);
    case 3: return UINT64_MAX - prng_below(p, 100);
    default: return prng_next(p);
    }
}

static inline struct slice random_bytes(struct prng *p, struct arena *a)
{
    size_t len = (size_t)prng_below(p, 9);
    uint8_t *d = arena_alloc(a, len + 1);
    for (size_t i = 0; i < len; i++) {
        d[i] = (uint8_t)prng_next(p);
    }
    return slice_make(d, len);
}

static inline void random_message(struct prng *p, struct arena *a, ProtobufCMessage *m,
                                  unsigned depth);

static inline ProtobufCMessage *random_new(struct prng *p, struct arena *a,
                                           const ProtobufCMessageDescriptor *d, unsigned depth)
{
    ProtobufCMessage *m = arena_zalloc(a, d->sizeof_message);
    protobuf_c_message_init(d, m);
    random_message(p, a, m, depth);
    return m;
}

static inline void random_value(struct prng *p, struct arena *a, const ProtobufCFieldDescriptor *f,
                                void *dst, unsigned depth)
{
    struct slice s = random_bytes(p, a);
    uint64_t v = random_number(p);
    int enum_value = (int)(uint32_t)v;
    uint32_t small = (uint32_t)v;
    char *text;
    ProtobufCMessage *m;
    switch ((int)f->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64: memcpy(dst, &v, sizeof(v)); break;
    case PROTOBUF_C_TYPE_UINT32: memcpy(dst, &small, sizeof(small)); break;
    case PROTOBUF_C_TYPE_ENUM: memcpy(dst, &enum_value, sizeof(enum_value)); break;
    case PROTOBUF_C_TYPE_BOOL: *(protobuf_c_boolean *)dst = (protobuf_c_boolean)(v & 1); break;
    case PROTOBUF_C_TYPE_BYTES: *(ProtobufCBinaryData *)dst = wire_pb_bytes(s); break;
    case PROTOBUF_C_TYPE_STRING:
        text = arena_strndup(a, "h\xc3\xa9llo-w", (size_t)(prng_below(p, 2) * 3));
        memcpy(dst, &text, sizeof(text));
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        m = random_new(p, a, f->descriptor, depth + 1);
        memcpy(dst, &m, sizeof(m));
        break;
    default: fail();
    }
}

static inline size_t random_element_size(const ProtobufCFieldDescriptor *f)
{
    switch ((int)f->type) {
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_UINT32: return 4;
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    default: return 8;
    }
}

static inline void random_field(struct prng *p, struct arena *a, const ProtobufCFieldDescriptor *f,
                                ProtobufCMessage *m, unsigned depth)
{
    uint8_t *base = (uint8_t *)m;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE && depth > 4) {
        return;
    }
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t n = (size_t)prng_below(p, 4);
        uint8_t *array = arena_zalloc(a, (n + 1) * 16);
        for (size_t i = 0; i < n; i++) {
            random_value(p, a, f, array + i * random_element_size(f), depth);
        }
        memcpy(base + f->offset, &array, sizeof(array));
        memcpy(base + f->quantifier_offset, &n, sizeof(n));
        return;
    }
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        memcpy(base + f->quantifier_offset, &f->id, sizeof(uint32_t));
    }
    random_value(p, a, f, base + f->offset, depth);
}

static inline void random_message(struct prng *p, struct arena *a, ProtobufCMessage *m,
                                  unsigned depth)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        if (prng_chance(p, 1, 2)) {
            random_field(p, a, &m->descriptor->fields[i], m, depth);
        }
    }
}

/* A random message of that type, packed by protobuf-c. */
static inline void random_packed(struct prng *p, struct arena *a,
                                 const ProtobufCMessageDescriptor *d, struct buf *out)
{
    ProtobufCMessage *m = random_new(p, a, d, 0);
    buf_clear(out);
    buf_reserve(out, protobuf_c_message_get_packed_size(m) + 1);
    out->len = protobuf_c_message_pack(m, out->data);
}

/* A few bit flips, cuts and insertions. */
static inline void mutate(struct prng *p, struct buf *b)
{
    for (uint64_t n = 1 + prng_below(p, 3); n > 0 && b->len > 0; n--) {
        size_t pos = (size_t)prng_below(p, b->len);
        switch (prng_below(p, 4)) {
        case 0: b->data[pos] ^= (uint8_t)(1u << prng_below(p, 8)); break;
        case 1: b->data[pos] = (uint8_t)prng_next(p); break;
        case 2: b->len = pos; break;
        default:
            buf_append_byte(b, 0);
            memmove(b->data + pos + 1, b->data + pos, b->len - pos - 1);
            b->data[pos] = (uint8_t)prng_next(p);
        }
    }
}

#endif
