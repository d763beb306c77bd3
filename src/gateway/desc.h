/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/desc: what the JSON gateway knows of messages: a table of names, numbers and types, and
 * the paths that lead to methods.
 *
 * Design      messages.def and routes.def are the only places; the transcoders are driven by them.
 * Thread      any: everything is constant.
 * See         client-api part 1 and 5.1.
 */
#ifndef GATEWAY_DESC_H
#define GATEWAY_DESC_H

#include "base/buf.h"
#include "base/slice.h"
#include "grpc/grpc.h"

enum json_type {
    JSON_TYPE_BOOL,
    JSON_TYPE_INT32,
    JSON_TYPE_INT64,
    JSON_TYPE_UINT32,
    JSON_TYPE_UINT64,
    JSON_TYPE_STRING,
    JSON_TYPE_BYTES,
    JSON_TYPE_ENUM,
    JSON_TYPE_MESSAGE,
};

enum json_card { JSON_SINGLE, JSON_REPEATED, JSON_ONEOF };

enum json_message_id {
#define MESSAGE(id, name, oneof, ...) JSON_MSG_##id,
#include "gateway/messages.def"
#undef MESSAGE
    JSON_MSG_COUNT
};

enum json_enum_id {
#define ENUM(id, name, ...) JSON_ENUM_##id,
#include "gateway/messages.def"
#undef ENUM
    JSON_ENUM_COUNT
};

enum { JSON_FIELDS_MAX = 16 /* of a message */ };

struct json_field {
    const char *name; /* of the proto */
    uint16_t number;
    uint8_t type; /* enum json_type */
    uint8_t card; /* enum json_card */
    uint8_t ref;  /* json_message_id or json_enum_id */
};

struct json_message {
    const char *name;
    const char *oneof;               /* "" when it has none */
    const struct json_field *fields; /* ascending numbers */
    size_t count;
};

struct json_enum_value {
    int32_t number;
    const char *name;
};

struct json_enum {
    const char *name;
    const struct json_enum_value *values;
    size_t count;
};

struct json_route {
    const char *path;   /* "/v3/kv/range" */
    const char *method; /* "/etcdserverpb.KV/Range" */
    enum grpc_kind kind;
    enum json_message_id request, response;
};

const struct json_message *json_message_at(enum json_message_id id);
const struct json_enum *json_enum_at(enum json_enum_id id);
/* By the proto's name or its lowerCamel form; NULL: unknown. */
const struct json_field *json_field_named(const struct json_message *m, struct slice name);
const struct json_field *json_field_numbered(const struct json_message *m, uint32_t number);
/* The lowerCamel form. */
void json_field_camel(const struct json_field *f, struct buf *out);
/* NULL: no such number. */
const char *json_enum_name(const struct json_enum *e, int32_t number);
bool json_enum_number(const struct json_enum *e, struct slice name, int32_t *out);
/* NULL: no such path. */
const struct json_route *json_route_find(struct slice path);
size_t json_route_count(void);
const struct json_route *json_route_at(size_t i);

#endif
