/* SPDX-License-Identifier: Apache-2.0
 *
 * test/lib/memfs: an env_disk in memory for the tests of wal and snap: files can be looked at and
 * damaged, calls can be made to fail, space can end, locks conflict between open files as OFD locks
 * do.  What is written is there at once; power cuts are memdisk's business.
 */
#ifndef TEST_MEMFS_H
#define TEST_MEMFS_H

#include "env/env.h"

enum memfs_op {
    MEMFS_NONE,
    MEMFS_OPEN,
    MEMFS_READ,
    MEMFS_WRITE,
    MEMFS_SYNC_DATA,
    MEMFS_SYNC,
    MEMFS_TRUNCATE,
    MEMFS_PREALLOCATE,
    MEMFS_RENAME,
    MEMFS_UNLINK,
    MEMFS_SYNC_DIR,
    MEMFS_OPS,
};

struct memfs_node {
    char *path;
    bool is_dir;
    bool is_gone; /* unlinked, still open */
    unsigned open_count;
    uint32_t mode;
    void *lock_holder;
    struct buf bytes;
};

struct memfs {
    struct env_disk disk; /* first */
    struct memfs_node **nodes;
    size_t count;
    uint64_t space; /* bytes that may still be added by preallocate and write; default plenty */
    enum memfs_op fail_op;
    unsigned fail_after; /* that many calls of fail_op succeed first */
    int fail_err;
    unsigned calls[MEMFS_OPS];
};

struct memfs *memfs_create(void);
void memfs_destroy(struct memfs *fs);
/* NULL when there is none. */
struct memfs_node *memfs_find(struct memfs *fs, const char *path);
/* Creates or replaces. */
void memfs_put(struct memfs *fs, const char *path, struct slice bytes);
void memfs_mkdir(struct memfs *fs, const char *path);
/* The (after + 1)th call of op from now on fails once with err. */
void memfs_fail(struct memfs *fs, enum memfs_op op, unsigned after, int err);
/* All files and directories, for a second world. */
struct memfs *memfs_clone(const struct memfs *fs);

#endif
