/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/worker: see worker.h: life of a worker, streams on their way to it, stopping, counters.
 */
#include "rpc/worker.h"

#include "base/limits.h"
#include "rpc/worker_private.h"

/* ---- mails ---- */

void rpc_mail_free(struct rpc_mail *m)
{
    buf_deinit(&m->bytes);
    mem_free(m);
}

static void adopt_and_close(void *arg, struct env_conn *conn)
{
    (void)arg;
    conn->ops->close(conn, 0);
}

/* At home, after all has ended. */
static void mail_drop(struct env_mail *mail)
{
    struct rpc_mail *m = container_of(mail, struct rpc_mail, mail);
    if (m->kind == RPC_MAIL_ACCEPT) {
        struct env_net *net = m->worker->home->env->net;
        (void)!net->ops->adopt(net, m->handle, adopt_and_close, NULL);
    }
    rpc_mail_free(m);
}

struct rpc_mail *rpc_mail_create(struct rpc_worker *w, enum rpc_mail_kind kind, uint64_t id)
{
    struct rpc_mail *m = mem_zalloc(sizeof(*m));
    *m = (struct rpc_mail){.mail.drop = mail_drop, .worker = w, .kind = kind, .id = id};
    return m;
}

static void deliver_down(struct env_mail *mail);
static void deliver_up(struct env_mail *mail);

void rpc_mail_push(struct env_mailbox *mb, struct rpc_mail *m)
{
    m->mail.deliver = mb == &m->worker->up ? deliver_up : deliver_down;
    m->mail.bytes = m->bytes.len;
    env_mailbox_push(mb, &m->mail);
}

/* ---- the worker's thread ---- */

static void on_accept(void *arg, struct env_conn *conn)
{
    struct rpc_mail *m = arg;
    rpc_conn_accept(m->worker->server, (struct rpc_listener *)(uintptr_t)m->listener, conn);
}

static void take_stream(struct rpc_worker *w, struct rpc_mail *m)
{
    struct env_net *net = w->server->env->net;
    if (net->ops->adopt(net, m->handle, on_accept, m) != 0) {
        w->server->stats.conns_lost++;
        rpc_worker_publish(w);
    }
}

static void on_stopped(void *arg)
{
    struct rpc_worker *w = arg;
    rpc_mail_push(&w->up, rpc_mail_create(w, RPC_MAIL_STOPPED, 0));
}

static void deliver_down(struct env_mail *mail)
{
    struct rpc_mail *m = container_of(mail, struct rpc_mail, mail);
    struct rpc_worker *w = m->worker;
    if (m->kind == RPC_MAIL_ACCEPT) {
        take_stream(w, m);
    } else if (m->kind == RPC_MAIL_STOP) {
        rpc_server_stop(w->server, m->number, on_stopped, w);
    } else {
        rpc_http_relay_net(w, m);
    }
    rpc_mail_free(m);
}

void rpc_worker_publish(struct rpc_worker *w)
{
    (void)pthread_mutex_lock(&w->mutex);
    w->stats = w->server->stats;
    (void)pthread_mutex_unlock(&w->mutex);
}

int rpc_worker_open(void *worker, struct env *env)
{
    struct rpc_worker *w = worker;
    env_mailbox_sender_set(&w->up, env);
    int err = env_mailbox_receiver_open(&w->down, env);
    if (err != 0) {
        return err;
    }
    struct rpc_server_options o = w->home->opts;
    o.env = env;
    o.grpc = w->relay == NULL ? NULL : grpc_relay_open(w->relay, env);
    o.connections_max = UINT32_MAX; /* home counts */
    w->server = rpc_server_create(&o);
    w->server->worker = w;
    rpc_http_relay_open(w);
    w->server->http = &w->http;
    return 0;
}

void rpc_worker_close(void *worker)
{
    struct rpc_worker *w = worker;
    env_mailbox_receiver_close(&w->down);
    rpc_server_destroy(w->server);
    if (w->relay != NULL) {
        grpc_relay_close(w->relay);
    }
    map_deinit(&w->net_reqs);
}

/* ---- home ---- */

static void deliver_up(struct env_mail *mail)
{
    struct rpc_mail *m = container_of(mail, struct rpc_mail, mail);
    struct rpc_worker *w = m->worker;
    if (m->kind == RPC_MAIL_STOPPED) {
        rpc_server_worker_stopped(w->home);
    } else if (rpc_http_relay_home(w, m)) {
        return;
    }
    rpc_mail_free(m);
}

int rpc_worker_create(struct rpc_server *home, unsigned shares, struct rpc_worker **out)
{
    struct rpc_worker *w = mem_zalloc(sizeof(*w));
    w->home = home;
    env_mailbox_init(&w->up);
    env_mailbox_init(&w->down);
    map_init(&w->net_reqs);
    map_init(&w->home_reqs);
    ensure(pthread_mutex_init(&w->mutex, NULL) == 0);
    if (home->opts.grpc != NULL) {
        w->relay = grpc_relay_create(home->opts.grpc, shares, &w->up, &w->down);
    }
    list_push_back(&home->workers, &w->node);
    home->worker_count++;
    env_mailbox_sender_set(&w->down, home->env);
    int err = env_mailbox_receiver_open(&w->up, home->env);
    if (err != 0) {
        rpc_worker_destroy(w);
        return err;
    }
    *out = w;
    return 0;
}

void rpc_worker_destroy(struct rpc_worker *w)
{
    env_mailbox_receiver_close(&w->up);
    env_mailbox_receiver_close(&w->down);
    env_mailbox_deinit(&w->up);
    env_mailbox_deinit(&w->down);
    if (w->relay != NULL) {
        grpc_relay_destroy(w->relay);
    }
    ensure(w->home_reqs.len == 0);
    map_deinit(&w->home_reqs);
    (void)pthread_mutex_destroy(&w->mutex);
    list_remove(&w->node);
    w->home->worker_count--;
    mem_free(w);
}

static struct rpc_server_stats stats_of(struct rpc_worker *w)
{
    (void)pthread_mutex_lock(&w->mutex);
    struct rpc_server_stats s = w->stats;
    (void)pthread_mutex_unlock(&w->mutex);
    return s;
}

/* Streams given and not yet closed, those on their way too. */
static uint64_t load_of(struct rpc_worker *w)
{
    struct rpc_server_stats s = stats_of(w);
    uint64_t closed = s.conns_accepted - s.conns_open + s.conns_refused + s.conns_lost;
    return w->handed - closed;
}

void rpc_workers_add_stats(const struct rpc_server *home, struct rpc_server_stats *sum)
{
    LIST_FOREACH (&home->workers, n) {
        struct rpc_server_stats s = stats_of(LIST_ENTRY(n, struct rpc_worker, node));
        sum->bytes_in += s.bytes_in;
        sum->bytes_out += s.bytes_out;
        sum->conns_accepted += s.conns_accepted;
        sum->conns_refused += s.conns_refused;
        sum->conns_lost += s.conns_lost;
        sum->conns_open += s.conns_open;
    }
}

bool rpc_workers_accept(struct rpc_listener *l, int64_t handle)
{
    struct rpc_server *home = l->server;
    struct rpc_worker *best = NULL;
    uint64_t best_load = 0, all = 0;
    LIST_FOREACH (&home->workers, n) {
        struct rpc_worker *w = LIST_ENTRY(n, struct rpc_worker, node);
        uint64_t load = load_of(w);
        all += load;
        if (best == NULL || load < best_load) {
            best = w;
            best_load = load;
        }
    }
    if (best == NULL || home->is_stopping || all >= home->opts.connections_max) {
        return false; /* rpc_conn_accept refuses it */
    }
    struct rpc_mail *m = rpc_mail_create(best, RPC_MAIL_ACCEPT, 0);
    m->handle = handle;
    m->listener = l;
    best->handed++;
    rpc_mail_push(&best->down, m);
    return true;
}

void rpc_workers_stop(struct rpc_server *home, uint64_t grace_ms)
{
    LIST_FOREACH (&home->workers, n) {
        struct rpc_worker *w = LIST_ENTRY(n, struct rpc_worker, node);
        struct rpc_mail *m = rpc_mail_create(w, RPC_MAIL_STOP, 0);
        m->number = grace_ms;
        rpc_mail_push(&w->down, m);
    }
}
