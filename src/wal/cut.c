/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/cut: from one segment to the next, and the spare that makes it cheap.
 *
 * Design      storage-formats 3.7: the tail is cut to its contents and synced, the spare gets crc,
 *             metadata and state, is synced, renamed to its name, and the directory is synced.  The
 *             lock belongs to the open file, so the rename keeps it and nothing is reopened.
 *
 *             The spare is made on a work thread (begin / run / end), because allocating and
 * zeroing 64 MB takes longer than a sync.  A tail that is not zeroed (the first segment, and the
 * one found at a start) is left early, as soon as there is a spare that is: each sync into blocks
 * never written costs a commit of the file system's journal (twice the time for 30 KB batches).  If
 * the disk is full there is no spare: the segment in use, which has its blocks, is the reserve in
 * which writing stops in order.  A cut that finds neither spare nor space is put off, and the
 * segment grows past its size.
 */
#include <inttypes.h>

#include "base/log.h"
#include "wal/internal.h"

enum { ZERO_BYTES = 512 << 10 };

static int header_write(struct wal *w, struct env_file *f);
static int publish(struct wal *w, struct wal_name name);

/* ---- spare ---- */

bool wal_spare_begin(struct wal *w, struct wal_spare_job *job)
{
    if (w->spare != NULL || w->spare_is_under_way || w->failed != 0 || w->mode != WAL_MODE_APPEND) {
        return false;
    }
    /* Two names in turn: the one published last may still be in use under its old name. */
    const char *name = w->spare_number % 2 == 0 ? "0.tmp" : "1.tmp";
    *job = (struct wal_spare_job){
        .disk = w->disk,
        .path = env_path_join(w->dir, name),
        .bytes = w->segment_bytes,
        .zero = w->zero_spares,
    };
    w->spare_is_under_way = true;
    return true;
}

/* Zeros at [off, end), a piece and a sync at a time: one large sync would stand in the way of the
 * appends of that time. */
static int zero_range(struct env_file *f, const uint8_t *zeros, uint64_t off, uint64_t end)
{
    int err = 0;
    while (err == 0 && off < end) {
        uint64_t n = end - off < ZERO_BYTES ? end - off : ZERO_BYTES;
        struct slice part = slice_make(zeros, (size_t)n);
        err = f->ops->write_at(f, &part, 1, off);
        err = err == 0 ? f->ops->sync_data(f) : err;
        off += n;
    }
    return err;
}

/* Past the page cache, which these zeros would only fill (and copying them there costs as much as
 * the log's own writes); what is not a multiple of the alignment goes through f. */
static int zero_fill(const struct wal_spare_job *job, struct env_file *f)
{
    struct env_file *direct;
    int err =
        job->disk->ops->open(job->disk, job->path, ENV_OPEN_WRITE | ENV_OPEN_DIRECT, 0600, &direct);
    if (err != 0) {
        return err;
    }
    uint64_t even = job->bytes - job->bytes % ENV_DIRECT_ALIGN;
    uint8_t *memory = mem_zalloc(ZERO_BYTES + ENV_DIRECT_ALIGN);
    const uint8_t *zeros =
        memory + (ENV_DIRECT_ALIGN - (uintptr_t)memory % ENV_DIRECT_ALIGN) % ENV_DIRECT_ALIGN;
    err = zero_range(direct, zeros, 0, even);
    err = err == 0 ? zero_range(f, zeros, even, job->bytes) : err;
    direct->ops->close(direct);
    mem_free(memory);
    return err;
}

void wal_spare_run(struct wal_spare_job *job)
{
    struct env_file *f;
    int err = job->disk->ops->open(job->disk, job->path,
                                   ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE, 0600, &f);
    if (err != 0) {
        job->err = err;
        return;
    }
    err = f->ops->lock(f, ENV_LOCK_OFD);
    if (err == 0) {
        err = f->ops->truncate(f, 0); /* a crash may have left records of a cut in it */
    }
    if (err == 0) {
        err = f->ops->preallocate(f, job->bytes);
    }
    if (err == 0 && job->zero) {
        err = zero_fill(job, f);
    }
    if (err != 0) {
        if (err != ERR_LOCKED) {
            (void)job->disk->ops->unlink(job->disk, job->path); /* give the blocks back */
        }
        f->ops->close(f);
        f = NULL;
    }
    job->file = f;
    job->err = err;
}

int wal_spare_end(struct wal *w, struct wal_spare_job *job)
{
    ensure(w->spare_is_under_way && w->spare == NULL);
    int err = job->err;
    w->spare_is_under_way = false;
    if (err == 0) {
        w->spare = job->file;
        w->spare_path = job->path;
        w->spare_number++;
        w->is_short_of_space = false;
    } else {
        mem_free(job->path);
        if (err == ERR_NO_SPACE) {
            w->is_short_of_space = true;
        }
        log_error("failed to preallocate space when creating a new WAL",
                  LOG_U64("size", w->segment_bytes), LOG_ERR(err));
    }
    job->file = NULL;
    job->path = NULL;
    return err;
}

bool wal_is_short_of_space(const struct wal *w)
{
    return w->is_short_of_space;
}

void wal_spare_drop(struct wal *w)
{
    if (w->spare == NULL) {
        return;
    }
    (void)w->disk->ops->unlink(w->disk, w->spare_path);
    w->spare->ops->close(w->spare);
    mem_free(w->spare_path);
    w->spare = NULL;
    w->spare_path = NULL;
}

/* ---- cut ---- */

/* A spare now, whatever it costs. */
static int spare_need(struct wal *w)
{
    struct wal_spare_job job;
    if (w->spare != NULL || !wal_spare_begin(w, &job)) {
        return w->spare != NULL ? 0 : ERR_BUSY;
    }
    wal_spare_run(&job);
    return wal_spare_end(w, &job);
}

int wal_cut(struct wal *w)
{
    int err = spare_need(w);
    if (err == ERR_NO_SPACE || err == ERR_BUSY) {
        return 0; /* put off: the next append tries again */
    }
    if (err != 0) {
        return wal_fail(w, err, "no next segment");
    }
    struct wal_source *tail = wal_tail(w);
    err = tail->file->ops->truncate(tail->file, w->offset);
    if (err != 0) {
        return wal_fail(w, err, "truncate failed");
    }
    w->is_dirty = true;
    err = wal_sync(w);
    if (err != 0) {
        return err;
    }
    struct wal_name name = {tail->name.seq + 1, w->last_index + 1};
    err = header_write(w, w->spare);
    return err != 0 ? err : publish(w, name);
}

static int header_write(struct wal *w, struct env_file *f)
{
    buf_clear(&w->out);
    wal_record_put_crc(&w->out, w->chain);
    wal_record_put(&w->out, WAL_RECORD_METADATA, buf_slice(&w->metadata), SLICE_NULL, &w->chain);
    if (!raft_hard_state_is_empty(&w->hard_state)) {
        struct buf hs = BUF_INIT;
        raftpb_hard_state_encode(&hs, &w->hard_state);
        wal_record_put(&w->out, WAL_RECORD_STATE, buf_slice(&hs), SLICE_NULL, &w->chain);
        buf_deinit(&hs);
    }
    int err = wal_write_out(w, f, 0);
    if (err == 0 && !w->no_sync) {
        err = f->ops->sync_data(f);
        err = err == 0 ? 0 : wal_fail(w, err, "fdatasync failed");
    }
    return err;
}

/* The spare, header durable, becomes the tail. */
static int publish(struct wal *w, struct wal_name name)
{
    char text[WAL_NAME_MAX];
    wal_name_format(text, name);
    char *path = env_path_join(w->dir, text);
    int err = w->disk->ops->rename(w->disk, w->spare_path, path);
    if (err == 0 && !w->no_sync) {
        err = w->disk->ops->sync_dir(w->disk, w->dir);
    }
    if (err != 0) {
        err = wal_fail(w, err, "cannot publish the next segment");
        mem_free(path);
        return err;
    }
    wal_segment_push(w, (struct wal_source){.file = w->spare, .name = name});
    mem_free(w->spare_path);
    w->spare = NULL;
    w->spare_path = NULL;
    w->tail_is_zeroed = w->zero_spares;
    w->offset = w->out.len;
    w->is_dirty = false;
    w->needs_sync = false;
    w->sync_count++;
    log_info("created a new WAL segment", LOG_STR("path", path));
    mem_free(path);
    return 0;
}

/* ---- purge ---- */

struct purge_list {
    struct buf names; /* NUL-separated, ascending */
    size_t count;
};

static int purge_add(void *arg, const char *name)
{
    struct purge_list *l = arg;
    size_t len = strlen(name);
    if (len >= 4 && strcmp(name + len - 4, ".wal") == 0) {
        buf_append(&l->names, name, len + 1);
        l->count++;
    }
    return 0;
}

/* ERR_LOCKED: somebody still needs it.  Each is gone for good before the next one: a power cut that
 * brought an older one back without a newer one would leave a hole in the chain. */
static int purge_one(struct env_disk *disk, const char *dir, const char *path)
{
    struct env_file *f;
    int err = disk->ops->open(disk, path, ENV_OPEN_WRITE, 0600, &f);
    if (err != 0) {
        return err;
    }
    err = f->ops->lock(f, ENV_LOCK_OFD);
    if (err == 0) {
        err = disk->ops->unlink(disk, path);
    }
    if (err == 0) {
        err = disk->ops->sync_dir(disk, dir);
    }
    f->ops->close(f);
    return err;
}

int wal_purge(struct env_disk *disk, const char *dir, unsigned max)
{
    struct purge_list l = {BUF_INIT, 0};
    int err = max == 0 ? 0 : disk->ops->list(disk, dir, purge_add, &l);
    const char *name = (const char *)l.names.data;
    for (size_t left = l.count; err == 0 && left > max; left--) {
        char *path = env_path_join(dir, name);
        err = purge_one(disk, dir, path);
        if (err == 0) {
            log_info("purged", LOG_STR("path", path));
        } else if (err == ERR_LOCKED) {
            log_debug("failed to lock file", LOG_STR("path", path), LOG_ERR(err));
        }
        mem_free(path);
        name += strlen(name) + 1;
    }
    buf_deinit(&l.names);
    return err == ERR_LOCKED ? 0 : err;
}
