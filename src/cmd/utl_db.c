/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/utl_db: opening a database file, and what reads one: snapshot status and hashkv.
 */
#include <inttypes.h>

#include "base/log.h"
#include "cmd/utl.h"
#include "mvcc/hash.h"
#include "os/os.h"
#include "schema/schema.h"

enum { LOCK_POLL_MS = 50, PROBLEMS_MAX = 1000 };

/* ---- opening
 * ------------------------------------------------------------------------------------- */

struct lock_wait {
    struct env *env;
    uint64_t start_ms;
    uint64_t timeout_ms;
};

static int on_lock_wait(void *arg, unsigned attempt)
{
    struct lock_wait *w = arg;
    (void)attempt;
    if (w->timeout_ms != 0 && env_mono_ms(w->env) - w->start_ms >= w->timeout_ms) {
        return ERR_TIMED_OUT;
    }
    os_loop_run_for(w->env, LOCK_POLL_MS);
    return 0;
}

/* bbolt's words where it has some. */
static const char *open_text(int err)
{
    switch (err) {
    case ERR_TIMED_OUT:
    case ERR_LOCKED: return "timeout";
    case ERR_VERSION: return "version mismatch";
    case ERR_CHECKSUM: return "checksum error";
    case ERR_CORRUPT:
    case ERR_TRUNCATED:
    case ERR_MALFORMED: return "invalid database";
    default: return NULL;
    }
}

int utl_db_open(struct env *env, const char *path, bool is_read_only, uint64_t lock_timeout_ms,
                struct bolt_db **out, struct buf *reason)
{
    char detail[BOLT_ERROR_TEXT_BYTES] = "";
    struct env_stat st;
    struct lock_wait wait = {env, env_mono_ms(env), lock_timeout_ms};
    struct bolt_options opts = {.disk = env->disk,
                                .path = path,
                                .read_only = is_read_only,
                                .on_lock_wait = on_lock_wait,
                                .on_lock_wait_arg = &wait,
                                .error_text = detail,
                                .error_text_size = sizeof(detail)};
    if (env->disk->ops->stat(env->disk, path, &st) != 0) {
        buf_printf(reason, "stat %s: %s", path, os_last_text_go());
        return ERR_NOT_FOUND;
    }
    int err = bolt_db_open(&opts, out);
    if (err == 0) {
        return 0;
    }
    const char *text = open_text(err);
    if (text == NULL) {
        buf_printf(reason, "open %s: %s", path, os_last_text_go());
    } else {
        buf_append_cstr(reason, text);
    }
    if (detail[0] != '\0') {
        log_warn("cannot open the database file", LOG_STR("path", path), LOG_STR("error", detail));
    }
    return err;
}

/* ---- status
 * -------------------------------------------------------------------------------------- */

struct problems {
    struct buf text;
    size_t count;
};

static void on_problem(void *arg, const char *text)
{
    struct problems *p = arg;
    if (p->count++ < PROBLEMS_MAX) {
        buf_printf(&p->text, "\n%s", text);
    }
}

static int check(struct bolt_tx *tx, struct buf *reason)
{
    struct problems p = {.text = BUF_INIT};
    int err = bolt_check(tx, on_problem, &p);
    if (p.count > 0) {
        buf_printf(reason, "snapshot file integrity check failed. %zu errors found.", p.count);
        buf_append_slice(reason, buf_slice(&p.text));
        err = ERR_CORRUPT;
    } else if (err != 0) {
        buf_append_cstr(reason, err_text(err));
    }
    buf_deinit(&p.text);
    return err;
}

/* meta/storageVersion; "" when it is not there. */
static int storage_version(struct bolt_tx *tx, char *out, size_t size)
{
    struct bolt_bucket *meta;
    struct bolt_value v;
    out[0] = '\0';
    int err = bolt_bucket_open(tx, NULL, 0, SLICE_LIT("meta"), &meta);
    if (err == 0) {
        err = bolt_bucket_get(meta, 0, SLICE_LIT(SCHEMA_META_STORAGE_VERSION), &v);
    }
    if (err == 0) {
        size_t n = v.value.len < size ? v.value.len : size - 1;
        memcpy(out, v.value.data, n);
        out[n] = '\0';
        bolt_value_release(&v);
    }
    return err == ERR_NOT_FOUND ? 0 : err;
}

static int status_of(struct bolt_tx *tx, struct utl_status *out, struct buf *reason)
{
    struct mvcc_file_status st;
    int err = check(tx, reason);
    if (err != 0) {
        return err;
    }
    err = mvcc_file_status(tx, &st);
    err = err != 0 ? err : storage_version(tx, out->version, sizeof(out->version));
    if (err != 0) {
        buf_append_cstr(reason, "error during bucket key iteration: ");
        char text[BOLT_ERROR_TEXT_BYTES];
        bolt_tx_error(tx, text, sizeof(text));
        buf_append_cstr(reason, text[0] != '\0' ? text : err_text(err));
        return err;
    }
    out->hash = st.hash;
    out->revision = st.revision;
    out->total_key = (int64_t)st.key_count;
    out->total_pair = (int64_t)st.pair_count;
    out->total_size = (int64_t)bolt_tx_size_bytes(tx);
    return 0;
}

int utl_status(struct env *env, const char *path, struct utl_status *out, struct buf *reason)
{
    struct bolt_db *db;
    struct bolt_tx *tx;
    int err = utl_db_open(env, path, true, 0, &db, reason);
    if (err != 0) {
        return err;
    }
    err = bolt_tx_begin(db, false, &tx);
    if (err == 0) {
        err = status_of(tx, out, reason);
        bolt_tx_rollback(tx);
    } else {
        buf_append_cstr(reason, err_text(err));
    }
    bolt_db_close(db);
    return err;
}

/* ---- hashkv
 * -------------------------------------------------------------------------------------- */

/* The reference's own words are etcdserver's without its first one. */
static const char *rev_text(int err)
{
    switch (err) {
    case ERR_RPC_COMPACTED: return "mvcc: required revision has been compacted";
    case ERR_RPC_FUTURE_REV: return "mvcc: required revision is a future revision";
    default: return err_text(err);
    }
}

int utl_hashkv(struct env *env, const char *path, int64_t rev, uint64_t lock_timeout_ms,
               struct print_db_hashkv *out, struct buf *reason)
{
    struct bolt_db *db;
    struct bolt_tx *tx;
    struct mvcc_hash_value h;
    int64_t current;
    int err = utl_db_open(env, path, true, lock_timeout_ms, &db, reason);
    if (err != 0) {
        return err;
    }
    err = bolt_tx_begin(db, false, &tx);
    if (err == 0) {
        err = mvcc_hash_file(tx, rev, &h, &current);
        bolt_tx_rollback(tx);
    }
    if (err != 0) {
        buf_append_cstr(reason, rev_text(err));
    } else {
        *out = (struct print_db_hashkv){
            .hash = h.hash, .hash_revision = h.rev, .compact_revision = h.compact_rev};
    }
    bolt_db_close(db);
    return err;
}
