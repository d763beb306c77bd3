/* SPDX-License-Identifier: Apache-2.0
 *
 * peer/transport: the whole: life, list of peers, sending, reports, queries.
 */
#include <stdio.h>

#include "base/log.h"
#include "peer/internal.h"

/* ---- the end of a turn ------------------------------------------------------------------------
 */

static void transport_free(struct peer_transport *t)
{
    ensure(list_is_empty(&t->peers) && list_is_empty(&t->dead) && list_is_empty(&t->snaps_in) &&
           list_is_empty(&t->snaps_out));
    buf_deinit(&t->urls_text);
    mem_free(t->snap_dir);
    mem_free(t->reports);
    mem_free(t);
}

static void maybe_free(struct peer_transport *t)
{
    if (t->is_destroyed && !t->is_deferred && t->holds == 0) {
        transport_free(t);
    }
}

static void bury(struct peer_transport *t)
{
    while (!list_is_empty(&t->dead)) {
        struct peer *p = LIST_ENTRY(list_first(&t->dead), struct peer, node);
        list_remove(&p->node);
        peer_free(p);
    }
}

static void report_tell(struct peer_transport *t, const struct peer_report *r)
{
    switch (r->kind) {
    case PEER_REPORT_UNREACHABLE: t->events->on_unreachable(t->arg, r->id); break;
    case PEER_REPORT_SNAPSHOT_OK: t->events->on_snapshot_status(t->arg, r->id, false); break;
    case PEER_REPORT_SNAPSHOT_FAILED: t->events->on_snapshot_status(t->arg, r->id, true); break;
    case PEER_REPORT_REMOVED: t->events->on_removed(t->arg); break;
    case PEER_REPORT_ACTIVE: t->events->on_active(t->arg, r->id, true); break;
    case PEER_REPORT_INACTIVE: t->events->on_active(t->arg, r->id, false); break;
    }
}

/* The callbacks may add reports: those come in the next turn. */
static void reports_tell(struct peer_transport *t)
{
    struct peer_report *reports = t->reports;
    size_t count = t->report_count;
    t->reports = NULL;
    t->report_count = t->report_cap = 0;
    for (size_t i = 0; i < count && !t->is_stopped; i++) {
        report_tell(t, &reports[i]);
    }
    mem_free(reports);
}

static void turn_end(void *arg)
{
    struct peer_transport *t = arg;
    t->is_deferred = false;
    bury(t);
    if (!t->is_destroyed) {
        reports_tell(t);
    }
    maybe_free(t);
}

static void turn_want(struct peer_transport *t)
{
    if (!t->is_deferred) {
        t->is_deferred = true;
        t->env->exec->ops->defer(t->env->exec, turn_end, t);
    }
}

/* One unreachable a peer and turn says all. */
void peer_report_add(struct peer_transport *t, uint64_t id, enum peer_report_kind kind)
{
    bool repeats = kind == PEER_REPORT_UNREACHABLE;
    for (size_t i = 0; repeats && i < t->report_count; i++) {
        if (t->reports[i].id == id && t->reports[i].kind == kind) {
            return;
        }
    }
    if (kind == PEER_REPORT_REMOVED) {
        if (t->is_removed_told) {
            return;
        }
        t->is_removed_told = true;
    }
    if (t->report_count == t->report_cap) {
        t->report_cap = t->report_cap == 0 ? 8 : t->report_cap * 2;
        t->reports = mem_realloc(t->reports, t->report_cap * sizeof(*t->reports));
    }
    t->reports[t->report_count++] = (struct peer_report){.id = id, .kind = kind};
    turn_want(t);
}

void peer_transport_hold(struct peer_transport *t)
{
    t->holds++;
}

static void idle_tell(struct peer_transport *t)
{
    if (t->holds == 0 && t->on_idle != NULL) {
        void (*on_idle)(void *arg) = t->on_idle;
        t->on_idle = NULL;
        on_idle(t->idle_arg);
    }
}

void peer_transport_release(struct peer_transport *t)
{
    ensure(t->holds > 0);
    t->holds--;
    if (t->is_destroyed) {
        maybe_free(t);
    } else {
        idle_tell(t);
    }
}

void peer_transport_when_idle(struct peer_transport *t, void (*on_idle)(void *arg), void *arg)
{
    ensure(t->is_stopped && t->on_idle == NULL);
    t->on_idle = on_idle;
    t->idle_arg = arg;
    idle_tell(t);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void tick_start(struct peer_transport *t)
{
    t->env->exec->ops->timer_start(t->env->exec, &t->tick, PEER_TICK_MS);
}

static void tick_fire(struct env_timer *timer)
{
    struct peer_transport *t = container_of(timer, struct peer_transport, tick);
    uint64_t now = env_mono_ms(t->env);
    LIST_FOREACH (&t->peers, n) {
        peer_tick(LIST_ENTRY(n, struct peer, node), now);
    }
    peer_snaps_in_tick(t, now);
    peer_snaps_out_tick(t, now);
    tick_start(t);
}

static void lists_init(struct peer_transport *t)
{
    list_init(&t->peers);
    list_init(&t->dead);
    list_init(&t->posts_in);
    list_init(&t->pages_in);
    list_init(&t->snaps_in);
    list_init(&t->snaps_out);
}

struct peer_transport *peer_transport_create(const struct peer_config *config)
{
    struct peer_transport *t = mem_zalloc(sizeof(*t));
    t->env = config->env;
    t->local_id = config->local_id;
    t->cluster_id = config->cluster_id;
    snprintf(t->local_hex, sizeof(t->local_hex), "%llx", (unsigned long long)t->local_id);
    snprintf(t->cluster_hex, sizeof(t->cluster_hex), "%llx", (unsigned long long)t->cluster_id);
    t->rules = level_rules(config->level);
    t->snap_dir = mem_strdup(config->snap_dir);
    t->dial_timeout_ms = PEER_DIAL_EXTRA_MS + (uint64_t)config->election_ms;
    t->snapshot_check = config->snapshot_check;
    t->tls = config->tls;
    t->events = config->events;
    t->pages = config->pages;
    t->arg = config->arg;
    t->env->rand->ops->fill(t->env->rand, &t->tmp_counter, sizeof(t->tmp_counter));
    lists_init(t);
    peer_handlers_init(t);
    peer_urls_set(t, config->urls);
    t->tick.fire = tick_fire;
    tick_start(t);
    return t;
}

void peer_transport_stop(struct peer_transport *t)
{
    if (t->is_stopped) {
        return;
    }
    t->is_stopped = true;
    t->env->exec->ops->timer_stop(t->env->exec, &t->tick);
    while (!list_is_empty(&t->peers)) {
        peer_remove(t, LIST_ENTRY(list_first(&t->peers), struct peer, node)->id);
    }
    peer_snaps_out_stop(t, 0);
    peer_snaps_in_stop(t);
    peer_posts_in_stop(t);
    peer_pages_in_stop(t);
}

void peer_transport_destroy(struct peer_transport *t)
{
    if (t == NULL) {
        return;
    }
    peer_transport_stop(t);
    t->is_destroyed = true;
    bury(t);
    maybe_free(t);
}

const struct rpc_http_handler *peer_handlers(const struct peer_transport *t, size_t *out_count)
{
    *out_count = ARRAY_LEN(t->handlers);
    return t->handlers;
}

void peer_level_set(struct peer_transport *t, enum level level)
{
    t->rules = level_rules(level);
}

void peer_urls_set(struct peer_transport *t, const struct strs *urls)
{
    buf_clear(&t->urls_text);
    strs_join(&t->urls_text, urls, ",");
}

/* ---- members ----------------------------------------------------------------------------------
 */

struct peer *peer_find(const struct peer_transport *t, uint64_t id)
{
    LIST_FOREACH (&t->peers, n) {
        struct peer *p = LIST_ENTRY(n, struct peer, node);
        if (p->id == id) {
            return p;
        }
    }
    return NULL;
}

static struct peer *insert(struct peer_transport *t, uint64_t id, const struct strs *urls,
                           bool is_remote)
{
    struct peer *p = peer_create(t, id, urls, is_remote);
    LIST_FOREACH (&t->peers, n) {
        if (LIST_ENTRY(n, struct peer, node)->id > id) {
            list_insert_before(n, &p->node);
            return p;
        }
    }
    list_push_back(&t->peers, &p->node);
    return p;
}

void peer_add(struct peer_transport *t, uint64_t id, const struct strs *urls)
{
    ensure(id != t->local_id);
    struct peer *p = peer_find(t, id);
    if (t->is_stopped) {
        return;
    }
    if (p == NULL) {
        p = insert(t, id, urls, false);
    } else if (p->is_remote) {
        t->remote_count--;
    }
    peer_urls_replace(p, urls);
    peer_streams_start(p);
    log_info("added remote peer", LOG_STR("local-member-id", t->local_hex),
             LOG_STR("remote-peer-id", p->hex));
}

void peer_remote_add(struct peer_transport *t, uint64_t id, const struct strs *urls)
{
    if (t->is_stopped || id == t->local_id || peer_find(t, id) != NULL ||
        t->remote_count == LIMIT_PEER_REMOTES) {
        return;
    }
    t->remote_count++;
    (void)insert(t, id, urls, true);
}

void peer_update(struct peer_transport *t, uint64_t id, const struct strs *urls)
{
    struct peer *p = peer_find(t, id);
    if (p != NULL) {
        peer_urls_replace(p, urls);
    }
}

void peer_remove(struct peer_transport *t, uint64_t id)
{
    struct peer *p = peer_find(t, id);
    if (p == NULL) {
        return;
    }
    t->remote_count -= p->is_remote ? 1 : 0;
    peer_snaps_out_stop(t, id);
    list_remove(&p->node);
    list_push_back(&t->dead, &p->node);
    peer_stop(p);
    turn_want(t);
}

void peer_members_set(struct peer_transport *t, const struct membership *ms)
{
    LIST_FOREACH (&t->peers, n) {
        struct peer *p = LIST_ENTRY(n, struct peer, node);
        if (!p->is_remote && membership_find(ms, p->id) == NULL) {
            peer_remove(t, p->id);
        }
    }
    for (size_t i = 0; i < ms->count; i++) {
        const struct member *m = &ms->members[i];
        const struct peer *p = peer_find(t, m->id);
        if (m->id == t->local_id) {
            continue;
        }
        if (p == NULL || p->is_remote) {
            peer_add(t, m->id, &m->peer_urls);
        } else {
            peer_update(t, m->id, &m->peer_urls);
        }
    }
}

/* ---- sending ----------------------------------------------------------------------------------
 */

/* The next message acknowledges all that this one does. */
static bool is_superseded(const struct raft_message *m, const struct raft_message *next)
{
    return m->type == RAFT_MSG_APP_RESP && next->type == RAFT_MSG_APP_RESP && m->to == next->to &&
           m->term == next->term && !m->reject && !next->reject && m->index <= next->index &&
           m->context.len == 0;
}

void peer_send(struct peer_transport *t, const struct raft_message *messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct raft_message *m = &messages[i];
        struct peer *p = m->to == 0 || m->type == RAFT_MSG_SNAP ? NULL : peer_find(t, m->to);
        if (p != NULL && !(i + 1 < count && is_superseded(m, m + 1))) {
            peer_route(p, m);
        }
    }
    LIST_FOREACH (&t->peers, n) {
        peer_flush(LIST_ENTRY(n, struct peer, node));
    }
}

/* ---- receiving --------------------------------------------------------------------------------
 */

bool peer_is_for_us(struct peer_transport *t, const struct raft_message *m)
{
    return m->to == t->local_id && !t->events->is_removed(t->arg, m->from);
}

int peer_deliver(struct peer_transport *t, const struct raft_message *m)
{
    if (t->is_stopped) {
        return ERR_CLOSED;
    }
    if (!peer_is_for_us(t, m)) {
        return ERR_MISMATCH;
    }
    return t->events->on_message(t->arg, m);
}

/* ---- queries ----------------------------------------------------------------------------------
 */

static void status_of(const struct peer *p, struct peer_status *out)
{
    *out = (struct peer_status){
        .id = p->id,
        .is_remote = p->is_remote,
        .is_active = p->active_since_ms != 0,
        .active_since_ms = p->active_since_ms,
        .version = p->version,
        .rtt_ns = p->probe.rtt_ns,
        .is_probe_ok = p->probe.is_ok,
        .stats = p->stats,
    };
    for (int c = 0; c < PEER_CHANNEL_COUNT; c++) {
        out->can_send[c] = p->writers[c].req != NULL;
        out->can_receive[c] = p->readers[c].is_open;
    }
}

int peer_status(const struct peer_transport *t, uint64_t id, struct peer_status *out)
{
    const struct peer *p = peer_find(t, id);
    if (p == NULL) {
        return ERR_NOT_FOUND;
    }
    status_of(p, out);
    return 0;
}

size_t peer_statuses(const struct peer_transport *t, struct peer_status *out, size_t max)
{
    size_t count = 0;
    LIST_FOREACH (&t->peers, n) {
        if (count < max) {
            status_of(LIST_ENTRY(n, struct peer, node), &out[count]);
        }
        count++;
    }
    return count;
}

const struct strs *peer_urls(const struct peer_transport *t, uint64_t id)
{
    const struct peer *p = peer_find(t, id);
    return p == NULL ? NULL : &p->urls;
}

void peer_transport_check(const struct peer_transport *t)
{
    uint64_t last = 0;
    size_t remotes = 0;
    LIST_FOREACH (&t->peers, n) {
        const struct peer *p = LIST_ENTRY(n, struct peer, node);
        ensure(p->id > last && p->id != t->local_id && !p->is_dead);
        ensure(p->pipeline.count <= LIMIT_PEER_POSTS);
        ensure((p->pipeline.count == 0) == (p->pipeline.bytes == 0));
        for (int c = 0; c < PEER_CHANNEL_COUNT; c++) {
            const struct peer_writer *w = &p->writers[c];
            ensure(w->req != NULL || peer_queue_len(&w->urgent) + peer_queue_len(&w->bulk) == 0);
            ensure(peer_queue_len(&w->urgent) <= LIMIT_PEER_URGENT_BYTES);
        }
        last = p->id;
        remotes += p->is_remote ? 1 : 0;
    }
    ensure(remotes == t->remote_count);
    ensure(t->snaps_out_count <= LIMIT_PEER_SNAPSHOTS);
    ensure(t->snaps_in_count <= LIMIT_PEER_SNAPSHOTS);
    ensure(t->bodies_bytes <= LIMIT_PEER_BODIES_BYTES);
}
