/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/disk_impl: the parts of the simulated disk that its files share; private to sim/disk*.c.
 *
 * Inodes are named by number everywhere (entries, changes, open files), so that a clone is a copy
 * without pointers to mend.  An inode lives while something refers to it: current entries, durable
 * entries, pending directory changes (refs), open files (opens).
 */
#ifndef SIM_DISK_IMPL_H
#define SIM_DISK_IMPL_H

#include "base/list.h"
#include "base/prng.h"
#include "base/rcbuf.h"
#include "sim/blob.h"
#include "sim/disk.h"

typedef uint32_t inode_id;

enum { INODE_ROOT = 1, SIM_FAULTS_MAX = 32, SIM_PATTERNS_MAX = 16, SIM_PATH_DEPTH_MAX = 64 };

enum change_kind {
    CHANGE_WRITE,
    CHANGE_SIZE,
};

/* What happened to a file since its last sync. */
struct change {
    enum change_kind kind;
    uint64_t off; /* WRITE: place; SIZE: the new size */
    struct rcbuf *bytes;
};

struct entry {
    char *name;
    inode_id inode;
};

struct entries { /* sorted by name */
    struct entry *at;
    size_t len;
    size_t cap;
};

struct inode {
    bool is_dir;
    uint32_t mode;
    uint32_t refs;
    uint32_t opens;
    inode_id parent; /* where its current (or last) name is */
    char *name;
    /* file */
    struct blob cur;
    struct blob dur;
    struct change *changes;
    size_t change_count;
    size_t change_cap;
    /* directory */
    struct entries cur_names;
    struct entries dur_names;
    /* locks: the holding open file */
    const void *ofd_holder;
    const void *flock_holder;
    uint32_t flock_shared;
};

enum dir_change_kind {
    DIR_LINK,   /* dir/name -> inode */
    DIR_UNLINK, /* dir/name */
    DIR_RENAME, /* dir/name -> dir2/name2, which points to inode then */
};

struct dir_change {
    enum dir_change_kind kind;
    bool is_free; /* split rename: no dependency on earlier changes of the name */
    inode_id dir;
    inode_id dir2;
    inode_id inode;
    char *name;
    char *name2;
};

struct fault {
    bool is_match;
    uint64_t op_no; /* !is_match */
    unsigned kinds;
    char *pattern;
    uint64_t countdown; /* matching calls before it starts */
    bool is_sticky;
    bool is_spent;
    int err;
};

struct sim_file {
    struct env_file base;
    struct list_node node;
    struct sim_disk *disk;
    inode_id inode;
    unsigned flags;
    bool is_dead; /* opened before the crash */
    bool has_ofd, has_flock_ex, has_flock_sh;
};

struct sim_disk {
    struct env_disk base;
    struct inode **inodes; /* by id; NULL = gone */
    size_t inode_count;
    struct dir_change *dir_changes;
    size_t dir_change_count;
    size_t dir_change_cap;
    struct list files;
    struct prng prng; /* fates at failed syncs */
    uint64_t op_count;
    uint64_t cut_after;
    bool is_cut;
    uint64_t capacity;
    uint64_t used;
    const char *text;
    void (*hook)(void *arg, uint64_t op_no);
    void *hook_arg;
    struct fault faults[SIM_FAULTS_MAX];
    size_t fault_count;
    char *ignore_sync[SIM_PATTERNS_MAX];
    size_t ignore_sync_count;
    char *split_rename[SIM_PATTERNS_MAX];
    size_t split_rename_count;
    bool is_logging;
    uint64_t log_first; /* number of log[0] */
    char **log;
    size_t log_len;
    size_t log_cap;
};

/* ---- disk.c ---- */
struct inode *sim_inode(const struct sim_disk *d, inode_id id);
inode_id sim_inode_new(struct sim_disk *d, bool is_dir, uint32_t mode);
void sim_inode_ref(struct sim_disk *d, inode_id id);
void sim_inode_unref(struct sim_disk *d, inode_id id);
/* Frees it when neither refs nor opens are left. */
void sim_inode_maybe_free(struct sim_disk *d, inode_id id);
struct sim_disk *sim_disk_of_env(struct env_disk *d);
int sim_fail(struct sim_disk *d, int err, const char *text);

/* ---- disk_names.c: entries, paths, pending directory changes ---- */
struct entry *sim_entries_find(const struct entries *e, const char *name);
void sim_entries_set(struct sim_disk *d, struct entries *e, const char *name, inode_id id);
void sim_entries_remove(struct sim_disk *d, struct entries *e, const char *name);
void sim_entries_copy(struct entries *out, const struct entries *in);
void sim_entries_free(struct entries *e);
/* The inode at path, or 0. */
inode_id sim_path_find(struct sim_disk *d, const char *path);
/* The directory that holds the last part of path, or 0 with *out_err; *out_name freed by the
 * caller. */
inode_id sim_path_parent(struct sim_disk *d, const char *path, char **out_name, int *out_err);
/* Its current (or last) path, appended. */
void sim_inode_path(const struct sim_disk *d, inode_id id, struct buf *out);
void sim_dir_change_add(struct sim_disk *d, struct dir_change c);
void sim_dir_changes_sync(struct sim_disk *d, inode_id dir);
void sim_dir_changes_crash(struct sim_disk *d, enum sim_crash_policy policy, struct prng *prng);
void sim_dir_change_copy(struct dir_change *out, const struct dir_change *in);
void sim_dir_changes_free(struct sim_disk *d);

/* ---- disk_file.c: contents and pending changes of a file ---- */
extern const struct env_file_ops sim_file_ops;
int sim_file_resize(struct sim_disk *d, struct inode *n, uint64_t size);
void sim_file_settle(struct inode *n);
/* The sync failed: each pending change is on the disk or not, and nobody will write it again. */
void sim_file_sync_failed(struct sim_disk *d, struct inode *n);
void sim_file_crash(struct sim_disk *d, struct inode *n, enum sim_crash_policy policy,
                    struct prng *prng);
void sim_file_changes_free(struct inode *n);

/* ---- disk_fault.c: numbers, faults, log ---- */
/* Before a numbered operation: hook, number, log line, power, faults.  path may be NULL: the
 * inode's.  path2 for rename. */
int sim_op_begin(struct sim_disk *d, enum sim_op_kind kind, inode_id inode, const char *path,
                 const char *path2, uint64_t off, uint64_t len);
/* Before a call without a number: power and faults. */
int sim_call_begin(struct sim_disk *d, enum sim_op_kind kind, inode_id inode, const char *path);
bool sim_path_matches(char *const *patterns, size_t count, const char *path);
bool sim_sync_is_ignored(struct sim_disk *d, inode_id inode);
void sim_faults_free(struct sim_disk *d);

#endif
