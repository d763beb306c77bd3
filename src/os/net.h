/* SPDX-License-Identifier: Apache-2.0
 *
 * os/net: what listener, connection and connect share; private to src/os.
 */
#ifndef OS_NET_H
#define OS_NET_H

#include <netdb.h>
#include <sys/socket.h>

#include "os/impl.h"

enum { OS_ADDR_TEXT_MAX = 128, OS_UNIX_PATH_MAX = 107 };

/* An address as text in two parts. */
struct os_addr {
    bool is_unix;
    char host[OS_HOST_NAME_MAX]; /* or the socket's path */
    char port[8];
};

/* "host:port", "[v6]:port", ":port", "unix:path", "unix:///path". */
MUST_USE int os_addr_parse(const char *text, struct os_addr *out);
void os_addr_format(const struct sockaddr_storage *sa, socklen_t len, char out[OS_ADDR_TEXT_MAX]);
MUST_USE int os_addr_unix(const char *path, struct sockaddr_storage *out, socklen_t *out_len);
/* The first IPv4 address of a name before the first IPv6 one, as Go. */
const struct addrinfo *os_addr_preferred(const struct addrinfo *list);
/* No delay, keepalive: for TCP. */
void os_socket_tune(int fd, int family);

enum os_conn_state {
    CONN_CONNECTING, /* resolving, or trying addresses */
    CONN_OPEN,
    CONN_FLUSHING,  /* close was called, bytes are left */
    CONN_LINGERING, /* our FIN is out, what the peer still sends is thrown away */
    CONN_CLOSED,    /* on_close is on its way */
};

struct os_connect;

struct os_conn {
    struct env_conn base;
    struct list_node node; /* in os_net.conns */
    struct os_net *net;
    int fd; /* -1: none yet */
    enum os_conn_state state;
    bool is_paused;
    bool is_eof;
    bool has_poll;
    int poll_events; /* what uv_poll watches now */
    int err;         /* for on_close */
    uv_poll_t poll;
    struct buf out; /* not yet taken by the kernel, from out_off on */
    size_t out_off;
    struct env_timer timer; /* connect timeout, flush and linger deadline */
    uint64_t deadline_ns;
    struct os_connect *connect; /* while CONNECTING */
    char peer[OS_ADDR_TEXT_MAX];
};

/* A conn in state CONNECTING without a socket. */
struct os_conn *os_conn_create(struct os_net *net);
/* Takes the connected socket fd; the state becomes OPEN.  Reading starts with os_conn_start. */
MUST_USE int os_conn_adopt(struct os_conn *c, int fd);
void os_conn_start(struct os_conn *c);
/* Ends it: on_close(err) follows from the loop. */
void os_conn_fail(struct os_conn *c, int err);
/* Frees a conn that nobody has seen yet; closes its socket. */
void os_conn_drop(struct os_conn *c);
struct env *os_net_env(struct os_net *net);
/* A fresh connected socket becomes a conn that on_accept sees; it is closed after an error. */
MUST_USE int os_conn_accept(struct os_net *net, int fd, const struct sockaddr_storage *peer,
                            socklen_t len, void (*on_accept)(void *arg, struct env_conn *conn),
                            void *arg);
int os_net_adopt(struct env_net *n, int64_t handle,
                 void (*on_accept)(void *arg, struct env_conn *conn), void *arg);

/* ---- connect.c ---- */
int os_net_connect(struct env_net *n, const char *addr, uint64_t timeout_ms,
                   const struct env_conn_events *events, void *arg, struct env_conn **out);
/* The conn is closing: forget it. */
void os_connect_abandon(struct os_connect *k);

/* ---- listener.c ---- */
int os_net_listen(struct env_net *n, const char *addr, const struct env_listen_options *opts,
                  void (*on_accept)(void *arg, struct env_conn *conn), void *arg,
                  struct env_listener **out);
void os_listeners_close(struct os_net *net);

#endif
