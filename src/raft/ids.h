/* SPDX-License-Identifier: Apache-2.0
 *
 * raft/ids: ascending sets of member ids (struct raft_ids), at most RAFT_MEMBERS_MAX.
 */
#ifndef RAFT_IDS_H
#define RAFT_IDS_H

#include "raft/types.h"

bool raft_ids_contains(const struct raft_ids *s, uint64_t id);
/* False when the set is full; an id that is there already is no failure. */
bool raft_ids_add(struct raft_ids *s, uint64_t id);
void raft_ids_remove(struct raft_ids *s, uint64_t id);
bool raft_ids_equal(const struct raft_ids *a, const struct raft_ids *b);
/* How many ids are in exactly one of the two. */
uint32_t raft_ids_difference_count(const struct raft_ids *a, const struct raft_ids *b);
/* Sorts and removes doubles and zeros: for a list from outside.  count must be <= the maximum. */
void raft_ids_normalize(struct raft_ids *s);

#endif
