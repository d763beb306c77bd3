/* SPDX-License-Identifier: Apache-2.0
 *
 * env/mailbox: order, batches, bounds, both ends on one fake loop (test/unit/os/thread_test.c has
 * them on two threads).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../rpc/fake_env.h"
#include "base/limits.h"
#include "env/mailbox.h"

struct letter {
    struct env_mail mail;
    int number;
};

static struct fake_env *f;
static struct env_mailbox mb;
static int delivered, dropped, answers_left;

static struct letter *letter_new(int number, size_t bytes);

static void deliver(struct env_mail *m)
{
    struct letter *l = container_of(m, struct letter, mail);
    assert_int_equal(l->number, delivered++);
    if (answers_left > 0) { /* pushed from inside deliver: the next batch */
        answers_left--;
        env_mailbox_push(&mb, &letter_new(l->number + 1, 0)->mail);
    }
    mem_free(l);
}

static void drop(struct env_mail *m)
{
    dropped++;
    mem_free(container_of(m, struct letter, mail));
}

static struct letter *letter_new(int number, size_t bytes)
{
    struct letter *l = mem_zalloc(sizeof(*l));
    *l = (struct letter){.mail = {.deliver = deliver, .drop = drop, .bytes = bytes},
                         .number = number};
    return l;
}

static int setup(void **state)
{
    (void)state;
    f = fake_env_create();
    env_mailbox_init(&mb);
    env_mailbox_sender_set(&mb, &f->env);
    delivered = dropped = answers_left = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    env_mailbox_receiver_close(&mb);
    env_mailbox_deinit(&mb);
    fake_env_destroy(f);
    return 0;
}

static void open_now(void)
{
    assert_int_equal(env_mailbox_receiver_open(&mb, &f->env), 0);
}

static void a_turn_is_one_batch(void **state)
{
    (void)state;
    open_now();
    for (int i = 0; i < 100; i++) {
        env_mailbox_push(&mb, &letter_new(i, 1)->mail);
    }
    assert_int_equal(delivered, 0);
    assert_int_equal(f->deferred_count, 1); /* one flush for all */
    fake_env_turn(f);
    assert_int_equal(delivered, 0); /* they are over, the receiver is woken */
    fake_env_turn(f);
    assert_int_equal(delivered, 100);
    assert_false(fake_env_turn(f));
}

static void answers_from_inside_come_later(void **state)
{
    (void)state;
    open_now();
    answers_left = 50;
    env_mailbox_push(&mb, &letter_new(0, 0)->mail);
    fake_env_settle(f);
    assert_int_equal(delivered, 51);
}

static void what_was_sent_before_the_receiver_came(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        env_mailbox_push(&mb, &letter_new(i, 0)->mail);
        fake_env_settle(f);
    }
    assert_int_equal(delivered, 0);
    open_now();
    fake_env_settle(f);
    assert_int_equal(delivered, 3);
}

static void room_ends_and_comes_back(void **state)
{
    (void)state;
    open_now();
    int n = 0;
    while (env_mailbox_has_room(&mb)) {
        env_mailbox_push(&mb, &letter_new(n++, 0)->mail);
    }
    assert_int_equal(n, LIMIT_MAIL_COUNT);
    fake_env_turn(f);
    assert_false(env_mailbox_has_room(&mb)); /* sent, not delivered */
    fake_env_settle(f);
    assert_true(env_mailbox_has_room(&mb));
    env_mailbox_push(&mb, &letter_new(n++, LIMIT_MAIL_BYTES)->mail);
    assert_false(env_mailbox_has_room(&mb));
    env_mailbox_push(&mb, &letter_new(n++, 0)->mail); /* a push never fails all the same */
    fake_env_settle(f);
    assert_true(env_mailbox_has_room(&mb));
    assert_int_equal(delivered, n);
}

static void undelivered_mails_are_dropped(void **state)
{
    (void)state;
    open_now();
    env_mailbox_push(&mb, &letter_new(0, 0)->mail);
    fake_env_settle(f);
    env_mailbox_receiver_close(&mb);
    env_mailbox_push(&mb, &letter_new(1, 0)->mail);
    fake_env_settle(f);
    env_mailbox_push(&mb, &letter_new(2, 0)->mail); /* not even flushed */
    f->deferred_count = 0;                          /* the loop has ended */
    env_mailbox_deinit(&mb);
    assert_int_equal(delivered, 1);
    assert_int_equal(dropped, 2);
    env_mailbox_init(&mb); /* for teardown */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_turn_is_one_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_from_inside_come_later, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_sent_before_the_receiver_came, setup, teardown),
        cmocka_unit_test_setup_teardown(room_ends_and_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(undelivered_mails_are_dropped, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
