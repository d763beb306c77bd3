/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/disk: a disk in memory that remembers what was not synced, and forgets it like a real one.
 *
 * Problem     "Survives a power cut after any disk operation, unsynced writes kept, lost or torn at
 *             512 bytes" can only be tested where every operation is seen and can be undone.
 * Design      A file has two contents: *durable* (what a power cut leaves for sure) and *current*
 *             (what reads see), and the list of changes between the two.  The same for directory
 *             entries, disk-wide, in order.  Contents are chunks of 4 KiB, counted and shared, so a
 *             64 MB preallocated segment costs nothing and a clone costs pointers.
 *
 *             change                    durable after
 *             write, truncate, size     sync or sync_data of the file
 *             create, mkdir, rename,    sync_dir of the directory (of either one for a rename);
 *             unlink, rmdir             fsync of a new file does NOT make its name durable
 *
 *             At sim_disk_crash every pending change gets a fate.  RANDOM: each write is kept,
 *             lost, or torn (any subset of its 512-byte sectors, aligned in the file); a sector
 *             always shows some state it really had.  Size changes of a file are kept as a prefix
 *             in their order (a size may be new where the data is old: zeros).  Directory changes:
 *             by a coin, either a prefix of all (journalled file systems) or each by itself, but a
 *             change never without an earlier one of the same name.
 *
 * Counting    Operations that change the disk have numbers, 1, 2, ...: create (open that makes or
 *             cuts a file), mkdir, rename, unlink, rmdir, write, truncate, preallocate, sync,
 *             sync_data, sync_dir.  Failed ones count too.  Reads, stat, list, lock, close do not.
 * Ownership   sim_disk_create/_clone .. sim_disk_destroy.  Open files of a crashed disk stay
 *             allocated (every call ERR_IO) until closed or the disk is destroyed.
 * Thread      one.
 * Failure     ERR_* as the real one; faults on command below.
 * See         test/crash/crash.h (the loop over all crash points), test/unit/sim/disk_test.c.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "env/env.h"

enum {
    SIM_SECTOR_BYTES = 512,
    SIM_CHUNK_BYTES = 4096,
};

enum sim_op_kind {
    SIM_OP_CREATE,
    SIM_OP_MKDIR,
    SIM_OP_RENAME,
    SIM_OP_UNLINK,
    SIM_OP_RMDIR,
    SIM_OP_WRITE,
    SIM_OP_TRUNCATE,
    SIM_OP_PREALLOCATE,
    SIM_OP_SYNC,      /* fsync */
    SIM_OP_SYNC_DATA, /* fdatasync */
    SIM_OP_SYNC_DIR,
    SIM_OP_CHANGES_COUNT, /* the kinds above have numbers */
    SIM_OP_OPEN = SIM_OP_CHANGES_COUNT,
    SIM_OP_READ,
    SIM_OP_STAT,
    SIM_OP_LIST,
    SIM_OP_LOCK,
    SIM_OP_KINDS_COUNT,
};

#define SIM_OP_BIT(kind) (1u << (kind))
#define SIM_OP_ANY_SYNC                                                                            \
    (SIM_OP_BIT(SIM_OP_SYNC) | SIM_OP_BIT(SIM_OP_SYNC_DATA) | SIM_OP_BIT(SIM_OP_SYNC_DIR))
#define SIM_OP_ANY_CHANGE (SIM_OP_BIT(SIM_OP_CHANGES_COUNT) - 1u)

enum sim_crash_policy {
    SIM_CRASH_KEEP_ALL, /* as if everything had been synced (a killed process) */
    SIM_CRASH_LOSE_ALL, /* only what was synced */
    SIM_CRASH_RANDOM,   /* each change by the seed: kept, lost, torn */
    SIM_CRASH_TEAR, /* as RANDOM, but every write of more than one sector is torn if it can be */
    SIM_CRASH_POLICIES_COUNT,
};

struct sim_disk;

struct sim_disk *sim_disk_create(void);
void sim_disk_destroy(struct sim_disk *d);
struct env_disk *sim_disk_env(struct sim_disk *d);

/* The same disk as it is now, durable and pending state and operation counter included, without
 * open files, locks, faults, hook and log. */
struct sim_disk *sim_disk_clone(const struct sim_disk *d);

/* ---- power ---- */

/* Power cut and restart: decides every pending change, kills open files, releases locks, ends a
 * power cut set below.  After it nothing is pending. */
void sim_disk_crash(struct sim_disk *d, enum sim_crash_policy policy, uint64_t seed);
/* Operations with a number above op_no (and all reads after the first of them) fail with ERR_IO and
 * do nothing, until sim_disk_crash.  UINT64_MAX: never. */
void sim_disk_power_cut_after(struct sim_disk *d, uint64_t op_no);
/* True when an operation was refused by the power cut. */
bool sim_disk_is_cut(const struct sim_disk *d);
/* Makes everything durable, with no operation counted and files left open (a fixture's start). */
void sim_disk_settle(struct sim_disk *d);
/* Number of the last operation. */
uint64_t sim_disk_op_count(const struct sim_disk *d);
/* Changes that a crash may lose. */
size_t sim_disk_pending_count(const struct sim_disk *d);

/* Called before each numbered operation (op_no is the one about to run; all before it are done).
 * The hook may clone this disk but not use it otherwise. */
void sim_disk_hook_set(struct sim_disk *d, void (*hook)(void *arg, uint64_t op_no), void *arg);

/* ---- faults ---- */

/* Operation number op_no fails with err (ERR_NO_SPACE, ERR_IO); several may be set. */
void sim_disk_fail_op(struct sim_disk *d, uint64_t op_no, int err);
/* From now on, the nth (1 = the next) and if is_sticky all later calls of these kinds (SIM_OP_BIT)
 * on paths that match the fnmatch pattern ("*" matches slashes; NULL: every path) fail with err. */
void sim_disk_fail_match(struct sim_disk *d, unsigned kinds, const char *pattern, uint64_t nth,
                         bool is_sticky, int err);
void sim_disk_faults_clear(struct sim_disk *d);
/* A failed sync loses its promise for good: what was pending may be kept or lost at the crash
 * whatever later syncs say (as Linux drops dirty pages it could not write). */

/* Sum of file sizes above this: ERR_NO_SPACE.  UINT64_MAX: none. */
void sim_disk_capacity_set(struct sim_disk *d, uint64_t bytes);
uint64_t sim_disk_used_bytes(const struct sim_disk *d);
/* Turns one bit of a file, durable and current; ERR_NOT_FOUND, ERR_INVALID beyond the end. */
MUST_USE int sim_disk_flip_bit(struct sim_disk *d, const char *path, uint64_t bit);

/* Mutants: syncs (of all kinds) of paths that match the pattern say yes and do nothing. */
void sim_disk_ignore_sync(struct sim_disk *d, const char *pattern);
/* Mutant: rename of matching target paths loses its atomicity: it is a removal of the target and a
 * new name, with separate fates. */
void sim_disk_split_rename(struct sim_disk *d, const char *pattern);

/* ---- looking ---- */

/* Log of operations: "op 37: write member/wal/0-0.wal off 4096 len 512"; appended to out. Kept from
 * sim_disk_log_enable on. */
void sim_disk_log_enable(struct sim_disk *d);
void sim_disk_op_text(const struct sim_disk *d, uint64_t op_no, struct buf *out);
/* All operations in [first, last], a line each. */
void sim_disk_log_text(const struct sim_disk *d, uint64_t first, uint64_t last, struct buf *out);
/* Copies files and directories below from of the real or another simulated disk (all durable). */
MUST_USE int sim_disk_import(struct sim_disk *d, const char *to, struct env_disk *src,
                             const char *from);
/* The other way: what reads see, written to dst (to look at it with real tools). */
MUST_USE int sim_disk_export(struct sim_disk *d, const char *from, struct env_disk *dst,
                             const char *to);

#endif
