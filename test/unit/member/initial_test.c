/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "member/initial.h"

static struct initial_cluster parse(const char *text)
{
    struct initial_cluster ic;
    struct buf error = BUF_INIT;
    assert_int_equal(initial_cluster_parse(text, &ic, &error), 0);
    buf_deinit(&error);
    return ic;
}

static void text_and_names(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct initial_cluster ic = parse("b=http://h:2,,a=http://h:3,b=http://h:1");
    assert_int_equal(ic.count, 2);
    assert_int_equal(initial_cluster_find(&ic, "b")->urls.count, 2);
    initial_cluster_text(&b, &ic);
    assert_string_equal(buf_cstr(&b), "a=http://h:3,b=http://h:1,b=http://h:2");
    assert_false(initial_cluster_has_duplicate_url(&ic));
    initial_cluster_deinit(&ic);
    buf_clear(&b);
    assert_int_equal(initial_cluster_parse("a=http://h:1,b", &ic, &b), ERR_INVALID);
    assert_string_equal(buf_cstr(&b), "URL scheme must be http, https, unix, or unixs: ");
    ic = parse("");
    assert_int_equal(ic.count, 0);
    initial_cluster_deinit(&ic);
    buf_deinit(&b);
}

/* cluster, name, advertised, text ("" = fine): cli.md 1.6, storage-formats 5.6 */
static void bootstrap_checks(void **state)
{
    (void)state;
    static const char *const rows[][4] = {
        {"m1=http://h:1,m2=http://h:2", "m1", "http://h:1", ""},
        {"m1=http://h:1", "zz", "http://h:1",
         "couldn't find local name \"zz\" in the initial cluster configuration"},
        {"default=http://127.0.0.1:2399", "default", "http://127.0.0.1:2380",
         "--initial-cluster has default=http://127.0.0.1:2399 but missing from "
         "--initial-advertise-peer-urls=http://127.0.0.1:2380 (resolved urls: "
         "\"http://127.0.0.1:2380\" != \"http://127.0.0.1:2399\")"},
        {"m1=http://h:1", "m1", "http://h:1,http://h:2",
         "--initial-advertise-peer-urls has http://h:2 but missing from "
         "--initial-cluster=m1=http://h:1,m1=http://h:2"},
        {"m1=http://h:1,m2=http://h:1", "m1", "http://h:1",
         "initial cluster m1=http://h:1,m2=http://h:1 has duplicate url"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct initial_cluster ic = parse(rows[i][0]);
        struct strs advertised;
        struct buf error = BUF_INIT;
        assert_int_equal(urls_parse_list(rows[i][2], &advertised, NULL), 0);
        int err =
            initial_cluster_verify_bootstrap(&ic, rows[i][1], &advertised, false, NULL, &error);
        assert_string_equal(buf_cstr(&error), rows[i][3]);
        assert_int_equal(err != 0, rows[i][3][0] != '\0');
        buf_deinit(&error);
        strs_deinit(&advertised);
        initial_cluster_deinit(&ic);
    }
    struct initial_cluster ic = parse("m1=http://h:1");
    struct buf error = BUF_INIT;
    assert_int_equal(initial_cluster_verify_join(&ic, "m1", false, &error), 0);
    assert_int_equal(initial_cluster_verify_join(&ic, "m1", true, &error), ERR_INVALID);
    assert_string_equal(buf_cstr(&error),
                        "discovery URL should not be set when joining existing initial cluster");
    buf_deinit(&error);
    initial_cluster_deinit(&ic);
}

static void members(void **state)
{
    (void)state;
    struct initial_cluster ic =
        parse("n1=http://127.0.0.1:22011,n2=http://127.0.0.1:22012,n3=http://127.0.0.1:22013");
    struct membership ms;
    struct buf error = BUF_INIT;
    assert_int_equal(initial_cluster_members(&ic, "tok-A", &ms, &error), 0);
    membership_check(&ms);
    assert_int_equal(ms.count, 3);
    assert_true(ms.members[0].id == UINT64_C(0x5c50658f3f88b6fd));
    assert_string_equal(ms.members[0].name, "n1");
    assert_string_equal(ms.members[1].name, "n3");
    assert_true(membership_cluster_id(&ms) == UINT64_C(0x1532481873deedda));
    initial_cluster_deinit(&ic);
    ic = parse("a=http://h:1,b=http://h:1");
    struct membership none;
    assert_int_equal(initial_cluster_members(&ic, "t", &none, &error), ERR_INVALID);
    assert_true(strncmp(buf_cstr(&error), "member exists with identical ID ", 32) == 0);
    initial_cluster_deinit(&ic);
    membership_deinit(&ms);
    buf_deinit(&error);
}

static void join_takes_their_ids(void **state)
{
    (void)state;
    struct initial_cluster ours = parse("n1=http://h:1,n2=http://h:2");
    struct initial_cluster theirs = parse("x=http://h:1,y=http://h:2");
    struct membership local;
    struct membership existing;
    struct buf error = BUF_INIT;
    assert_int_equal(initial_cluster_members(&ours, "tok", &local, &error), 0);
    assert_int_equal(initial_cluster_members(&theirs, "other", &existing, &error), 0);
    assert_int_equal(membership_match_existing(&local, &existing, NULL, &error), 0);
    membership_check(&local);
    for (size_t i = 0; i < 2; i++) {
        assert_true(local.members[i].id == existing.members[i].id);
    }
    assert_non_null(membership_find_name(&local, "n1"));
    strs_add(&existing.members[0].peer_urls, SLICE_LIT("http://h:9"));
    assert_int_equal(membership_match_existing(&local, &existing, NULL, &error), ERR_INVALID);
    assert_true(strstr(buf_cstr(&error), "PeerURLs: no match found for existing member (") != NULL);
    buf_clear(&error);
    membership_remove(&existing, existing.members[0].id);
    assert_int_equal(membership_match_existing(&local, &existing, NULL, &error), ERR_INVALID);
    assert_string_equal(buf_cstr(&error), "member count is unequal");
    membership_deinit(&local);
    membership_deinit(&existing);
    initial_cluster_deinit(&ours);
    initial_cluster_deinit(&theirs);
    buf_deinit(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_names),
        cmocka_unit_test(bootstrap_checks),
        cmocka_unit_test(members),
        cmocka_unit_test(join_takes_their_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
