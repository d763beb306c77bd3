/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/open: a new log, and an old one read to its end (storage-formats 3.5, 3.10).
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "wal/internal.h"

static int first_segment(struct wal *w, const char *tmp_dir, const struct wal_metadata *metadata);
static int replay_record(struct wal *w, struct wal_decoder *d, const struct wal_record *rec,
                         struct wal_contents *c);
static int replay_end(struct wal *w, struct wal_decoder *d, int end);

/* ---- contents ---- */

void wal_contents_init(struct wal_contents *c)
{
    *c = (struct wal_contents){.entries = NULL};
}

void wal_contents_truncate(struct wal_contents *c, size_t n)
{
    while (c->count > n) {
        rcbuf_unref(c->entries[--c->count].owner);
    }
}

void wal_contents_deinit(struct wal_contents *c)
{
    wal_contents_truncate(c, 0);
    mem_free(c->entries);
    wal_contents_init(c);
}

/* ---- create ---- */

/* Creates and removes an empty file: the directory can be written to (storage-formats 7.2). */
static int write_test(struct env_disk *disk, const char *dir)
{
    char *path = env_path_join(dir, ".touch");
    struct env_file *f;
    int err =
        disk->ops->open(disk, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNC, 0600, &f);
    if (err == 0) {
        f->ops->close(f);
        err = disk->ops->unlink(disk, path);
    }
    mem_free(path);
    return err;
}

/* <dir>.tmp with one synced segment in it. */
static int create_tmp(struct wal *w, const char *tmp_dir, const struct wal_metadata *metadata)
{
    int err = env_remove_all(w->disk, tmp_dir);
    if (err == 0) {
        err = env_mkdir_all(w->disk, tmp_dir, 0700);
    }
    if (err == 0) {
        err = write_test(w->disk, tmp_dir);
    }
    if (err != 0) {
        wal_detail_set(&w->detail, "failed to create a temporary WAL directory %s: %s", tmp_dir,
                       w->disk->ops->last_text(w->disk));
        return err;
    }
    return first_segment(w, tmp_dir, metadata);
}

static int first_segment(struct wal *w, const char *tmp_dir, const struct wal_metadata *metadata)
{
    struct wal_name name = {0, 0};
    char text[WAL_NAME_MAX];
    wal_name_format(text, name);
    char *path = env_path_join(tmp_dir, text);
    struct env_file *f;
    int err = w->disk->ops->open(w->disk, path, ENV_OPEN_READ | ENV_OPEN_WRITE | ENV_OPEN_CREATE,
                                 0600, &f);
    if (err == 0) {
        wal_segment_push(w, (struct wal_source){.file = f, .name = name});
        err = f->ops->lock(f, ENV_LOCK_OFD);
        err = err == 0 ? f->ops->preallocate(f, w->segment_bytes) : err;
    }
    if (err != 0) {
        wal_detail_set(&w->detail, "failed to make the initial WAL file %s: %s", path,
                       w->disk->ops->last_text(w->disk));
        mem_free(path);
        return err;
    }
    mem_free(path);
    const struct raft_snapshot_meta none = {.index = 0};
    raftpb_metadata_encode(&w->metadata, metadata);
    buf_clear(&w->out);
    wal_record_put_crc(&w->out, 0);
    wal_record_put(&w->out, WAL_RECORD_METADATA, buf_slice(&w->metadata), SLICE_NULL, &w->chain);
    wal_put_snapshot(w, &none);
    err = wal_write_out(w, f, 0);
    if (err == 0) {
        w->offset = w->out.len;
        err = wal_sync(w);
    }
    /* etcd leaves this out: the name of the segment itself could then be lost, with all that was
     * acknowledged later (found by test/crash). */
    if (err == 0 && !w->no_sync) {
        err = w->disk->ops->sync_dir(w->disk, tmp_dir);
    }
    return err;
}

/* The rename is done but may not be durable: etcd puts such a log aside. */
static void put_aside(struct wal *w, int64_t wall_ns)
{
    time_t s = (time_t)(wall_ns / 1000000000);
    struct tm tm;
    char stamp[32];
    (void)gmtime_r(&s, &tm);
    (void)strftime(stamp, sizeof(stamp), "%Y%m%d.%H%M%S", &tm);
    struct buf to = BUF_INIT;
    buf_printf(&to, "%s.broken.%s.%06" PRId64, w->dir, stamp, wall_ns / 1000 % 1000000);
    (void)w->disk->ops->rename(w->disk, w->dir, buf_cstr(&to));
    buf_deinit(&to);
}

static int create_publish(struct wal *w, const char *tmp_dir, int64_t wall_ns)
{
    int err = env_remove_all(w->disk, w->dir);
    if (err == 0) {
        err = w->disk->ops->rename(w->disk, tmp_dir, w->dir);
    }
    if (err != 0) {
        wal_detail_set(&w->detail, "failed to rename the temporary WAL directory %s to %s: %s",
                       tmp_dir, w->dir, w->disk->ops->last_text(w->disk));
        return err;
    }
    char *parent = env_path_dir(w->dir);
    if (!w->no_sync) {
        err = w->disk->ops->sync_dir(w->disk, parent);
    }
    if (err != 0) {
        wal_detail_set(&w->detail, "failed to fsync the parent data directory file %s: %s", parent,
                       w->disk->ops->last_text(w->disk));
        put_aside(w, wall_ns);
    }
    mem_free(parent);
    return err;
}

static void detail_out(const struct wal_options *opts, const struct wal *w)
{
    if (opts->detail != NULL) {
        *opts->detail = w->detail;
    }
}

int wal_create(const struct wal_options *opts, const struct wal_metadata *metadata,
               struct wal **out)
{
    if (wal_exists(opts->disk, opts->dir)) {
        wal_detail_set(opts->detail, "file already exists");
        return ERR_EXISTS;
    }
    struct wal *w = wal_new(opts, WAL_MODE_APPEND);
    struct buf tmp = BUF_INIT;
    size_t len = strlen(w->dir);
    while (len > 1 && w->dir[len - 1] == '/') {
        len--; /* <dir>.tmp is a sibling, not a child */
    }
    buf_append(&tmp, w->dir, len);
    buf_append_cstr(&tmp, ".tmp");
    int err = create_tmp(w, buf_cstr(&tmp), metadata);
    if (err == 0) {
        err = create_publish(w, buf_cstr(&tmp), opts->wall_ns);
    }
    if (err != 0) {
        detail_out(opts, w);
        wal_free(w);
        (void)env_remove_all(opts->disk, buf_cstr(&tmp));
    } else {
        *out = w;
    }
    buf_deinit(&tmp);
    return err;
}

/* ---- open ---- */

int wal_open(const struct wal_options *opts, struct raft_entry_id at, bool write, struct wal **out)
{
    struct wal_names names;
    int err = wal_names_list(opts->disk, opts->dir, &names, opts->detail);
    if (err != 0) {
        return err;
    }
    size_t first;
    struct wal_source *sources;
    size_t count;
    err = wal_names_select(&names, at.index, &first, opts->detail);
    if (err == 0) {
        err = wal_sources_open(opts->disk, opts->dir, &names, first, write, &sources, &count,
                               opts->detail);
    }
    wal_names_deinit(&names);
    if (err != 0) {
        return err;
    }
    struct wal *w = wal_new(opts, write ? WAL_MODE_REPLAY : WAL_MODE_READ);
    w->start = at;
    w->segments = sources;
    w->segment_count = w->segment_cap = count;
    *out = w;
    return 0;
}

/* ---- read all ---- */

int wal_read_all(struct wal *w, struct wal_contents *out)
{
    ensure(w->mode != WAL_MODE_APPEND);
    struct wal_decoder d;
    struct wal_contents c;
    struct wal_record rec;
    wal_contents_init(&c);
    wal_decoder_init(&d, w->segments, w->segment_count, &w->detail);
    int err;
    while ((err = wal_decoder_next(&d, &rec)) == 0) {
        err = replay_record(w, &d, &rec, &c);
        if (err != 0) {
            break;
        }
    }
    err = replay_end(w, &d, err);
    if (err == 0 && w->mode != WAL_MODE_READ && !c.has_metadata) {
        wal_detail_set(&w->detail, "wal: no metadata record");
        err = ERR_MALFORMED;
    }
    wal_decoder_deinit(&d);
    if (err != 0) {
        wal_contents_deinit(&c);
        return err;
    }
    w->hard_state = c.hard_state;
    *out = c;
    if (w->mode == WAL_MODE_READ) {
        if (!c.has_snapshot) {
            wal_detail_set(&w->detail, "wal: snapshot not found");
            return ERR_NOT_FOUND;
        }
        return 0;
    }
    w->mode = WAL_MODE_APPEND;
    wal_check(w);
    return 0;
}

/* Later records replace what they overlap: a leader of a newer term wrote them. */
static int replay_entry(struct wal *w, struct wal_decoder *d, const struct wal_record *rec,
                        struct wal_contents *c)
{
    struct raft_entry e;
    int err = raftpb_entry_decode(rec->data, &e);
    if (err != 0) {
        wal_detail_set(&w->detail, "wal: entry cannot be parsed: before position: %" PRIu64,
                       d->valid_off);
        return err;
    }
    w->last_index = e.index;
    if (e.index <= w->start.index) {
        return 0;
    }
    uint64_t k = e.index - w->start.index - 1;
    if (k > c->count) {
        wal_detail_set(&w->detail,
                       "wal: slice bounds out of range, snapshot[Index: %" PRIu64 ", Term: %" PRIu64
                       "], current entry[Index: %" PRIu64 ", Term: %" PRIu64 "], len(ents): %zu",
                       w->start.index, w->start.term, e.index, e.term, c->count);
        return ERR_GAP;
    }
    wal_contents_truncate(c, (size_t)k);
    if (c->count == c->cap) {
        c->cap = c->cap == 0 ? 256 : c->cap * 2;
        c->entries = mem_realloc(c->entries, c->cap * sizeof(c->entries[0]));
    }
    e.owner = e.data.len > 0 ? rcbuf_ref(d->chunk) : NULL;
    c->entries[c->count++] = e;
    return 0;
}

static int replay_snapshot(struct wal *w, const struct wal_record *rec, struct wal_contents *c)
{
    struct raft_snapshot_meta snap;
    int err = raftpb_wal_snapshot_decode(rec->data, &snap);
    if (err != 0) {
        wal_detail_set(&w->detail, "wal: snapshot record cannot be parsed");
        return err;
    }
    if (snap.index > w->last_index) {
        w->last_index = snap.index;
    }
    if (snap.index != w->start.index) {
        return 0;
    }
    if (snap.term != w->start.term) {
        wal_detail_set(&w->detail, "wal: snapshot mismatch");
        return ERR_MISMATCH;
    }
    c->has_snapshot = true;
    return 0;
}

static int replay_metadata(struct wal *w, const struct wal_record *rec, struct wal_contents *c)
{
    if (c->has_metadata) {
        if (slice_equal(buf_slice(&w->metadata), rec->data)) {
            return 0;
        }
        wal_detail_set(&w->detail, "wal: conflicting metadata found");
        return ERR_MISMATCH;
    }
    int err = rec->data.len == 0 ? ERR_MALFORMED : raftpb_metadata_decode(rec->data, &c->metadata);
    if (err != 0) {
        wal_detail_set(&w->detail, "wal: metadata record cannot be parsed");
    } else {
        buf_clear(&w->metadata);
        buf_append_slice(&w->metadata, rec->data);
        c->has_metadata = true;
    }
    return err;
}

static int replay_record(struct wal *w, struct wal_decoder *d, const struct wal_record *rec,
                         struct wal_contents *c)
{
    switch (rec->type) {
    case WAL_RECORD_ENTRY: return replay_entry(w, d, rec, c);
    case WAL_RECORD_STATE: return raftpb_hard_state_decode(rec->data, &c->hard_state);
    case WAL_RECORD_METADATA: return replay_metadata(w, rec, c);
    case WAL_RECORD_CRC: return 0; /* the decoder has checked and taken it */
    case WAL_RECORD_SNAPSHOT: return replay_snapshot(w, rec, c);
    default:
        wal_detail_set(&w->detail, "unexpected block type %" PRIu64, rec->type);
        return ERR_MALFORMED;
    }
}

/* What lies behind the last record was never acknowledged, but it could be taken for records once
 * new ones stand before it: zero it. */
static int zero_to_end(struct wal *w, struct wal_source *tail)
{
    if (w->offset == tail->size) {
        return 0;
    }
    int err = tail->file->ops->truncate(tail->file, w->offset);
    if (err == 0) {
        err = tail->file->ops->preallocate(tail->file, tail->size);
    }
    if (err != 0) {
        wal_detail_set(&w->detail, "wal: cannot zero the end of the last segment: %s",
                       w->disk->ops->last_text(w->disk));
    }
    return err;
}

static int replay_end(struct wal *w, struct wal_decoder *d, int end)
{
    if (w->mode == WAL_MODE_READ) {
        return end == ERR_END || end == ERR_TRUNCATED ? 0 : end;
    }
    if (end != ERR_END) {
        return end;
    }
    ensure(d->at + 1 == w->segment_count);
    w->offset = d->valid_off;
    w->chain = d->chain;
    w->is_dirty = true; /* the first sync also covers what was read but perhaps never synced */
    return zero_to_end(w, wal_tail(w));
}
