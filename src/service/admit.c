/* SPDX-License-Identifier: Apache-2.0
 *
 * service/admit: what refuses a call before its service sees it, in etcd's order
 * (client-api 2.0.1, 2).
 */
#include "base/utf8.h"
#include "service/internal.h"

static bool is_method(const struct grpc_method *m, const char *service, const char *name)
{
    return strcmp(m->name, name) == 0 && strcmp(m->service, service) == 0;
}

static bool is_serializable_range(struct slice msg)
{
    struct wire_range_req r;
    return wire_range_req_decode(msg, &r) == 0 && r.serializable;
}

/* A learner serves what needs nobody else.  Our own calls are about this member alone, too. */
static bool is_for_learners(const struct grpc_method *m, struct slice msg)
{
    static const char maintenance[] = "etcdserverpb.Maintenance";
    return is_method(m, maintenance, "Status") || is_method(m, maintenance, "Snapshot") ||
           strcmp(m->service, UPGRADE_SERVICE) == 0 ||
           (is_method(m, "etcdserverpb.KV", "Range") && is_serializable_range(msg));
}

static int check_metadata(const struct service *s, struct grpc_call *call)
{
    struct slice version = grpc_call_metadata(call, "client-api-version");
    if (core_level(s->core) >= LEVEL_3_6 && version.data != NULL &&
        !utf8_valid(version.data, version.len)) {
        return ERR_RPC_INVALID_CLIENT_API_VERSION;
    }
    if (!service_wants_leader(call)) {
        return 0;
    }
    struct core_status st;
    core_status(s->core, &st);
    return st.leader == 0 ? ERR_RPC_NO_LEADER : 0;
}

bool service_admit(void *arg, struct grpc_call *call, struct slice msg)
{
    struct service *s = arg;
    int err = 0;
    if (semver_is_none(core_cluster_version(s->core))) {
        err = ERR_RPC_NOT_CAPABLE;
    } else if (core_is_learner(s->core) && !is_for_learners(grpc_call_method(call), msg)) {
        err = ERR_RPC_NOT_SUPPORTED_FOR_LEARNER;
    } else {
        err = check_metadata(s, call);
    }
    if (err != 0) {
        service_refuse_at(core_level(s->core), call, err);
    }
    return err == 0;
}
