/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/tls_feed: the first flight of a TLS connection, in pieces, into a server that demands a
 * certificate and allows some names, and the answer of a server into a client.  The first byte
 * chooses the side and the size of the pieces.
 *
 * deps: tls_dep; test/lib/certs.c, test/lib/memfs.c
 */
#include <stdint.h>
#include <stdlib.h>

#include "certs.h"
#include "tls/conn.h"

static struct certs_env files;
static struct tls_context *contexts[2];

static struct tls_context *make(const struct tls_config *conf)
{
    struct tls_context *c = NULL;
    struct buf error = BUF_INIT;
    if (tls_context_create(&files.env, conf, &c, &error) != 0) {
        abort();
    }
    buf_deinit(&error);
    return c;
}

static void set_up(void)
{
    static const char *const cns[] = {"alice"};
    struct cert ca, one;
    certs_env_make(&files);
    cert_make(&ca, &(struct certs_spec){.cn = "ca", .is_ca = true}, NULL);
    memfs_put(files.fs, "ca.crt", buf_slice(&ca.pem));
    cert_make(&one, &(struct certs_spec){.cn = "alice", .san = "IP:127.0.0.1,DNS:a"}, &ca);
    certs_env_put(&files, "one", &one, NULL);
    struct tls_config conf = {.cert_file = "one.crt",
                              .key_file = "one.key",
                              .ca_file = "ca.crt",
                              .allowed_cns = {cns, 1}};
    for (int side = 0; side < 2; side++) {
        conf.side = side == 0 ? TLS_SERVER : TLS_CLIENT;
        contexts[side] = make(&conf);
    }
    cert_free(&ca);
    cert_free(&one);
}

static struct tls_conn *conn(int side)
{
    struct tls_conn_options o = {.peer = "127.0.0.1:1", .alpn = "h2", .checks_address = true};
    return tls_conn_create(contexts[side], &o);
}

static void feed_pieces(struct tls_conn *t, struct slice bytes, size_t step)
{
    struct buf in = BUF_INIT, out = BUF_INIT, ips = BUF_INIT, dns = BUF_INIT;
    int err = tls_conn_feed(t, SLICE_NULL, &in, &out);
    while (err == 0 && bytes.len > 0) {
        size_t n = bytes.len < step ? bytes.len : step;
        err = tls_conn_feed(t, slice_make(bytes.data, n), &in, &out);
        bytes = slice_skip(bytes, n);
    }
    if (in.len > 0 || tls_conn_is_ready(t)) {
        abort(); /* nobody has a key */
    }
    if (err != 0 && err != ERR_END && tls_conn_error(t)[0] == '\0') {
        abort(); /* a failure says why */
    }
    (void)tls_conn_peer_names(t, &ips, &dns);
    tls_conn_shutdown(t, &out);
    buf_deinit(&in);
    buf_deinit(&out);
    buf_deinit(&ips);
    buf_deinit(&dns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (contexts[0] == NULL) {
        set_up();
    }
    if (size == 0) {
        return 0;
    }
    struct tls_conn *t = conn(data[0] & 1);
    size_t step = (size_t)(data[0] >> 1) == 0 ? SIZE_MAX : (size_t)(data[0] >> 1);
    feed_pieces(t, slice_make(data + 1, size - 1), step);
    tls_conn_destroy(t);
    return 0;
}
