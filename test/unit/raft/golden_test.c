/* SPDX-License-Identifier: Apache-2.0
 *
 * Golden scripts: those of etcd's raft (shared folder, not part of the repository; skipped where it
 * is absent) and our own in test/data/raft.  REWRITE=1 rewrites ours.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>
#include <cmocka.h>

#include "test/lib/raft_interaction.h"
#include "test/lib/raft_quorum_script.h"

typedef int (*run_fn)(const char *path, bool may_rewrite);

static int run_interaction(const char *path, bool may_rewrite)
{
    struct interaction *env = interaction_create();
    int failures = script_run(path, may_rewrite, interaction_handle, env);
    interaction_destroy(env);
    return failures;
}

static int run_quorum(const char *path, bool may_rewrite)
{
    return script_run(path, may_rewrite, quorum_script_handle, NULL);
}

static int run_confchange(const char *path, bool may_rewrite)
{
    struct confchange_script s = {0};
    return script_run(path, may_rewrite, confchange_script_handle, &s);
}

/* Every script of a folder; skipped when the folder is absent. */
static void run_folder(const char *folder, int expected, run_fn run, bool may_rewrite)
{
    char **names;
    int n = script_files(folder, &names);
    int failed = 0;
    if (n <= 0) {
        skip();
        return;
    }
    for (int i = 0; i < n; i++) {
        int rv = run(names[i], may_rewrite);
        if (rv != 0) {
            fprintf(stderr, "FAILED %s (%d)\n", names[i], rv);
            failed++;
        }
    }
    script_files_free(names, n);
    assert_int_equal(failed, 0);
    assert_true(n >= expected);
}

static void run_shared(const char *name, int expected, run_fn run)
{
    const char *shared = getenv("CAIRN_SHARED");
    char path[PATH_MAX]; /* no allocation: a skip does not come back */
    snprintf(path, sizeof(path), "%s/golden/raft/%s",
             shared != NULL ? shared : SOURCE_ROOT "/../shared", name);
    run_folder(path, expected, run, false);
}

static void test_quorum(void **state)
{
    (void)state;
    run_shared("quorum", 4, run_quorum);
}

static void test_confchange(void **state)
{
    (void)state;
    run_shared("confchange", 9, run_confchange);
}

static void test_interaction(void **state)
{
    (void)state;
    run_shared("interaction", 28, run_interaction);
}

static void test_own(void **state)
{
    (void)state;
    run_folder(SOURCE_ROOT "/test/data/raft", 1, run_interaction, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quorum),
        cmocka_unit_test(test_confchange),
        cmocka_unit_test(test_interaction),
        cmocka_unit_test(test_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
