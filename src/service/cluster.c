/* SPDX-License-Identifier: Apache-2.0
 *
 * service/cluster: etcdserverpb.Cluster (client-api 2.4): MemberList. Headers carry no revision.
 */
#include "service/internal.h"

static void append_member(struct buf *out, const struct member *m)
{
    struct buf row = BUF_INIT;
    wire_append_u64(&row, 1, m->id);
    wire_append_bytes(&row, 2, slice_cstr(m->name));
    for (size_t i = 0; i < m->peer_urls.count; i++) {
        wire_append_bytes(&row, 3, slice_cstr(m->peer_urls.items[i]));
    }
    for (size_t i = 0; i < m->client_urls.count; i++) {
        wire_append_bytes(&row, 4, slice_cstr(m->client_urls.items[i]));
    }
    wire_append_u64(&row, 5, m->is_learner);
    wire_append_message(out, 2, buf_slice(&row));
    buf_deinit(&row);
}

static void list_reply(struct service_call *sc)
{
    if (sc->req.err == 0) {
        const struct membership *l = core_members(sc->service->core);
        for (size_t i = 0; i < l->count; i++) {
            append_member(&sc->response, &l->members[i]);
        }
        sc->req.header_rev = 0;
    }
    service_answer(sc);
}

static void list_on_message(struct grpc_call *call, struct slice msg)
{
    bool is_linearizable = false;
    struct wire_scan s;
    for (wire_scan_init(&s, msg); wire_scan_next(&s);) {
        if (s.field == 1 && s.type == WIRE_VARINT) {
            is_linearizable = s.number != 0;
        }
    }
    if (s.err != 0) {
        service_malformed(call, s.err);
        return;
    }
    struct service_call *sc =
        service_call_begin(grpc_call_service(call), call, CORE_BARRIER, list_reply);
    sc->req.is_serializable = !is_linearizable;
    service_call_submit(sc);
}

static const struct grpc_method cluster_methods[] = {
    {.service = "etcdserverpb.Cluster",
     .name = "MemberList",
     .kind = GRPC_KIND_UNARY,
     .on_message = list_on_message,
     .on_cancel = service_on_cancel},
};

void cluster_register(struct service *s, struct grpc_server *server)
{
    grpc_server_add(server, cluster_methods, ARRAY_LEN(cluster_methods), s);
}
