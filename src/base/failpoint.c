/* SPDX-License-Identifier: Apache-2.0 */
#include "base/failpoint.h"

#include <stddef.h>

atomic_bool failpoint_is_armed;

static failpoint_handler *installed;
static void *installed_arg;

static const char *const names[FAILPOINT_COUNT] = {
#define FAILPOINT_DEF(name) #name,
#include "base/failpoint.def"
#undef FAILPOINT_DEF
};

const char *failpoint_name(enum failpoint id)
{
    return names[id];
}

bool failpoint_hit(enum failpoint id)
{
    atomic_thread_fence(memory_order_acquire); /* pairs with the store in failpoint_install */
    return installed != NULL && installed(installed_arg, id);
}

void failpoint_install(failpoint_handler *handler, void *arg)
{
    installed = handler;
    installed_arg = arg;
    atomic_store_explicit(&failpoint_is_armed, handler != NULL, memory_order_release);
}
