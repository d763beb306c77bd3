/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/repair: a torn tail is copied aside and cut off, once (storage-formats 3.10).
 */
#include "base/log.h"
#include "wal/internal.h"

enum { COPY_BYTES = 1 << 20 };

/* Decodes one segment alone; *out_good = end of its last good record. */
static int scan_one(struct wal_source *src, struct wal_detail *detail, uint64_t *out_good)
{
    struct wal_decoder d;
    struct wal_record rec;
    int err;
    wal_decoder_init(&d, src, 1, detail);
    do {
        err = wal_decoder_next(&d, &rec);
    } while (err == 0);
    *out_good = d.valid_off;
    wal_decoder_deinit(&d);
    return err;
}

static int copy_bytes(struct wal_source *src, struct env_file *to)
{
    uint8_t *bytes = mem_alloc(COPY_BYTES);
    int err = 0;
    for (uint64_t off = 0; err == 0 && off < src->size;) {
        size_t n = 0;
        err = src->file->ops->read_at(src->file, bytes, COPY_BYTES, off, &n);
        if (n == 0) {
            break;
        }
        struct slice part = slice_make(bytes, n);
        err = err == 0 ? to->ops->write_at(to, &part, 1, off) : err;
        off += n;
    }
    mem_free(bytes);
    return err;
}

static int copy_aside(struct env_disk *disk, struct wal_source *src, const char *path)
{
    struct buf broken = BUF_INIT;
    struct env_file *to;
    buf_printf(&broken, "%s.broken", path);
    int err = disk->ops->open(disk, buf_cstr(&broken),
                              ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNC, 0600, &to);
    if (err == 0) {
        err = copy_bytes(src, to);
        to->ops->close(to);
    }
    if (err != 0) {
        log_warn("failed to copy", LOG_STR("from", path), LOG_STR("to", buf_cstr(&broken)),
                 LOG_ERR(err));
    }
    buf_deinit(&broken);
    return err;
}

static int repair_file(const struct wal_options *opts, struct wal_source *src, const char *path)
{
    uint64_t good;
    log_info("repairing", LOG_STR("path", path));
    int err = scan_one(src, opts->detail, &good);
    if (err == ERR_END) {
        log_info("repaired", LOG_STR("path", path), LOG_STR("error", "EOF"));
        return 0;
    }
    if (err != ERR_TRUNCATED) {
        log_warn("failed to repair", LOG_STR("path", path), LOG_ERR(err));
        return err;
    }
    err = copy_aside(opts->disk, src, path);
    if (err == 0) {
        err = src->file->ops->truncate(src->file, good);
    }
    if (err == 0 && !opts->no_sync) {
        err = src->file->ops->sync(src->file);
    }
    if (err != 0) {
        wal_detail_set(opts->detail, "failed to repair WAL file %s: %s", path,
                       opts->disk->ops->last_text(opts->disk));
        return err;
    }
    log_info("repaired", LOG_STR("path", path), LOG_STR("error", "unexpected EOF"));
    return 0;
}

int wal_repair(const struct wal_options *opts)
{
    struct wal_names names;
    struct wal_source *src;
    size_t count;
    int err = wal_names_list(opts->disk, opts->dir, &names, opts->detail);
    if (err != 0) {
        return err;
    }
    err = wal_sources_open(opts->disk, opts->dir, &names, names.count - 1, true, &src, &count,
                           opts->detail);
    wal_names_deinit(&names);
    if (err != 0) {
        return err;
    }
    char name[WAL_NAME_MAX];
    wal_name_format(name, src->name);
    char *path = env_path_join(opts->dir, name);
    err = repair_file(opts, src, path);
    mem_free(path);
    wal_sources_close(src, count);
    return err;
}

int wal_recover(const struct wal_options *opts, struct raft_entry_id at, struct wal **out,
                struct wal_contents *contents)
{
    for (bool is_repaired = false;; is_repaired = true) {
        struct wal *w;
        int err = wal_open(opts, at, true, &w);
        if (err != 0) {
            return err;
        }
        err = wal_read_all(w, contents);
        if (err == 0) {
            *out = w;
            return 0;
        }
        if (opts->detail != NULL) {
            *opts->detail = w->detail;
        }
        wal_free(w);
        if (err != ERR_TRUNCATED || is_repaired) {
            return err;
        }
        err = wal_repair(opts);
        if (err != 0) {
            return err;
        }
    }
}
