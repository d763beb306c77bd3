/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/net: byte streams between the hosts of a world.
 *
 * Design      Each conn is one *end*; two ends of a stream know each other until one is gone. Bytes
 *             written go into the *inbox* of the other end as segments with a due time (latency
 *             drawn per segment, never before the one in front), up to a window; the rest waits in
 *             the writer's out buffer and moves as the reader takes.  FIN and reset are marks in
 * the inbox and on the end.  Nothing calls back from within a call: all that happens to an end is
 * found by sim_net_step, one thing a step, when it is due.
 *
 *                 CONNECTING --> OPEN --close--> CLOSING (out not empty) --> GONE --> on_close
 *
 * Invariants  I1  on_close once and last.  I2  in_flight is the sum of the peer's inbox.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/rcbuf.h"
#include "sim/impl.h"

enum {
    NAME_MAX_BYTES = 300,
    WINDOW_DEFAULT = 256 * 1024,
    CHUNK_DEFAULT = 64 * 1024,
    PORT_FIRST = 20000,
    SEND_MIN_BYTES = 4096,
};

enum end_state {
    END_CONNECTING,
    END_OPEN,
    END_CLOSING,
    END_GONE, /* on_close is due */
};

struct segment {
    struct list_node node;
    uint64_t due_ns;
    bool is_fin;
    size_t off; /* bytes already taken */
    struct rcbuf *bytes;
};

struct sim_end {
    struct env_conn base;
    struct list_node node; /* in sim_net.ends */
    struct sim_host *host;
    struct sim_host *peer_host;
    struct sim_end *peer; /* NULL: none yet, or gone */
    enum end_state state;
    bool is_paused;
    bool is_eof;
    bool must_drain;  /* on_drain is due */
    bool must_accept; /* on_accept of listener is due before anything else */
    bool has_sent_fin;
    bool is_told;         /* GONE: the other side says so, when its word gets through */
    uint64_t begin_ns;    /* CONNECTING: when the other side hears of it */
    uint64_t deadline_ns; /* CONNECTING, CLOSING */
    uint64_t due_ns;      /* GONE, must_drain, must_accept */
    uint64_t last_due_ns; /* of what this end sent: streams keep their order */
    int err;
    struct list inbox;
    size_t in_flight; /* bytes of ours in the peer's inbox */
    struct buf out;
    char *target; /* CONNECTING: port or path */
    struct sim_listener *listener;
    char peer_name[NAME_MAX_BYTES];
};

struct sim_listener {
    struct env_listener base;
    struct list_node node;
    struct sim_host *host;
    char *key; /* port, or the path of a unix socket */
    void (*on_accept)(void *arg, struct env_conn *conn);
    void *arg;
    char name[NAME_MAX_BYTES];
};

static const struct env_conn_ops end_ops;

static struct sim_end *end_of(struct env_conn *c)
{
    ensure(c->ops == &end_ops);
    return container_of(c, struct sim_end, base);
}

static uint64_t now_of(const struct sim_end *e)
{
    return e->host->sim->now_ns;
}

static bool is_local(const struct sim_end *e)
{
    return e->peer_host == e->host;
}

/* ---- sending ---- */

static uint64_t latency_ns(const struct sim_end *e)
{
    struct sim *s = e->host->sim;
    const struct sim_link *l = &s->links[e->host->number][e->peer_host->number];
    bool is_own = l->latency_max_ns > 0;
    uint64_t min = is_own ? l->latency_min_ns : s->net.latency_min_ns;
    uint64_t max = is_own ? l->latency_max_ns : s->net.latency_max_ns;
    return max > min ? min + prng_below(&s->prng, max - min + 1) : min;
}

/* When something sent now by e is there. */
static uint64_t arrival_ns(struct sim_end *e)
{
    uint64_t at = now_of(e) + (is_local(e) || e->peer_host == NULL ? 0 : latency_ns(e));
    e->last_due_ns = at > e->last_due_ns ? at : e->last_due_ns;
    return e->last_due_ns;
}

static void segment_send(struct sim_end *e, const void *data, size_t len, bool is_fin)
{
    struct segment *seg = mem_zalloc(sizeof(*seg));
    seg->due_ns = arrival_ns(e);
    seg->is_fin = is_fin;
    seg->bytes = rcbuf_from(slice_make(data, len));
    e->in_flight += len;
    list_push_back(&e->peer->inbox, &seg->node);
}

static void segment_free(struct segment *seg)
{
    list_remove(&seg->node);
    rcbuf_unref(seg->bytes);
    mem_free(seg);
}

static void inbox_clear(struct sim_end *e)
{
    LIST_FOREACH (&e->inbox, node) {
        struct segment *seg = LIST_ENTRY(node, struct segment, node);
        if (e->peer != NULL) {
            e->peer->in_flight -= seg->bytes->len - seg->off;
        }
        segment_free(seg);
    }
}

/* on_close(err) is due at due_ns; the peer loses its other end. */
static void end_go(struct sim_end *e, int err, uint64_t due_ns)
{
    if (e->state == END_GONE) {
        return;
    }
    e->state = END_GONE;
    e->err = err;
    e->due_ns = due_ns;
    inbox_clear(e);
    buf_clear(&e->out);
    struct sim_end *peer = e->peer;
    if (peer != NULL) {
        peer->peer = NULL;
        e->peer = NULL;
        if (peer->state == END_CLOSING) {
            end_go(peer, 0, arrival_ns(e)); /* nobody takes the rest any more */
        }
    }
}

static void fin_send(struct sim_end *e)
{
    if (!e->has_sent_fin && e->peer != NULL) {
        e->has_sent_fin = true;
        segment_send(e, NULL, 0, true);
    }
}

/* Moves what the window lets through; an empty queue is news for the owner. */
static void out_move(struct sim_end *e)
{
    size_t window = e->host->sim->net.window_bytes;
    window = window == 0 ? WINDOW_DEFAULT : window;
    if (e->peer == NULL || e->out.len == 0 || e->in_flight >= window) {
        return;
    }
    size_t room = window - e->in_flight;
    if (room < e->out.len && room < SEND_MIN_BYTES && e->in_flight > 0) {
        return; /* as TCP: no crumbs while more is under way */
    }
    size_t n = room < e->out.len ? room : e->out.len;
    segment_send(e, e->out.data, n, false);
    buf_consume(&e->out, n);
    if (e->out.len > 0) {
        return;
    }
    if (e->state == END_CLOSING) {
        fin_send(e);
        end_go(e, 0, now_of(e));
    } else if (!e->must_drain) {
        e->must_drain = true;
        e->due_ns = now_of(e);
    }
}

static void end_write(struct env_conn *c, const struct slice *parts, size_t count)
{
    struct sim_end *e = end_of(c);
    if (e->state != END_OPEN && e->state != END_CONNECTING) {
        return;
    }
    if (e->state == END_OPEN && e->peer == NULL) {
        end_go(e, ERR_NET, arrival_ns(e)); /* the other side answers with a reset */
        e->is_told = true;
        return;
    }
    bool had_queue = e->out.len > 0, had_drain = e->must_drain;
    for (size_t i = 0; i < count; i++) {
        buf_append_slice(&e->out, parts[i]);
    }
    if (e->state == END_OPEN) {
        out_move(e);
        /* Taken at once: nothing was queued, so nothing is reported as drained. */
        e->must_drain = had_queue || had_drain ? e->must_drain : false;
    }
}

static void end_close(struct env_conn *c, uint64_t flush_ms)
{
    struct sim_end *e = end_of(c);
    if (e->state == END_GONE && e->is_told) { /* no need to wait for the news any more */
        e->is_told = false;
        e->due_ns = now_of(e);
    }
    if (e->state != END_OPEN && e->state != END_CONNECTING) {
        return;
    }
    if (e->state == END_OPEN && e->out.len > 0 && flush_ms > 0 && e->peer != NULL) {
        e->state = END_CLOSING;
        e->deadline_ns = now_of(e) + flush_ms * 1000000;
        inbox_clear(e);
        if (e->peer != NULL) {
            out_move(e->peer); /* it may send again, into nothing */
        }
        return;
    }
    fin_send(e);
    end_go(e, 0, now_of(e));
}

static size_t end_queued(struct env_conn *c)
{
    return end_of(c)->out.len;
}

static void end_read_pause(struct env_conn *c)
{
    end_of(c)->is_paused = true;
}

static void end_read_resume(struct env_conn *c)
{
    end_of(c)->is_paused = false;
}

static const char *end_peer_name(struct env_conn *c)
{
    return end_of(c)->peer_name;
}

static const struct env_conn_ops end_ops = {end_write,       end_queued, end_read_pause,
                                            end_read_resume, end_close,  end_peer_name};

/* ---- ends ---- */

static struct sim_end *end_create(struct sim_host *h, struct sim_host *peer_host)
{
    struct sim_end *e = mem_zalloc(sizeof(*e));
    e->base.ops = &end_ops;
    e->host = h;
    e->peer_host = peer_host;
    list_init(&e->inbox);
    list_push_back(&h->net.ends, &e->node);
    return e;
}

static void end_free(struct sim_end *e)
{
    inbox_clear(e);
    list_remove(&e->node);
    buf_deinit(&e->out);
    mem_free(e->target);
    mem_free(e);
}

/* The other end sees a reset. */
static void peer_reset(struct sim_end *e)
{
    struct sim_end *peer = e->peer;
    if (peer != NULL) {
        uint64_t due_ns = arrival_ns(e);
        e->peer = NULL;
        peer->peer = NULL;
        if (peer->state != END_GONE) {
            end_go(peer, ERR_NET, due_ns);
            peer->is_told = true;
        }
    }
}

/* The other end does not hear of it. */
static void peer_orphan(struct sim_end *e)
{
    struct sim_end *peer = e->peer;
    if (peer != NULL) {
        e->peer = NULL;
        peer->peer = NULL;
        if (peer->state == END_CLOSING) {
            end_go(peer, 0, now_of(peer));
        }
    }
}

void sim_conn_reset(struct env_conn *c)
{
    struct sim_end *e = end_of(c);
    peer_reset(e);
    end_go(e, ERR_NET, now_of(e));
}

/* ---- addresses ---- */

struct place {
    struct sim_host *host; /* NULL: nobody has this name */
    char *key;             /* freed by the caller */
};

static bool is_own_name(const char *name, size_t len)
{
    static const char *const own[] = {"", "0.0.0.0", "127.0.0.1", "localhost", "[::1]", "[::]"};
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        if (strlen(own[i]) == len && memcmp(own[i], name, len) == 0) {
            return true;
        }
    }
    return false;
}

static int place_parse(struct sim_host *from, const char *addr, struct place *out)
{
    if (strncmp(addr, "unix:", 5) == 0) {
        const char *path = addr + 5 + (strncmp(addr + 5, "//", 2) == 0 ? 2 : 0);
        *out = (struct place){from, mem_strdup(path)};
        return 0;
    }
    const char *colon = strrchr(addr, ':');
    if (colon == NULL || colon[1] == 0 || strspn(colon + 1, "0123456789") != strlen(colon + 1)) {
        return ERR_INVALID;
    }
    size_t len = (size_t)(colon - addr);
    char *name = mem_strndup(addr, len);
    out->host = is_own_name(name, len) ? from : sim_host_by_name(from->sim, name);
    out->key = mem_strdup(colon + 1);
    mem_free(name);
    return 0;
}

static struct sim_listener *listener_find(struct sim_host *h, const char *key)
{
    LIST_FOREACH (&h->net.listeners, node) {
        struct sim_listener *l = LIST_ENTRY(node, struct sim_listener, node);
        if (strcmp(l->key, key) == 0) {
            return l;
        }
    }
    return NULL;
}

/* ---- listen ---- */

static void listener_free(struct sim_listener *l)
{
    LIST_FOREACH (&l->host->net.ends, node) {
        struct sim_end *e = LIST_ENTRY(node, struct sim_end, node);
        if (e->must_accept && e->listener == l) {
            peer_reset(e);
            end_free(e);
        }
    }
    list_remove(&l->node);
    mem_free(l->key);
    mem_free(l);
}

static void listener_close(struct env_listener *base)
{
    listener_free(container_of(base, struct sim_listener, base));
}

static const char *listener_local_name(struct env_listener *base)
{
    return container_of(base, struct sim_listener, base)->name;
}

static const struct env_listener_ops listener_ops = {listener_close, listener_local_name};

/* Port 0 becomes a free one. */
static void port_choose(struct sim_host *h, struct place *p)
{
    char port[16];
    if (strcmp(p->key, "0") != 0) {
        return;
    }
    do {
        snprintf(port, sizeof(port), "%u", PORT_FIRST + h->net.next_port++);
    } while (listener_find(h, port) != NULL);
    mem_free(p->key);
    p->key = mem_strdup(port);
}

static int net_listen(struct env_net *n, const char *addr, const struct env_listen_options *opts,
                      void (*on_accept)(void *arg, struct env_conn *conn), void *arg,
                      struct env_listener **out)
{
    struct sim_host *h = container_of(n, struct sim_host, net.base);
    struct place p;
    (void)opts;
    int err = place_parse(h, addr, &p);
    if (err != 0) {
        return err;
    }
    bool is_unix = strncmp(addr, "unix:", 5) == 0;
    if (!is_unix) {
        port_choose(h, &p);
    }
    if (p.host != h || listener_find(h, p.key) != NULL) {
        mem_free(p.key);
        return p.host != h ? ERR_NET : ERR_EXISTS;
    }
    struct sim_listener *l = mem_zalloc(sizeof(*l));
    l->base.ops = &listener_ops;
    l->host = h;
    l->key = p.key;
    l->on_accept = on_accept;
    l->arg = arg;
    if (is_unix) {
        snprintf(l->name, sizeof(l->name), "%s", p.key);
    } else {
        snprintf(l->name, sizeof(l->name), "%.*s:%s", (int)(strrchr(addr, ':') - addr), addr,
                 p.key);
    }
    list_push_back(&h->net.listeners, &l->node);
    *out = &l->base;
    return 0;
}

/* ---- connect ---- */

static int net_connect(struct env_net *n, const char *addr, uint64_t timeout_ms,
                       const struct env_conn_events *events, void *arg, struct env_conn **out)
{
    struct sim_host *h = container_of(n, struct sim_host, net.base);
    struct place p;
    int err = place_parse(h, addr, &p);
    if (err != 0) {
        return err;
    }
    struct sim_end *e = end_create(h, p.host);
    e->base.events = events;
    e->base.arg = arg;
    e->target = p.key;
    e->deadline_ns = now_of(e) + timeout_ms * 1000000;
    snprintf(e->peer_name, sizeof(e->peer_name), "%s", addr);
    if (h->is_retired) {
        e->peer_host = h;
        end_go(e, ERR_NET, now_of(e));
    } else if (p.host == NULL) {
        end_go(e, ERR_NOT_FOUND, now_of(e));
    } else {
        e->begin_ns = arrival_ns(e);
    }
    *out = &e->base;
    return 0;
}

/* The SYN is there. */
static void connect_arrives(struct sim_end *e)
{
    struct sim_listener *l = listener_find(e->peer_host, e->target);
    if (l == NULL) {
        end_go(e, ERR_REFUSED, arrival_ns(e));
        return;
    }
    struct sim_end *peer = end_create(e->peer_host, e->host);
    peer->state = END_OPEN;
    peer->peer = e;
    peer->must_accept = true;
    peer->listener = l;
    peer->due_ns = now_of(e);
    bool is_unix = e->target[0] < '0' || e->target[0] > '9';
    snprintf(peer->peer_name, sizeof(peer->peer_name), is_unix ? "@" : "%s:%u", e->host->name,
             PORT_FIRST + e->host->net.next_port++);
    e->peer = peer;
    e->state = END_OPEN;
    e->must_drain = true; /* connected */
    e->due_ns = arrival_ns(e);
}

/* ---- steps ---- */

static const struct segment *inbox_head(const struct sim_end *e)
{
    const struct list_node *first = list_first(&e->inbox);
    return first == NULL ? NULL
                         : container_of((struct list_node *)(uintptr_t)first, struct segment, node);
}

/* When the next thing happens to e; UINT64_MAX: nothing is coming. */
static uint64_t end_next_ns(struct sim_end *e)
{
    const struct sim *s = e->host->sim;
    bool is_cut = e->peer_host != NULL && sim_is_cut(s, e->peer_host, e->host);
    const struct segment *seg = inbox_head(e);
    if (e->must_accept) {
        return e->host->net.is_accept_failing ? UINT64_MAX : e->due_ns;
    }
    switch (e->state) {
    case END_GONE: return e->is_told && is_cut ? UINT64_MAX : e->due_ns;
    case END_CLOSING: return e->deadline_ns;
    case END_CONNECTING:
        is_cut |= sim_is_cut(s, e->host, e->peer_host);
        return is_cut || e->deadline_ns < e->begin_ns ? e->deadline_ns : e->begin_ns;
    case END_OPEN:
    default: break;
    }
    uint64_t next = e->must_drain ? e->due_ns : UINT64_MAX;
    if (seg != NULL && !e->is_paused && !is_cut && seg->due_ns < next) {
        next = seg->due_ns;
    }
    return next;
}

static void deliver_bytes(struct sim_end *e, struct segment *seg)
{
    const struct sim *s = e->host->sim;
    size_t max = s->net.chunk_max_bytes == 0 ? CHUNK_DEFAULT : s->net.chunk_max_bytes;
    size_t n = seg->bytes->len - seg->off;
    n = n < max ? n : max;
    if (s->net.split && n > 1 && prng_chance(&e->host->sim->prng, 1, 2)) {
        n = 1 + (size_t)prng_below(&e->host->sim->prng, n);
    }
    struct rcbuf *bytes = rcbuf_ref(seg->bytes);
    struct slice chunk = slice_make(bytes->data + seg->off, n);
    seg->off += n;
    if (seg->off == bytes->len) {
        segment_free(seg);
    }
    if (e->peer != NULL) {
        e->peer->in_flight -= n;
        out_move(e->peer);
    }
    e->base.events->on_data(e->base.arg, chunk);
    rcbuf_unref(bytes);
}

static void deliver(struct sim_end *e)
{
    struct list_node *node = list_first(&e->inbox);
    struct segment *seg = LIST_ENTRY(node, struct segment, node);
    if (!seg->is_fin) {
        deliver_bytes(e, seg);
        return;
    }
    segment_free(seg);
    e->is_eof = true;
    if (e->base.events->on_eof != NULL) {
        e->base.events->on_eof(e->base.arg);
    }
}

static void accept_now(struct sim_end *e)
{
    e->must_accept = false;
    e->listener->on_accept(e->listener->arg, &e->base);
    if (e->base.events == NULL && e->state != END_GONE) {
        fin_send(e);
        end_go(e, 0, now_of(e));
    }
}

static void gone_now(struct sim_end *e)
{
    if (e->base.events != NULL) {
        e->base.events->on_close(e->base.arg, e->err);
    }
    end_free(e);
}

static void connecting_now(struct sim_end *e)
{
    bool is_cut = sim_is_cut(e->host->sim, e->host, e->peer_host) ||
                  sim_is_cut(e->host->sim, e->peer_host, e->host);
    if (is_cut || e->begin_ns > now_of(e)) {
        end_go(e, ERR_TIMED_OUT, now_of(e));
    } else {
        connect_arrives(e);
    }
}

static void end_step(struct sim_end *e)
{
    if (e->must_accept) {
        accept_now(e);
    } else if (e->state == END_GONE) {
        gone_now(e);
    } else if (e->state == END_CONNECTING) {
        connecting_now(e);
    } else if (e->state == END_CLOSING) {
        buf_clear(&e->out); /* the peer does not read: the flush ends here */
        fin_send(e);
        end_go(e, 0, now_of(e));
    } else if (e->must_drain && e->due_ns <= now_of(e)) {
        e->must_drain = false;
        if (e->base.events->on_drain != NULL) {
            e->base.events->on_drain(e->base.arg);
        }
        out_move(e); /* what was written while connecting */
    } else {
        deliver(e);
    }
}

/* FIFO: the end whose event is the oldest; SEED: any that is due. */
static struct sim_end *end_choose(struct sim_host *h)
{
    struct sim_end *chosen = NULL;
    uint64_t first = UINT64_MAX, count = 0;
    LIST_FOREACH (&h->net.ends, node) {
        struct sim_end *e = LIST_ENTRY(node, struct sim_end, node);
        uint64_t at = end_next_ns(e);
        if (at > h->sim->now_ns) {
            continue;
        }
        count++;
        bool is_better =
            h->sim->order == SIM_ORDER_SEED ? prng_below(&h->sim->prng, count) == 0 : at < first;
        if (is_better) {
            chosen = e;
            first = at;
        }
    }
    return chosen;
}

bool sim_net_step(struct sim_host *h)
{
    struct sim_end *e = end_choose(h);
    if (e == NULL) {
        return false;
    }
    end_step(e);
    return true;
}

bool sim_net_is_ready(struct sim_host *h)
{
    return sim_net_next_ns(h) <= h->sim->now_ns;
}

uint64_t sim_net_next_ns(struct sim_host *h)
{
    uint64_t next = UINT64_MAX;
    LIST_FOREACH (&h->net.ends, node) {
        uint64_t at = end_next_ns(LIST_ENTRY(node, struct sim_end, node));
        next = at < next ? at : next;
    }
    return next;
}

/* ---- life ---- */

static const struct env_net_ops net_ops = {net_listen, net_connect};

void sim_net_init(struct sim_host *h)
{
    h->net.base.ops = &net_ops;
    list_init(&h->net.ends);
    list_init(&h->net.listeners);
}

void sim_net_reset(struct sim_host *h)
{
    LIST_FOREACH (&h->net.listeners, node) {
        listener_free(LIST_ENTRY(node, struct sim_listener, node));
    }
    while (!list_is_empty(&h->net.ends)) {
        struct sim_end *e = LIST_ENTRY(list_first(&h->net.ends), struct sim_end, node);
        peer_reset(e);
        end_free(e);
    }
    h->net.is_accept_failing = false;
}

void sim_net_retire(struct sim_host *h, struct sim_host *successor, bool is_silent)
{
    LIST_FOREACH (&h->sim->hosts, host_node) {
        struct sim_host *other = LIST_ENTRY(host_node, struct sim_host, node);
        LIST_FOREACH (&other->net.ends, end_node) {
            struct sim_end *e = LIST_ENTRY(end_node, struct sim_end, node);
            if (e->peer_host == h) {
                e->peer_host = other == h ? h : successor;
            }
        }
    }
    LIST_FOREACH (&h->net.ends, node) {
        struct sim_end *e = LIST_ENTRY(node, struct sim_end, node);
        if (is_silent) {
            peer_orphan(e);
        } else {
            peer_reset(e);
        }
        if (e->must_accept) {
            end_free(e);
            continue;
        }
        e->must_drain = false;
        e->is_told = false;
        end_go(e, ERR_NET, now_of(e));
        e->due_ns = now_of(e);
    }
}

void sim_net_forget(struct sim_host *h)
{
    LIST_FOREACH (&h->sim->hosts, host_node) {
        struct sim_host *other = LIST_ENTRY(host_node, struct sim_host, node);
        LIST_FOREACH (&other->net.ends, end_node) {
            struct sim_end *e = LIST_ENTRY(end_node, struct sim_end, node);
            if (e->peer_host != h || other == h) {
                continue;
            }
            e->peer_host = NULL;
            if (e->state == END_CONNECTING) {
                end_go(e, ERR_TIMED_OUT, e->deadline_ns);
            }
        }
    }
}

void sim_net_reset_between(struct sim_host *a, struct sim_host *b)
{
    LIST_FOREACH (&a->net.ends, node) {
        struct sim_end *e = LIST_ENTRY(node, struct sim_end, node);
        if (e->peer_host == b && e->state == END_OPEN && !e->must_accept && e->peer != NULL &&
            !e->peer->must_accept) {
            sim_conn_reset(&e->base);
        }
    }
}

void sim_net_accept_fail(struct env *env, bool is_failing)
{
    sim_host_of(env)->net.is_accept_failing = is_failing;
}
