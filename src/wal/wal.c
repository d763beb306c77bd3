/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/wal: the hot path: a batch becomes one write; plus sync, close and what can be asked.
 */
#include "wal/wal.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "wal/internal.h"

/* A batch buffer above this is given back after the batch. */
enum { OUT_KEEP_BYTES = 8 << 20 };

/* A tail that is not zeroed is left after the first of these, given that a spare is ready. */
enum { EARLY_CUT_DIVISOR = 64 };

static void put_entry(struct wal *w, const struct raft_entry *e);
static void put_hard_state(struct wal *w, const struct raft_hard_state *hs);

/* ---- life ---- */

struct wal *wal_new(const struct wal_options *opts, enum wal_mode mode)
{
    struct wal *w = mem_zalloc(sizeof(*w));
    w->disk = opts->disk;
    w->dir = mem_strdup(opts->dir);
    w->segment_bytes = opts->segment_bytes != 0 ? opts->segment_bytes : LIMIT_WAL_SEGMENT_BYTES;
    w->emission = opts->emission;
    w->mode = mode;
    w->no_sync = opts->no_sync;
    w->zero_spares = opts->zero_spares;
    buf_init(&w->metadata);
    buf_init(&w->out);
    return w;
}

void wal_free(struct wal *w)
{
    if (w->spare != NULL) {
        w->spare->ops->close(w->spare);
    }
    mem_free(w->spare_path);
    wal_sources_close(w->segments, w->segment_count);
    buf_deinit(&w->metadata);
    buf_deinit(&w->out);
    mem_free(w->dir);
    mem_free(w);
}

int wal_close(struct wal *w)
{
    if (w == NULL) {
        return 0;
    }
    ensure(!w->spare_is_under_way);
    int err = w->failed;
    if (w->mode == WAL_MODE_APPEND && err == 0) {
        err = wal_sync(w);
    }
    wal_spare_drop(w);
    wal_free(w);
    return err;
}

void wal_segment_push(struct wal *w, struct wal_source s)
{
    if (w->segment_count == w->segment_cap) {
        w->segment_cap = w->segment_cap == 0 ? 8 : w->segment_cap * 2;
        w->segments = mem_realloc(w->segments, w->segment_cap * sizeof(w->segments[0]));
    }
    w->segments[w->segment_count++] = s;
}

/* ---- append ---- */

int wal_fail(struct wal *w, int err, const char *what)
{
    ensure(err != 0);
    if (w->failed == 0) {
        char name[WAL_NAME_MAX];
        wal_name_format(name, wal_tail(w)->name);
        w->failed = err;
        wal_detail_set(&w->detail, "wal: %s: in file '%s' at position: %" PRIu64 ": %s", what, name,
                       w->offset, w->disk->ops->last_text(w->disk));
    }
    return err;
}

int wal_write_out(struct wal *w, struct env_file *f, uint64_t off)
{
    struct slice part = buf_slice(&w->out);
    ensure(part.len % 8 == 0 && off % 8 == 0);
    int err = f->ops->write_at(f, &part, 1, off);
    if (err != 0) {
        return wal_fail(w, err, "write failed");
    }
    w->bytes_written += part.len;
    w->is_dirty = true;
    return 0;
}

static uint64_t cut_at(const struct wal *w)
{
    bool is_early = w->zero_spares && !w->tail_is_zeroed && w->spare != NULL;
    return is_early ? w->segment_bytes / EARLY_CUT_DIVISOR : w->segment_bytes;
}

int wal_append(struct wal *w, const struct raft_entry *entries, size_t count,
               const struct raft_hard_state *hs)
{
    ensure(w->mode == WAL_MODE_APPEND);
    if (w->failed != 0) {
        return w->failed;
    }
    bool has_state = hs != NULL && !raft_hard_state_is_empty(hs);
    if (count == 0 && !has_state) {
        return 0;
    }
    buf_clear(&w->out);
    for (size_t i = 0; i < count; i++) {
        put_entry(w, &entries[i]);
    }
    if (has_state) {
        put_hard_state(w, hs);
    }
    int err = wal_write_out(w, wal_tail(w)->file, w->offset);
    if (err != 0) {
        return err;
    }
    w->offset += w->out.len;
    w->needs_sync = w->needs_sync || count > 0;
    if (w->out.cap > OUT_KEEP_BYTES) {
        buf_deinit(&w->out);
        buf_init(&w->out);
    }
    return w->offset >= cut_at(w) ? wal_cut(w) : 0;
}

static void put_entry(struct wal *w, const struct raft_entry *e)
{
    uint8_t head[RAFTPB_ENTRY_HEAD_MAX];
    size_t n = raftpb_entry_head(e, w->emission, head);
    wal_record_put(&w->out, WAL_RECORD_ENTRY, slice_make(head, n), e->data, &w->chain);
    w->last_index = e->index;
}

static void put_hard_state(struct wal *w, const struct raft_hard_state *hs)
{
    /* Scratch behind the records would move them: three varints fit on the stack. */
    uint8_t bytes[3 * (1 + VARINT_BYTES_MAX)];
    size_t n = 0;
    const uint64_t fields[3] = {hs->term, hs->vote, hs->commit};
    for (unsigned i = 0; i < 3; i++) {
        bytes[n++] = (uint8_t)((i + 1) << 3);
        n += varint_put(bytes + n, fields[i]);
    }
    wal_record_put(&w->out, WAL_RECORD_STATE, slice_make(bytes, n), SLICE_NULL, &w->chain);
    if (hs->term != w->hard_state.term || hs->vote != w->hard_state.vote) {
        w->needs_sync = true;
    }
    w->hard_state = *hs;
}

int wal_sync(struct wal *w)
{
    ensure(w->mode == WAL_MODE_APPEND);
    if (w->failed != 0 || !w->is_dirty) {
        return w->failed;
    }
    struct env_file *f = wal_tail(w)->file;
    if (!w->no_sync) {
        FAILPOINT(walBeforeSync);
        int err = f->ops->sync_data(f);
        FAILPOINT(walAfterSync);
        if (err != 0) {
            return wal_fail(w, err, "fdatasync failed");
        }
    }
    w->sync_count++;
    w->is_dirty = false;
    w->needs_sync = false;
    return 0;
}

bool wal_needs_sync(const struct wal *w)
{
    return w->needs_sync;
}

void wal_put_snapshot(struct wal *w, const struct raft_snapshot_meta *snap)
{
    struct buf bytes = BUF_INIT;
    raftpb_wal_snapshot_encode(&bytes, snap, w->emission);
    wal_record_put(&w->out, WAL_RECORD_SNAPSHOT, buf_slice(&bytes), SLICE_NULL, &w->chain);
    buf_deinit(&bytes);
    if (snap->index > w->last_index) {
        w->last_index = snap->index; /* a follower's log starts again behind it */
    }
}

int wal_append_snapshot(struct wal *w, const struct raft_snapshot_meta *snap)
{
    ensure(w->mode == WAL_MODE_APPEND);
    /* 3.5+ refuse to write one without a configuration. */
    ensure(snap->index == 0 || snap->conf.voters.count > 0);
    if (w->failed != 0) {
        return w->failed;
    }
    buf_clear(&w->out);
    wal_put_snapshot(w, snap);
    int err = wal_write_out(w, wal_tail(w)->file, w->offset);
    if (err != 0) {
        return err;
    }
    w->offset += w->out.len;
    return wal_sync(w);
}

void wal_emission_set(struct wal *w, enum raftpb_emission emission)
{
    w->emission = emission;
}

/* ---- old segments ---- */

void wal_release_to(struct wal *w, raft_index index)
{
    size_t n = w->segment_count == 0 ? 0 : w->segment_count - 1;
    for (size_t i = 0; i < w->segment_count; i++) {
        if (w->segments[i].name.index >= index) {
            n = i == 0 ? 0 : i - 1;
            break;
        }
    }
    for (size_t i = 0; i < n; i++) {
        w->segments[i].file->ops->close(w->segments[i].file);
    }
    w->segment_count -= n;
    memmove(w->segments, w->segments + n, w->segment_count * sizeof(w->segments[0]));
}

/* ---- queries ---- */

const char *wal_error(const struct wal *w)
{
    return w->detail.text;
}

uint64_t wal_offset(const struct wal *w)
{
    return w->offset;
}

uint64_t wal_seq(const struct wal *w)
{
    return wal_tail(w)->name.seq;
}

size_t wal_segment_count(const struct wal *w)
{
    return w->segment_count;
}

uint64_t wal_bytes_written(const struct wal *w)
{
    return w->bytes_written;
}

uint64_t wal_sync_count(const struct wal *w)
{
    return w->sync_count;
}

void wal_check(const struct wal *w)
{
    ensure(w->segment_count > 0);
    for (size_t i = 0; i < w->segment_count; i++) {
        ensure(w->segments[i].file != NULL);
        ensure(i == 0 || w->segments[i].name.seq == w->segments[i - 1].name.seq + 1);
    }
    if (w->mode != WAL_MODE_APPEND) {
        return;
    }
    ensure(w->offset % 8 == 0);
    ensure(w->metadata.len > 0);
    ensure(w->is_dirty || !w->needs_sync);
    ensure((w->spare == NULL) == (w->spare_path == NULL) || w->spare_is_under_way);
}
