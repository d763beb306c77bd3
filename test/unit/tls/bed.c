/* SPDX-License-Identifier: Apache-2.0 */
#include "bed.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

void bed_issue(struct bed *b, const char *name, const struct certs_spec *spec, bool is_others)
{
    struct cert c;
    cert_make(&c, spec, is_others ? &b->other_ca : &b->ca);
    certs_env_put(&b->env, name, &c, NULL);
    cert_free(&c);
}

void bed_make(struct bed *b)
{
    *b = (struct bed){0};
    certs_env_make(&b->env);
    cert_make(&b->ca, &(struct certs_spec){.cn = "ca", .is_ca = true}, NULL);
    cert_make(&b->other_ca, &(struct certs_spec){.cn = "other", .is_ca = true}, NULL);
    memfs_put(b->env.fs, "ca.crt", buf_slice(&b->ca.pem));
    memfs_put(b->env.fs, "other.crt", buf_slice(&b->other_ca.pem));
    bed_issue(b, "server",
              &(struct certs_spec){.cn = "server",
                                   .san = "IP:127.0.0.1,DNS:localhost",
                                   .usage = "serverAuth,clientAuth"},
              false);
    bed_issue(b, "client", &(struct certs_spec){.cn = "alice", .usage = "clientAuth"}, false);
    b->server_conf = (struct tls_config){.side = TLS_SERVER,
                                         .cert_file = "server.crt",
                                         .key_file = "server.key",
                                         .ca_file = "ca.crt"};
    b->client_conf = (struct tls_config){.side = TLS_CLIENT,
                                         .cert_file = "client.crt",
                                         .key_file = "client.key",
                                         .ca_file = "ca.crt"};
    b->server_opts = (struct tls_conn_options){.peer = "127.0.0.1:40000", .alpn = "h2"};
    b->client_opts = (struct tls_conn_options){.peer = "127.0.0.1:2379", .alpn = "h2"};
}

static void end_close(struct end *e)
{
    tls_conn_destroy(e->conn);
    e->conn = NULL;
    buf_deinit(&e->got);
    buf_deinit(&e->out);
    e->err = 0;
}

void bed_close(struct bed *b)
{
    end_close(&b->server);
    end_close(&b->client);
}

void bed_forget(struct bed *b)
{
    bed_close(b);
    tls_context_unref(b->server.context);
    tls_context_unref(b->client.context);
    b->server.context = b->client.context = NULL;
}

void bed_free(struct bed *b)
{
    bed_forget(b);
    cert_free(&b->ca);
    cert_free(&b->other_ca);
    certs_env_free(&b->env);
}

static void end_open(struct bed *b, struct end *e, const struct tls_config *conf,
                     const struct tls_conn_options *opts)
{
    struct buf error = BUF_INIT;
    if (e->context == NULL && tls_context_create(&b->env.env, conf, &e->context, &error) != 0) {
        fail_msg("%s", buf_cstr(&error));
    }
    e->conn = tls_conn_create(e->context, opts);
    buf_deinit(&error);
}

void bed_open(struct bed *b)
{
    bed_close(b);
    end_open(b, &b->server, &b->server_conf, &b->server_opts);
    end_open(b, &b->client, &b->client_conf, &b->client_opts);
    b->client.err = tls_conn_feed(b->client.conn, SLICE_NULL, &b->client.got, &b->client.out);
}

/* From out of one end into the other; false: nothing to carry. */
static bool carry(struct end *from, struct end *to, size_t chunk)
{
    size_t n = from->out.len < chunk ? from->out.len : chunk;
    if (n == 0) {
        return false;
    }
    struct buf piece = BUF_INIT;
    buf_append(&piece, from->out.data, n);
    buf_consume(&from->out, n);
    if (to->err == 0) {
        to->err = tls_conn_feed(to->conn, buf_slice(&piece), &to->got, &to->out);
    }
    buf_deinit(&piece);
    return true;
}

void bed_run(struct bed *b, size_t chunk)
{
    while (carry(&b->client, &b->server, chunk) || carry(&b->server, &b->client, chunk)) {
    }
}

bool bed_shake(struct bed *b)
{
    bed_open(b);
    bed_run(b, SIZE_MAX);
    return tls_conn_is_ready(b->server.conn) && tls_conn_is_ready(b->client.conn) &&
           b->server.err == 0 && b->client.err == 0;
}

void end_send(struct end *e, struct slice bytes)
{
    assert_int_equal(tls_conn_seal(e->conn, &bytes, 1, &e->out), 0);
}
