/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/os.h"
#include "test/unit/os/tests.h"

static char dir[256];

const char *test_dir_make(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof(dir), "%s/cairn-os-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(dir));
    return dir;
}

void test_dir_remove(void)
{
    struct os_options opts = {.no_lanes = true};
    struct env *env;
    assert_int_equal(os_env_create(&opts, &env), 0);
    assert_int_equal(env_remove_all(env->disk, dir), 0);
    os_env_destroy(env);
}

const char *test_path(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

int main(void)
{
    int failed = os_disk_tests() + os_exec_tests() + os_net_tests() + os_host_tests() +
                 os_log_sink_tests() + os_thread_tests() + os_failpoint_tests();
    return failed == 0 ? 0 : 1;
}
