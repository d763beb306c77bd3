/* SPDX-License-Identifier: Apache-2.0
 *
 * os/log_sink: shape of the lines, several outputs, several threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "os/log_sink.h"
#include "os/os.h"
#include "test/unit/os/tests.h"

static const char *format(enum os_log_format f, const struct log_line *line)
{
    static struct buf out;
    buf_clear(&out);
    os_log_format_line(&out, f, line, INT64_C(1767323045678901000));
    return buf_cstr(&out);
}

static void lines_have_the_shape_of_zap(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    const struct log_field fields[] = {LOG_STR("a", "x:\",y"), LOG_U64("n", 7)};
    struct log_line line = {LOG_INFO, NULL, "core/core.c", 12, "hello \"you\"", fields, 2};
    assert_string_equal(format(OS_LOG_JSON, &line),
                        "{\"level\":\"info\",\"ts\":\"2026-01-02T03:04:05.678901Z\",\"caller\":"
                        "\"core/core.c:12\",\"msg\":\"hello \\\"you\\\"\",\"a\":\"x:\\\",y\","
                        "\"n\":7}\n");
    assert_string_equal(format(OS_LOG_CONSOLE, &line),
                        "2026-01-02T03:04:05.678901Z\tinfo\tcore/core.c:12\thello \"you\"\t"
                        "{\"a\": \"x:\\\",y\", \"n\": 7}\n");
    line.logger = "raft";
    line.level = LOG_ERROR;
    line.count = 0;
    assert_string_equal(format(OS_LOG_JSON, &line),
                        "{\"level\":\"error\",\"ts\":\"2026-01-02T03:04:05.678901Z\",\"logger\":"
                        "\"raft\",\"caller\":\"core/core.c:12\",\"msg\":\"hello \\\"you\\\"\","
                        "\"stacktrace\":\"core/core.c:12\"}\n");
    assert_string_equal(format(OS_LOG_CONSOLE, &line),
                        "2026-01-02T03:04:05.678901Z\terror\traft\tcore/core.c:12\t"
                        "hello \"you\"\ncore/core.c:12\n");
    unsetenv("TZ");
    tzset();
}

enum { THREADS = 4, LINES = 500 };

static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES; i++) {
        log_info("a line of one thread", LOG_STR("who", arg), LOG_I64("i", i));
    }
    return NULL;
}

static void threads_do_not_mix_their_lines(void **state)
{
    (void)state;
    struct os_log_sink *sink;
    test_dir_make();
    os_log_sink_create(OS_LOG_JSON, &sink);
    assert_int_equal(os_log_sink_add(sink, test_path("no/such/dir")), ERR_NOT_FOUND);
    assert_int_equal(os_log_sink_add(sink, test_path("a.log")), 0);
    assert_int_equal(os_log_sink_add(sink, test_path("b.log")), 0);
    os_log_sink_install(sink, LOG_INFO);
    log_debug("not shown");
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, write_lines, "t");
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    os_log_sink_destroy(sink);
    log_error("nowhere");

    struct os_options opts = {.no_lanes = true};
    struct env *env;
    struct buf a = BUF_INIT, b = BUF_INIT;
    assert_int_equal(os_env_create(&opts, &env), 0);
    assert_int_equal(env_read_file(env->disk, test_path("a.log"), 1 << 20, &a), 0);
    assert_int_equal(env_read_file(env->disk, test_path("b.log"), 1 << 20, &b), 0);
    assert_int_equal(a.len, b.len);
    int lines = 0;
    for (char *at = (char *)(uintptr_t)buf_cstr(&a), *end; (end = strchr(at, '\n')) != NULL;
         at = end + 1) {
        assert_memory_equal(at, "{\"level\":\"info\"", 15);
        assert_int_equal(end[-1], '}');
        lines++;
    }
    assert_int_equal(lines, THREADS * LINES);
    buf_deinit(&a);
    buf_deinit(&b);
    os_env_destroy(env);
    test_dir_remove();
}

static void levels_have_names(void **state)
{
    (void)state;
    enum log_level level = LOG_DEBUG;
    assert_int_equal(os_log_level_parse("fatal", &level), 0);
    assert_int_equal(level, LOG_FATAL);
    assert_int_equal(os_log_level_parse("INFO", &level), ERR_INVALID);
    assert_int_equal(level, LOG_FATAL);
    struct os_log_sink *sink;
    os_log_sink_create(OS_LOG_CONSOLE, &sink);
    static const char *const outputs[] = {"default",   "stderr",    "stdout",    "systemd/journal",
                                          "/dev/null", "/dev/null", "/dev/null", "/dev/null"};
    for (size_t i = 0; i < ARRAY_LEN(outputs); i++) {
        assert_int_equal(os_log_sink_add(sink, outputs[i]), 0);
    }
    assert_int_equal(os_log_sink_add(sink, "stderr"), ERR_LIMIT);
    os_log_sink_destroy(sink);
}

int os_log_sink_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_have_the_shape_of_zap),
        cmocka_unit_test(threads_do_not_mix_their_lines),
        cmocka_unit_test(levels_have_names),
    };
    return cmocka_run_group_tests_name("os/log_sink", tests, NULL, NULL);
}
