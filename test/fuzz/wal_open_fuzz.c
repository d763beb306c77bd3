/* SPDX-License-Identifier: Apache-2.0
 *
 * A segment: read, repaired, appended to, read again.  An input that starts with 0xff is a list of
 * (type, length, data) that gets frames and a right chain here, so that the fuzzer passes the
 * checksums; anything else is the segment's bytes.  Deps: wal_dep.
 */
#include "memfs.c" /* the targets share one build rule without this file */
#include "wal/record.h"
#include "wal/wal.h"

#define DIR "/w"
#define SEGMENT DIR "/0000000000000000-0000000000000000.wal"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_beside(const struct wal_options *opts)
{
    struct raft_snapshot_meta *snaps;
    size_t count;
    struct wal_cursor cursor = {.seq = 0};
    struct wal_contents c;
    if (wal_valid_snapshots(opts, &snaps, &count) == 0) {
        mem_free(snaps);
    }
    wal_contents_init(&c);
    if (wal_read_range(opts, 1, 100, 4096, &cursor, &c) == 0) {
        ensure(c.count > 0 && c.entries[0].index == 1);
    }
    wal_contents_deinit(&c);
}

static void build(struct buf *out, const uint8_t *data, size_t size)
{
    uint32_t chain = 0;
    const struct wal_metadata m = {1, 2};
    struct buf meta = BUF_INIT;
    raftpb_metadata_encode(&meta, &m);
    wal_record_put_crc(out, 0);
    wal_record_put(out, WAL_RECORD_METADATA, buf_slice(&meta), SLICE_NULL, &chain);
    buf_deinit(&meta);
    while (size >= 2) {
        size_t n = data[1] < size - 2 ? data[1] : size - 2;
        enum wal_record_type type = (enum wal_record_type)(1 + data[0] % 6);
        if (type == WAL_RECORD_CRC) {
            wal_record_put_crc(out, chain);
        } else {
            wal_record_put(out, type, slice_make(data + 2, n), SLICE_NULL, &chain);
        }
        data += 2 + n;
        size -= 2 + n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memfs *fs = memfs_create();
    struct wal_detail detail;
    const struct wal_options opts = {
        .disk = &fs->disk, .dir = DIR, .segment_bytes = 4096, .detail = &detail};
    struct wal *w;
    struct wal_contents c;
    memfs_mkdir(fs, DIR);
    if (size > 0 && data[0] == 0xff) {
        struct buf built = BUF_INIT;
        build(&built, data + 1, size - 1);
        memfs_put(fs, SEGMENT, buf_slice(&built));
        buf_deinit(&built);
    } else {
        memfs_put(fs, SEGMENT, slice_make(data, size));
    }
    read_beside(&opts);
    if (wal_recover(&opts, (struct raft_entry_id){0, 0}, &w, &c) == 0) {
        size_t count = c.count;
        const struct raft_entry e = {.term = 9, .index = count + 1, .data = SLICE_LIT("x")};
        ensure(wal_append(w, &e, 1, NULL) == 0);
        ensure(wal_close(w) == 0);
        wal_contents_deinit(&c);
        ensure(wal_recover(&opts, (struct raft_entry_id){0, 0}, &w, &c) == 0);
        ensure(c.count == count + 1);
        wal_contents_deinit(&c);
        ensure(wal_close(w) == 0);
    }
    memfs_destroy(fs);
    return 0;
}
