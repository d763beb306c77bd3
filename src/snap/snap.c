/* SPDX-License-Identifier: Apache-2.0
 *
 * snap/snap: see snap.h.
 */
#include "snap/snap.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/log.h"

/* ---- names in a directory ---- */

struct name_list {
    struct buf text; /* NUL-separated */
    size_t count;
    const char *prefix;
    const char *suffix;
};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s);
    size_t m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static bool starts_with(const char *s, const char *start)
{
    return strncmp(s, start, strlen(start)) == 0;
}

static int name_add(void *arg, const char *name)
{
    struct name_list *l = arg;
    if (starts_with(name, l->prefix) && ends_with(name, l->suffix)) {
        buf_append(&l->text, name, strlen(name) + 1);
        l->count++;
    }
    return 0;
}

/* Ascending. */
static int names_list(struct env_disk *disk, const char *dir, const char *prefix,
                      const char *suffix, struct name_list *l)
{
    *l = (struct name_list){BUF_INIT, 0, prefix, suffix};
    int err = disk->ops->list(disk, dir, name_add, l);
    if (err != 0) {
        buf_deinit(&l->text);
    }
    return err;
}

/* The i-th name; linear, the lists are short. */
static const char *name_at(const struct name_list *l, size_t i)
{
    const char *name = (const char *)l->text.data;
    ensure(i < l->count);
    while (i-- > 0) {
        name += strlen(name) + 1;
    }
    return name;
}

static int unlink_in(struct env_disk *disk, const char *dir, const char *name)
{
    char *path = env_path_join(dir, name);
    int err = disk->ops->unlink(disk, path);
    mem_free(path);
    return err == ERR_NOT_FOUND ? 0 : err;
}

/* ---- bytes ---- */

void snap_file_init(struct snap_file *s)
{
    memset(s, 0, sizeof(*s));
    buf_init(&s->data);
}

void snap_file_deinit(struct snap_file *s)
{
    buf_deinit(&s->data);
}

void snap_name(struct buf *out, raft_term term, raft_index index)
{
    buf_printf(out, "%016" PRIx64 "-%016" PRIx64 ".snap", term, index);
}

void snap_encode(struct buf *out, struct slice data, const struct raft_snapshot_meta *meta,
                 enum raftpb_emission em)
{
    struct buf inner = BUF_INIT;
    raftpb_snapshot_encode(&inner, data, meta, em);
    buf_append_byte(out, 1 << 3);
    buf_append_varint(out, crc32c(0, inner.data, inner.len));
    buf_append_byte(out, 2 << 3 | 2);
    buf_append_varint(out, inner.len);
    buf_append_slice(out, buf_slice(&inner));
    buf_deinit(&inner);
}

/* The two fields of the outer message, in any order. */
static int outer_decode(struct slice in, uint32_t *out_crc, struct slice *out_data)
{
    while (in.len > 0) {
        uint64_t tag;
        uint64_t v;
        size_t n = varint_get(in.data, in.len, &tag);
        if (n == 0) {
            return ERR_MALFORMED;
        }
        in = slice_skip(in, n);
        n = varint_get(in.data, in.len, &v);
        if (n == 0 || (tag & 7) == 5 || (tag & 7) == 1) {
            return ERR_MALFORMED;
        }
        in = slice_skip(in, n);
        if (tag == 8) {
            *out_crc = (uint32_t)v;
        } else if ((tag & 7) == 2) {
            if (v > in.len) {
                return ERR_MALFORMED;
            }
            if (tag == 18) {
                *out_data = slice_make(in.data, (size_t)v);
            }
            in = slice_skip(in, (size_t)v);
        } else if ((tag & 7) != 0) {
            return ERR_MALFORMED;
        }
    }
    return 0;
}

int snap_decode(struct slice in, struct snap_file *out)
{
    uint32_t crc = 0;
    struct slice data = SLICE_NULL;
    if (in.len == 0) {
        return ERR_TRUNCATED;
    }
    int err = outer_decode(in, &crc, &data);
    if (err != 0) {
        return err;
    }
    if (data.len == 0 || crc == 0) {
        return ERR_TRUNCATED; /* etcd: "snap: empty snapshot" */
    }
    if (crc32c(0, data.data, data.len) != crc) {
        return ERR_CHECKSUM;
    }
    struct raftpb_snapshot snap;
    err = raftpb_snapshot_decode(data, &snap);
    if (err == 0) {
        out->meta = snap.meta;
        buf_clear(&out->data);
        buf_append_slice(&out->data, snap.data);
    }
    return err;
}

/* ---- files ---- */

/* Any leftover named tmp* is deleted by every etcd at start. */
static int write_tmp(struct env_disk *disk, const char *tmp, struct slice bytes)
{
    struct env_file *f;
    int err =
        disk->ops->open(disk, tmp, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNC, 0666, &f);
    if (err != 0) {
        return err;
    }
    err = f->ops->write_at(f, &bytes, 1, 0);
    if (err == 0) {
        err = f->ops->sync(f);
    }
    f->ops->close(f);
    return err;
}

int snap_save(struct env_disk *disk, const char *dir, struct slice data,
              const struct raft_snapshot_meta *meta, enum raftpb_emission em)
{
    struct buf bytes = BUF_INIT;
    struct buf name = BUF_INIT;
    struct buf tmp_name = BUF_INIT;
    snap_encode(&bytes, data, meta, em);
    snap_name(&name, meta->term, meta->index);
    buf_printf(&tmp_name, "tmp.%s", buf_cstr(&name));
    char *path = env_path_join(dir, buf_cstr(&name));
    char *tmp = env_path_join(dir, buf_cstr(&tmp_name));

    int err = write_tmp(disk, tmp, buf_slice(&bytes));
    if (err == 0) {
        err = disk->ops->rename(disk, tmp, path);
    }
    if (err == 0) {
        err = disk->ops->sync_dir(disk, dir);
    } else {
        log_warn("failed to write a snap file", LOG_STR("path", path), LOG_ERR(err));
        (void)disk->ops->unlink(disk, tmp);
    }
    mem_free(path);
    mem_free(tmp);
    buf_deinit(&tmp_name);
    buf_deinit(&name);
    buf_deinit(&bytes);
    return err;
}

int snap_read(struct env_disk *disk, const char *path, struct snap_file *out)
{
    struct buf bytes = BUF_INIT;
    int err = env_read_file(disk, path, SNAP_FILE_BYTES_MAX, &bytes);
    if (err == 0) {
        err = snap_decode(buf_slice(&bytes), out);
    }
    buf_deinit(&bytes);
    return err;
}

static void mark_broken(struct env_disk *disk, const char *path, int why)
{
    struct buf broken = BUF_INIT;
    buf_printf(&broken, "%s.broken", path);
    log_warn("failed to read a snap file", LOG_STR("path", path), LOG_ERR(why));
    int err = disk->ops->rename(disk, path, buf_cstr(&broken));
    if (err != 0) {
        log_warn("failed to rename a broken snap file", LOG_STR("path", path),
                 LOG_STR("broken-path", buf_cstr(&broken)), LOG_ERR(err));
    } else {
        log_warn("renamed to a broken snap file", LOG_STR("path", path),
                 LOG_STR("broken-path", buf_cstr(&broken)));
    }
    buf_deinit(&broken);
}

static bool is_wanted(const struct snap_file *s, const struct raft_snapshot_meta *wal_snaps,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (wal_snaps[i].term == s->meta.term && wal_snaps[i].index == s->meta.index) {
            return true;
        }
    }
    return wal_snaps == NULL;
}

/* True when the file is the one.  Only content that is bad condemns a file: a disk that cannot be
 * read now, or memory that ends, does not. */
static int try_file(struct env_disk *disk, const char *path,
                    const struct raft_snapshot_meta *wal_snaps, size_t count, struct snap_file *out,
                    bool *out_found)
{
    int err = snap_read(disk, path, out);
    if (err == ERR_NOMEM || err == ERR_IO || err == ERR_TOO_MANY_FILES) {
        return err;
    }
    if (err != 0) {
        mark_broken(disk, path, err);
        return 0;
    }
    *out_found = is_wanted(out, wal_snaps, count);
    return 0;
}

int snap_load_newest(struct env_disk *disk, const char *dir,
                     const struct raft_snapshot_meta *wal_snaps, size_t count,
                     struct snap_file *out)
{
    struct name_list l;
    int err = names_list(disk, dir, "", ".snap", &l);
    bool found = false;
    for (size_t i = l.count; err == 0 && !found && i > 0; i--) {
        char *path = env_path_join(dir, name_at(&l, i - 1));
        err = try_file(disk, path, wal_snaps, count, out, &found);
        mem_free(path);
    }
    buf_deinit(&l.text);
    return err != 0 ? err : found ? 0 : ERR_NOT_FOUND;
}

/* ---- leftovers ---- */

static int remove_matching(struct env_disk *disk, const char *dir, const char *prefix,
                           const char *message)
{
    struct name_list l;
    int err = names_list(disk, dir, prefix, "", &l);
    for (size_t i = 0; err == 0 && i < l.count; i++) {
        const char *name = name_at(&l, i);
        log_info(message, LOG_STR("path", name));
        err = unlink_in(disk, dir, name);
    }
    buf_deinit(&l.text);
    return err;
}

int snap_clean(struct env_disk *disk, const char *dir)
{
    int err = remove_matching(disk, dir, "tmp", "found orphaned temporary file; deleting");
    return err != 0 ? err
                    : remove_matching(disk, dir, "db.tmp",
                                      "found orphaned defragmentation file; deleting");
}

static bool db_index(const char *name, raft_index *out)
{
    raft_index v = 0;
    size_t n = strlen(name) - strlen(".snap.db");
    if (n == 0 || n > 16) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                            : 16;
        if (d == 16) {
            return false;
        }
        v = v << 4 | d;
    }
    *out = v;
    return true;
}

int snap_release_dbs(struct env_disk *disk, const char *dir, raft_index index)
{
    struct name_list l;
    int err = names_list(disk, dir, "", ".snap.db", &l);
    for (size_t i = 0; err == 0 && i < l.count; i++) {
        const char *name = name_at(&l, i);
        raft_index at;
        if (!db_index(name, &at)) {
            log_error("failed to parse index from filename", LOG_STR("path", name));
        } else if (at < index) {
            log_info("found orphaned .snap.db file; deleting", LOG_STR("path", name));
            err = unlink_in(disk, dir, name);
        }
    }
    buf_deinit(&l.text);
    return err;
}

int snap_purge(struct env_disk *disk, const char *dir, const char *suffix, unsigned max)
{
    struct name_list l;
    if (max == 0) {
        return 0;
    }
    int err = names_list(disk, dir, "", suffix, &l);
    for (size_t i = 0; err == 0 && i + max < l.count; i++) {
        err = unlink_in(disk, dir, name_at(&l, i));
        if (err == 0) {
            log_info("purged", LOG_STR("path", name_at(&l, i)));
        }
    }
    buf_deinit(&l.text);
    return err;
}

/* ---- received databases ---- */

char *snap_db_path(const char *dir, raft_index index)
{
    struct buf name = BUF_INIT;
    buf_printf(&name, "%016" PRIx64 ".snap.db", index);
    char *path = env_path_join(dir, buf_cstr(&name));
    buf_deinit(&name);
    return path;
}

int snap_db_install(struct env_disk *disk, const char *dir, raft_index index)
{
    char *from = snap_db_path(dir, index);
    char *to = env_path_join(dir, "db");
    int err = disk->ops->rename(disk, from, to);
    if (err == 0) {
        err = disk->ops->sync_dir(disk, dir);
    } else if (err == ERR_NOT_FOUND) {
        log_warn("failed to find [SNAPSHOT-INDEX].snap.db", LOG_U64("snapshot-index", index),
                 LOG_STR("snapshot-file-path", from),
                 LOG_STR("error", "snap: snapshot file doesn't exist"));
    }
    mem_free(from);
    mem_free(to);
    return err;
}

int snap_db_begin(struct snap_db_writer *w, struct env_disk *disk, const char *dir, uint64_t random)
{
    struct buf name = BUF_INIT;
    buf_printf(&name, "tmp%" PRIu64, random);
    char *path = env_path_join(dir, buf_cstr(&name));
    buf_deinit(&name);
    struct env_file *f;
    int err =
        disk->ops->open(disk, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_EXCL, 0600, &f);
    if (err != 0) {
        mem_free(path);
        return err;
    }
    *w = (struct snap_db_writer){.disk = disk, .file = f, .dir = mem_strdup(dir), .tmp_path = path};
    return 0;
}

int snap_db_write(struct snap_db_writer *w, struct slice bytes)
{
    if (w->err == 0 && bytes.len > 0) {
        w->err = w->file->ops->write_at(w->file, &bytes, 1, w->size);
        w->size += w->err == 0 ? bytes.len : 0;
    }
    return w->err;
}

static void writer_deinit(struct snap_db_writer *w)
{
    mem_free(w->dir);
    mem_free(w->tmp_path);
    *w = (struct snap_db_writer){.disk = NULL};
}

int snap_db_commit(struct snap_db_writer *w, raft_index index)
{
    ensure(w->file != NULL);
    int err = w->err != 0 ? w->err : w->file->ops->sync(w->file);
    w->file->ops->close(w->file);
    char *path = snap_db_path(w->dir, index);
    bool must_move = err == 0 && !env_exists(w->disk, path);
    int move_err = must_move ? w->disk->ops->rename(w->disk, w->tmp_path, path) : 0;
    if (!must_move || move_err != 0) {
        (void)w->disk->ops->unlink(w->disk, w->tmp_path);
    }
    if (must_move) {
        err = move_err != 0 ? move_err : w->disk->ops->sync_dir(w->disk, w->dir);
    }
    if (err == 0) {
        log_info("saved database snapshot to disk", LOG_STR("path", path),
                 LOG_U64("bytes", w->size));
    }
    mem_free(path);
    writer_deinit(w);
    return err;
}

void snap_db_abort(struct snap_db_writer *w)
{
    if (w->file == NULL) {
        return;
    }
    w->file->ops->close(w->file);
    (void)w->disk->ops->unlink(w->disk, w->tmp_path);
    writer_deinit(w);
}
