/* SPDX-License-Identifier: Apache-2.0
 *
 * os/addr: addresses between text and sockaddr.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "os/net.h"

enum { KEEPALIVE_S = 30 }; /* etcd's keepalive period */

static int part_copy(char *out, size_t cap, const char *text, size_t len)
{
    if (len >= cap) {
        return ERR_INVALID;
    }
    memcpy(out, text, len);
    out[len] = 0;
    return 0;
}

static bool is_port(const char *text)
{
    unsigned v = 0;
    size_t n = 0;
    for (; text[n] >= '0' && text[n] <= '9' && n < 6; n++) {
        v = v * 10 + (unsigned)(text[n] - '0');
    }
    return n > 0 && text[n] == 0 && v <= 65535;
}

static int inet_parse(const char *text, struct os_addr *out)
{
    const char *host = text, *colon = strrchr(text, ':');
    if (colon == NULL || !is_port(colon + 1)) {
        return ERR_INVALID;
    }
    size_t len = (size_t)(colon - host);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (memchr(host, ':', len) != NULL) {
        return ERR_INVALID; /* IPv6 needs its brackets */
    }
    int err = part_copy(out->host, sizeof(out->host), host, len);
    return err != 0 ? err : part_copy(out->port, sizeof(out->port), colon + 1, strlen(colon + 1));
}

int os_addr_parse(const char *text, struct os_addr *out)
{
    struct os_addr a = {0};
    int err;
    if (strncmp(text, "unix:", 5) == 0) {
        const char *path = text + 5;
        path += strncmp(path, "//", 2) == 0 ? 2 : 0;
        a.is_unix = true;
        err = path[0] == 0 ? ERR_INVALID : part_copy(a.host, sizeof(a.host), path, strlen(path));
    } else {
        err = inet_parse(text, &a);
    }
    if (err != 0) {
        (void)os_fail_with(EINVAL);
        return err;
    }
    *out = a;
    return 0;
}

const struct addrinfo *os_addr_preferred(const struct addrinfo *list)
{
    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
        if (ai->ai_family == AF_INET) {
            return ai;
        }
    }
    return list;
}

int os_addr_unix(const char *path, struct sockaddr_storage *out, socklen_t *out_len)
{
    struct sockaddr_un *un = (struct sockaddr_un *)(void *)out;
    size_t len = strlen(path);
    if (len > OS_UNIX_PATH_MAX) {
        return os_fail_with(ENAMETOOLONG);
    }
    memset(out, 0, sizeof(*out));
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, len + 1);
    *out_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    return 0;
}

static void format_v6(const struct sockaddr_in6 *in6, char *out)
{
    char host[INET6_ADDRSTRLEN];
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        /* A dual-stack socket shows IPv4 peers so; people expect the short form. */
        (void)inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], host, sizeof(host));
        snprintf(out, OS_ADDR_TEXT_MAX, "%s:%u", host, ntohs(in6->sin6_port));
        return;
    }
    (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
    snprintf(out, OS_ADDR_TEXT_MAX, "[%s]:%u", host, ntohs(in6->sin6_port));
}

void os_addr_format(const struct sockaddr_storage *sa, socklen_t len, char out[OS_ADDR_TEXT_MAX])
{
    char host[INET_ADDRSTRLEN];
    const void *any = sa;
    if (len >= sizeof(struct sockaddr_in) && sa->ss_family == AF_INET) {
        const struct sockaddr_in *in = any;
        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(out, OS_ADDR_TEXT_MAX, "%s:%u", host, ntohs(in->sin_port));
    } else if (len >= sizeof(struct sockaddr_in6) && sa->ss_family == AF_INET6) {
        format_v6(any, out);
    } else {
        snprintf(out, OS_ADDR_TEXT_MAX, "@"); /* as Go names a unix peer */
    }
}

void os_socket_tune(int fd, int family)
{
    static const int on = 1, seconds = KEEPALIVE_S;
    if (family == AF_UNIX) {
        return;
    }
    /* Failures only cost speed or late notice of a dead peer. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds));
}
