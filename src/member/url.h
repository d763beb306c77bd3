/* SPDX-License-Identifier: Apache-2.0
 *
 * member/url: peer and client URLs: checked with etcd's texts, made uniform, compared.
 *
 * Thread      any. Failure ERR_INVALID, with etcd's text appended to *error (which may be NULL).
 * See         cli.md 1.1, 1.6; Go's net/url; test/unit/member/url_test.c.
 */
#ifndef MEMBER_URL_H
#define MEMBER_URL_H

#include "member/strs.h"

enum url_scheme { URL_HTTP, URL_HTTPS, URL_UNIX, URL_UNIXS };

/* Appends the uniform text (scheme in lower case) to *out. */
MUST_USE int url_check(struct slice text, struct buf *out, struct buf *error);
/* All of in, sorted; "no valid URLs given" for none. */
MUST_USE int urls_check(const struct strs *in, struct strs *out, struct buf *error);
/* A comma-separated flag: as urls_check, duplicates removed. */
MUST_USE int urls_parse_list(const char *text, struct strs *out, struct buf *error);

/* Of a checked URL: scheme and what stands behind "://" up to a query. */
enum url_scheme url_scheme_of(const char *url);
struct slice url_address(const char *url);
bool url_is_unix(const char *url);   /* unix, unixs */
bool url_is_secure(const char *url); /* https, unixs */
/* The address as env/net takes it, appended: "host:port", "unix:/path". */
void url_net_address(const char *url, struct buf *out);

/* Names to addresses, where that is possible: "host:port" -> "ip:port" appended to *out, or an
 * error and the reason there.  NULL: compare the text. */
struct url_resolver {
    int (*resolve)(void *arg, const char *host_port, struct buf *out);
    void *arg;
};

/* 0 when both lists name the same addresses.  Else ERR_MISMATCH (or the resolver's error), the text
 * in *error: len(..) != len(..), or resolved urls: "a" != "b". */
MUST_USE int urls_equal(const struct strs *a, const struct strs *b,
                        const struct url_resolver *resolver, struct buf *error);

#endif
