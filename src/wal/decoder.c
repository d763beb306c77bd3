/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/decoder: see decoder.h.
 */
#include "wal/decoder.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/hash.h"

static int fill(struct wal_decoder *d, size_t need);
static int frame_read(struct wal_decoder *d, uint64_t *out_len, uint64_t *out_pad);
static int record_check(struct wal_decoder *d, struct slice framed, struct wal_record *rec,
                        int parse_err);

void wal_decoder_init(struct wal_decoder *d, const struct wal_source *sources, size_t count,
                      struct wal_detail *detail)
{
    *d = (struct wal_decoder){.sources = sources, .count = count, .detail = detail};
}

void wal_decoder_seek(struct wal_decoder *d, uint64_t off, uint32_t chain)
{
    ensure(d->chunk == NULL && d->at == 0);
    d->valid_off = off;
    d->chain = chain;
}

void wal_decoder_deinit(struct wal_decoder *d)
{
    rcbuf_unref(d->chunk);
    d->chunk = NULL;
}

int wal_decoder_next(struct wal_decoder *d, struct wal_record *out)
{
    uint64_t len = 0;
    uint64_t pad = 0;
    int err = frame_read(d, &len, &pad);
    if (err != 0) {
        return err;
    }
    size_t total = WAL_FRAME_BYTES + (size_t)len + (size_t)pad;
    err = fill(d, total);
    if (err != 0) {
        return err;
    }
    struct slice framed =
        slice_make(d->chunk->data + d->begin + WAL_FRAME_BYTES, (size_t)len + (size_t)pad);
    struct wal_record rec;
    err = wal_record_parse(slice_make(framed.data, (size_t)len), &rec);
    err = record_check(d, framed, &rec, err);
    if (err != 0) {
        return err;
    }
    d->begin += total;
    d->valid_off += total;
    *out = rec;
    return 0;
}

/* private */

static const char *source_name(const struct wal_decoder *d, char out[WAL_NAME_MAX])
{
    wal_name_format(out, d->sources[d->at].name);
    return out;
}

static int torn(struct wal_decoder *d, const char *what)
{
    char name[WAL_NAME_MAX];
    wal_detail_set(d->detail, "unexpected EOF: %s in file '%s' at position: %" PRIu64, what,
                   source_name(d, name), d->valid_off);
    return ERR_TRUNCATED;
}

/* Every etcd since 3.0 pads to 8; nothing else covers the frame, so this is where its damage shows.
 */
static int misaligned(struct wal_decoder *d)
{
    char name[WAL_NAME_MAX];
    wal_detail_set(d->detail, "wal: record is not aligned: in file '%s' at position: %" PRIu64,
                   source_name(d, name), d->valid_off);
    return ERR_MALFORMED;
}

/* Makes need bytes from valid_off on present at chunk[begin].  A chunk that an entry holds is left
 * as it is: what remains of it moves to a new one. */
static int fill(struct wal_decoder *d, size_t need)
{
    size_t left = d->chunk == NULL ? 0 : d->chunk->len - d->begin;
    if (left >= need) {
        return 0;
    }
    const struct wal_source *src = &d->sources[d->at];
    uint64_t rest = src->size - d->valid_off;
    ensure(need <= rest);
    size_t cap = need > WAL_CHUNK_BYTES ? need : WAL_CHUNK_BYTES;
    cap = rest < cap ? (size_t)rest : cap;
    struct rcbuf *old = d->chunk;
    struct rcbuf *next = old;
    if (old == NULL || atomic_load(&old->refs) != 1 || old->cap < cap) {
        next = rcbuf_try_create(cap);
        if (next == NULL) {
            return ERR_NOMEM;
        }
    }
    if (left > 0) {
        memmove(next->data, old->data + d->begin, left);
    }
    if (next != old) {
        rcbuf_unref(old);
    }
    d->chunk = next;
    d->begin = 0;
    next->len = left;
    size_t n = 0;
    int err =
        src->file->ops->read_at(src->file, next->data + left, cap - left, d->valid_off + left, &n);
    if (err != 0) {
        char name[WAL_NAME_MAX];
        wal_detail_set(d->detail, "wal: cannot read file '%s' at position: %" PRIu64,
                       source_name(d, name), d->valid_off);
        return err;
    }
    next->len = left + n;
    return next->len < need ? torn(d, "short read") : 0;
}

static bool next_source(struct wal_decoder *d)
{
    if (d->at + 1 >= d->count) {
        return false;
    }
    d->at++;
    d->valid_off = 0;
    if (d->chunk != NULL) {
        d->begin = d->chunk->len; /* nothing of it belongs to the new file */
    }
    return true;
}

/* The length field at valid_off, checked against what the file can hold. */
static int frame_read(struct wal_decoder *d, uint64_t *out_len, uint64_t *out_pad)
{
    for (;;) {
        if (d->count == 0) {
            return ERR_END;
        }
        uint64_t rest = d->sources[d->at].size - d->valid_off;
        if (rest > 0 && rest < WAL_FRAME_BYTES) {
            return torn(d, "length field");
        }
        uint64_t field = 0;
        if (rest > 0) {
            int err = fill(d, WAL_FRAME_BYTES);
            if (err != 0) {
                return err;
            }
            field = load_le64(d->chunk->data + d->begin);
        }
        if (field == 0) {
            if (next_source(d)) {
                continue;
            }
            return ERR_END;
        }
        wal_frame_split(field, out_len, out_pad);
        rest -= WAL_FRAME_BYTES;
        if (*out_pad > rest || *out_len > rest - *out_pad) {
            return torn(d, "max entry size limit exceeded");
        }
        return (*out_len + *out_pad) % 8 == 0 ? 0 : misaligned(d);
    }
}

/* Checksum and chain.  Only in the last file can damage be a torn write. */
static int record_check(struct wal_decoder *d, struct slice framed, struct wal_record *rec,
                        int parse_err)
{
    char name[WAL_NAME_MAX];
    bool is_last = d->at + 1 == d->count;
    bool is_bad = parse_err != 0;
    uint32_t chain = d->chain;
    if (!is_bad && rec->type != WAL_RECORD_CRC) {
        chain = crc32c(chain, rec->data.data, rec->data.len);
        is_bad = chain != rec->crc;
    }
    if (is_bad && is_last && wal_record_is_torn(framed, d->valid_off + WAL_FRAME_BYTES)) {
        return torn(d, "torn record");
    }
    if (!is_bad && rec->type == WAL_RECORD_CRC) {
        is_bad = chain != 0 && chain != rec->crc;
        chain = rec->crc;
    }
    if (is_bad) {
        wal_detail_set(d->detail, "%s: in file '%s' at position: %" PRIu64,
                       parse_err != 0 ? "wal: record cannot be parsed" : "walpb: crc mismatch",
                       source_name(d, name), d->valid_off);
        return parse_err != 0 ? parse_err : ERR_CHECKSUM;
    }
    d->chain = chain;
    return 0;
}

void wal_sources_close(struct wal_source *sources, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (sources[i].file != NULL) {
            sources[i].file->ops->close(sources[i].file);
        }
    }
    mem_free(sources);
}

static int source_open(struct env_disk *disk, const char *dir, bool write, struct wal_source *s,
                       struct wal_detail *detail)
{
    char name[WAL_NAME_MAX];
    wal_name_format(name, s->name);
    char *path = env_path_join(dir, name);
    unsigned flags = ENV_OPEN_READ | (write ? (unsigned)ENV_OPEN_WRITE : 0);
    int err = disk->ops->open(disk, path, flags, 0600, &s->file);
    if (err != 0) {
        s->file = NULL;
    } else if (write) {
        err = s->file->ops->lock(s->file, ENV_LOCK_OFD);
    }
    if (err == 0) {
        err = s->file->ops->size(s->file, &s->size);
    }
    if (err == ERR_LOCKED) {
        wal_detail_set(detail, "fileutil: file already locked: %s", path);
    } else if (err != 0) {
        wal_detail_set(detail, "open %s: %s", path, disk->ops->last_text(disk));
    }
    mem_free(path);
    return err;
}

int wal_sources_open(struct env_disk *disk, const char *dir, const struct wal_names *names,
                     size_t first, bool write, struct wal_source **out, size_t *out_count,
                     struct wal_detail *detail)
{
    ensure(first < names->count);
    size_t count = names->count - first;
    struct wal_source *s = mem_zalloc(count * sizeof(*s));
    for (size_t i = 0; i < count; i++) {
        s[i].name = names->items[first + i];
        int err = source_open(disk, dir, write, &s[i], detail);
        if (err != 0) {
            wal_sources_close(s, i + 1);
            return err;
        }
    }
    *out = s;
    *out_count = count;
    return 0;
}
