/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/deadline: a min-heap of points in time and one env timer under them, so that a call's
 * deadline costs no timer of its own.
 *
 * Ownership   Nodes are embedded in the caller's structs; a node must be removed before it dies.
 * Thread      the loop of env.
 */
#ifndef GRPC_DEADLINE_H
#define GRPC_DEADLINE_H

#include "env/env.h"

struct grpc_deadline_node {
    uint64_t at_ms;
    size_t slot; /* index + 1 in the heap; 0 = not in it */
};

struct grpc_deadlines {
    struct env *env;
    struct env_timer timer;
    uint64_t armed_ms; /* when the timer fires; 0 = not armed */
    struct grpc_deadline_node **heap;
    size_t len;
    size_t cap;
    void (*on_due)(void *arg, struct grpc_deadline_node *node); /* already removed */
    void *arg;
};

void grpc_deadlines_init(struct grpc_deadlines *d, struct env *env,
                         void (*on_due)(void *arg, struct grpc_deadline_node *node), void *arg);
void grpc_deadlines_deinit(struct grpc_deadlines *d);
void grpc_deadlines_add(struct grpc_deadlines *d, struct grpc_deadline_node *node, uint64_t at_ms);
/* Nothing when it is not in. */
void grpc_deadlines_remove(struct grpc_deadlines *d, struct grpc_deadline_node *node);
/* Heap order and slots hold (tests). */
bool grpc_deadlines_check(const struct grpc_deadlines *d);

#endif
