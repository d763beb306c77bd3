/* SPDX-License-Identifier: Apache-2.0
 *
 * service/hold: calls whose token this member cannot judge yet (client-api 2.6.5).
 *
 * Problem     A simple token is known where its login is applied. A client that has logged in at
 *             one member may ask the next one before that has applied the login too.
 * Design      The token names the login's place in the log. Until this member has applied it, the
 *             call is paused before its first message; a timer looks at all of them.
 * Limits      HOLDS_MAX calls; HOLD_MS each: then the token is judged as it is known.
 */
#include <assert.h>

#include "service/internal.h"

enum { HOLDS_MAX = 4096, HOLD_MS = 1000, HOLD_LOOK_MS = 2, HOLD_SLOT = 11 };

static_assert((HOLD_SLOT + 1) * sizeof(void *) <= GRPC_CALL_USER_BYTES, "behind the methods' own");

struct hold {
    struct list_node node; /* in order of arrival */
    struct grpc_call *call;
    uint64_t index; /* of the login's entry */
    uint64_t deadline_ms;
};

struct holds {
    struct service *service;
    struct list waiting;
    size_t count;
    struct env_timer timer; /* runs while somebody waits */
};

/* In the call's own bytes, behind those of its method. */
static struct hold **slot_of(struct grpc_call *call)
{
    return (struct hold **)grpc_call_user(call) + HOLD_SLOT;
}

static void look_later(struct holds *all)
{
    struct env_exec *exec = driver_env(all->service->driver)->exec;
    exec->ops->timer_start(exec, &all->timer, HOLD_LOOK_MS);
}

void service_unhold(struct grpc_call *call)
{
    struct service *s = grpc_call_service(call);
    struct hold **slot = slot_of(call);
    if (*slot != NULL) {
        list_remove(&(*slot)->node);
        s->holds->count--;
        mem_free(*slot);
        *slot = NULL;
    }
}

/* The message may be delivered, and the call end, from inside. */
static void let_go(struct hold *h)
{
    struct grpc_call *call = h->call;
    service_unhold(call);
    grpc_call_unpause(call);
}

static void on_timer(struct env_timer *t)
{
    struct holds *all = container_of(t, struct holds, timer);
    uint64_t applied = core_applied_index(all->service->core),
             now = env_mono_ms(driver_env(all->service->driver));
    LIST_FOREACH (&all->waiting, n) {
        struct hold *h = LIST_ENTRY(n, struct hold, node);
        if (applied >= h->index || now >= h->deadline_ms) {
            let_go(h);
        }
    }
    if (!list_is_empty(&all->waiting)) {
        look_later(all);
    }
}

/* The entry of the login; false: it may be judged now. */
static bool awaits(struct grpc_call *call, uint64_t *out_index)
{
    const struct service *s = grpc_call_service(call);
    const struct auth_store *auth = core_auth(s->core);
    uint64_t before;
    struct auth_caller caller;
    if (!auth_is_enabled(auth) || auth_store_tokens(auth) == NULL) {
        return false;
    }
    service_caller_of(call, &caller);
    if (!auth_tokens_index(auth_store_tokens(auth), auth_token_of(&caller), &before) ||
        before == UINT64_MAX || before < core_applied_index(s->core)) {
        return false;
    }
    *out_index = before + 1;
    return true;
}

void service_on_start(struct grpc_call *call)
{
    struct service *s = grpc_call_service(call);
    struct holds *all = s->holds;
    uint64_t index;
    if (all->count >= HOLDS_MAX || !awaits(call, &index)) {
        return;
    }
    struct hold *h = mem_alloc(sizeof(*h));
    *h = (struct hold){
        .call = call, .index = index, .deadline_ms = env_mono_ms(driver_env(s->driver)) + HOLD_MS};
    *slot_of(call) = h;
    if (all->count++ == 0) {
        look_later(all);
    }
    list_push_back(&all->waiting, &h->node);
    grpc_call_pause(call);
}

void holds_create(struct service *s)
{
    s->holds = mem_zalloc(sizeof(*s->holds));
    s->holds->service = s;
    s->holds->timer.fire = on_timer;
    list_init(&s->holds->waiting);
}

void holds_stop(struct service *s)
{
    struct env_exec *exec = driver_env(s->driver)->exec;
    exec->ops->timer_stop(exec, &s->holds->timer);
    for (struct list_node *n; (n = list_first(&s->holds->waiting)) != NULL;) {
        let_go(LIST_ENTRY(n, struct hold, node));
    }
}

void holds_destroy(struct service *s)
{
    mem_free(s->holds);
}
