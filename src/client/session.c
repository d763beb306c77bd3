/* SPDX-License-Identifier: Apache-2.0 */
#include "client/session.h"

#include "wire/kv.h"

enum { FIELD_TTL = 3, TTL_MAX_S = 1 << 30 };

struct client_session {
    struct client_session_options opts;
    struct client_call *call; /* a renewal under way */
    struct env_timer renew;
    struct env_timer expiry;
    bool is_lost;
};

static void lose(struct client_session *s)
{
    struct env_exec *exec = s->opts.env->exec;
    exec->ops->timer_stop(exec, &s->renew);
    exec->ops->timer_stop(exec, &s->expiry);
    if (!s->is_lost) {
        s->is_lost = true;
        s->opts.on_lost(s->opts.arg);
    }
}

/* The TTL of an answer; 0 when there is none. */
static int64_t ttl_of(struct slice msg)
{
    struct wire_scan scan;
    int64_t ttl = 0;
    wire_scan_init(&scan, msg);
    while (wire_scan_next(&scan)) {
        if (scan.field == FIELD_TTL && scan.type == WIRE_VARINT) {
            ttl = (int64_t)scan.number;
        }
    }
    return scan.err != 0 || ttl < 0 ? 0 : ttl;
}

static void on_message(void *arg, struct slice msg)
{
    struct client_session *s = arg;
    struct env_exec *exec = s->opts.env->exec;
    int64_t ttl = ttl_of(msg);
    if (ttl == 0) {
        lose(s);
        return;
    }
    uint64_t ms = (uint64_t)(ttl < TTL_MAX_S ? ttl : TTL_MAX_S) * 1000;
    exec->ops->timer_start(exec, &s->renew, ms / 3);
    exec->ops->timer_start(exec, &s->expiry, ms);
    if (s->opts.on_renewed != NULL) {
        s->opts.on_renewed(s->opts.arg, msg);
    }
}

static void on_done(void *arg, const struct client_status *status)
{
    struct client_session *s = arg;
    struct env_exec *exec = s->opts.env->exec;
    s->call = NULL;
    if (status->code == GRPC_OK || s->is_lost || s->renew.is_active) {
        return;
    }
    if (status->code == GRPC_UNAVAILABLE || status->code == GRPC_INTERNAL) {
        exec->ops->timer_start(exec, &s->renew, CLIENT_SESSION_RETRY_MS);
    } else {
        lose(s); /* an answer that another try would not change */
    }
}

static void renew(struct client_session *s)
{
    struct buf body = BUF_INIT;
    wire_append_u64(&body, 1, (uint64_t)s->opts.lease);
    s->call = client_call_start(s->opts.client, &(struct client_call_options){
                                                    .method = "/etcdserverpb.Lease/LeaseKeepAlive",
                                                    .body = buf_slice(&body),
                                                    .is_read = true,
                                                    .is_stream = true,
                                                    .has_leader = true,
                                                    .on_message = on_message,
                                                    .on_done = on_done,
                                                    .arg = s});
    ensure(s->call != NULL); /* a request of a few bytes: as any other allocation */
    buf_deinit(&body);
}

static void on_renew(struct env_timer *t)
{
    struct client_session *s = container_of(t, struct client_session, renew);
    if (s->call == NULL) {
        renew(s);
    }
}

static void on_expiry(struct env_timer *t)
{
    lose(container_of(t, struct client_session, expiry));
}

struct client_session *client_session_open(const struct client_session_options *opts)
{
    struct client_session *s = mem_zalloc(sizeof(*s));
    struct env_exec *exec = opts->env->exec;
    s->opts = *opts;
    s->renew.fire = on_renew;
    s->expiry.fire = on_expiry;
    exec->ops->timer_start(exec, &s->expiry, opts->first_wait_ms);
    renew(s);
    return s;
}

void client_session_close(struct client_session *s)
{
    if (s == NULL) {
        return;
    }
    struct env_exec *exec = s->opts.env->exec;
    s->is_lost = true; /* nobody is told any more */
    if (s->call != NULL) {
        client_call_cancel(s->call);
    }
    exec->ops->timer_stop(exec, &s->renew);
    exec->ops->timer_stop(exec, &s->expiry);
    mem_free(s);
}

bool client_session_is_lost(const struct client_session *s)
{
    return s->is_lost;
}

int64_t client_session_lease(const struct client_session *s)
{
    return s->opts.lease;
}
