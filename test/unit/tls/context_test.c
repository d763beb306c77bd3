/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that are good, bad and change; connections that live through it; several threads at once.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "bed.h"
#include "base/limits.h"

/* ---- texts of a start ---- */

static const struct {
    const char *cert, *key, *ca, *crl, *error;
} create_cases[] = {
    {"server.crt", "server.key", "ca.crt", NULL, ""},
    {"server.crt", "server.key", "empty", NULL, ""}, /* no CA in a CA file: an empty pool */
    {"no", "server.key", NULL, NULL, "open no: memfs"},
    {"server.crt", "no", NULL, NULL, "open no: memfs"},
    {"server.crt", "server.key", "no", NULL, "open no: memfs"},
    {"server.crt", "server.key", NULL, "no", "open no: memfs"},
    {"server.crt", "client.key", NULL, NULL, "tls: private key does not match public key"},
    {"rubbish", "server.key", NULL, NULL, "tls: failed to find any PEM data in certificate input"},
    {"empty", "server.key", NULL, NULL, "tls: failed to find any PEM data in certificate input"},
    {"server.key", "server.key", NULL, NULL,
     "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks "
     "of "
     "the following types: [PRIVATE KEY]"},
    {"badcert", "server.key", NULL, NULL, "x509: malformed certificate"},
    {"server.crt", "rubbish", NULL, NULL, "tls: failed to find any PEM data in key input"},
    {"server.crt", "badcert", NULL, NULL, "tls: failed to parse private key"},
    {"server.crt", "locked", NULL, NULL, "tls: failed to parse private key"},
    {"server.crt", "server.key", "badcert", NULL, "x509: malformed certificate"},
    {"server.crt", "server.key", "server.key", NULL, "x509: malformed certificate"},
    {"server.crt", "server.key", NULL, "rubbish", "x509: malformed crl"},
    {"server.crt", "server.key", NULL, "server.crt", "x509: malformed crl"},
    {"big", "server.key", NULL, NULL, "open big: too large"},
};

static void put_bad_files(struct bed *b)
{
    static const char bad[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    static const char locked[] =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIBvTBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHAQI\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n";
    struct buf big = BUF_INIT;
    memfs_put(b->env.fs, "empty", SLICE_NULL);
    memfs_put(b->env.fs, "rubbish", SLICE_LIT("\1\2\3 no certificate at all"));
    memfs_put(b->env.fs, "badcert", SLICE_LIT(bad));
    memfs_put(b->env.fs, "locked", SLICE_LIT(locked));
    memset(buf_extend(&big, LIMIT_TLS_FILE_BYTES + 1), 'x', LIMIT_TLS_FILE_BYTES + 1);
    memfs_put(b->env.fs, "big", buf_slice(&big));
    buf_deinit(&big);
}

static void starts(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b);
    put_bad_files(&b);
    for (size_t i = 0; i < ARRAY_LEN(create_cases); i++) {
        struct tls_config conf = {.side = TLS_SERVER,
                                  .cert_file = create_cases[i].cert,
                                  .key_file = create_cases[i].key,
                                  .ca_file = create_cases[i].ca,
                                  .crl_file = create_cases[i].crl};
        struct tls_context *c = NULL;
        struct buf error = BUF_INIT;
        int err = tls_context_create(&b.env.env, &conf, &c, &error);
        assert_string_equal(buf_cstr(&error), create_cases[i].error);
        assert_int_equal(err == 0, create_cases[i].error[0] == '\0');
        assert_int_equal(c != NULL, err == 0);
        tls_context_unref(c);
        buf_deinit(&error);
    }
    bed_free(&b);
}

/* ---- reloading ---- */

/* Text of the refusal, "same" or "new". */
static void expect_reload(struct bed *b, bool is_asked, const char *want)
{
    struct buf error = BUF_INIT;
    bool is_changed = false;
    int err = tls_context_reload(b->server.context, is_asked, &is_changed, &error);
    const char *got = err != 0 ? buf_cstr(&error) : is_changed ? "new" : "same";
    assert_string_equal(got, want);
    buf_deinit(&error);
}

static void both_talk(struct bed *b)
{
    end_send(&b->client, SLICE_LIT("q"));
    end_send(&b->server, SLICE_LIT("a"));
    bed_run(b, SIZE_MAX);
    assert_true(slice_equal_cstr(buf_slice(&b->server.got), "q"));
    assert_true(slice_equal_cstr(buf_slice(&b->client.got), "a"));
    buf_clear(&b->server.got);
    buf_clear(&b->client.got);
}

static void new_files_are_used(void **state)
{
    (void)state;
    struct bed b, second;
    bed_make(&b);
    assert_true(bed_shake(&b));
    expect_reload(&b, false, "same");
    struct certs_spec next = {.cn = "next", .san = "IP:127.0.0.1"};
    bed_issue(&b, "server", &next, false);
    expect_reload(&b, false, "new");
    expect_reload(&b, false, "same");
    both_talk(&b);
    assert_string_equal(tls_conn_common_name(b.client.conn), "server");
    /* A second pair of ends over the same contexts. */
    second = (struct bed){.env = b.env,
                          .server = {.context = b.server.context},
                          .client = {.context = b.client.context},
                          .server_opts = b.server_opts,
                          .client_opts = b.client_opts};
    assert_true(bed_shake(&second));
    assert_string_equal(tls_conn_common_name(second.client.conn), "next");
    both_talk(&b);
    bed_close(&second);
    bed_free(&b);
}

static void bad_files_are_refused_once(void **state)
{
    (void)state;
    struct bed b;
    struct cert old;
    bed_make(&b);
    cert_make(&old, &(struct certs_spec){.cn = "s", .san = "IP:127.0.0.1"}, &b.ca);
    certs_env_put(&b.env, "server", &old, NULL);
    assert_true(bed_shake(&b));
    memfs_put(b.env.fs, "server.crt", SLICE_LIT("half"));
    expect_reload(&b, false, "tls: failed to find any PEM data in certificate input");
    expect_reload(&b, false, "same");
    expect_reload(&b, true, "tls: failed to find any PEM data in certificate input");
    assert_int_equal(b.env.fs->disk.ops->unlink(&b.env.fs->disk, "server.crt"), 0);
    expect_reload(&b, false, "open server.crt: memfs");
    expect_reload(&b, false, "same");
    expect_reload(&b, true, "open server.crt: memfs");
    memfs_put(b.env.fs, "server.crt", SLICE_LIT("half"));
    expect_reload(&b, false, "tls: failed to find any PEM data in certificate input");
    both_talk(&b);
    assert_true(bed_shake(&b)); /* the old ones still serve */
    certs_env_put(&b.env, "server", &old, NULL);
    expect_reload(&b, false, "same");
    memfs_put(b.env.fs, "server.crt", SLICE_LIT("half")); /* told anew after a good time */
    expect_reload(&b, false, "tls: failed to find any PEM data in certificate input");
    cert_free(&old);
    bed_free(&b);
}

#define CUT_OFF                                                                                    \
    "the new CAs in ca.crt do not verify the certificate \"alice\" of 1 live connection(s); the "  \
    "files that are in use stay (add the new CA beside the old one first)"

static void live_peers_are_not_cut_off(void **state)
{
    (void)state;
    struct bed b;
    struct buf both = BUF_INIT;
    bed_make(&b);
    b.server_conf.keeps_peers = true;
    assert_true(bed_shake(&b));
    memfs_put(b.env.fs, "ca.crt", buf_slice(&b.other_ca.pem));
    expect_reload(&b, false, CUT_OFF);
    expect_reload(&b, false, "same");
    buf_append_slice(&both, buf_slice(&b.ca.pem));
    buf_append_slice(&both, buf_slice(&b.other_ca.pem));
    memfs_put(b.env.fs, "ca.crt", buf_slice(&both));
    expect_reload(&b, false, "new");
    memfs_put(b.env.fs, "ca.crt", buf_slice(&b.other_ca.pem));
    expect_reload(&b, false, CUT_OFF);
    /* A certificate that has run out would not come back anyhow. */
    b.env.now_s += 366 * 86400;
    expect_reload(&b, true, "new");
    b.env.now_s -= 366 * 86400;
    memfs_put(b.env.fs, "ca.crt", buf_slice(&b.ca.pem));
    expect_reload(&b, false, "new"); /* nobody whom the present CAs know is cut off */
    bed_close(&b);
    assert_true(bed_shake(&b));
    memfs_put(b.env.fs, "ca.crt", buf_slice(&b.other_ca.pem));
    expect_reload(&b, false, CUT_OFF);
    expect_reload(&b, false, "same");
    bed_close(&b);
    expect_reload(&b, false, "new"); /* nobody is there any more */
    buf_deinit(&both);
    bed_free(&b);
}

/* Without keeps_peers (clients) a change of CAs is an order. */
static void clients_may_be_cut_off(void **state)
{
    (void)state;
    struct bed b;
    bed_make(&b);
    assert_true(bed_shake(&b));
    memfs_put(b.env.fs, "ca.crt", buf_slice(&b.other_ca.pem));
    expect_reload(&b, false, "new");
    both_talk(&b);
    assert_false(bed_shake(&b));
    bed_free(&b);
}

/* ---- threads ---- */

struct storm {
    struct bed *bed;
    atomic_bool is_over;
    atomic_int handshakes;
};

static void *shake_again_and_again(void *arg)
{
    struct storm *s = arg;
    struct bed mine = {.env = s->bed->env,
                       .server = {.context = s->bed->server.context},
                       .client = {.context = s->bed->client.context},
                       .server_opts = s->bed->server_opts,
                       .client_opts = s->bed->client_opts};
    while (!atomic_load(&s->is_over)) {
        if (bed_shake(&mine)) {
            atomic_fetch_add(&s->handshakes, 1);
        }
    }
    bed_close(&mine);
    return NULL;
}

static void reloads_between_handshakes(void **state)
{
    (void)state;
    enum { THREADS = 3, RELOADS = 30 };
    struct bed b;
    struct cert pairs[2];
    pthread_t threads[THREADS];
    struct storm s = {.bed = &b};
    bed_make(&b);
    b.server_conf.keeps_peers = true;
    assert_true(bed_shake(&b));
    for (int i = 0; i < 2; i++) {
        cert_make(&pairs[i], &(struct certs_spec){.cn = "s", .san = "IP:127.0.0.1"}, &b.ca);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, shake_again_and_again, &s), 0);
    }
    for (int i = 0; i < RELOADS; i++) {
        certs_env_put(&b.env, "server", &pairs[i % 2], NULL);
        expect_reload(&b, false, "new");
    }
    while (atomic_load(&s.handshakes) < THREADS) {
    }
    atomic_store(&s.is_over, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    both_talk(&b);
    for (int i = 0; i < 2; i++) {
        cert_free(&pairs[i]);
    }
    bed_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts),
        cmocka_unit_test(new_files_are_used),
        cmocka_unit_test(bad_files_are_refused_once),
        cmocka_unit_test(live_peers_are_not_cut_off),
        cmocka_unit_test(clients_may_be_cut_off),
        cmocka_unit_test(reloads_between_handshakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
