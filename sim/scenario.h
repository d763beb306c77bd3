/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/scenario: runs with a name: each leans on the things that once made a bug, etcd's or ours.
 *
 * A scenario is a mix of options (which members, which faults, which requests) that a few seeds
 * vary.
 * See         docs/simulator.md has the table.
 */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "sim/run.h"

enum { SCENARIO_SEEDS = 3 };

struct scenario {
    const char *name;
    const char *about; /* where it comes from */
    uint32_t faults;
    unsigned members; /* 0: drawn */
    void (*tune)(struct run_options *o);
};

size_t scenario_count(void);
const struct scenario *scenario_at(size_t i);
/* NULL: there is none of this name. */
const struct scenario *scenario_find(const char *name);
void scenario_options(const struct scenario *s, uint64_t seed, struct run_options *o);

#endif
