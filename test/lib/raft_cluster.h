/* SPDX-License-Identifier: Apache-2.0
 *
 * test/lib/raft_cluster: a few rafts in one process with a network that loses, doubles and
 * reorders, storage writes that complete later, and crashes that forget what was not written;
 * everything drawn from one seed.
 *
 * After each step it is checked (aborts with the seed and step on stderr):
 *   election safety       one leader a term
 *   log matching          an entry (term, index) has one content and one predecessor, everywhere
 *   state machine safety  what is applied at an index is the same everywhere
 *   reads                 a read's index is not below what was known committed when it was asked
 *   raft_check            the invariants of each member
 */
#ifndef TEST_LIB_RAFT_CLUSTER_H
#define TEST_LIB_RAFT_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

struct cluster;

struct cluster *cluster_create(uint64_t seed);
void cluster_destroy(struct cluster *c);
/* One random act. */
void cluster_step(struct cluster *c);
/*
 * Everybody is up, nothing is lost: within a bound of ticks there must be one leader, and a new
 * proposal must be applied by every member of its configuration.  False if not.
 *
 * Only for even seeds, whose configuration changes spare the first three voters.  With arbitrary
 * changes etcd's raft can lock itself up: a removed leader goes on appending; when it dies, the
 * remaining voter, which has not applied the removal, needs votes of members with longer logs, and
 * those are voters no more.  Odd seeds check safety only.
 */
bool cluster_heals(struct cluster *c);
uint64_t cluster_applied_count(const struct cluster *c);

#endif
