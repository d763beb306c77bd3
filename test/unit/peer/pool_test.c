/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections of questions that are used again, against a server written by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "bed.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

enum { MANY = LIMIT_PEER_POOL + 2 };

struct asked {
    int err, status;
    unsigned count;
};

static void on_answer(void *arg, const struct peer_answer *a)
{
    struct asked *g = arg;
    g->err = a->err;
    g->status = a->status;
    g->count++;
}

static struct peer_ask *ask(struct bed *b, struct peer_pool *pool, struct asked *g)
{
    struct strs urls = {NULL, 0};
    strs_add(&urls, SLICE_LIT("http://them:2380"));
    struct peer_question q = {.env = b->us_env,
                              .pool = pool,
                              .urls = &urls,
                              .method = "POST",
                              .path = "/leases",
                              .body = SLICE_LIT("x"),
                              .url_timeout_ms = 1000,
                              .on_answer = on_answer,
                              .arg = g};
    struct peer_ask *a = peer_ask_start(&q);
    strs_deinit(&urls);
    return a;
}

static unsigned requests_in(const struct raw *r)
{
    unsigned n = 0;
    for (size_t i = 0; i + 5 <= r->got.len; i++) {
        n += memcmp(r->got.data + i, "POST ", 5) == 0 ? 1 : 0;
    }
    return n;
}

/* Asked and answered over the connection of this number. */
static void exchange(struct bed *b, struct peer_pool *pool, size_t at, const char *answer)
{
    struct asked g = {.err = -1};
    (void)ask(b, pool, &g);
    sim_advance_ms(b->sim, 20);
    assert_int_equal(b->accepted_count, at + 1);
    raw_send(b, &b->accepted[at], answer);
    sim_advance_ms(b->sim, 20);
    assert_true(g.count == 1 && g.err == 0 && g.status == 200);
}

static void one_serves_many(void **state)
{
    struct bed *b = *state;
    struct peer_pool *pool = peer_pool_create(b->us_env);
    for (unsigned i = 0; i < 5; i++) {
        exchange(b, pool, 0, OK);
    }
    assert_int_equal(requests_in(&b->accepted[0]), 5);
    sim_advance_ms(b->sim, 1000);
    assert_false(b->accepted[0].is_eof);
    sim_advance_ms(b->sim, 2000);
    assert_true(b->accepted[0].is_eof); /* nobody wanted it */
    exchange(b, pool, 1, OK);
    peer_pool_stop(pool);
    sim_advance_ms(b->sim, 20);
    assert_true(b->accepted[1].is_eof);
    exchange(b, pool, 2, OK); /* none is kept any more */
    sim_advance_ms(b->sim, 20);
    assert_true(b->accepted[2].is_eof);
    peer_pool_destroy(pool);
}

static void without_a_pool(void **state)
{
    struct bed *b = *state;
    exchange(b, NULL, 0, OK);
    exchange(b, NULL, 1, OK);
}

static void what_cannot_go_on_is_not_kept(void **state)
{
    struct bed *b = *state;
    struct asked g = {.err = -1};
    struct peer_pool *pool = peer_pool_create(b->us_env);
    exchange(b, pool, 0, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    exchange(b, pool, 1, OK);
    raw_close(&b->accepted[1]); /* known before the next question */
    sim_advance_ms(b->sim, 100);
    exchange(b, pool, 2, OK);
    peer_ask_cancel(ask(b, pool, &g)); /* an answer may still come: not for the next one */
    exchange(b, pool, 3, OK);
    assert_int_equal(g.count, 0);
    peer_pool_stop(pool);
    peer_pool_destroy(pool);
}

/* Closed while the question was on its way: asked again, once, over a new one. */
static void a_closed_one_is_replaced(void **state)
{
    struct bed *b = *state;
    struct asked g = {.err = -1};
    struct peer_pool *pool = peer_pool_create(b->us_env);
    exchange(b, pool, 0, OK);
    raw_close(&b->accepted[0]);
    (void)ask(b, pool, &g);
    sim_advance_ms(b->sim, 20);
    assert_int_equal(b->accepted_count, 2);
    assert_int_equal(g.count, 0);
    raw_send(b, &b->accepted[1], OK);
    sim_advance_ms(b->sim, 20);
    assert_true(g.count == 1 && g.err == 0);
    /* A new one that is closed is an answer: nobody is there. */
    raw_close(&b->accepted[1]);
    (void)ask(b, pool, &g);
    sim_advance_ms(b->sim, 20);
    assert_int_equal(b->accepted_count, 3);
    raw_close(&b->accepted[2]);
    sim_advance_ms(b->sim, 20);
    assert_true(g.count == 2 && g.err != 0);
    /* One that is silent has had its time. */
    exchange(b, pool, 3, OK);
    (void)ask(b, pool, &g);
    sim_advance_ms(b->sim, 1100);
    assert_true(g.count == 3 && g.err == ERR_TIMED_OUT);
    assert_int_equal(b->accepted_count, 4);
    peer_pool_stop(pool);
    peer_pool_destroy(pool);
}

static void many_at_once(void **state)
{
    struct bed *b = *state;
    struct asked g[MANY] = {{0}};
    struct peer_pool *pool = peer_pool_create(b->us_env);
    for (size_t i = 0; i < MANY; i++) {
        (void)ask(b, pool, &g[i]);
    }
    sim_advance_ms(b->sim, 20);
    assert_int_equal(b->accepted_count, MANY);
    for (size_t i = 0; i < MANY; i++) {
        raw_send(b, &b->accepted[i], OK);
    }
    sim_advance_ms(b->sim, 20);
    unsigned open = 0;
    for (size_t i = 0; i < MANY; i++) {
        assert_true(g[i].count == 1 && g[i].err == 0);
        open += b->accepted[i].is_eof ? 0 : 1;
    }
    assert_int_equal(open, LIMIT_PEER_POOL);
    peer_pool_stop(pool);
    peer_pool_destroy(pool);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(one_serves_many),          CASE(without_a_pool), CASE(what_cannot_go_on_is_not_kept),
        CASE(a_closed_one_is_replaced), CASE(many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
