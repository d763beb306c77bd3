/* SPDX-License-Identifier: Apache-2.0
 *
 * service/caller: who makes a call, and whether he may (client-api 2.6.3, 2.6.4).
 *
 * What goes into the log carries the name of who asked, and is checked where it is applied: only
 * there is the state of users and roles that of the write.  Reads are checked by the core at their
 * point.  What this member answers by itself is checked here, against what it has applied.
 */
#include "base/utf8.h"
#include "service/internal.h"

void service_caller_of(struct grpc_call *call, struct auth_caller *out)
{
    const struct service *s = grpc_call_service(call);
    struct env_clock *clock = driver_env(s->driver)->clock;
    *out = (struct auth_caller){.token = grpc_call_metadata(call, "token")};
    if (out->token.data == NULL) {
        out->token = grpc_call_metadata(call, "authorization");
    }
    if (out->token.data != NULL) {
        out->wall_ms = clock->ops->wall_ns(clock) / 1000000;
    }
    if (!s->o.client_cert_auth) {
        return;
    }
    /* A certificate of the gateway's is not its user's. */
    struct slice name = slice_cstr(grpc_call_peer_common_name(call));
    if (name.len > 0 && utf8_valid(name.data, name.len) &&
        grpc_call_metadata(call, "grpcgateway-accept").data == NULL) {
        out->common_name = name;
    }
}

int service_identify(struct grpc_call *call, struct auth_who *out)
{
    struct service *s = grpc_call_service(call);
    struct auth_caller caller;
    service_caller_of(call, &caller);
    return auth_identify(core_auth(s->core), &caller, env_mono_ms(driver_env(s->driver)), out);
}

int service_permit(struct grpc_call *call, enum service_right right)
{
    struct service *s = grpc_call_service(call);
    struct auth_who who;
    if (!auth_is_enabled(core_auth(s->core))) {
        return 0;
    }
    int err = service_identify(call, &who);
    if (err != 0) {
        return err;
    }
    return right == SERVICE_ROOT ? auth_check_root(core_auth(s->core), &who)
                                 : auth_check_known(core_auth(s->core), &who);
}

bool service_permitted(struct grpc_call *call, enum service_right right)
{
    int err = service_permit(call, right);
    if (err != 0) {
        service_refuse(call, err);
    }
    return err == 0;
}

/* The texts inside etcd. */
static const char *raw_text(int err)
{
    switch (err) {
    case ERR_RPC_USER_EMPTY: return "auth: user name is empty";
    case ERR_RPC_USER_NOT_FOUND: return "auth: user not found";
    case ERR_RPC_INVALID_AUTH_TOKEN: return "auth: invalid auth token";
    default: return "auth: permission denied";
    }
}

bool service_permitted_raw(struct grpc_call *call)
{
    const struct service *s = grpc_call_service(call);
    int err = service_permit(call, SERVICE_ROOT);
    if (err != 0 && core_level(s->core) == LEVEL_3_5) {
        grpc_call_fail_code(call, GRPC_UNKNOWN, raw_text(err));
    } else if (err != 0) {
        service_refuse(call, err);
    }
    return err == 0;
}

/* ---- calls that go to the core ---- */

/* A copy in the request's own bytes, which have room for it; a call may go before its request. */
static struct slice keep(struct buf *b, struct slice s)
{
    if (s.data == NULL) {
        return SLICE_NULL;
    }
    size_t at = b->len;
    buf_append_slice(b, s);
    return slice_make(b->data + at, s.len);
}

void service_call_ask(struct service_call *sc)
{
    struct auth_caller of_call;
    service_caller_of(sc->call, &of_call);
    sc->caller = of_call;
    if (of_call.token.data != NULL || of_call.common_name.data != NULL) {
        buf_clear(&sc->credentials);
        buf_reserve(&sc->credentials, of_call.token.len + of_call.common_name.len + 1);
        sc->caller.token = keep(&sc->credentials, of_call.token);
        sc->caller.common_name = keep(&sc->credentials, of_call.common_name);
    }
    sc->req.caller = &sc->caller;
    service_call_submit(sc);
}

void service_call_propose(struct service_call *sc)
{
    struct auth_who who;
    int err = service_identify(sc->call, &who);
    if (err != 0) {
        service_refuse(sc->call, err);
        service_call_end(sc);
        return;
    }
    sc->req.username = who.user;
    sc->req.auth_revision = who.revision;
    service_call_submit(sc);
    sc->req.username = SLICE_NULL; /* is the tokens' memory */
}

bool service_auth_enabled(const struct service *s)
{
    return auth_is_enabled(core_auth(s->core));
}
