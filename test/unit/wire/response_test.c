/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/response.h"

#include "wire_test.h"

#include "wire/kv.pb-c.h"
#include "wire/watch.h"
#include "wire/watch.pb-c.h"

enum { ROUNDS = 1000 };

typedef int (*recode_fn)(struct slice in, struct arena *a, struct buf *out);

static int recode_range(struct slice in, struct arena *a, struct buf *out)
{
    struct wire_range_resp r;
    int err = wire_range_resp_decode(in, a, &r);
    if (err == 0) {
        wire_range_resp_encode(out, &r);
    }
    return err;
}

static int recode_put(struct slice in, struct arena *a, struct buf *out)
{
    struct wire_put_resp r;
    (void)a;
    int err = wire_put_resp_decode(in, &r);
    if (err == 0) {
        wire_put_resp_encode(out, &r);
    }
    return err;
}

static int recode_delete(struct slice in, struct arena *a, struct buf *out)
{
    struct wire_delete_resp r;
    int err = wire_delete_resp_decode(in, a, &r);
    if (err == 0) {
        wire_delete_resp_encode(out, &r);
    }
    return err;
}

static int recode_txn(struct slice in, struct arena *a, struct buf *out)
{
    struct wire_txn_resp r;
    int err = wire_txn_resp_decode(in, a, &r);
    if (err == 0) {
        wire_txn_resp_encode(out, &r);
    }
    return err;
}

static void encode_kv(struct buf *out, const struct wire_kv *kv)
{
    size_t size = wire_kv_size(kv);
    buf_reserve(out, size + 1);
    wire_kv_encode(kv, buf_extend(out, size));
}

static void append_event(struct buf *out, const struct wire_event *e)
{
    struct buf kv = BUF_INIT, prev = BUF_INIT;
    encode_kv(&kv, &e->kv);
    encode_kv(&prev, &e->prev_kv);
    struct slice prev_slice = buf_slice(&prev);
    const struct slice *p = e->has_prev_kv ? &prev_slice : NULL;
    size_t size = wire_event_size((enum wire_event_type)e->type, kv.len, p);
    wire_append_message_head(out, WIRE_WATCH_EVENTS, size);
    wire_event_encode((enum wire_event_type)e->type, buf_slice(&kv), p, buf_extend(out, size));
    buf_deinit(&kv);
    buf_deinit(&prev);
}

/* Events are written with their kv always: make the input so, then it must come back. */
static int recode_watch(struct slice in, struct arena *a, struct buf *out)
{
    struct wire_watch_resp r;
    int err = wire_watch_resp_decode(in, a, &r);
    if (err == 0) {
        wire_watch_resp_encode_head(out, &r);
        for (size_t i = 0; i < r.event_count; i++) {
            assert_true(r.events[i].has_kv || r.events[i].kv.key.len == 0);
            r.events[i].type &= 1;
            append_event(out, &r.events[i]);
        }
    }
    return err;
}

static void check(const ProtobufCMessageDescriptor *d, recode_fn recode, uint64_t seed, bool twice)
{
    struct prng p;
    struct arena a;
    struct buf in = BUF_INIT, out = BUF_INIT, again = BUF_INIT;
    prng_init(&p, seed);
    arena_init(&a, 0);
    for (int i = 0; i < ROUNDS; i++) {
        random_packed(&p, &a, d, &in);
        struct slice s = exact_copy(buf_slice(&in));
        buf_clear(&out);
        assert_int_equal(recode(s, &a, &out), 0);
        if (twice) { /* the first pass normalizes */
            buf_clear(&again);
            assert_int_equal(recode(buf_slice(&out), &a, &again), 0);
            assert_slice(buf_slice(&again), buf_slice(&out));
        } else {
            assert_slice(buf_slice(&out), s);
        }
        exact_free(s);
        mutate(&p, &in);
        s = exact_copy(buf_slice(&in));
        buf_clear(&out);
        (void)recode(s, &a, &out);
        exact_free(s);
        arena_reset(&a);
    }
    buf_deinit(&in);
    buf_deinit(&out);
    buf_deinit(&again);
    arena_deinit(&a);
}

static void test_random(void **state)
{
    (void)state;
    check(&etcdserverpb__range_response__descriptor, recode_range, 31, false);
    check(&etcdserverpb__put_response__descriptor, recode_put, 32, false);
    check(&etcdserverpb__delete_range_response__descriptor, recode_delete, 33, false);
    check(&etcdserverpb__txn_response__descriptor, recode_txn, 34, false);
    check(&etcdserverpb__watch_response__descriptor, recode_watch, 35, true);
}

static void test_stream_and_compaction(void **state)
{
    (void)state;
    struct arena a;
    struct wire_range_resp r;
    struct wire_compaction_resp c;
    struct buf b = hex_buf("0a0d 0a021803 12050a0361 6263 2001");
    b.data[1] = (uint8_t)(b.len - 2);
    arena_init(&a, 0);
    assert_int_equal(wire_range_stream_resp_decode(buf_slice(&b), &a, &r), 0);
    assert_true(r.has_header && r.header.revision == 3 && r.kv_count == 1 && r.count == 1);
    assert_true(slice_equal_cstr(r.kvs[0].key, "abc"));
    buf_clear(&b);
    hex_append(&b, "0a021809");
    assert_int_equal(wire_compaction_resp_decode(buf_slice(&b), &c), 0);
    assert_true(c.has_header && c.header.revision == 9);
    buf_deinit(&b);
    arena_deinit(&a);
}

static void test_depth(void **state)
{
    (void)state;
    struct wire_txn_resp r;
    struct arena a;
    struct buf b = BUF_INIT;
    arena_init(&a, 0);
    for (int i = 1; i < WIRE_TXN_DEPTH_MAX; i++) {
        wire_close_message(&b, 0, 4);
        wire_close_message(&b, 0, 3);
    }
    assert_int_equal(wire_txn_resp_decode(buf_slice(&b), &a, &r), 0);
    wire_close_message(&b, 0, 4);
    wire_close_message(&b, 0, 3);
    assert_int_equal(wire_txn_resp_decode(buf_slice(&b), &a, &r), ERR_LIMIT);
    buf_deinit(&b);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_stream_and_compaction),
        cmocka_unit_test(test_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
