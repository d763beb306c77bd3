/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of http/out: against a plain buffer, with rollbacks and references.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "http/out.h"

static void check_equal(const struct http_out *o, const struct buf *model)
{
    size_t at = 0;
    assert_int_equal(o->bytes, model->len);
    for (size_t i = 0; i < o->count; i++) {
        assert_true(at + o->parts[i].len <= model->len);
        assert_memory_equal(o->parts[i].data, model->data + at, o->parts[i].len);
        at += o->parts[i].len;
    }
    assert_int_equal(at, model->len);
}

static void one_step(struct http_out *o, struct buf *model, struct prng *r, struct rcbuf *big)
{
    size_t n = prng_below(r, prng_chance(r, 1, 20) ? 200000 : 3000);
    size_t from = prng_below(r, big->len - n + 1);
    struct slice s = slice_make(big->data + from, n);
    switch (prng_below(r, 4)) {
    case 0: http_out_append(o, s); break;
    case 1: http_out_append_ref(o, s, big); break;
    case 2: http_out_append_borrowed(o, s); break;
    default: {
        size_t want = n > HTTP_OUT_BLOCK_BYTES ? HTTP_OUT_BLOCK_BYTES : n;
        size_t keep = want == 0 ? 0 : prng_below(r, want);
        uint8_t *p = http_out_reserve(o, want);
        memcpy(p, s.data, keep);
        http_out_shrink(o, want - keep);
        s.len = keep;
        break;
    }
    }
    buf_append_slice(model, s);
}

static void agrees_with_a_plain_buffer(void **state)
{
    (void)state;
    struct prng r;
    prng_init(&r, 11);
    struct rcbuf *big = rcbuf_create(200000);
    big->len = 200000;
    for (size_t i = 0; i < big->len; i++) {
        big->data[i] = (uint8_t)prng_next(&r);
    }
    struct http_out o;
    http_out_init(&o);
    for (int round = 0; round < 60; round++) {
        struct buf model = BUF_INIT;
        for (int i = 0; i < 40; i++) {
            struct http_out_mark m = http_out_mark(&o);
            size_t len = model.len;
            one_step(&o, &model, &r, big);
            if (prng_chance(&r, 1, 4)) {
                http_out_rollback(&o, m);
                model.len = len;
            }
            check_equal(&o, &model);
        }
        http_out_reset(&o);
        assert_int_equal(atomic_load(&big->refs), 1);
        buf_deinit(&model);
    }
    http_out_deinit(&o);
    rcbuf_unref(big);
}

static void small_pieces_melt_into_one_slice(void **state)
{
    (void)state;
    struct http_out o;
    http_out_init(&o);
    for (int i = 0; i < 1000; i++) {
        http_out_append(&o, SLICE_LIT("0123456789"));
    }
    assert_int_equal(o.count, 1);
    http_out_deinit(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_plain_buffer),
        cmocka_unit_test(small_pieces_melt_into_one_slice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
