/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_lease: lease grant, revoke, timetolive, list, keep-alive.
 */
#include "client/session.h"
#include "cmd/ctl.h"
#include "cmd/print_text.h"
#include "os/os.h"

static int lease_id(struct ctl *c, int64_t *out)
{
    struct buf reason = BUF_INIT;
    int rc = 0;
    if (text_parse_i64(c->cli->args[0], 16, out, &reason) != 0) {
        rc = ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "bad lease ID arg (%s), expecting ID in Hex",
                      buf_cstr(&reason));
    }
    buf_deinit(&reason);
    return rc;
}

/* "failed to grant lease (REASON)" */
static int wrap(struct ctl *c, int rc, const char *what)
{
    return rc != CTL_RC_ERROR ? rc
                              : ctl_fail(&c->fail, rc, "failed to %s lease (%s)", what,
                                         ctl_cstr(c, buf_slice(&c->fail.text)));
}

int ctl_run_lease_grant(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    struct buf reason = BUF_INIT;
    Etcdserverpb__LeaseGrantRequest req = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__LeaseGrantResponse resp;
    int rc = ctl_need_args(c, 1, "lease grant command needs TTL argument");
    if (rc == 0 && text_parse_i64(ctx->args[0], 10, &req.ttl, &reason) != 0) {
        rc = ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "bad TTL (%s)", buf_cstr(&reason));
    }
    buf_deinit(&reason);
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = ctl_ask_pb(c, client, "/etcdserverpb.Lease/LeaseGrant", 0, &req.base,
                    &etcdserverpb__lease_grant_response__descriptor, &resp.base, NULL);
    rc = rc != 0 ? wrap(c, rc, "grant") : ctl_printed(c, print_lease_grant(&c->printer, &resp));
    client_destroy(client);
    return rc;
}

int ctl_run_lease_revoke(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    Etcdserverpb__LeaseRevokeRequest req = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    Etcdserverpb__LeaseRevokeResponse resp;
    int rc = ctl_need_args(c, 1, "lease revoke command needs 1 argument");
    rc = rc != 0 ? rc : lease_id(c, &req.id);
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = ctl_ask_pb(c, client, "/etcdserverpb.Lease/LeaseRevoke", 0, &req.base,
                    &etcdserverpb__lease_revoke_response__descriptor, &resp.base, NULL);
    rc = rc != 0 ? wrap(c, rc, "revoke")
                 : ctl_printed(c, print_lease_revoke(&c->printer, req.id, &resp));
    client_destroy(client);
    return rc;
}

/* Failures of these two calls end with 2. */
static int as_bad_connection(struct ctl *c, int rc)
{
    return rc == CTL_RC_ERROR ? (c->fail.rc = CTL_RC_BAD_CONNECTION) : rc;
}

int ctl_run_lease_time_to_live(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    Etcdserverpb__LeaseTimeToLiveRequest req = ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    Etcdserverpb__LeaseTimeToLiveResponse resp;
    int rc = ctl_need_args(c, 1, "lease timetolive command needs lease ID as argument");
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    req.keys = cli_bool(ctx, "keys");
    rc = lease_id(c, &req.id);
    if (rc == 0) {
        rc = ctl_ask_pb(c, client, "/etcdserverpb.Lease/LeaseTimeToLive", CTL_READ | CTL_NO_TIMEOUT,
                        &req.base, &etcdserverpb__lease_time_to_live_response__descriptor,
                        &resp.base, NULL);
        rc = rc != 0 ? as_bad_connection(c, rc)
                     : ctl_printed(c, print_lease_time_to_live(&c->printer, &resp, req.keys));
    }
    client_destroy(client);
    return rc;
}

int ctl_run_lease_list(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    Etcdserverpb__LeaseLeasesRequest req = ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;
    Etcdserverpb__LeaseLeasesResponse resp;
    int rc = ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = ctl_ask_pb(c, client, "/etcdserverpb.Lease/LeaseLeases", CTL_READ | CTL_NO_TIMEOUT,
                    &req.base, &etcdserverpb__lease_leases_response__descriptor, &resp.base, NULL);
    rc = rc != 0 ? as_bad_connection(c, rc) : ctl_printed(c, print_lease_list(&c->printer, &resp));
    client_destroy(client);
    return rc;
}

/* ---- keep-alive -------------------------------------------------------------------------------
 */

struct keep_alive {
    struct ctl *c;
    Etcdserverpb__LeaseKeepAliveResponse resp;
    bool has_reply;
};

static int on_keep_alive(void *arg, struct slice msg)
{
    struct keep_alive *k = arg;
    k->has_reply = true;
    return wire_pb_unpack(&etcdserverpb__lease_keep_alive_response__descriptor, msg,
                          &k->c->cli->arena, &k->resp.base);
}

/* One renewal: a stream of one request and one answer. */
static int renew(struct keep_alive *k, struct client *client, int64_t id)
{
    struct ctl *c = k->c;
    struct buf body = BUF_INIT;
    Etcdserverpb__LeaseKeepAliveRequest msg = ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    msg.id = id;
    wire_pb_append(&body, &msg.base);
    struct client_request req = {
        .method = "/etcdserverpb.Lease/LeaseKeepAlive", .body = buf_slice(&body), .is_read = true};
    k->has_reply = false;
    int err = client_ask_stream(client, &c->runner, &req, on_keep_alive, k, &c->error);
    buf_deinit(&body);
    if (err == 0 && k->has_reply) {
        return 0;
    }
    return ctl_fail(&c->fail, CTL_RC_BAD_CONNECTION, "%s",
                    c->error.code != GRPC_OK ? buf_cstr(&c->error.text)
                                             : err_text(err != 0 ? err : ERR_TRUNCATED));
}

/* Renewals go on until the lease is lost; each answer is printed as it comes. */
struct keeping {
    struct ctl *c;
    int rc;
};

static void on_renewed(void *arg, struct slice msg)
{
    struct keeping *k = arg;
    struct ctl *c = k->c;
    struct arena scratch;
    Etcdserverpb__LeaseKeepAliveResponse resp;
    arena_init(&scratch, 0);
    if (k->rc == 0 && wire_pb_unpack(&etcdserverpb__lease_keep_alive_response__descriptor, msg,
                                     &scratch, &resp.base) == 0) {
        k->rc = ctl_printed(c, print_lease_keep_alive(&c->printer, &resp));
        ctl_flush(c);
    }
    arena_deinit(&scratch);
    if (k->rc != 0) {
        os_loop_stop(c->env);
    }
}

static void on_lost(void *arg)
{
    struct keeping *k = arg;
    os_loop_stop(k->c->env);
}

static int keep_for_ever(struct ctl *c, struct client *client, int64_t id)
{
    struct keeping k = {.c = c};
    int64_t dial_ns = cli_number(c->cli, "dial-timeout");
    uint64_t dial_ms = dial_ns > 0 ? (uint64_t)dial_ns / 1000000 : 0;
    struct client_session *s =
        client_session_open(&(struct client_session_options){.client = client,
                                                             .env = c->env,
                                                             .lease = id,
                                                             .first_wait_ms = dial_ms + 1000,
                                                             .on_renewed = on_renewed,
                                                             .on_lost = on_lost,
                                                             .arg = &k});
    while (k.rc == 0 && !client_session_is_lost(s)) {
        os_loop_run(c->env);
    }
    client_session_close(s);
    if (k.rc == 0 && c->printer.format == PRINT_SIMPLE) {
        buf_append_cstr(&c->out, "lease ");
        print_lease_id(&c->out, id);
        buf_append_cstr(&c->out, " expired or revoked.\n");
    }
    return k.rc;
}

static int keep_once(struct keep_alive *k, struct client *client, int64_t id)
{
    struct ctl *c = k->c;
    int rc = renew(k, client, id);
    if (rc == 0 && k->resp.ttl <= 0) {
        rc = ctl_fail(&c->fail, CTL_RC_BAD_CONNECTION, "%s", err_text(ERR_RPC_LEASE_NOT_FOUND));
    }
    return rc != 0 ? rc : ctl_printed(c, print_lease_keep_alive(&c->printer, &k->resp));
}

int ctl_run_lease_keep_alive(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    struct keep_alive k = {.c = c};
    int64_t id = 0;
    int rc = ctl_need_args(c, 1, "lease keep-alive command needs lease ID as argument");
    rc = rc != 0 ? rc : lease_id(c, &id);
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = cli_bool(ctx, "once") ? keep_once(&k, client, id) : keep_for_ever(c, client, id);
    client_destroy(client);
    return rc;
}
