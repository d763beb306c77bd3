/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/print_json: JSON by the rules of Go's encoding/json over the generated structs: names of the
 * .proto, ascending field numbers, zero and empty left out, bytes in base64, enums as numbers,
 * 64-bit numbers bare.
 */
#include "cmd/print_impl.h"

#include <inttypes.h>

#include "cmd/print_text.h"
#include "wire/pb.h"

void print_json_name(struct buf *out, bool *is_first, const char *name)
{
    buf_printf(out, "%s\"%s\":", *is_first ? "" : ",", name);
    *is_first = false;
}

static void json_u64(struct buf *out, bool *is_first, const char *name, uint64_t v)
{
    if (v != 0) {
        print_json_name(out, is_first, name);
        buf_printf(out, "%" PRIu64, v);
    }
}

static void json_i64(struct buf *out, bool *is_first, const char *name, int64_t v)
{
    if (v != 0) {
        print_json_name(out, is_first, name);
        buf_printf(out, "%" PRId64, v);
    }
}

static void json_header_fields(struct buf *out, bool *is_first, uint64_t cluster_id,
                               uint64_t member_id, int64_t revision, uint64_t raft_term)
{
    json_u64(out, is_first, "cluster_id", cluster_id);
    json_u64(out, is_first, "member_id", member_id);
    json_i64(out, is_first, "revision", revision);
    json_u64(out, is_first, "raft_term", raft_term);
}

void print_json_header(struct buf *out, const struct wire_header *h)
{
    bool is_first = true;
    buf_append_byte(out, '{');
    json_header_fields(out, &is_first, h->cluster_id, h->member_id, h->revision, h->raft_term);
    buf_append_byte(out, '}');
}

void print_json_header_flat(struct buf *out, const Etcdserverpb__ResponseHeader *h)
{
    bool is_first = true;
    if (h != NULL) {
        json_header_fields(out, &is_first, h->cluster_id, h->member_id, h->revision, h->raft_term);
    }
    if (!is_first) {
        buf_append_byte(out, ',');
    }
}

/* One value at `at`, which is known not to be left out. */
static void json_value(struct buf *out, const ProtobufCFieldDescriptor *f, const void *at)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64: buf_printf(out, "%" PRId64, *(const int64_t *)at); break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64: buf_printf(out, "%" PRIu64, *(const uint64_t *)at); break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32: buf_printf(out, "%" PRIu32, *(const uint32_t *)at); break;
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32: buf_printf(out, "%" PRId32, *(const int32_t *)at); break;
    case PROTOBUF_C_TYPE_BOOL:
        buf_append_cstr(out, *(const protobuf_c_boolean *)at ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_STRING:
        gotext_json_string(out, slice_cstr(*(const char *const *)at));
        break;
    case PROTOBUF_C_TYPE_BYTES:
        buf_append_byte(out, '"');
        gotext_base64(out, wire_pb_slice(*(const ProtobufCBinaryData *)at));
        buf_append_byte(out, '"');
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        print_json_message(out, *(const ProtobufCMessage *const *)at);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE: ensure(false); break; /* etcd's API has none */
    }
}

static size_t value_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE: return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return 8;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_FLOAT: return 4;
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    }
    return 0;
}

static bool is_left_out(const ProtobufCFieldDescriptor *f, const void *at)
{
    static const uint8_t zero[8];
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        const char *s = *(const char *const *)at;
        return s == NULL || s[0] == '\0';
    }
    if (f->type == PROTOBUF_C_TYPE_BYTES) {
        return ((const ProtobufCBinaryData *)at)->len == 0;
    }
    return memcmp(at, zero, value_size(f->type)) == 0;
}

static void json_list(struct buf *out, const ProtobufCFieldDescriptor *f, const uint8_t *list,
                      size_t count)
{
    size_t size = value_size(f->type);
    buf_append_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        buf_append_cstr(out, i > 0 ? "," : "");
        json_value(out, f, list + i * size);
    }
    buf_append_byte(out, ']');
}

void print_json_message(struct buf *out, const ProtobufCMessage *m)
{
    const uint8_t *base = (const uint8_t *)m;
    bool is_first = true;
    buf_append_byte(out, '{');
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const uint8_t *at = base + f->offset;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = *(const size_t *)(const void *)(base + f->quantifier_offset);
            if (count > 0) {
                print_json_name(out, &is_first, f->name);
                json_list(out, f, *(const uint8_t *const *)(const void *)at, count);
            }
        } else if (!is_left_out(f, at)) {
            print_json_name(out, &is_first, f->name);
            json_value(out, f, at);
        }
    }
    buf_append_byte(out, '}');
}
