/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of gateway/desc: the tables say what api/ says, for every message that a route can reach.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/desc.h"
#include "wire/auth.pb-c.h"
#include "wire/cluster.pb-c.h"
#include "wire/kv.pb-c.h"
#include "wire/lease.pb-c.h"
#include "wire/maintenance.pb-c.h"
#include "wire/v3electionpb.pb-c.h"
#include "wire/v3lockpb.pb-c.h"
#include "wire/watch.pb-c.h"

static bool seen[JSON_MSG_COUNT];

static enum json_message_id id_of(const char *name)
{
    for (int i = 0; i < JSON_MSG_COUNT; i++) {
        if (strcmp(json_message_at((enum json_message_id)i)->name, name) == 0) {
            return (enum json_message_id)i;
        }
    }
    fail_msg("no message %s", name);
    return JSON_MSG_COUNT;
}

static enum json_type type_of(ProtobufCType type)
{
    switch ((int)type) {
    case PROTOBUF_C_TYPE_BOOL: return JSON_TYPE_BOOL;
    case PROTOBUF_C_TYPE_INT32: return JSON_TYPE_INT32;
    case PROTOBUF_C_TYPE_INT64: return JSON_TYPE_INT64;
    case PROTOBUF_C_TYPE_UINT32: return JSON_TYPE_UINT32;
    case PROTOBUF_C_TYPE_UINT64: return JSON_TYPE_UINT64;
    case PROTOBUF_C_TYPE_STRING: return JSON_TYPE_STRING;
    case PROTOBUF_C_TYPE_BYTES: return JSON_TYPE_BYTES;
    case PROTOBUF_C_TYPE_ENUM: return JSON_TYPE_ENUM;
    case PROTOBUF_C_TYPE_MESSAGE: return JSON_TYPE_MESSAGE;
    default: fail_msg("type %d", type); return JSON_TYPE_BOOL;
    }
}

static enum json_card card_of(const ProtobufCFieldDescriptor *f)
{
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        return JSON_REPEATED;
    }
    return (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 ? JSON_ONEOF : JSON_SINGLE;
}

static void check_enum(const ProtobufCEnumDescriptor *d, const struct json_enum *e)
{
    assert_string_equal(e->name, d->name);
    assert_int_equal(e->count, d->n_values);
    for (unsigned i = 0; i < d->n_values; i++) {
        const char *name = d->values[i].name;
        int32_t number = -1;
        assert_string_equal(json_enum_name(e, d->values[i].value), name);
        assert_true(json_enum_number(e, slice_cstr(name), &number));
        assert_int_equal(number, d->values[i].value);
    }
}

static void check_message(const ProtobufCMessageDescriptor *d);

static void check_field(const ProtobufCFieldDescriptor *d, const struct json_field *f)
{
    assert_string_equal(f->name, d->name);
    assert_int_equal(f->number, d->id);
    assert_int_equal(f->type, type_of(d->type));
    assert_int_equal(f->card, card_of(d));
    if (f->type == JSON_TYPE_ENUM) {
        check_enum(d->descriptor, json_enum_at((enum json_enum_id)f->ref));
    } else if (f->type == JSON_TYPE_MESSAGE) {
        const ProtobufCMessageDescriptor *m = d->descriptor;
        assert_string_equal(json_message_at((enum json_message_id)f->ref)->name, m->name);
        check_message(m);
    }
}

static void check_message(const ProtobufCMessageDescriptor *d)
{
    enum json_message_id id = id_of(d->name);
    const struct json_message *m = json_message_at(id);
    if (seen[id]) {
        return;
    }
    seen[id] = true;
    assert_int_equal(m->count, d->n_fields);
    assert_true(m->count <= JSON_FIELDS_MAX);
    for (unsigned i = 0; i < d->n_fields; i++) {
        assert_ptr_equal(json_field_numbered(m, d->fields[i].id), &m->fields[i]);
        check_field(&d->fields[i], &m->fields[i]);
        assert_true(i == 0 || m->fields[i].number > m->fields[i - 1].number);
        assert_true((m->fields[i].card != JSON_ONEOF) || m->oneof[0] != 0);
    }
}

static const ProtobufCServiceDescriptor *const services[] = {
    &etcdserverpb__kv__descriptor,
    &etcdserverpb__watch__descriptor,
    &etcdserverpb__lease__descriptor,
    &etcdserverpb__cluster__descriptor,
    &etcdserverpb__maintenance__descriptor,
    &etcdserverpb__auth__descriptor,
    &v3lockpb__lock__descriptor,
    &v3electionpb__election__descriptor,
};

static const ProtobufCMethodDescriptor *method_of(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        for (unsigned k = 0; k < services[i]->n_methods; k++) {
            char full[128];
            snprintf(full, sizeof(full), "/%s/%s", services[i]->name, services[i]->methods[k].name);
            if (strcmp(full, path) == 0) {
                return &services[i]->methods[k];
            }
        }
    }
    fail_msg("no method %s", path);
    return NULL;
}

static void tables_say_what_the_protos_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < json_route_count(); i++) {
        const struct json_route *r = json_route_at(i);
        const ProtobufCMethodDescriptor *m = method_of(r->method);
        assert_ptr_equal(json_route_find(slice_cstr(r->path)), r);
        assert_string_equal(json_message_at(r->request)->name, m->input->name);
        assert_string_equal(json_message_at(r->response)->name, m->output->name);
        check_message(m->input);
        check_message(m->output);
    }
    for (int i = 0; i < JSON_MSG_COUNT; i++) {
        assert_true(seen[i]);
    }
}

/* All but RangeStream have a path (client-api 1.1). */
static void every_method_has_a_path(void **state)
{
    (void)state;
    size_t methods = 0, extra = 0;
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        methods += services[i]->n_methods;
    }
    for (size_t i = 0; i < json_route_count(); i++) {
        extra += strncmp(json_route_at(i)->path, "/v3/kv/lease/", 13) == 0;
    }
    assert_int_equal(json_route_count(), methods - 1 + extra);
    assert_int_equal(extra, 3);
    assert_null(json_route_find(SLICE_LIT("/v3/kv/rangestream")));
    assert_null(json_route_find(SLICE_LIT("/v3/kv/range/")));
    assert_null(json_route_find(SLICE_LIT("")));
}

static void names_have_two_forms(void **state)
{
    (void)state;
    static const struct {
        enum json_message_id id;
        const char *name;
        uint32_t number; /* 0: unknown */
    } rows[] = {
        {JSON_MSG_RANGE_REQUEST, "range_end", 2},
        {JSON_MSG_RANGE_REQUEST, "rangeEnd", 2},
        {JSON_MSG_RANGE_REQUEST, "RangeEnd", 0},
        {JSON_MSG_RANGE_REQUEST, "rangeend", 0},
        {JSON_MSG_RANGE_REQUEST, "range_", 0},
        {JSON_MSG_RANGE_REQUEST, "", 0},
        {JSON_MSG_RANGE_REQUEST, "rangeEndx", 0},
        {JSON_MSG_RANGE_REQUEST, "key", 1},
        {JSON_MSG_RANGE_REQUEST, "KEY", 0},
        {JSON_MSG_LEASE_GRANT_REQUEST, "TTL", 1},
        {JSON_MSG_LEASE_GRANT_REQUEST, "ttl", 0},
        {JSON_MSG_RANGE_REQUEST, "maxCreateRevision", 13},
        {JSON_MSG_MEMBER_ADD_REQUEST, "peerURLs", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct json_field *f =
            json_field_named(json_message_at(rows[i].id), slice_cstr(rows[i].name));
        assert_int_equal(f == NULL ? 0 : f->number, rows[i].number);
    }
    struct buf camel = BUF_INIT;
    json_field_camel(json_field_numbered(json_message_at(JSON_MSG_RANGE_REQUEST), 13), &camel);
    assert_string_equal(buf_cstr(&camel), "maxCreateRevision");
    buf_deinit(&camel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_say_what_the_protos_say),
        cmocka_unit_test(every_method_has_a_path),
        cmocka_unit_test(names_have_two_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
