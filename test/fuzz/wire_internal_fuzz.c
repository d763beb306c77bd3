/* SPDX-License-Identifier: Apache-2.0
 *
 * deps: wire_dep
 *
 * Payloads of log entries: what decodes encodes to the same meaning; nothing is both an
 * InternalRaftRequest and a v2 Request; KeyValue and the plain requests under the same bytes.
 */
#include <stdint.h>

#include "base/err.h"
#include "wire/kv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_internal(const struct wire_internal *r)
{
    struct buf b = BUF_INIT;
    struct wire_internal back;
    size_t size = wire_internal_size(r);
    wire_internal_encode(r, buf_extend(&b, size));
    ensure(wire_internal_decode(buf_slice(&b), &back) == 0);
    ensure(back.id == r->id && back.which == r->which && back.auth_revision == r->auth_revision);
    ensure(slice_equal(back.username, r->username) && slice_equal(back.body, r->body));
    buf_deinit(&b);
}

static void check_kv(struct slice in)
{
    struct wire_kv kv, back;
    struct buf b = BUF_INIT;
    if (wire_kv_decode(in, &kv) == 0) {
        size_t size = wire_kv_size(&kv);
        buf_reserve(&b, size + 1);
        wire_kv_encode(&kv, buf_extend(&b, size));
        ensure(wire_kv_decode(buf_slice(&b), &back) == 0);
        ensure(slice_equal(kv.key, back.key) && slice_equal(kv.value, back.value));
        ensure(kv.lease == back.lease && kv.mod_revision == back.mod_revision);
    }
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    struct wire_internal r;
    struct wire_v2_request v2;
    struct wire_range_req range;
    struct wire_put_req put;
    struct wire_delete_req del;
    bool is_v2 = wire_v2_request_decode(in, &v2);
    if (wire_internal_decode(in, &r) == 0) {
        check_internal(&r);
        ensure(!is_v2 || r.which == WIRE_INTERNAL_V2);
        int errs = (wire_range_req_decode(r.body, &range) != 0) +
                   (wire_put_req_decode(r.body, &put) != 0) +
                   (wire_delete_req_decode(r.body, &del) != 0);
        ensure(errs == 0 || errs == 3); /* without sub-messages, only the form counts */
    }
    check_kv(in);
    return 0;
}
