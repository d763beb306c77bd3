/* SPDX-License-Identifier: Apache-2.0 */
#include "client/watch.h"

#include "base/list.h"

enum watch_state { WATCH_NEW, WATCH_ASKED, WATCH_ACTIVE };

struct client_watch {
    struct list_node node;
    struct client_watcher *watcher;
    enum watch_state state;
    int64_t id;   /* ACTIVE */
    int64_t next; /* revision to go on from; 0: from now on */
    bool prev_kv;
    bool progress_notify;
    bool has_new_token; /* asked once more after a login */
    void *arg;
    struct buf key;
    struct buf range_end;
};

struct client_watcher {
    struct client *client;
    struct env *env;
    struct client_call *call; /* NULL: no stream */
    struct env_timer pause;
    struct list watches;
    struct list answers;
    size_t answer_count;
    size_t orphans; /* creates sent for watches that were stopped since */
    bool is_held;
    bool wants_progress;
    bool is_renewing; /* the stream under way has an old token */
    void (*on_ready)(void *arg);
    void *arg;
};

static void ask_next(struct client_watcher *w);

/* ---- answers ---- */

static struct client_watch_answer *answer_new(const struct client_watch *watch)
{
    struct client_watch_answer *a = mem_zalloc(sizeof(*a));
    a->arg = watch->arg;
    buf_init(&a->raw);
    buf_init(&a->error);
    arena_init(&a->arena, 0);
    return a;
}

void client_watch_answer_free(struct client_watch_answer *a)
{
    if (a != NULL) {
        buf_deinit(&a->raw);
        buf_deinit(&a->error);
        arena_deinit(&a->arena);
        mem_free(a);
    }
}

bool client_watch_is_progress(const struct client_watch_answer *a)
{
    const struct wire_watch_resp *r = &a->resp;
    return r->event_count == 0 && !r->canceled && !r->created && r->compact_revision == 0 &&
           r->header.revision != 0;
}

static void answer_push(struct client_watcher *w, struct client_watch_answer *a)
{
    list_push_back(&w->answers, &a->node);
    w->answer_count++;
    if (w->answer_count >= CLIENT_WATCH_QUEUE_MAX && !w->is_held && w->call != NULL) {
        w->is_held = true;
        client_call_pause(w->call);
    }
    w->on_ready(w->arg);
}

struct client_watch_answer *client_watcher_take(struct client_watcher *w)
{
    struct list_node *node = list_first(&w->answers);
    if (node == NULL) {
        return NULL;
    }
    list_remove(node);
    w->answer_count--;
    if (w->is_held && w->answer_count < CLIENT_WATCH_QUEUE_MAX / 2) {
        w->is_held = false;
        if (w->call != NULL) {
            client_call_unpause(w->call);
        }
    }
    return LIST_ENTRY(node, struct client_watch_answer, node);
}

/* ---- watches ---- */

static void watch_free(struct client_watch *watch)
{
    list_remove(&watch->node);
    buf_deinit(&watch->key);
    buf_deinit(&watch->range_end);
    mem_free(watch);
}

/* Its last answer; the watch is gone. */
static void watch_end(struct client_watch *watch, struct client_watch_answer *a,
                      struct slice reason)
{
    struct client_watcher *w = watch->watcher;
    a->is_end = true;
    a->resp.canceled = true;
    buf_append_slice(&a->error, reason);
    watch_free(watch);
    answer_push(w, a);
}

static struct client_watch *watch_by_id(struct client_watcher *w, int64_t id)
{
    LIST_FOREACH (&w->watches, node) {
        struct client_watch *watch = LIST_ENTRY(node, struct client_watch, node);
        if (watch->state == WATCH_ACTIVE && watch->id == id) {
            return watch;
        }
    }
    return NULL;
}

static struct client_watch *watch_in(struct client_watcher *w, enum watch_state state)
{
    LIST_FOREACH (&w->watches, node) {
        struct client_watch *watch = LIST_ENTRY(node, struct client_watch, node);
        if (watch->state == state) {
            return watch;
        }
    }
    return NULL;
}

static void create_encode(const struct client_watch *watch, struct buf *out)
{
    size_t start = out->len;
    wire_append_bytes(out, 1, buf_slice(&watch->key));
    wire_append_bytes(out, 2, buf_slice(&watch->range_end));
    wire_append_u64(out, 3, (uint64_t)watch->next);
    wire_append_u64(out, 4, watch->progress_notify);
    wire_append_u64(out, 6, watch->prev_kv);
    wire_close_message(out, start, 1);
}

/* ---- the stream ---- */

static void on_message(void *arg, struct slice msg);
static void on_done(void *arg, const struct client_status *status);

static void send(struct client_watcher *w, struct slice msg)
{
    if (w->call != NULL) {
        /* Not on a connection: the end of the stream makes all watches anew. */
        (void)!client_call_send(w->call, msg);
        return;
    }
    w->call = client_call_start(w->client,
                                &(struct client_call_options){.method = "/etcdserverpb.Watch/Watch",
                                                              .body = msg,
                                                              .is_read = true,
                                                              .is_stream = true,
                                                              .is_open = true,
                                                              .has_leader = true,
                                                              .on_message = on_message,
                                                              .on_done = on_done,
                                                              .arg = w});
    ensure(w->call != NULL); /* a request of a few bytes: as any other allocation */
}

static void send_cancel(struct client_watcher *w, int64_t id)
{
    struct buf body = BUF_INIT;
    size_t start = body.len;
    wire_append_u64(&body, 1, (uint64_t)id);
    wire_close_message(&body, start, 2);
    send(w, buf_slice(&body));
    buf_deinit(&body);
}

/* A member checks the token of the stream at each create. */
static bool is_about_token(struct slice reason)
{
    static const char *const texts[] = {
        "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token",
        "rpc error: code = InvalidArgument desc = etcdserver: revision of auth store is old"};
    return slice_equal_cstr(reason, texts[0]) || slice_equal_cstr(reason, texts[1]);
}

/* All watches again, on another stream, which has the new token. */
static void start_anew(struct client_watcher *w)
{
    struct env_exec *exec = w->env->exec;
    LIST_FOREACH (&w->watches, node) {
        LIST_ENTRY(node, struct client_watch, node)->state = WATCH_NEW;
    }
    w->is_renewing = true;
    exec->ops->timer_start(exec, &w->pause, CLIENT_WATCH_PAUSE_MS);
}

static void on_created(struct client_watcher *w, const struct wire_watch_resp *r)
{
    struct client_watch *watch = watch_in(w, WATCH_ASKED);
    if (w->orphans > 0) {
        w->orphans--;
        send_cancel(w, r->watch_id);
        return;
    }
    if (watch == NULL) {
        return; /* nobody asked */
    }
    if (r->canceled && is_about_token(r->cancel_reason) && !watch->has_new_token &&
        client_token_renew(w->client)) {
        watch->has_new_token = true;
        start_anew(w);
        return;
    }
    if (r->canceled && r->cancel_reason.len > 0) {
        watch_end(watch, answer_new(watch), r->cancel_reason);
        return;
    }
    watch->state = WATCH_ACTIVE;
    watch->has_new_token = false;
    watch->id = r->watch_id;
    if (watch->next == 0) {
        watch->next = r->header.revision + 1;
    }
}

static void note_progress(struct client_watch *watch, const struct wire_watch_resp *r)
{
    if (r->event_count > 0) {
        watch->next = r->events[r->event_count - 1].kv.mod_revision + 1;
    } else if (r->header.revision >= watch->next) {
        watch->next = r->header.revision + 1;
    }
}

static struct client_watch_answer *answer_copy(const struct client_watch *watch, struct slice msg)
{
    struct client_watch_answer *a = answer_new(watch);
    buf_append_slice(&a->raw, msg);
    int err = wire_watch_resp_decode(buf_slice(&a->raw), &a->arena, &a->resp);
    ensure(err == 0); /* the same bytes were decoded before */
    return a;
}

static void end_by_server(struct client_watch *watch, struct client_watch_answer *a)
{
    const struct wire_watch_resp *r = &a->resp;
    if (r->compact_revision != 0) {
        watch_end(watch, a, slice_cstr(err_text(ERR_RPC_COMPACTED)));
    } else if (r->cancel_reason.len > 0) {
        watch_end(watch, a, r->cancel_reason);
    } else {
        watch_end(watch, a, slice_cstr(err_text(ERR_RPC_FUTURE_REV)));
    }
}

/* msg to one watch. */
static void deliver(struct client_watch *watch, struct slice msg)
{
    struct client_watch_answer *a = answer_copy(watch, msg);
    if (a->resp.canceled) {
        end_by_server(watch, a);
        return;
    }
    note_progress(watch, &a->resp);
    answer_push(watch->watcher, a);
}

static void on_message(void *arg, struct slice msg)
{
    struct client_watcher *w = arg;
    struct wire_watch_resp r;
    struct arena scratch;
    arena_init(&scratch, 0);
    if (wire_watch_resp_decode(msg, &scratch, &r) != 0) {
        arena_deinit(&scratch);
        return; /* not from a server of this API; the stream goes on */
    }
    if (r.created) {
        on_created(w, &r);
        ask_next(w);
    } else if (r.watch_id == -1) {
        LIST_FOREACH (&w->watches, node) {
            struct client_watch *watch = LIST_ENTRY(node, struct client_watch, node);
            if (watch->state == WATCH_ACTIVE) {
                deliver(watch, msg);
            }
        }
    } else {
        struct client_watch *watch = watch_by_id(w, r.watch_id);
        if (watch != NULL) {
            deliver(watch, msg);
        }
    }
    arena_deinit(&scratch);
}

static void on_done(void *arg, const struct client_status *status)
{
    struct client_watcher *w = arg;
    struct env_exec *exec = w->env->exec;
    struct buf reason = BUF_INIT;
    w->call = NULL;
    w->is_held = false;
    w->orphans = 0;
    bool passes = status->code == GRPC_UNAVAILABLE || status->code == GRPC_INTERNAL ||
                  status->code == GRPC_OK || w->is_renewing;
    w->is_renewing = false;
    client_status_text(status, &reason);
    LIST_FOREACH (&w->watches, node) {
        struct client_watch *watch = LIST_ENTRY(node, struct client_watch, node);
        if (passes) {
            watch->state = WATCH_NEW;
        } else {
            watch_end(watch, answer_new(watch), buf_slice(&reason));
        }
    }
    buf_deinit(&reason);
    exec->ops->timer_start(exec, &w->pause, CLIENT_WATCH_PAUSE_MS);
}

static void ask_next(struct client_watcher *w)
{
    static const uint8_t progress[] = {0x1a, 0}; /* WatchRequest{progress_request} */
    struct client_watch *watch = watch_in(w, WATCH_NEW);
    if (w->pause.is_active || w->orphans > 0 || watch_in(w, WATCH_ASKED) != NULL) {
        return;
    }
    if (watch != NULL) {
        struct buf body = BUF_INIT;
        create_encode(watch, &body);
        watch->state = WATCH_ASKED;
        send(w, buf_slice(&body));
        buf_deinit(&body);
    } else if (w->wants_progress) {
        w->wants_progress = false;
        send(w, slice_make(progress, sizeof(progress)));
    }
}

static void on_pause_over(struct env_timer *t)
{
    struct client_watcher *w = container_of(t, struct client_watcher, pause);
    if (w->is_renewing && w->call != NULL) {
        client_call_cancel(w->call); /* its end makes all watches anew, after another pause */
    } else {
        ask_next(w);
    }
}

/* ---- the face ---- */

struct client_watcher *client_watcher_create(struct client *c, struct env *env,
                                             void (*on_ready)(void *arg), void *arg)
{
    struct client_watcher *w = mem_zalloc(sizeof(*w));
    *w = (struct client_watcher){.client = c, .env = env, .on_ready = on_ready, .arg = arg};
    list_init(&w->watches);
    list_init(&w->answers);
    w->pause.fire = on_pause_over;
    return w;
}

void client_watcher_destroy(struct client_watcher *w)
{
    if (w == NULL) {
        return;
    }
    LIST_FOREACH (&w->watches, node) {
        watch_free(LIST_ENTRY(node, struct client_watch, node));
    }
    if (w->call != NULL) {
        client_call_cancel(w->call);
    }
    w->env->exec->ops->timer_stop(w->env->exec, &w->pause);
    LIST_FOREACH (&w->answers, node) {
        list_remove(node);
        client_watch_answer_free(LIST_ENTRY(node, struct client_watch_answer, node));
    }
    mem_free(w);
}

struct client_watch *client_watch_start(struct client_watcher *w,
                                        const struct client_watch_options *opts)
{
    struct client_watch *watch = mem_zalloc(sizeof(*watch));
    *watch = (struct client_watch){.watcher = w,
                                   .next = opts->revision,
                                   .prev_kv = opts->prev_kv,
                                   .progress_notify = opts->progress_notify,
                                   .arg = opts->arg};
    buf_init(&watch->key);
    buf_init(&watch->range_end);
    buf_append_slice(&watch->key, opts->key);
    buf_append_slice(&watch->range_end, opts->range_end);
    list_push_back(&w->watches, &watch->node);
    ask_next(w);
    return watch;
}

void client_watch_stop(struct client_watch *watch)
{
    struct client_watcher *w = watch->watcher;
    if (watch->state == WATCH_ACTIVE && w->call != NULL) {
        send_cancel(w, watch->id);
    }
    w->orphans += watch->state == WATCH_ASKED ? 1 : 0;
    LIST_FOREACH (&w->answers, node) {
        struct client_watch_answer *a = LIST_ENTRY(node, struct client_watch_answer, node);
        if (a->arg == watch->arg) {
            list_remove(node);
            w->answer_count--;
            client_watch_answer_free(a);
        }
    }
    watch_free(watch);
}

void client_watcher_progress(struct client_watcher *w)
{
    w->wants_progress = true;
    ask_next(w);
}
