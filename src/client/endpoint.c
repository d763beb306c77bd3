/* SPDX-License-Identifier: Apache-2.0 */
#include "client/endpoint.h"

#include "base/buf.h"

static struct slice behind(struct slice s, const char *prefix, bool *is_match)
{
    *is_match = slice_has_prefix(s, slice_cstr(prefix));
    return *is_match ? slice_skip(s, strlen(prefix)) : s;
}

static struct slice last_element(struct slice path)
{
    size_t at = path.len;
    while (at > 0 && path.data[at - 1] != '/') {
        at--;
    }
    return slice_skip(path, at);
}

static int set(struct client_endpoint *out, const char *prefix, struct slice addr,
               struct slice authority, enum client_tls_wish tls)
{
    if (addr.len == 0 || memchr(addr.data, '\0', addr.len) != NULL) {
        return ERR_INVALID;
    }
    struct buf text = BUF_INIT;
    buf_append_cstr(&text, prefix);
    buf_append_slice(&text, addr);
    out->addr = mem_strndup(text.data, text.len);
    out->authority = mem_strndup(authority.data, authority.len);
    out->tls = tls;
    buf_deinit(&text);
    return 0;
}

static int parse_unix(struct slice path, enum client_tls_wish tls, struct client_endpoint *out)
{
    bool is_slashed;
    path = behind(path, "//", &is_slashed);
    return set(out, "unix:", path, last_element(path), tls);
}

int client_endpoint_parse(struct slice text, struct client_endpoint *out)
{
    bool is_match;
    struct slice rest = behind(text, "unix:", &is_match);
    if (is_match) {
        return parse_unix(rest, CLIENT_TLS_OPTIONAL, out);
    }
    rest = behind(text, "unixs:", &is_match);
    if (is_match) {
        return parse_unix(rest, CLIENT_TLS_NEED, out);
    }
    enum client_tls_wish tls = CLIENT_TLS_DROP;
    rest = behind(text, "http://", &is_match);
    if (!is_match) {
        tls = CLIENT_TLS_NEED;
        rest = behind(text, "https://", &is_match);
    }
    if (!is_match) {
        return set(out, "", text, text, CLIENT_TLS_OPTIONAL);
    }
    size_t len = 0;
    while (len < rest.len && strchr("/?#", rest.data[len]) == NULL) {
        len++;
    }
    return set(out, "", slice_make(rest.data, len), slice_make(rest.data, len), tls);
}

void client_endpoint_deinit(struct client_endpoint *e)
{
    mem_free(e->addr);
    mem_free(e->authority);
    *e = (struct client_endpoint){0};
}
