/* SPDX-License-Identifier: Apache-2.0
 *
 * env/timer_heap against an array that is searched from end to end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/prng.h"
#include "env/timer_heap.h"

enum { TIMERS = 100, STEPS = 20000 };

struct model {
    uint64_t deadline_ns[TIMERS];
    uint64_t seq[TIMERS];
    bool is_active[TIMERS];
};

static int model_first(const struct model *m)
{
    int first = -1;
    for (int i = 0; i < TIMERS; i++) {
        if (m->is_active[i] &&
            (first < 0 || m->deadline_ns[i] < m->deadline_ns[first] ||
             (m->deadline_ns[i] == m->deadline_ns[first] && m->seq[i] < m->seq[first]))) {
            first = i;
        }
    }
    return first;
}

static void agrees_with_a_search(void **state)
{
    (void)state;
    static struct env_timer timers[TIMERS];
    struct model m = {0};
    struct timer_heap h;
    struct prng p;
    uint64_t now = 0, seq = 0;
    prng_init(&p, 11);
    timer_heap_init(&h);
    for (int step = 0; step < STEPS; step++) {
        int i = (int)prng_below(&p, TIMERS);
        switch (prng_below(&p, 4)) {
        case 0:
        case 1:
            m.deadline_ns[i] = now + prng_below(&p, 50);
            m.seq[i] = seq++;
            m.is_active[i] = true;
            timer_heap_start(&h, &timers[i], m.deadline_ns[i]);
            break;
        case 2:
            m.is_active[i] = false;
            timer_heap_stop(&h, &timers[i]);
            break;
        default: {
            now += prng_below(&p, 3);
            int first = model_first(&m);
            bool is_due = first >= 0 && m.deadline_ns[first] <= now;
            struct env_timer *t = timer_heap_pop(&h, now, UINT64_MAX);
            assert_ptr_equal(t, is_due ? &timers[first] : NULL);
            if (is_due) {
                m.is_active[first] = false;
            }
        }
        }
        assert_int_equal(timers[i].is_active, m.is_active[i]);
        int first = model_first(&m);
        assert_int_equal(timer_heap_next_ns(&h), first < 0 ? UINT64_MAX : m.deadline_ns[first]);
    }
    timer_heap_check(&h);
    timer_heap_deinit(&h);
    for (int i = 0; i < TIMERS; i++) {
        assert_false(timers[i].is_active);
    }
}

static void a_pass_leaves_what_it_started(void **state)
{
    (void)state;
    struct timer_heap h;
    struct env_timer t = {0}, u = {0};
    timer_heap_init(&h);
    timer_heap_start(&h, &t, 5);
    uint64_t seq_end = h.next_seq;
    assert_ptr_equal(timer_heap_pop(&h, 5, seq_end), &t);
    timer_heap_start(&h, &t, 5);
    timer_heap_start(&h, &u, 5);
    assert_null(timer_heap_pop(&h, 5, seq_end));
    assert_ptr_equal(timer_heap_pop(&h, 5, h.next_seq), &t);
    timer_heap_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_search),
        cmocka_unit_test(a_pass_leaves_what_it_started),
    };
    return cmocka_run_group_tests_name("env/timer_heap", tests, NULL, NULL);
}
