/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree against a sorted array of numbers, in several orders of arrival; memory a key.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/prng.h"
#include "mvcc/keyindex.h"

/* Keys of several shapes: long shared prefixes, zero bytes, one a prefix of another. */
static struct slice key_of(uint32_t i, char buf[64])
{
    int n = 0;
    switch (i % 4) {
    case 0: n = snprintf(buf, 64, "/registry/pods/default/pod-%06u", i); break;
    case 1: n = snprintf(buf, 64, "/registry/%u/x", i); break;
    case 2: n = snprintf(buf, 64, "%u", i); break;
    default:
        n = snprintf(buf, 64, "/registry/pods/default/%u", i / 64);
        memset(buf + n, 0, i % 16);
        n += (int)(i % 16);
        buf[n++] = (char)(i / 16 % 4);
        break;
    }
    return slice_make(buf, (size_t)n);
}

static void tree_put(struct keyindex *x, struct slice key, int64_t main)
{
    struct keyindex_pos pos;
    keyindex_find(x, key, &pos);
    keyindex_put(x, &pos, key, main, 0, 50, 0);
}

static bool tree_remove(struct keyindex *x, struct slice key)
{
    struct keyindex_pos pos;
    keyindex_find(x, key, &pos);
    if (pos.rec == NULL) {
        return false;
    }
    assert_false(keyindex_drop(x, &pos, pos.rec->count));
    return true;
}

static void shuffle(uint32_t *a, uint32_t n, struct prng *p)
{
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = (uint32_t)prng_below(p, i);
        uint32_t t = a[i - 1];
        a[i - 1] = a[j];
        a[j] = t;
    }
}

static void run_orders(uint64_t seed, bool is_shuffled, uint32_t n)
{
    struct prng p;
    prng_init(&p, seed);
    uint32_t *order = mem_alloc_array(n, sizeof(*order));
    for (uint32_t i = 0; i < n; i++) {
        order[i] = i;
    }
    if (is_shuffled) {
        shuffle(order, n, &p);
    }
    struct keyindex x;
    keyindex_init(&x);
    char b[64];
    for (uint32_t i = 0; i < n; i++) {
        tree_put(&x, key_of(order[i], b), (int64_t)i + 2);
        if (i % 997 == 0) {
            keyindex_check(&x);
        }
    }
    keyindex_check(&x);
    struct keyrec_state s;
    for (uint32_t i = 0; i < n; i++) {
        assert_true(keyindex_get(&x, key_of(i, b), KEYINDEX_NEWEST, &s));
    }
    shuffle(order, n, &p);
    uint64_t left = x.tree.key_count;
    for (uint32_t i = 0; i < n; i++) {
        struct slice key = key_of(order[i], b);
        left -= tree_remove(&x, key) ? 1 : 0;
        assert_false(keyindex_get(&x, key, KEYINDEX_NEWEST, &s));
        assert_int_equal(x.tree.key_count, left);
        if (i % 997 == 0) {
            keyindex_check(&x);
        }
    }
    assert_int_equal(left, 0);
    assert_int_equal(x.tree.height, 0);
    keyindex_check(&x);
    keyindex_deinit(&x);
    mem_free(order);
}

static void test_orders(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 4; seed++) {
        run_orders(seed, true, 9000);
        run_orders(seed, false, 9000);
    }
    run_orders(9, true, 200);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_memory_per_key(void **state)
{
    (void)state;
    const char *env = getenv("KEYINDEX_KEYS"); /* 1000000 for the figure in the README */
    uint32_t n = env != NULL ? (uint32_t)atoi(env) : 50000;
    uint32_t *order = mem_alloc_array(n, sizeof(*order));
    for (uint32_t i = 0; i < n; i++) {
        order[i] = i;
    }
    struct prng p;
    prng_init(&p, 7);
    shuffle(order, n, &p);
    size_t before = mallinfo2().uordblks;
    struct keyindex x;
    keyindex_init(&x);
    char b[64];
    size_t key_bytes = 0;
    double t0 = now_s();
    for (uint32_t i = 0; i < n; i++) {
        int len =
            snprintf(b, sizeof(b), "/registry/pods/ns-%02u/pod-%08u", order[i] % 20, order[i]);
        key_bytes += (size_t)len;
        tree_put(&x, slice_make(b, (size_t)len), (int64_t)i + 2);
    }
    double t1 = now_s();
    size_t used = mallinfo2().uordblks - before - key_bytes;
    struct keyrec_state s;
    shuffle(order, n, &p);
    double t2 = now_s();
    for (uint32_t i = 0; i < n; i++) {
        int len =
            snprintf(b, sizeof(b), "/registry/pods/ns-%02u/pod-%08u", order[i] % 20, order[i]);
        assert_true(keyindex_get(&x, slice_make(b, (size_t)len), KEYINDEX_NEWEST, &s));
    }
    double t3 = now_s();
    print_message("%u keys: %.1f bytes a key besides the key, insert %.0f ns, get %.0f ns "
                  "(names included)\n",
                  n, (double)used / n, (t1 - t0) * 1e9 / n, (t3 - t2) * 1e9 / n);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (used > 0) { /* 0: another allocator */
        assert_true(used / n <= 100);
    }
#endif
    keyindex_deinit(&x);
    mem_free(order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_memory_per_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
