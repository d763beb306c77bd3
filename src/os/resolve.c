/* SPDX-License-Identifier: Apache-2.0
 *
 * os/resolve: the address behind a name, as text; blocks: for starts only.
 */
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "os/impl.h"
#include "os/net.h"

int os_resolve(const char *host_port, struct buf *out)
{
    struct os_addr a;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char ip[NI_MAXHOST], port[NI_MAXSERV];
    int err = os_addr_parse(host_port, &a);
    if (err != 0) {
        return err;
    }
    if (a.is_unix) {
        return ERR_INVALID;
    }
    int rc = getaddrinfo(a.host, a.port, &hints, &list);
    if (rc != 0) {
        return rc == EAI_SYSTEM ? os_fail() : os_fail_uv(UV_EAI_NONAME);
    }
    const struct addrinfo *ai = os_addr_preferred(list);
    rc = getnameinfo(ai->ai_addr, ai->ai_addrlen, ip, sizeof(ip), port, sizeof(port),
                     NI_NUMERICHOST | NI_NUMERICSERV);
    if (rc == 0) {
        buf_printf(out, ai->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", ip, port);
    }
    freeaddrinfo(list);
    return rc == 0 ? 0 : os_fail_uv(UV_EAI_NONAME);
}
