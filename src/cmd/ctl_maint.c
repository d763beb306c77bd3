/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_maint: alarm, defrag, move-leader, downgrade.
 */
#include "base/log.h"
#include "cmd/ctl.h"
#include "cmd/print_text.h"

/* ---- alarms
 * -------------------------------------------------------------------------------------- */

static int ask_alarm(struct ctl *c, struct client *client, const Etcdserverpb__AlarmRequest *req,
                     Etcdserverpb__AlarmResponse *resp, struct buf *raw)
{
    unsigned flags = req->action == ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__GET ? CTL_READ : 0;
    return ctl_ask_pb(c, client, "/etcdserverpb.Maintenance/Alarm", flags, &req->base,
                      &etcdserverpb__alarm_response__descriptor, &resp->base, raw);
}

int ctl_run_alarm_list(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    struct buf raw = BUF_INIT;
    Etcdserverpb__AlarmRequest req = ETCDSERVERPB__ALARM_REQUEST__INIT;
    Etcdserverpb__AlarmResponse resp;
    int rc = ctl_need_args(c, 0, "alarm list command accepts no arguments");
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = ask_alarm(c, client, &req, &resp, &raw);
    rc = rc != 0 ? rc : ctl_printed(c, print_alarm(&c->printer, buf_slice(&raw), &resp));
    client_destroy(client);
    buf_deinit(&raw);
    return rc;
}

/* Takes every alarm of the list back; all collects what the server removed. */
static int disarm_all(struct ctl *c, struct client *client, const Etcdserverpb__AlarmResponse *list,
                      Etcdserverpb__AlarmResponse *all)
{
    all->alarms = arena_alloc(&c->cli->arena, (list->n_alarms + 1) * sizeof(*all->alarms));
    for (size_t i = 0; i < list->n_alarms; i++) {
        Etcdserverpb__AlarmRequest req = ETCDSERVERPB__ALARM_REQUEST__INIT;
        Etcdserverpb__AlarmResponse resp;
        req.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE;
        req.memberid = list->alarms[i]->memberid;
        req.alarm = list->alarms[i]->alarm;
        int rc = ask_alarm(c, client, &req, &resp, NULL);
        if (rc != 0) {
            return rc;
        }
        if (resp.n_alarms > 0) {
            all->alarms[all->n_alarms++] = resp.alarms[0];
        }
    }
    return 0;
}

int ctl_run_alarm_disarm(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client;
    struct buf raw = BUF_INIT;
    Etcdserverpb__AlarmRequest req = ETCDSERVERPB__ALARM_REQUEST__INIT;
    Etcdserverpb__AlarmResponse list;
    Etcdserverpb__AlarmResponse all = ETCDSERVERPB__ALARM_RESPONSE__INIT;
    int rc = ctl_need_args(c, 0, "alarm disarm command accepts no arguments");
    rc = rc != 0 ? rc : ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    rc = ask_alarm(c, client, &req, &list, NULL);
    rc = rc != 0 ? rc : disarm_all(c, client, &list, &all);
    if (rc == 0) {
        wire_pb_append(&raw, &all.base);
        rc = ctl_printed(c, print_alarm(&c->printer, buf_slice(&raw), &all));
    }
    client_destroy(client);
    buf_deinit(&raw);
    return rc;
}

/* ---- defrag
 * -------------------------------------------------------------------------------------- */

static int defrag_one(struct ctl *c, struct slice endpoint, bool *out_ok)
{
    struct client *client;
    Etcdserverpb__DefragmentRequest req = ETCDSERVERPB__DEFRAGMENT_REQUEST__INIT;
    Etcdserverpb__DefragmentResponse resp;
    int rc = ctl_connect_to(c, &endpoint, 1, &client);
    if (rc != 0) {
        return rc;
    }
    struct env_clock *clock = c->env->clock;
    uint64_t start = clock->ops->mono_ns(clock);
    *out_ok = ctl_ask_pb(c, client, "/etcdserverpb.Maintenance/Defragment", 0, &req.base,
                         &etcdserverpb__defragment_response__descriptor, &resp.base, NULL) == 0;
    struct buf *to = *out_ok ? &c->out : &c->err;
    buf_printf(to, "%s etcd member[%s]. took ",
               *out_ok ? "Finished defragmenting" : "Failed to defragment", ctl_cstr(c, endpoint));
    log_duration(to, (int64_t)(clock->ops->mono_ns(clock) - start));
    if (!*out_ok) {
        buf_printf(to, ". (%s)", buf_cstr(&c->fail.text));
    }
    buf_append_byte(to, '\n');
    ctl_flush(c);
    client_destroy(client);
    return 0;
}

int ctl_run_defrag(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct slice *endpoints;
    size_t count;
    size_t failures = 0;
    int rc = ctl_endpoints(c, &endpoints, &count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        bool is_ok = false;
        rc = defrag_one(c, endpoints[i], &is_ok);
        failures += is_ok ? 0 : 1;
    }
    if (rc == 0 && failures > 0) {
        c->is_quiet = true;
        rc = CTL_RC_ERROR;
    }
    return rc;
}

/* ---- move-leader
 * --------------------------------------------------------------------------------- */

/* The endpoint whose member leads; NULL client: none of them does. */
static int find_leader(struct ctl *c, const struct slice *endpoints, size_t count,
                       struct client **out, uint64_t *out_id)
{
    Etcdserverpb__StatusRequest req = ETCDSERVERPB__STATUS_REQUEST__INIT;
    Etcdserverpb__StatusResponse resp;
    *out = NULL;
    for (size_t i = 0; i < count; i++) {
        struct client *client;
        int rc = ctl_connect_to(c, &endpoints[i], 1, &client);
        if (rc != 0) {
            return rc;
        }
        rc = ctl_ask_pb(c, client, "/etcdserverpb.Maintenance/Status", CTL_READ, &req.base,
                        &etcdserverpb__status_response__descriptor, &resp.base, NULL);
        if (rc == 0 && resp.header != NULL && resp.header->member_id == resp.leader) {
            *out = client;
            *out_id = resp.leader;
            return 0;
        }
        client_destroy(client);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int fail_no_leader(struct ctl *c, const struct slice *endpoints, size_t count)
{
    (void)ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "no leader endpoint given at [");
    for (size_t i = 0; i < count; i++) {
        buf_append_cstr(&c->fail.text, i > 0 ? " " : "");
        buf_append_slice(&c->fail.text, endpoints[i]);
    }
    buf_append_byte(&c->fail.text, ']');
    return CTL_RC_BAD_ARGS;
}

static int move_to(struct ctl *c, struct client *client, uint64_t leader, uint64_t target)
{
    struct buf raw = BUF_INIT;
    Etcdserverpb__MoveLeaderRequest req = ETCDSERVERPB__MOVE_LEADER_REQUEST__INIT;
    Etcdserverpb__MoveLeaderResponse resp;
    req.targetid = target;
    int rc = ctl_ask_pb(c, client, "/etcdserverpb.Maintenance/MoveLeader", 0, &req.base,
                        &etcdserverpb__move_leader_response__descriptor, &resp.base, &raw);
    rc = rc != 0 ? rc
                 : ctl_printed(
                       c, print_move_leader(&c->printer, buf_slice(&raw), leader, target, &resp));
    buf_deinit(&raw);
    return rc;
}

int ctl_run_move_leader(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    struct client *client = NULL;
    struct buf reason = BUF_INIT;
    uint64_t target = 0;
    uint64_t leader = 0;
    int rc = ctl_need_args(c, 1, "move-leader command needs 1 argument");
    if (rc == 0 && text_parse_u64(ctx->args[0], 16, &target, &reason) != 0) {
        rc = ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "%s", buf_cstr(&reason));
    }
    buf_deinit(&reason);
    rc = rc != 0 ? rc : ctl_settings(c);
    const struct cli_value *v = cli_value(ctx, "endpoints");
    if (rc == 0 && v->list_count == 0) {
        rc = ctl_fail(&c->fail, CTL_RC_BAD_CONNECTION, "etcdclient: no available endpoints");
    }
    rc = rc != 0 ? rc : find_leader(c, v->list, v->list_count, &client, &leader);
    if (rc == 0 && client == NULL) {
        return fail_no_leader(c, v->list, v->list_count);
    }
    if (rc == 0) {
        rc = move_to(c, client, leader, target);
        client_destroy(client);
    }
    return rc;
}

/* ---- downgrade
 * ----------------------------------------------------------------------------------- */

static int downgrade(struct ctl *c, Etcdserverpb__DowngradeRequest__DowngradeAction action,
                     const char *version, const char *what)
{
    struct client *client;
    struct buf raw = BUF_INIT;
    Etcdserverpb__DowngradeRequest req = ETCDSERVERPB__DOWNGRADE_REQUEST__INIT;
    Etcdserverpb__DowngradeResponse resp;
    int rc = ctl_connect(c, &client);
    if (rc != 0) {
        return rc;
    }
    req.action = action;
    req.version = (char *)(uintptr_t)version;
    rc = ctl_ask_pb(c, client, "/etcdserverpb.Maintenance/Downgrade", 0, &req.base,
                    &etcdserverpb__downgrade_response__descriptor, &resp.base, &raw);
    rc = rc != 0 ? rc : ctl_printed(c, print_downgrade(&c->printer, buf_slice(&raw), what, &resp));
    client_destroy(client);
    buf_deinit(&raw);
    return rc;
}

static int downgrade_to(struct ctl *c, Etcdserverpb__DowngradeRequest__DowngradeAction action,
                        const char *what)
{
    const struct cli_ctx *cli = c->cli;
    if (cli->arg_count == 0) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "TARGET_VERSION not provided");
    }
    if (cli->arg_count > 1) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "too many arguments");
    }
    if (cli->args[0].len == 0) {
        return ctl_fail(&c->fail, CTL_RC_BAD_ARGS, "target version not provided");
    }
    return downgrade(c, action, ctl_cstr(c, cli->args[0]), what);
}

int ctl_run_downgrade_validate(struct cli_ctx *ctx)
{
    return downgrade_to(ctl_of(ctx), ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__VALIDATE,
                        "validate");
}

int ctl_run_downgrade_enable(struct cli_ctx *ctx)
{
    return downgrade_to(ctl_of(ctx), ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__ENABLE,
                        "enable");
}

int ctl_run_downgrade_cancel(struct cli_ctx *ctx)
{
    return downgrade(ctl_of(ctx), ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__CANCEL, "",
                     "cancel");
}
