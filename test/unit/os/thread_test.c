/* SPDX-License-Identifier: Apache-2.0
 *
 * os/thread, wakers, adopted streams: a second loop that plays ping-pong by mailbox and takes over
 * accepted sockets.  Under the thread sanitizer this is the test of env/mailbox.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "env/mailbox.h"
#include "os/os.h"
#include "test/unit/os/tests.h"

enum { ROUNDS = 3000, BATCH = 7, PATIENCE_MS = 20000 };

static struct env *env;

static int setup(void **state)
{
    (void)state;
    return os_env_create(NULL, &env);
}

static int teardown(void **state)
{
    (void)state;
    os_env_destroy(env);
    return 0;
}

/* ---- ping-pong ---- */

struct side {
    struct env_mailbox out;
    struct env *env;
    uint64_t seen;
    pthread_t thread;
};

struct ball {
    struct env_mail mail;
    uint64_t number;
    struct side *sides; /* [0] main, [1] the other */
    struct buf bytes;
};

static void at_other(struct env_mail *m);

static void ball_drop(struct env_mail *m)
{
    struct ball *b = container_of(m, struct ball, mail);
    buf_deinit(&b->bytes);
    mem_free(b);
}

static void at_main(struct env_mail *m)
{
    struct ball *b = container_of(m, struct ball, mail);
    struct side *me = &b->sides[0];
    assert_true(pthread_equal(pthread_self(), me->thread));
    assert_int_equal(b->number, me->seen++ % BATCH);
    assert_int_equal(b->bytes.len, (me->seen - 1) / BATCH * 2 + 2);
    if (me->seen == (uint64_t)ROUNDS * BATCH) {
        os_loop_stop(env);
    }
    if (me->seen > (uint64_t)(ROUNDS - 1) * BATCH) {
        ball_drop(m);
        return;
    }
    buf_append_byte(&b->bytes, 'm');
    b->mail.deliver = at_other;
    env_mailbox_push(&me->out, m);
}

static void at_other(struct env_mail *m)
{
    struct ball *b = container_of(m, struct ball, mail);
    struct side *me = &b->sides[1];
    assert_false(pthread_equal(pthread_self(), b->sides[0].thread));
    me->seen++;
    buf_append_byte(&b->bytes, 'o');
    b->mail.deliver = at_main;
    env_mailbox_push(&me->out, m);
}

static int other_setup(void *arg, struct env *its)
{
    struct side *sides = arg;
    sides[1].env = its;
    env_mailbox_sender_set(&sides[1].out, its);
    return env_mailbox_receiver_open(&sides[0].out, its);
}

static void other_teardown(void *arg)
{
    env_mailbox_receiver_close(&((struct side *)arg)[0].out);
}

static void ping_pong(void **state)
{
    (void)state;
    static struct side sides[2];
    memset(sides, 0, sizeof(sides));
    sides[0].thread = pthread_self();
    for (int i = 0; i < 2; i++) {
        env_mailbox_init(&sides[i].out);
    }
    env_mailbox_sender_set(&sides[0].out, env);
    assert_int_equal(env_mailbox_receiver_open(&sides[1].out, env), 0);
    struct os_thread_options o = {"test-net", other_setup, other_teardown, sides};
    struct os_thread *t;
    assert_int_equal(os_thread_start(&o, &t), 0);
    for (uint64_t i = 0; i < BATCH; i++) {
        struct ball *b = mem_zalloc(sizeof(*b));
        *b = (struct ball){{.deliver = at_other, .drop = ball_drop}, i, sides, BUF_INIT};
        buf_append_byte(&b->bytes, 'm');
        env_mailbox_push(&sides[0].out, &b->mail);
    }
    os_loop_run_for(env, PATIENCE_MS);
    assert_int_equal(sides[0].seen, ROUNDS * BATCH);
    os_thread_join(t);
    assert_int_equal(sides[1].seen, ROUNDS * BATCH);
    env_mailbox_receiver_close(&sides[1].out);
    for (int i = 0; i < 2; i++) {
        env_mailbox_deinit(&sides[i].out);
    }
}

/* ---- a start that fails ---- */

static int failing_setup(void *arg, struct env *its)
{
    (void)its;
    ++*(int *)arg;
    return ERR_LIMIT;
}

static void never_teardown(void *arg)
{
    *(int *)arg = 100;
}

static void a_failing_setup_leaves_nothing(void **state)
{
    (void)state;
    int calls = 0;
    struct os_thread_options o = {"test-net", failing_setup, never_teardown, &calls};
    struct os_thread *t;
    assert_int_equal(os_thread_start(&o, &t), ERR_LIMIT);
    assert_int_equal(calls, 1);
}

/* ---- adopted streams ---- */

static struct {
    struct env *net;
    struct env_mailbox down;
    pthread_t thread;
    int taken, lost; /* on the other thread until it is joined */
} shop;

struct stream_mail {
    struct env_mail mail;
    int64_t handle;
};

static void echo_data(void *arg, struct slice bytes)
{
    struct env_conn *c = arg;
    assert_false(pthread_equal(pthread_self(), shop.thread));
    c->ops->write(c, &bytes, 1);
}

static void echo_eof(void *arg)
{
    struct env_conn *c = arg;
    c->ops->close(c, 1000);
}

static void echo_nothing(void *arg)
{
    (void)arg;
}

static void echo_closed(void *arg, int err)
{
    (void)arg;
    (void)err;
}

static const struct env_conn_events echo_events = {echo_data, echo_eof, echo_nothing, echo_closed};

static void on_adopted(void *arg, struct env_conn *conn)
{
    assert_ptr_equal(arg, &shop);
    shop.taken++;
    conn->events = &echo_events;
    conn->arg = conn;
}

static void take(struct env_mail *m)
{
    struct stream_mail *s = container_of(m, struct stream_mail, mail);
    if (shop.net->net->ops->adopt(shop.net->net, s->handle, on_adopted, &shop) != 0) {
        shop.lost++;
    }
    mem_free(s);
}

static bool on_handle(void *arg, int64_t handle)
{
    assert_ptr_equal(arg, &shop);
    struct stream_mail *s = mem_zalloc(sizeof(*s));
    *s = (struct stream_mail){{.deliver = take}, handle};
    env_mailbox_push(&shop.down, &s->mail);
    return true;
}

static void never_accept(void *arg, struct env_conn *conn)
{
    (void)arg;
    (void)conn;
    fail();
}

static int shop_setup(void *arg, struct env *its)
{
    (void)arg;
    shop.net = its;
    return env_mailbox_receiver_open(&shop.down, its);
}

static void shop_teardown(void *arg)
{
    (void)arg;
    env_mailbox_receiver_close(&shop.down);
}

struct caller {
    struct env_conn *conn;
    size_t got;
    int *left;
};

static void caller_data(void *arg, struct slice bytes)
{
    struct caller *c = arg;
    c->got += bytes.len;
    if (c->got == 5) {
        c->conn->ops->close(c->conn, 1000);
    }
}

static void caller_up(void *arg)
{
    struct caller *c = arg;
    if (c->got == 0) {
        struct slice hello = SLICE_LIT("hello");
        c->conn->ops->write(c->conn, &hello, 1);
    }
}

static void caller_closed(void *arg, int err)
{
    struct caller *c = arg;
    assert_int_equal(err, 0);
    if (--*c->left == 0) {
        os_loop_stop(env);
    }
}

static const struct env_conn_events caller_events = {caller_data, echo_nothing, caller_up,
                                                     caller_closed};

static void accepted_streams_move_to_another_loop(void **state)
{
    (void)state;
    enum { CALLERS = 50 };
    static struct caller callers[CALLERS];
    int left = CALLERS;
    memset(&shop, 0, sizeof(shop));
    memset(callers, 0, sizeof(callers));
    shop.thread = pthread_self();
    env_mailbox_init(&shop.down);
    env_mailbox_sender_set(&shop.down, env);
    struct os_thread_options o = {"test-net", shop_setup, shop_teardown, &shop};
    struct os_thread *t;
    assert_int_equal(os_thread_start(&o, &t), 0);
    struct env_listen_options lo = {.on_handle = on_handle};
    struct env_listener *l;
    assert_int_equal(env->net->ops->listen(env->net, "127.0.0.1:0", &lo, never_accept, &shop, &l),
                     0);
    for (int i = 0; i < CALLERS; i++) {
        callers[i].left = &left;
        assert_int_equal(env->net->ops->connect(env->net, l->ops->local_name(l), PATIENCE_MS,
                                                &caller_events, &callers[i], &callers[i].conn),
                         0);
    }
    os_loop_run_for(env, PATIENCE_MS);
    assert_int_equal(left, 0);
    l->ops->close(l);
    os_thread_join(t);
    assert_int_equal(shop.taken, CALLERS);
    assert_int_equal(shop.lost, 0);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(callers[i].got, 5);
    }
    env_mailbox_deinit(&shop.down);
}

static void a_bad_handle_is_an_error(void **state)
{
    (void)state;
    assert_true(env->net->ops->adopt(env->net, 1 << 20, on_adopted, &shop) < 0);
}

int os_thread_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ping_pong, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failing_setup_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(accepted_streams_move_to_another_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_handle_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests_name("os/thread", tests, NULL, NULL);
}
