/* SPDX-License-Identifier: Apache-2.0
 *
 * os/host, os/term: what the host says, standard streams over pipes, child programs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"
#include "test/unit/os/tests.h"

static void usage_is_plausible(void **state)
{
    (void)state;
    struct os_usage u;
    os_usage_get(&u);
    assert_true(u.rss_bytes > 100000 && u.rss_bytes < (UINT64_C(1) << 40));
    assert_true(u.virtual_bytes >= u.rss_bytes);
    assert_true(u.open_fds >= 3 && u.open_fds < u.max_fds);
    assert_true(u.threads >= 1);
    assert_true(u.cpu_ns > 0);
    int64_t age = (int64_t)time(NULL) - u.start_time_s;
    assert_true(age > -5 && age < 3600);
}

static void limits_and_names(void **state)
{
    (void)state;
    uint64_t before = os_fd_limit_get();
    assert_true(os_fd_limit_raise() >= before);
    char name[256];
    os_hostname(name, sizeof(name));
    assert_true(name[0] != 0);
    char *cwd = os_getcwd(), *self = os_self_path();
    assert_int_equal(cwd[0], '/');
    assert_non_null(strstr(self, "os_test"));
    mem_free(cwd);
    mem_free(self);
    assert_true(os_cpu_count() >= 1);
    assert_int_equal(os_pid(), getpid());
    uint32_t old = os_umask(027);
    assert_int_equal(os_umask(old), 027);
    char host[64];
    int err = os_default_host(host, sizeof(host));
    assert_true(err == 0 || err == ERR_NOT_FOUND);
}

/* What every machine knows of itself; names that lead nowhere are no. */
static void addresses_and_names(void **state)
{
    (void)state;
    static const char local[] = "nowhere.invalid\0localhost";
    static const char other[] = "nowhere.invalid\0*.nowhere.invalid";
    assert_true(os_address_has_name("127.0.0.1", local, sizeof(local)));
    assert_false(os_address_has_name("127.0.0.1", other, sizeof(other)));
    assert_false(os_address_has_name("no address", local, sizeof(local)));
    assert_false(os_address_has_name("@", local, sizeof(local)));
    assert_false(os_address_has_name("127.0.0.1", "", 0));
    assert_false(os_address_has_name("127.0.0.1", "localhost", 9)); /* no NUL */
    assert_false(os_address_has_name("192.0.2.1", local, sizeof(local)));
}

static int find_var(void *arg, const char *name, const char *value)
{
    if (strcmp(name, "CAIRN_TEST_X") == 0) {
        snprintf(arg, 32, "%s", value);
        return 1;
    }
    return 0;
}

static void the_environment_is_walked(void **state)
{
    (void)state;
    char value[32] = "";
    setenv("CAIRN_TEST_X", "a=b", 1);
    assert_string_equal(os_getenv("CAIRN_TEST_X"), "a=b");
    assert_int_equal(os_getenv_each(find_var, value), 1);
    assert_string_equal(value, "a=b");
    os_unsetenv("CAIRN_TEST_X");
    assert_int_equal(os_getenv_each(find_var, value), 0);
}

static void names_become_addresses(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"127.0.0.1:2380", "127.0.0.1:2380"},
                                          {"[::1]:2380", "[::1]:2380"},
                                          {"localhost:80", "127.0.0.1:80"}};
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_clear(&out);
        assert_int_equal(os_resolve(rows[i][0], &out), 0);
        assert_string_equal(buf_cstr(&out), rows[i][1]);
    }
    buf_clear(&out);
    assert_int_not_equal(os_resolve("name.invalid:80", &out), 0);
    assert_int_not_equal(os_resolve("unix:/x", &out), 0);
    assert_int_not_equal(os_resolve("nothing", &out), 0);
    assert_int_equal(out.len, 0);
    buf_deinit(&out);
}

static void systemd_is_told(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(os_sd_notify("READY=1"), ERR_NOT_FOUND);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "cairn-test-%d", getpid());
    socklen_t len =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(un.sun_path + 1));
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (const void *)&un, len), 0);
    char name[128], got[32] = "";
    snprintf(name, sizeof(name), "@%s", un.sun_path + 1);
    setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(os_sd_notify("READY=1"), 0);
    assert_int_equal(recv(fd, got, sizeof(got), 0), 7);
    assert_string_equal(got, "READY=1");
    close(fd);
    assert_int_equal(os_sd_notify("READY=1"), ERR_REFUSED);
    unsetenv("NOTIFY_SOCKET");
}

static void times_are_local_with_microseconds(void **state)
{
    (void)state;
    static const int64_t at = INT64_C(1767323045678901999);
    char text[64];
    setenv("TZ", "UTC", 1);
    tzset();
    assert_int_equal(os_time_format(at, text, sizeof(text)), 27);
    assert_string_equal(text, "2026-01-02T03:04:05.678901Z");
    assert_int_equal(os_time_format(-1, text, sizeof(text)), 27);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
    setenv("TZ", "XXX-1", 1);
    tzset();
    os_time_format(at, text, sizeof(text));
    assert_string_equal(text, "2026-01-02T04:04:05.678901+0100");
    setenv("TZ", "XXX3:30", 1);
    tzset();
    os_time_format(at, text, sizeof(text));
    assert_string_equal(text, "2026-01-01T23:34:05.678901-0330");
    unsetenv("TZ");
    tzset();
}

/* Runs fn with fd replaced by one end of a pipe; *other is the other end. */
static int redirect(int fd, bool is_input, int *other)
{
    int p[2];
    assert_int_equal(pipe(p), 0);
    int saved = dup(fd);
    dup2(p[is_input ? 0 : 1], fd);
    close(p[is_input ? 0 : 1]);
    *other = p[is_input ? 1 : 0];
    return saved;
}

static void restore(int fd, int saved)
{
    dup2(saved, fd);
    close(saved);
}

static void stdin_is_read_whole_and_by_lines(void **state)
{
    (void)state;
    int in;
    int saved = redirect(OS_STDIN, true, &in);
    assert_false(os_is_tty(OS_STDIN));
    assert_int_equal(write(in, "one\n\nlong line\nrest\nmore", 24), 24);
    close(in);
    struct buf out = BUF_INIT;
    assert_int_equal(os_read_line(&out, 10), 0);
    assert_true(slice_equal_cstr(buf_slice(&out), "one"));
    assert_int_equal(os_read_line(&out, 10), 0);
    assert_int_equal(out.len, 3);
    assert_int_equal(os_read_line(&out, 3), ERR_TOO_LARGE);
    buf_clear(&out);
    assert_int_equal(os_read_stdin(&out, 100), 0);
    assert_true(slice_equal_cstr(buf_slice(&out), " line\nrest\nmore"));
    assert_int_equal(os_read_line(&out, 10), ERR_END);
    buf_deinit(&out);
    restore(OS_STDIN, saved);
}

static void too_much_on_stdin_is_refused(void **state)
{
    (void)state;
    int in;
    int saved = redirect(OS_STDIN, true, &in);
    assert_int_equal(write(in, "12345", 5), 5);
    close(in);
    struct buf out = BUF_INIT;
    assert_int_equal(os_read_stdin(&out, 4), ERR_TOO_LARGE);
    buf_deinit(&out);
    restore(OS_STDIN, saved);
}

static void a_password_is_asked_on_stdout(void **state)
{
    (void)state;
    int in, shown;
    fflush(stdout);
    int saved_in = redirect(OS_STDIN, true, &in);
    int saved_out = redirect(OS_STDOUT, false, &shown);
    ssize_t sent = write(in, "secret\nnext\n", 12);
    struct buf out = BUF_INIT;
    int err = os_read_password("Password: ", &out, 100);
    restore(OS_STDIN, saved_in);
    restore(OS_STDOUT, saved_out);
    char text[64] = "";
    ssize_t n = read(shown, text, sizeof(text) - 1);
    assert_int_equal(sent, 12);
    assert_int_equal(err, 0);
    assert_true(slice_equal_cstr(buf_slice(&out), "secret"));
    assert_int_equal(n, 11);
    assert_string_equal(text, "Password: \n");
    buf_deinit(&out);
    close(in);
    close(shown);
}

static void a_closed_reader_is_an_error_not_a_signal(void **state)
{
    (void)state;
    struct env *env;
    struct os_options opts = {.no_lanes = true};
    assert_int_equal(os_env_create(&opts, &env), 0);
    int shown;
    fflush(stdout);
    int saved = redirect(OS_STDOUT, false, &shown);
    close(shown);
    int err = os_write(OS_STDOUT, SLICE_LIT("x"));
    restore(OS_STDOUT, saved);
    assert_int_equal(err, ERR_CLOSED);
    os_env_destroy(env);
}

static void programs_run(void **state)
{
    (void)state;
    struct os_exit end = {.code = -1};
    struct buf text = BUF_INIT;
    char *const ok[] = {"sh", "-c", "test \"$X\" = 1 && ! read -r x && exit 7", NULL};
    const char *const extra[] = {"X=1", NULL};
    setenv("X", "2", 1);
    assert_int_equal(os_spawn_wait(ok, extra, &end), 0);
    assert_int_equal(end.code, 7);
    os_exit_text(&end, &text);
    assert_string_equal(buf_cstr(&text), "exit status 7");
    assert_int_equal(os_spawn_wait(ok, NULL, &end), 0);
    assert_int_equal(end.code, 1);
    unsetenv("X");
    char *const none[] = {"/no/such/program", NULL};
    assert_int_equal(os_spawn_wait(none, NULL, &end), ERR_NOT_FOUND);
    char *const sleeper[] = {"sleep", "100", NULL};
    int pid = 0;
    assert_int_equal(os_spawn(sleeper, NULL, &pid), 0);
    assert_false(os_child_try_wait(pid, &end));
    os_child_kill(pid, SIGTERM);
    assert_int_equal(os_child_wait(pid, &end), 0);
    assert_int_equal(end.signo, SIGTERM);
    assert_false(os_child_try_wait(pid, &end));
    buf_clear(&text);
    os_exit_text(&end, &text);
    assert_string_equal(buf_cstr(&text), "signal: terminated");
    buf_deinit(&text);
}

struct heard {
    struct env *env;
    struct buf text;
    int err;
    int ends;
};

static void on_heard(void *arg, struct slice line)
{
    struct heard *h = arg;
    buf_append_slice(&h->text, line);
    buf_append_byte(&h->text, '|');
}

static void on_heard_end(void *arg, int err)
{
    struct heard *h = arg;
    h->err = err;
    h->ends++;
    os_loop_stop(h->env);
}

/* What lines come out of text on stdin, a pipe or a file. */
static void hear(const char *text, bool is_file, size_t max, struct heard *h)
{
    struct os_options opts = {.no_lanes = true};
    struct os_lines *lines;
    char name[] = "/tmp/cairn-lines-XXXXXX";
    int fd = -1;
    int saved;
    *h = (struct heard){.text = BUF_INIT};
    if (is_file) {
        fd = mkstemp(name);
        saved = dup(OS_STDIN);
        dup2(fd, OS_STDIN);
    } else {
        saved = redirect(OS_STDIN, true, &fd);
    }
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    if (is_file) {
        lseek(fd, 0, SEEK_SET);
        unlink(name);
    } else {
        close(fd);
    }
    assert_int_equal(os_env_create(&opts, &h->env), 0);
    assert_int_equal(os_lines_start(h->env, max, on_heard, on_heard_end, h, &lines), 0);
    os_loop_run(h->env);
    os_lines_stop(lines);
    os_env_destroy(h->env);
    restore(OS_STDIN, saved);
    if (is_file) {
        close(fd);
    }
    (void)buf_cstr(&h->text);
}

static void lines_of_stdin_are_events(void **state)
{
    (void)state;
    for (int is_file = 0; is_file <= 1; is_file++) {
        struct heard h;
        hear("one\n\ntwo\nthree", is_file != 0, 100, &h);
        assert_string_equal((char *)h.text.data, "one||two|");
        assert_int_equal(h.err, ERR_END);
        assert_int_equal(h.ends, 1);
        buf_deinit(&h.text);
        hear("one\n12345678\nx\n", is_file != 0, 7, &h);
        assert_string_equal((char *)h.text.data, "one|");
        assert_int_equal(h.err, ERR_TOO_LARGE);
        assert_int_equal(h.ends, 1);
        buf_deinit(&h.text);
    }
}

int os_host_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_is_plausible),
        cmocka_unit_test(limits_and_names),
        cmocka_unit_test(addresses_and_names),
        cmocka_unit_test(the_environment_is_walked),
        cmocka_unit_test(names_become_addresses),
        cmocka_unit_test(systemd_is_told),
        cmocka_unit_test(times_are_local_with_microseconds),
        cmocka_unit_test(stdin_is_read_whole_and_by_lines),
        cmocka_unit_test(too_much_on_stdin_is_refused),
        cmocka_unit_test(a_password_is_asked_on_stdout),
        cmocka_unit_test(a_closed_reader_is_an_error_not_a_signal),
        cmocka_unit_test(programs_run),
        cmocka_unit_test(lines_of_stdin_are_events),
    };
    return cmocka_run_group_tests_name("os/host", tests, NULL, NULL);
}
