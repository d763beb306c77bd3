/* SPDX-License-Identifier: Apache-2.0
 *
 * service/compactor: compacts by itself when retention.c says so, on the leader.
 */
#include "base/log.h"
#include "service/internal.h"
#include "service/retention.h"

struct compactor {
    struct service *service;
    struct retention retention;
    struct env_timer timer;
    struct core_request req;
    struct buf body;
    int64_t rev; /* of the compaction under way */
    uint64_t begun_ns;
    bool is_stopped;
};

static struct env *env_of(const struct compactor *c)
{
    return driver_env(c->service->driver);
}

static uint64_t now_ms(const struct compactor *c)
{
    return env_mono_ms(env_of(c));
}

static void begin_round(struct compactor *c)
{
    struct env_exec *x = env_of(c)->exec;
    x->ops->timer_start(x, &c->timer, retention_wait(&c->retention, core_rev(c->service->core)));
}

/* ---- etcd's lines ---- */

static bool is_periodic(const struct compactor *c)
{
    return c->retention.mode == SERVICE_COMPACT_PERIODIC;
}

static void log_starting(const struct compactor *c)
{
    int64_t keep = c->service->o.compaction_keep;
    if (is_periodic(c)) {
        log_info("starting auto periodic compaction", LOG_I64("revision", c->rev),
                 LOG_NS("compact-period", keep));
    } else {
        log_info("starting auto revision compaction", LOG_I64("revision", c->rev),
                 LOG_I64("revision-compaction-retention", keep));
    }
}

static void log_completed(const struct compactor *c, uint64_t took_ns)
{
    int64_t keep = c->service->o.compaction_keep;
    if (is_periodic(c)) {
        log_info("completed auto periodic compaction", LOG_I64("revision", c->rev),
                 LOG_NS("compact-period", keep), LOG_NS("took", took_ns));
    } else {
        log_info("completed auto revision compaction", LOG_I64("revision", c->rev),
                 LOG_I64("revision-compaction-retention", keep), LOG_NS("took", took_ns));
    }
}

static void log_failed(const struct compactor *c, int err)
{
    int64_t keep = c->service->o.compaction_keep;
    if (is_periodic(c)) {
        uint64_t tenth_ms = keep > 3600000000000 ? 360000 : (uint64_t)keep / 10000000;
        log_warn("failed auto periodic compaction", LOG_I64("revision", c->rev),
                 LOG_NS("compact-period", keep), LOG_NS("retry-interval", tenth_ms * 1000000),
                 LOG_ERR(err));
    } else {
        log_warn("failed auto revision compaction", LOG_I64("revision", c->rev),
                 LOG_I64("revision-compaction-retention", keep),
                 LOG_NS("retry-interval", RETENTION_REVISION_MS * UINT64_C(1000000)), LOG_ERR(err));
    }
}

/* ---- rounds ---- */

static void on_reply(struct core_request *r)
{
    struct compactor *c = container_of(r, struct compactor, req);
    if (r->err == 0 || r->err == ERR_RPC_COMPACTED) {
        log_completed(c, env_of(c)->clock->ops->mono_ns(env_of(c)->clock) - c->begun_ns);
        retention_done(&c->retention, now_ms(c), c->rev);
    } else {
        log_failed(c, r->err);
    }
    if (!c->is_stopped) {
        begin_round(c);
    }
}

static void compact(struct compactor *c)
{
    c->begun_ns = env_of(c)->clock->ops->mono_ns(env_of(c)->clock);
    log_starting(c);
    const struct wire_compaction_req req = {.revision = c->rev};
    buf_clear(&c->body);
    wire_compaction_req_encode(&c->body, &req);
    core_request_init(&c->req, CORE_PROPOSE);
    c->req.which = WIRE_INTERNAL_COMPACTION;
    c->req.body = buf_slice(&c->body);
    c->req.on_reply = on_reply;
    driver_submit(c->service->driver, &c->req);
}

static void on_timer(struct env_timer *t)
{
    struct compactor *c = container_of(t, struct compactor, timer);
    struct core_status st;
    core_status(c->service->core, &st);
    bool is_leader = st.leader == core_member_id(c->service->core);
    if (retention_is_due(&c->retention, now_ms(c), core_rev(c->service->core), is_leader,
                         &c->rev)) {
        compact(c);
    } else {
        begin_round(c);
    }
}

/* ---- life ---- */

void compactor_create(struct service *s)
{
    if (s->o.compaction == SERVICE_COMPACT_OFF) {
        return;
    }
    struct compactor *c = mem_zalloc(sizeof(*c));
    c->service = s;
    c->timer.fire = on_timer;
    s->compactor = c;
}

void compactor_start(struct service *s)
{
    struct compactor *c = s->compactor;
    if (c != NULL) {
        retention_init(&c->retention, s->o.compaction, s->o.compaction_keep, now_ms(c));
        begin_round(c);
    }
}

void compactor_stop(struct service *s)
{
    struct compactor *c = s->compactor;
    if (c != NULL) {
        struct env_exec *x = env_of(c)->exec;
        c->is_stopped = true;
        x->ops->timer_stop(x, &c->timer);
    }
}

void compactor_destroy(struct service *s)
{
    if (s->compactor != NULL) {
        retention_deinit(&s->compactor->retention);
        buf_deinit(&s->compactor->body);
        mem_free(s->compactor);
        s->compactor = NULL;
    }
}
