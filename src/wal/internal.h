/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/internal: struct wal itself, shared by the files of this folder only.
 */
#ifndef WAL_INTERNAL_H
#define WAL_INTERNAL_H

#include "base/limits.h"
#include "wal/decoder.h"
#include "wal/wal.h"

enum wal_mode {
    WAL_MODE_READ,   /* opened read-only */
    WAL_MODE_REPLAY, /* opened for writing, not yet read to its end */
    WAL_MODE_APPEND,
};

struct wal {
    struct env_disk *disk;
    char *dir;
    uint64_t segment_bytes;
    enum raftpb_emission emission;
    enum wal_mode mode;
    bool no_sync;
    bool zero_spares;
    int failed; /* first error of a write or sync; nothing is written after it */

    struct wal_source *segments; /* ascending; the last is the tail */
    size_t segment_count;
    size_t segment_cap;
    struct raft_entry_id start; /* where it was opened */

    struct buf metadata; /* the record's bytes, repeated at every cut */
    struct raft_hard_state hard_state;
    raft_index last_index;
    uint64_t offset;     /* behind the last record of the tail */
    bool tail_is_zeroed; /* all its blocks were written once */
    uint32_t chain;
    struct buf out; /* records of one batch, kept warm */
    bool is_dirty;
    bool needs_sync;

    struct env_file *spare;
    char *spare_path;
    unsigned spare_number; /* of files made so far: names alternate */
    bool spare_is_under_way;
    bool is_short_of_space;

    uint64_t bytes_written;
    uint64_t sync_count;
    struct wal_detail detail;
};

struct wal *wal_new(const struct wal_options *opts, enum wal_mode mode);
/* Closes the files without another word to the disk. */
void wal_free(struct wal *w);
/* Writes w->out at offset into f. */
MUST_USE int wal_write_out(struct wal *w, struct env_file *f, uint64_t off);
MUST_USE int wal_fail(struct wal *w, int err, const char *what);
void wal_segment_push(struct wal *w, struct wal_source s);
void wal_put_snapshot(struct wal *w, const struct raft_snapshot_meta *snap);
MUST_USE int wal_cut(struct wal *w);
void wal_spare_drop(struct wal *w);

static inline struct wal_source *wal_tail(const struct wal *w)
{
    ensure(w->segment_count > 0);
    return &w->segments[w->segment_count - 1];
}

#endif
