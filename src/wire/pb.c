/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/pb: unpacking by descriptor.
 *
 * Repeated fields grow by doubling, so that a message in many pieces stays linear; the capacity is
 * not stored but follows from the count (4, 8, 16 ...).
 */
#include "wire/pb.h"

#include "base/bytes.h"
#include "base/err.h"
#include "wire/kv.h"

enum { PB_ARRAY_MIN = 4 };

struct pb_unpacker {
    struct arena *arena;
    size_t budget;
    unsigned depth;
};

static int merge_message(struct pb_unpacker *u, struct slice in, ProtobufCMessage *m);

static void *at(ProtobufCMessage *m, unsigned offset)
{
    return (uint8_t *)m + offset;
}

static int take_memory(struct pb_unpacker *u, size_t size, void *out_ptr)
{
    if (size > u->budget) {
        return ERR_LIMIT;
    }
    u->budget -= size;
    void *p = arena_try_alloc(u->arena, size);
    if (p == NULL) {
        return ERR_NOMEM;
    }
    memcpy(out_ptr, &p, sizeof(p));
    return 0;
}

/* The types that api/ uses. */
static size_t element_size(const ProtobufCFieldDescriptor *f)
{
    switch ((int)f->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64: return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_UINT32: return sizeof(uint32_t);
    case PROTOBUF_C_TYPE_ENUM: return sizeof(int);
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE: return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    default: ensure_failed("field type that api/ uses", __FILE__, __LINE__);
    }
}

static bool is_length_delimited(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_BYTES ||
           f->type == PROTOBUF_C_TYPE_MESSAGE;
}

static void store_number(const ProtobufCFieldDescriptor *f, uint64_t v, void *dst)
{
    switch ((int)f->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64: *(uint64_t *)dst = v; break;
    case PROTOBUF_C_TYPE_UINT32: *(uint32_t *)dst = (uint32_t)v; break;
    case PROTOBUF_C_TYPE_ENUM: *(int *)dst = (int)(uint32_t)v; break;
    case PROTOBUF_C_TYPE_BOOL: *(protobuf_c_boolean *)dst = v != 0; break;
    default: ensure_failed("field is a number", __FILE__, __LINE__);
    }
}

static int store_string(struct pb_unpacker *u, struct slice s, char **dst)
{
    if (!wire_utf8_valid(s) || (s.len > 0 && memchr(s.data, 0, s.len) != NULL)) {
        return ERR_MALFORMED;
    }
    char *p;
    int err = take_memory(u, s.len + 1, &p);
    if (err == 0) {
        if (s.len > 0) {
            memcpy(p, s.data, s.len);
        }
        p[s.len] = 0;
        *dst = p;
    }
    return err;
}

static int store_bytes(struct pb_unpacker *u, struct slice s, ProtobufCBinaryData *dst)
{
    if (s.len == 0) {
        *dst = (ProtobufCBinaryData){0, NULL};
        return 0;
    }
    uint8_t *p;
    int err = take_memory(u, s.len, &p);
    if (err == 0) {
        memcpy(p, s.data, s.len);
        *dst = (ProtobufCBinaryData){s.len, p};
    }
    return err;
}

static int store_message(struct pb_unpacker *u, const ProtobufCMessageDescriptor *desc,
                         struct slice s, ProtobufCMessage **dst)
{
    if (*dst == NULL) {
        int err = take_memory(u, desc->sizeof_message, dst);
        if (err != 0) {
            return err;
        }
        protobuf_c_message_init(desc, *dst);
    }
    return merge_message(u, s, *dst);
}

/* dst holds the former value (a message merges into it) or zero. */
static int store_delimited(struct pb_unpacker *u, const ProtobufCFieldDescriptor *f, struct slice s,
                           void *dst)
{
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        return store_string(u, s, dst);
    }
    if (f->type == PROTOBUF_C_TYPE_BYTES) {
        return store_bytes(u, s, dst);
    }
    return store_message(u, f->descriptor, s, dst);
}

/* One more, zeroed, element at the end of a repeated field. */
static int append_element(struct pb_unpacker *u, const ProtobufCFieldDescriptor *f,
                          ProtobufCMessage *m, void **out_element)
{
    size_t *count = at(m, f->quantifier_offset);
    uint8_t **array = at(m, f->offset);
    size_t size = element_size(f);
    size_t n = *count;
    if (n == 0 || (n >= PB_ARRAY_MIN && (n & (n - 1)) == 0)) {
        uint8_t *grown;
        int err = take_memory(u, (n == 0 ? PB_ARRAY_MIN : 2 * n) * size, &grown);
        if (err != 0) {
            return err;
        }
        if (n > 0) {
            memcpy(grown, *array, n * size);
        }
        *array = grown;
    }
    *out_element = memset(*array + n * size, 0, size);
    *count = n + 1;
    return 0;
}

static int append_packed(struct pb_unpacker *u, const ProtobufCFieldDescriptor *f, struct slice s,
                         ProtobufCMessage *m)
{
    uint64_t v;
    while (s.len > 0) {
        void *element;
        size_t n = varint_get(s.data, s.len, &v);
        if (n == 0) {
            return ERR_MALFORMED;
        }
        int err = append_element(u, f, m, &element);
        if (err != 0) {
            return err;
        }
        store_number(f, v, element);
        s = slice_skip(s, n);
    }
    return 0;
}

static int merge_repeated(struct pb_unpacker *u, const ProtobufCFieldDescriptor *f,
                          const struct wire_scan *s, ProtobufCMessage *m)
{
    void *element;
    bool delimited = is_length_delimited(f);
    if (!delimited && s->type == WIRE_LEN) {
        return append_packed(u, f, s->bytes, m);
    }
    if (s->type != (delimited ? WIRE_LEN : WIRE_VARINT)) {
        return 0;
    }
    int err = append_element(u, f, m, &element);
    if (err != 0) {
        return err;
    }
    if (delimited) {
        return store_delimited(u, f, s->bytes, element);
    }
    store_number(f, s->number, element);
    return 0;
}

/* Makes f the member that its oneof holds; another member's value is forgotten. */
static void select_oneof(const ProtobufCFieldDescriptor *f, ProtobufCMessage *m)
{
    uint32_t *which = at(m, f->quantifier_offset);
    if (*which != f->id) {
        *which = f->id;
        memset(at(m, f->offset), 0, element_size(f));
    }
}

static int merge_field(struct pb_unpacker *u, const ProtobufCFieldDescriptor *f,
                       const struct wire_scan *s, ProtobufCMessage *m)
{
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        return merge_repeated(u, f, s, m);
    }
    bool delimited = is_length_delimited(f);
    if (s->type != (delimited ? WIRE_LEN : WIRE_VARINT)) {
        return 0;
    }
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        select_oneof(f, m);
    }
    if (delimited) {
        return store_delimited(u, f, s->bytes, at(m, f->offset));
    }
    store_number(f, s->number, at(m, f->offset));
    return 0;
}

static int merge_message(struct pb_unpacker *u, struct slice in, ProtobufCMessage *m)
{
    struct wire_scan s;
    int err = 0;
    if (u->depth == WIRE_TXN_DEPTH_MAX) {
        return ERR_LIMIT;
    }
    u->depth++;
    wire_scan_init(&s, in);
    while (err == 0 && wire_scan_next(&s)) {
        const ProtobufCFieldDescriptor *f =
            protobuf_c_message_descriptor_get_field(m->descriptor, s.field);
        if (f != NULL) {
            err = merge_field(u, f, &s, m);
        }
    }
    u->depth--;
    return err != 0 ? err : s.err;
}

int wire_pb_unpack(const ProtobufCMessageDescriptor *desc, struct slice in, struct arena *a,
                   ProtobufCMessage *out)
{
    struct pb_unpacker u = {.arena = a, .budget = WIRE_PB_ARENA_MAX};
    ProtobufCMessage *m;
    int err = take_memory(&u, desc->sizeof_message, &m);
    if (err == 0) {
        protobuf_c_message_init(desc, m);
        err = merge_message(&u, in, m);
    }
    if (err == 0) {
        memcpy(out, m, desc->sizeof_message);
    }
    return err;
}

size_t wire_pb_size(const ProtobufCMessage *m)
{
    return protobuf_c_message_get_packed_size(m);
}

void wire_pb_append(struct buf *out, const ProtobufCMessage *m)
{
    size_t size = wire_pb_size(m);
    if (size > 0) {
        (void)protobuf_c_message_pack(m, buf_extend(out, size));
    }
}
