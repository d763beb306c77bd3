/* SPDX-License-Identifier: Apache-2.0
 *
 * etcdserverpb.KV: in which form writes go into the log, and how reads see an empty range_end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bed.h"

#define KV "/etcdserverpb.KV/"

struct bytes {
    const char *data;
    size_t len;
};

#define B(s)                                                                                       \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }

static void ask_bytes(const char *method, struct bytes b)
{
    struct buf msg = BUF_INIT;
    buf_append(&msg, b.data, b.len);
    ask(method, &msg);
    buf_deinit(&msg);
}

/* What etcd writes itself stays as it is; other forms become that. */
static void writes_are_in_etcds_form(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        struct bytes sent, logged;
    } rows[] = {
        {KV "Put", B("\x0a\x01k\x12\x01v"), B("\x0a\x01k\x12\x01v")},
        {KV "Put", B("\x12\x01v\x0a\x01k"), B("\x12\x01v\x0a\x01k")}, /* the order is no matter */
        {KV "Put", B("\x0a\x01k\x12\x00\x18\x00"), B("\x0a\x01k")},
        {KV "Put", B("\x0a\x01j\x0a\x01k"), B("\x0a\x01k")},
        {KV "Put", B("\x0a\x01k\x08\x05\x38\x01"), B("\x0a\x01k")}, /* wrong type, unknown */
        {KV "DeleteRange", B("\x0a\x01k\x12\x00"), B("\x0a\x01k")},
        {KV "DeleteRange", B("\x0a\x01k\x12\x01l"), B("\x0a\x01k\x12\x01l")},
        {KV "Compact", B("\x08\x85\x00"), B("\x08\x05")},
        {KV "Txn", B("\x12\x07\x1a\x05\x0a\x01k\x12\x00"), B("\x12\x05\x1a\x03\x0a\x01k")},
        {KV "Txn", B("\x0a\x06\x1a\x01k\x82\x04\x00\x12\x05\x12\x03\x0a\x01k"),
         B("\x0a\x03\x1a\x01k\x12\x05\x12\x03\x0a\x01k")},
        {KV "Txn", B("\x12\x0a\x12\x03\x0a\x01k\x12\x03\x12\x01v"),
         B("\x12\x08\x12\x06\x0a\x01k\x12\x01v")}, /* a put in two pieces */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ask_bytes(rows[i].method, rows[i].sent);
        struct core_request *r = fake_take(CORE_PROPOSE);
        assert_int_equal(fake.body.len, rows[i].logged.len);
        assert_memory_equal(fake.body.data, rows[i].logged.data, rows[i].logged.len);
        answered(r, ERR_RPC_NO_SPACE);
    }
}

static void expect_end(enum level level, struct slice end)
{
    struct slice want = level == LEVEL_3_7 ? SLICE_LIT("") : slice_make("", 1);
    assert_true(slice_equal(end, want));
}

/* Up to 3.6 a read whose range_end came empty goes on to the last key. */
static void an_empty_end_follows_the_level(void **state)
{
    (void)state;
    for (enum level l = LEVEL_3_5; l <= LEVEL_3_7; l++) {
        fake.level = l;
        ask_bytes(KV "Range", (struct bytes)B("\x0a\x01k\x12\x00"));
        struct core_request *r = fake_take(CORE_RANGE);
        expect_end(l, r->range->range_end);
        answered(r, ERR_RPC_NO_SPACE);
        ask_bytes(KV "Range", (struct bytes)B("\x0a\x01k"));
        r = fake_take(CORE_RANGE);
        assert_int_equal(r->range->range_end.len, 0);
        answered(r, ERR_RPC_NO_SPACE);
        ask_bytes(KV "Txn", (struct bytes)B("\x0a\x06\x1a\x01k\x82\x04\x00"
                                            "\x12\x07\x0a\x05\x0a\x01k\x12\x00"
                                            "\x1a\x07\x0a\x05\x0a\x01k\x12\x00"));
        r = fake_take(CORE_TXN_READ);
        expect_end(l, r->txn->compares[0].range_end);
        expect_end(l, r->txn->success[0].range.range_end);
        expect_end(l, r->txn->failure[0].range.range_end);
        answered(r, ERR_RPC_NO_SPACE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_are_in_etcds_form, service_bed_setup,
                                        service_bed_teardown),
        cmocka_unit_test_setup_teardown(an_empty_end_follows_the_level, service_bed_setup,
                                        service_bed_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
