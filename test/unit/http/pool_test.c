/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of http/pool: a property test against plain memory, and what is kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "http/pool.h"

static void fills_and_keeps_contents(void **state)
{
    (void)state;
    enum { SLOTS = 64, STEPS = 20000 };
    struct http_pool *p = http_pool_create();
    struct prng r;
    prng_init(&r, 7);
    struct {
        uint8_t *ptr;
        size_t len;
        uint8_t fill;
    } slot[SLOTS] = {0};
    for (int i = 0; i < STEPS; i++) {
        size_t k = prng_below(&r, SLOTS);
        for (size_t b = 0; b < slot[k].len; b++) {
            assert_int_equal(slot[k].ptr[b], slot[k].fill);
        }
        size_t size = prng_below(&r, prng_chance(&r, 1, 10) ? 70000 : 1500);
        size_t kept = size < slot[k].len ? size : slot[k].len;
        if (prng_chance(&r, 1, 3)) {
            http_pool_free(p, slot[k].ptr);
            slot[k].ptr = NULL;
            slot[k].len = 0;
            continue;
        }
        slot[k].ptr = http_pool_realloc(p, slot[k].ptr, size);
        assert_non_null(slot[k].ptr);
        assert_int_equal((uintptr_t)slot[k].ptr % 16, 0);
        for (size_t b = 0; b < kept; b++) {
            assert_int_equal(slot[k].ptr[b], slot[k].fill);
        }
        slot[k].len = size;
        slot[k].fill = (uint8_t)i;
        memset(slot[k].ptr, slot[k].fill, size);
    }
    for (size_t k = 0; k < SLOTS; k++) {
        http_pool_free(p, slot[k].ptr);
    }
    assert_int_equal(http_pool_live(p), 0);
    http_pool_destroy(p);
}

static void reuses_the_same_block(void **state)
{
    (void)state;
    struct http_pool *p = http_pool_create();
    void *a = http_pool_alloc(p, 100);
    http_pool_free(p, a);
    void *b = http_pool_alloc(p, 120);
    assert_ptr_equal(a, b); /* one class */
    uint8_t *z = http_pool_zalloc(p, 64);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(z[i], 0);
    }
    http_pool_free(p, b);
    http_pool_free(p, z);
    http_pool_free(p, NULL);
    http_pool_destroy(p);
}

static void refuses_impossible_sizes(void **state)
{
    (void)state;
    struct http_pool *p = http_pool_create();
    assert_null(http_pool_alloc(p, SIZE_MAX - 8));
    assert_int_equal(http_pool_live(p), 0);
    http_pool_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_and_keeps_contents),
        cmocka_unit_test(reuses_the_same_block),
        cmocka_unit_test(refuses_impossible_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
