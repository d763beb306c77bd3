/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of grpc/deadline: against a dumb model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../rpc/fake_env.h"
#include "base/prng.h"
#include "grpc/deadline.h"

enum { NODES = 200 };

struct model {
    struct fake_env *f;
    struct grpc_deadline_node node[NODES];
    uint64_t at[NODES]; /* 0: not in */
    int fired;
};

static void on_due(void *arg, struct grpc_deadline_node *node)
{
    struct model *m = arg;
    size_t i = (size_t)(node - m->node);
    assert_int_equal(node->slot, 0);
    assert_int_not_equal(m->at[i], 0);
    assert_int_equal(m->at[i], m->f->now_ms);
    m->at[i] = 0;
    m->fired++;
}

static void agrees_with_a_model(void **state)
{
    (void)state;
    struct model m = {.f = fake_env_create()};
    struct grpc_deadlines d;
    struct prng r;
    prng_init(&r, 4);
    grpc_deadlines_init(&d, &m.f->env, on_due, &m);
    for (int step = 0; step < 20000; step++) {
        size_t i = prng_below(&r, NODES);
        if (m.at[i] != 0) {
            grpc_deadlines_remove(&d, &m.node[i]);
            m.at[i] = 0;
        } else {
            m.at[i] = m.f->now_ms + 1 + prng_below(&r, 50);
            grpc_deadlines_add(&d, &m.node[i], m.at[i]);
        }
        assert_true(grpc_deadlines_check(&d));
        if (prng_chance(&r, 1, 5)) {
            fake_env_advance(m.f, 1 + prng_below(&r, 10));
            for (size_t k = 0; k < NODES; k++) {
                assert_true(m.at[k] == 0 || m.at[k] > m.f->now_ms);
            }
        }
    }
    assert_true(m.fired > 1000);
    for (size_t i = 0; i < NODES; i++) {
        grpc_deadlines_remove(&d, &m.node[i]);
    }
    grpc_deadlines_deinit(&d);
    fake_env_destroy(m.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_a_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
