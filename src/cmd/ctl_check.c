/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_check: check perf and check datascale: puts from many clients, timed.
 *
 * Design      One lane a client, one put at a time in it.  perf hands out a put to a free lane at
 * the rate of the load for 60 s; datascale as many as there are keys, as fast as lanes get free.
 */
#include <inttypes.h>
#include <signal.h>

#include "cmd/ctl_check.h"
#include "cmd/ctl_kv_req.h"
#include "cmd/ctl_run.h"
#include "cmd/print_text.h"

enum {
    PERF_SECONDS = 60,
    PERF_KEY_BYTES = 256,
    PERF_VALUE_BYTES = 1024,
    SCALE_BYTES = 512,
    TICK_MS = 2,
    CLEANUP_MS = 30000,
    ERRORS_MAX = 64, /* different texts */
};

struct load {
    const char *names[2];
    size_t perf_rate;
    size_t perf_clients;
    size_t scale_keys;
    size_t scale_clients;
};

static const struct load loads[] = {
    {{"s", "small"}, 150, 50, 10000, 50},
    {{"m", "medium"}, 1000, 200, 100000, 200},
    {{"l", "large"}, 8000, 500, 1000000, 500},
    {{"xl", "xLarge"}, 15000, 1000, 3000000, 1000},
};

struct check;

struct lane {
    struct check *check;
    struct client *client;
    uint64_t start_ns;
    bool is_busy;
};

struct failure {
    char *text;
    uint64_t count;
};

struct check {
    struct ctl *c;
    struct slice prefix;
    size_t key_bytes;
    size_t value_bytes;
    uint64_t limit; /* puts to do; perf: those of the whole time */
    uint64_t rate;  /* a second; 0: as fast as it goes */
    uint64_t start_ns;
    uint64_t seconds; /* perf; 0: until limit */
    uint64_t sent;
    uint64_t done;
    uint64_t shown; /* of the bar */
    struct lane *lanes;
    size_t lane_count;
    size_t next;
    struct env_timer tick;
    struct ctl_check_stats stats;
    struct failure failures[ERRORS_MAX];
    size_t failure_count;
    bool is_interrupted;
    bool is_over;
};

static uint64_t now_ns(struct check *k)
{
    return k->c->env->clock->ops->mono_ns(k->c->env->clock);
}

/* ---- the bar on stderr ---- */

static void show_bar(struct check *k, uint64_t done, uint64_t all)
{
    enum { WIDTH = 60 };
    struct buf *out = &k->c->err;
    double part = all == 0 ? 1 : (double)done / (double)all;
    size_t full = (size_t)(part * WIDTH);
    double secs = (double)(now_ns(k) - k->start_ns) / 1e9;
    buf_printf(out, "\r %" PRIu64 " / %" PRIu64 " [", done, all);
    for (size_t i = 0; i < WIDTH; i++) {
        buf_append_byte(out, i < full ? '-' : i == full ? '>' : '_');
    }
    buf_printf(out, "] %6.2f%% %.0f p/s", part * 100, secs > 0 ? (double)done / secs : 0);
    ctl_flush(k->c);
}

/* ---- puts ---- */

static void note_failure(struct check *k, const struct client_status *status)
{
    struct buf text = BUF_INIT;
    client_status_text(status, &text);
    for (size_t i = 0; i < k->failure_count; i++) {
        if (slice_equal_cstr(buf_slice(&text), k->failures[i].text)) {
            k->failures[i].count++;
            buf_deinit(&text);
            return;
        }
    }
    if (k->failure_count < ERRORS_MAX) {
        k->failures[k->failure_count++] = (struct failure){ctl_cstr(k->c, buf_slice(&text)), 1};
    }
    buf_deinit(&text);
}

static void pump(struct check *k);

static void on_message(void *arg, struct slice msg)
{
    (void)arg;
    (void)msg;
}

static void on_done(void *arg, const struct client_status *status)
{
    struct lane *l = arg;
    struct check *k = l->check;
    l->is_busy = false;
    k->done++;
    if (status->code == GRPC_OK) {
        ctl_check_add(&k->stats, (double)(now_ns(k) - l->start_ns) / 1e9);
    } else {
        note_failure(k, status);
    }
    pump(k);
}

/* A random number at the head of a key of zero bytes. */
static void put(struct check *k, struct lane *l)
{
    struct env_rand *rand = k->c->env->rand;
    struct buf body = BUF_INIT;
    struct buf key = BUF_INIT;
    uint64_t number = 0;
    rand->ops->fill(rand, &number, sizeof(number));
    buf_append_slice(&key, k->prefix);
    size_t start = key.len;
    buf_append_varint(&key, number & INT64_MAX);
    while (key.len - start < k->key_bytes) {
        buf_append_byte(&key, 0);
    }
    wire_append_bytes(&body, 1, buf_slice(&key));
    wire_append_message_head(&body, 2, k->value_bytes);
    memset(buf_extend(&body, k->value_bytes), 0, k->value_bytes);
    l->is_busy = true;
    l->start_ns = now_ns(k);
    k->sent++;
    struct client_call *call =
        client_call_start(l->client, &(struct client_call_options){.method = "/etcdserverpb.KV/Put",
                                                                   .body = buf_slice(&body),
                                                                   .on_message = on_message,
                                                                   .on_done = on_done,
                                                                   .arg = l});
    ensure(call != NULL); /* a request of a kilobyte: as any other allocation */
    buf_deinit(&body);
    buf_deinit(&key);
}

static struct lane *free_lane(struct check *k)
{
    for (size_t i = 0; i < k->lane_count; i++) {
        struct lane *l = &k->lanes[(k->next + i) % k->lane_count];
        if (!l->is_busy) {
            k->next = (k->next + i + 1) % k->lane_count;
            return l;
        }
    }
    return NULL;
}

/* How many puts may have been sent by now. */
static uint64_t due(struct check *k)
{
    if (k->rate == 0) {
        return k->limit;
    }
    uint64_t ns = now_ns(k) - k->start_ns;
    uint64_t end_ns = k->seconds * 1000000000;
    uint64_t n = (ns < end_ns ? ns : end_ns) / 1000 * k->rate / 1000000 + 1;
    return n < k->limit ? n : k->limit;
}

static void pump(struct check *k)
{
    struct lane *l;
    uint64_t most = k->is_interrupted ? 0 : due(k);
    while (k->sent < most && (l = free_lane(k)) != NULL) {
        put(k, l);
    }
    uint64_t ns = now_ns(k) - k->start_ns;
    bool is_time_over = k->rate == 0 ? k->sent >= k->limit : ns >= k->seconds * 1000000000;
    if ((is_time_over || k->is_interrupted) && k->done == k->sent && !k->is_over) {
        k->is_over = true;
        os_loop_stop(k->c->env);
    }
}

static void on_tick(struct env_timer *t)
{
    struct check *k = container_of(t, struct check, tick);
    struct env_exec *exec = k->c->env->exec;
    uint64_t at =
        k->rate == 0 ? k->done / (k->limit / 100 + 1) : (now_ns(k) - k->start_ns) / 1000000000;
    if (at > k->shown && (k->rate == 0 || at <= k->seconds)) {
        k->shown = at;
        show_bar(k, k->rate == 0 ? k->done : at, k->rate == 0 ? k->limit : k->seconds);
    }
    pump(k);
    if (!k->is_over) {
        exec->ops->timer_start(exec, &k->tick, TICK_MS);
    }
}

static void on_interrupt(void *arg, int signo)
{
    struct check *k = arg;
    (void)signo;
    k->is_interrupted = true;
    pump(k);
}

static void run_load(struct check *k)
{
    struct env_exec *exec = k->c->env->exec;
    k->start_ns = now_ns(k);
    k->tick.fire = on_tick;
    exec->ops->timer_start(exec, &k->tick, 0);
    while (!k->is_over) {
        os_loop_run(k->c->env);
    }
    exec->ops->timer_stop(exec, &k->tick);
    show_bar(k, k->rate == 0 ? k->done : k->shown, k->rate == 0 ? k->limit : k->seconds);
    buf_append_byte(&k->c->err, '\n');
    k->stats.seconds = (double)(now_ns(k) - k->start_ns) / 1e9;
}

/* ---- before and after ---- */

static struct wire_range_req keys_of(struct check *k)
{
    return (struct wire_range_req){
        .key = k->prefix, .range_end = ctl_prefix_end(&k->c->cli->arena, k->prefix), .limit = 1};
}

/* quote: what stands around the command in the text. */
static int refuse_old_keys(struct check *k, const char *quote)
{
    struct ctl *c = k->c;
    struct buf body = BUF_INIT;
    struct buf raw = BUF_INIT;
    struct wire_range_resp resp = {0};
    struct wire_range_req req = keys_of(k);
    wire_range_req_encode(&body, &req);
    int rc = ctl_ask(c, k->lanes[0].client, "/etcdserverpb.KV/Range", CTL_READ | CTL_NO_TIMEOUT,
                     buf_slice(&body), &raw);
    int err = rc != 0 ? 0 : wire_range_resp_decode(buf_slice(&raw), &c->cli->arena, &resp);
    rc = err != 0 ? ctl_bad_reply(c, err) : rc;
    if (rc == 0 && resp.kv_count > 0) {
        rc = ctl_fail(&c->fail, CTL_RC_INVALID_INPUT, "prefix ");
        gotext_quote(&c->fail.text, k->prefix);
        buf_printf(&c->fail.text, " has keys. Delete with %setcdctl del --prefix %s%s first", quote,
                   ctl_cstr(c, k->prefix), quote);
    }
    buf_deinit(&body);
    buf_deinit(&raw);
    return rc;
}

static int delete_keys(struct check *k, int64_t *out_revision)
{
    struct ctl *c = k->c;
    struct buf body = BUF_INIT;
    struct buf raw = BUF_INIT;
    struct wire_delete_resp resp = {0};
    struct wire_delete_req req = {.key = k->prefix, .range_end = keys_of(k).range_end};
    struct client_request ask = {.method = "/etcdserverpb.KV/DeleteRange",
                                 .timeout_ms = CLEANUP_MS};
    wire_delete_req_encode(&body, &req);
    ask.body = buf_slice(&body);
    int err = client_ask(k->lanes[0].client, &c->runner, &ask, &raw, &c->error);
    int rc = err == 0 ? 0 : ctl_fail(&c->fail, CTL_RC_ERROR, "%s", buf_cstr(&c->error.text));
    if (rc == 0 && wire_delete_resp_decode(buf_slice(&raw), &c->cli->arena, &resp) == 0) {
        *out_revision = resp.header.revision;
    }
    buf_deinit(&body);
    buf_deinit(&raw);
    return rc;
}

static int ask_slow(struct check *k, struct client *client, const char *method, struct slice body)
{
    struct ctl *c = k->c;
    struct buf raw = BUF_INIT;
    struct client_request req = {.method = method, .body = body, .timeout_ms = CLEANUP_MS};
    ctl_flush(c);
    int err = client_ask(client, &c->runner, &req, &raw, &c->error);
    buf_deinit(&raw);
    return err == 0 ? 0 : ctl_fail(&c->fail, CTL_RC_ERROR, "%s", buf_cstr(&c->error.text));
}

static int compact(struct check *k, int64_t revision)
{
    struct ctl *c = k->c;
    struct buf body = BUF_INIT;
    struct wire_compaction_req req = {.revision = revision, .physical = true};
    wire_compaction_req_encode(&body, &req);
    buf_printf(&c->out, "Compacting with revision %" PRId64 "\n", revision);
    int rc = ask_slow(k, k->lanes[0].client, "/etcdserverpb.KV/Compact", buf_slice(&body));
    if (rc == 0) {
        buf_printf(&c->out, "Compacted with revision %" PRId64 "\n", revision);
    }
    buf_deinit(&body);
    return rc;
}

static int defrag_all(struct check *k)
{
    struct ctl *c = k->c;
    const struct cli_value *v = cli_value(c->cli, "endpoints");
    int rc = 0;
    for (size_t i = 0; i < v->list_count && rc == 0; i++) {
        struct client *client;
        buf_append_cstr(&c->out, "Defragmenting ");
        gotext_quote(&c->out, v->list[i]);
        buf_append_byte(&c->out, '\n');
        rc = ctl_connect_to(c, &v->list[i], 1, &client);
        if (rc != 0) {
            return rc;
        }
        rc = ask_slow(k, client, "/etcdserverpb.Maintenance/Defragment", SLICE_NULL);
        client_destroy(client);
        if (rc == 0) {
            buf_append_cstr(&c->out, "Defragmented ");
            gotext_quote(&c->out, v->list[i]);
            buf_append_byte(&c->out, '\n');
        }
    }
    return rc;
}

/* "FAIL: too many errors" and the errors; false when there were none. */
static bool print_failures(struct check *k)
{
    if (k->failure_count > 0) {
        buf_append_cstr(&k->c->out, "FAIL: too many errors\n");
    }
    for (size_t i = 0; i < k->failure_count; i++) {
        buf_printf(&k->c->out, "FAIL: ERROR(%s) -> %" PRIu64 "\n", k->failures[i].text,
                   k->failures[i].count);
    }
    return k->failure_count > 0;
}

/* ---- life ---- */

static int find_load(struct ctl *c, const struct load **out)
{
    struct slice name = cli_text(c->cli, "load");
    for (size_t i = 0; i < ARRAY_LEN(loads); i++) {
        if (slice_equal_cstr(name, loads[i].names[0]) ||
            slice_equal_cstr(name, loads[i].names[1])) {
            *out = &loads[i];
            return 0;
        }
    }
    return ctl_fail(&c->fail, CTL_RC_BAD_FEATURE, "unknown load option %s", ctl_cstr(c, name));
}

static void check_close(struct check *k)
{
    ctl_flush(k->c);
    for (size_t i = 0; i < k->lane_count; i++) {
        client_destroy(k->lanes[i].client);
    }
    mem_free(k->lanes);
}

static int check_open(struct check *k, struct ctl *c, size_t clients)
{
    *k = (struct check){.c = c, .prefix = cli_text(c->cli, "prefix")};
    k->lanes = mem_alloc_array(clients, sizeof(*k->lanes));
    for (; k->lane_count < clients; k->lane_count++) {
        struct lane *l = &k->lanes[k->lane_count];
        *l = (struct lane){.check = k};
        int rc = ctl_connect(c, &l->client);
        if (rc != 0) {
            check_close(k);
            return rc;
        }
    }
    return 0;
}

/* ---- perf ---- */

static int clean_up(struct check *k, bool wants_compact)
{
    int64_t revision = 0;
    if (delete_keys(k, &revision) != 0) {
        buf_printf(&k->c->out, "FAIL: Cleanup failed during key deletion: ERROR(%s)\n",
                   buf_cstr(&k->c->fail.text));
        return 0;
    }
    return wants_compact ? compact(k, revision) : 0;
}

static int run_perf(struct check *k, const struct load *load)
{
    struct ctl *c = k->c;
    int rc = refuse_old_keys(k, "'");
    if (rc != 0) {
        return rc;
    }
    k->key_bytes = PERF_KEY_BYTES;
    k->value_bytes = PERF_VALUE_BYTES;
    k->rate = load->perf_rate;
    k->seconds = PERF_SECONDS;
    k->limit = UINT64_MAX;
    rc = os_signal_watch(c->env, SIGINT, on_interrupt, k);
    rc = rc == 0 ? 0 : ctl_fail(&c->fail, CTL_RC_ERROR, "%s", err_text(rc));
    if (rc != 0) {
        return rc;
    }
    run_load(k);
    os_signal_unwatch(c->env, SIGINT);
    rc = clean_up(k, cli_bool(c->cli, "auto-compact"));
    rc = rc == 0 && cli_bool(c->cli, "auto-defrag") ? defrag_all(k) : rc;
    if (rc != 0) {
        return rc;
    }
    bool has_failed = print_failures(k);
    if (!ctl_check_verdict(&k->stats, load->perf_rate, has_failed, &c->out)) {
        c->is_quiet = true;
        return c->fail.rc = CTL_RC_ERROR;
    }
    return 0;
}

int ctl_run_check_perf(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    const struct load *load = NULL;
    struct check k;
    int rc = find_load(c, &load);
    rc = rc != 0 ? rc : check_open(&k, c, load->perf_clients);
    if (rc != 0) {
        return rc;
    }
    rc = run_perf(&k, load);
    check_close(&k);
    return rc;
}

/* ---- datascale ---- */

static int no_memory_figure(struct ctl *c, const char *when)
{
    buf_printf(&c->out,
               "FAIL: Could not read process_resident_memory_bytes %s the put operations.\n", when);
    c->is_quiet = true;
    return c->fail.rc = CTL_RC_ERROR;
}

static int measure(struct check *k, const struct load *load)
{
    struct ctl *c = k->c;
    double before = ctl_check_memory(c), after;
    int64_t revision = 0;
    if (before == 0) {
        return no_memory_figure(c, "before");
    }
    buf_printf(&c->out,
               "Start data scale check for work load [%zu key-value pairs, %d bytes per key-value, "
               "%zu concurrent clients].\n",
               load->scale_keys, 2 * SCALE_BYTES, load->scale_clients);
    ctl_flush(c);
    run_load(k);
    after = ctl_check_memory(c);
    if (after == 0) {
        return no_memory_figure(c, "after");
    }
    int rc = delete_keys(k, &revision);
    rc = rc == 0 && cli_bool(c->cli, "auto-compact") ? compact(k, revision) : rc;
    rc = rc == 0 && cli_bool(c->cli, "auto-defrag") ? defrag_all(k) : rc;
    if (rc == 0 && print_failures(k)) {
        c->is_quiet = true;
        return c->fail.rc = CTL_RC_ERROR;
    }
    if (rc == 0) {
        buf_printf(&c->out, "PASS: Approximate system memory used : %.2f MB.\n",
                   (after - before) / (1024 * 1024));
    }
    return rc;
}

int ctl_run_check_datascale(struct cli_ctx *ctx)
{
    struct ctl *c = ctl_of(ctx);
    const struct load *load = NULL;
    struct check k;
    int rc = find_load(c, &load);
    rc = rc != 0 ? rc : check_open(&k, c, load->scale_clients);
    if (rc != 0) {
        return rc;
    }
    k.key_bytes = k.value_bytes = SCALE_BYTES;
    k.limit = load->scale_keys;
    rc = refuse_old_keys(&k, "");
    rc = rc != 0 ? rc : measure(&k, load);
    check_close(&k);
    return rc;
}
