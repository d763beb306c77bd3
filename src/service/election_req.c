/* SPDX-License-Identifier: Apache-2.0 */
#include "service/election_req.h"

#include "base/err.h"

int contest_req_decode(struct slice msg, struct contest_req *out)
{
    struct contest_req r = {.name = SLICE_LIT(""), .value = SLICE_LIT("")};
    struct wire_scan s;
    for (wire_scan_init(&s, msg); wire_scan_next(&s);) {
        if (s.field == 1 && s.type == WIRE_LEN) {
            r.name = s.bytes;
        } else if (s.field == 2 && s.type == WIRE_VARINT) {
            r.lease = (int64_t)s.number;
        } else if (s.field == 3 && s.type == WIRE_LEN) {
            r.value = s.bytes;
        }
    }
    if (s.err == 0) {
        *out = r;
    }
    return s.err;
}

/* One that comes twice is merged. */
static int leader_key_take(struct slice in, struct leader_req *r)
{
    struct wire_scan s;
    for (wire_scan_init(&s, in); wire_scan_next(&s);) {
        if (s.field == 2 && s.type == WIRE_LEN) {
            r->key = s.bytes;
        } else if (s.field == 3 && s.type == WIRE_VARINT) {
            r->rev = (int64_t)s.number;
        } else if (s.field == 4 && s.type == WIRE_VARINT) {
            r->lease = (int64_t)s.number;
        }
    }
    return s.err;
}

int leader_req_decode(struct slice msg, struct leader_req *out)
{
    struct leader_req r = {.key = SLICE_LIT(""), .value = SLICE_LIT("")};
    struct wire_scan s;
    int err = 0;
    for (wire_scan_init(&s, msg); err == 0 && wire_scan_next(&s);) {
        if (s.field == 1 && s.type == WIRE_LEN) {
            r.has_leader = true;
            err = leader_key_take(s.bytes, &r);
        } else if (s.field == 2 && s.type == WIRE_LEN) {
            r.value = s.bytes;
        }
    }
    err = err != 0 ? err : s.err;
    if (err == 0) {
        *out = r;
    }
    return err;
}
