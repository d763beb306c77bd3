/* SPDX-License-Identifier: Apache-2.0
 *
 * os/conn, os/connect, os/listener: streams over loopback and unix sockets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/os.h"
#include "test/unit/os/tests.h"

enum { BIG_BYTES = 8 << 20, PATIENCE_MS = 5000 };

static struct env *env;

/* One end of a stream, with everything that happened to it. */
struct end {
    struct env_conn *conn;
    struct buf got;
    size_t got_bytes; /* also when got is not kept */
    int drains, eofs, closes;
    int close_err;
    bool is_echo; /* writes back what comes */
    bool keeps_bytes;
    bool closes_on_eof;
    size_t stop_at_bytes;
    int *stop_at_closes; /* counts down to os_loop_stop */
};

static void end_data(void *arg, struct slice bytes)
{
    struct end *e = arg;
    assert_int_equal(e->closes, 0);
    e->got_bytes += bytes.len;
    if (e->keeps_bytes) {
        buf_append_slice(&e->got, bytes);
    }
    if (e->is_echo) {
        e->conn->ops->write(e->conn, &bytes, 1);
    }
    if (e->stop_at_bytes > 0 && e->got_bytes >= e->stop_at_bytes) {
        os_loop_stop(env);
    }
}

static void end_eof(void *arg)
{
    struct end *e = arg;
    e->eofs++;
    if (e->closes_on_eof) {
        e->conn->ops->close(e->conn, 100);
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
    if (e->stop_at_closes != NULL && --*e->stop_at_closes == 0) {
        os_loop_stop(env);
    }
}

static const struct env_conn_events end_events = {end_data, end_eof, end_drain, end_close};

static struct end client, server;
static struct env_listener *listener;
static bool refuses;

static void on_accept(void *arg, struct env_conn *conn)
{
    assert_ptr_equal(arg, &server);
    if (refuses) {
        return; /* no events: dropped */
    }
    assert_null(server.conn);
    server.conn = conn;
    conn->events = &end_events;
    conn->arg = &server;
}

static int setup(void **state)
{
    (void)state;
    test_dir_make();
    memset(&client, 0, sizeof(client));
    memset(&server, 0, sizeof(server));
    client.keeps_bytes = server.keeps_bytes = true;
    listener = NULL;
    refuses = false;
    return os_env_create(NULL, &env);
}

static int teardown(void **state)
{
    (void)state;
    os_env_destroy(env);
    buf_deinit(&client.got);
    buf_deinit(&server.got);
    test_dir_remove();
    return 0;
}

static void listen_at(const char *addr)
{
    assert_int_equal(env->net->ops->listen(env->net, addr, NULL, on_accept, &server, &listener), 0);
}

static void connect_to(const char *addr, uint64_t timeout_ms)
{
    assert_int_equal(
        env->net->ops->connect(env->net, addr, timeout_ms, &end_events, &client, &client.conn), 0);
}

static void connect_pair(const char *addr)
{
    listen_at(addr);
    char where[300];
    snprintf(where, sizeof(where), "%s%s", addr[0] == 'u' ? "unix:" : "",
             listener->ops->local_name(listener));
    connect_to(where, PATIENCE_MS);
    for (int i = 0; i < 500 && (server.conn == NULL || client.drains == 0); i++) {
        os_loop_run_for(env, 10);
    }
    assert_non_null(server.conn);
    assert_int_equal(client.drains, 1);
}

static void write_text(struct end *e, const char *text)
{
    struct slice s = slice_cstr(text);
    e->conn->ops->write(e->conn, &s, 1);
}

static void run_until_closes(int count)
{
    int left = count;
    client.stop_at_closes = server.stop_at_closes = &left;
    os_loop_run_for(env, PATIENCE_MS);
    client.stop_at_closes = server.stop_at_closes = NULL;
    assert_int_equal(left, 0);
}

static void echo_over(const char *addr)
{
    connect_pair(addr);
    server.is_echo = true;
    const struct slice parts[] = {SLICE_LIT("hello "), SLICE_NULL, SLICE_LIT("world")};
    client.stop_at_bytes = 11;
    client.conn->ops->write(client.conn, parts, 3);
    assert_int_equal(client.conn->ops->queued(client.conn), 0);
    os_loop_run_for(env, PATIENCE_MS);
    assert_true(slice_equal_cstr(buf_slice(&client.got), "hello world"));
    server.closes_on_eof = true;
    client.conn->ops->close(client.conn, 1000);
    assert_non_null(client.conn); /* never from within close */
    run_until_closes(2);
    assert_int_equal(server.eofs, 1);
    assert_int_equal(server.close_err, 0);
    assert_int_equal(client.close_err, 0);
    assert_int_equal(client.drains, 1);
}

static void echo_over_ipv4(void **state)
{
    (void)state;
    echo_over("127.0.0.1:0");
    assert_memory_equal(listener->ops->local_name(listener), "127.0.0.1:", 10);
}

static void echo_over_ipv6(void **state)
{
    (void)state;
    struct env_listener *probe;
    if (env->net->ops->listen(env->net, "[::1]:0", NULL, on_accept, &server, &probe) != 0) {
        skip(); /* no IPv6 on this machine */
    }
    probe->ops->close(probe);
    echo_over("[::1]:0");
}

static void echo_over_localhost(void **state)
{
    (void)state;
    echo_over("localhost:0");
}

static void echo_over_unix(void **state)
{
    (void)state;
    char addr[300];
    snprintf(addr, sizeof(addr), "unix:%s", test_path("sock"));
    echo_over(addr);
    assert_string_equal(listener->ops->local_name(listener), test_path("sock"));
    listener->ops->close(listener);
    assert_int_equal(access(test_path("sock"), F_OK), -1);
}

static void a_host_name_is_resolved(void **state)
{
    (void)state;
    listen_at("127.0.0.1:0");
    char addr[64];
    snprintf(addr, sizeof(addr), "localhost:%s",
             strrchr(listener->ops->local_name(listener), ':') + 1);
    connect_to(addr, PATIENCE_MS);
    write_text(&client, "early"); /* before it is connected */
    server.stop_at_bytes = 5;
    os_loop_run_for(env, PATIENCE_MS);
    assert_true(slice_equal_cstr(buf_slice(&server.got), "early"));
    assert_memory_equal(server.conn->ops->peer_name(server.conn), "127.0.0.1:", 10);
    assert_string_equal(client.conn->ops->peer_name(client.conn),
                        listener->ops->local_name(listener));
}

static void a_wildcard_takes_both_families(void **state)
{
    (void)state;
    listen_at("0.0.0.0:0");
    char addr[64];
    snprintf(addr, sizeof(addr), "127.0.0.1:%s",
             strrchr(listener->ops->local_name(listener), ':') + 1);
    connect_to(addr, PATIENCE_MS);
    write_text(&client, "x");
    server.stop_at_bytes = 1;
    os_loop_run_for(env, PATIENCE_MS);
    assert_memory_equal(server.conn->ops->peer_name(server.conn), "127.0.0.1:", 10);
}

static void connections_begin_at_the_source(void **state)
{
    (void)state;
    assert_int_equal(os_env_source_set(env, "localhost"), ERR_INVALID);
    assert_int_equal(os_env_source_set(env, "127.0.0.7"), 0);
    connect_pair("127.0.0.1:0");
    assert_memory_equal(server.conn->ops->peer_name(server.conn), "127.0.0.7:", 10);
}

static void a_source_of_another_family_is_not_used(void **state)
{
    (void)state;
    assert_int_equal(os_env_source_set(env, "2001:db8::1"), 0);
    connect_pair("127.0.0.1:0");
    assert_memory_equal(server.conn->ops->peer_name(server.conn), "127.0.0.1:", 10);
}

static void a_source_that_is_not_ours_fails(void **state)
{
    (void)state;
    assert_int_equal(os_env_source_set(env, "203.0.113.1"), 0);
    listen_at("127.0.0.1:0");
    connect_to(listener->ops->local_name(listener), PATIENCE_MS);
    run_until_closes(1);
    assert_int_not_equal(client.close_err, 0);
}

static void more_than_the_kernel_takes_is_queued(void **state)
{
    (void)state;
    connect_pair("127.0.0.1:0");
    uint8_t *big = mem_alloc(BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES; i++) {
        big[i] = (uint8_t)(i * 31 + i / 4096);
    }
    server.conn->ops->read_pause(server.conn);
    struct slice halves[2] = {slice_make(big, BIG_BYTES / 2),
                              slice_make(big + BIG_BYTES / 2, BIG_BYTES / 2)};
    client.conn->ops->write(client.conn, halves, 2);
    size_t queued = client.conn->ops->queued(client.conn);
    assert_true(queued > 0 && queued < BIG_BYTES);
    write_text(&client, "tail");
    assert_int_equal(client.conn->ops->queued(client.conn), queued + 4);
    os_loop_run_for(env, 20);
    assert_int_equal(server.got_bytes, 0);
    assert_int_equal(client.drains, 1);
    server.conn->ops->read_resume(server.conn);
    server.stop_at_bytes = BIG_BYTES + 4;
    os_loop_run_for(env, PATIENCE_MS);
    assert_int_equal(server.got.len, BIG_BYTES + 4);
    assert_memory_equal(server.got.data, big, BIG_BYTES);
    assert_memory_equal(server.got.data + BIG_BYTES, "tail", 4);
    assert_int_equal(client.conn->ops->queued(client.conn), 0);
    assert_int_equal(client.drains, 2);
    mem_free(big);
}

static void close_flushes_what_is_queued(void **state)
{
    (void)state;
    connect_pair("127.0.0.1:0");
    uint8_t *big = mem_zalloc(BIG_BYTES);
    struct slice all = slice_make(big, BIG_BYTES);
    server.keeps_bytes = false;
    server.closes_on_eof = true;
    client.conn->ops->write(client.conn, &all, 1);
    client.conn->ops->close(client.conn, PATIENCE_MS);
    client.conn->ops->write(client.conn, &all, 1); /* too late: dropped */
    run_until_closes(2);
    assert_int_equal(server.got_bytes, BIG_BYTES);
    assert_int_equal(server.eofs, 1);
    assert_int_equal(client.close_err, 0);
    mem_free(big);
}

static void the_flush_has_an_end(void **state)
{
    (void)state;
    connect_pair("127.0.0.1:0");
    uint8_t *big = mem_zalloc(BIG_BYTES);
    struct slice all = slice_make(big, BIG_BYTES);
    server.conn->ops->read_pause(server.conn);
    client.conn->ops->write(client.conn, &all, 1);
    uint64_t begin = env_mono_ms(env);
    client.conn->ops->close(client.conn, 50);
    run_until_closes(1);
    assert_int_equal(client.closes, 1);
    assert_true(env_mono_ms(env) - begin >= 49);
    mem_free(big);
}

static void an_answer_survives_unread_bytes_of_the_peer(void **state)
{
    (void)state;
    connect_pair("127.0.0.1:0");
    /* The server answers and closes while bytes of the client are unread: without waiting for the
     * client's FIN this would be a reset, which may throw the answer away. */
    server.conn->ops->read_pause(server.conn);
    write_text(&client, "request that nobody reads");
    os_loop_run_for(env, 5);
    write_text(&server, "answer");
    server.conn->ops->close(server.conn, 1000);
    client.closes_on_eof = true;
    run_until_closes(2);
    assert_true(slice_equal_cstr(buf_slice(&client.got), "answer"));
    assert_int_equal(client.close_err, 0);
    assert_int_equal(server.got_bytes, 0);
}

static void a_reset_is_an_error(void **state)
{
    (void)state;
    connect_pair("127.0.0.1:0");
    server.conn->ops->read_pause(server.conn);
    write_text(&client, "unread");
    os_loop_run_for(env, 5);
    server.conn->ops->close(server.conn, 0); /* unread bytes: the kernel resets */
    run_until_closes(2);
    assert_int_equal(client.close_err, ERR_NET);
    assert_int_equal(server.close_err, 0);
}

static void connecting_fails_in_its_own_ways(void **state)
{
    (void)state;
    listen_at("127.0.0.1:0");
    char addr[64];
    snprintf(addr, sizeof(addr), "%s", listener->ops->local_name(listener));
    listener->ops->close(listener);
    os_loop_run_for(env, 5);
    connect_to(addr, PATIENCE_MS);
    run_until_closes(1);
    assert_int_equal(client.close_err, ERR_REFUSED);
    assert_int_equal(client.drains, 0);

    char path[300];
    snprintf(path, sizeof(path), "unix:%s", test_path("nobody"));
    connect_to(path, PATIENCE_MS);
    run_until_closes(1);
    assert_int_equal(client.close_err, ERR_NOT_FOUND);

    struct env_conn *c;
    static const char *const bad[] = {"",      "host",  "host:", "host:x", "1.2.3.4:70000",
                                      "::1:5", "unix:", "[::1]"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(env->net->ops->connect(env->net, bad[i], 1, &end_events, &client, &c),
                         ERR_INVALID);
    }
}

static void connecting_has_a_time_limit(void **state)
{
    (void)state;
    /* A listener of our own with a full backlog: further SYNs are not answered. */
    struct sockaddr_in in = {.sin_family = AF_INET};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const void *)&in, len), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (void *)&in, &len), 0);
    int fill[4];
    for (int i = 0; i < 4; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fill[i], (const void *)&in, len);
    }
    os_loop_run_for(env, 5);
    char addr[64];
    snprintf(addr, sizeof(addr), "127.0.0.1:%u", ntohs(in.sin_port));
    connect_to(addr, 50);
    run_until_closes(1);
    assert_int_equal(client.close_err, ERR_TIMED_OUT);
    for (int i = 0; i < 4; i++) {
        close(fill[i]);
    }
    close(fd);
}

static void a_conn_may_be_closed_while_it_connects(void **state)
{
    (void)state;
    listen_at("127.0.0.1:0");
    connect_to(listener->ops->local_name(listener), PATIENCE_MS);
    client.conn->ops->close(client.conn, 100);
    run_until_closes(1);
    connect_to("localhost:1", PATIENCE_MS); /* in the resolver */
    client.conn->ops->close(client.conn, 0);
    run_until_closes(1);
    assert_int_equal(client.close_err, 0);
    connect_to("localhost:1", PATIENCE_MS); /* left to os_env_destroy */
}

static void listening_fails_in_its_own_ways(void **state)
{
    (void)state;
    struct env_listener *l;
    listen_at("127.0.0.1:0");
    assert_int_equal(env->net->ops->listen(env->net, listener->ops->local_name(listener), NULL,
                                           on_accept, &server, &l),
                     ERR_EXISTS);
    assert_string_equal(os_last_text_go(), "address already in use");
    assert_int_equal(env->net->ops->listen(env->net, "192.0.2.1:0", NULL, on_accept, &server, &l),
                     ERR_NET);
    assert_int_equal(env->net->ops->listen(env->net, "127.0.0.1", NULL, on_accept, &server, &l),
                     ERR_INVALID);
}

static void reuse_port_lets_two_listen(void **state)
{
    (void)state;
    struct env_listen_options opts = {.reuse_port = true};
    struct env_listener *a, *b;
    assert_int_equal(env->net->ops->listen(env->net, "127.0.0.1:0", &opts, on_accept, &server, &a),
                     0);
    assert_int_equal(
        env->net->ops->listen(env->net, a->ops->local_name(a), &opts, on_accept, &server, &b), 0);
}

static void a_stale_unix_socket_is_replaced_a_live_one_not(void **state)
{
    (void)state;
    char addr[300];
    snprintf(addr, sizeof(addr), "unix://%s", test_path("s"));
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", test_path("s"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const void *)&un, sizeof(un)), 0);
    close(fd); /* never listened: connecting is refused */
    listen_at(addr);
    struct env_listener *l;
    assert_int_equal(env->net->ops->listen(env->net, addr, NULL, on_accept, &server, &l),
                     ERR_EXISTS);
}

static void a_refused_conn_is_dropped(void **state)
{
    (void)state;
    refuses = true;
    listen_at("127.0.0.1:0");
    client.closes_on_eof = true;
    connect_to(listener->ops->local_name(listener), PATIENCE_MS);
    run_until_closes(1);
    assert_int_equal(client.eofs, 1);
}

static void accepting_survives_running_out_of_descriptors(void **state)
{
    (void)state;
    listen_at("127.0.0.1:0");
    struct sockaddr_in in = {.sin_family = AF_INET};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in.sin_port = htons((uint16_t)atoi(strrchr(listener->ops->local_name(listener), ':') + 1));
    struct rlimit old, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const void *)&in, sizeof(in)), 0);
    low = old;
    low.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    os_loop_run_for(env, 30);
    bool was_accepted = server.conn != NULL;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_false(was_accepted);
    assert_int_equal(write(fd, "x", 1), 1);
    server.stop_at_bytes = 1;
    os_loop_run_for(env, PATIENCE_MS);
    assert_non_null(server.conn);
    close(fd);
}

/* ---- many ---- */

enum { MANY = 200 };

static struct end many_clients[MANY], many_servers[MANY];
static int accepted;

static void on_accept_many(void *arg, struct env_conn *conn)
{
    (void)arg;
    struct end *e = &many_servers[accepted++];
    e->conn = conn;
    e->is_echo = true;
    e->closes_on_eof = true;
    conn->events = &end_events;
    conn->arg = e;
}

static void many_connections_at_once(void **state)
{
    (void)state;
    memset(many_clients, 0, sizeof(many_clients));
    memset(many_servers, 0, sizeof(many_servers));
    accepted = 0;
    struct env_listener *l;
    assert_int_equal(env->net->ops->listen(env->net, "127.0.0.1:0", NULL, on_accept_many, NULL, &l),
                     0);
    int left = 2 * MANY;
    for (int i = 0; i < MANY; i++) {
        struct end *e = &many_clients[i];
        e->stop_at_closes = many_servers[i].stop_at_closes = &left;
        assert_int_equal(env->net->ops->connect(env->net, l->ops->local_name(l), PATIENCE_MS,
                                                &end_events, e, &e->conn),
                         0);
        write_text(e, "ping");
    }
    for (int turn = 0; turn < 200; turn++) {
        os_loop_run_for(env, 5);
        int through = 0;
        for (int i = 0; i < MANY; i++) {
            struct end *e = &many_clients[i];
            through += e->got_bytes == 4;
            if (e->got_bytes == 4 && e->conn != NULL) {
                e->conn->ops->close(e->conn, 1000);
            }
        }
        if (through == MANY) {
            break;
        }
    }
    os_loop_run_for(env, PATIENCE_MS);
    assert_int_equal(left, 0);
    assert_int_equal(accepted, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(many_clients[i].got_bytes, 4);
        assert_int_equal(many_clients[i].closes, 1);
        assert_int_equal(many_servers[i].closes, 1);
    }
}

int os_net_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(echo_over_ipv4, setup, teardown),
        cmocka_unit_test_setup_teardown(echo_over_ipv6, setup, teardown),
        cmocka_unit_test_setup_teardown(echo_over_localhost, setup, teardown),
        cmocka_unit_test_setup_teardown(echo_over_unix, setup, teardown),
        cmocka_unit_test_setup_teardown(a_host_name_is_resolved, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wildcard_takes_both_families, setup, teardown),
        cmocka_unit_test_setup_teardown(connections_begin_at_the_source, setup, teardown),
        cmocka_unit_test_setup_teardown(a_source_of_another_family_is_not_used, setup, teardown),
        cmocka_unit_test_setup_teardown(a_source_that_is_not_ours_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(more_than_the_kernel_takes_is_queued, setup, teardown),
        cmocka_unit_test_setup_teardown(close_flushes_what_is_queued, setup, teardown),
        cmocka_unit_test_setup_teardown(the_flush_has_an_end, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_survives_unread_bytes_of_the_peer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_reset_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(connecting_fails_in_its_own_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(connecting_has_a_time_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_conn_may_be_closed_while_it_connects, setup, teardown),
        cmocka_unit_test_setup_teardown(listening_fails_in_its_own_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(reuse_port_lets_two_listen, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stale_unix_socket_is_replaced_a_live_one_not, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_refused_conn_is_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(accepting_survives_running_out_of_descriptors, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(many_connections_at_once, setup, teardown),
    };
    return cmocka_run_group_tests_name("os/net", tests, NULL, NULL);
}
