/* SPDX-License-Identifier: Apache-2.0
 *
 * lease/lease_keys (private): the keys of one lease.
 *
 * Problem     Most leases have one key, some a hundred thousand; attaching must be cheap, a revoke
 *             needs byte order.
 * Design      An array of key copies: a sorted part and a short unsorted tail of new ones.  The
 * tail is sorted in when it is long and something is looked for, or when order is asked.  A key
 *             that leaves is marked; marked ones go when they are half of the array.
 * Ownership   Keys are copies.
 */
#ifndef LEASE_LEASE_KEYS_H
#define LEASE_LEASE_KEYS_H

#include <stdbool.h>

#include "base/slice.h"

struct lease_key;

struct lease_keys {
    struct lease_key **items;
    size_t len;
    size_t cap;
    size_t sorted; /* [0, sorted) ascends */
    size_t dead;   /* marked */
};

void lease_keys_init(struct lease_keys *k);
void lease_keys_deinit(struct lease_keys *k);
/* The key is not there. */
void lease_keys_add(struct lease_keys *k, struct slice key);
/* False: not there. */
bool lease_keys_remove(struct lease_keys *k, struct slice key);
/* Sorts; no marked ones are left. Returns the count. */
size_t lease_keys_tidy(struct lease_keys *k);
/* After tidy. */
struct slice lease_keys_at(const struct lease_keys *k, size_t i);
void lease_keys_check(const struct lease_keys *k);

#endif
