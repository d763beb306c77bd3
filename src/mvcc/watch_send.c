/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/watch_send: which watcher gets which event, and the two sides a watcher can be on.
 */
#include "base/err.h"
#include "mvcc/watch_hub.h"

enum { REFS_MIN = 64 };
#define REF_END UINT32_MAX

/* ---- sides ---- */

static void side_set(struct watch_hub *h, struct watcher *w, enum watch_side side)
{
    bool is_live = side == WATCH_LIVE;
    list_remove(&w->in_interval);
    list_push_back(&w->interval->sides[side], &w->in_interval);
    if (w->is_live != is_live) {
        h->behind += is_live ? (size_t)-1 : 1;
        w->is_live = is_live;
    }
}

void watch_queue(struct watch_hub *h, struct watcher *w)
{
    list_remove(&w->in_queue);
    list_push_back(w->stream->is_blocked ? &w->stream->parked : &h->ready, &w->in_queue);
}

void watch_fall_behind(struct watch_hub *h, struct watcher *w, int64_t next_rev)
{
    side_set(h, w, WATCH_BEHIND);
    w->next_rev = w->next_rev > next_rev ? w->next_rev : next_rev;
    watch_queue(h, w);
}

void watch_go_live(struct watch_hub *h, struct watcher *w)
{
    side_set(h, w, WATCH_LIVE);
    list_remove(&w->in_queue);
}

/* ---- matching ---- */

struct match {
    struct watch_hub *hub;
    const struct watch_event *event;
    uint32_t at;
    enum watch_side side;
};

static void touch(struct watch_hub *h, struct watcher *w)
{
    if (h->touched_len == h->touched_cap) {
        h->touched_cap = h->touched_cap == 0 ? REFS_MIN : h->touched_cap * 2;
        h->touched = mem_realloc(h->touched, h->touched_cap * sizeof(struct watcher *));
    }
    h->touched[h->touched_len++] = w;
    w->has_batch = true;
    w->batch_count = 0;
}

static void ref_add(struct watch_hub *h, struct watcher *w, uint32_t event)
{
    if (h->refs_len == h->refs_cap) {
        h->refs_cap = h->refs_cap == 0 ? REFS_MIN : h->refs_cap * 2;
        h->refs = mem_realloc(h->refs, h->refs_cap * sizeof(*h->refs));
    }
    ensure(h->refs_len < REF_END);
    uint32_t at = (uint32_t)h->refs_len++;
    h->refs[at] = (struct watch_ref){event, REF_END};
    if (!w->has_batch) {
        touch(h, w);
        w->batch_first = at;
    } else {
        h->refs[w->batch_last].next = at;
    }
    w->batch_last = at;
    w->batch_count++;
}

static bool is_wanted(const struct match *m, const struct watcher *w)
{
    if (w->next_rev > m->event->rev.main) {
        return false;
    }
    if (m->side == WATCH_BEHIND && (w->stream->is_blocked || w->next_rev < m->hub->chunk.from)) {
        return false;
    }
    return m->event->rev.is_tombstone ? !w->no_delete : !w->no_put;
}

static void match_interval(void *arg, struct watch_interval *i)
{
    const struct match *m = arg;
    LIST_FOREACH (&i->sides[m->side], n) {
        struct watcher *w = LIST_ENTRY(n, struct watcher, in_interval);
        if (is_wanted(m, w)) {
            ref_add(m->hub, w, m->at);
        }
    }
}

void watch_match(struct watch_hub *h, enum watch_side side, struct watch_event *events, size_t from,
                 size_t to)
{
    for (size_t i = from; i < to; i++) {
        struct match m = {h, &events[i], (uint32_t)i, side};
        watch_index_find(&h->index, events[i].key, match_interval, &m);
    }
}

void watch_match_end(struct watch_hub *h)
{
    for (size_t i = 0; i < h->touched_len; i++) {
        h->touched[i]->has_batch = false;
    }
    h->touched_len = 0;
    h->refs_len = 0;
}

/* ---- giving ---- */

/* All of them are encoded, also when one is cold: the others are needed the next time. */
static int out_fill(struct watch_hub *h, const struct watcher *w, struct watch_event *events,
                    struct watch_delivery *d)
{
    if (h->out_cap < w->batch_count) {
        h->out_cap = w->batch_count * (size_t)2;
        h->out = mem_realloc(h->out, h->out_cap * sizeof(struct rcbuf *));
    }
    int result = 0;
    for (uint32_t r = w->batch_first; r != REF_END; r = h->refs[r].next) {
        struct rcbuf *b = NULL;
        int err = watch_event_encoded(h->store, &events[h->refs[r].event], w->wants_prev, &b);
        if (err == 0) {
            h->out[d->count++] = b;
            d->bytes += b->len;
        } else if (result == 0 || result == ERR_COLD) {
            result = err;
        }
    }
    d->events = h->out;
    return result;
}

int watch_give(struct watch_hub *h, struct watcher *w, struct watch_event *events,
               int64_t header_rev)
{
    if (w->stream->is_blocked) {
        return ERR_AGAIN;
    }
    struct watch_delivery d = {.header_rev = header_rev};
    int err = out_fill(h, w, events, &d);
    if (err != 0) {
        return err;
    }
    if (!w->stream->ops->deliver(w, &d)) {
        w->stream->is_blocked = true;
        return ERR_AGAIN;
    }
    h->sent += d.count;
    return 0;
}
