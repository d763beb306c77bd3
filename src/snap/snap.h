/* SPDX-License-Identifier: Apache-2.0
 *
 * snap/snap: the directory member/snap: `.snap` files, received databases, leftovers.
 *
 * Problem     A `.snap` file that 3.5/3.6 need at start must be whole or absent, and what a crash
 *             leaves in the directory must neither be trusted nor pile up.
 * Design      A file is written under a temporary name that every etcd deletes at start, synced,
 *             renamed, and the directory is synced. The data inside (v2 store JSON) is opaque here;
 *             member/v2store makes and reads it.
 * Ownership   struct snap_file owns its data. Thread any (start-up, work lane). Limits
 *             SNAP_FILE_BYTES_MAX.
 * Failure     ERR_NOT_FOUND no usable snapshot, ERR_CHECKSUM, ERR_MALFORMED, ERR_TRUNCATED (empty),
 *             or the disk's error. A broken file is renamed to *.broken and the next one is tried.
 * See         storage-formats 4; docs/formats/snap.md; test/unit/snap/snap_test.c.
 */
#ifndef SNAP_SNAP_H
#define SNAP_SNAP_H

#include "env/env.h"
#include "raft/types.h"
#include "wal/raftpb.h"

#define SNAP_FILE_BYTES_MAX (512u << 20)

struct snap_file {
    struct raft_snapshot_meta meta;
    struct buf data;
};

void snap_file_init(struct snap_file *s);
void snap_file_deinit(struct snap_file *s);

/* %016x-%016x.snap, term first. */
void snap_name(struct buf *out, raft_term term, raft_index index);
/* The bytes of a `.snap` file and back. */
void snap_encode(struct buf *out, struct slice data, const struct raft_snapshot_meta *meta,
                 enum raftpb_emission em);
MUST_USE int snap_decode(struct slice in, struct snap_file *out);

MUST_USE int snap_save(struct env_disk *disk, const char *dir, struct slice data,
                       const struct raft_snapshot_meta *meta, enum raftpb_emission em);
MUST_USE int snap_read(struct env_disk *disk, const char *path, struct snap_file *out);
/* The newest readable file whose (term, index) is among wal_snaps (all when wal_snaps is NULL). */
MUST_USE int snap_load_newest(struct env_disk *disk, const char *dir,
                              const struct raft_snapshot_meta *wal_snaps, size_t count,
                              struct snap_file *out);

/* ---- keeping the directory clean ---- */

/* Start-up: removes tmp* and db.tmp*. */
MUST_USE int snap_clean(struct env_disk *disk, const char *dir);
/* Removes received databases of an index below this one. */
MUST_USE int snap_release_dbs(struct env_disk *disk, const char *dir, raft_index index);
/* Deletes the oldest names with this ending ("snap" or "snap.db") beyond max (0 = never). */
MUST_USE int snap_purge(struct env_disk *disk, const char *dir, const char *suffix, unsigned max);

/* ---- a database from the leader (4.4) ---- */

/* <dir>/%016x.snap.db, freed by the caller. */
char *snap_db_path(const char *dir, raft_index index);
/* Puts the received database of index in place of <dir>/db and syncs the directory; ERR_NOT_FOUND
 * when there is none.  Nobody may have `db` open for writing. */
MUST_USE int snap_db_install(struct env_disk *disk, const char *dir, raft_index index);

struct snap_db_writer {
    struct env_disk *disk;
    struct env_file *file;
    char *dir;
    char *tmp_path;
    uint64_t size;
    int err;
};

/* random: makes the temporary name (tmp<random>). */
MUST_USE int snap_db_begin(struct snap_db_writer *w, struct env_disk *disk, const char *dir,
                           uint64_t random);
MUST_USE int snap_db_write(struct snap_db_writer *w, struct slice bytes);
/* Syncs and renames; a database of this index that is already there stays and the new one goes. The
 * writer is closed in any case. */
MUST_USE int snap_db_commit(struct snap_db_writer *w, raft_index index);
void snap_db_abort(struct snap_db_writer *w);

#endif
