/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void ensure_failed(const char *expr, const char *file, int line)
{
    /* stdio only here: the process is about to end, and nothing else may be trusted any more. */
    fprintf(stderr, "cairn: invariant broken: %s (%s:%d); this process stops, the data is kept\n",
            expr, file, line);
    abort();
}
