/* SPDX-License-Identifier: Apache-2.0 */
#include "core/boot.h"

#include <stdarg.h>
#include <stdio.h>

#include "apply/apply.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/log.h"
#include "member/bootstrap.h"
#include "member/initial.h"
#include "member/v2store.h"
#include "snap/snap.h"

enum { DIR_MODE = 0700, FILE_MODE = 0600 };

/* What is found on the way and not needed any more behind core_create. */
struct boot {
    struct driver *d;
    char *text;
    struct wal_contents contents;
    struct raft_snapshot_meta snap; /* newest that the WAL confirms; index 0 = none */
    struct wal_metadata metadata;
};

static const struct schema_boot *schema_of(const struct boot *b)
{
    return &b->d->epoch->schema;
}

PRINTF_LIKE(3, 4) static int refuse(struct boot *b, int err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(b->text, DRIVER_TEXT_BYTES, fmt, ap);
    va_end(ap);
    return err;
}

/* ---- directories ---- */

/* storage-formats 7.2 */
static int touch(struct boot *b, const char *dir, const char *what)
{
    struct env_disk *disk = b->d->env->disk;
    char *path = env_path_join(dir, ".touch");
    struct env_file *f;
    int err = disk->ops->open(disk, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, FILE_MODE, &f);
    if (err == 0) {
        f->ops->close(f);
        err = disk->ops->unlink(disk, path);
    }
    mem_free(path);
    return err == 0 ? 0
                    : refuse(b, err, "cannot write to %s directory: open %s/.touch: %s", what, dir,
                             disk->ops->last_text(disk));
}

static int make_dirs(struct boot *b)
{
    struct driver *d = b->d;
    struct env_disk *disk = d->env->disk;
    char *member = env_path_join(d->config.data_dir, "member");
    d->snap_dir = env_path_join(member, "snap");
    bool has_wal_dir = d->config.wal_dir != NULL && d->config.wal_dir[0] != 0;
    d->wal_dir = has_wal_dir ? mem_strdup(d->config.wal_dir) : env_path_join(member, "wal");
    int err = env_mkdir_all(disk, d->snap_dir, DIR_MODE);
    if (err == 0 && has_wal_dir) {
        char *parent = env_path_dir(d->wal_dir);
        err = env_mkdir_all(disk, parent, DIR_MODE);
        mem_free(parent);
    }
    if (err != 0) {
        err = refuse(b, err, "cannot access data directory: %s: %s", d->snap_dir,
                     disk->ops->last_text(disk));
    }
    if (err == 0) {
        err = touch(b, d->config.data_dir, "data");
    }
    if (err == 0) {
        err = touch(b, member, "member");
    }
    if (err == 0) {
        char *parent = env_path_dir(d->config.data_dir);
        err = disk->ops->sync_dir(disk, parent);
        mem_free(parent);
    }
    if (err == 0) {
        err = disk->ops->sync_dir(disk, d->config.data_dir);
    }
    if (err == 0) {
        err = disk->ops->sync_dir(disk, member);
    }
    mem_free(member);
    return err;
}

/* ---- raft snapshot and WAL ---- */

static struct wal_options wal_options_of(struct driver *d, struct wal_detail *detail)
{
    return (struct wal_options){
        .disk = d->env->disk,
        .dir = d->wal_dir,
        .segment_bytes = d->config.wal_segment_bytes,
        .emission = level_rules(d->level)->emission,
        .no_sync = d->config.no_sync,
        .zero_spares = true,
        .wall_ns = d->env->clock->ops->wall_ns(d->env->clock),
        .detail = detail,
    };
}

static int find_snapshot(struct boot *b)
{
    struct wal_detail detail = {""};
    struct wal_options o = wal_options_of(b->d, &detail);
    struct raft_snapshot_meta *snaps;
    size_t count;
    int err = wal_valid_snapshots(&o, &snaps, &count);
    if (err != 0) {
        return refuse(b, err, "cannot read the WAL: %s", detail.text);
    }
    for (size_t i = 0; i < count; i++) {
        if (snaps[i].index >= b->snap.index) {
            b->snap = snaps[i];
        }
    }
    mem_free(snaps);
    return 0;
}

/* The leader's database was received, and the crash came before it was put in place (F4). */
static int catch_up_database(struct boot *b)
{
    if (b->snap.index <= schema_of(b)->consistent_index) {
        return 0;
    }
    struct driver *d = b->d;
    log_info("Recovering from snapshot backend", LOG_U64("snapshot-index", b->snap.index));
    raft_index behind = schema_of(b)->consistent_index;
    epoch_close(d->epoch);
    int err = snap_db_install(d->env->disk, d->snap_dir, b->snap.index);
    if (err == 0) {
        err = epoch_open(d->epoch, d, b->text);
    }
    if (err == 0 && schema_of(b)->consistent_index >= b->snap.index) {
        return 0;
    }
    /* etcd's words for a file that is not there are looked for by its users' scripts. */
    return refuse(b, ERR_CORRUPT,
                  "database file (%s/db index %llu) does not match with snapshot (index %llu): %s; "
                  "remove this member from the cluster, delete its data directory and add it again",
                  d->snap_dir, (unsigned long long)behind, (unsigned long long)b->snap.index,
                  err == ERR_NOT_FOUND ? "failed to find database snapshot file (snap: snapshot "
                                         "file doesn't exist)"
                                       : err_text(err == 0 ? ERR_MISMATCH : err));
}

/* Behind a snapshot that was received the WAL may still hold what an earlier leader had sent and
 * nobody committed: terms do not fall along a log. */
static void drop_stale_tail(struct boot *b)
{
    raft_term term = b->snap.term;
    for (size_t i = 0; i < b->contents.count; i++) {
        if (b->contents.entries[i].term < term) {
            log_info("dropping entries that the snapshot has replaced",
                     LOG_U64("index", b->contents.entries[i].index));
            wal_contents_truncate(&b->contents, i);
            return;
        }
        term = b->contents.entries[i].term;
    }
}

static int read_wal(struct boot *b)
{
    struct driver *d = b->d;
    struct wal_detail detail = {""};
    struct wal_options o = wal_options_of(d, &detail);
    struct raft_entry_id at = {b->snap.term, b->snap.index};
    wal_contents_init(&b->contents);
    int err = wal_recover(&o, at, &d->wal, &b->contents);
    if (err == ERR_LOCKED) {
        return refuse(b, err, "the WAL in %s is in use by another process: %s", d->wal_dir,
                      detail.text);
    }
    if (err != 0) {
        return refuse(b, err, "cannot read the WAL: %s", detail.text);
    }
    if (!b->contents.has_metadata) {
        return refuse(b, ERR_CORRUPT, "the WAL in %s has no metadata record", d->wal_dir);
    }
    b->metadata = b->contents.metadata;
    raft_index last = b->snap.index + b->contents.count;
    if (schema_of(b)->consistent_index > last) {
        return refuse(b, ERR_CORRUPT,
                      "the database holds entry %llu but the WAL in %s ends at %llu: WAL files are "
                      "missing; restore this member from a snapshot or add it anew",
                      (unsigned long long)schema_of(b)->consistent_index, d->wal_dir,
                      (unsigned long long)last);
    }
    return 0;
}

/* ---- level ---- */

/* The v2 store in the newest `.snap`: false without one; else out->membership is the caller's. */
static bool read_v2store(struct boot *b, struct v2store *out)
{
    struct snap_file file;
    if (b->snap.index == 0) {
        return false;
    }
    snap_file_init(&file);
    bool is_there = snap_load_newest(b->d->env->disk, b->d->snap_dir, &b->snap, 1, &file) == 0 &&
                    v2store_decode(buf_slice(&file.data), out) == 0;
    snap_file_deinit(&file);
    return is_there;
}

static struct semver version_in_snap(struct boot *b)
{
    struct v2store store;
    if (!read_v2store(b, &store)) {
        return (struct semver){0};
    }
    membership_deinit(&store.membership);
    return store.cluster_version;
}

static bool has_v2_entries(const struct boot *b)
{
    struct wire_v2_request v2;
    for (size_t i = 0; i < b->contents.count; i++) {
        if (b->contents.entries[i].type == RAFT_ENTRY_NORMAL &&
            wire_v2_request_decode(b->contents.entries[i].data, &v2)) {
            return true;
        }
    }
    return false;
}

static int find_level(struct boot *b)
{
    struct semver none = {0};
    struct semver storage =
        schema_of(b)->has_storage_version ? schema_of(b)->storage_version : none;
    struct semver v2 = none;
    if (semver_is_none(schema_of(b)->cluster_version)) {
        v2 = version_in_snap(b);
    }
    if (semver_is_none(storage) && semver_is_none(schema_of(b)->cluster_version) &&
        semver_is_none(v2)) {
        /* Nothing was decided before it stopped: only what wrote the log tells. */
        b->d->level = has_v2_entries(b) ? LEVEL_3_5 : LEVEL_NEW;
        return 0;
    }
    int err = level_detect(storage, schema_of(b)->cluster_version, v2, &b->d->level);
    char text[SEMVER_TEXT_MAX];
    semver_format(semver_is_none(storage) ? schema_of(b)->cluster_version : storage, text);
    return err == 0 ? 0 : refuse(b, err, "version \"%s\" is not supported", text);
}

/* ---- store ---- */

static int make_store(struct boot *b)
{
    struct driver *d = b->d;
    return epoch_load(d->epoch, d, driver_random(d), b->text);
}

/* etcdctl 3.4's restore leaves the members of the lost cluster in the database and writes the new
 * ones into the `.snap` alone, which is where 3.4 and 3.5 read them. */
static void adopt_members(struct driver *d, struct membership *from_snap)
{
    struct membership *ms = &d->epoch->members;
    for (size_t i = 0; i < ms->count; i++) {
        schema_forget_member(d->epoch->backend, ms->members[i].id);
    }
    for (size_t i = 0; i < ms->removed_count; i++) {
        schema_forget_member(d->epoch->backend, ms->removed[i]);
    }
    membership_deinit(ms);
    *ms = *from_snap;
    for (size_t i = 0; i < ms->count; i++) {
        member_put(d->epoch->backend, &ms->members[i]);
    }
    log_info("took the members from the raft snapshot: those in the database are another cluster's",
             LOG_U64("members", ms->count));
}

static void adopt_members_maybe(struct boot *b)
{
    struct driver *d = b->d;
    uint64_t self = b->metadata.node_id;
    struct v2store store;
    if (membership_find(&d->epoch->members, self) != NULL || !read_v2store(b, &store)) {
        return;
    }
    if (membership_find(&store.membership, self) != NULL) {
        adopt_members(d, &store.membership);
    } else {
        membership_deinit(&store.membership);
    }
}

/* ---- core ---- */

static int make_core(struct boot *b)
{
    struct driver *d = b->d;
    const struct driver_config *dc = &d->config;
    struct strs client_urls = {0};
    int err = urls_parse_list(dc->advertise_client_urls, &client_urls, NULL);
    struct core_config cc = {
        .member_id = b->metadata.node_id,
        .cluster_id = b->metadata.cluster_id,
        .name = dc->name,
        .client_urls = (const char *const *)client_urls.items,
        .client_url_count = client_urls.count,
        .level = d->level,
        .heartbeat_ms = dc->heartbeat_ms,
        .election_ticks = dc->election_ms / dc->heartbeat_ms,
        .request_bytes_max = dc->request_bytes_max,
        .txn_ops_max = dc->txn_ops_max,
        .quota_bytes = dc->quota_bytes == 0 ? LIMIT_QUOTA_BYTES_DEFAULT : dc->quota_bytes,
        .snapshot_count =
            dc->snapshot_count == 0 ? LIMIT_SNAPSHOT_COUNT_DEFAULT : dc->snapshot_count,
        .snapshot_catchup = dc->snapshot_catchup,
        .compaction_batch =
            dc->compaction_batch == 0 ? LIMIT_COMPACTION_BATCH : dc->compaction_batch,
        .compaction_sleep_ms = dc->compaction_sleep_ms,
        .request_id_seed_ms = (uint64_t)(d->env->clock->ops->wall_ns(d->env->clock) / 1000000),
        .raft_seed = driver_random(d),
        .log_bytes_max = dc->log_bytes_max,
        .max_learners = dc->max_learners,
        .strict_reconfig_check = !dc->no_strict_reconfig_check,
        .advance_ticks = !dc->no_initial_tick_advance,
        .pre_vote = dc->pre_vote,
        .fast_keep_alive = !dc->no_fast_keep_alive,
        .revokes_first = dc->revokes_first,
        .has_persisted_checkpoints = dc->lease_checkpoints_persist,
    };
    struct raft_hard_state hard = b->contents.hard_state;
    if (hard.commit < schema_of(b)->consistent_index) {
        hard.commit = schema_of(b)->consistent_index; /* applied, so committed (R2) */
    }
    if (hard.commit < b->snap.index) {
        hard.commit = b->snap.index;
    }
    struct raft_boot rb = {
        .hard = hard,
        .base = {b->snap.term, b->snap.index},
        .entries = b->contents.entries,
        .entry_count = b->contents.count,
        .applied = schema_of(b)->consistent_index,
        .snapshot = {.meta = b->snap},
    };
    if (err == 0) {
        err = membership_conf_state(&d->epoch->members, &rb.conf);
    }
    struct core_boot boot = {
        .backend = d->epoch->backend,
        .store = d->epoch->store,
        .lessor = d->epoch->lessor,
        .auth = d->epoch->auth,
        .members = &d->epoch->members,
        .schema = schema_of(b),
        .raft = &rb,
        .snapshot_index = b->snap.index,
    };
    if (err == 0) {
        err = core_create(&cc, &boot, &d->core);
    }
    strs_deinit(&client_urls);
    return err == 0 ? 0
                    : refuse(b, err, "cannot start raft from this directory: %s", err_text(err));
}

/* ---- the two ways ---- */

/* Members with their ids, out of the flags; the text of what is wrong goes to b->text. */
static int initial_members(struct boot *b, struct membership *out)
{
    const struct driver_config *dc = &b->d->config;
    struct initial_cluster ic = {0};
    struct strs advertised = {0};
    struct buf error = BUF_INIT;
    int err = initial_cluster_parse(dc->initial_cluster, &ic, &error);
    if (err == 0) {
        err = urls_parse_list(dc->advertise_peer_urls, &advertised, &error);
    }
    if (err == 0) {
        err = initial_cluster_verify_bootstrap(&ic, dc->name, &advertised, false, dc->resolver,
                                               &error);
    }
    if (err == 0) {
        err = initial_cluster_members(&ic, dc->initial_cluster_token, out, &error);
    }
    if (err != 0) {
        err = refuse(b, err, "%s", buf_cstr(&error));
    }
    initial_cluster_deinit(&ic);
    strs_deinit(&advertised);
    buf_deinit(&error);
    return err;
}

/* The first entries of a new cluster, from the flags; ids as the flags give them. */
static int first_entries(struct boot *b, struct member_bootstrap *mb, struct wal_metadata *ids)
{
    struct membership ms;
    membership_init(&ms);
    int err = initial_members(b, &ms);
    if (err == 0) {
        err = member_bootstrap_build(&ms, level_rules(b->d->level)->emission, false, mb);
    }
    if (err == 0) {
        *ids = (struct wal_metadata){
            .node_id = membership_find_name(&ms, b->d->config.name)->id,
            .cluster_id = membership_cluster_id(&ms),
        };
    }
    membership_deinit(&ms);
    return err;
}

/* Who this member is in a cluster that exists already: found by its peer URLs. */
static int joining_ids(struct boot *b, struct wal_metadata *ids)
{
    const struct driver_config *dc = &b->d->config;
    struct initial_cluster ic = {0};
    struct membership ms;
    struct buf error = BUF_INIT;
    membership_init(&ms);
    int err = initial_cluster_parse(dc->initial_cluster, &ic, &error);
    if (err == 0) {
        err = initial_cluster_verify_join(&ic, dc->name, false, &error);
    }
    if (err == 0) {
        err = initial_cluster_members(&ic, dc->initial_cluster_token, &ms, &error);
    }
    if (err == 0) {
        err = membership_match_existing(&ms, dc->existing, dc->resolver, &error);
    }
    const struct member *self = err == 0 ? membership_find_name(&ms, dc->name) : NULL;
    if (err == 0 && self == NULL) {
        err = ERR_INVALID;
        buf_append_cstr(&error, "the own name is not unique in the initial cluster");
    }
    if (err == 0) {
        *ids = (struct wal_metadata){.node_id = self->id, .cluster_id = dc->existing_cluster_id};
    } else {
        err = refuse(b, err, "%s", buf_cstr(&error));
    }
    membership_deinit(&ms);
    initial_cluster_deinit(&ic);
    buf_deinit(&error);
    return err;
}

/* The first start ended behind the making of the WAL and before its first entry: go on with it. */
static int bootstrap_again(struct boot *b)
{
    struct member_bootstrap mb = {0};
    struct wal_metadata ids;
    int err = first_entries(b, &mb, &ids);
    if (err == 0 &&
        (ids.node_id != b->metadata.node_id || ids.cluster_id != b->metadata.cluster_id)) {
        err = refuse(b, ERR_MISMATCH,
                     "the first start of this member was interrupted, and it was another member "
                     "(%llx) than the flags name now (%llx); use the same flags, or remove %s",
                     (unsigned long long)b->metadata.node_id, (unsigned long long)ids.node_id,
                     b->d->config.data_dir);
    }
    if (err == 0) {
        err = core_bootstrap(b->d->core, mb.entries, mb.count);
    }
    member_bootstrap_deinit(&mb);
    return err;
}

/* Nothing was ever in this log: the first start was interrupted, or it waits to be let in. */
static bool is_untouched(const struct boot *b)
{
    return b->contents.count == 0 && b->snap.index == 0 && schema_of(b)->consistent_index == 0 &&
           raft_hard_state_is_empty(&b->contents.hard_state);
}

/* ---- --force-new-cluster (storage-formats 7.6) ---- */

static void contents_push(struct wal_contents *c, const struct raft_entry *entries, size_t count)
{
    c->cap = c->count + count;
    c->entries = mem_realloc(c->entries, c->cap * sizeof(*c->entries));
    for (size_t i = 0; i < count; i++) {
        c->entries[c->count] = entries[i];
        c->entries[c->count++].owner = rcbuf_ref(entries[i].owner);
    }
}

/* Members of the database besides those of the snapshot: a log alone can be short of some. */
static struct raft_conf_state known_members(const struct boot *b)
{
    struct raft_conf_state conf = b->snap.conf;
    const struct membership *ms = &b->d->epoch->members;
    for (size_t i = 0; i < ms->count && conf.voters.count < RAFT_MEMBERS_MAX; i++) {
        conf.voters.ids[conf.voters.count++] = ms->members[i].id; /* twice does no harm here */
    }
    return conf;
}

/* What is not committed goes, and so does everybody else: entries that say so, committed here and
 * now. */
static int force_new_cluster(struct boot *b)
{
    struct driver *d = b->d;
    struct wal_contents *c = &b->contents;
    raft_index commit = schema_of(b)->consistent_index;
    commit = commit > c->hard_state.commit ? commit : c->hard_state.commit;
    size_t keep = commit > b->snap.index ? (size_t)(commit - b->snap.index) : 0;
    if (c->count > keep) {
        log_info("discarding uncommitted WAL entries", LOG_U64("commit-index-from-wal", commit),
                 LOG_U64("number-of-discarded-entries", c->count - keep));
        wal_contents_truncate(c, keep);
    }
    struct member_bootstrap mb = {0};
    const struct raft_conf_state conf = known_members(b);
    int err = member_bootstrap_force_new(&conf, c->entries, c->count, b->metadata.node_id,
                                         c->hard_state.term, b->snap.index + c->count,
                                         level_rules(d->level)->emission, &mb);
    if (err == 0) {
        err = wal_append(d->wal, mb.entries, mb.count, NULL);
    }
    if (err == 0) {
        err = wal_sync(d->wal);
    }
    if (err == 0) {
        contents_push(c, mb.entries, mb.count);
        c->hard_state.commit = b->snap.index + c->count;
        log_info("forced a new cluster of this member alone",
                 LOG_HEX("local-member-id", b->metadata.node_id),
                 LOG_U64("commit-index", c->hard_state.commit));
    }
    member_bootstrap_deinit(&mb);
    return err == 0 ? 0 : refuse(b, err, "cannot force a new cluster: %s", err_text(err));
}

static int open_existing(struct boot *b)
{
    struct driver *d = b->d;
    int err = find_snapshot(b);
    if (err == 0) {
        err = catch_up_database(b);
    }
    if (err == 0) {
        d->level = LEVEL_NEW; /* for reading; found below */
        err = read_wal(b);
    }
    if (err == 0) {
        drop_stale_tail(b);
        err = find_level(b);
    }
    if (err == 0) {
        wal_emission_set(d->wal, level_rules(d->level)->emission);
        backend_committed_index_init(d->epoch->backend, schema_of(b)->consistent_index,
                                     schema_of(b)->term);
        err = boot_defrag(d);
        if (err != 0) {
            err = refuse(b, err, "cannot defragment %s/db: %s", d->snap_dir, err_text(err));
        }
    }
    if (err == 0) {
        err = make_store(b);
    }
    if (err == 0) {
        adopt_members_maybe(b);
    }
    if (err == 0 && d->config.force_new_cluster) {
        err = force_new_cluster(b);
    }
    if (err == 0) {
        err = make_core(b);
    }
    if (err == 0 && is_untouched(b) && !d->config.is_join) {
        err = bootstrap_again(b);
    }
    if (err == 0) {
        log_info("restarting local member", LOG_HEX("local-member-id", b->metadata.node_id),
                 LOG_HEX("cluster-id", b->metadata.cluster_id),
                 LOG_U64("commit-index", b->contents.hard_state.commit));
    }
    return err;
}

/* WAL, store and core of a member that never ran.  Its first entries are committed at once; without
 * any it waits for the leader. */
static int start_new(struct boot *b, const struct member_bootstrap *mb)
{
    struct driver *d = b->d;
    struct wal_detail detail = {""};
    struct wal_options o = wal_options_of(d, &detail);
    int err = boot_defrag(d);
    if (err == 0) {
        err = make_store(b);
    }
    if (err == 0) {
        err = wal_create(&o, &b->metadata, &d->wal);
        if (err != 0) {
            err = refuse(b, err, "cannot create the WAL: %s", detail.text);
        }
    }
    if (err == 0) {
        err = make_core(b);
    }
    if (err == 0 && mb->count > 0) {
        err = core_bootstrap(d->core, mb->entries, mb->count);
    }
    if (err == 0) {
        log_info("starting local member", LOG_HEX("local-member-id", b->metadata.node_id),
                 LOG_HEX("cluster-id", b->metadata.cluster_id));
    }
    return err;
}

static int open_new(struct boot *b)
{
    struct driver *d = b->d;
    if (schema_of(b)->consistent_index > 0) {
        return refuse(b, ERR_CORRUPT,
                      "%s/db holds entries up to %llu, but there is no WAL in %s: give the right "
                      "--wal-dir, or restore the member from a snapshot",
                      d->snap_dir, (unsigned long long)schema_of(b)->consistent_index, d->wal_dir);
    }
    if (d->config.is_join && d->config.existing == NULL) {
        return refuse(b, ERR_INVALID, "joining needs the members of the existing cluster");
    }
    d->level = d->config.new_level == 0 ? LEVEL_NEW : d->config.new_level;
    struct member_bootstrap mb = {0};
    int err =
        d->config.is_join ? joining_ids(b, &b->metadata) : first_entries(b, &mb, &b->metadata);
    if (err == 0) {
        err = start_new(b, &mb);
    }
    member_bootstrap_deinit(&mb);
    return err;
}

int boot_open(struct driver *d, char *text)
{
    struct boot b = {.d = d, .text = text};
    wal_contents_init(&b.contents);
    d->epoch = mem_alloc(sizeof(*d->epoch));
    epoch_init(d->epoch);
    d->level = LEVEL_NEW; /* until it is known */
    int err = make_dirs(&b);
    if (err == 0) {
        err = snap_clean(d->env->disk, d->snap_dir);
    }
    if (err == 0) {
        err = epoch_open(d->epoch, d, text);
    }
    if (err == 0) {
        bool is_new = !wal_exists(d->env->disk, d->wal_dir);
        err = is_new ? open_new(&b) : open_existing(&b);
    }
    wal_contents_deinit(&b.contents);
    epoch_schema_drop(d->epoch);
    if (err != 0) {
        boot_close(d);
    }
    return err;
}

void boot_close(struct driver *d)
{
    if (d->core != NULL) {
        core_destroy(d->core);
    }
    LIST_FOREACH (&d->old_epochs, n) {
        struct epoch *e = LIST_ENTRY(n, struct epoch, node);
        list_remove(n);
        epoch_close(e);
        mem_free(e);
    }
    epoch_close(d->epoch);
    mem_free(d->epoch);
    if (d->wal != NULL) {
        (void)wal_close(d->wal); /* everything acknowledged is synced already */
    }
    buf_deinit(&d->conf_written);
    mem_free(d->snap_dir);
    mem_free(d->wal_dir);
}
