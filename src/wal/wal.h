/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/wal: etcd's write-ahead log: a directory of segments that each side can open.
 *
 * Problem     An acknowledged entry must survive a power cut; a torn tail must be told from damage;
 *             and every byte must be what etcd 3.5, 3.6 and 3.7 read and write.
 * Design      Records (frame, type, chained crc) of a whole batch are encoded into one buffer and
 *             leave in one write; the caller follows with one wal_sync.  Segments are preallocated;
 *             the next one (the spare) is made ahead on another thread.
 *
 *                 0..0-0..0.wal        0..1-0..46.wal       0.tmp
 *                 crc meta snap e e e  crc meta state e e.. (spare: preallocated, locked)
 *                                                   ^ offset
 *
 * Invariants  I1  offset is behind the last whole record and a multiple of 8.
 *             I2  what lies behind offset in the tail is zero.
 *             I3  every open segment is locked (OFD); the last of them is the tail.
 *             I4  after a failed write or sync nothing is written any more.
 * Ownership   wal_contents owns its entries (each holds a reference to a shared chunk).
 * Thread      A struct wal belongs to the log lane.  wal_spare_run, wal_read_range, wal_purge,
 *             wal_valid_snapshots: any thread.
 * Limits      LIMIT_WAL_SEGMENT_BYTES; a batch is bounded by its caller.
 * Failure     ERR_TRUNCATED torn tail (repairable), ERR_CHECKSUM, ERR_MALFORMED, ERR_GAP,
 *             ERR_MISMATCH, ERR_NOT_FOUND, ERR_LOCKED, or the disk's error; the text with file and
 *             offset is in the detail.  A failed write or sync fails the wal for ever: the same
 *             error comes back from every later call.
 * See         storage-formats 3; docs/formats/wal.md; test/unit/wal/.
 */
#ifndef WAL_WAL_H
#define WAL_WAL_H

#include "env/env.h"
#include "raft/types.h"
#include "wal/raftpb.h"

struct wal;

enum { WAL_DETAIL_MAX = 384 };

/* Text of the last failure: what, which file, which offset.  Empty when nothing is known. */
struct wal_detail {
    char text[WAL_DETAIL_MAX];
};

struct wal_options {
    struct env_disk *disk;
    const char *dir;        /* holds the segments directly; copied */
    uint64_t segment_bytes; /* 0 = LIMIT_WAL_SEGMENT_BYTES */
    enum raftpb_emission emission;
    bool no_sync;     /* --unsafe-no-fsync */
    bool zero_spares; /* write zeros into spares, not only fallocate (faster syncs later) */
    int64_t wall_ns;  /* for the name of a `.broken.` directory; 0 is fine */
    struct wal_detail *detail; /* filled on failure when there is no struct wal; may be NULL */
};

/* ---- life ---- */

/* True when the directory holds a name that ends in ".wal". */
bool wal_exists(struct env_disk *disk, const char *dir);

/* storage-formats 3.5: everything under <dir>.tmp first, then renamed.  ERR_EXISTS when there is a
 * WAL. The result is open for appending. */
MUST_USE int wal_create(const struct wal_options *opts, const struct wal_metadata *metadata,
                        struct wal **out);

struct wal_contents {
    struct wal_metadata metadata;
    struct raft_hard_state hard_state;
    struct raft_entry *entries; /* gapless from the start snapshot's index + 1 */
    size_t count;
    size_t cap;
    bool has_metadata;
    bool has_snapshot; /* a record of the start snapshot was seen */
};

void wal_contents_init(struct wal_contents *c);
void wal_contents_deinit(struct wal_contents *c);
/* Drops entries from position n on. */
void wal_contents_truncate(struct wal_contents *c, size_t n);

/* Segments from the one that holds `at` on; write also locks them (ERR_LOCKED). wal_read_all must
 * follow before anything is appended. */
MUST_USE int wal_open(const struct wal_options *opts, struct raft_entry_id at, bool write,
                      struct wal **out);
/* For writing: reads to the end, zeroes what lies behind it and is then ready to append. A torn
 * tail is ERR_TRUNCATED (see wal_repair).  Read-only: a torn tail is the end; a missing snapshot
 * record is ERR_NOT_FOUND, with *out filled all the same. */
MUST_USE int wal_read_all(struct wal *w, struct wal_contents *out);
/* Cuts the torn tail of the last segment (copy in <name>.broken). */
MUST_USE int wal_repair(const struct wal_options *opts);
/* wal_open for writing, wal_read_all, and one repair in between if the tail is torn. */
MUST_USE int wal_recover(const struct wal_options *opts, struct raft_entry_id at, struct wal **out,
                         struct wal_contents *contents);
/* Syncs, removes the spare, unlocks.  An error is the sync's; the wal is gone all the same. */
int wal_close(struct wal *w);

/* ---- append (log lane) ---- */

/* Entries in order, then hs unless NULL or all zero: one write.  Cuts when the segment is full. Not
 * durable before wal_sync returns 0. */
MUST_USE int wal_append(struct wal *w, const struct raft_entry *entries, size_t count,
                        const struct raft_hard_state *hs);
/* One fdatasync, if anything was written since the last one. */
MUST_USE int wal_sync(struct wal *w);
/* True when something is unsynced that must be durable before it is spoken about: entries, term or
 * vote.  A moved commit alone need not be (storage-formats 3.6). */
bool wal_needs_sync(const struct wal *w);
/* Written and synced at once.  The `.snap` and the backend come first (storage-formats 4.2). */
MUST_USE int wal_append_snapshot(struct wal *w, const struct raft_snapshot_meta *snap);
/* Records appended from now on (the level rose). */
void wal_emission_set(struct wal *w, enum raftpb_emission emission);

/* ---- the spare: next segment, made ahead ---- */

struct wal_spare_job {
    struct env_disk *disk;
    char *path;
    uint64_t bytes;
    bool zero;
    struct env_file *file;
    int err;
};

/* Log lane: false when a spare is there or under way, or the wal failed. */
bool wal_spare_begin(struct wal *w, struct wal_spare_job *job);
/* Any thread: creates, locks, empties, preallocates (and zeroes) the file. */
void wal_spare_run(struct wal_spare_job *job);
/* Log lane, always after begin: takes the file.  Returns the job's error; ERR_NO_SPACE means: the
 * segment in use is the last one, stop taking writes (design.md 8). The wal itself stays good. */
int wal_spare_end(struct wal *w, struct wal_spare_job *job);
/* True after a spare could not be made for want of space, until one could. */
bool wal_is_short_of_space(const struct wal *w);

/* ---- old segments ---- */

/* Unlocks segments that a snapshot at index makes unnecessary (log lane). */
void wal_release_to(struct wal *w, raft_index index);
/* Deletes unlocked segments, oldest first, while there are more than max (0 = never). */
MUST_USE int wal_purge(struct env_disk *disk, const char *dir, unsigned max);

/* ---- reading beside the log lane ---- */

/* Snapshot records with index <= the last hard state's commit, over all segments, in file order.
 * *out is freed by the caller with mem_free. */
MUST_USE int wal_valid_snapshots(const struct wal_options *opts, struct raft_snapshot_meta **out,
                                 size_t *out_count);

/* Where a read ended, so that the next one need not scan the segment again. Zero it first. */
struct wal_cursor {
    uint64_t seq;
    uint64_t offset;
    uint32_t chain;
    raft_index next_index; /* 0 = nothing known */
};

/* Entries [lo, hi), at least one, then until max_bytes of data; appended to *out. Only for indexes
 * that are durable and still current: records are taken until a hard state behind them commits them
 * (or the log ends), so that a replaced entry is never returned.  ERR_NOT_FOUND: lo is not in the
 * log (any more). cursor may be NULL. */
MUST_USE int wal_read_range(const struct wal_options *opts, raft_index lo, raft_index hi,
                            size_t max_bytes, struct wal_cursor *cursor, struct wal_contents *out);

/* ---- queries ---- */

/* Text of the failure, "" if none. */
const char *wal_error(const struct wal *w);
/* Offset behind the last record in the tail segment, and its sequence number. */
uint64_t wal_offset(const struct wal *w);
uint64_t wal_seq(const struct wal *w);
/* Segments held locked. */
size_t wal_segment_count(const struct wal *w);
/* Bytes written and fdatasyncs so far (metrics). */
uint64_t wal_bytes_written(const struct wal *w);
uint64_t wal_sync_count(const struct wal *w);
/* Walks the invariants; aborts when one is broken. */
void wal_check(const struct wal *w);

#endif
