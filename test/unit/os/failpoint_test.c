/* SPDX-License-Identifier: Apache-2.0
 *
 * os/failpoint: gofail's language, and what armed places do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "os/failpoint.h"
#include "test/unit/os/tests.h"

static struct os_failpoints *points;

static int setup(void **state)
{
    (void)state;
    points = os_failpoints_create(1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    os_failpoints_destroy(points);
    return 0;
}

static int arm(const char *name, const char *terms)
{
    return os_failpoint_arm(points, slice_cstr(name), slice_cstr(terms));
}

static unsigned fires_of(unsigned times)
{
    unsigned fired = 0;
    for (unsigned i = 0; i < times; i++) {
        fired += FAILPOINT_FIRES(walBeforeSync);
    }
    return fired;
}

static void test_disarmed_nothing(void **state)
{
    (void)state;
    assert_int_equal(fires_of(10), 0);
    assert_int_equal(os_failpoint_disarm(points, SLICE_LIT("walBeforeSync")), ERR_AGAIN);
    assert_int_equal(os_failpoint_disarm(points, SLICE_LIT("none")), ERR_NOT_FOUND);
    assert_int_equal(arm("none", "panic"), ERR_NOT_FOUND);
}

static void test_terms_good_and_bad(void **state)
{
    static const char *const good[] = {
        "off",
        "return",
        "return()",
        "return(\"a ) b\")",
        "return(-1)",
        "sleep(1)",
        "sleep(\"3ms\")",
        "panic(\"x\")",
        "3*return",
        "50%return(true)",
        "2.5%off",
        "5%3*return",
        "1*off->2*return->print",
    };
    static const char *const bad[] = {
        "",
        "none",
        "return(",
        "return(x)",
        "sleep",
        "sleep(\"3\")",
        "sleep(-1)",
        "3return",
        "3*",
        "1.5*return",
        "off->",
        "->off",
        "off-return",
        "return(\"a",
        "99999999999*return",
        "1*1*1*1*1*off",
        "break",
        "return()x",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(arm("walBeforeSync", good[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(arm("walBeforeSync", bad[i]), ERR_INVALID);
        assert_int_equal(os_failpoint_check(SLICE_LIT("walBeforeSync"), slice_cstr(bad[i])),
                         ERR_INVALID);
    }
    /* What was armed before a mistake stays. */
    struct buf text = BUF_INIT;
    uint64_t count;
    assert_int_equal(os_failpoint_get(points, SLICE_LIT("walBeforeSync"), &text, &count), 0);
    assert_string_equal(buf_cstr(&text), "1*off->2*return->print");
    buf_deinit(&text);
}

static void test_counts_and_chances(void **state)
{
    struct buf text = BUF_INIT;
    uint64_t count = 0;
    (void)state;
    assert_int_equal(arm("walBeforeSync", "2*off->3*return"), 0);
    assert_int_equal(fires_of(2), 0);
    assert_int_equal(fires_of(10), 3);
    assert_int_equal(os_failpoint_get(points, SLICE_LIT("walBeforeSync"), &text, &count), 0);
    assert_int_equal(count, 5);
    assert_int_equal(arm("walBeforeSync", "25%return"), 0);
    unsigned fired = fires_of(4000);
    assert_in_range(fired, 800, 1200);
    assert_int_equal(arm("walBeforeSync", "0%return"), 0);
    assert_int_equal(fires_of(100), 0);
    assert_int_equal(arm("walBeforeSync", "100%return"), 0);
    assert_int_equal(fires_of(100), 100);
    assert_int_equal(os_failpoint_disarm(points, SLICE_LIT("walBeforeSync")), 0);
    assert_int_equal(fires_of(10), 0);
    buf_deinit(&text);
}

static void test_sleep_at_least(void **state)
{
    struct timespec a, b;
    (void)state;
    assert_int_equal(arm("walBeforeSync", "sleep(\"20ms\")"), 0);
    clock_gettime(CLOCK_MONOTONIC, &a);
    assert_int_equal(fires_of(1), 0);
    clock_gettime(CLOCK_MONOTONIC, &b);
    int64_t ns = (b.tv_sec - a.tv_sec) * INT64_C(1000000000) + (b.tv_nsec - a.tv_nsec);
    assert_true(ns >= INT64_C(20000000));
}

static void test_panic_ends_the_process(void **state)
{
    int ends[2], status;
    char text[128] = "";
    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(ends[1], 2);
        (void)!arm("afterCommit", "panic");
        FAILPOINT(afterCommit);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 2);
    assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "panic: failpoint panic: afterCommit\n");
    close(ends[0]);
    close(ends[1]);
}

static int count_pair(void *arg, struct slice name, struct slice terms)
{
    unsigned *count = arg;
    ++*count;
    return name.len == 0 || terms.len == 0 ? ERR_INVALID : 0;
}

static void test_many_at_once(void **state)
{
    struct slice bad = SLICE_NULL;
    unsigned count = 0;
    (void)state;
    assert_int_equal(os_failpoints_each(SLICE_LIT("a=off;;b=1*return;"), count_pair, &count, &bad),
                     0);
    assert_int_equal(count, 2);
    count = 0;
    assert_int_equal(os_failpoints_each(SLICE_LIT("a=off;b"), count_pair, &count, &bad),
                     ERR_INVALID);
    assert_true(slice_equal_cstr(bad, "b"));
    assert_int_equal(os_failpoints_each(SLICE_LIT("a=b=c"), count_pair, &count, &bad), ERR_INVALID);
    assert_int_equal(count, 0); /* nothing before the whole text was looked at */
}

static void test_names_sorted(void **state)
{
    (void)state;
    for (enum failpoint i = 1; i < FAILPOINT_COUNT; i++) {
        assert_true(strcmp(failpoint_name(i - 1), failpoint_name(i)) < 0);
    }
}

int os_failpoint_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_disarmed_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_terms_good_and_bad, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counts_and_chances, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sleep_at_least, setup, teardown),
        cmocka_unit_test_setup_teardown(test_panic_ends_the_process, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_at_once, setup, teardown),
        cmocka_unit_test(test_names_sorted),
    };
    return cmocka_run_group_tests_name("os/failpoint", tests, NULL, NULL);
}
