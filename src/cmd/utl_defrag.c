/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/utl_defrag: rewrites the database file of a stopped member without its free space.
 *
 * Design      The new file is written beside the old one, synced and renamed over it; the old one
 *             stays in use, and the temporary file goes, when anything fails.
 * See         storage-formats 7.4; cli.md 3.4
 */
#include <inttypes.h>

#include "base/gotext.h"
#include "base/log.h"
#include "cmd/utl.h"
#include "os/os.h"

enum { PAIRS_PER_COMMIT = 10000 };

static void log_sizes(const char *path, const struct bolt_numbers *n)
{
    struct buf size = BUF_INIT;
    struct buf in_use = BUF_INIT;
    gotext_size(&size, n->size_bytes);
    gotext_size(&in_use, n->in_use_bytes);
    log_info("defragmenting", LOG_STR("path", path),
             LOG_I64("current-db-size-bytes", n->size_bytes),
             LOG_STR("current-db-size", buf_cstr(&size)),
             LOG_I64("current-db-size-in-use-bytes", n->in_use_bytes),
             LOG_STR("current-db-size-in-use", buf_cstr(&in_use)));
    buf_deinit(&size);
    buf_deinit(&in_use);
}

static void log_finished(const char *path, const struct bolt_numbers *before,
                         const struct bolt_numbers *after, uint64_t took_ns)
{
    struct buf size = BUF_INIT;
    struct buf in_use = BUF_INIT;
    gotext_size(&size, after->size_bytes);
    gotext_size(&in_use, after->in_use_bytes);
    log_info("finished defragmenting directory", LOG_STR("path", path),
             LOG_I64("current-db-size-bytes-diff",
                     (int64_t)after->size_bytes - (int64_t)before->size_bytes),
             LOG_I64("current-db-size-bytes", after->size_bytes),
             LOG_STR("current-db-size", buf_cstr(&size)),
             LOG_I64("current-db-size-in-use-bytes-diff",
                     (int64_t)after->in_use_bytes - (int64_t)before->in_use_bytes),
             LOG_I64("current-db-size-in-use-bytes", after->in_use_bytes),
             LOG_STR("current-db-size-in-use", buf_cstr(&in_use)), LOG_NS("took", took_ns));
    buf_deinit(&size);
    buf_deinit(&in_use);
}

static int copy_into(struct env *env, struct bolt_db *db, const char *tmp,
                     struct bolt_numbers *after)
{
    struct bolt_db *to;
    struct bolt_tx *tx;
    struct bolt_options opts = {
        .disk = env->disk, .path = tmp, .create = true, .page_size = bolt_db_page_size(db)};
    int err = bolt_db_open(&opts, &to);
    if (err != 0) {
        return err;
    }
    err = bolt_tx_begin(db, false, &tx);
    if (err == 0) {
        err = bolt_compact_to(tx, to, PAIRS_PER_COMMIT);
        bolt_tx_rollback(tx);
    }
    bolt_db_numbers(to, after);
    bolt_db_close(to);
    return err;
}

static char *tmp_name(struct env *env, const char *path)
{
    uint32_t random;
    struct buf name = BUF_INIT;
    env->rand->ops->fill(env->rand, &random, sizeof(random));
    buf_printf(&name, "%s.tmp.%" PRIu32, path, random);
    char *text = mem_strdup(buf_cstr(&name));
    buf_deinit(&name);
    return text;
}

/* tmp becomes path, durably. */
static int put_in_place(struct env_disk *disk, const char *tmp, const char *path)
{
    int err = disk->ops->rename(disk, tmp, path);
    if (err == 0) {
        char *dir = env_path_dir(path);
        err = disk->ops->sync_dir(disk, dir);
        mem_free(dir);
    }
    return err;
}

static int defrag_db(struct env *env, struct bolt_db *db, const char *path, struct buf *reason)
{
    struct bolt_numbers before;
    struct bolt_numbers after;
    char *tmp = tmp_name(env, path);
    uint64_t start = env->clock->ops->mono_ns(env->clock);
    bolt_db_numbers(db, &before);
    log_sizes(path, &before);
    int err = copy_into(env, db, tmp, &after);
    err = err != 0 ? err : put_in_place(env->disk, tmp, path);
    if (err != 0) {
        char text[BOLT_ERROR_TEXT_BYTES];
        bolt_db_error(db, text, sizeof(text));
        buf_append_cstr(reason, text[0] != '\0' ? text : err_text(err));
        (void)env->disk->ops->unlink(env->disk, tmp);
    } else {
        log_finished(path, &before, &after, env->clock->ops->mono_ns(env->clock) - start);
    }
    mem_free(tmp);
    return err;
}

int utl_defrag(struct env *env, const char *data_dir, uint64_t lock_timeout_ms, struct buf *reason)
{
    char *path = env_path_join(data_dir, "member/snap/db");
    struct bolt_db *db;
    int err = utl_db_open(env, path, false, lock_timeout_ms, &db, reason);
    if (err == 0) {
        err = defrag_db(env, db, path, reason);
        bolt_db_close(db);
    }
    mem_free(path);
    return err;
}
