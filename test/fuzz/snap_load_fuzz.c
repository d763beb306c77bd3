/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of a `.snap` file, and the raftpb.Snapshot inside without its checksum.  Deps:
 * snap_dep.
 */
#include "base/err.h"
#include "snap/snap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snap_file s;
    struct raftpb_snapshot inner;
    snap_file_init(&s);
    if (snap_decode(slice_make(data, size), &s) == 0) {
        struct buf b = BUF_INIT;
        snap_encode(&b, buf_slice(&s.data), &s.meta, RAFTPB_ZEROS);
        struct raft_snapshot_meta meta = s.meta;
        ensure(snap_decode(buf_slice(&b), &s) == 0);
        ensure(memcmp(&meta, &s.meta, sizeof(meta)) == 0);
        buf_deinit(&b);
    }
    if (raftpb_snapshot_decode(slice_make(data, size), &inner) == 0) {
        struct buf b = BUF_INIT;
        raftpb_snapshot_encode(&b, inner.data, &inner.meta, RAFTPB_SPARSE);
        struct raftpb_snapshot again;
        ensure(raftpb_snapshot_decode(buf_slice(&b), &again) == 0);
        ensure(slice_equal(again.data, inner.data));
        buf_deinit(&b);
    }
    snap_file_deinit(&s);
    return 0;
}
