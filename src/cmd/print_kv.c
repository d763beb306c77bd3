/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/print_kv: get, put, del, txn.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/print_impl.h"
#include "cmd/print_text.h"

enum { TXN_PRINT_DEPTH = WIRE_TXN_DEPTH_MAX };

/* ---- simple
 * -------------------------------------------------------------------------------------- */

static void simple_bytes(struct printer *p, struct slice s)
{
    if (p->is_hex) {
        text_hex_bytes(p->out, s);
    } else {
        buf_append_slice(p->out, s);
    }
    buf_append_byte(p->out, '\n');
}

static void simple_kv(struct printer *p, const struct wire_kv *kv)
{
    if (!p->is_value_only) {
        simple_bytes(p, kv->key);
    }
    simple_bytes(p, kv->value);
}

static void simple_range(struct printer *p, const struct wire_range_resp *r)
{
    for (size_t i = 0; i < r->kv_count; i++) {
        simple_kv(p, &r->kvs[i]);
    }
}

static void simple_put(struct printer *p, const struct wire_put_resp *r)
{
    buf_append_cstr(p->out, "OK\n");
    if (r->has_prev_kv) {
        simple_kv(p, &r->prev_kv);
    }
}

static void simple_delete(struct printer *p, const struct wire_delete_resp *r)
{
    buf_printf(p->out, "%" PRId64 "\n", r->deleted);
    for (size_t i = 0; i < r->prev_kv_count; i++) {
        simple_kv(p, &r->prev_kvs[i]);
    }
}

static void simple_op(struct printer *p, const struct wire_op_resp *op)
{
    buf_append_byte(p->out, '\n');
    switch (op->kind) {
    case WIRE_OP_RANGE: simple_range(p, &op->range); break;
    case WIRE_OP_PUT: simple_put(p, &op->put); break;
    case WIRE_OP_DELETE: simple_delete(p, &op->del); break;
    case WIRE_OP_TXN:
    case WIRE_OP_NONE: buf_append_cstr(p->out, "unexpected response\n"); break;
    }
}

static void simple_txn(struct printer *p, const struct wire_txn_resp *r)
{
    buf_append_cstr(p->out, r->succeeded ? "SUCCESS\n" : "FAILURE\n");
    for (size_t i = 0; i < r->response_count; i++) {
        simple_op(p, &r->responses[i]);
    }
}

/* ---- fields
 * -------------------------------------------------------------------------------------- */

static void fields_kv(struct printer *p, const char *prefix, const struct wire_kv *kv)
{
    char name[32];
#define FIELD_NAME(n) (snprintf(name, sizeof(name), "%s%s", prefix, n), name)
    print_field_quoted(p->out, FIELD_NAME("Key"), kv->key);
    print_field_i64(p->out, FIELD_NAME("CreateRevision"), kv->create_revision);
    print_field_i64(p->out, FIELD_NAME("ModRevision"), kv->mod_revision);
    print_field_i64(p->out, FIELD_NAME("Version"), kv->version);
    print_field_quoted(p->out, FIELD_NAME("Value"), kv->value);
    print_field_id(p, FIELD_NAME("Lease"), (uint64_t)kv->lease, true);
#undef FIELD_NAME
}

static void fields_range(struct printer *p, const struct wire_range_resp *r)
{
    print_field_header(p, &r->header);
    for (size_t i = 0; i < r->kv_count; i++) {
        fields_kv(p, "", &r->kvs[i]);
    }
    print_field_bool(p->out, "More", r->more);
    print_field_i64(p->out, "Count", r->count);
}

static void fields_put(struct printer *p, const struct wire_put_resp *r)
{
    print_field_header(p, &r->header);
    if (r->has_prev_kv) {
        fields_kv(p, "Prev", &r->prev_kv);
    }
}

static void fields_delete(struct printer *p, const struct wire_delete_resp *r)
{
    print_field_header(p, &r->header);
    print_field_i64(p->out, "Deleted", r->deleted);
    for (size_t i = 0; i < r->prev_kv_count; i++) {
        fields_kv(p, "Prev", &r->prev_kvs[i]);
    }
}

static void fields_op(struct printer *p, const struct wire_op_resp *op)
{
    switch (op->kind) {
    case WIRE_OP_RANGE: fields_range(p, &op->range); break;
    case WIRE_OP_PUT: fields_put(p, &op->put); break;
    case WIRE_OP_DELETE: fields_delete(p, &op->del); break;
    case WIRE_OP_TXN:
    case WIRE_OP_NONE: print_field_bare(p->out, "Unknown", "\"\""); break;
    }
}

static void fields_txn(struct printer *p, const struct wire_txn_resp *r)
{
    print_field_header(p, &r->header);
    print_field_bool(p->out, "Succeeded", r->succeeded);
    for (size_t i = 0; i < r->response_count; i++) {
        fields_op(p, &r->responses[i]);
    }
}

/* ---- json
 * ---------------------------------------------------------------------------------------- */

static void json_bytes(struct buf *out, bool *is_first, const char *name, struct slice s)
{
    if (s.len > 0) {
        print_json_name(out, is_first, name);
        buf_append_byte(out, '"');
        gotext_base64(out, s);
        buf_append_byte(out, '"');
    }
}

static void json_number(struct buf *out, bool *is_first, const char *name, int64_t v)
{
    if (v != 0) {
        print_json_name(out, is_first, name);
        buf_printf(out, "%" PRId64, v);
    }
}

static void json_kv(struct buf *out, const struct wire_kv *kv)
{
    bool is_first = true;
    buf_append_byte(out, '{');
    json_bytes(out, &is_first, "key", kv->key);
    json_number(out, &is_first, "create_revision", kv->create_revision);
    json_number(out, &is_first, "mod_revision", kv->mod_revision);
    json_number(out, &is_first, "version", kv->version);
    json_bytes(out, &is_first, "value", kv->value);
    json_number(out, &is_first, "lease", kv->lease);
    buf_append_byte(out, '}');
}

static void json_kvs(struct buf *out, bool *is_first, const char *name, const struct wire_kv *kvs,
                     size_t count)
{
    if (count == 0) {
        return;
    }
    print_json_name(out, is_first, name);
    buf_append_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        buf_append_cstr(out, i > 0 ? "," : "");
        json_kv(out, &kvs[i]);
    }
    buf_append_byte(out, ']');
}

static void json_true(struct buf *out, bool *is_first, const char *name, bool v)
{
    if (v) {
        print_json_name(out, is_first, name);
        buf_append_cstr(out, "true");
    }
}

/* "{" and the header if there is one. */
static void json_open(struct buf *out, bool *is_first, bool has_header,
                      const struct wire_header *header)
{
    *is_first = true;
    buf_append_byte(out, '{');
    if (has_header) {
        print_json_name(out, is_first, "header");
        print_json_header(out, header);
    }
}

static void json_range(struct buf *out, const struct wire_range_resp *r)
{
    bool is_first;
    json_open(out, &is_first, r->has_header, &r->header);
    json_kvs(out, &is_first, "kvs", r->kvs, r->kv_count);
    json_true(out, &is_first, "more", r->more);
    json_number(out, &is_first, "count", r->count);
    buf_append_byte(out, '}');
}

static void json_put(struct buf *out, const struct wire_put_resp *r)
{
    bool is_first;
    json_open(out, &is_first, r->has_header, &r->header);
    if (r->has_prev_kv) {
        print_json_name(out, &is_first, "prev_kv");
        json_kv(out, &r->prev_kv);
    }
    buf_append_byte(out, '}');
}

static void json_delete(struct buf *out, const struct wire_delete_resp *r)
{
    bool is_first;
    json_open(out, &is_first, r->has_header, &r->header);
    json_number(out, &is_first, "deleted", r->deleted);
    json_kvs(out, &is_first, "prev_kvs", r->prev_kvs, r->prev_kv_count);
    buf_append_byte(out, '}');
}

static void json_txn(struct buf *out, const struct wire_txn_resp *r, int depth);

static void json_op(struct buf *out, const struct wire_op_resp *op, int depth)
{
    buf_append_cstr(out, "{\"Response\":{");
    switch (op->kind) {
    case WIRE_OP_RANGE:
        buf_append_cstr(out, "\"response_range\":");
        json_range(out, &op->range);
        break;
    case WIRE_OP_PUT:
        buf_append_cstr(out, "\"response_put\":");
        json_put(out, &op->put);
        break;
    case WIRE_OP_DELETE:
        buf_append_cstr(out, "\"response_delete_range\":");
        json_delete(out, &op->del);
        break;
    case WIRE_OP_TXN:
        buf_append_cstr(out, "\"response_txn\":");
        json_txn(out, op->txn, depth + 1);
        break;
    case WIRE_OP_NONE: break;
    }
    buf_append_cstr(out, "}}");
}

static void json_txn(struct buf *out, const struct wire_txn_resp *r, int depth)
{
    bool is_first;
    ensure(depth <= TXN_PRINT_DEPTH); /* the decoder refuses deeper ones */
    json_open(out, &is_first, r->has_header, &r->header);
    json_true(out, &is_first, "succeeded", r->succeeded);
    if (r->response_count > 0) {
        print_json_name(out, &is_first, "responses");
        for (size_t i = 0; i < r->response_count; i++) {
            buf_append_cstr(out, i > 0 ? "," : "[");
            json_op(out, &r->responses[i], depth);
        }
        buf_append_byte(out, ']');
    }
    buf_append_byte(out, '}');
}

/* ---- the face
 * ------------------------------------------------------------------------------------ */

int print_get(struct printer *p, struct slice raw, const struct wire_range_resp *r)
{
    switch (p->format) {
    case PRINT_SIMPLE: simple_range(p, r); return 0;
    case PRINT_FIELDS: fields_range(p, r); return 0;
    case PRINT_PROTOBUF: return print_raw(p, raw);
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_JSON: break;
    }
    json_range(p->out, r);
    buf_append_byte(p->out, '\n');
    return 0;
}

int print_put(struct printer *p, struct slice raw, const struct wire_put_resp *r)
{
    switch (p->format) {
    case PRINT_SIMPLE: simple_put(p, r); return 0;
    case PRINT_FIELDS: fields_put(p, r); return 0;
    case PRINT_PROTOBUF: return print_raw(p, raw);
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_JSON: break;
    }
    json_put(p->out, r);
    buf_append_byte(p->out, '\n');
    return 0;
}

int print_del(struct printer *p, struct slice raw, const struct wire_delete_resp *r)
{
    switch (p->format) {
    case PRINT_SIMPLE: simple_delete(p, r); return 0;
    case PRINT_FIELDS: fields_delete(p, r); return 0;
    case PRINT_PROTOBUF: return print_raw(p, raw);
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_JSON: break;
    }
    json_delete(p->out, r);
    buf_append_byte(p->out, '\n');
    return 0;
}

int print_txn(struct printer *p, struct slice raw, const struct wire_txn_resp *r)
{
    switch (p->format) {
    case PRINT_SIMPLE: simple_txn(p, r); return 0;
    case PRINT_FIELDS: fields_txn(p, r); return 0;
    case PRINT_PROTOBUF: return print_raw(p, raw);
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_JSON: break;
    }
    json_txn(p->out, r, 0);
    buf_append_byte(p->out, '\n');
    return 0;
}

/* ---- watch
 * ------------------------------------------------------------------------------------ */

static void append_type(struct buf *out, int32_t type)
{
    if (type == WIRE_EVENT_PUT || type == WIRE_EVENT_DELETE) {
        buf_append_cstr(out, type == WIRE_EVENT_PUT ? "PUT" : "DELETE");
    } else {
        buf_printf(out, "%" PRId32, type);
    }
}

static void simple_watch(struct printer *p, const struct wire_watch_resp *r)
{
    for (size_t i = 0; i < r->event_count; i++) {
        const struct wire_event *e = &r->events[i];
        append_type(p->out, e->type);
        buf_append_byte(p->out, '\n');
        if (e->has_prev_kv) {
            simple_kv(p, &e->prev_kv);
        }
        simple_kv(p, &e->kv);
    }
}

static void fields_watch(struct printer *p, const struct wire_watch_resp *r)
{
    print_field_header(p, &r->header);
    for (size_t i = 0; i < r->event_count; i++) {
        const struct wire_event *e = &r->events[i];
        buf_append_cstr(p->out, "\"Type\" : ");
        append_type(p->out, e->type);
        buf_append_byte(p->out, '\n');
        if (e->has_prev_kv) {
            fields_kv(p, "Prev", &e->prev_kv);
        }
        fields_kv(p, "", &e->kv);
    }
}

static void json_event(struct buf *out, const struct wire_event *e)
{
    bool is_first = true;
    buf_append_byte(out, '{');
    json_number(out, &is_first, "type", e->type);
    if (e->has_kv) {
        print_json_name(out, &is_first, "kv");
        json_kv(out, &e->kv);
    }
    if (e->has_prev_kv) {
        print_json_name(out, &is_first, "prev_kv");
        json_kv(out, &e->prev_kv);
    }
    buf_append_byte(out, '}');
}

static void json_watch(struct buf *out, const struct wire_watch_resp *r)
{
    buf_append_cstr(out, "{\"Header\":");
    print_json_header(out, &r->header);
    buf_append_cstr(out, ",\"Events\":");
    for (size_t i = 0; i < r->event_count; i++) {
        buf_append_byte(out, i > 0 ? ',' : '[');
        json_event(out, &r->events[i]);
    }
    buf_append_cstr(out, r->event_count > 0 ? "]" : "null");
    buf_printf(out, ",\"CompactRevision\":%" PRId64 ",\"Canceled\":%s,\"Created\":%s,",
               r->compact_revision, r->canceled ? "true" : "false", r->created ? "true" : "false");
    buf_append_cstr(out, "\"CancelReason\":");
    gotext_json_string(out, r->cancel_reason);
    buf_append_cstr(out, "}\n");
}

static void protobuf_watch(struct buf *out, const struct wire_watch_resp *r)
{
    struct wire_watch_resp head = *r;
    head.watch_id = 0;
    head.cancel_reason = SLICE_NULL;
    wire_watch_resp_encode_head(out, &head);
    for (size_t i = 0; i < r->event_count; i++) {
        const struct wire_event *e = &r->events[i];
        size_t start = out->len;
        wire_append_u64(out, 1, (uint64_t)e->type);
        wire_append_kv(out, 2, e->has_kv ? &e->kv : NULL);
        wire_append_kv(out, 3, e->has_prev_kv ? &e->prev_kv : NULL);
        wire_close_message(out, start, WIRE_WATCH_EVENTS);
    }
}

int print_watch(struct printer *p, const struct wire_watch_resp *r)
{
    switch (p->format) {
    case PRINT_SIMPLE: simple_watch(p, r); return 0;
    case PRINT_FIELDS: fields_watch(p, r); return 0;
    case PRINT_PROTOBUF: protobuf_watch(p->out, r); return 0;
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_JSON: break;
    }
    json_watch(p->out, r);
    return 0;
}
