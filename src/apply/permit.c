/* SPDX-License-Identifier: Apache-2.0
 *
 * apply/permit: what a whole request needs, operation by operation (client-api 2.6.4): the first
 * that is not permitted decides, in etcd's order.
 */
#include "apply/internal.h"

/* Of every key of the lease. */
static int permit_keys(struct apply *a, const struct auth_who *who, int64_t id,
                       int (*check)(struct auth_store *s, const struct auth_who *who,
                                    struct slice key, struct slice end))
{
    if (!auth_is_enabled(a->o.auth) || !lessor_has(a->o.lessor, id) ||
        auth_check_root(a->o.auth, who) == 0) {
        return 0;
    }
    size_t count = lessor_key_count(a->o.lessor, id);
    int err = 0;
    for (size_t i = 0; err == 0 && i < count; i++) {
        err = check(a->o.auth, who, lessor_key_at(a->o.lessor, id, i), SLICE_NULL);
    }
    return err;
}

int apply_permit_lease(struct apply *a, const struct auth_who *who, int64_t id)
{
    return permit_keys(a, who, id, auth_check_write);
}

int apply_permit_lease_read(struct apply *a, const struct auth_who *who, int64_t id)
{
    return permit_keys(a, who, id, auth_check_read);
}

/* Who puts a key under a lease could not revoke it otherwise. */
static int permit_put(struct apply *a, const struct auth_who *who, const struct wire_put_req *put)
{
    int err = auth_check_write(a->o.auth, who, put->key, SLICE_NULL);
    if (err == 0 && put->lease != 0) {
        err = apply_permit_lease(a, who, put->lease);
    }
    if (err == 0 && put->prev_kv) {
        err = auth_check_read(a->o.auth, who, put->key, SLICE_NULL);
    }
    return err;
}

static int permit_delete(struct apply *a, const struct auth_who *who,
                         const struct wire_delete_req *del)
{
    int err = auth_check_write(a->o.auth, who, del->key, del->range_end);
    if (err == 0 && del->prev_kv) {
        err = auth_check_read(a->o.auth, who, del->key, del->range_end);
    }
    return err;
}

/* Inside a txn the reading is asked for first. */
static int permit_op_delete(struct apply *a, const struct auth_who *who,
                            const struct wire_delete_req *del)
{
    int err = del->prev_kv ? auth_check_read(a->o.auth, who, del->key, del->range_end) : 0;
    return err != 0 ? err : auth_check_write(a->o.auth, who, del->key, del->range_end);
}

static int permit_ops(struct apply *a, const struct auth_who *who, const struct wire_op *ops,
                      size_t count)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < count; i++) {
        const struct wire_op *op = &ops[i];
        switch (op->kind) {
        case WIRE_OP_RANGE:
            err = auth_check_read(a->o.auth, who, op->range.key, op->range.range_end);
            break;
        case WIRE_OP_PUT: err = permit_put(a, who, &op->put); break;
        case WIRE_OP_DELETE: err = permit_op_delete(a, who, &op->del); break;
        case WIRE_OP_TXN: err = apply_permit_txn(a, who, op->txn); break;
        case WIRE_OP_NONE: break;
        }
    }
    return err;
}

int apply_permit_txn(struct apply *a, const struct auth_who *who, const struct wire_txn_req *txn)
{
    if (!auth_is_enabled(a->o.auth)) {
        return 0;
    }
    int err = 0;
    for (size_t i = 0; err == 0 && i < txn->compare_count; i++) {
        err = auth_check_read(a->o.auth, who, txn->compares[i].key, txn->compares[i].range_end);
    }
    if (err == 0) {
        err = permit_ops(a, who, txn->success, txn->success_count);
    }
    return err != 0 ? err : permit_ops(a, who, txn->failure, txn->failure_count);
}

static int64_t revoked_lease(const struct apply *a)
{
    struct wire_scan s;
    int64_t id = 0;
    for (wire_scan_init(&s, a->req.body); wire_scan_next(&s);) {
        if (s.type == WIRE_VARINT && s.field == 1) {
            id = (int64_t)s.number;
        }
    }
    return id;
}

/* The role root, for whoever changes users, roles or the switch. */
static bool needs_root(const struct apply *a)
{
    switch (a->req.which) {
    case WIRE_INTERNAL_AUTHENTICATE:
    case WIRE_INTERNAL_AUTH_USER_GET:
    case WIRE_INTERNAL_AUTH_ROLE_GET: return false;
    case WIRE_INTERNAL_AUTH_STATUS: return a->o.level < LEVEL_3_7;
    default: return apply_is_auth_request(a->req.which);
    }
}

int apply_permit_entry(struct apply *a)
{
    if (a->is_v2 || !auth_is_enabled(a->o.auth)) {
        return 0;
    }
    const struct auth_who who = apply_who(a);
    switch (a->req.which) {
    case WIRE_INTERNAL_RANGE: return 0; /* it has no effect and no answer */
    case WIRE_INTERNAL_PUT: return permit_put(a, &who, &a->put);
    case WIRE_INTERNAL_DELETE_RANGE: return permit_delete(a, &who, &a->del);
    case WIRE_INTERNAL_TXN: return apply_permit_txn(a, &who, &a->txn);
    case WIRE_INTERNAL_LEASE_REVOKE: return apply_permit_lease(a, &who, revoked_lease(a));
    default: return needs_root(a) ? auth_check_root(a->o.auth, &who) : 0;
    }
}
