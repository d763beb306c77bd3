/* SPDX-License-Identifier: Apache-2.0
 *
 * bench/load: the load generator of `make bench`: closed loops over HTTP/2 connections, one thread.
 *
 * usage: load --endpoints 127.0.0.1:2379[,...] --op put [--connections 20] [--streams 20]
 *             [--secs 2 | --count N] [--keys 10000] [--value 256] [--prefix key/] [--limit 1000]
 *             [--batch 50] [--first 0] [--seed 1] [--cacert FILE [--cert FILE --key FILE]]
 *
 * Each stream has one request under way.  The time of a request runs from the turn of the loop that
 * sends it to the turn that has read the whole answer.  Prints one line of JSON.  Ends with 1 when
 * an answer was an error or not what it must be.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include "load_conn.h"
#include "load_hist.h"
#include "load_op.h"
#include "load_put.h"

/* Requests of one load differ by no more than this in size. */
enum { REQUEST_SPREAD = 64 };

enum { ENDPOINTS_MAX = 16, CONNECTIONS_MAX = 1024, EVENTS_MAX = 64, TURN_MS = 1000 };

struct load {
    const struct load_op *op;
    struct load_ops ops;
    struct load_conn *conns;
    char *endpoints[ENDPOINTS_MAX];
    unsigned endpoint_count;
    unsigned connections;
    unsigned streams;
    double secs;
    uint64_t count; /* 0: until the time is over */
    uint64_t seed;
    uint64_t started;
    uint64_t done;
    uint64_t errors;
    uint64_t under_way;
    size_t request_bytes; /* of the largest request so far */
    uint64_t begin_ns;
    uint64_t now_ns;
    uint64_t stop_ns;
    char why[sizeof(((struct load_conn *)0)->why)];
    int epoll_fd;
    const char *ca, *cert, *key; /* ca NULL: plain text */
    struct load_hist hist;
};

/* ---- requests ---- */

static bool is_over(const struct load *l)
{
    return l->count != 0 ? l->started >= l->count : l->now_ns >= l->stop_ns;
}

static void start_one(struct load *l, struct load_conn *c, struct load_slot *s)
{
    buf_clear(&l->ops.message);
    unsigned path = l->op->build(&l->ops, s);
    struct slice message = buf_slice(&l->ops.message);
    if (message.len > LOAD_REQUEST_BYTES_MAX) {
        load_die("a request of %zu bytes is too large for one frame", message.len);
    }
    l->request_bytes = message.len > l->request_bytes ? message.len : l->request_bytes;
    s->sent_ns = l->now_ns;
    load_conn_send(c, s, path, message);
    l->started++;
    l->under_way++;
}

/* The window that the server gives for the connection may be full; then the stream stays idle. */
static bool may_start(const struct load *l, const struct load_conn *c)
{
    return load_conn_may_send(c, l->request_bytes + REQUEST_SPREAD);
}

static void start_idle(struct load *l, struct load_conn *c)
{
    for (unsigned k = 0; k < c->slot_count && !is_over(l) && may_start(l, c); k++) {
        if (c->slots[k].stream == 0) {
            start_one(l, c, &c->slots[k]);
            c->open_count++;
        }
    }
}

static void on_reply(struct load_conn *c, struct load_slot *s)
{
    struct load *l = c->arg;
    l->under_way--;
    l->done++;
    load_hist_add(&l->hist, l->now_ns - s->sent_ns);
    bool is_right = s->is_ok && (l->op->check == NULL || l->op->check(&l->ops, s));
    if (!is_right) {
        l->errors++;
        (void)snprintf(l->why, sizeof(l->why), "%s",
                       s->is_ok ? "the answer is not what it must be" : c->why);
    }
    if (!is_over(l) && may_start(l, c)) {
        start_one(l, c, s);
    } else {
        c->open_count--;
    }
}

/* ---- the loop ---- */

static void open_all(struct load *l)
{
    l->conns = mem_zalloc(l->connections * sizeof(l->conns[0]));
    SSL_CTX *tls = l->ca != NULL ? load_tls_create(l->ca, l->cert, l->key) : NULL;
    for (unsigned i = 0; i < l->connections; i++) {
        struct load_conn *c = &l->conns[i];
        c->paths = load_op_paths;
        c->on_reply = on_reply;
        c->arg = l;
        load_conn_open(c, l->endpoints[i % l->endpoint_count], tls, l->streams, i * l->streams);
        load_conn_watch(c, l->epoll_fd, EPOLL_CTL_ADD, false);
    }
    SSL_CTX_free(tls); /* the connections hold it */
}

static void begin_all(struct load *l)
{
    l->begin_ns = l->now_ns = load_clock_ns(CLOCK_MONOTONIC);
    l->stop_ns = l->begin_ns + (uint64_t)(l->secs * 1e9);
    for (unsigned i = 0; i < l->connections; i++) {
        struct load_conn *c = &l->conns[i];
        start_idle(l, c);
        load_conn_push(c, l->epoll_fd, false);
    }
}

static void run(struct load *l)
{
    while (l->under_way > 0) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(l->epoll_fd, events, EVENTS_MAX, TURN_MS);
        if (n < 0 && errno != EINTR) {
            load_die("epoll_wait: %m");
        }
        l->now_ns = load_clock_ns(CLOCK_MONOTONIC);
        for (int i = 0; i < n; i++) {
            struct load_conn *c = events[i].data.ptr;
            load_conn_read(c);
            if (c->open_count < c->slot_count) {
                start_idle(l, c);
            }
            load_conn_push(c, l->epoll_fd, (events[i].events & EPOLLOUT) != 0);
        }
    }
}

static void report(const struct load *l)
{
    double secs = (double)(l->now_ns - l->begin_ns) / 1e9, n = (double)l->done;
    const struct load_hist *h = &l->hist;
    printf(
        "{\"op\": \"%s\", \"ops\": %" PRIu64 ", \"errors\": %" PRIu64
        ", \"secs\": %.4f, \"rate\": %.1f, \"mean_us\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f,"
        " \"p999_us\": %.1f, \"max_us\": %.1f, \"load_cpu_us\": %.3f}\n",
        l->op->name, l->done, l->errors, secs, n / secs, (double)h->sum / n / 1e3,
        (double)load_hist_quantile(h, 0.5) / 1e3, (double)load_hist_quantile(h, 0.99) / 1e3,
        (double)load_hist_quantile(h, 0.999) / 1e3, (double)h->max / 1e3,
        (double)load_clock_ns(CLOCK_PROCESS_CPUTIME_ID) / n / 1e3);
    if (l->errors > 0) {
        (void)fprintf(stderr, "load: %" PRIu64 " answers were wrong; the last: %s\n", l->errors,
                      l->why);
    }
}

/* ---- options ---- */

static void endpoints_parse(struct load *l, char *text)
{
    for (char *at = strtok(text, ","); at != NULL; at = strtok(NULL, ",")) {
        if (l->endpoint_count == ENDPOINTS_MAX) {
            load_die("more than %d endpoints", ENDPOINTS_MAX);
        }
        l->endpoints[l->endpoint_count++] = at;
    }
}

static const struct option options[] = {
    {"endpoints", required_argument, NULL, 'e'},
    {"op", required_argument, NULL, 'o'},
    {"connections", required_argument, NULL, 'c'},
    {"streams", required_argument, NULL, 'm'},
    {"secs", required_argument, NULL, 's'},
    {"count", required_argument, NULL, 'n'},
    {"keys", required_argument, NULL, 'k'},
    {"value", required_argument, NULL, 'v'},
    {"prefix", required_argument, NULL, 'p'},
    {"limit", required_argument, NULL, 'l'},
    {"batch", required_argument, NULL, 'b'},
    {"first", required_argument, NULL, 'f'},
    {"seed", required_argument, NULL, 'r'},
    {"cacert", required_argument, NULL, 'A'},
    {"cert", required_argument, NULL, 'C'},
    {"key", required_argument, NULL, 'K'},
    {NULL, 0, NULL, 0},
};

static void option_set(struct load *l, int which, char *text)
{
    uint64_t number = strtoull(text, NULL, 10);
    switch (which) {
    case 'e': endpoints_parse(l, text); break;
    case 'o': l->op = load_op_find(text); break;
    case 'c': l->connections = (unsigned)number; break;
    case 'm': l->streams = (unsigned)number; break;
    case 's': l->secs = strtod(text, NULL); break;
    case 'n': l->count = number; break;
    case 'k': l->ops.keys = number; break;
    case 'v': l->ops.value_bytes = number; break;
    case 'p': l->ops.prefix = text; break;
    case 'l': l->ops.limit = number; break;
    case 'b': l->ops.batch = number; break;
    case 'f': l->ops.next = number; break;
    case 'r': l->seed = number; break;
    case 'A': l->ca = text; break;
    case 'C': l->cert = text; break;
    case 'K': l->key = text; break;
    default: load_die("usage: see the top of test/bench/load.c");
    }
}

static void options_parse(struct load *l, int argc, char **argv)
{
    for (int which; (which = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        option_set(l, which, optarg != NULL ? optarg : argv[0]);
    }
    if (l->op == NULL || l->endpoint_count == 0 || l->ops.keys == 0 || l->connections == 0 ||
        l->connections > CONNECTIONS_MAX || l->streams == 0 || l->streams > LOAD_STREAMS_MAX) {
        load_die("--endpoints and a known --op are needed, and sizes within bounds");
    }
}

int main(int argc, char **argv)
{
    static struct load l; /* a histogram is too large for the stack */
    l.connections = l.streams = 20;
    l.secs = 2;
    l.seed = 1;
    l.ops = (struct load_ops){
        .prefix = "key/", .keys = 10000, .limit = 1000, .batch = 50, .value_bytes = 256};
    options_parse(&l, argc, argv);
    load_ops_init(&l.ops, l.seed);
    l.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    open_all(&l);
    begin_all(&l);
    run(&l);
    report(&l);
    for (unsigned i = 0; i < l.connections; i++) {
        load_conn_close(&l.conns[i]);
    }
    mem_free(l.conns);
    load_ops_deinit(&l.ops);
    return l.errors > 0;
}
