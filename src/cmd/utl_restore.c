/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/utl_restore: makes the data directory of a new cluster's member out of a snapshot file.
 *
 * Problem     All members of the new cluster are restored one by one, from the same file, on
 *             different machines, and must start with equal databases and logs; and no etcd of 3.5
 *             to 3.7 may refuse the result.
 * Design      Check everything that can be checked, copy and verify the database, then change it in
 *             one transaction (members, optional bump, consistent index), write the WAL with one
 *             ConfChange a member, the `.snap` and the WAL's snapshot record.  meta/confState keeps
 *             the old cluster's value, as the reference leaves it.
 * Failure     What was made is removed again: the directory is as it was before.
 * See         storage-formats 5.4-5.6; test/unit/cmd/utl_restore_test.c
 */
#include <inttypes.h>

#include "backend/backend.h"
#include "base/gotext.h"
#include "base/hash.h"
#include "base/log.h"
#include "cmd/ctl_rc.h"
#include "cmd/utl.h"
#include "member/bootstrap.h"
#include "member/initial.h"
#include "member/v2store.h"
#include "os/os.h"
#include "schema/schema.h"
#include "snap/snap.h"
#include "wal/wal.h"

enum { COPY_BYTES = 1 << 20, SECTOR_BYTES = 512, DIR_MODE = 0700, DB_MODE = 0600 };

struct restore {
    const struct utl_restore_conf *conf;
    struct buf *reason;
    char *data_dir;
    char *wal_dir;
    char *member_dir;
    char *snap_dir;
    char *db_path;
    struct membership members;
    uint64_t cluster_id;
    uint64_t local_id;
    enum raftpb_emission emission;
    bool has_made_files;
};

/* ---- failing
 * ------------------------------------------------------------------------------------- */

static int fail_os(struct restore *r, int err, const char *op, const char *path)
{
    buf_printf(r->reason, "%s %s: %s", op, path, os_last_text_go());
    return err;
}

static int fail_err(struct restore *r, int err, const char *what)
{
    buf_printf(r->reason, "%s: %s", what, err_text(err));
    return err;
}

/* ---- paths and checks
 * ---------------------------------------------------------------------------- */

static void paths_init(struct restore *r)
{
    const struct utl_restore_conf *conf = r->conf;
    struct buf name = BUF_INIT;
    buf_printf(&name, "%s.etcd", conf->name);
    r->data_dir = mem_strdup(conf->data_dir[0] != '\0' ? conf->data_dir : buf_cstr(&name));
    r->member_dir = env_path_join(r->data_dir, "member");
    r->snap_dir = env_path_join(r->member_dir, "snap");
    r->db_path = env_path_join(r->snap_dir, "db");
    r->wal_dir =
        conf->wal_dir[0] != '\0' ? mem_strdup(conf->wal_dir) : env_path_join(r->member_dir, "wal");
    buf_deinit(&name);
}

static void paths_deinit(struct restore *r)
{
    mem_free(r->data_dir);
    mem_free(r->member_dir);
    mem_free(r->snap_dir);
    mem_free(r->db_path);
    mem_free(r->wal_dir);
}

static int first_name(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return ERR_NOT_EMPTY;
}

static int check_dirs(struct restore *r)
{
    struct env_disk *disk = r->conf->disk;
    if (env_exists(disk, r->data_dir) &&
        disk->ops->list(disk, r->data_dir, first_name, NULL) != 0) {
        buf_append_cstr(r->reason, "data-dir ");
        gotext_quote(r->reason, slice_cstr(r->data_dir));
        buf_append_cstr(r->reason, " not empty or could not be read");
        return ERR_NOT_EMPTY;
    }
    if (env_exists(disk, r->wal_dir)) {
        buf_append_cstr(r->reason, "wal-dir ");
        gotext_quote(r->reason, slice_cstr(r->wal_dir));
        buf_append_cstr(r->reason, " exists");
        return ERR_EXISTS;
    }
    return 0;
}

static void split_urls(const char *text, struct strs *out)
{
    for (const char *at = text;;) {
        size_t n = strcspn(at, ",");
        strs_add(out, slice_make(at, n));
        if (at[n] == '\0') {
            return;
        }
        at += n + 1;
    }
}

/* The new cluster's members, out of the flags. */
static int read_cluster(struct restore *r)
{
    const struct utl_restore_conf *conf = r->conf;
    struct strs given = {0};
    struct strs urls = {0};
    struct initial_cluster ic = {0};
    split_urls(conf->initial_advertise_peer_urls, &given);
    int err = urls_check(&given, &urls, r->reason);
    err = err != 0 ? err : initial_cluster_parse(conf->initial_cluster, &ic, r->reason);
    err = err != 0
              ? err
              : initial_cluster_verify_bootstrap(&ic, conf->name, &urls, false, NULL, r->reason);
    err = err != 0
              ? err
              : initial_cluster_members(&ic, conf->initial_cluster_token, &r->members, r->reason);
    for (size_t i = 0; err == 0 && i < r->members.count; i++) {
        if (strcmp(r->members.members[i].name, conf->name) == 0) {
            r->local_id = r->members.members[i].id;
        }
    }
    if (err == 0) {
        r->cluster_id = membership_cluster_id(&r->members);
    }
    initial_cluster_deinit(&ic);
    strs_deinit(&urls);
    strs_deinit(&given);
    return err;
}

/* ---- the database file
 * --------------------------------------------------------------------------- */

struct copy {
    struct restore *r;
    struct env_file *from;
    struct env_file *to;
    uint64_t size; /* of the database, without its checksum */
    bool has_sum;  /* the source has one */
    uint8_t want[SHA256_BYTES];
    uint8_t got[SHA256_BYTES];
};

static int copy_open(struct copy *c)
{
    struct restore *r = c->r;
    struct env_disk *disk = r->conf->disk;
    uint64_t size;
    size_t n;
    int err = disk->ops->open(disk, r->conf->file, ENV_OPEN_READ, 0, &c->from);
    if (err != 0) {
        return fail_os(r, err, "open", r->conf->file);
    }
    err = c->from->ops->size(c->from, &size);
    if (err == 0 && size < SHA256_BYTES) {
        buf_printf(r->reason, "seek %s: invalid argument", r->conf->file);
        return ERR_INVALID;
    }
    c->has_sum = err == 0 && size % SECTOR_BYTES == SHA256_BYTES;
    if (err == 0) {
        err = c->from->ops->read_at(c->from, c->want, SHA256_BYTES, size - SHA256_BYTES, &n);
    }
    if (err != 0) {
        return fail_os(r, err, "read", r->conf->file);
    }
    c->size = c->has_sum ? size - SHA256_BYTES : size;
    err = env_mkdir_all(disk, r->snap_dir, DIR_MODE);
    if (err != 0) {
        return fail_os(r, err, "mkdir", r->snap_dir);
    }
    r->has_made_files = true;
    err = disk->ops->open(disk, r->db_path, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE,
                          DB_MODE, &c->to);
    return err == 0 ? 0 : fail_os(r, err, "open", r->db_path);
}

static int copy_bytes(struct copy *c)
{
    uint8_t *room = mem_alloc(COPY_BYTES);
    struct sha256 *sha = sha256_create();
    int err = 0;
    for (uint64_t at = 0; err == 0 && at < c->size;) {
        size_t n = c->size - at < COPY_BYTES ? (size_t)(c->size - at) : COPY_BYTES;
        size_t got = 0;
        err = c->from->ops->read_at(c->from, room, n, at, &got);
        if (err == 0 && got == 0) {
            err = ERR_TRUNCATED;
        }
        struct slice part = slice_make(room, got);
        if (err == 0) {
            sha256_update(sha, room, got);
            err = c->to->ops->write_at(c->to, &part, 1, at);
        }
        at += got;
    }
    sha256_finish(sha, c->got);
    mem_free(room);
    return err == 0 ? 0 : fail_os(c->r, err, "copy", c->r->conf->file);
}

static void show_sum(struct buf *out, const uint8_t *sum)
{
    buf_append_byte(out, '[');
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        buf_printf(out, i > 0 ? " %u" : "%u", sum[i]);
    }
    buf_append_byte(out, ']');
}

static int copy_check(struct copy *c)
{
    struct buf *reason = c->r->reason;
    if (c->r->conf->is_skip_hash_check) {
        return 0;
    }
    if (!c->has_sum) {
        buf_append_cstr(reason, "snapshot missing hash but --skip-hash-check=false");
        return ERR_CHECKSUM;
    }
    if (memcmp(c->want, c->got, SHA256_BYTES) == 0) {
        return 0;
    }
    buf_append_cstr(reason, "expected sha256 ");
    show_sum(reason, c->want);
    buf_append_cstr(reason, ", got ");
    show_sum(reason, c->got);
    return ERR_CHECKSUM;
}

static int copy_db(struct restore *r)
{
    struct copy c = {.r = r};
    int err = copy_open(&c);
    err = err != 0 ? err : copy_bytes(&c);
    err = err != 0 ? err : copy_check(&c);
    if (err == 0) {
        err = c.to->ops->sync(c.to);
        err = err == 0 ? 0 : fail_os(r, err, "fsync", r->db_path);
    }
    if (c.from != NULL) {
        c.from->ops->close(c.from);
    }
    if (c.to != NULL) {
        c.to->ops->close(c.to);
    }
    return err;
}

/* ---- the database's contents
 * --------------------------------------------------------------------- */

static int latest_rev(struct bolt_tx *tx, int64_t *out)
{
    struct bolt_bucket *keys;
    struct bolt_cursor cursor;
    struct bolt_item item;
    struct backend_rev rev;
    *out = 0;
    int err = bolt_bucket_open(tx, NULL, 0, SLICE_LIT("key"), &keys);
    if (err != 0) {
        return err;
    }
    bolt_cursor_init(&cursor, tx, keys, 0);
    err = bolt_cursor_last(&cursor, &item);
    if (err == 0) {
        err = backend_rev_decode(item.key, &rev);
        *out = err == 0 ? rev.main : 0;
    }
    bolt_cursor_release(&cursor);
    return err == ERR_END ? 0 : err;
}

static int bump(struct restore *r, struct bolt_tx *tx)
{
    int64_t latest;
    int64_t bumped;
    uint8_t key[BACKEND_TOMBSTONE_BYTES];
    int err = latest_rev(tx, &latest);
    if (err != 0) {
        return fail_err(r, err, "cannot find the latest revision");
    }
    if (__builtin_add_overflow(latest, r->conf->bump_revision, &bumped)) {
        buf_append_cstr(r->reason, "--bump-revision is too large");
        return ERR_TOO_LARGE;
    }
    log_info("bumping latest revision", LOG_I64("latest-revision", latest),
             LOG_I64("bump-amount", r->conf->bump_revision),
             LOG_I64("new-latest-revision", bumped));
    log_info("marking revision compacted", LOG_I64("revision", bumped));
    size_t n = backend_rev_encode((struct backend_rev){.main = bumped}, key);
    err = schema_tx_put(tx, SCHEMA_KEY, slice_make(key, n), SLICE_NULL);
    err = err != 0 ? err : schema_tx_put_scheduled_compact(tx, bumped);
    return err == 0 ? 0 : fail_err(r, err, "cannot bump the revision");
}

/* 3.7 leaves zero fields out of the log; what an older storage version says is written as it was.
 */
static int emission_of(struct bolt_tx *tx, enum raftpb_emission *out)
{
    struct schema_boot boot;
    int err = schema_boot_load(tx, &boot);
    struct semver v37 = {3, 7, 0};
    if (err == 0) {
        bool is_37 = boot.has_storage_version && semver_compare(boot.storage_version, v37) >= 0;
        *out = is_37 ? RAFTPB_SPARSE : RAFTPB_ZEROS;
    }
    schema_boot_deinit(&boot);
    return err;
}

static void log_added(const struct restore *r, const struct member *m)
{
    char local[SCHEMA_ID_KEY_MAX];
    (void)schema_id_key(0, local);
    log_info("added member", LOG_HEX("cluster-id", r->cluster_id),
             LOG_STR("local-member-id", local), LOG_HEX("added-peer-id", m->id),
             LOG_STRS("added-peer-peer-urls", m->peer_urls.items, m->peer_urls.count),
             LOG_BOOL("added-peer-is-learner", m->is_learner));
}

static int put_members(struct restore *r, struct bolt_tx *tx)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < r->members.count; i++) {
        struct buf json = BUF_INIT;
        member_json(&json, &r->members.members[i]);
        err = schema_tx_put_member(tx, r->members.members[i].id, buf_slice(&json));
        buf_deinit(&json);
        log_added(r, &r->members.members[i]);
    }
    return err == 0 ? 0 : fail_err(r, err, "cannot write the members");
}

static int change_db(struct restore *r, struct bolt_tx *tx)
{
    int err = emission_of(tx, &r->emission);
    if (err != 0) {
        return fail_err(r, err, "cannot read the snapshot's metadata");
    }
    log_info("Trimming membership information from the backend...");
    err = schema_tx_trim_members(tx);
    err = err != 0 ? err : schema_tx_buckets(tx);
    if (err != 0) {
        return fail_err(r, err, "cannot remove the old members");
    }
    if (r->conf->bump_revision > 0) {
        err = bump(r, tx);
    }
    err = err != 0 ? err : put_members(r, tx);
    if (err == 0) {
        err = schema_tx_put_index(tx, r->members.count, 1);
        err = err == 0 ? 0 : fail_err(r, err, "cannot write the consistent index");
    }
    return err;
}

static int fail_db(struct restore *r, int err, const char *detail)
{
    buf_printf(r->reason, "failed to open database: %s",
               detail[0] != '\0' ? detail : err_text(err));
    return err;
}

static int write_db(struct restore *r)
{
    char detail[BOLT_ERROR_TEXT_BYTES] = "";
    struct bolt_db *db;
    struct bolt_tx *tx;
    struct bolt_options opts = {.disk = r->conf->disk,
                                .path = r->db_path,
                                .error_text = detail,
                                .error_text_size = sizeof(detail)};
    int err = bolt_db_open(&opts, &db);
    if (err != 0) {
        return fail_db(r, err, detail);
    }
    err = bolt_tx_begin(db, true, &tx);
    if (err == 0) {
        err = change_db(r, tx);
        if (err != 0) {
            bolt_tx_rollback(tx);
        } else if ((err = bolt_tx_commit(tx)) != 0) {
            bolt_db_error(db, detail, sizeof(detail));
            err = fail_err(r, err, detail);
        }
    } else {
        err = fail_err(r, err, "cannot change the database");
    }
    bolt_db_close(db);
    return err;
}

/* ---- log and snapshot
 * ---------------------------------------------------------------------------- */

static int save_snap(struct restore *r, const struct member_bootstrap *b)
{
    struct buf json = BUF_INIT;
    v2store_encode(&json, &r->members, (struct semver){0});
    int err = snap_save(r->conf->disk, r->snap_dir, buf_slice(&json), &b->snapshot, r->emission);
    buf_deinit(&json);
    return err;
}

static int write_log(struct restore *r)
{
    struct wal_detail detail = {""};
    struct wal_options opts = {.disk = r->conf->disk,
                               .dir = r->wal_dir,
                               .emission = r->emission,
                               .wall_ns = r->conf->wall_ns,
                               .detail = &detail};
    struct wal_metadata metadata = {.node_id = r->local_id, .cluster_id = r->cluster_id};
    struct member_bootstrap b;
    struct wal *w;
    int err = member_bootstrap_build(&r->members, r->emission, true, &b);
    if (err != 0) {
        return fail_err(r, err, "too many members");
    }
    err = wal_create(&opts, &metadata, &w);
    if (err == 0) {
        err = wal_append(w, b.entries, b.count, &b.hard_state);
        err = err != 0 ? err : wal_sync(w);
        err = err != 0 ? err : save_snap(r, &b);
        err = err != 0 ? err : wal_append_snapshot(w, &b.snapshot);
        int closed = wal_close(w);
        err = err != 0 ? err : closed;
    }
    member_bootstrap_deinit(&b);
    if (err != 0) {
        buf_printf(r->reason, "cannot write the log: %s",
                   detail.text[0] != '\0' ? detail.text : err_text(err));
    }
    return err;
}

static int sync_dirs(struct restore *r)
{
    struct env_disk *disk = r->conf->disk;
    char *parent = env_path_dir(r->data_dir);
    const char *const dirs[] = {r->snap_dir, r->member_dir, r->data_dir, parent};
    int err = 0;
    for (size_t i = 0; err == 0 && i < ARRAY_LEN(dirs); i++) {
        err = disk->ops->sync_dir(disk, dirs[i]);
        err = err == 0 ? 0 : fail_os(r, err, "fsync", dirs[i]);
    }
    mem_free(parent);
    return err;
}

/* ---- the whole
 * ----------------------------------------------------------------------------------- */

static void log_restore(const struct restore *r, const char *msg)
{
    log_info(msg, LOG_STR("path", r->conf->file), LOG_STR("wal-dir", r->wal_dir),
             LOG_STR("data-dir", r->data_dir), LOG_STR("snap-dir", r->snap_dir),
             LOG_U64("initial-memory-map-size", r->conf->map_size));
}

/* After a failure: nothing of ours stays, so that the same command can be given again. */
static void remove_made(struct restore *r)
{
    if (r->has_made_files) {
        (void)env_remove_all(r->conf->disk, r->member_dir);
        (void)env_remove_all(r->conf->disk, r->wal_dir);
    }
}

int utl_restore(const struct utl_restore_conf *conf, struct buf *reason)
{
    struct restore r = {.conf = conf, .reason = reason};
    paths_init(&r);
    membership_init(&r.members);
    int err = read_cluster(&r);
    err = err != 0 ? err : check_dirs(&r);
    if (err == 0) {
        log_restore(&r, "restoring snapshot");
        err = copy_db(&r);
        err = err != 0 ? err : write_db(&r);
        err = err != 0 ? err : write_log(&r);
        err = err != 0 ? err : sync_dirs(&r);
        if (err == 0) {
            log_restore(&r, "restored snapshot");
        } else {
            remove_made(&r);
        }
    }
    membership_deinit(&r.members);
    paths_deinit(&r);
    return err;
}

/* ---- the command
 * --------------------------------------------------------------------------------- */

const struct cli_flag utl_restore_flags[] = {
    {"data-dir", 0, CLI_STRING, NULL, "data directory to make"},
    {"wal-dir", 0, CLI_STRING, NULL, "directory of the log (default: inside the data directory)"},
    {"initial-cluster", 0, CLI_STRING, "default=http://localhost:2380",
     "members of the new cluster: name=URL, comma separated"},
    {"initial-cluster-token", 0, CLI_STRING, "etcd-cluster", "token that enters the ids"},
    {"initial-advertise-peer-urls", 0, CLI_STRING, "http://localhost:2380",
     "peer URLs of this member, comma separated"},
    {"name", 0, CLI_STRING, "default", "name of this member"},
    {"skip-hash-check", 0, CLI_BOOL, NULL, "take a file without checksum (a copied database file)"},
    {"initial-memory-map-size", 0, CLI_UINT64, "10737418240", "taken for etcd's sake, not used"},
    {"bump-revision", 0, CLI_UINT64, NULL, "raise the latest revision by so much"},
    {"mark-compacted", 0, CLI_BOOL, NULL,
     "mark all revisions up to the raised one as compacted (needs --bump-revision)"},
    {.name = NULL},
};

static const char *flag_cstr(struct cli_ctx *ctx, const char *flag)
{
    struct slice s = cli_text(ctx, flag);
    return arena_strndup(&ctx->arena, s.len == 0 ? "" : (const char *)s.data, s.len);
}

int utl_restore_cmd(struct cli_ctx *ctx, struct env *env, struct buf *reason)
{
    uint64_t bump_by = (uint64_t)cli_number(ctx, "bump-revision");
    bool is_mark = cli_bool(ctx, "mark-compacted");
    if (ctx->arg_count != 1) {
        buf_append_cstr(reason, "snapshot restore requires exactly one argument");
        return CTL_RC_BAD_ARGS;
    }
    if ((bump_by > 0) != is_mark) {
        buf_append_cstr(reason, "--mark-compacted required if --revision-bump > 0");
        return CTL_RC_BAD_ARGS;
    }
    struct utl_restore_conf conf = {
        .disk = env->disk,
        .file = arena_strndup(&ctx->arena, ctx->args[0].data, ctx->args[0].len),
        .name = flag_cstr(ctx, "name"),
        .initial_cluster = flag_cstr(ctx, "initial-cluster"),
        .initial_cluster_token = flag_cstr(ctx, "initial-cluster-token"),
        .initial_advertise_peer_urls = flag_cstr(ctx, "initial-advertise-peer-urls"),
        .data_dir = flag_cstr(ctx, "data-dir"),
        .wal_dir = flag_cstr(ctx, "wal-dir"),
        .bump_revision = bump_by,
        .map_size = (uint64_t)cli_number(ctx, "initial-memory-map-size"),
        .is_mark_compacted = is_mark,
        .is_skip_hash_check = cli_bool(ctx, "skip-hash-check"),
        .wall_ns = env->clock->ops->wall_ns(env->clock),
    };
    return utl_restore(&conf, reason) == 0 ? CTL_RC_OK : CTL_RC_ERROR;
}
