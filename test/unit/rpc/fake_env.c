/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/rpc/fake_env: see fake_env.h.
 */
#include "fake_env.h"

#include <string.h>

struct fake_conn {
    struct env_conn conn;
    struct list_node node;
    struct fake_env *f;
    struct fake_conn *peer; /* NULL: gone */
    struct buf in;          /* for us, not delivered */
    bool is_paused;
    bool owes_drain;
    bool peer_closed; /* eof to be told after in is empty */
    bool eof_told;
    bool is_connecting;
    bool is_closing;
    bool is_failed;
};

struct fake_listener {
    struct env_listener l;
    struct fake_env *f;
    void (*on_accept)(void *arg, struct env_conn *conn);
    void *arg;
    bool (*on_handle)(void *arg, int64_t handle);
    bool is_closed;
};

static uint64_t clock_mono(struct env_clock *c)
{
    return container_of(c, struct fake_env, clock)->now_ms * 1000000;
}

static int64_t clock_wall(struct env_clock *c)
{
    (void)c;
    return 1136214245000000000; /* 2006-01-02 15:04:05 UTC */
}

static const struct env_clock_ops clock_ops = {clock_mono, clock_wall};

/* ---- exec -------------------------------------------------------------------------------------
 */

static void exec_submit(struct env_exec *e, enum env_lane lane, struct env_job *job)
{
    (void)lane;
    list_push_back(&container_of(e, struct fake_env, exec)->jobs, &job->node);
}

static void timer_stop(struct env_exec *e, struct env_timer *t)
{
    (void)e;
    if (t->is_active) {
        list_remove(&t->node);
        t->is_active = false;
    }
}

static void timer_start(struct env_exec *e, struct env_timer *t, uint64_t delay_ms)
{
    struct fake_env *f = container_of(e, struct fake_env, exec);
    timer_stop(e, t);
    t->impl = (void *)(uintptr_t)(f->now_ms + delay_ms);
    t->is_active = true;
    list_push_back(&f->timers, &t->node);
}

static void exec_defer(struct env_exec *e, void (*fn)(void *arg), void *arg)
{
    struct fake_env *f = container_of(e, struct fake_env, exec);
    ensure(f->deferred_count < ARRAY_LEN(f->deferred));
    f->deferred[f->deferred_count].fn = fn;
    f->deferred[f->deferred_count++].arg = arg;
}

struct fake_waker {
    struct env_waker base;
    struct list_node node;
    void (*fn)(void *arg);
    void *arg;
    bool is_set;
};

static void waker_wake(struct env_waker *w)
{
    container_of(w, struct fake_waker, base)->is_set = true;
}

static void waker_destroy(struct env_waker *w)
{
    struct fake_waker *fw = container_of(w, struct fake_waker, base);
    list_remove(&fw->node);
    mem_free(fw);
}

static const struct env_waker_ops waker_ops = {waker_wake, waker_destroy};

static int exec_waker_create(struct env_exec *e, void (*fn)(void *arg), void *arg,
                             struct env_waker **out)
{
    struct fake_env *f = container_of(e, struct fake_env, exec);
    struct fake_waker *w = mem_zalloc(sizeof(*w));
    *w = (struct fake_waker){.base = {&waker_ops}, .fn = fn, .arg = arg};
    list_push_back(&f->wakers, &w->node);
    *out = &w->base;
    return 0;
}

static bool wakers_run(struct fake_env *f)
{
    bool did = false;
    LIST_FOREACH (&f->wakers, n) {
        struct fake_waker *w = LIST_ENTRY(n, struct fake_waker, node);
        if (w->is_set) {
            w->is_set = false;
            did = true;
            w->fn(w->arg);
        }
    }
    return did;
}

static const struct env_exec_ops exec_ops = {exec_submit, timer_start, timer_stop, exec_defer,
                                             exec_waker_create};

/* ---- net --------------------------------------------------------------------------------------
 */

static struct fake_conn *of(struct env_conn *c)
{
    return container_of(c, struct fake_conn, conn);
}

static void conn_write(struct env_conn *conn, const struct slice *parts, size_t count)
{
    struct fake_conn *c = of(conn);
    c->f->writes++;
    for (size_t i = 0; i < count; i++) {
        if (c->peer != NULL) {
            buf_append_slice(&c->peer->in, parts[i]);
        }
    }
    c->owes_drain = true;
}

static size_t conn_queued(struct env_conn *conn)
{
    struct fake_conn *c = of(conn);
    if (c->peer == NULL || c->peer->in.len <= c->f->window) {
        return 0;
    }
    return c->peer->in.len - c->f->window;
}

static void conn_pause(struct env_conn *conn)
{
    of(conn)->is_paused = true;
}

static void conn_resume(struct env_conn *conn)
{
    of(conn)->is_paused = false;
}

static void conn_close(struct env_conn *conn, uint64_t flush_ms)
{
    (void)flush_ms;
    of(conn)->is_closing = true;
}

static const char *conn_peer(struct env_conn *conn)
{
    (void)conn;
    return "127.0.0.1:1234";
}

static const struct env_conn_ops conn_ops = {
    .write = conn_write,
    .queued = conn_queued,
    .read_pause = conn_pause,
    .read_resume = conn_resume,
    .close = conn_close,
    .peer_name = conn_peer,
};

static struct fake_conn *conn_make(struct fake_env *f)
{
    struct fake_conn *c = mem_zalloc(sizeof(*c));
    c->conn.ops = &conn_ops;
    c->f = f;
    list_push_back(&f->conns, &c->node);
    return c;
}

static void listener_close(struct env_listener *l)
{
    struct fake_listener *fl = container_of(l, struct fake_listener, l);
    fl->is_closed = true;
}

static const char *listener_name(struct env_listener *l)
{
    (void)l;
    return "127.0.0.1:2379";
}

static const struct env_listener_ops listener_ops = {listener_close, listener_name};

static int net_listen(struct env_net *n, const char *addr, const struct env_listen_options *opts,
                      void (*on_accept)(void *arg, struct env_conn *conn), void *arg,
                      struct env_listener **out)
{
    (void)addr;
    struct fake_env *f = container_of(n, struct fake_env, net);
    if (f->listener == NULL) {
        f->listener = mem_zalloc(sizeof(*f->listener));
    }
    *f->listener =
        (struct fake_listener){{&listener_ops}, f, on_accept, arg, opts->on_handle, false};
    *out = &f->listener->l;
    return 0;
}

static int net_connect(struct env_net *n, const char *addr, uint64_t timeout_ms,
                       const struct env_conn_events *events, void *arg, struct env_conn **out)
{
    (void)addr;
    (void)timeout_ms;
    struct fake_env *f = container_of(n, struct fake_env, net);
    struct fake_conn *c = conn_make(f);
    c->conn.events = events;
    c->conn.arg = arg;
    c->is_connecting = true;
    *out = &c->conn;
    return 0;
}

static int net_adopt(struct env_net *n, int64_t handle,
                     void (*on_accept)(void *arg, struct env_conn *conn), void *arg)
{
    struct fake_conn *c = (struct fake_conn *)(uintptr_t)handle;
    c->f = container_of(n, struct fake_env, net);
    list_push_back(&c->f->conns, &c->node);
    on_accept(arg, &c->conn);
    return 0;
}

static const struct env_net_ops net_ops = {net_listen, net_connect, net_adopt};

/* ---- running ----------------------------------------------------------------------------------
 */

static void conn_die(struct fake_conn *c, int err)
{
    if (c->peer != NULL) {
        c->peer->peer_closed = true;
        c->peer->peer = NULL;
    }
    list_remove(&c->node);
    const struct env_conn_events *ev = c->conn.events;
    if (ev != NULL) {
        ev->on_close(c->conn.arg, err);
    }
    buf_deinit(&c->in);
    mem_free(c);
}

static bool conn_connect(struct fake_conn *c)
{
    struct fake_env *f = c->f;
    c->is_connecting = false;
    if (f->refuse_connect || f->listener == NULL || f->listener->is_closed) {
        conn_die(c, ERR_REFUSED);
        return true;
    }
    struct fake_conn *server = conn_make(f);
    server->peer = c;
    c->peer = server;
    list_remove(&server->node);
    struct fake_listener *l = f->listener;
    int64_t handle = (int64_t)(uintptr_t)server;
    if (l->on_handle == NULL || !l->on_handle(l->arg, handle)) {
        ensure(net_adopt(&f->net, handle, l->on_accept, l->arg) == 0);
    }
    c->conn.events->on_drain(c->conn.arg);
    return true;
}

static bool conn_step(struct fake_conn *c)
{
    if (c->is_closing) {
        conn_die(c, 0);
        return true;
    }
    if (c->is_connecting) {
        return conn_connect(c);
    }
    if (c->f->is_frozen) {
        return false;
    }
    if (c->in.len > 0 && !c->is_paused) {
        size_t n = c->in.len < c->f->chunk ? c->in.len : c->f->chunk;
        uint8_t *copy = mem_alloc(n); /* exact size: sanitizers see reads behind it */
        memcpy(copy, c->in.data, n);
        buf_consume(&c->in, n);
        c->conn.events->on_data(c->conn.arg, slice_make(copy, n));
        mem_free(copy);
        return true;
    }
    if (c->owes_drain && conn_queued(&c->conn) == 0) {
        c->owes_drain = false;
        c->conn.events->on_drain(c->conn.arg);
        return true;
    }
    if (c->peer_closed && !c->eof_told && c->in.len == 0 && !c->is_paused) {
        c->eof_told = true;
        c->conn.events->on_eof(c->conn.arg);
        return true;
    }
    return false;
}

static bool jobs_run(struct fake_env *f)
{
    bool did = false;
    while (!f->holds_jobs && !list_is_empty(&f->jobs)) {
        struct env_job *job = LIST_ENTRY(list_first(&f->jobs), struct env_job, node);
        list_remove(&job->node);
        job->run(job);
        job->done(job);
        did = true;
    }
    return did;
}

bool fake_env_turn(struct fake_env *f)
{
    bool did = wakers_run(f);
    LIST_FOREACH (&f->conns, n) {
        did = conn_step(LIST_ENTRY(n, struct fake_conn, node)) || did;
    }
    size_t count = f->deferred_count;
    f->deferred_count = 0;
    struct {
        void (*fn)(void *arg);
        void *arg;
    } now[ARRAY_LEN(f->deferred)];
    memcpy(now, f->deferred, sizeof(now));
    for (size_t i = 0; i < count; i++) {
        now[i].fn(now[i].arg);
    }
    return jobs_run(f) || did || count > 0;
}

void fake_env_settle(struct fake_env *f)
{
    for (uint64_t i = 0; fake_env_turn(f); i++) {
        ensure(i < 50000000);
    }
}

static struct env_timer *timer_next(struct fake_env *f)
{
    struct env_timer *best = NULL;
    LIST_FOREACH (&f->timers, n) {
        struct env_timer *t = LIST_ENTRY(n, struct env_timer, node);
        if (best == NULL || (uintptr_t)t->impl < (uintptr_t)best->impl) {
            best = t;
        }
    }
    return best;
}

void fake_env_advance(struct fake_env *f, uint64_t ms)
{
    uint64_t end = f->now_ms + ms;
    fake_env_settle(f);
    for (;;) {
        struct env_timer *t = timer_next(f);
        if (t == NULL || (uintptr_t)t->impl > end) {
            break;
        }
        if ((uintptr_t)t->impl > f->now_ms) {
            f->now_ms = (uintptr_t)t->impl;
        }
        timer_stop(&f->exec, t);
        t->fire(t);
        fake_env_settle(f);
    }
    f->now_ms = end;
}

struct fake_env *fake_env_create(void)
{
    struct fake_env *f = mem_zalloc(sizeof(*f));
    f->clock.ops = &clock_ops;
    f->exec.ops = &exec_ops;
    f->net.ops = &net_ops;
    f->env = (struct env){.clock = &f->clock, .exec = &f->exec, .net = &f->net};
    f->now_ms = 1000000;
    f->chunk = 65536;
    f->window = 1 << 20;
    list_init(&f->timers);
    list_init(&f->jobs);
    list_init(&f->conns);
    list_init(&f->wakers);
    return f;
}

void fake_env_destroy(struct fake_env *f)
{
    fake_env_settle(f);
    ensure(list_is_empty(&f->conns));
    ensure(list_is_empty(&f->timers) && list_is_empty(&f->wakers));
    mem_free(f->listener);
    mem_free(f);
}

/* ---- raw client -------------------------------------------------------------------------------
 */

static void client_data(void *arg, struct slice bytes)
{
    struct fake_client *c = arg;
    buf_append_slice(&c->got, bytes);
}

static void client_eof(void *arg)
{
    struct fake_client *c = arg;
    c->is_eof = true;
}

static void client_drain(void *arg)
{
    struct fake_client *c = arg;
    c->is_up = true;
}

static void client_closed(void *arg, int err)
{
    (void)err;
    struct fake_client *c = arg;
    c->is_closed = true;
    c->conn = NULL;
}

static const struct env_conn_events client_events = {client_data, client_eof, client_drain,
                                                     client_closed};

void fake_client_open(struct fake_client *c, struct fake_env *f)
{
    *c = (struct fake_client){.f = f};
    ensure(net_connect(&f->net, "", 0, &client_events, c, &c->conn) == 0);
    fake_env_settle(f);
}

void fake_client_send(struct fake_client *c, struct slice bytes)
{
    conn_write(c->conn, &bytes, 1);
    fake_env_settle(c->f);
}

void fake_client_close(struct fake_client *c)
{
    if (c->conn != NULL) {
        conn_close(c->conn, 0);
        fake_env_settle(c->f);
    }
    buf_deinit(&c->got);
}
