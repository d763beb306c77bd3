/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/desc.h"

#define FIELD(number, name, type, card, ref) {#name, number, JSON_TYPE_##type, JSON_##card, ref},
#define MESSAGE(id, name, oneof, ...)                                                              \
    static const struct json_field fields_##id[] = {__VA_ARGS__{NULL, 0, 0, 0, 0}};
#include "gateway/messages.def"
#undef MESSAGE
#undef FIELD

static const struct json_message messages[JSON_MSG_COUNT] = {
#define MESSAGE(id, name, oneof, ...) {name, oneof, fields_##id, ARRAY_LEN(fields_##id) - 1},
#include "gateway/messages.def"
#undef MESSAGE
};

#define VALUE(number, name) {number, #name},
#define ENUM(id, name, ...) static const struct json_enum_value values_##id[] = {__VA_ARGS__};
#include "gateway/messages.def"
#undef ENUM
#undef VALUE

static const struct json_enum enums[JSON_ENUM_COUNT] = {
#define ENUM(id, name, ...) {name, values_##id, ARRAY_LEN(values_##id)},
#include "gateway/messages.def"
#undef ENUM
};

static const struct json_route routes[] = {
#define ROUTE(path, service, name, kind, request, response)                                        \
    {"/v3/" path, "/" service "/" name, GRPC_KIND_##kind, JSON_MSG_##request, JSON_MSG_##response},
#include "gateway/routes.def"
#undef ROUTE
};

const struct json_message *json_message_at(enum json_message_id id)
{
    ensure(id < JSON_MSG_COUNT);
    return &messages[id];
}

const struct json_enum *json_enum_at(enum json_enum_id id)
{
    ensure(id < JSON_ENUM_COUNT);
    return &enums[id];
}

/* protobuf's rule: underscores go, and what stood behind one becomes upper case. */
static bool camel_equal(const char *name, struct slice s)
{
    size_t at = 0;
    for (; *name != 0; name++) {
        char c = *name;
        if (c == '_' && name[1] != 0) {
            c = *++name;
            c = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        }
        if (at == s.len || s.data[at++] != (uint8_t)c) {
            return false;
        }
    }
    return at == s.len;
}

void json_field_camel(const struct json_field *f, struct buf *out)
{
    for (const char *p = f->name; *p != 0; p++) {
        char c = *p;
        if (c == '_' && p[1] != 0) {
            c = *++p;
            c = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        }
        buf_append_byte(out, (uint8_t)c);
    }
}

const struct json_field *json_field_named(const struct json_message *m, struct slice name)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct json_field *f = &m->fields[i];
        if (slice_equal_cstr(name, f->name) || camel_equal(f->name, name)) {
            return f;
        }
    }
    return NULL;
}

const struct json_field *json_field_numbered(const struct json_message *m, uint32_t number)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->fields[i].number == number) {
            return &m->fields[i];
        }
    }
    return NULL;
}

const char *json_enum_name(const struct json_enum *e, int32_t number)
{
    for (size_t i = 0; i < e->count; i++) {
        if (e->values[i].number == number) {
            return e->values[i].name;
        }
    }
    return NULL;
}

bool json_enum_number(const struct json_enum *e, struct slice name, int32_t *out)
{
    for (size_t i = 0; i < e->count; i++) {
        if (slice_equal_cstr(name, e->values[i].name)) {
            *out = e->values[i].number;
            return true;
        }
    }
    return false;
}

const struct json_route *json_route_find(struct slice path)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (slice_equal_cstr(path, routes[i].path)) {
            return &routes[i];
        }
    }
    return NULL;
}

size_t json_route_count(void)
{
    return ARRAY_LEN(routes);
}

const struct json_route *json_route_at(size_t i)
{
    ensure(i < ARRAY_LEN(routes));
    return &routes[i];
}
