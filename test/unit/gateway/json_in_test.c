/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of gateway/json_in: what each form takes, writes and refuses.  Texts were seen on
 * etcd 3.5.33 (old) and 3.7.1 (new); test/interop/gateway_test.py asks both.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/json_in.h"

static void hex(const struct buf *b, struct buf *out)
{
    for (size_t i = 0; i < b->len; i++) {
        buf_printf(out, "%02x", b->data[i]);
    }
}

/* want: hex of the message, or "!" and the text. */
static void check(enum json_form form, enum json_message_id id, const char *in, const char *want)
{
    struct buf out = BUF_INIT, why = BUF_INIT, text = BUF_INIT;
    int err = json_to_proto(form, json_message_at(id), slice_cstr(in), &out, &why);
    if (err == 0) {
        hex(&out, &text);
        assert_int_equal(why.len, 0);
    } else {
        assert_int_equal(err, ERR_MALFORMED);
        buf_append_byte(&text, '!');
        buf_append_slice(&text, buf_slice(&why));
    }
    assert_string_equal(buf_cstr(&text), want);
    buf_deinit(&out);
    buf_deinit(&why);
    buf_deinit(&text);
}

static void both_forms(enum json_message_id id, const char *in, const char *want)
{
    check(JSON_FORM_NEW, id, in, want);
    check(JSON_FORM_OLD, id, in, want);
}

static void examples_of_the_specification(void **state)
{
    (void)state;
    both_forms(JSON_MSG_PUT_REQUEST, "{\"key\":\"Zm9v\",\"value\":\"YmFy\"}",
               "0a03666f6f1203626172");
    both_forms(JSON_MSG_RANGE_REQUEST, "{}", "");
    both_forms(JSON_MSG_RANGE_REQUEST,
               "{\"key\":\"AA==\",\"rangeEnd\":\"AA==\",\"countOnly\":true}", "0a01001201004801");
    both_forms(JSON_MSG_RANGE_REQUEST,
               "{ \"key\" : \"AA==\" , "
               "\"limit\":\"1\",\"sort_order\":\"DESCEND\",\"sort_target\":\"MOD\"}",
               "0a0100180128023003");
    /* In the order of the JSON, or of the numbers. */
    const char *txn = "{\"compare\":[{\"key\":\"Zm9v\",\"target\":\"CREATE\","
                      "\"result\":\"GREATER\"}],"
                      "\"success\":[{\"requestRange\":{\"key\":\"Zm9v\"}}]}";
    check(JSON_FORM_NEW, JSON_MSG_TXN_REQUEST, txn, "0a091a03666f6f1001080112070a050a03666f6f");
    check(JSON_FORM_OLD, JSON_MSG_TXN_REQUEST, txn, "0a09080110011a03666f6f12070a050a03666f6f");
    both_forms(JSON_MSG_LEASE_GRANT_REQUEST, "{\"TTL\":60,\"ID\":\"0\",\"ttl\":5}", "083c");
    both_forms(JSON_MSG_WATCH_REQUEST, "{\"progress_request\":{}}", "1a00");
    /* Packed, or one by one. */
    const char *filters = "{\"create_request\":{\"filters\":[\"NODELETE\",0,1]}}";
    check(JSON_FORM_NEW, JSON_MSG_WATCH_REQUEST, filters, "0a052a03010001");
    check(JSON_FORM_OLD, JSON_MSG_WATCH_REQUEST, filters, "0a06280128002801");
    both_forms(JSON_MSG_MEMBER_ADD_REQUEST, "{\"peerURLs\":[\"a\",\"\"]}", "0a01610a00");
    both_forms(JSON_MSG_COMPARE, "{\"version\":\"0\"}", "2000"); /* of a oneof: there */
    both_forms(JSON_MSG_RANGE_REQUEST, "{\"limit\":-1}", "18ffffffffffffffffff01");
    both_forms(JSON_MSG_RANGE_REQUEST, "{\"key\":null,\"sort_order\":null,\"nope\":[{\"a\":1}]}",
               "");
}

static void what_the_new_form_refuses(void **state)
{
    (void)state;
    static const struct {
        enum json_message_id id;
        const char *in, *want;
    } rows[] = {
        {JSON_MSG_RANGE_REQUEST, "[]", "!proto: syntax error (line 1:1): unexpected token ["},
        {JSON_MSG_RANGE_REQUEST, "null", "!proto: syntax error (line 1:1): unexpected token null"},
        {JSON_MSG_RANGE_REQUEST, "\"x\"",
         "!proto: syntax error (line 1:1): unexpected token \"x\""},
        {JSON_MSG_RANGE_REQUEST, "{\"key\":\"not base64!!\"}",
         "!proto: (line 1:8): invalid value for bytes field key: \"not base64!!\""},
        {JSON_MSG_RANGE_REQUEST, "{\"key\":{}}",
         "!proto: (line 1:8): invalid value for bytes field key: {"},
        {JSON_MSG_RANGE_REQUEST, "{\"key\":\"Zm9v\",\"revision\":\"abc\"}",
         "!proto: (line 1:26): invalid value for int64 field revision: \"abc\""},
        {JSON_MSG_RANGE_REQUEST, "{\"key\":\"Zm9v\",\n \"range_end\":5}",
         "!proto: (line 2:14): invalid value for bytes field rangeEnd: 5"},
        {JSON_MSG_RANGE_REQUEST, "{\"\xc3\xa9\":1,\"limit\":1.5}",
         "!proto: (line 1:16): invalid value for int64 field limit: 1.5"},
        {JSON_MSG_RANGE_REQUEST, "{\"key\":\"Zm9v\",\"key\":\"Zm9v\"}",
         "!proto: (line 1:15): duplicate field \"key\""},
        {JSON_MSG_RANGE_REQUEST, "{\"range_end\":null,\"rangeEnd\":\"\"}",
         "!proto: (line 1:19): duplicate field \"rangeEnd\""},
        {JSON_MSG_RANGE_REQUEST, "{\"nope\":\"\\ud800\",\"key\":\"Zm9v\"}",
         "!proto: syntax error (line 1:9): invalid escape code \"\\\",\\\"key\" in string"},
        {JSON_MSG_RANGE_REQUEST, "{\"key\":\"\\ud800\"}", "!proto: unexpected EOF"},
        {JSON_MSG_RANGE_REQUEST, "{\"\xff\":1}",
         "!proto: syntax error (line 1:2): invalid UTF-8 in string"},
        {JSON_MSG_RANGE_REQUEST, "{\"sort_order\":true}",
         "!proto: (line 1:15): invalid value for enum field sortOrder: true"},
        {JSON_MSG_RANGE_REQUEST, "{\"serializable\":\"true\"}",
         "!proto: (line 1:17): invalid value for bool field serializable: \"true\""},
        {JSON_MSG_MEMBER_ADD_REQUEST, "{\"peerURLs\":\"x\"}",
         "!proto: syntax error (line 1:13): unexpected token \"x\""},
        {JSON_MSG_MEMBER_ADD_REQUEST, "{\"peerURLs\":[null]}",
         "!proto: (line 1:14): invalid value for string field peerURLs: null"},
        {JSON_MSG_TXN_REQUEST, "{\"compare\":[null]}",
         "!proto: syntax error (line 1:13): unexpected token null"},
        {JSON_MSG_WATCH_REQUEST, "{\"create_request\":{},\"cancel_request\":{}}",
         "!proto: (line 1:22): error parsing \"cancel_request\", oneof "
         "etcdserverpb.WatchRequest.request_union is already set"},
        {JSON_MSG_MEMBER_REMOVE_REQUEST, "{\"ID\":-1}",
         "!proto: (line 1:7): invalid value for uint64 field ID: -1"},
        /* And takes. */
        {JSON_MSG_RANGE_REQUEST, "{\"sort_order\":\"NOPE\"}", ""},
        {JSON_MSG_RANGE_REQUEST, "{\"sort_order\":77}", "284d"},
        {JSON_MSG_RANGE_REQUEST, "{\"limit\":1.0}", "1801"},
        {JSON_MSG_RANGE_REQUEST, "{\"limit\":\"1e0\"}", "1801"},
        {JSON_MSG_RANGE_REQUEST, "{\"limit\":\"1,x\"}", "1801"},
        {JSON_MSG_RANGE_REQUEST, "{\"key\":\"_-8\"}", "0a02ffef"},
        {JSON_MSG_WATCH_CREATE_REQUEST, "{\"filters\":[\"NOPE\"]}", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check(JSON_FORM_NEW, rows[i].id, rows[i].in, rows[i].want);
    }
}

static void what_the_old_form_refuses(void **state)
{
    (void)state;
    static const struct {
        enum json_message_id id;
        const char *in, *want;
    } rows[] = {
        {JSON_MSG_RANGE_REQUEST, "[]",
         "!json: cannot unmarshal array into Go value of type map[string]json.RawMessage"},
        {JSON_MSG_RANGE_REQUEST, "3",
         "!json: cannot unmarshal number into Go value of type map[string]json.RawMessage"},
        {JSON_MSG_RANGE_REQUEST, "{\"key\":\"not base64!!\"}",
         "!illegal base64 data at input byte 3"},
        {JSON_MSG_RANGE_REQUEST, "{\"key\":{}}",
         "!json: cannot unmarshal object into Go value of type []uint8"},
        {JSON_MSG_RANGE_REQUEST, "{\"limit\":\"abc\"}",
         "!invalid character 'a' looking for beginning of value"},
        {JSON_MSG_RANGE_REQUEST, "{\"limit\":\"\"}", "!unexpected end of JSON input"},
        {JSON_MSG_RANGE_REQUEST, "{\"limit\":1.0}",
         "!json: cannot unmarshal number 1.0 into Go value of type int64"},
        {JSON_MSG_RANGE_REQUEST, "{\"limit\":\"true\"}",
         "!json: cannot unmarshal bool into Go value of type int64"},
        {JSON_MSG_RANGE_REQUEST, "{\"sort_order\":\"NOPE\"}",
         "!unknown value \"\\\"NOPE\\\"\" for enum etcdserverpb.RangeRequest.SortOrder"},
        {JSON_MSG_RANGE_REQUEST, "{\"sort_order\":true}",
         "!json: cannot unmarshal bool into Go value of type protoreflect.EnumNumber"},
        {JSON_MSG_RANGE_REQUEST, "{\"serializable\":1}",
         "!json: cannot unmarshal number into Go value of type bool"},
        {JSON_MSG_MEMBER_ADD_REQUEST, "{\"peerURLs\":\"x\"}",
         "!json: cannot unmarshal string into Go value of type []json.RawMessage"},
        {JSON_MSG_RANGE_REQUEST, "{\"key\":[256]}",
         "!json: cannot unmarshal number 256 into Go value of type uint8"},
        /* And takes. */
        {JSON_MSG_RANGE_REQUEST, "null", ""},
        {JSON_MSG_RANGE_REQUEST, "{\"key\":\"eA==\",\"key\":\"eQ==\"}", "0a0179"},
        {JSON_MSG_RANGE_REQUEST, "{\"rangeEnd\":\"eA==\",\"range_end\":\"eQ==\"}", "120178"},
        {JSON_MSG_RANGE_REQUEST, "{\"limit\":\" 1 \"}", "1801"},
        {JSON_MSG_RANGE_REQUEST, "{\"limit\":\"null\"}", ""},
        {JSON_MSG_RANGE_REQUEST, "{\"key\":[1,null,3]}", "0a03010003"},
        {JSON_MSG_RANGE_REQUEST, "{\"limit\":1,\"key\":\"eA==\"}", "0a01781801"},
        {JSON_MSG_TXN_REQUEST, "{\"compare\":[null]}", "0a00"},
        {JSON_MSG_MEMBER_ADD_REQUEST, "{\"peerURLs\":[\"\\ud800\",null]}", "0a03efbfbd0a00"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check(JSON_FORM_OLD, rows[i].id, rows[i].in, rows[i].want);
    }
}

static void nest(struct buf *out, int levels)
{
    for (int i = 0; i < levels; i++) {
        buf_append_cstr(out, "{\"success\":[{\"request_txn\":");
    }
    buf_append_cstr(out, "{}");
    for (int i = 0; i < levels; i++) {
        buf_append_cstr(out, "}]}");
    }
}

static void depth_has_a_bound(void **state)
{
    (void)state;
    static const enum json_form forms[] = {JSON_FORM_OLD, JSON_FORM_NEW};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct buf in = BUF_INIT, out = BUF_INIT, why = BUF_INIT;
        const struct json_message *m = json_message_at(JSON_MSG_TXN_REQUEST);
        nest(&in, JSON_IN_DEPTH_MAX / 2 - 1);
        assert_int_equal(json_to_proto(forms[i], m, buf_slice(&in), &out, &why), 0);
        buf_clear(&in);
        nest(&in, JSON_IN_DEPTH_MAX);
        assert_int_equal(json_to_proto(forms[i], m, buf_slice(&in), &out, &why), ERR_MALFORMED);
        assert_true(why.len > 0);
        buf_deinit(&in);
        buf_deinit(&out);
        buf_deinit(&why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_specification),
        cmocka_unit_test(what_the_new_form_refuses),
        cmocka_unit_test(what_the_old_form_refuses),
        cmocka_unit_test(depth_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
