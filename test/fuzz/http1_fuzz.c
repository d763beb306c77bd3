/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/http1: bytes into an HTTP/1.1 server session, in pieces, and into a client session as
 * an answer.  The first byte chooses the size of the pieces and what the handler does.
 *
 * deps: http_dep
 */
#include <stdint.h>
#include <string.h>

#include "http/h1.h"

struct fixture {
    struct h1_server *s;
    unsigned mode;
    bool is_owed; /* an answer */
};

static void answer(struct fixture *f, struct slice body)
{
    struct h1_header h = {SLICE_LIT("X"), body};
    f->is_owed = false;
    if (f->mode & 1) {
        h1_server_begin(f->s, 200, &h, 1);
        h1_server_write(f->s, body);
        h1_server_finish(f->s);
    } else {
        h1_server_respond(f->s, 404, &h, 1, body);
    }
}

static void on_request(void *arg, const struct h1_head *head)
{
    struct fixture *f = arg;
    f->is_owed = true;
    if ((f->mode & 8) && h1_head_has_token(head, "Connection", "upgrade")) {
        f->is_owed = false;
        h1_server_upgrade(f->s, head->headers, head->count < 4 ? head->count : 4);
    } else if (f->mode & 2) {
        answer(f, head->target);
    }
}

static void on_body(void *arg, struct slice bytes)
{
    struct fixture *f = arg;
    if (!f->is_owed) {
        h1_server_write(f->s, bytes); /* upgraded */
    } else if (f->mode & 4) {
        h1_server_body_pause(f->s);
    }
}

static void on_end(void *arg)
{
    struct fixture *f = arg;
    if (f->is_owed && !(f->mode & 16)) {
        answer(f, SLICE_LIT("body"));
    }
}

static void on_want_write(void *arg)
{
    (void)arg;
}

static const struct h1_server_ops server_ops = {on_request, on_body, on_end, on_want_write};

static void pump(struct fixture *f)
{
    struct http_out o;
    http_out_init(&o);
    h1_server_send(f->s, &o);
    h1_server_sent(f->s);
    http_out_deinit(&o);
    if (f->mode & 4) {
        h1_server_body_resume(f->s);
    }
    if (f->is_owed && (f->mode & 16) && h1_server_queued(f->s) == 0) {
        answer(f, SLICE_LIT("late"));
    }
}

static void run_server(unsigned mode, const uint8_t *data, size_t size)
{
    struct fixture f = {.mode = mode};
    f.s = h1_server_create(&server_ops, &f);
    size_t step = 1 + mode / 32 * 5;
    while (size > 0 && !h1_server_is_done(f.s)) {
        size_t n = size < step ? size : step;
        h1_server_recv(f.s, slice_make(data, n));
        pump(&f);
        data += n;
        size -= n;
    }
    h1_server_destroy(f.s);
}

static void client_head(void *arg, const struct h1_head *head)
{
    (void)arg;
    (void)h1_head_get(head, "x");
}

static void client_body(void *arg, struct slice bytes)
{
    (void)arg;
    (void)bytes;
}

static void client_end(void *arg)
{
    (void)arg;
}

static const struct h1_client_ops client_ops = {client_head, client_body, client_end,
                                                on_want_write};

static void run_client(unsigned mode, const uint8_t *data, size_t size)
{
    struct h1_client *c = h1_client_create(&client_ops, NULL);
    h1_client_begin(c, mode & 1 ? "HEAD" : "GET", "/", "h", NULL, 0, 0);
    h1_client_finish(c);
    int err = h1_client_recv(c, slice_make(data, size));
    if (err == 0) {
        err = h1_client_eof(c);
    }
    h1_client_destroy(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        run_server(data[0], data + 1, size - 1);
        run_client(data[0], data + 1, size - 1);
    }
    return 0;
}
