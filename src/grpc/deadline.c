/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/deadline: see deadline.h.
 *
 * The timer is moved only when an earlier deadline comes; when it fires too early (its deadline was
 * removed) it is armed for the new top.  So most calls touch no timer at all.
 */
#include "grpc/deadline.h"

static void timer_fire(struct env_timer *t);

void grpc_deadlines_init(struct grpc_deadlines *d, struct env *env,
                         void (*on_due)(void *arg, struct grpc_deadline_node *node), void *arg)
{
    *d = (struct grpc_deadlines){.env = env, .on_due = on_due, .arg = arg};
    d->timer.fire = timer_fire;
}

void grpc_deadlines_deinit(struct grpc_deadlines *d)
{
    ensure(d->len == 0);
    if (d->armed_ms != 0) {
        d->env->exec->ops->timer_stop(d->env->exec, &d->timer);
    }
    mem_free(d->heap);
    d->heap = NULL;
    d->cap = 0;
    d->armed_ms = 0;
}

static void place(struct grpc_deadlines *d, size_t i, struct grpc_deadline_node *node)
{
    d->heap[i] = node;
    node->slot = i + 1;
}

static void sift_up(struct grpc_deadlines *d, size_t i)
{
    struct grpc_deadline_node *node = d->heap[i];
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (d->heap[parent]->at_ms <= node->at_ms) {
            break;
        }
        place(d, i, d->heap[parent]);
        i = parent;
    }
    place(d, i, node);
}

static void sift_down(struct grpc_deadlines *d, size_t i)
{
    struct grpc_deadline_node *node = d->heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= d->len) {
            break;
        }
        if (child + 1 < d->len && d->heap[child + 1]->at_ms < d->heap[child]->at_ms) {
            child++;
        }
        if (d->heap[child]->at_ms >= node->at_ms) {
            break;
        }
        place(d, i, d->heap[child]);
        i = child;
    }
    place(d, i, node);
}

static void arm(struct grpc_deadlines *d)
{
    if (d->len == 0) {
        return;
    }
    uint64_t top = d->heap[0]->at_ms;
    if (d->armed_ms != 0 && d->armed_ms <= top) {
        return;
    }
    uint64_t now = env_mono_ms(d->env);
    d->armed_ms = top;
    d->env->exec->ops->timer_start(d->env->exec, &d->timer, top > now ? top - now : 0);
}

void grpc_deadlines_add(struct grpc_deadlines *d, struct grpc_deadline_node *node, uint64_t at_ms)
{
    ensure(node->slot == 0);
    if (d->len == d->cap) {
        d->cap = d->cap == 0 ? 64 : d->cap * 2;
        d->heap = mem_realloc(d->heap, d->cap * sizeof(struct grpc_deadline_node *));
    }
    node->at_ms = at_ms == 0 ? 1 : at_ms;
    place(d, d->len++, node);
    sift_up(d, d->len - 1);
    arm(d);
}

void grpc_deadlines_remove(struct grpc_deadlines *d, struct grpc_deadline_node *node)
{
    if (node->slot == 0) {
        return;
    }
    size_t i = node->slot - 1;
    ensure(i < d->len && d->heap[i] == node);
    node->slot = 0;
    d->len--;
    if (i == d->len) {
        return;
    }
    place(d, i, d->heap[d->len]);
    sift_up(d, i);
    sift_down(d, d->heap[i]->slot - 1);
}

static void timer_fire(struct env_timer *t)
{
    struct grpc_deadlines *d = container_of(t, struct grpc_deadlines, timer);
    d->armed_ms = 0;
    uint64_t now = env_mono_ms(d->env);
    while (d->len > 0 && d->heap[0]->at_ms <= now) {
        struct grpc_deadline_node *node = d->heap[0];
        grpc_deadlines_remove(d, node);
        d->on_due(d->arg, node);
    }
    arm(d);
}

bool grpc_deadlines_check(const struct grpc_deadlines *d)
{
    for (size_t i = 0; i < d->len; i++) {
        if (d->heap[i]->slot != i + 1) {
            return false;
        }
        if (i > 0 && d->heap[(i - 1) / 2]->at_ms > d->heap[i]->at_ms) {
            return false;
        }
    }
    return true;
}
