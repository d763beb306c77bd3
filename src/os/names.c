/* SPDX-License-Identifier: Apache-2.0
 *
 * os/names: does an address belong to a name?  What etcd asks about the certificates of peers.
 */
#include <netdb.h>
#include <sys/socket.h>

#include "os/impl.h"

enum { HOST_BYTES_MAX = 1025, LOOKUP_BYTES = 8192 };

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcasecmp(s + n - m, tail) == 0;
}

/* Go cuts one dot at the end of what a name server says. */
static bool is_one_of(const char *found, const char *names, size_t len)
{
    char name[HOST_BYTES_MAX];
    size_t n = strlen(found);
    n -= n > 0 && found[n - 1] == '.';
    if (n >= sizeof(name)) {
        return false;
    }
    memcpy(name, found, n);
    name[n] = '\0';
    for (size_t at = 0; at < len; at += strlen(names + at) + 1) {
        const char *wanted = names + at;
        if (wanted[0] == '*' && wanted[1] == '.' ? ends_with(name, wanted + 1)
                                                 : strcasecmp(name, wanted) == 0) {
            return true;
        }
    }
    return false;
}

static int parse(const char *address, struct addrinfo **out)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    return getaddrinfo(address, NULL, &hints, out);
}

static const void *bytes_of(const struct sockaddr *a, socklen_t *out_len)
{
    if (a->sa_family == AF_INET) {
        *out_len = sizeof(struct in_addr);
        return &((const struct sockaddr_in *)(const void *)a)->sin_addr;
    }
    *out_len = sizeof(struct in6_addr);
    return &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
}

static bool has_reverse(const struct sockaddr *a, const char *names, size_t len)
{
    char memory[LOOKUP_BYTES];
    struct hostent host, *found = NULL;
    socklen_t n;
    int why;
    const void *bytes = bytes_of(a, &n);
    if (gethostbyaddr_r(bytes, n, a->sa_family, &host, memory, sizeof(memory), &found, &why) != 0 ||
        found == NULL) {
        return false;
    }
    bool ok = is_one_of(host.h_name, names, len);
    for (char **alias = host.h_aliases; !ok && *alias != NULL; alias++) {
        ok = is_one_of(*alias, names, len);
    }
    return ok;
}

static bool is_same(const struct sockaddr *a, const struct sockaddr *b)
{
    socklen_t n, m;
    const void *x = bytes_of(a, &n), *y = bytes_of(b, &m);
    return a->sa_family == b->sa_family && memcmp(x, y, n) == 0;
}

static bool has_forward(const struct sockaddr *a, const char *name)
{
    struct addrinfo hints = {.ai_family = a->sa_family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    bool ok = false;
    if (name[0] == '*' || getaddrinfo(name, NULL, &hints, &list) != 0) {
        return false;
    }
    for (struct addrinfo *i = list; !ok && i != NULL; i = i->ai_next) {
        ok = is_same(a, i->ai_addr);
    }
    freeaddrinfo(list);
    return ok;
}

bool os_address_has_name(const char *address, const char *names, size_t names_len)
{
    struct addrinfo *a = NULL;
    if (names_len == 0 || names[names_len - 1] != '\0' || parse(address, &a) != 0) {
        return false;
    }
    bool ok = has_reverse(a->ai_addr, names, names_len);
    for (size_t at = 0; !ok && at < names_len; at += strlen(names + at) + 1) {
        ok = has_forward(a->ai_addr, names + at);
    }
    freeaddrinfo(a);
    return ok;
}
