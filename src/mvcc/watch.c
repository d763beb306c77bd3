/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/watch: life of a hub and its watchers; what is handed out to the live ones.
 */
#include "mvcc/watch.h"

#include "base/err.h"
#include "mvcc/watch_hub.h"

enum { PENDING_KEEP = 4096 };

struct watch_hub *watch_hub_create(void)
{
    struct watch_hub *h = mem_zalloc(sizeof(*h));
    watch_index_init(&h->index);
    list_init(&h->ready);
    arena_init(&h->chunk.bytes, 0);
    h->rev = 1;
    return h;
}

void watch_hub_destroy(struct watch_hub *h)
{
    ensure(h->count == 0 && h->index.count == 0);
    if (h->job.view != NULL) {
        backend_view_unpin(h->job.view);
    }
    watch_events_deinit(&h->pending);
    watch_events_deinit(&h->chunk.events);
    arena_deinit(&h->chunk.bytes);
    mem_free(h->refs);
    mem_free(h->touched);
    mem_free(h->out);
    mem_free(h);
}

static void fall_behind_each(void *arg, struct watch_interval *i)
{
    struct watch_hub *h = arg;
    LIST_FOREACH (&i->sides[WATCH_LIVE], n) {
        watch_fall_behind(h, LIST_ENTRY(n, struct watcher, in_interval), h->rev + 1);
    }
}

static void each_interval(struct watch_interval *i, void (*fn)(void *arg, struct watch_interval *i),
                          void *arg)
{
    if (i != NULL) {
        each_interval(i->left, fn, arg);
        fn(arg, i);
        each_interval(i->right, fn, arg);
    }
}

void watch_hub_attach(struct watch_hub *h, struct mvcc_store *store)
{
    /* What was not handed out yet is read from the new store's history. */
    watch_events_clear(&h->pending);
    each_interval(h->index.root, fall_behind_each, h);
    h->store = store;
    h->epoch++;
    if (!h->is_job_running) {
        watch_chunk_clear(&h->chunk);
        h->has_chunk = false;
        h->is_job_wanted = false;
        if (h->job.view != NULL) {
            backend_view_unpin(h->job.view);
            h->job.view = NULL;
        }
    }
    if (h->count == 0) {
        h->rev = mvcc_rev(store);
    }
}

void watch_hub_event(struct watch_hub *h, const struct mvcc_event *event)
{
    if (h->count > h->behind && !watch_event_add(&h->pending, event->rev, event->stored)) {
        h->err = ERR_CORRUPT;
    }
}

/* ---- live ---- */

static void give_live(struct watch_hub *h, struct watch_event *events, size_t from, size_t to)
{
    watch_match(h, WATCH_LIVE, events, from, to);
    for (size_t i = 0; i < h->touched_len; i++) {
        struct watcher *w = h->touched[i];
        const struct watch_event *first = &events[h->refs[w->batch_first].event];
        const struct watch_event *last = &events[h->refs[w->batch_last].event];
        int err = watch_give(h, w, events, last->rev.main);
        if (err != 0) {
            watch_fall_behind(h, w, first->rev.main);
            h->err = err == ERR_AGAIN || err == ERR_COLD ? h->err : err;
        }
    }
    watch_match_end(h);
}

/* Behind the last event of at most WATCH_RESPONSE_REVS revisions. */
static size_t group_end(const struct watch_events *es, size_t from)
{
    size_t revs = 0;
    size_t i = from;
    for (; i < es->len; i++) {
        if (i == from || es->at[i].rev.main != es->at[i - 1].rev.main) {
            revs++;
        }
        if (revs > WATCH_RESPONSE_REVS) {
            break;
        }
    }
    return i;
}

static void live_flush(struct watch_hub *h)
{
    struct watch_events *es = &h->pending;
    for (size_t at = 0; at < es->len;) {
        size_t end = group_end(es, at);
        give_live(h, es->at, at, end);
        at = end;
    }
    if (es->cap > PENDING_KEEP) {
        watch_events_deinit(es);
    } else {
        watch_events_clear(es);
    }
    int64_t now = mvcc_rev(h->store);
    h->rev = h->rev > now ? h->rev : now;
}

int watch_hub_flush(struct watch_hub *h)
{
    live_flush(h);
    int err = h->err != 0 ? h->err : watch_catch_up(h);
    h->err = err == ERR_AGAIN ? 0 : err;
    return err;
}

/* ---- streams and watchers ---- */

void watch_stream_init(struct watch_stream *s, const struct watch_stream_ops *ops)
{
    s->ops = ops;
    list_init(&s->watchers);
    list_init(&s->parked);
    s->is_blocked = false;
}

void watch_stream_unblock(struct watch_hub *h, struct watch_stream *s)
{
    s->is_blocked = false;
    list_splice_back(&h->ready, &s->parked);
}

void watcher_add(struct watch_hub *h, struct watch_stream *s, struct watcher *w, struct slice key,
                 struct slice range_end, int64_t start_rev)
{
    struct keyrange r = keyrange_make(key, range_end);
    int64_t now = mvcc_rev(h->store);
    w->stream = s;
    w->interval = watch_index_take(&h->index, r.key, r.end, r.is_single, r.is_open_end);
    w->has_batch = false;
    list_node_init(&w->in_queue);
    list_push_back(&s->watchers, &w->in_stream);
    w->next_rev = start_rev == 0 ? now + 1 : start_rev;
    if (h->count == h->behind) {
        /* Nobody has collected what was changed since the last flush; it is not this one's. */
        h->rev = h->rev > now ? h->rev : now;
    }
    w->is_live = w->next_rev > h->rev;
    list_push_back(&w->interval->sides[w->is_live ? WATCH_LIVE : WATCH_BEHIND], &w->in_interval);
    h->count++;
    if (!w->is_live) {
        h->behind++;
        watch_queue(h, w);
    }
}

void watcher_remove(struct watch_hub *h, struct watcher *w)
{
    ensure(!w->has_batch);
    list_remove(&w->in_stream);
    if (w->interval == NULL) {
        return;
    }
    list_remove(&w->in_queue);
    list_remove(&w->in_interval);
    watch_index_drop(&h->index, w->interval);
    w->interval = NULL;
    h->behind -= !w->is_live;
    h->count--;
}

bool watcher_is_synced(const struct watch_hub *h, const struct watcher *w)
{
    return w->interval != NULL && w->is_live && w->next_rev <= h->rev + 1;
}

int64_t watch_hub_rev(const struct watch_hub *h)
{
    return h->rev;
}

int64_t watch_hub_store_rev(const struct watch_hub *h)
{
    return mvcc_rev(h->store);
}

size_t watch_hub_count(const struct watch_hub *h)
{
    return h->count;
}

uint64_t watch_hub_sent(const struct watch_hub *h)
{
    return h->sent;
}

size_t watch_hub_behind(const struct watch_hub *h)
{
    return h->behind;
}

void watch_hub_check(const struct watch_hub *h)
{
    watch_index_check(&h->index);
    size_t ready = 0;
    LIST_FOREACH (&h->ready, n) {
        const struct watcher *w = LIST_ENTRY(n, struct watcher, in_queue);
        ensure(!w->is_live && w->interval != NULL);
        ready++;
    }
    ensure(ready <= h->behind && h->behind <= h->count);
}
