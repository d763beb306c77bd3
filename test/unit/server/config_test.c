/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks at start and derived values, against tables of what etcd 3.7.1 says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "server/config.h"

enum { WORDS_MAX = 6 };

static void parse(struct flags *f, const char *const *words)
{
    char *argv[WORDS_MAX];
    size_t count = 0;
    struct buf error = BUF_INIT;
    while (count < WORDS_MAX && words[count] != NULL) {
        argv[count] = (char *)(uintptr_t)words[count];
        count++;
    }
    flags_init(f);
    assert_int_equal(flags_parse(f, argv, count, &error), 0);
    buf_deinit(&error);
}

static const struct {
    const char *words[WORDS_MAX];
    const char *error;
} check_cases[] = {
    {{NULL}, ""},
    {{"--discovery-fallback=proxy"},
     "v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\""},
    {{"--logger=capnslog"}, "--logger=capnslog is removed in v3.5"},
    {{"--logger=x"}, "unknown logger option \"x\""},
    {{"--log-outputs=default,stdout"}, "multi logoutput for \"default\" is not supported yet"},
    {{"--log-outputs=/x/default,stdout"}, ""},
    {{"--log-format=x"}, "unknown log format: x, supported values json, console"},
    {{"--listen-peer-urls=http://example.com:1"},
     "expected IP in URL for binding (http://example.com:1)"},
    {{"--listen-peer-urls=http://999.1:1"}, "expected IP in URL for binding (http://999.1:1)"},
    {{"--listen-metrics-urls=http://:1"}, "expected IP in URL for binding (http://:1)"},
    {{"--listen-metrics-urls=http://[::1]:1,unix:///x"}, ""},
    {{"--initial-advertise-peer-urls=http://:2380"},
     "--initial-advertise-peer-urls \"http://:2380\" must be \"host:port\" (unexpected empty host "
     "(http://:2380))"},
    {{"--advertise-client-urls=http://:2380"},
     "--advertise-client-urls \"http://:2380\" must be in the format \"host:port\", "
     "\"unix:/path/to/socket\" or \"unixs:/path/to/socket\" (unexpected empty host "
     "(http://:2380))"},
    {{"--discovery-token=t"}, "both --discovery-token and --discovery-endpoints must be set"},
    {{"--discovery-endpoints=http://d:1", "--initial-cluster=a=http://b:1"},
     "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", "
     "\"discovery-endpoints\" or \"discovery-srv\""},
    {{"--heartbeat-interval=0"}, "--heartbeat-interval must be >0 (set to 0ms)"},
    {{"--election-timeout=0"}, "--election-timeout must be >0 (set to 0ms)"},
    {{"--election-timeout=300"},
     "--election-timeout[300ms] should be at least as 5 times as --heartbeat-interval[100ms]"},
    {{"--election-timeout=60000"},
     "--election-timeout[60000ms] is too long, and should be set less than 50000ms"},
    {{"--listen-client-urls=http://127.0.0.1:1"},
     "--advertise-client-urls is required when --listen-client-urls is set explicitly"},
    {{"--auto-compaction-mode="}, "undefined auto-compaction-mode"},
    {{"--auto-compaction-mode=x"}, "unknown auto-compaction-mode \"x\""},
    {{"--feature-gates=LeaseCheckpointPersist=true"},
     "enabling feature gate LeaseCheckpointPersist requires enabling feature gate "
     "LeaseCheckpoint"},
    {{"--compact-hash-check-time=-1s"}, "--compact-hash-check-time must be >0 (set to -1s)"},
    {{"--tls-min-version=TLS1.1"},
     "unexpected TLS version \"TLS1.1\" (must be one of: TLS1.2, TLS1.3)"},
    {{"--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"},
     "min version (TLS1.3) is greater than max version (TLS1.2)"},
    {{"--tls-min-version=TLS1.3", "--cipher-suites=x"},
     "cipher suites cannot be configured when only TLS1.3 is enabled"},
    {{"--auto-compaction-retention=0h"}, ""},
    {{"--auto-compaction-retention=1"}, ""},
    {{"--cert-file=x"}, ""}, /* looked at when the listeners are made */
    {{"--auto-tls=0", "--force-new-cluster=F"}, ""},
    /* Of several mistakes the one that etcd finds first. */
    {{"--compact-hash-check-time=0", "--heartbeat-interval=0", "--cert-file=x"},
     "--heartbeat-interval must be >0 (set to 0ms)"},
};

static void test_checks(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(check_cases); i++) {
        struct flags f;
        struct buf error = BUF_INIT;
        parse(&f, check_cases[i].words);
        int err = config_check_log(&f, &error);
        if (err == 0) {
            err = config_check(&f, &error);
        }
        assert_string_equal(buf_cstr(&error), check_cases[i].error);
        assert_int_equal(err == 0, check_cases[i].error[0] == 0);
        flags_deinit(&f);
        buf_deinit(&error);
    }
}

/* ---- derived values ---- */

static const struct {
    const char *words[WORDS_MAX];
    const char *host;
    const char *dir, *cluster, *peers, *clients;
} derived_cases[] = {
    {{NULL},
     "",
     "default.etcd",
     "default=http://localhost:2380",
     "http://localhost:2380",
     "http://localhost:2379"},
    {{"--name=m1", "--data-dir=/d"},
     "",
     "/d",
     "m1=http://localhost:2380",
     "http://localhost:2380",
     "http://localhost:2379"},
    {{"--name=m1", "--initial-advertise-peer-urls=http://b:1,http://a:1"},
     "",
     "m1.etcd",
     "m1=http://a:1,m1=http://b:1",
     "http://a:1,http://b:1",
     "http://localhost:2379"},
    {{"--name=m1", "--initial-cluster=x=http://a:1"},
     "",
     "m1.etcd",
     "x=http://a:1",
     "http://localhost:2380",
     "http://localhost:2379"},
    /* The default name keeps the default cluster, whatever the URLs are. */
    {{"--initial-advertise-peer-urls=http://a:1"},
     "",
     "default.etcd",
     "default=http://localhost:2380",
     "http://a:1",
     "http://localhost:2379"},
    {{"--name=m1", "--listen-peer-urls=http://0.0.0.0:7", "--listen-client-urls=http://0.0.0.0:8",
      "--advertise-client-urls=http://localhost:2379"},
     "192.0.2.2",
     "m1.etcd",
     "m1=http://192.0.2.2:7",
     "http://192.0.2.2:7",
     "http://192.0.2.2:8"},
    {{"--name=m1", "--listen-peer-urls=http://0.0.0.0:7"},
     "",
     "m1.etcd",
     "m1=http://localhost:2380",
     "http://localhost:2380",
     "http://localhost:2379"},
};

static void test_derived(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(derived_cases); i++) {
        struct flags f;
        struct config c;
        struct buf error = BUF_INIT;
        parse(&f, derived_cases[i].words);
        assert_int_equal(config_make(&f, derived_cases[i].host, &c, &error), 0);
        assert_string_equal(c.server.driver.data_dir, derived_cases[i].dir);
        assert_string_equal(c.server.driver.initial_cluster, derived_cases[i].cluster);
        assert_string_equal(c.server.driver.advertise_peer_urls, derived_cases[i].peers);
        assert_string_equal(c.server.driver.advertise_client_urls, derived_cases[i].clients);
        assert_int_equal(config_uses_host(&c), derived_cases[i].host[0] != 0);
        config_deinit(&c);
        flags_deinit(&f);
        buf_deinit(&error);
    }
}

/* ---- step 2 ---- */

static const struct {
    const char *words[WORDS_MAX];
    const char *listeners, *cluster;
} step2_cases[] = {
    {{NULL}, "", ""},
    {{"--listen-client-urls=http://127.0.0.1:1", "--listen-client-http-urls=http://127.0.0.1:1"},
     "cannot bind both --listen-client-urls and --listen-client-http-urls on the same url "
     "http://127.0.0.1:1",
     ""},
    {{"--listen-client-urls=https://127.0.0.1:1", "--listen-client-http-urls=http://127.0.0.1:1"},
     "cannot bind both --listen-client-urls and --listen-client-http-urls on the same url "
     "http://127.0.0.1:1",
     ""},
    {{"--listen-metrics-urls=https://127.0.0.1:1"},
     "",
     "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url"},
    {{"--initial-cluster=bogus"},
     "",
     "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: "},
    {{"--auto-compaction-retention=abc"},
     "",
     "error parsing CompactionRetention: time: invalid duration \"abc\""},
    {{"--auto-compaction-retention=-1"},
     "",
     "error parsing CompactionRetention: time: missing unit in duration \"-1\""},
    {{"--auto-compaction-retention=-1h"},
     "",
     "error parsing CompactionRetention: -1h is out of range"},
    {{"--auto-compaction-retention=2562048"},
     "",
     "error parsing CompactionRetention: 2562048 is out of range"},
    {{"--auto-compaction-retention=2562047"}, "", ""},
    {{"--auto-compaction-mode=revision", "--auto-compaction-retention=1000"}, "", ""},
    {{"--auto-compaction-mode=revision", "--auto-compaction-retention=1h"}, "", ""},
};

static void test_step2(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(step2_cases); i++) {
        struct flags f;
        struct config c;
        struct buf error = BUF_INIT;
        parse(&f, step2_cases[i].words);
        assert_int_equal(config_make(&f, "", &c, &error), 0);
        int err = config_check_listeners(&c, &error);
        assert_string_equal(buf_cstr(&error), step2_cases[i].listeners);
        assert_int_equal(err == 0, error.len == 0);
        buf_clear(&error);
        err = config_check_cluster(&c, false, &error);
        assert_string_equal(buf_cstr(&error), step2_cases[i].cluster);
        assert_int_equal(err == 0, error.len == 0);
        config_deinit(&c);
        flags_deinit(&f);
        buf_deinit(&error);
    }
}

/* More URLs than a server holds are refused, not dropped. */
static void test_too_many_urls(void **state)
{
    (void)state;
    struct flags f;
    struct config c;
    struct buf list = BUF_INIT, error = BUF_INIT;
    for (int i = 0; i <= SERVER_URLS_MAX; i++) {
        buf_printf(&list, "%shttp://127.0.0.1:%d", i == 0 ? "" : ",", i + 1);
    }
    flags_init(&f);
    assert_int_equal(
        flag_set(&f, FLAG_ID_LISTEN_METRICS_URLS, buf_cstr(&list), FLAG_BY_COMMAND, &error), 0);
    assert_int_equal(config_make(&f, "", &c, &error), ERR_LIMIT);
    assert_string_equal(buf_cstr(&error), "--listen-metrics-urls: more than 16 URLs");
    flags_deinit(&f);
    buf_deinit(&list);
    buf_deinit(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_derived),
        cmocka_unit_test(test_step2),
        cmocka_unit_test(test_too_many_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
