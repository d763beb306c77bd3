/* SPDX-License-Identifier: Apache-2.0
 *
 * test/history: clients of a cluster that write down every operation, its times and its answer
 * (history_op.h), for the tests of failover and linearizability.
 *
 *     history --endpoints A,B,C [--certs DIR] [--timeout-ms N] stream PREFIX [INTERVAL_MS [BATCH]]
 *     history --endpoints A,B,C [--certs DIR] [--timeout-ms N] mix PREFIX [CLIENTS [KEYS [SEED]]]
 *
 * stream   BATCH (1) puts of new keys every INTERVAL_MS, whether the ones before are answered or
 * not mix      CLIENTS, each with one put, get or compare-and-swap at a time; the KEYS change every
 *          EPOCH_MS, so that operations without an answer burden the checker of few keys only
 *
 * Ends at SIGTERM, when what is under way has ended.  No limit of its own: the test has one.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/prng.h"
#include "client/client.h"
#include "history_op.h"
#include "os/os.h"
#include "rpc/tls_source.h"
#include "tls/context.h"

enum {
    ENDPOINTS_MAX = 16,
    CLIENTS_MAX = 64,
    UNDER_WAY_MAX = 20000, /* operations of a stream without an answer */
    EPOCH_MS = 1500,
    FAILED_PAUSE_MS = 20,
    PATH_LEN_MAX = 512,
};

struct worker {
    struct run *run;
    struct env_timer pause;
    unsigned id;
    char last[HISTORY_TEXT_MAX]; /* what it has seen or written last, under last_key */
    char last_key[HISTORY_TEXT_MAX];
};

struct run {
    struct env *env;
    struct client *client;
    struct prng prng;
    struct env_timer tick;
    const char *prefix;
    uint64_t timeout_ms;
    uint64_t interval_ms;
    uint64_t batch;
    uint64_t count; /* operations begun */
    size_t under_way;
    unsigned worker_count;
    unsigned key_count;
    bool is_stopping;
    struct worker workers[CLIENTS_MAX];
};

struct flying {
    struct history_op op;
    struct run *run;
    struct worker *worker; /* NULL in a stream */
};

static uint64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void worker_next(struct worker *w);

static void stop_maybe(struct run *r)
{
    if (r->is_stopping && r->under_way == 0) {
        os_loop_stop(r->env);
    }
}

static void on_message(void *arg, struct slice msg)
{
    struct flying *f = arg;
    if (!history_answer(&f->op, msg)) {
        (void)fprintf(stderr, "an answer that is none\n");
        abort();
    }
}

static void worker_learn(struct worker *w, const struct history_op *op)
{
    bool is_seen = op->kind == HISTORY_GET || (op->kind == HISTORY_CAS && !op->has_matched);
    memcpy(w->last_key, op->key, sizeof(w->last_key));
    memcpy(w->last, is_seen ? op->seen : op->value, sizeof(w->last));
}

static void on_done(void *arg, const struct client_status *status)
{
    struct flying *f = arg;
    struct run *r = f->run;
    struct worker *w = f->worker;
    struct buf text = BUF_INIT, line = BUF_INIT;
    bool is_ok = status->code == GRPC_OK && f->op.has_answer;
    f->op.return_us = now_us();
    f->op.has_answer = is_ok;
    if (!is_ok) {
        client_status_text(status, &text);
    }
    history_line(&f->op, buf_slice(&text), &line);
    (void)fwrite(line.data, 1, line.len, stdout);
    r->under_way--;
    if (w != NULL && is_ok) {
        worker_learn(w, &f->op);
    }
    if (w != NULL) {
        struct env_exec *exec = r->env->exec;
        exec->ops->timer_start(exec, &w->pause, is_ok ? 0 : FAILED_PAUSE_MS);
    }
    buf_deinit(&text);
    buf_deinit(&line);
    mem_free(f);
    stop_maybe(r);
}

static struct flying *flying_create(struct run *r, struct worker *w)
{
    struct flying *f = mem_zalloc(sizeof(*f));
    f->run = r;
    f->worker = w;
    f->op.client = w == NULL ? 0 : w->id;
    return f;
}

static void start(struct flying *f)
{
    struct run *r = f->run;
    struct buf body = BUF_INIT;
    history_request(&f->op, &body);
    f->op.call_us = now_us();
    r->count++;
    r->under_way++;
    struct client_call *call = client_call_start(
        r->client, &(struct client_call_options){.method = history_method(f->op.kind),
                                                 .body = buf_slice(&body),
                                                 .is_read = f->op.kind == HISTORY_GET,
                                                 .timeout_ms = r->timeout_ms,
                                                 .on_message = on_message,
                                                 .on_done = on_done,
                                                 .arg = f});
    if (call == NULL) {
        (void)fprintf(stderr, "no memory\n");
        abort();
    }
    buf_deinit(&body);
}

/* ---- stream ---- */

static void on_tick(struct env_timer *t)
{
    struct run *r = container_of(t, struct run, tick);
    if (r->is_stopping) {
        return;
    }
    r->env->exec->ops->timer_start(r->env->exec, &r->tick, r->interval_ms);
    for (uint64_t i = 0; i < r->batch && r->under_way < UNDER_WAY_MAX; i++) {
        struct flying *f = flying_create(r, NULL);
        f->op.kind = HISTORY_PUT;
        (void)snprintf(f->op.key, sizeof(f->op.key), "%s%09" PRIu64, r->prefix, r->count);
        (void)snprintf(f->op.value, sizeof(f->op.value), "%" PRIu64, r->count);
        start(f);
    }
}

/* ---- mix ---- */

static void on_pause(struct env_timer *t)
{
    struct worker *w = container_of(t, struct worker, pause);
    worker_next(w);
}

static void worker_next(struct worker *w)
{
    struct run *r = w->run;
    if (r->is_stopping) {
        return;
    }
    struct flying *f = flying_create(r, w);
    struct history_op *op = &f->op;
    unsigned key = (unsigned)prng_below(&r->prng, r->key_count);
    uint64_t epoch = now_us() / 1000 / EPOCH_MS;
    op->kind = (enum history_kind)prng_below(&r->prng, 3);
    (void)snprintf(op->key, sizeof(op->key), "%s%" PRIu64 "/%u", r->prefix, epoch, key);
    if (op->kind != HISTORY_GET) {
        (void)snprintf(op->value, sizeof(op->value), "%u.%" PRIu64, w->id, r->count);
    }
    if (op->kind == HISTORY_CAS) {
        bool is_known = strcmp(w->last_key, op->key) == 0;
        (void)snprintf(op->expected, sizeof(op->expected), "%s", is_known ? w->last : "-");
    }
    start(f);
}

/* ---- life ---- */

static void on_signal(void *arg, int signo)
{
    struct run *r = arg;
    (void)signo;
    r->is_stopping = true;
    stop_maybe(r);
}

static struct tls_context *make_tls(struct env *env, const char *dir, struct rpc_tls_source *source)
{
    char cert[PATH_LEN_MAX], key[PATH_LEN_MAX], ca[PATH_LEN_MAX];
    (void)snprintf(cert, sizeof(cert), "%s/client.crt", dir);
    (void)snprintf(key, sizeof(key), "%s/client.key", dir);
    (void)snprintf(ca, sizeof(ca), "%s/ca.crt", dir);
    struct tls_config conf = {
        .side = TLS_CLIENT, .cert_file = cert, .key_file = key, .ca_file = ca};
    struct tls_context *context = NULL;
    struct buf error = BUF_INIT;
    if (tls_context_create(env, &conf, &context, &error) != 0) {
        (void)fprintf(stderr, "%s\n", buf_cstr(&error));
        exit(1);
    }
    buf_deinit(&error);
    rpc_tls_source_init(source, context);
    source->alpn = "h2";
    return context;
}

static size_t cut(char *text, struct slice *out)
{
    size_t count = 0;
    char *rest = NULL;
    for (char *s = strtok_r(text, ",", &rest); s != NULL && count < ENDPOINTS_MAX;
         s = strtok_r(NULL, ",", &rest)) {
        out[count++] = slice_cstr(s);
    }
    return count;
}

static uint64_t number(int argc, char **argv, int at, uint64_t otherwise)
{
    return at < argc ? strtoull(argv[at], NULL, 10) : otherwise;
}

static void begin(struct run *r, int argc, char **argv)
{
    if (argc < 2 || (strcmp(argv[0], "stream") != 0 && strcmp(argv[0], "mix") != 0)) {
        (void)fprintf(stderr, "stream or mix, and a prefix\n");
        exit(2);
    }
    bool is_mix = strcmp(argv[0], "mix") == 0;
    r->prefix = argv[1];
    r->tick.fire = on_tick;
    r->interval_ms = number(argc, argv, 2, 5);
    r->batch = number(argc, argv, 3, 1);
    r->worker_count = is_mix ? (unsigned)number(argc, argv, 2, 5) : 0;
    r->key_count = (unsigned)number(argc, argv, 3, 3);
    prng_init(&r->prng, number(argc, argv, 4, 1));
    if (r->worker_count > CLIENTS_MAX || r->key_count == 0 || r->interval_ms == 0) {
        exit(2);
    }
    for (unsigned i = 0; i < r->worker_count; i++) {
        r->workers[i].run = r;
        r->workers[i].id = i;
        r->workers[i].pause.fire = on_pause;
        worker_next(&r->workers[i]);
    }
    if (!is_mix) {
        on_tick(&r->tick);
    }
}

int main(int argc, char **argv)
{
    struct run *r = mem_zalloc(sizeof(*r));
    struct slice endpoints[ENDPOINTS_MAX];
    struct client_conf conf = {.endpoints = endpoints};
    const char *certs = NULL;
    r->timeout_ms = 3000;
    int at = 1;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        if (strcmp(argv[at], "--endpoints") == 0) {
            conf.endpoint_count = cut(argv[at + 1], endpoints);
        } else if (strcmp(argv[at], "--certs") == 0) {
            certs = argv[at + 1];
        } else if (strcmp(argv[at], "--timeout-ms") == 0) {
            r->timeout_ms = strtoull(argv[at + 1], NULL, 10);
        }
    }
    if (os_env_create(&(struct os_options){.no_lanes = true}, &r->env) != 0) {
        return 1;
    }
    struct rpc_tls_source source;
    struct tls_context *tls = certs == NULL ? NULL : make_tls(r->env, certs, &source);
    conf.env = r->env;
    conf.connect_timeout_ms = 1000;
    conf.tls = tls == NULL ? NULL : &source.factory;
    if (client_create(&conf, &r->client) != 0 ||
        os_signal_watch(r->env, SIGTERM, on_signal, r) != 0) {
        return 1;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* tests look at it while we run */
    begin(r, argc - at, argv + at);
    os_loop_run(r->env);
    client_destroy(r->client);
    os_loop_run_for(r->env, 0);
    tls_context_unref(tls);
    os_env_destroy(r->env);
    mem_free(r);
    return 0;
}
