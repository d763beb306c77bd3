/* SPDX-License-Identifier: Apache-2.0
 *
 * base/failpoint: named places where a test makes the member die, wait or fail.
 *
 * Problem     "Killed between these two steps" cannot be hit from outside often enough; etcd's own
 *             fault-injection tools ask a member by name for it (gofail).
 * Design      One table (failpoint.def), one macro.  Disarmed, a place costs one relaxed load of a
 *             variable that nobody writes; no code runs.  What happens at a place is up to the
 *             handler: os/failpoint.h in the server, the simulator's own in a simulated run.
 * Ownership   One handler a process: a place deep inside a folder has no context to be asked for.
 * Thread      The macros: any; the handler is called on the thread that came by.
 *             failpoint_install: before other threads run, or while no place can be passed.
 * Failure     None here: a handler may not return, may take its time, or say true.
 * See         github.com/etcd-io/gofail, docs/failpoints.md; test/unit/os/failpoint_test.c.
 */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#include <stdatomic.h>
#include <stdbool.h>

enum failpoint {
#define FAILPOINT_DEF(name) FAILPOINT_##name,
#include "base/failpoint.def"
#undef FAILPOINT_DEF
    FAILPOINT_COUNT,
};

/* True: the place is to fail ("return"); what that means is the place's own matter. */
typedef bool failpoint_handler(void *arg, enum failpoint id);

extern atomic_bool failpoint_is_armed; /* for the macros */

bool failpoint_hit(enum failpoint id);

/* The place may fail: true when it has to. */
#define FAILPOINT_FIRES(name)                                                                      \
    (__builtin_expect(atomic_load_explicit(&failpoint_is_armed, memory_order_relaxed), 0) &&       \
     failpoint_hit(FAILPOINT_##name))
/* The place can only die or wait. */
#define FAILPOINT(name) ((void)FAILPOINT_FIRES(name))

const char *failpoint_name(enum failpoint id);
/* NULL disarms. */
void failpoint_install(failpoint_handler *handler, void *arg);

#endif
