/* SPDX-License-Identifier: Apache-2.0
 *
 * mvcc/garbage against a sorted array: below one run, at the edges of runs, at the bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/prng.h"
#include "mvcc/garbage.h"

static int compare(const void *a, const void *b)
{
    const struct keyrev *x = a, *y = b;
    if (x->main != y->main) {
        return x->main < y->main ? -1 : 1;
    }
    return x->sub_mark < y->sub_mark ? -1 : x->sub_mark > y->sub_mark;
}

static struct keyrev random_rev(struct prng *prng)
{
    return (struct keyrev){.main = (int64_t)prng_below(prng, 1000000),
                           .sub_mark = (uint32_t)prng_below(prng, 8)};
}

static void round_trip(struct garbage *g, struct prng *prng, size_t count)
{
    struct keyrev *model = mem_alloc_array(count + 1, sizeof(*model));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(garbage_room(g), GARBAGE_MAX - i);
        model[i] = random_rev(prng);
        garbage_add(g, &model[i]);
    }
    garbage_sort(g);
    if (count > 0) {
        qsort(model, count, sizeof(*model), compare);
    }
    struct keyrev rev;
    for (size_t i = 0; i < count; i++) {
        assert_true(garbage_take(g, &rev));
        assert_int_equal(compare(&rev, &model[i]), 0);
    }
    assert_false(garbage_take(g, &rev));
    assert_null(g->revs);
    assert_int_equal(garbage_room(g), GARBAGE_MAX);
    mem_free(model);
}

static void test_order(void **state)
{
    (void)state;
    static const size_t counts[] = {
        0, 1, 2, 100, GARBAGE_RUN, GARBAGE_RUN - 1, GARBAGE_RUN + 1, 3 * GARBAGE_RUN, GARBAGE_MAX};
    struct garbage g = {0};
    struct prng prng;
    prng_init(&prng, 7);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        round_trip(&g, &prng, counts[i]);
    }
    garbage_deinit(&g);
}

static void test_thrown_away(void **state)
{
    (void)state;
    struct garbage g = {0};
    struct prng prng;
    prng_init(&prng, 8);
    for (size_t i = 0; i < 1000; i++) {
        struct keyrev rev = random_rev(&prng);
        garbage_add(&g, &rev);
    }
    garbage_deinit(&g);
    assert_int_equal(garbage_room(&g), GARBAGE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_thrown_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
