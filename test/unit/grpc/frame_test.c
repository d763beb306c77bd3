/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of grpc/frame: messages of many sizes at every split, gzip, refusals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "grpc/frame.h"

static void frame_add(struct buf *out, bool zip, struct slice msg)
{
    uint8_t head[GRPC_HEAD_BYTES];
    struct buf packed = BUF_INIT;
    if (zip) {
        assert_true(grpc_gzip(&packed, msg));
        msg = buf_slice(&packed);
    }
    grpc_head_write(head, zip, msg.len);
    buf_append(out, head, sizeof(head));
    buf_append_slice(out, msg);
    buf_deinit(&packed);
}

/* Feeds in pieces of `step`; the messages, each with a '|' behind it, go to got. */
static int feed(struct grpc_deframer *d, struct slice in, size_t step, struct buf *got,
                struct grpc_error *e)
{
    while (in.len > 0) {
        size_t n = in.len < step ? in.len : step;
        uint8_t *copy = mem_alloc(n);
        memcpy(copy, in.data, n);
        struct slice piece = slice_make(copy, n);
        in = slice_skip(in, n);
        while (piece.len > 0) {
            struct slice msg;
            enum grpc_deframe r = grpc_deframer_next(d, &piece, &msg, e);
            if (r == GRPC_DEFRAME_ERROR) {
                mem_free(copy);
                return -1;
            }
            if (r == GRPC_DEFRAME_MESSAGE) {
                struct rcbuf *kept = grpc_deframer_take(d, msg);
                assert_true(slice_equal(rcbuf_slice(kept), msg));
                rcbuf_unref(kept);
                buf_append_slice(got, msg);
                buf_append_byte(got, '|');
            }
        }
        mem_free(copy);
    }
    return 0;
}

static void any_messages_at_any_split(void **state)
{
    (void)state;
    struct prng r;
    prng_init(&r, 21);
    static uint8_t noise[300000];
    for (size_t i = 0; i < sizeof(noise); i++) {
        noise[i] = (uint8_t)(prng_next(&r) & 0x3f);
    }
    for (int round = 0; round < 300; round++) {
        struct buf wire = BUF_INIT;
        struct buf want = BUF_INIT;
        struct buf got = BUF_INIT;
        for (uint64_t k = prng_below(&r, 6) + 1; k > 0; k--) {
            size_t len = prng_below(&r, prng_chance(&r, 1, 8) ? 200000 : 40);
            bool zip = len <= GRPC_GZIP_MAX && prng_chance(&r, 1, 3);
            struct slice msg = slice_make(noise + prng_below(&r, 1000), len);
            frame_add(&wire, zip, msg);
            buf_append_slice(&want, msg);
            buf_append_byte(&want, '|');
        }
        struct grpc_deframer d = {.bytes_max = 200000, .encoding = GRPC_ENCODING_GZIP};
        struct grpc_error e;
        size_t step = prng_chance(&r, 1, 2) ? 1 + prng_below(&r, 9) : 1 + prng_below(&r, 70000);
        assert_int_equal(feed(&d, buf_slice(&wire), step, &got, &e), 0);
        assert_true(slice_equal(buf_slice(&got), buf_slice(&want)));
        assert_false(grpc_deframer_is_partial(&d));
        grpc_deframer_deinit(&d);
        buf_deinit(&wire);
        buf_deinit(&want);
        buf_deinit(&got);
    }
}

static void refuse(size_t max, enum grpc_encoding encoding, const struct buf *wire,
                   enum grpc_code code, const char *text)
{
    for (size_t step = 1; step <= wire->len; step += wire->len / 7 + 1) {
        struct grpc_deframer d = {.bytes_max = max, .encoding = encoding};
        struct grpc_error e;
        struct buf got = BUF_INIT;
        assert_int_equal(feed(&d, buf_slice(wire), step, &got, &e), -1);
        assert_int_equal(e.code, code);
        assert_string_equal(e.text, text);
        grpc_deframer_deinit(&d);
        buf_deinit(&got);
    }
}

static void refusals_have_grpc_gos_texts(void **state)
{
    (void)state;
    struct buf w = BUF_INIT;
    frame_add(&w, false, SLICE_LIT("0123456789"));
    refuse(9, GRPC_ENCODING_NONE, &w, GRPC_RESOURCE_EXHAUSTED,
           "grpc: received message larger than max (10 vs. 9)");
    w.data[0] = 2;
    refuse(10, GRPC_ENCODING_NONE, &w, GRPC_INTERNAL, "grpc: received unexpected payload format 2");
    w.data[0] = 1;
    refuse(10, GRPC_ENCODING_IDENTITY, &w, GRPC_INTERNAL,
           "grpc: compressed flag set with identity or empty encoding");
    refuse(10, GRPC_ENCODING_GZIP, &w, GRPC_INTERNAL,
           "grpc: failed to decompress the message: gzip: invalid data");
    buf_clear(&w);
    static uint8_t zeros[60000];
    frame_add(&w, true, slice_make(zeros, sizeof(zeros)));
    refuse(1000, GRPC_ENCODING_GZIP, &w, GRPC_RESOURCE_EXHAUSTED,
           "grpc: received message after decompression larger than max (1001 vs. 1000)");
    /* Cut gzip. */
    struct buf packed = BUF_INIT;
    assert_true(grpc_gzip(&packed, slice_make(zeros, 500)));
    uint8_t head[GRPC_HEAD_BYTES];
    buf_clear(&w);
    grpc_head_write(head, true, packed.len - 3);
    buf_append(&w, head, sizeof(head));
    buf_append(&w, packed.data, packed.len - 3);
    refuse(1000, GRPC_ENCODING_GZIP, &w, GRPC_INTERNAL,
           "grpc: failed to decompress the message: unexpected EOF");
    buf_deinit(&packed);
    buf_deinit(&w);
}

static void five_bytes_reserve_little(void **state)
{
    (void)state;
    struct grpc_deframer d = {.bytes_max = 1u << 31};
    uint8_t in[6];
    grpc_head_write(in, false, 1u << 31);
    in[5] = 'x';
    struct slice s = slice_make(in, sizeof(in));
    struct slice msg;
    struct grpc_error e;
    assert_int_equal(grpc_deframer_next(&d, &s, &msg, &e), GRPC_DEFRAME_NEED);
    assert_int_equal(grpc_deframer_held(&d), GRPC_GATHER_FIRST_BYTES);
    assert_true(grpc_deframer_is_partial(&d));
    grpc_deframer_deinit(&d);
}

static void a_whole_message_is_not_copied(void **state)
{
    (void)state;
    struct buf w = BUF_INIT;
    frame_add(&w, false, SLICE_LIT("abc"));
    struct grpc_deframer d = {.bytes_max = 10};
    struct slice in = buf_slice(&w);
    struct slice msg;
    struct grpc_error e;
    assert_int_equal(grpc_deframer_next(&d, &in, &msg, &e), GRPC_DEFRAME_MESSAGE);
    assert_ptr_equal(msg.data, w.data + 5);
    grpc_deframer_deinit(&d);
    buf_deinit(&w);
}

static void damaged_gzip_never_hurts(void **state)
{
    (void)state;
    struct prng r;
    prng_init(&r, 9);
    struct buf packed = BUF_INIT;
    assert_true(grpc_gzip(&packed, SLICE_LIT("some text, some text, some more text to compress")));
    for (int i = 0; i < 3000; i++) {
        struct buf w = BUF_INIT;
        buf_append_slice(&w, buf_slice(&packed));
        w.data[prng_below(&r, w.len)] ^= (uint8_t)(1 + prng_below(&r, 255));
        w.len -= prng_below(&r, 3);
        struct grpc_error e;
        rcbuf_unref(grpc_gunzip(buf_slice(&w), 1000, &e));
        buf_deinit(&w);
    }
    buf_deinit(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_messages_at_any_split),
        cmocka_unit_test(refusals_have_grpc_gos_texts),
        cmocka_unit_test(five_bytes_reserve_little),
        cmocka_unit_test(a_whole_message_is_not_copied),
        cmocka_unit_test(damaged_gzip_never_hurts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
