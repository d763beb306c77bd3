/* SPDX-License-Identifier: Apache-2.0
 *
 * From the security flags to factories: who gets one, with which line a start ends, how files are
 * renewed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/list.h"
#include "base/log.h"
#include "certs.h"
#include "server/tls.h"

enum { WORDS_MAX = 8 };

/* ---- env: files, a clock that stands, jobs and timers run by hand ---- */

struct world {
    struct certs_env files;
    struct env_exec exec;
    struct list jobs;
    struct list timers;
};

static void submit(struct env_exec *e, enum env_lane lane, struct env_job *job)
{
    assert_int_equal(lane, ENV_LANE_WORK);
    list_push_back(&container_of(e, struct world, exec)->jobs, &job->node);
}

static void timer_stop(struct env_exec *e, struct env_timer *t)
{
    (void)e;
    if (t->is_active) {
        list_remove(&t->node);
        t->is_active = false;
    }
}

static void timer_start(struct env_exec *e, struct env_timer *t, uint64_t delay_ms)
{
    timer_stop(e, t);
    t->impl = (void *)(uintptr_t)delay_ms;
    t->is_active = true;
    list_push_back(&container_of(e, struct world, exec)->timers, &t->node);
}

static void world_make(struct world *w)
{
    static const struct env_exec_ops ops = {
        .submit = submit, .timer_start = timer_start, .timer_stop = timer_stop};
    static const struct certs_spec spec = {.cn = "m", .san = "IP:127.0.0.1"};
    struct cert ca, c;
    certs_env_make(&w->files);
    w->exec.ops = &ops;
    w->files.env.exec = &w->exec;
    list_init(&w->jobs);
    list_init(&w->timers);
    cert_make(&ca, &(struct certs_spec){.cn = "ca", .is_ca = true}, NULL);
    memfs_put(w->files.fs, "ca.crt", buf_slice(&ca.pem));
    for (int i = 0; i < 2; i++) {
        cert_make(&c, &spec, &ca);
        certs_env_put(&w->files, i == 0 ? "a" : "b", &c, NULL);
        cert_free(&c);
    }
    cert_free(&ca);
}

/* ---- the log ---- */

static struct buf log_text;

static void on_log(void *arg, const struct log_line *line)
{
    (void)arg;
    buf_printf(&log_text, "%s", line->msg);
    for (size_t i = 0; i < line->count; i++) {
        if (line->fields[i].kind == LOG_KIND_STR) {
            buf_printf(&log_text, "|%s", (const char *)line->fields[i].ptr);
        }
    }
    buf_append_byte(&log_text, '\n');
}

static int set_up(void **state)
{
    (void)state;
    log_sink_set(on_log, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_sink_set(NULL, NULL);
    buf_deinit(&log_text);
    return 0;
}

/* ---- a start ---- */

struct start {
    struct flags flags;
    struct config config;
    struct server_tls tls;
    struct buf error;
    enum server_tls_end end;
};

static void start(struct start *s, struct world *w, const char *const *words)
{
    *s = (struct start){0};
    buf_clear(&log_text);
    size_t n = 0;
    char *argv[WORDS_MAX];
    for (; n < WORDS_MAX && words[n] != NULL; n++) {
        argv[n] = (char *)(uintptr_t)words[n];
    }
    flags_init(&s->flags);
    assert_int_equal(flags_parse(&s->flags, argv, n, &s->error), 0);
    assert_int_equal(config_make(&s->flags, "", &s->config, &s->error), 0);
    s->end = server_tls_open_peer(&s->tls, &w->files.env, &s->config, &s->error);
    if (s->end == SERVER_TLS_OK) {
        s->end = server_tls_open_client(&s->tls, &w->files.env, &s->config, &s->error);
    }
}

static void start_free(struct start *s)
{
    server_tls_close(&s->tls);
    config_deinit(&s->config);
    flags_deinit(&s->flags);
    buf_deinit(&s->error);
}

#define CLIENT "--listen-client-urls=https://127.0.0.1:1"
#define PEER "--listen-peer-urls=https://127.0.0.1:2"
#define CERT "--cert-file=a.crt"
#define KEY "--key-file=a.key"
#define PCERT "--peer-cert-file=a.crt"
#define PKEY "--peer-key-file=a.key"

static const struct {
    const char *words[WORDS_MAX];
    enum server_tls_end end;
    const char *error;
    const char *factories; /* client, http, metrics, peer, dial */
} cases[] = {
    {{NULL}, SERVER_TLS_OK, "", "----d"},
    {{CLIENT, CERT, KEY}, SERVER_TLS_OK, "", "chm-d"},
    {{PEER, PCERT, PKEY}, SERVER_TLS_OK, "", "---pd"},
    {{CLIENT, CERT, KEY, PEER, PCERT, PKEY}, SERVER_TLS_OK, "", "chmpd"},
    {{CERT, KEY, PCERT, PKEY}, SERVER_TLS_OK, "", "----d"}, /* plain URLs: files are not wanted */
    {{"--cert-file=no", "--key-file=no"}, SERVER_TLS_OK, "", "----d"},
    {{"--listen-metrics-urls=https://127.0.0.1:3", CERT, KEY}, SERVER_TLS_OK, "", "chm-d"},
    {{CLIENT},
     SERVER_TLS_DISCOVERY_FAILED,
     "TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:1 "
     "with HTTPS scheme",
     ""},
    {{"--listen-client-http-urls=https://127.0.0.1:4"},
     SERVER_TLS_DISCOVERY_FAILED,
     "TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:4 "
     "with HTTPS scheme",
     ""},
    {{CLIENT, CERT},
     SERVER_TLS_LISTENER_FAILED,
     "KeyFile and CertFile must both be present[key: , cert: a.crt]",
     ""},
    {{CLIENT, KEY},
     SERVER_TLS_LISTENER_FAILED,
     "KeyFile and CertFile must both be present[key: a.key, cert: ]",
     ""},
    {{CLIENT, CERT, KEY, "--client-key-file=x"},
     SERVER_TLS_LISTENER_FAILED,
     "ClientKeyFile and ClientCertFile must both be present or both absent: key: x, cert: ]",
     ""},
    {{CLIENT, CERT, KEY, "--client-cert-file=no", "--client-key-file=no"},
     SERVER_TLS_LISTENER_FAILED,
     "open no: memfs",
     ""},
    {{PEER},
     SERVER_TLS_DISCOVERY_FAILED,
     "cannot listen on TLS for 127.0.0.1:2: KeyFile and CertFile are not presented",
     ""},
    {{PEER, PCERT},
     SERVER_TLS_DISCOVERY_FAILED,
     "KeyFile and CertFile must both be present[key: , cert: a.crt]",
     ""},
    {{PEER, PCERT, "--peer-key-file=b.key"},
     SERVER_TLS_DISCOVERY_FAILED,
     "tls: private key does not match public key",
     ""},
    {{PEER, PCERT, PKEY, "--peer-trusted-ca-file=no"},
     SERVER_TLS_DISCOVERY_FAILED,
     "open no: memfs",
     ""},
    {{PEER, PCERT, PKEY, "--peer-cert-allowed-cn=a,b", "--peer-cert-allowed-hostname=c"},
     SERVER_TLS_DISCOVERY_FAILED,
     "AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\"a\" \"b\"], "
     "hostnames=[\"c\"])",
     ""},
    {{"--peer-cert-file=no", "--peer-key-file=no"}, /* for dialling it is wanted */
     SERVER_TLS_BOOTSTRAP_FAILED,
     "open no: memfs",
     ""},
    {{CLIENT, CERT, KEY, "--cipher-suites=bogus"},
     SERVER_TLS_DISCOVERY_FAILED,
     "unexpected TLS cipher suite \"bogus\"",
     ""},
    {{"--auto-tls", "--peer-auto-tls", CLIENT, PEER, "--data-dir=/d"}, SERVER_TLS_OK, "", "chmpd"},
    {{"--auto-tls", CLIENT, "--self-signed-cert-validity=0"},
     SERVER_TLS_LOGGED,
     "selfSignedCertValidity is invalid,it should be greater than 0",
     ""},
};

static void starts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w;
        struct start s;
        world_make(&w);
        start(&s, &w, cases[i].words);
        const struct server_config *c = &s.config.server;
        assert_string_equal(buf_cstr(&s.error), cases[i].error);
        assert_int_equal(s.end, cases[i].end);
        char got[] = {c->client_tls != NULL ? 'c' : '-',    c->client_http_tls != NULL ? 'h' : '-',
                      c->metrics_tls != NULL ? 'm' : '-',   c->peer_tls != NULL ? 'p' : '-',
                      c->peer_dial_tls != NULL ? 'd' : '-', 0};
        if (s.end == SERVER_TLS_OK) {
            assert_string_equal(got, cases[i].factories);
        }
        start_free(&s);
        certs_env_free(&w.files);
    }
}

static void what_is_said(void **state)
{
    (void)state;
    struct world w;
    struct start s;
    world_make(&w);
    static const char *const words[] = {
        CERT, KEY, "--client-cert-auth", "--peer-client-cert-auth", PCERT, PKEY, NULL};
    start(&s, &w, words);
    assert_non_null(strstr(buf_cstr(&log_text),
                           "starting with peer TLS|cert = a.crt, key = a.key, client-cert=, "
                           "client-key=, trusted-ca = , client-cert-auth = true, crl-file = \n"));
    assert_non_null(
        strstr(buf_cstr(&log_text),
               "scheme is HTTP while --peer-client-cert-auth is enabled; ignoring client "
               "cert auth for this URL|http://localhost:2380\n"));
    assert_non_null(
        strstr(buf_cstr(&log_text),
               "scheme is http or unix while key and cert files are present; ignoring key "
               "and cert files|http://localhost:2379\n"));
    start_free(&s);
    static const char *const both[] = {"--auto-tls", "--peer-auto-tls", CERT, KEY, PCERT, PKEY,
                                       NULL};
    start(&s, &w, both);
    assert_non_null(strstr(buf_cstr(&log_text), "ignoring client auto TLS since certs given\n"));
    assert_non_null(strstr(buf_cstr(&log_text), "ignoring peer auto TLS since certs given\n"));
    start_free(&s);
    certs_env_free(&w.files);
}

/* ---- the watch ---- */

static void on_stopped(void *arg)
{
    ++*(int *)arg;
}

static struct env_job *only_job(struct world *w)
{
    struct list_node *n = list_first(&w->jobs);
    list_remove(n);
    assert_true(list_is_empty(&w->jobs));
    return LIST_ENTRY(n, struct env_job, node);
}

static void turn(struct world *w, struct server_tls_watch *watch)
{
    timer_stop(&w->exec, &watch->timer);
    watch->timer.fire(&watch->timer);
    struct env_job *job = only_job(w);
    buf_clear(&log_text);
    job->run(job);
    job->done(job);
}

static void swap(struct world *w, const char *from)
{
    char path[16];
    snprintf(path, sizeof(path), "%s.crt", from);
    memfs_put(w->files.fs, "a.crt", buf_slice(&memfs_find(w->files.fs, path)->bytes));
    snprintf(path, sizeof(path), "%s.key", from);
    memfs_put(w->files.fs, "a.key", buf_slice(&memfs_find(w->files.fs, path)->bytes));
}

static void files_are_watched(void **state)
{
    (void)state;
    struct world w;
    struct start s;
    struct server_tls_watch watch;
    int stopped = 0;
    static const char *const words[] = {CLIENT, CERT, KEY, NULL};
    world_make(&w);
    start(&s, &w, words);
    assert_true(server_tls_is_used(&s.tls));
    server_tls_watch_start(&watch, &w.files.env, &s.tls);
    turn(&w, &watch);
    assert_int_equal(log_text.len, 0);
    swap(&w, "b");
    turn(&w, &watch);
    assert_string_equal(buf_cstr(&log_text),
                        "reloaded TLS files; new connections use them|client\n");
    memfs_put(w.files.fs, "a.key", SLICE_LIT("half"));
    turn(&w, &watch);
    assert_string_equal(
        buf_cstr(&log_text),
        "TLS files were not reloaded; the ones in use stay|client|tls: failed to find "
        "any PEM data in key input\n");
    turn(&w, &watch);
    assert_int_equal(log_text.len, 0);
    /* SIGHUP: at once, and while a job runs at once behind it. */
    server_tls_watch_ask(&watch);
    assert_int_equal((uintptr_t)watch.timer.impl, 0);
    turn(&w, &watch);
    assert_non_null(strstr(buf_cstr(&log_text), "TLS files were not reloaded"));
    watch.timer.fire(&watch.timer);
    server_tls_watch_ask(&watch);
    timer_stop(&w.exec, &watch.timer);
    struct env_job *job = only_job(&w);
    job->run(job);
    job->done(job);
    assert_true(watch.timer.is_active);
    assert_int_equal((uintptr_t)watch.timer.impl, 0);
    /* A stop waits for the job. */
    timer_stop(&w.exec, &watch.timer);
    watch.timer.fire(&watch.timer);
    server_tls_watch_stop(&watch, on_stopped, &stopped);
    assert_int_equal(stopped, 0);
    job = only_job(&w);
    job->run(job);
    job->done(job);
    assert_int_equal(stopped, 1);
    assert_false(watch.timer.is_active);
    start_free(&s);
    certs_env_free(&w.files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(starts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_are_watched, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
