/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/faults: the nemesis: every now and then something goes wrong, and most of it ends again.
 */
#include <inttypes.h>

#include "core/internal.h"

#include "sim/disk.h"
#include "sim/run.h"

enum {
    DOWN_MAX_MS = 6000,
    DOWN_SHORT_MS = 60, /* back within the same term */
    LAST_MAX_MS = 5000,
    POWER_OPS_MAX = 40,
    KEEP_MS = 50,
    DRIFT_PPM = 50000,
    CHANGE_MS = 10000
};

static const char *const names[FAULT_COUNT] = {
    "power",     "kill",  "stop",     "pause",     "isolate", "split", "one-way",
    "slow-link", "reset", "messages", "slow-disk", "hang",    "error", "full",
    "drift",     "jump",  "members",  "transfer",  "defrag",  "level",
};

const char *fault_name(enum run_fault f)
{
    return names[f];
}

/* ---- what ends by itself ---- */

static void undo_later(struct run *r, enum run_fault f, unsigned a, unsigned b)
{
    if (r->undo_count < RUN_UNDO_MAX) {
        uint64_t ms = run_draw(r, 1, LAST_MAX_MS);
        r->undo[r->undo_count++] = (struct run_undo){sim_now_ns(r->sim) + ms * 1000000, f, a, b};
    }
}

static void cut(struct run *r, unsigned a, unsigned b, bool is_cut, bool both)
{
    struct run_slot *x = &r->slots[a], *y = &r->slots[b];
    if (x->is_used && y->is_used && a != b) {
        sim_net_cut_one_way(x->host, y->host, is_cut);
        if (both) {
            sim_net_cut_one_way(y->host, x->host, is_cut);
        }
    }
}

static void links_heal(struct run *r)
{
    for (unsigned a = 0; a < r->slot_count; a++) {
        for (unsigned b = 0; b < r->slot_count; b++) {
            cut(r, a, b, false, false);
            if (r->slots[a].is_used && r->slots[b].is_used && a != b) {
                sim_net_latency_set(r->slots[a].host, r->slots[b].host, 0, 0);
            }
        }
    }
}

static void disk_heal(struct run_slot *s)
{
    const struct run_options *o = &s->run->o;
    struct env *env = sim_host_env(s->host);
    sim_lane_hold(env, ENV_LANE_LOG, false);
    sim_lane_time_set(env, ENV_LANE_LOG, o->disk_min_ns, o->disk_max_ns);
    sim_disk_capacity_set(sim_host_disk(s->host), UINT64_MAX);
}

static void undo(struct run *r, const struct run_undo *u)
{
    struct run_slot *s = &r->slots[u->a];
    if (u->fault == FAULT_ISOLATE || u->fault == FAULT_SPLIT || u->fault == FAULT_ONE_WAY ||
        u->fault == FAULT_SLOW_LINK) {
        links_heal(r);
    } else if (u->fault == FAULT_MESSAGES) {
        r->loss = r->doubling = r->disorder = 0;
    } else if (!s->is_used) {
        return;
    } else if (u->fault == FAULT_PAUSE) {
        sim_host_pause(s->host, false);
    } else {
        disk_heal(s);
    }
    trace(r, "%s ends (%s)", fault_name(u->fault), s->name);
}

static void undo_due(struct run *r, uint64_t now)
{
    for (size_t i = 0; i < r->undo_count;) {
        if (r->undo[i].at_ns <= now) {
            struct run_undo u = r->undo[i];
            r->undo[i] = r->undo[--r->undo_count];
            undo(r, &u);
        } else {
            i++;
        }
    }
}

/* ---- members ---- */

static void change_done(struct run_ask *q)
{
    trace(q->run, "change %d of %" PRIx64 ": %s", (int)q->req.op, q->req.member_id,
          q->req.err == 0 ? "done" : err_name(q->req.err));
    q->run->changes_open--;
    q->run->change = NULL;
}

/* A change has no time-out of its own, as in etcd: its client goes. */
static void change_start(struct run_ask *q)
{
    struct run *r = q->run;
    r->changes_open++;
    r->change = q;
    r->change_end_ns = sim_now_ns(r->sim) + CHANGE_MS * UINT64_C(1000000);
    ask_start(q);
}

static void change_end_maybe(struct run *r)
{
    struct run_ask *q = r->change;
    if (q != NULL && sim_now_ns(r->sim) >= r->change_end_ns && q->slot->member == q->member) {
        r->change_end_ns = UINT64_MAX;
        driver_cancel(sim_member_driver(q->member), &q->req);
    }
}

/* What the new member is told of the others, as by GET /members. */
static void existing_fill(struct run_slot *s, const struct core *from)
{
    const struct membership *ms = core_members(from);
    s->initial[0] = 0;
    s->cluster_id = core_cluster_id(from);
    for (size_t k = 0; k < ms->count; k++) {
        struct member copy;
        member_copy(&copy, &ms->members[k]);
        size_t n = strlen(s->initial);
        bool is_new = strs_contains(&copy.peer_urls, s->peer_url);
        (void)snprintf(s->initial + n, sizeof(s->initial) - n, "%s%s=%s", k > 0 ? "," : "",
                       is_new ? s->name : copy.name, copy.peer_urls.items[0]);
        (void)membership_add(&s->existing, &copy);
    }
}

static void added(struct run_ask *q)
{
    struct run *r = q->run;
    struct run_slot *s = &r->slots[q->number];
    change_done(q);
    if (q->req.err != 0) {
        slot_clear(s);
        return;
    }
    s->is_joiner = true;
    s->id = q->req.member_id;
    existing_fill(s, slot_core(q->slot));
    s->start_ns = sim_now_ns(r->sim) + run_draw(r, 1, 2000) * 1000000;
}

static void member_add(struct run *r, struct run_slot *by)
{
    struct run_slot *s = slot_add(r);
    if (s == NULL) {
        return;
    }
    bool is_learner = run_chance(r, 60);
    struct run_ask *q = ask_new(by, CORE_CONF_CHANGE, added);
    q->req.op = is_learner ? CORE_MEMBER_ADD_LEARNER : CORE_MEMBER_ADD;
    q->req.unix_s = 1700000000 + (int64_t)(sim_now_ns(r->sim) / 1000000);
    q->number = s->at;
    strs_add(&q->urls, slice_cstr(s->peer_url));
    trace(r, "add %s %s by %s", is_learner ? "learner" : "voter", s->name, by->name);
    change_start(q);
}

static void member_change(struct run *r, struct run_slot *by, enum core_member_op op)
{
    const struct membership *ms = core_members(slot_core(by));
    uint64_t ids[RUN_SLOTS_MAX * 2];
    size_t n = 0;
    for (size_t i = 0; i < ms->count && n < ARRAY_LEN(ids); i++) {
        if ((op == CORE_MEMBER_PROMOTE) == ms->members[i].is_learner || op == CORE_MEMBER_REMOVE) {
            ids[n++] = ms->members[i].id;
        }
    }
    if (n == 0 || (op == CORE_MEMBER_REMOVE && ms->count <= 1)) {
        return;
    }
    struct run_ask *q = ask_new(by, CORE_CONF_CHANGE, change_done);
    q->req.op = op;
    q->req.member_id = ids[prng_below(&r->prng, n)];
    trace(r, "%s %" PRIx64 " by %s", op == CORE_MEMBER_REMOVE ? "remove" : "promote",
          q->req.member_id, by->name);
    change_start(q);
}

static void members_fault(struct run *r)
{
    struct run_slot *by = slot_leader(r);
    if (by == NULL || r->changes_open > 0 || !sim_member_is_ready(by->member)) {
        return;
    }
    switch (prng_below(&r->prng, 4)) {
    case 0: member_change(r, by, CORE_MEMBER_REMOVE); break;
    case 1: member_add(r, by); break;
    default: member_change(r, by, CORE_MEMBER_PROMOTE); break;
    }
}

/* ---- other requests ---- */

static void asked(struct run_ask *q)
{
    trace(q->run, "request %d of %s: %s", (int)q->req.kind, q->slot->name,
          q->req.err == 0 ? "done" : err_name(q->req.err));
}

static void transfer(struct run *r)
{
    struct run_slot *by = slot_leader(r), *to = slot_any_running(r);
    if (by != NULL && to != by && sim_member_is_ready(by->member)) {
        struct run_ask *q = ask_new(by, CORE_TRANSFER_LEADER, asked);
        q->req.member_id = to->id;
        ask_start(q);
    }
}

static void level_raise(struct run *r)
{
    for (unsigned i = 0; i < r->slot_count; i++) {
        struct run_slot *s = &r->slots[i];
        if (s->is_used && s->member != NULL && sim_member_is_ready(s->member) &&
            core_level(slot_core(s)) < LEVEL_3_7) {
            ask_start(ask_new(s, CORE_RAISE_LEVEL, asked));
        }
    }
}

/* ---- the faults ---- */

static void network_fault(struct run *r, enum run_fault f)
{
    unsigned a = (unsigned)prng_below(&r->prng, r->slot_count);
    unsigned b = (unsigned)prng_below(&r->prng, r->slot_count);
    uint64_t mask = prng_next(&r->prng);
    for (unsigned i = 0; i < r->slot_count; i++) {
        for (unsigned k = 0; k < r->slot_count; k++) {
            bool is_split = (mask >> i & 1) != (mask >> k & 1);
            if ((f == FAULT_ISOLATE && i == a) || (f == FAULT_SPLIT && is_split)) {
                cut(r, i, k, true, true);
            }
        }
    }
    if (f == FAULT_ONE_WAY) {
        cut(r, a, b, true, false);
    } else if (a != b && r->slots[a].is_used && r->slots[b].is_used) {
        struct sim_host *x = r->slots[a].host, *y = r->slots[b].host;
        if (f == FAULT_SLOW_LINK) {
            sim_net_latency_set(x, y, 50000000, run_draw(r, 51, 800) * 1000000);
        } else if (f == FAULT_RESET) {
            sim_net_reset_between(x, y);
        }
    }
    if (f != FAULT_RESET) {
        undo_later(r, f, a, b);
    }
}

static void disk_error(struct run *r, struct run_slot *s)
{
    static const unsigned kinds[] = {
        SIM_OP_BIT(SIM_OP_READ),
        SIM_OP_BIT(SIM_OP_WRITE),
        SIM_OP_ANY_SYNC,
        SIM_OP_BIT(SIM_OP_RENAME) | SIM_OP_BIT(SIM_OP_CREATE),
    };
    s->is_power_doubtful = true;
    sim_disk_faults_clear(sim_host_disk(s->host));
    sim_disk_fail_match(sim_host_disk(s->host), kinds[prng_below(&r->prng, ARRAY_LEN(kinds))], NULL,
                        run_draw(r, 1, 20), false, ERR_IO);
}

static void disk_fault(struct run *r, struct run_slot *s, enum run_fault f)
{
    struct env *env = sim_host_env(s->host);
    struct sim_disk *d = sim_host_disk(s->host);
    if (f == FAULT_SLOW_DISK) {
        sim_lane_time_set(env, ENV_LANE_LOG, 10000000, run_draw(r, 11, 600) * 1000000);
    } else if (f == FAULT_HANG) {
        sim_lane_hold(env, ENV_LANE_LOG, true);
    } else if (f == FAULT_FULL) {
        s->is_power_doubtful = true;
        sim_disk_capacity_set(d, sim_disk_used_bytes(d) + prng_below(&r->prng, 200000));
    } else {
        disk_error(r, s);
        return;
    }
    undo_later(r, f, s->at, s->at);
}

static void process_fault(struct run *r, struct run_slot *s, enum run_fault f)
{
    uint64_t down_ms = run_draw(r, 1, run_chance(r, 40) ? DOWN_SHORT_MS : DOWN_MAX_MS);
    struct sim_disk *d = sim_host_disk(s->host);
    if (f == FAULT_POWER && run_chance(r, 30)) {
        slot_crash(s, true, down_ms);
    } else if (f == FAULT_POWER) { /* in the middle of what it does next */
        sim_disk_power_cut_after(d, sim_disk_op_count(d) + run_draw(r, 1, POWER_OPS_MAX));
    } else if (f == FAULT_KILL) {
        slot_crash(s, false, down_ms);
    } else if (f == FAULT_STOP) {
        s->start_ns = sim_now_ns(r->sim) + down_ms * 1000000;
        slot_stop(s);
    } else {
        sim_host_pause(s->host, true);
        undo_later(r, f, s->at, s->at);
    }
}

static void clock_fault(struct run *r, struct run_slot *s, enum run_fault f)
{
    int64_t by = (int64_t)run_draw(r, 0, 2 * DRIFT_PPM) - DRIFT_PPM;
    if (f == FAULT_DRIFT) {
        sim_host_drift_set(s->host, by);
    } else {
        sim_wall_offset_set(sim_host_env(s->host), by * 10000000);
    }
}

void fault_now(struct run *r, enum run_fault f)
{
    struct run_slot *s = slot_any_running(r);
    if (s == NULL) {
        return;
    }
    r->stats.faults[f]++;
    trace(r, "fault %s (%s)", fault_name(f), s->name);
    if (f <= FAULT_PAUSE) {
        process_fault(r, s, f);
    } else if (f <= FAULT_RESET) {
        network_fault(r, f);
    } else if (f == FAULT_MESSAGES) {
        r->loss = (unsigned)prng_below(&r->prng, 300);
        r->doubling = (unsigned)prng_below(&r->prng, 200);
        r->disorder = (unsigned)prng_below(&r->prng, 200);
        undo_later(r, f, s->at, s->at);
    } else if (f <= FAULT_FULL) {
        disk_fault(r, s, f);
    } else if (f <= FAULT_JUMP) {
        clock_fault(r, s, f);
    } else if (f == FAULT_MEMBERS) {
        members_fault(r);
    } else if (f == FAULT_TRANSFER) {
        transfer(r);
    } else if (f == FAULT_DEFRAG) {
        ask_start(ask_new(s, CORE_DEFRAG, asked));
    } else {
        level_raise(r);
    }
}

/* ---- raft messages ---- */

size_t faults_messages(struct run *r, struct run_slot *s, const struct raft_message *in,
                       size_t count, struct raft_message *out, size_t max)
{
    size_t n = 0;
    (void)s;
    for (size_t i = 0; i < count; i++) {
        if (r->loss > 0 && prng_chance(&r->prng, r->loss, 1000)) {
            continue;
        }
        out[n++] = in[i];
        /* A proposal that comes twice is proposed twice: no transport may do that. */
        if (r->doubling > 0 && in[i].type != RAFT_MSG_PROP && n + (count - i) < max &&
            prng_chance(&r->prng, r->doubling, 1000)) {
            out[n++] = in[i];
        }
        if (r->disorder > 0 && n > 1 && prng_chance(&r->prng, r->disorder, 1000)) {
            struct raft_message m = out[n - 1];
            out[n - 1] = out[n - 2];
            out[n - 2] = m;
        }
    }
    return n;
}

/* ---- timers ---- */

static void timer_again(struct run *r, struct env_timer *t, uint64_t ms)
{
    struct env_exec *x = sim_host_env(r->control)->exec;
    x->ops->timer_start(x, t, ms);
}

static void on_fault(struct env_timer *t)
{
    struct run *r = container_of(t, struct run, fault_timer);
    enum run_fault able[FAULT_COUNT];
    unsigned n = 0;
    for (int f = 0; f < FAULT_COUNT; f++) {
        if ((r->o.faults >> f & 1) != 0) {
            able[n++] = (enum run_fault)f;
        }
    }
    if (r->has_faults && n > 0) {
        fault_now(r, able[prng_below(&r->prng, n)]);
        timer_again(r, t, run_draw(r, r->o.fault_min_ms, r->o.fault_max_ms));
    }
}

/* Removed before anybody spoke to it: nobody will, and it was not to be started (its administrator
 * knows). */
static bool is_orphan(struct run *r, struct run_slot *s)
{
    const struct run_slot *leader = slot_leader(r);
    if (leader == NULL || !s->is_joiner || s->id == 0) {
        return false;
    }
    bool is_new = s->member == NULL ? !s->has_started : slot_core(s)->applied == 0;
    return is_new && membership_is_removed(core_members(slot_core(leader)), s->id);
}

static void orphan_end(struct run_slot *s)
{
    trace(s->run, "%s is removed, and nobody told it", s->name);
    s->is_removed = true;
    if (s->member != NULL) {
        slot_stop(s);
    } else {
        slot_clear(s);
    }
}

/* Who is down is started again; who must not stay paused goes on. */
static void on_keep(struct env_timer *t)
{
    struct run *r = container_of(t, struct run, keeper_timer);
    uint64_t now = sim_now_ns(r->sim);
    undo_due(r, now);
    change_end_maybe(r);
    for (unsigned i = 0; i < r->slot_count && !r->is_failed; i++) {
        struct run_slot *s = &r->slots[i];
        if (s->is_used && !s->is_removed && is_orphan(r, s)) {
            orphan_end(s);
        }
        if (s->is_used && s->member == NULL && s->start_ns != 0 && s->start_ns <= now) {
            slot_start(s);
        }
    }
    timer_again(r, t, KEEP_MS);
}

void faults_start(struct run *r)
{
    r->fault_timer.fire = on_fault;
    r->keeper_timer.fire = on_keep;
    r->has_faults = true;
    timer_again(r, &r->fault_timer, run_draw(r, r->o.fault_min_ms, r->o.fault_max_ms));
    timer_again(r, &r->keeper_timer, KEEP_MS);
}

void faults_end(struct run *r)
{
    r->has_faults = false;
    undo_due(r, UINT64_MAX);
    links_heal(r);
    r->loss = r->doubling = r->disorder = 0;
    for (unsigned i = 0; i < r->slot_count; i++) {
        struct run_slot *s = &r->slots[i];
        if (s->is_used) {
            sim_host_pause(s->host, false);
            sim_disk_faults_clear(sim_host_disk(s->host));
            sim_disk_power_cut_after(sim_host_disk(s->host), UINT64_MAX);
            sim_host_drift_set(s->host, 0);
            disk_heal(s);
            if (s->member == NULL && s->has_started && s->start_ns == 0) {
                s->start_ns = 1;
            }
        }
    }
}
