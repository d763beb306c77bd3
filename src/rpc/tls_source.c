/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/tls_source.h"

#include "base/err.h"
#include "base/log.h"

struct secured {
    struct rpc_tls base;
    const struct rpc_tls_source *source;
    struct tls_conn *conn;
    char *peer;
    bool is_rejected;
};

static struct secured *of(const struct rpc_tls *t)
{
    return container_of((struct rpc_tls *)(uintptr_t)t, struct secured, base);
}

static void reject(struct rpc_tls *t, const char *why)
{
    struct secured *s = of(t);
    if (s->is_rejected) {
        return;
    }
    s->is_rejected = true;
    struct buf ips = BUF_INIT, dns = BUF_INIT;
    const char *msg = s->source->is_peer ? "rejected connection on peer endpoint"
                                         : "rejected connection on client endpoint";
    if (tls_conn_peer_names(s->conn, &ips, &dns)) {
        log_warn(msg, LOG_STR("remote-addr", s->peer),
                 LOG_STR("server-name", tls_conn_server_name(s->conn)),
                 LOG_JSON("ip-addresses", buf_cstr(&ips)), LOG_JSON("dns-names", buf_cstr(&dns)),
                 LOG_STR("error", why));
    } else {
        log_warn(msg, LOG_STR("remote-addr", s->peer),
                 LOG_STR("server-name", tls_conn_server_name(s->conn)), LOG_STR("error", why));
    }
    buf_deinit(&ips);
    buf_deinit(&dns);
}

static int feed(struct rpc_tls *t, struct slice bytes, struct buf *in, struct buf *out)
{
    struct secured *s = of(t);
    bool was_ready = tls_conn_is_ready(s->conn);
    int err = tls_conn_feed(s->conn, bytes, in, out);
    if (err != 0 && err != ERR_END && !was_ready && tls_conn_is_server(s->conn)) {
        reject(t, tls_conn_error(s->conn));
    }
    return err;
}

static int seal(struct rpc_tls *t, const struct slice *parts, size_t count, struct buf *out)
{
    return tls_conn_seal(of(t)->conn, parts, count, out);
}

static void shut_down(struct rpc_tls *t, struct buf *out)
{
    tls_conn_shutdown(of(t)->conn, out);
}

static bool is_ready(const struct rpc_tls *t)
{
    return tls_conn_is_ready(of(t)->conn);
}

static const char *alpn(const struct rpc_tls *t)
{
    return tls_conn_alpn(of(t)->conn);
}

static const char *common_name(const struct rpc_tls *t)
{
    return tls_conn_common_name(of(t)->conn);
}

static const char *error_text(const struct rpc_tls *t)
{
    return tls_conn_error(of(t)->conn);
}

static bool asks(const struct rpc_tls *t, const char **host, struct buf *names)
{
    return tls_conn_asks(of(t)->conn, host, names);
}

static void answer(struct rpc_tls *t, bool is_yes)
{
    tls_conn_answer(of(t)->conn, is_yes);
    if (!is_yes) {
        reject(t, tls_conn_error(of(t)->conn));
    }
}

static void destroy(struct rpc_tls *t)
{
    struct secured *s = of(t);
    tls_conn_destroy(s->conn);
    mem_free(s->peer);
    mem_free(s);
}

static const struct rpc_tls_ops ops = {
    .feed = feed,
    .seal = seal,
    .shutdown = shut_down,
    .is_ready = is_ready,
    .alpn = alpn,
    .peer_common_name = common_name,
    .error_text = error_text,
    .reject = reject,
    .asks = asks,
    .answer = answer,
    .destroy = destroy,
};

static struct rpc_tls *create(void *arg, const char *peer)
{
    const struct rpc_tls_source *source = arg;
    struct secured *s = mem_zalloc(sizeof(*s));
    struct tls_conn_options o = {
        .peer = peer, .alpn = source->alpn, .checks_address = source->checks_address};
    s->base.ops = &ops;
    s->source = source;
    s->peer = mem_strdup(peer);
    s->conn = tls_conn_create(source->context, &o);
    return &s->base;
}

void rpc_tls_source_init(struct rpc_tls_source *s, struct tls_context *context)
{
    *s = (struct rpc_tls_source){.context = context};
    s->factory = (struct rpc_tls_factory){create, s};
}
