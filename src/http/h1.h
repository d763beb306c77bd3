/* SPDX-License-Identifier: Apache-2.0
 *
 * http/h1: HTTP/1.1 sessions, server and client: bytes in, bytes out.
 *
 * Design      One message at a time: the parser pauses behind a request until its answer is
 *             finished, pipelined bytes wait in `in` (the owner stops reading the socket when
 *             h1_*_wants_read says no).  Output gathers in one buffer, lent to the write.
 * Ownership   A struct h1_head and its slices live until the message's on_end returned and, on the
 *             server, until the answer is finished.
 * Thread      net.
 * Limits      LIMIT_HTTP1_HEADER_BYTES; bodies are streamed and bounded by who gathers them;
 *             H1_DISCARD_BYTES of a body nobody wants; held input: one socket read.
 * Failure     server: a bad request gets 400 or 431 and the session is done after sending it.
 * See         client-api 4.1, 6; RFC 9112.
 */
#ifndef HTTP_H1_H
#define HTTP_H1_H

#include "base/buf.h"
#include "http/out.h"

struct h1_server;
struct h1_client;

enum {
    H1_DISCARD_BYTES = 256 << 10, /* as Go: read and drop this much, above that close */
    H1_HELD_BYTES = 64 << 10,     /* input held before the socket is not read any more */
};

struct h1_header {
    struct slice name;
    struct slice value;
};

struct h1_head {
    struct slice method; /* requests */
    struct slice target;
    int status; /* responses */
    const struct h1_header *headers;
    size_t count;
};

/* Name without case; data NULL when absent. */
struct slice h1_head_get(const struct h1_head *h, const char *name);
/* True when the comma-separated list in a header holds this token (no case). */
bool h1_head_has_token(const struct h1_head *h, const char *name, const char *token);
/* "Not Found"; "status code N" texts are for N unknown to the table. */
const char *h1_status_text(int status);

/* ---- server -----------------------------------------------------------------------------------
 */

struct h1_server_ops {
    void (*on_request)(void *arg, const struct h1_head *head);
    /* Body bytes; after h1_server_upgrade raw bytes. Not called once the answer is finished. */
    void (*on_body)(void *arg, struct slice bytes);
    void (*on_end)(void *arg);
    /* There is output; may be called often. */
    void (*on_want_write)(void *arg);
};

struct h1_server *h1_server_create(const struct h1_server_ops *ops, void *arg);
void h1_server_destroy(struct h1_server *s);
/* Never fails: what is wrong with a request is answered. */
void h1_server_recv(struct h1_server *s, struct slice bytes);
/* False: do not read the socket, H1_HELD_BYTES are held.  While an answer is being made reading
 * goes on up to there, so that a client's going is noticed. */
bool h1_server_wants_read(const struct h1_server *s);
/* Lends what is to be sent, until h1_server_sent. */
void h1_server_send(struct h1_server *s, struct http_out *out);
/* The lent bytes were written. */
void h1_server_sent(struct h1_server *s);
size_t h1_server_queued(const struct h1_server *s);
/* The connection is to be closed once the output is written. */
bool h1_server_is_done(const struct h1_server *s);
/* Nothing of a request has come since the last answer. */
bool h1_server_is_idle(const struct h1_server *s);
/* The next answer says Connection: close; an idle session is done at once. */
void h1_server_drain(struct h1_server *s);

/* The answer: begin, write*, finish.  A Content-Length among headers makes a plain body, otherwise
 * it is chunked.  Content for HEAD, 204 and 304 is dropped. */
void h1_server_begin(struct h1_server *s, int status, const struct h1_header *headers,
                     size_t count);
void h1_server_write(struct h1_server *s, struct slice bytes);
void h1_server_finish(struct h1_server *s);
/* Begin, body with Content-Length, finish. */
void h1_server_respond(struct h1_server *s, int status, const struct h1_header *headers,
                       size_t count, struct slice body);
/* 101; then raw bytes both ways. */
void h1_server_upgrade(struct h1_server *s, const struct h1_header *headers, size_t count);
/* Done at once; output not sent is dropped. */
void h1_server_abort(struct h1_server *s);
/* Done after what was written so far: a chunked answer stays without its end. */
void h1_server_cut(struct h1_server *s);
void h1_server_body_pause(struct h1_server *s);
void h1_server_body_resume(struct h1_server *s);

/* ---- client -----------------------------------------------------------------------------------
 */

struct h1_client_ops {
    void (*on_response)(void *arg, const struct h1_head *head);
    void (*on_body)(void *arg, struct slice bytes);
    /* The response is complete; the next request may be made from in here unless is_done. */
    void (*on_end)(void *arg);
    void (*on_want_write)(void *arg);
};

enum { H1_BODY_CHUNKED = -1 };

struct h1_client *h1_client_create(const struct h1_client_ops *ops, void *arg);
void h1_client_destroy(struct h1_client *c);
/* body_bytes: exact length, or H1_BODY_CHUNKED.  Only when no request is open. */
void h1_client_begin(struct h1_client *c, const char *method, const char *target, const char *host,
                     const struct h1_header *headers, size_t count, int64_t body_bytes);
void h1_client_write(struct h1_client *c, struct slice bytes);
/* The request body is complete. */
void h1_client_finish(struct h1_client *c);
MUST_USE int h1_client_recv(struct h1_client *c, struct slice bytes);
/* The server closed: ends a response without length; ERR_TRUNCATED when one is cut. */
MUST_USE int h1_client_eof(struct h1_client *c);
void h1_client_send(struct h1_client *c, struct http_out *out);
void h1_client_sent(struct h1_client *c);
size_t h1_client_queued(const struct h1_client *c);
/* A request is open (not answered wholly). */
bool h1_client_is_busy(const struct h1_client *c);
/* The server will close, or broke the rules: no further request. */
bool h1_client_is_done(const struct h1_client *c);
void h1_client_body_pause(struct h1_client *c);
void h1_client_body_resume(struct h1_client *c);
bool h1_client_wants_read(const struct h1_client *c);

#endif
