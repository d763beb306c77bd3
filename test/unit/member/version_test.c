/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "member/version.h"

static struct semver v(const char *text)
{
    struct semver out = {0};
    if (text[0] != '\0') {
        assert_int_equal(semver_parse(slice_cstr(text), &out), 0);
    }
    return out;
}

static void assert_version(struct semver got, const char *want)
{
    char text[SEMVER_TEXT_MAX] = "";
    if (!semver_is_none(got)) {
        semver_format(got, text);
    }
    assert_string_equal(text, want);
}

/* "3.6.14/3.6.0": server and cluster version; "" is a member that did not answer. */
static size_t answers_of(const char *const *rows, struct member_answer *out)
{
    size_t n = 0;
    for (; rows[n] != NULL; n++) {
        out[n] = (struct member_answer){.id = n + 1, .is_known = rows[n][0] != '\0'};
        const char *slash = strchr(rows[n], '/');
        if (slash != NULL) {
            memcpy(out[n].versions.server, rows[n], (size_t)(slash - rows[n]));
            memcpy(out[n].versions.cluster, slash + 1, strlen(slash + 1));
        }
    }
    return n;
}

static void targets(void **state)
{
    (void)state;
    static const char *const good[] = {"3.6", "3.6.0", "3.6.14", "3.6.0-rc.1"};
    static const char *const bad[] = {"", "3", "v3.6", "3.6.", "3.x", "3.6.0.0", "abc", " 3.6"};
    struct semver got;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(version_target_parse(slice_cstr(good[i]), &got), 0);
        assert_version(got, "3.6.0");
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(version_target_parse(slice_cstr(bad[i]), &got), ERR_RPC_DOWNGRADE_FORMAT);
    }
    struct schema_downgrade job = {0};
    assert_int_equal(version_downgrade_check(v("3.7.0"), v("3.6.0"), &job), 0);
    assert_int_equal(version_downgrade_check(v("3.7.0"), v("3.7.0"), &job),
                     ERR_RPC_DOWNGRADE_INVALID);
    assert_int_equal(version_downgrade_check(v("3.7.0"), v("3.5.0"), &job),
                     ERR_RPC_DOWNGRADE_INVALID);
    assert_int_equal(version_downgrade_check(v("3.0.0"), v("2.9.0"), &job),
                     ERR_RPC_DOWNGRADE_INVALID);
    assert_int_equal(version_downgrade_check(v("3.5.0"), v("3.4.0"), &job),
                     ERR_RPC_DOWNGRADE_INVALID); /* etcd 3.5 goes on to 3.4, Cairn does not */
    job.enabled = true;
    assert_int_equal(version_downgrade_check(v("3.7.0"), v("3.6.0"), &job),
                     ERR_RPC_DOWNGRADE_IN_PROGRESS);
    assert_int_equal(version_downgrade_check(v("3.6.0"), v("3.6.0"), &job),
                     ERR_RPC_DOWNGRADE_INVALID); /* checked first, as in etcd */
}

static void join_levels(void **state)
{
    (void)state;
    static const struct {
        const char *rows[4];
        int err;
        enum level want;
    } cases[] = {
        {{"3.6.14/3.6.0", "3.6.14/3.6.0", NULL}, 0, LEVEL_3_6},
        {{"3.6.14/3.5.0", "3.5.33/3.5.0", NULL}, 0, LEVEL_3_5},
        {{"3.7.1/3.7.0", "", NULL}, 0, LEVEL_3_7},
        {{"3.6.14/3.0.0", "3.5.33/3.0.0", NULL}, 0, LEVEL_3_5}, /* undecided: what it will be */
        {{"3.6.14/not_decided", "3.6.14/3.6.0", NULL}, 0, LEVEL_3_6},
        {{"3.4.30/3.4.0", NULL}, 0, LEVEL_3_5},
        {{"3.8.0/3.8.0", NULL}, ERR_VERSION, 0},
        {{"2.3.8/2.3.0", NULL}, ERR_VERSION, 0},
        {{"", "", NULL}, ERR_VERSION, 0},
        {{"3.6.14/not_decided", NULL}, ERR_VERSION, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct member_answer a[4];
        enum level got = 0;
        size_t n = answers_of(cases[i].rows, a);
        assert_int_equal(version_join_level(a, n, &got), cases[i].err);
        assert_int_equal(got, cases[i].want);
    }
    assert_int_equal(version_next_level(LEVEL_3_5), LEVEL_3_6);
    assert_int_equal(version_next_level(LEVEL_3_6), LEVEL_3_7);
    assert_int_equal(version_next_level(LEVEL_3_7), LEVEL_3_7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets),
        cmocka_unit_test(join_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
