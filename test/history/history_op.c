/* SPDX-License-Identifier: Apache-2.0 */
#include "history_op.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/arena.h"
#include "wire/kv.h"
#include "wire/response.h"

enum { FIELD_COMPARE_VERSION = 4, FIELD_COMPARE_VALUE = 7 };

static bool is_nothing(const char *text)
{
    return strcmp(text, "-") == 0;
}

const char *history_method(enum history_kind kind)
{
    static const char *const methods[] = {
        [HISTORY_PUT] = "/etcdserverpb.KV/Put",
        [HISTORY_GET] = "/etcdserverpb.KV/Range",
        [HISTORY_CAS] = "/etcdserverpb.KV/Txn",
    };
    return methods[kind];
}

static void cas_request(const struct history_op *op, struct buf *out)
{
    struct slice key = slice_cstr(op->key);
    bool is_new = is_nothing(op->expected);
    struct wire_compare compare = {
        .result = WIRE_EQUAL,
        .target = is_new ? WIRE_COMPARE_VERSION : WIRE_COMPARE_VALUE,
        .key = key,
        .operand_field = is_new ? FIELD_COMPARE_VERSION : FIELD_COMPARE_VALUE,
        .value = is_new ? SLICE_NULL : slice_cstr(op->expected),
    };
    struct wire_op put = {.kind = WIRE_OP_PUT, .put = {.key = key, .value = slice_cstr(op->value)}};
    struct wire_op get = {.kind = WIRE_OP_RANGE, .range = {.key = key}};
    struct wire_txn_req txn = {
        .compares = &compare,
        .compare_count = 1,
        .success = &put,
        .success_count = 1,
        .failure = &get,
        .failure_count = 1,
    };
    wire_txn_req_encode(out, &txn);
}

void history_request(const struct history_op *op, struct buf *out)
{
    struct slice key = slice_cstr(op->key);
    switch (op->kind) {
    case HISTORY_PUT:
        wire_put_req_encode(out,
                            &(struct wire_put_req){.key = key, .value = slice_cstr(op->value)});
        break;
    case HISTORY_GET: wire_range_req_encode(out, &(struct wire_range_req){.key = key}); break;
    case HISTORY_CAS: cas_request(op, out); break;
    }
}

static bool see(struct history_op *op, const struct wire_range_resp *r)
{
    if (r->kv_count > 1 || (r->kv_count == 1 && r->kvs[0].value.len >= HISTORY_TEXT_MAX)) {
        return false;
    }
    (void)snprintf(op->seen, sizeof(op->seen), "-");
    op->seen_version = 0;
    if (r->kv_count == 1) {
        struct slice v = r->kvs[0].value;
        (void)snprintf(op->seen, sizeof(op->seen), "%.*s", (int)v.len, (const char *)v.data);
        op->seen_version = r->kvs[0].version;
    }
    return true;
}

static bool put_answer(struct history_op *op, struct slice msg)
{
    struct wire_put_resp r;
    if (wire_put_resp_decode(msg, &r) != 0 || !r.has_header) {
        return false;
    }
    op->revision = r.header.revision;
    return true;
}

static bool get_answer(struct history_op *op, struct slice msg, struct arena *a)
{
    struct wire_range_resp r;
    if (wire_range_resp_decode(msg, a, &r) != 0 || !r.has_header || !see(op, &r)) {
        return false;
    }
    op->revision = r.header.revision;
    return true;
}

static bool cas_answer(struct history_op *op, struct slice msg, struct arena *a)
{
    struct wire_txn_resp r;
    if (wire_txn_resp_decode(msg, a, &r) != 0 || !r.has_header || r.response_count != 1) {
        return false;
    }
    if (r.responses[0].kind != (r.succeeded ? WIRE_OP_PUT : WIRE_OP_RANGE) ||
        (!r.succeeded && !see(op, &r.responses[0].range))) {
        return false;
    }
    op->revision = r.header.revision;
    op->has_matched = r.succeeded;
    return true;
}

bool history_answer(struct history_op *op, struct slice msg)
{
    struct arena a;
    arena_init(&a, 0);
    bool is_fine = false;
    switch (op->kind) {
    case HISTORY_PUT: is_fine = put_answer(op, msg); break;
    case HISTORY_GET: is_fine = get_answer(op, msg, &a); break;
    case HISTORY_CAS: is_fine = cas_answer(op, msg, &a); break;
    }
    arena_deinit(&a);
    op->has_answer = op->has_answer || is_fine;
    return is_fine;
}

static const char *or_nothing(const char *text)
{
    return text[0] == '\0' ? "-" : text;
}

void history_line(const struct history_op *op, struct slice error, struct buf *out)
{
    static const char *const kinds[] = {"put", "get", "cas"};
    const char *outcome = "ok";
    if (!op->has_answer) {
        outcome = "unknown";
    } else if (op->kind == HISTORY_CAS && !op->has_matched) {
        outcome = "no";
    }
    buf_printf(out,
               "%u\t%" PRIu64 "\t%" PRIu64 "\t%s\t%s\t%s\t%s\t%s\t%" PRId64 "\t%s\t%" PRId64
               "\t%.*s\n",
               op->client, op->call_us, op->return_us, kinds[op->kind], op->key,
               or_nothing(op->value), or_nothing(op->expected), outcome, op->revision,
               or_nothing(op->seen), op->seen_version, (int)error.len, (const char *)error.data);
}
