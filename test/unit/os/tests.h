/* SPDX-License-Identifier: Apache-2.0
 *
 * The groups of the os test program, and a directory of its own for each test.
 */
#ifndef TEST_UNIT_OS_TESTS_H
#define TEST_UNIT_OS_TESTS_H

int os_disk_tests(void);
int os_exec_tests(void);
int os_net_tests(void);
int os_host_tests(void);
int os_log_sink_tests(void);
int os_thread_tests(void);
int os_failpoint_tests(void);

/* A fresh directory below TMPDIR or /tmp; valid until the next call. */
const char *test_dir_make(void);
/* rm -rf of the last one. */
void test_dir_remove(void);
/* dir/name; valid for eight calls. */
const char *test_path(const char *name);

#endif
