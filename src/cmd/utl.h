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

#include "cmd/cli.h"
#include "cmd/print.h"
#include "env/env.h"

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
    char version[32]; /* "" = none */
};

MUST_USE int utl_status(struct env_disk *disk, const char *path, struct utl_status *out,
                        struct buf *reason);

/* lock_timeout_ms 0: for ever. */
MUST_USE int utl_hashkv(struct env_disk *disk, const char *path, int64_t rev,
                        uint64_t lock_timeout_ms, struct print_db_hashkv *out, struct buf *reason);

#endif
