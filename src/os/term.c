/* SPDX-License-Identifier: Apache-2.0
 *
 * os/term: standard streams, the terminal, and child programs.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include "os/impl.h"

enum { STDIN_PIECE_BYTES = 65536 };

bool os_is_tty(enum os_stream s)
{
    return isatty((int)s) == 1;
}

/* Waits until fd is ready when somebody made it non-blocking. */
static bool wait_ready(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    return errno == EINTR || (errno == EAGAIN && (poll(&p, 1, -1) >= 0 || errno == EINTR));
}

int os_write(enum os_stream s, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write((int)s, bytes.data, bytes.len);
        if (n < 0 && !wait_ready((int)s, POLLOUT)) {
            return os_fail();
        }
        bytes = n > 0 ? slice_skip(bytes, (size_t)n) : bytes;
    }
    return 0;
}

/* Bytes read, 0 at the end, -1 with errno. */
static ssize_t read_again(int fd, void *dst, size_t len)
{
    ssize_t n;
    do {
        n = read(fd, dst, len);
    } while (n < 0 && wait_ready(fd, POLLIN));
    return n;
}

int os_read_stdin(struct buf *out, size_t max)
{
    size_t start = out->len;
    for (;;) {
        buf_reserve(out, STDIN_PIECE_BYTES);
        ssize_t n = read_again(OS_STDIN, out->data + out->len, STDIN_PIECE_BYTES);
        if (n < 0) {
            return os_fail();
        }
        if (n == 0) {
            return 0;
        }
        out->len += (size_t)n;
        if (out->len - start > max) {
            return ERR_TOO_LARGE;
        }
    }
}

int os_read_line(struct buf *out, size_t max)
{
    for (size_t taken = 0;; taken++) {
        uint8_t byte;
        ssize_t n = read_again(OS_STDIN, &byte, 1);
        if (n < 0) {
            return os_fail();
        }
        if (n == 0) {
            return taken == 0 ? ERR_END : 0;
        }
        if (byte == '\n') {
            return 0;
        }
        if (taken == max) {
            return ERR_TOO_LARGE;
        }
        buf_append_byte(out, byte);
    }
}

int os_read_password(const char *prompt, struct buf *out, size_t max)
{
    struct termios old, quiet;
    bool has_terminal = tcgetattr(OS_STDIN, &old) == 0;
    int err = os_write(OS_STDOUT, slice_cstr(prompt));
    if (err != 0) {
        return err;
    }
    if (has_terminal) {
        quiet = old;
        quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
        quiet.c_lflag |= ICANON | ISIG;
        quiet.c_iflag |= ICRNL;
        (void)tcsetattr(OS_STDIN, TCSAFLUSH, &quiet);
    }
    err = os_read_line(out, max);
    if (has_terminal) {
        (void)tcsetattr(OS_STDIN, TCSAFLUSH, &old);
    }
    int err2 = os_write(OS_STDOUT, SLICE_LIT("\n"));
    return err != 0 ? err : err2;
}

/* ---- programs ---- */

static size_t strings_count(const char *const *strings)
{
    size_t n = 0;
    while (strings != NULL && strings[n] != NULL) {
        n++;
    }
    return n;
}

static bool has_same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return strncmp(a, b, n + 1) == 0 && a[n] == '=';
}

/* The environment with extra over it: an array of borrowed strings, NULL-ended. */
static char **environ_with(const char *const extra[])
{
    size_t base = strings_count((const char *const *)environ), more = strings_count(extra), n = 0;
    char **out = mem_alloc_array(base + more + 1, sizeof(char *));
    for (size_t i = 0; i < base; i++) {
        bool is_replaced = false;
        for (size_t j = 0; j < more && !is_replaced; j++) {
            is_replaced = has_same_name(extra[j], environ[i]);
        }
        if (!is_replaced) {
            out[n++] = environ[i];
        }
    }
    for (size_t j = 0; j < more; j++) {
        out[n++] = (char *)(uintptr_t)extra[j];
    }
    out[n] = NULL;
    return out;
}

int os_spawn(char *const argv[], const char *const env_extra[], int *out_pid)
{
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t files;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); /* we ignore it, a program of the user must not */
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    char **envp = environ_with(env_extra);
    pid_t pid;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, OS_STDIN, "/dev/null", O_RDONLY, 0);
    int rc = posix_spawnp(&pid, argv[0], &files, &attr, argv, envp);
    mem_free(envp);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    if (rc != 0) {
        return os_fail_with(rc);
    }
    *out_pid = (int)pid;
    return 0;
}

static void exit_of(int status, struct os_exit *out)
{
    *out = WIFSIGNALED(status)
               ? (struct os_exit){.signo = WTERMSIG(status), .has_core = WCOREDUMP(status) != 0}
               : (struct os_exit){.code = WEXITSTATUS(status)};
}

int os_child_wait(int pid, struct os_exit *out)
{
    int status;
    pid_t rc;
    do {
        rc = waitpid((pid_t)pid, &status, 0);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0) {
        return os_fail();
    }
    exit_of(status, out);
    return 0;
}

bool os_child_try_wait(int pid, struct os_exit *out)
{
    int status;
    if (waitpid((pid_t)pid, &status, WNOHANG) != (pid_t)pid) {
        return false;
    }
    exit_of(status, out);
    return true;
}

void os_exit_text(const struct os_exit *e, struct buf *out)
{
    if (e->signo == 0) {
        buf_printf(out, "exit status %d", e->code);
        return;
    }
    const char *name = strsignal(e->signo);
    buf_printf(out, "signal: %c%s%s", tolower((unsigned char)name[0]), name + 1,
               e->has_core ? " (core dumped)" : "");
}

int os_spawn_wait(char *const argv[], const char *const env_extra[], struct os_exit *out)
{
    int pid = -1;
    int err = os_spawn(argv, env_extra, &pid);
    return err != 0 ? err : os_child_wait(pid, out);
}

void os_child_kill(int pid, int signo)
{
    if (pid > 0) {
        (void)kill((pid_t)pid, signo);
    }
}
