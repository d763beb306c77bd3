/* SPDX-License-Identifier: Apache-2.0
 *
 * service/watch: etcdserverpb.Watch (client-api 2.2): streams of many watches over mvcc/watch.
 *
 * Design      The hub says who gets which events; this file is ids, answers and progress.  A stream
 *             that holds enough unsent bytes is blocked: its watches fall behind and cost a cursor
 *             each, and its requests wait, until HTTP/2 has room again.  Events are sent by
 *             reference, behind a head of a few bytes.
 * Limits      LIMIT_WATCHES over all streams.
 */
#include "base/bytes.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/map.h"
#include "mvcc/watch.h"
#include "service/internal.h"
#include "service/watch_req.h"
#include "wire/watch.h"

enum {
    WATCH_ID_INVALID = -1,
    PROGRESS_JITTER = 10, /* the interval grows by up to this part */
    LEADERLESS_ROUNDS = 3,
};

/* All streams of a member. */
struct watches {
    struct service *service;
    struct watch_hub *hub;
    struct list streams;
    size_t count;
    struct env_timer leader; /* runs while a stream wants a leader */
    unsigned leaderless;
    struct grpc_part *parts; /* of the message being sent */
    size_t parts_cap;
};

struct watch_call {
    struct list_node node;
    struct watch_stream stream;
    struct watches *all;
    struct grpc_call *call;
    struct map by_id; /* id -> client_watch */
    int64_t next_id;
    struct env_timer progress;
    size_t progress_watches;
    bool wants_leader;
    bool is_paused;
};

struct client_watch {
    struct watcher w;
    int64_t id;
    int64_t start_rev;
    bool wants_progress;
    bool is_progress_due; /* nothing was sent since the last tick */
    bool fragment;
};

static struct watch_call *call_of(struct watch_stream *s)
{
    return container_of(s, struct watch_call, stream);
}

static struct env_exec *exec_of(const struct watches *all)
{
    return driver_env(all->service->driver)->exec;
}

/* ---- answers ---- */

static struct wire_watch_resp answer_make(const struct watch_call *wc, int64_t id, int64_t rev)
{
    return (struct wire_watch_resp){
        .has_header = true,
        .header = service_header(wc->all->service, rev),
        .watch_id = id,
    };
}

/* Small answers go out even when the stream is full, but then no more requests are read. */
static void answer_send(struct watch_call *wc, const struct wire_watch_resp *r)
{
    FAILPOINT(beforeSendWatchResponse);
    struct buf *out = service_scratch(wc->all->service);
    wire_watch_resp_encode_head(out, r);
    grpc_call_send(wc->call, buf_slice(out));
    if (!grpc_call_can_send(wc->call) && !wc->is_paused) {
        wc->is_paused = true;
        wc->stream.is_blocked = true;
        grpc_call_pause(wc->call);
    }
}

static int64_t rev_now(const struct watch_call *wc)
{
    return watch_hub_store_rev(wc->all->hub);
}

static void create_refuse(struct watch_call *wc, const char *reason)
{
    struct wire_watch_resp r = answer_make(wc, WATCH_ID_INVALID, rev_now(wc));
    r.created = r.canceled = true;
    r.cancel_reason = slice_cstr(reason);
    answer_send(wc, &r);
}

/* ---- events ---- */

static struct grpc_part *parts_room(struct watches *all, size_t count)
{
    if (all->parts_cap < count) {
        all->parts_cap = count * 2;
        all->parts = mem_realloc(all->parts, all->parts_cap * sizeof(*all->parts));
    }
    return all->parts;
}

static void events_send(struct watch_call *wc, const struct wire_watch_resp *r,
                        struct rcbuf *const *events, size_t count)
{
    FAILPOINT(beforeSendWatchResponse);
    struct buf *head = service_scratch(wc->all->service);
    wire_watch_resp_encode_head(head, r);
    struct grpc_part *parts = parts_room(wc->all, count + 1);
    parts[0] = (struct grpc_part){.bytes = buf_slice(head)};
    for (size_t i = 0; i < count; i++) {
        parts[i + 1] = (struct grpc_part){rcbuf_slice(events[i]), rcbuf_ref(events[i])};
    }
    grpc_call_send_parts(wc->call, parts, count + 1);
}

static size_t head_size(struct watch_call *wc, const struct wire_watch_resp *r)
{
    struct buf *head = service_scratch(wc->all->service);
    wire_watch_resp_encode_head(head, r);
    return head->len;
}

/* In parts below the size that a client receives by default; a part has one event at least. */
static void fragments_send(struct watch_call *wc, struct wire_watch_resp *r,
                           const struct watch_delivery *d, size_t max)
{
    for (size_t at = 0; at < d->count;) {
        r->fragment = true;
        size_t size = head_size(wc, r) + d->events[at]->len;
        size_t end = at + 1;
        while (end < d->count && size + d->events[end]->len < max) {
            size += d->events[end++]->len;
        }
        r->fragment = end < d->count;
        events_send(wc, r, d->events + at, end - at);
        at = end;
    }
}

static bool on_deliver(struct watcher *w, const struct watch_delivery *d)
{
    struct client_watch *cw = container_of(w, struct client_watch, w);
    struct watch_call *wc = call_of(w->stream);
    if (!grpc_call_can_send(wc->call)) {
        return false;
    }
    struct wire_watch_resp r = answer_make(wc, cw->id, d->header_rev);
    size_t max = wc->all->service->o.request_bytes_max + LIMIT_GRPC_OVERHEAD_BYTES;
    if (cw->fragment && d->count > 1 && head_size(wc, &r) + d->bytes >= max) {
        fragments_send(wc, &r, d, max);
    } else {
        events_send(wc, &r, d->events, d->count);
    }
    cw->is_progress_due = false;
    return true;
}

static void on_compacted(struct watcher *w, int64_t compact_rev)
{
    const struct client_watch *cw = container_of(w, struct client_watch, w);
    struct wire_watch_resp r = answer_make(call_of(w->stream), cw->id, 0);
    r.canceled = true;
    r.compact_revision = compact_rev;
    answer_send(call_of(w->stream), &r);
}

static const struct watch_stream_ops stream_ops = {on_deliver, on_compacted};

/* ---- progress ---- */

static bool is_synced(const struct watch_call *wc, const struct client_watch *cw)
{
    return watcher_is_synced(wc->all->hub, &cw->w) && cw->start_rev <= watch_hub_rev(wc->all->hub);
}

static void progress_start(struct watch_call *wc)
{
    const struct service *s = wc->all->service;
    uint8_t random[4];
    struct env_rand *rand = driver_env(s->driver)->rand;
    rand->ops->fill(rand, random, sizeof(random));
    uint64_t jitter = s->o.watch_progress_ms / PROGRESS_JITTER;
    uint64_t more = jitter == 0 ? 0 : load_le32(random) % jitter;
    exec_of(wc->all)->ops->timer_start(exec_of(wc->all), &wc->progress,
                                       s->o.watch_progress_ms + more);
}

static void on_progress(struct env_timer *t)
{
    struct watch_call *wc = container_of(t, struct watch_call, progress);
    LIST_FOREACH (&wc->stream.watchers, n) {
        struct client_watch *cw =
            container_of(LIST_ENTRY(n, struct watcher, in_stream), struct client_watch, w);
        if (!cw->wants_progress) {
            continue;
        }
        if (cw->is_progress_due && !wc->stream.is_blocked && is_synced(wc, cw)) {
            struct wire_watch_resp r = answer_make(wc, cw->id, watch_hub_rev(wc->all->hub));
            answer_send(wc, &r);
        }
        cw->is_progress_due = true;
    }
    progress_start(wc);
}

/* Only when everything up to the revision was sent on this stream; else the client asks again. */
static void progress_answer(struct watch_call *wc)
{
    FAILPOINT(beforeProgressIfSync);
    if (list_is_empty(&wc->stream.watchers) || wc->stream.is_blocked) {
        return;
    }
    LIST_FOREACH (&wc->stream.watchers, n) {
        const struct watcher *w = LIST_ENTRY(n, struct watcher, in_stream);
        if (!is_synced(wc, container_of(w, struct client_watch, w))) {
            return;
        }
    }
    struct wire_watch_resp r = answer_make(wc, WATCH_ID_INVALID, watch_hub_rev(wc->all->hub));
    answer_send(wc, &r);
}

/* ---- create and cancel ---- */

static int64_t id_next(struct watch_call *wc)
{
    while (map_get(&wc->by_id, (uint64_t)wc->next_id) != NULL) {
        wc->next_id++;
    }
    return wc->next_id++;
}

static const char *create_reason(const struct watch_call *wc, const struct watch_req *q)
{
    bool is_open_end = q->range_end.len == 1 && q->range_end.data[0] == 0;
    if (q->start_rev < 0) {
        return err_text(ERR_RPC_COMPACTED);
    }
    if (q->range_end.len > 0 && !is_open_end && slice_compare(q->key, q->range_end) >= 0) {
        return "mvcc: watcher range is empty";
    }
    if (q->watch_id != 0 && map_get(&wc->by_id, (uint64_t)q->watch_id) != NULL) {
        return "mvcc: duplicate watch ID provided on the WatchStream";
    }
    bool is_full = watch_hub_count(wc->all->hub) >= LIMIT_WATCHES;
    return is_full ? err_text(ERR_RPC_TOO_MANY_REQUESTS) : NULL;
}

static void create(struct watch_call *wc, struct watch_req *q)
{
    if (q->key.len == 0) {
        q->key = SLICE_LIT("\0");
    }
    const char *reason = create_reason(wc, q);
    if (reason != NULL) {
        create_refuse(wc, reason);
        return;
    }
    struct client_watch *cw = mem_zalloc(sizeof(*cw));
    cw->id = q->watch_id != 0 ? q->watch_id : id_next(wc);
    cw->start_rev = q->start_rev;
    cw->wants_progress = q->progress_notify;
    cw->is_progress_due = true;
    cw->fragment = q->fragment;
    cw->w.wants_prev = q->prev_kv;
    cw->w.no_put = q->no_put;
    cw->w.no_delete = q->no_delete;
    map_put(&wc->by_id, (uint64_t)cw->id, cw);
    watcher_add(wc->all->hub, &wc->stream, &cw->w, q->key, q->range_end, q->start_rev);
    struct wire_watch_resp r = answer_make(wc, cw->id, rev_now(wc));
    r.created = true;
    answer_send(wc, &r);
    if (cw->wants_progress && wc->progress_watches++ == 0) {
        progress_start(wc);
    }
    if (!cw->w.is_live) {
        driver_watch_kick(wc->all->service->driver);
    }
}

static void watch_end(struct watch_call *wc, struct client_watch *cw)
{
    if (cw->wants_progress && --wc->progress_watches == 0) {
        exec_of(wc->all)->ops->timer_stop(exec_of(wc->all), &wc->progress);
    }
    watcher_remove(wc->all->hub, &cw->w);
    map_remove(&wc->by_id, (uint64_t)cw->id);
    mem_free(cw);
}

static void cancel(struct watch_call *wc, int64_t id)
{
    struct client_watch *cw = map_get(&wc->by_id, (uint64_t)id);
    if (cw != NULL) {
        watch_end(wc, cw);
        struct wire_watch_resp r = answer_make(wc, id, rev_now(wc));
        r.canceled = true;
        answer_send(wc, &r);
    }
}

/* ---- the stream ---- */

static struct watch_call **call_slot(struct grpc_call *call)
{
    return grpc_call_user(call);
}

static void leader_watch(struct watches *all)
{
    exec_of(all)->ops->timer_start(exec_of(all), &all->leader, all->service->o.election_ms);
}

static void watch_on_start(struct grpc_call *call)
{
    struct watches *all = ((struct service *)grpc_call_service(call))->watches;
    struct watch_call *wc = mem_zalloc(sizeof(*wc));
    wc->all = all;
    wc->call = call;
    watch_stream_init(&wc->stream, &stream_ops);
    map_init(&wc->by_id);
    wc->progress.fire = on_progress;
    wc->wants_leader = slice_equal_cstr(grpc_call_metadata(call, "hasleader"), "true");
    list_push_back(&all->streams, &wc->node);
    all->count++;
    if (wc->wants_leader) {
        leader_watch(all);
    }
    *call_slot(call) = wc;
}

static void call_end(struct watch_call *wc)
{
    LIST_FOREACH (&wc->stream.watchers, n) {
        watch_end(wc,
                  container_of(LIST_ENTRY(n, struct watcher, in_stream), struct client_watch, w));
    }
    list_remove(&wc->node);
    wc->all->count--;
    map_deinit(&wc->by_id);
    *call_slot(wc->call) = NULL;
    mem_free(wc);
}

static void watch_on_message(struct grpc_call *call, struct slice msg)
{
    struct watch_call *wc = *call_slot(call);
    struct watch_req q;
    int err = watch_req_decode(msg, &q);
    if (err != 0) {
        call_end(wc);
        service_malformed(call, err);
        return;
    }
    switch (q.kind) {
    case WATCH_REQ_CREATE: create(wc, &q); break;
    case WATCH_REQ_CANCEL: cancel(wc, q.watch_id); break;
    case WATCH_REQ_PROGRESS: progress_answer(wc); break;
    case WATCH_REQ_NONE: break;
    }
}

static void watch_on_writable(struct grpc_call *call)
{
    struct watch_call *wc = *call_slot(call);
    if (wc == NULL) {
        return;
    }
    if (wc->stream.is_blocked) {
        FAILPOINT(beforeMoveVictims);
        watch_stream_unblock(wc->all->hub, &wc->stream);
        driver_watch_kick(wc->all->service->driver);
    }
    if (wc->is_paused) {
        wc->is_paused = false;
        grpc_call_unpause(call);
    }
}

static void watch_on_cancel(struct grpc_call *call, int err)
{
    (void)err;
    if (*call_slot(call) != NULL) {
        call_end(*call_slot(call));
    }
}

static void call_fail(struct watch_call *wc, int err)
{
    struct grpc_call *call = wc->call;
    call_end(wc);
    service_refuse(call, err);
}

/* ---- all streams ---- */

static void on_leader_check(struct env_timer *t)
{
    struct watches *all = container_of(t, struct watches, leader);
    struct core_status st;
    core_status(all->service->core, &st);
    all->leaderless = st.leader == 0 ? all->leaderless + 1 : 0;
    bool is_lost = all->leaderless >= LEADERLESS_ROUNDS;
    bool goes_on = false;
    LIST_FOREACH (&all->streams, n) {
        struct watch_call *wc = LIST_ENTRY(n, struct watch_call, node);
        if (wc->wants_leader && is_lost) {
            call_fail(wc, ERR_RPC_NO_LEADER);
        } else {
            goes_on = goes_on || wc->wants_leader;
        }
    }
    if (goes_on) {
        leader_watch(all);
    } else {
        all->leaderless = 0;
    }
}

static const struct grpc_method watch_methods[] = {
    {.service = "etcdserverpb.Watch",
     .name = "Watch",
     .kind = GRPC_KIND_BIDI,
     .on_start = watch_on_start,
     .on_message = watch_on_message,
     .on_writable = watch_on_writable,
     .on_cancel = watch_on_cancel},
};

void watch_register(struct service *s, struct grpc_server *server)
{
    grpc_server_add(server, watch_methods, ARRAY_LEN(watch_methods), s);
}

size_t service_watch_streams(const struct service *s)
{
    return s->watches->count;
}

void watches_create(struct service *s)
{
    struct watches *all = mem_zalloc(sizeof(*all));
    all->service = s;
    all->hub = driver_watch_hub(s->driver);
    all->leader.fire = on_leader_check;
    list_init(&all->streams);
    s->watches = all;
}

void watches_stop(struct service *s)
{
    exec_of(s->watches)->ops->timer_stop(exec_of(s->watches), &s->watches->leader);
    LIST_FOREACH (&s->watches->streams, n) {
        call_fail(LIST_ENTRY(n, struct watch_call, node), ERR_RPC_STOPPED);
    }
}

void watches_destroy(struct service *s)
{
    ensure(list_is_empty(&s->watches->streams));
    mem_free(s->watches->parts);
    mem_free(s->watches);
}
