/* SPDX-License-Identifier: Apache-2.0
 *
 * member/url: see url.h.
 */
#include "member/url.h"

#include <strings.h>

#include "base/err.h"

/* The parts of one URL; rest is everything behind "scheme:". */
struct parts {
    struct slice scheme; /* as written */
    struct slice rest;   /* without query and fragment */
    struct slice host;   /* without user */
    struct slice path;
    bool has_authority;
};

static int parse(struct slice in, struct parts *p, struct buf *error);

PRINTF_LIKE(2, 3) static int refuse(struct buf *error, const char *fmt, ...)
{
    if (error != NULL) {
        va_list ap;
        va_start(ap, fmt);
        buf_vprintf(error, fmt, ap);
        va_end(ap);
    }
    return ERR_INVALID;
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (s.data[0] == ' ' || (s.data[0] >= '\t' && s.data[0] <= '\r'))) {
        s = slice_skip(s, 1);
    }
    while (s.len > 0 &&
           (s.data[s.len - 1] == ' ' || (s.data[s.len - 1] >= '\t' && s.data[s.len - 1] <= '\r'))) {
        s.len--;
    }
    return s;
}

/* Position of c, or len. */
static size_t find(struct slice s, char c)
{
    const uint8_t *at = s.len == 0 ? NULL : memchr(s.data, c, s.len);
    return at == NULL ? s.len : (size_t)(at - s.data);
}

static size_t find_last(struct slice s, char c)
{
    const uint8_t *at = s.len == 0 ? NULL : memrchr(s.data, c, s.len);
    return at == NULL ? s.len : (size_t)(at - s.data);
}

static struct slice head(struct slice s, size_t n)
{
    return slice_make(s.data, n);
}

static bool scheme_is(struct slice s, const char *name)
{
    return s.len == strlen(name) && strncasecmp((const char *)s.data, name, s.len) == 0;
}

/* ---- Go's net/url, as far as it can be met here ---- */

#define FMT_SLICE(s) (int)(s).len, (const char *)(s).data

static int bad_parse(struct buf *error, struct slice in, const char *why)
{
    return refuse(error, "parse \"%.*s\": %s", FMT_SLICE(in), why);
}

static bool is_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* "scheme:" if there is one; false for ":..." */
static bool split_scheme(struct slice in, struct parts *p)
{
    p->rest = in;
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.data[i];
        if (is_alpha(c)) {
            continue;
        }
        if ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.') {
            if (i == 0) {
                return true;
            }
            continue;
        }
        if (c == ':') {
            p->scheme = head(in, i);
            p->rest = slice_skip(in, i + 1);
            return i > 0;
        }
        return true;
    }
    return true;
}

static bool is_port(struct slice s)
{
    if (s.len == 0) {
        return true;
    }
    if (s.data[0] != ':') {
        return false;
    }
    for (size_t i = 1; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return false;
        }
    }
    return true;
}

static int check_host(struct slice in, struct slice host, struct buf *error)
{
    struct slice port = SLICE_NULL;
    if (host.len > 0 && host.data[0] == '[') {
        size_t close = find_last(host, ']');
        if (close == host.len) {
            return bad_parse(error, in, "missing ']' in host");
        }
        port = slice_skip(host, close + 1);
    } else if (find(host, ':') < host.len) {
        port = slice_skip(host, find_last(host, ':'));
    }
    if (!is_port(port)) {
        return refuse(error, "parse \"%.*s\": invalid port \"%.*s\" after host", FMT_SLICE(in),
                      FMT_SLICE(port));
    }
    static const char allowed[] = "-_.~!$&'()*+,;=:[]<>\"";
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.data[i];
        if (c >= 0x80 || is_alpha(c) || (c >= '0' && c <= '9') || strchr(allowed, c) != NULL) {
            continue;
        }
        if (c == '%') {
            size_t n = host.len - i < 3 ? host.len - i : 3;
            return refuse(error, "parse \"%.*s\": invalid URL escape \"%.*s\"", FMT_SLICE(in),
                          (int)n, (const char *)host.data + i);
        }
        return refuse(error, "parse \"%.*s\": invalid character \"%s%c\" in host name",
                      FMT_SLICE(in), c == '\\' ? "\\" : "", c);
    }
    return 0;
}

static int parse(struct slice in, struct parts *p, struct buf *error)
{
    *p = (struct parts){.scheme = SLICE_NULL};
    for (size_t i = 0; i < in.len; i++) {
        if (in.data[i] < 0x20 || in.data[i] == 0x7f) {
            return bad_parse(error, in, "net/url: invalid control character in URL");
        }
    }
    if (!split_scheme(head(in, find(in, '#')), p)) {
        return bad_parse(error, in, "missing protocol scheme");
    }
    p->rest = head(p->rest, find(p->rest, '?'));
    if (p->scheme.len == 0 && find(p->rest, ':') < find(p->rest, '/')) {
        return bad_parse(error, in, "first path segment in URL cannot contain colon");
    }
    p->path = p->rest;
    if (!slice_has_prefix(p->rest, SLICE_LIT("//"))) {
        return 0;
    }
    p->has_authority = true;
    struct slice authority = slice_skip(p->rest, 2);
    size_t slash = find(authority, '/');
    p->path = slice_skip(authority, slash);
    authority = head(authority, slash);
    size_t at = find_last(authority, '@');
    p->host = at < authority.len ? slice_skip(authority, at + 1) : authority;
    return check_host(in, p->host, error);
}

/* net.SplitHostPort: exactly one colon outside of brackets. */
static bool has_port(struct slice host)
{
    size_t last = find_last(host, ':');
    if (last == host.len) {
        return false;
    }
    struct slice name = head(host, last);
    if (host.data[0] == '[') {
        return find(host, ']') == last - 1 && find_last(host, '[') == 0;
    }
    return find(name, ':') == name.len && find(host, '[') == host.len &&
           find(host, ']') == host.len;
}

/* ---- etcd's rules ---- */

int url_check(struct slice text, struct buf *out, struct buf *error)
{
    struct parts p;
    text = trim(text);
    int err = parse(text, &p, error);
    if (err != 0) {
        return err;
    }
    if (scheme_is(p.scheme, "http") || scheme_is(p.scheme, "https")) {
        if (!p.has_authority || !has_port(p.host)) {
            return refuse(error, "URL address does not have the form \"host:port\": %.*s",
                          FMT_SLICE(text));
        }
        if (p.path.len > 0) {
            return refuse(error, "URL must not contain a path: %.*s", FMT_SLICE(text));
        }
    } else if (!scheme_is(p.scheme, "unix") && !scheme_is(p.scheme, "unixs")) {
        return refuse(error, "URL scheme must be http, https, unix, or unixs: %.*s",
                      FMT_SLICE(text));
    }
    for (size_t i = 0; i < p.scheme.len; i++) {
        buf_append_byte(out, (uint8_t)(p.scheme.data[i] | 0x20));
    }
    buf_append_slice(out, slice_skip(text, p.scheme.len));
    return 0;
}

static int add_checked(struct slice text, struct strs *out, struct buf *error)
{
    struct buf url = BUF_INIT;
    int err = url_check(text, &url, error);
    if (err == 0) {
        strs_add(out, buf_slice(&url));
    }
    buf_deinit(&url);
    return err;
}

int urls_check(const struct strs *in, struct strs *out, struct buf *error)
{
    struct strs urls = {NULL, 0};
    int err = in->count == 0 ? refuse(error, "no valid URLs given") : 0;
    for (size_t i = 0; err == 0 && i < in->count; i++) {
        err = add_checked(slice_cstr(in->items[i]), &urls, error);
    }
    if (err != 0) {
        strs_deinit(&urls);
        return err;
    }
    strs_sort(&urls);
    *out = urls;
    return 0;
}

int urls_parse_list(const char *text, struct strs *out, struct buf *error)
{
    struct strs urls = {NULL, 0};
    int err = 0;
    for (const char *p = text; err == 0 && p != NULL;) {
        const char *comma = strchr(p, ',');
        size_t n = comma != NULL ? (size_t)(comma - p) : strlen(p);
        err = add_checked(slice_make(p, n), &urls, error);
        p = comma != NULL ? comma + 1 : NULL;
    }
    if (err != 0) {
        strs_deinit(&urls);
        return err;
    }
    strs_sort(&urls);
    *out = (struct strs){NULL, 0};
    for (size_t i = 0; i < urls.count; i++) {
        if (i == 0 || strcmp(urls.items[i], urls.items[i - 1]) != 0) {
            strs_add(out, slice_cstr(urls.items[i]));
        }
    }
    strs_deinit(&urls);
    return 0;
}

enum url_scheme url_scheme_of(const char *url)
{
    struct slice s = slice_cstr(url);
    s = head(s, find(s, ':'));
    return scheme_is(s, "https")   ? URL_HTTPS
           : scheme_is(s, "unix")  ? URL_UNIX
           : scheme_is(s, "unixs") ? URL_UNIXS
                                   : URL_HTTP;
}

struct slice url_address(const char *url)
{
    struct slice s = slice_cstr(url);
    size_t colon = find(s, ':');
    s = slice_skip(s, colon < s.len ? colon + 1 : colon);
    if (slice_has_prefix(s, SLICE_LIT("//"))) {
        s = slice_skip(s, 2);
    }
    s = head(s, find(s, '#'));
    s = head(s, find(s, '?'));
    size_t at = find_last(s, '@');
    return at < s.len ? slice_skip(s, at + 1) : s;
}

bool url_is_unix(const char *url)
{
    enum url_scheme s = url_scheme_of(url);
    return s == URL_UNIX || s == URL_UNIXS;
}

bool url_is_secure(const char *url)
{
    enum url_scheme s = url_scheme_of(url);
    return s == URL_HTTPS || s == URL_UNIXS;
}

void url_net_address(const char *url, struct buf *out)
{
    buf_append_cstr(out, url_is_unix(url) ? "unix:" : "");
    buf_append_slice(out, url_address(url));
}

/* ---- comparison ---- */

/* localhost and sockets keep their names. */
static int resolve_one(const char *url, const struct url_resolver *resolver, struct strs *out,
                       struct buf *error)
{
    struct slice addr = url_address(url);
    enum url_scheme scheme = url_scheme_of(url);
    bool is_local = slice_equal(head(addr, find_last(addr, ':')), SLICE_LIT("localhost"));
    if (resolver == NULL || url_is_unix(url) || is_local) {
        strs_add(out, slice_cstr(url));
        return 0;
    }
    struct buf text = BUF_INIT;
    struct buf found = BUF_INIT;
    buf_append_slice(&text, addr);
    int err = resolver->resolve(resolver->arg, buf_cstr(&text), &found);
    if (err == 0) {
        buf_clear(&text);
        buf_printf(&text, "%s://", scheme == URL_HTTPS ? "https" : "http");
        buf_append_slice(&text, buf_slice(&found));
        strs_add(out, buf_slice(&text));
    } else {
        (void)refuse(error, "failed to resolve \"%s\" (%s)", url,
                     found.len > 0 ? buf_cstr(&found) : err_text(err));
    }
    buf_deinit(&text);
    buf_deinit(&found);
    return err;
}

static int resolve_all(const struct strs *in, const struct url_resolver *resolver, struct strs *out,
                       struct buf *error)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < in->count; i++) {
        err = resolve_one(in->items[i], resolver, out, error);
    }
    strs_sort(out);
    return err;
}

int urls_equal(const struct strs *a, const struct strs *b, const struct url_resolver *resolver,
               struct buf *error)
{
    struct strs x = {NULL, 0};
    struct strs y = {NULL, 0};
    if (a->count != b->count) {
        struct buf lists = BUF_INIT;
        buf_append_cstr(&lists, "len(");
        strs_quote(&lists, a);
        buf_append_cstr(&lists, ") != len(");
        strs_quote(&lists, b);
        (void)refuse(error, "%s)", buf_cstr(&lists));
        buf_deinit(&lists);
        return ERR_MISMATCH;
    }
    strs_copy(&x, a);
    strs_copy(&y, b);
    strs_sort(&x);
    strs_sort(&y);
    int err = 0;
    if (!strs_equal(&x, &y)) {
        strs_deinit(&x);
        strs_deinit(&y);
        err = resolve_all(a, resolver, &x, error);
        err = err == 0 ? resolve_all(b, resolver, &y, error) : err;
    }
    for (size_t i = 0; err == 0 && i < x.count; i++) {
        if (strcmp(x.items[i], y.items[i]) != 0) {
            (void)refuse(error, "resolved urls: \"%s\" != \"%s\"", x.items[i], y.items[i]);
            err = ERR_MISMATCH;
        }
    }
    strs_deinit(&x);
    strs_deinit(&y);
    return err;
}
