/* SPDX-License-Identifier: Apache-2.0
 *
 * member_case: one member on one simulated disk for each test; what the tests of core ask of it.
 * Failures are cmocka's.  One thread; disk and m live from setup to teardown.
 */
#ifndef MEMBER_CASE_H
#define MEMBER_CASE_H

#include "member_fixture.h"

extern struct sim_disk *disk;
extern struct member_fixture m;

int setup(void **state);
int teardown(void **state);
/* The member starts and is ready, or the test fails with the text of the start. */
void start(void);
/* want NULL: the key is not there. rev 0: now. */
void expect_get(const char *key, int64_t rev, const char *want);
/* mf_verify, or the test fails with its reason. */
void verify_member(void);

#endif
