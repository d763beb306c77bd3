/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/ranges: the union of the permissions of one type that a user has: a sorted list of intervals
 * that neither overlap nor touch.  Private to auth.
 *
 * Design      Adjacent permissions become one interval, so a request for [a, c) is covered by [a,
 *             b) and [b, c): one search finds the only interval that may cover it.
 * Invariants  I1 after merge: lo < hi in each, hi < lo of the next; only the last may be open.
 * Ownership   Keys are borrowed: they must have a zero byte behind their end (auth_text), which is
 *             the end of a single key's interval.
 * Failure     None.
 * See         client-api 2.6.4; test/unit/auth/ranges_test.c.
 */
#ifndef AUTH_RANGES_H
#define AUTH_RANGES_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

struct auth_range {
    struct slice lo;
    struct slice hi; /* not part of it */
    bool is_open;    /* there is no hi */
};

struct auth_ranges {
    struct auth_range *items;
    size_t count;
    size_t cap;
};

void auth_ranges_clear(struct auth_ranges *r);
void auth_ranges_deinit(struct auth_ranges *r);
/* A permission: range_end empty: the key; one zero byte: everything from it on.  What holds no key
 * is left out. */
void auth_ranges_add(struct auth_ranges *r, struct slice key, struct slice range_end);
void auth_ranges_merge(struct auth_ranges *r);
/* The same three forms, and a range without keys (its end is not above its key), which is treated
 * as its key. */
bool auth_ranges_covers(const struct auth_ranges *r, struct slice key, struct slice range_end);
void auth_ranges_check(const struct auth_ranges *r);

#endif
