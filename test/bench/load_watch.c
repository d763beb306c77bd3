/* SPDX-License-Identifier: Apache-2.0
 *
 * bench/load_watch: watches, leases and what they cost, for `make bench`.  Counts what comes and
 * drops it.  One thread.
 *
 * usage: load_watch --endpoint 127.0.0.1:2379 --op OP [--watches N] [--streams S]
 *                   [--connections C] [--puts P] [--secs T] [--keys K] [--value B]
 *                   [--prefix key/] [--rev R] [--own] [--first ID] [--count N] [--ttl S]
 *
 * watch: N watches over S streams over C connections, of the prefix or (--own) of a key each;
 * beside them P puts under way for T seconds, of keys below K; then until every event is there.
 *
 * idle: makes the watches, says so on standard output and waits for a line.
 *
 * puts: P puts under way for T seconds.
 *
 * behind: for T seconds one watch of the prefix from revision R on, made anew when it has read
 * --count events.
 *
 * keepalive: S streams over C connections renew the leases from FIRST on, N of them, by chance.
 *
 * grant: P grants under way until the leases from FIRST on, N of them, are there; each lives until
 * S seconds from the start.
 *
 * Prints one line of JSON.  Ends with 1 and a sentence when an answer was an error.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/bytes.h"
#include "base/prng.h"
#include "load_conn.h"
#include "load_count.h"
#include "load_hist.h"
#include "load_put.h"

enum {
    CONNECTIONS_MAX = 256,
    EVENTS_MAX = 64,
    TURN_MS = 100,
    CREATES_UNDER_WAY = 100, /* of a stream: far below its window */
    KEY_BYTES_MAX = 64,
    VALUE_BYTES_MAX = 4096,
    STALL_S = 120, /* nothing comes: an error, not a figure */
    FIELD_WATCH_ID = 2,
    FIELD_CREATED = 3,
    FIELD_CANCELED = 4,
    FIELD_EVENTS = 11,
    FIELD_TTL = 3,
};

enum path { PATH_PUT, PATH_WATCH, PATH_GRANT, PATH_KEEP_ALIVE };

static const char *const paths[] = {
    [PATH_PUT] = "/etcdserverpb.KV/Put",
    [PATH_WATCH] = "/etcdserverpb.Watch/Watch",
    [PATH_GRANT] = "/etcdserverpb.Lease/LeaseGrant",
    [PATH_KEEP_ALIVE] = "/etcdserverpb.Lease/LeaseKeepAlive",
};

struct stream {
    struct load_count count;
    uint64_t wanted;  /* watches */
    uint64_t created; /* asked for */
    uint64_t first;   /* of the keys of its own */
};

struct watch_load {
    const char *endpoint;
    const char *op;
    const char *prefix;
    uint64_t watches;
    unsigned streams;
    unsigned connections;
    unsigned puts;
    double secs;
    uint64_t keys;
    size_t value_bytes;
    uint64_t rev;
    uint64_t first;
    uint64_t count;
    uint64_t ttl;
    bool is_own;

    int epoll_fd;
    struct load_conn *conns; /* [0, connections): streams; then the one of puts */
    struct stream *all;
    struct load_conn *putter;
    struct prng prng;
    struct buf message;
    struct buf inner;
    struct load_hist hist;
    uint64_t now_ns;
    uint64_t begin_ns;
    uint64_t under_way;
    uint64_t asked; /* puts or grants */
    uint64_t done;
    uint64_t events;
    uint64_t rounds; /* of behind */
    bool is_putting;
};

/* ---- messages ---- */

static struct slice key_at(const struct watch_load *l, uint64_t n, char text[KEY_BYTES_MAX])
{
    int len = snprintf(text, KEY_BYTES_MAX, "%s%010" PRIu64, l->prefix, n);
    return slice_make(text, (size_t)len);
}

static void build_create(struct watch_load *l, uint64_t n)
{
    char key[KEY_BYTES_MAX], end[KEY_BYTES_MAX];
    buf_clear(&l->inner);
    if (l->is_own) {
        load_put_bytes(&l->inner, 1, key_at(l, n, key));
    } else {
        size_t len = (size_t)snprintf(end, sizeof(end), "%s", l->prefix);
        load_put_bytes(&l->inner, 1, slice_make(l->prefix, len));
        end[len - 1]++;
        load_put_bytes(&l->inner, 2, slice_make(end, len));
    }
    if (l->rev != 0) {
        load_put_number(&l->inner, 3, l->rev);
    }
    buf_clear(&l->message);
    load_put_bytes(&l->message, 1, buf_slice(&l->inner));
}

static void build_put(struct watch_load *l)
{
    static const uint8_t value[VALUE_BYTES_MAX] = {1};
    char key[KEY_BYTES_MAX];
    buf_clear(&l->message);
    load_put_bytes(&l->message, 1, key_at(l, prng_below(&l->prng, l->keys), key));
    load_put_bytes(&l->message, 2, slice_make(value, l->value_bytes));
}

static void build_grant(struct watch_load *l)
{
    buf_clear(&l->message);
    uint64_t gone_s = (l->now_ns - l->begin_ns) / 1000000000;
    load_put_number(&l->message, 1, l->ttl > gone_s ? l->ttl - gone_s : 1);
    load_put_number(&l->message, 2, l->first + l->asked);
}

static void build_renewal(struct watch_load *l)
{
    buf_clear(&l->message);
    load_put_number(&l->message, 1, l->first + prng_below(&l->prng, l->watches));
}

/* ---- puts and grants ---- */

static bool is_granting(const struct watch_load *l)
{
    return strcmp(l->op, "grant") == 0;
}

static void ask(struct watch_load *l, struct load_slot *s)
{
    bool grants = is_granting(l);
    if (!l->is_putting || (grants && l->asked >= l->watches)) {
        return;
    }
    if (grants) {
        build_grant(l);
    } else {
        build_put(l);
    }
    s->sent_ns = l->now_ns;
    l->asked++;
    l->under_way++;
    load_conn_send(l->putter, s, grants ? PATH_GRANT : PATH_PUT, buf_slice(&l->message));
}

static void on_reply(struct load_conn *c, struct load_slot *s)
{
    struct watch_load *l = c->arg;
    if (!s->is_ok || c != l->putter) {
        load_die("an answer was an error: %s", c->why);
    }
    l->under_way--;
    l->done++;
    load_hist_add(&l->hist, l->now_ns - s->sent_ns);
    ask(l, s);
}

/* ---- streams ---- */

static struct stream *stream_of(const struct watch_load *l, const struct load_slot *s)
{
    return &l->all[s->number];
}

static void more_creates(struct watch_load *l, struct load_conn *c, struct load_slot *s)
{
    struct stream *st = stream_of(l, s);
    while (st->created < st->wanted &&
           st->created < st->count.fields[FIELD_CREATED] + CREATES_UNDER_WAY &&
           load_conn_may_send(c, 2 * KEY_BYTES_MAX + 32)) {
        build_create(l, st->first + st->created++);
        load_conn_send_more(c, s, buf_slice(&l->message));
    }
}

static void renew_more(struct watch_load *l, struct load_conn *c, struct load_slot *s)
{
    build_renewal(l);
    load_conn_send_more(c, s, buf_slice(&l->message));
}

static bool is_renewing(const struct watch_load *l)
{
    return strcmp(l->op, "keepalive") == 0;
}

static void on_data(struct load_conn *c, struct load_slot *s, struct slice data)
{
    struct watch_load *l = c->arg;
    struct stream *st = stream_of(l, s);
    uint64_t events = st->count.fields[FIELD_EVENTS], messages = st->count.messages;
    load_count_feed(&st->count, data);
    if (is_renewing(l)) {
        for (; messages < st->count.messages; messages++) {
            l->done++;
            if (st->count.fields[FIELD_TTL] < st->count.messages) {
                load_die("a lease is not there");
            }
            if (l->is_putting) {
                renew_more(l, c, s);
            }
        }
        return;
    }
    l->events += st->count.fields[FIELD_EVENTS] - events;
    if (st->count.fields[FIELD_CANCELED] > 0) {
        load_die("a watch was cancelled");
    }
    more_creates(l, c, s);
}

/* ---- the loop ---- */

static void turn(struct watch_load *l)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(l->epoll_fd, events, EVENTS_MAX, TURN_MS);
    if (n < 0 && errno != EINTR) {
        load_die("epoll_wait: %m");
    }
    l->now_ns = load_clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < n; i++) {
        struct load_conn *c = events[i].data.ptr;
        load_conn_read(c);
        load_conn_push(c, l->epoll_fd, (events[i].events & EPOLLOUT) != 0);
    }
}

/* Turns until it is true; a load that stands still ends the program. */
static void until(struct watch_load *l, bool (*is)(const struct watch_load *l))
{
    uint64_t moved_ns = load_clock_ns(CLOCK_MONOTONIC), seen = 0;
    while (!is(l)) {
        turn(l);
        uint64_t now = l->events + l->done;
        if (now != seen) {
            seen = now;
            moved_ns = l->now_ns;
        } else if (l->now_ns > moved_ns + (uint64_t)STALL_S * 1000000000) {
            load_die("nothing comes any more: %" PRIu64 " events, %" PRIu64 " answers", l->events,
                     l->done);
        }
    }
}

static bool has_created(const struct watch_load *l)
{
    uint64_t created = 0;
    for (unsigned i = 0; i < l->streams; i++) {
        created += l->all[i].count.fields[FIELD_CREATED];
    }
    return created >= l->watches;
}

static bool has_answers(const struct watch_load *l)
{
    return l->under_way == 0;
}

static bool has_events(const struct watch_load *l)
{
    return l->events >= l->done * (l->is_own ? 1 : l->watches);
}

static bool has_granted(const struct watch_load *l)
{
    return l->done >= l->watches;
}

/* ---- set-up ---- */

static void open_conn(struct watch_load *l, struct load_conn *c, unsigned slots, unsigned first)
{
    c->paths = paths;
    c->on_reply = on_reply;
    c->on_data = on_data;
    c->arg = l;
    load_conn_open(c, l->endpoint, NULL, slots, first);
    load_conn_watch(c, l->epoll_fd, EPOLL_CTL_ADD, false);
}

static void open_streams(struct watch_load *l, unsigned path)
{
    unsigned per = l->streams / l->connections;
    for (unsigned i = 0; i < l->streams; i++) {
        struct stream *st = &l->all[i];
        st->wanted = l->watches / l->streams + (i < l->watches % l->streams);
        st->first = i == 0 ? 0 : l->all[i - 1].first + l->all[i - 1].wanted;
    }
    for (unsigned i = 0; i < l->connections; i++) {
        struct load_conn *c = &l->conns[i];
        open_conn(l, c, per, i * per);
        for (unsigned k = 0; k < per; k++) {
            load_conn_open_stream(c, &c->slots[k], path);
            if (path == PATH_WATCH) {
                more_creates(l, c, &c->slots[k]);
            } else {
                renew_more(l, c, &c->slots[k]);
            }
        }
        load_conn_push(c, l->epoll_fd, false);
    }
}

static void start_puts(struct watch_load *l)
{
    l->is_putting = true;
    l->now_ns = load_clock_ns(CLOCK_MONOTONIC);
    l->putter = &l->conns[l->connections];
    open_conn(l, l->putter, l->puts, 0);
    for (unsigned i = 0; i < l->puts; i++) {
        ask(l, &l->putter->slots[i]);
    }
    load_conn_push(l->putter, l->epoll_fd, false);
}

static void run_secs(struct watch_load *l)
{
    uint64_t stop = load_clock_ns(CLOCK_MONOTONIC) + (uint64_t)(l->secs * 1e9);
    do {
        turn(l);
    } while (l->now_ns < stop);
    l->is_putting = false;
}

/* ---- operations ---- */

/* How long events took, and answers. */
static void report(const struct watch_load *l, uint64_t events_ns, uint64_t answers_ns)
{
    double secs = (double)events_ns / 1e9, put_secs = (double)answers_ns / 1e9;
    const struct load_hist *h = &l->hist;
    printf("{\"op\": \"%s\", \"events\": %" PRIu64 ", \"secs\": %.4f, \"event_rate\": %.1f, "
           "\"answers\": %" PRIu64 ", \"rate\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"max_us\": %.1f, \"rounds\": %" PRIu64 ", \"load_cpu_s\": %.3f}\n",
           l->op, l->events, secs, (double)l->events / secs, l->done, (double)l->done / put_secs,
           (double)load_hist_quantile(h, 0.5) / 1e3, (double)load_hist_quantile(h, 0.99) / 1e3,
           (double)h->max / 1e3, l->rounds, (double)load_clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9);
}

static void op_watch(struct watch_load *l)
{
    open_streams(l, PATH_WATCH);
    until(l, has_created);
    uint64_t begin = load_clock_ns(CLOCK_MONOTONIC);
    start_puts(l);
    run_secs(l);
    until(l, has_answers);
    uint64_t last = l->now_ns;
    until(l, has_events);
    report(l, l->now_ns - begin, last - begin);
}

static void op_idle(struct watch_load *l)
{
    open_streams(l, PATH_WATCH);
    until(l, has_created);
    printf("{\"op\": \"idle\"}\n");
    (void)fflush(stdout);
    (void)getchar();
}

static void op_puts(struct watch_load *l)
{
    uint64_t begin = load_clock_ns(CLOCK_MONOTONIC);
    start_puts(l);
    run_secs(l);
    until(l, has_answers);
    report(l, 1, l->now_ns - begin);
}

static void behind_open(struct watch_load *l)
{
    l->all[0] = (struct stream){.wanted = 1};
    l->conns[0] = (struct load_conn){0};
    open_streams(l, PATH_WATCH);
}

static void op_behind(struct watch_load *l)
{
    l->streams = l->connections = 1;
    l->watches = 1;
    uint64_t begin = load_clock_ns(CLOCK_MONOTONIC);
    uint64_t stop = begin + (uint64_t)(l->secs * 1e9);
    behind_open(l);
    do {
        turn(l);
        if (l->events >= (l->rounds + 1) * l->count) {
            l->events = ++l->rounds * l->count;
            load_conn_close(&l->conns[0]);
            behind_open(l);
        }
    } while (l->now_ns < stop);
    report(l, l->now_ns - begin, 1);
}

static void op_keep_alive(struct watch_load *l)
{
    l->is_putting = true;
    uint64_t begin = load_clock_ns(CLOCK_MONOTONIC);
    open_streams(l, PATH_KEEP_ALIVE);
    run_secs(l);
    report(l, l->now_ns - begin, l->now_ns - begin);
}

static void op_grant(struct watch_load *l)
{
    l->connections = 0;
    l->begin_ns = load_clock_ns(CLOCK_MONOTONIC);
    start_puts(l);
    until(l, has_granted);
    report(l, l->now_ns - l->begin_ns, l->now_ns - l->begin_ns);
}

static const struct {
    const char *name;
    void (*run)(struct watch_load *l);
} operations[] = {
    {"watch", op_watch},          {"idle", op_idle},   {"behind", op_behind}, {"puts", op_puts},
    {"keepalive", op_keep_alive}, {"grant", op_grant},
};

/* ---- options ---- */

static const struct option options[] = {
    {"endpoint", required_argument, NULL, 'e'},    {"op", required_argument, NULL, 'o'},
    {"watches", required_argument, NULL, 'w'},     {"streams", required_argument, NULL, 'm'},
    {"connections", required_argument, NULL, 'c'}, {"puts", required_argument, NULL, 'u'},
    {"secs", required_argument, NULL, 's'},        {"keys", required_argument, NULL, 'k'},
    {"value", required_argument, NULL, 'v'},       {"prefix", required_argument, NULL, 'p'},
    {"rev", required_argument, NULL, 'r'},         {"own", no_argument, NULL, 'O'},
    {"first", required_argument, NULL, 'f'},       {"count", required_argument, NULL, 'n'},
    {"ttl", required_argument, NULL, 't'},         {NULL, 0, NULL, 0},
};

static void option_set(struct watch_load *l, int which, const char *text)
{
    uint64_t number = text == NULL ? 0 : strtoull(text, NULL, 10);
    switch (which) {
    case 'e': l->endpoint = text; break;
    case 'o': l->op = text; break;
    case 'w': l->watches = number; break;
    case 'm': l->streams = (unsigned)number; break;
    case 'c': l->connections = (unsigned)number; break;
    case 'u': l->puts = (unsigned)number; break;
    case 's': l->secs = strtod(text, NULL); break;
    case 'k': l->keys = number; break;
    case 'v': l->value_bytes = number; break;
    case 'p': l->prefix = text; break;
    case 'r': l->rev = number; break;
    case 'O': l->is_own = true; break;
    case 'f': l->first = number; break;
    case 'n': l->count = number; break;
    case 't': l->ttl = number; break;
    default: load_die("usage: see the top of test/bench/load_watch.c");
    }
}

static void options_check(const struct watch_load *l)
{
    if (l->endpoint == NULL || l->op == NULL || l->connections == 0 ||
        l->connections > CONNECTIONS_MAX || l->streams % l->connections != 0 ||
        l->streams / l->connections > LOAD_STREAMS_MAX || l->puts == 0 ||
        l->puts > LOAD_STREAMS_MAX || l->value_bytes > VALUE_BYTES_MAX || l->keys == 0 ||
        strlen(l->prefix) + 11 > KEY_BYTES_MAX || l->prefix[0] == 0) {
        load_die("--endpoint and --op are needed, and sizes within bounds");
    }
}

int main(int argc, char **argv)
{
    static struct watch_load l = {.prefix = "key/",
                                  .watches = 100,
                                  .streams = 10,
                                  .connections = 10,
                                  .puts = 10,
                                  .secs = 2,
                                  .keys = 1000,
                                  .value_bytes = 256,
                                  .first = 1,
                                  .ttl = 3600};
    for (int which; (which = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        option_set(&l, which, optarg);
    }
    options_check(&l);
    prng_init(&l.prng, 1);
    l.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l.conns = mem_zalloc((l.connections + 1) * sizeof(l.conns[0]));
    l.all = mem_zalloc((l.streams + 1) * sizeof(l.all[0]));
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        if (strcmp(operations[i].name, l.op) == 0) {
            operations[i].run(&l);
            return 0;
        }
    }
    load_die("no operation '%s'", l.op);
}
