/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/client: a client on a host of its own: one request at a time to one member, over gRPC; what
 * times out is given up, and the next request may go to another member.
 *
 *     think -> ask (connect if need be) -> answer, failure or time-out -> think
 */
#include <inttypes.h>

#include "grpc/client.h"
#include "rpc/rpc_client.h"
#include "sim/op.h"

enum { CONNECT_MS = 2000, PING_MS = 10000, PING_TIMEOUT_MS = 2000 };

struct run_client {
    struct run *run;
    unsigned number;
    struct env *env;
    struct env_timer think;
    struct rpc_channel *channel; /* NULL: none */
    char addr[16];
    unsigned next; /* number of the next request */
    bool is_asking;
    bool has_answer;
    bool must_drop; /* the channel, when the call has ended */
    struct grpc_client_call *call;
    struct run_op op;
};

static void think_again(struct run_client *c)
{
    struct env_exec *x = c->env->exec;
    x->ops->timer_start(x, &c->think, 1 + prng_below(&c->run->prng, c->run->o.think_max_ms));
}

/* ---- channel ---- */

static void on_up(void *arg)
{
    (void)arg;
}

static void channel_drop(struct run_client *c)
{
    struct rpc_channel *ch = c->channel;
    c->channel = NULL;
    if (ch != NULL) {
        rpc_channel_destroy(ch);
    }
}

static void on_down(void *arg, int err, const char *text)
{
    struct run_client *c = arg;
    (void)err;
    (void)text;
    channel_drop(c);
}

static const struct rpc_channel_events channel_events = {.on_up = on_up, .on_down = on_down};

static bool channel_take(struct run_client *c)
{
    struct run *r = c->run;
    if (c->channel != NULL) {
        return true;
    }
    const struct run_slot *s = &r->slots[prng_below(&r->prng, r->slot_count)];
    if (!s->is_used) {
        return false;
    }
    (void)snprintf(c->addr, sizeof(c->addr), "%s:%d", s->name, SIM_CLIENT_PORT);
    struct rpc_channel_options o = {
        .env = c->env,
        .addr = c->addr,
        .connect_timeout_ms = CONNECT_MS,
        .ping_interval_ms = PING_MS,
        .ping_timeout_ms = PING_TIMEOUT_MS,
        .events = &channel_events,
        .arg = c,
    };
    return rpc_channel_open(&o, &c->channel) == 0;
}

/* ---- requests ---- */

static void on_message(void *arg, struct grpc_client_call *call, struct slice msg)
{
    struct run_client *c = arg;
    (void)call;
    if (!c->has_answer) {
        c->has_answer = true;
        op_judge(c->run, &c->op, msg);
    }
}

static void on_done(void *arg, struct grpc_client_call *call, const struct grpc_status *status)
{
    struct run_client *c = arg;
    struct run *r = c->run;
    (void)call;
    trace(r, "c%u %s %u by %s: %s%.*s", c->number, op_name(c->op.kind), c->op.number, c->addr,
          c->has_answer ? "answered " : "", (int)status->message.len,
          (const char *)status->message.data);
    if (!c->has_answer) {
        op_failed(r, &c->op, status->code, status->message);
    }
    c->is_asking = false;
    c->call = NULL;
    op_deinit(&c->op);
    bool is_lost = status->code == GRPC_UNAVAILABLE || status->code == GRPC_DEADLINE_EXCEEDED;
    c->must_drop = run_chance(r, is_lost ? 50 : 2);
    think_again(c);
}

static const struct grpc_client_call_ops call_ops = {.on_message = on_message, .on_done = on_done};

static void ask(struct run_client *c)
{
    struct run *r = c->run;
    op_draw(r, &c->op, c->number, c->next++);
    trace(r, "c%u %s %u key %s end %s rev %" PRId64 " lease %" PRId64 " to %s", c->number,
          op_name(c->op.kind), c->op.number, c->op.key, c->op.end, c->op.rev, c->op.lease_id,
          c->addr);
    struct grpc_client_call_options o = {
        .path = c->op.method,
        .timeout_ms = run_draw(r, 100, r->o.timeout_max_ms),
        .ops = &call_ops,
        .arg = c,
    };
    c->is_asking = true;
    c->has_answer = false;
    c->call = grpc_client_request(rpc_channel_client(c->channel), &o, buf_slice(&c->op.message));
}

static void on_think(struct env_timer *t)
{
    struct run_client *c = container_of(t, struct run_client, think);
    if (c->must_drop) {
        channel_drop(c);
        c->must_drop = false;
    }
    if (!c->run->is_quiet && channel_take(c)) {
        ask(c);
    } else {
        think_again(c);
    }
}

/* ---- life ---- */

struct run_client *client_start(struct run *r, unsigned number)
{
    char name[16];
    struct run_client *c = mem_zalloc(sizeof(*c));
    (void)snprintf(name, sizeof(name), "c%u", number);
    c->run = r;
    c->number = number;
    c->env = sim_host_env(sim_host_add(r->sim, name));
    c->think.fire = on_think;
    think_again(c);
    return c;
}

bool client_is_idle(const struct run_client *c)
{
    return !c->is_asking;
}

void client_free(struct run_client *c)
{
    ensure(!c->is_asking);
    c->env->exec->ops->timer_stop(c->env->exec, &c->think);
    channel_drop(c);
    mem_free(c);
}
