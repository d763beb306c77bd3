/* SPDX-License-Identifier: Apache-2.0
 *
 * os/connect: from an address as text to a connected conn: resolve, try each address in turn.
 *
 * One timer of the conn bounds the whole.  A conn that is closed meanwhile abandons this struct,
 * which then lives until libuv gives back its request.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>

#include "os/net.h"

struct os_connect {
    uv_getaddrinfo_t req;
    bool is_resolving;
    struct os_conn *conn; /* NULL: abandoned */
    struct os_net *net;
    struct addrinfo *list;
    struct addrinfo *next;
    /* One try: its own poll handle, given to nobody. */
    uv_poll_t poll;
    bool has_poll;
    int fd;
    int err; /* of the last try */
    struct sockaddr_storage sa;
    socklen_t sa_len;
    bool is_unix;
    bool is_connected;
};

static void connect_free(struct os_connect *k)
{
    if (k->fd >= 0) {
        (void)close(k->fd);
    }
    uv_freeaddrinfo(k->list);
    mem_free(k);
}

static void on_abandoned_closed(uv_handle_t *handle)
{
    connect_free(container_of((uv_poll_t *)(void *)handle, struct os_connect, poll));
}

void os_connect_abandon(struct os_connect *k)
{
    k->conn = NULL;
    if (k->is_resolving) {
        (void)uv_cancel((uv_req_t *)&k->req); /* on_resolved frees it */
    } else if (k->has_poll) {
        if (!uv_is_closing((uv_handle_t *)&k->poll)) {
            uv_close((uv_handle_t *)&k->poll, on_abandoned_closed);
        } /* else on_try_closed sees conn == NULL */
    } else {
        connect_free(k);
    }
}

static void try_next(struct os_connect *k);

/* The conn takes over the socket; the bytes written meanwhile go out. */
static void connected(struct os_connect *k)
{
    struct os_conn *c = k->conn;
    struct env_exec *exec = os_net_env(k->net)->exec;
    int fd = k->fd;
    k->fd = -1;
    c->connect = NULL;
    os_addr_format(&k->sa, k->sa_len, c->peer);
    bool is_unix = k->is_unix;
    connect_free(k);
    exec->ops->timer_stop(exec, &c->timer);
    os_socket_tune(fd, is_unix ? AF_UNIX : AF_INET);
    int err = os_conn_adopt(c, fd);
    if (err != 0) {
        os_conn_fail(c, err);
        return;
    }
    if (c->base.events->on_drain != NULL) {
        c->base.events->on_drain(c->base.arg);
    }
    os_conn_start(c);
}

static void on_try_closed(uv_handle_t *handle)
{
    struct os_connect *k = container_of((uv_poll_t *)(void *)handle, struct os_connect, poll);
    k->has_poll = false;
    if (k->conn == NULL) {
        connect_free(k);
    } else if (k->is_connected) {
        connected(k);
    } else {
        if (k->fd >= 0) {
            (void)close(k->fd);
            k->fd = -1;
        }
        try_next(k);
    }
}

static void on_try(uv_poll_t *poll, int status, int events)
{
    struct os_connect *k = container_of(poll, struct os_connect, poll);
    (void)status;
    (void)events;
    int errnum = 0;
    socklen_t len = sizeof(errnum);
    if (getsockopt(k->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) != 0) {
        errnum = errno;
    }
    k->is_connected = errnum == 0;
    k->err = errnum == 0 ? 0 : os_fail_with(errnum);
    uv_close((uv_handle_t *)&k->poll, on_try_closed);
}

int os_env_source_set(struct env *env, const char *ip)
{
    struct sockaddr_storage *sa = &os_env_of_net(env->net)->net.source;
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, ip, &v4.sin_addr) == 1) {
        memcpy(sa, &v4, sizeof(v4));
    } else if (inet_pton(AF_INET6, ip, &v6.sin6_addr) == 1) {
        memcpy(sa, &v6, sizeof(v6));
    } else {
        return ERR_INVALID;
    }
    return 0;
}

static bool source_bind(const struct os_connect *k)
{
    const struct sockaddr_storage *source = &k->net->source;
    const void *sa = source;
    socklen_t len =
        source->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    return source->ss_family != k->sa.ss_family || bind(k->fd, sa, len) == 0;
}

/* 0 when the try is under way. */
static int try_start(struct os_connect *k)
{
    k->fd = socket(k->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (k->fd < 0) {
        return os_fail();
    }
    if (!source_bind(k)) {
        return os_fail();
    }
    const void *sa = &k->sa;
    if (connect(k->fd, sa, k->sa_len) != 0 && errno != EINPROGRESS && errno != EINTR) {
        return os_fail(); /* EAGAIN of a full unix listener too: the caller tries again */
    }
    int rc = uv_poll_init_socket(&os_env_of_net(&k->net->base)->loop, &k->poll, k->fd);
    if (rc != 0) {
        return os_fail_uv(rc);
    }
    k->has_poll = true;
    /* Ready at once if the connect already went through. */
    rc = uv_poll_start(&k->poll, UV_WRITABLE, on_try);
    ensure(rc == 0);
    return 0;
}

static bool take_address(struct os_connect *k)
{
    if (k->is_unix) {
        return k->err == 0; /* there is only the one */
    }
    const struct addrinfo *ai = k->next;
    if (ai == NULL) {
        return false;
    }
    k->next = ai->ai_next;
    memcpy(&k->sa, ai->ai_addr, ai->ai_addrlen);
    k->sa_len = ai->ai_addrlen;
    return true;
}

static void try_next(struct os_connect *k)
{
    while (take_address(k)) {
        k->err = try_start(k);
        if (k->err == 0) {
            return;
        }
        if (k->fd >= 0) {
            (void)close(k->fd);
            k->fd = -1;
        }
    }
    os_conn_fail(k->conn, k->err != 0 ? k->err : ERR_NOT_FOUND);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct os_connect *k = container_of(req, struct os_connect, req);
    k->is_resolving = false;
    k->list = k->next = list;
    if (k->conn == NULL) {
        connect_free(k);
    } else if (status != 0) {
        os_conn_fail(k->conn, os_fail_uv(status));
    } else {
        try_next(k);
    }
}

/* Numbers need no thread and no waiting. */
static int resolve_start(struct os_connect *k, const struct os_addr *addr)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    const char *host = addr->host[0] == 0 ? "127.0.0.1" : addr->host;
    if (getaddrinfo(host, addr->port, &hints, &k->list) == 0) {
        k->next = k->list;
        return 0;
    }
    k->list = NULL;
    hints.ai_flags = AI_NUMERICSERV;
    int rc = uv_getaddrinfo(&os_env_of_net(&k->net->base)->loop, &k->req, on_resolved, host,
                            addr->port, &hints);
    k->is_resolving = rc == 0;
    return rc == 0 ? 0 : os_fail_uv(rc);
}

static void begin_later(void *arg)
{
    struct os_conn *c = arg;
    if (c->state == CONN_CONNECTING && c->connect != NULL && !c->connect->is_resolving) {
        try_next(c->connect);
    }
}

int os_net_connect(struct env_net *n, const char *addr, uint64_t timeout_ms,
                   const struct env_conn_events *events, void *arg, struct env_conn **out)
{
    struct os_net *net = container_of(n, struct os_net, base);
    struct env *env = os_net_env(net);
    struct os_addr a;
    os_assert_owner(os_env_of(env));
    int err = os_addr_parse(addr, &a);
    if (err != 0) {
        return err;
    }
    struct os_connect *k = mem_zalloc(sizeof(*k));
    k->fd = -1;
    k->net = net;
    k->is_unix = a.is_unix;
    err = a.is_unix ? os_addr_unix(a.host, &k->sa, &k->sa_len) : resolve_start(k, &a);
    if (err != 0) {
        connect_free(k);
        return err;
    }
    struct os_conn *c = os_conn_create(net);
    c->base.events = events;
    c->base.arg = arg;
    c->connect = k;
    k->conn = c;
    snprintf(c->peer, sizeof(c->peer), "%.120s", addr); /* until it is connected */
    env->exec->ops->timer_start(env->exec, &c->timer, timeout_ms);
    if (!k->is_resolving) {
        env->exec->ops->defer(env->exec, begin_later, c);
    }
    *out = &c->base;
    return 0;
}
