/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/link: see link.h.
 */
#include "rpc/link.h"

enum { ALERT_FLUSH_MS = 1000 };

void rpc_scratch_init(struct rpc_scratch *s)
{
    http_out_init(&s->out);
    buf_init(&s->plain);
    buf_init(&s->cipher);
}

void rpc_scratch_deinit(struct rpc_scratch *s)
{
    http_out_deinit(&s->out);
    buf_deinit(&s->plain);
    buf_deinit(&s->cipher);
}

static void write_parts(struct rpc_link *l, const struct slice *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        l->bytes_out += parts[i].len;
    }
    l->conn->ops->write(l->conn, parts, count);
}

static void write_cipher(struct rpc_link *l)
{
    struct slice s = buf_slice(&l->scratch->cipher);
    if (s.len > 0) {
        write_parts(l, &s, 1);
    }
    buf_clear(&l->scratch->cipher);
}

static void become_up(struct rpc_link *l)
{
    l->is_up = true;
    l->ops->on_ready(l);
}

/* ---- receiving --------------------------------------------------------------------------------
 */

/* A question about names is out: nothing is read until it is answered. */
static void maybe_ask(struct rpc_link *l)
{
    const char *host;
    struct buf names = BUF_INIT;
    if (l->tls->ops->asks != NULL && l->tls->ops->asks(l->tls, &host, &names)) {
        l->is_asking = true;
        l->conn->ops->read_pause(l->conn);
        if (l->ops->on_asked != NULL) {
            l->ops->on_asked(l);
        } else {
            rpc_link_answer(l, false);
        }
    }
    buf_deinit(&names);
}

static void tls_feed(struct rpc_link *l, struct slice bytes)
{
    struct rpc_scratch *s = l->scratch;
    buf_clear(&s->plain);
    buf_clear(&s->cipher);
    int err = l->tls->ops->feed(l->tls, bytes, &s->plain, &s->cipher);
    write_cipher(l);
    if (err < 0 && err != ERR_END) {
        rpc_link_close(l, ALERT_FLUSH_MS);
        return;
    }
    if (!l->is_up && l->tls->ops->is_ready(l->tls)) {
        become_up(l);
    } else if (!l->is_up) {
        maybe_ask(l);
    }
    if (l->is_up && s->plain.len > 0 && !l->is_closing) {
        l->ops->on_bytes(l, buf_slice(&s->plain));
    }
    if (err == ERR_END && !l->is_closing) {
        l->ops->on_eof(l);
    }
}

/* Public-key work is slow: a storm of new connections must not hold up those that are there. */
static bool must_wait(struct rpc_link *l, struct slice bytes)
{
    if (l->held.len == 0 && !l->is_asking &&
        (l->is_up || l->ops->may_handshake == NULL || l->ops->may_handshake(l))) {
        return false;
    }
    buf_append_slice(&l->held, bytes);
    l->conn->ops->read_pause(l->conn);
    return true;
}

void rpc_link_go_on(struct rpc_link *l)
{
    struct buf held = l->held;
    buf_init(&l->held);
    if (!l->is_closing) {
        if (!l->is_paused) {
            l->conn->ops->read_resume(l->conn);
        }
        tls_feed(l, buf_slice(&held));
    }
    buf_deinit(&held);
}

void rpc_link_answer(struct rpc_link *l, bool is_yes)
{
    l->is_asking = false;
    if (l->is_closing) {
        return;
    }
    l->tls->ops->answer(l->tls, is_yes);
    if (is_yes) {
        rpc_link_go_on(l);
    } else {
        rpc_link_close(l, ALERT_FLUSH_MS);
    }
}

const char *rpc_link_tls_error(const struct rpc_link *l)
{
    return l->tls == NULL ? "" : l->tls->ops->error_text(l->tls);
}

void rpc_link_feed(struct rpc_link *l, struct slice bytes)
{
    if (l->is_closing) {
        return;
    }
    if (l->tls == NULL) {
        l->ops->on_bytes(l, bytes);
    } else if (!must_wait(l, bytes)) {
        tls_feed(l, bytes);
    }
}

static void on_data(void *arg, struct slice bytes)
{
    struct rpc_link *l = arg;
    l->bytes_in += bytes.len;
    rpc_link_feed(l, bytes);
}

static void on_eof(void *arg)
{
    struct rpc_link *l = arg;
    if (!l->is_closing) {
        l->ops->on_eof(l);
    }
}

static void on_drain(void *arg)
{
    struct rpc_link *l = arg;
    if (!l->is_closing) {
        l->ops->on_drain(l);
    }
}

static void on_close(void *arg, int err)
{
    struct rpc_link *l = arg;
    struct rpc_tls *tls = l->tls;
    l->is_closing = true;
    l->conn = NULL;
    buf_deinit(&l->held);
    l->ops->on_closed(l, err); /* the link may be gone now */
    if (tls != NULL) {
        tls->ops->destroy(tls);
    }
}

static const struct env_conn_events link_events = {
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_close = on_close,
};

/* A client's first event is on_drain: connected (env.h). */
static void on_connected(void *arg)
{
    struct rpc_link *l = arg;
    if (l->is_closing) {
        return;
    }
    l->conn->events = &link_events;
    l->is_connected = true;
    if (l->tls != NULL) {
        tls_feed(l, SLICE_NULL);
    } else {
        become_up(l);
    }
}

static const struct env_conn_events connect_events = {
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drain = on_connected,
    .on_close = on_close,
};

/* ---- life -------------------------------------------------------------------------------------
 */

static void link_init(struct rpc_link *l, struct rpc_tls *tls, struct rpc_scratch *scratch,
                      const struct rpc_link_ops *ops)
{
    *l = (struct rpc_link){.tls = tls, .scratch = scratch, .ops = ops};
}

void rpc_link_attach(struct rpc_link *l, struct env_conn *conn, struct rpc_tls *tls,
                     struct rpc_scratch *scratch, const struct rpc_link_ops *ops)
{
    link_init(l, tls, scratch, ops);
    l->conn = conn;
    l->is_connected = true;
    conn->events = &link_events;
    conn->arg = l;
    if (tls == NULL) {
        become_up(l);
    }
}

int rpc_link_connect(struct rpc_link *l, struct env *env, const char *addr, uint64_t timeout_ms,
                     struct rpc_tls *tls, struct rpc_scratch *scratch,
                     const struct rpc_link_ops *ops)
{
    link_init(l, tls, scratch, ops);
    int err = env->net->ops->connect(env->net, addr, timeout_ms, &connect_events, l, &l->conn);
    if (err != 0 && tls != NULL) {
        tls->ops->destroy(tls);
        l->tls = NULL;
    }
    return err;
}

void rpc_link_start_tls(struct rpc_link *l, struct rpc_tls *tls)
{
    ensure(l->tls == NULL);
    l->tls = tls;
    l->is_up = false;
}

/* ---- sending ----------------------------------------------------------------------------------
 */

void rpc_link_write(struct rpc_link *l, const struct http_out *out)
{
    if (l->is_closing || out->bytes == 0) {
        return;
    }
    if (l->tls == NULL) {
        write_parts(l, out->parts, out->count);
        return;
    }
    buf_clear(&l->scratch->cipher);
    if (l->tls->ops->seal(l->tls, out->parts, out->count, &l->scratch->cipher) < 0) {
        rpc_link_close(l, 0);
        return;
    }
    write_cipher(l);
}

size_t rpc_link_queued(const struct rpc_link *l)
{
    return l->conn == NULL ? 0 : l->conn->ops->queued(l->conn);
}

void rpc_link_pause(struct rpc_link *l, bool paused)
{
    if (l->is_closing || l->is_paused == paused) {
        return;
    }
    l->is_paused = paused;
    if (paused) {
        l->conn->ops->read_pause(l->conn);
    } else {
        l->conn->ops->read_resume(l->conn);
    }
}

void rpc_link_close(struct rpc_link *l, uint64_t flush_ms)
{
    if (l->is_closing) {
        return;
    }
    l->is_closing = true;
    if (l->tls != NULL && l->is_up) {
        buf_clear(&l->scratch->cipher);
        l->tls->ops->shutdown(l->tls, &l->scratch->cipher);
        write_cipher(l);
    }
    l->conn->ops->close(l->conn, flush_ms);
}
