/* SPDX-License-Identifier: Apache-2.0
 *
 * service/health: grpc.health.v1.Health (client-api 2.8): "" is SERVING, others are not known.
 */
#include "service/internal.h"

enum { HEALTH_SERVING = 1, HEALTH_SERVICE_UNKNOWN = 3 };

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
    append_status(out, HEALTH_SERVING);
    grpc_call_finish_unary(call, buf_slice(out));
}

/* The status does not change while the member serves: one message, then the stream stays open until
 * the client goes. */
static void watch_on_message(struct grpc_call *call, struct slice msg)
{
    struct service *s = grpc_call_service(call);
    struct slice name;
    if (service_text_of(msg, 1, &name) != 0) {
        service_malformed(call, ERR_MALFORMED);
        return;
    }
    struct buf *out = service_scratch(s);
    append_status(out, name.len == 0 ? HEALTH_SERVING : HEALTH_SERVICE_UNKNOWN);
    grpc_call_send(call, buf_slice(out));
}

/* HealthListResponse{1: map<string, HealthCheckResponse>} */
static void list_on_message(struct grpc_call *call, struct slice msg)
{
    (void)msg;
    struct service *s = grpc_call_service(call);
    struct buf *out = service_scratch(s);
    static const uint8_t entry[] = {0x0a, 0x00, 0x12, 0x02, 0x08, HEALTH_SERVING};
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
     .on_message = watch_on_message},
    {.service = "grpc.health.v1.Health",
     .name = "List",
     .kind = GRPC_KIND_UNARY,
     .on_message = list_on_message},
};

void health_register(struct service *s, struct grpc_server *server)
{
    grpc_server_add(server, health_methods, ARRAY_LEN(health_methods), s);
}
