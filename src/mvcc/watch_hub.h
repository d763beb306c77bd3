/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/watch_hub (private): the inside of a hub, shared by the watch files.
 */
#ifndef MVCC_WATCH_HUB_H
#define MVCC_WATCH_HUB_H

#include "mvcc/store.h"
#include "mvcc/watch.h"

enum watch_prev { WATCH_PREV_UNKNOWN, WATCH_PREV_NONE, WATCH_PREV_COLD, WATCH_PREV_HERE };

struct watch_event {
    struct backend_rev rev;
    struct slice stored;
    struct slice key; /* in stored */
    bool is_create;
    enum watch_prev prev_state;
    struct backend_rev prev_rev;
    struct slice prev;   /* WATCH_PREV_HERE: of the chunk's memory */
    struct rcbuf *plain; /* encoded, or NULL */
    struct rcbuf *full;  /* with prev_kv */
};

struct watch_events {
    struct watch_event *at;
    size_t len;
    size_t cap;
};

/* Some revisions of history, whole. */
struct watch_chunk {
    int64_t from;
    int64_t to; /* everything in [from, to] is here */
    struct watch_events events;
    struct arena bytes;
};

enum watch_job_kind { WATCH_JOB_SCAN, WATCH_JOB_PREV };

struct watch_job {
    enum watch_job_kind kind;
    struct backend_view *view;
    struct watch_chunk *chunk; /* the hub's */
    uint64_t epoch;
    int err;
};

struct watch_ref {
    uint32_t event;
    uint32_t next; /* of the same watcher; UINT32_MAX: none */
};

struct watch_hub {
    struct mvcc_store *store;
    struct watch_index index;
    struct list ready;
    size_t count;
    size_t behind;
    int64_t rev;
    uint64_t epoch;
    uint64_t sent;
    struct watch_events pending;
    struct watch_chunk chunk;
    bool has_chunk; /* read, not yet handed out */
    struct watch_job job;
    bool is_job_wanted;
    bool is_job_running;
    int err;

    /* While events are handed out. */
    struct watch_ref *refs;
    size_t refs_len;
    size_t refs_cap;
    struct watcher **touched;
    size_t touched_len;
    size_t touched_cap;
    struct rcbuf **out;
    size_t out_cap;
};

/* ---- watch_event.c ---- */

/* False: not a record that the store writes. */
bool watch_event_add(struct watch_events *es, struct backend_rev rev, struct slice stored);
void watch_events_clear(struct watch_events *es);
void watch_events_deinit(struct watch_events *es);
/* Encoded for a watcher; ERR_COLD: the previous value must be read first. */
MUST_USE int watch_event_encoded(const struct mvcc_store *s, struct watch_event *e, bool wants_prev,
                                 struct rcbuf **out);

/* ---- watch_send.c ---- */

/* Collects who gets which of events [from, to). */
void watch_match(struct watch_hub *h, enum watch_side side, struct watch_event *events, size_t from,
                 size_t to);
/* Gives the watcher its collected events: 0, ERR_AGAIN its stream is full, ERR_COLD. */
MUST_USE int watch_give(struct watch_hub *h, struct watcher *w, struct watch_event *events,
                        int64_t header_rev);
void watch_match_end(struct watch_hub *h);
/* From live to behind at next_rev. */
void watch_fall_behind(struct watch_hub *h, struct watcher *w, int64_t next_rev);
void watch_go_live(struct watch_hub *h, struct watcher *w);
/* Its place among those behind: parked when the stream is full. */
void watch_queue(struct watch_hub *h, struct watcher *w);

/* ---- watch_history.c ---- */

MUST_USE int watch_catch_up(struct watch_hub *h);
void watch_chunk_clear(struct watch_chunk *c);

#endif
