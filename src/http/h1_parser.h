/* SPDX-License-Identifier: Apache-2.0
 *
 * http/h1_parser: the one door to the HTTP/1 parser library: http_parser (Debian 12) or, with
 * CAIRN_LLHTTP, llhttp.
 *
 * Texts come in pieces.  Any event may call h1_parser_pause: feeding stops behind that event, and
 * goes on at the next feed.
 */
#ifndef HTTP_H1_PARSER_H
#define HTTP_H1_PARSER_H

#ifdef CAIRN_LLHTTP
#include <llhttp.h>
#else
#include <http_parser.h>
#endif

#include "base/err.h"
#include "base/slice.h"

/* Each returns 0, or an ERR_* that ends the parsing. */
struct h1_parser_events {
    int (*on_target)(void *arg, struct slice piece);
    int (*on_name)(void *arg, struct slice piece);
    int (*on_value)(void *arg, struct slice piece);
    /* *out_skip_body: the message has none whatever its headers say (answers to HEAD). */
    int (*on_headers)(void *arg, bool *out_skip_body);
    int (*on_body)(void *arg, struct slice piece);
    int (*on_complete)(void *arg);
};

struct h1_parser {
#ifdef CAIRN_LLHTTP
    llhttp_t lib;
    llhttp_settings_t settings;
    bool is_pausing; /* told to the library by the present callback's return */
#else
    http_parser lib;
#endif
    const struct h1_parser_events *events;
    void *arg;
    int err; /* of an event */
};

void h1_parser_init(struct h1_parser *p, bool is_request, const struct h1_parser_events *events,
                    void *arg);
/* *out_used < bytes.len only when paused. */
MUST_USE int h1_parser_feed(struct h1_parser *p, struct slice bytes, size_t *out_used);
/* The peer closed: completes a response that ends so; ERR_TRUNCATED in the middle of a message. */
MUST_USE int h1_parser_finish(struct h1_parser *p);
/* From inside an event only. */
void h1_parser_pause(struct h1_parser *p);

/* After on_headers. */
struct slice h1_parser_method(const struct h1_parser *p);
int h1_parser_status(const struct h1_parser *p);
bool h1_parser_keeps_alive(const struct h1_parser *p);
bool h1_parser_is_http_1_0(const struct h1_parser *p);

#endif
