/* SPDX-License-Identifier: Apache-2.0 */
#include "apply/apply.h"

#include "apply/internal.h"

enum { APPLY_ARENA_BYTES = 16 * 1024, COST_PUT_BYTES = 256 };

struct apply *apply_create(const struct apply_options *opts)
{
    struct apply *a = mem_zalloc(sizeof(*a));
    a->o = *opts;
    arena_init(&a->arena, APPLY_ARENA_BYTES);
    return a;
}

void apply_destroy(struct apply *a)
{
    arena_deinit(&a->arena);
    mem_free(a->alarms);
    mem_free(a);
}

/* ---- cost, as the quota counts it ---- */

uint64_t apply_put_cost(const struct wire_put_req *put)
{
    return COST_PUT_BYTES + put->key.len + put->value.len;
}

static uint64_t branch_cost(const struct wire_op *ops, size_t count)
{
    uint64_t cost = 0;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind == WIRE_OP_PUT) {
            cost += apply_put_cost(&ops[i].put);
        } else if (ops[i].kind == WIRE_OP_TXN) {
            cost += apply_txn_cost(ops[i].txn);
        }
    }
    return cost;
}

uint64_t apply_txn_cost(const struct wire_txn_req *txn)
{
    uint64_t success = branch_cost(txn->success, txn->success_count);
    uint64_t failure = branch_cost(txn->failure, txn->failure_count);
    return success > failure ? success : failure;
}

/* ---- begin: decode ---- */

static int decode_body(struct apply *a)
{
    switch (a->req.which) {
    case WIRE_INTERNAL_PUT: return wire_put_req_decode(a->req.body, &a->put);
    case WIRE_INTERNAL_DELETE_RANGE: return wire_delete_req_decode(a->req.body, &a->del);
    case WIRE_INTERNAL_TXN: return wire_txn_req_decode(a->req.body, &a->arena, &a->txn);
    case WIRE_INTERNAL_COMPACTION: return wire_compaction_req_decode(a->req.body, &a->compaction);
    default: return 0; /* decoded where it is used */
    }
}

int apply_begin(struct apply *a, struct slice data, uint64_t *out_id)
{
    arena_reset(&a->arena);
    a->is_v2 = wire_v2_request_decode(data, &a->v2);
    if (a->is_v2) {
        *out_id = a->v2.id;
        return 0;
    }
    int err = wire_internal_decode(data, &a->req);
    if (err == 0) {
        err = decode_body(a);
    }
    if (err == 0) {
        *out_id = a->req.id;
    }
    return err;
}

/* ---- gates ---- */

static bool is_store_request(uint32_t which)
{
    return which >= WIRE_INTERNAL_RANGE && which <= WIRE_INTERNAL_LEASE_REVOKE;
}

static uint64_t request_cost(const struct apply *a)
{
    switch (a->req.which) {
    case WIRE_INTERNAL_PUT: return apply_put_cost(&a->put);
    case WIRE_INTERNAL_TXN: return apply_txn_cost(&a->txn);
    case WIRE_INTERNAL_LEASE_GRANT: return APPLY_GRANT_COST;
    default: return 0;
    }
}

/* What the active alarms refuse: peer-protocol 4.9, CORRUPT first. */
static int alarm_gate(const struct apply *a)
{
    if (a->alarm_count == 0 || a->is_v2) {
        return 0;
    }
    if (apply_has_alarm(a, SCHEMA_ALARM_CORRUPT) && is_store_request(a->req.which)) {
        return ERR_RPC_CORRUPT;
    }
    if (apply_has_alarm(a, SCHEMA_ALARM_NOSPACE) && request_cost(a) > 0) {
        return ERR_RPC_NO_SPACE;
    }
    return 0;
}

/* All that refuses an entry as a whole. */
static int gates(struct apply *a)
{
    int err = alarm_gate(a);
    return err != 0 ? err : apply_permit_entry(a);
}

int apply_prefetch(struct apply *a, bool has_waiter, struct mvcc_values *v)
{
    if (a->is_v2 || gates(a) != 0) {
        return 0;
    }
    switch (a->req.which) {
    case WIRE_INTERNAL_PUT: return mvcc_prefetch_put(a->o.store, &a->put, has_waiter, v);
    case WIRE_INTERNAL_DELETE_RANGE:
        return mvcc_prefetch_delete(a->o.store, &a->del, has_waiter, v);
    case WIRE_INTERNAL_TXN: return mvcc_prefetch_txn(a->o.store, &a->txn, has_waiter, v);
    default: return 0;
    }
}

/* ---- run ---- */

static int run_compaction(struct apply *a, struct apply_result *out)
{
    int err = mvcc_compact(a->o.store, a->compaction.revision);
    out->compact_rev = a->compaction.revision;
    out->is_compaction = err == 0;
    return err;
}

static int run_store(struct apply *a, struct mvcc_values *v, const struct apply_now *now,
                     struct buf *body, struct apply_result *out)
{
    if (apply_is_auth_request(a->req.which)) {
        return apply_auth_request(a, now, body);
    }
    switch (a->req.which) {
    case WIRE_INTERNAL_PUT: return mvcc_apply_put(a->o.store, &a->put, v, body);
    case WIRE_INTERNAL_DELETE_RANGE: return mvcc_apply_delete(a->o.store, &a->del, v, body);
    case WIRE_INTERNAL_TXN: return mvcc_apply_txn(a->o.store, &a->txn, v, body, &out->rev);
    case WIRE_INTERNAL_COMPACTION: return run_compaction(a, out);
    case WIRE_INTERNAL_LEASE_GRANT:
    case WIRE_INTERNAL_LEASE_REVOKE:
    case WIRE_INTERNAL_LEASE_CHECKPOINT: return apply_lease_request(a, now->now_ms, body);
    case WIRE_INTERNAL_ALARM: return apply_alarm_request(a, body);
    case WIRE_INTERNAL_CLUSTER_VERSION_SET:
    case WIRE_INTERNAL_MEMBER_ATTR_SET:
    case WIRE_INTERNAL_DOWNGRADE_INFO_SET: return apply_cluster_request(a, out);
    case WIRE_INTERNAL_RANGE: /* never proposed by any release that we mix with: no effect */
    case WIRE_INTERNAL_DOWNGRADE_VERSION_TEST:
    default: return 0;
    }
}

int apply_run(struct apply *a, struct mvcc_values *v, const struct apply_now *now, struct buf *body,
              struct apply_result *out)
{
    *out = (struct apply_result){0};
    if (a->is_v2) {
        return apply_v2_request(a, out);
    }
    int err = gates(a);
    if (err == 0) {
        err = run_store(a, v, now, body, out);
    }
    if (err != 0 && !err_is_rpc(err)) {
        return err;
    }
    if (out->rev == 0) {
        out->rev = mvcc_rev(a->o.store);
    }
    uint64_t cost = request_cost(a);
    if (err == 0 && cost > 0 && a->o.quota_bytes > 0 &&
        now->db_bytes + cost >= (uint64_t)a->o.quota_bytes) {
        err = ERR_RPC_NO_SPACE;
        out->is_over_quota = true;
    }
    out->lease_granted = err == 0 && a->req.which == WIRE_INTERNAL_LEASE_GRANT;
    out->lease_removed = err == 0 && a->req.which == WIRE_INTERNAL_LEASE_REVOKE;
    out->err = err;
    return 0;
}
