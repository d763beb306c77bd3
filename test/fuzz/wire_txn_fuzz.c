/* SPDX-License-Identifier: Apache-2.0
 *
 * deps: wire_dep, proto_dep
 *
 * TxnRequest: the scanning decoder and the one by descriptor agree on what is well formed and on
 * what it means; encoding is a fixed point.
 */
#include <stdint.h>

#include "base/err.h"
#include "wire/kv.h"
#include "wire/kv.pb-c.h"
#include "wire/pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct wire_txn_req *r, const Etcdserverpb__TxnRequest *m)
{
    struct buf x = BUF_INIT, y = BUF_INIT;
    wire_txn_req_encode(&x, r);
    wire_pb_append(&y, &m->base);
    ensure(slice_equal(buf_slice(&x), buf_slice(&y)));
    buf_deinit(&x);
    buf_deinit(&y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    struct arena a;
    struct wire_txn_req r;
    Etcdserverpb__TxnRequest m;
    arena_init(&a, 0);
    int err = wire_txn_req_decode(in, &a, &r);
    int pb_err = wire_pb_unpack(&etcdserverpb__txn_request__descriptor, in, &a, &m.base);
    if (err != ERR_LIMIT && pb_err != ERR_LIMIT) { /* they count depth and memory differently */
        ensure((err == 0) == (pb_err == 0));
        if (err == 0) {
            check_same(&r, &m);
        }
    }
    arena_deinit(&a);
    return 0;
}
