/* SPDX-License-Identifier: Apache-2.0
 *
 * service/health: grpc.health.v1.Health (client-api 2.8): "" is SERVING (with the gate
 * StopGRPCServiceOnDefrag not during a defragmentation), others are not known.
 */
#include "base/log.h"
#include "service/internal.h"

enum { HEALTH_SERVING = 1, HEALTH_NOT_SERVING = 2, HEALTH_SERVICE_UNKNOWN = 3 };

/* In the call itself. */
struct health_watch {
    struct list_node node;
    struct grpc_call *call;
};

static int status_now(const struct service *s)
{
    return s->o.stops_on_defrag && s->defrags > 0 ? HEALTH_NOT_SERVING : HEALTH_SERVING;
}

static void append_status(struct buf *out, int status)
{
    wire_append_u64(out, 1, (uint64_t)status);
}

static void check_on_message(struct grpc_call *call, struct slice msg)
{
    struct service *s = grpc_call_service(call);
    struct slice name;
    if (service_text_of(msg, 1, &name) != 0) {
        service_malformed(call, ERR_MALFORMED);
        return;
    }
    if (name.len != 0) {
        grpc_call_fail_code(call, GRPC_NOT_FOUND, "unknown service");
        return;
    }
    struct buf *out = service_scratch(s);
    append_status(out, status_now(s));
    grpc_call_finish_unary(call, buf_slice(out));
}

/* The status now, then each change, until the client goes. */
static void watch_on_message(struct grpc_call *call, struct slice msg)
{
    struct service *s = grpc_call_service(call);
    struct slice name;
    if (service_text_of(msg, 1, &name) != 0) {
        service_malformed(call, ERR_MALFORMED);
        return;
    }
    struct buf *out = service_scratch(s);
    append_status(out, name.len == 0 ? status_now(s) : HEALTH_SERVICE_UNKNOWN);
    grpc_call_send(call, buf_slice(out));
    if (name.len == 0) {
        struct health_watch *w = grpc_call_user(call);
        w->call = call;
        list_push_back(&s->health_watches, &w->node);
    }
}

static void watch_on_cancel(struct grpc_call *call, int err)
{
    struct health_watch *w = grpc_call_user(call);
    (void)err;
    if (w->call != NULL) {
        list_remove(&w->node);
    }
}

static void tell_watches(struct service *s)
{
    LIST_FOREACH (&s->health_watches, n) {
        struct buf *out = service_scratch(s);
        append_status(out, status_now(s));
        grpc_call_send(LIST_ENTRY(n, struct health_watch, node)->call, buf_slice(out));
    }
}

void health_defrag(struct service *s, bool begins)
{
    int before = status_now(s);
    s->defrags += begins ? 1 : (unsigned)-1;
    int now = status_now(s);
    if (now != before) {
        tell_watches(s);
    }
    if (now != before && begins) {
        log_warn("grpc service status changed", LOG_STR("service", ""),
                 LOG_STR("status", "NOT_SERVING"), LOG_STR("reason", "defrag is active"));
    } else if (!begins && now == HEALTH_SERVING) {
        log_info("grpc service status changed", LOG_STR("service", ""),
                 LOG_STR("status", "SERVING"));
    }
}

/* HealthListResponse{1: map<string, HealthCheckResponse>} */
static void list_on_message(struct grpc_call *call, struct slice msg)
{
    (void)msg;
    struct service *s = grpc_call_service(call);
    struct buf *out = service_scratch(s);
    const uint8_t entry[] = {0x0a, 0x00, 0x12, 0x02, 0x08, (uint8_t)status_now(s)};
    wire_append_message(out, 1, slice_make(entry, sizeof(entry)));
    grpc_call_finish_unary(call, buf_slice(out));
}

static const struct grpc_method health_methods[] = {
    {.service = "grpc.health.v1.Health",
     .name = "Check",
     .kind = GRPC_KIND_UNARY,
     .on_message = check_on_message},
    {.service = "grpc.health.v1.Health",
     .name = "Watch",
     .kind = GRPC_KIND_SERVER_STREAM,
     .on_message = watch_on_message,
     .on_cancel = watch_on_cancel},
    {.service = "grpc.health.v1.Health",
     .name = "List",
     .kind = GRPC_KIND_UNARY,
     .on_message = list_on_message},
};

void health_register(struct service *s, struct grpc_server *server)
{
    grpc_server_add(server, health_methods, ARRAY_LEN(health_methods), s);
}
