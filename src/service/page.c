/* SPDX-License-Identifier: Apache-2.0
 *
 * service/page: what other members ask on the peer port, but for raft's own: members, version,
 * promotion, hashes, the downgrade job (peer-protocol 2.13).
 */
#include "service/internal.h"

void service_page_members(struct service *s, struct buf *out)
{
    member_list_json(out, core_members(s->core));
}

void service_page_version(struct service *s, struct buf *out)
{
    const struct level_rules *rules = level_rules(core_level(s->core));
    member_versions_json(out, rules->server_version, core_cluster_version(s->core),
                         rules->version_has_storage, core_storage_version(s->core));
}

/* ---- promote ---- */

struct promote_page {
    void (*on_done)(void *arg, int err, struct slice json);
    void *arg;
};

static void promote_done(void *user, int err, const struct membership *members)
{
    struct promote_page *p = user;
    struct buf json = BUF_INIT;
    if (err == 0) {
        member_list_json(&json, members);
    }
    p->on_done(p->arg, err, buf_slice(&json));
    buf_deinit(&json);
    mem_free(p);
}

void service_page_promote(struct service *s, uint64_t id, struct slice token,
                          void (*on_done)(void *arg, int err, struct slice json), void *arg)
{
    struct env *env = driver_env(s->driver);
    const struct auth_caller caller = {
        .token = token.len > 0 ? token : SLICE_NULL,
        .wall_ms = env->clock->ops->wall_ns(env->clock) / 1000000,
    };
    struct auth_who who;
    int err = auth_identify(core_auth(s->core), &caller, env_mono_ms(env), &who);
    if (err == 0) {
        err = auth_check_root(core_auth(s->core), &who);
    }
    if (err != 0) {
        on_done(arg, err, SLICE_NULL);
        return;
    }
    struct promote_page *p = mem_zalloc(sizeof(*p));
    *p = (struct promote_page){on_done, arg};
    (void)promotion_start(s, id, token, promote_done, p);
}

/* ---- hashkv ---- */

struct hash_page {
    struct core_request req;
    void (*on_done)(void *arg, int err, const struct service_hash *h);
    void *arg;
};

static void on_hash(struct core_request *r)
{
    struct hash_page *p = container_of(r, struct hash_page, req);
    const struct service_hash h = {.rev = r->header_rev, .value = r->hash};
    p->on_done(p->arg, r->err, &h);
    mem_free(p);
}

void service_page_hash(struct service *s, int64_t rev,
                       void (*on_done)(void *arg, int err, const struct service_hash *h), void *arg)
{
    struct hash_page *p = mem_zalloc(sizeof(*p));
    core_request_init(&p->req, CORE_HASH_KV);
    p->req.rev = rev;
    p->req.on_reply = on_hash;
    p->on_done = on_done;
    p->arg = arg;
    driver_submit(s->driver, &p->req);
}

/* ---- downgrade/enabled ---- */

struct downgrade_page {
    struct core_request req;
    struct service *service;
    void (*on_done)(void *arg, int err, bool is_enabled);
    void *arg;
};

static void on_barrier(struct core_request *r)
{
    struct downgrade_page *p = container_of(r, struct downgrade_page, req);
    p->on_done(p->arg, r->err, r->err == 0 && core_downgrade(p->service->core).enabled);
    mem_free(p);
}

void service_page_downgrade(struct service *s, void (*on_done)(void *arg, int err, bool is_enabled),
                            void *arg)
{
    struct downgrade_page *p = mem_zalloc(sizeof(*p));
    core_request_init(&p->req, CORE_BARRIER);
    p->req.on_reply = on_barrier;
    p->service = s;
    p->on_done = on_done;
    p->arg = arg;
    driver_submit(s->driver, &p->req);
}
