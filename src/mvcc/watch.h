/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/watch: who hears of which change: watchers as cursors into the history of a store.
 *
 * Problem     Every watcher must get every change of its keys from a revision on, in order, once,
 *             and all of one revision together; also from long ago, also when its client is slow;
 *             and neither may cost the writers anything, nor a queue per watcher.
 * Design      A watcher is *live* (it was told everything up to the hub's revision) or *behind*
 *             (it has a cursor, next_rev).  Changes of a turn are collected; flush finds the live
 *             watchers of each by the interval index and hands every watcher its events, encoded
 *             once (twice with prev_kv) and shared.  A watcher whose stream takes nothing any more
 *             falls behind: its cursor is all that it costs.  Who is behind reads the history in
 *             chunks of whole revisions, from the tail or by a job from a view of the file, for
 *             all that are behind at once; who reaches the hub's revision is live again.
 *
 *               apply -> event ... -> flush: live -> chunk -> next chunk (tail | job)
 *
 * Invariants  I1 a live watcher got everything up to the hub's revision, and from next_rev on
 *                only.  I2 a watcher behind got everything below next_rev, nothing above.
 *             I3 revisions are never cut.  I4 whose cursor is below the compact revision is told
 *                and taken out.
 * Ownership   Watchers and streams are the caller's structs; remove before they go.
 * Thread      core; watch_job_run: any.
 * Limits      WATCH_CHUNK_* a chunk (one revision may be larger); LIMIT_WATCHES.
 * See         client-api 2.2; design.md 6; test/unit/mvcc/watch_test.c (against a list of all
 *             changes).
 */
#ifndef MVCC_WATCH_H
#define MVCC_WATCH_H

#include "base/rcbuf.h"
#include "mvcc/mvcc.h"
#include "mvcc/watch_index.h"

enum {
    WATCH_RESPONSE_REVS = 1000, /* in one response, as etcd */
    /* A chunk is some 0.1 ms of the core's thread, whatever the size of the values. */
    WATCH_CHUNK_REVS = 256,
    WATCH_CHUNK_BYTES = 256 << 10,
};

struct watch_hub;
struct watcher;

/* What a watcher gets at once: Event messages, each behind its tag and length of WatchResponse. */
struct watch_delivery {
    int64_t header_rev;
    struct rcbuf *const *events; /* take a reference of what is kept */
    size_t count;
    size_t bytes;
};

struct watch_stream_ops {
    /* False: takes nothing now, the watcher falls behind; watch_stream_unblock follows when it
     * does again.  Neither may add or remove watchers. */
    bool (*deliver)(struct watcher *w, const struct watch_delivery *d);
    /* What it waits for is compacted: it is not watching any more. */
    void (*compacted)(struct watcher *w, int64_t compact_rev);
};

struct watch_stream {
    const struct watch_stream_ops *ops;
    struct list watchers;
    struct list parked; /* behind, until unblocked */
    bool is_blocked;
};

struct watcher {
    struct list_node in_interval;
    struct list_node in_stream;
    struct list_node in_queue;       /* behind: ready of the hub or parked of the stream */
    struct watch_interval *interval; /* NULL: out (compacted) */
    struct watch_stream *stream;
    int64_t next_rev;
    uint32_t batch_first; /* while events are handed out */
    uint32_t batch_last;
    uint32_t batch_count;
    bool is_live;
    bool wants_prev;
    bool no_put;
    bool no_delete;
    bool has_batch;
};

struct watch_hub *watch_hub_create(void);
/* No watcher is left, and no job runs. */
void watch_hub_destroy(struct watch_hub *h);
/* The store to follow, at first and when another took its place: all are behind then. */
void watch_hub_attach(struct watch_hub *h, struct mvcc_store *store);
/* For mvcc_options.on_event. */
void watch_hub_event(struct watch_hub *h, const struct mvcc_event *event);

/* After the changes of a turn, before any bytes of the tail go: hands out what can be.
 * 0; ERR_AGAIN: call again soon, there is more to hand out; else why history cannot be read. */
MUST_USE int watch_hub_flush(struct watch_hub *h);

/* A read of old history, or NULL: run it, then done on the core's thread, then flush. */
struct watch_job;
bool watch_hub_wants_job(const struct watch_hub *h);
struct watch_job *watch_hub_job(struct watch_hub *h);
void watch_job_run(struct watch_job *j);
void watch_hub_job_done(struct watch_hub *h, struct watch_job *j);

/* ---- streams and watchers ---- */

void watch_stream_init(struct watch_stream *s, const struct watch_stream_ops *ops);
/* It takes deliveries again: flush soon. */
void watch_stream_unblock(struct watch_hub *h, struct watch_stream *s);

/* start_rev 0: what comes after now.  Key and end as keyrange_make; the caller has set wants_prev,
 * no_put, no_delete.  Nothing is delivered before the next flush. */
void watcher_add(struct watch_hub *h, struct watch_stream *s, struct watcher *w, struct slice key,
                 struct slice range_end, int64_t start_rev);
void watcher_remove(struct watch_hub *h, struct watcher *w);
/* It was told everything up to watch_hub_rev, and that is not before its start. */
bool watcher_is_synced(const struct watch_hub *h, const struct watcher *w);

/* Everything up to here was handed out to the live ones. */
int64_t watch_hub_rev(const struct watch_hub *h);
/* The store's revision now. */
int64_t watch_hub_store_rev(const struct watch_hub *h);
size_t watch_hub_count(const struct watch_hub *h);
/* Events given to watchers since the start. */
uint64_t watch_hub_sent(const struct watch_hub *h);
/* Watchers behind. */
size_t watch_hub_behind(const struct watch_hub *h);
void watch_hub_check(const struct watch_hub *h);

#endif
