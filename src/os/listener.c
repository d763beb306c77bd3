/* SPDX-License-Identifier: Apache-2.0
 *
 * os/listener: listening sockets.
 *
 * Accepting takes a bounded burst a turn.  When descriptors or memory run out, the listener stops
 * watching its socket for OS_ACCEPT_RETRY_MS: connections wait in the kernel's backlog instead of
 * spinning the loop or being refused.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/net.h"

struct os_listener {
    struct env_listener base;
    struct list_node node; /* in os_net.listeners */
    struct os_net *net;
    int fd;
    bool is_closed;
    uv_poll_t poll;
    struct env_timer retry;
    void (*on_accept)(void *arg, struct env_conn *conn);
    bool (*on_handle)(void *arg, int64_t handle);
    void *arg;
    char *unix_path; /* removed at close */
    char name[OS_HOST_NAME_MAX];
};

static struct os_listener *listener_of(struct env_listener *l)
{
    return container_of(l, struct os_listener, base);
}

/* ---- accepting ---- */

static void on_readable(uv_poll_t *poll, int status, int events);

static void accept_pause(struct os_listener *l)
{
    struct env_exec *exec = os_net_env(l->net)->exec;
    (void)uv_poll_stop(&l->poll);
    exec->ops->timer_start(exec, &l->retry, OS_ACCEPT_RETRY_MS);
}

static void on_retry(struct env_timer *t)
{
    struct os_listener *l = container_of(t, struct os_listener, retry);
    (void)uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

static void conn_begin(struct os_listener *l, int fd, const struct sockaddr_storage *sa,
                       socklen_t len)
{
    if (l->on_handle != NULL && l->on_handle(l->arg, fd)) {
        return;
    }
    (void)!os_conn_accept(l->net, fd, sa, len, l->on_accept, l->arg); /* the next may do better */
}

/* False when there is nothing more to take now. */
static bool accept_one(struct os_listener *l)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    memset(&sa, 0, sizeof(sa));
    int fd = accept4(l->fd, (struct sockaddr *)(void *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        conn_begin(l, fd, &sa, len);
        return true;
    }
    switch (errno) {
    case EAGAIN: return false;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS: accept_pause(l); return false;
    default: return true; /* the peer gave up meanwhile, EINTR, network errors of its own */
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct os_listener *l = container_of(poll, struct os_listener, poll);
    (void)events;
    if (status < 0) {
        accept_pause(l);
        return;
    }
    for (int i = 0; i < OS_ACCEPT_BURST && !l->is_closed && accept_one(l); i++) {
    }
}

/* ---- end ---- */

static void listener_free(struct os_listener *l)
{
    list_remove(&l->node);
    if (l->fd >= 0) {
        (void)close(l->fd);
    }
    mem_free(l->unix_path);
    mem_free(l);
}

static void on_closed(uv_handle_t *handle)
{
    listener_free(container_of((uv_poll_t *)(void *)handle, struct os_listener, poll));
}

static void listener_close(struct env_listener *base)
{
    struct os_listener *l = listener_of(base);
    struct env_exec *exec = os_net_env(l->net)->exec;
    os_assert_owner(os_env_of_net(&l->net->base));
    if (l->is_closed) {
        return;
    }
    l->is_closed = true;
    exec->ops->timer_stop(exec, &l->retry);
    if (l->unix_path != NULL) {
        (void)unlink(l->unix_path);
    }
    uv_close((uv_handle_t *)&l->poll, on_closed);
}

void os_listeners_close(struct os_net *net)
{
    LIST_FOREACH (&net->listeners, node) {
        listener_close(&LIST_ENTRY(node, struct os_listener, node)->base);
    }
}

static const char *listener_local_name(struct env_listener *base)
{
    return listener_of(base)->name;
}

static const struct env_listener_ops listener_ops = {listener_close, listener_local_name};

/* ---- sockets ---- */

static int option_set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : os_fail();
}

/* A new bound and listening socket in *out_fd. */
static int socket_listen(const struct sockaddr *sa, socklen_t len, bool is_v6_only,
                         const struct env_listen_options *opts, int *out_fd)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return os_fail();
    }
    int err = 0;
    if (sa->sa_family == AF_INET6) {
        err = option_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_v6_only);
    }
    if (err == 0 && sa->sa_family != AF_UNIX) {
        /* Always, as Go does: a restart must not wait for old connections. */
        err = option_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    }
    if (err == 0 && opts != NULL && opts->reuse_port && sa->sa_family != AF_UNIX) {
        err = option_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (err == 0 && bind(fd, sa, len) != 0) {
        err = os_fail();
    }
    if (err == 0 && listen(fd, OS_LISTEN_BACKLOG) != 0) {
        err = os_fail();
    }
    if (err != 0) {
        (void)close(fd);
        return err;
    }
    *out_fd = fd;
    return 0;
}

static bool is_wildcard(const char *host)
{
    return host[0] == 0 || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

/* Go's way: a wildcard of either family listens on both, where the machine has IPv6. */
static int listen_wildcard(const struct os_addr *a, const struct env_listen_options *opts,
                           int *out_fd)
{
    bool is_v6_only = opts != NULL && opts->is_ipv6_only;
    in_port_t port = htons((uint16_t)strtoul(a->port, NULL, 10));
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = port};
    int err = socket_listen((const void *)&in6, sizeof(in6), is_v6_only, opts, out_fd);
    bool has_no_v6 =
        err != 0 && (os_last_errno() == EAFNOSUPPORT || os_last_errno() == EADDRNOTAVAIL);
    if (!has_no_v6 || is_v6_only || strcmp(a->host, "::") == 0) {
        return err;
    }
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port};
    return socket_listen((const void *)&in, sizeof(in), false, opts, out_fd);
}

static int listen_inet(const struct os_addr *a, const struct env_listen_options *opts, int *out_fd)
{
    if (is_wildcard(a->host)) {
        return listen_wildcard(a, opts, out_fd);
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(a->host, a->port, &hints, &list);
    if (rc != 0) {
        return rc == EAI_SYSTEM ? os_fail() : os_fail_uv(UV_EAI_NONAME);
    }
    const struct addrinfo *ai = os_addr_preferred(list);
    int err = socket_listen(ai->ai_addr, ai->ai_addrlen, true, opts, out_fd);
    freeaddrinfo(list);
    return err;
}

/* A socket file that nobody listens on any more is in the way: the last process was killed. */
static void unix_stale_remove(const char *path, const struct sockaddr_storage *sa, socklen_t len)
{
    struct stat st;
    if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        return;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    if (connect(fd, (const void *)sa, len) != 0 && errno == ECONNREFUSED) {
        (void)unlink(path);
    }
    (void)close(fd);
}

static int listen_unix(const struct os_addr *a, const struct env_listen_options *opts, int *out_fd)
{
    struct sockaddr_storage sa;
    socklen_t len;
    int err = os_addr_unix(a->host, &sa, &len);
    if (err != 0) {
        return err;
    }
    unix_stale_remove(a->host, &sa, len);
    return socket_listen((const void *)&sa, len, false, opts, out_fd);
}

static void name_set(struct os_listener *l, const struct os_addr *a)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    if (a->is_unix) {
        memcpy(l->name, a->host, sizeof(l->name));
        return;
    }
    memset(&sa, 0, sizeof(sa));
    ensure(getsockname(l->fd, (void *)&sa, &len) == 0);
    os_addr_format(&sa, len, l->name);
}

int os_net_listen(struct env_net *n, const char *addr, const struct env_listen_options *opts,
                  void (*on_accept)(void *arg, struct env_conn *conn), void *arg,
                  struct env_listener **out)
{
    struct os_net *net = container_of(n, struct os_net, base);
    struct os_env *env = os_env_of_net(n);
    struct os_addr a;
    int fd = -1;
    os_assert_owner(env);
    int err = os_addr_parse(addr, &a);
    if (err == 0) {
        err = a.is_unix ? listen_unix(&a, opts, &fd) : listen_inet(&a, opts, &fd);
    }
    if (err != 0) {
        return err;
    }
    struct os_listener *l = mem_zalloc(sizeof(*l));
    *l = (struct os_listener){.base = {&listener_ops}, .net = net, .fd = fd};
    l->on_accept = on_accept;
    l->on_handle = opts == NULL ? NULL : opts->on_handle;
    l->arg = arg;
    l->retry.fire = on_retry;
    l->unix_path = a.is_unix ? mem_strdup(a.host) : NULL;
    list_push_back(&net->listeners, &l->node);
    int rc = uv_poll_init_socket(&env->loop, &l->poll, fd);
    if (rc != 0) {
        listener_free(l);
        return os_fail_uv(rc);
    }
    rc = uv_poll_start(&l->poll, UV_READABLE, on_readable);
    ensure(rc == 0);
    name_set(l, &a);
    *out = &l->base;
    return 0;
}
