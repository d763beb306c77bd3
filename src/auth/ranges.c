/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/ranges.h"

#include <stdlib.h>

static bool is_open_end(struct slice range_end)
{
    return range_end.len == 1 && range_end.data[0] == 0;
}

void auth_ranges_clear(struct auth_ranges *r)
{
    r->count = 0;
}

void auth_ranges_deinit(struct auth_ranges *r)
{
    mem_free(r->items);
    *r = (struct auth_ranges){.count = 0};
}

void auth_ranges_add(struct auth_ranges *r, struct slice key, struct slice range_end)
{
    struct auth_range i = {.lo = key, .hi = range_end, .is_open = is_open_end(range_end)};
    if (range_end.len == 0) {
        i.hi = slice_make(key.data, key.len + 1);
    }
    if (key.len == 0 || (!i.is_open && slice_compare(key, i.hi) >= 0)) {
        return; /* an empty key stands behind all others, as in etcd */
    }
    if (r->count == r->cap) {
        r->cap = r->cap == 0 ? 8 : r->cap * 2;
        r->items = mem_realloc(r->items, r->cap * sizeof(*r->items));
    }
    r->items[r->count++] = i;
}

static int by_lo(const void *a, const void *b)
{
    const struct auth_range *x = a, *y = b;
    return slice_compare(x->lo, y->lo);
}

/* Of two intervals, what ends later. */
static bool ends_before(const struct auth_range *a, const struct auth_range *b)
{
    return !a->is_open && (b->is_open || slice_compare(a->hi, b->hi) < 0);
}

void auth_ranges_merge(struct auth_ranges *r)
{
    if (r->count == 0) {
        return;
    }
    qsort(r->items, r->count, sizeof(*r->items), by_lo);
    size_t last = 0;
    for (size_t i = 1; i < r->count; i++) {
        struct auth_range *at = &r->items[last];
        const struct auth_range *next = &r->items[i];
        if (!at->is_open && slice_compare(next->lo, at->hi) > 0) {
            r->items[++last] = *next;
        } else if (ends_before(at, next)) {
            at->hi = next->hi;
            at->is_open = next->is_open;
        }
    }
    r->count = last + 1;
}

/* The last interval that does not begin above the key, or NULL. */
static const struct auth_range *range_at(const struct auth_ranges *r, struct slice key)
{
    size_t lo = 0, hi = r->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (slice_compare(r->items[mid].lo, key) <= 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo == 0 ? NULL : &r->items[lo - 1];
}

bool auth_ranges_covers(const struct auth_ranges *r, struct slice key, struct slice range_end)
{
    const struct auth_range *at = key.len == 0 ? NULL : range_at(r, key);
    if (at == NULL || at->is_open) {
        return at != NULL;
    }
    if (is_open_end(range_end)) {
        return false;
    }
    bool has_key = slice_compare(key, at->hi) < 0;
    return has_key && (range_end.len == 0 || slice_compare(range_end, at->hi) <= 0);
}

void auth_ranges_check(const struct auth_ranges *r)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct auth_range *at = &r->items[i];
        bool is_last = i + 1 == r->count;
        ensure(at->lo.len > 0 && (at->is_open ? is_last : slice_compare(at->lo, at->hi) < 0));
        ensure(is_last || slice_compare(at->hi, at[1].lo) < 0);
    }
}
