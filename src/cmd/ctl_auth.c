/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_auth: auth, user, role: plain calls, a sentence each.
 */
#include <strings.h>

#include "cmd/ctl.h"
#include "cmd/ctl_kv_req.h"
#include "cmd/print_text.h"
#include "os/os.h"

enum { PASSWORD_MAX = 1 << 20 };

#define ZERO_KEY slice_make("", 1)

/* All of these answer with a header alone; their structs have one layout. */
typedef Etcdserverpb__AuthUserAddResponse header_only;
_Static_assert(sizeof(header_only) == sizeof(Etcdserverpb__AuthRoleAddResponse) &&
                   sizeof(header_only) == sizeof(Etcdserverpb__AuthEnableResponse),
               "answers of one header have one layout");

/* Connects, asks, prints the sentence. */
static int change(struct ctl *c, const char *method, const ProtobufCMessage *req,
                  const ProtobufCMessageDescriptor *desc, const char *sentence)
{
    struct client *client;
    header_only resp;
    struct buf raw = BUF_INIT;
    int rc = ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = ctl_ask_pb(c, client, method, CTL_NO_TIMEOUT, req, desc, &resp.base, &raw);
    rc = rc != 0 ? rc
                 : ctl_printed(c, print_change(&c->printer, buf_slice(&raw), &resp.base,
                                               resp.header, sentence));
    client_destroy(client);
    buf_deinit(&raw);
    return rc;
}

static char *sentence(struct ctl *c, const char *a, const char *name, const char *b,
                      const char *name2)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "%s%s%s%s", a, name, b, name2);
    char *s = ctl_cstr(c, buf_slice(&text));
    buf_deinit(&text);
    return s;
}

/* ---- auth
 * ---------------------------------------------------------------------------------------- */

static int ask_plain(struct ctl *c, struct client *client, const char *method,
                     const ProtobufCMessage *req, const ProtobufCMessageDescriptor *desc)
{
    header_only resp;
    return ctl_ask_pb(c, client, method, 0, req, desc, &resp.base, NULL);
}

static int enable(struct ctl *c, struct client *client)
{
    Etcdserverpb__AuthEnableRequest req = ETCDSERVERPB__AUTH_ENABLE_REQUEST__INIT;
    return ask_plain(c, client, "/etcdserverpb.Auth/AuthEnable", &req.base,
                     &etcdserverpb__auth_enable_response__descriptor);
}

/* The role root and its grant to the user root, which enabling needs. */
static int make_root(struct ctl *c, struct client *client)
{
    Etcdserverpb__AuthRoleAddRequest role = ETCDSERVERPB__AUTH_ROLE_ADD_REQUEST__INIT;
    Etcdserverpb__AuthUserGrantRoleRequest grant = ETCDSERVERPB__AUTH_USER_GRANT_ROLE_REQUEST__INIT;
    role.name = ctl_cstr(c, SLICE_LIT("root"));
    grant.user = role.name;
    grant.role = role.name;
    int rc = ask_plain(c, client, "/etcdserverpb.Auth/RoleAdd", &role.base,
                       &etcdserverpb__auth_role_add_response__descriptor);
    return rc != 0 ? rc
                   : ask_plain(c, client, "/etcdserverpb.Auth/UserGrantRole", &grant.base,
                               &etcdserverpb__auth_user_grant_role_response__descriptor);
}

int ctl_run_auth_enable(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    int rc = ctl_need_args(c, 0, "auth enable command does not accept any arguments");
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = enable(c, client);
    if (rc != 0 &&
        slice_equal_cstr(buf_slice(&c->error.desc), err_text(ERR_RPC_ROOT_ROLE_NOT_EXIST))) {
        rc = make_root(c, client);
        rc = rc != 0 ? rc : enable(c, client);
    }
    if (rc == 0) {
        buf_append_cstr(&c->out, "Authentication Enabled\n");
    }
    client_destroy(client);
    return rc;
}

int ctl_run_auth_disable(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    Etcdserverpb__AuthDisableRequest req = ETCDSERVERPB__AUTH_DISABLE_REQUEST__INIT;
    int rc = ctl_need_args(c, 0, "auth disable command does not accept any arguments");
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = ask_plain(c, client, "/etcdserverpb.Auth/AuthDisable", &req.base,
                   &etcdserverpb__auth_disable_response__descriptor);
    if (rc == 0) {
        buf_append_cstr(&c->out, "Authentication Disabled\n");
    }
    client_destroy(client);
    return rc;
}

int ctl_run_auth_status(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    struct buf raw = BUF_INIT;
    Etcdserverpb__AuthStatusRequest req = ETCDSERVERPB__AUTH_STATUS_REQUEST__INIT;
    Etcdserverpb__AuthStatusResponse resp;
    int rc = ctl_need_args(c, 0, "auth status command does not accept any arguments");
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = ctl_ask_pb(c, client, "/etcdserverpb.Auth/AuthStatus", CTL_READ, &req.base,
                    &etcdserverpb__auth_status_response__descriptor, &resp.base, &raw);
    rc = rc != 0 ? rc : ctl_printed(c, print_auth_status(&c->printer, buf_slice(&raw), &resp));
    client_destroy(client);
    buf_deinit(&raw);
    return rc;
}

/* ---- passwords
 * ----------------------------------------------------------------------------------- */

static int ask_twice(struct ctl *c, const char *user, char **out)
{
    struct buf one = BUF_INIT;
    struct buf two = BUF_INIT;
    int rc = 0;
    int err = os_read_password(sentence(c, "Password of ", user, ": ", ""), &one, PASSWORD_MAX);
    if (err == 0 && one.len == 0) {
        rc = ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "empty password");
    } else if (err == 0) {
        err = os_read_password(
            sentence(c, "Type password of ", user, " again for confirmation: ", ""), &two,
            PASSWORD_MAX);
        if (err == 0 && !slice_equal(buf_slice(&one), buf_slice(&two))) {
            rc = ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "given passwords are different");
        }
    }
    if (err != 0) {
        rc = ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "failed to ask password: %s",
                      err == ERR_END ? "EOF" : err_text(err));
    }
    *out = ctl_cstr(c, buf_slice(&one));
    buf_deinit(&one);
    buf_deinit(&two);
    return rc;
}

/* The first word of stdin. */
static char *word_from_stdin(struct ctl *c)
{
    struct buf line = BUF_INIT;
    (void)!os_read_line(&line, PASSWORD_MAX); /* end of input: an empty password */
    struct slice word = text_trim(buf_slice(&line));
    size_t n = 0;
    while (n < word.len && !text_is_space(word.data[n])) {
        n++;
    }
    char *s = ctl_cstr(c, slice_make(word.data, n));
    buf_deinit(&line);
    return s;
}

static int read_password(struct ctl *c, const char *user, char **out)
{
    if (!cli_bool(c->cli, "interactive")) {
        *out = word_from_stdin(c);
        return 0;
    }
    return ask_twice(c, user, out);
}

/* ---- users
 * --------------------------------------------------------------------------------------- */

/* Name and password of `user add`, by the order of cli.md 2.4. */
static int add_credentials(struct ctl *c, char **user, char **password)
{
    struct slice arg = c->cli->args[0];
    struct slice flag = cli_text(c->cli, "new-user-password");
    const uint8_t *colon = arg.len == 0 ? NULL : memchr(arg.data, ':', arg.len);
    *user = ctl_cstr(c, arg);
    *password = ctl_cstr(c, flag);
    if (cli_bool(c->cli, "no-password")) {
        *password = ctl_cstr(c, SLICE_NULL);
        return 0;
    }
    if (flag.len > 0) {
        return 0;
    }
    if (colon == NULL) {
        return read_password(c, *user, password);
    }
    size_t n = (size_t)(colon - arg.data);
    *user = ctl_cstr(c, slice_make(arg.data, n));
    *password = ctl_cstr(c, slice_skip(arg, n + 1));
    return n > 0 ? 0 : ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "empty user name is not allowed");
}

int ctl_run_user_add(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    Etcdserverpb__AuthUserAddRequest req = ETCDSERVERPB__AUTH_USER_ADD_REQUEST__INIT;
    Authpb__UserAddOptions options = AUTHPB__USER_ADD_OPTIONS__INIT;
    int rc = ctl_need_args(c, 1, "user add command requires user name as its argument");
    rc = rc != 0 ? rc : add_credentials(c, &req.name, &req.password);
    if (rc != 0) {
        return rc;
    }
    options.no_password = cli_bool(ctx, "no-password");
    req.options = &options;
    return change(c, "/etcdserverpb.Auth/UserAdd", &req.base,
                  &etcdserverpb__auth_user_add_response__descriptor,
                  sentence(c, "User ", req.name, " created", ""));
}

int ctl_run_user_delete(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    Etcdserverpb__AuthUserDeleteRequest req = ETCDSERVERPB__AUTH_USER_DELETE_REQUEST__INIT;
    int rc = ctl_need_args(c, 1, "user delete command requires user name as its argument");
    if (rc != 0) {
        return rc;
    }
    req.name = ctl_cstr(c, ctx->args[0]);
    return change(c, "/etcdserverpb.Auth/UserDelete", &req.base,
                  &etcdserverpb__auth_user_delete_response__descriptor,
                  sentence(c, "User ", req.name, " deleted", ""));
}

static int ask_role(struct ctl *c, struct client *client, char *role, struct buf *raw,
                    Etcdserverpb__AuthRoleGetResponse *resp)
{
    Etcdserverpb__AuthRoleGetRequest req = ETCDSERVERPB__AUTH_ROLE_GET_REQUEST__INIT;
    req.role = role;
    return ctl_ask_pb(c, client, "/etcdserverpb.Auth/RoleGet", CTL_READ | CTL_NO_TIMEOUT, &req.base,
                      &etcdserverpb__auth_role_get_response__descriptor, &resp->base, raw);
}

static int print_detail(struct ctl *c, struct client *client, const char *user,
                        const Etcdserverpb__AuthUserGetResponse *resp)
{
    int rc = 0;
    buf_printf(&c->out, "User: %s\n", user);
    for (size_t i = 0; i < resp->n_roles && rc == 0; i++) {
        struct buf raw = BUF_INIT;
        Etcdserverpb__AuthRoleGetResponse role;
        buf_append_byte(&c->out, '\n');
        rc = ask_role(c, client, resp->roles[i], &raw, &role);
        rc = rc != 0 ? rc
                     : ctl_printed(
                           c, print_role_get(&c->printer, buf_slice(&raw), resp->roles[i], &role));
        buf_deinit(&raw);
    }
    return rc;
}

int ctl_run_user_get(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    struct buf raw = BUF_INIT;
    Etcdserverpb__AuthUserGetRequest req = ETCDSERVERPB__AUTH_USER_GET_REQUEST__INIT;
    Etcdserverpb__AuthUserGetResponse resp;
    int rc = ctl_need_args(c, 1, "user get command requires user name as its argument");
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    req.name = ctl_cstr(c, ctx->args[0]);
    rc = ctl_ask_pb(c, client, "/etcdserverpb.Auth/UserGet", CTL_READ | CTL_NO_TIMEOUT, &req.base,
                    &etcdserverpb__auth_user_get_response__descriptor, &resp.base, &raw);
    if (rc == 0 && cli_bool(ctx, "detail")) {
        rc = print_detail(c, client, req.name, &resp);
    } else if (rc == 0) {
        rc = ctl_printed(c, print_user_get(&c->printer, buf_slice(&raw), req.name, &resp));
    }
    client_destroy(client);
    buf_deinit(&raw);
    return rc;
}

int ctl_run_user_list(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    struct buf raw = BUF_INIT;
    Etcdserverpb__AuthUserListRequest req = ETCDSERVERPB__AUTH_USER_LIST_REQUEST__INIT;
    Etcdserverpb__AuthUserListResponse resp;
    int rc = ctl_need_args(c, 0, "user list command requires no arguments");
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = ctl_ask_pb(c, client, "/etcdserverpb.Auth/UserList", CTL_READ | CTL_NO_TIMEOUT, &req.base,
                    &etcdserverpb__auth_user_list_response__descriptor, &resp.base, &raw);
    rc = rc != 0 ? rc : ctl_printed(c, print_user_list(&c->printer, buf_slice(&raw), &resp));
    client_destroy(client);
    buf_deinit(&raw);
    return rc;
}

int ctl_run_user_passwd(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    Etcdserverpb__AuthUserChangePasswordRequest req =
        ETCDSERVERPB__AUTH_USER_CHANGE_PASSWORD_REQUEST__INIT;
    int rc = ctl_need_args(c, 1, "user passwd command requires user name as its argument");
    if (rc != 0) {
        return rc;
    }
    req.name = ctl_cstr(c, ctx->args[0]);
    rc = read_password(c, req.name, &req.password);
    return rc != 0 ? rc
                   : change(c, "/etcdserverpb.Auth/UserChangePassword", &req.base,
                            &etcdserverpb__auth_user_change_password_response__descriptor,
                            "Password updated");
}

int ctl_run_user_grant_role(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    Etcdserverpb__AuthUserGrantRoleRequest req = ETCDSERVERPB__AUTH_USER_GRANT_ROLE_REQUEST__INIT;
    int rc =
        ctl_need_args(c, 2, "user grant command requires user name and role name as its argument");
    if (rc != 0) {
        return rc;
    }
    req.user = ctl_cstr(c, ctx->args[0]);
    req.role = ctl_cstr(c, ctx->args[1]);
    return change(c, "/etcdserverpb.Auth/UserGrantRole", &req.base,
                  &etcdserverpb__auth_user_grant_role_response__descriptor,
                  sentence(c, "Role ", req.role, " is granted to user ", req.user));
}

int ctl_run_user_revoke_role(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    Etcdserverpb__AuthUserRevokeRoleRequest req = ETCDSERVERPB__AUTH_USER_REVOKE_ROLE_REQUEST__INIT;
    int rc =
        ctl_need_args(c, 2, "user revoke-role requires user name and role name as its argument");
    if (rc != 0) {
        return rc;
    }
    req.name = ctl_cstr(c, ctx->args[0]);
    req.role = ctl_cstr(c, ctx->args[1]);
    return change(c, "/etcdserverpb.Auth/UserRevokeRole", &req.base,
                  &etcdserverpb__auth_user_revoke_role_response__descriptor,
                  sentence(c, "Role ", req.role, " is revoked from user ", req.name));
}

/* ---- roles
 * --------------------------------------------------------------------------------------- */

int ctl_run_role_add(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    Etcdserverpb__AuthRoleAddRequest req = ETCDSERVERPB__AUTH_ROLE_ADD_REQUEST__INIT;
    int rc = ctl_need_args(c, 1, "role add command requires role name as its argument");
    if (rc != 0) {
        return rc;
    }
    req.name = ctl_cstr(c, ctx->args[0]);
    return change(c, "/etcdserverpb.Auth/RoleAdd", &req.base,
                  &etcdserverpb__auth_role_add_response__descriptor,
                  sentence(c, "Role ", req.name, " created", ""));
}

int ctl_run_role_delete(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    Etcdserverpb__AuthRoleDeleteRequest req = ETCDSERVERPB__AUTH_ROLE_DELETE_REQUEST__INIT;
    int rc = ctl_need_args(c, 1, "role delete command requires role name as its argument");
    if (rc != 0) {
        return rc;
    }
    req.role = ctl_cstr(c, ctx->args[0]);
    return change(c, "/etcdserverpb.Auth/RoleDelete", &req.base,
                  &etcdserverpb__auth_role_delete_response__descriptor,
                  sentence(c, "Role ", req.role, " deleted", ""));
}

int ctl_run_role_get(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    struct buf raw = BUF_INIT;
    Etcdserverpb__AuthRoleGetResponse resp;
    int rc = ctl_need_args(c, 1, "role get command requires role name as its argument");
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    char *role = ctl_cstr(c, ctx->args[0]);
    rc = ask_role(c, client, role, &raw, &resp);
    rc = rc != 0 ? rc : ctl_printed(c, print_role_get(&c->printer, buf_slice(&raw), role, &resp));
    client_destroy(client);
    buf_deinit(&raw);
    return rc;
}

int ctl_run_role_list(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    struct buf raw = BUF_INIT;
    Etcdserverpb__AuthRoleListRequest req = ETCDSERVERPB__AUTH_ROLE_LIST_REQUEST__INIT;
    Etcdserverpb__AuthRoleListResponse resp;
    int rc = ctl_need_args(c, 0, "role list command requires no arguments");
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = ctl_ask_pb(c, client, "/etcdserverpb.Auth/RoleList", CTL_READ | CTL_NO_TIMEOUT, &req.base,
                    &etcdserverpb__auth_role_list_response__descriptor, &resp.base, &raw);
    rc = rc != 0 ? rc : ctl_printed(c, print_role_list(&c->printer, buf_slice(&raw), &resp));
    client_destroy(client);
    buf_deinit(&raw);
    return rc;
}

/* KEY [END] of grant-permission and revoke-permission. */
static int permission_range(struct ctl *c, const struct slice *args, size_t count,
                            struct slice *key, struct slice *end)
{
    bool is_prefix = cli_bool(c->cli, "prefix");
    bool is_from = cli_bool(c->cli, "from-key");
    *key = args[0];
    *end = SLICE_NULL;
    if (is_prefix && is_from && (count == 1 || key->len == 0)) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS,
                        "--from-key and --prefix flags are mutually exclusive");
    }
    if (key->len == 0) {
        *key = ZERO_KEY;
        *end = is_prefix || is_from ? ZERO_KEY : SLICE_NULL;
    } else if (count > 1 && (is_prefix || is_from)) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "unexpected endkey argument with --%s flag",
                        is_prefix ? "prefix" : "from-key");
    } else if (count > 1) {
        *end = args[1];
    } else if (is_prefix) {
        *end = ctl_prefix_end(&c->cli->arena, *key);
    } else if (is_from) {
        *end = ZERO_KEY;
    }
    return 0;
}

int ctl_run_role_grant(struct cli_ctx *ctx)
{
    static const char *const types[] = {"READ", "WRITE", "READWRITE"};
    struct ctl *c = ctl_of(ctx);
    Etcdserverpb__AuthRoleGrantPermissionRequest req =
        ETCDSERVERPB__AUTH_ROLE_GRANT_PERMISSION_REQUEST__INIT;
    Authpb__Permission perm = AUTHPB__PERMISSION__INIT;
    struct slice key;
    struct slice end;
    if (ctx->arg_count < 3) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS,
                        "role grant command requires role name, permission type, and key [endkey] "
                        "as its argument");
    }
    const char *type = ctl_cstr(c, ctx->args[1]);
    size_t i = 0;
    while (i < ARRAY_LEN(types) && strcasecmp(types[i], type) != 0) {
        i++;
    }
    if (i == ARRAY_LEN(types)) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "invalid permission type: %s", type);
    }
    int rc = permission_range(c, ctx->args + 2, ctx->arg_count - 2, &key, &end);
    if (rc != 0) {
        return rc;
    }
    perm.permtype = (Authpb__Permission__Type)i;
    perm.key = wire_pb_bytes(key);
    perm.range_end = wire_pb_bytes(end);
    req.name = ctl_cstr(c, ctx->args[0]);
    req.perm = &perm;
    return change(c, "/etcdserverpb.Auth/RoleGrantPermission", &req.base,
                  &etcdserverpb__auth_role_grant_permission_response__descriptor,
                  sentence(c, "Role ", req.name, " updated", ""));
}

static char *revoked_sentence(struct ctl *c, struct slice key, struct slice end, const char *role)
{
    struct buf text = BUF_INIT;
    bool is_open = slice_equal(end, ZERO_KEY);
    buf_append_cstr(&text, end.len == 0 ? "Permission of key " : "Permission of range [");
    buf_append_slice(&text, key);
    if (is_open) {
        buf_append_cstr(&text, ", <open ended>");
    } else if (end.len > 0) {
        buf_append_cstr(&text, ", ");
        buf_append_slice(&text, end);
        buf_append_byte(&text, ')');
    }
    buf_printf(&text, " is revoked from role %s", role);
    char *s = ctl_cstr(c, buf_slice(&text));
    buf_deinit(&text);
    return s;
}

int ctl_run_role_revoke(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    Etcdserverpb__AuthRoleRevokePermissionRequest req =
        ETCDSERVERPB__AUTH_ROLE_REVOKE_PERMISSION_REQUEST__INIT;
    struct slice key;
    struct slice end;
    if (ctx->arg_count < 2) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS,
                        "role revoke-permission command requires role name and key [endkey] as its "
                        "argument");
    }
    int rc = permission_range(c, ctx->args + 1, ctx->arg_count - 1, &key, &end);
    if (rc != 0) {
        return rc;
    }
    req.role = ctl_cstr(c, ctx->args[0]);
    req.key = wire_pb_bytes(key);
    req.range_end = wire_pb_bytes(end);
    return change(c, "/etcdserverpb.Auth/RoleRevokePermission", &req.base,
                  &etcdserverpb__auth_role_revoke_permission_response__descriptor,
                  revoked_sentence(c, ctx->args[1], end, req.role));
}
