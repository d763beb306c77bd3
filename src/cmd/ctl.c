/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ctl.h"

#include "base/log.h"
#include "client/endpoint.h"
#include "cmd/print_text.h"
#include "os/os.h"

/* ---- small helpers
 * ------------------------------------------------------------------------------- */

char *ctl_cstr(struct ctl *c, struct slice s)
{
    return arena_strndup(&c->cli->arena, s.len == 0 ? "" : (const char *)s.data, s.len);
}

void ctl_flush(struct ctl *c)
{
    /* Nobody is left to tell when the terminal has gone. */
    if (c->err.len > 0) {
        (void)!os_write(OS_STDERR, buf_slice(&c->err));
        buf_clear(&c->err);
    }
    if (c->out.len > 0) {
        (void)!os_write(OS_STDOUT, buf_slice(&c->out));
        buf_clear(&c->out);
    }
}

int ctl_need_args(struct ctl *c, size_t n, const char *text)
{
    return c->cli->arg_count == n ? 0 : ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "%s", text);
}

static uint64_t flag_ms(struct ctl *c, const char *flag)
{
    int64_t ns = cli_number(c->cli, flag);
    return ns < 1000000 ? 1 : (uint64_t)ns / 1000000;
}

uint64_t ctl_timeout_ms(struct ctl *c)
{
    return flag_ms(c, "command-timeout");
}

/* ---- settings
 * ------------------------------------------------------------------------------------ */

static void on_unknown_env(void *arg, const char *entry)
{
    (void)arg;
    log_warn("unrecognized environment variable", LOG_STR("environment-variable", entry));
}

static int apply_env(struct ctl *c)
{
    static const char *const known[] = {"ETCDCTL_API", "ETCDCTL_WATCH_KEY",
                                        "ETCDCTL_WATCH_RANGE_END", NULL};
    const char *conflict = cli_env_apply(c->cli, c->environ_list, known, on_unknown_env, NULL);
    if (conflict == NULL) {
        return 0;
    }
    log_at_(LOG_FATAL, NULL,
            "conflicting environment variable is shadowed by corresponding command-line flag "
            "(either unset environment variable or disable flag))",
            LOG_STR("environment-variable", conflict));
    c->is_quiet = true;
    return ctl_fail(&c->fail, CTL_RC_ERROR, "conflicting environment variable");
}

static int check_tls_texts(struct ctl *c)
{
    static const char *const flags[] = {"cert", "key", "cacert"};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        if (cli_is_changed(c->cli, flags[i]) && cli_text(c->cli, flags[i]).len == 0) {
            return ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "empty string is passed to --%s option",
                            flags[i]);
        }
    }
    return 0;
}

static int ask_password(struct ctl *c, const char *prompt, const char **out)
{
    struct buf typed = BUF_INIT;
    ctl_flush(c);
    int err = os_read_password(prompt, &typed, CTL_STDIN_MAX);
    if (err != 0 && err != ERR_END) {
        buf_deinit(&typed);
        return ctl_fail(&c->fail, CTL_RC_ERROR, "%s", err_text(err));
    }
    *out = ctl_cstr(c, buf_slice(&typed));
    buf_deinit(&typed);
    return 0;
}

int ctl_split_user(struct ctl *c, struct slice user, struct slice password, const char *prompt,
                   const char **out_user, const char **out_password)
{
    const uint8_t *colon = user.len == 0 ? NULL : memchr(user.data, ':', user.len);
    if (user.len == 0) {
        return 0;
    }
    *out_user = ctl_cstr(c, user);
    if (password.len > 0) {
        *out_password = ctl_cstr(c, password);
    } else if (colon == NULL) {
        return ask_password(c, prompt, out_password);
    } else {
        size_t n = (size_t)(colon - user.data);
        *out_user = ctl_cstr(c, slice_make(user.data, n));
        *out_password = ctl_cstr(c, slice_skip(user, n + 1));
    }
    return 0;
}

static int read_user(struct ctl *c)
{
    struct slice token = cli_text(c->cli, "auth-jwt-token");
    if (token.len > 0) {
        c->token = ctl_cstr(c, token);
        return 0;
    }
    return ctl_split_user(c, cli_text(c->cli, "user"), cli_text(c->cli, "password"),
                          "Password: ", &c->user, &c->password);
}

int ctl_settings(struct ctl *c)
{
    if (c->has_settings) {
        return 0;
    }
    int rc = apply_env(c);
    if (rc == 0 && cli_bool(c->cli, "debug")) {
        cli_env_dump(c->cli, &c->err);
    }
    if (rc == 0 && cli_text(c->cli, "discovery-srv").len > 0) {
        rc = ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "SRV discovery is not built in yet");
    }
    rc = rc != 0 ? rc : check_tls_texts(c);
    rc = rc != 0 ? rc : read_user(c);
    if (rc == 0 && !print_format_parse(cli_text(c->cli, "write-out"), &c->printer.format)) {
        rc = ctl_fail(&c->fail, CTL_RC_BAD_FEATURE, "unsupported output format");
    }
    c->printer.is_hex = cli_bool(c->cli, "hex");
    c->has_settings = rc == 0;
    return rc;
}

/* ---- TLS
 * ----------------------------------------------------------------------------------------- */

/* Certificate, key and CA, if any is given, are read whatever the endpoints are; the texts are
 * those of etcd's client. */
static int open_tls(struct ctl *c, const struct ctl_target *t)
{
    struct tls_config conf = {.side = TLS_CLIENT,
                              .cert_file = t->cert,
                              .key_file = t->key,
                              .ca_file = t->ca,
                              .skips_verify = t->skips_verify};
    if (t->tls->context != NULL) {
        return 0;
    }
    if ((t->cert[0] == '\0') != (t->key[0] == '\0')) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS,
                        "KeyFile and CertFile must both be present[key: %s, cert: %s]", t->key,
                        t->cert);
    }
    struct buf error = BUF_INIT;
    int rc = 0;
    if (tls_context_create(c->env, &conf, &t->tls->context, &error) != 0) {
        rc = ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "%s", buf_cstr(&error));
    } else {
        rpc_tls_source_init(&t->tls->source, t->tls->context);
        t->tls->source.alpn = "h2";
    }
    buf_deinit(&error);
    return rc;
}

/* The scheme of the first endpoint decides for all (cli.md 2.7). */
static int choose_tls(struct ctl *c, const struct ctl_target *t, const struct rpc_tls_factory **out)
{
    bool has_files = t->cert[0] != '\0' || t->key[0] != '\0' || t->ca[0] != '\0';
    bool is_wanted = has_files || !t->is_insecure || t->skips_verify;
    struct client_endpoint e = {.tls = CLIENT_TLS_OPTIONAL};
    if (client_endpoint_parse(t->count > 0 ? t->endpoints[0] : SLICE_NULL, &e) == 0) {
        is_wanted = e.tls == CLIENT_TLS_NEED || (is_wanted && e.tls == CLIENT_TLS_OPTIONAL);
    }
    client_endpoint_deinit(&e);
    int rc = is_wanted || has_files ? open_tls(c, t) : 0;
    *out = rc == 0 && is_wanted ? &t->tls->source.factory : NULL;
    return rc;
}

void ctl_tls_close(struct ctl *c)
{
    tls_context_unref(c->tls.context);
    tls_context_unref(c->dest_tls.context);
    c->tls.context = c->dest_tls.context = NULL;
}

/* ---- connecting
 * ---------------------------------------------------------------------------------- */

static int login(struct ctl *c, const struct ctl_target *t, struct client *client)
{
    if (t->token != NULL) {
        client_token_set(client, t->token);
    }
    /* An empty password means no login at all, as in the reference. */
    if (t->user == NULL || t->password == NULL || t->user[0] == '\0' || t->password[0] == '\0') {
        return 0;
    }
    int err = client_login(client, &c->runner, t->user, t->password, flag_ms(c, "dial-timeout"),
                           &c->error);
    if (err != 0 && c->error.is_deadline) {
        ctl_log_failure(client, "/etcdserverpb.Auth/Authenticate");
    }
    return err == 0 ? 0 : ctl_fail(&c->fail, CTL_RC_BAD_CONNECTION, "%s", buf_cstr(&c->error.text));
}

static int create(struct ctl *c, const struct slice *endpoints, size_t count,
                  const struct rpc_tls_factory *tls, struct client **out)
{
    int64_t send = cli_number(c->cli, "max-request-bytes");
    int64_t recv = cli_number(c->cli, "max-recv-bytes");
    struct client_conf conf = {
        .env = c->env,
        .endpoints = endpoints,
        .endpoint_count = count,
        .tls = tls,
        .ping_interval_ms = flag_ms(c, "keepalive-time"),
        .ping_timeout_ms = flag_ms(c, "keepalive-timeout"),
        .send_bytes_max = send > 0 ? (size_t)send : 0,
        .recv_bytes_max = recv > 0 ? (size_t)recv : 0,
    };
    int err = client_create(&conf, out);
    if (err == ERR_UNSUPPORTED) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS,
                        "an endpoint with https:// behind a first one with http://: the first "
                        "decides for all, and nothing is sent to it in plain text");
    }
    return err == 0
               ? 0
               : ctl_fail(&c->fail, CTL_RC_BAD_CONNECTION, "etcdclient: no available endpoints");
}

int ctl_connect_target(struct ctl *c, const struct ctl_target *t, struct client **out)
{
    struct client *client;
    const struct rpc_tls_factory *tls = NULL;
    int rc = choose_tls(c, t, &tls);
    rc = rc != 0 ? rc : create(c, t->endpoints, t->count, tls, &client);
    if (rc != 0) {
        return rc;
    }
    rc = login(c, t, client);
    if (rc != 0) {
        client_destroy(client);
        return rc;
    }
    *out = client;
    return 0;
}

int ctl_connect_to(struct ctl *c, const struct slice *endpoints, size_t count, struct client **out)
{
    return ctl_connect_target(
        c,
        &(struct ctl_target){.endpoints = endpoints,
                             .count = count,
                             .cert = ctl_cstr(c, cli_text(c->cli, "cert")),
                             .key = ctl_cstr(c, cli_text(c->cli, "key")),
                             .ca = ctl_cstr(c, cli_text(c->cli, "cacert")),
                             .skips_verify = cli_bool(c->cli, "insecure-skip-tls-verify"),
                             .is_insecure = cli_bool(c->cli, "insecure-transport"),
                             .user = c->user,
                             .password = c->password,
                             .token = c->token,
                             .tls = &c->tls},
        out);
}

int ctl_connect(struct ctl *c, struct client **out)
{
    int rc = ctl_settings(c);
    if (rc != 0) {
        return rc;
    }
    const struct cli_value *v = cli_value(c->cli, "endpoints");
    struct slice *trimmed = arena_alloc(&c->cli->arena, (v->list_count + 1) * sizeof(*trimmed));
    size_t count = 0;
    for (size_t i = 0; i < v->list_count; i++) {
        struct slice one = text_trim(v->list[i]);
        if (one.len > 0 || v->list_count == 1) { /* ",a:1": as good as "a:1" */
            trimmed[count++] = one;
        }
    }
    return ctl_connect_to(c, trimmed, count, out);
}

static int member_urls(struct ctl *c, struct slice **out, size_t *out_count)
{
    struct client *client;
    int rc = ctl_connect(c, &client);
    if (rc != 0) {
        return c->fail.rc = CTL_RC_ERROR;
    }
    Etcdserverpb__MemberListRequest req = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    Etcdserverpb__MemberListResponse resp;
    req.linearizable = true;
    rc = ctl_ask_pb(c, client, "/etcdserverpb.Cluster/MemberList", CTL_READ, &req.base,
                    &etcdserverpb__member_list_response__descriptor, &resp.base, NULL);
    client_destroy(client);
    if (rc != 0) {
        return ctl_fail(&c->fail, rc, "failed to fetch endpoints from etcd cluster member list: %s",
                        ctl_cstr(c, buf_slice(&c->fail.text)));
    }
    size_t count = 0;
    for (size_t i = 0; i < resp.n_members; i++) {
        count += resp.members[i]->n_clienturls;
    }
    struct slice *list = arena_alloc(&c->cli->arena, (count + 1) * sizeof(*list));
    *out_count = 0;
    for (size_t i = 0; i < resp.n_members; i++) {
        for (size_t k = 0; k < resp.members[i]->n_clienturls; k++) {
            list[(*out_count)++] = slice_cstr(resp.members[i]->clienturls[k]);
        }
    }
    *out = list;
    return 0;
}

int ctl_endpoints(struct ctl *c, struct slice **out, size_t *out_count)
{
    int rc = ctl_settings(c);
    if (rc != 0) {
        return rc;
    }
    if (cli_bool(c->cli, "cluster")) {
        return member_urls(c, out, out_count);
    }
    const struct cli_value *v = cli_value(c->cli, "endpoints");
    *out = v->list;
    *out_count = v->list_count;
    return 0;
}

/* ---- asking
 * -------------------------------------------------------------------------------------- */

int ctl_ask(struct ctl *c, struct client *client, const char *method, unsigned flags,
            struct slice body, struct buf *reply)
{
    struct client_request req = {.method = method,
                                 .body = body,
                                 .is_read = (flags & CTL_READ) != 0,
                                 .timeout_ms =
                                     (flags & CTL_NO_TIMEOUT) != 0 ? 0 : ctl_timeout_ms(c)};
    int err = client_ask(client, &c->runner, &req, reply, &c->error);
    if (err != 0 && c->error.is_deadline) {
        ctl_log_failure(client, method);
    }
    return err == 0 ? 0 : ctl_fail(&c->fail, CTL_RC_ERROR, "%s", buf_cstr(&c->error.text));
}

void ctl_log_failure(const struct client *client, const char *method)
{
    const char *why = client_last_failure(client);
    if (why[0] == '\0') {
        return;
    }
    struct buf text = BUF_INIT;
    buf_printf(&text, "rpc error: code = DeadlineExceeded desc = latest balancer error: %s", why);
    log_warn("retrying of unary invoker failed", LOG_STR("method", method), LOG_U64("attempt", 0),
             LOG_STR("error", buf_cstr(&text)));
    buf_deinit(&text);
}

int ctl_bad_reply(struct ctl *c, int err)
{
    return ctl_fail(&c->fail, CTL_RC_ERROR,
                    "rpc error: code = Internal desc = grpc: failed to unmarshal the received "
                    "message: %s",
                    err_text(err));
}

int ctl_ask_pb(struct ctl *c, struct client *client, const char *method, unsigned flags,
               const ProtobufCMessage *req, const ProtobufCMessageDescriptor *desc,
               ProtobufCMessage *resp, struct buf *raw)
{
    struct buf body = BUF_INIT;
    struct buf reply = BUF_INIT;
    struct buf *to = raw != NULL ? raw : &reply;
    wire_pb_append(&body, req);
    int rc = ctl_ask(c, client, method, flags, buf_slice(&body), to);
    if (rc == 0) {
        int err = wire_pb_unpack(desc, buf_slice(to), &c->cli->arena, resp);
        rc = err == 0 ? 0 : ctl_bad_reply(c, err);
    }
    buf_deinit(&body);
    buf_deinit(&reply);
    return rc;
}

int ctl_printed(struct ctl *c, int err)
{
    if (err == 0) {
        return 0;
    }
    if (err != ERR_UNSUPPORTED) {
        return ctl_bad_reply(c, err);
    }
    (void)ctl_fail(&c->fail, CTL_RC_BAD_FEATURE, "%s", "");
    print_unsupported(&c->printer, &c->fail.text);
    return CTL_RC_BAD_FEATURE;
}
