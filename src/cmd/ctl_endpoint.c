/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_endpoint: endpoint health, status, hashkv.
 */
#include "cmd/ctl.h"
#include "os/os.h"

/* ---- health: all endpoints at once
 * ---------------------------------------------------------------- */

struct health;

struct probe {
    struct health *all;
    struct client *client; /* NULL once it is over */
    struct print_health row;
    struct buf error;
    uint64_t start_ns;
    bool has_reply;
    bool has_alarms;
    bool is_alarm_step;
};

struct health {
    struct ctl *c;
    struct probe *probes;
    struct print_health *rows; /* in the order in which they are done */
    size_t count;
    size_t done;
};

static uint64_t now_ns(struct ctl *c)
{
    return c->env->clock->ops->mono_ns(c->env->clock);
}

static void probe_done(struct probe *p)
{
    struct health *all = p->all;
    p->row.error = p->error.len == 0 ? "" : buf_cstr(&p->error);
    all->rows[all->done++] = p->row;
    if (all->done == all->count) {
        all->c->runner.stop(all->c->runner.arg);
    }
}

static void alarms_seen(struct probe *p, struct slice msg)
{
    static const char *const names[] = {"UNKNOWN ", "NOSPACE ", "CORRUPT "};
    Etcdserverpb__AlarmResponse resp;
    if (wire_pb_unpack(&etcdserverpb__alarm_response__descriptor, msg, &p->all->c->cli->arena,
                       &resp.base) != 0) {
        return;
    }
    p->has_reply = true;
    for (size_t i = 0; i < resp.n_alarms; i++) {
        size_t alarm = (size_t)resp.alarms[i]->alarm;
        buf_append_cstr(&p->error, i == 0 ? "Active Alarm(s): " : "");
        buf_append_cstr(&p->error, names[alarm < ARRAY_LEN(names) ? alarm : 0]);
        p->row.is_healthy = false;
    }
}

static void on_message(void *arg, struct slice msg)
{
    struct probe *p = arg;
    if (p->is_alarm_step) {
        alarms_seen(p, msg);
    }
}

static void on_done(void *arg, const struct client_status *status);

static void probe_ask(struct probe *p, const char *method, struct slice body)
{
    struct client_call_options opts = {.method = method,
                                       .body = body,
                                       .is_read = true,
                                       .timeout_ms = ctl_timeout_ms(p->all->c),
                                       .on_message = on_message,
                                       .on_done = on_done,
                                       .arg = p};
    if (client_call_start(p->client, &opts) == NULL) {
        buf_append_cstr(&p->error, err_text(ERR_NOMEM));
        probe_done(p);
    }
}

static void on_done(void *arg, const struct client_status *status)
{
    struct probe *p = arg;
    if (p->is_alarm_step) {
        if (status->code != GRPC_OK || !p->has_reply) {
            p->row.is_healthy = false;
            buf_clear(&p->error);
            buf_append_cstr(&p->error, "Unable to fetch the alarm list");
        }
        probe_done(p);
        return;
    }
    p->row.took_ns = (int64_t)(now_ns(p->all->c) - p->start_ns);
    /* Permission denied went through the cluster too. */
    p->row.is_healthy = status->code == GRPC_OK ||
                        slice_equal_cstr(status->text, err_text(ERR_RPC_PERMISSION_DENIED));
    if (!p->row.is_healthy) {
        if (status->is_deadline) {
            ctl_log_failure(p->client, "/etcdserverpb.KV/Range");
        }
        client_status_text(status, &p->error);
        probe_done(p);
        return;
    }
    p->is_alarm_step = true;
    probe_ask(p, "/etcdserverpb.Maintenance/Alarm", SLICE_NULL);
}

static int health_start(struct health *all, const struct slice *endpoints)
{
    struct ctl *c = all->c;
    struct buf body = BUF_INIT;
    struct wire_range_req req = {.key = SLICE_LIT("health")};
    int rc = 0;
    wire_range_req_encode(&body, &req);
    for (size_t i = 0; i < all->count && rc == 0; i++) {
        struct probe *p = &all->probes[i];
        p->all = all;
        p->row.endpoint = ctl_cstr(c, endpoints[i]);
        rc = ctl_connect_to(c, &endpoints[i], 1, &p->client);
        if (rc == CTL_RC_BAD_CONNECTION) {
            /* The login or the address failed: this endpoint's result, not the command's. */
            buf_append_slice(&p->error, buf_slice(&c->fail.text));
            probe_done(p);
            rc = 0;
        } else if (rc == 0) {
            p->start_ns = now_ns(c);
            probe_ask(p, "/etcdserverpb.KV/Range", buf_slice(&body));
        }
    }
    buf_deinit(&body);
    return rc;
}

static bool health_is_bad(const struct health *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->rows[i].error[0] != '\0') {
            return true;
        }
    }
    return false;
}

int ctl_run_endpoint_health(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct slice *endpoints;
    struct health all = {.c = c};
    int rc = ctl_endpoints(c, &endpoints, &all.count);
    if (rc != 0) {
        return rc;
    }
    all.probes = arena_zalloc(&ctx->arena, (all.count + 1) * sizeof(*all.probes));
    all.rows = arena_zalloc(&ctx->arena, (all.count + 1) * sizeof(*all.rows));
    rc = health_start(&all, endpoints);
    while (rc == 0 && all.done < all.count) {
        c->runner.run(c->runner.arg);
    }
    rc = rc != 0 ? rc : ctl_printed(c, print_endpoint_health(&c->printer, all.rows, all.count));
    if (rc == 0 && health_is_bad(&all)) {
        rc = ctl_fail(&c->fail, CTL_RC_ERROR, "unhealthy cluster");
    }
    for (size_t i = 0; i < all.count; i++) {
        if (all.probes[i].client != NULL) {
            client_destroy(all.probes[i].client);
        }
        buf_deinit(&all.probes[i].error);
    }
    return rc;
}

/* ---- status and hashkv: one after the other
 * -------------------------------------------------------- */

/* Asks one endpoint; a failed call is reported on stderr and leaves 0 with *out_ok false. */
static int ask_one(struct ctl *c, struct slice endpoint, const char *method, const char *what,
                   const ProtobufCMessage *req, const ProtobufCMessageDescriptor *desc,
                   ProtobufCMessage *resp, bool *out_ok)
{
    struct client *client;
    int rc = ctl_connect_to(c, &endpoint, 1, &client);
    if (rc != 0) {
        return rc;
    }
    *out_ok = ctl_ask_pb(c, client, method, CTL_READ, req, desc, resp, NULL) == 0;
    if (!*out_ok) {
        buf_printf(&c->err, "Failed to get the %s of endpoint %s (%s)\n", what,
                   ctl_cstr(c, endpoint), buf_cstr(&c->fail.text));
        ctl_flush(c);
    }
    client_destroy(client);
    return 0;
}

int ctl_run_endpoint_status(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct slice *endpoints;
    size_t count;
    size_t n = 0;
    bool has_failed = false;
    int rc = ctl_endpoints(c, &endpoints, &count);
    if (rc != 0) {
        return rc;
    }
    struct print_status *rows = arena_alloc(&ctx->arena, (count + 1) * sizeof(*rows));
    Etcdserverpb__StatusRequest req = ETCDSERVERPB__STATUS_REQUEST__INIT;
    for (size_t i = 0; i < count && rc == 0; i++) {
        Etcdserverpb__StatusResponse *resp = arena_alloc(&ctx->arena, sizeof(*resp));
        bool is_ok = false;
        rc = ask_one(c, endpoints[i], "/etcdserverpb.Maintenance/Status", "status", &req.base,
                     &etcdserverpb__status_response__descriptor, &resp->base, &is_ok);
        if (is_ok) {
            rows[n++] = (struct print_status){ctl_cstr(c, endpoints[i]), resp};
        }
        has_failed = has_failed || !is_ok;
    }
    rc = rc != 0 ? rc : ctl_printed(c, print_endpoint_status(&c->printer, rows, n));
    if (rc == 0 && has_failed) {
        c->is_quiet = true; /* the lines above stand for it */
        rc = CTL_RC_ERROR;
    }
    return rc;
}

int ctl_run_endpoint_hashkv(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct slice *endpoints;
    size_t count;
    size_t n = 0;
    bool has_failed = false;
    int rc = ctl_endpoints(c, &endpoints, &count);
    if (rc != 0) {
        return rc;
    }
    struct print_hashkv *rows = arena_alloc(&ctx->arena, (count + 1) * sizeof(*rows));
    Etcdserverpb__HashKVRequest req = ETCDSERVERPB__HASH_KVREQUEST__INIT;
    req.revision = cli_number(ctx, "rev");
    for (size_t i = 0; i < count && rc == 0; i++) {
        Etcdserverpb__HashKVResponse *resp = arena_alloc(&ctx->arena, sizeof(*resp));
        bool is_ok = false;
        rc = ask_one(c, endpoints[i], "/etcdserverpb.Maintenance/HashKV", "hash", &req.base,
                     &etcdserverpb__hash_kvresponse__descriptor, &resp->base, &is_ok);
        if (is_ok) {
            rows[n++] = (struct print_hashkv){ctl_cstr(c, endpoints[i]), resp};
        }
        has_failed = has_failed || !is_ok;
    }
    rc = rc != 0 ? rc : ctl_printed(c, print_endpoint_hashkv(&c->printer, rows, n));
    return rc == 0 && has_failed ? CTL_RC_ERROR : rc; /* fail has the last reason */
}
