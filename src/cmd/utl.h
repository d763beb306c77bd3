/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/utl: offline work on files: snapshot status and restore, defrag, hashkv.  cairnutl is made of
 * these, and cairnctl has the two of etcdctl 3.5.
 *
 * Design      Each is a function of its settings; text for people goes to reason, log lines through
 *             base/log.
 * Thread      any (blocking disk calls).
 * Failure     ERR_* and the text behind "Error: " in reason.
 * See         cli.md 3; storage-formats 5, 6.5, 7.4; test/unit/cmd/utl_*_test.c
 */
#ifndef CMD_UTL_H
#define CMD_UTL_H

#include "bolt/bolt.h"
#include "cmd/cli.h"
#include "cmd/print.h"
#include "env/env.h"
#include "schema/level.h"

extern const struct cli_flag utl_restore_flags[];

struct utl_restore_conf {
    struct env_disk *disk;
    const char *file;
    const char *name;
    const char *initial_cluster;
    const char *initial_cluster_token;
    const char *initial_advertise_peer_urls;
    const char *data_dir; /* "" = <name>.etcd */
    const char *wal_dir;  /* "" = <data_dir>/member/wal */
    uint64_t bump_revision;
    uint64_t map_size; /* shown in the log only */
    bool is_mark_compacted;
    bool is_skip_hash_check;
    int64_t wall_ns;
};

MUST_USE int utl_restore(const struct utl_restore_conf *conf, struct buf *reason);
/* The whole command: flags to settings; returns the exit status, text in reason. */
MUST_USE int utl_restore_cmd(struct cli_ctx *ctx, struct env *env, struct buf *reason);

struct utl_status {
    uint32_t hash;
    int64_t revision;
    int64_t total_key;  /* user keys alive at the end */
    int64_t total_pair; /* pairs of all buckets, what 3.5 calls keys */
    int64_t total_size;
    char version[SEMVER_TEXT_MAX]; /* "" = none */
};

MUST_USE int utl_status(struct env *env, const char *path, struct utl_status *out,
                        struct buf *reason);

/* rev 0: newest. */
MUST_USE int utl_hashkv(struct env *env, const char *path, int64_t rev, uint64_t lock_timeout_ms,
                        struct print_db_hashkv *out, struct buf *reason);

/* Rewrites member/snap/db of a stopped member without its free space. */
MUST_USE int utl_defrag(struct env *env, const char *data_dir, uint64_t lock_timeout_ms,
                        struct buf *reason);

/* Opens a database file for a tool: read-only or for writing, waits for the lock (timeout 0: for
 * ever); ERR_TIMED_OUT. */
MUST_USE int utl_db_open(struct env *env, const char *path, bool is_read_only,
                         uint64_t lock_timeout_ms, struct bolt_db **out, struct buf *reason);

#endif
