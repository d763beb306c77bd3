/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/client/client_test: failover, retry and deadlines over fake channels and a fake clock.
 * The fakes below stand for rpc/rpc_client and grpc/client; the test says when a channel comes up
 * and how a call ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "client/client.h"
#include "client/session.h"
#include "client/watch.h"
#include "wire/response.h"
#include "rpc/rpc_client.h"

enum { CHANNELS_MAX = 64, CALLS_MAX = 512, DEFERRED_MAX = 16 };

/* ---- fake env
 * ------------------------------------------------------------------------------------- */

struct deferred {
    void (*fn)(void *arg);
    void *arg;
};

static struct {
    uint64_t now_ms;
    struct list timers;
    struct deferred deferred[DEFERRED_MAX];
    size_t deferred_count;
} world;

struct armed {
    struct list_node node;
    struct env_timer *timer;
    uint64_t at_ms;
};

static uint64_t fake_mono(struct env_clock *c)
{
    (void)c;
    return world.now_ms * 1000000;
}

static void fake_fill(struct env_rand *r, void *out, size_t len)
{
    (void)r;
    memset(out, 2, len);
}

static void fake_stop(struct env_exec *e, struct env_timer *t)
{
    (void)e;
    LIST_FOREACH (&world.timers, n) {
        struct armed *a = LIST_ENTRY(n, struct armed, node);
        if (a->timer == t) {
            list_remove(n);
            free(a);
        }
    }
}

static void fake_start(struct env_exec *e, struct env_timer *t, uint64_t delay_ms)
{
    fake_stop(e, t);
    struct armed *a = malloc(sizeof(*a));
    *a = (struct armed){.timer = t, .at_ms = world.now_ms + delay_ms};
    list_push_back(&world.timers, &a->node);
}

static void fake_defer(struct env_exec *e, void (*fn)(void *arg), void *arg)
{
    (void)e;
    assert_true(world.deferred_count < DEFERRED_MAX);
    world.deferred[world.deferred_count++] = (struct deferred){fn, arg};
}

static const struct env_clock_ops clock_ops = {fake_mono, NULL};
static const struct env_rand_ops rand_ops = {fake_fill};
static const struct env_exec_ops exec_ops = {NULL, fake_start, fake_stop, fake_defer};
static struct env_clock fake_clock = {&clock_ops};
static struct env_rand fake_rand = {&rand_ops};
static struct env_exec fake_exec = {&exec_ops};
static struct env env = {.clock = &fake_clock, .rand = &fake_rand, .exec = &fake_exec};

static void run_deferred(void)
{
    for (size_t i = 0; i < world.deferred_count; i++) {
        struct deferred d = world.deferred[i];
        d.fn(d.arg);
    }
    world.deferred_count = 0;
}

/* Time passes; timers fire in order. */
static void pass(uint64_t ms)
{
    uint64_t end = world.now_ms + ms;
    run_deferred();
    for (;;) {
        struct armed *next = NULL;
        LIST_FOREACH (&world.timers, n) {
            struct armed *a = LIST_ENTRY(n, struct armed, node);
            if (a->at_ms <= end && (next == NULL || a->at_ms < next->at_ms)) {
                next = a;
            }
        }
        if (next == NULL) {
            break;
        }
        struct env_timer *t = next->timer;
        world.now_ms = next->at_ms > world.now_ms ? next->at_ms : world.now_ms;
        list_remove(&next->node);
        free(next);
        t->fire(t);
        run_deferred();
    }
    world.now_ms = end;
}

/* ---- fake channels and calls
 * ------------------------------------------------------------------------ */

struct rpc_channel {
    struct rpc_channel_options opts;
    char addr[64];
    bool is_destroyed;
};

struct grpc_client_call {
    struct rpc_channel *channel;
    const struct grpc_client_call_ops *ops;
    void *arg;
    bool is_over;
    bool has_token;
    bool is_open;
    bool is_paused;
    unsigned sent; /* messages */
    uint64_t timeout_ms;
};

static struct rpc_channel channels[CHANNELS_MAX];
static size_t channel_count;
static struct grpc_client_call calls[CALLS_MAX];
static size_t call_count;

int rpc_channel_open(const struct rpc_channel_options *opts, struct rpc_channel **out)
{
    assert_true(channel_count < CHANNELS_MAX);
    struct rpc_channel *ch = &channels[channel_count++];
    *ch = (struct rpc_channel){.opts = *opts};
    snprintf(ch->addr, sizeof(ch->addr), "%s", opts->addr);
    *out = ch;
    return 0;
}

void rpc_channel_destroy(struct rpc_channel *ch)
{
    assert_false(ch->is_destroyed);
    ch->is_destroyed = true;
}

struct grpc_client *rpc_channel_client(struct rpc_channel *ch)
{
    return (struct grpc_client *)(void *)ch;
}

struct grpc_client_call *grpc_client_request(struct grpc_client *c,
                                             const struct grpc_client_call_options *opts,
                                             struct slice msg)
{
    (void)msg;
    assert_true(call_count < CALLS_MAX);
    struct grpc_client_call *call = &calls[call_count++];
    *call = (struct grpc_client_call){.channel = (struct rpc_channel *)(void *)c,
                                      .ops = opts->ops,
                                      .arg = opts->arg,
                                      .has_token = opts->metadata_count > 1,
                                      .timeout_ms = opts->timeout_ms};
    return call;
}

struct grpc_client_call *grpc_client_start(struct grpc_client *c,
                                           const struct grpc_client_call_options *opts)
{
    struct grpc_client_call *call = grpc_client_request(c, opts, SLICE_NULL);
    call->is_open = true;
    return call;
}

void grpc_client_call_send(struct grpc_client_call *call, struct slice msg)
{
    (void)msg;
    assert_true(call->is_open && !call->is_over);
    call->sent++;
}

void grpc_client_call_pause(struct grpc_client_call *call)
{
    call->is_paused = true;
}

void grpc_client_call_unpause(struct grpc_client_call *call)
{
    call->is_paused = false;
}

static void end_call(struct grpc_client_call *call, enum grpc_code code, const char *text,
                     bool is_sent)
{
    struct grpc_status st = {.code = code, .message = slice_cstr(text), .is_sent = is_sent};
    assert_false(call->is_over);
    call->is_over = true;
    call->ops->on_done(call->arg, call, &st);
    run_deferred();
}

void grpc_client_call_cancel(struct grpc_client_call *call)
{
    end_call(call, GRPC_CANCELLED, "context canceled", true);
}

static void up(size_t i)
{
    channels[i].opts.events->on_up(channels[i].opts.arg);
    run_deferred();
}

static void down(size_t i)
{
    channels[i].opts.events->on_down(channels[i].opts.arg, ERR_REFUSED, "connection refused");
    run_deferred();
}

/* ---- fixture
 * ---------------------------------------------------------------------------------------- */

struct result {
    unsigned done;
    unsigned messages;
    enum grpc_code code;
    bool is_deadline;
    char text[128];
};

static void on_message(void *arg, struct slice msg)
{
    struct result *r = arg;
    (void)msg;
    r->messages++;
}

static void on_done(void *arg, const struct client_status *status)
{
    struct result *r = arg;
    struct buf text = BUF_INIT;
    r->done++;
    r->code = status->code;
    r->is_deadline = status->is_deadline;
    client_status_text(status, &text);
    snprintf(r->text, sizeof(r->text), "%s", buf_cstr(&text));
    buf_deinit(&text);
}

static struct client *make(size_t endpoints)
{
    static const char *const names[] = {"a:1", "b:1", "c:1"};
    struct slice list[3];
    struct client *c;
    memset(&world, 0, sizeof(world));
    list_init(&world.timers);
    channel_count = 0;
    call_count = 0;
    for (size_t i = 0; i < endpoints; i++) {
        list[i] = slice_cstr(names[i]);
    }
    struct client_conf conf = {.env = &env, .endpoints = list, .endpoint_count = endpoints};
    assert_int_equal(client_create(&conf, &c), 0);
    return c;
}

static struct client_call *start(struct client *c, struct result *r, bool is_read,
                                 uint64_t timeout_ms)
{
    *r = (struct result){0};
    struct client_call *call =
        client_call_start(c, &(struct client_call_options){.method = "/s/m",
                                                           .is_read = is_read,
                                                           .timeout_ms = timeout_ms,
                                                           .on_message = on_message,
                                                           .on_done = on_done,
                                                           .arg = r});
    run_deferred();
    return call;
}

static void finish(struct client *c)
{
    client_destroy(c);
    run_deferred();
    assert_true(list_is_empty(&world.timers));
    for (size_t i = 0; i < channel_count; i++) {
        assert_true(channels[i].is_destroyed);
    }
}

/* ---- tests
 * ------------------------------------------------------------------------------------------ */

static void waits_for_a_connection(void **state)
{
    (void)state;
    struct result r;
    struct client *c = make(2);
    client_token_set(c, "secret");
    start(c, &r, false, 5000);
    assert_int_equal(channel_count, 2);
    assert_int_equal(call_count, 0);
    down(0);
    up(1);
    assert_int_equal(call_count, 1);
    assert_string_equal(calls[0].channel->addr, "b:1");
    assert_true(calls[0].has_token);
    calls[0].ops->on_message(calls[0].arg, &calls[0], SLICE_LIT("x"));
    end_call(&calls[0], GRPC_OK, "", true);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.messages, 1);
    assert_int_equal(r.code, GRPC_OK);
    finish(c);
}

static void takes_endpoints_in_turn(void **state)
{
    (void)state;
    struct result r[4];
    struct client *c = make(2);
    start(c, &r[0], true, 0);
    up(0);
    up(1);
    for (size_t i = 1; i < 4; i++) {
        start(c, &r[i], true, 0);
    }
    assert_int_equal(call_count, 4);
    assert_string_equal(calls[1].channel->addr, "b:1");
    assert_string_equal(calls[2].channel->addr, "a:1");
    assert_string_equal(calls[3].channel->addr, "b:1");
    finish(c);
    assert_int_equal(r[3].done, 0); /* destroying ends calls without a word */
}

static void reads_are_tried_again(void **state)
{
    (void)state;
    struct result r;
    struct client *c = make(3);
    start(c, &r, true, 5000);
    up(0);
    up(1);
    up(2);
    /* A round is a majority of the endpoints, then there is a pause. */
    end_call(&calls[0], GRPC_UNAVAILABLE, "etcdserver: leader changed", true);
    assert_int_equal(call_count, 2);
    end_call(&calls[1], GRPC_UNAVAILABLE, "etcdserver: leader changed", true);
    assert_int_equal(call_count, 2);
    pass(20);
    assert_int_equal(call_count, 2);
    pass(10);
    assert_int_equal(call_count, 3);
    assert_true(calls[2].timeout_ms < 5000);
    end_call(&calls[2], GRPC_OK, "", true);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.code, GRPC_OK);
    finish(c);
}

static void writes_are_never_sent_twice(void **state)
{
    (void)state;
    struct result r;
    struct client *c = make(1);
    start(c, &r, false, 5000);
    up(0);
    end_call(&calls[0], GRPC_UNAVAILABLE, "etcdserver: leader changed", true);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.code, GRPC_UNAVAILABLE);
    assert_string_equal(r.text, "etcdserver: leader changed");
    /* Unless nothing was sent. */
    start(c, &r, false, 5000);
    end_call(&calls[1], GRPC_UNAVAILABLE, "refused", false);
    pass(30);
    assert_int_equal(call_count, 3);
    end_call(&calls[2], GRPC_OK, "", true);
    assert_int_equal(r.code, GRPC_OK);
    finish(c);
}

static void other_codes_are_final(void **state)
{
    (void)state;
    struct result r;
    struct client *c = make(1);
    start(c, &r, true, 0);
    up(0);
    end_call(&calls[0], GRPC_OUT_OF_RANGE,
             "etcdserver: mvcc: required revision is a future revision", true);
    assert_int_equal(r.done, 1);
    assert_string_equal(r.text, "etcdserver: mvcc: required revision is a future revision");
    start(c, &r, true, 0);
    end_call(&calls[1], GRPC_UNIMPLEMENTED, "unknown method X for service Y", true);
    assert_string_equal(r.text,
                        "rpc error: code = Unimplemented desc = unknown method X for service Y");
    finish(c);
}

static void a_stream_with_messages_is_final(void **state)
{
    (void)state;
    struct result r;
    struct client *c = make(1);
    start(c, &r, true, 0);
    up(0);
    calls[0].ops->on_message(calls[0].arg, &calls[0], SLICE_LIT("x"));
    end_call(&calls[0], GRPC_UNAVAILABLE, "closed", true);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.code, GRPC_UNAVAILABLE);
    finish(c);
}

static void attempts_have_a_bound(void **state)
{
    (void)state;
    struct result r;
    struct client *c = make(1);
    start(c, &r, true, 0);
    up(0);
    for (size_t i = 0; i < CLIENT_ATTEMPTS_MAX; i++) {
        assert_int_equal(r.done, 0);
        end_call(&calls[i], GRPC_UNAVAILABLE, "no", true);
        pass(30);
    }
    assert_int_equal(r.done, 1);
    assert_int_equal(call_count, CLIENT_ATTEMPTS_MAX);
    finish(c);
}

static void deadlines_end_calls_in_any_state(void **state)
{
    (void)state;
    struct result waiting;
    struct result running;
    struct client *c = make(1);
    start(c, &waiting, false, 1000);
    pass(999);
    assert_int_equal(waiting.done, 0);
    pass(1);
    assert_int_equal(waiting.done, 1);
    assert_true(waiting.is_deadline);
    assert_string_equal(waiting.text, "context deadline exceeded");
    up(0);
    start(c, &running, true, 500);
    assert_int_equal(call_count, 1);
    pass(500);
    assert_int_equal(running.done, 1);
    assert_true(calls[0].is_over);
    /* The server's clock was a little faster: its reset is our deadline, an early one is not. */
    start(c, &running, false, 500);
    pass(495);
    end_call(&calls[1], GRPC_CANCELLED, "stream terminated by RST_STREAM", true);
    assert_true(running.is_deadline);
    start(c, &running, false, 500);
    pass(100);
    end_call(&calls[2], GRPC_CANCELLED, "stream terminated by RST_STREAM", true);
    assert_false(running.is_deadline);
    assert_int_equal(running.code, GRPC_CANCELLED);
    finish(c);
}

static void reconnects_with_growing_pauses(void **state)
{
    (void)state;
    struct result r;
    struct client *c = make(1);
    start(c, &r, true, 0);
    down(0);
    assert_string_equal(client_last_failure(c), "connection refused");
    assert_int_equal(channel_count, 1);
    pass(CLIENT_RECONNECT_MS);
    assert_int_equal(channel_count, 2);
    down(1);
    pass(CLIENT_RECONNECT_MS);
    assert_int_equal(channel_count, 2);
    pass(CLIENT_RECONNECT_MS);
    assert_int_equal(channel_count, 3);
    up(2);
    assert_int_equal(call_count, 1);
    /* A connection that was up is made again at once when it is needed. */
    end_call(&calls[0], GRPC_UNAVAILABLE, "closed", true);
    down(2);
    pass(30);
    assert_int_equal(channel_count, 4);
    finish(c);
}

static void drains_after_goaway(void **state)
{
    (void)state;
    struct result r;
    struct result r2;
    struct client *c = make(2);
    start(c, &r, true, 0);
    up(0);
    up(1);
    channels[0].opts.events->on_goaway(channels[0].opts.arg);
    for (size_t i = 0; i < 3; i++) {
        start(c, &r2, true, 0);
        assert_string_equal(calls[call_count - 1].channel->addr, "b:1");
    }
    finish(c);
}

static void cancel_reports_once(void **state)
{
    (void)state;
    struct result r;
    struct client *c = make(1);
    struct client_call *call = start(c, &r, true, 0);
    client_call_cancel(call);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.code, GRPC_CANCELLED);
    call = start(c, &r, true, 0);
    up(0);
    client_call_cancel(call);
    assert_int_equal(r.done, 1);
    assert_true(calls[0].is_over);
    finish(c);
}

static void refuses_what_is_too_large(void **state)
{
    (void)state;
    struct result r = {0};
    struct client *c = make(1);
    static const char body[CLIENT_SEND_BYTES_DEFAULT + 1];
    client_call_start(c, &(struct client_call_options){.method = "/s/m",
                                                       .body = slice_make(body, sizeof(body)),
                                                       .on_done = on_done,
                                                       .arg = &r});
    assert_int_equal(r.done, 0);
    pass(1);
    assert_string_equal(r.text, "rpc error: code = ResourceExhausted desc = trying to send message "
                                "larger than max (2097153 vs. 2097152)");
    finish(c);
}

static void refuses_bad_settings(void **state)
{
    (void)state;
    struct client *c;
    struct slice list[] = {slice_cstr("https://a:1")};
    struct client_conf conf = {.env = &env, .endpoints = list, .endpoint_count = 0};
    memset(&world, 0, sizeof(world));
    list_init(&world.timers);
    assert_int_equal(client_create(&conf, &c), ERR_INVALID);
    conf.endpoint_count = 1;
    assert_int_equal(client_create(&conf, &c), ERR_UNSUPPORTED);
    list[0] = SLICE_NULL;
    assert_int_equal(client_create(&conf, &c), ERR_INVALID);
}

static void a_lost_token_is_replaced_once(void **state)
{
    (void)state;
    static const uint8_t token[] = {0x12, 3, 'a', '.', '1'};
    struct result r = {0};
    struct client *c = make(1);
    client_token_set(c, "old");
    client_credentials_set(c, "u", "p");
    start(c, &r, false, 0);
    run_deferred();
    up(0);
    end_call(&calls[0], GRPC_UNAUTHENTICATED, "etcdserver: invalid auth token", true);
    assert_int_equal(call_count, 2); /* the login */
    assert_int_equal(r.done, 0);
    calls[1].ops->on_message(calls[1].arg, &calls[1], slice_make(token, sizeof(token)));
    end_call(&calls[1], GRPC_OK, "", true);
    assert_int_equal(call_count, 3);
    end_call(&calls[2], GRPC_UNAUTHENTICATED, "etcdserver: invalid auth token", true);
    assert_int_equal(call_count, 3); /* not again and again */
    assert_int_equal(r.done, 1);
    assert_int_equal(r.code, GRPC_UNAUTHENTICATED);
    client_destroy(c);
}

/* ---- watches over fake streams
 * ------------------------------------------------------------------------------ */

static void on_ready(void *arg)
{
    (*(unsigned *)arg)++;
}

/* A WatchResponse to the newest call. */
static void answer(const struct wire_watch_resp *r, int64_t event_revision)
{
    struct grpc_client_call *call = &calls[call_count - 1];
    struct buf msg = BUF_INIT;
    wire_watch_resp_encode_head(&msg, r);
    if (event_revision != 0) {
        size_t start = msg.len;
        struct wire_kv kv = {.key = SLICE_LIT("k"), .mod_revision = event_revision};
        wire_append_kv(&msg, 2, &kv);
        wire_close_message(&msg, start, WIRE_WATCH_EVENTS);
    }
    call->ops->on_message(call->arg, call, buf_slice(&msg));
    buf_deinit(&msg);
    run_deferred();
}

static void created(int64_t id)
{
    answer(
        &(struct wire_watch_resp){
            .has_header = true, .header = {.revision = 10}, .created = true, .watch_id = id},
        0);
}

static void event(int64_t id, int64_t revision)
{
    answer(&(struct wire_watch_resp){.has_header = true,
                                     .header = {.revision = revision},
                                     .watch_id = id},
           revision);
}

static int64_t take_revision(struct client_watcher *w)
{
    struct client_watch_answer *a = client_watcher_take(w);
    assert_non_null(a);
    int64_t revision = a->resp.events[0].kv.mod_revision;
    client_watch_answer_free(a);
    return revision;
}

static struct client_watcher *watcher(struct client *c, unsigned *ready)
{
    *ready = 0;
    return client_watcher_create(c, &env, on_ready, ready);
}

static struct client_watch *watch_key(struct client_watcher *w, void *arg)
{
    return client_watch_start(w, &(struct client_watch_options){.key = SLICE_LIT("k"), .arg = arg});
}

static void watches_are_created_one_by_one_and_go_on_elsewhere(void **state)
{
    (void)state;
    unsigned ready;
    struct client *c = make(1);
    struct client_watcher *w = watcher(c, &ready);
    watch_key(w, &ready);
    watch_key(w, &c);
    run_deferred();
    up(0);
    assert_int_equal(call_count, 1);
    assert_int_equal(calls[0].sent, 1); /* the second waits for the first's answer */
    created(5);
    assert_int_equal(calls[0].sent, 2);
    created(6);
    event(5, 11);
    event(6, 11);
    event(5, 12);
    event(7, 13); /* of nobody */
    assert_int_equal(ready, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(take_revision(w), i == 2 ? 12 : 11);
    }
    assert_null(client_watcher_take(w));
    end_call(&calls[0], GRPC_UNAVAILABLE, "transport is closing", true);
    pass(CLIENT_WATCH_PAUSE_MS + 1);
    assert_int_equal(call_count, 2);
    assert_int_equal(calls[1].sent, 1);
    created(0);
    assert_int_equal(calls[1].sent, 2);
    client_watcher_destroy(w);
    client_destroy(c);
}

static void a_watch_ends_with_a_reason(void **state)
{
    (void)state;
    unsigned ready;
    struct client *c = make(1);
    struct client_watcher *w = watcher(c, &ready);
    watch_key(w, &ready);
    watch_key(w, &c);
    run_deferred();
    up(0);
    created(1);
    answer(&(struct wire_watch_resp){.created = true,
                                     .canceled = true,
                                     .watch_id = -1,
                                     .cancel_reason = SLICE_LIT("no right")},
           0);
    struct client_watch_answer *a = client_watcher_take(w);
    assert_true(a->is_end);
    assert_ptr_equal(a->arg, &c);
    assert_string_equal(buf_cstr(&a->error), "no right");
    client_watch_answer_free(a);
    answer(&(struct wire_watch_resp){.canceled = true, .watch_id = 1, .compact_revision = 3}, 0);
    a = client_watcher_take(w);
    assert_string_equal(buf_cstr(&a->error), err_text(ERR_RPC_COMPACTED));
    client_watch_answer_free(a);
    watch_key(w, &ready);
    end_call(&calls[0], GRPC_PERMISSION_DENIED, "etcdserver: permission denied", true);
    a = client_watcher_take(w);
    assert_string_equal(buf_cstr(&a->error), "etcdserver: permission denied");
    client_watch_answer_free(a);
    client_watcher_destroy(w);
    client_destroy(c);
}

static void a_watch_gets_a_new_token(void **state)
{
    (void)state;
    unsigned ready;
    struct client *c = make(1);
    struct client_watcher *w = watcher(c, &ready);
    struct wire_watch_resp refused = {
        .created = true,
        .canceled = true,
        .watch_id = -1,
        .cancel_reason =
            SLICE_LIT("rpc error: code = Unauthenticated desc = etcdserver: invalid auth token")};
    client_credentials_set(c, "u", "p");
    watch_key(w, &ready);
    run_deferred();
    up(0);
    answer(&refused, 0);
    assert_int_equal(call_count, 2); /* the login */
    end_call(&calls[1], GRPC_OK, "", true);
    pass(3 * CLIENT_WATCH_PAUSE_MS);
    assert_int_equal(call_count, 3);
    assert_true(calls[0].is_over);
    assert_int_equal(ready, 0);
    answer(&refused, 0);
    assert_int_equal(call_count, 3); /* not again and again */
    struct client_watch_answer *a = client_watcher_take(w);
    assert_true(a->is_end);
    client_watch_answer_free(a);
    client_watcher_destroy(w);
    client_destroy(c);
}

static void a_slow_reader_holds_the_stream_back(void **state)
{
    (void)state;
    unsigned ready;
    struct client *c = make(1);
    struct client_watcher *w = watcher(c, &ready);
    watch_key(w, &ready);
    run_deferred();
    up(0);
    created(1);
    for (int i = 0; i < CLIENT_WATCH_QUEUE_MAX; i++) {
        assert_false(calls[0].is_paused);
        event(1, 11 + i);
    }
    assert_true(calls[0].is_paused);
    for (int i = 0; i < CLIENT_WATCH_QUEUE_MAX; i++) {
        assert_int_equal(take_revision(w), 11 + i);
    }
    assert_false(calls[0].is_paused);
    client_watcher_destroy(w);
    client_destroy(c);
}

static void a_stopped_watch_is_cancelled_and_silent(void **state)
{
    (void)state;
    unsigned ready;
    struct client *c = make(1);
    struct client_watcher *w = watcher(c, &ready);
    struct client_watch *first = watch_key(w, &ready);
    run_deferred();
    up(0);
    client_watch_stop(first); /* before its create was answered */
    watch_key(w, &c);
    assert_int_equal(calls[0].sent, 1);
    created(1); /* the stopped one's: cancelled, then the second is asked for */
    assert_int_equal(calls[0].sent, 3);
    event(1, 11);
    assert_null(client_watcher_take(w));
    created(2);
    event(2, 12);
    assert_int_equal(take_revision(w), 12);
    client_watcher_destroy(w);
    client_destroy(c);
}

/* ---- sessions
 * --------------------------------------------------------------------------------------- */

static void on_lost(void *arg)
{
    (*(unsigned *)arg)++;
}

static void a_session_is_renewed_until_the_lease_is_lost(void **state)
{
    (void)state;
    unsigned lost = 0;
    static const uint8_t alive[] = {0x10, 7, 0x18, 3}, gone[] = {0x10, 7};
    struct client *c = make(1);
    struct client_session *s =
        client_session_open(&(struct client_session_options){.client = c,
                                                             .env = &env,
                                                             .lease = 7,
                                                             .first_wait_ms = 3000,
                                                             .on_lost = on_lost,
                                                             .arg = &lost});
    run_deferred();
    up(0);
    calls[0].ops->on_message(calls[0].arg, &calls[0], slice_make(alive, sizeof(alive)));
    end_call(&calls[0], GRPC_OK, "", true);
    assert_int_equal(call_count, 1);
    pass(1001);
    assert_int_equal(call_count, 2);
    end_call(&calls[1], GRPC_INTERNAL, "x", true);
    pass(CLIENT_SESSION_RETRY_MS + 1);
    assert_int_equal(call_count, 3);
    assert_int_equal(lost, 0);
    calls[2].ops->on_message(calls[2].arg, &calls[2], slice_make(gone, sizeof(gone)));
    assert_int_equal(lost, 1);
    assert_true(client_session_is_lost(s));
    client_session_close(s);
    client_destroy(c);
}

static void a_session_without_answers_is_lost(void **state)
{
    (void)state;
    unsigned lost = 0;
    struct client *c = make(1);
    struct client_session *s =
        client_session_open(&(struct client_session_options){.client = c,
                                                             .env = &env,
                                                             .lease = 7,
                                                             .first_wait_ms = 3000,
                                                             .on_lost = on_lost,
                                                             .arg = &lost});
    run_deferred();
    pass(3001);
    assert_int_equal(lost, 1);
    client_session_close(s);
    client_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(watches_are_created_one_by_one_and_go_on_elsewhere),
        cmocka_unit_test(a_lost_token_is_replaced_once),
        cmocka_unit_test(a_watch_gets_a_new_token),
        cmocka_unit_test(a_watch_ends_with_a_reason),
        cmocka_unit_test(a_slow_reader_holds_the_stream_back),
        cmocka_unit_test(a_stopped_watch_is_cancelled_and_silent),
        cmocka_unit_test(a_session_is_renewed_until_the_lease_is_lost),
        cmocka_unit_test(a_session_without_answers_is_lost),
        cmocka_unit_test(waits_for_a_connection),
        cmocka_unit_test(takes_endpoints_in_turn),
        cmocka_unit_test(reads_are_tried_again),
        cmocka_unit_test(writes_are_never_sent_twice),
        cmocka_unit_test(other_codes_are_final),
        cmocka_unit_test(a_stream_with_messages_is_final),
        cmocka_unit_test(attempts_have_a_bound),
        cmocka_unit_test(deadlines_end_calls_in_any_state),
        cmocka_unit_test(reconnects_with_growing_pauses),
        cmocka_unit_test(drains_after_goaway),
        cmocka_unit_test(cancel_reports_once),
        cmocka_unit_test(refuses_what_is_too_large),
        cmocka_unit_test(refuses_bad_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
