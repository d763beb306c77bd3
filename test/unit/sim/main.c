/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/sim/tests.h"

int main(void)
{
    int failed = sim_disk_tests() + sim_world_tests() + sim_net_tests() + sim_model_tests();
    return failed == 0 ? 0 : 1;
}
