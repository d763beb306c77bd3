/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/pb: the generated structs (api/<name>.proto -> wire/<name>.pb-c.h) packed into a buf and
 * unpacked into an arena.
 *
 * Problem     protobuf-c's own unpacker allocates every field, refuses groups and a field of
 * another wire type, checks no UTF-8 and has no bound; etcd's (Go) decoder differs in all four.
 * Design      wire/scan under protobuf-c's descriptors: unknown fields and groups are dropped, the
 *             last of a scalar wins, sub-messages that come twice merge, oneof members replace each
 *             other, packed and unpacked are both taken.
 * Ownership   The unpacked message copies all it needs into the arena; the input may go.  Never
 *             call protobuf-c's free_unpacked on it.
 * Thread      any.
 * Failure     ERR_MALFORMED / ERR_TRUNCATED (also a string that is not UTF-8, or that has a NUL in
 *             it: a C string could not show it), ERR_LIMIT (depth WIRE_TXN_DEPTH_MAX, memory
 *             WIRE_PB_ARENA_MAX), ERR_NOMEM.
 * See         client-api part 1; test/unit/wire/pb_test.c.  Users link proto_dep.
 */
#ifndef WIRE_PB_H
#define WIRE_PB_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"

enum { WIRE_PB_ARENA_MAX = 64 << 20 };

/* out is the caller's struct of that descriptor:
 *     Etcdserverpb__AlarmRequest req;
 *     err = wire_pb_unpack(&etcdserverpb__alarm_request__descriptor, in, a, &req.base); */
MUST_USE int wire_pb_unpack(const ProtobufCMessageDescriptor *desc, struct slice in,
                            struct arena *a, ProtobufCMessage *out);

size_t wire_pb_size(const ProtobufCMessage *m);
void wire_pb_append(struct buf *out, const ProtobufCMessage *m);

static inline ProtobufCBinaryData wire_pb_bytes(struct slice s)
{
    return (ProtobufCBinaryData){.len = s.len, .data = (uint8_t *)(uintptr_t)s.data};
}

static inline struct slice wire_pb_slice(ProtobufCBinaryData b)
{
    return slice_make(b.data, b.len);
}

#endif
