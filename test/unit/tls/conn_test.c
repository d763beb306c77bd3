/* SPDX-License-Identifier: Apache-2.0
 *
 * Both ends over memory: bytes in any pieces, who may talk to whom, names, revocation, rubbish.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/ssl.h>

#include "base/prng.h"
#include "bed.h"

/* ---- bytes ---- */

static void pieces_of_every_size(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b);
    for (size_t chunk = 1; chunk < 100000; chunk = chunk * 7 + 1) {
        bed_open(&b);
        bed_run(&b, chunk);
        assert_true(tls_conn_is_ready(b.server.conn) && tls_conn_is_ready(b.client.conn));
        assert_string_equal(tls_conn_alpn(b.server.conn), "h2");
        assert_string_equal(tls_conn_alpn(b.client.conn), "h2");
        assert_string_equal(tls_conn_common_name(b.server.conn), "alice");
        assert_string_equal(tls_conn_common_name(b.client.conn), "server");
        end_send(&b.client, SLICE_LIT("question"));
        end_send(&b.server, SLICE_LIT("answer"));
        bed_run(&b, chunk);
        assert_true(slice_equal_cstr(buf_slice(&b.server.got), "question"));
        assert_true(slice_equal_cstr(buf_slice(&b.client.got), "answer"));
    }
    bed_free(&b);
}

/* Many parts of random lengths: the same bytes come out, in records that are full. */
static void parts_make_full_records(void **state)
{
    (void)state;
    enum { PARTS = 300 };
    struct bed b;
    struct prng r;
    struct buf all = BUF_INIT;
    struct slice parts[PARTS];
    prng_init(&r, 7);
    bed_make(&b);
    assert_true(bed_shake(&b));
    for (int round = 0; round < 20; round++) {
        size_t count = prng_below(&r, PARTS), at = 0;
        size_t lens[PARTS];
        buf_clear(&all);
        for (size_t i = 0; i < count; i++) {
            lens[i] = prng_below(&r, 10) == 0 ? prng_below(&r, 60000) : prng_below(&r, 200);
            memset(buf_extend(&all, lens[i]), (int)(i & 255), lens[i]);
        }
        for (size_t i = 0; i < count; at += lens[i], i++) {
            parts[i] = slice_make(all.data + at, lens[i]);
        }
        assert_int_equal(tls_conn_seal(b.server.conn, parts, count, &b.server.out), 0);
        size_t records = (all.len + 16383) / 16384;
        /* A part that begins inside a record ends it: never more than one short record a part that
         * is longer than a record. */
        assert_true(b.server.out.len <= all.len + (records + 1) * 64 + count);
        bed_run(&b, 1 + prng_below(&r, 70000));
        assert_true(slice_equal(buf_slice(&b.client.got), buf_slice(&all)));
        buf_clear(&b.client.got);
    }
    buf_deinit(&all);
    bed_free(&b);
}

static void an_orderly_end(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b);
    assert_true(bed_shake(&b));
    end_send(&b.client, SLICE_LIT("last"));
    tls_conn_shutdown(b.client.conn, &b.client.out);
    bed_run(&b, SIZE_MAX);
    assert_int_equal(b.server.err, ERR_END);
    assert_true(slice_equal_cstr(buf_slice(&b.server.got), "last"));
    /* The other direction still works. */
    end_send(&b.server, SLICE_LIT("bye"));
    bed_run(&b, 3);
    assert_true(slice_equal_cstr(buf_slice(&b.client.got), "bye"));
    bed_free(&b);
}

static void nothing_before_the_handshake(void **state)
{
    (void)state;
    struct bed b;
    struct buf out = BUF_INIT;
    struct slice s = SLICE_LIT("x");
    bed_make(&b);
    bed_open(&b);
    assert_int_equal(tls_conn_seal(b.client.conn, &s, 1, &out), ERR_CLOSED);
    tls_conn_shutdown(b.server.conn, &out);
    tls_conn_shutdown(b.client.conn, &out);
    assert_int_equal(out.len, 0);
    assert_string_equal(tls_conn_error(b.server.conn), "");
    bed_free(&b);
}

/* ---- who may talk to whom ---- */

#define UNKNOWN "tls: failed to verify certificate: x509: certificate signed by unknown authority"

static const struct {
    const char *name;
    struct certs_spec spec;
    bool is_others;
    const char *server, *client; /* texts; "" fine */
} client_cases[] = {
    {"good", {.cn = "alice", .usage = "clientAuth"}, false, "", ""},
    {"any usage", {.cn = "alice"}, false, "", ""},
    {"rsa", {.cn = "alice", .is_rsa = true}, false, "", ""},
    {"server only",
     {.cn = "s", .usage = "serverAuth"},
     false,
     "tls: failed to verify certificate: x509: certificate specifies an incompatible key usage",
     "remote error: tls: bad certificate"},
    {"stranger", {.cn = "m"}, true, UNKNOWN, "remote error: tls: unknown certificate authority"},
    {"old",
     {.cn = "o", .to_s = CERTS_NOW_S - 1},
     false,
     "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: "
     "current "
     "time 2023-11-14T22:13:20Z is after 2023-11-14T22:13:19Z",
     "remote error: tls: expired certificate"},
    {"early",
     {.cn = "e", .from_s = CERTS_NOW_S + 60},
     false,
     "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: "
     "current "
     "time 2023-11-14T22:13:20Z is before 2023-11-14T22:14:20Z",
     "remote error: tls: bad certificate"},
};

static void client_certificates(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b);
    for (size_t i = 0; i < ARRAY_LEN(client_cases); i++) {
        bed_issue(&b, "client", &client_cases[i].spec, client_cases[i].is_others);
        bed_forget(&b);
        bool ok = bed_shake(&b);
        assert_string_equal(tls_conn_error(b.server.conn), client_cases[i].server);
        assert_string_equal(tls_conn_error(b.client.conn), client_cases[i].client);
        assert_int_equal(ok, client_cases[i].server[0] == '\0');
    }
    b.client_conf.cert_file = b.client_conf.key_file = NULL;
    bed_forget(&b);
    assert_false(bed_shake(&b));
    assert_string_equal(tls_conn_error(b.server.conn), "tls: client didn't provide a certificate");
    assert_string_equal(tls_conn_error(b.client.conn), "remote error: tls: certificate required");
    b.server_conf.ca_file = NULL; /* no CA, no --client-cert-auth: nobody asks */
    bed_forget(&b);
    assert_true(bed_shake(&b));
    assert_string_equal(tls_conn_common_name(b.server.conn), "");
    b.server_conf.needs_peer_cert = true; /* the system's CAs do not know ours */
    bed_forget(&b);
    assert_false(bed_shake(&b));
    assert_string_equal(tls_conn_error(b.server.conn), "tls: client didn't provide a certificate");
    bed_free(&b);
}

/* A chain over an intermediate, and an intermediate as the anchor. */
static void chains(void **state)
{
    (void)state;
    struct bed b;
    struct cert middle, leaf;
    bed_make(&b);
    cert_make(&middle, &(struct certs_spec){.cn = "middle", .is_ca = true}, &b.ca);
    cert_make(&leaf, &(struct certs_spec){.cn = "leaf"}, &middle);
    certs_env_put(&b.env, "client", &leaf, &middle);
    assert_true(bed_shake(&b));
    certs_env_put(&b.env, "client", &leaf, NULL);
    bed_forget(&b);
    assert_false(bed_shake(&b));
    assert_string_equal(tls_conn_error(b.server.conn), UNKNOWN);
    memfs_put(b.env.fs, "middle.crt", buf_slice(&middle.pem));
    b.server_conf.ca_file = "middle.crt";
    bed_forget(&b);
    assert_true(bed_shake(&b));
    cert_free(&middle);
    cert_free(&leaf);
    bed_free(&b);
}

/* A CA renewed under its old name: the file holds both, certificates of both are good; of a third
 * one, they are not. */
static void renewed_ca_of_the_same_name(void **state)
{
    (void)state;
    struct bed b;
    struct cert cas[3], leaf;
    struct buf both = BUF_INIT;
    bed_make(&b);
    for (int i = 0; i < 3; i++) {
        cert_make(&cas[i], &(struct certs_spec){.cn = "same", .is_ca = true}, NULL);
    }
    buf_append_slice(&both, buf_slice(&cas[0].pem));
    buf_append_slice(&both, buf_slice(&cas[1].pem));
    memfs_put(b.env.fs, "both.crt", buf_slice(&both));
    b.server_conf.ca_file = "both.crt";
    for (int i = 0; i < 3; i++) {
        struct certs_spec spec = {.cn = "c", .usage = "clientAuth"};
        cert_make(&leaf, &spec, &cas[i]);
        certs_env_put(&b.env, "client", &leaf, NULL);
        bed_forget(&b);
        assert_int_equal(bed_shake(&b), i < 2);
        if (i == 2) {
            assert_string_equal(tls_conn_error(b.server.conn), UNKNOWN);
            assert_string_equal(tls_conn_error(b.client.conn),
                                "remote error: tls: unknown certificate authority");
        }
        cert_free(&leaf);
        /* The second try looks at usage and dates too. */
        spec = (struct certs_spec){.cn = "c", .usage = "serverAuth"};
        cert_make(&leaf, &spec, &cas[i]);
        certs_env_put(&b.env, "client", &leaf, NULL);
        bed_forget(&b);
        assert_false(bed_shake(&b));
        cert_free(&leaf);
        spec = (struct certs_spec){.cn = "c", .to_s = CERTS_NOW_S - 1};
        cert_make(&leaf, &spec, &cas[i]);
        certs_env_put(&b.env, "client", &leaf, NULL);
        bed_forget(&b);
        assert_false(bed_shake(&b));
        cert_free(&leaf);
    }
    for (int i = 0; i < 3; i++) {
        cert_free(&cas[i]);
    }
    buf_deinit(&both);
    bed_free(&b);
}

static const struct {
    const char *san, *cn, *addr, *name; /* name: server_name of the configuration */
    const char *client;
    const char *asked; /* server name the server has seen */
} server_cases[] = {
    {"IP:127.0.0.1", "s", "127.0.0.1:2379", NULL, "", ""},
    {"IP:::1", "s", "[::1]:2379", NULL, "", ""},
    {"DNS:localhost", "s", "localhost:2379", NULL, "", "localhost"},
    {"DNS:*.example.org", "s", "a.example.org:1", NULL, "", "a.example.org"},
    {"DNS:a.example.org", "s", "127.0.0.1:2379", "a.example.org", "", "a.example.org"},
    {"DNS:sock", "s", "unix:/run/sock", NULL, "", "sock"},
    {"DNS:localhost", "s", "unix:localhost:2379", NULL, "", "localhost"},
    {"DNS:localhost,DNS:b", "s", "c:1", NULL, "x509: certificate is valid for localhost, b, not c",
     NULL},
    {"DNS:*.etcd", "s", "A.ETCD.:1", NULL, "", "A.ETCD"},
    {"DNS:*.example.org", "s", "a.b.example.org:1", NULL,
     "x509: certificate is valid for *.example.org, not a.b.example.org", NULL},
    {"DNS:f*.example.org", "s", "foo.example.org:1", NULL,
     "x509: certificate is valid for f*.example.org, not foo.example.org", NULL},
    {"IP:10.0.0.1,IP:10.0.0.2", "s", "127.0.0.1:2379", NULL,
     "x509: certificate is valid for 10.0.0.1, 10.0.0.2, not 127.0.0.1", NULL},
    {"DNS:localhost", "s", "127.0.0.1:2379", NULL,
     "x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs",
     NULL},
    {NULL, "localhost", "localhost:1", NULL,
     "x509: certificate relies on legacy Common Name field, use SANs instead", NULL},
    {NULL, "s", "localhost:1", NULL,
     "x509: certificate is not valid for any names, but wanted to match localhost", NULL},
};

static void server_names(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b);
    for (size_t i = 0; i < ARRAY_LEN(server_cases); i++) {
        struct certs_spec spec = {.cn = server_cases[i].cn, .san = server_cases[i].san};
        bed_issue(&b, "server", &spec, false);
        b.client_opts.peer = server_cases[i].addr;
        b.client_conf.server_name = server_cases[i].name;
        bed_forget(&b);
        bool ok = bed_shake(&b);
        const char *error = tls_conn_error(b.client.conn);
        static const char prefix[] = "tls: failed to verify certificate: ";
        if (server_cases[i].client[0] == '\0') {
            assert_string_equal(error, "");
            assert_string_equal(tls_conn_server_name(b.server.conn), server_cases[i].asked);
        } else {
            assert_memory_equal(error, prefix, sizeof(prefix) - 1);
            assert_string_equal(error + sizeof(prefix) - 1, server_cases[i].client);
            assert_string_equal(tls_conn_error(b.server.conn),
                                "remote error: tls: bad certificate");
        }
        assert_int_equal(ok, server_cases[i].client[0] == '\0');
    }
    b.client_opts.peer = ":2379"; /* no name to verify is not any name */
    bed_open(&b);
    assert_int_not_equal(b.client.err, 0);
    assert_non_null(strstr(tls_conn_error(b.client.conn), "either ServerName"));
    b.client_conf.skips_verify = true;
    bed_forget(&b);
    assert_true(bed_shake(&b));
    assert_string_equal(tls_conn_common_name(b.client.conn), "");
    bed_free(&b);
}

static void wrong_ca_for_the_server(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b);
    b.client_conf.ca_file = "other.crt";
    assert_false(bed_shake(&b));
    assert_string_equal(tls_conn_error(b.client.conn), UNKNOWN);
    b.client_conf.ca_file = NULL; /* the system's */
    bed_forget(&b);
    assert_false(bed_shake(&b));
    assert_string_equal(tls_conn_error(b.client.conn), UNKNOWN);
    b.client_conf.skips_verify = true;
    bed_forget(&b);
    assert_true(bed_shake(&b));
    bed_free(&b);
}

/* ---- allowed names, addresses, revocation ---- */

static void allowed_names(void **state)
{
    (void)state;
    static const char *const cns[] = {"bob", "alice"}, *const others[] = {"bob", "ALICE", "alic"};
    static const char *const hosts[] = {"x", "c.example"};
    struct bed b;
    bed_make(&b);
    b.server_conf.allowed_cns = (struct tls_names){cns, 2};
    assert_true(bed_shake(&b));
    b.server_conf.allowed_cns = (struct tls_names){others, 3};
    bed_forget(&b);
    assert_false(bed_shake(&b));
    assert_string_equal(tls_conn_error(b.server.conn), "client certificate authentication failed");
    assert_string_equal(tls_conn_error(b.client.conn), "remote error: tls: bad certificate");
    struct buf ips = BUF_INIT, dns = BUF_INIT;
    assert_true(tls_conn_peer_names(b.server.conn, &ips, &dns));
    assert_string_equal(buf_cstr(&ips), "[]");
    buf_deinit(&ips);
    buf_deinit(&dns);
    b.server_conf.allowed_cns = (struct tls_names){0};
    b.server_conf.allowed_hosts = (struct tls_names){hosts, 2};
    bed_forget(&b);
    assert_false(bed_shake(&b));
    bed_issue(&b, "client", &(struct certs_spec){.cn = "z", .san = "DNS:*.example"}, false);
    bed_forget(&b);
    assert_true(bed_shake(&b));
    /* The dialling side looks at the server's certificate in the same way. */
    b.client_conf.allowed_cns = (struct tls_names){cns, 2};
    bed_forget(&b);
    assert_false(bed_shake(&b));
    assert_string_equal(tls_conn_error(b.client.conn), "client certificate authentication failed");
    bed_free(&b);
}

static const struct {
    const char *san, *peer, *server;
    const char *asks; /* NULL: no question */
} address_cases[] = {
    {NULL, "127.0.0.1:1", "", NULL},
    {"IP:127.0.0.1", "127.0.0.1:1", "", NULL},
    {"IP:::1", "[::1]:1", "", NULL},
    {"IP:10.0.0.1,IP:127.0.0.1,DNS:a", "127.0.0.1:1", "", NULL},
    {"IP:10.9.9.9", "127.0.0.1:1", "x509: certificate is valid for 10.9.9.9, not 127.0.0.1", NULL},
    {"DNS:a.example,DNS:*.b", "127.0.0.1:1", "", "a.example\0*.b\0"},
    {"IP:10.9.9.9,DNS:a.example", "127.0.0.1:1", "", "a.example\0"},
    {"URI:http://x", "127.0.0.1:1", "", NULL},
};

static void addresses_of_peers(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b);
    b.server_opts.checks_address = true;
    for (size_t i = 0; i < ARRAY_LEN(address_cases); i++) {
        struct certs_spec spec = {.cn = "p", .san = address_cases[i].san};
        bed_issue(&b, "client", &spec, false);
        b.server_opts.peer = address_cases[i].peer;
        bed_forget(&b);
        bed_shake(&b);
        struct buf names = BUF_INIT;
        const char *host = "";
        bool asks = tls_conn_asks(b.server.conn, &host, &names);
        assert_string_equal(tls_conn_error(b.server.conn), address_cases[i].server);
        assert_int_equal(asks, address_cases[i].asks != NULL);
        assert_int_equal(tls_conn_is_ready(b.server.conn),
                         !asks && address_cases[i].server[0] == '\0');
        if (asks) {
            assert_string_equal(host, "127.0.0.1");
            assert_memory_equal(names.data, address_cases[i].asks, names.len);
            assert_int_equal(names.data[names.len - 1], 0);
        }
        buf_deinit(&names);
    }
    bed_free(&b);
}

/* What the client sends behind its handshake waits for the answer and is not lost. */
static void answers_about_names(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b);
    b.server_opts.checks_address = true;
    bed_issue(&b, "client", &(struct certs_spec){.cn = "p", .san = "DNS:a.example"}, false);
    for (int yes = 0; yes < 2; yes++) {
        for (size_t chunk = 1; chunk < 100000; chunk = chunk * 50) {
            bed_open(&b);
            while (!tls_conn_is_ready(b.client.conn)) {
                assert_int_equal(tls_conn_feed(b.server.conn, buf_slice(&b.client.out),
                                               &b.server.got, &b.server.out),
                                 0);
                buf_clear(&b.client.out);
                assert_int_equal(tls_conn_feed(b.client.conn, buf_slice(&b.server.out),
                                               &b.client.got, &b.client.out),
                                 0);
                buf_clear(&b.server.out);
            }
            end_send(&b.client, SLICE_LIT("early"));
            bed_run(&b, chunk);
            assert_int_equal(b.server.got.len, 0);
            tls_conn_answer(b.server.conn, yes == 1);
            int err = tls_conn_feed(b.server.conn, SLICE_NULL, &b.server.got, &b.server.out);
            if (yes == 1) {
                assert_int_equal(err, 0);
                assert_true(slice_equal_cstr(buf_slice(&b.server.got), "early"));
                assert_true(tls_conn_is_ready(b.server.conn));
            } else {
                assert_int_not_equal(err, 0);
                assert_string_equal(tls_conn_error(b.server.conn),
                                    "tls: \"127.0.0.1\" does not match any of DNSNames "
                                    "[\"a.example\"]");
            }
        }
    }
    bed_free(&b);
}

static void revocation(void **state)
{
    (void)state;
    struct bed b;
    struct cert middle, leaf;
    bed_make(&b);
    cert_make(&middle, &(struct certs_spec){.cn = "middle", .is_ca = true}, &b.ca);
    cert_make(&leaf, &(struct certs_spec){.cn = "leaf", .san = "DNS:a,IP:10.0.0.1"}, &middle);
    certs_env_put(&b.env, "client", &leaf, &middle);
    b.server_conf.crl_file = "crl";
    const struct cert *const victims[] = {&leaf, &middle, &b.other_ca};
    for (size_t i = 0; i < 6; i++) {
        struct buf crl = BUF_INIT, want = BUF_INIT;
        certs_crl(&b.ca, &victims[i / 2], 1, i % 2 == 1, &crl);
        memfs_put(b.env.fs, "crl", buf_slice(&crl));
        bed_forget(&b);
        (void)bed_shake(&b);
        if (victims[i / 2] == &b.other_ca) {
            assert_true(tls_conn_is_ready(b.server.conn));
        } else {
            buf_printf(&want, "transport: certificate serial %04lx revoked",
                       ASN1_INTEGER_get(X509_get_serialNumber(victims[i / 2]->x509)));
            assert_string_equal(tls_conn_error(b.server.conn), buf_cstr(&want));
            buf_clear(&want);
            buf_clear(&crl);
            assert_true(tls_conn_peer_names(b.server.conn, &want, &crl));
            assert_string_equal(buf_cstr(&want), "[\"10.0.0.1\"]");
            assert_string_equal(buf_cstr(&crl), "[\"a\"]");
        }
        buf_deinit(&crl);
        buf_deinit(&want);
    }
    cert_free(&middle);
    cert_free(&leaf);
    bed_free(&b);
}

/* ---- versions, suites, ALPN ---- */

static const struct {
    enum tls_version server_min, server_max, client_min, client_max;
    const char *suites; /* the server's */
    const char *server; /* "" fine */
} version_cases[] = {
    {0, 0, 0, 0, "", ""},
    {TLS_VERSION_12, 0, 0, TLS_VERSION_12, "", ""},
    {TLS_VERSION_13, 0, 0, 0, "", ""},
    {0, TLS_VERSION_12, 0, 0, "", ""},
    {TLS_VERSION_13, 0, 0, TLS_VERSION_12, "",
     "tls: client offered only unsupported versions: [303 302 301]"},
    {0, TLS_VERSION_12, TLS_VERSION_13, 0, "",
     "tls: client offered only unsupported versions: [304]"},
    {0, 0, 0, TLS_VERSION_12, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", ""},
    {0, 0, 0, TLS_VERSION_12, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
     "tls: no cipher suite supported by both client and server"},
    {0, 0, 0, 0, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", ""}, /* 1.3 has its own */
    {0, 0, 0, 0, "TLS_AES_128_GCM_SHA256", ""},
};

static void versions_and_suites(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b);
    for (size_t i = 0; i < ARRAY_LEN(version_cases); i++) {
        b.server_conf.min_version = version_cases[i].server_min;
        b.server_conf.max_version = version_cases[i].server_max;
        b.client_conf.min_version = version_cases[i].client_min;
        b.client_conf.max_version = version_cases[i].client_max;
        b.server_conf.ciphers = version_cases[i].suites;
        bed_forget(&b);
        bool ok = bed_shake(&b);
        assert_string_equal(tls_conn_error(b.server.conn), version_cases[i].server);
        assert_int_equal(ok, version_cases[i].server[0] == '\0');
    }
    bed_free(&b);
}

static const struct {
    const char *server, *client, *selected, *error;
} alpn_cases[] = {
    {"h2", "h2", "h2", ""},
    {"h2", NULL, "", ""},
    {"h2", "http/1.1", "", ""},
    {NULL, "h2", "", ""},
    {"http/1.1", "http/1.1", "http/1.1", ""},
    {"http/1.1", "h2", "", "tls: client requested unsupported application protocols ([\"h2\"])"},
    {"h2", "foo", "", "tls: client requested unsupported application protocols ([\"foo\"])"},
};

static void alpn(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b);
    for (size_t i = 0; i < ARRAY_LEN(alpn_cases); i++) {
        b.server_opts.alpn = alpn_cases[i].server;
        b.client_opts.alpn = alpn_cases[i].client;
        bool ok = bed_shake(&b);
        assert_string_equal(tls_conn_error(b.server.conn), alpn_cases[i].error);
        assert_int_equal(ok, alpn_cases[i].error[0] == '\0');
        assert_string_equal(tls_conn_alpn(b.server.conn), alpn_cases[i].selected);
        if (!ok) {
            assert_string_equal(tls_conn_error(b.client.conn),
                                "remote error: tls: no application protocol");
        }
    }
    bed_free(&b);
}

/* ---- rubbish ---- */

static const struct {
    const char *bytes, *error;
} plain_cases[] = {
    {"GET / HTTP/1.1\r\n\r\n", "tls: first record does not look like a TLS handshake"},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "tls: first record does not look like a TLS handshake"},
    {"\x80\x2e\x01", "tls: unsupported SSLv2 handshake received"},
    {"\x17\x03\x03", "tls: first record does not look like a TLS handshake"},
    {"\x16GET / HTTP/1.1", "tls: first record does not look like a TLS handshake"},
};

static void plain_text(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b);
    for (size_t i = 0; i < ARRAY_LEN(plain_cases); i++) {
        bed_open(&b);
        int err = tls_conn_feed(b.server.conn, slice_cstr(plain_cases[i].bytes), &b.server.got,
                                &b.server.out);
        assert_true(err < 0);
        assert_string_equal(tls_conn_error(b.server.conn), plain_cases[i].error);
        assert_int_equal(b.server.out.len, 0); /* closed without a byte */
        assert_int_equal(tls_conn_feed(b.server.conn, SLICE_LIT("x"), &b.server.got, &b.server.out),
                         ERR_CLOSED);
    }
    bed_free(&b);
}

/* A first flight that ends anywhere is waited for; one with a flipped bit never gets through whole
 * and never reads or writes where it must not (the sanitizers look). */
static void cut_and_flipped_hellos(void **state)
{
    (void)state;
    struct bed b;
    struct buf hello = BUF_INIT;
    bed_make(&b);
    bed_open(&b);
    buf_append_slice(&hello, buf_slice(&b.client.out));
    for (size_t len = 1; len < hello.len; len++) {
        bed_open(&b);
        assert_int_equal(
            tls_conn_feed(b.server.conn, slice_make(hello.data, len), &b.server.got, &b.server.out),
            0);
        assert_false(tls_conn_is_ready(b.server.conn));
    }
    for (size_t at = 0; at < hello.len; at++) {
        bed_open(&b);
        hello.data[at] ^= 0x41;
        (void)!tls_conn_feed(b.server.conn, buf_slice(&hello), &b.server.got, &b.server.out);
        hello.data[at] ^= 0x41;
        assert_false(tls_conn_is_ready(b.server.conn));
    }
    buf_deinit(&hello);
    bed_free(&b);
}

static void damaged_records(void **state)
{
    (void)state;
    struct bed b;
    struct prng r;
    prng_init(&r, 3);
    bed_make(&b);
    for (int i = 0; i < 40; i++) {
        assert_true(bed_shake(&b));
        end_send(&b.client, SLICE_LIT("some bytes that matter"));
        b.client.out.data[prng_below(&r, b.client.out.len)] ^= (uint8_t)(1 + prng_below(&r, 255));
        bed_run(&b, SIZE_MAX);
        /* A longer length leaves the record incomplete: nothing is given out either way. */
        assert_int_equal(b.server.got.len, 0);
    }
    bed_free(&b);
}

/* ---- a client of OpenSSL's own, for what ours never does ---- */

struct raw {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
};

static void raw_open(struct raw *w, int max_version)
{
    w->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(w->ctx, max_version);
    w->ssl = SSL_new(w->ctx);
    w->in = BIO_new(BIO_s_mem());
    w->out = BIO_new(BIO_s_mem());
    SSL_set_bio(w->ssl, w->in, w->out);
    SSL_set_connect_state(w->ssl);
}

static void raw_free(struct raw *w)
{
    SSL_set_shutdown(w->ssl, SSL_SENT_SHUTDOWN); /* else its session is thrown away */
    SSL_free(w->ssl);
    SSL_CTX_free(w->ctx);
}

/* Both sides talk until nothing moves. */
static void raw_run(struct raw *w, struct end *server)
{
    for (int quiet = 0; quiet < 3; quiet++) {
        char junk[4096];
        (void)SSL_read(w->ssl, junk, sizeof(junk));
        char *data;
        long n = BIO_get_mem_data(w->out, &data);
        if (n > 0 && server->err == 0) {
            quiet = 0;
            server->err = tls_conn_feed(server->conn, slice_make(data, (size_t)n), &server->got,
                                        &server->out);
        }
        (void)BIO_reset(w->out);
        if (server->out.len > 0) {
            quiet = 0;
            BIO_write(w->in, server->out.data, (int)server->out.len);
            buf_clear(&server->out);
        }
    }
}

static void renegotiation_is_refused(void **state)
{
    (void)state;
    struct bed b;
    struct raw w;
    bed_make(&b);
    b.server_conf.ca_file = NULL;
    bed_open(&b);
    raw_open(&w, TLS1_2_VERSION);
    raw_run(&w, &b.server);
    assert_true(tls_conn_is_ready(b.server.conn));
    assert_int_equal(SSL_renegotiate(w.ssl), 1);
    (void)SSL_do_handshake(w.ssl);
    raw_run(&w, &b.server);
    assert_int_equal(SSL_is_init_finished(w.ssl), 0); /* never answered with a handshake */
    raw_free(&w);
    bed_free(&b);
}

/* Key updates are followed; a flood of them ends. */
static void key_updates(void **state)
{
    (void)state;
    struct bed b;
    struct raw w;
    bed_make(&b);
    b.server_conf.ca_file = NULL;
    bed_open(&b);
    raw_open(&w, TLS1_3_VERSION);
    raw_run(&w, &b.server);
    assert_true(tls_conn_is_ready(b.server.conn));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(SSL_key_update(w.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_write(w.ssl, "x", 1), 1);
        raw_run(&w, &b.server);
    }
    assert_true(slice_equal_cstr(buf_slice(&b.server.got), "xxxxx"));
    end_send(&b.server, SLICE_LIT("still here"));
    raw_run(&w, &b.server);
    assert_int_equal(b.server.err, 0);
    raw_free(&w);
    bed_free(&b);
}

static SSL_SESSION *ticket;

static int on_session(SSL *ssl, SSL_SESSION *s)
{
    (void)ssl;
    SSL_SESSION_free(ticket);
    ticket = s;
    return 1;
}

static bool resumes(struct bed *b, const struct cert *cert, bool uses_ticket)
{
    struct raw w;
    bed_open(b);
    raw_open(&w, TLS1_3_VERSION);
    SSL_CTX_set_session_cache_mode(w.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(w.ctx, on_session);
    SSL_use_certificate(w.ssl, cert->x509);
    SSL_use_PrivateKey(w.ssl, cert->key);
    if (uses_ticket) {
        assert_int_equal(SSL_set_session(w.ssl, ticket), 1);
    }
    raw_run(&w, &b->server);
    bool is_reused = SSL_session_reused(w.ssl) == 1;
    raw_free(&w);
    return is_reused;
}

/* A ticket resumes, with the name of the certificate; not once that has run out or is revoked, nor
 * over a change of the CAs. */
static void tickets(void **state)
{
    (void)state;
    struct bed b;
    struct cert c;
    bed_make(&b);
    cert_make(&c, &(struct certs_spec){.cn = "carol", .to_s = CERTS_NOW_S + 100}, &b.ca);
    assert_false(resumes(&b, &c, false));
    assert_true(tls_conn_is_ready(b.server.conn));
    assert_non_null(ticket);
    assert_true(resumes(&b, &c, true));
    assert_true(tls_conn_is_ready(b.server.conn));
    assert_string_equal(tls_conn_common_name(b.server.conn), "carol");
    b.env.now_s += 101;
    (void)resumes(&b, &c, true);
    assert_false(tls_conn_is_ready(b.server.conn));
    assert_non_null(strstr(tls_conn_error(b.server.conn), "has expired"));
    b.env.now_s -= 101;
    struct buf both = BUF_INIT, error = BUF_INIT;
    bool is_changed;
    buf_append_slice(&both, buf_slice(&b.ca.pem));
    buf_append_slice(&both, buf_slice(&b.other_ca.pem));
    memfs_put(b.env.fs, "ca.crt", buf_slice(&both));
    assert_int_equal(tls_context_reload(b.server.context, false, &is_changed, &error), 0);
    assert_true(is_changed);
    assert_false(resumes(&b, &c, true)); /* a whole handshake instead */
    assert_true(tls_conn_is_ready(b.server.conn));
    SSL_SESSION_free(ticket);
    ticket = NULL;
    cert_free(&c);
    buf_deinit(&both);
    buf_deinit(&error);
    bed_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_every_size),
        cmocka_unit_test(parts_make_full_records),
        cmocka_unit_test(an_orderly_end),
        cmocka_unit_test(nothing_before_the_handshake),
        cmocka_unit_test(client_certificates),
        cmocka_unit_test(chains),
        cmocka_unit_test(renewed_ca_of_the_same_name),
        cmocka_unit_test(server_names),
        cmocka_unit_test(wrong_ca_for_the_server),
        cmocka_unit_test(allowed_names),
        cmocka_unit_test(addresses_of_peers),
        cmocka_unit_test(answers_about_names),
        cmocka_unit_test(revocation),
        cmocka_unit_test(versions_and_suites),
        cmocka_unit_test(alpn),
        cmocka_unit_test(plain_text),
        cmocka_unit_test(cut_and_flipped_hellos),
        cmocka_unit_test(damaged_records),
        cmocka_unit_test(renegotiation_is_refused),
        cmocka_unit_test(key_updates),
        cmocka_unit_test(tickets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
