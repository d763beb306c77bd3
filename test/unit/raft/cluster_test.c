/* SPDX-License-Identifier: Apache-2.0
 *
 * Random clusters (test/lib/raft_cluster.h).  CAIRN_SEEDS and CAIRN_SEED choose how many and where
 * from; a failure names its seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "test/lib/raft_cluster.h"

enum { SEEDS = 40, STEPS = 6000 };

static uint64_t number_from_env(const char *name, uint64_t otherwise)
{
    const char *s = getenv(name);
    return s != NULL ? strtoull(s, NULL, 10) : otherwise;
}

static void test_random_clusters(void **state)
{
    uint64_t first = number_from_env("CAIRN_SEED", 1);
    uint64_t count = number_from_env("CAIRN_SEEDS", SEEDS);
    uint64_t applied = 0;
    (void)state;
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct cluster *c = cluster_create(seed);
        for (int i = 0; i < STEPS; i++) {
            cluster_step(c);
        }
        if (!cluster_heals(c)) {
            fprintf(stderr, "seed %llu does not heal\n", (unsigned long long)seed);
            fail();
        }
        applied += cluster_applied_count(c);
        cluster_destroy(c);
    }
    /* The cluster must have done something. */
    assert_true(applied > count * 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_clusters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
