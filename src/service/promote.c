/* SPDX-License-Identifier: Apache-2.0
 *
 * service/promote: a learner becomes a voter: asked of the own core, and of the leader over its
 * peer port when this member does not lead (peer-protocol 2.13).
 *
 *     own core --NOT_LEADER--> ask the leader --no use--> pause --> ask again   until T is over
 *
 * The core's request has no end of its own; one that was given up by the client lives until its
 * reply.
 */
#include <inttypes.h>
#include <stdio.h>

#include "service/internal.h"

enum { PROMOTE_PAUSE_MS = 100, PROMOTE_PATH_MAX = 48 };

struct promotion {
    struct list_node node;
    struct core_request req;
    struct service *service;
    uint64_t id;
    struct buf token;
    uint64_t deadline_ms; /* of the asking */
    struct env_timer timer;
    void *ask;
    bool is_in_core;
    void (*on_done)(void *user, int err, const struct membership *members); /* NULL: cancelled */
    void *user;
};

static void ask_leader(struct promotion *p);

static struct env *env_of(const struct promotion *p)
{
    return driver_env(p->service->driver);
}

static void finish(struct promotion *p, int err, const struct membership *members)
{
    struct env_exec *exec = env_of(p)->exec;
    if (p->on_done != NULL) {
        p->on_done(p->user, err, members);
    }
    exec->ops->timer_stop(exec, &p->timer);
    list_remove(&p->node);
    buf_deinit(&p->token);
    mem_free(p);
}

static void on_timer(struct env_timer *t)
{
    ask_leader(container_of(t, struct promotion, timer));
}

static void ask_later(struct promotion *p)
{
    struct env_exec *exec = env_of(p)->exec;
    exec->ops->timer_start(exec, &p->timer, PROMOTE_PAUSE_MS);
}

static void on_reply(void *user, const struct service_reply *r)
{
    struct promotion *p = user;
    struct membership members;
    p->ask = NULL;
    int err = r->err != 0 ? ERR_AGAIN : member_promote_answer(r->status, r->body, &members);
    if (err == ERR_AGAIN) {
        ask_later(p);
        return;
    }
    finish(p, err, err == 0 ? &members : NULL);
    if (err == 0) {
        membership_deinit(&members);
    }
}

/* The leader's URLs; NULL: nobody leads, or it is this member (again): its core answers next time.
 */
static const struct strs *leader_urls(const struct promotion *p)
{
    struct core_status st;
    core_status(p->service->core, &st);
    const struct member *m = membership_find(core_members(p->service->core), st.leader);
    return m == NULL || m->id == core_member_id(p->service->core) ? NULL : &m->peer_urls;
}

static void ask_leader(struct promotion *p)
{
    const struct service_peers *peers = p->service->o.peers;
    uint64_t now = env_mono_ms(env_of(p));
    if (now >= p->deadline_ms) {
        finish(p, ERR_RPC_TIMEOUT, NULL);
        return;
    }
    const struct strs *urls = leader_urls(p);
    if (urls == NULL || urls->count == 0) {
        ask_later(p);
        return;
    }
    char path[PROMOTE_PATH_MAX];
    (void)snprintf(path, sizeof(path), "/members/promote/%" PRIu64, p->id);
    const struct service_question q = {
        .urls = urls,
        .method = "POST",
        .path = path,
        .token = buf_slice(&p->token),
        .timeout_ms = p->deadline_ms - now,
    };
    p->ask = peers->ask(peers->arg, &q, on_reply, p);
}

static void on_core_reply(struct core_request *r)
{
    struct promotion *p = container_of(r, struct promotion, req);
    struct service *s = p->service;
    p->is_in_core = false;
    if (r->err == ERR_RPC_NOT_LEADER && s->o.peers != NULL && p->on_done != NULL) {
        p->deadline_ms = env_mono_ms(env_of(p)) + s->o.request_timeout_ms;
        ask_leader(p);
        return;
    }
    finish(p, r->err, core_members(s->core));
}

struct promotion *
promotion_start(struct service *s, uint64_t id, struct slice token,
                void (*on_done)(void *user, int err, const struct membership *members), void *user)
{
    struct promotion *p = mem_zalloc(sizeof(*p));
    p->service = s;
    p->id = id;
    p->timer.fire = on_timer;
    p->on_done = on_done;
    p->user = user;
    buf_append_slice(&p->token, token);
    core_request_init(&p->req, CORE_CONF_CHANGE);
    p->req.op = CORE_MEMBER_PROMOTE;
    p->req.member_id = id;
    p->req.on_reply = on_core_reply;
    list_push_back(&s->promotions, &p->node);
    p->is_in_core = true;
    driver_submit(s->driver, &p->req);
    return p;
}

void promotion_cancel(struct promotion *p)
{
    const struct service_peers *peers = p->service->o.peers;
    p->on_done = NULL;
    if (p->is_in_core) {
        driver_cancel(p->service->driver, &p->req);
        return;
    }
    if (p->ask != NULL) {
        peers->cancel(peers->arg, p->ask);
    }
    finish(p, ERR_RPC_CONTEXT_CANCELED, NULL);
}

void promotions_stop(struct service *s)
{
    const struct service_peers *peers = s->o.peers;
    LIST_FOREACH (&s->promotions, n) {
        struct promotion *p = LIST_ENTRY(n, struct promotion, node);
        if (p->is_in_core) {
            continue; /* answered by the core's own stop */
        }
        if (p->ask != NULL) {
            peers->cancel(peers->arg, p->ask);
        }
        finish(p, ERR_RPC_STOPPED, NULL);
    }
}
