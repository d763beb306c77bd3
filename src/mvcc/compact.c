/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/compact: compaction: logical at once, physical in slices.
 *
 * Design      mvcc_compact moves the compact revision and puts scheduledCompactRev.  The physical
 * part walks the index: the revisions that it drops are exactly the records to remove, so the file
 * is not scanned.  They are collected and removed in the order of the file (garbage.h).  The last
 * slice puts finishedCompactRev.
 *
 *               IDLE -> [HASH] -> HELD <-> RUN ... -> IDLE or the next one
 *
 * A crash leaves scheduled > finished and any part of the records; the index restored from them
 * drops the rest (compact_resume). A compaction asked for while another is under way waits; only
 * the newest of those is done, as the ones between have no hash and no effect of their own.
 * Invariants  I1 removal starts when no pin lies below the target; later none can come there. I2
 *             the slice that puts finishedCompactRev comes after all removals.
 * See         storage-formats 6.4, 8 (C1-C4).
 */
#include "base/err.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "mvcc/store.h"
#include "schema/schema.h"

enum { NEAR_REVS = 8, FAR_COST = 8 };

void compact_init(struct mvcc_store *s)
{
    s->compaction = (struct mvcc_compaction){.target = -1, .prev = -1, .next = -1};
}

void compact_deinit(struct mvcc_store *s)
{
    buf_deinit(&s->compaction.key);
    garbage_deinit(&s->compaction.garbage);
}

static void meta_put(struct mvcc_store *s, const char *name, int64_t rev)
{
    uint8_t value[BACKEND_TOMBSTONE_BYTES];
    size_t len = backend_rev_encode((struct backend_rev){rev, 0, false}, value);
    backend_put(s->opts.backend, s->opts.bucket_meta, slice_cstr(name), slice_make(value, len));
}

static void start(struct mvcc_store *s, int64_t target, int64_t prev, bool needs_hash)
{
    struct mvcc_compaction *c = &s->compaction;
    c->target = target;
    c->prev = prev;
    c->needs_hash = needs_hash;
    c->is_collected = false;
    c->is_walk_over = false;
    buf_clear(&c->key);
}

int mvcc_compact(struct mvcc_store *s, int64_t rev)
{
    if (rev <= s->compact_rev) {
        return ERR_RPC_COMPACTED;
    }
    if (rev > s->current_rev) {
        return ERR_RPC_FUTURE_REV;
    }
    int64_t prev = s->compact_rev;
    bool was_finished = s->scheduled_rev == s->finished_rev;
    s->compact_rev = rev;
    s->scheduled_rev = rev;
    FAILPOINT(compactBeforeCommitScheduledCompact);
    meta_put(s, SCHEMA_META_SCHEDULED_COMPACT, rev);
    FAILPOINT(compactAfterCommitScheduledCompact);
    if (s->compaction.target >= 0) {
        s->compaction.next = rev;
    } else {
        /* A hash of revision 0 would answer every later HashKV(0) (client-api 8.1). */
        start(s, rev, prev, was_finished && rev > 0);
    }
    return 0;
}

void compact_resume(struct mvcc_store *s, int64_t scheduled)
{
    if (scheduled > s->compact_rev) {
        int64_t prev = s->compact_rev;
        s->compact_rev = scheduled;
        start(s, scheduled, prev, false);
    }
}

static bool is_pinned_below(const struct mvcc_store *s, int64_t rev)
{
    const struct list_node *end = &s->pins.head;
    for (const struct list_node *n = end->next; n != end; n = n->next) {
        if (LIST_ENTRY(n, struct mvcc_pin, node)->rev < rev) {
            return true;
        }
    }
    return false;
}

enum mvcc_compact_state mvcc_compact_state(const struct mvcc_store *s)
{
    const struct mvcc_compaction *c = &s->compaction;
    if (c->target < 0) {
        return MVCC_COMPACT_IDLE;
    }
    if (c->needs_hash) {
        return MVCC_COMPACT_HASH;
    }
    return s->holds > 0 || is_pinned_below(s, c->target) ? MVCC_COMPACT_HELD : MVCC_COMPACT_RUN;
}

int64_t mvcc_compact_finished_rev(const struct mvcc_store *s)
{
    return s->finished_rev;
}

static void finish(struct mvcc_store *s)
{
    struct mvcc_compaction *c = &s->compaction;
    int64_t done = c->target;
    FAILPOINT(compactBeforeSetFinishedCompact);
    meta_put(s, SCHEMA_META_FINISHED_COMPACT, done);
    FAILPOINT(compactAfterSetFinishedCompact);
    s->finished_rev = done;
    c->target = -1;
    if (c->next >= 0) {
        int64_t next = c->next;
        c->next = -1;
        start(s, next, done, false);
    }
}

/* The first count revisions of the key leave the index; their records go later, in order.  False:
 * the key left too, pos is not valid. */
static bool key_compact(struct mvcc_store *s, struct keyindex_pos *pos, uint32_t count)
{
    const struct keyrev *revs = keyrec_revs(pos->rec);
    for (uint32_t i = 0; i < count; i++) {
        garbage_add(&s->compaction.garbage, &revs[i]);
    }
    return keyindex_drop(&s->index, pos, count);
}

static void key_remember(struct mvcc_store *s, const struct keyrec *rec)
{
    buf_clear(&s->compaction.key);
    buf_append_slice(&s->compaction.key, keyrec_key(rec));
}

/* Looks at a piece of the index; is_collected when its end or the bound of garbage is reached. */
static void collect(struct mvcc_store *s)
{
    struct mvcc_compaction *c = &s->compaction;
    struct keyindex_pos pos;
    pos.rec = keytree_seek(&s->index.tree, buf_slice(&c->key), &pos.path);
    for (unsigned keys = 0; pos.rec != NULL; keys++) {
        size_t room = garbage_room(&c->garbage);
        if (keys == MVCC_STEP_KEYS || room == 0) {
            key_remember(s, pos.rec);
            c->is_collected = room == 0;
            return;
        }
        uint32_t count = keyrec_drop_count(pos.rec, c->target);
        if (count == 0) {
            pos.rec = keytree_next(&s->index.tree, &pos.path);
            continue;
        }
        key_remember(s, pos.rec);
        bool is_part = count > room;
        if (!key_compact(s, &pos, is_part ? (uint32_t)room : count)) {
            pos.rec = keytree_seek(&s->index.tree, buf_slice(&c->key), &pos.path);
        } else if (!is_part) {
            pos.rec = keytree_next(&s->index.tree, &pos.path);
        }
    }
    c->is_collected = true;
    c->is_walk_over = true;
}

/* A record far from the one before is on a page of its own, which will be rewritten for it: it
 * counts for FAR_COST, so that a step is bounded by what it costs. */
static size_t remove_some(struct mvcc_store *s, size_t records_max)
{
    struct mvcc_compaction *c = &s->compaction;
    struct keyrev r;
    int64_t last = -NEAR_REVS;
    size_t removed = 0;
    for (size_t cost = 0; cost < records_max; removed++) {
        if (!garbage_take(&c->garbage, &r)) {
            c->is_collected = false;
            if (c->is_walk_over) {
                finish(s);
            }
            break;
        }
        struct backend_rev rev = {r.main, keyrev_sub(&r), keyrev_is_tombstone(&r)};
        backend_record_remove(s->opts.backend, rev);
        cost += r.main - last < NEAR_REVS ? 1 : FAR_COST;
        last = r.main;
    }
    return removed;
}

size_t mvcc_compact_step(struct mvcc_store *s, size_t records_max)
{
    if (mvcc_compact_state(s) != MVCC_COMPACT_RUN) {
        return 0;
    }
    struct mvcc_compaction *c = &s->compaction;
    if (!c->is_collected) {
        collect(s);
        if (!c->is_collected) {
            return 0;
        }
        garbage_sort(&c->garbage);
    }
    FAILPOINT(compactAfterAcquiredBatchTxLock);
    FAILPOINT(compactBeforeCommitBatch);
    size_t removed = remove_some(s, records_max);
    FAILPOINT(compactAfterCommitBatch);
    return removed;
}
