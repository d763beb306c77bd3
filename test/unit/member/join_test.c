/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "member/join.h"

/* What the others would answer, by URL; NULL: nobody is there. */
struct page {
    const char *url; /* with path */
    uint64_t cluster_id;
    const char *body;
};

struct scene {
    const struct page *pages; /* ends with a NULL url */
    struct buf asked;         /* the URLs in order, a blank behind each */
    struct buf error;
    struct strs advertised;
    struct join_result result;
};

static void scene_end(struct scene *s)
{
    buf_deinit(&s->asked);
    buf_deinit(&s->error);
    strs_deinit(&s->advertised);
}

static struct join_reply reply_of(const struct scene *s, const char *url)
{
    for (const struct page *p = s->pages; p->url != NULL; p++) {
        if (strcmp(p->url, url) == 0) {
            return (struct join_reply){.cluster_id = p->cluster_id, .body = slice_cstr(p->body)};
        }
    }
    return (struct join_reply){.err = ERR_REFUSED};
}

static int run(struct scene *s, bool is_existing, const char *cluster, const char *name)
{
    struct join *j;
    strs_add(&s->advertised, SLICE_LIT("http://h:1"));
    struct join_options o = {.initial_cluster = cluster,
                             .token = "tok",
                             .name = name,
                             .advertised = &s->advertised,
                             .is_existing = is_existing,
                             .max_learners = 1,
                             .request_timeout_ms = 7000};
    int err = join_create(&o, &j, &s->error);
    if (err != 0) {
        return err;
    }
    struct join_question q;
    for (int i = 0; join_question(j, &q); i++) {
        struct buf url = BUF_INIT;
        assert_true(i < 100);
        buf_printf(&url, "%s%s", q.url, q.path);
        buf_printf(&s->asked, "%s ", buf_cstr(&url));
        struct join_reply r = reply_of(s, buf_cstr(&url));
        join_answer(j, &r);
        buf_deinit(&url);
    }
    err = join_finish(j, &s->result, &s->error);
    join_destroy(j);
    return err;
}

#define CLUSTER "n1=http://h:1,n2=http://h:2,n3=http://h:3,n3=http://h:33"
#define MEMBER(id, url, rest) "{\"id\":" id ",\"peerURLs\":[" url "]" rest "}"
#define THREE                                                                                      \
    "[" MEMBER("11", "\"http://h:1\"", "") "," MEMBER(                                             \
        "22", "\"http://h:2\"",                                                                    \
        ",\"name\":\"old2\"") "," MEMBER("33", "\"http://h:3\",\"http://h:33\"", "") "]\n"

static void a_new_cluster(void **state)
{
    (void)state;
    static const struct page pages[] = {{"http://h:2/members", 0xabc, "null\n"},
                                        {"http://h:3/members", 0xabc, "[]"},
                                        {NULL, 0, NULL}};
    struct scene s = {.pages = pages};
    assert_int_equal(run(&s, false, CLUSTER, "n1"), 0);
    /* An empty list is an answer too: nobody else is asked. */
    assert_string_equal(buf_cstr(&s.asked), "http://h:2/members ");
    assert_int_equal(s.result.members.count, 3);
    assert_int_equal(s.result.remotes.count, 0);
    assert_int_equal(s.result.level, LEVEL_NEW);
    assert_true(s.result.cluster_id == membership_cluster_id(&s.result.members));
    assert_true(s.result.member_id == membership_find_name(&s.result.members, "n1")->id);
    join_result_deinit(&s.result);
    scene_end(&s);
}

static void nobody_is_up_yet(void **state)
{
    (void)state;
    static const struct page pages[] = {{NULL, 0, NULL}};
    struct scene s = {.pages = pages};
    assert_int_equal(run(&s, false, CLUSTER, "n1"), 0);
    assert_string_equal(buf_cstr(&s.asked),
                        "http://h:2/members http://h:3/members http://h:33/members ");
    join_result_deinit(&s.result);
    scene_end(&s);
    s = (struct scene){.pages = pages};
    assert_int_equal(run(&s, true, CLUSTER, "n1"), ERR_NOT_FOUND);
    assert_string_equal(buf_cstr(&s.error),
                        "cannot fetch cluster info from peer urls: could not retrieve cluster "
                        "information from the given URLs");
    scene_end(&s);
}

static void a_second_life_is_refused(void **state)
{
    (void)state;
    /* The id of n1 by URL and token. */
    struct strs urls = {0};
    struct buf body = BUF_INIT, want = BUF_INIT;
    strs_add(&urls, SLICE_LIT("http://h:1"));
    uint64_t id = member_id_compute(&urls, "tok", -1);
    buf_printf(&body,
               "[{\"id\":%llu,\"peerURLs\":[\"http://h:1\"],\"clientURLs\":[\"http://c:1\"]}]",
               (unsigned long long)id);
    buf_printf(&want, "member %llx has already been bootstrapped", (unsigned long long)id);
    const struct page pages[] = {{"http://h:2/members", 0, "null"},
                                 {"http://h:3/members", 0x1f, buf_cstr(&body)},
                                 {NULL, 0, NULL}};
    struct scene s = {.pages = pages};
    assert_int_equal(run(&s, false, CLUSTER, "n1"), ERR_EXISTS);
    assert_string_equal(buf_cstr(&s.error), buf_cstr(&want));
    /* A bad cluster id is no answer. */
    assert_string_equal(buf_cstr(&s.asked), "http://h:2/members http://h:3/members ");
    scene_end(&s);
    strs_deinit(&urls);
    buf_deinit(&body);
    buf_deinit(&want);
}

static void a_join(void **state)
{
    (void)state;
    static const struct page pages[] = {
        {"http://h:2/members", 0xf00d, "rubbish"},
        {"http://h:3/members", 0xf00d, THREE},
        {"http://h:2/version", 0, "{\"etcdserver\":\"3.6.14\",\"etcdcluster\":\"3.6.0\"}"},
        {"http://h:33/version", 0, "{\"etcdserver\":\"3.6.1\",\"etcdcluster\":\"3.6.0\"}"},
        {NULL, 0, NULL}};
    struct scene s = {.pages = pages};
    assert_int_equal(run(&s, true, CLUSTER, "n1"), 0);
    assert_string_equal(buf_cstr(&s.asked),
                        "http://h:2/members http://h:3/members http://h:2/version "
                        "http://h:3/version http://h:33/version ");
    assert_int_equal(s.result.member_id, 11);
    assert_true(s.result.cluster_id == 0xf00d);
    assert_int_equal(s.result.level, LEVEL_3_6);
    assert_string_equal(membership_find(&s.result.members, 22)->name, "n2");
    assert_string_equal(membership_find(&s.result.remotes, 22)->name, "old2");
    join_result_deinit(&s.result);
    scene_end(&s);
}

static void joins_that_do_not_fit(void **state)
{
    (void)state;
    static const struct {
        const char *members;
        const char *version;
        int err;
        const char *text;
    } rows[] = {
        {"null", "", ERR_NOT_FOUND,
         "cannot fetch cluster info from peer urls: failed to get raft cluster member(s) from the "
         "given URLs"},
        {"[" MEMBER("11", "\"http://h:1\"", ",\"name\":\"a\",\"clientURLs\":[\"http://c:1\"]") "]",
         "", ERR_INVALID,
         "error validating peerURLs {ClusterID:f00d Members:[&{ID:b "
         "RaftAttributes:{PeerURLs:[http://h:1] IsLearner:false} Attributes:{Name:a "
         "ClientURLs:[http://c:1]}}] RemovedMemberIDs:[]}: member count is unequal"},
        {"[" MEMBER("11", "\"http://h:1\"", "") "," MEMBER("22", "\"http://h:2\"", "") "," MEMBER(
             "33", "\"http://h:4\"", "") "]",
         "", ERR_INVALID,
         "error validating peerURLs {ClusterID:f00d Members:[&{ID:b "
         "RaftAttributes:{PeerURLs:[http://h:1] IsLearner:false} Attributes:{Name: ClientURLs:[]}} "
         "&{ID:16 RaftAttributes:{PeerURLs:[http://h:2] IsLearner:false} Attributes:{Name: "
         "ClientURLs:[]}} &{ID:21 RaftAttributes:{PeerURLs:[http://h:4] IsLearner:false} "
         "Attributes:{Name: ClientURLs:[]}}] RemovedMemberIDs:[]}: PeerURLs: no match found for "
         "existing member (21, [http://h:4]), last resolver error (len([\"http://h:4\"]) != "
         "len([\"http://h:3\" \"http://h:33\"]))"},
        {THREE, "{\"etcdserver\":\"3.8.0\",\"etcdcluster\":\"3.8.0\"}", ERR_VERSION,
         "incompatible with current running cluster"},
        {THREE, "", ERR_VERSION, "incompatible with current running cluster"},
        {"[" MEMBER("11", "\"http://h:1\"", ",\"isLearner\":true") "," MEMBER(
             "22", "\"http://h:2\"",
             ",\"isLearner\":true") "," MEMBER("33", "\"http://h:3\",\"http://h:33\"", "") "]",
         "{\"etcdserver\":\"3.7.1\",\"etcdcluster\":\"3.7.0\"}", ERR_LIMIT,
         "membership: too many learner members in cluster"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct page pages[] = {{"http://h:2/members", 0xf00d, rows[i].members},
                                     {"http://h:2/version", 0, rows[i].version},
                                     {NULL, 0, NULL}};
        struct scene s = {.pages = pages};
        assert_int_equal(run(&s, true, CLUSTER, "n1"), rows[i].err);
        assert_string_equal(buf_cstr(&s.error), rows[i].text);
        scene_end(&s);
    }
}

/* Two members of the cluster say they have our URLs: no id can be ours. */
static void a_lying_list(void **state)
{
    (void)state;
    static const struct page pages[] = {
        {"http://h:2/members", 1,
         "[" MEMBER("11", "\"http://h:1\"", "") "," MEMBER("22", "\"http://h:1\"", "") "," MEMBER(
             "33", "\"http://h:2\"", "") "]"},
        {NULL, 0, NULL}};
    struct scene s = {.pages = pages};
    assert_int_equal(run(&s, true, CLUSTER, "n1"), ERR_INVALID);
    assert_non_null(strstr(buf_cstr(&s.error), "error validating peerURLs {ClusterID:1 "));
    scene_end(&s);
}

static void flags_are_checked_first(void **state)
{
    (void)state;
    static const struct page pages[] = {{NULL, 0, NULL}};
    struct scene s = {.pages = pages};
    assert_int_equal(run(&s, true, CLUSTER, "zz"), ERR_INVALID);
    assert_string_equal(buf_cstr(&s.error),
                        "couldn't find local name \"zz\" in the initial cluster configuration");
    assert_int_equal(s.asked.len, 0);
    scene_end(&s);
    s = (struct scene){.pages = pages};
    assert_int_equal(run(&s, false, "n1=http://h:9", "n1"), ERR_MISMATCH);
    scene_end(&s);
    s = (struct scene){.pages = pages};
    assert_int_equal(run(&s, true, "n1=x", "n1"), ERR_INVALID);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_cluster),
        cmocka_unit_test(nobody_is_up_yet),
        cmocka_unit_test(a_second_life_is_refused),
        cmocka_unit_test(a_join),
        cmocka_unit_test(joins_that_do_not_fit),
        cmocka_unit_test(a_lying_list),
        cmocka_unit_test(flags_are_checked_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
