/* SPDX-License-Identifier: Apache-2.0
 *
 * service/kv: etcdserverpb.KV (client-api 2.1).
 *
 * Order of checks as etcd: quota before validation (2.0.1), then the request's own rules, then
 * raft.
 *
 * What goes into the log is the client's bytes, if they are what etcd would have written.  etcd
 * encodes every request anew, so its members never meet other forms there, and up to 3.6 they read
 * some of them otherwise than 3.7 and we do: a range_end that is there but empty is an open end, a
 * oneof in pieces does not merge, a known field of a wrong type ends the process.
 */
#include "base/limits.h"
#include "service/internal.h"

static struct service *service_of(struct grpc_call *call)
{
    return grpc_call_service(call);
}

/* What refuses a write before it is looked at; else err. */
static int quota_first(const struct service *s, uint64_t cost, int err)
{
    return err != 0 && core_is_over_quota(s->core, cost) ? ERR_RPC_NO_SPACE : err;
}

static void propose(struct grpc_call *call, uint32_t which, struct slice body, uint64_t cost,
                    bool wants_physical)
{
    struct service_call *sc =
        service_call_begin(service_of(call), call, CORE_PROPOSE, service_answer);
    sc->req.which = which;
    sc->req.body = body;
    sc->req.quota_cost = cost;
    sc->req.wants_physical = wants_physical;
    service_call_propose(sc);
}

static void put_on_message(struct grpc_call *call, struct slice msg)
{
    struct wire_put_req put;
    int err = wire_put_req_decode(msg, &put);
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    uint64_t cost = apply_put_cost(&put);
    err = quota_first(service_of(call), cost, mvcc_put_validate(&put));
    if (err != 0) {
        service_refuse(call, err);
        return;
    }
    struct buf plain = BUF_INIT;
    if (wire_put_req_size_min(&put) != msg.len) {
        wire_put_req_encode(&plain, &put);
        msg = buf_slice(&plain);
    }
    propose(call, WIRE_INTERNAL_PUT, msg, cost, false);
    buf_deinit(&plain);
}

static void delete_on_message(struct grpc_call *call, struct slice msg)
{
    struct wire_delete_req del;
    int err = wire_delete_req_decode(msg, &del);
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    err = mvcc_delete_validate(&del);
    if (err != 0) {
        service_refuse(call, err);
        return;
    }
    struct buf plain = BUF_INIT;
    if (wire_delete_req_size_min(&del) != msg.len) {
        wire_delete_req_encode(&plain, &del);
        msg = buf_slice(&plain);
    }
    propose(call, WIRE_INTERNAL_DELETE_RANGE, msg, 0, false);
    buf_deinit(&plain);
}

static void compact_on_message(struct grpc_call *call, struct slice msg)
{
    struct wire_compaction_req c;
    int err = wire_compaction_req_decode(msg, &c);
    if (err != 0) {
        service_malformed(call, err);
        return;
    }
    if (!service_permitted(call, SERVICE_ROOT)) {
        return;
    }
    struct buf plain = BUF_INIT;
    if (wire_compaction_req_size_min(&c) != msg.len) {
        wire_compaction_req_encode(&plain, &c);
        msg = buf_slice(&plain);
    }
    propose(call, WIRE_INTERNAL_COMPACTION, msg, 0, c.physical);
    buf_deinit(&plain);
}

/* ---- reads that do not go through the log: etcd up to 3.6 sees the client's form ---- */

static void open_empty_end(const struct service_call *sc, struct slice *range_end)
{
    if (wire_came_empty(*range_end) && service_rules(sc->service)->empty_end_is_open) {
        *range_end = slice_make("", 1); /* one zero byte */
    }
}

static void open_empty_ends(const struct service_call *sc, struct wire_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind == WIRE_OP_RANGE) {
            open_empty_end(sc, &ops[i].range.range_end);
        }
    }
}

/* ---- txn ---- */

static void txn_read(struct service_call *sc)
{
    for (size_t i = 0; i < sc->txn.compare_count; i++) {
        open_empty_end(sc, &sc->txn.compares[i].range_end);
    }
    open_empty_ends(sc, sc->txn.success, sc->txn.success_count);
    open_empty_ends(sc, sc->txn.failure, sc->txn.failure_count);
    sc->req.kind = CORE_TXN_READ;
    sc->req.txn = &sc->txn;
    sc->req.is_serializable = mvcc_txn_is_serializable(&sc->txn);
    service_call_ask(sc);
}

static void txn_write(struct service_call *sc, struct slice msg, uint64_t cost)
{
    struct buf plain = BUF_INIT;
    if (wire_txn_req_size_min(&sc->txn) != msg.len) {
        wire_txn_req_encode(&plain, &sc->txn);
        msg = buf_slice(&plain);
    }
    sc->req.which = WIRE_INTERNAL_TXN;
    sc->req.body = msg;
    sc->req.quota_cost = cost;
    service_call_propose(sc);
    buf_deinit(&plain);
}

static void txn_on_message(struct grpc_call *call, struct slice msg)
{
    struct service *s = service_of(call);
    struct service_call *sc = service_call_begin(s, call, CORE_PROPOSE, service_answer);
    if (!sc->has_arena) {
        arena_init(&sc->arena, 0);
        sc->has_arena = true;
    }
    struct slice kept = service_call_keep(sc, msg);
    int err = wire_txn_req_decode(kept, &sc->arena, &sc->txn);
    if (err != 0) {
        service_malformed(call, err);
        service_call_end(sc);
        return;
    }
    uint64_t cost = apply_txn_cost(&sc->txn);
    err = quota_first(s, cost,
                      mvcc_txn_validate(&sc->txn, service_rules(s), s->o.txn_ops_max, &sc->arena));
    if (err != 0) {
        service_refuse(call, err);
        service_call_end(sc);
    } else if (mvcc_txn_is_read_only(&sc->txn)) {
        txn_read(sc);
    } else {
        txn_write(sc, kept, cost);
    }
}

/* ---- ranges ---- */

static void range_start(struct grpc_call *call, struct slice msg, bool is_stream,
                        void (*on_reply)(struct service_call *sc))
{
    struct service_call *sc = service_call_begin(service_of(call), call, CORE_RANGE, on_reply);
    int err = wire_range_req_decode(service_call_keep(sc, msg), &sc->range);
    if (err != 0) {
        service_malformed(call, err);
        service_call_end(sc);
        return;
    }
    err = mvcc_range_validate(&sc->range, service_rules(sc->service), is_stream);
    if (err != 0) {
        service_refuse(call, err);
        service_call_end(sc);
        return;
    }
    if (!is_stream) {
        open_empty_end(sc, &sc->range.range_end);
    } else {
        mvcc_range_stream_normalize(&sc->range); /* traps of client-api 2.1.2 */
    }
    sc->req.range = &sc->range;
    sc->req.plan = &sc->plan;
    sc->req.is_serializable = sc->range.serializable;
    service_call_ask(sc);
}

static void range_on_message(struct grpc_call *call, struct slice msg)
{
    range_start(call, msg, false, range_answer);
}

static void range_stream_on_message(struct grpc_call *call, struct slice msg)
{
    range_start(call, msg, true, range_stream_answer);
}

static const struct grpc_method kv_methods[] = {
    {.service = "etcdserverpb.KV",
     .name = "Range",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = range_on_message,
     .on_cancel = service_on_cancel},
    {.service = "etcdserverpb.KV",
     .name = "RangeStream",
     .kind = GRPC_KIND_SERVER_STREAM,
     .on_start = service_on_start,
     .on_message = range_stream_on_message,
     .on_writable = range_stream_writable,
     .on_cancel = range_stream_cancel},
    {.service = "etcdserverpb.KV",
     .name = "Put",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = put_on_message,
     .on_cancel = service_on_cancel},
    {.service = "etcdserverpb.KV",
     .name = "DeleteRange",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = delete_on_message,
     .on_cancel = service_on_cancel},
    {.service = "etcdserverpb.KV",
     .name = "Txn",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = txn_on_message,
     .on_cancel = service_on_cancel},
    {.service = "etcdserverpb.KV",
     .name = "Compact",
     .kind = GRPC_KIND_UNARY,
     .on_start = service_on_start,
     .on_message = compact_on_message,
     .on_cancel = service_on_cancel},
};

void kv_register(struct service *s, struct grpc_server *server)
{
    grpc_server_add(server, kv_methods, ARRAY_LEN(kv_methods), s);
}
