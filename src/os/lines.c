/* SPDX-License-Identifier: Apache-2.0
 *
 * os/lines: lines of standard input as events of the loop, beside everything else it waits for.
 *
 * Design      A uv_poll watches the descriptor; a file, which the kernel does not poll, is always
 *             readable: deferred calls read it piece by piece.
 * Thread      main loop.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "os/impl.h"

enum { LINES_PIECE_BYTES = 4096 };

struct os_lines {
    struct os_env *env;
    uv_poll_t poll;
    bool is_polled;
    bool is_closed;
    bool is_deferred;
    bool is_released; /* stopped while a turn is to come, which frees */
    size_t max;
    struct buf part; /* of a line */
    void (*on_line)(void *arg, struct slice line);
    void (*on_end)(void *arg, int err);
    void *arg;
};

static void lines_free(struct os_lines *l)
{
    buf_deinit(&l->part);
    mem_free(l);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct os_lines *l = container_of((uv_poll_t *)(void *)handle, struct os_lines, poll);
    lines_free(l);
}

static void end(struct os_lines *l, int err)
{
    if (l->is_polled) {
        uv_poll_stop(&l->poll);
    }
    l->is_closed = true;
    l->on_end(l->arg, err);
}

/* Whole lines of what has come. */
static void take(struct os_lines *l, struct slice bytes)
{
    while (bytes.len > 0 && !l->is_closed) {
        const uint8_t *nl = memchr(bytes.data, '\n', bytes.len);
        size_t n = nl == NULL ? bytes.len : (size_t)(nl - bytes.data);
        buf_append(&l->part, bytes.data, n);
        if (l->part.len > l->max) {
            end(l, ERR_TOO_LARGE);
            return;
        }
        if (nl == NULL) {
            return;
        }
        bytes = slice_skip(bytes, n + 1);
        l->on_line(l->arg, buf_slice(&l->part));
        buf_clear(&l->part);
    }
}

/* One read; false when there is no more to come now. */
static bool read_piece(struct os_lines *l)
{
    uint8_t piece[LINES_PIECE_BYTES];
    ssize_t n = read(OS_STDIN, piece, sizeof(piece));
    if (n > 0) {
        take(l, slice_make(piece, (size_t)n));
        return !l->is_closed;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    end(l, n == 0 ? ERR_END : os_fail());
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct os_lines *l = container_of(poll, struct os_lines, poll);
    (void)status;
    (void)events;
    (void)read_piece(l);
}

static void on_file_turn(void *arg)
{
    struct os_lines *l = arg;
    struct env_exec *exec = &l->env->exec.base;
    if (l->is_released) {
        lines_free(l);
        return;
    }
    l->is_deferred = false;
    if (read_piece(l)) {
        l->is_deferred = true;
        exec->ops->defer(exec, on_file_turn, l);
    }
}

int os_lines_start(struct env *env, size_t max, void (*on_line)(void *arg, struct slice line),
                   void (*on_end)(void *arg, int err), void *arg, struct os_lines **out)
{
    struct os_lines *l = mem_zalloc(sizeof(*l));
    *l = (struct os_lines){
        .env = os_env_of(env), .max = max, .on_line = on_line, .on_end = on_end, .arg = arg};
    buf_init(&l->part);
    int rc = uv_poll_init(&l->env->loop, &l->poll, OS_STDIN);
    if (rc == 0) {
        l->is_polled = true;
        rc = uv_poll_start(&l->poll, UV_READABLE, on_readable);
        ensure(rc == 0);
    } else {
        struct env_exec *exec = &l->env->exec.base;
        l->is_deferred = true;
        exec->ops->defer(exec, on_file_turn, l);
    }
    *out = l;
    return 0;
}

void os_lines_stop(struct os_lines *l)
{
    if (l == NULL) {
        return;
    }
    l->is_closed = true;
    if (l->is_polled) {
        uv_close((uv_handle_t *)&l->poll, on_poll_closed);
    } else if (l->is_deferred) {
        l->is_released = true;
    } else {
        lines_free(l);
    }
}
