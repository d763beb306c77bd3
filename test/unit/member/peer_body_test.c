/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "member/peer_body.h"

/* As etcd 3.7.1 sent it. */
static const char list_text[] =
    "[{\"id\":6651928315546875645,\"peerURLs\":[\"http://127.0.0.1:22011\"],\"name\":\"n1\","
    "\"clientURLs\":[\"http://127.0.0.1:22021\"]},{\"id\":8927786440997040346,\"peerURLs\":"
    "[\"http://127.0.0.1:22014\"],\"isLearner\":true}]";

static void members_round_trip(void **state)
{
    (void)state;
    struct membership ms;
    struct buf out = BUF_INIT;
    assert_int_equal(member_list_parse(slice_cstr(list_text), &ms), 0);
    assert_int_equal(ms.count, 2);
    assert_string_equal(ms.members[0].name, "n1");
    assert_true(ms.members[1].is_learner);
    member_list_json(&out, &ms);
    assert_string_equal(buf_cstr(&out), list_text);
    membership_deinit(&ms);
    buf_clear(&out);
    member_list_json(&out, &ms);
    assert_string_equal(buf_cstr(&out), "null");
    buf_deinit(&out);
}

static void members_from_outside(void **state)
{
    (void)state;
    struct membership ms;
    static const char *const empty[] = {"null", "[]", " [ ] \n"};
    static const char *const bad[] = {"",
                                      "{}",
                                      "[",
                                      "[null]",
                                      "[{}]",
                                      "[1,2]",
                                      "[{\"id\":0}]",
                                      "[{\"id\":-1}]",
                                      "[{\"id\":1},{\"id\":1}]",
                                      "[{\"id\":1}] x",
                                      "[{\"id\":1,\"name\":\"a\\u0000\"}]"};
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        assert_int_equal(member_list_parse(slice_cstr(empty[i]), &ms), 0);
        assert_int_equal(ms.count, 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_not_equal(member_list_parse(slice_cstr(bad[i]), &ms), 0);
    }
    /* Any order and case, unknown keys. */
    assert_int_equal(
        member_list_parse(slice_cstr("[{\"x\":{\"y\":[1]},\"ID\":9,\"NAME\":\"b\"},{\"id\":7}]"),
                          &ms),
        0);
    assert_int_equal(ms.members[0].id, 7);
    assert_string_equal(ms.members[1].name, "b");
    membership_deinit(&ms);
    struct buf many = BUF_INIT;
    for (unsigned i = 0; i <= SCHEMA_MEMBERS_MAX; i++) {
        buf_printf(&many, "%s{\"id\":%u}", i == 0 ? "[" : ",", i + 1);
    }
    buf_append_byte(&many, ']');
    assert_int_equal(member_list_parse(buf_slice(&many), &ms), ERR_LIMIT);
    buf_deinit(&many);
}

static void versions(void **state)
{
    (void)state;
    const struct semver none = {0}, v36 = {3, 6, 0};
    struct buf out = BUF_INIT;
    struct member_versions v;
    member_versions_json(&out, "3.6.14", v36, true, v36);
    assert_string_equal(
        buf_cstr(&out),
        "{\"etcdserver\":\"3.6.14\",\"etcdcluster\":\"3.6.0\",\"storage\":\"3.6.0\"}");
    assert_int_equal(member_versions_parse(buf_slice(&out), &v), 0);
    assert_string_equal(v.server, "3.6.14");
    assert_string_equal(v.cluster, "3.6.0");
    assert_string_equal(v.storage, "3.6.0");
    buf_clear(&out);
    member_versions_json(&out, "3.5.33", none, false, none);
    assert_string_equal(buf_cstr(&out),
                        "{\"etcdserver\":\"3.5.33\",\"etcdcluster\":\"not_decided\"}");
    buf_clear(&out);
    member_versions_json(&out, "3.7.1", none, true, none);
    assert_string_equal(
        buf_cstr(&out),
        "{\"etcdserver\":\"3.7.1\",\"etcdcluster\":\"not_decided\",\"storage\":\"unknown\"}");
    buf_clear(&out);
    buf_append_cstr(&out, "{\"etcdserver\":\"");
    for (int i = 0; i < 200; i++) {
        buf_append_byte(&out, '3');
    }
    buf_append_cstr(&out, "\",\"storage\":null}");
    assert_int_equal(member_versions_parse(buf_slice(&out), &v), 0);
    assert_int_equal(strlen(v.server), MEMBER_VERSION_TEXT_MAX - 1);
    assert_string_equal(v.storage, "");
    assert_int_equal(member_versions_parse(slice_cstr("404 page not found\n"), &v), ERR_MALFORMED);
    assert_int_equal(member_versions_parse(slice_cstr("{\"etcdserver\":1}"), &v), ERR_MALFORMED);
    buf_deinit(&out);
}

static void hashkv(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    struct member_hash got;
    /* As 3.7.1 and 3.5.33 answer. */
    assert_int_equal(
        member_hash_answer(200,
                           SLICE_LIT("{\"header\":{\"revision\":9},\"hash\":1084519789,"
                                     "\"compact_revision\":-1,\"hash_revision\":8}"),
                           &got),
        0);
    assert_true(got.rev == 9 && got.hash == 1084519789 && got.compact_rev == -1 &&
                got.hash_rev == 8);
    assert_int_equal(
        member_hash_answer(200, SLICE_LIT("{\"header\":{\"revision\":3},\"hash\":7}"), &got), 0);
    assert_true(got.rev == 3 && got.hash == 7 && got.compact_rev == 0 && got.hash_rev == 0);
    member_hash_request_json(&out, 12);
    assert_string_equal(buf_cstr(&out), "{\"revision\":12}");
    buf_clear(&out);
    member_hash_request_json(&out, 0);
    assert_string_equal(buf_cstr(&out), "{}");
    buf_deinit(&out);
}

static void hashkv_refusals(void **state)
{
    (void)state;
    struct member_hash got;
    static const struct {
        unsigned status;
        const char *body;
        int err;
    } rows[] = {
        {400, "mvcc: required revision has been compacted\n", ERR_RPC_COMPACTED},
        {400, "mvcc: required revision is a future revision\n", ERR_RPC_FUTURE_REV},
        {400, "error reading body\n", ERR_MALFORMED},
        {412, "cluster ID mismatch\n", ERR_RPC_CLUSTER_ID_MISMATCH},
        {404, "404 page not found\n", ERR_MALFORMED},
        {500, "", ERR_MALFORMED},
        {200, "", ERR_MALFORMED},
        {200, "{}", ERR_MALFORMED}, /* no revision: not an answer */
        {200, "{\"header\":{\"revision\":2},\"hash\":4294967296}", ERR_MALFORMED},
        {200, "{\"header\":{\"revision\":-2},\"hash\":1}", ERR_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(member_hash_answer(rows[i].status, slice_cstr(rows[i].body), &got),
                         rows[i].err);
    }
}

static void promotion(void **state)
{
    (void)state;
    struct membership ms;
    static const struct {
        unsigned status;
        const char *body;
        int err;
    } rows[] = {
        {404, "membership: ID not found\n", ERR_RPC_MEMBER_NOT_FOUND},
        {412, "membership: can only promote a learner member\n", ERR_RPC_MEMBER_NOT_LEARNER},
        {412, "etcdserver: can only promote a learner member which is in sync with leader\n",
         ERR_RPC_LEARNER_NOT_READY},
        {412, "other", ERR_AGAIN},
        {500, "{\"message\":\"Internal Server Error\"}", ERR_AGAIN},
        {408, "", ERR_AGAIN},
        {200, "x", ERR_AGAIN},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(member_promote_answer(rows[i].status, slice_cstr(rows[i].body), &ms),
                         rows[i].err);
    }
    assert_int_equal(member_promote_answer(200, slice_cstr(list_text), &ms), 0);
    assert_int_equal(ms.count, 2);
    membership_deinit(&ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_round_trip), cmocka_unit_test(members_from_outside),
        cmocka_unit_test(versions),           cmocka_unit_test(hashkv),
        cmocka_unit_test(hashkv_refusals),    cmocka_unit_test(promotion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
