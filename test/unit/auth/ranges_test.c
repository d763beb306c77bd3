/* SPDX-License-Identifier: Apache-2.0
 *
 * Merged permissions against a dumb model: a request is covered when every piece between two ends
 * that anybody has named lies in one of the permissions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "auth/ranges.h"
#include "auth/record.h"
#include "base/prng.h"

enum { PERMS_MAX = 8, ENDS_MAX = 2 * PERMS_MAX + 4, KEY_MAX = 3, ROUNDS = 20000 };

/* ---- the model ---- */

struct span {
    struct slice key; /* with a zero byte behind it */
    struct slice range_end;
};

static bool is_open(struct slice s)
{
    return s.len == 1 && s.data[0] == 0;
}

/* The end of the interval; no end: data NULL. */
static struct slice end_of(const struct span *s)
{
    if (s->range_end.len == 0) {
        return slice_make(s->key.data, s->key.len + 1);
    }
    return is_open(s->range_end) ? SLICE_NULL : s->range_end;
}

static bool holds(const struct span *s, struct slice at)
{
    struct slice end = end_of(s);
    return slice_compare(s->key, at) <= 0 && (end.data == NULL || slice_compare(at, end) < 0);
}

static bool any_holds(const struct span *perms, size_t count, struct slice at)
{
    for (size_t i = 0; i < count; i++) {
        if (holds(&perms[i], at)) {
            return true;
        }
    }
    return false;
}

static bool has_open_end(const struct span *perms, size_t count, struct slice from)
{
    for (size_t i = 0; i < count; i++) {
        if (is_open(perms[i].range_end) && slice_compare(perms[i].key, from) <= 0) {
            return true;
        }
    }
    return false;
}

/* Between two neighbouring ends nothing begins and nothing ends: looking at the ends is enough. */
static bool model_covers(const struct span *perms, size_t count, const struct span *q)
{
    struct slice end = end_of(q);
    if (end.data != NULL && slice_compare(q->key, end) >= 0) {
        return any_holds(perms, count, q->key); /* no keys: as etcd, the first one decides */
    }
    struct slice last = q->key;
    bool is_covered = any_holds(perms, count, q->key);
    for (size_t i = 0; i < 2 * count; i++) {
        const struct span *p = &perms[i / 2];
        struct slice at = i % 2 == 0 ? p->key : end_of(p);
        if (at.data != NULL && holds(q, at)) {
            is_covered = is_covered && any_holds(perms, count, at);
            last = slice_compare(at, last) > 0 ? at : last;
        }
    }
    return is_covered && (end.data != NULL || has_open_end(perms, count, last));
}

/* ---- drawing ---- */

static struct slice draw_key(struct prng *p)
{
    static const uint8_t bytes[] = {0, 'a', 'b', 'c', 0xff};
    uint8_t text[KEY_MAX];
    size_t len = 1 + prng_below(p, KEY_MAX);
    for (size_t i = 0; i < len; i++) {
        text[i] = bytes[prng_below(p, sizeof(bytes))];
    }
    return auth_text(slice_make(text, len));
}

static struct span draw_span(struct prng *p)
{
    struct span s = {.key = draw_key(p)};
    switch (prng_below(p, 4)) {
    case 0: s.range_end = auth_text(SLICE_NULL); break;
    case 1: s.range_end = auth_text(SLICE_LIT("\0")); break;
    default: s.range_end = draw_key(p); break;
    }
    return s;
}

static void span_free(struct span *s)
{
    auth_text_free(&s->key);
    auth_text_free(&s->range_end);
}

static void as_the_model(void **state)
{
    (void)state;
    struct prng p;
    struct auth_ranges r = {.count = 0};
    size_t covered = 0;
    prng_init(&p, 7);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct span perms[PERMS_MAX], q = draw_span(&p);
        size_t count = prng_below(&p, PERMS_MAX + 1);
        auth_ranges_clear(&r);
        for (size_t i = 0; i < count; i++) {
            perms[i] = draw_span(&p);
            auth_ranges_add(&r, perms[i].key, perms[i].range_end);
        }
        auth_ranges_merge(&r);
        auth_ranges_check(&r);
        bool want = model_covers(perms, count, &q);
        assert_int_equal(auth_ranges_covers(&r, q.key, q.range_end), want);
        covered += want;
        for (size_t i = 0; i < count; i++) {
            span_free(&perms[i]);
        }
        span_free(&q);
    }
    assert_true(covered > ROUNDS / 10 && covered < ROUNDS - ROUNDS / 10);
    auth_ranges_deinit(&r);
}

/* ---- what people write ---- */

static void adjacent_ranges_are_one(void **state)
{
    (void)state;
    struct auth_ranges r = {.count = 0};
    auth_ranges_add(&r, SLICE_LIT("b"), SLICE_LIT("c"));
    auth_ranges_add(&r, SLICE_LIT("a"), SLICE_LIT("b"));
    auth_ranges_add(&r, SLICE_LIT("x"), SLICE_LIT("\0"));
    auth_ranges_add(&r, SLICE_LIT("k"), SLICE_NULL);
    auth_ranges_add(&r, SLICE_LIT("z"), SLICE_LIT("y")); /* holds nothing */
    auth_ranges_add(&r, SLICE_LIT(""), SLICE_LIT("\0"));
    auth_ranges_merge(&r);
    auth_ranges_check(&r);
    assert_int_equal(r.count, 3);
    static const struct {
        const char *key;
        const char *end; /* "0": no end */
        bool is_covered;
    } cases[] = {
        {"a", "c", true},  {"a", "c0", false}, {"a", "", true},   {"c", "", false},
        {"k", "", true},   {"k", "l", false},  {"k0", "", false}, {"y", "0", true},
        {"a", "0", false}, {"x", "zz", true},  {"w", "z", false}, {"", "", false},
        {"b", "a", true},  {"d", "a", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice end = slice_cstr(cases[i].end);
        end = slice_equal_cstr(end, "0") ? SLICE_LIT("\0") : end;
        assert_int_equal(auth_ranges_covers(&r, slice_cstr(cases[i].key), end),
                         cases[i].is_covered);
    }
    auth_ranges_clear(&r);
    auth_ranges_merge(&r);
    assert_false(auth_ranges_covers(&r, SLICE_LIT("a"), SLICE_NULL));
    auth_ranges_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_model),
        cmocka_unit_test(adjacent_ranges_are_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
