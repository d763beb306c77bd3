/* SPDX-License-Identifier: Apache-2.0
 *
 * deps: wire_dep, proto_dep
 *
 * The first byte chooses a message; what unpacks packs, and protobuf-c's own unpacker agrees on
 * those bytes.  Also the struct decoders of responses and watch.
 */
#include <stdint.h>

#include "base/err.h"
#include "wire/auth.pb-c.h"
#include "wire/cluster.pb-c.h"
#include "wire/internal.pb-c.h"
#include "wire/kv.pb-c.h"
#include "wire/lease.pb-c.h"
#include "wire/maintenance.pb-c.h"
#include "wire/pb.h"
#include "wire/response.h"
#include "wire/watch.h"
#include "wire/watch.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const types[] = {
    &etcdserverpb__internal_raft_request__descriptor,
    &etcdserverpb__watch_request__descriptor,
    &etcdserverpb__watch_response__descriptor,
    &etcdserverpb__member_add_response__descriptor,
    &etcdserverpb__status_response__descriptor,
    &etcdserverpb__auth_role_get_response__descriptor,
    &etcdserverpb__lease_time_to_live_response__descriptor,
    &etcdserverpb__txn_response__descriptor,
};

static void check_unpack(const ProtobufCMessageDescriptor *d, struct slice in, struct arena *a)
{
    struct buf x = BUF_INIT, y = BUF_INIT;
    ProtobufCMessage *m = arena_zalloc(a, d->sizeof_message);
    if (wire_pb_unpack(d, in, a, m) == 0) {
        wire_pb_append(&x, m);
        ProtobufCMessage *other = protobuf_c_message_unpack(d, NULL, x.len, x.data);
        ensure(other != NULL);
        wire_pb_append(&y, other);
        ensure(slice_equal(buf_slice(&x), buf_slice(&y)));
        protobuf_c_message_free_unpacked(other, NULL);
    }
    buf_deinit(&x);
    buf_deinit(&y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct wire_txn_resp txn;
    struct wire_range_resp range;
    struct wire_watch_resp watch;
    if (size == 0) {
        return 0;
    }
    struct slice in = slice_make(data + 1, size - 1);
    arena_init(&a, 0);
    check_unpack(types[data[0] % ARRAY_LEN(types)], in, &a);
    (void)!wire_txn_resp_decode(in, &a, &txn);
    (void)!wire_range_resp_decode(in, &a, &range);
    (void)!wire_watch_resp_decode(in, &a, &watch);
    arena_deinit(&a);
    return 0;
}
