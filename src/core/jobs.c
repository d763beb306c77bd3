/* SPDX-License-Identifier: Apache-2.0
 *
 * core/jobs: the driver's work on the lanes: WAL, file commits, cold reads, hashes, purging.
 *
 * Thread      *_run on its lane, everything else on the main loop.  A job's struct is owned by its
 *             lane between submit and done.
 */
#include "base/failpoint.h"
#include "base/log.h"
#include "core/driver_internal.h"
#include "member/v2store.h"
#include "snap/snap.h"

enum { HASH_RUN_RECORDS = 100000, SPARE_RETRY_MS = 1000 };

static uint64_t now_ns(const struct driver *d)
{
    return d->env->clock->ops->mono_ns(d->env->clock);
}

static void timed(struct driver *d, enum driver_timing what, uint64_t ns)
{
    if (d->timing != NULL) {
        d->timing(d->timing_arg, what, ns);
    }
}

/* ---- log lane ---- */

/* A snapshot from the leader: its database is in place as .snap.db already (storage-formats 4.4).
 */
static int log_install(struct driver *d, const struct core_install *in)
{
    enum raftpb_emission em = level_rules(d->log.level)->emission;
    FAILPOINT(raftBeforeSaveSnap);
    int err = snap_save(d->env->disk, d->snap_dir, buf_slice(&in->v2_json), &in->meta, em);
    if (err == 0) {
        FAILPOINT(raftBeforeWALSaveSnaphot);
        err = wal_append_snapshot(d->wal, &in->meta);
    }
    FAILPOINT(raftAfterSaveSnap);
    return err;
}

static int log_append_all(struct driver *d, bool *must_sync)
{
    int err = 0;
    LIST_FOREACH (&d->log.appends, n) {
        struct core_append *a = LIST_ENTRY(n, struct core_append, node);
        if (err == 0 && a->install != NULL) {
            err = log_install(d, a->install);
        }
        if (err == 0) {
            err = wal_append(d->wal, a->entries, a->entry_count, a->has_hard ? &a->hard : NULL);
        }
        *must_sync |= a->must_sync;
    }
    return err;
}

/* Behind the sync of an installation: what only the old log needed. */
static void log_release(struct driver *d)
{
    LIST_FOREACH (&d->log.appends, n) {
        const struct core_append *a = LIST_ENTRY(n, struct core_append, node);
        if (a->install != NULL) {
            FAILPOINT(raftBeforeApplySnap);
            FAILPOINT(raftAfterApplySnap); /* raft's own copy is in memory: no step between them */
            wal_release_to(d->wal, a->install->meta.index);
            FAILPOINT(raftAfterWALRelease);
        }
    }
}

static int log_save(struct driver *d, const struct core_save *s)
{
    enum raftpb_emission em = level_rules(d->log.level)->emission;
    int err = snap_save(d->env->disk, d->snap_dir, buf_slice(&s->v2_json), &s->meta, em);
    if (err == 0) {
        FAILPOINT(raftBeforeWALSaveSnaphot);
        err = wal_append_snapshot(d->wal, &s->meta);
    }
    if (err == 0) {
        wal_release_to(d->wal, s->meta.index);
        err = snap_release_dbs(d->env->disk, d->snap_dir, s->meta.index);
    }
    return err;
}

static void log_run(struct env_job *job)
{
    struct driver *d = container_of(job, struct driver, log.job);
    struct log_job *l = &d->log;
    l->spare_err = 0;
    if (l->has_spare) {
        l->spare_err = wal_spare_end(d->wal, &d->spare.spare);
    }
    bool must_sync = false;
    wal_emission_set(d->wal, level_rules(l->level)->emission);
    uint64_t t0 = now_ns(d);
    if (!list_is_empty(&l->appends)) {
        FAILPOINT(raftBeforeSave);
    }
    l->append_err = log_append_all(d, &must_sync);
    uint64_t t1 = now_ns(d);
    if (l->append_err == 0 && must_sync) {
        l->append_err = wal_sync(d->wal);
    }
    if (!list_is_empty(&l->appends)) {
        FAILPOINT(raftAfterSave);
    }
    if (l->append_err == 0) {
        log_release(d);
    }
    uint64_t t2 = now_ns(d);
    l->write_ns = t1 - t0;
    l->did_sync = must_sync;
    l->sync_ns = t2 - t1;
    l->save_err = l->append_err;
    if (l->save != NULL && l->append_err == 0) {
        l->save_err = log_save(d, l->save);
        l->save_ns = now_ns(d) - t2;
    }
    l->wants_spare = l->may_spare && l->append_err == 0 && (!d->spare.is_running || l->has_spare) &&
                     wal_spare_begin(d->wal, &d->spare.spare);
    l->is_short = wal_is_short_of_space(d->wal);
}

static void purge_start(struct driver *d);

static void log_saved(struct driver *d, struct core_save *save)
{
    raft_index index = save->meta.index;
    struct core_event ev = {.type = CORE_EV_SAVED, .save = save, .err = d->log.save_err};
    if (d->log.save_err == 0) {
        log_info("saved snapshot to disk", LOG_U64("snapshot-index", index));
        timed(d, DRIVER_SNAP_SAVE, d->log.save_ns);
        purge_start(d);
    }
    driver_step(d, &ev);
}

static void log_tell_appended(struct driver *d)
{
    struct list done;
    list_init(&done);
    LIST_FOREACH (&d->log.appends, n) {
        list_remove(n);
        list_push_back(&done, n);
    }
    LIST_FOREACH (&done, n) {
        list_remove(n);
        struct core_event ev = {.type = CORE_EV_APPENDED,
                                .append = LIST_ENTRY(n, struct core_append, node),
                                .err = d->log.append_err};
        driver_step(d, &ev);
    }
}

static void spare_submit(struct driver *d);

static void log_done(struct env_job *job)
{
    struct driver *d = container_of(job, struct driver, log.job);
    struct log_job *l = &d->log;
    l->is_running = false;
    if (l->has_spare) {
        l->has_spare = false;
        d->spare.is_running = false;
        d->spare.is_made = false;
        if (l->spare_err != 0) {
            d->spare_retry_ms = env_mono_ms(d->env) + SPARE_RETRY_MS;
        }
    }
    if (l->append_err != 0) {
        log_error("failed to write the WAL", LOG_STR("dir", d->wal_dir), LOG_ERR(l->append_err),
                  LOG_STR("detail", wal_error(d->wal)));
    }
    if (l->did_sync) {
        d->stats.wal_syncs++;
        timed(d, DRIVER_WAL_SYNC, l->sync_ns);
        timed(d, DRIVER_WAL_WRITE, l->write_ns);
    }
    d->stats.wal_bytes = wal_bytes_written(d->wal);
    log_tell_appended(d);
    if (l->save != NULL) {
        struct core_save *save = l->save;
        l->save = NULL;
        log_saved(d, save);
    }
    if (l->is_short != d->was_short) {
        d->was_short = l->is_short;
        struct core_event ev = {.type = CORE_EV_NO_SPACE, .is_short = l->is_short};
        driver_step(d, &ev);
    }
    if (l->wants_spare) {
        spare_submit(d);
    }
    driver_log_start(d);
    driver_schedule(d);
}

/* After a failure nothing is written any more: what waits is answered, not tried. */
static void log_refuse(struct driver *d)
{
    LIST_FOREACH (&d->appends, n) {
        list_remove(n);
        struct core_event ev = {.type = CORE_EV_APPENDED,
                                .append = LIST_ENTRY(n, struct core_append, node),
                                .err = ERR_CLOSED};
        driver_step(d, &ev);
    }
    if (d->save != NULL) {
        struct core_event ev = {.type = CORE_EV_SAVED, .save = d->save, .err = ERR_CLOSED};
        d->save = NULL;
        driver_step(d, &ev);
    }
}

void driver_log_start(struct driver *d)
{
    struct log_job *l = &d->log;
    if (l->is_running) {
        return;
    }
    if (d->is_failed) {
        log_refuse(d);
    }
    if (list_is_empty(&d->appends) && d->save == NULL && !d->spare.is_made && !d->wants_log_job) {
        return;
    }
    LIST_FOREACH (&d->appends, n) {
        list_remove(n);
        list_push_back(&l->appends, n);
    }
    l->save = d->save;
    d->save = NULL;
    l->has_spare = d->spare.is_made;
    l->may_spare = !d->is_failed && env_mono_ms(d->env) >= d->spare_retry_ms;
    d->wants_log_job = false;
    l->level = d->level;
    l->is_running = true;
    l->job.run = log_run;
    l->job.done = log_done;
    d->env->exec->ops->submit(d->env->exec, ENV_LANE_LOG, &l->job);
}

/* ---- the next segment, ahead ---- */

static void spare_run(struct env_job *job)
{
    wal_spare_run(&container_of(job, struct spare_job, job)->spare);
}

static void spare_done(struct env_job *job)
{
    struct driver *d = container_of(job, struct driver, spare.job);
    d->spare.is_made = true;
    driver_log_start(d);
    driver_schedule(d);
}

static void spare_submit(struct driver *d)
{
    d->spare.is_running = true;
    d->spare.job.run = spare_run;
    d->spare.job.done = spare_done;
    d->env->exec->ops->submit(d->env->exec, ENV_LANE_WORK, &d->spare.job);
}

/* Writes stand still for want of space: only a new try can tell that there is some again. */
void driver_spare_retry(struct driver *d)
{
    if (d->was_short && !d->spare.is_running && env_mono_ms(d->env) >= d->spare_retry_ms) {
        d->wants_log_job = true;
        driver_log_start(d);
    }
}

void driver_spare_start(struct driver *d)
{
    if (wal_spare_begin(d->wal, &d->spare.spare)) {
        spare_submit(d);
    }
}

/* ---- backend lane ---- */

static void commit_run(struct env_job *job)
{
    struct driver *d = container_of(job, struct driver, commit.job);
    uint64_t t0 = now_ns(d);
    d->commit.err = backend_batch_commit(d->commit.batch);
    d->commit.ns = now_ns(d) - t0;
}

static void commit_done(struct env_job *job)
{
    struct driver *d = container_of(job, struct driver, commit.job);
    if (d->commit.err != 0) {
        char text[BOLT_ERROR_TEXT_BYTES];
        backend_error_text(d->epoch->backend, text, sizeof(text));
        log_error("failed to commit to the database file", LOG_ERR(d->commit.err),
                  LOG_STR("detail", text));
    }
    d->stats.commits++;
    timed(d, DRIVER_COMMIT, d->commit.ns);
    struct core_event ev = {
        .type = CORE_EV_COMMITTED, .batch = d->commit.batch, .err = d->commit.err};
    d->commit.batch = NULL;
    driver_step(d, &ev);
}

void driver_commit_start(struct driver *d, struct backend_batch *batch)
{
    ensure(d->commit.batch == NULL);
    d->commit.batch = batch;
    d->commit.job.run = commit_run;
    d->commit.job.done = commit_done;
    d->env->exec->ops->submit(d->env->exec, ENV_LANE_BACKEND, &d->commit.job);
}

/* ---- work lane ---- */

struct work_job {
    struct env_job job;
    struct list_node node;
    struct driver *driver;
    struct core_job *core_job;
    struct wal_cursor cursor; /* LOG_READ */
    uint64_t ns;
};

struct view_records {
    struct bolt_cursor cursor;
    bool is_started;
};

static int next_record(void *arg, struct slice *key, struct slice *value)
{
    struct view_records *v = arg;
    struct bolt_item item;
    int err =
        v->is_started ? bolt_cursor_next(&v->cursor, &item) : bolt_cursor_first(&v->cursor, &item);
    v->is_started = true;
    if (err == 0) {
        *key = item.key;
        *value = item.value;
    }
    return err;
}

static int run_hash(struct core_job *job)
{
    struct bolt_tx *tx = backend_view_tx(job->view);
    struct bolt_bucket *bucket;
    int err = bolt_bucket_open(tx, NULL, BOLT_READ_SCAN, slice_cstr("key"), &bucket);
    if (err != 0) {
        return err;
    }
    struct view_records records = {.is_started = false};
    bolt_cursor_init(&records.cursor, tx, bucket, BOLT_READ_SCAN);
    struct mvcc_source source = {next_record, &records};
    do {
        err = mvcc_hash_run(job->hash, &source, HASH_RUN_RECORDS);
    } while (err == ERR_AGAIN);
    bolt_cursor_release(&records.cursor);
    return err;
}

/* What belongs to the database that the view shows, out of the view itself. */
static int send_fill(struct core_send *s)
{
    struct schema_boot schema;
    struct membership ms;
    membership_init(&ms);
    int err = schema_boot_load(backend_view_tx(s->view), &schema);
    if (err == 0) {
        err = membership_load(&ms, &schema);
    }
    if (err == 0) {
        err = membership_conf_state(&ms, &s->meta.conf);
    }
    if (err == 0 && (schema.consistent_index == 0 || schema.term == 0)) {
        err = ERR_AGAIN; /* a file of 3.5 without a term: after the next commit */
    }
    if (err == 0) {
        s->meta.index = schema.consistent_index;
        s->meta.term = schema.term;
        v2store_encode(&s->v2_json, &ms, schema.cluster_version);
    }
    schema_boot_deinit(&schema);
    membership_deinit(&ms);
    return err;
}

static int run_log_read(struct work_job *w)
{
    struct driver *d = w->driver;
    struct core_job *job = w->core_job;
    const struct raft_log_read *read = &job->read;
    struct wal_detail detail = {""};
    struct wal_options o = {.disk = d->env->disk, .dir = d->wal_dir, .detail = &detail};
    struct wal_contents c;
    wal_contents_init(&c);
    int err = wal_read_range(&o, read->lo, read->hi, (size_t)read->bytes_max, &w->cursor, &c);
    if (err == 0) {
        job->entries = c.entries;
        job->entry_count = c.count;
    } else {
        wal_contents_deinit(&c);
    }
    return err;
}

static void work_run(struct env_job *j)
{
    struct work_job *w = container_of(j, struct work_job, job);
    struct core_job *job = w->core_job;
    uint64_t t0 = now_ns(w->driver);
    switch (job->kind) {
    case CORE_JOB_FETCH: job->err = mvcc_fetch_run(job->fetch, job->view); break;
    case CORE_JOB_HASH: job->err = run_hash(job); break;
    case CORE_JOB_HASH_ALL:
        job->err = mvcc_hash_all(backend_view_tx(job->view), &job->hash_all);
        break;
    case CORE_JOB_DEFRAG: job->err = backend_defrag_run(job->defrag); break;
    case CORE_JOB_SEND: job->err = send_fill(job->send); break;
    case CORE_JOB_LOG_READ: job->err = run_log_read(w); break;
    }
    w->ns = now_ns(w->driver) - t0;
}

/* Of this member, else a free one, else any. */
static struct log_cursor *cursor_of(struct driver *d, uint64_t to)
{
    struct log_cursor *free = &d->cursors[to % DRIVER_CURSORS_MAX];
    for (size_t i = 0; i < DRIVER_CURSORS_MAX; i++) {
        if (d->cursors[i].to == to) {
            return &d->cursors[i];
        }
        free = d->cursors[i].to == 0 ? &d->cursors[i] : free;
    }
    *free = (struct log_cursor){.to = to};
    return free;
}

static void work_done(struct env_job *j)
{
    struct work_job *w = container_of(j, struct work_job, job);
    struct driver *d = w->driver;
    if (w->core_job->kind == CORE_JOB_LOG_READ) {
        cursor_of(d, w->core_job->read.to)->at = w->cursor;
    }
    if (w->core_job->kind == CORE_JOB_DEFRAG) {
        timed(d, DRIVER_DEFRAG, w->ns);
    }
    struct core_event ev = {.type = CORE_EV_JOB_DONE, .job = w->core_job};
    list_remove(&w->node);
    mem_free(w);
    driver_step(d, &ev);
}

void driver_job_start(struct driver *d, struct core_job *job)
{
    struct work_job *w = mem_zalloc(sizeof(*w));
    w->driver = d;
    w->core_job = job;
    if (job->kind == CORE_JOB_LOG_READ) {
        w->cursor = cursor_of(d, job->read.to)->at;
    }
    w->job.run = work_run;
    w->job.done = work_done;
    list_push_back(&d->jobs, &w->node);
    enum env_lane lane = job->kind == CORE_JOB_DEFRAG ? ENV_LANE_BACKEND : ENV_LANE_WORK;
    d->env->exec->ops->submit(d->env->exec, lane, &w->job);
}

/* ---- a received database (storage-formats 4.4 step 3) ---- */

static void install_run(struct env_job *job)
{
    struct driver *d = container_of(job, struct driver, install.job);
    struct install_job *in = &d->install;
    raft_index index = in->install->meta.index;
    FAILPOINT(applyBeforeOpenSnapshot);
    in->err = snap_db_install(d->env->disk, d->snap_dir, index);
    if (in->err == 0) {
        in->err = epoch_open(in->epoch, d, in->text);
        FAILPOINT(applyAfterOpenSnapshot);
    }
    if (in->err == 0 && in->epoch->schema.consistent_index != index) {
        in->err = ERR_MISMATCH;
    }
    if (in->err == 0) {
        backend_committed_index_init(in->epoch->backend, index, in->epoch->schema.term);
        in->err = epoch_load(in->epoch, d, in->seed, in->text);
    }
    if (in->err == 0) {
        in->err = snap_release_dbs(d->env->disk, d->snap_dir, index);
    }
}

static void install_done(struct env_job *job)
{
    struct driver *d = container_of(job, struct driver, install.job);
    struct install_job *in = &d->install;
    struct epoch *e = in->epoch;
    struct core_boot boot = {
        .backend = e->backend,
        .store = e->store,
        .lessor = e->lessor,
        .members = &e->members,
        .schema = &e->schema,
    };
    struct core_event ev = {.type = CORE_EV_INSTALLED, .installed = &boot, .err = in->err};
    if (in->err != 0) {
        log_error("failed to put the leader's database in place", LOG_ERR(in->err),
                  LOG_STR("detail", in->text));
        driver_step(d, &ev);
        list_push_back(&d->old_epochs, &e->node);
    } else {
        driver_step(d, &ev);
        list_push_back(&d->old_epochs, &d->epoch->node);
        d->epoch = e;
        buf_clear(&d->conf_written);
    }
    epoch_schema_drop(e);
    in->epoch = NULL;
    in->install = NULL;
    purge_start(d);
}

void driver_install_start(struct driver *d, struct core_install *install)
{
    struct install_job *in = &d->install;
    ensure(in->install == NULL);
    in->install = install;
    in->epoch = mem_alloc(sizeof(*in->epoch));
    epoch_init(in->epoch);
    in->seed = driver_random(d);
    in->text[0] = 0;
    in->job.run = install_run;
    in->job.done = install_done;
    d->env->exec->ops->submit(d->env->exec, ENV_LANE_BACKEND, &in->job);
}

void driver_epochs_sweep(struct driver *d)
{
    LIST_FOREACH (&d->old_epochs, n) {
        struct epoch *e = LIST_ENTRY(n, struct epoch, node);
        if (e->store == NULL || e->backend == NULL || !epoch_is_read(e)) {
            list_remove(n);
            epoch_close(e);
            mem_free(e);
        }
    }
}

int driver_snapshot_check(struct env_disk *disk, const char *path, raft_index index)
{
    struct bolt_options o = {.disk = disk, .path = path, .read_only = true};
    struct bolt_db *db;
    struct bolt_tx *tx;
    struct schema_boot schema;
    struct membership ms;
    int err = bolt_db_open(&o, &db);
    if (err != 0) {
        return err;
    }
    err = bolt_tx_begin(db, false, &tx);
    if (err == 0) {
        membership_init(&ms);
        err = schema_boot_load(tx, &schema);
        if (err == 0 && (schema.consistent_index != index || schema.auth_enabled)) {
            err = schema.auth_enabled ? ERR_UNSUPPORTED : ERR_MISMATCH;
        }
        if (err == 0) {
            err = membership_load(&ms, &schema);
        }
        membership_deinit(&ms);
        schema_boot_deinit(&schema);
        bolt_tx_rollback(tx);
    }
    bolt_db_close(db);
    return err;
}

/* ---- old files ---- */

static void purge_run(struct env_job *job)
{
    struct driver *d = container_of(job, struct driver, purge.job);
    struct env_disk *disk = d->env->disk;
    int err = wal_purge(disk, d->wal_dir, d->config.max_wals);
    if (err == 0) {
        err = snap_purge(disk, d->snap_dir, "snap", d->config.max_snapshots);
    }
    if (err != 0) {
        /* Old files left behind harm nobody; the next purge tries again. */
        log_warn("failed to purge old files", LOG_STR("dir", d->wal_dir), LOG_ERR(err));
    }
}

static void purge_done(struct env_job *job)
{
    struct driver *d = container_of(job, struct driver, purge.job);
    d->purge.is_running = false;
    driver_schedule(d);
    if (d->purge.is_wanted) {
        purge_start(d);
    }
}

static void purge_start(struct driver *d)
{
    if (d->purge.is_running) {
        d->purge.is_wanted = true;
        return;
    }
    d->purge.is_wanted = false;
    d->purge.is_running = true;
    d->purge.job.run = purge_run;
    d->purge.job.done = purge_done;
    d->env->exec->ops->submit(d->env->exec, ENV_LANE_WORK, &d->purge.job);
}
