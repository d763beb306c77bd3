/* SPDX-License-Identifier: Apache-2.0
 *
 * http/h1_parser: see h1_parser.h.  Both libraries have the same callbacks under other names; what
 * differs is how a pause and the end of input are said.
 */
#include "http/h1_parser.h"

#include <string.h>

#include "base/limits.h"

#ifdef CAIRN_LLHTTP
typedef llhttp_t lib_parser;
#define LIB_FAIL HPE_USER
#else
typedef http_parser lib_parser;
#define LIB_FAIL (-1)
#endif

/* What an event's result is to the library.  llhttp must not be paused by a call from inside a
 * callback, but by its return value. */
static int note(struct h1_parser *p, int err)
{
    if (err != 0) {
        p->err = err;
        return LIB_FAIL;
    }
#ifdef CAIRN_LLHTTP
    if (p->is_pausing) {
        p->is_pausing = false;
        return HPE_PAUSED;
    }
#endif
    return 0;
}

static int on_target(lib_parser *lib, const char *at, size_t len)
{
    struct h1_parser *p = lib->data;
    return note(p, p->events->on_target(p->arg, slice_make(at, len)));
}

static int on_name(lib_parser *lib, const char *at, size_t len)
{
    struct h1_parser *p = lib->data;
    return note(p, p->events->on_name(p->arg, slice_make(at, len)));
}

static int on_value(lib_parser *lib, const char *at, size_t len)
{
    struct h1_parser *p = lib->data;
    return note(p, p->events->on_value(p->arg, slice_make(at, len)));
}

static int on_headers(lib_parser *lib)
{
    struct h1_parser *p = lib->data;
    bool skip_body = false;
    /* Upgrades are the handler's affair (rpc_http_upgrade), h2c is ignored (client-api 4.1). */
    lib->upgrade = 0;
    int rv = note(p, p->events->on_headers(p->arg, &skip_body));
    return rv != 0 ? rv : skip_body ? 1 : 0;
}

static int on_body(lib_parser *lib, const char *at, size_t len)
{
    struct h1_parser *p = lib->data;
    return note(p, p->events->on_body(p->arg, slice_make(at, len)));
}

static int on_complete(lib_parser *lib)
{
    struct h1_parser *p = lib->data;
    return note(p, p->events->on_complete(p->arg));
}

#ifdef CAIRN_LLHTTP

void h1_parser_init(struct h1_parser *p, bool is_request, const struct h1_parser_events *events,
                    void *arg)
{
    memset(p, 0, sizeof(*p));
    llhttp_settings_init(&p->settings);
    p->settings.on_url = on_target;
    p->settings.on_header_field = on_name;
    p->settings.on_header_value = on_value;
    p->settings.on_headers_complete = on_headers;
    p->settings.on_body = on_body;
    p->settings.on_message_complete = on_complete;
    llhttp_init(&p->lib, is_request ? HTTP_REQUEST : HTTP_RESPONSE, &p->settings);
    p->lib.data = p;
    p->events = events;
    p->arg = arg;
}

int h1_parser_feed(struct h1_parser *p, struct slice bytes, size_t *out_used)
{
    llhttp_resume(&p->lib);
    llhttp_errno_t rv = llhttp_execute(&p->lib, (const char *)bytes.data, bytes.len);
    if (rv == HPE_OK) {
        *out_used = bytes.len;
        return 0;
    }
    if (rv == HPE_PAUSED) {
        *out_used = (size_t)(llhttp_get_error_pos(&p->lib) - (const char *)bytes.data);
        return 0;
    }
    return p->err != 0 ? p->err : ERR_MALFORMED;
}

int h1_parser_finish(struct h1_parser *p)
{
    llhttp_resume(&p->lib);
    llhttp_errno_t rv = llhttp_finish(&p->lib);
    return rv == HPE_OK || rv == HPE_PAUSED ? 0 : p->err != 0 ? p->err : ERR_TRUNCATED;
}

void h1_parser_pause(struct h1_parser *p)
{
    p->is_pausing = true;
}

struct slice h1_parser_method(const struct h1_parser *p)
{
    return slice_cstr(llhttp_method_name((llhttp_method_t)p->lib.method));
}

bool h1_parser_keeps_alive(const struct h1_parser *p)
{
    return llhttp_should_keep_alive(&p->lib) != 0;
}

#else

static const http_parser_settings lib_settings = {
    .on_url = on_target,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_headers,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

void h1_parser_init(struct h1_parser *p, bool is_request, const struct h1_parser_events *events,
                    void *arg)
{
    memset(p, 0, sizeof(*p));
    /* The library's own bound is 80 KiB and process-wide; ours counts in on_name and on_value. */
    http_parser_set_max_header_size(2 * LIMIT_HTTP1_HEADER_BYTES);
    http_parser_init(&p->lib, is_request ? HTTP_REQUEST : HTTP_RESPONSE);
    p->lib.data = p;
    p->events = events;
    p->arg = arg;
}

int h1_parser_feed(struct h1_parser *p, struct slice bytes, size_t *out_used)
{
    if (bytes.len == 0) { /* the library takes it for the end of input */
        *out_used = 0;
        return 0;
    }
    if (HTTP_PARSER_ERRNO(&p->lib) == HPE_PAUSED) {
        http_parser_pause(&p->lib, 0);
    }
    size_t n = http_parser_execute(&p->lib, &lib_settings, (const char *)bytes.data, bytes.len);
    enum http_errno rv = HTTP_PARSER_ERRNO(&p->lib);
    if (rv != HPE_OK && rv != HPE_PAUSED) {
        return p->err != 0 ? p->err : ERR_MALFORMED;
    }
    *out_used = n;
    return 0;
}

int h1_parser_finish(struct h1_parser *p)
{
    if (HTTP_PARSER_ERRNO(&p->lib) == HPE_PAUSED) {
        http_parser_pause(&p->lib, 0);
    }
    (void)http_parser_execute(&p->lib, &lib_settings, "", 0);
    enum http_errno rv = HTTP_PARSER_ERRNO(&p->lib);
    return rv == HPE_OK || rv == HPE_PAUSED ? 0 : p->err != 0 ? p->err : ERR_TRUNCATED;
}

void h1_parser_pause(struct h1_parser *p)
{
    http_parser_pause(&p->lib, 1);
}

struct slice h1_parser_method(const struct h1_parser *p)
{
    return slice_cstr(http_method_str((enum http_method)p->lib.method));
}

bool h1_parser_keeps_alive(const struct h1_parser *p)
{
    return http_should_keep_alive(&p->lib) != 0;
}

#endif

int h1_parser_status(const struct h1_parser *p)
{
    return (int)p->lib.status_code;
}

bool h1_parser_is_http_1_0(const struct h1_parser *p)
{
    return p->lib.http_major == 1 && p->lib.http_minor == 0;
}
