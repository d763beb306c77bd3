/* SPDX-License-Identifier: Apache-2.0
 *
 * The groups of the sim test program.
 */
#ifndef TEST_UNIT_SIM_TESTS_H
#define TEST_UNIT_SIM_TESTS_H

int sim_disk_tests(void);
int sim_world_tests(void);
int sim_net_tests(void);
int sim_model_tests(void);

#endif
