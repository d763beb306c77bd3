/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/watch: a stream of watches whose events must be exactly the model's: each change of its keys
 * from its start on, in order, once, all of a revision together, none invented; what a progress
 * notification says is there must have been delivered.
 *
 * When a stream breaks, each watch goes on at another member (or the same) behind what it has.
 */
#include <inttypes.h>

#include "base/err.h"
#include "grpc/client.h"
#include "rpc/rpc_client.h"
#include "sim/run.h"
#include "wire/watch.h"

enum {
    CONNECT_MS = 2000,
    PING_MS = 10000,
    PING_TIMEOUT_MS = 2000,
    ARENA_BYTES = 1 << 14,
    REOPEN_MAX_MS = 1000,
    PROGRESS_MAX_MS = 3000,
    LIFE_MAX_MS = 20000
};

struct sub {
    char key[16], end[16];
    bool wants_prev;
    bool is_open;      /* created by the server */
    bool has_cursor;   /* false: from wherever it is created */
    int64_t start_rev; /* nothing before it may come */
    size_t cursor;     /* in the model's records: everything before was looked at */
};

struct run_watch {
    struct run *run;
    unsigned number;
    struct env *env;
    struct env_timer reopen;
    struct env_timer progress;
    struct rpc_channel *channel;
    struct grpc_client_call *call;
    char addr[16];
    struct sub subs[RUN_WATCHES_MAX];
    unsigned count;
    struct arena arena;
    bool is_stopped;
    uint64_t end_ns; /* when the stream is given up, to open another one */
};

static void wrong(struct run_watch *w, const struct sub *s, const char *what, int64_t rev)
{
    run_fail(w->run,
             "watch exact: w%u.%zu on %s (key %s end %s, from %" PRId64
             "): %s at revision %" PRId64,
             w->number, (size_t)(s - w->subs), w->addr, s->key, s->end, s->start_rev, what, rev);
}

/* ---- the model's side ---- */

/* The next record that the watch must see, from its cursor on; NULL: none yet. */
static const struct model_record *next_record(const struct run_watch *w, const struct sub *s,
                                              size_t *at)
{
    const struct model *m = w->run->model;
    for (size_t i = s->cursor; i < model_record_count(m); i++) {
        const struct model_record *rec = model_record(m, i);
        if (rec->rev >= s->start_rev &&
            model_in_range(slice_cstr(s->key), slice_cstr(s->end), rec->kv.key)) {
            *at = i;
            return rec;
        }
    }
    return NULL;
}

static bool event_equal(const struct wire_event *e, const struct model_record *rec)
{
    bool is_delete = e->type == WIRE_EVENT_DELETE;
    return is_delete == rec->is_delete && slice_equal(e->kv.key, rec->kv.key) &&
           e->kv.mod_revision == rec->kv.mod_revision &&
           (is_delete ||
            (slice_equal(e->kv.value, rec->kv.value) && e->kv.version == rec->kv.version &&
             e->kv.create_revision == rec->kv.create_revision && e->kv.lease == rec->kv.lease));
}

/* The previous value, where it was asked for and is not compacted. */
static bool prev_equal(const struct run_watch *w, const struct sub *s, const struct wire_event *e,
                       const struct model_record *rec)
{
    if (!e->has_prev_kv) {
        return true; /* it may be compacted */
    }
    const struct model_record *prev = model_get(w->run->model, rec->kv.key, rec->rev - 1);
    return s->wants_prev && prev != NULL && prev->kv.mod_revision == e->prev_kv.mod_revision &&
           slice_equal(prev->kv.value, e->prev_kv.value);
}

static void event_look(struct run_watch *w, struct sub *s, const struct wire_event *e)
{
    size_t at;
    const struct model_record *rec = next_record(w, s, &at);
    w->run->stats.events++;
    if (rec == NULL) {
        wrong(w, s, "an event that nobody made", e->kv.mod_revision);
    } else if (e->kv.mod_revision < rec->rev) {
        wrong(w, s, "an event again, or from before the start", e->kv.mod_revision);
    } else if (e->kv.mod_revision > rec->rev) {
        wrong(w, s, "an event is missing", rec->rev);
    } else if (!event_equal(e, rec)) {
        wrong(w, s, "another event", rec->rev);
    } else if (!prev_equal(w, s, e, rec)) {
        wrong(w, s, "another previous value", rec->rev);
    } else {
        s->cursor = at + 1;
    }
}

/* Everything up to rev has been delivered. */
static bool sub_is_complete(const struct run_watch *w, const struct sub *s, int64_t rev)
{
    size_t at;
    const struct model_record *rec = s->has_cursor ? next_record(w, s, &at) : NULL;
    return rec == NULL || rec->rev > rev;
}

bool watch_is_complete(const struct run_watch *w, int64_t rev)
{
    for (unsigned i = 0; i < w->count; i++) {
        if (!sub_is_complete(w, &w->subs[i], rev)) {
            return false;
        }
    }
    return true;
}

/* ---- messages ---- */

static void created(struct run_watch *w, struct sub *s, const struct wire_watch_resp *resp)
{
    s->is_open = true;
    if (!s->has_cursor) {
        s->has_cursor = true;
        s->start_rev = resp->header.revision + 1;
        s->cursor = model_find(w->run->model, s->start_rev);
    }
}

/* What is compacted cannot be told any more: it goes on behind it. */
static void compacted(struct run_watch *w, struct sub *s, const struct wire_watch_resp *resp)
{
    int64_t rev = resp->compact_revision;
    s->is_open = false;
    if (rev == 0) {
        return;
    }
    if (rev > model_compact_rev(w->run->model)) {
        wrong(w, s, "a compaction that nobody made", rev);
    }
    if (sub_is_complete(w, s, rev - 1) && s->start_rev >= rev) {
        wrong(w, s, "the watch does not need what was compacted", rev);
    }
    s->start_rev = s->start_rev > rev ? s->start_rev : rev;
    size_t at = model_find(w->run->model, rev);
    s->cursor = s->cursor > at ? s->cursor : at;
}

static void notified(struct run_watch *w, struct sub *s, int64_t rev)
{
    if (rev + 1 < s->start_rev) {
        wrong(w, s, "a notification before the start", rev);
    }
    if (!sub_is_complete(w, s, rev)) {
        wrong(w, s, "a notification overtakes events", rev);
    }
}

static void events_look(struct run_watch *w, struct sub *s, const struct wire_watch_resp *resp)
{
    size_t at;
    for (size_t i = 0; i < resp->event_count; i++) {
        event_look(w, s, &resp->events[i]);
    }
    int64_t last = resp->events[resp->event_count - 1].kv.mod_revision;
    const struct model_record *rec = next_record(w, s, &at);
    if (rec != NULL && rec->rev == last) {
        wrong(w, s, "a revision comes in pieces", last);
    }
    if (resp->header.revision < last) {
        wrong(w, s, "a header older than the events", resp->header.revision);
    }
}

static void on_message(void *arg, struct grpc_client_call *call, struct slice msg)
{
    struct run_watch *w = arg;
    struct wire_watch_resp resp;
    (void)call;
    arena_reset(&w->arena);
    if (wire_watch_resp_decode(msg, &w->arena, &resp) != 0) {
        wrong(w, &w->subs[0], "an answer that cannot be read", 0);
        return;
    }
    if (resp.header.revision > w->run->acked_rev) {
        w->run->acked_rev = resp.header.revision;
    }
    if (resp.watch_id == -1) { /* all watches of the stream */
        for (unsigned i = 0; i < w->count; i++) {
            notified(w, &w->subs[i], resp.header.revision);
        }
        return;
    }
    if (resp.watch_id < 0 || resp.watch_id >= w->count) {
        wrong(w, &w->subs[0], "a watch that is none", resp.watch_id);
        return;
    }
    struct sub *s = &w->subs[resp.watch_id];
    if (resp.created) {
        created(w, s, &resp);
    }
    if (resp.canceled) {
        compacted(w, s, &resp);
    } else if (resp.event_count > 0) {
        events_look(w, s, &resp);
    } else if (!resp.created) {
        notified(w, s, resp.header.revision);
    }
}

/* ---- stream ---- */

static void reopen_later(struct run_watch *w)
{
    struct env_exec *x = w->env->exec;
    if (!w->is_stopped) {
        x->ops->timer_start(x, &w->reopen, 1 + prng_below(&w->run->prng, REOPEN_MAX_MS));
    }
}

static void channel_drop(struct run_watch *w)
{
    struct rpc_channel *ch = w->channel;
    w->channel = NULL;
    if (ch != NULL) {
        rpc_channel_destroy(ch);
    }
}

static void on_done(void *arg, struct grpc_client_call *call, const struct grpc_status *status)
{
    struct run_watch *w = arg;
    (void)call;
    trace(w->run, "w%u ends on %s: %.*s", w->number, w->addr, (int)status->message.len,
          (const char *)status->message.data);
    w->call = NULL;
    reopen_later(w);
}

static const struct grpc_client_call_ops call_ops = {.on_message = on_message, .on_done = on_done};

static void on_up(void *arg)
{
    (void)arg;
}

static void on_down(void *arg, int err, const char *text)
{
    (void)err;
    (void)text;
    channel_drop(arg);
}

static const struct rpc_channel_events channel_events = {.on_up = on_up, .on_down = on_down};

/* WatchCreateRequest: key 1, range_end 2, start_revision 3, progress_notify 4, prev_kv 6, id 7. */
static void create_send(struct run_watch *w, unsigned i)
{
    struct sub *s = &w->subs[i];
    struct buf req = BUF_INIT, msg = BUF_INIT;
    size_t at;
    int64_t start = 0;
    s->is_open = false;
    if (s->has_cursor) { /* behind the last event, or where the next one may be */
        const struct model_record *rec = next_record(w, s, &at);
        start = s->cursor > 0 ? model_record(w->run->model, s->cursor - 1)->rev + 1 : 1;
        start = start > s->start_rev ? start : s->start_rev;
        if (rec != NULL && rec->rev < start) {
            start = rec->rev;
        }
    }
    wire_append_bytes(&req, 1, slice_cstr(s->key));
    wire_append_bytes(&req, 2, slice_cstr(s->end));
    wire_append_u64(&req, 3, (uint64_t)start);
    wire_append_u64(&req, 4, 1);
    wire_append_u64(&req, 6, s->wants_prev);
    wire_append_u64(&req, 7, i);
    wire_append_message(&msg, 1, buf_slice(&req));
    grpc_client_call_send(w->call, buf_slice(&msg));
    trace(w->run, "w%u.%u key %s end %s from %" PRId64 " on %s", w->number, i, s->key, s->end,
          start, w->addr);
    buf_deinit(&req);
    buf_deinit(&msg);
}

static void open(struct run_watch *w)
{
    struct run *r = w->run;
    const struct run_slot *s = &r->slots[prng_below(&r->prng, r->slot_count)];
    if (!s->is_used) {
        reopen_later(w);
        return;
    }
    (void)snprintf(w->addr, sizeof(w->addr), "%s:%d", s->name, SIM_CLIENT_PORT);
    struct rpc_channel_options o = {
        .env = w->env,
        .addr = w->addr,
        .connect_timeout_ms = CONNECT_MS,
        .ping_interval_ms = PING_MS,
        .ping_timeout_ms = PING_TIMEOUT_MS,
        .events = &channel_events,
        .arg = w,
    };
    int err = rpc_channel_open(&o, &w->channel);
    ensure(err == 0);
    struct grpc_client_call_options co = {
        .path = "/etcdserverpb.Watch/Watch", .ops = &call_ops, .arg = w};
    w->end_ns = sim_now_ns(r->sim) + run_draw(r, 1000, LIFE_MAX_MS) * 1000000;
    w->call = grpc_client_start(rpc_channel_client(w->channel), &co);
    for (unsigned i = 0; i < w->count && w->call != NULL; i++) {
        create_send(w, i);
    }
}

static void on_reopen(struct env_timer *t)
{
    struct run_watch *w = container_of(t, struct run_watch, reopen);
    if (!w->is_stopped && w->call == NULL) {
        channel_drop(w);
        open(w);
    }
}

static bool has_closed_sub(const struct run_watch *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        if (!w->subs[i].is_open) {
            return true;
        }
    }
    return false;
}

/* WatchProgressRequest; or the end of a stream that has lived, or has lost a watch. */
static void on_progress(struct env_timer *t)
{
    struct run_watch *w = container_of(t, struct run_watch, progress);
    static const uint8_t request[] = {0x1a, 0x00};
    struct env_exec *x = w->env->exec;
    if (w->call != NULL && (sim_now_ns(w->run->sim) > w->end_ns || has_closed_sub(w))) {
        grpc_client_call_cancel(w->call);
    } else if (w->call != NULL) {
        grpc_client_call_send(w->call, slice_make(request, sizeof(request)));
    }
    x->ops->timer_start(x, &w->progress, 500 + prng_below(&w->run->prng, PROGRESS_MAX_MS));
}

/* ---- life ---- */

static void sub_draw(struct run *r, struct sub *s)
{
    (void)snprintf(s->key, sizeof(s->key), "k%02u", (unsigned)prng_below(&r->prng, r->o.keys));
    if (run_chance(r, 60)) {
        (void)snprintf(s->key, sizeof(s->key), "k");
        (void)snprintf(s->end, sizeof(s->end), "l");
    }
    s->wants_prev = run_chance(r, 40);
    if (run_chance(r, 40)) { /* from a revision, of the past or to come */
        s->has_cursor = true;
        s->start_rev = (int64_t)run_draw(r, 1, 60);
    }
}

struct run_watch *watch_start(struct run *r, unsigned number)
{
    char name[16];
    struct run_watch *w = mem_zalloc(sizeof(*w));
    (void)snprintf(name, sizeof(name), "w%u", number);
    w->run = r;
    w->number = number;
    w->env = sim_host_env(sim_host_add(r->sim, name));
    w->reopen.fire = on_reopen;
    w->progress.fire = on_progress;
    arena_init(&w->arena, ARENA_BYTES);
    w->count = (unsigned)run_draw(r, 1, RUN_WATCHES_MAX);
    for (unsigned i = 0; i < w->count; i++) {
        sub_draw(r, &w->subs[i]);
    }
    reopen_later(w);
    w->env->exec->ops->timer_start(w->env->exec, &w->progress, PROGRESS_MAX_MS);
    return w;
}

void watch_stop(struct run_watch *w)
{
    struct env_exec *x = w->env->exec;
    w->is_stopped = true;
    x->ops->timer_stop(x, &w->reopen);
    x->ops->timer_stop(x, &w->progress);
    if (w->call != NULL) {
        grpc_client_call_cancel(w->call);
    }
    channel_drop(w);
}

void watch_free(struct run_watch *w)
{
    arena_deinit(&w->arena);
    mem_free(w);
}
