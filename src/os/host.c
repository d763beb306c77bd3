/* SPDX-License-Identifier: Apache-2.0
 *
 * os/host: what a program asks its host and its environment.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "os/impl.h"

enum {
    PROC_STAT_BYTES = 1024,
    PROC_CMDLINE_BYTES = 64 << 10,
    PROC_NET_BYTES = 16 << 10,
    NET_SENT_FIELD = 8
};

/* ---- usage ---- */

static size_t small_file_read(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        out[0] = 0;
        return 0;
    }
    ssize_t n = read(fd, out, cap - 1);
    (void)close(fd);
    out[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

static uint64_t open_fds_count(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return 0;
    }
    uint64_t count = 0;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        count += e->d_name[0] != '.';
    }
    (void)closedir(dir);
    return count > 0 ? count - 1 : 0; /* without the one we look through */
}

static int64_t boot_time_s(void)
{
    char text[65536]; /* the line is behind one for each processor and the interrupts */
    small_file_read("/proc/stat", text, sizeof(text));
    const char *at = strstr(text, "\nbtime ");
    return at == NULL ? 0 : strtoll(at + 7, NULL, 10);
}

/* Field number n (as proc(5) counts, from 3 on) of /proc/self/stat. */
static uint64_t stat_field(const char *stat, int n)
{
    /* The program's name may hold blanks and brackets: count behind its last bracket (field 2). */
    const char *at = strrchr(stat, ')');
    for (int i = 2; at != NULL && i < n; i++) {
        at = strchr(at + 1, ' ');
    }
    return at == NULL ? 0 : strtoull(at, NULL, 10);
}

/* The n-th of numbers with blanks between them; 0 where there is none. */
static uint64_t number_at(const char *at, unsigned n)
{
    char *end = (char *)(uintptr_t)at;
    uint64_t value = 0;
    for (unsigned i = 0; i <= n; i++) {
        value = strtoull(end, &end, 10);
    }
    return value;
}

/* Sums over the interfaces of /proc/self/net/dev: "eth0: bytes and 7 more, bytes and 7 more". */
static void net_usage(struct os_usage *out)
{
    char text[PROC_NET_BYTES];
    small_file_read("/proc/self/net/dev", text, sizeof(text));
    for (const char *at = strchr(text, ':'); at != NULL; at = strchr(at + 1, ':')) {
        out->net_in_bytes += number_at(at + 1, 0);
        out->net_out_bytes += number_at(at + 1, NET_SENT_FIELD);
    }
}

static uint64_t virtual_limit(void)
{
    struct rlimit lim;
    bool is_limited = getrlimit(RLIMIT_AS, &lim) == 0 && lim.rlim_cur != RLIM_INFINITY;
    return is_limited ? (uint64_t)lim.rlim_cur : UINT64_MAX;
}

void os_usage_get(struct os_usage *out)
{
    char stat[PROC_STAT_BYTES];
    struct rusage ru;
    *out = (struct os_usage){0};
    out->max_fds = os_fd_limit_get();
    out->open_fds = open_fds_count();
    out->virtual_max_bytes = virtual_limit();
    net_usage(out);
    if (getrusage(RUSAGE_SELF, &ru) == 0) {
        out->cpu_ns = ((uint64_t)ru.ru_utime.tv_sec + (uint64_t)ru.ru_stime.tv_sec) * 1000000000 +
                      ((uint64_t)ru.ru_utime.tv_usec + (uint64_t)ru.ru_stime.tv_usec) * 1000;
    }
    if (small_file_read("/proc/self/stat", stat, sizeof(stat)) == 0) {
        return;
    }
    out->threads = (uint32_t)stat_field(stat, 20);
    int64_t ticks = (int64_t)stat_field(stat, 22);
    long tick_rate = sysconf(_SC_CLK_TCK);
    out->start_time_s = boot_time_s() + (tick_rate > 0 ? ticks / tick_rate : 0);
    out->virtual_bytes = stat_field(stat, 23);
    out->rss_bytes = stat_field(stat, 24) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- limits ---- */

uint64_t os_fd_limit_get(void)
{
    struct rlimit lim;
    return getrlimit(RLIMIT_NOFILE, &lim) == 0 ? (uint64_t)lim.rlim_cur : 0;
}

uint64_t os_fd_limit_raise(void)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
        lim.rlim_cur = lim.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &lim);
    }
    return os_fd_limit_get();
}

int os_mlockall(void)
{
    return mlockall(MCL_CURRENT | MCL_FUTURE) == 0 ? 0 : os_fail();
}

uint32_t os_umask(uint32_t mask)
{
    return (uint32_t)umask((mode_t)mask);
}

void os_command_line(struct buf *out)
{
    char text[PROC_CMDLINE_BYTES];
    size_t n = small_file_read("/proc/self/cmdline", text, sizeof(text));
    buf_append(out, text, n);
}

uint32_t os_pid(void)
{
    return (uint32_t)getpid();
}

uint32_t os_cpu_count(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1;
}

/* ---- names ---- */

void os_hostname(char *out, size_t cap)
{
    ensure(cap > 0);
    if (gethostname(out, cap) != 0) {
        out[0] = 0;
    }
    out[cap - 1] = 0;
}

char *os_getcwd(void)
{
    char path[PATH_MAX];
    return mem_strdup(getcwd(path, sizeof(path)) == NULL ? "." : path);
}

char *os_self_path(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
    return n <= 0 ? NULL : mem_strndup(path, (size_t)n);
}

/* ---- environment ---- */

const char *os_getenv(const char *name)
{
    return getenv(name);
}

int os_getenv_each(int (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    int rc = 0;
    for (char **at = environ; rc == 0 && at != NULL && *at != NULL; at++) {
        const char *eq = strchr(*at, '=');
        if (eq == NULL) {
            continue;
        }
        char *name = mem_strndup(*at, (size_t)(eq - *at));
        rc = fn(arg, name, eq + 1);
        mem_free(name);
    }
    return rc;
}

void os_unsetenv(const char *name)
{
    (void)unsetenv(name);
}

/* ---- systemd ---- */

int os_sd_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (path == NULL || path[0] == 0) {
        return ERR_NOT_FOUND;
    }
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof(un.sun_path)) {
        return os_fail_with(ENAMETOOLONG);
    }
    memcpy(un.sun_path, path, len);
    if (path[0] == '@') {
        un.sun_path[0] = 0; /* abstract */
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return os_fail();
    }
    ssize_t n;
    do {
        n = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const void *)&un,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    } while (n < 0 && errno == EINTR);
    int err = n < 0 ? os_fail() : 0;
    (void)close(fd);
    return err;
}

/* ---- default route ---- */

/* Where the kernel would send from: connecting a datagram socket asks the routing table and sends
 * nothing.  The targets are documentation addresses (RFC 5737, RFC 3849). */
static int route_source(int family, const void *target, socklen_t target_len, char *out, size_t cap)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return os_fail();
    }
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    memset(&sa, 0, sizeof(sa));
    int err = 0;
    if (connect(fd, target, target_len) != 0 || getsockname(fd, (void *)&sa, &len) != 0) {
        err = os_fail();
    }
    (void)close(fd);
    if (err != 0) {
        return err;
    }
    const void *any = &sa;
    const void *host = family == AF_INET
                           ? (const void *)&((const struct sockaddr_in *)any)->sin_addr
                           : (const void *)&((const struct sockaddr_in6 *)any)->sin6_addr;
    return inet_ntop(family, host, out, (socklen_t)cap) != NULL ? 0 : os_fail();
}

int os_default_host(char *out, size_t cap)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
    char text[INET6_ADDRSTRLEN];
    ensure(inet_pton(AF_INET, "203.0.113.1", &in.sin_addr) == 1);
    ensure(inet_pton(AF_INET6, "2001:db8::1", &in6.sin6_addr) == 1);
    int err = route_source(AF_INET, &in, sizeof(in), text, sizeof(text));
    if (err != 0 || strncmp(text, "127.", 4) == 0) {
        err = route_source(AF_INET6, &in6, sizeof(in6), text, sizeof(text));
    }
    if (err != 0 || strcmp(text, "::1") == 0 || strlen(text) >= cap) {
        return ERR_NOT_FOUND;
    }
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

/* ---- time as text ---- */

size_t os_time_format(int64_t wall_ns, char *out, size_t cap)
{
    ensure(cap >= 40);
    int64_t rest_ns = wall_ns % 1000000000;
    time_t seconds = (time_t)(wall_ns / 1000000000);
    if (rest_ns < 0) {
        rest_ns += 1000000000;
        seconds--;
    }
    struct tm tm;
    if (localtime_r(&seconds, &tm) == NULL) {
        memset(&tm, 0, sizeof(tm));
    }
    int n = snprintf(out, cap, "%04d-%02d-%02dT%02d:%02d:%02d.%06" PRId64, tm.tm_year + 1900,
                     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, rest_ns / 1000);
    long minutes = tm.tm_gmtoff / 60;
    int m = minutes == 0
                ? snprintf(out + n, cap - (size_t)n, "Z")
                : snprintf(out + n, cap - (size_t)n, "%c%02ld%02ld", minutes < 0 ? '-' : '+',
                           labs(minutes) / 60, labs(minutes) % 60);
    return (size_t)n + (size_t)m;
}
