/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS under the connections: real handshakes end to end, bounds of handshakes (with a toy cipher),
 * what is said in the log, questions about names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/log.h"
#include "bed.h"
#include "certs.h"
#include "rpc/http_client.h"
#include "rpc/rpc_client.h"
#include "rpc/tls_source.h"

/* ---- the log ---- */

static struct buf log_text;

static void on_log(void *arg, const struct log_line *line)
{
    (void)arg;
    buf_printf(&log_text, "%s", line->msg);
    for (size_t i = 0; i < line->count; i++) {
        const struct log_field *f = &line->fields[i];
        if (f->kind == LOG_KIND_STR || f->kind == LOG_KIND_JSON) {
            buf_printf(&log_text, " %s=%s", f->key, (const char *)f->ptr);
        }
    }
    buf_append_byte(&log_text, '\n');
}

static int log_begin(void **state)
{
    (void)state;
    buf_clear(&log_text);
    log_sink_set(on_log, NULL);
    return 0;
}

static int log_end(void **state)
{
    (void)state;
    log_sink_set(NULL, NULL);
    buf_deinit(&log_text);
    return 0;
}

static size_t count_in_log(const char *text)
{
    size_t n = 0;
    for (const char *at = buf_cstr(&log_text); (at = strstr(at, text)) != NULL; at++) {
        n++;
    }
    return n;
}

/* ---- both ends ---- */

struct secure {
    struct certs_env files;
    struct cert ca;
    struct tls_context *server, *client;
    struct rpc_tls_source listen, dial;
};

static struct tls_context *context(struct secure *s, enum tls_side side, const char *name)
{
    char cert[32], key[32];
    struct tls_context *c = NULL;
    struct buf error = BUF_INIT;
    snprintf(cert, sizeof(cert), "%s.crt", name);
    snprintf(key, sizeof(key), "%s.key", name);
    struct tls_config conf = {
        .side = side, .cert_file = cert, .key_file = key, .ca_file = "ca.crt"};
    assert_int_equal(tls_context_create(&s->files.env, &conf, &c, &error), 0);
    buf_deinit(&error);
    return c;
}

static void issue(struct secure *s, const char *name, const struct certs_spec *spec)
{
    struct cert c;
    cert_make(&c, spec, &s->ca);
    certs_env_put(&s->files, name, &c, NULL);
    cert_free(&c);
}

static void secure_make(struct secure *s, const char *client_san)
{
    *s = (struct secure){0};
    certs_env_make(&s->files);
    cert_make(&s->ca, &(struct certs_spec){.cn = "ca", .is_ca = true}, NULL);
    memfs_put(s->files.fs, "ca.crt", buf_slice(&s->ca.pem));
    issue(s, "server", &(struct certs_spec){.cn = "server", .san = "IP:127.0.0.1"});
    issue(s, "client", &(struct certs_spec){.cn = "alice", .san = client_san});
    s->server = context(s, TLS_SERVER, "server");
    s->client = context(s, TLS_CLIENT, "client");
    rpc_tls_source_init(&s->listen, s->server);
    rpc_tls_source_init(&s->dial, s->client);
    s->listen.alpn = s->dial.alpn = "h2";
}

static void secure_free(struct secure *s)
{
    tls_context_unref(s->server);
    tls_context_unref(s->client);
    cert_free(&s->ca);
    certs_env_free(&s->files);
}

struct chan {
    struct rpc_channel *ch;
    int ups, downs;
    char why[256];
};

static void ch_up(void *arg)
{
    ((struct chan *)arg)->ups++;
}

static void ch_down(void *arg, int err, const char *text)
{
    struct chan *c = arg;
    assert_int_not_equal(err, 0);
    c->downs++;
    snprintf(c->why, sizeof(c->why), "%s", text);
}

static const struct rpc_channel_events chan_events = {ch_up, NULL, ch_down};

static void chan_open(struct chan *c, struct bed *b, const struct rpc_tls_factory *tls)
{
    *c = (struct chan){0};
    struct rpc_channel_options o = {.env = &b->f->env,
                                    .addr = "127.0.0.1:2379",
                                    .tls = tls,
                                    .connect_timeout_ms = 60000,
                                    .events = &chan_events,
                                    .arg = c};
    assert_int_equal(rpc_channel_open(&o, &c->ch), 0);
}

struct answer {
    struct buf got;
    bool is_done;
    enum grpc_code code;
};

static void on_message(void *arg, struct grpc_client_call *call, struct slice msg)
{
    (void)call;
    buf_append_slice(&((struct answer *)arg)->got, msg);
}

static void on_done(void *arg, struct grpc_client_call *call, const struct grpc_status *st)
{
    (void)call;
    ((struct answer *)arg)->is_done = true;
    ((struct answer *)arg)->code = st->code;
}

static const struct grpc_client_call_ops answer_ops = {on_message, NULL, on_done};

static void ask(struct chan *c, const char *path, struct slice msg, struct answer *a)
{
    *a = (struct answer){0};
    struct grpc_client_call_options o = {.path = path, .ops = &answer_ops, .arg = a};
    grpc_client_request(rpc_channel_client(c->ch), &o, msg);
}

static void expect_alice(struct bed *b, const struct rpc_tls_factory *tls)
{
    static uint8_t big[300000];
    struct chan c;
    struct answer a;
    chan_open(&c, b, tls);
    ask(&c, "/t.S/Who", SLICE_LIT("x"), &a);
    fake_env_advance(b->f, 0); /* the turns of the handshake */
    assert_true(a.is_done);
    assert_string_equal(buf_cstr(&a.got), "alice");
    buf_deinit(&a.got);
    size_t len = b->f->chunk < 1000 ? 3000 : sizeof(big); /* pieces of pieces take for ever */
    ask(&c, "/t.S/Echo", slice_make(big, len), &a);
    fake_env_settle(b->f);
    assert_true(a.is_done);
    assert_int_equal(a.got.len, len);
    buf_deinit(&a.got);
    rpc_channel_destroy(c.ch);
    fake_env_settle(b->f);
}

static void calls_over_tls(void **state)
{
    (void)state;
    struct secure s;
    secure_make(&s, NULL);
    for (int both = 0; both < 2; both++) {
        for (size_t chunk = 1; chunk < 100000; chunk = chunk * 60 + 1) {
            struct bed b;
            bed_make(&b, &s.listen.factory, both == 1, RPC_ACCEPT_GRPC | RPC_ACCEPT_HTTP);
            b.f->chunk = chunk;
            expect_alice(&b, &s.dial.factory);
            bed_free(&b);
        }
    }
    assert_int_equal(log_text.len, 0);
    secure_free(&s);
}

/* ---- peers: HTTP/1.1 ---- */

struct page {
    int status, ups, downs;
    struct buf body;
    const struct rpc_http_client *client;
    char why[256];
};

static void page_up(void *arg)
{
    ((struct page *)arg)->ups++;
}

static void page_response(void *arg, const struct h1_head *head)
{
    ((struct page *)arg)->status = head->status;
}

static void page_body(void *arg, struct slice bytes)
{
    buf_append_slice(&((struct page *)arg)->body, bytes);
}

static void page_down(void *arg, int err)
{
    struct page *p = arg;
    (void)err;
    p->downs++;
    snprintf(p->why, sizeof(p->why), "%s", rpc_http_client_tls_error(p->client));
}

static void pages_over_tls(void **state)
{
    (void)state;
    static const struct rpc_http_client_events events = {
        .on_up = page_up, .on_response = page_response, .on_body = page_body, .on_down = page_down};
    struct secure s;
    secure_make(&s, NULL);
    s.dial.alpn = NULL;
    s.listen.alpn = "http/1.1";
    for (int strange = 0; strange < 2; strange++) {
        struct bed b;
        struct page p = {0};
        struct rpc_http_client *c;
        bed_make(&b, &s.listen.factory, false, RPC_ACCEPT_HTTP);
        struct rpc_http_client_options o = {.env = &b.f->env,
                                            .addr = strange ? "localhost:1" : "127.0.0.1:2379",
                                            .tls = &s.dial.factory,
                                            .events = &events,
                                            .arg = &p};
        assert_int_equal(rpc_http_client_open(&o, &c), 0);
        p.client = c;
        rpc_http_client_request(c, "GET", "/hello", NULL, 0, SLICE_NULL);
        fake_env_settle(b.f);
        assert_int_equal(p.ups, strange ? 0 : 1);
        assert_int_equal(p.status, strange ? 0 : 200);
        if (strange) {
            assert_int_equal(p.downs, 1);
            assert_string_equal(p.why,
                                "tls: failed to verify certificate: x509: certificate is not valid "
                                "for any names, but wanted to match localhost");
        }
        rpc_http_client_destroy(c);
        fake_env_settle(b.f);
        buf_deinit(&p.body);
        bed_free(&b);
    }
    secure_free(&s);
}

/* ---- what goes wrong, on both sides ---- */

static void refused_by_the_server(void **state)
{
    (void)state;
    struct secure s, stranger;
    struct bed b;
    struct chan c;
    struct answer a;
    secure_make(&s, NULL);
    secure_make(&stranger, NULL);
    memfs_put(stranger.files.fs, "ca.crt", buf_slice(&s.ca.pem)); /* trusts the server, only */
    struct tls_context *dial = context(&stranger, TLS_CLIENT, "client");
    stranger.dial.context = dial;
    bed_make(&b, &s.listen.factory, false, RPC_ACCEPT_GRPC);
    chan_open(&c, &b, &stranger.dial.factory);
    ask(&c, "/t.S/Who", SLICE_LIT("x"), &a);
    fake_env_settle(b.f);
    assert_int_equal(c.ups, 0); /* TLS 1.3: our handshake was over, and yet */
    assert_int_equal(c.downs, 1);
    assert_true(a.is_done && a.code == GRPC_UNAVAILABLE);
    assert_string_equal(c.why,
                        "connection error: desc = \"error reading server preface: remote error: "
                        "tls: unknown certificate authority\"");
    assert_string_equal(buf_cstr(&log_text),
                        "rejected connection on client endpoint remote-addr=127.0.0.1:1234 "
                        "server-name= error=tls: failed to verify certificate: x509: certificate "
                        "signed by unknown authority\n");
    rpc_channel_destroy(c.ch);
    bed_free(&b);
    tls_context_unref(dial);
    secure_free(&s);
    secure_free(&stranger);
}

static void schemes_mixed_up(void **state)
{
    (void)state;
    struct secure s;
    struct bed b;
    struct chan c;
    secure_make(&s, NULL);
    bed_make(&b, &s.listen.factory, false, RPC_ACCEPT_GRPC);
    chan_open(&c, &b, NULL); /* plain to TLS */
    fake_env_settle(b.f);
    assert_string_equal(c.why, "connection error: desc = \"error reading server preface: EOF\"");
    assert_int_equal(count_in_log("client endpoint remote-addr=127.0.0.1:1234 server-name= "
                                  "error=tls: first record does not look like a TLS handshake\n"),
                     1);
    rpc_channel_destroy(c.ch);
    bed_free(&b);
    bed_plain(&b);
    chan_open(&c, &b, &s.dial.factory); /* TLS to plain */
    fake_env_settle(b.f);
    assert_int_equal(c.ups, 0);
    assert_string_equal(
        c.why, "connection error: desc = \"transport: authentication handshake failed: EOF\"");
    assert_int_equal(count_in_log("the client speaks TLS (https://), this address is plain text"),
                     1);
    rpc_channel_destroy(c.ch);
    bed_free(&b);
    secure_free(&s);
}

/* ---- bounds ---- */

static void a_silent_client_is_closed(void **state)
{
    (void)state;
    struct toy_conf conf = {true, "h2"};
    struct rpc_tls_factory f = {toy_create, &conf};
    struct bed b;
    struct fake_client c;
    bed_make(&b, &f, false, RPC_ACCEPT_GRPC);
    fake_client_open(&c, b.f);
    fake_client_send(&c, SLICE_LIT("\x16hel"));
    fake_env_advance(b.f, LIMIT_TLS_HANDSHAKE_MS - 1);
    assert_false(c.is_eof);
    fake_env_advance(b.f, 1);
    assert_true(c.is_eof);
    fake_client_close(&c);
    /* One that has finished stays. */
    fake_client_open(&c, b.f);
    fake_client_send(&c, SLICE_LIT("\x16hello"));
    assert_memory_equal(c.got.data, "HELLO", 5);
    fake_env_advance(b.f, LIMIT_TLS_HANDSHAKE_MS * 2);
    assert_false(c.is_eof);
    fake_client_close(&c);
    bed_free(&b);
}

static struct rpc_server *big_server(struct fake_env *f, const struct rpc_tls_factory *tls)
{
    struct rpc_server_options ro = {.env = &f->env};
    struct rpc_listen_options lo = {.accept = RPC_ACCEPT_HTTP, .tls = tls};
    struct rpc_server *s = rpc_server_create(&ro);
    struct rpc_listener *l;
    assert_int_equal(rpc_server_listen(s, "127.0.0.1:0", &lo, &l), 0);
    return s;
}

static void on_stopped(void *arg)
{
    ++*(int *)arg;
}

static void big_server_free(struct rpc_server *s, struct fake_env *f)
{
    int stopped = 0;
    rpc_server_stop(s, 0, on_stopped, &stopped);
    fake_env_advance(f, 10000);
    assert_int_equal(stopped, 1);
    rpc_server_destroy(s);
    fake_env_destroy(f);
}

/* Above the bound the oldest gives way, and only one that has not finished. */
static void the_oldest_handshake_gives_way(void **state)
{
    (void)state;
    enum { COUNT = LIMIT_TLS_HANDSHAKES + 2 };
    struct toy_conf conf = {true, ""};
    struct rpc_tls_factory tls = {toy_create, &conf};
    struct fake_env *f = fake_env_create();
    struct rpc_server *s = big_server(f, &tls);
    struct fake_client *c = mem_alloc_array(COUNT, sizeof(*c));
    fake_client_open(&c[0], f);
    fake_client_send(&c[0], SLICE_LIT("\x16hello"));
    for (size_t i = 1; i < COUNT; i++) {
        fake_client_open(&c[i], f);
    }
    fake_env_settle(f);
    assert_false(c[0].is_eof);
    assert_true(c[1].is_eof);
    assert_false(c[2].is_eof || c[COUNT - 1].is_eof);
    fake_client_send(&c[COUNT - 1], SLICE_LIT("\x16hello"));
    fake_env_advance(f, 0);
    assert_memory_equal(c[COUNT - 1].got.data, "HELLO", 5);
    for (size_t i = 0; i < COUNT; i++) {
        fake_client_close(&c[i]);
    }
    mem_free(c);
    big_server_free(s, f);
}

/* So many flights a turn; the others keep their bytes and their order. */
static void a_storm_is_worked_off_in_turns(void **state)
{
    (void)state;
    enum { COUNT = LIMIT_TLS_HANDSHAKES_TURN * 3 };
    struct toy_conf conf = {true, ""};
    struct rpc_tls_factory tls = {toy_create, &conf};
    struct fake_env *f = fake_env_create();
    struct rpc_server *s = big_server(f, &tls);
    struct fake_client c[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        fake_client_open(&c[i], f);
    }
    f->is_frozen = true;
    for (size_t i = 0; i < COUNT; i++) {
        fake_client_send(&c[i], SLICE_LIT("\x16hello"));
    }
    f->is_frozen = false;
    fake_client_close(&c[COUNT - 1]); /* one that waits goes away */
    for (size_t turn = 1; turn <= 3; turn++) {
        fake_env_settle(f);
        size_t done = 0;
        for (size_t i = 0; i + 1 < COUNT; i++) {
            done += c[i].got.len == 5;
        }
        size_t want = turn * LIMIT_TLS_HANDSHAKES_TURN;
        assert_int_equal(done, want < COUNT - 1 ? want : COUNT - 1);
        for (struct list_node *n = f->timers.head.next; n != &f->timers.head; n = n->next) {
            struct env_timer *t = LIST_ENTRY(n, struct env_timer, node);
            if ((uintptr_t)t->impl <= f->now_ms) { /* the timer of the next turn, and it alone */
                f->exec.ops->timer_stop(&f->exec, t);
                t->fire(t);
                break;
            }
        }
    }
    for (size_t i = 0; i + 1 < COUNT; i++) {
        fake_client_close(&c[i]);
    }
    big_server_free(s, f);
}

/* ---- names ---- */

static struct {
    int calls;
    bool answer;
    char address[64], names[64];
} resolver;

static bool has_name(const char *address, const char *names, size_t len)
{
    resolver.calls++;
    snprintf(resolver.address, sizeof(resolver.address), "%s", address);
    memcpy(resolver.names, names, len < 64 ? len : 64);
    return resolver.answer;
}

static void ask_for_names(struct bed *b, struct secure *s)
{
    bed_make(b, NULL, true, RPC_ACCEPT_GRPC);
    rpc_listener_close(b->l);
    mem_free(b->f->listener);
    b->f->listener = NULL;
    struct rpc_listen_options lo = {.accept = RPC_ACCEPT_GRPC,
                                    .tls = &s->listen.factory,
                                    .is_peer = true,
                                    .address_has_name = has_name};
    assert_int_equal(rpc_server_listen(b->rpc, "127.0.0.1:0", &lo, &b->l), 0);
}

static void names_are_asked_for(void **state)
{
    (void)state;
    struct secure s;
    struct bed b;
    struct chan c, d;
    struct answer a;
    secure_make(&s, "DNS:a.example,DNS:*.b");
    s.listen.checks_address = s.listen.is_peer = true;
    for (int yes = 0; yes < 2; yes++) {
        memset(&resolver, 0, sizeof(resolver));
        resolver.answer = yes == 1;
        ask_for_names(&b, &s);
        chan_open(&c, &b, &s.dial.factory);
        ask(&c, "/t.S/Who", SLICE_LIT("x"), &a);
        fake_env_settle(b.f);
        assert_int_equal(resolver.calls, 1);
        assert_string_equal(resolver.address, "127.0.0.1");
        assert_memory_equal(resolver.names, "a.example\0*.b\0", 14);
        assert_true(a.is_done);
        assert_int_equal(c.ups, yes);
        if (yes == 1) {
            assert_string_equal(buf_cstr(&a.got), "alice");
        } else {
            assert_string_equal(buf_cstr(&log_text),
                                "rejected connection on peer endpoint remote-addr=127.0.0.1:1234 "
                                "server-name= ip-addresses=[] dns-names=[\"a.example\",\"*.b\"] "
                                "error=tls: \"127.0.0.1\" does not match any of DNSNames "
                                "[\"a.example\" \"*.b\"]\n");
        }
        buf_deinit(&a.got);
        rpc_channel_destroy(c.ch);
        bed_free(&b);
    }
    /* One question at a time; connections end while theirs is out or waits. */
    memset(&resolver, 0, sizeof(resolver));
    ask_for_names(&b, &s);
    b.f->holds_jobs = true;
    chan_open(&c, &b, &s.dial.factory);
    chan_open(&d, &b, &s.dial.factory);
    fake_env_settle(b.f);
    assert_ptr_equal(b.f->jobs.head.next->next, &b.f->jobs.head);
    rpc_channel_destroy(c.ch);
    rpc_channel_destroy(d.ch);
    fake_env_settle(b.f);
    b.f->holds_jobs = false;
    fake_env_settle(b.f); /* who waits is not read, so the second question still comes */
    assert_int_equal(resolver.calls, 2);
    /* A server that ends before its answer comes. */
    b.f->holds_jobs = true;
    chan_open(&c, &b, &s.dial.factory);
    fake_env_settle(b.f);
    rpc_channel_destroy(c.ch);
    rpc_server_stop(b.rpc, 0, bed_on_stopped, &b);
    fake_env_advance(b.f, 1000);
    b.f->holds_jobs = false;
    bed_free(&b);
    assert_int_equal(resolver.calls, 3);
    secure_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(calls_over_tls, log_begin, log_end),
        cmocka_unit_test_setup_teardown(pages_over_tls, log_begin, log_end),
        cmocka_unit_test_setup_teardown(refused_by_the_server, log_begin, log_end),
        cmocka_unit_test_setup_teardown(schemes_mixed_up, log_begin, log_end),
        cmocka_unit_test_setup_teardown(a_silent_client_is_closed, log_begin, log_end),
        cmocka_unit_test_setup_teardown(the_oldest_handshake_gives_way, log_begin, log_end),
        cmocka_unit_test_setup_teardown(a_storm_is_worked_off_in_turns, log_begin, log_end),
        cmocka_unit_test_setup_teardown(names_are_asked_for, log_begin, log_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
