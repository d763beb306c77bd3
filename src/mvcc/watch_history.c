/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/watch_history: those who are behind: chunks of history, from the tail or from a view.
 *
 * Design      One chunk at a time for all, from the lowest cursor on: who is further ahead takes
 *             part when the chunks come there.  Previous values that are not in memory are read by
 *             a second job; then the chunk is matched anew, because watchers may have come.
 */
#include "base/err.h"
#include "mvcc/watch_hub.h"

enum { CHUNKS_A_FLUSH = 4 }; /* of the tail: then the loop breathes */

void watch_chunk_clear(struct watch_chunk *c)
{
    watch_events_clear(&c->events);
    if (c->events.cap > WATCH_CHUNK_REVS) {
        watch_events_deinit(&c->events);
    }
    arena_reset(&c->bytes);
}

/* ---- reading ---- */

struct reading {
    struct watch_chunk *chunk;
    int64_t last; /* revision being read, 0: none */
    size_t revs;
    size_t bytes;
    bool is_full;
};

/* ERR_END: the chunk is full, at the end of a revision. */
static int read_one(void *arg, struct backend_rev rev, struct slice stored)
{
    struct reading *r = arg;
    if (rev.main > r->chunk->to) {
        return ERR_END;
    }
    if (rev.main != r->last) {
        if (r->revs >= WATCH_CHUNK_REVS || r->bytes >= WATCH_CHUNK_BYTES) {
            r->is_full = true;
            return ERR_END;
        }
        r->last = rev.main;
        r->revs++;
    }
    uint8_t *p = arena_try_alloc(&r->chunk->bytes, stored.len);
    if (p == NULL) {
        return ERR_NOMEM;
    }
    memcpy(p, stored.data, stored.len);
    r->bytes += stored.len;
    return watch_event_add(&r->chunk->events, rev, slice_make(p, stored.len)) ? 0 : ERR_CORRUPT;
}

/* What was cut off is not part of the chunk. */
static int read_over(struct reading *r, int err)
{
    if (r->is_full) {
        r->chunk->to = r->last;
    }
    return err == ERR_END ? 0 : err;
}

static int tail_read(struct watch_hub *h)
{
    struct reading r = {.chunk = &h->chunk};
    struct backend_rev rev = {h->chunk.from, 0, false};
    struct slice stored;
    int err = 0;
    while (err == 0 && backend_tail_next(h->store->opts.backend, rev, &rev, &stored)) {
        err = read_one(&r, rev, stored);
        rev.sub++;
    }
    return read_over(&r, err);
}

static int prev_read(struct watch_job *j)
{
    struct watch_chunk *c = j->chunk;
    for (size_t i = 0; i < c->events.len; i++) {
        struct watch_event *e = &c->events.at[i];
        if (e->prev_state != WATCH_PREV_COLD || e->full != NULL) {
            continue;
        }
        struct backend_record record;
        int err = backend_view_record_get(j->view, e->prev_rev, &record);
        if (err != 0 && err != ERR_NOT_FOUND) {
            return err;
        }
        if (err == 0) {
            uint8_t *p = arena_try_alloc(&c->bytes, record.value.len);
            if (p != NULL) {
                memcpy(p, record.value.data, record.value.len);
                e->prev = slice_make(p, record.value.len);
                e->prev_state = WATCH_PREV_HERE;
            }
            backend_record_release(&record);
            if (p == NULL) {
                return ERR_NOMEM;
            }
        }
    }
    return 0;
}

void watch_job_run(struct watch_job *j)
{
    if (j->kind == WATCH_JOB_PREV) {
        j->err = prev_read(j);
        return;
    }
    struct reading r = {.chunk = j->chunk};
    j->err = read_over(&r, backend_view_scan(j->view, j->chunk->from, read_one, &r));
}

static void job_want(struct watch_hub *h, enum watch_job_kind kind)
{
    h->job = (struct watch_job){
        .kind = kind,
        .view = backend_view_pin(h->store->opts.backend),
        .chunk = &h->chunk,
        .epoch = h->epoch,
    };
    h->is_job_wanted = true;
}

bool watch_hub_wants_job(const struct watch_hub *h)
{
    return h->is_job_wanted;
}

struct watch_job *watch_hub_job(struct watch_hub *h)
{
    if (!h->is_job_wanted) {
        return NULL;
    }
    h->is_job_wanted = false;
    h->is_job_running = true;
    return &h->job;
}

void watch_hub_job_done(struct watch_hub *h, struct watch_job *j)
{
    ensure(h->is_job_running && j == &h->job);
    backend_view_unpin(j->view);
    j->view = NULL;
    h->is_job_running = false;
    h->has_chunk = j->err == 0 && j->epoch == h->epoch;
    if (!h->has_chunk) {
        watch_chunk_clear(&h->chunk);
    }
    if (j->err != 0 && j->epoch == h->epoch) {
        h->err = j->err;
    }
}

/* ---- giving ---- */

static void compacted(struct watch_hub *h, struct watcher *w)
{
    list_remove(&w->in_queue);
    list_remove(&w->in_interval);
    watch_index_drop(&h->index, w->interval);
    w->interval = NULL;
    h->behind--;
    h->count--;
    w->stream->ops->compacted(w, mvcc_compact_rev(h->store));
}

/* Who is live again or compacted leaves; the lowest cursor of the others, or INT64_MAX. */
static int64_t ready_sift(struct watch_hub *h)
{
    int64_t least = INT64_MAX;
    LIST_FOREACH (&h->ready, n) {
        struct watcher *w = LIST_ENTRY(n, struct watcher, in_queue);
        if (w->next_rev < h->store->compact_rev) {
            compacted(h, w);
        } else if (w->next_rev > h->rev) {
            watch_go_live(h, w);
        } else if (w->stream->is_blocked) {
            watch_queue(h, w);
        } else if (w->next_rev < least) {
            least = w->next_rev;
        }
    }
    return least;
}

/* ERR_COLD: previous values are missing, nobody has moved. */
static int chunk_encode(struct watch_hub *h)
{
    int result = 0;
    for (size_t i = 0; i < h->touched_len; i++) {
        const struct watcher *w = h->touched[i];
        if (!w->wants_prev) {
            continue;
        }
        for (uint32_t r = w->batch_first; r != UINT32_MAX; r = h->refs[r].next) {
            struct rcbuf *b;
            int err =
                watch_event_encoded(h->store, &h->chunk.events.at[h->refs[r].event], true, &b);
            if (err != 0 && err != ERR_COLD) {
                return err;
            }
            result = err != 0 ? err : result;
        }
    }
    return result;
}

static int chunk_send(struct watch_hub *h)
{
    int result = 0;
    for (size_t i = 0; i < h->touched_len && result == 0; i++) {
        struct watcher *w = h->touched[i];
        int err = watch_give(h, w, h->chunk.events.at, h->rev);
        if (err == 0) {
            w->next_rev = h->chunk.to + 1;
        } else if (err != ERR_AGAIN) {
            result = err;
        }
    }
    return result;
}

/* Who had nothing in the chunk is past it too; who cannot take it waits for its stream. */
static void chunk_pass(struct watch_hub *h)
{
    LIST_FOREACH (&h->ready, n) {
        struct watcher *w = LIST_ENTRY(n, struct watcher, in_queue);
        if (w->stream->is_blocked) {
            watch_queue(h, w);
        } else if (w->next_rev >= h->chunk.from && w->next_rev <= h->chunk.to) {
            w->next_rev = h->chunk.to + 1;
        }
    }
}

static int chunk_give(struct watch_hub *h)
{
    watch_match(h, WATCH_BEHIND, h->chunk.events.at, 0, h->chunk.events.len);
    int err = chunk_encode(h);
    err = err != 0 ? err : chunk_send(h);
    watch_match_end(h);
    if (err == ERR_COLD) {
        job_want(h, WATCH_JOB_PREV);
        return 0;
    }
    h->has_chunk = false;
    if (err == 0) {
        chunk_pass(h);
    }
    watch_chunk_clear(&h->chunk);
    return err;
}

/* The next chunk from `from` on: at once when the tail has it. */
static int chunk_read(struct watch_hub *h, int64_t from)
{
    int64_t tail = backend_tail_first(h->store->opts.backend);
    watch_chunk_clear(&h->chunk);
    h->chunk.from = from;
    h->chunk.to = h->rev;
    if (from < tail) {
        h->chunk.to = tail <= h->rev ? tail - 1 : h->rev;
        job_want(h, WATCH_JOB_SCAN);
        return 0;
    }
    int err = tail_read(h);
    h->has_chunk = err == 0;
    return err;
}

int watch_catch_up(struct watch_hub *h)
{
    int err = 0;
    for (int i = 0; err == 0 && i < CHUNKS_A_FLUSH; i++) {
        if (h->is_job_running || h->is_job_wanted) {
            return 0;
        }
        int64_t least = ready_sift(h);
        if (h->has_chunk) {
            err = chunk_give(h);
        } else if (least == INT64_MAX) {
            return 0;
        } else {
            err = chunk_read(h, least);
        }
    }
    return err != 0 || h->is_job_wanted ? err : ERR_AGAIN;
}
