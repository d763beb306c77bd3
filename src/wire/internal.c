/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/internal: InternalRaftRequest, the payload of a normal log entry, and the v2 Request
 * that 3.5 wrote in its place.
 *
 * The request's own bytes are embedded as they came from the client; their decoder validates them.
 * etcd's proposers set exactly one request field, so a second one is malformed here (Go would apply
 * the first in its dispatch order; no proposer can make it).
 */
#include "base/bytes.h"
#include "base/err.h"
#include "wire/take.h"

enum { INTERNAL_OLD_ID = 1, HEADER_ID = 1, HEADER_USERNAME = 2, HEADER_AUTH_REVISION = 3 };

static bool is_request_field(uint32_t field)
{
    return (field >= WIRE_INTERNAL_V2 && field <= WIRE_INTERNAL_LEASE_CHECKPOINT) ||
           field == WIRE_INTERNAL_AUTH_ENABLE ||
           (field >= WIRE_INTERNAL_AUTH_DISABLE && field <= WIRE_INTERNAL_AUTH_STATUS) ||
           (field >= WIRE_INTERNAL_AUTH_USER_ADD && field <= WIRE_INTERNAL_AUTH_ROLE_LIST) ||
           (field >= WIRE_INTERNAL_AUTH_ROLE_ADD &&
            field <= WIRE_INTERNAL_AUTH_ROLE_REVOKE_PERMISSION) ||
           (field >= WIRE_INTERNAL_CLUSTER_VERSION_SET &&
            field <= WIRE_INTERNAL_DOWNGRADE_INFO_SET) ||
           field == WIRE_INTERNAL_DOWNGRADE_VERSION_TEST;
}

static int merge_request_header(struct slice in, struct wire_internal *r)
{
    struct wire_scan s;
    wire_scan_init(&s, in);
    while (wire_scan_next(&s)) {
        switch (s.field) {
        case HEADER_ID: wire_take_u64(&s, &r->id); break;
        case HEADER_USERNAME: wire_take_bytes(&s, &r->username); break;
        case HEADER_AUTH_REVISION: wire_take_u64(&s, &r->auth_revision); break;
        default: break;
        }
    }
    return s.err;
}

static int take_internal(const struct wire_scan *s, struct wire_internal *r)
{
    if (s->type != WIRE_LEN) {
        return 0;
    }
    if (s->field == WIRE_INTERNAL_HEADER) {
        return merge_request_header(s->bytes, r);
    }
    if (is_request_field(s->field)) {
        if (r->which != 0) {
            return ERR_MALFORMED;
        }
        r->which = s->field;
        r->body = s->bytes;
    }
    return 0;
}

int wire_internal_decode(struct slice in, struct wire_internal *out)
{
    struct wire_internal r = {0};
    struct wire_scan s;
    uint64_t old_id = 0;
    int err = 0;
    wire_scan_init(&s, in);
    while (err == 0 && wire_scan_next(&s)) {
        if (s.field == INTERNAL_OLD_ID) {
            wire_take_u64(&s, &old_id);
        } else {
            err = take_internal(&s, &r);
        }
    }
    err = err != 0 ? err : s.err;
    if (err == 0) {
        r.id = old_id != 0 ? old_id : r.id; /* etcd's order */
        *out = r;
    }
    return err;
}

static size_t request_header_size(const struct wire_internal *r)
{
    return wire_u64_size(HEADER_ID, r->id) + wire_bytes_size(HEADER_USERNAME, r->username.len) +
           wire_u64_size(HEADER_AUTH_REVISION, r->auth_revision);
}

size_t wire_internal_size(const struct wire_internal *r)
{
    size_t body = r->which == 0 ? 0 : wire_message_size(r->which, r->body.len);
    return body + wire_message_size(WIRE_INTERNAL_HEADER, request_header_size(r));
}

void wire_internal_encode(const struct wire_internal *r, uint8_t *out)
{
    ensure(r->which == 0 || is_request_field(r->which));
    if (r->which != 0 && r->which < WIRE_INTERNAL_HEADER) {
        out = wire_put_message(out, r->which, r->body);
    }
    out = wire_put_message_head(out, WIRE_INTERNAL_HEADER, request_header_size(r));
    out = wire_put_u64(out, HEADER_ID, r->id);
    out = wire_put_bytes(out, HEADER_USERNAME, r->username);
    out = wire_put_u64(out, HEADER_AUTH_REVISION, r->auth_revision);
    if (r->which > WIRE_INTERNAL_HEADER) {
        (void)wire_put_message(out, r->which, r->body);
    }
}

static bool is_v2_method(struct slice s)
{
    static const char *const methods[] = {"PUT", "POST", "DELETE", "QGET", "SYNC"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (slice_equal_cstr(s, methods[i])) {
            return true;
        }
    }
    return false;
}

bool wire_v2_request_decode(struct slice in, struct wire_v2_request *out)
{
    struct wire_v2_request r = {0};
    struct wire_scan s;
    bool has_id = false;
    wire_scan_init(&s, in);
    while (wire_scan_next(&s)) {
        switch (s.field) {
        case 1:
            has_id = has_id || s.type == WIRE_VARINT;
            wire_take_u64(&s, &r.id);
            break;
        case 2: wire_take_bytes(&s, &r.method); break;
        case 3: wire_take_bytes(&s, &r.path); break;
        case 4: wire_take_bytes(&s, &r.val); break;
        default: break;
        }
    }
    if (s.err != 0 || !has_id || !is_v2_method(r.method)) {
        return false;
    }
    *out = r;
    return true;
}
