/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/net: the semantics of env.h over simulated streams: order, windows, FIN, reset, cuts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/prng.h"
#include "sim/sim.h"
#include "test/unit/sim/tests.h"

struct end {
    struct env_conn *conn;
    struct buf got;
    int calls, drains, eofs, closes, close_err;
    bool is_echo, closes_on_eof;
};

static void end_data(void *arg, struct slice bytes)
{
    struct end *e = arg;
    assert_int_equal(e->closes, 0);
    assert_int_equal(e->eofs, 0);
    e->calls++;
    buf_append_slice(&e->got, bytes);
    if (e->is_echo) {
        e->conn->ops->write(e->conn, &bytes, 1);
    }
}

static void end_eof(void *arg)
{
    struct end *e = arg;
    e->eofs++;
    if (e->closes_on_eof) {
        e->conn->ops->close(e->conn, 1000);
    }
}

static void end_drain(void *arg)
{
    ((struct end *)arg)->drains++;
}

static void end_close(void *arg, int err)
{
    struct end *e = arg;
    e->closes++;
    e->close_err = err;
    e->conn = NULL;
}

static const struct env_conn_events end_events = {end_data, end_eof, end_drain, end_close};

static struct sim *sim;
static struct env *a, *b;
static struct end client, server;
static struct env_listener *listener;

static void on_accept(void *arg, struct env_conn *conn)
{
    struct end *e = arg;
    assert_null(e->conn);
    e->conn = conn;
    conn->events = &end_events;
    conn->arg = e;
}

static int setup(void **state)
{
    (void)state;
    sim = sim_create(7);
    a = sim_host_env(sim_host_add(sim, "a"));
    b = sim_host_env(sim_host_add(sim, "b"));
    memset(&client, 0, sizeof(client));
    memset(&server, 0, sizeof(server));
    return b->net->ops->listen(b->net, "0.0.0.0:2380", NULL, on_accept, &server, &listener);
}

static int teardown(void **state)
{
    (void)state;
    sim_destroy(sim);
    buf_deinit(&client.got);
    buf_deinit(&server.got);
    return 0;
}

static void connect_to(const char *addr)
{
    assert_int_equal(a->net->ops->connect(a->net, addr, 1000, &end_events, &client, &client.conn),
                     0);
}

static void connect_pair(void)
{
    connect_to("b:2380");
    sim_advance_ms(sim, 100);
    assert_int_equal(client.drains, 1);
    assert_non_null(server.conn);
}

static void write_text(struct end *e, const char *text)
{
    struct slice s = slice_cstr(text);
    e->conn->ops->write(e->conn, &s, 1);
}

static void assert_got(const struct end *e, const char *text)
{
    assert_true(slice_equal_cstr(buf_slice(&e->got), text));
}

static void bytes_go_both_ways_and_close_is_clean(void **state)
{
    (void)state;
    connect_pair();
    assert_string_equal(listener->ops->local_name(listener), "0.0.0.0:2380");
    assert_memory_equal(server.conn->ops->peer_name(server.conn), "a:", 2);
    assert_string_equal(client.conn->ops->peer_name(client.conn), "b:2380");
    server.is_echo = true;
    const struct slice parts[] = {SLICE_LIT("hello "), SLICE_NULL, SLICE_LIT("world")};
    client.conn->ops->write(client.conn, parts, 3);
    assert_int_equal(server.calls, 0); /* nothing from within a call */
    sim_run_ready(sim);
    assert_got(&client, "hello world");
    server.closes_on_eof = true;
    client.conn->ops->close(client.conn, 1000);
    assert_non_null(client.conn);
    sim_run_ready(sim);
    assert_int_equal(client.closes, 1);
    assert_int_equal(client.close_err, 0);
    assert_int_equal(server.eofs, 1);
    assert_int_equal(server.closes, 1);
    assert_int_equal(server.close_err, 0);
    assert_int_equal(client.drains, 1);
}

static void what_is_written_early_arrives(void **state)
{
    (void)state;
    connect_to("b:2380");
    write_text(&client, "early");
    sim_run_ready(sim);
    assert_got(&server, "early");
}

static void a_slow_reader_fills_the_queue(void **state)
{
    (void)state;
    struct sim_net_options opts = {.window_bytes = 10};
    sim_net_options_set(sim, &opts);
    connect_pair();
    server.conn->ops->read_pause(server.conn);
    write_text(&client, "0123456789abcdefghij-the rest");
    assert_int_equal(client.conn->ops->queued(client.conn), 19);
    sim_advance_ms(sim, 100);
    assert_int_equal(server.calls, 0);
    assert_int_equal(client.drains, 1);
    server.conn->ops->read_resume(server.conn);
    sim_run_ready(sim);
    assert_got(&server, "0123456789abcdefghij-the rest");
    assert_int_equal(client.conn->ops->queued(client.conn), 0);
    assert_int_equal(client.drains, 2);
}

static void closing_flushes_but_not_for_ever(void **state)
{
    (void)state;
    struct sim_net_options opts = {.window_bytes = 4};
    sim_net_options_set(sim, &opts);
    connect_pair();
    write_text(&client, "0123456789");
    client.conn->ops->close(client.conn, 50);
    sim_run_ready(sim);
    assert_got(&server, "0123456789");
    assert_int_equal(server.eofs, 1);
    assert_int_equal(client.closes, 1);
    server.conn->ops->close(server.conn, 0);
    sim_run_ready(sim);

    buf_clear(&server.got);
    client.drains = server.eofs = server.closes = 0;
    connect_pair();
    server.conn->ops->read_pause(server.conn);
    write_text(&client, "0123456789");
    client.conn->ops->close(client.conn, 50);
    sim_advance_ms(sim, 49);
    assert_int_equal(client.closes, 1);
    sim_advance_ms(sim, 1);
    assert_int_equal(client.closes, 2);
    server.conn->ops->read_resume(server.conn);
    sim_run_ready(sim);
    assert_got(&server, "0123");
    assert_int_equal(server.eofs, 1);
}

static void connecting_fails_in_its_own_ways(void **state)
{
    (void)state;
    connect_to("b:1");
    sim_run_ready(sim);
    assert_int_equal(client.close_err, ERR_REFUSED);
    connect_to("nobody:2380");
    sim_run_ready(sim);
    assert_int_equal(client.close_err, ERR_NOT_FOUND);
    sim_net_cut(sim, "b", "a", true);
    connect_to("b:2380");
    sim_advance_ms(sim, 999);
    assert_int_equal(client.closes, 2);
    sim_advance_ms(sim, 1);
    assert_int_equal(client.closes, 3);
    assert_int_equal(client.close_err, ERR_TIMED_OUT);
    connect_to("b:2380");
    sim_advance_ms(sim, 500);
    sim_net_cut(sim, "a", "b", false);
    sim_run_ready(sim);
    assert_int_equal(client.drains, 1);
    struct env_conn *c;
    assert_int_equal(a->net->ops->connect(a->net, "b", 1, &end_events, &client, &c), ERR_INVALID);
}

static void listening_fails_in_its_own_ways(void **state)
{
    (void)state;
    struct env_listener *l;
    assert_int_equal(b->net->ops->listen(b->net, "b:2380", NULL, on_accept, &server, &l),
                     ERR_EXISTS);
    assert_int_equal(b->net->ops->listen(b->net, "a:2380", NULL, on_accept, &server, &l), ERR_NET);
    assert_int_equal(b->net->ops->listen(b->net, "localhost:0", NULL, on_accept, &server, &l), 0);
    assert_string_equal(l->ops->local_name(l), "localhost:20000");
    listener->ops->close(listener);
    connect_to("b:2380");
    sim_run_ready(sim);
    assert_int_equal(client.close_err, ERR_REFUSED);
}

static void unix_sockets_stay_on_their_host(void **state)
{
    (void)state;
    struct env_listener *l;
    assert_int_equal(a->net->ops->listen(a->net, "unix:/s", NULL, on_accept, &server, &l), 0);
    connect_to("unix:///s");
    sim_run_ready(sim);
    assert_string_equal(server.conn->ops->peer_name(server.conn), "@");
    assert_int_equal(client.drains, 1);
}

static void a_cut_holds_bytes_back(void **state)
{
    (void)state;
    connect_pair();
    sim_net_cut(sim, "a", "b", true);
    write_text(&client, "later");
    client.conn->ops->close(client.conn, 10);
    sim_advance_ms(sim, 5000);
    assert_int_equal(server.calls + server.eofs, 0);
    sim_net_cut(sim, "a", "b", false);
    sim_run_ready(sim);
    assert_got(&server, "later");
    assert_int_equal(server.eofs, 1);
}

static void a_cut_may_be_one_way(void **state)
{
    (void)state;
    connect_pair();
    struct sim_host *ha = sim_host_of(a), *hb = sim_host_of(b);
    sim_net_cut_one_way(ha, hb, true);
    write_text(&client, "lost for now");
    write_text(&server, "back");
    sim_advance_ms(sim, 10);
    assert_got(&client, "back");
    assert_int_equal(server.got.len, 0);
    sim_net_cut_one_way(ha, hb, false);
    sim_advance_ms(sim, 10);
    assert_got(&server, "lost for now");
}

static void a_power_cut_is_silent(void **state)
{
    (void)state;
    connect_pair();
    struct sim_host *old = sim_host_of(b);
    struct sim_host *next = sim_host_replace(old, true);
    sim_advance_ms(sim, 1000);
    assert_int_equal(client.closes, 0);
    assert_int_equal(server.closes, 1); /* the code of the dead machine, which goes on */
    write_text(&client, "anybody there?");
    sim_advance_ms(sim, 1000);
    assert_int_equal(client.closes, 0); /* it is off */
    sim_host_power(next, true);
    sim_advance_ms(sim, 10);
    assert_int_equal(client.closes, 1); /* the machine is back and knows nothing of it */
    b = sim_host_env(next);
}

static void a_crashed_host_resets_its_streams(void **state)
{
    (void)state;
    connect_pair();
    sim_host_crash(sim_host_of(b));
    sim_run_ready(sim);
    assert_int_equal(client.closes, 1);
    assert_int_equal(client.close_err, ERR_NET);
    connect_to("b:2380");
    sim_run_ready(sim);
    assert_int_equal(client.close_err, ERR_REFUSED); /* the listener is gone too */
}

static void resets_reach_both_ends(void **state)
{
    (void)state;
    connect_pair();
    sim_conn_reset(client.conn);
    sim_run_ready(sim);
    assert_int_equal(client.close_err, ERR_NET);
    assert_int_equal(server.close_err, ERR_NET);
    assert_int_equal(client.closes + server.closes, 2);
}

static void writing_to_a_closed_peer_is_an_error(void **state)
{
    (void)state;
    connect_pair();
    server.conn->ops->close(server.conn, 100);
    sim_run_ready(sim);
    assert_int_equal(client.eofs, 1);
    write_text(&client, "x");
    sim_run_ready(sim);
    assert_int_equal(client.closes, 1);
    assert_int_equal(client.close_err, ERR_NET);
}

static void accepting_can_fail_for_a_while(void **state)
{
    (void)state;
    sim_net_accept_fail(b, true);
    connect_to("b:2380");
    write_text(&client, "x");
    sim_advance_ms(sim, 500);
    assert_null(server.conn);
    sim_net_accept_fail(b, false);
    sim_run_ready(sim);
    assert_got(&server, "x");
}

static void latency_takes_time_and_keeps_the_order(void **state)
{
    (void)state;
    struct sim_net_options opts = {.latency_min_ns = 1000000, .latency_max_ns = 9000000};
    sim_net_options_set(sim, &opts);
    uint64_t begin = sim_now_ns(sim);
    connect_to("b:2380");
    sim_run_ready(sim);
    assert_int_equal(client.drains, 0);
    sim_advance_ms(sim, 20);
    assert_int_equal(client.drains, 1);
    for (char c = 'a'; c <= 'z'; c++) {
        write_text(&client, (char[]){c, 0});
    }
    sim_advance_ms(sim, 9);
    assert_got(&server, "abcdefghijklmnopqrstuvwxyz");
    assert_true(sim_now_ns(sim) - begin == 29000000);
}

/* In drawn order, with splits, latency and a small window every byte arrives once and in order. */
static void streams_survive_any_schedule(void **state)
{
    (void)state;
    enum { TOTAL = 20000 };
    static uint8_t sent[TOTAL];
    struct prng p;
    prng_init(&p, 3);
    for (size_t i = 0; i < TOTAL; i++) {
        sent[i] = (uint8_t)prng_next(&p);
    }
    struct sim_net_options opts = {.latency_max_ns = 3000000, .window_bytes = 700, .split = true};
    sim_net_options_set(sim, &opts);
    sim_order_set(sim, SIM_ORDER_SEED);
    connect_pair();
    server.is_echo = true;
    for (size_t off = 0; off < TOTAL;) {
        size_t n = 1 + (size_t)prng_below(&p, 900);
        n = n < TOTAL - off ? n : TOTAL - off;
        struct slice s = slice_make(sent + off, n);
        client.conn->ops->write(client.conn, &s, 1);
        off += n;
        if (prng_chance(&p, 1, 4)) {
            sim_advance_ms(sim, 1);
        }
    }
    sim_advance_ms(sim, 10000);
    assert_int_equal(client.got.len, TOTAL);
    assert_memory_equal(client.got.data, sent, TOTAL);
    assert_memory_equal(server.got.data, sent, TOTAL);
}

int sim_net_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_go_both_ways_and_close_is_clean, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_written_early_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_reader_fills_the_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_flushes_but_not_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(connecting_fails_in_its_own_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(listening_fails_in_its_own_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(unix_sockets_stay_on_their_host, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cut_holds_bytes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cut_may_be_one_way, setup, teardown),
        cmocka_unit_test_setup_teardown(a_power_cut_is_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(a_crashed_host_resets_its_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(resets_reach_both_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(writing_to_a_closed_peer_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(accepting_can_fail_for_a_while, setup, teardown),
        cmocka_unit_test_setup_teardown(latency_takes_time_and_keeps_the_order, setup, teardown),
        cmocka_unit_test_setup_teardown(streams_survive_any_schedule, setup, teardown),
    };
    return cmocka_run_group_tests_name("sim/net", tests, NULL, NULL);
}
