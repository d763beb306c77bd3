/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fakedb.h"
#include "member/member.h"

static const char JSON[] =
    "{\"id\":2549587941730214603,\"peerURLs\":[\"http://127.0.0.1:21002\"],\"isLearner\":true,"
    "\"name\":\"n1\",\"clientURLs\":[\"http://127.0.0.1:21001\"]}";

static void json_round_trip(void **state)
{
    (void)state;
    struct member m;
    struct buf b = BUF_INIT;
    member_init(&m);
    assert_int_equal(member_json_parse(slice_cstr(JSON), &m), 0);
    assert_true(m.id == UINT64_C(2549587941730214603) && m.is_learner);
    assert_string_equal(m.name, "n1");
    member_json(&b, &m);
    assert_string_equal(buf_cstr(&b), JSON);
    buf_clear(&b);
    member_raft_attributes_json(&b, &m);
    assert_string_equal(buf_cstr(&b),
                        "{\"peerURLs\":[\"http://127.0.0.1:21002\"],\"isLearner\":true}");
    buf_clear(&b);
    member_attributes_json(&b, &m);
    assert_string_equal(buf_cstr(&b),
                        "{\"name\":\"n1\",\"clientURLs\":[\"http://127.0.0.1:21001\"]}");
    buf_clear(&b);
    member_deinit(&m);
    member_init(&m);
    m.id = UINT64_MAX;
    member_json(&b, &m);
    assert_string_equal(buf_cstr(&b), "{\"id\":18446744073709551615,\"peerURLs\":null}");
    buf_clear(&b);
    mem_free(m.name);
    m.name = mem_strdup("<a&b>\xff");
    member_attributes_json(&b, &m);
    assert_string_equal(buf_cstr(&b), "{\"name\":\"\\u003ca\\u0026b\\u003e\\ufffd\"}");
    member_deinit(&m);
    buf_deinit(&b);
}

static void json_of_others(void **state)
{
    (void)state;
    struct member m;
    member_init(&m);
    m.id = 9;
    assert_int_equal(
        member_json_parse(SLICE_LIT(" { \"Name\" : \"x\" , \"future\":{\"a\":[1,2]}, \"PEERURLS\":"
                                    "[\"b\",\"a\"],\"clientURLs\":null,\"isLearner\":null } "),
                          &m),
        0);
    assert_true(m.id == 9 && m.peer_urls.count == 2 && m.client_urls.count == 0);
    assert_string_equal(m.peer_urls.items[0], "b");
    static const char *const bad[] = {
        "",
        "[]",
        "{",
        "{\"id\":-1}",
        "{\"id\":1.5}",
        "{\"id\":\"1\"}",
        "{\"peerURLs\":\"x\"}",
        "{\"peerURLs\":[1]}",
        "{\"name\":5}",
        "{\"isLearner\":\"true\"}",
        "{\"name\":\"a\\u0000b\"}",
        "{\"id\":1}x",
        "{\"id\":18446744073709551616}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(member_json_parse(slice_cstr(bad[i]), &m), ERR_MALFORMED);
        assert_string_equal(m.name, "x"); /* untouched */
        assert_int_equal(m.peer_urls.count, 2);
    }
    member_deinit(&m);
}

static void add_url(struct strs *s, const char *url)
{
    strs_add(s, slice_cstr(url));
}

/* peer-protocol 1.4, storage-formats 2.3 */
static void ids(void **state)
{
    (void)state;
    struct strs u = {NULL, 0};
    struct membership ms;
    membership_init(&ms);
    static const char *const urls[] = {"http://127.0.0.1:22011", "http://127.0.0.1:22012",
                                       "http://127.0.0.1:22013"};
    static const uint64_t want[] = {UINT64_C(0x5c50658f3f88b6fd), UINT64_C(0xe75a0bf89ef5a11f),
                                    UINT64_C(0xb1bd8c71943a9a4a)};
    for (int i = 0; i < 3; i++) {
        struct member m;
        member_init(&m);
        add_url(&m.peer_urls, urls[i]);
        m.id = member_id_compute(&m.peer_urls, "tok-A", -1);
        assert_true(m.id == want[i]);
        (void)membership_add(&ms, &m);
    }
    membership_check(&ms);
    assert_true(membership_cluster_id(&ms) == UINT64_C(0x1532481873deedda));
    membership_deinit(&ms);
    add_url(&u, "http://127.0.0.1:22072");
    add_url(&u, "http://127.0.0.1:22071");
    assert_true(member_id_compute(&u, "etcd-cluster", -1) == UINT64_C(0xa3dff437dbf31831));
    assert_string_equal(u.items[0], "http://127.0.0.1:22072"); /* not sorted in place */
    strs_deinit(&u);
    add_url(&u, "http://127.0.0.1:22014");
    assert_true(member_id_compute(&u, "", 1795500237) == UINT64_C(0x7be5de77762d70da));
    strs_deinit(&u);
    add_url(&u, "http://127.0.0.1:21042");
    struct member m;
    member_init(&m);
    m.id = member_id_compute(&u, "tok1", -1);
    assert_true(m.id == UINT64_C(0x8aa3661ffa7eb5cf));
    (void)membership_add(&ms, &m);
    assert_true(membership_cluster_id(&ms) == UINT64_C(0x3beec5db022e5356));
    membership_deinit(&ms);
    strs_deinit(&u);
}

static int check(struct membership *ms, enum raft_conf_change_type type, uint64_t id,
                 const char *context)
{
    struct raft_conf_change cc = {.type = type, .node_id = id};
    cc.context = context == NULL ? SLICE_NULL : slice_cstr(context);
    return membership_conf_change_check(ms, &cc, 1);
}

static enum member_effect apply(struct membership *ms, enum raft_conf_change_type type, uint64_t id,
                                const char *context)
{
    struct raft_conf_change cc = {.type = type, .node_id = id};
    enum member_effect e = MEMBER_EFFECT_NONE;
    cc.context = context == NULL ? SLICE_NULL : slice_cstr(context);
    assert_int_equal(membership_conf_change_check(ms, &cc, 1), 0);
    assert_int_equal(membership_conf_change_apply(ms, &cc, &e), 0);
    membership_check(ms);
    return e;
}

/* The table of peer-protocol 4.7, row by row. */
static void conf_changes(void **state)
{
    (void)state;
    struct membership ms;
    membership_init(&ms);
    assert_int_equal(apply(&ms, RAFT_CONF_ADD_NODE, 5,
                           "{\"id\":5,\"peerURLs\":[\"http://a:1\"],\"name\":\"five\"}"),
                     MEMBER_EFFECT_ADDED);
    assert_int_equal(apply(&ms, RAFT_CONF_ADD_LEARNER, 3,
                           "{\"id\":3,\"peerURLs\":[\"http://b:1\"],\"isLearner\":true}"),
                     MEMBER_EFFECT_ADDED);
    assert_true(ms.members[0].id == 3 && ms.members[0].is_learner &&
                membership_voter_count(&ms) == 1);
    assert_int_equal(check(&ms, RAFT_CONF_ADD_NODE, 5, "{\"id\":5,\"peerURLs\":[\"http://z:1\"]}"),
                     ERR_RPC_MEMBER_EXISTS);
    assert_int_equal(check(&ms, RAFT_CONF_ADD_NODE, 6, "{\"id\":6,\"peerURLs\":[\"http://a:1\"]}"),
                     ERR_RPC_PEER_URL_EXISTS);
    assert_int_equal(check(&ms, RAFT_CONF_ADD_LEARNER, 6,
                           "{\"id\":6,\"peerURLs\":[\"http://c:1\"],\"isLearner\":true}"),
                     ERR_RPC_TOO_MANY_LEARNERS);
    assert_int_equal(check(&ms, RAFT_CONF_ADD_NODE, 7, "{\"id\":7,\"isPromote\":true}"),
                     ERR_RPC_MEMBER_NOT_FOUND);
    assert_int_equal(check(&ms, RAFT_CONF_ADD_NODE, 5, "{\"id\":5,\"isPromote\":true}"),
                     ERR_RPC_MEMBER_NOT_LEARNER);
    assert_int_equal(check(&ms, RAFT_CONF_REMOVE_NODE, 7, NULL), ERR_RPC_MEMBER_NOT_FOUND);
    assert_int_equal(check(&ms, RAFT_CONF_UPDATE_NODE, 7, "{\"id\":7,\"peerURLs\":[]}"),
                     ERR_RPC_MEMBER_NOT_FOUND);
    assert_int_equal(
        check(&ms, RAFT_CONF_UPDATE_NODE, 5, "{\"id\":5,\"peerURLs\":[\"http://b:1\"]}"),
        ERR_RPC_PEER_URL_EXISTS);
    assert_int_equal(check(&ms, RAFT_CONF_ADD_NODE, 8, "{"), ERR_MALFORMED);
    assert_int_equal(check(&ms, RAFT_CONF_ADD_NODE, 8, "{\"id\":9}"), ERR_MALFORMED);

    struct buf promote = BUF_INIT;
    member_promote_json(&promote, 3);
    assert_string_equal(buf_cstr(&promote), "{\"id\":3,\"peerURLs\":null,\"isPromote\":true}");
    assert_int_equal(apply(&ms, RAFT_CONF_ADD_NODE, 3, buf_cstr(&promote)), MEMBER_EFFECT_PROMOTED);
    buf_deinit(&promote);
    assert_false(ms.members[0].is_learner);
    assert_int_equal(ms.members[0].peer_urls.count, 1);
    assert_int_equal(apply(&ms, RAFT_CONF_UPDATE_NODE, 5,
                           "{\"id\":5,\"peerURLs\":[\"http://a:1\",\"http://a:2\"]}"),
                     MEMBER_EFFECT_UPDATED);
    struct member *five = membership_find(&ms, 5);
    assert_int_equal(five->peer_urls.count, 2);
    assert_string_equal(five->name, "five"); /* only the URLs */
    assert_int_equal(apply(&ms, RAFT_CONF_REMOVE_NODE, 3, NULL), MEMBER_EFFECT_REMOVED);
    assert_true(membership_is_removed(&ms, 3) && ms.count == 1);
    assert_int_equal(check(&ms, RAFT_CONF_ADD_NODE, 3, "{\"id\":3,\"peerURLs\":[\"http://q:1\"]}"),
                     ERR_RPC_MEMBER_NOT_FOUND);
    assert_int_equal(check(&ms, RAFT_CONF_REMOVE_NODE, 3, NULL), ERR_RPC_MEMBER_NOT_FOUND);
    membership_deinit(&ms);
}

static void attributes_and_load(void **state)
{
    (void)state;
    struct fakedb *db = fakedb_create(SCHEMA_BUCKET_NAMES, SCHEMA_BUCKET_COUNT);
    struct membership ms;
    membership_init(&ms);
    struct strs urls = {NULL, 0};
    add_url(&urls, "http://c:1");
    (void)apply(&ms, RAFT_CONF_ADD_NODE, UINT64_MAX,
                "{\"id\":18446744073709551615,\"peerURLs\":[\"http://a:1\"]}");
    (void)apply(&ms, RAFT_CONF_ADD_NODE, 2, "{\"id\":2,\"peerURLs\":[\"http://b:1\"]}");
    assert_int_equal(membership_set_attributes(&ms, 2, "two", &urls), 0);
    assert_int_equal(membership_set_attributes(&ms, 9, "nine", &urls), ERR_NOT_FOUND);
    membership_remove(&ms, 9);
    assert_int_equal(membership_set_attributes(&ms, 9, "nine", &urls), ERR_RPC_MEMBER_NOT_FOUND);
    assert_non_null(membership_find_name(&ms, "two"));
    assert_null(membership_find_name(&ms, "three"));
    for (size_t i = 0; i < ms.count; i++) {
        member_put(fakedb_backend(db), &ms.members[i]);
    }
    schema_remove_member(fakedb_backend(db), 9);
    assert_true(slice_equal_cstr(fakedb_get(db, "members", SLICE_LIT("2")),
                                 "{\"id\":2,\"peerURLs\":[\"http://b:1\"],\"name\":\"two\","
                                 "\"clientURLs\":[\"http://c:1\"]}"));
    struct schema_boot boot;
    struct membership back;
    assert_int_equal(schema_boot_load(fakedb_tx(db), &boot), 0);
    assert_int_equal(membership_load(&back, &boot), 0);
    membership_check(&back);
    assert_int_equal(back.count, 2);
    assert_string_equal(back.members[0].name, "two");
    assert_true(back.members[1].id == UINT64_MAX && membership_is_removed(&back, 9));
    struct raft_conf_state cs;
    assert_int_equal(membership_conf_state(&back, &cs), 0);
    assert_true(cs.voters.count == 2 && cs.voters.ids[0] == 2 && cs.voters.ids[1] == UINT64_MAX);
    schema_boot_deinit(&boot);
    fakedb_put(db, "members", SLICE_LIT("5"), SLICE_LIT("{\"id\":6}"));
    assert_int_equal(schema_boot_load(fakedb_tx(db), &boot), 0);
    struct membership broken;
    assert_int_equal(membership_load(&broken, &boot), ERR_CORRUPT);
    schema_boot_deinit(&boot);
    membership_deinit(&back);
    membership_deinit(&ms);
    strs_deinit(&urls);
    fakedb_destroy(db);
}

static void fill(struct membership *ms, unsigned started, unsigned unstarted, unsigned learners)
{
    membership_init(ms);
    for (unsigned i = 0; i < started + unstarted + learners; i++) {
        struct member m;
        member_init(&m);
        m.id = i + 1;
        m.is_learner = i >= started + unstarted;
        if (i < started) {
            mem_free(m.name);
            m.name = mem_strdup("n");
        }
        (void)membership_add(ms, &m);
    }
}

static void guards(void **state)
{
    (void)state;
    static const struct {
        unsigned started, unstarted, learners;
        bool add, promote, remove_started;
    } rows[] = {
        {1, 0, 0, true, true, false},  {1, 1, 0, false, true, false},
        {2, 0, 0, true, true, true},   {2, 1, 0, false, true, false},
        {3, 0, 1, true, true, true},   {1, 2, 0, false, false, false},
        {3, 2, 0, false, true, false}, {4, 1, 0, true, true, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct membership ms;
        fill(&ms, rows[i].started, rows[i].unstarted, rows[i].learners);
        assert_int_equal(membership_is_ready_to_add_voter(&ms), rows[i].add);
        assert_int_equal(membership_is_ready_to_promote(&ms), rows[i].promote);
        assert_int_equal(membership_is_ready_to_remove_voter(&ms, 1), rows[i].remove_started);
        membership_deinit(&ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_round_trip),
        cmocka_unit_test(json_of_others),
        cmocka_unit_test(ids),
        cmocka_unit_test(conf_changes),
        cmocka_unit_test(attributes_and_load),
        cmocka_unit_test(guards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
