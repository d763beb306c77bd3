/* SPDX-License-Identifier: Apache-2.0
 *
 * service/leader_wish: streams opened with `hasleader` end when no leader has been known for three
 * election timeouts in a row (client-api 2.0.5).
 */
#include "service/internal.h"

enum { LEADERLESS_ROUNDS = 3 };

bool service_wants_leader(struct grpc_call *call)
{
    return slice_equal_cstr(grpc_call_metadata(call, "hasleader"), "true");
}

static void look_later(struct service *s)
{
    struct env_exec *exec = driver_env(s->driver)->exec;
    exec->ops->timer_start(exec, &s->leader.timer, s->o.election_ms);
}

static void look(struct env_timer *t)
{
    struct service *s = container_of(t, struct service, leader.timer);
    struct core_status st;
    core_status(s->core, &st);
    s->leader.leaderless = st.leader == 0 ? s->leader.leaderless + 1 : 0;
    if (s->leader.leaderless >= LEADERLESS_ROUNDS) {
        s->leader.leaderless = 0;
        while (!list_is_empty(&s->leader.wishes)) {
            struct leader_wish *w =
                LIST_ENTRY(list_first(&s->leader.wishes), struct leader_wish, node);
            leader_wish_drop(w);
            w->on_lost(w);
        }
    }
    if (!list_is_empty(&s->leader.wishes)) {
        look_later(s);
    }
}

void leader_wishes_init(struct service *s)
{
    list_init(&s->leader.wishes);
    s->leader.timer.fire = look;
}

void leader_wishes_stop(struct service *s)
{
    struct env_exec *exec = driver_env(s->driver)->exec;
    exec->ops->timer_stop(exec, &s->leader.timer);
}

void leader_wish_add(struct service *s, struct grpc_call *call, struct leader_wish *w,
                     void (*on_lost)(struct leader_wish *w))
{
    *w = (struct leader_wish){.on_lost = on_lost};
    if (!service_wants_leader(call)) {
        return;
    }
    if (list_is_empty(&s->leader.wishes)) {
        s->leader.leaderless = 0;
        look_later(s);
    }
    w->is_waiting = true;
    list_push_back(&s->leader.wishes, &w->node);
}

void leader_wish_drop(struct leader_wish *w)
{
    if (w->is_waiting) {
        w->is_waiting = false;
        list_remove(&w->node);
    }
}
