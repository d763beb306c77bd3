/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "bed.h"
#include "tls/selfcert.h"

static int make(struct certs_env *e, unsigned years, struct buf *error)
{
    static const char *const hosts[] = {"127.0.0.1:2379", "[::1]:2379", "my.host:1",
                                        "DNS:x,IP:1.2.3.4:9"};
    struct tls_selfcert_options o = {
        .dir = "d/fixtures/client", .hosts = hosts, .host_count = 4, .years = years};
    char *cert = NULL, *key = NULL;
    int err = tls_selfcert(&e->env, &o, &cert, &key, error);
    if (err == 0) {
        assert_string_equal(cert, "d/fixtures/client/cert.pem");
        assert_string_equal(key, "d/fixtures/client/key.pem");
    } else {
        assert_null(cert);
    }
    mem_free(cert);
    mem_free(key);
    return err;
}

static void makes_a_pair_once(void **state)
{
    (void)state;
    struct bed b;
    struct buf error = BUF_INIT, first = BUF_INIT;
    bed_make(&b);
    assert_int_equal(make(&b.env, 3, &error), 0);
    struct memfs_node *cert = memfs_find(b.env.fs, "d/fixtures/client/cert.pem");
    struct memfs_node *key = memfs_find(b.env.fs, "d/fixtures/client/key.pem");
    assert_int_equal(key->mode & 0777, 0600);
    assert_memory_equal(key->bytes.data, "-----BEGIN EC PRIVATE KEY-----", 30);
    buf_append_slice(&first, buf_slice(&cert->bytes));
    assert_int_equal(make(&b.env, 3, &error), 0);
    cert = memfs_find(b.env.fs, "d/fixtures/client/cert.pem");
    assert_true(slice_equal(buf_slice(&first), buf_slice(&cert->bytes)));

    /* It serves, and is its own anchor, for every host; until its years are over. */
    static const char *const addrs[] = {"127.0.0.1:2379", "[::1]:2379", "my.host:1"};
    b.server_conf.cert_file = b.client_conf.ca_file = "d/fixtures/client/cert.pem";
    b.server_conf.key_file = "d/fixtures/client/key.pem";
    for (size_t i = 0; i < ARRAY_LEN(addrs); i++) {
        b.client_opts.peer = addrs[i];
        assert_true(bed_shake(&b));
    }
    b.client_opts.peer = "1.2.3.4:1"; /* the text of a host is no configuration */
    assert_false(bed_shake(&b));
    b.client_opts.peer = addrs[0];
    b.server_conf.ca_file = NULL;
    bed_forget(&b);
    b.env.now_s += INT64_C(3) * 365 * 86400 - 1;
    assert_true(bed_shake(&b));
    b.env.now_s += 2;
    assert_false(bed_shake(&b));
    assert_non_null(strstr(tls_conn_error(b.client.conn), "has expired"));
    buf_deinit(&error);
    buf_deinit(&first);
    bed_free(&b);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    struct certs_env e;
    struct buf error = BUF_INIT;
    certs_env_make(&e);
    assert_int_equal(make(&e, 0, &error), ERR_INVALID);
    assert_string_equal(buf_cstr(&error),
                        "selfSignedCertValidity is invalid,it should be greater than 0");
    /* Whatever call fails: no half pair, and the next start makes one. */
    for (int op = MEMFS_OPEN; op < MEMFS_OPS; op++) {
        for (unsigned after = 0; after < 2; after++) {
            struct certs_env one;
            certs_env_make(&one);
            buf_clear(&error);
            memfs_fail(one.fs, (enum memfs_op)op, after, ERR_IO);
            if (make(&one, 1, &error) != 0) {
                assert_true(error.len > 0);
                one.fs->fail_op = MEMFS_NONE;
                assert_int_equal(make(&one, 1, &error), 0);
            }
            assert_non_null(memfs_find(one.fs, "d/fixtures/client/cert.pem"));
            assert_non_null(memfs_find(one.fs, "d/fixtures/client/key.pem"));
            certs_env_free(&one);
        }
    }
    buf_deinit(&error);
    certs_env_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_a_pair_once),
        cmocka_unit_test(says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
