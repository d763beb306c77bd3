/* SPDX-License-Identifier: Apache-2.0 */
#include "service/service.h"

#include "service/internal.h"

struct service *service_create(const struct service_options *opts)
{
    struct service *s = mem_zalloc(sizeof(*s));
    s->o = *opts;
    s->driver = opts->driver;
    s->core = driver_core(opts->driver);
    list_init(&s->promotions);
    list_init(&s->lease_asks);
    logins_create(s);
    holds_create(s);
    monitor_create(s);
    watches_create(s);
    return s;
}

static void call_free(struct service_call *sc)
{
    buf_deinit(&sc->response);
    buf_deinit(&sc->credentials);
    strs_deinit(&sc->urls);
    if (sc->has_arena) {
        arena_deinit(&sc->arena);
    }
    mem_free(sc);
}

void service_destroy(struct service *s)
{
    watches_destroy(s);
    monitor_destroy(s);
    logins_destroy(s);
    holds_destroy(s);
    while (s->free != NULL) {
        struct service_call *sc = s->free;
        s->free = sc->next_free;
        call_free(sc);
    }
    buf_deinit(&s->scratch);
    mem_free(s);
}

void service_register(struct service *s, struct grpc_server *server)
{
    kv_register(s, server);
    lease_register(s, server);
    watch_register(s, server);
    maintenance_register(s, server);
    cluster_register(s, server);
    auth_register(s, server);
    upgrade_register(s, server);
    health_register(s, server);
}

/* ---- calls ---- */

static void on_core_reply(struct core_request *r)
{
    struct service_call *sc = container_of(r, struct service_call, req);
    if (sc->call != NULL) {
        sc->on_reply(sc);
        return;
    }
    /* The client has gone: only give back what the reply brought. */
    if (r->err == 0 && r->kind == CORE_RANGE) {
        mvcc_plan_end(&sc->plan);
    } else if (r->err == 0 && r->view != NULL) {
        backend_view_unpin(r->view);
    }
    service_call_end(sc);
}

struct service_call *service_call_begin(struct service *s, struct grpc_call *call,
                                        enum core_kind kind,
                                        void (*on_reply)(struct service_call *sc))
{
    struct service_call *sc = s->free;
    if (sc != NULL) {
        s->free = sc->next_free;
        s->free_count--;
    } else {
        sc = mem_zalloc(sizeof(*sc));
    }
    core_request_init(&sc->req, kind);
    sc->req.response = &sc->response;
    sc->req.on_reply = on_core_reply;
    sc->service = s;
    sc->call = call;
    sc->msg = NULL;
    sc->on_reply = on_reply;
    sc->is_canceled = false;
    sc->number = 0;
    buf_clear(&sc->response);
    if (call != NULL) {
        *(struct service_call **)grpc_call_user(call) = sc;
    }
    return sc;
}

void service_call_end(struct service_call *sc)
{
    struct service *s = sc->service;
    rcbuf_unref(sc->msg);
    sc->msg = NULL;
    strs_deinit(&sc->urls);
    if (sc->has_arena) {
        arena_reset(&sc->arena);
    }
    if (s->free_count >= SERVICE_POOL_MAX) {
        call_free(sc);
        return;
    }
    if (sc->response.cap > SERVICE_BUF_KEEP_BYTES) {
        buf_deinit(&sc->response);
    }
    if (sc->credentials.cap > SERVICE_BUF_KEEP_BYTES) {
        buf_deinit(&sc->credentials);
    }
    sc->next_free = s->free;
    s->free = sc;
    s->free_count++;
}

struct slice service_call_keep(struct service_call *sc, struct slice msg)
{
    (void)msg;
    sc->msg = grpc_call_take_message(sc->call);
    return rcbuf_slice(sc->msg);
}

void service_call_submit(struct service_call *sc)
{
    driver_submit(sc->service->driver, &sc->req);
}

void service_on_cancel(struct grpc_call *call, int err)
{
    (void)err;
    struct service_call *sc = *(struct service_call **)grpc_call_user(call);
    service_unhold(call);
    if (sc != NULL) {
        sc->call = NULL;
        driver_cancel(sc->service->driver, &sc->req);
    }
}

/* 3.5 said "try elsewhere" to what newer releases call a failed condition. */
static bool is_unavailable_in_3_5(int err)
{
    return err == ERR_RPC_NOT_CAPABLE || err == ERR_RPC_NOT_SUPPORTED_FOR_LEARNER ||
           err == ERR_RPC_DOWNGRADE_NO_CLUSTER_VERSION;
}

void service_refuse_at(enum level level, struct grpc_call *call, int err)
{
    if (is_unavailable_in_3_5(err) && level == LEVEL_3_5) {
        grpc_call_fail_code(call, GRPC_UNAVAILABLE, err_text(err));
    } else {
        grpc_call_fail(call, err, NULL);
    }
}

void service_refuse(struct grpc_call *call, int err)
{
    const struct service *s = grpc_call_service(call);
    service_refuse_at(core_level(s->core), call, err);
}

void service_malformed(struct grpc_call *call, int err)
{
    (void)err;
    /* The tail of Go's text names its decoder's place; clients look at the code. */
    grpc_call_fail_code(
        call, GRPC_INTERNAL,
        "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data");
}

int service_number_of(struct slice msg, uint32_t field, uint64_t *out)
{
    struct wire_scan s;
    uint64_t n = 0;
    for (wire_scan_init(&s, msg); wire_scan_next(&s);) {
        if (s.field == field && s.type == WIRE_VARINT) {
            n = s.number;
        }
    }
    if (s.err == 0) {
        *out = n;
    }
    return s.err;
}

int service_text_of(struct slice msg, uint32_t field, struct slice *out)
{
    struct wire_scan s;
    struct slice text = SLICE_LIT("");
    for (wire_scan_init(&s, msg); wire_scan_next(&s);) {
        if (s.field == field && s.type == WIRE_LEN) {
            text = s.bytes;
        }
    }
    if (s.err == 0) {
        *out = text;
    }
    return s.err;
}

/* ---- answers ---- */

struct wire_header service_header(const struct service *s, int64_t rev)
{
    return (struct wire_header){
        .cluster_id = core_cluster_id(s->core),
        .member_id = core_member_id(s->core),
        .revision = rev,
        .raft_term = core_term(s->core),
    };
}

struct slice service_storage_version(const struct service *s, char text[SEMVER_TEXT_MAX])
{
    struct semver v = core_storage_version(s->core);
    if (semver_is_none(v) || v.minor < LEVEL_3_6) {
        return SLICE_NULL;
    }
    semver_format(v, text);
    return slice_cstr(text);
}

const struct level_rules *service_rules(const struct service *s)
{
    return level_rules(core_level(s->core));
}

struct buf *service_scratch(struct service *s)
{
    if (s->scratch.cap > 4 * SERVICE_INLINE_BYTES) {
        buf_deinit(&s->scratch);
    }
    buf_clear(&s->scratch);
    return &s->scratch;
}

void service_answer(struct service_call *sc)
{
    struct service *s = sc->service;
    if (sc->req.err != 0) {
        service_refuse(sc->call, sc->req.err);
    } else {
        struct wire_header h = service_header(s, sc->req.header_rev);
        struct buf *out = service_scratch(s);
        wire_append_header(out, &h);
        buf_append_slice(out, buf_slice(&sc->response));
        grpc_call_finish_unary(sc->call, buf_slice(out));
    }
    service_call_end(sc);
}

void service_answer_empty(struct service_call *sc)
{
    if (sc->req.err != 0) {
        service_refuse(sc->call, sc->req.err);
    } else {
        grpc_call_finish_unary(sc->call, SLICE_NULL);
    }
    service_call_end(sc);
}

/* ---- probes ---- */

struct probe {
    struct core_request req;
    struct wire_range_req range;
    struct mvcc_plan plan;
    void (*on_done)(void *arg, int err);
    void *arg;
};

static void on_probe_reply(struct core_request *r)
{
    struct probe *p = container_of(r, struct probe, req);
    if (r->err == 0) {
        mvcc_plan_end(&p->plan);
    }
    p->on_done(p->arg, r->err);
    mem_free(p);
}

void service_probe(struct service *s, bool is_serializable, void (*on_done)(void *arg, int err),
                   void *arg)
{
    struct probe *p = mem_zalloc(sizeof(*p));
    core_request_init(&p->req, CORE_RANGE);
    p->range = (struct wire_range_req){
        .key = SLICE_LIT("\0"), .limit = 1, .keys_only = true, .serializable = is_serializable};
    p->req.range = &p->range;
    p->req.plan = &p->plan;
    p->req.is_serializable = is_serializable;
    p->req.on_reply = on_probe_reply;
    p->on_done = on_done;
    p->arg = arg;
    driver_submit(s->driver, &p->req);
}
