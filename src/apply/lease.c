/* SPDX-License-Identifier: Apache-2.0
 *
 * apply/lease: grant, revoke and checkpoint of leases (peer-protocol 4.8).
 */
#include "apply/internal.h"

/* Numbers of a small message: field 1 and 2 as varints. */
static int two_numbers(struct slice body, int64_t *one, int64_t *two)
{
    struct wire_scan s;
    for (wire_scan_init(&s, body); wire_scan_next(&s);) {
        if (s.type == WIRE_VARINT && s.field == 1) {
            *one = (int64_t)s.number;
        } else if (s.type == WIRE_VARINT && s.field == 2) {
            *two = (int64_t)s.number;
        }
    }
    return s.err;
}

static int grant(struct apply *a, uint64_t now_ms, struct buf *body)
{
    int64_t ttl = 0, id = 0, granted = 0;
    int err = two_numbers(a->req.body, &ttl, &id);
    if (err == 0) {
        err = lessor_grant(a->o.lessor, id, ttl, now_ms, &granted);
    }
    if (err == 0 && body != NULL) {
        wire_append_u64(body, 2, (uint64_t)id);
        wire_append_u64(body, 3, (uint64_t)granted);
    }
    return err;
}

static int revoke(struct apply *a)
{
    int64_t id = 0, unused = 0;
    int err = two_numbers(a->req.body, &id, &unused);
    return err != 0 ? err : mvcc_apply_lease_revoke(a->o.store, id);
}

/* Persisted from cluster version 3.6 on; before, with the flag only. */
static int checkpoint(struct apply *a, uint64_t now_ms)
{
    bool is_persisted = a->o.has_persisted_checkpoints || a->cluster_version.minor >= LEVEL_3_6;
    struct wire_scan s;
    for (wire_scan_init(&s, a->req.body); wire_scan_next(&s);) {
        if (s.field != 1 || s.type != WIRE_LEN) {
            continue;
        }
        int64_t id = 0, remaining = 0;
        int err = two_numbers(s.bytes, &id, &remaining);
        if (err != 0) {
            return err;
        }
        lessor_checkpoint(a->o.lessor, id, remaining, is_persisted, now_ms);
    }
    return s.err;
}

int apply_lease_request(struct apply *a, uint64_t now_ms, struct buf *body)
{
    switch (a->req.which) {
    case WIRE_INTERNAL_LEASE_GRANT: return grant(a, now_ms, body);
    case WIRE_INTERNAL_LEASE_REVOKE: return revoke(a);
    default: return checkpoint(a, now_ms);
    }
}
