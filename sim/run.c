/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/run.h"

#include <inttypes.h>
#include <stdarg.h>

#include "core/internal.h"
#include "sim/disk.h"

struct run *run_create(const struct run_options *o, FILE *out)
{
    struct run *r = mem_zalloc(sizeof(*r));
    r->o = *o;
    r->trace = out;
    r->trace_hash = UINT64_C(0xcbf29ce484222325);
    prng_init(&r->prng, o->seed);
    r->sim = sim_create(o->seed ^ UINT64_C(0x9e3779b97f4a7c15));
    sim_order_set(r->sim, SIM_ORDER_SEED);
    struct sim_net_options net = {
        .latency_min_ns = o->net_min_ns, .latency_max_ns = o->net_max_ns, .split = o->split};
    sim_net_options_set(r->sim, &net);
    r->control = sim_host_add(r->sim, "control");
    truth_init(r);
    return r;
}

void run_fail(struct run *r, const char *fmt, ...)
{
    if (r->is_failed) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(r->rule, sizeof(r->rule), fmt, args);
    va_end(args);
    r->is_failed = true;
    trace(r, "BROKEN %s", r->rule);
    slots_trace(r);
}

uint64_t run_now_ms(const struct run *r)
{
    return sim_now_ns(r->sim) / 1000000;
}

/* ---- the loop ---- */

static bool step(struct run *r, uint64_t end_ns)
{
    if (!sim_step(r->sim)) {
        return sim_advance_next(r->sim, end_ns);
    }
    trace_step(r);
    struct sim_host *host = sim_last_host(r->sim);
    if (host == NULL) {
        return true;
    }
    struct run_slot *s = slot_of_host(r, host);
    if (s != NULL && s->member != NULL) {
        truth_look(r, s);
    }
    slots_harvest(r, host);
    return true;
}

bool run_until(struct run *r, bool (*pred)(struct run *r), uint64_t ms)
{
    uint64_t end_ns = sim_now_ns(r->sim) + ms * 1000000;
    uint64_t look_ns = 0;
    while (!r->is_failed) {
        uint64_t now = sim_now_ns(r->sim);
        if (now >= look_ns) { /* not at every step: it looks at everything */
            if (pred(r)) {
                return true;
            }
            look_ns = now + 5000000;
        }
        if (!step(r, end_ns)) {
            return false;
        }
    }
    return false;
}

static bool never(struct run *r)
{
    return r->o.steps_max != 0 && r->steps >= r->o.steps_max;
}

/* ---- what is waited for ---- */

static bool is_up(struct run *r)
{
    for (unsigned i = 0; i < r->slot_count; i++) {
        const struct run_slot *s = &r->slots[i];
        if (s->is_used && s->has_started &&
            (s->member == NULL || !sim_member_is_ready(s->member) ||
             slot_core(s)->is_short_of_space)) {
            return false;
        }
    }
    return slot_leader(r) != NULL;
}

static bool is_idle(struct run *r)
{
    for (unsigned i = 0; i < r->o.clients; i++) {
        if (!client_is_idle(r->clients[i])) {
            return false;
        }
    }
    return r->changes_open == 0;
}

/* All have applied the same, all of it, and nothing is under way. */
static bool is_settled(struct run *r)
{
    raft_index applied = 0;
    for (unsigned i = 0; i < r->slot_count; i++) {
        const struct run_slot *s = &r->slots[i];
        if (!s->is_used || s->member == NULL) {
            continue;
        }
        const struct core *c = slot_core(s);
        raft_index last = raft_log_last_index(c->raft);
        if (c->applied != last || c->install_stage != CORE_INSTALL_NONE ||
            (applied != 0 && applied != c->applied)) {
            return false;
        }
        applied = c->applied;
    }
    return applied == model_index(r->model);
}

static bool are_watches_complete(struct run *r)
{
    for (unsigned i = 0; i < r->o.watchers; i++) {
        if (!watch_is_complete(r->watches[i], model_rev(r->model))) {
            return false;
        }
    }
    return true;
}

static bool are_leases_gone(struct run *r)
{
    for (size_t i = 0; i < model_lease_count(r->model); i++) {
        if (model_lease_at(r->model, i)->is_alive) {
            return false;
        }
    }
    return true;
}

/* ---- phases ---- */

static void begin(struct run *r)
{
    for (unsigned i = 0; i < r->o.members; i++) {
        struct run_slot *s = slot_add(r);
        size_t n = strlen(r->initial);
        (void)snprintf(r->initial + n, sizeof(r->initial) - n, "%s%s=%s", i > 0 ? "," : "", s->name,
                       s->peer_url);
    }
    for (unsigned i = 0; i < r->o.members && !r->is_failed; i++) {
        slot_start(&r->slots[i]);
    }
    if (!run_until(r, is_up, RUN_START_MS)) {
        run_fail(r, "progress: a new cluster is up within %d simulated seconds",
                 RUN_START_MS / 1000);
    }
}

static void clients_begin(struct run *r)
{
    for (unsigned i = 0; i < r->o.clients; i++) {
        r->clients[i] = client_start(r, i);
    }
    for (unsigned i = 0; i < r->o.watchers; i++) {
        r->watches[i] = watch_start(r, i);
    }
}

static void last_put(struct run_slot *s);

/* A write that was on its way to a leader that is none any more is lost, as in etcd: once more. */
static bool may_repeat(const struct run_ask *q)
{
    bool is_lost =
        q->req.err == ERR_RPC_TIMEOUT_LEADER_FAIL || q->req.err == ERR_RPC_TIMEOUT_CONN_LOST;
    return is_lost && q->slot->member == q->member && q->slot->last_puts < RUN_LAST_PUTS;
}

/* One after the other: each member must take a write and tell it. */
static void asked(struct run_ask *q)
{
    q->run->changes_open--;
    trace(q->run, "last put of %s: %s", q->slot->name,
          q->req.err == 0 ? "done" : err_name(q->req.err));
    if (may_repeat(q)) {
        last_put(q->slot);
    } else if (q->req.err != 0) {
        run_fail(q->run, "progress: %s refuses a write when all is healed: %s", q->slot->name,
                 err_text(q->req.err));
    }
}

static void alarm_asked(struct run_ask *q)
{
    q->run->changes_open--;
}

/* A full disk has raised NOSPACE: whoever made room says so. */
static bool are_alarms_off(struct run *r)
{
    struct run_slot *s = slot_leader(r);
    struct buf body = BUF_INIT;
    if (!model_alarm_off(r->model, &body)) {
        return r->changes_open == 0;
    }
    if (r->changes_open == 0 && s != NULL) {
        struct run_ask *q = ask_new(s, CORE_PROPOSE, alarm_asked);
        q->req.which = WIRE_INTERNAL_ALARM;
        buf_append_slice(&q->body, buf_slice(&body));
        r->changes_open++;
        ask_start(q);
    }
    buf_deinit(&body);
    return false;
}

static void last_put(struct run_slot *s)
{
    struct run_ask *q = ask_new(s, CORE_PROPOSE, asked);
    struct wire_put_req put = {.key = slice_cstr("k00"), .value = slice_cstr("last")};
    wire_put_req_encode(&q->body, &put);
    q->req.which = WIRE_INTERNAL_PUT;
    s->last_puts++;
    s->run->changes_open++;
    ask_start(q);
}

static void last_puts(struct run *r)
{
    for (unsigned i = 0; i < r->slot_count; i++) {
        struct run_slot *s = &r->slots[i];
        if (s->is_used && s->member != NULL && !core_is_learner(slot_core(s))) {
            last_put(s);
        }
    }
}

static void expect(struct run *r, bool (*pred)(struct run *r), uint64_t ms, const char *what)
{
    if (!r->is_failed && !run_until(r, pred, ms)) {
        run_fail(r, "progress: %s within %" PRIu64 " simulated seconds", what, ms / 1000);
    }
}

static void heal(struct run *r)
{
    trace(r, "heal");
    faults_end(r);
    expect(r, is_up, RUN_HEAL_MS, "all members are up when the faults have ended");
    r->is_quiet = true;
    expect(r, is_idle, RUN_HEAL_MS, "all requests end");
    expect(r, are_alarms_off, RUN_HEAL_MS, "alarms can be disarmed");
    if (!r->is_failed) {
        last_puts(r);
    }
    expect(r, is_idle, RUN_HEAL_MS, "every member takes a write");
    expect(r, are_leases_gone, RUN_HEAL_MS, "every lease expires");
    expect(r, is_settled, RUN_SETTLE_MS, "all members come to the same index");
    expect(r, are_watches_complete, RUN_SETTLE_MS, "every watch gets every event");
    if (!r->is_failed) {
        (void)truth_compare(r);
    }
}

static void end(struct run *r)
{
    trace(r, "end");
    r->is_quiet = true;
    for (unsigned i = 0; i < r->o.watchers; i++) {
        watch_stop(r->watches[i]);
    }
    struct env_exec *x = sim_host_env(r->control)->exec;
    x->ops->timer_stop(x, &r->keeper_timer);
    for (unsigned i = 0; i < r->slot_count; i++) {
        if (r->slots[i].is_used) {
            slot_stop(&r->slots[i]);
        }
    }
    expect(r, slots_all_ended, RUN_STOP_MS, "all members stop in order");
    for (unsigned i = 0; i < r->slot_count && !r->is_failed; i++) {
        if (r->slots[i].is_used && r->slots[i].has_started) {
            truth_files(r, &r->slots[i]);
        }
    }
}

bool run_execute(struct run *r)
{
    begin(r);
    if (!r->is_failed) {
        clients_begin(r);
        faults_start(r);
        (void)run_until(r, never, r->o.duration_ms);
    }
    if (!r->is_failed) {
        heal(r);
    }
    if (!r->is_failed) {
        end(r);
    }
    return !r->is_failed;
}

void run_destroy(struct run *r)
{
    for (unsigned i = 0; i < r->o.clients; i++) {
        client_free(r->clients[i]);
    }
    for (unsigned i = 0; i < r->o.watchers; i++) {
        watch_free(r->watches[i]);
    }
    for (unsigned i = 0; i < r->slot_count; i++) {
        if (r->slots[i].is_used) {
            membership_deinit(&r->slots[i].existing);
            mem_free(r->slots[i].terms);
        }
    }
    sim_advance_ms(r->sim, 1000); /* channels end */
    truth_deinit(r);
    mem_free(r->retired);
    sim_destroy(r->sim);
    mem_free(r);
}
