/* SPDX-License-Identifier: Apache-2.0
 *
 * service/leader: Maintenance.MoveLeader and Maintenance.Downgrade (client-api 2.5.2).
 */
#include <stdio.h>

#include "base/log.h"
#include "member/version.h"
#include "service/internal.h"

static struct service *service_of(struct grpc_call *call)
{
    return grpc_call_service(call);
}

/* ---- MoveLeader ---- */

/* 0: go on with the core; 1: it leads already. */
static int move_check(const struct service *s, uint64_t target)
{
    struct core_status st;
    core_status(s->core, &st);
    if (st.leader != core_member_id(s->core)) {
        return ERR_RPC_NOT_LEADER;
    }
    const struct member *m = membership_find(core_members(s->core), target);
    if (m == NULL || m->is_learner) {
        return ERR_RPC_BAD_TRANSFEREE;
    }
    return target == st.leader ? 1 : 0;
}

void move_leader_on_message(struct grpc_call *call, struct slice msg)
{
    struct service *s = service_of(call);
    uint64_t target;
    int err = service_number_of(msg, 1, &target);
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    if (!service_permitted(call, SERVICE_ROOT)) {
        return;
    }
    err = move_check(s, target);
    if (err < 0) {
        service_refuse(call, err);
    } else if (err == 1) {
        grpc_call_finish_unary(call, SLICE_NULL);
    } else {
        /* No header, as etcd. */
        struct service_call *sc =
            service_call_begin(s, call, CORE_TRANSFER_LEADER, service_answer_empty);
        sc->req.member_id = target;
        service_call_submit(sc);
    }
}

/* ---- Downgrade ---- */

enum downgrade_action { DOWNGRADE_VALIDATE = 0, DOWNGRADE_ENABLE = 1, DOWNGRADE_CANCEL = 2 };

/* sc->number: action above, target's minor below (major is 3). */
static uint64_t pack(enum downgrade_action action, struct semver target)
{
    return (uint64_t)action << 32 | target.minor;
}

/* The cluster's version, in the form of this member's level, as field 2. */
static void append_cluster_version(const struct service *s, struct buf *out)
{
    struct semver v = core_cluster_version(s->core);
    char text[SEMVER_TEXT_MAX];
    semver_format(v, text);
    if (core_level(s->core) >= LEVEL_3_6) {
        (void)snprintf(text, sizeof(text), "%u.%u", v.major, v.minor);
    }
    wire_append_bytes(out, 2, slice_cstr(text));
}

static void downgrade_answer(struct service_call *sc)
{
    if (sc->req.err == 0) {
        append_cluster_version(sc->service, &sc->response);
        sc->req.header_rev = core_rev(sc->service->core);
    } else {
        log_warn("reject downgrade request", LOG_ERR(sc->req.err));
    }
    service_answer(sc);
}

/* Through the log: DowngradeInfoSetRequest{1: enabled, 2: version}. */
static void downgrade_propose(struct service_call *sc, bool is_enabled)
{
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 1, is_enabled);
    if (is_enabled) {
        char text[SEMVER_TEXT_MAX];
        semver_format((struct semver){3, (uint32_t)sc->number, 0}, text);
        wire_append_bytes(&body, 2, slice_cstr(text));
    }
    struct grpc_call *call = sc->call;
    struct service *s = sc->service;
    service_call_end(sc);
    sc = service_call_begin(s, call, CORE_PROPOSE, downgrade_answer);
    sc->req.which = WIRE_INTERNAL_DOWNGRADE_INFO_SET;
    sc->req.body = buf_slice(&body);
    service_call_submit(sc); /* copies the body */
    buf_deinit(&body);
}

/* The state is that of a linearizable point now. */
static void downgrade_decide(struct service_call *sc)
{
    struct service *s = sc->service;
    struct schema_downgrade job = core_downgrade(s->core);
    enum downgrade_action action = (enum downgrade_action)(sc->number >> 32);
    if (sc->req.err != 0) {
        downgrade_answer(sc);
        return;
    }
    if (action == DOWNGRADE_CANCEL) {
        if (job.enabled) {
            downgrade_propose(sc, false);
            return;
        }
        /* From 3.6 on etcd says this in its log only. */
        log_warn("failed to cancel downgrade", LOG_ERR(ERR_RPC_DOWNGRADE_NONE));
        sc->req.err = core_level(s->core) < LEVEL_3_6 ? ERR_RPC_DOWNGRADE_NONE : 0;
        downgrade_answer(sc);
        return;
    }
    const struct semver target = {3, (uint32_t)sc->number, 0};
    sc->req.err = version_downgrade_check(core_cluster_version(s->core), target, &job);
    if (sc->req.err == 0 && action == DOWNGRADE_ENABLE) {
        downgrade_propose(sc, true);
    } else {
        downgrade_answer(sc);
    }
}

/* What can be said without asking the cluster. */
static int downgrade_check(const struct service *s, uint64_t action, struct slice version,
                           struct semver *out)
{
    if (action > DOWNGRADE_CANCEL) {
        return ERR_RPC_UNKNOWN_METHOD;
    }
    int err = action == DOWNGRADE_CANCEL ? 0 : version_target_parse(version, out);
    if (err == 0 && semver_is_none(core_cluster_version(s->core))) {
        err = ERR_RPC_DOWNGRADE_NO_CLUSTER_VERSION;
    }
    return err == 0 && action != DOWNGRADE_CANCEL && out->major != 3 ? ERR_RPC_DOWNGRADE_INVALID
                                                                     : err;
}

void downgrade_on_message(struct grpc_call *call, struct slice msg)
{
    struct service *s = service_of(call);
    struct semver target = {0};
    struct slice version;
    uint64_t action;
    int err = service_number_of(msg, 1, &action);
    if (err == 0) {
        err = service_text_of(msg, 2, &version);
    }
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    if (!service_permitted(call, SERVICE_ROOT)) {
        return;
    }
    err = downgrade_check(s, action, version, &target);
    if (err != 0) {
        log_warn("reject downgrade request", LOG_ERR(err));
        service_refuse(call, err);
        return;
    }
    struct service_call *sc = service_call_begin(s, call, CORE_BARRIER, downgrade_decide);
    sc->number = pack((enum downgrade_action)action, target);
    service_call_submit(sc);
}
