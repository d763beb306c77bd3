/* SPDX-License-Identifier: Apache-2.0
 *
 * os/conn: a byte stream over a non-blocking socket.
 *
 * Design      write hands the bytes to the kernel at once; what it does not take is copied behind
 *             the queue, which the caller bounds by looking at queued().  The socket is watched for
 *             writability only while the queue is not empty.  Reads go into the loop's one buffer.
 *             Closing: flush, FIN, then wait a little for the peer's FIN, because closing a socket
 *             with unread bytes resets the connection and may cost the peer our last answer.
 *
 *                 CONNECTING --> OPEN --close--> FLUSHING --> LINGERING --> CLOSED --> on_close
 *                      \_________/ \____ error, deadline, close(0) __________/
 *
 * Invariants  I1  Callbacks come from the loop only, never from within write or close.
 *             I2  on_close comes once, and after it nothing; on_drain and on_data never after
 * close.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/net.h"

enum { CONN_IOV = 64, CONN_KEEP_BYTES = 65536 };

static const struct env_conn_ops conn_ops;

static struct os_conn *conn_of(struct env_conn *c)
{
    return container_of(c, struct os_conn, base);
}

struct env *os_net_env(struct os_net *net)
{
    return &os_env_of_net(&net->base)->base;
}

static struct env_exec *exec_of(const struct os_conn *c)
{
    return os_net_env(c->net)->exec;
}

static size_t out_left(const struct os_conn *c)
{
    return c->out.len - c->out_off;
}

/* ---- end ---- */

static void conn_free(struct os_conn *c)
{
    list_remove(&c->node);
    if (c->fd >= 0) {
        (void)close(c->fd);
    }
    buf_deinit(&c->out);
    mem_free(c);
}

static void conn_finish(void *arg)
{
    struct os_conn *c = arg;
    if (c->base.events != NULL && !c->net->is_closing) {
        c->base.events->on_close(c->base.arg, c->err);
    }
    conn_free(c);
}

static void on_poll_closed(uv_handle_t *handle)
{
    conn_finish(container_of((uv_poll_t *)(void *)handle, struct os_conn, poll));
}

void os_conn_fail(struct os_conn *c, int err)
{
    if (c->state == CONN_CLOSED) {
        return;
    }
    c->state = CONN_CLOSED;
    c->err = err;
    exec_of(c)->ops->timer_stop(exec_of(c), &c->timer);
    if (c->connect != NULL) {
        os_connect_abandon(c->connect);
        c->connect = NULL;
    }
    if (c->has_poll && !uv_is_closing((uv_handle_t *)&c->poll)) {
        uv_close((uv_handle_t *)&c->poll, on_poll_closed);
    } else if (!c->has_poll && !c->net->is_closing) {
        exec_of(c)->ops->defer(exec_of(c), conn_finish, c);
    } else if (!c->has_poll) {
        conn_free(c);
    }
}

void os_conn_drop(struct os_conn *c)
{
    c->base.events = NULL;
    os_conn_fail(c, 0);
}

/* ---- what is watched ---- */

static void on_poll(uv_poll_t *poll, int status, int events);

static bool can_read(const struct os_conn *c)
{
    return !c->is_eof && (c->state == CONN_LINGERING || (c->state == CONN_OPEN && !c->is_paused));
}

static void poll_update(struct os_conn *c)
{
    if (c->state == CONN_CLOSED || c->state == CONN_CONNECTING) {
        return;
    }
    bool is_reading = can_read(c);
    int want = (is_reading ? UV_READABLE : 0) | (out_left(c) > 0 ? UV_WRITABLE : 0);
    if (want == c->poll_events) {
        return;
    }
    c->poll_events = want;
    int rc = want == 0 ? uv_poll_stop(&c->poll) : uv_poll_start(&c->poll, want, on_poll);
    if (rc != 0) {
        os_conn_fail(c, os_fail_uv(rc));
    }
}

/* ---- closing ---- */

static void linger_begin(struct os_conn *c)
{
    (void)shutdown(c->fd, SHUT_WR);
    if (c->is_eof) {
        os_conn_fail(c, 0);
        return;
    }
    c->state = CONN_LINGERING;
    uint64_t now = os_mono_ns();
    uint64_t left_ms = c->deadline_ns > now ? (c->deadline_ns - now) / 1000000 : 0;
    exec_of(c)->ops->timer_start(exec_of(c), &c->timer,
                                 left_ms < OS_LINGER_MS ? left_ms : OS_LINGER_MS);
    poll_update(c);
}

static void on_deadline(struct env_timer *t)
{
    struct os_conn *c = container_of(t, struct os_conn, timer);
    os_conn_fail(c, c->state == CONN_CONNECTING ? ERR_TIMED_OUT : 0);
}

static void conn_close(struct env_conn *base, uint64_t flush_ms)
{
    struct os_conn *c = conn_of(base);
    os_assert_owner(os_env_of_net(&c->net->base));
    if (c->state != CONN_OPEN && c->state != CONN_CONNECTING) {
        return;
    }
    if (flush_ms == 0 || c->state == CONN_CONNECTING) {
        os_conn_fail(c, 0);
        return;
    }
    c->deadline_ns = os_mono_ns() + flush_ms * 1000000;
    c->state = CONN_FLUSHING;
    if (out_left(c) == 0) {
        linger_begin(c);
        return;
    }
    exec_of(c)->ops->timer_start(exec_of(c), &c->timer, flush_ms);
    poll_update(c);
}

/* ---- writing ---- */

/* Bytes taken, 0 when the socket is full, or -1 with errno. */
static ssize_t socket_send(int fd, struct iovec *iov, size_t count)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = count};
    ssize_t n;
    do {
        n = sendmsg(fd, &msg, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : n;
}

static void queue_parts(struct os_conn *c, const struct slice *parts, size_t count, size_t skip)
{
    for (size_t i = 0; i < count; i++) {
        size_t off = skip < parts[i].len ? skip : parts[i].len;
        skip -= off;
        if (parts[i].len > off) {
            buf_append(&c->out, parts[i].data + off, parts[i].len - off);
        }
    }
}

/* One system call for up to CONN_IOV parts; true when all of them went out. */
static bool send_batch(struct os_conn *c, const struct slice *parts, size_t count)
{
    struct iovec iov[CONN_IOV];
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        iov[i] = (struct iovec){(void *)(uintptr_t)parts[i].data, parts[i].len};
        total += parts[i].len;
    }
    ssize_t n = total == 0 ? 0 : socket_send(c->fd, iov, count);
    if (n < 0) {
        os_conn_fail(c, os_fail());
        return false;
    }
    if ((size_t)n < total) {
        queue_parts(c, parts, count, (size_t)n);
        return false;
    }
    return true;
}

static void conn_write(struct env_conn *base, const struct slice *parts, size_t count)
{
    struct os_conn *c = conn_of(base);
    os_assert_owner(os_env_of_net(&c->net->base));
    if (c->state != CONN_OPEN && c->state != CONN_CONNECTING) {
        return;
    }
    bool can_send = c->state == CONN_OPEN && out_left(c) == 0;
    while (count > 0 && can_send) {
        size_t n = count < CONN_IOV ? count : CONN_IOV;
        can_send = send_batch(c, parts, n);
        parts += n;
        count -= n;
    }
    if (c->state == CONN_CLOSED) {
        return;
    }
    queue_parts(c, parts, count, 0);
    poll_update(c);
}

/* The queue is through: tell the owner, or go on closing. */
static void out_drained(struct os_conn *c)
{
    c->out_off = 0;
    if (c->out.cap > CONN_KEEP_BYTES) {
        buf_deinit(&c->out); /* an idle connection is small again */
    } else {
        buf_clear(&c->out);
    }
    poll_update(c);
    if (c->state == CONN_FLUSHING) {
        linger_begin(c);
    } else if (c->state == CONN_OPEN && c->base.events->on_drain != NULL) {
        c->base.events->on_drain(c->base.arg);
    }
}

static void out_send(struct os_conn *c)
{
    struct iovec iov = {c->out.data + c->out_off, out_left(c)};
    ssize_t n = socket_send(c->fd, &iov, 1);
    if (n < 0) {
        os_conn_fail(c, os_fail());
        return;
    }
    c->out_off += (size_t)n;
    if (out_left(c) == 0) {
        out_drained(c);
    } else if (c->out_off >= CONN_KEEP_BYTES && c->out_off > c->out.len / 2) {
        buf_consume(&c->out, c->out_off);
        c->out_off = 0;
    }
}

/* ---- reading ---- */

static void read_eof(struct os_conn *c)
{
    c->is_eof = true;
    if (c->state == CONN_LINGERING) {
        os_conn_fail(c, 0);
        return;
    }
    poll_update(c);
    if (c->state == CONN_OPEN && c->base.events->on_eof != NULL) {
        c->base.events->on_eof(c->base.arg);
    }
}

/* True when another read may find more. */
static bool read_once(struct os_conn *c)
{
    ssize_t n;
    do {
        n = read(c->fd, c->net->read_buffer, OS_READ_BUFFER_BYTES);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            os_conn_fail(c, os_fail());
        }
        return false;
    }
    if (n == 0) {
        read_eof(c);
        return false;
    }
    if (c->state == CONN_OPEN) {
        c->base.events->on_data(c->base.arg, slice_make(c->net->read_buffer, (size_t)n));
    }
    return n == OS_READ_BUFFER_BYTES;
}

static void read_some(struct os_conn *c)
{
    for (int i = 0; i < OS_READ_BURST && can_read(c); i++) {
        if (!read_once(c)) {
            return;
        }
    }
}

static void socket_error(struct os_conn *c)
{
    int errnum = 0;
    socklen_t len = sizeof(errnum);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) != 0 || errnum == 0) {
        errnum = ECONNRESET;
    }
    os_conn_fail(c, os_fail_with(errnum));
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct os_conn *c = container_of(poll, struct os_conn, poll);
    if (status < 0) {
        /* The socket has an error; bytes that came before it are still worth reading. */
        c->poll_events = 0;
        read_some(c);
        if (c->state != CONN_CLOSED) {
            socket_error(c);
        }
        return;
    }
    if ((events & UV_WRITABLE) != 0 && out_left(c) > 0) {
        out_send(c);
    }
    if ((events & UV_READABLE) != 0) {
        read_some(c);
    }
}

static void conn_read_pause(struct env_conn *base)
{
    conn_of(base)->is_paused = true;
    poll_update(conn_of(base));
}

static void conn_read_resume(struct env_conn *base)
{
    conn_of(base)->is_paused = false;
    poll_update(conn_of(base));
}

static size_t conn_queued(struct env_conn *base)
{
    return out_left(conn_of(base));
}

static const char *conn_peer_name(struct env_conn *base)
{
    return conn_of(base)->peer;
}

static const struct env_conn_ops conn_ops = {
    .write = conn_write,
    .queued = conn_queued,
    .read_pause = conn_read_pause,
    .read_resume = conn_read_resume,
    .close = conn_close,
    .peer_name = conn_peer_name,
};

/* ---- all of them ---- */

void os_net_init(struct os_env *env)
{
    static const struct env_net_ops net_ops = {os_net_listen, os_net_connect, os_net_adopt};
    struct os_net *net = &env->net;
    net->base.ops = &net_ops;
    list_init(&net->conns);
    list_init(&net->listeners);
    net->read_buffer = mem_alloc(OS_READ_BUFFER_BYTES);
}

void os_net_close_all(struct os_env *env)
{
    struct os_net *net = &env->net;
    net->is_closing = true;
    os_listeners_close(net);
    LIST_FOREACH (&net->conns, node) {
        struct os_conn *c = LIST_ENTRY(node, struct os_conn, node);
        if (c->state == CONN_CLOSED && !c->has_poll) {
            conn_free(c); /* its deferred end was forgotten */
        } else {
            os_conn_fail(c, 0);
        }
    }
}

void os_net_deinit(struct os_env *env)
{
    ensure(list_is_empty(&env->net.conns) && list_is_empty(&env->net.listeners));
    mem_free(env->net.read_buffer);
}

/* ---- begin ---- */

struct os_conn *os_conn_create(struct os_net *net)
{
    struct os_conn *c = mem_zalloc(sizeof(*c));
    c->base.ops = &conn_ops;
    c->net = net;
    c->fd = -1;
    c->timer.fire = on_deadline;
    list_push_back(&net->conns, &c->node);
    return c;
}

int os_conn_adopt(struct os_conn *c, int fd)
{
    c->fd = fd;
    if (!c->has_poll) {
        int rc = uv_poll_init_socket(&os_env_of_net(&c->net->base)->loop, &c->poll, fd);
        if (rc != 0) {
            return os_fail_uv(rc);
        }
        c->has_poll = true;
    }
    c->state = CONN_OPEN;
    return 0;
}

void os_conn_start(struct os_conn *c)
{
    if (c->state == CONN_OPEN && out_left(c) > 0) {
        out_send(c); /* what was written while it was connecting */
    }
    poll_update(c);
}

int os_conn_accept(struct os_net *net, int fd, const struct sockaddr_storage *peer, socklen_t len,
                   void (*on_accept)(void *arg, struct env_conn *conn), void *arg)
{
    struct os_conn *c = os_conn_create(net);
    os_addr_format(peer, len, c->peer);
    os_socket_tune(fd, peer->ss_family);
    int err = os_conn_adopt(c, fd);
    if (err != 0) {
        os_conn_drop(c);
        return err;
    }
    on_accept(arg, &c->base);
    if (c->base.events == NULL) {
        os_conn_drop(c);
    } else {
        os_conn_start(c);
    }
    return 0;
}

int os_net_adopt(struct env_net *n, int64_t handle,
                 void (*on_accept)(void *arg, struct env_conn *conn), void *arg)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    int fd = (int)handle;
    os_assert_owner(os_env_of_net(n));
    memset(&sa, 0, sizeof(sa));
    if (getpeername(fd, (struct sockaddr *)(void *)&sa, &len) != 0) {
        int err = os_fail(); /* reset before anybody looked at it */
        (void)close(fd);
        return err;
    }
    return os_conn_accept(container_of(n, struct os_net, base), fd, &sa, len, on_accept, arg);
}
