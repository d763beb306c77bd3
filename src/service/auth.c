/* SPDX-License-Identifier: Apache-2.0
 *
 * service/auth: etcdserverpb.Auth (client-api 2.6.2), but for what needs bcrypt (login.c).
 *
 * Every request goes through the log, reads too, in the name of who asks, and is checked where it
 * is applied.  It is encoded anew, as etcd does: see kv.c.  A text that is not UTF-8 is refused: it
 * ends a 3.7 member that has to apply it.
 */
#include "service/internal.h"

enum { FIELDS_MAX = 4 };
enum field_kind { FIELD_NONE, FIELD_TEXT, FIELD_BYTES, FIELD_PERM };

struct auth_rpc {
    const char *name;
    uint32_t which;
    enum field_kind fields[FIELDS_MAX]; /* [i]: of field i + 1 */
};

static const struct auth_rpc rpcs[] = {
    {"AuthEnable", WIRE_INTERNAL_AUTH_ENABLE, {FIELD_NONE}},
    {"AuthDisable", WIRE_INTERNAL_AUTH_DISABLE, {FIELD_NONE}},
    {"AuthStatus", WIRE_INTERNAL_AUTH_STATUS, {FIELD_NONE}},
    {"UserDelete", WIRE_INTERNAL_AUTH_USER_DELETE, {FIELD_TEXT}},
    {"UserGet", WIRE_INTERNAL_AUTH_USER_GET, {FIELD_TEXT}},
    {"UserGrantRole", WIRE_INTERNAL_AUTH_USER_GRANT_ROLE, {FIELD_TEXT, FIELD_TEXT}},
    {"UserRevokeRole", WIRE_INTERNAL_AUTH_USER_REVOKE_ROLE, {FIELD_TEXT, FIELD_TEXT}},
    {"UserList", WIRE_INTERNAL_AUTH_USER_LIST, {FIELD_NONE}},
    {"RoleList", WIRE_INTERNAL_AUTH_ROLE_LIST, {FIELD_NONE}},
    {"RoleAdd", WIRE_INTERNAL_AUTH_ROLE_ADD, {FIELD_TEXT}},
    {"RoleDelete", WIRE_INTERNAL_AUTH_ROLE_DELETE, {FIELD_TEXT}},
    {"RoleGet", WIRE_INTERNAL_AUTH_ROLE_GET, {FIELD_TEXT}},
    {"RoleGrantPermission", WIRE_INTERNAL_AUTH_ROLE_GRANT_PERMISSION, {FIELD_TEXT, FIELD_PERM}},
    {"RoleRevokePermission",
     WIRE_INTERNAL_AUTH_ROLE_REVOKE_PERMISSION,
     {FIELD_TEXT, FIELD_BYTES, FIELD_BYTES}},
};

static const struct auth_rpc *rpc_of(const struct grpc_call *call)
{
    const char *name = grpc_call_method(call)->name;
    for (size_t i = 0; i < ARRAY_LEN(rpcs); i++) {
        if (strcmp(rpcs[i].name, name) == 0) {
            return &rpcs[i];
        }
    }
    ensure(false);
    return NULL;
}

/* ---- requests ---- */

/* What a request has, the last of each. */
struct fields {
    struct slice text[FIELDS_MAX]; /* data NULL: it did not come */
    struct buf perm;               /* all pieces of a message that came several times */
};

static int field_take(const struct auth_rpc *rpc, const struct wire_scan *s, struct fields *f)
{
    enum field_kind kind = rpc->fields[s->field - 1];
    if (kind == FIELD_TEXT && !wire_utf8_valid(s->bytes)) {
        return ERR_MALFORMED;
    }
    f->text[s->field - 1] = s->bytes.data != NULL ? s->bytes : SLICE_LIT("");
    if (kind == FIELD_PERM) {
        buf_append_slice(&f->perm, s->bytes);
    }
    return 0;
}

static int fields_decode(const struct auth_rpc *rpc, struct slice msg, struct fields *f)
{
    struct wire_scan s;
    int err = 0;
    for (wire_scan_init(&s, msg); err == 0 && wire_scan_next(&s);) {
        if (s.type == WIRE_LEN && s.field >= 1 && s.field <= FIELDS_MAX) {
            err = field_take(rpc, &s, f);
        }
    }
    return err != 0 ? err : s.err;
}

static int fields_encode(const struct auth_rpc *rpc, const struct fields *f, struct buf *out)
{
    int err = 0;
    for (uint32_t i = 0; err == 0 && i < FIELDS_MAX; i++) {
        if (rpc->fields[i] == FIELD_TEXT || rpc->fields[i] == FIELD_BYTES) {
            wire_append_bytes(out, i + 1, f->text[i]);
        } else if (rpc->fields[i] == FIELD_PERM && f->text[i].data != NULL) {
            size_t start = out->len;
            err = auth_perm_plain(buf_slice(&f->perm), out);
            wire_close_message(out, start, i + 1);
        }
    }
    return err;
}

static void auth_on_message(struct grpc_call *call, struct slice msg)
{
    const struct auth_rpc *rpc = rpc_of(call);
    struct fields f = {{SLICE_NULL}};
    struct buf body = BUF_INIT;
    int err = fields_decode(rpc, msg, &f);
    if (err == 0) {
        err = fields_encode(rpc, &f, &body);
    }
    if (err != 0) {
        service_malformed(call, err);
    } else {
        struct service_call *sc =
            service_call_begin(grpc_call_service(call), call, CORE_PROPOSE, service_answer);
        sc->req.which = rpc->which;
        sc->req.body = buf_slice(&body);
        service_call_propose(sc); /* copies the body */
    }
    buf_deinit(&f.perm);
    buf_deinit(&body);
}

/* ---- methods ---- */

#define UNARY(n, message, cancel)                                                                  \
    {                                                                                              \
        .service = "etcdserverpb.Auth", .name = n, .kind = GRPC_KIND_UNARY,                        \
        .on_start = service_on_start, .on_message = message, .on_cancel = cancel                   \
    }
#define PLAIN(n) UNARY(n, auth_on_message, service_on_cancel)

static const struct grpc_method auth_methods[] = {
    PLAIN("AuthEnable"),
    PLAIN("AuthDisable"),
    PLAIN("AuthStatus"),
    {.service = "etcdserverpb.Auth", /* any token is ignored */
     .name = "Authenticate",
     .kind = GRPC_KIND_UNARY,
     .on_message = authenticate_on_message,
     .on_cancel = login_on_cancel},
    UNARY("UserAdd", user_add_on_message, login_on_cancel),
    PLAIN("UserGet"),
    PLAIN("UserList"),
    PLAIN("UserDelete"),
    UNARY("UserChangePassword", change_password_on_message, login_on_cancel),
    PLAIN("UserGrantRole"),
    PLAIN("UserRevokeRole"),
    PLAIN("RoleAdd"),
    PLAIN("RoleGet"),
    PLAIN("RoleList"),
    PLAIN("RoleDelete"),
    PLAIN("RoleGrantPermission"),
    PLAIN("RoleRevokePermission"),
};

void auth_register(struct service *s, struct grpc_server *server)
{
    grpc_server_add(server, auth_methods, ARRAY_LEN(auth_methods), s);
}
