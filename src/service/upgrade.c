/* SPDX-License-Identifier: Apache-2.0
 *
 * service/upgrade: cairnpb.Upgrade, Cairn's own: at which level this member runs, and the explicit
 * act that raises it (design.md 1).  Used by `cairnctl upgrade finish`.
 *
 *     Status {}                 -> State{1: version, 2: highest, 3: cluster version}   "3.6" each
 *     Raise  {1: to, "3.7"}     -> State
 *
 * A member that was raised reports the new version like a member whose program was replaced; the
 * leader raises the cluster version when all members do.  Nothing is written by it: after a restart
 * before that, the member is what its directory says, and is raised again.
 */
#include <stdio.h>

#include "member/version.h"
#include "service/internal.h"

static struct service *service_of(struct grpc_call *call)
{
    return grpc_call_service(call);
}

static void append_minor(struct buf *out, uint32_t field, struct semver v)
{
    char text[SEMVER_TEXT_MAX] = "";
    if (!semver_is_none(v)) {
        (void)snprintf(text, sizeof(text), "%u.%u", v.major, v.minor);
    }
    wire_append_bytes(out, field, slice_cstr(text));
}

static void answer(struct grpc_call *call)
{
    struct service *s = service_of(call);
    struct buf *out = service_scratch(s);
    append_minor(out, 1, level_rules(core_level(s->core))->version);
    append_minor(out, 2, level_rules(LEVEL_NEW)->version);
    append_minor(out, 3, core_cluster_version(s->core));
    grpc_call_finish_unary(call, buf_slice(out));
}

static void status_on_message(struct grpc_call *call, struct slice msg)
{
    (void)msg;
    if (service_permitted(call, SERVICE_KNOWN)) {
        answer(call);
    }
}

static void raise_reply(struct service_call *sc)
{
    if (sc->req.err != 0) {
        service_refuse(sc->call, sc->req.err);
    } else {
        answer(sc->call);
    }
    service_call_end(sc);
}

/* 0: one minor up; 1: there already. */
static int raise_check(const struct service *s, struct slice to)
{
    struct semver v;
    enum level level;
    if (version_target_parse(to, &v) != 0 || level_from_version(v, &level) != 0) {
        return ERR_RPC_UPGRADE_VERSION;
    }
    enum level now = core_level(s->core);
    if (level <= now) {
        return 1;
    }
    struct semver cluster = core_cluster_version(s->core);
    if (level != version_next_level(now) || cluster.minor + 1 < v.minor) {
        return ERR_RPC_UPGRADE_STEP;
    }
    return core_downgrade(s->core).enabled ? ERR_RPC_DOWNGRADE_IN_PROGRESS : 0;
}

static void raise_on_message(struct grpc_call *call, struct slice msg)
{
    struct service *s = service_of(call);
    struct slice to;
    int err = service_text_of(msg, 1, &to);
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    if (!service_permitted(call, SERVICE_ROOT)) {
        return;
    }
    err = raise_check(s, to);
    if (err < 0) {
        service_refuse(call, err);
    } else if (err == 1) {
        answer(call);
    } else {
        service_call_submit(service_call_begin(s, call, CORE_RAISE_LEVEL, raise_reply));
    }
}

static const struct grpc_method upgrade_methods[] = {
    {.service = UPGRADE_SERVICE,
     .name = "Status",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = status_on_message,
     .on_cancel = service_on_cancel},
    {.service = UPGRADE_SERVICE,
     .name = "Raise",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = raise_on_message,
     .on_cancel = service_on_cancel},
};

void upgrade_register(struct service *s, struct grpc_server *server)
{
    grpc_server_add(server, upgrade_methods, ARRAY_LEN(upgrade_methods), s);
}
