/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/read: readers that stand beside the log lane: snapshot records at start, old entries for slow
 * followers.
 */
#include <inttypes.h>

#include "wal/internal.h"

/* ---- valid snapshots ---- */

struct snap_list {
    struct raft_snapshot_meta *items;
    size_t count;
    size_t cap;
    raft_index commit;
};

static int snap_list_record(struct snap_list *l, const struct wal_record *rec)
{
    if (rec->type == WAL_RECORD_STATE) {
        struct raft_hard_state hs;
        int err = raftpb_hard_state_decode(rec->data, &hs);
        if (err == 0) {
            l->commit = hs.commit;
        }
        return err;
    }
    if (rec->type != WAL_RECORD_SNAPSHOT) {
        return 0;
    }
    struct raft_snapshot_meta snap;
    int err = raftpb_wal_snapshot_decode(rec->data, &snap);
    if (err != 0) {
        return err;
    }
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 4 : l->cap * 2;
        l->items = mem_realloc(l->items, l->cap * sizeof(l->items[0]));
    }
    l->items[l->count++] = snap;
    return 0;
}

/* A record above the commit index was written just before a crash: its state is not there yet. */
static void snap_list_filter(struct snap_list *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i].index <= l->commit) {
            l->items[n++] = l->items[i];
        }
    }
    l->count = n;
}

int wal_valid_snapshots(const struct wal_options *opts, struct raft_snapshot_meta **out,
                        size_t *out_count)
{
    struct wal_names names;
    struct wal_source *src = NULL;
    size_t count = 0;
    int err = wal_names_list(opts->disk, opts->dir, &names, opts->detail);
    if (err != 0) {
        return err;
    }
    err = wal_sources_open(opts->disk, opts->dir, &names, 0, false, &src, &count, opts->detail);
    wal_names_deinit(&names);
    if (err != 0) {
        return err;
    }
    struct wal_decoder d;
    struct wal_record rec;
    struct snap_list l = {.items = NULL};
    wal_decoder_init(&d, src, count, opts->detail);
    while ((err = wal_decoder_next(&d, &rec)) == 0) {
        err = snap_list_record(&l, &rec);
        if (err != 0) {
            break;
        }
    }
    wal_decoder_deinit(&d);
    wal_sources_close(src, count);
    if (err != ERR_END && err != ERR_TRUNCATED) {
        mem_free(l.items);
        return err;
    }
    snap_list_filter(&l);
    *out = l.items;
    *out_count = l.count;
    return 0;
}

/* ---- range ---- */

/* Candidates are out->entries[base..]: entries lo, lo + 1, ... as the log had them when the scan
 * passed by.  They are final when a hard state behind them commits them, or the log ends. */
struct range {
    raft_index lo;
    raft_index hi;
    size_t max_bytes;
    size_t bytes;
    size_t base;
    struct wal_contents *out;
    struct wal_cursor cursor; /* behind the last candidate */
    bool is_full;
    bool is_final;
};

static raft_index range_next(const struct range *r)
{
    return r->lo + (r->out->count - r->base);
}

static void range_drop(struct range *r, size_t keep)
{
    for (size_t i = r->base + keep; i < r->out->count; i++) {
        r->bytes -= r->out->entries[i].data.len;
    }
    wal_contents_truncate(r->out, r->base + keep);
    r->is_full = false;
    r->cursor.next_index = 0;
}

static void range_take(struct range *r, const struct wal_decoder *d, struct raft_entry e)
{
    struct wal_contents *c = r->out;
    if (c->count == c->cap) {
        c->cap = c->cap == 0 ? 64 : c->cap * 2;
        c->entries = mem_realloc(c->entries, c->cap * sizeof(c->entries[0]));
    }
    e.owner = e.data.len > 0 ? rcbuf_ref(d->chunk) : NULL;
    c->entries[c->count++] = e;
    r->bytes += e.data.len;
    r->is_full = r->bytes >= r->max_bytes || range_next(r) == r->hi;
    r->cursor =
        (struct wal_cursor){d->sources[d->at].name.seq, d->valid_off, d->chain, e.index + 1};
}

static int range_entry(struct range *r, const struct wal_decoder *d, struct slice data)
{
    struct raft_entry e;
    int err = raftpb_entry_decode(data, &e);
    if (err != 0) {
        return err;
    }
    if (e.index < r->lo) {
        range_drop(r, 0); /* a newer leader replaced the log from before lo on */
        return 0;
    }
    if (e.index < range_next(r)) {
        range_drop(r, (size_t)(e.index - r->lo));
    }
    if (e.index == range_next(r) && !r->is_full) {
        range_take(r, d, e);
    }
    return 0;
}

static int range_record(struct range *r, const struct wal_decoder *d, const struct wal_record *rec)
{
    if (rec->type == WAL_RECORD_ENTRY) {
        return range_entry(r, d, rec->data);
    }
    if (rec->type != WAL_RECORD_STATE) {
        return 0;
    }
    struct raft_hard_state hs;
    int err = raftpb_hard_state_decode(rec->data, &hs);
    if (err == 0 && r->is_full && hs.commit + 1 >= range_next(r)) {
        r->is_final = true;
    }
    return err;
}

/* Position of the segment to start in; *out_seek when the cursor says where in it. */
static int range_start(const struct wal_names *names, raft_index lo,
                       const struct wal_cursor *cursor, size_t *out_first, bool *out_seek,
                       struct wal_detail *detail)
{
    if (cursor != NULL && cursor->next_index == lo) {
        for (size_t i = 0; i < names->count; i++) {
            if (names->items[i].seq == cursor->seq) {
                *out_first = i;
                *out_seek = true;
                return 0;
            }
        }
    }
    *out_seek = false;
    return wal_names_select(names, lo, out_first, detail);
}

static int range_scan(struct range *r, struct wal_decoder *d)
{
    struct wal_record rec;
    int err = 0;
    while (err == 0 && !r->is_final) {
        err = wal_decoder_next(d, &rec);
        if (err == 0) {
            err = range_record(r, d, &rec);
        }
    }
    /* The log lane may be in the middle of a record behind what is durable. */
    bool is_tail = d->at + 1 == d->count;
    bool is_end =
        err == ERR_END ||
        (is_tail && (err == ERR_TRUNCATED || err == ERR_CHECKSUM || err == ERR_MALFORMED));
    if (err != 0 && !is_end) {
        return err;
    }
    if (range_next(r) == r->lo) {
        return err == ERR_END || err == 0 ? ERR_NOT_FOUND : err;
    }
    return 0;
}

int wal_read_range(const struct wal_options *opts, raft_index lo, raft_index hi, size_t max_bytes,
                   struct wal_cursor *cursor, struct wal_contents *out)
{
    ensure(lo < hi);
    struct wal_names names;
    struct wal_source *src;
    size_t count;
    size_t first;
    bool is_seek;
    int err = wal_names_list(opts->disk, opts->dir, &names, opts->detail);
    if (err != 0) {
        return err;
    }
    err = range_start(&names, lo, cursor, &first, &is_seek, opts->detail);
    if (err == 0) {
        err = wal_sources_open(opts->disk, opts->dir, &names, first, false, &src, &count,
                               opts->detail);
    }
    wal_names_deinit(&names);
    if (err != 0) {
        return err;
    }
    struct wal_decoder d;
    struct range r = {.lo = lo, .hi = hi, .max_bytes = max_bytes, .base = out->count, .out = out};
    wal_decoder_init(&d, src, count, opts->detail);
    if (is_seek && cursor->offset <= src[0].size) {
        wal_decoder_seek(&d, cursor->offset, cursor->chain);
    }
    err = range_scan(&r, &d);
    wal_decoder_deinit(&d);
    wal_sources_close(src, count);
    if (err != 0) {
        wal_contents_truncate(out, r.base);
    } else if (cursor != NULL) {
        *cursor = r.cursor;
    }
    return err;
}
