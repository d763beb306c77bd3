/* SPDX-License-Identifier: Apache-2.0 */
#include "mvcc/garbage.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/buf.h"

enum { CAP_MIN = 64 };

void garbage_deinit(struct garbage *g)
{
    mem_free(g->revs);
    *g = (struct garbage){0};
}

size_t garbage_room(const struct garbage *g)
{
    return GARBAGE_MAX - g->len;
}

static int rev_compare(const void *a, const void *b)
{
    const struct keyrev *x = a, *y = b;
    if (x->main != y->main) {
        return x->main < y->main ? -1 : 1;
    }
    return x->sub_mark == y->sub_mark ? 0 : (x->sub_mark < y->sub_mark ? -1 : 1);
}

static void last_run_sort(struct garbage *g)
{
    size_t from = (g->len - 1) / GARBAGE_RUN * GARBAGE_RUN;
    qsort(g->revs + from, g->len - from, sizeof(g->revs[0]), rev_compare);
}

void garbage_add(struct garbage *g, const struct keyrev *rev)
{
    ensure(g->len < GARBAGE_MAX && g->taken == 0);
    if (g->len == g->cap) {
        g->cap = g->cap == 0 ? CAP_MIN : g->cap * 2;
        g->revs = mem_realloc(g->revs, g->cap * sizeof(g->revs[0]));
    }
    g->revs[g->len++] = *rev;
    if (g->len % GARBAGE_RUN == 0) {
        last_run_sort(g);
    }
}

void garbage_sort(struct garbage *g)
{
    if (g->len % GARBAGE_RUN != 0) {
        last_run_sort(g);
    }
}

static const struct keyrev *run_head(const struct garbage *g, size_t run)
{
    size_t i = run * GARBAGE_RUN + g->at[run];
    return g->at[run] < GARBAGE_RUN && i < g->len ? &g->revs[i] : NULL;
}

bool garbage_take(struct garbage *g, struct keyrev *out)
{
    if (g->taken == g->len) {
        garbage_deinit(g);
        return false;
    }
    const struct keyrev *least = NULL;
    size_t from = 0;
    for (size_t run = 0; run * GARBAGE_RUN < g->len; run++) {
        const struct keyrev *head = run_head(g, run);
        if (head != NULL && (least == NULL || rev_compare(head, least) < 0)) {
            least = head;
            from = run;
        }
    }
    ensure(least != NULL);
    *out = *least;
    g->at[from]++;
    g->taken++;
    return true;
}
