/* SPDX-License-Identifier: Apache-2.0
 *
 * os/os: the real env (env/env.h over the kernel and libuv) and what else a program asks its host.
 *
 * Problem     Only this folder calls the kernel; everything above sees the five env tables, so that
 *             a member runs unchanged in the simulator.
 * Design      One os env = one libuv loop, owned by the thread that made it (the main loop), one
 *             thread each for the lanes LOG and BACKEND, a few for WORK.  Jobs are intrusive; a
 *             finished batch wakes the loop once.  Timers are one binary heap behind one uv timer.
 *             Sockets are plain descriptors watched by uv_poll: one read buffer a loop, writes are
 *             tried at once.  Deferred calls run after the ready events of a turn, before sleeping.
 * Ownership   os_env_create .. os_env_destroy.  Conns and listeners belong to the env and are gone
 *             after on_close / close.
 * Thread      disk, clock, rand: any.  Everything else: the thread that called os_env_create
 *             (asserted).
 * Limits      OS_* below, LIMIT_* of base/limits.h.
 * Failure     int 0 / ERR_*; os_last_text() says what the kernel said, for this thread.
 * See         design.md 2; cli.md 1.2, 1.8, 1.9; test/unit/os.
 */
#ifndef OS_OS_H
#define OS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "env/env.h"

enum {
    OS_WORK_THREADS_DEFAULT = 2,
    OS_WORK_THREADS_MAX = 16,
    OS_LISTEN_BACKLOG = 4096,     /* the kernel cuts it to somaxconn */
    OS_ACCEPT_BURST = 64,         /* connections taken a listener and turn */
    OS_ACCEPT_RETRY_MS = 100,     /* pause after EMFILE/ENFILE/ENOMEM */
    OS_READ_BUFFER_BYTES = 65536, /* one a loop: the longest slice of on_data */
    OS_READ_BURST = 4,            /* reads a connection and turn */
    OS_LINGER_MS = 1000,          /* wait for the peer's FIN after ours, within flush_ms */
    OS_HOST_NAME_MAX = 256,
};

struct os_options {
    unsigned work_threads; /* 0 takes the default */
    bool no_sync;          /* --unsafe-no-fsync: sync, sync_data, sync_dir do nothing */
    bool no_lanes;         /* no threads (small tools): jobs run on the main loop, one a turn */
};

/* opts NULL takes the defaults.  Ignores SIGPIPE for the process. */
MUST_USE int os_env_create(const struct os_options *opts, struct env **out);
/* Runs the queued jobs to their end without calling done, closes what is open without callbacks,
 * ends the threads. */
void os_env_destroy(struct env *env);

/* Outgoing TCP connections to addresses of the same family begin at this IP (any port).
 * ERR_INVALID: it is none. */
MUST_USE int os_env_source_set(struct env *env, const char *ip);

/* Runs events until os_loop_stop; what is ready is handled first.  May be called again. */
void os_loop_run(struct env *env);
/* From a callback of this loop: os_loop_run returns after this turn. */
void os_loop_stop(struct env *env);
/* Runs at most for ms (tests, short tools). */
void os_loop_run_for(struct env *env, uint64_t ms);
/* From any thread or a signal handler's place: makes os_loop_run return. */
void os_loop_stop_async(struct env *env);

/* cb(arg, signo) on the main loop each time it arrives; a second watch of the same signo replaces
 * the first.  ERR_LIMIT above 8 signals. */
MUST_USE int os_signal_watch(struct env *env, int signo, void (*cb)(void *arg, int signo),
                             void *arg);
/* Back to the default action. */
void os_signal_unwatch(struct env *env, int signo);
/* Default action again and the signal to ourselves: "die by the same signal" (cli.md 1.9). */
_Noreturn void os_die_by_signal(int signo);

/* ---- a loop in a thread of its own ---- */

struct os_thread;

struct os_thread_options {
    const char *name; /* of the thread, at most 15 bytes */
    /* On the thread: before its loop runs, and after it was told to end. */
    int (*setup)(void *arg, struct env *env);
    void (*teardown)(void *arg);
    void *arg;
};

/* An env without lanes on a new thread, which then runs its loop.  Returns when setup has; after an
 * error nothing is left (teardown is not called). */
MUST_USE int os_thread_start(const struct os_thread_options *opts, struct os_thread **out);
/* Its loop ends after the turn under way, then teardown, then the thread: waits for all that. */
void os_thread_join(struct os_thread *t);

/* ---- errors ---- */

/* ERR_* for an errno value (positive). */
int os_err_from_errno(int errnum);
/* Why the last failed call of this folder on this thread failed: "No space left on device"; "" when
 * none did. */
const char *os_last_text(void);
/* The same as Go prints it (first letter lower case): "no space left on device". */
const char *os_last_text_go(void);
int os_last_errno(void);

/* ---- process ---- */

struct os_usage {
    uint64_t rss_bytes;
    uint64_t virtual_bytes;
    uint64_t virtual_max_bytes; /* UINT64_MAX: no limit */
    uint64_t net_in_bytes;      /* of the network name space, but loopback too, as Go's collector */
    uint64_t net_out_bytes;
    uint64_t cpu_ns; /* user + system */
    uint64_t open_fds;
    uint64_t max_fds;
    int64_t start_time_s; /* since the epoch */
    uint32_t threads;
};

/* What /proc does not give stays 0. */
void os_usage_get(struct os_usage *out);
/* RLIMIT_NOFILE, soft. */
uint64_t os_fd_limit_get(void);
/* Raises the soft limit to the hard one; the soft limit then. */
uint64_t os_fd_limit_raise(void);
MUST_USE int os_mlockall(void);
/* Sets the umask, returns the old one. */
uint32_t os_umask(uint32_t mask);
uint32_t os_pid(void);
/* The arguments of the program, a NUL behind each, appended; nothing when unknown. */
void os_command_line(struct buf *out);
uint32_t os_cpu_count(void);
/* "" when unknown. */
void os_hostname(char *out, size_t cap);
/* Current directory, freed by the caller; "." when unknown. */
char *os_getcwd(void);
/* The running program's path, freed by the caller; NULL when unknown. */
char *os_self_path(void);
const char *os_getenv(const char *name);
/* fn(arg, name, value) for every variable, in the environment's order; non-zero stops. */
int os_getenv_each(int (*fn)(void *arg, const char *name, const char *value), void *arg);
void os_unsetenv(const char *name);
/* "READY=1" or other text as one datagram to NOTIFY_SOCKET; ERR_NOT_FOUND when it is not set. */
MUST_USE int os_sd_notify(const char *state);
/* Address of the interface that the default route leaves by, IPv4 before IPv6, as text;
 * ERR_NOT_FOUND without one (cli.md 1.2: "detected default host for advertise"). */
MUST_USE int os_default_host(char *out, size_t cap);

/* Has address one of the names, NUL behind each: by the names that belong to it ("*.x": any under
 * x), or the addresses that belong to a name?  Blocks while name servers are asked. */
bool os_address_has_name(const char *address, const char *names, size_t names_len);

/* "name:port" -> "ip:port", appended; IPv4 before IPv6.  Blocks: for starts only. ERR_NOT_FOUND and
 * others: os_last_text. */
MUST_USE int os_resolve(const char *host_port, struct buf *out);

/* ---- terminal and standard streams ---- */

enum os_stream {
    OS_STDIN = 0,
    OS_STDOUT = 1,
    OS_STDERR = 2,
};

bool os_is_tty(enum os_stream s);
/* Everything written or an error; SIGPIPE-safe. */
MUST_USE int os_write(enum os_stream s, struct slice bytes);
/* Appends up to the end of the input; ERR_TOO_LARGE above max. */
MUST_USE int os_read_stdin(struct buf *out, size_t max);
/* Appends one line without its newline; ERR_END at the end of the input, ERR_TOO_LARGE. Unbuffered:
 * it takes no byte behind the newline. */
MUST_USE int os_read_line(struct buf *out, size_t max);
struct os_lines;

/* Lines of stdin as events of the loop, without their newline; on_end once: ERR_END (what stands
 * behind the last newline is dropped), ERR_TOO_LARGE for a line above max, or what reading gave.
 * Not beside the functions above. */
MUST_USE int os_lines_start(struct env *env, size_t max,
                            void (*on_line)(void *arg, struct slice line),
                            void (*on_end)(void *arg, int err), void *arg, struct os_lines **out);
/* Not from inside its callbacks. */
void os_lines_stop(struct os_lines *l);

/* Prompt on stdout, echo off while reading one line from the terminal (or stdin if it is none), a
 * newline on stdout behind it. */
MUST_USE int os_read_password(const char *prompt, struct buf *out, size_t max);

/* ---- time as text ---- */

/* Local time "2026-01-02T03:04:05.678901Z" or "...+0100"; returns the length; cap >= 40. */
size_t os_time_format(int64_t wall_ns, char *out, size_t cap);

/* ---- programs (watch -- CMD, lock NAME CMD) ---- */

struct os_exit {
    int code;  /* when it ended by itself */
    int signo; /* else the signal that ended it, 0 = none */
    bool has_core;
};

/* Runs argv[0] by PATH with env_extra ("K=V", NULL-ended, may be NULL) added; nothing on its
 * standard input, the other streams inherited.  Blocks. */
MUST_USE int os_spawn_wait(char *const argv[], const char *const env_extra[], struct os_exit *out);
/* The same without waiting: os_child_try_wait at each SIGCHLD. */
MUST_USE int os_spawn(char *const argv[], const char *const env_extra[], int *out_pid);
MUST_USE int os_child_wait(int pid, struct os_exit *out);
/* False while it runs. */
bool os_child_try_wait(int pid, struct os_exit *out);
/* As Go says it: "exit status 7", "signal: killed". */
void os_exit_text(const struct os_exit *e, struct buf *out);
void os_child_kill(int pid, int signo);

#endif
