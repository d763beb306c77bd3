/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/print_auth: users, roles, authentication, and leases.
 */
#include <inttypes.h>

#include "cmd/print_impl.h"
#include "cmd/print_text.h"
#include "wire/kv.h"
#include "wire/pb.h"

enum { PERM_READ = 0, PERM_WRITE = 1, PERM_READWRITE = 2 };

static int json_line(struct printer *p, const ProtobufCMessage *m)
{
    print_json_message(p->out, m);
    buf_append_byte(p->out, '\n');
    return 0;
}

int print_change(struct printer *p, struct slice raw, const ProtobufCMessage *r,
                 const Etcdserverpb__ResponseHeader *header, const char *sentence)
{
    switch (p->format) {
    case PRINT_PROTOBUF: return print_raw(p, raw);
    case PRINT_JSON: return json_line(p, r);
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_FIELDS: print_field_pb_header(p, header); return 0;
    case PRINT_SIMPLE: break;
    }
    buf_append_cstr(p->out, sentence);
    buf_append_byte(p->out, '\n');
    return 0;
}

/* The formats of an answer that has neither fields nor a table, but for the simple one. */
static int print_no_text(struct printer *p, struct slice raw, const ProtobufCMessage *r)
{
    switch (p->format) {
    case PRINT_PROTOBUF: return print_raw(p, raw);
    case PRINT_JSON: return json_line(p, r);
    case PRINT_FIELDS:
    case PRINT_TABLE:
    case PRINT_SIMPLE: break;
    }
    return ERR_UNSUPPORTED;
}

int print_auth_status(struct printer *p, struct slice raw,
                      const Etcdserverpb__AuthStatusResponse *r)
{
    if (p->format != PRINT_SIMPLE) {
        return print_no_text(p, raw, &r->base);
    }
    buf_printf(p->out, "Authentication Status: %s\nAuthRevision: %" PRIu64 "\n",
               r->enabled ? "true" : "false", r->authrevision);
    return 0;
}

int print_user_get(struct printer *p, struct slice raw, const char *user,
                   const Etcdserverpb__AuthUserGetResponse *r)
{
    if (p->format != PRINT_SIMPLE) {
        return print_no_text(p, raw, &r->base);
    }
    buf_printf(p->out, "User: %s\nRoles:", user);
    for (size_t i = 0; i < r->n_roles; i++) {
        buf_printf(p->out, " %s", r->roles[i]);
    }
    buf_append_byte(p->out, '\n');
    return 0;
}

int print_user_list(struct printer *p, struct slice raw,
                    const Etcdserverpb__AuthUserListResponse *r)
{
    if (p->format != PRINT_SIMPLE) {
        return print_no_text(p, raw, &r->base);
    }
    for (size_t i = 0; i < r->n_users; i++) {
        buf_printf(p->out, "%s\n", r->users[i]);
    }
    return 0;
}

static void simple_permission(struct buf *out, const Authpb__Permission *perm)
{
    struct slice key = wire_pb_slice(perm->key);
    struct slice end = wire_pb_slice(perm->range_end);
    struct buf prefix = BUF_INIT;
    buf_append_byte(out, '\t');
    if (end.len == 0) {
        buf_append_slice(out, key);
        buf_append_byte(out, '\n');
        return;
    }
    buf_append_byte(out, '[');
    buf_append_slice(out, key);
    if (slice_equal(end, slice_make("", 1))) {
        buf_append_cstr(out, ", <open ended>");
    } else {
        buf_append_cstr(out, ", ");
        buf_append_slice(out, end);
        buf_append_byte(out, ')');
    }
    if (key.len > 0 && slice_equal(wire_prefix_end(key, buf_extend(&prefix, key.len)), end)) {
        buf_append_cstr(out, " (prefix ");
        buf_append_slice(out, key);
        buf_append_byte(out, ')');
    }
    buf_append_byte(out, '\n');
    buf_deinit(&prefix);
}

static void simple_permissions(struct buf *out, const Etcdserverpb__AuthRoleGetResponse *r,
                               bool is_all, int type)
{
    buf_append_cstr(out, type == PERM_READ ? "KV Read:\n" : "KV Write:\n");
    if (is_all) {
        buf_append_cstr(out, "\t[, <open ended>\n");
    }
    for (size_t i = 0; i < r->n_perm; i++) {
        int has = (int)r->perm[i]->permtype;
        if (has == type || has == PERM_READWRITE) {
            simple_permission(out, r->perm[i]);
        }
    }
}

static void fields_role(struct printer *p, const Etcdserverpb__AuthRoleGetResponse *r)
{
    static const char *const types[] = {"READ", "WRITE", "READWRITE"};
    print_field_pb_header(p, r->header);
    for (size_t i = 0; i < r->n_perm; i++) {
        size_t type = (size_t)r->perm[i]->permtype;
        if (type < ARRAY_LEN(types)) {
            buf_printf(p->out, "\"PermType\" :  %s\n", types[type]);
        } else {
            buf_printf(p->out, "\"PermType\" :  %zu\n", type);
        }
        print_field_quoted(p->out, "Key", wire_pb_slice(r->perm[i]->key));
        print_field_quoted(p->out, "RangeEnd", wire_pb_slice(r->perm[i]->range_end));
    }
}

int print_role_get(struct printer *p, struct slice raw, const char *role,
                   const Etcdserverpb__AuthRoleGetResponse *r)
{
    switch (p->format) {
    case PRINT_PROTOBUF: return print_raw(p, raw);
    case PRINT_JSON: return json_line(p, &r->base);
    case PRINT_FIELDS: fields_role(p, r); return 0;
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_SIMPLE: break;
    }
    bool is_all = strcmp(role, "root") == 0 && r->n_perm == 0;
    buf_printf(p->out, "Role %s\n", role);
    simple_permissions(p->out, r, is_all, PERM_READ);
    simple_permissions(p->out, r, is_all, PERM_WRITE);
    return 0;
}

int print_role_list(struct printer *p, struct slice raw,
                    const Etcdserverpb__AuthRoleListResponse *r)
{
    switch (p->format) {
    case PRINT_PROTOBUF: return print_raw(p, raw);
    case PRINT_JSON: return json_line(p, &r->base);
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_FIELDS:
        print_field_pb_header(p, r->header);
        buf_append_cstr(p->out, "\"Roles\" :");
        for (size_t i = 0; i < r->n_roles; i++) {
            buf_append_byte(p->out, ' ');
            gotext_quote(p->out, slice_cstr(r->roles[i]));
        }
        buf_append_byte(p->out, '\n');
        return 0;
    case PRINT_SIMPLE: break;
    }
    for (size_t i = 0; i < r->n_roles; i++) {
        buf_printf(p->out, "%s\n", r->roles[i]);
    }
    return 0;
}

/* ---- leases
 * -------------------------------------------------------------------------------------- */

/* protobuf output of the lease commands is the header alone. */
static int lease_protobuf(struct printer *p, const Etcdserverpb__ResponseHeader *h)
{
    if (h != NULL) {
        wire_pb_append(p->out, &h->base);
    }
    return 0;
}

void print_lease_id(struct buf *out, int64_t id)
{
    if (id < 0) {
        buf_printf(out, "-%015" PRIx64, 0 - (uint64_t)id);
    } else {
        buf_printf(out, "%016" PRIx64, (uint64_t)id);
    }
}

int print_lease_grant(struct printer *p, const Etcdserverpb__LeaseGrantResponse *r)
{
    switch (p->format) {
    case PRINT_PROTOBUF: return lease_protobuf(p, r->header);
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_JSON:
        buf_append_byte(p->out, '{');
        print_json_header_flat(p->out, r->header);
        buf_printf(p->out, "\"ID\":%" PRId64 ",\"TTL\":%" PRId64 ",\"Error\":", r->id, r->ttl);
        gotext_json_string(p->out, slice_cstr(r->error));
        buf_append_cstr(p->out, "}\n");
        return 0;
    case PRINT_FIELDS:
        print_field_pb_header(p, r->header);
        print_field_id(p, "ID", (uint64_t)r->id, true);
        print_field_i64(p->out, "TTL", r->ttl);
        return 0;
    case PRINT_SIMPLE: break;
    }
    buf_append_cstr(p->out, "lease ");
    print_lease_id(p->out, r->id);
    buf_printf(p->out, " granted with TTL(%" PRId64 "s)\n", r->ttl);
    return 0;
}

int print_lease_revoke(struct printer *p, int64_t id, const Etcdserverpb__LeaseRevokeResponse *r)
{
    switch (p->format) {
    case PRINT_PROTOBUF:
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_JSON: return json_line(p, &r->base);
    case PRINT_FIELDS: print_field_pb_header(p, r->header); return 0;
    case PRINT_SIMPLE: break;
    }
    buf_append_cstr(p->out, "lease ");
    print_lease_id(p->out, id);
    buf_append_cstr(p->out, " revoked\n");
    return 0;
}

int print_lease_keep_alive(struct printer *p, const Etcdserverpb__LeaseKeepAliveResponse *r)
{
    switch (p->format) {
    case PRINT_PROTOBUF: return lease_protobuf(p, r->header);
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_JSON:
        buf_append_byte(p->out, '{');
        print_json_header_flat(p->out, r->header);
        buf_printf(p->out, "\"ID\":%" PRId64 ",\"TTL\":%" PRId64 "}\n", r->id, r->ttl);
        return 0;
    case PRINT_FIELDS:
        print_field_pb_header(p, r->header);
        print_field_id(p, "ID", (uint64_t)r->id, true);
        print_field_i64(p->out, "TTL", r->ttl);
        return 0;
    case PRINT_SIMPLE: break;
    }
    buf_append_cstr(p->out, "lease ");
    print_lease_id(p->out, r->id);
    buf_printf(p->out, " keepalived with TTL(%" PRId64 ")\n", r->ttl);
    return 0;
}

static void simple_time_to_live(struct buf *out, const Etcdserverpb__LeaseTimeToLiveResponse *r,
                                bool has_keys)
{
    buf_append_cstr(out, "lease ");
    print_lease_id(out, r->id);
    if (r->grantedttl == 0 && r->ttl == -1) {
        buf_append_cstr(out, " already expired\n");
        return;
    }
    buf_printf(out, " granted with TTL(%" PRId64 "s), remaining(%" PRId64 "s)", r->grantedttl,
               r->ttl);
    if (has_keys) {
        buf_append_cstr(out, ", attached keys([");
        for (size_t i = 0; i < r->n_keys; i++) {
            buf_append_cstr(out, i > 0 ? " " : "");
            buf_append_slice(out, wire_pb_slice(r->keys[i]));
        }
        buf_append_cstr(out, "])");
    }
    buf_append_byte(out, '\n');
}

static void json_time_to_live(struct buf *out, const Etcdserverpb__LeaseTimeToLiveResponse *r)
{
    buf_append_byte(out, '{');
    print_json_header_flat(out, r->header);
    buf_printf(out, "\"id\":%" PRId64 ",\"ttl\":%" PRId64 ",\"granted-ttl\":%" PRId64 ",\"keys\":",
               r->id, r->ttl, r->grantedttl);
    for (size_t i = 0; i < r->n_keys; i++) {
        buf_append_cstr(out, i > 0 ? ",\"" : "[\"");
        gotext_base64(out, wire_pb_slice(r->keys[i]));
        buf_append_byte(out, '"');
    }
    buf_append_cstr(out, r->n_keys > 0 ? "]}\n" : "null}\n");
}

int print_lease_time_to_live(struct printer *p, const Etcdserverpb__LeaseTimeToLiveResponse *r,
                             bool has_keys)
{
    switch (p->format) {
    case PRINT_PROTOBUF: return lease_protobuf(p, r->header);
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_JSON: json_time_to_live(p->out, r); return 0;
    case PRINT_SIMPLE: simple_time_to_live(p->out, r, has_keys); return 0;
    case PRINT_FIELDS: break;
    }
    print_field_pb_header(p, r->header);
    print_field_id(p, "ID", (uint64_t)r->id, true);
    print_field_i64(p->out, "TTL", r->ttl);
    print_field_i64(p->out, "GrantedTTL", r->grantedttl);
    for (size_t i = 0; i < r->n_keys; i++) {
        print_field_quoted(p->out, "Key", wire_pb_slice(r->keys[i]));
    }
    return 0;
}

static void json_leases(struct buf *out, const Etcdserverpb__LeaseLeasesResponse *r)
{
    buf_append_byte(out, '{');
    print_json_header_flat(out, r->header);
    buf_append_cstr(out, "\"leases\":[");
    for (size_t i = 0; i < r->n_leases; i++) {
        buf_printf(out, "%s{\"id\":%" PRId64 "}", i > 0 ? "," : "", r->leases[i]->id);
    }
    buf_append_cstr(out, "]}\n");
}

int print_lease_list(struct printer *p, const Etcdserverpb__LeaseLeasesResponse *r)
{
    switch (p->format) {
    case PRINT_PROTOBUF: return lease_protobuf(p, r->header);
    case PRINT_TABLE: return ERR_UNSUPPORTED;
    case PRINT_JSON: json_leases(p->out, r); return 0;
    case PRINT_FIELDS:
        print_field_pb_header(p, r->header);
        for (size_t i = 0; i < r->n_leases; i++) {
            print_field_id(p, "ID", (uint64_t)r->leases[i]->id, true);
        }
        return 0;
    case PRINT_SIMPLE: break;
    }
    buf_printf(p->out, "found %zu leases\n", r->n_leases);
    for (size_t i = 0; i < r->n_leases; i++) {
        print_lease_id(p->out, r->leases[i]->id);
        buf_append_byte(p->out, '\n');
    }
    return 0;
}
