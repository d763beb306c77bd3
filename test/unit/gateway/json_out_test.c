/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of gateway/json_out: every message written by json_in comes back, however it is cut; what
 * is left out; rubbish.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "gateway/json_in.h"
#include "gateway/json_out.h"

static int transcode(enum json_message_id id, struct slice msg, size_t step, struct buf *out)
{
    struct json_out o;
    int err = 0;
    json_out_init(&o, false);
    json_out_begin(&o, json_message_at(id), msg.len, out);
    for (size_t at = 0; err == 0 && at < msg.len; at += step) {
        size_t n = msg.len - at < step ? msg.len - at : step;
        err = json_out_feed(&o, slice_make(msg.data + at, n));
    }
    if (err == 0 && !json_out_is_done(&o)) {
        err = ERR_TRUNCATED;
    }
    json_out_deinit(&o);
    return err;
}

static void messages_come_back(void **state)
{
    (void)state;
    static const struct {
        enum json_message_id id;
        const char *json;
    } rows[] = {
        {JSON_MSG_PUT_RESPONSE, "{}"},
        {JSON_MSG_PUT_RESPONSE, "{\"header\":{}}"},
        {JSON_MSG_RANGE_RESPONSE,
         "{\"header\":{\"cluster_id\":\"18446744073709551615\",\"member_id\":\"1\",\"revision\":\"-"
         "5\"},"
         "\"kvs\":[{\"key\":\"Zm9v\",\"create_revision\":\"39\",\"value\":\"YmFyYg==\"},{},"
         "{\"key\":\"AA==\"}],\"more\":true,\"count\":\"3\"}"},
        {JSON_MSG_WATCH_RESPONSE,
         "{\"watch_id\":\"-1\",\"canceled\":true,\"cancel_reason\":\"a\\\"\\\\\\n\\u0001<"
         "\xe2\x82\xac\","
         "\"events\":[{\"type\":\"DELETE\",\"kv\":{\"key\":\"eA==\"},\"prev_kv\":{}},{}]}"},
        {JSON_MSG_HASH_KVRESPONSE, "{\"hash\":4294967295,\"compact_revision\":\"1\"}"},
        {JSON_MSG_LEASE_TIME_TO_LIVE_RESPONSE,
         "{\"ID\":\"7\",\"TTL\":\"-1\",\"grantedTTL\":\"5\",\"keys\":[\"\",\"Zg==\",\"\"]}"},
        {JSON_MSG_TXN_RESPONSE, "{\"succeeded\":true,\"responses\":[{\"response_put\":{}},{"
                                "\"response_txn\":{\"responses\":"
                                "[{\"response_range\":{\"count\":\"1\"}},{}]}}]}"},
        {JSON_MSG_ALARM_RESPONSE,
         "{\"alarms\":[{\"memberID\":\"1\",\"alarm\":\"CORRUPT\"},{\"alarm\":9}]}"},
        {JSON_MSG_MEMBER_LIST_RESPONSE, "{\"members\":[{\"ID\":\"5\",\"name\":\"n\",\"peerURLs\":["
                                        "\"a\",\"b\"],\"isLearner\":true}]}"},
        {JSON_MSG_COMPARE, "{\"version\":\"0\"}"},
        {JSON_MSG_COMPARE, "{\"value\":\"\"}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf msg = BUF_INIT, why = BUF_INIT;
        assert_int_equal(json_to_proto(JSON_FORM_NEW, json_message_at(rows[i].id),
                                       slice_cstr(rows[i].json), &msg, &why),
                         0);
        for (size_t step = 1; step < 40; step++) {
            struct buf out = BUF_INIT;
            assert_int_equal(transcode(rows[i].id, buf_slice(&msg), step, &out), 0);
            assert_string_equal(buf_cstr(&out), rows[i].json);
            buf_deinit(&out);
        }
        buf_deinit(&msg);
        buf_deinit(&why);
    }
}

static void unknown_fields_are_left_out(void **state)
{
    (void)state;
    static const uint8_t msg[] = {
        0xf8, 0x06, 0x96, 0x01, /* 111: varint */
        0x22, 0x00,             /* 4 is no bytes field of this message's: see below */
    };
    static const uint8_t good[] = {
        0xf8, 0x06, 0x96, 0x01,                     /* 111: varint */
        0xfa, 0x06, 0x02, 'a',  'b',                /* 111: bytes */
        0xf9, 0x06, 1,    2,    3,   4, 5, 6, 7, 8, /* 111: fixed64 */
        0xfd, 0x06, 1,    2,    3,   4,             /* 111: fixed32 */
        0x20, 0x05,                                 /* count */
    };
    for (size_t step = 1; step < sizeof(good); step++) {
        struct buf out = BUF_INIT;
        assert_int_equal(
            transcode(JSON_MSG_RANGE_RESPONSE, slice_make(good, sizeof(good)), step, &out), 0);
        assert_string_equal(buf_cstr(&out), "{\"count\":\"5\"}");
        buf_deinit(&out);
    }
    struct buf out = BUF_INIT;
    assert_int_equal(transcode(JSON_MSG_RANGE_RESPONSE, slice_make(msg, sizeof(msg)), 3, &out),
                     ERR_MALFORMED);
    buf_deinit(&out);
}

/* Cut or changed at random: an error or something else, never a crash. */
static void rubbish_is_refused(void **state)
{
    (void)state;
    static const char json[] =
        "{\"header\":{\"revision\":\"7\"},\"kvs\":[{\"key\":\"Zm9v\",\"value\":"
        "\"YmFyYg==\"},{\"key\":\"AA==\"}],\"count\":\"3\"}";
    struct buf msg = BUF_INIT, why = BUF_INIT;
    struct prng p;
    prng_init(&p, 7);
    assert_int_equal(json_to_proto(JSON_FORM_NEW, json_message_at(JSON_MSG_RANGE_RESPONSE),
                                   slice_cstr(json), &msg, &why),
                     0);
    for (size_t len = 0; len < msg.len; len++) {
        struct buf out = BUF_INIT;
        (void)transcode(JSON_MSG_RANGE_RESPONSE, slice_make(msg.data, len), 3, &out);
        buf_deinit(&out);
    }
    for (int i = 0; i < 2000; i++) {
        struct buf out = BUF_INIT, copy = BUF_INIT;
        buf_append_slice(&copy, buf_slice(&msg));
        copy.data[prng_below(&p, copy.len)] = (uint8_t)prng_below(&p, 256);
        (void)transcode(JSON_MSG_RANGE_RESPONSE, buf_slice(&copy), 1 + prng_below(&p, 9), &out);
        buf_deinit(&out);
        buf_deinit(&copy);
    }
    buf_deinit(&msg);
    buf_deinit(&why);
}

static void strings_have_two_escapes(void **state)
{
    (void)state;
    struct buf a = BUF_INIT, b = BUF_INIT;
    struct slice s = SLICE_LIT("<a&b>\x7f\xff");
    json_out_string(&a, s, false);
    json_out_string(&b, s, true);
    assert_string_equal(buf_cstr(&a), "\"<a&b>\x7f\xef\xbf\xbd\"");
    assert_string_equal(buf_cstr(&b), "\"\\u003ca\\u0026b\\u003e\x7f\\ufffd\"");
    buf_deinit(&a);
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_back),
        cmocka_unit_test(unknown_fields_are_left_out),
        cmocka_unit_test(rubbish_is_refused),
        cmocka_unit_test(strings_have_two_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
